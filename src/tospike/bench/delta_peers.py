"""Dense GRUs of other tools for ``tospike bench delta``, at batch 1: step by step and sequences."""

from __future__ import annotations

import importlib.util
import tempfile
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from tospike.kernels.delta import DeltaLayer

Floats = NDArray[np.float32]
Mode = Literal["step", "sequence"]


@dataclass(frozen=True)
class Peer:
    """One dense implementation.

    ``make()`` gives a function of (sequence (T, I), clock, times): outputs (T, H) from a state of
    0. It appends the seconds of every step to ``times``, or those of the whole sequence.
    """

    implementation: str
    dtype: str
    mode: Mode
    bytes_per_weight: int
    make: Callable[[], Run]


Run = Callable[[Floats, Callable[[], float], list[float]], Floats]


def peers(layers: Sequence[DeltaLayer], threads: int, steps: int) -> tuple[list[Peer], list[str]]:
    """What is installed, and sentences about what is not. ``steps``: T of whole sequences."""
    found = [
        Peer("torch nn.GRU", "float32", "step", 4, lambda: torch_step(module(layers), threads)),
        Peer(
            "torch nn.GRU", "float32", "sequence", 4,
            lambda: torch_sequence(module(layers), threads),
        ),
    ]  # fmt: skip
    absent = []
    if "fbgemm" in torch.backends.quantized.supported_engines:
        found += [
            Peer(
                "torch int8 dynamic", "int8", "step", 1,
                lambda: torch_step(int8_module(layers), threads),
            ),
            Peer(
                "torch int8 dynamic", "int8", "sequence", 1,
                lambda: torch_sequence(int8_module(layers), threads),
            ),
        ]  # fmt: skip
    else:
        absent.append("torch int8 dynamic: this build of torch has no fbgemm")
    if importlib.util.find_spec("onnxruntime") is None:
        absent.append("ONNX Runtime: package onnxruntime is not installed")
    else:
        found += [
            Peer(
                "ONNX Runtime GRU", "float32", "step", 4,
                lambda: onnx_step(gru_graph(layers, 1), layers, threads),
            ),
            Peer(
                "ONNX Runtime GRU", "float32", "sequence", 4,
                lambda: onnx_sequence(gru_graph(layers, steps), layers, threads),
            ),
            Peer(
                "ONNX Runtime MatMul", "float32", "step", 4,
                lambda: onnx_step(matmul_graph(layers), layers, threads),
            ),
            Peer(
                "ONNX Runtime int8 dynamic", "int8", "step", 1,
                lambda: onnx_step(int8_graph(layers), layers, threads),
            ),
        ]  # fmt: skip
    if importlib.util.find_spec("openvino") is None:
        absent.append("OpenVINO: package openvino is not installed")
    else:
        found += [
            Peer(
                "OpenVINO GRU", "float32", "step", 4,
                lambda: openvino_step(gru_graph(layers, 1), layers, threads),
            ),
            Peer(
                "OpenVINO GRU", "float32", "sequence", 4,
                lambda: openvino_sequence(gru_graph(layers, steps), layers, threads),
            ),
        ]  # fmt: skip
    return found, absent


def module(layers: Sequence[DeltaLayer]) -> nn.GRU:
    """The same GRU in PyTorch."""
    first = layers[0]
    gru = nn.GRU(first.inputs, first.hidden, len(layers)).eval()
    with torch.no_grad():
        for level, layer in enumerate(layers):
            assert layer.w_h is not None
            for name, values in (
                ("weight_ih", layer.w_x), ("weight_hh", layer.w_h),
                ("bias_ih", layer.b_x), ("bias_hh", layer.b_h),
            ):  # fmt: skip
                gru.get_parameter(f"{name}_l{level}").copy_(torch.from_numpy(values))
    return gru


def int8_module(layers: Sequence[DeltaLayer]) -> nn.Module:
    """Dynamic quantisation of PyTorch: int8 weights, activations quantised in every step."""
    with warnings.catch_warnings():
        # The whole of torch.ao.quantization is announced to move to another package.
        warnings.simplefilter("ignore")
        # The root of what is quantised is never replaced itself.
        root = nn.ModuleDict({"gru": module(layers)})
        return torch.ao.quantization.quantize_dynamic(root, {nn.GRU}, dtype=torch.qint8)["gru"]


def torch_step(gru: nn.Module, threads: int) -> Run:
    """One call of the module per step, as in streaming."""
    shape = (_parts(gru)[1], 1, _parts(gru)[0])

    def run(sequence: Floats, clock: Callable[[], float], times: list[float]) -> Floats:
        torch.set_num_threads(threads)
        frames = torch.from_numpy(sequence)[:, None, None]
        out = np.empty((len(sequence), shape[2]), np.float32)
        with torch.inference_mode():
            h = torch.zeros(shape)
            for t, frame in enumerate(frames):
                start = clock()
                y, h = gru(frame, h)
                times.append(clock() - start)
                out[t] = y[0, 0]
        return out

    return run


def _parts(gru: nn.Module) -> tuple[int, int]:
    """(hidden size, layers) of a float or quantised GRU."""
    hidden, layers = gru.hidden_size, gru.num_layers
    assert isinstance(hidden, int)
    assert isinstance(layers, int)
    return hidden, layers


def torch_sequence(gru: nn.Module, threads: int) -> Run:
    """One call for the sequence; the products of the inputs become one matrix product."""
    hidden, layers = _parts(gru)

    def run(sequence: Floats, clock: Callable[[], float], times: list[float]) -> Floats:
        torch.set_num_threads(threads)
        frames = torch.from_numpy(sequence)[:, None]
        with torch.inference_mode():
            h = torch.zeros(layers, 1, hidden)
            start = clock()
            y, _ = gru(frames, h)
            times.append(clock() - start)
        found: Floats = y[:, 0].numpy()
        return found

    return run


def _zrn(array: Floats) -> Floats:
    """Gates in the order of ONNX: update, reset, candidate."""
    r, z, n = np.split(array, 3)
    return np.concatenate([z, r, n])


def gru_graph(layers: Sequence[DeltaLayer], steps: int) -> bytes:
    """GRU nodes over ``steps`` steps: inputs x (T, 1, I), h0, h1, ...; outputs y, g0, g1, ..."""
    from onnx import TensorProto, helper, numpy_helper

    nodes, arrays, inputs, outputs = [], [], [], []
    current, size = "x", layers[0].hidden
    inputs.append(
        helper.make_tensor_value_info("x", TensorProto.FLOAT, [steps, 1, layers[0].inputs])
    )
    arrays.append(numpy_helper.from_array(np.array([1], np.int64), "axes"))
    for level, layer in enumerate(layers):
        assert layer.w_h is not None
        bias = np.concatenate([_zrn(layer.b_x), _zrn(layer.b_h)])[None]
        for name, array in (
            ("w", _zrn(layer.w_x)[None]), ("r", _zrn(layer.w_h)[None]), ("b", bias),
        ):  # fmt: skip
            arrays.append(numpy_helper.from_array(array, f"{name}{level}"))
        state = [1, 1, size]
        inputs.append(helper.make_tensor_value_info(f"h{level}", TensorProto.FLOAT, state))
        outputs.append(helper.make_tensor_value_info(f"g{level}", TensorProto.FLOAT, state))
        nodes.append(
            helper.make_node(
                "GRU",
                [current, f"w{level}", f"r{level}", f"b{level}", "", f"h{level}"],
                [f"all{level}", f"g{level}"],
                hidden_size=size,
                linear_before_reset=1,
            )
        )
        current = "y" if level == len(layers) - 1 else f"y{level}"
        nodes.append(helper.make_node("Squeeze", [f"all{level}", "axes"], [current]))
    outputs.insert(0, helper.make_tensor_value_info("y", TensorProto.FLOAT, [steps, 1, size]))
    return _serialised(nodes, inputs, outputs, arrays)


def _serialised(nodes: Any, inputs: Any, outputs: Any, arrays: Any) -> bytes:
    from onnx import helper

    graph = helper.make_graph(nodes, "gru", inputs, outputs, arrays)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    written: bytes = model.SerializeToString()
    return written


def matmul_graph(layers: Sequence[DeltaLayer]) -> bytes:
    """One step in single operations: what can be quantised, as GRU nodes cannot."""
    from onnx import TensorProto, helper, numpy_helper

    nodes, inputs, outputs = [], [], []
    arrays = [numpy_helper.from_array(np.ones(1, np.float32), "one")]
    first, current = layers[0], "x"
    inputs.append(helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, first.inputs]))
    for k, layer in enumerate(layers):
        assert layer.w_h is not None
        size = layer.hidden
        arrays += [
            numpy_helper.from_array(np.ascontiguousarray(values), f"{name}{k}")
            for name, values in (
                ("w", layer.w_x.T), ("r", layer.w_h.T), ("bx", layer.b_x), ("bh", layer.b_h)
            )
        ]  # fmt: skip
        out = "y" if k == len(layers) - 1 else f"g{k}"
        h = f"h{k}"
        for operation, arguments, results, attributes in (
            ("MatMul", [current, f"w{k}"], [f"px{k}"], {}),
            ("Add", [f"px{k}", f"bx{k}"], [f"ax{k}"], {}),
            ("MatMul", [h, f"r{k}"], [f"ph{k}"], {}),
            ("Add", [f"ph{k}", f"bh{k}"], [f"ah{k}"], {}),
            ("Split", [f"ax{k}"], [f"xr{k}", f"xz{k}", f"xn{k}"], {"axis": 1}),
            ("Split", [f"ah{k}"], [f"hr{k}", f"hz{k}", f"hn{k}"], {"axis": 1}),
            ("Add", [f"xr{k}", f"hr{k}"], [f"sr{k}"], {}),
            ("Sigmoid", [f"sr{k}"], [f"r_{k}"], {}),
            ("Add", [f"xz{k}", f"hz{k}"], [f"sz{k}"], {}),
            ("Sigmoid", [f"sz{k}"], [f"z_{k}"], {}),
            ("Mul", [f"r_{k}", f"hn{k}"], [f"rn{k}"], {}),
            ("Add", [f"xn{k}", f"rn{k}"], [f"sn{k}"], {}),
            ("Tanh", [f"sn{k}"], [f"n_{k}"], {}),
            ("Sub", [h, f"n_{k}"], [f"d{k}"], {}),
            ("Mul", [f"z_{k}", f"d{k}"], [f"zd{k}"], {}),
            ("Add", [f"n_{k}", f"zd{k}"], [out], {}),
        ):
            nodes.append(helper.make_node(operation, arguments, results, **attributes))
        inputs.append(helper.make_tensor_value_info(h, TensorProto.FLOAT, [1, size]))
        outputs.append(helper.make_tensor_value_info(out, TensorProto.FLOAT, [1, size]))
        current = out
    return _serialised(nodes, inputs, outputs, arrays)


def int8_graph(layers: Sequence[DeltaLayer]) -> bytes:
    """:func:`matmul_graph` with int8 weights and activations quantised in every step.

    Weights use 7 of the 8 bits: on x86 without VNNI instructions, ONNX Runtime adds pairs of
    products in 16 bits, which saturate with 8.
    """
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    model = onnx.load_from_string(matmul_graph(layers))
    # There is nothing to prepare in this graph; without the mark a warning is logged.
    mark = model.metadata_props.add()
    mark.key, mark.value = "onnx.quant.pre_process", "onnxruntime.quant"
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "int8.onnx"
        quantize_dynamic(
            model,
            target,
            weight_type=QuantType.QInt8,
            op_types_to_quantize=["MatMul"],
            reduce_range=True,
        )
        return target.read_bytes()


def _session(model: bytes, threads: int) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def onnx_step(model: bytes, layers: Sequence[DeltaLayer], threads: int) -> Run:
    """One run per step; the states go from the outputs to the next inputs."""
    session = _session(model, threads)
    form = {one.name: tuple(one.shape) for one in session.get_inputs()}
    names = [one.name for one in session.get_outputs()]
    # gru_graph gives y and all states, matmul_graph the states, the last of which is y.
    first = 1 if len(names) > len(layers) else 0

    def run(sequence: Floats, clock: Callable[[], float], times: list[float]) -> Floats:
        feed = {name: np.zeros(shape, np.float32) for name, shape in form.items()}
        out = np.empty((len(sequence), layers[-1].hidden), np.float32)
        frames = sequence.reshape(-1, *form["x"])
        for t, frame in enumerate(frames):
            start = clock()
            feed["x"] = frame
            found = session.run(None, feed)
            for level in range(len(layers)):
                feed[f"h{level}"] = found[first + level]
            times.append(clock() - start)
            out[t] = found[-1].ravel()
        return out

    return run


def onnx_sequence(model: bytes, layers: Sequence[DeltaLayer], threads: int) -> Run:
    """One run for the sequence."""
    session = _session(model, threads)
    form = {one.name: tuple(one.shape) for one in session.get_inputs()}

    def run(sequence: Floats, clock: Callable[[], float], times: list[float]) -> Floats:
        feed = {name: np.zeros(shape, np.float32) for name, shape in form.items()}
        feed["x"] = sequence.reshape(form["x"])
        start = clock()
        found = session.run(["y"], feed)[0]
        times.append(clock() - start)
        result: Floats = found[:, 0]
        return result

    return run


def _request(model: bytes, threads: int) -> Any:
    import openvino

    core = openvino.Core()
    options = {
        "INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": 1, "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": "f32",
    }  # fmt: skip
    return core.compile_model(core.read_model(model), "CPU", options).create_infer_request()


def openvino_step(model: bytes, layers: Sequence[DeltaLayer], threads: int) -> Run:
    """One inference per step."""
    request = _request(model, threads)

    def run(sequence: Floats, clock: Callable[[], float], times: list[float]) -> Floats:
        feed = {f"h{k}": np.zeros((1, 1, one.hidden), np.float32) for k, one in enumerate(layers)}
        out = np.empty((len(sequence), layers[-1].hidden), np.float32)
        for t, frame in enumerate(sequence[:, None, None]):
            start = clock()
            feed["x"] = frame
            found = request.infer(feed)
            for level in range(len(layers)):
                feed[f"h{level}"] = found[f"g{level}"]
            times.append(clock() - start)
            out[t] = found["y"].ravel()
        return out

    return run


def openvino_sequence(model: bytes, layers: Sequence[DeltaLayer], threads: int) -> Run:
    """One inference for the sequence."""
    request = _request(model, threads)

    def run(sequence: Floats, clock: Callable[[], float], times: list[float]) -> Floats:
        feed = {f"h{k}": np.zeros((1, 1, one.hidden), np.float32) for k, one in enumerate(layers)}
        feed["x"] = sequence[:, None]
        start = clock()
        found = request.infer(feed)["y"]
        times.append(clock() - start)
        result: Floats = found[:, 0].copy()
        return result

    return run
