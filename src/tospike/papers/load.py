"""Reads ``data/claims.yaml`` and checks it while it does."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError
from ruamel.yaml import YAML

from tospike.errors import DataError
from tospike.papers.claim import Claim
from tospike.sources import SOURCES

PATH = Path(__file__).parent / "data" / "claims.yaml"


class _Row(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=False)

    id: str
    paper: str
    where: str
    statement: str
    value: float | None
    unit: str
    tolerance: float | None
    inputs: str


def read_claims(path: Path) -> tuple[Claim, ...]:
    """Claims of one YAML file. Raises :class:`DataError` with every fault found."""
    try:
        rows = TypeAdapter(list[_Row]).validate_python(YAML(typ="safe").load(path.read_text()))
    except ValidationError as error:
        raise DataError(
            f"read the claims {path.name}",
            reasons=[f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()],
        ) from error
    reasons = []
    seen: set[str] = set()
    for row in rows:
        if row.id in seen:
            reasons.append(f"{row.id}: twice")
        seen.add(row.id)
        if row.paper not in SOURCES:
            reasons.append(f"{row.id}: unknown paper {row.paper!r}")
        if (row.value is None) != (row.tolerance is None) and row.value is None:
            reasons.append(f"{row.id}: a tolerance without a value")
        if row.tolerance is not None and row.tolerance < 0:
            reasons.append(f"{row.id}: tolerance {row.tolerance} is negative")
        if not (row.where and row.statement and row.inputs):
            reasons.append(f"{row.id}: without place, statement or inputs")
    if reasons:
        raise DataError(f"read the claims {path.name}", reasons=reasons)
    return tuple(Claim(**row.model_dump()) for row in rows)


@cache
def claims() -> tuple[Claim, ...]:
    """All claims that ship with the package, in order of paper and place."""
    return read_claims(PATH)
