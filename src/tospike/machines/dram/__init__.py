"""DRAM by command: banks, rows, queues, refresh, and the energy of all of it."""

from tospike.machines.dram.record import DramRun, DramSystem
from tospike.machines.dram.simulate import decode, random_rows, simulate, stream

__all__ = ["DramRun", "DramSystem", "decode", "random_rows", "simulate", "stream"]
