"""Activity of ONNX graphs against brute force on the tensors of the torch original."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx_by_hand import Graph, run
from test_onnx_torch import ConvNet, Encoder, conv_net_onnx, encoder_onnx
from torch import nn

from tospike.activity import ActivityProfile, LayerActivity
from tospike.activity.measure import measure
from tospike.activity.measure_onnx import iterate_batches, measure_onnx
from tospike.errors import DataError, StatisticError
from tospike.network.importers.onnx_graph import load_onnx

Array = np.ndarray[Any, Any]


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)
    torch.set_num_threads(1)


def measured(path: Path, batch_size: int = 100, **kwargs: Any) -> ActivityProfile:
    options = {k: kwargs.pop(k) for k in ("thresholds", "sequence", "budget_bytes") if k in kwargs}
    return measure_onnx(path, iterate_batches(kwargs, batch_size), **options)


def same(a: LayerActivity, b: LayerActivity) -> bool:
    """All fields bit for bit."""
    fields = ("n_samples", "n_timesteps", "zero_fraction", "synaptic_operations")
    spread = ("zero_fraction_std", "synaptic_operations_std")
    return (
        all(getattr(a, f) == getattr(b, f) for f in fields)
        and all(np.array_equal(getattr(a, f), getattr(b, f), equal_nan=True) for f in spread)
        and dict(a.temporal_sparsity) == dict(b.temporal_sparsity)
        and np.array_equal(a.channel_density, b.channel_density)
        and np.array_equal(a.pixel_density, b.pixel_density)
    )


def inputs_of(net: nn.Module, x: torch.Tensor) -> dict[str, torch.Tensor]:
    """Input of every leaf module with weights, by hooks."""
    found: dict[str, torch.Tensor] = {}
    for name, module in net.named_children():
        module.register_forward_pre_hook(
            lambda _m, args, name=name: found.__setitem__(name, args[0].detach())
        )
    net(x)
    return found


def operations(module: Any, x: torch.Tensor) -> float:
    """Products with a non-zero input per sample: the layer with weights 1 applied to x != 0."""
    copy = type(module)(**_arguments(module)).eval()
    with torch.no_grad():
        copy.weight.fill_(1.0)
        return float(copy((x != 0).float()).double().sum()) / len(x)


def _arguments(module: Any) -> dict[str, Any]:
    if isinstance(module, nn.Linear):
        keys = ("in_features", "out_features")
    else:
        keys = ("in_channels", "out_channels", "kernel_size", "stride", "padding", "dilation")
        keys += ("groups",)
    arguments = {key: getattr(module, key) for key in keys}
    if isinstance(module, nn.ConvTranspose2d):
        arguments["output_padding"] = module.output_padding
    return {**arguments, "bias": False}


@pytest.mark.parametrize("batch", ["N", 1])
def test_conv_net_against_brute_force(tmp_path: Path, batch: int | str) -> None:
    net = ConvNet().eval()
    path = conv_net_onnx(net, tmp_path / "net.onnx", batch)
    x = torch.relu(torch.randn(5, 3, 28, 28))
    profile = measured(path, x=x.numpy())
    assert profile.n_samples == 5
    for name, value in inputs_of(net, x).items():
        found = profile[name]
        assert found.signal == "analog"
        assert found.zero_fraction == pytest.approx(float((value == 0).double().mean()), abs=1e-12)
        assert found.synaptic_operations == operations(getattr(net, name), value)
        channels = (value != 0).double().mean(dim=[d for d in range(value.dim()) if d != 1])
        np.testing.assert_allclose(found.channel_density, channels, atol=1e-12)
    spread = (x == 0).double().mean(dim=(1, 2, 3)).std()
    assert profile["a"].zero_fraction_std == pytest.approx(float(spread), rel=1e-9)


@pytest.mark.parametrize("batch_size", [1, 2, 3])
def test_results_do_not_depend_on_the_batch_size(tmp_path: Path, batch_size: int) -> None:
    path = conv_net_onnx(ConvNet().eval(), tmp_path / "net.onnx")
    x = torch.relu(torch.randn(5, 3, 28, 28)).numpy()
    whole, parts = measured(path, x=x), measured(path, batch_size, x=x)
    assert all(same(whole[name], parts[name]) for name in whole)


def test_results_do_not_depend_on_the_memory_budget(tmp_path: Path) -> None:
    """A tiny budget means single samples and several passes over the graph."""
    path = conv_net_onnx(ConvNet().eval(), tmp_path / "net.onnx")
    x = torch.relu(torch.randn(3, 3, 28, 28)).numpy()
    whole, parts = measured(path, x=x), measured(path, x=x, budget_bytes=1000)
    assert all(same(whole[name], parts[name]) for name in whole)


def transmitted(x: Array, threshold: float) -> int:
    """Delta rule by the book: x (T, F); the reference starts at 0 (Neil 2017, eq. 4)."""
    reference = np.zeros(x.shape[1], x.dtype)
    count = 0
    for row in x:
        for i, value in enumerate(row):
            if abs(value - reference[i]) > threshold:
                reference[i] = value
                count += 1
    return count


def hidden_states(net: Any, x: torch.Tensor, h0: torch.Tensor | None = None) -> list[Array]:
    """h_{t-1} of each layer, (T, B, H), from running torch one step at a time."""
    lstm = isinstance(net, nn.LSTM)
    start = torch.zeros(net.num_layers, x.shape[1], net.hidden_size) if h0 is None else h0
    state: Any = (start, torch.zeros_like(start)) if lstm else start
    states = []
    for t in range(len(x)):
        states.append((state[0] if lstm else state).detach().numpy().copy())
        _, state = net(x[t : t + 1], state)
    return list(np.stack(states).transpose(1, 0, 2, 3))


@pytest.mark.parametrize("cell", [nn.GRU, nn.LSTM, nn.RNN])
def test_recurrent_temporal_sparsity(tmp_path: Path, cell: Any) -> None:
    net = cell(5, 6, num_layers=2)
    g = Graph()
    y = g.recurrent(g.input("x", ["time", "batch", 5]), net, "rnn")
    path = g.save(tmp_path / "net.onnx", y)
    x = torch.randn(11, 3, 5).cumsum(0) * 0.2
    x[3] = 0.0
    thresholds = (0.05, 0.3)
    profile = measured(path, x=x.transpose(0, 1).contiguous().numpy(), thresholds=thresholds)
    hidden = hidden_states(net, x)
    second_input = np.concatenate(
        (hidden[0][1:], net(x)[1][0][:1].detach().numpy())
        if cell is nn.LSTM
        else (hidden[0][1:], net(x)[1][:1].detach().numpy())
    )
    tensors = {
        "rnn0.W": x.numpy(), "rnn0.R": hidden[0], "rnn1.W": second_input, "rnn1.R": hidden[1]
    }  # fmt: skip
    gates = {nn.GRU: 3, nn.LSTM: 4, nn.RNN: 1}[cell]
    for name, values in tensors.items():
        found = profile[name]
        assert found.n_timesteps == 11
        assert found.zero_fraction == pytest.approx(np.mean(values == 0), abs=1e-12)
        nonzero = np.count_nonzero(values) / 3
        assert found.synaptic_operations == pytest.approx(nonzero * gates * 6, rel=1e-12)
        for threshold in thresholds:
            sent = sum(transmitted(values[:, b], threshold) for b in range(3))
            # values within a rounding error of the threshold may fall to either side
            assert found.temporal_sparsity[threshold] == pytest.approx(
                1 - sent / values.size, abs=2 / values.size
            )


def test_first_hidden_state_is_initial_h(tmp_path: Path) -> None:
    """Without a threshold crossing, only initial_h itself is sent: one time step of values."""
    net = nn.GRU(4, 8)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.zero_()  # h_t = h_{t-1} / 2
    g = Graph()
    x = g.input("x", [6, "batch", 4])
    y = g.recurrent(x, net, "gru", h0=g.input("h0", [1, "batch", 8]))
    path = g.save(tmp_path / "net.onnx", y)
    feeds = {"x": np.ones((2, 6, 4), np.float32), "h0": np.full((2, 1, 8), 4.0, np.float32)}
    found = measured(path, thresholds=(3.9,), **feeds)["gru0.R"]
    # h: 4, 2, 1, ...: sent at t = 0 (4 - 0), and once more when |h - 4| > 3.9, at t = 6: never
    assert found.temporal_sparsity[3.9] == 1 - 1 / 6
    assert found.zero_fraction == 0.0


def test_bidirectional_and_reverse(tmp_path: Path) -> None:
    """The reverse direction runs from the last step: its first hidden state is 0 there."""
    net = nn.GRU(3, 4, bidirectional=True)
    g = Graph()
    path = g.save(tmp_path / "n.onnx", g.recurrent(g.input("x", [40, "batch", 3]), net, "gru"))
    x = torch.randn(40, 2, 3).cumsum(0) * 0.3
    profile = measured(path, x=x.transpose(0, 1).contiguous().numpy(), thresholds=(0.1,))
    y = net(x)[0].detach().numpy()
    zero = np.zeros((1, 2, 4), np.float32)
    forward = np.concatenate((zero, y[:-1, :, :4]))
    backward = np.concatenate((zero, y[:0:-1, :, 4:]))
    both = np.concatenate((forward, backward), axis=2)
    sent = sum(transmitted(both[:, b], 0.1) for b in range(2))
    found = profile["gru0.R"]
    assert found.temporal_sparsity[0.1] == pytest.approx(1 - sent / both.size, abs=2 / both.size)
    assert found.synaptic_operations == np.count_nonzero(both) / 2 * 12
    assert profile["gru0.W"].synaptic_operations == 40 * 3 * 24


def test_padded_steps_do_not_count(tmp_path: Path) -> None:
    """sequence_lens: sample 0 has 5 real steps, sample 1 has 2."""
    rng = np.random.default_rng(0)
    g = Graph()
    x = g.input("x", [5, "batch", 3])
    lengths = g.input("n", ["batch"], onnx.TensorProto.INT32)
    w = g.store(rng.normal(size=(1, 12, 3)).astype(np.float32))
    r = g.store(rng.normal(size=(1, 12, 4)).astype(np.float32))
    y = g.add("GRU", x, w, r, "", lengths, name="gru", hidden_size=4)
    path = g.save(tmp_path / "net.onnx", y)
    feeds = {"x": np.ones((2, 5, 3), np.float32), "n": np.array([5, 2], np.int32)}
    profile = measured(path, **feeds)
    assert profile["gru.W"].synaptic_operations == (5 + 2) / 2 * 3 * 12
    # h_{t-1} is 0 at the first step only
    assert profile["gru.R"].synaptic_operations == (4 + 1) / 2 * 4 * 12
    assert profile["gru.R"].n_timesteps == 3.5


def test_attention_products(tmp_path: Path) -> None:
    path = encoder_onnx(Encoder().eval(), tmp_path / "net.onnx")
    x = np.random.default_rng(0).normal(size=(4, 6, 8)).astype(np.float32)
    x[:, 2] = 0.0
    x[:, :, 5] = 0.0
    profile, single = measured(path, x=x), measured(path, 1, x=x)
    # 6 x 8 inputs, one row and one column zero: 5 x 7 are not
    assert profile["q"].zero_fraction == 13 / 48
    assert profile["q"].synaptic_operations == 35 * 8
    assert profile["qk"].synaptic_operations == 2 * 6 * 6 * 4
    assert all(same(profile[name], single[name]) for name in profile)


@pytest.mark.parametrize("axis", ["left", "right"])
def test_products_with_a_weight_on_either_side(tmp_path: Path, axis: str) -> None:
    rng = np.random.default_rng(1)
    x = rng.normal(size=(3, 5, 4)).astype(np.float32) * (rng.random((3, 5, 4)) < 0.4)
    g = Graph()
    value = g.input("x", ["N", 5, 4])
    if axis == "left":
        y = g.add("MatMul", g.store(np.ones((7, 5), np.float32)), value, name="l")
    else:
        y = g.add("MatMul", value, g.store(np.ones((4, 7), np.float32)), name="l")
    found = measured(g.save(tmp_path / "net.onnx", y), x=x)["l"]
    assert found.synaptic_operations == np.count_nonzero(x) / 3 * 7
    features = 1 if axis == "left" else 2
    others = tuple(d for d in range(3) if d != features)
    np.testing.assert_allclose(found.channel_density, (x != 0).mean(axis=others))


def test_zero_of_quantised_values_is_the_zero_point(tmp_path: Path) -> None:
    g = Graph()
    one, zero = g.store(np.float32(1)), g.store(np.uint8(7))
    x = g.input("x", ["N", 1, 3, 3], onnx.TensorProto.UINT8)
    y = g.add(
        "QLinearConv", x, one, zero, g.store(np.ones((2, 1, 3, 3), np.uint8)), one, zero, one, zero,
        name="q",
    )  # fmt: skip
    y = g.add("Cast", y, to=onnx.TensorProto.FLOAT)
    data = np.array([7, 7, 7, 7, 9, 0, 7, 3, 7], np.uint8).reshape(1, 1, 3, 3)
    found = measured(g.save(tmp_path / "net.onnx", y), x=data)["q"]
    assert found.zero_fraction == 6 / 9
    assert found.synaptic_operations == 3 * 2


def test_embedding_has_activity_without_operations(tmp_path: Path) -> None:
    g = Graph()
    ids = g.input("ids", ["N", 5], onnx.TensorProto.INT64)
    x = g.add("Gather", g.store(np.eye(11, 4, dtype=np.float32)), ids, name="look")
    y = g.add("MatMul", x, g.store(np.ones((4, 3), np.float32)), name="fc")
    data = np.array([[0, 1, 2, 3, 9], [0, 9, 9, 9, 9]])
    profile = measured(g.save(tmp_path / "net.onnx", y), ids=data)
    assert profile["look"].synaptic_operations == 0
    assert profile["fc"].synaptic_operations == (4 + 1) / 2 * 3


def test_graph_that_merges_batch_and_time(tmp_path: Path) -> None:
    """(N, T, F) -> (N T, F): measured sample by sample, same numbers as one by one."""
    g = Graph()
    x = g.add("Reshape", g.input("x", ["N", 3, 4]), g.store(np.array([-1, 4], np.int64)))
    y = g.add("Gemm", x, g.store(np.ones((4, 5), np.float32)), name="fc")
    path = g.save(tmp_path / "net.onnx", y)
    data = (np.random.default_rng(0).random((6, 3, 4)) < 0.5).astype(np.float32)
    found = measured(path, x=data)["fc"]
    assert found.synaptic_operations == np.count_nonzero(data) * 5 / 6
    assert found.zero_fraction_std == pytest.approx((1 - data.mean(axis=(1, 2))).std(ddof=1))


def test_states_made_for_one_sample(tmp_path: Path) -> None:
    """The batch is dynamic, initial_c is not: shapes agree, the runtime does not. One by one."""
    rng = np.random.default_rng(0)
    g = Graph()
    x = g.input("x", [5, "batch", 3])
    w = g.store(rng.normal(size=(1, 16, 3)).astype(np.float32))
    r = g.store(rng.normal(size=(1, 16, 4)).astype(np.float32))
    zero = g.store(np.zeros((1, 1, 4), np.float32))
    y = g.add("LSTM", x, w, r, "", "", "", zero, name="lstm", hidden_size=4)
    path = g.save(tmp_path / "net.onnx", y)
    data = rng.normal(size=(3, 5, 3)).astype(np.float32)
    profile, single = measured(path, x=data), measured(path, 1, x=data)
    assert profile.n_samples == 3
    assert profile.notes == ("run sample by sample: the graph fixes or merges its batch axis",)
    assert all(same(profile[name], single[name]) for name in profile)
    assert profile["lstm.R"].synaptic_operations == 4 * 4 * 16


def test_sequence_of_samples(tmp_path: Path) -> None:
    """With sequence=True samples are time steps of one stream, for every layer."""
    g = Graph()
    y = g.add("Gemm", g.input("x", ["N", 4]), g.store(np.ones((4, 2), np.float32)), name="fc")
    path = g.save(tmp_path / "net.onnx", y)
    x = np.random.default_rng(0).normal(size=(9, 4)).astype(np.float32)
    for batch_size in (1, 4, 9):
        found = measured(path, batch_size, x=x, thresholds=(0.5,), sequence=True)["fc"]
        assert found.temporal_sparsity[0.5] == 1 - transmitted(x, 0.5) / x.size


@settings(deadline=None, derandomize=True, max_examples=15)
@given(data=st.data(), groups=st.sampled_from([1, 2]), transposed=st.booleans())
def test_random_convolutions_against_brute_force(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, groups: int, transposed: bool
) -> None:
    """Operations with a non-zero input against convolving the mask with ones."""
    ints = lambda low, high: data.draw(st.integers(low, high))  # noqa: E731
    kind = nn.ConvTranspose2d if transposed else nn.Conv2d
    kernel = (ints(1, 3), ints(1, 3))
    module = kind(
        2 * groups, 3 * groups, kernel, stride=(ints(1, 3), ints(1, 3)),
        padding=(ints(0, kernel[0] - 1), ints(0, kernel[1] - 1)), groups=groups,
        dilation=ints(1, 2), bias=False,
    )  # fmt: skip
    g = Graph()
    y = g.conv(g.input("x", ["N", 2 * groups, 6, 7]), module, "c")
    path = g.save(tmp_path_factory.mktemp("c") / "net.onnx", y)
    x = torch.randn(2, 2 * groups, 6, 7) * (torch.rand(2, 2 * groups, 6, 7) < 0.3)
    assert measured(path, x=x.numpy())["c"].synaptic_operations == operations(module, x)


@pytest.mark.parametrize("auto_pad", ["SAME_UPPER", "SAME_LOWER", "VALID"])
def test_automatic_padding_is_exact_at_each_border(tmp_path: Path, auto_pad: str) -> None:
    """One non-zero corner after the other: the runtime, with weights 1, sums its operations."""
    g = Graph()
    weight = g.store(np.ones((2, 1, 4, 3), np.float32))
    x = g.input("x", ["N", 1, 9, 8])
    y = g.add("Conv", x, weight, name="c", auto_pad=auto_pad, strides=[2, 3])
    path = g.save(tmp_path / "net.onnx", y)
    for corner in ((0, 0), (0, 7), (8, 0), (8, 7), (4, 4)):
        data = np.zeros((1, 1, 9, 8), np.float32)
        data[0, 0][corner] = 1.0
        assert measured(path, x=data)["c"].synaptic_operations == run(path, x=data).sum()


def test_an_axis_that_becomes_time_is_not_the_batch(tmp_path: Path) -> None:
    """(N, 3) -> (N, 1, 3) into a GRU: N is time, whatever its name; a sample is (T, 3)."""
    rng = np.random.default_rng(0)
    g = Graph()
    x = g.add("Unsqueeze", g.input("x", ["N", 3]), g.store(np.array([1], np.int64)))
    w = g.store(rng.normal(size=(1, 12, 3)).astype(np.float32))
    r = g.store(rng.normal(size=(1, 12, 4)).astype(np.float32))
    path = g.save(tmp_path / "n.onnx", g.add("GRU", x, w, r, name="gru", hidden_size=4))
    assert load_onnx(path, {"x": (7, 3)})["gru.W"].calls == 7
    data = rng.normal(size=(2, 7, 3)).astype(np.float32)
    profile = measured(path, x=data)
    assert profile.n_samples == 2
    assert profile["gru.R"].n_timesteps == 7
    assert profile["gru.R"].synaptic_operations == 6 * 4 * 12


def test_nan_in_the_network_is_an_error(tmp_path: Path) -> None:
    """log of a negative value: the statistic fails, it is not 0."""
    g = Graph()
    x = g.add("Log", g.input("x", ["N", 4]))
    y = g.add("Gemm", x, g.store(np.ones((4, 2), np.float32)), name="fc")
    path = g.save(tmp_path / "net.onnx", y)
    with pytest.raises(StatisticError, match="'fc'"):
        measured(path, x=-np.ones((2, 4), np.float32))


def test_bad_data_is_one_error_with_all_reasons(tmp_path: Path) -> None:
    path = conv_net_onnx(ConvNet().eval(), tmp_path / "net.onnx")
    with pytest.raises(DataError, match="no batches"):
        measure_onnx(path, [])
    with pytest.raises(DataError) as error:
        measure_onnx(path, [{"y": np.zeros((1, 3, 28, 28), np.float32)}])
    assert error.value.reasons == ("input 'x' is missing", "the model has no input 'y'")
    with pytest.raises(DataError, match="NaN or infinity"):
        measured(path, x=np.full((1, 3, 28, 28), np.nan, np.float32))
    with pytest.raises(DataError, match="is empty"):
        measure_onnx(path, [{"x": np.zeros((0, 3, 28, 28), np.float32)}])


def test_the_same_network_through_both_importers(tmp_path: Path) -> None:
    """measure() of the torch module and of its ONNX file: the same zeros, but for rounding."""
    net = ConvNet().eval()
    path = conv_net_onnx(net, tmp_path / "net.onnx")
    x = torch.relu(torch.randn(4, 3, 28, 28))
    ours, theirs = measure(str(path), x.numpy()), measure(net, x)
    assert list(ours) == list(theirs)
    for name in ours:
        a, b = ours[name], theirs[name]
        assert (a.signal, a.n_samples, a.n_timesteps) == (b.signal, b.n_samples, b.n_timesteps)
        assert a.zero_fraction == pytest.approx(b.zero_fraction, abs=1e-3)
        assert a.synaptic_operations == pytest.approx(b.synaptic_operations, rel=1e-3)
        np.testing.assert_allclose(a.channel_density, b.channel_density, atol=5e-3)
