"""The command line: one module per command, each registered here by one line.

Every command has ``--json``. Errors that a user can mend are printed on one screen, exit status 2.
Heavy imports (torch, onnx, plotly) happen inside of the commands.
"""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from tospike.cli import (
    analyze,
    bench,
    check,
    convert,
    inspect,
    nir,
    reproduce,
    simulate,
    survey,
    tables,
    train,
)
from tospike.errors import TospikeError

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="To spike, or not to spike? A measured verdict for your network, data and hardware.",
)
app.command("analyze")(analyze.analyze)
app.command("reproduce")(reproduce.reproduce)
app.command("check")(check.check)
app.command("convert")(convert.convert)
app.command("train")(train.train)
app.command("simulate")(simulate.simulate)
app.command("survey")(survey.survey)
app.command("inspect")(inspect.inspect)
app.command("technologies")(tables.technologies)
app.command("breakeven")(tables.breakeven)
app.add_typer(bench.app, name="bench")
app.add_typer(nir.app, name="nir")


def main() -> None:
    """Entry point: a :class:`TospikeError` is printed on standard error, exit status 2."""
    # Threads that spin while they wait slow each other down wherever a machine is shared; OpenMP
    # reads this once, when torch is imported.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        app()
    except TospikeError as error:
        print(f"tospike: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("tospike: interrupted", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:
        # The reader of a pipe went away (tospike ... | head): not an error of ours.
        sys.stderr.close()
        sys.exit(141)


def _version(asked: bool) -> None:
    if asked:
        from tospike import __version__

        typer.echo(f"tospike {__version__}")
        raise typer.Exit()


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    del version
