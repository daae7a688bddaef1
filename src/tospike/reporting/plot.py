"""Small helpers for figures: plain dicts in the JSON schema of plotly.js, no import of plotly.

A trace, shape or annotation that must follow the page's ink colour (light or dark) says so with
``meta="ink"`` (traces) or ``name="ink"`` (shapes); assets/report.js paints it.
"""

from __future__ import annotations

import html
import math
import unicodedata
from typing import Any

from tospike.units import si

Figure = dict[str, Any]

#: characters that would change the reading order of the text around them
_BIDI = dict.fromkeys([*range(0x202A, 0x202F), *range(0x2066, 0x206A)])


def clean(text: object) -> str:
    """``text`` without control characters, lone surrogates and marks that reorder the line."""
    return "".join(
        "\N{REPLACEMENT CHARACTER}"
        if unicodedata.category(c) in ("Cc", "Cs") and c not in "\n\t"
        else c
        for c in str(text).translate(_BIDI)
    )


def label(text: object, width: int = 0) -> str:
    """Untrusted text for a figure: plotly reads markup in text, so it is escaped.

    With ``width`` the text is shortened in its middle (both ends of a layer's name matter).
    """
    full = clean(text)
    if width and len(full) > width:
        keep = width - 1
        full = full[: keep // 3] + "…" + full[-(keep - keep // 3) :]
    return html.escape(full, quote=False)


def wrapped(text: object, width: int = 24, lines: int = 2) -> str:
    """Untrusted text on at most ``lines`` lines of about ``width`` characters."""
    words, rows = clean(text).split(), [""]
    for word in words:
        if rows[-1] and len(rows[-1]) + 1 + len(word) > width:
            rows.append("")
        rows[-1] = f"{rows[-1]} {word}".strip()
    if len(rows) > lines:
        rows = [*rows[: lines - 1], rows[lines - 1] + " …"]
    return "<br>".join(label(row, width + 6) for row in rows)


def significant(value: float, digits: int = 5) -> float:
    """``value`` rounded, so that the embedded JSON stays small."""
    return float(f"{value:.{digits}g}")


def prefix_scale(largest: float) -> tuple[float, str]:
    """(joule per shown unit, "nJ") for an axis whose largest value is ``largest`` joules."""
    for factor, prefix in ((1e-15, "f"), (1e-12, "p"), (1e-9, "n"), (1e-6, "µ"), (1e-3, "m")):
        if largest < 999.5 * factor:
            return factor, f"{prefix}J"
    return 1.0, "J"


def log_axis(values: list[float], unit: str, title: str) -> dict[str, Any]:
    """A logarithmic axis over positive ``values`` with ticks at 1-2-5, labelled with prefixes."""
    low, high = min(values), max(values)
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    steps = (1, 2, 5) if last - first <= 3 else ((1, 3) if last - first <= 5 else (1,))
    ticks = [step * 10.0**decade for decade in range(first - 1, last + 2) for step in steps]
    pad = max(0.06, 0.06 * math.log10(high / low)) if high > low else 0.3
    return {
        "type": "log",
        "title": {"text": title},
        "range": [math.log10(low) - pad, math.log10(high) + pad],
        "tickvals": ticks,
        "ticktext": [si(tick, unit) if unit else f"{tick:g}" for tick in ticks],
    }


def base_layout(height: int) -> dict[str, Any]:
    """Layout shared by all figures."""
    return {
        "height": height,
        "margin": {"l": 60, "r": 20, "t": 30, "b": 56},
        "legend": {
            "orientation": "h",
            "traceorder": "normal",
            "x": 0,
            "y": 1.02,
            "xanchor": "left",
            "yanchor": "bottom",
        },
        "hoverlabel": {"align": "left"},
        "hovermode": "closest",
    }


def faded(colour: str, share: float = 0.5) -> str:
    """``#rrggbb`` with transparency."""
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red},{green},{blue},{share})"


def band(row: float) -> dict[str, Any]:
    """A pale band behind the row of a horizontal bar."""
    return {
        "type": "rect",
        "layer": "below",
        "xref": "paper",
        "x0": 0,
        "x1": 1,
        "y0": row - 0.5,
        "y1": row + 0.5,
        "line": {"width": 0},
        "fillcolor": "rgba(127,127,127,0.16)",
    }


def vertical_line(x: float, *, dash: str = "dash") -> dict[str, Any]:
    """A line across the figure at ``x``."""
    return {
        "type": "line",
        "name": "ink",
        "x0": x,
        "x1": x,
        "yref": "paper",
        "y0": 0,
        "y1": 1,
        "line": {"width": 1.5, "dash": dash, "color": "#7f7f7f"},
    }


def horizontal_line(y: float, *, dash: str = "dash", yref: str = "y") -> dict[str, Any]:
    """A line across the figure at ``y``."""
    return {
        "type": "line",
        "name": "ink",
        "y0": y,
        "y1": y,
        "yref": yref,
        "xref": "paper",
        "x0": 0,
        "x1": 1,
        "line": {"width": 1.5, "dash": dash, "color": "#7f7f7f"},
    }
