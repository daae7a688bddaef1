"""``Section``: a piece of a report that is not a decision. Checked when it is made into HTML."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tospike.errors import OptionError
from tospike.reporting.plot import Figure

#: trace types that the vendored bundle of plotly.js can draw
TRACE_TYPES = (
    "bar",
    "box",
    "contour",
    "heatmap",
    "histogram",
    "histogram2d",
    "histogram2dcontour",
    "image",
    "pie",
    "scatter",
    "scatterternary",
    "violin",
)


@dataclass(frozen=True, slots=True)
class Section:
    """Heading, text, figures and a table, shown as a part of the report of its own.

    Attributes
    ----------
    title : heading.
    text : plain text; an empty line starts a paragraph. Markup in it is shown, not obeyed.
    figures : plotly figures, as ``plotly.graph_objects.Figure`` or as its dict (``data`` and
        ``layout``); :func:`activity_figure` and :func:`temporal_figure` make such dicts.
        A figure's ``layout.title.text`` becomes its caption.
    table : rows as mappings from column to a text or number; columns in order of appearance.
    belongs_to : index of the decision in whose part the section stands; None: a part of its own.
    """

    title: str
    text: str = ""
    figures: tuple[Any, ...] = ()
    table: Sequence[Mapping[str, Any]] = ()
    belongs_to: int | None = None


def figure_dict(figure: object, where: str) -> Figure:
    """``figure`` as a plain dict that the vendored plotly.js can draw without a request.

    Raises :class:`~tospike.errors.OptionError` for anything else than a plotly figure, for trace
    types that the bundle lacks, and for images that would have to be fetched.
    """
    if isinstance(figure, Mapping):
        found: Mapping[str, Any] = figure
    else:
        import json

        from plotly.basedatatypes import BaseFigure

        if not isinstance(figure, BaseFigure):
            raise OptionError(
                "put a figure in the report",
                received=f"{type(figure).__name__}",
                where=where,
                allowed="a plotly.graph_objects.Figure, or a dict with 'data' and 'layout'",
                fix="draw it with plotly, or write it as a table",
            )
        # The default template of plotly.py (7 kB, opaque and light) would defeat the dark page.
        found = json.loads(str(figure.to_json()))
        found["layout"].pop("template", None)
    reasons = _faults(found)
    if reasons:
        raise OptionError(
            "put a figure in the report",
            where=where,
            allowed=f"traces of type {', '.join(TRACE_TYPES)}; images as data: addresses",
            fix="draw it with these traces, and embed images",
            reasons=reasons,
        )
    return {"data": list(found["data"]), "layout": dict(found.get("layout") or {})}


def _faults(figure: Mapping[str, Any]) -> list[str]:
    traces = figure.get("data")
    if not isinstance(traces, Sequence) or isinstance(traces, str) or not traces:
        return ["the figure has no traces in 'data'"]
    if not all(isinstance(trace, Mapping) for trace in traces):
        return ["every trace in 'data' must be a dict"]
    reasons = []
    for i, trace in enumerate(traces):
        kind = trace.get("type", "scatter")
        if kind not in TRACE_TYPES:
            reasons.append(f"trace {i} is of type {kind!r}")
        reasons += _fetched(trace.get("source"), f"trace {i}")
    images = (figure.get("layout") or {}).get("images") or ()
    for i, image in enumerate(images):
        reasons += _fetched(image.get("source"), f"image {i}")
    return reasons


def _fetched(source: object, what: str) -> list[str]:
    if source is None or str(source).startswith("data:"):
        return []
    return [f"{what} would be fetched from {source!r}"]
