"""When is an event-driven layer faster than a dense one? Measured costs, and the decision.

A layer of P output places, with weight rows of ``vectors`` 32-byte vectors, whose active inputs
reach R rows in a step, takes

    event   P (place + place_vector vectors) + R (row + row_vector(bytes) vectors)
    dense   blocks (block + product K)                 blocks of 6 places and 16 outputs, K inputs

The places of all slots (samples x steps) of a call fill the blocks together, so the dense path of a
linear layer, which has one place per slot, is cheap only if several slots take it; the costs of a
slot are those if all slots of the call go the same way. Times are in
nanoseconds; K = inputs of an output. The constants come from :func:`calibrate`, which times the
very kernels; ``row_vector`` depends on how far from the processor the weights lie, and is
interpolated over the logarithm of their size. The engine takes the smaller of the two for every
layer, step and sample. The neurons behind cost the same on both ways.
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
from tospike.kernels.spiking.packed import PackedSynapses
from tospike.kernels.spiking.places import INT16

#: places of a block of the dense path
_PLACES = 6
#: outputs that are never reached, for a layer that is event-driven at any number of rows
ALWAYS = 1 << 62


@dataclass(frozen=True)
class EventCost:
    """Nanoseconds of the event path: per output place, per row, per vector of a row.

    row_vector : (bytes of all rows, ns per vector), by size.
    """

    place: float
    place_vector: float
    row: float
    row_vector: tuple[tuple[float, float], ...]

    def nanoseconds(self, places: int, vectors: float, size: float, rows: float) -> float:
        """A layer of ``places`` whose rows of ``vectors`` fill ``size`` bytes, ``rows`` of them."""
        per_row = self.row + _between(self.row_vector, size) * vectors
        return places * (self.place + self.place_vector * vectors) + rows * per_row


@dataclass(frozen=True)
class Costs:
    """Costs of one machine. ``events``: by kind of rows, "spikes", "int16", "values", "grouped".

    block, product : ns of the dense path, see above. machine : :func:`fingerprint`.
    """

    events: Mapping[str, EventCost]
    block: float
    product: float
    machine: str

    def event_ns(self, packed: PackedSynapses, kind: str, rows: float) -> float:
        """Event path of one step of a layer with ``rows`` rows to add."""
        vectors = packed.lanes * int(packed.rows.itemsize) / 32
        places = math.prod(packed.geometry.out_size)
        return self.events[kind].nanoseconds(places, vectors, packed.rows.nbytes, rows)

    def dense_ns(self, packed: PackedSynapses, slots: int = 1) -> float:
        """Dense path of one slot of a layer, when ``slots`` of them take it."""
        panels, inputs = packed.panels.shape[:2]
        blocks = panels * math.ceil(slots * math.prod(packed.geometry.out_size) / _PLACES)
        return float(blocks * (self.block + self.product * inputs) / slots)

    def limit(self, packed: PackedSynapses, kind: str, slots: int = 1) -> int:
        """Synaptic operations of a slot up to which the event path is not slower."""
        nothing, dense = self.event_ns(packed, kind, 0), self.dense_ns(packed, slots)
        per_row = self.event_ns(packed, kind, 1) - nothing
        if per_row <= 0:
            return ALWAYS if nothing <= dense else -1
        outputs = packed.geometry.outputs // packed.geometry.groups
        return math.floor((dense - nothing) / per_row) * outputs if nothing <= dense else -1


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
        "spikes": EventCost(64.0, 0.33, 0.5, ((27648, 0.20), (221184, 0.40), (2073600, 0.80))),
        "int16": EventCost(64.0, 1.10, 0.5, ((13824, 0.22), (110592, 0.42), (1036800, 0.80))),
        "values": EventCost(80.0, 0.30, 0.8, ((27648, 0.20), (221184, 0.36), (2073600, 0.90))),
        "grouped": EventCost(87.0, 0.0, 6.4, ((1, 9.0),)),
    },
    block=50.0,
    product=2.06,
    machine="AMD EPYC 7003 (Zen 3)",
)


def cache_file() -> Path:
    """Where :func:`calibrate` keeps its result: ``$XDG_CACHE_HOME`` or ``~/.cache``."""
    root = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(root) / "tospike" / "spiking_costs.json"


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
            _number(one["place"]), _number(one["place_vector"]), _number(one["row"]),
            tuple((_number(size), _number(ns)) for size, ns in one["row_vector"]),
        )
        for kind, one in events.items()
    }  # fmt: skip
    if not all(one.row_vector for one in found.values()):
        raise ValueError("row_vector is empty")
    return Costs(found, _number(saved["block"]), _number(saved["product"]), str(saved["machine"]))


def _number(value: object) -> float:
    if not isinstance(value, int | float) or not math.isfinite(value) or value < 0:
        raise ValueError(f"{value!r} is no cost")
    return float(value)


__all__ = ["DEFAULT", "Costs", "EventCost", "fingerprint", "kind_of", "load", "save"]
