"""Workloads: real inputs of layers, statistics of traces, files of zeros."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import nn

import tospike as ts
from tospike.activity import LayerActivity
from tospike.errors import (
    ConversionError,
    DataError,
    OptionError,
    StatisticError,
    UnknownNameError,
)
from tospike.machines.workload import activity_of, is_spiking, without, workload
from tospike.machines.zeros import read_zeros
from tospike.network import Network


class Net(nn.Module):
    """Shared weights, a residual sum and a pooled classifier."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(2, 4, 3, stride=2)
        self.again = nn.Conv2d(4, 4, 3, padding=1)
        self.out = nn.Linear(4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        a = torch.relu(self.first(x))
        b = torch.relu(self.again(a)) + torch.relu(self.again(a))
        return self.out(b.mean(dim=(2, 3)))


@pytest.fixture
def net() -> nn.Module:
    torch.manual_seed(0)
    return Net().eval()


@pytest.fixture
def x() -> np.ndarray:
    rng = np.random.default_rng(0)
    values = rng.standard_normal((5, 2, 9, 9))
    return np.maximum(values, 0).astype(np.float32)


def test_traces_are_what_hooks_see(net: nn.Module, x: np.ndarray) -> None:
    seen: dict[str, list[np.ndarray]] = {}
    for name, module in net.named_modules():
        if name:
            module.register_forward_pre_hook(
                lambda _, inputs, name=name: seen.setdefault(name, []).append(inputs[0].numpy())
            )
    with torch.no_grad():
        net(torch.from_numpy(x[:3]))
    for module in net.modules():
        module._forward_pre_hooks.clear()
    work = workload(net, x, batch=3)
    assert set(work.traces) == {"first", "out"}  # "again" runs twice per inference
    for name, trace in work.traces.items():
        np.testing.assert_allclose(trace, seen[name][0], atol=1e-6)
    assert work.activity is not None
    assert work.activity.n_samples == 5
    assert set(work.activity) == {"first", "again", "out"}
    np.testing.assert_array_equal(work.weight_zeros["first"], net.first.weight.detach().numpy())


def test_streams_of_a_gru_are_those_of_its_states(x: np.ndarray) -> None:
    torch.manual_seed(0)
    gru = nn.GRU(3, 4, batch_first=True)
    rng = np.random.default_rng(0)
    frames = rng.standard_normal((2, 6, 3)).astype(np.float32)
    work = workload(gru, frames)
    np.testing.assert_array_equal(work.traces["weight_ih_l0"], frames[0])
    with torch.no_grad():
        states = gru(torch.from_numpy(frames[:1]))[0][0].numpy()
    expected = np.concatenate([np.zeros((1, 4), np.float32), states[:-1]])
    np.testing.assert_allclose(work.traces["weight_hh_l0"], expected, atol=1e-6)


def test_an_onnx_file_gives_the_traces_of_its_module(tmp_path: Path, x: np.ndarray) -> None:
    torch.manual_seed(0)
    module = nn.Sequential(nn.Conv2d(2, 3, 3), nn.ReLU(), nn.Flatten(), nn.Linear(147, 2)).eval()
    weights = {name: p.detach().numpy() for name, p in module.named_parameters()}
    helper = onnx.helper
    nodes = [
        helper.make_node("Conv", ["x", "0.weight", "0.bias"], ["a"], name="conv"),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("Flatten", ["b"], ["c"]),
        helper.make_node("Gemm", ["c", "3.weight", "3.bias"], ["y"], name="fc", transB=1),
    ]
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, ["n", 2, 9, 9])],
        [helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, ["n", 2])],
        [onnx.numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    path = tmp_path / "net.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]), path)
    ours, theirs = workload(str(path), x, batch=2), workload(module, x, batch=2)
    for name, same in (("conv", "0"), ("fc", "3")):
        np.testing.assert_allclose(ours.traces[name], theirs.traces[same], atol=1e-5)


def test_statistics_of_traces_are_counted(net: nn.Module, x: np.ndarray) -> None:
    """Against the measurement of the same module on the same samples."""
    work = workload(net, x, batch=5)
    assert work.activity is not None
    again = activity_of(
        without(work.network, ["again"]), {k: work.traces[k] for k in ("first", "out")}
    )
    for name in again:
        assert again[name].synaptic_operations == work.activity[name].synaptic_operations
        assert again[name].zero_fraction == work.activity[name].zero_fraction


def test_statistics_of_spikes_count_every_step() -> None:
    net = ts.load(nn.Linear(6, 4, bias=False), torch.zeros(1, 6))
    rng = np.random.default_rng(0)
    spikes = rng.random((7, 2, 6)) < 0.3
    name = net.synaptic_layers[0].name
    found: LayerActivity = activity_of(net, {name: spikes})[name]
    assert found.signal == "spike"
    assert found.n_timesteps == 7
    assert found.synaptic_operations == spikes.sum() / 2 * 4
    assert found.spikes_per_neuron == pytest.approx(spikes.sum() / 2 / 6)


def test_spikes_of_a_converted_network(x: np.ndarray) -> None:
    torch.manual_seed(0)
    module = nn.Sequential(
        nn.Conv2d(2, 3, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(3, 3, 2), nn.ReLU(),
        nn.Flatten(), nn.Linear(12, 2),
    )  # fmt: skip
    work = ts.spiking_workload(module, x, timesteps=4, batch=2, calibration=x)
    assert work.activity is not None
    assert {name: trace.shape for name, trace in work.traces.items()} == {
        "0": (2, 2, 9, 9),
        "3": (4, 2, 3, 3, 3),
        "6": (4, 2, 12),
    }
    np.testing.assert_array_equal(work.traces["0"], x[:2])
    # the same samples, counted by the simulation of the conversion and from the traces
    few = ts.spiking_workload(module, x[:2], timesteps=4, batch=2, calibration=x)
    counted = activity_of(few.network, few.traces)
    for name in ("3", "6"):
        assert few.traces[name].dtype == np.bool_
        assert few.activity is not None
        assert counted[name].synaptic_operations == few.activity[name].synaptic_operations
        assert counted[name].spikes_per_neuron == few.activity[name].spikes_per_neuron


def test_spikes_are_recorded_of_the_rate_code_only(x: np.ndarray) -> None:
    from tospike.conversion.traces import spike_traces

    module = nn.Sequential(nn.Flatten(), nn.Linear(162, 4), nn.ReLU(), nn.Linear(4, 2))
    quantised = ts.convert(module, "qnn", calibration_data=x, timesteps=4)
    with pytest.raises(ConversionError, match="to='snn'"):
        spike_traces(quantised, x)


def test_a_module_is_spiking_if_it_has_neurons(net: nn.Module, x: np.ndarray) -> None:
    assert not is_spiking(net, x)
    assert not is_spiking("vgg16", x)


@pytest.fixture(scope="module")
def vgg() -> Network:
    return ts.load("vgg8")


FORMS = {
    "a.csv": "layer,zeros_pct\n{rows}",
    "b.csv": "# a table\nname, power, IFMAP_ZEROS_PCT\n{power}Total,9,50\n",
    "c.csv": "layer,zero_fraction\n{fractions}",
    "a.yaml": "{mapping}",
    "b.yaml": "zeros_pct:\n{nested}",
    "c.json": "{json}",
}


@pytest.mark.parametrize("name", FORMS)
def test_every_form_of_a_zeros_file(tmp_path: Path, vgg: Network, name: str) -> None:
    layers = [layer.name for layer in vgg.synaptic_layers]
    shares = {layer: 10 * n for n, layer in enumerate(layers)}
    text = FORMS[name].format(
        rows="".join(f"{layer},{share}\n" for layer, share in shares.items()),
        power="".join(f"{layer}, 200, {share}\n" for layer, share in shares.items()),
        fractions="".join(f"{layer},{share / 100}\n" for layer, share in shares.items()),
        mapping="".join(f"{layer}: {share}\n" for layer, share in shares.items()),
        nested="".join(f"  {layer}: {share}\n" for layer, share in shares.items()),
        json=json.dumps({"layers": [{"layer": k, "zeros_pct": v} for k, v in shares.items()]}),
    )
    path = tmp_path / name
    path.write_text(text)
    found = read_zeros(path, vgg)
    assert found.fractions == pytest.approx({k: v / 100 for k, v in shares.items()})
    assert found.notes == ()
    assert found.missing == ()


def test_a_table_with_other_names_is_taken_in_order(tmp_path: Path, vgg: Network) -> None:
    path = tmp_path / "paper.csv"
    convolutions = [layer.name for layer in vgg.synaptic_layers if layer.kind == "conv"]
    rows = "".join(f"CONV{n},{n}\n" for n in range(len(convolutions)))
    path.write_text(f"layer,zeros_pct\n{rows}Total,3\n")
    found = read_zeros(path, vgg)
    assert list(found.fractions) == convolutions
    assert found.notes[0].startswith(f"paper.csv has other names: its {len(convolutions)} rows")
    work = workload("vgg8", zeros=path)
    assert [layer.name for layer in work.network.synaptic_layers] == convolutions
    assert work.network.outputs
    assert work.activity is not None
    assert work.activity.notes[1].startswith("not simulated")
    assert not work.activity.measured


def test_arguments_that_exclude_each_other(net: nn.Module, x: np.ndarray) -> None:
    with pytest.raises(OptionError, match="data and zeros"):
        workload(net, x, zeros=0.5)
    with pytest.raises(OptionError, match="batch is True"):
        workload("vgg8", zeros=0.5, batch=True)
    with pytest.raises(StatisticError, match="no activity"):
        workload("vgg8")
    with pytest.raises(DataError, match="features"):
        workload("vgg8", zeros={"features.99": 0.5})


def test_faults_of_traces_all_at_once() -> None:
    net = ts.load(
        nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(8, 2)), torch.zeros(1, 1, 4, 4)
    )
    traces = {
        "0": np.zeros((2, 1, 4, 4)),
        "2": np.array([["a"] * 8]),
        "3": np.zeros(4),
    }
    with pytest.raises(DataError) as error:
        workload(net, traces=traces)
    assert len(error.value.reasons) == 3
    with pytest.raises(DataError, match="values beside 0 and 1"):
        workload(net, traces={"2": np.full((3, 1, 8), 0.5)})
    with pytest.raises(DataError, match="no trace"):
        workload(net, traces={})
    with pytest.raises(StatisticError) as missing:
        workload(net, traces={"2": np.zeros((1, 8))})
    assert missing.value.reasons == ("0",)


def test_the_machine_route_of_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import toy_machine
    from tospike.machines import MACHINES

    monkeypatch.setitem(MACHINES, "toy", "toy_machine")
    chip = toy_machine.written(tmp_path)
    work = workload("vgg8", zeros=0.5)
    assert work.activity is not None
    one = ts.count(work.network, work.activity, machine=chip)
    assert one.route == "machine"
    run = ts.simulate(work, chip)
    priced = ts.price(one, "horowitz_2014_45nm")
    assert float(priced.energy) == pytest.approx(ts.price_run(run).total)
    several = ts.count(work.network, work.activity, machine=chip, batch=4)
    assert float(several.total(component="alu")) == pytest.approx(float(one.total(component="alu")))
    with pytest.raises(OptionError, match="implementation"):
        ts.count(work.network, work.activity, ts.Implementation("ann"), machine=chip)
    with pytest.raises(OptionError, match="batch"):
        ts.count(work.network, work.activity, ts.Implementation("ann"), batch=2)
    with pytest.raises(OptionError, match="machine"):
        ts.count(work.network, work.activity)
    by_equation = ts.count(work.network, work.activity, ts.Implementation("ann"))
    assert by_equation.route == "equation"


def test_some_layers_alone(net: nn.Module, x: np.ndarray) -> None:
    work = workload(net, x, layers=["conv"])
    assert [layer.name for layer in work.network.synaptic_layers] == ["first", "again"]
    assert set(work.traces) == {"first"}
    assert set(work.weight_zeros) == {"first", "again"}
    assert work.activity is not None
    assert set(work.activity) == {"first", "again"}
    assert work.activity.notes[-1] == "not simulated: out"
    assert [x.name for x in workload(net, x, layers=["out"]).network.synaptic_layers] == ["out"]
    with pytest.raises(UnknownNameError, match="did you mean 'first'"):
        workload(net, x, layers=["frist"])
    with pytest.raises(OptionError, match="no layer of"):
        workload(net, x, layers=["rnn"])
    zoo = workload("vgg8", zeros={"features.0": 0.5}, layers=["features.0"])
    assert [layer.name for layer in zoo.network.synaptic_layers] == ["features.0"]
