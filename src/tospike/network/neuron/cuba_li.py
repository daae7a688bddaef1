"""``cuba_li``: leaky integrator behind a decaying synaptic current. Its potential is the output.

    i <- alpha i + gain_in I
    v <- v_rest + beta (v - v_rest) + gain i

Source: Pedersen 2024, Table 1 (CubaLI); legend and current_delay as in ``cuba_lif``. The reset is
not used.
"""

from __future__ import annotations

import numpy as np

from tospike.network.neuron.common import value
from tospike.network.neuron.record import Floats, NeuronModel, Reset, Values


def step(
    state: Values, current: Floats, parameters: Values, reset: Reset
) -> tuple[dict[str, Floats], Floats]:
    v, i, rest = state["v"], state["i"], value(parameters, "v_rest")
    new_i = value(parameters, "alpha") * i + value(parameters, "gain_in") * current
    drive = np.where(value(parameters, "current_delay") > 0, i, new_i)
    v = rest + value(parameters, "beta") * (v - rest) + value(parameters, "gain") * drive
    return {"v": v, "i": new_i}, v


MODEL = NeuronModel(
    name="cuba_li",
    parameters=("alpha", "beta", "gain_in", "gain", "v_rest", "current_delay"),
    states=("v", "i"),
    signal="analog",
    idle_updates=True,
    multiplications=2,
    additions=2,
    comparisons=0,
    step=step,
    source="pedersen_2024",
    locator="Table 1, CubaLI",
)
