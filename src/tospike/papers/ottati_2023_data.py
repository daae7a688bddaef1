"""Tables II and III of Ottati et al. 2023 as records, with what follows from a row."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import Field

from tospike.errors import DataError, unknown_name
from tospike.papers.inputs import DATA, Strict, parse, read_yaml, register_references
from tospike.sources import SOURCES


class StaticAccelerator(Strict):
    """One column of Table II as printed (``None``: not known).

    ``counted_as`` names the network that is counted; ``node_in_title_nm``, ``tops_per_watt`` and
    ``tops_per_watt_peak`` come from the accelerator's own paper (``tops_per_watt_from``).
    """

    work: str
    kind: str
    source: str
    process_nm: float
    area_mm2: float
    supply_v: float
    clock_mhz: float = Field(gt=0)
    data_format: str
    network: str
    counted_as: str
    parameters_m: float
    operations_gop: float = Field(gt=0)
    accuracy_pct: float = Field(ge=0, le=100)
    throughput_fps: float = Field(gt=0)
    power_mw: float = Field(gt=0)
    energy_mj: float = Field(gt=0)
    node_in_title_nm: float | None = None
    tops_per_watt: float | None = None
    tops_per_watt_peak: float | None = None
    tops_per_watt_from: str = ""

    @property
    def energy(self) -> float:
        """Power / throughput, in mJ per inference."""
        return self.power_mw / self.throughput_fps

    @property
    def interval(self) -> float:
        """Initiation interval of Fig. 1b: clock / throughput, in cycles per inference."""
        return self.clock_mhz * 1e6 / self.throughput_fps

    @property
    def error_pct(self) -> float:
        """Classification error."""
        return 100.0 - self.accuracy_pct


class TemporalAccelerator(Strict):
    """One column of Table III as printed; ``frame_period_ms`` and ``kind_in_source`` are not in it.

    ``frame_period_from`` says why that period is a plausible one.
    """

    work: str
    task: str
    kind: str
    source: str
    process_nm: float
    area_mm2: float | None
    supply_v: float
    clock_mhz: float
    data_format: str
    network: str
    accuracy_pct: float = Field(ge=0, le=100)
    parameters_k: float = Field(gt=0)
    power_uw: float = Field(gt=0)
    energy_nj: float = Field(gt=0)
    latency_ms: float | None
    kind_in_source: str = ""
    frame_period_ms: float | None = None
    frame_period_from: str = ""

    @property
    def energy_by_latency(self) -> float | None:
        """Power x latency, in nJ; None without a latency."""
        return None if self.latency_ms is None else self.power_uw * self.latency_ms

    @property
    def energy_by_frame(self) -> float | None:
        """Power x frame period, in nJ; None without one."""
        return None if self.frame_period_ms is None else self.power_uw * self.frame_period_ms

    @property
    def error_pct(self) -> float:
        """Classification error."""
        return 100.0 - self.accuracy_pct


def read_static(path: Path) -> tuple[StaticAccelerator, ...]:
    """Table II of a file. Raises :class:`DataError` with every fault."""
    rows: list[StaticAccelerator] = _rows(path, list[StaticAccelerator])
    _check(path, [(row.work, row.source) for row in rows])
    return tuple(rows)


def read_temporal(path: Path) -> tuple[TemporalAccelerator, ...]:
    """Table III of a file. Raises :class:`DataError` with every fault."""
    rows: list[TemporalAccelerator] = _rows(path, list[TemporalAccelerator])
    _check(path, [(row.work, row.source) for row in rows])
    return tuple(rows)


def _rows(path: Path, model: Any) -> Any:
    raw = read_yaml(path)
    register_references(raw, path.name)
    return parse(model, raw.get("accelerators"), path.name)


def _check(path: Path, rows: Sequence[tuple[str, str]]) -> None:
    works = [work for work, _ in rows]
    reasons = [f"{work}: unknown source {key!r}" for work, key in rows if key not in SOURCES]
    reasons += [f"{work}: twice" for work in dict.fromkeys(works) if works.count(work) > 1]
    if reasons or not rows:
        raise DataError(f"read {path.name}", reasons=reasons or ["no accelerator"])


@cache
def table_2() -> dict[str, StaticAccelerator]:
    """Table II by the name of the work ("Keller'23")."""
    return {row.work: row for row in read_static(DATA / "ottati_2023_table_2.yaml")}


@cache
def table_3() -> dict[str, TemporalAccelerator]:
    """Table III by the name of the work ("Yang'19")."""
    return {row.work: row for row in read_temporal(DATA / "ottati_2023_table_3.yaml")}


def static(work: str) -> StaticAccelerator:
    """One column of Table II. Raises :class:`UnknownNameError`."""
    if work not in table_2():
        raise unknown_name("accelerator", work, tuple(table_2()), where="Table II")
    return table_2()[work]


def temporal(work: str) -> TemporalAccelerator:
    """One column of Table III. Raises :class:`UnknownNameError`."""
    if work not in table_3():
        raise unknown_name("accelerator", work, tuple(table_3()), where="Table III")
    return table_3()[work]
