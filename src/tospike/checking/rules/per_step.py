"""Figures of one time step compared with figures of one inference."""

from __future__ import annotations

from tospike.checking.facts import Facts, near
from tospike.checking.formulas import recognise_snn, right_energy
from tospike.checking.record import Outcome, finding, not_checked, passed
from tospike.checking.rules.rule import Rule, mj
from tospike.units import si

_FIX = "multiply the figures of one step by T, or print both per inference"


def check(facts: Facts) -> Outcome:
    """Declared, or recognised where only a division by T explains the printed number."""
    claimed = facts.claim.form.claimed
    if claimed.ann_per and claimed.snn_per and claimed.ann_per != claimed.snn_per:
        return _declared(facts)
    steps = facts.claim.form.snn.timesteps
    if steps == 1:
        return passed("one time step: a step is an inference")
    counted = _operations(facts)
    if counted is not None:
        return counted
    found = recognise_snn(facts)
    if found is not None and found.kind == "per_step":
        right = right_energy(facts)
        return finding(
            "error",
            f"{found.text} gives the printed SNN energy: that of one of {steps} steps. An "
            f"inference needs {mj(right or 0)}.",
            fix=_FIX,
            corrected=right,
            quantity="SNN energy per inference",
            unit="J",
        )
    if found is not None and steps is not None:
        return passed(f"{found.text} counts all {steps} steps")
    if claimed.ann_per and claimed.snn_per:
        return passed(f"both energies are said to be per {claimed.ann_per}")
    return not_checked(
        "claimed.ann_per and claimed.snn_per, or the SNN energy with firing rate, T and MACs"
    )


def _operations(facts: Facts) -> Outcome | None:
    printed, expected = facts.claim.snn_operations, facts.expected_operations
    steps = facts.claim.form.snn.timesteps
    if printed is None or expected is None or steps is None or near(printed, expected):
        return None
    if facts.rate is not None and near(printed, expected * facts.rate):
        return None  # the rate may happen to be 1/T: that is another rule's
    if not near(printed, expected / steps):
        return None
    return finding(
        "error",
        f"The printed {printed.text} are the operations of one step: {facts.spikes:.4g} spikes per "
        f"synapse and inference x {si(facts.spiking_macs or 0, 'MAC', 4)} = "
        f"{si(expected, 'SOP', 4)} in {steps} steps.",
        fix=_FIX,
        corrected=expected,
        quantity="SNN operations per inference",
    )


def _declared(facts: Facts) -> Outcome:
    claimed, energy = facts.claim.form.claimed, facts.claim.snn_energy
    text = (
        f"The ANN figure is per {claimed.ann_per}, the SNN figure per {claimed.snn_per}: they "
        "cannot be compared."
    )
    if claimed.snn_per == "step" and energy is not None and facts.claim.form.snn.timesteps:
        steps = facts.claim.form.snn.timesteps
        right = energy.value * steps
        text += f" {energy.text} x {steps} steps = {mj(right)} per inference."
        return finding(
            "error", text, fix=_FIX, corrected=right, quantity="SNN energy per inference", unit="J"
        )
    return finding("error", text, fix=_FIX)


RULE = Rule(
    "per_step",
    "Per-step figures compared with per-inference ones",
    ("ottati_2023",),
    "Ottati 2023, section IV-A: the energy of a step must be multiplied by T",
    check,
)
