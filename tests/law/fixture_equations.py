"""Layers, activities and a small network for the tests of the equations."""

from __future__ import annotations

from functools import partial

import pytest

from tospike.actions import ActionCounts
from tospike.activity import ActivityProfile, LayerActivity
from tospike.equations import (
    MODELS,
    EquationModel,
    EquationOptions,
)
from tospike.implementation import Implementation
from tospike.network import Layer, Network
from tospike.network.network import INPUT, Edge, Origin
from tospike.pricing import price

#: joules are about 1e-12, so that the default absolute tolerance of pytest would hide any fault
approx = partial(pytest.approx, rel=1e-9, abs=0.0)


CONV = Layer(
    "conv",
    "conv",
    kernel=(3, 3),
    n_synapses=64 * 32 * 9 * 196,
    n_synapses_exact=64 * 32 * 9 * 196 - 20_000,
    n_neurons=64 * 196,
    n_inputs=32 * 196,
    n_weights=64 * 32 * 9,
    n_biases=64,
)
DEPTHWISE = Layer(
    "dw",
    "conv",
    kernel=(3, 3),
    groups=32,
    n_synapses=32 * 9 * 196,
    n_synapses_exact=32 * 9 * 196,
    n_neurons=32 * 196,
    n_inputs=32 * 196,
    n_weights=32 * 9,
)
LINEAR = Layer(
    "fc",
    "linear",
    n_synapses=400 * 120,
    n_synapses_exact=400 * 120,
    n_neurons=120,
    n_inputs=400,
    n_weights=400 * 120,
    n_biases=120,
)
RECURRENT = Layer(
    "gru.weight_hh_l0",
    "rnn_hidden",
    n_synapses=20 * 192 * 64,
    n_synapses_exact=20 * 192 * 64,
    n_neurons=20 * 192,
    n_inputs=20 * 64,
    n_weights=192 * 64,
    n_biases=192,
    calls=20,
)
LAYERS = (CONV, DEPTHWISE, LINEAR, RECURRENT)
NAMES = [layer.name for layer in LAYERS]
BY_MODE = {
    mode: [model for model in MODELS.values() if model.mode == mode]
    for mode in ("ann", "snn", "delta")
}
PRICED = ("horowitz_2014_45nm", "dampfhoffer_2022_65nm_16b", "ottati_2023_45nm")
IMPLEMENTATION = Implementation("snn", n_timesteps=8)
THETA = 0.0625


def activity_of(
    layer: Layer, *, zeros: float = 0.5, spikes: float | None = None, gamma: float = 0.8
) -> LayerActivity:
    operations = (1 - zeros if spikes is None else spikes) * layer.n_synapses
    return LayerActivity(
        signal="analog" if spikes is None else "spike",
        n_samples=4,
        n_timesteps=1,
        zero_fraction=zeros,
        synaptic_operations=operations,
        spikes_per_synapse=spikes,
        temporal_sparsity={THETA: gamma},
    )


def counts_of(
    model: EquationModel,
    layer: Layer,
    *,
    zeros: float = 0.5,
    spikes: float = 0.3,
    gamma: float = 0.8,
    bits: int = 8,
    options: EquationOptions | None = None,
) -> ActionCounts:
    mode = "ann" if model.mode == "ann" else model.mode
    how = Implementation(
        mode,
        n_timesteps=8,
        delta_threshold=THETA,
        weight_bits=bits,
        activation_bits=bits,
        state_bits=bits,
    )
    activity = activity_of(
        layer, zeros=zeros, spikes=spikes if model.mode == "snn" else None, gamma=gamma
    )
    return model.count_layer(layer, activity, how, options or EquationOptions())


def energy(counts: ActionCounts, technology: str, **kwargs: float) -> float:
    return float(price(counts, technology, **kwargs).energy)


def network() -> Network:
    """input -> conv -> dw -> fc."""
    return Network(
        (CONV, DEPTHWISE, LINEAR),
        (
            Edge(INPUT, "conv", CONV.n_inputs),
            Edge("conv", "dw", DEPTHWISE.n_inputs),
            Edge("dw", "fc", LINEAR.n_inputs),
        ),
        ("fc",),
        Origin("test", "test"),
    )


def profile(*spiking: str) -> ActivityProfile:
    return ActivityProfile(
        {
            layer.name: activity_of(layer, spikes=0.2 if layer.name in spiking else None)
            for layer in (CONV, DEPTHWISE, LINEAR)
        },
        n_samples=4,
        origin="test",
    )
