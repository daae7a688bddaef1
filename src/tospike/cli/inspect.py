"""``tospike inspect``: the layers of a network."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from tospike.cli.common import DataPath, Json, Model, Weights, load_model, print_json, read
from tospike.errors import OptionError

if TYPE_CHECKING:
    from tospike.activity.data import Data


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

    module = load_model(model, weights)
    network = load(module, _example(module, read(data, None), shape))
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
        print_json({"name": network.origin.name, "layers": rows, "total": total})
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
