"""The results page of the spiking networks: event recordings, and emulated events."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from snn_page_parts import number, percent, table, times

Row = Mapping[str, Any]
#: columns of the tables: MACs and ACs alone, naive, ideal reuse with zeros skipped, Eyeriss, chip
SHOWN = {
    "dampfhoffer_naive": "naive ANN",
    "dampfhoffer_lif": "naive ANN, LIF",
    "dampfhoffer_eyeriss_v1": "Eyeriss v1",
    "dampfhoffer_best": "ideal reuse and sparsity",
    "liu_delbruck": "NullHop",
    "yan": "Yan 2026",
}


def as_recorded(setting: Row) -> Row:
    """The point at the rate of the recording."""
    found: Row = next(one for one in setting["points"] if one["factor"] == 1)
    return found


def _span(values: Sequence[float | None]) -> str:
    known = [value for value in values if value is not None]
    return f"{times(min(known))} to {times(max(known))}" if known else "–"


def recording_table(recordings: Sequence[Row]) -> list[str]:
    """Activity and energy ratios at the full rate."""
    lines = []
    for one in recordings:
        for setting in one["settings"]:
            at = as_recorded(setting)
            lines.append(
                [
                    one["title"], f"{one['bin_ms']}", f"{setting['share']:g}",
                    number(at["events_per_second"]), percent(at["active_share"], 2),
                    f"{at['frame_operations_nonzero'] / 1e6:.2f}",
                    f"{at['spike_operations'] / 1e6:.2f}", f"{at['spikes_per_synapse']:.4f}",
                    *(times(at["models"][key]["ratio"]) for key in SHOWN),
                ]
            )  # fmt: skip
    head = [
        "recording", "bin, ms", "spikes per activation", "events per second", "active places, %",
        "products of the frame CNN not with 0, millions", "additions on spikes, millions",
        "spikes per synapse and bin", *SHOWN.values(),
    ]  # fmt: skip
    return table(head, lines)


def layer_table(recordings: Sequence[Row]) -> list[str]:
    """Density at the input of every convolution."""
    lines = []
    for one in recordings:
        for setting in one["settings"]:
            layers = as_recorded(setting)["layers"]
            lines.append(
                [
                    one["title"], f"{one['bin_ms']}", f"{setting['share']:g}",
                    *(
                        " / ".join(
                            percent(layer[f"{kind}_density"], 2) for kind in ("frame", "spike")
                        )
                        for layer in layers.values()
                    ),
                ]
            )  # fmt: skip
    names = recordings[0]["settings"][0]["points"][0]["layers"]
    return table(["recording", "bin, ms", "spikes per activation", *names], lines)


def crossover_table(recordings: Sequence[Row]) -> list[str]:
    """Events per second above which the frame network needs less."""
    lines = []
    for one in recordings:
        for setting in one["settings"]:
            cells = []
            for key in SHOWN:
                found = setting["crossovers"].get(key)
                sign = {"above": "> ", "below": "< ", "measured": ""}
                cells.append(
                    "–"
                    if found is None
                    else f"{sign[found['kind']]}{_rounded(found['events_per_second'])}"
                )
            lines.append([one["title"], f"{one['bin_ms']}", f"{setting['share']:g}", *cells])
    return table(["recording", "bin, ms", "spikes per activation", *SHOWN.values()], lines)


def _rounded(value: float) -> str:
    """Two digits: 160,000."""
    return f"{float(f'{value:.2g}'):,.0f}"


def _reading(recordings: Sequence[Row]) -> list[str]:
    """For each spike rate: the span of the ratios under every model, and how often above 1."""
    lines = []
    for share in sorted({one["share"] for rec in recordings for one in rec["settings"]})[::-1]:
        points = [
            as_recorded(setting)["models"]
            for one in recordings
            for setting in one["settings"]
            if setting["share"] == share
        ]
        parts = []
        for key, name in SHOWN.items():
            ratios = [point[key]["ratio"] for point in points]
            won = sum(value is not None and value > 1 for value in ratios)
            parts.append(f"{name} {_span(ratios)} ({won} of {len(ratios)})")
        lines.append(
            f"- {share:g} spikes per activation of the frame CNN (above 1 in so many of the "
            f"recordings and bins): {'; '.join(parts)}."
        )
    return lines


def events_section(recordings: Sequence[Row]) -> list[str]:
    """Real recordings: activity, energy, crossover. No accuracy."""
    if not recordings:
        return []
    return [
        "",
        "## Real event recordings: a conv SNN against a frame CNN",
        "",
        "Activity and energy only; no labels, no accuracy. Energy of the frame CNN over that of "
        "the SNN, above 1 where spiking needs less, at the rates of the recordings:",
        "",
        *_reading(recordings),
        "",
        *recording_table(recordings),
        "",
        "Values that are not 0 at the input of each convolution, frame CNN / SNN, in %:",
        "",
        *layer_table(recordings),
        "",
        "Crossover, in events per second: above it the frame CNN needs less. Rates below the "
        "recording's leave out events at random (down to an eighth), rates above play it faster "
        "(up to eight times). > and <: beyond the highest or the lowest rate; nothing is "
        "extrapolated.",
        "",
        *crossover_table(recordings),
    ]


def emulated_section(result: Row | None) -> list[str]:
    """Emulated events: accuracy of both."""
    if result is None:
        return []
    size, frames = result["size"], result["frames"]
    lines = [
        [
            f"emulated events, SNN, penalty {one['penalty']:g}", str(result["timesteps"]),
            percent(one["accuracy"]), f"{one['spikes_per_synapse']:.3f}",
            f"{one['spike_operations'] / 1e6:.2f}",
            *(times(one["models"][key]["ratio"]) for key in SHOWN),
        ]
        for one in result["spikes"]
    ]  # fmt: skip
    own = [
        "emulated frames, CNN", "1", percent(frames["accuracy"]), "–",
        f"{result['frame_operations'] / 1e6:.2f}", *("1" for _ in SHOWN),
    ]  # fmt: skip
    head = ["network", "T", "accuracy, %", "spikes per synapse", "operations, millions"]
    return [
        "",
        "## Emulated events: moving Fashion-MNIST",
        "",
        "**Emulated**: no camera; images that move in front of ideal event pixels. "
        f"{size['train']} training and {size['test']} test images, {size['epochs']} epochs, "
        f"{result['events_per_recording']:.0f} emulated events per recording; the CNN sees the "
        "mean of the bins once, the SNN one bin per step. Energy of the frame CNN over that of the "
        "SNN in the last columns. Its neurons leak, so that all models of Dampfhoffer 2022 count "
        "LIF neurons here.",
        "",
        *table([*head, *SHOWN.values()], [own, *lines]),
    ]
