"""Counting by formula: one paper, one file. ``MODELS`` lists every equation; ``count`` uses them.

>>> from tospike.equations import breakeven_table
>>> [round(row.spikes_per_synapse, 2) for row in breakeven_table()]
[1.38, 0.28, 0.15, 0.44, 0.42, 0.36]
"""

from __future__ import annotations

from tospike.equations.breakeven import BreakEvenRow, break_even, breakeven_table
from tospike.equations.counting import count, default_equation, model_of, weight_fetches
from tospike.equations.models import MODELS
from tospike.equations.record import CountLayer, EquationModel, EquationOptions

__all__ = [
    "MODELS",
    "BreakEvenRow",
    "CountLayer",
    "EquationModel",
    "EquationOptions",
    "break_even",
    "breakeven_table",
    "count",
    "default_equation",
    "model_of",
    "weight_fetches",
]
