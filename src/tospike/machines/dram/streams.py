"""The DRAM of a layer, by command: long streams, of which a piece is simulated and scaled.

Input maps and kernels are read, output maps written, both as streams in blocks of one DMA
transfer that take turns in proportion to their sizes.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
from numpy.typing import NDArray

from tospike.machines.dram.record import DramRun, DramSystem
from tospike.machines.dram.simulate import simulate
from tospike.technology.dram import DramCommands

#: bursts that are simulated; longer streams are scaled from them
PIECE = 32768
#: refresh intervals between two bursts; longer pauses are scaled from these
PAUSE = 8
#: steps in which the share of writes is rounded for the bandwidth
_SHARES = 64
Ints = NDArray[np.int64]


def bandwidth(system: DramSystem, read: float, written: float, dma_bytes: int) -> float:
    """Bytes per second of reads and writes that take turns without a pause."""
    total = read + written
    share = round(_SHARES * written / total) if total else 0
    return _bandwidth(system, share, dma_bytes)


@cache
def _bandwidth(system: DramSystem, share: int, dma_bytes: int) -> float:
    writes = share / _SHARES
    addresses, kinds = streams(system, PIECE, writes, dma_bytes)
    return simulate(system, addresses, writes=kinds).bytes_per_s


def commands(
    system: DramSystem,
    read: float,
    written: float,
    seconds: float,
    dma_bytes: int,
    *,
    piece: int = PIECE,
) -> DramCommands | None:
    """Commands of a layer that reads and writes so many bytes evenly over its time.

    Idle time counts too: standby and refresh go on. None for a layer without time. A row that is
    left open is closed by the next refresh, so bursts that are further apart than
    ``PAUSE`` refresh intervals are simulated at this distance.
    ``piece`` : bursts simulated.
    """
    bursts = int(-(-(read + written) // system.burst_bytes))
    clocks = seconds * system.device.clock
    if not bursts or clocks <= 0:
        return None
    n = min(bursts, piece)
    addresses, kinds = streams(system, n, written / (read + written), dma_bytes)
    pace = min(clocks / bursts, float(PAUSE * system.device.timings.tREFI))
    arrivals = np.floor(np.arange(n) * pace).astype(np.int64)
    run = simulate(system, addresses, writes=kinds, arrivals=arrivals)
    found = _scaled(run, bursts / n, max(clocks, run.cycles * bursts / n))
    # the piece has whole blocks; the numbers of both kinds are known exactly
    writes = bursts * written / (read + written)
    return replace(found, reads=bursts - writes, writes=writes)


def streams(
    system: DramSystem, bursts: int, writes: float, dma_bytes: int
) -> tuple[Ints, NDArray[np.bool_]]:
    """Addresses and kinds of ``bursts`` bursts: two streams, block by block in proportion."""
    size = system.burst_bytes
    block = max(1, dma_bytes // size)
    blocks = -(-bursts // block)
    # block b is a write where the number of writes so far falls behind
    due = np.floor((np.arange(1, blocks + 1)) * writes + 1e-9).astype(np.int64)
    kind = np.diff(due, prepend=0) > 0
    kinds = np.repeat(kind, block)[:bursts]
    half = system.capacity_bytes // 2 // size
    addresses = np.empty(bursts, np.int64)
    addresses[kinds] = (np.arange(int(kinds.sum())) % half + half) * size
    addresses[~kinds] = np.arange(int((~kinds).sum())) % half * size
    return addresses, kinds


def _scaled(run: DramRun, factor: float, clocks: float) -> DramCommands:
    found = run.commands
    places = found.ranks
    share = found.active_cycles / (run.cycles * places) if run.cycles else 0.0
    return replace(
        found,
        activates=found.activates * factor,
        reads=found.reads * factor,
        writes=found.writes * factor,
        refreshes=max(
            found.refreshes * factor, places * (clocks // run.system.device.timings.tREFI)
        ),
        cycles=clocks,
        active_cycles=share * clocks * places,
    )
