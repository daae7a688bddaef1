"""Trains the networks of the three tasks, dense and as delta networks, and measures them."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from delta_tasks import Data, Pair, Task
from torch import nn

from tospike.actions import ActionCounts, combine
from tospike.conversion.delta.pruning import Pruning, column_bytes
from tospike.conversion.delta.recording import recorded
from tospike.conversion.delta.replace import delta_network
from tospike.conversion.delta.scores import lower_bound
from tospike.conversion.delta.search import (
    Key,
    search_thresholds,
    thresholds,
    with_thresholds,
)
from tospike.conversion.delta.traffic import LayerTraffic, total, traffic
from tospike.conversion.delta.train import Augment, Recipe, train
from tospike.equations import liu_delbruck_2019 as liu
from tospike.pricing import price

TECHNOLOGY = "horowitz_2014_45nm"
#: dB that the outputs keep to those of the dense network in a search: errors of 10 % and of 5 %
SEARCH_FLOORS = {"searched_20": 20.0, "searched_26": 26.0}
#: training sequences that a search runs on
SEARCH_SAMPLES = 400
#: a search on people who are not in the training: the networks that each leave other people out,
#: the accuracy that may be lost, and how sure that is to be
FOLDS, MAY_LOSE, CONFIDENCE = 3, 0.005, 0.95
#: of the pruned network: three of four weights are 0 in every part of a column
PRUNING = Pruning(sparsity=0.75, n_pe=8, ramp=0.4)
GATES = 3
Report = Callable[[str], None]


@dataclass(frozen=True)
class Row:
    """One network on the test data. Bytes and joule are per time step, of the GRU alone.

    ``training``: "dense", "post" (thresholds put into the dense network), "searched_20" and
    "searched_26" (the same, with thresholds found on training data), "searched_people" and
    "searched_people_mean" (found on people left out of the training, with a margin and without),
    "retrained", or "pruned" (retrained with CBTD).
    ``gamma``: share of weights not read. ``bytes_*``: weights read at that width. ``energy_*_j``:
    modelled, 8-bit weights in SRAM or in DRAM; None for pruned networks, which are not modelled.
    """

    task: str
    seed: int
    training: str
    theta_x: float
    theta_h: float
    accuracy: float
    gamma_x: float
    gamma_h: float
    gamma: float
    bytes_float32: float
    bytes_int8: float
    energy_sram_j: float | None
    energy_dram_j: float | None


@torch.no_grad()
def answers(module: nn.Module, data: Data) -> torch.Tensor:
    """Class of every sequence after its last step; padding is never run."""
    found = torch.empty(len(data), dtype=torch.int64)
    for length in data.length.unique().tolist():
        rows = torch.nonzero(data.length == length)[:, 0]
        output = module(data.x[rows, :length])
        found[rows] = output[:, -1].argmax(dim=1)
    return found


def accuracy(data: Data, module: nn.Module) -> float:
    """Share of right answers."""
    return float((answers(module, data) == data.label).double().mean())


def agreement(dense: nn.Module, data: Data) -> Callable[[nn.Module], float]:
    """Score: signal-to-noise ratio in dB of the outputs of all steps against those of ``dense``.

    Labels are of no use for it: the training knows them, so that accuracy hardly falls there.
    """
    parts = [data.x[data.length == length, :length] for length in data.length.unique().tolist()]
    with torch.no_grad():
        wanted = [dense(x) for x in parts]
    power = sum(float(one.double().square().sum()) for one in wanted)

    def score(module: nn.Module) -> float:
        pairs = zip(parts, wanted, strict=True)
        noise = sum(float((module(x) - one).double().square().sum()) for x, one in pairs)
        return math.inf if noise == 0 else 10 * math.log10(power / noise)

    return score


def energy(layers: Iterable[LayerTraffic], hidden: int, dense: bool, where: str) -> float:
    """Modelled energy of a step in joule, 8 bits everywhere; weights in "sram" or "dram"."""
    counts = []
    layers = tuple(layers)
    for layer in layers:
        inputs = layer.dense_weights // (GATES * hidden) - hidden
        counts.append(
            liu.gru(
                n_inputs=inputs,
                n_hidden=hidden,
                n_steps=1,
                sparsity_x=None if dense else layer.sparsity_x,
                sparsity_h=None if dense else layer.sparsity_h,
                layer=f"{layer.name}.{layer.level}",
            )
        )
    whole: ActionCounts = combine(counts)
    if where == "dram":
        whole = replace(
            whole,
            entries=tuple(
                replace(entry, component="dram")
                if (entry.component, entry.datatype) == ("sram", "weight")
                else entry
                for entry in whole.entries
            ),
        )
    capacity = max(8192, total(layers)[1])
    return float(price(whole, TECHNOLOGY, sram_bytes=capacity).energy)


def measure(task: Task, seed: int, training: str, module: nn.Module) -> Row:
    """Run the network on the test data."""
    dense = training == "dense"
    network = delta_network(module) if dense else module
    with recorded() as record:
        right = accuracy(task.test, network)
    layers = traffic(network, record)
    read, whole = total(layers)
    if dense:
        read = whole
    theta_x, theta_h = (
        # thresholds are float32; six digits give back what was asked for
        float(f"{statistics.fmean(v for key, v in thresholds(network).items() if key[2] == w):.6g}")
        for w in ("theta_x", "theta_h")
    )
    pruning = PRUNING if training == "pruned" else None
    return Row(
        task.name,
        seed,
        training,
        theta_x,
        theta_h,
        right,
        0.0 if dense else statistics.fmean(layer.sparsity_x for layer in layers),
        0.0 if dense else statistics.fmean(layer.sparsity_h or 0.0 for layer in layers),
        1 - read / whole,
        _bytes(read, task.hidden, 32, pruning),
        _bytes(read, task.hidden, 8, pruning),
        None if pruning else energy(layers, task.hidden, dense, "sram"),
        None if pruning else energy(layers, task.hidden, dense, "dram"),
    )


def _bytes(read: float, hidden: int, bits: int, pruning: Pruning | None) -> float:
    """Bytes of so many weights; of pruned columns, the kept weights with 8-bit places."""
    if pruning is None:
        return read * bits / 8
    n_rows = GATES * hidden
    return read / n_rows * column_bytes(n_rows, pruning, bits)


class Trainer:
    """Trains the networks of one task; each training is kept in a checkpoint of its own."""

    def __init__(self, task: Task, work: Path, report: Report) -> None:
        self.task, self.work, self.report = task, work, report
        self.on_people: dict[float, dict[Key, float]] = {}

    def _train(
        self,
        module: nn.Module,
        name: str,
        recipe: Recipe,
        augment: Augment | None,
        data: Data | None = None,
    ) -> nn.Module:
        task = self.task
        data = task.train if data is None else data

        def progress(done: int, steps: int) -> None:
            if done % max(1, steps // 10) == 0:
                self.report(f"{task.name} {name}: step {done} of {steps}")

        trained = train(
            module,
            data.x,
            data.steps(task.first),
            task.loss,
            recipe,
            augment=augment,
            checkpoint=self.work / f"{task.name}.{name}.pt",
            progress=progress,
        )
        return trained.module

    def dense(self, seed: int) -> nn.Module:
        """The dense network."""
        task = self.task
        network = task.network(seed)
        if task.trained is not None and seed == 0:
            network.load_state_dict(task.trained)
            return network.eval()
        return self._train(network, f"dense.{seed}", replace(task.dense, seed=seed), task.augment)

    def retrained(self, seed: int, at: Pair, pruning: Pruning | None = None) -> nn.Module:
        """The dense network trained on with thresholds."""
        recipe = replace(self.task.delta, seed=seed)
        if pruning is not None:
            # Taking weights away needs more steps, and larger ones, than keeping thresholds.
            recipe = replace(
                recipe, pruning=pruning, epochs=2 * recipe.epochs, rate=2e-3, dense_gradient=True
            )
        start = delta_network(self.dense(seed), at[1], theta_x=at[0])
        name = "pruned" if pruning else "delta"
        full = f"{name}.{at[0]:g}.{at[1]:g}.{seed}"
        return self._train(start, full, recipe, self.task.augment_delta)

    def searched(self, seed: int, floor: float) -> nn.Module:
        """The dense network with thresholds found on training sequences."""
        generator = torch.Generator().manual_seed(seed)
        rows = torch.randperm(len(self.task.train), generator=generator)[:SEARCH_SAMPLES]
        start = delta_network(self.dense(seed))
        score = agreement(start, self.task.train.select(rows))
        found = search_thresholds(start, score, floor)
        self.report(f"{self.task.name} searched {seed}: {len(found.path)} trials")
        return with_thresholds(start, found.thetas)

    def searched_on_people(self, seed: int, confidence: float) -> nn.Module:
        """The dense network with thresholds found on people that :data:`FOLDS` networks, trained
        half as long, have not seen; found once for all seeds."""
        if confidence not in self.on_people:
            self.on_people[confidence] = self._search_on_people(confidence)
        return with_thresholds(delta_network(self.dense(seed)), self.on_people[confidence])

    def _search_on_people(self, confidence: float) -> dict[Key, float]:
        task, data = self.task, self.task.train
        assert data.person is not None
        people = data.person.unique()
        recipe = replace(task.dense, epochs=max(1, task.dense.epochs // 2))
        folds = []
        for fold in range(FOLDS):
            out = torch.isin(data.person, people[fold::FOLDS])
            kept = data.select(torch.nonzero(~out)[:, 0])
            dense = self._train(task.network(0), f"fold.{fold}", recipe, task.augment, kept)
            # sequences overlap by half: every second one has all that the others have
            held_out = data.select(torch.nonzero(out)[::2, 0])
            found = answers(dense, held_out)
            share = float((found == held_out.label).double().mean())
            self.report(f"{task.name} fold {fold}: accuracy {share:.4f} on people left out")
            folds.append((delta_network(dense), held_out, found))
        persons = torch.cat([held_out.person for _, held_out, _ in folds]).tolist()

        def score(module: nn.Module) -> float:
            at = thresholds(module)
            changes = []
            for fold, (network, held_out, before) in enumerate(folds):
                # the network under search counts what is sent; the others follow it
                now = answers(module if fold == 0 else with_thresholds(network, at), held_out)
                right = (now == held_out.label).double()
                changes.append(right - (before == held_out.label).double())
            return lower_bound(torch.cat(changes), persons, confidence)

        best = search_thresholds(folds[0][0], score, -MAY_LOSE, first=2.0**-6, refine=1)
        self.report(
            f"{task.name} searched on people, confidence {confidence:g}: "
            f"{len(best.path)} trials, {best.score:.4f}"
        )
        return dict(best.thetas)


def rows(task: Task, seeds: int, work: Path, report: Report) -> Iterator[Row]:
    """All networks of a task, one row after the other; what takes long comes last."""
    trainer = Trainer(task, work, report)
    for seed in range(seeds):
        dense = trainer.dense(seed)
        yield measure(task, seed, "dense", dense)
        for theta_x, theta_h in task.grid:
            made = delta_network(dense, theta_h, theta_x=theta_x)
            yield measure(task, seed, "post", made)
        for name, floor in SEARCH_FLOORS.items():
            yield measure(task, seed, name, trainer.searched(seed, floor))
    if task.train.person is not None:
        for name, confidence in (("searched_people_mean", 0.5), ("searched_people", CONFIDENCE)):
            for seed in range(seeds):
                yield measure(task, seed, name, trainer.searched_on_people(seed, confidence))
    for at in task.retrained:
        for seed in range(seeds):
            yield measure(task, seed, "retrained", trainer.retrained(seed, at))
    for seed in range(seeds if task.pruned else 0):
        yield measure(task, seed, "pruned", trainer.retrained(seed, task.retrained[0], PRUNING))
