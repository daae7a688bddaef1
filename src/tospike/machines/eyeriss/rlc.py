"""Run-length compression of feature maps (Chen 2017, JSSC): bit-exact codec and sizes.

A *pair* is a run of zeros and the value behind it, the level. A level of 0 stands where a run is
longer than its field can say, and at the end. Words hold as many pairs as fit; the last bit of a
word marks the last one of a stream. Eyeriss: runs of 5 bit, levels of 16 bit, three pairs in a
word of 64 bit.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tospike.errors import DataError, RangeError

Words = NDArray[np.uint64]


@dataclass(frozen=True, slots=True)
class Rlc:
    """Widths in bit. ``pairs`` in one word; a word is 64 bit or less."""

    run_bits: int = 5
    level_bits: int = 16
    pairs: int = 3
    word_bits: int = 64

    def __post_init__(self) -> None:
        used = self.pairs * (self.run_bits + self.level_bits) + 1
        least = min(self.run_bits, self.level_bits, self.pairs)
        if least < 1 or used > self.word_bits or self.word_bits > 64:
            raise RangeError(
                "make a run-length code",
                received=f"{self.pairs} pairs of {self.run_bits} + {self.level_bits} bit in a "
                f"word of {self.word_bits} bit",
                allowed="at least one of each, and pairs and one end bit within a word of 64 bit",
            )

    @property
    def span(self) -> int:
        """Values that the longest pair stands for: a full run and its level."""
        return 1 << self.run_bits

    def words(self, pairs: int) -> int:
        """Words that hold so many pairs."""
        return -(-pairs // self.pairs)


def pairs_of(values: Any, code: Rlc) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(runs, places of the levels) of a tensor in C order; a level may be a zero."""
    flat = np.asarray(values).reshape(-1)
    at = np.flatnonzero(flat)
    gaps = np.diff(at, prepend=-1) - 1
    tail = flat.size - 1 - (int(at[-1]) if at.size else -1)
    # a gap of g zeros takes g // span pairs of a full run and a zero level before its own pair
    full = np.append(gaps, max(tail - 1, 0)) // code.span
    last = tail > 0  # zeros at the end: the last one is a level
    sizes = full + 1
    if not last:
        sizes[-1] = 0
    ends = np.append(at, flat.size - 1)
    group = np.repeat(np.arange(sizes.size), sizes)
    within = np.arange(group.size) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    start = np.concatenate([[0], at + 1])[group] + within * code.span
    final = within == sizes[group] - 1
    places = np.where(final, ends[group], start + code.span - 1)
    runs = places - start
    return runs.astype(np.int64), places.astype(np.int64)


def encode(values: Any, code: Rlc | None = None) -> Words:
    """Words of a tensor of whole numbers that fit ``level_bits`` (two's complement), in C order.

    Raises :class:`DataError` for numbers that are not whole or do not fit.
    """
    code = code or Rlc()
    given = np.asarray(values)
    low, high = -(1 << (code.level_bits - 1)), (1 << (code.level_bits - 1)) - 1
    whole = np.issubdtype(given.dtype, np.integer) or given.dtype == np.bool_
    if not whole or (given.size and (given.min() < low or given.max() > high)):
        raise DataError(
            "encode a feature map",
            received=f"type {given.dtype}"
            + (f", {given.min()} to {given.max()}" if given.size and whole else ""),
            allowed=f"whole numbers from {low} to {high}",
            fix="quantise the values first",
        )
    runs, places = pairs_of(given, code)
    mask = (1 << code.level_bits) - 1
    levels = given.reshape(-1)[places].astype(np.int64) & mask
    pair = (runs << code.level_bits | levels).astype(np.uint64)
    n = code.words(pair.size)
    padded = np.zeros(n * code.pairs, np.uint64)
    padded[: pair.size] = pair
    words = np.zeros(n, np.uint64)
    width = code.run_bits + code.level_bits
    for k in range(code.pairs):
        shift = code.word_bits - (k + 1) * width
        words |= padded[k :: code.pairs] << np.uint64(shift)
    if n:
        words[-1] |= np.uint64(1)
    return words


def decode(words: Words, count: int, code: Rlc | None = None) -> NDArray[np.int64]:
    """The ``count`` values of a stream, shape (count,).

    Raises :class:`DataError` for a stream that ends too early or goes on behind its end bit.
    """
    code = code or Rlc()
    given = np.asarray(words, np.uint64)
    ends = np.flatnonzero(given & np.uint64(1))
    if count < 0 or (count > 0) != (given.size > 0) or list(ends) != [given.size - 1] * (count > 0):
        raise DataError(
            "decode a feature map",
            received=f"{given.size} words with {ends.size} end bits for {count} values",
            allowed="one end bit, in the last word",
            fix="the stream is damaged or cut; write it again",
        )
    width = code.run_bits + code.level_bits
    pairs = np.zeros(given.size * code.pairs, np.int64)
    for k in range(code.pairs):
        shift = np.uint64(code.word_bits - (k + 1) * width)
        pairs[k :: code.pairs] = (given >> shift & np.uint64((1 << width) - 1)).astype(np.int64)
    levels = pairs & ((1 << code.level_bits) - 1)
    levels -= (levels >> (code.level_bits - 1)) << code.level_bits
    places = np.cumsum((pairs >> code.level_bits) + 1) - 1
    used = int(np.searchsorted(places, count))  # pairs up to the last value
    ends_there = used > 0 and int(places[used - 1]) == count - 1
    # at most the last word has empty pairs, which are all zeros
    if count and not (ends_there and used > places.size - code.pairs and not pairs[used:].any()):
        raise DataError(
            "decode a feature map",
            received=f"pairs for {int(places[-1]) + 1} values at most",
            allowed=f"{count} values",
            fix="the stream is damaged, or the number of values is that of another tensor",
        )
    found = np.zeros(count, np.int64)
    found[places[:used]] = levels[:used]
    return found


def ratio(values: Any, code: Rlc, value_bits: int) -> float:
    """Bits of the code over bits of the plain tensor; 1 for an empty tensor."""
    size = int(np.asarray(values).size)
    if not size:
        return 1.0
    runs, _ = pairs_of(values, code)
    return code.words(runs.size) * code.word_bits / (size * value_bits)


def expected_ratio(zero_fraction: float, code: Rlc, value_bits: int) -> float:
    """Mean of :func:`ratio` for long tensors whose values are zero independently of each other.

    A pair stands for sum_{k < span} z^k = (1 - z^span) / (1 - z) values on average. Real zeros
    stand together, which makes runs longer and fewer. Falls with the zero fraction.
    """
    z = zero_fraction
    if not 0 <= z <= 1 or math.isnan(z):
        raise RangeError("estimate a compression", received=f"{z}", allowed="0 to 1")
    values = code.span if z == 1 else (1 - z**code.span) / (1 - z)
    return code.word_bits / code.pairs / value_bits / values
