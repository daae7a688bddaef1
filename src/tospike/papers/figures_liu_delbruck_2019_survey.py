"""Figures 6 and 8 of Liu & Delbruck 2019: throughput against power, from the survey."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tospike.figures import Figure, Panel, Series, Statement
from tospike.papers.dram import dram_devices
from tospike.papers.figures_liu_delbruck_2019 import PAPER
from tospike.survey import Accelerator, accelerators

#: share of weights that need not be read at which the DRAM limit is drawn; an assumption
TEMPORAL_SPARSITY = 0.9


@dataclass(frozen=True, slots=True)
class Point:
    """A chip with power in watt and throughput in Op/s.

    ``memory``: "DRAM-based", "on-chip memory" or "memory not stated"; ``core_only``: the numbers
    are those of the core, so that its DRAM is surely left out.
    """

    chip: Accelerator
    power: float
    rate: float
    memory: str
    core_only: bool

    @property
    def efficiency(self) -> float:
        """Op/s/W."""
        return self.rate / self.power


def points(kinds: Sequence[str]) -> list[Point]:
    """Chips of the survey with power and throughput; one may follow from the efficiency."""
    found = []
    for chip in accelerators():
        power, rate, efficiency = (
            chip.value(key) for key in ("power", "op_rate", "op_efficiency")
        )  # fmt: skip
        if rate is None and power is not None and efficiency is not None:
            rate = power * efficiency
        if power is None and rate is not None and efficiency is not None:
            power = rate / efficiency
        if chip.kind in kinds and power is not None and rate is not None:
            core = any("core" in quantity.qualifiers for quantity in chip.quantities.values())
            found.append(Point(chip, power, rate, _memory(chip), core))
    return found


def _memory(chip: Accelerator) -> str:
    text = chip.memory.lower()
    if not text:
        return "memory not stated"
    with_dram = "dram" in text.replace("edram", "") and "no dram" not in text
    return "DRAM-based" if with_dram else "on-chip memory"


def _scatter(held: Sequence[Point], name: str, verified: bool) -> Series:
    return Series(
        name if verified else f"{name}, unverified",
        [point.power for point in held],
        [point.rate / 1e9 for point in held],
        "points",
        "quoted" if verified else "recalled",
        tuple(point.chip.name.partition(" (")[0] for point in held),
        group=name,
    )


def _survey_panel(chips: Sequence[Point], lines: Sequence[tuple[str, float]]) -> Panel:
    """Throughput against power with lines of equal efficiency (label, Op/s/W)."""
    series = []
    for name in ("DRAM-based", "on-chip memory", "memory not stated"):
        for verified in (True, False):
            held = [
                point
                for point in chips
                if point.memory == name and (point.chip.evidence == "verified") == verified
            ]
            if held:
                series.append(_scatter(held, name, verified))
    low, high = min(point.power for point in chips) / 2, max(point.power for point in chips) * 2
    isolines = [
        Series(
            label,
            [low, high],
            [low * efficiency / 1e9, high * efficiency / 1e9],
            group="equal efficiency",
        )
        for label, efficiency in lines
    ]
    return Panel(
        "", "power (W)", "throughput (GOp/s)", (*series, *isolines), x_log=True, y_log=True
    )


def _best(chips: Sequence[Point], unit: float = 1e9) -> str:
    """The three most efficient chips, in ``unit`` Op/s/W."""
    ranked = sorted(chips, key=lambda point: -point.efficiency)
    return ", ".join(f"{point.chip.name} {point.efficiency / unit:.2g}" for point in ranked[:3])


def _most_efficient(memory: str) -> tuple[Accelerator, float]:
    """The CNN accelerator with the highest printed Op/s/W, power printed or not."""
    held = [
        (chip, efficiency)
        for chip in accelerators()
        if chip.kind == "ann" and _memory(chip) == memory
        for efficiency in [chip.value("op_efficiency")]
        if efficiency is not None
    ]
    return max(held, key=lambda pair: pair[1])


def figure_6() -> Figure:
    """Fig. 6: throughput against power of CNN accelerators."""
    chips = points(("ann", "mixed"))
    with_dram = [point for point in chips if point.memory == "DRAM-based"]
    system = [point for point in with_dram if not point.core_only]
    early = [point for point in system if (point.chip.year or 0) <= 2019]
    late = [point for point in system if (point.chip.year or 0) > 2019]
    cores = [point for point in with_dram if point.core_only]
    found = _most_efficient("on-chip memory")
    top = max(point.efficiency for point in early)
    return Figure(
        "liu_delbruck_2019_fig6",
        PAPER,
        "Fig. 6",
        "CNN accelerators: throughput against power",
        f"{len(chips)} accelerators of the survey that print power and throughput, or one of them "
        "and the efficiency; 1 MAC = 2 Op; many throughputs are peaks. As in the paper, the power "
        "of most DRAM-based chips leaves the DRAM out. Lines: equal efficiency.",
        (
            _survey_panel(
                chips,
                [("0.1 TOp/s/W", 1e11), ("2 TOp/s/W", 2e12), ("10 TOp/s/W", 1e13)],
            ),
        ),
        (
            Statement(
                "including DRAM limits power efficiency to around 2 TOp/s/W",
                "VI",
                "around 2 TOp/s/W",
                f"TOp/s/W of DRAM-based chips until 2019: {_best(early, 1e12)}; since then: "
                f"{_best(late, 1e12)}; of cores without their DRAM: {_best(cores, 1e12)}",
                bool(top <= 2.5e12),
            ),
            Statement(
                "the chips that use only on-chip memory achieve high power efficiency",
                "VI",
                "above the limit of DRAM",
                f"{found[0].label}: {found[1] / 1e12:.3g} TOp/s/W, the highest of the survey; it "
                "has none for BinarEye and Lightspear, which the paper names",
                found[1] > top,
            ),
        ),
        _cited(chips),
    )


def dram_wall(sparsity: float) -> tuple[float, float]:
    """(lowest, highest) Op/s/W that the DRAM read of one 8-bit weight per MAC allows.

    The read energy of the open row alone, over the devices with known currents; ``sparsity`` is
    the share of weights that need not be read although their MAC is counted.
    """
    reads = [item.read_per_bit for item in dram_devices() if item.read_per_bit is not None]
    walls = [2.0 / (8.0 * energy * (1.0 - sparsity)) for energy in reads]
    return min(walls), max(walls)


def figure_8() -> Figure:
    """Fig. 8: throughput against power of RNN accelerators."""
    chips = points(("rnn", "delta"))
    with_dram = [point for point in chips if point.memory == "DRAM-based"]
    dense, sparse = dram_wall(0.0), dram_wall(TEMPORAL_SPARSITY)
    middle = float(np.sqrt(dense[0] * dense[1]))
    saved = 1.0 / (1.0 - TEMPORAL_SPARSITY)
    return Figure(
        "liu_delbruck_2019_fig8",
        PAPER,
        "Fig. 8",
        "RNN accelerators: throughput against power",
        f"{len(chips)} accelerators of the survey that print power and throughput, or one of them "
        "and the efficiency. The lowest lines are computed: DRAM energy of one 8-bit weight per 2 "
        f"Op (geometric mean over {sum(d.read_per_bit is not None for d in dram_devices())} "
        f"devices), dense and with {100 * TEMPORAL_SPARSITY:.0f} % of the weights not read "
        "(an assumption). DeltaRNN with its wall-plug power.",
        (
            _survey_panel(
                chips,
                [
                    ("DRAM, dense", middle),
                    (f"DRAM, {100 * TEMPORAL_SPARSITY:.0f} % unread", middle * saved),
                    ("3 TOp/s/W", 3e12),
                ],
            ),
        ),
        (
            Statement(
                "RNN accelerators seem to be hitting an efficiency wall of a few hundred GOp/s/W "
                "that is determined by DRAM energy",
                "VII, Fig. 8",
                "a few hundred GOp/s/W",
                f"DRAM-based chips, GOp/s/W: {_best(with_dram)}; DRAM energy allows "
                f"{dense[0] / 1e9:.0f} to {dense[1] / 1e9:.0f} dense, {sparse[0] / 1e9:.0f} to "
                f"{sparse[1] / 1e9:.0f} with {100 * TEMPORAL_SPARSITY:.0f} % not read",
                bool(
                    max(point.efficiency for point in with_dram) <= sparse[1]
                    and sparse[0] >= 1e11
                    and sparse[1] <= 1e12
                ),
            ),
            _deltarnn(chips),
        ),
        _cited(chips),
    )


def _deltarnn(chips: Sequence[Point]) -> Statement:
    edge = next(point for point in chips if point.chip.name.startswith("EdgeDRNN"))
    return Statement(
        "EdgeDRNN achieves a wall plug power efficiency of about 8 GOp/s/W",
        "VII",
        "about 8 GOp/s/W",
        f"{edge.rate / 1e9:g} GOp/s / {edge.power:g} W = {edge.efficiency / 1e9:.2f} GOp/s/W",
        bool(abs(edge.efficiency / 1e9 - 8) <= 0.5),
    )


def _cited(chips: Sequence[Point]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((PAPER, *(key for point in chips for key in point.chip.cites))))
