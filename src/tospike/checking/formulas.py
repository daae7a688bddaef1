"""Which formula gives the printed energy? Candidates in joule, most plausible first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from tospike.checking.facts import Facts, near
from tospike.units import si

Kind = Literal[
    "first_mac",  # MACs of an analog first layer and ACs
    "first_mac_steps",  # the same, the first layer computed again in every step
    "acs",  # ACs only
    "first_ac",  # every layer, the analog first one too, as ACs
    "rate_twice",  # operations that hold the spike rate already, times the rate
    "per_step",  # operations of one time step
    "inner_hidden",  # T steps counted where T x D happen
]


@dataclass(frozen=True, slots=True)
class Candidate:
    """One way to get an energy: ``text`` is the arithmetic with numbers."""

    kind: Kind
    energy: float
    text: str


def _pj(value: float) -> str:
    return f"{value * 1e12:.4g} pJ"


def _count(value: float, unit: str) -> str:
    return si(value, unit, digits=4)


def snn_candidates(facts: Facts) -> tuple[Candidate, ...]:
    """Every compute-only formula that the inputs of a claim allow."""
    found: list[Candidate] = []
    printed = facts.claim.snn_operations
    expected = facts.expected_operations
    for operations in (printed.value if printed else None, expected):
        if operations is not None:
            found += _with_first(facts, operations)
    for operations in (printed.value if printed else None, expected):
        if operations is not None:
            text = f"{_count(operations, 'SOP')} x {_pj(facts.ac)}"
            found.append(Candidate("acs", facts.ac * operations, text))
    found += _mistaken(facts, printed.value if printed else None, expected)
    return tuple(found)


def _with_first(facts: Facts, operations: float) -> list[Candidate]:
    first, steps = facts.shape.first_macs, facts.steps
    if not (facts.direct and first):
        return []
    acs = facts.ac * operations
    tail = f" + {_count(operations, 'SOP')} x {_pj(facts.ac)}"
    head = f"{_count(first, 'MAC')} x {_pj(facts.mac)}"
    found = [Candidate("first_mac", facts.mac * first + acs, head + tail)]
    if steps and steps > 1:
        energy = facts.mac * first * steps + acs
        found.append(Candidate("first_mac_steps", energy, f"{steps} x {head}{tail}"))
    return found


def _mistaken(facts: Facts, printed: float | None, expected: float | None) -> list[Candidate]:
    found: list[Candidate] = []
    ac, first = facts.ac, facts.shape.first_macs
    shares = [share for share in (facts.rate, facts.spikes) if share is not None and share < 1]
    extra = facts.mac * first if facts.direct and first else 0.0
    if facts.direct and first and facts.spikes is not None and expected is not None:
        every = expected + facts.spikes * first
        text = f"{_count(every, 'SOP')} (first layer included) x {_pj(ac)}"
        found.append(Candidate("first_ac", ac * every, text))
    for operations in (printed, expected):
        for share in dict.fromkeys(shares if operations is not None else ()):
            text = f"{_count(operations or 0, 'SOP')} x {_pj(ac)} x {share:.4g}"
            found += [
                Candidate("rate_twice", ac * (operations or 0) * share + plus, text)
                for plus in dict.fromkeys((extra, 0.0))
            ]
    steps = facts.claim.form.snn.timesteps or 1
    if expected is not None and steps > 1:
        text = f"{_count(expected, 'SOP')} / {steps} steps x {_pj(ac)}"
        found += [
            Candidate("per_step", ac * expected / steps + plus, text)
            for plus in dict.fromkeys((extra, 0.0))
        ]
    virtual = facts.claim.form.snn.virtual_steps or 1
    if expected is not None and virtual > 1:
        text = f"{_count(expected, 'SOP')} / {virtual} inner steps x {_pj(ac)}"
        found += [
            Candidate("inner_hidden", ac * expected / virtual + plus, text)
            for plus in dict.fromkeys((extra, 0.0))
        ]
    return found


def _other_formula(facts: Facts) -> bool:
    return facts.claim.form.accounting.formula not in (None, "compute_only")


def recognise_snn(facts: Facts) -> Candidate | None:
    """The first candidate that gives the printed SNN energy within its digits.

    None for a claim that follows a published model with memory: there an agreement with
    operations alone is a coincidence.
    """
    printed = facts.claim.snn_energy
    if printed is None or _other_formula(facts):
        return None
    inputs = (facts.claim.snn_operations, facts.claim.first_layer_macs, facts.claim.macs)
    for candidate in snn_candidates(facts):
        if near(printed, candidate.energy, *inputs):
            return candidate
    return None


def dense_ann(facts: Facts) -> float | None:
    """Energy of the ANN as MACs only, every MAC paid."""
    return None if facts.ann_macs is None else facts.mac * facts.ann_macs


def recognise_ann(facts: Facts) -> bool:
    """True if the printed ANN energy is MACs x energy of a MAC and nothing else."""
    printed, energy = facts.claim.ann_energy, dense_ann(facts)
    if printed is None or _other_formula(facts):
        return False
    return near(printed, energy, facts.claim.ann_macs, facts.claim.ann_operations, facts.claim.macs)


def right_energy(facts: Facts, operations: float | None = None) -> float | None:
    """Compute-only SNN energy per inference with rates applied once and all steps counted."""
    if operations is None:
        operations = facts.expected_operations
    if operations is None:
        return None
    first = facts.shape.first_macs if facts.direct else 0.0
    return facts.ac * operations + facts.mac * (first or 0.0)
