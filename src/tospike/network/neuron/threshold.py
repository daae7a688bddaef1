"""``threshold``: a comparison without memory.

    z = 1 if I >= threshold else 0     (strict = 1: I > threshold)

Source: Pedersen 2024, Table 1 (Threshold). The reset is not used.
"""

from __future__ import annotations

import numpy as np

from tospike.network.neuron.common import fire, value
from tospike.network.neuron.record import Floats, NeuronModel, Reset, Values


def step(
    state: Values, current: Floats, parameters: Values, reset: Reset
) -> tuple[dict[str, Floats], Floats]:
    return {}, fire(np.asarray(current, np.float64), value(parameters, "threshold"), parameters)


MODEL = NeuronModel(
    name="threshold",
    parameters=("threshold", "strict"),
    states=(),
    signal="spike",
    idle_updates=False,
    multiplications=0,
    additions=0,
    comparisons=1,
    step=step,
    source="pedersen_2024",
    locator="Table 1, Threshold",
)
