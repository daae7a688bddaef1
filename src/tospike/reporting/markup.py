"""Safe HTML: everything that is not already :class:`Html` is escaped."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tospike.decision.record import plain
from tospike.reporting.plot import clean

_SURROGATE = re.compile("[\ud800-\udfff]")
_VOID = frozenset({"br", "hr", "meta"})


class Html(str):
    """Text that is already markup. Only the functions of this module make it."""

    __slots__ = ()


def esc(value: object) -> Html:
    """``value`` as safe text; control characters are replaced."""
    return value if isinstance(value, Html) else Html(html.escape(clean(value), quote=True))


def join(parts: Iterable[object], between: str = "") -> Html:
    """All parts, each escaped unless it is markup."""
    return Html(between.join(esc(part) for part in parts))


def el(name: str, *children: object, attrs: Mapping[str, object] | None = None) -> Html:
    """``<name attrs>children</name>``; attributes that are None or False are left out."""
    written = "".join(
        f" {key}" if value is True else f' {key}="{esc(value)}"'
        for key, value in (attrs or {}).items()
        if value is not None and value is not False
    )
    if name in _VOID:
        return Html(f"<{name}{written}>")
    return Html(f"<{name}{written}>{join(children)}</{name}>")


def div(kind: str, *children: object) -> Html:
    """A ``<div>`` of a class."""
    return el("div", *children, attrs={"class": kind or None})


def span(kind: str, *children: object) -> Html:
    """A ``<span>`` of a class."""
    return el("span", *children, attrs={"class": kind})


def script_json(value: Any) -> str:
    """JSON that no HTML parser can leave: ``<``, ``>`` and ``&`` are escaped. No NaN."""
    text = json.dumps(plain(value), ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    # A lone surrogate (a file name that is not UTF-8) is no text, and stops some readers.
    return _SURROGATE.sub("\N{REPLACEMENT CHARACTER}", text)


def data_block(value: Any, attrs: Mapping[str, object]) -> Html:
    """A ``<script type="application/json">`` that holds ``value``; it is never executed."""
    return el("script", Html(script_json(value)), attrs={"type": "application/json", **attrs})


@dataclass(frozen=True, slots=True)
class Column:
    """A column: its title, what it means (tooltip), whether it holds numbers."""

    title: str
    numeric: bool = False
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell: what is shown, and the number by which the column is sorted."""

    content: object
    sort: float | None = None
    kind: str = ""


def informative(
    columns: Sequence[Column], rows: Sequence[Sequence[Cell]]
) -> tuple[list[Column], list[list[Cell]]]:
    """Without the columns (but the first) that hold nothing, or a dash in every row."""
    empty = ("", "–")
    kept = [
        i
        for i in range(len(columns))
        if i == 0 or any(str(row[i].content) not in empty for row in rows)
    ]
    return [columns[i] for i in kept], [[row[i] for i in kept] for row in rows]


def table(
    caption: str,
    columns: Sequence[Column],
    rows: Sequence[Sequence[Cell]],
    *,
    sortable: bool = True,
) -> Html:
    """A table that can be sorted by its headings where scripts run, in a box that scrolls."""
    head = el(
        "tr",
        *(
            el(
                "th",
                column.title,
                attrs={
                    "scope": "col",
                    "class": "num" if column.numeric else None,
                    "title": column.hint or None,
                },
            )
            for column in columns
        ),
    )
    body = [el("tr", *_cells(columns, row)) for row in rows]
    inner = join((el("caption", caption), el("thead", head), el("tbody", *body)))
    attrs = {"class": "sortable" if sortable and len(rows) > 1 else None}
    return el(
        "div",
        el("table", inner, attrs=attrs),
        attrs={"class": "scroll", "tabindex": 0, "role": "region", "aria-label": caption},
    )


def _cells(columns: Sequence[Column], row: Sequence[Cell]) -> list[Html]:
    cells = []
    for i, (column, cell) in enumerate(zip(columns, row, strict=True)):
        kinds = " ".join(kind for kind in ("num" if column.numeric else "", cell.kind) if kind)
        attrs = {
            "class": kinds or None,
            "data-sort": None if cell.sort is None else f"{cell.sort:.8g}",
            "scope": "row" if i == 0 else None,
        }
        cells.append(el("th" if i == 0 else "td", cell.content, attrs=attrs))
    return cells


def definitions(pairs: Sequence[tuple[str, object]]) -> Html:
    """A list of names and values."""
    return el("dl", *(div("", el("dt", name), el("dd", value)) for name, value in pairs))


def bullets(items: Iterable[object]) -> Html:
    """An unordered list."""
    return el("ul", *(el("li", item) for item in items))
