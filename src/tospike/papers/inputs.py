"""``read_inputs``: the printed numbers that claims rest on, as constants with source and place."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from tospike.constant import Constant, Method
from tospike.errors import ConstantError, DataError
from tospike.sources import SOURCES, Source, register

DATA = Path(__file__).parent / "data"


class Strict(BaseModel):
    """A row of a data file: unknown keys are faults."""

    model_config = ConfigDict(extra="forbid")


class _Reference(Strict):
    authors: str
    title: str
    venue: str
    year: int
    link: str = ""
    verified: bool = True


class _Input(Strict):
    key: str
    value: float
    unit: str
    source: str
    locator: str
    quoted: str
    method: Method = "printed"


class _InputFile(Strict):
    bibliography: dict[str, _Reference] = {}
    inputs: list[_Input]


def read_yaml(path: Path) -> Any:
    """The content of a YAML file. Raises :class:`DataError` if it cannot be read."""
    try:
        return YAML(typ="safe").load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, YAMLError) as error:
        raise DataError(f"read {path.name}", received=str(error), fix="mend the file") from error


def parse(model: Any, raw: Any, name: str) -> Any:
    """``raw`` as ``model``. Raises :class:`DataError` with every fault."""
    try:
        return TypeAdapter(model).validate_python(raw)
    except ValidationError as error:
        raise DataError(
            f"read {name}",
            received=f"{error.error_count()} fault(s)",
            fix="mend the listed keys",
            reasons=[f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()],
        ) from error


def register_references(raw: Any, name: str) -> None:
    """Add the references that a data file brings along; a known key keeps its first reference."""
    content = parse(dict[str, Any], raw, name)
    table = parse(dict[str, _Reference], content.get("bibliography") or {}, name)
    for key, entry in table.items():
        if key not in SOURCES:
            register(Source(key, **entry.model_dump()))


def read_inputs(path: Path) -> dict[str, Constant]:
    """key -> constant of one file. Raises :class:`DataError` with every fault found."""
    raw = read_yaml(path)
    register_references(raw, path.name)
    file: _InputFile = parse(_InputFile, raw, path.name)
    found: dict[str, Constant] = {}
    reasons = []
    for row in file.inputs:
        if row.key in found:
            reasons.append(f"{row.key}: twice")
        try:
            found[row.key] = Constant(
                value=row.value,
                unit=row.unit,
                low=row.value,
                high=row.value,
                source=row.source,
                locator=row.locator,
                quoted=row.quoted,
                method=row.method,
            )
        except ConstantError as error:
            reasons.append(f"{row.key}: {'; '.join(error.reasons)}")
    if reasons:
        raise DataError(f"read {path.name}", fix="mend the listed entries", reasons=reasons)
    return found


@cache
def inputs_of(paper: str) -> Mapping[str, Constant]:
    """The inputs that ship with the package for one paper ("ottati_2023")."""
    return read_inputs(DATA / f"{paper}_inputs.yaml")
