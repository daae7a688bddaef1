"""Figures of measured activity: zero fraction per layer, temporal sparsity against threshold."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tospike.activity.profile import ActivityProfile, LayerActivity
from tospike.errors import StatisticError
from tospike.network import Network
from tospike.reporting import wording as say
from tospike.reporting.layer_map import MAX_TICKS, layer_axis
from tospike.reporting.palette import BLUE, CYCLE, GREEN, ORANGE
from tospike.reporting.plot import Figure, base_layout, horizontal_line, label, significant

_SIGNALS = {
    "analog": ("analog input", BLUE),
    "spike": ("spikes", ORANGE),
    "delta": ("delta", GREEN),
}
_ACTIVITY_TITLE = (
    "Share of the values at the input of each layer that are exactly 0, layers in order of "
    "execution. Whiskers: one standard deviation over samples."
)
TEMPORAL_TITLE = (
    "Temporal sparsity Γ: share of the input values of a layer that a delta network need not "
    "send, because they differ by at most Θ from the last value sent."
)
_DASHES = ("solid", "dash", "dot", "dashdot")


def activity_figure(network: Network, activity: ActivityProfile) -> Figure:
    """Bars of the zero fraction at the input of every layer, in order of execution.

    Drawn like Fig. 4 of Liu & Delbruck 2019. Whiskers are one standard deviation over samples.
    The dashed line is the mean weighted by synapses: the share of all operations that meet a
    zero if every layer's zeros are spread evenly.

    Returns a plotly figure as a dict (for :class:`~tospike.reporting.Section`).
    Raises :class:`~tospike.errors.StatisticError` if no synaptic layer of the network is in the
    activity, or if no zero fraction is finite.
    """
    rows = [
        (layer, activity[layer.name])
        for layer in network.synaptic_layers
        if layer.name in activity and say.finite(activity[layer.name].zero_fraction) is not None
    ]
    if not rows:
        raise StatisticError(
            "draw the zero fraction per layer",
            received=f"an activity of {len(activity.layers)} layers",
            where=network.origin.name,
            allowed="an activity with a finite zero fraction of at least one layer of the network",
            fix="measure the activity of this very network",
        )
    traces = []
    for signal in dict.fromkeys(found.signal for _, found in rows):
        chosen = [(i, *row) for i, row in enumerate(rows) if row[1].signal == signal]
        title, colour = _SIGNALS[signal]
        traces.append(
            {
                "type": "bar",
                "name": title if activity.measured else f"{title} (assumed)",
                "x": [i for i, *_ in chosen],
                "y": [significant(100 * found.zero_fraction) for *_, found in chosen],
                "error_y": {
                    "type": "data",
                    "array": [
                        significant(100 * (say.finite(found.zero_fraction_std) or 0.0))
                        for *_, found in chosen
                    ],
                    "thickness": 1.5,
                    "width": 4 if len(rows) <= MAX_TICKS else 1,
                    "color": "#7f7f7f",
                },
                "meta": "ink",
                "marker": {"color": colour},
                "text": [_hover(layer.name, layer.n_synapses, found) for _, layer, found in chosen],
                "textposition": "none",
                "hovertemplate": "%{text}<extra></extra>",
            }
        )
    return {"data": traces, "layout": _activity_layout(rows)}


def _activity_layout(rows: list[Any]) -> dict[str, Any]:
    synapses = sum(layer.n_synapses for layer, _ in rows)
    layout = base_layout(400) | {
        "title": {"text": _ACTIVITY_TITLE},
        "barmode": "overlay",
        "xaxis": layer_axis([layer.name for layer, _ in rows]),
        "yaxis": {
            "title": {"text": "inputs that are 0 (%)"},
            "range": [0, 100],
            "automargin": True,
        },
    }
    if synapses:
        mean = sum(layer.n_synapses * found.zero_fraction for layer, found in rows) / synapses
        layout["shapes"] = [horizontal_line(100 * mean)]
        layout["annotations"] = [
            {
                "name": "ink",
                "text": f"dashed: mean weighted by synapses, {say.percent(mean)}",
                "xref": "paper",
                "x": 0.0,
                "yref": "paper",
                "y": 1.0,
                "xanchor": "left",
                "yanchor": "bottom",
                "showarrow": False,
            }
        ]
    return layout


def _hover(name: str, n_synapses: int, found: LayerActivity) -> str:
    spread = say.finite(found.zero_fraction_std)
    return "<br>".join(
        (
            f"<b>{label(name, 60)}</b>",
            f"zero fraction {say.percent(found.zero_fraction)}"
            + (f" ± {say.percent(spread)}" if spread is not None else ""),
            f"{say.amount(found.synaptic_operations)} of {say.amount(n_synapses)} operations "
            "have a non-zero input",
            f"{found.n_samples} samples",
        )
    )


def temporal_figure(activity: ActivityProfile) -> Figure:
    """Γ against Θ: share of input values that need not be sent, one line per layer.

    Returns a plotly figure as a dict. Raises :class:`~tospike.errors.StatisticError` if no layer
    of the activity has temporal sparsity.
    """
    figure = temporal_lines(
        {name: layer.temporal_sparsity for name, layer in activity.layers.items()}
    )
    if figure is None:
        raise StatisticError(
            "draw temporal sparsity against the threshold",
            received=f"an activity of {len(activity.layers)} layers without temporal sparsity",
            allowed="an activity of sequences, measured with a list of thresholds",
            fix="measure sequences, and give the thresholds",
        )
    return figure


def temporal_lines(layers: Mapping[str, Mapping[Any, float]]) -> Figure | None:
    """The same for layer -> {Θ: Γ}, with Θ a number or its text; None if nothing is there."""
    curves = {}
    for name, values in layers.items():
        points = sorted((float(theta), say.finite(gamma)) for theta, gamma in values.items())
        kept = [(theta, gamma) for theta, gamma in points if gamma is not None]
        if kept:
            curves[name] = kept
    thresholds = sorted({theta for points in curves.values() for theta, _ in points})
    if not thresholds:
        return None
    place, ticks = _threshold_axis(thresholds)
    traces = [
        {
            "type": "scatter",
            "mode": "lines+markers",
            "name": label(name, 30),
            "x": [significant(place[theta]) for theta, _ in points],
            "y": [significant(100 * gamma) for _, gamma in points],
            "line": {
                "color": CYCLE[i % len(CYCLE)],
                # Lines of layers that see the same signal coincide: dashes let both be seen.
                "dash": _DASHES[i % len(_DASHES)],
                "width": 2,
            },
            "customdata": [[label(name, 60), f"{theta:g}"] for theta, _ in points],
            "hovertemplate": "%{customdata[0]}<br>Θ = %{customdata[1]}: Γ = %{y:.1f} %"
            "<extra></extra>",
        }
        for i, (name, points) in enumerate(curves.items())
    ]
    layout = base_layout(400) | {
        "title": {"text": TEMPORAL_TITLE},
        "showlegend": len(curves) <= MAX_TICKS,
        "xaxis": ticks | {"title": {"text": "threshold Θ"}},
        "yaxis": {
            "title": {"text": "values not sent, Γ (%)"},
            "range": [0, 102],
            "automargin": True,
        },
    }
    return {"data": traces, "layout": layout}


def _threshold_axis(thresholds: list[float]) -> tuple[dict[float, float], dict[str, Any]]:
    """Where each Θ stands. On a logarithmic axis 0 stands one octave left of the smallest Θ."""
    positive = [theta for theta in thresholds if theta > 0]
    logarithmic = len(positive) > 1 and positive[-1] / positive[0] > 4
    place = {theta: theta for theta in thresholds}
    if logarithmic and thresholds[0] <= 0:
        place |= {theta: positive[0] / 2 for theta in thresholds if theta <= 0}
    axis = {
        "tickvals": [place[theta] for theta in thresholds],
        "ticktext": [f"{theta:.3g}" for theta in thresholds],
        "zeroline": False,
    }
    return place, (axis | {"type": "log"} if logarithmic else axis)
