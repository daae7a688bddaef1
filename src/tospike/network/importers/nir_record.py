"""``NirNode`` and ``NirGraph``: a NIR graph, flat, checked and in order of execution. Records."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tospike.errors import unknown_name

Array = NDArray[np.float64]
Shape = tuple[int, ...]
#: what a file holds for one parameter: numbers, or "same" / "valid" for a padding
Parameter = NDArray[Any] | str


@dataclass(frozen=True, eq=False)
class NirNode:
    """One node. Nodes of nested graphs carry the path in their names ("rnn.lif").

    parameters : as in the file; arrays in float64, sizes (stride, groups, ...) in int64.
    inputs : nodes whose outputs it adds up; ``delayed`` those of them that close a cycle and
        arrive one step late. in_shape, out_shape : of one sample and one step.
    """

    name: str
    type: str
    parameters: Mapping[str, Parameter]
    inputs: tuple[str, ...] = ()
    delayed: tuple[str, ...] = ()
    in_shape: Shape = ()
    out_shape: Shape = ()
    metadata: Mapping[str, Any] = field(default_factory=dict)

    def array(self, name: str) -> NDArray[Any]:
        """A parameter that is an array."""
        found = self.parameters[name]
        return np.asarray(found)


@dataclass(frozen=True, eq=False)
class NirGraph:
    """All nodes in order of execution. ``name`` : file name or "NIRGraph".

    notes : what was read into the graph (cycles cut, scalars broadcast). metadata : of the graph.
    """

    name: str
    nodes: tuple[NirNode, ...]
    sha256: str = ""
    version: str = ""
    notes: tuple[str, ...] = ()
    metadata: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def by_name(self) -> dict[str, NirNode]:
        """name -> node"""
        return {node.name: node for node in self.nodes}

    def __getitem__(self, name: str) -> NirNode:
        try:
            return self.by_name[name]
        except KeyError:
            raise unknown_name("NIR node", name, tuple(self.by_name)) from None

    @cached_property
    def inputs(self) -> tuple[NirNode, ...]:
        """The Input nodes of the outermost graph."""
        return tuple(node for node in self.nodes if node.type == "Input" and not node.inputs)

    @cached_property
    def outputs(self) -> tuple[NirNode, ...]:
        """The Output nodes of the outermost graph."""
        read = {name for node in self.nodes for name in (*node.inputs, *node.delayed)}
        return tuple(node for node in self.nodes if node.type == "Output" and node.name not in read)
