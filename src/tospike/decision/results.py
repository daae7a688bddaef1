"""From costs, evidence and choices to the records of a :class:`Decision`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from tospike.activity import ActivityProfile
from tospike.decision.breakeven import LayerEnergies, joint_break_even
from tospike.decision.candidates import Candidate, Floor
from tospike.decision.choice import Choice
from tospike.decision.energy import Pricer, energy_by_layer, energy_parts, rate_over
from tospike.decision.pareto import pareto_front
from tospike.decision.record import ImplementationResult, LayerResult
from tospike.decision.uncertainty import JointSamples
from tospike.network import Network
from tospike.pricing import Cost
from tospike.sources import bibliography


def implementation_results(
    pricer: Pricer,
    candidates: Sequence[Candidate],
    costs: Mapping[str, Cost],
    joint: JointSamples,
    choice: Choice,
    floor: Floor,
    model: str,
) -> tuple[ImplementationResult, ...]:
    """One record per candidate, in the given order, with the Pareto front marked."""
    network = pricer.network
    found = []
    for item in candidates:
        interval = joint.interval(item.name)
        design = item.design
        technology = costs[item.name].technology
        traffic = (
            sum(one.weight_bytes_per_step for one in item.delta),
            sum(one.dense_weight_bytes_per_step for one in item.delta),
        )
        found.append(
            ImplementationResult(
                name=item.name,
                mode=item.mode,
                energy_model=energy_model(pricer, item, model),
                energy_J=interval.nominal,
                energy_low_J=interval.low,
                energy_high_J=interval.high,
                accuracy=item.accuracy,
                timesteps=item.timesteps,
                spikes_per_synapse=rate_over(network, design.activity, design.spiking),
                activation_bits=item.activation_bits,
                evidence=item.evidence,
                parts=energy_parts(costs[item.name]),
                partition=dict(design.modes),
                reference=item.name == choice.reference.name,
                notes=item.notes,
                agreement=item.agreement,
                meets_floor=floor.met_by(item),
                p_cheaper=(
                    None
                    if item.name == choice.reference.name
                    else joint.p_cheaper(item.name, choice.reference.name)
                ),
                technology="" if technology == pricer.technology.name else technology,
                snr_db=item.snr_db,
                delta=item.delta,
                weight_bytes_per_step=traffic[0] if item.delta else None,
                dense_weight_bytes_per_step=traffic[1] if item.delta else None,
                calibration=item.calibration,
            )
        )
    by_snr = floor.snr_db is not None
    front = pareto_front(
        [(item.energy_J, item.snr_db if by_snr else item.accuracy) for item in found]
    )
    return tuple(replace(item, on_pareto_front=on) for item, on in zip(found, front, strict=True))


def energy_model(pricer: Pricer, candidate: Candidate, model: str) -> str:
    """Keys of the equations that count a candidate: "ann_eyeriss_v1 + snn_if_inst"."""
    modes = set(candidate.design.modes.values())
    keys = [candidate.design.ann_model or model] if "ann" in modes else []
    if "snn" in modes:
        keys.append(candidate.design.snn_model or pricer.snn_model)
    if "delta" in modes:
        keys.append("delta_liu")
    return " + ".join(keys)


@dataclass(frozen=True)
class LayerFacts:
    """What the layer records are made of.

    ``energies`` break-even energies by layer; ``eligibility`` layer -> "" or why not;
    ``snn`` the SNN whose rates are shown; ``costs`` of the candidates by name.
    """

    network: Network
    activity: ActivityProfile
    energies: Mapping[str, LayerEnergies]
    eligibility: Mapping[str, str]
    choice: Choice
    costs: Mapping[str, Cost]
    model: str
    dense_layers: Mapping[str, str] = field(default_factory=dict)


def layer_results(facts: LayerFacts) -> tuple[LayerResult, ...]:
    """One record per layer with synapses, in order of execution."""
    snn = facts.choice.snn
    as_ann = energy_by_layer(facts.costs[facts.choice.reference.name])
    as_snn = energy_by_layer(facts.costs[snn.name]) if snn is not None else {}
    spiking = set(snn.design.spiking) if snn is not None else set()
    delta = facts.choice.delta
    as_delta = energy_by_layer(facts.costs[delta.name]) if delta is not None else {}
    found = []
    for layer in facts.network.synaptic_layers:
        name = layer.name
        measured = facts.activity[name]
        energies = facts.energies.get(name)
        by_model = (
            {} if energies is None else {key: energies.break_even(key) for key in energies.ann}
        )
        even = by_model.get(facts.model, 0.0)
        rate = None
        if snn is not None and name in spiking:
            rate = snn.design.activity[name].spikes_per_synapse
        reason = facts.eligibility.get(name, "it was not found in the executed graph")
        found.append(
            LayerResult(
                name=name,
                kind=layer.kind,
                n_synapses=layer.n_synapses,
                n_neurons=layer.n_neurons,
                n_weights=layer.n_weights,
                zero_fraction=measured.zero_fraction,
                synaptic_operations=measured.synaptic_operations,
                break_even_spikes_per_synapse=even,
                break_even_by_model=by_model,
                spikes_per_synapse=rate,
                distance=distance(rate, even),
                mode=str(facts.choice.winner.design.modes.get(name, "ann")),
                eligible=not reason,
                why_not=reason,
                energy_ann_J=as_ann.get(name),
                energy_snn_J=as_snn.get(name) if name in spiking else None,
                temporal_sparsity={
                    f"{theta:g}": value for theta, value in measured.temporal_sparsity.items()
                },
                energy_delta_J=(
                    as_delta.get(name)
                    if delta is not None and delta.design.modes.get(name) == "delta"
                    else None
                ),
                why_no_delta=facts.dense_layers.get(name, ""),
                input_shape=layer.input_shape,
                output_shape=layer.output_shape,
            )
        )
    return tuple(found)


def distance(rate: float | None, break_even: float | None) -> float | None:
    """rate / break-even; None where one is missing, infinite where break-even is 0."""
    if rate is None or break_even is None:
        return None
    if break_even == 0:
        return float("inf")
    return rate / break_even


@dataclass(frozen=True, slots=True)
class NetworkBreakEven:
    """Break-even of all layers that can spike together, and what the SNN shows there."""

    by_model: dict[str, float]
    reference: float | None
    rate: float | None
    distance: float | None


def network_break_even(facts: LayerFacts) -> NetworkBreakEven:
    """One rate for the spiking layers of the SNN (or all that can spike where none was run)."""
    snn = facts.choice.snn
    layers: Iterable[str] = (
        snn.design.spiking
        if snn is not None
        else [name for name, reason in facts.eligibility.items() if not reason]
    )
    layers = tuple(layers)
    models = next((tuple(item.ann) for item in facts.energies.values()), ())
    by_model = {}
    for key in models:
        value = joint_break_even(facts.energies, layers, key)
        if value is not None:
            by_model[key] = value
    rate = rate_over(facts.network, snn.design.activity, layers) if snn is not None else None
    even = by_model.get(facts.model)
    return NetworkBreakEven(by_model, even, rate, distance(rate, even))


def sources_of(keys: Iterable[str]) -> tuple[dict[str, Any], ...]:
    """Bibliography of exactly these keys, each once."""
    return tuple(
        {"key": source.key, "text": source.text, "verified": source.verified}
        for source in bibliography(list(keys))
    )
