"""Runs the trained Fashion-MNIST networks quantised, converted, in TTFS coding and as hybrids.

    python validation/snn_converted.py [--out out/snn] [--images 10000] [--only qnn,ttfs]

Needs ``ann.pt`` (and ``qcfs.pt``, else its parts are left out) of validation/snn_fashion.py.
Nothing is trained; calibrations see 512 training images and no labels. What is there is not done
again. Writes to ``--out``, with the fields of validation/snn_fashion.py and ``spiking`` (layers
whose synapses receive spikes), ``neuron`` ("if_inst", "if_cont"), ``activation_bits``:

``qnn-<bits>.json``; ``converted-<rule>-<T>.json``; ``ttfs-<network>-<T>.json``;
``hybrid-<network>-<spiking layers>-<T>.json``.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from fashion_training import Images, full_images
from snn_conversion import ROWS, Setting, measured
from snn_conversion import Row as Rule
from snn_fashion import OUT, _layers, qcfs_module
from snn_network import seeded
from torch import nn

import tospike
from tospike.conversion import calibrate, executable, run_ann, run_qnn, run_snn
from tospike.conversion.calibration import Calibration, with_method
from tospike.conversion.graph import ExecutableGraph
from tospike.conversion.result import RunResult
from tospike.conversion.training.methods import load_initial
from tospike.conversion.ttfs import run_ttfs
from tospike.errors import TospikeError
from tospike.reporting.write import write_atomically

N_CALIBRATION = 512
BITS = (1, 2, 3, 4, 6, 8)
TIMESTEPS = (1, 2, 4, 8, 16, 32)
#: names of the results page -> rules of validation/snn_conversion.py
RULES = {
    "maxnorm": "max, per layer",
    "percentile": "percentile, per layer",
    "percentile-channel": "percentile",
    "fit": "percentile, fit",
    "calibration": "mse, weights",
}
TTFS = (1, 2, 4, 8)
#: time steps of the hybrids, and how many are run
HYBRID_T, HYBRIDS, CHOOSING = 4, 3, 1000
PARTS = ("qnn", "converted", "ttfs", "hybrid")


@dataclass(frozen=True)
class Network:
    """One trained network with its graph and calibration. ``method`` of the calibration;
    ``sha256`` of the file of its weights, which its results name."""

    name: str
    module: nn.Module
    images: Images
    method: str
    sha256: str

    @cached_property
    def graph(self) -> ExecutableGraph:
        """The network as it is converted."""
        return executable(self.module, self.images.x[:4])

    @cached_property
    def calibration(self) -> Calibration:
        """On training images."""
        return calibrate(self.graph, self.images.x[:N_CALIBRATION], method=self.method)  # type: ignore[arg-type]

    @cached_property
    def classes(self) -> np.ndarray:
        """What the float network answers."""
        found = run_ann(self.graph, self.images.test_x).classes
        assert found is not None
        return found

    def at(self, timesteps: int) -> Calibration:
        """The calibration for so many steps: moved weights, but a QCFS network keeps its own."""
        if self.method == "qcfs":
            return self.calibration
        return with_method(
            self.graph, self.calibration, "mse", timesteps=timesteps, correction="weights"
        )


def networks(folder: Path, images: Images) -> list[Network]:
    """The trained networks that lie in the folder."""
    ann = seeded(0)
    load_initial(ann, folder / "ann.pt")
    found = [Network("ann", ann.eval(), images, "percentile", digest(folder / "ann.pt"))]
    if (folder / "qcfs.json").is_file():
        sha256 = digest(folder / "qcfs.pt")
        found.append(Network("qcfs", qcfs_module(folder), images, "qcfs", sha256))
    return found


def digest(path: Path) -> str:
    """sha256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def result(
    name: str,
    method: str,
    network: Network,
    run: RunResult,
    neuron: str = "if_inst",
    **settings: object,
) -> dict[str, Any]:
    """A run with the fields of a result file."""
    spiking = [run.activity[layer] for layer in run.spiking]
    operations = sum(one.synaptic_operations for one in spiking)
    synapses = sum(one.synaptic_operations / (one.spikes_per_synapse or 1.0) for one in spiking)
    return {
        "name": name, "method": method, "settings": settings, "network": network.name,
        "network_sha256": network.sha256, "timesteps": run.timesteps,
        "accuracy": run.accuracy, "n_samples": run.n_samples, "neuron": neuron,
        "activation_bits": run.activation_bits, "spiking": list(run.spiking),
        "spikes_per_synapse": operations / synapses if synapses else None,
        "synaptic_operations": operations, "n_synapses": round(synapses),
        "neuron_spikes": dict(run.neuron_spikes), "neuron_count": dict(run.neuron_count),
        "layers": _layers(run.activity), "notes": list(run.notes),
    }  # fmt: skip


def sha256_of(path: Path) -> str:
    """Of the weights that a result rests on."""
    return str(json.loads(path.read_bytes())["network_sha256"])


class Folder:
    """Result files of one folder. A part that is there is not run again, unless it is of fewer
    test images or its network has been trained anew since."""

    def __init__(self, path: Path, say: Callable[[str], None]) -> None:
        self.path, self.say = path, say

    def has(self, name: str, network: Network) -> bool:
        """Whether the result of this network is there."""
        path = self.path / f"{name}.json"
        if not path.is_file() or sha256_of(path) != network.sha256:
            return False
        return int(json.loads(path.read_bytes())["n_samples"]) >= len(network.images.test_x)

    def keep(self, made: dict[str, Any]) -> None:
        """Write a result whole or not at all."""
        text = json.dumps(made, indent=1, allow_nan=False) + "\n"
        write_atomically(self.path / f"{made['name']}.json", text.encode())
        spikes = made["spikes_per_synapse"]
        self.say(
            f"{made['name']}: accuracy {made['accuracy']:.4f}"
            + (f", {spikes:.3f} spikes per synapse" if spikes is not None else "")
        )


def quantised(network: Network, folder: Folder) -> None:
    """The ANN at each width of activations, 8-bit weights."""
    for bits in BITS:
        name = f"qnn-{bits}"
        if not folder.has(name, network):
            run = run_qnn(
                network.graph, network.calibration, network.images.test_x, network.images.test_y,
                activation_bits=bits, float_classes=network.classes,
            )  # fmt: skip
            folder.keep(result(name, "qnn", network, run))


def converted(network: Network, folder: Folder, timesteps: Sequence[int] = TIMESTEPS) -> None:
    """Every rule of the conversion at every T."""
    rules: dict[str, Rule] = {row.name: row for row in ROWS}
    setting: Setting | None = None
    for key, rule in RULES.items():
        missing = tuple(t for t in timesteps if not folder.has(f"converted-{key}-{t}", network))
        if not missing:
            continue
        if setting is None:
            fitting = network.images.x[:N_CALIBRATION]
            calibrations = {
                kind: calibrate(network.graph, fitting, granularity=kind)  # type: ignore[arg-type]
                for kind in ("channel", "layer")
            }
            setting = Setting(
                network.graph, network.images.test_x, network.images.test_y, network.classes,
                calibrations,
            )  # fmt: skip
        for group in [(t,) for t in missing] if rules[rule].alone else [missing]:
            for t, run in measured(setting, rules[rule], group).items():
                folder.keep(result(f"converted-{key}-{t}", "converted", network, run, rule=rule))


def first_spike(network: Network, folder: Folder, timesteps: Sequence[int] = TTFS) -> None:
    """Time-to-first-spike coding; IF neurons with continuous synapses."""
    for t in (4,) if network.name == "qcfs" else timesteps:
        name = f"ttfs-{network.name}-{t}"
        if folder.has(name, network):
            continue
        given = network.graph, network.at(t), network.images.test_x, network.images.test_y
        bits = None if network.name == "qcfs" else 8
        run = run_ttfs(
            *given, timesteps=(t,), weight_bits=bits, float_classes=network.classes
        )[t]  # fmt: skip
        folder.keep(result(name, "ttfs", network, run, "if_cont"))


def partitions(network: Network) -> Iterator[tuple[str, ...]]:
    """Spiking layers of the cheapest hybrids that ``tospike.decide`` finds on some test images."""
    x = network.images.test_x[:CHOOSING]
    module = network.module
    decision = tospike.decide(
        tospike.load(module, x[:1]), tospike.measure(module, x), model=module, data=x,
        labels=network.images.test_y[:CHOOSING], calibration=network.images.x[:N_CALIBRATION],
        timesteps=(HYBRID_T,), hybrids=HYBRIDS, samples=256, models=None,
    )  # fmt: skip
    for one in decision.implementations:
        if one.mode == "hybrid":
            yield tuple(name for name, mode in one.partition.items() if mode == "snn")


def hybrids(network: Network, folder: Folder) -> None:
    """The hybrids of one network at T = 4, all test images."""
    done = folder.path / f"hybrid-{network.name}.done"
    mark = f"{network.sha256} {len(network.images.test_x)}"
    if done.is_file() and done.read_text() == mark:
        return
    for old in folder.path.glob(f"hybrid-{network.name}-*.json"):
        if sha256_of(old) != network.sha256:
            old.unlink()
    for layers in partitions(network):
        name = f"hybrid-{network.name}-{'+'.join(layers)}-{HYBRID_T}"
        if folder.has(name, network):
            continue
        run = run_snn(
            network.graph, network.at(HYBRID_T), network.images.test_x, network.images.test_y,
            timesteps=(HYBRID_T,), spiking=layers, float_classes=network.classes,
        )[HYBRID_T]  # fmt: skip
        folder.keep(result(name, "hybrid", network, run))
    write_atomically(done, mark.encode())


def arguments(given: Sequence[str] | None) -> argparse.Namespace:
    """Command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--images", type=int, default=10_000, help="test images, from the first")
    parser.add_argument("--only", default=",".join(PARTS), help="parts with commas")
    asked = parser.parse_args(given)
    unknown = [part for part in asked.only.split(",") if part not in PARTS]
    if unknown:
        parser.error(f"unknown: {', '.join(unknown)}; there are {', '.join(PARTS)}")
    return asked


def main(given: Sequence[str] | None = None) -> int:
    """Status 0, or 2 with a message on a user's error."""
    asked = arguments(given)
    torch.set_num_threads(1)
    begin = time.monotonic()

    def say(text: str) -> None:
        print(f"[{time.monotonic() - begin:6.0f} s] {text}", flush=True)

    try:
        whole = full_images(60_000)
        images = Images(
            whole.x, whole.y, whole.test_x[: asked.images], whole.test_y[: asked.images], ""
        )
        found = networks(asked.out, images)
        folder = Folder(asked.out, say)
        wanted = asked.only.split(",")
        if "qnn" in wanted:
            quantised(found[0], folder)
        for network in found:
            if "ttfs" in wanted:
                first_spike(network, folder)
            if "hybrid" in wanted:
                hybrids(network, folder)
        if "converted" in wanted:
            converted(found[0], folder)
    except TospikeError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
