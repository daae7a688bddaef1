"""DRAM chips: timings and currents, one YAML file per device."""

from tospike.technology.dram.load import devices, load_device
from tospike.technology.dram.record import DramDevice, Rail, Timings

__all__ = ["DramDevice", "Rail", "Timings", "devices", "load_device"]
