"""``LayerAccumulator``: streaming statistics at the input of one synaptic layer.

Feed it the input tensors of a layer, batch after batch, from any importer:

>>> accumulator = LayerAccumulator(layer, thresholds=(0.1,))
>>> for batch in data:
...     accumulator.update(inputs_of_the_layer, n_samples=len(batch))  # once per call of the layer
...     accumulator.end_batch()
>>> accumulator.result()

Memory depends on the layer only, not on the number of samples or time steps. All counts are
integers and all spreads are taken in the order of the samples, so results are the same, to the
last bit, for every batch size.
"""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tospike.activity import _counters as kernel
from tospike.activity.profile import LayerActivity, Signal
from tospike.errors import StatisticError
from tospike.network import Layer
from tospike.network.importers.conv_fan_out import conv_fan_out

Array = NDArray[Any]

#: tensors with fewer values are counted by one thread: handing over costs about 50 microseconds
PARALLEL_FROM = 1 << 18


@lru_cache(maxsize=1)
def _pool(n_threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(n_threads, thread_name_prefix="tospike-count")


class LayerAccumulator:
    """Counts at the input of one layer; see the module text for the order of calls.

    Parameters
    ----------
    layer : the layer's record; its shapes and geometry give the fan-out of each input.
    thresholds : Theta of the temporal sparsity, in the units of the values. For ``rnn_input``
        and ``rnn_hidden`` layers it runs along their time axis; for other layers only with
        ``sequence=True``.
    sequence : consecutive samples are consecutive time steps of one stream.
    n_threads : threads for large tensors.
    count_pairs : also count products with both operands non-zero (kind "matmul"), in
        :attr:`both_operands_nonzero`.
    """

    def __init__(
        self,
        layer: Layer,
        *,
        thresholds: tuple[float, ...] = (),
        sequence: bool = False,
        n_threads: int = 1,
        count_pairs: bool = False,
    ) -> None:
        self.layer = layer
        self.count_pairs = count_pairs
        self.thresholds = tuple(float(t) for t in thresholds)
        self.sequence = sequence
        self.n_threads = n_threads
        self.signal: Signal | None = None
        self.n_samples = 0
        self.n_calls = 0
        self.n_values = 0
        self.n_nonzero = 0
        self.n_operations = 0
        self.n_pairs = np.zeros(1, np.int64)
        self._temporal = bool(self.thresholds) and (
            sequence or layer.kind in ("rnn_input", "rnn_hidden")
        )
        self._sent = dict.fromkeys(self.thresholds, 0)
        self._references: dict[tuple[int, ...], Array] = {}
        self._channel = np.zeros(0, np.int64)
        self._channel_values = 0
        self._pixel = np.zeros(0, np.int64)
        self._pixel_values = 0
        self._spatial: tuple[int, ...] | None = None
        self._spread_gamma = np.zeros(3)
        self._spread_operations = np.zeros(3)
        self._tables: dict[tuple[int, ...], NDArray[np.int64]] = {}
        # the batch under way, summed over the calls of the layer
        self._nonzero = np.zeros(0, np.int64)
        self._operations = np.zeros(0, np.int64)
        self._values = 0
        self._batch_samples = 0
        self._batch_calls = 0

    # -- feeding ---------------------------------------------------------------------------

    def update(
        self,
        x: Array,
        *,
        n_samples: int,
        signal: Signal = "analog",
        time_major: bool = False,
    ) -> None:
        """Count one input tensor of the layer.

        ``x``: (n_samples * calls, \\*input shape of one call), rows ordered by sample and then by
        call; with ``time_major=True`` by call and then by sample (a merged (T, B) axis). May be
        called several times for one batch (time steps, shared weights); :meth:`end_batch` closes
        the batch. Convolutions take (rows, C, \\*space); any other layer (rows, ..., features).
        The shape of one call may differ from ``layer.input_shape`` (shared weights at several
        sizes). ``float16`` and ``bfloat16`` must be converted to ``float32`` first.

        Raises :class:`StatisticError` for NaN or infinity, and for values other than 0 and 1 where
        ``signal`` is "spike".
        """
        rows = x.shape[0]
        if n_samples < 1 or rows % n_samples:
            raise StatisticError(
                f"count the input of layer {self.layer.name!r} per sample",
                received=f"{rows} rows for {n_samples} samples, shape {tuple(x.shape)}",
                allowed="the same number of rows for every sample",
                fix="name the batch dimension with batch_dim, or measure with batch_size=1",
            )
        calls = rows // n_samples
        x = x.view(np.uint8) if x.dtype == np.bool_ else x
        self._open(n_samples, calls, signal)
        if self.layer.kind == "embedding":
            self._values += x.size // n_samples
            self._nonzero += x.size // n_samples
            return
        self._count(x, self._fan_out(x.shape), n_samples, calls, time_major)
        if self._temporal:
            self._transmit(x, n_samples, calls, time_major)

    def update_sequence(self, x: Array, *, signal: Signal = "analog") -> None:
        """Count the whole input sequence of a recurrent layer: ``x`` (T, B, features)."""
        steps, batch = x.shape[0], x.shape[1]
        self.update(
            x.reshape(steps * batch, *x.shape[2:]),
            n_samples=batch,
            signal=signal,
            time_major=True,
        )

    def update_product(
        self, a: Array, b: Array, *, n_samples: int, signal: Signal = "analog"
    ) -> None:
        """Count a product of two activations.

        kind "matmul": ``a`` (n_samples * matrices, M, K) and ``b`` (n_samples * matrices, K, N);
        an operation is one with a non-zero value of ``a``: it causes N products.
        kind "bilinear": ``a`` (rows, in1), ``b`` (rows, in2): y = (W a) b. A non-zero ``a`` causes
        in2 * out products, a non-zero ``b`` out products.
        """
        if self.layer.kind == "bilinear":
            out = self.layer.output_shape[-1]
            calls = a.shape[0] // n_samples
            self._open(n_samples, 1, signal)
            for operand, fan in ((a, b.shape[-1] * out), (b, out)):
                table = np.full(1, fan, np.int64)
                self._count(operand, table, n_samples, calls, False, maps=operand is a)
            return
        calls = a.shape[0] // n_samples
        self._open(n_samples, 1, signal)
        table = np.full(a.shape[1], b.shape[-1], np.int64)
        self._count(a, table, n_samples, calls, False)
        if self.count_pairs:
            kernel.count_products(np.ascontiguousarray(a), np.ascontiguousarray(b), self.n_pairs)
        if self._temporal:
            self._transmit(a, n_samples, calls, False)

    def end_batch(self) -> None:
        """Close the batch: its samples enter the means and the spreads."""
        n = self._batch_samples
        if n == 0:
            return
        kernel.welford(self._spread_gamma, 1.0 - self._nonzero / max(self._values, 1))
        kernel.welford(self._spread_operations, self._operations.astype(np.float64))
        self.n_samples += n
        self.n_calls += self._batch_calls * n
        self.n_values += self._values * n
        self.n_nonzero += int(self._nonzero.sum())
        self.n_operations += int(self._operations.sum())
        self._batch_samples = self._batch_calls = self._values = 0
        if not self.sequence:
            self._references.clear()

    # -- results ---------------------------------------------------------------------------

    def result(self) -> LayerActivity:
        """The statistics of all closed batches. Raises :class:`StatisticError` without any."""
        if self.n_samples == 0 or self.n_values == 0:
            raise StatisticError(
                f"measure layer {self.layer.name!r}",
                received="no input values" if self.n_samples else "no samples",
                allowed="at least one sample that reaches the layer",
                fix="give data that runs through this layer",
            )
        n = self.n_samples
        operations = self.n_operations / n
        spikes = self.signal == "spike"
        neurons = math.prod(self.layer.input_shape) or 1
        per_step = self.layer.n_synapses / max(self.layer.calls, 1)
        return LayerActivity(
            signal=self.signal or "analog",
            n_samples=n,
            n_timesteps=self.n_calls / n,
            zero_fraction=(self.n_values - self.n_nonzero) / self.n_values,
            synaptic_operations=operations,
            zero_fraction_std=_std(self._spread_gamma),
            synaptic_operations_std=_std(self._spread_operations),
            spikes_per_synapse=operations / per_step if spikes and per_step else None,
            spikes_per_neuron=self.n_nonzero / n / neurons if spikes else None,
            temporal_sparsity=(
                {t: 1.0 - self._sent[t] / self.n_values for t in self.thresholds}
                if self._temporal
                else {}
            ),
            channel_density=self._channel / max(self._channel_values, 1),
            pixel_density=(self._pixel / max(self._pixel_values, 1)).reshape(self._spatial or (0,)),
        )

    @property
    def both_operands_nonzero(self) -> float:
        """Products per inference in which both operands are non-zero (with ``count_pairs``)."""
        known = self.count_pairs and self.n_samples
        return int(self.n_pairs[0]) / self.n_samples if known else math.nan

    # -- inside ----------------------------------------------------------------------------

    def _open(self, n_samples: int, calls: int, signal: Signal) -> None:
        """Begin a batch, or go on with it."""
        if self._batch_samples == 0:
            if self._nonzero.size != n_samples:
                self._nonzero = np.zeros(n_samples, np.int64)
                self._operations = np.zeros(n_samples, np.int64)
            else:
                self._nonzero[:] = 0
                self._operations[:] = 0
            self._batch_samples = n_samples
        elif self._batch_samples != n_samples:
            raise StatisticError(
                f"measure layer {self.layer.name!r}",
                received=f"{self._batch_samples} and then {n_samples} samples in one batch",
                allowed="the same samples in every call of a layer",
            )
        if self.signal is None:
            self.signal = signal
        elif self.signal != signal:
            # One analog call among spikes makes the layer's input analog.
            self.signal = "analog"
        self._batch_calls += calls

    def _fan_out(self, shape: tuple[int, ...]) -> NDArray[np.int64]:
        """Flat table of operations per non-zero input position, made once per shape."""
        inner = tuple(shape[1:])
        table = self._tables.get(inner)
        if table is None:
            if self.layer.kind == "conv":
                table = conv_fan_out(self.layer, inner[1:]).reshape(-1)
            else:
                positions = math.prod(inner[:-1])
                table = np.full(positions, self.layer.output_shape[-1], np.int64)
            self._tables[inner] = table
        return table

    def _count(
        self,
        x: Array,
        table: NDArray[np.int64],
        n_samples: int,
        calls: int,
        time_major: bool,
        maps: bool = True,
    ) -> None:
        """One pass over ``x``; ``maps=False`` leaves the densities alone."""
        rows = x.shape[0]
        first = self.layer.kind == "conv"
        if first:
            channels, spatial = x.shape[1], x.shape[2:]
        else:
            channels, spatial = x.shape[-1], tuple(d for d in x.shape[1:-1] if d != 1)
        view, channels_first = _view(x, first)
        positions = math.prod(spatial)
        if maps and self._channel.size != channels:
            self._channel = np.zeros(channels, np.int64)
        channel = self._channel if maps else np.zeros(channels, np.int64)
        keeps_pixels = maps and bool(spatial) and self._spatial in (None, spatial)
        if keeps_pixels and self._spatial is None:
            self._spatial = spatial
            self._pixel = np.zeros(positions, np.int64)
        elif maps and spatial and not keeps_pixels:
            # several input sizes: there is no common pixel grid
            self._spatial, self._pixel, self._pixel_values = (), np.zeros(0, np.int64), 0
        pixel = self._pixel if keeps_pixels else np.zeros(positions, np.int64)
        flags = self._run(view, channels_first, table, calls, n_samples, time_major, channel, pixel)
        if flags & kernel.NON_FINITE or (self.signal == "spike" and flags & kernel.NOT_BINARY):
            self._refuse(x, n_samples, calls, time_major)
        self._values += x.size // n_samples
        if maps:
            self._channel_values += rows * positions
            self._pixel_values += rows * channels if keeps_pixels else 0

    def _run(
        self,
        view: Array,
        channels_first: bool,
        table: NDArray[np.int64],
        calls: int,
        n_samples: int,
        time_major: bool,
        channel: NDArray[np.int64],
        pixel: NDArray[np.int64],
    ) -> int:
        """The kernel, on one thread or, for large tensors, on slices of the second axis."""
        count = kernel.count_channels_first if channels_first else kernel.count_channels_last
        fixed = (calls, n_samples, time_major)
        size = view.shape[1]
        if self.n_threads < 2 or view.size < PARALLEL_FROM or size < self.n_threads:
            counters = (self._nonzero, self._operations, channel, pixel)
            return int(count(view, table, *fixed, 0, size, *counters))
        bounds = [size * i // self.n_threads for i in range(self.n_threads + 1)]
        jobs = []
        for low, high in pairwise(bounds):
            own = [np.zeros_like(c) for c in (self._nonzero, self._operations, channel, pixel)]
            pool = _pool(self.n_threads)
            jobs.append((own, pool.submit(count, view, table, *fixed, low, high, *own)))
        flags = 0
        for own, job in jobs:
            flags |= int(job.result())
            for total, part in zip(
                (self._nonzero, self._operations, channel, pixel), own, strict=True
            ):
                total += part
        return flags

    def _transmit(self, x: Array, n_samples: int, calls: int, time_major: bool) -> None:
        """Temporal sparsity, with one reference per threshold and stream."""
        shape = tuple(x.shape[1:])
        flat: Array = np.ascontiguousarray(x).reshape(x.shape[0], -1)
        if self.sequence:
            if n_samples > 1 and self._batch_calls > calls:
                raise StatisticError(
                    f"measure the temporal sparsity of layer {self.layer.name!r} over samples",
                    received=f"{n_samples} samples in a batch, layer called again",
                    allowed="one sample per batch where a layer runs several times per sample",
                    fix="measure with batch_size=1",
                )
            if time_major:
                flat = flat.reshape(calls, n_samples, -1).transpose(1, 0, 2)
            steps: Array = flat.reshape(n_samples * calls, 1, -1)
        elif time_major:
            steps = flat.reshape(calls, n_samples, -1)
        else:
            steps = flat.reshape(n_samples, calls, -1).transpose(1, 0, 2)
        steps = np.ascontiguousarray(steps)
        references = self._references.get(shape)
        if references is None:
            references = np.zeros((len(self.thresholds), *steps.shape[1:]), steps.dtype)
            self._references[shape] = references
        sent = np.zeros(steps.shape[1], np.int64)
        for reference, threshold in zip(references, self.thresholds, strict=True):
            sent[:] = 0
            kernel.count_transmitted(steps, threshold, reference, sent)
            self._sent[threshold] += int(sent.sum())

    def _refuse(self, x: Array, n_samples: int, calls: int, time_major: bool) -> None:
        """Raise the error for the first wrong value."""
        rows = x.reshape(x.shape[0], -1)
        wrong = ~np.isfinite(rows)
        what = "NaN or infinity"
        if not wrong.any():
            wrong = (rows != 0) & (rows != 1)
            what = "a value other than 0 and 1 in a signal declared as spikes"
        row, column = (int(i) for i in np.argwhere(wrong)[0])
        sample = row % n_samples if time_major else row // calls
        raise StatisticError(
            "measure the activity",
            received=f"{what}: {rows[row, column]!s}",
            where=f"input of layer {self.layer.name!r}, sample {self.n_samples + sample}",
            allowed="finite values" if what.startswith("NaN") else "only 0 and 1",
            fix=(
                "check the data and the weights for NaN and overflow"
                if what.startswith("NaN")
                else "declare the neuron's signal as 'analog', or mend the neuron"
            ),
        )


def _std(state: NDArray[np.float64]) -> float:
    return math.sqrt(state[2] / (state[0] - 1)) if state[0] > 1 else math.nan


def _view(x: Array, channel_is_second: bool) -> tuple[Array, bool]:
    """``x`` as (rows, C, P) with True, or (rows, P, C) with False; copied only if it must be."""
    rows = x.shape[0]
    if not channel_is_second:
        return np.ascontiguousarray(x).reshape(rows, -1, x.shape[-1]), False
    channels = x.shape[1]
    if not x.flags.c_contiguous:
        # not np.moveaxis, which loses some bytes at every call in NumPy 2.x
        last = x.transpose(0, *range(2, x.ndim), 1)
        if last.flags.c_contiguous:
            return last.reshape(rows, -1, channels), False
    return np.ascontiguousarray(x).reshape(rows, channels, -1), True
