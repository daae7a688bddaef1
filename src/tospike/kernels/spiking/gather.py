"""Events gathered: which output places they reach, and the currents there.

Neighbouring places follow each other in the list of events, so one row of an undilated kernel reads
one run of it: from ``pointers[first place]`` to ``pointers[place behind the last]``. Whether a run
has events is the difference of two numbers, for a row of output places at once; a place that no
run reaches costs nothing more.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from tospike.kernels.delta.intrinsics import carray, pointer
from tospike.kernels.spiking.basic import (
    C_OUT,
    IN_KIND,
    KH,
    KW,
    PX,
    STRIDE_OUT,
    SX,
    C,
    H,
    P,
    W,
)
from tospike.kernels.spiking.intrinsics import (
    VECTOR,
    copy_4,
    exact_1,
    exact_2,
    exact_4,
    exact_8,
    fused,
    raw_1,
    rows_of_8,
    spikes_1,
    spikes_2,
    spikes_4,
    spikes_8,
    values_1,
    values_2,
    values_4,
    values_8,
)
from tospike.kernels.spiking.places import BITS, INT16, Place

DX, DY, GROUPS, ROWS, ROW_KIND, LANES, EXACT_EVENTS = (
    int(Place.DX), int(Place.DY), int(Place.GROUPS), int(Place.ROWS), int(Place.ROW_KIND),
    int(Place.LANES), int(Place.EXACT_EVENTS),
)  # fmt: skip
SCALE, BIAS, ENTRIES, VALUES, ENTRY_ROOM = (
    int(Place.SCALE), int(Place.BIAS), int(Place.ENTRIES), int(Place.VALUES),
    int(Place.ENTRY_ROOM),
)  # fmt: skip
POINTERS, EVENTS_AT, FACTORS_AT, SUMS_AT, WIDE_AT = (
    int(Place.POINTERS), int(Place.EVENTS_AT), int(Place.FACTORS_AT), int(Place.SUMS_AT),
    int(Place.WIDE_AT),
)  # fmt: skip

_F32, _I16, _I32, _I64 = np.float32(0), np.int16(0), np.int32(0), np.int64(0)
_njit = njit(cache=True, nogil=True, boundscheck=False, error_model="numpy")


@_njit
def shape_of(row):  # type: ignore[no-untyped-def]
    """(W, H, KW, KH, SX, PX, DX, DY, whole) of a layer, to be read once from its row of the table.

    ``whole``: a row of the kernel reads one run; with dilation or groups each tap reads one.
    """
    whole = np.int64(row[DX] == 1 and row[GROUPS] == 1)
    return row[W], row[H], row[KW], row[KH], row[SX], row[PX], row[DX], row[DY], whole


@_njit
def _within(x, size):  # type: ignore[no-untyped-def]
    return min(max(x, 0), size)


@_njit
def _mark(touched, from_, shift, reached, step, width, first, last):  # type: ignore[no-untyped-def]
    """Adds to ``touched[first:last]`` the events of inputs x step + shift + (0 ... reached)."""
    # where the run lies within the row of inputs, from ``low`` to ``high``
    low = min(max(first, -(shift // step)), last)
    high = min(max(low, (width - reached - shift) // step + 1), last)
    pointers = carray(pointer(from_, _I32), width + 1)
    marks = carray(pointer(touched, _I32), last)
    for edge in range(2):
        start, end = (first, low) if edge == 0 else (high, last)
        for x in range(start, end):
            left = x * step + shift
            marks[x] |= pointers[_within(left + reached, width)] - pointers[_within(left, width)]
    if low >= high:
        return
    begin, count = from_ + 4 * (low * step + shift), high - low
    here = carray(pointer(touched + 4 * low, _I32), count)
    if step == 1:
        left_, right = (
            carray(pointer(begin, _I32), count),
            carray(pointer(begin + 4 * reached, _I32), count),
        )
        for i in range(count):
            here[i] |= right[i] - left_[i]
    else:
        inputs = carray(pointer(begin, _I32), (count - 1) * step + reached + 1)
        for i in range(count):
            here[i] |= inputs[i * step + reached] - inputs[i * step]


@_njit
def touch(pointers, shape, y0, first, last, touched):  # type: ignore[no-untyped-def]
    """Marks the places ``first`` to ``last`` of an output row that events reach, other than 0.

    ``pointers``: address of those of the slot; ``y0``: first input row of the kernel.
    """
    width, height, wide, high, step, pad, across, down, whole = shape
    marks = carray(pointer(touched, _I32), last)
    for x in range(first, last):
        marks[x] = 0
    ends = carray(pointer(pointers, _I32), height * width + 1)
    for kh in range(high):
        y = y0 + kh * down
        if y < 0 or y >= height or ends[y * width] == ends[(y + 1) * width]:
            continue
        from_ = pointers + 4 * y * width
        if whole:
            _mark(touched, from_, -pad, wide, step, width, first, last)
        else:
            for kw in range(wide):
                _mark(touched, from_, kw * across - pad, 1, step, width, first, last)


@_njit
def reach(row, shape, y0, x, to):  # type: ignore[no-untyped-def]
    """Inputs of an output place: runs (first place, last place, base) at address ``to``; how many.

    ``base`` + bytes of a row * number of the input is the address of its weights; with groups,
    ``base`` + number of the input is their row.
    """
    width, height, wide, high, step, pad, across, down, whole = shape
    runs = carray(pointer(to, _I64), 3 * wide * high + 3)
    channels, rows, grouped, bytes_ = row[C], row[ROWS], row[GROUPS] > 1, _row_bytes(row)
    taps, reached = (1, wide) if whole else (wide, 1)
    n = 0
    for kh in range(high):
        y = y0 + kh * down
        if y < 0 or y >= height:
            continue
        for kw in range(taps):
            at = x * step - pad + kw * across
            left, right = _within(at, width), _within(at + reached, width)
            if left < right:
                shift = (kh * wide + kw - y * width - at) * channels
                runs[3 * n] = y * width + left
                runs[3 * n + 1] = y * width + right
                runs[3 * n + 2] = shift if grouped else rows + shift * bytes_
                n += 1
    return n


@_njit
def _row_bytes(row):  # type: ignore[no-untyped-def]
    return row[LANES] * (2 if row[ROW_KIND] == INT16 else 4)


@_njit
def gather(row, slot, runs, scratch):  # type: ignore[no-untyped-def]
    """Lists the events of a place in a slot, in order: addresses of their weights (with groups,
    their rows), and their values. ``runs`` of them by :func:`reach`; how many events.

    Eight at a time, of which the surplus is overwritten: most runs have fewer, and a loop that ends
    after one or two costs the processor more than the events.
    """
    first = row[POINTERS] + 4 * slot * (row[P] + 1)
    ends = carray(pointer(first, _I32), row[P] + 1)
    where = carray(pointer(scratch, _I64), 3 * runs + 3)
    entries = row[ENTRIES] + 4 * slot * row[ENTRY_ROOM]
    factor = np.int64(1) if row[GROUPS] > 1 else _row_bytes(row)
    to, valued = scratch + row[EVENTS_AT], row[IN_KIND] != BITS
    n = 0
    for k in range(runs):
        start, base = np.int64(ends[where[3 * k]]), where[3 * k + 2]
        count = ends[where[3 * k + 1]] - start
        rows_of_8(entries + 4 * start, base, factor, to + 8 * n)
        for i in range(8, count, 8):
            rows_of_8(entries + 4 * (start + i), base, factor, to + 8 * (n + i))
        if valued:
            values = row[VALUES] + 4 * (slot * row[ENTRY_ROOM] + start)
            for i in range(0, count, 4):
                copy_4(values + 4 * i, scratch + row[FACTORS_AT] + 4 * (n + i))
        n += count
    return n


@_njit
def currents(row, n, first, last, to, scratch):  # type: ignore[no-untyped-def]
    """Currents of channels ``first`` to ``last`` of a place, from ``n`` events of :func:`gather`.

    They stand at address ``to`` + 4 * channel.
    """
    if row[GROUPS] > 1:
        _add_grouped(row, n, to, scratch)
    elif row[ROW_KIND] != INT16:
        _add_floats(row, n, first, last, to, scratch)
    elif n > row[EXACT_EVENTS]:
        _add_wide(row, n, first, last, to, scratch)
    else:
        _add_exact(row, n, first, last, to, scratch)


@_njit
def _add_floats(row, n, first, last, to, scratch):  # type: ignore[no-untyped-def]
    """Currents from float32 rows."""
    rows, values = scratch + row[EVENTS_AT], scratch + row[FACTORS_AT]
    spikes, end = row[IN_KIND] == BITS, 4 * min(row[LANES], last)
    b = 4 * first
    o, f, g = to + b, row[SCALE] + b, row[BIAS] + b
    while b < end:
        left = end - b
        if left >= 8 * VECTOR:
            if spikes:
                spikes_8(o, rows, values, n, b, f, g)
            else:
                values_8(o, rows, values, n, b, f, g)
            done = 8 * VECTOR
        elif left >= 4 * VECTOR:
            if spikes:
                spikes_4(o, rows, values, n, b, f, g)
            else:
                values_4(o, rows, values, n, b, f, g)
            done = 4 * VECTOR
        elif left >= 2 * VECTOR:
            if spikes:
                spikes_2(o, rows, values, n, b, f, g)
            else:
                values_2(o, rows, values, n, b, f, g)
            done = 2 * VECTOR
        else:
            if spikes:
                spikes_1(o, rows, values, n, b, f, g)
            else:
                values_1(o, rows, values, n, b, f, g)
            done = VECTOR
        b, o, f, g = b + done, o + done, f + done, g + done


@_njit
def _add_exact(row, n, first, last, to, scratch):  # type: ignore[no-untyped-def]
    """Currents from int16 rows, exact sums in int16."""
    rows, end = scratch + row[EVENTS_AT], 2 * min(row[LANES], last)
    b = 2 * first
    # an int16 lane takes two bytes of a row, and four of the currents
    o, f, g = to + 2 * b, row[SCALE] + 2 * b, row[BIAS] + 2 * b
    while b < end:
        left = end - b
        if left >= 8 * VECTOR:
            exact_8(o, rows, rows, n, b, f, g)
            done = 8 * VECTOR
        elif left >= 4 * VECTOR:
            exact_4(o, rows, rows, n, b, f, g)
            done = 4 * VECTOR
        elif left >= 2 * VECTOR:
            exact_2(o, rows, rows, n, b, f, g)
            done = 2 * VECTOR
        else:
            exact_1(o, rows, rows, n, b, f, g)
            done = VECTOR
        b, o, f, g = b + done, o + 2 * done, f + 2 * done, g + 2 * done


@_njit
def _add_wide(row, n, first, last, to, scratch):  # type: ignore[no-untyped-def]
    """int16 sums of as many events as they can take, added up in int32."""
    wide = carray(pointer(scratch + row[WIDE_AT], _I32), row[STRIDE_OUT])
    sums, rows, most = scratch + row[SUMS_AT], scratch + row[EVENTS_AT], row[EXACT_EVENTS]
    short = carray(pointer(sums, _I16), 16)
    last = min(last, row[LANES])
    wide[first:last] = 0
    for start in range(0, n, most):
        some = min(most, n - start)
        for b in range(2 * first, 2 * last, VECTOR):
            raw_1(sums, rows + 8 * start, rows, some, b, sums, sums)
            for o in range(16):
                wide[b // 2 + o] += short[o]
    _finish(row, wide, first, last, to)


@_njit
def _finish(row, sums, first, last, to):  # type: ignore[no-untyped-def]
    """scale * sum + bias."""
    size = row[STRIDE_OUT]
    scale, bias = carray(pointer(row[SCALE], _F32), size), carray(pointer(row[BIAS], _F32), size)
    current = carray(pointer(to, _F32), size)
    for o in range(first, last):
        current[o] = scale[o] * np.float32(sums[o]) + bias[o]


@_njit
def _add_grouped(row, n, to, scratch):  # type: ignore[no-untyped-def]
    """Currents with groups: an input reaches only the outputs of its group."""
    lines = carray(pointer(scratch + row[EVENTS_AT], _I64), n)
    values = carray(pointer(scratch + row[FACTORS_AT], _F32), n)
    sums = carray(pointer(scratch + row[SUMS_AT], _F32), row[STRIDE_OUT])
    outputs, inputs = row[C_OUT] // row[GROUPS], row[C] // row[GROUPS]
    rows = carray(pointer(row[ROWS], _F32), row[KH] * row[KW] * row[C] * outputs)
    spikes = row[IN_KIND] == BITS
    sums[:] = 0
    for i in range(n):
        line = lines[i]
        first, of = line % row[C] // inputs * outputs, line * outputs
        if spikes:
            for j in range(outputs):
                sums[first + j] += rows[of + j]
        else:
            for j in range(outputs):
                sums[first + j] = fused(values[i], rows[of + j], sums[first + j])
    _finish(row, sums, 0, row[STRIDE_OUT], to)
