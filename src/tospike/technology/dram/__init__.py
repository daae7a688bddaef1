"""DRAM chips: timings and currents, one YAML file per device."""

from tospike.technology.dram.load import devices, load_device
from tospike.technology.dram.record import DramCommands, DramDevice, Rail, Timings

__all__ = ["DramCommands", "DramDevice", "Rail", "Timings", "devices", "load_device"]
