"""What each operation of the graph computes, with torch functional calls."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from tospike.conversion.graph import (
    Add,
    Affine,
    AvgPool,
    Concat,
    Constant,
    Input,
    MaxPool,
    Node,
    Opaque,
    Rectify,
    Route,
    Synapse,
)
from tospike.conversion.qcfs import quantised

_CONV = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}
_CONV_TRANSPOSE = {1: F.conv_transpose1d, 2: F.conv_transpose2d, 3: F.conv_transpose3d}


def synapse(spec: Synapse, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Apply the synapses of ``spec`` with the given weight and bias to ``x`` (N, ...)."""
    if spec.kind == "linear":
        return F.linear(x, weight, bias)
    rank = len(spec.kernel)
    if spec.transposed:
        return transposed(spec, x, weight, bias)
    if all(low_ == high for low_, high in spec.padding):
        padding = tuple(pad[0] for pad in spec.padding)
    else:
        x = F.pad(x, [side for pad in reversed(spec.padding) for side in pad])
        padding = (0,) * rank
    z: Tensor = _CONV[rank](x, weight, bias, spec.stride, padding, spec.dilation, spec.groups)
    return z


def transposed(spec: Synapse, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """A transposed convolution; ONNX allows a different crop on each side."""
    rank = len(spec.kernel)
    run = _CONV_TRANSPOSE[rank]
    if all(low == high for low, high in spec.padding):
        padding = tuple(low for low, _ in spec.padding)
        y: Tensor = run(
            x, weight, bias, spec.stride, padding, spec.output_padding, spec.groups, spec.dilation
        )
        return y
    whole: Tensor = run(x, weight, None, spec.stride, 0, 0, spec.groups, spec.dilation)
    for axis, (low, high) in enumerate(spec.padding):
        extra = spec.output_padding[axis] if spec.output_padding else 0
        length = whole.shape[2 + axis] + extra - low - high
        missing = max(0, low + length - whole.shape[2 + axis])
        if missing:
            sides = [0] * (2 * (rank - axis))
            sides[-1] = missing
            whole = F.pad(whole, sides)
        whole = whole.narrow(2 + axis, low, length)
    return whole if bias is None else whole + bias.reshape(1, -1, *(1,) * rank)


def cast(value: Any, dtype: torch.dtype) -> Any:
    """Floating tensors of ``value`` (a tensor, a tuple of tensors, or a number) in ``dtype``."""
    if isinstance(value, Tensor):
        return value.to(dtype) if value.is_floating_point() else value
    if isinstance(value, tuple | list):
        return type(value)(cast(item, dtype) for item in value)
    return value


def analog(node: Node, values: list[Any], native: torch.dtype) -> Any:
    """The value of ``node`` for analog input values.

    Typed operations run in the dtype of their input. Opaque functions run in ``native``, the
    dtype that the network was written for, because they may hold constants of that dtype.
    """
    spec = node.spec
    match spec:
        case Synapse():
            dtype = values[0].dtype
            bias = None if spec.bias is None else spec.bias.to(dtype)
            return synapse(spec, values[0], spec.weight.to(dtype), bias)
        case Affine():
            return values[0] * spec.scale.to(values[0].dtype) + spec.shift.to(values[0].dtype)
        case Rectify(upper=upper, levels=levels):
            return quantised(values[0], upper, levels) if levels else values[0].clamp(0.0, upper)
        case MaxPool() | AvgPool() | Route():
            return spec.run(values[0])
        case Concat():
            return torch.cat(values, dim=spec.dim)
        case Add():
            return values[0] + values[1]
        case Constant():
            return spec.value
        case Opaque():
            wide = next((v.dtype for v in values if _is_float(v)), native)
            result = spec.run(*[cast(value, native) for value in values])
            return cast(result, wide)
        case Input():
            raise AssertionError("the input has a value from the start")


def _is_float(value: Any) -> bool:
    return isinstance(value, Tensor) and value.is_floating_point()
