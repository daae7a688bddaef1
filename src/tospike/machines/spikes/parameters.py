"""``read_parameters``: the numbers that a simulator needs, or one error with all that lack."""

from __future__ import annotations

from collections.abc import Iterable

from tospike.architecture import Architecture
from tospike.errors import TechnologyError
from tospike.machines.dram import DramSystem
from tospike.technology.dram import load_device


def read_parameters(
    architecture: Architecture,
    positive: Iterable[str],
    others: Iterable[str] = (),
    levels: Iterable[str] = (),
) -> dict[str, float]:
    """Parameters by name: ``positive`` ones and ``others``, which may be 0.

    Raises :class:`TechnologyError` with all missing parameters and memory levels, and all numbers
    that are too small.
    """
    found, reasons = {}, []
    have = {level.name for level in architecture.levels}
    reasons += [f"levels: there is no level {name!r}" for name in levels if name not in have]
    least = dict.fromkeys(positive, "above 0") | dict.fromkeys(others, "0 or more")
    for name, needed in least.items():
        if name not in architecture.parameters:
            reasons.append(f"parameters: there is no {name!r}")
            continue
        value = found[name] = architecture.parameters[name].value
        if value < 0 or (value == 0 and needed == "above 0"):
            reasons.append(f"parameters.{name} is {value:g}; {needed} is needed")
    if reasons:
        raise TechnologyError(
            f"simulate the machine {architecture.machine!r}",
            where=f"architecture {architecture.name!r}",
            fix="complete the file; the packaged one of this machine shows the form",
            reasons=reasons,
        )
    return found


def capacity(architecture: Architecture, level: str) -> float:
    """Bytes of one instance of a memory level. :class:`TechnologyError` where the file lacks it."""
    size = architecture.level(level).capacity
    if size is None:
        raise TechnologyError(
            f"simulate the machine {architecture.machine!r}",
            received=f"the level {level!r} without a capacity",
            where=f"architecture {architecture.name!r}",
            fix="give its capacity",
        )
    return size.value


def dram_system(architecture: Architecture) -> DramSystem:
    """The DRAM on the level "dram". :class:`TechnologyError` where it names no device."""
    level = architecture.level("dram")
    if level.device is None:
        raise TechnologyError(
            f"simulate the machine {architecture.machine!r}",
            received="a level 'dram' without a device",
            where=f"architecture {architecture.name!r}",
            fix="name a DRAM device, such as ddr3_1066_1gb_x16",
        )
    return DramSystem(load_device(level.device), chips=level.chips)
