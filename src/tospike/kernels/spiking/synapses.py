"""Preparation of synapses, the choice of their path, and the dense path.

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
from tospike.kernels.spiking.gather import (
    BIAS,
    ENTRIES,
    ENTRY_ROOM,
    GROUPS,
    POINTERS,
    SCALE,
    VALUES,
)
from tospike.kernels.spiking.intrinsics import (
    OUTPUTS,
    PIXELS,
    UNIT_PIXELS,
    active_16,
    count_bits,
    lowest_bit,
    multiply,
)
from tospike.kernels.spiking.places import BITS, SLOTS, Frame, Place

PANELS, FAN_OUT, LIMITS, EVENT = (
    int(Place.PANELS), int(Place.FAN_OUT), int(Place.LIMITS), int(Place.EVENT),
)  # fmt: skip
IMAGE, IMAGE_BYTES, IMAGE_W, IMAGE_H, CURRENT = (
    int(Place.IMAGE), int(Place.IMAGE_BYTES), int(Place.IMAGE_W), int(Place.IMAGE_H),
    int(Place.CURRENT),
)  # fmt: skip
FIRES, OFFSETS, RUNS, RUN_LENGTH, BLOCK_AT = (
    int(Place.FIRES), int(Place.OFFSETS), int(Place.RUNS), int(Place.RUN_LENGTH),
    int(Place.BLOCK_AT),
)  # fmt: skip
PATHS = int(Frame.PATHS)

_F32, _I32, _I64, _U8 = np.float32(0), np.int32(0), np.int64(0), np.uint8(0)
_njit = njit(cache=True, nogil=True, boundscheck=False, error_model="numpy")


@_njit
def prepare(row, frame, t, n):  # type: ignore[no-untyped-def]
    """Lists the events of a slot, counts its operations, chooses its path; or makes its image."""
    slot = n if row[IN_CONSTANT] else t * frame[SAMPLES] + n
    where = statistic_at(row, frame, t, n)
    slots = frame[SAMPLES] if row[IN_CONSTANT] else frame[STEPS] * frame[SAMPLES]
    limit = carray(pointer(row[LIMITS], _I64), SLOTS)[min(slots, SLOTS) - 1]
    pointers = carray(pointer(row[POINTERS] + 4 * slot * (row[P] + 1), _I32), row[P] + 1)
    fan_out = carray(pointer(row[FAN_OUT], _I64), row[P])
    entries = carray(pointer(row[ENTRIES] + 4 * slot * row[ENTRY_ROOM], _I32), row[ENTRY_ROOM])
    address = source(row, frame, t, n)
    pointers[0] = 0
    if row[IN_KIND] == BITS:
        operations = _list_spikes(row, address, pointers, fan_out, entries, limit)
    else:
        to = row[VALUES] + 4 * slot * row[ENTRY_ROOM]
        values = carray(pointer(to, _F32), row[ENTRY_ROOM])
        operations = _list_values(row, address, pointers, fan_out, entries, values, limit)
    carray(pointer(frame[STATISTICS], _I64), where + 1)[where] = operations
    event = operations <= limit
    carray(pointer(row[EVENT], _I64), slot + 1)[slot] = event
    carray(pointer(frame[PATHS], _U8), where + 1)[where] = event
    if not event:
        _make_image(row, address, row[IMAGE] + slot * row[IMAGE_BYTES])


# Both lists end where the operations exceed the limit: from there on, events are only counted.


@_njit
def _list_spikes(row, address, pointers, fan_out, entries, limit):  # type: ignore[no-untyped-def]
    words, channels, places = row[WORDS], row[C], row[P]
    bits = carray(pointer(address, _I64), places * words)
    total = operations = 0
    for p in range(places):
        for w in range(words):
            word = bits[p * words + w]
            if word == 0:
                continue
            here = count_bits(word)
            operations += here * fan_out[p]
            if operations <= limit:
                first, k = p * channels + 64 * w, total
                while word != 0:
                    entries[k] = first + lowest_bit(word)
                    k += 1
                    word &= word - 1
            total += here
        pointers[p + 1] = total
    return operations


@_njit
def _list_values(row, address, pointers, fan_out, entries, values, limit):  # type: ignore[no-untyped-def]
    stride, channels, places = row[STRIDE], row[C], row[P]
    # without lanes between the places, 16 values of several places are looked at together
    lines, length = (1, places * channels) if stride == channels else (places, channels)
    total = operations = p = 0
    for line in range(lines):
        from_ = address + 4 * line * stride
        inputs = carray(pointer(from_, _F32), length)
        end = channels * (p + 1) if lines == 1 else channels
        for i in range(0, length, 16):
            active = active_16(from_ + 4 * i)
            if length - i < 16:
                active &= (1 << (length - i)) - 1
            while active != 0:
                k = i + lowest_bit(active)
                active &= active - 1
                while k >= end:
                    p += 1
                    pointers[p] = total
                    end += channels
                operations += fan_out[p]
                if operations <= limit:
                    entries[total] = line * channels + k
                    values[total] = inputs[k]
                total += 1
        if lines > 1:
            p += 1
            pointers[p] = total
    while p < places:
        p += 1
        pointers[p] = total
    return operations


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
    """Dense currents of output places ``first`` to ``last``, counted over the dense slots.

    A panel of weights meets all of them, at most UNIT_PIXELS, before the next one is read.
    """
    places, bytes_, blocks = row[P_OUT], 4 * row[STRIDE_OUT], -(-(last - first) // PIXELS)
    # by block: addresses of 6 inputs, of 6 outputs
    begin = scratch + row[BLOCK_AT]
    where = carray(pointer(begin, _I64), 2 * UNIT_PIXELS)
    to = row[CURRENT] if row[FIRES] else row[OUT]
    dense = first // places
    slot = _dense_slot(row, dense)
    for i in range(PIXELS * blocks):
        q = min(first + i, last - 1)
        if q // places != dense:
            dense = q // places
            slot = _dense_slot(row, dense)
        p = q % places
        y, x = p // row[W_OUT] * row[SY], p % row[W_OUT] * row[SX]
        k = i // PIXELS * 2 * PIXELS + i % PIXELS
        where[k] = row[IMAGE] + slot * row[IMAGE_BYTES] + 4 * row[C] * (y * row[IMAGE_W] + x)
        where[PIXELS + k] = to + bytes_ * (slot * places + p)
    if row[GROUPS] > 1:
        for k in range(blocks):
            _multiply_grouped(row, begin + 16 * PIXELS * k, begin + 16 * UNIT_PIXELS)
        return
    offsets, runs, length = row[OFFSETS], row[RUNS], row[RUN_LENGTH]
    panel, scale, bias = row[PANELS], row[SCALE], row[BIAS]
    for _ in range(-(-row[C_OUT] // OUTPUTS)):
        for k in range(blocks):
            block = begin + 16 * PIXELS * k
            multiply(block + 8 * PIXELS, block, 0, offsets, runs, length, panel, scale, bias)
            for i in range(PIXELS):
                where[2 * PIXELS * k + PIXELS + i] += 4 * OUTPUTS
        panel += 4 * OUTPUTS * runs * length
        scale += 4 * OUTPUTS
        bias += 4 * OUTPUTS


@_njit
def _multiply_grouped(row, addresses, spare):  # type: ignore[no-untyped-def]
    """The same of one block with groups, by way of (6, 16) as their outputs need not fill vectors.

    ``addresses``: 6 of inputs, 6 of outputs; ``spare``: 6 addresses and the (6, 16).
    """
    groups = row[GROUPS]
    outputs, inputs = row[C_OUT] // groups, row[C] // groups
    panels = -(-outputs // OUTPUTS)
    panel_bytes = 4 * OUTPUTS * row[RUNS] * row[RUN_LENGTH]
    where = carray(pointer(addresses, _I64), 2 * PIXELS)
    targets = carray(pointer(spare, _I64), PIXELS)
    address = spare + 8 * PIXELS
    block = carray(pointer(address, _F32), PIXELS * OUTPUTS)
    for i in range(PIXELS):
        targets[i] = address + 4 * OUTPUTS * i
    for g in range(groups):
        for b in range(panels):
            start = g * outputs + b * OUTPUTS
            multiply(
                spare, addresses, 4 * g * inputs, row[OFFSETS],
                row[RUNS], row[RUN_LENGTH], row[PANELS] + (g * panels + b) * panel_bytes,
                row[SCALE] + 4 * start, row[BIAS] + 4 * start,
            )  # fmt: skip
            for i in range(PIXELS):
                out = carray(pointer(where[PIXELS + i] + 4 * start, _F32), OUTPUTS)
                for j in range(min(OUTPUTS, outputs - b * OUTPUTS)):
                    out[j] = block[i * OUTPUTS + j]
