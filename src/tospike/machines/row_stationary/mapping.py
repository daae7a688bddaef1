"""The energy-optimal row-stationary mapping (Chen 2016, ISCA, sections V and VI).

A logical PE set of R x E processing elements computes one 2-D convolution. It is cut and copied
until it fills the physical array (:func:`array_of`). What the array computes at once is one
*pass*; the layer is a nest of loops of passes over channels, filters and images (or strips of
images). Each of the three loops is blocked twice, for the register files and for the buffer, and
the loops of both levels may stand in any order. :func:`best_mapping` takes the mapping of least
energy among all of them.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil, prod
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tospike.machines.row_stationary.shape import Shape

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

#: the three loops of passes; a datatype does not depend on the loop it is named after here
CHANNEL, FILTER, IMAGE = range(3)
ORDERS = tuple(itertools.permutations(range(3)))
#: the levels among the rows of :func:`accesses`
DRAM, BUFFER, ARRAY = slice(0, 4), slice(4, 8), slice(8, 11)


@dataclass(frozen=True, slots=True)
class Limits:
    """What the machine offers. Words are those of one operand; costs are relative to one MAC."""

    array_rows: int
    array_columns: int
    register_words: int
    buffer_words: int
    cost_dram: float
    cost_buffer: float
    cost_array: float
    cost_register: float


@dataclass(frozen=True, slots=True)
class PeArray:
    """How logical PE sets lie in the physical array.

    folds : parts of the filter rows that follow each other, for filters taller than the array.
    strips : parts of the output rows that follow each other. channels, filters : sets that work
    at the same time on different channels (their psums are added up) and on different filters.
    """

    folds: int
    strips: int
    channels: int
    filters: int


class Accesses(NamedTuple):
    """Words that are moved at each level, of all images.

    DRAM and buffer: as seen by that memory. Array: words that a PE receives from the buffer or from
    a neighbour.
    """

    dram_weight: float
    dram_iact: float
    dram_psum_read: float
    dram_psum_write: float
    buffer_weight: float
    buffer_iact: float
    buffer_psum_read: float
    buffer_psum_write: float
    array_weight: float
    array_iact: float
    array_psum: float

    @property
    def dram(self) -> float:
        """All words to and from the DRAM."""
        return self.dram_weight + self.dram_iact + self.dram_psum_read + self.dram_psum_write

    @property
    def buffer(self) -> float:
        """All words between the buffer and the array."""
        psums = self.buffer_psum_read + self.buffer_psum_write
        return self.buffer_weight + self.buffer_iact + psums

    @property
    def array(self) -> float:
        """All words received by PEs."""
        return self.array_weight + self.array_iact + self.array_psum


@dataclass(frozen=True, slots=True)
class Mapping:
    """One mapping: passes per loop at (outer, buffer, register) level, orders outermost first."""

    array: PeArray
    channel_loops: tuple[int, ...]
    filter_loops: tuple[int, ...]
    image_loops: tuple[int, ...]
    outer_order: tuple[int, ...]
    buffer_order: tuple[int, ...]
    accesses: Accesses
    register_words: int
    buffer_words: int

    @property
    def passes(self) -> int:
        """Passes of one group of channels."""
        return prod(self.channel_loops) * prod(self.filter_loops) * prod(self.image_loops)


def array_of(shape: Shape, limits: Limits) -> Iterator[PeArray]:
    """Every way to fill the array that needs the fewest passes.

    A set that is wider than the array is cut into strips of output rows, which are put below each
    other first; sets that remain free work on more channels and filters (Chen 2016, V.B).
    """
    folds = ceil(shape.rows / limits.array_rows)
    below = 1 if folds > 1 else limits.array_rows // shape.rows
    strips = ceil(shape.out_rows / limits.array_columns)
    beside = 1 if strips > 1 else limits.array_columns // shape.out_rows
    stacked = min(below, strips)
    strips = ceil(strips / stacked)
    below //= stacked
    ways = {
        PeArray(
            folds,
            strips,
            min(channels, shape.channels),
            min(below // channels * beside, shape.filters),
        )
        for channels in range(1, below + 1)
        if below % channels == 0
    }
    fewest = min(_loops(shape, way) for way in ways)
    return (way for way in ways if _loops(shape, way) == fewest)


def _loops(shape: Shape, array: PeArray) -> int:
    return ceil(shape.channels / array.channels) * ceil(shape.filters / array.filters)


def _splits(count: int) -> Ints:
    """All (outer, buffer, register) factors of a loop: (n, 3)."""
    divisors = [d for d in range(1, count + 1) if count % d == 0]
    rows = [(count // (b * r), b, r) for r in divisors for b in divisors if count % (b * r) == 0]
    return np.array(rows, dtype=np.int64)


class _Space(NamedTuple):
    """Blockings that fit: (n, 3 loops, 3 levels), and the words they keep."""

    loops: Ints
    register_words: Ints
    buffer_words: Ints


def _space(shape: Shape, array: PeArray, limits: Limits) -> _Space:
    counts = (
        ceil(shape.channels / array.channels),
        ceil(shape.filters / array.filters),
        shape.images * array.strips,
    )
    splits = [_splits(n) for n in counts]
    grid = np.indices(tuple(len(s) for s in splits)).reshape(3, -1)
    c, m, n = (split[index] for split, index in zip(splits, grid, strict=True))
    taps = shape.columns
    register = c[:, 2] * taps * (m[:, 2] + n[:, 2]) + m[:, 2] * n[:, 2]
    keep = register <= limits.register_words
    c, m, n, register = c[keep], m[keep], n[keep], register[keep]
    strip = ceil(shape.out_rows / array.strips)
    channels = c[:, 1] * c[:, 2] * array.channels
    filters = m[:, 1] * m[:, 2] * array.filters
    images = n[:, 1] * n[:, 2]
    buffer = (
        channels * filters * shape.rows * shape.columns
        + channels * images * shape.rows_for(strip) * shape.in_columns
        + filters * images * strip * shape.out_columns
    )
    keep = buffer <= limits.buffer_words
    loops = np.stack([c, m, n], axis=1)[keep]
    return _Space(loops, register[keep], buffer[keep])


def reloads(outer: Ints, inner: Ints, orders: tuple[tuple[int, ...], ...]) -> tuple[Ints, Ints]:
    """How often each word is brought to the buffer, and to the register files: (n, 3) each.

    Column ``CHANNEL`` is for psums, ``FILTER`` for iacts, ``IMAGE`` for weights: a datatype is
    the same for all turns of the loop of its column, and has to be brought again in each turn if
    one of its own loops runs inside. ``outer``, ``inner``: (n, 3) passes per loop.
    """
    buffer = np.ones_like(outer)
    register = np.ones_like(inner)
    for loop in range(3):
        own = [other for other in range(3) if other != loop]
        buffer[:, loop] = np.where(_inside(outer, orders[0], loop), outer[:, loop], 1)
        again = np.where(_inside(inner, orders[1], loop), inner[:, loop], 1) * outer[:, loop]
        still = (inner[:, own] == 1).all(axis=1)
        register[:, loop] = np.where(still, buffer[:, loop], again)
    return buffer, register


def _inside(turns: Ints, order: tuple[int, ...], loop: int) -> NDArray[np.bool_]:
    """Whether a loop that turns stands inside of ``loop``."""
    inner = list(order[order.index(loop) + 1 :])
    return np.asarray((turns[:, inner] > 1).any(axis=1), dtype=np.bool_)


def accesses(shape: Shape, array: PeArray, buffer: Ints, register: Ints) -> Floats:
    """Words per level, rows in the order of :class:`Accesses`, from :func:`reloads`: (11, n).

    DRAM and buffer: distinct words times reloads; input rows that two strips share are read twice.
    A psum that is brought f times is written f times and read f - 1 times. Array: every PE of a
    set receives its row of weights, iacts and psums.
    """
    strip = shape.out_rows / array.strips
    weights, psums = shape.weights, shape.outputs
    halo_rows = ((strip - 1) * shape.stride_rows + shape.rows) * array.strips
    maps = shape.groups * shape.channels * shape.images
    iacts = maps * halo_rows * shape.in_columns
    pe_iacts = maps * shape.out_rows * shape.rows * shape.in_columns * array.filters
    pe_psums = psums * shape.rows * array.channels
    near, far = register.astype(np.float64), buffer.astype(np.float64)
    return np.stack(
        [
            weights * far[:, IMAGE],
            iacts * far[:, FILTER],
            psums * (far[:, CHANNEL] - 1),
            psums * far[:, CHANNEL],
            weights * near[:, IMAGE],
            iacts * array.folds * near[:, FILTER],
            psums * (array.folds * near[:, CHANNEL] - 1),
            psums * array.folds * near[:, CHANNEL],
            weights * strip * near[:, IMAGE],
            pe_iacts * near[:, FILTER],
            pe_psums * (2 * near[:, CHANNEL] - 1),
        ]
    )


def energy(shape: Shape, words: Floats, limits: Limits) -> Floats:
    """Energy of each mapping in MACs: ALU, register files (4 accesses per MAC) and the rest."""
    found: Floats = (
        shape.macs * (1 + 4 * limits.cost_register)
        + limits.cost_dram * words[DRAM].sum(axis=0)
        + limits.cost_buffer * words[BUFFER].sum(axis=0)
        + limits.cost_array * words[ARRAY].sum(axis=0)
    )
    return found


def best_mapping(shape: Shape, limits: Limits) -> Mapping | None:
    """The mapping of least energy, or None if not even one pass fits the memories."""
    best: tuple[float, Mapping] | None = None
    for array in array_of(shape, limits):
        space = _space(shape, array, limits)
        if not len(space.loops):
            continue
        outer, inner = space.loops[:, :, 0], space.loops[:, :, 1]
        for orders in itertools.product(ORDERS, ORDERS):
            words = accesses(shape, array, *reloads(outer, inner, orders))
            cost = energy(shape, words, limits)
            at = int(np.argmin(cost))
            if best is None or cost[at] < best[0]:
                best = (float(cost[at]), _mapping(array, space, at, orders, words))
    return best[1] if best else None


def _mapping(
    array: PeArray, space: _Space, at: int, orders: tuple[tuple[int, ...], ...], words: Floats
) -> Mapping:
    channel, filters, image = (tuple(int(v) for v in row) for row in space.loops[at])
    return Mapping(
        array=array,
        channel_loops=channel,
        filter_loops=filters,
        image_loops=image,
        outer_order=orders[0],
        buffer_order=orders[1],
        accesses=Accesses(*(float(value) for value in words[:, at])),
        register_words=int(space.register_words[at]),
        buffer_words=int(space.buffer_words[at]),
    )
