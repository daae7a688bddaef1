"""The verdict in words: one short sentence that stands alone, then the numbers behind it.

Words only; nothing is decided here.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from tospike.decision.record import ImplementationResult
from tospike.units import si

#: the first sentence says what to do in at most so many characters
FIRST_SENTENCE = 140
#: energies this close to each other are "about as much"
SAME = 0.005


@dataclass(frozen=True, slots=True)
class Facts:
    """What the verdict is made of.

    ``reference`` is the cheapest ANN or QNN within the floor; ``winner`` the cheapest of all
    within the floor; ``baseline`` the usual quantised network; ``snn`` the cheapest SNN within the
    floor, or, where none is, the one with the best accuracy (``snn_meets`` False); ``hybrid``
    the cheapest hybrid within the floor, or None. ``floor`` says the floor in words ("an accuracy
    of 90.2 %"), ``kept`` what it is about ("accuracy"), ``against`` what the break-even is against
    ("Eyeriss v1 at 8 bit"). ``floor_known`` is False where the SNN's accuracy could not be
    measured. ``delta``: the cheapest delta network within the floor, or None. ``p_by_model``: ANN
    model -> P(SNN cheaper than the best ANN or QNN under that model).
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
    kept: str = "accuracy"
    delta: ImplementationResult | None = None
    p_by_model: Mapping[str, float] = field(default_factory=dict)


def sentence(facts: Facts) -> str:
    """The verdict: what to do, then the numbers, then how far the SNN is from break-even."""
    mode = facts.winner.mode
    parts = [first_sentence(facts)]
    shown = facts.snn if mode in ("ann", "qnn") else facts.winner
    parts.append(_numbers(facts, shown))
    if mode == "delta":
        parts.append(_traffic(facts.winner, "It"))
        if _accuracy(facts.winner) == "" and facts.winner.snr_db is None:
            parts.append("Its accuracy was not measured, so try it before relying on this")
    elif facts.delta is not None and facts.delta.evidence == "measured":
        parts.append(_losing_delta(facts, facts.delta))
    if facts.hybrid is not None and mode not in ("hybrid", "delta"):
        parts.append(_hybrid(facts, facts.hybrid))
    if facts.snn is None and facts.why_no_snn:
        parts.append(f"No spiking network was run. Reason: {facts.why_no_snn}")
    if facts.reference.mode == "ann" and facts.snn is not None:
        parts.append(f"No quantised network keeps {facts.floor}: the reference computes in float32")
    parts.append(distance_text(facts.break_even, facts.spikes, facts.against))
    parts.append(disagreement(facts))
    return " ".join(part if part.endswith(".") else f"{part}." for part in parts if part)


def disagreement(facts: Facts) -> str:
    """Under how many ANN models the verdict on the SNN would be the other; "" if all agree."""
    if facts.snn is None or not facts.snn_meets or facts.winner.mode not in ("snn", "ann", "qnn"):
        return ""
    wins = facts.winner.mode == "snn"
    other = [name for name, p in facts.p_by_model.items() if (p >= 0.5) != wins]
    if not other:
        return ""
    says = "does not need less" if wins else "needs less"
    count = f"{len(other)} of {len(facts.p_by_model)}"
    return f"The model of the ANN decides: under {count} the SNN {says}"


def first_sentence(facts: Facts) -> str:
    """What to do and the one number that decides it, in at most :data:`FIRST_SENTENCE` letters."""
    winner, rival = facts.winner, with_article(facts.reference)
    less = _than(winner.energy_J, facts.reference.energy_J, rival)
    if winner.mode == "snn":
        first = "first-spike " if first_spikes(winner) else ""
        return f"Spike: the {first}SNN at T={winner.timesteps} needs {less}."
    if winner.mode == "hybrid":
        spiking = sum(1 for value in winner.partition.values() if value == "snn")
        what = f"{spiking} spiking layer{'s' if spiking != 1 else ''} at T={winner.timesteps}"
        return f"Spike in part (hybrid): with {what} the network needs {less}."
    if winner.mode == "delta":
        return f"Use a delta network: {_threshold(winner)} {less}."
    return f"Do not spike: {_why_not(facts, rival)}."


def first_spikes(item: ImplementationResult) -> bool:
    """True for an SNN in time-to-first-spike coding."""
    return item.name.startswith("SNN, TTFS")


def _threshold(item: ImplementationResult) -> str:
    """ "Θ=1/16 needs", "Θ=1/16 (16 bit) needs", "thresholds per layer need"."""
    text, _, bits = item.name.removeprefix("delta, ").partition(", ")
    width = f" ({bits})" if bits else ""
    if text == "Θ per layer":
        return f"thresholds per layer{width} need"
    return f"{text}{width} needs"


def _why_not(facts: Facts, rival: str) -> str:
    snn = facts.snn
    if snn is None:
        return "no spiking form of this network could be run"
    at = f"T={snn.timesteps}" if snn.timesteps is not None else snn.name
    at = f"first spikes, {at}" if first_spikes(snn) else at
    than = _than(snn.energy_J, facts.reference.energy_J, rival)
    if not facts.floor_known:
        return f"its effect on the output is unknown, and at {at} it needs {than}"
    if not facts.snn_meets:
        score = snn.accuracy if snn.accuracy is not None else snn.agreement
        best = f" (best: {percent(score)} at {at})" if score is not None else ""
        return f"no SNN keeps {facts.floor}{best}"
    if snn.energy_J < facts.reference.energy_J:
        return (
            f"the cheapest SNN that keeps the {facts.kept} ({at}) saves energy at nominal prices, "
            "but not at most of the likely ones"
        )
    return f"the cheapest SNN that keeps the {facts.kept} ({at}) needs {than}"


def with_article(item: ImplementationResult) -> str:
    """ "a 4-bit quantised network", "the float32 network"."""
    if item.mode == "ann":
        return "the float32 network"
    bits = item.activation_bits
    if bits is None:
        return item.name
    article = "an" if bits in (8, 11) else "a"
    engine = " on a matrix-vector engine" if "engine" in item.name else ""
    return f"{article} {bits}-bit quantised network{engine}"


def _than(value: float, base: float, rival: str) -> str:
    """ "2.8 times the energy of X", "2.1 times less energy than X"."""
    if base <= 0 or value <= 0:
        return f"other energy than {rival}"
    if abs(value / base - 1) < SAME:
        return f"about as much energy as {rival}"
    if value > base:
        return f"{_times(value / base)} the energy of {rival}"
    return f"{_times(base / value)} less energy than {rival}"


def assumed_sentence(
    break_even: float | None, n_eligible: int, n_layers: int, model: str, *, why: str
) -> str:
    """The verdict on a network that was not run: only the rate that it would need."""
    if break_even is None or n_eligible == 0:
        return (
            "Do not spike: no layer of this network can receive spikes. Each layer says why. "
            "A delta network or a zero-skipping accelerator is the alternative."
        )
    return (
        f"Undecided: spiking pays in {n_eligible} of {n_layers} layers below {break_even:.3g} "
        "spikes per synapse and inference. "
        f"These are the layers that can spike; the rival is {model}. No spiking network was run. "
        f"Reason: {why.removesuffix('.')}."
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
    """ "412 nJ"."""
    return si(item.energy_J, "J")


def ratio_text(value: float, base: float) -> str:
    """ "3.6 times the reference" or "1.4 times less than the reference"."""
    if value == base:
        return "as much as the reference"
    if base > 0 and abs(value / base - 1) < SAME:
        return "about as much as the reference"
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
    if item.snr_db is not None and math.isfinite(item.snr_db):
        return f"{before}{item.snr_db:.1f} dB SNR against the float network"
    return ""


def _cost_of_accuracy(item: ImplementationResult, reference: ImplementationResult) -> str:
    if item.accuracy is not None and reference.accuracy is not None:
        points = 100 * (item.accuracy - reference.accuracy)
        return f"{percent(item.accuracy)} accuracy, {points:+.1f} points"
    return _accuracy(item)


def _numbers(facts: Facts, item: ImplementationResult | None) -> str:
    """Energy and accuracy of the reference and of what is weighed against it."""
    reference = facts.reference
    text = f"Per inference {_called(reference)} needs {energy(reference)}"
    text += _accuracy(reference, " at ")
    if item is None:
        return text
    accuracy = _cost_of_accuracy(item, reference)
    return (
        f"{text}, {_called(item)} {energy(item)}{f' ({accuracy})' if accuracy else ''}, "
        f"{ratio_text(item.energy_J, reference.energy_J)}; "
        f"{probability(f'{_short(item)} cheaper', item.p_cheaper)}"
    )


def _traffic(item: ImplementationResult, who: str) -> str:
    """How many bytes of weights a delta network that was run reads per step; "" if not run."""
    read, dense = item.weight_bytes_per_step, item.dense_weight_bytes_per_step
    if read is None or not dense:
        return ""
    ratio = f", {_times(dense / read)} less" if read > 0 else ""
    return (
        f"{who} reads {si(read, 'B')} of weights per time step in place of {si(dense, 'B')}{ratio}"
    )


def _losing_delta(facts: Facts, item: ImplementationResult) -> str:
    """The best delta network where it does not win."""
    return (
        f"The best delta network (“{item.name}”) needs {energy(item)}{_accuracy(item, ' at ')}, "
        f"{ratio_text(item.energy_J, facts.reference.energy_J)} "
        f"({probability('delta network cheaper', item.p_cheaper)})"
    )


def _short(item: ImplementationResult) -> str:
    return {"snn": "SNN", "hybrid": "hybrid", "delta": "delta network"}.get(item.mode, "it")


def _called(item: ImplementationResult) -> str:
    """A name that can stand in a sentence; names of implementations hold commas."""
    return f"“{item.name}”"


def _hybrid(facts: Facts, hybrid: ImplementationResult) -> str:
    """The best hybrid, also against the baseline whose analog layers it shares."""
    text = (
        f"The best hybrid needs {energy(hybrid)}{_accuracy(hybrid, ' at ')}, "
        f"{ratio_text(hybrid.energy_J, facts.reference.energy_J)} "
        f"({probability('hybrid cheaper', hybrid.p_cheaper)})"
    )
    baseline = facts.baseline
    if baseline is None or baseline.name == facts.reference.name or baseline.energy_J <= 0:
        return text
    ratio = hybrid.energy_J / baseline.energy_J
    return f"{text} and {ratio:.3g} times “{baseline.name}”, whose analog layers it shares"
