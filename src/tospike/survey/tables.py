"""Answers of the survey as tables, with the caption that says what they leave out and assume."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from tospike.survey.energy import DEFINITIONS
from tospike.survey.fields import View, energy_of, qualifiers, unverified_parts
from tospike.survey.normalise import CAVEATS, mostly_static
from tospike.survey.query import Answer
from tospike.survey.record import Accelerator
from tospike.tables import Column, Table, Value


def survey_table(answer: Answer) -> Table:
    """One row per chip and operating point; the evidence mark is in every row."""
    view = answer.query.view
    columns = [item.column() for item in answer.columns]
    columns += [Column("on_front", "on the front")] if answer.on_front is not None else []
    marks = [qualifiers(chip, answer.columns, view) for chip in answer.chips]
    columns += [Column("qualifiers", "qualifiers")] if any(marks) else []
    columns.append(Column("evidence", "evidence"))
    rows: list[dict[str, Value]] = []
    for index, chip in enumerate(answer.chips):
        row: dict[str, Value] = {item.key: item.cell(chip, view) for item in answer.columns}
        if answer.on_front is not None:
            row["on_front"] = answer.on_front[index]
        if any(marks):
            row["qualifiers"] = marks[index] or None
        row["evidence"] = evidence_mark(answer, chip)
        rows.append(row)
    scaled = ("stillmaker_2017",) if view.node_nm is not None else ()
    return Table(
        key="survey",
        title=_title(answer),
        columns=tuple(columns),
        rows=tuple(rows),
        assumptions=tuple(line[0].upper() + line[1:] for line in _assumptions(answer)),
        notes=tuple(line[0].upper() + line[1:] for line in _notes(answer)),
        sources=(*_cites(answer), *scaled),
    )


def evidence_mark(answer: Answer, chip: Accelerator) -> str:
    """Evidence of a row: of the entry, or of the shown numbers that are less sure than it."""
    if chip.evidence != "verified":
        return chip.evidence
    parts = unverified_parts(chip, answer.columns, answer.query.view)
    return f"unverified: {', '.join(parts)}" if parts else "verified"


def _cites(answer: Answer) -> tuple[str, ...]:
    cited = (key for chip in answer.chips for key in chip.cites)
    return tuple(dict.fromkeys(cited)) or ("tospike",)


def _title(answer: Answer) -> str:
    view = answer.query.view
    chips = len({chip.name for chip in answer.published})
    title = f"Published accelerators: {len(answer.published)} entries of {chips} chips"
    if view.definition is not None:
        title += f"; energy per inference = {DEFINITIONS[view.definition].title}"
    if view.node_nm is not None:
        title += f", moved to {view.node_nm:g} nm"
    return title


def _assumptions(answer: Answer) -> Iterator[str]:
    view = answer.query.view
    if view.definition is None:
        titles = ", ".join(f"{item.short}: {item.title}" for item in DEFINITIONS.values())
        yield (
            "energies per inference under different definitions stand in different columns and "
            f"cannot be compared across them ({titles})"
        )
    else:
        yield f"energy per inference is {DEFINITIONS[view.definition].meaning}"
    if view.node_nm is not None:
        yield from CAVEATS
    yield (
        "numbers are as printed in the cited works for their own network, precision and memory; "
        "most ASICs leave DRAM out"
    )


def _notes(answer: Answer) -> Iterator[str]:
    yield from _left_out(answer)
    static = [chip.name for chip in answer.published if mostly_static(chip)]
    if static and (answer.query.view.definition or answer.query.view.node_nm is not None):
        names = ", ".join(dict.fromkeys(static))
        yield (
            f"Below 100 uW most of the power is static (Ottati 2023, section V-B), which no "
            f"process rule for dynamic energy describes: {names}"
        )
    marked = sum(evidence_mark(answer, chip) != "verified" for chip in answer.published)
    if marked:
        yield f"{marked} of the published entries rest on unverified numbers (column evidence)"
    if answer.not_compared:
        yield f"{answer.not_compared} rows lack a field of the front and are not compared"
    data = sorted({chip.dataset or "not stated" for chip in answer.published})
    shown = {item.key for item in answer.columns}
    if len(data) > 1 and (answer.on_front is not None or shown & {"error", "accuracy"}):
        yield (
            f"accuracies on different data sets cannot be compared; here are {len(data)}: "
            f"{', '.join(data)}"
        )
    if answer.mine:
        names = ", ".join(chip.label for chip in answer.mine)
        yield f"Modelled (counted and priced), where chips are measured or printed: {names}"


def _left_out(answer: Answer) -> Iterator[str]:
    """How many entries a definition or a node leaves out, with the number per reason."""
    if not answer.left_out:
        return
    counts = Counter(reason for _, reason in answer.left_out)
    reasons = "; ".join(f"{count} because {reason}" for reason, count in counts.most_common())
    total = len(answer.left_out) + len(answer.published)
    yield f"{len(answer.left_out)} of {total} entries are left out: {reasons}"


def left_out_table(answer: Answer) -> Table | None:
    """The chips without an energy under the definition, each with its reason; None if none."""
    if not answer.left_out:
        return None
    return Table(
        key="survey_left_out",
        title="Entries left out",
        columns=(
            Column("label", "chip"),
            Column("reason", "why no energy per inference can be given"),
            Column("evidence", "evidence"),
        ),
        rows=tuple(
            {"label": chip.label, "reason": reason, "evidence": chip.evidence}
            for chip, reason in answer.left_out
        ),
    )


def entry_as_dict(chip: Accelerator, view: View) -> dict[str, Any]:
    """A whole entry as plain data, inner units, with its energy under the view."""
    plain = asdict(chip)
    plain["label"] = chip.label
    if view.definition is not None:
        value, reason = energy_of(chip, view)
        plain["energy_per_inference"] = {
            "definition": view.definition,
            "node_nm": view.node_nm,
            "energy_J": value,
            "reason": reason,
        }
    return plain
