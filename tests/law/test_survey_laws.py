"""Laws of the survey: fronts against brute force, filters as sets, scaling as a group action."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tospike.survey import DEFINITIONS, accelerators, energy_per_inference
from tospike.survey.fields import FIELDS, View, find
from tospike.survey.normalise import normalise_to
from tospike.survey.pareto import pareto_front
from tospike.survey.query import Query, ask
from tospike.survey.select import conditions, keep, order

CHIPS = accelerators()
quick = settings(deadline=None, derandomize=True, max_examples=150)

#: small integers, so that ties and equal points are common
coordinate = st.one_of(
    st.none(), st.integers(0, 5).map(float), st.just(math.nan), st.just(math.inf)
)


def front_by_hand(
    points: list[tuple[float | None, ...]], maximise: tuple[bool, ...]
) -> tuple[bool, ...]:
    """The definition, word for word."""

    def usable(point: tuple[float | None, ...]) -> bool:
        return all(value is not None and math.isfinite(value) for value in point)

    def better(a: float, b: float, more: bool) -> bool:
        return a > b if more else a < b

    def beats(a: tuple[float | None, ...], b: tuple[float | None, ...]) -> bool:
        pairs = list(zip(a, b, maximise, strict=True))
        return not any(better(y, x, m) for x, y, m in pairs) and any(
            better(x, y, m) for x, y, m in pairs
        )

    return tuple(
        usable(point) and not any(usable(other) and beats(other, point) for other in points)
        for point in points
    )


@quick
@given(
    points=st.lists(st.tuples(coordinate, coordinate), max_size=25),
    maximise=st.tuples(st.booleans(), st.booleans()),
)
def test_front_of_two_against_brute_force(points, maximise):
    assert pareto_front(points, maximise) == front_by_hand(points, maximise)


@quick
@given(
    points=st.lists(st.tuples(coordinate, coordinate, coordinate), max_size=15),
    maximise=st.tuples(st.booleans(), st.booleans(), st.booleans()),
)
def test_front_of_three_against_brute_force(points, maximise):
    assert pareto_front(points, maximise) == front_by_hand(points, maximise)


def test_front_of_nothing():
    assert pareto_front([], (False, True)) == ()


def test_brute_force_sees_a_planted_fault():
    """A front that forgets the direction of one objective is caught."""
    points = [(1.0, 1.0), (2.0, 2.0)]
    assert pareto_front(points, (False, True)) == (True, True)
    assert front_by_hand(points, (False, True)) != pareto_front(points, (False, False))


NODES = st.sampled_from([7.0, 10.0, 14.0, 16.0, 20.0, 22.0, 28.0, 32.0, 45.0, 65.0, 90.0, 130.0])


@quick
@given(first=NODES, second=NODES, third=NODES)
def test_scaling_is_a_group_action(first, second, third):
    """x -> x is exactly 1; x -> y -> x is 1; x -> y -> z is x -> z."""
    chip = next(chip for chip in CHIPS if chip.process_nm == 28 and chip.platform == "asic")

    def factor(start: float, end: float) -> float:
        there, back = normalise_to(chip, end).factor, normalise_to(chip, start).factor
        assert there is not None
        assert back is not None
        return there / back

    assert normalise_to(chip, 28.0).factor == 1.0
    assert factor(first, first) == 1.0
    assert factor(first, second) * factor(second, first) == pytest.approx(1, rel=1e-12)
    assert factor(first, second) * factor(second, third) == pytest.approx(
        factor(first, third), rel=1e-12
    )


@pytest.mark.parametrize("chip", CHIPS, ids=lambda chip: chip.label)
def test_scaling_to_its_own_node_is_one_or_refused(chip):
    node = chip.process_nm
    if node is None or not 7 <= node <= 130:
        assert normalise_to(chip, 28.0).factor is None
        assert normalise_to(chip, 28.0).reason
        return
    scaling = normalise_to(chip, node)
    assert scaling.factor == (1.0 if chip.compute == "digital" else None)


def test_fpgas_are_never_scaled():
    fpgas = [chip for chip in CHIPS if chip.platform == "fpga"]
    assert fpgas
    assert {normalise_to(chip, 28.0).reason for chip in fpgas} == {"an FPGA is not scaled"}


@pytest.mark.parametrize("definition", DEFINITIONS)
@pytest.mark.parametrize("chip", CHIPS, ids=lambda chip: chip.label)
def test_an_energy_or_a_reason(chip, definition):
    held = energy_per_inference(chip, definition)
    assert (held.value is None) == bool(held.reason)
    assert held.value is None or (held.value > 0 and held.rests_on)


NUMERIC = sorted(key for key, item in FIELDS.items() if item.dimension and key != "energy")


@pytest.mark.parametrize("key", NUMERIC)
def test_a_condition_and_its_opposite_share_the_chips(key):
    """Below or equal, and above: disjoint, and together all chips that have the field."""
    view = View(node_nm=28.0)
    values = [FIELDS[key].read(chip, view) for chip in CHIPS]
    known = sorted(value for value in values if isinstance(value, float))
    assert known, key
    middle = known[len(known) // 2] * FIELDS[key].scale
    low = keep(CHIPS, conditions(f"{key} <= {middle!r}", view), view)
    high = keep(CHIPS, conditions(f"{key} > {middle!r}", view), view)
    labels = [{chip.label for chip in part} for part in (low, high)]
    assert not labels[0] & labels[1]
    assert len(labels[0]) + len(labels[1]) == len(known)
    assert labels[0]


@pytest.mark.parametrize("text", ["kind{}ann|snn", "dataset{}GSCD", "year{}2019"])
def test_unequal_is_the_complement_of_equal(text):
    """Among the entries that have the field; without it, neither holds."""
    view = View()
    same = keep(CHIPS, conditions(text.format("=="), view), view)
    other = keep(CHIPS, conditions(text.format("!="), view), view)
    key = text.split("{")[0]
    known = [chip for chip in CHIPS if FIELDS[key].read(chip, view)]
    assert same
    assert other
    assert not {chip.label for chip in same} & {chip.label for chip in other}
    assert len(same) + len(other) == len(known)


ATOMS = st.sampled_from(
    [
        "kind==snn",
        "kind==ann|mixed",
        "kind!=ann",
        "process_nm<=28",
        "power<1 mW",
        "power >= 100 mW",
        "year>2018",
        "dataset~imagenet",
        "platform==asic",
        "accuracy>=80 %",
    ]
)


@quick
@given(parts=st.lists(ATOMS, min_size=1, max_size=4))
def test_conditions_are_set_operations(parts):
    """'and' is the intersection, in any order, and a condition twice is a condition once."""
    view = View()
    together = keep(CHIPS, conditions(" and ".join(parts), view), view)
    expected = {chip.label for chip in CHIPS}
    for part in parts:
        expected &= {chip.label for chip in keep(CHIPS, conditions(part, view), view)}
    assert {chip.label for chip in together} == expected
    assert together == keep(
        CHIPS, conditions(" and ".join([*reversed(parts), parts[0]]), view), view
    )


@pytest.mark.parametrize("key", sorted(set(FIELDS) - {"energy", "scale_factor"}))
@pytest.mark.parametrize("descending", [False, True])
def test_sorting_permutes_and_orders(key, descending):
    view = View()
    item = find(key, view)
    ordered = order(CHIPS, item, view, descending=descending)
    assert sorted(chip.label for chip in ordered) == sorted(chip.label for chip in CHIPS)
    values = [item.read(chip, view) for chip in ordered]
    known = [value for value in values if value not in (None, "")]
    assert values[: len(known)] == known, "entries without the field come last"
    for first, second in pairwise(known):
        a, b = (first, second) if isinstance(first, float) else (first.lower(), second.lower())
        assert a >= b if descending else a <= b


@pytest.mark.parametrize("definition", DEFINITIONS)
def test_no_entry_is_lost_without_a_word(definition):
    """Shown and left out together are all entries; every left out one has its reason."""
    answer = ask(Query(View(definition)), CHIPS)
    assert len(answer.chips) + len(answer.left_out) == len(CHIPS)
    assert all(reason for _, reason in answer.left_out)


def test_the_front_only_holds_what_the_front_marks():
    view = View("printed")
    whole = ask(Query(view, front="energy,error"), CHIPS)
    part = ask(Query(view, front="energy,error", front_only=True), CHIPS)
    marked = [chip for chip, on in zip(whole.chips, whole.on_front or (), strict=True) if on]
    assert list(part.chips) == marked
    assert marked
