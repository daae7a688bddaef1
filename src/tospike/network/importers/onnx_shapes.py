"""Shapes of all tensors of an ONNX graph for one sample, and where the batch axis lies.

The graph is inferred twice, with a batch of 1 and a batch of 2. Numbers at batch 1 are numbers per
sample; the axis that doubles is the batch axis. Where static inference does not reach (dimensions
that depend on data) the graph is run once each, on zeros.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

from tospike.errors import ModelError
from tospike.network.importers.onnx_model import OnnxFile, first_line, light_copy
from tospike.network.importers.onnx_run import make_session, run_session, zeros_for

Shape = tuple[int, ...]

_BATCH = re.compile(r"batch|^(n|b|bs|bsz|num_samples)$", re.IGNORECASE)
#: symbolic names that are certainly not the batch
_NOT_BATCH = re.compile(
    r"seq|time|frame|step|length|^len|^t$|^l$|token|word|width|height|^[hw]$|channel", re.IGNORECASE
)


@dataclass(frozen=True)
class TensorShapes:
    """Shapes of every tensor at batch 1.

    ``one``: name -> shape at batch 1; ``axis``: name -> its batch axis or None; ``batchable``: the
    graph accepts any batch size; ``input_axis``: graph input -> batch axis or None;
    ``fixed_batch``: the file declares a batch of 1, so that inner shapes may have it written in.
    """

    one: Mapping[str, Shape]
    axis: Mapping[str, int | None]
    input_axis: Mapping[str, int | None]
    batchable: bool
    types: Mapping[str, int]
    notes: tuple[str, ...] = ()
    fixed_batch: bool = False

    def sample(self, name: str) -> Shape:
        """Shape without the batch axis."""
        shape = self.one[name]
        axis = self.axis.get(name)
        if axis is not None and shape[axis] == 1:
            return shape[:axis] + shape[axis + 1 :]
        written_in = self.fixed_batch or not self.batchable
        if axis is None and written_in and len(shape) > 1 and shape[0] == 1:
            return shape[1:]
        return shape

    def size(self, name: str) -> int:
        """Values per sample."""
        return math.prod(self.one[name])


@dataclass(frozen=True)
class _Input:
    name: str
    dims: tuple[int | str, ...]
    known_rank: bool


def _declared_inputs(file: OnnxFile) -> list[_Input]:
    found = []
    for value in file.inputs():
        tensor = value.type.tensor_type
        dims: list[int | str] = []
        for axis, dim in enumerate(tensor.shape.dim):
            if dim.HasField("dim_value") and dim.dim_value > 0:
                dims.append(dim.dim_value)
            else:
                dims.append(dim.dim_param or f"{value.name}[{axis}]")
        found.append(_Input(value.name, tuple(dims), tensor.HasField("shape")))
    return found


def _given(
    file: OnnxFile, inputs: list[_Input], input_shapes: Mapping[str, Shape]
) -> dict[str, int]:
    """Sizes of the symbolic dimensions from the shapes that the user gave."""
    sizes: dict[str, int] = {}
    reasons = []
    by_name = {value.name: value for value in inputs}
    for name, shape in input_shapes.items():
        value = by_name.get(name)
        if value is None:
            reasons.append(f"the model has no input {name!r}, only {', '.join(by_name)}")
            continue
        if not all(isinstance(size, int) and size > 0 for size in shape):
            reasons.append(f"input {name!r}: {tuple(shape)} is no shape of positive integers")
            continue
        if value.known_rank and len(shape) != len(value.dims):
            reasons.append(
                f"input {name!r}: {tuple(shape)} has {len(shape)} dimensions, the model wants "
                f"{len(value.dims)}: {_text(value.dims)}"
            )
            continue
        for axis, (dim, size) in enumerate(zip(value.dims, shape, strict=False)):
            if isinstance(dim, int):
                if dim != size and axis:
                    reasons.append(f"input {name!r}: axis {axis} is {size}, the model wants {dim}")
            elif sizes.setdefault(dim, size) != size and not _BATCH.search(dim):
                reasons.append(f"dimension {dim!r} is given as {sizes[dim]} and as {size}")
    if reasons:
        raise ModelError(
            f"load the ONNX model {file.name!r} with the given input shapes",
            where=str(file.path),
            allowed="; ".join(f"{value.name}: {_text(value.dims)}" for value in inputs),
            fix="give full shapes with the batch dimension, one for each input",
            reasons=reasons,
        )
    return sizes


def _text(dims: tuple[int | str, ...]) -> str:
    return "(" + ", ".join(str(dim) for dim in dims) + ")"


def _batch_axes(inputs: list[_Input]) -> dict[str, int | None]:
    """The batch axis of each input, from names of dimensions, else the first axis."""
    symbols = [dim for value in inputs for dim in value.dims if isinstance(dim, str)]
    named = {dim for dim in symbols if _BATCH.search(dim)}
    if not named:
        first = [value.dims[0] for value in inputs if len(value.dims) > 1]
        named = {dim for dim in first if isinstance(dim, str) and not _NOT_BATCH.search(dim)}
    axes: dict[str, int | None] = {}
    for value in inputs:
        axes[value.name] = next(
            (axis for axis, dim in enumerate(value.dims) if dim in named and isinstance(dim, str)),
            None,
        )
    if not named and not any(isinstance(value.dims[0], str) for value in inputs if value.dims):
        for value in inputs:
            if len(value.dims) > 1:
                axes[value.name] = 0
    return axes


def _concrete(
    inputs: list[_Input], axes: Mapping[str, int | None], sizes: Mapping[str, int], batch: int
) -> dict[str, Shape]:
    shapes: dict[str, Shape] = {}
    for value in inputs:
        shapes[value.name] = tuple(
            batch if axes[value.name] == axis else (dim if isinstance(dim, int) else sizes[dim])
            for axis, dim in enumerate(value.dims)
        )
    return shapes


def _need_all(
    file: OnnxFile,
    inputs: list[_Input],
    axes: Mapping[str, int | None],
    sizes: Mapping[str, int],
) -> None:
    reasons = []
    for value in inputs:
        if not value.known_rank:
            reasons.append(f"input {value.name!r} has no declared shape")
        for axis, dim in enumerate(value.dims):
            if isinstance(dim, str) and axes[value.name] != axis and dim not in sizes:
                reasons.append(f"input {value.name!r}: axis {axis} is the dynamic {dim!r}")
    if reasons:
        example = ", ".join(f"{v.name!r}: {_text(v.dims)}" for v in inputs)
        raise ModelError(
            f"count the ONNX model {file.name!r}",
            received=f"dynamic dimensions without a size in {example}",
            where=str(file.path),
            allowed="sizes for all dimensions but the batch",
            fix="give an example input, or {name: (1, ...)} with full shapes and the batch as 1",
            reasons=reasons,
        )


def infer(file: OnnxFile, shapes: Mapping[str, Shape]) -> tuple[dict[str, Shape], dict[str, int]]:
    """Static shape inference: name -> shape where fully known, name -> element type.

    Raises the exception of onnx if the shapes contradict each other.
    """
    import onnx

    model = onnx.shape_inference.infer_shapes(
        light_copy(file, dict(shapes)), check_type=True, strict_mode=True, data_prop=True
    )
    found: dict[str, Shape] = {}
    types: dict[str, int] = {}
    graph = model.graph
    for tensor in graph.initializer:
        found[tensor.name] = tuple(tensor.dims)
        types[tensor.name] = tensor.data_type
    for value in (*graph.input, *graph.value_info, *graph.output):
        tensor = value.type.tensor_type
        if tensor.elem_type:
            types.setdefault(value.name, tensor.elem_type)
        if tensor.HasField("shape") and all(dim.HasField("dim_value") for dim in tensor.shape.dim):
            found.setdefault(value.name, tuple(dim.dim_value for dim in tensor.shape.dim))
    return found, types


def _run_shapes(
    file: OnnxFile, names: list[str], shapes: Mapping[str, Shape]
) -> tuple[dict[str, Shape], dict[str, int]]:
    """Shapes and element types from one run on zeros."""
    import onnx

    session = make_session(file, names)
    arrays = run_session(file, session, zeros_for(file, shapes))
    types = {
        name: int(onnx.helper.np_dtype_to_tensor_dtype(array.dtype))
        for name, array in arrays.items()
    }
    return {name: tuple(array.shape) for name, array in arrays.items()}, types


def _all_shapes(
    file: OnnxFile, wanted: list[str], shapes: Mapping[str, Shape]
) -> tuple[dict[str, Shape], dict[str, int]]:
    """Inferred shapes, completed by a run where a wanted tensor stays unknown."""
    found, types = infer(file, shapes)
    missing = [name for name in wanted if name not in found]
    if missing:
        ran, ran_types = _run_shapes(file, missing, shapes)
        found.update(ran)
        types.update(ran_types)
    return found, types


def _axis_of(one: Shape, two: Shape) -> int | None:
    if len(one) != len(two):
        return None
    changed = [axis for axis, (a, b) in enumerate(zip(one, two, strict=True)) if a != b]
    return changed[0] if len(changed) == 1 else None


def input_layout(file: OnnxFile) -> dict[str, tuple[int | None, int | None]]:
    """Graph input -> its rank (None if undeclared) and the axis that its names call the batch."""
    inputs = _declared_inputs(file)
    axes = _batch_axes(inputs)
    return {
        value.name: (len(value.dims) if value.known_rank else None, axes[value.name])
        for value in inputs
    }


def resolve_shapes(
    file: OnnxFile,
    wanted: list[str],
    times: Mapping[str, int],
    input_shapes: Mapping[str, Shape] | None = None,
) -> TensorShapes:
    """Shapes of all tensors at batch 1.

    ``wanted``: tensors that must be known; ``times``: tensors with the axis that is time (input of
    RNNs), which is never the batch. Raises :class:`ModelError` for dynamic dimensions without a
    size, contradicting shapes, and graphs that cannot run.
    """
    inputs = _declared_inputs(file)
    given = dict(input_shapes or {})
    inputs = [
        value
        if value.known_rank or value.name not in given
        else _Input(value.name, tuple(given[value.name]), True)
        for value in inputs
    ]
    sizes = _given(file, inputs, given)
    axes = _batch_axes(inputs)
    for attempt in (axes, dict.fromkeys(axes)):
        _need_all(file, inputs, attempt, sizes)
        found = _resolve(file, wanted, inputs, attempt, sizes)
        if not any(found.axis.get(name) == axis for name, axis in times.items()):
            return found
    return found


def _resolve(
    file: OnnxFile,
    wanted: list[str],
    inputs: list[_Input],
    axes: dict[str, int | None],
    sizes: Mapping[str, int],
) -> TensorShapes:
    import onnx

    at_one = _concrete(inputs, axes, sizes, 1)
    try:
        one, types = _all_shapes(file, wanted, at_one)
    except ModelError:
        raise
    except Exception as error:
        raise ModelError(
            f"infer the shapes of the ONNX model {file.name!r}",
            received=first_line(error),
            where=str(file.path),
            allowed="a graph whose shapes fit together",
            fix="export the model again; give input_shapes if its dimensions are dynamic",
        ) from error
    axis: dict[str, int | None] = {}
    if any(a is not None for a in axes.values()):
        try:
            two, _ = _all_shapes(file, wanted, _concrete(inputs, axes, sizes, 2))
        except (ModelError, ValueError, RuntimeError, onnx.shape_inference.InferenceError):
            two = {}  # a graph fixed to batch 1 fails here, and may
        axis = {name: _axis_of(one[name], two[name]) for name in two if name in one}
    batchable = bool(axis)
    notes = []
    for value in inputs:
        first = value.dims[0] if value.dims else None
        if axes[value.name] == 0 and isinstance(first, int) and first > 1 and batchable:
            notes.append(f"axis 0 of input {value.name!r} (size {first}) taken as the batch")
    firsts = [value.dims[axes[value.name] or 0] for value in inputs if len(value.dims) > 1]
    fixed = bool(firsts) and all(first == 1 for first in firsts)
    return TensorShapes(one, axis, axes, batchable, types, tuple(notes), fixed)
