"""What the neuron models share: optional parameters, firing and the reset.

Optional parameters, with the value that they have where a population does not give them:

gain = 1 (scale of the input), v_rest = 0 (potential without input), strict = 0, max_spikes = 1,
v_min = -inf (lower bound of the potential after the reset); v_reset: potential after a hard reset,
per neuron, in place of ``Reset.value``.

``strict`` states what an exact tie does: 0 fires at v >= threshold (SpikingJelly, sinabs),
1 fires only at v > threshold (snnTorch, Norse, NIR). ``max_spikes`` is the most events of one
step: 1 for ordinary neurons, infinity for sinabs' multi-spike neurons, which emit
trunc(v / threshold) events.
"""

from __future__ import annotations

import math

import numpy as np

from tospike.errors import OptionError
from tospike.network.neuron.record import Floats, Reset, Values

OPTIONAL: dict[str, float] = {
    "gain": 1.0,
    "gain_in": 1.0,
    "v_rest": 0.0,
    "strict": 0.0,
    "max_spikes": 1.0,
    "v_min": -math.inf,
    "current_delay": 0.0,
}

#: parameters of every model that fires
FIRING = ("threshold", "v_reset", "strict", "max_spikes", "v_min")


def value(parameters: Values, name: str) -> Floats:
    """A parameter, or its value where the population does not give it.

    Raises :class:`OptionError` for a missing parameter that has none.
    """
    if name in parameters:
        return np.asarray(parameters[name], np.float64)
    if name not in OPTIONAL:
        raise OptionError(
            "step the neurons",
            received=f"parameters {', '.join(sorted(parameters)) or 'none'}",
            fix=f"give the parameter {name!r}",
        )
    return np.asarray(OPTIONAL[name], np.float64)


def fire(v: Floats, threshold: Floats, parameters: Values) -> Floats:
    """Events of one step: 0 or 1, or up to ``max_spikes`` where that is more than 1."""
    strict = value(parameters, "strict") > 0
    crossed = np.where(strict, v > threshold, v >= threshold)
    most = value(parameters, "max_spikes")
    if np.all(most == 1):
        return crossed.astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        several = np.minimum(np.trunc(v / threshold), most)
    return np.where(most == 1, crossed, np.where(v > 0, several, 0.0)).astype(np.float64)


def delayed(v: Floats, threshold: Floats, parameters: Values, reset: Reset) -> Floats:
    """Events of the step before, read off the stored potential (reset delay 1); else 0."""
    if reset.delay not in (0, 1):
        raise OptionError(
            "step the neurons", received=f"a reset delay of {reset.delay}", allowed="0 or 1"
        )
    if reset.delay == 0 or reset.kind == "none":
        return np.zeros_like(v)
    return fire(v, threshold, parameters)


def reset_value(parameters: Values, reset: Reset) -> Floats:
    """The potential after a hard reset."""
    return np.asarray(parameters.get("v_reset", np.asarray(reset.value)), np.float64)


def after_spike(
    v: Floats, z: Floats, threshold: Floats, parameters: Values, reset: Reset
) -> Floats:
    """The potential to store: reset at once where ``reset.delay`` is 0, then bounded."""
    if reset.delay == 0:
        if reset.kind == "soft":
            v = v - z * threshold
        elif reset.kind == "hard":
            v = np.where(z > 0, reset_value(parameters, reset), v)
    return np.maximum(v, value(parameters, "v_min"))
