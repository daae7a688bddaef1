"""SpikingJelly 2.0 (1.x has the same attributes): its neuron classes, one line each."""

from __future__ import annotations

from typing import Any

from tospike.network.importers.neurons_record import NeuronClass, Reading, Time, analog, values
from tospike.network.neuron.record import Reset, Signal


def _reset(module: Any) -> Reset:
    """``v_reset=None`` is the soft reset; both act in the step of the spike."""
    return Reset("soft") if module.v_reset is None else Reset("hard", float(module.v_reset))


def _signal(module: Any) -> Signal:
    """A surrogate function with ``spiking=False`` sends graded values."""
    return "spike" if getattr(module.surrogate_function, "spiking", True) else "analog"


def _rest(module: Any) -> float:
    return 0.0 if module.v_reset is None else float(module.v_reset)


def _if(module: Any) -> Reading:
    parameters = {"threshold": module.v_threshold, "v_rest": _rest(module)}
    return Reading("if", parameters, _reset(module), _signal(module))


def _half_threshold(module: Any) -> Reading:
    parameters = {"threshold": module.v_threshold, "v_rest": module.v_threshold / 2}
    return Reading("if", parameters, _reset(module), _signal(module))


def _leaky(module: Any, tau: Any) -> Reading:
    parameters = {"threshold": module.v_threshold, "v_rest": _rest(module)}
    if module.decay_input:
        model, parameters = "lif_input_decay", parameters | {"tau": tau}
    else:
        model, parameters = "lif", parameters | {"beta": 1.0 - 1.0 / values(tau)}
    return Reading(model, parameters, _reset(module), _signal(module))


def _lif(module: Any) -> Reading:
    return _leaky(module, module.tau)


def _plif(module: Any) -> Reading:
    """The learned leak 1 / tau = sigmoid(w), at its present value."""
    return _leaky(module, 1.0 / module.w.sigmoid())


def _cuba_lif(module: Any) -> Reading:
    parameters = {
        "threshold": module.v_threshold,
        "alpha": module.c_decay,
        "beta": module.v_decay,
    }
    # it starts at v_reset and decays to 0, which no model of NEURONS does
    model = "cuba_lif" if not _rest(module) else "cuba_lif_own_start"
    return Reading(model, parameters, _reset(module), _signal(module))


def _family(model: str) -> Any:
    """Models without a step of their own here: threshold and reset are read."""

    def read(module: Any) -> Reading:
        parameters = {"threshold": module.v_threshold}
        return Reading(model, parameters, _reset(module), _signal(module))

    return read


def _unread(model: str) -> Any:
    return lambda module: Reading(model, {}, signal=_signal(module))


def _li(module: Any) -> Reading:
    tau = values(module.tau)
    return Reading("li", {"beta": 1.0 - 1.0 / tau, "gain": 1.0 / tau}, signal="analog")


_PATH = "spikingjelly.activation_based.neuron."
_STEPS: Time = "step_mode"
_CLASSES: dict[str, NeuronClass] = {
    "IFNode": NeuronClass(_if, _STEPS),
    "SimpleIFNode": NeuronClass(_if, _STEPS),
    "HalfThresholdIFNode": NeuronClass(_half_threshold, _STEPS),
    "ActivationAwareIFNode": NeuronClass(_unread("if_activation_aware"), _STEPS),
    "LIFNode": NeuronClass(_lif, _STEPS),
    "SimpleLIFNode": NeuronClass(_lif, _STEPS),
    "ParametricLIFNode": NeuronClass(_plif, _STEPS),
    "CUBALIFNode": NeuronClass(_cuba_lif, _STEPS),
    "KLIFNode": NeuronClass(_family("klif"), _STEPS),
    "ComplementaryLIFNode": NeuronClass(_family("clif"), _STEPS),
    "GatedLIFNode": NeuronClass(_unread("glif"), "first"),
    "MPBNBaseNode": NeuronClass(_family("mpbn_lif"), _STEPS),
    "QIFNode": NeuronClass(_family("qif"), _STEPS),
    "EIFNode": NeuronClass(_family("eif"), _STEPS),
    "AdaptBaseNode": NeuronClass(_family("adaptive"), _STEPS),
    "IzhikevichNode": NeuronClass(_family("izhikevich"), _STEPS),
    "RAFNode": NeuronClass(_unread("resonate_and_fire"), _STEPS),
    "PSN": NeuronClass(_unread("psn"), "first"),
    "MaskedPSN": NeuronClass(_unread("psn"), _STEPS),
    "SlidingPSN": NeuronClass(_unread("psn"), _STEPS),
    "ILCBaseNode": NeuronClass(_unread("ilc"), "first"),
    "NoisyBaseNode": NeuronClass(_unread("noisy"), "first"),
    # graded, signed or several spikes in one step: their synapses multiply
    "LIAFNode": NeuronClass(analog("liaf"), _STEPS, signal="analog"),
    "ILIFNode": NeuronClass(analog("integer_lif"), _STEPS, signal="analog"),
    "TernaryIFNode": NeuronClass(analog("ternary_if"), _STEPS, signal="analog"),
    "TernaryLIFNode": NeuronClass(analog("ternary_lif"), _STEPS, signal="analog"),
    "STBIFNode": NeuronClass(analog("stbif"), _STEPS, signal="analog"),
    "DSRIFNode": NeuronClass(analog("dsr_if"), "first", signal="analog"),
    "DSRLIFNode": NeuronClass(analog("dsr_lif"), "first", signal="analog"),
    "FewSpikeNode": NeuronClass(analog("few_spike"), _STEPS, signal="analog"),
    # never fire; the output may be a summary over time
    "NonSpikingIFNode": NeuronClass(analog("i"), "first", from_input=True, signal="analog"),
    "NonSpikingLIFNode": NeuronClass(_li, "first", from_input=True, signal="analog"),
    "NonSpikingBaseNode": NeuronClass(analog("own"), "first", from_input=True, signal="analog"),
    "NoisyNonSpikingBaseNode": NeuronClass(
        analog("noisy"), "first", from_input=True, signal="analog"
    ),
    # the base classes, for neurons of the user
    "BaseNode": NeuronClass(_family("own"), _STEPS),
    "SimpleBaseNode": NeuronClass(_family("own"), _STEPS),
}

#: class -> how its instances are described
CLASSES: dict[str, NeuronClass] = {f"{_PATH}{name}": entry for name, entry in _CLASSES.items()}


def reset(module: Any) -> None:
    """State before the first step, as ``functional.reset_net`` makes it."""
    module.reset()


#: class -> its function that puts the state back
RESETS = {"spikingjelly.activation_based.base.MemoryModule": reset}
