"""The memory controller of one channel, in Numba: FR-FCFS with all JEDEC distances.

Among the requests that it sees, the controller serves the one whose column command can come first,
the oldest at a tie (first ready, first come first served: Rixner 2000). Rows of other banks are
opened meanwhile, as far as tRRD and tFAW allow. One command per clock. A request may be passed
``MAX_PASSED`` times. Refreshes are never postponed: when one is due, the rank is precharged and
refreshed before anything else starts in it.
"""

from __future__ import annotations

import numba as nb
import numpy as np
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

#: per bank: open row, earliest ACT, PRE and column command, last ACT
ROW, NEXT_ACT, NEXT_PRE, NEXT_COL = range(4)
#: per rank: next refresh, last precharge, open banks, cycles without an open row, ACTs so far
DUE, CLOSED_AT, OPEN, CLOSED, N_ACTS = range(5)
#: per request in the queue
RANK, BANK, WANTED, WRITE, ARRIVAL, NUMBER, PLACE, GROUP = range(8)
#: per channel: end of the last data, their rank and kind, last column command
DATA_END, DATA_RANK, DATA_WRITE, LAST_COL = range(4)
_SLOTS = 4096
_FAR = -(1 << 40)


@nb.njit(cache=True, inline="always")
def _free_slot(slots: Ints, cycle: int) -> int:
    """The first cycle from ``cycle`` on in which the command bus is free; it is then taken."""
    while slots[cycle & (_SLOTS - 1)] == cycle:
        cycle += 1
    slots[cycle & (_SLOTS - 1)] = cycle
    return cycle


@nb.njit(cache=True)
def _limits(t: Ints, rank: Ints, acts: Ints, bus: Ints, columns: Ints, limits: Ints) -> None:
    """Earliest ACT, RD and WR of every rank and bank group, whatever the bank."""
    n_ranks, groups = rank.shape[0], columns.shape[1] // 2
    for r in range(n_ranks):
        window = acts[r, rank[r, N_ACTS] & 3] + t[FAW]
        read = write = _FAR
        if bus[DATA_RANK] >= 0:
            change = 0 if bus[DATA_RANK] == r else t[RTRS]
            after_read = 0 if bus[DATA_WRITE] else t[RTRS] + 1
            first = bus[LAST_COL] + 1
            read = max(first, bus[DATA_END] + change - t[CL])
            write = max(first, bus[DATA_END] + max(change, after_read) - t[CWL])
        for g in range(groups):
            activate, rd, wr = window, read, write
            for other in range(groups):
                near = other == g
                activate = max(activate, acts[r, 4 + other] + (t[RRD_L] if near else t[RRD_S]))
                distance = columns[r, other] + (t[CCD_L] if near else t[CCD_S])
                rd, wr = max(rd, distance), max(wr, distance)
                rd = max(rd, columns[r, groups + other] + (t[WTR_L] if near else t[WTR_S]))
            place = (r * groups + g) * 3
            limits[place], limits[place + 1], limits[place + 2] = activate, rd, wr


@nb.njit(cache=True, inline="always")
def _note(log: Ints, result: Ints, cycle: int, command: int, r: int, b: int, row: int) -> None:
    n = result[LOGGED]
    if n < log.shape[0]:
        log[n, 0] = cycle
        log[n, 1] = command
        log[n, 2] = r
        log[n, 3] = b
        log[n, 4] = row
    result[LOGGED] = n + 1


@nb.njit(cache=True)
def _refresh(
    t: Ints, banks: Ints, rank: Ints, acts: Ints, slots: Ints, log: Ints, result: Ints, r: int
) -> None:
    """Precharge all banks of rank ``r``, then refresh it."""
    per_rank = banks.size // rank.shape[0]
    start = rank[r, DUE]
    opened = 0
    close = _FAR
    for b in range(r * per_rank, (r + 1) * per_rank, 4):
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
    for b in range(r * per_rank, (r + 1) * per_rank, 4):
        banks[b + ROW] = -1
        banks[b + NEXT_ACT] = max(banks[b + NEXT_ACT], start + t[RFC])
    rank[r, DUE] += t[REFI]
    result[REFRESHES] += 1


@nb.njit(cache=True, inline="always")
def _soonest(limits: Ints) -> int:
    """No column command of any request can come before this cycle."""
    found: int = limits[1]
    for place in range(0, limits.size, 3):
        found = min(found, limits[place + 1], limits[place + 2])
    return found


@nb.njit(cache=True, inline="always")
def _enter(
    entries: Ints, e: int, requests: Ints, arrival: Ints, number: int, n_banks: int, n_groups: int
) -> None:
    """Write request ``number`` into the queue, from place ``e`` of ``entries`` on."""
    for k in range(4):
        entries[e + k] = requests[number, k]
    r, b = requests[number, RANK], requests[number, BANK]
    entries[e + ARRIVAL], entries[e + NUMBER] = arrival[number], number
    entries[e + PLACE] = (r * n_banks + b) * 4
    entries[e + GROUP] = r * n_groups + b // (n_banks // n_groups)


@nb.njit(cache=True, inline="always")
def _choose(
    t: Ints,
    entries: Ints,
    order: Ints,
    banks: Ints,
    limits: Ints,
    head: int,
    held: int,
    passed: int,
) -> tuple[int, int, int, int]:
    """The request whose column command can come first, the oldest at a tie.

    Returns its age (0 is the oldest) and the cycles of its PRE, ACT and column command; -1 for a
    command that it does not need.
    """
    mask = order.size - 1
    rp, rcd = t[RP], t[RCD]
    best, best_pre, best_act, best_col = 0, -1, -1, 1 << 60
    soonest = _soonest(limits)
    for k in range(held):
        e = order[(head + k) & mask] * 8
        at, limit = entries[e + PLACE], entries[e + GROUP] * 3
        write, seen = entries[e + WRITE], entries[e + ARRIVAL]
        col, act, pre = max(limits[limit + 1 + write], seen), -1, -1
        opened = banks[at + ROW]
        if opened == entries[e + WANTED]:
            col = max(col, banks[at + NEXT_COL])
        else:
            act = max(limits[limit], seen, banks[at + NEXT_ACT])
            if opened >= 0:
                pre = max(seen, banks[at + NEXT_PRE])
                act = max(act, pre + rp)
            col = max(col, act + rcd)
        if col < best_col:
            best, best_pre, best_act, best_col = k, pre, act, col
            if col <= soonest or passed >= MAX_PASSED:
                break
    return best, best_pre, best_act, best_col


@nb.njit(cache=True)
def _close(rank: Ints, bus: Ints, result: Ints) -> None:
    """Cycles of the trace, and those of them with an open row."""
    result[CYCLES] = bus[DATA_END]
    for r in range(rank.shape[0]):
        if rank[r, OPEN] == 0:
            rank[r, CLOSED] += max(0, bus[DATA_END] - rank[r, CLOSED_AT])
        result[ACTIVE] += bus[DATA_END] - rank[r, CLOSED]


@nb.njit(cache=True)
def serve(
    t: Ints, closed_page: bool, queue: int, n_ranks: int, n_banks: int, n_groups: int,
    requests: Ints, arrival: Ints, finish: Ints, log: Ints,
) -> Ints:  # fmt: skip
    """Serve all ``requests`` (n, 4: rank, bank, row, write) of one channel, in any allowed order.

    Returns the counts; fills ``finish`` and as much of ``log`` as it holds.
    """
    result = np.zeros(9, np.int64)
    banks = np.zeros(n_ranks * n_banks * 4, np.int64)
    banks[ROW::4] = -1
    rank = np.zeros((n_ranks, 5), np.int64)
    acts = np.full((n_ranks, 4 + n_groups), _FAR, np.int64)
    columns = np.full((n_ranks, 2 * n_groups), _FAR, np.int64)
    limits = np.full(n_ranks * n_groups * 3, _FAR, np.int64)
    bus = np.zeros(4, np.int64)
    bus[DATA_RANK] = -1
    slots = np.full(_SLOTS, -1, np.int64)
    for r in range(n_ranks):
        rank[r, DUE] = t[REFI] * (r + 1) // n_ranks
    n = requests.shape[0]
    per_group = n_banks // n_groups
    entries = np.empty(queue * 8, np.int64)
    size = 1
    while size < queue:
        size *= 2
    order = np.arange(size)  # places in ``entries``, the oldest at ``head``, around the end
    mask = size - 1
    head, held, fetched, passed = 0, 0, 0, 0
    place = 0
    while held > 0 or fetched < n:
        while held < queue and fetched < n:
            free = fetched if fetched < queue else place
            order[(head + held) & mask] = free
            _enter(entries, free * 8, requests, arrival, fetched, n_banks, n_groups)
            held += 1
            fetched += 1
        best, best_pre, best_act, best_col = _choose(
            t, entries, order, banks, limits, head, held, passed
        )
        place = order[(head + best) & mask]
        e = place * 8
        r, b, row, write = entries[e], entries[e + BANK], entries[e + WANTED], entries[e + WRITE]
        i, group = entries[e + NUMBER], b // per_group
        if best_col >= rank[r, DUE]:
            _refresh(t, banks, rank, acts, slots, log, result, r)
            continue
        passed = 0 if best == 0 else passed + 1
        for k in range(best, 0, -1):  # the older ones move up
            order[(head + k) & mask] = order[(head + k - 1) & mask]
        head += 1
        held -= 1
        _issue(
            t, closed_page, banks, rank, acts, bus, columns, limits, slots, log, result,
            r, b, group, row, write, best_pre, best_act, best_col,
        )  # fmt: skip
        finish[i] = bus[DATA_END]
    _close(rank, bus, result)
    return result


@nb.njit(cache=True)
def _issue(
    t: Ints, closed_page: bool, banks: Ints, rank: Ints, acts: Ints, bus: Ints, columns: Ints,
    limits: Ints, slots: Ints, log: Ints, result: Ints,
    r: int, b: int, group: int, row: int, write: int, precharge: int, activate: int, column: int,
) -> None:  # fmt: skip
    """Issue the commands of one request, at the estimated cycles or when the bus is free."""
    at = (r * (banks.size // rank.shape[0] // 4) + b) * 4
    if activate < 0:
        result[HITS] += 1
    else:
        if precharge >= 0:
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
        acts[r, 4 + group] = activate
        rank[r, N_ACTS] += 1
        banks[at + ROW] = row
        banks[at + NEXT_COL] = activate + t[RCD]
        banks[at + NEXT_PRE] = activate + t[RAS]
        banks[at + NEXT_ACT] = activate + t[RC]
        column = max(column, activate + t[RCD])
    column = _free_slot(slots, column)
    _note(log, result, column, 3 if write else 2, r, b, row)
    end = column + (t[CWL] if write else t[CL]) + t[BURST]
    groups = columns.shape[1] // 2
    columns[r, group] = column
    if write:
        columns[r, groups + group] = end
        close = end + t[WR_]
    else:
        close = column + t[RTP]
    banks[at + NEXT_PRE] = max(banks[at + NEXT_PRE], close)
    bus[DATA_END], bus[DATA_RANK], bus[DATA_WRITE], bus[LAST_COL] = end, r, write, column
    _limits(t, rank, acts, bus, columns, limits)
    if closed_page:
        close = banks[at + NEXT_PRE]  # auto-precharge: needs no command slot
        _note(log, result, close, 1, r, b, -1)
        result[PRECHARGES] += 1
        banks[at + ROW] = -1
        banks[at + NEXT_ACT] = max(banks[at + NEXT_ACT], close + t[RP])
        rank[r, OPEN] -= 1
        rank[r, CLOSED_AT] = max(rank[r, CLOSED_AT], close)
