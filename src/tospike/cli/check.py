"""``tospike check``: a reviewer's look at published energy claims."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tospike.cli.common import Json, check_format, print_as, print_json, progress_bars
from tospike.errors import DataError, OptionError

if TYPE_CHECKING:
    from tospike.checking import Claim, Report

Files = Annotated[
    list[Path] | None,
    typer.Argument(help="Claim files (YAML), or names of examples.", show_default=False),
]


def check(
    files: Files = None,
    format: Annotated[
        str, typer.Option("--format", help="text, latex, csv, markdown or json (tables).")
    ] = "text",
    exit_zero: Annotated[
        bool, typer.Option("--exit-zero", help="Exit 0 even with findings of severity error.")
    ] = False,
    list_rules: Annotated[bool, typer.Option("--list-rules", help="Print the rules.")] = False,
    example: Annotated[
        str | None, typer.Option(help="Print the file of an example.", show_default=False)
    ] = None,
    list_examples: Annotated[
        bool, typer.Option("--list-examples", help="Print the names of the examples.")
    ] = False,
    template: Annotated[
        bool, typer.Option("--template", help="Print an empty claim file with comments.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Recompute a published energy claim and look for known mistakes.

    Exit status: 0 without findings of severity error, 1 with one, 2 for bad input.
    """
    chosen = None if format == "text" else format
    check_format(chosen, as_json)
    if list_rules or list_examples or template or example is not None:
        _information(list_rules, list_examples, example, template, chosen, as_json)
        return
    if not files:
        raise OptionError(
            "check nothing",
            fix="give a claim file, the name of an example (--list-examples), or --template",
        )
    reports = _check(_read(files), silent=as_json or chosen is not None)
    _print(reports, chosen, as_json)
    if any(report.count("error") for report in reports) and not exit_zero:
        raise typer.Exit(1)


def _read(files: list[Path]) -> list[Claim]:
    """All claims; the faults of all files in one error."""
    from tospike.checking import read_claim
    from tospike.checking.examples import example_names, example_path

    names = example_names()
    claims, errors = [], []
    for file in files:
        known = str(file) in names and not file.exists()
        try:
            claims.append(read_claim(example_path(str(file)) if known else file))
        except DataError as error:
            errors.append(error)
    if len(errors) == 1:
        raise errors[0]
    if errors:
        raise DataError(
            f"read {len(errors)} of {len(files)} claims",
            allowed=errors[0].allowed,
            fix="mend the listed faults",
            reasons=[
                f"{error.where or error.asked}: {reason}"
                for error in errors
                for reason in (error.reasons or (error.received,))
            ],
        )
    return claims


def _check(claims: list[Claim], *, silent: bool) -> list[Report]:
    from tospike.checking import check as run

    reports = []
    with progress_bars(silent or len(claims) < 2) as progress:
        for done, claim in enumerate(claims):
            if progress is not None:
                progress("claims", done, len(claims))
            reports.append(run(claim))
    return reports


def _print(reports: list[Report], format: str | None, as_json: bool) -> None:
    from tospike.checking import present

    if as_json:
        print_json(
            {
                "claims": [present.as_plain(report) for report in reports],
                "errors": sum(report.count("error") for report in reports),
            }
        )
        return
    if format is not None:
        print_as(present.tables(reports), format)
        return
    from rich.console import Console

    console = Console()
    for report in reports:
        present.print_report(report, console)
    if len(reports) > 1:
        for report in reports:
            console.print(f"{report.claim.name}: {report.verdict}", highlight=False, markup=False)


def _information(
    list_rules: bool,
    list_examples: bool,
    example: str | None,
    template: bool,
    format: str | None,
    as_json: bool,
) -> None:
    from tospike.checking.examples import example_names, example_text, template_text

    if template:
        typer.echo(template_text(), nl=False)
    elif example is not None:
        typer.echo(example_text(example), nl=False)
    elif list_examples:
        if as_json:
            print_json(list(example_names()))
        else:
            typer.echo("\n".join(example_names()))
    elif list_rules:
        _rules(format, as_json)


def _rules(format: str | None, as_json: bool) -> None:
    from tospike.checking.present import rules_table
    from tospike.tables import as_plain, print_tables

    table = rules_table()
    if as_json:
        print_json(as_plain(table))
    elif format is not None:
        print_as((table,), format)
    else:
        print_tables((table,))
