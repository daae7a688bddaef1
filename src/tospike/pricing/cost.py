"""``Cost``: joules, with their range and everything that the number rests on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class CostPart:
    """Energy of one entry of :class:`~tospike.actions.ActionCounts`, in joule."""

    layer: str
    component: str
    action: str
    datatype: str
    part: str
    energy: Array
    low: Array
    high: Array
    #: names of the constants whose product is the unit price (for joint sampling)
    drivers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Cost:
    """Energy of one inference.

    ``energy``, ``low``, ``high`` are joules (arrays of the counts' broadcast shape): nominal,
    and with every constant at the low or high end of its range. ``drivers`` maps the name of a
    constant to (low, high) relative to its nominal value; ``tospike.decision.uncertainty`` samples
    them jointly, so that ANN and SNN see the same draw.
    """

    energy: Array
    low: Array
    high: Array
    parts: tuple[CostPart, ...]
    technology: str
    model: str
    drivers: dict[str, tuple[float, float]]
    assumptions: tuple[str, ...] = ()
    out_of_range: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()

    def total(self, **fields: str) -> Array:
        """Sum of the nominal energies of the parts whose fields match, in joule."""
        total: Array = np.zeros(())
        for part in self.parts:
            if all(getattr(part, key) == value for key, value in fields.items()):
                total = total + part.energy
        return total
