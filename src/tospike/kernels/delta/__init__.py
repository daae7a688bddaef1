"""Delta networks: layers that compute with changes only, and skip for real."""

from tospike.kernels.delta.engine import DeltaEngine
from tospike.kernels.delta.layer import LayerState, LayerStatistics
from tospike.kernels.delta.record import STORAGES, DeltaLayer

__all__ = ["STORAGES", "DeltaEngine", "DeltaLayer", "LayerState", "LayerStatistics"]
