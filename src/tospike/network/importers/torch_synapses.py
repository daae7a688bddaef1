"""ATen operations with synapses, each taken apart into products of an input and a weight.

``SYNAPSES[func](func, args, kwargs)`` runs the operation and returns its result and a list of
``(Operation, outputs)``: one for a ``linear`` or a convolution, two for attention (q kT and the
product with v), two per layer and direction for GRU, LSTM and RNN.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from torch import Tensor

aten = torch.ops.aten

Form = Literal[
    "product", "conv", "embedding", "bilinear", "rnn_input", "rnn_hidden", "rnn_projection"
]
Outputs = tuple[Tensor, ...]
Parsed = tuple[Any, list[tuple["Operation", Outputs]]]


@dataclass(frozen=True, slots=True)
class Geometry:
    """Of a convolution."""

    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[int, ...]
    dilation: tuple[int, ...]
    groups: int
    transposed: bool


@dataclass(slots=True)
class Operation:
    """One operation with synapses.

    product: ``a`` (..., M, K) times ``b`` (..., K, N); which of them is the weight is not known
    here. With ``linear=True`` ``a`` is (..., K) and ``b`` the weight (N, K). conv: ``a`` input,
    ``b`` weight. embedding: ``a`` indices, ``b`` table. bilinear: ``a``, ``c`` inputs, ``b``
    weight (out, in1, in2). rnn_input, rnn_hidden: ``a`` (T, B, F), or (rows, F) where packed,
    ``b`` weight (gates, F), ``c`` the initial state, ``reverse`` where time runs backwards.
    rnn_projection (LSTM with ``proj_size``): ``a`` is the output (T, B, P), ``b`` (P, H); its
    input is not visible from outside.
    """

    op: str
    form: Form
    a: Tensor
    b: Tensor
    bias: Tensor | None = None
    c: Tensor | None = None
    linear: bool = False
    geometry: Geometry | None = None
    packed: bool = False
    reverse: bool = False


def _bound(func: Any, args: Any, kwargs: Any) -> dict[str, Any]:
    """Arguments by name, with the defaults of the schema."""
    values = {}
    for i, argument in enumerate(func._schema.arguments):
        if i < len(args):
            values[argument.name] = args[i]
        elif argument.name in kwargs:
            values[argument.name] = kwargs[argument.name]
        else:
            values[argument.name] = argument.default_value
    return values


def _linear(func: Any, args: Any, kwargs: Any) -> Parsed:
    v = _bound(func, args, kwargs)
    out = func(*args, **kwargs)
    operation = Operation("linear", "product", v["input"], v["weight"], v["bias"], linear=True)
    return out, [(operation, (out,))]


def _product(names: tuple[str, str], bias: str | None = None) -> Callable[..., Parsed]:
    def parse(func: Any, args: Any, kwargs: Any) -> Parsed:
        v = _bound(func, args, kwargs)
        # In-place forms overwrite the third operand only, never the two factors.
        out = func(*args, **kwargs)
        a, b = v[names[0]], v[names[1]]
        a = a.unsqueeze(0) if a.dim() == 1 else a
        b = b.unsqueeze(-1) if b.dim() == 1 else b
        op = func._schema.name.split("::")[-1].rstrip("_")
        return out, [(Operation(op, "product", a, b, v[bias] if bias else None), (out,))]

    return parse


def _tuple(value: Any, rank: int) -> tuple[int, ...]:
    items = tuple(int(i) for i in value) if isinstance(value, list | tuple) else (int(value),)
    return items * rank if len(items) == 1 else items


def _convolution(func: Any, args: Any, kwargs: Any) -> Parsed:
    v = _bound(func, args, kwargs)
    name = func._schema.name.split("::")[-1]
    weight = v["weight"]
    rank = weight.dim() - 2
    transposed = bool(v["transposed"]) if "transposed" in v else "transpose" in name
    padding = v["padding"]
    kernel = tuple(weight.shape[2:])
    dilation = _tuple(v["dilation"], rank)
    if isinstance(padding, str):
        # "same": the smaller half of the padding comes first
        total = [d * (k - 1) for d, k in zip(dilation, kernel, strict=True)]
        begin = tuple(t // 2 for t in total)
        end = tuple(t - t // 2 for t in total)
        pads = (0,) * rank if padding == "valid" else begin if begin == end else begin + end
    else:
        pads = _tuple(padding, rank)
    geometry = Geometry(
        kernel, _tuple(v["stride"], rank), pads, dilation, int(v["groups"]), transposed
    )
    out = func(*args, **kwargs)
    op = f"conv{'_transpose' if transposed else ''}{rank}d"
    operation = Operation(op, "conv", v["input"], weight, v["bias"], geometry=geometry)
    return out, [(operation, (out,))]


def _embedding(func: Any, args: Any, kwargs: Any) -> Parsed:
    v = _bound(func, args, kwargs)
    out = func(*args, **kwargs)
    first = out if isinstance(out, Tensor) else out[0]
    return out, [(Operation("embedding", "embedding", v["indices"], v["weight"]), (first,))]


def _bilinear(func: Any, args: Any, kwargs: Any) -> Parsed:
    v = _bound(func, args, kwargs)
    out = func(*args, **kwargs)
    operation = Operation(
        "bilinear", "bilinear", v["input1"], v["weight"], v["bias"], c=v["input2"]
    )
    return out, [(operation, (out,))]


def _attention(func: Any, args: Any, kwargs: Any) -> Parsed:
    """softmax(q kT) v; masked products are counted (dense)."""
    v = _bound(func, args, kwargs)
    q, k, value = v["query"], v["key"], v["value"]
    out, weights = aten._scaled_dot_product_attention_math.default(
        q,
        k,
        value,
        v["attn_mask"],
        v["dropout_p"],
        v["is_causal"],
        None,
        scale=v["scale"],
        enable_gqa=v["enable_gqa"],
    )
    if v["enable_gqa"]:
        k = k.repeat_interleave(q.shape[-3] // k.shape[-3], dim=-3)
        value = value.repeat_interleave(q.shape[-3] // value.shape[-3], dim=-3)
    op = "scaled_dot_product_attention"
    first = Operation(op, "product", q, k.transpose(-2, -1))
    second = Operation(op, "product", weights, value)
    return out, [(first, (weights,)), (second, (out,))]


def _recurrent(func: Any, args: Any, kwargs: Any) -> Parsed:
    """aten.gru/lstm/rnn_tanh/rnn_relu, one layer at a time: the hidden sequences become visible.

    The same kernel runs the layers one after the other, so values and speed stay the same.
    """
    v = _bound(func, args, kwargs)
    name = func._schema.name.split("::")[-1]
    lstm = name == "lstm"
    packed = "data" in v
    x, params, biases = v["data" if packed else "input"], list(v["params"]), v["has_biases"]
    states = list(v["hx"]) if lstm else [v["hx"]]
    directions = 2 if v["bidirectional"] else 1
    turned = not packed and v["batch_first"]
    x = x.transpose(0, 1) if turned else x
    per = len(params) // (v["num_layers"] * directions)
    operations: list[tuple[Operation, Outputs]] = []
    finals: list[Any] = []
    for index in range(v["num_layers"]):
        span = slice(index * directions, (index + 1) * directions)
        own = params[index * directions * per : (index + 1) * directions * per]
        start = [state[span] for state in states]
        hx = start if lstm else start[0]
        if packed:
            found = func(x, v["batch_sizes"], hx, own, biases, 1, 0.0, False, directions == 2)
        else:
            found = func(x, hx, own, biases, 1, 0.0, False, directions == 2, False)
        y = found[0]
        for d in range(directions):
            w = own[d * per : (d + 1) * per]
            size = y.shape[-1] // directions
            part = y[..., d * size : (d + 1) * size]
            hidden = part if packed else _previous(part, start[0][d], reverse=d == 1)
            operations += _recurrent_pair(
                Operation(name, "rnn_input", x, w[0], packed=packed, reverse=d == 1),
                (hidden, start[0][d]),
                w,
                biases,
                part,
            )
        finals.append(found[1:])
        x = y
    last = tuple(torch.cat([f[i] for f in finals]) for i in range(len(finals[0])))
    return (x.transpose(0, 1) if turned else x, *last), operations


def _previous(y: Tensor, h0: Tensor, *, reverse: bool) -> Tensor:
    """Hidden state that enters each step, (T, B, H), from the outputs ``y`` (T, B, H)."""
    if reverse:
        return torch.cat([y[1:], h0[None]])
    return torch.cat([h0[None], y[:-1]])


def _recurrent_pair(
    first: Operation,
    state: tuple[Tensor, Tensor],
    w: list[Tensor],
    biases: bool,
    y: Tensor,
) -> list[tuple[Operation, Outputs]]:
    """Input and hidden synapses of one layer and direction, and the LSTM's projection."""
    hidden, initial = state
    second = replace(first, form="rnn_hidden", a=hidden, b=w[1], c=initial)
    if biases:
        first, second = replace(first, bias=w[2]), replace(second, bias=w[3])
    pair: list[tuple[Operation, Outputs]] = [(first, (y,)), (second, (y,))]
    if len(w) == (5 if biases else 3):  # LSTM with projection: h = W_hr (o tanh(c)), unseen here
        pair.append((replace(first, form="rnn_projection", a=y, b=w[-1], bias=None), (y,)))
    return pair


def _cell(func: Any, args: Any, kwargs: Any) -> Parsed:
    v = _bound(func, args, kwargs)
    out = func(*args, **kwargs)
    name = func._schema.name.split("::")[-1]
    hx = v["hx"][0] if isinstance(v["hx"], list | tuple) else v["hx"]
    outs = out if isinstance(out, tuple) else (out,)
    x = v["input"][None] if v["input"].dim() == 2 else v["input"][None, None]
    h = hx[None] if hx.dim() == 2 else hx[None, None]
    return out, [
        (Operation(name, "rnn_input", x, v["w_ih"], v["b_ih"]), outs),
        (Operation(name, "rnn_hidden", h, v["w_hh"], v["b_hh"]), outs),
    ]


#: operation -> how it is taken apart. One line per operation.
SYNAPSES: dict[Any, Callable[[Any, Any, Any], Parsed]] = {
    aten.linear.default: _linear,
    aten.matmul.default: _product(("self", "other")),
    aten.mm.default: _product(("self", "mat2")),
    aten.bmm.default: _product(("self", "mat2")),
    aten.mv.default: _product(("self", "vec")),
    aten.dot.default: _product(("self", "tensor")),
    aten.addmm.default: _product(("mat1", "mat2"), "self"),
    aten.addmm_.default: _product(("mat1", "mat2"), "self"),
    aten.addmv.default: _product(("mat", "vec"), "self"),
    aten.addbmm.default: _product(("batch1", "batch2"), "self"),
    aten.baddbmm.default: _product(("batch1", "batch2"), "self"),
    aten.baddbmm_.default: _product(("batch1", "batch2"), "self"),
    aten.conv1d.default: _convolution,
    aten.conv2d.default: _convolution,
    aten.conv3d.default: _convolution,
    aten.conv1d.padding: _convolution,
    aten.conv2d.padding: _convolution,
    aten.conv3d.padding: _convolution,
    aten.conv_transpose1d.default: _convolution,
    aten.conv_transpose2d.input: _convolution,
    aten.conv_transpose3d.input: _convolution,
    aten.convolution.default: _convolution,
    aten._convolution.default: _convolution,  # of jit.trace
    aten._convolution.deprecated: _convolution,
    aten.embedding.default: _embedding,
    aten._embedding_bag.default: _embedding,
    aten._embedding_bag_forward_only.default: _embedding,
    aten.bilinear.default: _bilinear,
    aten.scaled_dot_product_attention.default: _attention,
    aten.gru.input: _recurrent,
    aten.gru.data: _recurrent,
    aten.lstm.input: _recurrent,
    aten.lstm.data: _recurrent,
    aten.rnn_tanh.input: _recurrent,
    aten.rnn_tanh.data: _recurrent,
    aten.rnn_relu.input: _recurrent,
    aten.rnn_relu.data: _recurrent,
    aten.gru_cell.default: _cell,
    aten.lstm_cell.default: _cell,
    aten.rnn_tanh_cell.default: _cell,
    aten.rnn_relu_cell.default: _cell,
}
