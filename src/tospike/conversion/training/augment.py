"""Augmentation of images: mirror and shift, drawn from a generator. The choices are explicit."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def mirrored(x: Tensor, generator: torch.Generator) -> Tensor:
    """``x`` (N, ..., H, W) with each sample mirrored left to right with probability 1/2."""
    chosen = torch.rand(len(x), generator=generator) < 0.5
    return torch.where(chosen.reshape(-1, *(1,) * (x.dim() - 1)), x.flip(-1), x)


def shifted(x: Tensor, pixels: int, generator: torch.Generator) -> Tensor:
    """``x`` (N, ..., H, W), each sample moved by up to ``pixels`` per direction; 0 comes in."""
    n, height, width = len(x), x.shape[-2], x.shape[-1]
    flat = F.pad(x.reshape(n, -1, height, width), (pixels,) * 4)
    by = torch.randint(0, 2 * pixels + 1, (2, n), generator=generator)
    rows = by[0, :, None] + torch.arange(height)
    columns = by[1, :, None] + torch.arange(width)
    samples = torch.arange(n)[:, None, None]
    # advanced indices around a slice: the channels come last
    moved = flat[samples, :, rows[:, :, None], columns[:, None, :]]
    return moved.movedim(-1, 1).reshape(x.shape)


def augmented(x: Tensor, shift: int, flip: bool, generator: torch.Generator) -> Tensor:
    """Both, as the recipe says."""
    if flip:
        x = mirrored(x, generator)
    if shift:
        x = shifted(x, shift, generator)
    return x
