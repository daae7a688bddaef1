"""``Chip``, ``Stage``, ``Fetch``, ``StageSteps``, ``StepsRun``: records of the delta machines."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tospike.architecture import Architecture, MemoryLevel
from tospike.machines.dram import DramSystem
from tospike.network import Layer
from tospike.technology.dram import DramCommands

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
Cell = Literal["gru", "lstm", "linear"]


@dataclass(frozen=True, slots=True)
class Port:
    """How weights come from DRAM.

    bytes_per_cycle : of the port, per clock of the accelerator. queue : columns that are asked for
    at once. setup, gap : cycles of the DMA before the DRAM sees a request, and between columns.
    """

    system: DramSystem
    bytes_per_cycle: int
    queue: int
    setup: int
    gap: int


@dataclass(frozen=True, slots=True)
class Chip:
    """What the simulator reads from an architecture. Times are clock cycles.

    arrays : groups of processing elements; column j belongs to array j mod arrays. n_pe : elements
    of one array; row i belongs to element i mod n_pe. scan_rate : elements that the delta unit of
    an array compares per cycle; scan_start, scan_latency : cycles before the first, and from the
    comparison to the processing elements. gate_units, gate_interval, gate_latency : neurons whose
    outputs are computed at once, cycles between such groups, and cycles more for the last.
    kept : share of weights that are stored; 1 where zero weights are not skipped.
    """

    name: str
    clock: float
    arrays: int
    n_pe: int
    weight_bits: int
    index_bits: int
    integer_bits: int
    fraction_bits: int
    sum_bits: int
    theta_x: float
    theta_h: float
    send_at_threshold: bool
    fifo_depth: int
    scan_rate: int
    scan_start: int
    scan_latency: int
    bias_column: bool
    drain: int
    gate_units: int
    gate_interval: Mapping[Cell, int]
    gate_latency: int
    max_layer_size: int
    max_layers: int
    host: int
    skips_weights: bool
    kept: float
    state: MemoryLevel
    psum: MemoryLevel
    weights: MemoryLevel
    port: Port | None

    @property
    def value_bits(self) -> int:
        """Bits of one activation."""
        return self.integer_bits + self.fraction_bits


@dataclass(frozen=True, slots=True)
class Stage:
    """One recurrent layer with both matrices, or one fully connected layer.

    rows : gates times neurons. calls : time steps of one inference.
    """

    cell: Cell
    x: Layer
    h: Layer | None
    n_x: int
    n_h: int
    rows: int
    calls: int
    bias: bool

    @property
    def name(self) -> str:
        """Name of its first layer."""
        return self.x.name

    @property
    def units(self) -> int:
        """Neurons."""
        return self.n_h if self.h is not None else self.rows

    @property
    def n_columns(self) -> int:
        """Columns of weights, with that of the bias."""
        return int(self.bias) + self.n_x + self.n_h

    @property
    def n_parameters(self) -> int:
        """Weights and one bias column."""
        return self.rows * self.n_columns


@dataclass(frozen=True, eq=False, slots=True)
class Columns:
    """Stored columns of one stage, on the axis of its columns (bias, inputs, states).

    cost : (n,) cycles that an array multiplies; the longest of its elements decides.
    operations : (n,) multiplications of weights that are stored and not 0.
    stored_bytes : (n,) of all weights; of sparse columns, of the weights that are kept with their
        places, all elements as long as the longest.
    """

    cost: Ints
    operations: Ints
    stored_bytes: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Fetch:
    """How long one column of a stage takes to come, in cycles of the accelerator.

    column_bytes : whole bursts. service : between the ends of two columns, at least the bytes over
    the width of the port. latency : from the request of a lone column to its first data.
    piece : columns that were simulated command by command; commands : of these.
    """

    column_bytes: int
    service: int
    latency: int
    piece: int = 0
    commands: DramCommands | None = None


@dataclass(frozen=True, eq=False)
class StageSteps:
    """One stage, step by step; all arrays (T,).

    cycles = busy + stalls. busy : the array that ends last multiplies. stalls : "fifo_empty" (no
    change is known yet), "weight_fetch" (its weights are not there), "pipeline", "activation".
    sent_bias, sent_x, sent_h : columns. operations_x, operations_h : multiplications, without
    those of the bias. stored_bytes : of the columns read. saturated : values outside of the
    number format.
    """

    stage: Stage
    cycles: Ints
    busy: Ints
    stalls: Mapping[str, Ints]
    sent_bias: Ints
    sent_x: Ints
    sent_h: Ints
    operations_x: Ints
    operations_h: Ints
    stored_bytes: NDArray[np.float64]
    fetch: Fetch | None
    saturated: int = 0

    @property
    def columns(self) -> Ints:
        """(T,) columns of weights that were read."""
        return self.sent_bias + self.sent_x + self.sent_h

    @property
    def sparsity_x(self) -> float:
        """Gamma of the inputs over all steps."""
        return 1.0 - float(self.sent_x.sum()) / (len(self.cycles) * self.stage.n_x)

    @property
    def sparsity_h(self) -> float:
        """Gamma of the states over all steps; nan for a fully connected layer."""
        total = len(self.cycles) * self.stage.n_h
        return 1.0 - float(self.sent_h.sum()) / total if total else float("nan")


@dataclass(frozen=True, eq=False)
class StepsRun:
    """A stream, step by step.

    cycles : (T,) of all stages, one after the other, and the host. inferences : in the T steps.
    n_parameters : weights and one bias column per layer, as the papers count operations.
    from_traces : layers whose values were given; the others rest on statistics.
    """

    architecture: Architecture
    chip: Chip
    stages: tuple[StageSteps, ...]
    cycles: Ints
    inferences: int
    n_parameters: int
    from_traces: tuple[str, ...]

    @property
    def latency(self) -> NDArray[np.float64]:
        """(T,) seconds of each step."""
        return np.asarray(self.cycles / self.chip.clock)

    @property
    def mean(self) -> float:
        """Mean seconds per step."""
        return float(self.latency.mean())

    @property
    def least(self) -> float:
        """Seconds of the shortest step."""
        return float(self.latency.min())

    @property
    def most(self) -> float:
        """Seconds of the longest step."""
        return float(self.latency.max())

    @property
    def operations(self) -> int:
        """Operations of one step as the papers count them: 2 per parameter, skipped or not."""
        return 2 * self.n_parameters

    @property
    def effective_ops(self) -> float:
        """Mean effective throughput in Op/s: ``operations`` over the mean latency."""
        return self.operations / self.mean

    @property
    def sparsity(self) -> float:
        """Gamma of all weights: share of the columns, each with its rows, that were not read."""
        read = sum(float(s.columns.sum() - s.sent_bias.sum()) * s.stage.rows for s in self.stages)
        dense = sum(len(s.cycles) * (s.stage.n_x + s.stage.n_h) * s.stage.rows for s in self.stages)
        return 1.0 - read / dense
