"""``tospike reproduce``: the papers' claims, tables and figures."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tospike.cli.common import Format, Json, check_format, print_as, print_json, progress_bars

if TYPE_CHECKING:
    from tospike.papers.reproduce import Reproduction

Paper = Annotated[
    str | None,
    typer.Argument(
        help="dampfhoffer_2022, ottati_2023 or liu_delbruck_2019; default: all three.",
        show_default=False,
    ),
]


def reproduce(
    paper: Paper = None,
    figures: Annotated[
        Path | None, typer.Option(help="Write the papers' figures (SVG, data, page) here.")
    ] = None,
    errata: Annotated[
        Path | None, typer.Option(help="Write the errata page (Markdown) here.")
    ] = None,
    verbose: Annotated[
        bool, typer.Option("--verbose", help="Print the explanation of every claim.")
    ] = False,
    format: Format = None,
    as_json: Json = False,
) -> None:
    """Recompute every claim and table of the papers from first principles; print verdicts."""
    check_format(format, as_json)
    from tospike.papers.reproduce import reproduce as run
    from tospike.papers.text import all_tables
    from tospike.papers.text import as_json as plain

    _check_targets(figures, errata)
    with progress_bars(as_json or format is not None) as progress:
        result = run(paper, tables=not as_json, progress=progress)
    written = _write(result, paper, figures, errata)
    if as_json:
        print_json(plain(result))
        return
    if format is not None:
        print_as(all_tables(result), format)
        return
    _print(result, verbose)
    for path in written:
        typer.echo(f"written: {path}")


def _check_targets(figures: Path | None, errata: Path | None) -> None:
    """Before the long work: paths that cannot be written."""
    from tospike.errors import OptionError

    reasons = []
    if figures is not None and figures.exists() and not figures.is_dir():
        reasons.append(f"--figures {figures} is a file; give a directory")
    if errata is not None and (errata.is_dir() or not errata.parent.is_dir()):
        reasons.append(f"--errata {errata}: no such directory, or a directory itself")
    if reasons:
        raise OptionError("write the reproduction", reasons=reasons)


def _write(
    result: Reproduction, paper: str | None, figures: Path | None, errata: Path | None
) -> list[Path]:
    from tospike.papers.errata import errata as page
    from tospike.reporting.write import write_atomically

    written: list[Path] = []
    if errata is not None:
        write_atomically(errata, page(result).encode())
        written.append(errata)
    if figures is not None:
        from tospike.papers.figures import write_figures

        with progress_bars(False) as progress:
            written += write_figures(figures, paper=paper, progress=progress)
    return written


def _print(result: Reproduction, verbose: bool) -> None:
    from rich.console import Console
    from rich.text import Text

    from tospike.papers.text import all_tables, verdict_words
    from tospike.tables import print_tables

    console = Console()
    print_tables(all_tables(result))
    if verbose:
        for finding in result.findings:
            console.print(Text(f"{finding.claim.id}: {verdict_words(finding)}", style="bold"))
            for line in dict.fromkeys((finding.explanation, finding.recomputed.arithmetic)):
                if line:
                    console.print(Text(f"  {line}"))
    counts = result.counts
    words = (
        f"{counts['reproduces']} reproduce, {counts['convention']} only under a convention, "
        f"{counts['does_not_reproduce']} do not reproduce, {counts['input']} are inputs"
    )
    console.print(Text(f"{len(result.findings)} claims: {words}", style="bold"), soft_wrap=True)
