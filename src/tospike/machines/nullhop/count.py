"""The actions of a layer, to be priced with the architecture's technology."""

from __future__ import annotations

from dataclasses import dataclass

from tospike.actions import Entry, count
from tospike.machines.nullhop.chip import Chip

BITS = 16
#: of a partial sum. 16 x 16 bit products; the width of the accumulators is not published
SUM_BITS = 32


@dataclass(frozen=True, slots=True)
class Tally:
    """What a layer did, for the whole batch. Words are of 16 bit.

    operations : MACs executed. outputs : values computed, before pooling. sharing : MACs that
    share an output map, whose partial sums are added. pool : side of the pooling window.
    """

    layer: str
    operations: float
    kernel_words: float
    input_words: float
    decoded_words: float
    outputs: float
    sharing: int
    pool: int


def counts_of(tally: Tally, chip: Chip) -> tuple[Entry, ...]:
    """MACs, one weight read per MAC, the streams in and out of both memories, ReLU and pooling.

    The accumulators are flip-flops of the MAC and priced with it.
    """
    name = tally.layer
    kernel = _capacity(chip.kernel_words * (2 if chip.kernel_overlap else 1))
    inputs = _capacity(chip.input_words)
    window = tally.pool**2
    compares = tally.outputs * (1 + (window - 1) / window)
    entries = [
        count(name, "alu", "mac", "psum", tally.operations, bits=BITS),
        count(name, "pe_sram", "read", "weight", tally.operations, bits=BITS,
              capacity_bytes=kernel),
        count(name, "pe_sram", "write", "weight", tally.kernel_words, bits=BITS,
              capacity_bytes=kernel),
        count(name, "sram", "write", "iact", tally.input_words, bits=BITS, capacity_bytes=inputs),
        count(name, "sram", "read", "iact", tally.decoded_words, bits=BITS,
              capacity_bytes=inputs),
        count(name, "alu", "compare", "oact", compares, bits=BITS),
    ]  # fmt: skip
    if tally.sharing > 1:
        sums = tally.outputs * (tally.sharing - 1)
        entries.append(count(name, "alu", "add", "psum", sums, bits=SUM_BITS))
    return tuple(entries)


def _capacity(words: int) -> float:
    return 2.0 * words
