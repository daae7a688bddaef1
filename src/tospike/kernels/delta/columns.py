"""Sums of the active columns of a matrix: where a delta network saves its memory traffic.

A column-major matrix is read column by column, and only the columns of elements that changed. Each
column is one burst of contiguous bytes. Eight columns are added at once, so that the sums are
loaded and stored once per eight.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from tospike.kernels.delta.intrinsics import (
    BLOCK,
    add_block,
    add_products,
    beyond,
    lowest_bit,
    widen,
)

#: no "nnan", "ninf": values that are not finite must stay visible
FAST = {"contract", "reassoc", "nsz", "arcp", "afn"}


@njit(cache=True, fastmath=FAST, nogil=True, boundscheck=False)
def differences(value, reference, delta):  # type: ignore[no-untyped-def]
    """``delta = value - reference`` in float32."""
    for j in range(value.shape[0]):
        delta[j] = value[j] - reference[j]


@njit(cache=True, fastmath=FAST, nogil=True, boundscheck=False)
def differences_fixed(value, reference, scale, limit, delta):  # type: ignore[no-untyped-def]
    """The same on the grid of 1/scale: int32, at most ``limit`` (the rest follows next step)."""
    for j in range(value.shape[0]):
        # Saturating first: an int32 of a huge float is undefined.
        scaled = min(max(value[j] * scale, np.float32(-1e9)), np.float32(1e9))
        difference = np.int32(np.rint(scaled)) - reference[j]
        delta[j] = min(max(difference, -limit), limit)


@njit(cache=True, nogil=True, boundscheck=False)
def active(difference, theta, index):  # type: ignore[no-untyped-def]
    """Writes to ``index`` where |difference| > theta; how many. theta of the same type.

    Sixteen elements are compared at once; only the places that are active cost time.
    """
    n, size = 0, difference.shape[0]
    address = difference.ctypes.data
    whole = size - size % BLOCK
    for j in range(0, whole, BLOCK):
        bits = beyond(address + 4 * j, theta)
        while bits:
            index[n] = j + lowest_bit(bits)
            n += 1
            bits &= bits - 1
    for j in range(whole, size):
        if abs(difference[j]) > theta:
            index[n] = j
            n += 1
    return n


@njit(cache=True, nogil=True, boundscheck=False)
def add_columns(weights, index, delta, n, sums):  # type: ignore[no-untyped-def]
    """``sums = weights[index[:n]].T @ delta[:n]`` in float32.

    weights (N, M), one column of the layer's matrix per row, float32, int8 (without its scale),
    uint16 (bfloat16) or int16 (float16); sums (M,) float32, overwritten.
    """
    add_rows(weights, index, delta, n, sums, 0, weights.shape[1])


@njit(cache=True, nogil=True, boundscheck=False)
def add_rows(weights, index, delta, n, sums, first, last):  # type: ignore[no-untyped-def]
    """:func:`add_columns` for the rows from ``first``, a multiple of 16, up to ``last``."""
    for i in range(first, last):
        sums[i] = np.float32(0)
    size = weights.shape[1] * weights.itemsize
    base, target, example = weights.ctypes.data, sums.ctypes.data, weights.dtype.type(0)
    whole = last - last % BLOCK
    for k in range(0, n, 8):
        # The last eight are filled up with the last column, times 0.
        columns = (
            _column(index, k, n), _column(index, k + 1, n), _column(index, k + 2, n),
            _column(index, k + 3, n), _column(index, k + 4, n), _column(index, k + 5, n),
            _column(index, k + 6, n), _column(index, k + 7, n),
        )  # fmt: skip
        deltas = (
            _delta(delta, k, n), _delta(delta, k + 1, n), _delta(delta, k + 2, n),
            _delta(delta, k + 3, n), _delta(delta, k + 4, n), _delta(delta, k + 5, n),
            _delta(delta, k + 6, n), _delta(delta, k + 7, n),
        )  # fmt: skip
        addresses = (
            base + columns[0] * size, base + columns[1] * size, base + columns[2] * size,
            base + columns[3] * size, base + columns[4] * size, base + columns[5] * size,
            base + columns[6] * size, base + columns[7] * size,
        )  # fmt: skip
        for i in range(first, whole, BLOCK):
            add_block(target, i, addresses, deltas, example)
        for i in range(whole, last):
            for one in range(8):
                sums[i] += deltas[one] * widen(weights[columns[one], i])


@njit(cache=True, inline="always")
def _column(index, k, n):  # type: ignore[no-untyped-def]
    return index[min(k, n - 1)]


@njit(cache=True, inline="always")
def _delta(delta, k, n):  # type: ignore[no-untyped-def]
    return delta[k] if k < n else np.float32(0)


@njit(cache=True, nogil=True, boundscheck=False)
def add_columns_exact(weights, index, delta, n, sums):  # type: ignore[no-untyped-def]
    """The same in exact int32 arithmetic: int8 weights, int16 deltas.

    M must be a multiple of 16, and ``index`` and ``delta`` at least 8 longer than n. The caller
    keeps 127 n max|delta| below 2^31.
    """
    fill_up(index, delta, n)
    add_rows_exact(weights, index, delta, n, sums, 0, weights.shape[1])


@njit(cache=True, nogil=True, boundscheck=False)
def fill_up(index, delta, n):  # type: ignore[no-untyped-def]
    """The last block of eight columns is filled up with deltas of 0."""
    for k in range(n, n + 8):
        delta[k] = 0
        index[k] = 0


@njit(cache=True, nogil=True, boundscheck=False)
def add_rows_exact(weights, index, delta, n, sums, first, last):  # type: ignore[no-untyped-def]
    """:func:`add_columns_exact` for the rows from ``first`` to ``last``, multiples of 16.

    ``index`` and ``delta`` are filled up.
    """
    m = weights.shape[1]
    for i in range(first, last):
        sums[i] = 0
    base, target = weights.ctypes.data, sums.ctypes.data
    for k in range(0, n, 8):
        w0, w1 = base + index[k] * m, base + index[k + 1] * m
        w2, w3 = base + index[k + 2] * m, base + index[k + 3] * m
        w4, w5 = base + index[k + 4] * m, base + index[k + 5] * m
        w6, w7 = base + index[k + 6] * m, base + index[k + 7] * m
        p0, p1 = _pair(delta[k], delta[k + 1]), _pair(delta[k + 2], delta[k + 3])
        p2, p3 = _pair(delta[k + 4], delta[k + 5]), _pair(delta[k + 6], delta[k + 7])
        for i in range(first, last, BLOCK):
            add_products(
                target + 4 * i, w0 + i, w1 + i, w2 + i, w3 + i, w4 + i, w5 + i, w6 + i, w7 + i,
                p0, p1, p2, p3,
            )  # fmt: skip


@njit(cache=True, inline="always")
def _pair(first, second):  # type: ignore[no-untyped-def]
    """Two int16 in one int32, the first in the low half."""
    return np.int32((np.int32(first) & np.int32(0xFFFF)) | (np.int32(second) << np.int32(16)))
