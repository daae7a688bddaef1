"""``dram_devices``: DRAM timings and energies, and what a random row costs against a burst.

The rates hold for one bank: changing the row of a bank takes tRC, and bank parallelism is not
counted. Sources: memory specifications of public DRAM models (``data/dram_timings.yaml``).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tospike.errors import DataError
from tospike.papers.inputs import DATA, Strict, parse, read_yaml

#: the specification rounds tCK to 0.1 ps and the other times to 10 ps
_ROUNDING_NS = 0.011


@dataclass(frozen=True, slots=True)
class DramDevice:
    """One device. Times in second, energies in joule per burst of one chip, power in watt.

    ``energy_*`` and ``standby_w`` are None where only the timings are known.
    """

    device: str
    specification: str
    tck: float
    trcd: float
    trp: float
    cl: float
    tras: float
    trc: float
    burst_length: int
    width_bits: int
    energy_activate: float | None
    energy_read: float | None
    energy_write: float | None
    standby_w: float | None

    @property
    def beat(self) -> float:
        """Time of one data beat in second: half a clock (double data rate)."""
        return self.tck / 2.0

    @property
    def burst(self) -> float:
        """Time of a whole burst in second."""
        return self.burst_length * self.beat

    @property
    def peak_bytes_per_s(self) -> float:
        """Data rate of the open row in byte per second."""
        return self.width_bits / 8.0 / self.beat

    @property
    def slowdown_per_beat(self) -> float:
        """tRC / beat: one useful word per row against a stream from the open row."""
        return self.trc / self.beat

    @property
    def slowdown_per_burst(self) -> float:
        """tRC / burst: every word of each burst useful."""
        return self.trc / self.burst

    def _per_bit(self, energy: float | None) -> float | None:
        return None if energy is None else energy / (self.burst_length * self.width_bits)

    @property
    def read_per_bit(self) -> float | None:
        """Joule per bit read from the open row."""
        return self._per_bit(self.energy_read)

    @property
    def write_per_bit(self) -> float | None:
        """Joule per bit written to the open row."""
        return self._per_bit(self.energy_write)

    @property
    def random_burst_per_bit(self) -> float | None:
        """Joule per bit with a new row for every burst."""
        if self.energy_activate is None or self.energy_read is None:
            return None
        return self._per_bit(self.energy_activate + self.energy_read)


class _Row(Strict):
    device: str
    specification: str
    tck_ns: float
    trcd_ns: float
    trp_ns: float
    cl_ns: float
    tras_ns: float
    trc_ns: float
    burst_length: int
    width_bits: int
    peak_gb_per_s: float
    activate_precharge_nj: float | None
    read_burst_nj: float | None
    write_burst_nj: float | None
    active_standby_mw: float | None


class _File(Strict):
    source: str
    devices: list[_Row]


def read_dram(path: Path) -> tuple[DramDevice, ...]:
    """Devices of one file; the file's redundant columns must agree with each other.

    Raises :class:`DataError` with every fault: tRC lies between tRAS and tRAS + tRP, the peak rate
    is two beats per clock.
    """
    file: _File = parse(_File, read_yaml(path), path.name)
    reasons = []
    devices = []
    for row in file.devices:
        found = _device(row)
        # tRP of LPDDR2 and LPDDR3 is that of all banks, longer than the one inside of tRC
        if not row.tras_ns < row.trc_ns <= row.tras_ns + row.trp_ns + 2 * _ROUNDING_NS:
            reasons.append(f"{row.device}: tRC {row.trc_ns} ns is not within tRAS and tRAS + tRP")
        if abs(found.peak_bytes_per_s / 1e9 / row.peak_gb_per_s - 1.0) > 1e-3:
            reasons.append(f"{row.device}: peak rate is not width / (tCK / 2)")
        devices.append(found)
    if reasons or not devices:
        raise DataError(f"read {path.name}", reasons=reasons or ["no device"])
    return tuple(devices)


def _device(row: _Row) -> DramDevice:
    def nano(value: float | None) -> float | None:
        return None if value is None else value * 1e-9

    return DramDevice(
        device=row.device,
        specification=row.specification,
        tck=row.tck_ns * 1e-9,
        trcd=row.trcd_ns * 1e-9,
        trp=row.trp_ns * 1e-9,
        cl=row.cl_ns * 1e-9,
        tras=row.tras_ns * 1e-9,
        trc=row.trc_ns * 1e-9,
        burst_length=row.burst_length,
        width_bits=row.width_bits,
        energy_activate=nano(row.activate_precharge_nj),
        energy_read=nano(row.read_burst_nj),
        energy_write=nano(row.write_burst_nj),
        standby_w=None if row.active_standby_mw is None else row.active_standby_mw * 1e-3,
    )


@cache
def dram_devices() -> tuple[DramDevice, ...]:
    """The devices that ship with the package."""
    return read_dram(DATA / "dram_timings.yaml")
