"""Figures of the survey as records: energy or cycles over error, throughput over power.

Published points are "quoted" where verified and "recalled" where not, so that they are drawn
differently; a network of the user's own is "computed". Every point has its label.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from tospike.errors import OptionError
from tospike.figures import Figure, Panel, Series
from tospike.survey.energy import DEFINITIONS, energy_per_inference
from tospike.survey.fields import FIELDS, Field, View
from tospike.survey.normalise import CAVEATS
from tospike.survey.record import Accelerator

KIND_TITLES = {
    "ann": "ANN",
    "snn": "SNN",
    "rnn": "RNN",
    "delta": "delta network",
    "mixed": "mixed",
    "": "own",
}
#: kinds of network on a chip that count as CNN or RNN accelerators (Liu & Delbruck 2019)
NETWORK_KINDS: dict[str, tuple[str, ...]] = {"cnn": ("ann", "mixed"), "rnn": ("rnn", "delta")}
#: iso-efficiency lines in Op/s/W
EFFICIENCIES = (1e9, 1e10, 1e11, 1e12, 1e13, 1e14)
#: signs behind a label of the throughput figure, for qualifiers that move the point
DERIVED = "*"
SIGNS = {"peak": "†", "wall": "‡", "simulated": "§", "lower bound": "+"}
_LEGEND = (
    "Labels: * the efficiency is printed instead of power or throughput; † peak; ‡ power of the "
    "whole board at the wall; § simulated; + printed as a lower bound."
)


def energy_error_figure(
    chips: Sequence[Accelerator],
    *,
    definition: str,
    node_nm: float | None = None,
    mine: Sequence[Accelerator] = (),
    key: str = "survey_energy_error",
    title: str = "Energy per inference against error",
) -> Figure:
    """Energy of one inference (uJ, logarithmic) over error (%), as Ottati 2023, Figs. 1a and 2.

    Chips without an error or without an energy under ``definition`` are left out; the caption says
    how many. Raises :class:`OptionError` where no chip is left.
    """
    view = View(definition, node_nm)
    caption = f"Energy per inference is {DEFINITIONS[definition].meaning}."
    if node_nm is not None:
        caption += f" Moved to {node_nm:g} nm: {CAVEATS[0]}."
    return _against_error(FIELDS["energy"], view, (chips, mine), key, title, caption)


def cycles_error_figure(
    chips: Sequence[Accelerator],
    *,
    mine: Sequence[Accelerator] = (),
    key: str = "survey_cycles_error",
    title: str = "Initiation interval against error",
) -> Figure:
    """Clock cycles between two inferences over error (%), as Ottati 2023, Fig. 1b."""
    caption = "The initiation interval is clock / throughput, which depends on the architecture."
    return _against_error(FIELDS["cycles"], View(), (chips, mine), key, title, caption)


def _against_error(
    vertical: Field,
    view: View,
    chips: tuple[Sequence[Accelerator], Sequence[Accelerator]],
    key: str,
    title: str,
    caption: str,
) -> Figure:
    points, missing = _points(FIELDS["error"], vertical, view, [*chips[1], *chips[0]], title)
    data = sorted({chip.dataset or "not stated" for chip, *_ in points})
    panel = Panel(
        title=title,
        x_title="classification error [%]",
        y_title=f"{vertical.title} [{vertical.unit}]",
        series=_series(points, view, ("accuracy", *vertical.rests_on)),
        y_log=True,
    )
    lines = [caption, _missing(missing, len(points)), f"Data sets: {', '.join(data)}."]
    if len(data) > 1:
        lines.append("Errors on different data sets cannot be compared.")
    return _figure(key, title, " ".join(filter(None, lines)), panel, points)


def throughput_power_figure(
    chips: Sequence[Accelerator],
    *,
    kind: Literal["cnn", "rnn"] | None = None,
    mine: Sequence[Accelerator] = (),
    key: str = "survey_throughput_power",
    title: str = "Throughput against power",
) -> Figure:
    """Operations per second over power, with lines of equal Op/s/W.

    As Liu & Delbruck 2019, Fig. 6 (``kind="cnn"``) and Fig. 8 (``kind="rnn"``); None takes all.
    Where power or throughput is not printed, but the efficiency is, it follows from the other two.
    Such points, peaks, bounds and powers at the wall carry a sign behind their label.
    Raises :class:`OptionError` where no chip is left.
    """
    if kind is not None:
        chips = [chip for chip in chips if chip.kind in NETWORK_KINDS[kind]]
    points: list[_Point] = []
    for chip in (*mine, *chips):
        point = _power_and_rate(chip)
        if point is not None:
            points.append(point)
    missing = len(chips) + len(mine) - len(points)
    if not points:
        raise _empty(title, "operations per second and power", missing)
    series = _series(points, View(), ("power", "op_rate", "op_efficiency"))
    panel = Panel(
        title=title,
        x_title="power [W]",
        y_title="throughput [GOp/s]",
        series=(*series, *_iso_lines([x for _, x, *_ in points], [y for _, _, y, _ in points])),
        x_log=True,
        y_log=True,
    )
    caption = (
        "1 MAC = 2 Op; accelerators that skip zeros count skipped operations as done. Lines: equal "
        f"Op/s/W. Most ASICs leave DRAM out. {_LEGEND} {_missing(missing, len(points))}"
    )
    return _figure(key, title, caption, panel, points)


#: chip, x and y in the units of the axes, label
_Point = tuple[Accelerator, float, float, str]


def _power_and_rate(chip: Accelerator) -> _Point | None:
    """Power in W and throughput in GOp/s; one of them through the efficiency if need be."""
    power, rate = chip.value("power"), chip.value("op_rate")
    efficiency = chip.value("op_efficiency")
    used, derived = ["power", "op_rate"], ""
    if rate is None and power is not None and efficiency is not None:
        rate, used, derived = power * efficiency, ["power", "op_efficiency"], DERIVED
    if power is None and rate is not None and efficiency is not None:
        power, used, derived = rate / efficiency, ["op_rate", "op_efficiency"], DERIVED
    if power is None or rate is None:
        return None
    held = [mark for name in used for mark in chip.quantities[name].qualifiers]
    signs = "".join(sign for mark, sign in SIGNS.items() if mark in held)
    return chip, power, rate * 1e-9, chip.label + derived + signs


def _iso_lines(x: Sequence[float], y: Sequence[float]) -> tuple[Series, ...]:
    """Lines of equal efficiency through the range of the points."""
    low, high = min(x) / 2, max(x) * 2
    bottom, top = min(y) / 3, max(y) * 3
    held = [throughput * 1e9 / power for power, throughput in zip(x, y, strict=True)]
    lines = []
    for efficiency in EFFICIENCIES:
        first, last = max(low, bottom * 1e9 / efficiency), min(high, top * 1e9 / efficiency)
        if first < last and min(held) / 10 < efficiency < max(held) * 10:
            powers = np.geomspace(first, last, 20)
            lines.append(
                Series(
                    name=_efficiency_text(efficiency),
                    x=powers.tolist(),
                    y=(powers * efficiency * 1e-9).tolist(),
                    group="equal efficiency",
                )
            )
    return tuple(lines)


def _efficiency_text(efficiency: float) -> str:
    if efficiency >= 1e12:
        return f"{efficiency * 1e-12:g} TOp/s/W"
    return f"{efficiency * 1e-9:g} GOp/s/W"


def _points(
    x: Field, y: Field, view: View, chips: Sequence[Accelerator], title: str
) -> tuple[list[_Point], int]:
    """Chips with both fields, in the units of the columns, and how many lack one."""
    found = []
    for chip in chips:
        first, second = x.read(chip, view), y.read(chip, view)
        if isinstance(first, float) and isinstance(second, float):
            found.append((chip, first * x.scale, second * y.scale, chip.label))
    if not found:
        raise _empty(title, f"{x.title} and {y.title}", len(chips))
    return found, len(chips) - len(found)


def _series(points: Sequence[_Point], view: View, rests_on: tuple[str, ...]) -> tuple[Series, ...]:
    """One series per kind of network and evidence, in a fixed order."""
    found: dict[tuple[str, str], list[_Point]] = {}
    for point in points:
        found.setdefault((point[0].kind, _evidence(point[0], view, rests_on)), []).append(point)
    series = []
    for (kind, evidence), held in sorted(found.items()):
        title = KIND_TITLES[kind]
        if evidence == "computed":
            title = "modelled" if title == "own" else f"modelled {title}"
        elif evidence == "recalled":
            title += ", unverified"
        series.append(
            Series(
                name=title,
                x=tuple(x for _, x, _, _ in held),
                y=tuple(y for _, _, y, _ in held),
                kind="points",
                evidence=evidence,
                texts=tuple(text for *_, text in held),
                group=KIND_TITLES[kind],
            )
        )
    return tuple(series)


def _evidence(chip: Accelerator, view: View, rests_on: tuple[str, ...]) -> str:
    if chip.evidence == "modelled":
        return "computed"
    sure = chip.verified(*rests_on)
    if view.definition is not None:
        sure = sure and energy_per_inference(chip, view.definition).verified
    return "quoted" if sure else "recalled"


def _missing(missing: int, shown: int) -> str:
    if not missing:
        return ""
    return f"{missing} of {missing + shown} entries do not print what the figure needs."


def _empty(title: str, needed: str, received: int) -> OptionError:
    return OptionError(
        f"draw {title!r}",
        received=f"{received} entries, none of which prints {needed}",
        allowed="at least one entry with both",
        fix="drop a condition, or choose another figure or definition",
    )


def _figure(key: str, title: str, caption: str, panel: Panel, points: Sequence[_Point]) -> Figure:
    cited = dict.fromkeys(name for chip, *_ in points for name in chip.cites)
    return Figure(
        key=key,
        paper="survey",
        place="",
        title=title,
        caption=caption,
        panels=(panel,),
        sources=tuple(cited),
    )


__all__ = [
    "cycles_error_figure",
    "energy_error_figure",
    "throughput_power_figure",
]
