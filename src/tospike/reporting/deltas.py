"""Delta networks that were run: quality against weight traffic, and what each layer sent."""

from __future__ import annotations

from typing import Any

from tospike.decision.record import Decision, DeltaLayerResult, ImplementationResult
from tospike.reporting import wording as say
from tospike.reporting.markup import Cell, Column, Html, informative, join, span, table
from tospike.reporting.palette import mode_style
from tospike.reporting.plot import (
    Figure,
    base_layout,
    horizontal_line,
    label,
    significant,
)
from tospike.tables import Column as TableColumn
from tospike.tables import Table, Value

TITLE = "Delta networks: what is sent, and what is read"


def sparsity(item: ImplementationResult) -> float | None:
    """Share of the weights of all layers that a step does not read."""
    read, dense = item.weight_bytes_per_step, item.dense_weight_bytes_per_step
    return 1 - read / dense if read is not None and dense else None


def theta_text(value: float) -> str:
    """A threshold: 0.0625 as "1/16", others as they are, 0 as a dash."""
    if value <= 0:
        return say.DASH
    inverse = 1 / value
    if value < 1 and abs(inverse - round(inverse)) < 1e-9:
        return f"1/{round(inverse)}"
    return f"{value:.3g}"


def by_layer(decision: Decision) -> dict[str, DeltaLayerResult]:
    """Layers of the delta network that is shown; empty where none was run."""
    item = say.shown_delta(decision)
    return {} if item is None else {one.layer: one for one in item.delta}


def in_words(decision: Decision) -> list[str]:
    """What the numbers mean; empty where no delta network was run."""
    item = say.shown_delta(decision)
    if item is None:
        if decision.why_no_delta:
            return [f"No delta network was run: {decision.why_no_delta}."]
        return []
    words = [
        "A value is sent on only when it differs by more than Θ from the value that was last sent; "
        "weights of values that are not sent are not read. Γ is the share of values not sent. "
        "Thresholds, Γ, traffic and quality were measured by running the network on the data.",
        f"The layers show “{item.name}”.",
    ]
    dense: dict[str, list[str]] = {
        layer.why_no_delta: [] for layer in decision.layers if layer.why_no_delta
    }
    for layer in decision.layers:
        if layer.why_no_delta:
            dense[layer.why_no_delta].append(layer.name)
    words += [f"Dense stays {say.listed(names)}: {why}." for why, names in dense.items()]
    return words


def run_table(decision: Decision) -> Html | None:
    """Every delta network that was run."""
    items = say.delta_runs(decision)
    if not items:
        return None
    merit = say.merit_name(decision)
    columns = (
        Column("delta network"),
        Column("remarks"),
        Column(merit or "accuracy", True),
        Column("Γ", True, "share of the weights of all its layers that a step does not read"),
        Column("weights per step", True, "bytes read in one time step, mean over the data"),
        Column("dense", True, "bytes that the dense network reads in one time step"),
        Column("energy", True, "per inference"),
    )
    rows = []
    for item in items:
        value = say.merit(item, merit)
        marks = [span("mark won", "winner")] if item.name == decision.winner else []
        marks += [span("mark low", "below the floor")] if say.below_floor(item, decision) else []
        rows.append(
            [
                Cell(item.name, kind="name"),
                Cell(join(marks, " "), kind="marks"),
                Cell(say.merit_text(value, merit), value),
                Cell(say.percent(sparsity(item)), sparsity(item)),
                Cell(say.traffic(item.weight_bytes_per_step), item.weight_bytes_per_step),
                Cell(
                    say.traffic(item.dense_weight_bytes_per_step), item.dense_weight_bytes_per_step
                ),
                Cell(say.energy(item.energy_J), say.finite(item.energy_J)),
            ]
        )
    return table("Delta networks", *informative(columns, rows))


def layer_table(decision: Decision) -> Html | None:
    """What every layer of the shown delta network sent and read."""
    found = by_layer(decision)
    if not found:
        return None
    columns = (
        Column("layer"),
        Column("mode"),
        Column("Θ", True, "threshold in the units of the layer's input"),
        Column("Γ", True, "share of its inputs that were not sent"),
        Column("weights per step", True, "bytes read in one time step, mean over the data"),
        Column("dense", True, "bytes of all its weights"),
        Column("energy dense", True, "in the reference, per inference"),
        Column("energy as delta", True, "per inference"),
    )
    rows = []
    for layer in decision.layers:
        one = found.get(layer.name)
        if one is None:
            continue
        rows.append(
            [
                Cell(layer.name, kind="name"),
                Cell(say.mode_title(one.mode)),
                Cell(theta_text(one.threshold), one.threshold),
                Cell(say.percent(one.temporal_sparsity), one.temporal_sparsity),
                Cell(say.traffic(one.weight_bytes_per_step), one.weight_bytes_per_step),
                Cell(say.traffic(one.dense_weight_bytes_per_step), one.dense_weight_bytes_per_step),
                Cell(say.energy(layer.energy_ann_J), say.finite(layer.energy_ann_J)),
                Cell(say.energy(layer.energy_delta_J), say.finite(layer.energy_delta_J)),
            ]
        )
    return table("Layers of the delta network", *informative(columns, rows))


def traffic_figure(decision: Decision) -> Figure | None:
    """Quality against bytes of weights per step; None for fewer than two delta networks."""
    merit = say.merit_name(decision)
    items = [
        item
        for item in say.delta_runs(decision)
        if say.merit(item, merit) is not None and item.weight_bytes_per_step is not None
    ]
    if len(items) < 2:
        return None
    reads = [item.weight_bytes_per_step or 0.0 for item in items]
    dense = max(item.dense_weight_bytes_per_step or 0.0 for item in items)
    scale, unit = next(
        (found for found in ((1e6, "MB"), (1e3, "kB")) if dense >= found[0]), (1.0, "B")
    )
    heights = [say.merit_height(say.merit(item, merit) or 0.0, merit) for item in items]
    floor = say.merit_floor(decision)
    ends = [*heights, *([] if floor is None else [say.merit_height(floor, merit)])]
    room = 0.15 * (max(ends) - min(ends)) or 1.0
    trace = _points(decision, items, [read / scale for read in reads], heights)
    layout = base_layout(380) | {
        "xaxis": {
            "title": {"text": f"weights read per time step ({unit}; dense: {say.traffic(dense)})"},
            "range": [0, 1.25 * (max(reads) or dense or 1.0) / scale],
        },
        "yaxis": {
            "title": {"text": f"{merit} ({say.merit_unit(merit)})"},
            "range": [min(ends) - 1.5 * room, max(ends) + 1.5 * room],
            "automargin": True,
            "zeroline": False,
        },
    }
    if floor is not None:
        height = say.merit_height(floor, merit)
        layout["shapes"] = [horizontal_line(height)]
        layout["annotations"] = [
            {
                "name": "ink", "text": f"{merit} floor", "xref": "paper", "x": 1, "y": height,
                "xanchor": "right", "yanchor": "top", "showarrow": False,
            }
        ]  # fmt: skip
    return {"data": [trace], "layout": layout}


def _points(
    decision: Decision,
    items: list[ImplementationResult],
    reads: list[float],
    heights: list[float],
) -> dict[str, Any]:
    """One point per delta network at (``reads``, ``heights``); hollow below the floor."""
    merit = say.merit_name(decision)
    return {
        "type": "scatter",
        "mode": "markers+text",
        "meta": "ink",
        "x": [significant(read) for read in reads],
        "y": [significant(height) for height in heights],
        "text": _labels(items, reads, heights),
        # alternating, so that neighbours do not write over each other
        "textposition": [
            "top center" if sorted(reads).index(read) % 2 else "bottom center" for read in reads
        ],
        "marker": {
            "size": [15 if item.name == decision.winner else 11 for item in items],
            "color": mode_style("delta")[0],
            "symbol": [
                "circle-open" if say.below_floor(item, decision) else "circle" for item in items
            ],
            "line": {"width": 2, "color": mode_style("delta")[0]},
        },
        "customdata": [
            [
                label(item.name),
                say.traffic(item.weight_bytes_per_step),
                say.merit_text(say.merit(item, merit), merit),
            ]
            for item in items
        ],
        "hovertemplate": "%{customdata[0]}<br>%{customdata[1]} of weights per step<br>"
        f"{merit} %{{customdata[2]}}<extra></extra>",
        "showlegend": False,
    }


def _labels(
    items: list[ImplementationResult], reads: list[float], heights: list[float]
) -> list[str]:
    """The thresholds, with the bits where they differ; of equal points the first is named."""
    several = len({item.activation_bits for item in items}) > 1
    found, seen = [], set()
    for item, read, height in zip(items, reads, heights, strict=True):
        text = item.name.removeprefix("delta, ")
        text = text if several else text.split(", ")[0]
        found.append("" if (read, height) in seen else label(text, 24))
        seen.add((read, height))
    return found


def delta_export(decision: Decision) -> Table | None:
    """One row per layer of every delta network that was run."""
    rows: list[dict[str, Value]] = [
        {
            "name": item.name,
            "layer": one.layer,
            "mode": one.mode,
            "threshold": one.threshold,
            "sparsity": one.temporal_sparsity,
            "read": one.weight_bytes_per_step,
            "dense": one.dense_weight_bytes_per_step,
        }
        for item in say.delta_runs(decision)
        for one in item.delta
    ]
    if not rows:
        return None
    words = in_words(decision)
    return Table(
        key="delta",
        title="Delta networks: what every layer sends and reads",
        columns=(
            TableColumn("name", "implementation"),
            TableColumn("layer", "layer"),
            TableColumn("mode", "mode"),
            TableColumn("threshold", "Θ", digits=3),
            TableColumn("sparsity", "Γ", digits=3),
            TableColumn("read", "weights per step", "B", digits=3),
            TableColumn("dense", "dense weights per step", "B", digits=3),
        ),
        rows=tuple(rows),
        assumptions=(words[0], *words[2:]),
        sources=("liu_delbruck_2019",),
    )
