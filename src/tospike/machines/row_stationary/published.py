"""Fig. 10 of Chen 2016 (ISCA), and the model beside it: :func:`table`.

The numbers of the figure are known second-hand, from the test of nn_dataflow (Gao 2017) that
reproduces it. They are energies in 1e9 MACs at batch 16.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from tospike.architecture import load_architecture
from tospike.machines.record import MachineRun, Workload
from tospike.machines.row_stationary.benchmarks import alexnet
from tospike.machines.row_stationary.shape import two_columns
from tospike.machines.row_stationary.simulate import simulate
from tospike.network import Network
from tospike.tables import Column, Table, Value


class Parts(NamedTuple):
    """Energy in 1e9 MACs."""

    alu: float
    dram: float
    register: float
    buffer: float = float("nan")
    array: float = float("nan")


FIG10: Mapping[str, Parts] = {
    "conv1": Parts(1.69, 2.46, 6.75),
    "conv2": Parts(3.58, 2.27, 14.33),
    "conv3": Parts(2.39, 2.02, 9.57),
    "conv4": Parts(1.79, 1.57, 7.18),
    "conv5": Parts(1.20, 1.05, 4.78),
    "fc1": Parts(0.60, 7.78, 2.42),
    "fc2": Parts(0.27, 3.39, 1.07),
    "fc3": Parts(0.07, 0.84, 0.26),
}
BATCH = 16


def figure_10(network: Network, architecture: str = "eyeriss_isca2016") -> dict[str, Parts]:
    """Energy per layer of AlexNet; halves of a layer ("conv1_a", "_b") are added up."""
    run = simulate(Workload(network, batch=BATCH), load_architecture(architecture))
    return {name: _parts(run, {name, f"{name}_a", f"{name}_b"}) for name in FIG10}


def _parts(run: MachineRun, names: set[str]) -> Parts:
    """The counts of a layer times the relative costs of the architecture."""
    cost = run.architecture.parameter
    mac = cost("cost_mac")
    factors = {
        "alu": mac,
        "dram": cost("cost_dram"),
        "register": cost("cost_register"),
        "sram": cost("cost_buffer"),
        "noc": cost("cost_array"),
    }
    found = dict.fromkeys(factors, 0.0)
    for entry in run.counts:
        if entry.layer in names:
            found[entry.component] += float(entry.count) * factors[entry.component] / mac / 1e9
    return Parts(found["alu"], found["dram"], found["register"], found["sram"], found["noc"])


def table() -> Table:
    """Fig. 10 and the model, with the two columns of AlexNet apart and together."""
    apart, together = figure_10(two_columns(alexnet())), figure_10(alexnet())
    rows: list[Mapping[str, Value]] = []
    for name, printed in FIG10.items():
        ours = apart[name]
        rows.append(
            {
                "layer": name,
                "alu_printed": printed.alu,
                "alu": ours.alu,
                "register_printed": printed.register,
                "register": ours.register,
                "dram_printed": printed.dram,
                "dram": ours.dram,
                "off": 100 * (ours.dram / printed.dram - 1),
                "one_column": together[name].dram,
                "one_off": 100 * (together[name].dram / printed.dram - 1),
                "buffer": ours.buffer,
                "array": ours.array,
            }
        )
    return Table(
        key="eyeriss_fig10",
        title="AlexNet on 256 row-stationary PEs, batch 16, energy in 1e9 MACs",
        columns=(
            Column("layer", "layer"),
            Column("alu_printed", "ALU, published", digits=3),
            Column("alu", "ALU", digits=3),
            Column("register_printed", "RF, published"),
            Column("register", "RF"),
            Column("dram_printed", "DRAM, published", digits=3),
            Column("dram", "DRAM"),
            Column("off", "deviation", "%", 2),
            Column("one_column", "DRAM, one column"),
            Column("one_off", "deviation", "%", 2),
            Column("buffer", "buffer", digits=3),
            Column("array", "array", digits=3),
        ),
        rows=tuple(rows),
        assumptions=(
            "published numbers are those of the nn_dataflow test of the figure",
            "conv1 and conv3 as two halves of their filters, each reading all input maps; 'one "
            "column' maps them as a whole",
        ),
        sources=("chen_2016_isca", "gao_2017"),
    )
