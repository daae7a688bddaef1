"""The node types of NIR 1.0.8: their parameters, what is wrong with them, their output shapes.

Source: Pedersen 2024, Table 1, and the reference implementation ``nir`` 1.0.8. One entry in
:data:`TYPES` per node type; a type that is not there is refused by name.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tospike.network.importers.nir_record import Parameter, Shape

Parameters = Mapping[str, Parameter]
#: (parameters, input shape) -> output shape; raises ``ShapeFaultError`` with the reason
ShapeRule = Callable[[Parameters, Shape], Shape]
CheckRule = Callable[[Parameters], Iterator[str]]


class ShapeFaultError(Exception):
    """Shapes that do not fit; the text is the reason for the user."""


@dataclass(frozen=True)
class NodeType:
    """One node type. ``required`` and ``optional`` : real parameters; ``sizes`` : whole numbers.

    model : key of the neuron model in ``NEURONS``, "" for nodes that are no neurons.
    """

    required: tuple[str, ...]
    shape: ShapeRule
    optional: tuple[str, ...] = ()
    sizes: tuple[str, ...] = ()
    optional_sizes: tuple[str, ...] = ()
    check: CheckRule | None = None
    model: str = ""


def numbers(parameters: Parameters, name: str) -> NDArray[Any]:
    return np.asarray(parameters[name])


def as_sizes(parameters: Parameters, name: str, rank: int) -> tuple[int, ...]:
    """A size as one whole number per dimension."""
    values = [int(v) for v in np.asarray(parameters[name]).reshape(-1)]
    return tuple(values * rank) if len(values) == 1 else tuple(values)


def window(
    spatial: Shape,
    kernel: Shape,
    stride: Shape,
    padding: tuple[tuple[int, int], ...],
    dilation: Shape,
) -> Shape:
    """Output size of a convolution or a pool."""
    sizes = []
    for d, length in enumerate(spatial):
        reach = dilation[d] * (kernel[d] - 1) + 1
        total = length + padding[d][0] + padding[d][1]
        if total < reach:
            raise ShapeFaultError(f"a window of {reach} does not fit into {total} values")
        sizes.append((total - reach) // stride[d] + 1)
    return tuple(sizes)


def conv_padding(parameters: Parameters) -> tuple[tuple[int, int], ...]:
    """(before, after) per dimension; "same" pads as torch does, the odd one after."""
    weight = numbers(parameters, "weight")
    rank = weight.ndim - 2
    padding = parameters["padding"]
    if isinstance(padding, str):
        if padding == "valid":
            return ((0, 0),) * rank
        dilation = as_sizes(parameters, "dilation", rank)
        totals = [dilation[d] * (weight.shape[2 + d] - 1) for d in range(rank)]
        return tuple((total // 2, total - total // 2) for total in totals)
    return tuple((p, p) for p in as_sizes(parameters, "padding", rank))


def _same(parameters: Parameters, shape: Shape) -> Shape:
    del parameters
    return shape


def _elementwise(*names: str) -> ShapeRule:
    """The shape of the parameters; a single value stands for all neurons."""

    def rule(parameters: Parameters, shape: Shape) -> Shape:
        for name in names:
            own = numbers(parameters, name).shape
            if own not in ((), (1,), shape):
                raise ShapeFaultError(f"{name} has shape {own}, its input {shape}")
        return shape

    return rule


def _linear(parameters: Parameters, shape: Shape) -> Shape:
    weight = numbers(parameters, "weight")
    takes = (*weight.shape[:-2], weight.shape[-1])
    if shape != takes:
        raise ShapeFaultError(f"the weight {weight.shape} takes {takes}, its input is {shape}")
    return (*weight.shape[:-2], weight.shape[-2])


def _conv(parameters: Parameters, shape: Shape) -> Shape:
    weight = numbers(parameters, "weight")
    rank = weight.ndim - 2
    channels = weight.shape[1] * int(numbers(parameters, "groups").reshape(-1)[0])
    if len(shape) != rank + 1 or shape[0] != channels:
        sizes = ", ".join(("height", "width")[:rank] if rank == 2 else ("length",))
        raise ShapeFaultError(
            f"the weight {weight.shape} takes ({channels}, {sizes}), its input is {shape}"
        )
    if "input_shape" in parameters:
        declared = tuple(int(v) for v in numbers(parameters, "input_shape").reshape(-1))
        if declared != shape[1:]:
            raise ShapeFaultError(f"input_shape is {declared}, its input {shape[1:]}")
    stride = as_sizes(parameters, "stride", rank)
    dilation = as_sizes(parameters, "dilation", rank)
    space = window(shape[1:], weight.shape[2:], stride, conv_padding(parameters), dilation)
    return (int(weight.shape[0]), *space)


def _pool(parameters: Parameters, shape: Shape) -> Shape:
    if len(shape) != 3:
        raise ShapeFaultError(f"a pool takes (channels, height, width), its input is {shape}")
    kernel, stride, padding = (
        as_sizes(parameters, name, 2) for name in ("kernel_size", "stride", "padding")
    )
    return (shape[0], *window(shape[1:], kernel, stride, tuple((p, p) for p in padding), (1, 1)))


def _flatten(parameters: Parameters, shape: Shape) -> Shape:
    if "input_type" in parameters:
        declared = tuple(int(v) for v in numbers(parameters, "input_type").reshape(-1))
        if declared != shape:
            raise ShapeFaultError(f"input_type is {declared}, its input {shape}")
    start, end = (int(numbers(parameters, name)) for name in ("start_dim", "end_dim"))
    rank = max(len(shape), 1)
    start, end = start % rank, end % rank
    if start > end:
        raise ShapeFaultError(f"start_dim {start} comes after end_dim {end} in {shape}")
    return (*shape[:start], math.prod(shape[start : end + 1]), *shape[end + 1 :])


def _check_weight(parameters: Parameters) -> Iterator[str]:
    weight = numbers(parameters, "weight")
    if weight.ndim < 2 or 0 in weight.shape:
        yield f"weight has shape {weight.shape}; (..., outputs, inputs) is needed"
    elif "bias" in parameters:
        bias, outputs = numbers(parameters, "bias"), (*weight.shape[:-2], weight.shape[-2])
        if bias.shape != outputs:
            yield f"bias has shape {bias.shape}; {outputs} is needed"


def _check_conv(rank: int) -> CheckRule:
    def check(parameters: Parameters) -> Iterator[str]:
        weight = numbers(parameters, "weight")
        if weight.ndim != rank + 2 or 0 in weight.shape:
            yield f"weight has shape {weight.shape}; rank {rank + 2} without zeros is needed"
            return
        bias, groups = numbers(parameters, "bias"), numbers(parameters, "groups")
        if bias.shape != weight.shape[:1]:
            yield f"bias has shape {bias.shape}; {weight.shape[:1]} is needed"
        if groups.size != 1 or int(groups.reshape(-1)[0]) < 1:
            yield f"groups is {groups.tolist()}; one number of at least 1 is needed"
        elif weight.shape[0] % int(groups.reshape(-1)[0]):
            yield f"{weight.shape[0]} output channels do not divide into {groups} groups"
        yield from _check_sizes(parameters, rank, {"stride": 1, "dilation": 1, "padding": 0})
        strides = np.asarray(parameters["stride"])
        same = isinstance(parameters["padding"], str) and parameters["padding"] == "same"
        if same and np.any(strides != 1):
            yield f"padding 'same' with stride {strides.tolist()}; stride 1 is needed"

    return check


def _check_pool(parameters: Parameters) -> Iterator[str]:
    yield from _check_sizes(parameters, 2, {"kernel_size": 1, "stride": 1, "padding": 0})


def _check_sizes(parameters: Parameters, rank: int, least: Mapping[str, int]) -> Iterator[str]:
    for name, low in least.items():
        found = parameters[name]
        if isinstance(found, str):
            if name != "padding" or found not in ("same", "valid"):
                yield f"{name} is {found!r}; whole numbers are needed"
            continue
        values = np.asarray(found)
        if values.size not in (1, rank) or np.any(values < low):
            yield f"{name} is {values.tolist()}; {rank} whole numbers >= {low} are needed"


def _check_flatten(parameters: Parameters) -> Iterator[str]:
    for name in ("start_dim", "end_dim"):
        if np.asarray(parameters[name]).size != 1:
            yield f"{name} has {np.asarray(parameters[name]).size} values; one is needed"


def _positive(*names: str) -> CheckRule:
    """Time constants above zero, and one shape for all parameters of a neuron."""

    def check(parameters: Parameters) -> Iterator[str]:
        for name in names:
            if np.any(numbers(parameters, name) <= 0):
                yield f"{name} has values <= 0; a time constant is positive"
        shapes = {name: numbers(parameters, name).shape for name in parameters}
        if len({shape for shape in shapes.values() if shape not in ((), (1,))}) > 1:
            listed = ", ".join(f"{name} {shape}" for name, shape in sorted(shapes.items()))
            yield f"parameters of different shapes: {listed}"

    return check


def _check_delay(parameters: Parameters) -> Iterator[str]:
    if np.any(numbers(parameters, "delay") < 0):
        yield "delay has negative values"


_LIF = ("tau", "r", "v_leak", "v_threshold")
_CUBA = ("tau_syn", "tau_mem", "r", "v_leak")
_GEOMETRY = ("stride", "padding", "dilation", "groups")
_POOL = ("kernel_size", "stride", "padding")

TYPES: dict[str, NodeType] = {
    "Input": NodeType((), _same, sizes=("shape",)),
    "Output": NodeType((), _same, optional_sizes=("shape",)),
    "Affine": NodeType(("weight", "bias"), _linear, check=_check_weight),
    "Linear": NodeType(("weight",), _linear, check=_check_weight),
    "Scale": NodeType(("scale",), _elementwise("scale")),
    "Conv1d": NodeType(
        ("weight", "bias"),
        _conv,
        sizes=_GEOMETRY,
        optional_sizes=("input_shape",),
        check=_check_conv(1),
    ),
    "Conv2d": NodeType(
        ("weight", "bias"),
        _conv,
        sizes=_GEOMETRY,
        optional_sizes=("input_shape",),
        check=_check_conv(2),
    ),
    "SumPool2d": NodeType((), _pool, sizes=_POOL, check=_check_pool),
    "AvgPool2d": NodeType((), _pool, sizes=_POOL, check=_check_pool),
    "Flatten": NodeType(
        (),
        _flatten,
        sizes=("start_dim", "end_dim"),
        optional_sizes=("input_type",),
        check=_check_flatten,
    ),
    "Delay": NodeType(("delay",), _elementwise("delay"), check=_check_delay),
    "Threshold": NodeType(("threshold",), _elementwise("threshold"), model="threshold"),
    "I": NodeType(("r",), _elementwise("r"), model="i"),
    "IF": NodeType(
        ("r", "v_threshold"),
        _elementwise("r", "v_threshold"),
        optional=("v_reset",),
        check=_positive(),
        model="if",
    ),
    "LI": NodeType(_LIF[:3], _elementwise(*_LIF[:3]), check=_positive("tau"), model="li"),
    "LIF": NodeType(
        _LIF, _elementwise(*_LIF), optional=("v_reset",), check=_positive("tau"), model="lif"
    ),
    "CubaLI": NodeType(
        _CUBA,
        _elementwise(*_CUBA),
        optional=("w_in",),
        check=_positive("tau_syn", "tau_mem"),
        model="cuba_li",
    ),
    "CubaLIF": NodeType(
        (*_CUBA, "v_threshold"),
        _elementwise(*_CUBA, "v_threshold"),
        optional=("v_reset", "w_in"),
        check=_positive("tau_syn", "tau_mem"),
        model="cuba_lif",
    ),
}

#: stored by older versions, and inferred here
IGNORED = frozenset({"type", "metadata", "input_type", "output_type"})


def parameter_faults(
    kind: NodeType, raw: Mapping[str, Any]
) -> tuple[dict[str, Parameter], list[str]]:
    """The parameters of one node as arrays, and every reason against them."""
    reals = (*kind.required, *kind.optional)
    sizes = (*kind.sizes, *kind.optional_sizes)
    reasons = [
        f"parameter {name!r} is missing"
        for name in (*kind.required, *kind.sizes)
        if raw.get(name) is None
    ]
    unknown = sorted(k for k in raw if k not in reals and k not in sizes and k not in IGNORED)
    reasons += [f"parameter {name!r} is not one of NIR 1.0.8" for name in unknown]
    found: dict[str, Parameter] = {}
    for name in (*reals, *sizes):
        if raw.get(name) is None:
            continue
        value, fault = _number(raw[name], name in sizes, name == "padding")
        if fault:
            reasons.append(f"parameter {name!r} {fault}")
        else:
            found[name] = value
    if not reasons and kind.check is not None:
        reasons += list(kind.check(found))
    return found, reasons


def _number(raw: Any, whole: bool, text: bool) -> tuple[Parameter, str]:
    """(value, "") or (anything, what is wrong)."""
    nothing = np.zeros(0)
    if isinstance(raw, bytes):
        raw = raw.decode("utf8", "replace")
    if isinstance(raw, str):
        return (raw, "") if text else (nothing, f"is the text {raw!r}, not a number")
    value = np.asarray(raw)
    if value.dtype.kind not in "fiub":
        return nothing, f"has the type {value.dtype}, not numbers"
    if value.dtype.kind == "f" and not np.all(np.isfinite(value)):
        return nothing, f"has {int((~np.isfinite(value)).sum())} values that are NaN or infinite"
    if whole:
        if value.dtype.kind == "f" and np.any(value != np.trunc(value)):
            return nothing, f"is {value.tolist()}, not whole numbers"
        if value.size and np.any(np.abs(value.astype(np.float64)) > 2**31):
            return nothing, "is too large for a size"
        return value.astype(np.int64), ""
    return value.astype(np.float64), ""
