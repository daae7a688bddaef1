"""The claim under each published model, and under its own formula."""

from __future__ import annotations

from collections.abc import Mapping

from tospike.actions import combine
from tospike.activity import ActivityProfile, LayerActivity
from tospike.checking.facts import Facts, layer_spikes
from tospike.checking.formulas import dense_ann, recognise_snn, right_energy
from tospike.checking.record import ModelResult, Own
from tospike.equations import EquationOptions, model_of
from tospike.equations.dampfhoffer_2022 import ZERO_FRACTION
from tospike.equations.published import PUBLISHED, PublishedModel
from tospike.errors import TospikeError
from tospike.implementation import Implementation, Mode
from tospike.network import Layer
from tospike.pricing import price
from tospike.technology import load
from tospike.units import si

#: widths where the claim gives none: what the models with memory were written for
_BITS = 8
_COMPUTE_ONLY = "compute_only"


def recompute(facts: Facts) -> tuple[ModelResult, ...]:
    """ANN and SNN energy per inference under every model of :data:`PUBLISHED`."""
    return tuple(_one(facts, model) for model in PUBLISHED.values())


def assumptions(facts: Facts) -> tuple[str, ...]:
    """What the recomputation had to assume, one sentence each."""
    form = facts.claim.form
    found = list(facts.shape.assumptions)
    if form.ann.zero_fraction is None:
        found.append(
            f"the zero fraction of the ANN is not stated: {ZERO_FRACTION.value:g} is assumed where "
            "a model uses it (Dampfhoffer 2022, III-A)"
        )
    if None in (form.snn.weight_bits, form.ann.weight_bits):
        found.append(
            f"widths that are not stated are taken as {_BITS} bit; the compute-only model has 32"
        )
    if form.snn.input is None:
        found.append("the input coding is not stated: every layer is taken to receive spikes")
    if facts.claim.form.network.residual == "sew_add":
        found.append("the published models count sums of spikes as spikes: one AC each")
    return tuple(found)


def _one(facts: Facts, model: PublishedModel) -> ModelResult:
    memory = "memory" not in model.leaves_out
    reason = _missing(facts, model)
    if not reason:
        try:
            ann = _energy(facts, model, "ann")
            snn = _energy(facts, model, "snn")
        except TospikeError as error:
            reason = f"{error.asked}: {error.received or '; '.join(error.reasons)}"
        else:
            return ModelResult(
                model.key, model.title, ann, snn, memory, model.leaves_out, sources=(model.paper,)
            )
    return ModelResult(
        model.key, model.title, None, None, memory, model.leaves_out,
        f"not recomputed: {reason}", (model.paper,),
    )  # fmt: skip


#: equations that need neither time steps, nor neurons and parameters
_SYNAPSES_ONLY = {"ann_naive", "ann_compute_only", "snn_if_inst", "snn_compute_only"}


def _missing(facts: Facts, model: PublishedModel) -> str:
    """What a model would need and the claim does not give; empty if nothing."""
    simple = {model.ann, model.snn} <= _SYNAPSES_ONLY
    needs = []
    if facts.shape.network is None:
        needs.append("the MACs of the network")
    if facts.spikes is None:
        needs.append("spikes per synapse, or firing rate and T, or the SNN operations")
    if facts.steps is None and not simple:
        needs.append("the time steps T")
    if not facts.shape.neurons and not simple:
        needs.append("the number of neurons")
    if not facts.shape.parameters and not simple:
        needs.append("the number of parameters")
    return "needs " + ", ".join(needs) if needs else ""


def _energy(facts: Facts, model: PublishedModel, side: Mode) -> float:
    network = facts.shape.network
    if network is None:  # pragma: no cover - refused by _missing
        raise ValueError("no network")
    profile, modes = _activity(facts, side)
    implementation = _implementation(facts, model, side)
    keys = {"ann": model.ann, "snn": model.snn}
    # Layer by layer: the published models know no border between analog and spiking layers.
    counts = combine(
        model_of(keys[modes[layer.name]]).count_layer(
            layer, profile[layer.name], implementation, EquationOptions(bias="never")
        )
        for layer in network.synaptic_layers
        if layer.n_synapses
    )
    return float(price(counts, load(model.technology)).energy)


def _implementation(facts: Facts, model: PublishedModel, side: Mode) -> Implementation:
    form = facts.claim.form
    if model.key == _COMPUTE_ONLY:  # the convention is one of 32-bit floating point
        weight = value = state = 32
    elif side == "ann":
        weight = form.ann.weight_bits or _BITS
        value = state = form.ann.activation_bits or weight
    else:
        weight = value = form.snn.weight_bits or _BITS
        state = form.snn.state_bits or weight
    return Implementation(
        mode=side,
        neuron={"if": "if_inst", "lif": "lif_inst"}.get(
            form.snn.neuron or "if", form.snn.neuron or "if_inst"
        ),
        n_timesteps=facts.steps or 1,
        weight_bits=weight,
        activation_bits=value,
        state_bits=state,
    )


def _activity(facts: Facts, side: Mode) -> tuple[ActivityProfile, Mapping[str, Mode]]:
    network, form = facts.shape.network, facts.claim.form
    if network is None:  # pragma: no cover - refused by _missing
        raise ValueError("no network")
    zeros = form.ann.zero_fraction if form.ann.zero_fraction is not None else ZERO_FRACTION.value
    by_layer = layer_spikes(facts.claim, facts.shape, facts.steps)
    layers: dict[str, LayerActivity] = {}
    modes: dict[str, Mode] = {}
    for layer in network.synaptic_layers:
        first = layer.name in facts.shape.first
        if side == "snn" and not (first and facts.direct):
            received = by_layer.get(layer.name, facts.spikes or 0.0)
            layers[layer.name] = _spiking(layer, received, facts.steps or 1)
            modes[layer.name] = "snn"
        else:
            layers[layer.name] = _analog(layer, 0.0 if first else zeros)
            modes[layer.name] = "ann"
    origin = f"the claim {facts.claim.name}"
    return ActivityProfile(layers, n_samples=0, origin=origin, measured=False), modes


def _spiking(layer: Layer, spikes: float, steps: int) -> LayerActivity:
    return LayerActivity(
        signal="spike",
        n_samples=0,
        n_timesteps=steps,
        zero_fraction=max(0.0, 1.0 - spikes / steps),
        synaptic_operations=spikes * layer.n_synapses,
        spikes_per_synapse=spikes,
        spikes_per_neuron=spikes,
    )


def _analog(layer: Layer, zeros: float) -> LayerActivity:
    return LayerActivity(
        signal="analog",
        n_samples=0,
        n_timesteps=1,
        zero_fraction=zeros,
        synaptic_operations=(1.0 - zeros) * layer.n_synapses,
    )


def own_formula(facts: Facts) -> tuple[Own, ...]:
    """Every printed result beside the claim's own formula."""
    claim = facts.claim
    formula = claim.form.accounting.formula
    if formula is not None and formula != _COMPUTE_ONLY:
        result = next(item for item in facts.models if item.key == formula)
        return _energies(facts, result.ann, result.snn, result.title, result.title)
    rows = []
    printed, expected = claim.snn_operations, facts.expected_operations
    if printed is not None and _activity_given(facts) and facts.spikes is not None:
        text = f"{facts.spikes:.4g} spikes per synapse x {si(facts.spiking_macs or 0, 'MAC', 4)}"
        if expected is not None:
            rows.append(Own("SNN operations", "", printed.value, expected, text))
    if claim.form.accounting.memory == "included" and recognise_snn(facts) is None:
        return (*rows, *_energies(facts, None, None, _UNSTATED, _UNSTATED))
    ann = _own_ann(facts)
    ann_text = (
        ""
        if ann is None
        else f"{si(facts.ann_macs or 0, 'MAC', 4)} x {facts.mac * 1e12:.4g} pJ{_skipped(facts)}"
    )
    found = recognise_snn(facts)
    snn: float | None
    if found is not None:
        snn, text = found.energy, found.text
    else:
        snn = right_energy(facts, facts.operations)
        text = "" if snn is None else (
            f"{si(facts.operations or 0, 'SOP', 4)} x {facts.ac * 1e12:.4g} pJ"
            + (" + analog first layer in MACs" if facts.direct and facts.shape.first_macs else "")
        )  # fmt: skip
    return (*rows, *_energies(facts, ann, snn, ann_text, text))


_UNSTATED = "the claim states no formula that counts its memory accesses"


def _activity_given(facts: Facts) -> bool:
    """True if spikes are stated, and not only implied by the printed operations."""
    snn = facts.claim.form.snn
    return (
        snn.firing_rate is not None
        or snn.spikes_per_synapse is not None
        or bool(snn.layer_firing_rates)
        or any(row.firing_rate is not None for row in facts.claim.form.network.layers)
    )


def _own_ann(facts: Facts) -> float | None:
    """MACs x energy of a MAC; without the zeros where the claim says that they are left out."""
    dense, ann = dense_ann(facts), facts.claim.form.ann
    if dense is not None and ann.zeros_used and ann.zero_fraction is not None:
        return dense * (1 - ann.zero_fraction)
    return dense


def _skipped(facts: Facts) -> str:
    ann = facts.claim.form.ann
    if ann.zeros_used and ann.zero_fraction is not None:
        return f" x (1 - {ann.zero_fraction:g})"
    return ""


def _energies(
    facts: Facts, ann: float | None, snn: float | None, ann_text: str, snn_text: str
) -> tuple[Own, ...]:
    claim = facts.claim
    ratio = ann / snn if ann is not None and snn else None
    rows = [
        Own("ANN energy", "J", claim.ann_energy.value if claim.ann_energy else None, ann, ann_text),
        Own("SNN energy", "J", claim.snn_energy.value if claim.snn_energy else None, snn, snn_text),
        Own("ANN / SNN", "", facts.claimed_ratio, ratio, "ANN energy / SNN energy"),
    ]
    return tuple(row for row in rows if row.printed is not None)
