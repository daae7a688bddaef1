"""The command line: ``tospike analyze``, ``breakeven``, ``inspect``, ``technologies``, ``bench``.

Every command has ``--json``. Errors that a user can mend are printed on one screen, exit status 2.
Heavy imports (torch, onnx, plotly) happen inside of the commands.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tospike.errors import OptionError, TospikeError

if TYPE_CHECKING:
    from tospike.activity.data import Data
    from tospike.equations import EquationOptions

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="To spike, or not to spike? A measured verdict for your network, data and hardware.",
)
bench_app = typer.Typer(no_args_is_help=True, help="Measure speed against other tools.")
app.add_typer(bench_app, name="bench")

Json = Annotated[bool, typer.Option("--json", help="Print JSON on standard output.")]
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


def _print_json(value: Any) -> None:
    typer.echo(json.dumps(value, indent=2, allow_nan=False))


def _integers(text: str, name: str) -> tuple[int, ...]:
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
def _progress(silent: bool) -> Iterator[Callable[[str, int, int], None] | None]:
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


def _load_model(model: str, weights: Path | None) -> Any:
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


def _read(data: Path | None, labels: Path | None) -> Data | None:
    if data is None:
        if labels is not None:
            raise OptionError("use --labels without --data", fix="give --data as well")
        return None
    from tospike.activity.data import read_data

    return read_data(data, labels)


@app.command()
def analyze(
    model: Model,
    data: DataPath = None,
    labels: Annotated[
        Path | None, typer.Option(help="Labels, where --data holds none: .npy .npz .txt .csv.")
    ] = None,
    weights: Weights = None,
    calibration: Annotated[
        Path | None,
        typer.Option(help="Calibration samples; default: a part of --data is held out."),
    ] = None,
    technology: Annotated[
        str, typer.Option(help="Energy reference table: a name or a .yaml file.")
    ] = "horowitz_2014_45nm",
    timesteps: Annotated[str, typer.Option(help="T of the SNN, with commas.")] = "1,2,4,8,16,32,64",
    reference_model: Annotated[
        str, typer.Option(help="ANN equation that the verdict compares with.")
    ] = "ann_eyeriss_v1",
    accuracy_floor: Annotated[
        float | None, typer.Option(help="Least accuracy, 0 to 1; default: 0.01 below the network.")
    ] = None,
    hybrids: Annotated[int, typer.Option(help="How many hybrids to execute.")] = 3,
    max_samples: Annotated[
        int | None, typer.Option(min=1, help="Use only the first so many samples.")
    ] = None,
    sequence: Annotated[
        bool, typer.Option("--sequence", help="Samples are consecutive time steps of one stream.")
    ] = False,
    seed: Annotated[int, typer.Option(help="Seed of the sampled constants.")] = 0,
    on_chip_memory: Annotated[
        str | None, typer.Option(help='Weights beyond this go to DRAM, such as "512 KiB".')
    ] = None,
    idle_power: Annotated[
        str | None, typer.Option(help='Static power, such as "1 mW"; needs --inference-time.')
    ] = None,
    inference_time: Annotated[
        str | None, typer.Option(help='Time of one inference, such as "10 ms".')
    ] = None,
    duty_cycle: Annotated[float, typer.Option(help="Share of the time in use, 0 to 1.")] = 1.0,
    hops: Annotated[
        float | None, typer.Option(help="Hops per event: counts communication too.")
    ] = None,
    report: Annotated[Path | None, typer.Option(help="Write an HTML report here.")] = None,
    as_json: Json = False,
) -> None:
    """To spike, or not to spike? Measure, count, price, decide."""
    from dataclasses import replace

    from tospike.decision import Options
    from tospike.decision import analyze as run
    from tospike.reporting.write import check_path

    if report is not None:
        check_path(report)
    equations = _equation_options(on_chip_memory, inference_time, idle_power, duty_cycle, hops)
    steps = _integers(timesteps, "--timesteps")
    held = _read(data, labels)
    if held is not None and max_samples is not None:
        kept = None if held.y is None else held.y[:max_samples]
        held = replace(held, x=held.x[:max_samples], y=kept)
    with _progress(as_json) as progress:
        decision = run(
            _load_model(model, weights),
            held,
            calibration=_read(calibration, None),
            technology=technology,
            timesteps=steps,
            reference_model=reference_model,
            accuracy_floor=accuracy_floor,
            hybrids=hybrids,
            seed=seed,
            sequence=sequence,
            options=Options(
                equations=equations,
                static_power_w=_quantity(idle_power, "power"),
            ),
            progress=progress,
        )
    if report is not None:
        from tospike.reporting import report as write

        write(decision, report)
    if as_json:
        _print_json(decision.as_dict())
        return
    from tospike.reporting import render

    render(decision)
    if report is not None:
        typer.echo(f"report: {report}")


def _quantity(text: str | None, dimension: str) -> float | None:
    from tospike.units import parse_quantity

    return None if text is None else parse_quantity(text, dimension)


def _equation_options(
    on_chip_memory: str | None,
    inference_time: str | None,
    idle_power: str | None,
    duty_cycle: float,
    hops: float | None,
) -> EquationOptions:
    """The optional terms that were named: weights off chip, static power, communication."""
    from tospike.equations import EquationOptions

    if (idle_power is None) != (inference_time is None):
        raise OptionError(
            "count static power",
            received="only one of --idle-power and --inference-time",
            allowed="both, or neither",
        )
    terms = [
        name
        for name, wanted in (
            ("weights_off_chip", on_chip_memory),
            ("static", inference_time),
            ("communication", hops),
        )
        if wanted is not None
    ]
    return EquationOptions(
        terms=tuple(terms),
        on_chip_bytes=_quantity(on_chip_memory, "capacity"),
        inference_seconds=_quantity(inference_time, "time"),
        duty_cycle=duty_cycle,
        hops_per_event=hops,
    )


@app.command()
def inspect(
    model: Model,
    weights: Weights = None,
    data: DataPath = None,
    shape: Annotated[
        str | None, typer.Option(help="Shape of one sample, such as 3,224,224, if no --data.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Layers of a network: synapses (MACs), neurons, weights, theoretical reuse factors."""
    from tospike.network.importers import load

    module = _load_model(model, weights)
    network = load(module, _example(module, _read(data, None), shape))
    rows = [
        {
            "name": layer.name,
            "kind": layer.kind,
            "input_shape": list(layer.input_shape),
            "output_shape": list(layer.output_shape),
            "n_synapses": layer.n_synapses,
            "n_synapses_exact": layer.n_synapses_exact,
            "n_neurons": layer.n_neurons,
            "n_weights": layer.n_weights,
            "calls": layer.calls,
            "reuse": layer.reuse._asdict() if layer.synaptic else None,
        }
        for layer in network
    ]
    total = {
        "n_synapses": network.n_synapses,
        "n_neurons": network.n_neurons,
        "n_weights": network.n_weights,
    }
    if as_json:
        _print_json({"name": network.origin.name, "layers": rows, "total": total})
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(title=f"{network.origin.name}: {network.n_synapses / 1e6:,.2f} M synapses (MACs)")
    for column in ("layer", "kind", "synapses", "neurons", "weights", "RF iact", "weight", "psum"):
        table.add_column(column, justify="left" if column in {"layer", "kind"} else "right")
    for layer in network.synaptic_layers:
        table.add_row(
            layer.name,
            layer.kind,
            f"{layer.n_synapses:,}",
            f"{layer.n_neurons:,}",
            f"{layer.n_weights:,}",
            *(f"{factor:,.0f}" for factor in layer.reuse),
        )
    Console().print(table)


def _example(module: Any, data: Data | None, shape: str | None) -> Any:
    """An example input: the first sample, or zeros of ``--shape``; ONNX files may do without."""
    if data is None and shape is None:
        if isinstance(module, str):
            return None
        raise OptionError(
            "run a torch module without an example input", fix="give --data or --shape 3,224,224"
        )
    import numpy as np

    example = data.x[:1] if data is not None else None
    if example is None and shape is not None:
        example = np.zeros((1, *_integers_in_order(shape)), dtype=np.float32)
    if isinstance(module, str):
        return example
    import torch

    return torch.as_tensor(example)


def _integers_in_order(text: str) -> tuple[int, ...]:
    try:
        values = tuple(int(part) for part in text.split(","))
    except ValueError:
        values = (0,)
    if min(values) < 1:
        raise OptionError(f"read --shape {text!r}", allowed="positive integers such as 3,224,224")
    return values


@app.command()
def technologies(as_json: Json = False) -> None:
    """List the energy reference tables (technologies) with their sources."""
    from tospike.technology import load, names

    loaded = [load(name) for name in names()]
    if as_json:
        _print_json(
            [
                {
                    "name": item.name,
                    "title": item.title,
                    "node_nm": item.node_nm,
                    "sources": list(item.sources),
                }
                for item in loaded
            ]
        )
        return
    from rich.console import Console
    from rich.table import Table

    table = Table("name", "node", "title")
    for item in loaded:
        table.add_row(item.name, f"{item.node_nm:g} nm" if item.node_nm else "-", item.title)
    Console().print(table)


@app.command()
def breakeven(
    technology: Annotated[
        str | None,
        typer.Option(help="Price every row with this one; default: each row with the paper's own."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Spikes per synapse below which an SNN beats each ANN model (Dampfhoffer 2022, Table III)."""
    from dataclasses import asdict

    from tospike.equations import breakeven_table

    rows = breakeven_table(technology)
    if as_json:
        _print_json(
            {
                "rows": [asdict(row) for row in rows],
                "locator": "Table III; 0.44 in section III-B1",
                "source": "dampfhoffer_2022",
            }
        )
        return
    from tospike.reporting import render_breakeven

    render_breakeven(
        {
            "model": row.key,
            "title": row.model,
            "spikes_per_synapse": row.spikes_per_synapse,
            "printed": row.printed,
            # 0.44 for VGG16 stands in the text of III-B1, not in the table.
            "locator": ""
            if row.printed is None
            else "III-B1"
            if row.key == "ann_eyeriss_v1_vgg16"
            else "Table III",
        }
        for row in rows
    )


@bench_app.command("measure")
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
        _print_json(result)
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
