"""``tospike convert --to sigma_delta``: the rows of the data are the frames of one stream."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from tospike.cli.common import print_as, print_json

if TYPE_CHECKING:
    from tospike.activity.data import Data
    from tospike.conversion.sigma_delta import SigmaDeltaResult
    from tospike.tables import Table


def show_sigma_delta(
    network: Any,
    held: Data,
    fitting: Data,
    thetas: tuple[float, dict[str, float]],
    as_json: bool,
    format: str | None,
) -> None:
    """Convert, run the stream and print events per frame."""
    import torch

    from tospike.conversion import executable
    from tospike.conversion.sigma_delta import read_by, sigma_delta_network

    graph = executable(network, fitting.x)
    base, by_layer = thetas
    chosen = dict.fromkeys(read_by(graph).values(), base) | by_layer
    made = sigma_delta_network(graph, chosen, calibration_data=fitting.x)
    labels = None if held.y is None else torch.as_tensor(held.y).reshape(-1, 1)
    result = made.run(torch.as_tensor(held.x).unsqueeze(1), labels)
    table = traffic_table(result)
    head = {
        "frames": result.n_frames,
        "accuracy": result.accuracy,
        "agreement": result.agreement,
        "largest_error": result.error,
    }
    if as_json:
        layers = [dict(row) for row in table.rows]
        print_json({"to": "sigma_delta", **head, "layers": layers, "notes": list(result.notes)})
        return
    if format is not None:
        print_as([table], format)
        return
    from rich.console import Console
    from rich.table import Table as RichTable

    shown = RichTable(box=None, pad_edge=False, padding=(0, 1), header_style="dim")
    for number, column in enumerate(table.columns):
        shown.add_column(column.title, justify="right" if number else "left")
    for row in table.rows:
        shown.add_row(*(f"{v:.4g}" if isinstance(v, float) else str(v) for v in row.values()))
    Console().print(shown)
    for name in ("accuracy", "agreement", "largest_error"):
        value = head[name]
        if value is not None:
            typer.echo(f"{name.replace('_', ' ')} {100 * value:.2f} %")
    for note in result.notes:
        typer.echo(f"note: {note}")


def traffic_table(result: SigmaDeltaResult) -> Table:
    """What each layer receives per frame, as graded events and as unary spikes."""
    from tospike.tables import Column, Table

    frames = result.n_frames
    rows: list[dict[str, str | int | float | None]] = []
    for name, graded in result.graded.layers.items():
        unary = result.unary.layers[name]
        rows.append(
            {
                "layer": name,
                "theta": result.thetas.get(name, 0.0),
                "changed": 1.0 - graded.zero_fraction,
                "graded": graded.synaptic_operations / frames,
                "unary": unary.synaptic_operations / frames,
            }
        )
    return Table(
        key="convert_sigma_delta",
        title=f"Sigma-delta network on {frames} frames, per frame",
        columns=(
            Column("layer", "layer"),
            Column("theta", "threshold"),
            Column("changed", "share of inputs that change"),
            Column("graded", "multiplications (graded events)", digits=4),
            Column("unary", "additions (unary spikes)", digits=4),
        ),
        rows=tuple(rows),
        notes=result.notes,
    )
