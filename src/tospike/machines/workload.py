"""``workload``: what a machine runs, from a topology or a trained network."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tospike.activity import ActivityProfile, LayerActivity
from tospike.errors import DataError, ModelError, OptionError, StatisticError, unknown_name
from tospike.machines.record import Workload
from tospike.machines.zeros import Zeros, fault_of, needed, read_zeros
from tospike.network import Layer, Network
from tospike.network.network import INPUT

if TYPE_CHECKING:
    from tospike.activity.data import Data

Array = NDArray[Any]
STREAMS = ("rnn_input", "rnn_hidden")
#: what ``layers`` may name besides layers -> kinds of layers
KINDS: Mapping[str, tuple[str, ...]] = {"conv": ("conv",), "linear": ("linear",), "rnn": STREAMS}
#: zero fractions: a file, a mapping from layer to fraction, or one fraction for all layers
Given = str | Path | float | Mapping[str, float]
#: Theta at which the temporal sparsity of recurrent layers is measured
THRESHOLDS = (1 / 64, 1 / 32, 1 / 16, 1 / 8, 1 / 4)


def workload(
    model: Any,
    data: Any = None,
    *,
    zeros: Given | None = None,
    weight_zeros: Given | None = None,
    traces: str | Path | Mapping[str, Any] | None = None,
    batch: int = 1,
    layers: Collection[str] | None = None,
    timesteps: int | None = None,
    sequence: bool = False,
    thresholds: tuple[float, ...] = THRESHOLDS,
    max_samples: int | None = None,
) -> Workload:
    """A network with the activity, and the real inputs, of its layers.

    Parameters
    ----------
    model : a ``torch.nn.Module``, a path that ends in .onnx or .nir, a zoo name, or a loaded
        :class:`Network`. Of a .nir file there are statistics and no traces.
    data : samples to run the model on, in any form of :func:`tospike.activity.data.read_data` or
        an array, samples first. Statistics come from all of them, traces from the first ``batch``.
    zeros : zero fractions for a network without data: a file (:func:`read_zeros`), a mapping from
        layer to fraction, or one fraction in [0, 1] for all layers. Layers that the file of a
        published table leaves out (fully connected ones) are not simulated.
    weight_zeros : share of weights that are zero, in the same forms, for machines that skip them;
        None: of a module with data its weights are looked at, else machines take none as zero.
    traces : inputs of the layers, a .npz file or a mapping: (samples, *input_shape) of values,
        (T, samples, *input_shape) of spikes as bool, (T, n) of a stream for a recurrent layer.
        Layers without a trace take ``zeros``.
    batch : inferences that run together.
    layers : simulate only these: names, or kinds ("conv", "linear", "rnn").
    timesteps : calls of one inference of a spiking module that computes one step per call.
    sequence : samples are consecutive frames of one recording, for a model over (batch, time,
        features).
    thresholds : Theta of the temporal sparsity of recurrent layers.

    Raises
    ------
    StatisticError : activity is missing, with the layers. DataError : data, zeros or traces that
    do not fit, with every fault. OptionError : arguments that exclude each other. And what
    ``ts.load`` and ``ts.measure`` raise.
    """
    _check(batch, data, zeros, traces, max_samples)
    if data is not None:
        found = _measured(model, data, batch, timesteps, sequence, thresholds, max_samples)
        shares = _read_zeros(weight_zeros, found.network)
        if shares is not None:
            found = replace(found, weight_zeros=shares.fractions)
        return only(found, layers)
    network = model if isinstance(model, Network) else _load(model)
    inputs = {} if traces is None else check_traces(network, _read_traces(traces), batch)
    known, shares = _read_zeros(zeros, network), _read_zeros(weight_zeros, network)
    weights = {} if shares is None else dict(shares.fractions)
    found = only(Workload(network, None, inputs, batch, weights), layers)
    activity = activity_of(found.network, found.traces, known)
    left_out = [layer.name for layer in needed(found.network) if layer.name not in activity]
    if left_out:
        found = replace(found, network=without(found.network, left_out))
    return replace(found, activity=activity)


def _check(batch: Any, data: Any, zeros: Any, traces: Any, max_samples: Any) -> None:
    reasons = [
        f"{name} is {value!r}; a whole number of at least 1 is needed"
        for name, value in (("batch", batch), ("max_samples", max_samples))
        if not (name == "max_samples" and value is None)
        and (isinstance(value, bool) or not isinstance(value, int) or value < 1)
    ]
    if data is not None and not (zeros is None and traces is None):
        reasons.append("data and zeros or traces: the activity is measured, or it is given")
    if reasons:
        raise OptionError("make the workload of a machine", reasons=reasons)
    if data is None and zeros is None and traces is None:
        raise StatisticError(
            "make the workload of a machine",
            received="no activity",
            allowed="data to run the network on, the zeros of each layer, or traces",
            fix="give --data, --zeros or --traces (data=, zeros= or traces= in Python)",
        )


def _load(model: Any) -> Network:
    from tospike.network.importers import load

    if isinstance(model, str | Path):
        return load(model)
    raise ModelError(
        "make a workload of this model without data",
        received=f"an object of type {type(model).__name__}",
        allowed="a loaded network, a zoo name or an .onnx file; a module with data",
        fix="give ts.load(module, example_input), or the data",
    )


# -- measured ------------------------------------------------------------------------------------


def _measured(
    model: Any,
    data: Any,
    batch: int,
    timesteps: int | None,
    sequence: bool,
    thresholds: tuple[float, ...],
    max_samples: int | None,
) -> Workload:
    """Load, measure and record."""
    from tospike.activity.measure import measure
    from tospike.network.importers import load

    held = _samples(data)
    x = held.x if max_samples is None else held.x[:max_samples]
    suffix = Path(model).suffix.lower() if isinstance(model, str | Path) else None
    if isinstance(model, Network) or suffix not in (None, ".onnx", ".nir"):
        raise DataError(
            f"run the data through {model.origin.name if suffix is None else str(model)!r}",
            received="a topology without weights",
            allowed="a torch module, an .onnx or a .nir file together with data",
            fix="give the trained network, or the zeros of each layer instead of data",
        )
    notes = list(held.notes)
    if suffix == ".onnx" and sequence and _lacks_batch(model, x):
        notes.append(f"{len(x)} frames were taken as one recording")
        x, sequence = x[None], False
    if len(x) < batch:
        raise DataError(
            f"run a batch of {batch}",
            received=f"{len(x)} sample(s)",
            fix="give more data, or a smaller batch",
        )
    weights: dict[str, Array] = {}
    if suffix == ".nir":
        activity = measure(model, x, timesteps=timesteps, sequence=sequence)
        activity = replace(activity, origin=held.origin, notes=(*activity.notes, *notes))
        return Workload(load(model), activity, {}, batch)
    if suffix == ".onnx":
        from tospike.machines.capture import capture_onnx

        network = load(model, x[:1])
        traces = capture_onnx(model, x[:batch])
    else:
        import torch

        from tospike.machines.capture import capture_torch

        network = load(model, torch.from_numpy(x[:1].copy()), timesteps=timesteps)
        traces = capture_torch(model, x[:batch], timesteps=timesteps)
        weights = weights_of(model, network)
    activity = measure(model, x, thresholds=thresholds, sequence=sequence, timesteps=timesteps)
    activity = replace(activity, origin=held.origin, notes=(*activity.notes, *notes))
    return Workload(network, activity, traces, batch, weights)


def weights_of(module: Any, network: Network) -> dict[str, Array]:
    """The weights of the layers of a module, by layer; without those that are computed."""
    from tospike.network.importers.torch_run import uncompiled

    parameters = dict(uncompiled(module).named_parameters())
    found = {}
    for layer in needed(network):
        tensor = parameters.get(f"{layer.name}.weight", parameters.get(layer.name))
        if tensor is not None:
            found[layer.name] = tensor.detach().cpu().float().numpy()
    return found


def is_spiking(model: Any, data: Any) -> bool:
    """True for a torch module with spiking neurons of its own, and for .nir files.

    ``data`` as in :func:`workload`.
    """
    if isinstance(model, str | Path | Network):
        return str(model).lower().endswith(".nir")
    import torch

    from tospike.activity.plan import plan
    from tospike.network.importers.torch_run import uncompiled

    x = torch.from_numpy(_samples(data).x[:1].copy())
    return bool(plan(uncompiled(model), x, 0).trace.populations)


def _samples(data: Any) -> Data:
    from tospike.activity.data import Data, check_data, read_data

    if isinstance(data, Data):
        return data
    if isinstance(data, str | Path):
        return read_data(data)
    return check_data(np.asarray(data), origin="array")


def _lacks_batch(model: str | Path, x: Array) -> bool:
    """True if the graph's one input has an axis more than the data."""
    from tospike.network.importers.onnx_model import read_model
    from tospike.network.importers.onnx_shapes import input_layout

    layout = list(input_layout(read_model(model)).values())
    return len(layout) == 1 and layout[0][0] == x.ndim + 1


# -- given ---------------------------------------------------------------------------------------


def _read_zeros(zeros: Given | None, network: Network) -> Zeros | None:
    if zeros is None:
        return None
    layers = needed(network)
    if isinstance(zeros, str | Path):
        return read_zeros(zeros, network)
    if isinstance(zeros, Mapping):
        fractions, origin = {str(k): float(v) for k, v in zeros.items()}, "zeros given by layer"
    else:
        fractions = {layer.name: float(zeros) for layer in layers}
        origin = f"{100 * float(zeros):g} % zeros in every layer, assumed"
    reasons = [
        f"the network has no layer {name!r}" for name in fractions if name not in network.by_name
    ]
    faults = {name: fault for name, value in fractions.items() if (fault := fault_of(value))}
    if isinstance(zeros, Mapping):
        reasons += [f"{name!r}: {fault}" for name, fault in faults.items()]
    else:
        reasons += list(dict.fromkeys(faults.values()))
    if reasons:
        raise DataError(
            "use the zeros of each layer",
            allowed="fractions in [0, 1] by layer of the network, or one for all",
            fix="mend what is listed",
            reasons=reasons,
        )
    missing = tuple(layer.name for layer in layers if layer.name not in fractions)
    return Zeros(fractions, origin, missing=missing)


def _read_traces(traces: str | Path | Mapping[str, Any]) -> dict[str, Array]:
    if isinstance(traces, Mapping):
        return {str(name): np.asarray(value) for name, value in traces.items()}
    path = Path(traces)
    asked = f"read the traces {path.name!r}"
    allowed = "an intact .npz file: one array of numbers per layer, under the layer's name"
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            return {name: np.asarray(archive[name]) for name in archive.files}
    except OSError as error:
        raise DataError(
            asked,
            received=error.strerror or "a damaged file",
            where=str(path),
            allowed=allowed,
            fix="check the path",
        ) from error
    # np.load raises a dozen types on damaged archives (zipfile, zlib, tokenize, ...)
    except Exception as error:
        raise DataError(
            asked,
            received=" ".join(str(error).split())[:200] or type(error).__name__,
            where=str(path),
            allowed=allowed,
            fix="write it again with numpy.savez; object arrays are refused",
        ) from error


def check_traces(network: Network, traces: Mapping[str, Array], batch: int) -> dict[str, Array]:
    """The traces, if every one fits its layer; else :class:`DataError` with all reasons.

    Values: (batch, *input_shape). Spikes, as bool or 0 and 1: (T, batch, *input_shape). Recurrent
    layers: (T, n).
    """
    reasons = []
    found: dict[str, Array] = {}
    for name, trace in traces.items():
        if name not in network.by_name or not network[name].synaptic:
            near = unknown_name("layer", name, [layer.name for layer in needed(network)]).fix
            reasons.append(f"the network has no synaptic layer {name!r}; {near}")
            continue
        layer = network[name]
        fault = _trace_fault(layer, trace, batch)
        if fault:
            reasons.append(f"{name}: {fault}")
        else:
            found[name] = trace
    if not traces:
        reasons.append("there is no trace")
    if reasons:
        raise DataError(
            f"run these traces through {network.origin.name!r}",
            allowed=f"values ({batch}, *input shape), spikes (T, {batch}, *input shape), "
            "streams (T, n)",
            fix="mend what is listed",
            reasons=reasons,
        )
    return found


def _trace_fault(layer: Layer, trace: Array, batch: int) -> str:
    shape = layer.input_shape
    if trace.dtype.kind not in "biuf":
        return f"type {trace.dtype}; numbers are needed"
    if layer.kind in STREAMS:
        n = shape[-1] if shape else 0
        if trace.ndim != 2 or trace.shape[1] != n or not len(trace):
            return f"shape {trace.shape}; (T, {n}) is needed"
    elif trace.shape == (batch, *shape):
        pass
    elif trace.ndim == len(shape) + 2 and trace.shape[1:] == (batch, *shape) and len(trace):
        if trace.dtype.kind != "b" and not np.isin(trace, (0, 1)).all():
            return "values beside 0 and 1 in (T, samples, ...), which is for spikes"
    else:
        texts = f"({batch}, {_inner(shape)})", f"(T, {batch}, {_inner(shape)})"
        return f"shape {trace.shape}; {texts[0]} of values or {texts[1]} of spikes is needed"
    if trace.dtype.kind == "f" and not np.isfinite(trace).all():
        return f"{int((~np.isfinite(trace)).sum())} NaN or infinite values"
    return ""


def _inner(shape: tuple[int, ...]) -> str:
    return ", ".join(map(str, shape))


def activity_of(
    network: Network, traces: Mapping[str, Array], zeros: Zeros | None = None
) -> ActivityProfile:
    """Statistics of traces, and zero fractions for the layers without one.

    Raises :class:`StatisticError` for layers with neither, with all of them. A zeros file of all
    convolutions and nothing else is complete: see :func:`workload`.
    """
    layers: dict[str, LayerActivity] = {}
    missing = []
    given = {} if zeros is None else zeros.fractions
    for layer in needed(network):
        if layer.name in traces:
            layers[layer.name] = _counted(layer, traces[layer.name])
        elif layer.name in given:
            layers[layer.name] = _assumed(layer, given[layer.name])
        else:
            missing.append(layer)
    whole = zeros is not None and not traces and layers
    convolutions = {layer.name for layer in needed(network) if layer.kind == "conv"}
    if missing and not (whole and set(layers) == convolutions):
        raise StatisticError(
            f"make the workload of {network.origin.name!r}",
            received=f"{len(missing)} of {len(missing) + len(layers)} layers without activity",
            allowed="zeros or a trace for every layer with synapses, or the zeros of all "
            "convolutions and nothing else",
            fix="add the listed layers to the zeros",
            reasons=[layer.name for layer in missing],
        )
    notes = () if zeros is None else zeros.notes
    if missing:
        names = ", ".join(layer.name for layer in missing)
        notes = (*notes, f"not simulated, as their zeros are not given: {names}")
    parts = ["traces"] * bool(traces) + ([zeros.origin] if zeros is not None else [])
    samples = max((activity.n_samples for activity in layers.values()), default=0)
    return ActivityProfile(layers, samples, " and ".join(parts), measured=zeros is None,
                           notes=notes)  # fmt: skip


def _assumed(layer: Layer, zero_fraction: float) -> LayerActivity:
    return LayerActivity(
        signal="analog",
        n_samples=0,
        n_timesteps=layer.calls,
        zero_fraction=zero_fraction,
        synaptic_operations=(1 - zero_fraction) * layer.n_synapses_exact,
    )


def _counted(layer: Layer, trace: Array) -> LayerActivity:
    """Statistics of one trace that :func:`check_traces` has seen."""
    from tospike.activity.accumulate import LayerAccumulator

    values = trace.astype(np.float32) if trace.dtype == np.float16 else trace
    if layer.kind in STREAMS:
        accumulator = LayerAccumulator(layer, thresholds=THRESHOLDS)
        accumulator.update_sequence(np.ascontiguousarray(values[:, None]))
    else:
        accumulator = LayerAccumulator(layer)
        spikes = values.ndim == len(layer.input_shape) + 2
        if spikes:
            steps, samples = values.shape[:2]
            rows = values.astype(np.uint8).reshape(steps * samples, *values.shape[2:])
            accumulator.update(rows, n_samples=samples, signal="spike", time_major=True)
        else:
            accumulator.update(np.ascontiguousarray(values), n_samples=len(values))
    accumulator.end_batch()
    return accumulator.result()


# -- parts of a network --------------------------------------------------------------------------


def only(work: Workload, layers: Collection[str] | None) -> Workload:
    """The workload with some synaptic layers alone: names, or kinds ("conv", "linear", "rnn").

    Raises :class:`UnknownNameError` for a name that is neither.
    """
    if layers is None:
        return work
    network = work.network
    names = [layer.name for layer in needed(network)]
    for name in layers:
        if name not in names and name not in KINDS:
            raise unknown_name("layer", name, (*names, *KINDS), where=network.origin.name)
    kinds = {kind for name in layers for kind in KINDS.get(name, ())}
    kept = [layer.name for layer in needed(network) if layer.name in layers or layer.kind in kinds]
    if not kept:
        raise OptionError(
            "make the workload of a machine",
            received=f"no layer of {network.origin.name!r} among {', '.join(layers) or '(none)'}",
            allowed=", ".join(names),
        )
    dropped = [layer.name for layer in network.synaptic_layers if layer.name not in kept]
    activity = work.activity
    if activity is not None:
        notes = (*activity.notes, f"not simulated: {', '.join(dropped)}") if dropped else ()
        chosen = {name: activity[name] for name in kept if name in activity}
        activity = replace(activity, layers=chosen, notes=notes or activity.notes)
    return replace(
        work,
        network=without(network, dropped),
        activity=activity,
        traces={name: trace for name, trace in work.traces.items() if name in kept},
        weight_zeros={name: share for name, share in work.weight_zeros.items() if name in kept},
    )


def without(network: Network, names: Iterable[str]) -> Network:
    """The network without some layers, and without the operations that only follow them."""
    dropped = set(names)
    alive = {INPUT}
    for layer in network.layers:
        before = [edge.source for edge in network.edges if edge.target == layer.name]
        fed = layer.synaptic or not before or any(name in alive for name in before)
        if layer.name not in dropped and fed:
            alive.add(layer.name)
    layers = tuple(layer for layer in network.layers if layer.name in alive)
    edges = tuple(edge for edge in network.edges if {edge.source, edge.target} <= alive)
    ends = {edge.source for edge in edges}
    outputs = tuple(layer.name for layer in layers if layer.name not in ends)
    return replace(network, layers=layers, edges=edges, outputs=outputs)
