"""Handlers of ATen operations that only move values inside a sample."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, fx

from tospike.conversion.graph import Concat, Route
from tospike.conversion.tracing import Builder, Known, Made, operation, sample_shape


def argument(node: fx.Node, index: int, name: str, default: Any = None) -> Any:
    """Positional or keyword argument of an ATen call."""
    if index < len(node.args):
        return node.args[index]
    return node.kwargs.get(name, default)


def unary(node: fx.Node) -> Callable[[Tensor], Any] | None:
    """The call as a function of its first argument; None if another argument is a graph node."""
    if len(node.all_input_nodes) != 1 or node.all_input_nodes[0] is not node.args[0]:
        return None
    assert callable(node.target)
    return partial(_call_first, node.target, node.args[1:], dict(node.kwargs))


def _call_first(
    target: Callable[..., Any], rest: tuple[Any, ...], kwargs: dict[str, Any], x: Tensor
) -> Any:
    return target(x, *rest, **kwargs)


def _reshape(shape: tuple[int, ...], x: Tensor) -> Tensor:
    return x.reshape(x.shape[0], *shape)


def reshape(builder: Builder, node: fx.Node) -> Made | None:
    """view, flatten, squeeze, ...: the same values in another shape, sample by sample."""
    source = node.args[0]
    before, after = sample_shape(builder, source), sample_shape(builder, node)
    if before is None or after is None or math.prod(before) != math.prod(after):
        return None
    assert isinstance(source, fx.Node)
    return Made(Route(partial(_reshape, after)), (builder.as_node(source),))


def permute(builder: Builder, node: fx.Node) -> Made | None:
    """permute and transpose that leave the batch in front."""
    source = node.args[0]
    if sample_shape(builder, source) is None or sample_shape(builder, node) is None:
        return None
    assert isinstance(source, fx.Node)
    rank = source.meta["val"].dim()
    order = list(range(rank))
    if operation(node) == "permute":
        order = [int(dim) % rank for dim in node.args[1]]  # type: ignore[union-attr, arg-type]
    elif operation(node) == "transpose":
        a, b = (int(dim) % rank for dim in node.args[1:3])  # type: ignore[arg-type]
        order[a], order[b] = order[b], order[a]
    else:
        order = order[::-1]
    if order[0] != 0:
        return None
    return Made(Route(partial(torch.permute, dims=tuple(order))), (builder.as_node(source),))


def along_dimension(builder: Builder, node: fx.Node) -> Made | None:
    """slice, select, narrow, flip, roll inside a sample."""
    source = node.args[0]
    run = unary(node)
    if run is None or sample_shape(builder, source) is None or sample_shape(builder, node) is None:
        return None
    assert isinstance(source, fx.Node)
    rank = source.meta["val"].dim()
    dims = argument(node, 2 if operation(node) == "roll" else 1, "dim", 0)
    for dim in dims if isinstance(dims, list | tuple) else [dims]:
        if dim % rank == 0:
            start, end = argument(node, 2, "start"), argument(node, 3, "end")
            whole = start in (None, 0) and (end is None or end == 2**63 - 1)
            if operation(node) == "slice" and whole and argument(node, 4, "step", 1) == 1:
                return Made(None, (builder.as_node(source),))
            return None
    return Made(Route(run), (builder.as_node(source),))


def spatial_route(builder: Builder, node: fx.Node) -> Made | None:
    """Pixel shuffle, nearest up-sampling: values of one channel move or are repeated."""
    run = unary(node)
    if run is None or sample_shape(builder, node) is None:
        return None
    return Made(Route(run), (builder.as_node(node.all_input_nodes[0]),))


def pad(builder: Builder, node: fx.Node) -> Made | None:
    """Padding with zeros or with values of the same sample."""
    run = unary(node)
    mode = argument(node, 2, "mode", "constant") if operation(node) == "pad" else "constant"
    fill = argument(node, 3 if operation(node) == "pad" else 2, "value", 0) or 0
    if run is None or (mode == "constant" and fill != 0) or sample_shape(builder, node) is None:
        return None
    return Made(Route(run), (builder.as_node(node.all_input_nodes[0]),))


def same_value(builder: Builder, node: fx.Node) -> Made | None:
    """Copies, aliases, dropout in evaluation mode."""
    source = node.all_input_nodes[0]
    if operation(node) in {"dropout", "feature_dropout", "alpha_dropout"} and node.args[2]:
        return None
    before, after = source.meta.get("val"), node.meta.get("val")
    if not isinstance(before, Tensor) or not isinstance(after, Tensor):
        return None
    if before.dtype != after.dtype or before.dim() != after.dim():
        return None
    if operation(node) == "expand" and str(before.shape) != str(after.shape):
        return None
    return Made(None, (builder.as_node(source),))


def concat(builder: Builder, node: fx.Node) -> Made | None:
    """cat along a dimension other than the batch."""
    parts: Any = node.args[0]
    shapes = [sample_shape(builder, part) for part in parts]
    dim = argument(node, 1, "dim", 0)
    if any(shape is None for shape in shapes) or sample_shape(builder, node) is None:
        return None
    rank = node.meta["val"].dim()
    if dim % rank == 0 or any(isinstance(builder.values[part], Known) for part in parts):
        return None
    return Made(Concat(dim % rank), tuple(builder.as_node(part) for part in parts))
