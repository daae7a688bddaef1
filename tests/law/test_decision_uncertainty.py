"""Laws of the joint sampling, with expected values from exact arithmetic on small costs."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tospike.decision.uncertainty import JointSamples, draw, nearest_root
from tospike.errors import ConstantError, OptionError
from tospike.pricing.cost import Cost, CostPart


def cost(parts: list[tuple[float, tuple[str, ...]]], drivers: dict) -> Cost:
    """A cost from (joule, drivers) pairs."""

    def end(index: int) -> float:
        return sum(e * math.prod(drivers.get(d, (1, 1))[index] for d in ds) for e, ds in parts)

    return Cost(
        energy=np.array(sum(e for e, _ in parts)),
        low=np.array(end(0)),
        high=np.array(end(1)),
        parts=tuple(
            CostPart(
                "a", "sram", "read", "weight", "synapse", np.array(e), np.array(e), np.array(e), d
            )
            for e, d in parts
        ),
        technology="test",
        model="test",
        drivers=drivers,
    )


MEMORY = {"memory": (0.5, 2.0)}


def test_what_both_share_cannot_decide() -> None:
    """Both cost the same constant, one 1 % less: whatever the constant is, it stays cheaper."""
    both = JointSamples(
        {"snn": cost([(0.99, ("memory",))], MEMORY), "ann": cost([(1.0, ("memory",))], MEMORY)}
    )
    assert both.p_cheaper("snn", "ann") == 1.0
    assert both.p_cheaper("ann", "snn") == 0.0
    assert both.flip_point("snn", "ann", "memory") is None
    assert not any(item.reverses for item in both.sensitivities("snn", "ann"))


def test_independent_draws_would_be_wrong() -> None:
    """The planted fault of this file: with draws of their own the same pair is undecided."""
    apart = JointSamples(
        {
            "snn": cost([(0.99, ("memory",))], MEMORY),
            "ann": cost([(1.0, ("other",))], {"other": (0.5, 2.0)}),
        }
    )
    assert 0.4 < apart.p_cheaper("snn", "ann") < 0.6


def test_degenerate_ranges_give_certainty() -> None:
    fixed = {"memory": (1.0, 1.0)}
    one = JointSamples(
        {"snn": cost([(1.0, ("memory",))], fixed), "ann": cost([(2.0, ("memory",))], fixed)}
    )
    assert one.p_cheaper("snn", "ann") == 1.0
    assert one.interval("snn").low == one.interval("snn").high == pytest.approx(1.0)
    assert one.sensitivities("snn", "ann") == ()


def test_flip_point_is_where_the_energies_meet() -> None:
    """SNN 3 m + 1, ANN 6: equal at m = 5/3. SNN 3 m^2 against 6: equal at sqrt 2."""
    linear = JointSamples(
        {"snn": cost([(3.0, ("memory",)), (1.0, ())], MEMORY), "ann": cost([(6.0, ())], {})}
    )
    assert linear.flip_point("snn", "ann", "memory") == pytest.approx(5 / 3, rel=1e-9)
    square = JointSamples(
        {"snn": cost([(3.0, ("memory", "memory"))], MEMORY), "ann": cost([(6.0, ())], {})}
    )
    assert square.flip_point("snn", "ann", "memory") == pytest.approx(math.sqrt(2), rel=1e-9)
    (item,) = linear.sensitivities("snn", "ann")
    assert item.reverses
    assert (item.p_snn_wins_low, item.p_snn_wins_high) == (1.0, 0.0)


def test_probability_of_one_constant_is_its_distribution_function() -> None:
    """P(m < m*) of a log-triangular m on [1/2, 2] is 1 - (ln 2 - ln m*)^2 / (2 ln^2 2), m* > 1."""
    pair = JointSamples(
        {"snn": cost([(1.0, ("memory",))], MEMORY), "ann": cost([(1.5, ())], {})}, samples=40000
    )
    exact = 1 - (math.log(2) - math.log(1.5)) ** 2 / (2 * math.log(2) ** 2)
    assert pair.p_cheaper("snn", "ann") == pytest.approx(exact, abs=0.008)
    # 95 % quantile by the same formula
    exact_high = math.exp(math.log(2) - math.sqrt(0.05 * 2) * math.log(2))
    assert pair.interval("snn").high == pytest.approx(exact_high, rel=0.01)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    st.lists(
        st.tuples(st.floats(0, 10), st.lists(st.sampled_from("pqr"), max_size=3).map(tuple)),
        min_size=1,
        max_size=6,
    )
)
def test_vectorised_sum_is_the_plain_loop(parts) -> None:
    ranges = {"p": (0.5, 1.5), "q": (0.0, 1.0), "r": (1.0, 4.0)}
    samples = JointSamples({"one": cost(parts, ranges)}, samples=7, seed=2)
    names = list(samples.ranges)
    for row in range(7):
        scale = dict(zip(names, samples.scale[row], strict=True))
        loop = sum(energy * math.prod(scale[d] for d in drivers) for energy, drivers in parts)
        assert samples.energy["one"][row] == pytest.approx(loop, rel=1e-12, abs=1e-300)


def test_draws_stay_inside_and_are_seeded() -> None:
    ranges = {"a": (0.2, 3.0), "b": (0.0, 2.0), "c": (1.0, 1.0)}
    first, again, other = draw(ranges, 500, 1), draw(ranges, 500, 1), draw(ranges, 500, 2)
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    for index, (low, high) in enumerate(ranges.values()):
        assert first[:, index].min() >= low
        assert first[:, index].max() <= high


def test_nearest_root() -> None:
    assert nearest_root(lambda x: x - 1.0, 0.5, 2.0) == 1.0
    assert nearest_root(lambda x: x - 3.0, 0.5, 2.0) is None
    assert nearest_root(lambda x: (x - 0.6) * (x - 1.5), 0.5, 2.0) == pytest.approx(1.5)
    assert nearest_root(lambda x: x - 0.0, 0.0, 2.0) == 0.0


def test_a_broken_range_is_an_error() -> None:
    with pytest.raises(ConstantError, match="relative range"):
        JointSamples({"a": cost([(1.0, ("m",))], {"m": (2.0, 3.0)})})
    with pytest.raises(OptionError, match="0 samples"):
        draw(MEMORY, 0, 0)
