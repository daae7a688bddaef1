"""Rounding to few bits, and its use in training (dual-copy rounding).

A :class:`Grid` is a finite set of evenly spaced values ``step * {lowest, ..., highest}``. Fixed
point Qm.n (m bits before the point, n behind it, and a sign) is the grid with step 2**-n; the
powers of two make the rounding of a float32 exact. A uniform quantiser is a grid with any step.

Dual-copy rounding keeps a full-precision copy of the weights, which receives the gradients, and
uses the rounded copy in the forward pass; the rounding counts as the identity in the backward
pass. It is the method of Liu & Delbruck 2019, section VI, by way of Milde et al. 2017
(ADaPTION, arXiv:1711.04713), who round activations in the same way and leave biases alone.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

#: a float32 holds integers exactly up to 2**24, so that codes of more bits would round twice
MAX_BITS = 24


@dataclass(frozen=True, slots=True)
class Grid:
    """The values ``step * k`` for the whole numbers ``lowest <= k <= highest``."""

    step: float
    lowest: int
    highest: int

    def __post_init__(self) -> None:
        reasons = []
        if not (math.isfinite(self.step) and self.step > 0):
            reasons.append(f"step {self.step} is not a positive number")
        if not self.lowest <= 0 < self.highest:
            reasons.append(f"codes {self.lowest} to {self.highest} do not hold 0 and 1")
        if max(-self.lowest, self.highest) > 2**MAX_BITS:
            reasons.append(f"codes {self.lowest} to {self.highest} need over {MAX_BITS} bits")
        if reasons:
            raise ValueError("a grid cannot be made: " + "; ".join(reasons))

    def round(self, x: Tensor) -> Tensor:
        """The nearest value of the grid, halves to the even code; outside of it, its end."""
        return torch.clamp(torch.round(x / self.step), self.lowest, self.highest) * self.step


def fixed_point(integer_bits: int, fraction_bits: int, *, signed: bool = True) -> Grid:
    """Qm.n with m = ``integer_bits`` and n = ``fraction_bits``; the sign is one bit more.

    m or n may be negative, m + n is at least 1.
    """
    bits = integer_bits + fraction_bits
    if not 1 <= bits <= MAX_BITS:
        raise ValueError(
            f"Q{integer_bits}.{fraction_bits} has {bits} bits besides the sign; "
            f"1 to {MAX_BITS} are allowed"
        )
    return Grid(2.0**-fraction_bits, -(2**bits) if signed else 0, 2**bits - 1)


def fitted_fixed_point(bits: int, largest: float, *, signed: bool = True) -> Grid:
    """The finest Qm.n of ``bits`` bits, sign included, whose range holds ``largest``.

    "Holds" allows for rounding: ``largest`` lies at most half a step above the highest value.
    """
    value_bits = bits - 1 if signed else bits
    if not (math.isfinite(largest) and largest >= 0):
        raise ValueError(f"the largest value {largest} is not a number >= 0")
    # frexp: largest = f * 2**integer with 0.5 <= f < 1, so 2**integer is above it
    integer = math.frexp(largest)[1] if largest > 0 else 0
    # ... and one binary place less never is, so only rounding up to 2**integer is left to see
    grid = fixed_point(integer, value_bits - integer, signed=signed)
    if largest > (grid.highest + 0.5) * grid.step:
        grid = fixed_point(integer + 1, value_bits - integer - 1, signed=signed)
    return grid


def uniform(bits: int, largest: float, *, signed: bool = True) -> Grid:
    """Uniform quantiser of ``bits`` bits whose highest value is ``largest``.

    Signed: symmetric, codes -(2**(bits-1) - 1) to 2**(bits-1) - 1. Unsigned: 0 to 2**bits - 1.
    """
    if not (math.isfinite(largest) and largest > 0):
        raise ValueError(f"the largest value {largest} is not a positive number")
    highest = 2 ** (bits - 1) - 1 if signed else 2**bits - 1
    return Grid(largest / highest, -highest if signed else 0, highest)


def power_of_two_ternary(weights: Tensor) -> Grid:
    """The values -s, 0, s, with s the power of two that leaves the smallest squared error.

    This is fixed point with a single bit besides the sign (Q1.1 and its shifted kin), without the
    value -2 s that two's complement would add.
    """
    w = weights.detach()
    root_mean_square = float(w.square().mean().sqrt())
    if not (math.isfinite(root_mean_square) and root_mean_square > 0):
        raise ValueError(f"weights with the root mean square {root_mean_square} have no scale")
    centre = round(math.log2(root_mean_square))
    grids = [Grid(2.0**k, -1, 1) for k in range(centre - 2, centre + 4)]
    return min(grids, key=lambda grid: float((grid.round(w) - w).square().sum()))


class _Rounded(torch.autograd.Function):
    """Rounds forward, identity backward."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, grid: Grid) -> Tensor:
        return grid.round(x)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return gradient, None


def rounded_copy(x: Tensor, grid: Grid) -> Tensor:
    """``grid.round(x)`` whose gradient goes to ``x`` unchanged: dual-copy rounding."""
    return _Rounded.apply(x, grid)
