"""The results page. Every sentence with a number is made from the numbers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tospike.papers.measured import (
    SparseNetwork,
    Sparsity,
    Spikes,
    SpikingNetwork,
)

#: the paper's two figures, Liu & Delbruck 2019, section VI: "about 50%", "nearly 80%"
PRINTED_FLOAT = 0.5
PRINTED_QUANTISED = 0.8
LIKE_THE_PAPER = "w16a16"


def _percent(value: float | None, digits: int = 1) -> str:
    return "–" if value is None else f"{100 * value:.{digits}f}"


def _points(value: float, deviation: float | None) -> str:
    """+1.2 ± 0.3"""
    text = f"{100 * value:+.1f}"
    return text if deviation is None else f"{text} ± {100 * deviation:.1f}"


def verdict(network: SparseNetwork) -> str:
    """Whether zeros rise against float32: at least half a point and twice the deviation."""
    if network.rise_std is None:
        return "one network: no verdict"
    bound = max(0.005, 2 * (network.rise_std or 0.0))
    if abs(network.rise) < bound:
        return "does not change clearly"
    return "rises" if network.rise > 0 else "falls"


def _trained(networks: Iterable[SparseNetwork]) -> list[SparseNetwork]:
    return [n for n in networks if n.training.startswith("dual-copy")]


def _group(networks: Sequence[SparseNetwork], name: str) -> list[SparseNetwork]:
    return [n for n in networks if n.name == name]


def answer(networks: Sequence[SparseNetwork]) -> str:
    """The first paragraph: does training with quantisation raise the share of zeros?"""
    trained = _trained(networks)
    like = [n for n in trained if n.precision == LIKE_THE_PAPER]
    if not like:
        return "Not measured: no network was trained at 16 bits."
    rising = [n for n in like if verdict(n) == "rises"]
    word = "No" if not rising else ("Yes" if len(rising) == len(like) else "Not in general")
    printed = f"{100 * (PRINTED_QUANTISED - PRINTED_FLOAT):+.0f}"
    parts = [
        f"{_points(n.rise, n.rise_std)} points ({n.name}, {_percent(n.mean - n.rise)} % in "
        f"float32, {n.seeds} seed{'s' * (n.seeds > 1)})"
        for n in like
    ]
    return " ".join(
        [
            f"{word}: trained at 16 bits with dual-copy rounding, the point placed to fit the "
            f"values, the mean share of zeros changes by {'; '.join(parts)}; the paper reports "
            f"about {printed} (about 50 % to nearly 80 %).",
            *_of_fewer_bits(trained, like[0].name),
            *_of_length(networks),
            *_of_the_trunk(networks),
        ]
    )


def _of_fewer_bits(trained: Sequence[SparseNetwork], name: str) -> list[str]:
    """Which precisions do raise it, and by what: rounding to 0 or more negative sums."""
    others = [n for n in _group(trained, name) if n.precision != LIKE_THE_PAPER]
    by_rounding = [n for n in others if _from_rounding(n) > n.rise / 2]
    rising = [n for n in by_rounding if verdict(n) == "rises"]
    if not rising:
        return []
    parts = [f"{n.precision} {_points(n.rise, n.rise_std)}" for n in rising]
    rest = [
        f"{n.precision} changes by {_points(n.rise, n.rise_std)}"
        for n in others
        if n not in by_rounding
    ]
    most = max(rising, key=lambda n: n.rise)
    before = sum(most.relu_zero_fraction) / len(most.layers)
    return [
        f"It does rise where the steps of the activations are coarse: {'; '.join(parts)}. That is "
        f"the rounding itself, which sets small positive values to 0: before rounding, the maps of "
        f"{most.precision} have {_percent(before)} % zeros, in float32 "
        f"{_percent(most.mean - most.rise)} %.",
        *(f"{line}, without the help of rounding." for line in rest),
    ]


def _of_length(networks: Sequence[SparseNetwork]) -> list[str]:
    """What the length of the training does to a float32 network."""
    floats = {n.name: n for n in networks if n.precision == "float32"}
    names = ("Fashion-MNIST CNN", "Fashion-MNIST CNN, trained on")
    if not set(names) <= set(floats):
        return []
    short, long = (floats[name].mean for name in names)
    of_16_bits = [abs(n.rise) for n in _trained(networks) if n.precision == LIKE_THE_PAPER]
    if abs(long - short) <= max(of_16_bits):
        return []
    return [
        f"The length of the training matters more than 16 bits do: in float32 the same network has "
        f"{_percent(short)} % zeros after one epoch and {_percent(long)} % with the demo's weights "
        "(24 epochs with augmented images, and the short training on top)."
    ]


def _of_the_trunk(networks: Sequence[SparseNetwork]) -> list[str]:
    """Rounding a network that is already trained."""
    rounded = [n for n in networks if n.training == "post-training"]
    if not rounded:
        return []
    parts = [
        f"{n.precision} {_points(n.rise, None)} (error of the last map "
        f"{_percent(n.relative_error, 0)} %)"
        for n in rounded
    ]
    return [
        f"Rounding the trained {rounded[0].name} ({_percent(rounded[0].mean - rounded[0].rise)} % "
        f"zeros as trained) without training: {'; '.join(parts)}."
    ]


def _from_rounding(network: SparseNetwork) -> float:
    """Mean share of values that are positive before rounding and 0 after it."""
    pairs = zip(network.zero_fraction, network.relu_zero_fraction, strict=True)
    return sum(after - before for after, before in pairs) / len(network.layers)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    rule = ["---", *["---:"] * (len(head) - 1)]
    return [f"| {' | '.join(row)} |" for row in (head, rule, *rows)]


def _summary(group: Sequence[SparseNetwork]) -> list[str]:
    has_accuracy = any(n.accuracy is not None for n in group)
    head = ["precision", "zeros, mean over layers, %", "against float32, points"]
    head += ["of which set to 0 by rounding", "verdict"]
    head += ["accuracy, %"] if has_accuracy else ["error of the last map"]
    rows = []
    for n in group:
        first = n.precision == "float32"
        row = [n.precision, _with(n.mean, n.mean_std)]
        row += ["–" if first else _points(n.rise, n.rise_std)]
        row += ["–" if first else f"{100 * _from_rounding(n):.1f}", "–" if first else verdict(n)]
        if has_accuracy:
            row.append(_with(n.accuracy or 0.0, n.accuracy_std))
        else:
            row.append("–" if n.relative_error is None else f"{100 * n.relative_error:.1f} %")
        rows.append(row)
    return _table(head, rows)


def _with(value: float, deviation: float | None) -> str:
    text = _percent(value)
    return text if deviation is None else f"{text} ± {_percent(deviation)}"


def _layers(group: Sequence[SparseNetwork]) -> list[str]:
    head = ["layer", *(n.precision for n in group)]
    rows = [
        [layer, *(_with(n.zero_fraction[i], n.zero_fraction_std[i]) for n in group)]
        for i, layer in enumerate(group[0].layers)
    ]
    inputs = [
        [layer, *(_percent(n.input_zero_fraction[i]) for n in group)]
        for i, layer in enumerate(group[0].layers)
    ]
    return [
        "Zeros in the feature map of each layer, %:",
        "",
        *_table(head, rows),
        "",
        "Zeros at the input of each layer, %, as `ts.measure` counts them (after pooling; the "
        "first is the picture itself):",
        "",
        *_table(head, inputs),
    ]


def correlation(values: Sequence[float]) -> float:
    """Spearman's rank correlation of the values with their place: -1 always falls, 1 rises."""
    from scipy.stats import spearmanr

    return float(spearmanr(range(len(values)), values).statistic)


def _depth(networks: Sequence[SpikingNetwork]) -> str:
    """The second paragraph: a yes only if all convolutions fall clearly, at every T."""
    parts = []
    strongest = []
    for name in dict.fromkeys(n.name for n in networks):
        runs = [n for n in networks if n.name == name]
        found = [correlation(n.spikes_per_synapse) for n in runs]
        steps = [
            sum(b > a for a, b in zip(n.spikes_per_synapse, n.spikes_per_synapse[1:], strict=False))
            for n in runs
        ]
        text = f"{name}: {_range(found, '+.2f')}"
        convolutions = [n.spikes_per_synapse[: _n_convolutions(n)] for n in runs]
        strongest += [correlation(c) for c in convolutions]
        if len(convolutions[0]) < len(runs[0].layers):
            text += f" ({_range([correlation(c) for c in convolutions], '+.2f')} without the "
            text += "classifier)"
        last, first = runs[-1].spikes_per_synapse[-1], runs[-1].spikes_per_synapse[0]
        text += f", {_range(steps, 'd')} of {len(runs[0].layers) - 1} steps to the next layer go "
        text += f"up, the last layer has {last / first:.2f} times the first's at "
        text += f"T = {runs[-1].timesteps}"
        parts.append(text)
    word = "Yes" if max(strongest) < -0.7 else ("No" if min(strongest) > -0.7 else "In part")
    return (
        f"{word}, measured on our own converted networks (rank correlation of spikes per synapse "
        f"with depth, -1 for a fall at every layer). {'; '.join(parts)}."
    )


def _n_convolutions(network: SpikingNetwork) -> int:
    return sum(layer.startswith("conv") for layer in network.layers)


def _range(values: Sequence[float], form: str) -> str:
    low, high = format(min(values), form), format(max(values), form)
    return low if low == high else f"{low} to {high}"


def _spikes(group: Sequence[SpikingNetwork]) -> list[str]:
    head = ["layer", *(f"T = {n.timesteps}" for n in group)]
    rows = [
        [layer, *(f"{n.spikes_per_synapse[i]:.3f}" for n in group)]
        for i, layer in enumerate(group[0].layers)
    ]

    def line(title: str, values: Iterable[float | None]) -> list[list[str]]:
        cells = [_percent(value) for value in values]
        return [] if set(cells) == {"–"} else [[title, *cells]]

    rows += line("accuracy, %", (n.accuracy for n in group))
    rows += line("accuracy in float32, %", (n.float_accuracy for n in group))
    rows += line("error of the output, %", (n.relative_error for n in group))
    return _table(head, rows)


METHOD = """\
A *feature map* is the output of a ReLU, rounded where the network rounds, before pooling; that is
what Fig. 4 of the paper shows. "Set to 0 by rounding" is the share of all values that are positive
before rounding and 0 after it.

- *Post-training*: weights uniform, symmetric and per tensor; activations uniform, unsigned and per
  tensor, the highest value being the largest one seen. `Q3.13 to Q9.7` and `Q14.2` are 16-bit fixed
  point with the bits before and behind the point that the public VGG-16 files of ADaPTION (Milde et
  al. 2017, the tool that the authors used) give per layer, for inputs divided by 255.
- *Dual-copy rounding*: a full-precision copy of the weights receives the gradients, a rounded copy
  is used in the forward pass; activations are rounded too; the rounding counts as the identity in
  the backward pass. Signed Qm.n; m fits the largest weight, or a running mean of the largest
  activation of a batch. Halves go to the even code. Biases and batch norm stay float32.
- *Pow2 ternary*: weights -s, 0, s with s the power of two of the smallest squared error per layer.
- Each network is compared with the float32 network of the same seed (same first weights, same order
  of images). "Rises" or "falls": by at least half a point and by twice the deviation over seeds.
"""

LIMITS = """\
- The paper's figure is about VGG-16 *trained* at 16 bits on ImageNet. That was not repeated: the
  training here is of a small network on Fashion-MNIST, for one epoch.
- The float trunk is not the float network of the paper: it was trained on for edges, and its share
  of zeros is well above the 50 % that the paper prints for float.
- A trunk has no classifier: the harm of rounding is given as the error of the last feature map, and
  says nothing about what training with rounding could repair.
- Two or three seeds make a deviation, not a confidence interval; a group with one seed gets no
  verdict.
- Spikes: our conversion, which corrects biases and starts neurons at a calibrated potential;
  another conversion gives other counts. The networks of the paper's Fig. 8 were trained otherwise.
"""


def page(sparsity: Sparsity, spikes: Spikes) -> str:
    """docs/results/papers_measured.md."""
    networks = sparsity.networks
    lines = [
        "# Figures of the papers, measured",
        "",
        f"**Does training with quantisation raise activation sparsity?** {answer(networks)}",
        "",
        f"**Does spike activity decrease with depth?** {_depth(spikes.networks)}",
        "",
        f"`{sparsity.command}` wrote this page on {sparsity.date}: {sparsity.machine}. The numbers "
        "are in `src/tospike/papers/data/measured_sparsity.json` and `measured_spikes.json`.",
        "",
        "## Zeros in feature maps (Liu & Delbruck 2019, Fig. 4)",
        "",
        METHOD,
    ]
    for name in dict.fromkeys(n.name for n in networks):
        group = _group(networks, name)
        lines += [f"### {name}", "", group[0].note, "", *_summary(group), "", *_layers(group), ""]
    lines += [
        "## Spikes per synapse, layer by layer (Dampfhoffer et al. 2022, Fig. 8)",
        "",
        "Counted at the input of each layer, summed over the T steps, mean per inference. The "
        "paper writes: a frequent pattern is that spike activity decreases with the depth of the "
        "layer.",
        "",
    ]
    for name in dict.fromkeys(n.name for n in spikes.networks):
        runs = [n for n in spikes.networks if n.name == name]
        lines += [f"### {name}, converted", "", runs[0].note, "", *_spikes(runs), ""]
    return "\n".join([*lines, "## What falls short", "", LIMITS])
