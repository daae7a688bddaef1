"""The form of an accelerator file, checked by pydantic; the laws are in ``laws.py``."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Text = Annotated[str, Field(min_length=1)]
EvidenceText = Literal["verified", "unverified"]
KindText = Literal["ann", "snn", "rnn", "delta", "mixed"]
PlatformText = Literal["asic", "fpga", "gpu", "cpu"]
ComputeText = Literal["digital", "mixed_signal", "in_memory", "analog"]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class QuantityModel(_Strict):
    """A number with what is known about it; ``value``, or ``low`` and ``high``."""

    value: Text | None = None
    low: Text | None = None
    high: Text | None = None
    qualifiers: list[Text] = []
    per: Literal["inference", "batch", "timestep", "event"] = "inference"
    derived_by: Text | None = None
    evidence: EvidenceText | None = None
    note: Text | None = None


class AlsoModel(_Strict):
    """A further printed number of the chip."""

    quantity: Text
    value: Text
    what: Text
    evidence: EvidenceText | None = None


Number = Text | QuantityModel


class EntryModel(_Strict):
    """One chip at one operating point."""

    name: Text
    point: Text | None = None
    year: Annotated[int, Field(ge=1980, le=2100)]
    venue: Text | None = None
    kind: KindText
    platform: PlatformText
    device: Text | None = None
    compute: ComputeText = "digital"
    process: Number | None = None
    area: Number | None = None
    supply: Number | None = None
    clock: Number | None = None
    precision: Text | None = None
    task: Text | None = None
    dataset: Text | None = None
    network: Text | None = None
    parameters: Number | None = None
    neurons: Number | None = None
    synapses: Number | None = None
    batch: Annotated[int, Field(ge=1)] | None = None
    accuracy: Number | None = None
    throughput: Number | None = None
    op_rate: Number | None = None
    sop_rate: Number | None = None
    power: Number | None = None
    energy: Number | None = None
    latency: Number | None = None
    period: Number | None = None
    energy_per_sop: Number | None = None
    op_efficiency: Number | None = None
    inference_efficiency: Number | None = None
    sop_efficiency: Number | None = None
    memory: Text | None = None
    also: list[AlsoModel] = []
    printed: dict[Text, Text] = {}
    conflict: dict[Text, Text] = {}
    source: Text
    cites: list[Text] = []
    evidence: EvidenceText
    confidence: Literal["high", "medium", "low"]
    notes: Text | None = None


class FileModel(_Strict):
    """A whole accelerator file."""

    entries: Annotated[list[EntryModel], Field(min_length=1)]
