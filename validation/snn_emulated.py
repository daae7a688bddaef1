"""EMULATED event camera: moving Fashion-MNIST images, a spiking network against one on frames.

    python validation/snn_emulated.py [--out out/snn] [--train 4000] [--test 2000] [--quick]

No camera was used. Each image moves along a triangle of three saccades (as in N-MNIST) with its own
start and direction, in front of pixels that send an event whenever their log intensity has changed
by a threshold since their last one: no noise, no latency, no refractory time.

The spiking network takes T bins of ON and OFF events (0 or 1) as steps and is trained with
surrogate gradients; the frame network has the same layers and takes the mean of the bins, once.
Accuracies are of the last epoch. Writes ``emulated.json`` and checkpoints to ``--out``.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from fashion_training import full_images
from snn_fashion import OUT
from snn_prices import Analog, Spiking, prices, rate
from torch import Tensor, nn
from torch.nn import functional as F

import tospike
from tospike.conversion import executable, run_ann
from tospike.conversion.training import (
    Keeping,
    Neuron,
    Recipe,
    evaluate,
    folded,
    train_network,
)
from tospike.conversion.training import Spiking as Objective
from tospike.errors import TospikeError
from tospike.reporting.write import write_atomically

CANVAS = 32
#: bins of one recording (steps of the spiking network), and positions in each
TIMESTEPS, PER_BIN = 6, 4
#: pixels of one saccade; change of log intensity for an event; intensity added to black
AMPLITUDE, CONTRAST, BLACK = 4.0, 0.3, 0.1
PENALTIES = (0.1, 1.0)


@dataclass(frozen=True)
class Size:
    """How much is trained."""

    train: int = 4000
    test: int = 2000
    epochs: int = 6
    channels: tuple[int, int, int] = (16, 32, 64)


QUICK = Size(train=64, test=20, epochs=1, channels=(2, 2, 2))


def path(n: int, generator: torch.Generator) -> Tensor:
    """Shifts (positions, n, 2) in pixels: three straight saccades that come back."""
    angle = 2 * math.pi * torch.rand(n, generator=generator)
    turn = torch.where(torch.rand(n, generator=generator) < 0.5, 1.0, -1.0)
    steps = TIMESTEPS * PER_BIN
    at = torch.arange(steps + 1) / steps * 3
    corners = []
    for corner in range(4):
        direction = angle + turn * (corner % 3) * 2 * math.pi / 3
        corners.append(torch.stack([direction.cos(), direction.sin()], dim=1))
    leg = at.floor().clamp_max(2).long()
    share = (at - leg)[:, None, None]
    points = torch.stack(corners) * AMPLITUDE / math.sqrt(3)
    return (1 - share) * points[leg] + share * points[leg + 1]


def shifted(images: Tensor, shift: Tensor) -> Tensor:
    """Images (N, 1, 28, 28) on a black canvas (N, CANVAS, CANVAS), moved by (N, 2) pixels."""
    edge = (CANVAS - images.shape[-1]) // 2
    canvas = F.pad(images, (edge,) * 4)
    theta = torch.zeros(len(images), 2, 3)
    theta[:, 0, 0] = theta[:, 1, 1] = 1.0
    theta[:, :, 2] = -2.0 * shift / CANVAS
    grid = F.affine_grid(theta, list(canvas.shape), align_corners=False)
    return F.grid_sample(canvas, grid, align_corners=False)[:, 0]


def events(images: Tensor, seed: int, batch: int = 500) -> tuple[Tensor, float]:
    """Bins (N, T, 2, CANVAS, CANVAS), 1 where a pixel sent ON or OFF events, and events per
    recording."""
    generator = torch.Generator().manual_seed(seed)
    made, sent = [], 0.0
    for part in images.split(batch):
        shifts = path(len(part), generator)
        level = torch.log(shifted(part, shifts[0]) + BLACK)
        bins = torch.zeros(len(part), TIMESTEPS, 2, CANVAS, CANVAS)
        for step in range(1, len(shifts)):
            change = torch.log(shifted(part, shifts[step]) + BLACK) - level
            number = torch.trunc(change / CONTRAST)
            level = level + number * CONTRAST
            sent += float(number.abs().sum())
            at = bins[:, (step - 1) // PER_BIN]
            at[:, 0] = torch.maximum(at[:, 0], (number > 0).float())
            at[:, 1] = torch.maximum(at[:, 1], (number < 0).float())
        made.append(bins)
    return torch.cat(made), sent / len(images)


def network(channels: Sequence[int], seed: int = 0) -> nn.Sequential:
    """Three convolutions with batch norm and pools, one linear layer; (N, 2, 32, 32) -> (N, 10)."""
    parts: list[tuple[str, nn.Module]] = []
    before = 2
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for number, n in enumerate(channels, start=1):
            parts += [
                (f"conv{number}", nn.Conv2d(before, n, 3, padding=1, bias=False)),
                (f"norm{number}", nn.BatchNorm2d(n)),
                (f"relu{number}", nn.ReLU()),
                (f"pool{number}", nn.MaxPool2d(2)),
            ]
            before = n
        parts += [
            ("flatten", nn.Flatten()),
            ("fc", nn.Linear(before * (CANVAS // 8) ** 2, 10)),
        ]
        return nn.Sequential(OrderedDict(parts))


def by_frames(size: Size, folder: Path, data: Sequence[Tensor]) -> tuple[dict[str, Any], Analog]:
    """The frame network on the mean of the bins."""
    x, y, test_x, test_y = data
    recipe = Recipe(epochs=size.epochs, batch=32, rate=2e-3, weight_decay=0.05)
    made = train_network(
        network(size.channels), x.mean(dim=1), y, "ann", recipe,
        keeping=Keeping(folder / "emulated-frames.checkpoint", 5),
    )  # fmt: skip
    still = test_x.mean(dim=1)
    found = run_ann(executable(made.module, still[:2]), still, test_y)
    shown = {"accuracy": found.accuracy, "recipe": asdict(recipe)}
    return shown, Analog("frames", found.activity)


def by_spikes(
    penalty: float, size: Size, folder: Path, data: Sequence[Tensor], analog: Analog
) -> dict[str, Any]:
    """The spiking network on the bins, from scratch, and its price beside the frame network's."""
    x, y, test_x, test_y = data
    recipe = Recipe(epochs=size.epochs, batch=32, rate=4e-3, weight_decay=0.05)
    neuron = Neuron("plif", TIMESTEPS, decay=0.7)
    made = train_network(
        network(size.channels), x, y, "direct", recipe, neuron=neuron,
        objective=Objective("ce", penalty=penalty), frames=True,
        keeping=Keeping(folder / f"emulated-{penalty:g}.checkpoint", 5),
    )  # fmt: skip
    found = evaluate(folded(made.module), test_x, test_y, origin="emulated events")
    plain = tospike.load(network(size.channels).eval(), test_x[:1, 0])
    spiking = tuple(name for name in found.activity if found.activity[name].signal == "spike")
    snn = Spiking("events", found.activity, TIMESTEPS, spiking, "lif_inst")
    return {
        "penalty": penalty,
        "accuracy": found.accuracy,
        "accuracy_at": list(found.accuracy_at),
        "recipe": asdict(recipe),
        "spiking": list(spiking),
        "spikes_per_synapse": rate(plain, found.activity, spiking),
        "spike_operations": sum(found.activity[name].synaptic_operations for name in spiking),
        "input_density": 1 - found.activity["conv1"].zero_fraction,
        "models": prices(plain, analog, snn),
    }


def measure(size: Size, folder: Path) -> dict[str, Any]:
    """Both networks."""
    images = full_images(max(size.train, 1))
    x, per_recording = events(images.x, 1)
    test_x, _ = events(images.test_x[: size.test], 2)
    data = (x, images.y, test_x, images.test_y[: size.test])
    begin = time.process_time()
    frames, analog = by_frames(size, folder, data)
    layers = tospike.load(network(size.channels).eval(), test_x[:1, 0]).synaptic_layers
    spikes = [by_spikes(penalty, size, folder, data, analog) for penalty in PENALTIES]
    return {
        "emulated": True,
        "size": asdict(size),
        "timesteps": TIMESTEPS,
        "contrast": CONTRAST,
        "events_per_recording": per_recording,
        "frame_operations": sum(layer.n_synapses for layer in layers),
        "frames": frames,
        "spikes": spikes,
        "cpu_s": time.process_time() - begin,
    }


def main(given: Sequence[str] | None = None) -> int:
    """Status 0, or 2 with a message on a user's error."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--train", type=int, default=Size.train, help="training images")
    parser.add_argument("--test", type=int, default=Size.test, help="test images")
    parser.add_argument("--quick", action="store_true", help="proves only that all works")
    asked = parser.parse_args(given)
    torch.set_num_threads(1)
    size = QUICK if asked.quick else Size(train=asked.train, test=asked.test)
    file = asked.out / "emulated.json"
    try:
        asked.out.mkdir(parents=True, exist_ok=True)
        if not file.is_file():
            made = measure(size, asked.out)
            write_atomically(file, json.dumps(made, indent=1, allow_nan=False).encode())
        made = json.loads(file.read_bytes())
    except TospikeError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"EMULATED events, {made['events_per_recording']:.0f} per recording")
    print(f"frames: accuracy {made['frames']['accuracy']:.4f}")
    for one in made["spikes"]:
        print(
            f"events, penalty {one['penalty']:g}: accuracy {one['accuracy']:.4f}, "
            f"{one['spikes_per_synapse']:.3f} spikes per synapse"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
