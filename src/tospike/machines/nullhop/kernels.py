"""The inner loop of the simulation, in Numba: one pass over the input of one layer.

Source of the scheme: Aimar 2018 (pixels of a stripe of kh + 1 rows are read column by column and
skipped if zero; each controller multiplies a pixel with all kernel positions that it meets; two
output rows at a time); the chip's public test bench model (groups hand over a column together).
"""

from __future__ import annotations

import numba as nb
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

#: places in the result of :func:`run_pass`: BUSY is the sum over all groups, WORDS are read from
#: the input memory
END, BUSY, IMBALANCE, INPUT, DECODE, OUTPUT, WORDS = range(7)


@nb.njit(cache=True)
def outputs_met(position: int, first: int, last: int, kernel: int, stride: int) -> int:
    """Outputs first..last-1 (of one axis) whose window holds a padded input position."""
    low = position - kernel + 1
    low = 0 if low <= 0 else (low + stride - 1) // stride
    high = position // stride + 1
    found = min(high, last) - max(low, first)
    return found if found > 0 else 0


@nb.njit(cache=True)
def _fetch(
    words: Floats, before: Floats, ends: Floats, loaded: Floats, place: Ints, port: float,
    last: int, step: int, padding: int, start: float, word_time: float, capacity: float,
) -> float:  # fmt: skip
    """Load rows up to ``last`` (exclusive); the cycle at which the port is through.

    A row comes in as soon as the rows that no stripe needs any more make room for it. ``place``
    keeps the next row and the stripe whose end it waits for; ``step``: rows between two stripes.
    """
    while place[0] < last:
        row = place[0]
        while before[row + 1] - before[min(row, max(0, place[1] * step - padding))] > capacity:
            place[1] += 1
        room = start if place[1] == 0 else ends[place[1] - 1]
        port = max(port, room) + words[row] * word_time
        loaded[row] = np.ceil(port)
        place[0] += 1
    return port


@nb.njit(cache=True)
def _columns(
    counts: Floats, row_times: Floats, first: int, last: int, emitted: Floats,
    kernel: int, padding: int, stride: int, begin: float, encoder: float, out_time: float,
    result: Floats,
) -> tuple[float, float]:  # fmt: skip
    """One stripe, column by column; (the MACs are through, the encoder is free).

    A group completes a column when its products are done and its output register is free: when
    all groups have completed the column before and the encoder has taken it.
    """
    groups, width = counts.shape[0], counts.shape[2]
    own, free = np.full(groups, begin), np.full(groups, begin)  # free: if the encoder never waits
    hand, hand_free, column, total = begin, begin, 0, 0.0
    for position in range(width + 2 * padding):
        met = outputs_met(position, 0, emitted.size, kernel, stride)
        x = position - padding
        if met > 0 and 0 <= x < width:
            for g in range(groups):
                cycles = 0.0
                for row in range(first, last):
                    cycles += counts[g, row, x] * row_times[row]
                total += cycles * met
                own[g] += cycles * met
                free[g] += cycles * met
        if column < emitted.size and position == column * stride + kernel - 1:
            slowest, slowest_free = begin, begin
            for g in range(groups):
                own[g] = max(own[g], hand)
                free[g] = max(free[g], hand_free)
                slowest = max(slowest, own[g])
                slowest_free = max(slowest_free, free[g])
            hand = max(slowest, encoder)
            hand_free = slowest_free
            encoder = hand + np.ceil(emitted[column] * out_time)
            column += 1
    result[BUSY] += total
    result[IMBALANCE] += hand_free - begin - total / groups
    result[OUTPUT] += hand - hand_free
    return hand, encoder


@nb.njit(cache=True)
def run_pass(
    counts: Floats, words: Floats, emitted: Floats,
    kernel: int, padding: int, stride: int, out_rows: int, stripe: int,
    start: float, load: bool, word_time: float, out_time: float, decode_rate: float,
    capacity: float,
) -> Floats:  # fmt: skip
    """One pass. ``counts`` (groups, H, W) of non-zero pixels; ``words`` (H,) of the stream of each
    input row; ``emitted`` (stripes, output columns): words that leave with an output column.

    ``start``: the first cycle after the kernels are loaded. ``load``: the input comes from
    outside; else it is in the input memory. ``capacity``: words of that memory. Times in cycles.
    The window of every stripe must fit into the memory: the caller has checked it.
    """
    height = counts.shape[1]
    stripes = emitted.shape[0]
    result = np.zeros(7)
    loaded, row_times = np.zeros(height), np.zeros(height)
    ends = np.zeros(stripes)  # cycle at which the MACs are through with a stripe
    before = np.zeros(height + 1)  # words of all rows above
    before[1:] = np.cumsum(words)
    place = np.zeros(2, np.int64)
    now, encoder, port = start, start, start
    for t in range(stripes):
        top, below = t * stripe, min((t + 1) * stripe, out_rows)
        first = max(0, top * stride - padding)
        last = min(height, (below - 1) * stride + kernel - padding)
        if load:
            port = _fetch(words, before, ends, loaded, place, port, last, stripe * stride,
                          padding, start, word_time, capacity)  # fmt: skip
            if last > 0 and loaded[last - 1] > now:
                result[INPUT] += loaded[last - 1] - now
                now = loaded[last - 1]
        longest = 0.0
        for row in range(first, last):
            row_times[row] = outputs_met(row + padding, top, below, kernel, stride)
            result[WORDS] += words[row]
            longest = max(longest, words[row])
        hand, encoder = _columns(counts, row_times, first, last, emitted[t], kernel, padding,
                                 stride, now, encoder, out_time, result)  # fmt: skip
        now = max(hand, now + np.ceil(longest / decode_rate))
        result[DECODE] += now - hand
        ends[t] = now
    result[OUTPUT] += max(0.0, encoder - now)
    result[END] = max(now, encoder)
    return result
