"""The delta unit, its FIFO and the processing elements, cycle by cycle, in Numba.

:mod:`tospike.machines.delta_rnn.reference` is the same machine clock by clock. Here the cycles of
every column follow from those of the columns before it:

    pushed    cycle in which the delta unit finds the change: one after the other, ``rate`` elements
              a cycle, and not while the FIFO is full
    known     pushed + latency of the delta unit
    asked     known, and at most ``queue`` columns are asked for and not finished
    begins    known, the column before has ended, and the weights are there: asked + latency
    ends      begins + the longer one of multiplying and fetching
"""

from __future__ import annotations

import numba as nb
import numpy as np

from tospike.machines.delta_rnn.record import Bools, Ints

#: positions in the numbers of :func:`array_steps`
(
    ARRAYS, FIFO, RATE, START, LATENCY, QUEUE, FETCH, SERVICE, GAP,
) = range(9)  # fmt: skip
#: positions in its result
END, BUSY, EMPTY, WEIGHT = range(4)


@nb.njit(cache=True)
def transmitted(values: Ints, theta: int, at_threshold: bool) -> Bools:
    """(T, n) bool: which of the values (T, n) on the grid of the chip are sent.

    A value is sent if it differs from the last value *sent* by more than ``theta`` grid steps (or
    by as much, if ``at_threshold``) and at all. References start from 0.
    """
    steps, n = values.shape
    least = theta if at_threshold else theta + 1
    if least < 1:
        least = 1
    reference = np.zeros(n, np.int64)
    sent = np.zeros((steps, n), np.bool_)
    for t in range(steps):
        for j in range(n):
            if abs(values[t, j] - reference[j]) >= least:
                sent[t, j] = True
                reference[j] = values[t, j]
    return sent


@nb.njit(cache=True)
def array_steps(sent: Bools, cost: Ints, numbers: Ints) -> Ints:
    """Cycles of the products of every step.

    sent (T, n): elements in the order in which the delta units see them; element j belongs to
    array j mod ``numbers[ARRAYS]`` (n a multiple of it). cost (n,): cycles of a column.
    ``numbers[FETCH]`` below 0: weights are on the chip.

    Returns (T, 4): the end of the last array; and of that array (the first one of equals) the
    cycles in which it multiplies, waits for changes, and waits for weights.
    """
    steps, n = sent.shape
    arrays, depth, rate, latency = numbers[ARRAYS], numbers[FIFO], numbers[RATE], numbers[LATENCY]
    queue, fetch, service, gap = numbers[QUEUE], numbers[FETCH], numbers[SERVICE], numbers[GAP]
    result = np.zeros((steps, 4), np.int64)
    begun = np.zeros(depth, np.int64)
    ended = np.zeros(queue, np.int64)
    for t in range(steps):
        for a in range(arrays):
            # place = cycle * rate + position within the cycle, of the element seen last
            place = numbers[START] * rate - 1
            before, k, done = -1, 0, 0
            busy, empty, weight = 0, 0, 0
            for j in range(n // arrays):
                column = j * arrays + a
                if not sent[t, column]:
                    continue
                place += j - before
                before = j
                if k >= depth:  # a place is free in the cycle after a column has begun
                    place = max(place, (begun[k % depth] + 1) * rate)
                known = place // rate + latency
                begins = max(done, known)
                if known > done:
                    empty += known - done
                length = cost[column]
                if fetch >= 0:
                    asked = known if k < queue else max(known, ended[k % queue])
                    data = asked + fetch
                    data = max(data, done + gap) if k > 0 else data
                    if data > begins:
                        weight += data - begins
                        begins = data
                    if service > length:
                        weight += service - length
                        length = service
                busy += cost[column]
                done = begins + length
                begun[k % depth] = begins
                ended[k % queue] = done
                k += 1
            seen = (place + n // arrays - 1 - before) // rate + latency
            if seen > done:  # the delta unit has to see the rest before it can say so
                empty += seen - done
                done = seen
            if a == 0 or done > result[t, END]:
                result[t, END] = done
                result[t, BUSY] = busy
                result[t, EMPTY] = empty
                result[t, WEIGHT] = weight
    return result
