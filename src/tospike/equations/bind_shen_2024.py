"""Bindings of ``shen_2024`` to ``Layer`` and ``LayerActivity``."""

from __future__ import annotations

from tospike.actions import ActionCounts
from tospike.activity import LayerActivity
from tospike.equations import shen_2024
from tospike.equations.binding import DEFAULT, second_bits, spikes
from tospike.equations.record import EquationModel, EquationOptions
from tospike.implementation import Implementation
from tospike.network import Layer


def _ann_shen(
    layer: Layer,
    activity: LayerActivity,
    implementation: Implementation,
    options: EquationOptions = DEFAULT,
    /,
) -> ActionCounts:
    return shen_2024.ann_qann(
        n_syn=layer.n_synapses,
        weight_bits=second_bits(layer, implementation),
        iact_bits=implementation.activation_bits,
        layer=layer.name,
    )


def _snn_shen(
    layer: Layer,
    activity: LayerActivity,
    implementation: Implementation,
    options: EquationOptions = DEFAULT,
    /,
) -> ActionCounts:
    return shen_2024.ns_ace(
        n_syn=layer.n_synapses,
        spikes_per_synapse=spikes(layer, activity),
        weight_bits=second_bits(layer, implementation),
        layer=layer.name,
    )


_P, _T = "shen_2024", "shen_2024_bit_budget"

BOUND = (
    EquationModel(
        "ann_shen", "ann", "QANN, bit budget (S-ACE)", _P, "Bit Budget, S-ACE", _T, _ann_shen,
        rival=False,
    ),
    EquationModel(
        "snn_shen", "snn", "SNN, bit budget of spikes (NS-ACE)", _P, "NS-ACE", _T, _snn_shen, True,
        rival=False,
    ),
)  # fmt: skip
