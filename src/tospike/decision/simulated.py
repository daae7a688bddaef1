"""Simulated machines beside the equations: workloads of converted networks, counts of a machine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from tospike.actions import ActionCounts
from tospike.actions import count as action_count
from tospike.activity import ActivityProfile
from tospike.architecture import Architecture
from tospike.decision.samples import as_data
from tospike.equations import EquationOptions
from tospike.equations import count as count_by_equation
from tospike.errors import DataError, OptionError
from tospike.implementation import Implementation, Mode, Partition
from tospike.machines import LayerRun, Workload, simulate
from tospike.network import Network

#: samples with which a network is converted, and at most so many that are run for statistics
CALIBRATION = STATISTICS = 256
_WORD = 64


def spiking_workload(
    model: Any,
    data: Any,
    *,
    timesteps: int,
    batch: int = 1,
    calibration: Any = None,
    max_samples: int | None = None,
) -> Workload:
    """The spikes of a network that is converted for T time steps, for an event-driven machine.

    Parameters
    ----------
    model : a trained ``torch.nn.Module`` or .onnx file that can be converted.
    data : samples; the first ``batch`` give the traces, the first ``max_samples`` (256) the
        statistics. calibration : samples for the conversion; None: the last quarter of the data,
        at most 256, which is then not run.

    Raises :class:`DataError` for too few samples and what ``ts.convert`` raises.
    """
    import torch

    from tospike.conversion import convert
    from tospike.conversion.traces import spike_traces
    from tospike.network.importers import load

    held = as_data(data)
    x = held.x
    if calibration is None:
        kept = min(CALIBRATION, len(x) // 4)
        learnt, x = (x[len(x) - kept :], x[: len(x) - kept]) if kept else (x, x)
        note = (
            f"converted with the last {kept} samples, which were not run"
            if kept
            else "converted with the samples that were run"
        )
    else:
        learnt = as_data(calibration, what="calibration data").x
        note = f"converted with {len(learnt)} samples of calibration data"
    x = x[: max(batch, STATISTICS) if max_samples is None else max_samples]
    if len(x) < batch:
        raise DataError(
            f"run a batch of {batch}",
            received=f"{len(x)} sample(s) besides those for the conversion",
            fix="give more data, a smaller batch, or calibration data of their own",
        )
    example = x[:1] if isinstance(model, str | Path) else torch.from_numpy(x[:1].copy())
    network = load(model, example)
    converted = convert(model, "snn", calibration_data=learnt, timesteps=timesteps)
    activity = converted.run(x).activity
    activity = replace(
        activity,
        origin=f"{held.origin}, as SNN of T = {timesteps}",
        notes=(*activity.notes, note),
    )
    return Workload(network, activity, spike_traces(converted, x[:batch]), batch)


def count(
    network: Network,
    activity: ActivityProfile,
    implementation: Implementation | None = None,
    *,
    machine: str | Path | Architecture | None = None,
    traces: Mapping[str, Any] | None = None,
    batch: int = 1,
    equation: str | Mapping[str, str] | None = None,
    modes: Mapping[str, Mode] | Partition | None = None,
    options: EquationOptions | None = None,
) -> ActionCounts:
    """Actions of one inference: by equation, or by simulating a machine.

    Parameters
    ----------
    implementation, equation, modes, options : of the equations, see
        :func:`tospike.equations.count`.
    machine : an architecture: its name, a .yaml file or a record. The mean over the ``batch`` is
        returned; mode and widths are the machine's own. DRAM that is simulated by command appears
        as words of 64 bit here, to be priced by the word; ``price_run`` of the simulation prices
        the commands.
    traces, batch : of the machine, see :class:`tospike.machines.Workload`.

    Raises :class:`OptionError` for arguments of both routes at once, and what the route raises.
    """
    by_equation = {
        "implementation": implementation,
        "equation": equation,
        "modes": modes,
        "options": options,
    }
    if machine is None:
        reasons = ["no implementation"] if implementation is None else []
        reasons += ["traces belong to a machine"] if traces is not None else []
        reasons += ["a batch belongs to a machine"] if batch != 1 else []
        if implementation is None or reasons:
            raise OptionError(
                "count by equation", fix="give an Implementation, or a machine", reasons=reasons
            )
        return count_by_equation(
            network,
            activity,
            implementation,
            equation=equation,
            modes=modes,
            options=EquationOptions() if options is None else options,
        )
    given = [name for name, value in by_equation.items() if value is not None]
    if given:
        raise OptionError(
            "count by machine",
            received=", ".join(given),
            allowed="machine, traces and batch",
            fix="leave the machine out to count by equation",
        )
    run = simulate(Workload(network, activity, traces or {}, batch), machine)
    dram = [entry for layer in run.layers for entry in _dram_words(layer)]
    counts = replace(run.counts, entries=(*run.counts.entries, *dram))
    if dram:
        note = "DRAM bursts are counted as 64-bit words, without activates, refresh and standby"
        counts = replace(counts, assumptions=(*counts.assumptions, note))
    counts = replace(counts, assumptions=(*counts.assumptions, *run.assumptions))
    return counts.scaled(np.float64(1 / batch))


def _dram_words(layer: LayerRun) -> list[Any]:
    if layer.dram is None:
        return []
    moved = {"read": layer.dram.bytes_read, "write": layer.dram.bytes_written}
    return [
        action_count(layer.name, "dram", action, "none", 8 * size / _WORD, bits=_WORD)
        for action, size in moved.items()
        if size
    ]
