"""Which points no other point beats."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np


def pareto_front(
    points: Sequence[Sequence[float | None]], maximise: Sequence[bool]
) -> tuple[bool, ...]:
    """For every point: is there no other that is at least as good in all and better in one?

    ``points``: n rows of k objectives; ``maximise``: per objective, True where more is better. A
    point with a missing or non-finite objective is compared with none and is not on the front.
    Equal points are all on it or all off it. O(n log n) for two objectives, O(n^2 k) for more.
    """
    usable = [
        index
        for index, point in enumerate(points)
        if all(value is not None and math.isfinite(value) for value in point)
    ]
    signs = np.where(np.asarray(maximise, dtype=bool), -1.0, 1.0)
    rows = [[0.0 if value is None else value for value in points[index]] for index in usable]
    values = np.asarray(rows, dtype=np.float64).reshape(len(usable), len(signs)) * signs
    on_front = _front_of_two(values) if len(signs) == 2 else _front(values)
    chosen = {index for index, is_on in zip(usable, on_front, strict=True) if is_on}
    return tuple(index in chosen for index in range(len(points)))


def _front_of_two(values: np.ndarray) -> list[bool]:
    """Minimise both columns: sweep by the first, keep what lowers the second."""
    front = [False] * len(values)
    best, best_first = math.inf, math.nan
    for index in np.lexsort((values[:, 1], values[:, 0])):
        first, second = values[index]
        if second < best:
            best, best_first = second, first
            front[index] = True
        elif second == best and first == best_first:
            front[index] = True
    return front


def _front(values: np.ndarray) -> list[bool]:
    """Minimise all columns, every point against all others."""
    return [
        not bool(np.any(np.all(values <= row, axis=1) & np.any(values < row, axis=1)))
        for row in values
    ]
