"""When is an event-driven layer faster than a dense one? Measured costs, and the decision.

A layer of P output places, with weight rows of ``vectors`` 32-byte vectors, whose active inputs
reach R rows in a step, takes

    event   P idle + touched (place + place_vector vectors)
            + R row + vectors (R near + min(R, K / slots) (far - near))
    dense   P (place + place_vector vectors) + blocks (block + product K)
            + stream (bytes beyond the second cache) units

Event path: ``touched`` of the P places get an event, P (1 - exp(-R / P)) of them if the events lie
anywhere; those in clusters reach fewer. The cost of a vector depends on how far from the processor
the weights lie, and is interpolated over the logarithm of their size: ``near`` is that of a block
of channels, which the kernels finish for all places before the next one begins, ``far`` that of all
weights, from where each of the K rows has to come once per call of ``slots`` slots.

Dense path: blocks of 6 places and 16 outputs, K inputs; the weights are read once per unit of 48
places. The places of all slots (samples x steps) of a call fill the blocks together, so the dense
path of a linear layer, which has one place per slot, is cheap only if several slots take it; the
costs of a slot are those if all slots of the call go the same way.

Times are in nanoseconds. The constants come from :func:`calibrate`, which times the very kernels.
The engine takes the smaller of the two for every layer, step and sample. The costs of places
include those of the neurons behind them, soft reset and the first steps of a run, where the event
path computes neurons without events only once.
"""

from __future__ import annotations

import json
import math
import os
import platform
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path

import llvmlite
import numba

from tospike.errors import DataError
from tospike.kernels.spiking.intrinsics import PIXELS, UNIT_PIXELS
from tospike.kernels.spiking.packed import BLOCK_BYTES, PackedSynapses
from tospike.kernels.spiking.places import INT16

#: outputs that are never reached, for a layer that is event-driven at any number of rows
ALWAYS = 1 << 62


@dataclass(frozen=True)
class EventCost:
    """Nanoseconds of the event path: per output place, per place with events, per row of weights.

    place_vector, row_vector : more for each vector of the outputs; the latter as (bytes of the
        weights, ns), by size.
    """

    idle: float
    place: float
    place_vector: float
    row: float
    row_vector: tuple[tuple[float, float], ...]

    def vector(self, size: float) -> float:
        """To add a vector of weights of ``size`` bytes in all."""
        return _between(self.row_vector, size)

    def touched(self, touched: float, vectors: float) -> float:
        """Of ``touched`` places with events, without their rows."""
        return touched * (self.place + self.place_vector * vectors)


@dataclass(frozen=True)
class Costs:
    """Costs of one machine. ``events``: by kind of rows, "spikes", "int16", "values", "grouped".

    place, place_vector, block, product, stream : ns of the dense path, see above. machine :
        :func:`fingerprint`.
    """

    events: Mapping[str, EventCost]
    place: float
    place_vector: float
    block: float
    product: float
    stream: float
    machine: str

    def event_ns(self, packed: PackedSynapses, kind: str, rows: float, slots: int = 1) -> float:
        """Event path of one slot of a layer with ``rows`` rows to add, if ``slots`` are like it."""
        cost, places = self.events[kind], math.prod(packed.geometry.out_size)
        vectors, size = packed.lanes * int(packed.rows.itemsize) / 32, int(packed.rows.nbytes)
        touched = -places * math.expm1(-rows / places)
        near, far = cost.vector(packed.near_bytes(slots)), cost.vector(size)
        fetched = min(rows, len(packed.rows) / slots)
        added = rows * cost.row + vectors * (rows * near + fetched * (far - near))
        return float(places * cost.idle + cost.touched(touched, vectors) + added)

    def dense_ns(self, packed: PackedSynapses, slots: int = 1) -> float:
        """Dense path of one slot of a layer, when ``slots`` of them take it."""
        panels, inputs = packed.panels.shape[:2]
        places = slots * math.prod(packed.geometry.out_size)
        blocks, units = panels * math.ceil(places / PIXELS), math.ceil(places / UNIT_PIXELS)
        beyond = units * max(0, packed.panels.nbytes - BLOCK_BYTES)
        multiplied = blocks * (self.block + self.product * inputs) + self.stream * beyond
        floats = packed.geometry.outputs / 8
        return float(places * (self.place + self.place_vector * floats) + multiplied) / slots

    def limit(self, packed: PackedSynapses, kind: str, slots: int = 1) -> int:
        """Synaptic operations of a slot up to which the event path is not slower."""
        g, dense = packed.geometry, self.dense_ns(packed, slots)
        none, all_ = 0, math.prod(g.out_size) * g.taps * g.channels // g.groups
        if self.event_ns(packed, kind, none, slots) > dense:
            return -1
        if self.event_ns(packed, kind, all_, slots) <= dense:
            return ALWAYS
        # the cost grows with the rows: they are the last below the dense path
        while all_ - none > 1:
            middle = (none + all_) // 2
            if self.event_ns(packed, kind, middle, slots) <= dense:
                none = middle
            else:
                all_ = middle
        return none * (g.outputs // g.groups)


def kind_of(packed: PackedSynapses, spikes: bool) -> str:
    """Which of :attr:`Costs.events` a layer is; ``spikes``: its inputs are spikes."""
    if packed.geometry.groups > 1:
        return "grouped"
    if packed.row_kind == INT16:
        return "int16"
    return "spikes" if spikes else "values"


def _between(table: tuple[tuple[float, float], ...], size: float) -> float:
    """Linear over log2(size), constant beyond the ends."""
    if size <= table[0][0]:
        return table[0][1]
    for (low, first), (high, second) in pairwise(table):
        if size <= high:
            share = math.log2(size / low) / math.log2(high / low)
            return first + share * (second - first)
    return table[-1][1]


def fingerprint() -> str:
    """What the costs hold for: processor, cores, compiler."""
    model = platform.processor() or platform.machine()
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            names = [
                line.split(":", 1)[1].strip() for line in file if line.startswith("model name")
            ]
        model = names[0] if names else model
    except OSError:
        pass
    tools = f"numba {numba.__version__}, llvmlite {llvmlite.__version__}"
    return f"{model}, {os.cpu_count()} cores, {tools}"


#: measured by :func:`calibrate` on an AMD EPYC (Zen 3, AVX2, 32 KiB L1d, 512 KiB L2)
DEFAULT = Costs(
    {
        "spikes": EventCost(8.0, 42.0, 1.9, 0.75, ((27648, 0.12), (221184, 0.34), (2073600, 0.8))),
        "int16": EventCost(8.0, 45.0, 2.8, 0.4, ((13824, 0.16), (110592, 0.42), (1036800, 0.8))),
        "values": EventCost(8.7, 44.0, 1.9, 1.45, ((27648, 0.11), (221184, 0.32), (2073600, 0.8))),
        "grouped": EventCost(8.0, 70.0, 0.0, 5.9, ((1, 8.5),)),
    },
    place=33.0,
    place_vector=1.0,
    block=22.5,
    product=1.93,
    stream=0.008,
    machine="AMD EPYC 7003 (Zen 3)",
)


def cache_file() -> Path:
    """Where :func:`calibrate` keeps its result: ``$XDG_CACHE_HOME`` or ``~/.cache``.

    The number is that of the cost model.
    """
    root = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(root) / "tospike" / "spiking_costs_2.json"


def load(path: Path | None = None) -> Costs:
    """The costs that were measured on this machine, or :data:`DEFAULT` if none were.

    Raises
    ------
    DataError
        The file is no such file. One of another machine is not used, and is no error.
    """
    path = cache_file() if path is None else path
    try:
        text = path.read_text(encoding="utf-8")
    except OSError:
        return DEFAULT
    try:
        costs = _from_json(json.loads(text))
    except (ValueError, KeyError, TypeError) as fault:
        raise DataError(
            "read the measured costs of spiking kernels",
            received=f"{type(fault).__name__}: {fault}",
            where=str(path),
            fix="delete the file, or measure again with tospike.kernels.spiking.calibrate",
        ) from fault
    return costs if costs.machine == fingerprint() else DEFAULT


def save(costs: Costs, path: Path | None = None) -> Path:
    """To a file, by way of another so that no half of it can remain."""
    path = cache_file() if path is None else path
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(
        "w", dir=path.parent, suffix=".tmp", delete=False, encoding="utf-8"
    ) as file:
        json.dump(asdict(costs), file, indent=1)
    os.replace(file.name, path)
    return path


def _from_json(saved: dict[str, object]) -> Costs:
    events = saved["events"]
    if not isinstance(events, dict) or set(events) != {"spikes", "int16", "values", "grouped"}:
        raise ValueError("the event costs are not those of the four kinds of rows")
    found = {
        kind: EventCost(
            _number(one["idle"]), _number(one["place"]), _number(one["place_vector"]),
            _number(one["row"]),
            tuple((_number(size), _number(ns)) for size, ns in one["row_vector"]),
        )
        for kind, one in events.items()
    }  # fmt: skip
    if not all(one.row_vector for one in found.values()):
        raise ValueError("row_vector is empty")
    dense = {
        name: _number(saved[name])
        for name in ("place", "place_vector", "block", "product", "stream")
    }
    return Costs(found, **dense, machine=str(saved["machine"]))


def _number(value: object) -> float:
    if not isinstance(value, int | float) or not math.isfinite(value) or value < 0:
        raise ValueError(f"{value!r} is no cost")
    return float(value)


__all__ = ["DEFAULT", "Costs", "EventCost", "fingerprint", "kind_of", "load", "save"]
