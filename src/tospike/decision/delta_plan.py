"""A recurrent network made ready to run as a delta network: which layers, which scales.

Method
    The network is called with one sample, and with two. The inputs of its recurrent layers show
    which axis is time; a ``Linear`` layer whose input has the same axes, and which is called once,
    is fed by a sequence too and becomes a delta layer. The calibration samples then give the
    scale of every input.

Scale of a threshold
    A nominal threshold Theta stands for Theta times the scale of its signal. The scale of the
    states of GRU, LSTM and tanh layers is 1: they lie in [-1, 1]. That of any other signal is its
    standard deviation on the calibration samples, rounded to a power of two, so that the threshold
    stays one bit of a fixed-point number. The unit of the data is of no consequence then, and for
    signals of order 1 the thresholds are those of the papers.

Imports torch; import it inside of functions.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from tospike.conversion.delta.search import Key
from tospike.errors import ConversionError
from tospike.network import Network

#: samples whose signals give the scales
CALIBRATED = 64
#: samples that run at once
BATCH = 128

_NOT_RECURRENT = {
    "conv": "it is a convolution: only recurrent layers and the linear layers beside them are "
    "converted to delta layers",
    "matmul": "it multiplies two activations, and both change",
    "bilinear": "it multiplies two activations, and both change",
    "embedding": "it is a table look-up without multiplications",
}


@dataclass(frozen=True)
class Site:
    """Where one network layer takes its input: threshold key, module, and its sizes."""

    layer: str
    key: Key
    n_weights: int


@dataclass(frozen=True)
class DeltaPlan:
    """What is needed to run the network at any thresholds.

    ``module`` : dense, in evaluation mode; of an ONNX file its chain of torch layers.
    ``sites`` : the layers that can be delta layers, in order of execution.
    ``scales`` : threshold key -> scale. ``peaks`` : module -> largest absolute value that its
    number format must hold. ``why_not`` : every other layer -> why it stays dense.
    ``batch_first`` : linear layers whose second axis is time. ``axis`` : of the samples.
    """

    module: nn.Module
    sites: tuple[Site, ...]
    linear: tuple[str, ...]
    batch_first: bool
    axis: int
    scales: Mapping[Key, float]
    peaks: Mapping[str, float]
    why_not: Mapping[str, str]

    def absolute(self, theta: float) -> dict[Key, float]:
        """Thresholds of all sites in the units of their signals, for a nominal ``theta``."""
        return {site.key: theta * self.scales[site.key] for site in self.sites}

    def called(self, module: nn.Module, x: NDArray[Any]) -> Tensor:
        """Outputs of ``module``, samples first, in batches; no gradients."""
        return called(module, x, self.axis)


def called(module: nn.Module, x: NDArray[Any], axis: int) -> Tensor:
    """Outputs of ``module`` for samples ``x`` (N, ...), samples first, in batches; no gradients.

    ``axis``: where the module wants its samples. Raises :class:`ConversionError` with the reason
    where the module raises.
    """
    outputs = []
    with torch.no_grad():
        for start in range(0, len(x), BATCH):
            rows = torch.from_numpy(np.ascontiguousarray(x[start : start + BATCH]))
            rows = rows.float() if rows.is_floating_point() else rows
            outputs.append(_output(module, rows.movedim(0, axis)).movedim(axis, 0))
    return torch.cat(outputs)


@dataclass
class _Seen:
    """What the inputs of one module were."""

    shapes: list[tuple[int, ...]]
    count: int = 0
    total: float = 0.0
    square: float = 0.0
    peak: float = 0.0
    out_square: float = 0.0
    out_count: int = 0
    out_peak: float = 0.0

    @property
    def deviation(self) -> float:
        mean = self.total / self.count
        return math.sqrt(max(0.0, self.square / self.count - mean * mean))


def prepare(model: nn.Module | str | Path, network: Network, x: NDArray[Any]) -> DeltaPlan:
    """Find the layers that can be delta layers, and their scales on samples ``x`` (n, ...).

    Raises
    ------
    ConversionError
        The network has no recurrent layer, or one that cannot be a delta layer, or runs in a way
        that no delta layer can follow; the reason is given.
    """
    if not any(layer.kind == "rnn_input" for layer in network.synaptic_layers):
        raise ConversionError("run it as a delta network", received="no recurrent layer")
    module, axis = _module(model)
    parts = _parts(module)
    _check_parts(parts)
    batch_first, linear, why_linear = sequence_fed(module, x, axis)
    seen = _observe(module, parts, x[:CALIBRATED], axis)
    scales, peaks = _scales(parts, linear, seen)
    keys = [key for name, part in parts.items() for key in _keys(name, part, linear)]
    sites, why_not = _sites(model, network, parts, keys, why_linear)
    return DeltaPlan(module, sites, linear, batch_first, axis, scales, peaks, why_not)


def _module(model: nn.Module | str | Path) -> tuple[nn.Module, int]:
    """A dense copy in evaluation mode, and the axis of its samples."""
    if isinstance(model, nn.Module):
        try:
            return copy.deepcopy(model).float().eval(), 0
        except Exception as error:
            # deepcopy raises what the attributes of somebody's module raise
            raise ConversionError(
                "run it as a delta network", received=f"a module that cannot be copied: {error}"
            ) from error
    from tospike.conversion.delta.from_onnx import load_chain

    chain = load_chain(model)
    return chain, 0 if chain.batch_first else 1


def sequence_fed(
    module: nn.Module, x: NDArray[Any], axis: int = 0
) -> tuple[bool, tuple[str, ...], dict[str, str]]:
    """(time is the second axis, ``Linear`` layers over sequences, why the others are not).

    Found by running one sample of ``x`` (n, ...), and two. Raises :class:`ConversionError` where
    recurrent layers are not called once, over (time, batch) or (batch, time).
    """
    parts = _parts(module)
    first = _observe(module, parts, x[:1], axis)
    two = _observe(module, parts, x[:2], axis) if len(x) > 1 else first
    return _sequence_fed(parts, first, two)


def _parts(module: nn.Module) -> dict[str, nn.RNNBase | nn.Linear]:
    return {
        name: part
        for name, part in module.named_modules()
        if isinstance(part, nn.RNNBase) or type(part) is nn.Linear
    }


def _check_parts(parts: Mapping[str, nn.RNNBase | nn.Linear]) -> None:
    recurrent = {name: part for name, part in parts.items() if isinstance(part, nn.RNNBase)}
    reasons = []
    for name, part in recurrent.items():
        shown = name or type(part).__name__
        if part.bidirectional:
            reasons.append(f"{shown} is bidirectional: a stream has no future")
        if part.proj_size:
            reasons.append(f"{shown} has proj_size={part.proj_size}")
    if len({part.batch_first for part in recurrent.values()}) > 1:
        reasons.append("some recurrent layers have batch_first, others not")
    if not recurrent:
        reasons.append("its recurrent layers are no nn.GRU, nn.LSTM or nn.RNN")
    if reasons:
        raise ConversionError("run it as a delta network", reasons=reasons)


def _output(module: nn.Module, rows: Tensor) -> Tensor:
    """The first output as a tensor; what somebody's module raises becomes one clear error."""
    try:
        result = module(rows)
    except Exception as error:
        text = (str(error).splitlines() or [""])[0]
        raise ConversionError(
            "run it as a delta network",
            received=f"a network that raises {type(error).__name__}: {text}",
        ) from error
    values = result[0] if isinstance(result, tuple | list) and result else result
    if not isinstance(values, Tensor) or values.ndim == 0 or not values.is_floating_point():
        raise ConversionError(
            "run it as a delta network",
            received=f"an output of type {type(values).__name__}",
            allowed="numbers, samples first",
        )
    return values


def _observe(
    module: nn.Module,
    parts: Mapping[str, nn.RNNBase | nn.Linear],
    x: NDArray[Any],
    axis: int,
) -> dict[str, _Seen]:
    """Run samples and note shapes and moments of what enters every part."""
    seen = {name: _Seen([]) for name in parts}

    def hook(found: _Seen) -> Any:
        def note(part: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
            values = inputs[0] if inputs else None
            if not isinstance(values, Tensor):
                found.shapes.append(())
                return
            value = values.detach().double()
            found.shapes.append(tuple(values.shape))
            found.count += value.numel()
            found.total += float(value.sum())
            found.square += float(value.square().sum())
            found.peak = max(found.peak, float(value.abs().max()))
            if isinstance(part, nn.RNNBase):
                out = output[0].detach().double()
                found.out_square += float(out.square().sum())
                found.out_count += out.numel()
                found.out_peak = max(found.out_peak, float(out.abs().max()))

        return note

    handles = [part.register_forward_hook(hook(seen[name])) for name, part in parts.items()]
    try:
        rows = torch.from_numpy(np.ascontiguousarray(x))
        rows = rows.float() if rows.is_floating_point() else rows
        with torch.no_grad():
            _output(module, rows.movedim(0, axis))
    finally:
        for handle in handles:
            handle.remove()
    return seen


def _sequence_fed(
    parts: Mapping[str, nn.RNNBase | nn.Linear], one: dict[str, _Seen], two: dict[str, _Seen]
) -> tuple[bool, tuple[str, ...], dict[str, str]]:
    """:func:`sequence_fed` from what was seen."""
    reasons, axes, batch_first = [], set(), False
    for name, part in parts.items():
        if not isinstance(part, nn.RNNBase):
            continue
        shown = name or type(part).__name__
        shapes = one[name].shapes
        if len(shapes) != 1:
            reasons.append(f"{shown} is called {len(shapes)} times per inference, not once")
        elif len(shapes[0]) != 3:
            reasons.append(f"the input of {shown} has {len(shapes[0])} axes, not 3")
        else:
            batch_first = bool(part.batch_first)
            time = 1 if batch_first else 0
            if two[name].shapes[0][time] != shapes[0][time]:
                reasons.append(
                    f"samples follow each other on the time axis of {shown}: build it with "
                    "batch_first=True"
                )
            axes.add(shapes[0][:2])
    if reasons:
        raise ConversionError("run it as a delta network", reasons=reasons)
    linear, why = [], {}
    for name, part in parts.items():
        if isinstance(part, nn.RNNBase):
            continue
        shapes = one[name].shapes
        if len(shapes) > 1:
            why[name] = f"it is called {len(shapes)} times per inference"
        elif not shapes or len(shapes[0]) != 3 or shapes[0][:2] not in axes:
            why[name] = "its input is no sequence"
        else:
            linear.append(name)
    return batch_first, tuple(linear), why


def _keys(name: str, part: nn.RNNBase | nn.Linear, linear: tuple[str, ...]) -> list[Key]:
    """The thresholds of one module."""
    if isinstance(part, nn.Linear):
        return [(name, 0, "theta_x")] if name in linear else []
    found: list[Key] = []
    for level in range(part.num_layers):
        found += [(name, level, "theta_x"), (name, level, "theta_h")]
    return found


def _power_of_two(value: float) -> float:
    """The nearest power of two in the logarithm; 1 for a signal that never changes."""
    return 2.0 ** round(math.log2(value)) if value > 0 else 1.0


def _scales(
    parts: Mapping[str, nn.RNNBase | nn.Linear], linear: tuple[str, ...], seen: dict[str, _Seen]
) -> tuple[dict[Key, float], dict[str, float]]:
    scales: dict[Key, float] = {}
    peaks: dict[str, float] = {}
    for name, part in parts.items():
        found = seen[name]
        state, peaks[name] = 1.0, found.peak
        if isinstance(part, nn.RNNBase):
            peaks[name] = max(found.peak, 1.0)
            if part.mode == "RNN_RELU":
                state = _power_of_two(math.sqrt(found.out_square / found.out_count))
                peaks[name] = max(found.peak, found.out_peak)
        for key in _keys(name, part, linear):
            inside = key[2] == "theta_h" or key[1] > 0
            scales[key] = state if inside else _power_of_two(found.deviation)
    return scales, peaks


def _sites(
    model: nn.Module | str | Path,
    network: Network,
    parts: Mapping[str, nn.RNNBase | nn.Linear],
    keys: list[Key],
    why_linear: Mapping[str, str],
) -> tuple[tuple[Site, ...], dict[str, str]]:
    """Network layers matched with thresholds: by name for a module, by order for an ONNX chain."""
    layers = [layer for layer in network.synaptic_layers if layer.n_synapses]
    if isinstance(model, nn.Module):
        by_name = {_layer_name(key, parts[key[0]]): key for key in keys}
    else:
        by_name = dict(zip([layer.name for layer in layers], keys, strict=False))
        if len(by_name) != len(keys):
            raise ConversionError(
                "run it as a delta network",
                received=f"{len(layers)} layers in the file and {len(keys)} in its chain",
            )
    sites, why_not = [], {}
    for layer in layers:
        key = by_name.pop(layer.name, None)
        if key is None:
            why_not[layer.name] = why_linear.get(
                layer.name, _NOT_RECURRENT.get(layer.kind, "its input is no sequence")
            )
            continue
        if _weights(key, parts[key[0]]) != layer.n_weights:
            raise ConversionError(
                "run it as a delta network",
                received=f"layer {layer.name!r} of another size than the module that runs it",
            )
        sites.append(Site(layer.name, key, layer.n_weights))
    if by_name:
        raise ConversionError(
            "run it as a delta network",
            received=f"modules that the network does not list: {', '.join(by_name)}",
        )
    return tuple(sites), why_not


def _layer_name(key: Key, part: nn.RNNBase | nn.Linear) -> str:
    name, level, which = key
    if isinstance(part, nn.Linear):
        return name
    kind = "ih" if which == "theta_x" else "hh"
    return f"{name}.weight_{kind}_l{level}".lstrip(".")


def _weights(key: Key, part: nn.RNNBase | nn.Linear) -> int:
    _, level, which = key
    if isinstance(part, nn.Linear):
        return part.weight.numel()
    kind = "ih" if which == "theta_x" else "hh"
    return part.get_parameter(f"weight_{kind}_l{level}").numel()
