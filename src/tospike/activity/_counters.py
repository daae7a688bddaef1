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
def _count_line(line: Values, counter: NDArray[np.int32], channel: Counts) -> int:
    """One channel: adds to the counters of its positions and to ``channel`` (1,)."""
    inner = np.int32(0)
    non_finite = np.int32(0)
    not_binary = np.int32(0)
    for p in range(line.size):
        value = line[p]
        fires = np.int32(value != 0)
        inner += fires
        counter[p] += fires
        non_finite |= np.int32(value - value != 0)
        not_binary |= np.int32((value != 0) & (value != 1))
    channel[0] += inner
    return int(non_finite) * NON_FINITE + int(not_binary) * NOT_BINARY


@nb.njit(cache=True, nogil=True, error_model="numpy")
def _count_four(
    line_0: Values,
    line_1: Values,
    line_2: Values,
    line_3: Values,
    counter: NDArray[np.int32],
    channel: Counts,
) -> int:
    """:func:`_count_line` for four channels, with ``channel`` (4,): counters are touched once."""
    n0 = n1 = n2 = n3 = np.int32(0)
    non_finite = np.int32(0)
    not_binary = np.int32(0)
    for p in range(line_0.size):
        a, b, c, d = line_0[p], line_1[p], line_2[p], line_3[p]
        f0, f1 = np.int32(a != 0), np.int32(b != 0)
        f2, f3 = np.int32(c != 0), np.int32(d != 0)
        n0 += f0
        n1 += f1
        n2 += f2
        n3 += f3
        counter[p] += f0 + f1 + f2 + f3
        # x - x is 0 for finite x, and NaN otherwise
        non_finite |= np.int32((a - a) + (b - b) + (c - c) + (d - d) != 0)
        not_binary |= np.int32((a != 0) & (a != 1)) | np.int32((b != 0) & (b != 1))
        not_binary |= np.int32((c != 0) & (c != 1)) | np.int32((d != 0) & (d != 1))
    channel[0] += n0
    channel[1] += n1
    channel[2] += n2
    channel[3] += n3
    return int(non_finite) * NON_FINITE + int(not_binary) * NOT_BINARY


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
    flags = np.int32(0)
    fours = low + (high - low) // 4 * 4
    for row in range(rows):
        sample = row % n_samples if time_major else row // calls
        for start in range(0, positions, BLOCK):
            length = min(BLOCK, positions - start)
            stop = start + length
            counter[:length] = 0
            for c in range(low, fours, 4):
                # one line each: only these are known to be contiguous, and vectorised
                flags |= _count_four(
                    x[row, c, start:stop],
                    x[row, c + 1, start:stop],
                    x[row, c + 2, start:stop],
                    x[row, c + 3, start:stop],
                    counter,
                    channel[c : c + 4],
                )
            for c in range(fours, high):
                flags |= _count_line(x[row, c, start:stop], counter, channel[c : c + 1])
            total = np.int64(0)
            weighted = np.int64(0)
            for p in range(length):
                n = np.int64(counter[p])
                total += n
                weighted += n * fan_out[start + p]
                pixel[start + p] += n
            nonzero[sample] += total
            operations[sample] += weighted
    return int(flags)


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
def count_events(x: Values) -> tuple[int, int]:
    """(values that are not 0, flags) of a flat array."""
    flags = 0
    channel = np.zeros(1, np.int64)
    counter = np.zeros(BLOCK, np.int32)
    for start in range(0, x.size, BLOCK):
        flags |= _count_line(x[start : start + BLOCK], counter, channel)
    return int(channel[0]), flags


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
