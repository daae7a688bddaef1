"""Every bad input of conversion gives one clear error; the whole text is compared where short."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper
from torch import nn

from tospike.conversion import (
    Calibration,
    ExecutableGraph,
    calibrate,
    convert,
    executable,
    run_ann,
    run_qnn,
    run_snn,
)
from tospike.errors import (
    ConversionError,
    DataError,
    ModelError,
    OptionError,
    TospikeError,
    UnknownNameError,
)


@pytest.fixture(scope="module")
def ready() -> tuple[ExecutableGraph, Calibration, np.ndarray]:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3))
    x = np.random.default_rng(0).normal(size=(10, 4)).astype(np.float32)
    graph = executable(net, x)
    return graph, calibrate(graph, x), x


BAD_DATA: dict[str, tuple[Any, str]] = {
    "empty": (np.zeros((0, 4), np.float32), "there are no samples"),
    "shape": (np.zeros((3, 5), np.float32), "the shape is (3, 5)"),
    "rank": (np.zeros((3, 2, 2), np.float32), "the shape is (3, 2, 2)"),
    "nan": (np.array([[0, 1, np.nan, 2]], np.float32), "1 values in 1 samples are NaN"),
    "inf": (np.array([[0, 1, np.inf, 2]], np.float32), "1 values in 1 samples are NaN"),
    "text": (np.array([["a", "b", "c", "d"]]), "array"),
    "ragged": ([[1.0], [1.0, 2.0]], "array"),
    "complex": (np.zeros((2, 4), np.complex64), "the dtype is torch.complex64"),
    "none": (None, "array"),
}


@pytest.mark.parametrize("case", sorted(BAD_DATA))
def test_bad_data(case: str, ready: Any) -> None:
    graph, calibration, _ = ready
    x, part = BAD_DATA[case]
    for run in (
        lambda: run_ann(graph, x),
        lambda: run_snn(graph, calibration, x, timesteps=(2,)),
        lambda: run_qnn(graph, calibration, x, activation_bits=4),
        lambda: calibrate(graph, x),
    ):
        with pytest.raises(DataError) as caught:
            run()
        assert part in str(caught.value)


def test_all_faults_of_data_at_once(ready: Any) -> None:
    graph = ready[0]
    with pytest.raises(DataError) as caught:
        run_ann(graph, np.full((2, 5), np.nan, np.float32))
    assert str(caught.value) == (
        "cannot run the network\n"
        "  received: data of shape (2, 5)\n"
        "  allowed: samples of shape (N, 4), float32\n"
        "  fix: put samples first and remove bad values\n"
        "  reasons:\n"
        "    - the shape is (2, 5)\n"
        "    - 10 values in 2 samples are NaN or infinite"
    )


@pytest.mark.parametrize(
    ("y", "part"),
    [
        (np.zeros(9, int), "labels have shape (9,) for 10 samples"),
        (np.zeros((10, 1), int), "labels have shape (10, 1) for 10 samples"),
        (np.full(10, 0.5), "labels of type float64 are not class numbers"),
        (np.full(10, 3), "labels from 3 to 3 for 3 output classes"),
        (np.full(10, -1), "labels from -1 to -1 for 3 output classes"),
    ],
)
def test_bad_labels(y: Any, part: str, ready: Any) -> None:
    graph, calibration, x = ready
    with pytest.raises(DataError) as caught:
        run_snn(graph, calibration, x, y, timesteps=(1,))
    assert part in str(caught.value)


@pytest.mark.parametrize("timesteps", [(), (0,), (1, -2), (1.5,), (True,), (5000,)])
def test_bad_timesteps(timesteps: Any, ready: Any) -> None:
    graph, calibration, x = ready
    with pytest.raises(OptionError, match="integers from 1 to 4096"):
        run_snn(graph, calibration, x, timesteps=timesteps)


@pytest.mark.parametrize(("bits", "weights"), [(0, 8), (17, 8), (4, 1), (2.0, 8), (True, 8)])
def test_bad_bits(bits: Any, weights: Any, ready: Any) -> None:
    graph, calibration, x = ready
    with pytest.raises(OptionError, match="_bits = "):
        run_qnn(graph, calibration, x, activation_bits=bits, weight_bits=weights)


def test_other_bad_options(ready: Any) -> None:
    graph, calibration, x = ready
    with pytest.raises(OptionError, match="batch_size=0"):
        run_ann(graph, x, batch_size=0)
    with pytest.raises(OptionError, match="percentile"):
        calibrate(graph, x, percentile=0)
    with pytest.raises(OptionError, match="granularity"):
        calibrate(graph, x, granularity="pixel")  # type: ignore[arg-type]
    with pytest.raises(OptionError, match="weight_bits"):
        run_snn(graph, calibration, x, timesteps=(1,), weight_bits=1)
    with pytest.raises(OptionError, match="early_stop"):
        run_snn(graph, calibration, x, timesteps=(1,), early_stop=2.0)


def test_layers_that_may_not_spike(ready: Any) -> None:
    graph, calibration, x = ready
    with pytest.raises(ConversionError) as caught:
        run_snn(graph, calibration, x, timesteps=(1,), spiking=("0", "2"))
    assert str(caught.value) == (
        "cannot run 'Sequential' as a hybrid\n"
        "  allowed: 2\n"
        "  reasons:\n"
        "    - 0: its input is the network's analog input"
    )
    with pytest.raises(UnknownNameError, match="no_such"):
        run_snn(graph, calibration, x, timesteps=(1,), spiking=("no_such",))


def test_a_network_without_rectifiers_cannot_spike_but_runs() -> None:
    net = nn.Sequential(nn.Linear(4, 5), nn.GELU(), nn.Linear(5, 4), nn.Tanh(), nn.Linear(4, 2))
    x = np.random.default_rng(1).normal(size=(6, 4)).astype(np.float32)
    graph = executable(net, x)
    assert not graph.supports_partition
    assert graph.eligibility["2"] == "its input comes from gelu, which is not a rectifier"
    assert run_ann(graph, x).agreement == 1.0
    calibration = calibrate(graph, x)
    assert run_qnn(graph, calibration, x, activation_bits=8).n_samples == 6
    with pytest.raises(ConversionError) as caught:
        run_snn(graph, calibration, x, timesteps=(1,))
    assert len(caught.value.reasons) == 3


class Branching(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + 1 if bool(x.sum() > 0) else x - 1


class Raising(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        raise RuntimeError("I always fail")


def test_models_that_cannot_be_traced() -> None:
    with pytest.raises(ConversionError, match=r"torch\.export"):
        executable(Branching(), torch.zeros(2, 3))
    with pytest.raises(ConversionError, match="I always fail"):
        executable(Raising(), torch.zeros(2, 3))
    with pytest.raises(ConversionError, match="no example input"):
        executable(nn.Linear(3, 2))
    with pytest.raises(ConversionError, match="several inputs"):
        executable(nn.Bilinear(2, 2, 2), (torch.zeros(2, 2), torch.zeros(2, 2)))
    with pytest.raises(ConversionError, match="int"):
        executable(5)  # type: ignore[arg-type]


def test_weights_that_are_not_finite() -> None:
    net = nn.Sequential(nn.Linear(3, 3), nn.ReLU(), nn.Linear(3, 2))
    with torch.no_grad():
        net[2].weight[0, 0] = float("nan")
    with pytest.raises(ModelError, match="2: weight or bias is NaN"):
        executable(net, torch.zeros(2, 3))


def test_onnx_files_that_cannot_run(tmp_path: Path) -> None:
    missing = tmp_path / "missing.onnx"
    with pytest.raises(TospikeError, match="no such file"):
        executable(missing)
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"\x08\x09garbage")
    with pytest.raises(TospikeError):
        executable(broken)
    graph = helper.make_graph(
        [
            helper.make_node("Cos", ["x"], ["a"]),
            helper.make_node("Cos", ["a"], ["b"]),
            helper.make_node("NonZero", ["b"], ["y"]),
        ],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3])],
        [helper.make_tensor_value_info("y", TensorProto.INT64, None)],
    )
    path = tmp_path / "unknown.onnx"
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path
    )
    with pytest.raises(ConversionError) as caught:
        executable(path)
    assert caught.value.received == (
        "2 Cos and 1 NonZero operators, which have no spiking form here"
    )


def test_convert_refuses_and_converts(ready: Any) -> None:
    x = ready[2]
    net = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3))
    with pytest.raises(ConversionError) as caught:
        convert(net, "delta", calibration_data=x)
    assert "received: no threshold" in str(caught.value)
    with pytest.raises(ConversionError, match="'snn', 'qnn'"):
        convert(net, "spikes", calibration_data=x)
    snn = convert(net, "snn", calibration_data=x, timesteps=8)
    assert snn(torch.from_numpy(x)).shape == (10, 3)
    assert snn.run(x).timesteps == 8
    qnn = convert(net, "qnn", calibration_data=x, timesteps=8)
    assert qnn(x).shape == (10, 3)
    assert qnn.run(x, np.zeros(10, int)).activation_bits == 4
