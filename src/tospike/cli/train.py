"""``tospike train``: the network itself, with QCFS activations, or directly as a spiking one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tospike.cli.common import (
    DataPath,
    Format,
    Json,
    Model,
    check_format,
    load_model,
    print_as,
    print_json,
    progress_bars,
    read,
)
from tospike.errors import DataError, OptionError

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from tospike.activity.data import Data
    from tospike.conversion.training import Epoch, Evaluation, Neuron, Recipe, Spiking, Trained
    from tospike.tables import Table

_METHODS = ("ann", "qcfs", "direct")


@dataclass(frozen=True)
class _Result:
    """What a training gave, for showing it."""

    method: str
    history: tuple[Epoch, ...]
    accuracy: float | None
    evaluation: Evaluation | None
    neurons: tuple[dict[str, Any], ...]
    file: Path
    notes: tuple[str, ...]


def train(
    model: Model,
    method: Annotated[str, typer.Option(help="ann, qcfs or direct.")],
    out: Annotated[Path, typer.Option(help="Trained weights, .pt.")],
    data: DataPath = None,
    labels: Annotated[Path | None, typer.Option(help="Labels: .npy .npz .txt .csv.")] = None,
    test: Annotated[Path | None, typer.Option(help="Test samples, in the same forms.")] = None,
    test_labels: Annotated[Path | None, typer.Option(help="Labels of the test samples.")] = None,
    initial: Annotated[
        Path | None, typer.Option(help="state_dict.pt of a trained ANN to start from.")
    ] = None,
    epochs: Annotated[int, typer.Option(help="Passes over the data.")] = 10,
    batch: Annotated[int, typer.Option(help="Samples per step.")] = 64,
    rate: Annotated[float, typer.Option(help="Peak learning rate of AdamW.")] = 1e-3,
    weight_decay: Annotated[float, typer.Option(help="Of weights, not of biases.")] = 1e-2,
    shift: Annotated[int, typer.Option(help="Move images by up to so many pixels.")] = 0,
    flip: Annotated[bool, typer.Option(help="Mirror images at random.")] = False,
    seed: Annotated[int, typer.Option(help="Of everything random.")] = 0,
    levels: Annotated[int, typer.Option(help="L of qcfs.")] = 4,
    percentile: Annotated[
        float | None,
        typer.Option(help="Of activations, first threshold; default: qcfs 94, direct 97."),
    ] = None,
    timesteps: Annotated[int, typer.Option(help="T of direct.")] = 4,
    neuron: Annotated[str, typer.Option(help="if, lif or plif (leak trained per layer).")] = "plif",
    decay: Annotated[float, typer.Option(help="Potential left after a step; start of plif.")] = 0.9,
    surrogate: Annotated[str, typer.Option(help="Gradient: atan or triangle.")] = "atan",
    loss: Annotated[str, typer.Option(help="ce, or tet: over the outputs of each step.")] = "tet",
    penalty: Annotated[float, typer.Option(help="Weight of spikes per synapse in the loss.")] = 0.0,
    target: Annotated[float, typer.Option(help="Spikes per synapse that are free.")] = 0.0,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on from <out>.checkpoint if it is there.")
    ] = False,
    minutes: Annotated[float, typer.Option(help="Minutes between checkpoints.")] = 5.0,
    threads: Annotated[int | None, typer.Option(help="Default: all.", show_default=False)] = None,
    as_json: Json = False,
    format: Format = None,
) -> None:
    """Train a network on labelled samples; a killed training goes on with --resume."""
    check_format(format, as_json)
    wrong = _wrong(method, data, test, test_labels, out, minutes, threads)
    if wrong:
        raise OptionError("train with these options", fix="mend what is listed", reasons=wrong)
    _set_threads(threads)
    from tospike.conversion.training import Neuron, Recipe, Spiking

    recipe = Recipe(epochs, batch, rate, weight_decay, shift=shift, flip=flip, seed=seed)
    cut = Neuron.percentile if percentile is None else percentile
    neurons = Neuron(neuron, timesteps, decay=decay, surrogate=surrogate, percentile=cut)
    objective = Spiking(loss, penalty=penalty, target=target)
    held, tested = _labelled(data, labels), _labelled(test, test_labels)
    assert held is not None
    network = _network(model, initial, seed)
    with progress_bars(as_json) as bar:
        made = _train(
            network, held, method, recipe, levels, percentile, neurons, objective,
            initial is not None, _keeping(out, minutes, resume), bar,
        )  # fmt: skip
        result = _write(method, made, tested, out, bar)
    _show(result, as_json, format)


def _wrong(
    method: str,
    data: Path | None,
    test: Path | None,
    test_labels: Path | None,
    out: Path,
    minutes: float,
    threads: int | None,
) -> list[str]:
    """Everything that does not fit together, before anything is read."""
    found = []
    if method not in _METHODS:
        found.append(f"--method is {method!r}; there are {', '.join(_METHODS)}")
    if data is None:
        found.append("--data is needed: labelled samples to train on")
    if test_labels is not None and test is None:
        found.append("--test-labels without --test")
    if out.suffix != ".pt":
        found.append(f"--out is {out.name!r}; a name that ends in .pt is needed")
    if not out.parent.is_dir():
        found.append(f"the folder of --out does not exist: {out.parent}")
    if not 0 <= minutes < 1e6:
        found.append(f"--minutes is {minutes}; it must be at least 0")
    if threads is not None and threads < 1:
        found.append(f"--threads is {threads}; it must be at least 1")
    return found


def _set_threads(threads: int | None) -> None:
    if threads is not None:
        import torch

        torch.set_num_threads(threads)


def _labelled(path: Path | None, labels: Path | None) -> Data | None:
    found = read(path, labels)
    if found is None:
        return None
    reasons = []
    if found.y is None:
        reasons.append("there are no labels")
    if found.x.dtype.kind != "f":
        reasons.append(f"the samples are of type {found.x.dtype}; floats or uint8 are needed")
    if reasons:
        raise DataError(
            f"train on the data {found.origin!r}",
            fix="give .npz with x and y, or --labels / --test-labels",
            reasons=reasons,
        )
    return found


def _network(model: str, initial: Path | None, seed: int) -> torch.nn.Module:
    import torch

    from tospike.conversion.training.methods import load_initial

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = load_model(model, None)
    if not isinstance(network, torch.nn.Module):
        raise OptionError(
            f"train {model!r}",
            received="no torch module",
            allowed="file.py:factory or package.module:factory",
            fix="ONNX files and zoo topologies cannot be trained",
        )
    if initial is not None:
        load_initial(network, initial)
    return network


def _keeping(out: Path, minutes: float, resume: bool) -> Any:
    from tospike.conversion.training import Keeping

    return Keeping(out.with_name(f"{out.name}.checkpoint"), minutes, resume)


def _train(
    network: torch.nn.Module,
    held: Data,
    method: str,
    recipe: Recipe,
    levels: int,
    percentile: float | None,
    neurons: Neuron,
    objective: Spiking,
    initialised: bool,
    keeping: Any,
    bar: Callable[[str, int, int], None] | None,
) -> Trained:
    from tospike.conversion.training import train_network
    from tospike.conversion.training.methods import QCFS_PERCENTILE

    x, y = _tensors(held)
    return train_network(
        network, x, y, method, recipe, levels=levels,
        percentile=QCFS_PERCENTILE if percentile is None else percentile,
        neuron=neurons, objective=objective, initialised=initialised, keeping=keeping,
        progress=_steps(bar, "training"),
    )  # fmt: skip


def _steps(
    bar: Callable[[str, int, int], None] | None, stage: str
) -> Callable[[int, int], None] | None:
    if bar is None:
        return None
    return lambda done, total: bar(stage, done, total)


def _tensors(held: Data) -> tuple[Tensor, Tensor]:
    import torch

    assert held.y is not None
    return torch.tensor(held.x), torch.tensor(held.y)


def _write(
    method: str,
    made: Trained,
    tested: Data | None,
    out: Path,
    bar: Callable[[str, int, int], None] | None,
) -> _Result:
    """Evaluate on test data, and write the weights."""
    from tospike.conversion.training import DirectSNN, evaluate, folded, save_snn
    from tospike.conversion.training.checkpoint import write
    from tospike.conversion.training.methods import accuracy

    found, evaluation = None, None
    neurons: tuple[dict[str, Any], ...] = ()
    if isinstance(made.module, DirectSNN):
        numbers = {}
        if tested is not None:
            x, y = _tensors(tested)
            evaluation = evaluate(
                folded(made.module), x, y, origin=tested.origin, progress=_steps(bar, "test")
            )
            found = evaluation.accuracy
            assert found is not None
            numbers = {
                "accuracy": found, "spikes_per_synapse": evaluation.spikes_per_synapse
            }  # fmt: skip
        save_snn(out, made.module, **numbers)
        neurons = tuple(
            {
                "name": name,
                "kind": part.kind,
                "threshold": float(part.threshold.detach()),
                "decay": float(part.decay.detach()),
            }
            for name, part in made.module.populations().items()
        )
    else:
        if tested is not None:
            found = accuracy(made.module, *_tensors(tested))
        write(out, made.module.state_dict())
    notes = () if tested is None else tested.notes
    return _Result(method, made.history, found, evaluation, neurons, out, notes)


def _rows(result: _Result) -> list[dict[str, Any]]:
    if result.evaluation is None:
        return []
    return [
        {
            "layer": name,
            "signal": one.signal,
            "zero_fraction": one.zero_fraction,
            "synaptic_operations": one.synaptic_operations,
            "spikes_per_synapse": one.spikes_per_synapse,
        }
        for name, one in result.evaluation.activity.layers.items()
    ]


def _as_dict(result: _Result) -> dict[str, Any]:
    last = result.evaluation
    return {
        "method": result.method,
        "epochs": [
            {"loss": one.loss, "training_accuracy": one.accuracy, "spikes_per_synapse": one.spikes}
            for one in result.history
        ],
        "test_accuracy": result.accuracy,
        "test_accuracy_at": None if last is None else list(last.accuracy_at),
        "spikes_per_synapse": None if last is None else last.spikes_per_synapse,
        "synaptic_operations": None if last is None else last.synaptic_operations,
        "layers": _rows(result),
        "neurons": list(result.neurons),
        "file": str(result.file),
        "notes": list(result.notes),
    }


def _tables(result: _Result) -> list[Table]:
    from tospike.tables import Column, Table

    direct = result.method == "direct"
    columns = [Column("epoch", "epoch"), Column("loss", "loss"), Column("accuracy", "accuracy")]
    if direct:
        columns.append(Column("spikes", "spikes per synapse"))
    epochs = Table(
        "training",
        f"Training with method {result.method}: means over the training samples of each epoch",
        tuple(columns),
        tuple(
            {"epoch": number, "loss": one.loss, "accuracy": one.accuracy}
            | ({"spikes": one.spikes} if direct else {})
            for number, one in enumerate(result.history, start=1)
        ),
        assumptions=("Spikes are added up over all time steps",) if direct else (),
    )
    rows = _rows(result)
    if not rows:
        return [epochs]
    layers = Table(
        "test_activity",
        "Activity on the test samples, mean per inference",
        (
            Column("layer", "layer"),
            Column("signal", "signal"),
            Column("zero_fraction", "zero fraction"),
            Column("synaptic_operations", "synaptic operations"),
            Column("spikes_per_synapse", "spikes per synapse"),
        ),
        tuple(rows),
    )
    return [epochs, layers]


def _show(result: _Result, as_json: bool, format: str | None) -> None:
    if as_json:
        print_json(_as_dict(result))
        return
    tables = _tables(result)
    if format is not None:
        print_as(tables, format)
        return
    from tospike.tables import print_tables

    print_tables(tables)
    if result.accuracy is not None:
        typer.echo(f"test accuracy {100 * result.accuracy:.2f} %")
    if result.evaluation is not None:
        typer.echo(
            f"{result.evaluation.spikes_per_synapse:.3g} spikes per synapse, "
            f"{result.evaluation.synaptic_operations:,.0f} synaptic operations per inference"
        )
    typer.echo(f"written: {result.file}")
