"""What each paper would say of this network: words, the figure, and the table in two forms."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from tospike.decision.record import Decision, PublishedVerdict
from tospike.reporting import wording as say
from tospike.reporting.markup import Cell, Html, bullets, div, el, informative, join, span, table
from tospike.reporting.markup import Column as HtmlColumn
from tospike.reporting.palette import LOSES, NEUTRAL, WINS
from tospike.reporting.plot import (
    Figure,
    base_layout,
    faded,
    label,
    log_axis,
    significant,
    vertical_line,
    wrapped,
)
from tospike.sources import SOURCES
from tospike.tables import Column, Table, Value

TITLE = "What each paper would say of your network"

#: verdict -> (colour, plotly marker symbol, mark for text); the symbol says it without colour
SIDES: dict[str, tuple[str, str, str]] = {
    "spike": (WINS, "diamond", "◆"),
    "too close": (NEUTRAL, "circle", "●"),
    "do not spike": (LOSES, "square", "■"),
}
#: ratios beyond this factor are drawn at the edge: one outlier would squeeze all others
FARTHEST = 1e3


def applied(decision: Decision) -> list[PublishedVerdict]:
    """Models with a verdict, the most favourable to spiking first."""
    found = [item for item in decision.published if item.verdict in SIDES]
    return sorted(found, key=lambda item: -_middle(item))


def not_applied(decision: Decision) -> list[PublishedVerdict]:
    """Models without a verdict; each has a reason."""
    return [item for item in decision.published if item.verdict not in SIDES]


#: where a marker stands whose ratio is no number (infinite: the SNN costs nothing)
_EDGES = {"spike": FARTHEST, "do not spike": 1 / FARTHEST}


def _middle(item: PublishedVerdict) -> float:
    return _position(item.ratio, _EDGES.get(item.verdict, 1.0))


def _position(value: float | None, missing: float) -> float:
    """A ratio as a positive finite number for a logarithmic axis."""
    if value is None or math.isnan(value):
        return missing
    return min(max(value, 1 / FARTHEST), FARTHEST)


def ratio_text(value: float | None, verdict: str) -> str:
    """E_ANN / E_SNN as text; without a number "∞" where the SNN costs nothing."""
    if say.finite(value) is None:
        return "∞" if verdict == "spike" else say.DASH
    return say.times(value)


def ratio_range(item: PublishedVerdict) -> str:
    """ "0.32–0.39×", the 5-95 % range of the ratio."""
    low, high = say.finite(item.ratio_low), say.finite(item.ratio_high)
    if low is None or high is None:
        return say.DASH
    return f"{say.times(low).removesuffix('×')}–{say.times(high)}"


def without_range(item: PublishedVerdict) -> bool:
    """Whether no constant has a range: P then only says on which side the nominal ratio is."""
    low, high = say.finite(item.ratio_low), say.finite(item.ratio_high)
    return low is not None and high is not None and math.isclose(low, high, rel_tol=1e-9)


def p_text(item: PublishedVerdict) -> str:
    """P(SNN wins) as text, with a star where no range is behind it (:data:`STAR`)."""
    return f"{say.probability(item.p_snn_cheaper)}{'*' if without_range(item) else ''}"


STAR = "* No range of these constants is known: P only says which side the nominal prices are on."


def in_words(decision: Decision) -> list[str]:
    """What the models say together, and what to make of it; empty without models."""
    found = decision.published_summary
    if found is None:
        return []
    n = found.n_spike + found.n_do_not_spike + found.n_too_close
    if not n:
        rates = any(item.break_even_spikes_per_synapse is not None for item in decision.published)
        more = " Below its break-even rate each of them would say spike." if rates else ""
        return [
            f"None of {_models(found.n_not_applied)} gives a verdict: "
            f"{_first_reason(decision)}.{more}"
        ]
    counts = [
        f"{number} {one if number == 1 else more}"
        for number, one, more in (
            (found.n_spike, "says spike", "say spike"),
            (found.n_do_not_spike, "says do not spike", "say do not spike"),
            (found.n_too_close, "is too close to call", "are too close to call"),
        )
        if number
    ]
    missing = f" ({found.n_not_applied} could not be applied)" if found.n_not_applied else ""
    lines = [
        f"Of {_models(n)}{missing}, {say.listed(counts)}, comparing “{found.ann}” with "
        f"“{found.snn}” by energy alone.",
        f"P(SNN wins) is {say.probability(found.mean_p_snn_cheaper)} on average, each model with "
        f"the same weight ({say.probability(found.mean_p_by_paper)} with the same weight for each "
        f"paper), and from {say.probability(found.lowest_p_snn_cheaper)} to "
        f"{say.probability(found.highest_p_snn_cheaper)} by model. The models share equations and "
        "constants: they are not independent votes.",
    ]
    if any(map(without_range, decision.published)):
        lines.append(STAR)
    if found.snn_meets_floor is False:
        lines.append(
            f"“{found.snn}” misses the floor of the verdict, which no paper's energy sees: "
            "P(SNN wins) is 0 if the accuracy counts."
        )
    elif found.snn_meets_floor is None:
        lines.append(f"It is not known whether “{found.snn}” keeps the accuracy.")
    return lines


def reason(decision: Decision, item: PublishedVerdict) -> str:
    """Why a model was not applied; "" where all have the same reason, which the words say once."""
    alike = {other.why_not for other in decision.published}
    return "" if len(alike) == 1 else item.why_not


def _models(number: int) -> str:
    return f"{number} published model{'s' if number != 1 else ''}"


def _first_reason(decision: Decision) -> str:
    reasons = list(dict.fromkeys(item.why_not for item in decision.published if item.why_not))
    more = f" (and {len(reasons) - 1} more reasons)" if len(reasons) > 1 else ""
    return (reasons[0] if reasons else "no reason is known").rstrip(".") + more


# --- the figure --------------------------------------------------------------------------------


def published_figure(decision: Decision) -> Figure | None:
    """E_ANN / E_SNN under every published model, with 5-95 % ranges; None without a verdict."""
    items = applied(decision)
    if not items:
        return None
    rows = list(range(len(items)))
    traces: list[dict[str, Any]] = []
    for verdict in SIDES:
        chosen = [
            (row, item) for row, item in zip(rows, items, strict=True) if item.verdict == verdict
        ]
        if chosen:
            traces += [_ranges(chosen, verdict), _points(chosen, verdict)]
    ends = [value for item in items for value in _ends(item)]
    layout = base_layout(160 + 40 * len(items)) | {
        "xaxis": _axis([*ends, 1.0]),
        "yaxis": {
            "tickvals": rows,
            "ticktext": [wrapped(item.title, 30) for item in items],
            "range": [len(items) - 0.4, -2.2],
            "automargin": True,
            "showgrid": False,
            "zeroline": False,
        },
        "shapes": [vertical_line(1.0, dash="solid")],
        "annotations": [
            _side_note("← ANN cheaper", "right"),
            _side_note("SNN cheaper →", "left"),
            *_column(items),
        ],
    }
    return {"data": traces, "layout": layout}


def _axis(values: list[float]) -> dict[str, Any]:
    """A logarithmic axis with ticks at 1-2-5, with room for the text on its right."""
    axis = log_axis(values, "", "energy of ANN ÷ energy of SNN  –  bars: 5–95 %")
    low, high = axis["range"]
    # on the right for the column of probabilities, on both sides of 1 for the notes
    room = 0.2 * max(high - low, 1.0)
    axis["range"] = [min(low, -1.1 * room), max(high, 0.9 * room) + room]
    axis["ticktext"] = [f"{tick:g}×" for tick in axis["tickvals"]]
    axis["zeroline"] = False
    return axis


def _ends(item: PublishedVerdict) -> tuple[float, float, float]:
    middle = _middle(item)
    return _position(item.ratio_low, middle), middle, _position(item.ratio_high, middle)


def _ranges(chosen: Sequence[tuple[int, PublishedVerdict]], verdict: str) -> dict[str, Any]:
    """One line per row from 5 % to 95 %; the nominal value may lie outside of it."""
    x: list[float | None] = []
    y: list[float | None] = []
    for row, item in chosen:
        low, _, high = _ends(item)
        x += [significant(low), significant(high), None]
        y += [row, row, None]
    return {
        "type": "scatter",
        "mode": "lines",
        "showlegend": False,
        "x": x,
        "y": y,
        "line": {"width": 7, "color": faded(SIDES[verdict][0], 0.45)},
        "hoverinfo": "skip",
    }


def _points(chosen: Sequence[tuple[int, PublishedVerdict]], verdict: str) -> dict[str, Any]:
    colour, symbol, _ = SIDES[verdict]
    return {
        "type": "scatter",
        "mode": "markers",
        "name": verdict,
        "x": [significant(_ends(item)[1]) for _, item in chosen],
        "y": [row for row, _ in chosen],
        "marker": {"color": colour, "symbol": symbol, "size": 12},
        "customdata": [_hover(item) for _, item in chosen],
        "hovertemplate": "<b>%{customdata[0]}</b><br>%{customdata[1]}<br>%{customdata[2]}"
        "<br>%{customdata[3]}<br>leaves out: %{customdata[4]}<extra></extra>",
    }


def _hover(item: PublishedVerdict) -> list[str]:
    rate, even = (
        say.number(item.spikes_per_synapse),
        say.break_even(item.break_even_spikes_per_synapse),
    )
    return [
        label(item.title, 60),
        f"ANN / SNN {ratio_text(item.ratio, item.verdict)}, 5–95 %: {ratio_range(item)}",
        f"P(SNN wins) {p_text(item)}: {item.verdict}",
        f"{rate} spikes per synapse, break-even {even}",
        wrapped(item.leaves_out or "nothing named", 50, 4),
    ]


def _column(items: list[PublishedVerdict]) -> list[dict[str, Any]]:
    """P(SNN wins) as a column at the right edge, under its heading."""
    texts = ["<i>P(SNN wins)</i>", *map(p_text, items)]
    return [
        {
            "text": text,
            "xref": "paper",
            "x": 1,
            "y": row if row >= 0 else _HEADING,
            "xanchor": "right",
            "yanchor": "middle",
            "showarrow": False,
        }
        for row, text in enumerate(texts, start=-1)
    ]


#: row of the heading of the column, above the notes on the two sides
_HEADING = -1.7


def _side_note(text: str, anchor: str) -> dict[str, Any]:
    return {
        "name": "ink",
        "text": text,
        "x": 0,  # log10 of 1
        "y": -1,
        "xanchor": anchor,
        "xshift": -8 if anchor == "right" else 8,
        "yanchor": "middle",
        "showarrow": False,
    }


def figure_summary(decision: Decision) -> str:
    """What a screen reader says of the figure."""
    return "Energy of the ANN over energy of the SNN: " + "; ".join(
        f"{item.title} {ratio_text(item.ratio, item.verdict)}, {item.verdict}"
        for item in applied(decision)
    )


CAPTION = (
    "Each row is one published model: its own equations for ANN and SNN, priced with the "
    "energies of its paper, on the activity measured here. Marker: nominal prices; bar: 5–95 % "
    "from the ranges of the constants (a marker lies outside of its bar where a range reaches to "
    "one side only). Right of the line at 1 the SNN needs less. “Too close”: the bar, or bar and "
    "marker, are on both sides. Hover shows what each paper leaves out."
)


# --- the table ---------------------------------------------------------------------------------


def published_html(decision: Decision) -> Html | None:
    """Every published model with its numbers or its reason."""
    if not decision.published:
        return None
    columns = (
        HtmlColumn("published model"),
        HtmlColumn("verdict"),
        HtmlColumn(
            "ANN / SNN (5–\N{WORD JOINER}95\N{NO-BREAK SPACE}%)",
            True,
            "energy of the ANN over energy of the SNN",
        ),
        HtmlColumn("P(SNN wins)", True, "share of draws in which the SNN needs less energy"),
        HtmlColumn("break-even", True, "spikes per synapse at which SNN and ANN need the same"),
        HtmlColumn("distance", True, "spikes per synapse over break-even; below 1 spiking wins"),
        HtmlColumn("energy of the ANN", True),
        HtmlColumn("energy of the SNN", True),
        HtmlColumn("leaves out"),
    )
    items = (*applied(decision), *not_applied(decision))
    rows = [_html_row(item, reason(decision, item)) for item in items]
    return table(TITLE, *informative(columns, rows))


def _html_row(item: PublishedVerdict, why_not: str) -> list[Cell]:
    ratio, wide = ratio_text(item.ratio, item.verdict), ratio_range(item)
    beside = span("beside", f" {wide}") if wide != say.DASH else ""
    bits = sorted(set(item.bits.values()))
    words = f", {say.listed([str(value) for value in bits])} bit" if bits else ""
    priced = f"prices: {item.technology}{words}"
    paper = "" if item.title.startswith(_paper(item)) else _paper(item)
    where = ", ".join(text for text in (paper, item.locator, second_hand(item)) if text)
    return [
        Cell(join((item.title, span("below", where))), kind="name"),
        Cell(join((_badge(item.verdict), span("below", why_not))), kind="reason"),
        Cell(join((ratio, beside)), say.finite(item.ratio)),
        Cell(p_text(item), say.finite(item.p_snn_cheaper)),
        Cell(even_text(item), say.finite(item.break_even_spikes_per_synapse)),
        Cell(distance_text(item), say.finite(item.distance)),
        Cell(say.energy(item.energy_ann_J), say.finite(item.energy_ann_J)),
        Cell(say.energy(item.energy_snn_J), say.finite(item.energy_snn_J)),
        Cell(join((item.leaves_out, span("below", priced))), kind="name"),
    ]


def _paper(item: PublishedVerdict) -> str:
    """ "Dampfhoffer 2022" of a known key, else the key itself."""
    name, _, year = item.paper.rpartition("_")
    known = item.paper in SOURCES and name and year.isdigit()
    return f"{name.replace('_', ' & ').title()} {year}" if known else item.paper


def second_hand(item: PublishedVerdict) -> str:
    """A mark for a paper that was not read itself."""
    known = SOURCES.get(item.paper)
    return "quoted second-hand" if known is not None and not known.verified else ""


def _badge(verdict: str) -> Html:
    colour = SIDES.get(verdict, (NEUTRAL, "", ""))[0]
    return el("span", verdict, attrs={"class": "badge", "style": f"--badge:{colour}"})


def even_text(item: PublishedVerdict) -> str:
    """The break-even rate as text."""
    return say.break_even(item.break_even_spikes_per_synapse)


def distance_text(item: PublishedVerdict) -> str:
    """Spikes over break-even; "∞" where no rate is low enough."""
    if say.finite(item.distance) is None:
        never = item.break_even_spikes_per_synapse == 0 and item.spikes_per_synapse is not None
        return "∞" if never else say.DASH
    return say.times(item.distance)


def published_assumptions(decision: Decision) -> Html:
    """What each comparison assumes, what all of them assume once."""
    texts = [item.assumptions for item in decision.published if item.assumptions]
    common = [text for text in (texts[0] if texts else ()) if all(text in one for one in texts)]
    pieces = [bullets(common)] if common else []
    for item in decision.published:
        own = [text for text in (*item.assumptions, *item.out_of_range) if text not in common]
        if own:
            pieces.append(div("", el("h4", item.title), bullets(own)))
    return join(pieces)


def published_table(decision: Decision) -> Table | None:
    """The same as a :class:`~tospike.tables.Table`, for LaTeX, CSV, Markdown and JSON."""
    if not decision.published:
        return None
    found = decision.published_summary
    keys = dict.fromkeys(key for item in decision.published for key in item.sources)
    return Table(
        key="published",
        title="What each published model says of "
        f"{decision.network.get('name') or 'the network'}: energy of ANN and SNN per inference",
        columns=(
            Column("model", "published model"),
            Column("paper", "paper"),
            Column("verdict", "verdict"),
            Column("ratio", "ANN / SNN", digits=3),
            Column("low", "5 %", digits=3),
            Column("high", "95 %", digits=3),
            Column("p_snn_cheaper", "P(SNN wins)", digits=2),
            Column("break_even", "break-even spikes per synapse", digits=3),
            Column("distance", "spikes over break-even", digits=3),
            Column("energy_ann", "energy of the ANN", "J", 3),
            Column("energy_snn", "energy of the SNN", "J", 3),
            Column("technology", "prices"),
            Column("leaves_out", "leaves out"),
            Column("why_not", "why not applied"),
        ),
        rows=tuple(_table_row(item) for item in (*applied(decision), *not_applied(decision))),
        assumptions=() if found is None else (f"Overall P(SNN wins) is {found.definition}",),
        sources=tuple(key for key in keys if key in SOURCES),
        notes=tuple(in_words(decision)),
    )


def _table_row(item: PublishedVerdict) -> dict[str, Value]:
    return {
        "model": item.title,
        "paper": ", ".join(filter(None, (_paper(item), item.locator, second_hand(item)))),
        "verdict": item.verdict,
        "ratio": item.ratio,
        "low": item.ratio_low,
        "high": item.ratio_high,
        "p_snn_cheaper": item.p_snn_cheaper,
        "break_even": item.break_even_spikes_per_synapse,
        "distance": item.distance,
        "energy_ann": item.energy_ann_J,
        "energy_snn": item.energy_snn_J,
        "technology": item.technology,
        "leaves_out": item.leaves_out,
        "why_not": item.why_not,
    }
