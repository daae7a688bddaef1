"""Energies of chips moved to one process node, where the rule for it holds.

The rule is :func:`tospike.technology.scaling.scaling_factor` (Stillmaker & Baas 2017: dynamic
energy of logic, 130 to 7 nm), with the nominal supply at both ends: a chip that runs below the
nominal supply of its node keeps that advantage. Everything the rule does not speak of is refused.
"""

from __future__ import annotations

from dataclasses import dataclass

from tospike.errors import RangeError
from tospike.survey.record import Accelerator
from tospike.technology.scaling import scaling_factor

#: below this power most of it is static (Ottati 2023, section V-B); the rule is of dynamic energy
STATIC_POWER_W = 100e-6

#: range of the scaling rule
NODES_NM = (7, 130)

CAVEATS = (
    "scaled with the dynamic energy of logic (Stillmaker & Baas 2017) at nominal supplies: SRAM "
    "and wires scale less well, DRAM not at all",
)


@dataclass(frozen=True, slots=True)
class Scaling:
    """Factor on the energy of a chip, or None with the ``reason``."""

    factor: float | None
    reason: str = ""


def check_node(node_nm: float) -> None:
    """Raise :class:`RangeError` for a target node outside of the rule's range."""
    if not NODES_NM[0] <= node_nm <= NODES_NM[1]:
        raise RangeError(
            f"normalise energies to {node_nm:g} nm",
            allowed=f"{NODES_NM[0]} to {NODES_NM[1]} nm, the range of the scaling rule",
            fix="choose a node in this range, such as 28 nm",
        )


def normalise_to(chip: Accelerator, node_nm: float) -> Scaling:
    """Factor that moves the energy of ``chip`` to ``node_nm``; exactly 1.0 for the same node.

    Refused, with the reason: FPGAs, analog and in-memory computing, chips without a printed
    process, and processes outside of 7 to 130 nm. Raises :class:`RangeError` for a target there.
    """
    check_node(node_nm)
    if chip.platform == "fpga":
        return Scaling(None, "an FPGA is not scaled")
    if chip.compute != "digital":
        return Scaling(
            None, f"{chip.compute.replace('_', '-')} computing does not scale like logic"
        )
    if chip.process_nm is None:
        return Scaling(None, "no process node is printed")
    try:
        return Scaling(scaling_factor(from_node_nm=chip.process_nm, to_node_nm=node_nm))
    except RangeError:
        return Scaling(None, f"{chip.process_nm:g} nm is outside of the rule's 7 to 130 nm")


def mostly_static(chip: Accelerator) -> bool:
    """True where the printed power is so low that most of it is static (Ottati 2023, V-B)."""
    return chip.power_w is not None and chip.power_w < STATIC_POWER_W
