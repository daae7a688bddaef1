"""``read_inputs``: what arrives at each layer: real spikes, expected spikes, or a current."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tospike.activity import LayerActivity
from tospike.errors import DataError
from tospike.machines.record import Workload
from tospike.machines.spikes.geometry import Geometry, geometry
from tospike.network import INPUT, Layer, Network

Floats = NDArray[np.float64]
Kind = Literal["spikes", "expected", "current"]


@dataclass(frozen=True, eq=False)
class SpikeInput:
    """The input of one layer.

    kind : "spikes": ``spikes`` (T, samples, in_channels, in_pixels) of bool. "expected": ``rate``
        (in_channels, in_pixels), mean spikes per time step. "current": analog values of the
        network's input; the layer's neurons integrate a constant current for T steps.
    sources : synaptic layers before it, or ``INPUT``.
    operations : synaptic operations per inference, where they were measured with the rates.
    """

    layer: Layer
    of: Geometry
    kind: Kind
    n_timesteps: int
    samples: int
    sources: tuple[str, ...]
    spikes: NDArray[np.bool_] | None = None
    rate: Floats | None = None
    operations: float | None = None

    @property
    def n_spikes(self) -> float:
        """Spikes of all samples (expected ones: of one inference)."""
        if self.spikes is not None:
            return float(np.count_nonzero(self.spikes))
        return 0.0 if self.rate is None else float(self.rate.sum() * self.n_timesteps)

    def by_group(self, start: int, stop: int) -> Floats:
        """Spikes by group and position of some steps, (stop - start, groups, in_pixels).

        Steps of all samples are counted through, from 0 to T * samples.
        """
        of = self.of
        shape = (of.groups, of.in_per_group, of.in_pixels)
        if self.spikes is not None:
            rows = self.n_timesteps * self.samples
            chosen = self.spikes.reshape(rows, *shape)[start:stop]
            counts: Floats = chosen.sum(axis=2, dtype=np.float64)
            return counts
        if self.rate is None:
            return np.zeros((0, of.groups, of.in_pixels))
        step = self.rate.reshape(shape).sum(axis=1)
        return np.broadcast_to(step, (min(stop, self.n_timesteps) - start, *step.shape))

    def by_neuron(self) -> Floats:
        """Spikes of all samples (or of one inference) by neuron, (in_channels, in_pixels)."""
        if self.spikes is not None:
            counts: Floats = self.spikes.sum(axis=(0, 1), dtype=np.float64)
            return counts
        if self.rate is not None:
            return self.rate * self.n_timesteps
        return np.zeros((self.of.in_channels, self.of.in_pixels))


def read_inputs(
    workload: Workload, machine: str, *, statistics: bool = True
) -> tuple[SpikeInput, ...]:
    """The input of every synaptic layer, in order of execution.

    A trace of shape (T, samples, \\*input_shape) holds spikes, 0 or 1. A layer that only sees the
    network's input may get analog values: no trace, or one of shape (samples, \\*input_shape); it
    counts as constant-current encoding. ``statistics``: spikes per neuron may stand in for
    traces.

    Raises :class:`DataError` with every layer that cannot run, and why.
    """
    network, reasons = workload.network, _check(workload)
    before = _sources(network)
    found: list[SpikeInput] = []
    for layer in network.synaptic_layers:
        one = _input(workload, layer, before[layer.name], statistics)
        if isinstance(one, str):
            reasons.append(f"{layer.name}: {one}")
        else:
            found.append(one)
    spiking = [one for one in found if one.kind != "current"]
    for what, values in (
        ("time steps", {one.layer.name: one.n_timesteps for one in spiking}),
        ("samples", {one.layer.name: one.samples for one in spiking}),
    ):
        if len(set(values.values())) > 1:
            reasons.append(f"the layers differ in {what}: {values}")
    if not spiking and not reasons:
        reasons.append("no layer receives spikes")
    if reasons:
        raise DataError(
            f"run {network.origin.name!r} on {machine!r}",
            allowed="spikes for every layer: traces (T, samples, *input_shape) of 0 and 1"
            + (", or measured spikes per neuron" if statistics else ""),
            fix="convert the network to an SNN and record its spikes"
            if statistics
            else "record the spikes of the network, or draw some from its statistics with "
            "tospike.machines.spikes.random_traces",
            reasons=reasons,
        )
    steps, samples = spiking[0].n_timesteps, spiking[0].samples
    return tuple(
        one
        if one.kind != "current"
        else SpikeInput(one.layer, one.of, "current", steps, samples, one.sources)
        for one in found
    )


def _check(workload: Workload) -> list[str]:
    """Faults of the workload that concern no single layer."""
    names = {layer.name for layer in workload.network.synaptic_layers}
    reasons = [f"there is no layer {name!r} for the trace" for name in workload.traces
               if name not in names]  # fmt: skip
    if isinstance(workload.batch, bool) or workload.batch < 1:
        reasons.append(f"the batch is {workload.batch!r}; 1 or more is needed")
    return reasons


def _sources(network: Network) -> dict[str, tuple[str, ...]]:
    found: dict[str, list[str]] = {layer.name: [] for layer in network.synaptic_layers}
    for edge in network.synaptic_edges:
        found[edge.target].append(edge.source)
    return {name: tuple(sources) for name, sources in found.items()}


def _input(
    workload: Workload, layer: Layer, sources: tuple[str, ...], statistics: bool
) -> SpikeInput | str:
    """The input of one layer, or why there is none."""
    of = geometry(layer)
    if isinstance(of, str):
        return of
    first = set(sources) <= {INPUT}
    current = SpikeInput(layer, of, "current", 0, 0, sources)
    trace = workload.traces.get(layer.name)
    if trace is not None:
        array = np.asarray(trace)
        if first and array.shape[1:] == layer.input_shape:
            return current
        return _of_trace(array, layer, of, sources)
    if workload.activity is None or layer.name not in workload.activity:
        return current if first else "no trace and no activity of its input"
    activity = workload.activity[layer.name]
    if activity.signal == "spike":
        if not statistics:
            return "statistics only, and the order of its spikes decides what is in the caches"
        return _of_activity(activity, layer, of, sources)
    if first:
        return current
    return f"its input is {activity.signal}, not spikes"


def _of_trace(
    trace: NDArray[np.generic], layer: Layer, of: Geometry, sources: tuple[str, ...]
) -> SpikeInput | str:
    if trace.ndim != len(layer.input_shape) + 2 or trace.shape[2:] != layer.input_shape:
        if trace.shape[1:] == layer.input_shape:
            return "its trace holds analog values of one inference, not spikes of T steps"
        return (
            f"its trace has the shape {trace.shape}; (T, samples, *{layer.input_shape}) is needed"
        )
    if trace.size == 0:
        return f"its trace of shape {trace.shape} is empty"
    if trace.dtype != np.bool_ and not bool(np.isin(trace, (0, 1)).all()):
        return "its trace holds other values than 0 and 1: graded events, or analog values"
    spikes = trace.astype(np.bool_)
    steps, samples = spikes.shape[:2]
    if of.channels_last:
        spikes = np.moveaxis(spikes, -1, 2)
    plain = np.ascontiguousarray(spikes).reshape(steps, samples, of.in_channels, of.in_pixels)
    return SpikeInput(layer, of, "spikes", steps, samples, sources, spikes=plain)


def _of_activity(
    activity: LayerActivity, layer: Layer, of: Geometry, sources: tuple[str, ...]
) -> SpikeInput | str:
    steps, events = activity.n_timesteps, activity.spikes_per_neuron
    if events is None or not (math.isfinite(events) and events >= 0):
        return f"its activity has {events!r} spikes per neuron"
    if not (math.isfinite(steps) and steps >= 1 and steps == int(steps)):
        return f"its activity has {steps!r} time steps"
    shape = (of.in_channels, of.in_pixels)
    pattern = np.ones(shape)
    channels, pixels = activity.channel_density, activity.pixel_density
    if channels.size == of.in_channels and channels.sum() > 0:
        pattern *= (channels / channels.mean()).reshape(-1, 1)
    if pixels.size == of.in_pixels and pixels.sum() > 0:
        pattern *= (pixels / pixels.mean()).reshape(1, -1)
    rate = pattern * (events / steps)
    return SpikeInput(
        layer, of, "expected", int(steps), 1, sources,
        rate=rate, operations=activity.synaptic_operations,
    )  # fmt: skip


def random_traces(
    network: Network, rates: dict[str, float], *, timesteps: int, samples: int = 1, seed: int = 0
) -> dict[str, NDArray[np.bool_]]:
    """Spikes in random order: each input neuron of a layer fires independently in every step.

    rates : layer -> probability of a spike per neuron and step (spikes per neuron over T); the
        layers that it lacks get no trace. Returns layer -> (timesteps, samples, \\*input_shape).
    Raises :class:`DataError` for unknown layers, rates outside of [0, 1], and sizes below 1.
    """
    known = network.by_name
    reasons = [f"there is no layer {name!r}" for name in rates if name not in known]
    reasons += [f"{name}: a rate of {rate!r}; 0 to 1 is needed" for name, rate in rates.items()
                if not 0 <= rate <= 1]  # fmt: skip
    sizes = {"timesteps": timesteps, "samples": samples}
    reasons += [f"{what} is {n!r}; 1 or more is needed" for what, n in sizes.items() if n < 1]
    if reasons:
        raise DataError("draw random spikes", where=network.origin.name, reasons=reasons)
    generator = np.random.default_rng(seed)
    return {
        name: generator.random((timesteps, samples, *known[name].input_shape), np.float32) < rate
        for name, rate in rates.items()
    }
