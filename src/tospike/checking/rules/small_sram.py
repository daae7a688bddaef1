"""The access energy of a small memory used for weights that do not fit into it."""

from __future__ import annotations

from tospike.checking.facts import INTEGER, Facts
from tospike.checking.record import Outcome, finding, not_checked, passed
from tospike.checking.rules.rule import Rule
from tospike.technology import load, sram_energy

#: how many times too large the weights are before it is an error
_ERROR = 4.0
_MATCH = 0.05


def check(facts: Facts) -> Outcome:
    """Bytes of the weights against the capacity of the memory whose energy was used."""
    form = facts.claim.form
    if form.accounting.memory_layout == "distributed":
        return passed("the weights are spread over many memories of that size")
    capacity = _capacity(facts)
    if capacity is None:
        return not_checked(_needed(facts))
    bits = form.snn.weight_bits or form.ann.weight_bits
    if facts.shape.parameters is None or bits is None:
        return not_checked("the number of parameters and snn.weight_bits")
    weights = facts.shape.parameters * bits / 8
    if weights <= capacity:
        return passed(f"{_kib(weights)} of weights fit into {_kib(capacity)}")
    table = load(INTEGER)
    used = sram_energy(table, capacity).energy * bits / table.sram_curve_bits
    found = sram_energy(table, weights)
    right = found.energy * bits / table.sram_curve_bits
    text = (
        f"{facts.shape.parameters:,.0f} weights of {bits} bit are {_kib(weights)}, "
        f"{weights / capacity:.3g} times the {_kib(capacity)} whose access energy is used. A read "
        f"of {bits} bit costs {used * 1e12:.3g} pJ there and {right * 1e12:.3g} pJ in a memory "
        f"that holds the weights: {right / used:.3g} times more (Horowitz 2014)."
    )
    if found.out_of_range:
        dram = table.energies["dram", "read", 64].value * bits / 64
        text += (
            f" The curve is printed up to 1 MiB and continued; DRAM would cost "
            f"{dram * 1e12:.3g} pJ."
        )
    return finding(
        "error" if weights >= _ERROR * capacity else "warning", text,
        fix="use the access energy of a memory that holds the weights, or say that they are "
        "distributed (accounting.memory_layout) and count the traffic between the memories",
        corrected=right, quantity=f"energy of one {bits}-bit weight read", unit="J",
    )  # fmt: skip


def _needed(facts: Facts) -> str:
    access = facts.claim.memory_access
    if access is None:
        return "accounting.memory_capacity, or memory_access with its width"
    width = facts.claim.form.accounting.memory_access_bits
    return (
        f"accounting.memory_capacity: {access.text} per {width} bit is that of no memory printed "
        "in Horowitz 2014"
    )


def _capacity(facts: Facts) -> float | None:
    """Stated, or the printed point of Horowitz 2014 that has the stated access energy."""
    if facts.claim.memory_capacity is not None:
        return facts.claim.memory_capacity.value
    access = facts.claim.memory_access
    if access is None:
        return None
    table = load(INTEGER)
    width = facts.claim.form.accounting.memory_access_bits
    whole = access.value * table.sram_curve_bits / width
    for capacity, constant in table.sram_curve.items():
        if abs(whole / constant.value - 1) <= _MATCH:
            return capacity
    return None


def _kib(size: float) -> str:
    for factor, unit in ((2**20, "MiB"), (2**10, "KiB")):
        if size >= factor:
            return f"{size / factor:.4g} {unit}"
    return f"{size:.4g} B"


RULE = Rule(
    "small_sram",
    "SRAM energy of a small memory used for megabytes of weights",
    ("horowitz_2014",),
    "memory table: 10 pJ at 8 kB, 20 pJ at 32 kB, 100 pJ at 1 MB per 64 bit",
    check,
)
