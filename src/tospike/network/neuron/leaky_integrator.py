"""``li``: leaky integrator. It never fires; its potential is the output.

    v <- v_rest + beta (v - v_rest) + gain I

Source: Pedersen 2024, Table 1 (LI: tau dv/dt = (v_leak - v) + R I); beta and gain as in ``lif``.
The reset is not used.
"""

from __future__ import annotations

from tospike.network.neuron.common import value
from tospike.network.neuron.record import Floats, NeuronModel, Reset, Values


def step(
    state: Values, current: Floats, parameters: Values, reset: Reset
) -> tuple[dict[str, Floats], Floats]:
    rest = value(parameters, "v_rest")
    decayed = rest + value(parameters, "beta") * (state["v"] - rest)
    v = decayed + value(parameters, "gain") * current
    return {"v": v}, v


MODEL = NeuronModel(
    name="li",
    parameters=("beta", "gain", "v_rest"),
    states=("v",),
    signal="analog",
    idle_updates=True,
    multiplications=1,
    additions=1,
    comparisons=0,
    step=step,
    source="pedersen_2024",
    locator="Table 1, LI",
)
