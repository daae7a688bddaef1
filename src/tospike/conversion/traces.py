"""``spike_traces``: what every synaptic layer of a converted network is given, step by step."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from tospike.conversion.converted import Converted
from tospike.conversion.counting import wiring
from tospike.conversion.data import as_samples
from tospike.conversion.graph import Node, Synapse
from tospike.conversion.prepare import chunk_size
from tospike.conversion.run import BUDGET
from tospike.conversion.spiking import Chunk
from tospike.errors import ConversionError

Array = NDArray[Any]


@dataclass
class _Tapped(Chunk):
    """A simulation that keeps the spikes at the input of every layer."""

    taps: dict[str, list[Array]] = field(default_factory=dict)

    def count(self, node: Node, spikes: Tensor) -> None:
        super().count(node, spikes)
        if isinstance(node.spec, Synapse):
            shape = (self.steps, self.samples, *spikes.shape[1:])
            kept = spikes.reshape(shape).numpy() != 0
            self.taps.setdefault(node.spec.layer, []).append(kept)


def spike_traces(converted: Converted, x: Any) -> dict[str, Array]:
    """Inputs of the synaptic layers of a spiking network on samples ``x`` (n, ...).

    Layers that receive spikes: (T, n, *input_shape) of bool. Layers with analog input, such as the
    first one: (n, *input_shape) of float32. Layers that run more than once are left out.
    Raises :class:`ConversionError` for another network than one of ``convert(..., to="snn")`` with
    the rate code.
    """
    settings = converted.settings
    if settings.to != "snn" or settings.coding != "rate":
        raise ConversionError(
            "record the spikes of a converted network",
            received=f"a network converted to {settings.to!r}, coding {settings.coding!r}",
            allowed="to='snn', coding='rate'",
        )
    graph, wires = converted.graph, wiring(converted.graph)
    samples = as_samples(graph, x, asked="record the spikes of the network")
    size = chunk_size(graph, settings.timesteps, BUDGET)
    spikes: dict[str, list[Array]] = {}
    analog: dict[str, list[Array]] = {}
    several: set[str] = set()
    for start in range(0, len(samples), size):
        part = samples[start : start + size]
        chunk = _Tapped(converted.prepared, part, (settings.timesteps,), wires)
        chunk.run()
        for name, calls in chunk.taps.items():
            spikes.setdefault(name, []).append(calls[0])
            several |= {name} if len(calls) > 1 else set()
        for node, values in chunk.counts.analog.items():
            name = wires[node].layer
            value = values[0].float().numpy()
            if name in spikes or value.shape[0] != len(part):
                several.add(name)
            analog.setdefault(name, []).append(value)
    found = {name: np.concatenate(parts, axis=1) for name, parts in spikes.items()}
    found |= {name: np.concatenate(parts) for name, parts in analog.items()}
    return {name: trace for name, trace in found.items() if name not in several}
