"""``lif_input_decay``: leaky integrate and fire whose input is scaled like its leak.

    v <- v + (I - (v - v_rest)) / tau ;   z = 1 if v >= threshold else 0 ;   reset

Source: Fang 2023 (SpikingJelly, LIFNode with decay_input=True): forward Euler of
tau dv/dt = -(v - v_rest) + I with a step of 1. It equals ``lif`` with beta = 1 - 1/tau and
gain = 1/tau; the operations stand in SpikingJelly's order, so that rounding is the same too.

v, v_rest, threshold : potentials, in units of the weights. tau : time constant in steps.
Reset delay 1: as in ``lif``.
Valid for tau >= 1 and threshold > v_rest.
"""

from __future__ import annotations

import numpy as np

from tospike.network.neuron.common import FIRING, after_spike, delayed, fire, reset_value, value
from tospike.network.neuron.record import Floats, NeuronModel, Reset, Values


def step(
    state: Values, current: Floats, parameters: Values, reset: Reset
) -> tuple[dict[str, Floats], Floats]:
    v, threshold = state["v"], value(parameters, "threshold")
    before = delayed(v, threshold, parameters, reset)
    if reset.kind == "hard":
        v = np.where(before > 0, reset_value(parameters, reset), v)
    v = v + (current - (v - value(parameters, "v_rest"))) / value(parameters, "tau")
    if reset.kind == "soft":
        v = v - before * threshold
    z = fire(v, threshold, parameters)
    return {"v": after_spike(v, z, threshold, parameters, reset)}, z


MODEL = NeuronModel(
    name="lif_input_decay",
    parameters=("tau", "v_rest", *FIRING),
    states=("v",),
    signal="spike",
    idle_updates=True,
    multiplications=1,
    additions=4,
    comparisons=1,
    step=step,
    source="fang_2023",
    locator="LIFNode, decay_input=True",
)
