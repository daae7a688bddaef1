"""``torch.nn.Module`` -> :class:`~tospike.conversion.graph.ExecutableGraph`, by ``torch.export``.

The module is exported with a dynamic batch, made functional (no in-place operations), and each
ATen operation becomes one typed node or an opaque one. Parameter names give the layer names.
"""

from __future__ import annotations

import warnings
from functools import partial
from typing import Any

import torch
from torch import Tensor, fx

from tospike.conversion.aten import HANDLERS, SYNAPTIC_OPAQUE
from tospike.conversion.graph import Input, Node, Opaque
from tospike.conversion.tracing import Builder, Known, call, operation
from tospike.errors import ConversionError


def export(model: torch.nn.Module, x: Tensor) -> torch.export.ExportedProgram:
    """The functional exported program of ``model`` in evaluation mode, batch dynamic.

    Raises
    ------
    ConversionError
        With the exporter's reason, if the model cannot be exported.
    """
    if x.shape[0] == 1:  # sizes 0 and 1 would be specialised
        x = torch.cat([x, x])
    training = [module for module in model.modules() if module.training]
    model.eval()
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")
            program = torch.export.export(
                model, (x,), dynamic_shapes=({0: torch.export.Dim.AUTO},), strict=False
            )
            functional: torch.export.ExportedProgram = program.run_decompositions({})
            return functional
    except Exception as error:
        raise ConversionError(
            f"trace the model {type(model).__name__!r} with torch.export",
            received=f"{type(error).__name__}: {str(error).strip().splitlines()[0]}"
            if str(error).strip()
            else type(error).__name__,
            allowed="a model without data-dependent control flow",
            fix="export it to ONNX, or analyse it without running conversions",
        ) from error
    finally:
        for module in training:
            module.train(True)


def build(program: torch.export.ExportedProgram, origin: str) -> tuple[list[Node], str, list[str]]:
    """Nodes, output name and notes of an exported program."""
    graph = program.graph
    user_inputs = [
        s.arg.name for s in program.graph_signature.input_specs if s.kind.name == "USER_INPUT"
    ]
    first = next(n for n in graph.nodes if n.name == user_inputs[0])
    batch = first.meta["val"].shape[0]
    if isinstance(batch, int):
        raise ConversionError(
            f"run {origin!r} on batches",
            received=f"the model fixes its batch size to {batch}",
            allowed="a model that takes any number of samples",
            fix="replace constant batch sizes in the model by x.shape[0]",
        )
    builder = Builder(batch)
    tensors = known_tensors(program)
    output = ""
    for node in graph.nodes:
        if node.op == "placeholder":
            if node.name in tensors:
                builder.values[node] = tensors[node.name]
            else:
                builder.values[node] = builder.add("input", Input(), ())
        elif node.op == "call_function":
            builder.values[node] = translate(builder, node)
        elif node.op == "output":
            output = first_output(builder, node)
    return builder.nodes, output, builder.notes


def known_tensors(program: torch.export.ExportedProgram) -> dict[str, Known]:
    """Placeholder name -> parameter, buffer or constant tensor, with its qualified name."""
    found = {}
    stored: dict[str, Any] = {**program.state_dict, **program.constants}
    for spec in program.graph_signature.input_specs:
        if spec.kind.name == "USER_INPUT":
            continue
        target = spec.target or ""
        value = stored[target]
        found[spec.arg.name] = Known(
            value.detach() if isinstance(value, Tensor) else value,
            target if spec.kind.name == "PARAMETER" else "",
        )
    return found


def first_output(builder: Builder, node: fx.Node) -> str:
    """The first tensor that the model returns."""
    leaves = list(node.all_input_nodes)
    if len(leaves) > 1:
        builder.notes.append(f"the model returns {len(leaves)} tensors; the first is the output")
    return builder.as_node(leaves[0])


def translate(builder: Builder, node: fx.Node) -> str | Known:
    """Translate one ATen call; calls on known values are computed at once."""
    leaves: list[fx.Node] = list(node.all_input_nodes)
    if leaves and all(isinstance(builder.values[leaf], Known) for leaf in leaves):
        return fold_constant(builder, node, leaves)
    name = operation(node)
    handler = HANDLERS.get(name)
    if handler is not None:
        made = handler(builder, node)
        if made is not None:
            if made.spec is None:
                return str(made.inputs[0])
            return builder.add(node.name, made.spec, made.inputs)
    return opaque(builder, node)


def fold_constant(builder: Builder, node: fx.Node, leaves: list[fx.Node]) -> Known:
    """The value of a call whose tensors are all known; keeps the first parameter's name."""

    def value(leaf: fx.Node) -> Any:
        known = builder.values[leaf]
        assert isinstance(known, Known)
        return known.value

    args = fx.node.map_arg(node.args, value)
    kwargs = fx.node.map_arg(node.kwargs, value)
    fqns = [known.fqn for known in map(builder.values.get, leaves) if isinstance(known, Known)]
    assert callable(node.target)
    with torch.no_grad():
        result = node.target(*args, **kwargs)
    return Known(result, next((fqn for fqn in fqns if fqn), ""))


def opaque(builder: Builder, node: fx.Node) -> str:
    """An opaque node that calls the ATen operation itself on the values of its inputs."""
    assert callable(node.target)
    name = operation(node)
    inputs: list[str] = []
    slots: dict[fx.Node, Any] = {}
    for leaf in node.all_input_nodes:
        value = builder.values[leaf]
        if isinstance(value, Known):
            slots[leaf] = value
        else:
            slots[leaf] = len(inputs)
            inputs.append(value)
    # Copies are dropped while importing, so that a view may meet another memory layout.
    target = torch.ops.aten.reshape.default if name in {"view", "_unsafe_view"} else node.target
    run = partial(call, target, node.args, dict(node.kwargs), slots)
    namer = SYNAPTIC_OPAQUE.get(name)
    layers = namer(builder, node) if namer is not None else ()
    return builder.add(node.name, Opaque(run, name, layers), tuple(inputs))
