"""Liu & Delbruck 2019: the numbers behind Fig. 2, Fig. 3 and the NullHop system, as tables."""

from __future__ import annotations

from tospike.papers import liu_delbruck_2019_claims as claims
from tospike.papers.cells import COMPARISON, compared, printed_cell
from tospike.papers.claim import Recomputed
from tospike.papers.dram import DramDevice, dram_devices
from tospike.papers.load import claims as all_claims
from tospike.tables import Column, Table, Value

_PAPER = "liu_delbruck_2019"


def brain() -> Table:
    """Fig. 2: the brain's spike rate from its power."""
    rate = claims.spike_rate()
    cell = printed_cell(_PAPER, "I, Fig. 2", 1.0, 0, "Hz")
    found = Recomputed(
        rate,
        "10 W / (100 fJ x 1e4 x 1e10)",
        why="Power, energy, synapses and neurons give another rate.",
    )
    rows: list[dict[str, Value]] = [
        {"quantity": "mean spike rate", "unit": "Hz", **compared(cell, found)}
    ]
    by_id = {claim.id: claim for claim in all_claims()}
    for key, recompute, quantity in (
        ("liu2019-BRAIN-10k", claims.brain_input_rate, "mean input rate of a neuron"),
        ("liu2019-BRAIN-EFF", claims.brain_efficiency, "efficiency of synaptic events"),
        ("liu2019-FANIN", claims.fan_in, "fan-in of a CNN"),
    ):
        claim = by_id[key]
        rows.append({"quantity": quantity, "unit": claim.unit, **compared(claim, recompute(claim))})
    return Table(
        key="liu_delbruck_2019_fig_2",
        title="Fig. 2 of Liu & Delbruck 2019: sparsity and energy of the human brain",
        columns=(Column("quantity", "quantity"), Column("unit", "unit"), *COMPARISON),
        rows=tuple(rows),
        assumptions=(
            "All power goes into synaptic events of 100 fJ, one per spike and synapse",
            "There are 1e10 neurons, the number that the figure's 1 Hz implies",
        ),
        sources=(_PAPER,),
        notes=("With 8.6e10 neurons, the usual count today, the rate is about 0.1 Hz.",),
    )


def dram() -> Table:
    """Fig. 3: a random row against a burst, for each device."""
    return Table(
        key="liu_delbruck_2019_fig_3",
        title="Fig. 3 of Liu & Delbruck 2019: how much slower and dearer a random DRAM row is",
        columns=(
            Column("device", "device"),
            Column("tck", "tCK", "ns"),
            Column("trc", "tRC", "ns"),
            Column("burst_length", "BL"),
            Column("peak", "rate", "GB/s", digits=3),
            Column("per_beat", "word", "x", digits=3),
            Column("per_burst", "burst", "x", digits=3),
            Column("read", "read", "pJ/bit", digits=3),
            Column("random", "row", "pJ/bit", digits=3),
        ),
        rows=tuple(_dram_row(device) for device in dram_devices()),
        assumptions=(
            "One bank: a new row every tRC, without bank parallelism",
            "Rate is that of the open row; word and burst are the slowdown if one word or the "
            "whole burst of BL words of each row is useful",
            "Read is the energy from the open row, row that with a new row for every burst",
            "Energies come from device currents, without I/O drivers and termination (except the "
            "VDDQ rail of LPDDR4), refresh and standby",
        ),
        sources=(_PAPER, "dram_specifications"),
        notes=("The paper prints 50x for DDR3, from a simulation of a Zynq board (first row).",),
    )


def _dram_row(device: DramDevice) -> dict[str, Value]:
    def pico(energy: float | None) -> float | None:
        return None if energy is None else energy * 1e12

    return {
        "device": device.device,
        "tck": device.tck * 1e9,
        "trc": device.trc * 1e9,
        "burst_length": device.burst_length,
        "peak": device.peak_bytes_per_s / 1e9,
        "per_beat": device.slowdown_per_beat,
        "per_burst": device.slowdown_per_burst,
        "read": pico(device.read_per_bit),
        "random": pico(device.random_burst_per_bit),
    }


def nullhop() -> Table:
    """VI: what core and DRAM add up to, estimated for each DDR3 chip."""
    rows: list[dict[str, Value]] = [
        {
            "device": estimate.device.device,
            "frames": estimate.frames,
            "read": estimate.read_bytes / 1e9,
            "written": estimate.written_bytes / 1e9,
            "core": 1e3 * estimate.core_w,
            "access": 1e3 * estimate.access_w,
            "standby": 1e3 * estimate.standby_w,
            "efficiency": estimate.efficiency / 1e12,
        }
        for estimate in claims.ddr3_estimates()
    ]
    return Table(
        key="liu_delbruck_2019_nullhop",
        title="NullHop with one DDR3 chip on VGG-19, estimated (Liu & Delbruck 2019, VI)",
        columns=(
            Column("device", "DRAM"),
            Column("frames", "frames", "1/s", digits=3),
            Column("read", "read", "GB/s", digits=3),
            Column("written", "written", "GB/s", digits=3),
            Column("core", "core", "mW", digits=3),
            Column("access", "access", "mW", digits=3),
            Column("standby", "standby", "mW", digits=3),
            Column("efficiency", "system", "TOp/s/W", digits=3),
        ),
        rows=tuple(rows),
        assumptions=(
            "Kernels are read once per frame, input maps once per 128 output maps, output maps "
            "written once, all maps compressed with 1 - 1/3.68 zeros",
            "Access and standby are the DRAM's power; the core's 3 TOp/s/W is an input; I/O power "
            "is left out",
        ),
        sources=(_PAPER, "aimar_2018", "dram_specifications"),
        notes=("The paper prints about 1.5 TOp/s/W.",),
    )
