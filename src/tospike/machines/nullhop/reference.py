"""The slow reference of :mod:`kernels`: cycle by cycle, product by product, from the stream.

The input comes as the words of the codec. For every stripe each controller gets its queue: one
entry per product of a non-zero pixel and a kernel position, and a mark where an output column is
complete. Then a clock runs.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tospike.machines.nullhop.codec import Words, decode_rows

MARK = -1
Row = NDArray[np.int16]


@dataclass(frozen=True, slots=True)
class Case:
    """One pass: what :func:`kernels.run_pass` takes, with the input as a stream."""

    stream: Words
    shape: tuple[int, int, int]
    block: int
    kernel: int
    padding: int
    stride: int
    out_rows: int
    out_columns: int
    stripe: int
    emitted: Sequence[Sequence[int]]
    start: int
    load: bool
    word_time: float
    out_time: float
    decode_rate: float
    capacity: int


@dataclass(frozen=True, slots=True)
class Result:
    """Cycles; in the order of :data:`kernels.END` and what follows it."""

    end: float
    busy: float
    imbalance: float
    waiting: float
    decode: float
    output: float
    words: float


def run_pass(case: Case) -> Result:
    """The cycles of one pass, by cause."""
    channels, height, width = case.shape
    rows = list(decode_rows([case.stream], case.shape))
    words = [-(-width * channels // 16) + sum(int(v) != 0 for v in r.flat) for r in rows]
    groups = -(-channels // case.block)
    ends: list[float] = []
    port = now = encoder = float(case.start)
    loaded: list[float] = []
    busy = imbalance = waiting = decode = output = read = 0.0
    for t in range(math.ceil(case.out_rows / case.stripe)):
        lines = range(t * case.stripe, min((t + 1) * case.stripe, case.out_rows))
        needed = [y for y in range(height) if any(_meets(y, line, case) for line in lines)]
        span = window(t, case, height)
        if case.load:
            for y in range(len(loaded), span[1]):
                room = next(
                    case.start if gate == 0 else ends[gate - 1]
                    for gate in range(t + 1)
                    if sum(words[min(y, window(gate, case, height)[0]) : y + 1]) <= case.capacity
                )
                port = max(port, room) + words[y] * case.word_time
                loaded.append(math.ceil(port))
            ready = max((loaded[y] for y in range(span[1])), default=now)
            waiting += max(0.0, ready - now)
            now = max(now, ready)
        queues = [_queue(g, rows, needed, lines, case) for g in range(groups)]
        products = sum(entry != MARK for queue in queues for entry in queue)
        leaves = [math.ceil(n * case.out_time) for n in case.emitted[t]]
        free, _ = _clock(queues, [0] * len(leaves), 0)
        taken, left = _clock(queues, leaves, encoder - now)
        busy += products
        imbalance += free - products / groups
        output += taken - free
        slowest = max((math.ceil(words[y] / case.decode_rate) for y in range(*span)), default=0)
        read += sum(words[y] for y in range(*span))
        decode += max(0, slowest - taken)
        encoder = now + left
        now += max(taken, slowest)
        ends.append(now)
    output += max(0.0, encoder - now)
    return Result(max(now, encoder), busy, imbalance, waiting, decode, output, read)


def _meets(y: int, line: int, case: Case) -> bool:
    """True if the window of an output row holds input row ``y``."""
    return 0 <= y + case.padding - line * case.stride < case.kernel


def window(t: int, case: Case, height: int) -> tuple[int, int]:
    """First input row of a stripe, and the one behind its last."""
    below = min((t + 1) * case.stripe, case.out_rows)
    first = t * case.stripe * case.stride - case.padding
    last = (below - 1) * case.stride + case.kernel - case.padding
    return max(0, first), min(height, last)


def _queue(
    group: int, rows: Sequence[Row], needed: Sequence[int], lines: range, case: Case
) -> list[int]:
    """Products of one controller in order, with a mark behind each complete output column."""
    channels, _, width = case.shape
    mine = range(group * case.block, min((group + 1) * case.block, channels))
    found: list[int] = []
    for position in range(width + 2 * case.padding):
        x = position - case.padding
        columns = [
            c for c in range(case.out_columns) if 0 <= position - c * case.stride < case.kernel
        ]
        for y in needed if 0 <= x < width else ():
            for c in mine:
                if int(rows[y][x, c]) != 0:
                    met = [(line, column) for line in lines if _meets(y, line, case)
                           for column in columns]  # fmt: skip
                    found += range(len(met))
        if any(position == c * case.stride + case.kernel - 1 for c in range(case.out_columns)):
            found.append(MARK)
    return found


def _clock(
    queues: Sequence[Sequence[int]], leaves: Sequence[int], encoder: float
) -> tuple[int, float]:
    """Run all controllers; (cycles until the last column is handed over, encoder free)."""
    left = [deque(queue) for queue in queues]
    ready = [0] * len(queues)  # columns complete in the output register, ever
    handed = 0
    cycle = 0
    while True:
        changed = True
        while changed:  # marks and handing over take no time
            changed = False
            for g, queue in enumerate(left):
                if queue and queue[0] == MARK and ready[g] == handed:
                    queue.popleft()
                    ready[g] += 1
                    changed = True
            if min(ready, default=0) > handed and encoder <= cycle:
                encoder = cycle + leaves[handed]
                handed += 1
                changed = True
        if handed == len(leaves) and not any(left):
            return cycle, encoder
        for queue in left:
            if queue and queue[0] != MARK:
                queue.popleft()
        cycle += 1
