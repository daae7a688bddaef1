"""The format of NullHop's feature maps: sparsity map (SM) and non-zero value list (NZVL).

A map (C, H, W) is sent pixel by pixel: rows from the top, columns from the left, and at each
position all channels. Sixteen values at a time become one SM word, whose bit i (from the least
significant) says that value i is not zero, followed by the non-zero values themselves, 16 bit
each. A row starts with a new SM word. So N values, s of them zero, take
N (1 + 16 (1 - s)) bit, and up to 15 bit more per row.

Sources: Aimar 2018 (the format); the chip's public driver and test bench model (order of bits and
values, a new word at the start of a row).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tospike.errors import DataError

Words = NDArray[np.uint16]
#: values under one SM word, and bits of a value
GROUP = 16


def encode(values: NDArray[Any]) -> Words:
    """The stream of 16-bit words of a map (C, H, W) of 16-bit integers.

    Raises :class:`DataError` for another shape or type.
    """
    found = list(encode_rows(_rows(_checked(values))))
    return np.concatenate(found) if found else np.zeros(0, np.uint16)


def encode_rows(rows: Iterable[NDArray[Any]]) -> Iterator[Words]:
    """The words of each row (W, C) of 16-bit integers, one row after the other."""
    for number, row in enumerate(rows):
        if row.ndim != 2 or row.dtype.kind not in "iu" or row.dtype.itemsize != 2:
            raise DataError(
                f"encode row {number} of a map",
                received=f"shape {row.shape}, type {row.dtype}",
                allowed="16-bit integers (W, C)",
                fix="quantise the values to 16 bit first",
            )
        yield _encode_row(row.reshape(-1).view(np.uint16))


def decode(stream: NDArray[Any], shape: tuple[int, int, int]) -> NDArray[np.int16]:
    """The map (C, H, W) of int16 that a whole stream holds.

    Raises :class:`DataError`, with the position of the word, for a stream that is too short or
    too long, for SM bits beyond the end of a row, and for a zero in the list of non-zero values.
    """
    channels, height, width = shape
    rows = list(decode_rows([stream], shape))
    if not rows:
        return np.zeros((channels, height, width), np.int16)
    return np.ascontiguousarray(np.stack(rows).transpose(2, 0, 1))


def decode_rows(
    chunks: Iterable[NDArray[Any]], shape: tuple[int, int, int]
) -> Iterator[NDArray[np.int16]]:
    """Rows (W, C) of int16, each as soon as its words are there; chunks of any length.

    Raises what :func:`decode` raises. Words behind the last row are looked for when the iterator
    is driven to its end.
    """
    channels, height, width = _checked_shape(shape)
    source = iter(chunks)
    held = np.zeros(0, np.uint16)
    start = 0  # position of held[0] in the stream
    for row in range(height):
        values = np.zeros(width * channels, np.uint16)
        at = 0
        for first in range(0, values.size, GROUP):
            n = min(GROUP, values.size - first)
            held, start, at = _at_least(source, held, start, at, 1, row, height)
            bitmap = int(held[at])
            present = [i for i in range(GROUP) if bitmap >> i & 1]
            if present and present[-1] >= n:
                raise _corrupt(
                    start + at, f"SM bit {present[-1]} is set, but row {row} has {n} values left"
                )
            at += 1
            held, start, at = _at_least(source, held, start, at, len(present), row, height)
            found = held[at : at + len(present)]
            if not found.all():
                place = start + at + int(np.flatnonzero(found == 0)[0])
                raise _corrupt(place, f"a zero in the list of non-zero values of row {row}")
            values[first + np.asarray(present, np.int64)] = found
            at += len(present)
        held, start = held[at:], start + at
        yield values.view(np.int16).reshape(width, channels)
    for chunk in source:
        held = np.concatenate([held, _as_words(chunk)])
    if held.size:
        raise _corrupt(start, f"{held.size} word(s) behind the last row")


def encoded_bits(shape: tuple[int, int, int], non_zero: int) -> int:
    """Bits of the stream of a map (C, H, W) with so many non-zero values: whole words."""
    channels, height, width = _checked_shape(shape)
    return 16 * (height * sm_words(width * channels) + non_zero)


def sm_words(values: int) -> int:
    """SM words of a row of so many values."""
    return -(-values // GROUP)


def _encode_row(values: Words) -> Words:
    padded = np.zeros(sm_words(values.size) * GROUP, np.uint16)
    padded[: values.size] = values
    groups = padded.reshape(-1, GROUP)
    present = groups != 0
    bitmap = (present * (np.uint32(1) << np.arange(GROUP, dtype=np.uint32))).sum(axis=1)
    table = np.concatenate([bitmap.astype(np.uint16)[:, None], groups], axis=1)
    keep = np.concatenate([np.ones((len(groups), 1), np.bool_), present], axis=1)
    words: Words = table[keep]
    return words


def _rows(values: NDArray[Any]) -> Iterator[NDArray[Any]]:
    for row in range(values.shape[1]):
        yield np.ascontiguousarray(values[:, row].T)


def _at_least(
    source: Iterator[NDArray[Any]], held: Words, start: int, at: int, n: int, row: int, height: int
) -> tuple[Words, int, int]:
    """Hold ``n`` words from ``at`` on, or say where the stream ends."""
    while held.size < at + n:
        chunk = next(source, None)
        if chunk is None:
            raise DataError(
                "decode a compressed map",
                received=f"a stream that ends after {start + held.size} words",
                where=f"row {row} of {height}",
                allowed="all words of the map",
                fix="read the whole stream, or check the shape of the map",
            )
        held, start, at = np.concatenate([held[at:], _as_words(chunk)]), start + at, 0
    return held, start, at


def _as_words(chunk: Any) -> Words:
    words = np.asarray(chunk)
    if words.ndim != 1 or (words.size and words.dtype != np.uint16):
        raise DataError(
            "decode a compressed map",
            received=f"a chunk of shape {words.shape} and type {words.dtype}",
            allowed="words of 16 bit, shape (n,), type uint16",
            fix="read the file with numpy.frombuffer(..., dtype='<u2')",
        )
    return words.astype(np.uint16, copy=False)


def _corrupt(position: int, reason: str) -> DataError:
    return DataError(
        "decode a compressed map",
        received=reason,
        where=f"word {position}",
        allowed="SM words, each followed by as many non-zero values as it has bits set",
        fix="the stream is damaged, or the shape of the map is another one",
    )


def _checked(values: NDArray[Any]) -> NDArray[Any]:
    array = np.asarray(values)
    if array.ndim != 3 or array.dtype.kind not in "iu" or array.dtype.itemsize != 2:
        raise DataError(
            "encode a map",
            received=f"shape {array.shape}, type {array.dtype}",
            allowed="16-bit integers (C, H, W)",
            fix="quantise the values to 16 bit first",
        )
    return array


def _checked_shape(shape: tuple[int, int, int]) -> tuple[int, int, int]:
    if len(shape) != 3 or any(isinstance(n, bool) or n < 0 for n in shape):
        raise DataError(
            "decode a compressed map",
            received=f"shape {tuple(shape)}",
            allowed="(C, H, W), none of them negative",
        )
    return shape
