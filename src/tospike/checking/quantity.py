"""Printed numbers: value in SI and half a unit of the last printed digit."""

from __future__ import annotations

import re
from dataclasses import dataclass

from tospike.errors import ConstantError
from tospike.units import parse_quantity

_NUMBER = r"([+-]?(?:\d+\.?\d*|\.\d+))(?:[eE]([+-]?\d+))?"
_COUNT = re.compile(rf"\s*{_NUMBER}\s*([A-Za-z ]*?)\s*$")
_LEADING = re.compile(rf"\s*{_NUMBER}")
_PREFIX = {"": 1.0, "k": 1e3, "K": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15}
_UNITS = {
    "", "MAC", "MACs", "AC", "ACs", "Op", "Ops", "OP", "OPs", "SOP", "SOPs", "neurons",
    "parameters", "weights", "spikes",
}  # fmt: skip


#: far outside of anything that a paper prints, and far inside of what floats can multiply
_SMALLEST, _LARGEST = 1e-24, 1e18


@dataclass(frozen=True, slots=True)
class Printed:
    """``value`` in SI, ``half`` a unit of its last digit (0: exact), ``text`` as printed."""

    value: float
    half: float
    text: str

    @property
    def relative(self) -> float:
        """``half`` relative to the value."""
        return self.half / abs(self.value) if self.value else 0.0


def _half(mantissa: str, exponent: str | None) -> float:
    decimals = len(mantissa.partition(".")[2])
    return float(f"0.5e{int(exponent or 0) - decimals}")


def _scale(rest: str) -> tuple[float, bool]:
    """Factor of a prefix with a unit, and whether both are known. "MAC" is a unit, not mega-AC."""
    if rest in _UNITS:
        return 1.0, True
    prefix, unit = rest[:1], rest[1:].strip()
    return _PREFIX.get(prefix, 1.0), prefix in _PREFIX and unit in _UNITS


def count(text: str | int | float) -> Printed:
    """``"1.82 GMAC"`` -> 1.82e9 +- 0.005e9. Raises :class:`ConstantError`."""
    if isinstance(text, int | float):
        found = Printed(float(text), 0.0, f"{text:g}")
    else:
        match = _COUNT.match(text)
        scale, known = _scale(match[3]) if match else (1.0, False)
        if match is None or not known:
            flop = "FLOP" in text.upper()
            raise ConstantError(
                f"read {text!r} as a count",
                allowed="a number with an optional prefix (k M G T) and MAC, AC, SOP or Op",
                fix="write MAC: 1 MAC = 2 FLOP, and many papers print FLOPs and mean MACs"
                if flop
                else "check the spelling, such as '1.82 GMAC'",
            )
        value = float(f"{match[1]}e{match[2] or 0}") * scale
        found = Printed(value, _half(match[1], match[2]) * scale, text)
    if not _plausible(found.value):
        raise ConstantError(f"read {text!r} as a count", allowed=f"a finite number {_RANGE}")
    return found


_RANGE = f"above 0, from {_SMALLEST:g} to {_LARGEST:g}"


def _plausible(value: float) -> bool:
    """False also for NaN and infinities."""
    return _SMALLEST <= value <= _LARGEST


def physical(text: str, dimension: str) -> Printed:
    """``"13.10 mJ"`` -> 0.0131 +- 0.000005. Raises :class:`ConstantError`."""
    value = parse_quantity(text, dimension)
    match = _LEADING.match(text)
    if match is None or not _plausible(value):
        raise ConstantError(
            f"read {text!r} as {dimension}",
            allowed=f"a finite number {_RANGE} in SI, with its unit",
        )
    number = float(f"{match[1]}e{match[2] or 0}")
    return Printed(value, _half(match[1], match[2]) * (value / number), text)


def ratio(text: str | int | float) -> Printed:
    """``"1.6x"`` or 1.6. Raises :class:`ConstantError`."""
    shown = str(text)
    match = re.match(rf"\s*{_NUMBER}\s*[x×]?\s*$", shown)
    value = float(f"{match[1]}e{match[2] or 0}") if match else 0.0
    if match is None or not _plausible(value):
        raise ConstantError(f"read {shown!r} as a ratio", allowed=f"a number {_RANGE}, as '1.6x'")
    return Printed(value, _half(match[1], match[2]), shown)
