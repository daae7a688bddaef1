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
    SAMPLES,
    STEPS,
    STRIDE_OUT,
    WORDS_OUT,
    source,
)
from tospike.kernels.spiking.intrinsics import hard_2, hard_late_2, soft_2, soft_4, soft_late_2
from tospike.kernels.spiking.places import HARD, SOFT, SOFT_LATE, Frame, Place
from tospike.kernels.spiking.synapses import CURRENT, CURRENT_AT, EVENT, currents, reach

FIRES, V, THRESHOLD, DECAY, GAIN = (
    int(Place.FIRES), int(Place.V), int(Place.THRESHOLD), int(Place.DECAY), int(Place.GAIN),
)  # fmt: skip
PARAMETER_STRIDE, RESET, RESET_KIND, INITIAL, INITIAL_STRIDE, SPARE_AT = (
    int(Place.PARAMETER_STRIDE), int(Place.RESET), int(Place.RESET_KIND), int(Place.INITIAL),
    int(Place.INITIAL_STRIDE), int(Place.SPARE_AT),
)  # fmt: skip
FRESH, LAST = int(Frame.FRESH), int(Frame.LAST)

_F32, _I64 = np.float32(0), np.int64(0)
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
def synapse_places(row, frame, n, first, last, scratch):  # type: ignore[no-untyped-def]
    """All steps of the synapses that end in places ``first`` to ``last``; their currents."""
    samples, steps = frame[SAMPLES], 1 if row[IN_CONSTANT] else frame[STEPS]
    event = carray(pointer(row[EVENT], _I64), steps * samples)
    some = False
    for t in range(steps):
        some |= event[t * samples + n] != 0
    if not some:
        return
    bytes_, out, slot_bytes = 4 * row[STRIDE_OUT], row[OUT], row[OUT_BYTES]
    for p in range(first, last):
        runs = reach(row, p, scratch)
        for t in range(steps):
            slot = t * samples + n
            if event[slot]:
                currents(row, slot, runs, out + slot * slot_bytes + bytes_ * p, scratch)


@_njit
def fused_places(row, frame, n, first, last, scratch):  # type: ignore[no-untyped-def]
    """The same with the neurons behind them, whose currents never leave the scratch."""
    samples, steps, bytes_ = frame[SAMPLES], frame[STEPS], 4 * row[STRIDE_OUT]
    event = carray(pointer(row[EVENT], _I64), steps * samples)
    current, dense, size = scratch + row[CURRENT_AT], row[CURRENT], row[STRIDE_OUT]
    kind, places = row[RESET_KIND], row[P_OUT]
    v, v_step, to, to_step = potentials(row, frame, n, first, scratch)
    words = 8 * row[WORDS_OUT]
    shift, reset = 4 * row[PARAMETER_STRIDE], carray(pointer(row[RESET], _F32), 1)[0]
    out, step = row[OUT] + n * row[OUT_BYTES] + words * first, samples * row[OUT_BYTES]
    threshold, decay, gain = row[THRESHOLD], row[DECAY], row[GAIN]
    some = False
    for t in range(steps):
        some |= event[t * samples + n] != 0
    for p in range(first, last):
        runs = reach(row, p, scratch) if some else 0
        for t in range(steps):
            slot = t * samples + n
            if event[slot]:
                currents(row, slot, runs, current + t * bytes_, scratch)
            else:
                copy_floats(dense + bytes_ * (slot * places + p), current + t * bytes_, size)
        at = shift * p
        _fire(
            kind, bytes_, current, bytes_, v, to, threshold + at, decay + at, gain + at, reset,
            out, step, steps,
        )  # fmt: skip
        v += v_step
        to += to_step
        out += words
