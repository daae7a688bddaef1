"""Scores for a threshold search that shall hold for people, machines or recordings not yet seen.

Equations
    N samples in G groups; group g has n_g samples and d_g answers won (right now, wrong with the
    reference) minus answers lost. Change of the accuracy m = sum d_g / N; its standard error over
    groups s = sqrt(G / (G - 1) sum (d_g - m n_g)^2) / N; score = m - t s, with the one-sided
    quantile t of Student's distribution with G - 1 degrees of freedom.

Range of validity
    Groups that are drawn independently of each other, at least 2; samples within a group may
    depend on each other. The bound is that of a ratio of sums for many groups, and a rough one for
    few. Where no group changes, the score is 0: not to have seen a loss is no proof that there is
    none.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Sequence

import torch
from torch import Tensor, nn

from tospike.conversion.delta.search import Score
from tospike.errors import DataError, OptionError


def change_of_accuracy(
    x: Tensor,
    y: Tensor,
    reference: Tensor,
    *,
    groups: Sequence[Hashable] | None = None,
    confidence: float = 0.95,
    decide: Callable[[Tensor], Tensor] | None = None,
) -> Score:
    """Score: lower confidence bound of the accuracy minus that of the ``reference`` answers.

    With ``floor=-0.005`` a search keeps thresholds that lose at most half a point at that
    confidence. Give samples that the network was not trained on.

    Parameters
    ----------
    x, y : samples and their classes (N,).
    reference : classes (N,) that the dense network answers.
    groups : of each sample, such as the person; None: every sample by itself.
    confidence : one-sided, from 0.5 (the mean itself) to below 1.
    decide : turns the output into classes, by default the largest element of the last axis.

    Raises
    ------
    DataError, OptionError
        Lengths that differ, fewer than two groups; a confidence out of its range.
    """
    if not len(x) == len(y) == len(reference) == len(y if groups is None else groups):
        raise DataError(
            "score a change of accuracy",
            received=f"{len(x)} samples, {len(y)} labels, {len(reference)} reference answers"
            + ("" if groups is None else f", {len(groups)} groups"),
            allowed="as many of each",
        )
    before = (reference == y).double()
    lower_bound(before, groups, confidence)  # refuses before the first run

    def score(module: nn.Module) -> float:
        output = module(x)
        classes = output.argmax(-1) if decide is None else decide(output)
        if classes.shape != y.shape:
            raise DataError(
                "score a change of accuracy",
                received=f"classes of shape {tuple(classes.shape)}",
                allowed=f"{tuple(y.shape)}, as the labels",
                fix="give decide=, a function of the output",
            )
        return lower_bound((classes == y).double() - before, groups, confidence)

    return score


def lower_bound(
    values: Tensor, groups: Sequence[Hashable] | None = None, confidence: float = 0.95
) -> float:
    """Lower bound of the mean of ``values`` (N,), by the equations of this module."""
    if not 0.5 <= confidence < 1:
        raise OptionError(
            f"bound with a confidence of {confidence}", allowed="from 0.5 to below 1, such as 0.95"
        )
    names = range(len(values)) if groups is None else groups
    place: dict[Hashable, int] = {}
    at = torch.tensor([place.setdefault(name, len(place)) for name in names], dtype=torch.int64)
    if len(place) < 2:
        raise DataError(
            "bound a mean over groups", received=f"{len(place)} groups", allowed="at least 2"
        )
    from scipy.stats import t

    zero = torch.zeros(len(place), dtype=torch.float64)
    sums = zero.index_add(0, at, values.double())
    sizes = zero.index_add(0, at, torch.ones(len(at), dtype=torch.float64))
    mean = float(sums.sum()) / len(at)
    spread = float((sums - mean * sizes).square().sum())
    error = math.sqrt(len(place) / (len(place) - 1) * spread) / len(at)
    return mean - float(t.ppf(confidence, len(place) - 1)) * error
