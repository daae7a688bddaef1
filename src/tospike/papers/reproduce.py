"""``reproduce``: every claim of the papers, recomputed and judged."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tospike.errors import StatisticError, unknown_name
from tospike.papers import dampfhoffer_2022, liu_delbruck_2019, ottati_2023
from tospike.papers.claim import VERDICTS, Claim, Finding
from tospike.papers.judge import judge
from tospike.papers.load import claims
from tospike.papers.registry import Paper
from tospike.tables import Table

#: key of the bibliography -> the paper
PAPERS: dict[str, Paper] = {
    paper.key: paper
    for paper in (dampfhoffer_2022.PAPER, ottati_2023.PAPER, liu_delbruck_2019.PAPER)
}


@dataclass(frozen=True, slots=True)
class Reproduction:
    """All findings with the tables of the papers; ``counts`` per verdict, in a fixed order."""

    findings: tuple[Finding, ...]
    tables: tuple[Table, ...]

    @property
    def counts(self) -> dict[str, int]:
        """Claims per verdict."""
        found = Counter(finding.verdict for finding in self.findings)
        return {verdict: found[verdict] for verdict in VERDICTS}


def reproduce(
    paper: str | None = None,
    *,
    tables: bool = True,
    progress: Callable[[str, int, int], None] | None = None,
) -> Reproduction:
    """Recompute the claims of one paper, or of all. About a minute, most of it zoo networks.

    Parameters
    ----------
    paper : key of the paper ("dampfhoffer_2022"); None: all.
    tables : also build the papers' tables.
    progress : called with (stage, done, total).

    Raises
    ------
    UnknownNameError
        No such paper.
    StatisticError
        A claim that nobody recomputes, or a recomputation without a claim.
    """
    if paper is not None and paper not in PAPERS:
        raise unknown_name("paper", paper, tuple(PAPERS))
    chosen = [PAPERS[paper]] if paper else list(PAPERS.values())
    asked = [claim for claim in claims() if any(claim.paper == item.key for item in chosen)]
    _complete(chosen, asked)
    findings = []
    for done, claim in enumerate(asked):
        if progress is not None:
            progress("claims", done, len(asked))
        findings.append(judge(claim, PAPERS[claim.paper].recompute[claim.id](claim)))
    built = [build() for item in chosen for build in item.tables.values()] if tables else []
    if progress is not None:
        progress("claims", len(asked), len(asked))
    return Reproduction(tuple(findings), tuple(built))


def _complete(papers: Sequence[Paper], asked: Sequence[Claim]) -> None:
    ids = {claim.id for claim in asked}
    known = {key for paper in papers for key in paper.recompute}
    reasons = [f"claim {key!r} has no recomputation" for key in sorted(ids - known)]
    reasons += [f"recomputation {key!r} has no claim" for key in sorted(known - ids)]
    if reasons:
        raise StatisticError("reproduce the papers", reasons=reasons)
