"""Claims and tables of Dampfhoffer et al. 2022, recomputed.

Method
    Counts by ``tospike.equations``, prices by the technology files of Table I, topologies of the
    zoo. Taken from the paper are only its stated inputs: gamma 0.58, RF 25 and 80, the gain 1.15,
    T and spikes per synapse of Table II and section IV. What the paper states comes first: eq. 13
    is counted as printed, topologies truly.

    A claim that builds on a printed result of the paper (0.42 or 0.44 spikes per synapse of
    Eyeriss v1) is recomputed with the reading of eq. 13 that gives this result, so that an erratum
    counts where it arises and not again in everything behind it; the other reading is named.

Files
    ``_breakeven``: Tables I and III, Figs. 5 to 7; ``_networks``: Figs. 2, 3, 6 and Table II;
    ``_eyeriss``: measured reuse and zeros; ``_hybrids``: section IV; ``_tables``; ``_energy``.

Reference
    M. Dampfhoffer, T. Mesquida, A. Valentian, L. Anghel, IEEE TETCI 2022,
    doi:10.1109/TETCI.2022.3214509.
"""

from __future__ import annotations

from tospike.papers import (
    dampfhoffer_2022_breakeven,
    dampfhoffer_2022_eyeriss,
    dampfhoffer_2022_hybrids,
    dampfhoffer_2022_networks,
)
from tospike.papers.claim import Claim, Recomputed
from tospike.papers.dampfhoffer_2022_tables import table_2, table_3
from tospike.papers.registry import Paper, Recompute
from tospike.tables import Table


def _speedups(claim: Claim) -> Recomputed:
    return Recomputed(
        is_input=True,
        why="Measurements and simulations of the Eyeriss v2 paper, quoted. To derive them takes "
        "its per-layer cycle and energy figures for AlexNet and MobileNet on both chips, and the "
        "pruned networks.",
        sources=("chen_2019_jetcas",),
    )


_BY_SUFFIX: dict[str, Recompute] = {
    **dampfhoffer_2022_breakeven.RECOMPUTE,
    **dampfhoffer_2022_eyeriss.RECOMPUTE,
    **dampfhoffer_2022_networks.RECOMPUTE,
    **dampfhoffer_2022_hybrids.RECOMPUTE,
    "EV2-speedups": _speedups,
}


def _table_2() -> Table:
    return table_2(_BY_SUFFIX)


def _table_3() -> Table:
    return table_3(_BY_SUFFIX)


PAPER = Paper(
    key="dampfhoffer_2022",
    recompute={f"dampfhoffer2022-{suffix}": one for suffix, one in _BY_SUFFIX.items()},
    tables={"Table II": _table_2, "Table III": _table_3},
)
