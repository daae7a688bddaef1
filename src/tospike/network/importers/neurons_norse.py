"""Norse 1.1: its neuron classes, one line each.

The state is an argument and a result of every call. Sequences are (T, B, ...); cells take one
step. All fire above the threshold (``strict``); decays are forward Euler, 1 - dt / tau.
"""

from __future__ import annotations

from typing import Any

from tospike.network.importers.neurons_record import NeuronClass, Reading, same, values
from tospike.network.neuron.record import Reset


def _decay(module: Any, inverse: Any) -> Any:
    return 1.0 - module.dt * values(inverse)


def _firing(p: Any) -> dict[str, Any]:
    return {"threshold": p.v_th, "strict": 1.0}


def _hard(p: Any) -> Reset:
    return Reset("hard", float(values(p.v_reset)))


def _current(module: Any) -> dict[str, Any]:
    p = module.p
    beta = _decay(module, p.tau_mem_inv)
    return {
        "alpha": _decay(module, p.tau_syn_inv),
        "beta": beta,
        "gain": 1.0 - beta,
        "v_rest": p.v_leak,
    }


def _lif(module: Any) -> Reading:
    return Reading("cuba_lif", _firing(module.p) | _current(module), _hard(module.p))


def _lif_box(module: Any) -> Reading:
    """No synaptic current; the reset is a function of the parameters."""
    p = module.p
    beta = _decay(module, p.tau_mem_inv)
    parameters = _firing(p) | {"beta": beta, "gain": 1.0 - beta, "v_rest": p.v_leak}
    method = p.reset_method.__name__
    reset = {"reset_value": _hard(p), "reset_subtract": Reset("soft")}.get(method)
    model = "lif" if reset is not None else "lif_own_reset"
    return Reading(model, parameters, reset or Reset("none"))


def _iaf(module: Any) -> Reading:
    return Reading("if", _firing(module.p), _hard(module.p))


def _li(module: Any) -> Reading:
    return Reading("cuba_li", _current(module), signal="analog")


def _li_box(module: Any) -> Reading:
    beta = _decay(module, module.p.tau_mem_inv)
    parameters = {"beta": beta, "gain": 1.0 - beta, "v_rest": module.p.v_leak}
    return Reading("li", parameters, signal="analog")


def _lsnn(module: Any) -> Reading:
    """Synaptic current, seen one step late, and an adaptive threshold."""
    p = module.p
    parameters = _firing(p) | _current(module) | {"current_delay": 1.0}
    parameters |= {"rho": _decay(module, p.tau_adapt_inv), "scale": p.beta}
    return Reading("cuba_alif", parameters, _hard(p))


def _refractory(module: Any) -> Reading:
    p = module.p.lif
    return Reading("lif_refractory", _firing(p) | {"refractory": module.p.rho_reset}, _hard(p))


def _family(model: str) -> Any:
    return lambda module: Reading(model, _firing(module.p), _hard(module.p))


def _cell(read: Any, *, signal: Any = "spike") -> NeuronClass:
    return NeuronClass(read, "call", state_argument=True, signal=signal)


def _own_cell(read: Any) -> NeuronClass:
    return NeuronClass(read, "call", recurrent="recurrent_weights", state_argument=True)


def _own_sequence(read: Any) -> NeuronClass:
    return NeuronClass(read, "first", recurrent="recurrent_weights")


#: class -> how its instances are described
CLASSES: dict[str, NeuronClass] = {
    f"norse.torch.module.{name}": entry
    for name, entry in {
        "LIFCell": _cell(_lif),
        "LIF": NeuronClass(_lif, "first"),
        "LIFRecurrentCell": _own_cell(_lif),
        "LIFRecurrent": _own_sequence(_lif),
        "LIFBoxCell": _cell(_lif_box),
        "IAFCell": _cell(_iaf),
        "IAF": NeuronClass(_iaf, "first"),
        "LICell": _cell(_li, signal="analog"),
        "LI": NeuronClass(_li, "first", signal="analog"),
        "LILinearCell": _cell(_li, signal="analog"),
        "LIBoxCell": _cell(_li_box, signal="analog"),
        "LSNNCell": _cell(_lsnn),
        "LSNN": NeuronClass(_lsnn, "first"),
        "LSNNRecurrentCell": _own_cell(_lsnn),
        "LSNNRecurrent": _own_sequence(_lsnn),
        "LIFRefracCell": _cell(_refractory),
        "LIFRefracRecurrentCell": _own_cell(_refractory),
        "LIFRefracRecurrent": _own_sequence(_refractory),
        "LIFAdExCell": _cell(_family("adex")),
        "LIFAdEx": NeuronClass(_family("adex"), "first"),
        "LIFAdExRecurrentCell": _own_cell(_family("adex")),
        "LIFAdExRecurrent": _own_sequence(_family("adex")),
        "LIFExCell": _cell(_family("cuba_eif")),
        "LIFEx": NeuronClass(_family("cuba_eif"), "first"),
        "LIFExRecurrentCell": _own_cell(_family("cuba_eif")),
        "LIFExRecurrent": _own_sequence(_family("cuba_eif")),
        "LIFAdExRefracCell": _cell(same("adex_refractory")),
        "LIFAdExRefracRecurrentCell": _own_cell(same("adex_refractory")),
        "LIFAdExRefracRecurrent": _own_sequence(same("adex_refractory")),
        "LIFMCRecurrentCell": _own_cell(same("lif_mc")),
        "LIFMCRefracRecurrentCell": _own_cell(same("lif_mc_refractory")),
        "CobaLIFCell": _cell(same("coba_lif")),
        "IzhikevichCell": _cell(same("izhikevich")),
        "Izhikevich": NeuronClass(same("izhikevich"), "first"),
        "IzhikevichRecurrentCell": _own_cell(same("izhikevich")),
        "IzhikevichRecurrent": _own_sequence(same("izhikevich")),
    }.items()
}

#: Norse keeps no state between calls
RESETS: dict[str, Any] = {}

#: containers that hand the state of their cells through: (input, state) -> (output, state)
STATE_CONTAINERS = (
    "norse.torch.module.SequentialState",
    "norse.torch.module.RecurrentSequential",
)
