"""``Figure``: the data of one figure, with what the paper states about it. Records only.

Drawing is elsewhere (``draw.py``), so that tests compare numbers and not pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Kind = Literal["line", "points", "bars", "stacked_bars"]


@dataclass(frozen=True)
class Series:
    """One curve, set of points or set of bars.

    ``x`` are numbers, or the categories of a bar chart; ``y`` numbers of the same length; ``low``
    and ``high`` an optional range of y; ``texts`` a label per point.
    ``evidence``: "computed" (from equations), "measured" (run on real data here), "printed" (read
    in the paper), "quoted" (from the survey of published chips), "recalled".
    ``group``: series of one group share their colour and differ in line style or marker.
    """

    name: str
    x: Sequence[float] | Sequence[str]
    y: Sequence[float]
    kind: Kind = "line"
    evidence: str = "computed"
    texts: tuple[str, ...] = ()
    low: Sequence[float] | None = None
    high: Sequence[float] | None = None
    group: str = ""


@dataclass(frozen=True)
class Mark:
    """Something the paper states, drawn into the panel: a line at x or y, or a point."""

    text: str
    x: float | None = None
    y: float | None = None


@dataclass(frozen=True)
class Panel:
    """One pair of axes."""

    title: str
    x_title: str
    y_title: str
    series: tuple[Series, ...]
    marks: tuple[Mark, ...] = ()
    x_log: bool = False
    y_log: bool = False


@dataclass(frozen=True)
class Statement:
    """A sentence of the paper about the figure beside the number found here.

    ``holds`` is decided by the true count; ``convention``, where it does not, names another way of
    counting under which it does.
    """

    text: str
    where: str
    printed: str
    computed: str
    holds: bool
    convention: str = ""


@dataclass(frozen=True)
class Figure:
    """One figure of a paper.

    ``key`` is the file name ("dampfhoffer_2022_fig5"), ``place`` the place in the paper,
    ``caption`` says what is shown and on what it rests.
    """

    key: str
    paper: str
    place: str
    title: str
    caption: str
    panels: tuple[Panel, ...]
    statements: tuple[Statement, ...] = ()
    sources: tuple[str, ...] = ()
