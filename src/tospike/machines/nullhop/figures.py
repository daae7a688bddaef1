"""``figures``: what NullHop's paper prints, of a simulated run."""

from __future__ import annotations

from dataclasses import dataclass

from tospike.machines.energy import price_run
from tospike.machines.record import MachineRun
from tospike.technology import Technology

_OP = 2  # Op per MAC


@dataclass(frozen=True, slots=True)
class Figures:
    """Of a whole run; Op count the dense network, skipped or not.

    effective_ops : Op/s. efficiency : over the peak of the MACs; 3.68 is printed as 368 %.
    utilisation : executed MACs over the slots of all MACs in all cycles; computing : the same
    without the cycles in which kernels are loaded.
    frames_per_s : inferences. dram_bytes : per inference. core_w, dram_w : mean power.
    core_ops_w, system_ops_w : Op/s/W without and with DRAM. dram_share : of the energy.
    """

    effective_ops: float
    efficiency: float
    utilisation: float
    computing: float
    frames_per_s: float
    dram_bytes: float
    core_w: float
    dram_w: float
    core_ops_w: float
    system_ops_w: float
    dram_share: float


def figures(run: MachineRun, technology: str | Technology | None = None) -> Figures:
    """The figures of a run; ``technology`` None takes the architecture's own.

    Raises what :func:`tospike.machines.price_run` raises.
    """
    energy = price_run(run, technology)
    dram = energy.components.get("dram", 0.0)
    core = energy.total - dram
    chip, seconds = run.architecture, run.latency
    slots = float(chip.n_pe) * run.cycles
    loading = sum(layer.stalls.get("kernel_load", 0) for layer in run.layers)
    operations = float(sum(layer.operations for layer in run.layers))
    level = next(level.name for level in chip.levels if level.component == "dram")
    moved = sum(layer.bytes[level].total for layer in run.layers)
    return Figures(
        effective_ops=run.effective_ops,
        efficiency=run.effective_ops / (_OP * chip.n_pe * chip.clock.value),
        utilisation=operations / slots,
        computing=operations / (chip.n_pe * float(run.cycles - loading)),
        frames_per_s=run.batch / seconds,
        dram_bytes=moved / run.batch,
        core_w=core / seconds,
        dram_w=dram / seconds,
        core_ops_w=_OP * run.macs / core,
        system_ops_w=_OP * run.macs / energy.total,
        dram_share=dram / energy.total,
    )
