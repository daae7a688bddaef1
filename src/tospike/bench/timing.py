"""Interleaved timing: A B C A B C ..., medians and pairwise ratios."""

from __future__ import annotations

import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds of one contender: median, minimum, and the median of its ratio to the baseline.

    The ratio is taken round by round, so that it holds when the machine's speed drifts.
    """

    name: str
    median_s: float
    minimum_s: float
    ratio: float
    rounds: int


def interleaved(
    contenders: Mapping[str, Callable[[], object]],
    *,
    baseline: str,
    rounds: int = 7,
    clock: Callable[[], float] = time.perf_counter,
) -> list[Timing]:
    """Run every contender once per round, in turn, after one uncounted warm-up round each."""
    for run in contenders.values():
        run()
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, run in contenders.items():
            start = clock()
            run()
            seconds[name].append(clock() - start)
    base = seconds[baseline]
    return [
        Timing(
            name=name,
            median_s=statistics.median(times),
            minimum_s=min(times),
            ratio=statistics.median(t / b for t, b in zip(times, base, strict=True)),
            rounds=rounds,
        )
        for name, times in seconds.items()
    ]


def machine() -> dict[str, str | int]:
    """What the figures were measured on."""
    model = platform.processor() or platform.machine()
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            for line in file:
                if line.startswith("model name"):
                    model = line.split(":", 1)[1].strip()
                    break
    except OSError:
        pass
    return {
        "cpu": model,
        "cores": os.cpu_count() or 0,
        "system": platform.system(),
        "python": platform.python_version(),
    }
