"""``Chip``: what the simulator reads from an architecture file, checked as a whole."""

from __future__ import annotations

from dataclasses import dataclass

from tospike.architecture import Architecture, MemoryLevel
from tospike.errors import TechnologyError
from tospike.machines.dram import DramSystem
from tospike.machines.nullhop.codec import GROUP
from tospike.technology.dram import load_device

#: parameter -> (smallest, largest) whole number
_WHOLE: dict[str, tuple[int, int]] = {
    "macs_per_cluster": (1, 1_000_000),
    "max_kernel": (1, 4096),
    "stripe_rows": (2, 64),
    "fused_pool": (1, 16),
    "native_stride": (0, 1),
    "kernel_overlap": (0, 1),
    "dma_bytes": (16, 1 << 20),
}
#: parameters that are rates: more than 0
_RATES = ("input_values_per_cycle", "output_values_per_cycle", "decode_words_per_cycle")


@dataclass(frozen=True, slots=True)
class Chip:
    """The machine in whole numbers.

    clusters : of ``n_pe / clusters`` MACs; as many controllers. kernel_words : 16-bit weights
        that the memory of one MAC holds for one pass. input_words : of the input memory.
    max_kernel : side of the largest kernel. stripe_rows : output rows computed at once.
    fused_pool : side of the pooling window behind the MACs.
    native_stride : False: a stride is computed at stride 1 and thinned out by the host.
    kernel_overlap : kernels of the next pass are loaded during this one, into the other half of
        the kernel memory.
    input_rate, output_rate : values per cycle through the two ports; decode_rate : words of one
        row that its decoder reads per cycle.
    """

    n_pe: int
    clusters: int
    kernel_words: int
    input_words: int
    max_kernel: int
    stripe_rows: int
    fused_pool: int
    native_stride: bool
    kernel_overlap: bool
    input_rate: float
    output_rate: float
    decode_rate: float
    dma_bytes: int
    clock: float
    dram: DramSystem
    kernel_level: MemoryLevel
    input_level: MemoryLevel
    dram_level: MemoryLevel


def read_chip(architecture: Architecture) -> Chip:
    """The chip of an architecture file; raises :class:`TechnologyError` with every fault."""
    reasons: list[str] = []
    levels = {
        component: _level(architecture, component, reasons)
        for component in ("pe_sram", "sram", "dram")
    }
    found = {name: _whole(architecture, name, limits, reasons) for name, limits in _WHOLE.items()}
    rates = {name: _rate(architecture, name, reasons) for name in _RATES}
    clusters, rest = divmod(architecture.n_pe, found["macs_per_cluster"])
    if rest or not clusters:
        reasons.append(
            f"n_pe is {architecture.n_pe}: no whole number of clusters of "
            f"{found['macs_per_cluster']} MACs (macs_per_cluster)"
        )
    if found["stripe_rows"] % found["fused_pool"]:
        reasons.append(
            f"stripe_rows is {found['stripe_rows']}: no multiple of fused_pool, "
            f"{found['fused_pool']}, so that a pooling window would span two stripes"
        )
    handling = dict(architecture.zero_handling)
    if handling.get("activation") != "skip" or handling.get("weight", "none") != "none":
        reasons.append(
            "zero_handling: this machine skips zero activations and takes all weights; activation "
            "'skip' and weight 'none' are needed"
        )
    kernel, inputs, dram = levels["pe_sram"], levels["sram"], levels["dram"]
    if dram is not None and dram.device is None:
        reasons.append(f"level {dram.name!r} of component dram names no device")
    if reasons or kernel is None or inputs is None or dram is None or dram.device is None:
        raise TechnologyError(
            "simulate a NullHop-type machine",
            where=f"architecture {architecture.name!r}",
            allowed="the levels and parameters of the packaged nullhop.yaml",
            fix="start from nullhop.yaml and change its numbers",
            reasons=reasons,
        )
    halves = 2 if found["kernel_overlap"] else 1
    return Chip(
        n_pe=architecture.n_pe,
        clusters=clusters,
        kernel_words=_words(kernel) // halves,
        input_words=_words(inputs),
        max_kernel=found["max_kernel"],
        stripe_rows=found["stripe_rows"],
        fused_pool=found["fused_pool"],
        native_stride=bool(found["native_stride"]),
        kernel_overlap=bool(found["kernel_overlap"]),
        input_rate=rates["input_values_per_cycle"],
        output_rate=rates["output_values_per_cycle"],
        decode_rate=rates["decode_words_per_cycle"],
        dma_bytes=found["dma_bytes"],
        clock=architecture.clock.value,
        dram=DramSystem(load_device(dram.device), chips=dram.chips),
        kernel_level=kernel,
        input_level=inputs,
        dram_level=dram,
    )


def _words(level: MemoryLevel) -> int:
    """16-bit words of one instance; a capacity is there: ``_level`` has seen it."""
    return 0 if level.capacity is None else int(level.capacity.value) // 2


def _level(architecture: Architecture, component: str, reasons: list[str]) -> MemoryLevel | None:
    found = [level for level in architecture.levels if level.component == component]
    if len(found) != 1:
        reasons.append(f"{len(found)} levels of component {component}; one is needed")
        return None
    level = found[0]
    if component != "dram" and (level.capacity is None or _words(level) < 1):
        reasons.append(f"level {level.name!r} needs a capacity of at least 2 byte")
    if component != "dram" and level.bits != GROUP:
        reasons.append(
            f"level {level.name!r} has {level.bits} bits; values, weights and the words of the "
            f"format have {GROUP} on this machine"
        )
    return level


def _whole(
    architecture: Architecture, name: str, limits: tuple[int, int], reasons: list[str]
) -> int:
    low, high = limits
    if name not in architecture.parameters:
        reasons.append(f"parameters.{name} is missing")
        return low
    value = architecture.parameters[name].value
    if value != int(value) or not low <= value <= high:
        allowed = str(low) if low == high else f"a whole number from {low} to {high}"
        reasons.append(f"parameters.{name} is {value:g}; {allowed} is needed")
        return low
    return int(value)


def _rate(architecture: Architecture, name: str, reasons: list[str]) -> float:
    if name not in architecture.parameters:
        reasons.append(f"parameters.{name} is missing")
        return 1.0
    value = architecture.parameters[name].value
    if not 0 < value < float("inf"):
        reasons.append(f"parameters.{name} is {value:g}; more than 0 is needed")
        return 1.0
    return value
