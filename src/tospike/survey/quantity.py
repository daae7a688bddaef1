"""Quantities of published chips: text such as ``"3433 FPS"`` or ``"12.1 TOPS/W"`` into SI.

The units of accelerator papers (FPS, GOPS, GMACS/W, inf/J) are no units of physics, so they stand
in one table here. 1 MAC = 2 Op; 1 FLOP = 1 Op; FPS, img/s and inf/s are all inferences per second;
GOp/s/W is operations per joule.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass

from tospike.errors import ConstantError

_SMALL = {"": 1.0, "f": 1e-15, "p": 1e-12, "n": 1e-9, "u": 1e-6, "µ": 1e-6, "μ": 1e-6, "m": 1e-3}
_LARGE = {"": 1.0, "k": 1e3, "K": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15}
#: names of operations -> Op per item
_OPERATIONS = {"Op": 1.0, "op": 1.0, "OP": 1.0, "FLOP": 1.0, "MAC": 2.0}
_SYNAPTIC = {"SOP": 1.0, "synop": 1.0}


def _prefixed(
    units: Iterable[str], prefixes: dict[str, float], factor: float = 1.0
) -> dict[str, float]:
    return {prefix + unit: scale * factor for unit in units for prefix, scale in prefixes.items()}


def _rates(items: dict[str, float], endings: tuple[str, ...]) -> dict[str, float]:
    """ "Op/s", "GOp/s", "GOPS" ... for every item; ``endings`` are put behind the second."""
    table: dict[str, float] = {}
    for item, factor in items.items():
        per_second = (f"{item}/s", f"{item.upper()}S")
        for end in endings:
            table |= _prefixed((unit + end for unit in per_second), _LARGE, factor)
    return table


def _per_joule(items: dict[str, float]) -> dict[str, float]:
    table = _rates(items, ("/W",))
    # "Gop/s/mW" is printed too
    table |= {unit[:-1] + "mW": scale * 1e3 for unit, scale in table.items()}
    for item, factor in items.items():
        table |= _prefixed((f"{item}/J",), _LARGE, factor)
    return table


_INFERENCES = ("inf/s", "img/s", "FPS", "fps", "1/s")
#: dimension -> unit -> factor to the unit used inside
UNITS: dict[str, dict[str, float]] = {
    "energy": {**_prefixed(("J",), _SMALL), "kJ": 1e3},
    "power": {**_prefixed(("W",), _SMALL), "kW": 1e3},
    "time": {**_prefixed(("s",), _SMALL), "min": 60.0},
    "frequency": _prefixed(("Hz",), _LARGE),
    "voltage": {"V": 1.0, "mV": 1e-3},
    "length": {"m": 1.0, "mm": 1e-3, "um": 1e-6, "nm": 1e-9},
    "node": {"nm": 1.0, "um": 1e3},
    "area": {"mm^2": 1e-6, "mm2": 1e-6, "um^2": 1e-12, "m^2": 1.0},
    "count": dict(_LARGE),
    "fraction": {"%": 1e-2, "": 1.0},
    "inference_rate": _prefixed(_INFERENCES, _LARGE),
    "operation_rate": _rates(_OPERATIONS, ("",)),
    "synaptic_rate": _rates(_SYNAPTIC, ("",)),
    "operations": _prefixed(("Op", "OP"), _LARGE),
    "operations_per_joule": _per_joule(_OPERATIONS),
    "synaptic_per_joule": _per_joule(_SYNAPTIC),
    "inferences_per_joule": {"inf/J": 1.0, "img/J": 1.0, "inf/s/W": 1.0, "FPS/W": 1.0},
    "bytes": {f"{prefix}B": scale for prefix, scale in _LARGE.items()},
    "byte_rate": {f"{prefix}B/s": scale for prefix, scale in _LARGE.items()},
}
_FORM = re.compile(r"\s*([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)\s*(\S.*)?")


def parse(text: str, dimension: str) -> float:
    """``"56 mW"`` as a float in the inner unit (SI; nm for a node, a fraction for ``%``).

    Raises :class:`ConstantError` for text that is no number with a unit of ``dimension``. The
    dimension ``"other"`` takes any unit and gives the bare number.
    """
    form = _FORM.fullmatch(text)
    unit = (form[2] or "").strip() if form else ""
    value = float(form[1]) if form else math.nan
    if dimension == "other":
        factor: float | None = 1.0
    else:
        factor = UNITS[dimension].get(unit)
    if form is None or factor is None or not math.isfinite(value):
        raise ConstantError(
            f"read {text!r} as {dimension.replace('_', ' ')}",
            received="no finite number" if not math.isfinite(value) else f"the unit {unit!r}",
            allowed=f"a number with one of the units {units_text(dimension)}",
            fix="write number, space, unit",
        )
    return value * factor


def units_text(dimension: str) -> str:
    """The units of a dimension, shortest first, at most eight."""
    names = sorted(UNITS.get(dimension, {}), key=lambda unit: (len(unit), unit))
    shown = [name if name else repr(name) for name in names[:8]]
    return ", ".join(shown) + (", ..." if len(names) > 8 else "")


#: qualifiers that a printed quantity may carry, and what they mean
QUALIFIERS: dict[str, str] = {
    "about": "printed as approximate",
    "lower bound": "printed with >",
    "upper bound": "printed with <, or as a maximum",
    "peak": "the highest value, not that of an inference",
    "mean": "mean over inputs or networks",
    "typical": "of the typical case",
    "effective": "counts skipped operations as done",
    "measured": "said to be measured",
    "simulated": "of a simulation, not of silicon",
    "implied": "computed from two other printed numbers",
    "derived": "not printed as such; see derived_by",
    "wall": "at the wall plug, with the whole board",
    "core": "of the core, without pads, link or memory",
    "die": "of the whole die",
    "chip": "of the chip, without DRAM",
    "dynamic": "without static power",
    "leakage": "static power only",
    "learning": "of on-chip learning, not of inference",
}
#: a quantity so qualified is no value of one inference
NOT_OF_AN_INFERENCE = ("peak", "leakage", "learning")


@dataclass(frozen=True, slots=True)
class Quantity:
    """One printed number.

    ``value`` in the inner unit, None where a range is printed (then ``low`` and ``high`` are
    set). ``per``: what a latency or an energy belongs to ("inference" unless said otherwise).
    ``derived_by``: how it follows from other printed numbers, empty for a printed one.
    ``verified``: False where it is recalled or its source could not be checked.
    """

    text: str
    value: float | None
    low: float | None = None
    high: float | None = None
    qualifiers: tuple[str, ...] = ()
    per: str = "inference"
    derived_by: str = ""
    verified: bool = True
    note: str = ""

    @property
    def mark(self) -> str:
        """What stands beside the number in a table: its qualifiers."""
        return ", ".join(self.qualifiers)


@dataclass(frozen=True, slots=True)
class Kind:
    """What may stand under one key of a chip: dimension, unit inside, plausible range."""

    dimension: str
    unit: str
    low: float
    high: float


#: key of a quantity -> its kind. The range is for typing errors, not for physics.
QUANTITIES: dict[str, Kind] = {
    "process": Kind("node", "nm", 1, 1000),
    "area": Kind("area", "m2", 1e-9, 1e-1),
    "supply": Kind("voltage", "V", 0.1, 5),
    "clock": Kind("frequency", "Hz", 1e3, 1e10),
    "parameters": Kind("count", "", 1, 1e13),
    "neurons": Kind("count", "", 1, 1e12),
    "synapses": Kind("count", "", 1, 1e14),
    "accuracy": Kind("fraction", "", 1e-9, 1),
    "throughput": Kind("inference_rate", "1/s", 1e-4, 1e9),
    "op_rate": Kind("operation_rate", "Op/s", 1e3, 1e18),
    "sop_rate": Kind("synaptic_rate", "SOP/s", 1e3, 1e18),
    "power": Kind("power", "W", 1e-10, 1e5),
    "energy": Kind("energy", "J", 1e-12, 1e4),
    "latency": Kind("time", "s", 1e-9, 1e4),
    "period": Kind("time", "s", 1e-9, 1e4),
    "energy_per_sop": Kind("energy", "J", 1e-16, 1e-6),
    "op_efficiency": Kind("operations_per_joule", "Op/J", 1e6, 1e17),
    "inference_efficiency": Kind("inferences_per_joule", "1/J", 1e-4, 1e12),
    "sop_efficiency": Kind("synaptic_per_joule", "SOP/J", 1e6, 1e17),
}
#: further keys that only stand under ``also``
ALSO_DIMENSIONS: dict[str, str] = {
    "operations": "operations",
    "capacity": "bytes",
    "bandwidth": "byte_rate",
    "length": "length",
    "year": "count",
    "bits": "count",
    "macs": "count",
    "pes": "count",
    "other": "other",
    **{key: kind.dimension for key, kind in QUANTITIES.items()},
}
