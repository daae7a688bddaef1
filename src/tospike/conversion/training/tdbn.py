"""tdBN: batch normalisation over samples and time steps, scaled to the threshold.

Equation
    y = weight * (alpha * V_th * (x - mean) / sqrt(variance + eps)) + bias
    with mean and variance per channel over samples, positions and time steps; weight = 1 and
    bias = 0 at the start (Zheng et al. 2021). Time folded into the batch makes an
    ordinary batch norm one over time; what is left is the scale.

Reference
    H. Zheng, Y. Wu, L. Deng, Y. Hu, G. Li, "Going Deeper With Directly-Trained Larger Spiking
    Neural Networks", AAAI 2021, arXiv:2011.05280.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


class ThresholdBatchNorm(nn.Module):
    """tdBN over (T * N, C, ...). ``scale`` : alpha * V_th."""

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, channels: int, scale: float, eps: float, momentum: float) -> None:
        super().__init__()
        self.scale, self.eps, self.momentum = scale, eps, momentum
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))

    @classmethod
    def of(cls, norm: nn.Module, scale: float) -> ThresholdBatchNorm:
        """A fresh one of the size of ``norm``."""
        assert isinstance(norm, BATCH_NORMS)
        momentum = 0.1 if norm.momentum is None else norm.momentum
        return cls(norm.num_features, scale, norm.eps, momentum)

    def extra_repr(self) -> str:
        return f"{len(self.weight)}, scale={self.scale:g}"

    def forward(self, x: Tensor) -> Tensor:
        """Normalised ``x``, of its shape."""
        return F.batch_norm(
            x, self.running_mean, self.running_var, self.weight * self.scale, self.bias,
            self.training, self.momentum, self.eps,
        )  # fmt: skip
