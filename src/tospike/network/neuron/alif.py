"""``alif``: leaky integrate and fire with a threshold that rises with every own spike.

    b <- rho b + (1 - rho) z_before ;   B = threshold + scale b
    v <- v_rest + beta (v - v_rest) + gain I ;   z = 1 if v >= B else 0
    soft reset subtracts B, hard reset sets v

Source: Bellec 2018 (LSNN, neurons with adaptive threshold). sinabs' ALIF is this model with
gain = 1 - beta (norm_input=True) or 1.

b : adaptation, 0 at rest. rho : its decay per step, in [0, 1]. scale : what b = 1 adds to the
threshold. z_before : output of the step before. v_rest, threshold, beta, gain : as in ``lif``.
Reset delay 1: in the next step, with the B of the spike; soft reset after the leak, hard reset
before it. Valid for threshold > v_rest, scale >= 0.
"""

from __future__ import annotations

import numpy as np

from tospike.network.neuron.common import FIRING, after_spike, fire, reset_value, value
from tospike.network.neuron.record import Floats, NeuronModel, Reset, Values


def step(
    state: Values, current: Floats, parameters: Values, reset: Reset
) -> tuple[dict[str, Floats], Floats]:
    v, b, before = state["v"], state["b"], state["z"]
    base, scale = value(parameters, "threshold"), value(parameters, "scale")
    rest, beta, rho = (value(parameters, name) for name in ("v_rest", "beta", "rho"))
    last = base + scale * b
    if reset.delay and reset.kind == "hard":
        v = np.where(before > 0, reset_value(parameters, reset), v)
    v = rest + beta * (v - rest) + value(parameters, "gain") * current
    if reset.delay and reset.kind == "soft":
        v = v - before * last
    b = rho * b + (1.0 - rho) * before
    threshold = base + scale * b
    z = fire(v, threshold, parameters)
    return {"v": after_spike(v, z, threshold, parameters, reset), "b": b, "z": z}, z


MODEL = NeuronModel(
    name="alif",
    parameters=("beta", "rho", "scale", "gain", "v_rest", *FIRING),
    states=("v", "b", "z"),
    signal="spike",
    idle_updates=True,
    multiplications=3,
    additions=4,
    comparisons=1,
    step=step,
    source="bellec_2018",
    locator="LSNN model, adaptive threshold",
)
