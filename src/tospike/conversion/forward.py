"""Analog execution of a graph, and what can be learnt from it: shapes and equality."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from tospike.conversion.graph import ExecutableGraph, Input, Node
from tospike.conversion.ops import analog
from tospike.errors import ConversionError

Rewrite = Callable[[Node, list[Any]], list[Any]]


def last_uses(graph: ExecutableGraph) -> dict[str, list[str]]:
    """node name -> values that no later node reads, so that they can be freed after it."""
    last: dict[str, str] = {}
    for node in graph.nodes:
        for name in (*node.inputs, node.name):
            last[name] = node.name
    freed: dict[str, list[str]] = {node.name: [] for node in graph.nodes}
    for name, user in last.items():
        if name != graph.output:
            freed[user].append(name)
    return freed


def walk(
    graph: ExecutableGraph, x: Tensor, before: Rewrite | None = None
) -> Iterator[tuple[Node, list[Any], Any]]:
    """Execute ``graph`` on ``x`` (N, ...), yielding (node, its input values, its value).

    ``before`` may replace the input values of a node (quantisation). Values are freed after
    their last reader.
    """
    freed = last_uses(graph)
    values: dict[str, Any] = {}
    with torch.inference_mode():
        for node in graph.nodes:
            if isinstance(node.spec, Input):
                inputs, value = [], x
            else:
                inputs = [values[name] for name in node.inputs]
                if before is not None:
                    inputs = before(node, inputs)
                value = analog(node, inputs, native_dtype(graph))
            values[node.name] = value
            yield node, inputs, value
            for name in freed[node.name]:
                del values[name]


def native_dtype(graph: ExecutableGraph) -> torch.dtype:
    """The floating dtype in which the network was written."""
    return graph.input_dtype if graph.input_dtype.is_floating_point else torch.float32


def forward(graph: ExecutableGraph, x: Tensor) -> Tensor:
    """The network's output for ``x`` (N, ...)."""
    result: Any = None
    for node, _, value in walk(graph, x):
        if node.name == graph.output:
            result = value
    if not isinstance(result, Tensor):
        raise ConversionError(
            f"run {graph.origin!r}",
            received=f"an output of type {type(result).__name__}",
            allowed="a network whose first output is a tensor",
        )
    return result


def with_shapes(graph: ExecutableGraph, example: Tensor) -> ExecutableGraph:
    """``graph`` with the shape of every value, found by running 2 and 3 samples.

    A value whose leading dimension follows the number of samples is batched.
    """
    seen: list[dict[str, tuple[int, ...] | None]] = []
    for n in (2, 3):
        rows = example[torch.arange(n) % example.shape[0]]
        seen.append(
            {
                node.name: tuple(value.shape) if isinstance(value, Tensor) else None
                for node, _, value in walk(graph, rows)
            }
        )
    nodes = []
    for node in graph.nodes:
        two, three = seen[0][node.name], seen[1][node.name]
        batched = False
        if two and three:
            batched = (two[0], three[0]) == (2, 3) and two[1:] == three[1:]
        shape = (two[1:] if batched else two) if two else ()
        nodes.append(replace(node, shape=shape, batched=batched))
    return replace(graph, nodes=tuple(nodes))


def largest_error(expected: Tensor, received: Tensor) -> float:
    """max |expected - received| over the scale of ``expected`` (its largest magnitude)."""
    if expected.shape != received.shape:
        return float("inf")
    scale = max(float(expected.abs().max()) if expected.numel() else 0.0, 1e-12)
    if not expected.numel():
        return 0.0
    return float((expected.double() - received.double()).abs().max()) / scale
