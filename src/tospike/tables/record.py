"""``Table``: any result as rows, with the caption that says what it rests on. Records only."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from tospike.errors import OptionError
from tospike.sources import SOURCES

#: what a cell may hold; None is an empty cell
Value = str | int | float | bool | None


@dataclass(frozen=True, slots=True)
class Column:
    """One column: ``key`` of the cell in a row, ``title`` for people, ``unit`` of its numbers.

    ``digits``: significant digits of a number in text and LaTeX (CSV and JSON keep them all);
    None prints it as it is. A column with a unit, or one of numbers, is aligned to the right.
    """

    key: str
    title: str
    unit: str = ""
    digits: int | None = 4


@dataclass(frozen=True, slots=True)
class Table:
    """Rows with columns, and a caption complete enough to stand alone in a paper.

    Attributes
    ----------
    key : short name: file name and LaTeX label.
    title : one sentence: what the table shows.
    rows : cells by column key; a missing key is an empty cell.
    assumptions : what the numbers assume, one sentence each.
    sources : keys of the bibliography.
    notes : remarks on single rows, one sentence each.
    """

    key: str
    title: str
    columns: tuple[Column, ...]
    rows: tuple[Mapping[str, Value], ...]
    assumptions: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    notes: tuple[str, ...] = field(default=())

    def __post_init__(self) -> None:
        known = {column.key for column in self.columns}
        reasons = [
            f"row {i}: no column {key!r}"
            for i, row in enumerate(self.rows)
            for key in row
            if key not in known
        ]
        reasons += [f"unknown source {key!r}" for key in self.sources if key not in SOURCES]
        if len(known) != len(self.columns):
            reasons.append("two columns have the same key")
        if reasons:
            raise OptionError(f"make the table {self.key!r}", reasons=reasons)

    @property
    def caption(self) -> str:
        """Title, assumptions, notes and sources as running text."""
        parts = [_sentence(self.title)]
        if self.assumptions:
            parts.append("Assumptions: " + " ".join(_sentence(line) for line in self.assumptions))
        parts += [_sentence(line) for line in self.notes]
        if self.sources:
            cited = "; ".join(_short(key) for key in dict.fromkeys(self.sources))
            parts.append(f"Sources: {cited}.")
        return " ".join(parts)


def _short(key: str) -> str:
    """Surname, year and link: "Dampfhoffer et al. 2022, doi:..."."""
    source = SOURCES[key]
    first = source.authors.split(",")[0].removesuffix(" et al.")
    # "M. Dampfhoffer" -> "Dampfhoffer", "Y.-H. Chen" -> "Chen"; names of projects stay whole
    words = [word for word in first.split() if not word.endswith(".")]
    name = " ".join(words) + (" et al." if source.authors != first else "")
    link = f", {source.link}" if source.link else ""
    mark = "" if source.verified else ", quoted second-hand"
    return f"{name} {source.year}{link}{mark}"


def _sentence(text: str) -> str:
    text = text.strip()
    return text if text.endswith((".", "!", "?")) else text + "."


def cell_text(value: Value, digits: int | None) -> str:
    """A cell as text: numbers with ``digits`` significant digits, None and NaN as a dash."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}" if abs(value) >= 10_000 else str(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            return "–" if math.isnan(value) else ("∞" if value > 0 else "-∞")
        if digits is None:
            return repr(value)
        text = f"{value:.{digits}g}"
        # 1.235e+04 is for machines; people read 12,350
        if "e" in text and 1e-4 <= abs(value) < 1e7:
            text = f"{float(text):,.0f}"
        return text
    return value


def is_numeric(table: Table, column: Column) -> bool:
    """True if every filled cell of the column is a number."""
    cells = [row.get(column.key) for row in table.rows]
    filled = [cell for cell in cells if cell is not None]
    return bool(filled) and all(
        isinstance(cell, int | float) and not isinstance(cell, bool) for cell in filled
    )
