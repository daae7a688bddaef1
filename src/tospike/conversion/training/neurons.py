"""``SpikingNeurons``: a population of integrate-and-fire neurons as a module that can be trained.

"if"   decay 1: no leak
"lif"  the same decay for all steps and neurons, not trained
"plif" one decay per layer, trained: decay = 1 - sigmoid(leak) (Fang et al. 2021:
       1 / tau = sigmoid(leak)); together with the trained threshold this is the neuron of
       DIET-SNN (Rathi & Roy 2020), whose leak and threshold are trained per layer.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from tospike.conversion.training.lif import Dynamics, multi_step

KINDS = ("if", "lif", "plif")


class SpikingNeurons(nn.Module):
    """Neurons of one layer over T steps, soft reset; see :mod:`~tospike.conversion.training.lif`.

    Parameters
    ----------
    kind : of :data:`KINDS`. steps : T. threshold : first value. decay : first value, in (0, 1).
    gain : factor of the input current, not trained.
    constant : the input is the same at every step, (N, ...) instead of (T * N, ...).
    learn_threshold : train the threshold.
    """

    def __init__(
        self,
        kind: str,
        steps: int,
        dynamics: Dynamics,
        *,
        threshold: float = 1.0,
        decay: float = 0.5,
        gain: float = 1.0,
        constant: bool = False,
        learn_threshold: bool = True,
    ) -> None:
        super().__init__()
        self.kind, self.steps, self.dynamics, self.constant = kind, steps, dynamics, constant
        self.threshold = nn.Parameter(torch.tensor(threshold), requires_grad=learn_threshold)
        self.leak: nn.Parameter | None = None
        if kind == "plif":
            self.leak = nn.Parameter(torch.tensor(math.log((1 - decay) / decay)))
        self.register_buffer("gain", torch.tensor(gain))
        self.register_buffer("fixed", torch.tensor(1.0 if kind == "if" else decay))

    @property
    def decay(self) -> Tensor:
        """Share of the potential that is left after a step, a scalar."""
        fixed: Tensor = self.get_buffer("fixed")
        return fixed if self.leak is None else 1 - torch.sigmoid(self.leak)

    def extra_repr(self) -> str:
        return (
            f"{self.kind}, steps={self.steps}, threshold={float(self.threshold.detach()):.4g}, "
            f"decay={float(self.decay.detach()):.4g}, "
            f"gain={float(self.get_buffer('gain')):.4g}, {self.dynamics}, constant={self.constant}"
        )

    def forward(self, x: Tensor) -> Tensor:
        """Spikes (T * N, ...), 0 or 1."""
        return multi_step(
            x, self.threshold, self.decay, float(self.get_buffer("gain")), self.dynamics,
            self.steps, self.constant,
        )  # fmt: skip
