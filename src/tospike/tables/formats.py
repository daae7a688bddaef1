"""A :class:`Table` as text, Markdown, LaTeX, CSV or JSON: :data:`FORMATS`, one line per format."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Callable, Sequence
from typing import Any

from tospike.errors import unknown_name
from tospike.sources import SOURCES
from tospike.tables.record import Column, Table, Value, cell_text, is_numeric


def heading(column: Column) -> str:
    """Title with the unit in brackets."""
    return f"{column.title} [{column.unit}]" if column.unit else column.title


def as_latex(table: Table) -> str:
    """A ``table`` float with booktabs rules; the caption states assumptions and sources."""
    kinds = "".join("r" if is_numeric(table, column) else "l" for column in table.columns)
    lines = [
        "% needs \\usepackage{booktabs}",
        "\\begin{table}",
        "  \\centering",
        f"  \\caption{{{latex_text(table.caption)}}}",
        f"  \\label{{tab:{table.key}}}",
        f"  \\begin{{tabular}}{{{kinds}}}",
        "    \\toprule",
        "    " + " & ".join(latex_text(heading(column)) for column in table.columns) + " \\\\",
        "    \\midrule",
    ]
    for row in table.rows:
        cells = (cell_text(row.get(column.key), column.digits) for column in table.columns)
        lines.append("    " + " & ".join(latex_text(cell) for cell in cells) + " \\\\")
    lines += ["    \\bottomrule", "  \\end{tabular}", "\\end{table}"]
    return "\n".join(lines) + "\n"


_LATEX = str.maketrans(
    {
        "\\": "\\textbackslash{}",
        "&": "\\&",
        "%": "\\%",
        "$": "\\$",
        "#": "\\#",
        "_": "\\_",
        "{": "\\{",
        "}": "\\}",
        "~": "\\textasciitilde{}",
        "^": "\\textasciicircum{}",
        "<": "\\textless{}",
        ">": "\\textgreater{}",
        "–": "--",
        "×": "$\\times$",
        "µ": "$\\mu$",
        "μ": "$\\mu$",
        "γ": "$\\gamma$",
        "Γ": "$\\Gamma$",
        "Θ": "$\\Theta$",
        "Σ": "$\\Sigma$",
        "∞": "$\\infty$",
        "≤": "$\\leq$",
        "≥": "$\\geq$",
        "≈": "$\\approx$",
        "→": "$\\rightarrow$",
        "·": "$\\cdot$",
        "±": "$\\pm$",
        "−": "$-$",
        "²": "$^2$",
        "³": "$^3$",
        "“": "``",
        "”": "''",
        "’": "'",
        "…": "\\ldots{}",
        "\N{NO-BREAK SPACE}": "~",
    }
)


def latex_text(text: str) -> str:
    """``text`` with everything that LaTeX reads as a command escaped."""
    return " ".join(text.split()).translate(_LATEX)


def as_csv(table: Table) -> str:
    """RFC 4180 with the caption in leading ``#`` lines; numbers in full, empty cells empty."""
    out = io.StringIO()
    for line in _caption_lines(table):
        out.write(f"# {line}\n")
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([heading(column) for column in table.columns])
    for row in table.rows:
        writer.writerow([_csv_cell(row.get(column.key)) for column in table.columns])
    return out.getvalue()


def _csv_cell(value: Value) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    return repr(value) if isinstance(value, float) else str(value)


def _caption_lines(table: Table) -> list[str]:
    lines = [table.title]
    lines += [f"assumption: {line}" for line in table.assumptions]
    lines += [f"note: {line}" for line in table.notes]
    lines += [f"source: {SOURCES[key].text}" for key in dict.fromkeys(table.sources)]
    return [" ".join(line.split()) for line in lines]


def as_plain(table: Table) -> dict[str, Any]:
    """Plain data for JSON: NaN and infinities become None."""
    return {
        "key": table.key,
        "title": table.title,
        "columns": [
            {"key": column.key, "title": column.title, "unit": column.unit}
            for column in table.columns
        ],
        "rows": [
            {column.key: _plain(row.get(column.key)) for column in table.columns}
            for row in table.rows
        ],
        "assumptions": list(table.assumptions),
        "notes": list(table.notes),
        "sources": [
            {"key": key, "text": SOURCES[key].text} for key in dict.fromkeys(table.sources)
        ],
    }


def _plain(value: Value) -> Value:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def as_json(table: Table) -> str:
    """:func:`as_plain` as text."""
    return json.dumps(as_plain(table), indent=2, allow_nan=False) + "\n"


def as_markdown(table: Table) -> str:
    """A GitHub table, the caption below it."""
    rule = ["---:" if is_numeric(table, column) else "---" for column in table.columns]
    lines = [
        "| " + " | ".join(_markdown_cell(heading(column)) for column in table.columns) + " |",
        "|" + "|".join(rule) + "|",
    ]
    for row in table.rows:
        cells = (cell_text(row.get(column.key), column.digits) for column in table.columns)
        lines.append("| " + " | ".join(_markdown_cell(cell) for cell in cells) + " |")
    return "\n".join(lines) + f"\n\n{table.caption}\n"


def _markdown_cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


#: name -> function of a table that gives text
FORMATS: dict[str, Callable[[Table], str]] = {
    "csv": as_csv,
    "json": as_json,
    "latex": as_latex,
    "markdown": as_markdown,
}


def export(tables: Sequence[Table], format: str) -> str:
    """Several tables in one of :data:`FORMATS`, one after the other; JSON gives one list."""
    if format not in FORMATS:
        raise unknown_name("table format", format, tuple(FORMATS))
    if format == "json":
        body = [as_plain(table) for table in tables]
        return json.dumps(body, indent=2, allow_nan=False) + "\n"
    return "\n".join(FORMATS[format](table) for table in tables)
