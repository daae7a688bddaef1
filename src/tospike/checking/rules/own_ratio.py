"""A printed ratio that does not follow from the two energies printed beside it."""

from __future__ import annotations

from tospike.checking.facts import Facts
from tospike.checking.quantity import Printed
from tospike.checking.record import Outcome, finding, not_checked, passed
from tospike.checking.rules.rule import Rule


def check(facts: Facts) -> Outcome:
    """ANN energy / SNN energy, with the range that the rounding of both allows."""
    ratio, ann, snn = facts.claim.ratio, facts.claim.ann_energy, facts.claim.snn_energy
    if ratio is None or ann is None or snn is None:
        return not_checked("claimed.ann_energy, claimed.snn_energy and claimed.ratio")
    low, high = _range(ann, snn)
    follows = ann.value / snn.value
    text = f"{ann.text} / {snn.text} = {follows:.4g}"
    if low - ratio.half <= ratio.value <= high + ratio.half:
        return passed(f"{text}, as printed")
    inverse = " That is the inverse: SNN / ANN." if _inverse(ratio, ann, snn) else ""
    return finding(
        "error",
        f"{text}; the printed ratio is {ratio.text}, {ratio.value / follows:.3g} times that "
        f"({low:.4g} to {high:.4g} is what the rounding of the energies allows).{inverse}",
        fix="print the ratio of the printed energies, or the energies that the ratio is about",
        corrected=follows,
        quantity="ANN energy / SNN energy",
    )


def _range(ann: Printed, snn: Printed) -> tuple[float, float]:
    """Least and greatest ratio of the numbers that round to the printed energies."""
    smallest = max(snn.value - snn.half, snn.value * 1e-9)
    return max(ann.value - ann.half, 0.0) / (snn.value + snn.half), (
        ann.value + ann.half
    ) / smallest


def _inverse(ratio: Printed, ann: Printed, snn: Printed) -> bool:
    low, high = _range(snn, ann)
    return low - ratio.half <= ratio.value <= high + ratio.half


RULE = Rule(
    "own_ratio",
    "A ratio that does not follow from the printed energies",
    ("tospike",),
    "arithmetic",
    check,
)
