"""A question to the survey and its answer: which chips, which not and why, which on the front."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tospike.errors import OptionError
from tospike.survey.energy import DEFINITIONS, energy_per_inference
from tospike.survey.fields import FIELDS, Field, View, energy_of, find, numbers, objectives
from tospike.survey.normalise import check_node
from tospike.survey.pareto import pareto_front
from tospike.survey.record import Accelerator
from tospike.survey.select import Condition, keep, order

_NO_VIEW = View()


@dataclass(frozen=True, slots=True)
class Query:
    """``conditions`` all must hold; ``sort``, ``columns`` and ``front`` name fields.

    ``front_only`` keeps only the chips on the front (and the user's own entries).
    """

    view: View = _NO_VIEW
    conditions: tuple[Condition, ...] = ()
    sort: str | None = None
    descending: bool = False
    columns: tuple[str, ...] = ()
    front: str | None = None
    front_only: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """``chips`` in order, the user's own among them; ``left_out``: chip and reason.

    ``on_front``: None without a front. ``not_compared``: chips that lack a field of the front.
    ``asked_of``: how many entries there were before the conditions.
    """

    query: Query
    chips: tuple[Accelerator, ...]
    columns: tuple[Field, ...]
    left_out: tuple[tuple[Accelerator, str], ...]
    on_front: tuple[bool, ...] | None
    not_compared: int
    asked_of: int

    @property
    def published(self) -> tuple[Accelerator, ...]:
        return tuple(chip for chip in self.chips if chip.evidence != "modelled")

    @property
    def mine(self) -> tuple[Accelerator, ...]:
        return tuple(chip for chip in self.chips if chip.evidence == "modelled")


_PLAIN = ("label", "kind", "process_nm", "dataset", "accuracy", "power")
_DEFINED = ("label", "year", "kind", "process_nm", "dataset", "error", "energy")


def ask(query: Query, chips: Sequence[Accelerator], mine: Sequence[Accelerator] = ()) -> Answer:
    """Filter, leave out what the definition cannot say, sort, and find the front.

    ``mine`` are not filtered. Raises :class:`UnknownNameError` and :class:`OptionError` for names
    and values in the query, :class:`RangeError` for the node, and :class:`OptionError` where no
    chip is left.
    """
    view = query.view
    check_view(view)
    for name in query.columns:
        find(name, view, "--columns")
    sort = None if query.sort is None else find(query.sort, view, "--sort")
    front = () if query.front is None else objectives(query.front, view)
    kept = keep(chips, query.conditions, view)
    left_out: list[tuple[Accelerator, str]] = []
    if view.definition is not None:
        reasons = [(chip, energy_of(chip, view)) for chip in kept]
        left_out = [(chip, reason) for chip, (value, reason) in reasons if value is None]
        kept = tuple(chip for chip, (value, _) in reasons if value is not None)
    if not kept:
        raise _nothing_left(query, len(chips), len(left_out))
    shown = (*mine, *kept)
    shown = shown if sort is None else order(shown, sort, view, descending=query.descending)
    on_front, missing = _on_front(shown, front, view)
    if query.front_only and on_front is not None:
        pairs = [
            (chip, is_on)
            for chip, is_on in zip(shown, on_front, strict=True)
            if is_on or chip.evidence == "modelled"
        ]
        shown = tuple(chip for chip, _ in pairs)
        on_front = tuple(is_on for _, is_on in pairs)
    columns = _columns(query, shown)
    return Answer(query, shown, columns, tuple(left_out), on_front, missing, len(chips))


def check_view(view: View) -> None:
    """Raise for an unknown definition or a node outside of the range of the scaling rule."""
    if view.definition is not None:
        energy_per_inference(_NOTHING, view.definition)
    if view.node_nm is not None:
        check_node(view.node_nm)


_NOTHING = Accelerator(
    name="", point="", year=None, venue="", kind="", platform="", device="", compute="",
    precision="", task="", dataset="", network="", memory="", batch=None, quantities={},
    source="", evidence="", confidence="",
)  # fmt: skip


def _columns(query: Query, shown: Sequence[Accelerator]) -> tuple[Field, ...]:
    """The asked columns; by default those that fit the view. Empty default columns are left out."""
    view = query.view
    names = list(query.columns)
    if not names and view.definition is None:
        names = [*_PLAIN, *(f"energy_{key}" for key in DEFINITIONS)]
    elif not names:
        names = list(_DEFINED)
        names += ["scale_factor"] if view.node_nm is not None else []
    if not query.columns:
        names = [name for name in names if any(FIELDS[name].read(chip, view) for chip in shown)]
    # the chip's name and its evidence stand in every table
    names = names if {"label", "name"} & set(names) else ["label", *names]
    names = [name for name in dict.fromkeys(names) if name != "evidence"]
    return tuple(find(name, view, "--columns") for name in names)


def _on_front(
    shown: Sequence[Accelerator], front: Sequence[Field], view: View
) -> tuple[tuple[bool, ...] | None, int]:
    """Front of the published chips; an own entry is on it if no chip beats it."""
    if not front:
        return None, 0
    points = list(zip(*(numbers(shown, item, view) for item in front), strict=True))
    on_front = pareto_front(points, [item.better == "high" for item in front])
    return on_front, sum(any(value is None for value in point) for point in points)


def _nothing_left(query: Query, total: int, without_energy: int) -> OptionError:
    received = f"none of {total} entries meets the conditions"
    if without_energy:
        received = (
            f"{without_energy} entries meet the conditions, and none of them has an energy under "
            f"the definition {query.view.definition!r}"
            + (f" at {query.view.node_nm:g} nm" if query.view.node_nm is not None else "")
        )
    return OptionError(
        "show the survey",
        received=received,
        allowed="conditions that at least one entry meets",
        fix="drop a condition, or choose another definition",
    )
