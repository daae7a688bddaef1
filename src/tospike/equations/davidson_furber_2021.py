"""Davidson & Furber 2021: one synapse of an ANN against one spike through the same synapse.

What
    The core step of a layer on digital hardware. ANN: every input is multiplied and accumulated
    once per inference. Rate-coded SNN: every spike of an input adds the weight once. Both keep
    the sum in SRAM.

Equations (reconstructed: the paper's text was not at hand, see the errata)
    ann_layer   N_syn (E_read + E_MAC + E_add + E_write)   = N_syn (5 + 5 + 1 + 1) E = 12 E N_syn
    snn_layer   N_syn N_s (E_read + E_add + E_write)       = N_syn N_s (5 + 1 + 1) E = 7 E N_s N_syn
    break-even  N_s < 12 E / 7 E

Legend
    n_syn               N_syn, synapses of the layer
    spikes_per_synapse  N_s, spikes that transmit one output value: spikes per neuron and inference
    E                   energy of one 32-bit addition, about 60 fJ
    accumulator_bits    width of the sum that is read and written back; the paper has 32 bit for
                        8-bit weights, here weight_bits + 24

Range of validity
    22 nm FD-SOI, 32-bit sums, 8-bit weights, rate coding. No zero skipping and no reuse in the
    ANN, no update of the potential in every time step, no threshold, no communication.

Errata, and what is reconstructed
    12 E / 7 E is 1.714, which rounds to 1.71; the paper prints 1.72. (With the energies behind
    the units, 1 + 293 fJ / S is 1.72 for a spike's step of S = 407 fJ = 7 E of 58 fJ.)
    Second-hand: 12 E, 7 E, 1.72 and the prices 1 E, 5 E, 5 E, 1 E. Reconstructed: which steps add
    up to 12 and 7. These do, and differ by the multiplication alone; the price that is called a
    32 x 8 bit MAC then stands for the multiplication.

Reference
    S. Davidson, S. B. Furber, Frontiers in Neuroscience 15:651141, 2021,
    doi:10.3389/fnins.2021.651141.
"""

from __future__ import annotations

from numpy.typing import ArrayLike

from tospike.actions import ActionCounts, Array, Entry, count
from tospike.equations.checks import array, times

SOURCES = ("davidson_furber_2021",)
#: bits of an accumulator beyond those of the weight: 32 bit for 8-bit weights in the paper
HEADROOM_BITS = 24
_RECONSTRUCTED = (
    "Davidson & Furber: the steps behind 12E and 7E are reconstructed; the paper's text was not "
    "checked"
)
_ANN = "Davidson & Furber: one SRAM read, multiplication, addition and write-back per synapse"
_SNN = "Davidson & Furber: one SRAM read, addition and write-back per spike and synapse"


def ann_layer(*, n_syn: ArrayLike, weight_bits: int = 8, layer: str = "synapses") -> ActionCounts:
    """12 E per synapse and inference."""
    steps = array(n_syn)
    multiplication = count(layer, "alu", "mul", "none", steps, bits=weight_bits)
    entries = (multiplication, *_accumulate(layer, "psum", steps, weight_bits))
    return ActionCounts(
        entries, model="ann_davidson_furber", assumptions=(_ANN, _RECONSTRUCTED), sources=SOURCES
    )


def snn_layer(
    *,
    n_syn: ArrayLike,
    spikes_per_synapse: ArrayLike,
    weight_bits: int = 8,
    layer: str = "synapses",
) -> ActionCounts:
    """7 E per synapse and spike."""
    events = times(n_syn, spikes_per_synapse)
    return ActionCounts(
        _accumulate(layer, "state", events, weight_bits),
        model="snn_davidson_furber",
        assumptions=(_SNN, _RECONSTRUCTED),
        sources=SOURCES,
    )


def _accumulate(layer: str, datatype: str, steps: Array, weight_bits: int) -> tuple[Entry, ...]:
    """Read, add, write back: the step that both networks take."""
    bits = weight_bits + HEADROOM_BITS
    return (
        count(layer, "sram", "read", datatype, steps, bits=bits),
        count(layer, "alu", "ac", "none", steps, bits=bits),
        count(layer, "sram", "write", datatype, steps, bits=bits),
    )
