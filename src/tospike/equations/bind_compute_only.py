"""Bindings of ``compute_only`` to ``Layer`` and ``LayerActivity``."""

from __future__ import annotations

from tospike.actions import ActionCounts
from tospike.activity import LayerActivity
from tospike.equations import compute_only
from tospike.equations.binding import DEFAULT, second_bits, spikes
from tospike.equations.record import EquationModel, EquationOptions
from tospike.implementation import Implementation
from tospike.network import Layer


def _ann_compute_only(
    layer: Layer,
    activity: LayerActivity,
    implementation: Implementation,
    options: EquationOptions = DEFAULT,
    /,
) -> ActionCounts:
    return compute_only.ann_compute_only(
        n_syn=layer.n_synapses,
        weight_bits=second_bits(layer, implementation),
        iact_bits=implementation.activation_bits,
        layer=layer.name,
    )


def _snn_compute_only(
    layer: Layer,
    activity: LayerActivity,
    implementation: Implementation,
    options: EquationOptions = DEFAULT,
    /,
) -> ActionCounts:
    return compute_only.snn_compute_only(
        n_syn=layer.n_synapses,
        spikes_per_synapse=spikes(layer, activity),
        weight_bits=second_bits(layer, implementation),
        state_bits=implementation.state_bits,
        layer=layer.name,
    )


_P, _WHERE, _FP = "horowitz_2014", "0.9/4.6 pJ convention", "horowitz_2014_45nm_fp"

BOUND = (
    EquationModel(
        "ann_compute_only", "ann", "ANN, MACs only", _P, _WHERE, _FP, _ann_compute_only,
        rival=False,
    ),
    EquationModel(
        "snn_compute_only", "snn", "SNN, ACs only", _P, _WHERE, _FP, _snn_compute_only, True,
        rival=False,
    ),
)  # fmt: skip
