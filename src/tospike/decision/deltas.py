"""Delta networks as competitors: run on the data, with the dense network in the same widths.

A delta network computes with 8-bit weights and activations of 8 bit, or of 16 bit (as EdgeDRNN
does) at thresholds at which it misses the floor in 8. Dense and delta network of the same widths
run in the same arithmetic, so that only the deltas tell them apart.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from tospike.activity import ActivityProfile
from tospike.decision.candidates import (
    Candidate,
    Floor,
    analog_modes,
    engine_candidate,
    float_candidate,
    floor_from,
    threshold_text,
)
from tospike.decision.energy import Design
from tospike.decision.evidence import check_floor, in_short
from tospike.decision.hybrids import delta_modes
from tospike.decision.record import DeltaLayerResult
from tospike.decision.request import Request
from tospike.decision.samples import Samples
from tospike.errors import ConversionError, ModelError, OptionError, TospikeError
from tospike.implementation import Implementation, Mode

if TYPE_CHECKING:
    from pathlib import Path

    import torch

    from tospike.conversion.delta.search import Key
    from tospike.decision.delta_plan import DeltaPlan
    from tospike.decision.delta_run import DeltaRun

#: activation bits where the usual ones miss the floor: Q8.8 in EdgeDRNN (Gao 2020)
WIDE_ACTIVATIONS = 16
SEARCHED = "delta, Θ per layer"


@dataclass(frozen=True)
class DeltaField:
    """Competitors that were run, their floor, and why layers stay dense.

    ``reason`` says why nothing was run ("" where it was); then everything else is empty.
    """

    candidates: tuple[Candidate, ...] = ()
    floor: Floor = field(default_factory=Floor)
    why_not: Mapping[str, str] | None = None
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    reason: str = ""


@dataclass(frozen=True)
class _Scene:
    """What all runs of one network share."""

    request: Request
    plan: DeltaPlan
    held: Samples
    reference: torch.Tensor

    def run(self, thetas: Mapping[Key, float], bits: int | None) -> DeltaRun:
        """On the scored samples; ``bits`` None: float32."""
        from tospike.decision.delta_run import run

        weight_bits = None if bits is None else self.request.options.weight_bits
        return run(
            self.plan, thetas, self.held.x, self.held.y, self.reference,
            bits=bits, weight_bits=weight_bits,
        )  # fmt: skip

    def implementation(self, mode: Mode, bits: int, theta: float = 0.0) -> Implementation:
        """Widths as they are run and priced; partial sums are as wide as activations at least."""
        options = self.request.options
        return Implementation(
            mode,
            delta_threshold=theta,
            weight_bits=options.weight_bits,
            activation_bits=bits,
            state_bits=max(options.state_bits, bits) if bits > options.baseline_bits
            else options.state_bits,
        )  # fmt: skip


def run_deltas(request: Request, model: torch.nn.Module | str | Path, held: Samples) -> DeltaField:
    """Run the network dense and as delta networks, or say why it cannot be.

    Raises :class:`~tospike.errors.OptionError` for an accuracy floor that the float network misses.
    """
    if not request.options.delta_thresholds and not request.options.delta_search:
        return DeltaField(reason="no delta threshold was given")
    if all(layer.kind != "rnn_input" for layer in request.network.synaptic_layers):
        return DeltaField(reason="the network has no recurrent layer")
    from tospike.decision.delta_plan import prepare

    request.progress("running the float network over the sequences", 0, 1)
    try:
        plan = prepare(model, request.network, held.calibration)
        scene = _Scene(request, plan, held, plan.called(plan.module, held.x))
        return _field(scene)
    except (ConversionError, ModelError) as error:
        return DeltaField(reason=_short(error))


def _short(error: TospikeError) -> str:
    if isinstance(error, ConversionError):
        return in_short(error)
    return error.received or f"cannot {error.asked}"


def _field(scene: _Scene) -> DeltaField:
    from tospike.decision.delta_run import quality

    request, options = scene.request, scene.request.options
    base = quality(scene.reference, scene.reference, scene.held.y)
    check_floor(request.accuracy_floor, base.accuracy)
    floor = floor_from(
        base.accuracy, base.agreement, len(scene.held.x), request.accuracy_floor, options, snr=True
    )
    plain = float_candidate(request.network, request.activity, None)
    found = [replace(plain, accuracy=base.accuracy, agreement=base.agreement, snr_db=base.snr_db)]
    widths: tuple[int, ...] = (options.baseline_bits,)
    if options.baseline_bits < WIDE_ACTIVATIONS:
        widths = (*widths, WIDE_ACTIVATIONS)
    dense = [_dense(scene, bits) for bits in widths]
    keeping = [item for item in dense if floor.met_by(item)]
    deltas, warnings = _deltas(scene, floor, [item.activation_bits or 0 for item in keeping])
    used = {item.activation_bits for item in (*deltas, *keeping[:1], dense[0])}
    found += [item for item in dense if item.activation_bits in used]
    engines = [engine_candidate(item) for item in keeping if item.activation_bits in used]
    return DeltaField(
        (*found, *engines, *deltas),
        floor,
        scene.plan.why_not,
        _notes(scene),
        tuple(warnings),
    )


def _notes(scene: _Scene) -> tuple[str, ...]:
    inside = {site.layer for site in scene.plan.sites}
    outside = [
        layer.name
        for layer in scene.request.network.synaptic_layers
        if layer.n_synapses and layer.name not in inside
    ]
    found = [
        "a delta threshold Θ stands for Θ times the scale of its signal: 1 for states of GRU, LSTM "
        "and tanh layers, else the standard deviation of the input on the calibration samples, "
        "rounded to a power of two",
        "quantised and delta networks of as many bits ran in the same arithmetic: weights of "
        f"{scene.request.options.weight_bits} bit with one scale per row, activations in fixed "
        "point, in the format that just holds what calibration showed; sums and activation "
        "functions in float32",
        f"one inference is {_steps(scene)} time steps, and starts with references and states of "
        "zero",
    ]
    if outside:
        found.append(f"run in float32 and priced in integers: {', '.join(outside)}")
    return tuple(found)


def _steps(scene: _Scene) -> int:
    network = scene.request.network
    return max(layer.calls for layer in network.synaptic_layers if layer.kind == "rnn_input")


def _dense(scene: _Scene, bits: int) -> Candidate:
    """The quantised network, executed: thresholds of 0."""
    done = scene.run({}, bits)
    network = scene.request.network
    design = Design(
        f"QNN, {bits} bit",
        "qnn",
        analog_modes(network),
        scene.request.activity,
        scene.implementation("qnn", bits),
    )
    return Candidate(
        design,
        done.quality.accuracy,
        done.quality.agreement,
        None,
        bits,
        notes=("priced with the zeros of the float network",),
        snr_db=done.quality.snr_db,
    )


def _deltas(
    scene: _Scene, floor: Floor, widths: Sequence[int]
) -> tuple[list[Candidate], list[str]]:
    """At every threshold, in more bits where the floor is missed; and one threshold per layer."""
    options, progress = scene.request.options, scene.request.progress
    found, warnings = [], []
    thetas = sorted(options.delta_thresholds)
    total = len(thetas) + options.delta_search
    what = "running the delta networks"
    if not widths:
        return [], [f"no quantised network keeps {floor.words}, so no delta network was run"]
    for number, theta in enumerate(thetas):
        progress(what, number, total)
        for bits in widths:
            thresholds = scene.plan.absolute(theta)
            item = _candidate(scene, f"delta, Θ={threshold_text(theta)}", thresholds, theta, bits)
            if item is None:
                warnings.append(f"at Θ={threshold_text(theta)} no layer gains as a delta layer")
                break
            found.append(item)
            if floor.met_by(item):
                break
    if options.delta_search:
        progress(what, total - 1, total)
        good = [item.activation_bits or 0 for item in found if floor.met_by(item)]
        item, why = _searched(scene, floor, good[-1] if good else widths[-1])
        found += [item] if item is not None else []
        warnings += [why] if why else []
    progress(what, total, total)
    return found, warnings


def _searched(scene: _Scene, floor: Floor, bits: int) -> tuple[Candidate | None, str]:
    """One threshold per layer; searched on calibration samples, measured on the scored ones.

    Where the scored samples miss the floor the thresholds are halved, twice at most.
    """
    from tospike.decision.delta_run import searched

    by_class = floor.snr_db is None
    options = scene.request.options
    least = 1.0 - options.accuracy_drop if floor.accuracy is not None else floor.least
    if least is None:
        return None, ""
    try:
        thetas = searched(
            scene.plan,
            scene.held.calibration,
            floor=least,
            by_class=by_class,
            bits=bits,
            weight_bits=options.weight_bits,
        )
    except OptionError:
        return None, f"the threshold search found none that keep {floor.words}"
    if not any(thetas.values()):
        return None, "the threshold search found no threshold above 0 that keeps the floor"
    item: Candidate | None = None
    for _ in range(3):
        nominal = max(thetas[key] / scene.plan.scales[key] for key in thetas)
        item = _candidate(scene, SEARCHED, thetas, nominal, bits)
        if item is None or floor.met_by(item):
            break
        thetas = {key: theta / 2 for key, theta in thetas.items()}
    return item, ""


def _candidate(
    scene: _Scene, name: str, thetas: Mapping[Key, float], nominal: float, bits: int
) -> Candidate | None:
    """Run; let layers that would cost more stay dense, and run again without their thresholds."""
    request, plan = scene.request, scene.plan
    implementation = scene.implementation("delta", bits, nominal)
    done = scene.run(thetas, bits)
    modes: Mapping[str, Mode] | None = None
    dense: set[str] = set()
    for _ in range(len(plan.sites)):
        activity = _activity(request.activity, done, nominal, dense)
        modes = delta_modes(request.pricer, request.reference_model, activity, implementation)
        if modes is None:
            return None
        more = {site.layer for site in plan.sites if modes[site.layer] != "delta"} - dense
        if not more:
            break
        dense |= more
        kept = {site.key for site in plan.sites if site.layer not in dense}
        done = scene.run({key: theta for key, theta in thetas.items() if key in kept}, bits)
    assert modes is not None
    activity = _activity(request.activity, done, nominal, dense)
    return Candidate(
        Design(_name(name, bits, request), "delta", modes, activity, implementation),
        done.quality.accuracy,
        done.quality.agreement,
        None,
        bits,
        notes=_candidate_notes(name, dense),
        snr_db=done.quality.snr_db,
        delta=_layers(plan, done, modes, implementation.weight_bits),
    )


def _name(name: str, bits: int, request: Request) -> str:
    """With the bits of the activations, where they are not the usual ones."""
    return name if bits == request.options.baseline_bits else f"{name}, {bits} bit"


def _candidate_notes(name: str, dense: set[str]) -> tuple[str, ...]:
    found = []
    if name == SEARCHED:
        found.append("one threshold per layer, searched on calibration samples")
    if dense:
        found.append(f"deltas would cost more in {', '.join(sorted(dense))}: dense there")
    return tuple(found)


def _activity(
    base: ActivityProfile, done: DeltaRun, nominal: float, dense: set[str]
) -> ActivityProfile:
    """``base`` with the sparsity that the run showed, under the nominal threshold."""
    layers = {
        name: replace(item, temporal_sparsity={nominal: done.sparsity[name]})
        if name in done.sparsity and name not in dense
        else replace(item, temporal_sparsity={})
        for name, item in base.layers.items()
    }
    return replace(base, layers=layers)


def _layers(
    plan: DeltaPlan, done: DeltaRun, modes: Mapping[str, Mode], weight_bits: int
) -> tuple[DeltaLayerResult, ...]:
    found = []
    for site in plan.sites:
        sends = modes[site.layer] == "delta"
        whole = site.n_weights * weight_bits / 8
        gamma = done.sparsity[site.layer]
        found.append(
            DeltaLayerResult(
                site.layer,
                "delta" if sends else "ann",
                done.thetas[site.layer],
                gamma,
                whole * (1 - gamma) if sends else whole,
                whole,
            )
        )
    return tuple(found)
