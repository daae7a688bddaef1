"""Norse's networks, unedited: counts equal to a hand count."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from frameworks_by_hand import (
    Case,
    check_batches,
    check_counts,
    check_left_as_found,
    quietly,
)
from torch import Tensor, nn

import tospike as ts

norse: Any = quietly("norse.torch")

T, N = 4, 4


def rows() -> Tensor:
    return torch.rand(N, T, 12, generator=torch.Generator().manual_seed(1)) * 40


def images() -> Tensor:
    return torch.rand(N, T, 2, 8, 8, generator=torch.Generator().manual_seed(1)) * 60


class Residual(nn.Module):
    """Cells in a loop over time, the state handed on by hand."""

    def __init__(self) -> None:
        super().__init__()
        self.first = norse.SequentialState(
            nn.Conv2d(2, 4, 3, padding=1), nn.BatchNorm2d(4), norse.LIFCell(), nn.MaxPool2d(2)
        )
        self.inner = norse.SequentialState(nn.Conv2d(4, 4, 3, padding=1), norse.IAFCell())
        self.last = norse.SequentialState(
            nn.Conv2d(4, 4, 3, padding=1), norse.LIFBoxCell(), nn.AvgPool2d(2), nn.Flatten(),
            nn.Linear(16, 3), norse.LICell(),
        )  # fmt: skip
        with torch.no_grad():
            self.first[0].weight.mul_(20)
            self.inner[0].weight.mul_(5)
            self.last[0].weight.mul_(40)

    def forward(self, x: Tensor) -> Tensor:
        one = two = three = None
        out = torch.zeros(x.shape[0], 3)
        for t in range(x.shape[1]):
            z, one = self.first(x[:, t], one)
            inner, two = self.inner(z, two)
            out, three = self.last(z + inner, three)
        return out


def sequence() -> nn.Module:
    """(T, B, ...) through; convolutions are lifted over time."""
    net = norse.SequentialState(
        norse.Lift(nn.Conv2d(2, 4, 3, padding=1)), norse.LIF(), norse.Lift(nn.MaxPool2d(2)),
        norse.Lift(nn.Conv2d(4, 4, 3)), norse.IAF(), nn.Flatten(2), nn.Linear(16, 5),
        norse.LSNN(), nn.Linear(5, 3), norse.LI(),
    )  # fmt: skip
    with torch.no_grad():
        net[3].lifted_module.weight.mul_(5)
        net[6].weight.mul_(300)
    return net


def recurrent() -> nn.Module:
    return norse.SequentialState(
        nn.Linear(12, 10), norse.LIFRecurrent(10, 8), norse.LSNNRecurrent(8, 6), nn.Linear(6, 3)
    )


def cells() -> nn.Module:
    net = norse.SequentialState(
        nn.Linear(12, 8), norse.LIFCell(), nn.Linear(8, 6), norse.LIFBoxCell(), nn.Linear(6, 3),
        norse.LICell(),
    )  # fmt: skip
    with torch.no_grad():
        net[2].weight.mul_(30)
    return net


def steps_of(module: nn.Module, x: Tensor) -> None:
    state = None
    for t in range(x.shape[1]):
        _, state = module(x[:, t], state)


def time_first(module: nn.Module, x: Tensor) -> None:
    module(x.transpose(0, 1))


CASES = {
    "loop": Case(
        Residual, images, lambda m, x: m(x), N, T,
        {"first.0": "analog", "inner.0": "spike", "last.0": "analog", "last.4": "analog"},
        {"first.2": 256, "inner.1": 64, "last.1": 64, "last.5": 3},
    ),
    "sequence": Case(
        sequence, images, time_first, N, T,
        {"0.lifted_module": "analog", "3.lifted_module": "spike", "6": "spike", "8": "spike"},
        {"1": 256, "4": 16, "7": 5, "9": 3}, {"batch_dim": 1},
    ),
    "recurrent": Case(
        recurrent, lambda: rows() * 3, time_first, N, T,
        {"0": "analog", "1.input_weights": "analog", "1.recurrent_weights": "spike",
         "2.input_weights": "spike", "2.recurrent_weights": "spike", "3": "spike"},
        {"1": 8, "2": 6}, {"batch_dim": 1},
    ),
    "one call per step": Case(
        cells, rows, steps_of, N, T, {"0": "analog", "2": "spike", "4": "spike"},
        {"1": 8, "3": 6, "5": 3}, {"time_dim": 1},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_counts_equal_the_hand_count(name: str) -> None:
    check_counts(CASES[name])


@pytest.mark.parametrize("name", CASES)
def test_counts_do_not_depend_on_the_batch(name: str) -> None:
    check_batches(CASES[name])


@pytest.mark.parametrize("name", ["loop", "sequence", "recurrent"])
def test_the_module_is_left_as_found(name: str) -> None:
    check_left_as_found(CASES[name])


def test_the_state_is_handed_on_from_call_to_call() -> None:
    """Without the state, every step would be the first one, and none of these neurons fires."""
    net = cells()
    x = rows()[:, :1].expand(-1, T, -1)
    one = ts.measure(net, x[:, 0])
    several = ts.measure(net, x[:, 0], timesteps=T)
    assert several["0"].n_timesteps == T
    assert (several.neurons["1"].spikes or 0) != T * (one.neurons["1"].spikes or 0)
    assert (
        several["2"].synaptic_operations == ts.measure(net, x, time_dim=1)["2"].synaptic_operations
    )


def test_encoders_send_spikes() -> None:
    net = nn.Sequential(norse.PoissonEncoder(seq_length=T, f_max=500), nn.Linear(12, 3))
    found = ts.measure(net, rows() / 40)["1"]
    assert found.signal == "spike"
    assert 0 < (found.spikes_per_neuron or 0) < T
