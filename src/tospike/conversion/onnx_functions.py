"""ONNX operators as torch functions: ``FUNCTIONS[op_type](call)`` computes the first outputs.

Each takes a :class:`Call` (attributes and input values) and returns a tensor or a tuple. The
operators are those of the default domain, opset 7 and later; where an older opset has an
attribute instead of an input, both are understood.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Call:
    """One operator with its input values (None: left out)."""

    attributes: Mapping[str, Any]
    values: Sequence[Any]
    opset: int
    file_batch: int | None = None  # batch size fixed in the file
    n_outputs: int = 1

    def at(self, index: int) -> Any:
        """Input value, or None."""
        return self.values[index] if index < len(self.values) else None

    def x(self) -> Tensor:
        """The first input."""
        value = self.values[0]
        assert isinstance(value, Tensor)
        return value

    def get(self, name: str, default: Any = None) -> Any:
        """Attribute, or the default."""
        return self.attributes.get(name, default)

    def numbers(self, index: int, name: str) -> list[int] | None:
        """Integers that are an input in newer opsets and an attribute in older ones."""
        value = self.at(index)
        if value is not None:
            return [int(v) for v in value.reshape(-1).tolist()]
        attribute = self.get(name)
        return None if attribute is None else [int(v) for v in attribute]


Function = Callable[[Call], Any]


def sides(call: Call, kernel: Sequence[int], size: Sequence[int]) -> list[tuple[int, int]]:
    """(low, high) padding per dimension from ``pads`` or ``auto_pad``."""
    rank = len(kernel)
    auto = call.get("auto_pad", b"NOTSET")
    auto = auto.decode() if isinstance(auto, bytes) else auto
    if auto in ("SAME_UPPER", "SAME_LOWER"):
        strides = call.get("strides", [1] * rank)
        dilations = call.get("dilations", [1] * rank)
        found = []
        for n, k, s, d in zip(size, kernel, strides, dilations, strict=True):
            total = max(0, (math.ceil(n / s) - 1) * s + (k - 1) * d + 1 - n)
            small, large = total // 2, total - total // 2
            found.append((small, large) if auto == "SAME_UPPER" else (large, small))
        return found
    pads = [0] * (2 * rank) if auto == "VALID" else call.get("pads", [0] * (2 * rank))
    return [(int(pads[i]), int(pads[i + rank])) for i in range(rank)]


def _padded(x: Tensor, amount: Sequence[tuple[int, int]], value: float) -> Tensor:
    if not any(low or high for low, high in amount):
        return x
    return F.pad(x, [side for pair in reversed(amount) for side in pair], value=value)


def _ceil_extra(call: Call, x: Tensor, amount: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Extra high padding that ``ceil_mode`` asks for (windows must start inside)."""
    if not call.get("ceil_mode", 0):
        return amount
    kernel = call.get("kernel_shape")
    strides = call.get("strides", [1] * len(kernel))
    dilations = call.get("dilations", [1] * len(kernel))
    extended = []
    for i, (low, high) in enumerate(amount):
        n, span = x.shape[2 + i], (kernel[i] - 1) * dilations[i] + 1
        out = math.ceil((n + low + high - span) / strides[i]) + 1
        if (out - 1) * strides[i] >= n + low:
            out -= 1
        extended.append((low, high + max(0, (out - 1) * strides[i] + span - n - low - high)))
    return extended


def convolution(call: Call) -> Tensor:
    """Conv and ConvTranspose are typed operations; with computed weights they are refused."""
    raise NotImplementedError("weights that depend on the network's input")


def max_pool(call: Call) -> Tensor:
    """MaxPool (values only)"""
    x, kernel = call.x(), call.get("kernel_shape")
    amount = _ceil_extra(call, x, sides(call, kernel, x.shape[2:]))
    stride = call.get("strides", [1] * len(kernel))
    dilation = call.get("dilations", [1] * len(kernel))
    pool = (F.max_pool1d, F.max_pool2d, F.max_pool3d)[len(kernel) - 1]
    padded = _padded(x, amount, -math.inf)
    result: Tensor = pool(padded, kernel, stride, 0, dilation)
    return result


def average_pool(call: Call) -> Tensor:
    """AveragePool; padding is left out of the mean unless ``count_include_pad``."""
    x, kernel = call.x(), call.get("kernel_shape")
    plain = sides(call, kernel, x.shape[2:])
    amount = _ceil_extra(call, x, plain)
    stride = call.get("strides", [1] * len(kernel))
    pool: Any = (F.avg_pool1d, F.avg_pool2d, F.avg_pool3d)[len(kernel) - 1]
    total = pool(_padded(x, amount, 0.0), kernel, stride)
    ones = torch.ones((1, 1, *x.shape[2:]), dtype=x.dtype)
    if call.get("count_include_pad", 0):
        ones = _padded(ones, plain, 1.0)
        amount = [(0, e[1] - p[1]) for e, p in zip(amount, plain, strict=True)]
    result: Tensor = total / pool(_padded(ones, amount, 0.0), kernel, stride)
    return result


def global_pool(call: Call) -> Tensor:
    """GlobalAveragePool"""
    x = call.x()
    return x.mean(dim=tuple(range(2, x.dim())), keepdim=True)


def global_max_pool(call: Call) -> Tensor:
    """GlobalMaxPool"""
    x = call.x()
    return x.amax(dim=tuple(range(2, x.dim())), keepdim=True)


def reshape(call: Call) -> Tensor:
    """Reshape; a batch size that is fixed in the file stands for any batch."""
    x = call.x()
    target = call.numbers(1, "shape") or []
    if not call.get("allowzero", 0):
        target = [x.shape[i] if size == 0 else size for i, size in enumerate(target)]
    if call.file_batch is not None and target and target[0] == call.file_batch != x.shape[0]:
        target[0] = x.shape[0]
    return x.reshape(target)


def flatten(call: Call) -> Tensor:
    """Flatten to two dimensions at ``axis``."""
    x = call.x()
    axis = int(call.get("axis", 1)) % (x.dim() + 1)
    return x.reshape(math.prod(x.shape[:axis]), -1)


def squeeze(call: Call) -> Tensor:
    """Squeeze"""
    x, axes = call.x(), call.numbers(1, "axes")
    if axes is None:
        axes = [i for i in range(1, x.dim()) if x.shape[i] == 1]
    for axis in sorted((a % x.dim() for a in axes), reverse=True):
        x = x.squeeze(axis)
    return x


def unsqueeze(call: Call) -> Tensor:
    """Unsqueeze; axes count in the result."""
    x, axes = call.x(), call.numbers(1, "axes") or []
    rank = x.dim() + len(axes)
    for axis in sorted(a % rank for a in axes):
        x = x.unsqueeze(axis)
    return x


def transpose(call: Call) -> Tensor:
    """Transpose"""
    x = call.x()
    return x.permute(*call.get("perm", list(range(x.dim()))[::-1]))


def slice_(call: Call) -> Tensor:
    """Slice with positive or negative steps."""
    x = call.x()
    starts, ends = call.numbers(1, "starts") or [], call.numbers(2, "ends") or []
    axes = call.numbers(3, "axes") or list(range(len(starts)))
    steps = call.numbers(4, "steps") or [1] * len(starts)
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        picked = range(x.shape[axis])[slice(start, None if end < -(2**31) else end, step)]
        x = x.index_select(axis, torch.tensor(list(picked), dtype=torch.long))
    return x


def equal_parts(size: int, n: int) -> list[int]:
    """``size`` in ``n`` parts of equal size, the last one smaller."""
    whole = math.ceil(size / n)
    return [min(whole, size - i * whole) for i in range(n)]


def split(call: Call) -> tuple[Tensor, ...]:
    """Split into given or equal parts."""
    x, axis = call.x(), int(call.get("axis", 0))
    parts = call.numbers(1, "split")
    if parts is None:
        n = int(call.get("num_outputs", call.n_outputs))
        return tuple(torch.split_with_sizes(x, equal_parts(x.shape[axis], n), axis))
    return tuple(torch.split_with_sizes(x, parts, axis))


def pad(call: Call) -> Tensor:
    """Pad: constant, reflect or edge."""
    x, amount = call.x(), call.numbers(1, "pads") or []
    axes = call.numbers(3, "axes") or list(range(x.dim()))
    mode = call.get("mode", b"constant")
    mode = {b"constant": "constant", b"reflect": "reflect", b"edge": "replicate"}[mode]
    pairs = [(0, 0)] * x.dim()
    for i, axis in enumerate(axes):
        pairs[axis] = (amount[i], amount[i + len(axes)])
    fill = call.at(2)
    value = float(fill) if fill is not None else float(call.get("value", 0.0))
    if mode != "constant":
        while len(pairs) > 2 and pairs[0] == (0, 0):
            pairs = pairs[1:]
        flat = [side for pair in reversed(pairs) for side in pair]
        return F.pad(x, flat, mode=mode)
    return _padded(x, pairs, value)


def resize(call: Call) -> Tensor:
    """Resize and Upsample, nearest, by whole factors."""
    x = call.x()
    sizes = call.numbers(3, "sizes") if len(call.values) > 3 else None
    if sizes is None:
        scales = call.at(2) if len(call.values) > 2 else call.at(1)
        if scales is None:
            scales = torch.tensor(call.get("scales"))
        factors = [float(v) for v in scales.reshape(-1).tolist()]
    else:
        factors = [1.0, *(size / n for size, n in zip(sizes[1:], x.shape[1:], strict=True))]
    for axis, factor in enumerate(factors):
        if factor != 1.0:
            x = x.repeat_interleave(round(factor), dim=axis)
    return x


def reduce_mean(call: Call) -> Tensor:
    """ReduceMean"""
    x, axes = call.x(), call.numbers(1, "axes")
    dims = tuple(axes) if axes else tuple(range(x.dim()))
    return x.mean(dim=dims, keepdim=bool(call.get("keepdims", 1)))


def softmax(call: Call) -> Tensor:
    """Softmax; before opset 13 over all dimensions from ``axis`` on."""
    x = call.x()
    if call.opset >= 13:
        return torch.softmax(x, dim=int(call.get("axis", -1)))
    axis = int(call.get("axis", 1)) % x.dim()
    return torch.softmax(x.flatten(axis), dim=-1).reshape(x.shape)


def clip(call: Call) -> Tensor:
    """Clip"""
    low, high = bounds(call)
    return call.x().clamp(low, high)


def bounds(call: Call) -> tuple[float, float]:
    """Bounds of a Clip."""
    low, high = call.at(1), call.at(2)
    return (
        float(low) if low is not None else float(call.get("min", -math.inf)),
        float(high) if high is not None else float(call.get("max", math.inf)),
    )


def gemm(call: Call) -> Tensor:
    """alpha A' B' + beta C"""
    a, b, c = call.x(), call.at(1), call.at(2)
    a = a.t() if call.get("transA", 0) else a
    b = b.t() if call.get("transB", 0) else b
    y: Tensor = float(call.get("alpha", 1.0)) * (a @ b)
    if isinstance(c, Tensor):
        y = y + float(call.get("beta", 1.0)) * c
    return y


def layer_normalization(call: Call) -> Tensor:
    """LayerNormalization"""
    x = call.x()
    axis = int(call.get("axis", -1)) % x.dim()
    weight = call.at(1)
    return F.layer_norm(x, x.shape[axis:], weight, call.at(2), float(call.get("epsilon", 1e-5)))


def gelu(call: Call) -> Tensor:
    """Gelu"""
    approximate = call.get("approximate", b"none").decode()
    return F.gelu(call.x(), approximate=approximate)


def _grid(call: Call, x: Tensor, scale: Tensor) -> tuple[Tensor, Tensor]:
    """Scale and zero point, broadcast along ``axis``."""
    zero = call.at(2)
    zero = torch.zeros_like(scale) if zero is None else zero.to(scale.dtype)
    if scale.numel() > 1:
        shape = [1] * x.dim()
        shape[int(call.get("axis", 1))] = scale.numel()
        scale, zero = scale.reshape(shape), zero.reshape(shape)
    return scale, zero


def quantize_linear(call: Call) -> Tensor:
    """QuantizeLinear: integers, kept in their integer type."""
    x, scale = call.x(), call.at(1)
    kind = torch.uint8 if call.at(2) is None else call.at(2).dtype
    scale, zero = _grid(call, x, scale)
    limits = torch.iinfo(kind)
    grid: Tensor = torch.round(x / scale + zero).clamp(limits.min, limits.max).to(kind)
    return grid


def dequantize_linear(call: Call) -> Tensor:
    """DequantizeLinear"""
    x, scale = call.x(), call.at(1)
    scale, zero = _grid(call, x, scale)
    return (x.to(scale.dtype) - zero) * scale


def batch_normalization(call: Call) -> Tensor:
    """BatchNormalization at inference."""
    x, gamma, beta, mean, var = call.values[:5]
    return F.batch_norm(x, mean, var, gamma, beta, eps=float(call.get("epsilon", 1e-5)))


def gather(call: Call) -> Tensor:
    """Gather; negative indices count from the end."""
    x, index = call.x(), call.at(1)
    axis = int(call.get("axis", 0)) % x.dim()
    index = torch.where(index < 0, index + x.shape[axis], index)
    picked = x.index_select(axis, index.reshape(-1))
    return picked.reshape(*x.shape[:axis], *index.shape, *x.shape[axis + 1 :])


def hard_sigmoid(call: Call) -> Tensor:
    """max(0, min(1, alpha x + beta))"""
    alpha, beta = float(call.get("alpha", 0.2)), float(call.get("beta", 0.5))
    return (alpha * call.x() + beta).clamp(0.0, 1.0)


def cast_to(call: Call) -> Tensor:
    """Cast to a numeric type."""
    kinds = {1: torch.float32, 6: torch.int32, 7: torch.int64, 9: torch.bool, 11: torch.float64}
    return call.x().to(kinds[int(call.get("to"))])


def divide(call: Call) -> Tensor:
    """Div: integers are truncated."""
    a, b = call.x(), call.at(1)
    return a / b if a.is_floating_point() else torch.div(a, b, rounding_mode="trunc")


def expand(call: Call) -> Tensor:
    """Expand by broadcasting."""
    shape = call.numbers(1, "shape") or []
    return call.x() * torch.ones(shape, dtype=call.x().dtype)


FUNCTIONS: dict[str, Function] = {
    "Abs": lambda call: call.x().abs(),
    "Add": lambda call: call.x() + call.at(1),
    "AveragePool": average_pool,
    "BatchNormalization": batch_normalization,
    "Cast": cast_to,
    "Clip": clip,
    "Concat": lambda call: torch.cat(list(call.values), dim=int(call.get("axis"))),
    "Conv": convolution,
    "ConvTranspose": convolution,
    "ConstantOfShape": lambda call: torch.full(
        call.numbers(0, "") or [], float(call.get("value", torch.zeros(1)).reshape(-1)[0])
    ).to(call.get("value", torch.zeros(1)).dtype),
    "DequantizeLinear": dequantize_linear,
    "Div": divide,
    "Dropout": lambda call: call.x(),
    "Elu": lambda call: F.elu(call.x(), float(call.get("alpha", 1.0))),
    "Erf": lambda call: torch.erf(call.x()),
    "Exp": lambda call: call.x().exp(),
    "Expand": expand,
    "Flatten": flatten,
    "Gather": gather,
    "Gelu": gelu,
    "Gemm": gemm,
    "GlobalAveragePool": global_pool,
    "GlobalMaxPool": global_max_pool,
    "HardSigmoid": hard_sigmoid,
    "HardSwish": lambda call: F.hardswish(call.x()),
    "Identity": lambda call: call.x(),
    "LayerNormalization": layer_normalization,
    "LeakyRelu": lambda call: F.leaky_relu(call.x(), float(call.get("alpha", 0.01))),
    "Log": lambda call: call.x().log(),
    "MatMul": lambda call: call.x() @ call.at(1),
    "MaxPool": max_pool,
    "Mul": lambda call: call.x() * call.at(1),
    "Neg": lambda call: -call.x(),
    "PRelu": lambda call: torch.where(call.x() >= 0, call.x(), call.x() * call.at(1)),
    "Pad": pad,
    "Pow": lambda call: call.x() ** call.at(1),
    "QuantizeLinear": quantize_linear,
    "Reciprocal": lambda call: call.x().reciprocal(),
    "ReduceMean": reduce_mean,
    "Relu": lambda call: call.x().clamp_min(0),
    "Reshape": reshape,
    "Resize": resize,
    "Selu": lambda call: F.selu(call.x()),
    "Shape": lambda call: torch.tensor(call.x().shape)[
        int(call.get("start", 0)) : call.get("end", None)
    ],
    "Sigmoid": lambda call: torch.sigmoid(call.x()),
    "Slice": slice_,
    "Softmax": softmax,
    "Softplus": lambda call: F.softplus(call.x()),
    "Split": split,
    "Sqrt": lambda call: call.x().sqrt(),
    "Squeeze": squeeze,
    "Sub": lambda call: call.x() - call.at(1),
    "Tanh": lambda call: torch.tanh(call.x()),
    "Transpose": transpose,
    "Unsqueeze": unsqueeze,
    "Upsample": resize,
    "Where": lambda call: torch.where(call.x(), call.at(1), call.at(2)),
}
