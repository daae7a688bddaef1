"""``simulate``: a network on a NullHop-type machine (Aimar 2018), layer by layer."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tospike.actions import ActionCounts
from tospike.architecture import Architecture
from tospike.errors import ModelError
from tospike.machines.dram.streams import bandwidth, commands
from tospike.machines.nullhop import kernels as k
from tospike.machines.nullhop.activity import (
    Frame,
    check_activity,
    frames_of,
    knows_output,
    left_by,
    rows_of,
)
from tospike.machines.nullhop.chip import Chip, read_chip
from tospike.machines.nullhop.count import Tally, counts_of
from tospike.machines.nullhop.mapping import Plan, plan_network
from tospike.machines.record import LayerRun, MachineRun, Traffic, Workload

Floats = NDArray[np.float64]
Progress = Callable[[int, int], None]
STALLS = ("kernel_load", "input_load", "decode", "imbalance", "output", "dram")


def simulate(
    workload: Workload, architecture: Architecture, *, progress: Progress | None = None
) -> MachineRun:
    """Run a workload frame by frame; kernels are loaded anew for every frame, as in the driver.

    Layers with a trace are exact: every non-zero pixel meets every kernel position whose output
    exists. The others take expected values from their zero fraction (and, if they are there, the
    densities per channel and per position).

    Raises
    ------
    TechnologyError : an architecture file without what the machine needs. ModelError : layers
    that cannot be mapped, or maps of which one stripe is larger than the input memory.
    StatisticError : layers without activity. DataError : traces that do not fit. Each with all
    reasons.
    """
    chip = read_chip(architecture)
    plans = plan_network(workload.network, chip)
    check_activity(workload, plans)
    _check_memory(workload, plans, chip)
    done: list[_Layer] = []
    for number, plan in enumerate(plans):
        before = done[-1].last_pass if done else 0.0
        done.append(_layer(workload, plan, chip, before))
        if progress is not None:
            progress(number + 1, len(plans))
    tallies = [layer.tally for layer in done]
    return MachineRun(
        architecture=architecture,
        batch=workload.batch,
        layers=tuple(layer.run for layer in done),
        counts=ActionCounts(
            entries=tuple(entry for tally in tallies for entry in counts_of(tally, chip)),
            route="machine",
            model="nullhop",
            sources=architecture.sources,
        ),
        assumptions=_assumptions(workload, plans, chip),
        out_of_range=_out_of_range(plans),
    )


@dataclass(frozen=True, slots=True)
class _Layer:
    run: LayerRun
    tally: Tally
    last_pass: float  # cycles of the last pass without its kernels


@dataclass
class _Sums:
    """What the passes of a layer add up to."""

    cycles: float = 0.0
    busy: float = 0.0
    input_load: float = 0.0
    decode: float = 0.0
    imbalance: float = 0.0
    output: float = 0.0
    kernel_load: float = 0.0
    dram: float = 0.0
    input_words: float = 0.0  # loaded from DRAM
    kernel_words: float = 0.0
    decoded_words: float = 0.0  # read from the input memory
    output_words: float = 0.0
    operations: float = 0.0
    last_pass: float = 0.0


def _layer(workload: Workload, plan: Plan, chip: Chip, before: float) -> _Layer:
    sums = _Sums(last_pass=before)
    for frame in frames_of(workload, plan):
        _frame(frame, left_by(workload, plan, frame.number), plan, chip, sums)
    seconds = sums.cycles / chip.clock
    read = 2 * (sums.input_words + sums.kernel_words)
    written = 2 * sums.output_words
    # whole numbers already where the input is known; expected values are rounded
    cycles = math.ceil(sums.cycles - 1e-3)
    stalls = {name: max(0, math.floor(getattr(sums, name) + 1e-3)) for name in STALLS}
    run = LayerRun(
        name=plan.layer.name,
        cycles=cycles,
        busy=cycles - sum(stalls.values()),
        macs=float(plan.layer.n_synapses * workload.batch),
        operations=sums.operations,
        active_pe=plan.active_pe,
        bytes={
            chip.kernel_level.name: Traffic(2 * sums.operations, 2 * sums.kernel_words),
            chip.input_level.name: Traffic(2 * sums.decoded_words, 2 * sums.input_words),
            chip.dram_level.name: Traffic(read, written),
        },
        stalls={name: value for name, value in stalls.items() if value},
        dram=commands(chip.dram, read, written, seconds, chip.dma_bytes),
    )
    tally = Tally(
        layer=plan.layer.name,
        operations=sums.operations,
        kernel_words=sums.kernel_words,
        input_words=sums.input_words,
        decoded_words=sums.decoded_words,
        outputs=float(workload.batch * plan.groups * plan.outputs
                      * plan.out_rows * plan.out_columns),
        sharing=plan.blocks,
        pool=plan.pool,
    )  # fmt: skip
    return _Layer(run, tally, sums.last_pass)


def _frame(frame: Frame, left: Floats, plan: Plan, chip: Chip, sums: _Sums) -> None:
    """All passes of one frame: of every group of maps, and of every group of a convolution.

    ``left`` (groups x passes, rows, columns): words that leave per output position, after pooling.
    """
    per_pass = left.shape[0] // plan.groups
    kernel_words = sum(plan.kernel_words(n) for n in range(per_pass)) * plan.groups
    fits = frame.words.sum(axis=1) <= chip.input_words  # of each group
    input_words = float(np.where(fits, 1, per_pass) @ frame.words.sum(axis=1))
    output_words = float(left.sum())
    rate = bandwidth(
        chip.dram, 2 * (input_words + kernel_words), 2 * output_words, chip.dma_bytes
    ) / (2 * chip.clock)  # values per cycle
    word_time = 1 / min(chip.input_rate, rate)
    out_time = 1 / min(chip.output_rate, rate)
    begin, total = sums.cycles, 0.0
    for number in range(left.shape[0]):
        group, maps_pass = divmod(number, per_pass)
        kernel_time = math.ceil(plan.kernel_words(maps_pass) * word_time)
        if chip.kernel_overlap:
            kernel_time = max(0, kernel_time - math.floor(sums.last_pass))
        found = k.run_pass(
            frame.counts[group], frame.words[group],
            _by_stripe(left[number], plan, chip.stripe_rows),
            plan.kernel, plan.padding, plan.stride, plan.out_rows, chip.stripe_rows,
            0.0, maps_pass == 0 or not bool(fits[group]),
            word_time, out_time, chip.decode_rate, float(chip.input_words),
        )  # fmt: skip
        total += kernel_time + found[k.END]
        sums.kernel_load += kernel_time
        sums.last_pass = found[k.END]
        sums.busy += found[k.BUSY] / plan.blocks
        sums.imbalance += found[k.IMBALANCE]
        sums.input_load += found[k.INPUT]
        sums.decode += found[k.DECODE]
        sums.output += found[k.OUTPUT]
        sums.decoded_words += found[k.WORDS]
        sums.operations += float(found[k.BUSY]) * plan.maps_of(maps_pass)
    moved = input_words + kernel_words + output_words
    short = max(0.0, math.ceil(moved / rate) - total)
    sums.dram += short
    sums.cycles = begin + total + short
    sums.input_words += input_words
    sums.kernel_words += kernel_words
    sums.output_words += output_words


def _by_stripe(left: Floats, plan: Plan, stripe: int) -> Floats:
    """(stripes, out_columns): words that leave when the MACs hand over an output column."""
    found = np.zeros((-(-plan.out_rows // stripe), plan.out_columns))
    side = plan.pool
    rows, columns = left.shape
    place = np.arange(rows) * side // stripe
    np.add.at(found[:, side - 1 : columns * side : side], place, left)
    return found


def _check_memory(workload: Workload, plans: tuple[Plan, ...], chip: Chip) -> None:
    """Every stripe must find its input rows in the input memory at once."""
    reasons = []
    for plan in plans:
        most = 0.0
        for words in rows_of(workload, plan):
            before = np.concatenate([np.zeros((len(words), 1)), np.cumsum(words, axis=1)], axis=1)
            first, last = _windows(plan, chip.stripe_rows)
            most = max(most, float((before[:, last] - before[:, first]).max()))
        if most > chip.input_words:
            name = chip.input_level.name
            reasons.append(
                f"{plan.layer.name}: {chip.stripe_rows} output rows need up to "
                f"{2 * math.ceil(most)} bytes of compressed input rows at once; {name} holds "
                f"{2 * chip.input_words}"
            )
    if reasons:
        raise ModelError(
            f"run {workload.network.origin.name!r} on a NullHop-type machine",
            received=f"{len(reasons)} layers whose input rows do not fit into the input memory",
            allowed="the rows of one stripe, compressed, in the input memory",
            fix=f"raise the capacity of {chip.input_level.name}, or cut the maps into narrower "
            "tiles (a smaller input image)",
            reasons=reasons,
        )


def _windows(plan: Plan, stripe: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """First input row of every stripe, and the one behind its last."""
    top = np.arange(0, plan.out_rows, stripe)
    below = np.minimum(top + stripe, plan.out_rows)
    first = np.maximum(0, top * plan.stride - plan.padding)
    last = np.minimum(plan.rows, (below - 1) * plan.stride + plan.kernel - plan.padding)
    return np.minimum(first, plan.rows), np.maximum(last, np.minimum(first, plan.rows))


def _assumptions(workload: Workload, plans: tuple[Plan, ...], chip: Chip) -> tuple[str, ...]:
    """What the result rests on, besides the architecture file."""
    found = [
        "NullHop: one frame after the other; the kernels of every pass are loaded for each frame",
        "NullHop: batch norm is folded into the weights; a max pooling that divides the map by "
        f"{chip.fused_pool} is taken as {chip.fused_pool}x{chip.fused_pool} and fused; other "
        "pooling, additions and concatenations are left to the host and not counted",
        "NullHop: 16-bit values and weights, whatever the trained network has",
    ]
    without = [plan.layer.name for plan in plans if plan.layer.name not in workload.traces]
    if without:
        found.append(
            f"NullHop: expected cycles from zero fractions in {len(without)} of {len(plans)} "
            "layers: the load of the controller groups is taken as even within a channel and a "
            "position, so that imbalance is underestimated where MACs share an output map"
        )
    linear = [plan.layer.name for plan in plans if plan.layer.kind == "linear"]
    if linear:
        found.append(
            f"NullHop: {', '.join(linear)} as 1x1 convolution(s); the driver of the chip computes "
            "fully connected layers on the host instead"
        )
    strided = [p.layer.name for p in plans if (p.layer.stride or (1,))[0] != p.stride]
    if strided:
        found.append(
            f"NullHop: {', '.join(strided)}: stride 1 on the chip, outputs dropped by the host"
        )
    grouped = [plan.layer.name for plan in plans if plan.groups > 1]
    if grouped:
        found.append(f"NullHop: {', '.join(grouped)}: every group in passes of its own")
    open_ends = [p.layer.name for p in plans if p.rectified and not knows_output(workload, p)]
    if open_ends:
        found.append(
            f"NullHop: nothing is known of the outputs of {', '.join(open_ends)}: no zeros in them"
        )
    return tuple(found)


def _out_of_range(plans: tuple[Plan, ...]) -> tuple[str, ...]:
    few = [p.layer.name for p in plans if p.outputs < 16]
    if not few:
        return ()
    return (f"fewer than 16 output maps per group, less than one SM word: {', '.join(few)}",)
