"""Converted networks as NIR and ONNX: read back, run, and equal to the converted network."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from frameworks_by_hand import quietly
from torch import Tensor, nn

import tospike as ts
from tospike.conversion.nir import check_nir, export_nir, export_onnx, run_nir
from tospike.errors import ConversionError, OptionError
from tospike.kernels.spiking.record import (
    Pool,
    Population,
    Reshape,
    SpikingNetwork,
    Sum,
    Synapses,
)
from tospike.network.importers.nir_neurons import NirOptions

nir: Any = quietly("nir")

T = 12
torch.set_num_threads(1)


class Residual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Conv2d(1, 6, 3, padding=1)
        self.b = nn.Conv2d(6, 6, 3, padding=1)
        self.c = nn.Linear(6 * 16, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.a(x))
        y = torch.relu(self.b(x) + x)
        y = nn.functional.avg_pool2d(y, 2)
        return self.c(y.flatten(1))


def network(kind: str) -> nn.Module:
    torch.manual_seed(3)
    if kind == "residual":
        return Residual()
    front = [nn.Conv2d(1, 6, 3, padding=1), nn.ReLU()]
    if kind == "plain":
        tail = [nn.Conv2d(6, 8, 3, stride=2), nn.ReLU(), nn.Flatten(), nn.Linear(72, 10)]
        return nn.Sequential(*front, *tail)
    if kind == "pooled":
        tail = [nn.AvgPool2d(2), nn.Conv2d(6, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(32, 10)]
        return nn.Sequential(*front, *tail)
    if kind == "max":
        return nn.Sequential(*front, nn.MaxPool2d(2), nn.Flatten(), nn.Linear(96, 10))
    middle = [nn.Conv2d(6, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 12)]
    return nn.Sequential(
        nn.Conv2d(1, 6, 3, padding=1), nn.GELU(), *middle, nn.Tanh(), nn.Linear(12, 10)
    )


def samples() -> Tensor:
    return torch.rand(20, 1, 8, 8, generator=torch.Generator().manual_seed(1))


@lru_cache
def converted(kind: str) -> Any:
    return ts.convert(network(kind), "snn", calibration_data=samples(), timesteps=T)


def constant(x: np.ndarray) -> np.ndarray:
    """The same values at every step."""
    return np.broadcast_to(x, (T, *x.shape))


@pytest.mark.parametrize("kind", ["plain", "residual"])
def test_the_file_does_what_the_converted_network_does(kind: str, tmp_path: Path) -> None:
    net, x = converted(kind), samples()
    graph = export_nir(net, tmp_path / "net.nir")
    run = run_nir(tmp_path / "net.nir", constant(x.numpy()))
    assert np.allclose(run.output.mean(axis=0), net(x).numpy(), atol=1e-6)
    assert all(spikes.any() for spikes in run.spikes.values())
    assert sum(found.signal == "spike" for found in run.activity.layers.values()) >= 2
    assert {node.type for node in graph.nodes} <= set(dir(nir))
    original = ts.load(network(kind), x[:1])
    if kind == "plain":
        assert ts.load(tmp_path / "net.nir").n_synapses == original.n_synapses
    read = nir.read(tmp_path / "net.nir")
    again = run_nir(read, constant(x.numpy()))
    assert np.array_equal(again.output, run.output)


def test_the_metadata_carry_what_nir_cannot_say(tmp_path: Path) -> None:
    net, x = converted("plain"), constant(samples().numpy())
    graph = export_nir(net, tmp_path / "net.nir", dt=1e-3)
    said = graph.metadata["tospike"]
    assert (said["dt"], said["reset"], said["tie_fires"]) == (1e-3, "soft", 1)
    neurons = [node for node in graph.nodes if node.type == "IF"]
    assert len(neurons) == 2
    right = run_nir(tmp_path / "net.nir", x).output
    for name in ("relu", "relu_1"):
        started = run_nir(tmp_path / "net.nir", x, initial={name: 0.0}).output
        assert not np.array_equal(started, right)
    assert not np.array_equal(run_nir(tmp_path / "net.nir", x, reset="hard").output, right)
    with pytest.raises(ConversionError, match="a soft reset") as caught:
        export_nir(net, tmp_path / "other.nir", strict=True)
    assert "a potential at the start other than 0" in str(caught.value)
    assert not (tmp_path / "other.nir").exists()


def test_nir_and_onnx_together_are_the_network(tmp_path: Path) -> None:
    """analog -> ONNX -> constant currents -> NIR -> mean currents -> ONNX -> output."""
    ort = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    net, x = converted("mixed"), samples()
    with pytest.raises(ConversionError, match="analog='outside' leaves it to ONNX"):
        export_nir(net, tmp_path / "net.nir")
    graph = export_nir(net, tmp_path / "net.nir", analog="outside")
    parts = export_onnx(net, tmp_path / "before.onnx", tmp_path / "behind.onnx")
    session = ort.InferenceSession(parts.before)
    names = [output.name for output in session.get_outputs()]
    assert names == [node.name for node in graph.inputs]
    values = session.run(None, {session.get_inputs()[0].name: x.numpy()})
    drive = {name: constant(value) for name, value in zip(names, values, strict=True)}
    run = run_nir(tmp_path / "net.nir", drive)
    session = ort.InferenceSession(parts.behind)
    mean = run.output.mean(axis=0).astype(np.float32)
    (out,) = session.run(None, {session.get_inputs()[0].name: mean})
    assert np.allclose(out, net(x).numpy(), atol=1e-6)
    assert sum(int(spikes.sum()) for spikes in run.spikes.values()) > 100


def test_a_pool_of_analog_values_enters_the_graph(tmp_path: Path) -> None:
    """The first ReLU is analog: the graph begins with its output, averages it and fires."""
    net, x = converted("pooled"), samples()
    graph = export_nir(net, tmp_path / "net.nir", analog="outside")
    assert [node.name for node in graph.inputs] == ["relu"]
    with torch.no_grad():
        front = network("pooled")[:2](x).numpy()  # type: ignore[index]
    run = run_nir(tmp_path / "net.nir", constant(front))
    assert np.allclose(run.output.mean(axis=0), net(x).numpy(), atol=1e-6)


def test_what_nir_has_no_node_for(tmp_path: Path) -> None:
    for analog in ("inside", "outside"):
        with pytest.raises(ConversionError, match="NIR has no node for MaxPool"):
            export_nir(converted("max"), tmp_path / "net.nir", analog=analog)  # type: ignore[arg-type]
    quantised = ts.convert(network("plain"), "qnn", calibration_data=samples())
    with pytest.raises(ConversionError, match="converted to 'qnn'"):
        export_nir(quantised, tmp_path / "net.nir")
    timed = ts.convert(
        network("plain"), "snn", calibration_data=samples(), timesteps=4, coding="ttfs"
    )
    with pytest.raises(ConversionError, match="coding='rate' and schedule='together'"):
        export_nir(timed, tmp_path / "net.nir")
    with pytest.raises(OptionError, match="dt=0"):
        export_nir(converted("plain"), tmp_path / "net.nir", dt=0)
    with pytest.raises(OptionError, match="'inside', 'outside'"):
        export_nir(converted("plain"), tmp_path / "net.nir", analog="no")  # type: ignore[arg-type]
    with pytest.raises(ConversionError, match="check the folder"):
        export_nir(converted("plain"), tmp_path / "none" / "net.nir")
    assert not list(tmp_path.iterdir())


# -- networks of the runtime -----------------------------------------------------------------------


def runtime_network(reset: float | None, delay: int, decay: float) -> SpikingNetwork:
    rng = np.random.default_rng(0)

    def array(value: Any) -> Any:
        return np.asarray(value, np.float32)

    def population(name: str, source: str, shape: tuple[int, ...], initial: float) -> Population:
        return Population(
            name,
            (source,),
            shape,
            threshold=array(np.full(shape[:1], 0.5)),
            decay=array(decay),
            gain=array(0.75),
            initial=array(initial),
            reset=reset,
            reset_delay=delay,
        )

    weight = array(rng.normal(0.1, 0.5, (4, 1, 3, 3)))
    whole = rng.integers(-8, 9, (4, 4, 3, 3)).astype(np.int8)
    scale = array(np.full(4, 1 / 32))
    return SpikingNetwork(
        (2, 6, 6),
        (
            Synapses(
                "c1",
                ("input",),
                "conv",
                weight,
                (2, 6, 6),
                (4, 6, 6),
                bias=array(rng.normal(0, 0.1, 4)),
                padding=(1, 1),
                groups=2,
            ),
            population("n1", "c1", (4, 6, 6), 0.25),
            Synapses(
                "c2", ("n1",), "conv", whole, (4, 6, 6), (4, 6, 6), scale=scale, padding=(1, 1)
            ),
            Sum("s", ("c2", "n1"), (4, 6, 6)),
            population("n2", "s", (4, 6, 6), 0.0),
            Pool("p", ("n2",), "avg", (4, 6, 6), (4, 3, 3), (2, 2), (2, 2)),
            Reshape("f", ("p",), (36,)),
            Synapses("w", ("f",), "linear", array(rng.normal(0, 0.3, (5, 36))), (36,), (5,)),
        ),
        constant_input=False,
    )


@pytest.mark.parametrize(("reset", "delay", "decay"), [(None, 0, 1.0), (-0.25, 0, 0.875)])
def test_networks_of_the_runtime(
    reset: float | None, delay: int, decay: float, tmp_path: Path
) -> None:
    """Against a few lines of torch that say what the records mean."""
    net = runtime_network(reset, delay, decay)
    path = tmp_path / "net.nir"
    export_nir(net, path)
    x = np.random.default_rng(1).integers(0, 3, (9, 2, 2, 6, 6)) / 2
    c1, n1, c2, _, n2, _, _, w = net.nodes
    assert isinstance(c1, Synapses)
    assert isinstance(c2, Synapses)
    assert isinstance(w, Synapses)
    v = {"n1": torch.full((2, 4, 6, 6), 0.25).double(), "n2": torch.zeros(2, 4, 6, 6).double()}

    def fire(name: str, current: Tensor) -> Tensor:
        v[name] = decay * v[name] + 0.75 * current
        z = (v[name] >= 0.5).double()
        v[name] = v[name] - 0.5 * z if reset is None else torch.where(z > 0, reset, v[name])
        return z

    def tensor(value: Any) -> Tensor:
        return torch.from_numpy(np.asarray(value, np.float64))

    assert c1.bias is not None
    assert c2.scale is not None
    expected = []
    conv = nn.functional.conv2d
    for now in x:
        one = fire("n1", conv(tensor(now), tensor(c1.weight), tensor(c1.bias), padding=1, groups=2))
        weight = tensor(c2.weight) * tensor(c2.scale).reshape(-1, 1, 1, 1)
        two = fire("n2", conv(one, weight, padding=1) + one)
        pooled = nn.functional.avg_pool2d(two, 2).flatten(1)
        expected.append((pooled @ tensor(w.weight).t()).numpy())
    run = run_nir(path, x)
    assert np.allclose(run.output, np.stack(expected), atol=1e-12)
    assert run.spikes["n2"].any()
    assert check_nir(path, None, x, NirOptions(1e-4, "soft")).divergence is None
    del n1, n2


def test_networks_of_the_runtime_that_nir_cannot_hold(tmp_path: Path) -> None:
    net = runtime_network(None, 0, 1.0)
    pool = Pool("p", ("n2",), "max", (4, 6, 6), (4, 3, 3), (2, 2), (2, 2))
    nodes = tuple(pool if node.name == "p" else node for node in net.nodes)
    other = runtime_network(0.0, 0, 1.0)
    mixed = tuple(b if a.name == "n1" else a for a, b in zip(nodes, other.nodes, strict=True))
    with pytest.raises(ConversionError) as caught:
        export_nir(SpikingNetwork((2, 6, 6), mixed), tmp_path / "net.nir")
    assert "p: NIR has no max-pooling" in str(caught.value)
    assert "populations with different resets" in str(caught.value)
    assert not list(tmp_path.iterdir())
