"""Cycles and actions of one mapping with real tensors: the slowest PE of a pass decides."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tospike.machines.eyeriss_v2 import mapping as mean
from tospike.machines.eyeriss_v2.chip import Chip
from tospike.machines.eyeriss_v2.kernel import chain_cycles, column_words, uses_of
from tospike.machines.eyeriss_v2.mapping import Mappings
from tospike.machines.eyeriss_v2.tensors import Mask, Pattern
from tospike.machines.row_stationary.shape import Shape

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class Exact(NamedTuple):
    """Cycles of a layer: in all, of PEs that compute, and the bits to and from the DRAM."""

    cycles: float
    compute: float
    dram_bits: float


@dataclass(frozen=True, eq=False)
class Uses:
    """Uses of the iacts of a layer at each tap: (groups, images, channels, rows, taps)."""

    sparse: Ints
    dense: Ints


def uses(pattern: Pattern, shape: Shape) -> Uses:
    """Count the uses of each row once for all mappings."""
    if pattern.iacts is None:
        raise ValueError("a pattern without tensors has no uses")
    size = pattern.iacts.shape
    rows = pattern.iacts.reshape(-1, size[-1])
    sparse = uses_of(rows, shape.columns, shape.stride_columns, shape.out_columns)
    dense = np.full_like(sparse, shape.out_columns)
    target = (*size[:-1], shape.columns)
    return Uses(sparse.reshape(target), dense.reshape(target))


class Words:
    """Words of weights per column, kept for every M0 that was asked for."""

    def __init__(self, weights: Mask, chip: Chip) -> None:
        self.weights = weights
        self.chip = chip
        self._known: dict[tuple[int, bool], NDArray[np.int16]] = {}

    def of(self, filters: int, compressed: bool) -> NDArray[np.int16]:
        """(groups, sets, channels, filter rows, taps)."""
        key = (filters, compressed)
        if key not in self._known:
            chip = self.chip
            self._known[key] = (
                column_words(self.weights, filters, chip.simd, 1 << chip.count_bits)
                if compressed
                else _full_words(self.weights, filters, chip.simd)
            )
        return self._known[key]


def _full_words(weights: Mask, filters: int, simd: int) -> NDArray[np.int16]:
    groups, every = weights.shape[:2]
    sizes = [min(filters, every - first) for first in range(0, every, filters)]
    words = np.array([-(-size // simd) for size in sizes], dtype=np.int16)
    target = (groups, len(sizes), *weights.shape[2:])
    return np.ascontiguousarray(np.broadcast_to(words[:, None, None, None], target))


def evaluate(
    of: Mappings, shape: Shape, chip: Chip, iact: float, counted: Uses, weights: Words
) -> Exact | None:
    """One candidate (``of`` has one entry); None if its compressed weights do not fit a PE.

    iact : share of iacts that are not zero, for the sizes of what is moved.
    """
    c0, m0, blocks, lanes = (int(v[0]) for v in (of.channels, of.filters, of.blocks, of.lanes))
    words = weights.of(m0, bool(of.compress_weight[0]))
    in_pe = _per_pe(words, c0)
    if int(in_pe.max()) * chip.simd > chip.weight_pairs:
        return None
    chosen = counted.sparse if of.compress_iact[0] else counted.dense
    own = chain_cycles(chosen, words, c0, blocks, shape.stride_rows, shape.out_rows)
    chains = own.astype(np.float64) + mean.psum_cycles(of, shape, chip)[0]
    per_iact = mean.iact_bits(of, shape, chip, iact)
    floor = float(mean.step_floor(of, shape, chip, per_iact)[0])
    tiles = int(of.tiles[0])
    most = _slowest(in_pe, blocks).astype(np.float64)
    load = mean.weight_cycles(of, chip, mean.weight_bits(of, shape, chip, most))
    width = int(of.sets[0])
    busy = float(_pass_cycles(chains, lanes, width).sum())
    longest = _pass_cycles(np.asarray(np.maximum(chains, floor)), lanes, width)
    loads = np.maximum.reduceat(load, np.arange(0, len(load), width), axis=0)
    cycles = float((tiles * np.maximum(longest / tiles, loads)).sum())
    cycles += tiles * longest.size * (chip.pipeline_stages - 1)
    per_pe = mean.weight_bits(of, shape, chip, np.array([in_pe.mean()]))
    bits = float(mean.dram_bits(of, shape, chip, per_iact, per_pe)[0])
    if chip.dram_bits_per_cycle is not None:
        cycles = max(cycles, bits / chip.dram_bits_per_cycle)
    return Exact(cycles, busy, bits)


def _per_pe(words: NDArray[np.int16], channels: int) -> Ints:
    """Words of each PE: (groups * sets, channel blocks, filter rows)."""
    columns = words.sum(axis=-1, dtype=np.int64).reshape(-1, *words.shape[2:4])
    starts = np.arange(0, columns.shape[1], channels)
    return np.add.reduceat(columns, starts, axis=1)


def _slowest(in_pe: Ints, blocks: int) -> Ints:
    """Words of the PE of each chain that has most: (sets, turns)."""
    starts = np.arange(0, in_pe.shape[1], blocks)
    return np.maximum.reduceat(in_pe.max(axis=2), starts, axis=1)


def _pass_cycles(chains: Floats, lanes: int, width: int) -> Floats:
    """The longest lane of each pass: lane i computes rows i, i + lanes, ...

    chains : (sets, turns, rows); ``width`` sets run at a time. Returns (passes, turns).
    """
    sets, turns, rows = chains.shape
    filled = np.pad(chains, ((0, 0), (0, 0), (0, -rows % lanes)))
    longest = filled.reshape(sets, turns, -1, lanes).sum(axis=2).max(axis=2)
    found: Floats = np.maximum.reduceat(longest, np.arange(0, sets, width), axis=0)
    return found
