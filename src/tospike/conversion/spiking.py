"""Simulation of one partition: layer by layer, all time steps of a few samples at once.

In a feed-forward network the spikes of a layer over all T steps depend only on the spikes of the
layers before it, so each layer runs once, with time folded into the batch (T * samples, ...).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from tospike.conversion.counting import Wiring
from tospike.conversion.forward import last_uses, native_dtype
from tospike.conversion.graph import (
    Add,
    Affine,
    AvgPool,
    Concat,
    Input,
    MaxPool,
    Node,
    Route,
    Synapse,
)
from tospike.conversion.neurons import (
    Floats,
    accumulate,
    channels_last,
    difference,
    fire_on_constant,
    fire_on_sequence,
    from_memory_order,
    in_memory_order,
    in_threads,
    per_neuron,
)
from tospike.conversion.ops import analog, synapse
from tospike.conversion.prepare import GridSynapse, Population, Prepared

#: binary places that a threshold keeps, and a bias beside it
PLACES = 13


@dataclass(frozen=True, eq=False)
class Current:
    """Input current of neurons: ``data * gain + offset``.

    data : (T * samples, ...) or, if ``constant``, (samples, ...). gain, offset : (1, ...).
    """

    data: Tensor
    constant: bool
    gain: Tensor | None = None
    offset: Tensor | None = None

    def value(self) -> Tensor:
        """The current itself, float64."""
        value = self.data.double()
        if self.gain is not None:
            value = value * self.gain
        return value if self.offset is None else value + self.offset


@dataclass
class Counts:
    """Events of one chunk, each (T, samples)."""

    inputs: dict[str, tuple[Floats, Floats]] = field(default_factory=dict)
    neurons: dict[str, Floats] = field(default_factory=dict)
    skips: dict[str, Floats] = field(default_factory=dict)
    analog: dict[str, list[Tensor]] = field(default_factory=dict)


class Tune(Protocol):
    """Corrects neurons while a simulation runs (see ``correction.py``)."""

    def population(self, node: Node, current: Current, population: Population) -> Population:
        """The population to use instead of ``population``."""

    def synapse(self, node: Node, spikes: Tensor, grid: GridSynapse) -> GridSynapse:
        """The synapses to use instead of ``grid``, for input ``spikes`` (T * samples, ...)."""

    def read_out(self, node: Node, value: Tensor) -> None:
        """An accumulated current (samples, ...) has been read as an analog value."""


@dataclass
class Chunk:
    """The simulation of a few samples. Values are freed after their last reader."""

    prepared: Prepared
    x: Tensor
    prefixes: tuple[int, ...]
    wires: dict[str, Wiring]
    tune: Tune | None = None
    spikes: dict[str, Tensor] = field(default_factory=dict)
    currents: dict[str, Current] = field(default_factory=dict)
    analogs: dict[str, list[Any]] = field(default_factory=dict)
    counts: Counts = field(default_factory=Counts)

    @property
    def steps(self) -> int:
        """T"""
        return self.prefixes[-1]

    @property
    def samples(self) -> int:
        """Samples in this chunk."""
        return int(self.x.shape[0])

    def run(self) -> tuple[list[Tensor], Counts]:
        """The network's output at every prefix of T, and the counts."""
        graph, plan = self.prepared.graph, self.prepared.plan
        freed = last_uses(graph)
        with torch.inference_mode():
            for node in graph.nodes:
                if node.name in plan.spikes:
                    self.spikes[node.name] = self.make_spikes(node)
                if node.name in plan.current:
                    self.currents[node.name] = self.make_current(node)
                if node.name in plan.analog and node.name not in self.analogs:
                    self.analogs[node.name] = self.make_analog(node)
                for name in freed[node.name]:
                    self.spikes.pop(name, None)
                    self.currents.pop(name, None)
                    self.analogs.pop(name, None)
        return self.analogs[graph.output], self.counts

    # -- spikes ---------------------------------------------------------------------------

    def make_spikes(self, node: Node) -> Tensor:
        """Spikes (T * samples, ...) of a node: 0 or 1."""
        spec = node.spec
        if isinstance(spec, MaxPool):
            return self.pool_spikes(spec, self.spikes[node.inputs[0]])
        if isinstance(spec, Route):
            return channels_last(spec.run(self.spikes[node.inputs[0]]))
        if isinstance(spec, Concat):
            return channels_last(
                torch.cat([self.spikes[name] for name in node.inputs], dim=spec.dim)
            )
        return self.fire(node, self.drive(node))

    def pool_spikes(self, spec: MaxPool, spikes: Tensor) -> Tensor:
        """Spikes of an exact max-pool: y(t) = max S(t) - max S(t - 1), S the counts so far.

        Every neuron adds at most one spike per step, so the maximum grows by 0 or 1.
        With the rule "or" a spike is the maximum of this step's spikes alone.
        """
        if self.prepared.rules.max_pool == "or":
            return channels_last(spec.run(spikes))
        return pooled_spikes(spec, spikes, self.steps)

    def fire(self, node: Node, current: Current) -> Tensor:
        """Integrate-and-fire neurons driven by ``current``."""
        population = self.prepared.populations[node.name]
        if self.prepared.rules.schedule == "layers":
            current = self.mean_of(current)
        if self.tune is not None:
            population = self.tune.population(node, current, population)
        spikes, counts = fire(population, current, self.steps, self.samples, node.shape)
        self.counts.neurons[node.name] = counts
        return spikes

    def mean_of(self, current: Current) -> Current:
        """The mean over all T steps, as a constant current: its integral has come in before."""
        if current.constant:
            return current
        sequence = current.data.double()
        sequence = sequence.reshape(self.steps, self.samples, *sequence.shape[1:])
        mean = sequence.sum(dim=0) / self.steps
        return Current(mean, True, current.gain, current.offset)

    # -- currents -------------------------------------------------------------------------

    def drive(self, node: Node) -> Current:
        """What a population integrates: the current of its input, pooled, or a sum."""
        if isinstance(node.spec, Add):
            a, b = (self.skip(name, node) for name in node.inputs)
            return self.sum(a, b)
        current = self.skip(node.inputs[0], node)
        if isinstance(node.spec, AvgPool):
            return Current(node.spec.run(self.compact(current)), current.constant)
        return current

    def skip(self, name: str, reader: Node) -> Current:
        """The current of ``name`` for ``reader``; spikes on identity connections are counted."""
        current = self.currents[name]
        if name in self.spikes and not current.constant:
            key = f"{name} -> {reader.name}"
            events = self.spikes[name].reshape(self.steps, self.samples, -1).sum(dim=2)
            self.counts.skips[key] = events.double().numpy()
        return current

    def compact(self, current: Current) -> Tensor:
        """A current as one tensor; sequences in float32."""
        if current.constant:
            return current.value()
        if current.offset is None and current.gain is not None:  # spikes on an identity path
            return channels_last(current.data * current.gain.float())
        return channels_last(current.value().float())

    def sum(self, a: Current, b: Current) -> Current:
        """Sum of two currents."""
        if a.constant and b.constant:
            return Current(a.value() + b.value(), True)
        return Current(self.sequence(a) + self.sequence(b), False)

    def sequence(self, current: Current) -> Tensor:
        """A current at every step, (T * samples, ...) float64."""
        value = current.value()
        return value.repeat(self.steps, *(1,) * (value.dim() - 1)) if current.constant else value

    def make_current(self, node: Node) -> Current:
        """Current that a node sends into neurons."""
        name, spec = node.name, node.spec
        if name in self.spikes:
            return Current(self.spikes[name], False, gain=self.prepared.amplitudes[name])
        if name not in self.prepared.plan.driven:
            self.analogs[name] = self.make_analog(node)
            # A value that is known only after T steps has one prefix here (see Plan.rerun).
            return Current(self.analogs[name][-1].double(), True)
        match spec:
            case Synapse():
                return self.synapse_current(node)
            case Affine():
                source = self.skip(node.inputs[0], node)
                gain = spec.scale.double().unsqueeze(0)
                offset = spec.shift.double().unsqueeze(0)
                if source.offset is not None:
                    offset = offset + source.offset * gain
                if source.gain is not None:
                    gain = gain * source.gain
                return Current(source.data, source.constant, gain, offset)
            case Add():
                a, b = (self.skip(input_name, node) for input_name in node.inputs)
                return self.sum(a, b)
            case Concat():
                parts = [self.sequence(self.skip(input_name, node)) for input_name in node.inputs]
                return Current(torch.cat(parts, dim=spec.dim), False)
            case AvgPool() | Route():
                source = self.skip(node.inputs[0], node)
                return Current(spec.run(self.compact(source)), source.constant)
            case _:
                raise AssertionError(f"no current of {type(spec).__name__}")

    def synapse_current(self, node: Node) -> Current:
        """Synapses that receive spikes: events are counted here."""
        grid = self.prepared.synapses[node.name]
        spikes = self.spikes[node.inputs[0]]
        if self.tune is not None:
            grid = self.tune.synapse(node, spikes, grid)
        self.count(node, spikes)
        data = synapse(grid.spec, spikes, grid.weight, None)
        return Current(data, False, grid.gain, grid.offset)

    def count(self, node: Node, spikes: Tensor) -> None:
        """Input events and synaptic operations at every step and sample."""
        fan = self.wires[node.name].fan_out
        if fan.dim() == 0:
            events = spikes.reshape(spikes.shape[0], -1).sum(dim=1).double()
            operations = events * fan
        else:
            per_position = spikes.sum(dim=1).reshape(spikes.shape[0], -1).double()
            events = per_position.sum(dim=1)
            operations = per_position @ fan.reshape(-1)
        shape = (self.steps, self.samples)
        self.counts.inputs[node.name] = (
            events.reshape(shape).numpy(),
            operations.reshape(shape).numpy(),
        )

    # -- analog values --------------------------------------------------------------------

    def make_analog(self, node: Node) -> list[Any]:
        """Analog value of a node: one, or one per prefix of T if it rests on spikes."""
        spec = node.spec
        if isinstance(spec, Input):
            wide = self.x.double() if self.x.is_floating_point() else self.x
            return [wide]
        if isinstance(spec, Synapse) and spec.layer in self.prepared.plan.spiking:
            return self.mean_current(node)
        columns = [self.analogs[name] for name in node.inputs]
        late = max((len(column) for column in columns), default=1)
        rows = [[column[min(p, len(column) - 1)] for column in columns] for p in range(late)]
        if isinstance(spec, Synapse):
            self.counts.analog[node.name] = [row[0] for row in rows]
        native = native_dtype(self.prepared.graph)
        return [analog(node, row, native) for row in rows]

    def mean_current(self, node: Node) -> list[Any]:
        """Read-out of accumulated currents: their mean over the first t steps, per prefix.

        The sums are of integers in float64, exact in any order.
        """
        current = self.currents[node.name]
        sequence = current.data.double()
        sequence = sequence.reshape(self.steps, self.samples, *sequence.shape[1:])
        sums, start, total = [], 0, torch.zeros(())
        for stop in self.prefixes:
            total = total + sequence[start:stop].sum(dim=0)
            sums.append(total)
            start = stop
        assert current.gain is not None
        assert current.offset is not None
        values = read_out(current.gain, current.offset, sums, self.prefixes)
        if self.tune is not None:
            self.tune.read_out(node, values[-1])
        return values


def fire(
    population: Population, current: Current, steps: int, samples: int, shape: tuple[int, ...]
) -> tuple[Tensor, Floats]:
    """Spikes (T * samples, ...) of a population and their number (T, samples)."""
    n = population.theta.size
    spikes = np.empty((steps, samples, n), np.float32)
    counts = np.empty((steps, samples))
    if current.constant:
        drive = in_memory_order(current.value()).reshape(samples, n).numpy() + population.offset
        in_threads(
            samples,
            lambda a, b: fire_on_constant(
                drive, population.initial, population.theta, spikes, counts, a, b
            ),
        )
    else:
        data = in_memory_order(current.data).reshape(steps, samples, n).numpy()
        gain, offset = np.ones(n), population.offset
        v0, theta = population.initial, population.theta
        if current.gain is not None and bool((current.gain > 0).all()):
            theta, v0, offset = in_weight_steps(population, current.gain, current.offset, shape)
        elif current.gain is not None:
            gain = per_neuron(current.gain, shape)
            if current.offset is not None:
                offset = per_neuron(current.offset, shape) + offset
        elif current.offset is not None:
            offset = per_neuron(current.offset, shape) + offset
        in_threads(
            samples,
            lambda a, b: fire_on_sequence(data, gain, offset, v0, theta, spikes, counts, a, b),
        )
    memory_shape = (*shape[1:], shape[0]) if len(shape) in (3, 4) else shape
    folded = torch.from_numpy(spikes).reshape(steps * samples, *memory_shape)
    return from_memory_order(folded), counts


def in_weight_steps(
    population: Population, gain: Tensor, offset: Tensor | None, shape: tuple[int, ...]
) -> tuple[Floats, Floats, Floats]:
    """(theta, V(0), current added per step) per neuron, in units of ``gain``: the value of one step
    of the weight grid. Rounded to multiples of 2^-13 of the threshold's power of two (of 1 at
    most), so that potentials are exact, in float32 up to 2048 thresholds.
    """
    unit = per_neuron(gain, shape)
    added = population.offset
    if offset is not None:
        added = added + per_neuron(offset, shape)
    theta = population.theta / unit
    size = np.ceil(np.log2(np.where(theta > 0, theta, 1.0)))
    fine = np.minimum(2.0 ** (size - PLACES), 1.0)
    theta, initial, added = (
        np.round(value / fine) * fine for value in (theta, population.initial / unit, added / unit)
    )
    return theta, initial, added


def pooled_spikes(spec: MaxPool, spikes: Tensor, steps: int) -> Tensor:
    """Spikes (T * samples, ...) of an exact max-pool: see :meth:`Chunk.pool_spikes`."""
    plain = in_memory_order(spikes)
    counts = torch.empty_like(plain)
    rows = (steps, -1)
    values, sums = plain.reshape(rows).numpy(), counts.reshape(rows).numpy()
    in_threads(values.shape[1], lambda a, b: accumulate(values, sums, a, b))
    memory = in_memory_order(spec.run(from_memory_order(counts)))
    grown = memory.reshape(rows).numpy()
    in_threads(grown.shape[1], lambda a, b: difference(grown, a, b))
    return from_memory_order(memory)


def read_out(
    gain: Tensor, offset: Tensor, sums: Sequence[Tensor], prefixes: Sequence[int]
) -> list[Any]:
    """Mean currents over the first t steps, of their sums over these."""
    return [total * gain / stop + offset for total, stop in zip(sums, prefixes, strict=True)]
