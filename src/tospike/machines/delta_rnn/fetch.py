"""Columns of weights from DRAM: how long one takes, and what the commands are."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from tospike.machines.delta_rnn.record import Bools, Chip, Columns, Fetch, Ints, Port, Stage
from tospike.machines.dram import simulate
from tospike.machines.dram.streams import PAUSE
from tospike.technology.dram import DramCommands

#: columns that go through the DRAM command by command; the others take as long on average
PIECE = 512
#: parts of the stream that they come from: its first step often sends all columns in a row
STRETCHES = 16


def aligned_bytes(columns: Columns, port: Port) -> int:
    """Bytes of one column in DRAM: the longest of the stage, in whole bursts."""
    burst = port.system.burst_bytes
    return math.ceil(float(columns.stored_bytes.max()) / burst) * burst


def fetch_of(
    stage: Stage, columns: Columns, sent: Bools, chip: Chip, start: int, *, piece: int = PIECE
) -> Fetch | None:
    """Time of a column of this stage; None if the weights are on the chip.

    ``sent`` (T, n) on the axis of the stage's columns. ``start`` : address of its first column;
    columns lie one behind the other, each from a burst address on. Of the columns that are sent
    ``piece`` go through the DRAM, in stretches from all over the stream, asked for as fast as the
    port could take them.
    """
    port = chip.port
    if port is None:
        return None
    size = aligned_bytes(columns, port)
    order = _stretches(np.flatnonzero(sent.ravel()), piece) % stage.n_columns
    beats = -(-size // port.bytes_per_cycle)
    if not order.size:
        return Fetch(size, beats, port.setup)
    system = port.system
    per_column = size // system.burst_bytes
    bursts = np.arange(per_column, dtype=np.int64) * system.burst_bytes
    addresses = (start + order[:, None] * size + bursts).reshape(-1)
    ratio = system.device.clock / chip.clock  # DRAM clocks per clock
    pace = system.burst_bytes / port.bytes_per_cycle * ratio
    # at longer pauses every burst opens its row anew, and the port alone sets the time
    paced = np.arange(addresses.size) * min(pace, float(PAUSE * system.device.timings.tREFI))
    run = simulate(system, addresses, arrivals=paced.astype(np.int64))
    first = int(run.finish[0])
    service = beats
    if addresses.size > 1:
        between = (run.cycles - first) / (addresses.size - 1) * per_column / ratio
        service = max(beats, round(between))
    return Fetch(
        column_bytes=size,
        service=service,
        latency=port.setup + math.ceil(first / ratio),
        piece=int(order.size),
        commands=run.commands,
    )


def _stretches(order: Ints, piece: int) -> Ints:
    """``piece`` entries (about), as neighbours in stretches at equal distances; or all."""
    length = max(1, piece // STRETCHES)
    if order.size <= length * STRETCHES:
        return order
    middles = (np.arange(STRETCHES) + 0.5) / STRETCHES * order.size
    first = (middles - length / 2).astype(np.int64)
    found: Ints = order[first[:, None] + np.arange(length)].reshape(-1)
    return found


def commands_of(fetch: Fetch, columns: float, seconds: float, port: Port) -> DramCommands:
    """Commands of ``columns`` columns that were read within ``seconds``, scaled from the piece.

    Reads are exact. Rows are opened as often per column as in the piece; refreshes and the share
    of the time with an open row go with the time.
    """
    device = port.system.device
    reads = columns * fetch.column_bytes / port.system.burst_bytes
    cycles = seconds * device.clock
    if fetch.commands is None or not columns:
        refreshes = cycles / device.timings.tREFI
        return DramCommands(device, port.system.chips, 1, 0.0, 0.0, 0.0, refreshes, cycles, 0.0)
    of = fetch.commands
    return replace(
        of,
        activates=of.activates * columns / fetch.piece,
        reads=reads,
        writes=0.0,
        refreshes=cycles / device.timings.tREFI,
        cycles=cycles,
        active_cycles=cycles * min(1.0, of.active_cycles / (of.cycles * of.ranks)),
    )


def starts(stages: tuple[Stage, ...], columns: list[Columns], chip: Chip) -> Ints:
    """Addresses of the first columns: the stages lie one behind the other."""
    if chip.port is None:
        return np.zeros(len(stages), np.int64)
    sizes = [
        stage.n_columns * aligned_bytes(found, chip.port)
        for stage, found in zip(stages, columns, strict=True)
    ]
    return np.concatenate([[0], np.cumsum(sizes[:-1])]).astype(np.int64)
