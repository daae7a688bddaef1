"""``tospike bench``: speed against other tools."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tospike.cli.common import (
    Format,
    Json,
    check_format,
    integers,
    print_as,
    print_json,
    progress_bars,
)

if TYPE_CHECKING:
    from tospike.tables import Table

app = typer.Typer(no_args_is_help=True, help="Measure speed against other tools.")


def write(markdown: Path | None, text: str) -> None:
    """The page, where one is asked for."""
    if markdown is not None:
        from tospike.reporting.write import write_atomically

        write_atomically(markdown, text.encode())


def show(
    result: dict[str, Any],
    table: Table,
    sentences: Sequence[str],
    as_json: bool,
    format: str | None,
) -> None:
    """The result as JSON, its table in a format, or table, machine and sentences for people."""
    if as_json:
        print_json(result)
    elif format is not None:
        print_as([table], format)
    else:
        from tospike.tables import print_tables

        print_tables([table])
        typer.echo(", ".join(f"{key}: {value}" for key, value in result["machine"].items()))
        for sentence in sentences:
            typer.echo(sentence)


@app.command("measure")
def bench_measure_command(
    rounds: Annotated[int, typer.Option(min=1, help="Counted rounds; medians are printed.")] = 7,
    threads: Annotated[int | None, typer.Option(min=1, help="Threads of torch.")] = None,
    only: Annotated[str, typer.Option(help="One network: vgg9_snn, vgg16 or gru.")] = "",
    markdown: Annotated[Path | None, typer.Option(help="Write the table here, too.")] = None,
    format: Format = None,
    as_json: Json = False,
) -> None:
    """Time of ts.measure over the bare forward pass, beside the peers that are installed."""
    check_format(format, as_json)
    from tospike.bench.measure import as_markdown, bench_measure
    from tospike.tables import print_tables

    result = bench_measure(rounds=rounds, threads=threads, only=only)
    write(markdown, as_markdown(result))
    if as_json:
        print_json(result)
        return
    table = _measure_table(result)
    if format is not None:
        print_as([table], format)
    else:
        print_tables([table])


def _measure_table(result: dict[str, Any]) -> Table:
    from tospike.tables import Column, Table

    return Table(
        key="bench_measure",
        title="Time of measuring over the bare forward pass",
        columns=(
            Column("title", "network"),
            Column("implementation", "implementation"),
            Column("seconds_median", "median", "ms", digits=3),
            Column("ratio_over_bare_forward", "× bare forward", digits=3),
            Column("synaptic_operations", "synaptic operations", digits=8),
        ),
        rows=tuple(
            {
                "title": row["title"],
                "implementation": row["implementation"],
                "seconds_median": row["seconds_median"] * 1e3,
                "ratio_over_bare_forward": row["ratio_over_bare_forward"],
                "synaptic_operations": row["synaptic_operations"],
            }
            for row in result["rows"]
        ),
        assumptions=(", ".join(f"{key}: {value}" for key, value in result["machine"].items()),),
        notes=tuple(f"{peer}: {reason}" for peer, reason in result["absent"].items()),
    )


@app.command("delta")
def bench_delta_command(
    hidden: Annotated[str, typer.Option(help="Hidden units.")] = "128,256,512,768,1024",
    layers: Annotated[str, typer.Option(help="Numbers of layers.")] = "1,2",
    threads: Annotated[str, typer.Option(help="Numbers of threads, 1 or 2.")] = "1,2",
    rounds: Annotated[int, typer.Option(min=1, help="Counted rounds.")] = 15,
    steps: Annotated[int, typer.Option(min=4, help="Time steps per round.")] = 48,
    quick: Annotated[bool, typer.Option(help="256 and 512 units, 1 layer, 1 thread.")] = False,
    speech: Annotated[
        Path, typer.Option(help="16 kHz mono WAV file for NSNet2; left out if there is none.")
    ] = Path("demo/nsnet2/speech.wav"),
    noise: Annotated[Path, typer.Option(help="Noise that is added to it at 5 dB.")] = Path(
        "demo/nsnet2/noise.wav"
    ),
    markdown: Annotated[Path | None, typer.Option(help="Write the page here, too.")] = None,
    figure: Annotated[Path | None, typer.Option(help="Draw the crossover here.")] = None,
    as_json: Json = False,
    format: Format = None,
) -> None:
    """Latency of delta GRUs per time step, over sparsity, beside the dense peers installed."""
    from tospike.bench.delta import Options, bench_delta
    from tospike.bench.delta_report import as_markdown, bench_figure, bench_table

    check_format(format, as_json)
    if quick:
        hidden, layers, threads, rounds = "256,512", "1", "1", min(rounds, 5)
    options = Options(
        hidden=integers(hidden, "--hidden"),
        layers=integers(layers, "--layers"),
        threads=integers(threads, "--threads"),
        rounds=rounds,
        steps=steps,
        speech=speech,
        noise=noise,
    )
    with progress_bars(silent=as_json or format is not None) as progress:
        result = bench_delta(options, progress=progress)
    write(markdown, as_markdown(result))
    if figure is not None:
        from tospike.figures.draw import draw

        draw(bench_figure(result), figure)
    show(result, bench_table(result), result["absent"], as_json, format)


@app.command("snn")
def bench_snn_command(
    networks: Annotated[
        str, typer.Option(help="Of fashion, vgg9, dvs, mlp.")
    ] = "fashion,vgg9,dvs,mlp",
    densities: Annotated[
        str, typer.Option(help="Forced spike densities in %, and 'measured'.")
    ] = "measured,1,2,5,10,20",
    threads: Annotated[str, typer.Option(help="Numbers of threads.")] = "1,2",
    batch: Annotated[str, typer.Option(help="Samples of one inference.")] = "1,16",
    timesteps: Annotated[int, typer.Option(min=1, help="T.")] = 4,
    rounds: Annotated[int, typer.Option(min=1, help="Counted rounds.")] = 15,
    images: Annotated[int, typer.Option(min=1, help="Samples that take turns at batch 1.")] = 8,
    processor_time: Annotated[
        bool, typer.Option(help="Processor time, for a machine that is not idle; 1 thread.")
    ] = False,
    network: Annotated[
        list[Path] | None,
        typer.Option(help="Checkpoint of a trained network for fashion; may be repeated."),
    ] = None,
    model: Annotated[
        str, typer.Option(help="file.py:factory of the network of --network.")
    ] = "validation/snn_network.py:vgg",
    demo: Annotated[
        Path, typer.Option(help="Folder with test.npz, and the network without --network.")
    ] = Path("demo/fashion_mnist"),
    markdown: Annotated[Path | None, typer.Option(help="Write the page here, too.")] = None,
    figure: Annotated[Path | None, typer.Option(help="Draw the crossover here.")] = None,
    as_json: Json = False,
    format: Format = None,
) -> None:
    """Latency of spiking networks over spike density, beside SNN frameworks and dense runtimes."""
    from tospike.bench.snn import Options, bench_snn
    from tospike.bench.snn_report import as_markdown, bench_figure, bench_table
    from tospike.bench.snn_trained import Source
    from tospike.bench.snn_trained import demo as demo_source

    check_format(format, as_json)
    shares, measured = _densities(densities)
    sources = tuple(Source(model, path, demo / "test.npz") for path in network or ())
    options = Options(
        networks=tuple(name.strip() for name in networks.split(",") if name.strip()),
        densities=shares,
        measured=measured,
        threads=integers(threads, "--threads"),
        batches=integers(batch, "--batch"),
        timesteps=timesteps,
        rounds=rounds,
        images=images,
        processor_time=processor_time,
        sources=sources or (demo_source(demo),),
    )
    with progress_bars(silent=as_json or format is not None) as progress:
        result = bench_snn(options, progress=progress)
    drawn = "" if figure is None or markdown is None else os.path.relpath(figure, markdown.parent)
    write(markdown, as_markdown(result, drawn))
    if figure is not None:
        from tospike.figures.draw import draw

        draw(bench_figure(result), figure)
    show(result, bench_table(result), [*result["notes"], *result["absent"]], as_json, format)


def _densities(text: str) -> tuple[tuple[float, ...], bool]:
    """(shares, is "measured" among them) of such as "measured,1,2.5"."""
    from tospike.errors import OptionError

    words = [word.strip() for word in text.split(",") if word.strip()]
    try:
        shares = tuple(float(word) / 100 for word in words if word != "measured")
    except ValueError:
        raise OptionError(
            f"read --densities {text!r}", allowed="percentages and 'measured', such as measured,1,5"
        ) from None
    return shares, "measured" in words
