"""``tospike convert --format``: the tables hold what ``--json`` holds, in every format."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest
import torch
from convert_by_command import run, written

torch.set_num_threads(1)

FACTORY = """
import torch
from torch import nn


def tagger():
    torch.manual_seed(0)
    return nn.GRU(3, 8, batch_first=True)


def flat():
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(60, 4), nn.ReLU(), nn.Linear(4, 2))


def cnn():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv1d(20, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4, 2))
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return written(tmp_path, FACTORY)


def test_delta_tables_hold_what_json_holds(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = f"{folder}/net.py:tagger --to delta --theta 1/8 --data {folder}/x.npz"
    text += f" --out {folder}/net.pt"
    body = json.loads(run(f"{text} --json", monkeypatch, capsys)[1])
    (folder / "net.pt").unlink()
    status, out, _ = run(f"{text} --format json", monkeypatch, capsys)
    assert status == 0
    assert (folder / "net.pt").is_file()
    delta, quality = json.loads(out)
    (row,) = delta["rows"]
    (layer,) = body["layers"]
    assert (row["theta_x"], row["theta_h"]) == (0.125, 0.125)
    assert (row["sparsity_x"], row["sparsity_h"]) == (layer["sparsity_x"], layer["sparsity_h"])
    # 24 rows of gates, 3 inputs and 8 states
    assert row["dense_weights"] == 24 * 11
    assert row["weights"] == pytest.approx(
        24 * (3 * (1 - row["sparsity_x"]) + 8 * (1 - row["sparsity_h"]))
    )
    assert quality["rows"][0]["snr_db"] == body["quality"]["snr_db"]


@pytest.mark.parametrize("target", ["--to delta --theta 1/8", "--to delta --floor 10", "--to qnn"])
def test_every_format_has_every_row(
    target: str, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    network, data = ("flat", "xy") if "qnn" in target else ("tagger", "x")
    text = f"{folder}/net.py:{network} {target} --data {folder}/{data}.npz --format"
    found = {name: run(f"{text} {name}", monkeypatch, capsys) for name in ("csv", "json", "latex")}
    assert {status for status, _, _ in found.values()} == {0}
    tables = json.loads(found["json"][1])
    assert len(tables) == 2
    assert ("searched on these very data" in found["csv"][1]) == ("--floor" in target)
    lines = [line for line in io.StringIO(found["csv"][1]) if not line.startswith("#")]
    rows = [row for row in csv.reader(lines) if row]
    assert len(rows) == sum(1 + len(table["rows"]) for table in tables)
    assert found["latex"][1].count(r" \\") == len(rows)
    assert run(f"{text} markdown", monkeypatch, capsys)[1].count("\n|---") == 2


def test_convolutions_are_converted_where_they_are_named(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The samples are ten frames of 20 channels with 3 values."""
    text = f"{folder}/net.py:cnn --to delta --theta 0=1/8 --data {folder}/x.npz --json"
    body = json.loads(run(text, monkeypatch, capsys)[1])
    assert body["thresholds"] == {"0.0.theta_x": 0.125}
    (layer,) = body["layers"]
    assert layer["dense_weights_per_step"] == 4 * 20 * 3
    status, _, err = run(text.replace("0=1/8", "1/8"), monkeypatch, capsys)
    assert status == 2
    assert "no linear or convolution layer was named" in err


@pytest.mark.parametrize(
    ("options", "part"),
    [
        ("--format docx", "allowed: csv, json, latex, markdown"),
        ("--format csv --json", "--json and --format at once"),
    ],
)
def test_a_wrong_format_is_refused_before_any_work(
    options: str,
    part: str,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    text = f"{folder}/net.py:tagger --to delta --theta 1/8 --out {folder}/net.pt {options}"
    status, out, err = run(text, monkeypatch, capsys)
    assert (status, out) == (2, "")
    assert part in err
    assert not (folder / "net.pt").exists()
