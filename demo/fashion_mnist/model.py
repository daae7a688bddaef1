"""Small convolutional net for Fashion-MNIST (10 kinds of clothing).

Input : float32 ``(N, 1, 28, 28)``, grey value / 255, that is in ``[0, 1]``.  Nothing else is
        subtracted or divided, neither here nor in the ``.npz`` files next to this module.
Output: float32 ``(N, 10)``, logits.
Cost  : 12.4 M multiply-accumulates per image, 157 330 parameters.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

HERE = Path(__file__).resolve().parent
CHECKPOINT = HERE / "cnn.pt"


def _block(cin: int, cout: int) -> list[nn.Module]:
    """3x3 convolution, batch norm, ReLU: ``(N, cin, H, W) -> (N, cout, H, W)``."""
    # No bias: the batch norm that follows brings its own shift.
    return [
        nn.Conv2d(cin, cout, kernel_size=3, padding=1, bias=False),
        nn.BatchNorm2d(cout),
        nn.ReLU(),
    ]


def cnn() -> nn.Sequential:
    """Return the untrained network, a plain ``nn.Sequential``; load ``cnn.pt`` into it."""
    return nn.Sequential(
        *_block(1, 24),  # 28 x 28
        nn.MaxPool2d(2),
        *_block(24, 48),  # 14 x 14
        *_block(48, 48),
        nn.MaxPool2d(2),
        *_block(48, 96),  # 7 x 7
        *_block(96, 96),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(96, 10),
    )


def trained_cnn(checkpoint: Path = CHECKPOINT) -> nn.Sequential:
    """Return the network with the weights of ``cnn.pt``, in evaluation mode."""
    if not checkpoint.is_file():
        raise FileNotFoundError(f"no checkpoint {checkpoint.name}: run train.py in its folder")
    net = cnn()
    net.load_state_dict(torch.load(checkpoint, map_location="cpu", weights_only=True))
    return net.eval()
