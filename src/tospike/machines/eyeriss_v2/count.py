"""What a mapped layer does: MACs, accesses to scratchpads and buffers, words on the mesh."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tospike.actions import Entry, count
from tospike.machines.eyeriss_v2 import exact
from tospike.machines.eyeriss_v2 import mapping as mean
from tospike.machines.eyeriss_v2.chip import Chip
from tospike.machines.eyeriss_v2.mapping import Mappings
from tospike.machines.eyeriss_v2.tensors import Pattern
from tospike.machines.record import Traffic
from tospike.machines.row_stationary.shape import Shape


class Work(NamedTuple):
    """Actions of one layer. ``executed``: MACs that were not skipped; of these, ``gated``.

    iact_reads, weight_reads : of the scratchpads, weights in words of ``simd``. *_bits : what is
    moved: into the PEs (all copies), through the buffers, to and from the DRAM.
    """

    executed: float
    gated: float
    iact_reads: float
    weight_reads: float
    weight_fill_bits: float
    iact_fill_bits: float
    iact_buffer_bits: float
    iact_buffer_read_bits: float
    psum_moves: float
    psum_buffer_words: float
    dram_weight_bits: float
    dram_iact_bits: float
    dram_output_bits: float


class _Macs(NamedTuple):
    """MACs that are not skipped and those of them with two non-zero operands; reads of
    scratchpads; mean words of weights of one PE."""

    executed: float
    effective: float
    iact_reads: float
    weight_reads: float
    words_in_pe: float


def work_of(
    of: Mappings,
    shape: Shape,
    chip: Chip,
    pattern: Pattern,
    counted: exact.Uses | None,
    words: exact.Words | None,
    gates: tuple[bool, bool],
) -> Work:
    """Count one mapping (``of`` has one entry); ``counted`` None takes the mean densities.

    gates : whether zero iacts and zero weights save the energy of their MAC.
    """
    if counted is None or words is None:
        macs = _mean_macs(of, shape, chip, pattern, gates)
    else:
        macs = _real_macs(of, shape, counted, words, gates)
    sets = shape.groups * int(mean.ceil_div(shape.filters, of.filters)[0])
    lanes, tiles = int(of.lanes[0]), int(of.tiles[0])
    filter_turns = int(mean.filter_turns(of, shape)[0])
    channel_turns = int(mean.channel_turns(of, shape)[0])
    per_iact = float(mean.iact_bits(of, shape, chip, pattern.iact)[0])
    per_pe = mean.weight_bits(of, shape, chip, np.array([macs.words_in_pe]))
    pes = sets * shape.rows * int(mean.ceil_div(shape.channels, of.channels)[0])
    weight_bits = pes * float(per_pe[0]) * tiles
    channels = shape.channels * shape.images
    iact_bits = shape.groups * channels * shape.in_rows * shape.in_columns * per_iact
    again = 1 if iact_bits / tiles <= chip.iact_buffer else filter_turns
    # rows that two steps share are read from the buffer twice
    halo = max(1.0, ((lanes - 1) * shape.stride_rows + shape.rows) / (lanes * shape.stride_rows))
    pe_rows = sets * shape.rows * channels * shape.out_rows
    return Work(
        executed=macs.executed,
        gated=macs.executed - macs.effective,
        iact_reads=macs.iact_reads,
        weight_reads=macs.weight_reads,
        weight_fill_bits=weight_bits * lanes,
        iact_fill_bits=pe_rows * shape.in_columns * per_iact,
        iact_buffer_bits=iact_bits * again,
        iact_buffer_read_bits=iact_bits * halo * filter_turns,
        psum_moves=float(shape.outputs * channel_turns * shape.rows * int(of.blocks[0])),
        psum_buffer_words=float(shape.outputs * (channel_turns - 1)),
        dram_weight_bits=weight_bits,
        dram_iact_bits=iact_bits * again,
        dram_output_bits=float(shape.outputs * chip.value_bits),
    )


def _mean_macs(
    of: Mappings, shape: Shape, chip: Chip, pattern: Pattern, gates: tuple[bool, bool]
) -> _Macs:
    iact = pattern.iact if of.compress_iact[0] else 1.0
    weight = pattern.weight if of.compress_weight[0] else 1.0
    executed = shape.macs * iact * weight
    saved = (pattern.iact if gates[0] else 1.0) * (pattern.weight if gates[1] else 1.0)
    words = float(mean.column_words(of, chip, pattern.weight)[0])
    sets = int(mean.ceil_div(shape.filters, of.filters)[0])
    reads = shape.macs / shape.filters * sets * iact
    columns = int(of.channels[0]) * shape.columns
    return _Macs(executed, executed * saved, reads, reads * words, columns * words)


def _real_macs(
    of: Mappings,
    shape: Shape,
    counted: exact.Uses,
    weights_of: exact.Words,
    gates: tuple[bool, bool],
) -> _Macs:
    sparse = _uses_per_tap(counted.sparse, shape)
    dense = _uses_per_tap(counted.dense, shape)
    iacts = sparse if of.compress_iact[0] else dense
    nonzero = weights_of.weights.sum(axis=1).astype(np.float64)  # (groups, channels, rows, taps)
    full = np.full_like(nonzero, shape.filters)
    weights = nonzero if of.compress_weight[0] else full
    executed = float((iacts * weights).sum())
    left = (sparse if gates[0] else iacts) * (nonzero if gates[1] else weights)
    words = weights_of.of(int(of.filters[0]), bool(of.compress_weight[0]))
    sets = words.shape[1]
    pes = sets * shape.groups * shape.rows * -(-shape.channels // int(of.channels[0]))
    return _Macs(
        executed=executed,
        effective=float(left.sum()),
        iact_reads=float(iacts.sum()) * sets,
        weight_reads=float((iacts * words.sum(axis=1, dtype=np.int64)).sum()),
        words_in_pe=float(words.sum(dtype=np.int64)) / pes,
    )


def _uses_per_tap(uses: exact.Ints, shape: Shape) -> NDArray[np.float64]:
    """Uses of all images and output rows: (groups, channels, filter rows, taps)."""
    last = (shape.out_rows - 1) * shape.stride_rows + 1
    rows = [uses[:, :, :, r : r + last : shape.stride_rows] for r in range(shape.rows)]
    found: NDArray[np.float64] = np.stack([row.sum(axis=(1, 3)) for row in rows], axis=2).astype(
        float
    )
    return found


def entries(name: str, work: Work, chip: Chip) -> list[Entry]:
    """The counts of one layer, for the pricing."""
    value, psum = chip.value_bits, chip.psum_bits
    pair = value + chip.count_bits
    word = chip.simd * pair
    live = work.executed - work.gated

    def made(component: str, action: str, datatype: str, number: float, bits: int) -> Entry:
        part = "weights_off_chip" if component == "dram" and datatype == "weight" else "synapse"
        return count(name, component, action, datatype, number, bits=bits, part=part)

    return [
        made("alu", "mac", "none", live, value),
        made("alu", "mac_gated", "none", work.gated, value),
        made("register", "read", "iact", work.iact_reads, pair),
        made("register", "read", "weight", work.weight_reads, word),
        made("register", "read", "psum", live, psum),
        made("register", "write", "psum", live, psum),
        made("register", "write", "weight", work.weight_fill_bits / word, word),
        made("register", "write", "iact", work.iact_fill_bits / pair, pair),
        made("noc", "hop", "weight", work.weight_fill_bits / word, word),
        made("noc", "hop", "iact", work.iact_fill_bits / pair, pair),
        made("noc", "hop", "psum", work.psum_moves, psum),
        made("sram", "write", "iact", work.iact_buffer_bits / word, word),
        made("sram", "read", "iact", work.iact_buffer_read_bits / word, word),
        made("sram", "read", "psum", work.psum_buffer_words, psum),
        made("sram", "write", "psum", work.psum_buffer_words, psum),
        made("dram", "read", "weight", work.dram_weight_bits / value, value),
        made("dram", "read", "iact", work.dram_iact_bits / value, value),
        made("dram", "write", "oact", work.dram_output_bits / value, value),
    ]


def traffic(work: Work, chip: Chip) -> dict[str, Traffic]:
    """Bytes per memory level."""
    pair = chip.value_bits + chip.count_bits
    live = (work.executed - work.gated) * chip.psum_bits / 8
    reads = (work.iact_reads + work.weight_reads * chip.simd) * pair / 8
    psums = work.psum_buffer_words * chip.psum_bits / 8
    filled = (work.weight_fill_bits + work.iact_fill_bits) / 8
    read = (work.dram_weight_bits + work.dram_iact_bits) / 8
    return {
        "scratchpad": Traffic(reads + live, filled + live),
        "iact_buffer": Traffic(work.iact_buffer_read_bits / 8, work.iact_buffer_bits / 8),
        "psum_buffer": Traffic(psums, psums),
        "dram": Traffic(read, work.dram_output_bits / 8),
    }
