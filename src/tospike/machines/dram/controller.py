"""The memory controller of one channel, in Numba: FR-FCFS with all JEDEC distances.

Among the requests that it sees, the controller serves the one whose column command can come first,
the oldest at a tie (first ready, first come first served: Rixner 2000). Rows of other banks are
opened meanwhile, as far as tRRD and tFAW allow. One command per clock. A request may be passed
``MAX_PASSED`` times. Refreshes are never postponed: when one is due, the rank is precharged and
refreshed before anything else starts in it.

Only :func:`serve` allocates. The other functions are compiled with ``_nrt=False``: without it Numba
counts references to every array in every step, atomically, which takes more than half of the time.
"""

from __future__ import annotations

from typing import Any

import numba as nb
import numpy as np
from numba.core.options import DefaultOptions
from numpy.typing import NDArray

Ints = NDArray[np.int64]

#: how often younger requests may pass the oldest one
MAX_PASSED = 64
#: positions in the table of timings, in the order of ``Timings`` and then the burst
(
    CL, CWL, RCD, RP, RPAB, RAS, RC, RRD_S, RRD_L, FAW, CCD_S, CCD_L, WR_, RTP, WTR_S, WTR_L, RTRS,
    REFI, RFC, BURST,
) = range(20)  # fmt: skip
#: positions in the result of :func:`serve`
CYCLES, HITS, MISSES, CONFLICTS, ACTIVATES, PRECHARGES, REFRESHES, ACTIVE, LOGGED = range(9)

#: per bank: open row, earliest ACT, PRE and column command, earliest ACT of another row after its
#: PRE, least time from the arrival of a request for another row to its column command, and how many
#: requests of the queue want the open row
ROW, NEXT_ACT, NEXT_PRE, NEXT_COL, READY, LAG, WAITING = range(7)
_BANK = 8
#: per rank: next refresh, last precharge, open banks, cycles without an open row, ACTs so far
DUE, CLOSED_AT, OPEN, CLOSED, N_ACTS = range(5)
#: per request in the queue
RANK, BANK, WANTED, WRITE, ARRIVAL, NUMBER, PLACE, GROUP = range(8)
#: per channel: end of the last data, their rank and kind, last column command; then the earliest
#: ACT, RD and WR of any rank, and how many requests of the queue write and find their row open
DATA_END, DATA_RANK, DATA_WRITE, LAST_COL, FIRST_ACT, FIRST_RD, FIRST_WR, WRITES, READY_ROWS = (
    range(9)
)
#: buckets that count the requests of the queue by bank and row
_BUCKETS = 1024
#: how functions that allocate nothing are compiled: references to arrays are not counted, where
#: this Numba can leave that out (twice as fast; the results are the same)
_BARE: dict[str, Any] = {"cache": True}
if "_nrt" in vars(DefaultOptions):
    _BARE["_nrt"] = False
_SLOTS = 4096
_FAR = -(1 << 40)


@nb.njit(inline="always", **_BARE)
def _free_slot(slots: Ints, cycle: int) -> int:
    """The first cycle from ``cycle`` on in which the command bus is free; it is then taken."""
    while slots[cycle & (_SLOTS - 1)] == cycle:
        cycle += 1
    slots[cycle & (_SLOTS - 1)] = cycle
    return cycle


@nb.njit(inline="always", **_BARE)
def _bucket(at: int, row: int) -> int:
    return (at // _BANK + 61 * row) & (_BUCKETS - 1)


@nb.njit(**_BARE)
def _limits(t: Ints, n_ranks: int, n_groups: int, bus: Ints, own: Ints, limits: Ints) -> None:
    """Earliest ACT, RD and WR of every rank and bank group, whatever the bank.

    ``own`` holds what the commands of the rank itself allow, and ``bus`` the data pins.
    """
    per_rank = 4 * n_groups
    first_act = first_rd = first_wr = 1 << 60
    for r in range(n_ranks):
        change = 0 if bus[DATA_RANK] == r else t[RTRS]
        after_read = 0 if bus[DATA_WRITE] else t[RTRS] + 1
        first = bus[LAST_COL] + 1
        read = max(first, bus[DATA_END] + change - t[CL])
        write = max(first, bus[DATA_END] + max(change, after_read) - t[CWL])
        for place in range(r * per_rank, (r + 1) * per_rank, 4):
            act, rd, wr = own[place], max(own[place + 1], read), max(own[place + 2], write)
            limits[place], limits[place + 1], limits[place + 2] = act, rd, wr
            first_act, first_rd = min(first_act, act), min(first_rd, rd)
            first_wr = min(first_wr, wr)
    bus[FIRST_ACT], bus[FIRST_RD], bus[FIRST_WR] = first_act, first_rd, first_wr


@nb.njit(inline="always", **_BARE)
def _note(log: Ints, result: Ints, cycle: int, command: int, r: int, b: int, row: int) -> None:
    n = result[LOGGED]
    if n < log.shape[0]:
        log[n, 0] = cycle
        log[n, 1] = command
        log[n, 2] = r
        log[n, 3] = b
        log[n, 4] = row
    result[LOGGED] = n + 1


@nb.njit(**_BARE)
def _refresh(
    t: Ints, banks: Ints, rank: Ints, bus: Ints, slots: Ints, log: Ints, result: Ints, r: int
) -> None:
    """Precharge all banks of rank ``r``, then refresh it."""
    per_rank = banks.size // rank.shape[0]
    start = rank[r, DUE]
    opened = 0
    close = _FAR
    for b in range(r * per_rank, (r + 1) * per_rank, _BANK):
        if banks[b + ROW] >= 0:
            opened += 1
            close = max(close, banks[b + NEXT_PRE])
        else:
            start = max(start, banks[b + NEXT_ACT])  # tRP since its precharge
    if opened:
        close = _free_slot(slots, max(close, rank[r, DUE]))
        _note(log, result, close, 5, r, -1, -1)
        start = max(start, close + t[RPAB])
        rank[r, CLOSED_AT] = max(rank[r, CLOSED_AT], close)
        rank[r, OPEN] = 0
        result[PRECHARGES] += opened
    start = _free_slot(slots, start)
    _note(log, result, start, 4, r, -1, -1)
    for b in range(r * per_rank, (r + 1) * per_rank, _BANK):
        banks[b + ROW] = -1
        banks[b + NEXT_ACT] = max(banks[b + NEXT_ACT], start + t[RFC])
        banks[b + READY], banks[b + LAG] = banks[b + NEXT_ACT], t[RCD]
        bus[READY_ROWS] -= banks[b + WAITING]
        banks[b + WAITING] = 0
    rank[r, DUE] += t[REFI]
    result[REFRESHES] += 1


@nb.njit(inline="always", **_BARE)
def _soonest(t: Ints, bus: Ints, held: int) -> int:
    """No column command of any request can come before this cycle."""
    found: int = bus[FIRST_RD]
    if bus[WRITES] == held:
        found = bus[FIRST_WR]
    elif bus[WRITES] > 0:
        found = min(found, bus[FIRST_WR])
    if bus[READY_ROWS] == 0:
        found = max(found, bus[FIRST_ACT] + t[RCD])
    return found


@nb.njit(inline="always", **_BARE)
def _enter(
    entries: Ints, e: int, ranks: Ints, places: Ints, rows: Ints, writes: Ints, arrival: Ints,
    number: int, group_of: Ints, n_groups: int, banks: Ints, bus: Ints, buckets: Ints,
) -> None:  # fmt: skip
    """Write request ``number`` into the queue, from place ``e`` of ``entries`` on."""
    r, b, row, write = ranks[number], places[number], rows[number], writes[number]
    n_banks = group_of.size
    at = (r * n_banks + b) * _BANK
    entries[e], entries[e + BANK], entries[e + WANTED], entries[e + WRITE] = r, b, row, write
    entries[e + ARRIVAL], entries[e + NUMBER] = arrival[number], number
    entries[e + PLACE] = at
    entries[e + GROUP] = r * n_groups + group_of[b]
    bus[WRITES] += write
    buckets[_bucket(at, row)] += 1
    if banks[at + ROW] == row:
        banks[at + WAITING] += 1
        bus[READY_ROWS] += 1


@nb.njit(inline="always", **_BARE)
def _leave(entries: Ints, e: int, banks: Ints, bus: Ints, buckets: Ints) -> None:
    """Take the request at ``e`` out of the counts."""
    at, row = entries[e + PLACE], entries[e + WANTED]
    bus[WRITES] -= entries[e + WRITE]
    buckets[_bucket(at, row)] -= 1
    if banks[at + ROW] == row:
        banks[at + WAITING] -= 1
        bus[READY_ROWS] -= 1


@nb.njit(inline="always", **_BARE)
def _choose(
    t: Ints, entries: Ints, order: Ints, banks: Ints, limits: Ints, bus: Ints, head: int,
    held: int, passed: int,
) -> tuple[int, int]:  # fmt: skip
    """The request whose column command can come first, the oldest at a tie: age and cycle."""
    mask = order.size - 1
    rcd = t[RCD]
    best, best_col = 0, 1 << 60
    enough = best_col if passed >= MAX_PASSED else _soonest(t, bus, held)
    for k in range(held):
        e = order[(head + k) & mask] * 8
        at, limit = entries[e + PLACE], entries[e + GROUP] * 4
        seen = entries[e + ARRIVAL]
        col = max(limits[limit + 1 + entries[e + WRITE]], seen)
        if banks[at + ROW] == entries[e + WANTED]:
            col = max(col, banks[at + NEXT_COL])
        else:
            col = max(col, max(limits[limit], banks[at + READY]) + rcd, seen + banks[at + LAG])
        if col < best_col:
            best, best_col = k, col
            if col <= enough:
                break
    return best, best_col


@nb.njit(**_BARE)
def _close(rank: Ints, bus: Ints, result: Ints) -> None:
    """Cycles of the trace, and those of them with an open row."""
    result[CYCLES] = bus[DATA_END]
    for r in range(rank.shape[0]):
        if rank[r, OPEN] == 0:
            rank[r, CLOSED] += max(0, bus[DATA_END] - rank[r, CLOSED_AT])
        result[ACTIVE] += bus[DATA_END] - rank[r, CLOSED]


@nb.njit(**_BARE)
def _run(
    t: Ints, closed_page: bool, queue: int, n_groups: int, ranks: Ints, places: Ints, rows: Ints,
    writes: Ints, arrival: Ints, finish: Ints, log: Ints, result: Ints, banks: Ints, rank: Ints,
    acts: Ints, own: Ints, limits: Ints, bus: Ints, slots: Ints, buckets: Ints, group_of: Ints,
    entries: Ints, order: Ints,
) -> None:  # fmt: skip
    """The loop of :func:`serve`. Nothing is allocated in it, so references are not counted."""
    n, n_ranks, mask = ranks.size, rank.shape[0], order.size - 1
    head, held, fetched, passed, place = 0, 0, 0, 0, 0
    while held > 0 or fetched < n:
        while held < queue and fetched < n:
            free = fetched if fetched < queue else place
            order[(head + held) & mask] = free
            _enter(
                entries, free * 8, ranks, places, rows, writes, arrival, fetched, group_of,
                n_groups, banks, bus, buckets,
            )  # fmt: skip
            held += 1
            fetched += 1
        best, col = _choose(t, entries, order, banks, limits, bus, head, held, passed)
        place = order[(head + best) & mask]
        e = place * 8
        if col >= rank[entries[e], DUE]:
            _refresh(t, banks, rank, bus, slots, log, result, entries[e])
            continue
        passed = 0 if best == 0 else passed + 1
        for k in range(best, 0, -1):  # the older ones move up
            order[(head + k) & mask] = order[(head + k - 1) & mask]
        head += 1
        held -= 1
        _leave(entries, e, banks, bus, buckets)
        if banks[entries[e + PLACE] + ROW] == entries[e + WANTED]:
            result[HITS] += 1
        else:
            at = entries[e + PLACE]
            ready = _open(
                t, banks, rank, acts, own, limits, slots, log, result, entries, e, n_groups
            )
            col = max(col, ready)
            if not closed_page:
                bus[READY_ROWS] -= banks[at + WAITING]
                banks[at + WAITING] = 0
                if buckets[_bucket(at, entries[e + WANTED])] > 0:
                    _count(entries, order, banks, bus, head, held, e)
        _column(
            t, closed_page, banks, rank, bus, own, slots, log, result, entries, e, n_groups, col
        )
        _limits(t, n_ranks, n_groups, bus, own, limits)
        finish[entries[e + NUMBER]] = bus[DATA_END]
    _close(rank, bus, result)


@nb.njit(cache=True)
def serve(
    t: Ints, closed_page: bool, queue: int, n_ranks: int, n_banks: int, n_groups: int,
    ranks: Ints, places: Ints, rows: Ints, writes: Ints, arrival: Ints, finish: Ints, log: Ints,
) -> Ints:  # fmt: skip
    """Serve all requests of one channel, in any allowed order: rank, bank, row and kind of each.

    Returns the counts; fills ``finish`` and as much of ``log`` as it holds.
    """
    result = np.zeros(9, np.int64)
    banks = np.zeros(n_ranks * n_banks * _BANK, np.int64)
    banks[ROW::_BANK], banks[LAG::_BANK] = -1, t[RCD]
    rank = np.zeros((n_ranks, 5), np.int64)
    acts = np.full((n_ranks, 4), _FAR, np.int64)
    own = np.full(n_ranks * n_groups * 4, _FAR, np.int64)
    limits = own.copy()
    bus = np.zeros(9, np.int64)
    bus[FIRST_ACT : FIRST_WR + 1] = _FAR
    slots = np.full(_SLOTS, -1, np.int64)
    buckets = np.zeros(_BUCKETS, np.int64)
    for r in range(n_ranks):
        rank[r, DUE] = t[REFI] * (r + 1) // n_ranks
    group_of = np.arange(n_banks) // (n_banks // n_groups)
    entries = np.empty(queue * 8, np.int64)
    size = 1
    while size < queue:
        size *= 2
    order = np.arange(size)  # places in ``entries``, the oldest at ``head``, around the end
    _run(
        t, closed_page, queue, n_groups, ranks, places, rows, writes, arrival, finish, log, result,
        banks, rank, acts, own, limits, bus, slots, buckets, group_of, entries, order,
    )  # fmt: skip
    return result


@nb.njit(**_BARE)
def _count(
    entries: Ints, order: Ints, banks: Ints, bus: Ints, head: int, held: int, e: int
) -> None:
    """Count the requests of the queue for the row that the one at ``e`` has just opened."""
    found = 0
    at, row = entries[e + PLACE], entries[e + WANTED]
    for k in range(held):
        other = order[(head + k) & (order.size - 1)] * 8
        found += entries[other + PLACE] == at and entries[other + WANTED] == row
    banks[at + WAITING] = found
    bus[READY_ROWS] += found


@nb.njit(**_BARE)
def _open(
    t: Ints, banks: Ints, rank: Ints, acts: Ints, own: Ints, limits: Ints, slots: Ints, log: Ints,
    result: Ints, entries: Ints, e: int, n_groups: int,
) -> int:  # fmt: skip
    """Open the row of the request at ``e``; the first cycle in which it can be read or written."""
    r, b, row, at = entries[e], entries[e + BANK], entries[e + WANTED], entries[e + PLACE]
    seen, group = entries[e + ARRIVAL], entries[e + GROUP]
    activate = max(limits[group * 4], seen, banks[at + READY])
    if banks[at + ROW] >= 0:
        precharge = max(seen, banks[at + NEXT_PRE])
        activate = max(activate, precharge + t[RP])
        result[CONFLICTS] += 1
        # as late as the activation allows: the row stays open while it does no harm
        precharge = _free_slot(slots, max(precharge, activate - t[RP]))
        _note(log, result, precharge, 1, r, b, -1)
        result[PRECHARGES] += 1
        rank[r, OPEN] -= 1
        rank[r, CLOSED_AT] = max(rank[r, CLOSED_AT], precharge)
        activate = max(activate, precharge + t[RP])
    else:
        result[MISSES] += 1
    activate = _free_slot(slots, activate)
    _note(log, result, activate, 0, r, b, row)
    result[ACTIVATES] += 1
    if rank[r, OPEN] == 0 and activate > rank[r, CLOSED_AT]:
        rank[r, CLOSED] += activate - rank[r, CLOSED_AT]
    rank[r, OPEN] += 1
    acts[r, rank[r, N_ACTS] & 3] = activate
    rank[r, N_ACTS] += 1
    banks[at + ROW] = row
    banks[at + NEXT_COL] = activate + t[RCD]
    banks[at + NEXT_PRE] = activate + t[RAS]
    banks[at + NEXT_ACT] = activate + t[RC]
    # the ACTs of a rank ascend, so the last ones are what counts
    window = max(acts[r, rank[r, N_ACTS] & 3] + t[FAW], activate + t[RRD_S])
    for g in range(r * n_groups, (r + 1) * n_groups):
        own[g * 4] = max(own[g * 4], window)
    own[group * 4] = max(own[group * 4], activate + t[RRD_L])
    opened: int = activate + t[RCD]
    return opened


@nb.njit(**_BARE)
def _column(
    t: Ints, closed_page: bool, banks: Ints, rank: Ints, bus: Ints, own: Ints, slots: Ints,
    log: Ints, result: Ints, entries: Ints, e: int, n_groups: int, column: int,
) -> None:  # fmt: skip
    """Issue the column command of the request at ``e``, and what it means for later ones."""
    r, b, row, at = entries[e], entries[e + BANK], entries[e + WANTED], entries[e + PLACE]
    write, group = entries[e + WRITE], entries[e + GROUP]
    column = _free_slot(slots, column)
    _note(log, result, column, 3 if write else 2, r, b, row)
    end = column + (t[CWL] if write else t[CL]) + t[BURST]
    for g in range(r * n_groups, (r + 1) * n_groups):
        near = g == group
        distance = column + (t[CCD_L] if near else t[CCD_S])
        turn = end + (t[WTR_L] if near else t[WTR_S]) if write else distance
        own[g * 4 + 1] = max(own[g * 4 + 1], distance, turn)
        own[g * 4 + 2] = max(own[g * 4 + 2], distance)
    close = end + t[WR_] if write else column + t[RTP]
    close = max(banks[at + NEXT_PRE], close)
    banks[at + NEXT_PRE] = close
    bus[DATA_END], bus[DATA_RANK], bus[DATA_WRITE], bus[LAST_COL] = end, r, write, column
    banks[at + READY] = max(banks[at + NEXT_ACT], close + t[RP])
    banks[at + LAG] = t[RP] + t[RCD]
    if closed_page:
        # auto-precharge: needs no command slot
        _note(log, result, close, 1, r, b, -1)
        result[PRECHARGES] += 1
        banks[at + ROW] = -1
        banks[at + NEXT_ACT] = banks[at + READY]
        banks[at + LAG] = t[RCD]
        rank[r, OPEN] -= 1
        rank[r, CLOSED_AT] = max(rank[r, CLOSED_AT], close)
