"""Rewrites that keep the function of a graph: dead code, batch-norm folding, pool order."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from tospike.conversion.graph import (
    Affine,
    ExecutableGraph,
    MaxPool,
    Node,
    Rectify,
    Synapse,
)


def without_dead_nodes(graph: ExecutableGraph) -> ExecutableGraph:
    """Only the nodes on which the output depends (and the input)."""
    needed = {graph.output}
    kept = []
    for node in reversed(graph.nodes):
        if node.name in needed or node.name == "input":
            kept.append(node)
            needed.update(node.inputs)
    return replace(graph, nodes=tuple(reversed(kept)))


def _channels(value: Tensor, spec: Synapse) -> Tensor | None:
    """``value`` as one number per output channel of ``spec``, or None if it is finer."""
    value = value.double()
    channels = spec.out_channels
    if value.numel() == 1:
        return value.reshape(1).expand(channels)
    if value.numel() != channels:
        return None
    at = value.dim() - 1 - len(spec.kernel)  # dimension of the channels, counted from the front
    if at < 0 or value.shape[at] != channels:
        return None
    return value.reshape(channels)


def folded(spec: Synapse, affine: Affine) -> Synapse | None:
    """``affine`` after ``spec`` as one synapse, or None if it is not per output channel.

    W' = scale W and b' = scale b + shift, in float64, then back to the dtype of the weight.
    """
    scale, shift = _channels(affine.scale, spec), _channels(affine.shift, spec)
    if scale is None or shift is None:
        return None
    weight = spec.weight.double()
    if spec.transposed:  # (in, out / groups, ...): output channels are group-major
        grouped = scale.reshape(spec.groups, 1, -1)
        per_group = weight.reshape(spec.groups, -1, *weight.shape[1:])
        extra = (1,) * (per_group.dim() - 3)
        weight = (per_group * grouped.reshape(*grouped.shape, *extra)).reshape(weight.shape)
    else:
        weight = weight * scale.reshape(-1, *(1,) * (weight.dim() - 1))
    bias = torch.zeros_like(scale) if spec.bias is None else spec.bias.double()
    return replace(
        spec,
        weight=weight.to(spec.weight.dtype),
        bias=(scale * bias + shift).to(spec.weight.dtype),
    )


def with_folded_affine(graph: ExecutableGraph) -> ExecutableGraph:
    """Batch norms (per-channel affine functions) folded into the synapses just before them.

    Only where the synapse has no other reader. A linear layer on tokens (N, L, F) folds too when
    the affine function is over F.
    """
    nodes = {node.name: node for node in graph.nodes}
    renamed: dict[str, str] = {}
    readers = graph.consumers
    for node in graph.nodes:
        if not isinstance(node.spec, Affine):
            continue
        source = renamed.get(node.inputs[0], node.inputs[0])
        before = nodes[source]
        if not isinstance(before.spec, Synapse) or len(readers[node.inputs[0]]) != 1:
            continue
        if graph.output in (node.inputs[0],):
            continue
        spec = folded(before.spec, node.spec)
        if spec is None:
            continue
        nodes[source] = replace(before, spec=spec)
        del nodes[node.name]
        renamed[node.name] = source
    return _renamed(graph, tuple(nodes.values()), renamed)


def with_rectified_pooling(graph: ExecutableGraph) -> ExecutableGraph:
    """ReLU after max-pool becomes max-pool after ReLU: the same values, but neurons can spike."""
    nodes = list(graph.nodes)
    readers = graph.consumers
    for position, node in enumerate(nodes):
        if not isinstance(node.spec, Rectify):
            continue
        pool = next(other for other in nodes if other.name == node.inputs[0])
        if isinstance(pool.spec, MaxPool) and len(readers[pool.name]) == 1:
            at = nodes.index(pool)
            # Names stay where they were, so that no reader has to change.
            nodes[at] = replace(pool, spec=node.spec)
            nodes[position] = replace(node, spec=pool.spec)
    return replace(graph, nodes=tuple(nodes))


def without_levels(graph: ExecutableGraph) -> ExecutableGraph:
    """QCFS activations without their floor: they only clip."""
    nodes = tuple(
        replace(node, spec=replace(node.spec, levels=0)) if isinstance(node.spec, Rectify) else node
        for node in graph.nodes
    )
    return replace(graph, nodes=nodes)


def _renamed(
    graph: ExecutableGraph, nodes: tuple[Node, ...], names: dict[str, str]
) -> ExecutableGraph:
    return replace(
        graph,
        nodes=tuple(
            replace(node, inputs=tuple(names.get(name, name) for name in node.inputs))
            for node in nodes
        ),
        output=names.get(graph.output, graph.output),
    )
