"""``simulate``: spikes through expanded cores, step by step; the busiest core decides.

In every time step the layers run one after the other, as spikes of a converted network reach the
next layer in the same step. Within a layer the cores work side by side.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tospike.actions import ActionCounts, Entry, count
from tospike.architecture import Architecture
from tospike.machines.event_core.placement import UNIFIED, Placement, place
from tospike.machines.record import LayerRun, MachineRun, Traffic, Workload
from tospike.machines.spikes import (
    Connections,
    SpikeInput,
    connections,
    read_inputs,
    read_parameters,
    received,
)

Floats = NDArray[np.float64]
POSITIVE = ("lanes_per_core", "cores_per_tile", "mesh_width", "weight_bits", "state_bits",
            "event_bits", "events_per_state_access", "time_per_synaptic_event")  # fmt: skip
OTHERS = ("shared_kernels", "aggregated_bits", "updates_every_step", "time_per_event",
          "time_per_neuron_update", "time_per_hop", "time_per_step")  # fmt: skip

#: numbers of an array over time steps; more steps are taken in parts
LARGEST = 4_000_000


@dataclass(frozen=True, eq=False)
class _Layer:
    """What one layer did, for all samples (or for one expected inference)."""

    synaptic_events: float
    messages: float
    hops: float
    updates: float
    seconds: float
    busy: float


def simulate(
    workload: Workload,
    architecture: Architecture,
    *,
    progress: Callable[[int, int], None] | None = None,
) -> MachineRun:
    """Run spikes on expanded cores.

    Spikes are those of ``workload.traces``, (T, samples, \\*input_shape), or the expected ones of
    its statistics. Counts are for ``workload.batch`` inferences: the mean over all samples,
    times the batch. A layer that sees the analog input counts as constant-current encoding: its
    neurons are updated in each step, its MACs are done elsewhere.

    Raises :class:`DataError` for layers without spikes, :class:`ModelError` for layers that fit
    no core, :class:`TechnologyError` for an architecture file that lacks a number.
    """
    numbers = read_parameters(architecture, POSITIVE, OTHERS)
    inputs = read_inputs(workload, architecture.name)
    placements = place(inputs, architecture)
    found: list[_Layer] = []
    for done, (one, placement) in enumerate(zip(inputs, placements, strict=True)):
        before = _source_cores(one, inputs, placements)
        found.append(_run_layer(one, placement, before, numbers))
        if progress is not None:
            progress(done + 1, len(inputs))
    share = workload.batch / inputs[0].samples
    runs, entries = [], []
    for one, placement, layer in zip(inputs, placements, found, strict=True):
        runs.append(_layer_run(one, placement, layer, architecture, numbers, workload.batch))
        entries += _entries(one, layer, architecture, numbers, share)
    assumptions = _assumptions(inputs, placements, found, architecture)
    counts = ActionCounts(
        tuple(entries),
        route="machine",
        model=architecture.machine,
        assumptions=assumptions,
        sources=architecture.sources,
    )
    return MachineRun(architecture, workload.batch, tuple(runs), counts, assumptions)


# -- one layer ------------------------------------------------------------------------------------


def _run_layer(
    one: SpikeInput, placement: Placement, before: NDArray[np.int64], p: dict[str, float]
) -> _Layer:
    """Events, messages and time of one layer."""
    rows = one.n_timesteps * one.samples
    neurons = placement.neurons
    every_step = one.kind == "current" or p["updates_every_step"] > 0
    updates = float(neurons.sum()) * rows if every_step else 0.0
    update_time = neurons * p["time_per_neuron_update"] if every_step else np.zeros_like(neurons)
    barrier = rows * p["time_per_step"]
    if one.kind == "current":
        busy = float(update_time.max(initial=0.0)) * rows
        return _Layer(0.0, 0.0, 0.0, updates, busy + barrier, busy)
    joined = connections(one.of)
    shares = _channels_by_group(one, placement)
    hops, farthest = _hops(one, joined, placement, before, shares > 0, p)
    total = messages = seconds = busy = 0.0
    widest = max(placement.cores, one.of.groups * max(one.of.in_pixels, one.of.out_pixels))
    size = max(1, LARGEST // widest)
    for start in range(0, rows, size):
        spikes = one.by_group(start, start + size)
        work = _by_part(received(one.of, joined, spikes), placement)  # (rows, groups, parts)
        events = np.einsum("rgp,bg->rbp", work, shares)  # (rows, blocks, parts)
        come = np.einsum("rgp,bg->rbp", _arriving(spikes, joined, placement), shares > 0)
        total += float(events.sum())
        messages += float(come.sum())
        time = come * p["time_per_event"] + update_time
        time += np.ceil(events / p["lanes_per_core"] - 1e-9) * p["time_per_synaptic_event"]
        slowest = time.reshape(len(time), -1).max(axis=1)
        busy += float(slowest.sum())
        travelled = np.count_nonzero(come.reshape(len(come), -1).any(axis=1))
        seconds += float(slowest.sum()) + travelled * farthest * p["time_per_hop"]
    if one.operations is not None:  # measured: exact, where the rates are a product of densities
        total = one.operations
    return _Layer(total, messages, hops, updates, seconds + barrier, busy)


def _channels_by_group(one: SpikeInput, placement: Placement) -> Floats:
    """Output channels of each block in each group, (blocks, groups)."""
    found = np.zeros((placement.blocks, one.of.groups))
    block = np.repeat(np.arange(placement.blocks), np.diff(placement.channels))
    np.add.at(found, (block, np.arange(one.of.out_channels) // one.of.out_per_group), 1.0)
    return found


def _by_part(values: Floats, placement: Placement) -> Floats:
    """Sums over the positions of each part, (..., out_pixels) -> (..., parts)."""
    return np.add.reduceat(values, placement.bounds[:-1], axis=-1)


def _pairs(joined: Connections, placement: Placement) -> tuple[NDArray[np.int64], ...]:
    """(input position, part) for each part that a spike of that position reaches."""
    part = np.searchsorted(placement.bounds, joined.outputs, "right") - 1
    keys = np.unique(joined.inputs * placement.parts + part)
    return keys // placement.parts, keys % placement.parts


def _arriving(spikes: Floats, joined: Connections, placement: Placement) -> Floats:
    """Spikes that reach each part, each once, (rows, groups, parts)."""
    from scipy.sparse import csr_array

    position, part = _pairs(joined, placement)
    shape = (spikes.shape[-1], placement.parts)
    matrix = csr_array((np.ones(position.size), (position, part)), shape=shape)
    flat = spikes.reshape(-1, spikes.shape[-1])
    found = np.asarray(matrix.T @ flat.T).T
    return found.reshape(*spikes.shape[:-1], placement.parts)


def _hops(
    one: SpikeInput,
    joined: Connections,
    placement: Placement,
    before: NDArray[np.int64],
    reached: NDArray[np.bool_],
    p: dict[str, float],
) -> tuple[float, float]:
    """(tile hops of all messages, hops of the farthest one).

    before : core that sends each input neuron's spikes, (in_channels, in_pixels); -1 is the input
    port at the corner of the mesh.
    """
    position, part = _pairs(joined, placement)
    per_tile, width = int(p["cores_per_tile"]), int(p["mesh_width"])

    def places(cores: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        tiles = np.maximum(cores, 0) // per_tile
        return tiles % width, tiles // width

    senders, place_of = np.unique(before, return_inverse=True)
    place_of = place_of.reshape(before.shape)
    x, y = places(senders)
    spikes = one.by_neuron().reshape(one.of.groups, one.of.in_per_group, -1)
    sender = place_of.reshape(spikes.shape)
    total = farthest = 0.0
    patterns, which = np.unique(reached.T, axis=0, return_inverse=True)
    for number, pattern in enumerate(patterns):
        blocks = np.flatnonzero(pattern)
        cores = placement.first + blocks[:, None] * placement.parts + np.arange(placement.parts)
        to_x, to_y = places(cores)
        far = np.zeros((senders.size, placement.parts))
        for bx, by in zip(to_x, to_y, strict=True):
            distance = np.abs(x[:, None] - bx) + np.abs(y[:, None] - by)
            far += distance
            farthest = max(farthest, float(distance.max(initial=0)))
        mine = np.flatnonzero(which.reshape(-1) == number)
        sent = np.zeros(far.shape)
        np.add.at(sent, (sender[mine][..., position], part), spikes[mine][..., position])
        total += float((sent * far).sum())
    return total, farthest


def _source_cores(
    one: SpikeInput, inputs: tuple[SpikeInput, ...], placements: tuple[Placement, ...]
) -> NDArray[np.int64]:
    """Core that sends each input neuron's spikes: the one with the neurons of the same place.

    Pooling moves a neuron to the same relative place of its channel. Of several sources the last
    one counts; the network's input comes in at the corner (-1).
    """
    of = one.of
    known = {other.layer.name: n for n, other in enumerate(inputs)}
    sources = [known[name] for name in one.sources if name in known]
    if not sources:
        return np.full((of.in_channels, of.in_pixels), -1, np.int64)
    last = max(sources)
    cores = placements[last].core_of(inputs[last].of).ravel()
    index = np.arange(of.in_channels * of.in_pixels)
    return cores[index * cores.size // index.size].reshape(of.in_channels, of.in_pixels)


# -- records --------------------------------------------------------------------------------------


def _layer_run(
    one: SpikeInput, placement: Placement, layer: _Layer, architecture: Architecture,
    p: dict[str, float], batch: int,
) -> LayerRun:  # fmt: skip
    share = batch / one.samples
    word, state = p["weight_bits"] / 8, p["state_bits"] / 8
    events = layer.synaptic_events * share
    grouped = events / p["events_per_state_access"] + layer.updates * share
    # every event passes the queue of its core; a constant current is read in each update
    queue = layer.messages * share * p["event_bits"] / 8
    current = layer.updates * share * state if one.kind == "current" else 0.0
    weights = Traffic(read=events * word)
    states = Traffic(grouped * state + queue + current, grouped * state + queue)
    levels = (
        {UNIFIED: Traffic(weights.read + states.read, states.written)}
        if any(level.name == UNIFIED for level in architecture.levels)
        else {"weights": weights, "states": states}
    )
    clock = architecture.clock.value
    cycles = math.ceil(layer.seconds * share * clock - 1e-6)
    busy = min(cycles, math.ceil(layer.busy * share * clock - 1e-6))
    return LayerRun(
        name=one.layer.name,
        cycles=cycles,
        busy=busy,
        macs=float(one.layer.n_synapses * batch),
        operations=events,
        active_pe=placement.cores * int(p["lanes_per_core"]),
        bytes=levels,
        stalls={"synchronisation and hops": cycles - busy},
    )


def _entries(
    one: SpikeInput, layer: _Layer, architecture: Architecture, p: dict[str, float], share: float
) -> list[Entry]:
    """Actions of one layer, for the batch."""
    name, events, updates = one.layer.name, layer.synaptic_events * share, layer.updates * share
    word, state, event = int(p["weight_bits"]), int(p["state_bits"]), int(p["event_bits"])
    messages, hops = layer.messages * share, layer.hops * share
    travel = count(name, "noc", "hop", "event", hops, bits=event, part="communication")
    whole = int(p["aggregated_bits"])
    if whole:
        return [
            count(name, "core", "synaptic_event", "none", events, bits=whole),
            count(name, "core", "neuron_update", "state", updates, bits=whole, part="neuron"),
            count(name, "core", "spike_out", "event", messages, bits=whole, part="communication"),
            travel,
        ]
    unified = any(level.name == UNIFIED for level in architecture.levels)
    levels = (UNIFIED, UNIFIED) if unified else ("weights", "states")
    sizes = [architecture.level(level).capacity for level in levels]
    at_weights, at_states = (None if size is None else size.value for size in sizes)
    grouped = events / p["events_per_state_access"]
    found = [
        count(name, "sram", "read", "weight", events, bits=word, capacity_bytes=at_weights),
        count(name, "alu", "ac", "none", events, bits=state),
    ]
    for action in ("read", "write"):
        found += [
            count(name, "sram", action, "state", grouped, bits=state, capacity_bytes=at_states),
            count(name, "sram", action, "state", updates, bits=state, capacity_bytes=at_states,
                  part="neuron"),
            # an event is written into the queue of its core, and read from it
            count(name, "sram", action, "event", messages, bits=event, capacity_bytes=at_states,
                  part="communication"),
        ]  # fmt: skip
    found.append(count(name, "alu", "compare", "state", updates, bits=state, part="neuron"))
    if one.kind == "current":
        found += [
            count(name, "alu", "add", "current", updates, bits=state, part="border"),
            count(name, "sram", "read", "current", updates, bits=state, capacity_bytes=at_states,
                  part="border"),
        ]  # fmt: skip
    return [*found, travel]


def _assumptions(
    inputs: tuple[SpikeInput, ...], placements: tuple[Placement, ...], found: list[_Layer],
    architecture: Architecture,
) -> tuple[str, ...]:  # fmt: skip
    cores = sum(placement.cores for placement in placements)
    steps, samples = inputs[0].n_timesteps, inputs[0].samples
    slowest = max(layer.seconds for layer in found) / (steps * samples)
    sentences = [
        f"{cores} cores are used, with all weights resident; neurons stand on them in the order of "
        "the layers, tiles row by row; one message goes to every core that holds a target; links "
        "never congest",
        "in each step the layers run one after the other; as a pipeline, each layer one step "
        f"behind, an inference would take at least {slowest * (steps + len(inputs) - 1):.4g} s and "
        f"the next one follow after {slowest * steps:.4g} s",
        "spikes leave from the core with the neurons of the same relative place (pooling is done "
        "by the sender); spikes of the last layer are read out and not counted",
    ]
    current = [one.layer.name for one in inputs if one.kind == "current"]
    if current:
        sentences.append(
            f"{', '.join(current)}: analog input; its MACs are done elsewhere, once per inference, "
            f"and its neurons integrate a constant current for {steps} steps"
        )
    if any(one.kind == "expected" for one in inputs):
        sentences.append(
            "expected spikes of statistics, the same in every step: no step is busier than the "
            "mean, so the time is a lower bound"
        )
    fitted = [name for name, c in architecture.parameters.items() if c.method == "fitted"]
    if fitted:
        sentences.append(f"fitted parameters: {', '.join(fitted)}")
    return tuple(sentences)
