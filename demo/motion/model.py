"""GRU-64 that tells six activities from the motion of the body.

Input : float32 ``(N, T, 12)``, see ``data.py``; nothing is subtracted or divided.
Output: float32 ``(N, 6)``, logits after the last sample.
Cost  : 14 592 multiply-accumulates per sample (50 a second), and 384 at the end.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

HERE = Path(__file__).resolve().parent
CHECKPOINT = HERE / "gru.pt"


class MotionGRU(nn.Module):
    """One GRU and one linear layer on its hidden state."""

    def __init__(self, hidden: int = 64) -> None:
        super().__init__()
        self.gru = nn.GRU(12, hidden, batch_first=True)
        self.head = nn.Linear(hidden, 6)

    def every_step(self, x: Tensor) -> Tensor:
        """Logits after each sample: ``(N, T, 12) -> (N, T, 6)``."""
        states, _ = self.gru(x)
        return self.head(states)

    def forward(self, x: Tensor) -> Tensor:
        """Logits after the last sample: ``(N, T, 12) -> (N, 6)``."""
        states, _ = self.gru(x)
        return self.head(states[:, -1])


def gru() -> MotionGRU:
    """Return the untrained network; load ``gru.pt`` into it."""
    return MotionGRU()


def trained_gru(checkpoint: Path = CHECKPOINT) -> MotionGRU:
    """Return the network with the weights of ``gru.pt``, in evaluation mode."""
    if not checkpoint.is_file():
        raise FileNotFoundError(f"no checkpoint {checkpoint.name}: run train.py in its folder")
    net = gru()
    net.load_state_dict(torch.load(checkpoint, map_location="cpu", weights_only=True))
    return net.eval()
