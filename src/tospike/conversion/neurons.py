"""Integrate-and-fire neurons over T steps: Numba kernels and the bookkeeping around them.

    V += I(t);  s(t) = 1 if V >= theta else 0;  V -= theta s(t)   (soft reset), V(0) = initial

Spikes are exactly 0 or 1. Potentials are float64. Every operation is elementwise in time order,
so that the first t steps do not depend on T, and a sample does not depend on its neighbours.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from numba import njit
from numpy.typing import NDArray
from torch import Tensor

Floats = NDArray[np.float64]
Any32 = NDArray[np.floating]


@njit(cache=True, nogil=True)
def fire_on_sequence(
    current: Any32,
    gain: Floats,
    offset: Floats,
    initial: Floats,
    theta: Floats,
    spikes: NDArray[np.float32],
    counts: Floats,
    first: int,
    last: int,
) -> None:
    """IF neurons driven by ``current * gain + offset``.

    current, spikes : (T, samples, n). gain, offset, initial, theta : (n,). counts : (T, samples),
    receives the number of spikes.
    Samples ``first`` to ``last`` only, so that threads can share the work.
    """
    steps, _, n = current.shape
    v = np.empty(n, np.float64)
    for s in range(first, last):
        for j in range(n):
            v[j] = initial[j]
        for t in range(steps):
            total = 0
            for j in range(n):
                potential = v[j] + (current[t, s, j] * gain[j] + offset[j])
                fired = potential >= theta[j]
                spikes[t, s, j] = 1.0 if fired else 0.0
                v[j] = potential - theta[j] if fired else potential
                total += fired
            counts[t, s] = total


@njit(cache=True, nogil=True)
def fire_on_constant(
    current: Floats,
    initial: Floats,
    theta: Floats,
    spikes: NDArray[np.float32],
    counts: Floats,
    first: int,
    last: int,
) -> None:
    """IF neurons driven by the same current at every step.

    current : (samples, n). spikes : (T, samples, n). initial, theta : (n,). counts : (T, samples).
    """
    steps, _, n = spikes.shape
    v = np.empty(n, np.float64)
    for s in range(first, last):
        for j in range(n):
            v[j] = initial[j]
        for t in range(steps):
            total = 0
            for j in range(n):
                potential = v[j] + current[s, j]
                fired = potential >= theta[j]
                spikes[t, s, j] = 1.0 if fired else 0.0
                v[j] = potential - theta[j] if fired else potential
                total += fired
            counts[t, s] = total


@njit(cache=True, nogil=True)
def accumulate(
    values: NDArray[np.float32], sums: NDArray[np.float32], first: int, last: int
) -> None:
    """Running sums over time: both (T, n), columns ``first`` to ``last``.

    Exact for spikes up to T = 2**24.
    """
    steps = values.shape[0]
    for j in range(first, last):
        sums[0, j] = values[0, j]
    for t in range(1, steps):
        for j in range(first, last):
            sums[t, j] = sums[t - 1, j] + values[t, j]


@njit(cache=True, nogil=True)
def difference(values: NDArray[np.float32], first: int, last: int) -> None:
    """Differences over time in place: (T, n), the inverse of :func:`accumulate`."""
    steps = values.shape[0]
    for back in range(1, steps):
        t = steps - back
        for j in range(first, last):
            values[t, j] -= values[t - 1, j]


def in_threads(n: int, work: Callable[[int, int], None]) -> None:
    """``work(first, last)`` on parts of range(n), one per thread that torch may use.

    The kernels release Python's global lock; every part writes its own elements, so the result
    does not depend on the number of threads.
    """
    parts = min(torch.get_num_threads(), n)
    if parts <= 1:
        work(0, n)
        return
    edges = [n * i // parts for i in range(parts + 1)]
    with ThreadPoolExecutor(parts) as pool:
        list(pool.map(work, edges[:-1], edges[1:]))


def channels_last(x: Tensor) -> Tensor:
    """``x`` with its channels innermost in memory (rank 4 and 5), which convolutions like."""
    if x.dim() == 4:
        return x.contiguous(memory_format=torch.channels_last)
    if x.dim() == 5:
        return x.contiguous(memory_format=torch.channels_last_3d)
    return x.contiguous()


def in_memory_order(x: Tensor) -> Tensor:
    """``x`` (N, C, spatial...) as a contiguous (N, spatial..., C); other ranks as they are."""
    return x.movedim(1, -1).contiguous() if x.dim() in (4, 5) else x.contiguous()


def from_memory_order(x: Tensor) -> Tensor:
    """The inverse of :func:`in_memory_order`."""
    return x.movedim(-1, 1) if x.dim() in (4, 5) else x


def per_neuron(value: Tensor, shape: tuple[int, ...]) -> Floats:
    """``value`` (broadcastable to one sample's ``shape``) per neuron, in memory order."""
    full = value.double().expand(1, *shape)
    flat: Floats = in_memory_order(full).reshape(-1).numpy()
    return np.ascontiguousarray(flat)
