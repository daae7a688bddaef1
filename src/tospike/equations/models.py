"""The registry ``MODELS``: each equation of a paper bound to ``Layer`` and ``LayerActivity``.

To add a model: write its paper file, bind it here, add one line to :data:`MODELS`.
"""

from __future__ import annotations

import math

from tospike.actions import ActionCounts
from tospike.activity import LayerActivity
from tospike.equations import beyond, compute_only, ottati_2023
from tospike.equations import dampfhoffer_2022 as dampfhoffer
from tospike.equations import liu_delbruck_2019 as liu
from tospike.equations.record import EquationModel, EquationOptions
from tospike.errors import RangeError, StatisticError
from tospike.implementation import Implementation
from tospike.network import Layer

_DEFAULT = EquationOptions()
_RECURRENT = ("rnn_input", "rnn_hidden")


def zero_share(layer: Layer, activity: LayerActivity, options: EquationOptions = _DEFAULT) -> float:
    """gamma of a layer: share of its MACs (or, by convention, of its inputs) that see a zero."""
    if options.gamma == "zero_fraction" or not layer.n_synapses:
        return activity.zero_fraction
    return min(1.0, max(0.0, 1.0 - activity.synaptic_operations / layer.n_synapses))


def weight_reuse(layer: Layer) -> float:
    """RF_weight of a layer; 1 for recurrent layers, whose next step waits for this one."""
    return 1.0 if layer.kind in _RECURRENT else layer.reuse.weight


def second_bits(layer: Layer, implementation: Implementation) -> int:
    """Width of the second operand: a weight, or an activation in a product of two activations."""
    if layer.kind == "matmul":
        return implementation.activation_bits
    return implementation.weight_bits


def eyeriss_reuse(layer: Layer, options: EquationOptions = _DEFAULT) -> float:
    """RF_avg of one layer on Eyeriss: the measured mean, at most the layer's theoretical reuse.

    Per MAC the paper counts one input read, one psum read and one psum write over RF_avg, so the
    theoretical bound is the harmonic mean 3 / (1/RF_iact + 2/RF_psum).
    """
    bound = 3.0 / (1.0 / layer.reuse.iact + 2.0 / layer.reuse.psum)
    return max(1.0, min(options.eyeriss_reuse, bound))


def spikes(layer: Layer, activity: LayerActivity) -> float:
    """Spikes per synapse of a layer; :class:`StatisticError` where the input is no spikes."""
    if activity.spikes_per_synapse is None:
        raise StatisticError(
            f"count the layer {layer.name!r} as SNN",
            received=f"a {activity.signal} input without spikes per synapse",
            where=f"layer {layer.name!r}",
            allowed="a layer whose input was measured as spikes",
            fix="run this layer as ann, or measure the spiking network",
        )
    return activity.spikes_per_synapse


def sent_share(layer: Layer, activity: LayerActivity, implementation: Implementation) -> float:
    """1 - Gamma at the implementation's threshold; :class:`StatisticError` if not measured."""
    wanted = implementation.delta_threshold
    for threshold, sparsity in activity.temporal_sparsity.items():
        if math.isclose(threshold, wanted, rel_tol=1e-9, abs_tol=1e-15):
            return 1.0 - sparsity
    raise StatisticError(
        f"count the layer {layer.name!r} as delta network",
        received=f"the delta threshold {wanted:g}",
        where=f"layer {layer.name!r}",
        allowed="a measured threshold: "
        + (", ".join(f"{theta:g}" for theta in activity.temporal_sparsity) or "none was measured"),
        fix="measure the activity with this threshold, or choose one that was measured",
    )


def _ann_naive(
    layer: Layer,
    activity: LayerActivity,
    implementation: Implementation,
    options: EquationOptions = _DEFAULT,
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
    options: EquationOptions = _DEFAULT,
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
    options: EquationOptions = _DEFAULT,
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
    options: EquationOptions = _DEFAULT,
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
    options: EquationOptions = _DEFAULT,
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


def _ann_ottati(
    layer: Layer,
    activity: LayerActivity,
    implementation: Implementation,
    options: EquationOptions = _DEFAULT,
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


def _ann_nullhop(
    layer: Layer,
    activity: LayerActivity,
    implementation: Implementation,
    options: EquationOptions = _DEFAULT,
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
    options: EquationOptions = _DEFAULT,
    /,
) -> ActionCounts:
    if layer.kind not in (*_RECURRENT, "linear"):
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


def _ann_compute_only(
    layer: Layer,
    activity: LayerActivity,
    implementation: Implementation,
    options: EquationOptions = _DEFAULT,
    /,
) -> ActionCounts:
    return compute_only.ann_compute_only(
        n_syn=layer.n_synapses,
        weight_bits=second_bits(layer, implementation),
        iact_bits=implementation.activation_bits,
        layer=layer.name,
    )


def with_bias(
    counts: ActionCounts,
    layer: Layer,
    implementation: Implementation,
    options: EquationOptions,
    *,
    state_access: bool,
) -> ActionCounts:
    """``counts`` and the per-step bias of the layer's neurons, as ``options.bias`` asks."""
    if options.bias == "never" or (options.bias == "when_present" and not layer.n_biases):
        return counts
    return counts + beyond.bias_current(
        n_neur=layer.n_neurons,
        n_timesteps=implementation.n_timesteps,
        state_access=state_access,
        state_bits=implementation.state_bits,
        bias_bits=implementation.state_bits,
        layer=layer.name,
    )


def _snn_if_inst(
    layer: Layer,
    activity: LayerActivity,
    implementation: Implementation,
    options: EquationOptions = _DEFAULT,
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
    options: EquationOptions = _DEFAULT,
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
    options: EquationOptions = _DEFAULT,
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
    options: EquationOptions = _DEFAULT,
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


def _snn_ottati(
    layer: Layer,
    activity: LayerActivity,
    implementation: Implementation,
    options: EquationOptions = _DEFAULT,
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


def _snn_compute_only(
    layer: Layer,
    activity: LayerActivity,
    implementation: Implementation,
    options: EquationOptions = _DEFAULT,
    /,
) -> ActionCounts:
    return compute_only.snn_compute_only(
        n_syn=layer.n_synapses,
        spikes_per_synapse=spikes(layer, activity),
        weight_bits=second_bits(layer, implementation),
        state_bits=implementation.state_bits,
        layer=layer.name,
    )


def _delta_liu(
    layer: Layer,
    activity: LayerActivity,
    implementation: Implementation,
    options: EquationOptions = _DEFAULT,
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


_D, _O, _L = "dampfhoffer_2022", "ottati_2023", "liu_delbruck_2019"
_T45, _T65 = "dampfhoffer_2022_45nm_8b", "dampfhoffer_2022_65nm_16b"
_OT, _H, _FP = "ottati_2023_45nm", "horowitz_2014_45nm", "horowitz_2014_45nm_fp"

_TABLE = (
    EquationModel("ann_naive", "ann", "ANN without reuse", _D, "eq. 2", _T45, _ann_naive),
    EquationModel("ann_reuse", "ann", "ANN, ideal reuse", _D, "eq. 11", _T65, _ann_reuse),
    EquationModel(
        "ann_reuse_sparsity",
        "ann",
        "ANN, ideal reuse and zero skipping",
        _D,
        "eq. 12",
        _T65,
        _ann_reuse_sparsity,
    ),
    EquationModel("ann_eyeriss_v1", "ann", "Eyeriss v1", _D, "eq. 13", _T65, _ann_eyeriss_v1),
    EquationModel("ann_eyeriss_v2", "ann", "Eyeriss v2", _D, "III-B2", _T65, _ann_eyeriss_v2),
    EquationModel("ann_ottati", "ann", "ANN, Algorithm 2", _O, "IV-A", _OT, _ann_ottati),
    EquationModel("ann_nullhop", "ann", "NullHop", _L, "VI", _H, _ann_nullhop),
    EquationModel(
        "ann_liu", "ann", "matrix-vector engine; NullHop for convolutions", _L, "VII", _H, _ann_liu
    ),
    EquationModel(
        "ann_compute_only",
        "ann",
        "ANN, MACs only",
        "horowitz_2014",
        "0.9/4.6 pJ convention",
        _FP,
        _ann_compute_only,
    ),
    EquationModel("snn_if_inst", "snn", "SNN, IF + inst", _D, "eq. 4", _T45, _snn_if_inst, True),
    EquationModel("snn_lif_inst", "snn", "SNN, LIF + inst", _D, "eq. 7", _T45, _snn_lif_inst, True),
    EquationModel("snn_if_cont", "snn", "SNN, IF + cont", _D, "eq. 10", _T45, _snn_if_cont, True),
    EquationModel("snn_lif_cont", "snn", "SNN, LIF + cont", _D, "II-C3", _T45, _snn_lif_cont, True),
    EquationModel("snn_ottati", "snn", "SNN, Algorithm 1", _O, "IV-A", _OT, _snn_ottati),
    EquationModel(
        "snn_compute_only",
        "snn",
        "SNN, ACs only",
        "horowitz_2014",
        "0.9/4.6 pJ convention",
        _FP,
        _snn_compute_only,
        True,
    ),
    EquationModel("delta_liu", "delta", "delta network", _L, "VII", _H, _delta_liu),
)

#: key -> :class:`EquationModel`
MODELS: dict[str, EquationModel] = {model.key: model for model in _TABLE}
