"""NIR files of SpikingJelly and snnTorch where they are right: equal spikes in every step."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from frameworks_by_hand import quietly
from nir_networks import (
    DT,
    RESETS,
    RIGHT,
    data,
    equal,
    jelly_conv,
    lif,
    nir,
    one,
    recurrent,
    silent,
    snntorch,
    spikingjelly,
    torch_conv,
    torch_recurrent,
)
from torch import Tensor, nn

import tospike as ts
from tospike.conversion.nir import check_nir, run_nir
from tospike.conversion.nir.frameworks import run_framework
from tospike.errors import ModelError
from tospike.network.importers.nir_file import read_nir
from tospike.network.importers.nir_neurons import NirOptions

pytestmark = pytest.mark.filterwarnings("ignore:nirtorch:DeprecationWarning")


@pytest.mark.parametrize("v_reset", [0.0, -0.125])
@pytest.mark.parametrize("step_mode", ["s", "m"])
def test_spikingjelly_conv(step_mode: str, v_reset: float, tmp_path: Path) -> None:
    *_, exchange = spikingjelly()
    net = jelly_conv(step_mode, v_reset)
    x = data(2, 8, 8)
    example = torch.from_numpy(x if step_mode == "m" else x[0]).float()
    exchange.export_to_nir(net, example, tmp_path / "net.nir")
    options = NirOptions(DT, "hard", tie_fires=True)
    equal(check_nir(tmp_path / "net.nir", net, x, options), 5)
    network = ts.load(tmp_path / "net.nir")
    original = ts.load(jelly_conv("s"), torch.from_numpy(x[0]).float())
    assert network.n_synapses == original.n_synapses
    assert network.n_weights == original.n_weights


def test_spikingjelly_reads_its_own_files() -> None:
    *_, exchange = spikingjelly()
    net = jelly_conv()
    x = data(2, 8, 8)
    graph = exchange.export_to_nir(net, torch.from_numpy(x[0]).float())
    again = exchange.import_from_nir(graph)
    equal(check_nir(graph, again, x, NirOptions(DT, "hard", tie_fires=True), calling="state"), 5)


def test_spikingjelly_recurrent() -> None:
    """Equal with Linear weights; an Affine's bias is missing in SpikingJelly's first step."""
    *_, exchange = spikingjelly()
    x = data(4, scale=0.5)
    options = NirOptions(DT, "hard", tie_fires=True)
    linear = exchange.import_from_nir(recurrent(bias=False))
    equal(check_nir(recurrent(bias=False), linear, x, options, calling="state"), 1)
    affine = exchange.import_from_nir(recurrent(bias=True))
    found = check_nir(
        recurrent(bias=True), affine, np.zeros((4, 1, 4)) + 0.75, options, calling="state"
    )
    assert found.divergence is not None
    assert found.divergence.step == 0
    assert found.divergence.received == 1  # 0.75 + 0.3 > 1


def test_spikingjelly_refuses_what_nir_cannot_say() -> None:
    layer, neuron, exchange = spikingjelly()
    soft = nn.Sequential(layer.Linear(3, 4), neuron.IFNode(v_reset=None))
    with pytest.raises(NotImplementedError, match="soft reset"):
        exchange.export_to_nir(soft, torch.rand(2, 3))
    grouped = nn.Sequential(layer.Conv2d(4, 4, 3, groups=2), neuron.IFNode())
    with pytest.raises(NotImplementedError, match="Grouped"):
        exchange.export_to_nir(grouped, torch.rand(2, 4, 8, 8))


@pytest.mark.parametrize(("mechanism", "delay"), RIGHT)
def test_snntorch_conv(mechanism: str, delay: bool, tmp_path: Path) -> None:
    _, export, _ = snntorch()
    net = torch_conv(mechanism, delay)
    x = data(2, 8, 8)
    graph = export(net, torch.from_numpy(x[0]).float(), ignore_dims=[0])
    nir.write(tmp_path / "net.nir", graph)
    options = NirOptions(DT, RESETS[mechanism], int(delay))  # type: ignore[arg-type]
    equal(check_nir(tmp_path / "net.nir", net, x, options), 3)
    if mechanism != "none":
        wrong = NirOptions(DT, "none")
        found = check_nir(tmp_path / "net.nir", net, x, wrong)
        assert not found.agrees
        assert any(f"reset {RESETS[mechanism]}" in text for text in found.agrees_with)


@pytest.mark.parametrize(
    ("cell", "mechanism", "delay", "all_to_all"),
    [
        ("RLeaky", "subtract", True, True),
        ("RLeaky", "subtract", True, False),
        ("RLeaky", "zero", False, True),
        ("RSynaptic", "subtract", True, True),
        ("RSynaptic", "zero", True, True),
    ],
)
def test_snntorch_recurrent(cell: str, mechanism: str, delay: bool, all_to_all: bool) -> None:
    _, export, _ = snntorch()
    net = torch_recurrent(cell, mechanism, delay, all_to_all)
    x = data(6)
    graph = export(net, torch.from_numpy(x[0]).float(), ignore_dims=[0])
    options = NirOptions(DT, RESETS[mechanism], int(delay))  # type: ignore[arg-type]
    equal(check_nir(graph, net, x, options), 2)


def test_between_snntorch_and_spikingjelly(tmp_path: Path) -> None:
    """The same spikes from three programs: hard reset at once, parameters per neuron."""
    layer, neuron, exchange = spikingjelly()
    _, export, from_nir = snntorch()
    net = torch_conv("zero", False)
    snn = quietly("snntorch")
    hard = {"init_hidden": True, "reset_mechanism": "zero", "reset_delay": False}
    net[5] = snn.Leaky(torch.full((8,), 0.8), torch.full((8,), 0.6), **hard)
    x = data(2, 8, 8)
    graph = export(net, torch.from_numpy(x[0]).float(), ignore_dims=[0])
    options = NirOptions(DT, "hard")
    equal(check_nir(graph, net, x, options), 3)
    nir.write(tmp_path / "net.nir", graph)  # in memory, Conv2d holds tensors, which nobody takes
    again = exchange.import_from_nir(tmp_path / "net.nir")
    equal(check_nir(graph, again, x, options, calling="state"), 3)
    torch.manual_seed(0)
    jelly = nn.Sequential(layer.Linear(6, 5), neuron.LIFNode(tau=4.0, decay_input=False))
    with torch.no_grad():
        jelly[0].weight.add_(0.3)
    written = exchange.export_to_nir(jelly, torch.rand(3, 6))
    theirs = silent(lambda: from_nir(written))
    equal(check_nir(written, theirs, data(6), options, calling="state"), 1)


def test_an_old_file_of_the_wild() -> None:
    """braille.nir, NIR 0.2.0, ships with Norse: a recurrent and a plain CubaLIF layer."""
    norse = quietly("norse")
    path = Path(norse.__file__).parent / "torch" / "utils" / "test" / "braille.nir"
    graph = read_nir(path)
    assert [node.type for node in graph.nodes if "CubaLIF" in node.type] == ["CubaLIF"] * 2
    assert graph["lif1.w_rec"].delayed == ("lif1.lif",)
    assert ts.load(path).n_synapses == 12 * 38 + 38 * 38 + 38 * 7


class Raises(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        raise ValueError("no")


def test_modules_that_cannot_be_replayed() -> None:
    graph = one(lif())
    x = data(3)
    with pytest.raises(ModelError, match="ValueError: no"):
        check_nir(graph, Raises(), x, NirOptions(DT, "hard"))
    with pytest.raises(ModelError, match="no population and no output that both have"):
        check_nir(graph, nn.Linear(3, 7), x, NirOptions(DT, "hard"))
    with pytest.raises(ModelError, match=r"allowed: a torch\.nn\.Module"):
        run_framework("net", x)  # type: ignore[arg-type]


def test_the_first_divergence_is_found(tmp_path: Path) -> None:
    """One weight of one neuron is changed: the replay names its layer, step and neuron."""
    *_, exchange = spikingjelly()
    net = jelly_conv()
    graph = tmp_path / "net.nir"  # the graph in memory shares its arrays with the module
    exchange.export_to_nir(net, torch.rand(1, 2, 8, 8), graph)
    x = data(2, 8, 8)
    options = NirOptions(DT, "hard", tie_fires=True)
    before = check_nir(graph, net, x, options)
    assert before.agrees
    spikes = run_nir(graph, x, dt=DT, reset="hard", tie_fires=True).spikes["_7"]
    step, sample, neuron = (int(i) for i in np.argwhere(spikes)[0])
    with torch.no_grad():
        net[6].bias[neuron] -= 100.0
    found = check_nir(graph, net, x, options).divergence
    assert found is not None
    assert (found.node, found.module) == ("_7", "7")
    assert (found.step, found.sample, found.neuron) == (step, sample, (neuron,))
    assert (found.expected, found.received) == (0, 1)
