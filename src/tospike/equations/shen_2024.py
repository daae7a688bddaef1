"""Shen et al. 2024: bits times operations as the measure of effort, for SNN and quantised ANN.

What
    A time step of an SNN and a bit plane of a quantised activation are the same work: a binary
    input times a weight. The effort of a synapse is its bit budget; no joules, only ratios.

Equations (the numbers of the equations are not known to us)
    bit_budget   BB = T b_w b_s
    s_ace        S-ACE = sum n BB: general hardware, every step is computed
    ns_ace       NS-ACE = sum f n BB: neuromorphic hardware, only spikes are computed
    ann_qann     S-ACE with T = 1, b_s = b_a
    rate_limit   f = b_a / (T b_s): spike rate at which NS-ACE equals the S-ACE of the QANN

Legend
    n_syn               n, MACs of one pass
    n_timesteps         T
    weight_bits         b_w
    spike_bits          b_s, bits of one spike (1; more for multi-bit spike patterns)
    spikes_per_synapse  f T, spikes per synapse and inference
    iact_bits           b_a, activation bits of the quantised ANN

Range of validity
    A proxy for arithmetic: no memory, routing, control or static power. Linear in the bit budget
    on the FPGAs that the paper measured (its Fig. 3, the slope differs between devices). The
    paper sets a T-step SNN beside a T-bit ANN; by the number of levels it is log2(T + 1) bits.

Errata, and what is second-hand
    Formulas from two independent summaries; the paper's text was not at hand. A spike-rate
    threshold of 10 to 15 % is quoted second-hand; the formula gives it only for b_a / T between
    0.10 and 0.15 (4 bit against T = 32: 12.5 %), so it is not reproduced. The paper's bit-plane
    sum runs from 0 to T, one plane too many.

Reference
    G. Shen et al., CVPR 2024, arXiv:2311.10802.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from tospike.actions import ActionCounts, Array, count
from tospike.equations.checks import array, at_least_one, times

SOURCES = ("shen_2024",)
_PROXY = "Shen: bits times operations; memory, data movement and static power are not counted"


def bit_budget(
    *, n_timesteps: ArrayLike = 1.0, weight_bits: ArrayLike = 8.0, spike_bits: ArrayLike = 1.0
) -> Array:
    """BB = T b_w b_s of one synapse."""
    return times(n_timesteps, weight_bits, spike_bits)


def rate_limit(
    *, iact_bits: ArrayLike, n_timesteps: ArrayLike, spike_bits: ArrayLike = 1.0
) -> Array:
    """Spike rate per time step at which the SNN (NS-ACE) costs what the QANN (S-ACE) costs."""
    steps = at_least_one("n_timesteps", n_timesteps)
    return np.asarray(array(iact_bits) / (steps * at_least_one("spike_bits", spike_bits)))


def ann_qann(
    *, n_syn: ArrayLike, weight_bits: int = 8, iact_bits: int = 8, layer: str = "synapses"
) -> ActionCounts:
    """Bit operations of a quantised ANN: n b_w b_a."""
    return _bit_ops("ann_shen", times(n_syn, weight_bits, iact_bits), layer)


def s_ace(
    *,
    n_syn: ArrayLike,
    n_timesteps: ArrayLike,
    weight_bits: int = 8,
    spike_bits: int = 1,
    layer: str = "synapses",
) -> ActionCounts:
    """S-ACE of an SNN on hardware that computes every step."""
    budget = bit_budget(n_timesteps=n_timesteps, weight_bits=weight_bits, spike_bits=spike_bits)
    return _bit_ops("snn_shen", times(n_syn, budget), layer)


def ns_ace(
    *,
    n_syn: ArrayLike,
    spikes_per_synapse: ArrayLike,
    weight_bits: int = 8,
    spike_bits: int = 1,
    layer: str = "synapses",
) -> ActionCounts:
    """NS-ACE of an SNN on hardware that computes spikes alone: f T n b_w b_s."""
    budget = bit_budget(weight_bits=weight_bits, spike_bits=spike_bits)
    return _bit_ops("snn_shen", times(n_syn, spikes_per_synapse, budget), layer)


def _bit_ops(model: str, number: Array, layer: str) -> ActionCounts:
    entry = count(layer, "alu", "bit_op", "none", number, bits=1)
    return ActionCounts((entry,), model=model, assumptions=(_PROXY,), sources=SOURCES)
