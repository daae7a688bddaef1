"""Static power left out of the energy of an inference."""

from __future__ import annotations

from tospike.checking.facts import Facts
from tospike.checking.record import Outcome, finding, not_checked, passed
from tospike.checking.rules.rule import Rule, mj

_WARN, _ERROR = 0.1, 1.0
_FIX = "add static power x time of an inference, for both networks"


def check(facts: Facts) -> Outcome:
    """Static power x inference time beside the printed energy."""
    claim, form = facts.claim, facts.claim.form.accounting
    if form.static == "included":
        return passed("static power is said to be included")
    if claim.static_power is None or claim.inference_time is None or claim.snn_energy is None:
        needs = "accounting.static_power, accounting.inference_time and the SNN energy"
        if form.static == "ignored":
            return finding(
                "warning",
                f"Static power is said to be ignored; its size is not checked: needs {needs}.",
                fix=_FIX,
            )
        return not_checked(needs + ", or accounting.static: included")
    static = claim.static_power.value * claim.inference_time.value
    share = static / claim.snn_energy.value
    right = claim.snn_energy.value + static
    text = (
        f"{claim.static_power.text} x {claim.inference_time.text} = {mj(static)}, {share:.3g} "
        f"times the printed SNN energy of {claim.snn_energy.text}: together {mj(right)}."
    )
    if share < _WARN:
        return passed(text)
    return finding(
        "error" if share >= _ERROR else "warning", text, fix=_FIX, corrected=right,
        quantity="SNN energy per inference with static power", unit="J",
    )  # fmt: skip


RULE = Rule(
    "static_power",
    "Static power ignored",
    ("dampfhoffer_2022",),
    "Dampfhoffer 2022, II: static energy is another factor of the energy of a system, left out",
    check,
)
