"""Figures 1 and 2 of Ottati et al. 2023: published chips, Pareto fronts computed from the tables.

A chip dominates another if it is at least as good in both quantities and better in one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tospike.figures import Figure, Panel, Series, Statement
from tospike.papers.ottati_2023_data import table_2, table_3
from tospike.survey import Accelerator, accelerators
from tospike.survey.pareto import pareto_front

PAPER = "ottati_2023"
_KINDS = ("ANN", "SNN", "mixed")


@dataclass(frozen=True, slots=True)
class Chip:
    """One point: classification error in percent and a cost (energy or cycles), less is better."""

    name: str
    kind: str
    error: float
    cost: float

    def dominates(self, other: Chip) -> bool:
        """At least as good in both, better in one."""
        as_good = self.error <= other.error and self.cost <= other.cost
        return as_good and (self.error < other.error or self.cost < other.cost)


def front(chips: Sequence[Chip]) -> list[Chip]:
    """The chips that no other dominates, by rising error."""
    keep = pareto_front([(chip.error, chip.cost) for chip in chips], (False, False))
    return sorted(
        (chip for chip, on_front in zip(chips, keep, strict=True) if on_front),
        key=lambda chip: (chip.error, chip.cost),
    )


def _staircase(chips: Sequence[Chip]) -> Series:
    """The border of the region that the front dominates, to the edges of the data."""
    best = front(chips)
    corners = [(best[0].error, max(chip.cost for chip in chips))]
    for chip in best:
        corners += [(chip.error, corners[-1][1]), (chip.error, chip.cost)]
    corners.append((max(chip.error for chip in chips), best[-1].cost))
    return Series(
        "Pareto\nfront", [x for x, _ in corners], [y for _, y in corners], group="reference"
    )


def _panel(title: str, y_title: str, chips: Sequence[Chip], *extra: Series) -> Panel:
    series = []
    for kind in _KINDS:
        held = [chip for chip in chips if chip.kind == kind]
        if not held:
            continue
        series.append(
            Series(
                kind,
                [chip.error for chip in held],
                [chip.cost for chip in held],
                "points",
                "printed",
                tuple(chip.name for chip in held),
                group=kind,
            )
        )
    return Panel(
        title,
        "classification error (%)",
        y_title,
        (*series, *extra, _staircase(chips)),
        y_log=True,
    )


def energies() -> tuple[Chip, ...]:
    """Table II: energy per inference in mJ (power / throughput) and error on ImageNet."""
    return tuple(Chip(work, row.kind, row.error_pct, row.energy) for work, row in table_2().items())


def intervals() -> tuple[Chip, ...]:
    """Table II: initiation interval in cycles (clock / throughput) and error on ImageNet."""
    return tuple(
        Chip(work, row.kind, row.error_pct, row.interval) for work, row in table_2().items()
    )


def figure_1() -> Figure:
    """Fig. 1: energy and initiation interval against the error on ImageNet."""
    return Figure(
        "ottati_2023_fig1",
        PAPER,
        "Fig. 1",
        "ImageNet chips: energy and cycles against error",
        "Chips of Table II. Energy is the printed power over the printed throughput; the "
        "initiation interval is clock over throughput, as the paper defines it. Diamonds: printed "
        "numbers and their ratios. Lines: Pareto fronts over all five chips, computed.",
        (
            _panel("Energy", "energy per inference (mJ)", energies()),
            _panel("Performance", "initiation interval (cycles)", intervals()),
        ),
        (
            _dominated("energy vs. error", "Fig. 1a", energies(), "mJ"),
            _dominated("performance vs. error", "Fig. 1b", intervals(), "cycles"),
            _highest_energy(),
            _lowest_accuracy(),
        ),
        (PAPER, *dict.fromkeys(row.source for row in table_2().values())),
    )


def _dominated(space: str, place: str, chips: Sequence[Chip], unit: str) -> Statement:
    snn = next(chip for chip in chips if chip.kind == "SNN")
    rivals = [chip for chip in chips if chip.kind == "ANN"]
    by = [chip for chip in rivals if chip.dominates(snn)]
    values = ", ".join(f"{chip.name} {chip.cost:.3g}" for chip in (snn, *rivals))
    return Statement(
        f"SNPU'23 is Pareto-dominated by all ANN accelerators in the {space} space",
        f"IV-B, {place}",
        "by all 3",
        f"by {len(by)} of {len(rivals)} ({', '.join(chip.name for chip in by)}); {unit}: {values}",
        len(by) == len(rivals),
    )


def _highest_energy() -> Statement:
    chips = sorted(energies(), key=lambda chip: -chip.cost)
    return Statement(
        "the energy per inference of SNPU'23 is the highest among all the designs (1.95 mJ)",
        "IV-B",
        "1.95 mJ, highest",
        ", ".join(f"{chip.name} {chip.cost:.3f} mJ" for chip in chips),
        chips[0].name == "SNPU'23" and abs(chips[0].cost - 1.95) <= 0.005,
    )


def _lowest_accuracy() -> Statement:
    worst = max(energies(), key=lambda chip: chip.error)
    return Statement(
        "SNPU'23 has the lowest classification accuracy",
        "IV-B",
        "66.8 %",
        f"{worst.name}, {100 - worst.error:.1f} %",
        worst.name == "SNPU'23",
    )


def audio(task: str) -> tuple[Chip, ...]:
    """Table III: printed energy per inference in nJ and error, of one task (VAD or KWS)."""
    return tuple(
        Chip(work, row.kind, row.error_pct, row.energy_nj)
        for work, row in table_3().items()
        if row.task == task
    )


def audio_by_latency(task: str) -> tuple[Chip, ...]:
    """As :func:`audio` with power x latency; chips without a printed latency are left out."""
    return tuple(
        Chip(work, row.kind, row.error_pct, row.energy_by_latency)
        for work, row in table_3().items()
        if row.task == task and row.energy_by_latency is not None
    )


def _by_latency(task: str) -> Series:
    """Points at power x latency, named where they lie elsewhere than the printed energy."""
    moved = audio_by_latency(task)
    printed = {chip.name: chip.cost for chip in audio(task)}
    return Series(
        "power x latency",
        [chip.error for chip in moved],
        [chip.cost for chip in moved],
        "points",
        "computed",
        tuple(
            "" if abs(chip.cost / printed[chip.name] - 1.0) < 0.01 else chip.name for chip in moved
        ),
    )


def fpga_accelerators() -> tuple[Accelerator, ...]:
    """The FPGA accelerators [58, 26] of Fig. 2 as the survey holds them."""
    names = ("DeltaRNN", "EdgeDRNN")
    return tuple(chip for chip in accelerators() if chip.name.startswith(names))


def figure_2() -> Figure:
    """Fig. 2: energy against error on voice activity and keyword spotting."""
    fpgas = fpga_accelerators()
    without = [chip.name for chip in fpgas if chip.accuracy is None]
    return Figure(
        "ottati_2023_fig2",
        PAPER,
        "Fig. 2",
        "audio chips: energy against error",
        "Chips of Table III, each task by itself. Diamonds: printed energy per inference. "
        "Triangles: printed power x latency, the definition that gives the printed energy of "
        "Kim'22, Giraldo'22 and Shan'23, and another one of Oh'19 and Frenkel'22 (Yang'19 prints "
        "no latency). Lines: Pareto fronts of the printed energies, computed. The FPGA "
        f"accelerators [58, 26] of the paper's figure ({', '.join(without)}) print no accuracy "
        "and no energy per inference for this task and are not drawn.",
        (
            _panel("Voice activity", "energy per inference (nJ)", audio("VAD"), _by_latency("VAD")),
            _panel(
                "Keyword spotting", "energy per inference (nJ)", audio("KWS"), _by_latency("KWS")
            ),
        ),
        (
            _shan("all other keyword-spotting chips of Table III", audio("KWS")),
            _shan("all other chips of Table III", (*audio("VAD"), *audio("KWS"))),
            _shan(
                "all other keyword-spotting chips, with power x latency", audio_by_latency("KWS")
            ),
            _contradiction(),
            _best_vad(),
            _latency(),
        ),
        (PAPER, *dict.fromkeys(row.source for row in table_3().values())),
    )


def _shan(scope: str, chips: Sequence[Chip]) -> Statement:
    shan = next(chip for chip in chips if chip.name == "Shan'23")
    others = [chip for chip in chips if chip is not shan]
    not_below = [chip for chip in others if not shan.dominates(chip)]
    found = f"{len(others) - len(not_below)} of {len(others)}"
    if not_below:
        found += f"; not {_named(not_below)}, which need less than {shan.cost:g} nJ"
    return Statement(
        f"Shan'23 Pareto-dominates all the other chips ({scope})",
        "V-B, Fig. 2",
        "all",
        found,
        not not_below,
    )


def _named(chips: Iterable[Chip]) -> str:
    return " and ".join(f"{chip.name} ({chip.cost:g} nJ)" for chip in chips)


def _contradiction() -> Statement:
    return Statement(
        "Shan'23 Pareto-dominates all the other chips (the FPGA accelerators [58, 26] included)",
        "V-B, Fig. 2",
        "all",
        "cannot hold: the sentence before says that the FPGA accelerators achieve the highest "
        "accuracy, and a chip with a higher error dominates none with a lower one",
        False,
    )


def _best_vad() -> Statement:
    oh, yang = (
        next(chip for chip in audio("VAD") if chip.name == name) for name in ("Oh'19", "Yang'19")
    )
    moved = {chip.name: chip.cost for chip in audio_by_latency("VAD")}
    return Statement(
        "for VAD, Oh'19 is more efficient and more accurate than Yang'19",
        "V-B",
        "Oh'19 ahead in both",
        f"{oh.cost:g} against {yang.cost:g} nJ, error {oh.error:g} against {yang.error:g} % as "
        f"printed; with power x latency Oh'19 needs {moved['Oh' + chr(39) + '19']:.1f} nJ",
        oh.dominates(yang),
    )


def _latency() -> Statement:
    rows = {work: row.latency_ms for work, row in table_3().items() if row.latency_ms is not None}
    fastest = min(rows, key=lambda work: rows[work])
    return Statement(
        "Frenkel'22 achieves the lowest latency",
        "V-B",
        "lowest",
        f"{fastest}: {rows[fastest]:g} ms",
        fastest == "Frenkel'22",
    )
