"""A simulated run of a machine as JSON and as tables."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from tospike.machines import LayerRun, MachineRun, RunEnergy, Workload
from tospike.sources import SOURCES
from tospike.tables import Column, Table, Value
from tospike.units import si

SCHEMA_VERSION = 1
SIMULATED = "Modelled by cycle, not measured on silicon."


def levels_of(run: MachineRun) -> tuple[str, ...]:
    """Memory levels with traffic: those of the architecture in its order, then any others."""
    names = [level.name for level in run.architecture.levels]
    names += [name for layer in run.layers for name in layer.bytes]
    used = {name for layer in run.layers for name, moved in layer.bytes.items() if moved.total}
    return tuple(name for name in dict.fromkeys(names) if name in used)


def stalls_of(run: MachineRun) -> dict[str, int]:
    """Cycles of all layers by cause."""
    found: dict[str, int] = {}
    for layer in run.layers:
        for cause, cycles in layer.stalls.items():
            found[cause] = found.get(cause, 0) + cycles
    return found


def utilisation_of(run: MachineRun) -> float:
    """Executed operations over the slots of the active PEs in all cycles; nan without cycles."""
    slots = sum(layer.active_pe * layer.cycles for layer in run.layers)
    return sum(layer.operations for layer in run.layers) / slots if slots else math.nan


def efficiency_of(run: MachineRun, energy: RunEnergy) -> float:
    """Op/s/W: 2 Op per MAC of the dense network, per joule; nan without energy."""
    return 2 * run.macs / energy.total if energy.total else math.nan


def sources_of(run: MachineRun, energy: RunEnergy) -> tuple[str, ...]:
    """Keys of the bibliography: of the architecture, the simulator and the prices."""
    keys = (*run.architecture.sources, *run.counts.sources, *energy.sources)
    return tuple(dict.fromkeys(keys))


def said(run: MachineRun, energy: RunEnergy, workload: Workload) -> tuple[str, ...]:
    """What the figures assume, each sentence once."""
    activity = workload.activity
    origin: tuple[str, ...] = ()
    if activity is not None:
        how = "measured" if activity.measured else "given, not measured"
        origin = (f"activity: {activity.origin or 'without a name'} ({how})",)
    traced = [layer.name for layer in run.layers if layer.name in workload.traces]
    if traced:
        origin += (f"real inputs of {len(traced)} of {len(run.layers)} layers were used",)
    texts = (SIMULATED, *origin, *energy.assumptions, *run.counts.assumptions)
    return tuple(dict.fromkeys(texts))


# -- JSON ----------------------------------------------------------------------------------------


def simulation_dict(run: MachineRun, energy: RunEnergy, workload: Workload) -> dict[str, Any]:
    """Plain data: all figures of the whole batch, those of one inference named so.

    NaN (a layer without work has no utilisation) becomes None.
    """
    chip = run.architecture
    notes = () if workload.activity is None else workload.activity.notes
    return {
        "schema_version": SCHEMA_VERSION,
        "evidence": "simulated",
        "machine": chip.name,
        "title": chip.title,
        "simulator": chip.machine,
        "execution": chip.execution,
        "dataflow": chip.dataflow,
        "n_pe": chip.n_pe,
        "clock_hz": chip.clock.value,
        "network": workload.network.origin.name,
        "batch": run.batch,
        "technology": energy.technology,
        "layers": [_layer(layer, run, energy) for layer in run.layers],
        "total": _total(run, energy),
        "assumptions": list(said(run, energy, workload)),
        "out_of_range": list(dict.fromkeys((*run.out_of_range, *run.counts.out_of_range))),
        "notes": [*chip.notes, *notes],
        "sources": [
            {"key": key, "text": SOURCES[key].text, "verified": SOURCES[key].verified}
            for key in sources_of(run, energy)
        ],
    }


def _layer(layer: LayerRun, run: MachineRun, energy: RunEnergy) -> dict[str, Any]:
    parts = energy.layers.get(layer.name, {})
    return {
        "name": layer.name,
        "cycles": int(layer.cycles),
        "busy_cycles": int(layer.busy),
        "stall_cycles": {cause: int(cycles) for cause, cycles in layer.stalls.items()},
        "latency_s": layer.cycles / run.architecture.clock.value,
        "utilisation": _finite(layer.utilisation),
        "active_pe": int(layer.active_pe),
        "macs": float(layer.macs),
        "operations": float(layer.operations),
        **_bytes({name: (moved.read, moved.written) for name, moved in layer.bytes.items()}),
        "energy_J": sum(parts.values()),
        "energy_parts_J": dict(parts),
    }


def _bytes(moved: Mapping[str, tuple[float, float]]) -> dict[str, Any]:
    return {
        "bytes": {name: float(read + written) for name, (read, written) in moved.items()},
        "bytes_read": {name: float(read) for name, (read, _) in moved.items()},
        "bytes_written": {name: float(written) for name, (_, written) in moved.items()},
    }


def _total(run: MachineRun, energy: RunEnergy) -> dict[str, Any]:
    moved = {
        name: (
            sum(layer.bytes[name].read for layer in run.layers if name in layer.bytes),
            sum(layer.bytes[name].written for layer in run.layers if name in layer.bytes),
        )
        for name in levels_of(run)
    }
    return {
        "cycles": int(run.cycles),
        "busy_cycles": int(sum(layer.busy for layer in run.layers)),
        "stall_cycles": {cause: int(cycles) for cause, cycles in stalls_of(run).items()},
        "latency_s": run.latency,
        "latency_per_inference_s": run.latency / run.batch,
        "inferences_per_s": _finite(run.batch / run.latency if run.latency else math.nan),
        "utilisation": _finite(utilisation_of(run)),
        "macs": float(run.macs),
        "operations": float(sum(layer.operations for layer in run.layers)),
        **_bytes(moved),
        "energy_J": energy.total,
        "energy_low_J": energy.low,
        "energy_high_J": energy.high,
        "energy_parts_J": energy.components,
        "energy_per_inference_J": energy.total / run.batch,
        "power_W": _finite(energy.total / run.latency if run.latency else math.nan),
        "effective_ops_per_s": _finite(run.effective_ops),
        "ops_per_s_per_w": _finite(efficiency_of(run, energy)),
    }


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


# -- tables --------------------------------------------------------------------------------------


def simulation_tables(run: MachineRun, energy: RunEnergy, workload: Workload) -> list[Table]:
    """Layers, their traffic, stalls and totals; the last one carries what all rest on."""
    traffic = _traffic_table(run)
    return [
        _layer_table(run, energy),
        *([traffic] if traffic.rows else []),
        _time_table(run),
        _total_table(run, energy, workload),
    ]


def _layer_table(run: MachineRun, energy: RunEnergy) -> Table:
    clock = run.architecture.clock.value
    rows: list[dict[str, Value]] = [
        {
            "layer": layer.name,
            "cycles": int(layer.cycles),
            "latency": 1e3 * layer.cycles / clock,
            "utilisation": 100 * layer.utilisation,
            "executed": _share(layer.operations, layer.macs),
            "energy": 1e6 * sum(energy.layers.get(layer.name, {}).values()),
        }
        for layer in run.layers
    ]
    rows.append(
        {
            "layer": "total",
            "cycles": int(run.cycles),
            "latency": 1e3 * run.latency,
            "utilisation": 100 * utilisation_of(run),
            "executed": _share(sum(layer.operations for layer in run.layers), run.macs),
            "energy": 1e6 * energy.total,
        }
    )
    batch = f", batch of {run.batch}" if run.batch > 1 else ""
    return Table(
        key="layers",
        title=f"{run.architecture.title}, simulated{batch}: layers",
        columns=(
            Column("layer", "layer"),
            Column("cycles", "cycles"),
            Column("latency", "latency", "ms"),
            Column("utilisation", "utilisation", "%", digits=3),
            Column("executed", "executed", "% of MACs", digits=3),
            Column("energy", "energy", "µJ"),
        ),
        rows=tuple(rows),
    )


def _traffic_table(run: MachineRun) -> Table:
    """Bytes read and written, one column per level, each in its own unit."""
    levels = levels_of(run)
    moved = {
        name: [layer.bytes[name].total if name in layer.bytes else 0.0 for layer in run.layers]
        for name in levels
    }
    scales = {name: _scale(max(values)) for name, values in moved.items()}
    rows: list[dict[str, Value]] = [
        {"layer": layer.name} | {name: moved[name][i] / scales[name][0] for name in levels}
        for i, layer in enumerate(run.layers)
    ]
    rows.append({"layer": "total"} | {name: sum(moved[name]) / scales[name][0] for name in levels})
    return Table(
        key="traffic",
        title="Bytes read and written at each memory level",
        columns=(
            Column("layer", "layer"),
            *(Column(name, name.replace("_", " "), scales[name][1]) for name in levels),
        ),
        rows=tuple(rows) if levels else (),
    )


def _share(part: float, whole: float) -> float:
    """Percent; nan of nothing."""
    return 100 * part / whole if whole else math.nan


def _scale(largest: float) -> tuple[float, str]:
    for factor, unit in ((1e6, "MB"), (1e3, "kB")):
        if largest >= 10 * factor:
            return factor, unit
    return 1.0, "B"


def _time_table(run: MachineRun) -> Table:
    stalls = stalls_of(run)
    rows: list[dict[str, Value]] = []
    parts = {"PEs compute": sum(layer.busy for layer in run.layers), **stalls}
    other = run.cycles - sum(parts.values())
    if other > 0:
        parts["not explained"] = other
    for what, cycles in parts.items():
        share = _share(cycles, run.cycles)
        rows.append({"what": what.replace("_", " "), "cycles": int(cycles), "share": share})
    return Table(
        key="time",
        title="Where the cycles go",
        columns=(
            Column("what", "cycles in which"),
            Column("cycles", "cycles"),
            Column("share", "share", "%", digits=3),
        ),
        rows=tuple(rows),
    )


def _total_table(run: MachineRun, energy: RunEnergy, workload: Workload) -> Table:
    batch = run.batch
    rows: list[tuple[str, str]] = [
        ("network", f"{workload.network.origin.name}, {run.macs / batch:,.0f} MAC"),
        ("latency", f"{si(run.latency, 's')}" + (f" for {batch} inferences" if batch > 1 else "")),
        ("effective throughput (2 Op per dense MAC)", si(run.effective_ops, "Op/s")),
        ("energy per inference", si(energy.total / batch, "J")),
        ("its range", f"{si(energy.low / batch, 'J')} to {si(energy.high / batch, 'J')}"),
        ("power", si(energy.total / run.latency, "W") if run.latency else "–"),
        ("efficiency", si(efficiency_of(run, energy), "Op/s/W")),
    ]
    for name, joule in energy.components.items():
        share = _share(joule, energy.total)
        rows.append((f"energy of {name}", f"{si(joule / batch, 'J')} ({share:.1f} %)"))
    notes = () if workload.activity is None else workload.activity.notes
    return Table(
        key="total",
        title=f"{run.architecture.title} with {energy.technology}",
        columns=(Column("what", "figure"), Column("value", "value")),
        rows=tuple({"what": what, "value": value} for what, value in rows),
        assumptions=said(run, energy, workload),
        notes=tuple(dict.fromkeys((*notes, *run.out_of_range))),
        sources=sources_of(run, energy),
    )
