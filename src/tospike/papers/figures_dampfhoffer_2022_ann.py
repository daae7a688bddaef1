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


def shares_65(counts: ActionCounts) -> tuple[float, float, float]:
    """Percent of (local memory, MAC, distant memory) in the energy, 65 nm."""
    cost = price(counts, T65)
    total = float(cost.energy)
    parts = [
        sum(float(cost.total(component=name)) for name in names)
        for names in (("register", "pe_sram"), ("alu",), ("sram",))
    ]
    return 100 * parts[0] / total, 100 * parts[1] / total, 100 * parts[2] / total


def _ideal(reuse: Array) -> ActionCounts:
    psum, iact, weight = reuse
    return paper.ann_reuse_sparsity(
        n_syn=1.0,
        zero_fraction=_GAMMA,
        reuse_iact=iact,
        reuse_weight=weight,
        reuse_psum=psum,
        weight_bits=16,
        iact_bits=16,
        psum_bits=16,
    )


def three_anns(*, dense: bool = False) -> dict[str, tuple[float, float, float]]:
    """Shares of the three ANN models of Fig. 6. The best case uses the mean reuse factors over
    all layers of the three topologies, counted truly or with groups as dense."""
    layers = np.concatenate(
        [topology(name).dense_reuse if dense else topology(name).reuse for name in TOPOLOGIES]
    )
    return {
        "baseline": shares_65(
            paper.ann_naive(n_syn=1.0, weight_bits=16, iact_bits=16, psum_bits=16)
        ),
        "ideal reuse + sparsity": shares_65(_ideal(layers.mean(axis=0))),
        "Eyeriss v1": shares_65(
            paper.ann_eyeriss_v1(
                n_syn=1.0,
                zero_fraction=_GAMMA,
                reuse_average=paper.REUSE_ALEXNET.value,
                weight_bits=16,
                iact_bits=16,
                psum_bits=16,
            )
        ),
    }


def figure_6() -> Figure:
    """Fig. 6: local memory, MAC and distant memory in the three ANN models."""
    true, dense = three_anns(), three_anns(dense=True)
    baseline, best, eyeriss = true
    names = ("local memory", "MAC", "distant memory")
    # heights of the borders between the pieces, as the printed shares give them
    printed = ((baseline, 4.0), (best, 84.06), (best, 99.68), (eyeriss, 88.02), (eyeriss, 97.8))
    rows = (
        ("distant memory, baseline", 96.0, 0.5, baseline, 2),
        ("local memory, ideal reuse + sparsity", 84.06, 0.005, best, 0),
        ("distant memory, ideal reuse + sparsity", 0.32, 0.005, best, 2),
        ("distant memory, Eyeriss v1", 2.2, 0.05, eyeriss, 2),
        ("local memory, Eyeriss v1", 88.02, 0.005, eyeriss, 0),
    )
    return Figure(
        "dampfhoffer_2022_fig6",
        PAPER,
        "Fig. 6",
        "where the energy of the ANN goes",
        "Shares of the energy of the ANN models of eqs. 2, 12 and 13 (65 nm, 16 bit). Diamonds: "
        "borders between the pieces as printed. Best case: mean reuse factors over all 52 layers "
        "of Fig. 4, counted truly. Eyeriss v1: AlexNet (RF 80); its weight SRAM in the PEs counts "
        "as local.",
        (
            Panel(
                "",
                "",
                "share of the energy (%)",
                (
                    *(
                        Series(
                            name,
                            list(true),
                            [shares[row] for shares in true.values()],
                            "stacked_bars",
                            texts=tuple(
                                f"{shares[row]:.2f} %" if shares[row] else ""
                                for shares in true.values()
                            ),
                        )
                        for row, name in enumerate(names)
                    ),
                    Series(
                        "printed",
                        [name for name, _ in printed],
                        [height for _, height in printed],
                        "points",
                        "printed",
                    ),
                ),
            ),
        ),
        tuple(
            Statement(
                f"share of {text}",
                "III-C",
                f"{value:g} %",
                f"{true[model][row]:.2f} %",
                bool(abs(true[model][row] - value) <= tolerance),
                f"{dense[model][row]:.2f} % with grouped and depthwise layers as dense"
                if abs(dense[model][row] - value) <= tolerance < abs(true[model][row] - value)
                else "",
            )
            for text, value, tolerance, model, row in rows
        ),
        (PAPER, "chen_2016_isca", "chen_2017_jssc"),
    )


#: curves of Fig. 7: key of Table III -> name
_CURVES = {
    "ann_naive": "baseline",
    "ann_eyeriss_v1_alexnet": "Eyeriss v1",
    "ann_eyeriss_v2_alexnet": "Eyeriss v2",
    "ann_reuse": "ideal reuse",
    "ann_reuse_sparsity": "ideal reuse + sparsity",
}


def figure_7() -> Figure:
    """Fig. 7: E_ANN / E_SNN against spikes per synapse."""
    spikes = np.geomspace(0.02, 2.0, 61)
    targets = {row.key: row.spikes_per_synapse for row in breakeven_table()}
    printed = (
        ("ann_eyeriss_v2_alexnet", 0.1, 3.6),
        ("ann_reuse_sparsity", 0.1, 1.5),
        ("ann_eyeriss_v2_alexnet", 0.05, 7.3),
        ("ann_reuse_sparsity", 0.05, 3.0),
    )
    efficient = {key: targets[key] for key in _CURVES if key != "ann_naive"}
    return Figure(
        "dampfhoffer_2022_fig7",
        PAPER,
        "Fig. 7",
        "efficiency of the SNN against its spikes",
        "Energy of the ANN models over that of the IF+inst SNN (Eyeriss: AlexNet). Baseline with "
        "the 45 nm, 8 bit prices, the others with 65 nm, 16 bit, as in the paper. A curve crosses "
        "1 at the target of Table III.",
        (
            Panel(
                "",
                "spikes per synapse and inference",
                "E_ANN / E_SNN",
                (
                    *(
                        Series(name, spikes.tolist(), (targets[key] / spikes).tolist())
                        for key, name in _CURVES.items()
                    ),
                    Series(
                        "printed",
                        [x for _, x, _ in printed],
                        [y for _, _, y in printed],
                        "points",
                        "printed",
                        tuple(f"{y}x" for _, _, y in printed),
                    ),
                ),
                (Mark("equal energy", y=1.0), Mark("printed bound: 0.5", x=0.5)),
                x_log=True,
                y_log=True,
            ),
        ),
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
                for key, x, y in printed
            ),
            Statement(
                "above 0.5 spikes per synapse and inference SNNs can not compete with ANNs in the "
                "realistic (Eyeriss) and ideal cases",
                "III-C",
                "every target < 0.5",
                "targets: "
                + ", ".join(f"{_CURVES[key]} {efficient[key]:.3f}" for key in efficient),
                max(efficient.values()) < 0.5,
            ),
        ),
        (PAPER, "horowitz_2014", "chen_2016_isca", "chen_2017_jssc", "chen_2019_jetcas"),
    )


#: (label, spikes per synapse, place): all that the text prints about Fig. 8
_PUBLISHED = (
    ("ResNet34, all layers", 2.4, "IV"),
    ("ResNet34, last 10", 0.18, "IV"),
    ("VGG16 [12], all layers", 0.41, "Table II"),
    ("VGG16 [12], last 10", 0.21, "IV"),
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
        "a: the averages that the paper's text prints (ImageNet); its curves per layer are only "
        "drawn and are not repeated here. The other panels: spikes per synapse and inference of "
        "every spiking layer of networks that tospike converted and ran, measured here "
        f"({measured.date}, `{measured.command}`): "
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
