"""Zeros and compressed sizes of the maps of each layer: from real tensors, or from statistics."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tospike.errors import DataError, StatisticError
from tospike.machines.eyeriss import rlc
from tospike.machines.eyeriss.chip import Chip
from tospike.machines.record import Workload
from tospike.network import Layer
from tospike.network.network import INPUT


@dataclass(frozen=True, slots=True)
class Maps:
    """One layer. zeros : share of zero input values. ifmap, ofmap : size in the DRAM over plain
    size. first : the input is that of the network, which is not compressed."""

    zeros: float
    ifmap: float
    ofmap: float
    first: bool


def maps_of(workload: Workload, layers: tuple[Layer, ...], chip: Chip) -> dict[str, Maps]:
    """:class:`Maps` by layer.

    Raises :class:`StatisticError` for layers without trace and statistic, :class:`DataError` for
    traces that do not fit their layer; with all layers.
    """
    known: dict[str, tuple[float, float]] = {}
    missing, unfit = [], []
    for layer in layers:
        if layer.name in workload.traces:
            trace = np.asarray(workload.traces[layer.name])
            fault = _fault(trace, layer)
            if fault:
                unfit.append(f"layer {layer.name!r}: {fault}")
            else:
                known[layer.name] = _of_trace(trace, chip)
        elif workload.activity is not None and layer.name in workload.activity:
            zeros = float(workload.activity[layer.name].zero_fraction)
            if 0 <= zeros <= 1:
                known[layer.name] = zeros, rlc.expected_ratio(zeros, chip.rlc, chip.word_bits)
            else:
                unfit.append(f"layer {layer.name!r}: zero fraction {zeros:g}, not 0 to 1")
        else:
            missing.append(layer.name)
    if unfit:
        raise DataError(
            "simulate a row-stationary chip",
            where="the activity of the workload",
            fix="give inputs and statistics of this network",
            reasons=unfit,
        )
    if missing:
        raise StatisticError(
            "simulate a row-stationary chip",
            received=f"{len(missing)} of {len(layers)} layers without zeros and without inputs",
            where=", ".join(missing[:8]) + (", ..." if len(missing) > 8 else ""),
            allowed="a zero fraction or the real input of every layer",
            fix="give data, a file of zeros, or one zero fraction for all layers",
        )
    inputs = {edge.target for edge in workload.network.synaptic_edges if edge.source == INPUT}
    found = {}
    for layer in layers:
        zeros, share = known[layer.name]
        first = layer.name in inputs
        out = _output_ratio(layer, workload, known, chip)
        found[layer.name] = Maps(zeros, 1.0 if first else share, out, first)
    return found


def _output_ratio(
    layer: Layer, workload: Workload, known: dict[str, tuple[float, float]], chip: Chip
) -> float:
    """Of the output of a layer, as the next layer that reads it shows it; 1 if none does.

    The chip writes its output before pooling. Pooling by the maximum leaves fewer zeros, z; before
    it there were z ** pooled_zero_exponent.
    """
    edges = [
        edge
        for edge in workload.network.synaptic_edges
        if edge.source == layer.name and edge.target in known
    ]
    if not edges:
        return 1.0
    edge = max(edges, key=lambda edge: edge.n_values)
    zeros, share = known[edge.target]
    if edge.n_values >= layer.n_neurons:
        return share
    return rlc.expected_ratio(zeros**chip.pooled_exponent, chip.rlc, chip.word_bits)


def _fault(trace: NDArray[Any], layer: Layer) -> str:
    shape = layer.input_shape
    if trace.ndim <= len(shape) or trace.shape[trace.ndim - len(shape) :] != shape:
        return f"its trace has shape {trace.shape}; (samples, {', '.join(map(str, shape))}) fits"
    if not trace.size:
        return "its trace is empty"
    if trace.ndim > len(shape) + 1 and trace.shape[: trace.ndim - len(shape) - 1] != (layer.calls,):
        return (
            f"its trace has shape {trace.shape}, spikes over time, but the layer runs "
            f"{layer.calls} time(s) per inference and the machine keeps no membrane state: give "
            "values, or simulate an event-driven machine"
        )
    if trace.dtype.kind not in "biuf":
        return f"its trace has type {trace.dtype}"
    if trace.dtype.kind == "f" and not np.isfinite(trace).all():
        return "its trace holds values that are not finite"
    return ""


def _of_trace(trace: NDArray[Any], chip: Chip) -> tuple[float, float]:
    zeros = 1 - np.count_nonzero(trace) / trace.size
    return float(zeros), rlc.ratio(trace, chip.rlc, chip.word_bits)
