"""All operations of a call in one compiled function, by one thread or shared by several.

The thread that executes publishes the units of one operation after the other; whoever is free takes
the next one. Helpers may come late, or never: then the first thread does everything.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numba import cfunc, njit, types

from tospike.kernels.delta.atomics import give_way, load, store, take
from tospike.kernels.delta.intrinsics import carray, pointer
from tospike.kernels.spiking import basic
from tospike.kernels.spiking.basic import IN_CONSTANT, P_OUT, SAMPLES, STEPS
from tospike.kernels.spiking.intrinsics import UNIT_PIXELS, call, increment
from tospike.kernels.spiking.neurons import blocks_of, fire_places, fused_places, synapse_places
from tospike.kernels.spiking.places import (
    ADD,
    COPY_INPUT,
    COUNT,
    FIRE,
    MULTIPLY,
    OUTPUT,
    PERMUTE,
    POOL_BITS,
    POOL_FLOATS,
    PREPARE,
    SYNAPSES,
    UNPACK,
    Frame,
    Place,
)
from tospike.kernels.spiking.synapses import dense_slots, multiply_pixels, prepare

KIND, CONSTANT, FIRES, PARTS, SCRATCH, SCRATCH_BYTES = (
    int(Place.KIND), int(Place.CONSTANT), int(Place.FIRES), int(Place.PARTS),
    int(Place.SCRATCH), int(Place.SCRATCH_BYTES),
)  # fmt: skip
BAD, SKIP_CONSTANT = int(Frame.BAD), int(Frame.SKIP_CONSTANT)

#: control words, in bytes, a cache line each: the call, the next unit to take, the first that is
#: not published, how many are done, the operation and the number of its first unit. All only grow
#: but the last two.
GENERATION, NEXT, LIMIT, DONE, OPERATION, FIRST = (64 * k for k in range(6))
CONTROL_WORDS = 6 * 8
_PATIENCE = 1000
_I64 = np.int64(0)
_ROW, _FRAME = len(Place), len(Frame)
#: compiled functions whose addresses are in use
_kept: list[Any] = []

_njit = njit(cache=True, nogil=True, boundscheck=False, error_model="numpy")


@_njit
def units(row, frame):  # type: ignore[no-untyped-def]
    """Units of an operation that can run at the same time."""
    kind = row[KIND]
    if kind in (SYNAPSES, FIRE):
        # block by block, so that the weights of one meet all samples and places
        return max(1, blocks_of(row, frame)) * frame[SAMPLES] * row[PARTS]
    if kind == MULTIPLY:
        return -(-dense_slots(row, frame) * row[P_OUT] // UNIT_PIXELS)
    if kind == OUTPUT or row[IN_CONSTANT]:
        return frame[SAMPLES]
    return frame[STEPS] * frame[SAMPLES]


def run_unit(row_at, frame_at, unit, thread):  # type: ignore[no-untyped-def]
    """One unit, by one thread; a row of the table and the frame by their addresses."""
    row, frame = carray(pointer(row_at, _I64), _ROW), carray(pointer(frame_at, _I64), _FRAME)
    kind, samples = row[KIND], frame[SAMPLES]
    scratch = row[SCRATCH] + thread * row[SCRATCH_BYTES]
    if kind in (SYNAPSES, FIRE):
        parts = row[PARTS]
        n, part = unit // parts % samples, unit % parts
        block = unit // parts // samples
        first, last = row[P_OUT] * part // parts, row[P_OUT] * (part + 1) // parts
        if kind == FIRE:
            fire_places(row, frame, n, first, last, scratch)
        elif row[FIRES]:
            fused_places(row, frame, n, first, last, block, scratch)
        else:
            synapse_places(row, frame, n, first, last, block, scratch)
        return
    if kind == MULTIPLY:
        last = min((unit + 1) * UNIT_PIXELS, dense_slots(row, frame) * row[P_OUT])
        multiply_pixels(row, unit * UNIT_PIXELS, last, scratch)
        return
    t, n = unit // samples, unit % samples
    if kind == PREPARE:
        prepare(row, frame, t, n)
    elif kind == COPY_INPUT:
        basic.copy_input(row, frame, t, n)
    elif kind == COUNT:
        basic.count(row, frame, t, n)
    elif kind == POOL_BITS:
        basic.pool_bits(row, frame, t, n)
    elif kind == POOL_FLOATS:
        basic.pool_floats(row, frame, t, n)
    elif kind == UNPACK:
        basic.unpack(row, frame, t, n)
    elif kind == PERMUTE:
        basic.permute(row, frame, t, n)
    elif kind == ADD:
        basic.add(row, frame, t, n)
    elif kind == OUTPUT:
        basic.output(row, frame, n)


@cache
def unit_address() -> int:
    """Address of :func:`run_unit` in machine code, compiled at the first call."""
    signature = types.void(types.int64, types.int64, types.int64, types.int64)
    compiled = cfunc(signature, cache=True, error_model="numpy")(run_unit)
    _kept.append(compiled)
    return int(compiled.address or 0)


@_njit
def execute(table, frame, control, function):  # type: ignore[no-untyped-def]
    """All operations; control: address of the control words, 0 if alone; ``function``: of a unit.

    Stops after the input if that is not finite.
    """
    for operation in range(table.shape[0]):
        row = table[operation]
        if row[CONSTANT] and frame[SKIP_CONSTANT]:
            continue
        n = units(row, frame)
        if control == 0 or n == 1:
            for unit in range(n):
                call(function, row.ctypes.data, frame.ctypes.data, unit, 0)
        else:
            _share(row, frame, operation, n, control, function)
        if row[KIND] == COPY_INPUT and frame[BAD]:
            return


@_njit
def _share(row, frame, operation, n, control, function):  # type: ignore[no-untyped-def]
    begin = load(control + LIMIT)
    end = begin + n
    store(control + OPERATION, operation)
    store(control + FIRST, begin)
    store(control + LIMIT, end)
    unit = load(control + NEXT)
    while unit < end:
        if take(control + NEXT, unit):
            call(function, row.ctypes.data, frame.ctypes.data, unit - begin, 0)
            increment(control + DONE)
        unit = load(control + NEXT)
    idle = 0
    while load(control + DONE) < end:
        idle += 1
        if idle > _PATIENCE:
            give_way()


@_njit
def assist(table, frame, words, generation, thread, function):  # type: ignore[no-untyped-def]
    """What a helper does until the call with this generation is over. words: control words."""
    control = words.ctypes.data
    idle = 0
    while load(control + GENERATION) == generation:
        unit = load(control + NEXT)
        if unit < load(control + LIMIT) and take(control + NEXT, unit):
            row = table[load(control + OPERATION)]
            number = unit - load(control + FIRST)
            call(function, row.ctypes.data, frame.ctypes.data, number, thread)
            increment(control + DONE)
            idle = 0
        else:
            idle += 1
            if idle > _PATIENCE:
                give_way()
