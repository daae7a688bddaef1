"""Beyond the papers: terms that they leave out and that verdicts turn on. Off unless named.

What
    Weights that do not fit on chip, static power, communication, and the bias of integrate-and-
    fire neurons. Each term adds a sentence to the result.

Equations (ours)
    weights_off_chip   n_fetches (1 - on_chip_bytes / weight_bytes) reads from DRAM
    static             inference_seconds / duty_cycle seconds of static power per inference
    communication      n_events hops_per_event hops of event_bits
    bias_current       N_neur T (ER_bias + E_AC), and ER_state + EW_state where no leak has
                       already brought the state in

Legend
    n_fetches           weight words asked for in one inference
    weight_bytes        size of all weights of the network; on_chip_bytes: memory kept for them
    duty_cycle          share of time spent computing, in (0, 1]; the rest is idle at full
                        static power
    hops_per_event      mean number of router hops of one event or activation

Range of validity
    DRAM at the technology's mean energy per bit: no row-buffer model (see ``machines``).
    Static power does not depend on activity.
"""

from __future__ import annotations

from numpy.typing import ArrayLike

from tospike.actions import ActionCounts, count
from tospike.equations.checks import array, share, times
from tospike.errors import RangeError

#: names of the optional terms of :func:`tospike.equations.count`
TERMS = ("weights_off_chip", "static", "communication")


def weights_off_chip(
    *,
    n_fetches: ArrayLike,
    weight_bytes: float,
    on_chip_bytes: float,
    weight_bits: int = 8,
    layer: str = "synapses",
) -> ActionCounts:
    """DRAM reads of the share of the weights that does not fit into ``on_chip_bytes``."""
    if weight_bytes < 0 or on_chip_bytes < 0:
        raise RangeError(
            "count weights off chip",
            received=f"weight_bytes={weight_bytes}, on_chip_bytes={on_chip_bytes}",
            allowed="numbers >= 0",
            fix="give both sizes in byte",
        )
    outside = max(0.0, 1.0 - on_chip_bytes / weight_bytes) if weight_bytes else 0.0
    entry = count(
        layer,
        "dram",
        "read",
        "weight",
        times(n_fetches, outside),
        bits=weight_bits,
        part="weights_off_chip",
    )
    return ActionCounts(
        (entry,),
        model="weights_off_chip",
        assumptions=(
            f"weights off chip: {weight_bytes / 1024:.4g} KiB of weights, "
            f"{on_chip_bytes / 1024:.4g} KiB on chip; {outside:.1%} of all weight fetches go to "
            "DRAM at its mean energy per bit",
        ),
        sources=("tospike",),
    )


def static_energy(
    *, inference_seconds: ArrayLike, duty_cycle: ArrayLike = 1.0, layer: str = "chip"
) -> ActionCounts:
    """Seconds of static power that belong to one inference."""
    busy = share("duty_cycle", duty_cycle)
    if not bool((busy > 0).all()):
        raise RangeError(
            "count static power", received="a duty cycle of 0", allowed="a share in (0, 1]"
        )
    seconds = array(inference_seconds) / busy
    entry = count(layer, "static", "second", "none", seconds, bits=1, part="static")
    return ActionCounts(
        (entry,),
        model="static",
        assumptions=("static power is paid during the inference and the idle time around it",),
        sources=("tospike",),
    )


def communication(
    *,
    n_events: ArrayLike,
    hops_per_event: ArrayLike,
    event_bits: int,
    datatype: str = "event",
    layer: str = "synapses",
) -> ActionCounts:
    """Hops of address events (SNN, delta) or of activations (ANN)."""
    hops = times(n_events, hops_per_event)
    entry = count(layer, "noc", "hop", datatype, hops, bits=event_bits, part="communication")
    return ActionCounts(
        (entry,),
        model="communication",
        assumptions=(
            "communication: every input event or activation travels the given number of hops; "
            "multicast to several cores is not counted twice",
        ),
        sources=("tospike",),
    )


def bias_current(
    *,
    n_neur: ArrayLike,
    n_timesteps: ArrayLike,
    state_access: bool = True,
    state_bits: int = 8,
    bias_bits: int = 8,
    layer: str = "synapses",
) -> ActionCounts:
    """Bias of SNN neurons: a constant current added to every neuron in every time step.

    The bias comes from the ANN (with batch normalisation folded into it). It makes an otherwise
    event-driven IF neuron pay in every step. ``state_access`` False: the neuron model already
    reads and writes the state in every step (leaky neurons, continuous synapses).
    """
    updates = times(n_neur, n_timesteps)
    entries = [
        count(layer, "sram", "read", "bias", updates, bits=bias_bits, part="neuron"),
        count(layer, "alu", "ac", "bias", updates, bits=state_bits, part="neuron"),
    ]
    if state_access:
        entries += [
            count(layer, "sram", "read", "state", updates, bits=state_bits, part="neuron"),
            count(layer, "sram", "write", "state", updates, bits=state_bits, part="neuron"),
        ]
    return ActionCounts(
        tuple(entries),
        model="bias_current",
        assumptions=("SNN biases are constant currents added to every neuron in every time step",),
        sources=("tospike",),
    )
