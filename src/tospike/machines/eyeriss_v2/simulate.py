"""Simulator of Eyeriss v2-like machines: sparse PEs in clusters on a hierarchical mesh."""

from __future__ import annotations

from collections.abc import Callable
from math import ceil
from typing import NamedTuple

import numpy as np

from tospike.actions import ActionCounts, Entry
from tospike.architecture import Architecture
from tospike.errors import RangeError
from tospike.machines.eyeriss_v2 import exact
from tospike.machines.eyeriss_v2 import mapping as mean
from tospike.machines.eyeriss_v2.chip import Chip, chip_of
from tospike.machines.eyeriss_v2.count import Work, entries, traffic, work_of
from tospike.machines.eyeriss_v2.mapping import Density, Mappings
from tospike.machines.eyeriss_v2.tensors import Pattern, patterns
from tospike.machines.record import LayerRun, MachineRun, Workload
from tospike.machines.row_stationary.shape import Shape, shapes

Progress = Callable[[int, int], None]

#: mappings, best on average, that are tried with the real tensors of a layer
TRIED = 12

ASSUMPTIONS = (
    "the mapping of a layer has the fewest cycles of all that fit the scratchpads",
    "transfers on the mesh and from the DRAM overlap with the computation of the same pass",
    "chains of PEs wait for each other at the end of a pass, PEs of a chain after each output row",
    "a word of weights takes one cycle; iacts without weights in their column take none",
    "outputs go to the DRAM uncompressed; pooling is not done on the chip",
)
MEAN = (
    "layers without traces: all PEs have the mean number of values that are not zero, so that the "
    "imbalance between PEs is left out and cycles are a lower bound"
)


class _Result(NamedTuple):
    """One layer: its mapping (one entry), cycles in all, of PEs that compute, and the work."""

    mapping: Mappings
    cycles: float
    compute: float
    work: Work


def simulate(
    workload: Workload, architecture: Architecture, *, progress: Progress | None = None
) -> MachineRun:
    """Run a workload: with real tensors where there are traces, else with zero fractions.

    Weights: ``workload.weight_zeros``, else the parameter ``weight_zero_fraction`` for all layers.
    Where an operand's ``zero_handling`` is "skip" its zeros take neither cycles nor energy; "gate"
    saves energy only, "none" nothing.

    Raises :class:`ModelError` for layers that cannot be mapped, :class:`DataError` for missing or
    unfit activity, :class:`RangeError` for a chip that makes no sense or layers that do not fit
    it; each with all reasons.
    """
    chip = chip_of(architecture)
    asked = f"simulate {workload.network.origin.name} on {architecture.name!r}"
    layers = shapes(workload.network, workload.batch, asked)
    zeros = architecture.parameter("weight_zero_fraction")
    found = patterns(workload, layers, asked, zeros)
    _refuse_unfit(layers, chip, asked)
    runs: list[LayerRun] = []
    made: list[Entry] = []
    reasons = []
    for done, (shape, pattern) in enumerate(zip(layers, found, strict=True)):
        result = _layer(shape, pattern, chip, architecture)
        if result is None:
            reasons.append(f"layer {shape.name!r}: no block of its weights fits a PE")
        else:
            runs.append(_run(shape, result, chip))
            made += entries(shape.name, result.work, chip)
        if progress is not None:
            progress(done + 1, len(layers))
    if reasons:
        raise RangeError(asked, fix="raise weight_pairs or psum_words", reasons=reasons)
    counts = ActionCounts(
        entries=tuple(made),
        route="machine",
        model="Eyeriss v2-like",
        sources=tuple(dict.fromkeys(architecture.sources)),
    )
    return MachineRun(
        architecture=architecture,
        batch=workload.batch,
        layers=tuple(runs),
        counts=counts,
        assumptions=_assumptions(found),
    )


def _assumptions(found: tuple[Pattern, ...]) -> tuple[str, ...]:
    lines = list(ASSUMPTIONS)
    if any(pattern.iacts is None for pattern in found):
        lines.append(MEAN)
    drawn = [pattern.drawn for pattern in found if pattern.drawn]
    if drawn:
        lines.append(f"{len(drawn)} layers: {drawn[0]}" if len(drawn) > 1 else drawn[0])
    return tuple(lines)


def _refuse_unfit(layers: tuple[Shape, ...], chip: Chip, asked: str) -> None:
    tall = chip.cluster_rows * chip.pe_rows
    reasons = [
        f"layer {shape.name!r}: kernel of {shape.rows} x {shape.columns}; at most {tall} rows "
        f"(PEs below each other) and {chip.iact_window} columns (iact_window) fit"
        for shape in layers
        if shape.rows > tall or shape.columns > chip.iact_window
    ]
    if reasons:
        raise RangeError(asked, fix="use a chip with more PE rows or a larger iact_window",
                         reasons=reasons)  # fmt: skip


def _layer(
    shape: Shape, pattern: Pattern, chip: Chip, architecture: Architecture
) -> _Result | None:
    handling = architecture.zero_handling
    density = Density(
        pattern.iact,
        pattern.weight,
        handling.get("activation") == "skip",
        handling.get("weight") == "skip",
    )
    many = mean.candidates(shape, chip, density)
    if not len(many):
        return None
    times = mean.mean_times(many, shape, chip, density)
    order = mean.ranked(times)
    gates = (handling.get("activation") == "gate", handling.get("weight") == "gate")
    if pattern.iacts is None or pattern.weights is None:
        best = order[:1]
        one = many.take(best)
        work = work_of(one, shape, chip, pattern, None, None, gates)
        return _Result(one, float(times.cycles[best[0]]), float(times.compute[best[0]]), work)
    words = exact.Words(pattern.weights, chip)
    return _tried(shape, pattern, words, many.take(order), gates)


def _tried(
    shape: Shape,
    pattern: Pattern,
    words: exact.Words,
    many: Mappings,
    gates: tuple[bool, bool],
) -> _Result | None:
    """The fastest with real tensors of the first :data:`TRIED` mappings that fit."""
    counted, chip = exact.uses(pattern, shape), words.chip
    best: tuple[exact.Exact, Mappings] | None = None
    fitting = 0
    for index in range(len(many)):
        one = many.take(np.array([index]))
        found = exact.evaluate(one, shape, chip, pattern.iact, counted, words)
        if found is None:
            continue
        fitting += 1
        if best is None or (found.cycles, found.dram_bits) < (best[0].cycles, best[0].dram_bits):
            best = (found, one)
        if fitting == TRIED:
            break
    if best is None:
        return None
    work = work_of(best[1], shape, chip, pattern, counted, words, gates)
    return _Result(best[1], best[0].cycles, best[0].compute, work)


def _run(shape: Shape, result: _Result, chip: Chip) -> LayerRun:
    of = result.mapping
    cycles = ceil(result.cycles)
    turns = int((mean.channel_turns(of, shape) * mean.filter_turns(of, shape) * of.tiles)[0])
    fill = min(turns * (chip.pipeline_stages - 1), cycles)
    busy = min(ceil(result.compute), cycles - fill)
    rows = min(shape.rows * int(of.blocks[0]), int(of.height[0]) * chip.pe_rows)
    return LayerRun(
        name=shape.name,
        cycles=cycles,
        busy=busy,
        macs=float(shape.macs),
        operations=result.work.executed,
        active_pe=rows * int(of.lanes[0] * of.sets[0]) * chip.simd,
        bytes=traffic(result.work, chip),
        stalls={"pipeline_fill": fill, "transfer": cycles - fill - busy},
    )
