"""``if``: integrate and fire, no leak.

    v <- v + gain I ;   z = 1 if v >= threshold else 0 ;   reset

Source: Pedersen 2024, Table 1 (IF: dv/dt = R I), one forward Euler step with gain = R dt, which
is exact for a current that is constant over the step.

v, threshold : potential, in units of the weights. I : input current of the step. gain : 1 unless
given. Ties, several events per step and the lower bound: see ``common``.
Reset delay 1 (snnTorch): the stored v shows the crossing; in the next step soft reset gives
v + gain I - threshold, hard reset gives value + gain I.
Valid for threshold > 0.
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
    v = v + value(parameters, "gain") * current
    if reset.kind == "soft":
        v = v - before * threshold
    z = fire(v, threshold, parameters)
    return {"v": after_spike(v, z, threshold, parameters, reset)}, z


MODEL = NeuronModel(
    name="if",
    parameters=("gain", *FIRING),
    states=("v",),
    signal="spike",
    idle_updates=False,
    multiplications=0,
    additions=2,
    comparisons=1,
    step=step,
    source="pedersen_2024",
    locator="Table 1, IF",
)
