"""The cheapest assignment of a mode to every layer, with the borders priced. Exact.

The problem: every layer gets one of its modes; energy = sum of the layers' energies in their mode
+ sum of the conversions that the assignment needs. A :class:`Conversion` is paid ONCE per
producing population, however many consumers take its product (a hyper-edge): the spikes of a
population that three layers read are made once.

Two exact solvers:

- :func:`solve_min_cut`: two modes and conversions >= 0, the usual case. One auxiliary node per
  conversion makes the hyper-edge exact (the energy is then a submodular function and a minimum
  s-t cut finds its minimum; Kolmogorov and Zabih, IEEE TPAMI 26(2), 2004). Capacities are
  integers, so that no rounding of floats can change the cut.
- :func:`solve_milp`: any number of modes, negative conversions, the k best, and a linear
  surrogate of the accuracy. HiGHS through ``scipy.optimize.milp``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tospike.errors import OptionError, TospikeError
from tospike.implementation import Mode, Partition
from tospike.network import Edge

#: layer -> mode -> joule
LayerCosts = Mapping[str, Mapping[Mode, float]]
#: (source, target, mode of source, mode of target, values) -> joule; ``math.inf`` forbids it
BorderCost = Callable[[str, str, Mode, Mode, int], float]

#: resolution of the integer capacities of the minimum cut, relative to the largest energy
_RESOLUTION = 2**52
#: range to which the energies are scaled for HiGHS, whose absolute tolerances are 1e-6 to 1e-7
_MILP_RANGE = 1e4


@dataclass(frozen=True, slots=True)
class Conversion:
    """Energy paid once if ``source`` runs in ``source_mode`` and any target in ``target_mode``.

    ``energy`` in joule; ``math.inf`` forbids the border.
    """

    source: str
    source_mode: Mode
    target_mode: Mode
    targets: tuple[str, ...]
    energy: float


@dataclass(frozen=True, slots=True)
class PartitionProblem:
    """A checked problem. Every source of a conversion that has no costs is fixed at 0 J.

    Attributes
    ----------
    costs : layer -> mode -> joule; the modes listed are the modes allowed.
    conversions : what borders cost.
    loss : layer -> mode -> loss of accuracy attributed to that choice (a linear surrogate).
    loss_budget : upper bound on the sum of ``loss``; infinite: no bound.
    excluded : assignments that must not be returned.
    """

    costs: LayerCosts
    conversions: tuple[Conversion, ...] = ()
    loss: Mapping[str, Mapping[Mode, float]] = field(default_factory=dict)
    loss_budget: float = math.inf
    excluded: tuple[Mapping[str, Mode], ...] = ()

    def energy(self, modes: Mapping[str, Mode]) -> float:
        """Energy of one assignment in joule, by direct evaluation (inf if it is forbidden)."""
        total = math.fsum(self.costs[layer][modes[layer]] for layer in self.costs)
        for conversion in self.conversions:
            if modes[conversion.source] == conversion.source_mode and any(
                modes[target] == conversion.target_mode for target in conversion.targets
            ):
                total += conversion.energy
        return total

    @property
    def modes(self) -> tuple[Mode, ...]:
        """All modes in order of first appearance."""
        return tuple(dict.fromkeys(mode for table in self.costs.values() for mode in table))

    @property
    def plain(self) -> bool:
        """True if the minimum cut can solve it: two modes, conversions >= 0, no side conditions."""
        return (
            len(self.modes) <= 2
            and not self.excluded
            and math.isinf(self.loss_budget)
            and all(item.energy >= 0 for item in self.conversions)
            and all(item.source_mode != item.target_mode for item in self.conversions)
        )


@dataclass(frozen=True, slots=True)
class Solution:
    """An optimal assignment and its energy in joule."""

    partition: Partition
    energy: float


def conversions_of(
    edges: Iterable[Edge],
    border_cost: BorderCost,
    modes: Sequence[Mode] = ("ann", "snn"),
) -> tuple[Conversion, ...]:
    """One conversion per (source, mode of source, mode of targets), over all targets.

    ``border_cost(u, v, mode_u, mode_v, n_values)`` prices one edge; the population is converted
    once, so the dearest of its edges is what is paid. A border that is forbidden (inf) on one
    edge stays forbidden on that edge only.
    """
    outgoing: dict[str, list[Edge]] = {}
    for edge in edges:
        outgoing.setdefault(edge.source, []).append(edge)
    found = []
    for source, group in outgoing.items():
        for mode_source in modes:
            for mode_target in modes:
                if mode_source == mode_target:
                    continue
                prices = {
                    edge.target: border_cost(
                        source, edge.target, mode_source, mode_target, edge.n_values
                    )
                    for edge in group
                }
                allowed = tuple(name for name, price in prices.items() if math.isfinite(price))
                price = max((prices[name] for name in allowed), default=0.0)
                if price != 0.0:
                    found.append(Conversion(source, mode_source, mode_target, allowed, price))
                found += [
                    Conversion(source, mode_source, mode_target, (name,), math.inf)
                    for name, value in prices.items()
                    if not math.isfinite(value)
                ]
    return tuple(found)


def make_problem(
    costs: LayerCosts,
    conversions: Iterable[Conversion] = (),
    *,
    fixed: Mapping[str, Mode] | None = None,
    loss: Mapping[str, Mapping[Mode, float]] | None = None,
    loss_budget: float = math.inf,
    excluded: Iterable[Mapping[str, Mode]] = (),
) -> PartitionProblem:
    """Check and complete a problem.

    ``fixed`` holds a layer in one mode; sources without costs (the network input) may stand
    there and are "ann" otherwise. Raises :class:`OptionError` with every reason.
    """
    fixed = dict(fixed or {})
    conversions = tuple(conversions)
    reasons = [f"layer {name!r} has no mode" for name, table in costs.items() if not table]
    reasons += [
        f"layer {name!r} in mode {mode!r} has the energy {value!r}"
        for name, table in costs.items()
        for mode, value in table.items()
        if not math.isfinite(value)
    ]
    reasons += [
        f"layer {name!r} is fixed at {mode!r}, which has no energy"
        for name, mode in fixed.items()
        if name in costs and mode not in costs[name]
    ]
    for item in conversions:
        if math.isnan(item.energy) or item.energy == -math.inf:
            reasons.append(f"conversion at {item.source!r} has the energy {item.energy!r}")
        reasons += [
            f"conversion at {item.source!r} names the unknown layer {target!r}"
            for target in item.targets
            if target not in costs
        ]
    if reasons:
        raise OptionError(
            "find the best partition",
            allowed="finite energies, known layers",
            fix="check the table of energies",
            reasons=reasons,
        )
    complete: dict[str, Mapping[Mode, float]] = {
        name: ({fixed[name]: table[fixed[name]]} if name in fixed else dict(table))
        for name, table in costs.items()
    }
    for item in conversions:
        complete.setdefault(item.source, {fixed.get(item.source, "ann"): 0.0})
    return PartitionProblem(complete, conversions, loss or {}, loss_budget, tuple(excluded))


def optimal_partition(
    costs: LayerCosts,
    edges: Iterable[Edge] = (),
    border_cost: BorderCost | None = None,
    *,
    conversions: Iterable[Conversion] | None = None,
    fixed: Mapping[str, Mode] | None = None,
    loss: Mapping[str, Mapping[Mode, float]] | None = None,
    loss_budget: float = math.inf,
    excluded: Iterable[Mapping[str, Mode]] = (),
    solver: str = "auto",
) -> Solution:
    """The assignment of least energy. Give ``border_cost`` for the edges, or ``conversions``.

    ``solver``: "auto", "min_cut" or "milp". Raises :class:`OptionError` if nothing satisfies the
    fixed modes, forbidden borders and bounds.
    """
    modes = tuple(dict.fromkeys(mode for table in costs.values() for mode in table))
    if conversions is None:
        conversions = conversions_of(edges, border_cost, modes) if border_cost else ()
    problem = make_problem(
        costs, conversions, fixed=fixed, loss=loss, loss_budget=loss_budget, excluded=excluded
    )
    if solver not in ("auto", "min_cut", "milp"):
        raise OptionError(
            "find the best partition", received=repr(solver), allowed="auto, min_cut, milp"
        )
    if solver == "min_cut" and not problem.plain:
        raise OptionError(
            "find the best partition with a minimum cut",
            received="more than two modes, a negative conversion or a side condition",
            allowed="two modes, conversions >= 0",
            fix="use solver='milp'",
        )
    found = solve_min_cut(problem) if problem.plain and solver != "milp" else solve_milp(problem)
    if found is None:
        raise _infeasible()
    return found


def k_best(problem: PartitionProblem, k: int) -> tuple[Solution, ...]:
    """The ``k`` best different assignments, cheapest first; fewer if there are no more.

    Every one found is cut off by one linear inequality (a no-good cut), so the order is exact.
    """
    found: list[Solution] = []
    current = problem
    while len(found) < k:
        best = solve_min_cut(current) if current.plain else solve_milp(current)
        if best is None:
            break
        found.append(best)
        current = PartitionProblem(
            current.costs,
            current.conversions,
            current.loss,
            current.loss_budget,
            (*current.excluded, best.partition.modes),
        )
    return tuple(found)


def _infeasible() -> TospikeError:
    return OptionError(
        "find the best partition",
        received="fixed modes, forbidden borders and bounds that exclude each other",
        fix="free a layer, or relax the bound on the loss of accuracy",
    )


def solve_min_cut(problem: PartitionProblem) -> Solution | None:
    """Exact optimum by a minimum s-t cut; None if there is no assignment. See the module text."""
    import networkx as nx

    modes = problem.modes
    first = modes[0]
    second = modes[1] if len(modes) > 1 else None
    largest = max(
        [abs(value) for table in problem.costs.values() for value in table.values()]
        + [item.energy for item in problem.conversions if math.isfinite(item.energy)]
        + [0.0]
    )
    scale = _RESOLUTION / largest if largest else 1.0
    graph: Any = nx.DiGraph()
    graph.add_nodes_from(("source", "sink"))
    # A layer on the side of the source runs in the first mode.
    for name, table in problem.costs.items():
        base = min(table.values())
        _arc(graph, "source", ("layer", name), table.get(second) if second else None, base, scale)
        _arc(graph, ("layer", name), "sink", table.get(first), base, scale)
    for index, item in enumerate(problem.conversions):
        node, source = ("conversion", index), ("layer", item.source)
        forward = item.source_mode == first
        tail, head = (source, node) if forward else (node, source)
        _arc(graph, tail, head, None if math.isinf(item.energy) else item.energy, 0.0, scale)
        for target in item.targets:
            tail, head = (node, ("layer", target)) if forward else (("layer", target), node)
            _arc(graph, tail, head, None, 0.0, scale)
    try:
        _, (side, _) = nx.minimum_cut(
            graph, "source", "sink", flow_func=nx.algorithms.flow.preflow_push
        )
    except nx.NetworkXUnbounded:
        return None
    chosen: dict[str, Mode] = {
        name: first if ("layer", name) in side or second is None else second
        for name in problem.costs
    }
    return Solution(Partition(chosen), problem.energy(chosen))


def _arc(
    graph: Any, tail: object, head: object, energy: float | None, base: float, scale: float
) -> None:
    """An arc of capacity ``energy - base``; None is infinite (no capacity attribute)."""
    if energy is None:
        graph.add_edge(tail, head)
    elif energy > base:
        graph.add_edge(tail, head, capacity=round((energy - base) * scale))


def solve_milp(problem: PartitionProblem) -> Solution | None:
    """Exact optimum by mixed-integer linear programming; None if there is no assignment.

    One binary per (layer, mode), one variable in [0, 1] per conversion, which is integral at an
    integral assignment.
    """
    import numpy as np
    from scipy.optimize import Bounds, LinearConstraint, milp
    from scipy.sparse import csr_array

    column = {
        key: index
        for index, key in enumerate(
            (name, mode) for name, table in problem.costs.items() for mode in table
        )
    }
    n_binary = len(column)
    rows = _rows(problem, column)
    objective = np.zeros(n_binary + len(problem.conversions))
    for (name, mode), index in column.items():
        table = problem.costs[name]
        objective[index] = table[mode] - min(table.values())
    upper = np.ones_like(objective)
    for number, item in enumerate(problem.conversions):
        if math.isinf(item.energy):
            upper[n_binary + number] = 0.0
        else:
            objective[n_binary + number] = item.energy
    spread = float(np.abs(objective).sum())
    if spread:
        objective *= _MILP_RANGE / spread
    lows, highs = [low for _, low, _ in rows], [high for _, _, high in rows]
    triplets = [(r, c, v) for r, (row, _, _) in enumerate(rows) for c, v in row.items()]
    matrix = csr_array(
        ([v for _, _, v in triplets], ([r for r, _, _ in triplets], [c for _, c, _ in triplets])),
        shape=(len(rows), len(objective)),
    )
    integrality = np.zeros_like(objective)
    integrality[:n_binary] = 1
    result = milp(
        objective,
        constraints=LinearConstraint(matrix, lows, highs),
        bounds=Bounds(np.zeros_like(objective), upper),
        integrality=integrality,
        options={"mip_rel_gap": 0.0},
    )
    if result.status == 2:
        return None
    if result.x is None:
        raise OptionError(
            "find the best partition", received=f"HiGHS: {result.message}", fix="use fewer layers"
        )
    chosen: dict[str, Mode] = {
        name: max((float(result.x[column[name, mode]]), mode) for mode in table)[1]
        for name, table in problem.costs.items()
    }
    return Solution(Partition(chosen), problem.energy(chosen))


Row = tuple[dict[int, float], float, float]


def _rows(problem: PartitionProblem, column: Mapping[tuple[str, Mode], int]) -> list[Row]:
    """Constraints as (coefficients, lower bound, upper bound)."""
    n_binary = len(column)
    rows: list[Row] = [
        ({column[name, mode]: 1.0 for mode in table}, 1.0, 1.0)
        for name, table in problem.costs.items()
    ]
    for number, item in enumerate(problem.conversions):
        paid = n_binary + number
        source = column.get((item.source, item.source_mode))
        targets = [
            column[target, item.target_mode]
            for target in item.targets
            if (target, item.target_mode) in column
        ]
        if source is None or not targets:
            rows.append(({paid: 1.0}, 0.0, 0.0))
            continue
        for target in targets:
            if target == source:
                rows.append(({paid: 1.0, source: -1.0}, 0.0, math.inf))
            else:
                rows.append(({paid: 1.0, source: -1.0, target: -1.0}, -1.0, math.inf))
        if item.energy < 0:  # a gain must be earned: both ends in their modes
            rows.append(({paid: 1.0, source: -1.0}, -math.inf, 0.0))
            rows.append(({paid: 1.0, **dict.fromkeys(targets, -1.0)}, -math.inf, 0.0))
    if math.isfinite(problem.loss_budget):
        losses = {
            index: problem.loss.get(name, {}).get(mode, 0.0)
            for (name, mode), index in column.items()
        }
        rows.append((losses, -math.inf, problem.loss_budget))
    for assignment in problem.excluded:
        # an assignment outside of the table never occurs and needs no row
        keys = [(name, assignment[name]) for name in problem.costs if name in assignment]
        if len(keys) == len(problem.costs) and all(key in column for key in keys):
            rows.append(({column[key]: 1.0 for key in keys}, -math.inf, len(keys) - 1.0))
    return rows
