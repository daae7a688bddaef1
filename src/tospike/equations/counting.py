"""``count``: a whole network by equation, layer by layer, with its borders and optional terms."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

from tospike.actions import ActionCounts, combine
from tospike.activity import ActivityProfile, LayerActivity
from tospike.equations import beyond, borders
from tospike.equations.models import MODELS, sent_share, weight_reuse
from tospike.equations.record import EquationMode, EquationModel, EquationOptions
from tospike.errors import OptionError, RangeError, unknown_name
from tospike.implementation import MODES, Implementation, Mode, Partition
from tospike.network import Layer, Network
from tospike.network.network import INPUT

_EQUATION_MODE: dict[Mode, EquationMode] = {
    "ann": "ann",
    "qnn": "ann",
    "snn": "snn",
    "delta": "delta",
}
_DELTA_KINDS = ("rnn_input", "rnn_hidden")
#: neuron model -> the equation of its layers; other "snn_" equations are accounting conventions
NEURON_EQUATIONS: dict[str, str] = {
    "if_inst": "snn_if_inst",
    "lif_inst": "snn_lif_inst",
    "if_cont": "snn_if_cont",
    "lif_cont": "snn_lif_cont",
}
_DEFAULT = EquationOptions()


def model_of(key: str) -> EquationModel:
    """The model of a key in ``MODELS``; :class:`UnknownNameError` otherwise."""
    if key not in MODELS:
        raise unknown_name("equation", key, tuple(MODELS))
    return MODELS[key]


def default_equation(mode: Mode, implementation: Implementation) -> str:
    """Equation of a mode: Eyeriss v1 for an ANN, the neuron's own for an SNN, or the delta net.

    Raises :class:`UnknownNameError` for a neuron model without an equation of its own, such as
    "ottati": the equations of that paper are chosen with ``equation=`` or by mode.
    """
    if mode == "snn":
        if implementation.neuron not in NEURON_EQUATIONS:
            raise unknown_name("neuron model", implementation.neuron, tuple(NEURON_EQUATIONS))
        return NEURON_EQUATIONS[implementation.neuron]
    return "delta_liu" if mode == "delta" else "ann_eyeriss_v1"


def count(
    network: Network,
    activity: ActivityProfile,
    implementation: Implementation,
    *,
    equation: str | Mapping[str, str] | None = None,
    modes: Mapping[str, Mode] | Partition | None = None,
    options: EquationOptions = _DEFAULT,
) -> ActionCounts:
    """Actions of one inference of a network.

    Parameters
    ----------
    equation : key of ``MODELS`` for the layers of its mode; or a mapping from mode ("ann",
        "snn", "delta") to key; None: Eyeriss v1, the implementation's neuron, the delta network.
    modes : mode of each layer by name, or a :class:`Partition`; layers left out, and all layers
        for None, take the implementation's mode, except that in an SNN a layer with analog input
        (``spikes_per_synapse`` None) runs as ANN, and in a delta network every layer that is not
        recurrent does.
    options : conventions and optional terms.

    Borders between modes are counted once per producing layer. Raises :class:`UnknownNameError`
    for an unknown equation, layer or mode, :class:`StatisticError` for activity that was not
    measured, and :class:`RangeError` for widths or time steps below 1.
    """
    _check(implementation)
    layers = [layer for layer in network.synaptic_layers if layer.n_synapses]
    _check_calls(layers, activity)
    chosen = _layer_modes(network, layers, activity, implementation, modes)
    keys = _equations(equation, implementation)
    parts: list[ActionCounts] = []
    for layer in layers:
        mode = chosen[layer.name]
        key = keys.get(_EQUATION_MODE[mode]) or default_equation(mode, implementation)
        found = activity[layer.name]
        step = one_step(layer, found, implementation) if mode == "snn" else layer
        parts.append(model_of(key).count_layer(step, found, implementation, options))
        parts += _layer_terms(network, step, found, mode, implementation, options)
    parts += _borders(network, activity, chosen, implementation)
    if "static" in options.terms:
        parts.append(
            beyond.static_energy(
                inference_seconds=options.inference_seconds or 0.0, duty_cycle=options.duty_cycle
            )
        )
    counts = combine(parts)
    tables = [layer.name for layer in network.synaptic_layers if not layer.n_synapses]
    if tables:
        note = f"layers without MACs (embedding tables) are not counted: {', '.join(tables)}"
        counts = replace(counts, assumptions=(*counts.assumptions, note))
    if not activity.measured:
        note = f"the activity was assumed, not measured: {activity.origin}"
        counts = replace(counts, assumptions=(*counts.assumptions, note))
    return counts


def _check(implementation: Implementation) -> None:
    names = ("n_timesteps", "weight_bits", "activation_bits", "state_bits")
    values = {name: getattr(implementation, name) for name in names}
    reasons = [f"{name} = {value}" for name, value in values.items() if value < 1]
    if reasons:
        raise RangeError(
            "count this implementation",
            allowed="at least 1 time step and widths of at least 1 bit",
            fix="correct the listed fields of Implementation",
            reasons=reasons,
        )


def _check_calls(layers: list[Layer], activity: ActivityProfile) -> None:
    """A spiking model that was measured over T calls must have been loaded with them too."""
    if not activity.neurons:
        return
    reasons = [
        f"{layer.name}: {layer.calls} calls loaded, {activity[layer.name].n_timesteps:g} measured"
        for layer in layers
        if not math.isclose(activity[layer.name].n_timesteps, layer.calls)
    ]
    if reasons:
        raise OptionError(
            "count the spiking network",
            received=f"{len(reasons)} layers that ran more or less often than they were loaded",
            allowed="a network and an activity of the same number of time steps",
            fix="load with the number of calls: load(module, x, timesteps=T)",
            reasons=reasons,
        )


def _equations(
    equation: str | Mapping[str, str] | None, implementation: Implementation
) -> dict[str, str]:
    """Equation mode -> key, for the modes that the caller chose."""
    if equation is None:
        return {}
    if isinstance(equation, str):
        return {model_of(equation).mode: equation}
    modes: dict[str, EquationMode] = {str(mode): kind for mode, kind in _EQUATION_MODE.items()}
    reasons = [f"there is no mode {mode!r}" for mode in equation if mode not in modes]
    reasons += [
        f"{key!r} counts {model_of(key).mode!r}, not {mode!r}"
        for mode, key in equation.items()
        if mode in modes and model_of(key).mode != modes[mode]
    ]
    if reasons:
        raise OptionError(
            "use these equations",
            allowed="a mapping from ann, qnn, snn or delta to an equation of that mode",
            fix="exchange the listed equations",
            reasons=reasons,
        )
    return {modes[mode]: key for mode, key in equation.items()}


def _layer_modes(
    network: Network,
    layers: list[Layer],
    activity: ActivityProfile,
    implementation: Implementation,
    modes: Mapping[str, Mode] | Partition | None,
) -> dict[str, Mode]:
    given = modes.modes if isinstance(modes, Partition) else (modes or {})
    for name, mode in given.items():
        if name not in network.by_name:
            raise unknown_name("layer", name, tuple(network.by_name), where="modes")
        if mode not in MODES:
            raise unknown_name("mode", mode, MODES, where=f"layer {name!r}")
    return {
        layer.name: given.get(layer.name)
        or _default_mode(layer, activity[layer.name], implementation)
        for layer in layers
    }


def _default_mode(layer: Layer, activity: LayerActivity, implementation: Implementation) -> Mode:
    if implementation.mode == "snn" and activity.spikes_per_synapse is None:
        return "ann"
    if implementation.mode == "delta" and layer.kind not in _DELTA_KINDS:
        return "ann"
    return implementation.mode


def one_step(layer: Layer, activity: LayerActivity, implementation: Implementation) -> Layer:
    """A spiking layer as the equations want it: of one time step, of which an inference has T.

    A model that loops over its T steps, or takes them as an axis, has them in ``layer.calls``,
    and its spikes per synapse are those of the synapses of one call; any other layer stays as it
    is. Raises :class:`OptionError` for a T that is not the model's.
    """
    rate, calls = activity.spikes_per_synapse, layer.calls
    if rate is None or calls < 2:
        return layer
    once = rate * layer.n_synapses / calls
    if not math.isclose(once, activity.synaptic_operations, rel_tol=1e-9, abs_tol=1e-9):
        return layer
    steps = implementation.n_timesteps
    if calls % steps:
        raise OptionError(
            f"count the spiking layer {layer.name!r} with n_timesteps={steps}",
            received=f"a model that runs this layer {calls} times per inference",
            allowed=f"a number of time steps that divides {calls}",
            fix=f"give Implementation('snn', n_timesteps={calls})",
        )
    return replace(
        layer,
        n_synapses=layer.n_synapses // calls,
        n_synapses_exact=layer.n_synapses_exact // calls,
        n_inputs=layer.n_inputs // calls,
        # the updates of all calls come out after the equation's factor T
        n_neurons=layer.n_neurons // steps,
        calls=1,
    )


def _borders(
    network: Network,
    activity: ActivityProfile,
    chosen: Mapping[str, Mode],
    implementation: Implementation,
) -> list[ActionCounts]:
    """Encoding and read-out, once per producing layer. Network inputs need none."""
    encoded: dict[str, int] = {}
    read_out: dict[str, None] = {}
    for edge in network.synaptic_edges:
        if edge.source == INPUT or edge.source not in chosen or edge.target not in chosen:
            continue
        spiking = chosen[edge.source] == "snn", chosen[edge.target] == "snn"
        if spiking == (False, True):
            target, source = network[edge.target], network[edge.source]
            inside = one_step(target, activity[edge.target], implementation) is not target
            # with the time steps inside of the model, the values of all of them are there
            steps = implementation.n_timesteps if inside and source.calls > 1 else 1
            encoded[edge.source] = source.n_neurons // steps
        elif spiking == (True, False):
            read_out[edge.source] = None
    return [
        *(
            borders.ann_to_snn(
                n_values=n_values,
                n_timesteps=implementation.n_timesteps,
                state_bits=implementation.state_bits,
                layer=name,
            )
            for name, n_values in encoded.items()
        ),
        *(
            borders.snn_to_ann(
                n_values=network[name].n_neurons,
                state_bits=implementation.state_bits,
                iact_bits=implementation.activation_bits,
                layer=name,
            )
            for name in read_out
        ),
    ]


def _layer_terms(
    network: Network,
    layer: Layer,
    activity: LayerActivity,
    mode: Mode,
    implementation: Implementation,
    options: EquationOptions,
) -> list[ActionCounts]:
    terms: list[ActionCounts] = []
    if "weights_off_chip" in options.terms and layer.n_weights:
        terms.append(
            beyond.weights_off_chip(
                n_fetches=weight_fetches(layer, activity, mode, implementation),
                weight_bytes=network.n_weights * implementation.weight_bits / 8,
                on_chip_bytes=options.on_chip_bytes or 0.0,
                weight_bits=implementation.weight_bits,
                layer=layer.name,
            )
        )
    if "communication" in options.terms:
        events, bits, datatype = _traffic(layer, activity, mode, implementation)
        terms.append(
            beyond.communication(
                n_events=events,
                hops_per_event=options.hops_per_event or 0.0,
                event_bits=bits,
                datatype=datatype,
                layer=layer.name,
            )
        )
    return terms


def weight_fetches(
    layer: Layer, activity: LayerActivity, mode: Mode, implementation: Implementation
) -> float:
    """Weight words that a layer asks its weight memory for in one inference.

    ANN: each weight once per pass (recurrent layers: once per time step). SNN: one per synaptic
    event, at most each weight once per time step, which a layer that gathers the spikes of a step
    can reach. Delta: the columns of sent values, in the step in which they are sent.
    """
    passes = layer.n_synapses / weight_reuse(layer)
    if mode == "snn":
        steps = float(layer.n_weights * implementation.n_timesteps)
        return min(activity.synaptic_operations, steps * max(1, layer.calls))
    if mode == "delta":
        fetches = float(layer.n_synapses) if layer.kind == "linear" else passes
        return fetches * sent_share(layer, activity, implementation)
    return passes


def _traffic(
    layer: Layer, activity: LayerActivity, mode: Mode, implementation: Implementation
) -> tuple[float, int, str]:
    """(events or words, bits of each, datatype) that enter a layer in one inference."""
    address = max(1, math.ceil(math.log2(max(2, layer.n_inputs))))
    if mode == "snn":
        rate = activity.spikes_per_neuron
        if rate is None:
            rate = activity.synaptic_operations / max(layer.fan_out, 1.0) / max(1, layer.n_inputs)
        return rate * layer.n_inputs, address, "event"
    if mode == "delta":
        sent = sent_share(layer, activity, implementation)
        return layer.n_inputs * sent, address + implementation.activation_bits, "delta"
    return float(layer.n_inputs), implementation.activation_bits, "iact"
