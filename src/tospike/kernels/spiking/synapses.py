"""Synapses: events or dense sums, with the neurons behind them in the same pass.

A linear layer is a convolution with one output place and a kernel as large as its input. The sum of
an output runs over the taps of the kernel (row by row) and, in each tap, over the channels, in the
event path and in the dense path; so both give the same float32 bits.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from tospike.kernels.delta.intrinsics import carray, pointer
from tospike.kernels.spiking.basic import (
    C_OUT,
    IN_CONSTANT,
    IN_KIND,
    KH,
    KW,
    OUT,
    P_OUT,
    PX,
    PY,
    SAMPLES,
    STATISTICS,
    STEPS,
    STRIDE,
    STRIDE_OUT,
    SX,
    SY,
    W_OUT,
    WORDS,
    C,
    H,
    P,
    W,
    source,
    statistic_at,
)
from tospike.kernels.spiking.intrinsics import (
    OUTPUTS,
    PIXELS,
    VECTOR,
    count_bits,
    exact_1,
    exact_2,
    exact_4,
    exact_8,
    fused,
    lowest_bit,
    multiply,
    raw_1,
    spikes_1,
    spikes_2,
    spikes_4,
    spikes_8,
    values_1,
    values_2,
    values_4,
    values_8,
)
from tospike.kernels.spiking.places import BITS, INT16, SLOTS, Frame, Place

DX, DY, GROUPS = int(Place.DX), int(Place.DY), int(Place.GROUPS)
ROWS, ROW_KIND, LANES, EXACT_EVENTS, PANELS = (
    int(Place.ROWS), int(Place.ROW_KIND), int(Place.LANES), int(Place.EXACT_EVENTS),
    int(Place.PANELS),
)  # fmt: skip
SCALE, BIAS, FAN_OUT, LIMITS = (
    int(Place.SCALE), int(Place.BIAS), int(Place.FAN_OUT), int(Place.LIMITS),
)  # fmt: skip
ENTRIES, VALUES, POINTERS, EVENT, ENTRY_ROOM = (
    int(Place.ENTRIES), int(Place.VALUES), int(Place.POINTERS), int(Place.EVENT),
    int(Place.ENTRY_ROOM),
)  # fmt: skip
IMAGE, IMAGE_BYTES, IMAGE_W, IMAGE_H, CURRENT = (
    int(Place.IMAGE), int(Place.IMAGE_BYTES), int(Place.IMAGE_W), int(Place.IMAGE_H),
    int(Place.CURRENT),
)  # fmt: skip
FIRES, OFFSETS, RUNS, RUN_LENGTH = (
    int(Place.FIRES),
    int(Place.OFFSETS),
    int(Place.RUNS),
    int(Place.RUN_LENGTH),
)
RUNS_AT, SUMS_AT, WIDE_AT, CURRENT_AT, BLOCK_AT = (
    int(Place.RUNS_AT), int(Place.SUMS_AT), int(Place.WIDE_AT), int(Place.CURRENT_AT),
    int(Place.BLOCK_AT),
)  # fmt: skip
PATHS = int(Frame.PATHS)

#: pixels that a thread multiplies at a time
UNIT_PIXELS = 8 * PIXELS

_F32, _I16, _I32, _I64, _U8 = (
    np.float32(0), np.int16(0), np.int32(0), np.int64(0), np.uint8(0),
)  # fmt: skip
_njit = njit(cache=True, nogil=True, boundscheck=False, error_model="numpy")


@_njit
def prepare(row, frame, t, n):  # type: ignore[no-untyped-def]
    """Counts the operations of a slot, chooses its path, and lists its events or its image."""
    slot = n if row[IN_CONSTANT] else t * frame[SAMPLES] + n
    where = statistic_at(row, frame, t, n)
    pointers = carray(pointer(row[POINTERS] + 4 * slot * (row[P] + 1), _I32), row[P] + 1)
    fan_out = carray(pointer(row[FAN_OUT], _I64), row[P])
    address = source(row, frame, t, n)
    if row[IN_KIND] == BITS:
        operations = _count_spikes(row, address, pointers, fan_out)
    else:
        operations = _count_values(row, address, pointers, fan_out)
    carray(pointer(frame[STATISTICS], _I64), where + 1)[where] = operations
    slots = frame[SAMPLES] if row[IN_CONSTANT] else frame[STEPS] * frame[SAMPLES]
    limits = carray(pointer(row[LIMITS], _I64), SLOTS)
    event = operations <= limits[min(slots, SLOTS) - 1]
    carray(pointer(row[EVENT], _I64), slot + 1)[slot] = event
    carray(pointer(frame[PATHS], _U8), where + 1)[where] = event
    if event:
        entries = carray(pointer(row[ENTRIES] + 4 * slot * row[ENTRY_ROOM], _I32), row[ENTRY_ROOM])
        if row[IN_KIND] == BITS:
            _list_spikes(row, address, entries)
        else:
            values = row[VALUES] + 4 * slot * row[ENTRY_ROOM]
            _list_values(row, address, entries, carray(pointer(values, _F32), row[ENTRY_ROOM]))
    else:
        _make_image(row, address, row[IMAGE] + slot * row[IMAGE_BYTES])


@_njit
def _count_spikes(row, address, pointers, fan_out):  # type: ignore[no-untyped-def]
    words = row[WORDS]
    bits = carray(pointer(address, _I64), row[P] * words)
    total = operations = 0
    pointers[0] = 0
    for p in range(row[P]):
        here = 0
        for w in range(words):
            here += count_bits(bits[p * words + w])
        total += here
        operations += here * fan_out[p]
        pointers[p + 1] = total
    return operations


@_njit
def _count_values(row, address, pointers, fan_out):  # type: ignore[no-untyped-def]
    stride, channels = row[STRIDE], row[C]
    values = carray(pointer(address, _F32), row[P] * stride)
    total = operations = 0
    pointers[0] = 0
    for p in range(row[P]):
        here = 0
        for c in range(channels):
            here += values[p * stride + c] != 0
        total += here
        operations += here * fan_out[p]
        pointers[p + 1] = total
    return operations


@_njit
def _list_spikes(row, address, entries):  # type: ignore[no-untyped-def]
    words, channels = row[WORDS], row[C]
    bits = carray(pointer(address, _I64), row[P] * words)
    k = 0
    for p in range(row[P]):
        for w in range(words):
            word = bits[p * words + w]
            first = p * channels + 64 * w
            while word != 0:
                entries[k] = first + lowest_bit(word)
                k += 1
                word &= word - 1


@_njit
def _list_values(row, address, entries, values):  # type: ignore[no-untyped-def]
    stride, channels = row[STRIDE], row[C]
    inputs = carray(pointer(address, _F32), row[P] * stride)
    k = 0
    for p in range(row[P]):
        for c in range(channels):
            value = inputs[p * stride + c]
            if value != 0:
                entries[k] = p * channels + c
                values[k] = value
                k += 1


@_njit
def _make_image(row, address, target):  # type: ignore[no-untyped-def]
    """Float inputs with a border of zeros."""
    channels, height, width = row[C], row[H], row[W]
    image_w, image_h, words, stride = row[IMAGE_W], row[IMAGE_H], row[WORDS], row[STRIDE]
    image = carray(pointer(target, _F32), image_h * image_w * channels)
    image[:] = 0
    for y in range(height):
        for x in range(width):
            p, to = y * width + x, ((y + row[PY]) * image_w + x + row[PX]) * channels
            if row[IN_KIND] == BITS:
                bits = carray(pointer(address, _I64), row[P] * words)
                for w in range(words):
                    word = bits[p * words + w]
                    for c in range(64 * w, min(channels, 64 * w + 64)):
                        image[to + c] = np.float32((word >> (c - 64 * w)) & 1)
            else:
                values = carray(pointer(address, _F32), row[P] * stride)
                for c in range(channels):
                    image[to + c] = values[p * stride + c]


@_njit
def dense_slots(row, frame):  # type: ignore[no-untyped-def]
    """How many slots of a layer go dense."""
    slots = frame[SAMPLES] if row[IN_CONSTANT] else frame[STEPS] * frame[SAMPLES]
    event = carray(pointer(row[EVENT], _I64), slots)
    n = 0
    for slot in range(slots):
        n += event[slot] == 0
    return n


@_njit
def _dense_slot(row, k):  # type: ignore[no-untyped-def]
    """The k-th slot that goes dense."""
    event = carray(pointer(row[EVENT], _I64), 1 << 40)
    slot = -1
    while k >= 0:
        slot += 1
        k -= event[slot] == 0
    return slot


@_njit
def multiply_pixels(row, first, last, scratch):  # type: ignore[no-untyped-def]
    """Dense currents of output places ``first`` to ``last``, counted over the dense slots."""
    places, bytes_ = row[P_OUT], 4 * row[STRIDE_OUT]
    where = carray(pointer(scratch + row[BLOCK_AT], _I64), 2 * PIXELS)
    to = row[CURRENT] if row[FIRES] else row[OUT]
    for q0 in range(first, last, PIXELS):
        for i in range(PIXELS):
            q = min(q0 + i, last - 1)
            slot, p = _dense_slot(row, q // places), q % places
            y, x = p // row[W_OUT] * row[SY], p % row[W_OUT] * row[SX]
            where[i] = row[IMAGE] + slot * row[IMAGE_BYTES] + 4 * row[C] * (y * row[IMAGE_W] + x)
            where[PIXELS + i] = to + bytes_ * (slot * places + p)
        if row[GROUPS] > 1:
            _multiply_grouped(row, scratch)
            continue
        panel_bytes = 4 * OUTPUTS * row[RUNS] * row[RUN_LENGTH]
        for b in range(-(-row[C_OUT] // OUTPUTS)):
            shift = 4 * OUTPUTS * b
            multiply(
                where.ctypes.data + 8 * PIXELS, where.ctypes.data, 0, row[OFFSETS], row[RUNS],
                row[RUN_LENGTH], row[PANELS] + b * panel_bytes, row[SCALE] + shift,
                row[BIAS] + shift,
            )  # fmt: skip
            for i in range(PIXELS):
                where[PIXELS + i] += 4 * OUTPUTS


@_njit
def _multiply_grouped(row, scratch):  # type: ignore[no-untyped-def]
    """The same with groups, by way of a block (6, 16) as their outputs need not fill vectors."""
    groups = row[GROUPS]
    outputs, inputs = row[C_OUT] // groups, row[C] // groups
    panels = -(-outputs // OUTPUTS)
    panel_bytes = 4 * OUTPUTS * row[RUNS] * row[RUN_LENGTH]
    where = carray(pointer(scratch + row[BLOCK_AT], _I64), 3 * PIXELS)
    address = scratch + row[BLOCK_AT] + 24 * PIXELS
    block = carray(pointer(address, _F32), PIXELS * OUTPUTS)
    for i in range(PIXELS):
        where[2 * PIXELS + i] = address + 4 * OUTPUTS * i
    for g in range(groups):
        for b in range(panels):
            start = g * outputs + b * OUTPUTS
            multiply(
                where.ctypes.data + 16 * PIXELS, where.ctypes.data, 4 * g * inputs, row[OFFSETS],
                row[RUNS], row[RUN_LENGTH], row[PANELS] + (g * panels + b) * panel_bytes,
                row[SCALE] + 4 * start, row[BIAS] + 4 * start,
            )  # fmt: skip
            for i in range(PIXELS):
                out = carray(pointer(where[PIXELS + i] + 4 * start, _F32), OUTPUTS)
                for j in range(min(OUTPUTS, outputs - b * OUTPUTS)):
                    out[j] = block[i * OUTPUTS + j]


@_njit
def currents(row, slot, runs, to, scratch):  # type: ignore[no-untyped-def]
    """Currents of an output place in a slot to address ``to``; ``runs`` of :func:`reach`."""
    n = _segments(
        carray(pointer(row[POINTERS] + 4 * slot * (row[P] + 1), _I32), row[P] + 1),
        carray(pointer(scratch + row[RUNS_AT], _I64), 3 * runs),
        carray(pointer(scratch, _I64), 3 * runs + 3),
        runs,
    )
    if row[GROUPS] > 1:
        _add_grouped(row, slot, n, to, scratch)
    elif row[ROW_KIND] == INT16:
        _add_exact(row, slot, n, to, scratch)
    else:
        _add_floats(row, slot, n, to, scratch)


@_njit
def reach(row, p, scratch):  # type: ignore[no-untyped-def]
    """Inputs of an output place: runs (first place, last place, address of row 0 of the run).

    Neighbouring places follow each other in the list of events, so that one row of an undilated
    kernel is one run. With groups a run is one tap, and the third is tap * C - place * C.
    """
    width, height, channels, down, across = row[W], row[H], row[C], row[DY], row[DX]
    high, wide, rows, grouped = row[KH], row[KW], row[ROWS], row[GROUPS] > 1
    runs = carray(pointer(scratch + row[RUNS_AT], _I64), 3 * high * wide)
    row_bytes = row[LANES] * (2 if row[ROW_KIND] == INT16 else 4)
    # 32 bits: division of 64 takes several times as long
    line = np.int64(np.uint32(p) // np.uint32(row[W_OUT]))
    y0, x0 = line * row[SY] - row[PY], (p - line * row[W_OUT]) * row[SX] - row[PX]
    whole = across == 1 and not grouped
    taps, reached = (1, wide) if whole else (wide, 1)
    n = 0
    for kh in range(high):
        y = y0 + kh * down
        if y < 0 or y >= height:
            continue
        for kw in range(taps):
            x = x0 + kw * across
            left, right = max(x, 0), min(x + reached, width)
            if left < right:
                shift = ((kh * wide + kw) - (y * width + x)) * channels
                runs[3 * n] = y * width + left
                runs[3 * n + 1] = y * width + right
                runs[3 * n + 2] = shift if grouped else rows + shift * row_bytes
                n += 1
    return n


@_njit
def _segments(pointers, runs, segments, n):  # type: ignore[no-untyped-def]
    """Events of the runs that have any: (first, last, third of the run)."""
    found = 0
    for k in range(n):
        start, end, base = pointers[runs[3 * k]], pointers[runs[3 * k + 1]], runs[3 * k + 2]
        segments[3 * found] = start
        segments[3 * found + 1] = end
        segments[3 * found + 2] = base
        found += start < end
    return found


@_njit
def _add_floats(row, slot, n, to, scratch):  # type: ignore[no-untyped-def]
    """Currents from float32 rows."""
    entries = row[ENTRIES] + 4 * slot * row[ENTRY_ROOM]
    values = row[VALUES] + 4 * slot * row[ENTRY_ROOM]
    size, end = 4 * row[LANES], 4 * row[LANES]
    spikes, scale, bias = row[IN_KIND] == BITS, row[SCALE], row[BIAS]
    b = 0
    while b < end:
        left, o, f, g = end - b, to + b, scale + b, bias + b
        if left >= 8 * VECTOR:
            if spikes:
                spikes_8(o, entries, values, scratch, n, size, b, f, g)
            else:
                values_8(o, entries, values, scratch, n, size, b, f, g)
            b += 8 * VECTOR
        elif left >= 4 * VECTOR:
            if spikes:
                spikes_4(o, entries, values, scratch, n, size, b, f, g)
            else:
                values_4(o, entries, values, scratch, n, size, b, f, g)
            b += 4 * VECTOR
        elif left >= 2 * VECTOR:
            if spikes:
                spikes_2(o, entries, values, scratch, n, size, b, f, g)
            else:
                values_2(o, entries, values, scratch, n, size, b, f, g)
            b += 2 * VECTOR
        else:
            if spikes:
                spikes_1(o, entries, values, scratch, n, size, b, f, g)
            else:
                values_1(o, entries, values, scratch, n, size, b, f, g)
            b += VECTOR


@_njit
def _add_exact(row, slot, n, to, scratch):  # type: ignore[no-untyped-def]
    """Currents from int16 rows, exact sums in int16; where they could overflow, in int32."""
    entries = row[ENTRIES] + 4 * slot * row[ENTRY_ROOM]
    segments = carray(pointer(scratch, _I64), 3 * n + 3)
    events = 0
    for k in range(n):
        events += segments[3 * k + 1] - segments[3 * k]
    if events > row[EXACT_EVENTS]:
        _add_wide(row, entries, n, to, scratch)
        return
    size, end, scale, bias = 2 * row[LANES], 2 * row[LANES], row[SCALE], row[BIAS]
    b = 0
    while b < end:
        # an int16 lane takes two bytes of a row, and four of the currents
        left, o, f, g = end - b, to + 2 * b, scale + 2 * b, bias + 2 * b
        if left >= 8 * VECTOR:
            exact_8(o, entries, entries, scratch, n, size, b, f, g)
            b += 8 * VECTOR
        elif left >= 4 * VECTOR:
            exact_4(o, entries, entries, scratch, n, size, b, f, g)
            b += 4 * VECTOR
        elif left >= 2 * VECTOR:
            exact_2(o, entries, entries, scratch, n, size, b, f, g)
            b += 2 * VECTOR
        else:
            exact_1(o, entries, entries, scratch, n, size, b, f, g)
            b += VECTOR


@_njit
def _add_wide(row, entries, n, to, scratch):  # type: ignore[no-untyped-def]
    """int16 sums of as many events as they can take, added up in int32."""
    segments = carray(pointer(scratch, _I64), 3 * n + 3)
    wide = carray(pointer(scratch + row[WIDE_AT], _I32), row[LANES])
    short = carray(pointer(scratch + row[SUMS_AT], _I16), 16)
    most, size = row[EXACT_EVENTS], 2 * row[LANES]
    wide[:] = 0
    for k in range(n):
        start, end = segments[3 * k], segments[3 * k + 1]
        while start < end:
            stop = min(start + most, end)
            segments[3 * k], segments[3 * k + 1] = start, stop
            for b in range(0, size, VECTOR):
                raw_1(
                    scratch + row[SUMS_AT], entries, entries, scratch + 24 * k, 1, size, b,
                    row[SCALE], row[BIAS],
                )  # fmt: skip
                for o in range(16):
                    wide[b // 2 + o] += short[o]
            start = stop
    _finish(row, wide, to)


@_njit
def _finish(row, sums, to):  # type: ignore[no-untyped-def]
    """scale * sum + bias."""
    size = row[STRIDE_OUT]
    scale, bias = carray(pointer(row[SCALE], _F32), size), carray(pointer(row[BIAS], _F32), size)
    current = carray(pointer(to, _F32), size)
    for o in range(size):
        current[o] = scale[o] * np.float32(sums[o]) + bias[o]


@_njit
def _add_grouped(row, slot, n, to, scratch):  # type: ignore[no-untyped-def]
    """Currents with groups: an input reaches only the outputs of its group."""
    entries = carray(pointer(row[ENTRIES] + 4 * slot * row[ENTRY_ROOM], _I32), row[ENTRY_ROOM])
    values = carray(pointer(row[VALUES] + 4 * slot * row[ENTRY_ROOM], _F32), row[ENTRY_ROOM])
    segments = carray(pointer(scratch, _I64), 3 * n + 3)
    sums = carray(pointer(scratch + row[SUMS_AT], _F32), row[STRIDE_OUT])
    outputs, inputs = row[C_OUT] // row[GROUPS], row[C] // row[GROUPS]
    rows = carray(pointer(row[ROWS], _F32), row[KH] * row[KW] * row[C] * outputs)
    spikes = row[IN_KIND] == BITS
    sums[:] = 0
    for k in range(n):
        for i in range(segments[3 * k], segments[3 * k + 1]):
            line = entries[i] + segments[3 * k + 2]
            first, of = line % row[C] // inputs * outputs, line * outputs
            if spikes:
                for j in range(outputs):
                    sums[first + j] += rows[of + j]
            else:
                for j in range(outputs):
                    sums[first + j] = fused(values[i], rows[of + j], sums[first + j])
    _finish(row, sums, to)
