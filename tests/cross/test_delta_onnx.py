"""Recurrent ONNX files as delta networks: the numbers of ONNX Runtime, and clear refusals."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from torch import nn

import tospike as ts
from tospike.conversion.delta.chain import Chain, Clip
from tospike.conversion.delta.from_onnx import load_chain
from tospike.conversion.delta.layers import DeltaGRU
from tospike.errors import ConversionError, ModelError

RECURRENT = {
    "gru": nn.GRU,
    "lstm": nn.LSTM,
    "rnn": nn.RNN,
    "relu": lambda inputs, hidden: nn.RNN(inputs, hidden, nonlinearity="relu"),
}


def export(module: nn.Module, path: Path, *shape: int) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module.eval(), (torch.randn(*shape),), str(path), dynamo=False,
            input_names=["x"], output_names=["y"], dynamic_axes={"x": {0: "t"}, "y": {0: "t"}},
        )  # fmt: skip
    return path


@pytest.mark.parametrize("kind", RECURRENT)
def test_a_chain_gives_the_numbers_of_onnx_runtime(kind: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    module = Chain(
        [nn.Linear(5, 8), nn.ReLU(), RECURRENT[kind](8, 11), nn.Linear(11, 4), Clip(-0.1, 0.2)]
    )
    path = export(module, tmp_path / "net.onnx", 7, 1, 5)
    x = np.random.default_rng(0).standard_normal((30, 1, 5)).astype(np.float32)
    wanted = onnxruntime.InferenceSession(str(path)).run(None, {"x": x})[0]
    delta = ts.convert(str(path), "delta", theta=0.0)
    with torch.no_grad():
        np.testing.assert_allclose(delta(torch.from_numpy(x)).numpy(), wanted, atol=1e-5)
    compiled = ts.compile(delta)
    np.testing.assert_allclose(compiled.run(x[:, 0]), wanted[:, 0], atol=1e-5)


def test_batch_first_is_seen(tmp_path: Path) -> None:
    class BatchFirst(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.gru, self.out = nn.GRU(4, 6, batch_first=True), nn.Linear(6, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.sigmoid(self.out(self.gru(x)[0]))

    module = BatchFirst().eval()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module, (torch.randn(1, 9, 4),), str(tmp_path / "net.onnx"), dynamo=False,
            input_names=["x"], output_names=["y"], dynamic_axes={"x": {1: "t"}, "y": {1: "t"}},
        )  # fmt: skip
    chain = load_chain(tmp_path / "net.onnx")
    assert chain.batch_first
    x = torch.randn(1, 15, 4)
    torch.testing.assert_close(chain(x), module(x), atol=1e-5, rtol=1e-5)


def test_thresholds_go_into_the_layers(tmp_path: Path) -> None:
    path = export(Chain([nn.GRU(3, 4)]), tmp_path / "net.onnx", 5, 1, 3)
    delta = ts.convert(str(path), "delta", theta=1 / 8)
    (layer,) = (part for part in delta.modules() if isinstance(part, DeltaGRU))
    assert layer.theta_h.tolist() == [1 / 8]


def test_a_network_that_is_no_chain_is_refused_by_its_outputs(tmp_path: Path) -> None:
    class Skip(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.GRU(4, 4), nn.Linear(4, 4)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = self.a(x)[0]
            return self.b(y) + y

    path = export(Skip(), tmp_path / "net.onnx", 5, 1, 4)
    with pytest.raises(ConversionError):
        load_chain(path)


def test_other_operators_are_listed(tmp_path: Path) -> None:
    path = export(
        Chain([nn.Linear(4, 4), nn.ELU(), nn.GRU(4, 4), nn.Softplus()]),
        tmp_path / "net.onnx", 5, 1, 4,
    )  # fmt: skip
    with pytest.raises(ConversionError) as caught:
        load_chain(path)
    assert "Elu" in str(caught.value)
    assert "Softplus" in str(caught.value)


def test_a_file_without_recurrence_or_without_sense_is_refused(tmp_path: Path) -> None:
    path = export(Chain([nn.Linear(4, 4)]), tmp_path / "net.onnx", 5, 1, 4)
    with pytest.raises(ConversionError, match="there is no GRU"):
        load_chain(path)
    (tmp_path / "broken.onnx").write_bytes(path.read_bytes()[:50])
    with pytest.raises(ModelError, match=r"broken\.onnx"):
        load_chain(tmp_path / "broken.onnx")
