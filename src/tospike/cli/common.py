"""What the commands share: option types, model and data readers, progress, JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tospike.errors import OptionError, unknown_name

if TYPE_CHECKING:
    from tospike.activity.data import Data
    from tospike.tables import Table

Json = Annotated[bool, typer.Option("--json", help="Print JSON on standard output.")]
Format = Annotated[
    str | None,
    typer.Option("--format", help="Tables as latex, csv, markdown or json.", show_default=False),
]
Model = Annotated[
    str,
    typer.Argument(
        help="path.onnx, a zoo name, file.py:factory or package.module:factory.", show_default=False
    ),
]
Weights = Annotated[
    Path | None, typer.Option(help="state_dict.pt for a factory; only tensors are read.")
]
DataPath = Annotated[
    Path | None,
    typer.Option("--data", help=".npz with x and optional y, .npy, .pt, .wav, folder of images."),
]


def print_json(value: Any) -> None:
    """JSON on standard output; NaN is refused, JSON has none."""
    typer.echo(json.dumps(value, indent=2, allow_nan=False))


def check_format(format: str | None, as_json: bool) -> None:
    """Before any work: an unknown format, or two formats at once, is an error."""
    from tospike.tables import FORMATS

    if format is not None and format not in FORMATS:
        raise unknown_name("table format", format, tuple(FORMATS))
    if format is not None and as_json:
        raise OptionError("print --json and --format at once", fix="give one of them")


def print_as(tables: Sequence[Table], format: str) -> None:
    """Tables on standard output in a format that :func:`check_format` has seen."""
    from tospike.tables import export

    typer.echo(export(tables, format), nl=False)


def integers(text: str, name: str) -> tuple[int, ...]:
    try:
        values = tuple(int(part) for part in text.split(",") if part.strip())
    except ValueError:
        values = ()
    if not values or min(values) < 1:
        raise OptionError(
            f"read {name} {text!r}", allowed="positive integers with commas, such as 1,2,4,8"
        )
    return tuple(dict.fromkeys(sorted(values)))


@contextmanager
def progress_bars(silent: bool) -> Iterator[Callable[[str, int, int], None] | None]:
    """A progress bar on standard error: call with (stage, done, total)."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    if silent or not console.is_terminal:
        yield None
        return
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed:.0f}/{task.total:.0f}"),
        TimeElapsedColumn(),
        console=console,
        transient=True,
    ) as bars:
        tasks: dict[str, Any] = {}

        def step(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                tasks[stage] = bars.add_task(stage, total=total)
            bars.update(tasks[stage], completed=done, total=total)

        yield step


def load_model(model: str, weights: Path | None) -> Any:
    """A torch module for a factory, else the text itself (.onnx path or zoo name)."""
    from tospike.network.importers.factory import is_factory, module_from_factory

    if is_factory(model):
        return module_from_factory(model, weights)
    if weights is not None:
        raise OptionError(
            f"use --weights with {model!r}",
            allowed="--weights with file.py:factory or package.module:factory",
            fix="ONNX files carry their weights; zoo topologies have none",
        )
    return model


def read(data: Path | None, labels: Path | None) -> Data | None:
    if data is None:
        if labels is not None:
            raise OptionError("use --labels without --data", fix="give --data as well")
        return None
    from tospike.activity.data import read_data

    return read_data(data, labels)


def quantity(text: str | None, dimension: str) -> float | None:
    """A quantity with its unit in SI, None if there is none."""
    from tospike.units import parse_quantity

    return None if text is None else parse_quantity(text, dimension)
