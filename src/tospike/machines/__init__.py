"""Counting by cycle: DRAM, and accelerators. Never imports ``equations``."""

from tospike.machines.energy import RunEnergy, price_run
from tospike.machines.record import LayerRun, MachineRun, Traffic, Workload
from tospike.machines.table import MACHINES, simulate

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
