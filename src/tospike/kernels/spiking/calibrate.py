"""``calibrate``: times the kernels of both paths on this machine, in a second or two."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from tospike.kernels.spiking.costs import Costs, EventCost, fingerprint, save
from tospike.kernels.spiking.execute import execute, unit_address
from tospike.kernels.spiking.intrinsics import PIXELS, UNIT_PIXELS
from tospike.kernels.spiking.packed import BLOCK_BYTES
from tospike.kernels.spiking.places import MULTIPLY, PREPARE, SLOTS, SYNAPSES, Frame
from tospike.kernels.spiking.plan import plan
from tospike.kernels.spiking.record import INPUT, Node, Population, SpikingNetwork, Synapses
from tospike.kernels.spiking.workspace import Workspace

#: (inputs, outputs) of 3 x 3 convolutions on 8 x 8 places: rows in L1, L2 and beyond
_WIDE = ((12, 64), (96, 64), (900, 64))
_NARROW = (12, 16)
_SIDE = 8
#: share of active inputs that is timed, beside none and _FEW per place
_DENSITY, _FEW = 0.5, 6
_STEPS = 4
_EVENT, _DENSE = 1 << 62, -1
_ROUNDS = 3


class _Layer:
    """One convolution with neurons behind it, ready to be timed."""

    def __init__(self, inputs: int, outputs: int, kind: str, groups: int = 1) -> None:
        rng = np.random.default_rng(0)
        shape = (inputs, _SIDE, _SIDE)
        one, zero = np.ones((), np.float32), np.zeros((), np.float32)
        exact = kind == "int16"
        drawn = rng.integers(-9, 9, (outputs, inputs // groups, 3, 3))
        weight = drawn.astype(np.int8) if exact else drawn.astype(np.float32)
        relay = Population("relay", (INPUT,), shape, one, one, one, zero)
        node = Synapses(
            "layer", (INPUT if kind == "values" else "relay",), "conv",
            weight, shape, (outputs, _SIDE, _SIDE),
            scale=np.ones(outputs, np.float32) if exact else None, stride=(1, 1), padding=(1, 1),
            dilation=(1, 1), groups=groups,
        )  # fmt: skip
        behind = Population("behind", ("layer",), tuple(node.out_shape), one, one, one, zero)
        nodes: tuple[Node, ...] = (node, behind) if kind == "values" else (relay, node, behind)
        self._plan = plan(SpikingNetwork(shape, nodes, constant_input=False))
        packed = next(op.synapses for op in self._plan.operations if op.synapses is not None)
        self.packed = packed
        self.places = _SIDE * _SIDE
        self.vectors = packed.lanes * packed.rows.itemsize / 32
        self._random = rng

    def seconds(
        self, density: float, limit: int, parts: tuple[int, ...] = (PREPARE, MULTIPLY, SYNAPSES)
    ) -> tuple[float, float]:
        """(shortest time of these parts in one slot of the layer, rows that its events reach)."""
        limits = {"layer": np.full(SLOTS, limit)}
        space = Workspace(self._plan, limits, steps=_STEPS, samples=1, threads=1)
        inputs = self.packed.geometry.channels
        x = (self._random.random((_STEPS, inputs, _SIDE, _SIDE)) < density).astype(np.float32)
        statistics = np.zeros((4, _STEPS), np.int64)
        paths = np.zeros((4, _STEPS), np.uint8)
        out = np.zeros(_STEPS * self.packed.geometry.outputs * self.places)
        frame = np.zeros(len(Frame), np.int64)
        addresses = tuple(a.ctypes.data for a in (x, out, statistics, paths))
        # in the order of Frame
        frame[:] = (_STEPS, 1, _STEPS, 1, 0, 0, *addresses, 0, 1, 1, 0, 1)
        execute(space.table, frame, 0, unit_address())
        kinds = [op.kind in parts for op in self._plan.operations]
        table = np.ascontiguousarray(space.table[kinds])
        unit = unit_address()
        shortest = _shortest(lambda: execute(table, frame, 0, unit)) / _STEPS
        operations = int(statistics[len(self._plan.populations)].sum()) / _STEPS
        outputs = self.packed.geometry.outputs // self.packed.geometry.groups
        return shortest, operations / outputs


def _shortest(work: Callable[[], object], budget: float = 0.01) -> float:
    """Seconds of the fastest of many calls: what disturbs a call only makes it longer."""
    best, end = math.inf, time.perf_counter() + budget
    calls = 0
    while calls < 5 or time.perf_counter() < end:
        start = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - start)
        calls += 1
    return best


@dataclass(frozen=True)
class _Found:
    """Nanoseconds per place, per place with events, per row."""

    idle: float
    place: float
    row: float


def _measured(layers: list[_Layer]) -> list[_Found]:
    """Of every layer, from no, few and many events; in turns, as machines have moods."""
    # (seconds, rows) of the fastest round: every round draws other events, but about as many
    found = [[(math.inf, 0.0)] * 3 for _ in layers]
    for _ in range(_ROUNDS):
        for layer, best in zip(layers, found, strict=True):
            inputs = layer.packed.panels.shape[1]
            for k, density in enumerate((0.0, min(_DENSITY / 2, _FEW / inputs), _DENSITY)):
                best[k] = min(best[k], layer.seconds(density, _EVENT))
    costs = []
    for layer, ((idle, _), (few, some), (many, rows)) in zip(layers, found, strict=True):
        row = max(0.0, many - few) / (rows - some)
        touched = -layer.places * math.expm1(-some / layer.places)
        place = max(0.0, few - idle - some * row) / touched
        costs.append(_Found(1e9 * idle / layer.places, 1e9 * place, 1e9 * row))
    return costs


def _event_cost(kind: str) -> EventCost:
    layers = [_Layer(*size, kind) for size in (_NARROW, *_WIDE)]
    found = _measured(layers)
    narrow, apart = layers[0].vectors, layers[1].vectors - layers[0].vectors
    place_vector = max(0.0, (found[1].place - found[0].place) / apart)
    row_vector = max(0.0, (found[1].row - found[0].row) / apart)
    row = max(0.0, found[0].row - row_vector * narrow)
    table = tuple(
        (float(layer.packed.rows.nbytes), max(0.0, one.row - row) / layer.vectors)
        for layer, one in zip(layers[1:], found[1:], strict=True)
    )
    place = max(0.0, found[0].place - place_vector * narrow)
    return EventCost(found[0].idle, place, place_vector, row, table)


def _grouped_cost() -> EventCost:
    """Depthwise, and 16 outputs per group; here a vector is 8 of them."""
    layers = [_Layer(16, 16 * outputs, "spikes", groups=16) for outputs in (1, 16)]
    one, other = _measured(layers)
    few, many = (layer.vectors for layer in layers)
    vector = max(0.0, (other.row - one.row) / (many - few))
    row = max(0.0, one.row - vector * few)
    return EventCost(one.idle, one.place, 0.0, row, ((1.0, vector),))


def _dense_cost() -> dict[str, float]:
    """Of the places, of products with weights in the first caches, and what those beyond add."""
    layers = [_Layer(*size, "spikes") for size in (_NARROW, *_WIDE)]

    def shortest(layer: _Layer, *parts: int) -> float:
        return 1e9 * min(layer.seconds(_DENSITY, _DENSE, parts)[0] for _ in range(_ROUNDS))

    narrow, wide = (shortest(layer, PREPARE, SYNAPSES) / layer.places for layer in layers[:2])
    place_vector = max(0.0, wide - narrow) / (layers[1].vectors - layers[0].vectors)
    blocks = []
    for layer in layers[1:]:
        panels, inputs = layer.packed.panels.shape[:2]
        blocks.append((shortest(layer, MULTIPLY) * PIXELS / (panels * layer.places), inputs))
    (small, few), (large, many), (all_, most) = blocks
    product = max(0.0, (large - small) / (many - few))
    block = max(0.0, small - product * few)
    # more than expected, over the bytes that a block of places has to fetch
    weights = layers[-1].packed.panels
    fetched = (weights.nbytes - BLOCK_BYTES) / len(weights) * PIXELS / UNIT_PIXELS
    return {
        "place": max(0.0, narrow - place_vector * layers[0].vectors),
        "place_vector": place_vector,
        "block": block,
        "product": product,
        "stream": max(0.0, all_ - block - product * most) / fetched,
    }


def calibrate(*, keep: bool = True) -> Costs:
    """Measures the costs of both paths; with ``keep``, for all engines of this user from now on.

    One thread. On a busy machine the shortest of many repetitions is taken.
    """
    events = {kind: _event_cost(kind) for kind in ("spikes", "int16", "values")}
    events["grouped"] = _grouped_cost()
    costs = Costs(events, **_dense_cost(), machine=fingerprint())
    if keep:
        save(costs)
    return costs
