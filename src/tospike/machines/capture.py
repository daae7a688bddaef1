"""Traces: the input of every synaptic layer as it really was, sample by sample.

Imported only where a model is run: it needs torch or onnxruntime.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tospike.activity.accumulate import LayerAccumulator
from tospike.activity.profile import Signal
from tospike.errors import ModelError
from tospike.network import Layer

if TYPE_CHECKING:
    import torch

    from tospike.network.importers.onnx_ops import Probe

Array = NDArray[Any]
STREAMS = ("rnn_input", "rnn_hidden")


class Inputs:
    """What one layer was given: call by call, sample by sample."""

    def __init__(self, layer: Layer) -> None:
        self.layer = layer
        self._calls: list[Array] = []  # of the sample under way, (calls, *shape)
        self._samples: list[Array] = []

    def add(self, x: Array) -> None:
        """One call or several of the sample under way: (calls, \\*shape)."""
        self._calls.append(np.array(x))  # a copy: the model may write into it

    def close(self) -> None:
        """The sample is complete."""
        if self._calls and len({x.shape[1:] for x in self._calls}) == 1:
            self._samples.append(np.concatenate(self._calls))
        self._calls = []

    def trace(self, spikes: bool) -> Array | None:
        """(samples, \\*shape), (T, samples, \\*shape) of spikes, (T, n) of a stream; None for
        other layers: products, weights that are used several times in one inference."""
        if not self._samples or len({x.shape for x in self._samples}) > 1:
            return None
        first = self._samples[0]
        if self.layer.kind in STREAMS:
            return first if first.ndim == 2 else None
        if spikes:
            return np.stack(self._samples, axis=1).astype(np.bool_)
        return np.concatenate(self._samples) if len(first) == 1 else None


class Recorder(LayerAccumulator):
    """Keeps what a layer of a torch module is given, one sample at a time, and checks it."""

    def __init__(self, layer: Layer) -> None:
        super().__init__(layer)
        self.inputs = Inputs(layer)

    def update(
        self, x: Array, *, n_samples: int, signal: Signal = "analog", time_major: bool = False
    ) -> None:
        """One call or several."""
        super().update(x, n_samples=n_samples, signal=signal, time_major=time_major)
        self.inputs.add(x)

    def end_batch(self) -> None:
        """The sample is complete."""
        super().end_batch()
        self.inputs.close()


def capture_torch(
    module: torch.nn.Module, x: Array, *, timesteps: int | None = None
) -> dict[str, Array]:
    """Traces of a module on samples ``x`` (n, ...); the module is left as it was.

    timesteps : calls of one inference of a spiking module that computes one step per call.
    Streams of recurrent layers are those of the first sample.
    Raises what ``measure`` raises.
    """
    import torch

    from tospike.activity.measure_torch import MeasureMode
    from tospike.activity.plan import plan
    from tospike.activity.steps import Steps
    from tospike.network.importers.neurons import takes_state
    from tospike.network.importers.torch_run import as_inputs, uncompiled, untouched

    module = uncompiled(module)
    floating = [p.dtype for p in module.parameters() if p.is_floating_point()]
    samples = torch.from_numpy(np.ascontiguousarray(x))
    if samples.is_floating_point() and floating:
        samples = samples.to(floating[0])
    made = plan(module, samples[:1], 0)
    recorders = {layer.name: Recorder(layer) for layer in made.trace.network.synaptic_layers}
    steps = Steps(timesteps)
    hands_on = steps.several and takes_state(module)
    mode = MeasureMode(module, made, recorders)
    mode.n_samples = 1
    with untouched(module) as state:
        for sample in samples:
            kept: tuple[Any, ...] = ()
            for call in steps.calls(sample[None], 0):
                output = mode.run((*as_inputs(call), *kept))
                kept = (output[1],) if hands_on else ()
            for recorder in recorders.values():
                recorder.end_batch()
            state.restore()
            module.eval()
    found = {name: r.inputs.trace(r.signal == "spike") for name, r in recorders.items()}
    return {name: trace for name, trace in found.items() if trace is not None}


def capture_onnx(path: str | Path, x: Array) -> dict[str, Array]:
    """Traces of an ONNX graph with one input on samples ``x`` (n, ...).

    Raises :class:`ModelError` for a graph with several inputs or one that does not run.
    """
    from tospike.network.importers.onnx_graph import open_file
    from tospike.network.importers.onnx_model import read_model
    from tospike.network.importers.onnx_run import input_dtype, make_session, run_session
    from tospike.network.importers.onnx_shapes import input_layout

    file = read_model(path)
    name, axis = _only_input(file.name, input_layout(file))
    sample = x.shape[1:]
    opened = open_file(file, (*sample[:axis], 1, *sample[axis:]))
    probes = [probe for probe in opened.probes if probe.form not in ("product", "embedding")]
    stored = file.initializers()
    wanted = {t for probe in probes for t in (*probe.tensors, probe.zero_point) if t}
    made = sorted(wanted - set(stored) - {name})
    session = make_session(file, made) if made else None
    constants = {t: file.array(stored[t]) for t in wanted if t in stored}
    inputs = {layer.name: Inputs(layer) for layer in opened.network.synaptic_layers}
    for one in x:
        fed = np.expand_dims(one, axis)
        feeds = {name: np.ascontiguousarray(fed, input_dtype(file, name))}
        found = run_session(file, session, feeds) if session else {}
        tensors = {**constants, **feeds, **found}
        for probe in probes:
            inputs[probe.layer].add(_calls(probe, tensors, opened.shapes.axis))
        for layer in inputs.values():
            layer.close()
    traces = {layer: found.trace(False) for layer, found in inputs.items()}
    return {layer: trace for layer, trace in traces.items() if trace is not None}


def _calls(probe: Probe, tensors: Mapping[str, Array], axes: Mapping[str, int | None]) -> Array:
    """The input of one call of a layer as (calls, *shape): a recurrent layer has one per step."""
    from tospike.activity.measure_onnx import hidden_before, rows

    value = tensors[probe.tensors[0]]
    if probe.form == "rnn_hidden":
        start = tensors.get(probe.tensors[1]) if probe.tensors[1] else None
        return hidden_before(value, start, probe, None)[:, 0]
    if probe.form == "rnn_input":
        value = value.transpose(1, 0, 2) if probe.batch_first else value
        return value[::-1, 0] if probe.direction == "reverse" else value[:, 0]
    if probe.zero_point:
        value = value.astype(np.int32) - tensors[probe.zero_point].astype(np.int32).reshape(-1)[0]
    if probe.form == "rows":
        value = np.atleast_1d(value)
        return rows(value, axes.get(probe.tensors[0]), probe.features + value.ndim, 1)
    return value


def _only_input(file: str, layout: Mapping[str, tuple[int | None, int | None]]) -> tuple[str, int]:
    """Name and batch axis of the graph's input."""
    if len(layout) != 1:
        raise ModelError(
            f"record the layers of the ONNX model {file!r}",
            received=f"{len(layout)} inputs: {', '.join(layout)}",
            allowed="a graph with one input",
            fix="give the traces themselves (traces=), or the zeros of each layer",
        )
    name, (_, axis) = next(iter(layout.items()))
    return name, axis or 0
