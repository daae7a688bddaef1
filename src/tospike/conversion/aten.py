"""One handler per ATen operation that spiking execution must understand.

A handler returns ``Made`` (a typed operation and its graph inputs) or None: "treat it as opaque".
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, fx

from tospike.conversion.aten_moves import (
    along_dimension,
    argument,
    concat,
    pad,
    permute,
    reshape,
    same_value,
    spatial_route,
    unary,
)
from tospike.conversion.graph import (
    Add,
    Affine,
    AvgPool,
    MaxPool,
    Rectify,
    Route,
    Synapse,
)
from tospike.conversion.tracing import Builder, Known, Made, module_path, operation, sample_shape
from tospike.network.importers.torch_provenance import layer_name_of

Handler = Callable[[Builder, fx.Node], Made | None]


def known(builder: Builder, value: Any) -> Tensor | None:
    """The tensor of an argument that does not depend on the network's input, or None."""
    if isinstance(value, fx.Node):
        held = builder.values[value]
        if isinstance(held, Known) and isinstance(held.value, Tensor):
            return held.value
    return None


def layer_name(builder: Builder, node: fx.Node, weight: Any) -> str:
    """Name of the layer that owns ``weight``: its module for "weight", else the parameter."""
    held = builder.values.get(weight)
    fqn = held.fqn if isinstance(held, Known) else ""
    if not fqn:
        return product_name(builder, node)
    return layer_name_of(fqn)


def product_name(builder: Builder, node: fx.Node, op: str = "") -> str:
    """ "<module path>.<op>", numbered from the second one in the same module."""
    path = module_path(node)
    base = f"{path}.{op or operation(node)}" if path else op or operation(node)
    count = builder.used_layers.get(base, 0)
    builder.used_layers[base] = count + 1
    return base if count == 0 else f"{base}_{count}"


def pairs(value: Any, rank: int) -> tuple[int, ...]:
    """An int or list argument as a tuple of ``rank`` ints."""
    if isinstance(value, int):
        return (value,) * rank
    values = tuple(int(v) for v in value)
    return values * rank if len(values) == 1 else values


def convolution(builder: Builder, node: fx.Node) -> Made | None:
    """conv1d/2d/3d, with numeric or "same"/"valid" padding."""
    weight = known(builder, node.args[1])
    if weight is None:
        return None
    rank = weight.dim() - 2
    stride = pairs(argument(node, 3, "stride", 1), rank)
    padding = argument(node, 4, "padding", 0)
    dilation = pairs(argument(node, 5, "dilation", 1), rank)
    if isinstance(padding, str):
        total = [
            d * (k - 1) if padding == "same" else 0
            for d, k in zip(dilation, weight.shape[2:], strict=True)
        ]
        sides = tuple((t // 2, t - t // 2) for t in total)
    else:
        sides = tuple((p, p) for p in pairs(padding, rank))
    return Made(
        Synapse(
            layer_name(builder, node, node.args[1]),
            "conv",
            weight,
            known(builder, argument(node, 2, "bias")),
            stride,
            sides,
            dilation,
            int(argument(node, 6, "groups", 1)),
        ),
        (builder.as_node(node.all_input_nodes[0]),),
    )


def general_convolution(builder: Builder, node: fx.Node) -> Made | None:
    """aten.convolution: (x, w, b, stride, padding, dilation, transposed, output_padding, g)."""
    return _convolution(builder, node, (3, 4, 5, 6, 7, 8))


def transposed_convolution(builder: Builder, node: fx.Node) -> Made | None:
    """conv_transpose{1,2,3}d: (x, w, b, stride, padding, output_padding, groups, dilation)."""
    return _convolution(builder, node, (3, 4, 7, None, 5, 6))


def _convolution(
    builder: Builder, node: fx.Node, places: tuple[int, int, int, int | None, int, int]
) -> Made | None:
    weight = known(builder, node.args[1])
    if weight is None:
        return None
    rank = weight.dim() - 2
    at_stride, at_padding, at_dilation, at_transposed, at_output, at_groups = places
    padding = pairs(argument(node, at_padding, "padding", 0), rank)
    transposed = True if at_transposed is None else bool(node.args[at_transposed])
    return Made(
        Synapse(
            layer_name(builder, node, node.args[1]),
            "conv",
            weight,
            known(builder, argument(node, 2, "bias")),
            pairs(argument(node, at_stride, "stride", 1), rank),
            tuple((p, p) for p in padding),
            pairs(argument(node, at_dilation, "dilation", 1), rank),
            int(argument(node, at_groups, "groups", 1)),
            transposed,
            pairs(argument(node, at_output, "output_padding", 0), rank),
        ),
        (builder.as_node(node.all_input_nodes[0]),),
    )


def linear(builder: Builder, node: fx.Node) -> Made | None:
    """F.linear(x, w, b)"""
    weight = known(builder, node.args[1])
    if weight is None or weight.dim() != 2 or not isinstance(node.args[0], fx.Node):
        return None
    name = layer_name(builder, node, node.args[1])
    bias = known(builder, argument(node, 2, "bias"))
    return Made(Synapse(name, "linear", weight, bias), (builder.as_node(node.args[0]),))


def matmul(builder: Builder, node: fx.Node) -> Made | None:
    """x @ w with a known matrix w (in, out); other products are opaque."""
    weight = known(builder, node.args[1])
    if weight is None or weight.dim() != 2 or not isinstance(node.args[0], fx.Node):
        return None
    name = layer_name(builder, node, node.args[1])
    return Made(
        Synapse(name, "linear", weight.t().contiguous(), None), (builder.as_node(node.args[0]),)
    )


def addmm(builder: Builder, node: fx.Node) -> Made | None:
    """b + x @ w with known w and b."""
    bias, weight = known(builder, node.args[0]), known(builder, node.args[2])
    if weight is None or bias is None or node.kwargs or not isinstance(node.args[1], fx.Node):
        return None
    name = layer_name(builder, node, node.args[2])
    bias = bias.expand(weight.shape[1]).contiguous() if bias.dim() < 2 else None
    if bias is None:
        return None
    return Made(
        Synapse(name, "linear", weight.t().contiguous(), bias), (builder.as_node(node.args[1]),)
    )


def batch_norm(builder: Builder, node: fx.Node) -> Made | None:
    """Inference batch norm as a per-channel affine function."""
    training_form = operation(node) == "batch_norm"
    if training_form and bool(node.args[5]):
        return None
    eps = float(node.args[7] if training_form else node.args[6])  # type: ignore[arg-type]
    gamma, beta, mean, var = (known(builder, arg) for arg in node.args[1:5])
    if mean is None or var is None or not isinstance(node.args[0], fx.Node):
        return None
    scale = torch.rsqrt(var.double() + eps)
    if gamma is not None:
        scale = scale * gamma.double()
    shift = -mean.double() * scale
    if beta is not None:
        shift = shift + beta.double()
    trailing = node.args[0].meta["val"].dim() - 2
    shape = (-1,) + (1,) * trailing
    return Made(
        Affine(scale.reshape(shape), shift.reshape(shape)), (builder.as_node(node.args[0]),)
    )


def relu(builder: Builder, node: fx.Node) -> Made | None:
    """ReLU, ReLU6"""
    upper = 6.0 if operation(node) == "relu6" else math.inf
    return Made(Rectify(upper), (builder.as_node(node.all_input_nodes[0]),))


def qcfs(builder: Builder, node: fx.Node) -> Made | None:
    """tospike::qcfs(x, threshold, levels), as the module QCFS is exported."""
    threshold = known(builder, node.args[1])
    levels = node.args[2]
    if threshold is None or not isinstance(levels, int):
        return None
    return Made(Rectify(float(threshold), levels), (builder.as_node(node.all_input_nodes[0]),))


def clamp(builder: Builder, node: fx.Node) -> Made | None:
    """clamp, clamp_min, hardtanh with a lower bound of exactly 0."""
    low = argument(node, 1, "min", -1.0 if operation(node) == "hardtanh" else None)
    high = None
    if operation(node) != "clamp_min":
        high = argument(node, 2, "max", 1.0 if operation(node) == "hardtanh" else None)
    if not isinstance(low, int | float) or low != 0 or isinstance(high, fx.Node):
        return None
    upper = math.inf if high is None else float(high)
    return Made(Rectify(upper), (builder.as_node(node.all_input_nodes[0]),)) if upper > 0 else None


def max_pool(builder: Builder, node: fx.Node) -> Made | None:
    """Max-pooling of any rank, adaptive or not (values only)."""
    run = unary(node)
    if run is None or isinstance(node.meta.get("val"), tuple | list):
        return None  # with indices: handled where the values are taken out
    return Made(MaxPool(run), (builder.as_node(node.all_input_nodes[0]),))


def avg_pool(builder: Builder, node: fx.Node) -> Made | None:
    """Average pooling, adaptive pooling, mean over dimensions other than the batch."""
    run = unary(node)
    source = node.all_input_nodes[0]
    if run is None or sample_shape(builder, source) is None or sample_shape(builder, node) is None:
        return None
    if operation(node) == "mean":
        dims = argument(node, 1, "dim")
        rank = source.meta["val"].dim()
        if not dims or any(dim % rank == 0 for dim in dims):
            return None
    return Made(AvgPool(run), (builder.as_node(source),))


def _scalar_or_known(builder: Builder, value: Any) -> Tensor | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return torch.tensor(float(value), dtype=torch.float64)
    return known(builder, value)


def add(builder: Builder, node: fx.Node) -> Made | None:
    """a + b: a sum of two values, or a shift by a known tensor."""
    a, b = node.args[0], node.args[1]
    if argument(node, 2, "alpha", 1) != 1 or sample_shape(builder, node) is None:
        return None
    both = all(isinstance(v, fx.Node) and isinstance(builder.values[v], str) for v in (a, b))
    if both:
        if operation(node) == "sub":
            return None
        assert isinstance(a, fx.Node)
        assert isinstance(b, fx.Node)
        if sample_shape(builder, a) != sample_shape(builder, b):
            return None
        return Made(Add(), (builder.as_node(a), builder.as_node(b)))
    return _affine(builder, node, scaled=False)


def multiply(builder: Builder, node: fx.Node) -> Made | None:
    """x times or divided by a known tensor or number."""
    return _affine(builder, node, scaled=True)


def _affine(builder: Builder, node: fx.Node, *, scaled: bool) -> Made | None:
    """``x * c``, ``x / c``, ``x + c``, ``x - c`` with a known c, as an affine function."""
    a, b = node.args[0], node.args[1]
    operation_ = operation(node)
    if isinstance(a, fx.Node) and isinstance(builder.values[a], str):
        x, c = a, _scalar_or_known(builder, b)
    elif isinstance(b, fx.Node) and operation_ in {"add", "mul"}:
        x, c = b, _scalar_or_known(builder, a)
    else:
        return None
    if c is None or not c.is_floating_point() or node.kwargs.get("rounding_mode"):
        return None
    if sample_shape(builder, x) is None:
        return None
    if str(x.meta["val"].shape) != str(node.meta["val"].shape) or not isinstance(
        builder.values[x], str
    ):
        return None
    if c.dim() == x.meta["val"].dim():
        if c.shape[0] != 1:
            return None
        c = c[0]
    c = c.double()
    one, zero = torch.ones((), dtype=torch.float64), torch.zeros((), dtype=torch.float64)
    if scaled:
        spec = Affine(1.0 / c if operation_ == "div" else c, zero)
    else:
        spec = Affine(one, -c if operation_ == "sub" else c)
    return Made(spec, (builder.as_node(x),))


_MULTI = {"split", "split_with_sizes", "chunk", "tensor_split", "unbind", "unsafe_chunk"}
_WITH_INDICES = {
    "max_pool1d_with_indices",
    "max_pool2d_with_indices",
    "max_pool3d_with_indices",
    "adaptive_max_pool1d",
    "adaptive_max_pool2d",
    "adaptive_max_pool3d",
}


def _pick(run: Callable[[Tensor], Any], index: int, x: Tensor) -> Any:
    return run(x)[index]


def getitem(builder: Builder, node: fx.Node) -> Made | None:
    """One result of a call with several: batch norm, pooling with indices, split."""
    call, index = node.args
    if not isinstance(call, fx.Node) or call.op != "call_function":
        return None
    name = operation(call)
    if name in {"_native_batch_norm_legit_no_training", "native_batch_norm"}:
        return batch_norm(builder, call) if index == 0 and "no_training" in name else None
    run = unary(call)
    if run is None or not isinstance(index, int):
        return None
    source = call.all_input_nodes[0]
    picked = partial(_pick, run, index)
    if name in _WITH_INDICES and index == 0:
        return Made(MaxPool(picked), (builder.as_node(source),))
    if name in _MULTI and sample_shape(builder, source) is not None:
        dim = argument(call, 1 if name == "unbind" else 2, "dim", 0)
        if dim % source.meta["val"].dim() != 0 and sample_shape(builder, node) is not None:
            return Made(Route(picked), (builder.as_node(source),))
    return None


def recurrent_layers(builder: Builder, node: fx.Node) -> tuple[str, ...]:
    """Weight names of a fused RNN, GRU or LSTM."""
    held = [builder.values[leaf] for leaf in node.all_input_nodes]
    names = [value.fqn for value in held if isinstance(value, Known)]
    return tuple(name for name in names if "weight_" in name)


def product_layers(builder: Builder, node: fx.Node) -> tuple[str, ...]:
    """A product of two activations."""
    return (product_name(builder, node),)


def attention_layers(builder: Builder, node: fx.Node) -> tuple[str, ...]:
    """The two products of scaled dot-product attention."""
    return (product_name(builder, node), product_name(builder, node))


def weighted_layers(builder: Builder, node: fx.Node) -> tuple[str, ...]:
    """A look-up table or another operation that owns a weight."""
    weights = [leaf for leaf in node.all_input_nodes if isinstance(builder.values[leaf], Known)]
    return (layer_name(builder, node, weights[0]),) if weights else ()


HANDLERS: dict[str, Handler] = {
    **dict.fromkeys(("conv1d", "conv2d", "conv3d"), convolution),
    **dict.fromkeys(
        ("conv_transpose1d", "conv_transpose2d", "conv_transpose3d"), transposed_convolution
    ),
    "convolution": general_convolution,
    "linear": linear,
    **dict.fromkeys(("matmul", "mm"), matmul),
    "addmm": addmm,
    "batch_norm": batch_norm,
    **dict.fromkeys(("relu", "relu6"), relu),
    **dict.fromkeys(("clamp", "clamp_min", "hardtanh"), clamp),
    "qcfs": qcfs,
    **dict.fromkeys(("max_pool1d", "max_pool2d", "max_pool3d"), max_pool),
    **dict.fromkeys(
        (
            "avg_pool1d",
            "avg_pool2d",
            "avg_pool3d",
            "adaptive_avg_pool1d",
            "adaptive_avg_pool2d",
            "adaptive_avg_pool3d",
            "_adaptive_avg_pool2d",
            "mean",
        ),
        avg_pool,
    ),
    **dict.fromkeys(
        ("view", "reshape", "_unsafe_view", "flatten", "unflatten", "squeeze", "unsqueeze"), reshape
    ),
    **dict.fromkeys(("permute", "transpose", "t", "numpy_T"), permute),
    **dict.fromkeys(("slice", "select", "narrow", "flip", "roll"), along_dimension),
    **dict.fromkeys(
        (
            "pixel_shuffle",
            "pixel_unshuffle",
            "channel_shuffle",
            "upsample_nearest1d",
            "upsample_nearest2d",
            "upsample_nearest3d",
        ),
        spatial_route,
    ),
    **dict.fromkeys(("pad", "constant_pad_nd"), pad),
    **dict.fromkeys(
        (
            "clone",
            "contiguous",
            "alias",
            "detach",
            "lift_fresh_copy",
            "to",
            "_to_copy",
            "dropout",
            "feature_dropout",
            "alpha_dropout",
            "expand",
        ),
        same_value,
    ),
    "cat": concat,
    **dict.fromkeys(("add", "sub"), add),
    **dict.fromkeys(("mul", "div"), multiply),
    "getitem": getitem,
}

#: opaque operations that have synapses -> how their layers are named
SYNAPTIC_OPAQUE: dict[str, Callable[[Builder, fx.Node], tuple[str, ...]]] = {
    **dict.fromkeys(("gru", "lstm", "rnn_tanh", "rnn_relu"), recurrent_layers),
    **dict.fromkeys(("matmul", "bmm", "mm", "einsum", "baddbmm"), product_layers),
    "scaled_dot_product_attention": attention_layers,
    **dict.fromkeys(("embedding", "bilinear", "linear", "addmm"), weighted_layers),
}
