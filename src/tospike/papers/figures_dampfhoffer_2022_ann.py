"""Figures 5 to 8 of Dampfhoffer et al. 2022: ANN models with reuse and zeros, spikes per layer."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tospike.actions import ActionCounts
from tospike.equations import breakeven_table
from tospike.equations import dampfhoffer_2022 as paper
from tospike.figures import Figure, Mark, Panel, Series, Statement
from tospike.papers.figures_dampfhoffer_2022 import PAPER, TOPOLOGIES, topology
from tospike.papers.measured import SpikingNetwork, read_spikes
from tospike.pricing import price

Array = NDArray[np.float64]

T65 = "dampfhoffer_2022_65nm_16b"
_GAMMA = paper.ZERO_FRACTION.value


def _energy(counts: ActionCounts) -> Array:
    return np.asarray(price(counts, T65).energy, dtype=float)


def target_sparsity(*, reuse: ArrayLike) -> Array:
    """Spikes per synapse at equal energy with eq. 12, all reuse factors equal (Fig. 5), 65 nm."""
    ann = paper.ann_reuse_sparsity(
        n_syn=1.0,
        zero_fraction=_GAMMA,
        reuse_iact=reuse,
        reuse_weight=reuse,
        reuse_psum=reuse,
        weight_bits=16,
        iact_bits=16,
        psum_bits=16,
    )
    return np.asarray(_energy(ann) / _spike_65())


def _spike_65() -> float:
    one = paper.snn_if_inst(n_syn=1.0, spikes_per_synapse=1.0, weight_bits=16, state_bits=16)
    return float(_energy(one))


def figure_5() -> Figure:
    """Fig. 5: target spikes per synapse against the mean reuse factor."""
    reuse = np.geomspace(1.0, 1e4, 81)
    y = target_sparsity(reuse=reuse)
    at_10, limit = (float(target_sparsity(reuse=value)) for value in (10.0, np.inf))
    after = target_sparsity(reuse=np.geomspace(10.0, 1e6, 200))
    return Figure(
        "dampfhoffer_2022_fig5",
        PAPER,
        "Fig. 5",
        "target spikes per synapse against reuse",
        "Spikes per synapse below which the IF+inst SNN costs less than an ANN with reuse factor "
        "RF for all data types and 58 % zero inputs (eq. 12 over eq. 4; 65 nm, 16 bit).",
        (
            Panel(
                "",
                "mean reuse factor RF",
                "target spikes per synapse",
                (Series("eq. 12 = eq. 4", reuse.tolist(), y.tolist()),),
                (
                    Mark("below 0.3", y=0.3),
                    Mark("from RF = 10", x=10.0),
                    Mark("ideal reuse: 0.15 (Table III)", y=0.15),
                ),
                x_log=True,
            ),
        ),
        (
            Statement(
                "the target becomes lower than 0.3 from RF = 10",
                "III-A",
                "< 0.3 at RF >= 10",
                f"{at_10:.3f} at RF = 10, falling; 0.3 is crossed at RF = {_crossing(0.3):.1f}",
                bool((after < 0.3).all()),
            ),
            Statement(
                "with ideal reuse and sparsity the target becomes 0.15",
                "III-A, Table III",
                "0.15",
                f"{limit:.3f}",
                bool(abs(limit - 0.15) <= 0.005),
            ),
        ),
        (PAPER, "chen_2016_isca"),
    )


def _crossing(target: float) -> float:
    """RF at which the target sparsity takes a value: it is affine in 1 / RF."""
    one, limit = (float(target_sparsity(reuse=value)) for value in (1.0, np.inf))
    return (one - limit) / (target - limit)


#: percent of (local memory, MAC, distant memory) in the energy
Shares = tuple[float, float, float]
_PARTS = ("local memory", "MAC", "distant memory")


def shares_65(counts: ActionCounts) -> Shares:
    """Shares of the energy of all counts together, 65 nm."""
    cost = price(counts, T65)
    total = float(np.sum(cost.energy))
    local, mac, distant = (
        100 * sum(float(np.sum(cost.total(component=name))) for name in names) / total
        for names in (("register", "pe_sram"), ("alu",), ("sram",))
    )
    return local, mac, distant


def _ideal(synapses: ArrayLike, reuse: Array) -> ActionCounts:
    """Eq. 12 of layers with these synapses and (..., 3) reuse factors."""
    return paper.ann_reuse_sparsity(
        n_syn=synapses,
        zero_fraction=_GAMMA,
        reuse_psum=reuse[..., 0],
        reuse_iact=reuse[..., 1],
        reuse_weight=reuse[..., 2],
        weight_bits=16,
        iact_bits=16,
        psum_bits=16,
    )


def three_anns(*, by_convention: bool = False) -> dict[str, Shares]:
    """Shares of the three ANN models of Fig. 6.

    As stated: eq. 12 layer by layer with each layer's own reuse, groups counted truly, and eq. 13
    with the printed bracket. By convention: eq. 12 with the plain means of the reuse factors over
    all layers, groups counted as dense, and eq. 13 with gating over the whole bracket.
    """
    chosen = [topology(name) for name in TOPOLOGIES]
    if by_convention:
        best = _ideal(1.0, np.concatenate([item.dense_reuse for item in chosen]).mean(axis=0))
    else:
        best = _ideal(
            np.concatenate([item.synapses for item in chosen]),
            np.concatenate([item.reuse for item in chosen]),
        )
    return {
        "baseline": shares_65(
            paper.ann_naive(n_syn=1.0, weight_bits=16, iact_bits=16, psum_bits=16)
        ),
        "ideal reuse + sparsity": shares_65(best),
        "Eyeriss v1": shares_65(
            paper.ann_eyeriss_v1(
                n_syn=1.0,
                zero_fraction=_GAMMA,
                reuse_average=paper.REUSE_ALEXNET.value,
                convention="whole_bracket" if by_convention else "as_printed",
                weight_bits=16,
                iact_bits=16,
                psum_bits=16,
            )
        ),
    }


#: (what, printed %, half of the last digit, model, part, the convention that gives it)
_DENSE = "plain means of the reuse factors over all layers, groups as dense"
_BRACKET = "gating over the whole bracket of eq. 13"
_SHARES = (
    ("distant memory, baseline", 96.0, 0.5, "baseline", 2, ""),
    ("local memory, ideal reuse + sparsity", 84.06, 0.005, "ideal reuse + sparsity", 0, _DENSE),
    ("distant memory, ideal reuse + sparsity", 0.32, 0.005, "ideal reuse + sparsity", 2, _DENSE),
    ("distant memory, Eyeriss v1", 2.2, 0.05, "Eyeriss v1", 2, _BRACKET),
    ("local memory, Eyeriss v1", 88.02, 0.005, "Eyeriss v1", 0, _BRACKET),
)


def figure_6() -> Figure:
    """Fig. 6: local memory, MAC and distant memory in the three ANN models."""
    return Figure(
        "dampfhoffer_2022_fig6",
        PAPER,
        "Fig. 6",
        "where the energy of the ANN goes",
        "Shares of the energy of the ANN models of eqs. 2, 12 and 13 (65 nm, 16 bit). Diamonds: "
        "borders between the pieces as printed. a: eq. 12 layer by layer over the 52 layers of "
        f"Fig. 4, eq. 13 with its printed bracket. b: eq. 12 with the {_DENSE}; {_BRACKET}. "
        "Eyeriss v1: AlexNet (RF 80); its weight SRAM in the PEs counts as local.",
        (
            _stacks("As stated", three_anns()),
            _stacks("By convention", three_anns(by_convention=True)),
        ),
        tuple(_share(*row) for row in _SHARES),
        (PAPER, "chen_2016_isca", "chen_2017_jssc"),
    )


def _stacks(title: str, models: dict[str, Shares]) -> Panel:
    """Stacked shares per model, with the printed borders between the pieces."""
    borders = [
        (model, value if part == 0 else 100.0 - value) for _, value, _, model, part, _ in _SHARES
    ]
    series = [
        Series(
            name,
            list(models),
            [shares[part] for shares in models.values()],
            "stacked_bars",
            texts=tuple(
                f"{shares[part]:.2f} %" if shares[part] else "" for shares in models.values()
            ),
        )
        for part, name in enumerate(_PARTS)
    ]
    printed = Series(
        "printed", [name for name, _ in borders], [at for _, at in borders], "points", "printed"
    )
    return Panel(title, "", "share of the energy (%)", (*series, printed))


def _share(
    text: str, value: float, tolerance: float, model: str, part: int, convention: str
) -> Statement:
    found = three_anns()[model][part]
    other = three_anns(by_convention=True)[model][part]
    holds = bool(abs(found - value) <= tolerance)
    explained = not holds and abs(other - value) <= tolerance
    return Statement(
        f"share of {text}",
        "III-C",
        f"{value:g} %",
        f"{found:.2f} %",
        holds,
        f"{other:.2f} % with {convention}" if explained else "",
    )


#: curves of Fig. 7: key of Table III -> name
_CURVES = {
    "ann_naive": "baseline",
    "ann_eyeriss_v1_alexnet": "Eyeriss v1",
    "ann_eyeriss_v2_alexnet": "Eyeriss v2",
    "ann_reuse": "ideal reuse",
    "ann_reuse_sparsity": "ideal reuse + sparsity",
}


#: section III-C: key of Table III, spikes per synapse, printed E_ANN / E_SNN
_PRINTED_GAINS = (
    ("ann_eyeriss_v2_alexnet", 0.1, 3.6),
    ("ann_reuse_sparsity", 0.1, 1.5),
    ("ann_eyeriss_v2_alexnet", 0.05, 7.3),
    ("ann_reuse_sparsity", 0.05, 3.0),
)


def figure_7() -> Figure:
    """Fig. 7: E_ANN / E_SNN against spikes per synapse."""
    targets = {row.key: row.spikes_per_synapse for row in breakeven_table()}
    efficient = {key: targets[key] for key in _CURVES if key != "ann_naive"}
    return Figure(
        "dampfhoffer_2022_fig7",
        PAPER,
        "Fig. 7",
        "efficiency of the SNN against its spikes",
        "Energy of the ANN models over that of the IF+inst SNN (Eyeriss: AlexNet). Baseline with "
        "the 45 nm, 8 bit prices, the others with 65 nm, 16 bit, as in the paper. A curve crosses "
        "1 at the target of Table III.",
        (_gains_panel(targets),),
        (
            *(
                Statement(
                    f"at {x} spikes per synapse the SNN is {y}x more energy-efficient than the "
                    f"ANN ({_CURVES[key]})",
                    "III-C",
                    f"{y}x",
                    f"{targets[key] / x:.2f}x",
                    bool(abs(targets[key] / x - y) <= 0.05),
                )
                for key, x, y in _PRINTED_GAINS
            ),
            Statement(
                "above 0.5 spikes per synapse and inference SNNs can not compete with ANNs in the "
                "realistic (Eyeriss) and ideal cases",
                "III-C",
                "every target < 0.5",
                "targets: "
                + ", ".join(f"{_CURVES[key]} {target:.3f}" for key, target in efficient.items()),
                max(efficient.values()) < 0.5,
            ),
        ),
        (PAPER, "horowitz_2014", "chen_2016_isca", "chen_2017_jssc", "chen_2019_jetcas"),
    )


def _gains_panel(targets: dict[str, float]) -> Panel:
    spikes = np.geomspace(0.02, 2.0, 61)
    curves = [
        Series(name, spikes.tolist(), (targets[key] / spikes).tolist())
        for key, name in _CURVES.items()
    ]
    printed = Series(
        "printed",
        [x for _, x, _ in _PRINTED_GAINS],
        [y for _, _, y in _PRINTED_GAINS],
        "points",
        "printed",
        tuple(f"{y}x" for _, _, y in _PRINTED_GAINS),
    )
    return Panel(
        "",
        "spikes per synapse and inference",
        "E_ANN / E_SNN",
        (*curves, printed),
        (Mark("equal energy", y=1.0), Mark("printed bound: 0.5", x=0.5)),
        x_log=True,
        y_log=True,
    )


#: (label, spikes per synapse, place): all that the text prints about Fig. 8
_PUBLISHED = (
    ("ResNet34, all", 2.4, "IV"),
    ("ResNet34, last 10", 0.18, "IV"),
    ("VGG16, all", 0.41, "Table II"),
    ("VGG16, last 10", 0.21, "IV"),
)


def figure_8() -> Figure:
    """Fig. 8: spikes per synapse of every layer. Raises :class:`DataError` if not measured."""
    measured = read_spikes()
    groups: dict[tuple[str, tuple[str, ...]], list[SpikingNetwork]] = {}
    for item in measured.networks:
        groups.setdefault((item.name, item.layers), []).append(item)
    target = _target_v2()
    mark = Mark(f"Eyeriss v2: {target:.2f}", y=target)
    published = Series(
        "printed",
        [name for name, _, _ in _PUBLISHED],
        [value for _, value, _ in _PUBLISHED],
        "bars",
        "printed",
        tuple(f"{value:g}" for _, value, _ in _PUBLISHED),
    )
    panels = [Panel("Published averages", "", "spikes per synapse", (published,), (mark,))]
    panels += [
        Panel(
            name,
            "",
            "spikes per synapse",
            tuple(
                Series(
                    f"T = {item.timesteps}",
                    list(item.layers),
                    list(item.spikes_per_synapse),
                    "line",
                    "measured",
                )
                for item in held
            ),
            (mark,),
        )
        for (name, _), held in groups.items()
    ]
    return Figure(
        "dampfhoffer_2022_fig8",
        PAPER,
        "Fig. 8",
        "spikes per synapse, layer by layer",
        "a: the averages that the paper's text prints for ResNet34 by conversion (its [33]) and "
        "VGG16 by DIET-SNN (its [12]) on ImageNet, over all and over the last 10 layers; its "
        "curves per layer are only drawn and are not repeated here. The other panels: spikes per "
        "synapse and inference of every spiking layer of networks that tospike converted and ran, "
        f"measured here ({measured.date}, `{measured.command}`): "
        + "; ".join(f"{name}, {_provenance(held)}" for (name, _), held in groups.items())
        + ". Dashed: target against Eyeriss v2 with the reuse of VGG16.",
        tuple(panels),
        (*(_decreases(held) for held in groups.values()), *_hybrids(target)),
        (PAPER, "lee_2020", "rueckauer_2017", "tospike"),
    )


def _provenance(held: list[SpikingNetwork]) -> str:
    """Samples and accuracy of one network at its numbers of steps."""
    first = held[0]
    text = f"{first.n_samples} samples"
    if first.float_accuracy is not None:
        text += f", float accuracy {100 * first.float_accuracy:.1f} %"
    for item in held:
        if item.accuracy is not None:
            text += f", {100 * item.accuracy:.1f} % at T = {item.timesteps}"
    return text


def _target_v2() -> float:
    """Table III row of Eyeriss v2 with the reuse of VGG16, which section IV uses."""
    rows = {row.key: row.spikes_per_synapse for row in breakeven_table()}
    return rows["ann_eyeriss_v1_vgg16"] / paper.EYERISS_V2_GAIN.value


def _decreases(held: list[SpikingNetwork]) -> Statement:
    falls = []
    texts = []
    for item in held:
        values = item.spikes_per_synapse
        middle = (len(values) + 1) // 2
        early, late = float(np.mean(values[:middle])), float(np.mean(values[middle:]))
        falls.append(late < early)
        texts.append(f"T = {item.timesteps}: {early:.3g} and {late:.3g}")
    return Statement(
        "a frequent pattern observed is that spike activity decreases with the depth of the layer",
        "IV",
        "decreases",
        f"{held[0].name}, first and second half of the layers: {'; '.join(texts)}",
        all(falls),
    )


def _hybrids(target: float) -> tuple[Statement, ...]:
    rows = (
        ("the ANN (Eyeriss v2) is 6.3x more efficient than the SNN ResNet34", 6.3, 2.4 / target),
        ("the last 10 layers of ResNet34 are 2.1x more efficient as SNN", 2.1, target / 0.18),
        ("the SNN VGG16 of [12] is 1.1x more efficient than the ANN", 1.1, target / 0.41),
        ("the last 10 layers of that VGG16 are 2.2x more efficient as SNN", 2.2, target / 0.21),
    )
    return tuple(
        Statement(text, "IV", f"{printed}x", f"{found:.2f}x", bool(abs(found - printed) <= 0.05))
        for text, printed, found in rows
    )
