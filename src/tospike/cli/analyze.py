"""``tospike analyze``: the main job."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tospike.cli.common import (
    DataPath,
    Format,
    Json,
    Model,
    Weights,
    check_format,
    integers,
    load_model,
    print_as,
    print_json,
    progress_bars,
    quantity,
    read,
)
from tospike.cli.convert import thresholds
from tospike.errors import OptionError

if TYPE_CHECKING:
    from tospike.decision import Decision
    from tospike.decision.beside import Simulated
    from tospike.equations import EquationOptions


def analyze(
    model: Model,
    data: DataPath = None,
    labels: Annotated[
        Path | None, typer.Option(help="Labels, where --data holds none: .npy .npz .txt .csv.")
    ] = None,
    weights: Weights = None,
    calibration: Annotated[
        Path | None,
        typer.Option(help="Calibration samples; default: a part of --data is held out."),
    ] = None,
    technology: Annotated[
        str, typer.Option(help="Energy reference table: a name or a .yaml file.")
    ] = "horowitz_2014_45nm",
    timesteps: Annotated[str, typer.Option(help="T of the SNN, with commas.")] = "1,2,4,8,16,32,64",
    reference_model: Annotated[
        str, typer.Option(help="ANN equation that the verdict compares with.")
    ] = "ann_eyeriss_v1",
    accuracy_floor: Annotated[
        float | None, typer.Option(help="Least accuracy, 0 to 1; default: 0.01 below the network.")
    ] = None,
    hybrids: Annotated[int, typer.Option(help="How many hybrids to execute.")] = 3,
    max_samples: Annotated[
        int | None, typer.Option(min=1, help="Use only the first so many samples.")
    ] = None,
    sequence: Annotated[
        bool, typer.Option("--sequence", help="Samples are consecutive time steps of one stream.")
    ] = False,
    seed: Annotated[int, typer.Option(help="Seed of the sampled constants.")] = 0,
    on_chip_memory: Annotated[
        str | None, typer.Option(help='Weights beyond this go to DRAM, such as "512 KiB".')
    ] = None,
    idle_power: Annotated[
        str | None, typer.Option(help='Static power, such as "1 mW"; needs --inference-time.')
    ] = None,
    inference_time: Annotated[
        str | None, typer.Option(help='Time of one inference, such as "10 ms".')
    ] = None,
    duty_cycle: Annotated[float, typer.Option(help="Share of the time in use, 0 to 1.")] = 1.0,
    hops: Annotated[
        float | None, typer.Option(help="Hops per event: counts communication too.")
    ] = None,
    delta_thresholds: Annotated[
        str | None,
        typer.Option(help='Thresholds of delta networks, "1/64,1/16,1/8".', show_default=False),
    ] = None,
    snr_floor: Annotated[
        float, typer.Option(help="Least SNR in dB where the output is no class score.")
    ] = 20.0,
    models: Annotated[
        str | None,
        typer.Option(
            help='Print what published models say: "all", or keys with commas; "none" skips them.',
            show_default=False,
        ),
    ] = None,
    machine: Annotated[
        list[str] | None,
        typer.Option(
            help="Simulate this machine too (a name or .yaml; repeatable).", show_default=False
        ),
    ] = None,
    report: Annotated[Path | None, typer.Option(help="Write an HTML report here.")] = None,
    format: Format = None,
    as_json: Json = False,
) -> None:
    """To spike, or not to spike? Measure, count, price, decide."""
    check_format(format, as_json)
    from dataclasses import replace

    from tospike.architecture import load_architecture
    from tospike.decision import Options
    from tospike.decision import analyze as run
    from tospike.decision.beside import simulate_beside
    from tospike.reporting.write import check_path

    for name in machine or ():
        load_architecture(name)

    if report is not None:
        check_path(report)
    equations = _equation_options(on_chip_memory, inference_time, idle_power, duty_cycle, hops)
    options = Options(
        equations=equations,
        static_power_w=quantity(idle_power, "power"),
        snr_floor_db=snr_floor,
    )
    if delta_thresholds is not None:
        found = thresholds(delta_thresholds, "--delta-thresholds")
        options = replace(options, delta_thresholds=found)
    steps = integers(timesteps, "--timesteps")
    held = read(data, labels)
    if held is not None and max_samples is not None:
        kept = None if held.y is None else held.y[:max_samples]
        held = replace(held, x=held.x[:max_samples], y=kept)
    network, learnt = load_model(model, weights), read(calibration, None)
    with progress_bars(as_json or format is not None) as progress:
        decision = run(
            network,
            held,
            calibration=learnt,
            technology=technology,
            timesteps=steps,
            reference_model=reference_model,
            accuracy_floor=accuracy_floor,
            hybrids=hybrids,
            seed=seed,
            models="all" if models is None else models,
            sequence=sequence,
            options=options,
            progress=progress,
        )
        beside = simulate_beside(
            network, held, decision, machine or (), calibration=learnt, sequence=sequence,
            progress=progress,
        )  # fmt: skip
    _show(decision, beside, report, format=format, as_json=as_json, published=models is not None)


def _show(
    decision: Decision,
    beside: Sequence[Simulated],
    report: Path | None,
    *,
    format: str | None,
    as_json: bool,
    published: bool,
) -> None:
    """Write the report, then print the decision once: as JSON, as tables, or for people."""
    from tospike.reporting.beside import beside_dicts, beside_table

    if report is not None:
        from tospike.reporting import report as write

        write(decision, report)
    if as_json:
        body = decision.as_dict()
        print_json(body | ({"simulated": beside_dicts(beside)} if beside else {}))
        return
    more = [beside_table(beside, decision)] if beside else []
    if format is not None:
        from tospike.reporting.export import decision_tables

        print_as([*decision_tables(decision), *more], format)
        return
    from tospike.reporting import render
    from tospike.tables import print_tables

    render(decision, published=published)
    print_tables(more)
    if report is not None:
        typer.echo(f"report: {report}")


def _equation_options(
    on_chip_memory: str | None,
    inference_time: str | None,
    idle_power: str | None,
    duty_cycle: float,
    hops: float | None,
) -> EquationOptions:
    """The optional terms that were named: weights off chip, static power, communication."""
    from tospike.equations import EquationOptions

    if (idle_power is None) != (inference_time is None):
        raise OptionError(
            "count static power",
            received="only one of --idle-power and --inference-time",
            allowed="both, or neither",
        )
    terms = [
        name
        for name, wanted in (
            ("weights_off_chip", on_chip_memory),
            ("static", inference_time),
            ("communication", hops),
        )
        if wanted is not None
    ]
    return EquationOptions(
        terms=tuple(terms),
        on_chip_bytes=quantity(on_chip_memory, "capacity"),
        inference_seconds=quantity(inference_time, "time"),
        duty_cycle=duty_cycle,
        hops_per_event=hops,
    )
