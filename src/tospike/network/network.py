"""``Network``: a directed acyclic graph of :class:`~tospike.network.layer.Layer` records."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property

from tospike.errors import ModelError, unknown_name
from tospike.network.layer import Layer


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a network came from."""

    importer: str  # "torch", "onnx", "zoo"
    name: str  # class name, file name or zoo name
    sha256: str = ""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Edge:
    """``source`` feeds ``target`` with a tensor of ``n_values`` values per inference.

    Network inputs appear as source :data:`INPUT`.
    """

    source: str
    target: str
    n_values: int


#: the pseudo-layer that stands for the network's input
INPUT = "input"


@dataclass(frozen=True)
class Network:
    """All layers in order of first execution, the edges between them, inputs and outputs.

    ``layers`` iterates synaptic layers and layers without synapses alike; ``synaptic_layers``
    only those with MACs or weights.
    """

    layers: tuple[Layer, ...]
    edges: tuple[Edge, ...]
    outputs: tuple[str, ...]
    origin: Origin
    input_shapes: tuple[tuple[int, ...], ...] = ()
    notes: tuple[str, ...] = field(default=())

    def __post_init__(self) -> None:
        names = [layer.name for layer in self.layers]
        reasons = [f"layer name {n!r} is used twice" for n in set(names) if names.count(n) > 1]
        known = {*names, INPUT}
        for edge in self.edges:
            for end in (edge.source, edge.target):
                if end not in known:
                    reasons.append(f"edge {edge.source} -> {edge.target}: no layer {end!r}")
        if reasons:
            raise ModelError("build the network", where=self.origin.name, reasons=sorted(reasons))

    def __iter__(self) -> Iterator[Layer]:
        return iter(self.layers)

    @cached_property
    def by_name(self) -> dict[str, Layer]:
        """name -> layer"""
        return {layer.name: layer for layer in self.layers}

    def __getitem__(self, name: str) -> Layer:
        try:
            return self.by_name[name]
        except KeyError:
            raise unknown_name("layer", name, tuple(self.by_name)) from None

    @cached_property
    def synaptic_layers(self) -> tuple[Layer, ...]:
        """Layers with synapses, in order of execution."""
        return tuple(layer for layer in self.layers if layer.synaptic)

    @property
    def n_synapses(self) -> int:
        """MACs per inference."""
        return sum(layer.n_synapses for layer in self.layers)

    @property
    def n_weights(self) -> int:
        """Stored weights of synaptic layers (biases and norms excluded); tied ones count once."""
        return sum(
            layer.n_weights - int(layer.extra.get("tied_weights", 0)) for layer in self.layers
        )

    @property
    def n_neurons(self) -> int:
        """Outputs of synaptic layers per inference."""
        return sum(layer.n_neurons for layer in self.synaptic_layers)

    @cached_property
    def synaptic_edges(self) -> tuple[Edge, ...]:
        """Edges between synaptic layers, with the layers without synapses contracted.

        ``n_values`` is the size of the tensor that enters the target synaptic layer.
        The source is a synaptic layer or :data:`INPUT`.
        """
        incoming: dict[str, list[Edge]] = {}
        for edge in self.edges:
            incoming.setdefault(edge.target, []).append(edge)
        origins: dict[str, frozenset[str]] = {INPUT: frozenset({INPUT})}

        def sources_of(name: str) -> frozenset[str]:
            # Iterative post-order: real graphs are deeper than Python's recursion limit.
            stack = [name]
            while stack:
                current = stack[-1]
                if current in origins:
                    stack.pop()
                    continue
                layer = self.by_name[current]
                if layer.synaptic:
                    origins[current] = frozenset({current})
                    stack.pop()
                    continue
                before = [edge.source for edge in incoming.get(current, ())]
                waiting = [source for source in before if source not in origins]
                if waiting:
                    stack.extend(waiting)
                    continue
                origins[current] = frozenset().union(*(origins[source] for source in before))
                stack.pop()
            return origins[name]

        found: dict[tuple[str, str], int] = {}
        for layer in self.synaptic_layers:
            for edge in incoming.get(layer.name, ()):
                for source in sorted(sources_of(edge.source)):
                    if source != layer.name:
                        key = (source, layer.name)
                        found[key] = max(found.get(key, 0), edge.n_values)
        return tuple(Edge(source, target, n) for (source, target), n in found.items())
