"""Simulator of Eyeriss-like row-stationary machines (Chen 2017, JSSC): layer after layer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from tospike.actions import ActionCounts, Entry
from tospike.architecture import Architecture
from tospike.errors import ModelError, RangeError
from tospike.machines.eyeriss.activity import Maps, maps_of
from tospike.machines.eyeriss.chip import Chip, chip_of
from tospike.machines.eyeriss.counts import Counted, entries, levels
from tospike.machines.eyeriss.mapping import Mapping, choose, misfit
from tospike.machines.eyeriss.memory import OffChip, dram_commands, link_cycles, off_chip
from tospike.machines.eyeriss.passes import Work, work_of
from tospike.machines.record import LayerRun, MachineRun, Workload
from tospike.machines.row_stationary.shape import Shape, shapes
from tospike.network import Layer

Progress = Callable[[int, int], None]
SOURCES = ("chen_2017_jssc",)

ASSUMPTIONS = (
    "row-stationary mapping by one rule for all layers (fewest DRAM bytes among mappings that use "
    "the array well), chosen before the data are known",
    "input maps are loaded and output maps stored while the array waits; filters are loaded while "
    "it works",
    "groups of a convolution run one after the other; layers without weights cost nothing",
    "a zero input gates MAC and scratchpads of its PE and saves no time",
)
ESTIMATED = (
    "sizes of compressed maps follow from zero fractions, with zeros independent of each other"
)
POOLED = "output maps before pooling have z ** {:g} zeros where the next layer reads z"


@dataclass(frozen=True, slots=True)
class Plan:
    """One layer: how it is mapped, and what that does. ``times`` : equal runs of it, one after
    the other, when the batch is larger than the images that run at once."""

    layer: Layer
    shape: Shape
    mapping: Mapping
    times: int


def simulate(
    workload: Workload, architecture: Architecture, *, progress: Progress | None = None
) -> MachineRun:
    """Run convolutions and linear layers, dense, with zeros gated and maps compressed.

    A trace of a layer gives exact compressed sizes; a zero fraction gives the mean.
    ``cycles`` of a layer are its total latency; without the stalls "dram_load", "dram_store" and
    "filter_dram" they are its processing latency.

    Raises :class:`ModelError` for layers that cannot be mapped, :class:`StatisticError` and
    :class:`DataError` for activity that is missing or does not fit, :class:`RangeError` for a
    chip that makes no sense. All layers stand in one error.
    """
    chip = chip_of(architecture)
    plans = plan(workload, chip, architecture.name)
    names = tuple(dict.fromkeys(item.layer.name for item in plans))
    layers = tuple(workload.network[name] for name in names)
    maps = maps_of(workload, layers, chip)
    runs, found = [], []
    for done, layer in enumerate(layers):
        if progress is not None:
            progress(done, len(layers))
        parts = [item for item in plans if item.layer.name == layer.name]
        run, items = _run(layer, parts, maps[layer.name], chip)
        runs.append(run)
        found.extend(items)
    if progress is not None:
        progress(len(layers), len(layers))
    assumptions = (*ASSUMPTIONS, *_fitted(architecture), *_estimates(workload, layers, chip))
    counts = ActionCounts(
        tuple(found), "machine", "eyeriss", assumptions=assumptions, sources=SOURCES
    )
    return MachineRun(architecture, workload.batch, tuple(runs), counts, assumptions)


def plan(workload: Workload, chip: Chip, name: str) -> tuple[Plan, ...]:
    """The mapping of every layer with MACs; a batch that does not run at once has two per layer.

    Raises :class:`ModelError` with every layer that does not fit.
    """
    asked = f"map {workload.network.origin.name!r} on {name!r}"
    if workload.batch < 1:
        raise RangeError(asked, received=f"a batch of {workload.batch}", allowed="1 or more")
    at_once = min(workload.batch, chip.images_at_once)
    inputs = {edge.target for edge in workload.network.synaptic_edges if edge.source == "input"}
    plans, reasons = [], []
    for shape in shapes(workload.network, 1, asked):
        layer = workload.network[shape.name]
        fault = misfit(shape, chip)
        if fault:
            reasons.append(f"layer {shape.name!r}: {fault}")
            continue
        compressed = shape.name not in inputs
        for images, times in _groups(workload.batch, at_once):
            several = replace(shape, images=shape.images * images)
            mapping = choose(several, chip, images=images, compressed=compressed)
            if mapping is None:
                reasons.append(f"layer {shape.name!r}: no mapping fits the buffers")
                break
            plans.append(Plan(layer, several, mapping, times))
    if reasons:
        raise ModelError(
            asked,
            received=f"{len(reasons)} layer(s) that do not fit",
            fix="change the architecture as said, or simulate the layers that fit",
            reasons=reasons,
        )
    return tuple(plans)


def _groups(batch: int, at_once: int) -> Iterator[tuple[int, int]]:
    """(images that run at once, how often) for a batch."""
    whole, rest = divmod(batch, at_once)
    if whole:
        yield at_once, whole
    if rest:
        yield rest, 1


def _run(layer: Layer, plans: list[Plan], maps: Maps, chip: Chip) -> tuple[LayerRun, list[Entry]]:
    """One layer for the whole batch."""
    work, traffic = Work(), OffChip(0, 0, 0, 0, 0, 0)
    load = store = late = 0
    for item in plans:
        one = work_of(item.shape, item.mapping, chip)
        moved = off_chip(layer, item.shape, item.mapping, chip, maps.ifmap, maps.ofmap)
        work.add(one, item.times)
        traffic = traffic.plus(moved, item.times)
        load += item.times * link_cycles(chip, moved.ifmap, 0)
        store += item.times * link_cycles(chip, 0, moved.ofmap)
        behind = link_cycles(chip, moved.filters, 0) - one.processing
        late += item.times * max(0, behind)
    cycles = work.processing + load + store + late
    gated = 0.0
    if chip.gated:
        real = layer.n_synapses_exact / layer.n_synapses
        gated = 1 - (1 - maps.zeros) * real
    counted = Counted(layer.name, work, traffic, cycles / chip.clock, gated)
    stalls = {
        "psum_bus": work.psum_bus,
        "ifmap_bus": work.ifmap_bus,
        "ramp_up": work.ramp_up,
        "filter_load": work.filter_load,
        "dram_load": load,
        "filter_dram": late,
        "dram_store": store,
    }
    run = LayerRun(
        name=layer.name,
        cycles=cycles,
        busy=work.busy,
        macs=float(work.macs),
        operations=float(work.macs),
        active_pe=max(item.mapping.active_pe for item in plans),
        bytes=levels(counted, chip),
        stalls={cause: number for cause, number in stalls.items() if number},
        dram=dram_commands(chip, traffic, cycles),
    )
    return run, entries(counted, chip)


def _fitted(architecture: Architecture) -> list[str]:
    """One sentence for every parameter that was fitted."""
    return [
        f"{name} = {constant.value:g} is fitted ({constant.locator})"
        for name, constant in architecture.parameters.items()
        if constant.method == "fitted"
    ]


def _estimates(workload: Workload, layers: tuple[Layer, ...], chip: Chip) -> list[str]:
    found = []
    if any(layer.name not in workload.traces for layer in layers):
        found.append(ESTIMATED)
    if any(layer.kind == "conv" for layer in layers):
        found.append(POOLED.format(chip.pooled_exponent))
    return found
