"""How sure is the verdict: joint sampling of the constants, and which of them could reverse it.

Every constant (driver) has a range relative to its nominal value. One draw scales the constant
for ALL implementations at once: where ANN and SNN use the same memory, a dearer memory hurts both,
and only the difference matters. The distribution is triangular in the logarithm, between low and
high with its mode at the nominal value. It is a choice (the sources give ranges, not
distributions) and it treats drivers as independent of each other.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tospike.decision.record import Sensitivity
from tospike.errors import ConstantError, OptionError
from tospike.pricing.cost import Cost

Floats = NDArray[np.float64]
Ranges = Mapping[str, tuple[float, float]]

#: points of the scan for a change of sign inside a constant's range
_SCAN = 65


@dataclass(frozen=True, slots=True)
class EnergyTerms:
    """One implementation's energy as sum over groups of ``energy * prod(scale of drivers)``.

    ``energy`` (groups,) joule; ``power`` (groups, drivers) how often a driver enters a group;
    ``drivers`` their names.
    """

    energy: Floats
    power: Floats
    drivers: tuple[str, ...]

    def at(self, scale: Floats) -> Floats:
        """Energy in joule for scales of shape (..., drivers)."""
        # A zero scale is allowed (a constant that may vanish): 0**0 is 1, as it must be.
        with np.errstate(divide="ignore", invalid="ignore"):
            logs = np.log(scale)[..., None, :] * self.power
        logs = np.where(self.power == 0, 0.0, logs)
        factors: Floats = np.exp(logs.sum(axis=-1))
        return np.asarray(factors @ self.energy, dtype=np.float64)


def ranges_of(costs: Sequence[Cost]) -> dict[str, tuple[float, float]]:
    """The drivers of all costs with their widest range; :class:`ConstantError` if one is broken."""
    found: dict[str, tuple[float, float]] = {}
    for cost in costs:
        for name, (low, high) in cost.drivers.items():
            before = found.get(name, (1.0, 1.0))
            found[name] = (min(before[0], float(low)), max(before[1], float(high)))
            if not (0 <= low <= 1 <= high < math.inf):
                raise ConstantError(
                    f"sample the constant {name!r}",
                    received=f"a relative range from {low!r} to {high!r}",
                    allowed="0 <= low <= 1 <= high, finite",
                    fix="check the range of this constant in the technology file",
                )
    return found


def terms_of(cost: Cost, drivers: tuple[str, ...]) -> EnergyTerms:
    """Group the parts of one scalar cost by the constants that price them.

    A driver that ``drivers`` does not name has no range and does not vary.
    """
    column = {name: index for index, name in enumerate(drivers)}
    groups: dict[tuple[int, ...], float] = {}
    for part in cost.parts:
        key = tuple(sorted(column[name] for name in part.drivers if name in column))
        groups[key] = groups.get(key, 0.0) + float(np.sum(part.energy))
    power = np.zeros((len(groups), len(drivers)))
    for row, key in enumerate(groups):
        for index in key:
            power[row, index] += 1.0
    return EnergyTerms(np.array(list(groups.values())), power, drivers)


def draw(ranges: Ranges, samples: int, seed: int) -> Floats:
    """Scales (samples, drivers): log-triangular between low, 1 and high; seeded.

    A range that reaches 0 has no logarithm and is triangular itself.
    """
    if samples < 1:
        raise OptionError("sample the constants", received=f"{samples} samples", allowed=">= 1")
    generator = np.random.default_rng(seed)
    uniform = generator.random((samples, len(ranges)))
    scale = np.ones_like(uniform)
    for index, (low, high) in enumerate(ranges.values()):
        if low <= 0:
            scale[:, index] = _triangular(uniform[:, index], low, 1.0, high)
        else:
            logs = _triangular(uniform[:, index], math.log(low), 0.0, math.log(high))
            scale[:, index] = np.exp(logs)
    return scale


def _triangular(uniform: Floats, low: float, mode: float, high: float) -> Floats:
    """Inverse distribution function of the triangular distribution."""
    width = high - low
    if width == 0:
        return np.full_like(uniform, mode)
    cut = (mode - low) / width
    rising = low + np.sqrt(uniform * width * (mode - low))
    falling = high - np.sqrt((1 - uniform) * width * (high - mode))
    return np.where(uniform < cut, rising, falling)


@dataclass(frozen=True, slots=True)
class Interval:
    """5 % and 95 % quantile of an energy in joule, and its nominal value."""

    nominal: float
    low: float
    high: float


class JointSamples:
    """All implementations under the same draws. Build once, ask often.

    Parameters
    ----------
    costs : name -> scalar :class:`~tospike.pricing.Cost` (shape ()).
    samples, seed : number of draws and seed of the generator.
    """

    def __init__(self, costs: Mapping[str, Cost], *, samples: int = 4096, seed: int = 0) -> None:
        self.ranges = ranges_of(list(costs.values()))
        drivers = tuple(self.ranges)
        self.terms = {name: terms_of(cost, drivers) for name, cost in costs.items()}
        self.scale = draw(self.ranges, samples, seed)
        self.energy = {name: terms.at(self.scale) for name, terms in self.terms.items()}

    def interval(self, name: str) -> Interval:
        """5-95 % interval of the energy of one implementation."""
        low, high = np.quantile(self.energy[name], (0.05, 0.95))
        nominal = float(self.terms[name].at(np.ones(len(self.ranges))))
        return Interval(nominal, float(low), float(high))

    def p_cheaper(self, name: str, than: str) -> float:
        """Share of the draws in which ``name`` costs strictly less than ``than``."""
        return float(np.mean(self.energy[name] < self.energy[than]))

    def p_cheaper_held(self, name: str, than: str, driver: str, value: float) -> float:
        """The same with one driver held at ``value`` (relative to nominal)."""
        scale = self.scale.copy()
        scale[:, list(self.ranges).index(driver)] = value
        return float(np.mean(self.terms[name].at(scale) < self.terms[than].at(scale)))

    def flip_point(self, name: str, than: str, driver: str) -> float | None:
        """Factor on ``driver`` nearest to 1 at which the nominal order of the two turns round.

        All other constants are nominal. None if it never does inside the range.
        """
        index = list(self.ranges).index(driver)

        def difference(value: float) -> float:
            scale = np.ones(len(self.ranges))
            scale[index] = value
            return float(self.terms[name].at(scale) - self.terms[than].at(scale))

        return nearest_root(difference, *self.ranges[driver])

    def sensitivities(self, name: str, than: str) -> tuple[Sensitivity, ...]:
        """Every constant that enters either energy and has a range, most influential first.

        ``reverses``: the nominal order turns round inside the range, or holding the constant at
        one end brings P to the other side of one half.
        """
        overall = self.p_cheaper(name, than)
        used = (self.terms[name].power.sum(axis=0) + self.terms[than].power.sum(axis=0)) > 0
        found = []
        for index, (driver, (low, high)) in enumerate(self.ranges.items()):
            if not used[index] or low == high:
                continue
            p_low = self.p_cheaper_held(name, than, driver, low)
            p_high = self.p_cheaper_held(name, than, driver, high)
            flip = self.flip_point(name, than, driver)
            crosses = any((p < 0.5) != (overall < 0.5) for p in (p_low, p_high))
            found.append(
                Sensitivity(driver, low, high, p_low, p_high, flip, flip is not None or crosses)
            )
        found.sort(key=lambda s: (not s.reverses, -abs(s.p_snn_wins_high - s.p_snn_wins_low)))
        return tuple(found)


def nearest_root(function: Callable[[float], float], low: float, high: float) -> float | None:
    """The root of ``function`` in [low, high] nearest to 1 (in the ratio), None if there is none.

    The range is scanned for changes of sign outward from 1, then the root is polished (Brent).
    A value of exactly 0 at 1 is a draw at the nominal point and is a root.
    """
    from scipy.optimize import brentq

    at_one = function(1.0)
    if at_one == 0.0:
        return 1.0
    roots = []
    for end in (low, high):
        if end == 1.0:
            continue
        grid = np.linspace(1.0, end, _SCAN) if end <= 0 else np.geomspace(1.0, end, _SCAN)
        # exact ends: a range such as 0.1 must not become 0.09999999999999999
        grid[0], grid[-1] = 1.0, end
        values = [function(float(x)) for x in grid]
        for left, right, a, b in zip(grid, grid[1:], values, values[1:], strict=False):
            if b == 0.0:
                roots.append(float(right))
                break
            if (a < 0) != (b < 0):
                roots.append(float(brentq(function, min(left, right), max(left, right))))
                break
    if not roots:
        return None
    return min(roots, key=lambda x: abs(math.log(x)) if x > 0 else math.inf)
