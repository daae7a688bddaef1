"""The form of a technology file (``data/*.yaml``), checked by pydantic.

A file holds *groups*: prices that share one cause of error (the adder, the SRAM macro, the DRAM
channel). A group names its ``driver`` and gives the relative range ``low``..``high`` and, in
``spread``, where that range comes from. Quantities are text with units ("0.2 pJ").
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Text = Annotated[str, Field(min_length=1)]
RuleText = Literal["log_log", "linear", "linear_from_zero", "linear_from_zero_clamped"]
MethodText = Literal["printed", "digitised", "derived", "fitted", "recalled"]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class EntryModel(_Strict):
    """Price of one or more actions of one component at one width.

    ``energy`` is text with a unit, or in a relative file a plain multiple of one MAC.
    """

    component: Text
    actions: Annotated[list[Text], Field(min_length=1)]
    bits: Annotated[int, Field(ge=1, le=4096)]
    energy: Text
    locator: Text
    quoted: Text
    source: Text | None = None
    method: MethodText = "printed"


class PointModel(_Strict):
    """One point of the curve SRAM energy over capacity."""

    capacity: Text
    energy: Text
    locator: Text
    quoted: Text
    source: Text | None = None
    method: MethodText = "printed"


class _Range(_Strict):
    driver: Text
    low: Annotated[float, Field(gt=0, le=1)] = 1.0
    high: Annotated[float, Field(ge=1)] = 1.0
    spread: Text
    range_sources: list[Text] = []


class GroupModel(_Range):
    """Prices with one common driver."""

    entries: Annotated[list[EntryModel], Field(min_length=1)]


class SramModel(_Range):
    """Energy of one on-chip SRAM access of ``access_bits`` by capacity."""

    access_bits: Annotated[int, Field(ge=1)]
    reference_capacity: Text
    rule: RuleText = "log_log"
    points: Annotated[list[PointModel], Field(min_length=1)]


class ScalarModel(_Strict):
    """A single constant: the energy of one MAC, the gated fraction, the leakage power."""

    value: Text
    locator: Text
    quoted: Text
    low: Annotated[float, Field(gt=0, le=1)] = 1.0
    high: Annotated[float, Field(ge=1)] = 1.0
    spread: Text = "one source"
    source: Text | None = None
    method: MethodText = "printed"


class SourceModel(_Strict):
    """A reference that a file brings along, for sources outside of the package's bibliography."""

    authors: Text
    title: Text
    venue: Text
    year: Annotated[int, Field(ge=1900, le=2200)]
    link: str = ""
    verified: bool = True


class FileModel(_Strict):
    """A whole technology file."""

    title: Text
    source: Text
    node_nm: Annotated[float, Field(gt=0)] | None = None
    supply: Text | None = None
    relative: bool = False
    mac_energy: ScalarModel | None = None
    groups: Annotated[list[GroupModel], Field(min_length=1)]
    sram: SramModel | None = None
    gated_fraction: ScalarModel | None = None
    leakage: ScalarModel | None = None
    bibliography: dict[Text, SourceModel] = {}
    notes: list[Text] = []
