"""Recurrent ONNX files as a :class:`Chain` of torch layers, compared with ONNX Runtime.

The path from the input to the output must be one chain of GRU, LSTM, RNN, MatMul, Gemm, Add and
element-wise functions; what only moves axes (Transpose, Squeeze, Reshape) is passed over. Whether
that was allowed is not argued but run: the chain must give the outputs of ONNX Runtime.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from tospike.conversion.delta.chain import Chain, Clip, example
from tospike.errors import ConversionError, ModelError

Array = NDArray[Any]

#: largest difference from ONNX Runtime, relative to the largest output
ROUNDING = 2e-4

_MOVES = {"Transpose", "Squeeze", "Unsqueeze", "Reshape", "Identity", "Dropout", "Cast", "Flatten"}
_FUNCTIONS: dict[str, type[nn.Module]] = {"Relu": nn.ReLU, "Sigmoid": nn.Sigmoid, "Tanh": nn.Tanh}
#: order of the gates in ONNX -> position of each gate of torch in it
_GATES = {"GRU": (1, 0, 2), "LSTM": (0, 2, 3, 1), "RNN": (0,)}
_ACTIVATIONS = {"GRU": ["Sigmoid", "Tanh"], "LSTM": ["Sigmoid", "Tanh", "Tanh"], "RNN": ["Tanh"]}


def load_chain(path: str | Path) -> Chain:
    """The network of an ONNX file as trainable torch layers.

    Raises
    ------
    ModelError
        The file cannot be read.
    ConversionError
        The network is no such chain, or the chain does not give the outputs of ONNX Runtime.
    """
    import onnx

    path = Path(path)
    try:
        model = onnx.load(str(path))
    except Exception as error:
        raise ModelError(f"read {path}", received=str(error).splitlines()[0]) from error
    try:
        chain = _Walk(model).chain()
    except KeyError as error:
        raise ConversionError(
            f"read {path.name} as a recurrent chain", received=f"no constant {error}"
        ) from error
    _compare(chain, path)
    return chain.eval()


class _Walk:
    """Follows the values from the graph's input to its output."""

    def __init__(self, model: Any) -> None:
        from onnx import helper, numpy_helper

        self.nodes = list(model.graph.node)
        self.constants: dict[str, Array] = {
            item.name: numpy_helper.to_array(item) for item in model.graph.initializer
        }
        self.attributes = {
            id(node): {a.name: helper.get_attribute_value(a) for a in node.attribute}
            for node in self.nodes
        }
        for node in self.nodes:
            if node.op_type == "Constant" and "value" in self.attributes[id(node)]:
                value = numpy_helper.to_array(self.attributes[id(node)]["value"])
                self.constants[node.output[0]] = value
        inputs = [item.name for item in model.graph.input if item.name not in self.constants]
        if len(inputs) != 1:
            raise ConversionError(
                "read a recurrent chain",
                received=f"{len(inputs)} inputs ({', '.join(inputs)})",
                allowed="one input; states must start at zero inside of the graph",
            )
        self.value = inputs[0]
        self.parts: list[nn.Module] = []
        self.batch_first = False
        self.recurrent = 0

    def chain(self) -> Chain:
        """Every node that takes the current value, in order."""
        reasons: list[str] = []
        for node in self.nodes:
            if self.value not in node.input or node.op_type in {"Shape", "Constant"}:
                continue
            if not self._take(node):
                reasons.append(f"{node.op_type} ({node.name or node.output[0]})")
            self.value = node.output[0]
        if not self.recurrent:
            reasons.append("there is no GRU, LSTM or RNN")
        if reasons:
            raise ConversionError(
                "convert the ONNX file to a delta network",
                allowed="one chain of GRU, LSTM, RNN, MatMul, Gemm, Add, Clip, "
                + ", ".join(sorted({*_FUNCTIONS, *_MOVES})),
                reasons=list(dict.fromkeys(reasons)),
            )
        return Chain(self.parts, self.batch_first)

    def _take(self, node: Any) -> bool:
        kind, attributes = node.op_type, self.attributes[id(node)]
        if kind in _FUNCTIONS:
            self.parts.append(_FUNCTIONS[kind]())
        elif kind == "Clip":
            low, high = (
                float(self.constants[name]) if name else edge
                for name, edge in zip(
                    [*node.input[1:], "", ""][:2], (-math.inf, math.inf), strict=True
                )
            )
            self.parts.append(Clip(low, high))
        elif kind in _MOVES:
            if kind == "Transpose" and not self.recurrent:
                # (B, T, I) -> (T, B, I) in front of the first recurrent layer
                self.batch_first = list(attributes.get("perm", ())) == [1, 0, 2]
        elif kind in ("MatMul", "Gemm", "Add"):
            return self._linear(node, attributes)
        elif kind in _GATES:
            return self._recurrent(node, attributes)
        else:
            return False
        return True

    def _linear(self, node: Any, attributes: dict[str, Any]) -> bool:
        other = next((name for name in node.input if name != self.value), "")
        if other not in self.constants:
            return False
        constant = self.constants[other]
        if node.op_type == "Add":
            last = self.parts[-1] if self.parts else None
            fits = isinstance(last, nn.Linear) and constant.size in (1, last.out_features)
            if not fits or not isinstance(last, nn.Linear):
                return False
            with torch.no_grad():
                last.bias.add_(torch.from_numpy(np.array(constant, np.float32)).reshape(-1))
            return True
        if constant.ndim != 2 or node.input[0] != self.value:
            return False
        weight = constant if attributes.get("transB") else constant.T
        layer = nn.Linear(weight.shape[1], weight.shape[0])
        scale = float(attributes.get("alpha", 1.0)) if node.op_type == "Gemm" else 1.0
        bias: Array = np.zeros(len(weight), np.float32)
        if node.op_type == "Gemm" and len(node.input) > 2:
            bias = np.add(bias, float(attributes.get("beta", 1.0)) * self.constants[node.input[2]])
        with torch.no_grad():
            layer.weight.copy_(torch.from_numpy(np.array(scale * weight, np.float32)))
            layer.bias.copy_(torch.from_numpy(np.array(bias, np.float32)))
        self.parts.append(layer)
        return True

    def _recurrent(self, node: Any, attributes: dict[str, Any]) -> bool:
        kind = node.op_type
        names = [*node.input, "", "", "", ""]
        w_x, w_h = self.constants[names[1]], self.constants[names[2]]
        hidden = int(w_h.shape[-1])
        plain = attributes.get("direction", b"forward") == b"forward" and len(w_x) == 1
        functions = [name.decode() for name in attributes.get("activations", ())]
        plain &= functions in ([], _ACTIVATIONS[kind]) or (kind == "RNN" and functions == ["Relu"])
        plain &= kind != "GRU" or bool(attributes.get("linear_before_reset", 0))
        if not plain or "clip" in attributes or (kind == "LSTM" and len(node.input) > 7):
            return False
        gates = len(_GATES[kind])
        nothing: Array = np.zeros(2 * gates * hidden, np.float32)
        bias = self.constants[names[3]][0] if names[3] else nothing
        layer: nn.RNNBase = {"GRU": nn.GRU, "LSTM": nn.LSTM, "RNN": nn.RNN}[kind](
            w_x.shape[2], hidden, **({"nonlinearity": "relu"} if functions == ["Relu"] else {})
        )
        halves = bias.reshape(2, gates * hidden)
        with torch.no_grad():
            for name, array in (
                ("weight_ih_l0", w_x[0]),
                ("weight_hh_l0", w_h[0]),
                ("bias_ih_l0", halves[0]),
                ("bias_hh_l0", halves[1]),
            ):
                blocks = array.reshape(gates, hidden, *array.shape[1:])
                ordered = blocks[list(_GATES[kind])].reshape(array.shape)
                layer.get_parameter(name).copy_(torch.from_numpy(np.array(ordered, np.float32)))
        self.parts.append(layer)
        self.recurrent += 1
        return True


def _compare(chain: Chain, path: Path) -> None:
    """The chain against ONNX Runtime on noise."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    first = next(part for part in chain if isinstance(part, nn.Linear | nn.RNNBase))
    inputs = first.in_features if isinstance(first, nn.Linear) else first.input_size
    noise = example(inputs)
    noise = noise.transpose(0, 1) if chain.batch_first else noise
    with torch.no_grad():
        ours = chain(noise).numpy()
    try:
        theirs = session.run(None, {session.get_inputs()[0].name: noise.numpy()})[0]
    except Exception as error:
        raise ConversionError(
            f"run {path.name} on an input of shape {tuple(noise.shape)}",
            received=str(error).splitlines()[0],
            allowed="networks over sequences of any length, batch of one",
        ) from error
    if theirs.size == ours.size:
        largest = float(np.abs(theirs.reshape(ours.shape) - ours).max())
        if largest <= ROUNDING * max(1.0, float(np.abs(theirs).max())):
            return
    raise ConversionError(
        f"convert {path.name} to a delta network",
        received="a network whose path from input to output is no plain chain of its layers",
        where="the outputs differ from those of ONNX Runtime",
        fix="rebuild the network in torch and convert the module",
    )
