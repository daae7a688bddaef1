"""``Chain``: layers one after the other over a sequence, as a torch module that can be trained."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class Clip(nn.Module):
    """Values between ``low`` and ``high``; infinite ends are open."""

    def __init__(self, low: float, high: float) -> None:
        super().__init__()
        self.low, self.high = low, high

    def forward(self, x: Tensor) -> Tensor:
        """Element by element."""
        return x.clamp(self.low, self.high)


class Chain(nn.Sequential):
    """``nn.Sequential`` over (T, B, I) that takes the outputs of recurrent layers, not their state.

    ``batch_first``: inputs and outputs are (B, T, I) and (B, T, O).
    """

    def __init__(self, parts: Sequence[nn.Module], batch_first: bool = False) -> None:
        super().__init__(*parts)
        self.batch_first = batch_first

    def forward(self, x: Tensor) -> Tensor:
        """The outputs of every step."""
        values = x.transpose(0, 1) if self.batch_first else x
        for part in self:
            result = part(values)
            values = result[0] if isinstance(result, tuple) else result
        return values.transpose(0, 1) if self.batch_first else values


def example(inputs: int, steps: int = 12, seed: int = 0) -> Tensor:
    """(T, 1, I) of noise, to compare two versions of a chain on."""
    return torch.randn(steps, 1, inputs, generator=torch.Generator().manual_seed(seed))
