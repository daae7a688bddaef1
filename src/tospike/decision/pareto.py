"""Accuracy against energy: which implementations are not dominated."""

from __future__ import annotations

import math
from collections.abc import Sequence


def dominates(
    energy: float, accuracy: float | None, other_energy: float, other_accuracy: float | None
) -> bool:
    """True if the first point is at least as good in both and better in one.

    Energy (joule): less is better. Accuracy: more is better. Points are comparable only if both
    or neither have an accuracy: an unknown accuracy is not a bad one.
    """
    if (accuracy is None) != (other_accuracy is None):
        return False
    mine = accuracy if accuracy is not None else 0.0
    theirs = other_accuracy if other_accuracy is not None else 0.0
    if energy > other_energy or mine < theirs:
        return False
    return energy < other_energy or mine > theirs


def pareto_front(points: Sequence[tuple[float, float | None]]) -> tuple[bool, ...]:
    """For every (energy in joule, accuracy or None): is it dominated by no other point?

    Equal points are all on the front or all off it. Points without an accuracy compete only with
    each other (there on energy alone). A point with a non-finite energy is never on the front.
    O(n log n).
    """
    front = [False] * len(points)
    for known in (True, False):
        group = [
            index
            for index, (energy, accuracy) in enumerate(points)
            if math.isfinite(energy) and (accuracy is not None) == known
        ]

        def accuracy_of(index: int) -> float:
            value = points[index][1]
            return 0.0 if value is None else value

        group.sort(key=lambda index: (points[index][0], -accuracy_of(index)))
        best = -math.inf
        best_energy = math.nan
        for index in group:
            energy, accuracy = points[index][0], accuracy_of(index)
            if accuracy > best:
                best, best_energy = accuracy, energy
                front[index] = True
            elif accuracy == best and energy == best_energy:
                front[index] = True
    return tuple(front)
