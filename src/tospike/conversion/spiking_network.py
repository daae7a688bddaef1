"""A converted network on the event-driven engine: the same spikes as the layer-by-layer simulation.

The spiking part of many networks is one chain: neurons driven by a constant current, then
synapses, neurons, pools and views. Synapses with their neurons run in the
:class:`~tospike.kernels.spiking.engine.SpikingEngine`; what the engine does not know (a max-pool
of counts, neurons behind an average pool) stands between as a stage of its own.

Potentials are in steps of the weight grid (:func:`~tospike.conversion.spiking.in_weight_steps`), in
the engine as in the simulation: sums are of integers, thresholds have 13 binary places, and float32
holds such potentials exactly up to 2048 thresholds (of 2^13 steps and less, else 2^24 steps).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tospike.conversion.counting import Wiring
from tospike.conversion.graph import (
    AvgPool,
    ExecutableGraph,
    MaxPool,
    Node,
    Rectify,
    Route,
    Synapse,
)
from tospike.conversion.neurons import (
    Floats,
    channels_last,
    from_memory_order,
    in_memory_order,
)
from tospike.conversion.prepare import GridSynapse, Population, Prepared
from tospike.conversion.spiking import (
    Chunk,
    Counts,
    Current,
    fire,
    in_weight_steps,
    pooled_spikes,
    read_out,
)
from tospike.errors import ConversionError
from tospike.kernels.spiking import record
from tospike.kernels.spiking.engine import Policy, SpikingEngine

Array = NDArray[np.float32]

#: thresholds and biases, in steps of the weight grid, beyond which float32 is not exact enough
LARGEST = 2.0**16


class Stage(Protocol):
    """A part of the chain behind the first neurons."""

    def run(self, spikes: Tensor, steps: int, counts: Counts) -> Tensor:
        """Spikes (T * N, ...) of all steps, from the initial potentials; events are counted."""

    def step(self, spikes: Tensor) -> Tensor:
        """Spikes (N, ...) of the next step."""

    def reset(self) -> None:
        """To the initial potentials."""


# -- stages -------------------------------------------------------------------------------------


@dataclass
class MaxPooling:
    """Max-pooling of counts ("exact") or of this step's spikes ("or")."""

    spec: MaxPool
    exact: bool
    counts: Tensor | None = None
    sent: Tensor | None = None

    def run(self, spikes: Tensor, steps: int, counts: Counts) -> Tensor:
        if self.exact:
            return pooled_spikes(self.spec, channels_last(spikes), steps)
        pooled: Tensor = self.spec.run(spikes)
        return pooled

    def of_counts(self, sums: Tensor) -> Tensor:
        """Spikes (T * N, ...) for the counts so far, (T, N, ...)."""
        pooled = self.spec.run(sums.flatten(0, 1))
        later = pooled[sums.shape[1] :] - pooled[: -sums.shape[1]]
        return torch.cat([pooled[: sums.shape[1]], later])

    def step(self, spikes: Tensor) -> Tensor:
        if not self.exact:
            now: Tensor = self.spec.run(spikes)
            return now
        self.counts = spikes if self.counts is None else self.counts + spikes
        pooled: Tensor = self.spec.run(self.counts)
        grown = pooled if self.sent is None else pooled - self.sent
        self.sent = pooled
        return grown

    def reset(self) -> None:
        self.counts = self.sent = None


@dataclass
class Engine:
    """Synapses and neurons, one after the other; ``network`` in steps of the weight grid.

    ``sources``: synapse node -> population whose spikes it receives; "" for the stage's input.
    The last node is a population, or the synapses whose sums are read out. ``pool``: an exact
    max-pool behind it, which takes the counts that the engine gives as they are.
    """

    network: record.SpikingNetwork
    sources: dict[str, str]
    threads: int
    policy: Policy
    pool: MaxPooling | None = None
    engine: SpikingEngine = field(init=False)

    def __post_init__(self) -> None:
        self.engine = SpikingEngine(self.network, threads=self.threads, policy=self.policy)

    def run(self, spikes: Tensor, steps: int, counts: Counts) -> Tensor:
        """Spikes of the last population, or currents of the last synapses, float64 sums."""
        incoming = spikes.contiguous().reshape(steps, -1, *spikes.shape[1:])
        found = self.engine.run(incoming.numpy(), steps)
        for name, source in self.sources.items():
            events = (
                found.spikes[source].astype(np.float64)
                if source
                else incoming.flatten(2).sum(dim=2).double().numpy()
            )
            counts.inputs[name] = (events, found.operations[name].astype(np.float64))
        for name, sent in found.spikes.items():
            counts.neurons[name] = sent.astype(np.float64)
        sums = torch.from_numpy(found.accumulated)
        if isinstance(self.network.nodes[-1], record.Synapses):
            return sums.flatten(0, 1)
        if self.pool is not None:
            return self.pool.of_counts(sums.float())
        return torch.cat([sums[:1], sums[1:] - sums[:-1]]).float().flatten(0, 1)

    def step(self, spikes: Tensor) -> Tensor:
        """As :meth:`run` for one step; currents of the last synapses, not their sums."""
        sent = torch.from_numpy(self.engine.step(spikes.contiguous().numpy()))
        if isinstance(self.network.nodes[-1], record.Synapses):
            return sent
        return sent.float() if self.pool is None else self.pool.step(sent.float())

    def reset(self) -> None:
        self.engine.reset()
        if self.pool is not None:
            self.pool.reset()


@dataclass
class View:
    """Values of a sample move; nothing is computed."""

    spec: Route

    def run(self, spikes: Tensor, steps: int, counts: Counts) -> Tensor:
        return self.step(spikes)

    def step(self, spikes: Tensor) -> Tensor:
        moved: Tensor = self.spec.run(spikes)
        return moved

    def reset(self) -> None:
        """Nothing is kept."""


@dataclass
class PooledNeurons:
    """Neurons that are driven by an average pool of spikes. ``amplitude``: of one spike."""

    node: Node
    population: Population
    amplitude: Tensor
    source: str
    v: Floats | None = None

    def run(self, spikes: Tensor, steps: int, counts: Counts) -> Tensor:
        events = spikes.flatten(1).sum(dim=1).reshape(steps, -1)
        counts.skips[f"{self.source} -> {self.node.name}"] = events.double().numpy()
        current = Current(self._pooled(spikes), False)
        fired, sent = fire(self.population, current, steps, events.shape[1], self.node.shape)
        counts.neurons[self.node.name] = sent
        return fired

    def _pooled(self, spikes: Tensor) -> Tensor:
        spec = self.node.spec
        assert isinstance(spec, AvgPool)
        pooled: Tensor = spec.run(channels_last(spikes * self.amplitude.float()))
        return pooled

    def step(self, spikes: Tensor) -> Tensor:
        drive = in_memory_order(self._pooled(spikes)).flatten(1).double().numpy()
        self.v, fired = one_step(self.population, self.v, drive)
        return in_channel_order(fired, self.node.shape)

    def reset(self) -> None:
        self.v = None


def one_step(
    population: Population, v: Floats | None, drive: Floats
) -> tuple[Floats, NDArray[np.float32]]:
    """(potentials, spikes), both (N, n) in memory order, as in ``neurons.fire_on_sequence``."""
    before = population.initial if v is None else v
    potential = before + (drive + population.offset)
    fired = potential >= population.theta
    after = np.where(fired, potential - population.theta, potential)
    return after, fired.astype(np.float32)


def in_channel_order(values: Array, shape: tuple[int, ...]) -> Tensor:
    """(N, *shape) of values (N, n) in memory order."""
    plain = torch.from_numpy(values)
    if len(shape) not in (3, 4):
        return plain.reshape(-1, *shape)
    return from_memory_order(plain.reshape(-1, *shape[1:], shape[0]))


# -- the whole chain -------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Program:
    """A converted network as stages. Made by :func:`spiking_network`.

    first : the neurons that the constant current drives. last : synapses that are read out.
    """

    prepared: Prepared
    first: Node
    stages: tuple[Stage, ...]
    last: Node

    def head(self, x: Tensor, wires: dict[str, Wiring], steps: int) -> tuple[Chunk, Current]:
        """Analog layers, once per inference: (their counts, the current of the first neurons)."""
        chunk = Chunk(self.prepared, x, (steps,), wires)
        plan = self.prepared.plan
        with torch.inference_mode():
            for node in self.prepared.graph.nodes:
                if node.name == self.first.name:
                    break
                if node.name in plan.current:
                    chunk.currents[node.name] = chunk.make_current(node)
                if node.name in plan.analog and node.name not in chunk.analogs:
                    chunk.analogs[node.name] = chunk.make_analog(node)
            return chunk, chunk.drive(self.first)

    def run(
        self, x: Tensor, prefixes: Sequence[int], wires: dict[str, Wiring]
    ) -> tuple[list[Tensor], Counts]:
        """The network's output at every prefix of T, and the counts, as :meth:`Chunk.run`."""
        chunk, current = self.head(x, wires, prefixes[-1])
        counts = chunk.counts
        with torch.inference_mode():
            values = chunk.fire(self.first, current)
            for stage in self.stages:
                values = stage.run(values, prefixes[-1], counts)
            accumulated = values.reshape(prefixes[-1], -1, *values.shape[1:])
            sums = [accumulated[t - 1] for t in prefixes]
            grid = self.prepared.synapses[self.last.name]
            return read_out(grid.gain, grid.offset, sums, prefixes), counts


def spiking_network(
    prepared: Prepared, *, threads: int = 1, policy: Policy = "calibrated"
) -> Program:
    """``prepared`` as stages of the event-driven engine.

    Raises
    ------
    ConversionError
        The network is no such chain; all reasons are listed.
    """
    nodes, reasons = _chain(prepared)
    stages = [] if reasons else _stages(prepared, nodes[1:], threads, policy, reasons)
    if reasons:
        raise ConversionError(
            f"run {prepared.graph.origin!r} on the event-driven engine",
            allowed="a chain of synapses, neurons, pools and views behind the first neurons",
            fix="use run_snn, which simulates any network",
            reasons=reasons,
        )
    return Program(prepared, nodes[0], tuple(stages), nodes[-1])


def _stages(
    prepared: Prepared, nodes: Sequence[Node], threads: int, policy: Policy, reasons: list[str]
) -> list[Stage]:
    stages: list[Stage] = []
    pending: list[Node] = []

    def flush() -> None:
        if pending:
            stages.append(_engine(prepared, pending, threads, policy, reasons))
            pending.clear()

    for node in nodes:
        spec = node.spec
        if isinstance(spec, Synapse | Rectify) or (pending and _flattens(prepared.graph, node)):
            pending.append(node)
            continue
        flush()
        if isinstance(spec, Route):
            stages.append(View(spec))
        elif isinstance(spec, MaxPool):
            pool = MaxPooling(spec, prepared.rules.max_pool == "exact")
            last = stages[-1] if stages else None
            if pool.exact and isinstance(last, Engine) and last.pool is None:
                last.pool = pool
            else:
                stages.append(pool)
        elif isinstance(spec, AvgPool):
            source = node.inputs[0]
            amplitude, population = prepared.amplitudes[source], prepared.populations[node.name]
            stages.append(PooledNeurons(node, population, amplitude, source))
    flush()
    return stages


def _chain(prepared: Prepared) -> tuple[list[Node], list[str]]:
    """(nodes from the first neurons to the output, why they are no chain)."""
    graph, plan = prepared.graph, prepared.plan
    start = next((i for i, n in enumerate(graph.nodes) if n.name in prepared.populations), None)
    if start is None:
        return [], ["no neurons"]
    nodes = list(graph.nodes[start:])
    reasons = []
    if prepared.rules.schedule != "together":
        reasons.append(f"schedule {prepared.rules.schedule!r}: layers do not fire together")
    if any(name in plan.driven for name in nodes[0].inputs) or len(nodes[0].inputs) != 1:
        reasons.append(f"{nodes[0].name}: it is not driven by one constant current")
    for before, node in pairwise(nodes):
        fault = _fault(prepared, before, node)
        if fault:
            reasons.append(f"{node.name}: {fault}")
    last = nodes[-1]
    if last.name != graph.output or last.name not in prepared.synapses:
        reasons.append(f"{last.name}: the output is not the sum of synapses that receive spikes")
    return nodes, reasons


def _fault(prepared: Prepared, before: Node, node: Node) -> str:
    spec = node.spec
    if node.inputs != (before.name,):
        return "a branch, or a sum of branches"
    if isinstance(spec, Synapse):
        if node.name not in prepared.synapses:
            return "an analog layer behind spiking ones"
        return _geometry_fault(prepared.graph, node, spec)
    if isinstance(spec, Rectify):
        driven = isinstance(before.spec, Synapse) and node.name in prepared.populations
        return "" if driven else "neurons that follow no synapses"
    if isinstance(spec, AvgPool):
        spiking = node.name in prepared.populations and not isinstance(before.spec, Synapse)
        return "" if spiking else "an average pool of currents"
    if isinstance(spec, MaxPool | Route):
        return "" if before.name in prepared.plan.spikes else f"{type(spec).__name__} of currents"
    return f"{type(spec).__name__} is not known"


def _geometry_fault(graph: ExecutableGraph, node: Node, spec: Synapse) -> str:
    shape = graph[node.inputs[0]].shape
    if spec.transposed:
        return "a transposed convolution"
    if spec.kind == "linear":
        return "" if len(shape) == 1 else f"a linear layer on values of shape {shape}"
    if len(spec.kernel) not in (1, 2):
        return f"a convolution over {len(spec.kernel)} dimensions"
    if any(low != high for low, high in spec.padding):
        return "padding that differs from side to side"
    return ""


def _flattens(graph: ExecutableGraph, node: Node) -> bool:
    """True for a view that keeps the order of values, channels first."""
    if not isinstance(node.spec, Route):
        return False
    shape = graph[node.inputs[0]].shape
    if math.prod(shape) != math.prod(node.shape):
        return False
    order = torch.arange(math.prod(shape), dtype=torch.float64)
    moved = node.spec.run(order.reshape(1, *shape))
    return torch.equal(moved.reshape(-1), order)


def _engine(
    prepared: Prepared, nodes: Sequence[Node], threads: int, policy: Policy, reasons: list[str]
) -> Engine:
    graph = prepared.graph
    shape = graph[nodes[0].inputs[0]].shape
    made: list[record.Node] = []
    sources: dict[str, str] = {}
    last, population = record.INPUT, ""
    for i, node in enumerate(nodes):
        spec = node.spec
        if isinstance(spec, Synapse):
            following = nodes[i + 1] if i + 1 < len(nodes) else None
            made += _fold(prepared, node, following, last, reasons)
            sources[node.name] = population
        elif isinstance(spec, Route):
            made.append(record.Reshape(node.name, (last,), node.shape))
        else:
            population = node.name
        last = node.name
    return Engine(
        record.SpikingNetwork(shape, tuple(made), constant_input=False), sources, threads, policy
    )


def _fold(
    prepared: Prepared, node: Node, following: Node | None, last: str, reasons: list[str]
) -> list[record.Node]:
    """Synapses, with their neurons if they have any, in steps of the weight grid."""
    grid = prepared.synapses[node.name]
    bias, neurons = None, []
    if following is not None:
        theta, initial, offset = in_weight_steps(
            prepared.populations[following.name], grid.gain, grid.offset, following.shape
        )
        rows = _by_channel(offset, following.shape)
        if not (rows == rows[:, :1]).all():
            reasons.append(f"{following.name}: biases that differ within a channel")
        largest = max(float(np.abs(one).max()) for one in (theta, initial, offset))
        if largest > LARGEST:
            reasons.append(f"{following.name}: {largest:.3g} steps of the weight grid")
        bias = rows[:, 0].astype(np.float32)
        neurons.append(
            record.Population(
                following.name, (node.name,), following.shape,
                threshold=_compact(theta, following.shape), decay=_scalar(1.0), gain=_scalar(1.0),
                initial=_compact(initial, following.shape),
            )
        )  # fmt: skip
    return [_synapses(prepared.graph, node, grid, last, bias), *neurons]


def _synapses(
    graph: ExecutableGraph, node: Node, grid: GridSynapse, last: str, bias: Array | None
) -> record.Synapses:
    spec = grid.spec
    weight: NDArray[np.float32] | NDArray[np.int8] = grid.weight.contiguous().numpy()
    scale = None
    if float(np.abs(weight).max()) <= 127:
        weight, scale = weight.astype(np.int8), np.ones(len(weight), np.float32)
    return record.Synapses(
        node.name, (last,), spec.kind, weight, graph[node.inputs[0]].shape, node.shape,
        bias=bias, scale=scale, stride=spec.stride, padding=tuple(low for low, _ in spec.padding),
        dilation=spec.dilation, groups=spec.groups,
    )  # fmt: skip


def _scalar(value: float) -> Array:
    return np.array(value, np.float32)


def _by_channel(values: Floats, shape: tuple[int, ...]) -> Floats:
    """(C, places) of values in memory order."""
    if len(shape) in (3, 4):
        return values.reshape(-1, shape[0]).T
    return values.reshape(shape[0], -1)


def _compact(values: Floats, shape: tuple[int, ...]) -> Array:
    """Per channel where the places of a channel are alike, else per neuron."""
    rows = _by_channel(values, shape).astype(np.float32)
    if (rows == rows[:, :1]).all():
        return np.ascontiguousarray(rows[:, 0])
    return np.ascontiguousarray(rows.reshape(shape))
