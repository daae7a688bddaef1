"""The layer map: spikes per synapse of every layer against its break-even."""

from __future__ import annotations

import math
from typing import Any

from tospike.decision.record import Decision, LayerResult
from tospike.reporting import wording as say
from tospike.reporting.palette import DISTANCE_SCALE, LOSES, NEUTRAL, WINS, mode_style
from tospike.reporting.plot import Figure, base_layout, label, log_axis, significant

#: more layers than this and not every name is printed under the axis
MAX_TICKS = 32
#: up to this many layers, the distance is written beside every dot; beyond, a colour bar says it
MAX_WRITTEN = 20


def layer_figure(decision: Decision) -> Figure | None:
    """Layer map: spikes per synapse against break-even, and the mode that was chosen."""
    layers = list(decision.layers)
    if not layers:
        return None
    values = [v for layer in layers if (v := _even(layer)) is not None]
    values += [v for layer in layers if (v := _rate(layer)) is not None]
    traces = [
        *_break_even_traces(layers),
        *_stems(layers),
        *_rate_traces(layers),
        *_silent_trace(layers, min(values, default=0.1)),
        *_mode_strip(layers),
    ]
    layout = base_layout(500 if any(_rate(layer) for layer in layers) else 400) | {
        # Room for the legend, which stands on several lines on paper and on a phone.
        "margin": {"l": 60, "r": 20, "t": 76, "b": 56},
        "barmode": "overlay",
        "bargap": 0.0 if len(layers) > MAX_TICKS else 0.15,
        "xaxis": layer_axis([layer.name for layer in layers]) | {"anchor": "y2"},
        "yaxis": log_axis(values or [0.1, 1.0], "", "spikes per synapse")
        | {"domain": [0.13, 1], "automargin": True},
        "yaxis2": {
            "domain": [0, 0.07],
            "range": [0, 1],
            "showticklabels": False,
            "ticks": "",
            "showline": False,
            "showgrid": False,
            "zeroline": False,
            "fixedrange": True,
        },
    }
    return {"data": traces, "layout": layout}


def short_names(names: list[str], width: int = 18) -> list[str]:
    """Names that fit; what all names share at either end says nothing and goes first."""
    if len(names) < 3 or max(map(len, names)) <= width:
        return names
    parts = [name.split(".") for name in names]
    while all(len(found) > 1 for found in parts) and len({found[-1] for found in parts}) == 1:
        parts = [found[:-1] for found in parts]
    while all(len(found) > 1 for found in parts) and len({found[0] for found in parts}) == 1:
        parts = [found[1:] for found in parts]
    return [".".join(found) for found in parts]


def layer_axis(names: list[str]) -> dict[str, Any]:
    """Layers in order of execution; with many, only every k-th name is printed."""
    step = max(1, math.ceil(len(names) / MAX_TICKS))
    ticks = list(range(0, len(names), step))
    names = short_names(names)
    return {
        "tickvals": ticks,
        "ticktext": [label(names[i], 18) for i in ticks],
        "tickangle": -45 if len(names) > 4 and max(map(len, names)) > 3 else 0,
        "range": [-0.6, len(names) - 0.4],
        "automargin": True,
        "showgrid": False,
        "zeroline": False,
    }


def _even(layer: LayerResult) -> float | None:
    value = say.finite(layer.break_even_spikes_per_synapse)
    return value if value is not None and value > 0 else None


def _rate(layer: LayerResult) -> float | None:
    value = say.finite(layer.spikes_per_synapse)
    return value if value is not None and value > 0 else None


def layer_hover(layer: LayerResult, short: bool = False) -> str:
    """The tooltip of a layer; the short one leaves to the table what does not bear on spiking."""
    lines = [f"<b>{label(layer.name, 60)}</b> ({label(layer.kind, 20)})"]
    if not short:
        if shapes := say.shapes(layer):
            lines.append(shapes)
        lines.append(
            f"{say.amount(layer.n_synapses)} synapses, {say.amount(layer.n_neurons)} neurons, "
            f"{say.amount(layer.n_weights)} weights"
        )
        lines.append(f"zero fraction {say.percent(layer.zero_fraction)}")
    lines.append(
        f"spikes per synapse {say.number(layer.spikes_per_synapse)}, "
        f"break-even {say.break_even(layer.break_even_spikes_per_synapse)}"
    )
    if (distance := say.distance(layer)) is not None:
        lines.append(f"distance {say.times(distance)}")
    lines.append(f"mode: {label(say.mode_title(layer.mode), 20)}")
    if not layer.eligible and layer.why_not:
        lines.append(f"cannot receive spikes: {label(layer.why_not, 90)}")
    return "<br>".join(lines)


def _break_even_traces(layers: list[LayerResult]) -> list[dict[str, Any]]:
    shown = [(i, layer, v) for i, layer in enumerate(layers) if (v := _even(layer)) is not None]
    if not shown:
        return []
    many = len(layers) > MAX_TICKS
    return [
        {
            "type": "scatter",
            "mode": "markers",
            "meta": "ink",
            "name": "break-even",
            "x": [i for i, _, _ in shown],
            "y": [significant(value) for _, _, value in shown],
            "marker": {
                "symbol": "line-ew-open",
                "size": 6 if many else 20,
                "line": {"width": 2},
                "color": "#7f7f7f",
            },
            # The dots carry the long tooltips: said once per layer, the page stays small.
            "text": [
                layer_hover(layer) if _rate(layer) is None else f"break-even {value:.3g}"
                for _, layer, value in shown
            ],
            "hovertemplate": "%{text}<extra></extra>",
        }
    ]


def _stems(layers: list[LayerResult]) -> list[dict[str, Any]]:
    """Lines from break-even to the rate that was measured, by which side wins."""
    traces = []
    for name, colour, wins in (
        ("spiking wins in this layer", WINS, True),
        ("spiking loses", LOSES, False),
    ):
        x: list[int | None] = []
        y: list[float | None] = []
        for i, layer in enumerate(layers):
            even, rate = _even(layer), _rate(layer)
            if even is not None and rate is not None and (rate < even) == wins:
                x += [i, i, None]
                y += [significant(even), significant(rate), None]
        if x:
            traces.append(
                {
                    "type": "scatter",
                    "mode": "lines",
                    "name": name,
                    "x": x,
                    "y": y,
                    "line": {"color": colour, "width": 3 if len(layers) <= MAX_TICKS else 1.5},
                    "hoverinfo": "skip",
                }
            )
    return traces


def _rate_traces(layers: list[LayerResult]) -> list[dict[str, Any]]:
    shown = [
        (i, layer, rate, even)
        for i, layer in enumerate(layers)
        if (rate := _rate(layer)) is not None and (even := _even(layer)) is not None
    ]
    if not shown:
        return []
    written = len(layers) <= MAX_WRITTEN
    return [
        {
            "type": "scatter",
            "mode": "markers+text" if written else "markers",
            "meta": "ink",
            "name": "measured spikes per synapse",
            "showlegend": False,
            "x": [i for i, *_ in shown],
            "y": [significant(rate) for _, _, rate, _ in shown],
            "marker": {
                "size": 12 if len(layers) <= MAX_TICKS else 6,
                "color": [significant(math.log10(rate / even), 3) for _, _, rate, even in shown],
                "colorscale": DISTANCE_SCALE,
                "cmin": -1.5,
                "cmax": 1.5,
                "showscale": not written,
                "colorbar": {
                    "title": {"text": "distance to<br>break-even"},
                    "tickvals": [-1.5, -1, -0.5, 0, 0.5, 1, 1.5],
                    "ticktext": ["0.03×", "0.1×", "0.3×", "1×", "3×", "10×", "30×"],
                    "thickness": 10,
                    "len": 0.85,
                    "y": 0.13,
                    "yanchor": "bottom",
                    "outlinewidth": 0,
                },
            },
            # The distance stands on the side away from the dash.
            "text": [say.times(rate / even) for _, _, rate, even in shown] if written else "",
            "textposition": [
                "bottom center" if rate < even else "top center" for _, _, rate, even in shown
            ],
            "cliponaxis": False,
            "hovertext": [layer_hover(layer, len(layers) > MAX_TICKS) for _, layer, _, _ in shown],
            "hovertemplate": "%{hovertext}<extra></extra>",
        },
    ]


def _silent_trace(layers: list[LayerResult], lowest: float) -> list[dict[str, Any]]:
    """Layers whose inputs never spiked: 0 has no place on a logarithmic axis, so it is marked."""
    shown = [(i, layer) for i, layer in enumerate(layers) if layer.spikes_per_synapse == 0]
    if not shown:
        return []
    return [
        {
            "type": "scatter",
            "mode": "markers",
            "name": "no spike at all",
            "x": [i for i, _ in shown],
            "y": [significant(lowest) for _ in shown],
            "marker": {"symbol": "triangle-down-open", "size": 11, "color": WINS},
            "text": [layer_hover(layer) for _, layer in shown],
            "hovertemplate": "%{text}<extra></extra>",
        }
    ]


def _strip_key(layer: LayerResult) -> tuple[str, bool]:
    return layer.mode, layer.mode == "ann" and not layer.eligible


def _mode_strip(layers: list[LayerResult]) -> list[dict[str, Any]]:
    """The row of squares below: which mode each layer was given."""
    traces = []
    for mode, barred in dict.fromkeys(_strip_key(layer) for layer in layers):
        chosen = [
            (i, layer) for i, layer in enumerate(layers) if _strip_key(layer) == (mode, barred)
        ]
        title = f"{say.mode_title(mode)}, cannot receive spikes" if barred else say.mode_title(mode)
        traces.append(
            {
                "type": "bar",
                "name": f"runs as {label(title, 40)}",
                "x": [i for i, _ in chosen],
                "y": [1 for _ in chosen],
                "width": 1.0 if len(layers) > MAX_TICKS else 0.85,
                "yaxis": "y2",
                "marker": {"color": NEUTRAL if barred else mode_style(mode)[0]},
                "text": [
                    f"<b>{label(layer.name, 60)}</b><br>runs as {label(title, 40)}"
                    for _, layer in chosen
                ],
                "textposition": "none",
                "hovertemplate": "%{text}<extra></extra>",
            }
        )
    return traces
