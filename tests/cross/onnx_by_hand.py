"""Small ONNX graphs written by hand from the weights of torch modules."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

OPSET = 17


class Graph:
    """Collects nodes; every method returns the name of the tensor that it makes."""

    def __init__(self, opset: int = OPSET) -> None:
        self.nodes: list[Any] = []
        self.stored: list[Any] = []
        self.inputs: list[Any] = []
        self.count = 0
        self.opset = opset

    def input(self, name: str, shape: list[int | str], kind: int = TensorProto.FLOAT) -> str:
        self.inputs.append(helper.make_tensor_value_info(name, kind, shape))
        return name

    def store(self, values: Any, name: str = "") -> str:
        if isinstance(values, torch.Tensor):
            values = values.detach().numpy()
        self.count += 1
        name = name or f"w{self.count}"
        self.stored.append(numpy_helper.from_array(np.asarray(values), name))
        return name

    def add(
        self, op: str, *inputs: str, name: str = "", outputs: int = 1, **attributes: Any
    ) -> str:
        self.count += 1
        made = [f"t{self.count}" if i == 0 else f"t{self.count}_{i}" for i in range(outputs)]
        self.nodes.append(helper.make_node(op, list(inputs), made, name=name, **attributes))
        return made[0]

    def conv(self, x: str, module: Any, name: str) -> str:
        transposed = isinstance(module, nn.ConvTranspose1d | nn.ConvTranspose2d)
        extra = {"output_padding": list(module.output_padding)} if transposed else {}
        weights = [self.store(module.weight)]
        if module.bias is not None:
            weights.append(self.store(module.bias))
        return self.add(
            "ConvTranspose" if transposed else "Conv",
            x,
            *weights,
            name=name,
            kernel_shape=list(module.kernel_size),
            strides=list(module.stride),
            pads=[*module.padding, *module.padding],
            dilations=list(module.dilation),
            group=module.groups,
            **extra,
        )

    def gemm(self, x: str, module: nn.Linear, name: str) -> str:
        return self.add(
            "Gemm", x, self.store(module.weight), self.store(module.bias), name=name, transB=1
        )

    def matmul(self, x: str, module: nn.Linear, name: str) -> str:
        y = self.add("MatMul", x, self.store(module.weight.T.contiguous()), name=name)
        if module.bias is None:
            return y
        return self.add("Add", y, self.store(module.bias), name=f"{name}_bias")

    def recurrent(self, x: str, module: Any, name: str, h0: str = "") -> str:
        """All layers of nn.GRU, nn.LSTM or nn.RNN with (T, B, F); returns (T, B, D*H)."""
        op = {"GRU": "GRU", "LSTM": "LSTM"}.get(type(module).__name__, "RNN")
        order = {"GRU": (1, 0, 2), "LSTM": (0, 3, 1, 2), "RNN": (0,)}[op]  # torch -> zrh, iofc
        ways = ("", "_reverse") if module.bidirectional else ("",)

        def gates(kind: str, layer: int) -> np.ndarray[Any, Any]:
            found = []
            for way in ways:
                values = getattr(module, f"{kind}_l{layer}{way}").detach().numpy()
                parts = np.split(values, len(order))
                found.append(np.concatenate([parts[i] for i in order]))
            return np.stack(found)

        extra = {"linear_before_reset": 1} if op == "GRU" else {}
        for layer in range(module.num_layers):
            w, r = gates("weight_ih", layer), gates("weight_hh", layer)
            b = np.concatenate((gates("bias_ih", layer), gates("bias_hh", layer)), axis=1)
            inputs = [x, self.store(w), self.store(r), self.store(b)]
            if h0:
                inputs += ["", h0]
            y = self.add(
                op,
                *inputs,
                name=f"{name}{layer}",
                hidden_size=module.hidden_size,
                direction="bidirectional" if len(ways) == 2 else "forward",
                **extra,
            )
            turned = self.add("Transpose", y, perm=[0, 2, 1, 3])
            shape = self.store(np.array([0, 0, -1], np.int64))
            x = self.add("Reshape", turned, shape)
        return x

    def model(self, *outputs: str) -> Any:
        graph = helper.make_graph(
            self.nodes,
            "net",
            self.inputs,
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
            self.stored,
        )
        return helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", self.opset)], ir_version=9
        )

    def save(self, path: Path, *outputs: str) -> Path:
        onnx.save(self.model(*outputs), path)
        return path


def run(path: Path, **feeds: Any) -> np.ndarray[Any, Any]:
    """First output of the file as onnxruntime computes it."""
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, feeds)[0])
