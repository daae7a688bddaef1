"""The spike rate applied twice: to the operations, and again to their energy."""

from __future__ import annotations

from tospike.checking.facts import Facts, near
from tospike.checking.formulas import recognise_snn, right_energy
from tospike.checking.record import Outcome, finding, not_checked, passed
from tospike.checking.rules.rule import Rule, mj
from tospike.units import si


def check(facts: Facts) -> Outcome:
    """Recognised where operations x AC x rate gives the printed energy, or rate^2 the count."""
    claim, expected = facts.claim, facts.expected_operations
    printed = claim.snn_operations
    if printed is not None and expected is not None and not near(printed, expected):
        for share in (facts.rate, facts.spikes):
            if share is not None and share < 1 and near(printed, expected * share):
                return finding(
                    "error",
                    f"The printed {printed.text} is {si(expected, 'SOP', 4)} x {share:.4g}: the "
                    "spike rate is applied twice to the operations.",
                    fix="multiply MACs by spikes per synapse once",
                    corrected=expected,
                    quantity="SNN operations per inference",
                )
    found = recognise_snn(facts)
    if found is not None and found.kind == "rate_twice":
        right = right_energy(facts, facts.operations)
        by = "" if right is None or claim.snn_energy is None else (
            f" With the rate applied once it is {mj(right)}, {right / claim.snn_energy.value:.3g} "
            "times the printed energy."
        )  # fmt: skip
        return finding(
            "error",
            f"{found.text} gives the printed SNN energy, but the operations hold the spike rate "
            f"already.{by}",
            fix="energy = operations x energy of one AC",
            corrected=right,
            quantity="SNN energy per inference",
            unit="J",
        )
    if found is not None:
        return passed(f"the printed SNN energy is {found.text}: the rate is applied once")
    if printed is not None and expected is not None and near(printed, expected) and facts.rate:
        return passed("the printed operations hold the rate once")
    if claim.form.accounting.formula is not None and claim.snn_energy is not None:
        model = next(m for m in facts.models if m.key == claim.form.accounting.formula)
        if near(claim.snn_energy, model.snn):
            return passed(f"the printed SNN energy follows the model {model.key!r}")
    return not_checked(
        "the SNN energy with the SNN operations, or with firing rate, T and MACs, and a formula "
        "that gives it"
    )


RULE = Rule(
    "rate_twice",
    "Spike rate applied twice",
    ("dampfhoffer_2022",),
    "Dampfhoffer 2022, eq. 4: the spikes per synapse enter the energy once",
    check,
)
