"""The networks of ``tospike bench snn``: random ones at forced densities; see also snn_trained."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from tospike.bench.snn_cases import VGG9_RATES, Case, Layer, Neurons, chain, draw, force
from tospike.kernels.spiking.record import Population, SpikingNetwork

Floats = NDArray[np.float32]

_VGG9: tuple[Layer, ...] = (
    ("conv", 64, 1), ("conv", 64, 1), "P", ("conv", 128, 1), ("conv", 128, 1), "P",
    ("conv", 256, 1), ("conv", 256, 1), ("conv", 256, 1), "P", "F", 1024, 10,
)  # fmt: skip
_DVS: tuple[Layer, ...] = (
    ("conv", 16, 1), "P", ("conv", 32, 1), "P", ("conv", 64, 1), "P", ("conv", 64, 1), "P",
    "F", 128, 11,
)  # fmt: skip
_MLP: tuple[Layer, ...] = (1024, 1024, 10)


def forced(case: Case, wanted: float) -> Case:
    """The same weights and images with thresholds for ``wanted`` spikes in every hidden layer."""
    made = force(case.network, case.inputs, case.timesteps, [wanted] * populations(case.network))
    return replace(made, name=case.name, wanted=wanted)


def populations(network: SpikingNetwork) -> int:
    """Number of populations."""
    return sum(isinstance(node, Population) for node in network.nodes)


def vgg9(wanted: float | None, samples: int, timesteps: int) -> Case:
    """VGG-9 for 32 x 32 images, random weights, input spikes as dense as the hidden ones.

    ``wanted`` None: rates that fall from 0.25 to 0.01 as in a trained network.
    """
    rates = VGG9_RATES if wanted is None else (wanted,) * len(VGG9_RATES)
    network = _random(_VGG9, (3, 32, 32), Neurons())
    inputs = bernoulli((timesteps, samples, 3, 32, 32), rates[0])
    case = force(network, inputs, timesteps, rates[1:])
    profile = "" if wanted is not None else "20 to 1 %, by layer"
    return replace(case, name="VGG-9", wanted=wanted, profile=profile)


def dvs(wanted: float, samples: int, timesteps: int) -> Case:
    """Four convolutions on 128 x 128 event frames, LIF with decay 1/2 and hard reset."""
    network = _random(_DVS, (2, 128, 128), Neurons(decay=0.5, hard=True))
    inputs = events(samples, timesteps)
    case = force(network, inputs, timesteps, [wanted] * populations(network))
    note = f"DVS CNN: {100 * float(inputs.mean()):.1f} % of the inputs are events"
    return replace(case, name="DVS CNN", wanted=wanted, note=note)


def mlp(wanted: float, samples: int, timesteps: int) -> Case:
    """784-1024-1024-10 with random weights, input spikes as dense as the hidden ones."""
    network = _random(_MLP, (784,), Neurons())
    inputs = bernoulli((timesteps, samples, 784), wanted)
    case = force(network, inputs, timesteps, [wanted] * populations(network))
    return replace(case, name="MLP", wanted=wanted)


def _random(layers: Sequence[Layer], shape: tuple[int, ...], neurons: Neurons) -> SpikingNetwork:
    return chain(shape, layers, draw(layers, shape, 0), neurons, constant_input=False)


def bernoulli(shape: tuple[int, ...], rate: float) -> Floats:
    """Independent spikes."""
    return (np.random.default_rng(1).random(shape) < rate).astype(np.float32)


def events(samples: int, timesteps: int, size: int = 128) -> Floats:
    """(T, N, 2, size, size): ON and OFF events of bright discs that move over a dark ground, and
    0.1 % of noise. Emulated, not recorded.
    """
    rng = np.random.default_rng(2)
    y, x = np.mgrid[:size, :size].astype(np.float32)
    frames = np.zeros((timesteps, samples, 2, size, size), np.float32)
    for n in range(samples):
        centre = rng.uniform(0.2, 0.8, (4, 2)) * size
        speed = rng.uniform(-4, 4, (4, 2))
        radius = rng.uniform(0.04, 0.14, 4) * size
        before = None
        for t in range(timesteps + 1):
            bright = np.zeros((size, size), bool)
            for (a, b), r in zip(centre + t * speed, radius, strict=True):
                bright |= (y - a) ** 2 + (x - b) ** 2 < r * r
            if before is not None:
                frames[t - 1, n, 0] = bright & ~before
                frames[t - 1, n, 1] = before & ~bright
            before = bright
    noise = rng.random(frames.shape) < 0.001
    return np.maximum(frames, noise).astype(np.float32)
