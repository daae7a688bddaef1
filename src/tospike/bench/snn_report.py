"""What ``tospike bench snn`` shows: a table, where event-driven wins, a figure, a page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tospike.bench.snn import OURS, ours
from tospike.bench.snn_cases import MEASURED
from tospike.figures import Figure, Mark, Panel, Series
from tospike.tables import Column, Table, Value, export

Row = dict[str, Any]

_COLUMNS = (
    Column("network", "network"),
    Column("batch", "batch", digits=None),
    Column("threads", "threads", digits=None),
    Column("density_wanted", "wanted"),
    Column("density", "density", digits=3),
    Column("implementation", "implementation"),
    Column("path", "time steps"),
    Column("weights", "weights"),
    Column("latency_ms_median", "median", "ms", digits=3),
    Column("latency_ms_p99", "p99", "ms", digits=3),
    Column("identical_spikes", "identical spikes"),
    Column("speedup_over_best_peer", "over best framework", digits=3),
    Column("speedup_over_best_dense", "over best of all", digits=3),
)
_CLOCKS = {
    "wall": [],
    "processor": [
        "The machine did other work at the same time (see load_average), so latencies are seconds "
        "that the processor worked for the inference (`--processor-time`), with one thread.",
        "",
    ],
}
_GROUP = ("network", "batch", "threads", "implementation")


def bench_table(result: dict[str, Any]) -> Table:
    """All rows."""
    rows: list[dict[str, Value]] = []
    for row in result["rows"]:
        shown = {column.key: row[column.key] for column in _COLUMNS}
        shown["identical_spikes"] = "yes" if row["identical_spikes"] else "no"
        shown["density_wanted"] = _wanted(row["density_wanted"])
        rows.append(shown)
    return Table(
        "snn_bench",
        "Latency per inference of spiking networks",
        _COLUMNS,
        tuple(rows),
        assumptions=(
            "density: spikes per hidden neuron and step, measured on the inputs that are timed; "
            "dense implementations do not depend on it and are timed once",
            "a batch is one inference; its latency is that of all its samples",
        ),
    )


def _wanted(value: float | str | None) -> str | None:
    return f"{100 * value:g} %" if isinstance(value, float) else value


def crossings(rows: Sequence[Row], key: str = "speedup_over_best_dense") -> list[Row]:
    """Per network, batch, threads and implementation of ours: the density below which it wins.

    Interpolated between forced densities; None where it never wins, 1 where it does at all.
    """
    groups: dict[tuple[Any, ...], list[tuple[float, float]]] = {}
    for row in rows:
        if ours(row) and isinstance(row["density_wanted"], float):
            group = tuple(row[name] for name in _GROUP)
            groups.setdefault(group, []).append((row["density"], row[key]))
    return [
        dict(zip(_GROUP, group, strict=True)) | {"density": crossing(sorted(points))}
        for group, points in groups.items()
    ]


def crossing(points: Sequence[tuple[float, float]]) -> float | None:
    """Greatest density up to which the speed-up stays at 1 or more; points sorted by density."""
    slow = next((i for i, (_, speedup) in enumerate(points) if speedup < 1), None)
    if slow is None:
        return 1.0
    if slow == 0:
        return None
    (low, fast), (high, below) = points[slow - 1], points[slow]
    return low + (high - low) * (fast - 1) / (fast - below)


def bench_figure(result: dict[str, Any]) -> Figure:
    """Latency and speed-up against density, one thread, batch 1 (or the least measured)."""
    threads = min(row["threads"] for row in result["rows"])
    batch = min(row["batch"] for row in result["rows"])
    rows = [row for row in result["rows"] if (row["threads"], row["batch"]) == (threads, batch)]
    names = list(dict.fromkeys(row["network"] for row in rows))
    return Figure(
        "snn_bench",
        "",
        "",
        "Where event-driven spiking networks are faster than dense ones",
        f"Batch {batch}, {threads} thread(s). Above 1, ours is faster. The event-driven variant "
        "never goes dense; the other chooses per layer and step.",
        (
            _speed_panel(rows, "over the fastest SNN framework", "speedup_over_best_peer", names),
            _speed_panel(rows, "over the fastest of all", "speedup_over_best_dense", names),
            *(_latency_panel(rows, name) for name in names[:1]),
        ),
    )


def _speed_panel(rows: Sequence[Row], title: str, key: str, names: Sequence[str]) -> Panel:
    series = []
    for name in names:
        for variant in (OURS, f"{OURS} event-driven"):
            points = _points(rows, name, variant, key)
            if points:
                x, y = zip(*points, strict=True)
                label = name if variant == OURS else f"{name}, always event-driven"
                series.append(Series(label, x, y, evidence="measured", group=name))
    return Panel(
        title, "density in %", "speed-up", tuple(series), (Mark("equal", y=1.0),),
        x_log=True, y_log=True,
    )  # fmt: skip


def _points(rows: Sequence[Row], name: str, variant: str, key: str) -> list[tuple[float, float]]:
    return sorted(
        (100 * row["density"], row[key])
        for row in rows
        if row["network"] == name
        and row["implementation"] == variant
        and isinstance(row["density_wanted"], float)
    )


def _latency_panel(rows: Sequence[Row], name: str) -> Panel:
    """Ours against density, and the dense ones as marks."""
    series, marks = [], []
    for variant in dict.fromkeys(row["implementation"] for row in rows if ours(row)):
        points = _points(rows, name, variant, "latency_ms_median")
        if points:
            x, y = zip(*points, strict=True)
            series.append(Series(variant, x, y, evidence="measured"))
    for row in rows:
        if row["network"] == name and not ours(row):
            marks.append(Mark(row["implementation"], y=row["latency_ms_median"]))
    return Panel(
        name, "density in %", "latency in ms", tuple(series), tuple(marks), x_log=True, y_log=True
    )


def as_markdown(result: dict[str, Any], figure: str = "") -> str:
    """The page docs/results/snn_bench.md; ``figure``: path from there to the drawn figure."""
    lines = [
        "# How fast spiking networks run",
        "",
        "`tospike bench snn --markdown docs/results/snn_bench.md` wrote this page. Latency of one "
        "inference, median and 99th percentile over all rounds and samples; the contenders take "
        "turns in every round.",
        "",
        ", ".join(f"{key} {value}" for key, value in result["machine"].items()) + ".",
        "",
        *_CLOCKS[result["clock"]],
        "- All implementations run the same network on the same inputs. Weights and inputs lie on "
        "a binary grid, so that sums are exact in float32 in any order, and no potential can "
        "equal a threshold: the spikes must be the same. *identical spikes* says whether every "
        "spike of every hidden layer, and the output, was that of a simulation in float64.",
        "- *measured*: the network with the thresholds it was trained or converted with, on test "
        "images. Other densities are forced: one threshold per layer, found by bisection, layer by "
        "layer, so that its neurons send that share on these very inputs. *20 to 1 %, by layer*: "
        "also forced, after the rates of a trained VGG-9 (Dampfhoffer 2022, Fig. 8), with 25 % at "
        "the input. "
        "Where a layer cannot reach it with a positive threshold, it has what it reaches; the "
        "density shown is always measured.",
        "- Time is folded into the batch wherever a tool can do it; snnTorch loops. What is "
        "constant over time (the first layer on analog images) is computed once by all.",
        "- *over best framework*: against the fastest of SpikingJelly, snnTorch and sinabs. *over "
        "best of all*: PyTorch by hand and the dense inference runtimes count, too. Both with as "
        "many threads, and only where the spikes are identical.",
        "",
    ]
    lines += [f"- {sentence}." for sentence in (*result["notes"], *result["absent"])]
    lines += ["", *_targets(result["rows"])]
    lines += ["## Below which density event-driven wins", ""]
    if figure:
        lines += [f"![Speed-up against spike density]({figure})", ""]
    lines += [*_crossing_lines(result["rows"]), ""]
    lines += ["## All rows", "", export([bench_table(result)], "markdown")]
    return "\n".join(lines).rstrip() + "\n"


def _crossing_lines(rows: Sequence[Row]) -> list[str]:
    lines = [
        "Density in % up to which ours is faster than the fastest framework, and than the fastest "
        "of all; *all*: at every density that was measured.",
        "",
        "| network | batch | threads | implementation | framework | of all |",
        "|---|---:|---:|---|---:|---:|",
    ]
    one, two = crossings(rows, "speedup_over_best_peer"), crossings(rows)
    for a, b in zip(one, two, strict=True):
        cells = [str(a[name]) for name in _GROUP]
        lines.append("| " + " | ".join([*cells, _share(a["density"]), _share(b["density"])]) + " |")
    return lines


def _share(density: float | None) -> str:
    if density is None:
        return "never"
    return "all" if density == 1 else f"{100 * density:.1f}"


def _targets(rows: Sequence[Row]) -> list[str]:
    """What was aimed at and what was found, from the worst to the best group, batch 1."""
    batch = min((row["batch"] for row in rows), default=1)
    mine = [row for row in rows if row["implementation"] == OURS and row["batch"] == batch]
    every = [row for row in rows if row["implementation"] == OURS]
    sparse = [
        row
        for row in mine
        if isinstance(row["density_wanted"], float) and row["density_wanted"] <= 0.02
    ]
    lines = [
        "## Targets",
        "",
        f"Ours with float32 weights, from the worst to the best group; batch {batch} but for the "
        "last line.",
        "",
        "| | aim | over best framework | over best of all |",
        "|---|---:|---:|---:|",
    ]
    for text, aim, some in (
        ("at measured activity", ">= 3", [r for r in mine if r["density_wanted"] == MEASURED]),
        (
            "VGG-9 at 20 to 1 %, by layer",
            ">= 3",
            [r for r in mine if str(r["density_wanted"]).endswith("by layer")],
        ),
        ("at 2 % density or less", ">= 10", sparse),
        ("anywhere, all batches", ">= 0.9", every),
    ):
        cells = (_range(some, key) for key in ("speedup_over_best_peer", "speedup_over_best_dense"))
        lines.append(f"| {text} | {aim} | " + " | ".join(cells) + " |")
    return [*lines, ""]


def _range(rows: Sequence[Row], key: str) -> str:
    values = [row[key] for row in rows]
    return f"{min(values):.2f} to {max(values):.2f}" if values else "not measured"
