"""Who wins, on hand-made costs where the answer follows from the rules of docs/verdict.md."""

from __future__ import annotations

import numpy as np
import pytest

from tospike.activity import ActivityProfile
from tospike.decision.candidates import Candidate, Floor
from tospike.decision.choice import Choice, choose, luck
from tospike.decision.energy import Design
from tospike.decision.options import Options
from tospike.decision.uncertainty import JointSamples
from tospike.implementation import Implementation
from tospike.pricing.cost import Cost, CostPart

NOTHING = ActivityProfile({}, 0, "test")


def candidate(name: str, mode: str, accuracy: float | None, **more) -> Candidate:
    implementation = Implementation("delta" if mode == "delta" else "ann", **more.pop("with_", {}))
    return Candidate(Design(name, mode, {}, NOTHING, implementation), accuracy, **more)


def cost(fixed: float, memory: float = 0.0) -> Cost:
    """``fixed`` joule that no range touches, and ``memory`` joule of a constant in [0.9, 4]."""
    parts = tuple(
        CostPart("a", "sram", "read", "weight", "synapse", *(np.array(e),) * 3, drivers)
        for e, drivers in ((fixed, ()), (memory, ("memory",)))
    )
    energy = np.array(fixed + memory)
    return Cost(energy, energy, energy, parts, "t", "m", {"memory": (0.9, 4.0)})


def run(entries: list[tuple[Candidate, Cost]], floor: Floor) -> Choice:
    costs = {item.name: price for item, price in entries}
    joint = JointSamples(costs, samples=2000)
    return choose([item for item, _ in entries], costs, joint, floor, Options())


ANN = candidate("ann", "ann", 0.92)
QNN = candidate("qnn", "qnn", 0.915, activation_bits=4)
BAD = candidate("bad", "qnn", 0.5, activation_bits=1)
FLOOR = Floor(accuracy=0.91)


def test_the_cheapest_that_keeps_the_floor() -> None:
    snns = [candidate(f"snn{t}", "snn", a, timesteps=t) for t, a in ((1, 0.6), (4, 0.911))]
    entries = [(ANN, cost(9)), (QNN, cost(5)), (BAD, cost(1)), (snns[0], cost(2))]
    found = run([*entries, (snns[1], cost(4))], FLOOR)
    assert (found.reference.name, found.snn.name, found.winner.name) == ("qnn", "snn4", "snn4")
    lost = run([*entries, (snns[1], cost(6))], FLOOR)
    assert (lost.winner.name, lost.challenger.name) == ("qnn", "snn4")
    tied = run([*entries, (snns[1], cost(5))], FLOOR)
    assert tied.winner.name == "qnn"


def test_a_nominal_gain_that_most_draws_deny_does_not_win() -> None:
    """Nominal 4.9 against 5, but its memory can only become much dearer."""
    hybrid = candidate("hybrid", "hybrid", 0.92)
    found = run([(QNN, cost(5)), (hybrid, cost(0.9, 4))], FLOOR)
    assert found.winner.name == "qnn"
    assert found.challenger.name == found.hybrid.name == "hybrid"
    sure = run([(QNN, cost(20)), (hybrid, cost(0.9, 4))], FLOOR)
    assert sure.winner.name == "hybrid"


def test_no_snn_keeps_the_floor() -> None:
    snns = [candidate(f"snn{t}", "snn", a, timesteps=t) for t, a in ((1, 0.6), (4, 0.9), (8, 0.9))]
    found = run([(QNN, cost(5)), *((item, cost(0.1)) for item in snns)], FLOOR)
    assert not found.snn_meets
    assert found.snn.name == "snn4"  # the best accuracy, among equals the fewest steps
    assert found.challenger is None
    assert found.winner.name == "qnn"


def test_agreement_stands_in_for_accuracy() -> None:
    snn = candidate("snn", "snn", None, agreement=0.995, timesteps=2)
    other = candidate("other", "snn", None, agreement=0.5, timesteps=1)
    base = candidate("qnn8", "qnn", None, agreement=1.0, activation_bits=8)
    found = run([(base, cost(5)), (snn, cost(2)), (other, cost(1))], Floor(agreement=0.99))
    assert found.winner.name == "snn"


def test_what_is_not_measured_cannot_win_but_for_the_smallest_threshold() -> None:
    base = candidate("qnn8", "qnn", None, activation_bits=8)
    narrow = candidate("qnn2", "qnn", None, activation_bits=2)
    snn = candidate("snn", "snn", None, timesteps=64)
    few = candidate("few", "snn", None, timesteps=1)
    deltas = [
        candidate(f"d{i}", "delta", None, with_={"delta_threshold": theta})
        for i, theta in enumerate(Options().delta_thresholds)
    ]
    entries = [(base, cost(5)), (narrow, cost(1)), (few, cost(1)), (snn, cost(1))]
    entries += [(item, cost(3 - i)) for i, item in enumerate(deltas)]
    found = run(entries, Floor())
    assert found.reference.name == "qnn8"
    assert found.winner.name == "d0"
    assert (found.snn.name, found.snn_meets) == ("snn", False)


@pytest.mark.parametrize(
    ("floor", "expected"),
    [(Floor(accuracy=0.92), True), (Floor(accuracy=0.93), False), (Floor(agreement=0.9), None)],
)
def test_floor(floor: Floor, expected: bool | None) -> None:
    assert floor.met_by(ANN) is expected


def test_a_winner_that_just_keeps_the_floor_is_named_with_the_next_safe_one() -> None:
    """sqrt(0.9 * 0.1 / 100) = 0.03: 0.9 is half an error above 0.885, 0.96 is more than one."""
    lucky = candidate("SNN, T=4", "snn", 0.9)
    safe = candidate("SNN, T=8", "snn", 0.96)
    other = candidate("QNN, 3 bit", "qnn", 0.99)
    costs = {"SNN, T=4": cost(2.0), "SNN, T=8": cost(3.0), "QNN, 3 bit": cost(1.0)}
    every, floor = [lucky, safe, other], Floor(accuracy=0.885)
    assert luck(lucky, every, costs, floor, 100) == (
        "SNN, T=4 keeps an accuracy of 88.5 % by 0.5 standard errors of 100 samples; the cheapest "
        "of its kind that keeps it by a whole one is SNN, T=8, at 1.50 times the energy"
    )
    assert "none of its kind" in luck(lucky, [lucky, other], costs, floor, 100)
    assert luck(lucky, every, costs, floor, 401) == ""  # 0.015 is 1.001 errors then
    assert luck(safe, every, costs, floor, 100) == ""
    assert luck(lucky, every, costs, Floor(), 100) == ""
    assert luck(candidate("a", "snn", None), every, costs, floor, 100) == ""
