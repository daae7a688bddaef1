"""What is constant in an ONNX graph: weights, and everything computed from weights and shapes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

from tospike.network.importers.onnx_model import OnnxFile

#: operators that hand one weight on, possibly in another layout or type; input 0 is the weight
_PASS_ON: Final = frozenset(
    {
        *("Cast", "DequantizeLinear", "Flatten", "Identity", "QuantizeLinear", "Reshape"),
        *("Squeeze", "Transpose", "Unsqueeze"),
    }
)
#: their result depends on shapes only, and shapes are fixed per sample
_SHAPE_OPERATORS: Final = frozenset({"Shape", "Size"})
_RANDOM: Final = frozenset(
    {
        *("RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike"),
        *("Bernoulli", "Multinomial"),
    }
)
#: element type of onnx.TensorProto -> bits
BITS: Final = {
    **{1: 32, 2: 8, 3: 8, 4: 16, 5: 16, 6: 32, 7: 64, 9: 1, 10: 16, 11: 64, 12: 32, 13: 64},
    **{16: 16, 17: 8, 18: 8, 19: 8, 20: 8, 21: 4, 22: 4, 23: 4},
}
_INTEGERS: Final = frozenset({2, 3, 4, 5, 6, 7, 12, 13, 21, 22})


def attributes(node: Any) -> dict[str, Any]:
    """Attributes of a node as Python values, text decoded."""
    import onnx

    found: dict[str, Any] = {}
    for attribute in node.attribute:
        value = onnx.helper.get_attribute_value(attribute)
        text = isinstance(value, bytes)
        found[attribute.name] = value.decode(errors="replace") if text else value
    return found


def operator(node: Any) -> str:
    """Operator with its domain, unless that is the standard one."""
    if node.domain in ("", "ai.onnx"):
        return str(node.op_type)
    return f"{node.domain}.{node.op_type}"


def subgraphs(node: Any) -> Iterator[Any]:
    """Graphs inside of If, Loop, Scan and the like."""
    for attribute in node.attribute:
        if attribute.HasField("g"):
            yield attribute.g
        yield from attribute.graphs


def inner_nodes(graph: Any) -> Iterator[Any]:
    """All nodes of a graph and of the graphs inside of it."""
    for node in graph.node:
        yield node
        for inner in subgraphs(node):
            yield from inner_nodes(inner)


def node_inputs(node: Any) -> list[str]:
    """Tensors that a node reads, those captured by its inner graphs included."""
    names = [name for name in node.input if name]
    for graph in subgraphs(node):
        own = {value.name for value in graph.input} | {t.name for t in graph.initializer}
        for inner in inner_nodes(graph):
            own.update(inner.output)
        for inner in inner_nodes(graph):
            names += [name for name in inner.input if name and name not in own]
        names += [value.name for value in graph.output if value.name not in own]
    return names


@dataclass(frozen=True)
class StaticTensors:
    """Which tensors of ``file`` do not depend on the data."""

    file: OnnxFile

    @cached_property
    def producer(self) -> dict[str, Any]:
        """tensor -> node that makes it"""
        return {name: node for node in self.file.proto.graph.node for name in node.output if name}

    @cached_property
    def names(self) -> frozenset[str]:
        """Tensors computed from initializers, constants and shapes alone."""
        static = {tensor.name for tensor in self.file.proto.graph.initializer}
        static |= {t.values.name for t in self.file.proto.graph.sparse_initializer}
        for node in self.file.proto.graph.node:
            if node.op_type in _RANDOM:
                continue
            if node.op_type in _SHAPE_OPERATORS or all(n in static for n in node_inputs(node)):
                static.update(name for name in node.output if name)
        return frozenset(static)

    def chain(self, name: str) -> list[str]:
        """``name`` and the tensors it was handed on from, the stored weight last."""
        found = [name]
        while (node := self.producer.get(found[-1])) is not None and node.op_type in _PASS_ON:
            found.append(node.input[0])
        return found

    def root(self, name: str) -> str:
        """The stored weight behind ``name``: through DequantizeLinear, Transpose and the like."""
        return self.chain(name)[-1]

    def bits(self, name: str, types: dict[str, int]) -> int:
        """Bits of a weight: of its narrowest integer form, else of its floating-point type."""
        seen = [types.get(tensor, 1) for tensor in self.chain(name)]
        integer = [BITS[t] for t in seen if t in _INTEGERS]
        return min(integer) if integer else BITS.get(seen[0], 32)

    def activation_bits(self, name: str, types: dict[str, int]) -> int:
        """Bits of an activation: of the integers that a DequantizeLinear just before it reads."""
        node = self.producer.get(name)
        if node is not None and node.op_type == "DequantizeLinear":
            return BITS.get(types.get(node.input[0], 3), 8)
        return BITS.get(types.get(name, 1), 32)
