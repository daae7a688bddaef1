"""The sums of active columns of one step, or products of many, by one thread or shared by two.

The thread that runs the steps publishes four parts (two matrices, two halves of the rows; or four
quarters of the rows of a product); whoever is free takes the next one. The helper may come late, or
never: then the first thread does all four. So nothing waits for a thread that may not be there, and
a wait lasts one part at most.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from tospike.kernels.delta import places
from tospike.kernels.delta.atomics import give_way, increment, load, store, take
from tospike.kernels.delta.columns import add_rows, add_rows_exact
from tospike.kernels.delta.intrinsics import BLOCK, carray, pointer
from tospike.kernels.delta.places import (
    BFLOAT16,
    BOTH,
    EXACT,
    FLOAT16,
    FLOAT32,
    LINEAR,
    MANY_STEPS,
)
from tospike.kernels.delta.products import PANEL, multiply

#: control words, in bytes: a cache line each. A call of the engine is a generation; NEXT is the
#: next part to take, LIMIT the first that is not published, DONE how many are finished, LEVEL the
#: layer of the published ones. All only grow but LEVEL.
GENERATION, NEXT, LIMIT, DONE, LEVEL = (64 * k for k in range(5))
CONTROL_WORDS = 5 * 8
PARTS = 4
_PATIENCE = 1000

_F32, _I8, _I16, _I32 = np.float32(0), np.int8(0), np.int16(0), np.int32(0)
_I64, _U16 = np.int64(0), np.uint16(0)


@njit(cache=True, nogil=True, boundscheck=False)
def add_part(place, matrix, first, last):  # type: ignore[no-untyped-def]
    """Sums of the rows from ``first`` to ``last`` for the inputs (matrix 0) or the states (1)."""
    counts = carray(pointer(place[places.COUNTS], _I64), 2)
    inputs, size, rows = place[places.INPUTS], place[places.HIDDEN], place[places.ROWS]
    room, storage, n = max(inputs, size) + 16, place[places.STORAGE], counts[matrix]
    if matrix == 0:
        address, sums, shape = place[places.WEIGHTS_X], place[places.SUMS_X], (inputs, rows)
        where, what = place[places.INDEX], place[places.DELTA]
    else:
        address, sums, shape = place[places.WEIGHTS_H], place[places.SUMS_H], (size, rows)
        where, what = place[places.INDEX_H], place[places.DELTA_H]
    index = carray(pointer(where, _I64), room)
    if storage == EXACT:
        add_rows_exact(
            carray(pointer(address, _I8), shape), index, carray(pointer(what, _I16), room), n,
            carray(pointer(sums, _I32), rows), first, last,
        )  # fmt: skip
        return
    delta, total = carray(pointer(what, _F32), room), carray(pointer(sums, _F32), rows)
    if storage == FLOAT32:
        add_rows(carray(pointer(address, _F32), shape), index, delta, n, total, first, last)
    elif storage == FLOAT16:
        add_rows(carray(pointer(address, _I16), shape), index, delta, n, total, first, last)
    elif storage == BFLOAT16:
        add_rows(carray(pointer(address, _U16), shape), index, delta, n, total, first, last)
    else:
        add_rows(carray(pointer(address, _I8), shape), index, delta, n, total, first, last)


@njit(cache=True, nogil=True, boundscheck=False)
def _numbered(place, part):  # type: ignore[no-untyped-def]
    """Part 0 to 3."""
    rows, work = place[places.ROWS], place[places.WORK]
    if work == MANY_STEPS:
        blocks = rows // BLOCK
        first, last = blocks * part // PARTS * BLOCK, blocks * (part + 1) // PARTS * BLOCK
        multiply(place, place[places.PANELS] + 4 * PANEL * part, first, last)
        return
    half = rows // 2 // BLOCK * BLOCK
    wanted = work == BOTH if part < 2 else place[places.KIND] != LINEAR
    if wanted:
        if part % 2 == 0:
            add_part(place, part // 2, 0, half)
        else:
            add_part(place, part // 2, half, rows)


@njit(cache=True, nogil=True, boundscheck=False)
def add_all(table, level, control):  # type: ignore[no-untyped-def]
    """What WORK of a layer says; ``control``: address of the control words, 0 without a helper."""
    place = table[level]
    if control == 0:
        work = place[places.WORK]
        if work == MANY_STEPS:
            multiply(place, place[places.PANELS], 0, place[places.ROWS])
            return
        if work == BOTH:
            add_part(place, 0, 0, place[places.ROWS])
        if place[places.KIND] != LINEAR:
            add_part(place, 1, 0, place[places.ROWS])
        return
    begin = load(control + LIMIT)
    end = begin + PARTS
    store(control + LEVEL, level)
    store(control + LIMIT, end)
    part = load(control + NEXT)
    while part < end:
        if take(control + NEXT, part):
            _numbered(place, part - begin)
            increment(control + DONE)
        part = load(control + NEXT)
    idle = 0
    while load(control + DONE) < end:
        idle += 1
        if idle > _PATIENCE:
            give_way()


@njit(cache=True, nogil=True, boundscheck=False)
def assist(table, words, generation):  # type: ignore[no-untyped-def]
    """What the helper does until the call with this generation is over. words: control words."""
    control = words.ctypes.data
    idle = 0
    while load(control + GENERATION) == generation:
        part = load(control + NEXT)
        if part < load(control + LIMIT) and take(control + NEXT, part):
            _numbered(table[load(control + LEVEL)], part % PARTS)
            increment(control + DONE)
            idle = 0
        else:
            idle += 1
            if idle > _PATIENCE:
                give_way()
