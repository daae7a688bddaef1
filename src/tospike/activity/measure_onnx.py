"""``measure_onnx``: activity of an ONNX graph on real data, by exposing its inner tensors.

Only the inputs of synaptic nodes leave the runtime: for recurrent nodes the input X and the hidden
sequence Y, from which h_{t-1} follows with initial_h in front. Memory is bounded by the budget, not
by the number of samples: each batch is cut into pieces, and the tensors of a very large graph are
fetched in several passes.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tospike.activity.accumulate import LayerAccumulator
from tospike.activity.profile import ActivityProfile
from tospike.errors import DataError, ModelError, StatisticError
from tospike.network.importers.onnx_graph import OnnxNetwork, open_file
from tospike.network.importers.onnx_model import OnnxFile, read_model
from tospike.network.importers.onnx_ops import Probe
from tospike.network.importers.onnx_run import input_dtype, make_session, run_session
from tospike.network.importers.onnx_shapes import TensorShapes, input_layout

Array = NDArray[Any]
Arrays = Mapping[str, Array]

#: bytes of exposed tensors that may be held at once
BUDGET_BYTES = 128 << 20


def measure_onnx(
    path: str | Path | OnnxFile,
    batches: Iterable[Arrays],
    *,
    thresholds: tuple[float, ...] = (),
    sequence: bool = False,
    n_threads: int = 1,
    budget_bytes: int = BUDGET_BYTES,
    origin: str = "",
) -> ActivityProfile:
    """Measure the activity at the input of every synaptic layer.

    Parameters
    ----------
    path : the .onnx file, or what :func:`read_model` made of it.
    batches : mappings from input name to array, samples first. Inputs without a batch axis (a
        scalar rate, say) are given as they are. A graph whose file fixes the batch to 1 runs
        sample by sample.
    thresholds : Theta of the temporal sparsity. Recurrent layers along their time axis; other
        layers only with ``sequence=True``.
    sequence : consecutive samples are consecutive time steps of one stream.
    n_threads : threads of the runtime and of the counters.
    budget_bytes : exposed tensors held at once.

    Quantised values are counted from their zero point. All signals are "analog". Padded steps
    (``sequence_lens``) are not counted. For bidirectional nodes the temporal sparsity of the
    input is the one in forward order.

    Raises :class:`DataError` for no data, unknown or missing inputs and wrong shapes,
    :class:`ModelError` for a graph that does not run, :class:`StatisticError` for NaN in any
    measured tensor.
    """
    meter: _Meter | None = None
    for batch in batches:
        arrays = {name: np.asarray(value) for name, value in batch.items()}
        if meter is None:
            file = path if isinstance(path, OnnxFile) else read_model(path)
            opened = open_file(file, _example_shapes(file, arrays))
            meter = _Meter(opened, thresholds, sequence, n_threads, budget_bytes)
        meter.add(arrays)
    name = path.name if isinstance(path, OnnxFile) else Path(path).name
    if meter is None:
        raise DataError(
            f"measure the ONNX model {name!r}",
            received="no batches",
            allowed="at least one sample",
            fix="check the data: it is empty",
        )
    return meter.profile(origin or name)


def _example_shapes(file: OnnxFile, arrays: Arrays) -> dict[str, tuple[int, ...]]:
    """Shapes for the importer: samples first, as given; the batch becomes 1 there."""
    shapes: dict[str, tuple[int, ...]] = {}
    for name, (rank, axis) in input_layout(file).items():
        if name not in arrays:
            continue
        shape = arrays[name].shape
        if 0 in shape:
            raise DataError(
                f"run the ONNX model {file.name!r} on the data",
                received=f"input {name!r} is empty: {shape}",
                allowed="at least one sample",
                fix="check the data",
            )
        if axis is not None and len(shape) == (rank or len(shape)):
            rest = shape[1:]
            shapes[name] = (*rest[:axis], 1, *rest[axis:])
        elif rank is not None and len(shape) == rank + 1:
            shapes[name] = tuple(shape[1:])  # samples of a graph without a batch axis
        else:
            shapes[name] = tuple(shape)
    return shapes


class _BatchError(Exception):
    """The graph does not run on a piece of a batch; ``reason`` is the error for the user."""

    def __init__(self, reason: ModelError) -> None:
        super().__init__(str(reason))
        self.reason = reason


class _Meter:
    """Accumulators of all layers of one graph, fed batch by batch."""

    def __init__(
        self,
        opened: OnnxNetwork,
        thresholds: tuple[float, ...],
        sequence: bool,
        n_threads: int,
        budget_bytes: int,
    ) -> None:
        self.opened = opened
        self.shapes = opened.shapes
        self.n_samples = 0
        self.budget = budget_bytes
        self.n_threads = n_threads
        self.step = 1
        self.single = not self._batch_parallel()
        fan_outs = {p.layer: p.fan_out for p in opened.probes if p.form == "rows"}
        self.accumulators = {}
        for probe in opened.probes:
            layer = opened.network[probe.layer]
            if probe.layer in fan_outs:
                # the accumulator reads the operations per value off the last output dimension
                layer = dataclasses.replace(layer, output_shape=(fan_outs[probe.layer],))
            self.accumulators[probe.layer] = LayerAccumulator(
                layer, thresholds=thresholds, sequence=sequence, n_threads=n_threads
            )
        self.passes = self._plan()
        self.sessions = [
            make_session(opened.file, names, n_threads=n_threads) if names else None
            for names, _ in self.passes
        ]

    # -- planning --------------------------------------------------------------------------

    def _plan(self) -> list[tuple[list[str], list[Probe]]]:
        """Groups of probes whose tensors fit into the budget, and the samples per run."""
        fed = {value.name for value in self.opened.file.inputs()}
        static = {tensor.name for tensor in self.opened.file.proto.graph.initializer}
        made = {name for node in self.opened.file.proto.graph.node for name in node.output}
        groups: list[tuple[list[str], list[Probe]]] = []
        held = 0
        largest = 1
        by_layer: dict[str, list[Probe]] = {}
        for probe in self.opened.probes:
            by_layer.setdefault(probe.layer, []).append(probe)
        for probes in by_layer.values():  # calls of one layer stay together
            names = [
                name
                for probe in probes
                for name in (*probe.tensors, probe.zero_point, probe.lengths)
                if name and name in made and name not in fed and name not in static
            ]
            size = 8 * sum(self.shapes.size(name) for name in names)
            if not groups or held + size > self.budget:
                groups.append(([], []))
                held = 0
            held += size
            largest = max(largest, held)
            groups[-1][0].extend(name for name in names if name not in groups[-1][0])
            groups[-1][1].extend(probes)
        if not self.single:
            self.step = max(1, self.budget // largest)
        return groups

    def _batch_parallel(self) -> bool:
        """True if every measured tensor has its own, unmerged batch axis."""
        shapes = self.shapes
        if not shapes.batchable:
            return False
        for probe in self.opened.probes:
            for name in filter(None, probe.tensors):
                axis = shapes.axis.get(name)
                if axis is None or shapes.one[name][axis] != 1:
                    return False
            if probe.form == "product" and not _separable(probe, shapes):
                return False
        return True

    # -- feeding ---------------------------------------------------------------------------

    def add(self, arrays: Arrays) -> None:
        """Run one batch, in pieces, and count it."""
        n_samples = self._check(arrays)
        start = 0
        while start < n_samples:
            stop = min(start + self.step, n_samples)
            try:
                self._add_piece(arrays, start, stop)
            except _BatchError as refusal:
                if stop - start == 1:
                    raise refusal.reason from refusal
                self.step = 1  # something in the graph is made for one sample
                self.single = True
                continue
            start = stop

    def _add_piece(self, arrays: Arrays, start: int, stop: int) -> None:
        feeds = self._feeds(arrays, start, stop)
        for index, (session, (names, probes)) in enumerate(
            zip(self.sessions, self.passes, strict=True)
        ):
            try:
                found = run_session(self.opened.file, session, feeds) if session and names else {}
            except ModelError as error:
                if index:
                    raise
                raise _BatchError(error) from error  # nothing is counted yet
            tensors = {**self._constants(probes), **feeds, **found}
            for probe in probes:
                self._count(probe, tensors, stop - start)
            for layer in {probe.layer for probe in probes}:
                self.accumulators[layer].end_batch()
        self.n_samples += stop - start

    def _constants(self, probes: list[Probe]) -> dict[str, Array]:
        """Zero points, initial states and lengths that are stored in the file."""
        stored = self.opened.file.initializers()
        wanted = {
            name for probe in probes for name in (*probe.tensors, probe.zero_point, probe.lengths)
        }
        return {n: self.opened.file.array(stored[n]) for n in wanted if n in stored}

    def _check(self, arrays: Arrays) -> int:
        """Number of samples. Raises :class:`DataError` with all faults."""
        reasons = []
        file = self.opened.file
        wanted = {value.name: self.shapes.one[value.name] for value in file.inputs()}
        reasons += [f"input {name!r} is missing" for name in wanted if name not in arrays]
        reasons += [f"the model has no input {name!r}" for name in arrays if name not in wanted]
        counts: dict[str, int] = {}
        for name in wanted.keys() & arrays.keys():
            value, shape = arrays[name], wanted[name]
            if self._per_sample(name, value):
                counts[name] = len(value)
                if value.size == 0:
                    reasons.append(f"input {name!r} is empty: {value.shape}")
            elif value.ndim != len(shape):
                reasons.append(f"input {name!r}: shape {value.shape}, the model wants {shape}")
            if value.dtype.kind == "f" and not np.all(np.isfinite(value)):
                reasons.append(f"input {name!r} holds NaN or infinity")
            elif value.dtype.kind not in "biuf":
                reasons.append(f"input {name!r} is of type {value.dtype}, not numeric")
        if len(set(counts.values())) > 1:
            reasons.append(f"inputs with different numbers of samples: {counts}")
        if reasons:
            raise DataError(
                f"run the ONNX model {file.name!r} on the data",
                allowed="; ".join(f"{name}: (samples, ...) of {s}" for name, s in wanted.items()),
                fix="give every input of the model, samples first",
                reasons=reasons,
            )
        return next(iter(counts.values()), 1)

    def _per_sample(self, name: str, value: Array) -> bool:
        """True if the first axis of ``value`` runs over samples."""
        axis = self.shapes.input_axis.get(name)
        if axis is not None:
            return value.ndim == len(self.shapes.one[name])
        return value.ndim == len(self.shapes.one[name]) + 1

    def _feeds(self, arrays: Arrays, start: int, stop: int) -> dict[str, Array]:
        feeds = {}
        for name, value in arrays.items():
            dtype = input_dtype(self.opened.file, name)
            if not self._per_sample(name, value):
                feeds[name] = np.ascontiguousarray(value, dtype)
                continue
            axis = self.shapes.input_axis.get(name)
            part = value[start:stop]
            part = part[0] if axis is None else np.moveaxis(part, 0, axis)
            feeds[name] = np.ascontiguousarray(part, dtype)
        return feeds

    # -- counting --------------------------------------------------------------------------

    def _count(self, probe: Probe, tensors: Arrays, n: int) -> None:
        accumulator = self.accumulators[probe.layer]
        if probe.form in ("rnn_input", "rnn_hidden"):
            self._count_recurrent(probe, tensors, n)
            return
        x = _from_zero(tensors[probe.tensors[0]], tensors, probe.zero_point)
        if probe.form == "conv":
            accumulator.update(x, n_samples=n)
        elif probe.form == "product":
            second = _real(tensors[probe.tensors[1]])
            a, b = matrices(x, second, probe, self.shapes, n)
            accumulator.update_product(a, b, n_samples=n)
        else:
            axis = self.shapes.axis.get(probe.tensors[0])
            x = np.atleast_1d(x)
            features = probe.features + x.ndim
            accumulator.update(rows(x, axis, features, n), n_samples=n)

    def _count_recurrent(self, probe: Probe, tensors: Arrays, n: int) -> None:
        accumulator = self.accumulators[probe.layer]
        values = _real(tensors[probe.tensors[0]])
        lengths = tensors.get(probe.lengths) if probe.lengths else None
        if probe.form == "rnn_hidden":
            initial = tensors.get(probe.tensors[1]) if probe.tensors[1] else None
            streams = hidden_before(values, initial, probe, lengths)
        else:
            x = values.transpose(1, 0, 2) if probe.batch_first else values
            streams = x[::-1] if probe.direction == "reverse" else x
        steps, batch = streams.shape[0], streams.shape[1]
        if batch != n:
            raise StatisticError(
                f"measure layer {probe.layer!r}",
                received=f"a recurrent node with {batch} sequences for {n} samples",
                allowed="one sequence per sample",
                fix="export the model with the batch as batch of its recurrent nodes",
            )
        if lengths is None or bool(np.all(lengths == steps)):
            accumulator.update_sequence(np.ascontiguousarray(streams))
            return
        for index, length in enumerate(np.asarray(lengths).reshape(-1)):
            part = streams[:, index : index + 1]
            # an input turned round has its padding first, hidden states have it last
            padded_first = probe.form == "rnn_input" and probe.direction == "reverse"
            real = part[steps - length :] if padded_first else part[:length]
            if index:
                accumulator.end_batch()
            accumulator.update_sequence(np.ascontiguousarray(real))

    def profile(self, origin: str) -> ActivityProfile:
        """The finished profile. Raises :class:`StatisticError` for a layer without values."""
        notes = self.opened.network.notes
        if self.single:
            notes = (*notes, "run sample by sample: the graph fixes or merges its batch axis")
        return ActivityProfile(
            {name: item.result() for name, item in self.accumulators.items()},
            n_samples=self.n_samples,
            origin=origin,
            notes=notes,
        )


def _real(x: Array) -> Array:
    """float16 widened: the counters work on float32, float64 and integers."""
    return x.astype(np.float32) if x.dtype == np.float16 else x


def _from_zero(x: Array, tensors: Arrays, zero_point: str) -> Array:
    """Quantised values minus their zero point, so that zero means zero."""
    if not zero_point:
        return _real(x)
    zero = np.asarray(tensors[zero_point], np.int32)
    return np.asarray(x.astype(np.int32) - zero.reshape(-1)[0])


def rows(x: Array, axis: int | None, features: int, n: int) -> Array:
    """``x`` as (n, ..., features): batch axis first, feature axis last."""
    if axis is None or x.shape[axis] != n:
        # one sample: there is no batch axis of its own, or it is merged with another one
        moved = np.moveaxis(x, features, -1)
        return moved if n == 1 and x.ndim > 1 and x.shape[0] == 1 else moved[None]
    if axis == features:
        return np.moveaxis(x, axis, 0).reshape(n, -1)
    ahead = np.moveaxis(x, (axis, features), (0, -1))
    return np.ascontiguousarray(ahead)


def _separable(probe: Probe, shapes: TensorShapes) -> bool:
    """True if a product of activations splits into products of single samples."""
    a, b = probe.tensors
    left, right, _ = probe.subscripts
    axis_a, axis_b = shapes.axis.get(a), shapes.axis.get(b)
    return axis_a is not None and axis_b is not None and left[axis_a] == right[axis_b]


def matrices(a: Array, b: Array, probe: Probe, shapes: TensorShapes, n: int) -> tuple[Array, Array]:
    """Operands of an einsum as (n * matrices, M, K) and (n * matrices, K, N), samples first."""
    left, right, result = probe.subscripts
    sizes: dict[str, int] = {}
    for letters, array in ((left, a), (right, b)):
        for letter, size in zip(letters, array.shape, strict=True):
            sizes[letter] = max(size, sizes.get(letter, 1))
    common = [c for c in left if c in right and c in result]
    inner = [c for c in left if c in right and c not in result]
    if n > 1:
        axis = shapes.axis[probe.tensors[0]]
        first = left[axis if axis is not None else 0]
        common = [first, *(c for c in common if c != first)]
    own_a = [c for c in left if c not in right]
    own_b = [c for c in right if c not in left]

    def arrange(array: Array, letters: str, groups: tuple[list[str], ...]) -> Array:
        order = [c for group in groups for c in group]
        moved = np.transpose(array, [letters.index(c) for c in order])
        full = np.broadcast_to(moved, [sizes[c] for c in order])
        return np.ascontiguousarray(
            full.reshape([math.prod(sizes[c] for c in group) for group in groups])
        )

    return arrange(a, left, (common, own_a, inner)), arrange(b, right, (common, inner, own_b))


def hidden_before(y: Array, initial: Array | None, probe: Probe, lengths: Array | None) -> Array:
    """h_{t-1} in the order of processing, (T, B, H) or (T, B, directions, H).

    ``y``: (T, D, B, H), or (B, T, D, H) with layout 1; ``initial``: (D, B, H) or (B, D, H).
    """
    if probe.batch_first:
        y = y.transpose(1, 2, 0, 3)
        initial = None if initial is None else initial.transpose(1, 0, 2)
    _, directions, batch, hidden = y.shape
    start = np.zeros((directions, batch, hidden), y.dtype)
    if initial is not None:
        start[:] = initial
    streams = []
    for direction in range(directions):
        states = y[:, direction]
        if probe.direction == "reverse" or direction == 1:
            states = _reversed(states, lengths)
        streams.append(np.concatenate((start[direction][None], states[:-1])))
    if directions == 1:
        return streams[0]
    return np.ascontiguousarray(np.stack(streams, axis=2))


def _reversed(states: Array, lengths: Array | None) -> Array:
    """Time turned round; with lengths only the real steps, padding left at the end."""
    if lengths is None:
        return states[::-1]
    turned = states.copy()
    for index, length in enumerate(np.asarray(lengths).reshape(-1)):
        turned[:length, index] = states[:length, index][::-1]
    return turned


def iterate_batches(arrays: Arrays, batch_size: int) -> Iterator[dict[str, Array]]:
    """Cut arrays with samples first into batches."""
    n_samples = min((len(value) for value in arrays.values() if value.ndim), default=0)
    for start in range(0, n_samples, batch_size):
        yield {
            name: value[start : start + batch_size] if value.ndim else value
            for name, value in arrays.items()
        }
