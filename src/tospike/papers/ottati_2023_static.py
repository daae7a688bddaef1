"""Ottati et al. 2023, IV-B, Table II and Fig. 1: accelerators on static images."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tospike.papers.claim import Claim, Convention, Recomputed
from tospike.papers.counted import counted
from tospike.papers.ottati_2023_data import StaticAccelerator, static, table_2

Point = tuple[float, float]


def energy(work: str, *, micro: bool = False) -> Callable[[Claim], Recomputed]:
    """Energy per inference = power / throughput, in mJ (``micro``: in uJ)."""

    def recompute(claim: Claim) -> Recomputed:
        row = static(work)
        unit, factor = ("uJ", 1e3) if micro else ("mJ", 1.0)
        found = row.energy * factor
        arithmetic = (
            f"{row.power_mw:g} mW / {row.throughput_fps:g} FPS = {found:.4g} {unit} per inference"
        )
        return Recomputed(
            computed=found, arithmetic=arithmetic, why=f"Table II: {arithmetic}.",
            sources=(row.source,),
        )  # fmt: skip

    return recompute


def mo_in_text(claim: Claim) -> Recomputed:
    """IV-B: 0.46 mJ of Mo'21 in the text."""
    row = static("Mo'21")
    network = counted(row.counted_as)
    efficiency = row.tops_per_watt or float("nan")
    dense = 2e-9 * network.macs
    return Recomputed(
        computed=row.energy,
        arithmetic=f"{row.power_mw:g} mW / {row.throughput_fps:g} FPS = {row.energy:.3g} mJ",
        why=(
            f"Table II prints {row.energy_mj:g} mJ for the same chip, and its power and throughput "
            f"give {row.energy:.3g} mJ, {row.energy / 0.46:.1f} times the number in the text. "
            "The sentence it supports (SNPU'23 uses the most) holds with both."
        ),
        conventions=(
            Convention(
                "operations / TOPS per W",
                dense / efficiency,
                f"2 x {network.macs / 1e9:.2f} GMAC of {row.network} at the title's "
                f"{efficiency:g} TOPS/W.",
            ),
            Convention(
                "MACs / TOPS per W",
                dense / 2 / efficiency,
                "As before with one operation per MAC.",
            ),
        ),
        sources=(row.source,),
    )


def cdnn_in_text(claim: Claim) -> Recomputed:
    """IV-B: 281 uJ of C-DNN'23."""
    row = static("C-DNN'23")
    found = 1e3 * row.energy
    low = 1e3 * (row.power_mw - 0.5) / (row.throughput_fps + 0.5)
    high = 1e3 * (row.power_mw + 0.5) / (row.throughput_fps - 0.5)
    return Recomputed(
        computed=found,
        arithmetic=f"{row.power_mw:g} mW / {row.throughput_fps:g} FPS = {found:.1f} uJ",
        why=(
            f"Table II gives {found:.0f} uJ. The acknowledgments say that the chip's designers "
            "measured the energy, so that 281 uJ was not calculated from the table; the two are "
            f"compatible, since rounding of both inputs allows {low:.0f} to {high:.0f} uJ."
        ),
        sources=(row.source,),
    )


def operations(work: str) -> Callable[[Claim], Recomputed]:
    """Operations per inference in GOP: 2 per MAC (section III) of the named network."""

    def recompute(claim: Claim) -> Recomputed:
        row = static(work)
        network = counted(row.counted_as)
        found = 2e-9 * network.macs
        rounded = round(network.macs / 1e9, 1)
        conventions = [
            Convention(
                "MACs rounded to 0.1 G, then doubled",
                2 * rounded,
                f"2 x {rounded:g} GMAC: the network's MACs as they are usually printed.",
            )
        ]
        if row.tops_per_watt is not None:
            value = row.tops_per_watt * row.energy_mj
            exact = row.tops_per_watt * row.energy
            conventions.append(
                Convention(
                    "TOPS/W of the accelerator x rounded energy",
                    value,
                    f"{row.tops_per_watt:g} TOPS/W ({row.tops_per_watt_from}) x the printed "
                    f"{row.energy_mj:g} mJ = {value:.2f} GOP (with the unrounded {row.energy:.4g} "
                    f"mJ {exact:.2f}). So the entry does not describe the network.",
                )
            )
        return Recomputed(
            computed=found,
            arithmetic=f"2 x {network.macs / 1e9:.4f} GMAC of {row.network} = {found:.3f} GOP",
            why=(
                f"Section III counts a MAC as two operations; one inference of {row.network} has "
                f"2 x {network.macs / 1e9:.4f} = {found:.2f} GOP."
            ),
            conventions=tuple(conventions),
            sources=(row.source, *_network_sources(row)),
        )

    return recompute


def _network_sources(row: StaticAccelerator) -> tuple[str, ...]:
    return ("timm_models",) if row.counted_as == "mobilenet_edgetpu" else ("torchvision",)


def parameters(claim: Claim) -> Recomputed:
    """Table II: parameters of DeiT-Base in M."""
    row = static("Keller'23")
    network = counted(row.counted_as)
    width = network.network.synaptic_layers[0].output_shape[0]
    found = network.parameters / 1e6
    return Recomputed(
        computed=found,
        arithmetic=f"all tensors of {row.network}: {network.parameters} parameters = {found:.1f} M",
        why=(
            f"{row.network} has {found:.1f} M parameters; {width} is its width (the number of "
            "values per token), printed in the row of the parameters."
        ),
        sources=("torchvision", row.source),
    )


def process(claim: Claim) -> Recomputed:
    """Table II: node of Park'22, read in the title of the paper's own reference [22]."""
    row = static("Park'22")
    return Recomputed(
        computed=row.node_in_title_nm,
        arithmetic=f"title of reference [22]: a {row.node_in_title_nm:g}-nm SoC",
        why=(
            f"The title in the paper's own reference list says {row.node_in_title_nm:g} nm; IV-B "
            f"repeats the {row.process_nm:g} nm."
        ),
        sources=(row.source,),
    )


def dominates(one: Point, other: Point) -> bool:
    """True if ``one`` is nowhere larger than ``other`` and somewhere smaller (less is better)."""
    return one[0] <= other[0] and one[1] <= other[1] and one != other


def dominators(of: str, axis: Callable[[StaticAccelerator], float]) -> tuple[str, ...]:
    """The ANN accelerators of Table II that dominate one in (``axis``, error)."""
    mine = (axis(static(of)), static(of).error_pct)
    return tuple(
        row.work
        for row in table_2().values()
        if row.kind == "ANN" and dominates((axis(row), row.error_pct), mine)
    )


def pareto(claim: Claim) -> Recomputed:
    """IV-B, Fig. 1b: is SNPU'23 dominated by all ANN accelerators in cycles against error?"""
    anns = [row for row in table_2().values() if row.kind == "ANN"]
    by_cycles = dominators("SNPU'23", lambda row: row.interval)
    by_energy = dominators("SNPU'23", lambda row: row.energy)
    by_time = dominators("SNPU'23", lambda row: 1.0 / row.throughput_fps)
    cycles = ", ".join(
        f"{row.work} {row.interval / 1e6:.3g} M" for row in [*anns, static("SNPU'23")]
    )
    return Recomputed(
        holds=len(by_cycles) == len(anns),
        arithmetic=f"cycles per inference = clock / throughput: {cycles}",
        why=(
            f"In cycles against error only {_and(by_cycles)} dominates SNPU'23: the others need "
            f"more cycles ({cycles}). In energy against error (Fig. 1a) the statement holds for "
            f"{_and(by_energy)}."
        ),
        conventions=(
            Convention(
                "seconds instead of cycles",
                None,
                f"In 1 / throughput, too, only {_and(by_time)} dominates it.",
                holds=len(by_time) == len(anns),
            ),
        ),
    )


def second_best(claim: Claim) -> Recomputed:
    """VI: C-DNN'23 has the second-best efficiency, the best chip is one of 5 nm."""
    by_energy = _ranked([(row.energy, row) for row in table_2().values()])
    peaks = [
        (-(row.tops_per_watt_peak or row.tops_per_watt or 0.0), row)
        for row in table_2().values()
        if row.tops_per_watt is not None
    ]
    by_peak = _ranked(peaks)
    listed = ", ".join(f"{row.work} {-value:g}" for value, row in sorted(peaks, key=_first))
    return Recomputed(
        holds=_says_so(by_energy),
        arithmetic="energy per inference: "
        + " < ".join(f"{row.work} {row.energy:.3g} mJ" for row in by_energy),
        why=(
            f"In energy per inference, the paper's own metric, {by_energy[0].work} is the best "
            f"({by_energy[0].energy:.2g} mJ) and {by_energy[1].work} the second "
            f"({by_energy[1].energy:.2g} mJ); IV-B says so itself ('the best among all the chips')."
        ),
        conventions=(
            Convention(
                "peak TOPS/W of the titles",
                None,
                f"By the highest TOPS/W in the titles and abstracts of the chips ({listed}; none "
                "for SNPU'23) the 5 nm chip is first and C-DNN'23 second; section III rejects "
                "that metric.",
                holds=_says_so(by_peak),
            ),
        ),
        sources=tuple(row.source for _, row in peaks),
    )


def _first(pair: tuple[float, StaticAccelerator]) -> float:
    return pair[0]


def _ranked(pairs: Sequence[tuple[float, StaticAccelerator]]) -> list[StaticAccelerator]:
    return [row for _, row in sorted(pairs, key=_first)]


def _says_so(order: Sequence[StaticAccelerator]) -> bool:
    return order[0].process_nm == 5 and order[1].work == "C-DNN'23"


def _and(names: Sequence[str]) -> str:
    return " and ".join(names) if names else "none"
