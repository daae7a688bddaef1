"""``faults``: what is wrong with the data of a figure, before anything is drawn."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from tospike.errors import DataError
from tospike.figures.record import Figure, Panel, Series

_KINDS = ("line", "points", "bars", "stacked_bars")
_EVIDENCE = ("computed", "measured", "printed", "quoted", "recalled")


def faults(figure: Figure) -> list[str]:
    """Every fault of a figure as a sentence; empty if it can be drawn.

    A figure needs a key that is a file name and at least one panel with data; a series as many x
    as y, finite numbers, above 0 on a logarithmic axis.
    """
    found = []
    if not figure.key or not all(letter.isalnum() or letter in "_-" for letter in figure.key):
        found.append(f"the key {figure.key!r} is no file name (letters, digits, _ and -)")
    if not figure.panels:
        found.append("there is no panel")
    for number, panel in enumerate(figure.panels, start=1):
        where = f"panel {number} ({panel.title!r})"
        if not any(len(series.y) for series in panel.series):
            found.append(f"{where}: no data")
        for series in panel.series:
            found += [f"{where}, series {series.name!r}: {fault}" for fault in _series(series)]
            found += [f"{where}, series {series.name!r}: {fault}" for fault in _axes(panel, series)]
        for mark in panel.marks:
            found += [f"{where}, mark {mark.text!r}: {fault}" for fault in _mark(mark.x, mark.y)]
        kinds = {isinstance(x, str) for series in panel.series for x in series.x}
        if len(kinds) > 1:
            found.append(f"{where}: categories and numbers on one x axis")
    return found


def demand_drawable(figure: Figure) -> None:
    """Raises :class:`DataError` with all :func:`faults` of the figure."""
    found = faults(figure)
    if found:
        raise DataError(
            f"draw the figure {figure.key!r}",
            allowed="finite series of equal lengths, above 0 on logarithmic axes",
            fix="correct the data of the figure",
            reasons=found,
        )


def numbers(values: Iterable[float | str]) -> list[float]:
    """The numbers among the values."""
    return [float(value) for value in values if not isinstance(value, str)]


def _series(series: Series) -> list[str]:
    found = []
    if series.kind not in _KINDS:
        found.append(f"kind {series.kind!r} is none of {', '.join(_KINDS)}")
    if series.evidence not in _EVIDENCE:
        found.append(f"evidence {series.evidence!r} is none of {', '.join(_EVIDENCE)}")
    size = len(series.y)
    columns: tuple[tuple[str, Sequence[object] | None], ...] = (
        ("x", series.x),
        ("texts", series.texts or None),
        ("low", series.low),
        ("high", series.high),
    )
    found += [
        f"{len(column)} values of {name} for {size} of y"
        for name, column in columns
        if column is not None and len(column) != size
    ]
    if (series.low is None) != (series.high is None):
        found.append("a range needs both low and high")
    for name, values in (
        ("x", numbers(series.x)),
        ("y", series.y),
        ("low", series.low or ()),
        ("high", series.high or ()),
    ):
        wrong = [value for value in values if not math.isfinite(value)]
        if wrong:
            found.append(f"{len(wrong)} values of {name} are not finite, the first is {wrong[0]!r}")
    return found


def _axes(panel: Panel, series: Series) -> list[str]:
    found = []
    low = series.low if series.low is not None else ()
    for name, log, values in (
        ("x", panel.x_log, numbers(series.x)),
        ("y", panel.y_log, [*series.y, *low]),
    ):
        if log and any(value <= 0 for value in values):
            found.append(f"values of {name} at or below 0 on a logarithmic axis")
    return found


def _mark(x: float | None, y: float | None) -> list[str]:
    given = [value for value in (x, y) if value is not None]
    if not given:
        return ["neither x nor y"]
    return ["not finite"] if not all(math.isfinite(value) for value in given) else []
