"""The verdict as one plain sentence with its numbers. Words only; nothing is decided here."""

from __future__ import annotations

from dataclasses import dataclass

from tospike.decision.record import ImplementationResult
from tospike.units import si


@dataclass(frozen=True, slots=True)
class Facts:
    """What the sentence is made of.

    ``reference`` is the cheapest ANN or QNN within the floor; ``winner`` the cheapest of all
    within the floor; ``baseline`` the usual quantised network; ``snn`` the cheapest SNN within the
    floor, or, where none is, the one with the best accuracy (``snn_meets`` False); ``hybrid``
    the cheapest hybrid within the floor, or None. ``floor`` says the floor in words ("an accuracy
    of 90.2 %"), ``against`` what the break-even is against ("Eyeriss v1 at 8 bit").
    ``floor_known`` is False where the SNN's accuracy could not be measured.
    """

    winner: ImplementationResult
    reference: ImplementationResult
    snn: ImplementationResult | None
    snn_meets: bool
    hybrid: ImplementationResult | None
    floor: str
    break_even: float | None
    spikes: float | None
    why_no_snn: str = ""
    floor_known: bool = True
    baseline: ImplementationResult | None = None
    against: str = "the reference"


def sentence(facts: Facts) -> str:
    """The verdict: what to do, against what, and how far the SNN is from break-even."""
    mode = facts.winner.mode
    if mode == "snn":
        first = f"Spike: {_beats(facts.winner, facts.reference)}"
    elif mode == "hybrid":
        first = f"Spike in part (hybrid): {_beats(facts.winner, facts.reference)}"
    elif mode == "delta":
        first = f"Use a delta network: {_beats(facts.winner, facts.reference)}"
        if facts.winner.accuracy is None:
            first += "; its accuracy was not measured, so try it before relying on this"
    else:
        first = f"Do not spike: {_holds(facts)}"
    parts = [first]
    if facts.hybrid is not None and mode not in ("hybrid", "delta"):
        parts.append(_hybrid(facts, facts.hybrid))
    if facts.snn is None and facts.why_no_snn:
        parts.append(f"No spiking network was run: {facts.why_no_snn}.")
    if facts.reference.mode == "ann" and facts.snn is not None:
        parts.append(f"No quantised network keeps {facts.floor}: the reference computes in float32")
    distance = distance_text(facts.break_even, facts.spikes, facts.against)
    if distance:
        parts.append(distance)
    text = " ".join(part if part.endswith(".") else f"{part}." for part in parts)
    return text


def assumed_sentence(
    break_even: float | None, n_eligible: int, n_layers: int, model: str, *, why: str
) -> str:
    """The verdict on a network that was not run: only the rate that it would need."""
    if break_even is None or n_eligible == 0:
        return (
            "Do not spike: no layer of this network can receive spikes (each layer says why); "
            "a delta network or a zero-skipping accelerator is the alternative."
        )
    return (
        f"Undecided ({why}): spiking pays in the {n_eligible} of {n_layers} layers that can spike "
        f"if the SNN needs fewer than {break_even:.3g} spikes per synapse and inference there "
        f"(against {model})."
    )


def distance_text(break_even: float | None, spikes: float | None, against: str) -> str:
    """How far the SNN is from break-even: "... draw level at 0.31 ... and show 1.9: 6.1 times"."""
    if break_even is None or spikes is None:
        return ""
    base = (
        f"Against {against} the spiking layers draw level at {break_even:.2g} spikes per synapse "
        "and show "
    )
    if break_even <= 0:
        return (
            f"Against {against} the spiking layers cannot draw level at any rate: what they pay "
            f"in every time step costs more. They show {spikes:.2g} spikes per synapse."
        )
    if spikes <= 0:
        return f"{base}none."
    distance = spikes / break_even
    if distance >= 1:
        return f"{base}{spikes:.2g}: {distance:.2g} times too many."
    return f"{base}{spikes:.2g}: {1 / distance:.2g} times fewer than needed."


def energy(item: ImplementationResult) -> str:
    """ "412 nJ per inference"."""
    return f"{si(item.energy_J, 'J')} per inference"


def ratio_text(value: float, base: float) -> str:
    """ "3.6 times as much" or "1.4 times less", of ``value`` against ``base``."""
    if value == base:
        return "as much as the reference"
    if value > base:
        return f"{_times(value / base)} the reference" if base > 0 else "more than the reference"
    return f"{_times(base / value)} less than the reference" if value > 0 else "nothing"


def _times(ratio: float) -> str:
    return f"{ratio:.3g} times"


def probability(what: str, value: float | None) -> str:
    """ "P(what) = 14 %"; a sampled probability is never printed as exactly 0 % or 100 %."""
    if value is None:
        return f"P({what}) unknown"
    if value < 0.01:
        return f"P({what}) < 1 %"
    if value > 0.99:
        return f"P({what}) > 99 %"
    return f"P({what}) = {100 * value:.0f} %"


def percent(value: float) -> str:
    """0.912 -> "91.2 %"."""
    return f"{100 * value:.1f} %"


def _accuracy(item: ImplementationResult, before: str = "") -> str:
    if item.accuracy is not None:
        return f"{before}{percent(item.accuracy)} accuracy"
    if item.agreement is not None:
        return f"{before}{percent(item.agreement)} agreement with the float network"
    return ""


def _cost_of_accuracy(item: ImplementationResult, reference: ImplementationResult) -> str:
    if item.accuracy is not None and reference.accuracy is not None:
        points = 100 * (item.accuracy - reference.accuracy)
        return f"{percent(item.accuracy)} accuracy, {points:+.1f} points"
    return _accuracy(item)


def _beats(item: ImplementationResult, reference: ImplementationResult) -> str:
    accuracy = _cost_of_accuracy(item, reference)
    return (
        f"{item.name} needs {energy(item)}{f' ({accuracy})' if accuracy else ''}, "
        f"{ratio_text(item.energy_J, reference.energy_J)} ({reference.name}, "
        f"{si(reference.energy_J, 'J')}); {probability('cheaper', item.p_cheaper)}"
    )


def _holds(facts: Facts) -> str:
    reference, snn = facts.reference, facts.snn
    text = f"{reference.name} needs {energy(reference)}{_accuracy(reference, ' at ')}"
    if snn is None:
        return text
    accuracy = _cost_of_accuracy(snn, reference)
    needs = (
        f"{energy(snn)}{f' ({accuracy})' if accuracy else ''}, "
        f"{ratio_text(snn.energy_J, reference.energy_J)}; "
        f"{probability('SNN cheaper', snn.p_cheaper)}"
    )
    if not facts.floor_known:
        return (
            f"{text}; whether an SNN keeps its accuracy could not be measured (the output is no "
            f"class score); {snn.name} would need {needs}"
        )
    if facts.snn_meets:
        return f"{text}; the cheapest SNN that keeps {facts.floor}, {snn.name}, needs {needs}"
    return f"{text}; no SNN keeps {facts.floor}: the closest, {snn.name}, needs {needs}"


def _hybrid(facts: Facts, hybrid: ImplementationResult) -> str:
    """The best hybrid, also against the baseline whose analog layers it shares."""
    text = (
        f"The best hybrid needs {energy(hybrid)}{_accuracy(hybrid, ' at ')}, "
        f"{ratio_text(hybrid.energy_J, facts.reference.energy_J)} "
        f"({probability('cheaper', hybrid.p_cheaper)})"
    )
    baseline = facts.baseline
    if baseline is None or baseline.name == facts.reference.name or baseline.energy_J <= 0:
        return text
    ratio = hybrid.energy_J / baseline.energy_J
    return f"{text} and {ratio:.3g} times {baseline.name}, whose analog layers it shares"
