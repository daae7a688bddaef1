"""One time step of one layer and stream, fused: delta unit, active columns, memories, gates.

Nothing is allocated. Arrays of one layer and stream:

    x (I,), h, c (H,)       input and state, float32
    ref_x (I,), ref_h (H,)  what was last sent; float32, or int32 on the grid (integer accumulation)
    memory                  pre-activation memories; float64, or int64 (integer): in float32 their
                            rounding would add up over a long stream
    gates                   the memories in float32: (4 H,) for a GRU, (G H,) else
    sums (P,)               scratch; float32 or int32. P = padded rows
    index, delta            scratch, 8 longer than the longer of I and H
"""

from __future__ import annotations

import numpy as np
from numba import njit

from tospike.kernels.delta.activations import sigmoid, tanh
from tospike.kernels.delta.columns import (
    FAST,
    add_columns,
    add_columns_exact,
    changed,
    changed_fixed,
)

GRU, LSTM, TANH, RELU, LINEAR = range(5)


@njit(cache=True, fastmath=FAST, nogil=True, boundscheck=False)
def not_finite(x):  # type: ignore[no-untyped-def]
    """Number of elements that are NaN or infinite."""
    bad = 0
    for i in range(x.shape[0]):
        # abs(NaN) <= anything is false
        bad += not (abs(x[i]) <= np.float32(3.4028235e38))
    return bad


@njit(cache=True, fastmath=FAST, nogil=True, boundscheck=False)
def propagate(value, reference, theta, weights, scale, index, delta, sums):  # type: ignore[no-untyped-def]
    """Delta unit and active columns in float; number of elements sent."""
    n = changed(value, reference, theta, index, delta)
    for k in range(n):
        delta[k] *= scale[index[k]]
    add_columns(weights, index, delta, n, sums)
    return n


@njit(cache=True, fastmath=FAST, nogil=True, boundscheck=False)
def propagate_exact(value, reference, theta, grid, limit, weights, index, delta, sums):  # type: ignore[no-untyped-def]
    """Delta unit on the grid and active columns in exact integers; number of elements sent."""
    n = changed_fixed(value, reference, theta, grid, limit, index, delta)
    add_columns_exact(weights, index, delta, n, sums)
    return n


@njit(cache=True, fastmath=FAST, nogil=True, boundscheck=False)
def add_from_x(sums, memory):  # type: ignore[no-untyped-def]
    """What the inputs send reaches the memories in the order of the gates."""
    for i in range(sums.shape[0]):
        memory[i] += sums[i]


@njit(cache=True, fastmath=FAST, nogil=True, boundscheck=False)
def add_from_h(kind, size, sums, memory):  # type: ignore[no-untyped-def]
    """What the states send; the candidate of a GRU keeps it apart, behind all gates."""
    rows = 2 * size if kind == GRU else sums.shape[0]
    for i in range(rows):
        memory[i] += sums[i]
    if kind == GRU:
        for i in range(size):
            memory[3 * size + i] += sums[2 * size + i]


@njit(cache=True, fastmath=FAST, nogil=True, boundscheck=False)
def update(kind, memory, h, c):  # type: ignore[no-untyped-def]
    """New h (and c) from the memories, in place. memory float32, (4 H,) or (G H,)."""
    size = h.shape[0]
    if kind == GRU:
        for i in range(size):
            r, z = sigmoid(memory[i]), sigmoid(memory[size + i])
            n = tanh(memory[2 * size + i] + r * memory[3 * size + i])
            h[i] = n + z * (h[i] - n)
    elif kind == LSTM:
        for i in range(size):
            gate_i, gate_f = sigmoid(memory[i]), sigmoid(memory[size + i])
            c[i] = gate_f * c[i] + gate_i * tanh(memory[2 * size + i])
            h[i] = sigmoid(memory[3 * size + i]) * tanh(c[i])
    elif kind == TANH:
        for i in range(size):
            h[i] = tanh(memory[i])
    elif kind == RELU:
        for i in range(size):
            h[i] = max(memory[i], np.float32(0))
    else:
        for i in range(size):
            h[i] = memory[i]


@njit(cache=True, fastmath=FAST, nogil=True, boundscheck=False)
def step_float(  # type: ignore[no-untyped-def]
    kind, x, h, c, ref_x, ref_h, memory, gates, sums, index, delta,
    theta_x, theta_h, weights_x, scale_x, weights_h, scale_h, sent,
):  # fmt: skip
    """One step with float accumulation; ``sent`` (2,) int64 counts up. memory is flat, float64."""
    size = h.shape[0]
    n = propagate(x, ref_x, theta_x, weights_x, scale_x, index, delta, sums)
    sent[0] += n
    if n:
        add_from_x(sums[: gates.shape[0]] if kind != GRU else sums[: 3 * size], memory)
    if kind != LINEAR:
        n = propagate(h, ref_h, theta_h, weights_h, scale_h, index, delta, sums)
        sent[1] += n
        if n:
            add_from_h(kind, size, sums[: gates.shape[0]], memory)
    for i in range(gates.shape[0]):
        gates[i] = memory[i]
    update(kind, gates, h, c)


@njit(cache=True, fastmath=FAST, nogil=True, boundscheck=False)
def step_exact(  # type: ignore[no-untyped-def]
    kind, x, h, c, ref_x, ref_h, memory, gates, sums, index, delta,
    theta_x, theta_h, weights_x, scale_x, weights_h, scale_h, sent, grid, limit, bias,
):  # fmt: skip
    """One step with integer accumulation.

    memory (2, 4 H or G H) int64: sums of the inputs and of the states, which have different row
    scales; bias like gates. scale_x, scale_h (P,) float32 per row.
    """
    size = h.shape[0]
    n = propagate_exact(x, ref_x, theta_x, grid, limit, weights_x, index, delta, sums)
    sent[0] += n
    if n:
        for i in range(memory.shape[1]):
            memory[0, i] += sums[i]
    if kind != LINEAR:
        n = propagate_exact(h, ref_h, theta_h, grid, limit, weights_h, index, delta, sums)
        sent[1] += n
        if n:
            for i in range(memory.shape[1]):
                memory[1, i] += sums[i]
    step = np.float32(1) / grid
    plain = 2 * size if kind == GRU else gates.shape[0]
    for i in range(plain):
        total = step * scale_x[i] * np.float32(memory[0, i])
        if kind != LINEAR:
            total += step * scale_h[i] * np.float32(memory[1, i])
        gates[i] = bias[i] + total
    if kind == GRU:
        for i in range(2 * size, 3 * size):
            gates[i] = bias[i] + step * scale_x[i] * np.float32(memory[0, i])
            gates[i + size] = bias[i + size] + step * scale_h[i] * np.float32(memory[1, i])
    update(kind, gates, h, c)


@njit(cache=True, fastmath=FAST, nogil=True, boundscheck=False)
def run_float(  # type: ignore[no-untyped-def]
    kind, xs, out, h, c, ref_x, ref_h, memory, gates, sums, index, delta,
    theta_x, theta_h, weights_x, scale_x, weights_h, scale_h, sent,
):  # fmt: skip
    """All steps of one layer and stream: xs (T, I), out (T, H) is written."""
    for t in range(xs.shape[0]):
        step_float(
            kind, xs[t], h, c, ref_x, ref_h, memory, gates, sums, index, delta,
            theta_x, theta_h, weights_x, scale_x, weights_h, scale_h, sent,
        )  # fmt: skip
        out[t] = h


@njit(cache=True, fastmath=FAST, nogil=True, boundscheck=False)
def run_exact(  # type: ignore[no-untyped-def]
    kind, xs, out, h, c, ref_x, ref_h, memory, gates, sums, index, delta,
    theta_x, theta_h, weights_x, scale_x, weights_h, scale_h, sent, grid, limit, bias,
):  # fmt: skip
    """The same with integer accumulation."""
    for t in range(xs.shape[0]):
        step_exact(
            kind, xs[t], h, c, ref_x, ref_h, memory, gates, sums, index, delta,
            theta_x, theta_h, weights_x, scale_x, weights_h, scale_h, sent, grid, limit, bias,
        )  # fmt: skip
        out[t] = h
