"""Figures of one decision. Each function returns a plotly figure as a dict, or None if the
decision has nothing to draw in it (no labels, no sensitivities)."""

from __future__ import annotations

import math
from typing import Any

from tospike.decision.record import Decision, ImplementationResult, Sensitivity
from tospike.reporting import wording as say
from tospike.reporting.palette import (
    BLUE,
    NEUTRAL,
    ORANGE,
    mode_style,
    part_colours,
)
from tospike.reporting.plot import (
    Figure,
    band,
    base_layout,
    faded,
    horizontal_line,
    label,
    log_axis,
    prefix_scale,
    significant,
    vertical_line,
    wrapped,
)

#: sensitivities drawn; the table holds all
MAX_SENSITIVITIES = 12
#: more implementations than this, and the rows of the chart stand closer together
MANY = 10
#: accuracies more than this below the floor are drawn at the lower edge of the Pareto figure
SHOWN_BELOW_FLOOR = 0.12
#: and SNRs more than this
SHOWN_BELOW_DB = 10.0


def shares(item: ImplementationResult) -> dict[str, float]:
    """part -> joules, with what the parts leave out of the total as "other"."""
    parts: dict[str, float] = {}
    for part in item.parts:
        parts[part.part] = parts.get(part.part, 0.0) + (say.finite(part.energy_J) or 0.0)
    total = say.finite(item.energy_J) or 0.0
    if not parts:
        return {"total": total}
    rest = total - sum(parts.values())
    if rest > 0.005 * total:
        parts["other"] = parts.get("other", 0.0) + rest
    return parts


def energy_figure(decision: Decision) -> Figure | None:
    """Energy per inference of every implementation, stacked by component, with 5-95 % bars.

    Rows of one mode stand together. Bars of what is below the floor of accuracy are pale: the
    verdict may not choose them.
    """
    priced = [item for item in decision.implementations if say.finite(item.energy_J) is not None]
    items = [item for mode in _modes(priced) for item in priced if item.mode == mode]
    if not items:
        return None
    highs = [max(item.energy_J, say.finite(item.energy_high_J) or 0.0) for item in items]
    scale, unit = prefix_scale(max(highs) or 1.0)
    rows = _row_places(items)
    traces = [
        *_energy_bars(items, rows, scale, decision),
        _energy_totals(items, rows, highs, scale, decision),
    ]
    base = say.reference(decision)
    merit_name = say.merit_name(decision)
    marks = "× reference" + (f" · {merit_name}" if merit_name else "")
    note = f"  –  beside the bars: {marks}" if base in items else ""
    titles = [_row_title(item, decision, len(items) > MANY) for item in items]
    lines = max(title.count("<br>") + 1 for title in titles)
    height = 30 if len(items) > MANY else max(42, 18 * lines)
    layout = base_layout(120 + height * round(rows[-1] + 1)) | {
        "barmode": "stack",
        "meta": "text-right",
        "bargap": 0.35,
        "xaxis": {
            "title": {"text": f"energy per inference ({unit}){note}"},
            "rangemode": "tozero",
            "range": [0, 1.3 * max(highs) / scale or 1.0],
        },
        "yaxis": {
            "tickvals": rows,
            "ticktext": titles,
            "range": [rows[-1] + 0.5, -0.5],
            "automargin": True,
            "showgrid": False,
            "zeroline": False,
        },
    }
    layout["shapes"] = [
        band(row) for row, item in zip(rows, items, strict=True) if item.name == decision.winner
    ]
    if base in items:
        layout["shapes"].append(vertical_line(base.energy_J / scale, dash="dot"))
    return {"data": traces, "layout": layout}


def _energy_bars(
    items: list[ImplementationResult], rows: list[float], scale: float, decision: Decision
) -> list[dict[str, Any]]:
    """One trace per component; hatched where nothing was run, pale below the floor."""
    by_item = [shares(item) for item in items]
    parts = list(dict.fromkeys(part for found in by_item for part in found))
    parts = [part for part in parts if any(found.get(part) for found in by_item)] or parts
    colours = part_colours(parts)
    hatch = ["/" if item.evidence != "measured" else "" for item in items]
    return [
        {
            "type": "bar",
            "orientation": "h",
            "name": label(part, 28),
            "y": rows,
            "x": [significant(found.get(part, 0.0) / scale) for found in by_item],
            "marker": {
                "color": colours[part],
                "opacity": [0.4 if say.below_floor(item, decision) else 1 for item in items],
                "pattern": {"shape": hatch, "size": 6, "fillmode": "overlay"},
            },
            "customdata": [
                [label(item.name), say.energy(found.get(part, 0.0))]
                for item, found in zip(items, by_item, strict=True)
            ],
            "hovertemplate": "%{customdata[0]}<br>%{fullData.name}: %{customdata[1]}"
            "<extra></extra>",
        }
        for part in parts
    ]


def _row_places(items: list[ImplementationResult]) -> list[float]:
    """Where each row stands: one after the other, with a gap where the mode changes."""
    places, place = [], 0.0
    for i, item in enumerate(items):
        if i:
            place += 1.4 if item.mode != items[i - 1].mode else 1.0
        places.append(place)
    return places


def _row_title(item: ImplementationResult, decision: Decision, dense: bool) -> str:
    """Name beside a bar, with what marks it out (on a line of its own, if there is room)."""
    text = wrapped(item.name, 30, 1) if dense else wrapped(item.name)
    if item.name == decision.winner:
        text = f"<b>{text}</b>"
    marks = [
        mark
        for mark, here in (
            ("winner", item.name == decision.winner),
            ("reference", item.reference),
            (label(item.evidence, 20), item.evidence != "measured"),
        )
        if here
    ]
    between = " – " if dense else "<br>"
    return f"{text}{between}<i>{', '.join(marks)}</i>" if marks else text


def _energy_totals(
    items: list[ImplementationResult],
    rows: list[float],
    highs: list[float],
    scale: float,
    decision: Decision,
) -> dict[str, Any]:
    """The whiskers, and the text to the right of each bar: ratio to the reference, accuracy."""
    base, merit = say.reference(decision), say.merit_name(decision)
    texts: list[str] = []
    for item in items:
        ratio = say.relative(item, base)
        pieces = [] if ratio is None or item.reference else [say.times(ratio)]
        if (value := say.merit(item, merit)) is not None:
            missed = " (below the floor)" if say.below_floor(item, decision) else ""
            pieces.append(f"{say.merit_text(value, merit)}{missed}")
        texts.append("  " + " · ".join(pieces))
    up = [high - item.energy_J for high, item in zip(highs, items, strict=True)]
    down = [
        max(0.0, item.energy_J - low) if (low := say.finite(item.energy_low_J)) is not None else 0.0
        for item in items
    ]
    # Text hangs on the end of the whisker, the whisker's centre is the end of the bar.
    return {
        "type": "scatter",
        "mode": "text",
        "meta": "ink",
        "showlegend": False,
        "x": [significant(high / scale) for high in highs],
        "y": rows,
        "text": texts,
        "textposition": "middle right",
        "cliponaxis": False,
        "error_x": {
            "type": "data",
            "symmetric": False,
            "array": [0.0 for _ in items],
            "arrayminus": [
                significant((plus + minus) / scale) for plus, minus in zip(up, down, strict=True)
            ],
            "thickness": 1.5,
            "width": 5,
            "color": "#7f7f7f",
        },
        "customdata": [
            [
                label(item.name),
                say.energy(item.energy_J),
                say.energy_range(item.energy_low_J, item.energy_high_J),
                f"{merit or 'accuracy'} {say.merit_text(say.merit(item, merit), merit)}",
            ]
            for item in items
        ],
        "hovertemplate": "%{customdata[0]}<br>total %{customdata[1]}, 5–95 %: %{customdata[2]}"
        "<br>%{customdata[3]}<extra></extra>",
    }


def pareto_figure(decision: Decision) -> Figure | None:
    """Accuracy against energy (logarithmic), the Pareto front drawn through its points.

    None where fewer than two accuracies are known: one point shows nothing.
    """
    merit = say.merit_name(decision)
    items = [
        item
        for item in decision.implementations
        if say.merit(item, merit) is not None and (say.finite(item.energy_J) or 0.0) > 0
    ]
    if len(items) < 2:
        return None
    traces = [_front(items, merit), *(_mode_trace(items, mode, decision) for mode in _modes(items))]
    values = [item.energy_J for item in items]
    values += [v for item in items if (v := say.finite(item.energy_low_J) or 0.0) > 0]
    values += [v for item in items if (v := say.finite(item.energy_high_J) or 0.0) > 0]
    # the name of a winner at the left edge stands left of it
    values += [item.energy_J / 2.5 for item in items if item.name == decision.winner]
    accuracies = [_height(item, merit) for item in items]
    floor = say.merit_floor(decision)
    lowest = -math.inf if floor is None else _lowest(floor, merit)
    far = [item for item in items if _height(item, merit) < lowest]
    if len(far) == len(items):
        far, lowest = [], -math.inf
    bottom = max(lowest, min(accuracies))
    room = 0.12 * (max(accuracies) - bottom) or 1.0
    traces += _far_below(far, merit, bottom - 0.5 * room)
    layout = base_layout(430) | {
        "xaxis": log_axis(values, "J", "energy per inference (5–95 %)"),
        "yaxis": {
            "title": {"text": f"{merit} ({say.merit_unit(merit)})"},
            "range": [bottom - room, max(accuracies) + 1.5 * room],
            "zeroline": False,
            "automargin": True,
        },
    }
    if floor is not None:
        layout["shapes"] = [horizontal_line(say.merit_height(floor, merit))]
        layout["annotations"] = [
            {
                "name": "ink",
                "text": f"{merit} floor",
                "xref": "paper",
                "x": 1,
                "y": say.merit_height(floor, merit),
                "xanchor": "right",
                "yanchor": "top",
                "showarrow": False,
            }
        ]
    return {"data": [trace for trace in traces if trace], "layout": layout}


def _far_below(items: list[ImplementationResult], merit: str, edge: float) -> list[dict[str, Any]]:
    """Points far below the floor, at the lower edge: drawn to scale they would squeeze the rest."""
    if not items:
        return []
    return [
        {
            "type": "scatter",
            "mode": "markers+text",
            "meta": "ink",
            "name": "far below the floor, off the scale",
            "x": [significant(item.energy_J) for item in items],
            "y": [significant(edge) for _ in items],
            "text": [f"{_height(item, merit):.0f} {say.merit_unit(merit)}" for item in items],
            "textposition": "middle right",
            "marker": {
                "symbol": "triangle-down-open",
                "size": 11,
                "color": [mode_style(item.mode)[0] for item in items],
                "line": {"width": 2},
            },
            "customdata": [
                [label(item.name), say.energy(item.energy_J), f"{_height(item, merit):.1f}"]
                for item in items
            ],
            "hovertemplate": "%{customdata[0]}<br>%{customdata[1]}"
            f"<br>{merit} %{{customdata[2]}} {say.merit_unit(merit)}<extra></extra>",
        }
    ]


def _modes(items: list[ImplementationResult]) -> list[str]:
    return list(dict.fromkeys(item.mode for item in items))


def _height(item: ImplementationResult, merit: str) -> float:
    """Accuracy or agreement in percent, SNR in dB."""
    return significant(say.merit_height(say.merit(item, merit) or 0.0, merit))


def _lowest(floor: float, merit: str) -> float:
    """Below this a point is drawn at the lower edge."""
    return say.merit_height(
        floor - (SHOWN_BELOW_DB if merit == "SNR" else SHOWN_BELOW_FLOOR), merit
    )


def _front(items: list[ImplementationResult], merit: str) -> dict[str, Any]:
    front = sorted((i for i in items if i.on_pareto_front), key=lambda item: item.energy_J)
    if not front:
        return {}
    return {
        "type": "scatter",
        "mode": "lines",
        "name": "Pareto front",
        "x": [significant(item.energy_J) for item in front],
        "y": [_height(item, merit) for item in front],
        "line": {"shape": "hv", "width": 2, "color": NEUTRAL},
        "hoverinfo": "skip",
    }


def _mode_trace(items: list[ImplementationResult], mode: str, decision: Decision) -> dict[str, Any]:
    """Points of one mode; filled on the front, hollow where dominated."""
    chosen = [item for item in items if item.mode == mode]
    merit = say.merit_name(decision)
    colour, symbol = mode_style(mode)
    energies = [item.energy_J for item in chosen]
    return {
        "type": "scatter",
        "mode": "markers+text",
        "meta": "ink",
        "name": label(say.mode_title(mode), 24),
        "x": [significant(value) for value in energies],
        "y": [_height(item, merit) for item in chosen],
        "text": [_point_title(item, decision) for item in chosen],
        "textposition": [
            # Left of and above the winner is nothing: it would be cheaper and better.
            "top left" if item.name == decision.winner else "bottom right"
            for item in chosen
        ],
        "marker": {
            "color": colour,
            "symbol": [symbol if item.on_pareto_front else f"{symbol}-open" for item in chosen],
            "size": [15 if item.name == decision.winner else 11 for item in chosen],
            "opacity": 1,
            "line": {"width": 2, "color": colour},
        },
        "error_x": {
            "type": "data",
            "symmetric": False,
            "array": [
                max(0.0, (say.finite(item.energy_high_J) or e) - e)
                for item, e in zip(chosen, energies, strict=True)
            ],
            "arrayminus": [
                max(0.0, e - (say.finite(item.energy_low_J) or e))
                for item, e in zip(chosen, energies, strict=True)
            ],
            "thickness": 1,
            "width": 3,
            "color": faded(colour),
        },
        "customdata": [
            [
                label(item.name),
                say.energy(item.energy_J),
                say.energy_range(item.energy_low_J, item.energy_high_J),
                label(item.evidence, 40),
            ]
            for item in chosen
        ],
        "hovertemplate": "%{customdata[0]} (%{customdata[3]})<br>%{customdata[1]}, "
        f"5–95 %: %{{customdata[2]}}<br>{merit} %{{y:.1f}} {say.merit_unit(merit)}<extra></extra>",
    }


def _point_title(item: ImplementationResult, decision: Decision) -> str:
    """The winner's name; of SNNs the number of time steps."""
    if item.name == decision.winner:
        return f"<b>{wrapped(item.name, 30, 1)}</b>"
    return f"T={item.timesteps}" if item.mode == "snn" and item.timesteps else ""


def _p_of_challenger(decision: Decision) -> float | None:
    """P at the nominal ranges of that implementation which the sensitivities are about."""
    for item in decision.implementations:
        if item.name == decision.challenger and item.p_cheaper is not None:
            return item.p_cheaper
    return decision.p_snn_wins


def sensitivity_figure(decision: Decision) -> Figure | None:
    """Tornado: P(SNN wins) with one constant at the low and at the high end of its range."""
    found = [
        item
        for item in say.important(decision)
        if say.finite(item.p_snn_wins_low) is not None
        and say.finite(item.p_snn_wins_high) is not None
    ][:MAX_SENSITIVITIES]
    if all(abs(item.p_snn_wins_high - item.p_snn_wins_low) < 0.01 for item in found):
        return None
    nominal = say.finite(_p_of_challenger(decision))
    title = "P(less energy than the reference)" if decision.challenger else "P(SNN wins)"
    rows = list(range(len(found)))
    bases = [
        nominal if nominal is not None else (item.p_snn_wins_low + item.p_snn_wins_high) / 2
        for item in found
    ]
    ends = (
        ("constant at its low end", BLUE, [item.p_snn_wins_low for item in found]),
        ("constant at its high end", ORANGE, [item.p_snn_wins_high for item in found]),
    )
    traces = [
        {
            "type": "bar",
            "orientation": "h",
            "name": name,
            "y": rows,
            "base": [significant(base) for base in bases],
            "x": [significant(value - base) for value, base in zip(values, bases, strict=True)],
            "marker": {"color": colour},
            "customdata": [
                [label(item.constant), say.probability(value), say.times(item.flip_at)]
                for item, value in zip(found, values, strict=True)
            ],
            "hovertemplate": "%{customdata[0]}<br>%{fullData.name}: P = %{customdata[1]}"
            "<br>verdict flips at %{customdata[2]} nominal<extra></extra>",
        }
        for name, colour, values in ends
    ]
    return {"data": traces, "layout": _tornado_layout(found, nominal, title)}


def _tornado_layout(found: list[Sensitivity], nominal: float | None, title: str) -> dict[str, Any]:
    shapes = [vertical_line(0.5)]
    if nominal is not None:
        shapes.append(vertical_line(nominal, dash="solid"))
    layout = base_layout(130 + 36 * len(found)) | {
        "barmode": "overlay",
        "bargap": 0.35,
        "xaxis": {
            "title": {"text": title},
            "range": [-0.02, 1.02],
            "tickvals": [0, 0.25, 0.5, 0.75, 1],
            "ticktext": ["0 %", "25 %", "50 %", "75 %", "100 %"],
        },
        "yaxis": {
            "tickvals": list(range(len(found))),
            "ticktext": [_constant_title(item) for item in found],
            "range": [len(found) - 0.5, -0.5],
            "automargin": True,
            "showgrid": False,
            "zeroline": False,
        },
        "shapes": shapes,
    }
    return layout


def _constant_title(item: Sensitivity) -> str:
    text = wrapped(item.constant)
    return f"<b>{text}</b><br><i>reverses the verdict</i>" if item.reverses else text
