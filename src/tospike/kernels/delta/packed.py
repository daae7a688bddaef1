"""``PackedLayer``: a :class:`DeltaLayer` as the kernels want it, column-major."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from tospike.errors import OptionError
from tospike.kernels.delta.intrinsics import BLOCK, WIDE
from tospike.kernels.delta.record import STORAGES, DeltaLayer, Storage

Accumulation = Literal["float", "integer"]

#: bytes of a cache line
LINE = 64


@dataclass(frozen=True)
class PackedMatrix:
    """Columns of one weight matrix.

    ``columns`` (N, M): row j is column j of the matrix, M padded to a multiple of 16, with int8 of
    32; dtype float32, int8 (for float accumulation in the order of :func:`to_words`), int16
    (float16) or uint16 (bfloat16, in the order of :func:`to_pairs`).
    ``scale``: (M,) float32 per row, all 1 where the storage has no scale.
    """

    columns: NDArray[np.generic]
    scale: NDArray[np.float32]

    @property
    def bytes_per_column(self) -> int:
        """Bytes read for one active column, padding included."""
        return int(self.columns.shape[1] * self.columns.itemsize)


@dataclass(frozen=True)
class PackedLayer:
    """Both matrices of a layer, its storage, and the fixed-point grid of integer accumulation.

    ``fraction_bits``: deltas are multiples of 2^-fraction_bits (integer accumulation only);
    ``limit``: greatest delta in units of that grid, so that no int32 sum overflows.
    """

    layer: DeltaLayer
    storage: Storage
    accumulation: Accumulation
    x: PackedMatrix
    h: PackedMatrix | None
    fraction_bits: int
    limit: int

    @property
    def weight_bytes(self) -> int:
        """Bytes of all columns of both matrices."""
        return sum(m.columns.nbytes for m in (self.x, self.h) if m is not None)


def pack(
    layer: DeltaLayer,
    storage: Storage = "float32",
    accumulation: Accumulation = "float",
    *,
    fraction_bits: int = 8,
) -> PackedLayer:
    """Weights column-major in ``storage``.

    int8: symmetric, 127 levels each side, one scale per row of the matrix, so per gate of a unit:
    the columns are added as they are and the sum is scaled. ``fraction_bits`` = 8 is the Q8.8 of
    EdgeDRNN.

    Raises
    ------
    OptionError
        Unknown storage, integer accumulation without int8, or a grid that is out of range.
    """
    reasons = []
    if storage not in STORAGES:
        reasons.append(f"storage is {storage!r}; it must be one of {', '.join(STORAGES)}")
    if accumulation not in ("float", "integer"):
        reasons.append(f"accumulation is {accumulation!r}; it must be float or integer")
    if accumulation == "integer" and storage != "int8":
        reasons.append(f"integer accumulation needs int8 weights, not {storage}")
    if not 0 <= fraction_bits <= 14:
        reasons.append(f"fraction_bits is {fraction_bits}; it must be from 0 to 14")
    if reasons:
        raise OptionError("pack a delta layer", reasons=reasons)
    widest = max(layer.inputs, layer.hidden)
    return PackedLayer(
        layer,
        storage,
        accumulation,
        _matrix(layer.w_x, storage, accumulation),
        None if layer.w_h is None else _matrix(layer.w_h, storage, accumulation),
        fraction_bits,
        min(32767, (2**31 - 1) // (127 * widest)),
    )


def _matrix(
    weights: NDArray[np.float32], storage: Storage, accumulation: Accumulation
) -> PackedMatrix:
    rows, inputs = weights.shape
    block = WIDE if storage == "int8" else BLOCK
    padded = np.zeros((inputs, -(-rows // block) * block), np.float32)
    padded[:, :rows] = weights.T
    if storage == "int8":
        scale = np.abs(padded).max(axis=0) / np.float32(127)
        scale[scale == 0] = 1
        levels = np.clip(np.rint(padded / scale), -127, 127).astype(np.int8)
        columns = levels if accumulation == "integer" else to_words(levels)
        return PackedMatrix(aligned(columns), scale.astype(np.float32))
    one = np.ones(padded.shape[1], np.float32)
    if storage == "float16":
        if np.abs(padded).max() > np.finfo(np.float16).max:
            raise OptionError(
                "store the weights as float16",
                received=f"a weight of {np.abs(padded).max():g}",
                allowed="weights up to 65504",
                fix="use bfloat16",
            )
        return PackedMatrix(aligned(padded.astype(np.float16).view(np.int16)), one)
    if storage == "bfloat16":
        return PackedMatrix(aligned(to_pairs(to_bfloat16(padded))), one)
    return PackedMatrix(aligned(padded), one)


def aligned(array: NDArray[Any]) -> NDArray[Any]:
    """A copy that begins with a cache line, so that no vector lies in two."""
    room = np.empty(array.nbytes + LINE, np.uint8)
    begin = -room.ctypes.data % LINE
    copy = room[begin : begin + array.nbytes].view(array.dtype).reshape(array.shape)
    copy[:] = array
    return copy


def to_bfloat16(values: NDArray[np.float32]) -> NDArray[np.uint16]:
    """Upper halves of float32, rounded to nearest, ties to even."""
    bits = np.ascontiguousarray(values).view(np.uint32)
    rounded = bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))
    return (rounded >> np.uint32(16)).astype(np.uint16)


def to_pairs(rows: NDArray[np.uint16]) -> NDArray[np.uint16]:
    """(N, M), every 16 rows of the matrix in the order 0, 8, 1, 9, ..., 7, 15.

    Read as 32 bits, a shift and a mask then make float32 of eight rows each.
    """
    halves = rows.reshape(len(rows), -1, 2, BLOCK // 2).swapaxes(2, 3)
    return np.ascontiguousarray(halves).reshape(rows.shape)


def from_pairs(pairs: NDArray[np.uint16]) -> NDArray[np.uint16]:
    """Back from :func:`to_pairs`."""
    halves = pairs.reshape(len(pairs), -1, BLOCK // 2, 2).swapaxes(2, 3)
    return np.ascontiguousarray(halves).reshape(pairs.shape)


def to_words(rows: NDArray[np.int8]) -> NDArray[np.int8]:
    """(N, M), every 32 rows of the matrix in the order 0, 8, 16, 24, 1, 9, ..., 31.

    Read as 32 bits, a shift and a mask make eight rows each of them, times 2^24.
    """
    fours = rows.reshape(len(rows), -1, 4, WIDE // 4).swapaxes(2, 3)
    return np.ascontiguousarray(fours).reshape(rows.shape)


def from_words(words: NDArray[np.int8]) -> NDArray[np.int8]:
    """Back from :func:`to_words`."""
    fours = words.reshape(len(words), -1, WIDE // 4, 4).swapaxes(2, 3)
    return np.ascontiguousarray(fours).reshape(words.shape)


def stored_weights(packed: PackedLayer) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
    """The matrices that the kernels really multiply with, (rows, columns) in float32."""

    def plain(matrix: PackedMatrix | None, rows: int) -> NDArray[np.float32] | None:
        if matrix is None:
            return None
        columns = matrix.columns
        if packed.storage == "float16":
            wide = columns.view(np.float16).astype(np.float32)
        elif packed.storage == "bfloat16":
            plain_order = from_pairs(columns.astype(np.uint16))
            wide = (plain_order.astype(np.uint32) << np.uint32(16)).view(np.float32)
        elif packed.storage == "int8":
            levels = columns.astype(np.int8)
            if packed.accumulation == "float":
                levels = from_words(levels)
            wide = levels.astype(np.float32) * matrix.scale
        else:
            wide = columns.astype(np.float32)
        return np.ascontiguousarray(wide.T[:rows])

    rows = packed.layer.gates * packed.layer.hidden
    x = plain(packed.x, rows)
    assert x is not None
    return x, plain(packed.h, rows)
