"""Figures 2, 3 and 4 of Liu & Delbruck 2019: the brain, DRAM rows, zeros per layer."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tospike.equations.liu_delbruck_2019 import brain_spike_rate, operations_per_joule
from tospike.figures import Figure, Mark, Panel, Series, Statement
from tospike.papers.dram import DramDevice, dram_devices
from tospike.papers.inputs import inputs_of
from tospike.papers.measured import SparseNetwork, read_sparsity

PAPER = "liu_delbruck_2019"
#: neurons of a human brain (Azevedo et al. 2009), recalled; the text of the paper gives no number
NEURONS_RECALLED = 8.6e10


def figure_2() -> Figure:
    """Fig. 2: spike rate and efficiency of the brain against the energy of a synaptic event."""
    values = {key: constant.value for key, constant in inputs_of(PAPER).items()}
    power, energy, fan_out = (
        values[key] for key in ("brain_power", "synaptic_energy", "fan_out")
    )  # fmt: skip
    energies = np.geomspace(1e-15, 1e-12, 61)
    counts = {
        f"{values['brain_neurons']:.0e} neurons (implied)": values["brain_neurons"],
        f"{NEURONS_RECALLED:.1e} neurons (recalled)": NEURONS_RECALLED,
    }

    def rate(energy_per_event: object, neurons: float) -> np.ndarray:
        return brain_spike_rate(
            power_w=power,
            energy_per_synaptic_event=np.asarray(energy_per_event),
            synapses_per_neuron=fan_out,
            n_neurons=neurons,
        )

    femto = (energies * 1e15).tolist()
    found = [float(rate(energy, neurons)) for neurons in counts.values()]
    one, two = (
        float(operations_per_joule(energy_per_event=energy, operations_per_event=number)) / 1e12
        for number in (1.0, values["operations_per_event"])
    )
    return Figure(
        "liu_delbruck_2019_fig2",
        PAPER,
        "Fig. 2",
        "spike rate and efficiency of the brain",
        f"a: mean spike rate at which synaptic events use {power:g} W, with {fan_out:.0e} synapses "
        "per neuron. The text gives no number of neurons: 1e10 is what its 1 Hz implies, 8.6e10 is "
        "the usual count (recalled). One equation holds rate, energy and number of neurons: 1 Hz "
        "and 100 fJ are not two independent results. b: operations per joule, one per event, as "
        "the paper counts here, or two, as its note counts elsewhere.",
        (
            Panel(
                "Spike rate",
                "energy per synaptic event (fJ)",
                "mean spike rate (Hz)",
                tuple(
                    Series(name, femto, rate(energies, neurons).tolist())
                    for name, neurons in counts.items()
                ),
                (Mark("printed: 100 fJ, 1 Hz", x=energy * 1e15, y=1.0),),
                x_log=True,
                y_log=True,
            ),
            Panel(
                "Efficiency",
                "energy per synaptic event (fJ)",
                "TOp/s/W",
                tuple(
                    Series(
                        name,
                        femto,
                        (
                            operations_per_joule(
                                energy_per_event=energies, operations_per_event=number
                            )
                            / 1e12
                        ).tolist(),
                    )
                    for name, number in (("1 Op per event", 1.0), ("2 Op per event", 2.0))
                ),
                (Mark("printed: 100 fJ, 10 TOp/s/W", x=energy * 1e15, y=10.0),),
                x_log=True,
                y_log=True,
            ),
        ),
        (
            Statement(
                "the average spike rate X is only about 1 Hz",
                "I",
                "about 1 Hz",
                f"{found[0]:.2f} Hz with 1e10 neurons, {found[1]:.2f} Hz with 8.6e10 (recalled)",
                0.5 <= found[0] <= 2.0,
            ),
            Statement(
                "about 100 fJ per synaptic update equates to 10 TOp/s/W",
                "I",
                "10 TOp/s/W",
                f"{two:g} TOp/s/W with 2 Op per synaptic event, as the paper's note counts",
                bool(abs(two - 10) <= 0.5),
                f"{one:g} TOp/s/W with 1 Op per event",
            ),
            Statement(
                "neurons are still getting input at an average rate of 10 kHz",
                "I",
                "10 kHz",
                f"{found[0] * fan_out / 1e3:g} kHz",
                bool(abs(found[0] * fan_out / 1e3 - 10) <= 0.5),
            ),
        ),
        (PAPER,),
    )


def figure_3() -> Figure:
    """Fig. 3: a new DRAM row for every access against a burst from the open row."""
    devices = dram_devices()
    with_energy = [item for item in devices if item.read_per_bit is not None]
    return Figure(
        "liu_delbruck_2019_fig3",
        PAPER,
        "Fig. 3",
        "DRAM: open row against random rows",
        "a: time of an access that changes the row (tRC, one bank) over one data beat, if a single "
        "word of the row is used, and over a whole burst, if all of its words are. b: energy per "
        "bit read, from the currents of the memory specifications, without I/O and refresh. The "
        "paper's number is for DDR3 on a Zynq board, whose controller runs DDR3-1066.",
        (
            Panel(
                "Slowdown",
                "",
                "new row / open row (time)",
                (
                    _devices(
                        "one word per row", devices, [item.slowdown_per_beat for item in devices]
                    ),
                    _devices(
                        "one burst per row", devices, [item.slowdown_per_burst for item in devices]
                    ),
                ),
                (Mark("printed: 50x (DDR3)", y=50.0),),
                y_log=True,
            ),
            Panel(
                "Energy",
                "",
                "read energy (pJ per bit)",
                (
                    _devices(
                        "new row per burst",
                        with_energy,
                        [1e12 * (item.random_burst_per_bit or 0.0) for item in with_energy],
                    ),
                    _devices(
                        "open row",
                        with_energy,
                        [1e12 * (item.read_per_bit or 0.0) for item in with_energy],
                    ),
                ),
            ),
        ),
        (_fifty(devices), _scheduled(devices)),
        (PAPER, "dram_specifications"),
    )


def _short(name: str) -> str:
    """ "DDR3-1600 1Gb x8 G" -> "DDR3-1600 x8"."""
    words = name.split()
    width = next((word for word in words if word.startswith("x")), "")
    size = next((word for word in words if word.endswith("Gb")), "")
    return f"{words[0]} {size} {width}"


def _devices(name: str, devices: Sequence[DramDevice], values: Sequence[float]) -> Series:
    return Series(name, [_short(item.device) for item in devices], list(values), "points")


def _fifty(devices: Sequence[DramDevice]) -> Statement:
    ddr3 = [item for item in devices if item.device.startswith("DDR3-")]
    zynq = min(ddr3, key=lambda item: item.peak_bytes_per_s / item.width_bits)
    return Statement(
        "changing rows takes 50 times longer for DDR3 DRAM (Zynq)",
        "V, Fig. 3",
        "50x",
        f"{zynq.slowdown_per_beat:.1f}x (DDR3-1066, tRC over one beat); "
        + ", ".join(f"{item.slowdown_per_beat:.0f}x {_short(item.device)}" for item in ddr3[1:]),
        bool(abs(zynq.slowdown_per_beat - 50) <= 10),
    )


def _scheduled(devices: Sequence[DramDevice]) -> Statement:
    values = [item.slowdown_per_burst for item in devices]
    return Statement(
        "reading DRAM memory randomly is much slower than reading it out row by row",
        "V",
        "e.g. 50x",
        f"{min(values):.1f}x to {max(values):.1f}x if a whole burst of each row is used",
        min(values) > 2.0,
    )


def figure_4() -> Figure:
    """Fig. 4: zeros per layer, float and quantised. :class:`DataError` if not measured."""
    measured = read_sparsity()
    groups: dict[tuple[str, tuple[str, ...]], list[SparseNetwork]] = {}
    for network in measured.networks:
        groups.setdefault((network.name, network.layers), []).append(network)
    panels = tuple(
        Panel(
            name,
            "",
            "zeros after ReLU (%)",
            tuple(_zeros(network) for network in networks),
            (Mark("printed: float 50 %", y=50.0), Mark("printed: fixed point 80 %", y=80.0)),
        )
        for (name, _), networks in groups.items()
    )
    return Figure(
        "liu_delbruck_2019_fig4",
        PAPER,
        "Fig. 4",
        "zero activations per layer, float and quantised",
        "Share of exact zeros in the feature map of each layer, measured here "
        f"({measured.date}, `{measured.command}`); bands: standard deviation. "
        + " ".join(_about(networks) for networks in groups.values()),
        panels,
        tuple(item for networks in groups.values() for item in _about_zeros(networks)),
        (PAPER, "aimar_2018", "simonyan_2015", "tospike"),
    )


def _about(networks: Sequence[SparseNetwork]) -> str:
    """Name, number of samples and the notes of one network at its precisions, as sentences."""
    notes = dict.fromkeys(network.note.rstrip(".") for network in networks if network.note)
    samples = " or ".join(dict.fromkeys(str(network.n_samples) for network in networks))
    return f"{networks[0].name}: {samples} images{''.join(f'; {note}' for note in notes)}."


def _is_float(network: SparseNetwork) -> bool:
    return network.precision.startswith("float")


def _zeros(network: SparseNetwork) -> Series:
    percent = [100.0 * value for value in network.zero_fraction]
    spread = [100.0 * (value or 0.0) for value in network.zero_fraction_std]
    banded = any(spread)
    return Series(
        network.precision,
        list(network.layers),
        percent,
        "line",
        "measured",
        low=[max(0.0, a - b) for a, b in zip(percent, spread, strict=True)] if banded else None,
        high=[min(100.0, a + b) for a, b in zip(percent, spread, strict=True)] if banded else None,
    )


def _about_zeros(networks: Sequence[SparseNetwork]) -> list[Statement]:
    """Is the float network at 50 %, do the quantised ones reach 80 %, do they rise at all?"""
    found = []
    name = networks[0].name
    floats = [network for network in networks if _is_float(network)]
    others = [network for network in networks if not _is_float(network)]
    for network in floats:
        found.append(
            Statement(
                "with floating point precision the sparsity is about 50 %",
                "VI, Fig. 4",
                "about 50 %",
                f"{name}: {_percent(network)} (mean over {len(network.layers)} layers)",
                bool(0.4 <= network.mean <= 0.6),
            )
        )
    # The paper speaks of 16 bit; lower widths are shown, and judged only where there is no 16 bit.
    judged = [network for network in others if "a16" in network.precision] or others
    if others:
        found.append(
            Statement(
                "trained to 16 bit, the average sparsity rises to nearly 80 %",
                "VI, Fig. 4",
                "nearly 80 %",
                f"{name}: " + ", ".join(f"{item.precision} {_percent(item)}" for item in others),
                max(item.mean for item in judged) >= 0.75,
            )
        )
        found.append(
            Statement(
                "it seems that the quantization training increases activation sparsity",
                "VI",
                "increases (50 % to 80 %)",
                f"{name}: " + ", ".join(_rise(item) for item in others),
                all(item.rise > max(0.01, 2 * (item.rise_std or 0.0)) for item in judged),
            )
        )
    return found


def _percent(network: SparseNetwork) -> str:
    spread = "" if network.mean_std is None else f" +- {100 * network.mean_std:.1f}"
    return f"{100 * network.mean:.1f}{spread} %"


def _rise(network: SparseNetwork) -> str:
    spread = "" if network.rise_std is None else f" +- {100 * network.rise_std:.1f}"
    training = f" ({network.training})" if network.training else ""
    return f"{network.precision}{training} {100 * network.rise:+.1f}{spread} points"
