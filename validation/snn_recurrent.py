"""A recurrent spiking layer with adaptive neurons (LSNN) and a leaky read-out, to be trained.

Equations, per time step (H neurons, I inputs, C outputs)
    b[t] = rho b[t-1] + (1 - rho) z[t-1] ;   B[t] = 1 + scale b[t]
    h[t] = beta v[t-1] + W_in x[t] + bias + W_rec z[t-1]
    z[t] = 1 if h[t] >= B[t] else 0 ;   v[t] = h[t] - B[t] z[t]
    y[t] = kappa y[t-1] + (1 - kappa) (W_out z[t] + c)

    These are the neurons ``alif`` and, with scale 0, ``lif`` of tospike.network.neuron, soft reset
    without delay. Backward, dz/dh is max(0, 1 - |h - B|). beta and rho (of each neuron) and kappa
    (of each output) are trained through a sigmoid.

:func:`reference` reads like the equations; :func:`run` gives the same in two loops of one matrix
product and one pass over memory per step.

Source: G. Bellec et al., NeurIPS 2018, arXiv:1803.09574 (adaptive threshold, surrogate gradient);
trained time constants per neuron: B. Yin et al., arXiv:2103.12593. Both quoted from memory.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numba import njit
from numpy.typing import NDArray
from torch import Tensor, nn

from tospike.conversion.training.lif import SURROGATES

Array = NDArray[np.float32]

#: what a fully adapted neuron adds to its threshold (Bellec 2018: 1.7 to 1.8)
SCALE = 1.8
NEURONS = ("alif", "lif")


def reference(
    current: Tensor, recurrent: Tensor, beta: Tensor, rho: Tensor, scale: float
) -> Tensor:
    """Spikes (T, N, H) for currents (T, N, H); ``recurrent`` (H, H) as in torch, rows are targets.

    beta, rho : (H,).
    """
    v, z, b = (torch.zeros_like(current[0]) for _ in range(3))
    found = []
    for x in current:
        b = rho * b + (1 - rho) * z
        threshold = 1 + scale * b
        h = beta * v + x + z @ recurrent.T
        smooth = SURROGATES["triangle"].smooth(h - threshold)
        z = (h >= threshold).float() + (smooth - smooth.detach())
        v = h - threshold * z
        found.append(z)
    return torch.stack(found)


@njit(cache=True)
def _forward(
    h: Array, z: Array, v: Array, b: Array, before: Array, beta: Array, rho: Array, scale: float
) -> None:
    """One step; all (N, H). ``h`` holds the input; it, ``z``, ``v`` and ``b`` are written; ``v``
    and ``b`` come in with what was before, and ``before`` holds the spikes before."""
    one = np.float32(1.0)
    factor = np.float32(scale)
    for n in range(h.shape[0]):
        for i in range(h.shape[1]):
            b[n, i] = rho[i] * b[n, i] + (one - rho[i]) * before[n, i]
            threshold = one + factor * b[n, i]
            h[n, i] += beta[i] * v[n, i]
            fired = one if h[n, i] >= threshold else np.float32(0.0)
            z[n, i] = fired
            v[n, i] = h[n, i] - threshold * fired


@njit(cache=True)
def _backward(
    g_z: Array,
    h: Array,
    z: Array,
    b: Array,
    v_before: Array,
    b_before: Array,
    z_before: Array,
    beta: Array,
    rho: Array,
    scale: float,
    g_v: Array,
    g_b: Array,
    g_h: Array,
    of_beta: NDArray[np.float64],
    of_rho: NDArray[np.float64],
) -> None:
    """One step back; all (N, H). ``g_z`` is the gradient of the spikes without the reset;
    ``g_v`` and ``g_b`` go in from the step behind and come out for the one before, ``g_b`` for
    b[t]; ``g_h`` is written."""
    one, none = np.float32(1.0), np.float32(0.0)
    factor = np.float32(scale)
    for n in range(h.shape[0]):
        for i in range(h.shape[1]):
            threshold = one + factor * b[n, i]
            slope = one - abs(h[n, i] - threshold)
            g_u = none
            if slope > none:
                g_u = slope * (g_z[n, i] - threshold * g_v[n, i])
            into = g_v[n, i] + g_u
            g_b[n, i] = rho[i] * g_b[n, i] - factor * (g_u + z[n, i] * g_v[n, i])
            of_beta[i] += into * v_before[n, i]
            of_rho[i] += g_b[n, i] * (b_before[n, i] - z_before[n, i])
            g_h[n, i] = into
            g_v[n, i] = beta[i] * into


class _Run(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, current: Tensor, recurrent: Tensor, beta: Tensor, rho: Tensor, scale: float
    ) -> Tensor:
        # torch multiplies with the threads that it was given, NumPy with as many as it likes
        currents = current.detach().contiguous().clone()
        h, weights = currents.numpy(), recurrent.detach().T.contiguous()
        decay, slow = beta.detach().numpy(), rho.detach().numpy()
        # [t + 1] holds what is after step t
        shape = (h.shape[0] + 1, *h.shape[1:])
        z, v, b = (np.zeros(shape, np.float32) for _ in range(3))
        for t in range(len(h)):
            currents[t].addmm_(torch.from_numpy(z[t]), weights)
            v[t + 1], b[t + 1] = v[t], b[t]
            _forward(h[t], z[t + 1], v[t + 1], b[t + 1], z[t], decay, slow, scale)
        ctx.kept = h, z, v, b, recurrent.detach().contiguous(), decay, slow, scale
        return torch.from_numpy(z[1:])

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        h, z, v, b, recurrent, beta, rho, scale = ctx.kept
        given = np.ascontiguousarray(gradients[0].numpy())
        g_h = np.zeros_like(h)
        g_v, g_b = np.zeros_like(h[0]), np.zeros_like(h[0])
        of_beta, of_rho = np.zeros(len(beta)), np.zeros(len(rho))
        g_z = given[-1]
        for t in range(len(h) - 1, -1, -1):
            _backward(
                g_z, h[t], z[t + 1], b[t + 1], v[t], b[t], z[t], beta, rho, scale, g_v, g_b,
                g_h[t], of_beta, of_rho,
            )  # fmt: skip
            if t:
                back = torch.from_numpy(g_h[t]) @ recurrent
                g_z = given[t - 1] + back.numpy() + (1 - rho) * g_b
        flat = torch.from_numpy(g_h.reshape(-1, h.shape[2]))
        of_recurrent = flat.T @ torch.from_numpy(z[:-1].reshape(-1, h.shape[2]))
        return (
            torch.from_numpy(g_h),
            of_recurrent,
            torch.from_numpy(of_beta.astype(np.float32)),
            torch.from_numpy(of_rho.astype(np.float32)),
            None,
        )


#: as :func:`reference`
run: Callable[[Tensor, Tensor, Tensor, Tensor, float], Tensor] = _Run.apply


def leaky(values: Tensor, kappa: Tensor) -> Tensor:
    """Leaky integrator over (T, N, C) with decays (C,), all steps at once."""
    at = torch.arange(len(values))
    gap = (at[:, None] - at).clamp_min(0)
    share = kappa ** gap[..., None] * (at[:, None] >= at)[..., None]
    return torch.einsum("tsc,snc->tnc", share * (1 - kappa), values)


def _logit(low: float, high: float, n: int) -> Tensor:
    """Inverse sigmoid of the decays of time constants from ``low`` to ``high`` steps."""
    taus = low * torch.exp(torch.rand(n) * math.log(high / low))
    return torch.logit(torch.exp(-1 / taus))


class RecurrentSNN(nn.Module):
    """(N, T, I) -> (N, T, C); in training one more output per step, the mean spikes per neuron."""

    def __init__(
        self, neuron: str, inputs: int, hidden: int, classes: int, dropout: float = 0.0
    ) -> None:
        super().__init__()
        if neuron not in NEURONS:
            raise ValueError(f"neuron {neuron!r} is not one of {', '.join(NEURONS)}")
        self.neuron = neuron
        self.input = nn.Linear(inputs, hidden)
        self.recurrent = nn.Parameter(torch.randn(hidden, hidden) * 0.5 / hidden**0.5)
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Linear(hidden, classes)
        self.leak = nn.Parameter(_logit(2.0, 40.0, hidden))
        self.adaptation = nn.Parameter(_logit(10.0, 200.0, hidden))
        self.reading = nn.Parameter(_logit(5.0, 20.0, classes))

    @property
    def scale(self) -> float:
        """What b = 1 adds to the threshold."""
        return SCALE if self.neuron == "alif" else 0.0

    def spikes(self, x: Tensor) -> Tensor:
        """Spikes (T, N, H)."""
        beta, rho = torch.sigmoid(self.leak), torch.sigmoid(self.adaptation)
        return run(self.input(x.transpose(0, 1)), self.recurrent, beta, rho, self.scale)

    def read(self, z: Tensor) -> Tensor:
        """Outputs (N, T, C) of spikes (T, N, H)."""
        values = self.output(self.dropout(z))
        return leaky(values, torch.sigmoid(self.reading)).transpose(0, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Outputs of every step."""
        z = self.spikes(x)
        y = self.read(z)
        if not self.training:
            return y
        return torch.cat([y, z.mean(dim=2, keepdim=True).transpose(0, 1)], dim=2)


def hidden_for(weights: int, inputs: int) -> int:
    """Neurons whose input and recurrent weights, H (I + H), come nearest to so many."""
    return max(1, round((-inputs + math.sqrt(inputs**2 + 4 * weights)) / 2))
