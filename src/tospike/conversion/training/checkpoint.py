"""Checkpoints of a training: one file, replaced as a whole, good for that training only."""

from __future__ import annotations

import hashlib
import os
import tempfile
from dataclasses import MISSING, asdict, dataclass, fields
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from tospike.errors import DataError, OptionError

Row = tuple[float, float, float]


@dataclass(frozen=True)
class Progress:
    """Steps done, sums over the epoch under way, and the means of the epochs before it."""

    step: int = 0
    sums: Row = (0.0, 0.0, 0.0)
    history: tuple[Row, ...] = ()

    def after(self, row: Row, steps_per_epoch: int) -> Progress:
        """After one more step with these numbers."""
        step = self.step + 1
        sums = (self.sums[0] + row[0], self.sums[1] + row[1], self.sums[2] + row[2])
        if step % steps_per_epoch:
            return Progress(step, sums, self.history)
        mean = (sums[0] / steps_per_epoch, sums[1] / steps_per_epoch, sums[2] / steps_per_epoch)
        return Progress(step, (0.0, 0.0, 0.0), (*self.history, mean))


def fingerprint(recipe: Any, module: nn.Module, x: Tensor, y: Tensor) -> dict[str, str]:
    """What makes a training the same: its recipe, its network with first weights, its data."""
    fields = {f"recipe.{name}": repr(value) for name, value in asdict(recipe).items()}
    state = module.state_dict()
    return fields | {
        "first weights": _digest(*(state[name] for name in sorted(state))),
        "network": ", ".join(f"{name} {tuple(state[name].shape)}" for name in sorted(state)),
        "data": _digest(x, y),
    }


def defaults(recipe: Any) -> dict[str, str]:
    """What a checkpoint means that was written before the recipe had a field."""
    return {
        f"recipe.{field.name}": repr(field.default)
        for field in fields(recipe)
        if field.default is not MISSING
    }


def _digest(*tensors: Tensor) -> str:
    whole = hashlib.sha256()
    for tensor in tensors:
        whole.update(repr(tuple(tensor.shape)).encode())
        whole.update(tensor.detach().contiguous().cpu().numpy().tobytes())
    return whole.hexdigest()[:16]


def save(
    path: Path,
    mark: dict[str, str],
    now: Progress,
    module: nn.Module,
    optimizer: torch.optim.Optimizer,
) -> None:
    """Write the state of a training, as a whole or not at all."""
    state = {
        "fingerprint": mark,
        "progress": {"step": now.step, "sums": now.sums, "history": now.history},
        "module": module.state_dict(),
        "optimizer": optimizer.state_dict(),
    }
    write(path, state)


def write(path: Path, value: Any) -> None:
    """``torch.save`` to a temporary file beside ``path``, then moved there as a whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as stream:
            torch.save(value, stream)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def resume(
    path: Path,
    mark: dict[str, str],
    absent: dict[str, str],
    module: nn.Module,
    optimizer: torch.optim.Optimizer,
) -> Progress:
    """Load ``path`` into ``module`` and ``optimizer``; ``absent``: what missing entries mean.

    Raises
    ------
    DataError
        The file cannot be read.
    OptionError
        It belongs to another training; all differences are listed.
    """
    fix = "remove the file to train from the start, or name another"
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        found = {**absent, **state["fingerprint"]}
        progress = state["progress"]
        now = Progress(
            int(progress["step"]),
            tuple(progress["sums"]),
            tuple(tuple(row) for row in progress["history"]),
        )
    except Exception as error:
        # torch.load raises whatever the bytes make its unpickler stumble over
        raise DataError(
            f"go on from the checkpoint {path.name}",
            received=f"a file that cannot be read: {type(error).__name__}",
            fix=fix,
        ) from error
    different = [
        f"{name}: {found.get(name, 'missing')} there, {mark.get(name, 'missing')} asked"
        for name in sorted({*found, *mark})
        if found.get(name) != mark.get(name)
    ]
    if different:
        raise OptionError(
            f"go on from the checkpoint {path.name}",
            received="a checkpoint of another training",
            fix=fix,
            reasons=different,
        )
    module.load_state_dict(state["module"])
    optimizer.load_state_dict(state["optimizer"])
    return now
