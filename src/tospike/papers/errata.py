"""``docs/errata.md``: every printed number that does not follow, with the arithmetic."""

from __future__ import annotations

from tospike.papers.claim import Finding
from tospike.papers.reproduce import PAPERS, Reproduction
from tospike.papers.text import counts_table, verdict_words
from tospike.sources import SOURCES
from tospike.tables.formats import FORMATS
from tospike.tables.record import cell_text

_HEAD = """# Errata

Written by `tospike reproduce --errata docs/errata.md`; do not edit by hand.

Every printed number of the three papers was recomputed from its own inputs. This page lists those
that do not follow as printed: first those for which a convention can be named that gives the
number, then those for which none was found. An erratum here is about arithmetic; it seldom touches
a paper's conclusion, and where it does the entry says so. The claims that do reproduce, and the
quoted inputs, are in `tospike reproduce`.
"""


def errata(result: Reproduction) -> str:
    """The page as Markdown."""
    parts = [_HEAD, "## Counts\n\n" + FORMATS["markdown"](counts_table(result))]
    for paper in PAPERS:
        mine = [
            item
            for item in result.findings
            if item.claim.paper == paper and item.verdict in {"convention", "does_not_reproduce"}
        ]
        if not mine:
            continue
        parts.append(f"## {SOURCES[paper].text}\n")
        for verdict, title in (
            ("convention", "### Follow under a convention"),
            ("does_not_reproduce", "### Do not follow"),
        ):
            chosen = [item for item in mine if item.verdict == verdict]
            if chosen:
                parts += [title + "\n", *(_entry(item) for item in chosen)]
    return "\n".join(part.rstrip("\n") + "\n" for part in parts)


def _entry(finding: Finding) -> str:
    claim = finding.claim
    unit = f" {claim.unit}" if claim.unit else ""
    numbers = []
    if claim.value is not None:
        numbers.append(f"printed {cell_text(claim.value, 6)}{unit}")
    if finding.as_stated is not None:
        numbers.append(f"follows {cell_text(finding.as_stated, 5)}{unit}")
    if finding.convention and finding.computed is not None:
        numbers.append(f"under the convention {cell_text(finding.computed, 5)}{unit}")
    lines = [
        f"**{claim.where}: {claim.statement}** (`{claim.id}`)",
        "",
        f"- {'; '.join(numbers)}" if numbers else "- a statement without one number",
        f"- verdict: {verdict_words(finding)}",
        f"- {_one_line(finding.explanation)}",
    ]
    if finding.recomputed.arithmetic:
        lines.append(f"- arithmetic: {_one_line(finding.recomputed.arithmetic)}")
    tried = [item for item in finding.recomputed.conventions if item.name != finding.convention]
    for item in tried:
        value = "" if item.value is None else f" gives {cell_text(item.value, 5)}{unit}"
        lines.append(f"- tried: {item.name}{value}. {_one_line(item.text)}")
    return "\n".join(lines) + "\n"


def _one_line(text: str) -> str:
    return " ".join(text.split())
