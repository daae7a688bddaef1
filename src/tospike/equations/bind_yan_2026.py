"""Bindings of ``yan_2026`` to ``Layer`` and ``LayerActivity``.

An ANN whose ``Implementation.n_timesteps`` is above 1 stands beside an SNN of that T: its
activations get the bits of Theorem 1. Else it has ``activation_bits``.
"""

from __future__ import annotations

from tospike.actions import ActionCounts
from tospike.activity import LayerActivity
from tospike.equations import yan_2026
from tospike.equations.binding import DEFAULT, second_bits, spikes, with_bias, zero_share
from tospike.equations.record import EquationModel, EquationOptions
from tospike.implementation import Implementation
from tospike.network import Layer


def _ann_yan(
    layer: Layer,
    activity: LayerActivity,
    implementation: Implementation,
    options: EquationOptions = DEFAULT,
    /,
) -> ActionCounts:
    return yan_2026.ann_qnn(
        n_syn=layer.n_synapses,
        zero_fraction=zero_share(layer, activity, options),
        hops=options.yan_hops,
        weight_bits=second_bits(layer, implementation),
        iact_bits=twin_bits(implementation),
        layer=layer.name,
    )


def twin_bits(implementation: Implementation) -> int:
    """Activation bits: of the twin of a T-step SNN, or as the implementation says."""
    steps = implementation.n_timesteps
    return int(yan_2026.qnn_bits(steps)) if steps > 1 else implementation.activation_bits


def _snn_yan(
    layer: Layer,
    activity: LayerActivity,
    implementation: Implementation,
    options: EquationOptions = DEFAULT,
    /,
) -> ActionCounts:
    counts = yan_2026.snn_if(
        n_syn=layer.n_synapses,
        n_neur=layer.n_neurons,
        spikes_per_synapse=spikes(layer, activity),
        n_timesteps=implementation.n_timesteps,
        hops=options.yan_hops,
        weight_bits=second_bits(layer, implementation),
        state_bits=implementation.state_bits,
        layer=layer.name,
    )
    return with_bias(counts, layer, implementation, options, state_access=False)


_P, _T = "yan_2026", "yan_2026_22nm"

BOUND = (
    EquationModel(
        "ann_yan", "ann", "QNN of the same capacity", _P, "Theorem 1, energy model", _T, _ann_yan,
        rival=False,
    ),
    EquationModel(
        "snn_yan", "snn", "SNN, spikes routed one by one", _P, "energy model", _T, _snn_yan, True,
        rival=False,
    ),
)  # fmt: skip
