"""The input part of several steps at once: one matrix product instead of columns step by step.

Where many inputs change, reading every column in every step costs more than multiplying: a matrix
product reads the weights once for all steps. The deltas of the steps are written out, zeros
included, and multiplied with the whole matrix. Every sum runs over the columns in the same order as
in the steps, and a delta of 0 adds nothing: the results are those of the steps, bit by bit.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from tospike.kernels.delta import places
from tospike.kernels.delta.columns import FAST
from tospike.kernels.delta.intrinsics import (
    BLOCK,
    TIMES,
    WIDE,
    add_times,
    carray,
    pointer,
    widen_block,
)
from tospike.kernels.delta.places import BFLOAT16, FLOAT16, FLOAT32

#: columns whose weights are widened and kept in the first cache at a time, 16 rows of each
DEPTH = 256
#: float32 of such a panel
PANEL = DEPTH * BLOCK

_F32, _I8, _I16, _U16 = np.float32(0), np.int8(0), np.int16(0), np.uint16(0)


@njit(cache=True, fastmath=FAST, nogil=True, boundscheck=False)
def send_row(value, reference, theta, unit, delta):  # type: ignore[no-untyped-def]
    """Delta unit without a list of places: ``delta`` is 0 where nothing is sent; how many are.

    ``unit``: what the deltas are multiplied with.
    """
    n = np.int32(0)
    for j in range(value.shape[0]):
        difference = value[j] - reference[j]
        sent = abs(difference) > theta
        delta[j] = difference * unit if sent else np.float32(0)
        reference[j] = value[j] if sent else reference[j]
        n += np.int32(sent)
    return n


@njit(cache=True, nogil=True, boundscheck=False)
def send_steps(source, stride, reference, theta, unit, deltas, steps):  # type: ignore[no-untyped-def]
    """:func:`send_row` for steps whose inputs lie ``stride`` bytes apart; deltas (steps, I)."""
    n = 0
    for t in range(steps):
        value = carray(pointer(source + t * stride, _F32), reference.shape[0])
        n += send_row(value, reference, theta, unit, deltas[t])
    return n


@njit(cache=True, nogil=True, boundscheck=False)
def multiply(place, panel, first, last):  # type: ignore[no-untyped-def]
    """Products of the rows from ``first`` to ``last``, multiples of 16; panel: address of scratch.

    The steps are rounded up to a multiple of :data:`~intrinsics.TIMES`; the products of those that
    are not there are never read.
    """
    storage = place[places.STORAGE]
    if storage == FLOAT32:
        _multiply(place, panel, first, last, _F32, 4)
    elif storage == FLOAT16:
        _multiply(place, panel, first, last, _I16, 2)
    elif storage == BFLOAT16:
        _multiply(place, panel, first, last, _U16, 2)
    else:
        _multiply(place, panel, first, last, _I8, 1)


@njit(cache=True, nogil=True, boundscheck=False)
def _multiply(place, panel, first, last, example, width):  # type: ignore[no-untyped-def]
    inputs, rows, steps = place[places.INPUTS], place[places.ROWS], place[places.STEPS]
    weights, deltas = place[places.WEIGHTS_X], place[places.DELTAS]
    size = -(-steps // TIMES) * TIMES
    products = carray(pointer(place[places.PRODUCTS], _F32), (size, rows))
    for t in range(size):
        for row in range(first, last):
            products[t, row] = np.float32(0)
    target, column = products.ctypes.data, rows * width
    for begin in range(0, inputs, DEPTH):
        n = min(DEPTH, inputs - begin)
        for row in range(first, last, BLOCK):
            # int8 lies in blocks of 32 rows, which cannot be told apart before they are widened
            part = row % WIDE // BLOCK if width == 1 else 0
            stored = weights + begin * column + (row - BLOCK * part) * width
            for k in range(n):
                widen_block(stored + k * column, part, panel + 4 * BLOCK * k, example)
            for t in range(0, size, TIMES):
                add_times(
                    target + 4 * (t * rows + row), 4 * rows,
                    deltas + 4 * (t * inputs + begin), 4 * inputs, panel, n,
                )  # fmt: skip
