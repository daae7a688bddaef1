"""A :class:`Table` for people, in a terminal, a pipe or a log file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tospike.tables.formats import heading
from tospike.tables.record import Column, Table, cell_text, is_numeric

if TYPE_CHECKING:
    from rich.console import Console


def print_tables(tables: Sequence[Table], console: Console | None = None) -> None:
    """Print tables with rich; below each its assumptions, notes and sources."""
    from rich import table as rich_table
    from rich.console import Console
    from rich.text import Text

    target = console or Console(width=_width())
    for table in tables:
        shown = rich_table.Table(
            title=Text(table.title), title_justify="left", title_style="bold", box=None,
            pad_edge=False, header_style="dim", padding=(0, 1),
        )  # fmt: skip
        for column in table.columns:
            right = is_numeric(table, column)
            # A number broken over two lines is read wrongly; words may break.
            shown.add_column(
                # As Text: rich would take a unit in brackets for markup.
                Text(heading(column)),
                justify="right" if right else "left",
                overflow="fold",
                min_width=None if right else min(12, _longest(table, column)),
                no_wrap=right
                and all(
                    len(cell_text(row.get(column.key), column.digits)) < 16 for row in table.rows
                ),
            )
        for row in table.rows:
            cells = (cell_text(row.get(column.key), column.digits) for column in table.columns)
            shown.add_row(*(Text(cell) for cell in cells))
        target.print(shown)
        for line in (*table.assumptions, *table.notes):
            target.print(Text(f"- {line}", style="dim"))
        if table.sources:
            target.print(Text("sources: " + ", ".join(dict.fromkeys(table.sources)), style="dim"))
        target.print()


def _longest(table: Table, column: Column) -> int:
    """Characters of the longest word that a column of words must show whole, if it can."""
    cells = (cell_text(row.get(column.key), column.digits) for row in table.rows)
    return max((len(word) for cell in cells for word in cell.split()), default=1)


def _width() -> int | None:
    """A file or pipe has no width: wide enough that columns of words stay readable."""
    import os
    import sys

    return None if sys.stdout.isatty() or "COLUMNS" in os.environ else 140
