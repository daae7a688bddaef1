"""The form of an architecture file (``data/*.yaml``), checked by pydantic.

Every number has a source and a locator. ``source`` and ``method`` at the top hold for all entries
that give none. Quantities are text with units ("200 MHz", "100 KiB"); plain counts are text too
("12"), with ``dimension: dimensionless``.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Text = Annotated[str, Field(min_length=1)]
Zero = Literal["none", "gate", "skip"]
MethodText = Literal["printed", "digitised", "derived", "fitted", "recalled"]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class QuantityModel(_Strict):
    """One number of the architecture."""

    value: Text
    locator: Text
    quoted: Text
    dimension: Text = "dimensionless"
    source: Text | None = None
    method: MethodText | None = None
    low: Annotated[float, Field(gt=0, le=1)] = 1.0
    high: Annotated[float, Field(ge=1)] = 1.0


class LevelModel(_Strict):
    """One memory level."""

    name: Text
    component: Literal["register", "pe_sram", "sram", "dram"]
    bits: Annotated[int, Field(ge=1, le=4096)]
    capacity: QuantityModel | None = None
    instances: Annotated[int, Field(ge=1)] = 1
    device: Text | None = None
    chips: Annotated[int, Field(ge=1, le=64)] = 1


class ArchitectureModel(_Strict):
    """One accelerator."""

    title: Text
    machine: Text
    source: Text
    method: MethodText = "printed"
    execution: Literal["folded", "expanded"]
    dataflow: Text
    n_pe: Annotated[int, Field(ge=1, le=1_000_000)]
    clock: QuantityModel
    zero_handling: dict[Literal["activation", "weight"], Zero] = {}
    technology: Text
    levels: list[LevelModel] = []
    parameters: dict[Text, QuantityModel] = {}
    notes: list[Text] = []
