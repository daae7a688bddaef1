"""Laws over every technology that comes with the package."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tospike.actions import ActionCounts, count
from tospike.errors import RangeError, TechnologyError
from tospike.pricing import price, priceable
from tospike.sources import SOURCES
from tospike.technology import (
    Technology,
    alu_energy,
    load,
    memory_energy,
    names,
    scale,
    scaling_factor,
    sram_energy,
)

#: joules are about 1e-12, so that the default absolute tolerance of pytest would hide any fault
approx = partial(pytest.approx, rel=1e-9, abs=0.0)

ALL = names()
WITH_CURVE = tuple(name for name in ALL if load(name).sram_curve)
WIDTHS = (1, 2, 4, 8, 12, 16, 24, 32, 64)
QUICK = settings(max_examples=40, deadline=None, derandomize=True)


def constants(table: Technology) -> list[tuple[str, object]]:
    found = [(str(key), constant) for key, constant in table.energies.items()]
    found += [(f"sram {size}", constant) for size, constant in table.sram_curve.items()]
    found += [
        (key, constant)
        for key, constant in (("gated", table.gated_fraction), ("mac", table.mac_joule))
        if constant is not None
    ]
    return found


def test_the_expected_technologies_are_there() -> None:
    expected = {
        "horowitz_2014_45nm",
        "horowitz_2014_45nm_fp",
        "dampfhoffer_2022_45nm_8b",
        "dampfhoffer_2022_65nm_16b",
        "ottati_2023_45nm",
        "ottati_2023_45nm_computed",
        "eyeriss_2016_65nm",
        "seneca_22nm",
        "yan_2024_22nm",
        "yan_2026_22nm",
        "lemaire_2022_45nm",
        "lemaire_2022_45nm_extrapolated",
        "lemaire_2022_45nm_fitted",
        "davidson_furber_2021_22nm",
        "shen_2024_bit_budget",
    }
    assert expected <= set(ALL)


@pytest.mark.parametrize("name", ALL)
def test_every_constant_says_where_it_comes_from(name: str) -> None:
    table = load(name)
    assert table.title
    assert table.node_nm
    assert table.energies
    for where, constant in constants(table):
        assert constant.source in SOURCES, where
        assert constant.locator, where
        assert constant.quoted, where
        assert constant.spread, where
        assert 0 < constant.low <= constant.value <= constant.high, where
    assert set(table.sources) <= set(SOURCES)
    assert {constant.source for _, constant in constants(table)} <= set(table.sources)


@pytest.mark.parametrize("name", ALL)
def test_every_price_has_a_driver_with_a_range(name: str) -> None:
    table = load(name)
    for component, action, _ in table.energies:
        low, high = table.ranges[table.drivers[component, action]]
        assert 0 < low <= 1 <= high
    if table.sram_curve:
        assert table.sram_driver in table.ranges


@pytest.mark.parametrize("name", ALL)
def test_energy_grows_with_the_width(name: str) -> None:
    table = load(name)
    pairs = {(component, action) for component, action, _ in table.energies}
    for component, action in pairs:
        found = [
            alu_energy(table, action, bits)
            if component == "alu"
            else memory_energy(table, component, action, bits)
            for bits in WIDTHS
        ]
        energies = [lookup.energy for lookup in found if lookup is not None]
        assert len(energies) == len(WIDTHS)
        assert all(a < b for a, b in pairwise(energies)), (component, action)


@pytest.mark.parametrize("name", ALL)
def test_printed_widths_are_returned_exactly(name: str) -> None:
    table = load(name)
    for (component, action, bits), constant in table.energies.items():
        found = (
            alu_energy(table, action, bits)
            if component == "alu"
            else memory_energy(table, component, action, bits)
        )
        assert found is not None
        assert found.energy == constant.value
        assert not found.out_of_range


@pytest.mark.parametrize("name", WITH_CURVE)
def test_printed_capacities_are_returned_exactly(name: str) -> None:
    table = load(name)
    for capacity, constant in table.sram_curve.items():
        assert sram_energy(table, capacity).energy == constant.value


def falling_capacities(table: Technology, capacities: list[float]) -> list[float]:
    """Capacities at which a larger SRAM costs less than the one before."""
    energies = [sram_energy(table, capacity).energy for capacity in capacities]
    return [
        capacity
        for capacity, before, after in zip(capacities[1:], energies, energies[1:], strict=False)
        if after < before
    ]


@pytest.mark.parametrize("name", WITH_CURVE)
@QUICK
@given(capacities=st.lists(st.floats(16, 2**30), min_size=2, max_size=12))
def test_sram_energy_grows_with_capacity(name: str, capacities: list[float]) -> None:
    assert falling_capacities(load(name), sorted(capacities)) == []


def test_the_capacity_law_sees_a_planted_fault() -> None:
    table = load("horowitz_2014_45nm")
    curve = dict(table.sram_curve)
    curve[32768.0] = curve[2.0**20]
    curve[2.0**20] = table.sram_curve[8192.0]
    planted = replace(table, sram_curve=curve)
    assert falling_capacities(planted, [8192.0, 32768.0, 2.0**20]) == [2.0**20]


def test_between_capacities_the_curve_itself_is_interpolated() -> None:
    """Half way between 8 and 32 KiB on a log axis: the geometric mean of 10 and 20 pJ."""
    found = sram_energy(load("horowitz_2014_45nm"), 16 * 1024)
    assert found.energy == approx(math.sqrt(10 * 20) * 1e-12)
    assert not found.out_of_range


def test_a_byte_costs_an_eighth_of_a_64_bit_access() -> None:
    """10 pJ per 64 bit at 8 KiB and 100 pJ at 1 MiB, as printed."""
    counts = ActionCounts((count("l", "sram", "read", "weight", 1, bits=8),))
    assert price(counts, "horowitz_2014_45nm").energy == approx(1.25e-12)
    assert price(counts, "horowitz_2014_45nm", sram_bytes=2**20).energy == approx(12.5e-12)
    stated = ActionCounts((count("l", "sram", "read", "weight", 1, bits=64, capacity_bytes=32768),))
    assert price(stated, "horowitz_2014_45nm", sram_bytes=2**20).energy == approx(20e-12)


@pytest.mark.parametrize(("capacity", "outside"), [(512, True), (2**22, True), (2**19, False)])
def test_outside_of_the_printed_capacities_the_result_says_so(
    capacity: float, outside: bool
) -> None:
    counts = ActionCounts((count("l", "sram", "read", "weight", 1, bits=8),))
    cost = price(counts, "horowitz_2014_45nm", sram_bytes=capacity)
    assert bool(cost.out_of_range) is outside


@pytest.mark.parametrize("name", ALL)
def test_scaling_to_the_same_node_is_exactly_the_identity(name: str) -> None:
    table = load(name)
    assert table.node_nm is not None
    assert scale(table, table.node_nm) is table


@QUICK
@given(node=st.floats(7, 130))
def test_scaling_factor_is_exactly_one_on_the_diagonal(node: float) -> None:
    assert scaling_factor(from_node_nm=node, to_node_nm=node) == 1.0


@QUICK
@given(a=st.floats(7, 130), b=st.floats(7, 130), c=st.floats(7, 130))
def test_scaling_composes_and_a_smaller_node_never_costs_more(a: float, b: float, c: float) -> None:
    direct = scaling_factor(from_node_nm=a, to_node_nm=c)
    stepped = scaling_factor(from_node_nm=a, to_node_nm=b) * scaling_factor(
        from_node_nm=b, to_node_nm=c
    )
    assert direct == approx(stepped)
    assert direct <= 1 or c >= a


def test_scaling_by_hand() -> None:
    """65 to 45 nm at 1.1 and 1.0 V: (1.103 - 0.362 + 0.2767) / (3.755 1.21 - 4.398 1.1 + 1.975)."""
    assert scaling_factor(from_node_nm=65, to_node_nm=45) == approx(1.0177 / 1.68075)
    half = scaling_factor(from_node_nm=45, to_node_nm=45, from_supply_v=1.0, to_supply_v=0.5)
    assert half == approx((1.103 * 0.25 - 0.362 * 0.5 + 0.2767) / 1.0177)


@pytest.mark.parametrize("name", ALL)
def test_scaling_keeps_ratios_and_leaves_dram_alone(name: str) -> None:
    table = load(name)
    moved = scale(table, 10)
    factor = scaling_factor(from_node_nm=table.node_nm or 0, to_node_nm=10)
    for key, constant in table.energies.items():
        expected = 1.0 if key[0] == "dram" else factor
        assert moved.energies[key].value == approx(expected * constant.value)
    assert moved.ranges == table.ranges
    assert moved.notes[-1].startswith("on-chip energies")
    assert "stillmaker_2017" in moved.sources


@pytest.mark.parametrize("node", [5, 180, float("nan")])
def test_scaling_refuses_nodes_outside_of_its_range(node: float) -> None:
    with pytest.raises(RangeError, match="7 to 130 nm"):
        scale(load("horowitz_2014_45nm"), node)


def test_scaling_needs_a_node() -> None:
    with pytest.raises(TechnologyError, match="without process node"):
        scale(replace(load("horowitz_2014_45nm"), node_nm=None), 22)


def everything(bits: int = 8) -> ActionCounts:
    rows = [
        ("alu", "mac"),
        ("alu", "ac"),
        ("alu", "mul"),
        ("alu", "add"),
        ("alu", "compare"),
        ("sram", "read"),
        ("sram", "write"),
        ("pe_sram", "read"),
        ("register", "read"),
        ("dram", "read"),
        ("noc", "hop"),
    ]
    return ActionCounts(
        tuple(
            count("l", component, action, "none", [1, 2], bits=bits) for component, action in rows
        )
    )


COMPLETE = tuple(name for name in ALL if priceable(everything(), name))


def test_all_but_the_aggregated_and_narrow_technologies_price_every_action() -> None:
    own_equations_only = {name for name in ALL if name.startswith(("lemaire_", "davidson_"))}
    own_equations_only |= {"yan_2026_22nm", "shen_2024_bit_budget"}
    own_machines_only = {"loihi_14nm", "seneca_22nm_instructions"}
    narrow = {"seneca_22nm", "yan_2024_22nm"} | own_equations_only | own_machines_only
    assert set(ALL) - set(COMPLETE) == narrow


@pytest.mark.parametrize("name", COMPLETE)
def test_cost_is_the_sum_of_its_parts_inside_its_range(name: str) -> None:
    cost = price(everything(), name)
    assert cost.energy == approx(sum(part.energy for part in cost.parts))
    assert (cost.low <= cost.energy).all()
    assert (cost.energy <= cost.high).all()
    assert set(cost.drivers) == {driver for part in cost.parts for driver in part.drivers}
    for part in cost.parts:
        ends = [cost.drivers[driver] for driver in part.drivers]
        assert part.low == approx(part.energy * math.prod(low for low, _ in ends))
        assert part.high == approx(part.energy * math.prod(high for _, high in ends))


@pytest.mark.parametrize("name", COMPLETE)
def test_a_gated_action_costs_the_gated_fraction(name: str) -> None:
    """0.55: PE data gating saves 45 % (Eyeriss, as Dampfhoffer 2022, III-B1, reads it); 0.22 if
    these are of the whole PE power, with the 57.5 % zeros of AlexNet: 1 - 0.45 / 0.575."""
    fraction = 0.22 if name == "eyeriss_2017_65nm" else 0.55
    for component, action in (("alu", "mac"), ("register", "read"), ("sram", "write")):
        full = ActionCounts((count("l", component, action, "none", 1, bits=8),))
        gated = ActionCounts((count("l", component, f"{action}_gated", "none", 1, bits=8),))
        assert price(gated, name).energy == approx(fraction * price(full, name).energy)


def test_technologies_agree_where_they_print_the_same_thing() -> None:
    """Table I of Dampfhoffer is Horowitz in units of a MAC: 5.4 and 0.13 to the printed digits."""
    horowitz = load("horowitz_2014_45nm")
    mac = horowitz.energies["alu", "mac", 8].value
    assert horowitz.energies["alu", "ac", 8].value / mac == approx(0.13, abs=0.005)
    assert sram_energy(horowitz, 8192).energy / 8 / mac == approx(5.4, abs=0.05)
    computed = load("ottati_2023_45nm_computed")
    assert computed.energies["sram", "read", 8].value == approx(10e-12 / 8)


def test_the_ranges_cover_the_other_papers() -> None:
    """8 kB reads differ by 2 between Horowitz and Ottati; multipliers by 4 from a library."""
    horowitz = load("horowitz_2014_45nm")
    high = horowitz.ranges["horowitz_2014_45nm:sram"][1] * sram_energy(horowitz, 8192).energy / 8
    assert high >= 2.5e-12
    multiplier = horowitz.energies["alu", "mul", 32]
    assert multiplier.high == approx(12.7e-12, rel=0.02)


def test_static_power_is_leakage_or_what_the_user_gives() -> None:
    counts = ActionCounts((count("chip", "static", "second", "none", 2.0, bits=1),))
    with pytest.raises(TechnologyError, match=r"static, second"):
        price(counts, "horowitz_2014_45nm")
    cost = price(counts, "horowitz_2014_45nm", static_power_w=3e-3)
    assert cost.energy == approx(6e-3)
    assert any("given by the user" in text for text in cost.assumptions)


def test_the_documentation_names_every_technology_and_its_example_loads(tmp_path: Path) -> None:
    text = (Path(__file__).parents[2] / "docs" / "technologies.md").read_text()
    assert all(f"`{name}`" in text for name in ALL)
    example = text.split("```yaml\n")[1].split("```")[0]
    path = tmp_path / "example.yaml"
    path.write_text(example)
    table = load(path)
    assert table.leakage_w is not None
    counts = ActionCounts((count("chip", "static", "second", "none", 2.0, bits=1),))
    assert price(counts, table).energy == approx(4e-4)
