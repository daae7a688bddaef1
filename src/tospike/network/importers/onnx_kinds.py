"""Names for operators without synapses: the words that the other importers use."""

from __future__ import annotations

import re
from typing import Any, Final

import numpy as np

from tospike.network.importers.onnx_model import OnnxFile
from tospike.network.importers.onnx_static import attributes, operator

#: operators whose snake-case name is not the usual word
_KINDS: Final = {
    "AveragePool": "avg_pool",
    "BatchNormalization": "batch_norm",
    "Concat": "cat",
    "GlobalAveragePool": "avg_pool",
    "GlobalMaxPool": "max_pool",
    "GroupNormalization": "group_norm",
    "InstanceNormalization": "instance_norm",
    "LRN": "local_response_norm",
    "LayerNormalization": "layer_norm",
    "LeakyRelu": "leaky_relu",
    "PRelu": "prelu",
    "ReduceMean": "mean",
    "ReduceSum": "sum",
    "Relu": "relu",
    "Sum": "add",
    "ThresholdedRelu": "thresholded_relu",
}

#: operators that only move values, or change their number format: the provenance passes on
MOVES: Final = frozenset(
    {
        *("Cast", "DepthToSpace", "DequantizeLinear", "Dropout", "DynamicQuantizeLinear"),
        *("Expand", "Flatten", "Gather", "GatherElements", "GatherND", "Identity", "Pad"),
        *("QuantizeLinear", "Reshape", "ReverseSequence", "Slice", "SpaceToDepth", "Split"),
        *("Squeeze", "Tile", "Transpose", "Unsqueeze"),
    }
)


def kind_of(node: Any, file: OnnxFile) -> tuple[str, dict[str, str | int | float]]:
    """Kind and extra fields of a node without synapses."""
    name = str(node.op_type)
    if node.domain == "com.microsoft":
        name = name.removeprefix("QLinear")
    elif node.domain not in ("", "ai.onnx"):
        return operator(node).lower(), {}
    if name == "Clip":
        return _clip(node, file)
    if name in _KINDS:
        return _KINDS[name], {}
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower(), {}


def _bound(node: Any, file: OnnxFile, index: int, key: str) -> float | None:
    """Bound of a Clip: attribute (opset 6), initializer or Constant node (opset 11)."""
    options = attributes(node)
    if key in options:
        return float(options[key])
    if len(node.input) <= index or not node.input[index]:
        return None
    name = node.input[index]
    tensor = file.initializers().get(name)
    for other in file.proto.graph.node:
        if tensor is None and other.op_type == "Constant" and other.output[0] == name:
            tensor = attributes(other).get("value")
    if tensor is None:
        return None
    values = np.asarray(file.array(tensor), dtype=float).reshape(-1)
    return float(values[0]) if values.size == 1 else None


def _clip(node: Any, file: OnnxFile) -> tuple[str, dict[str, str | int | float]]:
    low = _bound(node, file, 1, "min")
    high = _bound(node, file, 2, "max")
    extra: dict[str, str | int | float] = {}
    if low is not None:
        extra["min"] = low
    if high is not None:
        extra["max"] = high
    if low == 0 and high == 6:
        return "relu6", extra
    return "clamp", extra
