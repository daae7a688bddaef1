"""Accuracy of the demo's Fashion-MNIST network as SNN over T, for every rule of the conversion.

    python validation/snn_conversion.py                    # 1000 images, some minutes on one core
    python validation/snn_conversion.py --images 2500 --format latex
    python validation/snn_conversion.py --rows mse --timesteps 2,4

Nothing is trained and no label is used but to count what is right.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from demo_models import fashion_mnist

from tospike.conversion import calibrate, executable, matched_bits, run_ann, run_qnn, run_snn
from tospike.conversion.calibration import Calibration, with_method
from tospike.conversion.graph import ExecutableGraph
from tospike.conversion.result import RunResult
from tospike.conversion.ttfs import run_ttfs
from tospike.tables import FORMATS, Column, Table, export

TIMESTEPS = (1, 2, 4, 8, 16, 32)


@dataclass(frozen=True)
class Row:
    """One way to convert. ``alone``: it is made for each T."""

    name: str
    method: str
    correction: str
    granularity: str = "channel"
    max_pool: str = "exact"
    schedule: str = "together"
    coding: str = "rate"

    @property
    def alone(self) -> bool:
        """True if every T has a calibration of its own."""
        return self.method == "mse" or self.correction not in ("none", "fit")


ROWS = (
    Row("max, per layer", "max", "none", "layer"),
    Row("percentile, per layer", "percentile", "none", "layer"),
    Row("percentile, per layer, fit", "percentile", "fit", "layer"),
    Row("max", "max", "none"),
    Row("percentile", "percentile", "none"),
    Row("percentile, fit", "percentile", "fit"),
    Row("percentile, potential", "percentile", "potential"),
    Row("mse", "mse", "none"),
    Row("mse, bias", "mse", "bias"),
    Row("mse, potential", "mse", "potential"),
    Row("mse, weights", "mse", "weights"),
    Row("mse, weights, OR max-pool", "mse", "weights", max_pool="or"),
    Row("mse, layer after layer", "mse", "none", schedule="layers"),
    Row("mse, weights, layer after layer", "mse", "weights", schedule="layers"),
    Row("mse, weights, time to first spike", "mse", "weights", coding="ttfs"),
)


@dataclass(frozen=True, eq=False)
class Setting:
    """What every row shares."""

    graph: ExecutableGraph
    x: torch.Tensor
    y: torch.Tensor
    known: np.ndarray
    calibrations: dict[str, Calibration]


def measured(setting: Setting, row: Row, timesteps: tuple[int, ...]) -> dict[int, RunResult]:
    """One row over T."""
    base = setting.calibrations[row.granularity]
    found: dict[int, RunResult] = {}
    for group in [(t,) for t in timesteps] if row.alone else [timesteps]:
        suited = with_method(
            setting.graph,
            base,
            row.method,  # type: ignore[arg-type]
            timesteps=group[0] if row.alone else None,
            correction=row.correction,  # type: ignore[arg-type]
        )
        given = (setting.graph, suited, setting.x, setting.y)
        if row.coding == "ttfs":
            found.update(run_ttfs(*given, timesteps=group, float_classes=setting.known))
        else:
            found.update(
                run_snn(
                    *given,
                    timesteps=group,
                    max_pool=row.max_pool,
                    schedule=row.schedule,
                    float_classes=setting.known,
                )
            )
    return found


def operations(result: RunResult) -> float:
    """Additions on spikes per inference."""
    return sum(
        one.synaptic_operations for one in result.activity.layers.values() if one.signal == "spike"
    )


def tables(
    setting: Setting,
    rows: tuple[Row, ...],
    timesteps: tuple[int, ...],
    say: Callable[[str], None],
) -> list[Table]:
    """Accuracy over T, and additions on spikes over T."""
    accuracy, additions = [], []
    bits = {t: matched_bits(t) for t in timesteps}
    qnn = {
        b: run_qnn(
            setting.graph, setting.calibrations["channel"], setting.x, setting.y,
            activation_bits=b, float_classes=setting.known,
        ).accuracy
        for b in sorted(set(bits.values()))
    }  # fmt: skip
    say("quantised network of ceil(log2(T + 1)) bits")
    accuracy.append({"name": "QNN of matched bits"} | {f"T{t}": qnn[bits[t]] for t in timesteps})
    for row in rows:
        start = time.monotonic()
        found = measured(setting, row, timesteps)
        accuracy.append({"name": row.name} | {f"T{t}": found[t].accuracy for t in timesteps})
        additions.append({"name": row.name} | {f"T{t}": operations(found[t]) for t in timesteps})
        shown = " ".join(f"{100 * float(found[t].accuracy or 0):.1f}" for t in timesteps)
        say(f"{row.name}: {shown} ({time.monotonic() - start:.0f} s)")
    ann = run_ann(setting.graph, setting.x, setting.y).accuracy
    columns = (
        Column("name", "thresholds, correction"),
        *(Column(f"T{t}", f"T = {t}") for t in timesteps),
    )
    n = len(setting.x)
    return [
        Table(
            key="snn_conversion_accuracy",
            title=f"Accuracy of the converted network, {n} test images; ANN {100 * ann:.1f} %",
            columns=columns,
            rows=tuple(accuracy),
            notes=("Thresholds are per channel where no other is said.",),
        ),
        Table(
            key="snn_conversion_additions",
            title=f"Additions on spikes per inference, {n} test images",
            columns=columns,
            rows=tuple(additions),
        ),
    ]


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--images", type=int, default=1000, help="test images, at most 2500")
    parser.add_argument("--calibration", type=int, default=256, help="samples, at most 512")
    parser.add_argument("--timesteps", default=",".join(map(str, TIMESTEPS)))
    parser.add_argument("--rows", default="", help="only rows whose name contains this")
    parser.add_argument("--format", default="markdown", choices=tuple(FORMATS))
    asked = parser.parse_args()
    torch.set_num_threads(1)
    model = fashion_mnist()
    with np.load(model.HERE / "calibration.npz") as data:
        fitting = data["x"][: asked.calibration]
    with np.load(model.HERE / "test.npz") as data:
        chosen = np.linspace(0, len(data["y"]) - 1, asked.images).astype(int)
        x, y = torch.from_numpy(data["x"][chosen]), torch.from_numpy(data["y"][chosen])
    graph = executable(model.trained_cnn(), fitting[:4])
    calibrations = {
        kind: calibrate(graph, fitting, granularity=kind) for kind in ("channel", "layer")
    }
    known = run_ann(graph, x).classes
    assert known is not None
    rows = tuple(row for row in ROWS if asked.rows in row.name)
    timesteps = tuple(int(part) for part in asked.timesteps.split(","))
    made = tables(
        Setting(graph, x, y, known, calibrations),
        rows,
        timesteps,
        lambda text: print(text, file=sys.stderr, flush=True),
    )
    print(export(made, asked.format), end="")


if __name__ == "__main__":
    main()
