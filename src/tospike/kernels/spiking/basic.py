"""Operations on whole tensors: input, spike counts, pools, sums, permutations, outputs."""

from __future__ import annotations

import numpy as np
from numba import njit

from tospike.kernels.delta.intrinsics import carray, pointer
from tospike.kernels.spiking.intrinsics import active_16, count_bits, lowest_bit
from tospike.kernels.spiking.places import BITS, Frame, Place

_F32, _F64, _I32, _I64, _U8 = (
    np.float32(0), np.float64(0), np.int32(0), np.int64(0), np.uint8(0),
)  # fmt: skip

# As plain constants, which is what the kernels can use.
IN, IN_KIND, IN_BYTES, IN_CONSTANT = (
    int(Place.IN), int(Place.IN_KIND), int(Place.IN_BYTES), int(Place.IN_CONSTANT),
)  # fmt: skip
P, C, STRIDE, WORDS = int(Place.P), int(Place.C), int(Place.STRIDE), int(Place.WORDS)
OUT, OUT_BYTES = int(Place.OUT), int(Place.OUT_BYTES)
P_OUT, C_OUT, STRIDE_OUT, WORDS_OUT = (
    int(Place.P_OUT), int(Place.C_OUT), int(Place.STRIDE_OUT), int(Place.WORDS_OUT),
)  # fmt: skip
H, W, W_OUT = int(Place.H), int(Place.W), int(Place.W_OUT)
KH, KW, SY, SX, PY, PX = (
    int(Place.KH), int(Place.KW), int(Place.SY), int(Place.SX), int(Place.PY), int(Place.PX),
)  # fmt: skip
STATISTIC, MAX_POOL, INDEX, SUMMANDS = (
    int(Place.STATISTIC), int(Place.MAX_POOL), int(Place.INDEX), int(Place.SUMMANDS),
)  # fmt: skip
STEPS, SAMPLES, ALL_STEPS, ALL_SAMPLES = (
    int(Frame.STEPS), int(Frame.SAMPLES), int(Frame.ALL_STEPS), int(Frame.ALL_SAMPLES),
)  # fmt: skip
FIRST_STEP, FIRST_SAMPLE = int(Frame.FIRST_STEP), int(Frame.FIRST_SAMPLE)
INPUT, OUTPUT_TO, STATISTICS, BAD, KEEP = (
    int(Frame.INPUT), int(Frame.OUTPUT), int(Frame.STATISTICS), int(Frame.BAD), int(Frame.KEEP),
)  # fmt: skip

_njit = njit(cache=True, nogil=True, boundscheck=False, error_model="numpy")


@_njit
def source(row, frame, t, n):  # type: ignore[no-untyped-def]
    """Address of the input tensor of a slot."""
    slot = n if row[IN_CONSTANT] else t * frame[SAMPLES] + n
    return row[IN] + slot * row[IN_BYTES]


@_njit
def statistic_at(row, frame, t, n):  # type: ignore[no-untyped-def]
    """Element of the statistics of a slot."""
    step = row[STATISTIC] * frame[ALL_STEPS] + frame[FIRST_STEP] + t
    return step * frame[ALL_SAMPLES] + frame[FIRST_SAMPLE] + n


@_njit
def copy_input(row, frame, t, n):  # type: ignore[no-untyped-def]
    """The caller's (.., C, P) float32 to channels last; says where it is not finite."""
    places, channels, stride = row[P], row[C], row[STRIDE_OUT]
    sample = frame[FIRST_SAMPLE] + n
    if not row[IN_CONSTANT]:
        sample += (frame[FIRST_STEP] + t) * frame[ALL_SAMPLES]
    from_, size = frame[INPUT] + 4 * sample * places * channels, places * channels
    values = carray(pointer(from_, _F32), size)
    slot = n if row[IN_CONSTANT] else t * frame[SAMPLES] + n
    out = carray(pointer(row[OUT] + slot * row[OUT_BYTES], _F32), places * stride)
    out[:] = 0
    bad = i = c = 0
    end = places
    while i < size:
        # what lies behind the caller's values may not be read
        active = active_16(from_ + 4 * i) if i + 16 <= size else (1 << (size - i)) - 1
        while active != 0:
            k = i + lowest_bit(active)
            active &= active - 1
            while k >= end:
                c += 1
                end += places
            value = values[k]
            bad += not (abs(value) <= np.float32(3.4028235e38))
            out[(k - end + places) * stride + c] = value
        i += 16
    if bad:
        frame[BAD] = 1


@_njit
def count(row, frame, t, n):  # type: ignore[no-untyped-def]
    """Spikes of a population in a slot."""
    words = row[P] * row[WORDS]
    bits = carray(pointer(source(row, frame, t, n), _I64), words)
    total = 0
    for k in range(words):
        total += count_bits(bits[k])
    counts = carray(pointer(frame[STATISTICS], _I64), statistic_at(row, frame, t, n) + 1)
    counts[statistic_at(row, frame, t, n)] = total


@_njit
def _pool_pairs(bits, out, first, width, q, count):  # type: ignore[no-untyped-def]
    """A row of windows of 2 x 2 side by side, one word per place."""
    upper, lower, to = bits[first:], bits[first + width :], out[q:]
    for x in range(count):
        to[x] = upper[2 * x] | upper[2 * x + 1] | lower[2 * x] | lower[2 * x + 1]


@_njit
def pool_bits(row, frame, t, n):  # type: ignore[no-untyped-def]
    """Max-pooling of spikes: OR over the window."""
    words, width, height, out_width = row[WORDS], row[W], row[H], row[W_OUT]
    bits = carray(pointer(source(row, frame, t, n), _I64), row[P] * words)
    slot, places = t * frame[SAMPLES] + n, row[P_OUT]
    out = carray(pointer(row[OUT] + slot * row[OUT_BYTES], _I64), places * words)
    high, wide, down, right = row[KH], row[KW], row[SY], row[SX]
    y0, left, q = -row[PY], -row[PX], 0
    if words == 1 and high == wide == right == 2 and left == 0 and 2 * out_width <= width:
        while q < places and y0 >= 0 and y0 + 2 <= height:
            _pool_pairs(bits, out, y0 * width, width, q, out_width)
            q += out_width
            y0 += down
    while q < places:
        top, bottom = max(y0, 0), min(y0 + high, height)
        x0 = left
        for _ in range(out_width):
            start, end = max(x0, 0), min(x0 + wide, width)
            if bottom - top == 2 and end - start == 2:
                # nearly all pools: without loops over the window
                above = (top * width + start) * words
                below = above + width * words
                for w in range(words):
                    upper = bits[above + w] | bits[above + words + w]
                    out[q * words + w] = upper | bits[below + w] | bits[below + words + w]
            else:
                for w in range(words):
                    word = 0
                    for y in range(top, bottom):
                        for x in range(start, end):
                            word |= bits[(y * width + x) * words + w]
                    out[q * words + w] = word
            q += 1
            x0 += right
        y0 += down


@_njit
def pool_floats(row, frame, t, n):  # type: ignore[no-untyped-def]
    """Maximum, or sum over the window / size of the kernel (padding counts as zeros)."""
    stride, width, height, channels = row[STRIDE], row[W], row[H], row[C]
    values = carray(pointer(source(row, frame, t, n), _F32), row[P] * stride)
    slot = n if row[IN_CONSTANT] else t * frame[SAMPLES] + n
    out = carray(pointer(row[OUT] + slot * row[OUT_BYTES], _F32), row[P_OUT] * stride)
    size = np.float32(row[KH] * row[KW])
    for q in range(row[P_OUT]):
        y0 = q // row[W_OUT] * row[SY] - row[PY]
        x0 = q % row[W_OUT] * row[SX] - row[PX]
        start = np.float32(-np.inf) if row[MAX_POOL] else np.float32(0)
        for c in range(channels):
            out[q * stride + c] = start
        for y in range(max(y0, 0), min(y0 + row[KH], height)):
            for x in range(max(x0, 0), min(x0 + row[KW], width)):
                first = (y * width + x) * stride
                if row[MAX_POOL]:
                    for c in range(channels):
                        out[q * stride + c] = max(out[q * stride + c], values[first + c])
                else:
                    for c in range(channels):
                        out[q * stride + c] += values[first + c]
        if not row[MAX_POOL]:
            for c in range(channels):
                out[q * stride + c] /= size


@_njit
def unpack(row, frame, t, n):  # type: ignore[no-untyped-def]
    """Spikes as 0.0 and 1.0."""
    words, stride, channels = row[WORDS], row[STRIDE_OUT], row[C]
    bits = carray(pointer(source(row, frame, t, n), _I64), row[P] * words)
    slot = t * frame[SAMPLES] + n
    out = carray(pointer(row[OUT] + slot * row[OUT_BYTES], _F32), row[P] * stride)
    for p in range(row[P]):
        for c in range(channels):
            out[p * stride + c] = (bits[p * words + c // 64] >> (c % 64)) & 1


@_njit
def permute(row, frame, t, n):  # type: ignore[no-untyped-def]
    """Another view of the same values: INDEX holds the place of every output in the input."""
    values = carray(pointer(source(row, frame, t, n), _F32), row[P] * row[STRIDE])
    slot = n if row[IN_CONSTANT] else t * frame[SAMPLES] + n
    stride, channels = row[STRIDE_OUT], row[C_OUT]
    out = carray(pointer(row[OUT] + slot * row[OUT_BYTES], _F32), row[P_OUT] * stride)
    index = carray(pointer(row[INDEX], _I64), row[P_OUT] * channels)
    for q in range(row[P_OUT]):
        for c in range(channels):
            out[q * stride + c] = values[index[q * channels + c]]


@_njit
def add(row, frame, t, n):  # type: ignore[no-untyped-def]
    """Sum of tensors of one shape, from left to right. INDEX: (address, kind, constant, bytes)."""
    slot = n if row[IN_CONSTANT] else t * frame[SAMPLES] + n
    stride, channels, words = row[STRIDE_OUT], row[C_OUT], row[WORDS_OUT]
    size = row[P_OUT] * stride
    out = carray(pointer(row[OUT] + slot * row[OUT_BYTES], _F32), size)
    table = carray(pointer(row[INDEX], _I64), 4 * row[SUMMANDS])
    for i in range(size):
        out[i] = 0
    for k in range(row[SUMMANDS]):
        which = n if table[4 * k + 2] else t * frame[SAMPLES] + n
        address = table[4 * k] + which * table[4 * k + 3]
        if table[4 * k + 1] == BITS:
            bits = carray(pointer(address, _I64), row[P_OUT] * words)
            for p in range(row[P_OUT]):
                for c in range(channels):
                    out[p * stride + c] += (bits[p * words + c // 64] >> (c % 64)) & 1
        else:
            values = carray(pointer(address, _F32), size)
            for i in range(size):
                out[i] += values[i]


@_njit
def output(row, frame, n):  # type: ignore[no-untyped-def]
    """Accumulates the output tensor over the steps, channels first, in float64."""
    places, channels, stride, words = row[P], row[C], row[STRIDE], row[WORDS]
    size = places * channels
    for t in range(frame[STEPS]):
        step = frame[FIRST_STEP] + t
        where = step * frame[ALL_SAMPLES] + frame[FIRST_SAMPLE] + n
        out = carray(pointer(frame[OUTPUT_TO] + 8 * where * size, _F64), size)
        if step == 0 or frame[KEEP]:
            for i in range(size):
                out[i] = 0
        else:
            earlier = where - frame[ALL_SAMPLES]
            before = carray(pointer(frame[OUTPUT_TO] + 8 * earlier * size, _F64), size)
            for i in range(size):
                out[i] = before[i]
        address = source(row, frame, t, n)
        if row[IN_KIND] == BITS:
            bits = carray(pointer(address, _I64), places * words)
            for p in range(places):
                for c in range(channels):
                    out[c * places + p] += (bits[p * words + c // 64] >> (c % 64)) & 1
        else:
            values = carray(pointer(address, _F32), places * stride)
            for p in range(places):
                for c in range(channels):
                    out[c * places + p] += values[p * stride + c]
