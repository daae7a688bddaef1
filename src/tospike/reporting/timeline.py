"""The timeline of a simulated run: when each layer runs, what it waits for, what it moves.

``.svg`` is written by hand (no drawing library needed), ``.html`` as a page of its own with
plotly.js inside. Neither makes a request to any host.
"""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from pathlib import Path

from tospike.errors import OptionError
from tospike.figures.files import write_text
from tospike.machines import MachineRun, RunEnergy, Workload
from tospike.reporting.palette import CYCLE, NEUTRAL
from tospike.reporting.plot import Figure, base_layout, clean, label, significant
from tospike.reporting.section import Section
from tospike.reporting.simulation import SIMULATED, levels_of, said, simulation_tables
from tospike.reporting.write import report
from tospike.tables import Column
from tospike.tables.record import Value
from tospike.units import si

SUFFIXES = (".svg", ".html", ".htm")
BUSY = "#0072B2"
#: causes take these in order; what is left of a layer's cycles is grey
STALLS = tuple(colour for colour in CYCLE if colour not in (BUSY, NEUTRAL))
OTHER = NEUTRAL

_NAME, _TIME, _LEVEL, _ROW, _TOP = 150, 420, 120, 18, 92


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of one layer's time in seconds: "compute", a cause of stalls, or "other"."""

    layer: str
    what: str
    start: float
    length: float


def spans(run: MachineRun) -> list[Span]:
    """The layers one after the other; within a layer computing first, then the stalls.

    A layer's stalls are spread over its time; only their sums are known, so they are drawn behind
    the computing.
    """
    found = []
    clock = run.architecture.clock.value
    start = 0.0
    for layer in run.layers:
        parts = {"compute": layer.busy, **layer.stalls}
        parts["other"] = max(0, layer.cycles - sum(parts.values()))
        # overlapping causes may add up to more than the layer's time
        scale = layer.cycles / max(layer.cycles, sum(parts.values()), 1)
        at = start
        for what, cycles in parts.items():
            if cycles > 0:
                found.append(Span(layer.name, what, at, cycles * scale / clock))
                at += found[-1].length
        start += layer.cycles / clock
    return found


def colours(run: MachineRun) -> dict[str, str]:
    """A colour for "compute", every cause of stalls and "other", where they occur."""
    causes = list(dict.fromkeys(span.what for span in spans(run)))
    found = {"compute": BUSY} if "compute" in causes else {}
    stalls = [cause for cause in causes if cause not in ("compute", "other")]
    found |= {cause: STALLS[i % len(STALLS)] for i, cause in enumerate(stalls)}
    return found | ({"other": OTHER} if "other" in causes else {})


def check_timeline_path(path: Path) -> None:
    """Refuse a path that cannot be written, before the simulation. Raises OptionError."""
    reasons = []
    if path.suffix.lower() not in SUFFIXES:
        reasons.append(f"the name ends in {path.suffix!r}, not in {', '.join(SUFFIXES)}")
    if path.is_dir():
        reasons.append("it is a directory")
    if not path.parent.is_dir():
        reasons.append(f"there is no directory {str(path.parent)!r}")
    if reasons:
        raise OptionError(
            "write the timeline",
            received=repr(str(path)),
            allowed="a file that ends in .svg or .html, in a directory that exists",
            fix="give a path such as 'timeline.svg'",
            reasons=reasons,
        )


def write_timeline(
    run: MachineRun, energy: RunEnergy, workload: Workload, path: str | Path
) -> Path:
    """Write the timeline as .svg or .html, complete or not at all.

    Raises :class:`OptionError` for another suffix or a path that cannot be written.
    """
    path = Path(path)
    check_timeline_path(path)
    if path.suffix.lower() == ".svg":
        write_text(path, timeline_svg(run, energy, workload))
    else:
        report(timeline_section(run, energy, workload), path, title=_title(run, workload))
    return path


def _title(run: MachineRun, workload: Workload) -> str:
    batch = f", batch of {run.batch}" if run.batch > 1 else ""
    return f"{workload.network.origin.name} on {run.architecture.title}{batch}"


def _words(run: MachineRun, energy: RunEnergy) -> str:
    return (
        f"{si(run.latency, 's')}, {si(energy.total / run.batch, 'J')} per inference, "
        f"{si(run.effective_ops, 'Op/s')}. {SIMULATED}"
    )


# -- SVG -----------------------------------------------------------------------------------------


def timeline_svg(run: MachineRun, energy: RunEnergy, workload: Workload) -> str:
    """One row per layer: its time on the axis, and the bytes of every memory level beside it."""
    levels = levels_of(run)
    looks = colours(run)
    width = _NAME + _TIME + 24 + _LEVEL * len(levels) + 16
    bottom = _TOP + _ROW * len(run.layers)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {bottom + 44}" '
        f'width="{width}" height="{bottom + 44}" font-family="DejaVu Sans, sans-serif" '
        'font-size="11" fill="#1a1a1a">',
        f"<title>{_text(_title(run, workload))}</title>",
        f"<desc>{_text('; '.join(said(run, energy, workload)))}</desc>",
        f'<rect width="{width}" height="{bottom + 44}" fill="#ffffff"/>',
        f'<text x="10" y="20" font-size="14" font-weight="bold">{_text(_title(run, workload))}'
        "</text>",
        f'<text x="10" y="38" fill="#595959">{_text(_words(run, energy))}</text>',
        *_legend(looks),
        *_time_axis(run.latency, bottom),
    ]
    rows = {layer.name: _TOP + _ROW * i for i, layer in enumerate(run.layers)}
    for name, y in rows.items():
        parts.append(
            f'<text x="{_NAME - 6}" y="{y + 12}" text-anchor="end">{_text(_short(name))}</text>'
        )
    per_second = _TIME / run.latency if run.latency else 0.0
    for span in spans(run):
        hint = f"{span.layer}, {span.what.replace('_', ' ')}: {si(span.length, 's')}"
        parts.append(
            f'<rect x="{_NAME + span.start * per_second:.2f}" y="{rows[span.layer] + 2}" '
            f'width="{max(0.3, span.length * per_second):.2f}" height="{_ROW - 4}" '
            f'fill="{looks[span.what]}"><title>{_text(hint)}</title></rect>'
        )
    for column, level in enumerate(levels):
        parts += _level_column(run, level, _NAME + _TIME + 24 + _LEVEL * column, rows)
    return "\n".join([*parts, "</svg>"]) + "\n"


def _legend(looks: dict[str, str]) -> list[str]:
    parts, x = [], _NAME
    for what, colour in looks.items():
        words = what.replace("_", " ")
        parts.append(f'<rect x="{x}" y="50" width="10" height="10" fill="{colour}"/>')
        parts.append(f'<text x="{x + 14}" y="59">{_text(words)}</text>')
        x += 26 + 7 * len(words)
    return parts


def _time_axis(seconds: float, bottom: int) -> list[str]:
    """Ticks at five places of the time axis."""
    parts = []
    for i in range(5):
        x = _NAME + _TIME * i / 4
        parts.append(
            f'<line x1="{x}" y1="{_TOP - 4}" x2="{x}" y2="{bottom}" stroke="#e3e3e3"/>'
            f'<text x="{x}" y="{bottom + 16}" text-anchor="middle">{si(seconds * i / 4, "s")}'
            "</text>"
        )
    middle = _NAME + _TIME / 2
    parts.append(f'<text x="{middle}" y="{bottom + 34}" text-anchor="middle">time</text>')
    return parts


def _level_column(run: MachineRun, level: str, x: int, rows: dict[str, int]) -> list[str]:
    """Bars of the bytes of one level, each level on a scale of its own, with numbers."""
    moved = {layer.name: layer.bytes[level] for layer in run.layers if level in layer.bytes}
    most = max(traffic.total for traffic in moved.values())
    parts = [f'<text x="{x}" y="{_TOP - 10}" font-weight="bold">{_text(level)}</text>']
    for name, traffic in moved.items():
        y, length = rows[name], 0.5 * _LEVEL * traffic.total / most
        hint = f"{name}, {level}: {si(traffic.read, 'B')} read, {si(traffic.written, 'B')} written"
        parts.append(
            f'<rect x="{x}" y="{y + 4}" width="{length:.2f}" height="{_ROW - 8}" fill="#8A8F98">'
            f"<title>{_text(hint)}</title></rect>"
            f'<text x="{x + length + 3:.2f}" y="{y + 12}" font-size="9" fill="#595959">'
            f"{si(traffic.total, 'B')}</text>"
        )
    return parts


def _text(text: str) -> str:
    return escape(clean(text))


def _short(name: str, most: int = 22) -> str:
    return name if len(name) <= most else "…" + name[-(most - 1) :]


# -- HTML ----------------------------------------------------------------------------------------


def timeline_section(run: MachineRun, energy: RunEnergy, workload: Workload) -> Section:
    """The same as a section of a report: two figures with the table of the layers."""
    rows: list[dict[str, Value]] = [{} for _ in (*run.layers, "total")]
    for table in simulation_tables(run, energy, workload):
        if table.key in ("layers", "traffic"):
            titles = {column.key: _heading(column) for column in table.columns}
            for row, cells in zip(rows, table.rows, strict=True):
                row |= {titles[key]: value for key, value in cells.items()}
    rest = [text for text in said(run, energy, workload) if text != SIMULATED]
    text = f"{_words(run, energy)}\n\nIt rests on: {'; '.join(rest)}."
    figures = (_timeline_figure(run), _bytes_figure(run))
    return Section(
        f"{_title(run, workload)}, simulated",
        text,
        tuple(figure for figure in figures if figure["data"]),
        rows,
    )


def _heading(column: Column) -> str:
    return f"{column.title} ({column.unit})" if column.unit else column.title


def _timeline_figure(run: MachineRun) -> Figure:
    looks = colours(run)
    every = spans(run)
    traces = []
    for what, colour in looks.items():
        mine = [span for span in every if span.what == what]
        traces.append(
            {
                "type": "bar",
                "orientation": "h",
                "name": label(what.replace("_", " ")),
                "y": [label(span.layer, 40) for span in mine],
                "base": [significant(1e3 * span.start) for span in mine],
                "x": [significant(1e3 * span.length) for span in mine],
                "marker": {"color": colour},
                "hovertemplate": f"%{{y}}<br>{label(what.replace('_', ' '))}: %{{x:.4g}} ms"
                "<extra></extra>",
            }
        )
    return {"data": traces, "layout": _layout(run, "Timeline", "time (ms)", "overlay")}


def _bytes_figure(run: MachineRun) -> Figure:
    traces = [
        {
            "type": "bar",
            "orientation": "h",
            "name": label(level),
            "y": [label(layer.name, 40) for layer in run.layers if level in layer.bytes],
            "x": [significant(layer.bytes[level].total) for layer in run.layers
                  if level in layer.bytes],
            "marker": {"color": CYCLE[i % len(CYCLE)]},
            "hovertemplate": f"%{{y}}<br>{label(level)}: %{{x:.4s}}B<extra></extra>",
        }
        for i, level in enumerate(levels_of(run))
    ]  # fmt: skip
    layout = _layout(run, "Bytes read and written at each memory level", "byte", "group")
    layout["xaxis"] |= {"type": "log", "exponentformat": "SI", "ticksuffix": "B"}
    return {"data": traces, "layout": layout}


def _layout(run: MachineRun, title: str, x_title: str, mode: str) -> Figure:
    names = [label(layer.name, 40) for layer in run.layers]
    return base_layout(140 + 26 * len(names)) | {
        "title": {"text": title},
        "barmode": mode,
        "xaxis": {"title": {"text": x_title}},
        "yaxis": {
            "automargin": True,
            "categoryorder": "array",
            "categoryarray": names[::-1],
        },
    }
