"""Scales of neuron populations and activation ranges, from a few hundred samples.

The rules for a scale are in ``thresholds.py``. Statistics are streamed: memory does not grow with
the number of samples; only the samples themselves are kept, for the corrections of a partition.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, get_args

import torch
from torch import Tensor

from tospike.conversion.data import Progress, as_samples, batches
from tospike.conversion.eligibility import populations, reasons
from tospike.conversion.forward import walk
from tospike.conversion.graph import ExecutableGraph, Rectify, Synapse
from tospike.conversion.thresholds import (
    BINS,
    CORRECTIONS,
    METHODS,
    Correction,
    Granularity,
    Histogram,
    Method,
    least_squares_scale,
    percentile_scale,
)
from tospike.errors import ConversionError, DataError, OptionError

#: default time steps of ``method="mse"``
MSE_TIMESTEPS = 8


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
    percentile : of the scales, where ``method`` is "percentile".
    method : rule of the scales; "qcfs" where trained thresholds are used.
    timesteps : T that ``method`` and ``correction`` are made for; None if for every T.
    correction : what is corrected on the samples before a partition runs, see ``correction.py``.
    """

    scales: Mapping[str, Tensor]
    histograms: Mapping[str, Histogram]
    ranges: Mapping[str, tuple[float, float]]
    channel_dims: Mapping[str, int]
    samples: Tensor
    percentile: float
    granularity: Granularity
    method: Method = "percentile"
    timesteps: int | None = None
    correction: Correction = "fit"


def calibrate(
    graph: ExecutableGraph,
    x_cal: Any,
    *,
    method: Method = "percentile",
    timesteps: int | None = None,
    percentile: float = 99.9,
    granularity: Granularity = "channel",
    correction: Correction | None = None,
    batch_size: int = 128,
    progress: Progress | None = None,
) -> Calibration:
    """Find the scales of all populations on calibration samples ``x_cal`` (n, ...).

    Populations that were trained with QCFS keep their thresholds, whatever ``method`` is.

    Parameters
    ----------
    method : "percentile", "max", "mse" (see ``thresholds.py``), or "qcfs", which demands that
        there are trained thresholds; other populations (average pools, sums) then get "max".
    timesteps : T for which "mse" and the corrections are made, in [1, 4096]; None means 8 for
        "mse", and corrections that serve every T.
    percentile : of each population's activations (zeros included for a whole layer, excluded
        within a channel), in (50, 100]; for "percentile" only.
    granularity : "channel" (one scale per channel or, after a linear layer, per neuron) or
        "layer". A channel's scale is folded into the weights that leave it, so it costs nothing.
    correction : what is corrected on the samples: "none", "fit" (``correction.py``), "bias",
        "potential" or "weights" (``layerwise.py``). None means "weights" for "mse" and
        for a network trained with QCFS if ``timesteps`` is given, "none" for the latter if not,
        else "fit".

    Raises
    ------
    DataError, OptionError, ConversionError
    """
    check_choices(method, timesteps, percentile, granularity, correction)
    x = as_samples(graph, x_cal, asked="calibrate")
    dims = {name: channel_dim(graph, name) for name in populations(graph)}
    half = None if progress is None else _halves(progress)
    maxima, ranges = _extremes(graph, x, dims, batch_size, half)
    histograms = _histograms(graph, x, dims, maxima, batch_size, half)
    start = Calibration({}, histograms, ranges, dims, x, percentile, granularity)
    return with_method(graph, start, method, timesteps=timesteps, correction=correction)


def with_method(
    graph: ExecutableGraph,
    calibration: Calibration,
    method: Method,
    *,
    timesteps: int | None = None,
    correction: Correction | None = None,
) -> Calibration:
    """``calibration`` with other scales from the same activations: no data are run again.

    Raises
    ------
    OptionError, ConversionError
    """
    check_choices(method, timesteps, calibration.percentile, calibration.granularity, correction)
    trained = trained_scales(graph)
    if method == "qcfs" and not trained:
        raise ConversionError(
            f"convert {graph.origin!r} with method 'qcfs'",
            received="a network without QCFS activations",
            fix="train tospike.conversion.qcfs.qcfs_network(model, levels), or use method='mse'",
        )
    scales = {
        name: trained[name]
        if name in trained
        else scale_of(histogram, calibration, method, timesteps, _upper(graph, name))
        for name, histogram in calibration.histograms.items()
    }
    chosen: Correction = "weights" if method == "mse" else "fit"
    if trained:
        chosen = "none" if timesteps is None else "weights"
    return replace(
        calibration,
        scales=scales,
        method=method,
        timesteps=timesteps,
        correction=correction or chosen,
    )


def calibration_of_qcfs(
    graph: ExecutableGraph, x_cal: Any, *, correction: Correction = "none"
) -> Calibration:
    """:func:`calibrate` with the trained thresholds of a QCFS network, and nothing corrected."""
    return calibrate(graph, x_cal, method="qcfs", correction=correction)


def trained_scales(graph: ExecutableGraph) -> dict[str, Tensor]:
    """Population -> lambda (1,) where it was trained with QCFS."""
    return {
        node.name: torch.tensor([node.spec.upper], dtype=torch.float64)
        for node in graph.nodes
        if isinstance(node.spec, Rectify) and node.spec.levels
    }


def scale_of(
    histogram: Histogram,
    calibration: Calibration,
    method: Method,
    timesteps: int | None,
    upper: float,
) -> Tensor:
    """Scale (C,) or (1,) of one population by one rule."""
    granularity = calibration.granularity
    if method == "mse":
        return least_squares_scale(histogram, timesteps or MSE_TIMESTEPS, granularity, upper)
    percentile = calibration.percentile if method == "percentile" else 100.0
    return percentile_scale(histogram, percentile, granularity, upper)


def check_choices(
    method: str,
    timesteps: int | None,
    percentile: float,
    granularity: str,
    correction: str | None,
) -> None:
    """Refuse options of a calibration, all at once."""
    wrong = []
    if method not in METHODS:
        wrong.append(f"method = {method!r} is none of {', '.join(METHODS)}")
    whole = isinstance(timesteps, int) and not isinstance(timesteps, bool)
    if timesteps is not None and not (whole and 1 <= timesteps <= 4096):
        wrong.append(f"timesteps = {timesteps!r} is no integer from 1 to 4096")
    if not (isinstance(percentile, int | float) and 50.0 < percentile <= 100.0):
        wrong.append(f"percentile = {percentile!r} is not in (50, 100]")
    if granularity not in get_args(Granularity):
        wrong.append(f"granularity = {granularity!r} is not 'channel' or 'layer'")
    if correction is not None and correction not in CORRECTIONS:
        wrong.append(f"correction = {correction!r} is none of {', '.join(CORRECTIONS)}")
    if wrong:
        raise OptionError("calibrate", fix="mend what is listed", reasons=wrong)


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
