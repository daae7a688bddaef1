"""A :class:`Report` as tables, plain data and text."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from tospike.checking.record import Outcome, Report
from tospike.checking.rules import RULES
from tospike.tables import Column, Table
from tospike.units import si

if TYPE_CHECKING:
    from rich.console import Console

_EVIDENCE = {
    "printed": "read in the source",
    "second_hand": "quoted second-hand",
    "recalled": "recalled, not yet checked against the source",
    "constructed": "constructed, no published claim",
}


def _key(report: Report) -> str:
    stem = report.claim.name.rsplit(".", 1)[0]
    return "".join(letter if letter.isalnum() else "_" for letter in stem)


def _cited(report: Report) -> str:
    source = report.claim.form.source
    link = f", {source.link}" if source.link else ""
    return f"{source.citation}, {source.locator}{link} ({_EVIDENCE[source.evidence]})"


def own_table(report: Report) -> Table:
    """Printed numbers beside the claim's own formula."""
    rows = tuple(
        {
            "quantity": row.quantity,
            "printed": row.printed,
            "recomputed": row.recomputed,
            "unit": row.unit,
            "deviation": None if row.deviation is None else 100 * row.deviation,
            "arithmetic": row.arithmetic,
        }
        for row in report.own
    )
    columns = (
        Column("quantity", "quantity"),
        Column("printed", "claimed"),
        Column("recomputed", "recomputed"),
        Column("unit", "unit"),
        Column("deviation", "deviation", "%", 2),
        Column("arithmetic", "its own formula"),
    )
    return Table(
        f"{_key(report)}_own",
        f"{report.claim.form.title}: claimed beside recomputed by its own formula",
        columns,
        rows,
        notes=(f"claim: {_cited(report)}",),
        sources=("horowitz_2014",),
    )


def models_table(report: Report) -> Table:
    """ANN and SNN energy per inference under every published model."""
    claimed = next((row.printed for row in report.own if row.quantity == "ANN / SNN"), None)
    rows = tuple(
        {
            "model": item.title,
            "ann": item.ann,
            "snn": item.snn,
            "ratio": item.ratio,
            "deviation": None
            if claimed is None or item.ratio is None
            else 100 * (claimed / item.ratio - 1),
            "leaves_out": item.reason or item.leaves_out,
        }
        for item in report.models
    )
    columns = (
        Column("model", "model"),
        Column("ann", "ANN energy", "J"),
        Column("snn", "SNN energy", "J"),
        Column("ratio", "ANN / SNN"),
        Column("deviation", "claimed ratio off by", "%", 2),
        Column("leaves_out", "leaves out"),
    )
    sources = tuple(dict.fromkeys(key for item in report.models for key in item.sources))
    return Table(
        f"{_key(report)}_models",
        f"{report.claim.form.title}: energy of one inference under each published model",
        columns,
        rows,
        assumptions=report.assumptions,
        notes=(f"claim: {_cited(report)}", "ANN / SNN above 1: the SNN needs less"),
        sources=sources,
    )


def findings_table(reports: Sequence[Report]) -> Table:
    """All outcomes of all claims, findings first."""
    rows = tuple(
        {
            "claim": report.claim.name,
            "rule": outcome.rule,
            "result": outcome.severity or outcome.state.replace("_", " "),
            "text": outcome.text,
            "corrected": outcome.corrected,
            "unit": outcome.unit,
            "quantity": outcome.quantity,
            "fix": outcome.fix,
            "documented": _documented(outcome),
        }
        for report in reports
        for outcome in _ordered(report)
    )
    columns = (
        Column("claim", "claim"),
        Column("rule", "rule"),
        Column("result", "result"),
        Column("text", "finding"),
        Column("corrected", "corrected"),
        Column("unit", "unit"),
        Column("quantity", "corrected quantity"),
        Column("fix", "fix"),
        Column("documented", "documented in"),
    )
    used = dict.fromkeys(
        key for report in reports for item in report.findings for key in RULES[item.rule].sources
    )
    return Table(
        "findings",
        "Known mistakes looked for in the claims",
        columns,
        rows,
        assumptions=(
            "a rule that lacks its inputs says what it needs and is not counted as passed",
        ),
        sources=tuple(used),
    )


def rules_table() -> Table:
    """Every rule with its source."""
    rows = tuple(
        {
            "rule": rule.key,
            "title": rule.title,
            "locator": rule.locator,
            "sources": ", ".join(rule.sources),
        }
        for rule in RULES.values()
    )
    columns = (
        Column("rule", "rule"),
        Column("title", "mistake"),
        Column("locator", "documented in"),
        Column("sources", "sources"),
    )
    keys = tuple(dict.fromkeys(key for rule in RULES.values() for key in rule.sources))
    return Table("rules", "Rules of tospike check", columns, rows, sources=keys)


def tables(reports: Sequence[Report]) -> tuple[Table, ...]:
    """All tables of some reports: two per claim, and the findings."""
    made = [table for report in reports for table in (own_table(report), models_table(report))]
    return (*made, findings_table(reports))


def _ordered(report: Report) -> tuple[Outcome, ...]:
    rest = [item for item in report.outcomes if item.state == "passed"]
    return (*report.findings, *report.not_checked, *rest)


def _documented(outcome: Outcome) -> str:
    rule = RULES[outcome.rule]
    return f"{rule.locator} [{', '.join(rule.sources)}]"


def as_plain(report: Report) -> dict[str, Any]:
    """Plain data for JSON."""

    def number(value: float | None) -> float | None:
        return value if value is not None and math.isfinite(value) else None

    return {
        "claim": report.claim.name,
        "title": report.claim.form.title,
        "source": report.claim.form.source.model_dump(),
        "verdict": report.verdict,
        "errors": report.count("error"),
        "own": [{**asdict(row), "deviation": number(row.deviation)} for row in report.own],
        "models": [{**asdict(item), "ratio": number(item.ratio)} for item in report.models],
        "outcomes": [
            {**asdict(item), "sources": list(RULES[item.rule].sources)} for item in _ordered(report)
        ],
        "assumptions": list(report.assumptions),
    }


def print_report(report: Report, console: Console) -> None:
    """One claim for people: verdict, findings, what was not checked, then the numbers."""
    from rich.padding import Padding
    from rich.text import Text

    from tospike.tables import print_tables

    form = report.claim.form
    console.print(Text(f"{report.claim.name}: {form.title}", style="bold"))
    console.print(Text(_cited(report), style="dim"))
    console.print(Text(f"verdict: {report.verdict}", style="bold"))
    styles = {"error": "bold red", "warning": "yellow", "note": "cyan"}
    for item in report.findings:
        severity = item.severity or "note"
        console.print(Text.assemble((f"{severity} ", styles[severity]), (item.rule, "bold")))
        lines = [item.text]
        if item.corrected is not None:
            shown = si(item.corrected, item.unit, 4) if item.unit else f"{item.corrected:.4g}"
            lines.append(f"corrected: {item.quantity} {shown}")
        lines += [f"fix: {item.fix}", f"documented in: {_documented(item)}"]
        console.print(Padding(Text("\n".join(lines)), (0, 0, 0, 4)))
    for item in report.not_checked:
        console.print(Text(f"not checked {item.rule}: {item.text}", style="dim"))
    console.print()
    numbers = [_shown(own_table(report))] if report.own else []
    reasons = dict.fromkeys(item.reason for item in report.models if item.ratio is None)
    if any(item.ratio is not None for item in report.models):
        numbers.append(_shown(models_table(report)))
    print_tables(numbers, console)
    for reason in reasons:
        which = [item.title for item in report.models if item.reason == reason]
        names = "every published model" if len(which) == len(report.models) else ", ".join(which)
        console.print(Text(f"{names}: {reason}\n", style="dim"))


def _shown(table: Table) -> Table:
    """A table for the terminal: energies with prefixes, short columns, no caption printed above."""
    rows = []
    for row in table.rows:
        cells = dict(row)
        unit = cells.get("unit")
        for key in ("ann", "snn", "printed", "recomputed"):
            value = cells.get(key)
            if isinstance(value, float) and (key in ("ann", "snn") or unit == "J"):
                cells[key] = si(value, "J", 4)
            elif isinstance(value, float) and cells.get("quantity") == "SNN operations":
                cells[key] = si(value, "", 4)
        if "model" in cells and cells.get("ratio") is None:
            continue  # named with the reason below the table
        rows.append(cells)
    columns = tuple(
        Column(column.key, column.title, "" if column.unit == "J" else column.unit, column.digits)
        for column in table.columns
        if column.key not in _HIDDEN and any(row.get(column.key) is not None for row in rows)
    )
    shown = {column.key for column in columns}
    kept = tuple({key: cell for key, cell in cells.items() if key in shown} for cells in rows)
    title = table.title.rsplit(": ", 1)[-1]
    return Table(table.key, title, columns, kept, assumptions=table.assumptions)


#: columns that a terminal is too narrow for; the exports have them
_HIDDEN = ("unit", "leaves_out")
