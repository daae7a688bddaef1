"""``load_nir``: a NIR graph as a :class:`~tospike.network.network.Network`, per time step.

Affine, Linear and convolutions are synaptic layers; neurons, pools, Flatten, Scale and Delay are
layers without synapses; Input and Output nodes are not layers. NIR does not say how many steps an
inference has, so every layer counts one step (``calls`` = 1). Edges that close a cycle are left
out, because a network has none, and are named in the notes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from tospike.network.importers.conv_fan_out import conv_exact_synapses
from tospike.network.importers.nir_file import read_nir
from tospike.network.importers.nir_record import NirGraph, NirNode
from tospike.network.importers.nir_types import TYPES, as_sizes, conv_padding
from tospike.network.layer import Layer
from tospike.network.network import INPUT, Edge, Network, Origin
from tospike.network.neuron import NEURONS

Signal = Literal["spike", "analog"]

#: node type -> kind of the layer without synapses
_KINDS = {
    "SumPool2d": "sum_pool",
    "AvgPool2d": "avg_pool",
    "Flatten": "flatten",
    "Scale": "scale",
    "Delay": "delay",
}
_SYNAPTIC = {"Affine": "linear", "Linear": "linear", "Conv1d": "conv", "Conv2d": "conv"}


@dataclass(frozen=True)
class NirNetwork:
    """A network with the graph that it was read from, to run and to measure it."""

    network: Network
    graph: NirGraph


def load_nir(source: Any) -> Network:
    """Read the path of a .nir file, or a ``nir.NIRGraph``. Raises :class:`ModelError`."""
    return open_nir(source).network


def open_nir(source: Any) -> NirNetwork:
    """The graph and its network."""
    graph = read_nir(source)
    layers = tuple(_layer(node) for node in graph.nodes if is_layer(node))
    outputs = tuple(
        dict.fromkeys(
            name for node in graph.outputs for name in _origins(graph, node) if name != INPUT
        )
    )
    edges: dict[tuple[str, str], int] = {}
    for node in graph.nodes:
        if is_layer(node):
            for source_name in _origins(graph, node):
                edges[source_name, node.name] = math.prod(node.in_shape)
    network = Network(
        layers,
        tuple(Edge(a, b, n) for (a, b), n in edges.items()),
        outputs,
        Origin("nir", graph.name, graph.sha256),
        tuple(node.out_shape for node in graph.inputs),
        notes=("one time step: NIR does not say how many an inference has", *graph.notes),
    )
    return NirNetwork(network, graph)


def is_layer(node: NirNode) -> bool:
    return node.type not in ("Input", "Output")


def is_synaptic(node: NirNode) -> bool:
    return node.type in _SYNAPTIC


def signals(graph: NirGraph, input_signal: Signal) -> dict[str, Signal]:
    """node -> signal at its INPUT, declared by the nodes that feed it.

    Neurons with a threshold send spikes; Flatten, Delay, Input and Output hand on what they get;
    everything else, and every sum of several edges, is analog.
    """
    out: dict[str, Signal] = {}
    found: dict[str, Signal] = {}
    moving = ("Flatten", "Delay", "Input", "Output")
    for _ in range(2):  # twice: edges of cycles and into delay lines come from later nodes
        for node in graph.nodes:
            sources = (*node.inputs, *node.delayed)
            spiking = len(sources) == 1 and out.get(sources[0]) == "spike"
            found[node.name] = "spike" if spiking else "analog"
            if not sources:
                found[node.name] = input_signal
            model = TYPES[node.type].model
            if model:
                out[node.name] = "spike" if NEURONS[model].signal == "spike" else "analog"
            else:
                out[node.name] = found[node.name] if node.type in moving else "analog"
    return found


def _origins(graph: NirGraph, node: NirNode) -> tuple[str, ...]:
    """Layers (or the input) that feed a node, through Input and Output nodes."""
    found: dict[str, None] = {}
    stack = list(reversed(node.inputs))
    while stack:
        source = graph[stack.pop()]
        if is_layer(source):
            found[source.name] = None
        elif source.inputs:
            stack.extend(reversed(source.inputs))
        elif source.type == "Input":
            found[INPUT] = None
    return tuple(found)


def _layer(node: NirNode) -> Layer:
    size_in, size_out = math.prod(node.in_shape), math.prod(node.out_shape)
    model = TYPES[node.type].model
    if node.type not in _SYNAPTIC:
        return Layer(
            node.name,
            model or _KINDS[node.type],
            node.in_shape,
            node.out_shape,
            n_neurons=size_out,
            n_inputs=size_in,
            neuron=model or None,
        )
    weight = node.array("weight")
    bias = int(np.size(node.parameters["bias"])) if "bias" in node.parameters else 0
    base = Layer(
        node.name,
        _SYNAPTIC[node.type],
        node.in_shape,
        node.out_shape,
        n_neurons=size_out,
        n_inputs=size_in,
        n_weights=int(weight.size),
        n_biases=bias,
    )
    if base.kind == "linear":
        return replace(base, n_synapses=int(weight.size), n_synapses_exact=int(weight.size))
    rank = weight.ndim - 2
    pads = conv_padding(node.parameters)
    layer = replace(
        base,
        kernel=tuple(int(k) for k in weight.shape[2:]),
        stride=as_sizes(node.parameters, "stride", rank),
        padding=(
            tuple(p for p, _ in pads)
            if all(a == b for a, b in pads)
            else (*(a for a, _ in pads), *(b for _, b in pads))
        ),
        dilation=as_sizes(node.parameters, "dilation", rank),
        groups=int(node.array("groups").reshape(-1)[0]),
        n_synapses=size_out * math.prod(weight.shape[1:]),
    )
    return replace(layer, n_synapses_exact=conv_exact_synapses(layer))
