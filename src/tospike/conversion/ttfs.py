"""Time-to-first-spike coding: every neuron sends at most one spike, and its time is the value.

    level   k = clip(floor((T a + V(0)) / theta), 0, T),   V(0) = theta / 2
    spike   at step T - k of the window of its layer; none if k = 0
    synapse a spike adds w theta / T to the current at every step that is left of the window, so
            that its integral is w theta k / T (IF neuron with continuous synapse)

Layers work one after the other: layer l integrates in the window in which layer l - 1 fires, and
fires in the next (Rueckauer & Liu 2018, "Conversion of analog to spiking neural networks using
sparse temporal coding", and Park et al. 2020, T2FSNN, linear kernel). The network is therefore
exactly that of T + 1 levels per activation, with a latency of T steps per window.

A window is executed at once here, since a spike's time is its level: a synapse receives k in one
product. That the spikes of every step give the same is a law of the tests.

Max-pool: the first spike of a window of inputs passes; it is the largest value. Average pools and
sums that feed synapses have neurons of their own, as in the rate code.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tospike.conversion.calibration import Calibration
from tospike.conversion.correction import corrected
from tospike.conversion.counting import Counter, count_events, profile, wiring
from tospike.conversion.data import Progress, as_labels, as_samples, batches
from tospike.conversion.eligibility import plan
from tospike.conversion.graph import ExecutableGraph, MaxPool, Node
from tospike.conversion.neurons import channels_last, from_memory_order, in_memory_order
from tospike.conversion.ops import synapse
from tospike.conversion.prepare import EXACT, Population, Prepared, Rules, prepare
from tospike.conversion.result import RunResult
from tospike.conversion.run import checked_options, checked_spiking, checked_timesteps
from tospike.conversion.scoring import FloatClasses, Score, score, uncounted
from tospike.conversion.scoring import float_classes as classes_of_float
from tospike.conversion.spiking import Chunk, Current

TIMESTEPS = (2, 4, 8, 16)


def run_ttfs(
    graph: ExecutableGraph,
    calibration: Calibration,
    x: Any,
    y: Any = None,
    *,
    timesteps: Sequence[int] = TIMESTEPS,
    spiking: Collection[str] | None = None,
    batch_size: int = 128,
    weight_bits: int | None = 8,
    bias_calibration: bool = True,
    keep_outputs: bool = False,
    progress: Progress | None = None,
    float_classes: Any = None,
) -> dict[int, RunResult]:
    """Run a network in time-to-first-spike coding and measure accuracy and spikes at every T.

    Parameters
    ----------
    timesteps : T, the steps of one window, each in [1, 4096]. ``RunResult.timesteps`` is T: the
        steps in which a neuron integrates (price it with ``neuron="if_cont"``). The latency of
        the network is T times the number of windows; a note says it.
    spiking, batch_size, weight_bits, keep_outputs, float_classes : as in :func:`run_snn`.
    bias_calibration : make the correction that ``calibration`` asks for, for this coding. "fit"
        corrects for spikes that arrive unevenly, which they do not here: then "bias".

    Raises
    ------
    ConversionError, DataError, OptionError, UnknownNameError
    """
    steps = checked_timesteps(timesteps)
    checked_options(weight_bits, None)
    layers = checked_spiking(graph, spiking)
    samples = as_samples(graph, x, asked="run the network in time-to-first-spike coding")
    labels = as_labels(graph, y, samples.shape[0], asked="measure the accuracy")
    known = classes_of_float(graph, float_classes, samples.shape[0])
    results = {}
    for t in steps:
        prepared = timed(graph, layers, calibration, t, weight_bits, correct=bias_calibration)
        job = _Job(prepared, t, samples, labels, known, keep_outputs)
        results[t] = _run(job, batch_size, progress)
    return results


def timed(
    graph: ExecutableGraph,
    layers: frozenset[str],
    calibration: Calibration,
    timesteps: int,
    weight_bits: int | None,
    *,
    correct: bool,
) -> Prepared:
    """Thresholds and weights for windows of T steps, corrected on the samples."""
    rules = Rules(schedule="layers")
    prepared = prepare(graph, plan(graph, layers), calibration, weight_bits, rules)
    which = "bias" if calibration.correction == "fit" else calibration.correction
    if correct and layers:
        suited = replace(calibration, correction=which, timesteps=timesteps)
        prepared = corrected(prepared, suited, weight_bits)
    return prepared


@dataclass(frozen=True, eq=False)
class _Job:
    prepared: Prepared
    timesteps: int
    samples: Tensor
    labels: Tensor | None
    known: FloatClasses
    keep_outputs: bool


@dataclass
class TimedChunk(Chunk):
    """A few samples in time-to-first-spike coding: "spikes" hold the level k of each neuron.

    Attributes: ``levels``, T. One window of every layer is one step of :class:`Chunk`.
    """

    levels: int = 1

    def fire(self, node: Node, current: Current) -> Tensor:
        """Levels (samples, ...) of a population: 0, or T minus the step of its spike."""
        population = self.prepared.populations[node.name]
        drive = in_memory_order(current.value()).reshape(self.samples, -1).numpy()
        k = level(population, drive, self.levels)
        self.counts.neurons[node.name] = np.count_nonzero(k, axis=1).astype(np.float64)[None]
        shape = node.shape
        memory_shape = (*shape[1:], shape[0]) if len(shape) in (3, 4) else shape
        return from_memory_order(torch.from_numpy(k).reshape(self.samples, *memory_shape))

    def pool_spikes(self, spec: MaxPool, spikes: Tensor) -> Tensor:
        """The first spike has the highest level."""
        return channels_last(spec.run(spikes))

    def skip(self, name: str, reader: Node) -> Current:
        """The current of ``name``; one addition per spike on an identity connection."""
        current = self.currents[name]
        if name in self.spikes and not current.constant:
            events = (self.spikes[name] != 0).reshape(1, self.samples, -1).sum(dim=2)
            self.counts.skips[f"{name} -> {reader.name}"] = events.double().numpy()
        return current

    def make_current(self, node: Node) -> Current:
        """Currents of levels are 1/T of those of spikes at every step."""
        current = super().make_current(node)
        if node.name in self.spikes and current.gain is not None:
            return replace(current, gain=current.gain / self.levels)
        return current

    def synapse_current(self, node: Node) -> Current:
        """Integral of the current in the window, divided by T: exact sums of integers."""
        grid = self.prepared.synapses[node.name]
        spikes = self.spikes[node.inputs[0]]
        self.count(node, (spikes != 0).to(spikes.dtype))
        rows = grid.weight.reshape(grid.weight.shape[0], -1)
        wide = float(rows.abs().sum(dim=1).max()) * self.levels > 2 * EXACT
        dtype = torch.float64 if wide or grid.spec.transposed else torch.float32
        data = synapse(grid.spec, spikes.to(dtype), grid.weight.to(dtype), None)
        return Current(data, False, grid.gain / self.levels, grid.offset)


def level(population: Population, drive: Any, timesteps: int) -> Any:
    """k = clip(floor((T a + V(0)) / theta), 0, T) of each neuron, (samples, n) float32."""
    a = drive + population.offset
    k = np.floor((timesteps * a + population.initial) / population.theta)
    return np.clip(k, 0, timesteps).astype(np.float32)


def _run(job: _Job, batch_size: int, progress: Progress | None) -> RunResult:
    graph = job.prepared.graph
    wires = wiring(graph)
    result = score(graph, job.labels, job.keep_outputs)
    counter = Counter()
    skips: dict[str, float] = {}
    neurons: dict[str, float] = {}
    for first, rows in batches(job.samples, batch_size, progress):
        chunk = TimedChunk(job.prepared, rows, (1,), wires, levels=job.timesteps)
        outputs, counts = chunk.run()
        result.add(first, outputs[-1], job.known.of(first, rows))
        for name, (events, operations) in counts.inputs.items():
            counter.add(wires[name], events[0], operations[0], job.timesteps)
        for name, values in counts.analog.items():
            counter.add(wires[name], *count_events(wires[name], values[0], len(rows)))
        counter.commit(len(rows))
        for target, found in ((skips, counts.skips), (neurons, counts.neurons)):
            for name, each in found.items():
                target[name] = target.get(name, 0.0) + float(each.sum())
    return _result(job, result, counter, skips, neurons)


def _result(
    job: _Job, found: Score, counter: Counter, skips: dict[str, float], neurons: dict[str, float]
) -> RunResult:
    prepared, t = job.prepared, job.timesteps
    graph = prepared.graph
    layers = tuple(name for name in graph.synaptic if name in prepared.plan.spiking)
    windows = depth(prepared)
    notes = (
        *uncounted(graph),
        f"time to first spike: {windows} windows of {t} steps, latency {windows * t} steps; "
        "price it with neuron='if_cont'",
    )
    return RunResult(
        mode="snn",
        accuracy=found.accuracy,
        agreement=found.agreement,
        n_samples=found.n,
        timesteps=t,
        activation_bits=0,
        activity=profile(
            counter, layers, origin=f"executed as TTFS, T = {t} per window", notes=notes
        ),
        spiking=layers,
        skip_events={name: value / found.n for name, value in skips.items()},
        neuron_spikes={name: value / found.n for name, value in neurons.items()},
        neuron_count={name: int(p.theta.size) for name, p in prepared.populations.items()},
        outputs=found.outputs,
        classes=found.classes,
        notes=notes,
    )


def depth(prepared: Prepared) -> int:
    """Windows from the first spike to the output: the longest chain of populations."""
    longest: dict[str, int] = {}
    for node in prepared.graph.nodes:
        below = max((longest[name] for name in node.inputs), default=0)
        longest[node.name] = below + (node.name in prepared.populations)
    return longest[prepared.graph.output]
