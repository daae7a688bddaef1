"""How a layer lies on the clusters, and how long that takes on average.

A *chain* of PEs, some clusters high, adds up the psums of all filter rows and of a few blocks of
input channels. Chains side by side and below each other work on other output rows (*lanes*, which
share weights) or on other filters and groups (*sets*). A *pass* keeps one block of weights in the
scratchpads and runs all output rows through it.

All functions take arrays of candidates at once: one entry per mapping.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tospike.machines.eyeriss_v2.chip import Chip
from tospike.machines.row_stationary.shape import Shape

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class Density(NamedTuple):
    """Shares of values that are not zero in [0, 1], and what may be compressed (and skipped)."""

    iact: float
    weight: float
    skip_iact: bool
    skip_weight: bool


@dataclass(frozen=True, eq=False)
class Mappings:
    """Candidates, one entry each; integers unless said otherwise.

    channels, filters : C0 and M0 of a PE. height : clusters of a chain. blocks : channel blocks of
    a chain. lanes : output rows at a time. sets : blocks of filters (and groups) at a time.
    compress_iact, compress_weight : 0 or 1. tiles : parts of the output rows that follow each
    other because psums would not fit the buffer.
    """

    channels: Ints
    filters: Ints
    height: Ints
    blocks: Ints
    lanes: Ints
    sets: Ints
    compress_iact: Ints
    compress_weight: Ints
    tiles: Ints

    def take(self, index: Ints) -> Mappings:
        """Some of them."""
        return Mappings(*(getattr(self, name)[index] for name in _NAMES))

    def __len__(self) -> int:
        return len(self.channels)


_NAMES = tuple(Mappings.__dataclass_fields__)


class Times(NamedTuple):
    """Cycles per candidate: in all, of PEs that compute, and bits to and from the DRAM."""

    cycles: Floats
    compute: Floats
    dram_bits: Floats


def ceil_div(a: NDArray[np.generic] | int, b: NDArray[np.generic] | int) -> Ints:
    """Rounded up, element by element."""
    found: Ints = -(-np.asarray(a) // np.asarray(b))
    return found


def distinct_blocks(count: int, most: int) -> list[int]:
    """The smallest block size for every number of blocks that sizes up to ``most`` give."""
    sizes = {-(-count // -(-count // size)) for size in range(1, min(count, most) + 1)}
    return sorted(sizes)


def candidates(shape: Shape, chip: Chip, density: Density) -> Mappings:
    """Every mapping whose data fit the scratchpads of a PE; may be empty.

    Compressed weights fit by their mean number: how they really lie is checked with the tensor.
    """
    chains = [
        (height, max(1, min(chip.pe_rows * height // shape.rows, -(-shape.channels // c0))), c0)
        for height in range(1, chip.cluster_rows + 1)
        if chip.pe_rows * height >= shape.rows
        for c0 in distinct_blocks(shape.channels, chip.iact_window // shape.columns)
    ]
    modes = [(i, w) for i in range(1 + density.skip_iact) for w in range(1 + density.skip_weight)]
    found = [_of_chain(shape, chip, chain, modes) for chain in chains]
    if not found:
        return Mappings(*np.zeros((len(_NAMES), 0), dtype=np.int64))
    every = Mappings(*np.concatenate(found, axis=1))
    words = every.channels * shape.columns * column_words(every, chip, density.weight)
    fit = every.take(np.flatnonzero(words * chip.simd <= chip.weight_pairs))
    return _tiled(fit, shape, chip)


def _of_chain(
    shape: Shape, chip: Chip, chain: tuple[int, int, int], modes: list[tuple[int, int]]
) -> Ints:
    """Candidates with one kind of chain (height, blocks, C0): (fields, n)."""
    height, deep, channels = chain
    places = chip.cluster_rows // height * chip.columns
    lanes = distinct_blocks(shape.out_rows * shape.images, places)
    filters = distinct_blocks(shape.filters, chip.psum_words)
    at = np.indices((len(lanes), len(filters), len(modes))).reshape(3, -1)
    n_lanes, n_filters = np.array(lanes)[at[0]], np.array(filters)[at[1]]
    mode = np.array(modes)[at[2]]
    sets = np.minimum(places // n_lanes, shape.groups * ceil_div(shape.filters, n_filters))
    same = np.ones(len(n_lanes), dtype=np.int64)
    return np.stack(
        [channels * same, n_filters, height * same, deep * same, n_lanes, sets, mode[:, 0],
         mode[:, 1], same]
    )  # fmt: skip


def _tiled(of: Mappings, shape: Shape, chip: Chip) -> Mappings:
    """Cut the output rows where the psums of a pass do not fit the buffer."""
    alive = of.sets * of.filters * shape.out_rows * shape.out_columns * shape.images
    needed = ceil_div(alive * chip.psum_bits, int(chip.psum_buffer))
    steps = ceil_div(shape.out_rows * shape.images, of.lanes)
    tiles = np.where(channel_turns(of, shape) > 1, np.minimum(needed, steps), 1)
    return replace(of, tiles=np.maximum(tiles, 1))


def channel_turns(of: Mappings, shape: Shape) -> Ints:
    """Passes over the channels of one set."""
    return ceil_div(ceil_div(shape.channels, of.channels), of.blocks)


def filter_turns(of: Mappings, shape: Shape) -> Ints:
    """Passes over the filters and groups."""
    return ceil_div(shape.groups * ceil_div(shape.filters, of.filters), of.sets)


def column_words(of: Mappings, chip: Chip, density: float) -> Floats:
    """Mean words of ``simd`` weights in one column of M0: the cycles that an iact takes."""
    full = ceil_div(of.filters, chip.simd).astype(np.float64)
    return np.where(of.compress_weight == 1, _mean_words(of.filters, chip.simd, density), full)


def _mean_words(filters: Ints, simd: int, density: float) -> Floats:
    """E[ceil(K / simd)] with K of ``filters`` weights not zero, each with the same probability."""
    expected = np.zeros(int(filters.max(initial=0)) + 1)
    chance = np.ones(1)
    for size in range(1, len(expected)):
        chance = np.convolve(chance, (1 - density, density))
        expected[size] = (chance * ceil_div(np.arange(len(chance)), simd)).sum()
    found: Floats = expected[filters]
    return found


def weight_bits(of: Mappings, shape: Shape, chip: Chip, words: Floats) -> Floats:
    """Bits of the weights of one PE; ``words``: of all its columns together."""
    columns = of.channels * shape.columns
    packed = words * chip.simd * (chip.value_bits + chip.count_bits)
    packed = packed + (columns + 1) * chip.weight_address_bits
    raw = columns * of.filters * float(chip.value_bits)
    return np.where(of.compress_weight == 1, packed, raw)


def iact_bits(of: Mappings, shape: Shape, chip: Chip, density: float) -> Floats:
    """Mean bits per iact; a segment of C0 x U values has one address."""
    segment = of.channels * shape.stride_columns
    packed = density * (chip.value_bits + chip.count_bits) + chip.iact_address_bits / segment
    return np.where(of.compress_iact == 1, packed, float(chip.value_bits))


def weight_cycles(of: Mappings, chip: Chip, bits: Floats) -> Floats:
    """Cycles in which a router brings its row of PEs their weights of one pass."""
    different = ceil_div(chip.pe_columns, np.minimum(of.lanes, chip.pe_columns))
    return np.minimum(different, of.sets) * bits / chip.weight_port_bits


def step_floor(of: Mappings, shape: Shape, chip: Chip, per_iact: Floats) -> Floats:
    """Cycles below which no step comes, however few values are not zero.

    A step computes one output row per lane. The routers of a cluster bring the iacts (lanes hold
    neighbouring rows, which share input rows; sets of one group share all of them) and move the
    psums. A PE reads one address of a segment of C0 x U iacts per cycle, so that a segment of one
    value has nothing to skip (Chen 2019, V-A2: depthwise layers).
    """
    lanes = np.minimum(of.lanes, chip.pe_columns)
    beside = np.minimum(ceil_div(chip.pe_columns, lanes), of.sets)
    other_groups = ceil_div(beside, ceil_div(shape.filters, of.filters))
    other_groups = np.minimum(other_groups, shape.groups)
    blocks = np.minimum(-(-chip.pe_rows // shape.rows), of.blocks)
    rows = (lanes - 1) * shape.stride_rows + min(shape.rows, chip.pe_rows)
    values = other_groups * blocks * of.channels * rows * shape.in_columns
    iacts = values * per_iact / (chip.iact_routers * chip.iact_port_bits)
    psums = of.filters * shape.out_columns * chip.psum_bits / chip.psum_port_bits
    segments = shape.out_columns * -(-shape.columns // shape.stride_columns)
    floor = np.maximum(np.maximum(iacts, psums), of.compress_iact * segments)
    return np.asarray(floor, dtype=np.float64)


def psum_cycles(of: Mappings, shape: Shape, chip: Chip) -> Floats:
    """Cycles of one step in which the adders of a PE add the psums of the PE below."""
    words = ceil_div(of.filters, chip.simd)
    return np.asarray(chip.psum_word_cycles * words * shape.out_columns, dtype=np.float64)


def dram_bits(of: Mappings, shape: Shape, chip: Chip, per_iact: Floats, per_pe: Floats) -> Floats:
    """Bits read from and written to the DRAM: weights of each tile, iacts, outputs.

    Weights go to the PEs directly, once per tile. Iacts are read again in each turn over the
    filters if a tile of all channels does not fit the buffer. Outputs are written as iacts of
    8 bits without compression, since their zeros are not known here.
    """
    pes = shape.groups * ceil_div(shape.filters, of.filters) * shape.rows
    pes = pes * ceil_div(shape.channels, of.channels)
    iacts = shape.groups * shape.channels * shape.in_rows * shape.in_columns * shape.images
    packed = iacts * per_iact
    again = np.where(packed / of.tiles <= chip.iact_buffer, 1, filter_turns(of, shape))
    found: Floats = pes * per_pe * of.tiles + packed * again + shape.outputs * chip.value_bits
    return found


def mean_times(of: Mappings, shape: Shape, chip: Chip, density: Density) -> Times:
    """Cycles if all PEs had the mean number of values that are not zero: a lower bound."""
    words = of.channels * shape.columns * column_words(of, chip, density.weight)
    iacts = np.where(of.compress_iact == 1, density.iact, 1.0)
    compute = shape.out_columns * iacts * words + psum_cycles(of, shape, chip)
    per_iact = iact_bits(of, shape, chip, density.iact)
    per_pe = weight_bits(of, shape, chip, words)
    step = np.maximum(compute, step_floor(of, shape, chip, per_iact))
    steps = shape.out_rows * shape.images / of.lanes
    turns = channel_turns(of, shape) * filter_turns(of, shape)
    steps = np.ceil(steps) / of.tiles
    one = np.maximum(steps * step, weight_cycles(of, chip, per_pe)) + chip.pipeline_stages - 1
    bits = dram_bits(of, shape, chip, per_iact, per_pe)
    cycles = turns * of.tiles * one
    if chip.dram_bits_per_cycle is not None:
        cycles = np.maximum(cycles, bits / chip.dram_bits_per_cycle)
    return Times(cycles, turns * of.tiles * steps * compute, bits)


def ranked(times: Times) -> Ints:
    """Candidates by cycles, then by DRAM traffic."""
    return np.lexsort((times.dram_bits, times.cycles))
