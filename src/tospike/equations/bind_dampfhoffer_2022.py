"""Bindings of ``dampfhoffer_2022`` to ``Layer`` and ``LayerActivity``."""

from __future__ import annotations

from tospike.actions import ActionCounts
from tospike.activity import LayerActivity
from tospike.equations import dampfhoffer_2022 as dampfhoffer
from tospike.equations.binding import (
    DEFAULT,
    eyeriss_reuse,
    second_bits,
    spikes,
    weight_reuse,
    with_bias,
    zero_share,
)
from tospike.equations.record import EquationModel, EquationOptions
from tospike.implementation import Implementation
from tospike.network import Layer


def _ann_naive(
    layer: Layer,
    activity: LayerActivity,
    implementation: Implementation,
    options: EquationOptions = DEFAULT,
    /,
) -> ActionCounts:
    return dampfhoffer.ann_naive(
        n_syn=layer.n_synapses,
        weight_bits=second_bits(layer, implementation),
        iact_bits=implementation.activation_bits,
        psum_bits=implementation.state_bits,
        layer=layer.name,
    )


def _ann_reuse(
    layer: Layer,
    activity: LayerActivity,
    implementation: Implementation,
    options: EquationOptions = DEFAULT,
    /,
) -> ActionCounts:
    return dampfhoffer.ann_reuse(
        n_syn=layer.n_synapses,
        reuse_iact=layer.reuse.iact,
        reuse_weight=weight_reuse(layer),
        reuse_psum=layer.reuse.psum,
        weight_bits=second_bits(layer, implementation),
        iact_bits=implementation.activation_bits,
        psum_bits=implementation.state_bits,
        layer=layer.name,
    )


def _ann_reuse_sparsity(
    layer: Layer,
    activity: LayerActivity,
    implementation: Implementation,
    options: EquationOptions = DEFAULT,
    /,
) -> ActionCounts:
    return dampfhoffer.ann_reuse_sparsity(
        n_syn=layer.n_synapses,
        zero_fraction=zero_share(layer, activity, options),
        reuse_iact=layer.reuse.iact,
        reuse_weight=weight_reuse(layer),
        reuse_psum=layer.reuse.psum,
        weight_bits=second_bits(layer, implementation),
        iact_bits=implementation.activation_bits,
        psum_bits=implementation.state_bits,
        layer=layer.name,
    )


def _ann_eyeriss_v1(
    layer: Layer,
    activity: LayerActivity,
    implementation: Implementation,
    options: EquationOptions = DEFAULT,
    /,
) -> ActionCounts:
    fetched = layer.n_synapses / weight_reuse(layer) if options.eyeriss_weight_fetch else 0.0
    return dampfhoffer.ann_eyeriss_v1(
        n_syn=layer.n_synapses,
        zero_fraction=zero_share(layer, activity, options),
        reuse_average=eyeriss_reuse(layer, options),
        weight_fetches=fetched,
        convention=options.eyeriss_convention,
        weight_bits=second_bits(layer, implementation),
        iact_bits=implementation.activation_bits,
        psum_bits=implementation.state_bits,
        layer=layer.name,
    )


def _ann_eyeriss_v2(
    layer: Layer,
    activity: LayerActivity,
    implementation: Implementation,
    options: EquationOptions = DEFAULT,
    /,
) -> ActionCounts:
    fetched = layer.n_synapses / weight_reuse(layer) if options.eyeriss_weight_fetch else 0.0
    return dampfhoffer.ann_eyeriss_v2(
        n_syn=layer.n_synapses,
        zero_fraction=zero_share(layer, activity, options),
        reuse_average=eyeriss_reuse(layer, options),
        weight_fetches=fetched,
        convention=options.eyeriss_convention,
        gain=options.eyeriss_v2_gain,
        weight_bits=second_bits(layer, implementation),
        iact_bits=implementation.activation_bits,
        psum_bits=implementation.state_bits,
        layer=layer.name,
    )


def _snn_if_inst(
    layer: Layer,
    activity: LayerActivity,
    implementation: Implementation,
    options: EquationOptions = DEFAULT,
    /,
) -> ActionCounts:
    counts = dampfhoffer.snn_if_inst(
        n_syn=layer.n_synapses,
        spikes_per_synapse=spikes(layer, activity),
        weight_bits=second_bits(layer, implementation),
        state_bits=implementation.state_bits,
        layer=layer.name,
    )
    return with_bias(counts, layer, implementation, options, state_access=True)


def _snn_lif_inst(
    layer: Layer,
    activity: LayerActivity,
    implementation: Implementation,
    options: EquationOptions = DEFAULT,
    /,
) -> ActionCounts:
    counts = dampfhoffer.snn_lif_inst(
        n_syn=layer.n_synapses,
        n_neur=layer.n_neurons,
        spikes_per_synapse=spikes(layer, activity),
        n_timesteps=implementation.n_timesteps,
        weight_bits=second_bits(layer, implementation),
        state_bits=implementation.state_bits,
        layer=layer.name,
    )
    return with_bias(counts, layer, implementation, options, state_access=False)


def _snn_if_cont(
    layer: Layer,
    activity: LayerActivity,
    implementation: Implementation,
    options: EquationOptions = DEFAULT,
    /,
) -> ActionCounts:
    counts = dampfhoffer.snn_if_cont(
        n_syn=layer.n_synapses,
        n_neur=layer.n_neurons,
        spikes_per_synapse=spikes(layer, activity),
        n_timesteps=implementation.n_timesteps,
        weight_bits=second_bits(layer, implementation),
        state_bits=implementation.state_bits,
        layer=layer.name,
    )
    return with_bias(counts, layer, implementation, options, state_access=False)


def _snn_lif_cont(
    layer: Layer,
    activity: LayerActivity,
    implementation: Implementation,
    options: EquationOptions = DEFAULT,
    /,
) -> ActionCounts:
    counts = dampfhoffer.snn_lif_cont(
        n_syn=layer.n_synapses,
        n_neur=layer.n_neurons,
        spikes_per_synapse=spikes(layer, activity),
        n_timesteps=implementation.n_timesteps,
        weight_bits=second_bits(layer, implementation),
        state_bits=implementation.state_bits,
        layer=layer.name,
    )
    return with_bias(counts, layer, implementation, options, state_access=False)


_D = "dampfhoffer_2022"
_T45, _T65 = "dampfhoffer_2022_45nm_8b", "dampfhoffer_2022_65nm_16b"
_BEST = "ANN, ideal reuse and zero skipping"

BOUND = (
    EquationModel("ann_naive", "ann", "ANN without reuse", _D, "eq. 2", _T45, _ann_naive),
    EquationModel("ann_reuse", "ann", "ANN, ideal reuse", _D, "eq. 11", _T65, _ann_reuse),
    EquationModel("ann_reuse_sparsity", "ann", _BEST, _D, "eq. 12", _T65, _ann_reuse_sparsity),
    EquationModel("ann_eyeriss_v1", "ann", "Eyeriss v1", _D, "eq. 13", _T65, _ann_eyeriss_v1),
    EquationModel("ann_eyeriss_v2", "ann", "Eyeriss v2", _D, "III-B2", _T65, _ann_eyeriss_v2),
    EquationModel("snn_if_inst", "snn", "SNN, IF + inst", _D, "eq. 4", _T45, _snn_if_inst, True),
    EquationModel("snn_lif_inst", "snn", "SNN, LIF + inst", _D, "eq. 7", _T45, _snn_lif_inst, True),
    EquationModel("snn_if_cont", "snn", "SNN, IF + cont", _D, "eq. 10", _T45, _snn_if_cont, True),
    EquationModel("snn_lif_cont", "snn", "SNN, LIF + cont", _D, "II-C3", _T45, _snn_lif_cont, True),
)
