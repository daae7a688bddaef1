"""Break-even per layer and for all layers that can spike, against every ANN model.

E_SNN(s) = E_0 + s E_1 is linear in the spikes per synapse s: E_1 is the energy at one spike per
synapse, E_0 what is paid in every time step whatever the spikes (leak, bias). The break-even is
(E_ANN - E_0) / E_1, at least 0. Borders are not part of it; the whole network's verdict has them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from tospike.activity import ActivityProfile, LayerActivity
from tospike.decision.energy import Pricer, energy_of
from tospike.equations import MODELS
from tospike.implementation import Implementation
from tospike.network import Layer
from tospike.pricing import price


@dataclass(frozen=True, slots=True)
class LayerEnergies:
    """Joule of one layer: as ANN under each model, as SNN at no spikes and per unit rate."""

    ann: Mapping[str, float]
    snn_fixed: float
    snn_per_rate: float

    def break_even(self, model: str) -> float:
        """Spikes per synapse and inference at which the SNN costs what the ANN costs."""
        return rate_at_equality(self.ann[model], self.snn_fixed, self.snn_per_rate)


def rate_at_equality(ann: float, fixed: float, per_rate: float) -> float:
    """(ann - fixed) / per_rate, at least 0; infinite where spikes cost nothing."""
    if per_rate <= 0:
        return math.inf if ann > fixed else 0.0
    return max(0.0, (ann - fixed) / per_rate)


def layer_energies(
    pricer: Pricer,
    layer: Layer,
    activity: LayerActivity,
    implementation: Implementation,
    models: Iterable[str],
) -> LayerEnergies:
    """The three numbers of one layer; ``activity`` gives the zeros of the ANN."""

    def joule(model: str, fed: LayerActivity) -> float:
        counts = MODELS[model].count_layer(layer, fed, implementation, pricer.options)
        return energy_of(price(counts, pricer.technology, sram_bytes=pricer.sram_bytes))

    def spiking(rate: float) -> float:
        fed = replace(
            activity,
            signal="spike",
            spikes_per_synapse=rate,
            synaptic_operations=rate * layer.n_synapses,
        )
        return joule(pricer.snn_model, fed)

    fixed = spiking(0.0)
    return LayerEnergies(
        {model: joule(model, activity) for model in models}, fixed, spiking(1.0) - fixed
    )


def network_energies(
    pricer: Pricer,
    activity: ActivityProfile,
    implementation: Implementation,
    models: Iterable[str],
) -> dict[str, LayerEnergies]:
    """:func:`layer_energies` of every synaptic layer with operations."""
    models = tuple(models)
    return {
        layer.name: layer_energies(pricer, layer, activity[layer.name], implementation, models)
        for layer in pricer.network.synaptic_layers
        if layer.n_synapses
    }


def joint_break_even(
    energies: Mapping[str, LayerEnergies], layers: Iterable[str], model: str
) -> float | None:
    """One rate for all given layers together at which they draw level; None without layers."""
    chosen = [energies[name] for name in layers if name in energies]
    if not chosen:
        return None
    return rate_at_equality(
        math.fsum(item.ann[model] for item in chosen),
        math.fsum(item.snn_fixed for item in chosen),
        math.fsum(item.snn_per_rate for item in chosen),
    )
