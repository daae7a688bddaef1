"""Numbers as text, and what is read off a decision. Shared by the HTML page and the terminal."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence

from tospike.decision.record import Decision, ImplementationResult, LayerResult, Sensitivity
from tospike.equations import MODELS
from tospike.units import si

DASH = "–"

#: mode -> words for people
MODE_TITLES = {
    "ann": "ANN",
    "qnn": "quantised ANN",
    "snn": "SNN",
    "hybrid": "hybrid",
    "delta": "delta network",
}


def finite(value: float | None) -> float | None:
    """``value`` as a float, or None where it is missing, NaN or infinite."""
    if value is None or not math.isfinite(value):
        return None
    return float(value)


def energy(value: float | None) -> str:
    """``1.31e-8`` -> "13.1 nJ"."""
    number = finite(value)
    return DASH if number is None else si(number, "J")


def energy_range(low: float | None, high: float | None) -> str:
    """``(9.1e-9, 1.4e-8)`` -> "9.1–14 nJ"; both ends in full where their prefixes differ."""
    if finite(low) is None or finite(high) is None:
        return DASH
    left, right = energy(low), energy(high)
    if left.split(" ")[-1] == right.split(" ")[-1]:
        left = left.split(" ")[0]
    return f"{left}–{right}"


def percent(value: float | None, digits: int = 1) -> str:
    """``0.912`` -> "91.2 %"."""
    number = finite(value)
    return DASH if number is None else f"{100 * number:.{digits}f} %"


def probability(value: float | None) -> str:
    """A probability estimated by sampling: never printed as exactly 0 % or 100 %."""
    number = finite(value)
    if number is None:
        return DASH
    if number < 0.01:
        return "< 1 %"
    if number > 0.99:
        return "> 99 %"
    return f"{100 * number:.0f} %"


def number(value: float | None, digits: int = 3) -> str:
    """A plain ratio or rate with ``digits`` significant digits."""
    found = finite(value)
    return DASH if found is None else f"{found:.{digits}g}"


def times(value: float | None) -> str:
    """``1.8`` -> "1.80×"."""
    found = finite(value)
    if found is None:
        return DASH
    if 0.1 <= found < 100:
        return f"{found:.2f}×"
    return f"{found:.0f}×" if 100 <= found < 1e4 else f"{found:.2g}×"


def amount(value: float | None) -> str:
    """``1234567`` -> "1.23 M"."""
    found = finite(value)
    if found is None:
        return DASH
    return f"{found:g}" if abs(found) < 1000 and found == int(found) else si(found, "").strip()


def traffic(value: float | None) -> str:
    """Bytes per step: "937 kB"."""
    number = finite(value)
    return DASH if number is None else si(number, "B")


def saving(item: ImplementationResult) -> str:
    """ "2.86 times less than dense"; "as much as dense" where nothing is saved."""
    read, dense = finite(item.weight_bytes_per_step), finite(item.dense_weight_bytes_per_step)
    if not read or not dense:
        return DASH if read is None else "nothing read"
    return f"{dense / read:.3g} times less than dense" if read < dense else "as much as dense"


def delta_runs(decision: Decision) -> list[ImplementationResult]:
    """The delta networks that were run on the data."""
    return [item for item in decision.implementations if item.delta]


def shown_delta(decision: Decision) -> ImplementationResult | None:
    """The delta network whose layers are shown: the winner, else the cheapest within the floor,
    else the one that comes closest to it."""
    found = delta_runs(decision)
    won = next((item for item in found if item.name == decision.winner), None)
    keeping = [item for item in found if meets_floor(item, decision)]
    if won is not None or not found:
        return won
    if keeping:
        return min(keeping, key=lambda item: finite(item.energy_J) or math.inf)
    name = merit_name(decision)
    return max(found, key=lambda item: merit(item, name) or -math.inf)


def mode_title(mode: str) -> str:
    """Words for a mode; an unknown mode is shown as it is."""
    return MODE_TITLES.get(mode, mode)


def model_title(key: str) -> str:
    """The words of an energy model, "Eyeriss v1"; an unknown key is shown as it is."""
    return MODELS[key].title if key in MODELS else key


def part_title(decision: Decision) -> str:
    """ "LeNet on Fashion-MNIST test images" from what the decision says of itself.

    Of a path only the file is named; the whole origin stands in the provenance. An origin that
    is a description rather than a name is left out.
    """
    name = str(decision.network.get("name") or "network")
    origin = str(decision.data.get("origin") or "")
    if re.fullmatch(r"(?:[A-Za-z]:)?[/\\]\S*", origin):
        origin = re.split(r"[/\\]", origin.rstrip("/\\"))[-1]
    return f"{name} on {origin}" if 0 < len(origin) <= 60 else name


def winner(decision: Decision) -> ImplementationResult | None:
    """The winning implementation, None if its name is not in the list."""
    return next((item for item in decision.implementations if item.name == decision.winner), None)


def reference(decision: Decision) -> ImplementationResult | None:
    """The baseline that the verdict compares with."""
    return next((item for item in decision.implementations if item.reference), None)


def headline(verdict: str, limit: int = 140) -> tuple[str, str]:
    """(what is read first, the rest): the first sentence, or its first clause if it is long.

    A clause becomes a sentence of its own; numbers are kept on one line with their units.
    """
    text = re.sub(r"(?<=\d) (?=(?:%|[fpnµm]?J)(?!\w))", "\N{NO-BREAK SPACE}", verdict)
    first, *rest = re.split(r"(?<=[.!?])\s+(?=[A-Z])", text, maxsplit=1)
    if len(first) > limit and "; " in first:
        first, after = first.split("; ", 1)
        return f"{first}.", " ".join([after[:1].upper() + after[1:], *rest])
    return first, " ".join(rest)


def summary(verdict: str) -> str:
    """What a list of verdicts shows: the headline, with the next sentence if it is very short."""
    first, rest = headline(verdict)
    return f"{first} {headline(rest)[0]}" if rest and len(first) < 40 else first


def merit_name(decision: Decision) -> str:
    """What quality is measured by: "accuracy", without labels "agreement", where the output is no
    class score "SNR", or nothing."""
    for name, field in (("accuracy", "accuracy"), ("agreement", "agreement"), ("SNR", "snr_db")):
        if any(finite(getattr(item, field)) is not None for item in decision.implementations):
            return name
    return ""


def merit(item: ImplementationResult, name: str) -> float | None:
    """The accuracy, the agreement with the float network or the SNR in dB, as
    :func:`merit_name` says."""
    if name == "SNR":
        return finite(item.snr_db)
    return finite(item.agreement if name == "agreement" else item.accuracy)


def merit_unit(name: str) -> str:
    """The unit in which it is shown."""
    return "dB" if name == "SNR" else "%"


def merit_height(value: float, name: str) -> float:
    """The number to show beside the unit."""
    return value if name == "SNR" else 100 * value


def merit_text(value: float | None, name: str) -> str:
    """ "91.2 %", "24.1 dB"."""
    found = finite(value)
    if found is None:
        return DASH
    return f"{merit_height(found, name):.1f} {merit_unit(name)}"


def merit_floor(decision: Decision) -> float | None:
    """The least accuracy, agreement or SNR that the verdict asks for."""
    name = merit_name(decision)
    if name == "SNR":
        return finite(decision.snr_floor_db)
    return finite(decision.agreement_floor if name == "agreement" else decision.accuracy_floor)


def meets_floor(item: ImplementationResult, decision: Decision) -> bool:
    """Whether the verdict may choose it; where nothing is known of that, it may."""
    if item.meets_floor is not None:
        return item.meets_floor
    floor, value = merit_floor(decision), merit(item, merit_name(decision))
    return floor is None or (value is not None and value >= floor)


def below_floor(item: ImplementationResult, decision: Decision) -> bool:
    """Whether it is known to miss the floor; an unknown accuracy is not below it."""
    return not meets_floor(item, decision) and (
        item.meets_floor is not None or merit(item, merit_name(decision)) is not None
    )


def best_snn(decision: Decision) -> ImplementationResult | None:
    """The SNN of least energy among those that meet the floor of accuracy or agreement.

    If none meets it, the most accurate one, which comes closest.
    """
    snns = [item for item in decision.implementations if item.mode == "snn"]
    meeting = [item for item in snns if meets_floor(item, decision)]
    if meeting or not snns:
        return min(meeting, key=lambda item: finite(item.energy_J) or math.inf, default=None)
    name = merit_name(decision)
    return max(snns, key=lambda item: merit(item, name) or 0.0)


def relative(item: ImplementationResult | None, base: ImplementationResult | None) -> float | None:
    """Energy of ``item`` over that of ``base``."""
    if item is None or base is None:
        return None
    above, below = finite(item.energy_J), finite(base.energy_J)
    return above / below if above is not None and below else None


def distance(layer: LayerResult) -> float | None:
    """spikes per synapse over break-even, None where there are no spikes or no break-even."""
    return finite(layer.distance)


def break_even(value: float | None) -> str:
    """A break-even rate as text: 0 is below no rate, infinity above every rate."""
    if value is None or math.isnan(value):
        return DASH
    if value <= 0:
        return "never"
    return "any rate" if math.isinf(value) else number(value)


def shapes(layer: LayerResult) -> str:
    """ "3×224×224 → 64×224×224", empty where the shapes are not known."""
    if not (layer.input_shape or layer.output_shape):
        return ""
    return " → ".join(
        "×".join(map(str, shape)) or "?" for shape in (layer.input_shape, layer.output_shape)
    )


def important(decision: Decision) -> list[Sensitivity]:
    """Sensitivities, those that reverse the verdict first, then by how far they move P."""

    def key(item: Sensitivity) -> tuple[bool, float]:
        low, high = finite(item.p_snn_wins_low), finite(item.p_snn_wins_high)
        swing = abs(high - low) if low is not None and high is not None else 0.0
        return (not item.reverses, -swing)

    return sorted(decision.sensitivities, key=key)


def constants_in_words(decision: Decision) -> str:
    """One sentence on what the constants can do to the verdict; empty if none was tried."""
    found = decision.sensitivities
    if not found:
        return ""
    who = f"P({decision.challenger} cheaper)" if decision.challenger else "P(SNN wins)"
    reversing = [item.constant for item in important(decision) if item.reverses]
    if reversing:
        named = listed(reversing[:3])
        more = f" and {len(reversing) - 3} more" if len(reversing) > 3 else ""
        return f"Within their ranges, {named}{more} can reverse the verdict, each alone."
    ends = [
        value
        for item in found
        for value in (finite(item.p_snn_wins_low), finite(item.p_snn_wins_high))
        if value is not None
    ]
    low, high = probability(min(ends, default=None)), probability(max(ends, default=None))
    stays = f": {who} stays {low}" if low == high else f": {who} stays between {low} and {high}"
    return (
        f"None of the constants tried, anywhere in its range, reverses the verdict"
        f"{stays if ends else ''}."
    )


def models_in_words(decision: Decision) -> str:
    """One sentence on ANN models against which the outcome is another than the reference's."""
    base = finite(decision.p_snn_wins)
    if base is None:
        return ""
    other = [
        f"{model_title(key)} ({probability(value)})"
        for key, value in decision.p_snn_wins_by_model.items()
        if (finite(value) is not None) and (value > 0.5) != (base > 0.5)
    ]
    if not other:
        count = len(decision.p_snn_wins_by_model)
        return f"It is the same against all {count} ANN models." if count > 1 else ""
    does = "wins" if base <= 0.5 else "no longer wins"
    return f"The ANN model matters: spiking {does} against {listed(other)}."


def listed(items: Sequence[str]) -> str:
    """ "a, b and c"."""
    return " and ".join([", ".join(items[:-1]), items[-1]]) if len(items) > 1 else "".join(items)


_NUMBER = re.compile(r"(?<![\w.])\d+(?:\.\d+)?(?![\w.]*\w)")


def merged(lines: Iterable[str]) -> dict[str, list[str]]:
    """Lines that differ in one number become one: shown text -> the lines it stands for.

    "a of 3 bit", "a of 7 bit" -> "a of 3 and 7 bit"; more than six numbers become a range.
    """
    groups: dict[str, list[str]] = {}
    for line in dict.fromkeys(lines):
        groups.setdefault(_NUMBER.sub("#", line), []).append(line)
    found: dict[str, list[str]] = {}
    for members in groups.values():
        columns = list(zip(*(_NUMBER.findall(line) for line in members), strict=True))
        varying = [i for i, column in enumerate(columns) if len(set(column)) > 1]
        if len(varying) != 1:
            found |= {line: [line] for line in members}
            continue
        values = sorted(set(columns[varying[0]]), key=float)
        short = [f"{float(v):.0f}" if float(v) >= 100 else v for v in (values[0], values[-1])]
        text = listed(values) if len(values) <= 6 else " to ".join(short)
        places = list(_NUMBER.finditer(members[0]))
        start, end = places[varying[0]].span()
        found[members[0][:start] + text + members[0][end:]] = members
    return found
