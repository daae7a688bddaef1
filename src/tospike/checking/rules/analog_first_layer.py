"""Direct input coding: the first layer reads analog pixels, so its operations are MACs."""

from __future__ import annotations

from tospike.checking.facts import Facts, near
from tospike.checking.formulas import recognise_snn
from tospike.checking.record import Outcome, finding, not_checked, passed
from tospike.checking.rules.rule import Rule, mj
from tospike.units import si

#: share of the energy from which the correction is an error and not a warning
_LARGE = 0.02


def check(facts: Facts) -> Outcome:
    """Only with direct input; recognised by the energy, or declared."""
    form = facts.claim.form
    if form.snn.input is None:
        return not_checked("snn.input (direct, rate or event)")
    if not facts.direct:
        return passed(f"with {form.snn.input} input the first layer reads spikes")
    declared, found = form.accounting.first_layer, recognise_snn(facts)
    kind = found.kind if found else ""
    if kind in ("first_mac", "first_mac_steps") and found:
        return passed(f"{found.text}: the analog first layer is in MACs")
    if declared == "mac":
        return passed("the analog first layer is said to be counted in MACs")
    first = facts.shape.first_macs
    if first is None:
        return not_checked("network.totals.first_layer_macs, a zoo name or layers")
    if declared is None and kind not in ("acs", "first_ac"):
        return not_checked("accounting.first_layer, or an SNN energy that a formula gives")
    return _judge(facts, first, kind, found.text if found else "")


def _judge(facts: Facts, first: float, kind: str, arithmetic: str) -> Outcome:
    how = f"{arithmetic} gives the printed SNN energy" if arithmetic else "As stated"
    text = (
        f"{how}: no MACs, but with direct input the first layer reads analog values in "
        f"{si(first, 'MAC', 4)}."
    )
    fix = "count the first layer in MACs: once if its input is constant, else in every step"
    energy = facts.claim.snn_energy
    if energy is None:
        return finding("warning", text, fix=fix)
    extra = facts.mac * first
    printed, expected = facts.claim.snn_operations, facts.expected_operations
    if facts.spikes is not None and expected is not None:
        every = expected + facts.spikes * first
        if kind == "first_ac" or (kind == "acs" and printed and near(printed, every)):
            extra -= facts.ac * facts.spikes * first
    right = energy.value + extra
    text += f" At {facts.mac * 1e12:.3g} pJ it is {mj(right)} instead of {energy.text}."
    return finding(
        "error" if extra >= _LARGE * energy.value else "warning", text, fix=fix, corrected=right,
        quantity="SNN energy per inference", unit="J",
    )  # fmt: skip


RULE = Rule(
    "analog_first_layer",
    "Analog first layer counted as ACs",
    ("dampfhoffer_2022",),
    "Dampfhoffer 2022, II-E: an encoding layer does MACs as in an ANN",
    check,
)
