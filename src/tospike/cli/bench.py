"""``tospike bench``: speed against other tools."""

from __future__ import annotations

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
    if markdown is not None:
        from tospike.reporting.write import write_atomically

        write_atomically(markdown, as_markdown(result).encode())
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
