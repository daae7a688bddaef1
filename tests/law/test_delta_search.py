"""Laws of the threshold search: the floor holds, reads only fall, all of it is repeatable."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch import nn

from tospike.conversion.delta.layers import DeltaGRU, DeltaLinear, DeltaLSTM
from tospike.conversion.delta.recording import recorded
from tospike.conversion.delta.replace import delta_network
from tospike.conversion.delta.search import (
    Trial,
    accuracy,
    search_thresholds,
    snr,
    thresholds,
    with_thresholds,
)
from tospike.conversion.delta.traffic import total, traffic
from tospike.errors import ConversionError, DataError, OptionError


def smooth(steps: int = 60, inputs: int = 4) -> torch.Tensor:
    """(T, 2, I) of slow drift."""
    generator = torch.Generator().manual_seed(3)
    return (0.1 * torch.randn(steps, 2, inputs, generator=generator)).cumsum(dim=0)


@pytest.fixture
def dense() -> nn.GRU:
    torch.manual_seed(0)
    return nn.GRU(4, 8, 2)


def test_the_floor_holds_and_reads_fall(dense: nn.GRU) -> None:
    x = smooth()
    network = delta_network(dense)
    score = snr(x, dense(x)[0].detach())
    trials: list[Trial] = []
    found = search_thresholds(network, score, 20.0, progress=trials.append)
    assert tuple(trials) == found.path
    assert found.score >= 20.0 == found.floor
    # checked by an independent run at the thresholds found
    made = with_thresholds(network, found.thetas)
    with torch.no_grad(), recorded() as record:
        assert score(made) == found.score
    read, whole = total(traffic(made, record))
    assert (4 * read, 4 * whole) == (found.weight_bytes, found.dense_weight_bytes)
    assert whole == 3 * 8 * (4 + 8 + 8 + 8)
    assert found.reduction > 2
    better = [trial.weight_bytes for trial in found.path if trial.better]
    assert found.weight_bytes == min(better)
    assert all(trial.score >= 20.0 for trial in found.path if trial.better)
    assert set(thresholds(network).values()) == {0.0}


def test_repeatable_and_a_lower_floor_reads_less(dense: nn.GRU) -> None:
    x = smooth()
    score = snr(x, dense(x)[0].detach())
    one, two, low = (
        search_thresholds(delta_network(dense), score, floor, refine=0)
        for floor in (25.0, 25.0, 10.0)
    )
    assert one == two
    assert low.weight_bytes < one.weight_bytes


def test_not_far_from_every_combination_on_a_grid() -> None:
    """Brute force over all thresholds of a one-layer network on the search's own coarse grid."""
    torch.manual_seed(1)
    x, dense = smooth(60), nn.LSTM(4, 5)
    network = delta_network(dense)
    score = snr(x, dense(x)[0].detach())
    grid = [0.0, *(2.0**k for k in range(-8, 2))]
    best = math.inf
    for theta_x, theta_h in itertools.product(grid, grid):
        made = with_thresholds(network, {("", 0, "theta_x"): theta_x, ("", 0, "theta_h"): theta_h})
        with torch.no_grad(), recorded() as record:
            if score(made) >= 15.0:
                best = min(best, 4 * total(traffic(made, record))[0])
    found = search_thresholds(network, score, 15.0, refine=0)
    assert best <= found.weight_bytes <= 1.25 * best
    fine = search_thresholds(network, score, 15.0, refine=3)
    assert fine.weight_bytes <= found.weight_bytes


def test_what_is_not_worth_anything_stops_altogether() -> None:
    """A score that does not look at the second layer lets it stop altogether."""
    torch.manual_seed(0)
    network = nn.Sequential(DeltaLinear(3, 4), DeltaLinear(4, 2))
    x = smooth(30, 3)

    def score(module: nn.Module) -> float:
        module(x)
        first = module.get_submodule("0")(x)
        return -float((first - nn.functional.linear(x, first_weight, first_bias)).abs().max())

    first_weight, first_bias = network[0].weight, network[0].bias
    found = search_thresholds(network, score, -0.02)
    assert [layer.name for layer in found.layers] == ["0", "1"]
    assert found.layers[1].sparsity_x == 1.0
    assert found.layers[0].sparsity_x < 0.9


def test_traffic_by_hand() -> None:
    """One input jumps once: one of the first layer's columns is read once in ten steps."""
    layer = DeltaGRU(2, 3, theta_x=0.5, theta_h=10.0)
    x = torch.zeros(10, 1, 2)
    x[4:, 0, 0] = 1.0
    with torch.no_grad(), recorded() as record:
        layer(x)
    (one,) = traffic(layer, record)
    assert (one.sparsity_x, one.sparsity_h) == (pytest.approx(0.95), 1.0)
    assert one.weights == pytest.approx(9 * 1 / 10)
    assert one.dense_weights == 9 * (2 + 3)


def test_accuracy_score(dense: nn.GRU) -> None:
    x = torch.tensor([[0.0, 1.0], [1.0, 0.0], [2.0, 0.0]])
    assert accuracy(x, torch.tensor([1, 0, 1]))(nn.Identity()) == pytest.approx(2 / 3)
    wrong = accuracy(x, torch.tensor([[1], [0], [1]]))
    with pytest.raises(DataError, match=r"give decide="):
        wrong(nn.Identity())
    with pytest.raises(DataError, match="3 samples and 1 labels"):
        accuracy(x, torch.tensor([1]))
    decided = accuracy(x, torch.tensor([1, 0, 0]), lambda out: (out[:, 0] < 0.5).long())
    assert decided(nn.Identity()) == 1.0


def test_snr_by_hand() -> None:
    x = torch.tensor([1.0, 1.0])
    assert snr(x, 10 * x)(nn.Identity()) == pytest.approx(10 * math.log10(100 / 81))
    assert snr(x, x)(nn.Identity()) == math.inf
    with pytest.raises(DataError, match="power 0"):
        snr(x, 0 * x)
    with pytest.raises(DataError, match=r"\(3,\)"):
        snr(x, torch.ones(3))(nn.Identity())


def test_a_floor_above_the_dense_network_is_an_error(dense: nn.GRU) -> None:
    with pytest.raises(OptionError) as caught:
        search_thresholds(delta_network(dense), lambda net: _run(net, 0.9), 0.95)
    assert "keep a score of 0.95" in str(caught.value)
    assert "0.9 at thresholds of 0" in str(caught.value)


def _run(network: nn.Module, score: float) -> float:
    network(smooth(5))
    return score


def test_bad_searches_are_errors(dense: nn.GRU) -> None:
    network = delta_network(dense)
    with pytest.raises(ConversionError, match="without delta layers"):
        search_thresholds(dense, lambda net: 1.0, 0.0)
    with pytest.raises(DataError, match="NaN"):
        search_thresholds(network, lambda net: _run(net, math.nan), 0.0)
    with pytest.raises(DataError, match="no call of a delta layer"):
        search_thresholds(network, lambda net: 1.0, 0.0)
    with pytest.raises(OptionError) as caught:
        search_thresholds(network, lambda net: 1.0, 0.0, first=0.0, factor=1.0, refine=-1)
    for part in ("first is 0.0", "factor is 1.0", "refine is -1"):
        assert part in str(caught.value)
    with pytest.raises(OptionError, match="there is no threshold"):
        with_thresholds(network, {("gru", 0, "theta_x"): 0.1})
    with pytest.raises(OptionError, match="finite number >= 0"):
        with_thresholds(network, {("", 0, "theta_x"): -0.1})


def test_thresholds_of_all_kinds_of_layers() -> None:
    network = nn.ModuleDict(
        {"a": DeltaLSTM(2, 3, 2, theta_x=(0.5, 0.25)), "b": DeltaLinear(3, 1, theta_x=0.125)}
    )
    assert thresholds(network) == {
        ("a", 0, "theta_x"): 0.5,
        ("a", 0, "theta_h"): 0.0,
        ("a", 1, "theta_x"): 0.25,
        ("a", 1, "theta_h"): 0.0,
        ("b", 0, "theta_x"): 0.125,
    }
