"""DRAM of long regular streams and of single rows: a piece is simulated by command, and scaled."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tospike.machines.dram import DramRun, DramSystem, simulate, stream
from tospike.technology.dram import DramCommands

#: bytes of a stream, and row fetches, that stand for all: several refresh intervals
PIECE = 1 << 20
FETCHES = 20_000


@dataclass(frozen=True, slots=True)
class OffChip:
    """Commands for all samples, the seconds they take, and bytes of single weight rows."""

    commands: DramCommands
    seconds: float
    row_bytes: float = 0.0

    def scaled(self, share: float) -> DramCommands:
        """The commands of ``share`` times this."""
        return scaled(self.commands, share)


def scaled(commands: DramCommands, share: float) -> DramCommands:
    """Every count times ``share``."""
    return replace(
        commands,
        activates=commands.activates * share,
        reads=commands.reads * share,
        writes=commands.writes * share,
        refreshes=commands.refreshes * share,
        cycles=commands.cycles * share,
        active_cycles=commands.active_cycles * share,
    )


def _sum(a: OffChip, b: OffChip) -> OffChip:
    """One after the other."""
    one, two = a.commands, b.commands
    commands = replace(
        one,
        activates=one.activates + two.activates,
        reads=one.reads + two.reads,
        writes=one.writes + two.writes,
        refreshes=one.refreshes + two.refreshes,
        cycles=one.cycles + two.cycles,
        active_cycles=one.active_cycles + two.active_cycles,
    )
    return OffChip(commands, a.seconds + b.seconds, a.row_bytes + b.row_bytes)


def _whole(run: DramRun, share: float, row_bytes: float = 0.0) -> OffChip:
    return OffChip(scaled(run.commands, share), run.seconds * share, row_bytes)


def streams(system: DramSystem, read: float, written: float) -> OffChip | None:
    """Two sequential streams, one after the other; None for no bytes."""
    found: OffChip | None = None
    for n_bytes, write in ((read, False), (written, True)):
        if n_bytes <= 0:
            continue
        whole = -(-n_bytes // system.burst_bytes) * system.burst_bytes
        piece = int(min(whole, PIECE))
        run = simulate(system, stream(piece, system), writes=np.array(write))
        one = _whole(run, whole / piece)
        found = one if found is None else _sum(found, one)
    return found


def rows(
    system: DramSystem,
    addresses: NDArray[np.int64],
    row: int,
    number: float,
    before: OffChip | None,
) -> OffChip | None:
    """``number`` fetches of ``row`` bytes in the order of ``addresses``, after ``before``."""
    first = addresses[:FETCHES]
    if not first.size:
        return before
    size = system.burst_bytes
    begin, end = first // size, (first + row - 1) // size
    bursts = np.concatenate(
        [np.arange(a, b + 1) for a, b in zip(begin, end, strict=True)]
    ) * size % system.capacity_bytes  # fmt: skip
    run = simulate(system, bursts)
    one = _whole(run, number / first.size, number * row)
    return one if before is None else _sum(before, one)
