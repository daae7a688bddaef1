"""Losses over the outputs of all time steps, and the objective of each method.

Equations
    ce:  L = CE(mean_t O(t), y)
    tet: L = (1 - lambda) mean_t CE(O(t), y) + lambda mean_t MSE(O(t), phi), phi = 1
         (Deng et al. 2022)
    penalty: L += weight * max(0, spikes per synapse - target), where
         spikes per synapse = sum over layers and steps of (spikes x fan-out) / synapses,
         a mean over the samples of the batch.

Reference
    S. Deng, Y. Li, S. Zhang, S. Gu, "Temporal Efficient Training of Spiking Neural Network via
    Gradient Re-weighting", ICLR 2022, arXiv:2202.11946.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tospike.conversion.training.loop import Outcome
from tospike.conversion.training.taps import recorded, spikes_per_synapse
from tospike.errors import OptionError

LOSSES = ("ce", "tet")


def tet(outputs: Tensor, y: Tensor, lam: float, phi: float = 1.0) -> Tensor:
    """TET loss of ``outputs`` (T, N, classes) and labels ``y`` (N,)."""
    steps = outputs.shape[0]
    loss = F.cross_entropy(outputs.flatten(0, 1), y.repeat(steps))
    if lam:
        loss = (1 - lam) * loss + lam * ((outputs - phi) ** 2).mean()
    return loss


def _share_right(outputs: Tensor, y: Tensor) -> float:
    return float((outputs.detach().argmax(1) == y).float().mean())


@dataclass(frozen=True)
class CrossEntropy:
    """Objective of "ann" and "qcfs": the module maps (N, ...) to (N, classes)."""

    label_smoothing: float = 0.0

    def __call__(self, module: nn.Module, x: Tensor, y: Tensor) -> Outcome:
        """Loss of one batch."""
        outputs = module(x)
        loss = F.cross_entropy(outputs, y, label_smoothing=self.label_smoothing)
        return Outcome(loss, 0.0, _share_right(outputs, y))

    def settings(self) -> dict[str, object]:
        """For the mark of a checkpoint."""
        return {"objective": "cross entropy", **asdict(self)}


@dataclass(frozen=True)
class Spiking:
    """Objective of "direct": the module maps (N, ...) to (T, N, classes).

    loss : of :data:`LOSSES`. tet_lambda : weight of the regulariser of "tet", in [0, 1].
    penalty : weight of the spikes per synapse above ``target``.
    """

    loss: str = "tet"
    tet_lambda: float = 0.0
    penalty: float = 0.0
    target: float = 0.0

    def __post_init__(self) -> None:
        reasons = []
        if self.loss not in LOSSES:
            reasons.append(f"loss is {self.loss!r}; there are {', '.join(LOSSES)}")
        if not 0 <= self.tet_lambda <= 1:
            reasons.append(f"tet_lambda is {self.tet_lambda}; it must be from 0 to 1")
        for name, value in (("penalty", self.penalty), ("target", self.target)):
            if not (math.isfinite(value) and value >= 0):
                reasons.append(f"{name} is {value}; it must be a finite number of at least 0")
        if reasons:
            raise OptionError("train a spiking network", reasons=reasons)

    def __call__(self, module: nn.Module, x: Tensor, y: Tensor) -> Outcome:
        """Loss of one batch."""
        with recorded() as record:
            outputs = module(x)
        spikes = spikes_per_synapse(record, len(x))
        mean = outputs.mean(dim=0)
        loss = tet(outputs, y, self.tet_lambda) if self.loss == "tet" else F.cross_entropy(mean, y)
        if self.penalty:
            loss = loss + self.penalty * torch.relu(spikes - self.target)
        return Outcome(loss, float(spikes.detach()), _share_right(mean, y))

    def settings(self) -> dict[str, object]:
        """For the mark of a checkpoint."""
        return {"objective": "spiking", **asdict(self)}
