"""``Chip``: what the simulator reads from an architecture file, checked once."""

from __future__ import annotations

from dataclasses import dataclass

from tospike.architecture import Architecture, MemoryLevel
from tospike.errors import RangeError
from tospike.machines.dram import DramSystem
from tospike.machines.eyeriss.rlc import Rlc
from tospike.technology.dram import load_device

#: levels that the file must have, from the PEs outwards
LEVELS = ("ifmap_spad", "filter_spad", "psum_spad", "filter_glb", "glb", "dram")
#: parameters that are whole numbers
_COUNTS = (
    "array_rows", "array_columns", "word_bits", "p_max", "q_max", "r_max", "row_outputs_max",
    "images_at_once", "ifmap_bus_bits", "filter_bus_bits", "psum_bus_bits", "link_bits",
    "rlc_run_bits", "rlc_level_bits", "rlc_pairs", "rlc_word_bits", "dma_bytes",
)  # fmt: skip
#: parameters in [0, 1]
_SHARES = ("utilisation_floor", "planned_zero_fraction", "pooled_zero_exponent")
#: parameters from 0 on
_PLAIN = ("ramp_up_cycles", "psum_add_cycles", "glb_reserve", "dram_slack")


@dataclass(frozen=True, slots=True)
class Chip:
    """A row-stationary chip in the units of the simulator.

    rows, columns : of the PE array. word : bytes of one value. *_words : capacity of the
    scratchpads of one PE. glb, filter_glb, reserve : bytes. *_bus : values per cycle.
    link : bytes per core cycle between chip and DRAM. Everything else as in the file.
    """

    rows: int
    columns: int
    word: float
    word_bits: int
    ifmap_words: int
    filter_words: int
    psum_words: int
    p_max: int
    q_max: int
    r_max: int
    row_outputs_max: int
    images_at_once: int
    glb: float
    filter_glb: float
    reserve: float
    ifmap_bus: float
    filter_bus: float
    psum_bus: float
    link: float
    dma_bytes: int
    clock: float
    rlc: Rlc
    ramp_up: int
    psum_add: int
    utilisation_floor: float
    planned_zeros: float
    pooled_exponent: float
    dram_slack: float
    gated: bool
    dram: DramSystem | None


def chip_of(architecture: Architecture) -> Chip:
    """Read and check an architecture.

    Raises :class:`UnknownNameError` for a missing level or parameter and :class:`RangeError` with
    every number that makes no sense.
    """
    levels = {name: architecture.level(name) for name in LEVELS}
    counts = {name: architecture.parameter(name) for name in _COUNTS}
    shares = {name: architecture.parameter(name) for name in _SHARES}
    plain = {name: architecture.parameter(name) for name in _PLAIN}
    link_clock = architecture.parameter("link_clock")
    reasons = _faults(architecture, levels, counts, shares, plain, link_clock)
    if reasons:
        raise RangeError(
            f"simulate the row-stationary chip {architecture.name!r}",
            where=f"architecture {architecture.name!r}",
            fix="mend the listed entries of the architecture file",
            reasons=reasons,
        )
    whole = {name: int(value) for name, value in counts.items()}
    word = whole["word_bits"] / 8
    size = {name: _bytes(level) for name, level in levels.items()}
    clock = architecture.clock.value
    device = levels["dram"].device
    return Chip(
        rows=whole["array_rows"],
        columns=whole["array_columns"],
        word=word,
        word_bits=whole["word_bits"],
        ifmap_words=int(size["ifmap_spad"] // word),
        filter_words=int(size["filter_spad"] // word),
        psum_words=int(size["psum_spad"] // word),
        p_max=whole["p_max"],
        q_max=whole["q_max"],
        r_max=whole["r_max"],
        row_outputs_max=whole["row_outputs_max"],
        images_at_once=whole["images_at_once"],
        glb=size["glb"],
        filter_glb=size["filter_glb"],
        reserve=plain["glb_reserve"],
        ifmap_bus=whole["ifmap_bus_bits"] / whole["word_bits"],
        filter_bus=whole["filter_bus_bits"] / whole["word_bits"],
        psum_bus=whole["psum_bus_bits"] / whole["word_bits"],
        link=whole["link_bits"] / 8 * link_clock / clock,
        dma_bytes=whole["dma_bytes"],
        clock=clock,
        rlc=Rlc(*(whole[f"rlc_{key}"] for key in ("run_bits", "level_bits", "pairs", "word_bits"))),
        ramp_up=round(plain["ramp_up_cycles"]),
        psum_add=round(plain["psum_add_cycles"]),
        utilisation_floor=shares["utilisation_floor"],
        planned_zeros=shares["planned_zero_fraction"],
        pooled_exponent=shares["pooled_zero_exponent"],
        dram_slack=plain["dram_slack"],
        gated=architecture.zero_handling.get("activation", "none") == "gate",
        dram=None
        if device is None
        else DramSystem(load_device(device), chips=levels["dram"].chips),
    )


def _bytes(level: MemoryLevel) -> float:
    return level.capacity.value if level.capacity is not None else 0.0


def _faults(
    architecture: Architecture,
    levels: dict[str, MemoryLevel],
    counts: dict[str, float],
    shares: dict[str, float],
    plain: dict[str, float],
    link_clock: float,
) -> list[str]:
    """What makes no sense, one sentence each."""
    reasons = [
        f"parameter {name!r} is {value:g}; a whole number from 1 on is needed"
        for name, value in counts.items()
        if value < 1 or value != int(value)
    ]
    reasons += [
        f"parameter {name!r} is {value:g}; 0 to 1 is needed"
        for name, value in shares.items()
        if not 0 <= value <= 1
    ]
    reasons += [
        f"parameter {name!r} is {value:g}; 0 or more is needed"
        for name, value in plain.items()
        if value < 0
    ]
    if plain["dram_slack"] < 1:
        reasons.append(f"parameter 'dram_slack' is {plain['dram_slack']:g}; 1 or more is needed")
    if link_clock <= 0:
        reasons.append("parameter 'link_clock' is not above 0")
    reasons += [
        f"level {name!r} has no capacity; the mapping is bounded by it"
        for name, level in levels.items()
        if name != "dram" and level.capacity is None
    ]
    bits = counts["word_bits"]
    reasons += [
        f"level {name!r} holds less than one value of {bits:g} bit"
        for name, level in levels.items()
        if level.capacity is not None and level.capacity.value * 8 < bits
    ]
    size = counts["array_rows"] * counts["array_columns"]
    if size != architecture.n_pe:
        reasons.append(
            f"n_pe is {architecture.n_pe}, array_rows x array_columns is "
            f"{counts['array_rows']:g} x {counts['array_columns']:g}"
        )
    used = counts["rlc_pairs"] * (counts["rlc_run_bits"] + counts["rlc_level_bits"]) + 1
    if not used <= counts["rlc_word_bits"] <= 64:
        reasons.append(
            f"rlc_pairs, run and level bits and one end bit take {used:g} bit of "
            f"rlc_word_bits = {counts['rlc_word_bits']:g} (64 at most)"
        )
    handling = dict(architecture.zero_handling)
    if handling.get("activation") == "skip" or handling.get("weight", "none") != "none":
        reasons.append(
            "zero_handling: this machine gates zero activations at most; 'skip', and weights that "
            "are zero, need machine 'row_stationary_sparse'"
        )
    return reasons
