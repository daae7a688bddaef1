"""What event-driven machines refuse: one error, with every reason."""

from __future__ import annotations

from dataclasses import replace
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import tospike as ts
from tospike.activity import ActivityProfile, LayerActivity
from tospike.architecture import Architecture, load_architecture
from tospike.errors import DataError, ModelError, OptionError, TechnologyError, UnknownNameError
from tospike.machines import Workload, minitaur, simulate
from tospike.machines.spikes import random_traces
from tospike.network import Network

MACHINES = ("event_core", "minitaur", "spinalflow")
DATA = Path(ts.__file__).parent / "architecture" / "data"


@pytest.fixture(scope="module")
def net() -> Network:
    parts = [nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Conv2d(2, 3, 3), nn.ReLU(), nn.Flatten()]
    return ts.load(nn.Sequential(*parts, nn.Linear(48, 4)), torch.zeros(1, 1, 8, 8))


@pytest.fixture(scope="module")
def traces(net: Network) -> dict[str, np.ndarray]:
    return random_traces(net, {"2": 0.2, "5": 0.2}, timesteps=3)


def activity(net: Network, **changes: object) -> ActivityProfile:
    spiking = {"signal": "spike", "n_samples": 1, "n_timesteps": 3.0, "zero_fraction": 0.8,
               "synaptic_operations": 100.0, "spikes_per_neuron": 0.6, **changes}  # fmt: skip
    return ActivityProfile({"2": LayerActivity(**spiking), "5": LayerActivity(**spiking)}, 1, "t")


@pytest.mark.parametrize("machine", MACHINES)
def test_nothing_known(net: Network, machine: str) -> None:
    with pytest.raises(DataError) as error:
        simulate(Workload(net), machine)
    assert error.value.reasons[:2] == (
        "2: no trace and no activity of its input",
        "5: no trace and no activity of its input",
    )
    assert machine in str(error.value)


def test_minitaur_needs_the_order(net: Network) -> None:
    with pytest.raises(DataError) as error:
        simulate(Workload(net, activity(net)), "minitaur")
    assert str(error.value) == (
        "cannot run 'Sequential' on 'minitaur'\n"
        "  allowed: spikes for every layer: traces (T, samples, *input_shape) of 0 and 1\n"
        "  fix: record the spikes of the network, or draw some from its statistics with "
        "tospike.machines.spikes.random_traces\n"
        "  reasons:\n"
        "    - 2: statistics only, and the order of its spikes decides what is in the caches\n"
        "    - 5: statistics only, and the order of its spikes decides what is in the caches"
    )


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda t: {**t, "2": t["2"][0]}, "analog values of one inference"),
        (lambda t: {**t, "2": t["2"][..., :-1]}, r"\(3, 1, 2, 6, 5\)"),
        (lambda t: {**t, "2": t["2"] * 2}, "other values than 0 and 1"),
        (lambda t: {**t, "2": np.full(t["2"].shape, np.nan)}, "other values than 0 and 1"),
        (lambda t: {**t, "2": t["2"][:0]}, "is empty"),
        (lambda t: {**t, "2": t["2"][:2]}, "differ in time steps: {'2': 2, '5': 3}"),
        (lambda t: {**t, "2": np.repeat(t["2"], 2, 1)}, "differ in samples"),
        (lambda t: {**t, "7": t["2"]}, "there is no layer '7'"),
        (lambda t: {"5": t["5"]}, "2: no trace"),
    ],
)
def test_traces_that_do_not_fit(net, traces, machine: str, change, reason: str) -> None:
    with pytest.raises(DataError, match=reason):
        simulate(Workload(net, traces=change(traces)), machine)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"signal": "analog"}, "2: its input is analog, not spikes"),
        ({"signal": "delta"}, "2: its input is delta, not spikes"),
        ({"spikes_per_neuron": None}, "2: its activity has None spikes per neuron"),
        ({"spikes_per_neuron": float("nan")}, "2: its activity has nan spikes per neuron"),
        ({"n_timesteps": 2.5}, "2: its activity has 2.5 time steps"),
        ({"n_timesteps": 0.0}, "2: its activity has 0.0 time steps"),
    ],
)
def test_statistics_that_do_not_fit(net: Network, changes, reason: str) -> None:
    with pytest.raises(DataError) as error:
        simulate(Workload(net, activity(net, **changes)), "event_core")
    assert reason in error.value.reasons


@pytest.mark.parametrize("batch", [0, -1, True])
def test_a_batch_below_one(net, traces, batch: int) -> None:
    with pytest.raises(OptionError, match="a whole number from 1 is needed"):
        simulate(Workload(net, traces=traces, batch=batch), "event_core")


def test_layers_without_a_place_on_the_machine() -> None:
    class Odd(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.up = nn.ConvTranspose2d(2, 3, 3)
            self.gru = nn.GRU(6, 4, batch_first=True)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.gru(torch.relu(self.up(x)).flatten(1, 2))[0]

    net = ts.load(Odd(), torch.zeros(1, 2, 4, 4))
    with pytest.raises(DataError) as error:
        simulate(Workload(net), "event_core")
    text = str(error.value)
    assert "up: a transposed convolution" in text
    assert "gru.weight_ih_l0: synapses of the kind 'rnn_input'" in text
    assert "gru.weight_hh_l0: synapses of the kind 'rnn_hidden'" in text


def test_neurons_that_fit_no_core_and_too_few_cores(net, traces) -> None:
    chip = load_architecture("loihi")
    level = chip.level("weights")
    assert level.capacity is not None
    tiny = replace(level.capacity, value=16.0, low=16.0, high=16.0)
    small = replace(chip, levels=(replace(level, capacity=tiny), chip.level("states")))
    with pytest.raises(ModelError) as error:
        simulate(Workload(net, traces=traces), small)
    assert error.value.reasons == (
        "2: one neuron with 18 weights does not fit into a core of 16 bytes",
        "5: one neuron with 48 weights does not fit into a core of 16 bytes",
    )
    with pytest.raises(ModelError) as error:
        simulate(Workload(net, traces=traces), replace(chip, n_pe=2))
    assert error.value.reasons[0] == "3 cores are needed, there are 2"
    assert "more cores (n_pe)" in error.value.fix


@pytest.mark.parametrize("machine", MACHINES)
def test_a_file_without_its_numbers(net, traces, machine: str) -> None:
    chip = replace(load_architecture(machine), parameters={}, levels=())
    with pytest.raises((TechnologyError, UnknownNameError)) as error:
        simulate(Workload(net, traces=traces), chip)
    assert isinstance(error.value, TechnologyError)
    assert "parameters: there is no 'weight_bits'" in error.value.reasons
    assert len(error.value.reasons) >= 6
    assert "the packaged one of this machine" in error.value.fix


def changed(chip: Architecture, name: str, value: float) -> Architecture:
    number = replace(chip.parameters[name], value=value, low=value, high=value)
    return replace(chip, parameters={**chip.parameters, name: number})


def test_numbers_and_caches_that_cannot_be(net, traces) -> None:
    chip = load_architecture("minitaur")
    with pytest.raises(TechnologyError, match="line_bytes is 0; above 0 is needed"):
        simulate(Workload(net, traces=traces), changed(chip, "line_bytes", 0.0))
    with pytest.raises(OptionError, match="at least one set"):
        simulate(Workload(net, traces=traces), changed(chip, "state_ways", 1e6))
    dram = replace(chip.level("dram"), device=None)
    with pytest.raises(TechnologyError, match="without a device"):
        simulate(Workload(net, traces=traces), replace(chip, levels=(*chip.levels[:2], dram)))
    with pytest.raises(OptionError, match="'real', 'sorted', 'shuffled'"):
        minitaur.replay(Workload(net, traces=traces), chip, order="backwards")


def test_a_network_that_fits_no_dram(net, traces) -> None:
    huge = changed(load_architecture("minitaur"), "weight_bits", 1e8)
    with pytest.raises(ModelError, match="bytes of weights and states") as error:
        simulate(Workload(net, traces=traces), huge)
    assert "up to 134217728 bytes" in error.value.allowed


def test_more_misses_than_can_be_simulated(net, traces, monkeypatch) -> None:
    monkeypatch.setattr(import_module("tospike.machines.minitaur.simulate"), "LIMIT", 20)
    with pytest.raises(DataError, match="fewer samples or time steps, or larger caches"):
        simulate(Workload(net, traces=traces), "minitaur")


def test_random_spikes_that_cannot_be_drawn(net: Network) -> None:
    with pytest.raises(DataError) as error:
        random_traces(net, {"2": 1.5, "9": 0.1, "5": float("nan")}, timesteps=0)
    assert error.value.reasons == (
        "there is no layer '9'",
        "2: a rate of 1.5; 0 to 1 is needed",
        "5: a rate of nan; 0 to 1 is needed",
        "timesteps is 0; 1 or more is needed",
    )


@pytest.mark.parametrize("name", ["event_core", "seneca", "loihi", "minitaur", "spinalflow"])
def test_a_chip_of_ones_own(tmp_path: Path, net, traces, name: str) -> None:
    """The packaged file with fewer PEs, under another name: it runs, and is not faster."""
    text = (DATA / f"{name}.yaml").read_text("utf-8")
    chip = load_architecture(name)
    path = tmp_path / "mine.yaml"
    path.write_text(text.replace(f"n_pe: {chip.n_pe}", f"n_pe: {chip.n_pe // 4}"), "utf-8")
    mine = simulate(Workload(net, traces=traces), path)
    assert mine.architecture.n_pe == chip.n_pe // 4
    assert mine.cycles >= simulate(Workload(net, traces=traces), name).cycles
