"""``tospike convert --to snn``: one run per calibration, a table over T."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from tospike.cli.common import print_as, print_json
from tospike.errors import OptionError

if TYPE_CHECKING:
    from tospike.activity.data import Data
    from tospike.conversion import RunResult
    from tospike.tables import Table

CODINGS = ("rate", "ttfs")
#: called with (stage, done, total)
Step = Callable[[str, int, int], None] | None


@dataclass(frozen=True)
class SnnOptions:
    """How the network is to spike. ``method`` and ``correction`` None: the best known for T."""

    timesteps: tuple[int, ...]
    method: str | None
    correction: str | None
    coding: str
    max_pool: str
    schedule: str
    calibration_size: int | None
    seed: int

    def wrong(self, to: str) -> list[str]:
        """Everything that is unknown or does not fit together."""
        if to != "snn":
            plain = (None, None, "rate", "exact", "together", None)
            given = (self.method, self.correction, self.coding, self.max_pool, self.schedule,
                     self.calibration_size)  # fmt: skip
            names = ("--method", "--correction", "--coding", "--max-pool", "--schedule",
                     "--calibration-size")  # fmt: skip
            return [
                f"{name} belongs to --to snn"
                for name, value, usual in zip(names, given, plain, strict=True)
                if value != usual
            ]
        from tospike.conversion.thresholds import CORRECTIONS, METHODS

        choices: tuple[tuple[str, str | None, tuple[str, ...]], ...] = (
            ("--method", self.method, METHODS),
            ("--correction", self.correction, CORRECTIONS),
            ("--coding", self.coding, CODINGS),
            ("--max-pool", self.max_pool, ("exact", "or")),
            ("--schedule", self.schedule, ("together", "layers")),
        )
        found = [
            f"{name} is {value!r}; there are {', '.join(known)}"
            for name, value, known in choices
            if value is not None and value not in known
        ]
        if self.coding == "ttfs" and (self.max_pool, self.schedule) != ("exact", "together"):
            found.append("--max-pool and --schedule belong to --coding rate")
        if self.calibration_size is not None and self.calibration_size < 1:
            found.append(f"--calibration-size is {self.calibration_size}; it must be at least 1")
        return found


@dataclass(frozen=True)
class SnnRun:
    """One T: how it was calibrated and what was measured."""

    method: str
    correction: str
    result: RunResult


def parsed_timesteps(text: str) -> tuple[int, ...]:
    """ "1,2,4": distinct values of T from 1 to 4096."""
    from tospike.cli.common import integers

    values = integers(text, "--timesteps")
    if max(values) > 4096:
        raise OptionError(f"read --timesteps {text!r}", allowed="integers from 1 to 4096")
    return values


def run_sweep(
    network: Any,
    held: Data,
    calibration: Any,
    options: SnnOptions,
    step: Step,
) -> dict[int, SnnRun]:
    """Every T with its own calibration, unless one serves all."""
    from tospike.conversion import calibrate, executable, run_ann
    from tospike.conversion.calibration import with_method
    from tospike.conversion.converted import best_method, usual_correction

    samples = drawn(calibration, options)
    graph = executable(network, samples)
    best = [options.method or best_method(graph, t) for t in options.timesteps]
    base = calibrate(
        graph,
        samples,
        method=best[0],  # type: ignore[arg-type]  # checked by SnnOptions.wrong
        progress=staged(step, "calibrating"),
    )
    known = run_ann(graph, held.x, progress=staged(step, "running the network")).classes
    found: dict[int, SnnRun] = {}
    for t, method in zip(options.timesteps, best, strict=True):
        suited = with_method(
            graph,
            base,
            method,  # type: ignore[arg-type]
            timesteps=t,
            correction=usual_correction(
                graph,
                options.correction,  # type: ignore[arg-type]
                options.coding,
                options.schedule,
            ),
        )
        result = executed(graph, suited, held, t, options, staged(step, f"T = {t}"), known)
        found[t] = SnnRun(suited.method, suited.correction, result)
    return found


def executed(
    graph: Any, calibration: Any, held: Data, t: int, options: SnnOptions, progress: Any, known: Any
) -> RunResult:
    """One run at one T."""
    from tospike.conversion import run_snn
    from tospike.conversion.ttfs import run_ttfs

    if options.coding == "ttfs":
        return run_ttfs(
            graph,
            calibration,
            held.x,
            held.y,
            timesteps=(t,),
            progress=progress,
            float_classes=known,
        )[t]
    return run_snn(
        graph,
        calibration,
        held.x,
        held.y,
        timesteps=(t,),
        max_pool=options.max_pool,
        schedule=options.schedule,
        progress=progress,
        float_classes=known,
    )[t]


def staged(step: Step, stage: str) -> Any:
    """A progress callback of one stage, or None."""
    return None if step is None else lambda done, total: step(stage, done, total)


def drawn(x: Any, options: SnnOptions) -> Any:
    """The calibration samples, or so many of them drawn with the seed."""
    import numpy as np

    size = options.calibration_size
    if size is None or size >= len(x):
        return x
    rows = np.random.default_rng(options.seed).choice(len(x), size, replace=False)
    return x[np.sort(rows)]


def total_operations(result: RunResult) -> tuple[float, float]:
    """(operations on spikes, multiplications on analog values) per inference."""
    layers = result.activity.layers.values()
    return (
        sum(one.synaptic_operations for one in layers if one.signal == "spike"),
        sum(one.synaptic_operations for one in layers if one.signal != "spike"),
    )


def mean_spikes_per_synapse(result: RunResult) -> float | None:
    """Over all synapses that receive spikes, weighted by their number; None if there are none."""
    spiking = [one for one in result.activity.layers.values() if one.spikes_per_synapse]
    synapses = sum(one.synaptic_operations / (one.spikes_per_synapse or 1) for one in spiking)
    return sum(one.synaptic_operations for one in spiking) / synapses if synapses else None


def sweep_rows(runs: Mapping[int, SnnRun]) -> list[dict[str, str | int | float | None]]:
    """One row per T."""
    rows: list[dict[str, str | int | float | None]] = []
    for t, run in runs.items():
        spiking, analog = total_operations(run.result)
        rows.append(
            {
                "timesteps": t,
                "method": run.method,
                "correction": run.correction,
                "accuracy": run.result.accuracy,
                "agreement": run.result.agreement,
                "spikes": sum(run.result.neuron_spikes.values()),
                "spikes_per_synapse": mean_spikes_per_synapse(run.result),
                "spike_operations": spiking,
                "analog_operations": analog,
            }
        )
    return rows


def sweep_table(runs: Mapping[int, SnnRun], coding: str) -> Table:
    """Accuracy, agreement, spikes and operations at every T."""
    from tospike.tables import Column, Table

    return Table(
        key="convert_sweep",
        title=f"Spiking network over T ({coding} code)",
        columns=(
            Column("timesteps", "T"),
            Column("method", "thresholds"),
            Column("correction", "corrected"),
            Column("accuracy", "accuracy", digits=4),
            Column("agreement", "agreement", digits=4),
            Column("spikes", "spikes per inference", digits=4),
            Column("spikes_per_synapse", "spikes per synapse", digits=3),
            Column("spike_operations", "additions on spikes", digits=4),
            Column("analog_operations", "operations on analog values", digits=4),
        ),
        rows=tuple(sweep_rows(runs)),
        notes=runs[max(runs)].result.notes,
    )


def show_sweep(runs: Mapping[int, SnnRun]) -> None:
    """The table over T on a terminal."""
    from rich.console import Console
    from rich.table import Table as RichTable

    table = RichTable(box=None, pad_edge=False, padding=(0, 1), header_style="dim")
    names = ("T", "thresholds", "corrected", "accuracy", "agreement", "spikes/syn", "additions")
    for number, name in enumerate(names):
        table.add_column(name, justify="left" if number in (1, 2) else "right")
    for row in sweep_rows(runs):
        table.add_row(
            str(row["timesteps"]),
            str(row["method"]),
            str(row["correction"]),
            *(shown(row[key], 100, " %", ".2f") for key in ("accuracy", "agreement")),
            shown(row["spikes_per_synapse"], 1, "", ".3g"),
            shown(row["spike_operations"], 1, "", ".4g"),
        )
    Console().print(table)
    typer.echo()


def shown(value: Any, factor: float, unit: str, form: str) -> str:
    """A number for the terminal, or a dash."""
    return "–" if value is None else f"{factor * float(value):{form}}{unit}"


def quantised(network: Any, held: Data, fitting: Data, bits: int) -> RunResult:
    from tospike.conversion import convert as run

    made = run(network, "qnn", calibration_data=fitting.x, activation_bits=bits)
    result: RunResult = made.run(held.x, held.y)
    return result


def show_snn(
    runs: dict[int, SnnRun],
    coding: str,
    as_json: bool,
    format: str | None,
    files: tuple[Path, ...] = (),
) -> None:
    """The table over T, the layers at the largest T, and the files that were written."""
    last = runs[max(runs)].result
    if format is not None:
        from tospike.cli.convert_tables import run_tables

        print_as([sweep_table(runs, coding), *run_tables("snn", last)], format)
        return
    more = {"coding": coding, "sweep": sweep_rows(runs), "files": [str(path) for path in files]}
    if len(runs) > 1 and not as_json:
        show_sweep(runs)
        typer.echo(f"T = {max(runs)}:")
    show_run("snn", last, as_json, None, more)
    if files and not as_json:
        typer.echo(f"written: {', '.join(map(str, files))}")


def show_run(
    to: str,
    result: RunResult,
    as_json: bool,
    format: str | None,
    more: dict[str, Any] | None = None,
) -> None:
    """Accuracy, agreement and the activity of every layer."""
    if format is not None:
        from tospike.cli.convert_tables import run_tables

        print_as(run_tables(to, result), format)
        return
    rows = [
        {
            "layer": name,
            "signal": one.signal,
            "zero_fraction": one.zero_fraction,
            "synaptic_operations": one.synaptic_operations,
            "spikes_per_synapse": one.spikes_per_synapse,
        }
        for name, one in result.activity.layers.items()
    ]
    head = {"to": to, "accuracy": result.accuracy, "agreement": result.agreement}
    if as_json:
        whole = {**head, **(more or {}), "layers": rows, "notes": list(result.notes)}
        print_json(json.loads(json.dumps(whole)))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 1), header_style="dim")
    for number, name in enumerate(("layer", "signal", "zeros", "operations", "spikes/syn")):
        table.add_column(name, justify="right" if number > 1 else "left")
    for row in rows:
        rate = row["spikes_per_synapse"]
        table.add_row(
            str(row["layer"]),
            str(row["signal"]),
            f"{100 * float(str(row['zero_fraction'])):.1f} %",
            f"{float(str(row['synaptic_operations'])):.4g}",
            "–" if rate is None else f"{float(str(rate)):.3g}",
        )
    Console().print(table)
    for name in ("accuracy", "agreement"):
        value = head[name]
        if isinstance(value, float):
            typer.echo(f"{name} {100 * value:.2f} %")
    for note in result.notes:
        typer.echo(f"note: {note}")


def write_nir(network: Any, calibration: Data, options: SnnOptions, out: Path) -> tuple[Path, ...]:
    """The network at the largest T as a NIR file; returns what was written.

    Analog layers that NIR has no node for go to ONNX files beside it: ``net.before.onnx`` makes
    the currents that enter the graph, ``net.behind.onnx`` reads what leaves it.
    """
    from tospike.conversion.converted import convert
    from tospike.conversion.nir import export_nir, export_onnx
    from tospike.errors import ConversionError

    converted = convert(
        network,
        "snn",
        calibration_data=drawn(calibration.x, options),
        timesteps=max(options.timesteps),
        method=options.method,  # type: ignore[arg-type]  # checked by SnnOptions.wrong
        correction=options.correction,  # type: ignore[arg-type]
        coding=options.coding,  # type: ignore[arg-type]
        max_pool=options.max_pool,
        schedule=options.schedule,
    )
    try:
        export_nir(converted, out)
    except ConversionError:
        export_nir(converted, out, analog="outside")
        parts = export_onnx(
            converted, out.with_suffix(".before.onnx"), out.with_suffix(".behind.onnx")
        )
        return (out, *(path for path in (parts.before, parts.behind) if path is not None))
    return (out,)
