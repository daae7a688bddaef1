"""Labels that do not overlap: each takes the freest of its candidate places.

All boxes are (left, bottom, right, top) in pixels of the canvas. A candidate costs for every
label it covers, every data point or piece of a curve below it, and for leaving the axes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Box = tuple[float, float, float, float]
Points = NDArray[np.float64]

#: cost of covering another label or leaving the axes; a label dearer than this finds no room
NO_ROOM = 1000.0
_POINT = 12.0
_FURTHER = 1.0


@dataclass(frozen=True, slots=True)
class Candidate:
    """A place for a label: offset in pixels from its anchor, and where the text is aligned."""

    dx: float
    dy: float
    horizontal: str
    vertical: str


def around(distances: Sequence[float]) -> list[Candidate]:
    """Places around a point: right, left, above, below, then the corners; near before far."""
    found = []
    for distance in distances:
        slant = 0.8 * distance
        found += [
            Candidate(distance, 0, "left", "center"),
            Candidate(slant, slant, "left", "bottom"),
            Candidate(slant, -slant, "left", "top"),
            Candidate(0, distance, "center", "bottom"),
            Candidate(0, -distance, "center", "top"),
            Candidate(-slant, slant, "right", "bottom"),
            Candidate(-slant, -slant, "right", "top"),
            Candidate(-distance, 0, "right", "center"),
        ]
    return found


def box_at(anchor: tuple[float, float], size: tuple[float, float], place: Candidate) -> Box:
    """The box of a label of the given size in pixels at a candidate place."""
    x, y = anchor[0] + place.dx, anchor[1] + place.dy
    width, height = size
    left = x - {"left": 0.0, "center": 0.5, "right": 1.0}[place.horizontal] * width
    bottom = y - {"bottom": 0.0, "center": 0.5, "top": 1.0}[place.vertical] * height
    return left, bottom, left + width, bottom + height


def overlap(first: Box, second: Box) -> bool:
    """True if two boxes share area."""
    return (
        first[0] < second[2]
        and second[0] < first[2]
        and first[1] < second[3]
        and second[1] < first[3]
    )


def cost(box: Box, *, taken: Sequence[Box], points: Points, axes: Box) -> float:
    """How bad it is to write a label into this box; below :data:`NO_ROOM` it is readable."""
    total = NO_ROOM * sum(overlap(box, other) for other in taken)
    if box[0] < axes[0] or box[1] < axes[1] or box[2] > axes[2] or box[3] > axes[3]:
        total += NO_ROOM
    if len(points):
        inside = (
            (points[:, 0] > box[0])
            & (points[:, 0] < box[2])
            & (points[:, 1] > box[1])
            & (points[:, 1] < box[3])
        )
        total += _POINT * float(np.count_nonzero(inside))
    return total


def best(
    anchor: tuple[float, float],
    size: tuple[float, float],
    places: Sequence[Candidate],
    *,
    taken: Sequence[Box],
    points: Points,
    axes: Box,
) -> tuple[Candidate, Box, float]:
    """The cheapest place, its box and its cost; the first of equals."""
    priced = []
    for order, place in enumerate(places):
        box = box_at(anchor, size, place)
        priced.append(
            (cost(box, taken=taken, points=points, axes=axes) + _FURTHER * order, order, place, box)
        )
    price, _, place, box = min(priced, key=lambda item: item[:2])
    return place, box, price


def sampled(x: Points, y: Points, step: float = 4.0) -> Points:
    """Points along a polyline in pixels, ``step`` apart, so that curves count as obstacles."""
    if len(x) < 2:
        return np.column_stack([x, y])
    parts = []
    for index in range(len(x) - 1):
        length = float(np.hypot(x[index + 1] - x[index], y[index + 1] - y[index]))
        share = np.linspace(0.0, 1.0, min(400, max(2, int(length / step))))
        parts.append(
            np.column_stack(
                [
                    x[index] + share * (x[index + 1] - x[index]),
                    y[index] + share * (y[index + 1] - y[index]),
                ]
            )
        )
    return np.concatenate(parts)
