"""Multi-step integrate-and-fire neurons with surrogate gradients, fast and as they are written.

Equations
    v[-1] = start * threshold
    h[t] = decay * v[t-1] + gain * x[t]
    s[t] = 1 if h[t] >= threshold else 0
    v[t] = h[t] - threshold * s[t]                                     (soft reset)

    Backward, ds/dh is replaced by a surrogate g(h - threshold), so that ds/dthreshold = -g:
    "atan" g(u) = a / 2 / (1 + (pi a u / 2)^2), a = 2 (Fang et al. 2021);
    "triangle" g(u) = max(0, 1 - |u|) (Bellec et al. 2018; Rathi & Roy 2020).
    With ``detach_reset`` the s[t] of the reset counts as a constant.

:func:`reference` reads like the equations and runs anywhere. :func:`multi_step` gives the same
forward values bit for bit and the same gradients; on a processor in one pass over memory each
way (Numba).

Range of validity: float32, threshold > 0, decay in [0, 1].

Reference
    W. Fang et al., ICCV 2021, arXiv:2007.05785; N. Rathi, K. Roy, DIET-SNN, arXiv:2008.03658.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numba import njit
from numpy.typing import NDArray
from torch import Tensor

from tospike.conversion.neurons import in_threads

Array = NDArray[np.float32]

ATAN, TRIANGLE = 0, 1


@dataclass(frozen=True)
class Surrogate:
    """gradient : g(u). smooth : its integral, from 0 to 1: the step function made smooth."""

    code: int
    gradient: Callable[[Tensor], Tensor]
    smooth: Callable[[Tensor], Tensor]


def _triangle_integral(u: Tensor) -> Tensor:
    inside = u.clamp(-1.0, 1.0)
    return 0.5 + inside - 0.5 * inside * inside.abs()


SURROGATES = {
    "atan": Surrogate(
        ATAN,
        lambda u: 1.0 / (1.0 + (math.pi * u) ** 2),
        lambda u: torch.atan(math.pi * u) / math.pi + 0.5,
    ),
    "triangle": Surrogate(TRIANGLE, lambda u: (1.0 - u.abs()).clamp_min(0.0), _triangle_integral),
}


@dataclass(frozen=True)
class Dynamics:
    """What is not trained.

    start : V(0) as share of the threshold. surrogate : of :data:`SURROGATES`.
    detach_reset : the gradient does not run through the reset.
    """

    start: float = 0.0
    surrogate: str = "atan"
    detach_reset: bool = False


class _Spike(torch.autograd.Function):
    """Step function of u = h - threshold with the gradient of a surrogate."""

    @staticmethod
    def forward(ctx: Any, u: Tensor, name: str) -> Tensor:
        ctx.save_for_backward(u)
        ctx.name = name
        return (u >= 0).to(u.dtype)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (u,) = ctx.saved_tensors
        return gradients[0] * SURROGATES[ctx.name].gradient(u), None


#: torch's ``apply`` has no types
_spike: Callable[[Tensor, str], Tensor] = _Spike.apply


def reference(
    x: Tensor,
    threshold: Tensor,
    decay: Tensor,
    gain: float,
    dynamics: Dynamics,
    steps: int,
    constant: bool,
) -> Tensor:
    """Spikes (T, ...) for currents ``x`` (T, ...), or (...) if ``constant``; by the equations."""
    v = threshold * dynamics.start
    spikes = []
    for t in range(steps):
        h = decay * v + gain * (x if constant else x[t])
        # h >= threshold is compared as it stands: h - threshold >= 0 is the same in floats
        spike: Tensor = _spike(h - threshold, dynamics.surrogate)
        v = h - threshold * (spike.detach() if dynamics.detach_reset else spike)
        spikes.append(spike)
    return torch.stack(spikes)


def multi_step(
    x: Tensor,
    threshold: Tensor,
    decay: Tensor,
    gain: float,
    dynamics: Dynamics,
    steps: int,
    constant: bool,
) -> Tensor:
    """Spikes (T * N, ...) for currents ``x``: (T * N, ...), or (N, ...) if ``constant``.

    threshold, decay : scalars. The memory order of ``x`` (channels last) is kept.
    """
    if x.device.type == "cpu" and x.dtype == torch.float32:
        return _multi_step(x, threshold, decay, gain, dynamics, steps, constant)
    folded = x if constant else x.reshape(steps, -1, *x.shape[1:])
    spikes = reference(folded, threshold, decay, gain, dynamics, steps, constant)
    return spikes.reshape(-1, *x.shape[1:])


class _MultiStep(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        threshold: Tensor,
        decay: Tensor,
        gain: float,
        dynamics: Dynamics,
        steps: int,
        constant: bool,
    ) -> Tensor:
        layout = _Layout(x)
        current = layout.flat(x).reshape(1 if constant else steps, -1)
        n = current.shape[1]
        potentials = np.empty((steps, n), np.float32)
        spikes = np.empty((steps, n), np.float32)
        theta, leak = np.float32(threshold.item()), np.float32(decay.item())
        first = np.float32(threshold.item()) * np.float32(dynamics.start)
        _in_parts(
            n,
            lambda a, b: _forward(
                current, theta, leak, np.float32(gain), first, potentials, spikes, a, b
            ),
        )
        ctx.potentials, ctx.layout, ctx.dynamics, ctx.constant = (
            potentials, layout, dynamics, constant,
        )  # fmt: skip
        ctx.theta, ctx.leak, ctx.first, ctx.gain = theta, leak, first, gain
        ctx.kind = threshold.new_empty, decay.shape, threshold.shape
        return layout.tensor(spikes, x.shape[0] * (steps if constant else 1))

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Any, ...]:
        layout: _Layout = ctx.layout
        dynamics: Dynamics = ctx.dynamics
        steps, n = ctx.potentials.shape
        given = layout.flat(gradients[0]).reshape(steps, n)
        out = np.zeros((1 if ctx.constant else steps, n), np.float32)
        parts = -(-n // _BLOCK)
        sums = np.zeros((parts, 2))
        _in_parts(
            n,
            lambda a, b: _backward(
                given, ctx.potentials, ctx.theta, ctx.leak, np.float32(ctx.gain), ctx.first,
                np.float32(dynamics.start), SURROGATES[dynamics.surrogate].code,
                dynamics.detach_reset, out, sums, a, b,
            ),
        )  # fmt: skip
        make, decay_shape, threshold_shape = ctx.kind
        total = sums.sum(axis=0)  # in the same order for any number of threads
        n_samples = gradients[0].shape[0] // (steps if ctx.constant else 1)
        return (
            layout.tensor(out, n_samples),
            make(threshold_shape).fill_(float(total[0])),
            make(decay_shape).fill_(float(total[1])),
            None,
            None,
            None,
            None,
        )


_multi_step: Callable[..., Tensor] = _MultiStep.apply


class _Layout:
    """Memory order of a batch: channels innermost if it is so, else as the shape says."""

    def __init__(self, x: Tensor) -> None:
        self.shape = tuple(x.shape[1:])
        self.last = x.dim() == 4 and x.is_contiguous(memory_format=torch.channels_last)

    def flat(self, x: Tensor) -> Array:
        """All values in memory order."""
        ordered = x.detach().permute(0, 2, 3, 1) if self.last else x.detach()
        flat: Array = ordered.contiguous().reshape(-1).numpy()
        return flat

    def tensor(self, values: Array, samples: int) -> Tensor:
        """The inverse, for so many samples."""
        found = torch.from_numpy(values.reshape(-1))
        if not self.last:
            return found.reshape(samples, *self.shape)
        channels, height, width = self.shape
        return found.reshape(samples, height, width, channels).permute(0, 3, 1, 2)


#: neurons that are updated together: their potentials stay in the cache over all steps
_BLOCK = 4096


def _in_parts(n: int, work: Callable[[int, int], None]) -> None:
    """``work`` on ranges of blocks, one per thread that torch may use."""
    in_threads(-(-n // _BLOCK), work)


@njit(cache=True, nogil=True)
def _forward(
    current: Array,
    theta: np.float32,
    decay: np.float32,
    gain: np.float32,
    start: np.float32,
    potentials: Array,
    spikes: Array,
    first: int,
    last: int,
) -> None:
    """Blocks ``first`` to ``last``. current (T or 1, n); potentials h, spikes (T, n)."""
    steps, n = spikes.shape
    moving = current.shape[0] > 1
    v = np.empty(_BLOCK, np.float32)
    one, none = np.float32(1.0), np.float32(0.0)
    for block in range(first, last):
        a = block * _BLOCK
        b = min(n, a + _BLOCK)
        for j in range(b - a):
            v[j] = start
        for t in range(steps):
            row = current[t if moving else 0]
            h_row, s_row = potentials[t], spikes[t]
            for j in range(a, b):
                h = decay * v[j - a] + gain * row[j]
                s = one if h >= theta else none
                h_row[j] = h
                s_row[j] = s
                v[j - a] = h - theta * s


@njit(cache=True, nogil=True)
def _backward(
    given: Array,
    potentials: Array,
    theta: np.float32,
    decay: np.float32,
    gain: np.float32,
    start: np.float32,
    share: np.float32,
    surrogate: int,
    detach: bool,
    out: Array,
    sums: NDArray[np.float64],
    first: int,
    last: int,
) -> None:
    """Gradients of the currents (T or 1, n), and per block of threshold and decay (parts, 2).

    ``out`` holds zeros; with one row the gradients of all steps are added up in it.
    """
    steps, n = potentials.shape
    moving = out.shape[0] > 1
    state = np.empty(_BLOCK, np.float32)
    begin = np.full(_BLOCK, start, np.float32)
    through = np.float32(0.0) if detach else theta
    for block in range(first, last):
        a = block * _BLOCK
        b = min(n, a + _BLOCK)
        g_v = state[: b - a]
        g_v[:] = 0.0
        of_theta, of_decay = np.float64(0.0), np.float64(0.0)
        for back in range(steps):
            t = steps - 1 - back
            before = potentials[t - 1, a:b] if t > 0 else begin[: b - a]
            limit = theta if t > 0 else np.float32(np.inf)  # nothing was sent before step 0
            target = out[t if moving else 0, a:b]
            if surrogate == ATAN:
                one, other = _backward_atan(
                    given[t, a:b], potentials[t, a:b], before, limit, theta, through, decay, gain,
                    g_v, target,
                )  # fmt: skip
            else:
                one, other = _backward_triangle(
                    given[t, a:b], potentials[t, a:b], before, limit, theta, through, decay, gain,
                    g_v, target,
                )  # fmt: skip
            of_theta += one
            of_decay += other
        of_start = 0.0
        for j in range(b - a):
            of_start += g_v[j]
        sums[block, 0] = of_theta + share * of_start
        sums[block, 1] = of_decay


# Sums may be reassociated, so that the loops become vector instructions; the order is still the
# same in every run.
@njit(cache=True, nogil=True, fastmath={"reassoc", "contract"})
def _backward_atan(
    given: Array,
    h: Array,
    before: Array,
    limit: np.float32,
    theta: np.float32,
    through: np.float32,
    decay: np.float32,
    gain: np.float32,
    g_v: Array,
    out: Array,
) -> tuple[np.float32, np.float32]:
    """One step of a block; changes ``g_v`` and ``out``."""
    one, none, pi = np.float32(1.0), np.float32(0.0), np.float32(math.pi)
    of_theta, of_decay = none, none
    for j in range(len(h)):
        u = h[j] - theta
        z = pi * u
        g_u = (given[j] - through * g_v[j]) / (one + z * z)
        of_theta -= g_u + (g_v[j] if u >= none else none)
        g_h = g_v[j] + g_u
        of_decay += g_h * (before[j] - (theta if before[j] >= limit else none))
        g_v[j] = decay * g_h
        out[j] += gain * g_h
    return of_theta, of_decay


@njit(cache=True, nogil=True, fastmath={"reassoc", "contract"})
def _backward_triangle(
    given: Array,
    h: Array,
    before: Array,
    limit: np.float32,
    theta: np.float32,
    through: np.float32,
    decay: np.float32,
    gain: np.float32,
    g_v: Array,
    out: Array,
) -> tuple[np.float32, np.float32]:
    """One step of a block; changes ``g_v`` and ``out``."""
    one, none = np.float32(1.0), np.float32(0.0)
    of_theta, of_decay = none, none
    for j in range(len(h)):
        u = h[j] - theta
        slope = one - abs(u)
        g_u = (given[j] - through * g_v[j]) * (slope if slope > none else none)
        of_theta -= g_u + (g_v[j] if u >= none else none)
        g_h = g_v[j] + g_u
        of_decay += g_h * (before[j] - (theta if before[j] >= limit else none))
        g_v[j] = decay * g_h
        out[j] += gain * g_h
    return of_theta, of_decay
