"""Measures networks that others trained as delta networks: docs/results/delta_pretrained.json.

    python validation/delta_pretrained.py                 # about half an hour on two cores
    python validation/delta_pretrained.py --parts nsnet2,video
    python validation/delta_pretrained.py --times         # time kept results again
    python validation/delta_pretrained.py --quick --out FOLDER

NSNet2 (denoiser), Silero VAD and Resemblyzer (speaker embeddings) on real speech, and a VGG-16
trunk as a delta CNN on real video. Needs what `make demo` installs, the packages of
validation/requirements-delta.txt (with --no-deps) and, for more than one noise and one reader, the
Debian packages sonic-pi-samples and pocketsphinx-testdata. Each part replaces its own numbers in
the file and leaves the others. The page docs/results/delta.md takes its sections from here.
"""

from __future__ import annotations

import argparse
import datetime
import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import delta_nsnet2
import delta_nsnet2_48k
import delta_pretrained_page as pages
import delta_video
import delta_voices
import torch

from tospike.bench.timing import machine
from tospike.errors import DataError, TospikeError
from tospike.reporting.write import write_atomically

ROOT = Path(__file__).resolve().parents[1]
RESULT = "delta_pretrained.json"
Report = Callable[[str], None]


@dataclass(frozen=True)
class Part:
    """What measures a part, what writes its section, and what only measures its times again."""

    measure: Callable[[bool, Report], Any]
    section: Callable[[Any], list[str]]
    retime: Callable[[Any], dict[str, Any]] | None = None


PARTS = {
    "nsnet2": Part(delta_nsnet2.measure, pages.nsnet2, delta_nsnet2.retime),
    "nsnet2_48k": Part(delta_nsnet2_48k.measure, pages.nsnet2_48k, delta_nsnet2_48k.retime),
    "silero": Part(delta_voices.silero, pages.silero, delta_voices.retime_silero),
    "resemblyzer": Part(
        delta_voices.resemblyzer, pages.resemblyzer, delta_voices.retime_resemblyzer
    ),
    "video": Part(delta_video.measure, pages.video),
}

SHORT = """## What falls short

One reader's 25 s of speech for NSNet2, at most four speakers for Resemblyzer, 16 frames each of two
videos. No listening test; PESQ is left out. The times come from a virtual machine with two cores
that other programs used as well: medians over steps that took turns, not absolute figures. Modelled
energy leaves out the gate functions, control and leakage. Silero's probabilities are compared with
those of the dense network, not with labels."""


def sections(data: dict[str, Any]) -> str:
    """The Markdown of all parts that are in ``data``, the content of delta_pretrained.json."""
    lines: list[str] = []
    for name, part in PARTS.items():
        if name in data["parts"]:
            lines += part.section(data["parts"][name]["result"])
    where = data["machine"]
    made = {part["date"] for part in data["parts"].values()}
    lines += [
        SHORT,
        "",
        f"`{data['command']}`, {' and '.join(sorted(made))}, {where['cpu']}, "
        f"{where['cores']} cores, torch {data['torch']}; numbers in `{RESULT}`.",
    ]
    return "\n".join(lines) + "\n"


def kept(path: Path) -> dict[str, Any]:
    """Parts that were measured before."""
    if not path.is_file():
        return {}
    try:
        return dict(json.loads(path.read_bytes())["parts"])
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"go on from {path.name}", received=f"a damaged file: {error}", fix="remove it"
        ) from error


def parsed(arguments: list[str] | None) -> argparse.Namespace:
    """The options, checked."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="seconds; needs --out")
    parser.add_argument("--out", type=Path, help="folder instead of docs/results")
    parser.add_argument("--times", action="store_true", help="only time kept results again")
    parser.add_argument("--parts", default=",".join(PARTS), help="what to measure anew")
    options = parser.parse_args(arguments)
    options.parts = tuple(part for part in options.parts.split(",") if part)
    if unknown := set(options.parts) - set(PARTS):
        parser.error(f"--parts {','.join(sorted(unknown))}: allowed are {','.join(PARTS)}")
    if options.quick and options.out is None:
        parser.error("--quick needs --out: its numbers must not replace the measured ones")
    options.out = options.out or ROOT / "docs" / "results"
    return options


def measure(options: argparse.Namespace, report: Report) -> None:
    """All wanted parts; the file is written after each."""
    path = options.out / RESULT
    parts = kept(path)
    for name in options.parts:
        report(f"{name} ...")
        part = PARTS[name]
        if options.times:
            if name not in parts or part.retime is None:
                continue
            found = {**parts[name]["result"], "times": part.retime(parts[name]["result"])}
        else:
            found = part.measure(options.quick, report)
        parts[name] = {"date": datetime.date.today().isoformat(), "result": found}
        data = {
            "command": "python validation/delta_pretrained.py" + " --quick" * options.quick,
            "machine": machine(),
            "torch": str(torch.__version__),
            "parts": {name: parts[name] for name in PARTS if name in parts},
        }
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, (json.dumps(data, indent=1, allow_nan=False) + "\n").encode())


def main(arguments: list[str] | None = None) -> int:
    """Command line; 2 with a message for what the user can mend."""
    options = parsed(arguments)
    start = time.monotonic()

    def report(text: str) -> None:
        print(f"{time.monotonic() - start:6.0f} s  {text}", file=sys.stderr, flush=True)

    torch.set_num_threads(1)
    try:
        measure(options, report)
    except (ImportError, FileNotFoundError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except TospikeError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
