"""The slow reference: dense, step by step, as the definition reads.

Sums of synapses are taken in float64 (int8 weights: of whole numbers, exactly) and rounded to
float32 once; scale, bias and neurons are float32 operations in the order of the records. So it
equals the kernels bit by bit wherever the sums are exact: int8 weights with spikes as inputs, and
float32 weights on a grid 2^-k.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tospike.kernels.spiking.record import (
    INPUT,
    Pool,
    Population,
    Reshape,
    SpikingNetwork,
    Sum,
    Synapses,
)
from tospike.kernels.spiking.shapes import padded

Floats = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Reference:
    """``values``: node -> (T, N, *shape), all outputs; ``operations``: synapses -> (T, N)."""

    values: Mapping[str, Floats]
    operations: Mapping[str, NDArray[np.int64]]


def run(network: SpikingNetwork, x: ArrayLike, timesteps: int) -> Reference:
    """All values of all nodes in T steps; x as in the engine."""
    inputs = np.asarray(x, np.float32)
    if network.constant_input:
        inputs = np.broadcast_to(inputs, (timesteps, *inputs.shape))
    samples = inputs.shape[1]
    potentials = {
        node.name: np.broadcast_to(_spread(node.initial, node), (samples, *node.shape)).copy()
        for node in network.nodes
        if isinstance(node, Population)
    }
    values: dict[str, list[Floats]] = {node.name: [] for node in network.nodes}
    operations: dict[str, list[NDArray[np.int64]]] = {
        node.name: [] for node in network.nodes if isinstance(node, Synapses)
    }
    for t in range(timesteps):
        now: dict[str, Floats] = {INPUT: inputs[t]}
        for node in network.nodes:
            given = [now[name] for name in node.inputs]
            if isinstance(node, Synapses):
                now[node.name] = synapses(node, given[0])
                operations[node.name].append(count_operations(node, given[0]))
            elif isinstance(node, Population):
                now[node.name] = step(node, potentials[node.name], given[0])
            elif isinstance(node, Pool):
                now[node.name] = pool(node, given[0])
            elif isinstance(node, Reshape):
                now[node.name] = given[0].reshape(samples, *node.out_shape)
            elif isinstance(node, Sum):
                total = np.zeros_like(given[0])
                for one in given:
                    total = total + one
                now[node.name] = total
            values[node.name].append(now[node.name])
    return Reference(
        {name: np.stack(steps) for name, steps in values.items()},
        {name: np.stack(steps) for name, steps in operations.items()},
    )


def _spread(values: NDArray[np.float32], node: Population) -> Floats:
    """A parameter of a population against (samples, *shape)."""
    array = np.asarray(values, np.float32)
    if array.ndim == 1:
        array = array.reshape(-1, *[1] * (len(node.shape) - 1))
    return array


def step(node: Population, v: Floats, current: Floats) -> Floats:
    """One step of the neurons: v is changed in place, the spikes are returned."""
    threshold, decay, gain = (_spread(p, node) for p in (node.threshold, node.decay, node.gain))
    before = v >= threshold
    if node.reset_delay and node.reset is not None:
        v[before] = np.float32(node.reset)
    v[:] = decay * v + gain * current
    if node.reset_delay and node.reset is None:
        v[:] = v - before * threshold
    spikes = v >= threshold
    if not node.reset_delay and node.reset is None:
        v[:] = v - spikes * threshold
    elif not node.reset_delay and node.reset is not None:
        v[spikes] = np.float32(node.reset)
    return spikes.astype(np.float32)


def _windows(
    x: NDArray[np.float64], kernel: tuple[int, ...], stride: tuple[int, ...],
    dilation: tuple[int, ...], out: tuple[int, ...],
) -> NDArray[np.float64]:  # fmt: skip
    """(N, C, *out, *kernel): what every output reads of the padded input (N, C, ...)."""
    gathered = x
    for axis in range(len(kernel)):
        at = np.arange(out[axis])[:, None] * stride[axis] + np.arange(kernel[axis]) * dilation[axis]
        # every axis becomes (out, kernel); those before have become two
        gathered = np.take(gathered, at, axis=2 + 2 * axis)
    rank = len(kernel)
    order = [0, 1, *range(2, 2 + 2 * rank, 2), *range(3, 3 + 2 * rank, 2)]
    return gathered.transpose(order)


def _pad(
    x: NDArray[np.float64], before: tuple[int, ...], size: tuple[int, ...], fill: float
) -> NDArray[np.float64]:
    """The input in the middle of an array of ``size`` full of ``fill``."""
    out = np.full((*x.shape[:2], *size), fill)
    inside = [slice(b, b + n) for b, n in zip(before, x.shape[2:], strict=True)]
    out[(slice(None), slice(None), *inside)] = x
    return out


def _taken(node: Synapses, x: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N, C, *out, *kernel) of a convolution."""
    rank = node.weight.ndim - 2
    kernel, out = node.weight.shape[2:], tuple(node.out_shape[1:])
    stride, padding = padded(node.stride, rank, 1), padded(node.padding, rank, 0)
    dilation = padded(node.dilation, rank, 1)
    size = tuple(
        max((out[k] - 1) * stride[k] + dilation[k] * (kernel[k] - 1) + 1, n + padding[k])
        for k, n in enumerate(x.shape[2:])
    )
    return _windows(_pad(x, padding, size, 0.0), kernel, stride, dilation, out)


def synapses(node: Synapses, x: Floats) -> Floats:
    """Currents (N, *out_shape): scale * sum + bias."""
    weight, wide = node.weight.astype(np.float64), x.astype(np.float64)
    if node.kind == "linear":
        sums = wide.reshape(len(x), -1) @ weight.T
    else:
        taken, groups = _taken(node, wide), node.groups
        rank = weight.ndim - 2
        outputs, inputs = len(weight) // groups, taken.shape[1] // groups
        parts = [
            np.tensordot(
                taken[:, g * inputs : (g + 1) * inputs],
                weight[g * outputs : (g + 1) * outputs],
                axes=([1, *range(2 + rank, 2 + 2 * rank)], [1, *range(2, 2 + rank)]),
            )
            for g in range(groups)
        ]
        sums = np.moveaxis(np.concatenate(parts, axis=-1), -1, 1)
    current = sums.astype(np.float32)
    shape = (-1, *[1] * (current.ndim - 2))
    if node.scale is not None:
        current = node.scale.reshape(shape) * current
    return current if node.bias is None else current + node.bias.reshape(shape)


def count_operations(node: Synapses, x: Floats) -> NDArray[np.int64]:
    """(N,): synapses that the inputs other than 0 reach, by looking at every synapse."""
    active = (x != 0).astype(np.float64)
    if node.kind == "linear":
        reached = active.reshape(len(x), -1).sum(axis=1) * len(node.weight)
        return np.asarray(reached, np.int64)
    outputs = len(node.weight) // node.groups
    per_sample = _taken(node, active).reshape(len(x), -1).sum(axis=1)
    return np.asarray(per_sample * outputs, np.int64)


def pool(node: Pool, x: Floats) -> Floats:
    """Maximum over the window, or sum over it / size of the kernel (padding counts as 0)."""
    rank = len(node.kernel)
    padding, out = padded(node.padding, rank, 0), tuple(node.out_shape[1:])
    size = tuple(
        max((out[k] - 1) * node.stride[k] + node.kernel[k], n + padding[k])
        for k, n in enumerate(x.shape[2:])
    )
    wide = _pad(x.astype(np.float64), padding, size, -np.inf if node.kind == "max" else 0.0)
    taken = _windows(wide, node.kernel, node.stride, (1,) * rank, out)
    axes = tuple(range(2 + rank, 2 + 2 * rank))
    if node.kind == "max":
        return np.asarray(taken.max(axis=axes), np.float32)
    total = np.asarray(taken.sum(axis=axes), np.float32)
    return np.asarray(total / np.float32(np.prod(node.kernel)), np.float32)
