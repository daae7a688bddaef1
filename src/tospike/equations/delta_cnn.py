"""Stateful delta CNNs: from which temporal sparsity on does propagating changes pay?

What
    Liu & Delbruck 2019 (section VII) found for CNNs that it is nearly always cheaper to compute
    the output of a layer anew from its input than to propagate changes, because the activations of
    every layer must be stored, read and written. This file makes a rule of the sentence: the
    counts of one layer and one frame, recomputed or updated, and the break-even between them.

Equations (ours; energies per access by the technology)
    recompute   N_in E_rd(x) + (1 - gamma) N_syn E_mac + W E_rd(w) + N_out E_wr(y)
    delta       N_in (E_rd(x) + E_rd(ref) + E_sub + E_cmp) + (1 - Gamma) N_in E_wr(ref)
                + (1 - Gamma) N_syn E_mac + W E_rd(w) + state + N_out E_wr(y)
    state       "event":  (1 - Gamma) N_syn (E_rd(s) + E_wr(s)), each changed input updates the
                          sums of all its outputs at once, without reuse
                "frame":  N_out (E_rd(s) + E_wr(s)), each sum is read and written once per frame,
                          all changes in between stay in registers
    E_mac       multiply-accumulate with its register accesses
    break-even  Gamma* = 1 - (E_recompute - E_delta(1)) / (E_delta(0) - E_delta(1)), as both are
                linear in Gamma

Legend
    n_syn N_syn               MACs of one frame; n_inputs, n_neurons: N_in, N_out
    n_weights W               weights, each fetched once per frame on both sides
    zero_fraction gamma       share of the MACs whose input is 0; the recomputing side skips them
    temporal_sparsity Gamma   share of inputs that did not change by more than the threshold since
                              they were last sent
    state_memory              "sram" or "dram": where references and sums stand
    state_bits                of a stored sum (pre-activation); references have iact_bits

Range of validity
    One layer, one frame after another, inputs on chip. Weights fit beside the MACs for a frame on
    both sides, so that they do not decide; index and control costs of sparse updates are left
    out, which favours the delta side, and so does "frame" (perfect reuse of sums). A Gamma*
    above 1 means: never, not even when nothing changes; below 0: always.

Reference
    S.-C. Liu, T. Delbruck et al., Asilomar 2019, section VII.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from tospike.actions import ActionCounts, Array, Entry, count
from tospike.equations.checks import array, one_of, share, times
from tospike.equations.dampfhoffer_2022 import mac_bits
from tospike.pricing import price
from tospike.technology import Technology

SOURCES = ("liu_delbruck_2019", "tospike")
Updates = Literal["event", "frame"]
Memory = Literal["sram", "dram"]


@dataclass(frozen=True)
class CnnLayer:
    """Sizes of one convolution or linear layer for one frame, and the widths of its words."""

    n_syn: float
    n_inputs: float
    n_neurons: float
    n_weights: float
    weight_bits: int = 8
    iact_bits: int = 8
    state_bits: int = 16
    name: str = "synapses"


def recomputed(layer: CnnLayer, *, zero_fraction: ArrayLike = 0.0) -> ActionCounts:
    """The layer computed anew from its input; MACs with a zero input are skipped."""
    executed = times(layer.n_syn, 1.0 - share("zero_fraction", zero_fraction))
    name = layer.name
    return ActionCounts(
        (
            count(name, "sram", "read", "iact", layer.n_inputs, bits=layer.iact_bits),
            *_matrix(layer, executed),
        ),
        model="cnn_recomputed",
        assumptions=("recomputed CNN: zero inputs are skipped, each weight is fetched once",),
        sources=SOURCES,
    )


def delta(
    layer: CnnLayer,
    *,
    temporal_sparsity: ArrayLike,
    updates: Updates = "frame",
    state_memory: Memory = "sram",
) -> ActionCounts:
    """The layer updated from the changes of its input."""
    one_of("updates", updates, ("event", "frame"))
    one_of("state_memory", state_memory, ("sram", "dram"))
    sent = 1.0 - share("temporal_sparsity", temporal_sparsity)
    executed, changed = times(layer.n_syn, sent), times(layer.n_inputs, sent)
    touched = executed if updates == "event" else array(layer.n_neurons)
    name, bits, where = layer.name, layer.iact_bits, state_memory
    state = (
        count(name, where, "read", "reference", layer.n_inputs, bits=bits, part="neuron"),
        count(name, where, "write", "reference", changed, bits=bits, part="neuron"),
        count(name, where, "read", "state", touched, bits=layer.state_bits, part="neuron"),
        count(name, where, "write", "state", touched, bits=layer.state_bits, part="neuron"),
    )
    said = {
        "event": "every changed input reads and writes the sums of all its outputs",
        "frame": "every sum is read and written once per frame",
    }
    return ActionCounts(
        (
            count(name, "sram", "read", "iact", layer.n_inputs, bits=bits),
            count(name, "alu", "add", "delta", layer.n_inputs, bits=bits, part="neuron"),
            count(name, "alu", "compare", "delta", layer.n_inputs, bits=bits, part="neuron"),
            *_matrix(layer, executed),
            *state,
        ),
        model="cnn_delta",
        assumptions=(f"delta CNN, state in {where}: {said[updates]}",),
        sources=SOURCES,
    )


def _matrix(layer: CnnLayer, executed: Array) -> list[Entry]:
    name, bits = layer.name, layer.state_bits
    width = mac_bits(layer.weight_bits, layer.iact_bits)
    return [
        count(name, "sram", "read", "weight", layer.n_weights, bits=layer.weight_bits),
        count(name, "alu", "mac", "none", executed, bits=width),
        count(name, "register", "read", "psum", executed, bits=bits),
        count(name, "register", "write", "psum", executed, bits=bits),
        count(name, "sram", "write", "oact", layer.n_neurons, bits=layer.iact_bits),
    ]


@dataclass(frozen=True)
class BreakEven:
    """Where updating costs what recomputing costs.

    Attributes
    ----------
    temporal_sparsity : Gamma*; above 1 never pays, below 0 always.
    recomputed, unchanged, all_changed : joule per frame of the recomputed layer, and of the delta
        layer at Gamma = 1 and at Gamma = 0.
    """

    temporal_sparsity: float
    recomputed: float
    unchanged: float
    all_changed: float

    @property
    def ever(self) -> bool:
        """True if it pays for a frame in which nothing changes."""
        return self.unchanged < self.recomputed

    def energy(self, temporal_sparsity: float) -> float:
        """Joule per frame of the delta layer."""
        sent = 1.0 - float(share("temporal_sparsity", temporal_sparsity))
        return self.unchanged + sent * (self.all_changed - self.unchanged)


def break_even(
    layer: CnnLayer,
    technology: str | Technology,
    *,
    zero_fraction: float = 0.0,
    updates: Updates = "frame",
    state_memory: Memory = "sram",
    sram_bytes: float | None = None,
) -> BreakEven:
    """Temporal sparsity from which on the delta layer costs less than the recomputed one.

    ``sram_bytes``: capacity of the on-chip memory for both sides; None: the technology's own.
    Raises :class:`~tospike.errors.RangeError` for shares outside of [0, 1] and what
    :func:`~tospike.pricing.price` raises.
    """

    def energy(counts: ActionCounts) -> float:
        return float(price(counts, technology, sram_bytes=sram_bytes).energy)

    again = energy(recomputed(layer, zero_fraction=zero_fraction))
    still, moving = (
        energy(delta(layer, temporal_sparsity=gamma, updates=updates, state_memory=state_memory))
        for gamma in (1.0, 0.0)
    )
    # moving > still: every change costs at least its MACs and the write of its reference
    return BreakEven(float(1.0 - (again - still) / (moving - still)), again, still, moving)


def energy_ratio(
    change_share: ArrayLike, fan_out: ArrayLike, *, access_over_mac: ArrayLike
) -> Array:
    """The rule of thumb: energy of a delta layer over a recomputed one, accesses and MACs only.

    Per input a reference is read, for a changed one also written, and its ``fan_out`` MACs are
    done; the sums of as many outputs as inputs are read and written. Recomputing costs fan_out
    MACs per input. ``access_over_mac``: energy of one state access over one MAC. Below 1 it pays::

        change_share + access_over_mac (3 + change_share) / fan_out
    """
    changed = share("change_share", change_share)
    access = times(access_over_mac, 3.0 + changed)
    with np.errstate(divide="ignore"):
        return np.asarray(changed + access / array(fan_out))
