"""A converted network (``ts.convert(model, "snn")``) as NIR nodes.

    V += I(t);  s(t) = 1 if V >= theta else 0;  V -= theta s(t),  V(0) given

becomes ``IF`` with r = 1/dt, v_threshold = theta; grid weights become real weights again, with the
value of one input spike folded in. Values that travel as spikes on identity connections (residual
sums, average pools) get a ``Scale`` with the value of one spike. A constant current of the neurons
(bias correction) goes into the bias of the synapses before them.

With ``analog="inside"`` the analog layers before the first neurons are NIR nodes too, fed with the
same input at every step. With "outside" the graph begins where analog values enter neurons, and
ends where accumulated currents are read: what lies outside is for :func:`export_onnx`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tospike.conversion.converted import Converted
from tospike.conversion.graph import (
    Add,
    AvgPool,
    Input,
    Node,
    Route,
    Synapse,
)
from tospike.conversion.neurons import from_memory_order
from tospike.conversion.nir.export import (
    SOFT,
    START,
    add_avg_pool,
    add_conv,
    add_flatten,
    add_linear,
)
from tospike.conversion.nir.write import GraphBuilder
from tospike.errors import ConversionError

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Borders:
    """Where the spiking part begins and ends. inputs : nodes whose analog values drive neurons;
    inner : nodes of the spiking part, in order; outputs : nodes whose currents are read out."""

    inputs: tuple[str, ...]
    inner: tuple[str, ...]
    outputs: tuple[str, ...]


def borders(network: Converted, analog: str) -> Borders:
    """The cut between the spiking and the analog part."""
    graph, plan = network.graph, network.prepared.plan
    if analog == "inside":
        wanted = plan.spikes | plan.current | plan.analog
        inner = tuple(n.name for n in graph.nodes if n.name in wanted)
        return Borders((), inner, (graph.output,))
    own = {n.name for n in graph.nodes if n.name in plan.spikes or n.name in plan.driven}
    own &= plan.spikes | plan.current | plan.analog
    reads = [name for n in graph.nodes if n.name in own for name in n.inputs]
    outputs = tuple(
        n.name
        for n in graph.nodes
        if n.name in own and n.name in plan.analog and isinstance(n.spec, Synapse)
    )
    return Borders(
        tuple(dict.fromkeys(name for name in reads if name not in own)),
        tuple(n.name for n in graph.nodes if n.name in own),
        outputs,
    )


def from_converted(network: Converted, dt: float, analog: str) -> tuple[GraphBuilder, list[str]]:
    """(graph, what NIR cannot say)."""
    if network.settings.to != "snn":
        raise ConversionError(
            "export to NIR",
            received=f"a network converted to {network.settings.to!r}",
            allowed="one converted to 'snn'",
        )
    coding, schedule = network.settings.coding, network.settings.rules.schedule
    if (coding, schedule) != ("rate", "together"):
        raise ConversionError(
            "export to NIR",
            received=f"coding={coding!r}, schedule={schedule!r}: neurons that wait for a step",
            allowed="coding='rate' and schedule='together'",
            fix="NIR's neurons fire while their input arrives; convert again",
        )
    export = _Export(network, dt, borders(network, analog))
    export.walk()
    return export.builder, [SOFT, START]


class _Export:
    """One pass over the graph; ``made``: node -> NIR node that delivers its value."""

    def __init__(self, network: Converted, dt: float, cut: Borders) -> None:
        self.prepared = network.prepared
        self.graph = network.graph
        self.dt = dt
        self.cut = cut
        self.builder = GraphBuilder()
        self.made: dict[str, str] = {}
        self.scaled: dict[str, str] = {}

    def walk(self) -> None:
        plan = self.prepared.plan
        if plan.rerun:
            self.builder.reasons.append(
                "a value that is known only after all steps drives neurons again"
            )
        for name in self.cut.inputs:
            shape = np.array(self.graph[name].shape)
            self.made[name] = self.builder.add(name, "Input", (), shape=shape)
        for name in self.cut.inner:
            self.made[name] = self._node(self.graph[name])
        for name in self.cut.outputs:
            last = self.graph[name]
            own = "output" if len(self.cut.outputs) == 1 else f"{name}.output"
            if name not in plan.driven:
                self.builder.reasons.append(
                    f"{name}: the output is computed from accumulated currents, after all steps"
                )
            self.builder.add(own, "Output", (self.made[name],), shape=np.array(last.shape))

    def _node(self, node: Node) -> str:
        name, spec = node.name, node.spec
        if isinstance(spec, Input):
            return self.builder.add("input", "Input", (), shape=np.array(node.shape))
        if name in self.prepared.populations and name in self.prepared.plan.spikes:
            return self._population(node)
        match spec:
            case Synapse():
                return self._synapse(node, spec)
            case Route():
                return self._flatten(node)
            case AvgPool():
                return self._pool(node, self._value(node.inputs[0]))
            case Add():
                sources = tuple(self._value(source) for source in node.inputs)
                return self.builder.add(name, "Scale", sources, scale=np.ones(node.shape))
            case _:
                label = getattr(spec, "label", type(spec).__name__)
                plan = self.prepared.plan
                outside = name not in plan.driven and name not in plan.spikes
                hint = "; analog='outside' leaves it to ONNX" if outside else ""
                self.builder.reasons.append(f"{name}: NIR has no node for {label}{hint}")
                return self.made[node.inputs[0]] if node.inputs else name

    def _population(self, node: Node) -> str:
        """Integrate-and-fire neurons; pools and sums that fire get their current in front."""
        population = self.prepared.populations[node.name]
        sources: tuple[str, ...]
        if isinstance(node.spec, AvgPool):
            sources = (self._pool(node, self._value(node.inputs[0])),)
        else:
            sources = tuple(self._value(source) for source in node.inputs)
        theta, initial, offset = (
            self._in_shape(values, node)
            for values in (population.theta, population.initial, population.offset)
        )
        if np.any(offset != 0):
            sources = self._with_offset(node, sources, offset)
        return self.builder.add(
            f"{node.name}.if" if isinstance(node.spec, AvgPool) else node.name,
            "IF",
            sources,
            metadata={"v_initial": initial},
            r=np.full(node.shape, 1.0 / self.dt),
            v_threshold=theta,
            v_reset=np.zeros(node.shape),
        )

    def _with_offset(self, node: Node, sources: tuple[str, ...], offset: Floats) -> tuple[str, ...]:
        """``sources`` with a constant current per channel: in a bias, or behind unit weights."""
        channels = offset.reshape(offset.shape[0], -1)
        if not np.all(channels == channels[:, :1]):
            self.builder.reasons.append(f"{node.name}: a constant current that differs by position")
            return sources
        per_channel = channels[:, 0]
        if any(self._in_bias(source, per_channel) for source in sources):
            return sources
        name, n = f"{node.name}.offset", len(per_channel)
        if n > 1024 or offset.ndim not in (1, 3):
            self.builder.reasons.append(f"{node.name}: NIR has no place for a constant current")
            return sources
        if offset.ndim == 1:
            return (add_linear(self.builder, name, sources, np.eye(n), per_channel),)
        unit = np.eye(n).reshape(n, n, 1, 1)
        return (add_conv(self.builder, name, sources, unit, per_channel, (), (), (), 1),)

    def _in_bias(self, source: str, per_channel: Floats) -> bool:
        """Add to the bias of synapses that feed nothing else; sums are looked through."""
        names = [name for name, made in self.made.items() if made == source]
        readers = [r for name in names for r in self.graph.consumers[name]]
        if len([r for r in readers if r.name in self.cut.inner]) != 1:
            return False
        made = self.builder.nodes[source]
        if "bias" in made:
            made["bias"] = made["bias"] + per_channel
            return True
        if made["type"] == "Scale" and np.all(made["scale"] == 1):
            before = [a for a, b in self.builder.edges if b == source]
            return any(self._in_bias(name, per_channel) for name in before)
        return False

    def _value(self, source: str) -> str:
        """The node that delivers the analog value of ``source``: spikes times their value."""
        spiking = source in self.prepared.plan.spikes
        if not spiking:
            return self.made[source]
        if source not in self.scaled:
            amplitude = self.prepared.amplitudes[source].double().numpy()[0]
            shape = self.graph[source].shape
            self.scaled[source] = self.builder.add(
                f"{source}.value",
                "Scale",
                (self.made[source],),
                scale=np.ascontiguousarray(np.broadcast_to(amplitude, shape)),
            )
        return self.scaled[source]

    def _in_shape(self, values: Floats, node: Node) -> Floats:
        """Per neuron in memory order (channels innermost) -> the node's own shape."""
        shape = node.shape
        memory = (*shape[1:], shape[0]) if len(shape) in (3, 4) else shape
        folded = torch.from_numpy(np.ascontiguousarray(values)).reshape(1, *memory)
        return np.ascontiguousarray(from_memory_order(folded)[0].numpy())

    def _synapse(self, node: Node, spec: Synapse) -> str:
        if node.name in self.prepared.synapses:
            grid = self.prepared.synapses[node.name]
            gain = grid.gain.reshape(-1)
            weight = grid.weight.double() * gain.reshape(-1, *(1,) * (grid.weight.dim() - 1))
            bias: Tensor | None = grid.offset.reshape(-1)
            source = self.made[node.inputs[0]]
        else:
            weight = spec.weight.double()
            bias = None if spec.bias is None else spec.bias.double()
            source = self._value(node.inputs[0])
        values = np.ascontiguousarray(weight.numpy())
        offsets = None if bias is None else np.ascontiguousarray(bias.numpy())
        if spec.transposed:
            self.builder.reasons.append(f"{spec.layer}: NIR has no transposed convolution")
        if any(low != high for low, high in spec.padding):
            self.builder.reasons.append(f"{spec.layer}: NIR pads both sides alike")
        if spec.kind == "linear":
            if len(self.graph[node.inputs[0]].shape) != 1:
                self.builder.reasons.append(f"{spec.layer}: a linear layer on several positions")
            return add_linear(self.builder, spec.layer, (source,), values, offsets)
        padding = [low for low, _ in spec.padding]
        return add_conv(
            self.builder,
            spec.layer,
            (source,),
            values,
            offsets,
            spec.stride,
            padding,
            spec.dilation,
            spec.groups,
        )

    def _flatten(self, node: Node) -> str:
        """A route that keeps the order of values and gives one dimension."""
        shape = self.graph[node.inputs[0]].shape
        probe = torch.arange(int(np.prod(shape)), dtype=torch.float64).reshape(1, *shape)
        moved = _run(node.spec, probe)
        plain = moved.numel() == probe.numel() and bool(
            (moved.reshape(-1) == probe.reshape(-1)).all()
        )
        if plain and tuple(node.shape) == tuple(shape):
            return self.made[node.inputs[0]]
        if not plain or len(node.shape) != 1:
            self.builder.reasons.append(f"{node.name}: NIR has no node for this reshaping")
        return add_flatten(self.builder, node.name, (self.made[node.inputs[0]],))

    def _pool(self, node: Node, source: str) -> str:
        """An average pool whose windows tile the plane; others are refused."""
        shape = self.graph[node.inputs[0]].shape
        name = node.name
        if len(shape) != 3 or len(node.shape) not in (1, 3):
            self.builder.reasons.append(f"{name}: NIR has no average over {shape} -> {node.shape}")
            return source
        out = node.shape[1:] if len(node.shape) == 3 else (1, 1)
        kernel = (shape[1] // out[0], shape[2] // out[1])
        probe = torch.rand(
            2, *shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0)
        )
        expected = torch.nn.functional.avg_pool2d(probe, kernel)
        found = _run(node.spec, probe)
        if found.numel() != expected.numel() or not torch.allclose(
            found.reshape(-1), expected.reshape(-1), rtol=1e-9, atol=0
        ):
            self.builder.reasons.append(f"{name}: an average pool with overlap, border or padding")
        made = add_avg_pool(self.builder, name, (source,), kernel, kernel, (0, 0))
        if len(node.shape) == 1:
            made = add_flatten(self.builder, f"{name}.flat", (made,))
        return made


def _run(spec: Any, x: Tensor) -> Tensor:
    with torch.inference_mode():
        moved: Tensor = spec.run(x)
    return moved
