"""Energy of the spiking networks of the results page under every published model.

One comparison: an ANN (8-bit unless said otherwise) with the zeros that it showed, and an SNN with
the spikes that it showed; both counted and priced as each paper does (tospike.decision.published).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from tospike.activity import ActivityProfile
from tospike.decision.candidates import Candidate
from tospike.decision.energy import Design
from tospike.decision.published import Comparison, published_verdicts
from tospike.equations import EquationOptions, count
from tospike.equations.published import PUBLISHED, PublishedModel
from tospike.implementation import Implementation, Mode
from tospike.network import Network
from tospike.pricing import price

#: draws of the constants of each model
SAMPLES = 1000
_EVENT = "snn_if_inst"


@dataclass(frozen=True)
class Spiking:
    """An SNN to price. ``neuron``: "if_inst", "lif_inst", "if_cont" or "lif_cont", which takes the
    place of IF in the models of Dampfhoffer 2022; ``layers`` whose synapses receive spikes."""

    name: str
    activity: ActivityProfile
    timesteps: int
    layers: tuple[str, ...]
    neuron: str = "if_inst"


@dataclass(frozen=True)
class Analog:
    """An ANN to price."""

    name: str
    activity: ActivityProfile
    weight_bits: int = 8
    activation_bits: int = 8
    state_bits: int = 8


def models(neuron: str = "if_inst") -> tuple[PublishedModel, ...]:
    """The published models, those of IF neurons with this neuron instead."""
    return tuple(
        replace(model, snn=f"snn_{neuron}") if model.snn == _EVENT else model
        for model in PUBLISHED.values()
    )


def _candidate(
    network: Network, name: str, mode: str, activity: ActivityProfile,
    spiking: Iterable[str], implementation: Implementation, timesteps: int | None,
) -> Candidate:  # fmt: skip
    chosen = set(spiking)
    modes: dict[str, Mode] = {
        layer.name: "snn" if layer.name in chosen else "ann" for layer in network.synaptic_layers
    }
    return Candidate(Design(name, mode, modes, activity, implementation), timesteps=timesteps)


def prices(network: Network, ann: Analog, snn: Spiking | None) -> dict[str, dict[str, Any]]:
    """Key of the published model -> energies in joule, ratio with its range, break-even.

    ``ratio`` above 1: the SNN needs less. Without an SNN only the energy of the ANN is there.
    """
    bits = {
        "weight_bits": ann.weight_bits,
        "activation_bits": ann.activation_bits,
        "state_bits": ann.state_bits,
    }
    analog = _candidate(
        network, ann.name, "qnn", ann.activity, (), Implementation("ann", **bits), None
    )
    spiking = None
    if snn is not None:
        made = Implementation("snn", neuron=snn.neuron, n_timesteps=snn.timesteps, **bits)
        spiking = _candidate(
            network, snn.name, "snn", snn.activity, snn.layers, made, snn.timesteps
        )
    comparison = Comparison(
        network=network,
        ann=analog,
        snn=spiking,
        snn_meets=None,
        why_no_snn="",
        able=() if snn is None else snn.layers,
        options=EquationOptions(),
        samples=SAMPLES,
        seed=0,
    )
    chosen = models("if_inst" if snn is None else snn.neuron)
    return {
        one.key: {
            "title": one.title,
            "snn_model": one.snn_model,
            "technology": one.technology,
            "energy_ann_j": _plain(one.energy_ann_J),
            "energy_snn_j": _plain(one.energy_snn_J),
            "ratio": _plain(one.ratio),
            "ratio_low": _plain(one.ratio_low),
            "ratio_high": _plain(one.ratio_high),
            "verdict": one.verdict,
            "why_not": one.why_not,
            "break_even": _plain(one.break_even_spikes_per_synapse),
            "leaves_out": one.leaves_out,
        }
        for one in published_verdicts(comparison, chosen)
    }


def matched_energy(network: Network, activity: ActivityProfile, bits: int) -> float:
    """Joule of a network of so many activation bits in the model of Yan 2026, whose widths are
    those of the twin of an SNN of 2^bits - 1 steps and no words of a memory."""
    model = PUBLISHED["yan"]
    widths = Implementation("ann", n_timesteps=2**bits - 1)
    counts = count(network, activity, widths, equation={"ann": model.ann})
    return float(price(counts, model.technology).energy)


def _plain(value: float | None) -> float | None:
    """JSON has no infinity: None."""
    return None if value is None or not math.isfinite(value) else float(value)


def rate(network: Network, activity: ActivityProfile, layers: Iterable[str]) -> float:
    """Spikes per synapse of these layers together: operations over synapses, all T steps."""
    chosen = [network[name] for name in layers if network[name].n_synapses]
    total = math.fsum(activity[layer.name].synaptic_operations for layer in chosen)
    return total / sum(layer.n_synapses for layer in chosen)


def ratios(priced: Mapping[str, Mapping[str, Any]]) -> dict[str, float]:
    """Model -> ANN energy over SNN energy, of the models that could be applied."""
    return {key: one["ratio"] for key, one in priced.items() if one["ratio"] is not None}
