"""Where frameworks and the package nir are wrong about NIR: every entry of docs/nir.md."""

from __future__ import annotations

from importlib.metadata import requires
from typing import Any

import numpy as np
import pytest
import torch
from frameworks_by_hand import quietly
from nir_networks import (
    DT,
    data,
    equal,
    jelly_conv,
    leaky_of,
    lif,
    nir,
    one,
    silent,
    snntorch,
    spikingjelly,
    torch_conv,
    torch_recurrent,
)
from torch import Tensor, nn

from tospike.conversion.nir import check_nir, run_nir
from tospike.errors import ModelError
from tospike.network.importers.nir_file import read_nir
from tospike.network.importers.nir_neurons import NirOptions

pytestmark = pytest.mark.filterwarnings("ignore:nirtorch:DeprecationWarning")


def test_wrong_snntorch_imports_if_as_leaky() -> None:
    *_, from_nir = snntorch()
    module = silent(lambda: from_nir(one(nir.IF(*(np.full(3, v) for v in (1.0, 1.0, 0.0))))))
    assert float(leaky_of(module).beta) == pytest.approx(0.9)
    assert leaky_of(module).reset_mechanism == "subtract"


def test_wrong_snntorch_refuses_if_with_a_time_step() -> None:
    """r = 1/dt, as NIR's dv/dt = R I needs and SpikingJelly writes."""
    *_, from_nir = snntorch()
    with pytest.raises(AssertionError, match="r != 1 not supported"):
        silent(lambda: from_nir(one(nir.IF(*(np.full(3, v) for v in (1e4, 1.0, 0.0))))))


def test_wrong_snntorch_ignores_v_reset() -> None:
    *_, from_nir = snntorch()
    module = silent(lambda: from_nir(one(lif(v_reset=-0.5))))
    assert leaky_of(module).reset_mechanism == "zero"
    found = check_nir(
        one(lif(v_reset=-0.5)), module, data(3), NirOptions(DT, "hard"), calling="state"
    )
    assert not found.agrees


def test_wrong_snntorch_forgets_reset_and_delay() -> None:
    """Its default network (soft, delayed) comes back with a hard reset at once."""
    snn, export, from_nir = snntorch()
    net = nn.Sequential(
        nn.Linear(3, 4), snn.Leaky(torch.full((4,), 0.9), torch.ones(4), init_hidden=True)
    )
    again = silent(lambda: from_nir(export(net, torch.rand(1, 3), ignore_dims=[0])))
    assert (net[1].reset_mechanism, net[1].reset_delay) == ("subtract", True)
    assert (leaky_of(again).reset_mechanism, leaky_of(again).reset_delay) == ("zero", False)


def test_wrong_snntorch_flattens_the_batch() -> None:
    *_, from_nir = snntorch()
    nodes = {
        "input": nir.Input(np.array([2, 3])),
        "f": nir.Flatten(np.array([2, 3]), 0, -1),
        "w": nir.Linear(np.ones((4, 6), np.float32)),
        "output": nir.Output(np.array([4])),
    }
    graph = nir.NIRGraph(nodes, [("input", "f"), ("f", "w"), ("w", "output")], metadata={})
    module = silent(lambda: from_nir(graph))
    with pytest.raises(RuntimeError, match="mat1 and mat2"):
        module(torch.rand(5, 2, 3))
    assert run_nir(graph, np.ones((1, 5, 2, 3)), dt=1.0, reset="none").output.shape == (1, 5, 4)


def test_wrong_snntorch_cannot_export_scalar_neurons() -> None:
    snn, export, _ = snntorch()
    net = nn.Sequential(nn.Linear(3, 4), snn.Leaky(0.9, init_hidden=True))
    with pytest.raises(ValueError, match="type mismatch"):
        export(net, torch.rand(1, 3), ignore_dims=[0])


def test_wrong_snntorch_export_takes_the_batch_for_a_dimension() -> None:
    _, export, _ = snntorch()
    with pytest.raises(ValueError, match="type mismatch"):
        export(torch_recurrent("RLeaky", "zero", False), torch.rand(1, 6))


def test_wrong_snntorch_leaves_tensors_in_convolutions() -> None:
    *_, exchange = spikingjelly()
    _, export, _ = snntorch()
    graph = export(torch_conv("zero", False), torch.rand(1, 2, 8, 8), ignore_dims=[0])
    assert isinstance(graph.nodes["0"].weight, Tensor)
    with pytest.raises(TypeError, match="got Tensor"):
        exchange.import_from_nir(graph)
    assert read_nir(graph)["0"].array("weight").shape == (4, 2, 3, 3)


def test_wrong_spikingjelly_shares_its_arrays() -> None:
    *_, exchange = spikingjelly()
    net = jelly_conv()
    graph = exchange.export_to_nir(net, torch.rand(1, 2, 8, 8))
    with torch.no_grad():
        net[6].bias[0] = 7.0
    assert graph.nodes["_6"].bias[0] == 7.0


def test_wrong_sinabs_declares_an_old_nir() -> None:
    quietly("sinabs")
    quietly("spikingjelly")
    assert "nir<=1.0.4" in (requires("sinabs") or ())
    assert 'nir<2,>=1.0.7; extra == "nir"' in (requires("spikingjelly") or ())


def test_wrong_snntorch_recurrent_delayed_hard_reset() -> None:
    """RLeaky drops the input of the step after a spike, Leaky does not; the file says neither."""
    _, export, _ = snntorch()
    net = torch_recurrent("RLeaky", "zero", True)
    x = data(6)
    graph = export(net, torch.from_numpy(x[0]).float(), ignore_dims=[0])
    found = check_nir(graph, net, x, NirOptions(DT, "hard", 1))
    assert found.divergence is not None
    assert found.divergence.node == "1.lif"
    assert found.agrees_with == ()


def test_wrong_snntorch_recurrent_synaptic_without_delay_does_not_run() -> None:
    net = torch_recurrent("RSynaptic", "zero", False)
    with pytest.raises(TypeError):
        net(torch.rand(1, 6))


def test_wrong_snntorch_imports_its_own_recurrent_layers_wrongly() -> None:
    _, export, from_nir = snntorch()
    net = torch_recurrent("RLeaky", "zero", False)
    x = data(6)
    graph = export(net, torch.from_numpy(x[0]).float(), ignore_dims=[0])
    options = NirOptions(DT, "hard")
    equal(check_nir(graph, net, x, options), 2)
    # the import feeds the input into the recurrent weights, and changes the graph that it is given
    again = silent(lambda: from_nir(export(net, torch.from_numpy(x[0]).float(), ignore_dims=[0])))
    assert not check_nir(graph, again, x, options, calling="state").agrees


def test_wrong_snntorch_soft_reset_without_delay() -> None:
    """A neuron above twice its threshold gets the threshold back (see test_nir_neurons)."""
    snn, export, _ = snntorch()
    net = nn.Sequential(
        nn.Linear(3, 4),
        snn.Leaky(torch.full((4,), 0.9), torch.ones(4), init_hidden=True, reset_delay=False),
    )
    with torch.no_grad():
        net[0].weight.copy_(torch.eye(4, 3))
        net[0].bias.zero_()
    graph = export(net, torch.rand(1, 3), ignore_dims=[0])
    assert not check_nir(graph, net, data(3, scale=4.0), NirOptions(DT, "soft")).agrees
    assert check_nir(graph, net, data(3, scale=0.9), NirOptions(DT, "soft")).agrees


def test_wrong_norse_writes_time_constants() -> None:
    """tau = dt / (1/tau): 10 ms become 10 us, in a unit that is none."""
    norse = quietly("norse.torch")
    from norse.torch.utils.export_nir import to_nir

    net = norse.SequentialState(
        nn.Linear(3, 4), norse.LIFCell(), nn.Linear(4, 4), norse.LIFBoxCell()
    )
    graph = to_nir(net, torch.rand(1, 3))
    assert float(graph.nodes["1"].tau_mem) == pytest.approx(1e-3 / 100.0)
    assert float(1 / norse.LIFParameters().tau_mem_inv) == pytest.approx(1e-2)
    assert float(graph.nodes["3"].tau) == pytest.approx(1e-3 / 100.0)
    assert graph.nodes["input"].input_type["input"].tolist() == [1, 3]  # with the batch
    with pytest.raises(ModelError, match=r"takes \(3,\), its input is \(1, 3\)"):
        read_nir(graph)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("wrong", [{"r": 5.0}, {"v_reset": -1.0}])
def test_wrong_norse_ignores_r_and_v_reset(wrong: dict[str, float]) -> None:
    quietly("norse.torch")
    from norse.torch.utils.import_nir import from_nir

    options = NirOptions(1e-3, "hard")
    x = data(3, scale=4.0)
    right = one(lif(tau=1e-2, r=1.0))
    found = check_nir(right, from_nir(right), x, options, calling="state")
    assert found.agrees
    assert sum(found.spikes.values()) > 10
    graph = one(lif(**{"tau": 1e-2, "r": 1.0, **wrong}))
    assert not check_nir(
        graph, from_nir(graph, ignore_warnings=True), x, options, calling="state"
    ).agrees


def test_wrong_norse_swaps_the_sizes_of_linear() -> None:
    quietly("norse.torch")
    from norse.torch.utils.import_nir import from_nir

    nodes = {"input": nir.Input(np.array([3])), "w": nir.Linear(np.ones((2, 3), np.float32))}
    nodes["output"] = nir.Output(np.array([2]))
    graph = nir.NIRGraph(nodes, [("input", "w"), ("w", "output")], metadata={})
    linear = next(m for m in from_nir(graph).modules() if isinstance(m, nn.Linear))
    assert (linear.in_features, linear.out_features) == (2, 3)


def test_wrong_sinabs_forgets_soft_reset_several_spikes_and_norm() -> None:
    """Exponential Euler with dt = 1; r = 1 is right with norm_input, and written without too."""
    quietly("sinabs")
    import sinabs.activation as sa
    import sinabs.layers as sl
    from sinabs.nir import to_nir

    def net(**options: Any) -> nn.Module:
        torch.manual_seed(0)
        made = nn.Sequential(nn.Linear(6, 4), sl.LIFSqueeze(tau_mem=5.0, batch_size=3, **options))
        with torch.no_grad():
            made[0].weight.abs_()
        return made

    x = data(6, scale=6.0)
    options = NirOptions(1.0, "soft", discretisation="exponential_euler", tie_fires=True)
    rows = torch.from_numpy(x).float().transpose(0, 1).flatten(0, 1)
    single = net(spike_fn=sa.SingleSpike)
    graph = to_nir(single, rows)
    equal(check_nir(graph, single, x, options), 1)
    assert set(graph.nodes["1"].to_dict()) >= {"tau", "r", "v_leak", "v_threshold", "v_reset"}
    for scale, changed in (
        (5.0, {"spike_fn": sa.MultiSpike}),
        (0.1, {"spike_fn": sa.SingleSpike, "norm_input": False}),
    ):
        other = net(**changed)
        again = to_nir(other, rows)
        assert float(again.nodes["1"].r) == 1
        found = check_nir(again, other, x * scale, options)
        assert not found.agrees


def test_wrong_nir_uses_one_kernel_size_for_both_dimensions() -> None:
    nodes = {
        "input": nir.Input(np.array([1, 8, 6])),
        "c": nir.Conv2d(None, np.ones((2, 1, 3, 5)), 1, 0, 1, 1, np.zeros(2)),
        "output": nir.Output(np.array([2, 6, 2])),
    }
    edges = [("input", "c"), ("c", "output")]
    with pytest.raises(ValueError, match="type mismatch"):
        nir.NIRGraph(dict(nodes), list(edges), metadata={})
    graph = read_nir(nir.NIRGraph(nodes, edges, metadata={}, type_check=False))
    assert graph["c"].out_shape == (2, 6, 2)


def test_wrong_nir_takes_grouped_convolutions_for_plain_ones() -> None:
    nodes = {
        "input": nir.Input(np.array([4, 8, 8])),
        "c": nir.Conv2d((8, 8), np.ones((4, 2, 3, 3)), 1, 1, 1, 2, np.zeros(4)),
        "output": nir.Output(np.array([4, 8, 8])),
    }
    edges = [("input", "c"), ("c", "output")]
    with pytest.raises(ValueError, match="type mismatch"):
        nir.NIRGraph(dict(nodes), list(edges), metadata={})
    graph = read_nir(nir.NIRGraph(nodes, edges, metadata={}, type_check=False))
    assert graph["c"].out_shape == (4, 8, 8)
