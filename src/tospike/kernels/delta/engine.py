"""``DeltaEngine``: stacked delta layers that run step by step, without allocation in a step."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tospike.errors import DataError, OptionError
from tospike.kernels.delta import steps
from tospike.kernels.delta.packed import Accumulation, PackedLayer, pack, stored_weights
from tospike.kernels.delta.record import DeltaLayer, Storage

Floats = NDArray[np.float32]

_KINDS = {
    "gru": steps.GRU,
    "lstm": steps.LSTM,
    "rnn_tanh": steps.TANH,
    "rnn_relu": steps.RELU,
    "linear": steps.LINEAR,
}


@dataclass(frozen=True, slots=True)
class LayerStatistics:
    """What one layer sent and read since the last reset of the statistics, all streams together.

    ``sparsity_x``, ``sparsity_h``: Gamma, share of elements that were not sent; nan before the
    first step. ``weight_bytes``: bytes of weight columns read; ``dense_weight_bytes``: what a dense
    layer would have read in as many steps.
    """

    steps: int
    sent_x: int
    sent_h: int
    sparsity_x: float
    sparsity_h: float
    weight_bytes: int
    dense_weight_bytes: int


@dataclass(frozen=True)
class LayerState:
    """State of one layer of all streams, each array with the streams first. Copies."""

    h: NDArray[np.generic]
    c: NDArray[np.generic]
    ref_x: NDArray[np.generic]
    ref_h: NDArray[np.generic]
    memory: NDArray[np.generic]


class _Layer:
    """Parameters and buffers of one layer; the buffers belong to one engine."""

    def __init__(self, packed: PackedLayer, streams: int) -> None:
        layer = packed.layer
        self.packed = packed
        self.kind = _KINDS[layer.kind]
        self.exact = packed.accumulation == "integer"
        size = layer.hidden
        gates = (4 if layer.kind == "gru" else layer.gates) * size
        self.grid = np.float32(2.0**packed.fraction_bits)
        # On the grid a delta is a whole number of steps: |k| > theta 2^f.
        self.theta_x, self.theta_h = (
            (np.float32(theta * self.grid) if self.exact else np.float32(theta))
            for theta in (layer.theta_x, layer.theta_h)
        )
        self.bias = _bias(layer)
        reference = np.int32 if self.exact else np.float32
        self.h = np.zeros((streams, size), np.float32)
        self.c = np.zeros((streams, size), np.float32)
        self.ref_x = np.zeros((streams, layer.inputs), reference)
        self.ref_h = np.zeros((streams, size), reference)
        shape = (streams, 2, layer.gates * size) if self.exact else (streams, gates)
        self.memory: NDArray[Any] = np.zeros(shape, np.int64 if self.exact else np.float64)
        self.gates = np.zeros(gates, np.float32)
        rows = packed.x.columns.shape[1]
        self.sums = np.zeros(rows, np.int32 if self.exact else np.float32)
        room = max(layer.inputs, size) + 8
        self.index = np.zeros(room, np.int64)
        self.delta = np.zeros(room, np.int16 if self.exact else np.float32)
        self.sent = np.zeros(2, np.int64)
        self.steps = 0
        # A linear layer has no second matrix; the kernels still want an array of the same type.
        self.other = packed.h or packed.x
        self.reset()

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
        if self.kind == steps.GRU:
            self.memory[:, : 2 * size] += from_h[:, : 2 * size]
            self.memory[:, 3 * size :] += from_h[:, 2 * size :]
        else:
            self.memory += from_h

    def run(self, xs: Floats, stream: int, out: Floats) -> None:
        """xs (T, I) -> out (T, H)."""
        shared = (
            self.kind, xs, out, self.h[stream], self.c[stream], self.ref_x[stream],
            self.ref_h[stream], self.memory[stream], self.gates, self.sums, self.index, self.delta,
            self.theta_x, self.theta_h, self.packed.x.columns, self.packed.x.scale,
            self.other.columns, self.other.scale, self.sent,
        )  # fmt: skip
        if self.exact:
            limit = np.int32(self.packed.limit)
            steps.run_exact(*shared, self.grid, limit, self.bias)
        else:
            steps.run_float(*shared)
        self.steps += len(xs)

    def statistics(self) -> LayerStatistics:
        layer, packed = self.packed.layer, self.packed
        sent_x, sent_h = int(self.sent[0]), int(self.sent[1])
        recurrent = packed.h is not None
        read = sent_x * packed.x.bytes_per_column
        if packed.h is not None:
            read += sent_h * packed.h.bytes_per_column
        nothing = float("nan")
        return LayerStatistics(
            steps=self.steps,
            sent_x=sent_x,
            sent_h=sent_h,
            sparsity_x=1 - sent_x / (self.steps * layer.inputs) if self.steps else nothing,
            sparsity_h=1 - sent_h / (self.steps * layer.hidden)
            if self.steps and recurrent
            else nothing,
            weight_bytes=read,
            dense_weight_bytes=self.steps * packed.weight_bytes,
        )


def _bias(layer: DeltaLayer) -> Floats:
    """Biases in the order of the memories."""
    size = layer.hidden
    if layer.kind != "gru":
        return np.ascontiguousarray(layer.b_x + layer.b_h, np.float32)
    both = layer.b_x[: 2 * size] + layer.b_h[: 2 * size]
    return np.concatenate([both, layer.b_x[2 * size :], layer.b_h[2 * size :]]).astype(np.float32)


class DeltaEngine:
    """Stacked delta layers for streaming: NumPy in, NumPy out, time first.

    Parameters
    ----------
    layers : from input to output; the inputs of each are the outputs of the one before.
    streams : B, independent sequences that run in parallel (each with its own state).
    storage : "float32", "float16", "bfloat16" or "int8" weights.
    accumulation : "float", or "integer" (int8 only): exact sums on a grid of 2^-fraction_bits.

    A NaN or infinite input raises :class:`~tospike.errors.DataError` before any state changes.
    One instance may be used from several threads: steps are serialised. Instances can be pickled,
    with their state.
    """

    def __init__(
        self,
        layers: Sequence[DeltaLayer],
        *,
        streams: int = 1,
        storage: Storage = "float32",
        accumulation: Accumulation = "float",
        fraction_bits: int = 8,
    ) -> None:
        reasons = [] if layers else ["there is no layer"]
        if streams < 1:
            reasons.append(f"streams is {streams}; it must be at least 1")
        reasons += [
            f"layer {i + 1} takes {after.inputs} inputs, layer {i} gives {before.hidden}"
            for i, (before, after) in enumerate(pairwise(layers))
            if after.inputs != before.hidden
        ]
        if reasons:
            raise OptionError("make a delta engine", reasons=reasons)
        self.streams = streams
        self._layers = [
            _Layer(pack(layer, storage, accumulation, fraction_bits=fraction_bits), streams)
            for layer in layers
        ]
        self._lock = threading.Lock()

    @property
    def layers(self) -> tuple[PackedLayer, ...]:
        """The packed layers."""
        return tuple(layer.packed for layer in self._layers)

    @property
    def inputs(self) -> int:
        """I of the first layer."""
        return self._layers[0].packed.layer.inputs

    @property
    def outputs(self) -> int:
        """H of the last layer."""
        return self._layers[-1].packed.layer.hidden

    def step(self, x: ArrayLike) -> Floats:
        """One time step: x (I,) or (streams, I) -> output (H,) or (streams, H), a new array."""
        array = np.asarray(x, np.float32)
        single = array.ndim == 1
        if array.shape != ((self.inputs,) if single else (self.streams, self.inputs)) or (
            single and self.streams != 1
        ):
            raise self._wrong_shape("step", array.shape, "")
        return self._run(array.reshape(1, self.streams, self.inputs))[
            0, 0 if single else slice(None)
        ]

    def run(self, sequence: ArrayLike) -> Floats:
        """A sequence (T, I) or (T, streams, I) -> outputs of every step, continuing from the state.

        The same numbers as T calls of :meth:`step`.
        """
        array = np.asarray(sequence, np.float32)
        single = array.ndim == 2
        fits = array.shape[1:] == (
            (self.inputs,) if single else (self.streams, self.inputs)
        ) and not (single and self.streams != 1)
        if not fits:
            raise self._wrong_shape("run", array.shape, "T, ")
        out = self._run(array.reshape(len(array), self.streams, self.inputs))
        return out[:, 0] if single else out

    def _wrong_shape(self, what: str, shape: tuple[int, ...], time: str) -> DataError:
        single = f"({time}{self.inputs}{',' if not time else ''}) or " if self.streams == 1 else ""
        return DataError(
            f"{what} the delta engine",
            received=f"an input of shape {shape}",
            allowed=f"{single}({time}{self.streams}, {self.inputs})",
        )

    def _run(self, x: Floats) -> Floats:
        """(T, B, I) -> (T, B, H)."""
        x = np.ascontiguousarray(x)
        if steps.not_finite(x.ravel()):
            step, stream, element = (int(i) for i in np.argwhere(~np.isfinite(x))[0])
            raise DataError(
                "run the delta engine",
                received=f"{x[step, stream, element]} in the input",
                where=f"step {step}, stream {stream}, element {element}",
                allowed="finite numbers; the state was not changed",
                fix="replace or leave out the sample",
            )
        with self._lock:
            for layer in self._layers:
                out = np.empty((len(x), self.streams, layer.packed.layer.hidden), np.float32)
                for stream in range(self.streams):
                    if self.streams == 1:
                        layer.run(x[:, 0], 0, out[:, 0])
                        continue
                    mine = np.empty((len(x), layer.packed.layer.hidden), np.float32)
                    layer.run(np.ascontiguousarray(x[:, stream]), stream, mine)
                    out[:, stream] = mine
                x = out
        return x

    def reset(self) -> None:
        """State and references to zero, memories to the biases. Statistics are kept."""
        with self._lock:
            for layer in self._layers:
                layer.reset()

    def refresh(self) -> None:
        """Memories anew from the references, in float64.

        With float accumulation every step adds its rounding to the memories; over very long
        streams this takes it away. Integer accumulation is exact and needs it never.
        """
        with self._lock:
            for layer in self._layers:
                layer.refresh()

    def reset_statistics(self) -> None:
        """Counters to zero."""
        with self._lock:
            for layer in self._layers:
                layer.sent[:] = 0
                layer.steps = 0

    @property
    def state(self) -> tuple[LayerState, ...]:
        """Copies of the state of every layer."""
        with self._lock:
            return tuple(
                LayerState(
                    layer.h.copy(), layer.c.copy(), layer.ref_x.copy(), layer.ref_h.copy(),
                    layer.memory.copy(),
                )
                for layer in self._layers
            )  # fmt: skip

    @state.setter
    def state(self, state: tuple[LayerState, ...]) -> None:
        with self._lock:
            for layer, saved in zip(self._layers, state, strict=True):
                for name in ("h", "c", "ref_x", "ref_h", "memory"):
                    getattr(layer, name)[:] = getattr(saved, name)

    @property
    def statistics(self) -> tuple[LayerStatistics, ...]:
        """Elements sent and bytes read per layer since :meth:`reset_statistics`."""
        with self._lock:
            return tuple(layer.statistics() for layer in self._layers)

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in self.__dict__.items() if key != "_lock"}

    def __setstate__(self, saved: dict[str, Any]) -> None:
        self.__dict__.update(saved)
        self._lock = threading.Lock()
