"""Taps: identity modules before each layer with synapses, which count what arrives there.

Equations
    operations of a layer = sum over steps and inputs of spike * fan-out(input)
    fan-out(input) = number of products that the layer makes with it: exact at borders, strides
    and dilations (products with padding do not exist), times the outputs per group.

The sum is linear in the spikes, so its gradient goes through the surrogate of the neurons.
Behind an average pool the values count as what they are, shares of spikes.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

#: (tap, values of a batch at it), in order of execution
Record = list[tuple["Tap", Tensor]]

_OPEN: list[Record] = []


@contextmanager
def recorded() -> Iterator[Record]:
    """Collects what passes the taps inside of the block; may be nested."""
    record: Record = []
    _OPEN.append(record)
    try:
        yield record
    finally:
        _OPEN[:] = [other for other in _OPEN if other is not record]


class Tap(nn.Module):
    """Identity.

    layer : name of the layer behind it. synapses : its MACs per call. timed : it runs at every
    step, on what spiking neurons sent. binary : what arrives is 0 or 1 (not so behind an average
    pool or a sum). fan_out : (1,) for linear layers, else (spatial...), products per input value.
    """

    def __init__(
        self, layer: str, synapses: int, fan_out: Tensor, *, timed: bool, binary: bool
    ) -> None:
        super().__init__()
        self.layer, self.synapses, self.timed, self.binary = layer, synapses, timed, binary
        self.register_buffer("fan_out", fan_out, persistent=False)

    def extra_repr(self) -> str:
        return f"{self.layer}, synapses={self.synapses}, timed={self.timed}, binary={self.binary}"

    def operations(self, x: Tensor) -> Tensor:
        """Sum over all of ``x`` (N, features) or (N, C, spatial...) times the fan-out; scalar."""
        fan_out = self.get_buffer("fan_out")
        if fan_out.dim() == 1 and fan_out.numel() == 1:
            return x.sum() * fan_out[0]
        return (x.sum(dim=(0, 1)) * fan_out).sum()

    def forward(self, x: Tensor) -> Tensor:
        """``x``."""
        for record in _OPEN:
            record.append((self, x))
        return x


def spikes_per_synapse(record: Record, samples: int) -> Tensor:
    """Spikes per synapse of all layers that receive spikes, the T steps added up; scalar."""
    timed = [(tap, x) for tap, x in record if tap.timed]
    if not timed:
        return torch.zeros(())
    operations = torch.stack([tap.operations(x) for tap, x in timed]).sum()
    return operations / (samples * sum(tap.synapses for tap, _ in timed))


def fan_out(module: nn.Module, shape: tuple[int, ...]) -> tuple[int, Tensor]:
    """Synapses of one call, and products per input value, of a layer with inputs ``shape``.

    module : Conv1d, Conv2d, Conv3d or Linear. shape : of one sample, channels first.
    """
    if isinstance(module, nn.Linear):
        rows = 1
        for size in shape[:-1]:
            rows *= size
        n = rows * module.in_features * module.out_features
        return n, torch.tensor([float(module.out_features)])
    assert isinstance(module, nn.Conv1d | nn.Conv2d | nn.Conv3d)
    convolve = (nn.functional.conv1d, nn.functional.conv2d, nn.functional.conv3d)
    run: Any = convolve[len(module.kernel_size) - 1]
    ones = torch.ones(1, 1, *shape[1:], dtype=torch.float64, requires_grad=True)
    weight = torch.ones(1, 1, *module.kernel_size, dtype=torch.float64)
    with torch.enable_grad():
        outputs = run(ones, weight, None, module.stride, module.padding, module.dilation)
        (products,) = torch.autograd.grad(outputs.sum(), ones)
    per_group = module.out_channels // module.groups
    inputs = module.in_channels // module.groups
    synapses = outputs.numel() * module.out_channels * inputs * weight.numel()
    return synapses, (products[0, 0] * per_group).float()
