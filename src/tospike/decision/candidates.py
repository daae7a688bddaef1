"""The competitors: every implementation with its evidence, and the floor that it must keep."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from tospike.activity import ActivityProfile
from tospike.decision.energy import Design
from tospike.decision.evidence import Evidence, Run, with_missing_layers
from tospike.decision.options import Options
from tospike.decision.record import DeltaLayerResult
from tospike.equations import default_equation
from tospike.implementation import Implementation, Mode
from tospike.network import Network

#: neuron model of time-to-first-spike coding: a synapse adds to a current that stays (eq. 10 of
#: Dampfhoffer 2022)
TTFS_NEURON = "if_cont"
#: rounding of accuracies, which are quotients of whole numbers
_ROUNDING = 1e-9


@dataclass(frozen=True, slots=True)
class Candidate:
    """A design and what is known of it. ``evidence``: "measured" or "modelled".

    ``snr_db`` of the output against the float network's, where the network was run for it;
    ``delta``: thresholds, sparsity and weight traffic of a delta network that was run;
    ``calibration`` of an SNN or hybrid, see :class:`~tospike.decision.evidence.Run`.
    """

    design: Design
    accuracy: float | None = None
    agreement: float | None = None
    timesteps: int | None = None
    activation_bits: int | None = None
    evidence: str = "measured"
    notes: tuple[str, ...] = ()
    snr_db: float | None = None
    delta: tuple[DeltaLayerResult, ...] = ()
    calibration: str = ""

    @property
    def name(self) -> str:
        """Name of the implementation, unique in a decision."""
        return self.design.name

    @property
    def mode(self) -> str:
        """ann, qnn, snn, hybrid or delta"""
        return self.design.mode


@dataclass(frozen=True, slots=True)
class Floor:
    """What an implementation must keep: an accuracy, without labels an agreement, and where the
    output is no class score a signal-to-noise ratio in dB."""

    accuracy: float | None = None
    agreement: float | None = None
    snr_db: float | None = None

    def value(self, candidate: Candidate) -> float | None:
        """The quantity that the floor is about; None where it is not known."""
        if self.accuracy is not None:
            return candidate.accuracy
        if self.agreement is not None:
            return candidate.agreement
        return candidate.snr_db

    @property
    def least(self) -> float | None:
        """The floor itself, None if there is none."""
        if self.accuracy is not None:
            return self.accuracy
        return self.snr_db if self.agreement is None else self.agreement

    def met_by(self, candidate: Candidate) -> bool | None:
        """None where it is not known."""
        value, least = self.value(candidate), self.least
        return None if value is None or least is None else value >= least - _ROUNDING

    def score(self, candidate: Candidate) -> float:
        """The quantity that the floor is about; -inf where it is not known."""
        value = self.value(candidate)
        return -math.inf if value is None else value

    @property
    def words(self) -> str:
        """The floor in words, for a sentence."""
        if self.accuracy is not None:
            return f"an accuracy of {100 * self.accuracy:.1f} %"
        if self.agreement is not None:
            return f"an agreement of {100 * self.agreement:.1f} % with the float network"
        if self.snr_db is not None:
            return f"an SNR of {self.snr_db:g} dB against the float network"
        return "no floor"

    @property
    def kept(self) -> str:
        """What an implementation that meets the floor keeps, in a word or two."""
        if self.accuracy is not None:
            return "accuracy"
        return "SNR" if self.agreement is None and self.snr_db is not None else "classes"


def floor_of(evidence: Evidence, asked: float | None, options: Options) -> Floor:
    """:func:`floor_from` the run of the float network."""
    ann = evidence.ann
    return floor_from(ann.accuracy, ann.agreement, ann.activity.n_samples, asked, options)


def floor_from(
    accuracy: float | None,
    agreement: float | None,
    n_samples: int,
    asked: float | None,
    options: Options,
    *,
    snr: bool = False,
) -> Floor:
    """The floor asked for, or ``accuracy_drop`` below the float network, or the agreement.

    ``accuracy`` and ``agreement`` are those of the float network. The drop is never less than one
    sample: else a few samples would demand the very same classes. Where the output is no class
    score the SNR takes their place, if it can be measured (``snr``).
    """
    if asked is not None:
        return Floor(accuracy=asked)
    one = 1.0 / max(1, n_samples)
    if accuracy is not None:
        return Floor(accuracy=max(0.0, accuracy - max(options.accuracy_drop, one)))
    if agreement is not None:
        return Floor(agreement=max(0.0, min(options.agreement_floor, 1.0 - one)))
    return Floor(snr_db=options.snr_floor_db) if snr else Floor()


def analog_modes(network: Network) -> dict[str, Mode]:
    """Every layer analog."""
    return {layer.name: "ann" for layer in network.synaptic_layers}


def modes_with(network: Network, spiking: Iterable[str]) -> dict[str, Mode]:
    """``spiking`` layers as SNN, all others analog."""
    chosen = set(spiking)
    return {
        layer.name: "snn" if layer.name in chosen else "ann" for layer in network.synaptic_layers
    }


def analog_candidate(
    network: Network,
    activity: ActivityProfile,
    bits: int,
    options: Options,
    run: Run | None,
    wide: frozenset[str] = frozenset(),
) -> Candidate:
    """The quantised network with ``bits``-bit activations; ``run`` None: not executed."""
    design = Design(
        f"QNN, {bits} bit",
        "qnn",
        analog_modes(network),
        activity if run is None else with_missing_layers(run.activity, activity),
        Implementation(
            "qnn",
            weight_bits=options.weight_bits,
            activation_bits=bits,
            state_bits=options.state_bits,
        ),
        wide=wide,
    )
    if run is None:
        return Candidate(
            design,
            activation_bits=bits,
            evidence="modelled",
            notes=("priced with the zeros of the float network; its accuracy was not measured",),
        )
    unseen = [name for name in activity if name not in run.activity]
    notes = run.notes
    if unseen:
        notes = (
            *notes,
            f"run in float32 and priced at {bits} bit: {', '.join(unseen)}",
        )
    return Candidate(design, run.accuracy, run.agreement, None, bits, notes=notes)


def engine_candidate(baseline: Candidate) -> Candidate:
    """``baseline`` on the engine of the delta network, with every value sent.

    So that a delta network is compared with its own hardware too, and not only with Eyeriss.
    """
    design = replace(
        baseline.design, name=f"{baseline.name}, matrix-vector engine", ann_model="ann_liu"
    )
    return replace(
        baseline,
        design=design,
        notes=(*baseline.notes, "the hardware of the delta network without deltas"),
    )


def float_candidate(network: Network, activity: ActivityProfile, run: Run | None) -> Candidate:
    """The float32 network, priced with 32-bit floating-point operations and 32-bit words."""
    design = Design(
        "ANN, float32",
        "ann",
        analog_modes(network),
        activity if run is None else with_missing_layers(run.activity, activity),
        Implementation("ann", weight_bits=32, activation_bits=32, state_bits=32),
        floating=True,
    )
    if run is None:
        return Candidate(design, activation_bits=32)
    return Candidate(design, run.accuracy, run.agreement, None, 32, notes=run.notes)


def spiking_candidate(
    network: Network,
    activity: ActivityProfile,
    run: Run,
    options: Options,
    *,
    name: str,
    mode: str,
    notes: tuple[str, ...] = (),
    first_spikes: bool = False,
) -> Candidate:
    """An executed SNN or hybrid with the rates that it showed.

    ``first_spikes``: in time-to-first-spike coding, counted with its own neuron and T steps more.
    """
    steps = run.timesteps or 1
    kind = TTFS_NEURON if first_spikes else options.neuron
    design = Design(
        name,
        mode,
        modes_with(network, run.spiking),
        with_missing_layers(run.activity, activity),
        Implementation(
            "snn",
            neuron=kind,
            n_timesteps=steps,
            weight_bits=options.weight_bits,
            activation_bits=options.baseline_bits,
            state_bits=options.state_bits,
        ),
        skip_events=run.skip_events,
        snn_model=default_equation("snn", Implementation("snn", neuron=kind))
        if first_spikes
        else "",
        firing_steps=steps if first_spikes else 0,
    )
    return Candidate(
        design,
        run.accuracy,
        run.agreement,
        steps,
        options.baseline_bits,
        notes=(*run.notes, *notes, f"calibrated with {run.calibration}"),
        calibration=run.calibration,
    )


def measured_candidates(
    network: Network, activity: ActivityProfile, evidence: Evidence, options: Options
) -> list[Candidate]:
    """Float network, quantised networks and SNNs, all executed."""
    found = [float_candidate(network, activity, evidence.ann)]
    wide = frozenset(name for name, reason in evidence.graph.eligibility.items() if reason)
    found += [
        analog_candidate(network, activity, bits, options, run, wide)
        for bits, run in sorted(evidence.qnn.items(), reverse=True)
    ]
    found += [
        spiking_candidate(network, activity, run, options, name=f"SNN, T={step}", mode="snn")
        for step, run in sorted(evidence.snn.items())
        if run.spiking
    ]
    found += [
        spiking_candidate(
            network,
            activity,
            run,
            options,
            name=f"SNN, TTFS, T={step}",
            mode="snn",
            first_spikes=True,
        )
        for step, run in sorted(evidence.ttfs.items())
    ]
    return found


def delta_candidates(
    network: Network,
    activity: ActivityProfile,
    options: Options,
    energies: Mapping[float, Mapping[str, Mode]],
) -> list[Candidate]:
    """Delta networks at the thresholds of ``energies`` (threshold -> modes)."""
    return [
        Candidate(
            Design(
                f"delta, Θ={threshold_text(theta)}",
                "delta",
                modes,
                activity,
                Implementation(
                    "delta",
                    delta_threshold=theta,
                    weight_bits=options.weight_bits,
                    activation_bits=options.baseline_bits,
                    state_bits=options.state_bits,
                ),
            ),
            activation_bits=options.baseline_bits,
            evidence="modelled",
            notes=(
                "temporal sparsity measured on the unchanged network; the effect of the threshold "
                "on the states and on the accuracy was not run",
            ),
        )
        for theta, modes in energies.items()
    ]


def threshold_text(theta: float) -> str:
    """1/64 as "1/64", other numbers as they are."""
    inverse = 1 / theta
    if theta < 1 and abs(inverse - round(inverse)) < 1e-9:
        return f"1/{round(inverse)}"
    return f"{theta:g}"
