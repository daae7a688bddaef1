"""``lif``: leaky integrate and fire.

    v <- v_rest + beta (v - v_rest) + gain I ;   z = 1 if v >= threshold else 0 ;   reset

Source: Pedersen 2024, Table 1 (LIF: tau dv/dt = (v_leak - v) + R I). beta = exp(-dt/tau) with
gain = (1 - beta) R is exact for a current that is constant over the step; beta = 1 - dt/tau with
gain = R dt/tau is forward Euler. With gain = 1 and v_rest = 0 it is snnTorch's Leaky (Eshraghian
2023), SpikingJelly's LIFNode(decay_input=False) and sinabs' LIF(norm_input=False).

v, v_rest, threshold : potentials, in units of the weights. beta : decay per step, in [0, 1].
Reset delay 1 (snnTorch): the stored v shows the crossing; in the next step soft reset subtracts
the threshold after the leak, hard reset sets v before leak and input.
Valid for threshold > v_rest; forward Euler for dt < 2 tau.
"""

from __future__ import annotations

import numpy as np

from tospike.network.neuron.common import FIRING, after_spike, delayed, fire, reset_value, value
from tospike.network.neuron.record import Floats, NeuronModel, Reset, Values


def step(
    state: Values, current: Floats, parameters: Values, reset: Reset
) -> tuple[dict[str, Floats], Floats]:
    v, threshold = state["v"], value(parameters, "threshold")
    rest, beta = value(parameters, "v_rest"), value(parameters, "beta")
    before = delayed(v, threshold, parameters, reset)
    if reset.kind == "hard":
        v = np.where(before > 0, reset_value(parameters, reset), v)
    v = rest + beta * (v - rest) + value(parameters, "gain") * current
    if reset.kind == "soft":
        v = v - before * threshold
    z = fire(v, threshold, parameters)
    return {"v": after_spike(v, z, threshold, parameters, reset)}, z


MODEL = NeuronModel(
    name="lif",
    parameters=("beta", "gain", "v_rest", *FIRING),
    states=("v",),
    signal="spike",
    idle_updates=True,
    multiplications=1,
    additions=2,
    comparisons=1,
    step=step,
    source="pedersen_2024",
    locator="Table 1, LIF",
)
