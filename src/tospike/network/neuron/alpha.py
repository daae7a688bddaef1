"""``alpha``: potential as the difference of an excitatory and an inhibitory current (snnTorch).

    i_exc <- alpha i_exc + I ;   i_inh <- beta i_inh - I
    v = tau_alpha (i_exc + i_inh) ,   tau_alpha = ln(alpha) / (ln(beta) - ln(alpha)) + 1
    z = 1 if v >= threshold else 0

Source: Eshraghian 2023 (snnTorch, class Alpha). What a spike does is snnTorch's and always comes
one step late: hard reset sets v and both currents to 0; soft reset takes threshold off i_exc,
clears i_inh and adds the old i_inh to v.

alpha > beta, both in (0, 1) : decays per step of the two currents. Valid for reset delay 1 and,
with a hard reset, for the value 0 only; anything else raises ``OptionError``.
"""

from __future__ import annotations

import numpy as np

from tospike.errors import OptionError
from tospike.network.neuron.common import delayed, fire, value
from tospike.network.neuron.record import Floats, NeuronModel, Reset, Values


def step(
    state: Values, current: Floats, parameters: Values, reset: Reset
) -> tuple[dict[str, Floats], Floats]:
    if reset.kind != "none" and (reset.delay != 1 or (reset.kind == "hard" and reset.value != 0)):
        raise OptionError(
            "step neurons of the model 'alpha'",
            received=f"a {reset.kind} reset with delay {reset.delay} and value {reset.value:g}",
            allowed="delay 1, and a hard reset to 0",
            fix="give reset_delay=1, as snnTorch does",
        )
    i_exc, i_inh, threshold = state["i_exc"], state["i_inh"], value(parameters, "threshold")
    alpha, beta = value(parameters, "alpha"), value(parameters, "beta")
    before = delayed(state["v"], threshold, parameters, reset)
    tau_alpha = np.log(alpha) / (np.log(beta) - np.log(alpha)) + 1.0
    new_exc = alpha * i_exc + current
    new_inh = beta * i_inh - current
    v = tau_alpha * (new_exc + new_inh)
    if reset.kind == "hard":
        new_exc, new_inh, v = (np.where(before > 0, 0.0, x) for x in (new_exc, new_inh, v))
    elif reset.kind == "soft":
        new_exc = new_exc - threshold * before
        v = v + i_inh * before
        new_inh = np.where(before > 0, 0.0, new_inh)
    z = fire(v, threshold, parameters)
    return {"v": v, "i_exc": new_exc, "i_inh": new_inh}, z


MODEL = NeuronModel(
    name="alpha",
    parameters=("alpha", "beta", "threshold", "strict", "max_spikes"),
    states=("v", "i_exc", "i_inh"),
    signal="spike",
    idle_updates=True,
    multiplications=3,
    additions=5,
    comparisons=1,
    step=step,
    source="eshraghian_2023",
    locator="class Alpha",
)
