"""``dram_energy``: joule of DRAM commands, from the currents of the chips."""

from __future__ import annotations

from dataclasses import dataclass

from tospike.technology.dram import DramCommands


@dataclass(frozen=True, slots=True)
class DramEnergy:
    """Joule. ``standby`` is what the chips take while they keep their data; no I/O, no ODT."""

    activate: float
    read: float
    write: float
    refresh: float
    standby: float

    @property
    def total(self) -> float:
        """The sum of all parts."""
        return self.activate + self.read + self.write + self.refresh + self.standby


def dram_energy(commands: DramCommands) -> DramEnergy:
    """Energy of all chips in joule; standby over the whole time."""
    device, chips = commands.device, commands.chips
    idle = commands.cycles * commands.ranks - commands.active_cycles
    standby = commands.active_cycles * device.power_active + idle * device.power_precharged
    return DramEnergy(
        activate=chips * commands.activates * device.energy_activate,
        read=chips * commands.reads * device.energy_read,
        write=chips * commands.writes * device.energy_write,
        refresh=chips * commands.refreshes * device.energy_refresh,
        standby=chips * standby / device.clock,
    )
