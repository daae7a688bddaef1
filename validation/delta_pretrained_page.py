"""Sections of the results page about pre-trained networks. All numbers come from the data."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Sequence
from typing import Any

Row = dict[str, Any]
DROPS = (
    ("si_snr", "SI-SNR", "dB", 2),
    ("segmental_snr", "segmental SNR", "dB", 2),
    ("log_spectral_distance", "log-spectral distance", "dB", 2),
    ("stoi", "STOI", "", 4),
)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """A Markdown table, first column left, and an empty line."""
    rule = ["---", *["---:"] * (len(head) - 1)]
    return [*(f"| {' | '.join(row)} |" for row in (head, rule, *rows)), ""]


def theta_text(theta: float) -> str:
    """1/16 rather than 0.0625."""
    if theta == 0:
        return "0"
    inverse = 1 / theta
    # thresholds of a search are products of roots of two
    whole = inverse >= 1 and abs(inverse - round(inverse)) < 1e-5
    return f"1/{inverse:.0f}" if whole else f"{theta:.3g}"


def percent(values: Sequence[float]) -> str:
    """Mean, and the range where there are several values."""
    mean = f"{100 * statistics.fmean(values):.1f} %"
    low, high = min(values), max(values)
    return mean if len(values) < 2 else f"{mean} ({100 * low:.0f} to {100 * high:.0f})"


def _mean(rows: Sequence[Row], name: str) -> float | None:
    values = [row[name] for row in rows if row[name] is not None]
    return statistics.fmean(values) if values else None


def _number(value: float | None, digits: int, sign: bool = False) -> str:
    if value is None:
        return "–"
    return f"{value:+.{digits}f}" if sign else f"{value:.{digits}f}"


def _key(row: Row) -> tuple[Any, ...]:
    return row["noise"], row["snr_db"]


def _dense(rows: Sequence[Row]) -> dict[tuple[Any, ...], Row]:
    return {
        _key(row): row
        for row in rows
        if row["network"] == "delta" and row["theta"] == 0 and row["storage"] == "float32"
    }


def changes(rows: Sequence[Row], dense: dict[tuple[Any, ...], Row], name: str) -> list[float]:
    """Differences from the dense network, recording by recording."""
    return [row[name] - dense[_key(row)][name] for row in rows if row[name] is not None]


# --- NSNet2 ----------------------------------------------------------------------------------


def nsnet2(data: Row) -> list[str]:
    """NSNet2 at 16 kHz."""
    rows, dense = data["rows"], _dense(data["rows"])
    noisy = [row for row in rows if row["network"] == "none"]
    lines = [
        "## NSNet2: a trained denoiser, unchanged",
        "",
        f"{data['test_speech_s']:.1f} s of read speech (three sentences of one reader) with "
        f"{len(data['noises'])} noises ({', '.join(data['noises'])}) at "
        f"{', '.join(f'{snr:g}' for snr in data['snrs_db'])} dB: {len(noisy)} recordings of "
        "16 kHz. One threshold for inputs and states of both GRUs; the linear layers skip only "
        "what does not change at all. Means over the recordings (worst one in brackets).",
        "",
        *table(
            ("measure", "noisy", "dense NSNet2"),
            (
                (
                    f"{title}{f', {unit}' if unit else ''}",
                    _number(_mean(noisy, name), digits),
                    _number(_mean(list(dense.values()), name), digits),
                )
                for name, title, unit, digits in DROPS
            ),
        ),
        *_answer(rows, dense),
        "Change from the dense network, and weight bytes read as a share of the dense network's:",
        "",
        *_sweep(rows, dense),
        *_per_noise(rows, dense),
        *_gammas(rows),
        *_tuned(data, dense),
        *times("### Time per frame of 10 ms", data["times"]),
        *energies("### Modelled energy per frame", data["energy"]),
        *_verdict(rows, dense),
    ]
    return lines


def _answer(rows: Sequence[Row], dense: dict[tuple[Any, ...], Row]) -> list[str]:
    lines = []
    for theta in (1 / 16, 1 / 8, 1 / 4):
        if some := _at(rows, theta, "float32"):
            lost = changes(some, dense, "si_snr")
            lines.append(
                f"- A threshold of {theta_text(theta)} reads "
                f"{100 * statistics.fmean(row['gru_traffic'] for row in some):.0f} % of the GRU "
                f"weights and {100 * statistics.fmean(row['traffic'] for row in some):.0f} % of "
                f"all; SI-SNR {statistics.fmean(lost):+.2f} dB, {min(lost):+.2f} dB at worst."
            )
    return [*lines, ""]


def _sweep(rows: Sequence[Row], dense: dict[tuple[Any, ...], Row]) -> list[str]:
    made = []
    for storage in ("float32", "int8"):
        thetas = sorted({row["theta"] for row in rows if row["network"] == "delta"})
        for theta in thetas:
            some = _at(rows, theta, storage)
            made.append(
                (
                    f"{theta_text(theta)}, {storage}",
                    *(_change(changes(some, dense, name), name, d) for name, _, _, d in DROPS),
                    percent([row["gru_traffic"] for row in some]),
                    f"{100 * statistics.fmean(row['traffic'] for row in some):.1f} %",
                )
            )
    head = ("threshold", *(title for _, title, _, _ in DROPS), "GRU weights", "all weights")
    return table(head, made)


def _change(values: Sequence[float], name: str, digits: int) -> str:
    if not values:
        return "–"
    worst = max(values) if name == "log_spectral_distance" else min(values)
    return f"{statistics.fmean(values):+.{digits}f} ({worst:+.{digits}f})"


def _at(rows: Sequence[Row], theta: float, storage: str) -> list[Row]:
    return [
        row
        for row in rows
        if row["network"] == "delta" and row["theta"] == theta and row["storage"] == storage
    ]


def _per_noise(rows: Sequence[Row], dense: dict[tuple[Any, ...], Row]) -> list[str]:
    made = []
    for noise in dict.fromkeys(row["noise"] for row in rows):
        cells = [noise]
        for theta in (1 / 16, 1 / 8):
            some = [row for row in _at(rows, theta, "float32") if row["noise"] == noise]
            lost = changes(some, dense, "si_snr")
            cells += [
                percent([row["gru_traffic"] for row in some]),
                f"{min(lost):+.2f} to {max(lost):+.2f}",
            ]
        made.append(cells)
    head = ("noise", "GRU weights, 1/16", "SI-SNR, dB", "GRU weights, 1/8", "SI-SNR, dB")
    return ["By noise, over all SNRs (float32):", "", *table(head, made)]


def _gammas(rows: Sequence[Row]) -> list[str]:
    names = ("GRU 1 input", "GRU 1 state", "GRU 2 input", "GRU 2 state")
    places = ((1, 0), (1, 1), (2, 0), (2, 1))
    made = []
    for theta in sorted({row["theta"] for row in rows if row["network"] == "delta"}):
        some = _at(rows, theta, "float32")
        cells = [
            f"{100 * (1 - statistics.fmean(row['sent'][layer][which] for row in some)):.1f} %"
            for layer, which in places
        ]
        made.append((theta_text(theta), *cells))
    return [
        "Γ, the share that is not sent (float32, mean):",
        "",
        *table(("threshold", *names), made),
    ]


def _tuned(data: Row, dense: dict[tuple[Any, ...], Row]) -> list[str]:
    made = []
    for one in data["tuned"]:
        some = one["rows"]
        made.append(
            (
                f"{one['loss_db']:g} dB",
                f"{one['tuning_loss_db']:.2f} dB",
                *(
                    _change(changes(some, dense, name), name, digits)
                    for name, _, _, digits in DROPS
                ),
                percent([row["gru_traffic"] for row in some]),
                percent([row["traffic"] for row in some]),
                str(one["trials"]),
            )
        )
    titles = tuple(title for _, title, _, _ in DROPS)
    lines = [
        "### Thresholds per layer",
        "",
        "Greedy search over one threshold per input and state, linear layers included, for a given "
        f"loss of SI-SNR on the worst of six recordings: {data['tuning_speech_s']:g} s of the "
        "other two sentences with three of the noises at 0 and 20 dB; then measured on the "
        "recordings above, int8 weights.",
        "",
        *table(
            ("allowed loss", "used", *titles, "GRU weights", "all weights", "trials"),
            made,
        ),
    ]
    for one in data["tuned"]:
        found = ", ".join(f"{name} {theta_text(theta)}" for name, theta in one["thetas"].items())
        worst = min(changes(one["rows"], dense, "si_snr"))
        lines += [
            f"Allowed {one['loss_db']:g} dB: the worst recording that the search did not see "
            f"changes by {worst:+.2f} dB.",
        ]
        lines += [f"Thresholds for {one['loss_db']:g} dB (module of the chain): {found}.", ""]
    return lines


def _verdict(rows: Sequence[Row], dense: dict[tuple[Any, ...], Row]) -> list[str]:
    """Traffic and loss at the three thresholds between which the network breaks."""
    made = []
    for theta in (1 / 16, 1 / 8, 1 / 4):
        some = _at(rows, theta, "float32")
        lost = changes(some, dense, "si_snr")
        if some:
            made.append(
                (theta_text(theta), percent([row["gru_traffic"] for row in some]),
                 f"{statistics.fmean(lost):+.2f} ({min(lost):+.2f} to {max(lost):+.2f})")
            )  # fmt: skip
    head = ("threshold", "GRU weights (least to most)", "SI-SNR, dB (worst to best)")
    return ["### One threshold for all layers, in short", "", *table(head, made)]


def nsnet2_48k(data: Row) -> list[str]:
    """NSNet2 at 48 kHz."""
    made = [
        (theta_text(row["theta"]), f"{100 * row['gru_traffic']:.1f} %",
         f"{100 * row['traffic']:.1f} %", f"{row['gain_error']:.4f}")
        for row in data["rows"]
    ]  # fmt: skip
    return [
        "## NSNet2 at 48 kHz",
        "",
        "**There is no 48 kHz speech in the data**: this is 16 kHz speech brought to 48 kHz, so "
        "that the bands above 8 kHz hold noise only. Quality is left out; the error is the root "
        "mean square difference of the gains (0 to 1) from the dense network, with int8 weights.",
        "",
        *table(("threshold", "GRU weights", "all weights", "error of the gains"), made),
        *times("Time per frame:", data["times"]),
    ]


# --- networks with LSTMs ---------------------------------------------------------------------


def _lstm_rows(data: Row, cells: Callable[[Row], Sequence[str]], head: Sequence[str]) -> list[str]:
    made = []
    for row in data["rows"]:
        which = theta_text(row["theta"]) if "theta" in row else "searched"
        gammas = ", ".join(f"{100 * x:.0f}/{100 * h:.0f}" for x, h in row["sparsity"])
        made.append(
            (f"{row['thresholds']}, {which}, {row['storage']}", *cells(row), gammas,
             f"{100 * row['lstm_traffic']:.1f} %")
        )  # fmt: skip
    return table(("thresholds", *head, "Γx/Γh per layer, %", "LSTM weights"), made)


def silero(data: Row) -> list[str]:
    """Silero VAD."""

    def cells(row: Row) -> Sequence[str]:
        return (
            f"{row['mean_error']:.4f}",
            f"{row['largest_error']:.3f}",
            f"{100 * row['decisions_changed']:.2f} %",
        )

    return [
        "## Silero VAD: LSTM of 128, unchanged",
        "",
        f"{data['steps']} steps of 32 ms: {len(data['recordings'])} recordings with a second of "
        f"noise alone on either side, 15 dB; {100 * data['speech_share']:.0f} % of the steps are "
        "speech. The rebuilt network differs from the package's ONNX file by at most "
        f"{data['difference_from_onnx']:.1g}. Error of the speech probability and changed "
        "decisions at 0.5, on the recordings that the search did not see. Weights of the LSTM "
        "only; the convolutions in front are left as they are.",
        "",
        *_lstm_rows(data, cells, ("mean error", "largest", "decisions changed")),
        *times("Time per step of the LSTM and the output:", data["times"]),
        *energies("Modelled energy per step:", data["energy"]),
    ]


def resemblyzer(data: Row) -> list[str]:
    """Resemblyzer."""
    same, other = data["dense"]

    def cells(row: Row) -> Sequence[str]:
        return (
            f"{row['mean_distance']:.4f}",
            f"{row['largest_distance']:.4f}",
            _number(row["same_reader"], 3),
            _number(row["other_speakers"], 3),
        )

    return [
        "## Resemblyzer: three LSTMs of 256, unchanged",
        "",
        f"Embeddings of {len(data['test'])} recordings that the search did not see; "
        f"{data['steps']} steps of 10 ms in all. Cosine distance from the dense network's "
        f"embedding. Cosine similarity between sentences of one reader {_number(same, 3)}, to "
        f"other speakers {_number(other, 3)} (dense).",
        "",
        "One threshold for everything does not suit this network: its inputs are mel powers, most "
        "of them far below any of these thresholds.",
        "",
        *_lstm_rows(data, cells, ("mean distance", "largest", "one reader", "other speakers")),
        "The int8 kernels have one scale per row of the matrix. Mean distance when one matrix of "
        "the first layer is rounded to 8 bits, with one scale per row and with one per column:",
        "",
        *table(
            ("matrix and scales", "mean distance"),
            ((name, f"{value:.4f}") for name, value in data["int8_scales"].items()),
        ),
        *times("Time per step:", data["times"]),
        *energies("Modelled energy per step:", data["energy"]),
    ]


# --- time and energy -------------------------------------------------------------------------


def times(title: str, data: Row) -> list[str]:
    """Table of times per step."""
    found = data["steps"]
    best = min(row["median_us"] for name, row in found.items() if not name.startswith("delta"))
    made = [
        (name, f"{row['median_us']:.0f}", f"{row['least_us']:.0f}", f"{row['p99_us']:.0f}",
         f"{best / row['median_us']:.2f} x")
        for name, row in found.items()
    ]  # fmt: skip
    return [
        title,
        "",
        f"One thread, batch of one, {data['frames']} real inputs, in turn; load of the machine "
        f"{data['load_average']:.1f} programs.",
        "",
        *table(("", "median, us", "least", "99 %", "against the best dense"), made),
    ]


def energies(title: str, rows: Sequence[Row]) -> list[str]:
    """Table of modelled energies."""
    names = dict.fromkeys(row["network"] for row in rows)
    made = []
    for name in names:
        by = {row["memory"]: row for row in rows if row["network"] == name}
        made.append(
            (
                name.replace("theta 0.0625", "1/16").replace("theta 0.125", "1/8")
                .replace("theta 0.25", "1/4"),
                *(
                    text
                    for memory in ("sram", "dram")
                    for text in (
                        f"{1e6 * by[memory]['dense_j']:.3g}",
                        f"{1e6 * by[memory]['delta_j']:.3g}",
                        f"{by[memory]['dense_j'] / by[memory]['delta_j']:.2f} x",
                    )
                ),
            )
        )  # fmt: skip
    head = (
        "network",
        "SRAM: dense, uJ",
        "delta, uJ",
        "less",
        "DRAM: dense, uJ",
        "delta, uJ",
        "less",
    )
    return [
        title,
        "",
        "8-bit weights, 16-bit activations, 32-bit sums; Horowitz 2014, 45 nm; weights in an SRAM "
        "of their size or in DRAM in bursts of 64 bytes; references and sums in 32 KiB of SRAM.",
        "",
        *table(head, made),
    ]


# --- video -----------------------------------------------------------------------------------


def _first_gain(runs: Sequence[Row], machine: str) -> str:
    """From which threshold on all layers together cost less, in words."""
    for one in runs:
        found = [layer["machines"][machine] for layer in one["layers"]]
        ratio = sum(m["delta_j"] for m in found) / sum(m["recomputed_j"] for m in found)
        if ratio < 1:
            return (
                f"- {machine}: pays from a threshold of {one['steps']:g} on ({ratio:.2f} of the "
                f"energy), with an output error of {100 * one['relative_error']:.1f} %."
            )
    return f"- {machine}: pays at none of these thresholds."


def video(data: Row) -> list[str]:
    """The delta CNN."""
    lines = [
        "## Stateful delta CNN: a VGG-16 trunk on video",
        "",
        f"{data['frames']} consecutive frames of 224 x 224 in one shot. Each convolution gets the "
        "last sent values of its input; thresholds in 1/255 of the range of that input. Modelled "
        "energy of the updated against the recomputed layer, which skips zeros "
        "([rule](../equations/delta_cnn.md)); weights on chip, once per frame. A break-even above "
        "100 % means never.",
        "",
    ]
    for name, runs in data["videos"].items():
        machines = list(runs[0]["layers"][0]["machines"])
        made = []
        for one in runs:
            cells = [f"{one['steps']:g}", f"{100 * one['relative_error']:.1f} %",
                     percent([layer["temporal_sparsity"] for layer in one["layers"]])]  # fmt: skip
            for machine in machines:
                found = [layer["machines"][machine] for layer in one["layers"]]
                ratio = sum(m["delta_j"] for m in found) / sum(m["recomputed_j"] for m in found)
                pays = sum(m["pays"] for m in found)
                cells.append(f"{ratio:.2f} ({pays} of {len(found)})")
            made.append(cells)
        lines += [
            f"### {name}: energy of the delta CNN over that of the plain one (layers that gain)",
            "",
            *(_first_gain(runs, machine) for machine in machines),
            "",
            *table(("threshold", "output error", "Γ of the layers", *machines), made),
        ]
        middle = runs[len(runs) // 2]
        lines += [f"Layer by layer at a threshold of {middle['steps']:g}:", ""]
        lines += table(
            ("layer", "Γ", "zeros", *(f"break-even: {machine}" for machine in machines)),
            (
                (layer["layer"], f"{100 * layer['temporal_sparsity']:.1f} %",
                 f"{100 * layer['zero_fraction']:.1f} %",
                 *(f"{100 * layer['machines'][m]['break_even']:.1f} %" for m in machines))
                for layer in middle["layers"]
            ),
        )  # fmt: skip
        if name in data["converted"]:
            lines += _converted(name, data["converted"][name], data["frames"])
    return lines


def _converted(name: str, runs: Sequence[Row], frames: int) -> list[str]:
    """The network of ``ts.convert`` on the same frames."""
    return [
        f'The same {frames} frames through `ts.convert(trunk, to="delta", theta={{...}})`, a '
        "threshold by name for each convolution. The first frame counts here: it is sent "
        "against references of zero. At 0 the output is that of the trunk to float rounding.",
        "",
        *table(
            ("threshold", "output error", "Γ of the layers", "MACs a frame", "of the dense ones"),
            [
                (
                    f"{one['steps']:g}",
                    f"{100 * one['relative_error']:.2g} %",
                    percent(one["temporal_sparsity"]),
                    f"{one['macs_per_frame'] / 1e9:.2f} G",
                    f"{100 * one['macs_per_frame'] / one['dense_macs_per_frame']:.1f} %",
                )
                for one in runs
            ],
        ),
    ]
