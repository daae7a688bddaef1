"""Quantisation-aware training of delta layers, in the formats of EdgeDRNN by default.

Reference
    C. Gao et al., EdgeDRNN, IEEE JETCAS 10(4), 2020, doi:10.1109/JETCAS.2020.3040300: activations
    Q8.8, 8-bit weights, look-up tables for the activation functions.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from tospike.errors import OptionError


@dataclass(frozen=True)
class Quantisation:
    """Widths of fixed-point numbers; None leaves a quantity in float32.

    Attributes
    ----------
    integer_bits, fraction_bits : activations, sign included in the integer bits (Q8.8).
    weight_bits : symmetric weights with one scale per row.
    lookup_fraction_bits : the activation functions give multiples of 2^-n, as a table does.
    """

    integer_bits: int = 8
    fraction_bits: int | None = 8
    weight_bits: int | None = 8
    lookup_fraction_bits: int | None = None

    def __post_init__(self) -> None:
        reasons = [
            f"{name} is {bits}; it must be from {low} to {high}, or None"
            for name, bits, low, high in (
                ("integer_bits", self.integer_bits, 1, 16),
                ("fraction_bits", self.fraction_bits, 0, 16),
                ("weight_bits", self.weight_bits, 2, 16),
                ("lookup_fraction_bits", self.lookup_fraction_bits, 1, 16),
            )
            if bits is not None and not low <= bits <= high
        ]
        if reasons:
            raise OptionError("quantise a delta layer", reasons=reasons)

    def activation(self, value: Tensor) -> Tensor:
        """Rounded to the grid and saturated."""
        if self.fraction_bits is None:
            return value
        edge = 2.0 ** (self.integer_bits - 1)
        step = 2.0**-self.fraction_bits
        return _straight_through(value, (value / step).round() * step).clamp(-edge, edge - step)

    def weight(self, value: Tensor) -> Tensor:
        """Rounded with one scale per row."""
        if self.weight_bits is None:
            return value
        levels = 2 ** (self.weight_bits - 1) - 1
        scale = value.detach().abs().amax(dim=1, keepdim=True).clamp_min(1e-12) / levels
        return _straight_through(value, (value / scale).round() * scale)

    def lookup(self, value: Tensor) -> Tensor:
        """The output of an activation function as a table would give it."""
        if self.lookup_fraction_bits is None:
            return value
        step = 2.0**-self.lookup_fraction_bits
        return _straight_through(value, (value / step).round() * step)


#: float32 everywhere
FLOAT = Quantisation(fraction_bits=None, weight_bits=None)


def _straight_through(value: Tensor, rounded: Tensor) -> Tensor:
    """``rounded`` forwards, the gradient of ``value`` backwards."""
    return value + (rounded - value).detach()
