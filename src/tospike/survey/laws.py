"""What must hold for every entry of an accelerator file. Each law returns sentences of faults."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence

from tospike.survey.quantity import NOT_OF_AN_INFERENCE, QUANTITIES, Quantity
from tospike.survey.record import Accelerator

#: two printed numbers that should be one may differ by so much (they are rounded in print)
TOLERANCE = 0.15
_SKIP = ("lower bound", "upper bound", "simulated", *NOT_OF_AN_INFERENCE)


def faults(entries: Sequence[Accelerator]) -> list[str]:
    """Every broken law in a file, one sentence each."""
    found = [f"{entry.label}: {fault}" for entry in entries for fault in entry_faults(entry)]
    labels = Counter((entry.name, entry.point) for entry in entries)
    found += [
        f"{name} ({point or 'no point'}): stands {count} times; name the operating points"
        for (name, point), count in labels.items()
        if count > 1
    ]
    names = Counter(entry.name for entry in entries)
    found += [
        f"{entry.name}: one of several entries of this name, and its point is not named"
        for entry in entries
        if names[entry.name] > 1 and not entry.point
    ]
    return found


def entry_faults(entry: Accelerator) -> list[str]:
    """Broken laws of one entry."""
    return [*_range_faults(entry), *_form_faults(entry), *_agreement_faults(entry)]


def _range_faults(entry: Accelerator) -> Iterator[str]:
    for key, quantity in entry.quantities.items():
        kind = QUANTITIES[key]
        for value in (quantity.value, quantity.low, quantity.high):
            if value is not None and not kind.low <= value <= kind.high:
                yield (
                    f"{key}: {quantity.text} is outside of {kind.low:g} to {kind.high:g} "
                    f"{kind.unit}".rstrip()
                )
        low, high = quantity.low, quantity.high
        if low is not None and high is not None and low >= high:
            yield f"{key}: the range {quantity.text} does not rise"


def _form_faults(entry: Accelerator) -> Iterator[str]:
    if entry.platform == "fpga" and "process" in entry.quantities:
        yield "process: an FPGA's process is not that of an ASIC; name the device instead"
    latency = entry.quantities.get("latency")
    if latency is not None and latency.per == "batch" and entry.batch is None:
        yield "latency: of a batch, and the batch size is missing"
    for key in entry.conflict:
        if key not in entry.quantities and key != "kind":
            yield f"conflict: {key!r} is no quantity of this entry"
    for key, quantity in entry.quantities.items():
        if bool(quantity.derived_by) != ("derived" in quantity.qualifiers):
            yield f"{key}: the qualifier 'derived' and derived_by go together"


def _agreement_faults(entry: Accelerator) -> Iterator[str]:
    """Numbers that should be one: within :data:`TOLERANCE`, or explained under ``conflict``."""
    for key, what, left, right in agreements(entry):
        off = abs(left / right - 1)
        if off > TOLERANCE and key not in entry.conflict:
            yield (
                f"{key}: {what} gives {left:.4g}, printed is {right:.4g} "
                f"({off:.0%} apart, allowed {TOLERANCE:.0%}); explain it under conflict"
            )


Values = tuple[float, ...]
#: quantity judged, wording, quantities it is computed from, formula (batch is the last argument)
_RULES: tuple[tuple[str, str, tuple[str, ...], Callable[[Values, int], float]], ...] = (
    ("energy", "power / throughput", ("power", "throughput"), lambda v, _: v[0] / v[1]),
    ("energy", "power x latency", ("power", "latency"), lambda v, n: v[0] * v[1] / n),
    ("energy", "1 / inference_efficiency", ("inference_efficiency",), lambda v, _: 1 / v[0]),
    ("op_efficiency", "op_rate / power", ("op_rate", "power"), lambda v, _: v[0] / v[1]),
    ("sop_efficiency", "sop_rate / power", ("sop_rate", "power"), lambda v, _: v[0] / v[1]),
    ("throughput", "batch / latency", ("latency",), lambda v, n: n / v[0]),
)


def agreements(entry: Accelerator) -> Iterator[tuple[str, str, float, float]]:
    """(quantity, formula, computed, printed) wherever one number can be had twice.

    Bounds, ranges, peaks, simulations and numbers of a time step or an event are left out. A
    throughput follows from a latency only for a batch: a pipelined chip may start early.
    """
    for key, what, parts, formula in _RULES:
        held = [entry.quantities.get(name) for name in (key, *parts)]
        plain = [quantity for quantity in held if quantity is not None and _plain(quantity)]
        if len(plain) < len(held):
            continue
        values = tuple(quantity.value for quantity in plain if quantity.value is not None)
        if key == "throughput" and (entry.batch is None or plain[1].per != "batch"):
            continue
        of_batch = any(quantity.per == "batch" for quantity in plain)
        batch = entry.batch if of_batch and entry.batch is not None else 1
        yield key, what, formula(values[1:], batch), values[0]


def _plain(quantity: Quantity) -> bool:
    return (
        quantity.value is not None
        and quantity.per in ("inference", "batch")
        and not any(mark in _SKIP for mark in quantity.qualifiers)
    )
