"""``MACHINES``: the simulators by dataflow, and ``simulate``, which runs one."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Protocol, cast

import numpy as np

from tospike.architecture import Architecture, load_architecture
from tospike.errors import OptionError, unknown_name
from tospike.machines.record import MachineRun, Workload

Progress = Callable[[int, int], None]

#: dataflow (``machine:`` in an architecture file) -> module whose ``simulate`` runs it
MACHINES: dict[str, str] = {
    "row_stationary": "tospike.machines.eyeriss",
    "row_stationary_optimal": "tospike.machines.row_stationary",
    "row_stationary_sparse": "tospike.machines.eyeriss_v2",
    "nullhop": "tospike.machines.nullhop",
    "delta_rnn": "tospike.machines.delta_rnn",
    "event_core": "tospike.machines.event_core",
    "minitaur": "tospike.machines.minitaur",
    "spinalflow": "tospike.machines.spinalflow",
}


class _Simulator(Protocol):
    def simulate(
        self, workload: Workload, architecture: Architecture, *, progress: Progress | None
    ) -> MachineRun: ...


def simulate(
    workload: Workload,
    architecture: Architecture | str | Path,
    *,
    progress: Progress | None = None,
) -> MachineRun:
    """Run a workload on an architecture: a record, a packaged name, or a YAML file of one's own.

    ``progress`` is called with (layers done, layers in all). Raises :class:`UnknownNameError` for
    an unknown architecture or machine, :class:`OptionError` for a batch that is no whole number
    from 1 or traces that are no arrays, and what the simulator refuses: layers that it cannot map,
    and missing activity, with all reasons at once.
    """
    _check(workload)
    where = (
        architecture if isinstance(architecture, Architecture) else load_architecture(architecture)
    )
    if where.machine not in MACHINES:
        raise unknown_name(
            "machine", where.machine, tuple(MACHINES), where=f"architecture {where.name!r}"
        )
    simulator = cast("_Simulator", import_module(MACHINES[where.machine]))
    return simulator.simulate(workload, where, progress=progress)


def _check(workload: Workload) -> None:
    """Of what every simulator relies on."""
    reasons = []
    batch = workload.batch
    if isinstance(batch, bool) or not isinstance(batch, int) or batch < 1:
        reasons.append(f"batch is {batch!r}; a whole number from 1 is needed")
    for name, trace in workload.traces.items():
        if not isinstance(trace, np.ndarray):
            reasons.append(f"the trace of {name!r} is a {type(trace).__name__}, no NumPy array")
    if reasons:
        raise OptionError(
            "simulate a workload", fix="make it with tospike.workload", reasons=reasons
        )
