"""Claims and tables of the paper, recomputed."""

from tospike.papers.registry import Paper

PAPER = Paper(key="liu_delbruck_2019", recompute={})
