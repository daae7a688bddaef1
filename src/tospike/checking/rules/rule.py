"""``Rule``: one known mistake. A record; its ``check`` is a function of :class:`Facts`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tospike.checking.facts import Facts
from tospike.checking.record import Outcome


@dataclass(frozen=True, slots=True)
class Rule:
    """One mistake that published comparisons are known to make.

    ``sources`` are keys of the bibliography of the works that document it, ``locator`` the place;
    ``check`` returns one outcome and never raises for a readable claim.
    """

    key: str
    title: str
    sources: tuple[str, ...]
    locator: str
    check: Callable[[Facts], Outcome]


def counts_memory(facts: Facts) -> bool:
    """True if the claim follows a published model that counts memory, or says it counts it."""
    form = facts.claim.form.accounting
    if form.formula is not None:
        return form.formula != "compute_only"
    return form.memory == "included"


def mj(value: float) -> str:
    """Energy as text with an SI prefix and four digits."""
    from tospike.units import si

    return si(value, "J", digits=4)
