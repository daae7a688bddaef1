"""The nest of loops walked pass by pass, slowly: what :func:`..mapping.reloads` says at once."""

from __future__ import annotations

import itertools
from typing import NamedTuple

Order = tuple[int, ...]


class Walk(NamedTuple):
    """How often each block of a datatype was brought, by the loop it does not depend on."""

    buffer: tuple[float, float, float]
    register: tuple[float, float, float]


def walk(outer: Order, inner: Order, orders: tuple[Order, Order]) -> Walk:
    """Run all passes and bring a block whenever another one is in its place.

    outer, inner : turns of the channel, filter and image loop at either level; orders : outermost
    loop first. A memory holds one block of each datatype.
    """
    in_buffer: list[tuple[int, ...] | None] = [None, None, None]
    in_register: list[tuple[int, ...] | None] = [None, None, None]
    loads = [[0, 0, 0], [0, 0, 0]]
    far = [range(outer[loop]) for loop in orders[0]]
    near = [range(inner[loop]) for loop in orders[1]]
    for turn in itertools.product(*far):
        block = [turn[orders[0].index(loop)] for loop in range(3)]
        for small in itertools.product(*near):
            part = [small[orders[1].index(loop)] for loop in range(3)]
            for free in range(3):
                own = [loop for loop in range(3) if loop != free]
                wanted = tuple(block[loop] for loop in own)
                if in_buffer[free] != wanted:
                    in_buffer[free] = wanted
                    loads[0][free] += 1
                close = wanted + tuple(part[loop] for loop in own)
                if in_register[free] != close:
                    in_register[free] = close
                    loads[1][free] += 1
    blocks = [
        [_product(outer, free), _product(outer, free) * _product(inner, free)] for free in range(3)
    ]
    b0, b1, b2 = (loads[0][free] / blocks[free][0] for free in range(3))
    r0, r1, r2 = (loads[1][free] / blocks[free][1] for free in range(3))
    return Walk((b0, b1, b2), (r0, r1, r2))


def _product(turns: Order, free: int) -> int:
    found = 1
    for loop in range(3):
        if loop != free:
            found *= turns[loop]
    return found
