"""``tospike bench``: speed against other tools."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

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

app = typer.Typer(no_args_is_help=True, help="Measure speed against other tools.")


@app.command("measure")
def bench_measure_command(
    rounds: Annotated[int, typer.Option(min=1, help="Counted rounds; medians are printed.")] = 7,
    threads: Annotated[int | None, typer.Option(min=1, help="Threads of torch.")] = None,
    only: Annotated[str, typer.Option(help="One network: vgg9_snn, vgg16 or gru.")] = "",
    markdown: Annotated[Path | None, typer.Option(help="Write the table here, too.")] = None,
    as_json: Json = False,
) -> None:
    """Time of ts.measure over the bare forward pass, beside the peers that are installed."""
    from tospike.bench.measure import as_markdown, bench_measure

    result = bench_measure(rounds=rounds, threads=threads, only=only)
    if markdown is not None:
        from tospike.reporting.write import write_atomically

        write_atomically(markdown, as_markdown(result).encode())
    if as_json:
        print_json(result)
        return
    from rich.console import Console
    from rich.table import Table

    table = Table("network", "implementation", "median", "over bare forward", "operations")
    for row in result["rows"]:
        operations = row["synaptic_operations"]
        table.add_row(
            row["title"],
            row["implementation"],
            f"{row['seconds_median'] * 1e3:.1f} ms",
            f"{row['ratio_over_bare_forward']:.2f}×",
            f"{operations:,.1f}" if operations is not None else "-",
        )
    console = Console()
    console.print(table)
    console.print(", ".join(f"{key}: {value}" for key, value in result["machine"].items()))
    for peer, reason in result["absent"].items():
        console.print(f"{peer}: {reason}")


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
    if markdown is not None:
        from tospike.reporting.write import write_atomically

        write_atomically(markdown, as_markdown(result).encode())
    if figure is not None:
        from tospike.figures.draw import draw

        draw(bench_figure(result), figure)
    if as_json:
        print_json(result)
    elif format is not None:
        print_as([bench_table(result)], format)
    else:
        from tospike.tables import print_tables

        print_tables([bench_table(result)])
        typer.echo(", ".join(f"{key}: {value}" for key, value in result["machine"].items()))
        for sentence in result["absent"]:
            typer.echo(sentence)
