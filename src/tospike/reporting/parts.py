"""The parts of a report: one decision, or one extra section, as HTML."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tospike.decision.record import Decision, ImplementationResult
from tospike.reporting import wording as say
from tospike.reporting.activity_figures import temporal_lines
from tospike.reporting.figures import energy_figure, pareto_figure, sensitivity_figure
from tospike.reporting.layer_map import layer_figure
from tospike.reporting.markup import Html, bullets, data_block, definitions, div, el, join, span
from tospike.reporting.plot import Figure
from tospike.reporting.section import Section, figure_dict
from tospike.reporting.tables import (
    badge,
    break_even_table,
    implementation_table,
    layer_table,
    mapping_table,
    model_table,
    sensitivity_table,
)


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
        _implementations(decision, numbering),
        _layers(decision, numbering),
        _sensitivity(decision, numbering),
        *(
            section_part(section, section.title, f"{ident}-extra-{i}", numbering, 3)
            for i, section in enumerate(extra, start=1)
        ),
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
    cards = [_probability_card(decision)]
    if best is not None:
        cards.append(_implementation_card("Winner", best, base, merit))
    if base is not None and base is not best:
        cards.append(_implementation_card("Reference", base, None, merit))
    if snn is not None and snn is not best:
        met = say.meets_floor(snn, decision)
        name = "Best SNN" if met else f"Closest SNN (below the {merit or 'accuracy'} floor)"
        cards.append(_implementation_card(name, snn, base, merit))
    if say.finite(decision.distance) is not None:
        even = say.break_even(decision.break_even_spikes_per_synapse)
        note = f"spikes per synapse {say.number(decision.spikes_per_synapse)}, break-even {even}"
        below = "; below 1 spiking wins"
        cards.append(
            _card(
                "Distance to break-even",
                say.times(decision.distance),
                div("card-note", note + below),
            )
        )
    spiking = [layer for layer in decision.layers if layer.mode == "snn"]
    eligible = sum(layer.eligible for layer in decision.layers)
    if decision.layers:
        note = f"{eligible} of {len(decision.layers)} can receive spikes"
        cards.append(_card("Layers that spike", f"{len(spiking)}", div("card-note", note)))
    return div("cards", *cards)


def _probability_card(decision: Decision) -> Html:
    value = say.finite(decision.p_snn_wins)
    if value is None:
        text = "not computed: nothing that spikes was compared with the reference"
        return _card("P(SNN wins)", say.DASH, div("card-note", text))
    bar = el("span", attrs={"style": f"width:{100 * value:.0f}%"})
    note = "share of draws of the constants, from their ranges, in which spiking needs less energy"
    return _card(
        "P(SNN wins)", say.probability(value), div("probability", bar), div("card-note", note)
    )


def _implementation_card(
    name: str, item: ImplementationResult, base: ImplementationResult | None, merit: str
) -> Html:
    notes = [f"{say.energy_range(item.energy_low_J, item.energy_high_J)} (5–95\N{NO-BREAK SPACE}%)"]
    ratio = say.relative(item, base)
    if ratio is not None and base is not item:
        notes.append(f"{say.times(ratio)} the reference")
    if (value := say.merit(item, merit)) is not None:
        tail = " with the float network" if merit == "agreement" else ""
        notes.append(f"{merit} {say.percent(value)}{tail}")
    else:
        notes.append("accuracy unknown (no labels)")
    return _card(
        name,
        say.energy(item.energy_J),
        div("card-who", badge(item.mode), " ", item.name),
        *(div("card-note", note) for note in notes),
    )


def _alerts(decision: Decision) -> Html:
    """Warnings and ranges left stand near the verdict, not in the small print."""
    blocks = []
    for title, items in (
        ("Warnings", decision.warnings),
        ("Outside the range of validity", decision.out_of_range),
    ):
        if items:
            blocks.append(div("alert", el("strong", title), bullets(items)))
    return join(blocks)


def _details(summary: str, content: object, *, is_open: bool = False) -> Html:
    return el("details", el("summary", summary), content, attrs={"open": is_open})


def _implementations(decision: Decision, numbering: Numbering) -> Html:
    pieces: list[object] = [el("h3", "Energy and accuracy of every implementation")]
    energy = energy_figure(decision)
    if energy is None:
        return join([*pieces, el("p", "No implementation was priced.")])
    caption = (
        "Energy per inference, stacked by component. Whiskers: 5–95 % from the ranges of the "
        "constants. Right of each bar: energy over the reference (dotted line), and the accuracy, "
        "or the agreement with the float network where there are no labels. "
        "All energies are modelled (counts × technology); activity and accuracy were measured by "
        "running the implementation, except where the bar is hatched."
    )
    pieces.append(numbering.figure(energy, caption, _energy_summary(decision)))
    front, merit = pareto_figure(decision), say.merit_name(decision)
    if front is None:
        pieces.append(
            el("p", "No accuracy is known (the data has no labels), so there is no Pareto front.")
        )
    else:
        caption = (
            f"{merit.capitalize()} against energy. Filled points are on the Pareto front: "
            "nothing else is both cheaper and better. Hollow points are dominated. The winner is "
            "named."
        )
        pieces.append(numbering.figure(front, caption, f"{merit} against energy; see the table"))
    pieces.append(
        _details("Table of implementations", implementation_table(decision), is_open=True)
    )
    return join(pieces)


def _energy_summary(decision: Decision) -> str:
    return "Energy per inference: " + "; ".join(
        f"{item.name} {say.energy(item.energy_J)}" for item in decision.implementations
    )


def _layers(decision: Decision, numbering: Numbering) -> Html:
    pieces: list[object] = [el("h3", "Layers: how far from break-even")]
    figure = layer_figure(decision)
    if figure is None:
        return join([*pieces, el("p", "The network has no layer with synapses.")])
    if not any(layer.eligible for layer in decision.layers):
        reasons = dict.fromkeys(layer.why_not for layer in decision.layers if layer.why_not)
        text = "No layer can receive spikes" + (f": {'; '.join(reasons)}." if reasons else ".")
        pieces.append(el("p", text, attrs={"class": "note"}))
    caption = (
        "Spikes per synapse and inference (dots), against the rate at which SNN and ANN need the "
        f"same energy (dashes; ANN model {decision.reference_model or 'of the reference'}). A dot "
        "below its dash: spiking wins in this layer. The strip below shows the mode chosen in the "
        "verdict; borders between modes are priced, so a neighbour can decide it."
    )
    pieces.append(numbering.figure(figure, caption, "Layer map; its numbers are in the table"))
    temporal = temporal_lines({layer.name: layer.temporal_sparsity for layer in decision.layers})
    if temporal is not None:
        caption = taken_title(temporal)
        pieces.append(numbering.figure(temporal, caption, "Temporal sparsity against threshold"))
    pieces.append(
        _details("Table of layers", layer_table(decision), is_open=len(decision.layers) <= 24)
    )
    others = break_even_table(decision)
    if others is not None:
        pieces.append(_details("Break-even against every ANN model", others))
    return join(pieces)


def _sensitivity(decision: Decision, numbering: Numbering) -> Html:
    models, constants = model_table(decision), sensitivity_table(decision)
    if models is None and constants is None:
        return Html("")
    pieces: list[object] = [el("h3", "What could reverse the verdict")]
    figure = sensitivity_figure(decision)
    who = decision.challenger
    challenged = f"P({who} needs less energy than the reference)" if who else "P(SNN wins)"
    if figure is not None:
        caption = (
            f"{challenged} with one constant held at an end of its range and all others drawn. "
            "Solid line: all drawn. Dashed line: even odds; a bar that crosses it can reverse the "
            "verdict."
        )
        pieces.append(numbering.figure(figure, caption, "Sensitivities; see the table"))
    elif constants is not None:
        text = "No single constant, anywhere in its range, moves the probability by 1 % or more."
        pieces.append(el("p", text))
    if constants is not None:
        pieces.append(_details("Table of constants", constants))
    if models is not None:
        pieces.append(models)
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
        pieces.append(_details(title, bullets(decision.assumptions), is_open=True))
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
        found["reference ANN model"] = decision.reference_model
    if (floor := say.merit_floor(decision)) is not None:
        found[f"{say.merit_name(decision) or 'accuracy'} floor"] = say.percent(floor)
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
        elif value is None or value == "":
            shown = say.DASH
        else:
            shown = value
        if key == "sha256":
            shown = span("hash", shown)
        pairs.append((_NAMES.get(key, str(key)), shown))
    return pairs
