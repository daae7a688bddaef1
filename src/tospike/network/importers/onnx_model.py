"""Reading and checking an ONNX file: every fault of the file is one :class:`ModelError`.

The protobuf is parsed, external data is confined to the folder of the model, local functions are
inlined, ``onnx.checker`` runs, weights are searched for NaN and infinity. Nothing is executed.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tospike.errors import ModelError

#: initializers with more values are stripped before shape inference: only their shape matters
KEEP_VALUES: Final = 4096
#: default domains of ONNX: their operators are known to the checker
STANDARD_DOMAINS: Final = ("", "ai.onnx")


@dataclass(frozen=True)
class OnnxFile:
    """A checked model. ``proto`` keeps external data outside; ``folder`` is where it lies."""

    path: Path
    proto: Any  # onnx.ModelProto
    folder: Path
    sha256: str
    notes: tuple[str, ...]

    @property
    def name(self) -> str:
        """File name."""
        return self.path.name

    def initializers(self) -> dict[str, Any]:
        """name -> TensorProto of the main graph."""
        return {tensor.name: tensor for tensor in self.proto.graph.initializer}

    def inputs(self) -> list[Any]:
        """Graph inputs that the user feeds (old files list the initializers too)."""
        stored = self.initializers()
        return [value for value in self.proto.graph.input if value.name not in stored]

    def array(self, tensor: Any) -> NDArray[Any]:
        """Values of one initializer, from the file or from its external data."""
        import onnx

        try:
            return np.asarray(onnx.numpy_helper.to_array(tensor, base_dir=str(self.folder)))
        except Exception as error:
            raise _bad(self.path, f"initializer {tensor.name!r}: {first_line(error)}") from error


def first_line(error: BaseException) -> str:
    """The first line of an exception's text, without this machine's source paths."""
    text = " ".join(str(error).split("\n")[0].split())
    text = re.sub(r"\S*[/\\]\S+\.(?:cc|h|cpp|py):\d+\s*\S*", "", text)
    return text[:300].strip() or type(error).__name__


def _bad(path: Path, received: str, *, fix: str = "", reasons: tuple[str, ...] = ()) -> ModelError:
    return ModelError(
        f"load the ONNX model {path.name!r}",
        received=received,
        where=str(path),
        allowed="a complete ONNX file that onnx.checker accepts",
        fix=fix or "export the model again and check that the copy is complete",
        reasons=reasons,
    )


def read_model(path: str | Path) -> OnnxFile:
    """Read and check ``path``. Raises :class:`ModelError` for every fault of the file."""
    path = Path(path)
    raw = _read_bytes(path)
    proto = _parse(path, raw)
    folder = path.resolve().parent
    reasons = tuple(_external_faults(proto, folder))
    if reasons:
        raise _bad(
            path,
            f"{len(reasons)} faults in its external data",
            fix="keep the data files beside the model, in its folder or below",
            reasons=reasons,
        )
    _check(path, proto)
    proto = _inline(path, proto)
    file = OnnxFile(path, proto, folder, hashlib.sha256(raw).hexdigest(), ())
    _check_weights(file)
    return file


def _read_bytes(path: Path) -> bytes:
    if not path.exists():
        raise ModelError(
            f"load the ONNX model {path.name!r}",
            received="no such file",
            where=str(path),
            fix="check the path",
        )
    if path.is_dir():
        raise _bad(path, "a folder", fix="name the .onnx file inside of it")
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise _bad(path, first_line(error), fix="check the permissions of the file") from error
    if not raw:
        raise _bad(path, "an empty file")
    return raw


def _parse(path: Path, raw: bytes) -> Any:
    import onnx

    try:
        proto = onnx.load_model_from_string(raw)
    except Exception as error:
        received = f"{len(raw)} bytes that are no ONNX protobuf ({first_line(error)})"
        raise _bad(path, received) from error
    if not proto.graph.node or not proto.ir_version:
        raise _bad(path, "a protobuf without an ONNX graph")
    garbled = [name for graph in _graphs(proto.graph) for name in _texts(graph) if not _text(name)]
    if garbled:
        received = f"{len(garbled)} names that are no text, such as {garbled[0]!r}"
        raise _bad(path, received)
    return proto


def _text(name: object) -> bool:
    """False for the bytes that protobuf returns where a name is not UTF-8."""
    return isinstance(name, str)


def _texts(graph: Any) -> Iterator[object]:
    """Every name in a graph."""
    yield graph.name
    for node in graph.node:
        yield from (node.name, node.op_type, node.domain, *node.input, *node.output)
        yield from (attribute.name for attribute in node.attribute)
    for tensor in graph.initializer:
        yield tensor.name
        for item in tensor.external_data:
            yield from (item.key, item.value)
    for value in (*graph.input, *graph.output, *graph.value_info):
        yield value.name
        yield from (dim.dim_param for dim in value.type.tensor_type.shape.dim)


def _graphs(graph: Any) -> Iterator[Any]:
    """The graph and all graphs inside of its nodes (If, Loop, Scan)."""
    waiting = [graph]
    while waiting:
        current = waiting.pop()
        yield current
        for node in current.node:
            for attribute in node.attribute:
                if attribute.HasField("g"):
                    waiting.append(attribute.g)
                waiting.extend(attribute.graphs)


def _external_faults(proto: Any, folder: Path) -> Iterator[str]:
    """Sentences for external data that leaves the folder, is missing or is too short."""
    import onnx

    for graph in _graphs(proto.graph):
        for tensor in graph.initializer:
            if tensor.data_location != onnx.TensorProto.EXTERNAL:
                continue
            entries = {entry.key: entry.value for entry in tensor.external_data}
            location = entries.get("location", "")
            target = (folder / location).resolve()
            if not location or Path(location).is_absolute() or not target.is_relative_to(folder):
                yield (
                    f"initializer {tensor.name!r}: the path {location!r} "
                    "leaves the folder of the model"
                )
            elif not target.is_file():
                yield f"initializer {tensor.name!r}: the file {location!r} is missing"
            else:
                yield from _external_size_fault(tensor, entries, target)


def _external_size_fault(tensor: Any, entries: dict[str, str], target: Path) -> Iterator[str]:
    try:
        begin = int(entries.get("offset", "0") or 0)
        length = int(entries.get("length", "0") or 0)
    except ValueError:
        yield f"initializer {tensor.name!r}: offset or length is no number"
        return
    size = target.stat().st_size
    if begin < 0 or length < 0 or begin + length > size:
        yield (
            f"initializer {tensor.name!r}: needs bytes {begin} to {begin + length} of "
            f"{target.name!r}, which has {size}"
        )


def _check(path: Path, proto: Any) -> None:
    import onnx

    try:
        onnx.checker.check_model(_checkable(proto), full_check=False)
    except Exception as error:
        raise _bad(path, f"onnx.checker: {first_line(error)}") from error


def _shell(proto: Any) -> Any:
    """A copy of everything but the initializers of the main graph."""
    import onnx

    copy = onnx.ModelProto(ir_version=proto.ir_version)
    copy.opset_import.extend(proto.opset_import)
    copy.functions.extend(proto.functions)
    graph = copy.graph
    graph.name = proto.graph.name
    graph.node.extend(proto.graph.node)
    graph.input.extend(proto.graph.input)
    graph.output.extend(proto.graph.output)
    graph.value_info.extend(proto.graph.value_info)
    graph.sparse_initializer.extend(proto.graph.sparse_initializer)
    return copy


def _is_small(tensor: Any) -> bool:
    """True if its values lie in the file and matter for shapes."""
    return bool(math.prod(tensor.dims) <= KEEP_VALUES and not tensor.data_location)


def _checkable(proto: Any) -> Any:
    """A copy for the checker. Large and external tensors are declared as inputs: their values are
    checked here, without a copy, and external files only where they lie. Inputs and outputs
    without a rank, which run well, get one: the checker wants it."""
    import onnx

    copy = _shell(proto)
    copy.graph.initializer.extend(t for t in proto.graph.initializer if _is_small(t))
    known = {value.name for value in copy.graph.input}
    copy.graph.input.extend(
        onnx.helper.make_tensor_value_info(tensor.name, tensor.data_type, list(tensor.dims))
        for tensor in proto.graph.initializer
        if tensor.name not in known and not _is_small(tensor)
    )
    for value in (*copy.graph.input, *copy.graph.output):
        if value.type.HasField("tensor_type"):
            value.type.tensor_type.shape.SetInParent()
    return copy


def _inline(path: Path, proto: Any) -> Any:
    """Model-local functions become plain nodes, so that their synapses are seen."""
    if not proto.functions:
        return proto
    import onnx.inliner

    try:
        inlined = onnx.inliner.inline_local_functions(_shell(proto))
    except Exception as error:
        raise _bad(path, f"its local functions cannot be inlined: {first_line(error)}") from error
    inlined.graph.initializer.extend(proto.graph.initializer)
    return inlined


def stored_tensors(graph: Any) -> Iterator[Any]:
    """Initializers and values of Constant nodes, named."""
    import onnx

    yield from graph.initializer
    for node in graph.node:
        if node.op_type == "Constant" and node.output:
            for attribute in node.attribute:
                if attribute.name == "value" and attribute.HasField("t"):
                    named = onnx.TensorProto()
                    named.CopyFrom(attribute.t)
                    named.name = node.output[0]
                    yield named


def _check_weights(file: OnnxFile) -> None:
    """NaN and infinity in stored floating-point tensors; values that do not fill the shape."""
    reasons = [
        reason
        for graph in _graphs(file.proto.graph)
        for tensor in stored_tensors(graph)
        for reason in _weight_faults(file, tensor)
    ]
    if reasons:
        raise _bad(
            file.path,
            f"{len(reasons)} unusable weight tensors",
            fix="train or export the model again; weights must be finite",
            reasons=tuple(reasons),
        )


def _weight_faults(file: OnnxFile, tensor: Any) -> Iterator[str]:
    import onnx

    floats = (onnx.TensorProto.FLOAT, onnx.TensorProto.DOUBLE, onnx.TensorProto.FLOAT16)
    if min(tensor.dims, default=0) < 0:
        yield f"initializer {tensor.name!r}: negative size {list(tensor.dims)}"
        return
    values = file.array(tensor)
    if values.size != math.prod(tensor.dims):
        yield f"initializer {tensor.name!r}: {values.size} values do not fill it"
    elif tensor.data_type in floats:
        wrong = int(values.size - np.isfinite(values).sum())
        # Masks of attention hold -inf on purpose; a matrix with NaN never works.
        nan = int(np.isnan(values).sum())
        if nan or (wrong and values.ndim >= 2 and not _is_mask(values)):
            share = f"{wrong} of {values.size} values"
            yield f"initializer {tensor.name!r}: {share} are NaN or infinite"


def _is_mask(values: NDArray[Any]) -> bool:
    """True for a tensor of 0 and -inf only: an additive attention mask."""
    return bool(np.all((values == 0) | np.isneginf(values)))


def light_copy(file: OnnxFile, input_shapes: dict[str, tuple[int, ...]]) -> Any:
    """A copy for shape inference: given input shapes, large initializers without their values."""
    import onnx

    source = file.proto
    copy = onnx.ModelProto(ir_version=source.ir_version)
    copy.opset_import.extend(source.opset_import)
    copy.graph.name = source.graph.name or "graph"
    copy.graph.node.extend(source.graph.node)
    for tensor in source.graph.initializer:
        if _is_small(tensor):
            copy.graph.initializer.append(tensor)
        else:
            bare = onnx.TensorProto(name=tensor.name, data_type=tensor.data_type)
            bare.dims.extend(tensor.dims)
            copy.graph.initializer.append(bare)
    for value in source.graph.input:
        new = copy.graph.input.add()
        new.CopyFrom(value)
        if value.name in input_shapes:
            set_shape(new, input_shapes[value.name])
    for value in source.graph.output:
        copy.graph.output.append(_typed_only(value))
    return copy


def set_shape(value: Any, shape: tuple[int, ...]) -> None:
    """Write a static shape into a ValueInfoProto."""
    target = value.type.tensor_type.shape
    del target.dim[:]
    for size in shape:
        target.dim.add().dim_value = size


def _typed_only(value: Any) -> Any:
    """A ValueInfoProto with the element type of ``value`` and without its shape."""
    import onnx

    bare = onnx.ValueInfoProto(name=value.name)
    if value.type.HasField("tensor_type"):
        bare.type.tensor_type.elem_type = value.type.tensor_type.elem_type
    else:
        bare.type.CopyFrom(value.type)
    return bare
