"""The measured tables of the chip, and the simulation beside them.

``python -m tospike.machines.eyeriss.published vgg16`` prints the comparison.
"""

from __future__ import annotations

import csv
import sys
from dataclasses import dataclass
from pathlib import Path

from tospike.architecture import load_architecture
from tospike.errors import unknown_name
from tospike.machines.energy import price_run
from tospike.machines.record import LayerRun, MachineRun
from tospike.machines.table import simulate
from tospike.machines.workload import workload
from tospike.tables import Column, Table, Value, export

DATA = Path(__file__).parents[1] / "data"
#: zoo network -> images of the measured batch
BATCHES = {"vgg16": 3, "alexnet": 4}
#: stalls that are not part of the processing latency
OFF_CHIP = ("dram_load", "filter_dram", "dram_store")
_MEGA = 1e6


@dataclass(frozen=True, slots=True)
class Measured:
    """One row of a table of the paper; for the whole batch. power in watt, latencies in second,
    glb and dram in byte (MB as 1e6), zeros as a fraction; glb counts accesses of the array."""

    layer: str
    power: float
    total: float
    processing: float
    macs: float
    active_pe: float
    zeros: float
    glb: float
    dram: float


def path_of(network: str) -> Path:
    """The table of a network in :data:`BATCHES`."""
    if network not in BATCHES:
        raise unknown_name("measured network", network, tuple(BATCHES))
    return DATA / f"eyeriss_{network}.csv"


def measured(network: str) -> tuple[Measured, ...]:
    """All rows; the last one is the total."""
    lines = path_of(network).read_text("utf-8").splitlines()
    rows = csv.DictReader(line for line in lines if not line.startswith("#"))
    return tuple(
        Measured(
            layer=row["layer"],
            power=float(row["power_mW"]) * 1e-3,
            total=float(row["total_latency_ms"]) * 1e-3,
            processing=float(row["processing_latency_ms"]) * 1e-3,
            macs=float(row["GMAC"]) * 1e9,
            active_pe=float(row["active_PEs"]),
            zeros=float(row["ifmap_zeros_pct"]) / 100,
            glb=float(row["GLB_access_MB"]) * _MEGA,
            dram=float(row["DRAM_access_MB"]) * _MEGA,
        )
        for row in rows
    )


def run(network: str, architecture: str = "eyeriss_v1") -> MachineRun:
    """The measured batch of a network on the simulated chip, with the zeros of the table."""
    work = workload(network, zeros=path_of(network), batch=BATCHES[network])
    return simulate(work, load_architecture(architecture))


def processing(layer: LayerRun) -> int:
    """Cycles of a layer without loads from and stores to the DRAM."""
    return layer.cycles - sum(layer.stalls.get(cause, 0) for cause in OFF_CHIP)


def buffer_bytes(found: MachineRun, layer: str, *, weights: bool = True) -> float:
    """Accesses of the array to the buffers, as the paper counts them: reads of inputs, filters and
    psums and writes of psums, not what the DRAM fills in."""
    word = found.architecture.parameter("word_bits") / 8
    counts = found.counts
    reads = counts.total(component="sram", layer=layer, action="read")
    if not weights:
        reads = reads - counts.total(
            component="sram", layer=layer, action="read", datatype="weight"
        )
    psums = counts.total(component="sram", layer=layer, action="write", datatype="psum")
    return float(word * (reads + psums))


def effective_reuse(found: MachineRun) -> float:
    """Register accesses for each buffer access to inputs and psums (Dampfhoffer 2022, III-B1).

    Each MAC takes an input and a psum from registers and puts a psum back; the PEs' own additions
    of psums that come in are not counted, as the paper counts three accesses per MAC.
    """
    word = found.architecture.parameter("word_bits") / 8
    far = sum(buffer_bytes(found, layer.name, weights=False) for layer in found.layers)
    return 3 * word * found.macs / far


def power(found: MachineRun) -> tuple[float, ...]:
    """Mean power of the chip in each layer and, last, in all, in watt; without the DRAM."""
    energy = price_run(found)
    clock = found.architecture.clock.value
    joule = [
        sum(value for part, value in energy.layers[layer.name].items() if part != "dram")
        for layer in found.layers
    ]
    each = [value * clock / layer.cycles for value, layer in zip(joule, found.layers, strict=True)]
    return (*each, sum(joule) * clock / found.cycles)


def comparison(network: str) -> Table:
    """Published against simulated, layer by layer. Deviations are (simulated - published) /
    published in percent."""
    found = run(network)
    clock = found.architecture.clock.value
    layers = found.layers
    simulated = {
        "processing": _with_sum([1e3 * processing(layer) / clock for layer in layers]),
        "total": _with_sum([1e3 * layer.cycles / clock for layer in layers]),
        "glb": _with_sum([buffer_bytes(found, layer.name) / _MEGA for layer in layers]),
        "dram": _with_sum([layer.bytes["dram"].total / _MEGA for layer in layers]),
        "power": [1e3 * watt for watt in power(found)],
    }
    cells = []
    for k, row in enumerate(measured(network)):
        printed = {
            "processing": 1e3 * row.processing,
            "total": 1e3 * row.total,
            "glb": row.glb / _MEGA,
            "dram": row.dram / _MEGA,
            "power": 1e3 * row.power,
        }
        cell: dict[str, Value] = {"layer": row.layer, "pe": row.active_pe}
        cell["pe_simulated"] = layers[k].active_pe if k < len(layers) else None
        for key, value in printed.items():
            cell[key] = value
            cell[f"{key}_simulated"] = simulated[key][k]
            cell[f"{key}_off"] = 100 * (simulated[key][k] / value - 1)
        cells.append(cell)
    return Table(
        key=f"eyeriss_{network}",
        title=f"Eyeriss on {network}, batch of {BATCHES[network]}: measured and simulated",
        columns=_columns(),
        rows=tuple(cells),
        assumptions=found.assumptions,
        sources=("chen_2017_jssc", "gao_2017"),
    )


def _with_sum(values: list[float]) -> list[float]:
    return [*values, sum(values)]


def _columns() -> tuple[Column, ...]:
    found = [
        Column("layer", "layer"),
        Column("pe", "active PEs"),
        Column("pe_simulated", "simulated"),
    ]
    for key, title, unit in (
        ("processing", "processing", "ms"),
        ("total", "total", "ms"),
        ("glb", "buffer", "MB"),
        ("dram", "DRAM", "MB"),
        ("power", "power", "mW"),
    ):
        found += [
            Column(key, title, unit),
            Column(f"{key}_simulated", "simulated", unit),
            Column(f"{key}_off", "deviation", "%", 2),
        ]
    return tuple(found)


if __name__ == "__main__":
    chosen = sys.argv[1:] or list(BATCHES)
    for name in chosen:
        sys.stdout.write(export([comparison(name)], "markdown"))
        sys.stdout.write(f"effective reuse of inputs and psums: {effective_reuse(run(name)):.1f}\n")
