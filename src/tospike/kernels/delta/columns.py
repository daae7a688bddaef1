"""Sums of the active columns of a matrix: where a delta network saves its memory traffic.

A column-major matrix is read column by column, and only the columns of elements that changed. Each
column is one burst of contiguous bytes. Eight columns are added at once, so that the sums are
loaded and stored once per eight.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from tospike.kernels.delta.intrinsics import BLOCK, add_products, widen

#: no "nnan", "ninf": values that are not finite must stay visible
FAST = {"contract", "reassoc", "nsz", "arcp", "afn"}


@njit(cache=True, fastmath=FAST, nogil=True, boundscheck=False)
def changed(value, reference, theta, index, delta):  # type: ignore[no-untyped-def]
    """Delta unit: writes ``index`` and ``delta`` of what is sent, updates ``reference``; count.

    value, reference (N,) float32; index (>= N,) int64; delta (>= N,) float32.
    """
    n = 0
    for j in range(value.shape[0]):
        difference = value[j] - reference[j]
        # Without a branch: at half activity a predictor would be wrong half of the time.
        index[n] = j
        delta[n] = difference
        if abs(difference) > theta:
            reference[j] = value[j]
            n += 1
    return n


@njit(cache=True, fastmath=FAST, nogil=True, boundscheck=False)
def changed_fixed(value, reference, theta, scale, limit, index, delta):  # type: ignore[no-untyped-def]
    """Delta unit on the grid of 1/scale: int16 deltas, references as int32 on the same grid.

    A delta beyond ``limit`` is sent as ``limit``: the rest follows in the next step.
    """
    n = 0
    for j in range(value.shape[0]):
        # Saturating first: an int32 of a huge float is undefined.
        scaled = min(max(value[j] * scale, np.float32(-1e9)), np.float32(1e9))
        difference = np.int32(np.rint(scaled)) - reference[j]
        difference = min(max(difference, -limit), limit)
        index[n] = j
        delta[n] = difference
        if abs(difference) > theta:
            reference[j] += difference
            n += 1
    return n


@njit(cache=True, fastmath=FAST, nogil=True, boundscheck=False)
def add_columns(weights, index, delta, n, sums):  # type: ignore[no-untyped-def]
    """``sums = weights[index[:n]].T @ delta[:n]`` in float32.

    weights (N, M), one column of the layer's matrix per row, float32, int8 (its scale folded into
    delta), uint16 (bfloat16) or int16 (float16); sums (M,) float32, overwritten.
    """
    m = weights.shape[1]
    for i in range(m):
        sums[i] = np.float32(0)
    k = 0
    while k + 8 <= n:
        w0, w1 = weights[index[k]], weights[index[k + 1]]
        w2, w3 = weights[index[k + 2]], weights[index[k + 3]]
        w4, w5 = weights[index[k + 4]], weights[index[k + 5]]
        w6, w7 = weights[index[k + 6]], weights[index[k + 7]]
        d0, d1, d2, d3 = delta[k], delta[k + 1], delta[k + 2], delta[k + 3]
        d4, d5, d6, d7 = delta[k + 4], delta[k + 5], delta[k + 6], delta[k + 7]
        for i in range(m):
            sums[i] += (
                (d0 * widen(w0[i]) + d1 * widen(w1[i])) + (d2 * widen(w2[i]) + d3 * widen(w3[i]))
            ) + ((d4 * widen(w4[i]) + d5 * widen(w5[i])) + (d6 * widen(w6[i]) + d7 * widen(w7[i])))
        k += 8
    while k < n:
        w0, d0 = weights[index[k]], delta[k]
        for i in range(m):
            sums[i] += d0 * widen(w0[i])
        k += 1


@njit(cache=True, nogil=True, boundscheck=False)
def add_columns_exact(weights, index, delta, n, sums):  # type: ignore[no-untyped-def]
    """The same in exact int32 arithmetic: int8 weights, int16 deltas.

    M must be a multiple of 16, and ``index`` and ``delta`` at least 8 longer than n. The caller
    keeps 127 n max|delta| below 2^31.
    """
    m = weights.shape[1]
    for i in range(m):
        sums[i] = 0
    # The last block is filled up with deltas of 0.
    for k in range(n, n + 8):
        delta[k] = 0
        index[k] = 0
    base, target = weights.ctypes.data, sums.ctypes.data
    for k in range(0, n, 8):
        w0, w1 = base + index[k] * m, base + index[k + 1] * m
        w2, w3 = base + index[k + 2] * m, base + index[k + 3] * m
        w4, w5 = base + index[k + 4] * m, base + index[k + 5] * m
        w6, w7 = base + index[k + 6] * m, base + index[k + 7] * m
        p0, p1 = _pair(delta[k], delta[k + 1]), _pair(delta[k + 2], delta[k + 3])
        p2, p3 = _pair(delta[k + 4], delta[k + 5]), _pair(delta[k + 6], delta[k + 7])
        for i in range(0, m, BLOCK):
            add_products(
                target + 4 * i, w0 + i, w1 + i, w2 + i, w3 + i, w4 + i, w5 + i, w6 + i, w7 + i,
                p0, p1, p2, p3,
            )  # fmt: skip


@njit(cache=True, inline="always")
def _pair(first, second):  # type: ignore[no-untyped-def]
    """Two int16 in one int32, the first in the low half."""
    return np.int32((np.int32(first) & np.int32(0xFFFF)) | (np.int32(second) << np.int32(16)))
