"""sinabs 3: its neuron classes, one line each. Time is the second axis (B, T, ...).

Neurons with ``spike_fn=MultiSpike`` (sinabs' own choice for IAF and LIF) send several spikes in
one step. Such values are graded: their synapses multiply, or add several times.
"""

from __future__ import annotations

from typing import Any

from tospike.network.importers.neurons_record import NeuronClass, Reading, values
from tospike.network.neuron.record import Reset, Signal


def _max_spikes(module: Any) -> float:
    """Events that one neuron may send in one step."""
    name = getattr(module.spike_fn, "__name__", type(module.spike_fn).__name__)
    if name == "SingleSpike":
        return 1.0
    if name == "MaxSpike":
        most = module.spike_fn.max_num_spikes_per_bin
        return float("inf") if most is None else float(most)
    return float("inf")


def _signal(module: Any) -> Signal:
    return "spike" if _max_spikes(module) == 1 else "analog"


def _reset(module: Any) -> Reset:
    name = type(module.reset_fn).__name__
    if name == "MembraneReset":
        return Reset("hard", float(module.reset_fn.reset_value))
    return Reset("soft")


def _model(name: str, module: Any) -> str:
    """``name``, or a family beside it for a reset that no model of ``NEURONS`` has.

    ``MembraneReset`` with a value adds it to every neuron in every step, spike or not.
    """
    reset = module.reset_fn
    kind = type(reset).__name__
    subtracts = kind == "MembraneSubtract" and reset.subtract_value is None
    sets = kind == "MembraneReset" and reset.reset_value == 0
    return name if subtracts or sets else f"{name}_own_reset"


def _firing(module: Any) -> dict[str, Any]:
    found: dict[str, Any] = {"max_spikes": _max_spikes(module)}
    if module.min_v_mem is not None:
        found["v_min"] = module.min_v_mem
    return found


def _gain(module: Any) -> Any:
    return 1.0 - values(module.alpha_mem_calculated) if module.norm_input else 1.0


def _lif(module: Any) -> Reading:
    parameters = _firing(module) | {"threshold": module.spike_threshold}
    alpha = module.alpha_syn_calculated
    if alpha is not None:
        model = "cuba_lif"
        parameters |= {"alpha": alpha, "gain_in": alpha, "gain": _gain(module)}
        parameters |= {"beta": module.alpha_mem_calculated}
    elif values(module.alpha_mem_calculated).min() == 1:
        model = "if"
    else:
        model = "lif"
        parameters |= {"beta": module.alpha_mem_calculated, "gain": _gain(module)}
    return Reading(_model(model, module), parameters, _reset(module), _signal(module))


def _alif(module: Any) -> Reading:
    parameters = _firing(module) | {
        "threshold": module.b0,
        "scale": module.adapt_scale,
        "rho": module.alpha_adapt_calculated,
        "beta": module.alpha_mem_calculated,
        "gain": _gain(module),
    }
    model = "alif" if module.alpha_syn_calculated is None else "cuba_alif"
    return Reading(_model(model, module), parameters, _reset(module), _signal(module))


def _exp_leak(module: Any) -> Reading:
    parameters = {"beta": module.alpha_mem_calculated, "gain": _gain(module)}
    return Reading("li", parameters, signal="analog")


#: class -> how its instances are described
CLASSES: dict[str, NeuronClass] = {
    "sinabs.layers.IAF": NeuronClass(_lif, "second", signal="analog"),
    "sinabs.layers.IAFSqueeze": NeuronClass(_lif, "rows", signal="analog"),
    "sinabs.layers.IAFRecurrent": NeuronClass(_lif, "second", "rec_connect", signal="analog"),
    "sinabs.layers.LIF": NeuronClass(_lif, "second", signal="analog"),
    "sinabs.layers.LIFSqueeze": NeuronClass(_lif, "rows", signal="analog"),
    "sinabs.layers.LIFRecurrent": NeuronClass(_lif, "second", "rec_connect", signal="analog"),
    "sinabs.layers.ALIF": NeuronClass(_alif, "second"),
    "sinabs.layers.ALIFSqueeze": NeuronClass(_alif, "rows"),
    "sinabs.layers.ALIFRecurrent": NeuronClass(_alif, "second", "rec_connect"),
    "sinabs.layers.ExpLeak": NeuronClass(_exp_leak, "second", signal="analog"),
    "sinabs.layers.ExpLeakSqueeze": NeuronClass(_exp_leak, "rows", signal="analog"),
}


def reset(module: Any) -> None:
    """State before the first step: no buffers, which the next call makes as it needs them."""
    for name, buffer in module._buffers.items():
        if buffer is not None:
            module._buffers[name] = buffer.new_zeros(0)


#: class -> its function that puts the state back
RESETS = {"sinabs.layers.StatefulLayer": reset}
