"""Findings as tables and as words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tospike.papers.claim import Finding, Verdict
from tospike.papers.reproduce import PAPERS, Reproduction
from tospike.tables import Column, Table

#: verdict -> words for people; a convention is named behind them
WORDS: dict[Verdict, str] = {
    "reproduces": "reproduces",
    "convention": "reproduces under",
    "does_not_reproduce": "does not reproduce",
    "input": "input",
}


def verdict_words(finding: Finding) -> str:
    """The verdict in words, with the convention's name."""
    words = WORDS[finding.verdict]
    return f"{words} {finding.convention}" if finding.convention else words


def claims_table(findings: Sequence[Finding], paper: str) -> Table:
    """Claims of one paper: place, printed, computed, deviation, verdict."""
    rows = [
        {
            "id": finding.claim.id,
            "where": finding.claim.where,
            "statement": finding.claim.statement,
            "printed": finding.claim.value,
            "computed": finding.computed,
            "as_stated": finding.as_stated if finding.convention else None,
            "unit": finding.claim.unit,
            "deviation": None if finding.deviation is None else 100 * finding.deviation,
            "verdict": verdict_words(finding),
        }
        for finding in findings
        if finding.claim.paper == paper
    ]
    return Table(
        key=f"claims_{paper}",
        title=f"Claims of {paper}, printed beside recomputed",
        columns=(
            Column("id", "claim"),
            Column("where", "place"),
            Column("statement", "statement"),
            Column("printed", "printed", digits=5),
            Column("computed", "computed", digits=5),
            Column("as_stated", "as stated", digits=5),
            Column("unit", "unit"),
            Column("deviation", "deviation", "%", digits=2),
            Column("verdict", "verdict"),
        ),
        rows=tuple(rows),
        assumptions=(
            "Computed: from the paper's own inputs through the networks, equations and "
            "technologies of this program, under the method that the paper states, or under the "
            "convention that the verdict names (then “as stated” is the number without it).",
            "A claim reproduces if it lies within half of the last printed digit, or within what "
            "words such as “about” allow.",
        ),
        sources=(paper,),
    )


def all_tables(result: Reproduction) -> list[Table]:
    """Claims per paper, the papers' own tables, and the counts."""
    papers = [
        key for key in PAPERS if any(finding.claim.paper == key for finding in result.findings)
    ]
    tables = [claims_table(result.findings, paper) for paper in papers]
    return [*tables, *result.tables, counts_table(result)]


def counts_table(result: Reproduction) -> Table:
    """Claims per paper and verdict."""
    papers = list(dict.fromkeys(finding.claim.paper for finding in result.findings))
    rows: list[dict[str, str | int]] = []
    for paper in papers:
        mine = [finding.verdict for finding in result.findings if finding.claim.paper == paper]
        rows.append(
            {"paper": paper, **{word: mine.count(word) for word in WORDS}, "all": len(mine)}
        )
    rows.append({"paper": "all", **result.counts, "all": len(result.findings)})
    return Table(
        key="claims_per_verdict",
        title="Claims per verdict",
        columns=(
            Column("paper", "paper"),
            Column("reproduces", "reproduces"),
            Column("convention", "under a convention"),
            Column("does_not_reproduce", "does not"),
            Column("input", "input"),
            Column("all", "claims"),
        ),
        rows=tuple(rows),
    )


def as_json(result: Reproduction) -> list[dict[str, Any]]:
    """One object per claim: id, printed, computed, unit, verdict, explanation and more."""
    return [
        {
            "id": finding.claim.id,
            "paper": finding.claim.paper,
            "where": finding.claim.where,
            "statement": finding.claim.statement,
            "printed": finding.claim.value,
            "tolerance": finding.claim.tolerance,
            "computed": finding.computed,
            "as_stated": finding.as_stated,
            "unit": finding.claim.unit,
            "deviation": finding.deviation,
            "verdict": finding.verdict,
            "explanation": finding.explanation,
            "arithmetic": finding.recomputed.arithmetic,
            "holds": finding.recomputed.holds,
            "convention": finding.convention or None,
            "conventions_tried": [
                {"name": item.name, "value": item.value, "text": item.text}
                for item in finding.recomputed.conventions
            ],
            "inputs": finding.claim.inputs,
            "sources": [finding.claim.paper, *finding.recomputed.sources],
        }
        for finding in result.findings
    ]
