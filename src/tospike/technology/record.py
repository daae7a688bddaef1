"""``Technology``: WHAT one action costs. A frozen record; pricing is in ``tospike.pricing``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tospike.constant import Constant

#: (component, action, bits). Actions of memories are per access of ``bits``; see ``per_bit``.
PriceKey = tuple[str, str, int]


@dataclass(frozen=True, slots=True)
class Technology:
    """Energy reference table of one source at one node.

    Attributes
    ----------
    name : file name without extension ("horowitz_2014_45nm").
    title : one line for people.
    node_nm, supply_v : process node and supply (None where the source does not say).
    energies : (component, action, bits) -> Constant in joule per action of that width. Widths
        not listed are interpolated or scaled by the stated rule ``width_rule``.
    sram_curve : capacity in byte -> Constant in joule per access of ``sram_curve_bits``;
        interpolated on the curve itself (log-log), never as a ratio.
    gated_fraction : Constant, energy of a gated action relative to the full one.
    relative : True if energies are in units of one MAC (then joules are not absolute and
        ``mac_joule`` scales them).
    notes : sentences that a result priced with this technology must carry.
    """

    name: str
    title: str
    node_nm: float | None
    supply_v: float | None
    energies: Mapping[PriceKey, Constant]
    sram_curve: Mapping[float, Constant] = field(default_factory=dict)
    sram_curve_bits: int = 64
    sram_reference_bytes: float = 8192.0
    gated_fraction: Constant | None = None
    leakage_w: Constant | None = None
    relative: bool = False
    notes: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
