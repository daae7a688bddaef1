"""``measure``: activity of every synaptic layer of a model on real data."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from tospike.activity.batches import Source, read_source, torch_batches
from tospike.activity.blame import as_data_error
from tospike.activity.profile import ActivityProfile
from tospike.activity.steps import Steps
from tospike.errors import (
    ModelError,
    OptionError,
    StatisticError,
    UnsupportedOperatorError,
)

if TYPE_CHECKING:
    import torch

    from tospike.activity.accumulate import LayerAccumulator
    from tospike.activity.measure_torch import MeasureMode
    from tospike.activity.plan import Plan
    from tospike.activity.populations import NeuronCounter
    from tospike.activity.profile import NeuronActivity
    from tospike.network.importers.nir_neurons import NirOptions
    from tospike.network.importers.torch_run import ModuleState
    from tospike.network.importers.torch_trace import Trace

Progress = Callable[[int, int | None], None]


def measure(
    model: Any,
    data: Any,
    *,
    example_input: Any = None,
    batch_size: int = 64,
    thresholds: tuple[float, ...] = (),
    batch_dim: int | None = 0,
    sequence: bool = False,
    timesteps: int | None = None,
    time_dim: int | None = None,
    input_signal: Literal["analog", "spike"] = "analog",
    nir: NirOptions | None = None,
    max_samples: int | None = None,
    progress: Progress | None = None,
) -> ActivityProfile:
    """Run ``model`` on ``data`` and count, at the input of every synaptic layer, what is not zero.

    One pass; memory depends neither on the number of samples nor on the time steps. The result
    does not depend on ``batch_size``. The model is left as it was (state, training flags).

    Parameters
    ----------
    model : a ``torch.nn.Module`` or a path that ends in ``.onnx`` or ``.nir``.
    data : tensor or array with samples first; mapping from input name to such arrays (scalars in
        it go to every batch as they are); path (.npz, .npy, .pt, folder of images, .wav); or an
        iterable of batches x or (x, y), with the batch along ``batch_dim``, such as a DataLoader.
        Several positional inputs: batches ((a, b), y), or (a, b) and (a, b, y) where
        ``example_input`` is a tuple of two.
    example_input : input on which the layers are recorded; by default the first sample.
    batch_size : samples run at once.
    thresholds : Theta of the temporal sparsity Gamma(Theta), in the units of the activations, for
        recurrent layers along their time axis (Neil 2017; Gao 2020: last *transmitted* values,
        which start from 0).
    batch_dim : dimension of the model's inputs that counts samples; None: there is none.
    sequence : consecutive samples are consecutive time steps of one stream: the temporal
        sparsity of *every* layer is taken over samples, and a model that keeps state keeps it.
    timesteps, time_dim : for a spiking model that computes one time step per call and keeps its
        state: calls per inference with the same input; or the dimension of the data that counts
        time steps, 1 for (samples, T, ...), 0 for (T, samples, ...), each the input of one call.
    input_signal : "spike" for data that are spikes (0 and 1: event frames, rate coding).
    nir : how a NIR file is executed; by default as its metadata say.
    max_samples : stop there. progress : called with (samples done, samples in all or None).

    Raises
    ------
    DataError, OptionError : no samples; data or options that do not fit the model.
    ModelError : the model raises, or has parameters that are not finite.
    StatisticError : an activation that is not finite, values that contradict a declared spike
        signal, or a layer that does not run for every sample. Never a 0 in its place.
    """
    steps = Steps(timesteps, time_dim)
    _check_options(batch_size, max_samples, thresholds, input_signal, steps.faults(sequence))
    n_inputs = len(example_input) if isinstance(example_input, tuple | list) else 1
    if isinstance(model, str | Path):
        source = read_source(data, n_inputs=n_inputs)
        if str(model).lower().endswith(".nir"):
            from tospike.activity.measure_nir import measure_nir_samples

            _check_nir_options(steps, thresholds, sequence)
            return measure_nir_samples(
                model, source, options=nir, timesteps=timesteps, input_signal=input_signal,
                batch_size=batch_size, max_samples=max_samples, progress=progress,
            )  # fmt: skip
        _check_file_options(steps, input_signal, nir)
        return _measure_onnx(model, source, batch_size, thresholds, sequence, max_samples, progress)
    module = _checked_module(model, batch_dim)
    source = steps.prepared(read_source(data, n_inputs=n_inputs))
    run = _TorchRun(module, source, batch_dim, tuple(thresholds), sequence, steps, input_signal)
    return run.measure(run.as_example(example_input), batch_size, max_samples, progress)


def _checked_module(model: Any, batch_dim: int | None) -> torch.nn.Module:
    """The module itself, if it is one, without what ``torch.compile`` puts around it."""
    import torch

    from tospike.network.importers.torch_run import batch_dim_faults, uncompiled

    if not isinstance(model, torch.nn.Module):
        raise ModelError(
            "measure the activity",
            received=f"a model of type {type(model).__module__}.{type(model).__qualname__}",
            allowed="a torch.nn.Module or a path that ends in .onnx or .nir",
            fix="networks of the zoo have no weights: give the trained module itself",
        )
    reasons = batch_dim_faults(batch_dim)
    if reasons:
        raise OptionError("measure the activity", reasons=reasons)
    return uncompiled(model)


def _check_file_options(steps: Steps, input_signal: str, nir: NirOptions | None) -> None:
    if steps.several or input_signal != "analog" or nir is not None:
        raise OptionError(
            "measure an ONNX file with timesteps, time_dim, input_signal or nir",
            allowed="a torch module, or a NIR file",
            fix="give the module; an ONNX file keeps no state from call to call",
        )


def _check_nir_options(steps: Steps, thresholds: tuple[float, ...], sequence: bool) -> None:
    reasons = []
    if steps.time_dim is not None:
        reasons.append("time_dim is given; the data of a NIR file are (samples, T, ...)")
    if thresholds or sequence:
        reasons.append("thresholds and sequence are not measured on NIR files")
    if reasons:
        raise OptionError("measure a NIR file with these options", reasons=reasons)


def _is_whole(value: Any) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def _check_options(
    batch_size: int,
    max_samples: int | None,
    thresholds: tuple[float, ...],
    input_signal: str,
    faults: list[str],
) -> None:
    reasons = list(faults)
    if input_signal not in ("analog", "spike"):
        reasons.append(f"input_signal is {input_signal!r}; 'analog' or 'spike' is needed")
    if not _is_whole(batch_size) or batch_size < 1:
        reasons.append(f"batch_size is {batch_size!r}; a whole number of at least 1 is needed")
    if max_samples is not None and (not _is_whole(max_samples) or max_samples < 1):
        reasons.append(f"max_samples is {max_samples!r}; a whole number of at least 1 is needed")
    if isinstance(thresholds, tuple | list):
        numbers = (int, float, np.number)
        reasons += [
            f"threshold {t!r} is not a number >= 0"
            for t in thresholds
            if not (isinstance(t, numbers) and t >= 0)
        ]
    else:
        reasons.append(f"thresholds is {thresholds!r}; a tuple of numbers is needed")
    if reasons:
        raise OptionError("measure the activity", reasons=reasons)


class _TorchRun:
    """One call of :func:`measure` on a torch module."""

    def __init__(
        self,
        model: torch.nn.Module,
        source: Source,
        batch_dim: int | None,
        thresholds: tuple[float, ...],
        sequence: bool,
        steps: Steps,
        input_signal: str,
    ) -> None:
        import torch

        self.steps = steps
        self.input_signal = input_signal
        self.model = model
        self.source = source
        self.batch_dim = batch_dim
        self.thresholds = thresholds
        self.sequence = sequence
        floating = [p.dtype for p in model.parameters() if p.is_floating_point()]
        self.dtype = floating[0] if floating else torch.get_default_dtype()

    def as_example(self, example: Any) -> Any:
        """The example input, its arrays as tensors."""
        from tospike.network.importers.torch_run import with_tensors

        return with_tensors(example, self.dtype)

    def measure(
        self,
        example: Any,
        batch_size: int,
        max_samples: int | None,
        progress: Progress | None,
    ) -> ActivityProfile:
        import torch

        from tospike.activity.accumulate import LayerAccumulator
        from tospike.activity.populations import NeuronCounter
        from tospike.network.importers.torch_populations import signal_of
        from tospike.network.importers.torch_run import untouched

        batch_size = 1 if max_samples == 1 else batch_size
        first = self._plan(example, batch_size)
        trace = first.trace
        if not first.separable or (self.sequence and self._stepwise(trace)):
            batch_size = 1
            trace = self._plan(example, 1).trace
        accumulators = {
            layer.name: LayerAccumulator(
                layer,
                thresholds=self.thresholds,
                sequence=self.sequence,
                n_threads=torch.get_num_threads(),
            )
            for layer in trace.network.synaptic_layers
        }
        self._check_state(trace)
        neurons = {
            path: NeuronCounter(
                path,
                p.neurons.model,
                p.neurons.cls,
                signal_of(self.model.get_submodule(path), p),
                fires=not p.kind.from_input,
            )
            for path, p in trace.populations.items()
        }
        with untouched(self.model) as state:
            done = self._count(
                accumulators, neurons, state, trace, example, batch_size, max_samples, progress
            )
        _check_complete(accumulators, done)
        found = {path: counter.result() for path, counter in neurons.items()}
        called = {path: activity for path, activity in found.items() if activity is not None}
        return ActivityProfile(
            {name: accumulator.result() for name, accumulator in accumulators.items()},
            n_samples=done,
            origin=f"{self.source.origin}, {done} samples",
            notes=(*trace.network.notes, *self._notes(trace, called)),
            neurons=called,
        )

    def _notes(self, trace: Trace, neurons: Mapping[str, NeuronActivity]) -> tuple[str, ...]:
        """Time steps and state, in words."""
        notes = []
        if self.steps.time_dim is not None:
            notes.append(f"one call of the model per step of dimension {self.steps.time_dim}")
        elif self.steps.several:
            notes.append(f"{self.steps.timesteps} calls of the model with the same input")
        if neurons:
            steps = sorted({activity.n_timesteps for activity in neurons.values()})
            notes.append(f"time steps per inference: {', '.join(f'{t:g}' for t in steps)}")
            if steps == [1.0] and trace.stateful and not self.sequence:
                notes.append(
                    "every inference was one call of a model that keeps state: give timesteps= "
                    "or time_dim= if an inference takes more"
                )
        if trace.stateful and not self.sequence:
            notes.append("state was reset before every batch")
        return tuple(notes)

    def _check_state(self, trace: Trace) -> None:
        """Several calls make one inference only if something lasts from one to the next."""
        from tospike.network.importers.neurons import takes_state

        if not self.steps.several or trace.stateful or takes_state(self.model):
            return
        raise OptionError(
            f"call {type(self.model).__name__} once per time step",
            received="a model that keeps no state from one call to the next",
            allowed="a model with stateful neurons (SpikingJelly, sinabs, snnTorch), or a Norse "
            "cell or SequentialState, whose call takes and returns the state",
            fix="loop over the time steps in the model's forward, and give no timesteps",
        )

    def _count(
        self,
        accumulators: Mapping[str, LayerAccumulator],
        neurons: Mapping[str, NeuronCounter],
        state: ModuleState,
        trace: Trace,
        example: Any,
        batch_size: int,
        max_samples: int | None,
        progress: Progress | None,
    ) -> int:
        """Run all batches; returns the number of samples."""
        from tospike.activity.measure_torch import MeasureMode

        total = self.source.n_samples
        total = min(total, max_samples) if total and max_samples else total
        done = 0
        modes: dict[bool, MeasureMode] = {}
        for inputs, n in self._batches(batch_size, max_samples):
            single = n == 1
            if single not in modes:
                # a batch of one sample has its own plan: dimensions of size 1 are special
                step = self.steps.cut(inputs, 0, self.batch_dim)
                own = self._plan(step if example is None else example, n)
                if set(own.trace.network.by_name) != set(trace.network.by_name):
                    raise _other_layers(own.trace, trace)
                modes[single] = MeasureMode(self.model, own, accumulators, neurons)
            mode = modes[single]
            mode.n_samples = n
            self._infer(mode, inputs, example)
            for accumulator in accumulators.values():
                accumulator.end_batch()
            for counter in neurons.values():
                counter.end_batch(n)
            if trace.stateful and not self.sequence:
                state.restore()
                self.model.eval()
            done += n
            if progress is not None:
                progress(done, total)
        return done

    def _infer(self, mode: MeasureMode, inputs: Any, example: Any) -> None:
        """All calls of one batch of inferences."""
        from tospike.network.importers.neurons import takes_state
        from tospike.network.importers.torch_run import as_inputs

        hands_on = self.steps.several and takes_state(self.model)
        state: tuple[Any, ...] = ()
        for call in self.steps.calls(inputs, self.batch_dim):
            given = as_inputs(call)
            given = {**given} if isinstance(given, Mapping) else (*given, *state)
            if isinstance(given, dict) and state:
                given["state"] = state[0]
            try:
                output = mode.run(given)
            except ModelError as error:
                raise as_data_error(self.model, call, example, error) from error
            state = (output[1],) if hands_on else ()

    def _stepwise(self, trace: Trace) -> bool:
        """Time runs inside of the model too, so that samples must come one by one."""
        layers = trace.network.synaptic_layers
        return bool(trace.stateful) or any(
            layer.calls > 1 and not layer.kind.startswith("rnn") for layer in layers
        )

    def _batches(self, batch_size: int, max_samples: int | None) -> Iterator[tuple[Any, int]]:
        return self.steps.batches(
            self.source,
            batch_size=batch_size,
            batch_dim=self.batch_dim,
            max_samples=max_samples,
            dtype=self.dtype,
        )

    def _plan(self, example: Any, n_samples: int) -> Plan:
        """The plan for batches of one sample or of several, made on one or two samples."""
        from tospike.activity.plan import plan
        from tospike.network.importers.torch_run import resized

        wanted = min(2, n_samples)
        if example is not None:
            if self.batch_dim is not None:
                example = resized(example, self.batch_dim, wanted)
            return plan(self.model, example, self.batch_dim, self.input_signal)
        example = self.steps.first(self.source, wanted, batch_dim=self.batch_dim, dtype=self.dtype)
        try:
            return plan(self.model, example, self.batch_dim, self.input_signal)
        except UnsupportedOperatorError:
            raise
        except ModelError as error:
            raise as_data_error(self.model, example, None, error) from error


def _check_complete(accumulators: Mapping[str, LayerAccumulator], done: int) -> None:
    missed = {k: a.n_samples for k, a in accumulators.items() if a.n_samples != done}
    if missed:
        raise StatisticError(
            "measure the activity per inference",
            received=f"{len(missed)} layers that did not run for every one of {done} samples",
            allowed="layers that run for every sample",
            fix="measure samples that take the same path through the model",
            reasons=[f"{name}: {n} samples" for name, n in missed.items()],
        )


def _other_layers(one: Trace, two: Trace) -> StatisticError:
    names = set(one.network.by_name) ^ set(two.network.by_name)
    return StatisticError(
        "measure the activity per inference",
        received="a model that runs other layers for one sample than for several",
        allowed="the same layers at every batch size",
        fix="measure with batch_size=1",
        reasons=sorted(names),
    )


def _measure_onnx(
    path: str | Path,
    source: Source,
    batch_size: int,
    thresholds: tuple[float, ...],
    sequence: bool,
    max_samples: int | None,
    progress: Progress | None,
) -> ActivityProfile:
    import torch

    from tospike.activity.measure_onnx import measure_onnx
    from tospike.network.importers.onnx_model import read_model
    from tospike.network.importers.onnx_shapes import input_layout

    if not str(path).lower().endswith(".onnx"):
        raise ModelError(
            "measure the activity",
            received=f"the model {str(path)!r}",
            allowed="a torch.nn.Module or a path that ends in .onnx or .nir",
            fix="networks of the zoo have no weights: give the trained module or file itself",
        )
    file = read_model(path)
    names = list(input_layout(file)) or ["x"]

    def by_name(inputs: Any) -> Mapping[str, Any]:
        if isinstance(inputs, Mapping):
            return inputs
        given = inputs if isinstance(inputs, tuple) else (inputs,)
        return dict(zip([*names, *map(str, range(len(names), len(given)))], given, strict=False))

    total = source.n_samples
    total = min(total, max_samples) if total and max_samples else total

    def batches() -> Iterator[Mapping[str, Any]]:
        done = 0
        for inputs, n in torch_batches(
            source,
            batch_size=batch_size,
            batch_dim=0,
            max_samples=max_samples,
            dtype=torch.float32,
            copy=False,
        ):
            yield {key: np.asarray(value) for key, value in by_name(inputs).items()}
            done += n
            if progress is not None:
                progress(done, total)

    return measure_onnx(
        file,
        batches(),
        thresholds=tuple(thresholds),
        sequence=sequence,
        n_threads=torch.get_num_threads(),
        origin=source.origin,
    )
