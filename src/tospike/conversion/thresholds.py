"""Rules for the threshold of a population: from the histogram of its float activations.

    "max"         the largest activation (data-based normalisation, also "MaxNorm")
    "percentile"  the 99.9-percentile (robust normalisation, Rueckauer et al. 2017)
    "mse"         argmin over theta of the mean squared error between the activation a and what a
                  neuron says in T steps, theta clip(floor(T a / theta + 1/2), 0, T) / T
                  (after Li et al. 2021; the 1/2 after Deng & Gu 2021)

A population that was trained with QCFS has its threshold already; no rule changes it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor

#: bins of a histogram
BINS = 2048
Granularity = Literal["channel", "layer"]
Method = Literal["percentile", "max", "mse", "qcfs"]
METHODS: tuple[str, ...] = get_args(Method)
Correction = Literal["none", "bias", "potential", "weights", "fit"]
CORRECTIONS: tuple[str, ...] = get_args(Correction)


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

    def whole(self, granularity: Granularity) -> tuple[Tensor, Tensor]:
        """(counts, values), each (C, BINS), or (1, C BINS) ascending for a whole layer."""
        counts, values = self.counts, self.values()
        if granularity == "layer":
            order = torch.argsort(values.reshape(-1))
            counts, values = counts.reshape(1, -1)[:, order], values.reshape(1, -1)[:, order]
        return counts, values


def percentile_scale(
    histogram: Histogram, percentile: float, granularity: Granularity, upper: float
) -> Tensor:
    """Scale (C,) or (1,): the percentile of positive activations, never above ``upper``.

    A channel that was never active gets the largest scale of its layer: it may fire on other
    data, and then costs few spikes.
    """
    counts, values = histogram.whole(granularity)
    below = counts.cumsum(dim=1)
    total = below[:, -1:]
    at = (below < total * percentile / 100.0).sum(dim=1).clamp_max(values.shape[1] - 1)
    scale = values.gather(1, at.unsqueeze(1)).squeeze(1)
    return _spared(scale, total.squeeze(1) > 0).clamp_max(upper)


def least_squares_scale(
    histogram: Histogram, levels: int, granularity: Granularity, upper: float = math.inf
) -> Tensor:
    """Scale (C,) or (1,) with the least squared error of ``levels`` equal steps above 0.

    Searched on 99 shares of the largest activation, from 0.02 to 1: with a larger one the top level
    would lie above every activation.
    """
    counts, values = histogram.whole(granularity)
    active = counts.sum(dim=1) > 0
    top = torch.where(counts > 0, values, torch.zeros_like(values)).amax(dim=1)
    best, best_error = top.clone(), torch.full_like(top, math.inf)
    shares = torch.linspace(0.02, 1.0, 99, dtype=torch.float64)
    for share in shares.tolist():
        step = (top * share / levels).clamp_min(torch.finfo(torch.float64).tiny).unsqueeze(1)
        spoken = (values / step + 0.5).floor_().clamp_max_(levels).mul_(step)
        error = spoken.sub_(values).square_().mul_(counts).sum(dim=1)
        better = error < best_error
        best = torch.where(better, top * share, best)
        best_error = torch.where(better, error, best_error)
    return _spared(best, active).clamp_max(upper)


def _spared(scale: Tensor, active: Tensor) -> Tensor:
    """``scale`` with the largest active one where a channel was never active."""
    spare = scale[active].max() if bool(active.any()) else torch.tensor(1.0)
    return torch.where(active, scale, spare.to(scale.dtype))
