"""A converted spiking network as a program: all steps at once, or step by step."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from tospike.conversion.converted import Converted
from tospike.conversion.counting import wiring
from tospike.conversion.data import as_samples
from tospike.conversion.neurons import Floats, in_memory_order
from tospike.conversion.run import checked_timesteps
from tospike.conversion.spiking import read_out
from tospike.conversion.spiking_network import in_channel_order, one_step, spiking_network
from tospike.errors import DataError
from tospike.kernels.spiking.engine import Policy

Array = NDArray[np.float32]


@dataclass(frozen=True)
class SpikingStatistics:
    """Totals of all samples and steps that :meth:`CompiledSnn.run` has seen.

    spikes : population -> spikes sent. operations : spiking layer -> synaptic operations.
    """

    samples: int
    steps: int
    spikes: dict[str, float]
    operations: dict[str, float]


class CompiledSnn:
    """A converted SNN on the event-driven engine. NumPy in, NumPy out.

    Spikes and outputs are those of :func:`~tospike.conversion.run.run_snn`, bit by bit, as long as
    potentials stay below 2048 thresholds (256 where weights have more than 8 bits).

    Parameters
    ----------
    converted : what ``ts.convert(..., to="snn")`` returned.
    threads, policy : see :class:`~tospike.kernels.spiking.engine.SpikingEngine`.

    Raises
    ------
    ConversionError
        The spiking part is no chain of synapses, neurons, pools and views; all reasons are listed.
    """

    def __init__(
        self, converted: Converted, *, threads: int = 1, policy: Policy = "calibrated"
    ) -> None:
        self.graph = converted.graph
        self.timesteps = converted.settings.timesteps
        self._program = spiking_network(converted.prepared, threads=threads, policy=policy)
        self._wires = wiring(self.graph)
        self._lock = threading.Lock()
        self._samples = self._steps = 0
        self._spikes: dict[str, float] = {}
        self._operations: dict[str, float] = {}
        self._drive: Floats | None = None
        self._v: Floats | None = None
        self._taken = 0
        self._total = torch.zeros((), dtype=torch.float64)

    def run(self, x: Any, timesteps: int | None = None) -> Array:
        """Outputs (N, ...) float32 for samples ``x`` (N, ...) after ``timesteps`` steps.

        Always from the initial potentials; the state of :meth:`step` is left alone. None means the
        T of the conversion.
        """
        (steps,) = checked_timesteps((self.timesteps if timesteps is None else timesteps,))
        samples = as_samples(self.graph, x, asked="run the compiled network")
        with self._lock:
            outputs, counts = self._program.run(samples, (steps,), self._wires)
            self._samples += len(samples)
            self._steps += steps * len(samples)
            for name, sent in counts.neurons.items():
                self._spikes[name] = self._spikes.get(name, 0.0) + float(sent.sum())
            for name, (_, operations) in counts.inputs.items():
                layer = self._wires[name].layer
                self._operations[layer] = self._operations.get(layer, 0.0) + float(operations.sum())
        found: Array = outputs[-1].float().numpy()
        return found

    def step(self, x: Any = None) -> Array:
        """One more step: the outputs (N, ...) that :meth:`run` gives after as many steps.

        ``x`` : samples (N, ...) in the first step, None in those after it.

        Raises
        ------
        DataError
            No samples in the first step, or samples in a later one.
        """
        with self._lock, torch.inference_mode():
            if (x is None) == (self._drive is None):
                raise DataError(
                    "step the compiled network",
                    received="no samples in the first step" if x is None else "samples again",
                    allowed="samples in the first step, none in those after it",
                    fix="call reset() before other samples",
                )
            program = self._program
            if x is not None:
                samples = as_samples(self.graph, x, asked="step the compiled network")
                _, current = program.head(samples, self._wires, 1)
                self._drive = in_memory_order(current.value()).flatten(1).numpy()
            assert self._drive is not None
            population = program.prepared.populations[program.first.name]
            self._v, fired = one_step(population, self._v, self._drive)
            values = in_channel_order(fired, program.first.shape)
            for stage in program.stages:
                values = stage.step(values)
            self._taken += 1
            self._total = self._total + values.double()
            grid = program.prepared.synapses[program.last.name]
            mean = read_out(grid.gain, grid.offset, [self._total], [self._taken])[0]
            found: Array = mean.float().numpy()
            return found

    def reset(self) -> None:
        """The next :meth:`step` starts from the initial potentials. Statistics are kept."""
        with self._lock:
            self._drive = self._v = None
            self._taken = 0
            self._total = torch.zeros((), dtype=torch.float64)
            for stage in self._program.stages:
                stage.reset()

    def reset_statistics(self) -> None:
        """Counters to zero."""
        with self._lock:
            self._samples = self._steps = 0
            self._spikes, self._operations = {}, {}

    @property
    def statistics(self) -> SpikingStatistics:
        """What :meth:`run` has counted."""
        return SpikingStatistics(
            self._samples, self._steps, dict(self._spikes), dict(self._operations)
        )
