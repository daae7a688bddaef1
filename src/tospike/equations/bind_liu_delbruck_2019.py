"""Bindings of ``liu_delbruck_2019`` to ``Layer`` and ``LayerActivity``."""

from __future__ import annotations

from tospike.actions import ActionCounts
from tospike.activity import LayerActivity
from tospike.equations import liu_delbruck_2019 as liu
from tospike.equations.binding import (
    DEFAULT,
    RECURRENT,
    second_bits,
    sent_share,
    weight_reuse,
    zero_share,
)
from tospike.equations.record import EquationModel, EquationOptions
from tospike.implementation import Implementation
from tospike.network import Layer


def _ann_nullhop(
    layer: Layer,
    activity: LayerActivity,
    implementation: Implementation,
    options: EquationOptions = DEFAULT,
    /,
) -> ActionCounts:
    return liu.ann_nullhop(
        n_syn=layer.n_synapses,
        n_inputs=layer.n_inputs,
        n_weights=layer.n_synapses / weight_reuse(layer),
        n_neurons=layer.n_neurons,
        zero_fraction=zero_share(layer, activity, options),
        map_zero_fraction=activity.zero_fraction,
        weight_bits=second_bits(layer, implementation),
        iact_bits=implementation.activation_bits,
        psum_bits=implementation.state_bits,
        layer=layer.name,
    )


def _ann_liu(
    layer: Layer,
    activity: LayerActivity,
    implementation: Implementation,
    options: EquationOptions = DEFAULT,
    /,
) -> ActionCounts:
    if layer.kind not in (*RECURRENT, "linear"):
        return _ann_nullhop(layer, activity, implementation, options)
    return liu.dense_layer(
        n_syn=layer.n_synapses,
        n_inputs=layer.n_inputs,
        n_neurons=layer.n_neurons,
        weight_bits=second_bits(layer, implementation),
        iact_bits=implementation.activation_bits,
        psum_bits=implementation.state_bits,
        layer=layer.name,
    )


def _delta_liu(
    layer: Layer,
    activity: LayerActivity,
    implementation: Implementation,
    options: EquationOptions = DEFAULT,
    /,
) -> ActionCounts:
    return liu.delta_layer(
        n_syn=layer.n_synapses,
        n_inputs=layer.n_inputs,
        n_neurons=layer.n_neurons,
        temporal_sparsity=1.0 - sent_share(layer, activity, implementation),
        weight_bits=second_bits(layer, implementation),
        iact_bits=implementation.activation_bits,
        psum_bits=implementation.state_bits,
        layer=layer.name,
    )


_L, _H = "liu_delbruck_2019", "horowitz_2014_45nm"
_ENGINE = "matrix-vector engine; NullHop for convolutions"

BOUND = (
    EquationModel("ann_nullhop", "ann", "NullHop", _L, "VI", _H, _ann_nullhop),
    EquationModel("ann_liu", "ann", _ENGINE, _L, "VII", _H, _ann_liu),
    EquationModel("delta_liu", "delta", "delta network", _L, "VII", _H, _delta_liu),
)
