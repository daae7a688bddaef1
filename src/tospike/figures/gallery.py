"""All figures of a set in one directory: pictures, their data, and a page that shows both."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from html import escape
from pathlib import Path

from tospike.errors import OptionError
from tospike.figures.check import numbers
from tospike.figures.draw import draw, width_of
from tospike.figures.files import write_text
from tospike.figures.record import Figure, Panel, Series, Statement
from tospike.sources import SOURCES

PAGE = "index.html"

_CSS = """
body{font:16px/1.5 system-ui,sans-serif;color:#1a1a1a;max-width:62rem;margin:2rem auto;
padding:0 1rem}
figure{margin:0 0 1rem}img{max-width:100%;height:auto}h2{margin-top:3rem}
figcaption,.sources{color:#444;font-size:.93rem}
table{border-collapse:collapse;width:100%;font-size:.9rem}
th,td{border-bottom:1px solid #ddd;padding:.35rem .5rem;text-align:left;vertical-align:top}
.yes{color:#00633f;font-weight:600}.no{color:#a33c00;font-weight:600}
@media(prefers-color-scheme:dark){body{background:#fff}}
"""


def write_gallery(
    figures: Sequence[Figure],
    directory: str | Path,
    *,
    title: str = "Figures of the papers, recomputed",
    suffixes: Sequence[str] = (".svg",),
    progress: Callable[[str, int, int], None] | None = None,
) -> list[Path]:
    """Write every figure (a picture per suffix and its data as JSON) and ``index.html``.

    The directory is made if its parent exists; the page opens without a network. Returns the
    files, the page last. ``progress`` is called with (stage, done, total).

    Raises
    ------
    OptionError
        The directory cannot be made, two figures share a key, matplotlib is missing.
    DataError
        A figure that cannot be drawn.
    """
    directory = Path(directory)
    keys = [figure.key for figure in figures]
    reasons = [f"two figures are called {key!r}" for key in set(keys) if keys.count(key) > 1]
    if directory.exists() and not directory.is_dir():
        reasons.append(f"{str(directory)!r} is a file")
    elif not directory.parent.is_dir():
        reasons.append(f"there is no directory {str(directory.parent)!r}")
    if reasons:
        raise OptionError(
            "write the figures",
            received=str(directory),
            allowed="a directory, or a new one in an existing directory",
            fix="create the parent directory, or choose another",
            reasons=reasons,
        )
    try:
        directory.mkdir(exist_ok=True)
    except OSError as error:
        raise OptionError(
            f"make the directory {directory}",
            received=error.strerror or str(error),
            fix="choose another directory",
        ) from error
    written = []
    for done, figure in enumerate(figures):
        if progress is not None:
            progress("figures", done, len(figures))
        for suffix in suffixes:
            written.append(directory / f"{figure.key}{suffix}")
            draw(figure, written[-1])
        written.append(directory / f"{figure.key}.json")
        write_text(written[-1], json.dumps(figure_data(figure), indent=1) + "\n")
    written.append(directory / PAGE)
    write_text(written[-1], gallery_html(figures, title=title))
    if progress is not None:
        progress("figures", len(figures), len(figures))
    return written


def figure_data(figure: Figure) -> dict[str, object]:
    """The figure as JSON data: every number that is drawn, and the statements."""
    return {
        "key": figure.key,
        "paper": figure.paper,
        "place": figure.place,
        "title": figure.title,
        "caption": figure.caption,
        "panels": [_panel_data(panel) for panel in figure.panels],
        "statements": [
            {
                "text": item.text,
                "where": item.where,
                "printed": item.printed,
                "computed": item.computed,
                "holds": bool(item.holds),
                "convention": item.convention,
            }
            for item in figure.statements
        ],
        "sources": list(figure.sources),
    }


def _panel_data(panel: Panel) -> dict[str, object]:
    return {
        "title": panel.title,
        "x_title": panel.x_title,
        "y_title": panel.y_title,
        "x_log": panel.x_log,
        "y_log": panel.y_log,
        "series": [_series_data(series) for series in panel.series],
        "marks": [{"text": mark.text, "x": mark.x, "y": mark.y} for mark in panel.marks],
    }


def _series_data(series: Series) -> dict[str, object]:
    data: dict[str, object] = {
        "name": series.name,
        "evidence": series.evidence,
        "kind": series.kind,
        "x": [x if isinstance(x, str) else float(x) for x in series.x],
        "y": numbers(series.y),
    }
    if series.low is not None and series.high is not None:
        data["low"], data["high"] = numbers(series.low), numbers(series.high)
    if series.texts:
        data["texts"] = list(series.texts)
    return data


def gallery_html(figures: Sequence[Figure], *, title: str) -> str:
    """The page: every figure with caption, sources and the table of what the paper states."""
    parts = [
        '<!doctype html><html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width,initial-scale=1">',
        f"<title>{escape(title)}</title><style>{_CSS}</style></head><body>",
        f"<h1>{escape(title)}</h1>",
        f"<p>{escape(summary(figures))}</p><ul>",
        *(
            f'<li><a href="#{escape(figure.key)}">{escape(heading(figure))}</a></li>'
            for figure in figures
        ),
        "</ul>",
    ]
    for figure in figures:
        parts += [
            f'<h2 id="{escape(figure.key)}">{escape(heading(figure))}</h2><figure>',
            f'<img src="{escape(figure.key)}.svg" width="{_width(figure)}" '
            f'alt="{escape(alternative(figure))}">',
            f"<figcaption>{escape(figure.caption)}</figcaption></figure>",
            f'<p class="sources">Sources: {escape(", ".join(figure.sources) or "none")}. Data: '
            f'<a href="{escape(figure.key)}.json">{escape(figure.key)}.json</a></p>',
            *_html_table(figure.statements),
        ]
    parts += ["<h2>Sources</h2><dl>"]
    parts += [f"<dt>{escape(key)}</dt><dd>{escape(text)}</dd>" for key, text in references(figures)]
    return "\n".join([*parts, "</dl></body></html>"]) + "\n"


def _html_table(statements: Sequence[Statement]) -> list[str]:
    if not statements:
        return []
    head = "".join(
        f"<th>{name}</th>"
        for name in ("The paper says, in substance", "Where", "Printed", "Found", "Holds")
    )
    rows = []
    for item in statements:
        cells = "".join(
            f"<td>{escape(text)}</td>"
            for text in (item.text, item.where, item.printed, item.computed)
        )
        colour = "yes" if item.holds else "no"
        rows.append(f'<tr>{cells}<td class="{colour}">{escape(verdict(item))}</td></tr>')
    return [f"<table><thead><tr>{head}</tr></thead><tbody>", *rows, "</tbody></table>"]


def gallery_markdown(figures: Sequence[Figure], *, folder: str = "figures") -> str:
    """The same page as Markdown for the documentation; pictures lie in ``folder`` beside it."""
    parts = [summary(figures), ""]
    for figure in figures:
        parts += [
            f"## {heading(figure)}",
            "",
            f'<img src="{folder}/{figure.key}.svg" width="{_width(figure)}" '
            f'alt="{escape(alternative(figure))}">',
            "",
            figure.caption,
            "",
        ]
        if figure.sources:
            parts += [f"Sources: {', '.join(f'`{key}`' for key in figure.sources)}.", ""]
        if figure.statements:
            parts += [
                "| The paper says, in substance | Where | Printed | Found | Holds |",
                "|---|---|---|---|---|",
                *(
                    "| " + " | ".join(_cell(text) for text in _row(item)) + " |"
                    for item in figure.statements
                ),
                "",
            ]
    parts += ["## Sources", "", *(f"- `{key}`: {text}" for key, text in references(figures)), ""]
    return "\n".join(parts)


def _row(item: Statement) -> tuple[str, ...]:
    return (
        item.text,
        item.where,
        item.printed,
        item.computed,
        verdict(item) if item.holds else f"**{verdict(item)}**",
    )


def verdict(item: Statement) -> str:
    """ "yes", "no", or "no; under a convention: ..."."""
    if item.holds or not item.convention:
        return "yes" if item.holds else "no"
    return f"only under a convention: {item.convention}"


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())


def heading(figure: Figure) -> str:
    """ "Dampfhoffer 2022, Fig. 5: target sparsity"."""
    names, _, year = figure.paper.rpartition("_")
    paper = " ".join(filter(None, (" & ".join(names.title().split("_")), year)))
    return f"{', '.join(filter(None, (paper, figure.place)))}: {figure.title}"


def references(figures: Sequence[Figure]) -> list[tuple[str, str]]:
    """(key, reference) of every source of the figures, in order of the keys."""
    keys = sorted({key for figure in figures for key in figure.sources})
    return [(key, SOURCES[key].text if key in SOURCES else key) for key in keys]


def summary(figures: Sequence[Figure]) -> str:
    """How many figures there are, and how many of the papers' statements hold."""
    statements = [item for figure in figures for item in figure.statements]
    holding = sum(bool(item.holds) for item in statements)
    named = sum(bool(item.convention) and not item.holds for item in statements)
    return (
        f"{len(figures)} figures with {len(statements)} statements of the papers about them; "
        f"{holding} hold as printed, {named} under a named convention, "
        f"{len(statements) - holding - named} do not."
    )


def alternative(figure: Figure) -> str:
    """Text for readers who cannot see the picture."""
    panels = [
        f"{panel.title or 'one panel'} ({', '.join(filter(None, (panel.y_title, panel.x_title)))})"
        for panel in figure.panels
    ]
    return f"{heading(figure)}. Panels: {'; '.join(panels)}."


def _width(figure: Figure) -> int:
    """Width of the picture in a page, in pixels."""
    return round(128 * width_of(figure))
