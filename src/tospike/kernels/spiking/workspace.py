"""``Workspace``: the buffers of a plan for some steps and samples, and the table of addresses."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from tospike.kernels.spiking import places
from tospike.kernels.spiking.intrinsics import PIXELS, UNIT_PIXELS
from tospike.kernels.spiking.packed import (
    BLOCK_SLOTS,
    LANES,
    PANEL,
    PackedPopulation,
    PackedSynapses,
    rounded_up,
)
from tospike.kernels.spiking.places import FLOATS, Place
from tospike.kernels.spiking.plan import Operation, Plan, Tensor

Longs = NDArray[np.int64]
Bytes = NDArray[np.uint8]

#: floats behind the end of a buffer that whole vectors may read
_SLACK = 64
#: parts into which the places of a sample are cut for threads
_PARTS = 8


def bytes_per_slot(plan: Plan) -> int:
    """Bytes of all buffers of one sample in one step."""
    tensors = {id(t): t for op in plan.operations for t in (op.input, op.output) if t is not None}
    return sum(t.slot_bytes for t in tensors.values())


class Workspace:
    """Everything is allocated here, once; the kernels allocate nothing.

    ``limits``: for every synapse node the operations up to which a slot goes event-driven, if the
    call has 1, 2, ..., SLOTS of them.
    """

    def __init__(
        self, plan: Plan, limits: Mapping[str, Longs], *, steps: int, samples: int, threads: int
    ) -> None:
        self.steps, self.samples = steps, samples
        self._threads = threads
        self._slots = steps * samples
        self._arrays: list[NDArray[np.generic]] = []
        self._tensors: dict[int, int] = {}
        self.potentials: dict[str, NDArray[np.float32]] = {}
        self._shared: dict[str, int] = {}
        self._scratch, self._scratch_places = self._make_scratch(plan)
        self._make_shared(plan)
        self.table = np.zeros((len(plan.operations), len(Place)), np.int64)
        for row, operation in zip(self.table, plan.operations, strict=True):
            self._fill(row, operation, limits)

    def _keep(self, array: NDArray[np.generic]) -> int:
        self._arrays.append(array)
        return int(array.ctypes.data)

    def _zeros(self, count: int, dtype: type[np.generic]) -> int:
        """Address of zeros, on a cache line."""
        size = count * np.dtype(dtype).itemsize + 4 * _SLACK + 64
        array = np.zeros(size, np.uint8)
        self._keep(array)
        return -(-int(array.ctypes.data) // 64) * 64

    def _tensor(self, tensor: Tensor) -> int:
        if id(tensor) not in self._tensors:
            slots = self.samples if tensor.constant else self._slots
            self._tensors[id(tensor)] = self._zeros(slots * tensor.slot_bytes, np.uint8)
        return self._tensors[id(tensor)]

    def _make_scratch(self, plan: Plan) -> tuple[int, dict[Place, int]]:
        """Per thread: runs, events, sums, currents of all steps, a dense block, idle neurons.

        The size beside each place is of what lies before it.
        """
        packed = [op.synapses for op in plan.operations if op.synapses is not None]
        taps = max((p.geometry.taps for p in packed), default=1) + 1
        events = max((p.geometry.taps * p.geometry.channels for p in packed), default=1) + 8
        row = max((p.geometry.out_size[1] for p in packed), default=1)
        widest = max(op.output.channels for op in plan.operations if op.output is not None)
        lanes = rounded_up(widest, LANES) + LANES
        sizes = {
            Place.EVENTS_AT: 24 * taps,
            Place.FACTORS_AT: 8 * events,
            Place.SUMS_AT: 4 * events,
            Place.WIDE_AT: 4 * lanes,
            Place.CURRENT_AT: 4 * lanes,
            Place.BLOCK_AT: 4 * lanes * self.steps,
            Place.SPARE_AT: 16 * UNIT_PIXELS + 8 * PIXELS + 4 * PIXELS * PANEL,
            Place.IDLE_AT: 4 * lanes,
            Place.IDLE_V_AT: 4 * lanes,
            Place.IDLE_BITS_AT: 4 * lanes,
            Place.TOUCHED_AT: 8 * rounded_up(lanes, 64) // 64 * self.steps,
            Place.SCRATCH_BYTES: 4 * row * (self.steps + 1),
        }
        at, where = 0, {}
        for place, before in sizes.items():
            at = -(-(at + before) // 64) * 64
            where[place] = at
        return self._zeros(at * self._threads, np.uint8), where

    def _make_shared(self, plan: Plan) -> None:
        """Buffers that live only within one layer, as large as the largest needs them."""
        need: dict[str, int] = {}
        for op in plan.operations:
            if op.kind != places.PREPARE or op.synapses is None or op.input is None:
                continue
            g, source = op.synapses.geometry, op.input
            out_stride = rounded_up(g.outputs, LANES)
            sizes = {
                "entries": 4 * source.places * source.channels,
                "values": 4 * source.places * source.channels * (source.kind == FLOATS),
                "pointers": 4 * (source.places + 1),
                "event": 8,
                "image": 4 * math.prod(g.image) * g.channels,
                "current": 4 * math.prod(g.out_size) * out_stride,
            }
            for name, size in sizes.items():
                need[name] = max(need.get(name, 0), size * self._slots)
        self._shared = {name: self._zeros(size, np.uint8) for name, size in need.items()}

    def _fill(self, row: Longs, operation: Operation, limits: Mapping[str, Longs]) -> None:
        row[Place.KIND], row[Place.CONSTANT] = operation.kind, operation.constant
        source, out = operation.input, operation.output
        if source is not None:
            row[Place.IN], row[Place.IN_KIND] = self._tensor(source), source.kind
            row[Place.IN_CONSTANT], row[Place.IN_BYTES] = source.constant, source.slot_bytes
            row[Place.P], row[Place.C] = source.places, source.channels
            row[Place.STRIDE], row[Place.WORDS] = source.stride, source.words
        if out is not None:
            row[Place.OUT], row[Place.OUT_BYTES] = self._tensor(out), out.slot_bytes
            row[Place.P_OUT], row[Place.C_OUT] = out.places, out.channels
            row[Place.STRIDE_OUT], row[Place.WORDS_OUT] = out.stride, out.words
        for place, number in operation.numbers.items():
            row[place] = number
        for place, number in self._scratch_places.items():
            row[place] = number
        row[Place.SCRATCH] = self._scratch
        if out is not None:
            row[Place.PARTS] = min(_PARTS, out.places) if self._threads > 1 else 1
        if operation.synapses is not None and source is not None:
            self._fill_synapses(row, operation.synapses, source, limits)
        if operation.neurons is not None:
            self._fill_neurons(row, operation.neurons)
        if operation.index is not None:
            row[Place.INDEX] = self._keep(operation.index)
        if operation.summands:
            parts = [
                (self._tensor(part), part.kind, int(part.constant), part.slot_bytes)
                for part in operation.summands
            ]
            row[Place.INDEX] = self._keep(np.array(parts, np.int64))
            row[Place.SUMMANDS] = len(parts)

    def _fill_synapses(
        self, row: Longs, packed: PackedSynapses, source: Tensor, limits: Mapping[str, Longs]
    ) -> None:
        for place, array in {
            Place.ROWS: packed.rows, Place.PANELS: packed.panels, Place.SCALE: packed.scale,
            Place.BIAS: packed.bias, Place.LIMITS: limits[packed.name],
            Place.FAN_OUT: packed.fan_out, Place.OFFSETS: packed.offsets,
        }.items():  # fmt: skip
            row[place] = self._keep(array)
        for name, address in self._shared.items():
            row[Place[name.upper()]] = address
        row[Place.BLOCK], row[Place.BLOCKS] = packed.block, packed.blocks
        # several threads share a layer of one place by its blocks
        row[Place.BLOCKS_FROM] = BLOCK_SLOTS if self._threads == 1 else 1
        row[Place.ENTRY_ROOM] = source.places * source.channels
        row[Place.IMAGE_BYTES] = 4 * math.prod(packed.geometry.image) * packed.geometry.channels

    def _fill_neurons(self, row: Longs, packed: PackedPopulation) -> None:
        if packed.name not in self.potentials:
            shape = (self.samples, math.prod(packed.shape[1:]), packed.initial.shape[1])
            self.potentials[packed.name] = np.zeros(shape, np.float32)
        row[Place.V] = self.potentials[packed.name].ctypes.data
        for place, array in {
            Place.THRESHOLD: packed.threshold, Place.DECAY: packed.decay,
            Place.GAIN: packed.gain, Place.RESET: packed.reset, Place.INITIAL: packed.initial,
        }.items():  # fmt: skip
            row[place] = self._keep(array)
        lanes = packed.initial.shape[1]
        row[Place.INITIAL_STRIDE] = lanes if len(packed.initial) > 1 else 0
        row[Place.PARAMETER_STRIDE] = packed.stride
        row[Place.RESET_KIND] = packed.reset_kind
