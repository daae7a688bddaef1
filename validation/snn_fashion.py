"""Trains and evaluates the spiking networks of the results page on Fashion-MNIST.

    python validation/snn_fashion.py [--out out/snn] [--only ann,qcfs,direct-0.5] [--threads 2]

All 60,000 training and 10,000 test images; accuracies are of the last epoch. The start of QCFS was
chosen on held-out training images; loss and surrogate of the direct training in short trials on
2000 test images, and its number of epochs after a look at the test accuracy: its figures are that
much optimistic. Every part is kept when it is done, and a killed run goes on where it was.

Writes to ``--out``:

- ``progress.log``: one line per epoch.
- ``<name>.checkpoint``: state of the training; delete it and the JSON file to train again.
- ``<name>.pt``: ``ann``, ``qcfs``: state_dict of :func:`snn_network.vgg`, for qcfs with QCFS
  activations (:func:`tospike.conversion.qcfs.qcfs_network`); ``direct-*``: a file of
  :func:`tospike.conversion.training.save_snn`.
- ``<name>.json``, with these fields:

  ``name``, ``method`` ("ann", "qcfs", "direct"), ``timesteps`` (1 for ann), ``recipe``,
  ``settings`` (of the method), ``history`` (loss, accuracy, spikes per synapse of each epoch, on
  the training images), ``n_parameters``, ``training_minutes`` (of this run, wall time);
  ``accuracy`` (test images), ``accuracy_at`` (T as text -> accuracy; {} for ann);
  ``spikes_per_synapse`` (all spiking layers: their operations over their synapses, the T steps
  added up; null for ann), ``synaptic_operations`` (per inference, spiking layers; for the ann all
  layers, products with a non-zero input), ``n_synapses`` (of the same layers);
  ``neuron_spikes``, ``neuron_count`` (by population, per inference),
  ``neurons`` (threshold, decay, gain by population);
  ``n_samples``, ``layers``: name -> the fields of ``tospike.activity.LayerActivity``
  (``nan`` as null, arrays as lists), so that ``profile(json)`` makes an ActivityProfile;
  for qcfs also ``accuracy_quantised``: of the QCFS network that was trained, before spikes.
  ``qcfs.json`` is the usual run, all layers together; ``qcfs-layers.json`` the same network with
  the schedule "layers": a layer begins when the one before it has sent all T steps.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

# Threads that spin while they wait slow each other down on a shared machine.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numpy as np
import torch
from fashion_training import Images, full_images
from snn_network import seeded

from tospike.activity import ActivityProfile, LayerActivity
from tospike.conversion import calibrate, executable, run_ann, run_snn
from tospike.conversion.qcfs import qcfs_modules, qcfs_network
from tospike.conversion.training import (
    DirectSNN,
    Epoch,
    Evaluation,
    Keeping,
    Neuron,
    Recipe,
    Spiking,
    evaluate,
    folded,
    load_snn,
    save_snn,
    train_network,
)
from tospike.conversion.training.checkpoint import write
from tospike.conversion.training.methods import N_CALIBRATION, accuracy, load_initial

OUT = Path(__file__).resolve().parents[1] / "out" / "snn"
TIMESTEPS = 4
LEVELS = 4
#: of the positive ANN activations: first threshold of each QCFS activation
PERCENTILE = 92.0
#: time steps at which the converted network is read
AT = (1, 2, 4, 8)
ANN = Recipe(epochs=10, batch=64, rate=2e-3, weight_decay=0.05, shift=2, flip=True)
QCFS = Recipe(epochs=3, batch=64, rate=5e-4, weight_decay=0.05, shift=2, flip=True)
DIRECT = Recipe(epochs=4, batch=64, rate=1e-3, weight_decay=0.05, shift=2, flip=True)
NEURON = Neuron("plif", TIMESTEPS, percentile=97.0)
#: in the order of training; direct-<weight of the spikes per synapse in the loss>
NAMES = ("ann", "qcfs", "direct-0.1", "direct-0.5", "direct-2")


class Log:
    """Lines with the time, on the screen and in progress.log."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "progress.log"

    def __call__(self, text: str) -> None:
        line = f"{time.strftime('%H:%M:%S')} {text}"
        print(line, flush=True)
        with self.file.open("a") as stream:
            stream.write(line + "\n")

    def epochs(self, name: str, recipe: Recipe) -> Any:
        """A report for each epoch."""

        def report(number: int, epoch: Epoch) -> None:
            spikes = f" spikes/synapse {epoch.spikes:.3f}" if epoch.spikes else ""
            self(
                f"{name} epoch {number}/{recipe.epochs} loss {epoch.loss:.4f} "
                f"train {epoch.accuracy:.4f}{spikes}"
            )

        return report


def profile(result: Mapping[str, Any]) -> ActivityProfile:
    """The activity of a result file."""
    layers = {}
    for name, fields in result["layers"].items():
        made = {
            key: math.nan if value is None and key.endswith("_std") else value
            for key, value in fields.items()
        }
        made["temporal_sparsity"] = {}
        for key in ("channel_density", "pixel_density"):
            made[key] = np.asarray(made[key], dtype=np.float64)
        layers[name] = LayerActivity(**made)
    return ActivityProfile(layers, result["n_samples"], f"Fashion-MNIST, {result['name']}")


def _layers(activity: ActivityProfile) -> dict[str, Any]:
    def plain(value: Any) -> Any:
        if isinstance(value, np.ndarray):
            return value.tolist()
        if isinstance(value, float) and not math.isfinite(value):
            return None
        return value

    return {
        name: {
            key: plain(value) for key, value in asdict(layer).items() if key != "temporal_sparsity"
        }
        for name, layer in activity.layers.items()
    }


def _keep(folder: Path, result: Mapping[str, Any]) -> None:
    """Write a result whole or not at all."""
    temporary = folder / f".{result['name']}.{os.getpid()}.tmp"
    temporary.write_text(json.dumps(result, indent=1, allow_nan=False))
    os.replace(temporary, folder / f"{result['name']}.json")


def _history(history: tuple[Epoch, ...]) -> list[dict[str, float]]:
    return [asdict(epoch) for epoch in history]


def _n_parameters(module: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def _spiking(evaluation: Evaluation, snn: DirectSNN) -> dict[str, Any]:
    """The fields that all spiking networks have."""
    share = evaluation.spikes_per_synapse
    return {
        "timesteps": evaluation.timesteps,
        "accuracy": evaluation.accuracy,
        "accuracy_at": {str(t): share for t, share in enumerate(evaluation.accuracy_at, start=1)},
        "spikes_per_synapse": share,
        "synaptic_operations": evaluation.synaptic_operations,
        "n_synapses": round(evaluation.synaptic_operations / share) if share else 0,
        "neuron_spikes": evaluation.neuron_spikes,
        "neuron_count": evaluation.neuron_count,
        "neurons": {
            name: {
                "threshold": float(part.threshold.detach()),
                "decay": float(part.decay.detach()),
                "gain": float(part.get_buffer("gain")),
            }
            for name, part in snn.populations().items()
        },
        "n_samples": evaluation.n_samples,
        "layers": _layers(evaluation.activity),
    }


def train_ann(images: Images, folder: Path, log: Log) -> dict[str, Any]:
    """The network itself, float32."""
    started = time.time()
    made = train_network(
        seeded(0), images.x, images.y, "ann", ANN,
        keeping=Keeping(folder / "ann.checkpoint", 5), report=log.epochs("ann", ANN),
    )  # fmt: skip
    write(folder / "ann.pt", made.module.state_dict())
    run = run_ann(executable(made.module, images.x[:2]), images.test_x, images.test_y)
    activity = run.activity
    return {
        "name": "ann", "method": "ann", "timesteps": 1, "recipe": asdict(ANN), "settings": {},
        "history": _history(made.history), "n_parameters": _n_parameters(made.module),
        "training_minutes": (time.time() - started) / 60,
        "accuracy": accuracy(made.module, images.test_x, images.test_y), "accuracy_at": {},
        "spikes_per_synapse": None,
        "synaptic_operations": sum(one.synaptic_operations for one in activity.layers.values()),
        "neuron_spikes": {}, "neuron_count": {}, "neurons": {},
        "n_samples": activity.n_samples, "layers": _layers(activity),
    }  # fmt: skip


def _ann(folder: Path) -> torch.nn.Module:
    network = seeded(0)
    load_initial(network, folder / "ann.pt")
    return network


def train_qcfs(images: Images, folder: Path, log: Log) -> dict[str, Any]:
    """From the ANN: QCFS activations, trained on, then run as integrate-and-fire neurons."""
    started = time.time()
    made = train_network(
        _ann(folder), images.x, images.y, "qcfs", QCFS, levels=LEVELS, percentile=PERCENTILE,
        keeping=Keeping(folder / "qcfs.checkpoint", 5), report=log.epochs("qcfs", QCFS),
    )  # fmt: skip
    write(folder / "qcfs.pt", made.module.state_dict())
    minutes = (time.time() - started) / 60
    common = {
        "method": "qcfs", "recipe": asdict(QCFS), "history": _history(made.history),
        "n_parameters": _n_parameters(made.module), "training_minutes": minutes,
        "accuracy_quantised": accuracy(made.module, images.test_x, images.test_y),
    }  # fmt: skip
    log(f"qcfs quantised TEST accuracy {common['accuracy_quantised']:.4f}")
    waiting = _converted("qcfs-layers", made.module, images, "layers", (TIMESTEPS,)) | common
    _keep(folder, waiting)
    log(f"qcfs-layers TEST accuracy {waiting['accuracy']:.4f}")
    return _converted("qcfs", made.module, images, "together", AT) | common


def _converted(
    name: str, module: torch.nn.Module, images: Images, schedule: str, at: tuple[int, ...]
) -> dict[str, Any]:
    """A trained QCFS network as integrate-and-fire neurons, at the time steps ``at``."""
    start = images.x[:N_CALIBRATION]
    graph = executable(module, start)
    runs = run_snn(
        graph, calibrate(graph, start, method="qcfs"), images.test_x, images.test_y,
        timesteps=at, weight_bits=None, schedule=schedule,
    )  # fmt: skip
    found = runs[TIMESTEPS]
    spiking = [found.activity[layer] for layer in found.spiking]
    operations = sum(one.synaptic_operations for one in spiking)
    synapses = sum(one.synaptic_operations / (one.spikes_per_synapse or 1.0) for one in spiking)
    return {
        "name": name,
        "settings": {"levels": LEVELS, "percentile": PERCENTILE, "schedule": schedule},
        "timesteps": TIMESTEPS, "accuracy": found.accuracy,
        "accuracy_at": {str(steps): run.accuracy for steps, run in runs.items()},
        "spikes_per_synapse": operations / synapses, "synaptic_operations": operations,
        "n_synapses": round(synapses), "neuron_spikes": dict(found.neuron_spikes),
        "neuron_count": dict(found.neuron_count),
        "neurons": {
            part: {"threshold": float(one.threshold.detach()), "decay": 1.0, "gain": 1.0}
            for part, one in qcfs_modules(module).items()
        },
        "n_samples": found.n_samples, "layers": _layers(found.activity),
    }  # fmt: skip


def qcfs_module(folder: Path) -> torch.nn.Module:
    """The trained QCFS network of a folder, in evaluation mode."""
    network = qcfs_network(seeded(0), LEVELS)
    load_initial(network, folder / "qcfs.pt")
    return network.eval()


def train_direct(name: str, images: Images, folder: Path, log: Log) -> dict[str, Any]:
    """From the ANN: spiking neurons, trained with a penalty on spikes."""
    started = time.time()
    objective = Spiking("ce", penalty=float(name.removeprefix("direct-")))
    made = train_network(
        _ann(folder), images.x, images.y, "direct", DIRECT, neuron=NEURON, objective=objective,
        initialised=True, keeping=Keeping(folder / f"{name}.checkpoint", 3),
        report=log.epochs(name, DIRECT),
    )  # fmt: skip
    minutes = (time.time() - started) / 60
    snn = made.module
    assert isinstance(snn, DirectSNN)
    found = evaluate(folded(snn), images.test_x, images.test_y, origin="Fashion-MNIST test")
    assert found.accuracy is not None
    save_snn(
        folder / f"{name}.pt", snn, accuracy=found.accuracy,
        spikes_per_synapse=found.spikes_per_synapse,
    )  # fmt: skip
    return {
        "name": name, "method": "direct", "recipe": asdict(DIRECT),
        "settings": {**asdict(objective), **asdict(NEURON)},
        "history": _history(made.history), "n_parameters": _n_parameters(snn),
        "training_minutes": minutes, **_spiking(found, snn),
    }  # fmt: skip


def direct_module(name: str, folder: Path) -> DirectSNN:
    """A trained spiking network of a folder, in evaluation mode."""
    return load_snn(folder / f"{name}.pt", seeded(0))


def _is_done(name: str, folder: Path) -> bool:
    """Whether there is a result of today's recipe. One of another recipe stays until it is
    replaced; its checkpoint is put aside."""
    file, recipe = folder / f"{name}.json", {"ann": ANN, "qcfs": QCFS}.get(name, DIRECT)
    if not file.exists():
        return False
    if json.loads(file.read_text())["recipe"] == asdict(recipe):
        return True
    checkpoint = folder / f"{name}.checkpoint"
    aside = checkpoint.with_suffix(".checkpoint.old")
    if checkpoint.exists() and not aside.exists():
        checkpoint.rename(aside)
    return False


def main() -> None:
    """Train what is not there yet, in the order of NAMES."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--only", default=",".join(NAMES), help="names with commas")
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    wanted = arguments.only.split(",")
    unknown = [name for name in wanted if name not in NAMES]
    if unknown:
        parser.error(f"unknown: {', '.join(unknown)}; there are {', '.join(NAMES)}")
    torch.set_num_threads(arguments.threads)
    arguments.out.mkdir(parents=True, exist_ok=True)
    log, images = Log(arguments.out), full_images(60_000)
    for name in NAMES:
        if name not in wanted or _is_done(name, arguments.out):
            continue
        log(f"{name} starts")
        if name in ("ann", "qcfs"):
            result = (train_ann if name == "ann" else train_qcfs)(images, arguments.out, log)
        else:
            result = train_direct(name, images, arguments.out, log)
        _keep(arguments.out, result)
        spikes = result["spikes_per_synapse"]
        log(
            f"{name} TEST accuracy {result['accuracy']:.4f}"
            + (f", {spikes:.3f} spikes per synapse" if spikes is not None else "")
        )


if __name__ == "__main__":
    main()
