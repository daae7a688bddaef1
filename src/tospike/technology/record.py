"""``Technology``: WHAT one action costs. A frozen record; pricing is in ``tospike.pricing``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from tospike.constant import Constant

#: (component, action, bits). Actions of memories are per access of ``bits``; see ``per_bit``.
PriceKey = tuple[str, str, int]

#: how the SRAM energy goes between and beyond the printed capacities, see ``technology.lookup``
SramRule = Literal["log_log", "linear", "linear_from_zero", "linear_from_zero_clamped"]


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
        interpolated on the curve itself, never as a ratio.
    sram_rule : how it is interpolated: "log_log" (last slope followed outside), "linear" (the
        same with straight lines), "linear_from_zero" (straight lines, the first from no energy
        at no capacity), "linear_from_zero_clamped" (the same, constant above the last point).
    gated_fraction : Constant, energy of a gated action relative to the full one.
    relative : True if the source prints energies in units of one MAC. They are stored here in
        joule all the same, times ``mac_joule``: a convention, so only ratios of costs are
        evidence.
    notes : sentences that a result priced with this technology must carry.
    mac_joule : Constant, energy of one MAC that a relative table is multiplied with.
    drivers : (component, action) -> name of the constant behind the price
        ("horowitz_2014_45nm:int_add"). Prices with the same driver rise and fall together.
    ranges : driver -> (low, high) relative to the nominal value.
    sram_driver : driver of every price taken from ``sram_curve``.
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
    mac_joule: Constant | None = None
    drivers: Mapping[tuple[str, str], str] = field(default_factory=dict)
    ranges: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    sram_driver: str = ""
    sram_rule: SramRule = "log_log"
