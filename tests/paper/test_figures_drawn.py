"""Every figure as it is drawn: no value outside of its axes, no label upon another."""

from __future__ import annotations

from itertools import combinations

import pytest
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.text import Text

from tospike.figures import Figure, Panel, Series
from tospike.figures.draw import compose, positions
from tospike.figures.style import RC
from tospike.papers.figures import FIGURES

Box = tuple[float, float, float, float]


def drawn(figure: Figure) -> list[tuple[Panel, Axes]]:
    with rc_context(RC):
        canvas = compose(figure)
        canvas.canvas.draw()  # moves the labels to where they belong
    return list(zip(figure.panels, canvas.axes, strict=False))


def label_boxes(axes: Axes) -> list[tuple[str, Box]]:
    found = []
    for text in axes.texts:
        box = Text.get_window_extent(text)  # of the words, without the line that leads to them
        found.append((text.get_text(), (box.x0 + 1, box.y0 + 1, box.x1 - 1, box.y1 - 1)))
    return found


def clashes(axes: Axes) -> list[str]:
    return [
        f"{one} / {two}"
        for (one, a), (two, b) in combinations(label_boxes(axes), 2)
        if a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]
    ]


def outside(panel: Panel, axes: Axes) -> list[str]:
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    stacks: dict[float, float] = {}
    found = []
    for series in panel.series:
        for x, y in zip(positions(panel, series), series.y, strict=True):
            height = float(y)
            if series.kind == "stacked_bars":
                height = stacks[x] = stacks.get(x, 0.0) + height
            if not (left <= x <= right and bottom <= height <= top):
                found.append(f"{series.name}: {x}, {height}")
    return found


@pytest.mark.parametrize("key", FIGURES)
def test_all_data_are_visible_and_no_labels_clash(key: str) -> None:
    for panel, axes in drawn(FIGURES[key]()):
        assert outside(panel, axes) == []
        assert clashes(axes) == []


def test_the_checks_see_a_fault() -> None:
    panel = Panel("", "", "", (Series("s", [0.0, 1.0], [0.0, 1.0], "points", texts=("a", "b")),))
    ((_, axes),) = drawn(Figure("k", "p", "", "", "", (panel,)))
    assert outside(panel, axes) == []
    assert clashes(axes) == []
    one = axes.texts[0]
    other = axes.annotate(
        "upon a", one.xy, one.xyann, one.xycoords, "offset points", ha=one.get_ha(), va=one.get_va()
    )
    other.update_positions(axes.figure.canvas.get_renderer())
    assert clashes(axes) == ["a / upon a"]
    axes.set_ylim(0.0, 0.5)
    assert outside(panel, axes) == ["s: 1.0, 1.0"]
