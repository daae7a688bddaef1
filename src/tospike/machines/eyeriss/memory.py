"""Off-chip traffic of one layer: input maps, filters, output maps; and the DRAM by command."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

from tospike.machines.dram.streams import bandwidth, commands
from tospike.machines.eyeriss.chip import Chip
from tospike.machines.eyeriss.mapping import Mapping
from tospike.machines.eyeriss.passes import blocks
from tospike.machines.row_stationary.shape import Shape
from tospike.network import Layer
from tospike.technology.dram import DramCommands


@dataclass(frozen=True, slots=True)
class OffChip:
    """Bytes of one layer for all images. *_values : the same before compression, as they are
    written to and read from the buffer."""

    ifmap: int
    filters: int
    ofmap: int
    ifmap_values: int
    filter_values: int
    ofmap_values: int

    @property
    def read(self) -> int:
        """Bytes from the DRAM."""
        return self.ifmap + self.filters

    @property
    def total(self) -> int:
        """Bytes in both directions."""
        return self.read + self.ofmap

    def plus(self, other: OffChip, times: int) -> OffChip:
        """With ``times`` times the traffic of another run of the layer."""
        return OffChip(*(a + times * b for a, b in zip(_parts(self), _parts(other), strict=True)))


def off_chip(
    layer: Layer, shape: Shape, mapping: Mapping, chip: Chip, ifmap: float, ofmap: float
) -> OffChip:
    """Traffic with input and output maps at these shares of their plain size.

    Input maps are read once for each m of the M filters, with the halo of every strip but without
    padding; filters once for each strip and each n images; output maps are written once.
    """
    height, width = _plane(layer, shape)
    pad_rows, pad_columns = _padding(layer)
    rows = _covered(shape.out_rows, mapping.e, shape.stride_rows, shape.rows, pad_rows, height)
    columns = _covered(
        shape.out_columns, mapping.f, shape.stride_columns, shape.columns, pad_columns, width
    )
    maps = shape.groups * shape.images
    again = -(-shape.filters // mapping.m)
    inputs = maps * shape.channels * rows * columns * again
    strips = sum(k for _, k in blocks(shape.out_rows, mapping.e))
    parts = sum(k for _, k in blocks(shape.out_columns, mapping.f))
    loads = strips * parts * -(-shape.images // mapping.n)
    return OffChip(
        ifmap=ceil(inputs * chip.word * ifmap),
        filters=ceil(shape.weights * loads * chip.word),
        ofmap=ceil(shape.outputs * chip.word * ofmap),
        ifmap_values=inputs,
        filter_values=shape.weights * loads,
        ofmap_values=shape.outputs,
    )


def link_cycles(chip: Chip, read: float, written: float) -> int:
    """Core cycles of a transfer: the slower of the link of the chip and of the DRAM."""
    if not read + written:
        return 0
    pace = chip.link
    if chip.dram is not None:
        pace = min(pace, bandwidth(chip.dram, read, written, chip.dma_bytes) / chip.clock)
    return ceil((read + written) / pace)


def dram_commands(chip: Chip, traffic: OffChip, cycles: int) -> DramCommands | None:
    """Commands of the DRAM over a layer of so many core cycles; None without a device."""
    if chip.dram is None:
        return None
    return commands(chip.dram, traffic.read, traffic.ofmap, cycles / chip.clock, chip.dma_bytes)


def _parts(traffic: OffChip) -> tuple[int, ...]:
    return (
        traffic.ifmap, traffic.filters, traffic.ofmap,
        traffic.ifmap_values, traffic.filter_values, traffic.ofmap_values,
    )  # fmt: skip


def _covered(outputs: int, size: int, stride: int, kernel: int, padding: int, real: int) -> int:
    """Real input rows under the output rows, summed over strips of ``size`` rows."""
    total = 0
    for first in range(0, outputs, size):
        last = min(first + size, outputs) - 1
        begin = max(0, first * stride - padding)
        end = min(real, last * stride - padding + kernel)
        total += max(0, end - begin)
    return total


def _plane(layer: Layer, shape: Shape) -> tuple[int, int]:
    if layer.kind == "linear":
        return 1, 1
    if len(layer.kernel) == 1:
        return 1, layer.input_shape[1]
    return layer.input_shape[1], layer.input_shape[2]


def _padding(layer: Layer) -> tuple[int, int]:
    if layer.kind == "linear" or not layer.padding:
        return 0, 0
    if len(layer.kernel) == 1:
        return 0, layer.padding[0]
    return layer.padding[0], layer.padding[1]
