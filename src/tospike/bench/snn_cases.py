"""Spiking networks for ``tospike bench snn``: weights on a grid, thresholds for a wanted density.

All weights, biases, inputs and thresholds are multiples of powers of two, so that every sum is
exact in float32 in any order; and no potential can equal a threshold (see :func:`off_grid`), so
that tools that fire at ">=" and tools that fire at ">" must send the same spikes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tospike.bench.snn_simulate import simulate
from tospike.kernels.spiking.record import (
    INPUT,
    Node,
    Pool,
    Population,
    Reshape,
    SpikingNetwork,
    Synapses,
)

Floats = NDArray[np.float32]

#: analog inputs are multiples of 1 / 256
PIXEL = 2.0**-8
#: thresholds are odd multiples of this fraction of the currents' grid
FRACTION = 2.0**-5
#: firing rates of a trained VGG-9 (Dampfhoffer 2022, Fig. 8): input, then layer by layer
VGG9_RATES = (0.25, 0.20, 0.15, 0.10, 0.07, 0.04, 0.02, 0.01, 0.01)
#: share of the wanted density by which a forced one may miss it
ENOUGH = 0.005
#: word for the density of a network that runs as it was trained
MEASURED = "measured"


@dataclass(frozen=True, eq=False)
class Case:
    """A network with inputs: (N, ...) if they are constant over time, else (T, N, ...).

    wanted : forced density of all hidden populations; None if the network runs as it was trained,
        or at densities that differ from layer to layer (then ``profile`` names them).
    densities : population -> spikes per neuron and step on these inputs.
    """

    name: str
    network: SpikingNetwork
    inputs: Floats
    timesteps: int
    wanted: float | None
    densities: dict[str, float]
    note: str = ""
    profile: str = ""

    @property
    def label(self) -> float | str:
        """The forced density, or a word for it."""
        if self.wanted is not None:
            return self.wanted
        return self.profile or MEASURED

    @property
    def samples(self) -> int:
        """N"""
        return self.inputs.shape[0 if self.network.constant_input else 1]

    def batch(self, first: int, size: int) -> Floats:
        """Samples ``first`` to ``first + size``, contiguous."""
        rows = slice(first, first + size)
        part = self.inputs[rows] if self.network.constant_input else self.inputs[:, rows]
        return np.ascontiguousarray(part)

    @property
    def density(self) -> float:
        """Spikes per hidden neuron and step, over all hidden neurons."""
        sizes = {
            node.name: math.prod(node.shape)
            for node in self.network.nodes
            if isinstance(node, Population)
        }
        spikes = sum(share * sizes[name] for name, share in self.densities.items())
        return spikes / max(1, sum(sizes.values()))


@dataclass(frozen=True)
class Neurons:
    """One hidden layer's neurons: soft reset without leak, or hard reset to 0 with ``decay``."""

    decay: float = 1.0
    hard: bool = False
    half_start: bool = False


Layer = int | str | tuple[str, int, int]
Weights = Iterator[tuple[Floats, Floats | None]]


def on_grid(weight: Floats, bits: int = 8) -> tuple[Floats, float]:
    """(``weight`` rounded to multiples of 2^-k, 2^-k): the finest k that fits ``bits`` bits."""
    top = float(np.abs(weight).max()) or 1.0
    unit = 2.0 ** math.ceil(math.log2(top / (2 ** (bits - 1) - 1)))
    return (np.round(weight / unit) * unit).astype(np.float32), unit


def scalar(value: float) -> Floats:
    """A parameter of a whole population."""
    return np.array(value, np.float32)


def off_grid(threshold: float, unit: float) -> float:
    """The odd multiple of ``unit`` x FRACTION next to ``threshold``: no potential can equal it.

    Potentials are multiples of ``unit`` less a sum of thresholds with few binary places, for the
    few steps that are measured here.
    """
    step = unit * FRACTION
    return (2 * math.floor(threshold / (2 * step)) + 1) * step


def chain(
    input_shape: tuple[int, ...],
    layers: Sequence[Layer],
    weights: Weights,
    neurons: Neurons,
    *,
    constant_input: bool,
) -> SpikingNetwork:
    """Layers one after the other: an int is a linear layer, ("conv", channels, stride) a 3 x 3
    convolution with padding 1, "P" max-pooling 2 x 2, "F" flattening. Neurons stand behind every
    linear layer and convolution but the last.
    """
    nodes: list[Node] = []
    shape, last = input_shape, INPUT
    synaptic = [i for i, layer in enumerate(layers) if not isinstance(layer, str)]
    unit = PIXEL if constant_input else 1.0
    for i, layer in enumerate(layers):
        if layer == "P":
            out = (shape[0], shape[1] // 2, shape[2] // 2)
            nodes.append(Pool(f"pool{i}", (last,), "max", shape, out, (2, 2), (2, 2), (0, 0)))
            shape, last = out, f"pool{i}"
            continue
        if layer == "F":
            shape = (math.prod(shape),)
            nodes.append(Reshape(f"flat{i}", (last,), shape))
            last = f"flat{i}"
            continue
        assert not isinstance(layer, str)
        weight, bias = next(weights)
        weight, grid = on_grid(weight)
        grid *= unit
        if bias is not None:
            bias = (np.round(bias / grid) * grid).astype(np.float32)
        node = _synapses(f"layer{i}", last, layer, weight, bias, shape)
        nodes.append(node)
        shape, last, unit = node.out_shape, node.name, 1.0
        if i != synaptic[-1]:
            nodes.append(_population(f"neurons{i}", last, shape, grid, neurons))
            last = nodes[-1].name
    return SpikingNetwork(input_shape, tuple(nodes), constant_input)


def _synapses(
    name: str,
    last: str,
    layer: int | tuple[str, int, int],
    weight: Floats,
    bias: Floats | None,
    shape: tuple[int, ...],
) -> Synapses:
    if isinstance(layer, int):
        return Synapses(name, (last,), "linear", weight, shape, (layer,), bias)
    _, channels, stride = layer
    out = (channels, -(-shape[1] // stride), -(-shape[2] // stride))
    return Synapses(
        name, (last,), "conv", weight, shape, out, bias,
        stride=(stride, stride), padding=(1, 1), dilation=(1, 1),
    )  # fmt: skip


def _population(
    name: str, last: str, shape: tuple[int, ...], unit: float, neurons: Neurons
) -> Population:
    """A population with the threshold that stands for the currents' grid, see :func:`settle`."""
    return Population(
        name,
        (last,),
        shape,
        threshold=scalar(unit),
        decay=scalar(neurons.decay),
        gain=scalar(1),
        initial=scalar(unit / 2 if neurons.half_start else 0),
        reset=0.0 if neurons.hard else None,
    )


def draw(layers: Sequence[Layer], input_shape: tuple[int, ...], seed: int) -> Weights:
    """Weights of :func:`chain`, normal with a standard deviation of sqrt(2 / fan-in)."""
    rng = np.random.default_rng(seed)
    shape = input_shape
    for layer in layers:
        if layer == "P":
            shape = (shape[0], shape[1] // 2, shape[2] // 2)
        elif layer == "F":
            shape = (math.prod(shape),)
        elif isinstance(layer, int):
            yield _normal(rng, (layer, shape[0])), None
            shape = (layer,)
        else:
            assert not isinstance(layer, str)
            _, channels, stride = layer
            yield _normal(rng, (channels, shape[0], 3, 3)), None
            shape = (channels, -(-shape[1] // stride), -(-shape[2] // stride))


def _normal(rng: np.random.Generator, shape: tuple[int, ...]) -> Floats:
    spread = math.sqrt(2 / math.prod(shape[1:]))
    # Cut at 3 sigma, so that one value does not use up the grid.
    return (spread * rng.standard_normal(shape).clip(-3, 3)).astype(np.float32)


Choose = Callable[[Population, Floats], Population]


def force(network: SpikingNetwork, inputs: Floats, timesteps: int, rates: Sequence[float]) -> Case:
    """Thresholds, one per layer, at which layer ``i`` sends ``rates[i]`` spikes per neuron and
    step on ``inputs``; found by bisection, layer by layer, by a dense simulation in float64.
    """
    left = iter(rates)

    def choose(population: Population, current: Floats) -> Population:
        wanted = next(left)
        unit = float(population.threshold)
        low, high = 0.0, timesteps * float(np.abs(current).max()) + unit
        best, error = population, math.inf
        for _ in range(40):
            middle = (low + high) / 2
            trial = with_threshold(population, off_grid(middle, unit))
            found = fired(trial, current, timesteps)
            if abs(found - wanted) < error:
                best, error = trial, abs(found - wanted)
            if error < ENOUGH * wanted:
                break
            low, high = (middle, high) if found > wanted else (low, middle)
        return best

    return settle("", network, inputs, timesteps, choose)


def settle(
    name: str, network: SpikingNetwork, inputs: Floats, timesteps: int, choose: Choose
) -> Case:
    """A case whose populations are those that ``choose(population, current)`` returns."""
    chosen: dict[str, Population] = {}

    def keep(population: Population, current: Floats) -> Population:
        chosen[population.name] = choose(population, current)
        return chosen[population.name]

    trace = simulate(network, inputs, timesteps, choose=keep)
    nodes = tuple(chosen.get(node.name, node) for node in network.nodes)
    densities = {name: float(spikes.mean()) for name, spikes in trace.spikes.items()}
    return Case(name, replace(network, nodes=nodes), inputs, timesteps, None, densities)


def with_threshold(population: Population, threshold: float) -> Population:
    """``population`` with another threshold; a start at half of it stays one."""
    half = bool(population.initial)
    return replace(
        population,
        threshold=scalar(threshold),
        initial=scalar(threshold / 2 if half else 0),
    )


def fired(population: Population, current: Floats, timesteps: int) -> float:
    """Spikes per neuron and step for ``current`` (T, N, ...), or (1, N, ...) at every step."""
    v = np.full(current.shape[1:], float(population.initial), np.float64)
    decay, threshold = float(population.decay), float(population.threshold)
    total = 0
    for t in range(timesteps):
        v *= decay
        v += current[t if len(current) > 1 else 0]
        fire = v >= threshold
        total += int(fire.sum())
        if population.reset is None:
            v -= threshold * fire
        else:
            v[fire] = population.reset
    return total / (timesteps * v.size)


def as_int8(network: SpikingNetwork) -> SpikingNetwork:
    """The same network with its weights as int8 times one power of two per layer."""
    nodes: list[Node] = []
    for node in network.nodes:
        if isinstance(node, Synapses):
            _, unit = on_grid(np.asarray(node.weight, np.float32))
            whole = np.round(node.weight / unit).astype(np.int8)
            scale = np.full(len(whole), unit, np.float32)
            nodes.append(replace(node, weight=whole, scale=scale))
        else:
            nodes.append(node)
    return replace(network, nodes=tuple(nodes))
