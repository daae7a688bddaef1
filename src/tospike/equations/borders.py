"""Borders of a hybrid network: where analog values become spikes and back.

What
    ANN to SNN: the rectified outputs of an analog layer drive integrate-and-fire neurons as
    constant currents for T steps (constant-current or direct encoding). SNN to ANN: the spikes
    of a layer are accumulated and read out once as an analog value.

Equations (ours; Dampfhoffer 2022, IV names the conversion and leaves its energy out)
    ann_to_snn   n_values T (ER_state + EW_state + E_AC + E_compare)
    snn_to_ann   n_values (ER_state + E_mul + EW_iact)

Legend
    n_values      values that cross the border, counted at the layer that produces them
    n_timesteps   T

Range of validity
    On-chip states in the distant SRAM; the spikes' own transport is the optional term
    "communication".
"""

from __future__ import annotations

from numpy.typing import ArrayLike

from tospike.actions import ActionCounts, count
from tospike.equations.checks import array, times


def ann_to_snn(
    *, n_values: ArrayLike, n_timesteps: ArrayLike, state_bits: int = 8, layer: str = "border"
) -> ActionCounts:
    """Constant-current encoding of ``n_values`` analog values over T steps."""
    updates = times(n_values, n_timesteps)
    entries = (
        count(layer, "sram", "read", "state", updates, bits=state_bits, part="border"),
        count(layer, "sram", "write", "state", updates, bits=state_bits, part="border"),
        count(layer, "alu", "ac", "state", updates, bits=state_bits, part="border"),
        count(layer, "alu", "compare", "state", updates, bits=state_bits, part="border"),
    )
    return ActionCounts(
        entries,
        model="border",
        assumptions=("border ANN to SNN: constant-current encoding, one state update per step",),
        sources=("tospike",),
    )


def snn_to_ann(
    *, n_values: ArrayLike, state_bits: int = 8, iact_bits: int = 8, layer: str = "border"
) -> ActionCounts:
    """Read-out of ``n_values`` accumulated spike counts as analog values."""
    values = array(n_values)
    entries = (
        count(layer, "sram", "read", "state", values, bits=state_bits, part="border"),
        count(layer, "alu", "mul", "state", values, bits=state_bits, part="border"),
        count(layer, "sram", "write", "iact", values, bits=iact_bits, part="border"),
    )
    return ActionCounts(
        entries,
        model="border",
        assumptions=("border SNN to ANN: accumulated spikes are read, scaled and written once",),
        sources=("tospike",),
    )
