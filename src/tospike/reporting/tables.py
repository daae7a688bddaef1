"""Tables of one decision as HTML."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from tospike.decision.record import Decision, ImplementationResult, LayerResult, plain
from tospike.reporting import wording as say
from tospike.reporting.markup import (
    Cell,
    Column,
    Html,
    div,
    el,
    esc,
    informative,
    join,
    span,
    table,
)
from tospike.reporting.palette import mode_style

_MERITS = {
    "agreement": "share of samples on which it gives the class of the float network",
    "SNR": "power of the float network's output over that of the difference from it",
}


def badge(mode: str) -> Html:
    """The mode in its colour, with its words."""
    attrs = {"class": "badge", "style": f"--badge:{mode_style(mode)[0]}"}
    return el("span", say.mode_title(mode), attrs=attrs)


def dot(mode: str) -> Html:
    """The mode as a point in its colour; its words are the tooltip."""
    attrs = {"class": "dot", "style": f"--badge:{mode_style(mode)[0]}"}
    return el("span", attrs=attrs | {"title": say.mode_title(mode)})


def below(text: str) -> Html:
    """A small second line, nothing if there is none."""
    return span("below", text) if text else Html("")


def numbered(text: str, value: float | None) -> Cell:
    """A number's text, sorted by its value."""
    return Cell(text, say.finite(value))


def implementation_table(decision: Decision) -> Html:
    """Every implementation with its accuracy, energy, range and evidence."""
    base, merit = say.reference(decision), say.merit_name(decision)
    columns = (
        Column("implementation"),
        Column("remarks"),
        Column("T", True, "time steps"),
        Column("bits", True, "bits of an activation"),
        Column(merit or "accuracy", True, _MERITS.get(merit, "")),
        Column(
            "energy (5–\N{WORD JOINER}95\N{NO-BREAK SPACE}%)",
            True,
            "per inference; range from the ranges of the constants",
        ),
        Column("×\N{NO-BREAK SPACE}reference", True),
        Column("P(cheaper)", True, "share of draws in which it needs less than the reference"),
        Column("spikes per synapse", True),
        Column("evidence", hint="how activity and accuracy were obtained; energies are modelled"),
        Column("energy model"),
    )
    # What is the same everywhere is said once, in the caption.
    evidence = {item.evidence for item in decision.implementations}
    alike = len(evidence) == 1
    caption = f"Implementations, all {evidence.pop()}" if alike else "Implementations"
    notes = say.merged(note for item in decision.implementations for note in item.notes)
    numbers = {line: i for i, lines in enumerate(notes.values(), start=1) for line in lines}
    rows = [
        _implementation_row(item, decision, base, numbers, alike)
        for item in decision.implementations
    ]
    shown = table(caption, *informative(columns, rows))
    if not notes:
        return shown
    below = el("ol", *(el("li", note) for note in notes), attrs={"class": "notes"})
    summary = el("summary", f"Notes to the table ({len(notes)})")
    return join((shown, el("details", summary, below)))


def _implementation_row(
    item: ImplementationResult,
    decision: Decision,
    base: ImplementationResult | None,
    notes: Mapping[str, int],
    alike: bool,
) -> list[Cell]:
    ratio, value = say.relative(item, base), say.merit(item, say.merit_name(decision))
    marks = [span("mark won", "winner")] if item.name == decision.winner else []
    marks += [span("mark", "reference")] if item.reference else []
    marks += [span("mark", "Pareto front")] if item.on_pareto_front and value is not None else []
    marks += [span("mark low", "below the floor")] if say.below_floor(item, decision) else []
    numbers = ", ".join(map(str, sorted({notes[note] for note in item.notes})))
    name = join((dot(item.mode), item.name, el("sup", f" [{numbers}]") if numbers else ""))
    span_text = say.energy_range(item.energy_low_J, item.energy_high_J)
    return [
        Cell(name, kind="name"),
        Cell(join(marks, " "), kind="marks"),
        numbered(say.DASH if item.timesteps is None else str(item.timesteps), item.timesteps),
        numbered(
            say.DASH if item.activation_bits is None else str(item.activation_bits),
            item.activation_bits,
        ),
        numbered(say.merit_text(value, say.merit_name(decision)), value),
        Cell(
            join((say.energy(item.energy_J), span("beside", f" {span_text}"))),
            say.finite(item.energy_J),
        ),
        numbered(say.times(ratio), ratio),
        numbered(say.probability(item.p_cheaper), item.p_cheaper),
        numbered(say.number(item.spikes_per_synapse), item.spikes_per_synapse),
        Cell("" if alike else item.evidence),
        Cell(_model_cell(item), kind="note"),
    ]


def _model_cell(item: ImplementationResult) -> Html:
    """The energy model, and the technology where it is another than the decision's."""
    if not item.technology:
        return esc(item.energy_model)
    return join((item.energy_model, " ", span("beside", f"({item.technology})")))


def distance_bar(layer: LayerResult) -> Html:
    """A bar that needs no script: left of the middle spiking wins, right of it it loses."""
    value = say.distance(layer)
    if value is None:
        return Html("")
    depth = 1.0 if value <= 0 else min(1.0, abs(math.log10(value)) / 2)
    side = "wins" if value < 1 else "loses"
    bar = el("span", attrs={"class": side, "style": f"width:{50 * depth:.1f}%"})
    return el("span", bar, attrs={"class": "distance", "aria-hidden": "true"})


def layer_table(decision: Decision) -> Html:
    """Every layer with its activity, break-even and mode."""
    columns = (
        Column("layer"),
        Column("mode"),
        Column("synapses", True, "MACs per inference"),
        Column("neurons", True),
        Column("weights", True),
        Column("zero fraction", True, "share of input values that are exactly 0, in the ANN"),
        Column("spikes per synapse", True, "measured in the SNN, over all time steps"),
        Column("break-even", True, "spikes per synapse at which SNN and ANN need the same energy"),
        Column("distance", True, "spikes per synapse over break-even; below 1 spiking wins"),
        Column("operations", True, "synaptic operations with a non-zero input, per inference"),
        Column("energy as ANN", True),
        Column("energy as SNN", True),
    )
    return table("Layers", *informative(columns, [_layer_row(layer) for layer in decision.layers]))


def _layer_row(layer: LayerResult) -> list[Cell]:
    distance = say.distance(layer)
    shape = ", ".join(text for text in (layer.kind, say.shapes(layer)) if text)
    barred = "" if layer.eligible else "cannot receive spikes"
    if barred and layer.why_not:
        barred += f": {layer.why_not}"
    return [
        Cell(join((layer.name, below(shape))), kind="name"),
        Cell(join((badge(layer.mode), below(barred))), kind="reason"),
        numbered(say.amount(layer.n_synapses), layer.n_synapses),
        numbered(say.amount(layer.n_neurons), layer.n_neurons),
        numbered(say.amount(layer.n_weights), layer.n_weights),
        numbered(say.percent(layer.zero_fraction), layer.zero_fraction),
        numbered(say.number(layer.spikes_per_synapse), layer.spikes_per_synapse),
        numbered(
            say.break_even(layer.break_even_spikes_per_synapse), layer.break_even_spikes_per_synapse
        ),
        Cell(
            say.DASH if distance is None else join((distance_bar(layer), say.times(distance))),
            distance,
        ),
        numbered(say.amount(layer.synaptic_operations), layer.synaptic_operations),
        numbered(say.energy(layer.energy_ann_J), layer.energy_ann_J),
        numbered(say.energy(layer.energy_snn_J), layer.energy_snn_J),
    ]


def break_even_table(decision: Decision) -> Html | None:
    """Break-even spikes per synapse of every layer against every ANN model."""
    models = list(dict.fromkeys(m for layer in decision.layers for m in layer.break_even_by_model))
    if not models:
        return None
    columns = (Column("layer"), *(Column(say.model_title(model), True) for model in models))
    rows = [
        [
            Cell(layer.name, kind="name"),
            *(
                numbered(say.break_even(value), value)
                for value in (layer.break_even_by_model.get(model) for model in models)
            ),
        ]
        for layer in decision.layers
    ]
    if decision.break_even_by_model:
        found = [decision.break_even_by_model.get(model) for model in models]
        cells = [numbered(say.break_even(value), value) for value in found]
        rows.append([Cell("all layers that can spike, together", kind="name"), *cells])
    return table("Break-even spikes per synapse against every ANN model", columns, rows)


def sensitivity_table(decision: Decision) -> Html | None:
    """Every constant whose range was tried."""
    if not decision.sensitivities:
        return None
    columns = (
        Column("constant"),
        Column("low", True, "low end of its range, over its nominal value"),
        Column("high", True, "high end of its range, over its nominal value"),
        Column("P(SNN wins) at low", True),
        Column("P(SNN wins) at high", True),
        Column("flips at", True, "factor on the nominal value at which the verdict flips"),
        Column("reverses the verdict"),
    )
    rows = [
        [
            Cell(item.constant, kind="name"),
            numbered(say.times(item.low), item.low),
            numbered(say.times(item.high), item.high),
            numbered(say.probability(item.p_snn_wins_low), item.p_snn_wins_low),
            numbered(say.probability(item.p_snn_wins_high), item.p_snn_wins_high),
            numbered(say.times(item.flip_at), item.flip_at),
            Cell("yes" if item.reverses else "no"),
        ]
        for item in say.important(decision)
    ]
    return table("Constants and the verdict", columns, rows)


def model_table(decision: Decision) -> Html | None:
    """P(SNN wins) against every ANN model, with bars."""
    if not decision.p_snn_wins_by_model:
        return None
    rows = []
    for model, value in decision.p_snn_wins_by_model.items():
        found = say.finite(value)
        width = 100 * min(1.0, max(0.0, found or 0.0))
        bar = el("span", attrs={"style": f"width:{width:.0f}%"})
        mark = span("mark", "reference") if model == decision.reference_model else ""
        rows.append(
            [
                Cell(join((say.model_title(model), mark), " "), kind="name"),
                Cell(join((div("probability", bar), say.probability(value)), " "), found),
            ]
        )
    columns = (Column("against the ANN model"), Column("P(SNN wins)", True))
    return table("P(SNN wins) by ANN model", columns, rows)


def mapping_table(caption: str, rows: Sequence[Mapping[str, Any]]) -> Html:
    """Rows of an extra section; numbers are aligned and sorted as numbers."""
    rows = [{key: plain(value) for key, value in row.items()} for row in rows]
    names = list(dict.fromkeys(key for row in rows for key in row))
    numeric = {
        name: all(_is_number(row[name]) for row in rows if row.get(name) is not None)
        for name in names
    }
    columns = [Column(str(name), numeric[name]) for name in names]
    body = [[_mapping_cell(row.get(name)) for name in names] for row in rows]
    return table(caption, columns, body)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _mapping_cell(value: Any) -> Cell:
    if value is None:
        return Cell(say.DASH)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return Cell(
            str(value) if isinstance(value, int) else say.number(value, 4), say.finite(value)
        )
    return Cell(str(value))
