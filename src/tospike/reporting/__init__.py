"""Reports of decisions: an HTML file that opens offline, and text for the terminal."""

from tospike.reporting.activity_figures import activity_figure, temporal_figure
from tospike.reporting.published import published_figure, published_table
from tospike.reporting.read import read_report
from tospike.reporting.section import Section
from tospike.reporting.terminal import render, render_breakeven
from tospike.reporting.write import report

__all__ = [
    "Section",
    "activity_figure",
    "published_figure",
    "published_table",
    "read_report",
    "render",
    "render_breakeven",
    "report",
    "temporal_figure",
]
