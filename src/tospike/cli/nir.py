"""``tospike nir check`` and ``tospike nir show``: what a NIR file holds, and if it is right."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tospike.cli.common import Format, Json, Weights, check_format, print_as, print_json
from tospike.errors import OptionError

if TYPE_CHECKING:
    from tospike.conversion.nir import NirCheck
    from tospike.network.importers.nir_record import NirGraph
    from tospike.tables import Table

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    help="NIR files: show them, check them, replay them against the framework that wrote them.",
)

File = Annotated[Path, typer.Argument(help="A .nir file.", show_default=False)]


@app.command()
def show(file: File, format: Format = None, as_json: Json = False) -> None:
    """The nodes of a NIR file in order of execution."""
    check_format(format, as_json)
    from tospike.network.importers.nir_file import read_nir
    from tospike.tables import print_tables

    graph = read_nir(file)
    if as_json:
        print_json(_as_json(graph))
    elif format is not None:
        print_as([_table(graph)], format)
    else:
        print_tables([_table(graph)])


@app.command()
def check(
    file: File,
    against: Annotated[
        str | None,
        typer.Option(help="The model that wrote it: module.py:factory.", show_default=False),
    ] = None,
    weights: Weights = None,
    dt: Annotated[
        float | None,
        typer.Option(help="Time step, in the unit of the time constants.", show_default=False),
    ] = None,
    reset: Annotated[
        str | None, typer.Option(help="hard, soft or none.", show_default=False)
    ] = None,
    reset_delay: Annotated[
        int | None, typer.Option(help="0 or 1 steps.", show_default=False)
    ] = None,
    tie_fires: Annotated[
        bool | None,
        typer.Option(
            "--tie-fires/--tie-waits", help="v equal to the threshold.", show_default=False
        ),
    ] = None,
    discretisation: Annotated[
        str | None,
        typer.Option(help="forward_euler or exponential_euler.", show_default=False),
    ] = None,
    timesteps: Annotated[int, typer.Option(help="Steps of the replay.")] = 32,
    samples: Annotated[int, typer.Option(help="Samples of the replay.")] = 4,
    spikes: Annotated[bool, typer.Option("--spikes", help="Random spikes as input.")] = False,
    scale: Annotated[
        float, typer.Option(help="Input uniform in [0, scale), or spikes with this probability.")
    ] = 0.5,
    data: Annotated[
        Path | None,
        typer.Option(help="Input instead of random values: .npy or .npz, (samples, T, ...)."),
    ] = None,
    calling: Annotated[
        str, typer.Option(help="auto, step, sequence, rows, batch or state.")
    ] = "auto",
    seed: Annotated[int, typer.Option(help="Of the random input.")] = 0,
    as_json: Json = False,
) -> None:
    """Check a NIR file; replay it, alone or against the model that wrote it.

    Exit status: 0 sound and equal, 1 the replay diverges, 2 the file or an option is wrong.
    """
    from tospike.conversion.nir.check import check_nir
    from tospike.network.importers.nir_file import read_nir
    from tospike.network.importers.nir_neurons import options_from

    graph = read_nir(file)
    if against is None and weights is not None:
        raise OptionError("use --weights without --against", fix="give --against as well")
    if against is None and dt is None and reset is None and "tospike" not in graph.metadata:
        _print_sound(graph, as_json)
        return
    options = options_from(
        graph,
        dt=dt,
        reset=reset,
        reset_delay=reset_delay,
        discretisation=discretisation,
        tie_fires=tie_fires,
    )
    x = _input(graph, data, timesteps, samples, spikes, scale, seed)
    result = check_nir(graph, _module(against, weights), x, options, calling=calling)
    (_print_json if as_json else _print_result)(result)
    if not result.agrees:
        raise typer.Exit(1)


def _input(
    graph: NirGraph,
    data: Path | None,
    timesteps: int,
    samples: int,
    spikes: bool,
    scale: float,
    seed: int,
) -> Any:
    """The data, or random input."""
    if data is None:
        from tospike.conversion.nir.check import random_input

        return random_input(graph, timesteps, samples, spikes=spikes, scale=scale, seed=seed)
    from tospike.activity.data import read_data
    from tospike.activity.measure_nir import time_first

    return next(iter(time_first(graph, [read_data(data, None).x], timesteps=timesteps)))


def _module(against: str | None, weights: Path | None) -> Any:
    if against is None:
        return None
    from tospike.network.importers.factory import is_factory, module_from_factory

    if not is_factory(against):
        raise OptionError(
            f"use --against {against!r}", allowed="file.py:factory or package.module:factory"
        )
    return module_from_factory(against, weights)


def _as_json(graph: NirGraph) -> dict[str, Any]:
    return {
        "name": graph.name,
        "version": graph.version,
        "sha256": graph.sha256,
        "nodes": [
            {
                "name": node.name,
                "type": node.type,
                "inputs": list(node.inputs),
                "delayed_inputs": list(node.delayed),
                "input_shape": list(node.in_shape),
                "output_shape": list(node.out_shape),
            }
            for node in graph.nodes
        ],
        "notes": list(graph.notes),
    }


def _table(graph: NirGraph) -> Table:
    from tospike.network.importers.nir_graph import open_nir
    from tospike.tables import Column, Table

    network = open_nir(graph).network
    rows: list[dict[str, str | int | float | None]] = []
    for node in graph.nodes:
        layer = network.by_name.get(node.name)
        late = [f"{name} (one step late)" for name in node.delayed]
        rows.append(
            {
                "node": node.name,
                "type": node.type,
                "inputs": ", ".join([*node.inputs, *late]),
                "shape": "x".join(map(str, node.out_shape)),
                "synapses": layer.n_synapses if layer is not None and layer.synaptic else None,
            }
        )
    return Table(
        key="nodes",
        title=f"{graph.name}: {len(graph.nodes)} nodes, {network.n_synapses:,} synapses per step",
        columns=(
            Column("node", "node"),
            Column("type", "type"),
            Column("inputs", "inputs"),
            Column("shape", "output"),
            Column("synapses", "synapses"),
        ),
        rows=tuple(rows),
        assumptions=graph.notes,
    )


def _print_sound(graph: NirGraph, as_json: bool) -> None:
    if as_json:
        print_json({**_as_json(graph), "sound": True, "replayed": False})
        return
    typer.echo(f"{graph.name}: sound, {len(graph.nodes)} nodes")
    for note in graph.notes:
        typer.echo(f"  {note}")
    typer.echo("  not run: NIR states no time step and no reset; give --dt and --reset")


def _result(result: NirCheck) -> dict[str, Any]:
    from tospike.activity.measure_nir import described

    found = result.divergence
    return {
        **_as_json(result.graph),
        "sound": True,
        "replayed": True,
        "options": described(result.options),
        "steps": result.steps,
        "samples": result.samples,
        "spikes": dict(result.spikes),
        "compared": [{"node": node, "module": module} for node, module in result.compared],
        "agrees": result.agrees if result.compared else None,
        "divergence": None
        if found is None
        else {
            "node": found.node,
            "module": found.module,
            "step": found.step,
            "sample": found.sample,
            "neuron": list(found.neuron),
            "expected": found.expected,
            "received": found.received,
        },
        "agrees_with": list(result.agrees_with),
        "notes": list(result.notes),
    }


def _print_json(result: NirCheck) -> None:
    print_json(_result(result))


def _print_result(result: NirCheck) -> None:
    from tospike.activity.measure_nir import described

    typer.echo(f"{result.graph.name}: sound, {len(result.graph.nodes)} nodes")
    typer.echo(f"  {described(result.options)}; {result.steps} steps, {result.samples} samples")
    for name, count in result.spikes.items():
        typer.echo(f"  {name}: {count} spikes")
    for note in result.notes:
        typer.echo(f"  {note}")
    found = result.divergence
    if found is not None:
        neuron = ", ".join(map(str, found.neuron))
        module = f"module {found.module!r}" if found.module else "the module's output"
        typer.echo(
            f"DIVERGES at step {found.step}: node {found.node!r}, neuron ({neuron}) of sample "
            f"{found.sample}: {module} gives {found.expected:g}, the file {found.received:g}"
        )
        for other in result.agrees_with:
            typer.echo(f"  but agrees with: {other}")
        if not result.agrees_with:
            typer.echo("  and agrees with no other reset, reset delay or tie rule")
    elif result.compared:
        pairs = ", ".join(node for node, _ in result.compared)
        typer.echo(f"EQUAL in every step: {pairs}")
