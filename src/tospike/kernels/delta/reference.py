"""Delta recurrent layers, one step at a time, as the papers write them. Slow, for comparison.

Equations
    delta of an input (Neil 2017, eqs. 3 and 4; Gao 2018, eqs. 1 and 2), element by element:
        d = x - x_ref;  if |d| > theta: send d and set x_ref = x;  else: send 0 and keep x_ref
    pre-activation memories (Neil 2017, eqs. 10 to 13):
        m_r  += W_xr dx + W_hr dh       m_z += W_xz dx + W_hz dh
        m_nx += W_xn dx                 m_nh += W_hn dh
    state: as in the dense layer, from the memories instead of the products.

Legend
    x (I,), h, c (H,); x_ref, h_ref the values last *sent*, not the last values
    w_x (G H, I), w_h (G H, H), b_x, b_h (G H,): parameters in the gate order of PyTorch
    (GRU: r, z, n; LSTM: i, f, g, o; RNN and linear: one gate)

Range of validity
    theta >= 0. At theta = 0 every change is sent and the result is that of the dense layer, up to
    the rounding of sums that are built up over time instead of at once.

Reference
    D. Neil et al., ICML 2017, arXiv:1612.05571; C. Gao et al., FPGA 2018,
    doi:10.1145/3174243.3174261.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tospike.kernels.delta.record import DeltaLayer

Floats = NDArray[np.floating]


@dataclass(frozen=True)
class State:
    """State of one layer: references, memories (4 or G rows of H), outputs. Replaced every step.

    ``sent_x``, ``sent_h``: elements sent in the step that led here.
    """

    x_ref: Floats
    h_ref: Floats
    memory: Floats
    h: Floats
    c: Floats
    sent_x: int = 0
    sent_h: int = 0


def initial(layer: DeltaLayer, dtype: type = np.float64) -> State:
    """References and states are zero, memories hold the biases."""
    size = layer.hidden
    b_x: Floats = layer.b_x.reshape(layer.gates, size).astype(dtype)
    b_h: Floats = layer.b_h.reshape(layer.gates, size).astype(dtype)
    if layer.kind == "gru":
        # The candidate keeps its two products apart: the reset gate multiplies only one.
        memory = np.stack([b_x[0] + b_h[0], b_x[1] + b_h[1], b_x[2], b_h[2]])
    else:
        memory = b_x + b_h
    zero: Floats = np.zeros(size, dtype)
    return State(np.zeros(layer.inputs, dtype), zero, memory, zero, zero)


def changes(value: Floats, reference: Floats, theta: float) -> tuple[Floats, Floats]:
    """(sent deltas, new references)."""
    difference = value - reference
    sent = np.abs(difference) > theta
    return np.where(sent, difference, 0), np.where(sent, value, reference)


def step(layer: DeltaLayer, state: State, x: Floats) -> State:
    """One time step; the output is ``state.h`` of the result."""
    dtype = state.memory.dtype
    size, gates = layer.hidden, layer.gates
    d_x, x_ref = changes(x.astype(dtype), state.x_ref, layer.theta_x)
    memory = state.memory.copy()
    from_x = (layer.w_x.astype(dtype) @ d_x).reshape(gates, size)
    memory[: len(from_x)] += from_x
    d_h, h_ref = np.zeros(size, dtype), state.h_ref
    if layer.w_h is not None:
        d_h, h_ref = changes(state.h, state.h_ref, layer.theta_h)
        from_h = (layer.w_h.astype(dtype) @ d_h).reshape(gates, size)
        if layer.kind == "gru":
            memory[0] += from_h[0]
            memory[1] += from_h[1]
            memory[3] += from_h[2]
        else:
            memory += from_h
    h, c = _outputs(layer.kind, memory, state.h, state.c)
    sent = int(np.count_nonzero(d_x)), int(np.count_nonzero(d_h))
    return State(x_ref, h_ref, memory, h, c, *sent)


def _outputs(kind: str, memory: Floats, h: Floats, c: Floats) -> tuple[Floats, Floats]:
    if kind == "gru":
        r, z = _sigmoid(memory[0]), _sigmoid(memory[1])
        n = np.tanh(memory[2] + r * memory[3])
        return (1 - z) * n + z * h, c
    if kind == "lstm":
        i, f = _sigmoid(memory[0]), _sigmoid(memory[1])
        new = f * c + i * np.tanh(memory[2])
        return _sigmoid(memory[3]) * np.tanh(new), new
    if kind == "rnn_tanh":
        return np.tanh(memory[0]), c
    if kind == "rnn_relu":
        return np.maximum(memory[0], 0), c
    return memory[0].copy(), c


def _sigmoid(x: Floats) -> Floats:
    return 1 / (1 + np.exp(-x))
