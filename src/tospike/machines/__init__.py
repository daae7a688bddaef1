"""Counting by cycle: DRAM, and accelerators. Never imports ``equations``."""
