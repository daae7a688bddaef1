"""The competitors: run where the network can run, modelled where it cannot."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tospike.decision.candidates import (
    TTFS_NEURON,
    Candidate,
    Floor,
    analog_candidate,
    delta_candidates,
    engine_candidate,
    float_candidate,
    floor_of,
    measured_candidates,
    spiking_candidate,
)
from tospike.decision.choice import choose_snn
from tospike.decision.deltas import DeltaField, run_deltas
from tospike.decision.energy import Pricer
from tospike.decision.evidence import Evidence, gather, in_short, none_can_spike, spiking_runs
from tospike.decision.hybrids import (
    delta_modes,
    hybrid_problem,
    pick,
    search_order,
    spiking_layers,
)
from tospike.decision.request import Request
from tospike.decision.samples import Samples
from tospike.decision.structure import structural_eligibility
from tospike.errors import ConversionError
from tospike.implementation import Implementation
from tospike.network import Network

if TYPE_CHECKING:
    from pathlib import Path

    import torch

    from tospike.conversion import ExecutableGraph

#: samples with which the network is traced
_TRACED = 4


@dataclass(frozen=True)
class Field:
    """All competitors, what they rest on, and the texts that came up on the way.

    ``pricer`` holds the conventions that fit the evidence; ``why_no_snn`` is "" where SNNs ran.
    ``dense_layers``: layers that no delta network changes, with their reasons; ``why_no_delta``:
    why no delta network was run.
    """

    pricer: Pricer
    candidates: tuple[Candidate, ...]
    floor: Floor
    eligibility: dict[str, str]
    executed: bool
    why_no_snn: str
    n_scored: int
    labelled: bool
    warnings: tuple[str, ...]
    notes: tuple[str, ...] = ()
    dense_layers: dict[str, str] = field(default_factory=dict)
    why_no_delta: str = ""


def compete(
    request: Request, model: torch.nn.Module | str | Path | None, held: Samples | None
) -> Field:
    """Collect the competitors: executed where the network can run, else modelled."""
    if held is None or model is None:
        why = "no weights and data to run it with were given"
        return _modelled_field(request, None, why, ())
    ran = run_deltas(request, model, held)
    eligibility = structural_eligibility(request.network)
    if not ran.reason and all(eligibility.values()):
        return _temporal_field(request, held, ran, eligibility, none_can_spike(eligibility))
    graph, evidence, why = _run(request, model, held)
    if graph is None or evidence is None or not (ran.reason or evidence.snn):
        why = why or (evidence.why_no_snn if evidence is not None else "")
        if graph is not None:
            eligibility = _eligibility(request.network, graph)
        return _temporal_field(request, held, ran, eligibility, why)
    warnings = [*held.warnings, *_why_no_delta(request, ran)]
    warnings += no_better_than_guessing(held.y, evidence.ann.accuracy)
    if evidence.why_no_snn:
        warnings.append(f"no SNN was run: {evidence.why_no_snn}")
    warnings += [f"{name} stays analog: {why}" for name, why in evidence.refused.items()]
    # calibration adds a current to every neuron, so every spiking layer has a bias
    pricer = request.pricer
    if evidence.snn and pricer.options.bias == "when_present":
        pricer = replace(pricer, options=replace(pricer.options, bias="always"))
        request = replace(request, pricer=pricer)
    candidates = measured_candidates(request.network, request.activity, evidence, request.options)
    if not evidence.qnn:
        candidates.append(_baseline(request))
    floor = floor_of(evidence, request.accuracy_floor, request.options)
    mixed, said = _hybrids(request, evidence, held, candidates, floor)
    candidates += mixed
    if ran.reason:
        candidates += _deltas(request, candidates)
    else:
        names = {item.name for item in candidates}
        candidates += [item for item in ran.candidates if item.name not in names]
    return Field(
        request.pricer,
        tuple(candidates),
        floor,
        {**_eligibility(request.network, graph), **evidence.refused},
        True,
        evidence.why_no_snn,
        len(held.x),
        held.y is not None,
        (*warnings, *said, *ran.warnings),
        (*graph.notes, *ran.notes),
        dict(ran.why_not or {}),
        ran.reason if _recurrent(request.network) else "",
    )


def _recurrent(network: Network) -> bool:
    return any(layer.kind == "rnn_input" for layer in network.synaptic_layers)


def _why_no_delta(request: Request, ran: DeltaField) -> list[str]:
    """A warning where a recurrent network could not be run as a delta network."""
    if not ran.reason or not _recurrent(request.network):
        return []
    return [f"no delta network was run, only modelled: {ran.reason}"]


def _temporal_field(
    request: Request, held: Samples, ran: DeltaField, eligibility: dict[str, str], why: str
) -> Field:
    """A network that cannot spike (``why``): with the delta networks that ran, else modelled."""
    if ran.reason:
        warning = f"the network was not run in other modes, the ANN is modelled only: {why}"
        warnings = (warning, *_why_no_delta(request, ran))
        reason = ran.reason if _recurrent(request.network) else ""
        return replace(_modelled_field(request, held, why, warnings), why_no_delta=reason)
    return Field(
        request.pricer,
        ran.candidates,
        ran.floor,
        eligibility,
        True,
        why,
        len(held.x),
        held.y is not None,
        (
            *held.warnings,
            *ran.warnings,
            *no_better_than_guessing(held.y, ran.candidates[0].accuracy),
            f"no SNN was run: {why}",
        ),
        ran.notes,
        dict(ran.why_not or {}),
    )


def no_better_than_guessing(y: NDArray[np.int64] | None, accuracy: float | None) -> list[str]:
    """A warning where always naming the most frequent label would be right as often."""
    if y is None or accuracy is None:
        return []
    share = float(np.bincount(y).max()) / len(y)
    if accuracy > share:
        return []
    return [
        f"the float network is right on {100 * accuracy:.1f} % of the samples, no more than by "
        f"always naming the most frequent label ({100 * share:.1f} %): check labels and "
        "preprocessing"
    ]


def _run(
    request: Request, model: torch.nn.Module | str | Path, held: Samples
) -> tuple[ExecutableGraph | None, Evidence | None, str]:
    """Graph and evidence, or the reason why there are none."""
    from tospike.conversion import executable

    options = request.options
    request.progress("translating the network", 0, 1)
    try:
        graph = executable(model, held.x[:_TRACED])
        evidence = gather(
            graph,
            held,
            timesteps=request.timesteps,
            baseline_bits=options.baseline_bits,
            weight_bits=options.weight_bits,
            accuracy_floor=request.accuracy_floor,
            first_spikes=options.first_spikes
            and request.pricer.prices_neuron(TTFS_NEURON, request.activity),
            progress=request.progress,
        )
    except ConversionError as error:
        return None, None, in_short(error)
    return graph, evidence, ""


def _eligibility(network: Network, graph: ExecutableGraph) -> dict[str, str]:
    """Of the executed graph; layers that it does not know by name get the reason of their kind."""
    found = dict(graph.eligibility)
    for name, reason in structural_eligibility(network).items():
        found.setdefault(name, reason or "it was not found in the executed graph")
    return found


def _baseline(request: Request) -> Candidate:
    return analog_candidate(
        request.network, request.activity, request.options.baseline_bits, request.options, None
    )


def _modelled_field(
    request: Request, held: Samples | None, why: str, warnings: tuple[str, ...]
) -> Field:
    """Without runs: the ANN and its quantised form on the given activity, and delta networks."""
    measured = request.activity.measured
    baseline = _baseline(request)
    floating = replace(
        float_candidate(request.network, request.activity, None),
        evidence="measured" if measured else "modelled",
    )
    return Field(
        request.pricer,
        (floating, baseline, *_deltas(request, [baseline])),
        Floor(),
        structural_eligibility(request.network),
        False,
        why,
        len(held.x) if held is not None else request.activity.n_samples,
        held is not None and held.y is not None,
        warnings,
    )


def _hybrids(
    request: Request,
    evidence: Evidence,
    held: Samples,
    candidates: Sequence[Candidate],
    floor: Floor,
) -> tuple[list[Candidate], list[str]]:
    """The best few partitions, executed and named; and what is to be said of the search."""
    rates = [item for item in candidates if item.mode == "snn" and not item.design.snn_model]
    snns = {item.timesteps: item for item in rates}
    if not snns or not request.hybrids or not evidence.calibrations:
        return [], []
    analog = next(
        item
        for item in candidates
        if item.mode == "qnn" and item.activation_bits == request.options.baseline_bits
    )
    model = request.reference_model
    costs = {item.name: request.pricer.cost(item.design, model) for item in candidates}
    start, _ = choose_snn(rates, costs, floor, request.options)
    steps = search_order(
        request.timesteps,
        (start.timesteps if start is not None else None) or max(request.timesteps),
        request.options.hybrid_timesteps,
    )
    problems = [hybrid_problem(request.pricer, model, analog, snns[step]) for step in steps]
    chosen = pick(problems, request.hybrids)
    if not chosen:
        return [], ["no hybrid exists: one layer or none can receive spikes"]
    pure = {item.timesteps for item in problems if not item.best().partition.spiking}
    found: list[Candidate] = []
    said = []
    for number, (step, solution) in enumerate(chosen):
        request.progress(f"running hybrid {number + 1} of {len(chosen)}", number, len(chosen))
        layers = spiking_layers(solution)
        try:
            run = spiking_runs(
                evidence.graph,
                {step: evidence.calibrations[step]},
                held,
                spiking=layers,
                weight_bits=request.options.weight_bits,
                float_classes=evidence.ann.classes,
            )[step]
        except ConversionError as error:
            said.append(f"a hybrid at T={step} could not be run: {in_short(error)}")
            continue
        found.append(
            spiking_candidate(
                request.network,
                request.activity,
                run,
                request.options,
                name=f"hybrid {len(found) + 1}, T={step}, {len(layers)} spiking",
                mode="hybrid",
                notes=_hybrid_notes(step in pure, request.options.baseline_bits),
            )
        )
    return found, said


def _hybrid_notes(all_analog: bool, bits: int) -> tuple[str, ...]:
    found = (
        "at this T the modelled optimum leaves every layer analog; this is the best partition in "
        "which some layers spike"
        if all_analog
        else "the modelled optimum of all partitions at this T, or next to it"
    )
    return found, f"analog layers run in float32 and are priced at {bits} bit"


def _deltas(request: Request, candidates: Sequence[Candidate]) -> list[Candidate]:
    """Delta networks at the thresholds at which the temporal sparsity was measured.

    With them comes the baseline on their own hardware.
    """
    options = request.options
    found = {}
    for theta in sorted(options.delta_thresholds):
        modes = delta_modes(
            request.pricer,
            request.reference_model,
            request.activity,
            Implementation(
                "delta",
                delta_threshold=theta,
                weight_bits=options.weight_bits,
                activation_bits=options.baseline_bits,
                state_bits=options.state_bits,
            ),
        )
        if modes is not None:
            found[theta] = modes
    if not found:
        return []
    baseline = next(
        item
        for item in candidates
        if item.mode == "qnn" and item.activation_bits == options.baseline_bits
    )
    deltas = delta_candidates(request.network, request.activity, options, found)
    return [engine_candidate(baseline), *deltas]
