"""counts x technology -> :class:`Cost`. The only place where joules are made."""

from __future__ import annotations

from tospike.pricing.cost import Cost, CostPart
from tospike.pricing.dram import DramEnergy, dram_energy
from tospike.pricing.price import price, priceable

__all__ = ["Cost", "CostPart", "DramEnergy", "dram_energy", "price", "priceable"]
