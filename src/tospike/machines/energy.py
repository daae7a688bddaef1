"""``price_run``: joule of a simulated run, layer by layer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tospike.machines.record import MachineRun
from tospike.pricing import dram_energy, price
from tospike.technology import Technology


@dataclass(frozen=True, slots=True)
class RunEnergy:
    """Joule of the whole batch.

    layers : layer -> component ("alu", "register", "sram", "dram", ...) -> joule.
    low, high : the total with every constant of the technology at that end of its range; DRAM
    by command has no range.
    """

    layers: Mapping[str, Mapping[str, float]]
    low: float
    high: float
    technology: str
    assumptions: tuple[str, ...]
    sources: tuple[str, ...]

    @property
    def total(self) -> float:
        """Joule of all layers."""
        return sum(sum(parts.values()) for parts in self.layers.values())

    @property
    def components(self) -> dict[str, float]:
        """Joule by component, of all layers."""
        found: dict[str, float] = {}
        for parts in self.layers.values():
            for name, value in parts.items():
                found[name] = found.get(name, 0.0) + value
        return found


def price_run(run: MachineRun, technology: str | Technology | None = None) -> RunEnergy:
    """Price the counts of a run with a technology, and its DRAM commands with their currents.

    ``technology`` None takes the architecture's own. Raises what :func:`tospike.pricing.price`
    raises.
    """
    cost = price(run.counts, technology or run.architecture.technology)
    layers: dict[str, dict[str, float]] = {layer.name: {} for layer in run.layers}
    for part in cost.parts:
        where = layers.setdefault(part.layer, {})
        where[part.component] = where.get(part.component, 0.0) + float(part.energy)
    extra = 0.0
    for layer in run.layers:
        if layer.dram is not None:
            joule = dram_energy(layer.dram).total
            layers[layer.name]["dram"] = layers[layer.name].get("dram", 0.0) + joule
            extra += joule
    return RunEnergy(
        layers=layers,
        low=float(cost.low) + extra,
        high=float(cost.high) + extra,
        technology=cost.technology,
        assumptions=(*run.assumptions, *cost.assumptions),
        sources=cost.sources,
    )
