"""The delta unit and one array of processing elements, clock by clock. Slow, on purpose.

What happens in one clock cycle, as the hardware description of EdgeDRNN has it:

1. The delta unit compares up to ``rate`` elements with the values sent last. A change above the
   threshold goes into the FIFO; while the FIFO is full the unit waits. ``latency`` cycles later the
   other end of the FIFO shows it.
2. The DMA asks for the column of every change that it can see, as long as fewer than ``queue``
   columns are under way. The first word comes ``fetch`` cycles later, and not before the column
   ahead of it has come and ``gap`` cycles have gone by.
3. The processing elements take the next column if they are free, the change is known and the
   weights are there. They multiply for ``cost`` cycles; a column whose words take longer to come
   keeps them for ``service`` cycles.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tospike.errors import RangeError

_LIMIT = 10_000_000


@dataclass(frozen=True, slots=True)
class Numbers:
    """Of one array; ``fetch`` None: weights are on the chip."""

    fifo: int
    rate: int
    start: int
    latency: int
    queue: int = 1
    fetch: int | None = None
    service: int = 0
    gap: int = 0


@dataclass(frozen=True, slots=True)
class Cycles:
    """``end`` = busy + empty + weight."""

    end: int
    busy: int
    empty: int
    weight: int


def sent_by_definition(
    values: Sequence[Sequence[int]], theta: int, at_threshold: bool
) -> list[list[bool]]:
    """x is sent if |x - x_ref| > theta (or >=), x != x_ref; then x_ref = x (Neil 2017)."""
    reference = [0] * len(values[0])
    found = []
    for step in values:
        row = []
        for j, x in enumerate(step):
            change = abs(x - reference[j])
            over = change >= theta if at_threshold else change > theta
            row.append(over and change > 0)
            if row[-1]:
                reference[j] = x
        found.append(row)
    return found


def one_array(sent: Sequence[bool], cost: Sequence[int], numbers: Numbers) -> Cycles:
    """One time step of one array: which of its elements are sent, and the cycles per column."""
    seen = 0  # elements that the delta unit has compared
    last_seen = numbers.start
    known: list[int] = []  # cycle from which each change is visible
    length: list[int] = []
    asked: list[int] = []  # cycle in which each column was asked for
    begun = 0  # columns
    free_at = 0  # cycle from which the elements are free
    multiplying_until = 0
    ends: list[int] = []
    busy = empty = weight = 0
    for cycle in range(_LIMIT):
        waiting = len(known) - begun
        for _ in range(numbers.rate if cycle >= numbers.start else 0):
            if seen == len(sent) or (sent[seen] and waiting == numbers.fifo):
                break
            if sent[seen]:
                known.append(cycle + numbers.latency)
                length.append(cost[seen])
                waiting += 1
            seen += 1
            last_seen = cycle
        visible = sum(at <= cycle for at in known)
        under_way = len(asked) - sum(at <= cycle for at in ends)
        while len(asked) < visible and under_way < numbers.queue:
            asked.append(cycle)
            under_way += 1
        if (
            seen == len(sent)
            and begun == len(known)
            and cycle >= max(free_at, last_seen + numbers.latency)
        ):
            return Cycles(cycle, busy, empty, weight)
        if cycle >= free_at and begun < visible and _there(numbers, asked, begun, free_at, cycle):
            multiplying_until = cycle + length[begun]
            free_at = cycle + max(length[begun], numbers.service)
            ends.append(free_at)
            begun += 1
        if cycle < multiplying_until:
            busy += 1
        elif cycle < free_at or begun < visible:
            weight += 1
        else:
            empty += 1
    raise RangeError("simulate a step clock by clock", received=f"more than {_LIMIT} cycles")


def _there(numbers: Numbers, asked: list[int], column: int, ended: int, cycle: int) -> bool:
    """The weights of the column are at the elements."""
    if numbers.fetch is None:
        return True
    if column >= len(asked) or cycle < asked[column] + numbers.fetch:
        return False
    return column == 0 or cycle >= ended + numbers.gap
