"""``calibrate``: times the kernels of both paths on this machine, in a second or two."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

import numpy as np

from tospike.kernels.spiking.costs import Costs, EventCost, fingerprint, save
from tospike.kernels.spiking.execute import execute, unit_address
from tospike.kernels.spiking.places import MULTIPLY, PREPARE, SLOTS, SYNAPSES, Frame
from tospike.kernels.spiking.plan import plan
from tospike.kernels.spiking.record import INPUT, Node, Population, SpikingNetwork, Synapses
from tospike.kernels.spiking.workspace import Workspace

#: (inputs, outputs) of 3 x 3 convolutions on 8 x 8 places: rows in L1, L2 and beyond
_WIDE = ((12, 64), (96, 64), (900, 64))
_NARROW = (12, 16)
_SIDE = 8
#: share of active inputs that is timed, beside none
_DENSITY = 0.5
_EVENT, _DENSE = 1 << 62, -1
_ROUNDS = 3


class _Layer:
    """One convolution without neurons, ready to be timed."""

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
        nodes: tuple[Node, ...] = (node,) if kind == "values" else (relay, node)
        self._plan = plan(SpikingNetwork(shape, nodes, constant_input=False))
        packed = next(op.synapses for op in self._plan.operations if op.synapses is not None)
        self.packed = packed
        self.places = _SIDE * _SIDE
        self.vectors = packed.lanes * packed.rows.itemsize / 32
        self._random = rng

    def seconds(self, density: float, limit: int) -> tuple[float, float]:
        """(shortest time of the layer alone, rows that its events reach)."""
        limits = {"layer": np.full(SLOTS, limit)}
        space = Workspace(self._plan, limits, steps=1, samples=1, threads=1)
        inputs = self.packed.geometry.channels
        x = (self._random.random((inputs, _SIDE, _SIDE)) < density).astype(np.float32)
        statistics, paths = np.zeros(4, np.int64), np.zeros(4, np.uint8)
        out = np.zeros(self.packed.geometry.outputs * self.places)
        frame = np.zeros(len(Frame), np.int64)
        addresses = tuple(a.ctypes.data for a in (x, out, statistics, paths))
        # in the order of Frame
        frame[:] = (1, 1, 1, 1, 0, 0, *addresses, 0, 1, 1, 0, 1)
        execute(space.table, frame, 0, unit_address())
        kinds = [op.kind in (PREPARE, MULTIPLY, SYNAPSES) for op in self._plan.operations]
        table = np.ascontiguousarray(space.table[kinds])
        unit = unit_address()
        shortest = _shortest(lambda: execute(table, frame, 0, unit))
        operations = int(statistics[len(self._plan.populations)])
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


def _measured(layers: list[_Layer]) -> list[tuple[float, float]]:
    """Nanoseconds (per idle place, per row) of every layer; in turns, as machines have moods."""
    idle, busy, rows = [math.inf] * len(layers), [math.inf] * len(layers), [1.0] * len(layers)
    for _ in range(_ROUNDS):
        for k, layer in enumerate(layers):
            idle[k] = min(idle[k], layer.seconds(0.0, _EVENT)[0])
            # every round draws other events, but about as many
            seconds, reached = layer.seconds(_DENSITY, _EVENT)
            if seconds < busy[k]:
                busy[k], rows[k] = seconds, reached
    return [
        (1e9 * nothing / layer.places, max(0.0, 1e9 * (something - nothing) / reached))
        for layer, nothing, something, reached in zip(layers, idle, busy, rows, strict=True)
    ]


def _event_cost(kind: str) -> EventCost:
    layers = [_Layer(*size, kind) for size in (_NARROW, *_WIDE)]
    found = _measured(layers)
    narrow, apart = layers[0].vectors, layers[1].vectors - layers[0].vectors
    place_vector = max(0.0, (found[1][0] - found[0][0]) / apart)
    row_vector = max(0.0, (found[1][1] - found[0][1]) / apart)
    row = max(0.0, found[0][1] - row_vector * narrow)
    table = tuple(
        (float(layer.packed.rows.nbytes), max(0.0, per_row - row) / layer.vectors)
        for layer, (_, per_row) in zip(layers[1:], found[1:], strict=True)
    )
    return EventCost(max(0.0, found[0][0] - place_vector * narrow), place_vector, row, table)


def _grouped_cost() -> EventCost:
    """Depthwise, and 16 outputs per group; here a vector is 8 of them."""
    layers = [_Layer(16, 16 * outputs, "spikes", groups=16) for outputs in (1, 16)]
    (idle, narrow), (_, wide) = _measured(layers)
    few, many = (layer.vectors for layer in layers)
    vector = max(0.0, (wide - narrow) / (many - few))
    return EventCost(idle, 0.0, max(0.0, narrow - vector * few), ((1.0, vector),))


def calibrate(*, keep: bool = True) -> Costs:
    """Measures the costs of both paths; with ``keep``, for all engines of this user from now on.

    One thread. On a busy machine the shortest of many repetitions is taken.
    """
    events = {kind: _event_cost(kind) for kind in ("spikes", "int16", "values")}
    events["grouped"] = _grouped_cost()
    dense = []
    for size in _WIDE[:2]:
        layer = _Layer(*size, "spikes")
        seconds = min(layer.seconds(_DENSITY, _DENSE)[0] for _ in range(_ROUNDS))
        panels, inputs = layer.packed.panels.shape[:2]
        dense.append((1e9 * seconds / (panels * layer.places / 6), inputs))
    (small, few), (large, many) = dense
    product = max(0.0, (large - small) / (many - few))
    costs = Costs(events, max(0.0, small - product * few), product, fingerprint())
    if keep:
        save(costs)
    return costs
