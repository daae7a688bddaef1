"""The networks that the benchmarks run: a VGG-9 SNN, VGG-16 at 224 x 224, a two-layer GRU."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn


@dataclass(frozen=True, slots=True)
class Workload:
    """A module with one batch of input, and the batch size it stands for."""

    name: str
    module: nn.Module
    x: torch.Tensor
    title: str


class IF(nn.Module):
    """Integrate-and-fire neurons with soft reset; state is kept by the caller."""

    def __init__(self) -> None:
        super().__init__()
        self.threshold = 1.0

    def forward(
        self, current: torch.Tensor, state: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """One step: (spikes, new membrane potential), shapes of ``current``."""
        potential = state + current
        spikes = (potential >= self.threshold).to(current.dtype)
        return spikes, potential - spikes * self.threshold


class Vgg9Snn(nn.Module):
    """VGG-9 for 32 x 32 images on spikes: T steps in a loop, IF neurons, random weights.

    Thresholds are set so that firing rates fall from 0.25 at the input to about 0.01, as trained
    SNNs show (Dampfhoffer 2022, Fig. 8). Input: (T, B, 3, 32, 32) spikes; output (B, 10) currents.
    """

    WIDTHS = (64, 64, "M", 128, 128, "M", 256, 256, 256, "M")
    RATES = (0.20, 0.15, 0.10, 0.07, 0.04, 0.02, 0.01, 0.01)

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList()
        channels = 3
        for width in self.WIDTHS:
            if isinstance(width, str):
                self.layers.append(nn.MaxPool2d(2))
            else:
                self.layers.append(nn.Conv2d(channels, width, 3, padding=1, bias=False))
                self.layers.append(IF())
                channels = width
        self.layers.append(nn.Flatten())
        self.layers.append(nn.Linear(256 * 4 * 4, 1024, bias=False))
        self.layers.append(IF())
        self.layers.append(nn.Linear(1024, 10, bias=False))

    def forward(self, spikes: torch.Tensor) -> torch.Tensor:
        states: dict[int, torch.Tensor] = {}
        total = torch.zeros(())
        for x in spikes:
            for index, layer in enumerate(self.layers):
                if isinstance(layer, IF):
                    x, states[index] = layer(x, states.get(index, torch.zeros_like(x)))
                else:
                    x = layer(x)
            total = total + x
        return total

    @torch.no_grad()
    def set_rates(self, spikes: torch.Tensor) -> None:
        """Set every threshold to the quantile of first-step currents that gives its rate."""
        x = spikes[0]
        rates = iter(self.RATES)
        for layer in self.layers:
            if isinstance(layer, IF):
                sample = x.flatten()[:: max(1, x.numel() // 200_000)]
                layer.threshold = max(float(torch.quantile(sample, 1 - next(rates))), 1e-6)
                x, _ = layer(x, torch.zeros_like(x))
            else:
                x = layer(x)


def vgg9_snn(batch: int = 64, timesteps: int = 4) -> Workload:
    """VGG-9 SNN, T = 4, input spikes of rate 0.25."""
    torch.manual_seed(0)
    module = Vgg9Snn().eval()
    spikes = (torch.rand(timesteps, batch, 3, 32, 32) < 0.25).float()
    module.set_rates(spikes)
    return Workload("vgg9_snn", module, spikes, f"VGG-9 SNN, 32 x 32, T = {timesteps}, B = {batch}")


def vgg16(batch: int = 1) -> Workload:
    """VGG-16 at 224 x 224 with random weights (ReLU zeros about one half)."""
    from tospike.network.zoo import build

    torch.manual_seed(0)
    module = build("vgg16").to_empty(device="cpu").eval()
    for weight in module.parameters():
        if weight.ndim > 1:
            nn.init.kaiming_normal_(weight)
        else:
            nn.init.zeros_(weight)
    return Workload(
        "vgg16", module, torch.randn(batch, 3, 224, 224), f"VGG-16, 224 x 224, B = {batch}"
    )


def gru(hidden: int = 512, layers: int = 2, steps: int = 100) -> Workload:
    """A GRU on one sequence of 100 steps."""
    torch.manual_seed(0)
    module = nn.GRU(161, hidden, layers, batch_first=True).eval()
    walk = torch.randn(1, steps, 161).cumsum(dim=1) * 0.1
    return Workload("gru", module, walk, f"GRU, {layers} x {hidden}, {steps} steps, B = 1")


WORKLOADS = {"vgg9_snn": vgg9_snn, "vgg16": vgg16, "gru": gru}
