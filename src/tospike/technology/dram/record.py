"""``DramDevice``, ``Timings``: one DRAM chip; ``DramCommands``: what was asked of it. Records."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Timings:
    """Minimum distances between commands, in clock cycles (JEDEC names).

    CL, CWL : read and write latency, from the command to the first data. tRCD : ACT to RD/WR.
    tRP : PRE to ACT of one bank; tRPab : after a precharge of all banks. tRAS : ACT to PRE.
    tRC : ACT to ACT of one bank. tRRD_S/L : ACT to ACT of different banks, in another or the
    same bank group. tFAW : window for four ACT. tCCD_S/L : RD to RD and WR to WR. tWR : last
    write data to PRE. tRTP : RD to PRE. tWTR_S/L : last write data to RD. tRTRS : gap between
    the data of two ranks, and between read and write data. tREFI : mean distance of refreshes.
    tRFC : REF to the next command.
    """

    CL: int
    CWL: int
    tRCD: int
    tRP: int
    tRPab: int
    tRAS: int
    tRC: int
    tRRD_S: int
    tRRD_L: int
    tFAW: int
    tCCD_S: int
    tCCD_L: int
    tWR: int
    tRTP: int
    tWTR_S: int
    tWTR_L: int
    tRTRS: int
    tREFI: int
    tRFC: int


@dataclass(frozen=True, slots=True)
class Rail:
    """Currents of one supply rail of one chip, in ampere; ``supply`` in volt.

    idd0 : one ACT-PRE pair every tRC. idd2n, idd3n : standby, all banks precharged or some open.
    idd4r, idd4w : bursts without gaps. idd5 : refresh without gaps.
    """

    supply: float
    idd0: float
    idd2n: float
    idd3n: float
    idd4r: float
    idd4w: float
    idd5: float


@dataclass(frozen=True, slots=True)
class DramDevice:
    """One chip. ``clock`` in hertz; two data beats per clock; ``width_bits`` per beat.

    ``locator`` is the specification file that the numbers were copied from.
    """

    name: str
    family: str
    source: str
    locator: str
    clock: float
    width_bits: int
    burst_length: int
    bank_groups: int
    banks: int
    rows: int
    columns: int
    timings: Timings
    rails: tuple[Rail, ...]

    @property
    def burst_cycles(self) -> int:
        """Clock cycles that the data of one burst take."""
        return self.burst_length // 2

    @property
    def row_bytes(self) -> int:
        """Bytes of one row of one chip."""
        return self.columns * self.width_bits // 8

    @property
    def energy_activate(self) -> float:
        """Joule of one ACT-PRE pair of one chip, above standby.

        Sum over rails V (IDD0 tRC - IDD3N tRAS - IDD2N (tRC - tRAS)).
        """
        t = self.timings
        cycles = sum(
            rail.supply * (rail.idd0 * t.tRC - rail.idd3n * t.tRAS - rail.idd2n * (t.tRC - t.tRAS))
            for rail in self.rails
        )
        return cycles / self.clock

    @property
    def energy_read(self) -> float:
        """Joule of one read burst of one chip, above active standby: V (IDD4R - IDD3N) BL/2."""
        total = sum(rail.supply * (rail.idd4r - rail.idd3n) for rail in self._rw_rails)
        return total * self.burst_cycles / self.clock

    @property
    def energy_write(self) -> float:
        """Joule of one write burst of one chip, above active standby: V (IDD4W - IDD3N) BL/2."""
        total = sum(rail.supply * (rail.idd4w - rail.idd3n) for rail in self._rw_rails)
        return total * self.burst_cycles / self.clock

    @property
    def energy_refresh(self) -> float:
        """Joule of one refresh of one chip, above standby: V (IDD5 - IDD2N) tRFC, never < 0."""
        total = sum(rail.supply * max(0.0, rail.idd5 - rail.idd2n) for rail in self.rails)
        return total * self.timings.tRFC / self.clock

    @property
    def power_precharged(self) -> float:
        """Watt of one chip with all banks precharged."""
        return sum(rail.supply * rail.idd2n for rail in self.rails)

    @property
    def power_active(self) -> float:
        """Watt of one chip with an open row."""
        return sum(rail.supply * rail.idd3n for rail in self.rails)

    @property
    def _rw_rails(self) -> tuple[Rail, ...]:
        """Rails whose burst currents are given (DDR4 gives none for its pump supply)."""
        return tuple(rail for rail in self.rails if rail.idd4r > 0)


@dataclass(frozen=True, slots=True)
class DramCommands:
    """Counts of commands of a memory system, as its energy needs them.

    chips : of one rank; they share commands. ranks : of all channels together; every count but
    ``cycles`` is summed over them. cycles : clock cycles of the device, from first to last.
    active_cycles : cycles with an open row, summed over ranks.
    """

    device: DramDevice
    chips: int
    ranks: int
    activates: float
    reads: float
    writes: float
    refreshes: float
    cycles: float
    active_cycles: float

    @property
    def bytes_read(self) -> float:
        """Bytes of whole bursts read, useful or not."""
        return self.reads * self.chips * self.device.width_bits * self.device.burst_length / 8

    @property
    def bytes_written(self) -> float:
        """Bytes of whole bursts written, useful or not."""
        return self.writes * self.chips * self.device.width_bits * self.device.burst_length / 8
