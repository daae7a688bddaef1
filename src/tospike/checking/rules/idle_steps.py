"""Idle time steps that cost nothing in the formula, on a chip that updates in every step."""

from __future__ import annotations

from tospike.checking.chips import CHIPS, chip_of
from tospike.checking.facts import Facts
from tospike.checking.formulas import recognise_snn
from tospike.checking.record import Outcome, finding, not_checked, passed
from tospike.checking.rules.rule import Rule, mj
from tospike.equations.published import PUBLISHED

_WARN, _ERROR = 0.1, 1.0
_PAYS_STEPS = {"snn_lif_inst", "snn_if_cont", "snn_lif_cont", "snn_ottati"}


def check(facts: Facts) -> Outcome:
    """Does the formula pay for a step without spikes, and can the named chip leave it out?"""
    form = facts.claim.form
    if form.chip is None:
        return not_checked("chip: the platform that the paper names")
    chip = chip_of(form.chip)
    if chip is None:
        known = ", ".join(CHIPS)
        return not_checked(f"a chip of the table; {form.chip!r} is not in it ({known})")
    if chip.steps == "asynchronous":
        if form.snn.neuron in ("lif", "lif_cont", "if_cont"):
            return finding(
                "warning",
                f"{chip.name}: {chip.text}. The {form.snn.neuron!r} neurons of the claim change "
                "state in every time step.",
                fix="use neurons without dynamics between spikes, or name a chip with time steps",
            )
        return passed(f"{chip.name} has no time steps, and the neurons need none")
    formula = form.accounting.formula
    if formula is not None and PUBLISHED[formula].snn in _PAYS_STEPS:
        return passed(f"the model {formula!r} pays for the update of every neuron and step")
    events = recognise_snn(facts) is not None or formula is not None
    if not events and form.accounting.memory != "none":
        return not_checked("an SNN energy that a formula gives, or accounting.formula")
    fix = "add the update of every neuron in every step, or measure on the chip"
    text = f"The formula pays for spikes only; {chip.name}: {chip.text}."
    neurons, steps, energy = facts.shape.neurons, facts.steps, facts.claim.snn_energy
    if chip.update is None or not neurons or steps is None or energy is None:
        return finding("warning", text, fix=fix)
    idle = neurons * steps * chip.update.value
    right = energy.value + idle
    text += (
        f" {neurons:,.0f} neurons x {steps} steps x {chip.update.quoted} = {mj(idle)}, "
        f"{idle / energy.value:.3g} times the printed {energy.text}; together {mj(right)}."
    )
    if idle < _WARN * energy.value:
        return passed(text)
    return finding(
        "error" if idle >= _ERROR * energy.value else "warning", text, fix=fix, corrected=right,
        quantity="SNN energy per inference with idle updates", unit="J",
    )  # fmt: skip


RULE = Rule(
    "idle_steps",
    "Idle time steps that the named chip cannot leave out",
    ("davies_2018", "dampfhoffer_2022"),
    "Davies 2018: barrier after each time step; Dampfhoffer 2022, eq. 7: N_neur x T updates",
    check,
)
