"""Small convolutional net for Fashion-MNIST (10 kinds of clothing).

Input : float32 ``(N, 1, 28, 28)``, grey value / 255, that is in ``[0, 1]``.  Nothing else is
        subtracted or divided, neither here nor in the ``.npz`` files next to this module.
Output: float32 ``(N, 10)``, logits.
Cost  : 12.4 M multiply-accumulates per image, 157 330 parameters.
"""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path

import torch
from torch import nn

HERE = Path(__file__).resolve().parent
CHECKPOINT = HERE / "cnn.pt"


class FashionCNN(nn.Sequential):
    """Five 3 x 3 convolutions with batch norm and ReLU, global average pool, linear classifier."""

    def __init__(self) -> None:
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        # (inputs, outputs, pool behind): 28 x 28, 14 x 14, 14 x 14, 7 x 7, 7 x 7 pixels
        blocks = ((1, 24, True), (24, 48, False), (48, 48, True), (48, 96, False), (96, 96, False))
        for i, (cin, cout, pool) in enumerate(blocks, start=1):
            layers[f"conv{i}"] = nn.Conv2d(cin, cout, kernel_size=3, padding=1, bias=False)
            layers[f"norm{i}"] = nn.BatchNorm2d(cout)
            layers[f"relu{i}"] = nn.ReLU()
            if pool:
                layers[f"pool{i}"] = nn.MaxPool2d(2)
        layers["mean"] = nn.AdaptiveAvgPool2d(1)
        layers["flat"] = nn.Flatten()
        layers["fc"] = nn.Linear(96, 10)
        super().__init__(layers)


def cnn() -> FashionCNN:
    """Return the untrained network; load ``cnn.pt`` into it."""
    return FashionCNN()


def trained_cnn(checkpoint: Path = CHECKPOINT) -> FashionCNN:
    """Return the network with the weights of ``cnn.pt``, in evaluation mode."""
    if not checkpoint.is_file():
        raise FileNotFoundError(f"no checkpoint {checkpoint.name}: run train.py in its folder")
    net = cnn()
    net.load_state_dict(torch.load(checkpoint, map_location="cpu", weights_only=True))
    return net.eval()
