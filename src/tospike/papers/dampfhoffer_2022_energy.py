"""Energies of Dampfhoffer et al. 2022 in units of one MAC, by the product's equations and prices.

Nothing is copied from the paper's results: counts come from ``tospike.equations``, prices from the
technology files that hold Table I.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Literal

from tospike.actions import ActionCounts, combine, count
from tospike.activity import LayerActivity
from tospike.equations import BreakEvenRow, EquationOptions, breakeven_table, model_of
from tospike.equations import dampfhoffer_2022 as equations
from tospike.implementation import Implementation
from tospike.network import Layer
from tospike.papers.claim import Claim
from tospike.papers.load import claims
from tospike.pricing import Cost, price

T45, T65 = "dampfhoffer_2022_45nm_8b", "dampfhoffer_2022_65nm_16b"
#: operand width of each column of Table I
BITS = {T45: 8, T65: 16}
GAMMA = equations.ZERO_FRACTION.value
GAIN = equations.EYERISS_V2_GAIN.value

#: how the parenthesis of eq. (13) is read: two ways of the equations, and the text of III-B1
Reading = Literal["as_printed", "whole_bracket", "pe_only"]
OnChip = Literal["vgg16", "alexnet"]
_REUSE = {"vgg16": equations.REUSE_VGG16.value, "alexnet": equations.REUSE_ALEXNET.value}
#: the paper counts neither biases nor the fetching of weights into the PEs
_OPTIONS = EquationOptions(gamma="zero_fraction", bias="never", eyeriss_weight_fetch=False)


def claim_of(suffix: str) -> Claim:
    """The claim ``dampfhoffer2022-<suffix>`` of the package data."""
    return next(claim for claim in claims() if claim.id == f"dampfhoffer2022-{suffix}")


def printed(suffix: str) -> float:
    """The printed number of a claim; only ever compared with, or solved for an unknown."""
    value = claim_of(suffix).value
    return float("nan") if value is None else value


def in_macs(counts: ActionCounts, technology: str) -> float:
    """Energy of the counts in units of one MAC of the technology."""
    bits = BITS[technology]
    one = price(ActionCounts((count("unit", "alu", "mac", "none", 1, bits=bits),)), technology)
    return float(price(counts, technology).energy / one.energy)


def spike(technology: str, spikes: float = 1.0) -> float:
    """Eq. (4) of one synapse."""
    bits = BITS[technology]
    counts = equations.snn_if_inst(
        n_syn=1.0, spikes_per_synapse=spikes, weight_bits=bits, state_bits=bits
    )
    return in_macs(counts, technology)


def naive(technology: str) -> float:
    """Eq. (2) of one synapse."""
    bits = BITS[technology]
    counts = equations.ann_naive(n_syn=1.0, weight_bits=bits, iact_bits=bits, psum_bits=bits)
    return in_macs(counts, technology)


def best(reuse: float) -> float:
    """Eq. (12) of one synapse with one reuse factor for all data."""
    counts = equations.ann_reuse_sparsity(
        n_syn=1.0, zero_fraction=GAMMA, reuse_iact=reuse, reuse_weight=reuse, reuse_psum=reuse,
        weight_bits=16, iact_bits=16, psum_bits=16,
    )  # fmt: skip
    return in_macs(counts, T65)


def eyeriss_cost(
    network: OnChip, convention: equations.Convention, *, gamma: float = GAMMA
) -> Cost:
    """Eq. (13) of one synapse, priced with the 65 nm column."""
    counts = equations.ann_eyeriss_v1(
        n_syn=1.0, zero_fraction=gamma, reuse_average=_REUSE[network], convention=convention,
        weight_bits=16, iact_bits=16, psum_bits=16,
    )  # fmt: skip
    return price(counts, T65)


def eyeriss(network: OnChip, reading: Reading = "whole_bracket") -> float:
    """Break-even spikes per synapse of eq. (13) in a reading of its parenthesis."""
    spiking = equations.snn_if_inst(
        n_syn=1.0, spikes_per_synapse=1.0, weight_bits=16, state_bits=16
    )
    one = price(spiking, T65).energy
    if reading != "pe_only":
        return float(eyeriss_cost(network, reading).energy / one)
    gated = eyeriss_cost(network, "whole_bracket")
    inside = gated.energy - gated.total(component="sram")
    outside = eyeriss_cost(network, "whole_bracket", gamma=0.0).total(component="sram")
    return float((inside + outside) / one)


def eyeriss_v2(network: OnChip, reading: Reading = "whole_bracket") -> float:
    """Break-even of III-B2: that of eq. (13) divided by 1.15."""
    return eyeriss(network, reading) / GAIN


@cache
def rows() -> dict[str, BreakEvenRow]:
    """The rows of the product's own break-even table, by key."""
    return {row.key: row for row in breakeven_table()}


def energy_of_layers(
    model: str,
    layers: Iterable[Layer],
    technology: str,
    *,
    spikes: float = 0.0,
    steps: int = 1,
    zero_fraction: float = 0.0,
) -> Cost:
    """An equation over the layers of a network with one activity for all of them, priced."""
    bits = BITS[technology]
    mode = model_of(model).mode
    how = Implementation(
        mode="snn" if mode == "snn" else "ann", n_timesteps=steps,
        weight_bits=bits, activation_bits=bits, state_bits=bits,
    )  # fmt: skip
    counts = []
    for layer in layers:
        assumed = LayerActivity(
            signal="spike" if mode == "snn" else "analog", n_samples=0, n_timesteps=steps,
            zero_fraction=zero_fraction, synaptic_operations=spikes * layer.n_synapses,
            spikes_per_synapse=spikes if mode == "snn" else None,
        )  # fmt: skip
        counts.append(model_of(model).count_layer(layer, assumed, how, _OPTIONS))
    return price(combine(counts), technology)
