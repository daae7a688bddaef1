"""A trained network for ``tospike bench snn``: as it was trained, put on the grid."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tospike.bench.snn_cases import (
    PIXEL,
    Case,
    off_grid,
    on_grid,
    scalar,
    settle,
    with_threshold,
)
from tospike.bench.snn_peers import Setting, torch_run
from tospike.errors import DataError, ModelError
from tospike.kernels.spiking.record import Node, Population, SpikingNetwork, Sum, Synapses

Floats = NDArray[np.float32]

#: test images of which the accuracy is told, and how many run at once
SCORED, _PART = 1000, 50
#: leaks that every tool computes exactly: SpikingJelly divides by tau = 1 / (1 - decay)
DECAYS = (0.5, 0.75, 0.875, 1.0)
#: activations at this percentile fire at every step, where an ANN is converted here
PERCENTILE = 97.0


@dataclass(frozen=True)
class Source:
    """Where trained weights and images come from.

    model : file.py:factory of the network that ``state`` belongs to. state : a file of ``tospike
    train`` (or ``save_snn``), or the state_dict of the network with ReLU or QCFS activations.
    images : .npz with x (N, ...) in [0, 1] and labels y (N,).
    """

    model: str
    state: Path
    images: Path

    @property
    def name(self) -> str:
        return f"Fashion-MNIST {self.state.stem}"


def demo(folder: Path) -> Source:
    """The CNN of the demo."""
    return Source(f"{folder / 'model.py'}:cnn", folder / "cnn.pt", folder / "test.npz")


def trained(source: Source, samples: int, timesteps: int) -> tuple[Case, Case] | str:
    """(as it was trained, the same network and inputs for forced densities), or why not."""
    if not source.state.is_file():
        return f"no checkpoint {source.state}"
    images, labels = _images(source.images)
    network, units = exact(_record(source, images, timesteps))
    thresholds = {
        node.name: float(node.threshold) for node in network.nodes if isinstance(node, Population)
    }

    def choose(population: Population, _: Floats) -> Population:
        theta = off_grid(thresholds[population.name], units[population.name])
        return with_threshold(population, theta)

    case = settle(source.name, network, images[:samples], timesteps, choose)
    run = torch_run(Setting(case.network, timesteps, _PART, 1))
    right, last = 0, min(SCORED, len(images))
    for start in range(0, last, _PART):
        out = run(images[start : min(last, start + _PART)], None)
        right += int((out.argmax(axis=1) == labels[start : start + len(out)]).sum())
    decays = {float(node.decay) for node in network.nodes if isinstance(node, Population)}
    note = (
        f"{case.name}: accuracy {100 * right / last:.1f} % on {last} test images at T = {timesteps}"
        f", decay of the potentials {', '.join(f'{one:g}' for one in sorted(decays))} (rounded to "
        "1 - 2^-k, which all tools compute exactly)"
    )
    plain = replace(
        network,
        nodes=tuple(
            replace(node, threshold=scalar(units[node.name]))
            if isinstance(node, Population)
            else node
            for node in network.nodes
        ),
    )
    return replace(case, note=note), Case(case.name, plain, case.inputs, timesteps, None, {})


def _images(path: Path) -> tuple[Floats, NDArray[np.int64]]:
    """Test images, multiples of 1 / 256, and labels."""
    try:
        with np.load(path) as file:
            x, y = file["x"], file["y"]
    except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise DataError(f"read {path}", received=str(error), allowed="an .npz with x, y") from error
    return (np.round(x * 255) * PIXEL).astype(np.float32), y.astype(np.int64)


def _record(source: Source, images: Floats, timesteps: int) -> SpikingNetwork:
    import torch

    from tospike.conversion.training import Neuron, direct_snn, load_snn, spiking_record
    from tospike.network.importers.factory import module_from_factory

    model = module_from_factory(source.model).eval()
    # Images of 0 to 255 / 256, as all that follows sees them.
    start = torch.from_numpy(images[-256:])
    try:
        state = torch.load(source.state, map_location="cpu", weights_only=True)
    except Exception as error:  # damaged bytes raise a dozen types
        raise ModelError(f"read {source.state}", received=f"{error}") from error
    if "format" in state:
        return spiking_record(load_snn(source.state, model))
    if any(key.endswith(".threshold") for key in state):
        model = _qcfs(model, state)
    model.load_state_dict(state)
    neuron = Neuron("if", timesteps, start=0.5, percentile=PERCENTILE)
    return spiking_record(direct_snn(model.eval(), neuron, start, calibration_data=start))


def _qcfs(model: Any, state: Mapping[str, Any]) -> Any:
    from tospike.conversion.qcfs import qcfs_network

    # The number of levels does not change the neurons: T takes its place.
    return qcfs_network(model, 4)


def exact(network: SpikingNetwork) -> tuple[SpikingNetwork, dict[str, float]]:
    """(the network with weights, biases and decays that float32 computes exactly, population ->
    grid of its currents). The gain of a population goes into the weights before it.

    Raises
    ------
    ModelError
        The network is no chain.
    """
    if any(isinstance(node, Sum) or len(node.inputs) != 1 for node in network.nodes):
        raise ModelError("time a spiking network", received="branches", allowed="a chain of layers")
    gains = {
        node.inputs[0]: float(node.gain) for node in network.nodes if isinstance(node, Population)
    }
    nodes: list[Node] = []
    units: dict[str, float] = {}
    grid = 1.0
    # Pixels of 1 / 255 have become 1 / 256.
    unit, stretch = (PIXEL, 256 / 255) if network.constant_input else (1.0, 1.0)
    for node in network.nodes:
        if isinstance(node, Synapses):
            gain = gains.get(node.name, 1.0)
            weight, grid = on_grid((node.weight * gain * stretch).astype(np.float32))
            grid *= unit
            bias = node.bias
            if bias is not None:
                bias = (np.round(bias * gain / grid) * grid).astype(np.float32)
            node = replace(node, weight=weight, bias=bias)
            unit, stretch = 1.0, 1.0
        elif isinstance(node, Population):
            units[node.name] = grid
            near = np.argmin(np.abs(np.array(DECAYS) - float(node.decay)))
            node = replace(node, decay=scalar(DECAYS[near]), gain=scalar(1))
        nodes.append(node)
    return replace(network, nodes=tuple(nodes)), units
