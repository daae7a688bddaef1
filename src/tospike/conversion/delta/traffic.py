"""Weights that delta layers read per step, from what they sent.

Equations
    per layer and step: G H ((1 - Gamma_x) I + (1 - Gamma_h) H) weights, dense G H (I + H)
    (Liu & Delbruck 2019, section VII); a linear layer has its input matrix only. A convolution
    uses each weight at many places: what counts is each use, (1 - Gamma) times the
    multiply-accumulates of a frame, every input value alike.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from torch import nn

from tospike.conversion.delta.convolution import DeltaConv
from tospike.conversion.delta.layers import DeltaLinear, Trace, _DeltaRecurrent
from tospike.conversion.delta.recording import Record
from tospike.errors import DataError


@dataclass(frozen=True)
class LayerTraffic:
    """One layer over all recorded calls.

    Attributes
    ----------
    name : of the module in the network; "" for the network itself.
    level : layer within a stacked module.
    sparsity_x, sparsity_h : Gamma, shares of elements that were not sent; h is None for a linear
        or convolution layer.
    weights, dense_weights : weights read per step and stream, and by a dense layer; of a
        convolution, uses of a weight.
    """

    name: str
    level: int
    sparsity_x: float
    sparsity_h: float | None
    weights: float
    dense_weights: int


@dataclass
class _Sums:
    """Running sums of one layer: elements sent and in total. ``of_x``, ``of_h``: weights that a
    dense step reads for the inputs and for the states."""

    of_x: int
    of_h: int
    sent_x: int = 0
    total_x: int = 0
    sent_h: int = 0
    total_h: int = 0


def traffic(module: nn.Module, record: Record) -> tuple[LayerTraffic, ...]:
    """What the delta layers of ``module`` read, in the order of their first call.

    Raises
    ------
    DataError
        No delta layer of the network was called.
    """
    names = {id(part): name for name, part in module.named_modules()}
    sums: dict[tuple[str, int], _Sums] = {}
    for layer, trace in record:
        if id(layer) not in names:
            continue
        for level, sent in enumerate(trace.layers):
            one = sums.setdefault((names[id(layer)], level), _sizes(layer, level, trace))
            one.sent_x += sent.x.count
            one.total_x += sent.x.total
            if sent.h is not None:
                one.sent_h += sent.h.count
                one.total_h += sent.h.total
    if not sums:
        raise DataError("count what delta layers send", received="no call of a delta layer")
    return tuple(_layer(name, level, one) for (name, level), one in sums.items())


def _sizes(layer: nn.Module, level: int, trace: Trace) -> _Sums:
    if isinstance(layer, DeltaLinear):
        return _Sums(layer.out_features * layer.in_features, 0)
    if isinstance(layer, DeltaConv):
        return _Sums(trace.output[0].numel() * layer.weight[0].numel(), 0)
    assert isinstance(layer, _DeltaRecurrent)
    rows = layer.gates * layer.hidden_size
    inputs = layer.input_size if level == 0 else layer.hidden_size
    return _Sums(rows * inputs, rows * layer.hidden_size)


def _layer(name: str, level: int, one: _Sums) -> LayerTraffic:
    sent_x = one.sent_x / one.total_x
    sent_h = one.sent_h / one.total_h if one.total_h else 0.0
    return LayerTraffic(
        name,
        level,
        1 - sent_x,
        1 - sent_h if one.total_h else None,
        sent_x * one.of_x + sent_h * one.of_h,
        one.of_x + one.of_h,
    )


def total(layers: Iterable[LayerTraffic]) -> tuple[float, int]:
    """(weights per step, weights of a dense step) of all layers together."""
    layers = tuple(layers)
    return sum(one.weights for one in layers), sum(one.dense_weights for one in layers)
