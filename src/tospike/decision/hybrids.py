"""Hybrids: the cheapest partitions by measured rates, found exactly; delta networks likewise.

The rates of a pure SNN run at one T price every layer as spiking, the quantised network prices it
as analog, the borders are priced once per producing population, and the optimum over all
partitions is exact. Rates change when earlier layers stay analog, so the best few are executed
and priced again with what they showed.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from tospike.activity import ActivityProfile
from tospike.decision.candidates import Candidate, modes_with
from tospike.decision.energy import Design, Pricer, energy_by_layer, energy_of
from tospike.decision.partition import (
    BorderCost,
    PartitionProblem,
    Solution,
    conversions_of,
    k_best,
    make_problem,
)
from tospike.equations import borders
from tospike.implementation import Implementation, Mode
from tospike.network import INPUT
from tospike.pricing import price


@dataclass(frozen=True)
class HybridProblem:
    """The partition problem at one T, with the two pure assignments for comparison."""

    timesteps: int
    problem: PartitionProblem
    pure_ann: Mapping[str, Mode]
    pure_snn: Mapping[str, Mode]

    def best(self) -> Solution:
        """The unrestricted optimum; at most the cheaper of the two pure assignments."""
        return k_best(self.problem, 1)[0]

    def best_mixed(self, k: int) -> tuple[Solution, ...]:
        """The ``k`` best assignments that are neither purely analog nor purely spiking."""
        excluded = (*self.problem.excluded, self.pure_ann, self.pure_snn)
        return k_best(replace(self.problem, excluded=excluded), k)


def hybrid_problem(
    pricer: Pricer, model: str, analog: Candidate, spiking: Candidate
) -> HybridProblem:
    """Price every layer in both modes, and the borders.

    ``analog`` is the quantised network whose widths the analog layers take, ``spiking`` the pure
    SNN at the T in question.
    """
    network = pricer.network
    layers = [layer.name for layer in network.synaptic_layers if layer.n_synapses]
    as_ann = energy_by_layer(pricer.cost(analog.design, model))
    as_snn = energy_by_layer(pricer.cost(replace(spiking.design, skip_events={}), model))
    free = set(spiking.design.spiking)
    costs: dict[str, dict[Mode, float]] = {}
    for name in layers:
        costs[name] = {"ann": as_ann.get(name, 0.0)}
        if name in free:
            costs[name]["snn"] = as_snn.get(name, 0.0)
    edges = [
        edge for edge in network.synaptic_edges if edge.target in costs and edge.source in costs
    ]
    implementation = spiking.design.implementation
    return HybridProblem(
        implementation.n_timesteps,
        make_problem(costs, conversions_of(edges, border_cost(pricer, implementation))),
        dict.fromkeys(layers, "ann"),
        {name: "snn" if name in free else "ann" for name in layers},
    )


def border_cost(pricer: Pricer, implementation: Implementation) -> BorderCost:
    """Joule of one border, by the equations of ``tospike.equations.borders``.

    Values are counted at the layer that produces them. A border at the network input counts the
    values of the edge.
    """
    network = pricer.network

    def joule(
        source: str, target: str, mode_source: Mode, mode_target: Mode, n_values: int
    ) -> float:
        values = n_values if source == INPUT else network[source].n_neurons
        if (mode_source, mode_target) == ("ann", "snn"):
            counts = borders.ann_to_snn(
                n_values=values,
                n_timesteps=implementation.n_timesteps,
                state_bits=implementation.state_bits,
            )
        elif (mode_source, mode_target) == ("snn", "ann"):
            counts = borders.snn_to_ann(
                n_values=values,
                state_bits=implementation.state_bits,
                iact_bits=implementation.activation_bits,
            )
        else:
            return 0.0
        return energy_of(price(counts, pricer.technology, sram_bytes=pricer.sram_bytes))

    return joule


def search_order(timesteps: Iterable[int], start: int, number: int) -> tuple[int, ...]:
    """The T to search: ``start`` (the SNN of the verdict) and fewer, then more steps."""
    steps = sorted(timesteps)
    below = [step for step in reversed(steps) if step <= start]
    above = [step for step in steps if step > start]
    return tuple((below + above)[:number])


def pick(problems: Iterable[HybridProblem], number: int) -> list[tuple[int, Solution]]:
    """(T, solution) of the partitions to execute: the best of every T first, then the second."""
    ranked = [(item.timesteps, item.best_mixed(number)) for item in problems]
    found: list[tuple[int, Solution]] = []
    for rank in range(number):
        for step, solutions in ranked:
            if rank < len(solutions) and len(found) < number:
                found.append((step, solutions[rank]))
    return found


def spiking_layers(solution: Solution) -> frozenset[str]:
    """Names of the spiking layers of a solution."""
    return frozenset(solution.partition.spiking)


def delta_modes(
    pricer: Pricer, model: str, activity: ActivityProfile, implementation: Implementation
) -> dict[str, Mode] | None:
    """Each layer with a measured temporal sparsity as delta where that is cheaper; else analog.

    The optional terms (weights off chip, communication) count in both. None where no layer gains
    or the threshold was not measured anywhere.
    """
    theta = implementation.delta_threshold
    layers = [layer.name for layer in pricer.network.synaptic_layers if layer.n_synapses]
    able = [
        name
        for name in layers
        if any(math.isclose(known, theta) for known in activity[name].temporal_sparsity)
    ]
    if not able:
        return None
    dense: dict[str, Mode] = dict(modes_with(pricer.network, ()))
    both: list[dict[str, Mode]] = [dense, {**dense, **dict.fromkeys(able, "delta")}]
    as_ann, as_delta = (
        energy_by_layer(pricer.cost(Design("", "delta", modes, activity, implementation), model))
        for modes in both
    )
    gains = [name for name in able if as_delta.get(name, 0.0) < as_ann.get(name, 0.0)]
    return {**dense, **dict.fromkeys(gains, "delta")} if gains else None
