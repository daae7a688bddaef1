"""Scales of neuron populations and activation ranges, from a few hundred samples.

Percentile normalisation after Rueckauer et al. 2017 (99.9-percentile of the activations instead
of their maximum, "robust normalisation"). Statistics are streamed: memory does not grow with the
number of samples; only the samples themselves are kept, for the bias calibration of a partition.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from tospike.conversion.data import Progress, as_samples, batches
from tospike.conversion.eligibility import populations, reasons
from tospike.conversion.forward import walk
from tospike.conversion.graph import ExecutableGraph, Rectify, Synapse
from tospike.errors import DataError, OptionError

BINS = 2048
Granularity = Literal["channel", "layer"]


@dataclass(frozen=True, eq=False)
class Histogram:
    """Activations of one population: per channel, ``BINS`` equal bins from 0 to the maximum.

    ``counts`` (C, BINS) float64, ``maximum`` (C,) float64.
    """

    counts: Tensor
    maximum: Tensor

    def values(self) -> Tensor:
        """(C, BINS) upper edges of the bins."""
        edges = torch.arange(1, BINS + 1, dtype=torch.float64) / BINS
        return self.maximum.unsqueeze(1) * edges


@dataclass(frozen=True, eq=False)
class Calibration:
    """What the conversion knows about activations.

    Attributes
    ----------
    scales : population -> (C,) scale, the value of a neuron that fires at every step. C is the
        number of channels, or 1 for one scale per layer.
    histograms : population -> activations (for the clipping of quantised networks).
    ranges : node -> (minimum, maximum) of values that are not rectified but enter synapses.
    channel_dims : population -> dimension of its channels, batch counted.
    samples : the calibration samples (n, ...).
    percentile : of the scales.
    """

    scales: Mapping[str, Tensor]
    histograms: Mapping[str, Histogram]
    ranges: Mapping[str, tuple[float, float]]
    channel_dims: Mapping[str, int]
    samples: Tensor
    percentile: float
    granularity: Granularity


def calibrate(
    graph: ExecutableGraph,
    x_cal: Any,
    *,
    percentile: float = 99.9,
    granularity: Granularity = "channel",
    batch_size: int = 128,
    progress: Progress | None = None,
) -> Calibration:
    """Find the scales of all populations on calibration samples ``x_cal`` (n, ...).

    Parameters
    ----------
    percentile : of each population's activations (zeros included for a whole layer, excluded
        within a channel), in (50, 100].
    granularity : "channel" (one scale per channel or, after a linear layer, per neuron) or
        "layer". A channel's scale is folded into the weights that leave it, so it costs nothing.

    Raises
    ------
    DataError, OptionError
    """
    if not 50.0 < percentile <= 100.0:
        raise OptionError("calibrate", received=f"percentile={percentile}", allowed="(50, 100]")
    if granularity not in ("channel", "layer"):
        raise OptionError(
            "calibrate", received=f"granularity={granularity!r}", allowed="'channel' or 'layer'"
        )
    x = as_samples(graph, x_cal, asked="calibrate")
    dims = {name: channel_dim(graph, name) for name in populations(graph)}
    half = None if progress is None else _halves(progress)
    maxima, ranges = _extremes(graph, x, dims, batch_size, half)
    histograms = _histograms(graph, x, dims, maxima, batch_size, half)
    scales = {
        name: _scale(histogram, percentile, granularity, _upper(graph, name))
        for name, histogram in histograms.items()
    }
    return Calibration(scales, histograms, ranges, dims, x, percentile, granularity)


def _halves(progress: Progress) -> Progress:
    """Two passes over the data reported as one."""
    seen = {"passes": 0}

    def report(done: int, total: int) -> None:
        progress(seen["passes"] * total + done, 2 * total)
        if done == total:
            seen["passes"] += 1

    return report


def channel_dim(graph: ExecutableGraph, name: str) -> int:
    """Dimension of the channels of a node's value, batch counted.

    The last one for tokens (a linear layer on (N, L, F)), else 1.
    """
    node = graph[name]
    while not isinstance(node.spec, Synapse) and node.inputs:
        node = graph[node.inputs[0]]
    tokens = isinstance(node.spec, Synapse) and node.spec.kind == "linear"
    rank = len(graph[name].shape)
    return rank if tokens and rank == len(node.shape) else min(1, rank)


def by_channel(value: Tensor, dim: int) -> Tensor:
    """(N, ...) as (C, values)."""
    return value.movedim(dim, 0).reshape(value.shape[dim], -1)


def _extremes(
    graph: ExecutableGraph,
    x: Tensor,
    dims: Mapping[str, int],
    batch_size: int,
    progress: Progress | None,
) -> tuple[dict[str, Tensor], dict[str, tuple[float, float]]]:
    """Maximum per channel of each population, and ranges of unrectified synapse inputs."""
    carried = reasons(graph)
    signed = {
        name
        for node in graph.nodes
        if isinstance(node.spec, Synapse)
        for name in node.inputs
        if carried[name]
    }
    maxima: dict[str, Tensor] = {}
    ranges: dict[str, tuple[float, float]] = {}
    for _, rows in batches(x, batch_size, progress):
        for node, _, value in walk(graph, rows):
            if node.name in dims:
                top = by_channel(value, dims[node.name]).amax(dim=1).double()
                before = maxima.get(node.name)
                maxima[node.name] = top if before is None else torch.maximum(before, top)
            if node.name in signed:
                low, high = float(value.min()), float(value.max())
                old = ranges.get(node.name, (low, high))
                ranges[node.name] = (min(low, old[0]), max(high, old[1]))
    wrong = [n for n, m in maxima.items() if not bool(torch.isfinite(m).all())]
    if wrong:
        raise DataError(
            "calibrate", reasons=[f"{name}: activations overflow or are NaN" for name in wrong]
        )
    return maxima, ranges


def _histograms(
    graph: ExecutableGraph,
    x: Tensor,
    dims: Mapping[str, int],
    maxima: Mapping[str, Tensor],
    batch_size: int,
    progress: Progress | None,
) -> dict[str, Histogram]:
    counts = {
        name: torch.zeros(top.numel(), BINS, dtype=torch.float64) for name, top in maxima.items()
    }
    for _, rows in batches(x, batch_size, progress):
        for node, _, value in walk(graph, rows):
            if node.name not in dims:
                continue
            top = maxima[node.name].clamp_min(torch.finfo(torch.float64).tiny).unsqueeze(1)
            flat = by_channel(value, dims[node.name]).double()
            # Bin k holds (k / BINS, (k + 1) / BINS] of the maximum; zeros are in bin 0.
            bins = torch.ceil(flat / top * BINS).long().clamp(1, BINS) - 1
            bins += torch.arange(flat.shape[0]).unsqueeze(1) * BINS
            tally = torch.bincount(bins[flat > 0], minlength=counts[node.name].numel())
            counts[node.name] += tally.reshape(-1, BINS)
    return {name: Histogram(counts[name], maxima[name]) for name in counts}


def _upper(graph: ExecutableGraph, name: str) -> float:
    """Upper bound of a population's values."""
    spec = graph[name].spec
    return spec.upper if isinstance(spec, Rectify) else float("inf")


def _scale(
    histogram: Histogram, percentile: float, granularity: Granularity, upper: float
) -> Tensor:
    """Scale (C,) or (1,): the percentile of positive activations, never above ``upper``.

    A channel that was never active gets the largest scale of its layer: it may fire on other
    data, and then costs few spikes.
    """
    counts, values = histogram.counts, histogram.values()
    if granularity == "layer":
        order = torch.argsort(values.reshape(-1))
        counts, values = counts.reshape(1, -1)[:, order], values.reshape(1, -1)[:, order]
    below = counts.cumsum(dim=1)
    total = below[:, -1:]
    at = (below < total * percentile / 100.0).sum(dim=1).clamp_max(values.shape[1] - 1)
    scale = values.gather(1, at.unsqueeze(1)).squeeze(1)
    silent = total.squeeze(1) == 0
    spare = scale[~silent].max() if bool((~silent).any()) else torch.tensor(1.0)
    return torch.where(silent, spare.double(), scale).clamp_max(upper)
