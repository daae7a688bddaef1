"""``export_onnx``: the analog part of a converted network, before and behind its spiking part.

    input --[before.onnx]--> analog values that drive neurons --[NIR]--> mean currents --[behind]-->

The ONNX outputs of the part before have the names of the NIR Input nodes. The inputs of the part
behind are the NIR outputs, in their order, each as the mean over the time steps.
"""

from __future__ import annotations

import logging
import os
import tempfile
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tospike.conversion.converted import Converted
from tospike.conversion.forward import native_dtype
from tospike.conversion.graph import Input, Node
from tospike.conversion.nir.converted import borders
from tospike.conversion.ops import analog
from tospike.errors import ConversionError


@dataclass(frozen=True)
class OnnxParts:
    """Files of the analog part; None where there is nothing to compute."""

    before: Path | None
    behind: Path | None


class _Part(torch.nn.Module):
    """The nodes between some values and others, as a module with one argument per start."""

    def __init__(
        self, nodes: Sequence[Node], starts: Sequence[str], ends: Sequence[str], dtype: torch.dtype
    ) -> None:
        super().__init__()
        self.nodes = tuple(nodes)
        self.starts = tuple(starts)
        self.ends = tuple(ends)
        self.dtype = dtype

    def forward(self, *given: Tensor) -> tuple[Tensor, ...]:
        values: dict[str, Any] = dict(zip(self.starts, given, strict=True))
        for node in self.nodes:
            if node.name not in values:
                inputs = [values[name] for name in node.inputs]
                values[node.name] = analog(node, inputs, self.dtype)
        return tuple(values[name] for name in self.ends)


def export_onnx(network: Converted, before: str | Path, behind: str | Path) -> OnnxParts:
    """Write the analog part of a network that :func:`export_nir` cut with ``analog="outside"``.

    Parameters
    ----------
    network : what ``ts.convert(model, "snn", ...)`` returned.
    before, behind : paths of the two files. A part without an operation is not written.

    Raises
    ------
    ConversionError : a part that torch cannot write as ONNX (the package onnxscript is needed),
        or a path that cannot be written.
    """
    graph = network.graph
    cut = borders(network, "outside")
    first = next(node.name for node in graph.nodes if isinstance(node.spec, Input))
    parts = []
    for path, starts, ends in (
        (Path(before), (first,), cut.inputs),
        (Path(behind), cut.outputs, (graph.output,)),
    ):
        nodes = _between(network, starts, ends)
        parts.append(_write(network, path, nodes, starts, ends) if nodes else None)
    return OnnxParts(*parts)


def _between(network: Converted, starts: Sequence[str], ends: Sequence[str]) -> list[Node]:
    """Nodes that ``ends`` need beyond ``starts``, in order; none if the ends are the starts."""
    graph = network.graph
    needed: set[str] = set()
    stack = [name for name in ends if name not in starts]
    while stack:
        name = stack.pop()
        if name not in needed:
            needed.add(name)
            stack.extend(n for n in graph[name].inputs if n not in starts)
    return [node for node in graph.nodes if node.name in needed]


def _write(
    network: Converted, path: Path, nodes: list[Node], starts: Sequence[str], ends: Sequence[str]
) -> Path:
    graph = network.graph
    asked = f"write the ONNX file {str(path)!r}"
    if any(isinstance(node.spec, Input) for node in nodes):
        raise ConversionError(
            asked,
            received="a part behind the spikes that also reads the network's input",
            fix="convert with other spiking layers",
        )
    dtype = native_dtype(graph)
    part = _Part(nodes, starts, ends, dtype).eval()
    example = tuple(torch.zeros(2, *graph[name].shape, dtype=dtype) for name in starts)
    batch = torch.export.Dim("samples")
    try:
        handle, temporary = tempfile.mkstemp(dir=path.parent, suffix=".onnx")
        os.close(handle)
    except OSError as error:
        raise ConversionError(asked, received=str(error), fix="check the folder") from error
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    try:
        logger.setLevel(logging.ERROR)  # it reports packages that nothing here needs
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the exporter, about itself
            torch.onnx.export(
                part,
                example,
                temporary,
                input_names=list(starts),
                output_names=list(ends),
                dynamic_shapes=(tuple({0: batch} for _ in starts),),
                dynamo=True,
                external_data=False,
                verbose=False,
            )
        os.replace(temporary, path)
    except Exception as error:
        line = str(error).strip().splitlines()
        raise ConversionError(
            asked,
            received=f"{type(error).__name__}: {line[0] if line else 'no message'}",
            allowed="operations that torch.onnx can write; it needs the package onnxscript",
        ) from error
    finally:
        logger.setLevel(level)
        Path(temporary).unlink(missing_ok=True)
    return path
