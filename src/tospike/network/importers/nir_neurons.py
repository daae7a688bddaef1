"""NIR's continuous neurons as neurons of the table ``NEURONS``, with a time step.

NIR gives differential equations and no time step, no reset in discrete time and no rule for the
start. :class:`NirOptions` says all of it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from tospike.errors import ModelError, OptionError
from tospike.network.importers.nir_record import Array, NirGraph, NirNode
from tospike.network.importers.nir_types import TYPES
from tospike.network.neuron import Reset
from tospike.network.neuron.record import ResetKind

Discretisation = Literal["forward_euler", "exponential_euler"]


@dataclass(frozen=True)
class NirOptions:
    """How a NIR graph is executed.

    dt : time step in the unit of the graph's time constants (seconds, if it follows NIR).
    reset : "hard" sets v to v_reset; "soft" subtracts v_threshold (v_reset is not used); "none".
    reset_delay : 0, or 1: the reset acts in the next step (snnTorch's default).
    discretisation : "forward_euler": beta = 1 - dt/tau, gain = R dt/tau (SpikingJelly, snnTorch,
        Norse); "exponential_euler": beta = exp(-dt/tau), gain = R (1 - beta), exact for a current
        that is constant over a step (sinabs).
    tie_fires : False: a spike needs v > v_threshold, as NIR defines (snnTorch, Norse); True:
        v >= v_threshold (SpikingJelly, sinabs).
    current_delay : of CubaLI and CubaLIF. 0: v sees the synaptic current of the same step
        (frameworks); 1: that of the step before (forward Euler of both equations at once).
    initial : node name -> v(0); other neurons start from what the file's metadata says, else at
        v_leak, else (hard reset) at v_reset, else at 0.
    """

    dt: float
    reset: ResetKind
    reset_delay: int = 0
    discretisation: Discretisation = "forward_euler"
    tie_fires: bool = False
    current_delay: int = 0
    initial: Mapping[str, Any] | None = None


def checked_options(graph: NirGraph, options: NirOptions) -> NirOptions:
    """``options``, if they fit ``graph``; all reasons at once in an :class:`OptionError`."""
    reasons = []
    if not (isinstance(options.dt, int | float) and 0 < options.dt < math.inf):
        reasons.append(f"dt is {options.dt!r}; a positive number is needed")
    for name, allowed in (
        ("reset", ("hard", "soft", "none")),
        ("discretisation", ("forward_euler", "exponential_euler")),
        ("reset_delay", (0, 1)),
        ("current_delay", (0, 1)),
        ("tie_fires", (False, True)),
    ):
        value = getattr(options, name)
        if value not in allowed:
            listed = ", ".join(repr(a) for a in allowed)
            reasons.append(f"{name} is {value!r}; one of {listed} is needed")
    for name in options.initial or {}:
        if name not in graph.by_name or "v" not in _states(graph[name]):
            reasons.append(f"initial names {name!r}, which is no neuron of the graph")
    if not reasons:
        reasons = _step_faults(graph, options)
    if reasons:
        raise OptionError(f"run the NIR graph {graph.name!r}", reasons=reasons)
    return options


def options_from(
    graph: NirGraph,
    *,
    dt: float | None,
    reset: str | None,
    reset_delay: int | None,
    discretisation: str | None,
    tie_fires: bool | None,
    current_delay: int = 0,
    initial: Mapping[str, Any] | None = None,
) -> NirOptions:
    """Options from arguments; None means what the file's metadata says, else the default.

    dt and reset have no default: NIR does not state them and no value is safe.
    """
    kept = graph.metadata.get("tospike")
    said = dict(kept) if isinstance(kept, Mapping) else {}

    def choose(name: str, given: Any, default: Any) -> Any:
        found = said.get(name, default) if given is None else given
        return found.item() if isinstance(found, np.generic | np.ndarray) else found

    found = {
        "dt": choose("dt", dt, None),
        "reset": choose("reset", reset, None),
    }
    missing = [name for name, value in found.items() if value is None]
    if missing:
        raise OptionError(
            f"run the NIR graph {graph.name!r}",
            received=f"no {' and no '.join(missing)}",
            allowed="dt > 0 in the unit of the time constants; reset 'hard', 'soft' or 'none'",
            fix="say how the framework stepped it: SpikingJelly and snnTorch export with dt=1e-4",
        )
    return NirOptions(
        dt=found["dt"],
        reset=found["reset"],
        reset_delay=choose("reset_delay", reset_delay, 0),
        discretisation=choose("discretisation", discretisation, "forward_euler"),
        tie_fires=bool(choose("tie_fires", tie_fires, False)),
        current_delay=current_delay,
        initial=initial,
    )


def _states(node: NirNode) -> tuple[str, ...]:
    from tospike.network.neuron import NEURONS

    model = TYPES[node.type].model
    return NEURONS[model].states if model else ()


def _step_faults(graph: NirGraph, options: NirOptions) -> list[str]:
    """Time steps that forward Euler or a delay line cannot take."""
    reasons = []
    for node in graph.nodes:
        for name in ("tau", "tau_syn", "tau_mem"):
            if name not in node.parameters or options.discretisation != "forward_euler":
                continue
            least = float(np.min(node.array(name)))
            if options.dt > least * (1 + 1e-6):
                reasons.append(
                    f"node {node.name!r} ({node.type}): dt {options.dt:g} is longer than "
                    f"{name} {least:g}; forward Euler needs dt <= {name}"
                )
        if node.type == "Delay":
            ratio = node.array("delay") / options.dt
            whole = np.abs(ratio - np.round(ratio)) <= 1e-6 * np.maximum(1.0, ratio)
            if not np.all(whole & (ratio < 2**31)):
                reasons.append(
                    f"node {node.name!r} (Delay): {node.array('delay').reshape(-1)[:3].tolist()} "
                    f"is not a whole number of steps of {options.dt:g}"
                )
    return reasons


def delay_steps(node: NirNode, options: NirOptions) -> Any:
    """Delay of every value in steps, of the node's shape."""
    steps = np.round(node.array("delay") / options.dt).astype(np.int64)
    return np.broadcast_to(steps, node.in_shape)


def neuron_parameters(node: NirNode, options: NirOptions) -> tuple[dict[str, Array], Reset]:
    """Parameters per step of the neuron model of ``node``, and its reset.

    Pedersen 2024, Table 1: tau dv/dt = (v_leak - v) + R I and tau_syn di/dt = -i + w_in S, one
    step of ``options.dt``.
    """
    dt = options.dt
    found: dict[str, Array] = {"strict": np.asarray(0.0 if options.tie_fires else 1.0)}
    if node.type == "Threshold":
        found["threshold"] = node.array("threshold")
        return found, Reset("none")
    r = node.array("r")
    if "v_threshold" in node.parameters:
        found["threshold"] = node.array("v_threshold")
        zero = np.zeros_like(found["threshold"])
        found["v_reset"] = node.array("v_reset") if "v_reset" in node.parameters else zero
    if "v_leak" in node.parameters:
        found["v_rest"] = node.array("v_leak")
    if node.type in ("I", "IF"):
        found["gain"] = r * dt
    else:
        cuba = "tau_syn" in node.parameters
        tau = node.array("tau_mem" if cuba else "tau")
        found["beta"], share = _decay(tau, options)
        found["gain"] = r * share
        if cuba:
            w_in = node.array("w_in") if "w_in" in node.parameters else np.ones(())
            found["alpha"], share = _decay(node.array("tau_syn"), options)
            found["gain_in"] = w_in * share
            found["current_delay"] = np.asarray(float(options.current_delay))
    return found, Reset(options.reset, 0.0, options.reset_delay)


def _decay(tau: Array, options: NirOptions) -> tuple[Array, Array]:
    """(decay per step, share of the input): they add up to 1."""
    ratio = options.dt / tau
    if options.discretisation == "forward_euler":
        ratio = np.minimum(ratio, 1.0)
        return 1.0 - ratio, ratio
    return np.exp(-ratio), -np.expm1(-ratio)


def initial_potential(node: NirNode, options: NirOptions) -> Array:
    """v(0) of a neuron, broadcastable to its shape."""
    given = (options.initial or {}).get(node.name)
    source = "the argument initial"
    if given is None:
        kept = node.metadata.get("tospike")
        given = kept.get("v_initial") if isinstance(kept, Mapping) else None
        source = "the file's metadata"
    if given is None:
        for name in ("v_leak", *(("v_reset",) if options.reset == "hard" else ())):
            if name in node.parameters:
                return np.asarray(node.array(name), np.float64)
        return np.zeros(())
    try:
        value = np.asarray(given, np.float64)
        np.broadcast_to(value, node.in_shape)
        fault = "" if np.all(np.isfinite(value)) else "values that are not finite"
    except (TypeError, ValueError):
        fault = f"{np.shape(given)} values"
    if fault:
        raise ModelError(
            f"start the neurons {node.name!r}",
            received=f"{fault} in {source}",
            allowed=f"finite numbers that broadcast to {node.in_shape}",
        )
    return value
