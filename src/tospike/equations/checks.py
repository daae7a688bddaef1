"""Checks of equation arguments: shares, reuse factors, names of conventions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from tospike.actions import Array
from tospike.errors import OptionError, RangeError


def array(value: ArrayLike) -> Array:
    """``value`` as float64."""
    return np.asarray(value, dtype=np.float64)


def times(*factors: ArrayLike) -> Array:
    """Product of all factors, broadcast."""
    product: Array = np.ones(())
    for factor in factors:
        product = np.asarray(product * array(factor))
    return product


def share(name: str, value: ArrayLike) -> Array:
    """``value`` if every element is in [0, 1], else :class:`RangeError`."""
    found = array(value)
    if found.size and not bool(np.all((found >= 0) & (found <= 1))):
        raise RangeError(
            f"use {name} in an equation",
            received=f"values from {np.min(found)} to {np.max(found)}",
            allowed="a share in [0, 1]",
            fix="measure the activity, or divide a percentage by 100",
        )
    return found


def at_least_one(name: str, value: ArrayLike) -> Array:
    """``value`` if every element is >= 1 (infinity is the ideal), else :class:`RangeError`."""
    found = array(value)
    if found.size and not bool(np.all(found >= 1)):
        raise RangeError(
            f"use {name} in an equation",
            received=f"values from {np.min(found)} to {np.max(found)}",
            allowed="numbers >= 1; infinity for ideal reuse",
            fix="a word is used at least once per fetch",
        )
    return found


def one_of(name: str, value: str, allowed: Sequence[str]) -> None:
    """Raise :class:`OptionError` unless ``value`` is one of ``allowed``."""
    if value not in allowed:
        raise OptionError(
            f"use {name}={value!r}",
            received=repr(value),
            allowed=", ".join(repr(item) for item in allowed),
            fix="choose one of the allowed names",
        )
