"""Energy-optimal row-stationary mapping of dense layers (Eyeriss, ISCA 2016, Fig. 10)."""

from tospike.machines.row_stationary.mapping import Limits, Mapping, best_mapping
from tospike.machines.row_stationary.shape import Shape, two_columns
from tospike.machines.row_stationary.simulate import limits_of, mappings, simulate

__all__ = [
    "Limits",
    "Mapping",
    "Shape",
    "best_mapping",
    "limits_of",
    "mappings",
    "simulate",
    "two_columns",
]
