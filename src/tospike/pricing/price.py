"""``price``: action counts times a technology, with ranges, drivers and assumptions."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from tospike.actions import ActionCounts, Entry
from tospike.errors import RangeError, TechnologyError
from tospike.pricing.cost import Array, Cost, CostPart
from tospike.technology import Lookup, Technology, alu_energy, load, memory_energy, sram_energy

_GATED = "_gated"
_ON_CHIP = ("sram", "pe_sram")


@dataclass(frozen=True, slots=True)
class _UnitPrice:
    """Energy of one action in joule and the constants whose product it is."""

    energy: float
    drivers: tuple[str, ...]
    assumptions: tuple[str, ...] = ()
    out_of_range: tuple[str, ...] = ()


def price(
    counts: ActionCounts,
    technology: str | Technology,
    *,
    sram_bytes: float | None = None,
    static_power_w: float | None = None,
) -> Cost:
    """Energy of one inference in joule: the sum of count x unit price over all entries.

    Parameters
    ----------
    counts : one design point or arrays of any broadcastable shape.
    technology : name, path of a YAML file, or :class:`Technology`.
    sram_bytes : capacity of the distant on-chip memory in byte, for entries that state none;
        None uses the technology's reference capacity.
    static_power_w : power in watt for ``static.second``, in place of the technology's leakage.

    ``Cost.low`` and ``Cost.high`` hold every constant at that end of its range at once.
    Raises :class:`UnknownNameError` for an unknown technology and :class:`TechnologyError` with
    every (component, action, bits) that the technology cannot price.
    """
    table = technology if isinstance(technology, Technology) else load(technology)
    _check_positive(sram_bytes=sram_bytes, static_power_w=static_power_w)
    prices: dict[tuple[str, str, int, float | None], _UnitPrice] = {}
    missing: dict[str, None] = {}
    for entry in counts:
        key = _key(entry)
        if key in prices:
            continue
        unit = _unit_price(entry, table, sram_bytes, static_power_w)
        if unit is None:
            missing[f"({entry.component}, {entry.action}, {entry.bits} bit)"] = None
        else:
            prices[key] = unit
    if missing:
        raise _missing(counts, table, list(missing))
    parts = tuple(_part(entry, prices[_key(entry)], table) for entry in counts)
    used = list(prices.values())
    drivers = dict.fromkeys(driver for unit in used for driver in unit.drivers)
    shape = counts.shape if counts.entries else ()
    return Cost(
        energy=_total([part.energy for part in parts], shape),
        low=_total([part.low for part in parts], shape),
        high=_total([part.high for part in parts], shape),
        parts=parts,
        technology=table.name,
        model=counts.model,
        drivers={driver: table.ranges.get(driver, (1.0, 1.0)) for driver in drivers},
        assumptions=_sentences(
            [*counts.assumptions, *table.notes], [unit.assumptions for unit in used]
        ),
        out_of_range=_sentences([*counts.out_of_range], [unit.out_of_range for unit in used]),
        sources=tuple(dict.fromkeys((*counts.sources, *table.sources))),
    )


def _missing(counts: ActionCounts, table: Technology, actions: list[str]) -> TechnologyError:
    return TechnologyError(
        f"price the counts of {counts.model or 'a model'} with {table.name!r}",
        received=f"{len(actions)} action(s) without a price",
        where=f"technology {table.name!r}",
        allowed=_allowed(table),
        fix="choose a technology that prices them, or leave out the term that counts them",
        reasons=actions,
    )


def priceable(
    counts: ActionCounts, technology: str | Technology, *, static_power_w: float | None = None
) -> bool:
    """True if the technology (or the given static power) prices every action in the counts."""
    table = technology if isinstance(technology, Technology) else load(technology)
    return all(_unit_price(entry, table, None, static_power_w) is not None for entry in counts)


def _key(entry: Entry) -> tuple[str, str, int, float | None]:
    return entry.component, entry.action, entry.bits, entry.capacity_bytes


def _unit_price(
    entry: Entry, table: Technology, sram_bytes: float | None, static_power_w: float | None
) -> _UnitPrice | None:
    action = entry.action.removesuffix(_GATED)
    if entry.component == "static":
        return _static_price(table, static_power_w)
    if entry.component == "alu":
        found = alu_energy(table, action, entry.bits)
    elif entry.component in _ON_CHIP:
        return _gate(entry, _sram_price(entry, action, table, sram_bytes), table)
    else:
        found = memory_energy(table, entry.component, action, entry.bits)
    return _gate(entry, None if found is None else _unit(found), table)


def _sram_price(
    entry: Entry, action: str, table: Technology, sram_bytes: float | None
) -> _UnitPrice | None:
    asked = entry.capacity_bytes
    if asked is None and entry.component == "sram":
        asked = sram_bytes
    flat = memory_energy(table, entry.component, action, entry.bits)
    if flat is not None:
        unit = _unit(flat)
        if asked is None:
            return unit
        sentence = f"{table.name} prints one SRAM price; the capacity is not taken into account"
        return _UnitPrice(unit.energy, unit.drivers, (*unit.assumptions, sentence))
    if not table.sram_curve:
        return None
    capacity = table.sram_reference_bytes if asked is None else asked
    found = sram_energy(table, capacity)
    share = entry.bits / table.sram_curve_bits
    return _UnitPrice(
        found.energy * share,
        (found.driver,),
        (
            f"{table.name}: an SRAM access of b bits costs b/{table.sram_curve_bits} of a "
            f"{table.sram_curve_bits}-bit access, and a write as much as a read",
        ),
        (found.out_of_range,) if found.out_of_range else (),
    )


def _static_price(table: Technology, static_power_w: float | None) -> _UnitPrice | None:
    if static_power_w is not None:
        return _UnitPrice(
            static_power_w, (), (f"static power of {static_power_w:g} W was given by the user",)
        )
    if table.leakage_w is None:
        return None
    return _UnitPrice(table.leakage_w.value, (f"{table.name}:leakage",))


def _gate(entry: Entry, unit: _UnitPrice | None, table: Technology) -> _UnitPrice | None:
    if unit is None or not entry.action.endswith(_GATED):
        return unit
    if table.gated_fraction is None:
        return None
    driver = next((name for name in table.ranges if name.endswith(":gated_fraction")), "")
    return _UnitPrice(
        unit.energy * table.gated_fraction.value,
        (*unit.drivers, driver) if driver else unit.drivers,
        unit.assumptions,
        unit.out_of_range,
    )


def _unit(found: Lookup) -> _UnitPrice:
    return _UnitPrice(
        found.energy,
        (found.driver,),
        (found.assumption,) if found.assumption else (),
        (found.out_of_range,) if found.out_of_range else (),
    )


def _part(entry: Entry, unit: _UnitPrice, table: Technology) -> CostPart:
    ends = [table.ranges.get(driver, (1.0, 1.0)) for driver in unit.drivers]
    energy = entry.count * unit.energy
    return CostPart(
        layer=entry.layer,
        component=entry.component,
        action=entry.action,
        datatype=entry.datatype,
        part=entry.part,
        energy=energy,
        low=energy * math.prod(low for low, _ in ends),
        high=energy * math.prod(high for _, high in ends),
        drivers=unit.drivers,
    )


def _total(energies: list[Array], shape: tuple[int, ...]) -> Array:
    total: Array = np.zeros(shape)
    for energy in energies:
        total += energy  # in place: a million design points need one buffer, not one per entry
    return total


def _sentences(first: list[str], more: list[tuple[str, ...]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys([*first, *(text for texts in more for text in texts)]))


def _check_positive(**values: float | None) -> None:
    reasons = [
        f"{name} is {value!r}"
        for name, value in values.items()
        if value is not None and not (math.isfinite(value) and value > 0)
    ]
    if reasons:
        raise RangeError(
            "price the counts",
            allowed="finite numbers above 0",
            fix="leave the argument out for the technology's own value",
            reasons=reasons,
        )


def _allowed(table: Technology) -> str:
    priced = {f"{component}.{action}" for component, action, _ in table.energies}
    if table.sram_curve:
        priced |= {"sram.read", "sram.write", "pe_sram.read", "pe_sram.write"}
    if table.leakage_w is not None:
        priced.add("static.second")
    return ", ".join(sorted(priced))
