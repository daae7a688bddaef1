"""A tiny machine for tests: PEs that take one MAC per cycle and skip zeros, one buffer, DRAM."""

from __future__ import annotations

import math
from pathlib import Path

from tospike.actions import ActionCounts, count
from tospike.architecture import Architecture
from tospike.machines import LayerRun, MachineRun, Traffic, Workload

CHIP = """
title: "Toy machine"
machine: toy
source: horowitz_2014
execution: folded
dataflow: toy
n_pe: 16
clock: {value: "100 MHz", locator: "text", quoted: "100 MHz"}
zero_handling: {activation: skip}
technology: horowitz_2014_45nm
levels:
  - {name: buffer, component: sram, bits: 8,
     capacity: {value: "32 KiB", dimension: capacity, locator: "text", quoted: "32 kB"}}
  - {name: DRAM, component: dram, bits: 64}
"""


def written(folder: Path) -> Path:
    """my_chip.yaml in a folder."""
    path = folder / "my_chip.yaml"
    path.write_text(CHIP, encoding="utf-8")
    return path


def simulate(workload: Workload, architecture: Architecture, *, progress) -> MachineRun:
    """Words: one byte. Each layer loads its inputs and weights, computes, stores its outputs."""
    layers, entries = [], []
    assert workload.activity is not None
    chosen = [layer for layer in workload.network.synaptic_layers if layer.n_synapses]
    for number, layer in enumerate(chosen):
        activity = workload.activity[layer.name]
        kept = workload.batch * activity.synaptic_operations
        busy = math.ceil(kept / architecture.n_pe)
        words = workload.batch * (layer.n_inputs + layer.n_neurons) + layer.n_weights
        load = math.ceil(words / 8)
        layers.append(
            LayerRun(
                name=layer.name,
                cycles=busy + load,
                busy=busy,
                macs=workload.batch * layer.n_synapses,
                operations=kept,
                active_pe=architecture.n_pe,
                bytes={
                    "buffer": Traffic(read=2 * kept, written=float(words)),
                    "DRAM": Traffic(
                        read=float(workload.batch * layer.n_inputs + layer.n_weights),
                        written=float(workload.batch * layer.n_neurons),
                    ),
                },
                stalls={"dram_load": load},
            )
        )
        entries += [
            count(layer.name, "alu", "mac", "none", kept, bits=8),
            count(layer.name, "sram", "read", "weight", 2 * kept, bits=8),
            count(layer.name, "dram", "read", "weight", words / 8, bits=64),
        ]
        if progress is not None:
            progress(number + 1, len(chosen))
    counts = ActionCounts(tuple(entries), route="machine", model="toy", sources=("horowitz_2014",))
    return MachineRun(architecture, workload.batch, tuple(layers), counts, ("toy assumption",))
