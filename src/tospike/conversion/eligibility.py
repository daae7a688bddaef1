"""Which layers may receive spikes, which values are spiking populations, and why not the others.

A value can be carried by spikes if it comes from rectifying activations (ReLU, ReLU6, clamp at
0) through max-pool, average pool, data movement, concatenation and sums of such. Average pools
and sums get their own integrate-and-fire neurons, so that what leaves them is binary again.
"""

from __future__ import annotations

from dataclasses import dataclass

from tospike.conversion.graph import (
    Add,
    Affine,
    AvgPool,
    Concat,
    Constant,
    ExecutableGraph,
    Input,
    MaxPool,
    Node,
    Opaque,
    Rectify,
    Route,
    Synapse,
)

#: opaque operations that only move values: the reason is then that of what they move
MOVES = frozenset(
    {
        "expand",
        "gather",
        "getitem",
        "permute",
        "reshape",
        "select",
        "slice",
        "squeeze",
        "transpose",
        "unsqueeze",
        "view",
    }
)


def reasons(graph: ExecutableGraph) -> dict[str, str]:
    """node name -> "" if its value can be carried by spikes, else why not."""
    found: dict[str, str] = {}
    for node in graph.nodes:
        found[node.name] = _reason(node, found)
    return found


def _reason(node: Node, found: dict[str, str]) -> str:
    spec = node.spec
    if not node.batched and not isinstance(spec, Opaque):
        return "the batch is not its leading dimension"
    match spec:
        case Input():
            return "its input is the network's analog input"
        case Constant():
            return "its input is a constant"
        case Synapse():
            return f"its input is the signed output of {spec.layer} without a rectifier"
        case Affine():
            return "its input is scaled or shifted after the last rectifier"
        case Opaque():
            moved = spec.label.lower() in MOVES
            if moved and node.inputs and found.get(node.inputs[0]):
                return found[node.inputs[0]]
            return f"its input comes from {spec.label}, which is not a rectifier"
        case Rectify():
            return ""
        case MaxPool() | AvgPool() | Route() | Concat() | Add():
            return next((found[name] for name in node.inputs if found[name]), "")


def eligibility(graph: ExecutableGraph) -> dict[str, str]:
    """layer -> "" if its synapses may receive spikes, else the reason."""
    carried = reasons(graph)
    verdict: dict[str, str] = {}
    for node in graph.nodes:
        spec = node.spec
        if isinstance(spec, Opaque):
            for layer in spec.layers:
                verdict[layer] = f"{spec.label} has no spiking form here"
        elif isinstance(spec, Synapse):
            reason = carried[node.inputs[0]]
            if not reason and not node.batched:
                reason = "the batch is not its leading dimension"
            # A shared layer may spike only if all its uses may.
            verdict[spec.layer] = verdict.get(spec.layer, "") or reason
    return verdict


def populations(graph: ExecutableGraph) -> tuple[str, ...]:
    """Nodes that become neurons if their value is to be carried by spikes."""
    carried = reasons(graph)
    return tuple(
        node.name
        for node in graph.nodes
        if carried[node.name] == "" and isinstance(node.spec, Rectify | AvgPool | Add)
    )


@dataclass(frozen=True)
class Plan:
    """What each node must deliver in one partition.

    Attributes
    ----------
    spiking : layers whose synapses receive spikes.
    driven : nodes whose value builds up over time steps.
    late : nodes whose analog value is known only after T steps.
    spikes, current, analog : nodes that must deliver spikes, input currents, analog values.
    rerun : True if a value that is known only after T steps drives spiking neurons again: then
        every T needs its own run.
    """

    spiking: frozenset[str]
    driven: frozenset[str]
    late: frozenset[str]
    spikes: frozenset[str]
    current: frozenset[str]
    analog: frozenset[str]
    rerun: bool


def plan(graph: ExecutableGraph, spiking: frozenset[str]) -> Plan:
    """The plan of one partition, found by one pass down and one pass up."""
    carried = reasons(graph)
    driven: set[str] = set()
    late: set[str] = set()
    for node in graph.nodes:
        spec = node.spec
        if isinstance(spec, Synapse):
            if spec.layer in spiking:
                driven.add(node.name)
        elif isinstance(spec, MaxPool):
            if carried[node.name] == "" and node.inputs[0] in driven:
                driven.add(node.name)
        elif (
            isinstance(spec, Affine | Rectify | AvgPool | Route | Concat | Add)
            and node.batched
            and any(name in driven for name in node.inputs)
        ):
            driven.add(node.name)
        if node.name in driven or any(name in late for name in node.inputs):
            late.add(node.name)
    demands = _Demands(graph, spiking, driven, carried)
    demands.walk()
    rerun = any(name in late and name not in driven for name in demands.constants)
    return Plan(
        spiking,
        frozenset(driven),
        frozenset(late),
        frozenset(demands.spikes),
        frozenset(demands.current),
        frozenset(demands.analog),
        rerun,
    )


class _Demands:
    """The upward pass: which form of each node's value is asked for by its readers."""

    def __init__(
        self,
        graph: ExecutableGraph,
        spiking: frozenset[str],
        driven: set[str],
        carried: dict[str, str],
    ) -> None:
        self.graph = graph
        self.spiking = spiking
        self.driven = driven
        self.carried = carried
        self.spikes: set[str] = set()
        self.current: set[str] = set()
        self.analog: set[str] = {graph.output}
        self.constants: set[str] = set()  # nodes whose analog value is used as a current

    def walk(self) -> None:
        """Visit readers before what they read."""
        for node in reversed(self.graph.nodes):
            if node.name in self.spikes:
                self._spikes(node)
            if node.name in self.current:
                self._current(node)
            if node.name in self.analog:
                self._analog(node)

    def _spikes(self, node: Node) -> None:
        if isinstance(node.spec, Rectify | AvgPool | Add):
            self.current.update(node.inputs)
        else:
            self.spikes.update(node.inputs)

    def _current(self, node: Node) -> None:
        name, spec = node.name, node.spec
        if name in self.spikes:
            return  # its own spikes are the current
        if name not in self.driven:
            self.analog.add(name)
            self.constants.add(name)
        elif isinstance(spec, Synapse):
            self.spikes.update(node.inputs)
        elif isinstance(spec, Rectify | MaxPool):
            self.spikes.add(name)
            self._spikes(node)
        else:
            self.current.update(node.inputs)

    def _analog(self, node: Node) -> None:
        if isinstance(node.spec, Synapse) and node.spec.layer in self.spiking:
            self.current.add(node.name)
            self.spikes.update(node.inputs)
        else:
            self.analog.update(node.inputs)
