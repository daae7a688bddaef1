"""How figures look: palette, line styles, one marker per kind of evidence. No drawing.

Evidence decides the marker: computed is solid without marker (as points: filled, with corners),
measured a filled circle, printed a hollow diamond, quoted a hollow circle, recalled a hollow
triangle. Colours are those of M. Okabe and K. Ito, which colour-blind readers can tell apart.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from tospike.figures.record import Panel, Series

#: black is left to marks and axes; yellow is too light for lines on white
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#666666")
LINES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)))
INK = "#1a1a1a"
MUTED = "#595959"
FAINT = "#8c8c8c"

#: lines of these groups are a background: thin, grey, named at their right end, in no legend
REFERENCE = frozenset({"reference", "equal efficiency"})

#: widths in inch of one and of two columns of a journal page
ONE_COLUMN, TWO_COLUMNS = 3.5, 7.16
#: a single panel with more labels than this is drawn wider
CROWDED, WIDE = 15, 5.2

RC: dict[str, object] = {
    "font.family": "DejaVu Sans",
    "font.size": 7.5,
    "axes.titlesize": 8,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": 7.5,
    "axes.edgecolor": MUTED,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.unicode_minus": True,
    "grid.color": "#e3e3e3",
    "grid.linewidth": 0.5,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.minor.width": 0.4,
    "ytick.minor.width": 0.4,
    "legend.fontsize": 6.8,
    "legend.frameon": False,
    "legend.handlelength": 2.0,
    "legend.columnspacing": 1.2,
    "legend.handletextpad": 0.5,
    "legend.labelspacing": 0.3,
    "lines.linewidth": 1.3,
    "mathtext.fontset": "dejavusans",
    "svg.hashsalt": "tospike",
    "svg.fonttype": "path",
    "pdf.fonttype": 42,
    "path.simplify": False,
}


@dataclass(frozen=True, slots=True)
class Style:
    """Colour, line style, marker and whether the marker is filled, of one series."""

    colour: str
    line: str | tuple[int, tuple[int, ...]]
    marker: str
    filled: bool
    size: float


#: evidence -> (marker, filled, size in points)
_MARKERS = {
    "computed": ("s", True, 3.2),
    "measured": ("o", True, 3.8),
    "printed": ("D", False, 4.6),
    "quoted": ("o", False, 4.4),
    "recalled": ("^", False, 4.4),
}

#: filled markers of computed points, one per colour, for readers without colours
COMPUTED = ("s", "^", "v", "P", "X")


def styles(panels: tuple[Panel, ...]) -> dict[tuple[str, str], Style]:
    """Style of every (name, evidence) of a figure: the same series looks alike in all panels.

    Series that share a ``group`` share the colour; within a group the line style changes. The
    groups of printed values beside computed ones are how a figure shows both in one colour.
    """
    colours: dict[str, str] = {}
    members: dict[str, list[str]] = {}
    found: dict[tuple[str, str], Style] = {}
    for series in (series for panel in panels for series in panel.series):
        key = (series.name, series.evidence)
        if key in found:
            continue
        group = series.group or series.name
        if series.evidence == "printed" and not series.group:
            colour = INK  # what the paper says looks like the marks
        elif group in REFERENCE:
            colour = FAINT
        else:
            colour = colours.setdefault(group, PALETTE[len(colours) % len(PALETTE)])
        lines = members.setdefault(group, [])
        if series.kind == "line":
            lines.append(series.name)
        marker, filled, size = _MARKERS[series.evidence]
        if series.evidence == "computed" and colour in PALETTE:
            marker = COMPUTED[PALETTE.index(colour) % len(COMPUTED)]
        line = (
            "-"
            if group in REFERENCE
            else LINES[(max(1, len(lines)) - 1 + _round(colours, group)) % len(LINES)]
        )
        found[key] = Style(colour, line, marker, filled, size)
    return found


def _round(colours: dict[str, str], group: str) -> int:
    """How often the palette was used up before this group got its colour."""
    return list(colours).index(group) // len(PALETTE) if group in colours else 0


def line_marker(series: Series, style: Style) -> str:
    """Marker of a line: none for computed curves, the evidence's marker for everything else."""
    return "" if series.evidence == "computed" else style.marker


def label_ink(style: Style) -> str:
    """Colour of a point's label: the series' own, darkened so that small text can be read."""
    red, green, blue = (int(style.colour[at : at + 2], 16) for at in (1, 3, 5))
    return "#" + "".join(f"{int(0.62 * part):02x}" for part in (red, green, blue))


def pretty(text: str) -> str:
    """Indices and powers of ten as formulas: "E_ANN" and "1.7e3" in the notation of matplotlib."""
    text = re.sub(r"\b([A-Za-z])_([A-Za-z]+)\b", r"$\1_\\mathrm{\2}$", text)
    text = re.sub(r"\b(\d+\.\d+|[2-9]\d*)e[+]?0?(\d+)\b", r"$\1\\times 10^{\2}$", text)
    return re.sub(r"\b1e[+]?0?(\d+)\b", r"$10^{\1}$", text)


def dark(colour: Sequence[float]) -> bool:
    """True if white text reads better on this RGB colour (parts in [0, 1]) than black text."""
    red, green, blue = colour[:3]
    return 0.299 * red + 0.587 * green + 0.114 * blue < 0.55
