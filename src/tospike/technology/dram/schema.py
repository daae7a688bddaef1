"""The form of a DRAM device file (``data/*.yaml``), checked by pydantic.

Timings are whole clock cycles; currents are milliampere per chip, as data sheets print them.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Text = Annotated[str, Field(min_length=1)]
Cycles = Annotated[int, Field(ge=1, le=1_000_000)]
Milliampere = Annotated[float, Field(ge=0, le=10_000, allow_inf_nan=False)]
Size = Annotated[int, Field(ge=1, le=1 << 24)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class TimingsModel(_Strict):
    """JEDEC names; see :class:`tospike.technology.dram.record.Timings`."""

    CL: Cycles
    CWL: Cycles
    tRCD: Cycles
    tRP: Cycles
    tRPab: Cycles
    tRAS: Cycles
    tRC: Cycles
    tRRD_S: Cycles
    tRRD_L: Cycles
    tFAW: Cycles
    tCCD_S: Cycles
    tCCD_L: Cycles
    tWR: Cycles
    tRTP: Cycles
    tWTR_S: Cycles
    tWTR_L: Cycles
    tRTRS: Annotated[int, Field(ge=0, le=1000)]
    tREFI: Cycles
    tRFC: Cycles


class RailModel(_Strict):
    """One supply rail: currents in mA."""

    supply: Text
    IDD0: Milliampere
    IDD2N: Milliampere
    IDD3N: Milliampere
    IDD4R: Milliampere
    IDD4W: Milliampere
    IDD5: Milliampere


class DeviceModel(_Strict):
    """One chip."""

    name: Text
    family: Text
    source: Text
    locator: Text
    clock: Text
    width_bits: Annotated[int, Field(ge=1, le=1024)]
    burst_length: Annotated[int, Field(ge=2, le=64, multiple_of=2)]
    bank_groups: Annotated[int, Field(ge=1, le=16)]
    banks: Annotated[int, Field(ge=1, le=64)]
    rows: Size
    columns: Size
    timings: TimingsModel
    rails: Annotated[list[RailModel], Field(min_length=1)]
