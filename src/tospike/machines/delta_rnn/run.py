"""``steps``: a stream through a delta machine, step by step."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tospike.architecture import Architecture
from tospike.machines.delta_rnn.chip import read_chip
from tospike.machines.delta_rnn.fetch import fetch_of, starts
from tospike.machines.delta_rnn.pipeline import BUSY, EMPTY, END, WEIGHT, array_steps
from tospike.machines.delta_rnn.record import (
    Bools,
    Chip,
    Columns,
    Fetch,
    Ints,
    Stage,
    StageSteps,
    StepsRun,
)
from tospike.machines.delta_rnn.sent import Sent, sent_elements
from tospike.machines.delta_rnn.stages import check_zeros, columns_of, stages_of
from tospike.machines.record import Workload

Progress = Callable[[int, int], None]


def steps(
    workload: Workload,
    architecture: Architecture,
    *,
    progress: Progress | None = None,
) -> StepsRun:
    """Every time step of a stream on EdgeDRNN, DeltaRNN, Spartus, or a machine like them.

    Parameters
    ----------
    workload : traces are the VALUES (T, n) that enter each layer, of one stream: inputs for
        "gru.weight_ih_l0" (or "gru.W"), the states h(t-1) for "gru.weight_hh_l0" (or "gru.R"). The
        delta unit is simulated with the thresholds of the architecture (:func:`with_thresholds`).
        Values recorded in a delta network with the same thresholds send what it sent. Layers
        without a trace take ``temporal_sparsity`` at the threshold. ``weight_zeros`` counts where
        the machine skips zero weights: of a matrix, the longest sub-column of each column decides;
        layers left out have ``weight_sparsity`` zeros, the same number in every sub-column.
    progress : called with (layers done, layers).

    Raises
    ------
    TechnologyError : parameters. ModelError : layers that do not map. DataError, StatisticError :
    traces, zeros or statistics that do not fit or are missing. UnknownNameError : a layer.
    """
    chip = read_chip(architecture)
    stages = stages_of(workload.network, chip)
    check_zeros(workload.weight_zeros, stages, workload.network)
    found, inferences = sent_elements(workload, stages, chip)
    columns = [columns_of(stage, chip, workload.weight_zeros) for stage in stages]
    addresses = starts(stages, columns, chip)
    done: list[StageSteps] = []
    for number, stage in enumerate(stages):
        one = stage_steps(stage, columns[number], found[number], chip, int(addresses[number]))
        done.append(one)
        if progress is not None:
            layers = [1 if one.h is None else 2 for one in stages]
            progress(sum(layers[: number + 1]), sum(layers))
    return StepsRun(
        architecture=architecture,
        chip=chip,
        stages=tuple(done),
        cycles=step_cycles(done, inferences, chip),
        inferences=inferences,
        n_parameters=sum(stage.n_parameters for stage in stages),
        from_traces=tuple(name for name in workload.traces),
    )


def step_cycles(stages: list[StageSteps], inferences: int, chip: Chip) -> Ints:
    """(T,) cycles of all stages. A stage with fewer steps than the others (a classifier behind
    the last step) runs in the last steps of each inference."""
    per_inference = max(stage.stage.calls for stage in stages)
    total = np.full((inferences, per_inference), chip.host, np.int64)
    for stage in stages:
        total[:, per_inference - stage.stage.calls :] += stage.cycles.reshape(inferences, -1)
    return total.reshape(-1)


def stage_steps(stage: Stage, columns: Columns, sent: Sent, chip: Chip, address: int) -> StageSteps:
    """All steps of one stage."""
    on_columns = np.concatenate([sent.first[:, None][:, : int(stage.bias)], sent.x, sent.h], axis=1)
    fetch = fetch_of(stage, columns, on_columns, chip, address)
    seen, cost = scan_order(stage, columns, on_columns, chip)
    result = array_steps(seen, cost, numbers(chip, fetch))
    gates = chip.gate_interval[stage.cell] * -(-stage.units // chip.gate_units) + chip.gate_latency
    n = len(result)
    first = int(stage.bias)
    of_x = columns.operations[first : first + stage.n_x]
    of_h = columns.operations[first + stage.n_x :]
    return StageSteps(
        stage=stage,
        cycles=result[:, END] + chip.drain + gates,
        busy=result[:, BUSY],
        stalls={
            "fifo_empty": result[:, EMPTY],
            "weight_fetch": result[:, WEIGHT],
            "pipeline": np.full(n, chip.drain, np.int64),
            "activation": np.full(n, gates, np.int64),
        },
        sent_bias=on_columns[:, :first].sum(axis=1, dtype=np.int64),
        sent_x=sent.x.sum(axis=1, dtype=np.int64),
        sent_h=sent.h.sum(axis=1, dtype=np.int64),
        operations_x=sent.x @ of_x,
        operations_h=sent.h @ of_h,
        stored_bytes=on_columns @ columns.stored_bytes,
        fetch=fetch,
        saturated=sent.saturated,
    )


def scan_order(stage: Stage, columns: Columns, on_columns: Bools, chip: Chip) -> tuple[Bools, Ints]:
    """The elements as the delta units see them: bias, inputs, states; inputs and states are
    padded with elements that never change to a multiple of the arrays."""
    place = np.arange(stage.n_columns)
    first = int(stage.bias)
    padding = -stage.n_x % chip.arrays
    place[first + stage.n_x :] += padding
    n = stage.n_columns + padding + (-stage.n_h % chip.arrays)
    seen = np.zeros((len(on_columns), n), np.bool_)
    seen[:, place] = on_columns
    cost = np.ones(n, np.int64)
    cost[place] = columns.cost
    return seen, cost


def numbers(chip: Chip, fetch: Fetch | None) -> Ints:
    """What the pipeline needs, in the order of its constants."""
    queue, gap = (chip.port.queue, chip.port.gap) if chip.port is not None else (1, 0)
    latency, service = (-1, 0) if fetch is None else (fetch.latency, fetch.service)
    return np.array(
        [
            chip.arrays, chip.fifo_depth, chip.scan_rate, chip.scan_start, chip.scan_latency,
            queue, latency, service, gap,
        ],
        np.int64,
    )  # fmt: skip
