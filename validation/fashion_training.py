"""Trains the demo's Fashion-MNIST network at several precisions and measures its zeros."""

from __future__ import annotations

import gzip
import struct
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from demo_models import fashion_mnist
from dual_copy import DualCopy, Precision, Tally, shares
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

DATA_DIR = Path("/usr/share/datasets/fashion-mnist")  # where the Debian package puts it
PACKAGE = "dataset-fashion-mnist"
WEIGHT_DECAY = 5e-4


@dataclass(frozen=True, slots=True)
class Images:
    """Training and test images, float32 (N, 1, 28, 28) in [0, 1], with labels int64 (N,)."""

    x: Tensor
    y: Tensor
    test_x: Tensor
    test_y: Tensor
    origin: str


@dataclass(frozen=True, slots=True)
class Recipe:
    """How one network is trained; the same for every precision and seed.

    start : "scratch" (first weights from the seed), "scratch, no batch norm", or "demo" (the
        demo's trained weights, trained on: fine-tuning).
    """

    start: str
    epochs: int
    n_train: int
    peak_rate: float
    batch: int = 64


@dataclass(frozen=True, slots=True)
class Trained:
    """What one training showed: mean shares of zeros per layer on the test images, accuracy."""

    precision: str
    seed: int
    accuracy: float
    output: dict[str, float]
    relu: dict[str, float]
    input: dict[str, float]


def read_idx(path: Path) -> NDArray[np.uint8]:
    """A gzipped idx file of unsigned bytes, e.g. (60000, 28, 28) or (60000,)."""
    with gzip.open(path, "rb") as stream:
        zero, kind, n_dims = struct.unpack(">HBB", stream.read(4))
        if zero != 0 or kind != 8:
            raise ValueError(f"{path.name} is not an idx file of unsigned bytes")
        shape = struct.unpack(f">{n_dims}I", stream.read(4 * n_dims))
        return np.frombuffer(stream.read(), dtype=np.uint8).reshape(shape)


def is_installed(folder: Path = DATA_DIR) -> bool:
    """Whether the full data set is there."""
    return (folder / "train-images-idx3-ubyte.gz").is_file()


def full_images(n_train: int, folder: Path = DATA_DIR) -> Images:
    """The first ``n_train`` training images and all 10 000 test images."""
    parts = []
    for split in ("train", "t10k"):
        x = read_idx(folder / f"{split}-images-idx3-ubyte.gz")
        y = read_idx(folder / f"{split}-labels-idx1-ubyte.gz").astype(np.int64)
        limit = n_train if split == "train" else len(x)
        scaled = x[:limit, None] / np.float32(255)
        parts += [torch.from_numpy(scaled.astype(np.float32)), torch.from_numpy(y[:limit])]
    n = len(parts[0])
    return Images(*parts, origin=f"first {n} training images, all {len(parts[2])} test images")


def embedded_images(n_train: int, n_test: int) -> Images:
    """Few images that lie beside the demo: for a quick run that proves only that all works."""
    folder = fashion_mnist().HERE
    with np.load(folder / "calibration.npz") as train, np.load(folder / "test.npz") as test:
        arrays = [train["x"][:n_train], train["y"][:n_train], test["x"], test["y"]]
    chosen = np.linspace(0, len(arrays[3]) - 1, n_test).astype(int)
    arrays[2:] = [arrays[2][chosen], arrays[3][chosen]]
    origin = f"{n_train} embedded training images, {n_test} embedded test images"
    return Images(*map(torch.from_numpy, arrays), origin=origin)


def network(start: str) -> nn.Sequential:
    """The demo's network as ``Recipe.start`` says; convolutions without norm have biases."""
    if start == "demo":
        trained: nn.Sequential = fashion_mnist().trained_cnn()
        return trained
    net: nn.Sequential = fashion_mnist().cnn()
    if start == "scratch":
        return net
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    for name, module in net.named_children():
        if isinstance(module, nn.BatchNorm2d):
            continue
        if isinstance(module, nn.Conv2d):
            module = nn.Conv2d(module.in_channels, module.out_channels, 3, padding=1)
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            nn.init.zeros_(module.bias)
        layers[name] = module
    return nn.Sequential(layers)


def train(
    precision: Precision,
    seed: int,
    recipe: Recipe,
    images: Images,
    progress: Callable[[int, int], None] | None = None,
) -> DualCopy:
    """Train on ``images``; the seed alone sets first weights and order of the images."""
    torch.manual_seed(seed)
    if len(images.x) < recipe.batch:
        raise ValueError(f"{len(images.x)} training images are fewer than a batch")
    model = DualCopy(network(recipe.start), precision).to(memory_format=torch.channels_last)
    decay = [p for p in model.parameters() if p.ndim > 1]
    rest = [p for p in model.parameters() if p.ndim == 1]
    optimizer = torch.optim.SGD(
        [{"params": decay, "weight_decay": WEIGHT_DECAY}, {"params": rest}],
        lr=recipe.peak_rate,
        momentum=0.9,
        nesterov=True,
    )
    steps = len(images.x) // recipe.batch
    total = recipe.epochs * steps
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, recipe.peak_rate, total_steps=total, pct_start=0.2, cycle_momentum=False
    )
    model.train()
    for epoch in range(recipe.epochs):
        order = torch.randperm(
            len(images.x), generator=torch.Generator().manual_seed(1000 * seed + epoch)
        )
        for step in range(steps):
            rows = order[step * recipe.batch : (step + 1) * recipe.batch]
            out = model(images.x[rows].to(memory_format=torch.channels_last))
            loss = F.cross_entropy(out, images.y[rows])
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            schedule.step()
            if progress is not None:
                progress(epoch * steps + step + 1, total)
    return model.eval()


@torch.inference_mode()
def evaluate(model: DualCopy, seed: int, images: Images) -> Trained:
    """Accuracy and shares of zeros on the test images, with everything rounded as in training."""
    tally = Tally()
    right = 0
    for start in range(0, len(images.test_x), 250):
        rows = slice(start, start + 250)
        out = model(images.test_x[rows].to(memory_format=torch.channels_last), tally)
        right += int((out.argmax(1) == images.test_y[rows]).sum())
    return Trained(
        precision=model.precision.name,
        seed=seed,
        accuracy=right / len(images.test_x),
        output={k: float(v.mean()) for k, v in shares(tally.output).items()},
        relu={k: float(v.mean()) for k, v in shares(tally.relu).items()},
        input={k: float(v.mean()) for k, v in shares(tally.input).items()},
    )
