"""Liu & Delbruck 2019: data-driven synchronous accelerators, and the brain as a yardstick.

What
    NullHop: feature maps kept as a sparsity map (one bit per pixel) and a list of non-zero
    values; MACs with a zero input take no cycle. Delta networks (DeltaRNN, EdgeDRNN): a value is
    sent on only when it has changed by more than a threshold since it was last sent, so that the
    weight columns of unchanged values are neither fetched nor multiplied. And the estimate of the
    brain's mean spike rate.

Equations (the paper gives them in words; section in brackets)
    sparsity_map_bits    [VI] bits = n_pixels (1 + pixel_bits (1 - gamma))
    ann_nullhop          [VI] MACs = (1 - gamma) N_syn
    delta_layer          [VII] MACs = weight reads = (1 - Gamma) N_syn; one reference per input
    dense_layer          [VII] the same layer with Gamma = 0 and no references
    gru_weight_reads     [VII] 3H ((1 - Gamma_x) I + (1 - Gamma_h) H) weights per step
    reference_words      [VII] I + H reference values and 4H partial sums of a GRU
    brain_spike_rate     [I, Fig. 2] X = Y / (E_syn synapses_per_neuron n_neurons)

Legend
    zero_fraction       gamma, share of input values that are 0
    temporal_sparsity   Gamma, share of input values that are not sent (Gamma_x, Gamma_h)
    n_syn               MACs per inference over all time steps; n_inputs, n_neurons likewise
    pixel_bits          16 in NullHop

Range of validity
    NullHop: convolutions with kernels held on chip while a layer is processed. Delta networks:
    inputs and states that change slowly, batch size 1; a CNN rarely gains (VII). The weights
    stand in on-chip SRAM here, so that all models are compared in one place; with DRAM use the
    term "weights_off_chip".

Errata
    "speedup of a factor of 4" for 80 % zeros is 1 / (1 - 0.8) = 5. 100 fJ per synaptic event
    equates to 10 TOp/s/W with 1 Op per event, while the paper counts 2 Op per MAC or synaptic
    accumulation elsewhere.

Reference
    S.-C. Liu, T. Delbruck et al., Asilomar 2019; A. Aimar et al., TNNLS 2018 (NullHop);
    C. Gao et al., JETCAS 2020 (EdgeDRNN).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from tospike.actions import ActionCounts, Array, Entry, combine, count
from tospike.equations.checks import array, share, times
from tospike.equations.dampfhoffer_2022 import mac_bits
from tospike.errors import OptionError

SOURCES = ("liu_delbruck_2019",)


def sparsity_map_bits(
    *, n_pixels: ArrayLike, zero_fraction: ArrayLike, pixel_bits: int = 16
) -> Array:
    """Bits of a feature map: 1 per pixel, and ``pixel_bits`` more per non-zero pixel."""
    return times(n_pixels, 1.0 + pixel_bits * (1.0 - share("zero_fraction", zero_fraction)))


def skipping_speedup(*, zero_fraction: ArrayLike) -> Array:
    """1 / (1 - gamma): speed-up of a MAC array that spends no cycle on zeros; inf at gamma = 1."""
    kept = 1.0 - share("zero_fraction", zero_fraction)
    with np.errstate(divide="ignore"):
        return np.asarray(1.0 / kept)


def ann_nullhop(
    *,
    n_syn: ArrayLike,
    n_inputs: ArrayLike,
    n_weights: ArrayLike,
    n_neurons: ArrayLike,
    zero_fraction: ArrayLike,
    map_zero_fraction: ArrayLike | None = None,
    output_zero_fraction: ArrayLike = 0.0,
    weight_bits: int = 16,
    iact_bits: int = 16,
    psum_bits: int = 16,
    layer: str = "synapses",
) -> ActionCounts:
    """One layer on NullHop: compressed maps, skipped MACs, kernels in SRAM beside the MACs.

    Parameters
    ----------
    zero_fraction : share of the MACs whose input is 0; they are skipped.
    map_zero_fraction : share of zero pixels in the stored input map (None: ``zero_fraction``).
    output_zero_fraction : share of zero pixels in the output map; 0 stores every value.

    Each map is read or written once in compressed form, each weight is loaded once into the
    SRAM beside the MACs and read there once per executed MAC; partial sums stay in registers.
    """
    executed = times(n_syn, 1.0 - share("zero_fraction", zero_fraction))
    stored = share(
        "map_zero_fraction", zero_fraction if map_zero_fraction is None else map_zero_fraction
    )
    written = share("output_zero_fraction", output_zero_fraction)
    inputs, outputs = array(n_inputs), array(n_neurons)
    entries = [
        count(layer, "sram", "read", "index", inputs, bits=1),
        count(layer, "sram", "read", "iact", inputs * (1.0 - stored), bits=iact_bits),
        count(layer, "sram", "read", "weight", n_weights, bits=weight_bits),
        count(layer, "pe_sram", "write", "weight", n_weights, bits=weight_bits),
        count(layer, "pe_sram", "read", "weight", executed, bits=weight_bits),
        count(layer, "register", "read", "psum", executed, bits=psum_bits),
        count(layer, "register", "write", "psum", executed, bits=psum_bits),
        count(layer, "alu", "mac", "none", executed, bits=mac_bits(weight_bits, iact_bits)),
        count(layer, "sram", "write", "index", outputs, bits=1),
        count(layer, "sram", "write", "oact", outputs * (1.0 - written), bits=iact_bits),
    ]
    return ActionCounts(
        tuple(entries),
        model="ann_nullhop",
        assumptions=(
            "NullHop: feature maps as sparsity map and non-zero values, zero inputs skipped, "
            "kernels read from SRAM beside the MACs",
        ),
        sources=(*SOURCES, "aimar_2018"),
    )


def delta_layer(
    *,
    n_syn: ArrayLike,
    n_inputs: ArrayLike,
    n_neurons: ArrayLike,
    temporal_sparsity: ArrayLike,
    weight_bits: int = 8,
    iact_bits: int = 8,
    psum_bits: int = 8,
    layer: str = "synapses",
) -> ActionCounts:
    """One weight matrix of a delta network over all time steps of an inference.

    Per input and step: read the value and its reference, subtract, compare with the threshold;
    if it is sent, write the reference. Per sent value: fetch its weight column, one MAC each,
    partial sums in registers. Per neuron and step: read and write the kept partial sum.
    """
    sent = 1.0 - share("temporal_sparsity", temporal_sparsity)
    inputs = array(n_inputs)
    references = [
        count(layer, "sram", "read", "iact", inputs, bits=iact_bits, part="neuron"),
        count(layer, "sram", "read", "reference", inputs, bits=iact_bits, part="neuron"),
        count(layer, "alu", "add", "delta", inputs, bits=iact_bits, part="neuron"),
        count(layer, "alu", "compare", "delta", inputs, bits=iact_bits, part="neuron"),
        count(layer, "sram", "write", "reference", inputs * sent, bits=iact_bits, part="neuron"),
        count(layer, "sram", "read", "psum", array(n_neurons), bits=psum_bits, part="neuron"),
    ]
    return ActionCounts(
        (
            *_matrix_entries(
                layer, times(n_syn, sent), n_neurons, weight_bits, iact_bits, psum_bits
            ),
            *references,
        ),
        model="delta_liu",
        assumptions=(
            "delta network: an input is sent when it differs from the last sent value by more "
            "than the threshold; its weights are fetched once per step and not reused",
        ),
        sources=(*SOURCES, "gao_2020"),
    )


def dense_layer(
    *,
    n_syn: ArrayLike,
    n_inputs: ArrayLike,
    n_neurons: ArrayLike,
    weight_bits: int = 8,
    iact_bits: int = 8,
    psum_bits: int = 8,
    layer: str = "synapses",
) -> ActionCounts:
    """The same weight matrix without deltas: every weight fetched once per step."""
    read = count(layer, "sram", "read", "iact", array(n_inputs), bits=iact_bits, part="neuron")
    return ActionCounts(
        (
            *_matrix_entries(layer, array(n_syn), n_neurons, weight_bits, iact_bits, psum_bits),
            read,
        ),
        model="ann_dense_rnn",
        assumptions=("recurrent layer at batch size 1: every weight is fetched in every step",),
        sources=SOURCES,
    )


def gru(
    *,
    n_inputs: ArrayLike,
    n_hidden: ArrayLike,
    n_steps: ArrayLike,
    sparsity_x: ArrayLike | None = None,
    sparsity_h: ArrayLike | None = None,
    weight_bits: int = 8,
    iact_bits: int = 8,
    psum_bits: int = 8,
    layer: str = "gru",
) -> ActionCounts:
    """One GRU layer over ``n_steps`` steps: dense, or as delta network with Gamma_x and Gamma_h.

    Three gates, biases and activation functions left out. The delta network keeps 4 H sums; the
    recurrent matrix adds only the H of the candidate to the 3 H of the input matrix.
    Both sparsities or none must be given, else :class:`OptionError`.
    """
    if (sparsity_x is None) != (sparsity_h is None):
        raise OptionError(
            "count a GRU",
            received="one of sparsity_x and sparsity_h",
            allowed="both (delta network) or none (dense)",
            fix="give 0 for the side without deltas",
        )
    inputs, hidden, steps = array(n_inputs), array(n_hidden), array(n_steps)
    parts = []
    for name, columns, sums, sparsity in (
        ("input", inputs, 3.0 * hidden, sparsity_x),
        ("hidden", hidden, hidden, sparsity_h),
    ):
        n_syn, n_in, n_out = 3.0 * hidden * columns * steps, columns * steps, sums * steps
        where = f"{layer}.{name}"
        if sparsity is None:
            parts.append(
                dense_layer(
                    n_syn=n_syn,
                    n_inputs=n_in,
                    n_neurons=n_out,
                    weight_bits=weight_bits,
                    iact_bits=iact_bits,
                    psum_bits=psum_bits,
                    layer=where,
                )
            )
        else:
            parts.append(
                delta_layer(
                    n_syn=n_syn,
                    n_inputs=n_in,
                    n_neurons=n_out,
                    temporal_sparsity=sparsity,
                    weight_bits=weight_bits,
                    iact_bits=iact_bits,
                    psum_bits=psum_bits,
                    layer=where,
                )
            )
    return combine(parts)


def _matrix_entries(
    layer: str,
    macs: Array,
    n_neurons: ArrayLike,
    weight_bits: int,
    iact_bits: int,
    psum_bits: int,
) -> list[Entry]:
    return [
        count(layer, "sram", "read", "weight", macs, bits=weight_bits),
        count(layer, "alu", "mac", "none", macs, bits=mac_bits(weight_bits, iact_bits)),
        count(layer, "register", "read", "psum", macs, bits=psum_bits),
        count(layer, "register", "write", "psum", macs, bits=psum_bits),
        count(layer, "sram", "write", "psum", array(n_neurons), bits=psum_bits, part="neuron"),
    ]


def gru_weight_reads(
    *, n_inputs: ArrayLike, n_hidden: ArrayLike, sparsity_x: ArrayLike, sparsity_h: ArrayLike
) -> Array:
    """Weights fetched per time step by one delta GRU layer (three gates, biases excluded)."""
    sent_x = times(n_inputs, 1.0 - share("sparsity_x", sparsity_x))
    sent_h = times(n_hidden, 1.0 - share("sparsity_h", sparsity_h))
    return 3.0 * times(n_hidden, sent_x + sent_h)


def reference_words(*, n_inputs: ArrayLike, n_hidden: ArrayLike, n_sums: int = 4) -> Array:
    """Words that a delta layer keeps: references of inputs and states, and ``n_sums`` H sums.

    A GRU keeps four sums per neuron: reset, update, and the candidate's input and recurrent
    parts, which the reset gate joins only afterwards.
    """
    return np.asarray(array(n_inputs) + (1.0 + n_sums) * array(n_hidden))


def brain_spike_rate(
    *,
    power_w: ArrayLike = 10.0,
    energy_per_synaptic_event: ArrayLike = 100e-15,
    synapses_per_neuron: ArrayLike = 1e4,
    n_neurons: ArrayLike = 1e10,
) -> Array:
    """Mean spike rate in Hz at which synaptic events use the power.

    Power, fan-out and energy per event are the paper's text; the number of neurons stands in its
    Fig. 2, and 1e10 is what its rate of about 1 Hz implies.
    """
    return np.asarray(
        array(power_w) / times(energy_per_synaptic_event, synapses_per_neuron, n_neurons)
    )


def operations_per_joule(
    *, energy_per_event: ArrayLike, operations_per_event: ArrayLike = 1.0
) -> Array:
    """Op/J = Op/s/W. The paper's 10 TOp/s/W for 100 fJ counts one operation per event."""
    return np.asarray(array(operations_per_event) / array(energy_per_event))
