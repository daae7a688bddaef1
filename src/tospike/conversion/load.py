"""``executable``: from a trained network to an :class:`ExecutableGraph`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tospike.conversion.eligibility import eligibility
from tospike.conversion.forward import forward, largest_error, with_shapes
from tospike.conversion.graph import ExecutableGraph, Synapse
from tospike.conversion.passes import (
    with_folded_affine,
    with_rectified_pooling,
    without_dead_nodes,
    without_levels,
)
from tospike.conversion.qcfs import check_thresholds, unquantised
from tospike.errors import ConversionError, ModelError

#: folding batch norms reorders float32 sums; a larger difference means a wrong translation
ROUNDING = 2e-4


def executable(model: torch.nn.Module | str | Path, example_input: Any = None) -> ExecutableGraph:
    """Turn a trained network into a graph that runs as ANN, quantised ANN, SNN or hybrid.

    Parameters
    ----------
    model : a ``torch.nn.Module`` (left unchanged) or the path of an ``.onnx`` file.
    example_input : array or tensor (N, ...), samples first. Needed for torch modules; for ONNX
        files only where their input shape is not fixed.

    Raises
    ------
    ConversionError
        If the network cannot be traced, has operators that cannot be translated (all are
        listed), fixes its batch size, or if the translation does not give the same outputs.
    ModelError
        If weights are NaN or infinite, or the file cannot be read.
    """
    if isinstance(model, torch.nn.Module):
        return _from_module(model, example_input)
    if isinstance(model, str | Path):
        from tospike.conversion.from_onnx import load_onnx

        graph, example, expected = load_onnx(Path(model), example_input)
        return finished(graph, example, expected)
    raise ConversionError(
        "make an executable graph",
        received=type(model).__name__,
        allowed="a torch.nn.Module or the path of an .onnx file",
    )


def _from_module(model: torch.nn.Module, example_input: Any) -> ExecutableGraph:
    from tospike.conversion.from_torch import build, export

    origin = type(model).__name__
    example = as_example(example_input, origin)
    parameter = next(model.parameters(), None)
    if parameter is not None:
        example = example.to(parameter.device)
        if example.is_floating_point() and parameter.is_floating_point():
            example = example.to(parameter.dtype)
    check_thresholds(model)
    program = export(model, example)
    nodes, output, notes = build(program, origin)
    graph = ExecutableGraph(
        tuple(nodes), output, tuple(example.shape[1:]), example.dtype, origin, notes=tuple(notes)
    )
    return finished(graph, example, module_output(unquantised(model), example))


def module_output(model: torch.nn.Module, example: Tensor) -> Tensor:
    """The first tensor that ``model`` returns in evaluation mode."""
    training = [module for module in model.modules() if module.training]
    model.eval()
    try:
        with torch.no_grad():
            value: Any = model(example)
    finally:
        for module in training:
            module.train(True)
    while isinstance(value, dict | tuple | list) and value:
        value = next(iter(value.values() if isinstance(value, dict) else value))
    if not isinstance(value, Tensor):
        raise ConversionError(
            f"run the model {type(model).__name__!r}",
            received=f"an output of type {type(value).__name__}",
            allowed="a tensor, or a tuple, list or dict whose first entry is one",
        )
    result: Tensor = value
    return result


def as_example(example_input: Any, origin: str) -> Tensor:
    """The example as a tensor with at least one sample."""
    if example_input is None:
        raise ConversionError(
            f"trace the model {origin!r}",
            received="no example input",
            allowed="an array or tensor with samples first, (N, ...)",
            fix="pass example_input, for instance the first samples of your data",
        )
    if isinstance(example_input, tuple | list) and len(example_input) == 1:
        example_input = example_input[0]
    if isinstance(example_input, np.ndarray):
        example_input = torch.from_numpy(np.ascontiguousarray(example_input))
    if not isinstance(example_input, Tensor):
        raise ConversionError(
            f"trace the model {origin!r}",
            received=f"an example input of type {type(example_input).__name__}",
            allowed="one array or tensor (networks with several inputs cannot be converted)",
        )
    if example_input.dim() < 1 or example_input.shape[0] < 1:
        raise ConversionError(
            f"trace the model {origin!r}",
            received=f"an example input of shape {tuple(example_input.shape)}",
            allowed="at least one sample, samples first",
        )
    if example_input.dtype == torch.float64:
        example_input = example_input.float()
    example: Tensor = example_input.detach()
    return example


def finished(graph: ExecutableGraph, example: Tensor, expected: Tensor) -> ExecutableGraph:
    """Rewrite, find shapes and eligibility, and check that the outputs are still the same."""
    check_weights(graph)
    graph = without_dead_nodes(graph)
    if all(node.name != graph.output for node in graph.nodes):
        raise ConversionError(
            f"run {graph.origin!r}", received="an output that does not depend on the input"
        )
    graph = without_dead_nodes(with_folded_affine(graph))
    graph = with_shapes(graph, example)
    graph = with_rectified_pooling(graph)
    graph = with_shapes(graph, example)
    smooth = without_levels(graph)  # see ``unquantised``, which made ``expected``
    error = largest_error(expected, forward(smooth, example)[: expected.shape[0]])
    if not error <= ROUNDING:
        raise ConversionError(
            f"translate {graph.origin!r}",
            received=f"outputs that differ from the original by {error:.2g} of their scale",
            allowed=f"at most {ROUNDING:g} (rounding)",
            fix="check that the model is deterministic in evaluation mode",
        )
    return replace(graph, eligibility=eligibility(graph))


def check_weights(graph: ExecutableGraph) -> None:
    """Refuse NaN and infinite weights, naming every layer that has them."""
    wrong = []
    for node in graph.nodes:
        spec = node.spec
        if isinstance(spec, Synapse):
            tensors = [spec.weight] if spec.bias is None else [spec.weight, spec.bias]
            if not all(bool(torch.isfinite(tensor).all()) for tensor in tensors):
                wrong.append(f"{spec.layer}: weight or bias is NaN or infinite")
    if wrong:
        raise ModelError(f"run {graph.origin!r}", where="weights", reasons=wrong)
