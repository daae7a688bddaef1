"""The results page of the spiking networks: recurrent networks on sequences."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from snn_page_parts import energy, number, percent, table, times

Row = Mapping[str, Any]
#: accuracy that a cheaper SNN may have less than the most accurate one to be named
NEAR = 0.005
GRU = {"dense": "GRU", "post": "delta GRU, post-training", "retrained": "delta GRU, retrained"}
ACCUMULATE = ("column", "word")


@dataclass(frozen=True)
class Line:
    """One network, means over its seeds; joule per step."""

    name: str
    theta_x: float
    spiking: bool
    accuracy: float
    sram: float
    dram: float

    @property
    def words(self) -> str:
        """Name, threshold and accuracy."""
        at = f" at Θx {self.theta_x:g}" if self.theta_x else ""
        return f"{self.name}{at} ({percent(self.accuracy)} %)"


def groups(rows: Iterable[Row], by: Sequence[str]) -> list[list[Row]]:
    """Rows of all seeds together."""
    found: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        found.setdefault(tuple(row[key] for key in by), []).append(row)
    return list(found.values())


def mean(group: Sequence[Row], field: str) -> float:
    """Over seeds."""
    return statistics.fmean(row[field] for row in group)


def _gru(entry: Row) -> list[list[Row]]:
    return groups(entry["gru"], ("training", "theta_x", "theta_h"))


def _snn(entry: Row) -> list[list[Row]]:
    return groups(entry["snn"], ("neuron", "penalty", "theta_x"))


def _snn_name(row: Row) -> str:
    return f"SNN, {row['neuron'].upper()}, penalty {row['penalty']:g}"


def lines(entry: Row, accumulate: str) -> list[Line]:
    """All networks of a task; SNNs with this way to add up."""
    found = [
        Line(
            GRU[group[0]["training"]], group[0]["theta_x"], False, mean(group, "accuracy"),
            mean(group, "energy_sram_j"), mean(group, "energy_dram_j"),
        )
        for group in _gru(entry)
    ]  # fmt: skip
    return found + [
        Line(
            _snn_name(group[0]), group[0]["theta_x"], True, mean(group, "accuracy"),
            mean(group, f"energy_{accumulate}_sram_j"), mean(group, f"energy_{accumulate}_dram_j"),
        )
        for group in _snn(entry)
    ]  # fmt: skip


def front(found: Sequence[Line], where: str) -> list[Line]:
    """Networks that no other one beats in both accuracy and energy, the most accurate first."""
    best: list[Line] = []
    for line in sorted(found, key=lambda one: (-one.accuracy, getattr(one, where))):
        if not best or getattr(line, where) < getattr(best[-1], where):
            best.append(line)
    return best


def temporal_table(entry: Row) -> list[str]:
    """GRU, delta GRU and SNN side by side."""
    rows = [_gru_cells(group) for group in _gru(entry)]
    for group in _snn(entry):
        rows += [_snn_cells(group, accumulate) for accumulate in ACCUMULATE]
    head = [
        "network", "Θx", "Θh", "seeds", "accuracy, %", "weights", "spikes per neuron and step",
        "additions by spikes per step", "states read and written per step", "bytes per step, int8",
        "nJ per step, SRAM", "DRAM",
    ]  # fmt: skip
    return table(head, rows)


def _gru_cells(group: Sequence[Row]) -> list[str]:
    first = group[0]
    weights = mean(group, "bytes_int8") / (1 - mean(group, "gamma"))
    return [
        GRU[first["training"]], f"{first['theta_x']:g}", f"{first['theta_h']:g}", str(len(group)),
        percent(mean(group, "accuracy")), f"{weights:,.0f}", "–", "–", "–",
        number(mean(group, "bytes_int8")),
        energy(mean(group, "energy_sram_j"), 1e9), energy(mean(group, "energy_dram_j"), 1e9),
    ]  # fmt: skip


def _snn_cells(group: Sequence[Row], accumulate: str) -> list[str]:
    first = group[0]
    return [
        f"{_snn_name(first)}, by {accumulate}", f"{first['theta_x']:g}", "–", str(len(group)),
        percent(mean(group, "accuracy")), f"{first['n_weights']:,}",
        f"{mean(group, 'spikes_per_neuron'):.4f}", number(mean(group, "synaptic_operations")),
        number(mean(group, "state_accesses")), number(mean(group, "bytes_int8")),
        energy(mean(group, f"energy_{accumulate}_sram_j"), 1e9),
        energy(mean(group, f"energy_{accumulate}_dram_j"), 1e9),
    ]  # fmt: skip


def _on_front(best: Sequence[Line], where: str, accumulate: str) -> str:
    """Which networks on the front spike."""
    spiking = [one for one in best if one.spiking]
    begin = (
        f"- Front of accuracy and energy, weights in {where.upper()}, spikes by {accumulate}: "
        f"{len(spiking)} of {len(best)} networks spike"
    )
    if not spiking:
        return f"{begin}."
    above = [one for one in best if not one.spiking and one.accuracy > spiking[0].accuracy]
    more = f"; above them the {above[-1].words}" if above else ""
    return f"{begin}: {', '.join(one.words for one in spiking)}{more}."


def reading(entry: Row) -> str:
    """How accurate the SNN gets, and where it lies on the front of accuracy and energy."""
    found = lines(entry, "column")
    snns = [one for one in found if one.spiking]
    dense = [one for one in found if one.name == GRU["dense"]]
    if not dense:
        return "The GRU has not been measured yet."
    most = max(one.accuracy for one in snns)
    best = min((one for one in snns if one.accuracy >= most - NEAR), key=lambda one: one.dram)
    text = (
        f"Most accurate SNN: {percent(most)} %, the GRU {percent(dense[0].accuracy)} %. Cheapest "
        f"SNN within {100 * NEAR:g} points of that: {best.words}; the GRU needs "
        f"{times(dense[0].sram / best.sram)} times its energy with weights in SRAM and "
        f"{times(dense[0].dram / best.dram)} times in DRAM."
    )
    rival = [one for one in found if not one.spiking and one.accuracy >= best.accuracy]
    if rival:
        ratios = [
            times(min(getattr(one, where) for one in rival) / getattr(best, where))
            for where in ("sram", "dram")
        ]
        text += (
            " The cheapest GRU or delta GRU that is at least as accurate as this SNN needs "
            f"{ratios[0]} and {ratios[1]} times its energy (above 1: spiking needs less)."
        )
    for accumulate in ACCUMULATE:
        whole = lines(entry, accumulate)
        for where in ("sram", "dram"):
            text += "\n" + _on_front(front(whole, where), where, accumulate)
    return text


def temporal_section(entry: Row) -> list[str]:
    """One task; nothing if no SNN has been trained."""
    if not entry["snn"]:
        return []
    return [
        "",
        f"## {entry['title'] or entry['snn'][0]['task']}",
        "",
        *reading(entry).replace("\n", "\n\n", 1).split("\n"),
        "",
        *temporal_table(entry),
    ]
