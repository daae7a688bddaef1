"""Other sensors, other belts, other walkers: how the training changes the recordings.

A random part of each sequence is played slower or faster, turned as a sensor that is worn at
another place, scaled and shifted. The recipe was chosen on people held out of the 21
of the training, three times seven of them; the nine test people had no part in it.
"""

from __future__ import annotations

import torch
from torch import Tensor

PART = 160  # samples of a training sequence
STRETCH = 0.15  # slower or faster by at most this share
TURN = 0.4  # radians, standard deviation: around the axis of the body, along the belt
TILT = 0.1  # radians, standard deviation: around any axis
GAIN, OFFSET = 0.1, 0.03  # standard deviations; g and rad/s


def stretched(x: Tensor, part: int, generator: torch.Generator) -> Tensor:
    """A random part of every sequence, sampled anew: ``(N, T, C) -> (N, part, C)``."""
    n, length = x.shape[:2]
    last = length - 1.001
    pace = 1 + STRETCH * (2 * torch.rand(n, 1, generator=generator) - 1)
    span = (pace * (part - 1)).clamp(max=last)
    start = torch.rand(n, 1, generator=generator) * (last - span)
    at = start + span * torch.linspace(0, 1, part)
    before, rows = at.floor().long(), torch.arange(n)[:, None]
    share = (at - before)[..., None]
    return x[rows, before] * (1 - share) + x[rows, before + 1] * share


def turns(axis: Tensor, angle: Tensor) -> Tensor:
    """Rotations around unit vectors ``(N, 3)`` by angles ``(N,)``: ``(N, 3, 3)`` (Rodrigues)."""
    cross = torch.zeros(len(axis), 3, 3)
    for row, column, of, sign in (
        (0, 1, 2, -1), (0, 2, 1, 1), (1, 0, 2, 1), (1, 2, 0, -1), (2, 0, 1, -1), (2, 1, 0, 1),
    ):  # fmt: skip
        cross[:, row, column] = sign * axis[:, of]
    sine, cosine = angle.sin()[:, None, None], angle.cos()[:, None, None]
    return torch.eye(3) + sine * cross + (1 - cosine) * (cross @ cross)


def augment(x: Tensor, generator: torch.Generator, part: int = PART) -> Tensor:
    """Changed sequences, ``(N, T, 6) -> (N, part, 6)``."""
    x = stretched(x, part, generator)
    n = len(x)
    body = torch.tensor([[1.0, 0.0, 0.0]]).expand(n, 3)
    anywhere = torch.nn.functional.normalize(torch.randn(n, 3, generator=generator), dim=1)
    turn = turns(body, TURN * torch.randn(n, generator=generator))
    tilt = turns(anywhere, TILT * torch.randn(n, generator=generator))
    x = torch.cat([sensor @ turn @ tilt for sensor in (x[..., :3], x[..., 3:])], dim=2)
    x = x * (1 + GAIN * torch.randn(n, 1, 6, generator=generator))
    return x + OFFSET * torch.randn(n, 1, 6, generator=generator)
