"""Read accelerator files: ``accelerators``, ``entries``, ``read_accelerators``."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tospike.errors import ConstantError, DataError, unknown_name
from tospike.sources import SOURCES
from tospike.survey.laws import faults
from tospike.survey.quantity import ALSO_DIMENSIONS, QUALIFIERS, QUANTITIES, Quantity, parse
from tospike.survey.record import Accelerator, Also
from tospike.yaml_files import Form, read_mapping

if TYPE_CHECKING:
    from tospike.survey.schema import AlsoModel, EntryModel, QuantityModel

_FILE = Path(__file__).parent / "data" / "accelerators.yaml"
_FORM = Form(
    DataError,
    existing="an existing YAML file",
    allowed="a YAML mapping with the key entries",
    start="start from the form in docs/survey.md",
)


@cache
def accelerators() -> tuple[Accelerator, ...]:
    """The published accelerators of the package, read and checked once."""
    return read_accelerators(_FILE)


def entries(*labels: str) -> tuple[Accelerator, ...]:
    """The packaged entries with these labels ("SNPU23", "Minitaur (MNIST)"), in this order.

    Raises :class:`UnknownNameError` for a label that no entry has.
    """
    by_label = {chip.label: chip for chip in accelerators()}
    for label in labels:
        if label not in by_label:
            raise unknown_name("entry of the survey", label, tuple(by_label))
    return tuple(by_label[label] for label in labels)


def read_accelerators(path: Path) -> tuple[Accelerator, ...]:
    """The entries of a YAML file of the form in docs/survey.md.

    Raises :class:`DataError` with every fault: form, units, qualifiers, sources, and the laws of
    :mod:`tospike.survey.laws`.
    """
    from pydantic import ValidationError

    from tospike.survey.schema import FileModel

    asked = f"read the accelerators in {path.name!r}"
    raw = read_mapping(path, asked, _FORM)
    try:
        model = FileModel.model_validate(raw)
    except ValidationError as error:
        raise DataError(
            asked,
            received=f"{error.error_count()} fault(s) in its form",
            where=str(path),
            allowed="the form described in docs/survey.md",
            fix="mend the listed keys",
            reasons=[_form_fault(raw, fault["loc"], fault["msg"]) for fault in error.errors()],
        ) from None
    wrong: list[str] = []
    found = tuple(_accelerator(entry, wrong) for entry in model.entries)
    wrong += faults(found)
    if wrong:
        raise DataError(
            asked,
            received=f"{len(wrong)} fault(s) in its values",
            where=str(path),
            allowed="quantities with units, known qualifiers and sources, numbers that agree",
            fix="mend the listed entries from the source they were taken from",
            reasons=wrong,
        )
    return found


def _form_fault(raw: Mapping[str, Any], loc: tuple[int | str, ...], message: str) -> str:
    """The fault with the name of its entry in place of a bare index."""
    parts = [str(part) for part in loc]
    held = raw.get("entries")
    if len(loc) > 1 and loc[0] == "entries" and isinstance(held, list):
        index = loc[1]
        entry = held[index] if isinstance(index, int) and index < len(held) else None
        if isinstance(entry, dict) and isinstance(entry.get("name"), str):
            parts = [entry["name"], *parts[2:]]
    return f"{'.'.join(parts) or 'file'}: {message}"


def _accelerator(model: EntryModel, wrong: list[str]) -> Accelerator:
    label = f"{model.name} ({model.point})" if model.point else model.name
    entry_verified = model.evidence == "verified"
    quantities = {}
    for key, kind in QUANTITIES.items():
        number = getattr(model, key)
        if number is not None:
            quantities[key] = _quantity(
                number, kind.dimension, entry_verified, f"{label}: {key}", wrong
            )
    wrong += [
        f"{label}: unknown source {key!r} under cites" for key in model.cites if key not in SOURCES
    ]
    return Accelerator(
        name=model.name,
        point=model.point or "",
        year=model.year,
        venue=model.venue or "",
        kind=model.kind,
        platform=model.platform,
        device=model.device or "",
        compute=model.compute,
        precision=model.precision or "",
        task=model.task or "",
        dataset=model.dataset or "",
        network=model.network or "",
        memory=model.memory or "",
        batch=model.batch,
        quantities=quantities,
        source=model.source,
        evidence=model.evidence,
        confidence=model.confidence,
        also=tuple(_also(item, entry_verified, label, wrong) for item in model.also),
        printed=dict(model.printed),
        conflict=dict(model.conflict),
        cites=tuple(model.cites),
        notes=model.notes or "",
    )


def _parse(text: str, dimension: str, where: str, wrong: list[str]) -> float | None:
    try:
        return parse(text, dimension)
    except ConstantError as error:
        wrong.append(f"{where}: {text!r} has {error.received}; allowed is {error.allowed}")
        return None


def _quantity(
    number: str | QuantityModel, dimension: str, verified: bool, where: str, wrong: list[str]
) -> Quantity:
    if isinstance(number, str):
        return Quantity(
            number, _parse(number, dimension, where, wrong), verified=verified
        )  # fmt: skip
    both = number.low is not None and number.high is not None
    some = number.low is not None or number.high is not None
    if (number.value is None) != both or (number.value is not None and some):
        wrong.append(f"{where}: give either value, or low and high")
    wrong += [
        f"{where}: unknown qualifier {mark!r}, allowed are {', '.join(sorted(QUALIFIERS))}"
        for mark in number.qualifiers
        if mark not in QUALIFIERS
    ]
    value, low, high = (
        None if text is None else _parse(text, dimension, where, wrong)
        for text in (number.value, number.low, number.high)
    )
    return Quantity(
        text=number.value if number.value is not None else f"{number.low} to {number.high}",
        value=value,
        low=low,
        high=high,
        qualifiers=tuple(number.qualifiers),
        per=number.per,
        derived_by=number.derived_by or "",
        verified=verified if number.evidence is None else number.evidence == "verified",
        note=number.note or "",
    )


def _also(model: AlsoModel, verified: bool, label: str, wrong: list[str]) -> Also:
    where = f"{label}: also {model.quantity}"
    value = None
    if model.quantity in ALSO_DIMENSIONS:
        value = _parse(model.value, ALSO_DIMENSIONS[model.quantity], where, wrong)
    else:
        wrong.append(f"{where}: unknown quantity, allowed are {', '.join(sorted(ALSO_DIMENSIONS))}")
    return Also(
        quantity=model.quantity,
        text=model.value,
        value=float("nan") if value is None else value,
        what=model.what,
        verified=verified if model.evidence is None else model.evidence == "verified",
    )
