"""``--format`` and ``tospike reproduce``: what is printed, and one clear error for bad input."""

from __future__ import annotations

import csv
import io
import json
import sys
from pathlib import Path

import pytest

from tospike import cli


def run(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *words: str
) -> tuple[int, str, str]:
    """Exit status, standard output and standard error of ``tospike <words>``."""
    monkeypatch.setattr(sys, "argv", ["tospike", *words])
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    out, err = capsys.readouterr()
    return int(stopped.value.code or 0), out, err


@pytest.mark.parametrize("command", [["technologies"], ["breakeven"], ["inspect", "alexnet"]])
def test_every_format_of_every_table(
    command: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    status, text, _ = run(capsys, monkeypatch, *command, "--format", "csv")
    rows = list(csv.reader(line for line in io.StringIO(text) if not line.startswith("#")))
    assert status == 0
    assert len({len(row) for row in rows}) == 1
    _, latex, _ = run(capsys, monkeypatch, *command, "--format", "latex")
    assert latex.count(r" \\") == len(rows)
    _, plain, _ = run(capsys, monkeypatch, *command, "--format", "json")
    assert len(json.loads(plain)[0]["rows"]) == len(rows) - 1


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["breakeven", "--format", "docx"], "allowed: csv, json, latex, markdown"),
        (["breakeven", "--format", "csv", "--json"], "--json and --format at once"),
        (["reproduce", "ottati_2032"], "did you mean 'ottati_2023'?"),
        (["reproduce", "--format", "word"], "allowed: csv, json, latex, markdown"),
        (["reproduce", "--errata", "/nowhere/errata.md"], "no such directory"),
    ],
)
def test_bad_input_is_one_clear_error(
    words: list[str],
    part: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    status, out, err = run(capsys, monkeypatch, *words)
    assert (status, out) == (2, "")
    assert part in err
    assert "Traceback" not in err


def test_figures_into_a_file_are_refused_before_any_work(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("mine")
    status, _, err = run(capsys, monkeypatch, "reproduce", "--figures", str(tmp_path / "file"))
    assert status == 2
    assert "is a file" in err
    assert (tmp_path / "file").read_text() == "mine"
