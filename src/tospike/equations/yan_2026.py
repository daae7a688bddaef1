"""Yan et al. 2024 to 2026: an SNN against the quantised network of the same capacity.

What
    A T-step IF network and a QNN with ceil(log2(T+1)) activation bits represent the same values
    (Theorem 1). Both pay for operations, weight reads and moving data; dense streams are cheap
    per bit and hop, routed spikes are not.

Equations (numbers of the theorems; the per-synapse energies are reconstructed, see below)
    qnn_bits             Theorem 1: b = ceil(log2(T + 1))
    spike_rate_bounds    Theorem 2: (1 - gamma)/T <= s_r <= 1 - gamma
    compute_break_even   T s_r <= k (1 - gamma), k = E_MAC / E_ACC
    dense_limit          E_SNN / E_QNN -> T / ceil(log2(T + 1))
    movement_break_even  s_r = b E_dense / (T E_sparse): the movement terms alone
    ann_qnn              N_syn (b h E_dense + w E_weight + (1 - gamma) E_MAC)
    snn_if, "sparse"     N_syn T s_r (h E_sparse + w E_weight + E_ACC) + neuron
    snn_if, "dense"      N_syn (T h E_dense + w E_weight) + N_syn T s_r E_ACC + neuron
    neuron               N_neur (T (E_CMP + 2 E_state) + T s_r E_SUB)

Legend
    n_syn, n_neur       synapses; neurons of the layer (fan-in N_src = n_syn / n_neur)
    n_timesteps         T
    spikes_per_synapse  T s_r; s_r is the mean spike rate per neuron and time step
    zero_fraction       gamma, zeros among the activations of the QNN
    weight_bits w, iact_bits b
    hops                h, mean hops of one activation per synapse (VGG16: 0.64, transformer 4.75)
    movement            "sparse": routed events; "dense": one bit per synapse and step streamed

Range of validity
    Rate coding with IF neurons, reset by subtraction, no leak, inputs below the threshold. Weights
    on chip. Control and static power are left out, which favours the SNN (the paper says so). A
    first-order estimate on network averages.

Errata, and what is reconstructed
    The paper's text was not at hand; theorems, 0.05448 pJ, 3.0 and 0.25 pJ per bit and hop and
    all printed figures are second-hand. The energies per synapse are ours. One SRAM energy
    (0.04 pJ per bit, fitted) gives the five printed break-evens of T = 5, w = 4 (5.7, 5.39, 6.08,
    3.41, 10.80 %) to 0.06 percentage points, and then, without more, four others to 0.12. State
    accesses are ours. Not reproduced: the break-even of T = 1 (0.297) and the ratios of whole
    networks, whose spike rates per layer we do not have. Abstracts: 6.4 % in versions 2 and 3,
    5.7 % in version 4.

Reference
    Z. Yan, Z. Bai, (K. Tang,) W.-F. Wong, arXiv:2409.08290, IEEE TCAD 2026,
    doi:10.1109/TCAD.2026.3718799.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from tospike.actions import ActionCounts, Array, count
from tospike.equations.checks import array, at_least_one, one_of, share, times
from tospike.equations.dampfhoffer_2022 import mac_bits

SOURCES = ("yan_2026",)
Movement = Literal["sparse", "dense"]
_RECONSTRUCTED = "Yan: the energies per synapse are reconstructed from printed break-evens"
_ANN = (
    "Yan: the QNN streams every activation, reads every weight once per synapse and skips MACs "
    "with zeros"
)
_SNN = {
    "sparse": "Yan: every spike is routed to each of its synapses and reads its weight",
    "dense": (
        "Yan: one bit per synapse is streamed in every time step; a weight is read once for all"
    ),
}


def qnn_bits(n_timesteps: ArrayLike) -> Array:
    """Theorem 1: activation bits of the QNN that has the capacity of a T-step SNN."""
    return np.asarray(np.ceil(np.log2(at_least_one("n_timesteps", n_timesteps) + 1.0)))


def spike_rate_bounds(zero_fraction: ArrayLike, n_timesteps: ArrayLike) -> tuple[Array, Array]:
    """Theorem 2: least and greatest spike rate of an SNN whose twin has ``zero_fraction``."""
    high = np.asarray(1.0 - share("zero_fraction", zero_fraction))
    return np.asarray(high / at_least_one("n_timesteps", n_timesteps)), high


def compute_break_even(
    mac_over_acc: ArrayLike, zero_fraction: ArrayLike, n_timesteps: ArrayLike
) -> Array:
    """Spike rate below which the operations alone cost less than those of the QNN."""
    steps = at_least_one("n_timesteps", n_timesteps)
    active = 1.0 - share("zero_fraction", zero_fraction)
    return np.asarray(array(mac_over_acc) * active / steps)


def dense_limit(n_timesteps: ArrayLike) -> Array:
    """E_SNN / E_QNN where dense data movement is all there is."""
    return np.asarray(array(n_timesteps) / qnn_bits(n_timesteps))


def movement_break_even(n_timesteps: ArrayLike, sparse_over_dense: ArrayLike = 12.0) -> Array:
    """Spike rate at which moving spikes costs what moving the QNN's activations costs."""
    eta = array(sparse_over_dense)
    return np.asarray(qnn_bits(n_timesteps) / (array(n_timesteps) * eta))


def ann_qnn(
    *,
    n_syn: ArrayLike,
    zero_fraction: ArrayLike = 0.0,
    hops: ArrayLike = 1.0,
    weight_bits: int = 8,
    iact_bits: int = 8,
    layer: str = "synapses",
) -> ActionCounts:
    """One inference of the QNN; give ``iact_bits=int(qnn_bits(T))`` for the twin of an SNN."""
    macs = np.asarray(array(n_syn) * (1.0 - share("zero_fraction", zero_fraction)))
    entries = (
        count(layer, "noc", "dense_hop", "iact", times(n_syn, hops), bits=iact_bits),
        count(layer, "sram", "read", "weight", array(n_syn), bits=weight_bits),
        count(layer, "alu", "mac", "none", macs, bits=mac_bits(weight_bits, iact_bits)),
    )
    return ActionCounts(
        entries, model="ann_yan", assumptions=(_ANN, _RECONSTRUCTED), sources=SOURCES
    )


def snn_if(
    *,
    n_syn: ArrayLike,
    n_neur: ArrayLike,
    spikes_per_synapse: ArrayLike,
    n_timesteps: ArrayLike,
    hops: ArrayLike = 1.0,
    movement: Movement = "sparse",
    weight_bits: int = 8,
    state_bits: int = 8,
    layer: str = "synapses",
) -> ActionCounts:
    """One inference of the SNN: T steps of IF neurons."""
    one_of("movement", movement, ("sparse", "dense"))
    steps = at_least_one("n_timesteps", n_timesteps)
    events = times(n_syn, spikes_per_synapse)
    sparse = movement == "sparse"
    moved, fetched = (events, events) if sparse else (times(n_syn, steps), array(n_syn))
    updates = times(n_neur, steps)
    emitted = times(n_neur, spikes_per_synapse)
    width, own = max(weight_bits, state_bits), "neuron"
    entries = (
        count(layer, "noc", f"{movement}_hop", "spike", times(moved, hops), bits=1),
        count(layer, "sram", "read", "weight", fetched, bits=weight_bits),
        count(layer, "alu", "ac", "none", events, bits=width),
        count(layer, "sram", "read", "state", updates, bits=state_bits, part=own),
        count(layer, "sram", "write", "state", updates, bits=state_bits, part=own),
        count(layer, "alu", "compare", "state", updates, bits=state_bits, part=own),
        count(layer, "alu", "add", "state", emitted, bits=state_bits, part=own),
    )
    said = (_SNN[movement], _RECONSTRUCTED)
    return ActionCounts(entries, model="snn_yan", assumptions=said, sources=SOURCES)
