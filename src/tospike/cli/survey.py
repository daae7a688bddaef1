"""``tospike survey``: the published accelerators, and where a network of one's own lies."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tospike.cli.common import Format, Json, check_format, print_as, print_json
from tospike.errors import OptionError, unknown_name

if TYPE_CHECKING:
    from tospike.figures import Figure
    from tospike.survey.fields import View
    from tospike.survey.query import Answer
    from tospike.survey.record import Accelerator
    from tospike.survey.select import Condition
    from tospike.tables import Table

_PLOTS = ("energy_error", "cycles_error", "throughput_power")
_PIPE_WIDTH = 140


_Text = str | None
Definition = Annotated[
    str | None,
    typer.Option(
        help="Energy per inference: printed, power_times_latency, power_over_throughput or "
        "frame_period. Without it the table shows each in its own column."
    ),
]
Node = Annotated[_Text, typer.Option(help='Move the energies to this process, such as "28 nm".')]
Where = Annotated[
    list[str] | None,
    typer.Option(help="FIELD OP VALUE, such as 'process_nm<=28 and kind==snn'; repeatable."),
]
Task = Annotated[_Text, typer.Option(help="Task contains this text (a|b: or).")]
Kind = Annotated[_Text, typer.Option(help="ann, snn, rnn, delta, mixed (a|b: or).")]
DataSet = Annotated[_Text, typer.Option(help="Data set contains this text (a|b: or).")]
Platform = Annotated[_Text, typer.Option(help="asic, fpga, gpu, cpu (a|b: or).")]
MinAccuracy = Annotated[_Text, typer.Option(help="Least accuracy in percent.")]
MaxPower = Annotated[_Text, typer.Option(help='Most power, such as "5 mW".')]
Year = Annotated[_Text, typer.Option(help="One year or a range, such as 2020-2023.")]
Evidence = Annotated[_Text, typer.Option(help="verified or unverified.")]
Sort = Annotated[_Text, typer.Option(help="Field to sort by.")]
Descending = Annotated[bool, typer.Option("--descending", help="Largest first.")]
Columns = Annotated[_Text, typer.Option(help="Fields to show, with commas.")]
Pareto = Annotated[_Text, typer.Option(help="Fields of a Pareto front, such as energy,error.")]
FrontOnly = Annotated[bool, typer.Option("--front-only", help="Show only what is on the front.")]
Mine = Annotated[
    list[str] | None,
    typer.Option(help='Your network: "name=Net,energy=18 uJ,error=6 %"; repeatable.'),
]
DecisionPath = Annotated[
    Path | None, typer.Option(help="JSON of 'tospike analyze --json': place its networks.")
]
DecisionData = Annotated[_Text, typer.Option(help="What the survey calls the decision's data set.")]
FigurePath = Annotated[Path | None, typer.Option(help="Draw into this .svg, .png, .pdf or .html.")]
Plot = Annotated[str, typer.Option(help=", ".join(_PLOTS))]


def survey(
    definition: Definition = None,
    normalise_to: Node = None,
    where: Where = None,
    task: Task = None,
    kind: Kind = None,
    dataset: DataSet = None,
    platform: Platform = None,
    min_accuracy: MinAccuracy = None,
    max_power: MaxPower = None,
    year: Year = None,
    evidence: Evidence = None,
    sort: Sort = None,
    descending: Descending = False,
    columns: Columns = None,
    pareto: Pareto = None,
    front_only: FrontOnly = False,
    mine: Mine = None,
    decision: DecisionPath = None,
    decision_dataset: DecisionData = None,
    figure: FigurePath = None,
    plot: Plot = "energy_error",
    format: Format = None,
    as_json: Json = False,
) -> None:
    """Published accelerators: filter, sort, Pareto front, plot, and where your network lies."""
    from tospike.survey.fields import View
    from tospike.survey.load import accelerators
    from tospike.survey.query import Query, ask

    shape = None if format == "text" else format
    check_format(shape, as_json)
    _check_plot(plot, drawn=figure is not None, definition=definition)
    if front_only and pareto is None:
        raise OptionError("use --front-only without --pareto", fix="add --pareto energy,error")
    view = View(definition, _node(normalise_to))
    named = {
        "task": ("~", task),
        "kind": ("==", kind),
        "dataset": ("~", dataset),
        "platform": ("==", platform),
        "accuracy": (">=", min_accuracy),
        "power": ("<=", max_power),
        "evidence": ("==", evidence),
    }
    query = Query(
        view=view,
        conditions=_conditions(named, year, where or [], view),
        sort=sort,
        descending=descending,
        columns=tuple(part.strip() for part in (columns or "").split(",") if part.strip()),
        front=pareto,
        front_only=front_only,
    )
    own = _own(mine or [], decision, decision_dataset)
    if own and definition is None:
        _needs_definition("place a network among the chips")
    answer = ask(query, accelerators(), own)
    _draw(answer, plot, figure)
    _show(answer, shape, as_json)


def _check_plot(plot: str, *, drawn: bool, definition: str | None) -> None:
    if plot not in _PLOTS:
        raise unknown_name("plot", plot, _PLOTS, where="--plot")
    if drawn and plot == "energy_error" and definition is None:
        _needs_definition("draw energy over error")


def _needs_definition(what: str) -> None:
    from tospike.survey.energy import DEFINITIONS

    raise OptionError(
        f"{what} without a definition of the energy per inference",
        allowed=", ".join(DEFINITIONS),
        fix="add --definition",
    )


def _node(text: str | None) -> float | None:
    """A process node in nm; a bare number is nm too."""
    from tospike.errors import ConstantError
    from tospike.survey.quantity import parse

    if text is None:
        return None
    try:
        return parse(f"{text} nm" if re.fullmatch(r"[\d.]+", text) else text, "node")
    except ConstantError as error:
        raise OptionError(
            f"normalise to {text!r}",
            received=error.received,
            where="--normalise-to",
            allowed="a process from 7 to 130 nm, such as 28 or '28 nm'",
        ) from error


def _conditions(
    named: dict[str, tuple[str, str | None]], year: str | None, where: list[str], view: View
) -> tuple[Condition, ...]:
    from tospike.survey.select import condition, conditions

    options = {"accuracy": "--min-accuracy", "power": "--max-power"}
    found = [
        condition(key, sign, value, view, options.get(key, f"--{key}"))
        for key, (sign, value) in named.items()
        if value is not None
    ]
    if year is not None:
        span = re.fullmatch(r"(\d{4})(?:-(\d{4}))?", year.strip())
        if span is None or (span[2] or span[1]) < span[1]:
            raise OptionError(
                f"read --year {year!r}", allowed="a year or a rising range, such as 2020-2023"
            )
        found.append(condition("year", ">=", span[1], view, "--year"))
        found.append(condition("year", "<=", span[2] or span[1], view, "--year"))
    for text in where:
        found += conditions(text, view)
    return tuple(found)


def _own(mine: list[str], decision: Path | None, dataset: str | None) -> tuple[Accelerator, ...]:
    from tospike.survey.mine import parse_mine, read_decision

    if dataset is not None and decision is None:
        raise OptionError("use --decision-dataset without --decision", fix="give --decision FILE")
    read = () if decision is None else read_decision(decision, dataset or "")
    return (*(parse_mine(text) for text in mine), *read)


def _figure(answer: Answer, plot: str) -> Figure:
    from tospike.survey import figures

    view = answer.query.view
    chips, mine = answer.published, answer.mine
    if plot == "cycles_error":
        return figures.cycles_error_figure(chips, mine=mine)
    if plot == "throughput_power":
        return figures.throughput_power_figure(chips, mine=mine)
    return figures.energy_error_figure(
        chips, definition=view.definition or "", node_nm=view.node_nm, mine=mine
    )


def _draw(answer: Answer, plot: str, path: Path | None) -> None:
    from tospike.figures.draw import draw
    from tospike.survey.page import write_page

    if path is None:
        return
    figure = _figure(answer, plot)
    if path.suffix == ".html":
        write_page(figure, path)
    else:
        draw(figure, path)
    typer.echo(f"wrote {path}", err=True)


def _show(answer: Answer, format: str | None, as_json: bool) -> None:
    from tospike.survey.place import placement_table
    from tospike.survey.tables import entry_as_dict, left_out_table, survey_table
    from tospike.tables import as_plain, print_tables

    maybe: list[Table | None] = [survey_table(answer), placement_table(answer)]
    tables = [table for table in maybe if table is not None]
    left_out = left_out_table(answer)
    if as_json:
        tables += [left_out] if left_out is not None else []
        print_json(
            {
                "tables": [as_plain(table) for table in tables],
                "entries": [entry_as_dict(chip, answer.query.view) for chip in answer.chips],
            }
        )
    elif format is not None:
        print_as(tables, format)
    else:
        from rich.console import Console

        console = Console()
        # a pipe has no width of its own; 80 columns would break every word of these tables
        print_tables(tables, console if console.is_terminal else Console(width=_PIPE_WIDTH))
