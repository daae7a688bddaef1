"""WHAT one action costs: technologies, SRAM by capacity, operand widths, node scaling."""

from __future__ import annotations

from tospike.technology.loader import load, names
from tospike.technology.lookup import Lookup, alu_energy, memory_energy, sram_energy
from tospike.technology.record import PriceKey, Technology
from tospike.technology.scaling import scale, scaling_factor

__all__ = [
    "Lookup",
    "PriceKey",
    "Technology",
    "alu_energy",
    "load",
    "memory_energy",
    "names",
    "scale",
    "scaling_factor",
    "sram_energy",
]
