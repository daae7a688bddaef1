"""``Recipe``: how long, how fast and on what batches a network is trained. A record only."""

from __future__ import annotations

import math
from dataclasses import dataclass

from tospike.errors import OptionError


@dataclass(frozen=True)
class Recipe:
    """How to train, the same for every method.

    AdamW; the learning rate rises linearly over ``warm_up`` of the steps and falls as half a
    cosine to 0.

    Attributes
    ----------
    epochs, batch : passes over the data and samples per step; a last, smaller batch is left out.
    rate : peak learning rate. weight_decay : for matrices only. clip : largest gradient norm.
    warm_up : share of the steps in which the learning rate rises.
    shift : images are moved by up to so many pixels in both directions; edges become 0.
    flip : every second image is mirrored left to right, at random.
    seed : of everything random.
    """

    epochs: int
    batch: int = 64
    rate: float = 1e-3
    weight_decay: float = 1e-2
    clip: float = 5.0
    warm_up: float = 0.1
    shift: int = 0
    flip: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        reasons = [
            f"{name} is {value!r}; it must be a whole number of at least {low}"
            for name, value, low in (
                ("epochs", self.epochs, 1),
                ("batch", self.batch, 1),
                ("shift", self.shift, 0),
                ("seed", self.seed, 0),
            )
            if isinstance(value, bool) or not isinstance(value, int) or value < low
        ]
        for name, number, low, high in (
            ("rate", self.rate, 1e-12, 1e3),
            ("weight_decay", self.weight_decay, 0.0, 1e3),
            ("clip", self.clip, 1e-12, math.inf),
            ("warm_up", self.warm_up, 0.0, 1.0),
        ):
            if not low <= number <= high:
                reasons.append(f"{name} is {number}; it must be from {low:g} to {high:g}")
        if reasons:
            raise OptionError("train a network", reasons=reasons)

    def rate_at(self, progress: float) -> float:
        """Learning rate after this share of the steps, in [0, 1)."""
        rise = min(1.0, (progress + 1e-3) / self.warm_up) if self.warm_up else 1.0
        return self.rate * rise * 0.5 * (1 + math.cos(math.pi * progress))
