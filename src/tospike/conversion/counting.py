"""Exact counts of synaptic operations: events times fan-out, right at borders and strides."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tospike.activity import ActivityProfile, LayerActivity
from tospike.conversion.graph import ExecutableGraph, Synapse

Floats = NDArray[np.float64]


def fan_out(spec: Synapse, shape: tuple[int, ...], out_shape: tuple[int, ...]) -> Tensor:
    """Synapses of each input value, without those to padding: spatial shape, or () for linear.

    ``shape`` and ``out_shape`` are (channels, spatial...) of one sample. The same for every
    channel: an input position i reaches the output positions o with o s + k d - p = i (for a
    transposed convolution o = i s + k d - p), for the output channels of its group.
    """
    if spec.kind == "linear":
        return torch.tensor(float(spec.out_channels), dtype=torch.float64)
    per_position = torch.tensor(float(spec.out_channels // spec.groups), dtype=torch.float64)
    for axis, kernel in enumerate(spec.kernel):
        n_in, n_out = shape[1 + axis], out_shape[1 + axis]
        stride, dilation = spec.stride[axis], spec.dilation[axis]
        low = spec.padding[axis][0]
        count = torch.zeros(n_in, dtype=torch.float64)
        for tap in range(kernel):
            if spec.transposed:
                o = torch.arange(n_in) * stride + tap * dilation - low
                count += (o >= 0) & (o < n_out)
            else:
                i = torch.arange(n_out) * stride + tap * dilation - low
                count += torch.bincount(i[(i >= 0) & (i < n_in)], minlength=n_in)
        per_position = per_position.unsqueeze(-1) * count
    return per_position


def n_synapses(spec: Synapse, shape: tuple[int, ...], out_shape: tuple[int, ...]) -> int:
    """MACs of one call on one sample, padded positions counted (``Layer.n_synapses``)."""
    if spec.kind == "linear":
        return math.prod(out_shape) * int(spec.weight.shape[1])
    taps = math.prod(spec.kernel)
    if spec.transposed:
        return math.prod(shape) * int(spec.weight.shape[1]) * taps
    return math.prod(out_shape) * int(spec.weight.shape[1]) * taps


@dataclass(frozen=True)
class Wiring:
    """What is needed to count the operations of one synaptic node."""

    layer: str
    fan_out: Tensor
    n_inputs: int
    n_synapses: int
    batched: bool


def wiring(graph: ExecutableGraph) -> dict[str, Wiring]:
    """node name -> :class:`Wiring`, for every node with weighted synapses."""
    found = {}
    for node in graph.nodes:
        if not isinstance(node.spec, Synapse):
            continue
        source = graph[node.inputs[0]]
        shape, out_shape = source.shape, node.shape
        # In an unbatched value (shape found with 2 samples) the samples are inside.
        per = 1 if node.batched and source.batched else 2
        if per == 2 and node.spec.kind == "conv":
            shape, out_shape = shape[1:], out_shape[1:]
        found[node.name] = Wiring(
            node.spec.layer,
            fan_out(node.spec, shape, out_shape),
            math.prod(source.shape) // per,
            n_synapses(node.spec, source.shape, node.shape) // per,
            per == 1,
        )
    return found


def count_events(wires: Wiring, x: Tensor, samples: int) -> tuple[Floats, Floats]:
    """(non-zero inputs, operations) of each of ``samples`` samples, for inputs ``x``.

    ``x`` holds the samples along its leading dimension; if the node is not batched, totals are
    spread evenly over the samples (the mean is exact, the spread is lost).
    """
    active = x != 0
    if not wires.batched:
        total = float(active.sum())
        fan = float(wires.fan_out) if wires.fan_out.dim() == 0 else float("nan")
        return np.full(samples, total / samples), np.full(samples, total * fan / samples)
    flat = active.reshape(x.shape[0], -1)
    if wires.fan_out.dim() == 0:
        events = flat.sum(dim=1, dtype=torch.float64)
        return events.numpy(), (events * wires.fan_out).numpy()
    per_position = active.sum(dim=1, dtype=torch.float64).reshape(x.shape[0], -1)
    return (
        per_position.sum(dim=1).numpy(),
        (per_position @ wires.fan_out.reshape(-1)).numpy(),
    )


@dataclass
class Tally:
    """Sums over samples for one layer at one T."""

    n_inputs: float = 0.0  # input values per inference, all calls and steps
    calls: float = 0.0
    events: float = 0.0
    operations: float = 0.0
    zero_squares: float = 0.0
    operation_squares: float = 0.0
    n_synapses: int = 0


@dataclass
class Counter:
    """Streams counts of all layers; results do not depend on how samples are batched."""

    tallies: dict[str, Tally] = field(default_factory=dict)
    pending: dict[str, list[tuple[Wiring, Floats, Floats, int]]] = field(default_factory=dict)
    n_samples: int = 0

    def add(self, wires: Wiring, events: Floats, operations: Floats, steps: int = 1) -> None:
        """Counts (samples,) of one call of a layer over ``steps`` time steps."""
        self.pending.setdefault(wires.layer, []).append((wires, events, operations, steps))

    def commit(self, samples: int) -> None:
        """Close a batch: calls of the same layer are one inference."""
        for layer, calls in self.pending.items():
            tally = self.tallies.setdefault(layer, Tally())
            tally.n_inputs = float(sum(wires.n_inputs * steps for wires, _, _, steps in calls))
            tally.n_synapses = sum(wires.n_synapses for wires, _, _, _ in calls)
            tally.calls = float(sum(steps for _, _, _, steps in calls))
            events = np.sum([call[1] for call in calls], axis=0)
            operations = np.sum([call[2] for call in calls], axis=0)
            tally.events += float(events.sum())
            tally.operations += float(operations.sum())
            zero = 1.0 - events / tally.n_inputs
            tally.zero_squares += float((zero**2).sum())
            tally.operation_squares += float((operations**2).sum())
        self.n_samples += samples
        self.pending.clear()


def _spread(total: float, squares: float, n: int) -> float:
    """Sample standard deviation from sums; nan below two samples."""
    if n < 2:
        return float("nan")
    return math.sqrt(max(0.0, (squares - total * total / n) / (n - 1)))


def profile(
    counter: Counter, spiking: Iterable[str], *, origin: str, notes: tuple[str, ...] = ()
) -> ActivityProfile:
    """The counts as an :class:`ActivityProfile`; ``spiking`` layers have spike signals."""
    n = counter.n_samples
    spikes = set(spiking)
    layers: Mapping[str, LayerActivity] = {
        name: _activity(tally, n, spiking=name in spikes) for name, tally in counter.tallies.items()
    }
    return ActivityProfile(layers, n, origin, notes=notes)


def _activity(tally: Tally, n: int, *, spiking: bool) -> LayerActivity:
    zero_total = n - tally.events / tally.n_inputs
    operations = tally.operations / n
    per_inference = tally.n_inputs / tally.calls  # input neurons, all calls alike
    return LayerActivity(
        signal="spike" if spiking else "analog",
        n_samples=n,
        n_timesteps=tally.calls,
        zero_fraction=1.0 - tally.events / (tally.n_inputs * n),
        synaptic_operations=operations,
        zero_fraction_std=_spread(zero_total, tally.zero_squares, n),
        synaptic_operations_std=_spread(tally.operations, tally.operation_squares, n),
        spikes_per_synapse=operations / tally.n_synapses if spiking else None,
        spikes_per_neuron=tally.events / n / per_inference if spiking else None,
    )
