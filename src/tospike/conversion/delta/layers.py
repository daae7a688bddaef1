"""``DeltaGRU``, ``DeltaLSTM``, ``DeltaRNN``, ``DeltaLinear``: drop-in layers that send changes.

Equations
    d = x - x_ref where |x - x_ref| > theta (then x_ref = x), else 0; the same for hidden states;
    the pre-activations are W x_ref + b, the cells those of torch.

Range of validity
    theta >= 0. At 0 the output is that of ``torch.nn.GRU``, ``LSTM`` or ``RNN`` with the same
    parameters, to float rounding. Bidirectional layers are refused: the backward direction would
    need the future. Every forward call starts from references of zero; for a stream that goes on
    over several calls use ``ts.compile``.

Reference
    D. Neil et al., ICML 2017, arXiv:1612.05571, eqs. 3, 4, 10 to 13; C. Gao et al., FPGA 2018,
    doi:10.1145/3174243.3174261.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tospike.conversion.delta.changes import Sent, checked_theta, reference_step, references
from tospike.conversion.delta.quantisation import FLOAT, Quantisation
from tospike.conversion.delta.recording import note
from tospike.errors import ConversionError, DataError, OptionError
from tospike.kernels.delta.record import Kind


@dataclass(frozen=True)
class LayerTrace:
    """What one layer sent in a forward pass."""

    x: Sent
    h: Sent | None


@dataclass(frozen=True)
class Trace:
    """Outputs, final states and what every layer sent.

    ``penalty``: mean |delta| of all units, each weighted with the columns it reads (an L1 loss).
    """

    output: Tensor
    state: Tensor | tuple[Tensor, Tensor]
    layers: tuple[LayerTrace, ...]

    @property
    def penalty(self) -> Tensor:
        """Mean |sent delta| over all delta units."""
        parts = [
            sent.l1 for layer in self.layers for sent in (layer.x, layer.h) if sent is not None
        ]
        return torch.stack(parts).mean()


class _DeltaRecurrent(nn.Module):
    """What the three recurrent layers share. Parameters have the names that torch gives them."""

    gates = 1
    kind: Kind

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        *,
        theta_x: float | tuple[float, ...] = 0.0,
        theta_h: float | tuple[float, ...] = 0.0,
        learnable: bool = False,
        quantisation: Quantisation = FLOAT,
    ) -> None:
        super().__init__()
        if bidirectional:
            raise ConversionError(
                f"make a bidirectional {type(self).__name__}",
                allowed="one direction",
                fix="a stream has no future: retrain the network with one direction",
            )
        sizes = (("input_size", input_size), ("hidden_size", hidden_size), ("layers", num_layers))
        reasons = [f"{name} is {size}; it must be at least 1" for name, size in sizes if size < 1]
        if reasons:
            raise OptionError(f"make a {type(self).__name__}", reasons=reasons)
        self.input_size, self.hidden_size, self.num_layers = input_size, hidden_size, num_layers
        self.bias, self.batch_first, self.dropout = bias, batch_first, dropout
        self.learnable, self.quantisation = learnable, quantisation
        self.dense_gradient = False  # see reference_step; the training sets it
        rows = self.gates * hidden_size
        for level in range(num_layers):
            columns = input_size if level == 0 else hidden_size
            shapes: list[tuple[str, tuple[int, ...]]] = [
                (f"weight_ih_l{level}", (rows, columns)),
                (f"weight_hh_l{level}", (rows, hidden_size)),
            ]
            if bias:
                shapes += [(f"bias_ih_l{level}", (rows,)), (f"bias_hh_l{level}", (rows,))]
            for name, shape in shapes:
                self.register_parameter(name, nn.Parameter(torch.empty(shape)))
        for name, theta in (("theta_x", theta_x), ("theta_h", theta_h)):
            values = torch.tensor(_per_layer(theta, num_layers, name))
            self.register_parameter(name, nn.Parameter(values, requires_grad=learnable))
        bound = hidden_size**-0.5
        for name, parameter in self.named_parameters():
            if not name.startswith("theta"):
                nn.init.uniform_(parameter, -bound, bound)

    def extra_repr(self) -> str:
        theta_x, theta_h = (
            ", ".join(f"{float(value):g}" for value in theta)
            for theta in (
                self.get_parameter("theta_x").detach(),
                self.get_parameter("theta_h").detach(),
            )
        )
        size = f"{self.input_size}, {self.hidden_size}, num_layers={self.num_layers}"
        return f"{size}, theta_x=({theta_x}), theta_h=({theta_h})"

    def forward(self, x: Tensor, state: Tensor | tuple[Tensor, Tensor] | None = None):  # type: ignore[no-untyped-def]
        """As the layer of torch: (T, B, I), (B, T, I) or (T, I) -> (outputs, final state)."""
        trace = self.trace(x, state)
        note(self, trace)
        return trace.output, trace.state

    def trace(self, x: Tensor, state: Tensor | tuple[Tensor, Tensor] | None = None) -> Trace:
        """The forward pass with what every layer sent."""
        if x.ndim not in (2, 3) or x.shape[-1] != self.input_size or 0 in x.shape:
            raise DataError(
                f"run {type(self).__name__}",
                received=f"an input of shape {tuple(x.shape)}",
                allowed=f"(T, {self.input_size}), (T, B, {self.input_size})"
                + (f" or (B, T, {self.input_size})" if self.batch_first else ""),
            )
        batched = x.ndim == 3
        values = x if batched else x[:, None]
        if batched and self.batch_first:
            values = values.transpose(0, 1)
        h0, c0 = self._initial(state, values.shape[1], batched, values)
        last, cells, traces = [], [], []
        for level in range(self.num_layers):
            values, cell, traced = self._layer(level, values, h0[level], c0[level])
            last.append(values[-1])
            cells.append(cell)
            traces.append(traced)
            if self.dropout and self.training and level + 1 < self.num_layers:
                values = F.dropout(values, self.dropout)
        h_n, c_n = torch.stack(last), torch.stack(cells)
        if not batched:
            values, h_n, c_n = values[:, 0], h_n[:, 0], c_n[:, 0]
        elif self.batch_first:
            values = values.transpose(0, 1)
        final = (h_n, c_n) if self.kind == "lstm" else h_n
        return Trace(values, final, tuple(traces))

    def _initial(
        self,
        state: Tensor | tuple[Tensor, Tensor] | None,
        streams: int,
        batched: bool,
        like: Tensor,
    ) -> tuple[Tensor, Tensor]:
        zero = like.new_zeros(self.num_layers, streams, self.hidden_size)
        if state is None:
            return zero, zero
        h, c = state if isinstance(state, tuple) else (state, zero)
        if not batched and h.ndim == 2:
            h, c = h[:, None], c[:, None] if c.ndim == 2 else c
        if h.shape != zero.shape or c.shape != zero.shape:
            raise DataError(
                f"start {type(self).__name__}",
                received=f"a state of shape {tuple(h.shape)}",
                allowed=f"{tuple(zero.shape)}",
            )
        return h, c

    def _layer(
        self, level: int, x: Tensor, h: Tensor, c: Tensor
    ) -> tuple[Tensor, Tensor, LayerTrace]:
        """All steps of one layer: (T, B, I) -> (T, B, H)."""
        q = self.quantisation
        w_x = q.weight(self.get_parameter(f"weight_ih_l{level}"))
        w_h = q.weight(self.get_parameter(f"weight_hh_l{level}"))
        b_x = self.get_parameter(f"bias_ih_l{level}") if self.bias else None
        b_h = self.get_parameter(f"bias_hh_l{level}") if self.bias else None
        theta_x, theta_h = (
            self.get_parameter(name)[level].abs() for name in ("theta_x", "theta_h")
        )
        kept, sent_x = references(q.activation(x), theta_x, self.learnable, self.dense_gradient)
        from_x = F.linear(kept, w_x, b_x)
        reference = torch.zeros_like(h)
        count, l1 = 0, h.new_zeros(())
        outputs = []
        for now in from_x:
            reference, sent, size = reference_step(
                h, reference, theta_h, self.learnable, self.dense_gradient
            )
            count += int(torch.count_nonzero(sent))
            l1 = l1 + size.sum()
            h, c = self._cell(now, F.linear(reference, w_h, b_h), h, c)
            h = q.activation(h)
            outputs.append(h)
        total = h.numel() * len(outputs)
        traced = LayerTrace(sent_x, Sent(count, total, l1 / total))
        return torch.stack(outputs), c, traced

    def _cell(self, x: Tensor, h_part: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        """New (h, c) from the products of inputs and of states, each (B, G H)."""
        raise NotImplementedError


class DeltaGRU(_DeltaRecurrent):
    """``torch.nn.GRU`` that sends changes only."""

    gates = 3
    kind: Kind = "gru"

    def _cell(self, x: Tensor, h_part: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        look = self.quantisation.lookup
        x_r, x_z, x_n = x.chunk(3, dim=-1)
        h_r, h_z, h_n = h_part.chunk(3, dim=-1)
        r, z = look(torch.sigmoid(x_r + h_r)), look(torch.sigmoid(x_z + h_z))
        n = look(torch.tanh(x_n + r * h_n))
        return (1 - z) * n + z * h, c


class DeltaLSTM(_DeltaRecurrent):
    """``torch.nn.LSTM`` that sends changes only."""

    gates = 4
    kind: Kind = "lstm"

    def _cell(self, x: Tensor, h_part: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        look = self.quantisation.lookup
        i, f, g, o = (x + h_part).chunk(4, dim=-1)
        i, f, o = (look(torch.sigmoid(gate)) for gate in (i, f, o))
        c = f * c + i * look(torch.tanh(g))
        return o * look(torch.tanh(c)), c


class DeltaRNN(_DeltaRecurrent):
    """``torch.nn.RNN`` with tanh that sends changes only."""

    kind: Kind = "rnn_tanh"

    def _cell(self, x: Tensor, h_part: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        return self.quantisation.lookup(torch.tanh(x + h_part)), c


class DeltaReLURNN(_DeltaRecurrent):
    """``torch.nn.RNN(nonlinearity="relu")`` that sends changes only."""

    kind: Kind = "rnn_relu"

    def _cell(self, x: Tensor, h_part: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        return torch.relu(x + h_part), c


class DeltaLinear(nn.Linear):
    """``torch.nn.Linear`` over a sequence that sends changes only: (T, ..., I) -> (T, ..., O).

    Time is the first axis, or the second with ``batch_first``.
    """

    kind = "linear"

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        *,
        theta_x: float = 0.0,
        learnable: bool = False,
        batch_first: bool = False,
        quantisation: Quantisation = FLOAT,
    ) -> None:
        super().__init__(in_features, out_features, bias)
        self.learnable, self.batch_first, self.quantisation = learnable, batch_first, quantisation
        self.dense_gradient = False
        value = torch.tensor([checked_theta(theta_x, "theta_x")])
        self.theta_x = nn.Parameter(value, requires_grad=learnable)

    def forward(self, input: Tensor) -> Tensor:
        """The outputs of every step."""
        trace = self.trace(input)
        note(self, trace)
        return trace.output

    def trace(self, input: Tensor) -> Trace:
        """The forward pass with what was sent."""
        q = self.quantisation
        values = input.transpose(0, 1) if self.batch_first and input.ndim > 2 else input
        kept, sent = references(
            q.activation(values), self.theta_x[0].abs(), self.learnable, self.dense_gradient
        )
        output = F.linear(kept, q.weight(self.weight), self.bias)
        if self.batch_first and input.ndim > 2:
            output = output.transpose(0, 1)
        return Trace(output, output[:0], (LayerTrace(sent, None),))


def _per_layer(theta: float | tuple[float, ...], layers: int, name: str) -> list[float]:
    values = [theta] * layers if isinstance(theta, int | float) else list(theta)
    if len(values) != layers:
        raise OptionError(
            f"use the delta thresholds {name}",
            received=f"{len(values)} values",
            allowed=f"one number, or {layers}, one per layer",
        )
    return [checked_theta(value, name) for value in values]
