"""The training loop of all methods: one objective per method, everything else the same.

Range of validity
    A training that was killed and goes on from its checkpoint gives the same weights, bit by bit,
    as one that ran through, on the same machine with the same number of threads: all randomness
    of a step (order, augmentation, dropout) comes from the seed and the number of the step.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from tospike.conversion.qcfs import QCFS
from tospike.conversion.training.augment import augmented
from tospike.conversion.training.checkpoint import Progress, fingerprint, resume, save
from tospike.conversion.training.neurons import SpikingNeurons
from tospike.conversion.training.recipe import Recipe
from tospike.errors import DataError, ModelError, OptionError

#: smallest threshold that training may reach, of spiking neurons and of QCFS
SMALLEST_THRESHOLD = 1e-2


@dataclass(frozen=True, eq=False)
class Outcome:
    """Of one batch.

    loss : scalar with gradient, everything included. spikes : per synapse, mean over samples
    (0 for networks without spikes). correct : share of samples whose arg-max is right.
    """

    loss: Tensor
    spikes: float
    correct: float


#: (module, inputs of a batch, labels) -> outcome
Objective = Callable[[nn.Module, Tensor, Tensor], Outcome]


@dataclass(frozen=True)
class Epoch:
    """Means over one epoch: loss, spikes per synapse, share of correct training samples."""

    loss: float
    spikes: float
    accuracy: float


@dataclass(frozen=True, eq=False)
class Trained:
    """The trained network, in evaluation mode, and its history."""

    module: nn.Module
    history: tuple[Epoch, ...]


@dataclass(frozen=True)
class Keeping:
    """Where and how often a training keeps its state.

    path : file, written after each epoch and, with ``minutes`` > 0, whenever so many minutes have
        passed; replaced as a whole, so that a kill leaves the last one.
    resume : go on from an existing file. If False, an existing file is an error, so that no
        training is overwritten by mistake.
    """

    path: Path
    minutes: float = 0.0
    resume: bool = True


def train(
    module: nn.Module,
    x: Tensor,
    y: Tensor,
    objective: Objective,
    recipe: Recipe,
    *,
    settings: Mapping[str, object] | None = None,
    keeping: Keeping | None = None,
    progress: Callable[[int, int], None] | None = None,
    report: Callable[[int, Epoch], None] | None = None,
) -> Trained:
    """Train a copy of ``module``.

    Parameters
    ----------
    module : left unchanged. x : samples (N, ...), float. y : class labels (N,), int64.
    objective : what is minimised. settings : what it depends on; part of the checkpoint's mark.
    progress : called with (steps done, steps in all). report : called after each epoch with its
        number, from 1, and its means.

    Raises
    ------
    DataError
        Fewer samples than a batch, NaN, labels that do not fit, or an unreadable checkpoint.
    OptionError
        The checkpoint belongs to another training, or exists and is not to be gone on from.
    ModelError
        The loss is no longer finite.
    """
    _check_data(x, y, recipe)
    run = _Run(module, x, y, objective, recipe)
    now = Progress()
    mark: dict[str, str] = {}
    if keeping is not None:
        mark = fingerprint(recipe, module, x, y)
        mark |= {f"settings.{name}": repr(value) for name, value in (settings or {}).items()}
        now = _resumed(keeping, mark, run)
    run.module.train()
    saved = time.monotonic()
    while now.step < run.steps:
        now = run.step(now)
        at_end = now.step % run.steps_per_epoch == 0
        if keeping is not None:
            due = keeping.minutes > 0 and time.monotonic() - saved >= 60 * keeping.minutes
            if at_end or due:
                save(keeping.path, mark, now, run.module, run.optimizer)
                saved = time.monotonic()
        if progress is not None:
            progress(now.step, run.steps)
        if at_end and report is not None:
            report(len(now.history), Epoch(*now.history[-1]))
    return Trained(run.module.eval(), tuple(Epoch(*row) for row in now.history))


def project(module: nn.Module) -> None:
    """Thresholds stay above 0: an optimiser's step knows no bounds."""
    with torch.no_grad():
        for part in module.modules():
            if isinstance(part, SpikingNeurons | QCFS):
                part.threshold.clamp_(min=SMALLEST_THRESHOLD)


def channels_last(module: nn.Module) -> nn.Module:
    """``module`` with 4-d parameters stored channels last, in place."""
    with torch.no_grad():
        for parameter in module.parameters():
            if parameter.dim() == 4:
                parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
    return module


def _runs_channels_last(module: nn.Module, x: Tensor) -> bool:
    """False for networks that view a batch as if it were stored channels first."""
    probe = channels_last(copy.deepcopy(module)).eval()
    try:
        with torch.no_grad():
            probe(x.contiguous(memory_format=torch.channels_last))
    except RuntimeError:
        return False
    return True


class _Run:
    """The moving parts of one training."""

    def __init__(
        self, module: nn.Module, x: Tensor, y: Tensor, objective: Objective, recipe: Recipe
    ) -> None:
        self.module = copy.deepcopy(module)
        # Convolutions on processors like their channels innermost.
        self.last = x.dim() == 4 and _runs_channels_last(module, x[:2])
        if self.last:
            channels_last(self.module)
        self.x, self.y, self.objective, self.recipe = x, y, objective, recipe
        parameters = [p for p in self.module.parameters() if p.requires_grad]
        if not parameters:
            raise OptionError("train a network", received="no parameter that can be trained")
        groups = [
            {"params": [p for p in parameters if p.ndim > 1], "weight_decay": recipe.weight_decay},
            {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
        ]
        self.optimizer = torch.optim.AdamW(groups, lr=recipe.rate)
        self.steps_per_epoch = len(x) // recipe.batch
        self.steps = recipe.epochs * self.steps_per_epoch

    def rows(self, step: int) -> Tensor:
        """Samples of the batch of this step."""
        epoch, at = divmod(step, self.steps_per_epoch)
        order = torch.randperm(len(self.x), generator=_generator(self.recipe.seed, epoch, 1))
        return order[at * self.recipe.batch : (at + 1) * self.recipe.batch]

    def step(self, now: Progress) -> Progress:
        """One batch."""
        recipe = self.recipe
        for group in self.optimizer.param_groups:
            group["lr"] = recipe.rate_at(now.step / self.steps)
        rows = self.rows(now.step)
        x = augmented(self.x[rows], recipe.shift, recipe.flip, _generator(recipe.seed, now.step, 2))
        if self.last:
            x = x.contiguous(memory_format=torch.channels_last)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(_seed(recipe.seed, now.step, 3))
            outcome = self.objective(self.module, x, self.y[rows])
            loss = outcome.loss.item()
            if not math.isfinite(loss):
                self._diverged(loss, now.step)
            self.optimizer.zero_grad(set_to_none=True)
            torch.autograd.backward(outcome.loss)
        norm = float(nn.utils.clip_grad_norm_(self.module.parameters(), recipe.clip))
        if not math.isfinite(norm):
            self._diverged(norm, now.step, "a gradient of norm")
        self.optimizer.step()
        project(self.module)
        return now.after((loss, outcome.spikes, outcome.correct), self.steps_per_epoch)

    def _diverged(self, value: float, step: int, what: str = "a loss of") -> None:
        raise ModelError(
            "train a network",
            received=f"{what} {value}",
            where=f"step {step + 1} of {self.steps}",
            fix="use a smaller rate, or a smaller clip",
        )


def _resumed(keeping: Keeping, mark: dict[str, str], run: _Run) -> Progress:
    if not keeping.path.exists():
        return Progress()
    if not keeping.resume:
        raise OptionError(
            f"keep the state of a training in {keeping.path.name}",
            received="a file that exists",
            where=str(keeping.path),
            fix="resume from it, remove it, or name another",
        )
    return resume(keeping.path, mark, {}, run.module, run.optimizer)


def _seed(seed: int, at: int, what: int) -> int:
    """Different for all small numbers."""
    return (seed * 4 + what) * 1_000_003 + at


def _generator(seed: int, at: int, what: int) -> torch.Generator:
    return torch.Generator().manual_seed(_seed(seed, at, what))


def _check_data(x: Tensor, y: Tensor, recipe: Recipe) -> None:
    reasons = []
    if len(x) != len(y):
        reasons.append(f"{len(x)} samples and {len(y)} labels")
    if len(x) < recipe.batch:
        reasons.append(f"{len(x)} samples are fewer than a batch of {recipe.batch}")
    if not x.is_floating_point():
        reasons.append(f"the samples are of type {x.dtype}; floats are needed")
    elif not torch.isfinite(x).all():
        reasons.append("NaN or infinite values among the samples")
    if y.dim() != 1 or y.is_floating_point():
        reasons.append(f"labels of shape {tuple(y.shape)} and type {y.dtype}; class numbers (N,)")
    if (recipe.shift or recipe.flip) and x.dim() < 4:
        reasons.append(f"shift and flip are for images (N, C, H, W), not {tuple(x.shape)}")
    if reasons:
        raise DataError("train a network", reasons=reasons)
