"""Which values of a layer are not zero: from real tensors, or drawn where only shares are known."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tospike.errors import DataError
from tospike.machines.eyeriss_v2.csc import nonzero
from tospike.machines.record import Workload
from tospike.machines.row_stationary.shape import Shape
from tospike.network import Layer

Mask = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Pattern:
    """What a layer computes with.

    iact, weight : shares of values that are not zero, in [0, 1]; padding counts as zeros of iact.
    iacts : (groups, images, channels, rows, columns), padding included; or None.
    weights : (groups, filters, channels, rows, columns); None exactly where ``iacts`` is None.
    drawn : what was drawn at random, in words; "" if nothing was.
    """

    iact: float
    weight: float
    iacts: Mask | None = None
    weights: Mask | None = None
    drawn: str = ""


def patterns(
    workload: Workload, layers: tuple[Shape, ...], asked: str, weight_zeros: float
) -> tuple[Pattern, ...]:
    """The pattern of every layer. ``weight_zeros`` holds for layers of which nothing is said.

    Raises :class:`DataError` with every layer whose activity is missing, or whose tensors have
    another shape than the layer.
    """
    found, reasons = [], []
    for shape in layers:
        layer = workload.network[shape.name]
        try:
            found.append(_pattern(workload, layer, shape, weight_zeros))
        except _UnfitError as fault:
            reasons.append(f"layer {layer.name!r}: {fault}")
    if reasons:
        raise DataError(
            asked,
            allowed="per layer a trace of its input, or its zero fraction in [0, 1]",
            fix="measure the network on data, or give a file of zeros",
            reasons=reasons,
        )
    return tuple(found)


class _UnfitError(Exception):
    """Why a layer has no pattern; collected by :func:`patterns`."""


def _pattern(workload: Workload, layer: Layer, shape: Shape, weight_zeros: float) -> Pattern:
    given = workload.weight_zeros.get(layer.name, weight_zeros)
    weights: Mask | None
    if isinstance(given, int | float):
        weights, share = None, 1 - float(given)
    else:
        weights = _weights(given, shape)
        share = float(weights.mean())
    if not 0 <= share <= 1:
        raise _UnfitError(f"share of zero weights {1 - share:g}; 0 to 1 is needed")
    known = workload.activity.layers.get(layer.name) if workload.activity else None
    if known is not None and known.signal != "analog":
        raise _UnfitError("its input is spikes or differences; this machine computes with values")
    if layer.name in workload.traces:
        iacts = _iacts(workload.traces[layer.name], layer, shape, workload.batch)
        if iacts.shape[1] != shape.images:
            raise _UnfitError(f"a trace of one call, but the layer runs {layer.calls} times")
        drawn = ""
        if weights is None:
            weights = _draw(shape, share, layer.name)
            drawn = f"zero weights of {layer.name} drawn at random" if share < 1 else ""
        return Pattern(float(iacts.mean()), share, iacts, weights, drawn)
    if known is None:
        raise _UnfitError("neither a trace nor a zero fraction is given")
    zeros = known.zero_fraction
    if not 0 <= zeros <= 1:
        raise _UnfitError(f"zero fraction {zeros:g}; 0 to 1 is needed")
    inside = layer.n_synapses_exact / layer.n_synapses
    return Pattern((1 - zeros) * inside, share)


def _draw(shape: Shape, share: float, name: str) -> Mask:
    """Weights that are not zero, drawn independently; the same for the same layer name."""
    size = (shape.groups, shape.filters, shape.channels, shape.rows, shape.columns)
    seed = zlib.crc32(name.encode())
    return np.random.default_rng(seed).random(size, dtype=np.float32) < share


def _weights(values: NDArray[np.generic], shape: Shape) -> Mask:
    size = (shape.groups, shape.filters, shape.channels, shape.rows, shape.columns)
    if values.size != int(np.prod(size)):
        raise _UnfitError(
            f"weights of shape {values.shape}; {int(np.prod(size))} values are needed"
        )
    _finite(values, "weights")
    return nonzero(_plain(values)).reshape(size)


def _iacts(trace: NDArray[np.generic], layer: Layer, shape: Shape, batch: int) -> Mask:
    one = int(np.prod(layer.input_shape))
    values = np.asarray(trace)
    if values.ndim < 2 or values.size == 0 or values.size != values.shape[0] * one:
        raise _UnfitError(
            f"trace of shape {values.shape}; (samples, *{layer.input_shape}) is needed"
        )
    if values.ndim > len(layer.input_shape) + 1:
        raise _UnfitError(
            f"trace of shape {values.shape}, spikes over time; the machine keeps no membrane "
            "state: give values, or simulate an event-driven machine"
        )
    _finite(values, "trace")
    chosen = nonzero(_plain(values[np.arange(batch) % len(values)]))
    if layer.kind == "linear":
        return chosen.reshape(1, -1, shape.channels, 1, 1)
    maps = chosen.reshape(batch, shape.groups * shape.channels, *_spatial(layer))
    padding = layer.padding if len(layer.kernel) == 2 else (0, *layer.padding)
    rows, columns = shape.in_rows, shape.in_columns
    padded = np.zeros((*maps.shape[:2], rows, columns), dtype=np.bool_)
    top, left = padding[0], padding[1]
    part = maps[:, :, : max(0, rows - top), : max(0, columns - left)]
    padded[:, :, top : top + part.shape[2], left : left + part.shape[3]] = part
    split = padded.reshape(batch, shape.groups, shape.channels, rows, columns)
    return np.ascontiguousarray(split.transpose(1, 0, 2, 3, 4))


def _spatial(layer: Layer) -> tuple[int, int]:
    spatial = layer.input_shape[1:]
    return (1, spatial[0]) if len(layer.kernel) == 1 else (spatial[0], spatial[1])


def _plain(values: NDArray[np.generic]) -> NDArray[np.generic]:
    """-0.0 as 0.0: a multiplier has no use for the sign of a zero."""
    return values + 0.0 if values.dtype.kind == "f" else values  # type: ignore[operator]


def _finite(values: NDArray[np.generic], what: str) -> None:
    if values.dtype.kind not in "biuf":
        raise _UnfitError(f"{what} of type {values.dtype}; numbers are needed")
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        raise _UnfitError(f"{what} with NaN or infinity")


def with_drawn_traces(workload: Workload, seed: int = 0) -> Workload:
    """The workload with a trace for every layer that has only a zero fraction: independent draws.

    Real feature maps have their zeros in clusters, so PEs differ more than with these.
    """
    traces: dict[str, NDArray[np.generic]] = dict(workload.traces)
    for number, layer in enumerate(workload.network.synaptic_layers):
        if layer.name in traces or workload.activity is None or not layer.n_synapses:
            continue
        if layer.name in workload.activity and layer.input_shape:
            share = 1 - workload.activity[layer.name].zero_fraction
            draw = np.random.default_rng((seed, number))
            size = (workload.batch, *layer.input_shape)
            traces[layer.name] = (draw.random(size, dtype=np.float32) < share).astype(np.int8)
    found: Mapping[str, NDArray[np.generic]] = traces
    return replace(workload, traces=found)
