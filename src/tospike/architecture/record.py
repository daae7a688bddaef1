"""``Architecture`` and ``MemoryLevel``: WHERE a network runs. Frozen records; they do nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from tospike.constant import Constant
from tospike.errors import unknown_name

Execution = Literal["folded", "expanded"]
ZeroHandling = Literal["none", "gate", "skip"]


@dataclass(frozen=True, slots=True)
class MemoryLevel:
    """One memory. Levels stand from the nearest to the PEs to the farthest.

    component : of the fixed list of actions: "register", "pe_sram", "sram" or "dram".
    capacity : Constant in byte (of one instance), or None where it does not bound anything.
    bits : width of one access as counted. instances : how many there are (one per PE).
    device : name of a DRAM device (:func:`tospike.technology.dram.devices`), for "dram"; chips :
        of one rank.
    """

    name: str
    component: str
    bits: int
    capacity: Constant | None = None
    instances: int = 1
    device: str | None = None
    chips: int = 1


@dataclass(frozen=True, slots=True)
class Architecture:
    """One accelerator.

    machine : key in ``tospike.machines.MACHINES``: the simulator of its dataflow.
    execution : "folded" (PEs are shared by many neurons in turn) or "expanded".
    zero_handling : per operand ("activation", "weight"): "none", "gate" (the cycle is spent, the
        energy saved), "skip" (both saved).
    parameters : everything else that the simulator reads, by name, each with its source.
    technology : name of the energy reference table that prices its actions.
    """

    name: str
    title: str
    machine: str
    execution: Execution
    dataflow: str
    n_pe: int
    clock: Constant
    zero_handling: Mapping[str, ZeroHandling]
    levels: tuple[MemoryLevel, ...]
    technology: str
    parameters: Mapping[str, Constant] = field(default_factory=dict)
    sources: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def parameter(self, name: str) -> float:
        """Value of a parameter in SI. Raises :class:`UnknownNameError` if the file lacks it."""
        if name not in self.parameters:
            raise unknown_name(
                "parameter", name, tuple(self.parameters), where=f"architecture {self.name!r}"
            )
        return self.parameters[name].value

    def level(self, name: str) -> MemoryLevel:
        """The memory of that name. Raises :class:`UnknownNameError`."""
        for level in self.levels:
            if level.name == name:
                return level
        raise unknown_name(
            "memory level",
            name,
            tuple(level.name for level in self.levels),
            where=f"architecture {self.name!r}",
        )
