"""Is a ``SpikingNetwork`` sound? All reasons at once if it is not."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeVar

import numpy as np

from tospike.errors import ModelError
from tospike.kernels.spiking.record import (
    INPUT,
    Node,
    Pool,
    Population,
    Reshape,
    SpikingNetwork,
    Sum,
    Synapses,
)

Number = TypeVar("Number", int, float)

#: integers up to here are exact in float32
EXACT_LIMIT = 2**24


def padded(values: Sequence[int], rank: int, default: int) -> tuple[int, ...]:
    """Strides and the like: one per axis, the default where none are given."""
    return tuple(int(v) for v in values) or (default,) * rank


def windows(size: int, kernel: int, stride: int, padding: int, dilation: int = 1) -> int:
    """Outputs of a convolution or pool along one axis, rounded down."""
    return (size + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1


def check(network: SpikingNetwork) -> None:
    """Raises :class:`~tospike.errors.ModelError` with every reason."""
    shapes: dict[str, tuple[int, ...]] = {INPUT: tuple(network.input_shape)}
    names = {node.name for node in network.nodes}
    reasons = []
    if not network.nodes:
        reasons.append("there is no node")
    if not network.input_shape or min(network.input_shape) < 1:
        reasons.append(f"input_shape is {network.input_shape}; sizes must be at least 1")
    for node in network.nodes:
        if node.name in shapes:
            reasons.append(f"{node.name}: the name occurs twice")
        for name in node.inputs:
            if name in shapes:
                continue
            later = "stands later in the order" if name in names else "is no node"
            reasons.append(f"{node.name}: its input {name!r} {later}")
        several = isinstance(node, Sum)
        if not node.inputs or (len(node.inputs) > 1 and not several):
            wanted = "at least one input" if several else "one input; use a Sum for more"
            reasons.append(f"{node.name}: {len(node.inputs)} inputs; it takes {wanted}")
        given = [shapes[name] for name in node.inputs if name in shapes]
        reasons += [f"{node.name}: {fault}" for fault in _faults(node, given)]
        shapes[node.name] = tuple(node.shape if isinstance(node, Population) else node.out_shape)
    if reasons:
        raise ModelError("run the spiking network", reasons=reasons)


def _faults(node: Node, given: list[tuple[int, ...]]) -> list[str]:
    if isinstance(node, Synapses):
        return _synapse_faults(node, given)
    if isinstance(node, Population):
        return _population_faults(node, given)
    if isinstance(node, Pool):
        return _pool_faults(node, given)
    if isinstance(node, Reshape):
        return [
            f"{shape} has {math.prod(shape)} values, out_shape {node.out_shape} has "
            f"{math.prod(node.out_shape)}"
            for shape in given
            if math.prod(shape) != math.prod(node.out_shape)
        ]
    return [
        f"an input has shape {shape}, out_shape is {node.out_shape}"
        for shape in given
        if shape != tuple(node.out_shape)
    ]


def _numbers_faults(name: str, values: np.ndarray | None, shape: tuple[int, ...]) -> list[str]:
    if values is None:
        return []
    if values.shape != shape:
        return [f"{name} has shape {values.shape}, not {shape}"]
    return [] if np.isfinite(values).all() else [f"{name} has values that are not finite"]


def _synapse_faults(node: Synapses, given: list[tuple[int, ...]]) -> list[str]:
    weight = node.weight
    faults = []
    if weight.dtype == np.int8:
        if node.scale is None:
            faults.append("int8 weights need a scale")
        total = np.abs(weight.astype(np.int64)).reshape(len(weight), -1).sum(axis=1).max()
        if total >= EXACT_LIMIT:
            faults.append(f"sums up to {total} are not exact in float32 (limit {EXACT_LIMIT})")
    elif weight.dtype != np.float32:
        faults.append(f"weights are {weight.dtype}; float32 and int8 are known")
    elif not np.isfinite(weight).all():
        faults.append("weights are not finite")
    if weight.dtype == np.float32 and node.scale is not None:
        faults.append("float32 weights take no scale")
    faults += _numbers_faults("bias", node.bias, (len(weight),))
    faults += _numbers_faults("scale", node.scale, (len(weight),))
    if node.kind == "linear":
        return faults + _linear_faults(node, given)
    if node.kind != "conv":
        return [*faults, f"kind is {node.kind!r}; it must be conv or linear"]
    faults += [
        f"its input has shape {shape}, in_shape is {node.in_shape}"
        for shape in given
        if shape != tuple(node.in_shape)
    ]
    return faults + _conv_faults(node)


def _linear_faults(node: Synapses, given: list[tuple[int, ...]]) -> list[str]:
    weight = node.weight
    if weight.ndim != 2:
        return [f"linear weights have shape {weight.shape}; they need two axes"]
    faults = [
        f"its input has {math.prod(shape)} values, the weights take {weight.shape[1]}"
        for shape in [*given, tuple(node.in_shape)]
        if math.prod(shape) != weight.shape[1]
    ]
    if tuple(node.out_shape) != (len(weight),):
        faults.append(f"out_shape is {node.out_shape}, the weights give ({len(weight)},)")
    return faults


def _conv_faults(node: Synapses) -> list[str]:
    weight, rank = node.weight, node.weight.ndim - 2
    if rank not in (1, 2) or len(node.in_shape) != rank + 1:
        return [
            f"weights of shape {weight.shape} with in_shape {node.in_shape}; convolutions are "
            "1-d (out, in, k) on (C, L) or 2-d (out, in, k, k) on (C, H, W)"
        ]
    stride, padding = padded(node.stride, rank, 1), padded(node.padding, rank, 0)
    dilation, groups = padded(node.dilation, rank, 1), node.groups
    sizes = {"stride": stride, "padding": padding, "dilation": dilation}
    faults = [
        f"{name} is {values}; it needs {rank} numbers"
        for name, values in sizes.items()
        if len(values) != rank
    ]
    if faults:
        return faults
    if min(stride) < 1 or min(dilation) < 1 or min(padding) < 0:
        faults.append("strides and dilations are at least 1, paddings at least 0")
    if groups < 1 or len(weight) % groups or node.in_shape[0] != weight.shape[1] * groups:
        faults.append(
            f"{groups} groups, {node.in_shape[0]} inputs and weights of shape {weight.shape} "
            "do not fit"
        )
    if faults:
        return faults
    wanted = (
        len(weight),
        *(
            windows(node.in_shape[1 + k], weight.shape[2 + k], stride[k], padding[k], dilation[k])
            for k in range(rank)
        ),
    )
    if min(wanted) < 1:
        return ["the kernel is larger than the padded input"]
    if tuple(node.out_shape) != wanted:
        return [f"out_shape is {node.out_shape}, the convolution gives {wanted}"]
    return []


def _population_faults(node: Population, given: list[tuple[int, ...]]) -> list[str]:
    shape = tuple(node.shape)
    faults = [f"its input has shape {one}, shape is {shape}" for one in given if one != shape]
    for name in ("threshold", "decay", "gain", "initial"):
        values = np.asarray(getattr(node, name))
        if values.shape not in ((), shape[:1], shape):
            faults.append(f"{name} has shape {values.shape}; () or {shape[:1]} or {shape} fit")
        elif not np.isfinite(values).all():
            faults.append(f"{name} has values that are not finite")
        elif name == "threshold" and values.min() <= 0:
            faults.append("a threshold is not above 0")
    if node.reset_delay not in (0, 1):
        faults.append(f"reset_delay is {node.reset_delay}; it must be 0 or 1")
    if node.reset is not None and not math.isfinite(node.reset):
        faults.append(f"reset is {node.reset}")
    return faults


def _pool_faults(node: Pool, given: list[tuple[int, ...]]) -> list[str]:
    rank = len(node.in_shape) - 1
    faults = [
        f"its input has shape {shape}, in_shape is {node.in_shape}"
        for shape in given
        if shape != tuple(node.in_shape)
    ]
    if node.kind not in ("max", "avg"):
        faults.append(f"kind is {node.kind!r}; it must be max or avg")
    padding = padded(node.padding, rank, 0)
    if rank not in (1, 2) or {len(node.kernel), len(node.stride), len(padding)} != {rank}:
        return [*faults, f"pools are 1-d or 2-d; in_shape is {node.in_shape}"]
    if min(node.kernel) < 1 or min(node.stride) < 1:
        return [*faults, "kernel and stride are at least 1"]
    if any(not 0 <= 2 * p <= k for p, k in zip(padding, node.kernel, strict=True)):
        faults.append("padding is at most half the kernel")
    floor = tuple(
        windows(node.in_shape[1 + k], node.kernel[k], node.stride[k], padding[k])
        for k in range(rank)
    )
    inside = all(
        low <= size <= low + 1 and (size - 1) * node.stride[k] < node.in_shape[1 + k] + padding[k]
        for k, (low, size) in enumerate(zip(floor, node.out_shape[1:], strict=False))
    )
    rounded_up = tuple(node.out_shape[1:]) != floor
    if len(node.out_shape) != rank + 1 or node.out_shape[0] != node.in_shape[0] or not inside:
        faults.append(f"out_shape is {node.out_shape}, the pool gives {(node.in_shape[0], *floor)}")
    elif rounded_up and node.kind == "avg":
        faults.append("average pools with a window cut off at the far end are not known")
    elif min(node.out_shape) < 1:
        faults.append("the kernel is larger than the padded input")
    return faults
