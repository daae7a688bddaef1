"""Tables as records, and their export as text, Markdown, LaTeX, CSV and JSON."""

from tospike.tables.formats import FORMATS, as_plain, export
from tospike.tables.record import Column, Table, Value
from tospike.tables.terminal import print_tables

__all__ = ["FORMATS", "Column", "Table", "Value", "as_plain", "export", "print_tables"]
