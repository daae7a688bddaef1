"""What ``tospike bench delta`` shows: a table, where dense wins, a figure, a page."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from tospike.bench.delta import DTYPES, FLOOR_DB, OURS
from tospike.figures import Figure, Mark, Panel, Series
from tospike.tables import Column, Table, Value, export

Row = dict[str, Any]

_COLUMNS = (
    Column("network", "network"),
    Column("threads", "threads", digits=None),
    Column("mode", "mode"),
    Column("implementation", "implementation"),
    Column("dtype", "weights"),
    Column("sparsity", "sparsity", digits=3),
    Column("latency_us_median", "median", "us", digits=3),
    Column("latency_us_p99", "p99", "us", digits=3),
    Column("bytes_touched", "weights read", "B", digits=3),
    Column("speedup_over_best_dense_peer", "over best float32 peer", digits=3),
    Column("fraction_of_ideal", "of ideal", digits=2),
    Column("speedup_over_best_int8_peer", "over best int8 peer", digits=3),
)


def bench_table(result: dict[str, Any]) -> Table:
    """All rows."""
    keys = [column.key for column in _COLUMNS]
    rows: list[dict[str, Value]] = [{key: row[key] for key in keys} for row in result["rows"]]
    return Table(
        "delta_bench",
        "Latency per time step of GRUs at batch 1",
        _COLUMNS,
        tuple(rows),
        assumptions=(
            "sparsity is the measured share of weight columns that were not read",
            "ideal: 1/(1 - sparsity) times the speed of the best dense float32 peer",
        ),
    )


def crossings(rows: Iterable[Row]) -> list[Row]:
    """Per network, threads, mode and dtype: the sparsity from which on skipping beats dense.

    Interpolated between the measured sparsities, against the best float32 peer; 0 where it always
    does, None where it never does.
    """
    groups: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        if row["implementation"] == OURS and row["sparsity_wanted"] is not None:
            key = tuple(row[name] for name in ("hidden", "layers", "threads", "mode", "dtype"))
            groups.setdefault(key, []).append(row)
    found = []
    for key, members in groups.items():
        points = sorted((row["sparsity"], row["speedup_over_best_dense_peer"]) for row in members)
        hidden, layers, threads, mode, dtype = key
        found.append(
            {
                "hidden": hidden, "layers": layers, "threads": threads, "mode": mode,
                "dtype": dtype, "sparsity": crossing(points),
            }
        )  # fmt: skip
    return found


def crossing(points: Sequence[tuple[float, float]]) -> float | None:
    """Least sparsity from which on the speed-up stays at 1 or more; points sorted by sparsity."""
    below = [i for i, (_, speedup) in enumerate(points) if speedup < 1]
    if not below:
        return 0.0
    last = below[-1]
    if last == len(points) - 1:
        return None
    (low, slow), (high, fast) = points[last], points[last + 1]
    return low + (high - low) * (1 - slow) / (fast - slow)


def bench_figure(result: dict[str, Any]) -> Figure:
    """Speed-up against sparsity per size, and the sparsity above which skipping wins per size."""
    rows = [row for row in result["rows"] if row.get("sparsity_wanted") is not None]
    layers = min(row["layers"] for row in rows)
    threads = min(row["threads"] for row in rows)
    all_modes = [row for row in rows if (row["layers"], row["threads"]) == (layers, threads)]
    mine = [row for row in all_modes if row["mode"] == "step"]
    panels = [_speed_panel(mine, dtype) for dtype in ("float32", "int8 exact")]
    return Figure(
        "delta_bench",
        "",
        "",
        "Where a delta GRU is faster than a dense one",
        f"GRUs with {layers} layer(s) at batch 1, step by step, {threads} thread(s), against the "
        "fastest dense float32 implementation. Left of and below 1, dense wins.",
        (*(panel for panel in panels if panel.series), _crossing_panel(all_modes)),
    )


def _speed_panel(rows: Sequence[Row], dtype: str) -> Panel:
    series = []
    for hidden in sorted({row["hidden"] for row in rows}):
        points = sorted(
            (100 * row["sparsity"], row["speedup_over_best_dense_peer"])
            for row in rows
            if (row["hidden"], row["dtype"]) == (hidden, dtype)
        )
        if points:
            x, y = zip(*points, strict=True)
            series.append(Series(f"H = {hidden}", x, y, evidence="measured"))
    return Panel(
        f"{dtype} weights",
        "sparsity in %",
        "speed-up over the best dense peer",
        tuple(series),
        (Mark("as fast as dense", y=1.0),),
        y_log=True,
    )


def _crossing_panel(rows: Sequence[Row]) -> Panel:
    """Against the peers of the same mode; a curve at 0 means that skipping always wins."""
    found = crossings(rows)
    series = []
    for mode in ("step", "sequence"):
        for dtype in ("float32", "int8 exact"):
            points = sorted(
                (row["hidden"], 100 * row["sparsity"])
                for row in found
                if (row["mode"], row["dtype"]) == (mode, dtype) and row["sparsity"] is not None
            )
            if points:
                x, y = zip(*points, strict=True)
                name = f"{dtype}, {mode}"
                series.append(Series(name, x, y, evidence="measured", group=mode))
    return Panel("crossover", "hidden units", "dense wins below, sparsity in %", tuple(series))


def as_markdown(result: dict[str, Any]) -> str:
    """The page docs/results/delta_bench.md."""
    lines = [
        "# How fast delta GRUs are",
        "",
        "`tospike bench delta --markdown docs/results/delta_bench.md` wrote this page. Latency of "
        "one time step at batch 1, median and 99th percentile over all rounds; the contenders take "
        "turns in every round.",
        "",
        ", ".join(f"{key} {value}" for key, value in result["machine"].items()) + ".",
        "",
        "- Weights are random, inputs and hidden states have the same size. In every step the same "
        "share of the inputs changes; the thresholds of the hidden states (and of the inputs of "
        "the second layer) are found by bisection, so that they leave out the same share. "
        "`sparsity` is what was then measured: the share of weight bytes whose inputs and states "
        "were not sent.",
        "- *step*: one call per time step, as in streaming. *sequence*: all steps are known, one "
        "call for all of them, time divided by the steps; dense tools then multiply all inputs at "
        "once, and so does ours where many of them change.",
        "- Ratios are to the fastest dense float32 peer in the same mode and with as many threads. "
        "Ideal is 1/(1 - sparsity) times its speed. int8 peers compute with activations that are "
        "rounded to 8 bits; they stand in a column of their own.",
        f"- The real network runs at the greatest threshold whose outputs keep {FLOOR_DB:g} dB SNR "
        "against those at threshold 0.",
        "",
    ]
    lines += [f"{sentence}.\n" for sentence in result["absent"]]
    lines += _targets(result["rows"])
    lines += ["## Where dense wins", "", *_crossing_lines(result["rows"]), ""]
    lines += ["## All rows", "", export([bench_table(result)], "markdown")]
    return "\n".join(lines).rstrip() + "\n"


def _crossing_lines(rows: Sequence[Row]) -> list[str]:
    """Sparsity above which skipping is faster, one line per group."""
    found = crossings(rows)
    dtypes = [dtype for dtype in DTYPES if any(row["dtype"] == dtype for row in found)]
    lines = [
        "Least sparsity in % from which on ours is faster than the best float32 peer in the same "
        "mode:",
        "",
        "| mode | layers | threads | hidden | " + " | ".join(dtypes) + " |",
        "|---|---:|---:|---:|" + "---:|" * len(dtypes),
    ]
    names = ("mode", "layers", "threads", "hidden")
    for group in dict.fromkeys(tuple(row[name] for name in names) for row in found):
        members = {
            row["dtype"]: row["sparsity"]
            for row in found
            if tuple(row[name] for name in names) == group
        }
        cells = [
            "never" if members[dtype] is None else f"{100 * members[dtype]:.0f}" for dtype in dtypes
        ]
        lines.append("| " + " | ".join([*map(str, group), *cells]) + " |")
    return lines


def _targets(rows: Sequence[Row]) -> list[str]:
    """What was aimed at, and what was found: worst and best over the networks, single steps."""
    mine = [
        row
        for row in rows
        if row["implementation"] == OURS
        and row["mode"] == "step"
        and row["sparsity_wanted"] is not None
    ]

    def pick(name: str, dtypes: tuple[str, ...], wanted: Sequence[float], hidden: int) -> str:
        values = [
            row[name]
            for row in mine
            if row["dtype"] in dtypes
            and row["sparsity_wanted"] in wanted
            and row["hidden"] >= hidden
        ]
        return f"{min(values):.2f} to {max(values):.2f}" if values else "not measured"

    speed, ideal = "speedup_over_best_dense_peer", "fraction_of_ideal"
    lines = [
        "## Targets",
        "",
        "| single steps | aim | found, from the worst to the best network |",
        "|---|---:|---:|",
    ]
    for text, aim, name, dtypes, wanted, hidden in (
        ("float32, from 512 hidden units, 80 to 95 %: fraction of ideal", ">= 0.8", ideal,
         ("float32",), (0.8, 0.9, 0.95), 512),
        ("float32, from 512 hidden units, 90 %: speed-up", ">= 8", speed,
         ("float32",), (0.9,), 512),
        ("int8, from 512 hidden units, 90 %: speed-up", ">= 15", speed, ("int8",), (0.9,), 512),
        ("int8 exact, from 512 hidden units, 90 %: speed-up", ">= 15", speed,
         ("int8 exact",), (0.9,), 512),
        ("float32, all sizes, 0 %: speed-up", ">= 0.9", speed, ("float32",), (0.0,), 1),
    ):  # fmt: skip
        lines.append(f"| {text} | {aim} | {pick(name, dtypes, wanted, hidden)} |")
    return [*lines, ""]
