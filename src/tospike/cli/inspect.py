"""``tospike inspect``: the layers of a network."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from tospike.cli.common import (
    DataPath,
    Format,
    Json,
    Model,
    Weights,
    check_format,
    load_model,
    print_as,
    print_json,
    read,
)
from tospike.errors import OptionError

if TYPE_CHECKING:
    from tospike.activity.data import Data
    from tospike.network import Layer, Network
    from tospike.tables import Table


def inspect(
    model: Model,
    weights: Weights = None,
    data: DataPath = None,
    shape: Annotated[
        str | None, typer.Option(help="Shape of one sample, such as 3,224,224, if no --data.")
    ] = None,
    format: Format = None,
    as_json: Json = False,
) -> None:
    """Layers of a network: synapses (MACs), neurons, weights, theoretical reuse factors."""
    check_format(format, as_json)
    from tospike.network.importers import load
    from tospike.tables import print_tables

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
    table = _layer_table(network)
    if format is not None:
        print_as([table], format)
    else:
        print_tables([table])


def _layer_table(network: Network) -> Table:
    from tospike.tables import Column, Table

    def row(layer: Layer) -> dict[str, str | int | float | None]:
        return {
            "layer": layer.name,
            "kind": layer.kind,
            "synapses": layer.n_synapses,
            "neurons": layer.n_neurons,
            "weights": layer.n_weights,
            "iact": float(layer.reuse.iact),
            "weight": float(layer.reuse.weight),
            "psum": float(layer.reuse.psum),
        }

    total: dict[str, str | int | float | None] = {
        "layer": "total",
        "synapses": network.n_synapses,
        "neurons": network.n_neurons,
        "weights": network.n_weights,
    }
    return Table(
        key="layers",
        title=f"{network.origin.name}: {network.n_synapses / 1e6:,.2f} M synapses (MACs)",
        columns=(
            Column("layer", "layer"),
            Column("kind", "kind"),
            Column("synapses", "synapses"),
            Column("neurons", "neurons"),
            Column("weights", "weights"),
            Column("iact", "RF iact"),
            Column("weight", "RF weight"),
            Column("psum", "RF psum"),
        ),
        rows=(*(row(layer) for layer in network.synaptic_layers), total),
        assumptions=(
            "Synapses: MACs of one inference, padding included, groups and depthwise layers "
            "counted truly",
            "RF: theoretical reuse factor, MACs per distant access",
        ),
    )


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
