"""``simulate_beside``: machines beside a verdict. They inform; they do not change it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tospike.architecture import Architecture, load_architecture
from tospike.decision.options import ASSUMED_ZERO_FRACTION
from tospike.decision.record import Decision, ImplementationResult
from tospike.decision.simulated import spiking_workload
from tospike.errors import TospikeError
from tospike.machines import MachineRun, RunEnergy, Workload, price_run, simulate
from tospike.machines.workload import workload

#: simulators that take spikes
EVENT_DRIVEN = ("event_core", "minitaur", "spinalflow")


@dataclass(frozen=True)
class Simulated:
    """One machine: its run, or why there is none.

    what : "ANN", "SNN, T = 8" or "delta network".
    """

    architecture: Architecture
    what: str
    workload: Workload | None = None
    run: MachineRun | None = None
    energy: RunEnergy | None = None
    why_not: str = ""


def simulate_beside(
    model: Any,
    data: Any,
    decision: Decision,
    machines: Sequence[str | Path],
    *,
    calibration: Any = None,
    sequence: bool = False,
    progress: Callable[[str, int, int], None] | None = None,
) -> tuple[Simulated, ...]:
    """Run the network of a decision on machines, batch 1, each with its own technology.

    Event-driven machines get the spikes of the converted network at the T of the decision's
    SNN; all others the measured activity (zero fraction 0.58 for a topology without data). A
    machine that cannot run the network says why; the others run all the same. Raises
    :class:`UnknownNameError` and :class:`TechnologyError` for architectures that cannot be read.
    """
    chips = [load_architecture(name) for name in machines]
    known: dict[str, Workload] = {}
    found = []
    for number, chip in enumerate(chips):
        if progress is not None:
            progress(f"simulating {chip.name}", number, len(chips))
        timesteps = _timesteps(decision) if chip.machine in EVENT_DRIVEN else None
        what = f"SNN, T = {timesteps}" if timesteps else _ANALOG.get(chip.machine, "ANN")
        try:
            if what not in known:
                known[what] = _workload(model, data, timesteps, calibration, sequence)
            run = simulate(known[what], chip)
            found.append(Simulated(chip, what, known[what], run, price_run(run)))
        except TospikeError as error:
            found.append(Simulated(chip, what, why_not=" ".join(str(error).split())))
    return tuple(found)


_ANALOG = {"delta_rnn": "delta network"}


def _timesteps(decision: Decision) -> int:
    """T of the SNN in the verdict; of the longest one, or 8, where none was run."""
    spiking = [item for item in decision.implementations if item.mode == "snn" and item.timesteps]
    named = [item for item in spiking if item.name in (decision.winner, decision.challenger)]

    def steps(item: ImplementationResult) -> int:
        return int(item.timesteps or 0)

    return max(map(steps, named or spiking), default=8)


def _workload(
    model: Any, data: Any, timesteps: int | None, calibration: Any, sequence: bool
) -> Workload:
    if data is None:
        return workload(model, zeros=ASSUMED_ZERO_FRACTION)
    if timesteps is not None:
        return spiking_workload(model, data, timesteps=timesteps, calibration=calibration)
    return workload(model, data, sequence=sequence)
