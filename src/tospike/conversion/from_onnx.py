"""ONNX file -> :class:`~tospike.conversion.graph.ExecutableGraph`.

Every operator is translated on its own and executed at once on 2 and on 3 example samples, so
that shapes and the place of the batch are known while translating. At the end the outputs are
compared with onnxruntime.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tospike.conversion.graph import Constant, ExecutableGraph, Input, Node, Opaque, Spec
from tospike.conversion.onnx_functions import FUNCTIONS, Call
from tospike.conversion.onnx_specs import SPECS, SYNAPTIC
from tospike.conversion.ops import analog
from tospike.errors import ConversionError
from tospike.network.importers.onnx_graph import node_names
from tospike.network.importers.onnx_model import OnnxFile, read_model
from tospike.network.importers.onnx_run import make_session, run_session

SAMPLES = (2, 3)


@dataclass
class OnnxBuilder:
    """The graph while it is being built. ``values`` : ONNX value -> node name or known tensor."""

    opset: int
    file_batch: int | None
    nodes: list[Node] = field(default_factory=list)
    values: dict[str, str | Tensor | None] = field(default_factory=dict)
    seen: dict[str, list[Any]] = field(default_factory=dict)

    def add(self, name: str, spec: Spec, inputs: tuple[str, ...]) -> str:
        """Append a node, run it on the example samples, and return its name."""
        columns = [self.seen[source] for source in inputs]
        node = Node(name, spec, inputs)
        with torch.inference_mode():
            self.seen[name] = [
                analog(node, [column[i] for column in columns], torch.float32)
                for i in range(len(SAMPLES))
            ]
        self.nodes.append(node)
        return name

    def sample_shape(self, name: str) -> tuple[int, ...] | None:
        """Shape of one sample if the leading dimension of ``name`` is the batch, else None."""
        two, three = self.seen[name]
        if not isinstance(two, Tensor) or two.dim() == 0:
            return None
        if (two.shape[0], three.shape[0]) != SAMPLES or two.shape[1:] != three.shape[1:]:
            return None
        return tuple(two.shape[1:])

    def as_node(self, value: str) -> str:
        """Node that carries an ONNX value; a known tensor becomes a Constant."""
        held = self.values[value]
        if isinstance(held, str):
            return held
        assert held is not None
        name = f"constant:{value}"
        return name if name in self.seen else self.add(name, Constant(held), ())


def load_onnx(path: Path, example_input: Any) -> tuple[ExecutableGraph, Tensor, Tensor]:
    """Graph, example samples, and onnxruntime's output for them.

    Raises
    ------
    ModelError
        If the file cannot be read.
    ConversionError
        Listing all operators that have no translation; several inputs; open input shape.
    """
    file = read_model(path)
    refuse_unknown(file)
    example, batch = example_of(file, example_input)
    expected = run_onnxruntime(file, example, batch)
    opset = max(
        (entry.version for entry in file.proto.opset_import if entry.domain in ("", "ai.onnx")),
        default=13,
    )
    builder = OnnxBuilder(opset, batch)
    for name, tensor in file.initializers().items():
        builder.values[name] = torch.from_numpy(np.array(file.array(tensor)))
    rows = [example[torch.arange(n) % example.shape[0]] for n in SAMPLES]
    fed = file.inputs()[0].name
    builder.values[fed], builder.seen["input"] = "input", rows
    builder.nodes.append(Node("input", Input(), ()))
    for node, name in zip(file.proto.graph.node, node_names(file), strict=True):
        translate(builder, node, name, path)
    output = builder.as_node(file.proto.graph.output[0].name)
    graph = ExecutableGraph(
        tuple(builder.nodes), output, tuple(example.shape[1:]), example.dtype, path.name
    )
    return graph, example, expected


def refuse_unknown(file: OnnxFile) -> None:
    """Refuse operators without translation, all at once, with their number."""
    known = {*FUNCTIONS, "Constant"}
    missing = Counter(
        f"{node.domain}::{node.op_type}" if node.domain not in ("", "ai.onnx") else node.op_type
        for node in file.proto.graph.node
        if node.op_type not in known or node.domain not in ("", "ai.onnx")
    )
    if missing:
        raise ConversionError(
            f"execute {file.name!r} as spiking or quantised network",
            received=_no_form(missing),
            where=str(file.path),
            allowed=", ".join(sorted(known)),
            fix="analyse the network without running conversions",
        )


def _no_form(missing: Counter[str]) -> str:
    """ "2 GRU layers, which have no spiking form here": what stands in the way, in words."""
    names = [f"{number} {name}" for name, number in sorted(missing.items())]
    listed = names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
    total = sum(missing.values())
    noun = "layer" if set(missing) <= {"GRU", "LSTM", "RNN"} else "operator"
    ending = "s, which have" if total > 1 else ", which has"
    return f"{listed} {noun}{ending} no spiking form here"


def example_of(file: OnnxFile, example_input: Any) -> tuple[Tensor, int | None]:
    """Example samples (a few) and the batch size that is fixed in the file, if any."""
    inputs = file.inputs()
    asked = f"execute {file.name!r}"
    if len(inputs) != 1:
        raise ConversionError(asked, received=f"{len(inputs)} inputs", allowed="one input")
    kind = inputs[0].type.tensor_type
    sizes = [dim.dim_value if dim.HasField("dim_value") else 0 for dim in kind.shape.dim]
    floats = kind.elem_type == 1
    if kind.elem_type not in (1, 6, 7):
        raise ConversionError(
            asked, received=f"input of ONNX type {kind.elem_type}", allowed="float32, int32, int64"
        )
    batch = sizes[0] if sizes and sizes[0] > 0 else None
    if example_input is not None:
        example = torch.as_tensor(np.asarray(example_input))[: 4 * (batch or 1)]
    elif sizes and all(size > 0 for size in sizes[1:]):
        generator = torch.Generator().manual_seed(0)
        shape = (4 * (batch or 1), *sizes[1:])
        example = torch.rand(shape, generator=generator) if floats else torch.zeros(shape)
    else:
        raise ConversionError(
            asked,
            received=f"an open input shape {tuple(sizes)} (0: unknown)",
            fix="pass example_input",
        )
    dtype = {1: torch.float32, 6: torch.int32, 7: torch.int64}[kind.elem_type]
    if batch:
        rows = torch.arange(-(-example.shape[0] // batch) * batch) % example.shape[0]
        example = example[rows]
    return example.to(dtype), batch


def run_onnxruntime(file: OnnxFile, example: Tensor, batch: int | None) -> Tensor:
    """onnxruntime's first output for the example samples. Raises :class:`ModelError`."""
    session = make_session(file, [file.proto.graph.output[0].name])
    name = file.inputs()[0].name
    size = batch or example.shape[0]
    outputs = [
        next(iter(run_session(file, session, {name: part.numpy()}).values()))
        for part in torch.split(example, size)
    ]
    return torch.from_numpy(np.concatenate(outputs) if len(outputs) > 1 else outputs[0])


def attributes_of(node: Any) -> dict[str, Any]:
    """Attributes of an ONNX node as plain values; tensors as torch tensors."""
    import onnx

    found: dict[str, Any] = {}
    for attribute in node.attribute:
        value = onnx.helper.get_attribute_value(attribute)
        if isinstance(value, onnx.TensorProto):
            value = torch.from_numpy(np.array(onnx.numpy_helper.to_array(value)))
        found[attribute.name] = value
    return found


def translate(builder: OnnxBuilder, node: Any, name: str, path: Path) -> None:
    """Translate one ONNX node; nodes on known values are computed at once."""
    attributes = attributes_of(node)
    if node.op_type == "Constant":
        value = next(iter(attributes.values()))
        builder.values[node.output[0]] = torch.as_tensor(value)
        return
    held = [builder.values[source] if source else None for source in node.input]
    call = Call(attributes, held, builder.opset, builder.file_batch, len(node.output))
    try:
        if not any(isinstance(value, str) for value in held):
            with torch.inference_mode():
                results = FUNCTIONS[node.op_type](call)
            several = results if isinstance(results, tuple) else (results,)
            builder.values.update(zip(node.output, several, strict=False))
            return
        for index, output in enumerate(node.output):
            if output:
                title = name if index == 0 else f"{name}:{index}"
                builder.values[output] = one_output(builder, node, call, title, index)
    except ConversionError:
        raise
    except Exception as error:
        raise ConversionError(
            f"translate {path.name!r}",
            received=f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}",
            where=f"{node.op_type} {name!r}",
            allowed="operators with the attributes that the documentation lists",
        ) from error


def one_output(builder: OnnxBuilder, node: Any, call: Call, name: str, index: int) -> str:
    """The graph node of one output: typed if spiking execution understands it, else opaque."""
    dynamic = [
        source
        for source, held in zip(node.input, call.values, strict=True)
        if isinstance(held, str)
    ]
    run = partial(run_call, FUNCTIONS[node.op_type], call, index)
    typed: Callable[..., Any] | None = SPECS.get(node.op_type)
    if typed is not None:
        made = typed(builder, node, call, name, run if len(dynamic) == 1 else None)
        if made is not None:
            spec, sources = made
            if spec is None:
                return str(sources[0])
            return builder.add(name, spec, sources)
    layers = (name,) if node.op_type in SYNAPTIC else ()
    inputs = tuple(builder.as_node(source) for source in dynamic)
    return builder.add(name, Opaque(run, node.op_type, layers), inputs)


def run_call(function: Callable[[Call], Any], call: Call, index: int, *values: Any) -> Any:
    """Evaluate an ONNX operator with its unknown inputs replaced by ``values``."""
    rest = iter(values)
    filled = [next(rest) if isinstance(held, str) else held for held in call.values]
    result = function(Call(call.attributes, filled, call.opset, call.file_batch, call.n_outputs))
    return result[index] if isinstance(result, tuple) else result
