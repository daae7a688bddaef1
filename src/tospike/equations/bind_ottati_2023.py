"""Bindings of ``ottati_2023`` to ``Layer`` and ``LayerActivity``."""

from __future__ import annotations

from tospike.actions import ActionCounts
from tospike.activity import LayerActivity
from tospike.equations import ottati_2023
from tospike.equations.binding import DEFAULT, second_bits, spikes, with_bias, zero_share
from tospike.equations.record import EquationModel, EquationOptions
from tospike.errors import RangeError
from tospike.implementation import Implementation
from tospike.network import Layer


def _ann_ottati(
    layer: Layer,
    activity: LayerActivity,
    implementation: Implementation,
    options: EquationOptions = DEFAULT,
    /,
) -> ActionCounts:
    return ottati_2023.ann_conv(
        n_reads=layer.n_synapses / max(1, layer.n_neurons),
        n_neurons=layer.n_neurons,
        density=1.0 - zero_share(layer, activity, options),
        sparsity=options.ottati_sparsity,
        weight_bits=second_bits(layer, implementation),
        iact_bits=implementation.activation_bits,
        layer=layer.name,
    )


def _snn_ottati(
    layer: Layer,
    activity: LayerActivity,
    implementation: Implementation,
    options: EquationOptions = DEFAULT,
    /,
) -> ActionCounts:
    received = spikes(layer, activity)
    if received > implementation.n_timesteps:
        raise RangeError(
            f"count the layer {layer.name!r} with snn_ottati",
            received=f"{received:g} spikes per synapse in {implementation.n_timesteps} time steps",
            allowed="at most one spike per synapse and time step",
            fix="set Implementation.n_timesteps to the T that was measured",
        )
    counts = ottati_2023.snn_conv(
        n_reads=layer.n_synapses / max(1, layer.n_neurons),
        n_neurons=layer.n_neurons,
        n_timesteps=implementation.n_timesteps,
        density=received / implementation.n_timesteps,
        sparsity=options.ottati_sparsity,
        weight_bits=second_bits(layer, implementation),
        state_bits=implementation.state_bits,
        layer=layer.name,
    )
    return with_bias(counts, layer, implementation, options, state_access=False)


_O, _OT = "ottati_2023", "ottati_2023_45nm"

BOUND = (
    EquationModel("ann_ottati", "ann", "ANN, Algorithm 2", _O, "IV-A", _OT, _ann_ottati),
    EquationModel("snn_ottati", "snn", "SNN, Algorithm 1", _O, "IV-A", _OT, _snn_ottati),
)
