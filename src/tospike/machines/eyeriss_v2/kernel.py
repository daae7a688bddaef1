"""How long chains of PEs take with real tensors, in Numba; ``reference`` is the slow one."""

from __future__ import annotations

import numba as nb
import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Words = NDArray[np.int16]


@nb.njit(cache=True)
def uses_of(mask: NDArray[np.bool_], taps: int, stride: int, outputs: int) -> Ints:
    """How often a row uses its values that are not zero, at each tap of the filter.

    mask : (rows, width). Returns (rows, taps): output positions x of a row for which the value at
    column x * stride + tap is not zero.
    """
    found = np.zeros((mask.shape[0], taps), dtype=np.int64)
    for row in range(mask.shape[0]):
        for x in range(outputs):
            for tap in range(taps):
                if mask[row, x * stride + tap]:
                    found[row, tap] += 1
    return found


@nb.njit(cache=True)
def chain_cycles(
    uses: Ints, words: Words, channels: int, blocks: int, stride: int, out_rows: int
) -> Ints:
    """Cycles of the slowest PE of every chain.

    uses : (groups, images, channels, rows, taps) of :func:`uses_of`. words : (groups, sets,
    channels, filter rows, taps), words of weights per column. channels : C0 of a PE; blocks : of a
    chain. Returns (groups * sets, turns, images * out_rows).
    """
    groups, images, all_channels = uses.shape[0], uses.shape[1], uses.shape[2]
    sets = words.shape[1]
    turn = channels * blocks
    turns = (all_channels + turn - 1) // turn
    found = np.zeros((groups * sets, turns, images * out_rows), dtype=np.int64)
    for g in range(groups):
        for s in range(sets):
            for image in range(images):
                for e in range(out_rows):
                    _chains(
                        uses[g, image], words[g, s], channels, turn, e * stride,
                        found[g * sets + s, :, image * out_rows + e],
                    )  # fmt: skip
    return found


@nb.njit(cache=True)
def _chains(uses: Ints, words: Words, channels: int, turn: int, row: int, slowest: Ints) -> None:
    """Raise ``slowest`` (turns,) to the cycles of the PEs of one output row."""
    all_channels = uses.shape[0]
    for first in range(0, all_channels, channels):
        last = min(first + channels, all_channels)
        for r in range(words.shape[1]):
            cycles = 0
            for c in range(first, last):
                for tap in range(words.shape[2]):
                    cycles += uses[c, row + r, tap] * words[c, r, tap]
            if cycles > slowest[first // turn]:
                slowest[first // turn] = cycles


@nb.njit(cache=True)
def column_words(
    weights: NDArray[np.bool_], filters: int, simd: int, longest: int
) -> NDArray[np.int16]:
    """Words of ``simd`` pairs in each column of M0 weights, in CSC.

    weights : (groups, filters, channels, rows, taps), True where not zero. ``longest``: a run of
    that many zeros costs a pair of its own. Returns (groups, sets, channels, rows, taps).
    """
    groups, every, channels, rows, taps = weights.shape
    sets = (every + filters - 1) // filters
    found = np.zeros((groups, sets, channels, rows, taps), dtype=np.int16)
    gap = np.zeros((channels, rows, taps), dtype=np.int64)
    pairs = np.zeros((channels, rows, taps), dtype=np.int64)
    for g in range(groups):
        for s in range(sets):
            gap[:] = 0
            pairs[:] = 0
            for m in range(s * filters, min((s + 1) * filters, every)):
                for c in range(channels):
                    for r in range(rows):
                        for t in range(taps):
                            if weights[g, m, c, r, t]:
                                pairs[c, r, t] += 1 + gap[c, r, t] // longest
                                gap[c, r, t] = 0
                            else:
                                gap[c, r, t] += 1
            for c in range(channels):
                for r in range(rows):
                    for t in range(taps):
                        found[g, s, c, r, t] = (pairs[c, r, t] + simd - 1) // simd
    return found
