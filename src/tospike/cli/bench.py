"""``tospike bench``: speed against other tools."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tospike.cli.common import Json, print_json

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
