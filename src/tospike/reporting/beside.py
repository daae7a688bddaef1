"""Simulated machines beside a verdict, as JSON and as a table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tospike.decision.beside import Simulated
from tospike.decision.record import Decision
from tospike.reporting.simulation import (
    SIMULATED,
    efficiency_of,
    said,
    simulation_dict,
    sources_of,
)
from tospike.tables import Column, Table, Value


def beside_dicts(found: Sequence[Simulated]) -> list[dict[str, Any]]:
    """The key ``simulated`` of ``tospike analyze --json --machine``."""
    bodies = []
    for one in found:
        body: dict[str, Any] = {"machine": one.architecture.name, "implementation": one.what}
        if one.run is None or one.energy is None or one.workload is None:
            body["why_not"] = one.why_not
        else:
            body |= simulation_dict(one.run, one.energy, one.workload)
        bodies.append(body)
    return bodies


def beside_table(found: Sequence[Simulated], decision: Decision) -> Table:
    """One row per machine, and one per implementation of the verdict to compare with."""
    rows: list[dict[str, Value]] = [
        {
            "what": item.name,
            "route": f"equation {item.energy_model}, {decision.technology.get('name', '')}",
            "energy": 1e6 * item.energy_J,
        }
        for item in decision.implementations
        if item.reference or item.name in (decision.winner, decision.challenger)
    ]
    notes, assumptions, sources = [], [SIMULATED], []
    for one in found:
        row: dict[str, Value] = {"what": one.what, "route": f"simulated: {one.architecture.name}"}
        if one.run is None or one.energy is None or one.workload is None:
            notes.append(f"{one.architecture.name} cannot run this network: {one.why_not}")
        else:
            run, batch = one.run, one.run.batch
            moved = [
                layer.bytes[level.name].total
                for layer in run.layers
                for level in run.architecture.levels
                if level.component == "dram" and level.name in layer.bytes
            ]
            row |= {
                "latency": 1e3 * run.latency / batch,
                "energy": 1e6 * one.energy.total / batch,
                "dram": sum(moved) / batch / 1e3,
                "throughput": run.effective_ops / 1e9,
                "efficiency": efficiency_of(run, one.energy) / 1e9,
            }
            assumptions += [
                f"{one.architecture.name}: {text}"
                for text in said(run, one.energy, one.workload)
                if text != SIMULATED
            ]
            sources += list(sources_of(run, one.energy))
        rows.append(row)
    return Table(
        key="simulated",
        title="Simulated machines beside the equations' figures, per inference",
        columns=(
            Column("what", "implementation"),
            Column("route", "route"),
            Column("latency", "latency", "ms"),
            Column("energy", "energy", "µJ"),
            Column("dram", "DRAM", "kB"),
            Column("throughput", "throughput", "GOp/s"),
            Column("efficiency", "efficiency", "GOp/s/W"),
        ),
        rows=tuple(rows),
        assumptions=tuple(dict.fromkeys(assumptions)),
        notes=(
            "Machines differ in node, word width and memory from the technology of the verdict: "
            "the rows compare routes, not chips of one generation",
            *notes,
        ),
        sources=tuple(dict.fromkeys(sources)),
    )
