"""Bias and potential calibration of one partition, layer by layer, on the calibration samples.

After Li et al. 2021 ("A free lunch from ANN: towards efficient, accurate spiking neural networks
calibration"): the mean error of each channel between the float activation and what the spikes
carry is moved into the bias, or into the initial potential. Here both are fitted together. The
summed error of a channel after t steps,

    E(t) = t mean(a) - theta mean(S(t)),      S(t) spikes so far,

is fitted by alpha + beta t for t = 1 .. T_cal with weights 1/t (the error of a rate is E(t)/t):
beta is added to the bias, alpha to V(0). So one correction serves every T. Layers are corrected
in order of execution, each on the corrected spikes of the layers before it. That is "fit";
corrections that are made for one T are in ``layerwise.py``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from tospike.conversion.calibration import Calibration, by_channel, channel_dim
from tospike.conversion.counting import wiring
from tospike.conversion.forward import walk
from tospike.conversion.graph import ExecutableGraph, Node
from tospike.conversion.layerwise import TimedFitter, truths
from tospike.conversion.neurons import per_neuron
from tospike.conversion.prepare import GridSynapse, Population, Prepared, channel_shape
from tospike.conversion.spiking import Chunk, Current, fire

#: time steps of the calibration run
STEPS = 16
#: times that each layer is fitted; the second fit sees the effect of the first
ROUNDS = 2
#: values of the largest sequence held (float32: 256 MB)
VALUES = 64_000_000
#: corrections for one T: default T, and most samples used
TIMESTEPS = 8
SAMPLES = 256


def corrected(
    prepared: Prepared, calibration: Calibration, weight_bits: int | None = 8
) -> Prepared:
    """``prepared`` with the correction that ``calibration`` asks for.

    Uses as many calibration samples as fit in memory over all steps. Accumulated currents that
    are read as analog values (and the network's output) get the mean error after the last step
    in their bias. ``weight_bits`` : grid of weights that "weights" moves.
    """
    which = calibration.correction
    if which == "none":
        return prepared
    graph = prepared.graph
    samples = calibration.samples[: n_fitted(graph, calibration)]
    steps = steps_of(calibration)
    fitter: Fitter | TimedFitter
    if which == "fit":
        targets = mean_activations(prepared, samples)
        fitter = Fitter(prepared, samples.shape[0], targets)
    else:
        truth = truths(prepared, samples)
        fitter = TimedFitter(prepared, steps, len(samples), truth, which, weight_bits)
    Chunk(prepared, samples, (steps,), wiring(graph), fitter).run()
    return replace(prepared, populations=fitter.populations, synapses=fitter.synapses)


def steps_of(calibration: Calibration) -> int:
    """Time steps of the run on which the correction is made."""
    return STEPS if calibration.correction == "fit" else calibration.timesteps or TIMESTEPS


def n_fitted(graph: ExecutableGraph, calibration: Calibration) -> int:
    """Calibration samples that the correction uses: as many as fit in memory over all steps."""
    largest = max((math.prod(node.shape) for node in graph.nodes if node.batched), default=1)
    most = max(1, VALUES // (steps_of(calibration) * max(1, largest)))
    if calibration.correction != "fit":
        most = min(most, SAMPLES)
    return min(most, len(calibration.samples))


def mean_activations(prepared: Prepared, samples: Tensor) -> dict[str, Tensor]:
    """Float mean per channel (C,) of every population and of every read-out."""
    graph = prepared.graph
    means = {}
    for node, _, value in walk(graph, samples):
        if node.name in prepared.populations or node.name in prepared.synapses:
            dim = channel_dim(graph, node.name)
            means[node.name] = by_channel(value, dim).double().mean(dim=1)
    return means


@dataclass
class Fitter:
    """Corrects populations and read-outs as the simulation reaches them."""

    prepared: Prepared
    samples: int
    targets: dict[str, Tensor]
    populations: dict[str, Population] = field(default_factory=dict)
    synapses: dict[str, GridSynapse] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.synapses = dict(self.prepared.synapses)

    def synapse(self, node: Node, spikes: Tensor, grid: GridSynapse) -> GridSynapse:
        """Weights stay as they are."""
        return grid

    def population(self, node: Node, current: Current, population: Population) -> Population:
        """``population`` with fitted offset and initial potential."""
        target = self.targets[node.name]
        dim = channel_dim(self.prepared.graph, node.name)
        rank = 1 + len(node.shape)
        amplitude = self.prepared.amplitudes[node.name]
        for _ in range(ROUNDS):
            spikes, _ = fire(population, current, STEPS, self.samples, node.shape)
            rates = (
                spikes.reshape(STEPS, self.samples, *node.shape).mean(dim=1).double() * amplitude
            )
            flat = by_channel(rates, dim)
            per_channel = flat.reshape(flat.shape[0], STEPS, -1).mean(dim=2).t()
            alpha, beta = fit(per_channel, target)
            population = replace(
                population,
                initial=population.initial
                + per_neuron(channel_shape(alpha, dim, rank), node.shape),
                offset=population.offset + per_neuron(channel_shape(beta, dim, rank), node.shape),
            )
        self.populations[node.name] = population
        return population

    def read_out(self, node: Node, value: Tensor) -> None:
        """Move the mean error of an accumulated current (samples, ...) into its bias."""
        dim = channel_dim(self.prepared.graph, node.name)
        error = self.targets[node.name] - by_channel(value, dim).mean(dim=1)
        grid = self.synapses[node.name]
        offset = grid.offset + error.reshape(grid.offset.shape)
        self.synapses[node.name] = replace(grid, offset=offset)


def fit(rates: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """alpha, beta (C,) of the error t * target - sum of rates up to t, weighted by 1/t.

    rates : (T, C) mean value carried by the spikes of each step. target : (C,).
    """
    t = torch.arange(1, rates.shape[0] + 1, dtype=torch.float64).unsqueeze(1)
    error = target * t - rates.cumsum(dim=0)
    design = torch.cat([1.0 / t, torch.ones_like(t)], dim=1)
    solution = torch.linalg.lstsq(design, error / t).solution
    return solution[0], solution[1]
