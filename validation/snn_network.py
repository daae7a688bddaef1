"""The small VGG-type network for Fashion-MNIST of the spiking results: 7.9 million MACs.

conv32-BN-ReLU-maxpool, conv32-BN-ReLU, conv64-BN-ReLU-maxpool, conv64-BN-ReLU, fc128-ReLU, fc10.
"""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import nn


def _block(n_in: int, n_out: int, number: int, pool: bool) -> list[tuple[str, nn.Module]]:
    parts: list[tuple[str, nn.Module]] = [
        (f"conv{number}", nn.Conv2d(n_in, n_out, 3, padding=1, bias=False)),
        (f"norm{number}", nn.BatchNorm2d(n_out)),
        (f"relu{number}", nn.ReLU()),
    ]
    return [*parts, (f"pool{number}", nn.MaxPool2d(2))] if pool else parts


def vgg() -> nn.Sequential:
    """Untrained, first weights from torch's generator. Input (N, 1, 28, 28), output (N, 10)."""
    return nn.Sequential(
        OrderedDict(
            [
                *_block(1, 32, 1, pool=True),
                *_block(32, 32, 2, pool=False),
                *_block(32, 64, 3, pool=True),
                *_block(64, 64, 4, pool=False),
                ("flatten", nn.Flatten()),
                ("fc1", nn.Linear(64 * 7 * 7, 128)),
                ("relu5", nn.ReLU()),
                ("fc2", nn.Linear(128, 10)),
            ]
        )
    )


def seeded(seed: int = 0) -> nn.Sequential:
    """The network with first weights of this seed; the global generator is left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return vgg()
