"""``narrowed``: tables that fit a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from tospike.tables import Column, Table
from tospike.tables.formats import heading
from tospike.tables.record import cell_text, is_numeric


def narrowed(tables: Sequence[Table], width: int) -> list[Table]:
    """The tables with at most ``width`` characters in a row, for a terminal.

    Wider ones are split by columns, the first column repeated; what a table rests on stays with
    its last part.
    """
    found: list[Table] = []
    for table in tables:
        groups = _groups(table, width)
        for number, group in enumerate(groups):
            columns = (table.columns[0], *group)
            last = number == len(groups) - 1
            found.append(
                Table(
                    key=table.key,
                    title=table.title if number == 0 else "continued",
                    columns=columns,
                    rows=tuple({c.key: row.get(c.key) for c in columns} for row in table.rows),
                    assumptions=table.assumptions if last else (),
                    sources=table.sources if last else (),
                    notes=table.notes if last else (),
                )
            )
    return found


def _groups(table: Table, width: int) -> list[list[Column]]:
    """All columns but the first in groups that fit beside it. Words may break, numbers not."""

    def wide(column: Column) -> int:
        cells = [cell_text(row.get(column.key), column.digits) for row in table.rows]
        if not is_numeric(table, column):
            return max((len(word) for cell in cells for word in cell.split()), default=1) + 2
        return max(len(heading(column)), *map(len, cells)) + 2

    groups: list[list[Column]] = [[]]
    used = first = wide(table.columns[0])
    for column in table.columns[1:]:
        if groups[-1] and used + wide(column) > width:
            groups.append([])
            used = first
        groups[-1].append(column)
        used += wide(column)
    return groups
