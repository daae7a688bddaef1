"""The sums of active columns of one step, or products of many, by one thread or shared by two.

The thread that runs the steps publishes four parts (two matrices, two halves of the rows; or four
quarters of the rows of a product); whoever is free takes the next one. The helper may come late, or
never: then the first thread does all four. So nothing waits for a thread that may not be there, and
a wait lasts one part at most. The helper stays for a while after the last part: streams call step
by step, and waking a thread takes longer than a step.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from tospike.kernels.delta import places
from tospike.kernels.delta.atomics import give_way, increment, load, store, take
from tospike.kernels.delta.columns import add_rows, add_rows_exact
from tospike.kernels.delta.intrinsics import BLOCK, WIDE, carray, pointer
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

#: control words, in bytes: a cache line each. HELPED is 1 from when a helper is called, 2 from when
#: it is there, 0 after it left; NEXT is the next part to take, LIMIT the first that is not
#: published, DONE how many are finished, LEVEL the layer of the published ones. NEXT, LIMIT and
#: DONE only grow. ALONE, for the first thread only: how many more jobs it does not publish.
HELPED, NEXT, LIMIT, DONE, LEVEL = (64 * k for k in range(5))
ALONE = LEVEL + 8
CONTROL_WORDS = 5 * 8
PARTS = 4
#: jobs that are not published after one of which the helper took no part: others have its core
RETRY = 16
#: looks at the control words before a thread lets others run: some 50 us
_PATIENCE = 20_000
#: and how often the helper then does so before it leaves: some 100 us on an idle machine
_PASSES = 300

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
        add_rows(carray(pointer(address, _F32), shape), index, delta, n, total, first, last, BLOCK)
    elif storage == FLOAT16:
        add_rows(carray(pointer(address, _I16), shape), index, delta, n, total, first, last, BLOCK)
    elif storage == BFLOAT16:
        add_rows(carray(pointer(address, _U16), shape), index, delta, n, total, first, last, BLOCK)
    else:
        add_rows(carray(pointer(address, _I8), shape), index, delta, n, total, first, last, WIDE)


@njit(cache=True, nogil=True, boundscheck=False)
def _numbered(place, part):  # type: ignore[no-untyped-def]
    """Part 0 to 3."""
    rows, work = place[places.ROWS], place[places.WORK]
    if work == MANY_STEPS:
        blocks = rows // BLOCK
        first, last = blocks * part // PARTS * BLOCK, blocks * (part + 1) // PARTS * BLOCK
        multiply(place, place[places.PANELS] + 4 * PANEL * part, first, last)
        return
    half = rows // 2 // WIDE * WIDE
    wanted = work == BOTH if part < 2 else place[places.KIND] != LINEAR
    if wanted:
        if part % 2 == 0:
            add_part(place, part // 2, 0, half)
        else:
            add_part(place, part // 2, half, rows)


@njit(cache=True, nogil=True, boundscheck=False)
def column_bytes(place):  # type: ignore[no-untyped-def]
    """Bytes of a column of weights."""
    storage = place[places.STORAGE]
    width = 4 if storage == FLOAT32 else 2 if storage in (FLOAT16, BFLOAT16) else 1
    return place[places.ROWS] * width


@njit(cache=True, nogil=True, boundscheck=False)
def step_bytes(place):  # type: ignore[no-untyped-def]
    """Bytes of the columns that this step reads."""
    counts = carray(pointer(place[places.COUNTS], _I64), 2)
    n = np.int64(0)
    if place[places.WORK] == BOTH:
        n += counts[0]
    if place[places.KIND] != LINEAR:
        n += counts[1]
    return n * column_bytes(place)


@njit(cache=True, nogil=True, boundscheck=False)
def _shares(place, control):  # type: ignore[no-untyped-def]
    """Whether a helper is there, had its core of late, and the job is great enough."""
    if place[places.WORK] != MANY_STEPS and step_bytes(place) < place[places.SHARED_FROM]:
        return False
    if load(control + HELPED) != 2:
        return False
    alone = load(control + ALONE)
    if alone > 0:
        store(control + ALONE, alone - 1)
        return False
    return True


@njit(cache=True, nogil=True, boundscheck=False)
def add_all(table, level, control):  # type: ignore[no-untyped-def]
    """What WORK of a layer says; ``control``: address of the control words, 0 without a helper."""
    place = table[level]
    work = place[places.WORK]
    if control == 0 or not _shares(place, control):
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
    part, mine = load(control + NEXT), 0
    while part < end:
        if take(control + NEXT, part):
            _numbered(place, part - begin)
            increment(control + DONE)
            mine += 1
        part = load(control + NEXT)
    if mine == PARTS:
        store(control + ALONE, RETRY)
    idle = 0
    while load(control + DONE) < end:
        idle += 1
        if idle > _PATIENCE:
            give_way()


@njit(cache=True, nogil=True, boundscheck=False)
def assist(table, words):  # type: ignore[no-untyped-def]
    """What the helper does until nothing has come for a while. words: control words."""
    control = words.ctypes.data
    idle = 0
    store(control + HELPED, 2)
    while idle < _PATIENCE + _PASSES:
        part = load(control + NEXT)
        if part < load(control + LIMIT) and take(control + NEXT, part):
            _numbered(table[load(control + LEVEL)], part % PARTS)
            increment(control + DONE)
            idle = 0
        else:
            idle += 1
            if idle > _PATIENCE:
                give_way()
    store(control + HELPED, 0)
