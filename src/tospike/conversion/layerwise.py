"""Corrections for one number of time steps T, layer by layer: potentials, biases, weights.

After Li et al. 2021 ("A free lunch from ANN: towards efficient, accurate spiking neural networks
calibration"), with labels nowhere. What a layer says in exactly T steps is
compared with the float network on the calibration samples, each layer on the corrected spikes of
the layers before it:

    "potential"  V(0) of a channel += T (mean a - mean theta S(T) / T)
    "bias"       current of a channel += mean a - mean theta S(T) / T
    "weights"    first the weights and biases of each layer are moved so that they give the float
                 layer's pre-activations from what the spikes say, by ridge regression in closed
                 form (``regression.py``; the authors train them by gradient descent); then
                 "potential"

Range of validity: the corrected network is meant for that T alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from torch import Tensor

from tospike.conversion.calibration import by_channel, channel_dim
from tospike.conversion.forward import walk
from tospike.conversion.graph import Node, Synapse
from tospike.conversion.neurons import from_memory_order, in_memory_order, per_neuron
from tospike.conversion.prepare import (
    GridSynapse,
    Population,
    Prepared,
    channel_shape,
    input_channels,
    on_grid,
)
from tospike.conversion.regression import kept_layers, regressed
from tospike.conversion.spiking import Current, fire
from tospike.conversion.thresholds import Correction

#: times that potentials or biases are moved; each sees the effect of the one before
ROUNDS = 3
#: samples on which they are moved, evenly taken from those of the regression
ROUND_SAMPLES = 128


def truths(prepared: Prepared, samples: Tensor) -> dict[str, Tensor]:
    """What the float network says: of every population the mean per channel (C,) over the samples
    of the rounds, of every synapse that receives spikes all values (n, ...)."""
    found = {}
    every = stride(len(samples))
    for node, _, value in walk(prepared.graph, samples):
        if node.name in prepared.populations:
            found[node.name] = mean_by_channel(prepared, node, value[::every])
        elif node.name in prepared.synapses:
            found[node.name] = value
    return found


def mean_by_channel(prepared: Prepared, node: Node, value: Tensor) -> Tensor:
    """(C,) float64 of a node's value (n, ...)."""
    return by_channel(value, channel_dim(prepared.graph, node.name)).double().mean(dim=1)


def stride(samples: int) -> int:
    """Every so many samples one is used in the rounds."""
    return max(1, samples // ROUND_SAMPLES)


def thinned(current: Current, steps: int, every: int) -> Current:
    """``current`` of every so many samples only."""
    if every == 1:
        return current
    if current.constant:
        return replace(current, data=current.data[::every])
    plain = in_memory_order(current.data)
    few = plain.reshape(steps, -1, *plain.shape[1:])[:, ::every]
    return replace(current, data=from_memory_order(few.reshape(-1, *plain.shape[1:])))


@dataclass
class TimedFitter:
    """Corrects synapses, populations and read-outs for T = ``steps`` as a simulation reaches them.

    ``kept`` : layers whose weights stay as they are: with several uses, or too costly to move.
    """

    prepared: Prepared
    steps: int
    samples: int
    truth: Mapping[str, Tensor]
    which: Correction
    weight_bits: int | None
    kept: frozenset[str] = frozenset()
    populations: dict[str, Population] = field(default_factory=dict)
    synapses: dict[str, GridSynapse] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.synapses = dict(self.prepared.synapses)
        spiking = self.prepared.plan.spiking
        self.kept = frozenset(kept_layers(self.prepared.graph, spiking, self.samples))

    def synapse(self, node: Node, spikes: Tensor, grid: GridSynapse) -> GridSynapse:
        """``grid`` with weights that suit what the spikes (T * samples, ...) say."""
        spec = node.spec
        assert isinstance(spec, Synapse)
        if self.which != "weights" or spec.layer in self.kept:
            return grid
        amplitude = self.prepared.amplitudes[node.inputs[0]]
        plain = in_memory_order(spikes)
        each = plain.reshape(self.steps, self.samples, *plain.shape[1:]).sum(dim=0)
        counts = from_memory_order(each)
        unit = input_channels(spec, amplitude) / self.steps
        moved = regressed(spec, counts, self.truth[node.name], unit, largest=self.steps)
        self.synapses[node.name] = on_grid(moved, amplitude, self.weight_bits)
        return self.synapses[node.name]

    def population(self, node: Node, current: Current, population: Population) -> Population:
        """``population`` with moved potentials or offsets."""
        dim = channel_dim(self.prepared.graph, node.name)
        rank = 1 + len(node.shape)
        amplitude = self.prepared.amplitudes[node.name]
        target = self.truth[node.name]
        every = stride(self.samples)
        few, samples = thinned(current, self.steps, every), len(range(0, self.samples, every))
        for _ in range(ROUNDS):
            spikes, _ = fire(population, few, self.steps, samples, node.shape)
            # sums of 0 and 1 in the order of memory: exact, and fast
            sent = from_memory_order(in_memory_order(spikes).sum(dim=0, keepdim=True))
            said = sent.double() / len(spikes) * amplitude
            error = target - by_channel(said, dim).mean(dim=1)
            if self.which == "bias":
                shift = per_neuron(channel_shape(error, dim, rank), node.shape)
                population = replace(population, offset=population.offset + shift)
            else:
                shift = per_neuron(channel_shape(error * self.steps, dim, rank), node.shape)
                population = replace(population, initial=population.initial + shift)
        self.populations[node.name] = population
        return population

    def read_out(self, node: Node, value: Tensor) -> None:
        """Move the mean error of an accumulated current (samples, ...) into its bias."""
        target = mean_by_channel(self.prepared, node, self.truth[node.name])
        error = target - mean_by_channel(self.prepared, node, value)
        grid = self.synapses[node.name]
        self.synapses[node.name] = replace(
            grid, offset=grid.offset + error.reshape(grid.offset.shape)
        )
