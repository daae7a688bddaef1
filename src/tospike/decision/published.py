"""What every published model would say of this network: ``PUBLISHED`` on one measured activity.

Each entry counts the ANN with one equation and the SNN with another and prices both with its own
paper's technology. Both run on the same network: the ANN is the quantised baseline with the zeros
that it showed, the SNN is that of the verdict with its spikes and its T; layers that cannot spike
are analog in both. Energies alone: no published model asks for an accuracy.

Counted is what the paper counts. Borders between modes, the bias current of converted neurons,
additions on residual connections and the optional terms are tospike's own and are left out here;
the verdict of the decision has them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from tospike.actions import ActionCounts, combine
from tospike.activity import ActivityProfile
from tospike.decision.breakeven import rate_at_equality
from tospike.decision.candidates import Candidate
from tospike.decision.energy import energy_of, rate_over
from tospike.decision.record import PublishedSummary, PublishedVerdict
from tospike.decision.results import distance
from tospike.decision.uncertainty import JointSamples
from tospike.equations import MODELS, EquationOptions, count
from tospike.equations import published as registry
from tospike.equations.published import PublishedModel
from tospike.errors import OptionError, TospikeError, unknown_name
from tospike.implementation import Implementation, Mode
from tospike.network import Network
from tospike.pricing import Cost, price
from tospike.technology import Technology, load, names

ALL, NONE = "all", "none"
SPIKE, DO_NOT, CLOSE, NOT_APPLIED = "spike", "do not spike", "too close", "not applied"

#: a verdict stands if at least this share of the draws shares its side (both ends of the 5-95 %
#: range of the ratio then lie on that side)
SURE = 0.95
_FLOAT_BITS = 32
#: equation of event-driven IF neurons
EVENT = "snn_if_inst"
#: relative departure from a straight line beyond which the break-even is searched
_STRAIGHT = 1e-9

DEFINITION = (
    "the mean of P(SNN cheaper) over the published models that could be applied, each with equal "
    "weight; the models share equations, constants and assumptions, so they are not independent "
    "votes, and their number is no evidence"
)


def chosen_models(asked: str | Sequence[str] | None) -> tuple[PublishedModel, ...]:
    """The entries asked for, each once, in the given order.

    ``asked``: "all"; keys of ``PUBLISHED`` as a sequence or a text with commas; "none", None or
    an empty sequence: none. Raises :class:`UnknownNameError` or :class:`OptionError` for names
    that are not there, and for entries that name an equation or a technology that does not exist.
    """
    table = registry.PUBLISHED
    if asked is None or asked == NONE:
        return ()
    keys = _keys(asked)
    unknown = [key for key in keys if key not in table]
    if len(unknown) == 1:
        raise unknown_name("published model", unknown[0], (ALL, NONE, *table))
    if unknown:
        raise OptionError(
            "find these published models",
            allowed=", ".join((ALL, NONE, *table)),
            fix="choose from the allowed names",
            reasons=[f"there is no published model {key!r}" for key in unknown],
        )
    found = tuple(table[key] for key in keys)
    check_registry(found)
    return found


def _keys(asked: str | Sequence[str]) -> tuple[str, ...]:
    if asked == ALL:
        return tuple(registry.PUBLISHED)
    keys: list[str] | None = None
    if isinstance(asked, str):
        keys = [key.strip() for key in asked.split(",")]
    elif isinstance(asked, Sequence) and all(isinstance(key, str) for key in asked):
        keys = list(asked)
    if keys is None or not all(keys):
        raise OptionError(
            "choose published models",
            received=repr(asked),
            allowed='"all", "none", keys with commas between them, or a sequence of keys',
            fix="tospike analyze --models all",
        )
    return tuple(dict.fromkeys(keys))


def check_registry(models: Iterable[PublishedModel]) -> None:
    """Raise one :class:`OptionError` with every equation or technology that does not exist."""
    reasons = []
    known = names()
    for model in models:
        for mode, key in (("ann", model.ann), ("snn", model.snn)):
            if key not in MODELS:
                reasons.append(f"{model.key}: there is no equation {key!r}")
            elif MODELS[key].mode != mode:
                reasons.append(f"{model.key}: {key!r} counts {MODELS[key].mode!r}, not {mode!r}")
        if model.technology not in known:
            reasons.append(f"{model.key}: there is no technology {model.technology!r}")
    if reasons:
        raise OptionError(
            "use the table of published models",
            where="tospike.equations.published",
            allowed="keys of MODELS, one of each mode, and names of technologies",
            fix="mend the listed entries",
            reasons=reasons,
        )


def word_bits(technology: Technology, wanted: int) -> int:
    """Width of the words that a paper's table is about, nearest to ``wanted``.

    Inside of the widths for which it prints a MAC (or, without one, an AC) the wanted width; else
    the nearest printed one. A table of floating-point operations is about 32-bit words.
    """
    for action in ("mac", "ac", "mul"):
        widths = [
            bits for where, what, bits in technology.energies if (where, what) == ("alu", action)
        ]
        if not widths:
            continue
        driver = technology.drivers.get(("alu", action), "")
        if driver.split(":")[-1].startswith("fp_"):
            wanted = _FLOAT_BITS
        return min(max(wanted, min(widths)), max(widths))
    return wanted


@dataclass(frozen=True, slots=True)
class Comparison:
    """What all published models are asked about.

    ``ann`` the quantised baseline; ``snn`` the SNN of the verdict, None where none was run and
    ``why_no_snn`` says why; ``able`` the layers that can spike; ``snn_meets`` whether the SNN
    keeps the floor (None: not known).
    """

    network: Network
    ann: Candidate
    snn: Candidate | None
    snn_meets: bool | None
    why_no_snn: str
    able: tuple[str, ...]
    options: EquationOptions
    samples: int
    seed: int

    @property
    def spiking(self) -> tuple[str, ...]:
        """Layers that spike in the SNN, or that could."""
        return self.able if self.snn is None else self.snn.design.spiking


def published_verdicts(
    comparison: Comparison, models: Iterable[PublishedModel]
) -> tuple[PublishedVerdict, ...]:
    """One record per model, in the given order; a model that cannot be applied says why."""
    return tuple(_verdict(comparison, model) for model in models)


def with_neuron(
    models: Iterable[PublishedModel], snn: Candidate | None
) -> tuple[PublishedModel, ...]:
    """``models`` with the equation of the neurons that ``snn`` has, where the paper gives one.

    Dampfhoffer 2022 has equations for every kind of neuron; the other papers have one SNN.
    """
    own = "" if snn is None else snn.design.snn_model
    if not own:
        return tuple(models)
    return tuple(replace(model, snn=own) if model.snn == EVENT else model for model in models)


def paper_options(options: EquationOptions) -> EquationOptions:
    """The conventions asked for, without what no published model counts: bias, extra terms."""
    return replace(
        options,
        bias="never",
        terms=(),
        on_chip_bytes=None,
        inference_seconds=None,
        hops_per_event=None,
    )


def _verdict(comparison: Comparison, model: PublishedModel) -> PublishedVerdict:
    """Apply one model; whatever refuses it becomes its reason."""
    blank = PublishedVerdict(
        key=model.key,
        title=model.title,
        paper=model.paper,
        locator=model.locator,
        ann_model=model.ann,
        snn_model=model.snn,
        technology=model.technology,
        leaves_out=model.leaves_out,
        sources=(model.paper,),
    )
    try:
        side = _side(comparison, model)
        ann = side.ann_cost()
    except TospikeError as error:
        return replace(blank, why_not=_in_short(error))
    found = replace(
        blank,
        energy_ann_J=energy_of(ann),
        bits=dict(side.bits),
        assumptions=_assumptions(comparison, side, (ann,)),
        out_of_range=ann.out_of_range,
        sources=_unique(model.paper, *ann.sources),
    )
    try:
        found = _with_break_even(found, side)
        if comparison.snn is None:
            return replace(found, why_not=_no_snn(comparison))
        return _with_snn(found, side, ann, side.snn_cost(comparison.snn))
    except TospikeError as error:
        return replace(found, why_not=_in_short(error))


@dataclass(frozen=True, slots=True)
class _Side:
    """One model bound to the comparison: its technology, widths and conventions."""

    comparison: Comparison
    model: PublishedModel
    technology: Technology
    bits: Mapping[str, int]
    options: EquationOptions

    def implementation(self, mode: Mode) -> Implementation:
        """ANN and SNN at the same widths; both know T, which bit-matched equations need."""
        snn = self.comparison.snn
        return Implementation(
            mode,
            n_timesteps=(snn.timesteps or 1) if snn is not None else 1,
            weight_bits=self.bits["weight"],
            activation_bits=self.bits["activation"],
            state_bits=self.bits["state"],
        )

    def ann_cost(self) -> Cost:
        """The whole network as ANN."""
        modes: dict[str, Mode] = dict.fromkeys(self.comparison.ann.design.modes, "ann")
        return self._cost(self.comparison.ann.design.activity, modes, "ann")

    def snn_cost(self, snn: Candidate) -> Cost:
        """The partition of the SNN, its analog layers counted with the paper's ANN equation."""
        return self._cost(snn.design.activity, snn.design.modes, "snn")

    def _cost(self, activity: ActivityProfile, modes: Mapping[str, Mode], mode: Mode) -> Cost:
        counts = count(
            self.comparison.network,
            activity,
            self.implementation(mode),
            equation={"ann": self.model.ann, "snn": self.model.snn},
            modes=modes,
            options=self.options,
        ).select(lambda entry: entry.part != "border")
        # the sentences on borders go with the borders
        said = tuple(text for text in counts.assumptions if not text.startswith("border "))
        return price(replace(counts, assumptions=said), self.technology)

    def layers_cost(self, key: str, activity: ActivityProfile, mode: Mode) -> float:
        """Joule of the spiking layers alone, with one equation."""
        parts: list[ActionCounts] = [
            MODELS[key].count_layer(
                self.comparison.network[name],
                activity[name],
                self.implementation(mode),
                self.options,
            )
            for name in self.comparison.spiking
            if self.comparison.network[name].n_synapses
        ]
        return energy_of(price(combine(parts), self.technology)) if parts else 0.0


def _side(comparison: Comparison, model: PublishedModel) -> _Side:
    technology = load(model.technology)
    widths = comparison.ann.design.implementation
    bits = {
        name: word_bits(technology, value)
        for name, value in (
            ("weight", widths.weight_bits),
            ("activation", widths.activation_bits),
            ("state", widths.state_bits),
        )
    }
    return _Side(comparison, model, technology, bits, paper_options(comparison.options))


def _with_snn(found: PublishedVerdict, side: _Side, ann: Cost, snn: Cost) -> PublishedVerdict:
    """Ratio, range, probability and word, from the same draws for both."""
    comparison = side.comparison
    joint = JointSamples({"ann": ann, "snn": snn}, samples=comparison.samples, seed=comparison.seed)
    above, below = energy_of(ann), energy_of(snn)
    # quantiles of SNN / ANN: an SNN may cost nothing, an ANN never does
    with np.errstate(divide="ignore", invalid="ignore"):
        inverse = joint.energy["snn"] / joint.energy["ann"]
    low, high = (_inverse(float(np.quantile(inverse, q))) for q in (0.95, 0.05))
    cheaper = joint.p_cheaper("snn", "ann")
    return replace(
        found,
        verdict=word(above, below, cheaper, joint.p_cheaper("ann", "snn")),
        energy_snn_J=below,
        ratio=_inverse(below / above) if above > 0 else None,
        ratio_low=low,
        ratio_high=high,
        p_snn_cheaper=cheaper,
        assumptions=_assumptions(comparison, side, (ann, snn)),
        out_of_range=_unique(*ann.out_of_range, *snn.out_of_range),
        sources=_unique(found.paper, *ann.sources, *snn.sources),
    )


def word(ann: float, snn: float, p_snn: float, p_ann: float) -> str:
    """Which side the model is on: nominal energies in joule and 95 % of the draws must agree."""
    if snn < ann and p_snn >= SURE:
        return SPIKE
    if ann < snn and p_ann >= SURE:
        return DO_NOT
    return CLOSE


def _no_snn(comparison: Comparison) -> str:
    said = "no SNN was run"
    return f"{said}: {comparison.why_no_snn}" if comparison.why_no_snn else said


def _inverse(value: float) -> float:
    return 1.0 / value if value > 0 else math.inf


def _with_break_even(found: PublishedVerdict, side: _Side) -> PublishedVerdict:
    """One rate for all spiking layers together, and how far the SNN is from it."""
    comparison = side.comparison
    if not any(comparison.network[name].n_synapses for name in comparison.spiking):
        return found
    even = _break_even(side)
    rate = None
    if comparison.snn is not None:
        rate = rate_over(comparison.network, comparison.snn.design.activity, comparison.spiking)
    return replace(
        found,
        break_even_spikes_per_synapse=even,
        spikes_per_synapse=rate,
        distance=distance(rate, even),
    )


def _break_even(side: _Side) -> float:
    """Spikes per synapse at which the spiking layers cost what they cost as ANN.

    Closed form where the SNN's energy is linear in the rate; else the root between no spike and
    one spike per synapse and time step (infinite if the SNN is cheaper even there).
    """
    comparison, model = side.comparison, side.model
    ann = side.layers_cost(model.ann, comparison.ann.design.activity, "ann")

    def spiking(rate: float) -> float:
        return side.layers_cost(model.snn, at_rate(comparison, rate), "snn")

    none, half, one = spiking(0.0), spiking(0.5), spiking(1.0)
    if abs(half - (none + one) / 2) <= _STRAIGHT * max(abs(one), abs(none)):
        return rate_at_equality(ann, none, one - none)
    from scipy.optimize import brentq

    most = float(side.implementation("snn").n_timesteps)
    if none >= ann:
        return 0.0
    if spiking(most) <= ann:
        return math.inf
    return float(brentq(lambda rate: spiking(rate) - ann, 0.0, most))


def at_rate(comparison: Comparison, rate: float) -> ActivityProfile:
    """The spiking layers' activity with ``rate`` spikes per synapse in each of them.

    Spikes per neuron keep their measured proportion to spikes per synapse (1 where unknown).
    """
    base = comparison.ann if comparison.snn is None else comparison.snn
    activity = base.design.activity
    layers = {}
    for name in comparison.spiking:
        shown, layer = activity[name], comparison.network[name]
        per_synapse, per_neuron = shown.spikes_per_synapse, shown.spikes_per_neuron
        share = per_neuron / per_synapse if per_synapse and per_neuron is not None else 1.0
        layers[name] = replace(
            shown,
            signal="spike",
            spikes_per_synapse=rate,
            spikes_per_neuron=rate * share,
            synaptic_operations=rate * layer.n_synapses,
        )
    return replace(activity, layers={**activity.layers, **layers})


def _assumptions(comparison: Comparison, side: _Side, costs: Iterable[Cost]) -> tuple[str, ...]:
    """What this verdict rests on: ours first, then the equations and prices, each once."""
    widths = side.bits
    words = (
        f"words of {widths['weight']} bit"
        if len(set(widths.values())) == 1
        else "words of " + ", ".join(f"{bits} bit ({name})" for name, bits in widths.items())
    )
    ann, snn = comparison.ann, comparison.snn
    zeros = "that it showed" if ann.evidence == "measured" else "of the float network"
    own = [f"ANN: “{ann.name}” with the zeros {zeros}; ANN and SNN with {words}"]
    if snn is not None:
        own.append(f"SNN: “{snn.name}” with the spikes that it showed")
    else:
        own.append("break-even of the layers that can spike, in one time step")
    own.append(
        "as the paper counts: without borders, the bias current of converted neurons, residual "
        "additions and optional terms"
    )
    return _unique(*own, *(text for cost in costs for text in cost.assumptions))


def _unique(*texts: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(texts))


def _in_short(error: TospikeError) -> str:
    """An error on one line: what could not be done, and each reason."""
    head = f"cannot {error.asked}"
    return "; ".join((f"{head}: {error.received}" if error.received else head, *error.reasons))


def summary(
    comparison: Comparison, verdicts: Sequence[PublishedVerdict]
) -> PublishedSummary | None:
    """All verdicts together (:data:`DEFINITION`); None without verdicts."""
    if not verdicts:
        return None
    found = [item.p_snn_cheaper for item in verdicts if item.p_snn_cheaper is not None]
    words = [item.verdict for item in verdicts]
    applied = len(words) - words.count(NOT_APPLIED)
    return PublishedSummary(
        ann=comparison.ann.name,
        snn="" if comparison.snn is None else comparison.snn.name,
        snn_meets_floor=comparison.snn_meets,
        mean_p_snn_cheaper=math.fsum(found) / len(found) if found else None,
        mean_p_by_paper=_by_paper(verdicts),
        lowest_p_snn_cheaper=min(found, default=None),
        highest_p_snn_cheaper=max(found, default=None),
        share_spike=words.count(SPIKE) / applied if applied else None,
        n_spike=words.count(SPIKE),
        n_do_not_spike=words.count(DO_NOT),
        n_too_close=words.count(CLOSE),
        n_not_applied=words.count(NOT_APPLIED),
        definition=DEFINITION,
    )


def _by_paper(verdicts: Sequence[PublishedVerdict]) -> float | None:
    """Mean over the papers of the mean over the models of each: variants do not outvote."""
    papers: dict[str, list[float]] = {}
    for item in verdicts:
        if item.p_snn_cheaper is not None:
            papers.setdefault(item.paper, []).append(item.p_snn_cheaper)
    means = [math.fsum(values) / len(values) for values in papers.values()]
    return math.fsum(means) / len(means) if means else None


def overall(found: PublishedSummary | None) -> float | None:
    """P(SNN wins) over all models: the mean, but 0 if the SNN misses the floor.

    None if nothing could be applied, or if it is not known whether the SNN keeps the floor.
    """
    if found is None or found.mean_p_snn_cheaper is None or found.snn_meets_floor is None:
        return None
    return found.mean_p_snn_cheaper if found.snn_meets_floor else 0.0
