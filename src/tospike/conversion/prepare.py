"""Weights and thresholds of the spiking part of one partition.

The weights that receive spikes are put on an integer grid per output channel (8 bits by default,
as they are priced). Sums of such weights over 0/1 spikes are exact in float32, whatever the order
of summation: so spikes depend neither on the batch nor on the number of time steps.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, cast, get_args

import numpy as np
import torch
from torch import Tensor

from tospike.conversion.calibration import Calibration
from tospike.conversion.eligibility import Plan
from tospike.conversion.graph import (
    Add,
    AvgPool,
    Concat,
    ExecutableGraph,
    MaxPool,
    Node,
    Rectify,
    Route,
    Synapse,
)
from tospike.conversion.neurons import Floats, channels_last, per_neuron
from tospike.errors import ConversionError, OptionError

#: largest sum of grid weights: float32 holds every integer up to 2**24
EXACT = 2.0**23
MaxPoolRule = Literal["exact", "or"]
Schedule = Literal["together", "layers"]


@dataclass(frozen=True, eq=False)
class GridSynapse:
    """Synapses on the grid: current = gain * synapse(spikes, weight) + offset.

    weight : integers, in float32. gain, offset : (1, O, 1...) float64. ``spec`` has the geometry.
    """

    spec: Synapse
    weight: Tensor
    gain: Tensor
    offset: Tensor


@dataclass(frozen=True, eq=False)
class Population:
    """Integrate-and-fire neurons: per neuron, in memory order (channels innermost).

    theta : threshold and amplitude of a spike. initial : V(0). offset : added current per step.
    """

    theta: Floats
    initial: Floats
    offset: Floats


@dataclass(frozen=True)
class Rules:
    """How spikes are pooled, and when a layer fires.

    max_pool : "exact", y(t) = max S(t) - max S(t - 1) over the counts S so far, which needs a
        counter per input; or "or", a spike if any input spikes, which needs nothing but may send
        more spikes than the busiest input.
    schedule : "together", every layer fires while its input arrives; or "layers", each layer
        integrates for T steps and then fires for T steps. The second has no unevenness error: it
        is the network of T + 1 levels, exactly; its latency is T steps per layer.
    """

    max_pool: MaxPoolRule = "exact"
    schedule: Schedule = "together"


DEFAULT_RULES = Rules()


def checked_rules(max_pool: str, schedule: str) -> Rules:
    """The rules by name; refuses all that are unknown at once."""
    wrong = []
    if max_pool not in get_args(MaxPoolRule):
        wrong.append(f"max_pool = {max_pool!r} is not 'exact' or 'or'")
    if schedule not in get_args(Schedule):
        wrong.append(f"schedule = {schedule!r} is not 'together' or 'layers'")
    if wrong:
        raise OptionError("run the spiking network", reasons=wrong)
    return Rules(cast(MaxPoolRule, max_pool), cast(Schedule, schedule))


@dataclass(frozen=True, eq=False)
class Prepared:
    """Everything that a simulation of one partition needs besides the samples."""

    graph: ExecutableGraph
    plan: Plan
    synapses: Mapping[str, GridSynapse]
    populations: Mapping[str, Population]
    amplitudes: Mapping[str, Tensor]  # node -> value of one spike, (1, *shape) float64
    rules: Rules = DEFAULT_RULES


def prepare(
    graph: ExecutableGraph,
    plan: Plan,
    calibration: Calibration,
    weight_bits: int | None,
    rules: Rules = DEFAULT_RULES,
) -> Prepared:
    """Thresholds, spike amplitudes and grid weights of a partition."""
    amplitudes: dict[str, Tensor] = {}
    populations: dict[str, Population] = {}
    synapses: dict[str, GridSynapse] = {}
    for node in graph.nodes:
        if node.name in plan.spikes:
            amplitudes[node.name] = amplitude = _amplitude(node, amplitudes, calibration)
            if isinstance(node.spec, Rectify | AvgPool | Add):
                theta = per_neuron(amplitude, node.shape)
                populations[node.name] = Population(theta, theta / 2.0, np.zeros_like(theta))
        if isinstance(node.spec, Synapse) and node.spec.layer in plan.spiking:
            synapses[node.name] = on_grid(node.spec, amplitudes[node.inputs[0]], weight_bits)
    return Prepared(graph, plan, synapses, populations, amplitudes, rules)


def spike_amplitudes(
    graph: ExecutableGraph, plan: Plan, calibration: Calibration
) -> dict[str, Tensor]:
    """node -> value of one spike, (1, *shape), of all nodes that deliver spikes."""
    amplitudes: dict[str, Tensor] = {}
    for node in graph.nodes:
        if node.name in plan.spikes:
            amplitudes[node.name] = _amplitude(node, amplitudes, calibration)
    return amplitudes


def channel_shape(values: Tensor, dim: int, rank: int) -> Tensor:
    """(C,) values as (1, ..., C, ..., 1) of the given rank."""
    shape = [1] * rank
    shape[dim] = values.numel()
    return values.reshape(shape)


def _amplitude(node: Node, known: Mapping[str, Tensor], calibration: Calibration) -> Tensor:
    spec = node.spec
    match spec:
        case Rectify() | AvgPool() | Add():
            scale = calibration.scales[node.name]
            dim = calibration.channel_dims[node.name] if scale.numel() > 1 else 0
            theta = channel_shape(scale, dim, 1 + len(node.shape))
            return theta.expand(1, *node.shape)
        case MaxPool() | Route():
            moved: Tensor = spec.run(channels_last(known[node.inputs[0]]))
            return moved
        case Concat():
            return torch.cat([known[name] for name in node.inputs], dim=spec.dim)
        case _:
            raise ConversionError("send spikes", where=node.name, received=type(spec).__name__)


def input_channels(spec: Synapse, amplitude: Tensor) -> Tensor:
    """Amplitude per input channel or feature, (I,).

    Raises
    ------
    ConversionError
        If it varies within a channel: then it cannot be folded into shared weights.
    """
    if spec.kind == "linear":
        flat = amplitude.reshape(-1, amplitude.shape[-1]).t()
    else:
        flat = amplitude[0].reshape(amplitude.shape[1], -1)
    top = flat.amax(dim=1)
    # Positions that were padded with zeros never spike; their amplitude does not matter.
    if not bool(((flat == top.unsqueeze(1)) | (flat == 0)).all()):
        raise ConversionError(
            "fold the scale of spikes into weights",
            where=spec.layer,
            received="populations of different scales within one channel",
            fix="calibrate with granularity='layer' and keep this layer analog",
        )
    return top


def on_grid(spec: Synapse, amplitude: Tensor, weight_bits: int | None) -> GridSynapse:
    """``spec`` with the amplitude of its input spikes folded in, on an integer grid."""
    folded = with_input_scale(spec, spec.weight.double(), input_channels(spec, amplitude))
    rows = by_output(spec, folded)
    step = rows.abs().sum(dim=1) / EXACT
    if weight_bits is not None:
        step = torch.maximum(step, rows.abs().amax(dim=1) / (2 ** (weight_bits - 1) - 1))
    step = torch.where(step > 0, step, torch.ones_like(step))
    grid = from_output(spec, torch.round(rows / step.unsqueeze(1)), folded.shape)
    shape = (1, -1) + (1,) * len(spec.kernel) if spec.kind == "conv" else (1, -1)
    bias = torch.zeros_like(step) if spec.bias is None else spec.bias.double()
    weight32 = grid.float()
    return GridSynapse(spec, channels_last(weight32), step.reshape(shape), bias.reshape(shape))


def with_input_scale(spec: Synapse, weight: Tensor, scale: Tensor) -> Tensor:
    """``weight`` times ``scale`` (I,) of the input channel that each weight reads."""
    if spec.kind == "linear":
        return weight * scale
    if spec.transposed:
        return weight * scale.reshape(-1, *(1,) * (weight.dim() - 1))
    grouped = weight.reshape(spec.groups, -1, *weight.shape[1:])
    per_group = scale.reshape(spec.groups, 1, -1, *(1,) * (weight.dim() - 2))
    return (grouped * per_group).reshape(weight.shape)


def by_output(spec: Synapse, weight: Tensor) -> Tensor:
    """(O, fan-in) view of a weight tensor."""
    if not spec.transposed:
        return weight.reshape(weight.shape[0], -1)
    grouped = weight.reshape(spec.groups, -1, *weight.shape[1:])
    return grouped.movedim(2, 1).reshape(spec.out_channels, -1)


def from_output(spec: Synapse, rows: Tensor, shape: tuple[int, ...]) -> Tensor:
    if not spec.transposed:
        return rows.reshape(shape)
    inner = (spec.groups, shape[1], shape[0] // spec.groups, *shape[2:])
    return rows.reshape(inner).movedim(1, 2).reshape(shape)


def chunk_size(graph: ExecutableGraph, timesteps: int, budget: int) -> int:
    """Samples that are simulated together so that one sequence has about ``budget`` values."""
    largest = max((math.prod(node.shape) for node in graph.nodes if node.batched), default=1)
    return max(1, budget // (timesteps * max(1, largest)))
