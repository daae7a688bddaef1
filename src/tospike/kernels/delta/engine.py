"""``DeltaEngine``: stacked delta layers that run step by step, without allocation in a step."""

from __future__ import annotations

import math
import os
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tospike.errors import DataError, OptionError
from tospike.kernels.delta import intrinsics, products, sharing, steps
from tospike.kernels.delta.layer import LayerBuffers, LayerState, LayerStatistics
from tospike.kernels.delta.packed import Accumulation, PackedLayer, pack
from tospike.kernels.delta.places import Place
from tospike.kernels.delta.record import DeltaLayer, Storage

Floats = NDArray[np.float32]

#: weight bytes of a call, or of calls one after the other, from which on a second thread is woken
#: up: that takes some 50 us, reading so much by one thread some 400 us
HELPER_PAYS_BYTES = 2e7
#: share of it in one step of a layer from which on a helper that is there is let in. Measured where
#: a cache line takes 0.2 us from core to core: steps that read 0.6 MB were slower with a helper
SHARING = 0.2
#: seconds between two calls that count as one after the other; the helper stays about as long
PAUSE = 1e-4

_FLOAT32 = np.dtype(np.float32)

_helpers: list[ThreadPoolExecutor] = []
_helpers_lock = threading.Lock()


def call_helper(work: Callable[..., None], *arguments: object) -> None:
    """Let another thread do ``work``, sooner or later."""
    with _helpers_lock:
        if not _helpers:
            name = "tospike-delta"
            _helpers.append(ThreadPoolExecutor(max(1, (os.cpu_count() or 2) - 1), name))
    _helpers[0].submit(work, *arguments)


_forks = 0


def _forked() -> None:
    """The threads of a pool do not live on in a child process."""
    global _forks
    _forks += 1
    _helpers.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)


def _plain(x: ArrayLike) -> Floats:
    """As a writable C-contiguous float32 array, the same one if it is; else a copy.

    The kernels would be compiled once more for arrays that are read-only.
    """
    if type(x) is np.ndarray and x.dtype is _FLOAT32 and x.flags.carray:
        return x
    array = np.ascontiguousarray(x, np.float32)
    return array if array.flags.carray else array.copy()


class DeltaEngine:
    """Stacked delta layers for streaming: NumPy in, NumPy out, time first.

    Parameters
    ----------
    layers : from input to output; the inputs of each are the outputs of the one before.
    streams : B, independent sequences that run in parallel (each with its own state).
    threads : 1 or 2. With 2, a second thread takes over rows of the sums in calls that read enough
        weights, or that follow one another so closely that they do so together; it then waits
        actively for the next call, up to some 0.2 ms. Results are the same bit by bit.
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
        threads: int = 1,
    ) -> None:
        reasons = [] if layers else ["there is no layer"]
        if threads not in (1, 2):
            reasons.append(f"threads is {threads}; it must be 1 or 2")
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
        self.threads = threads
        self._layers = [
            LayerBuffers(pack(layer, storage, accumulation, fraction_bits=fraction_bits), streams)
            for layer in layers
        ]
        self._prepare()

    def _prepare(self) -> None:
        """What cannot be pickled, or holds addresses."""
        self._lock = threading.Lock()
        widest = max(layer.packed.layer.hidden for layer in self._layers)
        # what goes from layer to layer
        self._between = np.zeros((2, steps.CHUNK * self.streams * widest), np.float32)
        self._table = np.stack([layer.place() for layer in self._layers])
        self._many: tuple[Floats, ...] | None = None
        self._control = np.zeros(sharing.CONTROL_WORDS, np.int64)
        self._control_address = self._control.ctypes.data
        dense = sum(layer.packed.weight_bytes for layer in self._layers)
        self._shares = self.threads == 2
        #: what a step read in the last call; the first one may well be dense
        self._bytes_per_step = dense * self.streams
        #: what calls one after the other read, and when the last one ended
        self._streak, self._ended = 0, -math.inf
        self._forks = _forks
        self._table[:, Place.SHARED_FROM] = int(HELPER_PAYS_BYTES * SHARING)
        self._table[:, Place.STREAMS] = self.streams
        self._table[:, Place.OUTPUT] = [
            self._between[level % 2].ctypes.data for level in range(len(self._layers))
        ]
        # once, as properties cost time in every step
        self._in, self._out = self.inputs, self.outputs
        # shape of a step without the axis of the streams, which only a single stream may leave out
        self._one_in = (self._in,) if self.streams == 1 else None
        self._one_out = (self._out,)

    def _prepare_many(self, count: int) -> None:
        """Room for products of many steps, at the first call that has enough of them."""
        if count < intrinsics.TIMES:
            return
        inputs = max(layer.packed.layer.inputs for layer in self._layers)
        rows = max(layer.packed.x.columns.shape[1] for layer in self._layers)
        self._many = tuple(
            np.zeros(size, np.float32)
            for size in (steps.CHUNK * inputs, steps.CHUNK * rows, sharing.PARTS * products.PANEL)
        )
        names = Place.DELTAS, Place.PRODUCTS, Place.PANELS
        for name, array in zip(names, self._many, strict=True):
            self._table[:, name] = array.ctypes.data

    @property
    def layers(self) -> tuple[PackedLayer, ...]:
        """The packed layers, with the thresholds of now."""
        return tuple(
            replace(
                layer.packed,
                layer=replace(
                    layer.packed.layer, theta_x=layer.thresholds[0], theta_h=layer.thresholds[1]
                ),
            )
            for layer in self._layers
        )

    @property
    def inputs(self) -> int:
        """I of the first layer."""
        return self._layers[0].packed.layer.inputs

    @property
    def outputs(self) -> int:
        """H of the last layer."""
        return self._layers[-1].packed.layer.hidden

    def step(self, x: ArrayLike, out: Floats | None = None) -> Floats:
        """One time step: (I,) -> (H,), or (streams, I) -> (streams, H).

        ``out``: C-contiguous float32 array for the result, which is then returned; without it a new
        one is made. Nothing else is allocated for a C-contiguous float32 ``x``.
        """
        array = _plain(x)
        if array.shape == self._one_in:
            return self._run(array, self._one_out, out)
        shape = (self.streams, self._out)
        if array.shape != (self.streams, self._in):
            raise self._wrong_shape("step", np.shape(x), "")
        return self._run(array, shape, out)

    def run(self, sequence: ArrayLike, out: Floats | None = None) -> Floats:
        """A sequence (T, I) or (T, streams, I) -> outputs of every step, continuing from the state.

        The same numbers as T calls of :meth:`step`; ``out`` as there. With float accumulation the
        input part of up to 48 steps becomes one matrix product where that is faster.
        """
        array = _plain(sequence)
        if array.ndim == 2 and self.streams == 1:
            shape: tuple[int, ...] = (len(array), self._out)
            wanted: tuple[int, ...] = (len(array), self._in)
        else:
            shape = (len(array), self.streams, self._out)
            wanted = (len(array), self.streams, self._in)
        if array.shape != wanted:
            raise self._wrong_shape("run", np.shape(sequence), "T, ")
        return self._run(array, shape, out)

    def _wrong_shape(self, what: str, shape: tuple[int, ...], time: str) -> DataError:
        single = f"({time}{self.inputs}{',' if not time else ''}) or " if self.streams == 1 else ""
        return DataError(
            f"{what} the delta engine",
            received=f"an input of shape {shape}",
            allowed=f"{single}({time}{self.streams}, {self.inputs})",
        )

    def _run(self, x: Floats, shape: tuple[int, ...], out: Floats | None) -> Floats:
        """x of the right shape, writable and C-contiguous, into ``out`` of ``shape``."""
        if out is None:
            out = np.empty(shape, np.float32)
        elif out.shape != shape or out.dtype is not _FLOAT32 or not out.flags.carray:
            raise DataError(
                "run the delta engine",
                received=f"out of shape {out.shape} and type {out.dtype}",
                allowed=f"a writable C-contiguous float32 array of shape {shape}",
            )
        flat = out
        if len(shape) > 1:
            x, flat = x.reshape(-1), out.reshape(-1)
        with self._lock:
            if self._many is None and len(shape) > 1:
                self._prepare_many(x.size // (self.streams * self._in))
            bad = self._shared(x, flat) if self._shares else steps.run(self._table, 0, x, flat)
        if bad > 0:
            every = x.reshape(-1, self.streams, self._in)
            step, stream, element = (int(i) for i in np.argwhere(~np.isfinite(every))[0])
            raise DataError(
                "run the delta engine",
                received=f"{every[step, stream, element]} in the input",
                where=f"step {step}, stream {stream}, element {element}",
                allowed="finite numbers; the state was not changed",
                fix="replace or leave out the sample",
            )
        return out

    def _shared(self, x: Floats, out: Floats) -> int:
        """The same with a helper, if so many weights are to be read that it pays."""
        if self._control[0] and self._forks == _forks:
            done: int = steps.run(self._table, self._control_address, x, out)
            return done
        count = x.size // (self.streams * self._in)
        little = self._bytes_per_step < HELPER_PAYS_BYTES * SHARING
        if little or time.perf_counter() - self._ended > PAUSE:
            self._streak = 0
        helped = self._streak + self._bytes_per_step * count >= HELPER_PAYS_BYTES
        if helped:
            self._control[0], self._forks = 1, _forks
            call_helper(sharing.assist, self._table, self._control)
        done = steps.run(self._table, self._control_address if helped else 0, x, out)
        if count and done <= 0:
            self._streak -= done
            self._bytes_per_step = -done // count
        self._ended = time.perf_counter()
        return done

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

    def set_thresholds(self, thresholds: Sequence[tuple[float, float]]) -> None:
        """(theta_x, theta_h) of every layer from now on; state and statistics are kept."""
        reasons = [
            f"layer {i}: {theta!r} is no finite number >= 0"
            for i, pair in enumerate(thresholds)
            for theta in pair
            if not (math.isfinite(theta) and theta >= 0)
        ]
        if len(thresholds) != len(self._layers):
            reasons.append(f"{len(thresholds)} pairs for {len(self._layers)} layers")
        if reasons:
            raise OptionError("set the thresholds of a delta engine", reasons=reasons)
        with self._lock:
            for layer, (theta_x, theta_h) in zip(self._layers, thresholds, strict=True):
                layer.set_thresholds(theta_x, theta_h)

    def reset_statistics(self) -> None:
        """Counters to zero."""
        with self._lock:
            for layer in self._layers:
                layer.sent[:] = 0

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
        # The addresses in the table hold only here.
        left_out = ("_lock", "_table", "_between", "_many", "_control")
        return {key: value for key, value in self.__dict__.items() if key not in left_out}

    def __setstate__(self, saved: dict[str, Any]) -> None:
        self.__dict__.update(saved)
        self._prepare()
