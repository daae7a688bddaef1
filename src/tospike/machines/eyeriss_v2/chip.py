"""``Chip``: what the simulator reads from an architecture file."""

from __future__ import annotations

from dataclasses import dataclass

from tospike.architecture import Architecture
from tospike.errors import RangeError

#: levels that the file must have, from the PEs outwards
LEVELS = ("scratchpad", "psum_buffer", "iact_buffer", "dram")
#: parameters of the file, all whole numbers of at least 1
WHOLE = (
    "cluster_rows",
    "cluster_columns",
    "pe_rows",
    "pe_columns",
    "simd",
    "pipeline_stages",
    "value_bits",
    "count_bits",
    "psum_bits",
    "iact_address_bits",
    "weight_address_bits",
    "iact_window",
    "iact_addresses",
    "weight_pairs",
    "psum_words",
    "iact_routers",
    "iact_port_bits",
    "weight_port_bits",
    "psum_port_bits",
)


@dataclass(frozen=True, slots=True)
class Chip:
    """A hierarchical mesh of clusters of sparse PEs (Chen 2019, Table II and IV-A).

    cluster_rows x cluster_columns clusters of pe_rows x pe_columns PEs with ``simd`` MACs each.
    iact_window, weight_pairs, psum_words : capacity of the scratchpads of a PE, in values;
    iact_addresses : of segments and their end.
    iact_routers : of a cluster; a weight router serves a row of PEs, a psum router a column.
    *_port_bits : what one router passes per cycle. psum_word_cycles : cycles in which a PE adds
    ``simd`` psums of its neighbour to its own. iact_buffer, psum_buffer : bits of the buffers
    of all clusters. dram_bits_per_cycle : None without a limit.
    """

    cluster_rows: int
    cluster_columns: int
    pe_rows: int
    pe_columns: int
    simd: int
    pipeline_stages: int
    value_bits: int
    count_bits: int
    psum_bits: int
    iact_address_bits: int
    weight_address_bits: int
    iact_window: int
    iact_addresses: int
    weight_pairs: int
    psum_words: int
    iact_routers: int
    iact_port_bits: int
    weight_port_bits: int
    psum_port_bits: int
    iact_buffer: float
    psum_buffer: float
    psum_word_cycles: float
    dram_bits_per_cycle: float | None

    @property
    def columns(self) -> int:
        """Columns of PEs of the whole chip."""
        return self.cluster_columns * self.pe_columns

    @property
    def macs(self) -> int:
        """MACs per cycle of the whole chip."""
        return self.cluster_rows * self.pe_rows * self.columns * self.simd


def chip_of(architecture: Architecture) -> Chip:
    """Read an architecture. Raises :class:`UnknownNameError` for a missing parameter or level, and
    :class:`RangeError` with all values that make no chip."""
    for name in LEVELS:
        architecture.level(name)
    values = {name: architecture.parameter(name) for name in WHOLE}
    reasons = [
        f"{name} is {value:g}; a whole number of at least 1 is needed"
        for name, value in values.items()
        if value < 1 or value != int(value)
    ]
    buffers = {}
    for name in ("iact_buffer", "psum_buffer"):
        level = architecture.level(name)
        if level.capacity is None or level.capacity.value <= 0:
            reasons.append(f"level {name!r} has no capacity")
        else:
            buffers[name] = level.capacity.value * 8 * level.instances
    psum_word = architecture.parameter("psum_word_cycles")
    if not 0 <= psum_word < float("inf"):
        reasons.append(f"psum_word_cycles is {psum_word:g}; 0 or more is needed")
    limit = None
    if "dram_bandwidth" in architecture.parameters:
        rate = architecture.parameter("dram_bandwidth")
        limit = rate * 8 / architecture.clock.value
        if rate <= 0:
            reasons.append(f"dram_bandwidth is {rate:g}; leave it out for no limit")
    if not reasons:
        whole = {name: int(value) for name, value in values.items()}
        chip = Chip(
            **whole,
            iact_buffer=buffers["iact_buffer"],
            psum_buffer=buffers["psum_buffer"],
            psum_word_cycles=psum_word,
            dram_bits_per_cycle=limit,
        )
        if chip.macs == architecture.n_pe:
            return chip
        reasons.append(
            f"n_pe is {architecture.n_pe}; clusters x PEs x simd (its multipliers) are {chip.macs}"
        )
    raise RangeError(
        "build a chip of sparse PEs",
        where=f"architecture {architecture.name!r}",
        fix="mend the architecture file",
        reasons=reasons,
    )
