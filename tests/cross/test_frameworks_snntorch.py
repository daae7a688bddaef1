"""snnTorch's networks, unedited: counts equal to a hand count."""

from __future__ import annotations

from collections.abc import Callable
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
from torch.nn import functional as F

import tospike as ts
from tospike.errors import StatisticError

snn: Any = quietly("snntorch")

T, N = 4, 4


def rows() -> Tensor:
    return torch.rand(N, T, 12, generator=torch.Generator().manual_seed(1)) * 3


def images() -> Tensor:
    return torch.rand(N, T, 2, 8, 8, generator=torch.Generator().manual_seed(1)) * 2


class Explicit(nn.Module):
    """The tutorial's style: the membrane is passed on by hand, T steps in forward."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(2, 4, 3, padding=1)
        self.bn1 = nn.BatchNorm2d(4)
        self.lif1 = snn.Leaky(0.9)
        self.conv2 = nn.Conv2d(4, 4, 3, padding=1)
        self.bn2 = nn.BatchNorm2d(4)
        self.lif2 = snn.Synaptic(0.6, 0.8)
        self.conv3 = nn.Conv2d(4, 4, 3, padding=1)
        self.lif3 = snn.Lapicque(0.7)
        self.fc = nn.Linear(16, 3)
        self.lif4 = snn.Leaky(0.5)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        mem1, mem3, mem4 = (m.reset_mem() for m in (self.lif1, self.lif3, self.lif4))
        syn2, mem2 = self.lif2.reset_mem()
        spikes, membranes = [], []
        for t in range(x.shape[1]):
            spk1, mem1 = self.lif1(self.bn1(self.conv1(x[:, t])), mem1)
            pooled = F.max_pool2d(spk1, 2)
            spk2, syn2, mem2 = self.lif2(self.bn2(self.conv2(pooled)), syn2, mem2)
            spk3, mem3 = self.lif3(self.conv3(spk2 + pooled) * 3, mem3)
            spk4, mem4 = self.lif4(self.fc(F.avg_pool2d(spk3, 2).flatten(1)) * 4, mem4)
            spikes.append(spk4)
            membranes.append(mem4)
        return torch.stack(spikes), torch.stack(membranes)


class Hidden(nn.Module):
    """``init_hidden=True``: the layers keep their states, forward loops over T."""

    def __init__(self, make: Callable[[int], nn.Module]) -> None:
        super().__init__()
        self.fc1, self.one = nn.Linear(12, 8), make(8)
        self.fc2, self.two = nn.Linear(8, 8), make(8)
        self.fc3 = nn.Linear(8, 3)
        with torch.no_grad():
            self.fc1.weight.mul_(2)
            self.fc2.weight.mul_(3)

    def forward(self, x: Tensor) -> Tensor:
        self.one.reset_mem()
        self.two.reset_mem()
        steps = range(x.shape[1])
        return torch.stack(
            [self.fc3(self.two(self.fc2(self.one(self.fc1(x[:, t]))))) for t in steps]
        )


class OneStep(nn.Module):
    """One step of :class:`Hidden`, called by a loop of the user's."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(
            nn.Linear(12, 8), snn.Leaky(0.9, init_hidden=True), nn.Dropout(0.5), nn.Linear(8, 6),
            snn.Leaky(0.8, init_hidden=True, output=True),
        )  # fmt: skip
        with torch.no_grad():
            self.net[0].weight.mul_(2)
            self.net[3].weight.mul_(4)

    def forward(self, x: Tensor) -> Any:
        return self.net(x)


class OwnLoop(nn.Module):
    """Recurrent synapses of the user's own: the spikes of the step before, zeros at first."""

    def __init__(self) -> None:
        super().__init__()
        self.fc, self.rec, self.lif = nn.Linear(12, 8), nn.Linear(8, 8), snn.Leaky(0.9)
        self.out = nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        mem, spk = self.lif.reset_mem(), torch.zeros(x.shape[0], 8)
        total = torch.zeros(x.shape[0], 3)
        for t in range(x.shape[1]):
            spk, mem = self.lif(self.fc(x[:, t]) * 2 + self.rec(spk), mem)
            total = total + self.out(spk)
        return total


class ConvRecurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 4, 3, padding=1)
        self.lif = snn.RLeaky(0.9, conv2d_channels=4, kernel_size=3, init_hidden=True)
        self.cell = snn.SConv2dLSTM(4, 3, 3, threshold=0.1, init_hidden=True)
        self.fc = nn.Linear(3 * 64, 2)

    def forward(self, x: Tensor) -> Tensor:
        self.lif.reset_mem()
        self.cell.reset_mem()
        steps = range(x.shape[1])
        return torch.stack(
            [self.fc(self.cell(self.lif(self.conv(x[:, t]) * 3)).flatten(1)) for t in steps]
        )


def steps_of(module: nn.Module, x: Tensor) -> None:
    for m in module.modules():
        if isinstance(m, snn.Leaky):
            m.reset_mem()
    for t in range(x.shape[1]):
        module(x[:, t])


def hidden(make: Callable[[int], nn.Module], signals: dict[str, str]) -> Case:
    return Case(
        lambda: Hidden(make), rows, lambda m, x: m(x), N, T,
        {"fc1": "analog", **signals, "fc2": "spike", "fc3": "spike"}, {"one": 8, "two": 8},
    )  # fmt: skip


def both(**signals: str) -> dict[str, str]:
    return {f"{at}.{key}": signal for at in ("one", "two") for key, signal in signals.items()}


LSTM = {f"{at}.lstm_cell.weight_{part}": "analog" for at in ("one", "two") for part in ("ih", "hh")}
CASES = {
    "explicit state": Case(
        Explicit,
        images,
        lambda m, x: m(x),
        N,
        T,
        {"conv1": "analog", "conv2": "spike", "conv3": "analog", "fc": "analog"},
        {"lif1": 256, "lif2": 64, "lif3": 64, "lif4": 3},
    ),
    "one call per step": Case(
        OneStep, rows, steps_of, N, T, {"net.0": "analog", "net.3": "spike"},
        {"net.1": 8, "net.4": 6}, {"time_dim": 1},
    ),
    "own recurrence": Case(
        OwnLoop, rows, lambda m, x: m(x), N, T,
        {"fc": "analog", "rec": "spike", "out": "spike"}, {"lif": 8},
    ),
    "conv recurrent": Case(
        ConvRecurrent, images, lambda m, x: m(x), N, T,
        {"conv": "analog", "lif.recurrent": "spike", "cell.conv": "analog", "fc": "spike"},
        {"lif": 256, "cell": 192},
    ),
    "Leaky": hidden(lambda h: snn.Leaky(0.9, init_hidden=True), {}),
    "Synaptic": hidden(lambda h: snn.Synaptic(0.8, 0.9, init_hidden=True), {}),
    "Lapicque": hidden(lambda h: snn.Lapicque(R=1.0, C=1.5, init_hidden=True), {}),
    "Alpha": hidden(lambda h: snn.Alpha(0.9, 0.5, threshold=0.1, init_hidden=True), {}),
    "RLeaky": hidden(
        lambda h: snn.RLeaky(0.9, linear_features=h, init_hidden=True), both(recurrent="spike")
    ),
    "RLeaky one to one": hidden(
        lambda h: snn.RLeaky(0.9, V=torch.rand(h), all_to_all=False, init_hidden=True), {}
    ),
    "RSynaptic": hidden(
        lambda h: snn.RSynaptic(0.8, 0.9, linear_features=h, init_hidden=True),
        both(recurrent="spike"),
    ),
    "SLSTM": hidden(lambda h: snn.SLSTM(h, h, threshold=0.05, init_hidden=True), LSTM),
    "LeakyParallel": Case(
        lambda: nn.Sequential(
            snn.LeakyParallel(12, 8, beta=0.9, threshold=0.3),
            snn.LeakyParallel(8, 6, threshold=0.3),
        ),
        rows,
        lambda m, x: m(x.transpose(0, 1)),
        N,
        T,
        {
            "0.rnn.weight_ih_l0": "analog", "0.rnn.weight_hh_l0": "analog",
            "1.rnn.weight_ih_l0": "spike", "1.rnn.weight_hh_l0": "analog",
        },
        {"0": 8, "1": 6},
        {"batch_dim": 1},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_counts_equal_the_hand_count(name: str) -> None:
    check_counts(CASES[name])


@pytest.mark.parametrize("name", ["explicit state", "one call per step", "RLeaky", "SLSTM"])
def test_counts_do_not_depend_on_the_batch(name: str) -> None:
    check_batches(CASES[name])


@pytest.mark.parametrize("name", ["explicit state", "one call per step", "RSynaptic", "Alpha"])
def test_the_module_is_left_as_found(name: str) -> None:
    check_left_as_found(CASES[name])


def test_graded_spikes_are_analog() -> None:
    def net(factor: float) -> nn.Module:
        torch.manual_seed(0)
        return nn.Sequential(
            nn.Linear(12, 8),
            snn.Leaky(0.9, graded_spikes_factor=factor, init_hidden=True),
            nn.Linear(8, 3),
        )

    x = rows() * 3
    assert ts.measure(net(0.5), x, time_dim=1)["2"].signal == "analog"
    assert ts.measure(net(1.0), x, time_dim=1)["2"].signal == "spike"
    # spikes scaled by the network itself are no spikes for the layer behind
    scaled = nn.Sequential(net(1.0)[:2], nn.BatchNorm1d(8), nn.Linear(8, 3)).eval()
    assert ts.measure(scaled, x, time_dim=1)["2"].signal == "analog"


def test_spikes_as_data_are_declared_by_the_user() -> None:
    net = nn.Sequential(nn.Linear(12, 8), snn.Leaky(0.9, init_hidden=True), nn.Linear(8, 3))
    x = (rows() > 2).float()
    found = ts.measure(net, x, time_dim=1, input_signal="spike")["0"]
    assert found.signal == "spike"
    assert found.spikes_per_neuron == pytest.approx(float(x.sum()) / N / 12)
    with pytest.raises(StatisticError, match="other than 0 and 1"):
        ts.measure(net, x / 2, time_dim=1, input_signal="spike")


def test_inhibition_and_quantised_states_stay_spikes() -> None:
    with pytest.warns(UserWarning, match="Inhibition"):
        lif = snn.Leaky(0.9, inhibition=True, init_hidden=True)
    net = nn.Sequential(nn.Linear(12, 8), lif, nn.Linear(8, 3))
    with torch.no_grad():
        net[0].weight.mul_(5)
    found = ts.measure(net, rows(), time_dim=1)
    assert found["2"].signal == "spike"
    # at most one neuron of a sample fires in one step
    assert 0 < (found["2"].spikes_per_neuron or 0) * 8 <= T
