"""Lower bounds of a change of accuracy: closed forms, simulated coverage, and their use."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats
from torch import nn

from tospike.conversion.delta.replace import delta_network
from tospike.conversion.delta.scores import change_of_accuracy, lower_bound
from tospike.conversion.delta.search import search_thresholds, with_thresholds
from tospike.errors import DataError, OptionError


def test_single_samples_give_the_bound_of_a_mean() -> None:
    values = torch.tensor([0.0, 1.0, -1.0, 0.0, 0.0, 1.0], dtype=torch.float64)
    mean, error = float(values.mean()), stats.sem(values.numpy())
    low, _ = stats.t.interval(0.9, 5, loc=mean, scale=error)  # two-sided 90 %: one-sided 95 %
    assert lower_bound(values, None, 0.95) == pytest.approx(low)
    assert lower_bound(values, None, 0.5) == pytest.approx(mean)


def test_equal_groups_give_the_bound_of_their_means() -> None:
    rng = np.random.default_rng(0)
    values = rng.integers(-1, 2, (5, 8)).astype(float)
    groups = np.repeat(list("abcde"), 8).tolist()
    means = values.mean(axis=1)
    expected = means.mean() - stats.t.ppf(0.9, 4) * stats.sem(means)
    assert lower_bound(torch.from_numpy(values.ravel()), groups, 0.9) == pytest.approx(expected)
    # samples of one person side by side or not: it does not matter
    mixed = lower_bound(torch.from_numpy(values.T.ravel()), [*"abcde"] * 8, 0.9)
    assert mixed == pytest.approx(expected)


@pytest.mark.parametrize("confidence", [0.8, 0.95])
def test_the_bound_covers_as_often_as_it_says(confidence: float) -> None:
    """People who differ much: the bound over people holds, the one over samples does not."""
    rng = np.random.default_rng(1)
    truth, held, held_by_sample, runs = -0.02, 0, 0, 400
    for _ in range(runs):
        people = truth + 0.05 * rng.standard_normal(12)
        sizes = rng.integers(20, 40, 12)
        values = np.concatenate([
            person + 0.1 * rng.standard_normal(size)
            for person, size in zip(people, sizes, strict=True)
        ])  # fmt: skip
        groups = np.repeat(np.arange(12), sizes).tolist()
        held += lower_bound(torch.from_numpy(values), groups, confidence) <= truth
        held_by_sample += lower_bound(torch.from_numpy(values), None, confidence) <= truth
    deviation = (confidence * (1 - confidence) / runs) ** 0.5
    assert abs(held / runs - confidence) < 3.5 * deviation
    assert held_by_sample / runs < confidence - 3.5 * deviation


def _task() -> tuple[nn.Module, torch.Tensor, torch.Tensor, list[int]]:
    """A tagger at its limits: random sequences, and the answers of the network itself."""
    torch.manual_seed(0)
    network = delta_network(nn.Sequential(nn.GRU(3, 8, batch_first=True)))
    x = (0.2 * torch.randn(60, 20, 3)).cumsum(dim=1)
    with torch.no_grad():
        y = _decide(network(x))
    return network, x, y, [i // 6 for i in range(60)]


def _decide(output: torch.Tensor) -> torch.Tensor:
    return output[0][:, -1].argmax(-1)


def test_a_margin_over_people_gives_lower_thresholds() -> None:
    network, x, y, people = _task()
    found = {}
    for confidence in (0.5, 0.95):
        score = change_of_accuracy(x, y, y, groups=people, confidence=confidence, decide=_decide)
        found[confidence] = search_thresholds(network, score, -0.1, refine=0)
    assert found[0.95].score >= -0.1
    assert found[0.5].weight_bytes < found[0.95].weight_bytes < found[0.5].dense_weight_bytes
    made = with_thresholds(network, found[0.5].thetas)
    with torch.no_grad():
        kept = float((_decide(made(x)) == y).double().mean())
    assert found[0.5].score == pytest.approx(kept - 1)


def test_bad_scores_are_errors() -> None:
    network, x, y, people = _task()
    with pytest.raises(DataError, match=r"60 samples, 60 labels, 59 reference answers, 60 groups"):
        change_of_accuracy(x, y, y[1:], groups=people)
    with pytest.raises(DataError, match="1 groups"):
        change_of_accuracy(x, y, y, groups=[0] * 60)
    with pytest.raises(OptionError, match=r"confidence of 1\.0"):
        change_of_accuracy(x, y, y, confidence=1.0)
    wrong = change_of_accuracy(x, y, y, decide=lambda output: output[0].argmax(-1))
    with pytest.raises(DataError, match="give decide="):
        wrong(network)
