"""``tospike simulate``: a network on a machine, cycle by cycle."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from shutil import get_terminal_size
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tospike.cli.common import (
    DataPath,
    Format,
    Json,
    Model,
    Weights,
    check_format,
    load_model,
    print_as,
    print_json,
    progress_bars,
    read,
)
from tospike.errors import OptionError

if TYPE_CHECKING:
    from tospike.architecture import Architecture
    from tospike.machines import Workload

Machine = Annotated[
    str,
    typer.Option("--machine", help="An architecture by name, or my_chip.yaml.", show_default=False),
]


@dataclass(frozen=True)
class _Given:
    """The options that make the workload."""

    data: Path | None
    zeros: float | str | None
    weight_zeros: float | str | None
    traces: Path | None
    batch: int
    timesteps: int | None
    calibration: Path | None
    sequence: bool
    max_samples: int | None
    layers: tuple[str, ...] | None


def simulate(
    model: Model,
    machine: Machine,
    batch: Annotated[int, typer.Option(help="Inferences that run together.")] = 1,
    data: DataPath = None,
    weights: Weights = None,
    zeros: Annotated[
        str | None,
        typer.Option(
            help="Zeros at the input of each layer: .csv, .yaml or .json of layer and zeros_pct, "
            "or one number of percent.",
            show_default=False,
        ),
    ] = None,
    weight_zeros: Annotated[
        str | None,
        typer.Option(help="Zero weights of each layer, in the same forms.", show_default=False),
    ] = None,
    traces: Annotated[
        Path | None, typer.Option(help="Inputs of the layers: .npz, one array per layer.")
    ] = None,
    timesteps: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="T: the network is converted to a spiking one, or called T times if it is one.",
            show_default=False,
        ),
    ] = None,
    calibration: Annotated[
        Path | None, typer.Option(help="Samples for the conversion; default: a part of --data.")
    ] = None,
    sequence: Annotated[
        bool, typer.Option("--sequence", help="Samples are consecutive frames of one recording.")
    ] = False,
    layers: Annotated[
        str | None,
        typer.Option(
            help="Only these layers: names with commas, or conv, linear, rnn.", show_default=False
        ),
    ] = None,
    theta: Annotated[
        str | None,
        typer.Option(
            help='Threshold of a delta network, "1/16", or of its inputs and states, "1/32,1/16".',
            show_default=False,
        ),
    ] = None,
    max_samples: Annotated[
        int | None, typer.Option(min=1, help="Use only the first so many samples.")
    ] = None,
    technology: Annotated[
        str | None,
        typer.Option(
            help="Energy reference table; default: the architecture's.", show_default=False
        ),
    ] = None,
    figure: Annotated[
        Path | None, typer.Option(help="Write the timeline here: .svg or .html.")
    ] = None,
    format: Format = None,
    as_json: Json = False,
) -> None:
    """Simulate a machine cycle by cycle: time, traffic and energy of every layer."""
    check_format(format, as_json)
    from tospike.architecture import load_architecture
    from tospike.machines import price_run
    from tospike.machines import simulate as run_machine
    from tospike.reporting.simulation import simulation_dict, simulation_tables
    from tospike.reporting.timeline import check_timeline_path, write_timeline

    chip = with_theta(load_architecture(machine), theta)
    _check(chip, technology, timesteps, calibration, data)
    if figure is not None:
        check_timeline_path(figure)
    given = _Given(
        data, percent_or_path(zeros), percent_or_path(weight_zeros), traces, batch, timesteps,
        calibration, sequence, max_samples, names(layers),
    )  # fmt: skip
    with progress_bars(as_json or format is not None) as progress:
        if progress is not None:
            progress("reading the network", 0, 1)
        workload = _workload(load_model(model, weights), given, chip)
        if progress is not None:
            progress("reading the network", 1, 1)

        def step(done: int, layers: int) -> None:
            if progress is not None:
                progress(f"simulating {chip.name}", done, layers)

        run = run_machine(workload, chip, progress=step)
    energy = price_run(run, technology)
    if figure is not None:
        write_timeline(run, energy, workload, figure)
    if as_json:
        print_json(simulation_dict(run, energy, workload))
        return
    tables = simulation_tables(run, energy, workload)
    if format is not None:
        print_as(tables, format)
        return
    from tospike.reporting.narrow import narrowed
    from tospike.tables import print_tables

    print_tables(narrowed(tables, get_terminal_size((140, 24)).columns))
    if figure is not None:
        typer.echo(f"timeline: {figure}")


def _check(
    chip: Architecture,
    technology: str | None,
    timesteps: int | None,
    calibration: Path | None,
    data: Path | None,
) -> None:
    """What can be known before the long work."""
    from tospike.errors import unknown_name
    from tospike.machines import MACHINES
    from tospike.technology import load

    if chip.machine not in MACHINES:
        raise unknown_name(
            "machine", chip.machine, tuple(MACHINES), where=f"architecture {chip.name!r}"
        )
    load(technology or chip.technology)
    reasons = []
    if data is None and timesteps is not None:
        reasons.append("--timesteps without --data: there is nothing to convert the network with")
    if timesteps is None and calibration is not None:
        reasons.append("--calibration without --timesteps: nothing is converted")
    if reasons:
        raise OptionError("simulate a machine", fix="mend what is listed", reasons=reasons)


def _workload(model: Any, given: _Given, chip: Architecture) -> Workload:
    """The workload of the options; an ANN with --timesteps is converted first."""
    from tospike.decision.beside import EVENT_DRIVEN
    from tospike.machines.workload import is_spiking, only, workload

    held = read(given.data, None)
    steps = given.timesteps
    spiking = held is not None and is_spiking(model, held)
    if chip.machine in EVENT_DRIVEN and held is not None and steps is None and not spiking:
        raise OptionError(
            f"simulate {chip.name!r}",
            received="a network without spiking neurons",
            allowed="spikes",
            fix="give --timesteps T to convert it, or spikes of your own as --traces",
        )
    if steps is not None and held is not None and not spiking:
        from tospike.decision.simulated import spiking_workload

        others = {
            "--zeros": given.zeros,
            "--weight-zeros": given.weight_zeros,
            "--traces": given.traces,
            "--sequence": given.sequence or None,
        }
        reasons = [
            f"{name} with a network that is converted to a spiking one (--timesteps)"
            for name, value in others.items()
            if value is not None
        ]
        if reasons:
            raise OptionError("simulate a machine", fix="leave it out", reasons=reasons)
        spikes = spiking_workload(
            model,
            held,
            timesteps=steps,
            batch=given.batch,
            calibration=read(given.calibration, None),
            max_samples=given.max_samples,
        )
        return only(spikes, given.layers)
    return workload(
        model,
        held,
        zeros=given.zeros,
        weight_zeros=given.weight_zeros,
        traces=given.traces,
        batch=given.batch,
        layers=given.layers,
        timesteps=steps,
        sequence=given.sequence,
        max_samples=given.max_samples,
    )


def names(text: str | None) -> tuple[str, ...] | None:
    """ "a,b" is (a, b)."""
    return None if text is None else tuple(part.strip() for part in text.split(",") if part.strip())


def with_theta(chip: Architecture, text: str | None) -> Architecture:
    """The architecture with other delta thresholds; itself for None."""
    if text is None:
        return chip
    from tospike.cli.convert import fraction

    values = [fraction(part, "--theta") for part in text.split(",")]
    if chip.machine != "delta_rnn" or len(values) > 2:
        raise OptionError(
            f"simulate {chip.name!r} with --theta {text}",
            allowed="one threshold, or one for inputs and one for states, of a machine for delta "
            "networks",
            fix="leave it out" if len(values) < 3 else "give one or two thresholds",
        )
    from tospike.machines.delta_rnn import with_thresholds

    return with_thresholds(chip, theta_x=values[0], theta_h=values[-1])


def percent_or_path(text: str | None) -> float | str | None:
    """ "40" is 0.4; anything that is no number is a path."""
    if text is None:
        return None
    try:
        return float(text) / 100
    except ValueError:
        return text
