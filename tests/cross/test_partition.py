"""The two exact solvers against brute force over all assignments of small random DAGs."""

from __future__ import annotations

import itertools
import math
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tospike.decision.partition import (
    Conversion,
    PartitionProblem,
    k_best,
    make_problem,
    optimal_partition,
    solve_milp,
    solve_min_cut,
)
from tospike.errors import OptionError
from tospike.network import Edge

QUICK = settings(max_examples=60, deadline=None, derandomize=True)


def brute_force(problem: PartitionProblem) -> list[tuple[float, dict[str, str]]]:
    """All allowed assignments, cheapest first, energies added up by hand."""
    names = list(problem.costs)
    found = []
    for choice in itertools.product(*(problem.costs[name] for name in names)):
        modes = dict(zip(names, choice, strict=True))
        energy = sum(problem.costs[name][modes[name]] for name in names)
        for item in problem.conversions:
            takers = [name for name in item.targets if modes[name] == item.target_mode]
            if modes[item.source] == item.source_mode and takers:
                energy += item.energy
        lost = sum(problem.loss.get(name, {}).get(modes[name], 0.0) for name in names)
        if math.isfinite(energy) and lost <= problem.loss_budget + 1e-9:
            found.append((energy, modes))
    return sorted(found, key=lambda pair: pair[0])


@st.composite
def problems(draw, modes=("ann", "snn"), low=0.0, losses=False, forbid=True):
    """Random DAGs with shared producers, the network input as a producer, fixed layers."""
    n = draw(st.integers(1, 6))
    unit = draw(st.sampled_from([1.0, 1e-9, 1e-13]))
    value = st.integers(0, 1000).map(lambda i: i * unit)
    border = st.integers(round(low * 300), 300).map(lambda i: i * unit)
    names = [f"layer{i}" for i in range(n)]
    costs = {name: {mode: draw(value) for mode in modes} for name in names}
    fixed = {name: draw(st.sampled_from(modes)) for name in names if draw(st.integers(0, 4)) == 0}
    conversions = []
    for index, source in enumerate(["input", *names]):
        later = names[index:]
        if not later:
            continue
        targets = tuple(name for name in later if draw(st.booleans()))
        for mode_source, mode_target in itertools.permutations(modes, 2):
            if targets:
                energy = draw(border)
                if forbid and draw(st.integers(0, 9)) == 0:
                    energy = math.inf
                conversions.append(Conversion(source, mode_source, mode_target, targets, energy))
    extra = {}
    if losses:
        extra["loss"] = {
            name: {mode: draw(st.integers(0, 10)) / 10 for mode in modes} for name in names
        }
        extra["loss_budget"] = draw(st.integers(0, 20)) / 10 + 0.05
    return make_problem(costs, conversions, fixed=fixed, **extra)


def same(found, expected) -> None:
    if not expected:
        assert found is None
        return
    assert found is not None
    best = expected[0][0]
    scale = max([abs(energy) for energy, _ in expected] + [1e-300])
    assert found.energy == pytest.approx(best, rel=1e-9, abs=1e-12 * scale)


@QUICK
@given(problems())
def test_min_cut_is_the_brute_force_optimum(problem: PartitionProblem) -> None:
    assert problem.plain
    same(solve_min_cut(problem), brute_force(problem))


@QUICK
@given(problems())
def test_milp_is_the_brute_force_optimum(problem: PartitionProblem) -> None:
    same(solve_milp(problem), brute_force(problem))


@settings(max_examples=40, deadline=None, derandomize=True)
@given(problems(modes=("ann", "snn", "delta"), low=-1.0, losses=True))
def test_three_modes_negative_borders_and_an_accuracy_budget(problem: PartitionProblem) -> None:
    same(solve_milp(problem), brute_force(problem))


@settings(max_examples=25, deadline=None, derandomize=True)
@given(problems(), st.integers(1, 6))
def test_k_best_are_the_k_cheapest(problem: PartitionProblem, k: int) -> None:
    expected = [energy for energy, _ in brute_force(problem)[:k]]
    found = k_best(problem, k)
    assert [item.energy for item in found] == pytest.approx(expected, rel=1e-9, abs=1e-15)
    assert len({tuple(item.partition.modes.items()) for item in found}) == len(found)


def test_spikes_of_one_population_are_made_once() -> None:
    """u feeds three layers: one encoding of 5 J, not three (2 + 3 x 1 + 5 = 10 < 2 + 3 x 4)."""
    costs = {"u": {"ann": 2.0}, **{name: {"ann": 4.0, "snn": 1.0} for name in "abc"}}
    edges = [Edge("u", name, 10) for name in "abc"]

    def border(u, v, mode_u, mode_v, n_values):
        return 5.0 if (mode_u, mode_v) == ("ann", "snn") else 0.0

    for solver in ("min_cut", "milp"):
        best = optimal_partition(costs, edges, border, solver=solver)
        assert best.energy == 10.0
        assert best.partition.spiking == ("a", "b", "c")


def test_the_network_input_is_priced() -> None:
    costs = {"a": {"ann": 4.0, "snn": 1.0}}
    edges = [Edge("input", "a", 10)]

    def border(u, v, mode_u, mode_v, n_values):
        return 0.2 * n_values if mode_v == "snn" else 0.0

    assert optimal_partition(costs, edges, border).energy == 3.0
    assert optimal_partition(costs, [Edge("input", "a", 20)], border).energy == 4.0


def test_a_forbidden_border_on_one_edge_leaves_the_others_open() -> None:
    costs = {"u": {"ann": 1.0}, "a": {"ann": 9.0, "snn": 1.0}, "b": {"ann": 9.0, "snn": 1.0}}
    edges = [Edge("u", "a", 1), Edge("u", "b", 1)]

    def border(u, v, mode_u, mode_v, n_values):
        return math.inf if v == "a" else 2.0

    for solver in ("min_cut", "milp"):
        best = optimal_partition(costs, edges, border, solver=solver)
        assert (best.energy, best.partition.spiking) == (13.0, ("b",))


@pytest.mark.parametrize("solver", ["min_cut", "milp"])
def test_two_hundred_layers_in_less_than_a_second(solver: str) -> None:
    """A chain with skip connections, as in a deep residual network."""
    random = np.random.default_rng(3)
    names = [f"layer{i}" for i in range(200)]
    costs = {
        name: {"ann": float(a), "snn": float(s)}
        for name, a, s in zip(names, random.random(200), random.random(200), strict=True)
    }
    edges = [Edge(names[i], names[j], 100) for i in range(200) for j in (i + 1, i + 3) if j < 200]

    def border(u, v, mode_u, mode_v, n_values):
        return 0.3 if mode_u == "ann" else 0.1

    optimal_partition({"a": {"ann": 1.0, "snn": 2.0}}, solver=solver)  # import the solver
    start = time.perf_counter()
    best = optimal_partition(costs, edges, border, fixed={"layer0": "ann"}, solver=solver)
    assert time.perf_counter() - start < 1.0
    other = optimal_partition(costs, edges, border, fixed={"layer0": "ann"}, solver="min_cut")
    assert best.energy == pytest.approx(other.energy, rel=1e-9)


def test_nothing_possible_is_an_error() -> None:
    def border(u, v, mode_u, mode_v, n_values):
        return math.inf

    costs = {"a": {"ann": 1.0}, "b": {"snn": 1.0}}
    for solver in ("min_cut", "milp"):
        with pytest.raises(OptionError, match="exclude each other"):
            optimal_partition(costs, [Edge("a", "b", 1)], border, solver=solver)


def test_a_wrong_table_names_every_reason() -> None:
    with pytest.raises(OptionError) as caught:
        optimal_partition(
            {"a": {"ann": math.nan}, "b": {}, "c": {"ann": 1.0}},
            fixed={"c": "snn"},
        )
    assert len(caught.value.reasons) == 3


def test_a_planted_fault_is_seen() -> None:
    """Pricing an encoding per consumer, the usual mistake, does not pass the brute force."""
    problem = make_problem(
        {"u": {"ann": 2.0}, "a": {"ann": 4.0, "snn": 1.0}, "b": {"ann": 4.0, "snn": 1.0}},
        [Conversion("u", "ann", "snn", ("a", "b"), 5.0)],
    )
    per_edge = make_problem(
        problem.costs, [Conversion("u", "ann", "snn", (name,), 5.0) for name in "ab"]
    )
    with pytest.raises(AssertionError):
        same(solve_min_cut(per_edge), brute_force(problem))
