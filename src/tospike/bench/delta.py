"""``tospike bench delta``: GRUs at batch 1, with skipped columns and dense, step by step."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tospike.bench.delta_cases import (
    Case,
    Floats,
    force,
    forced_case,
    keep_accuracy,
    nsnet2_case,
    random_layers,
    settle,
)
from tospike.bench.delta_peers import Mode, Peer, peers
from tospike.bench.timing import machine
from tospike.errors import OptionError
from tospike.kernels.delta import DeltaEngine
from tospike.kernels.delta.packed import Accumulation
from tospike.kernels.delta.record import Storage

#: dtype of a row -> storage and accumulation of the engine
DTYPES: dict[str, tuple[Storage, Accumulation]] = {
    "float32": ("float32", "float"),
    "float16": ("float16", "float"),
    "bfloat16": ("bfloat16", "float"),
    "int8": ("int8", "float"),
    "int8 exact": ("int8", "integer"),
}
SPARSITIES = (0.0, 0.5, 0.8, 0.9, 0.95)
HIDDEN = (128, 256, 512, 768, 1024)
OURS = "tospike delta"
#: outputs on the recording keep at least this SNR against those at threshold 0
FLOOR_DB = 20.0

Clock = Callable[[], float]
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Options:
    """What is measured. ``rounds``: counted rounds; ``steps``: time steps per round and contender.

    ``speech``, ``noise``: 16 kHz mono recordings for the real network; None leaves it out.
    """

    hidden: tuple[int, ...] = HIDDEN
    layers: tuple[int, ...] = (1, 2)
    threads: tuple[int, ...] = (1, 2)
    sparsities: tuple[float, ...] = SPARSITIES
    dtypes: tuple[str, ...] = tuple(DTYPES)
    rounds: int = 15
    steps: int = 48
    speech: Path | None = None
    noise: Path | None = None

    def __post_init__(self) -> None:
        reasons = [
            f"{name} is {values}; it must be positive"
            for name, values in (
                ("hidden", self.hidden), ("layers", self.layers), ("threads", self.threads),
                ("rounds", (self.rounds,)), ("steps", (self.steps // 4,)),
            )
            if not values or min(values) < 1
        ]  # fmt: skip
        reasons += [
            f"dtype {name!r}: {', '.join(DTYPES)}" for name in self.dtypes if name not in DTYPES
        ]
        reasons += [f"sparsity {one}: 0 to 1" for one in self.sparsities if not 0 <= one < 1]
        if reasons:
            raise OptionError("bench delta", reasons=reasons)


@dataclass
class Contender:
    """One row in the making: ``run`` appends seconds per step to ``seconds``."""

    row: dict[str, Any]
    run: Callable[[list[float]], None]
    seconds: list[float] = field(default_factory=list)
    finish: Callable[[dict[str, Any]], None] = lambda row: None


def bench_delta(
    options: Options, *, progress: Progress | None = None, clock: Clock = time.perf_counter
) -> dict[str, Any]:
    """Latency per step of our delta engine and of dense peers, on the same GRUs and inputs.

    Contenders take turns, round by round, so that a change of the machine's speed hits all. A step
    is timed by itself; a whole sequence is divided by its steps. Returns plain data: ``machine``,
    ``rows``, ``absent`` (sentences about what could not be measured).
    """
    rows: list[dict[str, Any]] = []
    absent: list[str] = []
    before = torch.get_num_threads()
    groups = [(h, n, t) for t in options.threads for n in options.layers for h in options.hidden]
    real = None
    if options.speech is not None:
        real = nsnet2_case(options.speech, options.noise)
        if isinstance(real, str):
            absent.append(f"NSNet2: {real}")
    total = len(groups) + (len(options.threads) if isinstance(real, Case) else 0)
    try:
        for done, (hidden, count, threads) in enumerate(groups):
            if progress is not None:
                progress("GRUs", done, total)
            rows += _forced_group(options, hidden, count, threads, absent, clock)
        if isinstance(real, Case):
            for done, threads in enumerate(options.threads, len(groups)):
                if progress is not None:
                    progress("GRUs", done, total)
                rows += _real_group(options, real, threads, absent, clock)
    finally:
        torch.set_num_threads(before)
    return {
        "machine": {**machine(), "torch": torch.__version__,
            "load_average": round(os.getloadavg()[0], 1), "rounds": options.rounds,
                    "steps_per_round": options.steps},
        "rows": rows,
        "absent": list(dict.fromkeys(absent)),
    }  # fmt: skip


def _forced_group(
    options: Options, hidden: int, count: int, threads: int, absent: list[str], clock: Clock
) -> list[dict[str, Any]]:
    layers = random_layers(hidden, count)
    cases = {
        wanted: forced_case(hidden, layers, wanted, options.steps) for wanted in options.sparsities
    }
    dense = forced_case(hidden, layers, 0.0, options.steps)
    contenders = _peer_contenders(dense, threads, absent, clock)
    for dtype in options.dtypes:
        storage, accumulation = DTYPES[dtype]
        engine = DeltaEngine(layers, storage=storage, accumulation=accumulation, threads=threads)
        for wanted, case in cases.items():
            thetas = force(engine, case, wanted)
            extra = {"sparsity_wanted": wanted}
            contenders += _our_contenders(engine, case, thetas, dtype, threads, extra, clock)
    return _measure(contenders, options.rounds)


def _real_group(
    options: Options, case: Case, threads: int, absent: list[str], clock: Clock
) -> list[dict[str, Any]]:
    short = Case(case.network, case.layers, case.sequence[: options.steps], None)
    contenders = _peer_contenders(short, threads, absent, clock)
    for dtype in options.dtypes:
        storage, accumulation = DTYPES[dtype]
        engine = DeltaEngine(
            case.layers, storage=storage, accumulation=accumulation, threads=threads
        )
        theta, snr = keep_accuracy(engine, case, FLOOR_DB)
        extra = {"sparsity_wanted": None, "theta": theta, "output_snr_db": snr if theta else None}
        thetas = [(theta, theta)] * len(case.layers)
        contenders += _our_contenders(engine, case, thetas, dtype, threads, extra, clock)
    return _measure(contenders, options.rounds)


def _peer_contenders(case: Case, threads: int, absent: list[str], clock: Clock) -> list[Contender]:
    found, missing = peers(case.layers, threads, len(case.sequence))
    absent += missing
    weights = sum(
        one.w_x.size + (one.w_h.size if one.w_h is not None else 0) for one in case.layers
    )
    contenders = []
    for peer in found:
        row = _row(case, peer.implementation, peer.dtype, peer.mode, threads)
        row |= {"sparsity": 0.0, "sparsity_x": 0.0, "sparsity_h": 0.0}
        row["bytes_touched"] = float(weights * peer.bytes_per_weight)
        contenders.append(Contender(row, _peer_run(peer, case.sequence, clock)))
    return contenders


def _peer_run(peer: Peer, sequence: Floats, clock: Clock) -> Callable[[list[float]], None]:
    made = peer.make()

    def run(seconds: list[float]) -> None:
        made(sequence[:3] if peer.mode == "step" else sequence, clock, [])
        times: list[float] = []
        made(sequence, clock, times)
        share = len(sequence) if peer.mode == "sequence" else 1
        seconds += [one / share for one in times]

    return run


def _our_contenders(
    engine: DeltaEngine,
    case: Case,
    thetas: list[tuple[float, float]],
    dtype: str,
    threads: int,
    extra: dict[str, Any],
    clock: Clock,
) -> list[Contender]:
    out = np.empty(engine.outputs, np.float32)

    def finish(row: dict[str, Any]) -> None:
        engine.set_thresholds(thetas)
        settle(engine, case)
        engine.run(case.sequence)
        found = engine.statistics
        steps = found[0].steps
        # Single steps read the columns of what is sent; a sequence may be multiplied at once.
        read = (
            one.sent_weight_bytes if row["mode"] == "step" else one.weight_bytes for one in found
        )
        row["bytes_touched"] = sum(read) / steps
        row["sparsity"] = 1 - sum(one.sent_weight_bytes for one in found) / sum(
            one.dense_weight_bytes for one in found
        )
        row["sparsity_x"] = statistics.fmean(one.sparsity_x for one in found)
        row["sparsity_h"] = statistics.fmean(one.sparsity_h for one in found)

    def steps(seconds: list[float]) -> None:
        engine.set_thresholds(thetas)
        settle(engine, case)
        for x in case.sequence:
            start = clock()
            engine.step(x, out)
            seconds.append(clock() - start)

    def sequence(seconds: list[float]) -> None:
        engine.set_thresholds(thetas)
        settle(engine, case)
        start = clock()
        engine.run(case.sequence)
        seconds.append((clock() - start) / len(case.sequence))

    both: tuple[tuple[Mode, Callable[[list[float]], None]], ...] = (
        ("step", steps),
        ("sequence", sequence),
    )
    return [
        Contender(_row(case, OURS, dtype, mode, threads) | extra, run, finish=finish)
        for mode, run in both
    ]


def _row(case: Case, name: str, dtype: str, mode: str, threads: int) -> dict[str, Any]:
    return {
        "network": case.network,
        "hidden": case.hidden,
        "layers": len(case.layers),
        "sparsity": None,
        "dtype": dtype,
        "threads": threads,
        "implementation": name,
        "mode": mode,
    }


def _measure(contenders: Sequence[Contender], rounds: int) -> list[dict[str, Any]]:
    """Rows of one group, with the ratios to its best dense peers."""
    for number in range(rounds + 1):
        for one in contenders:
            # the first round only warms up
            one.run(one.seconds if number else [])
    rows = []
    for one in contenders:
        micro = 1e6 * np.array(one.seconds)
        one.row["latency_us_median"] = float(np.median(micro))
        one.row["latency_us_p99"] = float(np.percentile(micro, 99))
        one.row["latency_us_min"] = float(micro.min())
        one.finish(one.row)
        rows.append(one.row)
    compare(rows)
    return rows


def compare(rows: Sequence[dict[str, Any]]) -> None:
    """Ratios of one group, written into its rows.

    ``speedup_over_best_dense_peer``: against the fastest float32 peer in the same mode; float32,
    as this is the accuracy that the network was given in. ``speedup_over_best_int8_peer`` and
    ``speedup_over_best_sequence_peer`` (float32, all steps known in advance) stand beside it.
    ``fraction_of_ideal``: the first of them times (1 - sparsity), the ideal being 1/(1 - sparsity).
    """
    for row in rows:
        mode, mine = row["mode"], row["latency_us_median"]
        peer = best_peer(rows, mode, "float32")
        narrow, whole = best_peer(rows, mode, "int8"), best_peer(rows, "sequence", "float32")
        assert peer is not None
        speedup = peer["latency_us_median"] / mine
        row["speedup_over_best_dense_peer"] = speedup
        row["fraction_of_ideal"] = speedup * (1 - row["sparsity"])
        row["best_dense_peer"] = peer["implementation"]
        row["speedup_over_best_int8_peer"] = narrow and narrow["latency_us_median"] / mine
        row["speedup_over_best_sequence_peer"] = whole and whole["latency_us_median"] / mine


def best_peer(rows: Sequence[dict[str, Any]], mode: str, dtype: str) -> dict[str, Any] | None:
    """The fastest implementation of one group that is not ours; None if there is none."""
    others = [
        row
        for row in rows
        if row["implementation"] != OURS and (row["mode"], row["dtype"]) == (mode, dtype)
    ]
    return min(others, key=lambda row: float(row["latency_us_median"]), default=None)
