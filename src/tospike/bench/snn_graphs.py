"""Chains of spiking layers as one ONNX graph, unrolled over T, for dense inference runtimes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tospike.bench.snn_peers import Run, Setting, Watch
from tospike.bench.snn_simulate import real_weight
from tospike.kernels.spiking.record import Pool, Population, Reshape, Synapses

Floats = NDArray[np.float32]


class _Graph:
    """Nodes and arrays in the making."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.arrays: list[Any] = []

    def add(self, operation: str, inputs: list[str], n: int = 1, **attributes: Any) -> list[str]:
        """Append one node; returns the names of its outputs."""
        from onnx import helper

        names = [f"v{len(self.nodes)}_{i}" for i in range(n)]
        self.nodes.append(helper.make_node(operation, inputs, names, **attributes))
        return names

    def array(self, values: NDArray[Any]) -> str:
        """Append one constant; returns its name."""
        from onnx import numpy_helper

        name = f"c{len(self.arrays)}"
        self.arrays.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name


def graph(setting: Setting, watched: bool) -> bytes:
    """Inputs x: (N, ...) or (T * N, ...). Output y: (N, O), the sum over T; with ``watched`` also
    the spikes (T * N, ...) of every population, by its name.
    """
    from onnx import TensorProto, helper

    network, steps, samples = setting.network, setting.timesteps, setting.samples
    made = _Graph()
    last, constant = "x", network.constant_input
    spikes: list[str] = []
    for node in network.nodes:
        match node:
            case Population():
                last = _neurons(made, node, last, steps, samples, constant)
                constant = False
                if watched:
                    made.nodes.append(helper.make_node("Identity", [last], [node.name]))
                    spikes.append(node.name)
            case Synapses() | Pool() | Reshape():
                last = _layer(made, node, last)
            case _:
                raise AssertionError("a chain has no sums")
    parts = made.add("Split", [last], steps, axis=0, num_outputs=steps) if steps > 1 else [last]
    (last,) = made.add("Sum", parts)
    made.nodes.append(helper.make_node("Identity", [last], ["y"]))
    rows = samples * (1 if network.constant_input else steps)
    form = helper.make_tensor_value_info
    x = form("x", TensorProto.FLOAT, [rows, *network.input_shape])
    outputs = [form("y", TensorProto.FLOAT, None)]
    outputs += [form(name, TensorProto.FLOAT, None) for name in spikes]
    body = helper.make_graph(made.nodes, "snn", [x], outputs, made.arrays)
    model = helper.make_model(body, opset_imports=[helper.make_opsetid("", 18)])
    model.ir_version = 8
    written: bytes = model.SerializeToString()
    return written


def _layer(made: _Graph, node: Synapses | Pool | Reshape, last: str) -> str:
    match node:
        case Reshape():
            shape = made.array(np.array([-1, *node.out_shape], np.int64))
            return made.add("Reshape", [last, shape])[0]
        case Pool():
            kind = "MaxPool" if node.kind == "max" else "AveragePool"
            kernel, stride = list(node.kernel), list(node.stride)
            return made.add(kind, [last], kernel_shape=kernel, strides=stride)[0]
        case Synapses():
            arrays = [made.array(real_weight(node))]
            if node.bias is not None:
                arrays.append(made.array(node.bias))
            if node.kind == "linear":
                return made.add("Gemm", [last, *arrays], transB=1)[0]
            return made.add(
                "Conv", [last, *arrays], strides=list(node.stride), group=node.groups,
                pads=[*node.padding, *node.padding], dilations=list(node.dilation),
            )[0]  # fmt: skip


def _neurons(
    made: _Graph, node: Population, last: str, steps: int, samples: int, constant: bool
) -> str:
    from onnx import TensorProto

    theta = made.array(np.float32(node.threshold))
    currents = [last] * steps
    if not constant and steps > 1:
        currents = made.add("Split", [last], steps, axis=0, num_outputs=steps)
    start = np.full((samples, *node.shape), float(node.initial), np.float32)
    v = "" if not float(node.initial) else made.array(start)
    spikes = []
    for t, current in enumerate(currents):
        if v and float(node.decay) != 1:
            (v,) = made.add("Mul", [v, made.array(np.float32(node.decay))])
        (v,) = made.add("Add", [v, current]) if v else [current]
        (fired,) = made.add("GreaterOrEqual", [v, theta])
        (sent,) = made.add("Cast", [fired], to=TensorProto.FLOAT)
        spikes.append(sent)
        if t == steps - 1:
            break
        if node.reset is None:
            (taken,) = made.add("Mul", [sent, theta])
            (v,) = made.add("Sub", [v, taken])
        else:
            (v,) = made.add("Where", [fired, made.array(np.float32(node.reset)), v])
    return made.add("Concat", spikes, axis=0)[0]


def _runner(
    setting: Setting, make: Callable[[bytes], Callable[[Floats], dict[str, Floats]]]
) -> Run:
    """Spikes are watched in a second session, so that the timed one need not deliver them."""
    network, steps = setting.network, setting.timesteps
    quick = make(graph(setting, False))

    def run(inputs: Floats, watch: Watch | None = None) -> Floats:
        x = inputs if network.constant_input else inputs.reshape(-1, *network.input_shape)
        if watch is None:
            return quick(x)["y"]
        found = make(graph(setting, True))(x)
        for node in network.nodes:
            if isinstance(node, Population):
                spikes = found[node.name].reshape(steps, -1, *node.shape)
                watch[node.name] = spikes.astype(np.uint8)
        return found["y"]

    return run


def onnx_run(setting: Setting) -> Run:
    """ONNX Runtime on the CPU."""
    import onnxruntime

    def make(model: bytes) -> Callable[[Floats], dict[str, Floats]]:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = setting.threads, 1
        options.log_severity_level = 3
        session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        names = [one.name for one in session.get_outputs()]
        return lambda x: dict(zip(names, session.run(names, {"x": x}), strict=True))

    return _runner(setting, make)


def openvino_run(setting: Setting) -> Run:
    """OpenVINO on the CPU, in float32."""
    import openvino

    def make(model: bytes) -> Callable[[Floats], dict[str, Floats]]:
        core = openvino.Core()
        options = {
            "INFERENCE_NUM_THREADS": setting.threads, "NUM_STREAMS": 1,
            "PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32",
        }  # fmt: skip
        request = core.compile_model(core.read_model(model), "CPU", options).create_infer_request()

        def run(x: Floats) -> dict[str, Floats]:
            found = request.infer({"x": x})
            return {name: value for key, value in found.items() for name in key.names}

        return run

    return _runner(setting, make)
