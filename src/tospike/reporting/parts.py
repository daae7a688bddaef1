"""The parts of a report: one decision, or one extra section, as HTML."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tospike.decision.record import Decision, ImplementationResult
from tospike.reporting import deltas
from tospike.reporting import published as papers
from tospike.reporting import wording as say
from tospike.reporting.activity_figures import TEMPORAL_TITLE, temporal_lines
from tospike.reporting.figures import energy_figure, pareto_figure, sensitivity_figure
from tospike.reporting.layer_map import layer_figure
from tospike.reporting.markup import Html, bullets, data_block, definitions, div, el, join, span
from tospike.reporting.plot import Figure
from tospike.reporting.section import Section, figure_dict
from tospike.reporting.tables import (
    break_even_table,
    dot,
    implementation_table,
    layer_table,
    mapping_table,
    model_table,
    sensitivity_table,
)

#: lines of a warning box that are not folded
SHOWN_ALERTS = 3
#: tables with more rows than this are folded where a figure shows the same
OPEN_ROWS = 10


@dataclass
class Numbering:
    """Hands out the identifiers of figures; one per page."""

    figures: int = field(default=0)

    def figure(self, figure: Figure, caption: object, summary: str) -> Html:
        """A figure, its data beside it, its caption; ``summary`` is what a screen reader says."""
        self.figures += 1
        name = f"figure-{self.figures}"
        height = figure["layout"].get("height", 400)
        attrs = {
            "id": name,
            "class": "plot",
            "role": "img",
            "aria-label": summary,
            "style": f"min-height:{int(height)}px",
        }
        return el(
            "figure",
            el("div", attrs=attrs),
            data_block(figure, {"data-figure": name}),
            el("figcaption", caption) if caption else "",
        )


def decision_part(
    decision: Decision, title: str, ident: str, extra: Sequence[Section], numbering: Numbering
) -> Html:
    """Verdict, key numbers, figures, tables, and what the verdict rests on."""
    pieces = [
        el("h2", title),
        _verdict(decision),
        _key_numbers(decision),
        _alerts(decision),
        *(
            section_part(section, section.title, f"{ident}-extra-{i}", numbering, 3)
            for i, section in enumerate(extra, start=1)
        ),
        _implementations(decision, numbering),
        _deltas(decision, numbering),
        _layers(decision, numbering, temporal=not any(map(_shows_temporal, extra))),
        _sensitivity(decision, numbering),
        _published(decision, numbering),
        _rests_on(decision),
    ]
    return el("section", *pieces, attrs={"id": ident, "class": "part"})


def section_part(
    section: Section, title: str, ident: str, numbering: Numbering, level: int = 2
) -> Html:
    """An extra section; as a part of its own (level 2) or inside a decision (level 3)."""
    pieces: list[object] = [el(f"h{level}", title)]
    pieces += [el("p", text) for text in re.split(r"\n\s*\n", section.text) if text.strip()]
    for i, figure in enumerate(section.figures):
        where = f"section {section.title!r}, figure {i}"
        drawn = figure_dict(figure, where)
        caption = taken_title(drawn)
        pieces.append(numbering.figure(drawn, caption, caption or title))
    if section.table:
        pieces.append(mapping_table(title, section.table))
    kind = "part" if level == 2 else "extra"
    return el("section", *pieces, attrs={"id": ident, "class": kind})


def taken_title(figure: Figure) -> str:
    """The figure's title, moved from the drawing to the caption, where it wraps."""
    title = figure["layout"].pop("title", None)
    text = title.get("text") if isinstance(title, Mapping) else title
    return str(text or "")


def _verdict(decision: Decision) -> Html:
    best = say.winner(decision)
    kind = f"verdict {best.mode}" if best and best.mode in say.MODE_TITLES else "verdict"
    first, rest = say.headline(decision.verdict)
    pieces = [span("headline", first), *([" ", span("lead", rest)] if rest else [])]
    return el("p", *pieces, attrs={"class": kind})


def _card(name: str, value: object, *below: object) -> Html:
    return div("card", div("card-name", name), div("card-value", value), *below)


def _key_numbers(decision: Decision) -> Html:
    """The numbers that one looks for first."""
    best, base, snn = say.winner(decision), say.reference(decision), say.best_snn(decision)
    merit = say.merit_name(decision)
    cards = []
    if best is not None:
        name = "Winner and reference" if best is base else "Winner"
        cards.append(_implementation_card(name, best, base, merit))
    if base is not None and base is not best:
        cards.append(_implementation_card("Reference", base, None, merit))
    if snn is not None and snn is not best:
        if say.below_floor(snn, decision):
            name = "Most accurate SNN, below the floor"
        elif (floor := say.merit_floor(decision)) is not None:
            name = f"Cheapest SNN, {merit} ≥ {say.merit_text(floor, merit)}"
        else:
            name = "Cheapest SNN"
        cards.append(_implementation_card(name, snn, base, merit))
    even = _break_even_card(decision)
    if not even or say.finite(decision.p_snn_wins) is not None or best is not None:
        cards.append(_probability_card(decision, best))
    return div("cards", *cards, even, _spiking_card(decision))


def _spiking_card(decision: Decision) -> Html:
    """How many layers spike in the verdict; if none does, how many could."""
    layers = decision.layers
    spiking = sum(layer.mode == "snn" for layer in layers)
    eligible = sum(layer.eligible for layer in layers)
    if not layers:
        return Html("")
    if spiking:
        note = f"in the verdict; {eligible} can receive spikes"
        return _card("Layers that spike", f"{spiking} of {len(layers)}", div("card-note", note))
    note = "none spikes in the verdict"
    return _card("Layers that can spike", f"{eligible} of {len(layers)}", div("card-note", note))


def _probability_card(decision: Decision, best: ImplementationResult | None) -> Html:
    name, value = "P(SNN wins)", say.finite(decision.p_snn_wins)
    note = "share of draws of the constants, from their ranges, in which spiking needs less energy"
    if value is None and best is not None and not best.reference:
        name, value = "P(winner cheaper)", say.finite(best.p_cheaper)
        note = "share of draws of the constants in which it needs less energy than the reference"
    if value is None:
        text = "not computed: nothing that spikes was compared with the reference"
        return _card(name, say.DASH, div("card-note", text))
    bar = el("span", attrs={"style": f"width:{100 * value:.0f}%"})
    return _card(name, say.probability(value), div("probability", bar), div("card-note", note))


def _break_even_card(decision: Decision) -> Html:
    """Distance to break-even; where no SNN was run, the break-even itself."""
    value = decision.break_even_spikes_per_synapse
    if value is None or not any(layer.eligible for layer in decision.layers):
        return Html("")
    even = say.break_even(value)
    against = f"against {say.model_title(decision.reference_model)}"
    if (distance := say.finite(decision.distance)) is None:
        note = f"spikes per synapse and inference, below which spiking pays {against}"
        return _card("Break-even", even, div("card-note", note))
    rate = say.number(decision.spikes_per_synapse)
    verdict = "too many spikes" if distance > 1 else "few enough spikes"
    note = f"{verdict}: {rate} per synapse and inference, break-even {even} {against}"
    return _card("Spikes over break-even", say.times(distance), div("card-note", note))


def _implementation_card(
    name: str, item: ImplementationResult, base: ImplementationResult | None, merit: str
) -> Html:
    notes = [f"{say.energy_range(item.energy_low_J, item.energy_high_J)} (5–95\N{NO-BREAK SPACE}%)"]
    ratio = say.relative(item, base)
    if ratio is not None and base is not item:
        notes.append(f"{say.times(ratio)} the reference")
    if (value := say.merit(item, merit)) is not None:
        tail = _MERIT_TAILS.get(merit, "")
        notes.append(f"{merit} {say.merit_text(value, merit)}{tail}")
    elif item.mode != "ann" or merit != "SNR":
        notes.append(f"{merit or 'accuracy'} not measured")
    if (read := say.finite(item.weight_bytes_per_step)) is not None:
        notes.append(f"{say.traffic(read)} of weights per step, {say.saving(item)}")
    return _card(
        name,
        say.energy(item.energy_J),
        div("card-who", dot(item.mode), item.name),
        *(div("card-note", note) for note in notes),
    )


def _alerts(decision: Decision) -> Html:
    """Warnings and ranges left stand near the verdict; more than three lines are folded."""
    blocks = []
    for title, lines in (
        ("Warnings", decision.warnings),
        ("Outside the range of validity", decision.out_of_range),
    ):
        items = list(say.merged(lines))
        shown, rest = items[:SHOWN_ALERTS], items[SHOWN_ALERTS:]
        folded = _details(f"{len(rest)} more", bullets(rest)) if rest else ""
        if items:
            blocks.append(div("alert", el("strong", title), bullets(shown), folded))
    return join(blocks)


def _details(summary: str, content: object, *, is_open: bool = False) -> Html:
    return el("details", el("summary", summary), content, attrs={"open": is_open})


def _implementations(decision: Decision, numbering: Numbering) -> Html:
    pieces: list[object] = [el("h3", _ENERGY_TITLES[say.merit_name(decision) == "SNR"])]
    energy = energy_figure(decision)
    if energy is None:
        return join([*pieces, el("p", "No implementation was priced.")])
    caption = (
        "Energy per inference, stacked by component. Whiskers: 5–95 % from the ranges of the "
        "constants. Beside each bar: energy over the reference (dotted line)"
        f"{_MERIT_WORDS[say.merit_name(decision)]}. "
        "All energies are modelled (counts × technology). "
        f"{_evidence_words(decision)}"
    )
    pieces.append(numbering.figure(energy, caption, _energy_summary(decision)))
    front, merit = pareto_figure(decision), say.merit_name(decision)
    if front is None:
        known = "Only one" if merit else "No"
        text = f"{known} accuracy is known, so accuracy is not drawn against energy."
        pieces.append(el("p", text))
    else:
        caption = (
            f"{merit[:1].upper()}{merit[1:]} against energy. Filled points are on the Pareto "
            "front: nothing else is both cheaper and better. The winner is named."
        )
        pieces.append(numbering.figure(front, caption, f"{merit} against energy; see the table"))
    pieces.append(
        _details(
            f"Table of implementations ({len(decision.implementations)})",
            implementation_table(decision),
            is_open=len(decision.implementations) <= OPEN_ROWS,
        )
    )
    return join(pieces)


_ENERGY_TITLES = (
    "Energy and accuracy of every implementation",
    "Energy and signal-to-noise ratio of every implementation",
)
_MERIT_TAILS = {"agreement": " with the float network", "SNR": " against the float network"}
_MERIT_WORDS = {
    "": "",
    "accuracy": ", and the accuracy; pale bars miss the accuracy floor",
    "agreement": ", and the agreement with the float network; pale bars miss its floor",
    "SNR": ", and the SNR against the float network; pale bars miss its floor",
}


def _evidence_words(decision: Decision) -> str:
    """What was run and what was not."""
    modelled = sum(item.evidence != "measured" for item in decision.implementations)
    if not modelled:
        return "Activity and accuracy were measured by running each implementation on the data."
    if modelled == len(decision.implementations):
        return "Nothing was run (hatched): the activity is assumed or taken from elsewhere."
    return "Activity was measured by running the implementation, except where the bar is hatched."


def _energy_summary(decision: Decision) -> str:
    return "Energy per inference: " + "; ".join(
        f"{item.name} {say.energy(item.energy_J)}" for item in decision.implementations
    )


def _shows_temporal(section: Section) -> bool:
    """Whether the section holds Γ against Θ already."""
    return any(
        taken_title(figure_dict(figure, section.title)) == TEMPORAL_TITLE
        for figure in section.figures
    )


def _layers(decision: Decision, numbering: Numbering, *, temporal: bool) -> Html:
    eligible = any(layer.eligible for layer in decision.layers)
    title = "Layers: how far from break-even" if _spikes(decision) else "Layers and break-even"
    pieces: list[object] = [el("h3", title if eligible else "Layers")]
    figure = layer_figure(decision)
    if figure is None:
        return join([*pieces, el("p", "The network has no layer with synapses.")])
    if not eligible:
        reasons = say.merged(layer.why_not for layer in decision.layers if layer.why_not)
        text = "No layer can receive spikes" + (f": {'; '.join(reasons)}." if reasons else ".")
        pieces.append(el("p", text, attrs={"class": "note"}))
    caption = (
        f"{_dots(decision)} the rate at which SNN and ANN need the same energy (dashes; ANN model "
        f"{say.model_title(decision.reference_model) or 'of the reference'}). "
        f"{_DOT_WORDS if _spikes(decision) else _DASH_WORDS} The strip below shows the mode chosen "
        "in the verdict; borders between modes are priced, so a neighbour can decide it."
    )
    # Where nothing can spike there is nothing to compare with break-even.
    if eligible or _spikes(decision):
        pieces.append(numbering.figure(figure, caption, "Layer map; its numbers are in the table"))
    gamma = temporal_lines({layer.name: layer.temporal_sparsity for layer in decision.layers})
    if gamma is not None and temporal:
        caption = taken_title(gamma)
        pieces.append(numbering.figure(gamma, caption, "Temporal sparsity against threshold"))
    pieces.append(
        _details(
            f"Table of layers ({len(decision.layers)})",
            layer_table(decision),
            is_open=len(decision.layers) <= OPEN_ROWS,
        )
    )
    others = break_even_table(decision)
    if others is not None:
        pieces.append(_details("Break-even against every ANN model", others))
    return join(pieces)


_DOT_WORDS = (
    "A dot below its dash: spiking wins in this layer; the distance is spikes per synapse over "
    "break-even."
)
_DASH_WORDS = "No SNN was run, so there are no dots: spiking would win below a layer's dash."


def _spikes(decision: Decision) -> bool:
    return any(say.finite(layer.spikes_per_synapse) is not None for layer in decision.layers)


def _dots(decision: Decision) -> str:
    if _spikes(decision):
        return "Spikes per synapse and inference (dots), against"
    return "Spikes per synapse and inference:"


def _sensitivity(decision: Decision, numbering: Numbering) -> Html:
    models, constants = model_table(decision), sensitivity_table(decision)
    if models is None and constants is None:
        return Html("")
    pieces: list[object] = [el("h3", "What could reverse the verdict")]
    figure = sensitivity_figure(decision)
    pieces += [
        el("p", text)
        for text in (say.models_in_words(decision), say.constants_in_words(decision))
        if text
    ]
    who = decision.challenger
    challenged = f"P({who} needs less energy than the reference)" if who else "P(SNN wins)"
    if figure is not None and any(item.reverses for item in decision.sensitivities):
        caption = (
            f"{challenged} with one constant held at an end of its range and all others drawn. "
            "Solid line: all drawn. Dashed line: even odds; a bar that crosses it can reverse the "
            "verdict."
        )
        pieces.append(numbering.figure(figure, caption, "Sensitivities; see the table"))
    if models is not None:
        pieces.append(models)
    if constants is not None:
        summary = f"Table of constants ({len(decision.sensitivities)})"
        pieces.append(_details(summary, constants))
    return join(pieces)


def _published(decision: Decision, numbering: Numbering) -> Html:
    """What each paper would say: sentences, figure, table, assumptions."""
    shown = papers.published_html(decision)
    if shown is None:
        return Html("")
    pieces: list[object] = [el("h3", papers.TITLE)]
    pieces += [el("p", text) for text in papers.in_words(decision)]
    figure = papers.published_figure(decision)
    if figure is not None:
        pieces.append(numbering.figure(figure, papers.CAPTION, papers.figure_summary(decision)))
    pieces.append(
        _details(
            f"Table of published models ({len(decision.published)})", shown, is_open=figure is None
        )
    )
    if assumed := papers.published_assumptions(decision):
        pieces.append(_details("What these comparisons assume", assumed))
    return join(pieces)


def _deltas(decision: Decision, numbering: Numbering) -> Html:
    """Delta networks that were run; nothing where the network could be none."""
    words = deltas.in_words(decision)
    if not words:
        return Html("")
    pieces: list[object] = [el("h3", deltas.TITLE)]
    pieces += [el("p", text) for text in words]
    if (figure := deltas.traffic_figure(decision)) is not None:
        merit = say.merit_name(decision)
        caption = (
            f"{merit[:1].upper()}{merit[1:]} against the bytes of weights that one time step reads"
            "; hollow points miss the floor. All of it is measured."
        )
        pieces.append(numbering.figure(figure, caption, f"{merit} against weight traffic"))
    pieces += [
        shown for shown in (deltas.run_table(decision), deltas.layer_table(decision)) if shown
    ]
    return join(pieces)


_NAMES = {
    "name": "name",
    "title": "title",
    "importer": "read by",
    "sha256": "SHA-256",
    "n_synapses": "synapses (MACs per inference)",
    "n_neurons": "neurons",
    "n_weights": "weights",
    "origin": "origin",
    "n_samples": "samples",
    "labelled": "with labels",
    "node_nm": "process node (nm)",
}


def _rests_on(decision: Decision) -> Html:
    """Assumptions, and where network, data and prices come from."""
    pieces: list[object] = [el("h3", "What this rests on")]
    if decision.assumptions:
        title = f"Assumptions ({len(decision.assumptions)})"
        pieces.append(_details(title, bullets(decision.assumptions)))
    blocks = [
        div("block", el("h4", title), definitions(_pairs(values)))
        for title, values in (
            ("Network", decision.network),
            ("Data", decision.data),
            ("Technology", decision.technology),
            ("Comparison", _comparison(decision)),
        )
        if values
    ]
    return join([*pieces, div("blocks", *blocks)])


def _comparison(decision: Decision) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if decision.reference_model:
        found["reference ANN model"] = (
            f"{say.model_title(decision.reference_model)} ({decision.reference_model})"
        )
    if (floor := say.merit_floor(decision)) is not None:
        merit = say.merit_name(decision)
        found[f"{merit or 'accuracy'} floor"] = say.merit_text(floor, merit)
    keys = [str(source.get("key", "")) for source in decision.sources]
    if keys:
        found["sources"] = ", ".join(keys)
    return found


def _pairs(values: Mapping[str, Any]) -> list[tuple[str, object]]:
    pairs: list[tuple[str, object]] = []
    for key, value in values.items():
        if isinstance(value, bool):
            shown: object = "yes" if value else "no"
        elif isinstance(value, int) and str(key).startswith("n_"):
            shown = f"{value:,}".replace(",", "\N{NO-BREAK SPACE}")
        elif isinstance(value, list | tuple):
            shown = "; ".join(map(str, value)) or say.DASH
        elif isinstance(value, float):
            shown = f"{value:g}"
        elif value is None or value == "":
            shown = say.DASH
        else:
            shown = value
        if key == "sha256":
            shown = span("hash", shown)
        pairs.append((_NAMES.get(key, str(key)), shown))
    return pairs
