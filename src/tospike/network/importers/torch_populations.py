"""Populations of neurons in a traced module: one node each, with their steps and their sources."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from tospike.network.importers import torch_tables as tables
from tospike.network.importers.neurons import Population, n_steps, populations_of
from tospike.network.importers.neurons_record import find
from tospike.network.importers.torch_nodes import Nodes
from tospike.network.importers.torch_provenance import Info, Provenance, storage_id
from tospike.network.importers.torch_run import Frame, tensors_in
from tospike.network.network import Network
from tospike.network.neuron.record import Signal

Edges = Iterable[tuple[str, str]]


@dataclass(slots=True)
class Call:
    """One call of a population under way."""

    input_shape: tuple[int, ...]
    connected: set[int] = field(default_factory=set)


def steps_in(
    population: Population,
    module: torch.nn.Module,
    input_shape: tuple[int, ...],
    output_shape: tuple[int, ...],
) -> int:
    """Time steps in one call of a population."""
    shape = input_shape if population.kind.from_input else output_shape
    return n_steps(population.kind, module, shape)


class Populations:
    """What a trace knows of the neurons of a module.

    The operations inside of a neuron make no layers of their own: the population is one node,
    fed by what enters it, and its own synapses (recurrent weights) stay layers.
    """

    def __init__(self, root: torch.nn.Module, nodes: Nodes, provenance: Provenance) -> None:
        self.found: dict[str, Population] = populations_of(root)
        self.nodes = nodes
        self.provenance = provenance
        self.steps: dict[str, int] = {}
        self.names: dict[str, str] = {}
        self._calls: dict[str, Call] = {}
        #: child that carries the output of the step before back -> its population
        self._back = {
            f"{path}.{p.kind.recurrent}" if path else p.kind.recurrent: p
            for path, p in self.found.items()
            if p.kind.recurrent
        }

    def around(self, frames: list[Frame]) -> str | None:
        """Path of the innermost population whose call is under way."""
        if not self.found:
            return None
        return next((f.path for f in reversed(frames) if f.path in self._calls), None)

    def on_enter(self, module: torch.nn.Module, path: str, inputs: Any) -> None:
        """A module is called."""
        tensors = tensors_in(inputs)
        back = self._back.get(path)
        if back is not None and tensors:
            # zeros before the first step, its own output later
            info = self.provenance.get(tensors[0])
            made = replace(info, data=True, signal=back.neurons.signal, steps=1)
            self.provenance.set(tensors[0], made)
        if path in self.found:
            self._calls[path] = Call(tuple(tensors[0].shape) if tensors else ())

    def back_signal(self, parameter: str | None) -> str | None:
        """Signal that enters a recurrent weight of a population; None for any other parameter."""
        back = self._back.get(parameter) if parameter else None
        return back.neurons.signal if back is not None else None

    def operation(self, path: str, infos: list[tuple[torch.Tensor, Info]]) -> Info:
        """An operation inside of a population: provenance of its outputs."""
        name = self._name(path)
        call = self._calls[path]
        for tensor, info in infos:
            own = info.sources <= {name}
            if not info.data or own or info.signal == "none":
                continue
            if storage_id(tensor) not in call.connected:
                call.connected.add(storage_id(tensor))
                self.nodes.connect(name, [(tensor, info)])
        return Info(frozenset({name}), data=True)

    def on_leave(self, module: torch.nn.Module, path: str, output: Any) -> bool:
        """A population has returned; False for any other module."""
        call = self._calls.pop(path, None)
        tensors = tensors_in(output)
        if call is None or not tensors:
            return call is not None
        population, first = self.found[path], tensors[0]
        shape = tuple(first.shape)
        steps = steps_in(population, module, call.input_shape, shape)
        name = self._name(path)
        info = self.provenance.get(first)
        if info.data and name not in info.sources:
            # made by synapses alone
            self.nodes.connect(name, [(first, info)])
        self.steps[name] = steps
        self.nodes.called(name, call.input_shape, shape)
        # an output that is a summary over time holds one step
        held = steps if not population.kind.from_input or shape == call.input_shape else 1
        signal = signal_of(module, population)
        self.provenance.set(first, Info(frozenset({name}), True, info.params, signal, held))
        return True

    def _name(self, path: str) -> str:
        if path not in self.names:
            model = self.found[path].neurons.model
            self.names[path] = self.nodes.population_name(path, model)
        return self.names[path]

    def fed_by(
        self, edges: Edges, synaptic: Mapping[str, object]
    ) -> tuple[dict[str, str], dict[str, str]]:
        """synaptic layer -> the population that it feeds, through layers without synapses.

        The second mapping also has the layers that feed synapses inside of a population (Norse's
        input weights): they share its time steps.
        """
        incoming: dict[str, list[str]] = {}
        for source, target in edges:
            incoming.setdefault(target, []).append(source)
        nodes = {name: path for path, name in self.names.items()}
        feeds: dict[str, str] = {}
        near: dict[str, str] = {}
        for name, path in nodes.items():
            stack = [(source, True) for source in incoming.get(name, ())]
            seen = {name}
            while stack:
                source, direct = stack.pop()
                if source in seen or source in nodes:
                    continue
                seen.add(source)
                own = source == path or source.startswith(f"{path}.")
                if source in synaptic:
                    near.setdefault(source, path)
                    if direct:
                        feeds.setdefault(source, path)
                    if not own:
                        continue
                    direct = False
                stack += [(before, direct) for before in incoming.get(source, ())]
        return feeds, near


def signal_of(module: torch.nn.Module, population: Population) -> Signal:
    """Declared signal of a population; a line of the user's for its class comes first."""
    own = find(tables.SPIKING_MODULES, type(module))
    if own is not None:
        return "spike" if own[1] == "spike" else "analog"
    return population.neurons.signal


def over_time(network: Network, timesteps: int) -> Network:
    """The network of one call as one of ``timesteps`` calls per inference."""
    if timesteps == 1:
        return network
    counts = ("n_synapses", "n_synapses_exact", "n_neurons", "n_inputs", "calls")
    layers = []
    for layer in network.layers:
        more = {name: getattr(layer, name) * timesteps for name in counts}
        layers.append(replace(layer, **more, extra=_over_time(layer.extra, timesteps)))
    edges = (replace(edge, n_values=edge.n_values * timesteps) for edge in network.edges)
    note = f"one call per time step, {timesteps} per inference"
    return replace(network, layers=tuple(layers), edges=tuple(edges), notes=(*network.notes, note))


def _over_time(extra: dict[str, str | int | float], timesteps: int) -> dict[str, str | int | float]:
    if "second_operand" not in extra:
        return extra
    return {**extra, "second_operand": int(extra["second_operand"]) * timesteps}
