"""``draw``: one figure as SVG, PNG or PDF. Needs matplotlib (extra "figures").

The same figure gives the same bytes. A file is complete or not there.
"""

from __future__ import annotations

from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING, Any

import numpy as np

from tospike.errors import OptionError
from tospike.figures.check import demand_drawable, numbers
from tospike.figures.files import complete
from tospike.figures.labelling import write_labels
from tospike.figures.record import Figure, Panel, Series
from tospike.figures.style import (
    CROWDED,
    INK,
    MUTED,
    ONE_COLUMN,
    RC,
    REFERENCE,
    TWO_COLUMNS,
    WIDE,
    Style,
    line_marker,
    pretty,
    styles,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure as Canvas

SUFFIXES = (".svg", ".png", ".pdf")
_METADATA: dict[str, dict[str, Any]] = {
    ".svg": {"Date": None, "Creator": None},
    ".png": {"Software": None},
    ".pdf": {"CreationDate": None, "Creator": None, "Producer": None},
}
_DPI = 200
#: mean width of a letter of a category in point
_LETTER = 3.9
Styles = dict[tuple[str, str], Style]
#: a line or a group of bars: what a legend shows
Handle = Any


def draw(figure: Figure, path: str | Path) -> None:
    """Draw a figure into the file ``path``; its suffix, .svg, .png or .pdf, chooses the format.

    Raises
    ------
    OptionError
        Another suffix, a missing directory, or matplotlib is not installed.
    DataError
        Series that cannot be drawn: unequal lengths, numbers that are not finite, values at or
        below 0 on a logarithmic axis; every fault at once.
    """
    path = Path(path)
    _check_target(figure, path)
    demand_drawable(figure)
    require_matplotlib()
    from matplotlib import rc_context

    # The keys of RC are literals of matplotlib's stubs, and are checked when entered.
    with complete(path) as file, rc_context(RC):  # type: ignore[arg-type]
        compose(figure).savefig(
            file,
            format=path.suffix[1:],
            dpi=_DPI,
            metadata={"Title": figure.title, **_METADATA[path.suffix]},
        )


def require_matplotlib() -> None:
    """Raises :class:`OptionError` with the command to install it where matplotlib is missing."""
    try:
        import matplotlib.figure  # noqa: F401
    except ImportError as error:
        raise OptionError(
            "draw figures",
            received="no matplotlib in this Python",
            fix='pip install "tospike[figures]"',
        ) from error


def _check_target(figure: Figure, path: Path) -> None:
    reasons = []
    if path.suffix not in SUFFIXES:
        reasons.append(f"the suffix {path.suffix!r} is none of {', '.join(SUFFIXES)}")
    if not path.parent.is_dir():
        reasons.append(f"there is no directory {str(path.parent)!r}")
    if path.is_dir():
        reasons.append("this is a directory")
    if reasons:
        raise OptionError(
            f"draw the figure {figure.key!r}",
            received=str(path),
            allowed=f"a file in an existing directory, ending in {', '.join(SUFFIXES)}",
            fix="create the directory, or choose one of these suffixes",
            reasons=reasons,
        )


def compose(figure: Figure) -> Canvas:
    """The matplotlib figure with all panels, legends and labels."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure as Canvas
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    rows, columns = grid(len(figure.panels))
    width = width_of(figure)
    layout = ConstrainedLayoutEngine(w_pad=0.04, h_pad=0.04, wspace=0.03, hspace=0.04)
    canvas = Canvas(figsize=(width, _height(figure, rows, columns)), dpi=_DPI, layout=layout)
    FigureCanvasAgg(canvas)
    all_axes = canvas.subplots(rows, columns, squeeze=False).ravel()
    looks = styles(figure.panels)
    handles: list[list[Handle]] = []
    for number, (panel, axes) in enumerate(zip(figure.panels, all_axes, strict=False)):
        letter = f"{'abcdefghij'[number % 10]}  " if len(figure.panels) > 1 else ""
        handles.append(_panel(axes, figure, panel, looks, letter))
    for axes in all_axes[len(figure.panels) :]:
        axes.set_visible(False)
    _legends(canvas, list(all_axes[: len(figure.panels)]), handles)
    canvas.canvas.draw()
    for panel, axes in zip(figure.panels, all_axes, strict=False):
        write_labels(canvas, axes, panel, looks)
    canvas.set_layout_engine("none")  # the labels were placed for exactly this layout
    return canvas


def grid(panels: int) -> tuple[int, int]:
    """(rows, columns) of the panels: up to three side by side, four as a square, then three."""
    if panels <= 3:
        return 1, panels
    columns = 2 if panels == 4 else 3
    return -(-panels // columns), columns


def width_of(figure: Figure) -> float:
    """Width of the drawing in inch: one or two columns of a page, or between for many labels."""
    if grid(len(figure.panels))[1] > 1:
        return TWO_COLUMNS
    labels = sum(bool(text) for item in figure.panels[0].series for text in item.texts)
    return WIDE if labels > CROWDED or len(categories(figure.panels[0])) > CROWDED else ONE_COLUMN


def _height(figure: Figure, rows: int, columns: int) -> float:
    """Height in inch; taller where categories are written slanted below the axis."""
    base = {1: 2.75, 2: 2.85, 3: 2.7}[columns]
    if width_of(figure) == WIDE:
        base = 3.7
    return rows * (base + 0.35 * any(_is_slanted(figure, panel) for panel in figure.panels))


def categories(panel: Panel) -> list[str]:
    """Categories of the x axis in order of appearance; empty where x are numbers."""
    found = dict.fromkeys(x for series in panel.series for x in series.x if isinstance(x, str))
    return list(found)


def positions(panel: Panel, series: Series) -> list[float]:
    """x of every point as a number: of a category, its place on the axis."""
    names = categories(panel)
    return [float(names.index(x)) if isinstance(x, str) else float(x) for x in series.x]


def _panel(axes: Axes, figure: Figure, panel: Panel, looks: Styles, letter: str) -> list[Handle]:
    """Draw the data of one panel; returns the legend's handles."""
    axes.set_title(pretty(f"{letter}{panel.title}"))
    axes.set_xlabel(pretty(panel.x_title))
    axes.set_ylabel(pretty(panel.y_title))
    if panel.x_log:
        axes.set_xscale("log")
    if panel.y_log:
        axes.set_yscale("log")
    axes.margins(x=0.05, y=0.08)
    axes.grid(axis="y" if categories(panel) else "both")
    handles: list[Handle] = []
    bars = [series for series in panel.series if series.kind == "bars"]
    below = np.zeros(max(1, len(categories(panel))))
    for number, series in enumerate(panel.series):
        style = looks[series.name, series.evidence]
        if series.kind == "bars":
            artist = _bars(axes, panel, series, style, bars.index(series), len(bars))
        elif series.kind == "stacked_bars":
            artist = _stacked(axes, panel, series, style, below)
        else:
            artist = _points(axes, panel, series, style)
            artist.set_gid(f"series_{number}")
        if series.group in REFERENCE:
            _name_line(axes, panel, series)
        elif series.name:
            handles.append(artist)
    _marks(axes, panel)
    _ticks(axes, figure, panel)
    for axis, log in ((axes.xaxis, panel.x_log), (axes.yaxis, panel.y_log)):
        if log:
            _log_ticks(axis)
    return handles


def _points(axes: Axes, panel: Panel, series: Series, style: Style) -> Handle:
    x, y = positions(panel, series), list(series.y)
    line = series.kind == "line"
    (artist,) = axes.plot(
        x,
        y,
        color=style.colour,
        linestyle=style.line if line else "none",
        linewidth=0.8 if series.group in REFERENCE else None,
        marker=line_marker(series, style) if line else style.marker,
        markersize=style.size,
        markeredgewidth=0.9,
        markerfacecolor=style.colour if style.filled else "white",
        markeredgecolor=style.colour,
        label=pretty(series.name),
        zorder=1.6 if series.group in REFERENCE else 3 if line else 5,  # labels are at 4
    )
    if series.low is not None and series.high is not None:
        if line:
            axes.fill_between(x, series.low, series.high, color=style.colour, alpha=0.15, lw=0)
        else:
            _range(axes, x, series, style.colour)
    return artist


def _name_line(axes: Axes, panel: Panel, series: Series) -> None:
    """The name of a reference line at its right end, outside of the data."""
    x = positions(panel, series)
    at = int(np.argmax(x)) if len(set(x)) == len(x) else len(x) - 1
    axes.annotate(
        pretty(series.name),
        xy=(x[at], series.y[at]),
        xytext=(3, 0),
        textcoords="offset points",
        va="center",
        fontsize=6.3,
        color=MUTED,
        annotation_clip=False,
    )


def _range(axes: Axes, x: list[float], series: Series, colour: str) -> None:
    axes.vlines(
        x,
        numbers(series.low or ()),
        numbers(series.high or ()),
        color=colour,
        linewidth=0.9,
        zorder=3.5,
    )


def _bars(
    axes: Axes, panel: Panel, series: Series, style: Style, place: int, number: int
) -> Handle:
    width = 0.8 / number
    x = [at + (place - (number - 1) / 2) * width for at in positions(panel, series)]
    artist = axes.bar(
        x,
        numbers(series.y),
        width=0.92 * width,
        facecolor=style.colour if style.filled else "white",
        edgecolor=style.colour,
        linewidth=0.9,
        label=pretty(series.name),
        zorder=2,
    )
    if series.low is not None:
        _range(axes, x, series, INK)
    return artist


def _stacked(
    axes: Axes, panel: Panel, series: Series, style: Style, below: np.ndarray[Any, Any]
) -> Handle:
    x, y = positions(panel, series), numbers(series.y)
    places = [int(at) for at in x]
    artist = axes.bar(
        x,
        y,
        width=0.5,
        bottom=below[places],
        facecolor=style.colour,
        edgecolor="white",
        linewidth=0.4,
        label=pretty(series.name),
        zorder=2,
    )
    below[places] += y
    return artist


def _marks(axes: Axes, panel: Panel) -> None:
    for mark in panel.marks:
        if mark.x is not None and mark.y is not None:
            axes.plot(
                [mark.x],
                [mark.y],
                linestyle="none",
                marker="D",
                markersize=5.2,
                markerfacecolor="white",
                markeredgecolor=INK,
                markeredgewidth=1.0,
                zorder=5,
            )
        elif mark.x is not None:
            axes.axvline(mark.x, color=MUTED, linestyle=(0, (4, 3)), linewidth=0.8, zorder=1.5)
        elif mark.y is not None:
            axes.axhline(mark.y, color=MUTED, linestyle=(0, (4, 3)), linewidth=0.8, zorder=1.5)


def _slot(figure: Figure, panel: Panel) -> float:
    """Width in point that each category of a panel has, about."""
    columns = grid(len(figure.panels))[1]
    inner = 72.0 * (width_of(figure) / columns - 0.6)
    return inner / max(1, len(categories(panel)))


def _is_slanted(figure: Figure, panel: Panel) -> bool:
    """True where the names of the categories do not fit beside each other, even in lines."""
    longest = max((len(word) for name in categories(panel) for word in name.split()), default=0)
    return longest * _LETTER > _slot(figure, panel)


def _ticks(axes: Axes, figure: Figure, panel: Panel) -> None:
    names = categories(panel)
    if names:
        slot = _slot(figure, panel)
        slanted = _is_slanted(figure, panel)
        per_line = max(1, int(slot / _LETTER))
        axes.set_xticks(
            range(len(names)),
            names if slanted else ["\n".join(wrap(name, per_line)) for name in names],
            rotation=(90 if slot < 11 else 40) if slanted else 0,
            ha="right" if slanted else "center",
            va="center" if slanted and slot < 11 else "top",
            rotation_mode="anchor" if slanted else "default",
            fontsize=6 if slot < 11 else 7,
        )
        axes.set_xlim(-0.7, len(names) - 0.3)
        axes.tick_params(axis="x", length=0)
    kinds = {series.kind for series in panel.series}
    highest = axes.dataLim.y1
    if kinds & {"bars", "stacked_bars"} and not panel.y_log and highest > 0:
        room = 1.1 if "bars" in kinds else 1.04  # for the values written above single bars
        axes.set_ylim(min(0.0, axes.get_ylim()[0]), room * highest)


def _log_ticks(axis: Axis) -> None:
    """Powers of ten; 1, 2 and 5 as plain numbers where the axis spans less than two decades."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    low, high = axis.get_view_interval()
    if high / low < 100.0:
        axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.10g}"))
    axis.set_minor_formatter(NullFormatter())


def _balanced(most: int, number: int) -> list[int]:
    """Numbers of columns to try, widest first, each as narrow as its rows allow."""
    return list(
        dict.fromkeys(-(-number // -(-number // columns)) for columns in range(most, 0, -1))
    )


def _legends(canvas: Canvas, all_axes: list[Axes], handles: list[list[Handle]]) -> None:
    """One legend for the figure if all panels show the same series, else one per panel."""
    names = [[str(artist.get_label()) for artist in group] for group in handles]
    if len(all_axes) > 1 and len(names[0]) > 1 and all(group == names[0] for group in names):
        columns = -(-len(names[0]) // -(-len(names[0]) // 5))
        canvas.legend(handles=handles[0], loc="outside upper center", ncols=columns)
        return
    canvas.canvas.draw()
    for axes, group in zip(all_axes, handles, strict=True):
        if len(group) < 2:
            continue
        for columns in _balanced(min(4, len(group)), len(group)):
            legend = axes.legend(
                handles=group,
                loc="lower left",
                bbox_to_anchor=(-0.02, 1.0),
                borderaxespad=0.15,
                borderpad=0.1,
                ncols=columns,
            )
            box = legend.get_window_extent()
            if columns == 1 or box.width <= axes.get_window_extent().width * 1.02:
                break
        axes.set_title(axes.get_title(loc="left"), pad=box.height * 72 / canvas.dpi + 4)
