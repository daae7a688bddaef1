"""What the passes of one layer do: cycles by cause, and values moved at every level.

One pass, in cycles: the filters come in while the pipelines and buses of the array fill up (the
longer of the two counts), then the PEs compute while psums and inputs move on buses of their own,
and the slowest of the three sets the pace:

    compute  n f p (q S + a)        a: the psum that comes in takes the adder of the PE
    psums    n e f p t / bus        read from and written to the buffer on two buses
    inputs   n q r rows columns / bus
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from math import ceil
from typing import NamedTuple

from tospike.machines.eyeriss.chip import Chip
from tospike.machines.eyeriss.mapping import Mapping, sets_of
from tospike.machines.row_stationary.shape import Shape


class Pass(NamedTuple):
    """``times`` equal passes: output rows and columns, filters, channels and images of each."""

    times: int
    rows: int
    columns: int
    filters: int
    channels: int
    images: int


@dataclass(slots=True)
class Work:
    """Sums over all passes of a layer, for all its groups and images.

    Cycles: busy (PEs compute), psum_bus and ifmap_bus (PEs wait for them), ramp_up, filter_load
    (what the filters take beyond the ramp-up). Values: *_reads and *_writes of the buffers as the
    array sees them (psums without the last read, which goes to the DRAM, are one pass less),
    deliveries to scratchpads, and psums handed on between PEs.
    """

    passes: int = 0
    busy: int = 0
    psum_bus: int = 0
    ifmap_bus: int = 0
    ramp_up: int = 0
    filter_load: int = 0
    macs: int = 0
    ifmap_reads: int = 0
    filter_reads: int = 0
    psum_writes: int = 0
    ifmap_deliveries: int = 0
    filter_deliveries: int = 0
    psum_hops: int = 0

    @property
    def processing(self) -> int:
        """Cycles without loads from and stores to the DRAM."""
        return self.busy + self.psum_bus + self.ifmap_bus + self.ramp_up + self.filter_load

    def add(self, other: Work, times: int) -> None:
        """Add ``times`` times the work of another."""
        for field in fields(self):
            total = getattr(self, field.name) + times * getattr(other, field.name)
            setattr(self, field.name, total)


def blocks(total: int, size: int) -> tuple[tuple[int, int], ...]:
    """(size, how often) of a range cut into blocks, the last one smaller."""
    whole, rest = divmod(total, size)
    return tuple((s, k) for s, k in ((size, whole), (rest, 1 if rest else 0)) if k)


def filter_blocks(filters: int, m: int, pt: int) -> tuple[tuple[int, int], ...]:
    """(filters of a pass, how often) for output maps that are taken m at a time."""
    found: dict[int, int] = {}
    for maps, times in blocks(filters, m):
        for size, count in blocks(maps, pt):
            found[size] = found.get(size, 0) + times * count
    return tuple(found.items())


def passes(shape: Shape, mapping: Mapping) -> Iterator[Pass]:
    """All passes of one group of a layer for ``shape.images`` images, equal ones together."""
    for images, a in blocks(shape.images, mapping.n):
        for rows, b in blocks(shape.out_rows, mapping.e):
            for columns, c in blocks(shape.out_columns, mapping.f):
                for channels, d in blocks(shape.channels, mapping.q * mapping.r):
                    for filters, g in filter_blocks(
                        shape.filters, mapping.m, mapping.p * mapping.t
                    ):
                        yield Pass(a * b * c * d * g, rows, columns, filters, channels, images)


def work_of(shape: Shape, mapping: Mapping, chip: Chip) -> Work:
    """Everything that the passes of a layer do, its groups included."""
    total = Work()
    for one in passes(shape, mapping):
        total.add(_one(one, shape, mapping, chip), one.times * shape.groups)
    return total


def _sets(rows: int, shape: Shape, mapping: Mapping, chip: Chip) -> int:
    """Sets with filters of their own; more than t in a last strip that is narrower than e."""
    if rows == mapping.e:
        return mapping.t
    pieces, across, bands = sets_of(rows, shape.rows, chip)
    most = bands // (mapping.r * pieces) * across
    return max(mapping.t, min(most, mapping.active_pe // (shape.rows * rows * mapping.r)))


def _one(one: Pass, shape: Shape, mapping: Mapping, chip: Chip) -> Work:
    """One pass."""
    per_pe = ceil(one.filters / _sets(one.rows, shape, mapping, chip))
    sets = ceil(one.filters / per_pe)
    depth = ceil(one.channels / mapping.r)
    chain = ceil(one.channels / depth)
    outputs = one.images * one.rows * one.columns * one.filters
    in_rows = shape.rows_for(one.rows)
    in_columns = (one.columns - 1) * shape.stride_columns + shape.columns
    inputs = one.images * one.channels * in_rows * in_columns
    weights = one.filters * one.channels * shape.rows * shape.columns

    busy = one.images * one.columns * per_pe * (depth * shape.columns + chip.psum_add)
    psums = ceil(outputs / chip.psum_bus)
    ifmap = ceil(inputs / chip.ifmap_bus)
    pace = max(busy, psums, ifmap)
    by_psums = psums >= ifmap
    setup = ceil(weights / chip.filter_bus)
    return Work(
        passes=1,
        busy=busy,
        psum_bus=pace - busy if by_psums else 0,
        ifmap_bus=0 if by_psums else pace - busy,
        ramp_up=chip.ramp_up,
        filter_load=max(0, setup - chip.ramp_up),
        macs=outputs * one.channels * shape.rows * shape.columns,
        ifmap_reads=inputs,
        filter_reads=weights,
        psum_writes=outputs,
        # a PE takes whole input rows, and the filter rows of its place in the set
        ifmap_deliveries=one.images * one.channels * in_columns * shape.rows * one.rows * sets,
        filter_deliveries=weights * one.rows,
        psum_hops=outputs * shape.rows * chain,
    )
