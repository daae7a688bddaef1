"""Figures 2, 3 and 4 of Liu & Delbruck 2019: the brain, DRAM rows, zeros per layer."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tospike.equations.liu_delbruck_2019 import brain_spike_rate, operations_per_joule
from tospike.figures import Figure, Mark, Panel, Series, Statement
from tospike.papers.dram import DramDevice, dram_devices
from tospike.papers.inputs import inputs_of
from tospike.papers.measured import SparseNetwork, read_sparsity

Array = NDArray[np.float64]

PAPER = "liu_delbruck_2019"
#: neurons of a human brain (Azevedo et al. 2009), recalled; the text of the paper gives no number
NEURONS_RECALLED = 8.6e10


def _brain(key: str) -> float:
    return inputs_of(PAPER)[key].value


def rate(energy_per_event: ArrayLike, neurons: float) -> Array:
    """Mean spike rate in Hz at which synaptic events use the brain's power."""
    return brain_spike_rate(
        power_w=_brain("brain_power"),
        energy_per_synaptic_event=energy_per_event,
        synapses_per_neuron=_brain("fan_out"),
        n_neurons=neurons,
    )


def efficiency(energy_per_event: ArrayLike, operations: float) -> Array:
    """TOp/s/W of synaptic events with this energy in joule."""
    joules = operations_per_joule(
        energy_per_event=energy_per_event, operations_per_event=operations
    )
    return np.asarray(joules / 1e12)


def figure_2() -> Figure:
    """Fig. 2: spike rate and efficiency of the brain against the energy of a synaptic event."""
    return Figure(
        "liu_delbruck_2019_fig2",
        PAPER,
        "Fig. 2",
        "spike rate and efficiency of the brain",
        f"a: mean spike rate at which synaptic events use {_brain('brain_power'):g} W, with 1e4 "
        "synapses per neuron. The text gives no number of neurons: 1e10 is what its 1 Hz implies, "
        "8.6e10 is the usual count (recalled). One equation holds rate, energy and number of "
        "neurons: 1 Hz and 100 fJ are not two independent results. b: operations per joule, one "
        "per event, as the paper counts here, or two, as its note counts elsewhere.",
        _brain_panels(),
        _brain_statements(),
        (PAPER,),
    )


def _brain_panels() -> tuple[Panel, Panel]:
    energies = np.geomspace(1e-15, 1e-12, 61)
    femto = (energies * 1e15).tolist()
    printed = _brain("synaptic_energy") * 1e15
    neurons = {"implied": _brain("brain_neurons"), "recalled": NEURONS_RECALLED}
    rates = tuple(
        Series(f"{number:.2g} neurons ({how})", femto, rate(energies, number).tolist())
        for how, number in neurons.items()
    )
    efficiencies = tuple(
        Series(f"{number:g} Op per event", femto, efficiency(energies, number).tolist())
        for number in (1.0, _brain("operations_per_event"))
    )
    x_title = "energy per synaptic event (fJ)"
    return (
        Panel(
            "Spike rate",
            x_title,
            "mean spike rate (Hz)",
            rates,
            (Mark("printed: 100 fJ, 1 Hz", x=printed, y=1.0),),
            x_log=True,
            y_log=True,
        ),
        Panel(
            "Efficiency",
            x_title,
            "TOp/s/W",
            efficiencies,
            (Mark("printed: 100 fJ, 10 TOp/s/W", x=printed, y=10.0),),
            x_log=True,
            y_log=True,
        ),
    )


def _brain_statements() -> tuple[Statement, ...]:
    energy = _brain("synaptic_energy")
    implied = float(rate(energy, _brain("brain_neurons")))
    recalled = float(rate(energy, NEURONS_RECALLED))
    one = float(efficiency(energy, 1.0))
    two = float(efficiency(energy, _brain("operations_per_event")))
    inputs_khz = implied * _brain("fan_out") / 1e3
    return (
        Statement(
            "the average spike rate X is only about 1 Hz",
            "I",
            "about 1 Hz",
            f"{implied:.2f} Hz with 1e10 neurons, {recalled:.2f} Hz with 8.6e10 (recalled)",
            0.5 <= implied <= 2.0,
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
            f"{inputs_khz:g} kHz",
            bool(abs(inputs_khz - 10) <= 0.5),
        ),
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
    how = " or ".join(dict.fromkeys(item.training or "quantised" for item in others))
    if others:
        found.append(
            Statement(
                "trained to 16 bit, the average sparsity rises to nearly 80 %",
                "VI, Fig. 4",
                "nearly 80 %",
                f"{name}, {how}: "
                + ", ".join(f"{item.precision} {_percent(item)}" for item in others),
                any(0.75 <= item.mean <= 0.85 for item in judged),
            )
        )
        found.append(
            Statement(
                "it seems that the quantization training increases activation sparsity",
                "VI",
                "increases (50 % to 80 %)",
                f"{name}, {how}, in points: "
                + ", ".join(f"{item.precision} {_rise(item)}" for item in others),
                all(item.rise > max(0.01, 2 * (item.rise_std or 0.0)) for item in judged),
            )
        )
    return found


def _percent(network: SparseNetwork) -> str:
    spread = "" if network.mean_std is None else f" +- {100 * network.mean_std:.1f}"
    return f"{100 * network.mean:.1f}{spread} %"


def _rise(network: SparseNetwork) -> str:
    spread = "" if network.rise_std is None else f" +- {100 * network.rise_std:.1f}"
    return f"{100 * network.rise:+.1f}{spread}"
