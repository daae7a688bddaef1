"""Residual additions of spikes: the next layer reads integers, so its operations are MACs."""

from __future__ import annotations

from tospike.checking.facts import Facts
from tospike.checking.formulas import recognise_snn
from tospike.checking.record import Outcome, finding, not_checked, passed
from tospike.checking.rules.rule import Rule, counts_memory, mj

#: share of the energy from which the correction is an error and not a warning
_LARGE = 0.1
_FIX = (
    "count the layers behind an addition as MACs, or use a residual that keeps spikes binary "
    "(AND, IAND, or a shortcut between membrane potentials)"
)


def check(facts: Facts) -> Outcome:
    """Only additions of spikes (sew_add) make integers; AND, IAND and ms shortcuts keep spikes."""
    residual = facts.claim.form.network.residual
    if residual is None:
        return not_checked("network.residual (none, sew_add, sew_and, sew_iand or ms)")
    if residual != "sew_add":
        return passed(f"residual {residual!r} keeps the inputs of all layers binary")
    declared = facts.claim.form.accounting.residual_operations
    if declared == "mac":
        return passed("the layers behind an addition are said to be counted as MACs")
    energy, found = facts.claim.snn_energy, recognise_snn(facts)
    above = _above_acs(facts)
    if declared is None and above:
        return passed(above)
    if declared is None and found is None:
        needs = "accounting.residual_operations"
        if not counts_memory(facts):
            needs += ", or an SNN energy that a formula gives"
        return not_checked(needs)
    how = f"{found.text} gives the printed SNN energy" if found else "As stated"
    text = (
        f"{how}: every operation counts as one AC, but sums of spikes are integers, which need a "
        "MAC, or an AC for every unit of the sum."
    )
    share, operations = facts.shape.residual_share, facts.operations
    if not share or operations is None or energy is None:
        return finding("warning", text, fix=_FIX)
    extra = (facts.mac - facts.ac) * operations * share
    right = energy.value + extra
    text += (
        f" {share:.1%} of the synapses read such sums; at equal rates MACs there add "
        f"{mj(extra)}: {mj(right)} instead of {energy.text}."
    )
    return finding(
        "error" if extra >= _LARGE * energy.value else "warning", text, fix=_FIX,
        corrected=right, quantity="SNN energy per inference", unit="J",
    )  # fmt: skip


def _above_acs(facts: Facts) -> str:
    """A sentence if the energy is more than one AC per synapse and step can cost."""
    energy, macs, steps = facts.claim.snn_energy, facts.spiking_macs, facts.steps
    if energy is None or macs is None or steps is None or counts_memory(facts):
        return ""
    bound = facts.ac * macs * steps
    if facts.direct and facts.shape.first_macs:
        bound += facts.mac * facts.shape.first_macs * steps
    if energy.value <= bound:
        return ""
    return (
        f"the printed SNN energy of {energy.text} is above {mj(bound)}, an AC for every synapse "
        f"and step: it holds MACs"
    )


RULE = Rule(
    "residual_sums",
    "Residual additions make inputs non-binary: MACs, not ACs",
    ("zhou_2023_spikingformer",),
    "Zhou 2023 (Spikingformer), abstract: non-spike computations of residual connections",
    check,
)
