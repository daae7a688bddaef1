"""What a machine does: the fixed list of actions, and :class:`ActionCounts`.

Counts carry no joules. An equation or a machine simulator makes counts; ``tospike.pricing`` turns
them into a :class:`~tospike.pricing.Cost` with a technology. (Count first, price later.)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from tospike.errors import RangeError, unknown_name

Array = NDArray[np.float64]
Route = Literal["equation", "machine", "mixed"]

_ACCESS = ("read", "write", "read_gated", "write_gated")

#: component -> actions. A gated action is started and then suppressed because an operand is
#: zero (Eyeriss v1: the PE still spends the cycle); it is priced as a fraction of the full one.
ACTIONS: dict[str, tuple[str, ...]] = {
    # bit_op: one bit of a weight times one bit of an activation (bit budget of Shen 2024)
    "alu": ("mac", "mac_gated", "ac", "mul", "add", "compare", "bit_op"),
    "register": _ACCESS,  # local storage inside a PE (register file)
    "pe_sram": _ACCESS,  # local SRAM inside a PE (weight scratchpad)
    "sram": _ACCESS,  # distant on-chip memory (global buffer, neuron core memory)
    "dram": ("read", "write"),  # off-chip memory
    # one word or event moved by one hop; Yan 2026 prices a dense stream (dense_hop) and routed
    # events (sparse_hop) differently
    "noc": ("hop", "dense_hop", "sparse_hop"),
    "static": ("second",),  # leakage and idle power, counted in seconds
    "core": ("synaptic_event", "neuron_update", "spike_out"),  # aggregated, as chips publish it
}

#: what is moved or computed
DATATYPES: tuple[str, ...] = (
    "weight",
    "iact",
    "oact",
    "psum",
    "state",
    "current",
    "spike",
    "delta",
    "reference",
    "bias",
    "index",
    "event",
    "none",
)


@dataclass(frozen=True, slots=True)
class Entry:
    """``count`` actions of one sort in one layer.

    ``bits`` is the width of one access or operand, so that a technology given per bit or per
    64-bit word can price it. ``capacity_bytes`` is the size of the memory that is accessed, where
    it matters (None: the technology's reference capacity). ``part`` groups entries in reports:
    "synapse", "neuron", "border", "weights_off_chip", "communication", "static".
    """

    layer: str
    component: str
    action: str
    datatype: str
    bits: int
    count: Array
    capacity_bytes: float | None = None
    part: str = "synapse"


@dataclass(frozen=True, slots=True)
class ActionCounts:
    """Counts of actions for one inference of one implementation.

    ``entries`` broadcast against each other: the same record holds one design point or a million.
    ``assumptions`` and ``out_of_range`` are sentences that a result must carry along; ``sources``
    are bibliography keys of the equations used (prices add theirs).
    """

    entries: tuple[Entry, ...]
    route: Route = "equation"
    model: str = ""
    assumptions: tuple[str, ...] = ()
    out_of_range: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()

    def __iter__(self) -> Iterator[Entry]:
        return iter(self.entries)

    def __add__(self, other: ActionCounts) -> ActionCounts:
        return combine([self, other])

    @property
    def shape(self) -> tuple[int, ...]:
        """Common broadcast shape of all counts."""
        return np.broadcast_shapes(*(entry.count.shape for entry in self.entries))

    @property
    def layers(self) -> tuple[str, ...]:
        """Layer names in order of first appearance."""
        return tuple(dict.fromkeys(entry.layer for entry in self.entries))

    def select(self, keep: Callable[[Entry], bool]) -> ActionCounts:
        """The counts whose entry satisfies ``keep``; assumptions are carried along."""
        return replace(self, entries=tuple(entry for entry in self.entries if keep(entry)))

    def scaled(self, factor: float | Array) -> ActionCounts:
        """Every count times ``factor`` (broadcast)."""
        factor = np.asarray(factor, dtype=np.float64)
        return replace(
            self,
            entries=tuple(replace(entry, count=entry.count * factor) for entry in self.entries),
        )

    def total(
        self,
        *,
        component: str | None = None,
        action: str | None = None,
        datatype: str | None = None,
        layer: str | None = None,
        part: str | None = None,
    ) -> Array:
        """Sum of the counts that match every given field (a missing field matches all)."""
        wanted = {
            "component": component,
            "action": action,
            "datatype": datatype,
            "layer": layer,
            "part": part,
        }
        total: Array = np.zeros(self.shape if self.entries else ())
        for entry in self.entries:
            if all(value is None or getattr(entry, key) == value for key, value in wanted.items()):
                total = total + entry.count
        return total


def count(
    layer: str,
    component: str,
    action: str,
    datatype: str,
    number: Any,
    *,
    bits: int,
    capacity_bytes: float | None = None,
    part: str = "synapse",
) -> Entry:
    """Make one checked entry. ``number`` is any array-like of finite counts >= 0.

    Raises :class:`UnknownNameError` for an action that is not in the list and
    :class:`RangeError` for negative or non-finite counts.
    """
    if component not in ACTIONS:
        raise unknown_name("component", component, tuple(ACTIONS), where=f"layer {layer!r}")
    if action not in ACTIONS[component]:
        raise unknown_name(f"action of {component}", action, ACTIONS[component])
    if datatype not in DATATYPES:
        raise unknown_name("datatype", datatype, DATATYPES)
    array = np.asarray(number, dtype=np.float64)
    if array.size and not (np.isfinite(array).all() and (array >= 0).all()):
        raise RangeError(
            f"count {component}.{action} of {datatype}",
            received=f"values from {np.min(array)} to {np.max(array)}",
            where=f"layer {layer!r}",
            allowed="finite numbers >= 0",
            fix="check the activity that was given (rates and zero fractions)",
        )
    if bits <= 0:
        raise RangeError(
            f"count {component}.{action}", received=f"{bits} bits", allowed="bits >= 1"
        )
    return Entry(layer, component, action, datatype, int(bits), array, capacity_bytes, part)


def combine(many: Iterable[ActionCounts]) -> ActionCounts:
    """Concatenate counts (of the layers of a network, or of the terms of a model)."""
    items = list(many)
    if not items:
        return ActionCounts(())
    routes = {item.route for item in items}

    def union(name: str) -> tuple[str, ...]:
        return tuple(dict.fromkeys(text for item in items for text in getattr(item, name)))

    return ActionCounts(
        entries=tuple(entry for item in items for entry in item.entries),
        route=items[0].route if len(routes) == 1 else "mixed",
        model=" + ".join(dict.fromkeys(item.model for item in items if item.model)),
        assumptions=union("assumptions"),
        out_of_range=union("out_of_range"),
        sources=union("sources"),
    )
