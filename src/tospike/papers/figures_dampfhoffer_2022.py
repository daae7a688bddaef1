"""Figures 2 to 4 of Dampfhoffer et al. 2022: SNN models, time steps and reuse per topology.

Every curve is equations x prices; the topologies come from the zoo. Groups and depthwise
convolutions are counted truly, and a neuron is an output of a synaptic layer. Where the printed
number needs another count, the figure shows both and the statement names the convention.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tospike.actions import ActionCounts
from tospike.equations import dampfhoffer_2022 as paper
from tospike.figures import Figure, Mark, Panel, Series, Statement
from tospike.network import Layer
from tospike.network.zoo import load_zoo
from tospike.pricing import price

Array = NDArray[np.float64]

PAPER = "dampfhoffer_2022"
T45 = "dampfhoffer_2022_45nm_8b"
#: name in the paper -> zoo
TOPOLOGIES = {"AlexNet": "alexnet", "VGG16": "vgg16", "MobileNet": "mobilenet_v1"}
#: caption of Fig. 3
PRINTED_RATIOS = {"AlexNet": 2.9e3, "VGG16": 1.7e3, "MobileNet": 9.4e2}
TYPES = ("psum", "iact", "weight")


def _energy(counts: ActionCounts, technology: str) -> Array:
    return np.asarray(price(counts, technology).energy, dtype=float)


@dataclass(frozen=True, slots=True)
class Topology:
    """What the figures need of one network; per layer in order, fully connected ones included.

    ``n_synapses``, ``n_neurons``: totals, counted truly. ``dense_synapses``: groups counted as
    dense. ``input_neurons``: values that enter the convolutions, the image included (what the
    paper divides by). ``synapses``: (layers,); ``reuse`` and ``dense_reuse``: (layers, 3) factors
    of psum, iact, weight.
    """

    n_synapses: float
    n_neurons: float
    dense_synapses: float
    input_neurons: float
    names: tuple[str, ...]
    synapses: Array
    reuse: Array
    dense_reuse: Array

    @property
    def ratio(self) -> float:
        """N_syn / N_neur, counted truly."""
        return self.n_synapses / self.n_neurons

    @property
    def paper_ratio(self) -> float:
        """N_syn / N_neur as in the caption of Fig. 3."""
        return self.dense_synapses / self.input_neurons


@cache
def topology(name: str) -> Topology:
    """The counts of a topology of the paper ("AlexNet", "VGG16", "MobileNet")."""
    layers: list[Layer] = list(load_zoo(TOPOLOGIES[name]).synaptic_layers)
    true = [(item.reuse.psum, item.reuse.iact, item.reuse.weight) for item in layers]
    # As dense: every output sees every input channel; each input then serves ``groups`` times
    # as many synapses, and so does each output; the weights grow with the synapses.
    dense = [
        (item.reuse.psum * item.groups, item.reuse.iact * item.groups, item.reuse.weight)
        for item in layers
    ]
    return Topology(
        n_synapses=float(sum(item.n_synapses for item in layers)),
        n_neurons=float(sum(item.n_neurons for item in layers)),
        dense_synapses=float(sum(item.n_synapses * item.groups for item in layers)),
        input_neurons=float(sum(item.n_inputs for item in layers if item.kind == "conv")),
        names=tuple(item.name for item in layers),
        synapses=np.array([float(item.n_synapses) for item in layers]),
        reuse=np.array(true),
        dense_reuse=np.array(dense),
    )


def neuron_share(model: str, *, ratio: ArrayLike, n_timesteps: ArrayLike) -> Array:
    """Share of the neuron updates in the energy of "LIF+inst" or "IF+cont", 1 spike/synapse."""
    cost = price(_spiking(model, ratio, n_timesteps), T45)
    return np.asarray(cost.total(part="neuron") / cost.energy)


def _spiking(model: str, ratio: ArrayLike, n_timesteps: ArrayLike) -> ActionCounts:
    """Counts per synapse with one spike; 1/ratio neurons per synapse."""
    if model == "IF+inst":
        return paper.snn_if_inst(n_syn=1.0, spikes_per_synapse=1.0)
    function = {"LIF+inst": paper.snn_lif_inst, "IF+cont": paper.snn_if_cont}[model]
    return function(
        n_syn=1.0,
        n_neur=1.0 / np.asarray(ratio, dtype=float),
        spikes_per_synapse=1.0,
        n_timesteps=n_timesteps,
    )


#: section II-D: share of the neuron updates at T = 500 in %
_PRINTED_SHARES = {"LIF+inst": 15.17, "IF+cont": 26.34}


def figure_2() -> Figure:
    """Fig. 2: memory and compute of synapses and neurons, per SNN model."""
    ratio = topology("VGG16").ratio
    return Figure(
        "dampfhoffer_2022_fig2",
        PAPER,
        "Fig. 2",
        "memory and compute of the SNN models",
        "a: shares of the energy (45 nm, 8 bit; 1 spike per synapse; VGG16 with "
        f"N_syn/N_neur = {ratio:.0f}, every output of a layer is a neuron). b: share of the neuron "
        "updates at T = 500 against N_syn/N_neur. The printed shares stand at the ratio that the "
        "paper prints for VGG16, 1.7e3; both lie on the curves only near 2020, a ratio that "
        "stands nowhere in the paper.",
        (_shares_panel(ratio), _updates_panel(ratio)),
        (
            *(_share_statement(model, value) for model, value in _PRINTED_SHARES.items()),
            _negligible(),
        ),
        (PAPER, "horowitz_2014"),
    )


def _shares_panel(ratio: float) -> Panel:
    """Stacked shares of the ANN and of every SNN model at T = 10 and 500."""
    models = [("ANN", "", 0.0), ("IF+inst", "IF+inst", 1.0)]
    models += [
        (f"{name}, T={steps}", name, float(steps))
        for name in ("LIF+inst", "IF+cont")
        for steps in (10, 500)
    ]
    names = ("synapses, memory", "synapses, compute", "neurons, memory", "neurons, compute")
    shares = np.zeros((len(names), len(models)))
    for column, (_, model, steps) in enumerate(models):
        counts = _spiking(model, ratio, steps) if model else paper.ann_naive(n_syn=1.0)
        cost = price(counts, T45)
        for part in cost.parts:
            row = 2 * (part.part == "neuron") + (part.component == "alu")
            shares[row, column] += 100.0 * float(part.energy / cost.energy)
    series = tuple(
        Series(
            name,
            [label for label, _, _ in models],
            row.tolist(),
            "stacked_bars",
            texts=tuple(f"{value:.1f}" if value >= 6 else "" for value in row),
        )
        for name, row in zip(names, shares, strict=True)
    )
    return Panel("Shares at VGG16", "", "share of the energy (%)", series)


def _updates_panel(ratio: float) -> Panel:
    """Share of the neuron updates against N_syn/N_neur, with the printed shares."""
    ratios = np.geomspace(500.0, 5000.0, 60)
    series = []
    for model, value in _PRINTED_SHARES.items():
        found = 100 * neuron_share(model, ratio=ratios, n_timesteps=500)
        series.append(Series(model, ratios.tolist(), found.tolist(), group=model))
        series.append(
            Series(
                f"{model}, printed",
                [PRINTED_RATIOS["VGG16"]],
                [value],
                "points",
                "printed",
                (f"{value} %",),
                group=model,
            )
        )
    return Panel(
        "Neuron updates at T = 500",
        "N_syn / N_neur",
        "neuron updates (% of the energy)",
        tuple(series),
        (
            Mark(f"VGG16, true: {ratio:.0f}", x=ratio),
            Mark("printed: 1.7e3", x=PRINTED_RATIOS["VGG16"]),
        ),
        x_log=True,
    )


def _share_statement(model: str, printed: float) -> Statement:
    network = topology("VGG16")
    true, theirs = (
        100 * float(neuron_share(model, ratio=ratio, n_timesteps=500))
        for ratio in (network.ratio, network.paper_ratio)
    )
    needed = _needed_ratio(model, printed / 100)
    return Statement(
        f"updating neurons reaches {printed} % of the energy of {model} at T = 500 (VGG16)",
        "II-D",
        f"{printed} %",
        f"{true:.2f} % with N_syn/N_neur = {network.ratio:.0f} (true); {theirs:.2f} % with "
        f"{network.paper_ratio:.0f} (Fig. 3); {printed} % needs {needed:.0f}",
        bool(abs(true - printed) <= 0.005),
    )


def _needed_ratio(model: str, share: float) -> float:
    """The ratio at which the share comes out: neuron energy = share / (1 - share) x synapse."""
    at_one = float(neuron_share(model, ratio=1.0, n_timesteps=500))
    return at_one / (1 - at_one) * (1 - share) / share


def _negligible() -> Statement:
    ratio = topology("VGG16").ratio
    shares = [
        100 * float(neuron_share(model, ratio=ratio, n_timesteps=10))
        for model in ("LIF+inst", "IF+cont")
    ]
    return Statement(
        "the updates of neurons are negligible if T is small (T = 10)",
        "II-D",
        "negligible",
        f"{shares[0]:.2f} % (LIF+inst), {shares[1]:.2f} % (IF+cont); below 5 % is negligible",
        max(shares) < 5.0,
    )


def figure_3() -> Figure:
    """Fig. 3: E_ANN / E_SNN against the number of time steps."""
    steps = np.geomspace(1.0, 1000.0, 61)
    panels = []
    for model in ("LIF+inst", "IF+cont"):
        series = []
        for name in TOPOLOGIES:
            for label, ratio in (
                (name, topology(name).ratio),
                (f"{name}, printed ratio", PRINTED_RATIOS[name]),
            ):
                y = efficiency(model, ratio=ratio, n_timesteps=steps)
                series.append(Series(label, steps.tolist(), y.tolist(), group=name))
        panels.append(
            Panel(
                f"{model} (1 spike per synapse)",
                "time steps T",
                "E_ANN / E_SNN",
                tuple(series),
                (Mark("IF+inst at every T: 1.38", y=1.38), Mark("equal energy", y=1.0)),
                x_log=True,
            )
        )
    return Figure(
        "dampfhoffer_2022_fig3",
        PAPER,
        "Fig. 3",
        "efficiency against the number of time steps",
        "Energy of the naive ANN over that of the SNN (45 nm, 8 bit). Solid: N_syn/N_neur counted "
        "truly from the topologies; dashed: with the printed ratios, which follow if grouped and "
        "depthwise convolutions are counted as dense and N_neur as the values that enter the "
        "convolutions. The paper draws several spikes per synapse; its text gives none of them, "
        "so that 1 is drawn here, as in its Fig. 2.",
        tuple(panels),
        (*(_ratio_statement(name) for name in TOPOLOGIES), _three_times(), _more_rapidly()),
        (PAPER, "horowitz_2014", "krizhevsky_2012", "simonyan_2015", "howard_2017"),
    )


def efficiency(model: str, *, ratio: ArrayLike, n_timesteps: ArrayLike) -> Array:
    """E_ANN / E_SNN of the naive ANN at one spike per synapse, 45 nm (Fig. 3)."""
    ann = _energy(paper.ann_naive(n_syn=1.0), T45)
    return np.asarray(ann / _energy(_spiking(model, ratio, n_timesteps), T45))


def _ratio_statement(name: str) -> Statement:
    network, printed = topology(name), PRINTED_RATIOS[name]
    text = f"{printed:.1e}".replace("e+0", "e")
    half_digit = 50.0 if printed > 1000 else 5.0
    by_convention = abs(network.paper_ratio - printed) <= half_digit
    return Statement(
        f"{name} has N_syn/N_neur = {text}",
        "Fig. 3, caption",
        text,
        f"{network.ratio:.0f} (groups counted truly, every output is a neuron)",
        bool(abs(network.ratio - printed) <= half_digit),
        f"{network.paper_ratio:.0f} with groups as dense and N_neur = inputs of the convolutions"
        if by_convention
        else "",
    )


def _three_times() -> Statement:
    alexnet, mobilenet = topology("AlexNet"), topology("MobileNet")
    true = alexnet.ratio / mobilenet.ratio
    theirs = alexnet.paper_ratio / mobilenet.paper_ratio
    return Statement(
        "in MobileNet, N_syn/N_neur is 3x lower than in AlexNet",
        "II-D",
        "3x",
        f"{true:.1f}x",
        bool(abs(true - 3) <= 0.5),
        f"{theirs:.2f}x with groups as dense" if abs(theirs - 3) <= 0.5 else "",
    )


def _more_rapidly() -> Statement:
    losses = {name: (_loss("LIF+inst", name), _loss("IF+cont", name)) for name in TOPOLOGIES}
    lowest = losses["MobileNet"]
    return Statement(
        "with a low N_syn/N_neur (MobileNet) the efficiency decreases more rapidly with T than "
        "with a higher one (VGG16, AlexNet)",
        "II-D",
        "MobileNet loses most",
        "loss from T = 1 to 500, LIF+inst and IF+cont: "
        + "; ".join(f"{name} {a:.0f} %, {b:.0f} %" for name, (a, b) in losses.items()),
        all(
            lowest[model] > losses[name][model] for name in ("AlexNet", "VGG16") for model in (0, 1)
        ),
    )


def _loss(model: str, name: str) -> float:
    """Percent of its efficiency that a model loses from T = 1 to T = 500."""
    first, last = efficiency(model, ratio=topology(name).ratio, n_timesteps=np.array([1.0, 500.0]))
    return float(100 * (1 - last / first))


def figure_4() -> Figure:
    """Fig. 4: ideal reuse factor of every layer."""
    titles = {"psum": "Partial sums", "iact": "Input activations", "weight": "Weights"}
    panels = []
    for column, kind in enumerate(TYPES):
        series = tuple(
            Series(
                name,
                list(range(1, len(topology(name).names) + 1)),
                topology(name).reuse[:, column].tolist(),
                "points",
            )
            for name in TOPOLOGIES
        )
        panels.append(
            Panel(
                titles[kind],
                "layer",
                "reuse factor" if not column else "",
                series,
                (Mark("stated mean: 1e2 ...", y=1e2), Mark("... to 1e3", y=1e3)),
                y_log=True,
            )
        )
    return Figure(
        "dampfhoffer_2022_fig4",
        PAPER,
        "Fig. 4",
        "ideal data reuse of all layers",
        "Reuse factor (MACs per distinct word, batch 1) of every convolutional and fully connected "
        "layer of AlexNet (8, with its groups), VGG16 (16) and MobileNet v1 (28), in the order of "
        "the network. Depthwise layers are the points at 9 and below. Weights of fully connected "
        "layers are used once.",
        tuple(panels),
        (_order_of_reuse(), _fewer_reuse()),
        (PAPER, "krizhevsky_2012", "simonyan_2015", "howard_2017"),
    )


def _order_of_reuse() -> Statement:
    means = {name: float(np.exp(np.log(topology(name).reuse).mean())) for name in TOPOLOGIES}
    return Statement(
        "theoretical RFs are on the order of 1e2 to 1e3 on average",
        "III-A",
        "1e2 to 1e3",
        "geometric mean over layers and data types: "
        + ", ".join(f"{name} {mean:.0f}" for name, mean in means.items()),
        all(10**1.5 <= mean <= 10**3.5 for mean in means.values()),
    )


def _fewer_reuse() -> Statement:
    means = {name: topology(name).reuse.mean(axis=0) for name in TOPOLOGIES}
    mine = means["MobileNet"]
    lower = np.array([mine < means[name] for name in ("AlexNet", "VGG16")])
    text = "; ".join(
        f"{kind} " + ", ".join(f"{name} {means[name][column]:.0f}" for name in TOPOLOGIES)
        for column, kind in enumerate(TYPES)
    )
    return Statement(
        "in MobileNet there is fewer reuse for every data type",
        "III-A",
        "lower RF of psum, iact and weight",
        f"mean over layers: {text}",
        bool(lower.all()),
    )
