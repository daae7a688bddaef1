"""``DeltaConv1d``, ``DeltaConv2d``, ``DeltaConv3d``: convolutions fed by frames that send changes.

Equations
    x_ref = x where |x - x_ref| > theta, value by value; the output is that of the convolution on
    x_ref. Hence |output - dense output| <= theta * sum |w| over the inputs of an output, always.

Range of validity
    theta >= 0; 0 gives the dense convolution, to float rounding. The first axis is time: the input
    is (T, C, ...), consecutive frames of one stream, as a feed-forward network takes its samples.
    Every call starts from references of zero: of its first frame all above the threshold is sent.

Reference
    Liu & Delbruck 2019, section VII: it pays for convolutions at high sparsity only, see
    :mod:`tospike.equations.delta_cnn`.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tospike.conversion.delta.changes import checked_theta, references
from tospike.conversion.delta.layers import LayerTrace, Trace
from tospike.conversion.delta.quantisation import FLOAT, Quantisation
from tospike.conversion.delta.recording import note
from tospike.errors import DataError


class DeltaConv(nn.Module):
    """What the three convolutions share; each is also the convolution of torch."""

    kind = "conv"
    weight: Tensor
    bias: Tensor | None
    in_channels: int
    theta_x: nn.Parameter
    axes = 0

    def delta(self, theta_x: float, learnable: bool, quantisation: Quantisation) -> None:
        """Set up what a delta layer has besides."""
        self.learnable, self.quantisation = learnable, quantisation
        self.dense_gradient = False
        value = torch.tensor([checked_theta(theta_x, "theta_x")])
        self.theta_x = nn.Parameter(value, requires_grad=learnable)

    def forward(self, input: Tensor) -> Tensor:
        """The outputs of every frame: (T, C, ...) -> (T, O, ...)."""
        trace = self.trace(input)
        note(self, trace)
        return trace.output

    def trace(self, input: Tensor) -> Trace:
        """The forward pass with what was sent."""
        if input.ndim != self.axes + 2 or input.shape[1] != self.in_channels or 0 in input.shape:
            sizes = ", ".join(("D", "H", "W")[3 - self.axes :])
            raise DataError(
                f"run {type(self).__name__}",
                received=f"an input of shape {tuple(input.shape)}",
                allowed=f"(T, {self.in_channels}, {sizes}), T frames of one stream",
            )
        q = self.quantisation
        kept, sent = references(
            q.activation(input), self.theta_x[0].abs(), self.learnable, self.dense_gradient
        )
        weight = q.weight(self.weight.flatten(1)).view_as(self.weight)
        output = self.convolve(kept, weight)
        return Trace(output, output[:0], (LayerTrace(sent, None),))

    def convolve(self, input: Tensor, weight: Tensor) -> Tensor:
        """The convolution of torch with this weight."""
        raise NotImplementedError


class DeltaConv1d(DeltaConv, nn.Conv1d):
    """``torch.nn.Conv1d`` over frames (T, C, W)."""

    axes = 1

    def convolve(self, input: Tensor, weight: Tensor) -> Tensor:
        """The convolution of torch with this weight."""
        output: Tensor = self._conv_forward(input, weight, self.bias)
        return output


class DeltaConv2d(DeltaConv, nn.Conv2d):
    """``torch.nn.Conv2d`` over frames (T, C, H, W)."""

    axes = 2

    def convolve(self, input: Tensor, weight: Tensor) -> Tensor:
        """The convolution of torch with this weight."""
        output: Tensor = self._conv_forward(input, weight, self.bias)
        return output


class DeltaConv3d(DeltaConv, nn.Conv3d):
    """``torch.nn.Conv3d`` over frames (T, C, D, H, W)."""

    axes = 3

    def convolve(self, input: Tensor, weight: Tensor) -> Tensor:
        """The convolution of torch with this weight."""
        output: Tensor = self._conv_forward(input, weight, self.bias)
        return output


#: convolutions of torch and what replaces them; subclasses with a forward of their own are not
CONVOLUTIONS: dict[type[nn.Module], type[DeltaConv1d | DeltaConv2d | DeltaConv3d]] = {
    nn.Conv1d: DeltaConv1d,
    nn.Conv2d: DeltaConv2d,
    nn.Conv3d: DeltaConv3d,
}


def delta_convolution(
    part: nn.Conv1d | nn.Conv2d | nn.Conv3d,
    theta_x: float,
    *,
    learnable: bool = False,
    quantisation: Quantisation = FLOAT,
) -> DeltaConv1d | DeltaConv2d | DeltaConv3d:
    """The delta layer of the same form; its weights are still to be loaded."""
    made = CONVOLUTIONS[type(part)](
        part.in_channels,
        part.out_channels,
        part.kernel_size,  # type: ignore[arg-type]  # a tuple of as many sizes as the layer has
        part.stride,  # type: ignore[arg-type]
        part.padding,  # type: ignore[arg-type]
        part.dilation,  # type: ignore[arg-type]
        part.groups,
        part.bias is not None,
        part.padding_mode,
    )
    made.delta(theta_x, learnable, quantisation)
    return made
