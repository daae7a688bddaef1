"""Bindings of ``lemaire_2022`` to ``Layer`` and ``LayerActivity``.

The spikes that a layer sends are counted at the layer that receives them: each spike is written
once and read once. The reset that belongs to a spike goes with it.
"""

from __future__ import annotations

import math

from tospike.actions import ActionCounts
from tospike.activity import LayerActivity
from tospike.equations import lemaire_2022 as lemaire
from tospike.equations.binding import DEFAULT, second_bits, spikes
from tospike.equations.record import EquationModel, EquationOptions
from tospike.implementation import Implementation
from tospike.network import Layer


def _ann_lemaire(
    layer: Layer,
    activity: LayerActivity,
    implementation: Implementation,
    options: EquationOptions = DEFAULT,
    /,
) -> ActionCounts:
    bits = (second_bits(layer, implementation), implementation.activation_bits)
    sizes = memories(layer, bits[0], bits[1], implementation.state_bits, options)
    if layer.kind != "conv":
        return lemaire.ann_fc(
            n_syn=layer.n_synapses,
            n_inputs=layer.n_inputs,
            n_outputs=layer.n_neurons,
            bias=has_bias(layer, options),
            weight_bits=bits[0],
            iact_bits=bits[1],
            memories=sizes,
            convention=options.lemaire_convention,
            layer=layer.name,
        )
    return lemaire.ann_conv(
        n_syn=layer.n_synapses,
        n_inputs=layer.n_inputs,
        n_outputs=layer.n_neurons,
        addressed_weights=output_channels(layer) * math.prod(layer.kernel),
        bias=has_bias(layer, options),
        weight_bits=bits[0],
        iact_bits=bits[1],
        memories=sizes,
        convention=options.lemaire_convention,
        layer=layer.name,
    )


def _snn_lemaire(
    layer: Layer,
    activity: LayerActivity,
    implementation: Implementation,
    options: EquationOptions = DEFAULT,
    /,
) -> ActionCounts:
    events = spikes(layer, activity) * layer.n_inputs
    weight_bits, message_bits = second_bits(layer, implementation), implementation.activation_bits
    sizes = memories(
        layer, weight_bits, message_bits, implementation.state_bits, options, spiking=True
    )
    leak = implementation.neuron.startswith("lif")
    if layer.kind != "conv":
        return lemaire.snn_fc(
            spikes_in=events,
            spikes_out=events,
            n_inputs=layer.n_inputs,
            n_outputs=layer.n_neurons,
            n_timesteps=implementation.n_timesteps,
            fan_out=layer.fan_out,
            bias=has_bias(layer, options),
            leak=leak,
            weight_bits=weight_bits,
            state_bits=implementation.state_bits,
            message_bits=message_bits,
            memories=sizes,
            convention=options.lemaire_convention,
            layer=layer.name,
        )
    whole = full_fan_out(layer)
    kernel = math.prod(layer.kernel)
    return lemaire.snn_conv(
        spikes_in=events,
        spikes_out=events,
        fan_out=whole,
        fan_out_computed=whole / kernel * computed_kernel(layer),
        kernel_size=kernel,
        n_outputs=layer.n_neurons,
        n_timesteps=implementation.n_timesteps,
        bias=has_bias(layer, options),
        leak=leak,
        weight_bits=weight_bits,
        state_bits=implementation.state_bits,
        message_bits=message_bits,
        memories=sizes,
        convention=options.lemaire_convention,
        layer=layer.name,
    )


def has_bias(layer: Layer, options: EquationOptions) -> bool:
    """Biases are part of the paper's equations: counted where the layer has them."""
    return layer.n_biases > 0 or options.bias == "always"


def output_channels(layer: Layer) -> float:
    """C_out: of the output shape, or from N_syn = N_out C_in/groups H_k W_k."""
    if layer.output_shape:
        return float(layer.output_shape[0])
    return layer.n_weights * layer.n_neurons / layer.n_synapses


def full_fan_out(layer: Layer) -> float:
    """C_out/groups H_k W_k: weights that one input of a convolution meets, without borders."""
    if len(layer.input_shape) > 1:
        return layer.n_weights / layer.input_shape[0]
    stride = 1 if layer.transposed else math.prod(layer.stride)
    return layer.fan_out * stride


def computed_kernel(layer: Layer) -> int:
    """ceil(H_k/S) ceil(W_k/S) of eq. 1.4; the whole kernel where the stride spreads the input."""
    if layer.transposed or len(layer.stride) != len(layer.kernel):
        return math.prod(layer.kernel)
    return math.prod(math.ceil(k / s) for k, s in zip(layer.kernel, layer.stride, strict=True))


def memories(
    layer: Layer,
    weight_bits: int,
    word_bits: int,
    state_bits: int,
    options: EquationOptions,
    *,
    spiking: bool = False,
) -> lemaire.Memories:
    """Capacities in byte of one call: feature maps and potentials whole, spikes in short queues."""

    def size(words: float, bits: int) -> float:
        return max(1.0, words) * bits / 8

    calls = max(1, layer.calls)
    second = layer.n_weights or int(layer.extra.get("second_operand", 0))
    together = options.lemaire_convention == "spikingjelly"
    weights = size(second + layer.n_biases * together, weight_bits)
    queue = size(options.lemaire_fifo_words, word_bits)
    outputs = layer.n_neurons / calls
    return lemaire.Memories(
        inputs=queue if spiking else size(layer.n_inputs / calls, word_bits),
        weights=weights,
        biases=weights if together else size(layer.n_biases, weight_bits),
        potentials=size(outputs, state_bits),
        outputs=queue if spiking else size(outputs, word_bits),
    )


_L, _T = "lemaire_2022", "lemaire_2022_45nm"

BOUND = (
    EquationModel(
        "ann_lemaire", "ann", "FNN, every access by memory size", _L, "eqs. 1-4, 6, 11, 12", _T,
        _ann_lemaire, rival=False,
    ),
    EquationModel(
        "snn_lemaire", "snn", "SNN, every access by memory size", _L, "eqs. 1, 2, 5, 7-10, 13-17",
        _T, _snn_lemaire, True, rival=False,
    ),
)  # fmt: skip
