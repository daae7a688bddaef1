"""``measure_nir``: activity of a NIR graph on real data, by running it step by step.

Signals are declared by the graph: neurons with a threshold send spikes, pools, scales and sums of
branches make analog values. Only what a network's input is, NIR does not say: ``input_signal``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tospike.activity.accumulate import LayerAccumulator
from tospike.activity.batches import Source, torch_batches
from tospike.activity.profile import ActivityProfile, NeuronActivity, Signal
from tospike.errors import DataError, OptionError
from tospike.network.importers.nir_graph import NirNetwork, is_synaptic, open_nir, signals
from tospike.network.importers.nir_neurons import NirOptions, options_from
from tospike.network.importers.nir_record import NirGraph, NirNode
from tospike.network.importers.nir_run import simulate
from tospike.network.importers.nir_types import TYPES
from tospike.network.neuron import NEURONS

Array = NDArray[Any]
Progress = Callable[[int, int | None], None]


def measure_nir(
    source: Any,
    batches: Iterable[Any],
    options: NirOptions,
    *,
    input_signal: Signal = "analog",
    thresholds: tuple[float, ...] = (),
    n_threads: int = 1,
    origin: str = "",
) -> ActivityProfile:
    """Measure the activity at the input of every synaptic layer, and of every neuron.

    Parameters
    ----------
    source : path of a .nir file, ``nir.NIRGraph``, or what ``open_nir`` made of it.
    batches : arrays (T, samples, *shape), or mappings from input node to such arrays; see
        :func:`time_first`.
    options : dt, reset, reset delay, discretisation, ties.
    input_signal : "spike" if the data are 0 and 1, "analog" otherwise.

    Raises
    ------
    ModelError : the graph cannot be read. DataError : no batches, or data that do not fit.
    OptionError : options that do not fit. StatisticError : values other than 0 and 1 in an input
        declared as spikes.
    """
    opened = source if isinstance(source, NirNetwork) else open_nir(source)
    if input_signal not in ("spike", "analog"):
        raise OptionError(
            "measure the NIR graph",
            received=f"input_signal={input_signal!r}",
            allowed="'spike', 'analog'",
        )
    meter = NirMeter(opened, input_signal, thresholds, n_threads)
    for batch in batches:
        simulate(opened.graph, batch, options, meter.observe)
        meter.end_batch()
    if not meter.n_samples:
        raise DataError(
            f"measure the NIR graph {opened.graph.name!r}",
            received="no batches",
            allowed="at least one sample",
            fix="check the data: it is empty",
        )
    return meter.profile(origin or opened.graph.name, options)


def measure_nir_samples(
    path: Any,
    source: Source,
    *,
    options: NirOptions | None = None,
    timesteps: int | None = None,
    input_signal: Signal = "analog",
    batch_size: int = 64,
    max_samples: int | None = None,
    progress: Progress | None = None,
) -> ActivityProfile:
    """:func:`measure_nir` on data as ``measure`` takes them, samples first.

    Parameters
    ----------
    source : samples (N, T, *shape), or (N, *shape) that are shown for ``timesteps`` steps.
    options : None means what the file's metadata say; raises :class:`OptionError` where they do
        not say dt and reset.
    progress : called with (samples done, samples in all or None).
    """
    import torch

    opened = open_nir(path)
    chosen = options or options_from(
        opened.graph, dt=None, reset=None, reset_delay=None, discretisation=None, tie_fires=None
    )
    total = source.n_samples
    total = min(total, max_samples) if total and max_samples else total

    def batches() -> Iterator[Any]:
        done = 0
        for inputs, n in torch_batches(
            source,
            batch_size=batch_size,
            batch_dim=0,
            max_samples=max_samples,
            dtype=torch.float32,
            copy=False,
        ):
            yield inputs
            done += n
            if progress is not None:
                progress(done, total)

    return measure_nir(
        opened,
        time_first(opened.graph, batches(), timesteps=timesteps),
        chosen,
        input_signal=input_signal,
        n_threads=torch.get_num_threads(),
        origin=source.origin,
    )


class NirMeter:
    """Accumulators of all layers of one graph; :meth:`observe` fits ``simulate``."""

    def __init__(
        self,
        opened: NirNetwork,
        input_signal: Signal = "analog",
        thresholds: tuple[float, ...] = (),
        n_threads: int = 1,
    ) -> None:
        self.opened = opened
        declared = signals(opened.graph, "spike" if input_signal == "spike" else "analog")
        self.signals: dict[str, Signal] = dict(declared.items())
        self.accumulators = {
            layer.name: LayerAccumulator(layer, thresholds=thresholds, n_threads=n_threads)
            for layer in opened.network.synaptic_layers
        }
        self.spikes: dict[str, int] = {n.name: 0 for n in opened.graph.nodes if _is_neuron(n)}
        self.n_samples = 0
        self.steps = 0
        self._batch = 0
        self._batch_steps = 0

    def observe(self, step: int, node: NirNode, x: Array, y: Array) -> None:
        """Count one step of one node."""
        self._batch = len(x)
        self._batch_steps = step + 1
        if is_synaptic(node):
            self.accumulators[node.name].update(x, n_samples=len(x), signal=self.signals[node.name])
        elif node.name in self.spikes:
            self.spikes[node.name] += int(np.count_nonzero(y))

    def end_batch(self) -> None:
        """Close the batch."""
        for accumulator in self.accumulators.values():
            accumulator.end_batch()
        self.n_samples += self._batch
        self.steps += self._batch * self._batch_steps

    def profile(self, origin: str, options: NirOptions) -> ActivityProfile:
        """The statistics of all closed batches."""
        neurons = {
            name: self._neuron(self.opened.graph[name], count)
            for name, count in self.spikes.items()
        }
        return ActivityProfile(
            {name: accumulator.result() for name, accumulator in self.accumulators.items()},
            n_samples=self.n_samples,
            origin=f"{origin}, {self.n_samples} samples",
            notes=(*self.opened.network.notes, described(options)),
            neurons=neurons,
        )

    def _neuron(self, node: NirNode, count: int) -> NeuronActivity:
        model = NEURONS[TYPES[node.type].model]
        steps = self.steps / self.n_samples
        size = math.prod(node.in_shape)
        return NeuronActivity(
            model=model.name,
            cls=f"nir.{node.type}",
            signal=model.signal,
            n_samples=self.n_samples,
            n_neurons=size,
            n_timesteps=steps,
            spikes=count / self.n_samples if model.signal == "spike" else None,
            updates=size * steps,
        )


def _is_neuron(node: NirNode) -> bool:
    return bool(TYPES[node.type].model)


def described(options: NirOptions) -> str:
    """The options in one line, for notes and reports."""
    late = ", one step late" if options.reset_delay else ""
    tie = ">=" if options.tie_fires else ">"
    return (
        f"NIR executed with dt={options.dt:g}, {options.discretisation}, reset "
        f"{options.reset}{late}, spikes where v {tie} v_threshold"
    )


def time_first(
    graph: NirGraph, batches: Iterable[Any], *, timesteps: int | None = None
) -> Iterator[Any]:
    """Batches with samples first as ``simulate`` takes them.

    Each batch is an array or a mapping of arrays: (samples, T, *shape), or (samples, *shape),
    which is shown unchanged for ``timesteps`` steps (constant-current encoding).
    """
    shapes = {node.name: node.out_shape for node in graph.inputs}
    for batch in batches:
        if isinstance(batch, Mapping):
            yield {
                name: _time_first(value, shapes.get(name, ()), timesteps)
                for name, value in batch.items()
            }
        else:
            yield _time_first(batch, next(iter(shapes.values())), timesteps)


def _time_first(value: Any, shape: tuple[int, ...], timesteps: int | None) -> Array:
    x = np.asarray(value)
    if x.shape[1:] == shape:
        if timesteps is None or timesteps < 1:
            raise OptionError(
                "run a NIR graph on samples without a time axis",
                received=f"samples of shape {x.shape[1:]} and timesteps={timesteps}",
                allowed=f"samples (T, {', '.join(map(str, shape))}), or timesteps of at least 1",
                fix="give timesteps",
            )
        return np.broadcast_to(x, (timesteps, *x.shape))
    if timesteps is not None and x.ndim > 1 and x.shape[1] > timesteps:
        x = x[:, :timesteps]
    return np.moveaxis(x, 1, 0) if x.ndim > 1 else x
