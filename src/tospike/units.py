"""SI units inside, text with units at the boundary.

Inside of tospike every quantity is a plain float in SI: joule, second, byte, hertz, watt, metre.
Text such as ``"5 pJ"`` or ``"8 kB"`` is parsed once, at the boundary, by pint
(11-27 microseconds per operation, so never in a hot path).

``MAC`` (multiply-accumulate), ``AC`` (accumulate) and ``spike`` are dimensionless counts.
1 MAC = 2 Op (Liu & Delbruck 2019, introduction; Ottati 2023, section III); 1 AC = 1 Op.
kB is 1000 B and KiB 1024 B, as in the SI; memory *capacities* in the literature print "kB" and
mean KiB, so capacities are written with KiB in the data files.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from tospike.errors import ConstantError

PJ = 1e-12
FJ = 1e-15
NJ = 1e-9
UJ = 1e-6
MJ = 1e-3

#: dimension name -> SI unit text used inside
SI_UNITS: dict[str, str] = {
    "energy": "joule",
    "power": "watt",
    "time": "second",
    "frequency": "hertz",
    "capacity": "byte",
    "length": "metre",
    "voltage": "volt",
    "area": "metre ** 2",
    "dimensionless": "",
}


@cache
def _registry() -> Any:
    import pint

    registry: Any = pint.UnitRegistry()
    for name in ("MAC", "AC", "spike", "synapse", "Op"):
        registry.define(f"{name} = []")
    return registry


def parse_quantity(text: str | float | int, dimension: str) -> float:
    """Parse ``"5 pJ"`` into SI (5e-12). Bare numbers are taken only for ``dimensionless``.

    Raises :class:`ConstantError` for an unknown unit, a wrong dimension or text that is no
    quantity.
    """
    if dimension not in SI_UNITS:
        raise ConstantError(
            f"parse a quantity of dimension {dimension!r}", allowed=", ".join(SI_UNITS)
        )
    if isinstance(text, int | float):
        if dimension != "dimensionless":
            raise ConstantError(
                f"read {text!r} as {dimension}",
                received="a number without a unit",
                allowed=f"text with a unit of {dimension}, such as '5 {_example(dimension)}'",
                fix="write the unit beside the number",
            )
        return float(text)
    try:
        quantity = _registry().Quantity(text)
        return float(quantity.to(SI_UNITS[dimension]).magnitude)
    # pint evaluates the text: tokenize errors, divisions by zero and more come out of it.
    except Exception as error:
        raise ConstantError(
            f"read {text!r} as {dimension}",
            received=str(error),
            allowed=f"text with a unit of {dimension}, such as '5 {_example(dimension)}'",
            fix="check the spelling of the unit",
        ) from error


def _example(dimension: str) -> str:
    return {
        "energy": "pJ",
        "power": "mW",
        "time": "ms",
        "frequency": "MHz",
        "capacity": "KiB",
        "length": "mm",
        "voltage": "V",
        "area": "mm ** 2",
    }.get(dimension, "")


_PREFIXES = ((1e-15, "f"), (1e-12, "p"), (1e-9, "n"), (1e-6, "µ"), (1e-3, "m"), (1.0, ""))
_BIG = ((1.0, ""), (1e3, "k"), (1e6, "M"), (1e9, "G"), (1e12, "T"))


def si(value: float, unit: str, digits: int = 3) -> str:
    """Human text with an SI prefix: ``si(1.31e-8, "J") == "13.1 nJ"``."""
    if value == 0 or value != value:
        return f"{value:g} {unit}".strip()
    magnitude = abs(value)
    table = _PREFIXES if magnitude < 1 else _BIG
    scale, prefix = table[0]
    for factor, name in table:
        if magnitude >= factor * 0.9995:
            scale, prefix = factor, name
    return f"{value / scale:.{digits}g} {prefix}{unit}".strip()
