"""From the competitors to the verdict: energies, probabilities, break-even, words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from tospike.decision.breakeven import LayerEnergies, network_energies
from tospike.decision.candidates import Candidate
from tospike.decision.choice import Choice, choose, luck, probability_by_model
from tospike.decision.compete import Field
from tospike.decision.published import (
    Comparison,
    overall,
    published_verdicts,
    summary,
    with_neuron,
)
from tospike.decision.record import Decision, ImplementationResult, PublishedVerdict, Sensitivity
from tospike.decision.request import Request
from tospike.decision.results import (
    LayerFacts,
    NetworkBreakEven,
    implementation_results,
    layer_results,
    network_break_even,
    sources_of,
)
from tospike.decision.uncertainty import JointSamples
from tospike.decision.verdict import Facts, assumed_sentence, sentence
from tospike.equations import MODELS
from tospike.implementation import Implementation
from tospike.pricing import Cost

#: the methods by which networks are converted (see docs/conversion.md)
SNN_SOURCES = ["rueckauer_2017", "bu_2022", "li_2021"]
TTFS_SOURCES = ["rueckauer_liu_2018", "park_2020"]
QNN_SOURCES = ["nagel_2019"]

_JOINT = (
    "energy ranges and probabilities: every constant is drawn once per sample for all "
    "implementations together, log-triangular between the ends of its range with the mode at its "
    "nominal value, constants independent of each other; the spread of the equations is shown by "
    "the probability under every ANN model"
)
_PRICES = (
    "the float32 network is priced with 32-bit floating-point operations and 32-bit words, "
    "quantised networks and SNNs with integer operations; the verdict compares SNNs with the "
    "quantised networks (8 bit, and the bits that match T) wherever these keep the floor"
)


def weigh(request: Request, field: Field) -> Decision:
    """Price the competitors, choose, and say it."""
    model, pricer = request.reference_model, field.pricer
    request.progress("pricing the implementations", 0, 1)
    costs = {item.name: pricer.cost(item.design, model) for item in field.candidates}
    joint = JointSamples(costs, samples=request.samples, seed=request.seed)
    choice = choose(field.candidates, costs, joint, field.floor, request.options)
    models = pricer.ann_models(request.activity)
    probabilities = _probabilities(request, field, choice, models, joint)
    results = implementation_results(
        pricer, field.candidates, costs, joint, choice, field.floor, model
    )
    facts = LayerFacts(
        request.network,
        request.activity,
        _break_even_energies(request, field, choice, models),
        field.eligibility,
        choice,
        costs,
        model,
        field.dense_layers,
    )
    even, used = network_break_even(facts), list(costs.values())
    comparison = _comparison(request, field, choice)
    published = published_verdicts(comparison, with_neuron(request.published, choice.snn))
    papers = summary(comparison, published)
    return Decision(
        verdict=_words(request, field, choice, results, even, probabilities),
        winner="" if _undecided(field, choice) else choice.winner.name,
        p_snn_wins=probabilities.get(model),
        p_snn_wins_by_model=probabilities,
        implementations=results,
        layers=layer_results(facts),
        partition=dict(choice.winner.design.modes),
        network=_network(request),
        data=_data(request, field),
        technology=_technology(request),
        reference_model=model,
        sensitivities=_sensitivities(joint, choice),
        assumptions=_assumptions(request, field, used),
        out_of_range=tuple(dict.fromkeys(text for cost in used for text in cost.out_of_range)),
        warnings=tuple(dict.fromkeys((*field.warnings, *_cautions(field, choice, costs)))),
        sources=sources_of(_source_keys(field, used, models, published)),
        accuracy_floor=field.floor.accuracy,
        agreement_floor=field.floor.agreement,
        break_even_spikes_per_synapse=even.reference,
        break_even_by_model=even.by_model,
        spikes_per_synapse=even.rate,
        distance=even.distance,
        challenger=choice.challenger.name if choice.challenger is not None else "",
        published=published,
        published_summary=papers,
        p_snn_wins_published=overall(papers),
        snr_floor_db=field.floor.snr_db,
        why_no_delta=field.why_no_delta,
    )


def _probabilities(
    request: Request,
    field: Field,
    choice: Choice,
    models: tuple[str, ...],
    joint: JointSamples,
) -> dict[str, float]:
    """P(SNN wins) against every ANN model."""
    found = probability_by_model(
        field.pricer,
        models,
        field.candidates,
        choice,
        field.floor,
        request.options,
        samples=request.samples,
        seed=request.seed,
    )
    if request.reference_model in found and choice.snn is not None and choice.snn_meets:
        # the same draws as in the list of implementations, so that both print the same number
        found[request.reference_model] = joint.p_cheaper(choice.snn.name, choice.reference.name)
    return found


def _comparison(request: Request, field: Field, choice: Choice) -> Comparison:
    """What the published models are asked about: the usual quantised network and the SNN."""
    baseline = next(
        item
        for item in field.candidates
        if item.mode == "qnn" and item.activation_bits == request.options.baseline_bits
    )
    return Comparison(
        network=request.network,
        ann=baseline,
        snn=choice.snn,
        snn_meets=None if choice.snn is None else field.floor.met_by(choice.snn),
        why_no_snn=field.why_no_snn,
        able=tuple(
            layer.name
            for layer in request.network.synaptic_layers
            if not field.eligibility.get(layer.name, "unknown")
        ),
        options=field.pricer.options,
        samples=request.samples,
        seed=request.seed,
    )


def _break_even_energies(
    request: Request, field: Field, choice: Choice, models: tuple[str, ...]
) -> dict[str, LayerEnergies]:
    """Break-even against the reference's own widths and zeros, at the T of the SNN.

    Where no SNN was run T is not known, so that updates per time step are left out.
    """
    reference, options, pricer = choice.reference, request.options, field.pricer
    widths = reference.design.implementation
    if reference.design.floating:
        widths = Implementation(
            "qnn",
            weight_bits=options.weight_bits,
            activation_bits=options.baseline_bits,
            state_bits=options.state_bits,
        )
    steps, neuron = 1, options.neuron
    if choice.snn is not None:
        design = choice.snn.design
        steps, neuron = choice.snn.timesteps or 1, design.implementation.neuron
        pricer = replace(pricer, snn_model=design.snn_model or pricer.snn_model)
    elif pricer.options.bias == "when_present":
        pricer = replace(pricer, options=replace(pricer.options, bias="never"))
    implementation = replace(widths, mode="snn", neuron=neuron, n_timesteps=steps)
    return network_energies(pricer, reference.design.activity, implementation, models)


def _sensitivities(joint: JointSamples, choice: Choice) -> tuple[Sensitivity, ...]:
    """Of the challenger against the reference.

    None without a challenger that keeps the floor: then accuracy decides, and no price.
    """
    if choice.challenger is None:
        return ()
    return joint.sensitivities(choice.challenger.name, choice.reference.name)


def _undecided(field: Field, choice: Choice) -> bool:
    """Nothing but ANNs could be priced although some layers can spike."""
    can_spike = any(not reason for reason in field.eligibility.values())
    return not field.executed and can_spike and choice.winner.mode != "delta"


def _cautions(field: Field, choice: Choice, costs: Mapping[str, Cost]) -> list[str]:
    """What weakens the verdict, seen from its outcome."""
    found = []
    if field.executed and choice.reference.design.floating:
        found.append(
            f"no quantised network keeps {field.floor.words}: the reference is the float32 "
            "network, and an SNN with narrow words is compared with 32-bit words"
        )
    if choice.winner.evidence == "modelled" and choice.winner.mode == "delta":
        found.append("the accuracy of the delta network was not measured")
    compared = dict.fromkeys((choice.winner.name, choice.reference.name))
    by_name = {item.name: item for item in field.candidates}
    said = (
        luck(by_name[name], field.candidates, costs, field.floor, field.n_scored)
        for name in compared
    )
    return [*found, *(text for text in said if text)]


def _words(
    request: Request,
    field: Field,
    choice: Choice,
    results: tuple[ImplementationResult, ...],
    even: NetworkBreakEven,
    probabilities: Mapping[str, float],
) -> str:
    by_name = {item.name: item for item in results}

    def record(candidate: Candidate | None) -> ImplementationResult | None:
        return by_name[candidate.name] if candidate is not None else None

    if not field.executed and choice.winner.mode != "delta":
        able = sum(1 for reason in field.eligibility.values() if not reason)
        return assumed_sentence(
            even.reference,
            able,
            len(field.eligibility),
            MODELS[request.reference_model].title,
            why=field.why_no_snn,
        )
    return sentence(
        Facts(
            winner=by_name[choice.winner.name],
            reference=by_name[choice.reference.name],
            snn=record(choice.snn),
            snn_meets=choice.snn_meets,
            hybrid=record(choice.hybrid),
            delta=record(choice.delta),
            floor=field.floor.words,
            kept=field.floor.kept,
            floor_known=choice.snn is None or field.floor.met_by(choice.snn) is not None,
            break_even=even.reference,
            spikes=even.rate,
            why_no_snn=field.why_no_snn,
            p_by_model=probabilities,
            against=_against(request, choice),
            baseline=next(
                (
                    item
                    for item in results
                    if item.mode == "qnn" and item.activation_bits == request.options.baseline_bits
                ),
                None,
            ),
        )
    )


def _against(request: Request, choice: Choice) -> str:
    """What the break-even rates are against: the equation and its activation bits."""
    bits = choice.reference.activation_bits
    if choice.reference.design.floating or bits is None:
        bits = request.options.baseline_bits
    return f"{MODELS[request.reference_model].title} at {bits} bit"


def _network(request: Request) -> dict[str, object]:
    network = request.network
    return {
        "name": network.origin.name,
        "importer": network.origin.importer,
        "sha256": network.origin.sha256,
        "n_synapses": network.n_synapses,
        "n_neurons": network.n_neurons,
        "n_weights": network.n_weights,
    }


def _technology(request: Request) -> dict[str, object]:
    technology = request.pricer.technology
    return {
        "name": technology.name,
        "title": technology.title,
        "node_nm": technology.node_nm,
    }


def _data(request: Request, field: Field) -> dict[str, object]:
    return {
        "origin": request.activity.origin,
        "n_samples": field.n_scored,
        "labelled": field.labelled,
    }


def _assumptions(request: Request, field: Field, used: list[Cost]) -> tuple[str, ...]:
    """Ours first, then those of the equations and the technology, each once."""
    own = [_PRICES, _JOINT]
    if field.floor.accuracy is not None and request.accuracy_floor is None:
        own.append(
            "the accuracy floor: the float network may be right on "
            f"{100 * request.options.accuracy_drop:g} % more of the scored samples (on one of them "
            "more in any case)"
        )
    if field.floor.agreement is not None:
        own.append(
            "there are no labels: an implementation keeps the floor if it gives the class of the "
            f"float network on {100 * field.floor.agreement:.3g} % of the samples"
        )
    if field.floor.snr_db is not None:
        own.append(
            "the output is no class score: an implementation keeps the floor if the power of its "
            f"difference from the float network's output is {field.floor.snr_db:g} dB below that "
            "output's power"
        )
    if all(item.mode != "snn" for item in field.candidates):
        own.append(
            "no SNN was run: break-even rates leave out updates per time step (bias, leak), which "
            "depend on T and lower them"
        )
    if any(item.mode == "hybrid" for item in field.candidates):
        own.append(
            "hybrids: spiking layers and their rates are executed; analog layers of a hybrid and "
            "the first layer of an SNN run in float32 and are priced at "
            f"{request.options.baseline_bits} bit"
        )
    own += [*field.notes, *request.activity.notes]
    texts = [*own, *(text for cost in used for text in cost.assumptions)]
    return tuple(dict.fromkeys(texts))


def _source_keys(
    field: Field,
    used: list[Cost],
    models: tuple[str, ...],
    published: tuple[PublishedVerdict, ...],
) -> list[str]:
    """Of the prices, the equations, the conversions that were run, and the published models."""
    keys = [key for cost in used for key in cost.sources]
    keys += [MODELS[model].paper for model in models]
    run = {item.mode for item in field.candidates if field.executed}
    if run & {"snn", "hybrid"}:
        keys += SNN_SOURCES
    if any(item.design.snn_model for item in field.candidates):
        keys += TTFS_SOURCES
    if "qnn" in run and any(
        item.mode == "qnn" and item.evidence == "measured" for item in field.candidates
    ):
        keys += QNN_SOURCES
    keys += [key for item in published for key in item.sources]
    return list(dict.fromkeys(keys))
