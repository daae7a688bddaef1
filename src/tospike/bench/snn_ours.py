"""Our runtime as a contender of ``tospike bench snn``."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tospike.bench.snn_cases import as_int8
from tospike.bench.snn_peers import Run, Setting, Watch
from tospike.kernels.spiking.engine import Policy, SpikingEngine
from tospike.kernels.spiking.record import Population

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Variant:
    """How the runtime is set."""

    name: str
    policy: Policy
    weights: str
    path: str


VARIANTS = (
    Variant("tospike", "calibrated", "float32", "event-driven or dense, per layer and step"),
    Variant("tospike int8", "calibrated", "int8", "event-driven or dense, per layer and step"),
    Variant("tospike event-driven", "event", "float32", "event-driven"),
)


def our_run(setting: Setting, variant: Variant) -> Run:
    """The engine. Spikes are watched in networks that end at each population in turn, and must
    add up to what the whole network counts.
    """
    network = as_int8(setting.network) if variant.weights == "int8" else setting.network
    steps = setting.timesteps
    engine = SpikingEngine(network, threads=setting.threads, policy=variant.policy)

    def run(inputs: Floats, watch: Watch | None = None) -> Floats:
        found = engine.run(inputs, steps)
        if watch is None:
            return found.outputs.astype(np.float32)
        for i, node in enumerate(network.nodes):
            if not isinstance(node, Population):
                continue
            part = replace(network, nodes=network.nodes[: i + 1])
            short = SpikingEngine(part, threads=setting.threads, policy=variant.policy)
            counts = short.run(inputs, steps).accumulated
            spikes = np.diff(counts, axis=0, prepend=0).astype(np.uint8)
            sent = spikes.reshape(*spikes.shape[:2], -1).sum(axis=2, dtype=np.int64)
            if np.array_equal(sent, found.spikes[node.name]):
                watch[node.name] = spikes
        return found.outputs.astype(np.float32)

    return run
