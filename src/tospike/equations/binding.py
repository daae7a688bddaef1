"""Helpers of the bindings: what an equation needs, from ``Layer`` and ``LayerActivity``."""

from __future__ import annotations

import math

from tospike.actions import ActionCounts
from tospike.activity import LayerActivity
from tospike.equations import beyond
from tospike.equations.record import EquationOptions
from tospike.errors import StatisticError
from tospike.implementation import Implementation
from tospike.network import Layer

DEFAULT = EquationOptions()
RECURRENT = ("rnn_input", "rnn_hidden")


def zero_share(layer: Layer, activity: LayerActivity, options: EquationOptions = DEFAULT) -> float:
    """gamma of a layer: share of its MACs (or, by convention, of its inputs) that see a zero."""
    if options.gamma == "zero_fraction" or not layer.n_synapses:
        return activity.zero_fraction
    return min(1.0, max(0.0, 1.0 - activity.synaptic_operations / layer.n_synapses))


def weight_reuse(layer: Layer) -> float:
    """RF_weight of a layer; 1 for recurrent layers, whose next step waits for this one."""
    return 1.0 if layer.kind in RECURRENT else layer.reuse.weight


def second_bits(layer: Layer, implementation: Implementation) -> int:
    """Width of the second operand: a weight, or an activation in a product of two activations."""
    if layer.kind == "matmul":
        return implementation.activation_bits
    return implementation.weight_bits


def eyeriss_reuse(layer: Layer, options: EquationOptions = DEFAULT) -> float:
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
