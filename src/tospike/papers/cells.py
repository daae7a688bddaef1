"""Printed beside computed in a row of a paper's table, judged as a claim is."""

from __future__ import annotations

from tospike.papers.claim import Claim, Recomputed
from tospike.papers.judge import judge
from tospike.tables import Column, Value

#: columns that every recomputed table has
COMPARISON = (
    Column("printed", "printed", digits=5),
    Column("computed", "computed", digits=4),
    Column("deviation", "deviation", "%", digits=2),
    Column("verdict", "verdict"),
    Column("note", "note"),
)

_WORDS = {
    "reproduces": "reproduces",
    "convention": "reproduces under",
    "does_not_reproduce": "does not reproduce",
    "input": "input",
}


def half_digit(decimals: int) -> float:
    """Half of the last printed digit of a number with ``decimals`` digits behind the point."""
    return 0.5 * 10.0**-decimals


def printed_cell(paper: str, where: str, value: float, decimals: int, unit: str = "") -> Claim:
    """A cell of a table as a claim, within half of its last printed digit."""
    return Claim(
        id=f"{paper}: {where}",
        paper=paper,
        where=where,
        statement=where,
        value=value,
        unit=unit,
        tolerance=half_digit(decimals),
        inputs="the other cells of the table",
    )


def compared(claim: Claim, found: Recomputed) -> dict[str, Value]:
    """The cells of :data:`COMPARISON`. "computed" is the number under the stated method.

    The note is the arithmetic; the reasons stand with the claims.
    """
    finding = judge(claim, found)
    verdict = _WORDS[finding.verdict]
    if finding.convention:
        value = "" if finding.computed is None else f" ({finding.computed:.4g})"
        verdict = f"{verdict} {finding.convention}{value}"
    deviation = None
    if found.computed is not None and claim.value:
        deviation = 100.0 * (found.computed / claim.value - 1.0)
    return {
        "printed": claim.value,
        "computed": found.computed,
        "deviation": deviation,
        "verdict": verdict,
        "note": found.arithmetic,
    }
