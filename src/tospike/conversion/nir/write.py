"""Writing NIR 1.0.8 files: HDF5 as ``nir.write`` makes it, checked first, never half written."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from tospike.errors import ConversionError, TospikeError
from tospike.network.importers.nir_file import graph_of_tree
from tospike.network.importers.nir_record import NirGraph

VERSION = "1.0.8"


@dataclass
class GraphBuilder:
    """Nodes and edges of a graph under construction, and every reason why it cannot be one."""

    nodes: dict[str, dict[str, Any]] = field(default_factory=dict)
    edges: list[tuple[str, str]] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)

    def add(
        self,
        name: str,
        kind: str,
        sources: tuple[str, ...],
        *,
        metadata: Mapping[str, Any] | None = None,
        **parameters: Any,
    ) -> str:
        """A node of type ``kind`` and the edges into it; returns its name."""
        own = name
        while own in self.nodes:
            own += "_"
        self.nodes[own] = {"type": kind, **parameters}
        if metadata:
            self.nodes[own]["metadata"] = {"tospike": dict(metadata)}
        for source in sources:
            if (source, own) in self.edges:
                self.reasons.append(f"{own}: NIR has no second edge from {source!r}")
            self.edges.append((source, own))
        return own

    def tree(self, metadata: Mapping[str, Any]) -> dict[str, Any]:
        """The graph as nested dictionaries."""
        return {
            "type": "NIRGraph",
            "nodes": self.nodes,
            "edges": np.array(self.edges, dtype=object),
            "metadata": {"tospike": dict(metadata)},
        }


def finished(builder: GraphBuilder, origin: str, metadata: Mapping[str, Any]) -> dict[str, Any]:
    """The tree, read back by the importer's own checks; all reasons in one error."""
    asked = f"export {origin} to NIR"
    if builder.reasons:
        raise ConversionError(
            asked,
            allowed="convolutions (1-d, 2-d), linear layers, 2-d average pools, flatten and "
            "integrate-and-fire neurons",
            reasons=list(dict.fromkeys(builder.reasons)),
        )
    tree = builder.tree(metadata)
    try:
        graph = graph_of_tree(tree, origin)
    except TospikeError as error:
        raise ConversionError(asked, reasons=error.reasons or (str(error),)) from error
    for name, raw in builder.nodes.items():
        shape = graph[name].in_shape  # nir.read needs these two
        if raw["type"] == "Conv1d":
            raw["input_shape"] = shape[1]
        elif raw["type"] == "Conv2d":
            raw["input_shape"] = np.array(shape[1:])
        elif raw["type"] == "Flatten":
            raw["input_type"] = np.array(shape)
    return tree


def write_nir(tree: Mapping[str, Any], path: str | Path) -> NirGraph:
    """Write a tree to ``path``; the file appears complete or not at all.

    Raises :class:`ConversionError` where the file cannot be written or h5py is missing.
    """
    asked = f"write the NIR file {str(path)!r}"
    try:
        import h5py
    except ImportError as error:
        raise ConversionError(
            asked, received="the package h5py is not installed", fix="pip install nir"
        ) from error
    target = Path(path)
    try:
        handle, temporary = tempfile.mkstemp(dir=target.parent, suffix=".part")
        os.close(handle)
    except OSError as error:
        raise ConversionError(asked, received=str(error), fix="check the folder") from error
    try:
        with h5py.File(temporary, "w") as file:
            file.create_dataset("version", data=VERSION, dtype=h5py.string_dtype())
            _write(file.create_group("node"), tree, h5py)
        os.replace(temporary, target)
    except OSError as error:
        raise ConversionError(asked, received=str(error), fix="check the folder") from error
    finally:
        Path(temporary).unlink(missing_ok=True)
    return graph_of_tree(dict(tree), target.name)


def _write(group: Any, tree: Mapping[str, Any], h5py: Any) -> None:
    for key, value in tree.items():
        if isinstance(value, Mapping):
            if value:
                _write(group.create_group(key), value, h5py)
        elif isinstance(value, str) or (isinstance(value, np.ndarray) and value.dtype == object):
            group.create_dataset(key, data=value, dtype=h5py.string_dtype())
        elif isinstance(value, np.ndarray) and value.size > 1:
            group.create_dataset(key, data=value, compression="gzip")
        else:
            group.create_dataset(key, data=value)
