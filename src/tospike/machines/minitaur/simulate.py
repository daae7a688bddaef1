"""``simulate``: spikes through caches and DRAM, one event after the other.

The machine takes an event from its queue, fetches what its caches lack, updates all targets, and
takes the next one, whose lines it cannot know before: the spikes of this one may come in between.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tospike.actions import ActionCounts, Entry, count
from tospike.architecture import Architecture
from tospike.errors import DataError, ModelError, OptionError
from tospike.machines.dram import DramRun, DramSystem
from tospike.machines.dram import simulate as simulate_dram
from tospike.machines.minitaur import cache as c
from tospike.machines.record import LayerRun, MachineRun, Traffic, Workload
from tospike.machines.spikes import (
    EventStream,
    Order,
    SpikeInput,
    capacity,
    connections,
    dram_system,
    event_stream,
    read_inputs,
    read_parameters,
)
from tospike.technology.dram import DramCommands

Ints = NDArray[np.int64]
POSITIVE = ("weight_bits", "state_bits", "line_bytes", "weight_ways", "state_ways",
            "misses_in_flight", "cycles_per_slot")  # fmt: skip
OTHERS = ("cycles_per_event", "miss_latency")
LEVELS = ("weight_cache", "state_cache", "dram")
#: requests that are kept and sent through the DRAM model at most, about 1 GB
LIMIT = 10_000_000
#: when requests are sent and how long they take depend on each other; they settle soon, because
#: a group of requests is done before the next one is sent
ROUNDS = 6


@dataclass(frozen=True, eq=False)
class CacheRun:
    """What the caches and the DRAM saw.

    events : (n, 6) per event: synapses, PE slots, lines and hits of weights, of states.
    cycles : (n,) from the start of each event to its end. busy : (n,) of these, computing.
    requests : (m, 3) of line address, write-back, event. bursts : DRAM bursts of each request.
    """

    stream: EventStream
    events: Ints
    cycles: NDArray[np.float64]
    busy: NDArray[np.float64]
    requests: Ints
    bursts: int
    dram: DramRun
    clock: float

    @property
    def weight_hit_rate(self) -> float:
        """Share of weight lines that were in the cache; nan without events."""
        return self._rate(c.WEIGHT_HITS, c.WEIGHT_LINES)

    @property
    def state_hit_rate(self) -> float:
        """Share of state lines that were in the cache; nan without events."""
        return self._rate(c.STATE_HITS, c.STATE_LINES)

    @property
    def synapses(self) -> int:
        """Postsynaptic currents."""
        return int(self.events[:, c.SYNAPSES].sum())

    @property
    def seconds(self) -> float:
        """Time of the whole stream."""
        return float(self.cycles.sum()) / self.clock

    @property
    def seconds_per_event(self) -> float:
        """Mean time of one spike; nan without events."""
        return self.seconds / len(self.cycles) if len(self.cycles) else float("nan")

    @property
    def synapses_per_s(self) -> float:
        """Postsynaptic currents per second; nan without events."""
        return self.synapses / self.seconds if self.seconds else float("nan")

    @property
    def bytes_per_activation(self) -> float:
        """Bytes that DRAM gives or takes for each row that it opens; nan if it opens none."""
        rows = self.dram.activates
        return self.dram.bytes / rows if rows else float("nan")

    def _rate(self, hits: int, lines: int) -> float:
        total = int(self.events[:, lines].sum())
        return int(self.events[:, hits].sum()) / total if total else float("nan")


def simulate(
    workload: Workload,
    architecture: Architecture,
    *,
    progress: Callable[[int, int], None] | None = None,
    order: Order = "real",
) -> MachineRun:
    """Run spikes on a core with caches before DRAM; counts are for ``workload.batch`` inferences.

    The samples of the traces run one after the other in the same caches; counts are the mean over
    them, times the batch. Layers that see the analog input take no time: their spikes come from
    the host. ``order``: see :func:`tospike.machines.spikes.event_stream`.

    Raises :class:`DataError` for layers without traces (statistics do not tell the order of
    spikes), :class:`ModelError` if DRAM is too small, :class:`TechnologyError` for an architecture
    file that lacks a number.
    """
    inputs = read_inputs(workload, architecture.name, statistics=False)
    run = _replay(inputs, architecture, order)
    if progress is not None:
        progress(len(inputs), len(inputs))
    share = workload.batch / inputs[0].samples
    layers, entries = [], []
    for number, one in enumerate(inputs):
        mine = run.stream.layer == number
        layers.append(_layer_run(one, mine, run, architecture, workload.batch))
        entries += _entries(one, mine, run, architecture, share)
    assumptions = _assumptions(inputs, run, architecture, order)
    counts = ActionCounts(
        tuple(entries),
        route="machine",
        model=architecture.machine,
        assumptions=assumptions,
        sources=architecture.sources,
    )
    return MachineRun(architecture, workload.batch, tuple(layers), counts, assumptions)


def replay(workload: Workload, architecture: Architecture, *, order: Order = "real") -> CacheRun:
    """The same run, event by event: hit rates, DRAM rows, time per spike.

    Raises what :func:`simulate` raises.
    """
    return _replay(read_inputs(workload, architecture.name, statistics=False), architecture, order)


# -- the machine ----------------------------------------------------------------------------------


def _replay(inputs: tuple[SpikeInput, ...], architecture: Architecture, order: Order) -> CacheRun:
    p = read_parameters(architecture, POSITIVE, OTHERS, LEVELS)
    system = dram_system(architecture)
    stream = event_stream(inputs, order)
    table, starts, outputs, taps = _tables(inputs, architecture, p, system)
    events, requests = _through_caches(stream, table, starts, outputs, taps, architecture, p)
    slots = events[:, c.SLOTS].astype(np.float64)
    busy: NDArray[np.float64] = slots * p["cycles_per_slot"] + p["cycles_per_event"]
    clock = architecture.clock.value
    bursts = max(1, -(-int(p["line_bytes"]) // system.burst_bytes))
    cycles, dram = _timed(requests, busy, p, system, clock, bursts)
    return CacheRun(stream, events, cycles, busy, requests, bursts, dram, clock)


def _tables(
    inputs: tuple[SpikeInput, ...], architecture: Architecture, p: dict[str, float],
    system: DramSystem,
) -> tuple[Ints, Ints, Ints, Ints]:  # fmt: skip
    """Addresses and connections of all layers; each array begins in a DRAM row of its own."""
    rows, starts, outputs, taps = [], [], [], []
    at, place, entry = 0, 0, 0

    def reserve(words: int, bits: float) -> int:
        nonlocal at
        start = at
        size = math.ceil(words * bits / 8)
        at += -(-size // system.row_bytes) * system.row_bytes
        return start

    for one in inputs:
        joined, of = connections(one.of), one.of
        weights = reserve(of.n_weights, p["weight_bits"])
        states = reserve(of.n_neurons, p["state_bits"])
        rows.append([place, of.in_per_group, of.out_per_group, of.taps, of.out_channels,
                     weights, states])  # fmt: skip
        starts.append(joined.starts + entry)
        outputs.append(joined.outputs)
        taps.append(joined.taps)
        place += joined.starts.size
        entry += joined.outputs.size
    if at > system.capacity_bytes:
        raise ModelError(
            f"store the network in the DRAM of {architecture.name!r}",
            received=f"{at} bytes of weights and states",
            allowed=f"up to {system.capacity_bytes} bytes",
            fix="more chips, a larger device, or fewer bits",
        )
    return (
        np.array(rows, np.int64),
        np.concatenate(starts),
        np.concatenate(outputs),
        np.concatenate(taps),
    )


def _through_caches(
    stream: EventStream, table: Ints, starts: Ints, outputs: Ints, taps: Ints,
    architecture: Architecture, p: dict[str, float],
) -> tuple[Ints, Ints]:  # fmt: skip
    """(per event, requests). The requests are counted first where the first guess is too small."""
    size = min(max(1024, 8 * stream.size), LIMIT)
    while True:
        weights, states = (_empty(architecture, name, p) for name in ("weight", "state"))
        events = np.zeros((stream.size, 6), np.int64)
        requests = np.zeros((size, 3), np.int64)
        n = c.run_events(
            stream.layer, stream.channel, stream.pixel, table, starts, outputs, taps,
            architecture.n_pe, int(p["weight_bits"]), int(p["state_bits"]),
            int(p["line_bytes"]), int(p["line_bytes"]), *weights, *states, events, requests,
        )  # fmt: skip
        if n <= size:
            return events, requests[:n]
        if n > LIMIT:
            raise DataError(
                f"run the spikes on {architecture.name!r}",
                received=f"{stream.size} spikes that miss {n} cache lines",
                allowed=f"up to {LIMIT} misses, each of which is sent through the DRAM model",
                fix="give fewer samples or time steps, or larger caches",
            )
        size = n


def _empty(architecture: Architecture, name: str, p: dict[str, float]) -> tuple[Ints, Ints, Ints]:
    """Tags, stamps and dirty marks of an empty cache, (sets, ways)."""
    size = capacity(architecture, f"{name}_cache")
    line, ways = int(p["line_bytes"]), int(p[f"{name}_ways"])
    sets = int(size) // (line * ways)
    if sets < 1:
        raise OptionError(
            f"build the {name} cache of {architecture.name!r}",
            received=f"{size:g} bytes for {ways} ways with lines of {line} bytes",
            allowed="at least one set",
            fix="a larger cache, shorter lines, or fewer ways",
        )
    shape = (sets, ways)
    return np.full(shape, -1, np.int64), np.zeros(shape, np.int64), np.zeros(shape, np.int64)


def _timed(
    requests: Ints, busy: NDArray[np.float64], p: dict[str, float], system: DramSystem,
    clock: float, bursts: int,
) -> tuple[NDArray[np.float64], DramRun]:  # fmt: skip
    """(cycles of each event, what the DRAM did). One event after the other.

    The lines of an event are fetched ``misses_in_flight`` at a time; each such group takes until
    its last data, and ``miss_latency`` cycles more between core and controller.
    """
    run = simulate_dram(system, np.zeros(0, np.int64))
    if not len(requests):
        return busy.copy(), run
    group, event = _groups(requests, int(p["misses_in_flight"]))
    address = (requests[:, c.ADDRESS, None] + np.arange(bursts) * system.burst_bytes).ravel()
    write = np.repeat(requests[:, c.WRITE], bursts).astype(np.bool_)
    of_burst = np.repeat(group, bursts)
    reads = np.flatnonzero(~write)
    ratio = system.device.clock / clock
    last_group = np.searchsorted(event, np.arange(busy.size), "right")
    fetch = np.full(event.size, p["miss_latency"])
    cycles = busy.copy()
    for _ in range(ROUNDS):
        # targets are updated as their lines come in, so an event takes the longer of both
        done = np.concatenate([[0.0], np.cumsum(fetch)])
        waits = done[last_group] - done[np.concatenate([[0], last_group[:-1]])]
        cycles, before = np.maximum(busy, waits), cycles
        begin = np.cumsum(cycles) - cycles
        first = np.concatenate([[0], last_group])[event]  # first group of the group's event
        start = begin[event] + done[:-1] - done[first]
        arrival = np.floor(start[of_burst] * ratio).astype(np.int64)
        run = simulate_dram(system, address, writes=write, arrivals=arrival)
        end = start.copy()
        # the core waits for what it reads; write-backs go out beside it
        np.maximum.at(end, of_burst[reads], run.finish[reads] / ratio)
        fetch = end - start + p["miss_latency"]
        if abs(cycles.sum() - before.sum()) <= 1e-3 * cycles.sum():
            break
    return cycles, run


def _groups(requests: Ints, in_flight: int) -> tuple[Ints, Ints]:
    """(group of each request, event of each group): up to ``in_flight`` reads of one event.

    A write-back goes with the read that caused it, which stands behind it.
    """
    event, read = requests[:, c.EVENT], requests[:, c.WRITE] == 0
    before = np.cumsum(read) - read  # reads before this request
    first = np.searchsorted(event, event, "left")
    within = before - before[first]
    opens = np.ones(event.size, np.bool_)
    opens[1:] = (event[1:] != event[:-1]) | (within[1:] // in_flight != within[:-1] // in_flight)
    return np.cumsum(opens) - 1, event[opens]


# -- records --------------------------------------------------------------------------------------


def _traffic(mine: NDArray[np.bool_], run: CacheRun) -> tuple[float, float]:
    """(requests that read, requests that write) of the events ``mine``."""
    chosen = run.requests[mine[run.requests[:, c.EVENT]]]
    written = float(chosen[:, c.WRITE].sum())
    return len(chosen) - written, written


def _layer_run(
    one: SpikeInput, mine: NDArray[np.bool_], run: CacheRun, architecture: Architecture, batch: int
) -> LayerRun:
    share = batch / one.samples
    word, state, line = (
        architecture.parameter(name) for name in ("weight_bits", "state_bits", "line_bytes")
    )
    synapses = float(run.events[mine, c.SYNAPSES].sum()) * share
    weight_fills, state_fills = (
        float((run.events[mine, lines] - run.events[mine, hits]).sum()) * line * share
        for lines, hits in ((c.WEIGHT_LINES, c.WEIGHT_HITS), (c.STATE_LINES, c.STATE_HITS))
    )
    reads, writes = (n * share for n in _traffic(mine, run))
    burst = run.bursts * run.dram.system.burst_bytes
    cycles = math.ceil(float(run.cycles[mine].sum()) * share - 1e-6)
    busy = min(cycles, math.ceil(float(run.busy[mine].sum()) * share - 1e-6))
    return LayerRun(
        name=one.layer.name,
        cycles=cycles,
        busy=busy,
        macs=float(one.layer.n_synapses * batch),
        operations=synapses,
        active_pe=min(architecture.n_pe, one.of.out_per_group),
        bytes={
            "weight_cache": Traffic(synapses * word / 8, weight_fills),
            "state_cache": Traffic(
                synapses * state / 8 + writes * line, synapses * state / 8 + state_fills
            ),
            "dram": Traffic(reads * burst, writes * burst),
        },
        stalls={"dram": cycles - busy},
        dram=_commands(mine, run, share) if reads + writes else None,
    )


def _commands(mine: NDArray[np.bool_], run: CacheRun, share: float) -> DramCommands:
    """The layer's commands: its bursts; activations by its share of the requests, refreshes and
    standby by its share of the time."""
    reads, writes = _traffic(mine, run)
    of_requests = (reads + writes) / len(run.requests)
    of_time = float(run.cycles[mine].sum() / run.cycles.sum())
    whole = run.dram.commands
    return DramCommands(
        device=whole.device,
        chips=whole.chips,
        ranks=whole.ranks,
        activates=whole.activates * of_requests * share,
        reads=reads * run.bursts * share,
        writes=writes * run.bursts * share,
        refreshes=whole.refreshes * of_time * share,
        cycles=whole.cycles * of_time * share,
        active_cycles=whole.active_cycles * of_time * share,
    )


def _entries(
    one: SpikeInput, mine: NDArray[np.bool_], run: CacheRun, architecture: Architecture,
    share: float,
) -> list[Entry]:  # fmt: skip
    """Actions on the chip, for the batch; DRAM stands in the layer's commands."""
    name = one.layer.name
    word, state = (int(architecture.parameter(f"{what}_bits")) for what in ("weight", "state"))
    bits = int(architecture.parameter("line_bytes")) * 8
    at = {key: capacity(architecture, f"{key}_cache") for key in ("weight", "state")}
    synapses = float(run.events[mine, c.SYNAPSES].sum()) * share
    misses = {
        "weight": float((run.events[mine, c.WEIGHT_LINES] - run.events[mine, c.WEIGHT_HITS]).sum()),
        "state": float((run.events[mine, c.STATE_LINES] - run.events[mine, c.STATE_HITS]).sum()),
    }
    _, written = _traffic(mine, run)
    found = [
        count(name, "alu", "ac", "none", synapses, bits=state),
        count(name, "alu", "compare", "state", synapses, bits=state),
        count(name, "sram", "read", "weight", synapses, bits=word, capacity_bytes=at["weight"]),
        count(name, "sram", "read", "state", synapses, bits=state, capacity_bytes=at["state"]),
        count(name, "sram", "write", "state", synapses, bits=state, capacity_bytes=at["state"]),
        count(name, "sram", "read", "state", written * share, bits=bits,
              capacity_bytes=at["state"], part="weights_off_chip"),
    ]  # fmt: skip
    found += [
        count(name, "sram", "write", key, n * share, bits=bits, capacity_bytes=at[key],
              part="weights_off_chip")
        for key, n in misses.items()
    ]  # fmt: skip
    return found


def _assumptions(
    inputs: tuple[SpikeInput, ...], run: CacheRun, architecture: Architecture, order: Order
) -> tuple[str, ...]:
    sentences = [
        f"order of the spikes: {order}; {run.stream.size} spikes of {inputs[0].samples} sample(s)",
        f"hit rates by line: weights {run.weight_hit_rate:.4f}, states {run.state_hit_rate:.4f}; "
        f"DRAM rows {run.dram.hit_rate:.4f}; {run.seconds_per_event:.4g} s per spike",
        "an event is done before the next one starts; of its missing lines "
        f"{architecture.parameter('misses_in_flight'):g} are fetched at a time; the core does not "
        "wait for write-backs",
        "the DRAM's activations are shared out over the layers by requests, refreshes and standby "
        "by time",
        "no update per time step: leak is made up for when a neuron is next reached; biases are "
        "not counted",
    ]
    current = [one.layer.name for one in inputs if one.kind == "current"]
    if current:
        sentences.append(
            f"{', '.join(current)}: analog input; its spikes come from the host and take no time"
        )
    board = architecture.parameters.get("board_power")
    if board is not None:
        joule = board.value * run.seconds / inputs[0].samples
        sentences.append(
            f"the board takes {board.value:g} W ({board.source}): {joule:.4g} J per inference at "
            "this speed; the priced energy has the chip's operations and the DRAM only"
        )
    fitted = [name for name, c_ in architecture.parameters.items() if c_.method == "fitted"]
    if fitted:
        sentences.append(f"fitted parameters: {', '.join(fitted)}")
    return tuple(sentences)
