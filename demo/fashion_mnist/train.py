"""Train the demo network on Fashion-MNIST and write ``cnn.pt``, ``card.json`` and the two npz.

Run from the repository root::

    python demo/fashion_mnist/train.py

The images are those of the Debian package ``dataset-fashion-mnist`` (four idx.gz files, MIT).
A killed run goes on at the epoch it was in when the same command is given again.  The weights
are those after the last epoch: nothing is chosen by looking at the test images, which are read
for the first time when the training is over.
"""

from __future__ import annotations

import argparse
import gzip
import json
import math
import os
import struct
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from model import HERE, cnn
from torch import Tensor, nn
from torch.nn import functional as F

DATA_DIR = Path("/usr/share/datasets/fashion-mnist")  # where the Debian package puts it
PACKAGE = "dataset-fashion-mnist"
BATCH = 128
MAX_SHIFT = 2  # pixels
N_TEST = 2500  # embedded test images, the first 250 of each class
N_CALIBRATION = 512


def read_idx(path: Path) -> np.ndarray:
    """Read a gzipped idx file of unsigned bytes, e.g. ``(60000, 28, 28)`` or ``(60000,)``."""
    with gzip.open(path, "rb") as stream:
        zero, kind, ndim = struct.unpack(">HBB", stream.read(4))
        if zero != 0 or kind != 8:
            raise ValueError(f"{path.name} is not an idx file of unsigned bytes")
        shape = struct.unpack(f">{ndim}I", stream.read(4 * ndim))
        return np.frombuffer(stream.read(), dtype=np.uint8).reshape(shape)


def load_split(data_dir: Path, split: str) -> tuple[np.ndarray, np.ndarray]:
    """Return ``x`` uint8 ``(N, 28, 28)`` and ``y`` int64 ``(N,)``; split: "train" or "t10k"."""
    x_path = data_dir / f"{split}-images-idx3-ubyte.gz"
    y_path = data_dir / f"{split}-labels-idx1-ubyte.gz"
    for path in (x_path, y_path):
        if not path.is_file():
            raise SystemExit(
                f"error: {path} not found; install the Debian package {PACKAGE} or give --data-dir"
            )
    return read_idx(x_path), read_idx(y_path).astype(np.int64)


def as_input(x: np.ndarray) -> np.ndarray:
    """Bytes ``(N, 28, 28)`` to what the network takes: float32 ``(N, 1, 28, 28)`` in [0, 1]."""
    return (x[:, None] / np.float32(255)).astype(np.float32)


def augment(x: Tensor, rng: torch.Generator) -> Tensor:
    """Shift each image by up to ``MAX_SHIFT`` pixels and mirror half of them: same shape."""
    n, _, h, w = x.shape
    padded = F.pad(x[:, 0], (MAX_SHIFT,) * 4)
    dy, dx = torch.randint(0, 2 * MAX_SHIFT + 1, (2, n, 1), generator=rng)
    rows = dy + torch.arange(h)
    cols = dx + torch.arange(w)
    mirrored = torch.rand(n, 1, generator=rng) < 0.5
    cols = torch.where(mirrored, cols.flip(1), cols)
    return padded[torch.arange(n)[:, None, None], rows[:, :, None], cols[:, None, :]][:, None]


def one_cycle(progress: float, peak: float, warm_up: float = 0.2) -> float:
    """Learning rate at ``progress`` in [0, 1]: linear rise to ``peak``, then cosine to 0.

    A function of the progress alone, so that a resumed run needs no scheduler state.
    """
    if progress < warm_up:
        return peak * (0.04 + 0.96 * progress / warm_up)
    return peak * 0.5 * (1 + math.cos(math.pi * (progress - warm_up) / (1 - warm_up)))


def write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """Call ``write`` on a temporary file beside ``path`` and rename it: never half a file."""
    # The ending stays last because numpy appends ".npz" to any other name.
    temporary = path.with_name(f".{path.stem}.{os.getpid()}.tmp{path.suffix}")
    try:
        write(temporary)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


@torch.inference_mode()
def accuracy(net: nn.Module, x: np.ndarray, y: np.ndarray) -> float:
    """Fraction of ``x`` ``(N, 1, 28, 28)`` that the network in evaluation mode gets right."""
    net.eval()
    right = 0
    for i in range(0, len(x), 500):
        right += int(
            (net(torch.from_numpy(x[i : i + 500])).argmax(1).numpy() == y[i : i + 500]).sum()
        )
    return right / len(x)


def train(args: argparse.Namespace) -> nn.Module:
    """Train for ``args.epochs`` epochs, resuming from ``<out>/.resume.pt`` where it fits."""
    torch.manual_seed(args.seed)
    if args.threads:
        torch.set_num_threads(args.threads)
    bytes_x, labels = load_split(args.data_dir, "train")
    x, y = torch.from_numpy(as_input(bytes_x)), torch.from_numpy(labels)
    # channels_last is a quarter faster on a CPU; bfloat16 was ten times slower on one without
    # instructions for it, so everything stays float32.
    net = cnn().to(memory_format=torch.channels_last)
    decay = [p for p in net.parameters() if p.ndim > 1]
    rest = [p for p in net.parameters() if p.ndim == 1]
    optimizer = torch.optim.SGD(
        [{"params": decay, "weight_decay": args.weight_decay}, {"params": rest}],
        lr=args.lr,
        momentum=0.9,
        nesterov=True,
    )
    recipe = {"seed": args.seed, "epochs": args.epochs, "lr": args.lr, "decay": args.weight_decay}
    resume = args.out / ".resume.pt"
    first = 0
    if resume.is_file():
        state = torch.load(resume, weights_only=True)
        if state["recipe"] == recipe:
            net.load_state_dict(state["net"])
            optimizer.load_state_dict(state["optimizer"])
            first = state["epoch"]
            print(f"going on after epoch {first}", flush=True)
        else:
            print("the stored state is of another recipe: starting anew", flush=True)

    steps = len(x) // BATCH
    for epoch in range(first, args.epochs):
        # One generator per epoch makes an epoch the same whether the run was resumed or not.
        rng = torch.Generator().manual_seed(1000 * args.seed + epoch)
        order = torch.randperm(len(x), generator=rng)
        net.train()
        start, loss_sum, right = time.monotonic(), 0.0, 0
        for step in range(steps):
            rate = one_cycle((epoch + step / steps) / args.epochs, args.lr)
            for group in optimizer.param_groups:
                group["lr"] = rate
            chosen = order[step * BATCH : (step + 1) * BATCH]
            out = net(augment(x[chosen], rng).to(memory_format=torch.channels_last))
            loss = F.cross_entropy(out, y[chosen])
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            loss_sum += loss.item()
            right += int((out.argmax(1) == y[chosen]).sum())
            if sys.stdout.isatty() and step % 10 == 0:
                bar = "#" * (30 * step // steps)
                print(f"\repoch {epoch + 1}/{args.epochs} [{bar:<30}]", end="", flush=True)
        state = {
            "recipe": recipe,
            "epoch": epoch + 1,
            "net": net.state_dict(),
            "optimizer": optimizer.state_dict(),
        }
        write_atomically(resume, lambda path, state=state: torch.save(state, path))
        end = "\r" if sys.stdout.isatty() else ""
        print(
            f"{end}epoch {epoch + 1}/{args.epochs}: loss {loss_sum / steps:.4f}, training "
            f"accuracy {right / (steps * BATCH):.4f}, {time.monotonic() - start:.0f} s",
            flush=True,
        )
    return net.to(memory_format=torch.contiguous_format).eval()


def write_data(data_dir: Path, out: Path) -> None:
    """Write ``test.npz`` and ``calibration.npz`` (x float32 ``(N, 1, 28, 28)``, y int64)."""
    bytes_x, y = load_split(data_dir, "t10k")
    per_class = N_TEST // 10
    chosen = np.sort(np.concatenate([np.flatnonzero(y == c)[:per_class] for c in range(10)]))
    arrays = {"x": as_input(bytes_x[chosen]), "y": y[chosen]}
    write_atomically(out / "test.npz", lambda path: np.savez_compressed(path, **arrays))

    bytes_x, y = load_split(data_dir, "train")
    arrays = {"x": as_input(bytes_x[:N_CALIBRATION]), "y": y[:N_CALIBRATION]}
    write_atomically(out / "calibration.npz", lambda path: np.savez_compressed(path, **arrays))


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-dir", type=Path, default=DATA_DIR)
    parser.add_argument("--out", type=Path, default=HERE, help="folder for the results")
    parser.add_argument("--epochs", type=int, default=24)
    parser.add_argument("--lr", type=float, default=0.15, help="peak learning rate")
    parser.add_argument("--weight-decay", type=float, default=5e-4)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=0, help="0: as many as torch chooses")
    parser.add_argument("--data-only", action="store_true", help="only write the two npz files")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)

    write_data(args.data_dir, args.out)
    if args.data_only:
        return
    net = train(args)
    weights = {name: value.contiguous().clone() for name, value in net.state_dict().items()}
    write_atomically(args.out / "cnn.pt", lambda path: torch.save(weights, path))

    bytes_x, y = load_split(args.data_dir, "t10k")
    with np.load(args.out / "test.npz") as subset:
        card = {
            "network": "cnn",
            "dataset": "Fashion-MNIST",
            "parameters": sum(p.numel() for p in net.parameters()),
            "epochs": args.epochs,
            "seed": args.seed,
            "torch": torch.__version__,
            "test_accuracy_10000": accuracy(net, as_input(bytes_x), y),
            "test_accuracy_npz": accuracy(net, subset["x"], subset["y"]),
            "test_npz_images": len(subset["y"]),
        }
    text = json.dumps(card, indent=2) + "\n"
    write_atomically(args.out / "card.json", lambda path: path.write_text(text, "utf-8"))
    (args.out / ".resume.pt").unlink(missing_ok=True)
    print(text, end="")


if __name__ == "__main__":
    main()
