"""``simulate``: a trace of bursts through a DRAM system."""

from __future__ import annotations

from dataclasses import astuple
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tospike.errors import DataError, OptionError
from tospike.machines.dram import controller as c
from tospike.machines.dram.record import MAPPINGS, PAGES, DramRun, DramSystem

Ints = NDArray[np.int64]
#: rank, bank, row and kind of requests
Requests = tuple[Ints, Ints, Ints, Ints]


def simulate(
    system: DramSystem,
    addresses: Any,
    *,
    writes: Any = None,
    arrivals: Any = None,
    log: bool = False,
) -> DramRun:
    """Serve one burst for every address.

    Parameters
    ----------
    addresses : (n,) byte addresses below ``system.capacity_bytes``, each within the burst that is
        meant. One request is one whole burst of one channel.
    writes : (n,) bool, or one for all; None reads only.
    arrivals : (n,) clock cycles at which the controller sees the requests, ascending; None: 0.
    log : keep every command.

    Raises
    ------
    OptionError : a system that cannot be built. DataError : addresses, kinds or arrivals that do
    not fit; all faults at once.
    """
    check_system(system)
    address, write, arrival = _checked(system, addresses, writes, arrivals)
    channel, rank, bank, row = decode(system, address)
    finish = np.zeros(address.size, np.int64)
    t = np.array([*astuple(system.device.timings), system.device.burst_cycles], np.int64)
    total = np.zeros(9, np.int64)
    cycles, logs = 0, []
    for k in range(system.channels):
        mine = slice(None) if system.channels == 1 else np.flatnonzero(channel == k)
        done = np.zeros(rank[mine].size, np.int64)
        requests = (rank[mine], bank[mine], row[mine], write[mine])
        result, lines = _serve(system, t, requests, arrival[mine], done, log)
        finish[mine] = done
        cycles = max(cycles, int(result[c.CYCLES]))
        total += result
        logs.append(np.column_stack([np.full(len(lines), k), lines]))
    n_writes = int(write.sum())
    idle = cycles * system.channels * system.ranks
    return DramRun(
        system=system,
        n_requests=int(address.size),
        cycles=cycles,
        reads=int(address.size) - n_writes,
        writes=n_writes,
        row_hits=int(total[c.HITS]),
        row_misses=int(total[c.MISSES]),
        row_conflicts=int(total[c.CONFLICTS]),
        activates=int(total[c.ACTIVATES]),
        precharges=int(total[c.PRECHARGES]),
        refreshes=int(total[c.REFRESHES]),
        active_cycles=min(int(total[c.ACTIVE]), idle),
        finish=finish,
        log=np.concatenate(logs) if log else np.zeros((0, 6), np.int64),
    )


def decode(system: DramSystem, address: Ints) -> tuple[Ints, Ints, Ints, Ints]:
    """(channel, rank, bank, row) of byte addresses, as ``system.mapping`` lays them out."""
    device = system.device
    columns = device.columns // device.burst_length
    burst = address // system.burst_bytes
    burst, channel = _split(burst, system.channels)
    places = system.ranks * device.banks
    if system.mapping == "row_bank_column_group":
        burst, group = _split(burst, device.bank_groups)
        places //= device.bank_groups
        burst //= columns
        row, place = _split(burst, places)
        rank, bank = _split(place, device.banks // device.bank_groups)
        return channel, rank, bank + group * (device.banks // device.bank_groups), row
    if system.mapping == "row_bank_column":
        burst //= columns
        row, place = _split(burst, places)
    elif system.mapping == "row_column_bank":
        burst, place = _split(burst, places)
        row = burst // columns
    else:
        place, burst = _split(burst, columns * device.rows)
        row = burst // columns
    rank, bank = _split(place, device.banks)
    return channel, rank, bank, row


def _split(number: Ints, divisor: int) -> tuple[Ints, Ints]:
    """Quotient and remainder of numbers from 0 on; quicker than ``np.divmod``."""
    if divisor == 1:
        return number, np.zeros(np.shape(number), np.int64)
    quotient = number // divisor
    return quotient, number - quotient * divisor


def stream(n_bytes: int, system: DramSystem, start: int = 0) -> Ints:
    """Addresses of a sequential access to ``n_bytes`` bytes from ``start`` on: whole bursts."""
    size = system.burst_bytes
    first, last = start // size, -(-(start + n_bytes) // size)
    return np.arange(first, last, dtype=np.int64) * size


def random_rows(
    n_rows: int,
    useful_bytes: int,
    system: DramSystem,
    *,
    seed: int = 0,
    one_bank: bool = False,
) -> Ints:
    """Addresses of ``useful_bytes`` from the start of each of ``n_rows`` random rows.

    ``one_bank`` takes all rows from the first bank, each different from the one before.
    """
    device = system.device
    if not 1 <= useful_bytes <= system.row_bytes or n_rows < 1:
        raise OptionError(
            "make a random trace",
            received=f"{n_rows} rows with {useful_bytes} useful bytes",
            allowed=f"at least one row, and 1 to {system.row_bytes} bytes of it",
        )
    if not system.mapping.startswith("row_bank_column") or system.channels != 1:
        raise OptionError(
            "make a random trace",
            received=f"mapping {system.mapping!r}, {system.channels} channels",
            allowed="mapping 'row_bank_column' or 'row_bank_column_group' and one channel",
        )
    generator = np.random.default_rng(seed)
    places = device.banks * system.ranks
    if one_bank:
        steps = generator.integers(1, device.rows, n_rows)
        rows = np.cumsum(steps) % device.rows * places
    else:
        rows = generator.integers(0, device.rows * places, n_rows)
    per_row = -(-useful_bytes // system.burst_bytes)
    offsets = np.arange(per_row, dtype=np.int64) * system.burst_bytes
    found: Ints = (rows[:, None] * system.row_bytes + offsets).reshape(-1)
    return found


def check_system(system: DramSystem) -> None:
    """Refuse a system that cannot be built, with all reasons."""
    reasons = [
        f"{name} is {value!r}; a whole number from 1 to {limit} is needed"
        for name, value, limit in (
            ("chips", system.chips, 64),
            ("ranks", system.ranks, 16),
            ("channels", system.channels, 64),
            ("queue", system.queue, 1024),
        )
        if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= limit
    ]
    if system.page not in PAGES:
        reasons.append(f"page is {system.page!r}; there are {', '.join(PAGES)}")
    if system.mapping not in MAPPINGS:
        reasons.append(f"mapping is {system.mapping!r}; there are {', '.join(MAPPINGS)}")
    if reasons:
        raise OptionError("build the DRAM system", reasons=reasons)


def _checked(
    system: DramSystem, addresses: Any, writes: Any, arrivals: Any
) -> tuple[Ints, Ints, Ints]:
    """The trace as int64 arrays."""
    reasons = []
    address = np.asarray(addresses)
    if address.ndim != 1 or not (address.size == 0 or np.issubdtype(address.dtype, np.integer)):
        raise DataError(
            "simulate a DRAM trace",
            received=f"addresses of shape {address.shape} and type {address.dtype}",
            allowed="one whole number per burst, shape (n,)",
        )
    address = address.astype(np.int64)
    if address.size and not (address.min() >= 0 and address.max() < system.capacity_bytes):
        reasons.append(
            f"addresses run from {address.min()} to {address.max()}; the system holds "
            f"{system.capacity_bytes} bytes"
        )
    write = np.zeros(address.size, np.int64)
    if writes is not None:
        given = np.asarray(writes)
        if given.dtype != np.bool_ or given.shape not in ((), address.shape):
            reasons.append(f"writes has shape {given.shape} and type {given.dtype}; bool is needed")
        else:
            write = np.broadcast_to(given, address.shape).astype(np.int64)
    arrival = np.zeros(address.size, np.int64)
    if arrivals is not None:
        given = np.asarray(arrivals)
        if given.shape != address.shape or not np.issubdtype(given.dtype, np.integer):
            reasons.append(f"arrivals has shape {given.shape} and type {given.dtype}")
        elif given.size and (given.min() < 0 or np.any(np.diff(given) < 0)):
            reasons.append("arrivals must ascend from 0 on")
        else:
            arrival = given.astype(np.int64)
    if reasons:
        raise DataError("simulate a DRAM trace", reasons=reasons)
    return address, write, arrival


def _serve(
    system: DramSystem, t: Ints, requests: Requests, arrival: Ints, finish: Ints, log: bool
) -> tuple[Ints, Ints]:
    """One channel; the log grows until it holds every command."""
    device = system.device
    size = 3 * arrival.size + 64 if log else 0
    while True:
        lines = np.zeros((size, 5), np.int64)
        result = c.serve(
            t, system.page == "closed", system.queue, system.ranks, device.banks,
            device.bank_groups, *requests, arrival, finish, lines,
        )  # fmt: skip
        if not log or result[c.LOGGED] <= size:
            return result, lines[: min(size, result[c.LOGGED])]
        size = int(result[c.LOGGED])
