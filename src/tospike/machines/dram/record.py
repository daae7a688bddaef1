"""``DramSystem`` and ``DramRun``: a memory system, and what happened when it served a trace."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tospike.technology.dram import DramCommands, DramDevice

Page = Literal["open", "closed"]
Mapping = Literal["row_bank_column_group", "row_bank_column", "row_column_bank", "bank_row_column"]
PAGES: tuple[Page, ...] = ("open", "closed")
MAPPINGS: tuple[Mapping, ...] = (
    "row_bank_column_group", "row_bank_column", "row_column_bank", "bank_row_column",
)  # fmt: skip

#: commands, as they stand in a log
ACT, PRE, RD, WR, REF, PREA = range(6)
COMMANDS = ("ACT", "PRE", "RD", "WR", "REF", "PREA")


@dataclass(frozen=True, slots=True)
class DramSystem:
    """Chips side by side, in ranks and channels, and one FR-FCFS controller per channel.

    chips : chips of one rank; they share commands and give ``chips * width_bits`` bits per beat.
    page : "open" leaves a row open until another one of its bank is needed, or a refresh;
        "closed" precharges after every burst.
    mapping : how consecutive bursts are laid out, from the slowest to the fastest field:
        "row_bank_column_group" alternates between bank groups with every burst (DDR4: tCCD_S
        instead of tCCD_L) and is the next one for devices without groups;
        "row_bank_column" fills a row, then the row of the next bank; "row_column_bank" goes to
        another bank with every burst; "bank_row_column" fills a whole bank first, so that a
        stream has no bank parallelism. Channels alternate with every burst.
    queue : requests that a controller sees at once, and may reorder.
    """

    device: DramDevice
    chips: int = 1
    ranks: int = 1
    channels: int = 1
    page: Page = "open"
    mapping: Mapping = "row_bank_column_group"
    queue: int = 16

    @property
    def burst_bytes(self) -> int:
        """Bytes of one burst of one channel."""
        return self.chips * self.device.width_bits * self.device.burst_length // 8

    @property
    def row_bytes(self) -> int:
        """Bytes of one row of one channel and rank."""
        return self.chips * self.device.row_bytes

    @property
    def capacity_bytes(self) -> int:
        """Bytes of the whole system."""
        device = self.device
        return self.row_bytes * device.rows * device.banks * self.ranks * self.channels

    @property
    def peak_bytes_per_s(self) -> float:
        """Bytes per second on all channels without a gap."""
        device = self.device
        return self.channels * self.chips * device.width_bits / 8 * 2 * device.clock


@dataclass(frozen=True)
class DramRun:
    """What a trace cost.

    cycles : from the first cycle to the end of the last data, of the slowest channel.
    row_hits : requests that found their row open. row_misses : found their bank closed.
    row_conflicts : another row was open. All per request; they add up to ``n_requests``.
    activates, precharges, refreshes : commands (a precharge of all banks counts each open bank).
    active_cycles : cycles with an open row, summed over ranks and channels.
    finish : cycle at which the data of each request were complete, in the order of the trace.
    log : (n, 6) of channel, cycle, command, rank, bank, row, in order of issue; or empty.
    """

    system: DramSystem
    n_requests: int
    cycles: int
    reads: int
    writes: int
    row_hits: int
    row_misses: int
    row_conflicts: int
    activates: int
    precharges: int
    refreshes: int
    active_cycles: int
    finish: NDArray[np.int64]
    log: NDArray[np.int64] = field(default_factory=lambda: np.zeros((0, 6), np.int64))

    @property
    def seconds(self) -> float:
        """Time of the whole trace."""
        return self.cycles / self.system.device.clock

    @property
    def bytes(self) -> int:
        """Bytes on the data pins: whole bursts, useful or not."""
        return self.n_requests * self.system.burst_bytes

    @property
    def bytes_per_s(self) -> float:
        """Mean data rate; nan for an empty trace."""
        return self.bytes / self.seconds if self.cycles else float("nan")

    @property
    def hit_rate(self) -> float:
        """Share of requests that found their row open; nan for an empty trace."""
        return self.row_hits / self.n_requests if self.n_requests else float("nan")

    @property
    def commands(self) -> DramCommands:
        """What :func:`tospike.pricing.dram_energy` prices."""
        return DramCommands(
            device=self.system.device,
            chips=self.system.chips,
            ranks=self.system.ranks * self.system.channels,
            activates=self.activates,
            reads=self.reads,
            writes=self.writes,
            refreshes=self.refreshes,
            cycles=self.cycles,
            active_cycles=self.active_cycles,
        )
