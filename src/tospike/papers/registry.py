"""``PAPERS``: the papers that ``tospike reproduce`` recomputes; one file and one line each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from tospike.papers.claim import Claim, Recomputed
from tospike.tables import Table

Recompute = Callable[[Claim], Recomputed]


@dataclass(frozen=True)
class Paper:
    """A reproduced paper: a function per claim and a function per table.

    ``recompute`` maps the id of a claim to the function that recomputes it; ``tables`` maps the
    name of a table ("Table II") to the function that builds it with printed beside computed.
    """

    key: str
    recompute: Mapping[str, Recompute]
    tables: Mapping[str, Callable[[], Table]] = field(default_factory=dict)
