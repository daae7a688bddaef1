"""A chain of layers run with rounded weights and activations, counting zeros as it goes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import torch
from fixed_point import (
    Grid,
    fitted_fixed_point,
    fixed_point,
    power_of_two_ternary,
    rounded_copy,
    uniform,
)
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F


@dataclass(frozen=True, slots=True)
class Precision:
    """How weights and activations are rounded; None leaves them float32.

    ``weights`` makes the grid of one layer from its weights, ``activations`` that of the output
    of the ``i``-th ReLU from the largest value seen there. Biases and batch norm stay float32.
    """

    name: str
    weights: Callable[[Tensor], Grid] | None = None
    activations: Callable[[int, float], Grid] | None = None


def _largest(x: Tensor) -> float:
    return float(x.detach().abs().max())


def _fitted_weights(bits: int, weights: Tensor) -> Grid:
    return fitted_fixed_point(bits, _largest(weights))


def _fitted_activations(bits: int, _: int, largest: float) -> Grid:
    return fitted_fixed_point(bits, largest)


def _uniform_weights(bits: int, weights: Tensor) -> Grid:
    return uniform(bits, _largest(weights))


def _uniform_activations(bits: int, _: int, largest: float) -> Grid:
    return uniform(bits, largest, signed=False)


def _given_activations(grids: Sequence[Grid], i: int, _: float) -> Grid:
    return grids[i % len(grids)]


def float32() -> Precision:
    """Nothing is rounded."""
    return Precision("float32")


def in_fixed_point(bits: int) -> Precision:
    """Weights and activations in signed Qm.n of ``bits`` bits, m fitted per layer."""
    return Precision(
        f"w{bits}a{bits}", partial(_fitted_weights, bits), partial(_fitted_activations, bits)
    )


def in_uniform(bits: int) -> Precision:
    """Weights symmetric, activations unsigned, both uniform per tensor, highest value = largest."""
    return Precision(
        f"w{bits}a{bits}", partial(_uniform_weights, bits), partial(_uniform_activations, bits)
    )


def in_given_formats(formats: Sequence[tuple[int, int]], scale: float, name: str) -> Precision:
    """16-bit weights; the i-th ReLU in the i-th of the formats (m, n), in units of ``scale``."""
    grids = [fixed_point(m, n) for m, n in formats]
    scaled = [Grid(grid.step * scale, grid.lowest, grid.highest) for grid in grids]
    return Precision(name, partial(_fitted_weights, 16), partial(_given_activations, scaled))


def in_ternary() -> Precision:
    """Weights -s, 0, s with s a power of two per layer; activations in 16-bit fixed point."""
    return Precision("w-pow2-ternary a16", power_of_two_ternary, partial(_fitted_activations, 16))


@dataclass
class Tally:
    """Shares of zeros per sample, layer by layer.

    ``output``: after ReLU and rounding, before pooling: the feature map. ``relu``: the same
    before rounding, so that the difference is what rounding alone sets to 0. ``input``: what
    enters each convolution or linear layer.
    """

    output: dict[str, list[NDArray[np.float64]]] = field(default_factory=dict)
    relu: dict[str, list[NDArray[np.float64]]] = field(default_factory=dict)
    input: dict[str, list[NDArray[np.float64]]] = field(default_factory=dict)

    def add(self, table: dict[str, list[NDArray[np.float64]]], layer: str, x: Tensor) -> None:
        """Note the share of zeros of each sample of ``x`` (N, ...)."""
        values = x[0].numel()
        nonzero = torch.count_nonzero(x, dim=tuple(range(1, x.ndim)))
        table.setdefault(layer, []).append(1.0 - nonzero.double().numpy() / values)


def shares(table: dict[str, list[NDArray[np.float64]]]) -> dict[str, NDArray[np.float64]]:
    """Layer -> share of zeros per sample (N,)."""
    return {layer: np.concatenate(parts) for layer, parts in table.items()}


class DualCopy(nn.Module):
    """``net`` with rounded copies of its weights and activations in the forward pass.

    The parameters of ``net`` are the full-precision copies; gradients go to them. The range of
    each ReLU is a running mean of the largest value of a batch while training, and fixed in
    evaluation mode; :meth:`observe` sets it from calibration samples instead.
    """

    def __init__(self, net: nn.Sequential, precision: Precision) -> None:
        super().__init__()
        self.net = net
        self.precision = precision
        self.relus = [name for name, m in net.named_children() if isinstance(m, nn.ReLU)]
        self.register_buffer("largest", torch.zeros(len(self.relus)))

    def forward(self, x: Tensor, tally: Tally | None = None) -> Tensor:
        """Output for samples ``x`` (N, ...); zeros go to ``tally`` if there is one."""
        relu = 0
        layer = ""
        for name, module in self.net.named_children():
            if isinstance(module, nn.Conv2d | nn.Linear):
                layer = name
                if tally is not None:
                    tally.add(tally.input, name, x)
                x = self._synapses(module, x)
            elif isinstance(module, nn.ReLU):
                before = F.relu(x)
                x = self._activations(relu, before)
                relu += 1
                if tally is not None:
                    tally.add(tally.relu, layer, before)
                    tally.add(tally.output, layer, x)
            else:
                x = module(x)
        return x

    @torch.inference_mode()
    def observe(self, x: Tensor) -> None:
        """Set the range of every ReLU to the largest float32 value on samples ``x`` (N, ...)."""
        relu = 0
        for _, module in self.net.named_children():
            x = module(x)
            if isinstance(module, nn.ReLU):
                self.largest[relu] = max(float(self.largest[relu]), _largest(x))
                relu += 1

    def _synapses(self, module: nn.Conv2d | nn.Linear, x: Tensor) -> Tensor:
        weight: Tensor = module.weight
        if self.precision.weights is not None:
            weight = rounded_copy(weight, self.precision.weights(weight))
        if isinstance(module, nn.Linear):
            return F.linear(x, weight, module.bias)
        return F.conv2d(
            x,
            weight,
            module.bias,
            module.stride,
            module.padding,
            module.dilation,
            module.groups,
        )

    def _activations(self, relu: int, x: Tensor) -> Tensor:
        if self.precision.activations is None:
            return x
        if self.training:
            now = _largest(x)
            seen = float(self.largest[relu])
            # the first batch counts in full, later ones move the range by a twentieth
            self.largest[relu] = now if seen == 0 else seen + 0.05 * (now - seen)
        return rounded_copy(x, self.precision.activations(relu, float(self.largest[relu])))
