"""``violations``: every JEDEC distance of a command log, checked one by one. Slow, on purpose.

It knows nothing of the controller: it replays the commands of one channel and compares each with
all commands before it.
"""

from __future__ import annotations

from collections.abc import Callable

from tospike.machines.dram.record import ACT, COMMANDS, PRE, PREA, RD, REF, WR, DramRun
from tospike.technology.dram import Timings


def violations(run: DramRun) -> list[str]:
    """What a command log breaks, one line each; empty for a legal log."""
    found = []
    for channel in range(run.system.channels):
        lines = [tuple(map(int, line[1:])) for line in run.log if line[0] == channel]
        found += [f"channel {channel}: {text}" for text in _channel(run, sorted(lines))]
    return found


def _channel(run: DramRun, lines: list[tuple[int, ...]]) -> list[str]:
    device, t = run.system.device, run.system.device.timings
    per_group = device.banks // device.bank_groups
    burst, found = device.burst_cycles, []
    open_rows: dict[tuple[int, int], int] = {}
    past: list[tuple[int, int, int, int]] = []
    auto = run.system.page == "closed"

    def need(cycle: int, earlier: int, distance: int, rule: str) -> None:
        if cycle - earlier < distance:
            found.append(f"{rule}: {cycle} is less than {distance} after {earlier}")

    for cycle, command, rank, bank, row in lines:
        key = (rank, bank)
        if command == ACT and key in open_rows:
            found.append(f"ACT of an open bank {key} at {cycle}")
        if command in (RD, WR) and open_rows.get(key) != row:
            found.append(f"{COMMANDS[command]} of a row that is not open, {key} at {cycle}")
        if command == REF and any(r == rank for r, _ in open_rows):
            found.append(f"REF with open rows at {cycle}")
        window = [c for c, k, r, _ in past if k == ACT and r == rank]
        if command == ACT and len(window) >= 4:
            need(cycle, window[-4], t.tFAW, "tFAW")
        for c, k, r, b in past:
            bus = not (auto and PRE in (k, command))  # an auto-precharge takes no command slot
            if bus and c == cycle:
                found.append(f"two commands at {cycle}")
            same = (r, b) == key
            near = r == rank and b // per_group == bank // per_group
            if k in (RD, WR) and command in (RD, WR):
                _data(need, t, burst, (c, k, r), (cycle, command, rank), near)
            if r != rank:
                continue
            if k == ACT and command == ACT:
                need(cycle, c, t.tRC if same else (t.tRRD_L if near else t.tRRD_S), "tRC or tRRD")
            elif k == ACT and command in (RD, WR) and same:
                need(cycle, c, t.tRCD, "tRCD")
            elif k == PRE and command in (ACT, REF) and (same or command == REF):
                need(cycle, c, t.tRP, "tRP")
            elif k == PREA and command in (ACT, REF):
                need(cycle, c, t.tRPab, "tRPab")
            elif k == REF:
                need(cycle, c, t.tRFC, "tRFC")
            elif command == PREA or (command == PRE and same):
                distance = {
                    ACT: t.tRAS, RD: t.tRTP, WR: t.CWL + burst + t.tWR
                }.get(k, 0)  # fmt: skip
                need(cycle, c, distance, "tRAS, tRTP or tWR")
        past = [line for line in past if cycle - line[0] < 2 * t.tRFC]
        past.append((cycle, command, rank, bank))
        if command == ACT:
            open_rows[key] = row
        elif command == PRE:
            open_rows.pop(key, None)
        elif command == PREA:
            open_rows = {k: v for k, v in open_rows.items() if k[0] != rank}
    return found


def _data(
    need: Callable[[int, int, int, str], None],
    t: Timings,
    burst: int,
    first: tuple[int, int, int],
    second: tuple[int, int, int],
    near: bool,
) -> None:
    """Column commands: tCCD, turn-around, and data that do not overlap."""
    (c, k, r), (cycle, command, rank) = first, second
    start = cycle + (t.CL if command == RD else t.CWL)
    end = c + (t.CL if k == RD else t.CWL) + burst
    gap = 0 if r == rank else t.tRTRS
    if k == RD and command == WR:
        gap = t.tRTRS + 1
    need(start, end, gap, "data bus")
    if r == rank:
        need(cycle, c, t.tCCD_L if near else t.tCCD_S, "tCCD")
        if k == WR and command == RD:
            need(cycle, end, t.tWTR_L if near else t.tWTR_S, "tWTR")
