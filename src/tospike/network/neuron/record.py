"""``NeuronModel``, ``Neurons`` and ``Reset``: the description of a neuron. Frozen records."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
#: name of a parameter or state variable -> value; arrays broadcast against (samples, *shape)
Values = Mapping[str, Floats]

ResetKind = Literal["hard", "soft", "none"]
Signal = Literal["spike", "analog"]


@dataclass(frozen=True, slots=True)
class Reset:
    """What a spike does to the membrane potential.

    kind : "hard" sets it to ``value``, "soft" subtracts the threshold, "none" leaves it.
    value : the potential after a hard reset.
    delay : steps between the spike and the reset: 0, or 1 (the reset acts at the start of the
        next step, so the stored potential still shows the crossing).
    """

    kind: ResetKind = "soft"
    value: float = 0.0
    delay: int = 0


@dataclass(frozen=True, slots=True)
class NeuronModel:
    """One neuron model: one file in this package, one line in ``NEURONS``.

    Attributes
    ----------
    name : key in ``NEURONS``: "if", "lif", "cuba_lif", ...
    parameters : names of the parameters that :attr:`step` reads (discrete time, per step).
    states : state variables that are stored from one step to the next ("v", "i", ...).
    signal : "spike" (0 or 1) or "analog" (graded values, or several spikes in one step).
    idle_updates : True if a state changes without input (leak, decay), so that every neuron is
        updated at every step; False if only neurons that receive something are (IF).
    multiplications, additions, comparisons : of one update of one neuron, reset included.
    step : ``step(state, current, parameters, reset) -> (new state, output)``; arrays
        (samples, *shape) in float64, no side effects; reads like the paper.
    source : bibliography key; locator : where in it.
    """

    name: str
    parameters: tuple[str, ...]
    states: tuple[str, ...]
    signal: Signal
    idle_updates: bool
    multiplications: int
    additions: int
    comparisons: int
    step: Callable[[Values, Floats, Values, Reset], tuple[dict[str, Floats], Floats]]
    source: str
    locator: str


@dataclass(frozen=True, slots=True)
class Neurons:
    """A population found in a model.

    name : of the module or node. model : key in ``NEURONS``. cls : full name of the class or
    node type that it was read from. parameters : values as the framework uses them per step.
    """

    name: str
    model: str
    cls: str
    signal: Signal
    reset: Reset
    parameters: Mapping[str, Floats] = field(default_factory=dict)
    n_neurons: int = 0
