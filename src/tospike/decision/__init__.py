"""The verdict: break-even, exact partition, Pareto front, uncertainty, and ``decide``."""

from __future__ import annotations

from tospike.decision.analyze import analyze
from tospike.decision.decide import decide
from tospike.decision.options import REFERENCE_MODEL, TECHNOLOGY, TIMESTEPS, Options
from tospike.decision.partition import optimal_partition
from tospike.decision.record import (
    SCHEMA_VERSION,
    Decision,
    EnergyPart,
    ImplementationResult,
    LayerResult,
    PublishedSummary,
    PublishedVerdict,
    Sensitivity,
)

__all__ = [
    "REFERENCE_MODEL",
    "SCHEMA_VERSION",
    "TECHNOLOGY",
    "TIMESTEPS",
    "Decision",
    "EnergyPart",
    "ImplementationResult",
    "LayerResult",
    "Options",
    "PublishedSummary",
    "PublishedVerdict",
    "Sensitivity",
    "analyze",
    "decide",
    "optimal_partition",
]
