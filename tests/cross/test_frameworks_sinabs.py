"""sinabs' networks, unedited: counts equal to a hand count."""

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
from tospike.errors import StatisticError
from tospike.network.importers.torch_tables import SPIKING_MODULES

quietly("sinabs")
import sinabs.activation as sa  # noqa: E402
import sinabs.layers as sl  # noqa: E402

T, N = 4, 4
ONE: dict[str, Any] = {"spike_fn": sa.SingleSpike}


def rows() -> Tensor:
    return torch.rand(N, T, 12, generator=torch.Generator().manual_seed(1)) * 8


def images() -> Tensor:
    return torch.rand(N, T, 2, 8, 8, generator=torch.Generator().manual_seed(1)) * 3


class Squeezed(nn.Module):
    """sinabs' usual form: time and batch in one axis, with a residual connection."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__()
        self.conv1, self.bn = nn.Conv2d(2, 4, 3, padding=1), nn.BatchNorm2d(4)
        self.iaf1 = sl.IAFSqueeze(num_timesteps=T, **kwargs)
        self.pool = nn.MaxPool2d(2)
        self.conv2 = nn.Conv2d(4, 4, 3, padding=1)
        self.lif2 = sl.LIFSqueeze(tau_mem=5.0, num_timesteps=T, norm_input=False, **kwargs)
        self.merge = sl.Merge()
        self.conv3 = nn.Conv2d(4, 4, 3, stride=2, padding=1)
        self.iaf3 = sl.IAFSqueeze(num_timesteps=T, **kwargs)
        self.fc = nn.Linear(16, 3)
        self.out = sl.ExpLeakSqueeze(tau_mem=10.0, num_timesteps=T)

    def forward(self, x: Tensor) -> Tensor:
        x = self.pool(self.iaf1(self.bn(self.conv1(x.flatten(0, 1)))))
        x = self.merge(x, self.lif2(self.conv2(x) * 2))
        x = self.iaf3(self.conv3(x) * 2)
        return self.out(self.fc(x.flatten(1)))


def dense() -> nn.Module:
    return nn.Sequential(
        nn.Linear(12, 8), sl.IAF(**ONE), nn.Linear(8, 6), sl.LIF(tau_mem=5.0, **ONE),
        nn.Linear(6, 5), sl.ALIF(tau_mem=5.0, tau_adapt=10.0), nn.Linear(5, 3),
        sl.ExpLeak(tau_mem=10.0),
    )  # fmt: skip


def recurrent() -> nn.Module:
    own = nn.Linear(8, 8)
    with torch.no_grad():
        own.weight.mul_(2)
    return nn.Sequential(
        nn.Linear(12, 8), sl.LIFRecurrent(tau_mem=5.0, rec_connect=own, **ONE), nn.Linear(8, 3),
        sl.ALIFRecurrent(tau_mem=5.0, tau_adapt=9.0, rec_connect=nn.Linear(3, 3)), nn.Linear(3, 2),
    )  # fmt: skip


def plain(module: nn.Module, x: Tensor) -> None:
    module(x)


def by_conv(signal: str) -> dict[str, str]:
    return {"conv1": "analog", "conv2": signal, "conv3": "analog", "fc": signal}


CONV = {"iaf1": 256, "lif2": 64, "iaf3": 16, "out": 3}
CASES = {
    "conv": Case(lambda: Squeezed(**ONE), images, plain, N, T, by_conv("spike"), CONV),
    # sinabs' own choice: several spikes in one step
    "multi-spike": Case(Squeezed, images, plain, N, T, by_conv("analog"), CONV),
    "dense": Case(
        dense, lambda: rows() * 2, plain, N, T,
        {"0": "analog", "2": "spike", "4": "spike", "6": "spike"}, {"1": 8, "3": 6, "5": 5, "7": 3},
    ),
    "recurrent": Case(
        recurrent, rows, plain, N, T,
        {"0": "analog", "1.rec_connect": "spike", "2": "spike", "3.rec_connect": "spike",
         "4": "spike"},
        {"1": 8, "3": 3},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_counts_equal_the_hand_count(name: str) -> None:
    check_counts(CASES[name])


@pytest.mark.parametrize("name", CASES)
def test_counts_do_not_depend_on_the_batch(name: str) -> None:
    check_batches(CASES[name])


@pytest.mark.parametrize("name", CASES)
def test_the_module_is_left_as_found(name: str) -> None:
    check_left_as_found(CASES[name])


def test_several_spikes_in_one_step_declared_as_spikes_are_refused() -> None:
    name = "sinabs.layers.IAF"
    SPIKING_MODULES[name] = "spike"
    try:
        with pytest.raises(StatisticError, match="other than 0 and 1") as caught:
            ts.measure(nn.Sequential(nn.Linear(12, 8), sl.IAF(), nn.Linear(8, 3)), rows() * 9)
    finally:
        del SPIKING_MODULES[name]
    assert "sinabs.layers.iaf.IAF" in str(caught.value) or "layer '2'" in str(caught.value)


def test_at_most_one_spike_per_step_is_a_spike() -> None:
    for function, signal in ((sa.MaxSpike(1), "spike"), (sa.MaxSpike(2), "analog")):
        net = nn.Sequential(nn.Linear(12, 8), sl.IAF(spike_fn=function), nn.Linear(8, 3))
        assert ts.measure(net, rows())["2"].signal == signal
