"""Another process node: dynamic energy scaled with the polynomials of Stillmaker & Baas 2017.

Rule: the energy of one switching gate is E(node, V) = a V^2 + b V + c, with one (a, b, c) per
node; an on-chip energy is multiplied by E(to, V_to) / E(from, V_from). Between tabulated nodes
log E is interpolated linearly over log node. Same node and same supply: the technology itself,
unchanged.

Range of validity: 130 to 7 nm. The polynomials describe logic (inverters); SRAM and wires have
improved less since 28 nm, so scaled SRAM energies are optimistic below it. DRAM is another chip
and is not scaled. Leakage power does not follow this rule and is dropped.

Reference: A. Stillmaker, B. Baas, Integration 58 (2017) 74-81. The coefficients were taken from
a public implementation, not from the article itself.
"""

from __future__ import annotations

import math
from dataclasses import replace

from tospike.constant import Constant
from tospike.errors import RangeError, TechnologyError
from tospike.technology.record import Technology

#: node in nm -> (a, b, c) of the energy polynomial in V, arbitrary energy unit
_POLYNOMIAL: dict[float, tuple[float, float, float]] = {
    130: (7.171, -6.709, 2.904),
    90: (4.762, -4.781, 2.092),
    65: (3.755, -4.398, 1.975),
    45: (1.103, -0.362, 0.2767),
    32: (0.9559, -0.7823, 0.471),
    20: (0.373, -0.1582, 0.04104),
    16: (0.2958, -0.1241, 0.03024),
    14: (0.2363, -0.09675, 0.02239),
    10: (0.2068, -0.09311, 0.02375),
    7: (0.1776, -0.09097, 0.02447),
}
#: node in nm -> nominal supply in V (high-performance predictive technology models; recalled)
_NOMINAL_V: dict[float, float] = {
    130: 1.3,
    90: 1.2,
    65: 1.1,
    45: 1.0,
    32: 0.9,
    20: 0.9,
    16: 0.85,
    14: 0.8,
    10: 0.75,
    7: 0.7,
}
_OFF_CHIP = frozenset({"dram"})


def scaling_factor(
    *,
    from_node_nm: float,
    to_node_nm: float,
    from_supply_v: float | None = None,
    to_supply_v: float | None = None,
) -> float:
    """Factor on an on-chip dynamic energy; supplies in volt, None: nominal of the node.

    Exactly 1.0 for the same node and supply. Raises :class:`RangeError` outside of 7..130 nm or
    of supplies 0.5..1.5 V.
    """
    reasons = [
        f"node {node:g} nm is outside of 7 to 130 nm"
        for node in (from_node_nm, to_node_nm)
        if not 7 <= node <= 130
    ]
    reasons += [
        f"supply {supply:g} V is outside of 0.5 to 1.5 V"
        for supply in (from_supply_v, to_supply_v)
        if supply is not None and not 0.5 <= supply <= 1.5
    ]
    if reasons:
        raise RangeError(
            "scale an energy between process nodes",
            allowed="7 to 130 nm and 0.5 to 1.5 V",
            fix="use a technology file of the node itself",
            reasons=reasons,
        )
    if from_node_nm == to_node_nm and from_supply_v == to_supply_v:
        return 1.0
    return _energy(to_node_nm, to_supply_v) / _energy(from_node_nm, from_supply_v)


def scale(
    technology: Technology, to_node_nm: float, *, to_supply_v: float | None = None
) -> Technology:
    """The technology moved to another node; on-chip energies only (see the module).

    ``to_supply_v`` None keeps both ends at their nominal supply. The very same node (and
    supply, if given) returns the same object. Raises :class:`TechnologyError` for a technology
    without node and :class:`RangeError` outside of the rule's range.
    """
    if technology.node_nm is None:
        raise TechnologyError(
            f"scale the technology {technology.name!r}",
            received="a technology without process node",
            allowed="a technology that states node_nm",
            fix="choose another technology",
        )
    same_supply = to_supply_v is None or to_supply_v == technology.supply_v
    if to_node_nm == technology.node_nm and same_supply:
        return technology
    factor = scaling_factor(
        from_node_nm=technology.node_nm,
        to_node_nm=to_node_nm,
        from_supply_v=technology.supply_v if to_supply_v is not None else None,
        to_supply_v=to_supply_v,
    )
    note = (
        f"on-chip energies of {technology.name} were scaled from {technology.node_nm:g} to "
        f"{to_node_nm:g} nm by {factor:.4g} (Stillmaker & Baas 2017: logic; SRAM and wires scale "
        "less well); DRAM was not scaled"
    )
    return replace(
        technology,
        name=f"{technology.name}@{to_node_nm:g}nm",
        title=f"{technology.title}, scaled to {to_node_nm:g} nm",
        node_nm=to_node_nm,
        supply_v=to_supply_v,
        energies={
            key: constant if key[0] in _OFF_CHIP else _scaled(constant, factor)
            for key, constant in technology.energies.items()
        },
        sram_curve={
            capacity: _scaled(constant, factor)
            for capacity, constant in technology.sram_curve.items()
        },
        leakage_w=None,
        notes=(*technology.notes, note),
        sources=tuple(dict.fromkeys((*technology.sources, "stillmaker_2017"))),
    )


def _scaled(constant: Constant, factor: float) -> Constant:
    return replace(
        constant,
        value=constant.value * factor,
        low=constant.low * factor,
        high=constant.high * factor,
        method="derived",
        conditions={**constant.conditions, "scaled_by": factor},
    )


def _energy(node_nm: float, supply_v: float | None) -> float:
    nodes = sorted(_POLYNOMIAL)
    if node_nm in _POLYNOMIAL:
        return _polynomial(node_nm, supply_v)
    upper = next(node for node in nodes if node > node_nm)
    lower = nodes[nodes.index(upper) - 1]
    share = math.log(node_nm / lower) / math.log(upper / lower)
    return math.exp(
        (1 - share) * math.log(_polynomial(lower, supply_v))
        + share * math.log(_polynomial(upper, supply_v))
    )


def _polynomial(node_nm: float, supply_v: float | None) -> float:
    a, b, c = _POLYNOMIAL[node_nm]
    volts = _NOMINAL_V[node_nm] if supply_v is None else supply_v
    return a * volts**2 + b * volts + c
