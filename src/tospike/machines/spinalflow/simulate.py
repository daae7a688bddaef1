"""``simulate``: output neurons stay in their PEs; the sorted spikes of their field go by.

For one output position and up to ``n_pe`` output channels: the spikes of the receptive field, one
sorted list ("spine") per position of the kernel, are merged by time; each is broadcast to all
PEs with a row of weights, one spike per cycle. The potential never leaves the PE.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from tospike.actions import ActionCounts, Entry, count
from tospike.architecture import Architecture
from tospike.machines.record import LayerRun, MachineRun, Traffic, Workload
from tospike.machines.spikes import (
    SpikeInput,
    capacity,
    connections,
    dram_system,
    read_inputs,
    read_parameters,
    received,
)
from tospike.machines.spinalflow.off_chip import OffChip, rows, streams
from tospike.network import Network

POSITIVE = ("weight_bits", "potential_bits", "spike_bits", "merge_ways", "timestamp_bits")
OTHERS = ("cycles_per_position",)
LEVELS = ("spine_buffer", "filter_buffer", "dram")


@dataclass(frozen=True, slots=True)
class _Layer:
    """What one layer did, for all samples (or for one expected inference)."""

    synapses: float  # spikes x PEs that they reach
    broadcasts: float  # spikes over all positions and slices
    merges: float  # spikes through the merger, all passes
    cycles: float  # without waiting for DRAM
    spikes_in: float  # spikes read from DRAM
    spikes_out: float  # spikes written to DRAM
    row_fetches: float  # weight rows fetched spike by spike
    weight_bytes: float  # weights loaded slice by slice


def simulate(
    workload: Workload,
    architecture: Architecture,
    *,
    progress: Callable[[int, int], None] | None = None,
) -> MachineRun:
    """Run sorted spikes on output-stationary PEs; counts are for ``workload.batch`` inferences.

    Spikes of traces, (T, samples, \\*input_shape), or expected ones of statistics; the mean over
    samples, times the batch. Any code works: a neuron that spikes k times costs k times what it
    costs with one spike, and the assumptions say what k is. Layers that see the analog input take
    no time: their spikes come sorted from the host.

    Raises :class:`DataError` for layers without spikes, :class:`TechnologyError` for an
    architecture file that lacks a number.
    """
    p = read_parameters(architecture, POSITIVE, OTHERS, LEVELS)
    inputs = read_inputs(workload, architecture.name)
    sent = _spikes_sent(workload.network, inputs)
    share = workload.batch / inputs[0].samples
    layers, entries = [], []
    for done, one in enumerate(inputs):
        layer = _run_layer(one, sent[one.layer.name], architecture, p, share)
        off_chip = _off_chip(one, layer, architecture, p)
        layers.append(_layer_run(one, layer, off_chip, architecture, p, workload.batch))
        entries += _entries(one, layer, architecture, p, share)
        if progress is not None:
            progress(done + 1, len(inputs))
    assumptions, beyond = _assumptions(inputs, p)
    counts = ActionCounts(
        tuple(entries),
        route="machine",
        model=architecture.machine,
        assumptions=assumptions,
        out_of_range=beyond,
        sources=architecture.sources,
    )
    return MachineRun(architecture, workload.batch, tuple(layers), counts, assumptions, beyond)


def merge_passes(spines: int, ways: int) -> int:
    """Passes through a merger of ``ways`` inputs until ``spines`` sorted lists are one."""
    passes = 1
    while spines > ways:
        spines = -(-spines // ways)
        passes += 1
    return passes


# -- one layer ------------------------------------------------------------------------------------


def _run_layer(
    one: SpikeInput, sent: float, architecture: Architecture, p: dict[str, float], share: float
) -> _Layer:
    """Spikes, cycles and off-chip traffic of one layer; weights are loaded once per batch."""
    if one.kind == "current":
        return _Layer(0.0, 0.0, 0.0, 0.0, 0.0, sent, 0.0, 0.0)
    of = one.of
    # over all steps and samples: the order within a field does not change how long it takes
    spikes = one.by_neuron().reshape(of.groups, of.in_per_group, of.in_pixels).sum(axis=1)
    fields = float(received(of, connections(of), spikes).sum())
    slices = math.ceil(of.out_per_group / architecture.n_pe)
    passes = merge_passes(of.taps, int(p["merge_ways"]))
    broadcasts, positions = slices * fields, slices * of.groups * of.out_pixels * one.samples
    scale = 1.0
    if one.operations is not None and fields > 0:  # measured: exact at borders
        scale = one.operations / (fields * of.out_per_group)
    width = min(architecture.n_pe, of.out_per_group)
    slice_bytes = width * of.in_per_group * of.taps * p["weight_bits"] / 8
    fits = slice_bytes <= capacity(architecture, "filter_buffer")
    return _Layer(
        synapses=scale * fields * of.out_per_group,
        broadcasts=scale * broadcasts,
        merges=scale * broadcasts * passes,
        cycles=scale * broadcasts * passes + positions * p["cycles_per_position"],
        spikes_in=_fetched(one, slices, scale * broadcasts, architecture, p),
        spikes_out=sent,
        row_fetches=0.0 if fits else scale * broadcasts,
        weight_bytes=of.n_weights * p["weight_bits"] / 8 / share if fits else 0.0,
    )


def _fetched(
    one: SpikeInput, slices: int, broadcasts: float, architecture: Architecture, p: dict[str, float]
) -> float:
    """Spikes read from DRAM: once if those of a sample fit on chip, once per slice if those of the
    rows below the kernel do, else again for each position."""
    room = capacity(architecture, "spine_buffer") * 8 / p["spike_bits"]
    total = one.n_spikes
    per_sample = total / one.samples
    tall = one.of.in_space[0] if one.of.in_space else 1
    deep = (one.of.kernel[0] - 1) * one.of.dilation[0] + 1 if one.of.kernel else 1
    if per_sample <= room:
        return total
    if per_sample * min(1.0, deep / tall) <= room or one.of.taps == 1:
        return total * slices
    return broadcasts


def _spikes_sent(network: Network, inputs: tuple[SpikeInput, ...]) -> dict[str, float]:
    """Spikes that each layer writes: the most that any layer behind it reads."""
    found = {one.layer.name: 0.0 for one in inputs}
    spikes = {one.layer.name: one.n_spikes for one in inputs}
    for edge in network.synaptic_edges:
        if edge.source in found:
            found[edge.source] = max(found[edge.source], spikes.get(edge.target, 0.0))
    return found


def _off_chip(
    one: SpikeInput, layer: _Layer, architecture: Architecture, p: dict[str, float]
) -> OffChip | None:
    """DRAM of one layer: streams of spikes and weights, or single rows of weights."""
    system = dram_system(architecture)
    spike = p["spike_bits"] / 8
    read = layer.spikes_in * spike + layer.weight_bytes
    found = streams(system, read, layer.spikes_out * spike)
    if layer.row_fetches > 0:
        of = one.of
        width = min(architecture.n_pe, of.out_per_group)
        row = max(1, math.ceil(width * p["weight_bits"] / 8))
        order = np.flatnonzero(one.by_neuron().ravel())
        if one.spikes is not None:  # in the order of time
            order = np.nonzero(one.spikes[:, 0].reshape(one.n_timesteps, -1))[1]
        slices = math.ceil(of.out_per_group / architecture.n_pe)
        channel, pixel = np.divmod(order, of.in_pixels)
        number = channel * of.taps + pixel % of.taps  # of a weight row of the slice
        table = row * of.in_channels * of.taps
        addresses = (number * row + np.arange(slices)[:, None] * table).ravel()
        found = rows(system, addresses, row, layer.row_fetches, found)
    return found


# -- records --------------------------------------------------------------------------------------


def _layer_run(
    one: SpikeInput, layer: _Layer, off_chip: OffChip | None, architecture: Architecture,
    p: dict[str, float], batch: int,
) -> LayerRun:  # fmt: skip
    share = batch / one.samples
    seconds = off_chip.seconds if off_chip is not None else 0.0
    busy = math.ceil(layer.cycles * share - 1e-6)
    waiting = max(layer.cycles, seconds * architecture.clock.value)
    cycles = max(busy, math.ceil(waiting * share - 1e-6))
    word, spike = p["weight_bits"] / 8, p["spike_bits"] / 8
    loaded = layer.weight_bytes + (off_chip.row_bytes if off_chip is not None else 0.0)
    dram = None if off_chip is None else off_chip.scaled(share)
    return LayerRun(
        name=one.layer.name,
        cycles=cycles,
        busy=busy,
        macs=float(one.layer.n_synapses * batch),
        operations=layer.synapses * share,
        active_pe=min(architecture.n_pe, one.of.out_per_group),
        bytes={
            "spine_buffer": Traffic(
                (layer.merges + layer.spikes_out) * spike * share,
                (layer.spikes_in + layer.spikes_out) * spike * share,
            ),
            "filter_buffer": Traffic(layer.synapses * word * share, loaded * share),
            "dram": Traffic() if dram is None else Traffic(dram.bytes_read, dram.bytes_written),
        },
        stalls={"dram": cycles - busy},
        dram=dram,
    )


def _entries(
    one: SpikeInput, layer: _Layer, architecture: Architecture, p: dict[str, float], share: float
) -> list[Entry]:
    """Actions on the chip, for the batch; DRAM stands in the layer's commands."""
    name = one.layer.name
    word, v, spike = (int(p[key]) for key in ("weight_bits", "potential_bits", "spike_bits"))
    filters, spines = (
        capacity(architecture, "filter_buffer"),
        capacity(architecture, "spine_buffer"),
    )
    synapses, merges = layer.synapses * share, layer.merges * share
    # a tournament among the heads of the spines: one comparison per level and spike
    levels = math.ceil(math.log2(max(2.0, p["merge_ways"])))
    written = (layer.spikes_in + layer.spikes_out) * share
    loaded = (layer.weight_bytes * 8 / word) * share
    loaded += layer.row_fetches * min(architecture.n_pe, one.of.out_per_group) * share
    return [
        count(name, "alu", "ac", "none", synapses, bits=v),
        count(name, "alu", "compare", "state", synapses, bits=v),
        count(name, "register", "read", "state", synapses, bits=v),
        count(name, "register", "write", "state", synapses, bits=v),
        count(name, "sram", "read", "weight", synapses, bits=word, capacity_bytes=filters),
        count(name, "sram", "write", "weight", loaded, bits=word, capacity_bytes=filters,
              part="weights_off_chip"),
        count(name, "sram", "read", "spike", merges + layer.spikes_out * share, bits=spike,
              capacity_bytes=spines),
        count(name, "sram", "write", "spike", written, bits=spike, capacity_bytes=spines),
        count(name, "alu", "compare", "spike", merges * levels, bits=spike),
    ]  # fmt: skip


def _assumptions(
    inputs: tuple[SpikeInput, ...], p: dict[str, float]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """(assumptions, what is outside of the machine's range)."""
    sentences = [
        "one spike per cycle and merging pass; output spikes leave while the next field is "
        "merged; DRAM is read ahead, so a layer takes as long as the slower of both",
        "spikes of the last layer are read out and not counted",
    ]
    most, total, active = 0.0, 0.0, 0
    for one in inputs:
        if one.spikes is not None:
            per_neuron = one.spikes.sum(axis=0)
            most = max(most, float(per_neuron.max(initial=0)))
            total += float(per_neuron.sum())
            active += int(np.count_nonzero(per_neuron))
    if active and most <= 1:
        sentences.append("temporal code: no neuron spikes more than once")
    elif active:
        sentences.append(
            f"rate code: an active neuron spikes {total / active:.3g} times (up to {most:g}); a "
            "code with one spike per neuron would take that many times fewer cycles and accesses"
        )
    current = [one.layer.name for one in inputs if one.kind == "current"]
    if current:
        sentences.append(
            f"{', '.join(current)}: analog input; its spikes come sorted from the host and take "
            "no time"
        )
    beyond = []
    steps, ticks = inputs[0].n_timesteps, 2 ** int(p["timestamp_bits"])
    if steps > ticks:
        beyond.append(
            f"{steps} time steps; the time stamps of {int(p['timestamp_bits'])} bits tell {ticks} "
            "apart"
        )
    return tuple(sentences), tuple(beyond)
