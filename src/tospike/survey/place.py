"""Where a network of the user's own lies among the published chips."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tospike.survey.energy import DEFINITIONS
from tospike.survey.fields import View, energy_of
from tospike.survey.query import Answer
from tospike.survey.record import Accelerator
from tospike.tables import Column, Table, Value


@dataclass(frozen=True, slots=True)
class Place:
    """``rank`` 1 is the least energy, among ``of`` chips and the own entry itself.

    ``compared``: chips of the same data set with a known error; ``beaten_by`` are as good in
    energy and error and better in one, ``beats`` the other way round. ``warnings``: what keeps
    them from being compared.
    """

    label: str
    energy_j: float | None
    error: float | None
    rank: int | None
    of: int
    compared: int
    beaten_by: tuple[str, ...]
    beats: tuple[str, ...]
    warnings: tuple[str, ...]


def place(own: Accelerator, chips: Sequence[Accelerator], view: View) -> Place:
    """Rank by energy among all ``chips``; dominance only among those of the same data set."""
    energy = energy_of(own, view)[0]
    held = [(chip, energy_of(chip, view)[0]) for chip in chips]
    known = [(chip, value) for chip, value in held if value is not None]
    same = [
        (chip, value, chip.error)
        for chip, value in known
        if own.dataset and chip.dataset.casefold() == own.dataset.casefold()
    ]
    compared = [(chip, value, error) for chip, value, error in same if error is not None]
    beaten_by, beats = [], []
    if energy is not None and own.error is not None:
        mine = (energy, own.error)
        beaten_by = [chip.label for chip, *theirs in compared if _beats(tuple(theirs), mine)]
        beats = [chip.label for chip, *theirs in compared if _beats(mine, tuple(theirs))]
    return Place(
        label=own.label,
        energy_j=energy,
        error=own.error,
        rank=None if energy is None else 1 + sum(value < energy for _, value in known),
        of=len(known) + (energy is not None),
        compared=len(compared),
        beaten_by=tuple(beaten_by),
        beats=tuple(beats),
        warnings=tuple(_warnings(own, [chip for chip, _ in known], len(compared))),
    )


def _grouped(places: Sequence[Place]) -> list[str]:
    """The warnings, each once, with the entries it is about."""
    about: dict[str, list[str]] = {}
    for item in places:
        for warning in item.warnings:
            about.setdefault(warning, []).append(item.label)
    if len(places) == 1:
        return [f"Warning: {warning}" for warning in about]
    return [f"Warning: {warning} ({'; '.join(labels)})" for warning, labels in about.items()]


def _beats(left: tuple[float, ...], right: tuple[float, ...]) -> bool:
    return all(a <= b for a, b in zip(left, right, strict=True)) and left != right


def _warnings(own: Accelerator, chips: Sequence[Accelerator], compared: int) -> list[str]:
    data = sorted({chip.dataset for chip in chips if chip.dataset})
    others = [name for name in data if name.casefold() != own.dataset.casefold()]
    found = []
    if not own.dataset:
        found.append("no data set is stated, so the error is compared with no chip")
    elif others:
        found.append(
            f"the data set is {own.dataset}, those of the chips are {', '.join(data)}: only the "
            f"{compared} of the same data set are compared in error"
        )
    if own.error is None:
        found.append("no error is stated, so the place is one in energy alone")
    return found


def placement_table(answer: Answer) -> Table | None:
    """One row per own entry; None if there are none. Needs a definition of the energy."""
    view = answer.query.view
    if not answer.mine or view.definition is None:
        return None
    places = [place(own, answer.published, view) for own in answer.mine]
    rows: list[dict[str, Value]] = [
        {
            "label": item.label,
            "energy": None if item.energy_j is None else item.energy_j * 1e6,
            "error": None if item.error is None else item.error * 100,
            "rank": None if item.rank is None else f"{item.rank} of {item.of}",
            "compared": item.compared,
            "beaten_by": ", ".join(item.beaten_by) or "none",
            "beats": ", ".join(item.beats) or "none",
            "evidence": "modelled",
        }
        for item in places
    ]
    return Table(
        key="survey_placement",
        title="Where your network lies among the published accelerators",
        columns=(
            Column("label", "your network"),
            Column("energy", "energy", "µJ"),
            Column("error", "error", "%"),
            Column("rank", "rank by energy"),
            Column("compared", "chips on the same data set"),
            Column("beaten_by", "beaten in energy and error by"),
            Column("beats", "beats"),
            Column("evidence", "evidence"),
        ),
        rows=tuple(rows),
        assumptions=(
            f"The chips' energy per inference is {DEFINITIONS[view.definition].title}; yours is "
            "modelled: counted actions times prices, with what the model leaves out left out",
        ),
        notes=(
            "The rank counts every shown chip with an energy, whatever its network and data set",
            *_grouped(places),
        ),
        sources=("tospike",),
    )
