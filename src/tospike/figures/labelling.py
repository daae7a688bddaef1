"""Writes the labels of points, bars and marks into drawn axes, where they cover nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tospike.figures.labels import (
    NO_ROOM,
    Box,
    Candidate,
    Points,
    around,
    best,
    box_at,
    sampled,
)
from tospike.figures.record import Mark, Panel, Series
from tospike.figures.style import INK, MUTED, Style, dark, label_ink, pretty

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas
    from matplotlib.text import Text

_SIZE = 6.3
#: where along its line the label of a mark may stand, best first
_SHARES = (0.98, 0.02, *(step / 16 for step in (8, 12, 4, 14, 10, 6, 2, 13, 11, 9, 7, 5, 3)))
#: nine places on a marker of radius 1
_DISC = np.array([(x, y) for x in (-1.0, 0.0, 1.0) for y in (-1.0, 0.0, 1.0)])


def write_labels(
    canvas: Canvas, axes: Axes, panel: Panel, looks: dict[tuple[str, str], Style]
) -> None:
    """Labels of bars, marks and points, in this order; a point's label without room is left out.

    The axes must have been laid out and drawn.
    """
    from matplotlib.container import BarContainer

    unit = canvas.dpi / 72.0
    taken: list[Box] = [_box(text) for text in axes.texts]
    points = _obstacles(axes, unit)
    frame = _frame(axes, unit)
    groups = iter([group for group in axes.containers if isinstance(group, BarContainer)])
    for series in panel.series:
        if "bars" in series.kind:
            bars = list(next(groups))
            if series.texts:
                _bar_labels(axes, series, bars, unit, taken)
    for mark in panel.marks:
        _mark_label(axes, mark, unit, taken, points, frame)
    for number, series in enumerate(panel.series):
        if "bars" not in series.kind and series.texts:
            style = looks[series.name, series.evidence]
            _point_labels(axes, series, f"series_{number}", style, unit, taken, points, frame)


def _box(text: Text) -> Box:
    box = text.get_window_extent()
    return box.x0, box.y0, box.x1, box.y1


def _frame(axes: Axes, unit: float) -> Box:
    box = axes.get_window_extent()
    return box.x0 - 2 * unit, box.y0, box.x1 + 4 * unit, box.y1


def _obstacles(axes: Axes, unit: float) -> Points:
    """Pixels of the drawn lines, dashed marks, bars and points; a point is its whole marker."""
    from matplotlib.patches import Rectangle

    found = [np.zeros((0, 2))]
    for line in axes.get_lines():
        # The transformation of the line itself: marks run across the axes, not between two data.
        pixels = line.get_transform().transform(
            np.column_stack([line.get_xdata(), line.get_ydata()])
        )
        if line.get_linestyle() in ("None", "none", "", " "):
            around_it = 1.1 * line.get_markersize() / 2 * unit * _DISC
            found.append((pixels[:, None, :] + around_it[None, :, :]).reshape(-1, 2))
        else:
            found.append(sampled(pixels[:, 0], pixels[:, 1]))
    for bar in (bar for bar in axes.patches if isinstance(bar, Rectangle)):
        box = bar.get_window_extent()
        x, y = np.meshgrid(
            np.linspace(box.x0, box.x1, 8), np.linspace(box.y0, box.y1, 2 + int(box.height / 8))
        )
        found.append(np.column_stack([x.ravel(), y.ravel()]))
    return np.concatenate(found)


def _write(
    axes: Axes, text: str, x: float, y: float, place: Candidate, unit: float, *, colour: str = INK,
    rotation: float = 0.0, size: float = _SIZE, line: bool = False, halo: bool = True,
) -> Text:  # fmt: skip
    """A label beside (x, y) in pixels."""
    from matplotlib.patheffects import withStroke

    return axes.annotate(
        pretty(text),
        xy=tuple(axes.figure.transFigure.inverted().transform((x, y))),
        xycoords="figure fraction",
        xytext=(place.dx / unit, place.dy / unit),
        textcoords="offset points",
        ha=place.horizontal,
        va=place.vertical,
        rotation=rotation,
        fontsize=size,
        color=colour,
        annotation_clip=False,
        zorder=4,
        path_effects=[withStroke(linewidth=1.6, foreground="white")] if halo else None,
        arrowprops={"arrowstyle": "-", "lw": 0.4, "color": MUTED, "shrinkA": 0, "shrinkB": 2}
        if line
        else None,
    )


def _measure(axes: Axes, text: str, unit: float, rotation: float = 0.0) -> tuple[float, float]:
    probe = _write(axes, text, 0.0, 0.0, Candidate(0, 0, "left", "bottom"), unit, rotation=rotation)
    box = probe.get_window_extent()
    probe.remove()
    return box.width + 1.5 * unit, box.height + 1.0 * unit


def _mark_label(
    axes: Axes, mark: Mark, unit: float, taken: list[Box], points: Points, frame: Box
) -> None:
    gap = 3 * unit
    if mark.x is not None and mark.y is not None:
        x, y = axes.transData.transform((mark.x, mark.y))
        size = _measure(axes, mark.text, unit)
        places = around([6 * unit, 9 * unit, 16 * unit, 26 * unit])
        place, box, _ = best((x, y), size, places, taken=taken, points=points, axes=frame)
        far = abs(place.dx) + abs(place.dy) > 12 * unit
        _write(axes, mark.text, x, y, place, unit, line=far)
        taken += [box, (x - gap, y - gap, x + gap, y + gap)]
        return
    upright = mark.x is not None
    rotation = 90.0 if upright else 0.0
    size = _measure(axes, mark.text, unit, rotation)
    options: list[tuple[float, int, float, float, Candidate, Box]] = []
    for share in _SHARES:
        if upright:
            x = float(axes.transData.transform((mark.x or 0.0, axes.get_ylim()[0]))[0])
            y = frame[1] + share * (frame[3] - frame[1])
            vertical = {0.98: "top", 0.02: "bottom"}.get(share, "center")
            sides = [
                Candidate(-gap / 2, 0, "right", vertical),
                Candidate(gap / 2, 0, "left", vertical),
            ]
        else:
            x = frame[0] + share * (frame[2] - frame[0])
            y = float(axes.transData.transform((axes.get_xlim()[0], mark.y or 0.0))[1])
            side = {0.98: "right", 0.02: "left"}.get(share, "center")
            sides = [Candidate(0, gap / 3, side, "bottom"), Candidate(0, -gap / 3, side, "top")]
        found = best((x, y), size, sides, taken=taken, points=points, axes=frame)
        options.append((found[2], len(options), x, y, found[0], found[1]))
    _, _, x, y, place, box = min(options, key=lambda option: option[:2])
    _write(axes, mark.text, x, y, place, unit, colour=MUTED, rotation=rotation)
    taken.append(box)


def _point_labels(
    axes: Axes,
    series: Series,
    gid: str,
    style: Style,
    unit: float,
    taken: list[Box],
    points: Points,
    frame: Box,
) -> None:
    line = next(item for item in axes.get_lines() if item.get_gid() == gid)
    pixels = axes.transData.transform(np.column_stack([line.get_xdata(), line.get_ydata()]))
    near = [4 * unit, 7 * unit, 12 * unit, 18 * unit]
    for text, (x, y) in zip(series.texts, pixels, strict=True):
        if not text:
            continue
        size = _measure(axes, text, unit)
        place, box, price = best((x, y), size, around(near), taken=taken, points=points, axes=frame)
        if price >= NO_ROOM:
            continue
        far = abs(place.dx) + abs(place.dy) > 9 * unit
        _write(axes, text, float(x), float(y), place, unit, colour=label_ink(style), line=far)
        taken.append(box)


def _bar_labels(
    axes: Axes, series: Series, bars: list[object], unit: float, taken: list[Box]
) -> None:
    """Above a bar; inside of a stacked one, or right of it where the piece is too low."""
    from matplotlib.colors import to_rgb
    from matplotlib.patches import Rectangle

    for bar, text in zip(bars, series.texts, strict=True):
        if not text or not isinstance(bar, Rectangle):
            continue
        box = bar.get_window_extent()
        size = _measure(axes, text, unit)
        if series.kind == "bars":
            above = Candidate(0, 1.5 * unit, "center", "bottom")
            x = (box.x0 + box.x1) / 2
            _write(axes, text, x, box.y1, above, unit)
            taken.append(box_at((x, box.y1), size, above))
        elif box.height >= size[1] * 1.1 and box.width >= size[0]:
            x, y = (box.x0 + box.x1) / 2, (box.y0 + box.y1) / 2
            place = Candidate(0, 0, "center", "center")
            colour = "white" if dark(to_rgb(bar.get_facecolor())) else INK
            _write(axes, text, x, y, place, unit, colour=colour, halo=False)
        else:
            _beside(axes, text, box.x1, (box.y0 + box.y1) / 2, size, unit, taken)


def _beside(
    axes: Axes,
    text: str,
    x: float,
    y: float,
    size: tuple[float, float],
    unit: float,
    taken: list[Box],
) -> None:
    places = [
        Candidate(3 * unit, shift * size[1], "left", "center")
        for shift in (0.0, 0.5, -0.5, 1.0, -1.0, 1.5, -1.5, 2.0, -2.0)
    ]
    everywhere = (-np.inf, -np.inf, np.inf, np.inf)
    none = np.zeros((0, 2))
    y = max(y, axes.get_window_extent().y0 + 0.6 * size[1])  # clear of the axis
    place, box, _ = best((x, y), size, places, taken=taken, points=none, axes=everywhere)
    _write(axes, text, x, y, place, unit)
    taken.append(box)
