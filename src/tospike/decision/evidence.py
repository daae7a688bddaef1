"""What was measured by running the network: as float ANN, quantised ANN, and SNN for every T."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tospike.activity import ActivityProfile
from tospike.decision.samples import Samples
from tospike.errors import ConversionError, OptionError

if TYPE_CHECKING:
    from tospike.conversion import Calibration, ExecutableGraph
    from tospike.conversion.result import RunResult

#: (what is being done, steps done, steps in all)
Progress = Callable[[str, int, int], None]


def silent(what: str, done: int, total: int) -> None:
    """A progress callback that says nothing."""


@dataclass(frozen=True, slots=True)
class Run:
    """One execution on the scored samples.

    ``accuracy`` is None without labels; ``agreement`` is the share of samples on which the class
    is that of the float network; ``classes`` (N,) the class given to every sample;
    ``calibration`` of an SNN: rule of its thresholds and what was corrected, "mse, weights, T=4".
    """

    accuracy: float | None
    agreement: float | None
    activity: ActivityProfile
    timesteps: int | None = None
    activation_bits: int | None = None
    spiking: tuple[str, ...] = ()
    skip_events: Mapping[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    classes: NDArray[np.int64] | None = None
    calibration: str = ""


@dataclass(frozen=True)
class Evidence:
    """Every run of the network that the decision rests on.

    ``calibrations``: T -> that of its SNNs and hybrids; empty, as ``qnn`` and ``snn`` are, where
    the conversion failed. ``why_no_snn`` says why there is no SNN; ``refused``: eligible layer ->
    why it could not be converted and stays analog. ``ttfs``: T -> run in time-to-first-spike
    coding.
    """

    graph: ExecutableGraph
    calibrations: Mapping[int, Calibration]
    ann: Run
    qnn: Mapping[int, Run]
    snn: Mapping[int, Run]
    why_no_snn: str = ""
    refused: Mapping[str, str] = field(default_factory=dict)
    ttfs: Mapping[int, Run] = field(default_factory=dict)


def gather(
    graph: ExecutableGraph,
    samples: Samples,
    *,
    timesteps: tuple[int, ...],
    baseline_bits: int,
    weight_bits: int,
    accuracy_floor: float | None,
    first_spikes: bool = False,
    progress: Progress = silent,
) -> Evidence:
    """Run the network in every mode on the scored samples.

    ``first_spikes``: in time-to-first-spike coding too, for the T that have a calibration of
    their own.

    The float network runs first: an accuracy floor above its accuracy is an error before the
    long work starts.
    """
    from tospike.conversion import calibrate, matched_bits
    from tospike.conversion.best import best_calibrations

    # without rectified inputs the bits of the activations change nothing
    matched = {matched_bits(step) for step in timesteps} if graph.eligible else set()
    bits = sorted(matched | {baseline_bits})
    total = 3 + len(bits)
    progress("running the float network", 0, total)
    ann = _ann(graph, samples)
    check_floor(accuracy_floor, ann.accuracy)
    progress("calibrating the conversion", 1, total)
    try:
        calibration = calibrate(graph, samples.calibration)
        qnn = {}
        for number, width in enumerate(bits):
            progress(f"running the network with {width}-bit activations", 2 + number, total)
            qnn[width] = _qnn(graph, calibration, samples, width, weight_bits, ann.classes)
    except ConversionError as error:
        return Evidence(graph, {}, ann, {}, {}, in_short(error))
    what = f"running the SNN for T up to {max(timesteps)}"
    progress(what, total - 1, total)

    def say(done: int, of: int) -> None:
        progress(f"{what}: {done} of {of} samples", total - 1, total)

    suited = best_calibrations(graph, calibration, timesteps) if graph.eligible else {}
    snn, refused, why_not = as_snn(graph, suited, samples, weight_bits, say, ann.classes)
    ttfs = {}
    if first_spikes and snn:
        progress("running the SNN of first spikes", total - 1, total)
        layers = frozenset(next(iter(snn.values())).spiking)
        ttfs = first_spike_runs(graph, suited, samples, layers, weight_bits, ann.classes)
    progress("runs complete", total, total)
    return Evidence(graph, suited, ann, qnn, snn, why_not, refused, ttfs)


def as_snn(
    graph: ExecutableGraph,
    calibrations: Mapping[int, Calibration],
    samples: Samples,
    weight_bits: int,
    progress: Callable[[int, int], None],
    float_classes: NDArray[np.int64] | None = None,
) -> tuple[dict[int, Run], dict[str, str], str]:
    """Runs as SNN with as many spiking layers as can be converted.

    Returns the runs, the eligible layers that could not be converted with their reasons, and why
    there are no runs ("" where there are).
    """
    refused: dict[str, str] = {}
    layers = set(graph.eligible)
    while layers:
        try:
            runs = spiking_runs(
                graph,
                calibrations,
                samples,
                spiking=frozenset(layers),
                weight_bits=weight_bits,
                progress=progress,
                float_classes=float_classes,
            )
        except ConversionError as error:
            if error.where not in layers:
                return {}, refused, in_short(error)
            layers.remove(error.where)
            refused[error.where] = f"cannot {error.asked}: {in_short(error)}"
        else:
            return runs, refused, ""
    return {}, refused, none_can_spike(graph.eligibility)


def none_can_spike(eligibility: Mapping[str, str], shown: int = 3) -> str:
    """That no layer can receive spikes, with the reasons; each reason once, with a layer."""
    first: dict[str, str] = {}
    for name, reason in eligibility.items():
        if reason:
            first.setdefault(reason, name)
    said = [f"{name}: {reason}" for reason, name in first.items()]
    more = [f"and {len(said) - shown} more reasons"] if len(said) > shown else []
    listed = "; ".join([*said[:shown], *more])
    return "no layer of this network can receive spikes" + (f" ({listed})" if listed else "")


def in_short(error: ConversionError) -> str:
    """What an error says, on one line: what stood in the way, else what could not be done."""
    first = error.received or f"it was not possible to {error.asked}"
    return "; ".join((first, *error.reasons))


def check_floor(floor: float | None, accuracy: float | None) -> None:
    """Raise :class:`OptionError` for a floor that the float network itself does not reach."""
    if floor is None or (accuracy is not None and floor <= accuracy):
        return
    has = "an output that is no class score" if accuracy is None else f"accuracy {accuracy:.4g}"
    raise OptionError(
        f"keep an accuracy floor of {floor:g}",
        received=f"a float network with {has} on this data",
        allowed="no floor" if accuracy is None else f"a floor of at most {accuracy:.4g}",
        fix="lower the floor, or check labels and preprocessing",
    )


def spiking_runs(
    graph: ExecutableGraph,
    calibrations: Mapping[int, Calibration],
    samples: Samples,
    *,
    spiking: frozenset[str],
    weight_bits: int = 8,
    progress: Callable[[int, int], None] | None = None,
    float_classes: NDArray[np.int64] | None = None,
) -> dict[int, Run]:
    """Run with these spiking layers for each T of ``calibrations``, with that calibration.

    ``progress`` is called with (samples done, samples in all); ``float_classes`` are those of the
    float network on these samples, where it has run.
    """
    from tospike.conversion import run_snn
    from tospike.conversion.best import in_words

    found: dict[int, Run] = {}
    groups = one_calibration(calibrations)
    for number, (steps, calibration) in enumerate(groups):
        results = run_snn(
            graph,
            calibration,
            samples.x,
            samples.y,
            timesteps=steps,
            spiking=spiking,
            weight_bits=weight_bits,
            progress=_of_several(progress, number, len(groups)),
            float_classes=float_classes,
        )
        words, notes = in_words(calibration), kept_notes(graph, calibration, spiking)
        for step, result in results.items():
            run = _run(result, timesteps=step)
            found[step] = replace(run, calibration=words, notes=(*run.notes, *notes))
    return found


def first_spike_runs(
    graph: ExecutableGraph,
    calibrations: Mapping[int, Calibration],
    samples: Samples,
    spiking: frozenset[str],
    weight_bits: int,
    float_classes: NDArray[np.int64] | None,
) -> dict[int, Run]:
    """Run in time-to-first-spike coding for each T above 1 that has a calibration of its own.

    At T = 1 it is the rate code.
    A network trained with QCFS keeps its weights: this coding has no unevenness to mend.
    """
    from tospike.conversion.best import for_first_spikes, in_words
    from tospike.conversion.ttfs import run_ttfs

    found: dict[int, Run] = {}
    for step, calibration in calibrations.items():
        if calibration.timesteps is None or step == 1:
            continue
        suited = for_first_spikes(calibration)
        result = run_ttfs(
            graph,
            suited,
            samples.x,
            samples.y,
            timesteps=(step,),
            spiking=spiking,
            weight_bits=weight_bits,
            float_classes=float_classes,
        )[step]
        run = _run(result, timesteps=step)
        said = (note.partition("; price it")[0] for note in run.notes)
        notes = (*said, *kept_notes(graph, suited, spiking))
        found[step] = replace(run, calibration=in_words(suited), notes=notes)
    return found


def one_calibration(
    calibrations: Mapping[int, Calibration],
) -> list[tuple[tuple[int, ...], Calibration]]:
    """The T that share a calibration, which one run serves."""
    groups: dict[int, list[int]] = {}
    for step, calibration in calibrations.items():
        groups.setdefault(id(calibration), []).append(step)
    return [(tuple(steps), calibrations[steps[0]]) for steps in groups.values()]


def kept_notes(
    graph: ExecutableGraph, calibration: Calibration, spiking: frozenset[str]
) -> tuple[str, ...]:
    """What ``calibration`` left as it is although it moves weights, with the reasons."""
    from tospike.conversion.best import unmoved

    kept = unmoved(graph, calibration, spiking)
    if not kept:
        return ()
    listed = "; ".join(f"{name}: {reason}" for name, reason in kept.items())
    return (f"calibrated with trained weights in {len(kept)} layers, not moved ones ({listed})",)


def _of_several(
    progress: Callable[[int, int], None] | None, number: int, of: int
) -> Callable[[int, int], None] | None:
    """The progress of one of several equal runs, as that of all."""
    if progress is None:
        return None
    return lambda done, total: progress(number * total + done, of * total)


def _ann(graph: ExecutableGraph, samples: Samples) -> Run:
    from tospike.conversion import run_ann

    return _run(run_ann(graph, samples.x, samples.y))


def _qnn(
    graph: ExecutableGraph,
    calibration: Calibration,
    samples: Samples,
    bits: int,
    weight_bits: int,
    float_classes: NDArray[np.int64] | None,
) -> Run:
    from tospike.conversion import run_qnn

    result = run_qnn(
        graph,
        calibration,
        samples.x,
        samples.y,
        activation_bits=bits,
        weight_bits=weight_bits,
        float_classes=float_classes,
    )
    return _run(result, bits=bits)


def _run(result: RunResult, *, timesteps: int | None = None, bits: int | None = None) -> Run:
    return Run(
        result.accuracy,
        result.agreement,
        result.activity,
        timesteps,
        bits,
        result.spiking,
        result.skip_events,
        result.notes,
        result.classes,
    )


def with_missing_layers(activity: ActivityProfile, base: ActivityProfile) -> ActivityProfile:
    """``activity`` of a run, with the layers that it does not see (inside of a recurrent or
    attention block) as they were measured in ``base``."""
    missing = {name: base[name] for name in base if name not in activity}
    if not missing:
        return activity
    return replace(activity, layers={**activity.layers, **missing})
