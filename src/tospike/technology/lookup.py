"""Prices between the printed points of a technology: by operand width and by SRAM capacity.

Rules (all on the curve itself, never on a ratio of two curves):

* operations: log-log between the printed widths; with one printed width a multiplication grows
  with the square of the width and an addition linearly (Horowitz 2014: 8 to 32 bit multiply
  0.2 to 3.1 pJ, exponent 1.98; 8 to 32 bit add 0.03 to 0.1 pJ, exponent 0.87);
* memories, hops: linear in the width, so that a byte of a 64-bit access costs 1/8 of it (the
  convention of Dampfhoffer 2022 and of Ottati 2023, section III);
* SRAM by capacity: log-log between the printed capacities, or straight lines where the source
  says so (``sram_rule``).

Outside of the printed points the last slope is followed, and the sentence in ``out_of_range``
says so.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from tospike.technology.record import Technology

#: growth of the energy with the width where only one width is printed
_EXPONENT = {"mac": 2.0, "mul": 2.0}


@dataclass(frozen=True, slots=True)
class Lookup:
    """Energy of one action in joule, and what was assumed to get it."""

    energy: float
    driver: str
    assumption: str = ""
    out_of_range: str = ""


def sram_energy(technology: Technology, capacity_bytes: float) -> Lookup:
    """Energy of one SRAM access of ``technology.sram_curve_bits`` at a capacity in byte.

    Exactly the printed value at a printed capacity. Raises ``ValueError`` for a technology
    without curve or a capacity that is not finite and above 0.
    """
    curve = {capacity: constant.value for capacity, constant in technology.sram_curve.items()}
    if not curve or not (math.isfinite(capacity_bytes) and capacity_bytes > 0):
        raise ValueError(f"no SRAM energy of {capacity_bytes} byte in {technology.name}")
    if technology.sram_rule != "log_log":
        return _linear_sram(technology, curve, capacity_bytes)
    energy, outside = _loglog(curve, capacity_bytes, exponent=0.5)
    sentence = ""
    if outside:
        sentence = (
            f"{technology.name}: an SRAM of {_size(capacity_bytes)} is outside of the printed "
            f"{_size(min(curve))} to {_size(max(curve))}; its energy follows the last slope"
        )
    return Lookup(energy, technology.sram_driver, out_of_range=sentence)


def _linear_sram(technology: Technology, curve: Mapping[float, float], capacity: float) -> Lookup:
    """SRAM energy on straight lines; the sentences name no capacity, so that many share one."""
    from_zero = technology.sram_rule != "linear"
    clamped = technology.sram_rule == "linear_from_zero_clamped"
    points = {0.0: 0.0, **curve} if from_zero else dict(curve)
    xs = sorted(points)
    sentence = ""
    if capacity < min(curve):
        line = "on the line through (0, 0), which makes small memories almost free"
        sentence = (
            f"{technology.name}: SRAMs below {_size(min(curve))} are priced "
            f"{line if from_zero else 'on the first line'}"
        )
    if capacity > xs[-1]:
        how = "as one of that size" if clamped else "on the last line, followed further"
        sentence = f"{technology.name}: SRAMs above {_size(xs[-1])} are priced {how}"
        if clamped:
            return Lookup(points[xs[-1]], technology.sram_driver, out_of_range=sentence)
    right = next((i for i, known in enumerate(xs) if known >= capacity), len(xs) - 1)
    right = max(right, 1)
    x, y = xs[right - 1], xs[right]
    weight = (capacity - x) / (y - x)
    energy = points[x] * (1.0 - weight) + points[y] * weight
    return Lookup(energy, technology.sram_driver, out_of_range=sentence)


def alu_energy(technology: Technology, action: str, bits: int) -> Lookup | None:
    """Energy of one operation on ``bits``-wide operands; None if the source gives no width."""
    widths = _widths(technology, "alu", action)
    if not widths:
        return None
    energy, outside = _loglog(widths, bits, exponent=_EXPONENT.get(action, 1.0))
    driver = technology.drivers["alu", action]
    if not outside:
        return Lookup(energy, driver)
    # One sentence for all widths on one side: a decision prices many of them.
    printed = ", ".join(str(int(width)) for width in sorted(widths))
    low, high = int(min(widths)), int(max(widths))
    side = f"below {low}" if bits < low else f"above {high}"
    sentence = (
        f"{technology.name}: alu.{action} {side} bit is outside of the printed widths "
        f"({printed} bit); its energy {_rule(widths, action, below=bits < low)}"
    )
    return Lookup(energy, driver, out_of_range=sentence)


def _rule(widths: Mapping[float, float], action: str, *, below: bool) -> str:
    """How an energy goes on beyond the printed widths, in words."""
    if len(widths) == 1:
        grows = "with the square of" if _EXPONENT.get(action, 1.0) == 2.0 else "linearly with"
        return f"is taken to grow {grows} the width"
    xs = sorted(widths)
    one, two = (xs[0], xs[1]) if below else (xs[-2], xs[-1])
    return f"follows the slope between {int(one)} and {int(two)} bit"


def memory_energy(technology: Technology, component: str, action: str, bits: int) -> Lookup | None:
    """Energy of one access (or hop, or event) of ``bits``, linear in the width; else None."""
    widths = _widths(technology, component, action)
    if not widths:
        return None
    nearest = min(widths, key=lambda width: (abs(math.log(bits / width)), width))
    return Lookup(widths[nearest] * (bits / nearest), technology.drivers[component, action])


def _widths(technology: Technology, component: str, action: str) -> dict[float, float]:
    return {
        float(bits): constant.value
        for (where, what, bits), constant in technology.energies.items()
        if where == component and what == action
    }


def _loglog(points: Mapping[float, float], x: float, *, exponent: float) -> tuple[float, bool]:
    """Value at ``x`` and whether ``x`` is outside of the points."""
    if x in points:
        return points[x], False
    xs = sorted(points)
    if len(xs) == 1:
        return points[xs[0]] * (x / xs[0]) ** exponent, True
    right = next((i for i, known in enumerate(xs) if known > x), len(xs) - 1)
    right = max(right, 1)
    left_x, right_x = xs[right - 1], xs[right]
    slope = math.log(points[right_x] / points[left_x]) / math.log(right_x / left_x)
    value = points[left_x] * math.exp(slope * math.log(x / left_x))
    return value, not xs[0] < x < xs[-1]


def _size(capacity_bytes: float) -> str:
    for factor, unit in ((2**20, "MiB"), (2**10, "KiB")):
        if capacity_bytes >= factor:
            return f"{capacity_bytes / factor:.3g} {unit}"
    return f"{capacity_bytes:.3g} B"
