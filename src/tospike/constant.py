"""A number from the literature: value, unit, range, source and place. No source, no object."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from tospike.errors import ConstantError
from tospike.sources import SOURCES

Method = Literal["printed", "digitised", "derived", "fitted", "recalled"]
METHODS: tuple[Method, ...] = ("printed", "digitised", "derived", "fitted", "recalled")


@dataclass(frozen=True, slots=True)
class Constant:
    """One constant in SI units.

    Attributes
    ----------
    value : nominal value in SI.
    unit : SI unit text ("J", "J/bit", "B", "s", "" for a ratio).
    low, high : range in SI, ``low <= value <= high``; from independent sources where they differ.
    source : key into :data:`tospike.sources.SOURCES`.
    locator : where in the source ("Table I, row 2").
    conditions : for instance ``{"node_nm": 45, "bits": 8}``.
    quoted : the printed text ("0.2 pJ"), kept beside the converted value.
    method : printed, digitised, derived (arithmetic on printed numbers), fitted, or recalled
        (quoted from memory: not yet checked against the source).
    spread : where the range comes from, in words.
    """

    value: float
    unit: str
    low: float
    high: float
    source: str
    locator: str
    quoted: str
    method: Method = "printed"
    conditions: Mapping[str, float | str] = field(default_factory=dict)
    spread: str = ""

    def __post_init__(self) -> None:
        reasons = []
        if not self.source:
            reasons.append("no source given")
        elif self.source not in SOURCES:
            reasons.append(f"source {self.source!r} is not in the bibliography")
        if not self.locator:
            reasons.append("no locator given (table, equation, page)")
        if not self.quoted:
            reasons.append("the printed text is missing")
        if self.method not in METHODS:
            reasons.append(f"method {self.method!r} is none of {', '.join(METHODS)}")
        numbers = (self.low, self.value, self.high)
        if not all(math.isfinite(number) for number in numbers):
            reasons.append(f"value and range must be finite, got {numbers}")
        elif not self.low <= self.value <= self.high:
            reasons.append(f"low <= value <= high does not hold for {numbers}")
        if reasons:
            raise ConstantError(
                f"make the constant {self.value!r} {self.unit}",
                where=f"{self.source} {self.locator}".strip(),
                allowed="a finite value inside its range, with source, locator and printed text",
                fix="complete the entry from the paper it was taken from",
                reasons=reasons,
            )
