"""Sums of the active columns of a matrix: where a delta network saves its memory traffic.

A column-major matrix is read column by column, and only the columns of elements that changed. Each
column is one burst of contiguous bytes. Eight columns are added at once, so that the sums are
loaded and stored once per eight; what is left is added by four, two and one.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from tospike.kernels.delta.intrinsics import (
    BLOCK,
    WIDE,
    add_block,
    add_products,
    append_beyond,
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

    ``index`` is at least 8 longer than ``difference``.
    """
    n, size = 0, difference.shape[0]
    address, target = difference.ctypes.data, index.ctypes.data
    whole = size - size % 8
    for j in range(0, whole, 8):
        n += append_beyond(address + 4 * j, theta, j, target + 8 * n)
    for j in range(whole, size):
        if abs(difference[j]) > theta:
            index[n] = j
            n += 1
    return n


@njit(cache=True, nogil=True, boundscheck=False)
def add_columns(weights, index, delta, n, sums):  # type: ignore[no-untyped-def]
    """``sums = weights[index[:n]].T @ delta[:n]`` in float32.

    weights (N, M), one column of the layer's matrix per row, float32, int8 (without its scale; the
    deltas divided by :data:`~intrinsics.INT8_UNIT`), uint16 (bfloat16) or int16 (float16); sums
    (M,) float32, overwritten. M must be a multiple of 16, with int8 of 32.
    """
    block = WIDE if weights.itemsize == 1 else BLOCK
    add_rows(weights, index, delta, n, sums, 0, weights.shape[1], block)


@njit(cache=True, nogil=True, boundscheck=False)
def add_rows(weights, index, delta, n, sums, first, last, block):  # type: ignore[no-untyped-def]
    """:func:`add_columns` for the rows from ``first`` to ``last``, multiples of ``block``."""
    for i in range(first, last):
        sums[i] = np.float32(0)
    size = weights.shape[1] * weights.itemsize
    base, target, example = weights.ctypes.data, sums.ctypes.data, weights.dtype.type(0)
    k = 0
    while n - k >= 8:
        columns = (
            base + index[k] * size, base + index[k + 1] * size,
            base + index[k + 2] * size, base + index[k + 3] * size,
            base + index[k + 4] * size, base + index[k + 5] * size,
            base + index[k + 6] * size, base + index[k + 7] * size,
        )  # fmt: skip
        deltas = (
            delta[k], delta[k + 1], delta[k + 2], delta[k + 3],
            delta[k + 4], delta[k + 5], delta[k + 6], delta[k + 7],
        )  # fmt: skip
        for i in range(first, last, block):
            add_block(target, i, columns, deltas, example)
        k += 8
    if n - k >= 4:
        four = (
            base + index[k] * size, base + index[k + 1] * size,
            base + index[k + 2] * size, base + index[k + 3] * size,
        )  # fmt: skip
        factors = (delta[k], delta[k + 1], delta[k + 2], delta[k + 3])
        for i in range(first, last, block):
            add_block(target, i, four, factors, example)
        k += 4
    if n - k >= 2:
        two = (base + index[k] * size, base + index[k + 1] * size)
        for i in range(first, last, block):
            add_block(target, i, two, (delta[k], delta[k + 1]), example)
        k += 2
    if k < n:
        for i in range(first, last, block):
            add_block(target, i, (base + index[k] * size,), (delta[k],), example)


@njit(cache=True, nogil=True, boundscheck=False)
def add_columns_exact(weights, index, delta, n, sums):  # type: ignore[no-untyped-def]
    """The same in exact int32 arithmetic: int8 weights, int16 deltas.

    M must be a multiple of 32, and ``index`` and ``delta`` at least 1 longer than n. The caller
    keeps 127 n max|delta| below 2^31.
    """
    fill_up(index, delta, n)
    add_rows_exact(weights, index, delta, n, sums, 0, weights.shape[1])


@njit(cache=True, nogil=True, boundscheck=False)
def fill_up(index, delta, n):  # type: ignore[no-untyped-def]
    """An odd number of columns is filled up with a delta of 0."""
    delta[n] = 0
    index[n] = 0


@njit(cache=True, nogil=True, boundscheck=False)
def add_rows_exact(weights, index, delta, n, sums, first, last):  # type: ignore[no-untyped-def]
    """:func:`add_columns_exact` for the rows from ``first`` to ``last``, multiples of 32.

    ``index`` and ``delta`` are filled up.
    """
    m = weights.shape[1]
    for i in range(first, last):
        sums[i] = 0
    base, target = weights.ctypes.data, sums.ctypes.data
    k = 0
    while n - k > 6:
        columns = (
            base + index[k] * m, base + index[k + 1] * m,
            base + index[k + 2] * m, base + index[k + 3] * m,
            base + index[k + 4] * m, base + index[k + 5] * m,
            base + index[k + 6] * m, base + index[k + 7] * m,
        )  # fmt: skip
        pairs = (
            _pair(delta[k], delta[k + 1]), _pair(delta[k + 2], delta[k + 3]),
            _pair(delta[k + 4], delta[k + 5]), _pair(delta[k + 6], delta[k + 7]),
        )  # fmt: skip
        for i in range(first, last, WIDE):
            add_products(target, i, columns, pairs)
        k += 8
    while k < n:
        two = (base + index[k] * m, base + index[k + 1] * m)
        pair = (_pair(delta[k], delta[k + 1]),)
        for i in range(first, last, WIDE):
            add_products(target, i, two, pair)
        k += 2


@njit(cache=True, inline="always")
def _pair(first, second):  # type: ignore[no-untyped-def]
    """Two int16 in one int32, the first in the low half."""
    return np.int32((np.int32(first) & np.int32(0xFFFF)) | (np.int32(second) << np.int32(16)))
