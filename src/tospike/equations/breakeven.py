"""Break-even: how many spikes per synapse an SNN may spend to cost no more than an ANN.

``break_even`` works for any layer, ANN model, SNN model and technology. ``breakeven_table``
reproduces Table III of Dampfhoffer 2022, or the same rows with another technology.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from tospike.actions import ActionCounts
from tospike.activity import LayerActivity
from tospike.equations import dampfhoffer_2022 as dampfhoffer
from tospike.equations.counting import model_of
from tospike.equations.record import EquationOptions
from tospike.errors import OptionError
from tospike.implementation import Implementation
from tospike.network import Layer
from tospike.pricing import price
from tospike.technology import Technology, load

_DEFAULT = EquationOptions()


def break_even(
    layer: Layer,
    activity: LayerActivity,
    implementation: Implementation,
    ann_model: str,
    snn_model: str,
    technology: str | Technology,
    *,
    options: EquationOptions = _DEFAULT,
    sram_bytes: float | None = None,
) -> float:
    """Spikes per synapse at which the SNN layer costs as much as the ANN layer; >= 0.

    E_SNN is linear in the spikes, E_SNN = E_0 + s E_1, so the result is (E_ANN - E_0) / E_1. It
    is 0 where the updates per time step alone (E_0) already cost more than the ANN, and infinite
    where spikes cost nothing. ``activity`` gives the ANN's zeros; its own spikes are not used.
    Borders and optional terms are not part of a layer's break-even.
    """
    ann, snn = model_of(ann_model), model_of(snn_model)
    reasons = [
        f"{model.key!r} counts {model.mode!r}, not {wanted!r}"
        for model, wanted in ((ann, "ann"), (snn, "snn"))
        if model.mode != wanted
    ]
    if reasons:
        raise OptionError(
            "find the break-even",
            allowed="one ann and one snn equation",
            fix="exchange the equations",
            reasons=reasons,
        )

    def energy(counts: ActionCounts) -> float:
        return float(price(counts, technology, sram_bytes=sram_bytes).energy)

    def spiking(spikes_per_synapse: float) -> float:
        fed = replace(
            activity,
            signal="spike",
            spikes_per_synapse=spikes_per_synapse,
            synaptic_operations=spikes_per_synapse * layer.n_synapses,
        )
        return energy(snn.count_layer(layer, fed, implementation, options))

    fixed = spiking(0.0)
    per_spike = spiking(1.0) - fixed
    margin = energy(ann.count_layer(layer, activity, implementation, options)) - fixed
    if per_spike <= 0:
        return float("inf") if margin > 0 else 0.0
    return max(0.0, margin / per_spike)


@dataclass(frozen=True, slots=True)
class BreakEvenRow:
    """One row of Table III.

    ``spikes_per_synapse`` is computed; ``printed`` is what the paper prints; ``low``, ``high``
    hold every constant of the ANN and the SNN at the ends of its range that favour one side;
    ``note`` says where the printed value does not follow.
    """

    key: str
    model: str
    spikes_per_synapse: float
    low: float
    high: float
    printed: float | None
    technology: str
    note: str = ""


_GAMMA = dampfhoffer.ZERO_FRACTION.value
_NOTE_V2 = (
    "the paper divides its rounded 0.42 by 1.15 (0.365, printed 0.37); unrounded it is 0.364, "
    "which is what its Fig. 7 uses"
)


_T45, _T65 = "dampfhoffer_2022_45nm_8b", "dampfhoffer_2022_65nm_16b"
#: (key, title, the paper's technology, printed value, note)
_ROWS: tuple[tuple[str, str, str, float, str], ...] = (
    ("ann_naive", "worst case ANN: baseline (II)", _T45, 1.38, ""),
    ("ann_reuse", "ideal reuse (III-A)", _T65, 0.28, ""),
    (
        "ann_reuse_sparsity",
        "best case ANN: ideal reuse + iact sparsity (III-A)",
        _T65,
        0.15,
        "",
    ),
    ("ann_eyeriss_v1_vgg16", "Eyeriss v1, VGG16 (III-B1)", _T65, 0.44, ""),
    ("ann_eyeriss_v1_alexnet", "Eyeriss v1, AlexNet (III-B1)", _T65, 0.42, ""),
    ("ann_eyeriss_v2_alexnet", "Eyeriss v2, AlexNet (III-B2)", _T65, 0.37, _NOTE_V2),
)


def _ann_per_synapse(key: str, bits: int) -> ActionCounts:
    """Counts of one synapse of the ANN of a row, in the paper's limits."""
    if key == "ann_naive":
        return dampfhoffer.ann_naive(n_syn=1.0, weight_bits=bits, iact_bits=bits, psum_bits=bits)
    if key == "ann_reuse":
        return dampfhoffer.ann_reuse(n_syn=1.0, weight_bits=bits, iact_bits=bits, psum_bits=bits)
    if key == "ann_reuse_sparsity":
        return dampfhoffer.ann_reuse_sparsity(
            n_syn=1.0, zero_fraction=_GAMMA, weight_bits=bits, iact_bits=bits, psum_bits=bits
        )
    vgg16 = key.endswith("vgg16")
    eyeriss = dampfhoffer.ann_eyeriss_v2 if "_v2_" in key else dampfhoffer.ann_eyeriss_v1
    return eyeriss(
        n_syn=1.0,
        zero_fraction=_GAMMA,
        reuse_average=(dampfhoffer.REUSE_VGG16 if vgg16 else dampfhoffer.REUSE_ALEXNET).value,
        weight_bits=bits,
        iact_bits=bits,
        psum_bits=bits,
    )


def breakeven_table(
    technology: str | Technology | None = None, *, bits: int | None = None
) -> list[BreakEvenRow]:
    """Target spikes per synapse of the IF + inst SNN against every ANN model (Table III).

    ``technology`` None: each row with the paper's own (45 nm 8 bit for the naive ANN, 65 nm
    16 bit for the rest). ``bits`` None: the technology's own width (8, or 16 at 65 nm).
    Raises :class:`TechnologyError` for a technology that cannot price a row.
    """
    given = None
    if technology is not None:
        given = technology if isinstance(technology, Technology) else load(technology)
    table = []
    for key, title, own, printed, note in _ROWS:
        used = given if given is not None else load(own)
        width = bits or _native_bits(used)
        snn = dampfhoffer.snn_if_inst(
            n_syn=1.0, spikes_per_synapse=1.0, weight_bits=width, state_bits=width
        )
        value, low, high = _ratio(_ann_per_synapse(key, width), snn, used)
        paper = given is None
        table.append(
            BreakEvenRow(
                key,
                title,
                value,
                low,
                high,
                printed if paper else None,
                used.name,
                note if paper else "",
            )
        )
    return table


def _native_bits(technology: Technology) -> int:
    widths = {bits for component, action, bits in technology.energies if action == "ac"}
    return min(widths, default=8)


def _ratio(
    ann: ActionCounts, snn: ActionCounts, technology: Technology
) -> tuple[float, float, float]:
    """E_ANN / E_SNN, and its extremes over all corners of the constants' common ranges."""
    first, second = price(ann, technology), price(snn, technology)
    drivers = {**first.drivers, **second.drivers}
    corners: list[dict[str, float]] = [{}]
    for driver, (low, high) in drivers.items():
        ends = (low, high) if low != high else (1.0,)
        corners = [{**corner, driver: end} for corner in corners for end in ends]

    def energy(parts: tuple[tuple[float, tuple[str, ...]], ...], corner: dict[str, float]) -> float:
        total = 0.0
        for nominal, names in parts:
            for name in names:
                nominal *= corner.get(name, 1.0)
            total += nominal
        return total

    upper = tuple((float(part.energy), part.drivers) for part in first.parts)
    lower = tuple((float(part.energy), part.drivers) for part in second.parts)
    ratios = [energy(upper, corner) / energy(lower, corner) for corner in corners]
    return float(first.energy / second.energy), min(ratios), max(ratios)
