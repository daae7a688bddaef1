"""The verdict on a claim follows from numbers alone: nobody writes it down."""

from __future__ import annotations

import math

from tospike.errors import StatisticError
from tospike.papers.claim import Claim, Convention, Finding, Recomputed, Verdict

#: binary rounding of a difference that is exactly half of the last digit
_SLACK = 1e-9


def agrees(claim: Claim, value: float | None) -> bool:
    """True if ``value`` lies within the tolerance of the printed number."""
    if value is None or claim.value is None or not math.isfinite(value):
        return False
    slack = _SLACK * max(1.0, abs(claim.value))
    return abs(value - claim.value) <= (claim.tolerance or 0.0) + slack


def judge(claim: Claim, found: Recomputed) -> Finding:
    """Verdict: *reproduces*, else the first convention that gives the number, else does not.

    Raises
    ------
    StatisticError
        A recomputation that says nothing: neither number, nor truth, nor that it is an input;
        or a failure without a reason.
    """
    if found.is_input:
        _demand(claim, bool(found.why), "an input without the reason why it cannot be derived")
        return _finding(claim, found, "input", found.why)
    if found.computed is None and found.holds is None:
        _demand(claim, False, "neither a number nor whether the statement holds")
    if _holds(claim, found.computed, found.holds):
        return _finding(claim, found, "reproduces", found.arithmetic)
    _demand(claim, bool(found.why), "a failure without its reason")
    for convention in found.conventions:
        if _holds(claim, convention.value, convention.holds):
            text = f"{found.why} {convention.text}"
            return _finding(claim, found, "convention", text, convention)
    return _finding(claim, found, "does_not_reproduce", found.why)


def _holds(claim: Claim, value: float | None, holds: bool | None) -> bool:
    """A stated truth where there is one (inequalities, statements), else the number's tolerance."""
    return agrees(claim, value) if holds is None else holds


def _demand(claim: Claim, met: bool, fault: str) -> None:
    if not met:
        raise StatisticError(f"judge the claim {claim.id!r}", received=fault)


def _finding(
    claim: Claim,
    found: Recomputed,
    verdict: Verdict,
    explanation: str,
    convention: Convention | None = None,
) -> Finding:
    return Finding(
        claim=claim,
        verdict=verdict,
        computed=convention.value if convention else found.computed,
        as_stated=found.computed,
        explanation=explanation.strip(),
        convention=convention.name if convention else "",
        recomputed=found,
    )
