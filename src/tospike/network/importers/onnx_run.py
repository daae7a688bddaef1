"""Running an ONNX graph with onnxruntime, inner tensors exposed as outputs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tospike.errors import ModelError
from tospike.network.importers.onnx_model import OnnxFile, first_line

Arrays = dict[str, NDArray[Any]]

#: format number handed to onnxruntime: that of onnx 1.16, the oldest that is supported here
IR_VERSION = 10
#: operator sets tried in turn where onnxruntime refuses that of the file
OPSETS = (25, 23, 21)


def make_session(file: OnnxFile, outputs: Sequence[str], *, n_threads: int = 1) -> Any:
    """An onnxruntime session that returns ``outputs`` (any tensors of the graph), on the CPU.

    The declared batch size is freed, so that files exported with batch 1 may take more samples.
    Quantised graphs keep their operators: the runtime's rewriting of them would change values.
    Raises :class:`ModelError` if onnxruntime refuses the graph.
    """
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = n_threads
    options.inter_op_num_threads = 1
    quantised = any("Quantize" in node.op_type for node in file.proto.graph.node)
    levels = ort.GraphOptimizationLevel
    options.graph_optimization_level = (
        levels.ORT_ENABLE_BASIC if quantised else levels.ORT_ENABLE_ALL
    )
    options.add_session_config_entry(
        "session.model_external_initializers_file_folder_path", str(file.folder)
    )
    providers = ["CPUExecutionProvider"]
    try:
        raw = _exposed(file.proto, outputs).SerializeToString()
        return ort.InferenceSession(raw, options, providers=providers)
    except Exception as error:
        for older in _older_opsets(file.proto):
            try:
                raw = _exposed(older, outputs).SerializeToString()
                return ort.InferenceSession(raw, options, providers=providers)
            except Exception:  # the next older one, or the first error below
                continue
        raise ModelError(
            f"run the ONNX model {file.name!r}",
            received=f"onnxruntime refuses the graph: {first_line(error)}",
            where=str(file.path),
            allowed="a graph that onnxruntime can execute on the CPU",
            fix="export the model again with a common opset, without custom operators",
        ) from error


def _older_opsets(proto: Any) -> Iterator[Any]:
    """The model in older operator sets, the newest first, where onnx can convert it.

    A current onnx writes operator sets that a current onnxruntime does not run yet.
    """
    from onnx import version_converter

    versions = [entry.version for entry in proto.opset_import if entry.domain in ("", "ai.onnx")]
    for target in OPSETS:
        if versions and target < max(versions):
            try:
                yield version_converter.convert_version(proto, target)
            except Exception:  # no adapter for one of its operators
                return


def _exposed(proto: Any, outputs: Sequence[str]) -> Any:
    """The model with ``outputs`` as its outputs and without declared inner shapes."""
    import onnx

    model = onnx.ModelProto()
    model.CopyFrom(proto)
    # Files written by a newer onnx than the runtime's carry a newer format number; the graph is
    # the same, and what the runtime really cannot read it still refuses by itself.
    model.ir_version = min(model.ir_version, IR_VERSION)
    del model.graph.output[:]
    del model.graph.value_info[:]
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in outputs)
    stored = {tensor.name for tensor in model.graph.initializer}
    for value in model.graph.input:
        if value.name in stored:
            continue
        for axis, dim in enumerate(value.type.tensor_type.shape.dim):
            if axis == 0 and dim.HasField("dim_value"):
                dim.dim_param = f"{value.name}_axis_0"
    return model


def run_session(file: OnnxFile, session: Any, feeds: Mapping[str, NDArray[Any]]) -> Arrays:
    """Outputs by name. Raises :class:`ModelError` with the runtime's first line."""
    names = [output.name for output in session.get_outputs()]
    try:
        values = session.run(names, dict(feeds))
    except Exception as error:
        shapes = ", ".join(f"{name}: {value.shape}" for name, value in feeds.items())
        raise ModelError(
            f"run the ONNX model {file.name!r}",
            received=f"onnxruntime stops: {first_line(error)}",
            where=f"inputs {shapes}",
            fix="check the shapes and the values of the data",
        ) from error
    return dict(zip(names, values, strict=True))


def input_dtype(file: OnnxFile, name: str) -> np.dtype[Any]:
    """NumPy type that a graph input wants."""
    import onnx

    for value in file.inputs():
        if value.name == name:
            kind = value.type.tensor_type.elem_type
            return np.dtype(onnx.helper.tensor_dtype_to_np_dtype(kind))
    raise ModelError(f"find the input {name!r} of the ONNX model {file.name!r}")


def zeros_for(file: OnnxFile, shapes: Mapping[str, tuple[int, ...]]) -> Arrays:
    """Zeros for every graph input."""
    return {name: np.zeros(shape, input_dtype(file, name)) for name, shape in shapes.items()}
