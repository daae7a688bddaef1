"""Names, layers without synapses and edges of a traced module."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from tospike.network.importers.torch_provenance import Info
from tospike.network.importers.torch_sites import (
    Axis,
    Draft,
    Key,
    axis_by_comparison,
    axis_by_guess,
    n_values,
)
from tospike.network.layer import Layer
from tospike.network.network import INPUT, Edge

Values = Sequence[tuple[torch.Tensor, Info]]


@dataclass(slots=True)
class Other:
    """A layer without synapses while it is traced."""

    key: Key
    kind: str
    first_input: int
    input_shape: tuple[int, ...]
    output_shape: tuple[int, ...]
    calls: int = 0
    extra: dict[str, str | int | float] = field(default_factory=dict)


#: operation that stands for all operations inside of a population of neurons
POPULATION = "neurons"

#: shapes of all input tensors, shape of the first output
OtherShapes = tuple[tuple[tuple[int, ...], ...], tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class Batch:
    """Samples in the first and in the second run, and what the second one had for shapes."""

    n_samples: int
    other: int
    dim: int | None
    second: Mapping[Key, OtherShapes]

    def axis(self, shape: tuple[int, ...], shape_again: tuple[int, ...] | None) -> Axis:
        """Batch axis of a tensor of a layer without synapses."""
        if self.dim is None or not shape:
            return Axis(None)
        found = None
        if shape_again is not None:
            found = axis_by_comparison(shape, shape_again, self.n_samples, self.other)
        return found if found is not None else axis_by_guess(shape, self.n_samples, "product")


class Nodes:
    """Unique names, and edges in the order of execution."""

    def __init__(self) -> None:
        self._order: dict[str, int] = {INPUT: -1}
        self._used: set[str] = set()
        self._products: dict[Key, str] = {}
        self._weights: dict[tuple[str, Any], str] = {}
        self._others: dict[Key, str] = {}
        self._edges: dict[tuple[str, str], int] = {}
        self.others: dict[str, Other] = {}

    def _unique(self, base: str) -> str:
        name, n = base, 0
        while name in self._used or name == INPUT:
            n += 1
            name = f"{base}_{n}"
        self._used.add(name)
        self._order[name] = len(self._used)
        return name

    def product_name(self, key: Key) -> str:
        """ "<module path>.<operation>", "_1" for the next one in the same module."""
        if key not in self._products:
            path, op, _ = key
            self._products[key] = self._unique(f"{path}.{op}" if path else op)
        return self._products[key]

    def weight_name(self, base: str, parameter: str, part: Any) -> str:
        """One name per weight; parts of one parameter (packed projections) have their own."""
        identity = (parameter, part)
        if identity not in self._weights:
            self._weights[identity] = self._unique(base)
        return self._weights[identity]

    def population_name(self, path: str, model: str) -> str:
        """Name of the node of a population of neurons, made at its first operation."""
        name = self._unique(path or "neurons")
        self.others[name] = Other((path, POPULATION, 0), model, 0, (), ())
        return name

    def called(self, name: str, input_shape: tuple[int, ...], shape: tuple[int, ...]) -> None:
        """A call of a population has ended; the first one gives its place in the order."""
        other = self.others[name]
        if not other.calls:
            other.input_shape, other.output_shape = input_shape, shape
            # after the synapses inside of it
            self._used.add(f"end of {name}")
            self._order[name] = len(self._used)
        other.calls += 1

    @property
    def ends(self) -> tuple[tuple[str, str], ...]:
        """(source, target) of all edges, those that go back among them."""
        return tuple(self._edges)

    def connect(self, name: str, incoming: Values) -> None:
        """Edges from the layers that made the incoming tensors."""
        for tensor, info in incoming:
            for source in info.sources:
                edge = (source, name)
                self._edges[edge] = self._edges.get(edge, 0) + tensor.numel()

    def other(
        self,
        key: Key,
        kind: str,
        module: torch.nn.Module,
        incoming: Values,
        first_input: int,
        outputs: list[torch.Tensor],
        args: Any,
    ) -> str:
        """Name of the layer without synapses at ``key``, made at its first execution."""
        if key not in self._others:
            path = key[0]
            plain = type(module).__module__.startswith("torch.nn.modules")
            own = plain and not list(module.children()) and path and path not in self._used
            name = self._unique(path if own else f"{path}.{kind}" if path else kind)
            self._others[key] = name
            self.others[name] = Other(
                key,
                kind,
                first_input,
                tuple(incoming[0][0].shape),
                tuple(outputs[0].shape) if outputs else (),
                extra=_limits(kind, args),
            )
        name = self._others[key]
        self.others[name].calls += 1
        self.connect(name, incoming)
        return name

    def finish(
        self, drafts: Mapping[str, Draft], batch: Batch
    ) -> tuple[tuple[Layer, ...], tuple[Edge, ...], list[tuple[str, str]]]:
        """Layers in order of first execution, forward edges, and the edges that go back."""
        names = sorted((n for n in self._used if n in drafts or n in self.others), key=self._at)
        layers = [
            drafts[n].layer() if n in drafts else _other_layer(n, self.others[n], batch)
            for n in names
        ]
        edges, back = [], []
        for (source, target), size in self._edges.items():
            if self._at(source) < self._at(target):
                edges.append(Edge(source, target, max(1, size // batch.n_samples)))
            else:
                back.append((source, target))
        edges.sort(key=lambda e: (self._at(e.target), self._at(e.source)))
        return tuple(layers), tuple(edges), sorted(back)

    def _at(self, name: str) -> int:
        return self._order[name]


def _limits(kind: str, args: Any) -> dict[str, str | int | float]:
    """Bounds of a clamp, without which nobody can tell whether it rectifies."""
    if kind not in ("clamp", "hardtanh"):
        return {}
    defaults = (-1.0, 1.0) if kind == "hardtanh" else (None, None)
    values = [*args[1:3], *defaults[len(args[1:3]) :]]
    return {
        key: float(value)
        for key, value in zip(("min", "max"), values, strict=True)
        if isinstance(value, int | float)
    }


def _other_layer(name: str, other: Other, batch: Batch) -> Layer:
    again = batch.second.get(other.key)
    in_again = again[0][other.first_input] if again else None
    in_axis = batch.axis(other.input_shape, in_again)
    out_axis = batch.axis(other.output_shape, again[1] if again else None)
    return Layer(
        name,
        other.kind,
        _shape(other.input_shape, in_axis),
        _shape(other.output_shape, out_axis),
        n_neurons=n_values(other.output_shape, out_axis, batch.n_samples) * other.calls,
        n_inputs=n_values(other.input_shape, in_axis, batch.n_samples) * other.calls,
        calls=other.calls,
        extra=other.extra,
    )


def _shape(shape: tuple[int, ...], axis: Axis) -> tuple[int, ...]:
    """One sample; rows merged with the batch come first."""
    rest = axis.strip(shape)
    return (axis.rows, *rest) if axis.rows > 1 else rest
