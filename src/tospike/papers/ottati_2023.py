"""Claims and tables of the paper, recomputed."""

from tospike.papers.registry import Paper

PAPER = Paper(key="ottati_2023", recompute={})
