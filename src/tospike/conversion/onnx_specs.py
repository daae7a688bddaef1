"""ONNX operators that spiking execution must understand, as typed operations.

A function returns (operation, inputs), (None, (node,)) for "the same value", or None for
"treat it as opaque". ``run`` computes the operator from its only unknown input.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from tospike.conversion.graph import (
    Add,
    Affine,
    AvgPool,
    Concat,
    MaxPool,
    Rectify,
    Route,
    Spec,
    Synapse,
)
from tospike.conversion.onnx_functions import Call, bounds, sides

if TYPE_CHECKING:
    from tospike.conversion.from_onnx import OnnxBuilder

Run = Callable[[Tensor], Any]
Typed = tuple[Spec | None, tuple[str, ...]] | None
SpecFunction = Callable[["OnnxBuilder", Any, Call, str, Run | None], Typed]


def conv(builder: OnnxBuilder, node: Any, call: Call, name: str, run: Run | None) -> Typed:
    """Conv and ConvTranspose with known weights."""
    weight, bias = call.at(1), call.at(2)
    if run is None or not isinstance(weight, Tensor) or isinstance(bias, str):
        return None
    source = builder.as_node(node.input[0])
    shape = builder.sample_shape(source)
    transposed = node.op_type == "ConvTranspose"
    if shape is None or (transposed and call.get("output_shape") is not None):
        return None
    if transposed and call.get("auto_pad", b"NOTSET") not in (b"NOTSET", b"VALID"):
        return None
    rank = weight.dim() - 2
    spec = Synapse(
        name,
        "conv",
        weight,
        bias,
        tuple(call.get("strides", [1] * rank)),
        tuple(sides(call, tuple(weight.shape[2:]), shape[1:])),
        tuple(call.get("dilations", [1] * rank)),
        int(call.get("group", 1)),
        transposed,
        tuple(call.get("output_padding", [0] * rank)) if transposed else (),
    )
    return spec, (source,)


def gemm(builder: OnnxBuilder, node: Any, call: Call, name: str, run: Run | None) -> Typed:
    """alpha x B' + beta C with known B and C."""
    weight, bias = call.at(1), call.at(2)
    if run is None or not isinstance(weight, Tensor) or call.get("transA", 0):
        return None
    weight = weight if call.get("transB", 0) else weight.t()
    weight = float(call.get("alpha", 1.0)) * weight
    if isinstance(bias, Tensor):
        bias = float(call.get("beta", 1.0)) * bias
        if bias.numel() not in (1, weight.shape[0]):
            return None
        bias = bias.reshape(-1).expand(weight.shape[0]).contiguous()
    source = builder.as_node(node.input[0])
    return Synapse(name, "linear", weight.contiguous(), bias), (source,)


def matmul(builder: OnnxBuilder, node: Any, call: Call, name: str, run: Run | None) -> Typed:
    """x B with a known matrix B."""
    weight = call.at(1)
    if run is None or not isinstance(weight, Tensor) or weight.dim() != 2:
        return None
    source = builder.as_node(node.input[0])
    return Synapse(name, "linear", weight.t().contiguous(), None), (source,)


def batch_norm(builder: OnnxBuilder, node: Any, call: Call, name: str, run: Run | None) -> Typed:
    """BatchNormalization with known statistics."""
    if run is None:
        return None
    gamma, beta, mean, var = (value.double() for value in call.values[1:5])
    scale = gamma * torch.rsqrt(var + float(call.get("epsilon", 1e-5)))
    source = builder.as_node(node.input[0])
    shape = builder.sample_shape(source)
    if shape is None:
        return None
    form = (-1,) + (1,) * (len(shape) - 1)
    return Affine(scale.reshape(form), (beta - mean * scale).reshape(form)), (source,)


def rectify(builder: OnnxBuilder, node: Any, call: Call, name: str, run: Run | None) -> Typed:
    """Relu, and Clip with a lower bound of exactly 0."""
    if run is None:
        return None
    low, high = (0.0, math.inf) if node.op_type == "Relu" else bounds(call)
    if low != 0.0 or high <= 0.0:
        return None
    return Rectify(high), (builder.as_node(node.input[0]),)


def binary(builder: OnnxBuilder, node: Any, call: Call, name: str, run: Run | None) -> Typed:
    """Add of two values; Add, Sub, Mul, Div with a known tensor."""
    kind = node.op_type
    a, b = call.values[:2]
    if isinstance(a, str) and isinstance(b, str):
        same = builder.sample_shape(a) is not None
        same = same and builder.sample_shape(a) == builder.sample_shape(b)
        return (Add(), (a, b)) if kind == "Add" and same else None
    if isinstance(b, str) and kind in ("Sub", "Div"):
        return None
    source, c = (a, b) if isinstance(a, str) else (b, a)
    shape = builder.sample_shape(source)
    if shape is None or not c.is_floating_point() or c.dim() > len(shape) + 1:
        return None
    if c.dim() == len(shape) + 1:
        if c.shape[0] != 1:
            return None
        c = c[0]
    if any(n not in (1, m) for n, m in zip(c.shape[::-1], shape[::-1], strict=False)):
        return None
    c = c.double()
    one, zero = torch.ones((), dtype=torch.float64), torch.zeros((), dtype=torch.float64)
    spec = {
        "Add": lambda: Affine(one, c),
        "Sub": lambda: Affine(one, -c),
        "Mul": lambda: Affine(c, zero),
        "Div": lambda: Affine(1.0 / c, zero),
    }[kind]()
    return spec, (source,)


def pool(builder: OnnxBuilder, node: Any, call: Call, name: str, run: Run | None) -> Typed:
    """Pools, and means over dimensions of a sample."""
    source = builder.as_node(node.input[0])
    shape = builder.sample_shape(source)
    if run is None or shape is None or len(node.output) > 1:
        return None
    if node.op_type in ("MaxPool", "GlobalMaxPool"):
        return MaxPool(run), (source,)
    if node.op_type == "ReduceMean":
        axes = call.numbers(1, "axes")
        if not axes or any(axis % (len(shape) + 1) == 0 for axis in axes):
            return None
    return AvgPool(run), (source,)


def _reshape(shape: tuple[int, ...], x: Tensor) -> Tensor:
    return x.reshape(x.shape[0], *shape)


def reshape(builder: OnnxBuilder, node: Any, call: Call, name: str, run: Run | None) -> Typed:
    """Reshape, Flatten, Squeeze, Unsqueeze that keep samples apart."""
    if not isinstance(call.values[0], str):
        return None
    source = call.values[0]
    before = builder.sample_shape(source)
    after = _result_shape(builder, call, node)
    if before is None or after is None or math.prod(before) != math.prod(after):
        return None
    return Route(partial(_reshape, after)), (source,)


def _result_shape(builder: OnnxBuilder, call: Call, node: Any) -> tuple[int, ...] | None:
    """Shape of one sample of the result, from the two example runs."""
    from tospike.conversion.onnx_functions import FUNCTIONS

    shapes = []
    for i in range(2):
        values = [builder.seen[v][i] if isinstance(v, str) else v for v in call.values]
        inner = Call(call.attributes, values, call.opset, call.file_batch, call.n_outputs)
        shapes.append(tuple(FUNCTIONS[node.op_type](inner).shape))
    two, three = shapes
    if not two or (two[0], three[0]) != (2, 3) or two[1:] != three[1:]:
        return None
    return two[1:]


def route(builder: OnnxBuilder, node: Any, call: Call, name: str, run: Run | None) -> Typed:
    """Transpose, Slice, Split, Pad with zeros, Resize inside a sample."""
    if run is None or not isinstance(call.values[0], str):
        return None
    source = call.values[0]
    shape = builder.sample_shape(source)
    if shape is None:
        return None
    rank = len(shape) + 1
    if not _inside_sample(node.op_type, call, rank):
        return None
    return Route(run), (source,)


def _inside_sample(kind: str, call: Call, rank: int) -> bool:
    """True if the operator leaves the batch dimension alone and adds no value but 0."""
    if kind == "Transpose":
        perm = call.get("perm", list(range(rank))[::-1])
        return int(perm[0]) == 0
    if kind == "Slice":
        axes = call.numbers(3, "axes") or list(range(len(call.numbers(1, "starts") or [])))
        return all(axis % rank != 0 for axis in axes)
    if kind == "Split":
        return int(call.get("axis", 0)) % rank != 0
    if kind == "Pad":
        fill = call.at(2)
        value = float(fill) if fill is not None else float(call.get("value", 0.0))
        constant = call.get("mode", b"constant") == b"constant"
        amount = call.numbers(1, "pads") or []
        axes = call.numbers(3, "axes") or list(range(rank))
        touched = [axis % rank for i, axis in enumerate(axes) if amount[i] or amount[i + len(axes)]]
        return 0 not in touched and (not constant or value == 0.0)
    return True


def concat(builder: OnnxBuilder, node: Any, call: Call, name: str, run: Run | None) -> Typed:
    """Concat inside a sample."""
    if not all(isinstance(value, str) for value in call.values):
        return None
    shapes = [builder.sample_shape(value) for value in call.values]
    if any(shape is None for shape in shapes) or shapes[0] is None:
        return None
    dim = int(call.get("axis")) % (len(shapes[0]) + 1)
    return (Concat(dim), tuple(call.values)) if dim else None


def same(builder: OnnxBuilder, node: Any, call: Call, name: str, run: Run | None) -> Typed:
    """Identity and Dropout at inference."""
    return None, (builder.as_node(node.input[0]),)


SPECS: dict[str, SpecFunction] = {
    **dict.fromkeys(("Conv", "ConvTranspose"), conv),
    "Gemm": gemm,
    "MatMul": matmul,
    "BatchNormalization": batch_norm,
    **dict.fromkeys(("Relu", "Clip"), rectify),
    **dict.fromkeys(("Add", "Sub", "Mul", "Div"), binary),
    **dict.fromkeys(
        ("MaxPool", "GlobalMaxPool", "AveragePool", "GlobalAveragePool", "ReduceMean"), pool
    ),
    **dict.fromkeys(("Reshape", "Flatten", "Squeeze", "Unsqueeze"), reshape),
    **dict.fromkeys(("Transpose", "Slice", "Split", "Pad", "Resize", "Upsample"), route),
    "Concat": concat,
    **dict.fromkeys(("Identity", "Dropout"), same),
}

#: operators with synapses that may stay opaque
SYNAPTIC = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul"})
