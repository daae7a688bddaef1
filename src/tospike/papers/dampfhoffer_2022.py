"""Claims and tables of the paper, recomputed."""

from tospike.papers.registry import Paper

PAPER = Paper(key="dampfhoffer_2022", recompute={})
