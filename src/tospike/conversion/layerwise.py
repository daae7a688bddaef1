"""Corrections for one number of time steps T, layer by layer: potentials, biases, weights.

After Li et al. 2021 ("A free lunch from ANN: towards efficient, accurate spiking neural networks
calibration"), with labels nowhere. What a layer says in exactly T steps is
compared with the float network on the calibration samples, each layer on the corrected spikes of
the layers before it:

    "potential"  V(0) of a channel += T (mean a - mean theta S(T) / T)
    "bias"       current of a channel += mean a - mean theta S(T) / T
    "weights"    first the weights and biases of each layer are moved so that they give the float
                 layer's pre-activations from what the spikes say, by ridge regression in closed
                 form (the authors train them by gradient descent); then "potential"

Range of validity: the corrected network is meant for that T alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from tospike.conversion.calibration import by_channel, channel_dim
from tospike.conversion.forward import walk
from tospike.conversion.graph import Node, Synapse
from tospike.conversion.neurons import per_neuron
from tospike.conversion.prepare import GridSynapse, Population, Prepared, channel_shape, on_grid
from tospike.conversion.spiking import Current, fire
from tospike.conversion.thresholds import Correction

#: times that potentials or biases are moved; each sees the effect of the one before
ROUNDS = 3
#: pull of the regression towards the trained weights, as a share of the mean of its diagonal
RIDGE = 1.0
#: samples that go into the regression at a time
BATCH = 16


def truths(prepared: Prepared, samples: Tensor) -> dict[str, Tensor]:
    """Float values (n, ...) of every population and of every synapse that receives spikes."""
    return {
        node.name: value
        for node, _, value in walk(prepared.graph, samples)
        if node.name in prepared.populations or node.name in prepared.synapses
    }


@dataclass
class TimedFitter:
    """Corrects synapses, populations and read-outs for T = ``steps`` as a simulation reaches them.

    ``shared`` : layers with several uses; their weights stay as they are.
    """

    prepared: Prepared
    steps: int
    samples: int
    truth: Mapping[str, Tensor]
    which: Correction
    weight_bits: int | None
    shared: frozenset[str] = frozenset()
    populations: dict[str, Population] = field(default_factory=dict)
    synapses: dict[str, GridSynapse] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.synapses = dict(self.prepared.synapses)
        uses = [node.spec.layer for node in self.prepared.graph if isinstance(node.spec, Synapse)]
        self.shared = frozenset(name for name in uses if uses.count(name) > 1)

    def synapse(self, node: Node, spikes: Tensor, grid: GridSynapse) -> GridSynapse:
        """``grid`` with weights that suit what the spikes (T * samples, ...) say."""
        spec = node.spec
        assert isinstance(spec, Synapse)
        fits = spec.kind == "linear" or (
            len(spec.kernel) <= 2
            and not spec.transposed
            and all(low == high for low, high in spec.padding)
        )
        if self.which != "weights" or spec.layer in self.shared or not fits:
            return grid
        amplitude = self.prepared.amplitudes[node.inputs[0]]
        folded = spikes.reshape(self.steps, self.samples, *spikes.shape[1:])
        said = folded.mean(dim=0) * amplitude.float()
        moved = regressed(spec, said, self.truth[node.name])
        self.synapses[node.name] = on_grid(moved, amplitude, self.weight_bits)
        return self.synapses[node.name]

    def population(self, node: Node, current: Current, population: Population) -> Population:
        """``population`` with moved potentials or offsets."""
        dim = channel_dim(self.prepared.graph, node.name)
        rank = 1 + len(node.shape)
        amplitude = self.prepared.amplitudes[node.name]
        target = by_channel(self.truth[node.name], dim).double().mean(dim=1)
        for _ in range(ROUNDS):
            spikes, _ = fire(population, current, self.steps, self.samples, node.shape)
            folded = spikes.reshape(self.steps, self.samples, *node.shape)
            said = folded.mean(dim=0).double() * amplitude
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
        dim = channel_dim(self.prepared.graph, node.name)
        target = by_channel(self.truth[node.name], dim).double().mean(dim=1)
        error = target - by_channel(value, dim).mean(dim=1)
        grid = self.synapses[node.name]
        self.synapses[node.name] = replace(
            grid, offset=grid.offset + error.reshape(grid.offset.shape)
        )


def regressed(spec: Synapse, said: Tensor, target: Tensor) -> Synapse:
    """``spec`` with the weights W and biases b that minimise

        sum |W x + b - target|**2 + ridge |W - W0|**2 + ridge |b - b0|**2

    over samples and positions; x is ``said`` (n, inputs...), W0 and b0 the weights of ``spec``.
    Per group of a convolution. float64.
    """
    rows = spec.weight.shape[0] // spec.groups
    weight = spec.weight.double().reshape(spec.groups, rows, -1)
    bias = torch.zeros(spec.groups * rows, dtype=torch.float64)
    if spec.bias is not None:
        bias = spec.bias.double()
    whole = torch.cat([weight, bias.reshape(spec.groups, rows, 1)], dim=2)
    size = whole.shape[2]
    square = torch.zeros(spec.groups, size, size, dtype=torch.float64)
    right = torch.zeros(spec.groups, size, rows, dtype=torch.float64)
    for start in range(0, said.shape[0], BATCH):
        x = patches(spec, said[start : start + BATCH].double())
        y = outputs(spec, target[start : start + BATCH].double())
        square += x.transpose(1, 2) @ x
        right += x.transpose(1, 2) @ (y - x @ whole.transpose(1, 2))
    pull = RIDGE * square.diagonal(dim1=1, dim2=2).mean(dim=1).clamp_min(1e-12)
    square += pull.reshape(-1, 1, 1) * torch.eye(size, dtype=torch.float64)
    whole = whole + torch.linalg.solve(square, right).transpose(1, 2)
    moved = whole[:, :, :-1].reshape(spec.weight.shape).to(spec.weight.dtype)
    return replace(spec, weight=moved, bias=whole[:, :, -1].reshape(-1).to(spec.weight.dtype))


def patches(spec: Synapse, x: Tensor) -> Tensor:
    """What each output reads, with a last column of ones: (groups, rows, fan-in + 1)."""
    if spec.kind == "linear":
        flat = x.reshape(1, -1, x.shape[-1])
    else:
        lead = (0,) * (2 - len(spec.kernel))  # a 1-d convolution as one of height 1
        ones = (1,) * len(lead)
        image = x.unsqueeze(2) if lead else x
        padding = lead + tuple(low for low, _ in spec.padding)
        columns = F.unfold(
            image, ones + spec.kernel, ones + spec.dilation, padding, ones + spec.stride
        )
        grouped = columns.reshape(x.shape[0], spec.groups, -1, columns.shape[-1])
        flat = grouped.permute(1, 0, 3, 2).reshape(spec.groups, -1, grouped.shape[2])
    return torch.cat([flat, flat.new_ones(*flat.shape[:2], 1)], dim=2)


def outputs(spec: Synapse, y: Tensor) -> Tensor:
    """Outputs in the order of :func:`patches`: (groups, rows, outputs per group)."""
    if spec.kind == "linear":
        return y.reshape(1, -1, y.shape[-1])
    grouped = y.reshape(y.shape[0], spec.groups, y.shape[1] // spec.groups, -1)
    return grouped.permute(1, 0, 3, 2).reshape(spec.groups, -1, grouped.shape[2])
