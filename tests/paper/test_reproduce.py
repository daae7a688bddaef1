"""``tospike reproduce`` as a whole: complete, consistent, and the pages in docs are its own."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest

from tospike import cli
from tospike.papers.claim import VERDICTS
from tospike.papers.errata import errata
from tospike.papers.judge import agrees
from tospike.papers.reproduce import PAPERS, Reproduction, reproduce

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def result() -> Reproduction:
    return reproduce()


def test_every_claim_has_one_verdict_and_a_reason(result: Reproduction) -> None:
    assert len(result.findings) == 103
    assert sum(result.counts.values()) == 103
    for finding in result.findings:
        assert finding.verdict in VERDICTS
        assert finding.explanation, finding.claim.id


def test_verdicts_agree_with_their_numbers(result: Reproduction) -> None:
    for finding in result.findings:
        if finding.claim.value is None or finding.recomputed.holds is not None:
            continue
        fits = agrees(finding.claim, finding.computed)
        assert fits == (finding.verdict in {"reproduces", "convention"}), finding.claim.id
        if finding.verdict == "convention":
            assert not agrees(finding.claim, finding.as_stated), finding.claim.id


def test_at_least_twenty_do_not_follow_as_printed(result: Reproduction) -> None:
    counts = result.counts
    assert counts["convention"] + counts["does_not_reproduce"] >= 20
    assert counts["does_not_reproduce"] >= 5
    assert counts["convention"] >= 5


def test_the_tables_of_the_papers_are_there(result: Reproduction) -> None:
    assert {"Table II", "Table III"} <= set(PAPERS["dampfhoffer_2022"].tables)
    assert {"Table I", "Table II", "Table III"} <= set(PAPERS["ottati_2023"].tables)
    assert len(result.tables) == sum(len(paper.tables) for paper in PAPERS.values())


def test_the_errata_page_is_the_one_that_the_command_writes(result: Reproduction) -> None:
    page = (ROOT / "docs" / "errata.md").read_text()
    assert page == errata(result), "run: tospike reproduce --errata docs/errata.md"
    listed = set(re.findall(r"\(`([^`]+)`\)\n", page))
    assert listed == {
        finding.claim.id
        for finding in result.findings
        if finding.verdict in {"convention", "does_not_reproduce"}
    }


def test_the_readme_has_the_counts_of_the_command(result: Reproduction) -> None:
    counts = result.counts
    sentence = (
        f"{counts['reproduces']} reproduce, {counts['convention']} only under a convention that is "
        f"named, {counts['does_not_reproduce']} do not, {counts['input']} are inputs"
    )
    assert sentence in (ROOT / "README.md").read_text()


def test_json_is_a_list_with_the_documented_fields(
    result: Reproduction, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["tospike", "reproduce", "liu_delbruck_2019", "--json"])
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    assert stopped.value.code == 0
    body = json.loads(capsys.readouterr().out)
    mine = [finding for finding in result.findings if finding.claim.paper == "liu_delbruck_2019"]
    assert [entry["id"] for entry in body] == [finding.claim.id for finding in mine]
    for entry, finding in zip(body, mine, strict=True):
        assert {"id", "printed", "computed", "unit", "verdict", "explanation"} <= set(entry)
        assert entry["computed"] == finding.computed
        assert entry["verdict"] == finding.verdict
