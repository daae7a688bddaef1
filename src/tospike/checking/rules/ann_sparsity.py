"""An ANN baseline that pays for its own zeros, beside an SNN that does not."""

from __future__ import annotations

from tospike.checking.facts import Facts
from tospike.checking.formulas import recognise_ann
from tospike.checking.record import Outcome, finding, not_checked, passed
from tospike.checking.rules.rule import Rule, mj
from tospike.equations.dampfhoffer_2022 import ZERO_FRACTION
from tospike.equations.published import PUBLISHED

_USES_ZEROS = {
    "ann_reuse_sparsity", "ann_eyeriss_v1", "ann_eyeriss_v2", "ann_ottati", "ann_nullhop",
}  # fmt: skip


def check(facts: Facts) -> Outcome:
    """Declared, or recognised where every MAC of the ANN is paid."""
    form, energy = facts.claim.form, facts.claim.ann_energy
    if form.ann.zeros_used:
        return passed("the ANN is said to use its zeros")
    if form.ann.activation == "other":
        return passed("the ANN's activation makes no zeros")
    why = _dense(facts)
    if not why:
        return not_checked("ann.zeros_used, or the ANN energy with its MACs")
    assumed = form.ann.zero_fraction is None
    zeros = ZERO_FRACTION.value if form.ann.zero_fraction is None else form.ann.zero_fraction
    origin = "assumed, as in AlexNet and VGG16 (Dampfhoffer 2022, III-A)" if assumed else "stated"
    text = f"{why}. With {zeros:.0%} zeros ({origin}) skipped, "
    fix = "let the baseline skip or gate its zeros too, and print their share"
    if zeros == 0:
        return passed("the ANN has no zeros")
    ratio = facts.claimed_ratio
    right = None if energy is None else energy.value * (1 - zeros)
    if energy is None or right is None:
        text += f"the ANN needs {1 - zeros:.0%} as much"
    else:
        text += f"the ANN needs {mj(right)} instead of {energy.text}"
    turns = ratio is not None and ratio > 1 > ratio * (1 - zeros)
    if ratio is not None:
        text += f" and ANN / SNN is {ratio * (1 - zeros):.3g} instead of {ratio:.3g}"
    text += "; the comparison turns round." if turns else "."
    return finding(
        "error" if turns else "warning", text, fix=fix, corrected=right,
        quantity="ANN energy per inference", unit="J",
    )  # fmt: skip


def _dense(facts: Facts) -> str:
    form = facts.claim.form
    if form.ann.zeros_used is False:
        return "The ANN is said not to use its zeros"
    formula = form.accounting.formula
    if recognise_ann(facts):
        return "The printed ANN energy pays for every MAC, whether its input is zero or not"
    if formula is not None and PUBLISHED[formula].ann not in _USES_ZEROS:
        return f"The model {formula!r} lets the ANN pay for its zeros"
    return ""


RULE = Rule(
    "ann_sparsity",
    "ANN baseline without its own sparsity",
    ("dampfhoffer_2022", "chen_2017_jssc"),
    "Dampfhoffer 2022, III-A (58 % zeros) and III-B1",
    check,
)
