"""``Workload``, ``LayerRun`` and ``MachineRun``: what a machine is given, and what it did."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from tospike.actions import ActionCounts
from tospike.activity import ActivityProfile
from tospike.architecture import Architecture
from tospike.network import Network
from tospike.technology.dram import DramCommands


@dataclass(frozen=True, eq=False)
class Workload:
    """What runs.

    activity : zero fractions, spikes or temporal sparsity per synaptic layer; or None if traces
        are given.
    traces : layer name -> the layer's input, as it really was: (samples, *input_shape) of values,
        (T, samples, *input_shape) of spikes, (T, n) of a stream. Statistics stand in for layers
        without a trace, where a machine can work with them; else it refuses.
    batch : inferences that run together and share what is loaded.
    weight_zeros : layer name -> share of weights that are zero, or the weights themselves; for
        machines that skip zero weights.
    """

    network: Network
    activity: ActivityProfile | None = None
    traces: Mapping[str, NDArray[np.generic]] = field(default_factory=dict)
    batch: int = 1
    weight_zeros: Mapping[str, float | NDArray[np.generic]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Traffic:
    """Bytes read from and written to one memory level."""

    read: float = 0.0
    written: float = 0.0

    @property
    def total(self) -> float:
        """Both directions."""
        return self.read + self.written


@dataclass(frozen=True)
class LayerRun:
    """One layer, for the whole batch.

    cycles : from its start to its end, stalls included. busy : cycles in which PEs computed.
    stalls : cycles by cause ("dram_load", "ramp_up", "output", ...).
    macs : MACs of a dense machine; operations : those that were executed (not skipped).
    active_pe : PEs that have work in this layer. bytes : per memory level, by its name in the
    architecture. dram : commands of the simulated DRAM, where there is one; the layer's DRAM
    accesses are then not in the counts of the run.
    """

    name: str
    cycles: int
    busy: int
    macs: float
    operations: float
    active_pe: int
    bytes: Mapping[str, Traffic]
    stalls: Mapping[str, int] = field(default_factory=dict)
    dram: DramCommands | None = None

    @property
    def utilisation(self) -> float:
        """Executed operations over the slots of the active PEs in all cycles; nan if none."""
        slots = self.active_pe * self.cycles
        return self.operations / slots if slots else float("nan")


@dataclass(frozen=True)
class MachineRun:
    """A simulated inference (or batch). Modelled by cycle, not measured on silicon.

    counts : actions of the whole batch, to be priced with the architecture's technology; DRAM
        that was simulated by command stands in ``LayerRun.dram`` instead.
    """

    architecture: Architecture
    batch: int
    layers: tuple[LayerRun, ...]
    counts: ActionCounts
    assumptions: tuple[str, ...] = ()
    out_of_range: tuple[str, ...] = ()

    @property
    def cycles(self) -> int:
        """All layers, one after the other."""
        return sum(layer.cycles for layer in self.layers)

    @property
    def latency(self) -> float:
        """Seconds of the whole batch."""
        return self.cycles / self.architecture.clock.value

    @property
    def macs(self) -> float:
        """MACs of a dense machine for the whole batch."""
        return sum(layer.macs for layer in self.layers)

    @property
    def effective_ops(self) -> float:
        """Effective throughput in Op/s: 2 Op per MAC of the *dense* network, skipped or not."""
        return 2 * self.macs / self.latency if self.cycles else float("nan")
