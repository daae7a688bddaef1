"""Laws of the rounding in validation/fixed_point.py, against exact arithmetic and brute force."""

from __future__ import annotations

import importlib
import math
import re
import sys
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import nn

VALIDATION = Path(__file__).resolve().parents[2] / "validation"


def _module(name: str) -> Any:
    sys.path.insert(0, str(VALIDATION))
    try:
        return importlib.import_module(name)
    finally:
        sys.path.remove(str(VALIDATION))


fp = _module("fixed_point")
dual_copy = _module("dual_copy")

quick = settings(deadline=None, derandomize=True, max_examples=60)
floats = st.floats(-300, 300, width=32, allow_subnormal=False)
formats = st.tuples(st.integers(-2, 9), st.integers(-2, 12), st.booleans()).filter(
    lambda f: 1 <= f[0] + f[1] <= 20
)


def one(value: float) -> torch.Tensor:
    return torch.tensor([value], dtype=torch.float32)


def exact(value: float, m: int, n: int, signed: bool) -> Fraction:
    """Qm.n in exact arithmetic; Python rounds a Fraction half to even."""
    step = Fraction(2) ** -n
    code = round(Fraction(value) / step)
    lowest = -(2 ** (m + n)) if signed else 0
    return min(max(code, lowest), 2 ** (m + n) - 1) * step


def check_exact(round_one: Callable[[float], float], m: int, n: int, signed: bool) -> None:
    """Every eighth of a step from below the range to above it."""
    step = 2.0**-n
    for k in range(-8 * 2 ** (m + n) - 12, 8 * 2 ** (m + n) + 12):
        value = k * step / 8
        assert Fraction(round_one(value)) == exact(value, m, n, signed), value


@pytest.mark.parametrize(("m", "n", "signed"), [(1, 2, True), (0, 3, False), (3, -1, True)])
def test_rounding_is_that_of_exact_arithmetic_on_a_whole_grid(m: int, n: int, signed: bool) -> None:
    grid = fp.fixed_point(m, n, signed=signed)
    check_exact(lambda value: float(grid.round(one(value))), m, n, signed)


@quick
@given(value=floats, chosen=formats)
def test_rounding_is_that_of_exact_arithmetic(value: float, chosen: tuple[int, int, bool]) -> None:
    m, n, signed = chosen
    got = float(fp.fixed_point(m, n, signed=signed).round(one(value)))
    assert Fraction(got) == exact(value, m, n, signed)


@pytest.mark.parametrize("planted", [torch.trunc, torch.floor, lambda x: torch.floor(x + 0.5)])
def test_the_check_sees_other_roundings(planted: Callable[[torch.Tensor], torch.Tensor]) -> None:
    """Truncation, floor and halves upwards are planted; each goes red."""
    m, n = 1, 2

    def wrong(value: float) -> float:
        code = planted(one(value) / 2.0**-n).clamp(-(2 ** (m + n)), 2 ** (m + n) - 1)
        return float(code * 2.0**-n)

    with pytest.raises(AssertionError):
        check_exact(wrong, m, n, True)


@quick
@given(values=st.lists(floats, min_size=2, max_size=20), chosen=formats)
def test_idempotent_monotone_and_within_half_a_step(
    values: list[float], chosen: tuple[int, int, bool]
) -> None:
    m, n, signed = chosen
    grid = fp.fixed_point(m, n, signed=signed)
    x = torch.tensor(sorted(values), dtype=torch.float32)
    once = grid.round(x)
    assert torch.equal(grid.round(once), once)
    assert bool((once.diff() >= 0).all())
    inside = (x >= grid.lowest * grid.step) & (x <= grid.highest * grid.step)
    assert bool(((once - x).abs()[inside] <= grid.step / 2).all())
    assert bool((once[x == 0] == 0).all())


@quick
@given(largest=st.floats(2.0**-10, 2.0**10, width=32), bits=st.integers(3, 16))
def test_the_fitted_format_holds_the_largest_value_and_is_the_finest(
    largest: float, bits: int
) -> None:
    grid = fp.fitted_fixed_point(bits, largest)
    assert grid.highest == 2 ** (bits - 1) - 1
    assert math.log2(grid.step).is_integer()
    assert abs(float(grid.round(one(largest))) - largest) <= grid.step / 2
    finer = Fraction(grid.step) / 2
    assert Fraction(largest) > (grid.highest + Fraction(1, 2)) * finer


@quick
@given(
    values=st.lists(floats, min_size=1, max_size=20),
    bits=st.integers(2, 16),
    signed=st.booleans(),
)
def test_uniform_reaches_the_largest_value_and_errs_by_half_a_step(
    values: list[float], bits: int, signed: bool
) -> None:
    x = torch.tensor(values, dtype=torch.float32)
    x = x if signed else x.abs()
    largest = float(x.abs().max())
    assume(largest > 1e-3)
    grid = fp.uniform(bits, largest, signed=signed)
    rounded = grid.round(x)
    # a step that is no power of two costs a few units in the last place of a float32
    slack = 4 * 2.0**-24 * largest
    assert bool(((rounded - x).abs() <= grid.step / 2 + slack).all())
    assert float(rounded.abs().max()) == pytest.approx(largest, rel=1e-6)
    assert len(torch.unique(grid.round(torch.linspace(-1, 1, 9) * largest))) <= 2**bits


@quick
@given(values=st.lists(floats, min_size=3, max_size=30), scale=st.integers(-12, 4))
def test_ternary_weights_are_the_best_power_of_two(values: list[float], scale: int) -> None:
    """Against brute force over all powers of two that could matter, in double precision."""
    w = torch.tensor(values, dtype=torch.float32) * 2.0**scale
    assume(float(w.abs().max()) > 2.0 ** (scale - 6))
    grid = fp.power_of_two_ternary(w)
    s = grid.step
    assert math.log2(s).is_integer()
    assert set(grid.round(w).tolist()) <= {-s, 0.0, s}

    def error(step: float) -> float:
        kept = np.where(np.abs(w.double().numpy()) > step / 2, step, 0.0)
        return float(((np.abs(w.double().numpy()) - kept) ** 2).sum())

    assert error(s) <= min(error(2.0**k) for k in range(-30, 20)) * (1 + 1e-5)


def test_the_gradient_goes_to_the_full_precision_copy() -> None:
    """y = round(w) x with Q1.1: by hand, dy/dw = x, and small steps add up until w rounds up."""
    grid = fp.fixed_point(1, 1)
    w = torch.tensor([0.2], requires_grad=True)
    x = torch.tensor([3.0])
    seen = []
    for _ in range(3):
        y = fp.rounded_copy(w, grid) * x
        seen.append(float(y.detach()))
        (gradient,) = torch.autograd.grad(y.sum(), w)
        assert gradient.tolist() == [3.0]
        with torch.no_grad():
            w += 0.01 * gradient
    # 0.20 and 0.23 round to 0, 0.26 to 0.5
    assert seen == [0.0, 0.0, 1.5]


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: fp.Grid(0.0, -1, 1), "step 0.0 is not a positive number"),
        (lambda: fp.Grid(1.0, 1, 3), "codes 1 to 3 do not hold 0 and 1"),
        (lambda: fp.Grid(1.0, 0, 2**25), "need over 24 bits"),
        (lambda: fp.fixed_point(3, -3), "Q3.-3 has 0 bits"),
        (lambda: fp.fitted_fixed_point(8, float("nan")), "nan is not a number"),
        (lambda: fp.uniform(8, 0.0), "0.0 is not a positive number"),
        (lambda: fp.power_of_two_ternary(torch.zeros(4)), "have no scale"),
    ],
)
def test_impossible_grids_are_refused(make: Callable[[], object], text: str) -> None:
    with pytest.raises(ValueError, match=re.escape(text)):
        make()


def small_net() -> nn.Sequential:
    torch.manual_seed(3)
    return nn.Sequential(
        nn.Conv2d(2, 4, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(4, 5, 3),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(20, 3),
    ).eval()


def test_without_rounding_the_network_is_itself_and_zeros_are_counted_by_hand() -> None:
    net = small_net()
    x = torch.randn(6, 2, 8, 8, generator=torch.Generator().manual_seed(1))
    tally = dual_copy.Tally()
    with torch.no_grad():
        got = dual_copy.DualCopy(net, dual_copy.float32())(x, tally)
        assert torch.equal(got, net(x))
        first = net[1](net[0](x)).numpy()
    by_hand = [sum(v == 0.0 for v in sample.ravel()) / sample.size for sample in first]
    assert dual_copy.shares(tally.output)["0"].tolist() == pytest.approx(by_hand, abs=0)
    assert list(tally.output) == ["0", "3"]
    assert list(tally.input) == ["0", "3", "6"]


def test_all_weights_and_feature_maps_lie_on_the_grid() -> None:
    net = small_net()
    x = torch.rand(6, 2, 8, 8, generator=torch.Generator().manual_seed(1))
    model = dual_copy.DualCopy(net, dual_copy.in_fixed_point(4)).eval()
    model.observe(x)
    maps: list[torch.Tensor] = []
    net[2].register_forward_hook(lambda module, given, out: maps.append(given[0]))
    with torch.no_grad():
        out = model(x)
        grid = fp.fitted_fixed_point(4, float(model.largest[0]))
        weight = net[0].weight
        rounded = fp.fitted_fixed_point(4, float(weight.abs().max())).round(weight)
        expected = grid.round(torch.relu(nn.functional.conv2d(x, rounded, net[0].bias, padding=1)))
    assert torch.equal(maps[0], expected)
    assert len(torch.unique(maps[0])) <= 8
    assert not torch.equal(out, net(x))


def test_coarser_steps_never_leave_fewer_zeros_in_the_first_map() -> None:
    """The first map has the same values before rounding, so this is a law and not a tendency."""
    net = small_net()
    x = torch.rand(20, 2, 8, 8, generator=torch.Generator().manual_seed(5))
    zeros = []
    for n in (10, 5, 3, 2, 1, 0):
        precision = dual_copy.in_given_formats([(14, n)], 1.0, f"Q14.{n}")
        tally = dual_copy.Tally()
        with torch.no_grad():
            dual_copy.DualCopy(net, precision).eval()(x, tally)
        zeros.append(float(dual_copy.shares(tally.output)["0"].mean()))
    assert zeros == sorted(zeros)
    assert zeros[-1] > zeros[0]
