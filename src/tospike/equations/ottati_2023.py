"""Ottati et al. 2023: one output neuron computed in one window, ANN against SNN.

What
    Memory accesses and operations to compute one neuron of a convolution (Algorithms 1 and 2) or
    of a recurrent layer, once (ANN) or in every time step (SNN). No reuse on either side.

Equations (the paper does not number them)
    snn_conv        IV-A: E_SNN = N_rd (E_rd + E_rd/8) + N_rd E_add + E_state + E_wr/8, times T
    ann_conv        IV-A: E_ANN = 2 N_rd E_rd + N_rd (E_add + E_mult) + E_act + E_quant + E_wr
    snn_recurrent   V-A: as snn_conv with N reads
    ann_recurrent   V-A: E_ANN = (2N + 2) E_rd + (N + 1)(E_add + E_mult) + 2 E_wr
    E_state = E_rd + E_mult + E_add + E_comp + E_sub + E_wr

Legend
    n_reads       N_rd = C_I H_K W_K of a convolution, N of a recurrent layer: synapses per neuron
    n_neurons     output neurons computed (1 gives the paper's energies per neuron)
    n_timesteps   T
    density       the paper's gamma_SNN or gamma_ANN: share of inputs that are not zero, in
                  [0, 1] (NOT the zero fraction; gamma of Dampfhoffer is 1 - density)
    sparsity      what the density acts on. "synapses": weight reads and operations, as
                  Algorithm 1 says; every spike or activation is still read. "all_terms": the
                  whole energy, as the paper's formula has it

Range of validity
    Clocked SNN that reads every input spike in every time step, 8 spikes per 8-bit word; 8-bit
    weights, activations and states; 8 kB scratchpads. Reuse on registers is left out on both
    sides. The recurrent ANN of the paper has one scalar recurrent weight per neuron (N + 1 MACs);
    a full recurrent matrix has N + H (``n_recurrent``).

Errata
    Table I prints 10 pJ per 64-bit read and 2.50 pJ/B; the energies 13.1, 24.1, 2.92 and 5.37 nJ
    follow from 2.50 (technology ``ottati_2023_45nm``), the division gives 1.25
    (``ottati_2023_45nm_computed``). The text counts C_I H_I W_I additions and uses N_rd.

Reference
    F. Ottati et al., IEEE JETCAS 2023, doi:10.1109/JETCAS.2023.3330432.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from tospike.actions import ActionCounts, Array, Entry, count
from tospike.equations.checks import one_of, share, times
from tospike.equations.dampfhoffer_2022 import mac_bits

SOURCES = ("ottati_2023",)
Sparsity = Literal["synapses", "all_terms"]
_SNN = "clocked SNN: every spike of the input map is read in every time step, without reuse"
_ANN = "ANN without data reuse: one weight and one activation read per MAC"


def snn_conv(
    *,
    n_reads: ArrayLike,
    n_neurons: ArrayLike = 1.0,
    n_timesteps: ArrayLike = 1.0,
    density: ArrayLike = 1.0,
    sparsity: Sparsity = "synapses",
    weight_bits: int = 8,
    state_bits: int = 8,
    layer: str = "synapses",
) -> ActionCounts:
    """IV-A, Algorithm 1: E_SNN of ``n_neurons`` neurons over ``n_timesteps`` steps."""
    dense, kept, rest = _densities(density, sparsity)
    updates = times(n_neurons, n_timesteps)
    reads = times(n_reads, updates)
    synapses = [
        count(layer, "sram", "read", "weight", reads * kept, bits=weight_bits),
        count(layer, "sram", "read", "spike", reads * dense, bits=1),
        count(layer, "alu", "ac", "none", reads * kept, bits=max(weight_bits, state_bits)),
    ]
    return _counts(
        "snn_ottati", [*synapses, *_state_entries(layer, updates * rest, state_bits)], _SNN
    )


def _state_entries(layer: str, updates: Array, state_bits: int) -> list[Entry]:
    rows = (
        ("sram", "read", "state", 1, state_bits),
        ("alu", "mul", "state", 1, state_bits),  # leak
        ("alu", "add", "state", 2, state_bits),  # current, and the subtraction of the reset
        ("alu", "compare", "state", 1, state_bits),
        ("sram", "write", "state", 1, state_bits),
        ("sram", "write", "spike", 1, 1),
    )
    return [
        count(layer, component, action, datatype, number * updates, bits=bits, part="neuron")
        for component, action, datatype, number, bits in rows
    ]


def ann_conv(
    *,
    n_reads: ArrayLike,
    n_neurons: ArrayLike = 1.0,
    density: ArrayLike = 1.0,
    sparsity: Sparsity = "synapses",
    weight_bits: int = 8,
    iact_bits: int = 8,
    layer: str = "synapses",
) -> ActionCounts:
    """IV-A, Algorithm 2: E_ANN of ``n_neurons`` neurons."""
    dense, kept, rest = _densities(density, sparsity)
    reads = times(n_reads, n_neurons)
    outputs = times(n_neurons, rest)
    return _counts(
        "ann_ottati",
        [
            count(layer, "sram", "read", "weight", reads * kept, bits=weight_bits),
            count(layer, "sram", "read", "iact", reads * dense, bits=iact_bits),
            count(layer, "alu", "mac", "none", reads * kept, bits=mac_bits(weight_bits, iact_bits)),
            count(layer, "alu", "compare", "oact", outputs, bits=iact_bits, part="neuron"),
            count(layer, "alu", "add", "oact", outputs, bits=iact_bits, part="neuron"),
            count(layer, "sram", "write", "oact", outputs, bits=iact_bits, part="neuron"),
        ],
        _ANN,
    )


def snn_recurrent(
    *,
    n_inputs: ArrayLike,
    n_neurons: ArrayLike = 1.0,
    n_timesteps: ArrayLike = 1.0,
    density: ArrayLike = 1.0,
    sparsity: Sparsity = "synapses",
    weight_bits: int = 8,
    state_bits: int = 8,
    layer: str = "synapses",
) -> ActionCounts:
    """V-A: E_SNN of neurons with ``n_inputs`` inputs; the same steps as :func:`snn_conv`."""
    return snn_conv(
        n_reads=n_inputs,
        n_neurons=n_neurons,
        n_timesteps=n_timesteps,
        density=density,
        sparsity=sparsity,
        weight_bits=weight_bits,
        state_bits=state_bits,
        layer=layer,
    )


def ann_recurrent(
    *,
    n_inputs: ArrayLike,
    n_recurrent: ArrayLike = 1.0,
    n_neurons: ArrayLike = 1.0,
    n_timesteps: ArrayLike = 1.0,
    density: ArrayLike = 1.0,
    sparsity: Sparsity = "synapses",
    weight_bits: int = 8,
    iact_bits: int = 8,
    layer: str = "synapses",
) -> ActionCounts:
    """V-A: E_ANN of vanilla RNN neurons; ``n_recurrent`` recurrent synapses each (paper: 1)."""
    dense, kept, rest = _densities(density, sparsity)
    updates = times(n_neurons, n_timesteps)
    reads = (times(n_inputs) + times(n_recurrent)) * updates
    return _counts(
        "ann_ottati",
        [
            count(layer, "sram", "read", "weight", reads * kept, bits=weight_bits),
            count(layer, "sram", "read", "iact", reads * dense, bits=iact_bits),
            count(layer, "alu", "mac", "none", reads * kept, bits=mac_bits(weight_bits, iact_bits)),
            count(layer, "sram", "write", "state", updates * rest, bits=iact_bits, part="neuron"),
            count(layer, "sram", "write", "oact", updates * rest, bits=iact_bits, part="neuron"),
        ],
        _ANN,
    )


def _densities(density: ArrayLike, sparsity: str) -> tuple[Array, Array, Array]:
    """Factors on the input reads, on weights and operations, and on the neuron's own terms."""
    one_of("sparsity", sparsity, ("synapses", "all_terms"))
    kept = share("density", density)
    one: Array = np.ones(())
    return (one, kept, one) if sparsity == "synapses" else (kept, kept, kept)


def _counts(model: str, entries: list[Entry], assumption: str) -> ActionCounts:
    return ActionCounts(tuple(entries), model=model, assumptions=(assumption,), sources=SOURCES)
