"""Synapses of single ONNX operators: geometry, MACs, and which tensors show their activity.

MAC counts follow the operator definitions of the ONNX standard; all numbers are per sample, since
shapes are taken at batch 1.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Literal

from tospike.errors import ModelError
from tospike.network.importers.onnx_shapes import Shape, TensorShapes
from tospike.network.importers.onnx_static import StaticTensors, attributes
from tospike.network.layer import Layer

Form = Literal["conv", "rows", "product", "rnn_input", "rnn_hidden", "embedding"]


@dataclass(frozen=True, slots=True)
class Probe:
    """How the activity at the input of one call of a layer is read off a run of the graph.

    form : arrangement of the values, see :mod:`tospike.activity.measure_onnx`.
    tensors : names of the tensors to expose; ``""`` where an optional one is absent.
    zero_point : tensor that holds the zero of quantised values, ``""`` if zero is zero.
    features : axis of the features ("rows").
    fan_out : operations per non-zero value ("rows").
    subscripts : einsum subscripts of both operands and the result ("product").
    hidden, directions, direction, batch_first, lengths : recurrent nodes.
    """

    layer: str
    form: Form
    tensors: tuple[str, ...]
    zero_point: str = ""
    features: int = -1
    fan_out: int = 0
    subscripts: tuple[str, str, str] = ("", "", "")
    hidden: int = 0
    directions: int = 1
    direction: str = "forward"
    batch_first: bool = False
    lengths: str = ""


@dataclass(frozen=True)
class Context:
    """What an operator's rule may look at."""

    static: StaticTensors
    shapes: TensorShapes
    types: dict[str, int]

    def shape(self, name: str) -> Shape:
        """Shape at batch 1."""
        try:
            return self.shapes.one[name]
        except KeyError:
            raise ModelError(
                f"count the ONNX model {self.static.file.name!r}",
                received=f"tensor {name!r} without a shape",
                fix="give input_shapes, or export with static shapes",
            ) from None

    def constant(self, name: str) -> bool:
        """True for weights."""
        return name in self.static.names

    def bits(self, weight: str, activation: str) -> dict[str, Any]:
        """Fields weight_bits and activation_bits of a layer."""
        return {
            "weight_bits": self.static.bits(weight, self.types),
            "activation_bits": self.static.activation_bits(activation, self.types),
        }

    def size(self, name: str) -> int:
        """Number of values of a constant, 0 if the optional input is absent."""
        return math.prod(self.shape(name)) if name else 0


Synapses = list[tuple[Layer, Probe]]
Rule = Callable[[Any, str, Context], Synapses]


def _input(node: Any, index: int) -> str:
    return str(node.input[index]) if len(node.input) > index else ""


def taps(
    length: int,
    out_length: int,
    *,
    kernel: int,
    stride: int,
    begin: int,
    dilation: int,
    transposed: bool,
) -> int:
    """Pairs (input position, kernel tap) along one dimension that meet a real output."""
    total = 0
    for k in range(kernel):
        if transposed:  # i * stride - begin + k * dilation in [0, out_length), 0 <= i < length
            low = max(0, -((k * dilation - begin) // stride))
            high = (out_length - 1 + begin - k * dilation) // stride
            total += max(0, min(high, length - 1) - low + 1)
        else:  # o * stride - begin + k * dilation in [0, length), 0 <= o < out_length
            low = max(0, -((k * dilation - begin) // stride))
            high = (length - 1 + begin - k * dilation) // stride
            total += max(0, min(high, out_length - 1) - low + 1)
    return total


def _pads(
    options: dict[str, Any], space: Shape, out: Shape, kernel: Shape, stride: Shape, dilation: Shape
) -> tuple[int, ...]:
    """Begin and end padding of a convolution (ONNX Conv: auto_pad)."""
    rank = len(space)
    auto = options.get("auto_pad", "NOTSET")
    if auto == "VALID":
        return (0,) * (2 * rank)
    if auto == "NOTSET":
        return tuple(options.get("pads", (0,) * (2 * rank)))
    begin, end = [], []
    for d in range(rank):
        total = max(0, (out[d] - 1) * stride[d] + (kernel[d] - 1) * dilation[d] + 1 - space[d])
        half = total // 2
        begin.append(half if auto == "SAME_UPPER" else total - half)
        end.append(total - begin[-1])
    return (*begin, *end)


def _transposed_pads(
    options: dict[str, Any], space: Shape, out: Shape, kernel: Shape, stride: Shape, dilation: Shape
) -> tuple[int, ...]:
    """Begin and end padding of a ConvTranspose, output_shape and auto_pad resolved."""
    rank = len(space)
    auto = options.get("auto_pad", "NOTSET")
    extra = options.get("output_padding", (0,) * rank)
    if auto == "NOTSET" and "output_shape" not in options:
        return tuple(options.get("pads", (0,) * (2 * rank)))
    begin, end = [], []
    for d in range(rank):
        full = stride[d] * (space[d] - 1) + extra[d] + (kernel[d] - 1) * dilation[d] + 1
        total = full - out[d]
        first = total // 2 if auto == "SAME_UPPER" else total - total // 2
        begin.append(first)
        end.append(total - first)
    return (*begin, *end)


def _convolution(
    node: Any, name: str, ctx: Context, x: str, w: str, bias: str, zero: str
) -> Synapses:
    """Conv, ConvInteger, QLinearConv, ConvTranspose of any rank."""
    options = attributes(node)
    transposed = node.op_type == "ConvTranspose"
    x_shape, w_shape, y_shape = ctx.shape(x), ctx.shape(w), ctx.shape(node.output[0])
    space, out = x_shape[2:], y_shape[2:]
    rank = len(space)
    kernel = tuple(w_shape[2:])
    stride = tuple(options.get("strides", (1,) * rank))
    dilation = tuple(options.get("dilations", (1,) * rank))
    groups = int(options.get("group", 1))
    padder = _transposed_pads if transposed else _pads
    pads = padder(options, space, out, kernel, stride, dilation)
    per_tap = w_shape[0] * w_shape[1]  # pairs of channels that see each other, groups truly
    rows = x_shape[0]
    positions = space if transposed else out
    exact = rows * per_tap
    for d in range(rank):
        exact *= taps(
            space[d],
            out[d],
            kernel=kernel[d],
            stride=stride[d],
            begin=pads[d],
            dilation=dilation[d],
            transposed=transposed,
        )
    constant = ctx.constant(w)
    layer = Layer(
        name,
        "conv",
        input_shape=x_shape[1:],
        output_shape=y_shape[1:],
        kernel=kernel,
        stride=stride,
        padding=pads[:rank] if pads[:rank] == pads[rank:] else pads,
        dilation=dilation,
        groups=groups,
        transposed=transposed,
        n_synapses=rows * math.prod(positions) * math.prod(kernel) * per_tap,
        n_synapses_exact=exact,
        n_neurons=math.prod(y_shape),
        n_inputs=math.prod(x_shape),
        n_weights=math.prod(w_shape) if constant else 0,
        n_biases=ctx.size(bias),
        calls=rows,
        extra={} if constant else {"second_operand": math.prod(w_shape)},
        **ctx.bits(w, x),
    )
    return [(layer, Probe(name, "conv", (x,), zero_point=zero))]


def conv(node: Any, name: str, ctx: Context) -> Synapses:
    """Conv and ConvTranspose: inputs X, W, B."""
    return _convolution(node, name, ctx, node.input[0], node.input[1], _input(node, 2), "")


def conv_integer(node: Any, name: str, ctx: Context) -> Synapses:
    """ConvInteger: inputs x, w, x_zero_point, w_zero_point."""
    return _convolution(node, name, ctx, node.input[0], node.input[1], "", _input(node, 2))


def qlinear_conv(node: Any, name: str, ctx: Context) -> Synapses:
    """QLinearConv: inputs x, x_scale, x_zero_point, w, w_scale, w_zero_point, y_..., B."""
    x, zero, w, bias = node.input[0], node.input[2], node.input[3], _input(node, 8)
    return _convolution(node, name, ctx, x, w, bias, zero)


def gemm(node: Any, name: str, ctx: Context) -> Synapses:
    """Gemm: Y = A' B' + C."""
    options = attributes(node)
    a, b = node.input[0], node.input[1]
    subs = (
        "km" if options.get("transA", 0) else "mk",
        "nk" if options.get("transB", 0) else "kn",
        "mn",
    )
    return _contract(node, name, ctx, a, b, subs, bias=_input(node, 2))


def matmul(node: Any, name: str, ctx: Context) -> Synapses:
    """MatMul with a weight on either side, or of two activations."""
    a, b = node.input[0], node.input[1]
    return _contract(node, name, ctx, a, b, matmul_subscripts(ctx.shape(a), ctx.shape(b)))


def matmul_integer(node: Any, name: str, ctx: Context) -> Synapses:
    """MatMulInteger: inputs A, B, a_zero_point, b_zero_point."""
    a, b = node.input[0], node.input[1]
    subs = matmul_subscripts(ctx.shape(a), ctx.shape(b))
    return _contract(node, name, ctx, a, b, subs, zeros=(_input(node, 2), _input(node, 3)))


def qlinear_matmul(node: Any, name: str, ctx: Context) -> Synapses:
    """QLinearMatMul: inputs a, a_scale, a_zero_point, b, b_scale, b_zero_point, y_..."""
    a, b = node.input[0], node.input[3]
    subs = matmul_subscripts(ctx.shape(a), ctx.shape(b))
    return _contract(node, name, ctx, a, b, subs, zeros=(node.input[2], node.input[5]))


def qgemm(node: Any, name: str, ctx: Context) -> Synapses:
    """com.microsoft.QGemm: inputs A, a_scale, a_zero_point, B, b_scale, b_zero_point, C, ..."""
    options = attributes(node)
    a, b = node.input[0], node.input[3]
    left = "km" if options.get("transA", 0) else "mk"
    right = "nk" if options.get("transB", 0) else "kn"
    zeros = (node.input[2], node.input[5])
    return _contract(node, name, ctx, a, b, (left, right, "mn"), bias=_input(node, 6), zeros=zeros)


def matmul_subscripts(a: Shape, b: Shape) -> tuple[str, str, str]:
    """Einsum subscripts of numpy.matmul for operands of shapes ``a`` and ``b``."""
    letters = "abcdefghij"
    depth = max(len(a), len(b)) - 2
    lead = letters[: max(depth, 0)]
    a_lead = lead[depth - (len(a) - 2) :] if len(a) > 2 else ""
    b_lead = lead[depth - (len(b) - 2) :] if len(b) > 2 else ""
    left = a_lead + "mk" if len(a) > 1 else "k"
    right = b_lead + "kn" if len(b) > 1 else "k"
    result = lead + ("m" if len(a) > 1 else "") + ("n" if len(b) > 1 else "")
    return left, right, result


def einsum(node: Any, name: str, ctx: Context) -> Synapses:
    """Einsum of two operands."""
    equation = attributes(node)["equation"].replace(" ", "")
    a, b = node.input[0], node.input[1]
    subs = einsum_subscripts(equation, len(ctx.shape(a)), len(ctx.shape(b)))
    return _contract(node, name, ctx, a, b, subs)


def einsum_subscripts(equation: str, a_rank: int, b_rank: int) -> tuple[str, str, str]:
    """Subscripts of both operands and the result, ellipsis written out in capitals."""
    operands, arrow, result = equation.partition("->")
    parts = operands.split(",")
    letters = [letter for letter in "ABCDEFGHIJKLMNOP" if letter not in equation]
    counts = [
        rank - len(part.replace("...", "")) if "..." in part else 0
        for part, rank in zip(parts, (a_rank, b_rank), strict=True)
    ]
    dots = "".join(letters[: max(counts)])
    spelled = [
        part.replace("...", dots[len(dots) - count :])
        for part, count in zip(parts, counts, strict=True)
    ]
    if arrow:
        return spelled[0], spelled[1], result.replace("...", dots)
    # implicit form: the ellipsis, then every letter that appears once, in alphabetical order
    text = operands.replace("...", "").replace(",", "")
    once = sorted({letter for letter in text if text.count(letter) == 1})
    return spelled[0], spelled[1], (dots if "..." in operands else "") + "".join(once)


def _contract(
    node: Any,
    name: str,
    ctx: Context,
    a: str,
    b: str,
    subs: tuple[str, str, str],
    *,
    bias: str = "",
    zeros: tuple[str, str] = ("", ""),
) -> Synapses:
    """A product of two tensors: a weight and an activation, or two activations."""
    sizes: dict[str, int] = {}
    for operand, letters in ((a, subs[0]), (b, subs[1])):
        for letter, size in zip(letters, ctx.shape(operand), strict=True):
            sizes[letter] = max(size, sizes.get(letter, 1))
    # A letter of one operand alone that the result lacks is summed before the product.
    used = {c for c in sizes if c in subs[2] or (c in subs[0] and c in subs[1])}
    macs = math.prod(sizes[c] for c in used)
    y = node.output[0]
    common: dict[str, Any] = {
        "output_shape": ctx.shapes.sample(y),
        "n_synapses": macs,
        "n_synapses_exact": macs,
        "n_neurons": ctx.shapes.size(y),
    }
    if not ctx.constant(a) and not ctx.constant(b):
        layer = Layer(
            name,
            "matmul",
            input_shape=ctx.shapes.sample(a),
            n_inputs=ctx.shapes.size(a),
            activation_bits=ctx.static.activation_bits(a, ctx.types),
            extra={"second_operand": ctx.shapes.size(b)},
            **common,
        )
        return [(layer, Probe(name, "product", (a, b), zero_point=zeros[0], subscripts=subs))]
    if ctx.constant(b):
        x, w, x_subs, w_subs, zero = a, b, subs[0], subs[1], zeros[0]
    else:
        x, w, x_subs, w_subs, zero = b, a, subs[1], subs[0], zeros[1]
    contracted = [c for c in x_subs if c in w_subs and c not in subs[2]]
    layer = Layer(
        name,
        "linear",
        input_shape=ctx.shapes.sample(x),
        n_inputs=ctx.shapes.size(x),
        n_weights=ctx.size(w),
        n_biases=ctx.size(bias) if bias and ctx.constant(bias) else 0,
        **common,
        **ctx.bits(w, x),
    )
    features = x_subs.index(contracted[-1]) - len(x_subs) if contracted else -1
    fan_out = math.prod(sizes[c] for c in used if c in w_subs and c not in x_subs)
    probe = Probe(name, "rows", (x,), zero_point=zero, features=features, fan_out=fan_out)
    return [(layer, probe)]


GATES: Final = {"GRU": 3, "LSTM": 4, "RNN": 1}


def recurrent(node: Any, name: str, ctx: Context) -> Synapses:
    """GRU, LSTM, RNN: two layers, "<node>.W" (input synapses) and "<node>.R" (recurrent)."""
    options = attributes(node)
    x, w, r, bias = node.input[0], node.input[1], node.input[2], _input(node, 3)
    x_shape = ctx.shape(x)
    batch_first = bool(options.get("layout", 0))
    steps = x_shape[1 if batch_first else 0]
    directions, rows, inputs = ctx.shape(w)
    hidden = ctx.shape(r)[2]
    batch = x_shape[0 if batch_first else 1]
    direction = options.get("direction", "forward")
    calls = steps * batch
    extra: dict[str, str | int | float] = {"cell": node.op_type.lower(), "direction": direction}
    shared: dict[str, Any] = {
        "hidden": hidden,
        "directions": directions,
        "direction": direction,
        "batch_first": batch_first,
        "lengths": _input(node, 4),
    }
    n_biases = ctx.size(bias) // 2
    own = (directions,) if directions > 1 else ()
    w_layer = Layer(
        f"{name}.W",
        "rnn_input",
        input_shape=(inputs,),
        output_shape=(directions * rows,),
        n_synapses=calls * directions * rows * inputs,
        n_synapses_exact=calls * directions * rows * inputs,
        n_neurons=calls * directions * rows,
        n_inputs=calls * inputs,
        n_weights=ctx.size(w),
        n_biases=n_biases,
        calls=calls,
        extra=dict(extra),
        **ctx.bits(w, x),
    )
    r_layer = Layer(
        f"{name}.R",
        "rnn_hidden",
        input_shape=(*own, hidden),
        output_shape=(*own, rows),
        n_synapses=calls * directions * rows * hidden,
        n_synapses_exact=calls * directions * rows * hidden,
        n_neurons=calls * directions * rows,
        n_inputs=calls * directions * hidden,
        n_weights=ctx.size(r),
        n_biases=n_biases,
        calls=calls,
        extra=dict(extra),
        **ctx.bits(r, x),
    )
    y = node.output[0]  # named when the file was prepared, if the file leaves it out
    return [
        (w_layer, Probe(w_layer.name, "rnn_input", (x,), **shared)),
        (r_layer, Probe(r_layer.name, "rnn_hidden", (y, _input(node, 5)), **shared)),
    ]


def embedding(node: Any, name: str, ctx: Context) -> Synapses:
    """Gather of rows of a weight matrix: weights, no MACs."""
    table, index, y = node.input[0], node.input[1], node.output[0]
    layer = Layer(
        name,
        "embedding",
        input_shape=ctx.shapes.sample(index),
        output_shape=ctx.shapes.sample(y),
        n_neurons=ctx.shapes.size(y),
        n_inputs=ctx.shapes.size(index),
        n_weights=ctx.size(table),
        weight_bits=ctx.static.bits(table, ctx.types),
    )
    return [(layer, Probe(name, "embedding", (index,)))]


#: operator -> rule. Operators of other domains with their domain; those of com.microsoft here are
#: what onnxruntime's own quantiser and optimiser write.
RULES: Final[dict[str, Rule]] = {
    "Conv": conv,
    "ConvTranspose": conv,
    "ConvInteger": conv_integer,
    "QLinearConv": qlinear_conv,
    "Gemm": gemm,
    "MatMul": matmul,
    "MatMulInteger": matmul_integer,
    "QLinearMatMul": qlinear_matmul,
    "Einsum": einsum,
    "GRU": recurrent,
    "LSTM": recurrent,
    "RNN": recurrent,
    "com.microsoft.FusedConv": conv,
    "com.microsoft.FusedGemm": gemm,
    "com.microsoft.QGemm": qgemm,
    "com.microsoft.QLinearConv": qlinear_conv,
}

#: operators of the standard domains that hide synapses and that no rule counts
UNCOUNTED: Final = frozenset(
    {
        *("Attention", "DeformConv", "LinearClassifier", "LinearRegressor"),
        *("SVMClassifier", "SVMRegressor"),
    }
)
