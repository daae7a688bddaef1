"""``cuba_lif``: leaky integrate and fire behind a decaying synaptic current.

    i <- alpha i + gain_in I
    v <- v_rest + beta (v - v_rest) + gain i ;   z = 1 if v >= threshold else 0 ;   reset

Source: Pedersen 2024, Table 1 (CubaLIF: tau_syn di/dt = -i + w_in S, tau_mem dv/dt =
(v_leak - v) + R i). With gain = gain_in = 1: snnTorch's Synaptic (Eshraghian 2023) and
SpikingJelly's CUBALIFNode; with gain_in = alpha and gain = 1 - beta: sinabs' LIF with tau_syn;
with gain = 1 - beta: Norse's LIFCell, whose stored current is alpha i.

i : synaptic current. alpha, beta : decays per step, in [0, 1]. current_delay : 0, the potential
sees the current of this step (as above, what the frameworks do); 1, the current before the update
(forward Euler of both equations at once).
Reset delay 1 (snnTorch): soft reset subtracts the threshold in the next step after the leak; hard
reset holds v at the reset value for the whole next step, whose input acts on i only.
Valid for threshold > v_rest.
"""

from __future__ import annotations

import numpy as np

from tospike.network.neuron.common import FIRING, after_spike, delayed, fire, reset_value, value
from tospike.network.neuron.record import Floats, NeuronModel, Reset, Values


def step(
    state: Values, current: Floats, parameters: Values, reset: Reset
) -> tuple[dict[str, Floats], Floats]:
    v, i, threshold = state["v"], state["i"], value(parameters, "threshold")
    rest, beta = value(parameters, "v_rest"), value(parameters, "beta")
    before = delayed(v, threshold, parameters, reset)
    late = value(parameters, "current_delay") > 0
    new_i = value(parameters, "alpha") * i + value(parameters, "gain_in") * current
    v = rest + beta * (v - rest) + value(parameters, "gain") * np.where(late, i, new_i)
    if reset.kind == "soft":
        v = v - before * threshold
    elif reset.kind == "hard":
        v = np.where(before > 0, reset_value(parameters, reset), v)
    z = fire(v, threshold, parameters)
    return {"v": after_spike(v, z, threshold, parameters, reset), "i": new_i}, z


MODEL = NeuronModel(
    name="cuba_lif",
    parameters=("alpha", "beta", "gain_in", "gain", "v_rest", "current_delay", *FIRING),
    states=("v", "i"),
    signal="spike",
    idle_updates=True,
    multiplications=2,
    additions=3,
    comparisons=1,
    step=step,
    source="pedersen_2024",
    locator="Table 1, CubaLIF",
)
