"""Weights and neuron parameters in the order of the kernels."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tospike.kernels.spiking.places import FLOAT32, HARD, HARD_LATE, INT16, SOFT, SOFT_LATE
from tospike.kernels.spiking.record import Population, Synapses
from tospike.kernels.spiking.shapes import padded

Floats = NDArray[np.float32]
Longs = NDArray[np.int64]

#: outputs of a panel of the dense path
PANEL = 16
#: weights of the event path that lie in the second cache beside all else
BLOCK_BYTES = 320 << 10
#: slots of a call from which blocks of channels pay
BLOCK_SLOTS = 16


#: channels of a tensor of floats are rounded up to a multiple: one vector of int16
LANES = 16


def rounded_up(n: int, step: int) -> int:
    """The next multiple of ``step``."""
    return -(-n // step) * step


def aligned_zeros(shape: tuple[int, ...], dtype: type[np.generic]) -> NDArray[Any]:
    """Zeros that begin on a cache line: no vector of a row then lies in two."""
    size = math.prod(shape) * np.dtype(dtype).itemsize
    room = np.zeros(size + 64, np.uint8)
    first = -int(room.ctypes.data) % 64
    return room[first : first + size].view(dtype).reshape(shape)


@dataclass(frozen=True, eq=False)
class Geometry:
    """A convolution on (H, W) places of ``channels``; a linear layer is one as large as its input.

    All pairs are (vertical, horizontal).
    """

    channels: int
    size: tuple[int, int]
    outputs: int
    out_size: tuple[int, int]
    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int]
    dilation: tuple[int, int]
    groups: int

    @property
    def taps(self) -> int:
        return self.kernel[0] * self.kernel[1]

    @property
    def image(self) -> tuple[int, int]:
        """Size of the input with all that the kernel touches."""
        high, wide = (
            max(
                (self.out_size[k] - 1) * self.stride[k]
                + self.dilation[k] * (self.kernel[k] - 1)
                + 1,
                self.size[k] + self.padding[k],
            )
            for k in range(2)
        )
        return high, wide

    @property
    def whole_rows(self) -> bool:
        """Does a row of the kernel read one run of neighbouring inputs?"""
        return self.dilation[1] == 1 and self.groups == 1

    @property
    def run_length(self) -> int:
        """Inputs of a run of the dense path."""
        if self.whole_rows:
            return self.kernel[1] * self.channels
        return self.channels // self.groups

    def offsets(self) -> Longs:
        """Bytes from the first input of an output place to every run."""
        rows = np.arange(self.kernel[0]) * self.dilation[0] * self.image[1]
        columns = np.arange(self.kernel[1]) * self.dilation[1]
        starts = rows[:, None] + (columns[:1] if self.whole_rows else columns)
        return (4 * self.channels * starts).astype(np.int64).reshape(-1)

    def fan_out(self) -> Longs:
        """(H W,): synapses of every input place, per channel; exact at borders and strides."""
        reached = []
        for k in range(2):
            at = (
                np.arange(self.out_size[k])[:, None] * self.stride[k]
                - self.padding[k]
                + np.arange(self.kernel[k]) * self.dilation[k]
            )
            inside = at[(at >= 0) & (at < self.size[k])]
            reached.append(np.bincount(inside, minlength=self.size[k]))
        outputs = self.outputs // self.groups
        return (np.outer(reached[0], reached[1]) * outputs).astype(np.int64).reshape(-1)


@dataclass(frozen=True, eq=False)
class PackedSynapses:
    """``rows`` (taps, C, lanes) for events, ``panels`` (blocks, taps * C / groups, 16) for dense.

    ``exact_events``: additions of rows that an int16 sum can take.
    """

    name: str
    geometry: Geometry
    rows: NDArray[np.float32] | NDArray[np.int16]
    row_kind: int
    lanes: int
    exact_events: int
    panels: Floats
    scale: Floats
    bias: Floats
    fan_out: Longs
    offsets: Longs

    @property
    def block(self) -> int:
        """Channels that one pass over all slots computes: their weights fit the second cache.

        Only layers of one place go by blocks. Places of a convolution share events, and read whole
        rows faster than parts of them again and again.
        """
        g = self.geometry
        if g.groups > 1 or g.out_size != (1, 1) or self.rows.nbytes <= BLOCK_BYTES:
            return rounded_up(g.outputs, LANES)
        per_word = 64 * len(self.rows) * self.rows.itemsize
        return 64 * max(1, BLOCK_BYTES // per_word)

    @property
    def blocks(self) -> int:
        return -(-self.geometry.outputs // self.block)

    def near_bytes(self, slots: int) -> int:
        """Of the weights that lie near while the events of a call of ``slots`` slots are added."""
        whole = int(self.rows.nbytes)
        if slots < BLOCK_SLOTS:
            return whole
        return min(whole, len(self.rows) * self.block * self.rows.itemsize)


def pack_synapses(node: Synapses, places: int, channels: int, spikes: bool) -> PackedSynapses:
    """For inputs stored as ``places`` of ``channels``; int16 rows only for spikes."""
    geometry, weight = _geometry(node, places, channels)
    g = geometry
    outputs, inputs = g.outputs // g.groups, g.channels // g.groups
    exact = node.weight.dtype == np.int8 and spikes and g.groups == 1
    lanes = rounded_up(outputs, 16 if exact else 8) if g.groups == 1 else outputs
    # (O, I, KH, KW) -> (KH, KW, groups, inputs of one, outputs of one)
    parted = weight.reshape(g.groups, outputs, inputs, *g.kernel).transpose(3, 4, 0, 2, 1)
    rows = aligned_zeros((g.taps * g.channels, lanes), np.int16 if exact else np.float32)
    rows[:, :outputs] = parted.reshape(-1, outputs)
    blocks = -(-outputs // PANEL)
    panels = aligned_zeros((g.groups, blocks, g.taps * inputs, PANEL), np.float32)
    for group in range(g.groups):
        taken = parted[:, :, group].reshape(-1, outputs)
        for block in range(blocks):
            part = taken[:, block * PANEL : (block + 1) * PANEL]
            panels[group, block, :, : part.shape[1]] = part
    # a panel of the last of several groups reads beyond the outputs
    stride = rounded_up(g.outputs, LANES) + PANEL
    scale, bias = np.ones(stride, np.float32), np.zeros(stride, np.float32)
    if node.scale is not None:
        scale[: g.outputs] = node.scale
    if node.bias is not None:
        bias[: g.outputs] = node.bias
    largest = max(1, int(np.abs(rows).max())) if exact else 1
    return PackedSynapses(
        node.name, g, rows, INT16 if exact else FLOAT32, lanes, 32767 // largest,
        panels.reshape(-1, g.taps * inputs, PANEL), scale, bias, g.fan_out(), g.offsets(),
    )  # fmt: skip


def _geometry(node: Synapses, places: int, channels: int) -> tuple[Geometry, NDArray[np.generic]]:
    if node.kind == "linear":
        outputs = len(node.weight)
        # stored channels last: input c * places + p is channel c of place p
        weight = node.weight.reshape(outputs, channels, 1, places)
        geometry = Geometry(
            channels, (1, places), outputs, (1, 1), (1, places), (1, 1), (0, 0), (1, 1), 1
        )
        return geometry, weight
    rank = node.weight.ndim - 2

    def pair(values: tuple[int, ...], default: int) -> tuple[int, int]:
        both = (default,) * (2 - rank) + tuple(values)
        return both[0], both[1]

    kernel = pair(node.weight.shape[2:], 1)
    geometry = Geometry(
        channels,
        pair(tuple(node.in_shape[1:]), 1),
        len(node.weight),
        pair(tuple(node.out_shape[1:]), 1),
        kernel,
        pair(padded(node.stride, rank, 1), 1),
        pair(padded(node.padding, rank, 0), 0),
        pair(padded(node.dilation, rank, 1), 1),
        node.groups,
    )
    return geometry, node.weight.reshape(*node.weight.shape[:2], *kernel)


@dataclass(frozen=True, eq=False)
class PackedPopulation:
    """All (1, lanes) if the same at all places, else (P, lanes)."""

    name: str
    shape: tuple[int, ...]
    threshold: Floats
    decay: Floats
    gain: Floats
    initial: Floats
    reset: Floats
    reset_kind: int

    @property
    def stride(self) -> int:
        """Floats from the parameters of one place to those of the next."""
        return self.threshold.shape[1] if len(self.threshold) > 1 else 0


def pack_population(node: Population) -> PackedPopulation:
    """Channels last, channels rounded up; the lanes that are filled up never fire."""
    channels, places = node.shape[0], math.prod(node.shape[1:])
    lanes = rounded_up(channels, LANES)

    def spread(values: NDArray[np.float32], rows: int, fill: float) -> Floats:
        values = np.asarray(values, np.float32)
        if values.ndim == 1:
            values = values.reshape(-1, *[1] * (len(node.shape) - 1))
        full = np.broadcast_to(values, node.shape).reshape(channels, places).T
        out = np.full((rows, lanes), fill, np.float32)
        out[:, :channels] = full[:rows]
        return out

    parameters = node.threshold, node.decay, node.gain
    alike = all(np.ndim(one) == 0 or np.shape(one) == node.shape[:1] for one in parameters)
    rows = 1 if alike else places
    kinds = {(False, 0): SOFT, (True, 0): HARD, (False, 1): SOFT_LATE, (True, 1): HARD_LATE}
    return PackedPopulation(
        node.name,
        tuple(node.shape),
        spread(node.threshold, rows, math.inf),
        spread(node.decay, rows, 0.0),
        spread(node.gain, rows, 0.0),
        spread(node.initial, places if np.shape(node.initial) == node.shape else 1, 0.0),
        np.array([node.reset or 0.0], np.float32),
        kinds[node.reset is not None, node.reset_delay],
    )
