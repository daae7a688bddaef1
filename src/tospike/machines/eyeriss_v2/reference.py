"""One PE and one chain, slowly, as the paper describes them (Chen 2019, IV-A, Fig. 15 to 17)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tospike.machines.eyeriss_v2.csc import Csc, encode


def pe_row(
    iacts: NDArray[np.generic],
    weights: NDArray[np.generic],
    stride: int,
    simd: int,
    count_bits: int,
) -> tuple[int, NDArray[np.float64]]:
    """(cycles, psums) of one PE for one output row.

    iacts : (C0, W). weights : (M0, C0, S), kept as a matrix of M0 rows and C0 x S columns in CSC.
    psums : (M0, F). Only values that are not zero are read; each word of ``simd`` weights takes a
    cycle.
    """
    m0, c0, taps = weights.shape
    matrix = weights.reshape(m0, c0 * taps)
    packed = encode(np.ascontiguousarray(matrix.T), m0, count_bits)
    outputs = (iacts.shape[1] - taps) // stride + 1
    psums = np.zeros((m0, outputs))
    cycles = 0
    for x in range(outputs):
        for c in range(c0):
            for tap in range(taps):
                value = iacts[c, x * stride + tap]
                if value != 0:
                    cycles += _column(packed, c * taps + tap, float(value), psums[:, x], simd)
    return cycles, psums


def _column(packed: Csc, column: int, iact: float, psums: NDArray[np.float64], simd: int) -> int:
    """Multiply one column of weights with an iact; the cycles."""
    first, end = packed.address[column], packed.address[column + 1]
    place = -1
    for pair in range(first, end):
        place += int(packed.count[pair]) + 1
        psums[place] += float(packed.data[pair]) * iact
    return -(-(int(end) - int(first)) // simd)


def chain_row(
    iacts: NDArray[np.generic],
    weights: NDArray[np.generic],
    stride: tuple[int, int],
    row: int,
    channels: int,
    simd: int,
    count_bits: int,
) -> tuple[int, NDArray[np.float64]]:
    """(cycles of the slowest PE, psums added up) of the PEs that compute one output row.

    iacts : (C, H, W). weights : (M0, C, R, S). One PE per filter row and block of ``channels``.
    """
    slowest = 0
    outputs = (iacts.shape[2] - weights.shape[3]) // stride[1] + 1
    total = np.zeros((weights.shape[0], outputs))
    for first in range(0, weights.shape[1], channels):
        block = slice(first, first + channels)
        for r in range(weights.shape[2]):
            line = iacts[block, row * stride[0] + r]
            cycles, psums = pe_row(line, weights[:, block, r], stride[1], simd, count_bits)
            slowest = max(slowest, cycles)
            total += psums
    return slowest, total
