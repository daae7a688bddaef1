"""``tospike inspect``: the layers of a network."""

from __future__ import annotations

import math
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
    from tospike.network.neuron import Neurons
    from tospike.tables import Table


def inspect(
    model: Model,
    weights: Weights = None,
    data: DataPath = None,
    shape: Annotated[
        str | None, typer.Option(help="Shape of one sample, such as 3,224,224, if no --data.")
    ] = None,
    batch_dim: Annotated[
        int, typer.Option(help="Where a module takes the samples: 1 for a (T, B, ...) sequence.")
    ] = 0,
    timesteps: Annotated[
        int | None,
        typer.Option(help="Calls per inference of a spiking module of one time step per call."),
    ] = None,
    format: Format = None,
    as_json: Json = False,
) -> None:
    """Layers of a network: synapses (MACs), neurons, weights, theoretical reuse factors.

    Spiking neurons of SpikingJelly, snnTorch, sinabs and Norse are named with their model.
    """
    check_format(format, as_json)
    from tospike.network.importers import load
    from tospike.tables import print_tables

    module = load_model(model, weights)
    example = _example(module, read(data, None), shape, batch_dim)
    network = load(module, example, batch_dim=batch_dim, timesteps=timesteps)
    neurons = _neurons(module)
    rows = [_layer_row(layer) for layer in network]
    total = {
        "n_synapses": network.n_synapses,
        "n_neurons": network.n_neurons,
        "n_weights": network.n_weights,
    }
    if as_json:
        found = {"name": network.origin.name, "layers": rows, "total": total}
        if neurons:
            found["neurons"] = [_neuron_row(population) for population in neurons]
        found["notes"] = list(network.notes)
        print_json(found)
        return
    tables = [_layer_table(network), *([_neuron_table(neurons)] if neurons else [])]
    if format is not None:
        print_as(tables, format)
    else:
        print_tables(tables)


def _layer_row(layer: Layer) -> dict[str, Any]:
    return {
        "name": layer.name,
        "kind": layer.kind,
        "input_shape": list(layer.input_shape),
        "output_shape": list(layer.output_shape),
        "n_synapses": layer.n_synapses,
        "n_synapses_exact": layer.n_synapses_exact,
        "n_neurons": layer.n_neurons,
        "n_weights": layer.n_weights,
        "calls": layer.calls,
        "neuron": layer.neuron,
        "reuse": layer.reuse._asdict() if layer.synaptic else None,
    }


def _neurons(module: Any) -> tuple[Neurons, ...]:
    """Populations of a torch module; none for a file or a topology."""
    if isinstance(module, str):
        return ()
    from tospike.network.importers.neurons import neurons_of

    return neurons_of(module)


def _neuron_row(population: Neurons) -> dict[str, Any]:
    reset = population.reset
    return {
        "name": population.name,
        "model": population.model,
        "class": population.cls,
        "signal": population.signal,
        "reset": {"kind": reset.kind, "value": reset.value, "delay": reset.delay},
        # infinity is no number in JSON
        "parameters": {
            name: value.tolist() if math.isfinite(float(abs(value).max())) else str(value)
            for name, value in population.parameters.items()
        },
    }


def _neuron_table(neurons: tuple[Neurons, ...]) -> Table:
    from tospike.tables import Column, Table

    def parameter(value: Any) -> str:
        low, high = float(value.min()), float(value.max())
        return f"{low:.4g}" if low == high else f"{low:.4g} to {high:.4g}"

    def row(population: Neurons) -> dict[str, str | int | float | None]:
        reset = population.reset
        text = {"hard": f"to {reset.value:g}", "soft": "by threshold", "none": "none"}[reset.kind]
        parameters = population.parameters.items()
        return {
            "population": population.name or "the model",
            "model": population.model,
            "class": population.cls.rpartition(".")[2],
            "signal": population.signal,
            "reset": text + (", one step late" if reset.delay and reset.kind != "none" else ""),
            "parameters": ", ".join(f"{name} {parameter(value)}" for name, value in parameters),
        }

    return Table(
        key="neurons",
        title=f"{len(neurons)} populations of spiking neurons",
        columns=(
            Column("population", "population"),
            Column("model", "model"),
            Column("class", "class"),
            Column("signal", "signal"),
            Column("reset", "reset"),
            Column("parameters", "parameters per step"),
        ),
        rows=tuple(row(population) for population in neurons),
        assumptions=("signal analog: several or graded values in one step, or potentials",),
    )


def _layer_table(network: Network) -> Table:
    from tospike.tables import Column, Table

    spiking = any(layer.neuron for layer in network.synaptic_layers)

    def row(layer: Layer) -> dict[str, str | int | float | None]:
        return {
            "layer": layer.name,
            "kind": layer.kind,
            **({"neuron": layer.neuron} if spiking else {}),
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
            *((Column("neuron", "neuron"),) if spiking else ()),
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


def _example(module: Any, data: Data | None, shape: str | None, batch_dim: int) -> Any:
    """An example input: the first sample, or zeros of ``--shape``; ONNX files may do without."""
    if batch_dim and isinstance(module, str):
        raise OptionError("use --batch-dim without a torch module", fix="leave --batch-dim out")
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

    sample = torch.as_tensor(example)
    if not 0 <= batch_dim < sample.dim():
        raise OptionError(
            f"use --batch-dim {batch_dim} with a sample of shape {tuple(sample.shape[1:])}",
            allowed=f"0 to {sample.dim() - 1}",
        )
    return sample.movedim(0, batch_dim)


def _integers_in_order(text: str) -> tuple[int, ...]:
    try:
        values = tuple(int(part) for part in text.split(","))
    except ValueError:
        values = (0,)
    if min(values) < 1:
        raise OptionError(f"read --shape {text!r}", allowed="positive integers such as 3,224,224")
    return values
