"""Dense simulation of a ``SpikingNetwork`` in float64: which spikes all tools have to send."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from tospike.kernels.spiking.record import (
    INPUT,
    Pool,
    Population,
    Reshape,
    SpikingNetwork,
    Sum,
    Synapses,
)

Floats = NDArray[np.float64]
Choose = Callable[[Population, NDArray[np.float32]], Population]
_CONV = {1: F.conv1d, 2: F.conv2d}
_MAX = {1: F.max_pool1d, 2: F.max_pool2d}
_AVG = {1: F.avg_pool1d, 2: F.avg_pool2d}


@dataclass(frozen=True, eq=False)
class Trace:
    """spikes : population -> (T, N, *shape) of 0 and 1. outputs : (N, ...), the sum over T."""

    spikes: dict[str, NDArray[np.uint8]]
    outputs: Floats


def simulate(
    network: SpikingNetwork,
    inputs: NDArray[np.float32],
    timesteps: int,
    *,
    choose: Choose | None = None,
) -> Trace:
    """Run ``network`` on ``inputs``, (N, ...) if constant over time, else (T, N, ...).

    ``choose`` may replace a population when its currents, (T, N, ...) or (1, N, ...) where they
    are constant, are known. Works on chains, branches and sums.
    """
    x = torch.from_numpy(np.ascontiguousarray(inputs, np.float64))
    values: dict[str, Tensor] = {INPUT: x[None] if network.constant_input else x}
    spikes: dict[str, NDArray[np.uint8]] = {}
    with torch.inference_mode():
        for node in network.nodes:
            parts = [values[name] for name in node.inputs]
            match node:
                case Population():
                    current = _sum(parts)
                    chosen = node if choose is None else choose(node, current.float().numpy())
                    values[node.name] = fire(chosen, current, timesteps)
                    spikes[node.name] = values[node.name].to(torch.uint8).numpy()
                case Sum():
                    values[node.name] = _sum(parts)
                case _:
                    values[node.name] = _folded(node, parts[0])
    last = values[network.nodes[-1].name]
    total = last.sum(dim=0) if len(last) > 1 else last[0] * timesteps
    return Trace(spikes, total.numpy())


def _sum(parts: list[Tensor]) -> Tensor:
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    return total


def _folded(node: Synapses | Pool | Reshape, value: Tensor) -> Tensor:
    """A layer without state, with time folded into the batch."""
    steps, samples = value.shape[:2]
    out = without_state(node, value.flatten(0, 1), torch.float64)
    return out.unflatten(0, (steps, samples))


def without_state(node: Synapses | Pool | Reshape, x: Tensor, dtype: torch.dtype) -> Tensor:
    """Synapses, a pool or a view, on (N, ...)."""
    match node:
        case Synapses():
            weight = torch.from_numpy(real_weight(node)).to(dtype)
            bias = None if node.bias is None else torch.from_numpy(node.bias).to(dtype)
            if node.kind == "linear":
                return F.linear(x, weight, bias)
            run = _CONV[len(node.stride)]
            out: Tensor = run(
                x, weight, bias, node.stride, node.padding, node.dilation, node.groups
            )
            return out
        case Pool():
            padding = node.padding or (0,) * len(node.kernel)
            pool = (_MAX if node.kind == "max" else _AVG)[len(node.kernel)]
            pooled: Tensor = pool(x, node.kernel, node.stride, padding)
            return pooled
        case Reshape():
            return x.reshape(len(x), *node.out_shape)


def real_weight(node: Synapses) -> NDArray[np.float32]:
    """Weights in float32, with the scale of int8 weights applied."""
    weight = node.weight.astype(np.float32)
    if node.scale is not None:
        weight *= node.scale.reshape(-1, *(1,) * (weight.ndim - 1))
    return weight


def fire(population: Population, current: Tensor, timesteps: int) -> Tensor:
    """Spikes (T, N, ...) for currents (T, N, ...) or (1, N, ...)."""
    shape = current.shape[1:]
    theta, decay, gain = (
        per_neuron(value, shape[1:])
        for value in (population.threshold, population.decay, population.gain)
    )
    v = per_neuron(population.initial, shape[1:]).expand(shape).clone()
    out = torch.empty(timesteps, *shape, dtype=torch.float64)
    late = torch.zeros(shape, dtype=torch.bool)
    for t in range(timesteps):
        if population.reset_delay:
            v = _reset(population, v, late, theta)
        v = decay * v + gain * current[t if len(current) > 1 else 0]
        late = v >= theta
        out[t] = late
        if not population.reset_delay:
            v = _reset(population, v, late, theta)
    return out


def _reset(population: Population, v: Tensor, fired: Tensor, theta: Tensor) -> Tensor:
    if population.reset is None:
        return v - theta * fired
    return torch.where(fired, torch.tensor(population.reset, dtype=v.dtype), v)


def per_neuron(value: NDArray[np.float32], shape: tuple[int, ...]) -> Tensor:
    """A scalar, values per channel or per neuron, so that they broadcast over (N, *shape)."""
    wide = torch.from_numpy(np.asarray(value, np.float64))
    if wide.dim() == 1 and len(shape) > 1 and wide.shape != shape:
        return wide.reshape(-1, *(1,) * (len(shape) - 1))
    return wide
