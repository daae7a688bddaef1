"""Networks with delta layers, and their compiled streams: the same numbers as torch."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch
from torch import nn

from tospike.conversion.delta.compiled import compile as compile_network
from tospike.conversion.delta.layers import DeltaGRU, DeltaLinear, DeltaLSTM
from tospike.conversion.delta.replace import delta_network
from tospike.errors import ConversionError, DataError, OptionError
from tospike.kernels.delta import engine


class Tagger(nn.Module):
    """A network that is no chain: two recurrent layers with a skip connection."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.GRU(6, 8, batch_first=True)
        self.second = nn.LSTM(8, 8, num_layers=2, batch_first=True)
        self.head = nn.Linear(8, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        first, _ = self.first(x)
        second, _ = self.second(first)
        return self.head(first + second)


def test_at_threshold_zero_the_network_is_the_same() -> None:
    torch.manual_seed(0)
    dense = Tagger().eval()
    delta = delta_network(dense, 0.0)
    assert isinstance(delta.first, DeltaGRU)
    assert isinstance(delta.second, DeltaLSTM)
    assert isinstance(dense.first, nn.GRU)
    x = torch.randn(2, 20, 6)
    torch.testing.assert_close(delta(x), dense(x), atol=2e-6, rtol=1e-5)


def test_thresholds_go_to_the_layers_that_are_named() -> None:
    delta = delta_network(Tagger(), {"second": 0.25}, theta_x={"first": 0.5})
    assert delta.first.theta_h.tolist() == [0.0]
    assert delta.first.theta_x.tolist() == [0.5]
    assert delta.second.theta_h.tolist() == [0.25, 0.25]
    assert delta.second.theta_x.tolist() == [0.0, 0.0]


def test_a_layer_by_itself_and_a_linear_layer() -> None:
    assert isinstance(delta_network(nn.GRU(3, 4), 0.1), DeltaGRU)
    delta = delta_network(Tagger(), 0.1, linear=["head"])
    assert isinstance(delta.head, DeltaLinear)


def test_everything_that_cannot_be_converted_is_listed() -> None:
    module = nn.ModuleDict(
        {"a": nn.GRU(3, 4, bidirectional=True), "b": nn.LSTM(3, 4, proj_size=2), "c": nn.ReLU()}
    )
    with pytest.raises(ConversionError) as caught:
        delta_network(module, 0.1, linear=["c"])
    text = str(caught.value)
    for part in ("a is bidirectional", "b has proj_size=2", "c is no Linear"):
        assert part in text
    with pytest.raises(ConversionError, match="there is no GRU"):
        delta_network(nn.Linear(2, 2), 0.1)
    with pytest.raises(OptionError, match="there is no delta layer 'third'"):
        delta_network(Tagger(), {"third": 0.1})


@pytest.mark.parametrize("theta", [0.0, 1 / 16])
def test_a_compiled_chain_gives_the_numbers_of_torch(theta: float) -> None:
    torch.manual_seed(1)
    linear, recurrent, out = nn.Linear(5, 12), nn.GRU(12, 16, num_layers=2), nn.Linear(16, 4)
    delta = delta_network(recurrent, theta)
    compiled = compile_network(
        nn.Sequential(linear, nn.ReLU(), delta, nn.Dropout(), out, nn.Tanh())
    )
    x = torch.randn(40, 5)
    with torch.no_grad():
        wanted = torch.tanh(out(delta(torch.relu(linear(x)))[0]))
    np.testing.assert_allclose(compiled.run(x.numpy()), wanted.numpy(), atol=2e-6)
    compiled.reset()
    stepped = np.stack([compiled.step(row) for row in x.numpy()])
    np.testing.assert_allclose(stepped, wanted.numpy(), atol=2e-6)
    assert [one.steps for one in compiled.statistics] == [80, 80, 80, 80]


def test_a_compiled_network_can_be_pickled_and_taken_back() -> None:
    compiled = compile_network(nn.Sequential(nn.Linear(3, 4), nn.Sigmoid(), nn.LSTM(4, 5)))
    x = np.random.default_rng(0).standard_normal((10, 3)).astype(np.float32)
    compiled.run(x)
    twin, kept = pickle.loads(pickle.dumps(compiled)), compiled.state
    after = compiled.run(x)
    np.testing.assert_array_equal(twin.run(x), after)
    compiled.state = kept
    np.testing.assert_array_equal(compiled.run(x), after)


def test_unknown_modules_are_listed_with_their_names() -> None:
    with pytest.raises(ConversionError) as caught:
        compile_network(nn.Sequential(nn.LayerNorm(3), nn.GRU(3, 4), nn.Sequential(nn.GELU())))
    assert "LayerNorm (0)" in str(caught.value)
    assert "GELU (2.0)" in str(caught.value)


def test_a_bad_input_does_not_move_the_state() -> None:
    compiled = compile_network(nn.Sequential(nn.Linear(3, 4), nn.GRU(4, 5)))
    x = np.ones((4, 3), np.float32)
    compiled.run(x)
    kept = compiled.state
    with pytest.raises(DataError):
        compiled.step([1.0, np.nan, 0.0])
    for before, after in zip(kept[0], compiled.state[0], strict=True):
        np.testing.assert_array_equal(before.memory, after.memory)


def network() -> nn.Sequential:
    torch.manual_seed(2)
    return nn.Sequential(nn.Linear(3, 40), nn.Sigmoid(), nn.GRU(40, 24), nn.Linear(24, 5))


@pytest.mark.parametrize("last", [nn.Identity(), nn.Tanh()])
def test_results_go_into_a_given_array(last: nn.Module) -> None:
    # the last stage is an engine once, a function once
    compiled, twin = (compile_network(nn.Sequential(network(), last)) for _ in range(2))
    x, out = np.random.default_rng(0).standard_normal((20, 3)), np.empty((20, 5), np.float32)
    assert compiled.run(x, out) is out
    np.testing.assert_array_equal(out, twin.run(x))
    one = np.empty(5, np.float32)
    assert compiled.step(x[0], out=one) is one
    np.testing.assert_array_equal(one, twin.step(x[0]))


def test_an_array_that_does_not_fit_is_refused_before_anything_moves() -> None:
    compiled, twin = compile_network(network()), compile_network(network())
    x = np.ones(3, np.float32)
    for out in (np.empty(4, np.float32), np.empty(5), np.empty(10, np.float32)[::2]):
        with pytest.raises(DataError, match=r"float32 array of shape \(5,\)"):
            compiled.step(x, out)
    np.testing.assert_array_equal(compiled.step(x), twin.step(x))


def test_two_threads_give_the_bits_of_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "HELPER_PAYS_BYTES", 0)
    x = np.random.default_rng(0).standard_normal((50, 3))
    one, two = (compile_network(network(), threads=n).run(x) for n in (1, 2))
    np.testing.assert_array_equal(one, two)
    with pytest.raises(OptionError, match="threads is 3"):
        compile_network(network(), threads=3)


def test_the_packed_layers_are_public() -> None:
    layers = compile_network(network(), storage="int8").layers
    assert [one.layer.kind for one in layers] == ["linear", "gru", "linear"]
    assert [one.x.columns.dtype for one in layers] == [np.int8] * 3
