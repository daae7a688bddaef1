"""Published figures beside simulated ones: one table per machine, and one of DRAM."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import machines_workloads as w
import torch
from torch import nn

import tospike as ts
from tospike.architecture import Architecture, load_architecture
from tospike.machines import MachineRun, Workload, minitaur
from tospike.machines.delta_rnn import gamma_needed, least_gamma, mean_latency
from tospike.machines.dram import DramSystem, random_rows, simulate, stream
from tospike.machines.eyeriss import published as eyeriss
from tospike.machines.eyeriss_v2 import published as eyeriss_v2
from tospike.machines.nullhop import figures
from tospike.machines.row_stationary import published as eyeriss_isca
from tospike.machines.spikes import random_traces
from tospike.network import Network
from tospike.pricing import dram_energy
from tospike.tables import Column, Table, Value
from tospike.technology.dram import devices, load_device

Report = Callable[[str], None]
#: quantity, published (None: nothing printed), simulated, unit, where it stands, remark
Entry = tuple[str, float | None, float, str, str, str]


def _table(key: str, title: str, entries: list[Entry], *, assumptions: tuple[str, ...] = (),
           sources: tuple[str, ...] = ()) -> Table:  # fmt: skip
    rows: list[dict[str, Value]] = [
        {
            "quantity": quantity,
            "published": published,
            "simulated": simulated,
            "unit": unit,
            "off": None if not published else 100 * (simulated / published - 1),
            "place": place,
            "remark": remark,
        }
        for quantity, published, simulated, unit, place, remark in entries
    ]
    return Table(
        key=key,
        title=title,
        columns=(
            Column("quantity", "quantity"),
            Column("published", "published"),
            Column("simulated", "simulated"),
            Column("unit", "unit"),
            Column("off", "deviation", "%", digits=2),
            Column("place", "where it is published"),
            Column("remark", "remark"),
        ),
        rows=tuple(rows),
        assumptions=assumptions,
        sources=sources,
    )


def dram_table(report: Report) -> Table:
    """How much longer one row per access takes than a stream, by beat, by burst, with banks."""
    rows: list[dict[str, Value]] = []
    for name in devices():
        of = DramSystem(load_device(name))
        one, many = (
            simulate(of, random_rows(20_000, of.burst_bytes, of, one_bank=only))
            for only in (True, False)
        )
        best = simulate(of, stream(1 << 22, of))
        per_burst = of.peak_bytes_per_s / one.bytes_per_s
        bits = 8 * best.bytes
        rows.append(
            {
                "device": name,
                "peak": of.peak_bytes_per_s / 1e9,
                "stream": 100 * best.bytes_per_s / of.peak_bytes_per_s,
                "beat": per_burst * of.device.burst_length,
                "burst": per_burst,
                "banks": of.peak_bytes_per_s / many.bytes_per_s,
                "banks_beat": of.peak_bytes_per_s / many.bytes_per_s * of.device.burst_length,
                "stream_energy": 1e12 * dram_energy(best.commands).total / bits,
                "row_energy": 1e12 * dram_energy(many.commands).total / (8 * many.bytes),
                "beat_energy": 1e12
                * dram_energy(many.commands).total
                / (8 * many.bytes / of.device.burst_length),
            }
        )
        report(f"DRAM {name}")
    return Table(
        key="dram",
        title="Random rows against a stream: how many times longer, and energy per useful bit",
        columns=(
            Column("device", "device"),
            Column("peak", "peak", "GB/s", digits=3),
            Column("stream", "a stream reaches", "%", digits=3),
            Column("beat", "one beat per row, one bank", "times longer", digits=3),
            Column("burst", "one burst per row, one bank", "times longer", digits=3),
            Column("banks_beat", "one beat per row, all banks", "times longer", digits=3),
            Column("banks", "one burst per row, all banks", "times longer", digits=3),
            Column("stream_energy", "stream", "pJ/bit", digits=3),
            Column("row_energy", "one burst per row", "pJ/bit", digits=3),
            Column("beat_energy", "one beat per row", "pJ/bit", digits=3),
        ),
        rows=tuple(rows),
        assumptions=(
            "one chip; against the peak of its pins; open pages, FR-FCFS with 16 requests",
            "energy with standby and refresh, without I/O and termination",
        ),
        sources=("dram_specifications", "liu_delbruck_2019"),
    )


def eyeriss_tables(report: Report) -> list[Table]:
    """Layer by layer, and the reuse factors that Dampfhoffer et al. read off the measurements."""
    tables = []
    entries: list[Entry] = []
    for network, reuse in (("vgg16", 25.0), ("alexnet", 80.0)):
        tables.append(eyeriss.comparison(network))
        found = eyeriss.effective_reuse(eyeriss.run(network))
        entries.append(
            (f"reuse of inputs and psums, {network}", reuse, found, "MAC per access",
             "Dampfhoffer 2022, III-B1", "nothing is fitted to it")
        )  # fmt: skip
        report(f"Eyeriss on {network}")
    tables.append(
        _table("eyeriss_reuse", "Effective reuse factors that come out of the simulation",
               entries, sources=("dampfhoffer_2022", "chen_2017_jssc"))
    )  # fmt: skip
    tables.append(eyeriss_isca.table())
    report("Eyeriss, ISCA 2016, Fig. 10")
    tables.append(eyeriss_v2.table())
    report("Eyeriss v2")
    return tables


def nullhop_table(report: Report, *, trunk: bool) -> Table:
    """VGG-19 at the zeros of the paper's network, and the trunk at its own."""
    network = ts.load("vgg19")
    first = network.synaptic_layers[0].name
    entries: list[Entry] = []
    for zeros in (0.78, 0.80):
        given = {layer.name: zeros for layer in network.synaptic_layers} | {first: 0.0}
        work = ts.workload(network, zeros=given, layers=["conv"])
        found = figures(ts.simulate(work, "nullhop"))
        what = f"VGG-19, {100 * zeros:.0f} % zeros assumed"
        place = "Aimar 2018, abstract"
        entries += [
            (f"throughput, {what}", 450.0, found.effective_ops / 1e9, "GOp/s", place,
             "printed: over 450"),
            (f"efficiency, {what}", 368.0, 100 * found.efficiency, "%", place, ""),
            (f"MAC utilisation, {what}", 98.0, 100 * found.computing, "%", place,
             "printed: over 98; without kernel loading"),
            (f"core efficiency, {what}", 3.0, found.core_ops_w / 1e12, "TOp/s/W", place,
             "printed: over 3; no leakage and clock tree here"),
            (f"with DDR3, {what}", 1.5, found.system_ops_w / 1e12, "TOp/s/W",
             "Liu & Delbruck 2019, VI", "DRAM by command"),
        ]  # fmt: skip
        report(f"NullHop on {what}")
    if trunk:
        case = w.trunk_photo(0)
        found = figures(ts.simulate(case.workload, "nullhop"))
        place = "nothing published for this network"
        entries += [
            ("throughput, trained VGG-16 trunk, one photograph", None, found.effective_ops / 1e9,
             "GOp/s", place, "real feature maps"),
            ("efficiency", None, 100 * found.efficiency, "%", place, "over 100 % is the point"),
            ("MAC utilisation", None, 100 * found.computing, "%", place, "without kernel loading"),
            ("frame rate", None, found.frames_per_s, "frames/s", place, ""),
            ("with DDR3", None, found.system_ops_w / 1e12, "TOp/s/W", place, ""),
            ("share of the DRAM in the energy", None, 100 * found.dram_share, "%", place, ""),
        ]  # fmt: skip
    return _table("nullhop", "NullHop", entries, sources=("aimar_2018", "liu_delbruck_2019"))


def delta_table(report: Report) -> Table:
    """No paper prints the Gamma behind its throughput, so each row solves for it."""
    entries: list[Entry] = []
    edge, large = load_architecture("edgedrnn"), ts.load("gru_2l_768h")
    operations = 2 * 5_405_184
    needed = gamma_needed(edge, large, operations / 20.2e9)
    latency = mean_latency(edge, large, needed)
    entries += [
        ("EdgeDRNN 2L-768H: throughput at the Gamma below", 20.2, operations / latency / 1e9,
         "GOp/s", "Gao 2020, abstract", "solved for"),
        ("Gamma that this needs", None, needed, "", "not printed where we could read", ""),
        ("latency at this Gamma", 0.5, 1e3 * latency, "ms", "Gao 2020, abstract", "about 0.5"),
        ("less weight traffic at this Gamma", 10.0, 1 / (1 - needed), "times",
         "Gao 2020, abstract", "up to 10"),
        ("throughput of the dense network", 2.0,
         operations / mean_latency(edge, large, 0.0) / 1e9, "GOp/s", "2 x 8 PEs x 125 MHz", ""),
    ]  # fmt: skip
    delta, gru = load_architecture("deltarnn"), _rnn(nn.GRU, 39, 256)
    operations = 2 * 768 * (1 + 39 + 256)
    latency = operations / 1.2e12
    entries += [
        ("DeltaRNN 1L-256H: Gamma for 1.2 TOp/s", None, gamma_needed(delta, gru, latency), "",
         "not printed where we could read", f"at least {least_gamma(delta, gru, latency):.3f}"),
        ("gain over the dense network", 5.7, mean_latency(delta, gru, 0.0) / latency, "times",
         "Gao 2018, abstract", "more than the peak that we recall allows"),
    ]  # fmt: skip
    spartus, lstm = load_architecture("spartus"), _rnn(nn.LSTM, 123, 1024)
    dense = {layer.name: 0.0 for layer in lstm.synaptic_layers}
    for zeros in (0.94, 0.96):
        weights = {layer.name: zeros for layer in lstm.synaptic_layers}
        entries.append(
            (f"Spartus 1L-1024H LSTM: Gamma for 1 us, {100 * zeros:.0f} % zero weights", None,
             gamma_needed(spartus, lstm, 1e-6, weight_zeros=weights), "",
             "not printed where we could read", "")
        )  # fmt: skip
    entries.append(
        ("gain over the dense network in 1 us", 46.0,
         mean_latency(spartus, lstm, 0.0, weight_zeros=dense) / 1e-6, "times",
         "Gao 2022, abstract", "")
    )  # fmt: skip
    report("delta networks")
    return _table("delta", "EdgeDRNN, DeltaRNN, Spartus", entries,
                  sources=("gao_2020", *delta.sources, *spartus.sources))  # fmt: skip


def _rnn(cell: type[nn.RNNBase], inputs: int, hidden: int) -> Network:
    return ts.load(cell(inputs, hidden, batch_first=True), torch.zeros(1, 1, inputs))


def event_table(report: Report) -> Table:
    """Energy of a synaptic operation, and the rate of Minitaur."""
    net = _perceptron(100, 64)
    rates = {layer.name: 0.05 for layer in net.synaptic_layers}
    work = Workload(net, traces=random_traces(net, rates, timesteps=20))
    seneca = _changed(load_architecture("seneca"), weight_bits=4)
    loihi = load_architecture("loihi")
    mnist = _perceptron(784, 500, 500, 10)
    rates = {layer.name: 0.05 for layer in mnist.synaptic_layers}
    network = Workload(mnist, traces=random_traces(mnist, rates, timesteps=20, samples=2))
    chip = load_architecture("minitaur")
    replay = minitaur.replay(network, chip)
    power = chip.parameter("board_power")
    entries: list[Entry] = [
        ("SENECA: energy of a synaptic operation, 4-bit weights", 2.8,
         1e12 * _per_operation(ts.simulate(work, seneca)), "pJ", "Tang 2023, abstract",
         "one parameter fitted to it"),
        ("Loihi: energy of a synaptic operation", 23.6,
         1e12 * _per_operation(ts.simulate(work, loihi)), "pJ", "Davies 2018, table", "a price"),
        ("Minitaur: synaptic operations per second", 19.0, replay.synapses_per_s / 1e6, "M/s",
         "Neil & Liu 2014, abstract", "one latency fitted to it"),
        ("Minitaur: energy of a synaptic operation, board", 79.0,
         1e9 * power / replay.synapses_per_s, "nJ", "1.5 W over 19 M/s", "follows"),
    ]  # fmt: skip
    report("event-driven machines")
    return _table("events", "Event-driven machines", entries,
                  sources=(*seneca.sources, *loihi.sources, *chip.sources))  # fmt: skip


def _perceptron(*sizes: int) -> Network:
    parts: list[nn.Module] = []
    for before, after in pairwise(sizes):
        parts += [nn.Linear(before, after), nn.ReLU()]
    return ts.load(nn.Sequential(*parts[:-1]), torch.zeros(1, sizes[0]))


def _changed(chip: Architecture, **values: float) -> Architecture:
    numbers = {
        name: replace(chip.parameters[name], value=value, low=value, high=value)
        for name, value in values.items()
    }
    return replace(chip, parameters={**chip.parameters, **numbers})


def _per_operation(run: MachineRun) -> float:
    """Joule of the synapse alone."""
    kept = run.counts.select(lambda entry: entry.part == "synapse")
    done = sum(layer.operations for layer in run.layers)
    return ts.price_run(replace(run, counts=kept)).total / done
