"""snnTorch 1.0: its neuron classes, one line each.

All of them fire above the threshold (``strict``). The reset acts one step after the spike, except
where ``reset_delay=False``.
"""

from __future__ import annotations

from typing import Any

from tospike.network.importers.neurons_record import NeuronClass, Reading, values
from tospike.network.neuron.record import Reset, ResetKind, Signal

_RESETS: dict[str, ResetKind] = {"subtract": "soft", "zero": "hard", "none": "none"}


def _reset(module: Any) -> Reset:
    return Reset(_RESETS[module.reset_mechanism], 0.0, int(getattr(module, "reset_delay", True)))


def _signal(module: Any) -> Signal:
    """Spikes scaled by ``graded_spikes_factor`` are graded values."""
    return "spike" if bool((module.graded_spikes_factor == 1).all()) else "analog"


def _firing(module: Any) -> dict[str, Any]:
    return {"threshold": module.threshold, "strict": 1.0}


def _model(name: str, module: Any, *, holds: bool = False) -> str:
    """``name``, or a family beside it for a reset that no model of ``NEURONS`` has.

    With ``reset_delay=False`` a subtraction is undone in the next step where the potential stayed
    above the threshold. ``holds``: a reset to zero suppresses the whole next step.
    """
    reset = _reset(module)
    own = (reset.kind == "soft" and not reset.delay) or (reset.kind == "hard" and holds)
    return f"{name}_own_reset" if own else name


def _decay(value: Any) -> Any:
    return value.clamp(0, 1)


def _leaky(module: Any) -> Reading:
    parameters = _firing(module) | {"beta": _decay(module.beta)}
    return Reading(_model("lif", module), parameters, _reset(module), _signal(module))


def _recurrent_leaky(module: Any) -> Reading:
    parameters = _firing(module) | {"beta": _decay(module.beta)}
    model = _model("lif", module, holds=True)
    return Reading(model, parameters, _reset(module), _signal(module))


def _lapicque(module: Any) -> Reading:
    """Forward Euler of R C dv/dt = -v + R I."""
    share = module.time_step / (module.R * module.C)
    gain = module.time_step / module.C
    parameters = _firing(module) | {"beta": 1.0 - values(share), "gain": gain}
    return Reading(_model("lif", module, holds=True), parameters, _reset(module), _signal(module))


def _synaptic(module: Any) -> Reading:
    parameters = _firing(module) | {"alpha": _decay(module.alpha), "beta": _decay(module.beta)}
    return Reading(_model("cuba_lif", module), parameters, _reset(module), _signal(module))


def _alpha(module: Any) -> Reading:
    parameters = _firing(module) | {"alpha": _decay(module.alpha), "beta": _decay(module.beta)}
    return Reading("alpha", parameters, _reset(module), _signal(module))


def _lstm(model: str) -> Any:
    return lambda module: Reading(model, _firing(module), _reset(module), _signal(module))


def _parallel(module: Any) -> Reading:
    """A ReLU RNN whose state is compared with a threshold; nothing is reset."""
    return Reading("leaky_parallel", _firing(module), Reset("none"), _signal(module))


def _unrolled(module: Any) -> Reading:
    """A leaky integrator as a convolution over time; it sends potentials if ``output=False``."""
    signal = _signal(module) if module.output else "analog"
    return Reading("leaky_unrolled", _firing(module), Reset("none"), signal)


def _own(model: str) -> Any:
    return lambda module: Reading(model, _firing(module), signal=_signal(module))


#: class -> how its instances are described
CLASSES: dict[str, NeuronClass] = {
    "snntorch.Leaky": NeuronClass(_leaky, "call"),
    "snntorch.Lapicque": NeuronClass(_lapicque, "call"),
    "snntorch.Synaptic": NeuronClass(_synaptic, "call"),
    "snntorch.Alpha": NeuronClass(_alpha, "call"),
    "snntorch.RLeaky": NeuronClass(_recurrent_leaky, "call", recurrent="recurrent"),
    "snntorch.RSynaptic": NeuronClass(_synaptic, "call", recurrent="recurrent"),
    "snntorch.SLSTM": NeuronClass(_lstm("lstm"), "call"),
    "snntorch.SConv2dLSTM": NeuronClass(_lstm("conv_lstm"), "call"),
    "snntorch.LeakyParallel": NeuronClass(_parallel, "first"),
    "snntorch.StateLeaky": NeuronClass(_unrolled, "first"),
    "snntorch.DeltaLeaky": NeuronClass(_own("delta_leaky"), "call"),
    "snntorch.AssociativeLeaky": NeuronClass(_own("associative_leaky"), "first"),
    # the base class, for neurons of the user
    "snntorch.SpikingNeuron": NeuronClass(_own("own"), "call"),
}


def reset(module: Any) -> None:
    """State before the first step: zeros of the input's shape, made in the next call."""
    for name in ("spk", "syn", "syn_exc", "syn_inh", "mem"):
        buffer = module._buffers.get(name)
        if buffer is not None:
            module._buffers[name] = buffer.new_zeros(0)
    if "mem_prev" in vars(module):
        module.mem, module.mem_prev = None, None


#: class -> its function that puts the state back
RESETS = {"snntorch.SpikingNeuron": reset}
