"""Numba kernels of the accumulator: one pass over a tensor gives every count.

They release the interpreter lock, are cached on disk, and take only C-contiguous arrays. Counts
are 64-bit integers, so that no order of summation can change a result.
"""

from __future__ import annotations

from typing import Any

import numba as nb
import numpy as np
from numpy.typing import NDArray

Counts = NDArray[np.int64]
Values = NDArray[Any]

#: positions counted at a time: the row of counters stays in the first-level cache
BLOCK = 2048

#: bits of the flag that the kernels return
NON_FINITE = 1
NOT_BINARY = 2


@nb.njit(cache=True, nogil=True, error_model="numpy")
def count_channels_first(
    x: Values,
    fan_out: Counts,
    calls: int,
    n_samples: int,
    time_major: bool,
    low: int,
    high: int,
    nonzero: Counts,
    operations: Counts,
    channel: Counts,
    pixel: Counts,
) -> int:
    """Counts of ``x`` (rows, C, P), added to the given arrays; returns the flags.

    Only ``low:high`` of the second axis is read, so that threads can share one array. ``fan_out``
    (P,) operations that one non-zero value at a position causes; ``nonzero``,
    ``operations`` (samples,); ``channel`` (C,); ``pixel`` (P,).
    """
    rows, _, positions = x.shape
    counter = np.zeros(BLOCK, np.int32)
    non_finite = np.int32(0)
    not_binary = np.int32(0)
    for row in range(rows):
        sample = row % n_samples if time_major else row // calls
        for start in range(0, positions, BLOCK):
            length = min(BLOCK, positions - start)
            counter[:length] = 0
            for c in range(low, high):
                line = x[row, c, start : start + length]
                inner = np.int32(0)
                for p in range(length):
                    value = line[p]
                    fires = np.int32(value != 0)
                    inner += fires
                    counter[p] += fires
                    non_finite |= np.int32(value - value != 0)
                    not_binary |= np.int32((value != 0) & (value != 1))
                channel[c] += inner
            total = np.int64(0)
            weighted = np.int64(0)
            for p in range(length):
                n = np.int64(counter[p])
                total += n
                weighted += n * fan_out[start + p]
                pixel[start + p] += n
            nonzero[sample] += total
            operations[sample] += weighted
    return int(non_finite) * NON_FINITE + int(not_binary) * NOT_BINARY


@nb.njit(cache=True, nogil=True, error_model="numpy")
def count_channels_last(
    x: Values,
    fan_out: Counts,
    calls: int,
    n_samples: int,
    time_major: bool,
    low: int,
    high: int,
    nonzero: Counts,
    operations: Counts,
    channel: Counts,
    pixel: Counts,
) -> int:
    """The same for ``x`` (rows, P, C)."""
    rows, _, n_channels = x.shape
    counter = np.zeros(n_channels, np.int32)
    non_finite = np.int32(0)
    not_binary = np.int32(0)
    for row in range(rows):
        sample = row % n_samples if time_major else row // calls
        counter[:] = 0
        for p in range(low, high):
            line = x[row, p]
            inner = np.int32(0)
            for c in range(n_channels):
                value = line[c]
                fires = np.int32(value != 0)
                inner += fires
                counter[c] += fires
                non_finite |= np.int32(value - value != 0)
                not_binary |= np.int32((value != 0) & (value != 1))
            nonzero[sample] += inner
            operations[sample] += inner * fan_out[p]
            pixel[p] += inner
        for c in range(n_channels):
            channel[c] += counter[c]
    return int(non_finite) * NON_FINITE + int(not_binary) * NOT_BINARY


@nb.njit(cache=True, nogil=True, error_model="numpy")
def count_transmitted(x: Values, threshold: float, reference: Values, sent: Counts) -> None:
    """Values of ``x`` (T, B, F) that differ from the last transmitted value by more than Theta.

    ``reference`` (B, F) is the last transmitted value of each stream and is updated (it starts
    from 0 in Neil 2017, eq. 4, and Gao 2020, EdgeDRNN); ``sent`` (B,) is added to.
    """
    steps, batch, features = x.shape
    for t in range(steps):
        for b in range(batch):
            count = np.int32(0)
            for f in range(features):
                value = x[t, b, f]
                moved = abs(value - reference[b, f]) > threshold
                count += np.int32(moved)
                reference[b, f] = value if moved else reference[b, f]
            sent[b] += count


@nb.njit(cache=True, nogil=True, error_model="numpy")
def count_products(a: Values, b: Values, pairs: Counts) -> None:
    """Products of ``a`` (N, M, K) and ``b`` (N, K, P) in which both operands are non-zero.

    Added to ``pairs`` (1,). sum_k nonzero(a[:, k]) * nonzero(b[k, :]), without the product itself.
    """
    n_matrices, m, k = a.shape
    p = b.shape[2]
    for n in range(n_matrices):
        columns = np.zeros(k, np.int64)
        for i in range(m):
            for j in range(k):
                columns[j] += np.int64(a[n, i, j] != 0)
        for j in range(k):
            count = np.int64(0)
            for q in range(p):
                count += np.int64(b[n, j, q] != 0)
            pairs[0] += columns[j] * count


@nb.njit(cache=True, nogil=True, error_model="numpy")
def welford(state: NDArray[np.float64], values: NDArray[np.float64]) -> None:
    """Running (n, mean, sum of squared deviations), in the order of the samples.

    One sample after the other: the result has the same bits for every batch size.
    """
    for i in range(values.size):
        value = values[i]
        state[0] += 1
        delta = value - state[1]
        state[1] += delta / state[0]
        state[2] += delta * (value - state[1])
