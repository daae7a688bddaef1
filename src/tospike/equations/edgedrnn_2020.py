"""EdgeDRNN (Gao et al. 2020): operations, latency and DRAM traffic of a delta GRU from DRAM.

What
    An accelerator that streams the weight columns of changed inputs and states from DRAM into
    eight processing elements, at batch size 1. What is counted as an operation, how the latency
    follows from the columns that are read, what a column costs in whole DRAM bursts, and what the
    delta method itself costs in small on-chip memories.

Equations (conventions of the authors' code; the latency is derived here)
    parameters               sum over layers of 3H (1 + I + H); the 1 is a bias column
    operations               2 parameters per time step, whatever is skipped
    effective_throughput     operations / mean latency
    peak_throughput          2 n_pe clock
    latency                  sum over layers of sent columns ceil(3H / n_pe) / clock + overhead
    latency_sparsity         Gamma = 1 - latency n_pe clock / parameters
    column_bytes             ceil(3H weight_bits / 8 / burst) burst
    weight_traffic           sent columns times column_bytes, and one bias column per layer
    reference_memories       per step: I + H references read, sent ones written, 4H sums read and
                             written
    delta_gru                all of it as action counts, weights from DRAM

Legend
    n_inputs I, n_hidden H   of one layer; layers after the first have I = H
    sent                     columns read: elements of input and state that changed by more than
                             the threshold, (1 - Gamma_x) I + (1 - Gamma_h) H
    n_pe                     processing elements, 8: one 8-bit weight each per clock (64 bit)
    clock                    125 MHz
    burst_bytes              least that one DRAM access transfers

Range of validity
    GRU with three gates, weights from DRAM, 8-bit weights (Q1.7) and 16-bit activations (Q8.8).
    The latency is bound by memory: one weight word per clock and column, no stall, no row changes;
    without ``overhead`` it is a lower bound. The bias column is read in the first step only
    (its input never changes), and counted in every step by the operations.

Errata
    The clock of 125 MHz and the 4H sums are recalled or derived, not read in the paper; sizes,
    20.2 GOp/s and 0.5 ms are its abstract. 40 inputs of the 2L-768H network are ours: 27 to 48
    round to the printed 5.4 M weights and 10.8 MOp.

Reference
    C. Gao et al., IEEE JETCAS 10(4), 2020, doi:10.1109/JETCAS.2020.3040300; authors' code
    (test program, hardware defaults).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from tospike.actions import ActionCounts, Array, count
from tospike.equations.checks import array, at_least_one, share, times
from tospike.equations.dampfhoffer_2022 import mac_bits

SOURCES = ("gao_2020",)
N_PE = 8
CLOCK_HZ = 125e6


def parameters(*, n_inputs: ArrayLike, n_hidden: ArrayLike, n_layers: int = 1) -> Array:
    """Weights and one bias column of ``n_layers`` stacked GRU layers."""
    at_least_one("n_layers", n_layers)
    hidden = array(n_hidden)
    first = 3.0 * hidden * (1.0 + array(n_inputs) + hidden)
    return np.asarray(first + (n_layers - 1) * 3.0 * hidden * (1.0 + 2.0 * hidden))


def operations(*, n_parameters: ArrayLike) -> Array:
    """Operations of one time step: a multiplication and an addition per parameter."""
    return times(2.0, n_parameters)


def effective_throughput(*, n_operations: ArrayLike, mean_latency: ArrayLike) -> Array:
    """Op/s of a network that would have computed everything in the latency in second."""
    with np.errstate(divide="ignore"):
        return np.asarray(array(n_operations) / array(mean_latency))


def peak_throughput(*, n_pe: ArrayLike = N_PE, clock_hz: ArrayLike = CLOCK_HZ) -> Array:
    """Op/s without any skipping: 2 GOp/s for eight elements at 125 MHz."""
    return times(2.0, n_pe, clock_hz)


def sent_columns(
    *, n_inputs: ArrayLike, n_hidden: ArrayLike, sparsity_x: ArrayLike, sparsity_h: ArrayLike
) -> Array:
    """Weight columns that one layer reads per time step, on average."""
    from_x = times(n_inputs, 1.0 - share("sparsity_x", sparsity_x))
    return np.asarray(from_x + times(n_hidden, 1.0 - share("sparsity_h", sparsity_h)))


def latency(
    *,
    sent: ArrayLike,
    n_hidden: ArrayLike,
    n_pe: int = N_PE,
    clock_hz: float = CLOCK_HZ,
    overhead_clocks: ArrayLike = 0.0,
) -> Array:
    """Seconds of one layer in one time step, bound by memory: whole clocks per sent column."""
    clocks = times(sent, np.ceil(3.0 * array(n_hidden) / n_pe)) + array(overhead_clocks)
    return np.asarray(clocks / clock_hz)


def latency_sparsity(
    *,
    mean_latency: ArrayLike,
    n_parameters: ArrayLike,
    n_pe: int = N_PE,
    clock_hz: float = CLOCK_HZ,
) -> Array:
    """Share of all columns that cannot have been read in ``mean_latency`` (second): least Gamma."""
    return np.asarray(1.0 - array(mean_latency) * n_pe * clock_hz / array(n_parameters))


def column_bytes(
    *, n_hidden: ArrayLike, burst_bytes: int, weight_bits: int = 8, n_gates: int = 3
) -> Array:
    """Bytes that one weight column takes from DRAM: its size, rounded up to whole bursts.

    Columns start at burst addresses; ``n_gates`` is 3 for a GRU, 4 for an LSTM.
    """
    at_least_one("burst_bytes", burst_bytes)
    size = n_gates * array(n_hidden) * weight_bits / 8.0
    return np.asarray(np.ceil(size / burst_bytes) * burst_bytes)


def weight_traffic(
    *,
    sent: ArrayLike,
    n_hidden: ArrayLike,
    burst_bytes: int,
    weight_bits: int = 8,
    n_gates: int = 3,
) -> Array:
    """Bytes read from DRAM for ``sent`` columns of one layer."""
    size = column_bytes(
        n_hidden=n_hidden, burst_bytes=burst_bytes, weight_bits=weight_bits, n_gates=n_gates
    )
    return times(sent, size)


def reference_memories(
    *,
    n_inputs: ArrayLike,
    n_hidden: ArrayLike,
    sparsity_x: ArrayLike,
    sparsity_h: ArrayLike,
    iact_bits: int = 16,
    sum_bits: int = 32,
    n_sums: int = 4,
    layer: str = "gru",
) -> ActionCounts:
    """What the delta method adds per time step and layer, on chip.

    References x_ref and h_ref: all read, subtracted and compared; those of sent elements written.
    Sums (M_r, M_u, M_xc and M_hc; ``n_sums`` 4 for an LSTM too): all read and written once.
    """
    elements = np.asarray(array(n_inputs) + array(n_hidden))
    sent = sent_columns(
        n_inputs=n_inputs, n_hidden=n_hidden, sparsity_x=sparsity_x, sparsity_h=sparsity_h
    )
    sums, own = times(float(n_sums), n_hidden), "neuron"
    return ActionCounts(
        (
            count(layer, "sram", "read", "reference", elements, bits=iact_bits, part=own),
            count(layer, "alu", "add", "delta", elements, bits=iact_bits, part=own),
            count(layer, "alu", "compare", "delta", elements, bits=iact_bits, part=own),
            count(layer, "sram", "write", "reference", sent, bits=iact_bits, part=own),
            count(layer, "sram", "read", "psum", sums, bits=sum_bits, part=own),
            count(layer, "sram", "write", "psum", sums, bits=sum_bits, part=own),
        ),
        model="edgedrnn_references",
        assumptions=("EdgeDRNN: every reference and every sum is read once per time step on chip",),
        sources=SOURCES,
    )


def delta_gru(
    *,
    n_inputs: ArrayLike,
    n_hidden: ArrayLike,
    sparsity_x: ArrayLike,
    sparsity_h: ArrayLike,
    burst_bytes: int,
    n_steps: ArrayLike = 1.0,
    weight_bits: int = 8,
    iact_bits: int = 16,
    sum_bits: int = 32,
    layer: str = "gru",
) -> ActionCounts:
    """One delta GRU layer over ``n_steps`` steps with its weights in DRAM.

    Weights in whole bursts straight into the processing elements, one MAC each (padding is
    transferred, not multiplied), accumulators in registers; and :func:`reference_memories`.
    """
    sent = sent_columns(
        n_inputs=n_inputs, n_hidden=n_hidden, sparsity_x=sparsity_x, sparsity_h=sparsity_h
    )
    traffic = weight_traffic(
        sent=sent, n_hidden=n_hidden, burst_bytes=burst_bytes, weight_bits=weight_bits
    )
    macs = times(3.0, n_hidden, sent)
    values = np.asarray(array(n_inputs) + array(n_hidden))
    entries = (
        count(layer, "dram", "read", "weight", traffic, bits=8),
        count(layer, "alu", "mac", "none", macs, bits=mac_bits(weight_bits, iact_bits)),
        count(layer, "register", "read", "psum", macs, bits=sum_bits),
        count(layer, "register", "write", "psum", macs, bits=sum_bits),
        count(layer, "sram", "read", "iact", values, bits=iact_bits, part="neuron"),
        count(layer, "sram", "write", "state", array(n_hidden), bits=iact_bits, part="neuron"),
    )
    matrix = ActionCounts(
        entries,
        model="edgedrnn",
        assumptions=(
            f"EdgeDRNN: weight columns from DRAM in whole bursts of {burst_bytes} byte, "
            "not kept on chip; gate functions left out",
        ),
        sources=SOURCES,
    )
    kept = reference_memories(
        n_inputs=n_inputs,
        n_hidden=n_hidden,
        sparsity_x=sparsity_x,
        sparsity_h=sparsity_h,
        iact_bits=iact_bits,
        sum_bits=sum_bits,
        layer=layer,
    )
    return (matrix + kept).scaled(array(n_steps))
