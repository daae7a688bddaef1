"""Figures as records, and their drawing."""

from tospike.figures.gallery import gallery_markdown, write_gallery
from tospike.figures.record import Figure, Mark, Panel, Series, Statement

__all__ = [
    "Figure",
    "Mark",
    "Panel",
    "Series",
    "Statement",
    "gallery_markdown",
    "write_gallery",
]
