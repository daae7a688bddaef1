"""The simulator against a slow one that reads like the equations, spike by spike; counts against
brute force; and ONNX graphs against onnxruntime.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from tospike.conversion import calibrate, executable, run_ann, run_snn
from tospike.conversion.forward import forward
from tospike.conversion.graph import AvgPool, ExecutableGraph, Rectify, Synapse


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


class Small(nn.Module):
    """Conv, ReLU, max-pool, strided conv with a border, ReLU, average pool, linear."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(7)
        self.one = nn.Conv2d(1, 3, 3, padding=1)
        self.two = nn.Conv2d(3, 4, 3, padding=1, stride=2)
        self.out = nn.Linear(4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.max_pool2d(self.one(x).relu(), 2)
        x = self.two(x).relu().mean(dim=(2, 3))
        return self.out(x)


def conv(x: np.ndarray, w: np.ndarray, b: np.ndarray, stride: int) -> np.ndarray:
    """Cross-correlation (C, H, W) with a border of one zero, plain loops."""
    outputs, _, k, _ = w.shape
    size = (x.shape[1] + 2 - k) // stride + 1
    y = np.zeros((outputs, size, size))
    for o in range(outputs):
        for i in range(size):
            for j in range(size):
                total = b[o]
                for c in range(x.shape[0]):
                    for u in range(k):
                        for v in range(k):
                            row, column = i * stride + u - 1, j * stride + v - 1
                            if 0 <= row < x.shape[1] and 0 <= column < x.shape[2]:
                                total += w[o, c, u, v] * x[c, row, column]
                y[o, i, j] = total
    return y


def operations(s: np.ndarray, w: np.ndarray, stride: int, size: int) -> int:
    """Synapses whose input is not 0, one by one."""
    outputs, channels, k, _ = w.shape
    count = 0
    for _ in range(outputs):
        for i in range(size):
            for j in range(size):
                for c in range(channels):
                    for u in range(k):
                        for v in range(k):
                            row, column = i * stride + u - 1, j * stride + v - 1
                            inside = 0 <= row < s.shape[1] and 0 <= column < s.shape[2]
                            count += bool(inside and s[c, row, column] != 0)
    return count


class Neurons:
    """V += I; fire at V >= theta; V -= theta. V(0) = theta / 2."""

    def __init__(self, theta: np.ndarray) -> None:
        self.theta = theta
        self.v = theta / 2.0

    def step(self, current: np.ndarray) -> np.ndarray:
        self.v = self.v + current
        fired = self.v >= self.theta
        self.v = self.v - self.theta * fired
        return fired.astype(float)


def reference(
    net: Small, x: np.ndarray, theta: dict[str, np.ndarray], steps: int
) -> dict[str, Any]:
    """One sample through the spiking network, step by step."""
    w = {name: p.detach().double().numpy() for name, p in net.named_parameters()}
    first = Neurons(np.broadcast_to(theta["relu"], (3, 8, 8)))
    second = Neurons(np.broadcast_to(theta["relu_1"], (4, 2, 2)))
    third = Neurons(theta["mean"].reshape(4))
    counts, before = np.zeros((3, 8, 8)), np.zeros((3, 4, 4))
    total, found = np.zeros(3), {"two": 0, "out": 0, "spikes": []}
    current = conv(x, w["one.weight"], w["one.bias"], 1)
    for _ in range(steps):
        counts += first.step(current)
        pooled = counts.reshape(3, 4, 2, 4, 2).max(axis=(2, 4))
        pool_spikes, before = pooled - before, pooled
        found["two"] += operations(pool_spikes, w["two.weight"], 2, 2)
        drive = conv(pool_spikes * theta["relu"], w["two.weight"], w["two.bias"], 2)
        spikes = second.step(drive)
        mean_spikes = third.step((spikes * theta["relu_1"]).mean(axis=(1, 2)))
        found["out"] += int(mean_spikes.sum()) * 3
        total += w["out.weight"] @ (mean_spikes * theta["mean"].reshape(4)) + w["out.bias"]
        found["spikes"].append((pool_spikes.sum(), spikes.sum(), mean_spikes.sum()))
    found["output"] = total / steps
    return found


@pytest.mark.parametrize("granularity", ["channel", "layer"])
def test_spike_by_spike_against_plain_loops(granularity: Any) -> None:
    net = Small().eval()
    x = torch.rand(5, 1, 8, 8, generator=torch.Generator().manual_seed(2))
    graph = executable(net, x)
    calibration = calibrate(graph, x, granularity=granularity)
    names = [n.name for n in graph if isinstance(n.spec, Rectify | AvgPool)]
    theta = {
        key: np.asarray(calibration.scales[name]).reshape(-1, 1, 1)
        for key, name in zip(("relu", "relu_1", "mean"), names, strict=True)
    }
    theta["mean"] = np.broadcast_to(theta["mean"].reshape(-1), (4,))
    steps = 11
    # 24 bits: the weights are then those of the network to 1e-7.
    result = run_snn(
        graph, calibration, x, timesteps=(steps,), weight_bits=None, bias_calibration=False,
        keep_outputs=True,
    )[steps]  # fmt: skip
    slow = [reference(net, sample.double().numpy(), theta, steps) for sample in x]
    assert result.outputs is not None
    np.testing.assert_allclose(result.outputs, [s["output"] for s in slow], rtol=1e-4, atol=1e-5)
    for layer in ("two", "out"):
        mean = np.mean([s[layer] for s in slow])
        assert result.activity[layer].synaptic_operations == pytest.approx(mean, rel=1e-12), layer
    spikes = np.array([s["spikes"] for s in slow]).sum(axis=1).mean(axis=0)
    assert result.neuron_spikes[names[1]] == pytest.approx(spikes[1], rel=1e-12)
    assert result.neuron_spikes[names[2]] == pytest.approx(spikes[2], rel=1e-12)
    inputs = 3 * 4 * 4 * steps
    assert result.activity["two"].zero_fraction == pytest.approx(1 - spikes[0] / inputs, rel=1e-9)


def test_a_planted_fault_in_the_reference_is_seen() -> None:
    """Hard instead of soft reset must not agree: the comparison above can fail."""
    net = Small().eval()
    x = torch.rand(5, 1, 8, 8, generator=torch.Generator().manual_seed(2))
    graph = executable(net, x)
    calibration = calibrate(graph, x)
    names = [n.name for n in graph if isinstance(n.spec, Rectify | AvgPool)]
    theta = {
        key: np.asarray(calibration.scales[name]).reshape(-1, 1, 1)
        for key, name in zip(("relu", "relu_1", "mean"), names, strict=True)
    }
    result = run_snn(graph, calibration, x, timesteps=(11,), weight_bits=None,
                     bias_calibration=False, keep_outputs=True)[11]  # fmt: skip
    soft = Neurons.step
    try:

        def hard(self: Neurons, current: np.ndarray) -> np.ndarray:
            self.v = self.v + current
            fired = self.v >= self.theta
            self.v = np.where(fired, 0.0, self.v)
            return fired.astype(float)

        Neurons.step = hard  # type: ignore[method-assign]
        slow = [reference(net, sample.double().numpy(), theta, 11)["output"] for sample in x]
    finally:
        Neurons.step = soft  # type: ignore[method-assign]
    assert result.outputs is not None
    assert np.abs(result.outputs - slow).max() > 1e-3


class Shapes(nn.Module):
    """Convolutions of all ranks and kinds, each behind a ReLU, summed up."""

    def __init__(self, layer: nn.Module, first: nn.Module) -> None:
        super().__init__()
        self.first, self.layer = first, layer

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layer(self.first(x).relu()).flatten(1)


CASES = {
    "1d": (nn.Conv1d(2, 4, 3, stride=2, padding=1), nn.Conv1d(1, 2, 3), (1, 11)),
    "dilated": (nn.Conv2d(2, 3, 3, dilation=2, padding=2), nn.Conv2d(1, 2, 1), (1, 6, 5)),
    "depthwise": (nn.Conv2d(4, 4, 3, padding=1, groups=4), nn.Conv2d(1, 4, 1), (1, 5, 5)),
    "same": (nn.Conv2d(2, 3, (2, 4), padding="same"), nn.Conv2d(1, 2, 1), (1, 5, 6)),
    "transposed": (
        nn.ConvTranspose2d(2, 4, 3, stride=2, padding=1, output_padding=1, groups=2),
        nn.Conv2d(1, 2, 1), (1, 4, 3),
    ),
    "3d": (nn.Conv3d(2, 2, 3, padding=1, stride=(1, 2, 2)), nn.Conv3d(1, 2, 1), (1, 3, 4, 5)),
    "tokens": (nn.Linear(6, 5), nn.Linear(4, 6), (3, 4)),
}  # fmt: skip


@pytest.mark.parametrize("case", sorted(CASES))
def test_operations_equal_brute_force(case: str) -> None:
    """Set one input after the other to 1 and count the outputs that notice (all weights 1)."""
    layer, first, shape = CASES[case]
    torch.manual_seed(0)
    net = Shapes(layer, first).eval()
    x = torch.randn(4, *shape)
    graph = executable(net, x)
    name = "layer"
    node = next(n for n in graph if isinstance(n.spec, Synapse) and n.spec.layer == name)
    probe = type(layer)(**vars_of(layer))
    with torch.no_grad():
        probe.weight.fill_(1.0)
        values = first(x).relu()
        expected = 0
        for sample in values:
            flat = sample.reshape(-1)
            for i in torch.nonzero(flat).reshape(-1):
                one = torch.zeros_like(flat)
                one[i] = 1.0
                expected += int(probe(one.reshape(1, *sample.shape)).sum().round())
    measured = run_ann(graph, x).activity[node.spec.layer]  # type: ignore[union-attr]
    assert measured.synaptic_operations == pytest.approx(expected / 4, rel=1e-12)
    assert measured.zero_fraction == pytest.approx(float((values == 0).double().mean()), rel=1e-9)


def vars_of(layer: Any) -> dict[str, Any]:
    """Constructor arguments of a layer, without bias."""
    if isinstance(layer, nn.Linear):
        return {"in_features": layer.in_features, "out_features": layer.out_features, "bias": False}
    names = (
        "in_channels",
        "out_channels",
        "kernel_size",
        "stride",
        "padding",
        "dilation",
        "groups",
    )
    found = {name: getattr(layer, name) for name in names}
    if layer.transposed:
        found["output_padding"] = layer.output_padding
    return {**found, "bias": False}


@pytest.mark.parametrize("case", sorted(CASES))
def test_every_kind_of_synapse_converges_with_spikes(case: str) -> None:
    layer, first, shape = CASES[case]
    torch.manual_seed(0)
    net = Shapes(layer, first).eval()
    x = torch.randn(4, *shape)
    graph = executable(net, x)
    calibration = calibrate(graph, x, percentile=100.0)
    assert graph.eligible == ("layer",)
    result = run_snn(graph, calibration, x, timesteps=(256,), weight_bits=None,
                     bias_calibration=False, keep_outputs=True)[256]  # fmt: skip
    with torch.no_grad():
        expected = net(x).numpy()
    assert result.outputs is not None
    assert np.abs(result.outputs - expected).max() < 0.02 * max(1.0, np.abs(expected).max())


def save(path: Path, nodes: list[Any], weights: dict[str, np.ndarray], shape: list[Any],
         opset: int = 17, output: str = "y") -> Path:  # fmt: skip
    """An ONNX file with input x and one output."""
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, None)],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=9)
    onnx.save(model, path)
    return path


def f32(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


N = helper.make_node
I64 = np.int64

ONNX_CASES: dict[str, tuple[list[Any], dict[str, np.ndarray], list[Any]]] = {
    "cnn": (
        [
            N("Conv", ["x", "w", "b"], ["c"], name="c1", pads=[1, 1, 1, 1]),
            N("BatchNormalization", ["c", "g", "be", "m", "v"], ["n"]),
            N("Relu", ["n"], ["r"]),
            N("MaxPool", ["r"], ["p"], kernel_shape=[2, 2], strides=[2, 2], ceil_mode=1),
            N("Conv", ["p", "w2"], ["c2"], name="c2", auto_pad="SAME_UPPER", strides=[2, 2]),
            N("Clip", ["c2", "zero", "six"], ["q"]),
            N("AveragePool", ["q"], ["a"], kernel_shape=[2, 2], pads=[0, 0, 1, 1]),
            N("Flatten", ["a"], ["f"]),
            N("Gemm", ["f", "w3", "b3"], ["y"], name="fc", transB=1, alpha=0.5),
        ],
        {
            "w": f32(4, 2, 3, 3), "b": f32(4), "g": f32(4, seed=1), "be": f32(4, seed=2),
            "m": f32(4, seed=3), "v": np.abs(f32(4, seed=4)) + 0.5, "w2": f32(3, 4, 3, 3),
            "zero": np.float32(0), "six": np.float32(6), "w3": f32(5, 12), "b3": f32(5),
        },
        ["n", 2, 7, 7],
    ),
    "transformer": (
        [
            N("MatMul", ["x", "wq"], ["q"], name="q"),
            N("MatMul", ["x", "wk"], ["k"], name="k"),
            N("Transpose", ["k"], ["kt"], perm=[0, 2, 1]),
            N("MatMul", ["q", "kt"], ["s"], name="scores"),
            N("Div", ["s", "root"], ["sd"]),
            N("Softmax", ["sd"], ["p"], axis=-1),
            N("MatMul", ["p", "x"], ["o"], name="mix"),
            N("Add", ["o", "x"], ["res"]),
            N("LayerNormalization", ["res", "lg", "lb"], ["ln"], axis=-1),
            N("MatMul", ["ln", "w1"], ["h"], name="fc1"),
            N("Add", ["h", "bias1"], ["hb"]),
            N("Relu", ["hb"], ["hr"]),
            N("MatMul", ["hr", "w2"], ["z"], name="fc2"),
            N("ReduceMean", ["z"], ["y"], axes=[1], keepdims=0),
        ],
        {
            "wq": f32(4, 4), "wk": f32(4, 4, seed=1), "root": np.float32(2), "lg": f32(4),
            "lb": f32(4), "w1": f32(4, 8), "bias1": f32(8), "w2": f32(8, 3),
        },
        ["n", 5, 4],
    ),
    "shapes": (
        [
            N("Relu", ["x"], ["r"]),
            N("Shape", ["r"], ["s"]),
            N("Gather", ["s", "i0"], ["n0"], axis=0),
            N("Concat", ["n0", "minus"], ["target"], axis=0),
            N("Split", ["r", "parts"], ["u", "v"], axis=1),
            N("Slice", ["u", "st", "en", "ax"], ["us"]),
            N("Pad", ["us", "pads"], ["up"]),
            N("Resize", ["v", "", "scales"], ["vr"], mode="nearest",
              coordinate_transformation_mode="asymmetric", nearest_mode="floor"),
            N("Slice", ["vr", "st4", "en4", "ax4"], ["vs"]),
            N("Concat", ["up", "vs"], ["c"], axis=1),
            N("Transpose", ["c"], ["t"], perm=[0, 2, 3, 1]),
            N("Reshape", ["t", "target"], ["f"]),
            N("MatMul", ["f", "w"], ["y"], name="fc"),
        ],
        {
            "i0": np.array([0], I64), "minus": np.array([-1], I64), "parts": np.array([1, 2], I64),
            "st": np.array([1], I64), "en": np.array([4], I64), "ax": np.array([3], I64),
            "pads": np.array([0, 0, 0, 1, 0, 0, 0, 0], I64),
            "scales": np.array([1, 1, 2, 2], np.float32), "st4": np.array([0, 0], I64),
            "en4": np.array([4, 4], I64), "ax4": np.array([2, 3], I64), "w": f32(48, 2),
        },
        ["n", 3, 4, 4],
    ),
    "activations": (
        [
            N("HardSwish", ["x"], ["a"]), N("HardSigmoid", ["a"], ["b"]),
            N("LeakyRelu", ["b"], ["c"]), N("Sigmoid", ["c"], ["d"]), N("Tanh", ["d"], ["e"]),
            N("Erf", ["e"], ["f"]), N("Sqrt", ["f"], ["g"]), N("Pow", ["g", "two"], ["h"]),
            N("Sub", ["h", "two"], ["i"]), N("Mul", ["i", "two"], ["j"]),
            N("Identity", ["j"], ["k"]), N("Dropout", ["k"], ["l"]),
            N("Unsqueeze", ["l", "axis"], ["m"]), N("Squeeze", ["m", "axis"], ["o"]),
            N("QuantizeLinear", ["o", "scale", "zp"], ["q"]),
            N("DequantizeLinear", ["q", "scale", "zp"], ["dq"]),
            N("MatMul", ["dq", "w"], ["y"], name="fc"),
        ],
        {
            "two": np.float32(2), "axis": np.array([1], I64), "scale": np.float32(0.05),
            "zp": np.uint8(128), "w": f32(6, 3),
        },
        ["n", 6],
    ),
    "transposed": (
        [
            N("Relu", ["x"], ["r"]),
            N("ConvTranspose", ["r", "w", "b"], ["t"], name="up", strides=[2, 2],
              pads=[1, 0, 0, 1], output_padding=[1, 0]),
            N("GlobalMaxPool", ["t"], ["m"]), N("GlobalAveragePool", ["t"], ["a"]),
            N("Add", ["m", "a"], ["s"]), N("Reshape", ["s", "shape"], ["y"]),
        ],
        {"w": f32(2, 3, 3, 3), "b": f32(3), "shape": np.array([0, 3], I64)},
        ["n", 2, 4, 4],
    ),
    "fixed_batch": (
        [
            N("Conv", ["x", "w"], ["c"]), N("Relu", ["c"], ["r"]),
            N("Reshape", ["r", "shape"], ["f"]), N("Gemm", ["f", "w2", "b"], ["y"]),
        ],
        {"w": f32(2, 1, 2, 2), "shape": np.array([1, 18], I64), "w2": f32(18, 3), "b": f32(3)},
        [1, 1, 4, 4],
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", sorted(ONNX_CASES))
def test_onnx_graphs_equal_onnxruntime(case: str, tmp_path: Path) -> None:
    import onnxruntime

    nodes, weights, shape = ONNX_CASES[case]
    path = save(tmp_path / f"{case}.onnx", nodes, weights, shape)
    graph = executable(path)
    rng = np.random.default_rng(5)
    x = rng.normal(size=(4, *shape[1:])).astype(np.float32)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    step = 1 if isinstance(shape[0], int) else 4
    expected = np.concatenate(
        [session.run(None, {"x": x[i : i + step]})[0] for i in range(0, 4, step)]
    )
    received = forward(graph, torch.from_numpy(x)).numpy()
    # a value on a rounding boundary of QuantizeLinear may fall on the other side
    np.testing.assert_allclose(received, expected, rtol=2e-4, atol=2e-4)


def test_onnx_and_torch_give_the_same_spikes(tmp_path: Path) -> None:
    net = Small().eval()
    w = {name: p.detach().numpy() for name, p in net.named_parameters()}
    nodes = [
        N("Conv", ["x", "w1", "b1"], ["c"], name="one", pads=[1, 1, 1, 1]),
        N("Relu", ["c"], ["r"]),
        N("MaxPool", ["r"], ["p"], kernel_shape=[2, 2], strides=[2, 2]),
        N("Conv", ["p", "w2", "b2"], ["d"], name="two", pads=[1, 1, 1, 1], strides=[2, 2]),
        N("Relu", ["d"], ["s"]),
        N("ReduceMean", ["s"], ["m"], axes=[2, 3], keepdims=0),
        N("Gemm", ["m", "w3", "b3"], ["y"], name="out", transB=1),
    ]
    weights = {
        "w1": w["one.weight"], "b1": w["one.bias"], "w2": w["two.weight"], "b2": w["two.bias"],
        "w3": w["out.weight"], "b3": w["out.bias"],
    }  # fmt: skip
    path = save(tmp_path / "small.onnx", nodes, weights, ["n", 1, 8, 8])
    x = torch.rand(6, 1, 8, 8, generator=torch.Generator().manual_seed(9))
    graphs: list[ExecutableGraph] = [executable(net, x), executable(path, x)]
    assert graphs[0].synaptic == graphs[1].synaptic == ("one", "two", "out")
    assert graphs[0].eligibility == graphs[1].eligibility
    results = []
    for graph in graphs:
        results.append(run_snn(graph, calibrate(graph, x), x, timesteps=(8,))[8])
    for name in ("one", "two", "out"):
        a, b = (result.activity[name] for result in results)
        assert a.synaptic_operations == b.synaptic_operations
        assert a.zero_fraction == b.zero_fraction


class Mixed(nn.Module):
    """Attention, GRU and layer norm behind a small CNN: parts of it can only run analog."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.conv = nn.Conv2d(1, 8, 3, stride=2, padding=1)
        self.conv2 = nn.Conv2d(8, 8, 3, padding=1, groups=4)
        self.norm = nn.LayerNorm(8)
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.gru = nn.GRU(8, 6, batch_first=True)
        self.mlp = nn.Sequential(nn.Linear(6, 10), nn.ReLU(), nn.Linear(10, 3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.conv2(self.conv(x).relu()).relu()
        tokens = self.norm(x.flatten(2).transpose(1, 2))
        tokens = tokens + self.attention(tokens, tokens, tokens, need_weights=False)[0]
        return self.mlp(self.gru(tokens)[0][:, -1])


def test_layers_are_those_of_load_and_analog_parts_run() -> None:
    import tospike as ts

    net = Mixed().eval()
    x = torch.rand(6, 1, 8, 8, generator=torch.Generator().manual_seed(1))
    graph = executable(net, x)
    network = ts.load(net, x[:1])
    assert graph.synaptic == tuple(layer.name for layer in network.synaptic_layers)
    assert graph.eligible == ("conv2", "mlp.2")
    ann = run_ann(graph, x, keep_outputs=True)
    with torch.no_grad():
        np.testing.assert_allclose(ann.outputs, net(x).numpy(), rtol=1e-4, atol=1e-5)
    for spiking in (None, ("conv2",), ("mlp.2",)):
        result = run_snn(graph, calibrate(graph, x, percentile=100.0), x, timesteps=(4, 512),
                         spiking=spiking, weight_bits=None, bias_calibration=False,
                         keep_outputs=True)[512]  # fmt: skip
        assert result.outputs is not None
        assert np.abs(result.outputs - ann.outputs).max() < 0.02
        for name, layer in result.activity.layers.items():
            if layer.signal == "spike":
                ratio = layer.synaptic_operations / network[name].n_synapses
                assert layer.spikes_per_synapse == pytest.approx(ratio, rel=1e-12)
