"""``i``: integrator. It never fires; its potential is the output.

    v <- v + gain I

Source: Pedersen 2024, Table 1 (I: dv/dt = R I), with gain = R dt; exact for a current that is
constant over the step. The reset is not used.
"""

from __future__ import annotations

from tospike.network.neuron.common import value
from tospike.network.neuron.record import Floats, NeuronModel, Reset, Values


def step(
    state: Values, current: Floats, parameters: Values, reset: Reset
) -> tuple[dict[str, Floats], Floats]:
    v = state["v"] + value(parameters, "gain") * current
    return {"v": v}, v


MODEL = NeuronModel(
    name="i",
    parameters=("gain",),
    states=("v",),
    signal="analog",
    idle_updates=False,
    multiplications=0,
    additions=1,
    comparisons=0,
    step=step,
    source="pedersen_2024",
    locator="Table 1, I",
)
