"""One network, two importers: torch module and hand-written ONNX file give the same layers."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx_by_hand import Graph, run
from torch import nn

from tospike.activity.measure_onnx import measure_onnx
from tospike.network import Layer, Network
from tospike.network.importers.onnx_graph import load_onnx
from tospike.network.importers.onnx_ops import einsum_subscripts, matmul_subscripts, taps
from tospike.network.importers.torch_trace import load_torch

GEOMETRY = ("kernel", "stride", "padding", "dilation", "groups", "transposed")
COUNTS = ("n_synapses", "n_synapses_exact", "n_neurons", "n_inputs", "n_weights", "n_biases")


def numbers(layer: Layer) -> dict[str, Any]:
    fields = ("kind", "input_shape", "output_shape", "calls", *COUNTS, *GEOMETRY)
    return {field: getattr(layer, field) for field in fields}


def assert_same(onnx_net: Network, torch_net: Network) -> None:
    """Same synaptic layers in the same order, same numbers, same edges between them."""
    ours, theirs = onnx_net.synaptic_layers, torch_net.synaptic_layers
    assert [numbers(layer) for layer in ours] == [numbers(layer) for layer in theirs]
    names = {a.name: b.name for a, b in zip(ours, theirs, strict=True)} | {"input": "input"}
    edges = {(names[e.source], names[e.target], e.n_values) for e in onnx_net.synaptic_edges}
    assert edges == {(e.source, e.target, e.n_values) for e in torch_net.synaptic_edges}


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)
    torch.set_num_threads(1)


class ConvNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Conv2d(3, 8, 5, stride=2, padding=2)
        self.b = nn.Conv2d(8, 12, 3, padding=2, dilation=2, groups=4, bias=False)
        self.depthwise = nn.Conv2d(12, 12, 3, padding=1, groups=12)
        self.up = nn.ConvTranspose2d(12, 4, 3, stride=2, padding=1, output_padding=1)
        self.fc = nn.Linear(4 * 14 * 14, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.a(x))
        x = nn.functional.max_pool2d(torch.relu(self.b(x)), 2)
        x = torch.relu(self.depthwise(x)) + x
        return self.fc(torch.flatten(torch.relu(self.up(x)), 1))


def conv_net_onnx(net: ConvNet, path: Path, batch: int | str = "N") -> Path:
    g = Graph()
    x = g.add("Relu", g.conv(g.input("x", [batch, 3, 28, 28]), net.a, "a"))
    x = g.add("Relu", g.conv(x, net.b, "b"))
    x = g.add("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2])
    x = g.add("Add", g.add("Relu", g.conv(x, net.depthwise, "depthwise")), x)
    x = g.add("Flatten", g.add("Relu", g.conv(x, net.up, "up")))
    return g.save(path, g.gemm(x, net.fc, "fc"))


@pytest.mark.parametrize("batch", ["N", 1])
def test_conv_net(tmp_path: Path, batch: int | str) -> None:
    net = ConvNet().eval()
    path = conv_net_onnx(net, tmp_path / "net.onnx", batch)
    ours = load_onnx(path)
    assert [layer.name for layer in ours.synaptic_layers] == ["a", "b", "depthwise", "up", "fc"]
    assert_same(ours, load_torch(net, torch.zeros(2, 3, 28, 28)))
    assert [layer.kind for layer in ours if not layer.synaptic] == [
        *("relu", "relu", "max_pool", "relu", "add", "relu")
    ]
    x = torch.randn(1, 3, 28, 28)
    np.testing.assert_allclose(run(path, x=x.numpy()), net(x).detach(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("cell", [nn.GRU, nn.LSTM, nn.RNN])
@pytest.mark.parametrize("time", [7, "time"])
def test_recurrent(tmp_path: Path, cell: Any, time: int | str) -> None:
    net = cell(5, 6, num_layers=2)
    g = Graph()
    y = g.recurrent(g.input("x", [time, "batch", 5]), net, "rnn")
    path = g.save(tmp_path / "net.onnx", y)
    x = torch.randn(7, 3, 5)
    np.testing.assert_allclose(run(path, x=x.numpy()), net(x)[0].detach(), rtol=1e-4, atol=1e-5)
    ours = load_onnx(path, {"x": (7, 1, 5)})
    assert [layer.name for layer in ours] == ["rnn0.W", "rnn0.R", "rnn1.W", "rnn1.R"]
    assert_same(ours, load_torch(net, x, batch_dim=1))


@pytest.mark.parametrize("cell", [nn.GRU, nn.LSTM])
def test_bidirectional_totals(tmp_path: Path, cell: Any) -> None:
    """One ONNX node holds both directions; torch has two layers. Their totals agree."""
    net = cell(5, 6, bidirectional=True)
    g = Graph()
    path = g.save(tmp_path / "n.onnx", g.recurrent(g.input("x", [7, "batch", 5]), net, "rnn"))
    x = torch.randn(7, 3, 5)
    np.testing.assert_allclose(run(path, x=x.numpy()), net(x)[0].detach(), rtol=1e-4, atol=1e-5)
    ours, theirs = load_onnx(path), load_torch(net, x, batch_dim=1)
    for kind in ("rnn_input", "rnn_hidden"):
        for count in ("n_synapses", "n_weights", "n_biases", "n_neurons"):
            a = sum(getattr(layer, count) for layer in ours if layer.kind == kind)
            b = sum(getattr(layer, count) for layer in theirs if layer.kind == kind)
            assert a == b, (kind, count)


class Encoder(nn.Module):
    """Projections, two heads, both products, all by matmul on (N, tokens, width)."""

    def __init__(self) -> None:
        super().__init__()
        self.q, self.k, self.v, self.o = (nn.Linear(8, 8) for _ in range(4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        def heads(t: torch.Tensor) -> torch.Tensor:
            return t.reshape(-1, 6, 2, 4).transpose(1, 2)

        q, k, v = heads(self.q(x)), heads(self.k(x)), heads(self.v(x))
        weights = torch.softmax(torch.matmul(q, k.transpose(-2, -1)), dim=-1)
        return self.o(torch.matmul(weights, v).transpose(1, 2).reshape(-1, 6, 8))


def encoder_onnx(net: Encoder, path: Path) -> Path:
    g = Graph()
    x = g.input("x", ["N", 6, 8])
    split = g.store(np.array([-1, 6, 2, 4], np.int64))
    joined = g.store(np.array([-1, 6, 8], np.int64))

    def heads(module: nn.Linear, name: str, perm: list[int]) -> str:
        return g.add("Transpose", g.add("Reshape", g.matmul(x, module, name), split), perm=perm)

    q = heads(net.q, "q", [0, 2, 1, 3])
    k = heads(net.k, "k", [0, 2, 3, 1])
    v = heads(net.v, "v", [0, 2, 1, 3])
    weights = g.add("Softmax", g.add("MatMul", q, k, name="qk"), axis=-1)
    mixed = g.add("Transpose", g.add("MatMul", weights, v, name="wv"), perm=[0, 2, 1, 3])
    return g.save(path, g.matmul(g.add("Reshape", mixed, joined), net.o, "o"))


def test_attention(tmp_path: Path) -> None:
    net = Encoder().eval()
    path = encoder_onnx(net, tmp_path / "net.onnx")
    x = torch.randn(2, 6, 8)
    np.testing.assert_allclose(run(path, x=x.numpy()), net(x).detach(), rtol=1e-4, atol=1e-5)
    ours, theirs = load_onnx(path), load_torch(net, x)
    order = ("q", "k", "v", "qk", "wv", "o")
    assert [layer.name for layer in ours.synaptic_layers] == list(order)
    assert [numbers(layer) for layer in ours.synaptic_layers] == [
        numbers(layer) for layer in theirs.synaptic_layers
    ]
    # by hand: 4 projections of 6 tokens, and 2 heads x 6 x 6 x 4 twice
    assert ours.n_synapses == 4 * 6 * 8 * 8 + 2 * (2 * 6 * 6 * 4)


def test_shared_weights_are_one_layer_with_two_calls(tmp_path: Path) -> None:
    module = nn.Linear(6, 6)

    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc = module

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.fc(torch.relu(self.fc(x)))

    g = Graph()
    w, b = g.store(module.weight), g.store(module.bias)
    y = g.add("Gemm", g.input("x", ["N", 6]), w, b, name="fc", transB=1)
    y = g.add("Gemm", g.add("Relu", y), w, b, name="again", transB=1)
    ours = load_onnx(g.save(tmp_path / "net.onnx", y))
    theirs = load_torch(Twice(), torch.zeros(1, 6))
    assert [numbers(a) for a in ours.synaptic_layers] == [
        numbers(b) for b in theirs.synaptic_layers
    ]
    assert ours["fc"].calls == 2
    assert ours["fc"].n_weights == 36


def test_tied_embedding_counts_its_weights_once(tmp_path: Path) -> None:
    g = Graph()
    table = g.store(np.ones((11, 4), np.float32))
    x = g.add("Gather", table, g.input("ids", ["N", 5], onnx.TensorProto.INT64), name="look")
    y = g.add("MatMul", x, g.add("Transpose", table, perm=[1, 0]), name="head")
    net = load_onnx(g.save(tmp_path / "net.onnx", y))
    assert (net["look"].kind, net["look"].n_weights, net["look"].n_synapses) == ("embedding", 44, 0)
    assert net["head"].n_synapses == 5 * 4 * 11
    assert net.n_weights == 44
    assert net["head"].extra["tied_to"] == "look"


def test_weight_on_the_left(tmp_path: Path) -> None:
    """W x with W (7, 5) and x (N, 5, 3): 7 outputs for each of 3 columns."""
    g = Graph()
    y = g.add("MatMul", g.store(np.ones((7, 5), np.float32)), g.input("x", ["N", 5, 3]), name="l")
    layer = load_onnx(g.save(tmp_path / "net.onnx", y))["l"]
    assert (layer.kind, layer.n_synapses, layer.n_weights) == ("linear", 7 * 5 * 3, 35)


@pytest.mark.parametrize(
    ("equation", "a", "b"),
    [
        ("bij,bjk->bik", (2, 3, 4), (2, 4, 5)),
        ("bhqd,bhkd->bhqk", (2, 3, 4, 5), (2, 3, 6, 5)),
        ("...ij,...jk->...ik", (2, 3, 4), (2, 4, 5)),
        ("...ij,jk", (2, 3, 4), (4, 5)),
        ("btd,de->bte", (2, 3, 4), (4, 5)),
        ("bchw,oc->bohw", (2, 3, 4, 5), (6, 3)),
    ],
)
def test_einsum_macs(tmp_path: Path, equation: str, a: tuple[int, ...], b: tuple[int, ...]) -> None:
    """MACs per sample: ones summed over the product of ones are the number of products."""
    g = Graph()
    weight = len(b) == 2
    left = g.input("a", ["N", *a[1:]])
    right = g.store(np.ones(b, np.float32)) if weight else g.input("b", ["N", *b[1:]])
    y = g.add("Einsum", left, right, name="e", equation=equation)
    layer = load_onnx(g.save(tmp_path / "net.onnx", y))["e"]
    products = np.einsum(equation, np.ones(a), np.ones(b)).sum() / a[0]
    assert layer.n_synapses == products
    assert layer.kind == ("linear" if weight else "matmul")
    assert layer.n_weights == (np.prod(b) if weight else 0)


@settings(deadline=None, derandomize=True, max_examples=60)
@given(
    rank=st.integers(1, 3),
    data=st.data(),
    transposed=st.booleans(),
    groups=st.sampled_from([1, 2]),
)
def test_random_convolutions_against_torch(
    tmp_path_factory: pytest.TempPathFactory,
    rank: int,
    data: st.DataObject,
    transposed: bool,
    groups: int,
) -> None:
    """n_synapses and n_synapses_exact against convolving ones with ones."""
    ints = lambda low, high: data.draw(st.integers(low, high))  # noqa: E731
    kernel = [ints(1, 3) for _ in range(rank)]
    stride = [ints(1, 3) for _ in range(rank)]
    dilation = [ints(1, 2) for _ in range(rank)]
    pads = [ints(0, k - 1) for k in kernel]
    size = [ints(5, 7) for _ in range(rank)]
    c_in, c_out = 2 * groups, 3 * groups
    shape = (c_in, c_out // groups) if transposed else (c_out, c_in // groups)
    weight = torch.ones(*shape, *kernel)
    function = getattr(nn.functional, f"conv{'_transpose' if transposed else ''}{rank}d")
    options = {"stride": stride, "padding": pads, "groups": groups, "dilation": dilation}
    expected = int(function(torch.ones(1, c_in, *size), weight, **options).sum())
    g = Graph()
    y = g.add(
        "ConvTranspose" if transposed else "Conv",
        g.input("x", ["N", c_in, *size]),
        g.store(weight),
        name="c",
        strides=stride,
        dilations=dilation,
        pads=[*pads, *pads],
        group=groups,
    )
    path = g.save(tmp_path_factory.mktemp("c") / "net.onnx", y)
    layer = load_onnx(path)["c"]
    assert layer.n_synapses_exact == expected
    positions = size if transposed else layer.output_shape[1:]
    assert layer.n_synapses == int(np.prod(positions) * np.prod(kernel)) * c_in * c_out // groups
    if not any(pads):
        assert layer.n_synapses == layer.n_synapses_exact


@pytest.mark.parametrize("auto_pad", ["SAME_UPPER", "SAME_LOWER", "VALID"])
def test_auto_pad_exact(tmp_path: Path, auto_pad: str) -> None:
    """Border-exact count of an automatically padded convolution: the runtime sums ones."""
    g = Graph()
    weight = np.ones((2, 3, 4, 3), np.float32)
    x = g.input("x", ["N", 3, 9, 8])
    y = g.add("Conv", x, g.store(weight), name="c", auto_pad=auto_pad, strides=[2, 3])
    path = g.save(tmp_path / "net.onnx", y)
    ones = run(path, x=np.ones((1, 3, 9, 8), np.float32)).sum()
    assert load_onnx(path)["c"].n_synapses_exact == ones


@settings(deadline=None, derandomize=True, max_examples=100)
@given(
    length=st.integers(1, 12),
    kernel=st.integers(1, 4),
    stride=st.integers(1, 3),
    begin=st.integers(0, 4),
    dilation=st.integers(1, 3),
    out=st.integers(1, 12),
    transposed=st.booleans(),
)
def test_taps_against_loops(
    length: int, kernel: int, stride: int, begin: int, dilation: int, out: int, transposed: bool
) -> None:
    from_length, to_length = (length, out) if transposed else (out, length)
    hits = sum(
        0 <= i * stride - begin + k * dilation < to_length
        for i in range(from_length)
        for k in range(kernel)
    )
    found = taps(
        length,
        out,
        kernel=kernel,
        stride=stride,
        begin=begin,
        dilation=dilation,
        transposed=transposed,
    )
    assert found == hits


def test_subscripts() -> None:
    assert matmul_subscripts((2, 3, 4), (4, 5)) == ("amk", "kn", "amn")
    assert matmul_subscripts((4,), (2, 4, 5)) == ("k", "akn", "an")
    assert einsum_subscripts("...ij,jk", 4, 2) == ("ABij", "jk", "ABik")


def _quantised(g: Graph, x: str, scale: float, zero: int, kind: Any) -> str:
    s, z = g.store(np.float32(scale)), g.store(kind(zero))
    return g.add("DequantizeLinear", g.add("QuantizeLinear", x, s, z), s, z)


def test_qdq_graph(tmp_path: Path) -> None:
    """Weights behind DequantizeLinear are weights of 8 bits; activations are 8 bits too."""
    g = Graph()
    w8 = np.random.default_rng(0).integers(-5, 5, (4, 3, 3, 3)).astype(np.int8)
    weight = g.add("DequantizeLinear", g.store(w8), g.store(np.float32(0.1)), g.store(np.int8(0)))
    x = _quantised(g, g.input("x", ["N", 3, 6, 6]), 0.1, 128, np.uint8)
    y = g.add("Relu", g.add("Conv", x, weight, name="c"))
    y = _quantised(g, y, 0.1, 0, np.uint8)
    fc = g.store(np.ones((64, 5), np.float32))
    y = g.add("Gemm", g.add("Flatten", y), fc, name="fc")
    net = load_onnx(g.save(tmp_path / "net.onnx", y))
    conv, linear = net["c"], net["fc"]
    assert (conv.n_weights, conv.weight_bits, conv.activation_bits) == (4 * 27, 8, 8)
    assert conv.n_synapses == 4 * 16 * 27
    assert (linear.weight_bits, linear.n_weights) == (32, 320)
    assert [(e.source, e.target) for e in net.synaptic_edges] == [("input", "c"), ("c", "fc")]


def test_integer_operators(tmp_path: Path) -> None:
    g = Graph()
    one, zero = g.store(np.float32(0.1)), g.store(np.uint8(3))
    x = g.input("x", ["N", 2, 5, 5], onnx.TensorProto.UINT8)
    w = g.store(np.ones((4, 2, 3, 3), np.uint8))
    y = g.add("QLinearConv", x, one, zero, w, one, zero, one, zero, name="qc", pads=[1] * 4)
    y = g.add("Flatten", y)
    v = g.store(np.ones((100, 6), np.uint8))
    y = g.add("QLinearMatMul", y, one, zero, v, one, zero, one, zero, name="qm")
    y = g.add("MatMulInteger", y, g.store(np.ones((6, 3), np.uint8)), zero, name="mi")
    y = g.add("Cast", y, to=onnx.TensorProto.FLOAT)
    net = load_onnx(g.save(tmp_path / "net.onnx", y))
    assert [layer.n_synapses for layer in net.synaptic_layers] == [4 * 25 * 18, 600, 18]
    assert [layer.n_weights for layer in net.synaptic_layers] == [72, 600, 18]
    assert {layer.weight_bits for layer in net.synaptic_layers} == {8}
    assert {layer.activation_bits for layer in net.synaptic_layers} == {8}


class _Calibration:
    """Three random batches for the quantiser of onnxruntime."""

    def __init__(self) -> None:
        self.left = [np.random.default_rng(i).normal(size=(1, 3, 28, 28)) for i in range(3)]

    def get_next(self) -> dict[str, Any] | None:
        return {"x": self.left.pop().astype(np.float32)} if self.left else None


@pytest.mark.parametrize("form", ["QDQ", "QOperator", "dynamic"])
def test_graphs_quantised_by_onnxruntime(tmp_path: Path, form: str) -> None:
    """The quantiser of another project changes the operators, not the synapses."""
    from onnxruntime.quantization import QuantFormat, quantize_dynamic, quantize_static

    net = ConvNet().eval()
    plain_path = conv_net_onnx(net, tmp_path / "plain.onnx")
    path = tmp_path / "net.onnx"
    if form == "dynamic":
        quantize_dynamic(plain_path, path)
    else:
        quantize_static(plain_path, path, _Calibration(), quant_format=QuantFormat[form])
    plain, quantised = load_onnx(plain_path), load_onnx(path)
    for count in ("n_synapses", "n_synapses_exact", "n_weights", "kind", "groups"):
        assert [getattr(layer, count) for layer in quantised.synaptic_layers] == [
            getattr(layer, count) for layer in plain.synaptic_layers
        ]
    bits = {layer.weight_bits for layer in quantised.synaptic_layers if not layer.transposed}
    assert bits == {8}
    # rounding makes a few more values zero, and nothing else
    x = np.random.default_rng(9).normal(size=(2, 3, 28, 28)).astype(np.float32)
    before, after = measure_onnx(plain_path, [{"x": x}]), measure_onnx(path, [{"x": x}])
    for a, b in zip(plain.synaptic_layers, quantised.synaptic_layers, strict=True):
        assert after[b.name].zero_fraction == pytest.approx(before[a.name].zero_fraction, abs=0.03)


def test_local_functions_are_seen_through(tmp_path: Path) -> None:
    """A model-local function with a MatMul inside counts as its MatMul."""
    helper = onnx.helper
    function = helper.make_function(
        "local", "Dense", ["x", "w"], ["y"],
        [helper.make_node("MatMul", ["x", "w"], ["y"])], [helper.make_opsetid("", 17)],
    )  # fmt: skip
    g = Graph()
    x = g.input("x", ["N", 4])
    y = g.add("Dense", x, g.store(np.ones((4, 3), np.float32)), name="d", domain="local")
    model = g.model(y)
    model.functions.append(function)
    model.opset_import.append(helper.make_opsetid("local", 1))
    onnx.save(model, tmp_path / "net.onnx")
    (layer,) = load_onnx(tmp_path / "net.onnx").synaptic_layers
    assert (layer.kind, layer.n_synapses, layer.n_weights) == ("linear", 12, 12)


def test_external_data(tmp_path: Path) -> None:
    net = ConvNet().eval()
    inside = load_onnx(conv_net_onnx(net, tmp_path / "inside.onnx"))
    model = onnx.load(tmp_path / "inside.onnx")
    onnx.save(
        model, tmp_path / "net.onnx", save_as_external_data=True, location="net.bin",
        size_threshold=0,
    )  # fmt: skip
    outside = load_onnx(tmp_path / "net.onnx")
    assert outside.layers == inside.layers


def test_a_model_exported_by_torch(tmp_path: Path) -> None:
    """torch's own exporter, where its extra package is installed."""
    pytest.importorskip("onnxscript")
    net = ConvNet().eval()
    path = tmp_path / "net.onnx"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's own
        torch.onnx.export(net, (torch.zeros(1, 3, 28, 28),), path, dynamo=True, verbose=False)
    ours, theirs = load_onnx(path), load_torch(net, torch.zeros(1, 3, 28, 28))
    assert [numbers(a) for a in ours.synaptic_layers] == [
        numbers(b) for b in theirs.synaptic_layers
    ]
