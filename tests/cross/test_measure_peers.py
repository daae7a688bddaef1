"""Synaptic operations against two independent counters, where they are installed.

NeuroBench (Yik 2025) runs every layer with ones for weights and its inputs made binary: exact at
borders and strides, per batch. It knows Linear, Conv1d-3d and the recurrent modules; transposed
convolutions, functional calls and attention are invisible to it, so they are not compared.

SpikingJelly (Fang 2023) counts below autograd: ``SynOpCounter`` products with spikes,
``MACCounter`` dense products, padded positions included.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import tospike as ts
from tospike.network.importers.torch_tables import SPIKING_MODULES


class Fire(nn.Module):
    """Spikes of a threshold, without state."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return (x > 0.1).float()


class OverTime(nn.Module):
    """T steps of one network, (B, T, ...) in, the mean out."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.stack([self.net(x[:, t]) for t in range(x.shape[1])]).mean(0)


def network(seed: int, rank: int, activation: type[nn.Module]) -> tuple[nn.Module, torch.Tensor]:
    """Random convolutions (groups, strides, padding, dilation) and two linear layers."""
    rng = np.random.default_rng(seed)
    torch.manual_seed(seed)
    conv = (nn.Conv1d, nn.Conv2d, nn.Conv3d)[rank - 1]
    groups = int(rng.integers(1, 4))
    size = {1: 17, 2: 9, 3: 5}[rank]
    first = conv(
        2,
        6,
        int(rng.integers(1, 4)),
        stride=int(rng.integers(1, 3)),
        padding=int(rng.integers(0, 3)),
        dilation=int(rng.integers(1, 3)) if rank < 3 else 1,
        bias=bool(rng.integers(2)),
    )
    second = conv(6, 6, 3, padding=1, stride=int(rng.integers(1, 3)), groups=groups)
    x = torch.randn(3, 2, *[size] * rank).relu()
    with torch.no_grad():
        width = second(first(x)).flatten(1).shape[1]
    net = nn.Sequential(
        first,
        activation(),
        second,
        activation(),
        nn.Flatten(),
        nn.Linear(width, 11),
        activation(),
        nn.Linear(11, 4, bias=False),
    )
    return net.eval(), x


def neurobench(model: nn.Module, x: torch.Tensor) -> dict[str, float]:
    """Its metric, as its own benchmark calls it for one batch."""
    pytest.importorskip("snntorch")
    pytest.importorskip("neurobench")
    from neurobench.hooks.layer import LayerHook
    from neurobench.metrics.workload.synaptic_operations import SynapticOperations
    from neurobench.models import TorchModel

    wrapped = TorchModel(model)
    wrapped.connection_hooks = [LayerHook(layer) for layer in wrapped.connection_layers()]
    with torch.no_grad():
        predictions = wrapped(x)
    found: dict[str, float] = SynapticOperations()(wrapped, predictions, (x, None))
    wrapped.close_hooks()
    return found


def spikingjelly(model: nn.Module, x: torch.Tensor, name: str) -> float:
    """Total of one of its counters over the batch."""
    pytest.importorskip("spikingjelly")
    from spikingjelly.activation_based import op_counter

    counter = vars(op_counter)[name]()
    with torch.no_grad(), op_counter.DispatchCounterMode([counter]):
        model(x)
    return float(counter.get_total())


def fire_is_spiking(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SPIKING_MODULES, f"{Fire.__module__}.Fire", "spike")


@settings(max_examples=12, deadline=None, derandomize=True)
@given(seed=st.integers(0, 10_000), rank=st.integers(1, 3))
def test_neurobench_effective_operations_of_an_ann(seed: int, rank: int) -> None:
    model, x = network(seed, rank, nn.ReLU)
    theirs = neurobench(model, x)
    ours = ts.measure(model, x)
    total = sum(a.synaptic_operations for a in ours.layers.values())
    # theirs are integers over the batch, of which they take the mean
    assert round(total * len(x)) == round(theirs["Effective_MACs"] * len(x))
    assert theirs["Effective_ACs"] == 0


@settings(max_examples=8, deadline=None, derandomize=True)
@given(seed=st.integers(0, 10_000), rank=st.integers(1, 3))
def test_neurobench_dense_operations_are_the_border_exact_ones(seed: int, rank: int) -> None:
    model, x = network(seed, rank, nn.ReLU)
    net = ts.load(model, x)
    assert neurobench(model, x)["Dense"] == sum(layer.n_synapses_exact for layer in net.layers)


@settings(max_examples=8, deadline=None, derandomize=True)
@given(seed=st.integers(0, 10_000), rank=st.integers(1, 3))
def test_peers_count_a_spiking_network_over_time(seed: int, rank: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        fire_is_spiking(patch)
        inner, _ = network(seed, rank, Fire)
        model = OverTime(inner).eval()
        torch.manual_seed(seed)
        size = {1: 17, 2: 9, 3: 5}[rank]
        x = (torch.rand(2, 4, 2, *[size] * rank) < 0.3).float()
        ours = ts.measure(model, x)
    total = round(sum(a.synaptic_operations for a in ours.layers.values()) * len(x))
    found = neurobench(model, x)
    # NeuroBench calls a layer spiking by the values of its input: here all of them are 0 or 1
    assert round((found["Effective_ACs"] + found["Effective_MACs"]) * len(x)) == total
    assert spikingjelly(model, x, "SynOpCounter") == total


@settings(max_examples=8, deadline=None, derandomize=True)
@given(seed=st.integers(0, 10_000), rank=st.integers(1, 3))
def test_spikingjelly_dense_macs(seed: int, rank: int) -> None:
    model, x = network(seed, rank, Fire)  # a comparison has no MACs, in any counter
    net = ts.load(model, x)
    # every layer gets analog values there: its counter leaves products with spikes to another one
    own = spikingjelly(model[0], x, "MACCounter")
    assert own == net["0"].n_synapses * len(x)


def test_a_linear_layer_with_known_spikes() -> None:
    """The three counters on a case that can be counted by hand: 5 spikes x 4 outputs."""
    x = torch.zeros(1, 10)
    x[0, :5] = 1
    model = nn.Sequential(nn.Linear(10, 4))
    assert ts.measure(model, x)["0"].synaptic_operations == 20
    assert spikingjelly(model, x, "SynOpCounter") == 20
    assert neurobench(model, x)["Effective_ACs"] == 20
