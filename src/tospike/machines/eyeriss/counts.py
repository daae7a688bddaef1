"""Actions of one layer, for the whole batch, and bytes by memory level."""

from __future__ import annotations

from dataclasses import dataclass

from tospike.actions import Entry, count
from tospike.machines.eyeriss.chip import Chip
from tospike.machines.eyeriss.memory import OffChip
from tospike.machines.eyeriss.passes import Work
from tospike.machines.record import Traffic


@dataclass(frozen=True, slots=True)
class Counted:
    """What is needed to count a layer. gated : share of MACs with a zero input."""

    name: str
    work: Work
    traffic: OffChip
    seconds: float
    gated: float


def entries(layer: Counted, chip: Chip) -> list[Entry]:
    """All actions. DRAM accesses are left out where the DRAM is simulated by command."""
    work, name, bits = layer.work, layer.name, chip.word_bits
    adds = work.psum_hops  # every PE of a chain adds the psum that comes in
    found = [
        *_gated(name, "alu", "mac", "none", work.macs, layer.gated, bits),
        count(name, "alu", "add", "psum", adds, bits=bits),
        *_gated(name, "register", "read", "iact", work.macs, layer.gated, bits),
        *_gated(name, "pe_sram", "read", "weight", work.macs, layer.gated, bits),
        *_gated(name, "register", "read", "psum", work.macs, layer.gated, bits),
        *_gated(name, "register", "write", "psum", work.macs, layer.gated, bits),
        count(name, "register", "read", "psum", adds, bits=bits),
        count(name, "register", "write", "psum", adds, bits=bits),
        count(name, "register", "write", "iact", work.ifmap_deliveries, bits=bits),
        count(name, "pe_sram", "write", "weight", work.filter_deliveries, bits=bits),
        count(name, "noc", "hop", "iact", work.ifmap_deliveries, bits=bits),
        count(name, "noc", "hop", "weight", work.filter_deliveries, bits=bits),
        count(name, "noc", "hop", "psum", adds + work.psum_writes, bits=bits),
        count(name, "sram", "read", "iact", work.ifmap_reads, bits=bits),
        count(name, "sram", "read", "weight", work.filter_reads, bits=bits),
        count(name, "sram", "read", "psum", work.psum_writes, bits=bits),
        count(name, "sram", "write", "psum", work.psum_writes, bits=bits),
        count(name, "sram", "write", "iact", layer.traffic.ifmap_values, bits=bits),
        count(name, "sram", "write", "weight", layer.traffic.filter_values, bits=bits),
        count(name, "static", "second", "none", layer.seconds, bits=1, part="static"),
    ]
    if chip.dram is None:
        found += [
            _dram(name, "read", "iact", layer.traffic.ifmap, chip),
            _dram(name, "read", "weight", layer.traffic.filters, chip),
            _dram(name, "write", "oact", layer.traffic.ofmap, chip),
        ]
    return found


def levels(layer: Counted, chip: Chip) -> dict[str, Traffic]:
    """Bytes read and written, by level of the architecture.

    The buffers are written from the DRAM and from the array, and read by the array and, at the end
    of a layer, by the DRAM. Gated reads of the scratchpads are not reads.
    """
    work, traffic, word = layer.work, layer.traffic, chip.word
    done = work.macs * (1 - layer.gated)
    psums = work.psum_hops
    return {
        "ifmap_spad": Traffic(word * done, word * work.ifmap_deliveries),
        "filter_spad": Traffic(word * done, word * work.filter_deliveries),
        "psum_spad": Traffic(word * (done + psums), word * (done + psums)),
        "filter_glb": Traffic(word * work.filter_reads, word * traffic.filter_values),
        "glb": Traffic(
            word * (work.ifmap_reads + work.psum_writes),
            word * (work.psum_writes + traffic.ifmap_values),
        ),
        "dram": Traffic(float(traffic.read), float(traffic.ofmap)),
    }


def _gated(
    name: str, component: str, action: str, datatype: str, number: float, gated: float, bits: int
) -> list[Entry]:
    """Split by the share of zero inputs, whose action is started and suppressed."""
    parts = [count(name, component, action, datatype, number * (1 - gated), bits=bits)]
    if gated:
        parts.append(count(name, component, f"{action}_gated", datatype, number * gated, bits=bits))
    return parts


def _dram(name: str, action: str, datatype: str, size: float, chip: Chip) -> Entry:
    return count(name, "dram", action, datatype, size / chip.word, bits=chip.word_bits)
