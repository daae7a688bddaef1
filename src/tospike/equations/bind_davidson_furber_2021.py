"""Bindings of ``davidson_furber_2021`` to ``Layer`` and ``LayerActivity``."""

from __future__ import annotations

from tospike.actions import ActionCounts
from tospike.activity import LayerActivity
from tospike.equations import davidson_furber_2021 as paper
from tospike.equations.binding import DEFAULT, second_bits, spikes, with_bias
from tospike.equations.record import EquationModel, EquationOptions
from tospike.implementation import Implementation
from tospike.network import Layer


def _ann_davidson_furber(
    layer: Layer,
    activity: LayerActivity,
    implementation: Implementation,
    options: EquationOptions = DEFAULT,
    /,
) -> ActionCounts:
    return paper.ann_layer(
        n_syn=layer.n_synapses,
        weight_bits=second_bits(layer, implementation),
        layer=layer.name,
    )


def _snn_davidson_furber(
    layer: Layer,
    activity: LayerActivity,
    implementation: Implementation,
    options: EquationOptions = DEFAULT,
    /,
) -> ActionCounts:
    counts = paper.snn_layer(
        n_syn=layer.n_synapses,
        spikes_per_synapse=spikes(layer, activity),
        weight_bits=second_bits(layer, implementation),
        layer=layer.name,
    )
    return with_bias(counts, layer, implementation, options, state_access=True)


_P, _T = "davidson_furber_2021", "davidson_furber_2021_22nm"

BOUND = (
    EquationModel(
        "ann_davidson_furber", "ann", "ANN, 12 E per synapse", _P, "12E/7E", _T,
        _ann_davidson_furber, rival=False,
    ),
    EquationModel(
        "snn_davidson_furber", "snn", "SNN, 7 E per spike and synapse", _P, "12E/7E", _T,
        _snn_davidson_furber, True, rival=False,
    ),
)  # fmt: skip
