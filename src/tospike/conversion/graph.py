"""``ExecutableGraph``: a trained network as a short list of operations that can run in every mode.

The operations that matter for spikes are few and typed (:class:`Synapse`, :class:`Rectify`,
pools, sums, data movement); everything else is an :class:`Opaque` function that runs on analog
values only. Both importers (torch, ONNX) make this graph; the runners only know this graph.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import torch
from torch import Tensor

from tospike.errors import unknown_name

Function = Callable[..., Any]


@dataclass(frozen=True, eq=False)
class Input:
    """The network's input."""


@dataclass(frozen=True, eq=False)
class Constant:
    """A tensor that does not depend on the input."""

    value: Tensor


@dataclass(frozen=True, eq=False)
class Synapse:
    """Weighted synapses: a convolution (any rank, groups, transposed) or a linear layer.

    ``padding`` is (low, high) per spatial dimension. ``layer`` is the name in ``ts.load``.
    """

    layer: str
    kind: Literal["conv", "linear"]
    weight: Tensor
    bias: Tensor | None
    stride: tuple[int, ...] = ()
    padding: tuple[tuple[int, int], ...] = ()
    dilation: tuple[int, ...] = ()
    groups: int = 1
    transposed: bool = False
    output_padding: tuple[int, ...] = ()

    @property
    def out_channels(self) -> int:
        """Output channels (neurons of one position)."""
        if self.transposed:
            return int(self.weight.shape[1]) * self.groups
        return int(self.weight.shape[0])

    @property
    def kernel(self) -> tuple[int, ...]:
        """Spatial size of the kernel; () for linear."""
        return tuple(self.weight.shape[2:]) if self.kind == "conv" else ()


@dataclass(frozen=True, eq=False)
class Affine:
    """``scale * x + shift`` per channel (a batch norm that could not be folded)."""

    scale: Tensor
    shift: Tensor


@dataclass(frozen=True, eq=False)
class Rectify:
    """``min(max(x, 0), upper)``: ReLU, ReLU6, clamp. Its outputs can be spiking neurons.

    ``levels`` > 0 is QCFS: the result is rounded to a multiple of ``upper / levels``.
    """

    upper: float = math.inf
    levels: int = 0


@dataclass(frozen=True, eq=False)
class MaxPool:
    """Maximum over windows, ``run`` on any batch."""

    run: Function


@dataclass(frozen=True, eq=False)
class AvgPool:
    """Mean over windows or dimensions (linear), ``run`` on any batch."""

    run: Function


@dataclass(frozen=True, eq=False)
class Route:
    """Data movement inside a sample: flatten, reshape, permute, slice, zero pad, upsample."""

    run: Function


@dataclass(frozen=True, eq=False)
class Concat:
    """Concatenation along ``dim`` (never the batch)."""

    dim: int


@dataclass(frozen=True, eq=False)
class Add:
    """Sum of two values."""


@dataclass(frozen=True, eq=False)
class Opaque:
    """Any other function; runs on analog values, once per inference.

    ``layers`` names synaptic layers inside it (attention products, GRU weights).
    """

    run: Function
    label: str
    layers: tuple[str, ...] = ()


Spec = (
    Input
    | Constant
    | Synapse
    | Affine
    | Rectify
    | MaxPool
    | AvgPool
    | Route
    | Concat
    | Add
    | Opaque
)


@dataclass(frozen=True, eq=False)
class Node:
    """One operation and the names of the nodes that feed it.

    ``shape`` is the output without the batch dimension; ``batched`` is False where the leading
    dimension is not the batch (then the node runs on analog values only).
    """

    name: str
    spec: Spec
    inputs: tuple[str, ...]
    shape: tuple[int, ...] = ()
    batched: bool = True


@dataclass(frozen=True)
class ExecutableGraph:
    """All operations in order of execution.

    Attributes
    ----------
    nodes : the operations.
    output : name of the node whose value is the network's output.
    input_shape : one sample, without the batch dimension.
    input_dtype : dtype that the network takes.
    origin : class or file name.
    eligibility : layer name -> "" if its synapses may receive spikes, else the reason.
    notes : what was changed or left out while importing.
    """

    nodes: tuple[Node, ...]
    output: str
    input_shape: tuple[int, ...]
    input_dtype: torch.dtype
    origin: str
    eligibility: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def __iter__(self) -> Iterator[Node]:
        return iter(self.nodes)

    @cached_property
    def by_name(self) -> dict[str, Node]:
        """name -> node"""
        return {node.name: node for node in self.nodes}

    def __getitem__(self, name: str) -> Node:
        try:
            return self.by_name[name]
        except KeyError:
            raise unknown_name("graph node", name, tuple(self.by_name)) from None

    @cached_property
    def synaptic(self) -> tuple[str, ...]:
        """Names of the synaptic layers, as in ``ts.load``, in order of first execution."""
        names: dict[str, None] = {}
        for node in self.nodes:
            if isinstance(node.spec, Synapse):
                names[node.spec.layer] = None
            elif isinstance(node.spec, Opaque):
                names.update(dict.fromkeys(node.spec.layers))
        return tuple(names)

    @property
    def eligible(self) -> tuple[str, ...]:
        """Layers whose synapses may receive spikes."""
        return tuple(name for name in self.synaptic if self.eligibility.get(name) == "")

    @property
    def supports_partition(self) -> bool:
        """True if any subset of :attr:`eligible` can be run as a hybrid (and there is one)."""
        return bool(self.eligible)

    @cached_property
    def consumers(self) -> dict[str, tuple[Node, ...]]:
        """node name -> nodes that read its value"""
        found: dict[str, list[Node]] = {node.name: [] for node in self.nodes}
        for node in self.nodes:
            for name in dict.fromkeys(node.inputs):
                found[name].append(node)
        return {name: tuple(nodes) for name, nodes in found.items()}
