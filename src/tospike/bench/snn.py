"""``tospike bench snn``: spiking networks, event-driven and in other tools, on the same spikes."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tospike.bench.snn_cases import Case
from tospike.bench.snn_networks import dvs, forced, mlp, vgg9
from tospike.bench.snn_ours import VARIANTS, our_run
from tospike.bench.snn_peers import FRAMEWORKS, Run, Setting, Watch, peers
from tospike.bench.snn_simulate import Trace, simulate
from tospike.bench.snn_trained import Source, demo, trained
from tospike.bench.timing import machine
from tospike.errors import OptionError

#: name on the command line -> what it is
NETWORKS = {
    "fashion": "trained networks for Fashion-MNIST, analog images",
    "vgg9": "VGG-9, 32 x 32, random weights, spikes",
    "dvs": "CNN for 128 x 128 event frames, random weights, leaky neurons",
    "mlp": "784-1024-1024-10, random weights, spikes",
}
DENSITIES = (0.01, 0.02, 0.05, 0.1, 0.2)
#: samples of every case whose spikes are compared one by one (or one batch)
CHECKED = 4
#: the variant that the targets are about
OURS = "tospike"

Clock = Callable[[], float]
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Options:
    """What is measured. ``images``: samples that are timed one after the other at batch 1.

    ``measured``: also with thresholds as they were trained. ``sources``: the trained networks.
    ``processor_time``: seconds that the processor worked instead of seconds that passed, which is
    what a machine can tell that does other work, too; one thread only.
    """

    networks: tuple[str, ...] = tuple(NETWORKS)
    densities: tuple[float, ...] = DENSITIES
    measured: bool = True
    threads: tuple[int, ...] = (1, 2)
    batches: tuple[int, ...] = (1, 16)
    timesteps: int = 4
    rounds: int = 15
    images: int = 8
    processor_time: bool = False
    sources: tuple[Source, ...] = (demo(Path("demo/fashion_mnist")),)

    def __post_init__(self) -> None:
        reasons = [
            f"{name} is {values}; it must be positive"
            for name, values in (
                ("threads", self.threads), ("batch", self.batches), ("rounds", (self.rounds,)),
                ("images", (self.images,)),
            )
            if not values or min(values) < 1
        ]  # fmt: skip
        if not 1 <= self.timesteps <= 8:
            # Beyond, a potential could equal a threshold (see snn_cases.off_grid).
            reasons.append(f"timesteps is {self.timesteps}; it must be 1 to 8")
        reasons += [
            f"density {one}: above 0 to 0.5" for one in self.densities if not 0 < one <= 0.5
        ]
        reasons += [
            f"network {name!r}: {', '.join(NETWORKS)}"
            for name in self.networks
            if name not in NETWORKS
        ]
        if self.processor_time and self.threads != (1,):
            reasons.append(f"threads is {self.threads}; processor time is that of 1 thread")
        if not self.networks or not (self.densities or self.measured):
            reasons.append("no network or no density")
        if reasons:
            raise OptionError("bench snn", reasons=reasons)

    @property
    def samples(self) -> int:
        """Samples of every case."""
        return max(self.images, *self.batches)


@dataclass
class Contender:
    """One row in the making: ``run`` on ``inputs``, one after the other, timed one by one."""

    row: dict[str, Any]
    run: Run
    inputs: list[np.ndarray[Any, np.dtype[np.float32]]]
    seconds: list[float] = field(default_factory=list)

    def turn(self, clock: Clock, counted: bool) -> None:
        """One uncounted inference, so that others' caches and threads are gone; then all."""
        self.run(self.inputs[0], None)
        for x in self.inputs:
            start = clock()
            self.run(x, None)
            stop = clock()
            if counted:
                self.seconds.append(stop - start)


def bench_snn(
    options: Options, *, progress: Progress | None = None, clock: Clock | None = None
) -> dict[str, Any]:
    """Latency per inference of our runtime and of the installed peers, on the same spikes.

    Contenders take turns, round by round, so that a change of the machine's speed hits all. What
    dense peers do does not depend on the spikes: they are timed once per network, batch and number
    of threads. Returns plain data: ``machine``, ``clock`` ("wall" or "processor"), ``rows``,
    ``notes``, ``absent``.
    """
    if clock is None:
        clock = time.process_time if options.processor_time else time.perf_counter
    rows: list[dict[str, Any]] = []
    absent: list[str] = []
    notes: list[str] = []
    before = torch.get_num_threads()
    chosen: list[str | Source] = []
    for name in options.networks:
        chosen += options.sources if name == "fashion" else [name]
    total = len(chosen) * len(options.batches) * len(options.threads)
    done = 0
    try:
        for one in chosen:
            if progress is not None:
                progress("networks", done, total)
            found = cases(one, options)
            if isinstance(found, str):
                absent.append(found)
                done += total // len(chosen)
                continue
            notes += [case.note for case in found if case.note]
            traces = [simulate(case.network, case.inputs, case.timesteps) for case in found]
            for batch in options.batches:
                for threads in options.threads:
                    if progress is not None:
                        progress("networks", done, total)
                    contenders = _contenders(found, traces, batch, threads, options, absent)
                    rows += _measure(contenders, options.rounds, clock)
                    done += 1
    finally:
        torch.set_num_threads(before)
    return {
        "machine": {**machine(), "torch": torch.__version__,
            "load_average": round(os.getloadavg()[0], 1), "rounds": options.rounds},
        "clock": "processor" if options.processor_time else "wall",
        "rows": rows,
        "notes": list(dict.fromkeys(notes)),
        "absent": list(dict.fromkeys(absent)),
    }  # fmt: skip


def cases(one: str | Source, options: Options) -> list[Case] | str:
    """The network at every density that is asked for, or why it cannot be had."""
    n, steps = options.samples, options.timesteps
    if isinstance(one, Source):
        pair = trained(one, n, steps)
        if isinstance(pair, str):
            return f"{one.name}: {pair}"
        as_trained, plain = pair
        first = [as_trained] if options.measured else []
        return first + [forced(plain, wanted) for wanted in options.densities]
    if one == "vgg9":
        first = [vgg9(None, n, steps)] if options.measured else []
        return first + [vgg9(wanted, n, steps) for wanted in options.densities]
    make = dvs if one == "dvs" else mlp
    return [make(wanted, n, steps) for wanted in options.densities]


def _contenders(
    found: Sequence[Case],
    traces: Sequence[Trace],
    batch: int,
    threads: int,
    options: Options,
    absent: list[str],
) -> list[Contender]:
    installed, missing = peers()
    absent += missing
    contenders = []
    count = max(1, options.images // batch)
    for peer in installed:
        same = True
        for case, trace in reversed(list(zip(found, traces, strict=True))):
            run = peer.make(Setting(case.network, case.timesteps, batch, threads))
            same &= identical(run, case, trace, batch)
        # ``case`` is now the first: the one that is timed.
        row = _row(case, peer.implementation, peer.path, threads, batch) | {
            "identical_spikes": same, "density": None, "density_wanted": None,
            "weights": "float32",
        }  # fmt: skip
        contenders.append(Contender(row, run, _inputs(case, batch, count)))
    for case, trace in zip(found, traces, strict=True):
        for variant in VARIANTS:
            made = our_run(Setting(case.network, case.timesteps, batch, threads), variant)
            row = _row(case, variant.name, variant.path, threads, batch)
            row |= {"identical_spikes": identical(made, case, trace, batch)}
            row |= {"weights": variant.weights}
            contenders.append(Contender(row, made, _inputs(case, batch, count)))
    return contenders


def _inputs(case: Case, batch: int, count: int) -> list[Any]:
    return [case.batch(i * batch, batch) for i in range(count)]


def identical(run: Run, case: Case, trace: Trace, batch: int) -> bool:
    """True if every spike of every population is that of the simulation, and the output fits."""
    last = max(batch, min(case.samples, CHECKED))
    for first in range(0, last - batch + 1, batch):
        watch: Watch = {}
        outputs = run(case.batch(first, batch), watch)
        part = slice(first, first + batch)
        if set(watch) != set(trace.spikes):
            return False
        if not all(np.array_equal(watch[n], s[:, part]) for n, s in trace.spikes.items()):
            return False
        # Means over windows that are no power of two are rounded; no spike depends on them.
        if not np.allclose(outputs, trace.outputs[part], rtol=1e-5, atol=1e-4):
            return False
    return True


def _row(case: Case, name: str, path: str, threads: int, batch: int) -> dict[str, Any]:
    return {
        "network": case.name,
        "density": case.density,
        "density_wanted": case.label,
        "timesteps": case.timesteps,
        "batch": batch,
        "threads": threads,
        "implementation": name,
        "path": path,
    }


def _measure(contenders: Sequence[Contender], rounds: int, clock: Clock) -> list[dict[str, Any]]:
    """Rows of one group, with the ratios to its best peers."""
    for number in range(rounds + 1):
        for one in contenders:
            # the first round only warms up
            one.turn(clock, counted=number > 0)
    for one in contenders:
        milli = 1e3 * np.array(one.seconds)
        one.row["latency_ms_median"] = float(np.median(milli))
        one.row["latency_ms_p99"] = float(np.percentile(milli, 99))
        one.row["latency_ms_min"] = float(milli.min())
    rows = [one.row for one in contenders]
    compare(rows)
    return rows


def compare(rows: Sequence[dict[str, Any]]) -> None:
    """Ratios of one group, written into its rows.

    ``speedup_over_best_peer``: against the fastest SNN framework whose spikes are identical (the
    fastest of all others where none is installed); ``speedup_over_best_dense``: against the fastest
    of all implementations that are not ours, inference runtimes included.
    """
    others = [row for row in rows if not ours(row)]
    right = [row for row in others if row["identical_spikes"]] or others
    frameworks = [row for row in right if row["implementation"] in FRAMEWORKS] or right
    peer, dense = (min(some, key=_latency) for some in (frameworks, right))
    for row in rows:
        row["best_peer"], row["best_dense"] = peer["implementation"], dense["implementation"]
        row["speedup_over_best_peer"] = _latency(peer) / _latency(row)
        row["speedup_over_best_dense"] = _latency(dense) / _latency(row)


def _latency(row: dict[str, Any]) -> float:
    return float(row["latency_ms_median"])


def ours(row: dict[str, Any]) -> bool:
    """True for a row of our runtime, whatever the variant."""
    return str(row["implementation"]).startswith(OURS)
