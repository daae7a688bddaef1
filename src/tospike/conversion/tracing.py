"""What the torch importer knows while it builds a graph; shared with its handlers."""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, fx

from tospike.conversion.graph import Constant, Node, Spec


@dataclass(frozen=True, slots=True)
class Known:
    """A value known while importing: a number, a tensor, or a list of them.

    ``fqn`` is the qualified name of the parameter that it comes from ("" if none).
    """

    value: Any
    fqn: str = ""


@dataclass(frozen=True, slots=True)
class Made:
    """What a handler made of one ATen call: a typed operation on some of its arguments.

    ``spec`` None means "the value of ``inputs[0]`` unchanged".
    """

    spec: Spec | None
    inputs: tuple[str, ...]


@dataclass
class Builder:
    """The graph while it is being built from an exported program."""

    batch: Any  # the symbolic batch size
    nodes: list[Node] = field(default_factory=list)
    values: dict[fx.Node, str | Known] = field(default_factory=dict)
    used_layers: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def add(self, name: str, spec: Spec, inputs: tuple[str, ...]) -> str:
        """Append a node and return its name."""
        self.nodes.append(Node(name, spec, inputs))
        return name

    def as_node(self, source: fx.Node) -> str:
        """The graph node that carries ``source``; a known tensor becomes a Constant node."""
        value = self.values[source]
        if isinstance(value, str):
            return value
        name = f"const_{source.name}"
        if all(node.name != name for node in self.nodes):
            self.add(name, Constant(value.value), ())
        return name


def sample_shape(builder: Builder, source: Any) -> tuple[int, ...] | None:
    """Shape without the batch if the leading dimension is the batch and the rest is fixed."""
    value = source.meta.get("val") if isinstance(source, fx.Node) else None
    if not isinstance(value, Tensor) or value.dim() == 0:
        return None
    rest = tuple(value.shape[1:])
    if str(value.shape[0]) != str(builder.batch) or not all(isinstance(d, int) for d in rest):
        return None
    return rest


def module_path(node: fx.Node) -> str:
    """Qualified name of the innermost module that made ``node``."""
    stack = [entry[0] for entry in (node.meta.get("nn_module_stack") or {}).values()]
    return next((path for path in reversed(stack) if not path.startswith("_empty")), "")


def operation(node: fx.Node) -> str:
    """ATen name of a call without overload ("conv2d"), or "getitem"."""
    if node.target is operator.getitem:
        return "getitem"
    target = node.target
    if isinstance(target, torch._ops.OpOverload):
        return str(target.overloadpacket.__name__)
    return getattr(target, "__name__", str(target))


def call(
    target: Callable[..., Any],
    args: Any,
    kwargs: dict[str, Any],
    slots: dict[fx.Node, Any],
    *values: Any,
) -> Any:
    """Call ``target`` with the graph nodes in its arguments replaced by their values."""

    def resolve(leaf: fx.Node) -> Any:
        slot = slots[leaf]
        return slot.value if isinstance(slot, Known) else values[slot]

    return target(*fx.node.map_arg(args, resolve), **fx.node.map_arg(kwargs, resolve))
