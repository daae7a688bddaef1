"""``simulate``: a delta machine as one of the machines: layers, bytes, counts."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np

from tospike.actions import ActionCounts, Entry, count
from tospike.architecture import Architecture, MemoryLevel
from tospike.machines.delta_rnn.fetch import commands_of
from tospike.machines.delta_rnn.record import Chip, Ints, StageSteps, StepsRun
from tospike.machines.delta_rnn.run import steps
from tospike.machines.record import LayerRun, MachineRun, Traffic, Workload
from tospike.network import Layer

#: element-wise products and sums of the gates, per neuron; the tables of tanh and the logistic
#: function are left out
_GATES = {"gru": (3, 3), "lstm": (3, 1), "linear": (0, 0)}
#: pre-activations that are kept per row: a GRU keeps those of inputs and states of one gate apart
_SUMS = {"gru": 4 / 3, "lstm": 1.0, "linear": 1.0}


def simulate(
    workload: Workload,
    architecture: Architecture,
    *,
    progress: Callable[[int, int], None] | None = None,
) -> MachineRun:
    """Run a stream on EdgeDRNN, DeltaRNN, Spartus, or a machine like them.

    A layer's figures are sums over all steps; :func:`steps` has them step by step, with the latency
    of each. Arguments and errors are those of :func:`steps`. ``batch`` of the run is the number of
    inferences: those in the traces, or the batch of the workload. They run one after the other.
    """
    found = steps(workload, architecture, progress=progress)
    layers: list[LayerRun] = []
    entries: list[Entry] = []
    for number, stage in enumerate(found.stages):
        layers += _layers(stage, found, host=number == 0)
        entries += _entries(stage, found.chip)
    assumptions = _assumptions(found, workload)
    notes = _notes(found)
    counts = ActionCounts(
        tuple(entries),
        route="machine",
        model="delta_rnn",
        assumptions=assumptions,
        out_of_range=notes,
        sources=architecture.sources,
    )
    return MachineRun(
        architecture=architecture,
        batch=found.inferences,
        layers=tuple(layers),
        counts=counts,
        assumptions=assumptions,
        out_of_range=notes,
    )


def _notes(found: StepsRun) -> tuple[str, ...]:
    """What lies outside of the machine's range."""
    clipped = [
        f"{stage.stage.name}: {stage.saturated} values are outside of the number format and clipped"
        for stage in found.stages
        if stage.saturated
    ]
    empty = [
        f"{stage.stage.name}: zeros leave none of the {-(-stage.stage.rows // found.chip.n_pe)} "
        "weight(s) that an element has of a column, so that nothing is multiplied; give the "
        "weight_zeros of the network, or take a larger layer"
        for stage in found.stages
        if stage.columns.any() and not (stage.operations_x + stage.operations_h).any()
    ]
    return (*clipped, *empty)


def _layers(steps: StageSteps, run: StepsRun, *, host: bool) -> Iterator[LayerRun]:
    """Input and recurrent layer of a stage.

    Their products overlap; the time up to the end of the last product is divided in proportion to
    the multiplications of each step. Pipeline and gates belong to the recurrent layer.
    """
    stage, chip = steps.stage, run.chip
    of_x, of_h = steps.operations_x, steps.operations_h
    share = of_x / np.maximum(of_x + of_h, 1)
    if stage.h is None:
        share = np.ones(len(share))
    products = steps.busy + steps.stalls["fifo_empty"] + steps.stalls["weight_fetch"]
    cycles_x = np.ceil(products * share).astype(np.int64)
    busy_x = np.minimum(np.ceil(steps.busy * share).astype(np.int64), cycles_x)
    fetch = np.floor(steps.stalls["weight_fetch"] * share).astype(np.int64)
    fetch = np.minimum(fetch, cycles_x - busy_x)
    empty = np.minimum(cycles_x - busy_x - fetch, steps.stalls["fifo_empty"])
    stalls_x = {"fifo_empty": empty, "weight_fetch": fetch}
    stalls_h = {cause: steps.stalls[cause] - part for cause, part in stalls_x.items()}
    ends = {cause: steps.stalls[cause] for cause in ("pipeline", "activation")}
    if host and chip.host:
        per_step = chip.host * (len(run.cycles) // run.inferences)
        stalls_x["host"] = np.full(run.inferences, per_step, np.int64)
    if stage.h is None:
        yield _layer(stage.x, steps, run, busy_x, {**stalls_x, **ends}, (of_x, steps.sent_x))
        return
    yield _layer(stage.x, steps, run, busy_x, stalls_x, (of_x, steps.sent_x + steps.sent_bias))
    busy_h = steps.busy - busy_x
    yield _layer(stage.h, steps, run, busy_h, {**stalls_h, **ends}, (of_h, steps.sent_h))


def _layer(
    layer: Layer,
    steps: StageSteps,
    run: StepsRun,
    busy: Ints,
    stalls: dict[str, Ints],
    work: tuple[Ints, Ints],
) -> LayerRun:
    chip, (operations, columns) = run.chip, work
    totals = {cause: int(values.sum()) for cause, values in stalls.items()}
    cycles = int(busy.sum()) + sum(totals.values())
    read = float(columns.sum())
    done = float(operations.sum()) + (0.0 if layer is steps.stage.h else _of_bias(steps))
    traffic = _traffic(layer, steps, chip, done, read)
    dram = None
    if chip.port is not None and steps.fetch is not None:
        dram = commands_of(steps.fetch, read, cycles / chip.clock, chip.port)
    return LayerRun(
        name=layer.name,
        cycles=cycles,
        busy=int(busy.sum()),
        macs=float(layer.n_synapses * run.inferences),
        operations=float(operations.sum()),
        active_pe=chip.arrays * min(chip.n_pe, steps.stage.rows),
        bytes=traffic,
        stalls=totals,
        dram=dram,
    )


def _traffic(
    layer: Layer, steps: StageSteps, chip: Chip, operations: float, columns: float
) -> dict[str, Traffic]:
    """Bytes by memory level. Every value and reference is read once per step; references of sent
    elements and new states are written; a sum is read and written for every multiplication, and
    read once more by the gates."""
    n = layer.input_shape[-1]
    scanned = float(len(steps.cycles) * n)
    recurrent = layer is steps.stage.h
    value = chip.value_bits / 8
    sent = float((steps.sent_h if recurrent else steps.sent_x).sum())
    new = float(len(steps.cycles) * steps.stage.units) if recurrent else 0.0
    sums = operations * chip.sum_bits / 8
    if steps.fetch is not None:
        weights = columns * steps.fetch.column_bytes
    else:
        weights = float(steps.stored_bytes.sum()) * _share(steps, operations)
    gates = 0.0
    if recurrent or steps.stage.h is None:
        gates = _gate_sums(steps) * chip.sum_bits / 8
    return {
        chip.state.name: Traffic(read=2 * scanned * value, written=(sent + new) * value),
        chip.psum.name: Traffic(read=sums + gates, written=sums),
        chip.weights.name: Traffic(read=weights),
    }


def _entries(steps: StageSteps, chip: Chip) -> Iterator[Entry]:
    """Counts of a stage. DRAM is left to the commands of the layers."""
    stage = steps.stage
    n_steps = len(steps.cycles)
    bits, mac = chip.value_bits, math.ceil(math.sqrt(chip.weight_bits * chip.value_bits) - 1e-9)
    state, psum = _capacity(chip.state), _capacity(chip.psum)
    products, sums = _GATES[stage.cell]
    for layer in (stage.x, stage.h):
        if layer is None:
            continue
        recurrent = layer is stage.h
        name = layer.name
        work = steps.operations_h if recurrent else steps.operations_x
        sent = float((steps.sent_h if recurrent else steps.sent_x).sum())
        done = float(work.sum()) + (0.0 if recurrent else _of_bias(steps))
        scanned = float(n_steps * layer.input_shape[-1])
        yield count(name, "alu", "add", "delta", scanned, bits=bits, part="neuron")
        yield count(name, "alu", "compare", "delta", scanned, bits=bits, part="neuron")
        for datatype in ("iact", "reference"):
            yield count(
                name, "sram", "read", datatype, scanned, bits=bits, capacity_bytes=state,
                part="neuron",
            )  # fmt: skip
        yield count(
            name, "sram", "write", "reference", sent, bits=bits, capacity_bytes=state,
            part="neuron",
        )  # fmt: skip
        for action in ("write", "read"):
            yield count(name, "register", action, "delta", sent, bits=bits)
        yield count(name, "alu", "mac", "none", done, bits=mac)
        for action in ("read", "write"):
            yield count(name, "sram", action, "psum", done, bits=chip.sum_bits, capacity_bytes=psum)
        if steps.fetch is None:
            stored = float(steps.stored_bytes.sum()) * _share(steps, done)
            yield count(
                name, "sram", "read", "weight", stored, bits=8,
                capacity_bytes=_capacity(chip.weights),
            )  # fmt: skip
        if recurrent or stage.h is None:
            neurons = float(n_steps * stage.units)
            yield count(
                name, "sram", "read", "psum", _gate_sums(steps), bits=chip.sum_bits,
                capacity_bytes=psum, part="neuron",
            )  # fmt: skip
            yield count(name, "alu", "mul", "none", products * neurons, bits=bits, part="neuron")
            yield count(name, "alu", "add", "none", sums * neurons, bits=bits, part="neuron")
            yield count(
                name, "sram", "write", "state", neurons, bits=bits, capacity_bytes=state,
                part="neuron",
            )  # fmt: skip


def _gate_sums(steps: StageSteps) -> float:
    """Pre-activations that the gates read."""
    return len(steps.cycles) * steps.stage.rows * _SUMS[steps.stage.cell]


def _of_bias(steps: StageSteps) -> float:
    """Multiplications of the bias column, which are not MACs of the network."""
    return float(steps.sent_bias.sum()) * steps.stage.rows


def _share(steps: StageSteps, operations: float) -> float:
    """Share of a stage's multiplications, bias and all."""
    total = float((steps.operations_x + steps.operations_h).sum()) + _of_bias(steps)
    return operations / total if total else 0.0


def _capacity(level: MemoryLevel) -> float | None:
    return None if level.capacity is None else level.capacity.value


def _assumptions(run: StepsRun, workload: Workload) -> tuple[str, ...]:
    chip = run.chip
    named = ("fitted", "recalled")
    found = [
        f"{chip.name}: {name} = {constant.value:g} is {constant.method}: {constant.locator}"
        for name, constant in run.architecture.parameters.items()
        if constant.method in named
    ]
    found.append(
        "delta machine: layers run one after the other, steps one after the other; gate tables "
        "and control are not counted"
    )
    given = set(run.from_traces)
    drawn = [
        layer.name
        for stage in run.stages
        for layer in (stage.stage.x, stage.stage.h)
        if layer is not None and layer.name not in given
    ]
    if drawn:
        found.append(
            f"steps alike, with elements drawn at random, from statistics: {', '.join(drawn)}"
        )
    if chip.skips_weights and not workload.weight_zeros:
        found.append(
            f"{chip.name}: {1 - chip.kept:.4g} of the weights are 0, the same share in every "
            "sub-column"
        )
    if workload.batch > 1 and given:
        found.append("a trace that holds one inference stands for every inference of the batch")
    if chip.port is not None:
        found.append(
            "DRAM: a piece of each layer's columns was simulated by command and scaled to all"
        )
    return tuple(found)
