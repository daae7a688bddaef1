"""Spikes per layer of the demo's networks, converted to spiking ones and run."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from demo_models import fashion_mnist, vgg16_trunk
from numpy.typing import NDArray
from trunk_sparsity import crops, photographs

from tospike.conversion import calibrate, executable, run_ann, run_snn
from tospike.conversion.result import RunResult
from tospike.papers.measured import SpikingNetwork

Array = NDArray[np.float32]


def _record(
    name: str,
    result: RunResult,
    order: Sequence[str],
    note: str,
    float_result: RunResult,
) -> SpikingNetwork:
    """One record from one run; only layers whose inputs are spikes, in the network's order."""
    profile = result.activity
    layers = [layer for layer in order if profile[layer].spikes_per_synapse is not None]
    analog = [layer for layer in order if layer not in layers]
    error = None
    if result.outputs is not None and float_result.outputs is not None:
        exact = float_result.outputs
        error = float(np.linalg.norm(result.outputs - exact) / np.linalg.norm(exact))
    return SpikingNetwork(
        name=name,
        timesteps=result.timesteps,
        layers=tuple(layers),
        spikes_per_synapse=tuple(float(profile[k].spikes_per_synapse or 0.0) for k in layers),
        spikes_per_neuron=tuple(float(profile[k].spikes_per_neuron or 0.0) for k in layers),
        n_samples=result.n_samples,
        accuracy=result.accuracy,
        note=f"{note} Inputs that are not spikes, left out: {', '.join(analog)}.",
        float_accuracy=float_result.accuracy,
        agreement=result.agreement,
        relative_error=error,
    )


def fashion(
    timesteps: Sequence[int], n_samples: int, n_calibration: int, report: Callable[[str], None]
) -> list[SpikingNetwork]:
    """The demo's Fashion-MNIST network on evenly chosen embedded test images."""
    demo = fashion_mnist()
    with np.load(demo.HERE / "calibration.npz") as file:
        calibration = file["x"][:n_calibration]
    with np.load(demo.HERE / "test.npz") as file:
        chosen = np.linspace(0, len(file["y"]) - 1, n_samples).astype(int)
        x, y = file["x"][chosen], file["y"][chosen]
    note = (
        f"Converted by ts.convert's method (8-bit weights, {n_calibration} calibration images), "
        f"run on {n_samples} test images."
    )
    model = demo.trained_cnn()
    order = [name for name, m in model.named_modules() if isinstance(m, _SYNAPTIC)]
    return _converted(
        "Fashion-MNIST CNN", model, order, (calibration, x, y), timesteps, note, report
    )


def trunk(
    timesteps: Sequence[int], n_samples: int, n_calibration: int, report: Callable[[str], None]
) -> list[SpikingNetwork]:
    """The VGG-16 trunk on photographs that were not calibrated on. It has no classifier."""
    paths = photographs()
    squares = np.stack([crops(path, 1)[0] for path in paths])
    calibration = squares[n_samples : n_samples + n_calibration]
    x = squares[:n_samples]
    names = [path.name for path in paths]
    note = (
        "No classifier, so no accuracy. Converted by ts.convert's method (8-bit weights), "
        f"calibrated on {', '.join(names[n_samples : n_samples + n_calibration])}, run on "
        f"{', '.join(names[:n_samples])}."
    )
    model = vgg16_trunk().trunk()
    order = [name for name, m in model.named_modules() if isinstance(m, _SYNAPTIC)]
    return _converted("VGG-16 trunk", model, order, (calibration, x, None), timesteps, note, report)


_SYNAPTIC = (torch.nn.Conv2d, torch.nn.Linear)


def _converted(
    name: str,
    model: torch.nn.Module,
    order: Sequence[str],
    data: tuple[Array, Array, NDArray[np.int64] | None],
    timesteps: Sequence[int],
    note: str,
    report: Callable[[str], None],
) -> list[SpikingNetwork]:
    calibration, x, y = data
    graph = executable(model, calibration)
    reference = run_ann(graph, x, y, keep_outputs=True)
    results = run_snn(
        graph,
        calibrate(graph, calibration),
        x,
        y,
        timesteps=timesteps,
        keep_outputs=True,
        float_classes=reference.classes,
    )
    report(f"{name} converted, run at T = {', '.join(map(str, timesteps))}")
    return [_record(name, result, order, note, reference) for _, result in sorted(results.items())]
