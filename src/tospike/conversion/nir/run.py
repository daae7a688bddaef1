"""``run_nir``: a NIR graph on data, with outputs, spikes and activity."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tospike.activity.measure_nir import NirMeter
from tospike.activity.profile import ActivityProfile, Signal
from tospike.errors import OptionError, unknown_name
from tospike.network.importers.nir_graph import NirNetwork, open_nir
from tospike.network.importers.nir_neurons import (
    Discretisation,
    NirOptions,
    checked_options,
    options_from,
)
from tospike.network.importers.nir_record import NirGraph, NirNode
from tospike.network.importers.nir_run import simulate
from tospike.network.importers.nir_types import TYPES
from tospike.network.neuron import NEURONS
from tospike.network.neuron.record import ResetKind

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class NirRun:
    """What a NIR graph did.

    outputs : Output node -> (T, samples, *shape). spikes : neuron with a threshold -> the same,
    0 or 1, uint8. recorded : node that was asked for -> (T, samples, *shape).
    activity : at every synaptic layer's input, and of every neuron, per inference of T steps.
    """

    graph: NirGraph
    options: NirOptions
    outputs: Mapping[str, Floats]
    spikes: Mapping[str, NDArray[np.uint8]]
    recorded: Mapping[str, Floats]
    activity: ActivityProfile

    @property
    def output(self) -> Floats:
        """The output of a graph with one Output node."""
        if len(self.outputs) != 1:
            raise OptionError(
                "take the output of a NIR graph",
                received=f"{len(self.outputs)} Output nodes",
                fix="take one of .outputs",
            )
        return next(iter(self.outputs.values()))


def run_nir(
    graph: Any,
    x: Any,
    *,
    dt: float | None = None,
    reset: ResetKind | None = None,
    reset_delay: int | None = None,
    discretisation: Discretisation | None = None,
    tie_fires: bool | None = None,
    current_delay: int = 0,
    initial: Mapping[str, Any] | None = None,
    input_signal: Signal = "analog",
    record: Collection[str] = (),
) -> NirRun:
    """Execute a NIR graph on data, in float64.

    Parameters
    ----------
    graph : path of a .nir file, or a ``nir.NIRGraph``.
    x : (T, samples, *shape), or a mapping from Input node to such arrays.
    dt, reset : have no default, because NIR states neither: None only where the file's metadata
        says them (files that ``export_nir`` wrote).
    reset_delay, discretisation, tie_fires, current_delay, initial : see
        :class:`~tospike.network.importers.nir_neurons.NirOptions`.
    input_signal : "spike" where the data are 0 and 1.
    record : names of nodes whose outputs are kept as well.

    Raises
    ------
    ModelError, DataError, OptionError, StatisticError, UnknownNameError
    """
    opened = open_nir(graph)
    options = options_from(
        opened.graph,
        dt=dt,
        reset=reset,
        reset_delay=reset_delay,
        discretisation=discretisation,
        tie_fires=tie_fires,
        current_delay=current_delay,
        initial=initial,
    )
    return _recorded(opened, x, options, input_signal, record)


def _recorded(
    opened: NirNetwork, x: Any, options: NirOptions, input_signal: Signal, record: Collection[str]
) -> NirRun:
    """Run the graph and keep outputs, spikes and what was asked for."""
    checked_options(opened.graph, options)
    for name in record:
        if name not in opened.graph.by_name:
            raise unknown_name("NIR node", name, tuple(opened.graph.by_name))
    meter = NirMeter(opened, input_signal)
    kept: dict[str, list[Floats]] = {}
    wanted = {node.name for node in opened.graph.outputs} | set(record)
    firing = {node.name for node in opened.graph.nodes if fires(node)}

    def observe(step: int, node: NirNode, inputs: Floats, output: Floats) -> None:
        meter.observe(step, node, inputs, output)
        if node.name in wanted or node.name in firing:
            kept.setdefault(node.name, []).append(output)

    simulate(opened.graph, x, options, observe)
    meter.end_batch()
    stacked = {name: np.stack(values) for name, values in kept.items()}
    return NirRun(
        opened.graph,
        options,
        {node.name: stacked[node.name] for node in opened.graph.outputs},
        {name: stacked[name].astype(np.uint8) for name in stacked if name in firing},
        {name: stacked[name] for name in record},
        meter.profile(opened.graph.name, options),
    )


def fires(node: NirNode) -> bool:
    """True for nodes whose output are spikes."""
    model = TYPES[node.type].model
    return bool(model) and NEURONS[model].signal == "spike"
