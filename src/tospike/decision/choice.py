"""Who competes with whom: the reference, the SNN of the verdict, and the winner."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tospike.decision.candidates import Candidate, Floor
from tospike.decision.energy import Pricer, energy_of
from tospike.decision.options import Options
from tospike.decision.uncertainty import JointSamples
from tospike.pricing import Cost

#: a challenger that is cheaper at nominal prices must also be cheaper in this share of the draws
LEAST_PROBABILITY = 0.5


@dataclass(frozen=True)
class Choice:
    """The outcome of the comparison.

    ``reference`` is the cheapest analog implementation that keeps the floor. ``snn`` is the
    cheapest SNN that keeps it (``snn_meets``), or the one that comes closest. ``hybrid`` is the
    cheapest hybrid that keeps it, or None. ``winner`` is the reference, or the cheapest
    challenger that beats it at nominal prices and in at least half of the draws. ``challenger``
    is the winner, or, where the reference wins, the cheapest SNN, hybrid or delta network that
    may stand against it (None: there is none). ``delta`` is the cheapest delta network that may
    stand, or None.
    """

    reference: Candidate
    snn: Candidate | None
    snn_meets: bool
    hybrid: Candidate | None
    winner: Candidate
    challenger: Candidate | None
    delta: Candidate | None = None


def may_stand(candidate: Candidate, floor: Floor, options: Options) -> bool:
    """May this implementation be the reference or the winner?

    One that misses the floor may not. Where its accuracy is unknown, only those may that are not
    expected to lose any: the float network, the usual quantised baseline, and the delta network
    of the smallest threshold (the verdict then says that its accuracy was not measured).
    """
    met = floor.met_by(candidate)
    if met is not None:
        return met
    if candidate.mode == "qnn":
        return candidate.activation_bits == options.baseline_bits
    if candidate.mode == "delta":
        return candidate.design.implementation.delta_threshold == min(options.delta_thresholds)
    return candidate.mode == "ann"


def choose_snn(
    candidates: Sequence[Candidate], costs: Mapping[str, Cost], floor: Floor, options: Options
) -> tuple[Candidate | None, bool]:
    """The SNN of the verdict, and whether it keeps the floor.

    Without one that does: the one closest to it, among equals that of the fewest steps. Where
    nothing can be known, the one with the most steps, which is the most faithful.
    """
    snns = [item for item in candidates if item.mode == "snn"]
    if not snns:
        return None, False
    good = [item for item in snns if may_stand(item, floor, options)]
    if good:
        return min(good, key=lambda item: energy_of(costs[item.name])), True
    if floor.met_by(snns[0]) is None:
        return max(snns, key=lambda item: item.timesteps or 0), False
    return max(snns, key=lambda item: (floor.score(item), -(item.timesteps or 0))), False


def luck(
    chosen: Candidate,
    candidates: Sequence[Candidate],
    costs: Mapping[str, Cost],
    floor: Floor,
    n_samples: int,
) -> str:
    """Warns if ``chosen`` keeps the floor by less than one standard error; else "".

    Among many that are compared, the cheapest that just keeps the floor has often been lucky. The
    standard error is the binomial one, sqrt(a (1 - a) / n_samples).
    """
    least = floor.least
    if least is None or (floor.accuracy is None and floor.agreement is None):
        return ""

    def margin(item: Candidate) -> float:
        """Distance to the floor in binomial standard errors; nan where it is not known."""
        value = floor.value(item)
        if value is None or not 0 < value < 1:
            return math.nan
        return (value - least) / math.sqrt(value * (1 - value) / n_samples)

    if not 0 <= margin(chosen) < 1:
        return ""
    side = ("ann", "qnn") if chosen.mode in ("ann", "qnn") else (chosen.mode,)
    safe = [item for item in candidates if item.mode in side and margin(item) >= 1]
    by = f"{margin(chosen):.2g} standard errors of {n_samples} samples"
    text = f"{chosen.name} keeps {floor.words} by {by}"
    if not safe:
        return f"{text}; none of its kind keeps it by a whole one"
    best = min(safe, key=lambda item: energy_of(costs[item.name]))
    ratio = energy_of(costs[best.name]) / energy_of(costs[chosen.name])
    return (
        f"{text}; the cheapest of its kind that keeps it by a whole one is {best.name}, at "
        f"{ratio:.2f} times the energy"
    )


def choose(
    candidates: Sequence[Candidate],
    costs: Mapping[str, Cost],
    joint: JointSamples,
    floor: Floor,
    options: Options,
) -> Choice:
    """Compare energies of those that may stand; ties go to the analog side."""

    def energy(candidate: Candidate) -> float:
        return energy_of(costs[candidate.name])

    standing = [item for item in candidates if may_stand(item, floor, options)]
    reference = min((item for item in standing if item.mode in ("ann", "qnn")), key=energy)
    rivals = sorted((item for item in standing if item.mode not in ("ann", "qnn")), key=energy)
    winners = [
        item
        for item in rivals
        if energy(item) < energy(reference)
        and joint.p_cheaper(item.name, reference.name) >= LEAST_PROBABILITY
    ]
    snn, meets = choose_snn(candidates, costs, floor, options)
    first = winners[0] if winners else None
    return Choice(
        reference,
        snn,
        meets,
        next((item for item in rivals if item.mode == "hybrid"), None),
        first or reference,
        first or next(iter(rivals), None),
        next((item for item in rivals if item.mode == "delta"), None),
    )


def probability_by_model(
    pricer: Pricer,
    models: Sequence[str],
    candidates: Sequence[Candidate],
    choice: Choice,
    floor: Floor,
    options: Options,
    *,
    samples: int,
    seed: int,
) -> dict[str, float]:
    """P(SNN costs less) against the cheapest analog implementation under every ANN model.

    The analog layers of the SNN are counted with the same model. 0 for all if the SNN misses the
    floor: it cannot win then, whatever the constants.
    """
    if choice.snn is None or floor.met_by(choice.snn) is None:
        return {}
    if not choice.snn_meets:
        return dict.fromkeys(models, 0.0)
    rivals = [
        item
        for item in candidates
        if item.mode in ("ann", "qnn") and may_stand(item, floor, options)
    ]
    found = {}
    for model in models:
        costs = {item.name: pricer.cost(item.design, model) for item in rivals}
        best = min(costs.values(), key=energy_of)
        pair = {"snn": pricer.cost(choice.snn.design, model), "ann": best}
        found[model] = JointSamples(pair, samples=samples, seed=seed).p_cheaper("snn", "ann")
    return found
