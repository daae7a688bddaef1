"""Row-stationary mapping of one layer: strip mining, folding, and n, m, e, p, q, r, t.

The letters are those of Chen 2017 (JSSC): a *PE set* of R rows and e columns computes e rows of an
output map; e < E is strip mining, and a set wider than the array is folded into pieces below each
other. In one *pass* every set works on p filters and q channels; r sets add up their psums over
different channels and t sets have different filters. n images and m output maps keep their psums
in the buffer while all channels pass.

The rule that chooses, written down here because the paper gives only the results for AlexNet:

1. output rows of more than ``row_outputs_max`` values are cut into the fewest equal parts;
2. n is 1, or all images that run at once where maps are not strip mined; m divides M (or M padded
   to a multiple of 4 or 16) and p t divides m; q r need not divide C; r > 1 only for sets that are
   not folded, up to ``r_max``;
3. psums (n m e F), a strip of the input of one pass (n q r rows) and a reserve fit the buffer; the
   filters of one pass fit the filter buffer; p q S, q S and p fit the scratchpads;
4. of these, mappings with at most ``dram_slack`` times the least DRAM traffic of any, with input
   maps compressed as at ``planned_zero_fraction``;
5. of these, mappings that use at least ``utilisation_floor`` of the most PEs that any can use;
6. of these, the least DRAM traffic, and then the least traffic between buffer and PEs.

The choice does not look at the data that then run.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

from tospike.machines.eyeriss.chip import Chip
from tospike.machines.eyeriss.rlc import expected_ratio
from tospike.machines.row_stationary.shape import Shape

#: M may be padded to a multiple of one of these, by less than a quarter
_PADDED = (1, 4, 16)
_EQUAL = 1 + 1e-9


@dataclass(frozen=True, slots=True)
class Mapping:
    """One layer on the array. ``f`` : output columns of a part, F unless rows are cut."""

    n: int
    m: int
    e: int
    f: int
    p: int
    q: int
    r: int
    t: int
    pieces: int
    active_pe: int


@dataclass(frozen=True, slots=True)
class _Strip:
    """Choices that fix the DRAM traffic. sets : PE sets that fit the array; across : beside each
    other; bands : below each other."""

    n: int
    m: int
    e: int
    f: int
    pieces: int
    across: int
    bands: int
    dram: float

    @property
    def sets(self) -> int:
        return self.across * (self.bands // self.pieces)


def choose(shape: Shape, chip: Chip, *, images: int, compressed: bool) -> Mapping | None:
    """The mapping of the rule above, or None if none fits (:func:`misfit` says why).

    images : of the batch that run at once (``shape.images`` holds also the calls of a layer and the
    rows of a linear one). compressed : the input comes run-length coded from the DRAM.
    """
    strips = [strip for strip in _strips(shape, chip, images, compressed) if strip.sets]
    least = min((strip.dram for strip in strips), default=0.0)
    strips = [strip for strip in strips if strip.dram <= chip.dram_slack * least * _EQUAL]
    most = [_most_pe(strip, shape, chip) for strip in strips]
    floor = chip.utilisation_floor * max(most, default=0)
    strips = [strip for strip, pe in zip(strips, most, strict=True) if pe and pe >= floor]
    strips.sort(key=lambda strip: strip.dram)
    best: tuple[float, int, Mapping] | None = None
    limit = float("inf")
    for strip in strips:
        if strip.dram > limit * _EQUAL:
            break
        for mapping in _mappings(strip, shape, chip, chip.q_max):
            if mapping.active_pe < floor:
                continue
            limit = min(limit, strip.dram)
            key = (buffer_words(mapping, shape), -mapping.active_pe)
            if best is None or key < best[:2]:
                best = (*key, mapping)
    return None if best is None else best[2]


def misfit(shape: Shape, chip: Chip) -> str:
    """Why nothing fits, with the numbers and what to change; "" if something does."""
    rows, columns = shape.rows, shape.columns
    if rows > chip.rows:
        return (
            f"its kernel has {rows} rows and a PE set needs one row of PEs for each; the array has "
            f"{chip.rows}: enlarge array_rows (sets are folded in width, not in height)"
        )
    for level, words in (("ifmap_spad", chip.ifmap_words), ("filter_spad", chip.filter_words)):
        if columns > words:
            return (
                f"its kernel has {columns} columns and {level} holds {words} values: enlarge the "
                f"level {level!r}"
            )
    filters = rows * columns * chip.word
    if filters > chip.filter_glb:
        return (
            f"one filter plane takes {filters:g} B and filter_glb holds {chip.filter_glb:g} B: "
            "enlarge the level 'filter_glb'"
        )
    f = _part(shape, chip)
    psums = f * chip.word
    strip = rows * _columns_for(shape, f) * chip.word
    if psums + strip + chip.reserve > chip.glb:
        return (
            f"one row of psums ({psums:g} B) and the {rows} input rows under it ({strip:g} B) do "
            f"not fit the buffer of {chip.glb:g} B with {chip.reserve:g} B in reserve: enlarge the "
            "level 'glb', or lower row_outputs_max so that rows are cut"
        )
    return ""


def buffer_words(mapping: Mapping, shape: Shape) -> float:
    """Values between buffer and PEs per output value and channel: psums, inputs, filters."""
    passes = -(-shape.channels // (mapping.q * mapping.r)) / shape.channels
    rows, columns = shape.rows_for(mapping.e), _columns_for(shape, mapping.f)
    inputs = rows * columns / (mapping.e * mapping.f * mapping.p * mapping.t)
    filters = shape.rows * shape.columns / (mapping.e * mapping.f * mapping.n)
    return 2 * passes + inputs + filters


def sets_of(e: int, rows: int, chip: Chip) -> tuple[int, int, int]:
    """(pieces of a folded set, sets beside each other, bands of ``rows`` PE rows)."""
    bands = chip.rows // rows
    if e > chip.columns:
        return -(-e // chip.columns), 1, bands
    return 1, chip.columns // e, bands


def _strips(shape: Shape, chip: Chip, images: int, compressed: bool) -> Iterator[_Strip]:
    """All (n, m, e) that can hold at least one channel."""
    f = _part(shape, chip)
    parts = -(-shape.out_columns // f)
    widest = min(shape.out_rows, chip.columns * max(1, chip.rows // shape.rows))
    share = expected_ratio(chip.planned_zeros, chip.rlc, chip.word_bits) if compressed else 1.0
    plane = shape.in_rows * shape.in_columns
    for e in range(1, widest + 1):
        pieces, across, bands = sets_of(e, shape.rows, chip)
        strips = -(-shape.out_rows // e)
        # every strip and part reads its halo again; padding is not told apart when planning
        rows = shape.in_rows + (strips - 1) * (shape.rows - shape.stride_rows)
        columns = shape.in_columns + (parts - 1) * (shape.columns - shape.stride_columns)
        again = max(1.0, rows * columns / plane)
        slab = shape.rows_for(e) * _columns_for(shape, f) * chip.word
        for n in sorted({1, images, shape.images} if e == shape.out_rows else {1}):
            for m in _divisors(shape.filters):
                if n * (m * e * f * chip.word + slab) + chip.reserve > chip.glb:
                    continue
                groups = -(-shape.filters // m)
                inputs = shape.channels * plane * again * groups * share
                filters = shape.filters * shape.channels * shape.rows * shape.columns
                dram = inputs + filters * strips * parts / n
                yield _Strip(n, m, e, f, pieces, across, bands, dram)


def _mappings(strip: _Strip, shape: Shape, chip: Chip, q_most: int) -> Iterator[Mapping]:
    """All (p, q, r, t) of a strip up to a q, with the largest p."""
    slab = strip.n * shape.rows_for(strip.e) * _columns_for(shape, strip.f) * chip.word
    room = chip.glb - chip.reserve - strip.n * strip.m * strip.e * strip.f * chip.word
    chain = min(chip.r_max, strip.bands) if strip.pieces == 1 else 1
    plane = shape.rows * shape.columns * chip.word
    for q in range(1, min(q_most, shape.channels, chip.ifmap_words // shape.columns) + 1):
        for r in range(1, min(chain, -(-shape.channels // q)) + 1):
            if q * r * slab > room:
                break
            most = strip.bands // (r * strip.pieces) * strip.across
            for t in _divisors_exact(strip.m):
                if t > most:
                    break
                p = _filters_per_pe(strip.m // t, q, r, t, shape.columns, plane, chip)
                if p:
                    sets = _used(min(p * t, shape.filters), t) * _used(
                        min(q * r, shape.channels), r
                    )
                    pe = shape.rows * strip.e * sets
                    yield Mapping(
                        strip.n, strip.m, strip.e, strip.f, p, q, r, t, strip.pieces, pe
                    )  # fmt: skip


def _used(items: int, sets: int) -> int:
    """Sets with work when items are dealt out in equal shares."""
    return -(-items // -(-items // sets))


def _filters_per_pe(
    share: int, q: int, r: int, t: int, columns: int, plane: float, chip: Chip
) -> int:
    """The largest p that divides ``share`` and fits scratchpads and filter buffer; 0 if none."""
    most = min(chip.p_max, chip.psum_words, chip.filter_words // (q * columns))
    most = min(most, int(chip.filter_glb // (plane * q * r * t)))
    return max((p for p in _divisors_exact(share) if p <= most), default=0)


def _most_pe(strip: _Strip, shape: Shape, chip: Chip) -> int:
    """PEs that a strip can use at most: most sets fit with one channel each."""
    return max((found.active_pe for found in _mappings(strip, shape, chip, 1)), default=0)


def _part(shape: Shape, chip: Chip) -> int:
    """Output columns of one part of a row."""
    parts = -(-shape.out_columns // chip.row_outputs_max)
    return -(-shape.out_columns // parts)


def _columns_for(shape: Shape, f: int) -> int:
    """Input columns under ``f`` neighbouring output columns."""
    return (f - 1) * shape.stride_columns + shape.columns


@cache
def _divisors_exact(n: int) -> tuple[int, ...]:
    return tuple(d for d in range(1, n + 1) if n % d == 0)


@cache
def _divisors(n: int) -> tuple[int, ...]:
    """Divisors of n and of the next multiples of 4 and 16."""
    padded = (-(-n // unit) * unit for unit in _PADDED if unit == 1 or 4 * unit <= n)
    return tuple(sorted({d for size in padded for d in _divisors_exact(size)}))
