"""Retraining for delta networks: dense first, then with the thresholds in the forward pass.

Equations
    loss + l1 * mean |sent delta|; AdamW; the learning rate rises linearly over ``warm_up`` of the
    steps and falls as half a cosine; thresholds rise linearly over ``theta_ramp`` of the steps.

Range of validity
    A training that was stopped and goes on from its checkpoint gives the same numbers, bit by bit,
    as one that ran through, on the same machine with the same number of threads: all randomness of
    a step (order, augmentation, dropout, targeted dropout) comes from the seed and the step.

Reference
    D. Neil et al., ICML 2017, arXiv:1612.05571, section 3.2 (training with thresholds), 3.3 (cost
    on the deltas); C. Gao et al., EdgeDRNN, IEEE JETCAS 2020 (pretrain, then retrain).
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from tospike.conversion.delta.convolution import DeltaConv
from tospike.conversion.delta.layers import DeltaLinear, _DeltaRecurrent
from tospike.conversion.delta.pruning import Pruning, dropped, prune
from tospike.conversion.delta.quantisation import FLOAT, Quantisation
from tospike.conversion.delta.recording import Record, recorded
from tospike.conversion.delta.replace import Theta, delta_network
from tospike.conversion.delta.traffic import total, traffic
from tospike.conversion.training.checkpoint import Progress, defaults, fingerprint, resume, save
from tospike.errors import DataError, ModelError, OptionError

#: (output of the module, labels of the batch) -> loss, a scalar
Loss = Callable[[Tensor, Tensor], Tensor]
#: (inputs of a batch, generator) -> changed inputs
Augment = Callable[[Tensor, torch.Generator], Tensor]


@dataclass(frozen=True)
class Recipe:
    """How to train.

    Attributes
    ----------
    epochs, batch : passes over the data and samples per step; a last, smaller batch is left out.
    rate : peak learning rate. weight_decay : for matrices only. clip : largest gradient norm.
    warm_up : share of the steps in which the learning rate rises.
    l1 : weight of the mean |sent delta| in the loss.
    theta_ramp : share of the steps in which the thresholds rise from 0 to their values.
    pruning : column-balanced targeted dropout, or None.
    dense_gradient : the backward pass is that of a network without thresholds at the same values.
        Without it the gradient runs through sent elements only and adds up while a reference is
        held, which is exact between two events but can drive a training apart.
    seed : of everything random.
    """

    epochs: int
    rate: float = 1e-3
    batch: int = 64
    weight_decay: float = 1e-2
    clip: float = 1.0
    warm_up: float = 0.1
    l1: float = 0.0
    theta_ramp: float = 0.0
    pruning: Pruning | None = None
    dense_gradient: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        reasons = [
            f"{name} is {value}; it must be at least 1"
            for name, value in (("epochs", self.epochs), ("batch", self.batch))
            if value < 1
        ]
        for name, number, low, high in (
            ("rate", self.rate, 1e-12, math.inf),
            ("weight_decay", self.weight_decay, 0.0, math.inf),
            ("clip", self.clip, 1e-12, math.inf),
            ("warm_up", self.warm_up, 0.0, 1.0),
            ("l1", self.l1, 0.0, math.inf),
            ("theta_ramp", self.theta_ramp, 0.0, 1.0),
        ):
            if not low <= number <= high or (not math.isfinite(number) and name != "clip"):
                reasons.append(f"{name} is {number}; it must be from {low:g} to {high:g}")
        if reasons:
            raise OptionError("train a delta network", reasons=reasons)

    def rate_at(self, progress: float) -> float:
        """Learning rate after this share of the steps."""
        rise = min(1.0, (progress + 1e-3) / self.warm_up) if self.warm_up else 1.0
        return self.rate * rise * 0.5 * (1 + math.cos(math.pi * progress))


@dataclass(frozen=True)
class Epoch:
    """Means over one epoch: loss without penalty, mean |sent delta|, share of weights not read
    (0 for a network without delta layers)."""

    loss: float
    penalty: float
    sparsity: float


@dataclass(frozen=True)
class Trained:
    """The trained network, in evaluation mode, and its history."""

    module: nn.Module
    history: tuple[Epoch, ...]


@dataclass(frozen=True)
class Retrained:
    """Both steps of the recipe; ``dense`` is None where there was no pretraining."""

    dense: Trained | None
    delta: Trained


def train(
    module: nn.Module,
    x: Tensor,
    y: Tensor,
    loss: Loss,
    recipe: Recipe,
    *,
    augment: Augment | None = None,
    checkpoint: Path | None = None,
    every: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Trained:
    """Train a copy of ``module``, dense or delta.

    Parameters
    ----------
    module : called with a batch of ``x``; left unchanged.
    x, y : samples first: (N, ...); a module over (N, T, I) is built with ``batch_first=True``.
    loss : of the output of the module and the labels of the batch.
    augment : changes the inputs of a batch.
    checkpoint : file that is written after each epoch, and each ``every`` steps; an existing one
        is gone on from. Written to a temporary file first: a kill leaves the last one whole.
    progress : called with (steps done, steps in all).

    Raises
    ------
    DataError
        Empty data, as many labels as samples are missing, fewer samples than a batch, NaN, or a
        checkpoint that cannot be read.
    OptionError
        The checkpoint belongs to another recipe, network or data.
    ModelError
        The loss is no longer finite.
    """
    _check_data(x, y, recipe)
    _check_learnable(module, recipe)
    run = _Run(module, x, y, loss, recipe, augment)
    mark = fingerprint(recipe, module, x, y)
    now = Progress()
    if checkpoint is not None and checkpoint.exists():
        now = resume(checkpoint, mark, defaults(recipe), run.module, run.optimizer)
    run.module.train()
    while now.step < run.steps:
        now = run.step(now)
        at_end = now.step % run.steps_per_epoch == 0
        if checkpoint is not None and (at_end or (every and now.step % every == 0)):
            save(checkpoint, mark, now, run.module, run.optimizer)
        if progress is not None:
            progress(now.step, run.steps)
    run.thresholds(1.0)
    for layer in run.layers:
        layer.dense_gradient = False
    if recipe.pruning is not None:
        prune(run.module, recipe.pruning)
    return Trained(run.module.eval(), tuple(Epoch(*row) for row in now.history))


def retrain(
    module: nn.Module,
    x: Tensor,
    y: Tensor,
    loss: Loss,
    *,
    recipe: Recipe,
    theta: Theta,
    theta_x: Theta | None = None,
    pretrain: Recipe | None = None,
    quantisation: Quantisation = FLOAT,
    learnable: bool = False,
    augment: Augment | None = None,
    checkpoint: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Retrained:
    """Train a dense network (if ``pretrain`` is given), make it a delta network, train on.

    ``theta``, ``theta_x``, ``quantisation``, ``learnable`` as in
    :func:`~tospike.conversion.delta.replace.delta_network`; the others as in :func:`train`, with
    two checkpoints, ``<checkpoint>.dense`` and ``<checkpoint>.delta``.
    """

    def file(part: str) -> Path | None:
        return None if checkpoint is None else checkpoint.with_name(f"{checkpoint.name}.{part}")

    dense = None
    if pretrain is not None:
        dense = train(
            module, x, y, loss, pretrain, augment=augment, checkpoint=file("dense"),
            progress=progress,
        )  # fmt: skip
    start = delta_network(
        module if dense is None else dense.module, theta, theta_x=theta_x,
        quantisation=quantisation, learnable=learnable,
    )  # fmt: skip
    delta = train(
        start, x, y, loss, recipe, augment=augment, checkpoint=file("delta"), progress=progress
    )
    return Retrained(dense, delta)


class _Run:
    """The moving parts of one training."""

    def __init__(
        self,
        module: nn.Module,
        x: Tensor,
        y: Tensor,
        loss: Loss,
        recipe: Recipe,
        augment: Augment | None,
    ) -> None:
        self.module = copy.deepcopy(module)
        self.x, self.y, self.loss, self.recipe, self.augment = x, y, loss, recipe, augment
        self.layers = _delta_layers(self.module)
        for layer in self.layers:
            layer.dense_gradient = recipe.dense_gradient
        self.full = [
            (theta, theta.detach().clone())
            for layer in self.layers
            for name, theta in layer.named_parameters(recurse=False)
            if name.startswith("theta")
        ]
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

    def thresholds(self, share: float) -> None:
        """Set all thresholds to this share of what they are in the end."""
        if self.recipe.theta_ramp:
            with torch.no_grad():
                for theta, full in self.full:
                    theta.copy_(share * full)

    def rows(self, step: int) -> Tensor:
        """Samples of the batch of this step."""
        epoch, at = divmod(step, self.steps_per_epoch)
        order = torch.randperm(len(self.x), generator=_generator(self.recipe.seed, epoch, 1))
        return order[at * self.recipe.batch : (at + 1) * self.recipe.batch]

    def step(self, now: Progress) -> Progress:
        """One batch."""
        recipe, share = self.recipe, now.step / self.steps
        generator = _generator(recipe.seed, now.step, 2)
        if recipe.theta_ramp:
            self.thresholds(min(1.0, share / recipe.theta_ramp))
        for group in self.optimizer.param_groups:
            group["lr"] = recipe.rate_at(share)
        rows = self.rows(now.step)
        x, y = self.x[rows], self.y[rows]
        with ExitStack() as stack:
            stack.enter_context(torch.random.fork_rng(devices=[]))
            torch.manual_seed(_seed(recipe.seed, now.step, 3))
            record = stack.enter_context(recorded())
            if recipe.pruning is not None:
                alpha = recipe.pruning.alpha(share)
                stack.enter_context(dropped(self.module, recipe.pruning, alpha, generator))
            if self.augment is not None:
                x = self.augment(x, generator)
            loss = self.loss(self.module(x), y)
            penalty = _penalty(record, loss)
            whole = loss + recipe.l1 * penalty
            if not torch.isfinite(whole):
                raise ModelError(
                    "train a delta network",
                    received=f"a loss of {loss.item()} and a penalty of {penalty.item()}",
                    where=f"step {now.step + 1} of {self.steps}",
                    fix="use a smaller rate, or a smaller clip",
                )
            self.optimizer.zero_grad(set_to_none=True)
            torch.autograd.backward(whole)
        nn.utils.clip_grad_norm_(self.module.parameters(), recipe.clip)
        self.optimizer.step()
        return now.after(
            (loss.item(), penalty.item(), self._sparsity(record)), self.steps_per_epoch
        )

    def _sparsity(self, record: Record) -> float:
        if not self.layers:
            return 0.0
        read, dense = total(traffic(self.module, record))
        return 1 - read / dense


def _penalty(record: Record, like: Tensor) -> Tensor:
    if not record:
        return like.new_zeros(())
    return torch.stack([trace.penalty for _, trace in record]).mean()


def _delta_layers(module: nn.Module) -> list[_DeltaRecurrent | DeltaLinear | DeltaConv]:
    kinds = _DeltaRecurrent | DeltaLinear | DeltaConv
    return [part for part in module.modules() if isinstance(part, kinds)]


def _seed(seed: int, at: int, what: int) -> int:
    """Different for all small numbers."""
    return (seed * 4 + what) * 1_000_003 + at


def _generator(seed: int, at: int, what: int) -> torch.Generator:
    return torch.Generator().manual_seed(_seed(seed, at, what))


def _check_learnable(module: nn.Module, recipe: Recipe) -> None:
    if not any(part.learnable for part in _delta_layers(module)):
        return
    if recipe.dense_gradient:
        raise OptionError(
            "learn thresholds with a dense gradient",
            fix="use dense_gradient=False, or thresholds that are not learned",
        )
    if recipe.theta_ramp:
        raise OptionError(
            "ramp learnable thresholds", fix="use theta_ramp=0, or thresholds that are not learned"
        )


def _check_data(x: Tensor, y: Tensor, recipe: Recipe) -> None:
    reasons = []
    if len(x) != len(y):
        reasons.append(f"{len(x)} samples and {len(y)} labels")
    if len(x) < recipe.batch:
        reasons.append(f"{len(x)} samples are fewer than a batch of {recipe.batch}")
    if x.is_floating_point() and not torch.isfinite(x).all():
        reasons.append("NaN or infinite values among the inputs")
    if y.is_floating_point() and not torch.isfinite(y).all():
        reasons.append("NaN or infinite values among the labels")
    if reasons:
        raise DataError("train a delta network", reasons=reasons)
