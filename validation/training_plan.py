"""Which networks are trained, and the trainings themselves, each kept in a file when it is done."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path

import torch
from dual_copy import Precision, float32, in_fixed_point, in_given_formats, in_ternary
from fashion_training import (
    Images,
    Recipe,
    Trained,
    embedded_images,
    evaluate,
    full_images,
    train,
)

#: the same 16 bits with the point elsewhere: steps of 1/4, as in one of ADaPTION's VGG-16 files
COARSE = "w16a16, activations Q14.2"


def precisions() -> dict[str, Precision]:
    """Name -> precision of every training."""
    found = [
        float32(),
        in_fixed_point(16),
        in_fixed_point(8),
        in_fixed_point(6),
        in_fixed_point(4),
        in_ternary(),
        in_given_formats([(14, 2)], 1.0, COARSE),
    ]
    return {p.name: p for p in found}


#: precisions of the recipes that are there for comparison only
FEW = ("float32", "w16a16", COARSE)
FULL = (
    Recipe("scratch", epochs=1, n_train=40_000, peak_rate=0.1),
    Recipe("demo", epochs=1, n_train=6_400, peak_rate=0.01),
    Recipe("scratch, no batch norm", epochs=1, n_train=12_800, peak_rate=0.02),
)
QUICK = (Recipe("scratch", epochs=1, n_train=64, peak_rate=0.1, batch=32),)
N_QUICK_TEST = 50


@dataclass(frozen=True, slots=True)
class Job:
    """One training."""

    recipe: Recipe
    precision: str
    seed: int
    quick: bool

    @property
    def file(self) -> str:
        """Name of the file of its result: changes with everything that changes the result."""
        text = json.dumps(asdict(self), sort_keys=True)
        return f"training-{hashlib.sha256(text.encode()).hexdigest()[:16]}.json"


def jobs(quick: bool, n_seeds: int) -> list[Job]:
    """All trainings, seed by seed, so that what a stopped run has kept can be compared."""
    if quick:
        return [Job(QUICK[0], name, 0, quick) for name in ("float32", "w4a4")]
    main, *others = FULL
    chosen = [Job(main, name, seed, quick) for seed in range(n_seeds) for name in precisions()]
    for seed in range(n_seeds):
        chosen += [Job(recipe, name, seed, quick) for recipe in others for name in FEW]
    return chosen


def images(recipe: Recipe, quick: bool) -> Images:
    """Training and test images of a recipe."""
    if quick:
        return embedded_images(recipe.n_train, N_QUICK_TEST)
    return full_images(recipe.n_train)


def run(job: Job) -> Trained:
    """Train and measure one network on one thread."""
    torch.set_num_threads(1)
    data = images(job.recipe, job.quick)
    model = train(precisions()[job.precision], job.seed, job.recipe, data)
    return evaluate(model, job.seed, data)


def kept(job: Job, folder: Path) -> Trained | None:
    """The result of an earlier run of the same job."""
    path = folder / job.file
    return Trained(**json.loads(path.read_text())["result"]) if path.is_file() else None


def keep(job: Job, result: Trained, folder: Path) -> None:
    """Write a result whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    temporary = folder / f".{job.file}.{os.getpid()}.tmp"
    temporary.write_text(json.dumps({"job": asdict(job), "result": asdict(result)}, indent=1))
    os.replace(temporary, folder / job.file)


def run_all(
    todo: list[Job], folder: Path, workers: int, report: Callable[[str], None]
) -> Iterator[tuple[Job, Trained]]:
    """Results of all jobs in their order of completion, each kept in ``folder``."""
    if workers == 1:
        for i, job in enumerate(todo, start=1):
            result = run(job)
            keep(job, result, folder)
            report(f"training {i} of {len(todo)}: {job.recipe.start}, {job.precision}")
            yield job, result
        return
    # spawn: a forked process would inherit the locks of torch's threads
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        futures = {pool.submit(run, job): job for job in todo}
        for i, future in enumerate(as_completed(futures), start=1):
            job, result = futures[future], future.result()
            keep(job, result, folder)
            report(f"training {i} of {len(todo)}: {job.recipe.start}, {job.precision}")
            yield job, result
