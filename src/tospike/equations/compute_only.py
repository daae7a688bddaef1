"""The compute-only convention: one MAC against one AC, memory ignored.

What
    Most algorithm papers report SNN energy as N_AC x 0.9 pJ against N_MAC x 4.6 pJ (32-bit
    floating point at 45 nm). The convention is offered because its numbers are quoted so often,
    and every result is labelled with what it ignores.

Equations
    ann_compute_only   E = N_syn E_MAC
    snn_compute_only   E = N_syn N_spikes/syn E_AC

Legend
    n_syn                synapses = MACs of one inference
    spikes_per_synapse   spikes received per synapse and inference

Range of validity
    None as an energy: memory accesses are 96 % of the naive ANN (Dampfhoffer 2022, Fig. 6). It is
    a count of operations in joules. The printed 4.6 and 0.9 pJ are 32-bit operations of
    ``horowitz_2014_45nm_fp``.

Reference
    M. Horowitz, ISSCC 2014, doi:10.1109/ISSCC.2014.6757323 (the operation energies); criticised
    in Dampfhoffer 2022, section I.
"""

from __future__ import annotations

from numpy.typing import ArrayLike

from tospike.actions import ActionCounts, count
from tospike.equations.checks import array, times
from tospike.equations.dampfhoffer_2022 import mac_bits

SOURCES = ("horowitz_2014", "dampfhoffer_2022")
IGNORED = (
    "compute-only convention: memory accesses, neuron states, data movement and static power are "
    "ignored"
)


def ann_compute_only(
    *, n_syn: ArrayLike, weight_bits: int = 32, iact_bits: int = 32, layer: str = "synapses"
) -> ActionCounts:
    """N_syn MACs and nothing else."""
    width = mac_bits(weight_bits, iact_bits)
    entry = count(layer, "alu", "mac", "none", array(n_syn), bits=width)
    return ActionCounts((entry,), model="ann_compute_only", assumptions=(IGNORED,), sources=SOURCES)


def snn_compute_only(
    *,
    n_syn: ArrayLike,
    spikes_per_synapse: ArrayLike,
    weight_bits: int = 32,
    state_bits: int = 32,
    layer: str = "synapses",
) -> ActionCounts:
    """N_syn N_spikes/syn ACs and nothing else."""
    events = times(n_syn, spikes_per_synapse)
    entry = count(layer, "alu", "ac", "none", events, bits=max(weight_bits, state_bits))
    return ActionCounts((entry,), model="snn_compute_only", assumptions=(IGNORED,), sources=SOURCES)
