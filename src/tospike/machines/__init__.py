"""Counting by cycle: DRAM, and accelerators. Never imports ``equations``."""

from pathlib import Path

from tospike.kernels.fresh import drop_stale
from tospike.machines.energy import RunEnergy, price_run
from tospike.machines.record import LayerRun, MachineRun, Traffic, Workload
from tospike.machines.table import MACHINES, simulate

drop_stale(Path(__file__).parent)

__all__ = [
    "MACHINES",
    "LayerRun",
    "MachineRun",
    "RunEnergy",
    "Traffic",
    "Workload",
    "price_run",
    "simulate",
]
