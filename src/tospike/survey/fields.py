"""What a chip can be asked for: one table of fields for conditions, sorting, columns and fronts."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tospike.errors import ConstantError, OptionError, unknown_name
from tospike.survey.energy import DEFINITIONS, InferenceEnergy, energy_per_inference
from tospike.survey.normalise import normalise_to
from tospike.survey.quantity import QUANTITIES, parse
from tospike.survey.record import Accelerator
from tospike.tables import Column


@dataclass(frozen=True, slots=True)
class View:
    """How chips are looked at: the definition of the energy, and the node it is moved to."""

    definition: str | None = None
    node_nm: float | None = None


@dataclass(frozen=True, slots=True)
class Field:
    """One field: its ``read`` gives a number in the inner unit, a text, or None.

    ``rests_on``: keys of the printed quantities it is made of (energies know theirs themselves).
    ``dimension`` is that of a number ("" for a text); ``scale`` multiplies the inner unit into the
    ``unit`` of the column. ``better``: "low", "high", or "" where neither is.
    """

    key: str
    title: str
    read: Callable[[Accelerator, View], float | str | None]
    rests_on: tuple[str, ...] = ()
    dimension: str = ""
    unit: str = ""
    scale: float = 1.0
    better: str = ""

    def column(self) -> Column:
        return Column(self.key, self.title, self.unit)

    def cell(self, chip: Accelerator, view: View) -> float | str | None:
        """The value as it stands in a table."""
        value = self.read(chip, view)
        if isinstance(value, float) and self.key != "year":
            return value * self.scale
        return int(value) if isinstance(value, float) else (value or None)


def energy_of(chip: Accelerator, view: View) -> tuple[float | None, str]:
    """Energy of one inference under the view, in joule, or None with the reason."""
    if view.definition is None:
        return None, "no definition of the energy was chosen"
    energy = energy_per_inference(chip, view.definition)
    if energy.value is None or view.node_nm is None:
        return energy.value, energy.reason
    scaling = normalise_to(chip, view.node_nm)
    if scaling.factor is None:
        return None, f"not normalised: {scaling.reason}"
    return energy.value * scaling.factor, ""


def _text(name: str) -> Callable[[Accelerator, View], str | None]:
    readers: dict[str, Callable[[Accelerator], str]] = {
        "name": lambda chip: chip.name,
        "label": lambda chip: chip.label,
        "venue": lambda chip: chip.venue,
        "kind": lambda chip: chip.kind,
        "platform": lambda chip: chip.platform,
        "compute": lambda chip: chip.compute,
        "task": lambda chip: chip.task,
        "dataset": lambda chip: chip.dataset,
        "network": lambda chip: chip.network,
        "precision": lambda chip: chip.precision,
        "memory": lambda chip: chip.memory,
        "confidence": lambda chip: chip.confidence,
        "source": lambda chip: chip.source,
    }
    reader = readers[name]
    return lambda chip, _: reader(chip)


def _evidence(chip: Accelerator, view: View) -> str:
    """ "unverified" too where only a number of the energy under the view is."""
    if view.definition is None or chip.evidence != "verified":
        return chip.evidence
    held = energy_per_inference(chip, view.definition)
    return "verified" if held.verified else "unverified"


def unverified_parts(chip: Accelerator, shown: Sequence[Field], view: View) -> tuple[str, ...]:
    """Titles of the shown fields of a verified entry that rest on an unverified number."""
    return tuple(
        item.title
        for item in shown
        if not chip.verified(*item.rests_on) or not _sure(chip, item, view)
    )


def _energy_shown(chip: Accelerator, item: Field, view: View) -> InferenceEnergy | None:
    """The energy that a field shows; None for a field of something else."""
    definition = view.definition if item.key == "energy" else item.key.removeprefix("energy_")
    return energy_per_inference(chip, definition) if definition in DEFINITIONS else None


def _sure(chip: Accelerator, item: Field, view: View) -> bool:
    energy = _energy_shown(chip, item, view)
    return energy is None or energy.verified


def qualifiers(chip: Accelerator, shown: Sequence[Field], view: View) -> str:
    """What qualifies the shown numbers: "power: upper bound; latency: 1 ms to 2 ms"."""
    found = []
    for item in shown:
        energy = _energy_shown(chip, item, view)
        marks = list(energy.qualifiers) if energy is not None and energy.value is not None else []
        for key in item.rests_on:
            quantity = chip.quantities.get(key)
            if quantity is not None:
                marks += [
                    *quantity.qualifiers,
                    *([quantity.text] if quantity.value is None else []),
                ]
        if marks:
            found.append(f"{item.title}: {', '.join(dict.fromkeys(marks))}")
    return "; ".join(found)


def _number(key: str) -> Callable[[Accelerator, View], float | None]:
    return lambda chip, _: chip.value(key)


def _printed_energy(definition: str) -> Callable[[Accelerator, View], float | None]:
    return lambda chip, view: energy_of(chip, View(definition, view.node_nm))[0]


def _year(chip: Accelerator, _: View) -> float | None:
    return None if chip.year is None else float(chip.year)


def _factor(chip: Accelerator, view: View) -> float | None:
    return None if view.node_nm is None else normalise_to(chip, view.node_nm).factor


_TEXTS = (
    ("name", "name"),
    ("label", "chip"),
    ("kind", "kind"),
    ("platform", "platform"),
    ("compute", "computing"),
    ("venue", "venue"),
    ("task", "task"),
    ("dataset", "data set"),
    ("network", "network"),
    ("precision", "precision"),
    ("memory", "memory"),
    ("confidence", "confidence"),
    ("source", "source"),
)
#: key -> (field name, title, unit of the column, factor, what is better)
_NUMBERS = (
    ("process", "process_nm", "process", "nm", 1.0, "low"),
    ("area", "area", "area", "mm2", 1e6, "low"),
    ("supply", "supply", "supply", "V", 1.0, ""),
    ("clock", "clock", "clock", "MHz", 1e-6, ""),
    ("parameters", "parameters", "parameters", "M", 1e-6, "low"),
    ("neurons", "neurons", "neurons", "", 1.0, ""),
    ("synapses", "synapses", "synapses", "", 1.0, ""),
    ("accuracy", "accuracy", "accuracy", "%", 100.0, "high"),
    ("throughput", "throughput", "throughput", "inf/s", 1.0, "high"),
    ("op_rate", "op_rate", "operations", "GOp/s", 1e-9, "high"),
    ("sop_rate", "sop_rate", "synaptic operations", "GSOP/s", 1e-9, "high"),
    ("power", "power", "power", "mW", 1e3, "low"),
    ("latency", "latency", "latency", "ms", 1e3, "low"),
    ("period", "period", "frame period", "ms", 1e3, ""),
    ("energy_per_sop", "energy_per_sop", "energy / synaptic operation", "pJ", 1e12, "low"),
    ("op_efficiency", "op_efficiency", "efficiency", "GOp/s/W", 1e-9, "high"),
    ("inference_efficiency", "inference_efficiency", "efficiency", "inf/J", 1.0, "high"),
    ("sop_efficiency", "sop_efficiency", "efficiency", "GSOP/s/W", 1e-9, "high"),
)


def _energy_field(key: str, title: str, read: Callable[[Accelerator, View], float | None]) -> Field:
    return Field(key, title, read, (), "energy", "µJ", 1e6, "low")


def _fields() -> tuple[Field, ...]:
    texts = [Field(key, title, _text(key)) for key, title in _TEXTS]
    numbers = [
        Field(name, title, _number(key), (key,), QUANTITIES[key].dimension, unit, scale, better)
        for key, name, title, unit, scale, better in _NUMBERS
        if key != "latency"
    ]
    latency = Field(
        "latency", "latency", lambda c, _: c.latency_s, ("latency",), "time", "ms", 1e3, "low"
    )
    energies = [
        _energy_field(f"energy_{key}", f"E {definition.short}", _printed_energy(key))
        for key, definition in DEFINITIONS.items()
    ]
    return (
        *texts,
        Field("evidence", "evidence", _evidence),
        Field("year", "year", _year, (), "count"),
        *numbers,
        latency,
        Field("error", "error", lambda c, _: c.error, ("accuracy",), "fraction", "%", 100.0, "low"),
        Field(
            "cycles",
            "initiation interval",
            lambda chip, _: chip.initiation_interval,
            ("clock", "throughput"),
            "count",
            "cycles",
            1.0,
            "low",
        ),
        _energy_field("energy", "energy", lambda chip, view: energy_of(chip, view)[0]),
        *energies,
        Field("scale_factor", "scale factor", _factor, ("process",), "count"),
    )


#: key -> field
FIELDS: dict[str, Field] = {item.key: item for item in _fields()}


def find(key: str, view: View, where: str = "") -> Field:
    """The field of a name.

    Raises :class:`UnknownNameError` for a name that is not in :data:`FIELDS`, and
    :class:`OptionError` for ``energy`` without a definition.
    """
    if key not in FIELDS:
        raise unknown_name("field of the survey", key, tuple(FIELDS), where=where)
    if key == "energy" and view.definition is None:
        raise OptionError(
            "use the field 'energy' without a definition of the energy per inference",
            where=where,
            allowed=", ".join(DEFINITIONS),
            fix="add --definition, or name the field energy_<definition>",
        )
    return FIELDS[key]


def number_of(text: str, item: Field, where: str) -> float:
    """A number for a numeric field, with its unit, or bare in the unit of the field's column.

    Raises :class:`OptionError` for anything else.
    """
    try:
        bare = float(text)
    except ValueError:
        bare = math.nan
    if math.isfinite(bare):
        return bare / item.scale
    try:
        return parse(text, item.dimension)
    except ConstantError as error:
        raise OptionError(
            f"read {text!r} as a value of {item.key}",
            received=error.received,
            where=where,
            allowed=f"{error.allowed}, or a bare number in {item.unit or 'no unit'}",
            fix="write number and unit, as in the example of --help",
        ) from error


def objectives(text: str, view: View) -> tuple[Field, ...]:
    """Fields of ``"energy,error"``: at least two numeric ones, each with a better direction."""
    keys = [part.strip() for part in text.split(",") if part.strip()]
    found = tuple(find(key, view, "--pareto") for key in keys)
    bad = [item.key for item in found if not item.better]
    if len(set(keys)) < 2 or bad:
        raise OptionError(
            f"make a Pareto front of {text!r}",
            received=f"{', '.join(bad)} has no better direction"
            if bad
            else "fewer than two fields",
            where="--pareto",
            allowed=", ".join(sorted(item.key for item in FIELDS.values() if item.better)),
            fix="name two or more fields with a comma, such as energy,error",
        )
    return found


def numbers(chips: Sequence[Accelerator], item: Field, view: View) -> list[float | None]:
    """The field of every chip, None where it has none."""
    values = (item.read(chip, view) for chip in chips)
    return [value if isinstance(value, float) else None for value in values]
