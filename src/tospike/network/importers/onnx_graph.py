"""``load_onnx``: an ONNX file becomes a :class:`~tospike.network.network.Network`.

Operators with synapses are counted by the table in :mod:`onnx_ops`; operators without are carried
along; operators that hold weights and are in no table are refused, all at once.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from operator import index as operator_index
from pathlib import Path
from typing import Any, Final

from tospike.errors import ModelError, UnsupportedOperatorError
from tospike.network.importers.onnx_kinds import MOVES, kind_of
from tospike.network.importers.onnx_model import OnnxFile, first_line, read_model, stored_tensors
from tospike.network.importers.onnx_ops import (
    RULES,
    UNCOUNTED,
    Context,
    Probe,
    Synapses,
    embedding,
)
from tospike.network.importers.onnx_shapes import Shape, TensorShapes, resolve_shapes
from tospike.network.importers.onnx_static import (
    StaticTensors,
    attributes,
    inner_nodes,
    node_inputs,
    operator,
    subgraphs,
)
from tospike.network.layer import Layer
from tospike.network.network import INPUT, Edge, Network, Origin

#: a shape, or an array or tensor that has one
Example = Any

_RECURRENT: Final = frozenset({"GRU", "LSTM", "RNN"})


@dataclass(frozen=True)
class OnnxNetwork:
    """A network with what is needed to measure it: the file, the shapes, the probes."""

    network: Network
    file: OnnxFile
    shapes: TensorShapes
    probes: tuple[Probe, ...]


def load_onnx(
    path: str | Path, input_shapes: Mapping[str, Example] | Example | None = None
) -> Network:
    """Read an ONNX file; numbers per sample.

    Parameters
    ----------
    path : the .onnx file; external data must lie in its folder or below.
    input_shapes : input name -> full shape with the batch as 1, for dynamic dimensions other than
        the batch; or one shape for a model with one input. Arrays and tensors stand for their
        shape, so an example input may be given.

    Raises :class:`ModelError` for files that are missing, corrupt, hold NaN weights or have dynamic
    dimensions without a size, and :class:`UnsupportedOperatorError` for operators with weights that
    cannot be counted.
    """
    return open_onnx(path, input_shapes).network


def open_onnx(
    path: str | Path, input_shapes: Mapping[str, Example] | Example | None = None
) -> OnnxNetwork:
    """Like :func:`load_onnx`, with the file, the shapes and the probes for a measurement."""
    return open_file(read_model(path), input_shapes)


def open_file(
    file: OnnxFile, input_shapes: Mapping[str, Example] | Example | None = None
) -> OnnxNetwork:
    """:func:`open_onnx` of a file that is read and checked already."""
    _name_hidden_sequences(file)
    names = node_names(file)
    static = StaticTensors(file)
    _refuse_uncounted(file, static, names)
    shapes = _shapes(file, static, input_shapes)
    ctx = Context(static, shapes, dict(shapes.types))
    builder = _Builder(file, ctx)
    for node, name in zip(file.proto.graph.node, names, strict=True):
        builder.add(node, name)
    return OnnxNetwork(builder.network(), file, shapes, tuple(builder.probes))


def _name_hidden_sequences(file: OnnxFile) -> None:
    """Give the sequence Y of every recurrent node a name: its values are h_t."""
    for index, node in enumerate(file.proto.graph.node):
        if node.op_type in _RECURRENT and not (node.output and node.output[0]):
            name = f"{node.name or node.op_type}_{index}.Y"
            if node.output:
                node.output[0] = name
            else:
                node.output.append(name)


def node_names(file: OnnxFile) -> list[str]:
    """Layer name of every node: its own, or "<op_type>_<index>"; made unique."""
    used = Counter({INPUT: 1})
    found = []
    for index, node in enumerate(file.proto.graph.node):
        name = node.name or f"{node.op_type}_{index}"
        while used[name]:
            used[name] += 1
            name = f"{name}_{used[name] - 1}"
        used[name] += 1
        found.append(name)
    return found


def _refuse_uncounted(file: OnnxFile, static: StaticTensors, names: list[str]) -> None:
    """One error that names every operator with weights that no rule counts."""
    reasons = []
    ranks = {tensor.name: len(tensor.dims) for tensor in stored_tensors(file.proto.graph)}
    for node, name in zip(file.proto.graph.node, names, strict=True):
        if all(output in static.names for output in node.output if output):
            continue
        what = operator(node)
        inner = Counter(
            operator(n)
            for graph in subgraphs(node)
            for n in inner_nodes(graph)
            if operator(n) in RULES or n.op_type in UNCOUNTED or n.domain not in ("", "ai.onnx")
        )
        if inner:
            held = ", ".join(f"{count} {op}" for op, count in sorted(inner.items()))
            reasons.append(f"{what} ({name!r}) with {held} in its inner graph")
        elif node.op_type in UNCOUNTED or (node.op_type == "Einsum" and len(node.input) != 2):
            reasons.append(f"{what} ({name!r})")
        elif what not in RULES and node.domain not in ("", "ai.onnx", "ai.onnx.ml"):
            weights = [n for n in node.input if ranks.get(static.root(n), 0) >= 2]
            attention = "attention" in node.op_type.lower() or "matmul" in node.op_type.lower()
            if weights or attention:
                held = f" with {len(weights)} weight tensors" if weights else ""
                reasons.append(f"{what} ({name!r}){held}")
    if reasons:
        raise UnsupportedOperatorError(
            f"count the ONNX model {file.name!r}",
            received=f"{len(reasons)} operators with synapses that cannot be counted",
            where=str(file.path),
            allowed=", ".join(sorted(RULES)) + ", Gather of a weight matrix",
            fix="export with standard operators, without fused operators and control flow",
            reasons=reasons,
        )


def _shape_of(example: Example) -> Shape:
    """The shape that ``example`` is, or has. Raises ``TypeError`` if it has none."""
    if isinstance(example, str | bytes | bool):
        raise TypeError(f"{example!r}, which is no shape, array or tensor")
    if isinstance(example, int | float):
        return ()  # a scalar input
    sizes = example if isinstance(example, tuple | list) else example.shape
    return tuple(operator_index(size) for size in sizes)


def _given_shapes(file: OnnxFile, given: Mapping[str, Example] | Example) -> dict[str, Shape]:
    """Input name -> shape, from whatever the user gave."""
    names = [value.name for value in file.inputs()]
    if isinstance(given, Mapping):
        examples = dict(given)
    elif isinstance(given, tuple | list) and given and not isinstance(given[0], int):
        examples = dict(zip(names, given, strict=False))  # positional example inputs
    else:
        examples = {names[0]: given} if names else {}
    try:
        return {name: _shape_of(example) for name, example in examples.items()}
    except (TypeError, AttributeError) as error:
        raise ModelError(
            f"load the ONNX model {file.name!r} with the given input shapes",
            received=first_line(error),
            allowed="shapes of integers, arrays or tensors, by input name or in order",
            fix=f"the inputs are {', '.join(names)}",
        ) from error


def _shapes(
    file: OnnxFile, static: StaticTensors, given: Mapping[str, Example] | Example | None
) -> TensorShapes:
    shapes = None if given is None else _given_shapes(file, given)
    wanted: dict[str, None] = {}
    times: dict[str, int] = {}
    for node in file.proto.graph.node:
        if all(output in static.names for output in node.output if output):
            continue
        wanted.update(dict.fromkeys(node_inputs(node)))
        wanted.update(dict.fromkeys(output for output in node.output if output))
        if node.op_type in _RECURRENT:
            times[node.input[0]] = 1 if attributes(node).get("layout", 0) else 0
    known = {value.name for value in file.proto.graph.input} | set(file.initializers())
    made = {name for node in file.proto.graph.node for name in node.output}
    return resolve_shapes(
        file, [name for name in wanted if name in made or name in known], times, shapes
    )


@dataclass
class _Builder:
    """Layers, probes and edges while the nodes go by in order."""

    file: OnnxFile
    ctx: Context
    layers: dict[str, Layer] = field(default_factory=dict)
    probes: list[Probe] = field(default_factory=list)
    owner: dict[str, tuple[str, ...]] = field(default_factory=dict)  # tensor -> its makers
    edges: dict[tuple[str, str], dict[str, int]] = field(default_factory=dict)
    first_use: dict[tuple[str, ...], tuple[str, ...]] = field(default_factory=dict)
    weight_owner: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for value in self.file.inputs():
            self.owner[value.name] = (INPUT,)

    def add(self, node: Any, name: str) -> None:
        """Carry one node along, or count its synapses."""
        ctx = self.ctx
        if all(ctx.constant(output) for output in node.output if output):
            return
        if self._is_bias(node):
            self._join_bias(node)
            return
        try:
            synapses = self._synapses(node, name)
        except ModelError:
            raise
        except (ValueError, IndexError, KeyError, TypeError) as error:
            raise ModelError(
                f"count the ONNX model {self.file.name!r}",
                received=f"{type(error).__name__}: {first_line(error)}",
                where=f"node {name!r} ({operator(node)})",
                allowed="inputs and attributes as in the ONNX operator definition",
                fix="export the model again",
            ) from error
        if synapses:
            self._add_synaptic(node, synapses)
        elif node.op_type in MOVES and node.domain in ("", "ai.onnx"):
            self._pass_on(node)
        else:
            self._add_plain(node, name)

    def _synapses(self, node: Any, name: str) -> Synapses:
        ctx = self.ctx
        if operator(node) == "Gather":
            table, index = node.input[0], node.input[1]
            looks_up = (
                ctx.constant(table)
                and not ctx.constant(index)
                and len(ctx.shape(table)) == 2
                and ctx.types.get(table) in (1, 10, 11, 16)
            )
            return embedding(node, name, ctx) if looks_up else []
        rule = RULES.get(operator(node))
        return rule(node, name, ctx) if rule else []

    def _is_bias(self, node: Any) -> bool:
        """True for an Add of a constant vector right behind a MatMul: its bias."""
        if node.op_type != "Add" or node.domain not in ("", "ai.onnx"):
            return False
        constant = [name for name in node.input if self.ctx.constant(name)]
        data = [name for name in node.input if not self.ctx.constant(name)]
        if len(constant) != 1 or len(data) != 1 or self._uses[data[0]] != 1:
            return False
        maker = self.ctx.static.producer.get(data[0])
        layer = self.layers.get(self.owner.get(data[0], ("",))[0])
        return (
            maker is not None
            and maker.op_type == "MatMul"
            and layer is not None
            and layer.kind == "linear"
            and layer.n_biases == 0
            and self.ctx.size(constant[0]) == self.ctx.shape(node.output[0])[-1]
        )

    @cached_property
    def _uses(self) -> Counter[str]:
        uses = Counter(name for node in self.file.proto.graph.node for name in node_inputs(node))
        uses.update(value.name for value in self.file.proto.graph.output)
        return uses

    def _join_bias(self, node: Any) -> None:
        data, bias = node.input[0], node.input[1]
        if self.ctx.constant(data):
            data, bias = bias, data
        (name,) = self.owner[data]
        self.layers[name] = dataclasses.replace(self.layers[name], n_biases=self.ctx.size(bias))
        self.owner[node.output[0]] = (name,)

    def _add_synaptic(self, node: Any, synapses: Synapses) -> None:
        key = self._weights_of(node)
        names = tuple(layer.name for layer, _ in synapses)
        shared = self.first_use.setdefault(key, names) if key else names
        for (layer, probe), name in zip(synapses, shared, strict=True):
            if name != layer.name:
                self.layers[name] = _another_call(self.layers[name], layer)
                probe = dataclasses.replace(probe, layer=name)
            else:
                self.layers[name] = self._with_ties(layer, node)
            self.probes.append(probe)
        self._connect(node, shared)

    def _weights_of(self, node: Any) -> tuple[str, ...]:
        """Operator and stored weights: nodes that agree in it are calls of one layer."""
        roots = [
            self.ctx.static.root(name)
            for name in node.input
            if name and self.ctx.constant(name) and len(self.ctx.shapes.one.get(name, ())) >= 2
        ]
        return (node.op_type, *roots) if roots else ()

    def _with_ties(self, layer: Layer, node: Any) -> Layer:
        """Weights that another kind of layer holds already (tied embeddings) are marked."""
        tied = ""
        for root in self._weights_of(node)[1:]:
            holder = self.weight_owner.setdefault(root, layer.name)
            same_node = holder.rpartition(".")[0] == layer.name.rpartition(".")[0] != ""
            if holder != layer.name and not same_node:
                tied = holder
        if not tied:
            return layer
        extra = {**layer.extra, "tied_to": tied, "tied_weights": layer.n_weights}
        return dataclasses.replace(layer, extra=extra)

    def _pass_on(self, node: Any) -> None:
        """Operators that only move values make no layer: their input's layer stays the owner."""
        sources = [self.owner[name] for name in node.input if name in self.owner]
        for output in node.output:
            if output and sources:
                self.owner[output] = sources[0]

    def _add_plain(self, node: Any, name: str) -> None:
        data = [n for n in node_inputs(node) if n in self.owner]
        output = next(o for o in node.output if o)
        kind, extra = kind_of(node, self.file)
        shapes = self.ctx.shapes
        self.layers[name] = Layer(
            name,
            kind,
            input_shape=shapes.sample(data[0]) if data and data[0] in shapes.one else (),
            output_shape=shapes.sample(output) if output in shapes.one else (),
            n_neurons=shapes.size(output) if output in shapes.one else 0,
            n_inputs=shapes.size(data[0]) if data and data[0] in shapes.one else 0,
            extra=extra,
        )
        self._connect(node, (name,))

    def _connect(self, node: Any, names: tuple[str, ...]) -> None:
        """Edges into the layers of a node; its outputs belong to all of them.

        The input of a recurrent node enters "<node>.W", its initial states "<node>.R".
        """
        states = set(node.input[5:7]) if len(names) == 2 else set()
        for tensor in node_inputs(node):
            target = names[-1] if tensor in states else names[0]
            for source in self.owner.get(tensor, ()):
                values = self.ctx.shapes.size(tensor) if tensor in self.ctx.shapes.one else 0
                self.edges.setdefault((source, target), {})[tensor] = values
        for output in node.output:
            if output:
                self.owner[output] = names

    def network(self) -> Network:
        """The finished network."""
        file, shapes = self.file, self.ctx.shapes
        if not any(layer.synaptic for layer in self.layers.values()):
            raise ModelError(
                f"count the ONNX model {file.name!r}",
                received=f"{len(self.layers)} operators, none with synapses",
                where=str(file.path),
                allowed="a network with at least one of " + ", ".join(sorted(RULES)),
            )
        outputs = dict.fromkeys(
            name
            for value in file.proto.graph.output
            for name in self.owner.get(value.name, ())
            if name != INPUT
        )
        order = {name: index for index, name in enumerate((INPUT, *self.layers))}
        forward, back = [], []
        for (source, target), values in self.edges.items():
            if order[source] < order[target]:
                forward.append(Edge(source, target, sum(values.values())))
            else:  # weights used twice in a row: the graph of layers stays acyclic
                back.append(f"recurrent connection {source} -> {target}")
        return Network(
            tuple(self.layers.values()),
            tuple(forward),
            tuple(outputs),
            Origin("onnx", file.name, file.sha256, file.notes),
            tuple(shapes.sample(value.name) for value in file.inputs()),
            (*shapes.notes, *back),
        )


def _another_call(layer: Layer, call: Layer) -> Layer:
    """``layer`` with one more call of its weights."""
    return dataclasses.replace(
        layer,
        n_synapses=layer.n_synapses + call.n_synapses,
        n_synapses_exact=layer.n_synapses_exact + call.n_synapses_exact,
        n_neurons=layer.n_neurons + call.n_neurons,
        n_inputs=layer.n_inputs + call.n_inputs,
        calls=layer.calls + call.calls,
    )
