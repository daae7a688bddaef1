"""Compressed sparse columns as Eyeriss v2 stores them (Chen 2019, IV-A, Fig. 16). Bit exact.

A tensor is read in row-major order and cut into segments of equal length. Each value that is not
zero is stored with a count of the zeros before it in its segment; a run of zeros that the count
cannot express is broken by a pair of the highest count and the value zero. The address vector
holds where each segment begins; segments without values repeat the next address.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tospike.errors import RangeError

Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Csc:
    """An encoded tensor.

    data : stored values, (pairs,). count : zeros before each, (pairs,), below 2**count_bits.
    address : first pair of each segment and the end, (segments + 1,). segment : values per
    segment; the last one may be shorter.
    """

    data: NDArray[np.generic]
    count: Ints
    address: Ints
    shape: tuple[int, ...]
    segment: int
    count_bits: int

    def bits(self, value_bits: int, address_bits: int) -> int:
        """Size with values and addresses of that width; the end address is one of them."""
        return len(self.data) * (value_bits + self.count_bits) + len(self.address) * address_bits


def nonzero(values: NDArray[np.generic]) -> NDArray[np.bool_]:
    """Values whose bits are not all zero, so that -0.0 and NaN survive a round trip."""
    flat = np.ascontiguousarray(values).reshape(-1)
    raw = flat.view(np.uint8).reshape(flat.size, flat.itemsize)
    return np.asarray(raw.any(axis=1), dtype=np.bool_).reshape(values.shape)


def encode(values: NDArray[np.generic], segment: int, count_bits: int = 4) -> Csc:
    """Compress an array of numbers of any shape. Inverse: :func:`decode`.

    Raises :class:`RangeError` for a segment below 1, counts of no bits, or objects.
    """
    reasons = []
    if segment < 1:
        reasons.append(f"segment is {segment}; at least 1 value is needed")
    if not 1 <= count_bits <= 32:
        reasons.append(f"count_bits is {count_bits}; 1 to 32 are allowed")
    if values.dtype.kind not in "biufc":
        reasons.append(f"values are {values.dtype}; numbers are needed")
    if reasons:
        raise RangeError("encode a tensor in compressed sparse columns", reasons=reasons)
    flat = np.ascontiguousarray(values).reshape(-1)
    place = np.flatnonzero(nonzero(flat))
    column = place // segment
    before = np.full(len(place), -1, dtype=np.int64)
    before[1:] = np.where(column[1:] == column[:-1], place[:-1] % segment, -1)
    gap = place % segment - before - 1
    longest = 1 << count_bits
    fillers = gap // longest
    pairs = fillers + 1
    ends = np.cumsum(pairs)
    total = int(ends[-1]) if len(ends) else 0
    data = np.zeros(total, dtype=flat.dtype)
    count = np.full(total, longest - 1, dtype=np.int64)
    data[ends - 1] = flat[place]
    count[ends - 1] = gap % longest
    segments = -(-flat.size // segment)
    address = np.zeros(segments + 1, dtype=np.int64)
    np.add.at(address, column + 1, pairs)
    return Csc(data, count, np.cumsum(address), values.shape, segment, count_bits)


def decode(encoded: Csc) -> NDArray[np.generic]:
    """The tensor that was encoded, bit for bit."""
    size = int(np.prod(encoded.shape, dtype=np.int64))
    flat = np.zeros(size, dtype=encoded.data.dtype)
    steps = np.cumsum(encoded.count + 1)
    starts = encoded.address[:-1]
    lengths = np.diff(encoded.address)
    base = np.concatenate([[0], steps])[starts]
    column = np.repeat(np.arange(len(lengths)), lengths)
    flat[column * encoded.segment + steps - np.repeat(base, lengths) - 1] = encoded.data
    return flat.reshape(encoded.shape)
