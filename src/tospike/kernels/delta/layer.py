"""Parameters, buffers and counters of one layer of an engine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tospike.kernels.delta import places
from tospike.kernels.delta.packed import PackedLayer, stored_weights
from tospike.kernels.delta.places import Place
from tospike.kernels.delta.record import DeltaLayer

Floats = NDArray[np.float32]

_KINDS = {
    "gru": places.GRU,
    "lstm": places.LSTM,
    "rnn_tanh": places.TANH,
    "rnn_relu": places.RELU,
    "linear": places.LINEAR,
}
_STORAGES = {
    "float32": places.FLOAT32,
    "float16": places.FLOAT16,
    "bfloat16": places.BFLOAT16,
    "int8": places.INT8,
}


@dataclass(frozen=True, slots=True)
class LayerStatistics:
    """What one layer sent and read since the last reset of the statistics, all streams together.

    ``sparsity_x``, ``sparsity_h``: Gamma, share of elements that were not sent; nan before the
    first step. ``sent_weight_bytes``: bytes of the columns of what was sent;
    ``dense_weight_bytes``: what a dense layer reads in as many single steps. ``weight_bytes``: what
    was really read. It is ``sent_weight_bytes``, but where many inputs change ``run`` multiplies up
    to 48 steps at once, and reads the input matrix only once for them.
    """

    steps: int
    sent_x: int
    sent_h: int
    sparsity_x: float
    sparsity_h: float
    weight_bytes: int
    sent_weight_bytes: int
    dense_weight_bytes: int


@dataclass(frozen=True)
class LayerState:
    """State of one layer of all streams, each array with the streams first. Copies."""

    h: NDArray[np.generic]
    c: NDArray[np.generic]
    ref_x: NDArray[np.generic]
    ref_h: NDArray[np.generic]
    memory: NDArray[np.generic]


class LayerBuffers:
    """Parameters and buffers of one layer; the buffers belong to one engine."""

    def __init__(self, packed: PackedLayer, streams: int) -> None:
        layer = packed.layer
        self.packed = packed
        self.kind = _KINDS[layer.kind]
        self.exact = packed.accumulation == "integer"
        size = layer.hidden
        self.grid = np.float32(2.0**packed.fraction_bits)
        self.bias = _bias(layer)
        reference: Any = np.int32 if self.exact else np.float32
        self.h = np.zeros((streams, size), np.float32)
        self.c = np.zeros((streams, size), np.float32)
        self.ref_x = np.zeros((streams, layer.inputs), reference)
        self.ref_h = np.zeros((streams, size), reference)
        shape = (streams, 2, layer.gates * size) if self.exact else (streams, len(self.bias))
        self.memory: NDArray[np.float64] = np.zeros(shape, np.float64)
        self.sent = np.zeros(4, np.int64)
        self.numbers = np.zeros(3, np.float32)
        self.set_thresholds(layer.theta_x, layer.theta_h)
        rows = packed.x.columns.shape[1]
        room = max(layer.inputs, size) + 16
        self.scratch: dict[Place, NDArray[Any]] = {
            Place.GATES: np.zeros(len(self.bias), np.float32),
            Place.SUMS_X: np.zeros(rows, reference),
            Place.SUMS_H: np.zeros(rows, reference),
            Place.INDEX: np.zeros(room, np.int64),
            Place.DELTA: np.zeros(room, np.int16 if self.exact else np.float32),
            Place.INDEX_H: np.zeros(room, np.int64),
            Place.DELTA_H: np.zeros(room, np.int16 if self.exact else np.float32),
            Place.DIFFERENCE: np.zeros(room, reference),
            Place.COUNTS: np.zeros(2, np.int64),
        }
        self.reset()

    def set_thresholds(self, theta_x: float, theta_h: float) -> None:
        self.thresholds = theta_x, theta_h
        # On the grid a delta is a whole number of steps: |k| > theta 2^f.
        unit = self.grid if self.exact else np.float32(1)
        self.numbers[:] = theta_x * unit, theta_h * unit, self.grid

    def place(self) -> NDArray[np.int64]:
        """Row of the table of the kernels: sizes, and addresses of arrays that live with self."""
        packed, layer = self.packed, self.packed.layer
        storage = places.EXACT if self.exact else _STORAGES[packed.storage]
        # A linear layer has no second matrix; the kernels never read this address.
        other = packed.h or packed.x
        row = np.zeros(len(Place), np.int64)
        sizes = {
            Place.KIND: self.kind,
            Place.STORAGE: storage,
            Place.INPUTS: layer.inputs,
            Place.HIDDEN: layer.hidden,
            Place.ROWS: packed.x.columns.shape[1],
            Place.STATES: len(self.bias),
            Place.LIMIT: packed.limit,
        }
        arrays: dict[Place, NDArray[Any]] = {
            Place.WEIGHTS_X: packed.x.columns,
            Place.WEIGHTS_H: other.columns,
            Place.SCALE_X: packed.x.scale,
            Place.SCALE_H: other.scale,
            Place.H: self.h,
            Place.C: self.c,
            Place.REF_X: self.ref_x,
            Place.REF_H: self.ref_h,
            Place.MEMORY: self.memory,
            Place.BIAS: self.bias,
            Place.SENT: self.sent,
            Place.NUMBERS: self.numbers,
            **self.scratch,
        }
        for name, size in sizes.items():
            row[name] = size
        for name, array in arrays.items():
            row[name] = array.ctypes.data
        return row

    def reset(self) -> None:
        for array in (self.h, self.c, self.ref_x, self.ref_h):
            array[:] = 0
        self.memory[:] = 0 if self.exact else self.bias

    def refresh(self) -> None:
        if self.exact:
            return
        w_x, w_h = (
            None if matrix is None else matrix.astype(np.float64)
            for matrix in stored_weights(self.packed)
        )
        size = self.packed.layer.hidden
        self.memory[:] = self.bias
        if w_x is not None:
            self.memory[:, : len(w_x)] += self.ref_x @ w_x.T
        if w_h is None:
            return
        from_h = self.ref_h @ w_h.T
        if self.kind == places.GRU:
            self.memory[:, : 2 * size] += from_h[:, : 2 * size]
            self.memory[:, 3 * size :] += from_h[:, 2 * size :]
        else:
            self.memory += from_h

    def column_bytes(self, columns_x: int) -> int:
        """Bytes of so many columns of inputs, and of those of the states that were sent."""
        read = columns_x * self.packed.x.bytes_per_column
        if self.packed.h is not None:
            read += int(self.sent[1]) * self.packed.h.bytes_per_column
        return read

    def statistics(self) -> LayerStatistics:
        layer, packed = self.packed.layer, self.packed
        sent_x, sent_h, count, columns_x = (int(number) for number in self.sent)
        recurrent = packed.h is not None
        nothing = float("nan")
        return LayerStatistics(
            steps=count,
            sent_x=sent_x,
            sent_h=sent_h,
            sparsity_x=1 - sent_x / (count * layer.inputs) if count else nothing,
            sparsity_h=1 - sent_h / (count * layer.hidden) if count and recurrent else nothing,
            weight_bytes=self.column_bytes(columns_x),
            sent_weight_bytes=self.column_bytes(sent_x),
            dense_weight_bytes=count * packed.weight_bytes,
        )


def _bias(layer: DeltaLayer) -> Floats:
    """Biases in the order of the memories."""
    size = layer.hidden
    if layer.kind != "gru":
        return np.ascontiguousarray(layer.b_x + layer.b_h, np.float32)
    both = layer.b_x[: 2 * size] + layer.b_h[: 2 * size]
    return np.concatenate([both, layer.b_x[2 * size :], layer.b_h[2 * size :]]).astype(np.float32)
