"""The results page of the spiking networks. Every number comes from the measured rows."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from snn_page_events import emulated_section, events_section
from snn_page_parts import energy, percent, table, times
from snn_page_temporal import temporal_section

#: accuracy that an SNN may lose against the float ANN to count in the reading
ALLOWED_LOSS = 0.015
METHODS = {
    "ann": "ANN, float32",
    "qnn": "QNN",
    "converted": "converted",
    "qcfs": "QCFS",
    "direct": "direct training",
    "ttfs": "time to first spike",
    "hybrid": "hybrid",
}
RULES = {
    "maxnorm": "MaxNorm",
    "percentile": "percentile, per layer",
    "percentile-channel": "percentile, per channel",
    "fit": "percentile, per channel, fitted",
    "calibration": "calibration (mse, moved weights)",
}
Row = Mapping[str, Any]


def title(row: Row) -> str:
    """Name of a network in words."""
    name, method = str(row["name"]), str(row["method"])
    parts = name.split("-")
    if method == "qnn":
        return f"QNN, {parts[1]} bit"
    if method == "converted":
        return RULES["-".join(parts[1:-1])]
    if method == "ttfs":
        return f"{METHODS[method]}, {parts[1].upper()}"
    if method == "hybrid":
        return f"hybrid of the {parts[1].upper()}: {', '.join(row['spiking'])} spike"
    if method == "direct":
        return f"direct training, penalty {parts[1]}"
    if name == "qcfs-layers":
        return "QCFS, layer after layer"
    return METHODS[method]


def is_snn(row: Row) -> bool:
    """Whether something in it spikes."""
    return bool(row["spiking"])


def main_table(rows: Sequence[Row]) -> list[str]:
    """Accuracy, time steps, spikes and operations."""
    lines = []
    for row in rows:
        lines.append(
            [
                title(row),
                str(row["timesteps"]) if is_snn(row) else "–",
                percent(row["accuracy"], 2),
                f"{row['n_samples']:,}",
                "–" if row["spikes_per_synapse"] is None else f"{row['spikes_per_synapse']:.3f}",
                f"{row['spike_operations'] / 1e6:.2f}" if is_snn(row) else "–",
                f"{(row['operations'] - row['spike_operations']) / 1e6:.2f}",
            ]
        )
    head = [
        "network", "T", "accuracy, %", "test images", "spikes per synapse",
        "additions on spikes, millions", "products with values other than 0, millions",
    ]  # fmt: skip
    return table(head, lines)


def keys(rows: Sequence[Row]) -> dict[str, str]:
    """Published models of the rows: key -> title."""
    found: dict[str, str] = {}
    for row in rows:
        for key, one in row["models"].items():
            found.setdefault(key, one["title"])
    return found


def _energy_of(row: Row, key: str) -> float | None:
    one = row["models"].get(key)
    if one is None:
        return None
    value: float | None = one["energy_snn_j" if is_snn(row) else "energy_ann_j"]
    return value


def energy_table(rows: Sequence[Row]) -> list[str]:
    """Microjoule per inference under every model; networks are lines."""
    models = keys(rows)
    lines = [
        [
            title(row),
            str(row["timesteps"]) if is_snn(row) else "–",
            *(energy(_energy_of(row, key)) for key in models),
        ]
        for row in rows
    ]
    return table(["network", "T", *(f"`{key}`" for key in models)], lines)


def floor(rows: Sequence[Row]) -> float | None:
    """Least accuracy that counts: the float ANN's less what may be lost."""
    ann = [row["accuracy"] for row in rows if row["name"] == "ann"]
    return ann[0] - ALLOWED_LOSS if ann else None


def whole(rows: Sequence[Row]) -> list[Row]:
    """Rows of all test images: others are preliminary and nothing is read off them."""
    most = max((row["n_samples"] for row in rows), default=0)
    return [row for row in rows if row["n_samples"] == most]


def winners(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """For every model: the cheapest SNN and the cheapest QNN that keep the floor."""
    least = floor(rows)
    if least is None:
        return []
    kept = [row for row in whole(rows) if row["accuracy"] >= least and row["name"] != "ann"]
    found = []
    for key, name in keys(rows).items():
        priced = [(value, row) for row in kept if (value := _energy_of(row, key)) is not None]
        snns = [one for one in priced if is_snn(one[1]) and one[1]["method"] != "hybrid"]
        hybrids = [one for one in priced if one[1]["method"] == "hybrid"]
        qnns = [one for one in priced if not is_snn(one[1])]
        if not snns or not qnns:
            continue
        (ann, qnn), (snn, best) = (min(side, key=lambda one: one[0]) for side in (qnns, snns))
        mixed = min(hybrids, key=lambda one: one[0]) if hybrids else None
        # the range is that against the 8-bit network: moved to the cheapest one
        ends = best["models"][key]
        scale = ann / snn / ends["ratio"]
        found.append(
            {
                "key": key, "title": name, "qnn": qnn, "snn": best, "ratio": ann / snn,
                "low": _times(ends["ratio_low"], scale), "high": _times(ends["ratio_high"], scale),
                "hybrid": mixed and mixed[1], "hybrid_ratio": mixed and ann / mixed[0],
            }
        )  # fmt: skip
    return found


def _times(value: float | None, scale: float) -> float | None:
    return None if value is None else value * scale


def winner_table(rows: Sequence[Row]) -> list[str]:
    """Who is cheapest under which model."""
    lines = []
    for one in winners(rows):
        lines.append(
            [
                f"{one['title']} (`{one['key']}`)",
                title(one["qnn"]),
                f"{title(one['snn'])}, T = {one['snn']['timesteps']}",
                percent(one["snn"]["accuracy"], 2),
                times(one["ratio"]),
                f"{times(one['low'])} to {times(one['high'])}",
                "–" if one["hybrid"] is None else times(one["hybrid_ratio"]),
            ]
        )
    head = [
        "model", "cheapest QNN", "cheapest SNN", "its accuracy, %", "QNN / SNN",
        "5 to 95 % of it over the ranges of the constants", "QNN / best hybrid",
    ]  # fmt: skip
    return table(head, lines) if lines else []


#: columns of :func:`equal_table`
SHOWN = ("dampfhoffer_naive", "dampfhoffer_eyeriss_v1", "dampfhoffer_best", "liu_delbruck", "yan")


def equal_table(rows: Sequence[Row]) -> list[str]:
    """Every SNN against the cheapest QNN that is at least as accurate."""
    qnns = [row for row in whole(rows) if row["method"] in ("qnn", "ann")]
    lines = []
    for row in whole(rows):
        able = [one for one in qnns if one["accuracy"] >= row["accuracy"]]
        if not is_snn(row) or not able:
            continue
        ratios: dict[str, float] = {}
        for key in keys([row]):
            ann = [value for one in able if (value := _energy_of(one, key)) is not None]
            snn = _energy_of(row, key)
            if ann and snn:
                ratios[key] = min(ann) / snn
        fewest = min(able, key=lambda one: one["activation_bits"] or 32)
        lines.append(
            [
                title(row), str(row["timesteps"]), percent(row["accuracy"], 2), title(fewest),
                f"{sum(value > 1 for value in ratios.values())} of {len(ratios)}",
                *(times(ratios.get(key)) for key in SHOWN),
            ]
        )  # fmt: skip
    head = [
        "SNN", "T", "accuracy, %", "QNN of fewest bits that is as accurate",
        "models under which it needs less", *(f"`{key}`" for key in SHOWN),
    ]  # fmt: skip
    return table(head, lines) if lines else []


def break_even_table(rows: Sequence[Row]) -> list[str]:
    """Spikes per synapse at which the spiking layers cost what they cost as 8-bit ANN."""
    shown = [
        row for row in rows
        if is_snn(row) and row["method"] in ("qcfs", "direct", "ttfs") and row["timesteps"] == 4
    ]  # fmt: skip
    if not shown:
        return []
    lines = []
    for key, name in keys(shown).items():
        cells = []
        for row in shown:
            one = row["models"].get(key)
            even = None if one is None else one["break_even"]
            cells.append("–" if even is None else f"{even:.3f}")
        lines.append([f"{name} (`{key}`)", *cells])
    measured = ["**measured**", *(f"**{row['spikes_per_synapse']:.3f}**" for row in shown)]
    return table(["model", *(title(row) for row in shown)], [measured, *lines])


def reading(rows: Sequence[Row]) -> list[str]:
    """Where spiking wins on Fashion-MNIST, by how much, under which model."""
    found = winners(rows)
    if not found:
        return [
            f"No SNN so far keeps its accuracy within {100 * ALLOWED_LOSS:g} points of the ANN, "
            "or the ANN is missing: nothing can be read off."
        ]
    won = sorted((one for one in found if one["ratio"] > 1), key=lambda one: -one["ratio"])
    lost = sorted((one for one in found if one["ratio"] <= 1), key=lambda one: one["ratio"])
    lines = [
        f"Counted are SNNs within {100 * ALLOWED_LOSS:g} points of the float ANN, against the "
        "cheapest quantised network that keeps the same floor. "
        f"Spiking needs less under {len(won)} of {len(found)} models, and more under {len(lost)}; "
        "over 90 % of the ranges of the constants "
        f"{sum((one['low'] or 0) > 1 for one in won)} and "
        f"{sum((one['high'] or math.inf) < 1 for one in lost)} of these stay so.",
    ]
    if won:
        lines.append(
            "It wins under "
            + "; ".join(f"{one['title']} ({times(one['ratio'])} times less)" for one in won)
            + "."
        )
    else:
        lines.append("It wins nowhere.")
    if lost:
        lines.append(
            "It loses under "
            + "; ".join(f"{one['title']} ({times(1 / one['ratio'])} times more)" for one in lost)
            + "."
        )
    mixed = [one for one in found if one["hybrid_ratio"] is not None]
    better = [one for one in mixed if one["hybrid_ratio"] > max(1.0, one["ratio"])]
    if mixed:
        lines.append(
            f"A hybrid is cheaper than both under {len(better)} of {len(mixed)} models"
            + (": " + ", ".join(one["title"] for one in better) if better else "")
            + "."
        )
    return [" ".join(lines), "", _caution(won)]


def _caution(won: Sequence[Row]) -> str:
    """What the models that speak for spiking leave out."""
    left_out = {
        one["title"]: one["snn"]["models"][one["key"]]["leaves_out"]
        for one in won
        if one["snn"]["models"][one["key"]]["leaves_out"]
    }
    if not left_out:
        return ""
    reuse = sum("reuse" in text or "memory" in text for text in left_out.values())
    return (
        f"Of the {len(won)} models that speak for spiking, {reuse} leave out memory accesses or "
        "the data reuse of the ANN. What each leaves out: "
        + "; ".join(f"{name}: {text}" for name, text in left_out.items())
        + "."
    )


def targets(rows: Sequence[Row]) -> list[str]:
    """The aims that were set before, and what came out."""
    at = {row["name"]: row for row in rows}
    ann = at.get("ann")
    if ann is None:
        return ["- ANN: not trained yet."]
    lines = [
        f"- ANN at least 92 %: {percent(ann['accuracy'], 2)} %, {_met(ann['accuracy'] >= 0.92)}."
    ]
    for name in ("qcfs", "qcfs-layers"):
        if name in at:
            loss = ann["accuracy"] - at[name]["accuracy"]
            lines.append(
                f"- {title(at[name])} within 1.0 points of it at T = 4: "
                f"{percent(at[name]['accuracy'], 2)} %, {100 * loss:.2f} points lost, "
                f"{_met(loss <= 0.01)}."
            )
    direct = [row for row in rows if row["method"] == "direct"]
    if not direct:
        lines.append("- Direct training: not trained yet.")
    for row in direct:
        loss = ann["accuracy"] - row["accuracy"]
        met = loss <= 0.015 and row["spikes_per_synapse"] < 0.4
        lines.append(
            f"- {title(row)} within 1.5 points at T = 4 with fewer than 0.4 spikes per synapse: "
            f"{percent(row['accuracy'], 2)} %, {100 * loss:.2f} points lost, "
            f"{row['spikes_per_synapse']:.3f}, {_met(met)}."
        )
    return lines


def _met(yes: bool) -> str:
    return "met" if yes else "missed"


HOW = """\
## How it was measured

- Fashion-MNIST: 60,000 training and 10,000 test images; `validation/snn_network.py`. Weights are
  those after the last epoch. Calibrations see 512 training images without labels. The start of QCFS
  was chosen on held-out training images; loss and surrogate of the direct training in short trials
  on 2000 of the test images, its number of epochs after a look at the test accuracy: the figures of
  direct training are that much optimistic.
- Spikes per synapse: additions on spikes over synapses of the layers that receive spikes, all T
  steps of an inference added up. Every addition is counted with its exact fan-out.
- Energies are modelled: the actions that a published model counts, at the prices of its own paper.
  Every SNN stands beside the 8-bit network with the zeros that it showed. In the models of
  Dampfhoffer 2022 IF neurons are replaced by those that the network has: LIF where a leak was
  trained, continuous synapses for time-to-first-spike coding (the T steps in which its neurons may
  fire are counted by no published model; `tospike analyze` charges them). A model that prints
  prices for one width prices fewer bits as that width. Borders between modes and the bias
  currents of converted neurons are left out, as the papers do; `tospike analyze` counts them.
- Hybrids: the cheapest partitions that `tospike.decide` finds at T = 4 on 1000 test images, run on
  all.
- HAPT and spoken digits: data, splits and augmentation of `validation/delta_tasks.py`. The SNN has
  about as many weights as the GRU. Its inputs are analog: every step multiplies them with weights;
  with Θx only those that have moved by more are sent, as in a delta network. *By column*: the
  weights of a spike are added up in registers, as a delta network does, and states are read and
  written once per neuron and step. *By word*: every addition reads and writes a potential in SRAM
  (Dampfhoffer 2022, eq. 7). Both add the second state of adaptive neurons. 8 bits, prices of
  `horowitz_2014_45nm`, recurrent layer alone, as for the GRU ([delta.md](delta.md)). ALIF: Bellec
  et al. 2018; decays of each neuron are trained.
- The front is over one figure for each network, means over its seeds; it picks from what the test
  sequences show.
- Event recordings: files of the source distribution of faery 0.7.1, both polarities together, 128 x
  128 places. A bin is an inference of the frame network and a step of the spiking one; the leak is
  made up for when an event arrives, without updates at each step, except where LIF is said. The
  filters come from Fashion-MNIST and the spike rate is set, so that neither network does anything
  useful here: this is about activity and energy alone.
"""


def page(result: Row) -> str:
    """docs/results/snn.md."""
    where, rows = result["machine"], result["fashion"]
    lines = [
        "# Spiking networks, measured",
        "",
        f"`{result['command']}` wrote this page and `snn.json` on {result['date']}; "
        f"{where['cpu']}, {where['cores']} cores, {where['system']}, Python {where['python']}.",
        "",
        "## Fashion-MNIST: where spiking wins",
        "",
        *reading(rows),
        "",
        *targets(rows),
        "",
        *winner_table(rows),
        "",
        "Every SNN against the cheapest quantised network that is at least as accurate (energy of "
        "the QNN over that of the SNN, above 1 where spiking needs less):",
        "",
        *equal_table(rows),
        "",
        "## Fashion-MNIST: all networks",
        "",
        f"{result['n_synapses'] / 1e6:.2f} million synapses (products of one inference). Rows of "
        "fewer test images than the others are preliminary; nothing above rests on them.",
        "",
        *main_table(rows),
        "",
        "Energy of one inference in µJ, by published model:",
        "",
        *energy_table(rows),
        "",
        "Break-even: spikes per synapse at which the spiking layers cost what they cost as 8-bit "
        "ANN, with the measured ones in the first line.",
        "",
        *break_even_table(rows),
    ]
    for entry in result["temporal"].values():
        lines += temporal_section(entry)
    lines += events_section(result["events"])
    lines += emulated_section(result["emulated"])
    if result["missing"]:
        lines += [
            "", "## Not measured yet", "",
            "These results are missing: " + ", ".join(f"`{name}`" for name in result["missing"])
            + ".",
        ]  # fmt: skip
    return "\n".join([*lines, "", HOW])
