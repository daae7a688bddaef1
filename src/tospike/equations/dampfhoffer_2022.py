"""Dampfhoffer et al. 2022: dynamic energy of ANN and SNN synapses, memory accesses included.

What
    Counts of operations and memory accesses of one inference of one layer (or network), for a
    naive ANN, an ANN with ideal reuse, with ideal reuse and sparsity, the Eyeriss accelerators,
    and four event-driven SNN neuron models.

Equations
    ann_naive            eq. (2)
    snn_if_inst          eq. (4)
    snn_lif_inst         eq. (7)
    snn_if_cont          eq. (10)
    snn_lif_cont         II-C3: eq. (10) and one more MAC per neuron and step
    ann_reuse            eq. (11)
    ann_reuse_sparsity   eq. (12)
    ann_eyeriss_v1       eq. (13)
    ann_eyeriss_v2       III-B2: eq. (13) / 1.15

Legend
    n_syn                 N_syn, synapses = MACs of one inference
    n_neur                N_neur, neurons updated in every time step
    spikes_per_synapse    N_spikes/syn, spikes received per synapse and inference
    n_timesteps           T
    zero_fraction         gamma, share of input activations that are 0, in [0, 1]
    reuse_iact, reuse_weight, reuse_psum, reuse_average   RF, MACs per distant access, >= 1
    *_bits                width of one operand or access in bit
    ``sram`` is the distant memory, ``register`` and ``pe_sram`` are local to a PE.

Range of validity
    Digital, event-driven SNN and spatially expanded memory: all weights and states on chip.
    Static power, communication, activation functions and thresholds are left out by the paper
    (optional terms: ``tospike.equations.beyond``). Reuse in the SNN: none.

Reference
    M. Dampfhoffer, T. Mesquida, A. Valentian, L. Anghel, IEEE TETCI 2022,
    doi:10.1109/TETCI.2022.3214509.

All functions are keyword-only and broadcast over every argument but the widths and names. They
raise :class:`RangeError` for a zero fraction outside of [0, 1] and reuse factors below 1.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from tospike.actions import ActionCounts, Array, Entry, count
from tospike.constant import Constant
from tospike.equations.checks import array, at_least_one, one_of, share, times

SOURCES = ("dampfhoffer_2022",)
Convention = Literal["whole_bracket", "as_printed"]

#: average rate of zero input activations of the convolutional layers of AlexNet and VGG16
ZERO_FRACTION = Constant(
    0.58, "", 0.575, 0.586, "dampfhoffer_2022", "III-A", "58%",
    spread="totals of AlexNet (57.5 %) and VGG16 (58.6 %) in the Eyeriss tables",
)  # fmt: skip
#: average reuse of input activations and partial sums measured on Eyeriss v1
REUSE_VGG16 = Constant(
    25, "", 25, 80, "dampfhoffer_2022", "III-B1", "25",
    spread="VGG16 (25) to AlexNet (80)",
)  # fmt: skip
REUSE_ALEXNET = Constant(
    80, "", 25, 80, "dampfhoffer_2022", "III-B1", "80",
    spread="VGG16 (25) to AlexNet (80)",
)  # fmt: skip
#: energy efficiency of Eyeriss v2 over v1 on networks that are not pruned, sparse PEs only
EYERISS_V2_GAIN = Constant(
    1.15, "", 1.06, 1.15, "dampfhoffer_2022", "III-B2", "x1.15 (x1.06)",
    spread="AlexNet (1.15) to MobileNet (1.06)",
)  # fmt: skip


def _counts(model: str, entries: list[Entry], *assumptions: str) -> ActionCounts:
    return ActionCounts(
        tuple(entries), route="equation", model=model, assumptions=assumptions, sources=SOURCES
    )


def ann_naive(
    *,
    n_syn: ArrayLike,
    weight_bits: int = 8,
    iact_bits: int = 8,
    psum_bits: int = 8,
    layer: str = "synapses",
) -> ActionCounts:
    """Eq. (2): N_syn (ER_iact + ER_weight + ER_psum + EW_psum + E_MAC). No reuse, no sparsity."""
    n = array(n_syn)
    return _counts(
        "ann_naive",
        [
            count(layer, "sram", "read", "iact", n, bits=iact_bits),
            count(layer, "sram", "read", "weight", n, bits=weight_bits),
            count(layer, "sram", "read", "psum", n, bits=psum_bits),
            count(layer, "sram", "write", "psum", n, bits=psum_bits),
            count(layer, "alu", "mac", "none", n, bits=mac_bits(weight_bits, iact_bits)),
        ],
        "ANN without data reuse and without use of zeros (Dampfhoffer 2022, eq. 2)",
    )


def mac_bits(weight_bits: int, iact_bits: int) -> int:
    """Width that stands for an asymmetric multiplication: the geometric mean, rounded up.

    A w x a bit multiplier has about w a cells, so it is priced as a square one of sqrt(w a) bit.
    Exact for equal widths.
    """
    return int(np.ceil(np.sqrt(weight_bits * iact_bits) - 1e-9))


def snn_if_inst(
    *,
    n_syn: ArrayLike,
    spikes_per_synapse: ArrayLike,
    weight_bits: int = 8,
    state_bits: int = 8,
    layer: str = "synapses",
) -> ActionCounts:
    """Eq. (4): N_syn N_spikes/syn (ER_weight + ER_state + EW_state + E_AC)."""
    return _counts(
        "snn_if_inst",
        _spike_entries(layer, n_syn, spikes_per_synapse, weight_bits, state_bits, "state"),
        "event-driven SNN: every spike reads its weights and reads and writes the states, no reuse",
    )


def snn_lif_inst(
    *,
    n_syn: ArrayLike,
    n_neur: ArrayLike,
    spikes_per_synapse: ArrayLike,
    n_timesteps: ArrayLike,
    weight_bits: int = 8,
    state_bits: int = 8,
    layer: str = "synapses",
) -> ActionCounts:
    """Eq. (7): eq. (4) + N_neur T (ER_state + EW_state + E_MAC)."""
    return _counts(
        "snn_lif_inst",
        [
            *_spike_entries(layer, n_syn, spikes_per_synapse, weight_bits, state_bits, "state"),
            *_step_entries(layer, times(n_neur, n_timesteps), state_bits, ("state",), macs=1),
        ],
        "event-driven SNN: every spike reads its weights and reads and writes the states, no reuse",
        "leaky neurons are updated in every time step",
    )


def snn_if_cont(
    *,
    n_syn: ArrayLike,
    n_neur: ArrayLike,
    spikes_per_synapse: ArrayLike,
    n_timesteps: ArrayLike,
    weight_bits: int = 8,
    state_bits: int = 8,
    layer: str = "synapses",
) -> ActionCounts:
    """Eq. (10): N_syn N_spikes/syn (ER_weight + ER_I + EW_I + E_AC)
    + N_neur T (ER_I + EW_I + ER_state + EW_state + 2 E_MAC)."""
    return _continuous(
        "snn_if_cont",
        layer,
        n_syn,
        spikes_per_synapse,
        times(n_neur, n_timesteps),
        weight_bits,
        state_bits,
        macs=2,
    )


def snn_lif_cont(
    *,
    n_syn: ArrayLike,
    n_neur: ArrayLike,
    spikes_per_synapse: ArrayLike,
    n_timesteps: ArrayLike,
    weight_bits: int = 8,
    state_bits: int = 8,
    layer: str = "synapses",
) -> ActionCounts:
    """Section II-C3: eq. (10) with a third MAC per neuron and step, for the leak."""
    return _continuous(
        "snn_lif_cont",
        layer,
        n_syn,
        spikes_per_synapse,
        times(n_neur, n_timesteps),
        weight_bits,
        state_bits,
        macs=3,
    )


def _continuous(
    model: str,
    layer: str,
    n_syn: ArrayLike,
    spikes_per_synapse: ArrayLike,
    updates: Array,
    weight_bits: int,
    state_bits: int,
    *,
    macs: int,
) -> ActionCounts:
    return _counts(
        model,
        [
            *_spike_entries(layer, n_syn, spikes_per_synapse, weight_bits, state_bits, "current"),
            *_step_entries(layer, updates, state_bits, ("current", "state"), macs=macs),
        ],
        "event-driven SNN: every spike reads its weights and reads and writes the input current",
        "input currents and neurons are updated in every time step",
    )


def _spike_entries(
    layer: str,
    n_syn: ArrayLike,
    spikes_per_synapse: ArrayLike,
    weight_bits: int,
    state_bits: int,
    variable: str,
) -> list[Entry]:
    events = times(n_syn, spikes_per_synapse)
    return [
        count(layer, "sram", "read", "weight", events, bits=weight_bits),
        count(layer, "sram", "read", variable, events, bits=state_bits),
        count(layer, "sram", "write", variable, events, bits=state_bits),
        count(layer, "alu", "ac", "none", events, bits=max(weight_bits, state_bits)),
    ]


def _step_entries(
    layer: str, updates: Array, state_bits: int, variables: tuple[str, ...], *, macs: int
) -> list[Entry]:
    entries = [
        count(layer, "sram", action, variable, updates, bits=state_bits, part="neuron")
        for variable in variables
        for action in ("read", "write")
    ]
    multiply = count(layer, "alu", "mac", "state", macs * updates, bits=state_bits, part="neuron")
    return [*entries, multiply]


def ann_reuse(
    *,
    n_syn: ArrayLike,
    reuse_iact: ArrayLike = np.inf,
    reuse_weight: ArrayLike = np.inf,
    reuse_psum: ArrayLike = np.inf,
    weight_bits: int = 8,
    iact_bits: int = 8,
    psum_bits: int = 8,
    layer: str = "synapses",
) -> ActionCounts:
    """Eq. (11): distant accesses divided by the reuse factors, four register accesses per MAC.

    The defaults are the paper's limit of ideal reuse, RF -> infinity.
    """
    n = array(n_syn)
    distant = _distant_entries(
        layer, n, reuse_iact, reuse_weight, reuse_psum, (weight_bits, iact_bits, psum_bits)
    )
    local = [
        count(layer, "register", "read", "iact", n, bits=iact_bits),
        *_sparse_local_entries(layer, n, weight_bits, iact_bits, psum_bits),
    ]
    return _counts(
        "ann_reuse",
        [*distant, *local],
        "ANN with ideal data reuse: every word is fetched once and kept in registers (eq. 11)",
    )


def ann_reuse_sparsity(
    *,
    n_syn: ArrayLike,
    zero_fraction: ArrayLike,
    reuse_iact: ArrayLike = np.inf,
    reuse_weight: ArrayLike = np.inf,
    reuse_psum: ArrayLike = np.inf,
    weight_bits: int = 8,
    iact_bits: int = 8,
    psum_bits: int = 8,
    layer: str = "synapses",
) -> ActionCounts:
    """Eq. (12): as eq. (11); for a zero input only the input itself is read from the register."""
    n = array(n_syn)
    distant = _distant_entries(
        layer, n, reuse_iact, reuse_weight, reuse_psum, (weight_bits, iact_bits, psum_bits)
    )
    kept = times(n, 1.0 - share("zero_fraction", zero_fraction))
    local = [
        count(layer, "register", "read", "iact", n, bits=iact_bits),
        *_sparse_local_entries(layer, kept, weight_bits, iact_bits, psum_bits),
    ]
    return _counts(
        "ann_reuse_sparsity",
        [*distant, *local],
        "ANN with ideal data reuse that skips every zero input at no cost (eq. 12): a lower bound",
    )


def _distant_entries(
    layer: str,
    n: Array,
    reuse_iact: ArrayLike,
    reuse_weight: ArrayLike,
    reuse_psum: ArrayLike,
    widths: tuple[int, int, int],
) -> list[Entry]:
    weight_bits, iact_bits, psum_bits = widths
    iacts = n / at_least_one("reuse_iact", reuse_iact)
    weights = n / at_least_one("reuse_weight", reuse_weight)
    psums = n / at_least_one("reuse_psum", reuse_psum)
    return [
        count(layer, "sram", "read", "iact", iacts, bits=iact_bits),
        count(layer, "sram", "read", "weight", weights, bits=weight_bits),
        count(layer, "sram", "read", "psum", psums, bits=psum_bits),
        count(layer, "sram", "write", "psum", psums, bits=psum_bits),
    ]


def _sparse_local_entries(
    layer: str, n: Array, weight_bits: int, iact_bits: int, psum_bits: int
) -> list[Entry]:
    return [
        count(layer, "register", "read", "weight", n, bits=weight_bits),
        count(layer, "register", "read", "psum", n, bits=psum_bits),
        count(layer, "register", "write", "psum", n, bits=psum_bits),
        count(layer, "alu", "mac", "none", n, bits=mac_bits(weight_bits, iact_bits)),
    ]


def ann_eyeriss_v1(
    *,
    n_syn: ArrayLike,
    zero_fraction: ArrayLike,
    reuse_average: ArrayLike,
    weight_fetches: ArrayLike = 0.0,
    convention: Convention = "whole_bracket",
    weight_bits: int = 8,
    iact_bits: int = 8,
    psum_bits: int = 8,
    layer: str = "synapses",
) -> ActionCounts:
    """Eq. (13): Eyeriss v1; a zero input gates the PE, at 0.55 of the full energy.

    Parameters
    ----------
    reuse_average : RF_avg of input activations and partial sums (25 for VGG16, 80 for AlexNet).
    weight_fetches : reads of weights from the distant memory into the PEs per inference. The
        paper neglects them (0); for a layer without weight reuse they are N_syn.
    convention : "whole_bracket": gating acts on all terms, which alone gives the paper's 0.44
        and 0.42. "as_printed": the printed parenthesis, where gating acts on the weight read and
        the distant accesses, and the MAC and register accesses are always paid (0.50 and 0.48).

    Actions with a zero input are counted as gated and priced with the technology's
    ``gated_fraction``.
    """
    one_of("convention", convention, ("whole_bracket", "as_printed"))
    n = array(n_syn)
    zero = share("zero_fraction", zero_fraction)
    distant = n / at_least_one("reuse_average", reuse_average)
    bracket = [
        ("pe_sram", "read", "weight", n, weight_bits),
        ("sram", "read", "iact", distant, iact_bits),
        ("sram", "read", "psum", distant, psum_bits),
        ("sram", "write", "psum", distant, psum_bits),
    ]
    rest = [
        ("alu", "mac", "none", n, mac_bits(weight_bits, iact_bits)),
        ("register", "read", "iact", n, iact_bits),
        ("register", "read", "psum", n, psum_bits),
        ("register", "write", "psum", n, psum_bits),
    ]
    gated = bracket + rest if convention == "whole_bracket" else bracket
    entries = [
        count(layer, component, name, datatype, times(number, part), bits=bits)
        for component, action, datatype, number, bits in gated
        for name, part in ((action, 1.0 - zero), (f"{action}_gated", zero))
    ]
    if convention == "as_printed":
        entries += [
            count(layer, component, action, datatype, number, bits=bits)
            for component, action, datatype, number, bits in rest
        ]
    entries.append(count(layer, "sram", "read", "weight", weight_fetches, bits=weight_bits))
    return _counts(
        "ann_eyeriss_v1",
        entries,
        "Eyeriss v1 row-stationary dataflow with data gating (Dampfhoffer 2022, eq. 13, "
        f"convention {convention})",
    )


def ann_eyeriss_v2(
    *,
    n_syn: ArrayLike,
    zero_fraction: ArrayLike,
    reuse_average: ArrayLike,
    weight_fetches: ArrayLike = 0.0,
    convention: Convention = "whole_bracket",
    gain: ArrayLike = EYERISS_V2_GAIN.value,
    weight_bits: int = 8,
    iact_bits: int = 8,
    psum_bits: int = 8,
    layer: str = "synapses",
) -> ActionCounts:
    """III-B2: every count of eq. (13) divided by ``gain`` (1.15 AlexNet, 1.06 MobileNet)."""
    first = ann_eyeriss_v1(
        n_syn=n_syn,
        zero_fraction=zero_fraction,
        reuse_average=reuse_average,
        weight_fetches=weight_fetches,
        convention=convention,
        weight_bits=weight_bits,
        iact_bits=iact_bits,
        psum_bits=psum_bits,
        layer=layer,
    )
    scaled = first.scaled(1.0 / at_least_one("gain", gain))
    return _counts(
        "ann_eyeriss_v2",
        list(scaled.entries),
        *first.assumptions,
        "Eyeriss v2 = Eyeriss v1 divided by its gain from sparse PEs on networks that are not "
        "pruned (1.15 for AlexNet, 1.06 for MobileNet; III-B2)",
    )
