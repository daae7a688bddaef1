"""Steps of neurons, place by place, and the operations that end in them."""

from __future__ import annotations

import numpy as np
from numba import njit

from tospike.kernels.delta.intrinsics import carray, pointer
from tospike.kernels.spiking.basic import (
    IN_BYTES,
    IN_CONSTANT,
    OUT,
    OUT_BYTES,
    P_OUT,
    PY,
    SAMPLES,
    STEPS,
    STRIDE_OUT,
    SY,
    W_OUT,
    WORDS_OUT,
    P,
    source,
)
from tospike.kernels.spiking.gather import POINTERS, currents, gather, reach, shape_of, touch
from tospike.kernels.spiking.intrinsics import hard_2, hard_late_2, soft_2, soft_4, soft_late_2
from tospike.kernels.spiking.places import HARD, SOFT, SOFT_LATE, Frame, Place
from tospike.kernels.spiking.synapses import CURRENT, EVENT

V, THRESHOLD, DECAY, GAIN = (
    int(Place.V), int(Place.THRESHOLD), int(Place.DECAY), int(Place.GAIN),
)  # fmt: skip
PARAMETER_STRIDE, RESET, RESET_KIND, INITIAL, INITIAL_STRIDE, SPARE_AT = (
    int(Place.PARAMETER_STRIDE), int(Place.RESET), int(Place.RESET_KIND), int(Place.INITIAL),
    int(Place.INITIAL_STRIDE), int(Place.SPARE_AT),
)  # fmt: skip
BLOCKS, BLOCKS_FROM, BLOCK, CURRENT_AT, TOUCHED_AT, IDLE_AT, IDLE_V_AT, IDLE_BITS_AT = (
    int(Place.BLOCKS), int(Place.BLOCKS_FROM), int(Place.BLOCK), int(Place.CURRENT_AT),
    int(Place.TOUCHED_AT), int(Place.IDLE_AT), int(Place.IDLE_V_AT), int(Place.IDLE_BITS_AT),
)  # fmt: skip
FRESH, LAST = int(Frame.FRESH), int(Frame.LAST)

_F32, _I32, _I64 = np.float32(0), np.int32(0), np.int64(0)
_njit = njit(cache=True, nogil=True, boundscheck=False, error_model="numpy")


@_njit
def _fire(kind, bytes_, current, skip, v, to, threshold, decay, gain, reset, out, step, steps):  # type: ignore[no-untyped-def]
    """All steps of neurons with ``bytes_`` of potentials, a multiple of 64; see ``intrinsics``."""
    b = 0
    if kind == SOFT:
        while b + 128 <= bytes_:
            soft_4(
                current + b, skip, v + b, to + b, threshold + b, decay + b, gain + b, reset,
                out + b // 32, step, steps,
            )  # fmt: skip
            b += 128
        if b < bytes_:
            soft_2(
                current + b, skip, v + b, to + b, threshold + b, decay + b, gain + b, reset,
                out + b // 32, step, steps,
            )  # fmt: skip
    elif kind == HARD:
        for b in range(0, bytes_, 64):
            hard_2(
                current + b, skip, v + b, to + b, threshold + b, decay + b, gain + b, reset,
                out + b // 32, step, steps,
            )  # fmt: skip
    elif kind == SOFT_LATE:
        for b in range(0, bytes_, 64):
            soft_late_2(
                current + b, skip, v + b, to + b, threshold + b, decay + b, gain + b, reset,
                out + b // 32, step, steps,
            )  # fmt: skip
    else:
        for b in range(0, bytes_, 64):
            hard_late_2(
                current + b, skip, v + b, to + b, threshold + b, decay + b, gain + b, reset,
                out + b // 32, step, steps,
            )  # fmt: skip


@_njit
def potentials(row, frame, n, first, scratch):  # type: ignore[no-untyped-def]
    """Where the potentials before and after are from place ``first`` on, and bytes per place.

    In the first steps of a run they begin with the initial ones; after its last steps nobody needs
    them, and all places write to the same scratch.
    """
    bytes_ = 4 * row[STRIDE_OUT]
    kept = row[V] + bytes_ * (n * row[P_OUT] + first)
    to, to_step = scratch + row[SPARE_AT], 0
    if not frame[LAST]:
        to, to_step = kept, bytes_
    if frame[FRESH]:
        return row[INITIAL] + 4 * row[INITIAL_STRIDE] * first, 4 * row[INITIAL_STRIDE], to, to_step
    return kept, bytes_, to, to_step


# Below, what a row holds is read before the loops: every store could change it for the compiler.


@_njit
def fire_places(row, frame, n, first, last, scratch):  # type: ignore[no-untyped-def]
    """All steps of the neurons of places ``first`` to ``last`` that get their currents ready."""
    kind, bytes_ = row[RESET_KIND], 4 * row[STRIDE_OUT]
    current = source(row, frame, 0, n) + bytes_ * first
    skip = 0 if row[IN_CONSTANT] else frame[SAMPLES] * row[IN_BYTES]
    v, v_step, to, to_step = potentials(row, frame, n, first, scratch)
    shift, reset = 4 * row[PARAMETER_STRIDE], carray(pointer(row[RESET], _F32), 1)[0]
    out, words = row[OUT] + n * row[OUT_BYTES] + 8 * row[WORDS_OUT] * first, 8 * row[WORDS_OUT]
    step, steps = frame[SAMPLES] * row[OUT_BYTES], frame[STEPS]
    threshold, decay, gain = row[THRESHOLD], row[DECAY], row[GAIN]
    for p in range(first, last):
        at = shift * p
        _fire(
            kind, bytes_, current, skip, v, to, threshold + at, decay + at, gain + at, reset,
            out, step, steps,
        )  # fmt: skip
        current += bytes_
        v += v_step
        to += to_step
        out += words


@_njit
def copy_floats(source_, target, size):  # type: ignore[no-untyped-def]
    """``size`` float32 from one address to another."""
    a, b = carray(pointer(source_, _F32), size), carray(pointer(target, _F32), size)
    for i in range(size):
        b[i] = a[i]


@_njit
def blocks_of(row, frame):  # type: ignore[no-untyped-def]
    """Into how many blocks of channels a call cuts the layer."""
    return row[BLOCKS] if frame[STEPS] * frame[SAMPLES] >= row[BLOCKS_FROM] else 1


@_njit
def channels_of(row, frame, block):  # type: ignore[no-untyped-def]
    """(first, last) channel of a block, in the lanes of a tensor of floats."""
    if blocks_of(row, frame) <= 1:
        return 0, row[STRIDE_OUT]
    return block * row[BLOCK], min((block + 1) * row[BLOCK], row[STRIDE_OUT])


@_njit
def paths(row, frame, n):  # type: ignore[no-untyped-def]
    """(steps of a sample, how many of them go event-driven)."""
    samples, steps = frame[SAMPLES], 1 if row[IN_CONSTANT] else frame[STEPS]
    event = carray(pointer(row[EVENT], _I64), steps * samples)
    some = 0
    for t in range(steps):
        some += event[t * samples + n] != 0
    return steps, some


@_njit
def mark_row(row, shape, frame, n, y, first, last, touched):  # type: ignore[no-untyped-def]
    """Places ``first`` to ``last`` of output row y that events reach: at any step in the first row
    of ``touched`` (address of int32), then step by step.
    """
    samples, steps, width = frame[SAMPLES], 1 if row[IN_CONSTANT] else frame[STEPS], row[W_OUT]
    event = carray(pointer(row[EVENT], _I64), steps * samples)
    pointers, size, y0 = row[POINTERS], 4 * (row[P] + 1), y * row[SY] - row[PY]
    whole = carray(pointer(touched + 4 * first, _I32), last - first)
    whole[:] = 0
    for t in range(steps):
        slot = t * samples + n
        if event[slot]:
            at = touched + 4 * width * (t + 1)
            touch(pointers + slot * size, shape, y0, first, last, at)
            marks = carray(pointer(at + 4 * first, _I32), last - first)
            for x in range(last - first):
                whole[x] |= marks[x]


@_njit
def synapse_places(row, frame, n, first, last, block, scratch):  # type: ignore[no-untyped-def]
    """All steps of the synapses that end in places ``first`` to ``last``; their currents."""
    steps, some = paths(row, frame, n)
    if not some:
        return
    samples, shape, width = frame[SAMPLES], shape_of(row), row[W_OUT]
    event = carray(pointer(row[EVENT], _I64), steps * samples)
    bytes_, out, slot_bytes = 4 * row[STRIDE_OUT], row[OUT], row[OUT_BYTES]
    lower, upper = channels_of(row, frame, block)
    down, pad = row[SY], row[PY]
    idle, touched = scratch + row[IDLE_AT], scratch + row[TOUCHED_AT]
    marks = carray(pointer(touched, _I32), width * (steps + 1))
    currents(row, 0, lower, upper, idle, scratch)
    p = first
    while p < last:
        y = p // width
        x, end = p - y * width, min(last - y * width, width)
        mark_row(row, shape, frame, n, y, x, end, touched)
        while x < end:
            runs = reach(row, shape, y * down - pad, x, scratch) if marks[x] else 0
            for t in range(steps):
                slot = t * samples + n
                if not event[slot]:
                    continue
                to = out + slot * slot_bytes + bytes_ * p
                if marks[width * (t + 1) + x]:
                    k = gather(row, slot, runs, scratch)
                    currents(row, k, lower, upper, to, scratch)
                else:
                    copy_floats(idle + 4 * lower, to + 4 * lower, upper - lower)
            x += 1
            p += 1


@_njit
def fill(source_, step_from, target, step, words, places, apart, steps):  # type: ignore[no-untyped-def]
    """The same ``words`` of every step in ``places``, which lie ``apart`` bytes from each other."""
    for t in range(steps):
        one = carray(pointer(source_ + t * step_from, _I64), words)
        to = carray(pointer(target + t * step, _I64), places * apart // 8)
        if words == 1 and apart == 8:
            to[:] = one[0]
        else:
            for p in range(places):
                for w in range(words):
                    to[p * apart // 8 + w] = one[w]


@_njit
def place_currents(row, frame, n, x, y, shape, lower, upper, scratch):  # type: ignore[no-untyped-def]
    """Currents of a place at all steps, one row of the scratch each: of its events, of none, dense.

    ``lower``, ``upper``: channels. Which steps have events is known from :func:`mark_row`.
    """
    samples, steps, width, stride = frame[SAMPLES], frame[STEPS], row[W_OUT], 4 * row[STRIDE_OUT]
    event = carray(pointer(row[EVENT], _I64), steps * samples)
    marks = carray(pointer(scratch + row[TOUCHED_AT], _I32), width * (steps + 1))
    idle, to = scratch + row[IDLE_AT], scratch + row[CURRENT_AT]
    dense, bytes_ = row[CURRENT] + stride * (y * width + x), stride * row[P_OUT]
    runs = reach(row, shape, y * row[SY] - row[PY], x, scratch)
    for t in range(steps):
        slot = t * samples + n
        if event[slot] and marks[width * (t + 1) + x]:
            k = gather(row, slot, runs, scratch)
            currents(row, k, lower, upper, to, scratch)
        else:
            from_ = idle if event[slot] else dense + bytes_ * slot
            copy_floats(from_ + 4 * lower, to + 4 * lower, upper - lower)
        to += stride


@_njit
def fused_places(row, frame, n, first, last, block, scratch):  # type: ignore[no-untyped-def]
    """The same with the neurons behind them, whose currents never leave the scratch.

    Neurons that begin alike and get no event do alike: where all places of a channel have the same
    parameters and initial potentials, in the first steps of a run, those that no event reaches are
    computed once, and copied.
    """
    steps, some = paths(row, frame, n)
    lower, upper = channels_of(row, frame, block)
    shape, width, stride = shape_of(row), row[W_OUT], 4 * row[STRIDE_OUT]
    low, bytes_ = 4 * lower, 4 * (upper - lower)
    kind, words = row[RESET_KIND], 8 * row[WORDS_OUT]
    v, v_step, to, to_step = potentials(row, frame, n, first, scratch)
    v, to = v + low, to + low
    shift, reset = 4 * row[PARAMETER_STRIDE], carray(pointer(row[RESET], _F32), 1)[0]
    step = frame[SAMPLES] * row[OUT_BYTES]
    out = row[OUT] + n * row[OUT_BYTES] + words * first + lower // 8
    threshold, decay, gain = row[THRESHOLD] + low, row[DECAY] + low, row[GAIN] + low
    current, idle = scratch + row[CURRENT_AT] + low, scratch + row[IDLE_AT] + low
    idle_v, idle_bits = scratch + row[IDLE_V_AT] + low, scratch + row[IDLE_BITS_AT]
    marks = carray(pointer(scratch + row[TOUCHED_AT], _I32), width)
    block_words, keep = (upper - lower + 63) // 64, frame[LAST] == 0
    currents(row, 0, lower, upper, scratch + row[IDLE_AT], scratch)
    alike = last - first > 1 and some == steps and shift == 0 and row[INITIAL_STRIDE] == 0
    alike = alike and frame[FRESH] != 0
    if alike:
        carray(pointer(idle_bits, _I64), block_words * steps)[:] = 0
        _fire(
            kind, bytes_, idle, 0, v, idle_v, threshold, decay, gain, reset, idle_bits,
            8 * block_words, steps,
        )  # fmt: skip
    p = first
    while p < last:
        y = p // width
        x, end = p - y * width, min(last - y * width, width)
        mark_row(row, shape, frame, n, y, x, end, scratch + row[TOUCHED_AT])
        if alike:
            fill(idle_bits, 8 * block_words, out, step, block_words, end - x, words, steps)
        while x < end:
            quiet = some == steps and marks[x] == 0
            if quiet and alike:
                if keep:
                    copy_floats(idle_v, to, upper - lower)
            else:
                flow, skip, at = idle, 0, shift * p
                if not quiet:
                    place_currents(row, frame, n, x, y, shape, lower, upper, scratch)
                    flow, skip = current, stride
                _fire(
                    kind, bytes_, flow, skip, v, to, threshold + at, decay + at, gain + at, reset,
                    out, step, steps,
                )  # fmt: skip
            v, to, out, x, p = v + v_step, to + to_step, out + words, x + 1, p + 1
