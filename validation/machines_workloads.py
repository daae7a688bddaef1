"""What the machines run: real networks on real data, and published topologies."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache

import delta_audio as audio
import numpy as np
import torch
from demo_models import fashion_mnist, vgg16_trunk
from numpy.typing import NDArray

import tospike as ts
from tospike.activity import ActivityProfile, LayerActivity
from tospike.conversion.traces import spike_traces
from tospike.machines import Workload
from tospike.machines.workload import activity_of, check_traces

#: T of the converted Fashion-MNIST network and of the trunk
T_CNN, T_TRUNK = 8, 4
THETA = 1 / 16
SNR = 5.0


@dataclass(frozen=True)
class Case:
    """One network with its activity, for the tables.

    evidence : where the activity comes from: "measured" (real data here), "published", "assumed".
    """

    name: str
    workload: Workload
    evidence: str
    note: str = ""


@cache
def trunk_photo(number: int) -> Case:
    """The trained VGG-16 trunk on one photograph, with its real feature maps."""
    demo = vgg16_trunk()
    photo = demo.photos()[number : number + 1]
    name = demo.PHOTOS[number].partition(".")[0]
    return Case("VGG-16 trunk", ts.workload(demo.trunk(), photo), "measured", name)


@cache
def trunk_spikes() -> Case:
    """The trunk converted to spikes: calibrated on two photographs, run on another."""
    demo = vgg16_trunk()
    photos = demo.photos(3)
    x, model = photos[:1], demo.trunk()
    converted = ts.convert(model, "snn", calibration_data=photos[1:3], timesteps=T_TRUNK)
    with torch.no_grad():
        exact = model(torch.from_numpy(x))
    error = float((converted(x) - exact).norm() / exact.norm())
    network = ts.load(model, torch.from_numpy(x))
    work = Workload(network, converted.run(x).activity, spike_traces(converted, x))
    note = (
        f"The trunk has no classifier, so there is no accuracy: at T = {T_TRUNK} the last map of "
        f"its conversion is off by {100 * error:.0f} % of its norm."
    )
    return Case("VGG-16 trunk, converted to an SNN", work, "measured", note)


def fashion_data() -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """(test images, calibration images) of Fashion-MNIST, as the demo embeds them."""
    demo = fashion_mnist()
    with np.load(demo.HERE / "calibration.npz") as file:
        calibration = file["x"]
    with np.load(demo.HERE / "test.npz") as file:
        return file["x"], calibration


@cache
def fashion(batch: int = 1) -> Case:
    """The Fashion-MNIST CNN, as it is."""
    x, _ = fashion_data()
    work = ts.workload(fashion_mnist().trained_cnn(), x[:64], batch=batch)
    return Case("Fashion-MNIST CNN", work, "measured", "64 test images")


@cache
def fashion_spikes(batch: int = 1) -> Case:
    """The same network, converted to spikes."""
    x, calibration = fashion_data()
    work = ts.spiking_workload(
        fashion_mnist().trained_cnn(), x[:64], timesteps=T_CNN, batch=batch,
        calibration=calibration,
    )  # fmt: skip
    return Case("Fashion-MNIST CNN, converted to an SNN", work, "measured", f"T = {T_CNN}")


def fashion_accuracies(n: int = 500) -> tuple[float, float, int]:
    """(ANN, SNN, images): share of the first test images that each gets right."""
    demo = fashion_mnist()
    _, calibration = fashion_data()
    with np.load(demo.HERE / "test.npz") as file:
        x, y = file["x"][:n], file["y"][:n]
    model = demo.trained_cnn()
    converted = ts.convert(model, "snn", calibration_data=calibration, timesteps=T_CNN)
    with torch.no_grad():
        right = (model(torch.from_numpy(x)).argmax(dim=1).numpy() == y).mean()
    return float(right), float(converted.run(x, y).accuracy or 0.0), n


@cache
def denoiser() -> Case:
    """NSNet2 on speech in noise: 2 x GRU-400, the recurrent layers alone."""
    features = audio.features()
    frames = features.frames(features.SPEECH, features.NOISE, SNR)
    work = ts.workload(str(features.model_path()), frames, sequence=True, layers=["rnn"])
    return Case("NSNet2, 2 x GRU-400", work, "measured", f"{len(frames)} frames at {SNR:g} dB")


def all_sent(work: Workload) -> Workload:
    """The same streams with every value changing in every step: a dense recurrent network."""
    traces = {}
    for name, stream in work.traces.items():
        signs = np.where(np.arange(len(stream)) % 2, 1.0, -1.0)
        traces[name] = np.broadcast_to(signs[:, None], stream.shape).astype(np.float32)
    traces = check_traces(work.network, traces, work.batch)
    return replace(work, traces=traces, activity=activity_of(work.network, traces))


#: Gamma at which the simulated 2L-768H reaches the published 20.2 GOp/s
GAMMA_PUBLISHED = 0.9025
STEPS_LARGE = 1


def large_gru(gamma: float) -> Case:
    """2L-768H, one step, with one temporal sparsity everywhere."""
    network = ts.load("gru_2l_768h")
    layers = {
        layer.name: LayerActivity(
            "delta", 1, 1, 0.0, (1 - gamma) * layer.n_synapses, temporal_sparsity={0.0: gamma}
        )
        for layer in network.synaptic_layers
    }
    activity = ActivityProfile(layers, 1, f"Gamma {gamma:g} assumed", measured=False)
    return Case("2L-768H GRU", Workload(network, activity, batch=50), "assumed")


def dense(work: Workload) -> Workload:
    """The same network with no zero anywhere."""
    return ts.workload(work.network, zeros=0.0, batch=work.batch)


def one_thread() -> None:
    """As all timings here."""
    torch.set_num_threads(1)
