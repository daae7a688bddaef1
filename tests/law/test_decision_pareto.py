"""Laws of the accuracy-energy front: the fast front is exactly the set of undominated points."""

from __future__ import annotations

import math

from hypothesis import given, settings
from hypothesis import strategies as st

from tospike.decision.pareto import dominates, pareto_front

POINT = st.tuples(
    st.integers(0, 8).map(float), st.one_of(st.none(), st.integers(0, 8).map(lambda i: i / 8))
)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.lists(POINT, max_size=12))
def test_front_is_the_undominated_set(points) -> None:
    expected = tuple(not any(dominates(*other, *point) for other in points) for point in points)
    assert pareto_front(points) == expected


def test_ties_stay_together() -> None:
    assert pareto_front([(1.0, 0.9), (1.0, 0.9), (1.0, 0.8)]) == (True, True, False)


def test_an_unknown_accuracy_is_not_a_bad_one() -> None:
    assert pareto_front([(1.0, 0.9), (2.0, None), (3.0, None)]) == (True, True, False)


def test_no_energy_no_front() -> None:
    assert pareto_front([(math.nan, 1.0), (math.inf, 1.0), (1.0, 0.1)]) == (False, False, True)
    assert pareto_front([]) == ()
