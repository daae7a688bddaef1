"""From what was measured to the records that ship with the package."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from fashion_training import Trained
from numpy.typing import NDArray
from training_plan import Job
from trunk_sparsity import Measured

from tospike.papers.measured import SparseNetwork

Floats = NDArray[np.float64]
TITLES = {
    "scratch": "Fashion-MNIST CNN",
    "demo": "Fashion-MNIST CNN, trained on",
    "scratch, no batch norm": "Fashion-MNIST CNN without batch norm",
}


def _std(values: Floats) -> float | None:
    """Sample standard deviation; None from a single value."""
    return float(values.std(ddof=1)) if len(values) > 1 else None


def _rows(
    name: str,
    precision: str,
    training: str,
    zeros: tuple[dict[str, Floats], dict[str, Floats], dict[str, Floats]],
    reference: dict[str, Floats],
    counts: tuple[int, int],
    accuracy: Floats | None,
    note: str,
    relative_error: float | None = None,
) -> SparseNetwork:
    """One record. ``zeros``: after rounding, before it, at inputs; (N,) values per layer."""
    output, relu, inputs = zeros
    layers = tuple(output)
    mean = np.mean([output[layer] for layer in layers], axis=0)
    rise = mean - np.mean([reference[layer] for layer in layers], axis=0)
    n_samples, seeds = counts
    return SparseNetwork(
        name=name,
        precision=precision,
        training=training,
        layers=layers,
        zero_fraction=tuple(float(output[layer].mean()) for layer in layers),
        zero_fraction_std=tuple(_std(output[layer]) for layer in layers),
        n_samples=n_samples,
        seeds=seeds,
        accuracy=None if accuracy is None else float(accuracy.mean()),
        accuracy_std=None if accuracy is None else _std(accuracy),
        note=note,
        relu_zero_fraction=tuple(float(relu[layer].mean()) for layer in layers),
        input_zero_fraction=tuple(float(inputs[layer].mean()) for layer in layers),
        mean_std=_std(mean),
        rise=float(rise.mean()),
        rise_std=_std(rise),
        relative_error=relative_error,
    )


def of_trunk(name: str, measured: Sequence[Measured], note: str) -> list[SparseNetwork]:
    """Records of one trained network at several precisions; the first is the float one."""
    reference = measured[0].output
    n = len(next(iter(reference.values())))
    return [
        _rows(
            name,
            m.precision,
            "as trained" if m is measured[0] else "post-training",
            (m.output, m.relu, m.input),
            reference,
            (n, 1),
            None,
            note,
            None if m is measured[0] else m.relative_error,
        )
        for m in measured
    ]


def of_trainings(
    results: Sequence[tuple[Job, Trained]], n_test: int, origin: str
) -> list[SparseNetwork]:
    """Records of the trainings, one per recipe and precision, over the seeds.

    Only seeds that have a float32 network of the same recipe count: each is compared with its
    own.
    """
    found = []
    for recipe in dict.fromkeys(job.recipe for job, _ in results):
        of_recipe = {(j.precision, j.seed): t for j, t in results if j.recipe == recipe}
        floats = {seed: t for (name, seed), t in of_recipe.items() if name == "float32"}
        for precision in dict.fromkeys(j.precision for j, _ in results if j.recipe == recipe):
            seeds = [s for s in sorted(floats) if (precision, s) in of_recipe]
            if not seeds:
                continue
            trained = [of_recipe[precision, seed] for seed in seeds]
            epochs = f"{recipe.epochs} epoch{'s' if recipe.epochs > 1 else ''}"
            how = "float32" if precision == "float32" else "dual-copy rounding"
            begin = "the demo's weights" if recipe.start == "demo" else "scratch"
            note = (
                f"Trained from {begin} on {recipe.n_train} images for {epochs} (SGD, peak rate "
                f"{recipe.peak_rate}, batch {recipe.batch}); {origin}; {_seeds(len(seeds))}."
            )
            found.append(
                _rows(
                    TITLES[recipe.start],
                    precision,
                    f"{how}, {epochs} from {begin}",
                    (_stack(trained, 0), _stack(trained, 1), _stack(trained, 2)),
                    _stack([floats[seed] for seed in seeds], 0),
                    (n_test, len(seeds)),
                    np.array([t.accuracy for t in trained]),
                    note,
                )
            )
    return found


def _seeds(n: int) -> str:
    return "one seed, so no deviations" if n == 1 else f"deviations over {n} seeds"


def _stack(trained: Sequence[Trained], which: int) -> dict[str, Floats]:
    """Layer -> one mean per network: after rounding (0), before it (1), at inputs (2)."""
    tables = [(t.output, t.relu, t.input)[which] for t in trained]
    return {layer: np.array([table[layer] for table in tables]) for layer in trained[0].output}
