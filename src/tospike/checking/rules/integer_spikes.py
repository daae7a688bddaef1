"""Integer spikes: T printed, T x D inner steps executed."""

from __future__ import annotations

import math

from tospike.checking.facts import Facts, near
from tospike.checking.formulas import recognise_snn, right_energy
from tospike.checking.record import Outcome, finding, not_checked, passed
from tospike.checking.rules.rule import Rule, mj
from tospike.units import si

_FIX = "print T x D, and count operations, updates and latency of all inner steps"


def check(facts: Facts) -> Outcome:
    """Firing rates are per inner step, so all T x D steps must be in the operations."""
    snn, claim = facts.claim.form.snn, facts.claim
    if snn.virtual_steps is None:
        return not_checked("snn.virtual_steps (1 for binary spikes)")
    if snn.virtual_steps == 1:
        return passed("spikes are binary")
    if facts.steps is None:
        return not_checked("snn.timesteps")
    name = f"T x D = {snn.timesteps} x {snn.virtual_steps}"
    found, printed = recognise_snn(facts), claim.snn_operations
    expected = facts.expected_operations
    hidden = printed and expected and not near(printed, expected)
    if hidden and printed and expected and near(printed, expected / snn.virtual_steps):
        return finding(
            "error",
            f"{name} inner steps give {si(expected, 'SOP', 4)}, the printed {printed.text} are "
            f"those of T = {snn.timesteps}.",
            fix=_FIX,
            corrected=expected,
            quantity="SNN operations per inference",
        )
    right = right_energy(facts)
    if found is not None and found.kind == "inner_hidden":
        return finding(
            "error",
            f"{found.text} gives the printed SNN energy: the steps T = {snn.timesteps}, where "
            f"{name} are executed. All inner steps need {mj(right or 0)}.",
            fix=_FIX, corrected=right, quantity="SNN energy per inference", unit="J",
        )  # fmt: skip
    bits = math.ceil(math.log2(facts.steps + 1))
    rest = (
        f"an inference is {facts.steps} steps for latency and neuron updates, and its counterpart "
        f"is an ANN with {bits}-bit activations"
    )
    if found is not None:
        return finding("note", f"The energy counts {name} steps; {rest}.", fix=_FIX)
    return finding(
        "warning", f"{name}: {rest}. The printed numbers do not say which were counted.", fix=_FIX
    )


RULE = Rule(
    "integer_spikes",
    "Integer spikes hide T x D inner steps",
    ("luo_2024", "yan_2026"),
    "Luo 2024 (SpikeYOLO), abstract: virtual time steps at inference; Yan 2026: T steps against "
    "ceil(log2(T+1)) bits",
    check,
)
