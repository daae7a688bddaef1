"""Claims that rest on topologies: N_syn/N_neur, Figs. 2, 3 and 6, Table II.

The paper never says how it counts neurons. Stated is "the number of neurons"; here these are the
outputs of the convolutional and fully connected layers, with groups counted truly.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from math import prod
from typing import Final, Literal

from tospike.equations import dampfhoffer_2022 as equations
from tospike.network import Layer, Network
from tospike.network.zoo import load_zoo
from tospike.papers.claim import Claim, Convention, Recomputed
from tospike.papers.dampfhoffer_2022_energy import (
    GAMMA,
    T45,
    T65,
    energy_of_layers,
    naive,
    printed,
    spike,
)
from tospike.papers.registry import Recompute
from tospike.pricing import Cost, price

Leaky = Literal["snn_lif_inst", "snn_if_cont"]
Model = Literal["snn_if_inst", "snn_lif_inst", "snn_if_cont"]
#: the networks of Figs. 3 and 4
_FIGURE_3 = ("alexnet", "vgg16", "mobilenet_v1")
#: time steps of the shares that II-D prints
_STEPS = 500


@cache
def network(name: str) -> Network:
    """A topology of the zoo."""
    return load_zoo(name)


def dense(layer: Layer) -> int:
    """MACs with the groups of a convolution counted as if it had none."""
    return layer.n_synapses * layer.groups


@dataclass(frozen=True, slots=True)
class Counting:
    """A way to count N_syn and N_neur, with the ratio that it gives."""

    name: str
    ratio: float


def _counting(name: str, synapses: Iterable[int], neurons: Iterable[int]) -> Counting:
    return Counting(name, sum(synapses) / sum(neurons))


@cache
def countings(name: str) -> tuple[Counting, ...]:
    """N_syn/N_neur of a topology: the true one first, then other ways to count."""
    net = network(name)
    layers = net.synaptic_layers
    conv = [layer for layer in layers if layer.kind == "conv"]
    pools = [layer for layer in net.layers if "pool" in layer.kind]
    pooled_away = sum(prod(p.output_shape) - prod(p.input_shape) for p in pools)
    return (
        _counting(
            "outputs of all layers",
            (layer.n_synapses for layer in layers),
            (layer.n_neurons for layer in layers),
        ),
        _counting(
            "groups counted as dense and the input maps of the convolutions as neurons",
            map(dense, layers),
            (layer.n_inputs for layer in conv),
        ),
        _counting(
            "groups counted as dense", map(dense, layers), (layer.n_neurons for layer in layers)
        ),
        _counting(
            "input maps of the convolutions as neurons",
            (layer.n_synapses for layer in layers),
            (layer.n_inputs for layer in conv),
        ),
        _counting(
            "convolutions only",
            (layer.n_synapses for layer in conv),
            (layer.n_neurons for layer in conv),
        ),
        _counting(
            "without the first layer",
            (layer.n_synapses for layer in layers[1:]),
            (layer.n_neurons for layer in layers[1:]),
        ),
        _counting(
            "input maps of the convolutions, without the first layer and the image",
            (layer.n_synapses for layer in layers[1:]),
            (layer.n_inputs for layer in conv[1:]),
        ),
        _counting(
            "outputs after pooling",
            (layer.n_synapses for layer in layers),
            (*(layer.n_neurons for layer in layers), pooled_away),
        ),
        _counting(
            "convolutions after the first over all input maps but the pooled ones",
            (layer.n_synapses for layer in conv[1:]),
            (*(layer.n_inputs for layer in conv), *(-prod(p.output_shape) for p in pools[:-1])),
        ),
    )


def ratio(name: str) -> float:
    """N_syn/N_neur counted truly."""
    return countings(name)[0].ratio


def figure_3(name: str) -> float:
    """N_syn/N_neur counted as the caption of Fig. 3 needs it."""
    return countings(name)[1].ratio


def contrived_ratio() -> float:
    """The ratio of VGG16 that a search over sums of layer sizes finds for Fig. 2; see there."""
    net = network("vgg16")
    conv = [layer for layer in net.synaptic_layers if layer.kind == "conv"]
    pools = sum(prod(layer.output_shape) for layer in net.layers if "pool" in layer.kind)
    return sum(layer.n_synapses for layer in conv[1:]) / (
        sum(layer.n_inputs for layer in conv) - pools
    )


def _ratio_claim(name: str) -> Recompute:
    def recompute(claim: Claim) -> Recomputed:
        net, (true, *others) = network(name), countings(name)
        return Recomputed(
            true.ratio,
            f"{net.n_synapses:,} / {net.n_neurons:,} = {true.ratio:.1f}",
            conventions=tuple(
                Convention(
                    other.name, other.ratio,
                    f"Counted so, the ratio is {other.ratio:.1f}.",
                )
                for other in others[:4]
            ),
            why=f"{net.n_synapses:,} synapses and {net.n_neurons:,} neurons (outputs of "
            f"convolutional and fully connected layers) give {true.ratio:.1f}.",
        )  # fmt: skip

    return recompute


def _three_times(claim: Claim) -> Recomputed:
    first, second = ratio("alexnet"), ratio("mobilenet_v1")
    one, two = figure_3("alexnet"), figure_3("mobilenet_v1")
    name = countings("alexnet")[1].name
    return Recomputed(
        first / second,
        f"{first:.1f} / {second:.1f} = {first / second:.2f}",
        conventions=(
            Convention(name, one / two, f"With {name} it is {one:.0f} / {two:.0f} = "
                       f"{one / two:.2f}."),
        ),
        why=f"Counted truly the ratio of MobileNet is {first / second:.1f} times lower: most of "
        "the paper's synapses of MobileNet do not exist, so updates per time step weigh more on "
        "it than Fig. 3 shows.",
    )  # fmt: skip


def _leaky(model: Leaky, n_syn_per_neuron: float, steps: int, spikes: float) -> Cost:
    """One synapse of an SNN with updates per time step."""
    function = {"snn_lif_inst": equations.snn_lif_inst, "snn_if_cont": equations.snn_if_cont}[model]
    counts = function(
        n_syn=1.0, n_neur=1.0 / n_syn_per_neuron, spikes_per_synapse=spikes, n_timesteps=steps
    )
    return price(counts, T45)


def neuron_share(model: Leaky, n_syn_per_neuron: float) -> float:
    """Share of the neuron updates at T = 500 and one spike per synapse, in percent (Fig. 2)."""
    cost = _leaky(model, n_syn_per_neuron, _STEPS, 1.0)
    return float(100 * cost.total(part="neuron") / cost.energy)


def implied_ratio() -> float:
    """N_syn/N_neur that gives the printed neuron share of the LIF model in Fig. 2 (solved).

    share = N / (N + r S), with N per neuron and S per synapse, so r = (N / S) (1 / share - 1).
    """
    cost = _leaky("snn_lif_inst", 1.0, _STEPS, 1.0)
    per = cost.total(part="neuron") / cost.total(part="synapse")
    return float(per) * (100 / printed("F2-LIF") - 1)


def _share_claim(model: Leaky) -> Recompute:
    def recompute(claim: Claim) -> Recomputed:
        true, *others = countings("vgg16")
        computed = neuron_share(model, true.ratio)
        tried = [
            Convention(
                other.name,
                neuron_share(model, other.ratio),
                f"Counted so, N_syn/N_neur is {other.ratio:.0f}.",
            )
            for other in others
        ]
        needed = implied_ratio()
        if model != "snn_lif_inst":
            tried.append(
                Convention(
                    f"the N_syn/N_neur of {needed:.1f} that the share of LIF+inst needs",
                    neuron_share(model, needed),
                    "Both shares hang on one number, but on one fitted to the other share.",
                    holds=False,
                )
            )
        return Recomputed(
            computed,
            f"N_syn/N_neur {true.ratio:.1f}, T {_STEPS}, 1 spike per synapse: {computed:.2f} %",
            conventions=tuple(tried),
            why=f"VGG16 counted truly has N_syn/N_neur = {true.ratio:.0f}, which gives "
            f"{computed:.2f} %; the {figure_3('vgg16'):.0f} of Fig. 3 gives "
            f"{neuron_share(model, figure_3('vgg16')):.2f} %. Both shares of Fig. 2, and the last "
            f"CIFAR-10 row of Table II, need {needed:.1f}. No way to count that the paper names "
            f"or suggests gives it. Sums of layer sizes picked for the purpose can "
            f"({contrived_ratio():.1f}: convolutions after the first, over all their input maps "
            "and the image less all pooled maps), but among thousands of sums some must.",
        )  # fmt: skip

    return recompute


@dataclass(frozen=True, slots=True)
class Row:
    """A row of Table II: its printed inputs, and the topology of the zoo that it names."""

    id: str
    task: str
    reference: str
    topology: str
    model: Model
    steps: int | None
    spikes: float

    @property
    def encoding(self) -> bool:
        """Marked "*": the first layer runs as an ANN and is left out (II-E)."""
        return self.id.split("_")[1].endswith("*")

    @property
    def layers(self) -> Sequence[Layer]:
        """The spiking layers."""
        layers = network(self.topology).synaptic_layers
        return layers[1:] if self.encoding else layers


_IF: Final = "snn_if_inst"
_LIF: Final = "snn_lif_inst"
_CONT: Final = "snn_if_cont"
TABLE_2 = (
    Row("Wu13_VGG8*", "CIFAR-10", "[13] (VGG8*)", "vgg8", _IF, None, 0.30),
    Row("Han27_VGG16", "CIFAR-10", "[27] (VGG16)", "vgg16", _IF, None, 1.30),
    Row("Han28_VGG16", "CIFAR-10", "[28] (VGG16)", "vgg16", _IF, None, 0.51),
    Row("Lee11_ResNet11", "CIFAR-10", "[11] (ResNet11)", "resnet11", _LIF, 100, 3.60),
    Row("Kim29_VGG9", "CIFAR-10", "[29] (VGG9)", "vgg9", _LIF, 25, 0.80),
    Row("Rathi12_VGG16*", "CIFAR-10", "[12] (VGG16*)", "vgg16", _LIF, 5, 0.39),
    Row("Zhou30_VGG16", "CIFAR-10", "[30] (VGG16)", "vgg16", _CONT, 680, 0.62),
    Row("Han27_VGG16_IN", "ImageNet", "[27] (VGG16)", "vgg16", _IF, None, 5.00),
    Row("Han28_VGG16_IN", "ImageNet", "[28] (VGG16)", "vgg16", _IF, None, 1.00),
    Row("Rathi12_VGG16*_IN", "ImageNet", "[12] (VGG16*)", "vgg16", _LIF, 5, 0.41),
)  # fmt: skip


def efficiency(row: Row, spikes: float | None = None) -> float:
    """E_ANN / E_SNN of a row, layer by layer on its topology."""
    ann = energy_of_layers("ann_naive", row.layers, T45)
    snn = energy_of_layers(
        row.model, row.layers, T45,
        spikes=row.spikes if spikes is None else spikes, steps=row.steps or 1,
    )  # fmt: skip
    return float(ann.energy / snn.energy)


def efficiency_at(row: Row, n_syn_per_neuron: float) -> float:
    """E_ANN / E_SNN of a row for a given N_syn/N_neur."""
    if row.model == "snn_if_inst":
        return naive(T45) / spike(T45, row.spikes)
    snn = _leaky(row.model, n_syn_per_neuron, row.steps or 1, row.spikes)
    return float(price(equations.ann_naive(n_syn=1.0), T45).energy / snn.energy)


def _row_claim(row: Row) -> Recompute:
    def recompute(claim: Claim) -> Recomputed:
        computed = efficiency(row)
        own = sum(x.n_synapses for x in row.layers) / sum(x.n_neurons for x in row.layers)
        # the printed spikes per synapse carry two decimals
        more, fewer = efficiency(row, row.spikes - 0.005), efficiency(row, row.spikes + 0.005)
        tried = [
            Convention(
                "spikes per synapse before their rounding", more,
                f"With {row.spikes - 0.005:.3f}, the lowest value that rounds to the printed "
                f"{row.spikes:.2f}, it is {more:.3f} (with {row.spikes + 0.005:.3f}: {fewer:.3f}).",
            )
        ]  # fmt: skip
        where = f"eq. 4, {row.topology}"
        if row.model != "snn_if_inst":
            where = f"T {row.steps}, {row.topology} with N_syn/N_neur {own:.0f}"
            needed = implied_ratio()
            for name, value, fitted in (
                ("the N_syn/N_neur of VGG16 that Fig. 3 prints", figure_3("vgg16"), False),
                ("the N_syn/N_neur that Fig. 2 needs", needed, True),
            ):
                other = efficiency_at(row, value)
                text = f"With {name} ({value:.0f}) it is {other:.3f}."
                text += " That ratio is fitted to Fig. 2, no way to count." if fitted else ""
                tried.append(Convention(name, other, text, holds=False if fitted else None))
        return Recomputed(
            computed,
            f"{where}, {row.spikes:g} spikes per synapse"
            f"{', first layer left out' if row.encoding else ''}: {computed:.3f}",
            conventions=tuple(tried),
            why=f"{row.spikes:g} spikes per synapse, {where} give {computed:.3f}.",
        )

    return recompute


@dataclass(frozen=True, slots=True)
class Shares:
    """Shares of eq. (12) in percent (Fig. 6, middle)."""

    local: float
    distant: float


def layer_shares() -> Shares:
    """Eq. (12) layer by layer over the three networks, groups counted truly."""
    layers = [layer for name in _FIGURE_3 for layer in network(name).synaptic_layers]
    cost = energy_of_layers("ann_reuse_sparsity", layers, T65, zero_fraction=GAMMA)
    return Shares(
        float(100 * cost.total(component="register") / cost.energy),
        float(100 * cost.total(component="sram") / cost.energy),
    )


def mean_reuse(*, as_dense: bool, conv_only: bool = False) -> tuple[float, float, float]:
    """Plain means of the ideal reuse over the points of Fig. 4: iact, weight, psum."""
    layers = [
        layer
        for name in _FIGURE_3
        for layer in network(name).synaptic_layers
        if layer.kind == "conv" or not conv_only
    ]
    # One group of a dense layer would see all inputs and outputs; weights are used as often.
    factors = [layer.groups if as_dense else 1 for layer in layers]
    n = len(layers)
    return (
        sum(x.reuse.iact * f for x, f in zip(layers, factors, strict=True)) / n,
        sum(x.reuse.weight for x in layers) / n,
        sum(x.reuse.psum * f for x, f in zip(layers, factors, strict=True)) / n,
    )


def mean_shares(*, as_dense: bool, conv_only: bool = False) -> Shares:
    """Eq. (12) of one synapse with the mean reuse factors."""
    iact, weight, psum = mean_reuse(as_dense=as_dense, conv_only=conv_only)
    counts = equations.ann_reuse_sparsity(
        n_syn=1.0, zero_fraction=GAMMA, reuse_iact=iact, reuse_weight=weight, reuse_psum=psum,
        weight_bits=16, iact_bits=16, psum_bits=16,
    )  # fmt: skip
    cost = price(counts, T65)
    return Shares(
        float(100 * cost.total(component="register") / cost.energy),
        float(100 * cost.total(component="sram") / cost.energy),
    )


def _best_share(part: Literal["local", "distant"]) -> Recompute:
    def recompute(claim: Claim) -> Recomputed:
        def of(shares: Shares) -> float:
            return shares.local if part == "local" else shares.distant

        computed = of(layer_shares())
        iact, weight, psum = mean_reuse(as_dense=True)
        text = f"Mean RF {iact:.0f} (iact), {weight:.0f} (weight), {psum:.0f} (psum)"
        return Recomputed(
            computed,
            f"eq. 12 layer by layer over AlexNet, VGG16 and MobileNet: {computed:.2f} %",
            conventions=(
                Convention(
                    "plain means of the reuse factors over the layers, groups counted as dense",
                    of(mean_shares(as_dense=True)),
                    f"{text}: {of(mean_shares(as_dense=True)):.3f} %. A mean of RF hides the "
                    "layers with little reuse, as energy goes with 1/RF.",
                ),
                Convention(
                    "plain means of the reuse factors over the layers",
                    of(mean_shares(as_dense=False)), "Groups counted truly.",
                ),
                Convention(
                    "plain means over the convolutions, groups counted as dense",
                    of(mean_shares(as_dense=True, conv_only=True)), "Without the FC layers.",
                ),
            ),
            why="With the reuse factors of each layer of the three networks of Fig. 4 (fully "
            f"connected layers have RF_weight = 1) the share is {computed:.2f} %.",
        )  # fmt: skip

    return recompute


RECOMPUTE: dict[str, Recompute] = {
    "F6-bestlocal": _best_share("local"),
    "F6-bestdist": _best_share("distant"),
    "RATIO-AlexNet": _ratio_claim("alexnet"),
    "RATIO-VGG16": _ratio_claim("vgg16"),
    "RATIO-MobileNet": _ratio_claim("mobilenet_v1"),
    "3x": _three_times,
    "F2-LIF": _share_claim("snn_lif_inst"),
    "F2-CONT": _share_claim("snn_if_cont"),
    **{f"T2-{row.id}": _row_claim(row) for row in TABLE_2},
}
