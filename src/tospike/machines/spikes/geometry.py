"""``Geometry``: a layer as an event-driven machine sees it, and which neurons a spike reaches."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tospike.network import Layer
from tospike.network.importers.conv_fan_out import begin_and_end

Ints = NDArray[np.int64]
KINDS = ("conv", "linear")


@dataclass(frozen=True, slots=True)
class Geometry:
    """Channels in groups, positions, kernel taps. A linear layer has one tap per position.

    in_space, out_space : () stands for one position. padding : at the beginning of each axis.
    channels_last : the input's channels are its last axis (linear layers), not its first.
    """

    groups: int
    in_channels: int
    out_channels: int
    in_space: tuple[int, ...]
    out_space: tuple[int, ...]
    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[int, ...]
    dilation: tuple[int, ...]
    channels_last: bool = False

    @property
    def in_pixels(self) -> int:
        """Positions of the input."""
        return math.prod(self.in_space)

    @property
    def out_pixels(self) -> int:
        """Positions of the output."""
        return math.prod(self.out_space)

    @property
    def taps(self) -> int:
        """Taps of the kernel: weights per pair of channels."""
        return math.prod(self.kernel)

    @property
    def in_per_group(self) -> int:
        """Input channels that an output channel sees."""
        return self.in_channels // self.groups

    @property
    def out_per_group(self) -> int:
        """Output channels that an input channel reaches."""
        return self.out_channels // self.groups

    @property
    def n_neurons(self) -> int:
        """Output neurons."""
        return self.out_channels * self.out_pixels

    @property
    def n_weights(self) -> int:
        """Weights, each stored once."""
        return self.out_channels * self.in_per_group * self.taps


@dataclass(frozen=True, eq=False)
class Connections:
    """Which positions a spike reaches, as lists by input position.

    Input position p reaches the output positions ``outputs[starts[p]:starts[p + 1]]`` through the
    kernel taps ``taps[...]``, in each of ``out_per_group`` channels. Products with padding are
    not there.
    """

    starts: Ints
    outputs: Ints
    taps: Ints

    @property
    def fan_out(self) -> Ints:
        """Output positions per input position, (in_pixels,)."""
        return np.diff(self.starts)

    @property
    def inputs(self) -> Ints:
        """Input position of each entry, beside ``outputs``."""
        return np.repeat(np.arange(self.starts.size - 1), np.diff(self.starts))


def geometry(layer: Layer) -> Geometry | str:
    """The geometry of a layer, or in words why event-driven machines do not run it."""
    if layer.kind not in KINDS:
        return f"synapses of the kind {layer.kind!r}; convolutions and linear layers are known"
    if layer.transposed:
        return "a transposed convolution"
    if not layer.input_shape or not layer.output_shape:
        return "the shapes of its input and output are not known"
    if layer.kind == "linear":
        if layer.input_shape[:-1] != layer.output_shape[:-1]:
            return f"a linear layer from shape {layer.input_shape} to {layer.output_shape}"
        space = layer.input_shape[:-1]
        ones = (1,) * len(space)
        return Geometry(
            groups=1,
            in_channels=layer.input_shape[-1],
            out_channels=layer.output_shape[-1],
            in_space=space,
            out_space=space,
            kernel=ones,
            stride=ones,
            padding=(0,) * len(space),
            dilation=ones,
            channels_last=True,
        )
    rank = len(layer.kernel)
    if rank == 0 or len(layer.input_shape) != rank + 1 or len(layer.output_shape) != rank + 1:
        return f"a kernel of {rank} axes on an input of shape {layer.input_shape}"
    if layer.input_shape[0] % layer.groups or layer.output_shape[0] % layer.groups:
        return f"{layer.groups} groups do not divide its channels"
    ones = (1,) * rank
    return Geometry(
        groups=layer.groups,
        in_channels=layer.input_shape[0],
        out_channels=layer.output_shape[0],
        in_space=layer.input_shape[1:],
        out_space=layer.output_shape[1:],
        kernel=layer.kernel,
        stride=layer.stride or ones,
        padding=begin_and_end(layer.padding, rank)[0],
        dilation=layer.dilation or ones,
    )


def connections(of: Geometry) -> Connections:
    """All pairs of input and output positions that a tap joins; exact at borders and strides."""
    ins, outs, taps = (np.zeros(1, np.int64) for _ in range(3))
    for axis, length in enumerate(of.in_space):
        out = np.arange(of.out_space[axis])[:, None]
        tap = np.arange(of.kernel[axis])[None, :]
        meets = out * of.stride[axis] + tap * of.dilation[axis] - of.padding[axis]
        valid = (meets >= 0) & (meets < length)
        line = np.broadcast_arrays(meets, out, tap)
        here, there, through = (part[valid] for part in line)
        ins = (ins[:, None] * length + here).ravel()
        outs = (outs[:, None] * of.out_space[axis] + there).ravel()
        taps = (taps[:, None] * of.kernel[axis] + through).ravel()
    order = np.lexsort((outs, ins))
    counts = np.bincount(ins, minlength=of.in_pixels)
    starts = np.concatenate([[0], np.cumsum(counts)])
    return Connections(starts.astype(np.int64), outs[order], taps[order])


def fan_out(of: Geometry) -> Ints:
    """Synapses that one spike of each input neuron drives, (in_channels, in_pixels)."""
    line = connections(of).fan_out * of.out_per_group
    return np.tile(line, (of.in_channels, 1))


def brute_force_operations(layer: Layer, spikes: NDArray[np.bool_]) -> int:
    """Reference: synaptic operations of ``spikes`` (\\*input_shape), connection by connection."""
    of = geometry(layer)
    assert isinstance(of, Geometry)
    plain = spikes.reshape(-1, of.in_channels).T if of.channels_last else spikes
    plain = plain.reshape(of.in_channels, *of.in_space)
    total = 0
    for out in np.ndindex(of.out_channels, *of.out_space):
        group = out[0] // of.out_per_group
        for c in range(group * of.in_per_group, (group + 1) * of.in_per_group):
            for tap in np.ndindex(*of.kernel):
                place = tuple(
                    out[1 + d] * of.stride[d] + tap[d] * of.dilation[d] - of.padding[d]
                    for d in range(len(tap))
                )
                inside = all(0 <= x < n for x, n in zip(place, of.in_space, strict=True))
                total += int(inside and plain[(c, *place)])
    return total


def received(of: Geometry, joined: Connections, counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Spikes that each output position receives: (..., in_pixels) -> (..., out_pixels)."""
    from scipy.sparse import csr_array

    ones = np.ones(joined.outputs.size)
    shape = (of.in_pixels, of.out_pixels)
    matrix = csr_array((ones, (joined.inputs, joined.outputs)), shape=shape)
    flat = counts.reshape(-1, of.in_pixels)
    found = np.asarray(matrix.T @ flat.T).T
    return found.reshape(*counts.shape[:-1], of.out_pixels)
