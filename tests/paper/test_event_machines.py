"""Event-driven machines against what was published of SENECA, Loihi, Minitaur and SpinalFlow.

Where a number of the machine was fitted or chosen, the test says so: it then checks that the file
and the simulator still give the published figure, not that they predict it.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import tospike as ts
from tospike.architecture import Architecture, load_architecture
from tospike.machines import Workload, minitaur, price_run, simulate
from tospike.machines.minitaur import CacheRun
from tospike.machines.spikes import random_traces
from tospike.network import Network
from tospike.technology import load

sys.path.insert(0, str(Path(__file__).parents[1] / "law"))
from fixture_event_machines import fashion_spikes

PJ = 1e-12


def layers(*sizes: int) -> Network:
    parts: list[nn.Module] = []
    for before, after in pairwise(sizes):
        parts += [nn.Linear(before, after), nn.ReLU()]
    return ts.load(nn.Sequential(*parts[:-1]), torch.zeros(1, sizes[0]))


def random_workload(
    *sizes: int, rate: float = 0.05, timesteps: int = 20, samples: int = 1
) -> Workload:
    net = layers(*sizes)
    rates = {layer.name: rate for layer in net.synaptic_layers}
    return Workload(net, traces=random_traces(net, rates, timesteps=timesteps, samples=samples))


def changed(chip: Architecture, **values: float) -> Architecture:
    numbers = {
        name: replace(chip.parameters[name], value=value, low=value, high=value)
        for name, value in values.items()
    }
    return replace(chip, parameters={**chip.parameters, **numbers})


# -- SENECA ----------------------------------------------------------------------------------------

#: Table 8: element, loop buffer, total, in pJ
TABLE_8 = {
    "ADD/SUB/MUL FP16": (1.3, 0.9, 1.4),
    "2xINT8b": (1.1, 0.9, 1.2),
    "GTH/MAX/MIN FP16": (1.1, 0.9, 1.2),
    "EQL/ABS": (1.0, 0.9, 1.1),
    "MLD": (2.9 + 0.6, 1.6, 3.7),
    "MST": (3.5 + 0.2, 1.6, 3.9),
}


@pytest.mark.parametrize("name", TABLE_8)
def test_seneca_table_8_is_element_plus_an_eighth_of_the_loop_buffer(name: str) -> None:
    element, loop, total = TABLE_8[name]
    assert element + loop / 8 == pytest.approx(total, abs=0.05)


def test_seneca_prices_are_those_of_table_8() -> None:
    energies = load("seneca_22nm_instructions").energies
    assert energies["sram", "read", 16].value == pytest.approx(TABLE_8["MLD"][2] * PJ)
    assert energies["sram", "write", 16].value == pytest.approx(TABLE_8["MST"][2] * PJ)
    assert energies["alu", "ac", 16].value == pytest.approx(TABLE_8["ADD/SUB/MUL FP16"][2] * PJ)
    assert energies["alu", "compare", 16].value == pytest.approx(1.2 * PJ)


def synapse_energy(chip: Architecture) -> float:
    """Joule of one synaptic operation, the synapse alone."""
    workload = random_workload(100, 64)
    run = simulate(workload, chip)
    counts = run.counts.select(lambda entry: entry.part == "synapse")
    energy = price_run(replace(run, counts=counts)).total
    return energy / sum(layer.operations for layer in run.layers)


def test_seneca_takes_2_8_pj_per_synaptic_operation() -> None:
    """ "around 2.8 pJ per synaptic operation" (abstract); the grouping of 16 events is fitted."""
    chip = load_architecture("seneca")
    assert chip.parameters["events_per_state_access"].method == "fitted"
    four_bits = changed(chip, weight_bits=4)
    assert synapse_energy(four_bits) == pytest.approx(2.8 * PJ, rel=0.01)
    # without grouping, the table alone gives four times as much
    single = changed(four_bits, events_per_state_access=1)
    assert synapse_energy(single) == pytest.approx((3.7 / 4 + 3.7 + 3.9 + 1.4) * PJ)


# -- Loihi -----------------------------------------------------------------------------------------


def test_loihi_prices_of_a_spike() -> None:
    """23.6 pJ per synaptic operation, 81 pJ per update, 1.7 pJ per message, 3-4 pJ per hop."""
    chip = load_architecture("loihi")
    assert synapse_energy(chip) == pytest.approx(23.6 * PJ)
    run = simulate(random_workload(64, 2000), chip)
    spikes = float(random_workload(64, 2000).traces["0"].sum())
    parts = price_run(run).components
    # 2000 neurons on two cores of one tile: two messages per spike, and no hop
    assert run.layers[0].active_pe == 2
    updates = 2000 * 20 * 81 * PJ
    assert parts["core"] == pytest.approx(spikes * (2000 * 23.6 + 2 * 1.7) * PJ + updates)
    assert parts["noc"] == 0
    apart = simulate(random_workload(64, 2000), changed(chip, neurons_per_core=200))
    hops = float(apart.counts.total(component="noc"))
    assert hops == spikes * (4 * 0 + 4 * 1 + 2 * 2)
    assert price_run(apart).components["noc"] == pytest.approx(hops * 3.5 * PJ)


def test_loihi_step_of_full_cores_without_spikes() -> None:
    """1024 updates of 8.4 ns and the barrier: 9.07 us, a rate of 119 M updates per second."""
    workload = random_workload(64, 2048, rate=0.0)
    run = simulate(workload, "loihi")
    assert run.cycles == pytest.approx(20 * (1024 * 8.4 + 465), abs=1)


# -- Minitaur --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def mnist_network() -> Workload:
    return random_workload(784, 500, 500, 10, samples=2)


def input_rate(workload: Workload, run: CacheRun) -> float:
    """Spikes of the network's input that the machine takes per second."""
    first = workload.network.synaptic_layers[0].name
    return float(workload.traces[first].sum()) / run.seconds


def test_minitaur_published_rate_and_energy(mnist_network: Workload) -> None:
    """19 M postsynaptic currents per second at 1.5 W: 79 nJ each. The latency is fitted."""
    chip = load_architecture("minitaur")
    assert chip.parameters["miss_latency"].method == "fitted"
    run = minitaur.replay(mnist_network, chip)
    assert run.synapses_per_s == pytest.approx(19e6, rel=0.02)
    energy = chip.parameter("board_power") / run.synapses_per_s
    assert energy == pytest.approx(79e-9, rel=0.03)
    fitted = simulate(mnist_network, chip).assumptions
    assert "fitted parameters: miss_latency" in fitted


def test_a_few_khz_of_input_is_what_is_left_when_nothing_hits() -> None:
    """Liu 2019, II: 50 MHz, "input spike rates of up to a few kHz", "relied on repeated firing to
    have high cache hit rate". Not fitted to this: the same latency, a word per line, no hits."""
    chip = load_architecture("minitaur")
    slow = replace(chip, clock=replace(chip.clock, value=50e6, low=50e6, high=50e6))
    tiny = tuple(
        level
        if level.capacity is None
        else replace(level, capacity=replace(level.capacity, value=64.0, low=64.0, high=64.0))
        for level in chip.levels
    )
    bare = changed(replace(slow, levels=tiny), line_bytes=4)
    found = {}
    # the second one has about 100,000 weights, as in the paper
    for name, sizes in (("mnist", (784, 500, 500, 10)), ("small", (1000, 91, 91, 10))):
        warm, cold = random_workload(*sizes, samples=2), random_workload(*sizes, timesteps=5)
        with_caches, without = minitaur.replay(warm, slow), minitaur.replay(cold, bare)
        assert without.weight_hit_rate < 0.01
        found[name] = (input_rate(warm, with_caches), input_rate(cold, without))
    assert found["mnist"][0] == pytest.approx(16e3, rel=0.1)
    assert found["mnist"][1] == pytest.approx(1.1e3, rel=0.1)
    assert found["small"][0] == pytest.approx(245e3, rel=0.1)
    assert found["small"][1] == pytest.approx(8.8e3, rel=0.1)
    assert all(1e3 < without < 1e4 for _, without in found.values())


@pytest.fixture(scope="module")
def orders() -> dict[str, CacheRun]:
    net, _, traces = fashion_spikes()
    chip = load_architecture("minitaur")
    return {
        order: minitaur.replay(Workload(net, traces=traces), chip, order=order)
        for order in ("sorted", "real", "shuffled")
    }


def test_unpredictable_spikes_defeat_dram(orders: dict[str, CacheRun]) -> None:
    """The same real spikes: sorted, as they come, and shuffled."""
    known, real, random = orders.values()
    assert known.synapses == real.synapses == random.synapses
    assert known.dram.hit_rate > real.dram.hit_rate > random.dram.hit_rate
    assert known.state_hit_rate > real.state_hit_rate > random.state_hit_rate
    assert known.weight_hit_rate > real.weight_hit_rate > random.weight_hit_rate
    assert real.seconds_per_event > 2 * known.seconds_per_event
    assert random.seconds_per_event > 5 * real.seconds_per_event


# -- SpinalFlow ------------------------------------------------------------------------------------


def test_spinalflow_filter_buffer_holds_128_of_the_largest_vgg_filters() -> None:
    level = load_architecture("spinalflow").level("filter_buffer")
    assert level.capacity is not None
    assert level.capacity.value == 128 * 3 * 3 * 512


def test_spinalflow_takes_one_spike_per_cycle() -> None:
    workload = random_workload(256, 128)
    run = simulate(workload, "spinalflow")
    spikes = float(workload.traces["0"].sum())
    assert run.layers[0].busy == pytest.approx(spikes + 4, abs=1)
    assert run.layers[0].operations == 128 * spikes


def test_one_spike_per_neuron_saves_what_the_assumption_says() -> None:
    """The real spikes, and of each neuron its first one only: the cost of rate coding."""
    net, _, traces = fashion_spikes()
    traces = {name: t for name, t in traces.items() if t.dtype == np.bool_}
    first = {name: t & (np.cumsum(t, axis=0) == 1) for name, t in traces.items()}
    rate, temporal = (simulate(Workload(net, traces=t), "spinalflow") for t in (traces, first))
    assert any("temporal code: no neuron spikes more than once" in a for a in temporal.assumptions)
    (sentence,) = (a for a in rate.assumptions if a.startswith("rate code"))
    said = float(sentence.split("spikes ")[1].split(" times")[0])
    spikes, firsts = (sum(int(t.sum()) for t in some.values()) for some in (traces, first))
    assert said == pytest.approx(spikes / firsts, rel=0.01)
    operations = [sum(layer.operations for layer in run.layers) for run in (rate, temporal)]
    assert operations[0] / operations[1] == pytest.approx(said, rel=0.25)
    assert rate.cycles / temporal.cycles == pytest.approx(said, rel=0.25)


def test_more_steps_than_time_stamps_is_said() -> None:
    net = layers(20, 10)
    for steps, beyond in ((16, 0), (17, 1)):
        traces = random_traces(net, {"0": 0.1}, timesteps=steps)
        run = simulate(Workload(net, traces=traces), "spinalflow")
        assert len(run.out_of_range) == beyond


# -- the same spikes through all -------------------------------------------------------------------


def test_the_same_real_spikes_through_all_machines() -> None:
    """Energy per synaptic operation, with memory: dear where the state is fetched for each spike,
    cheap where it stays in the PE (Narayanan 2020: "an order of magnitude")."""
    net, _, traces = fashion_spikes()
    energy, operations = {}, set()
    for machine in ("event_core", "minitaur", "spinalflow"):
        run = simulate(Workload(net, traces=traces), machine)
        done = sum(layer.operations for layer in run.layers)
        operations.add(done)
        energy[machine] = price_run(run).total / done
    assert len(operations) == 1
    assert energy["minitaur"] > 10 * energy["event_core"]
    assert energy["event_core"] > energy["spinalflow"]


# -- the page --------------------------------------------------------------------------------------

PAGE = Path(__file__).parents[2] / "docs" / "machines" / "event_machines.md"


def row_of_page(first: str) -> list[float]:
    """Numbers of the table row that begins with ``first``."""
    (line,) = (
        one for one in PAGE.read_text("utf-8").splitlines() if one.startswith(f"| {first} |")
    )
    return [float(cell) for cell in line.split("|")[2:-1]]


def test_the_page_has_the_orders(orders: dict[str, CacheRun]) -> None:
    for order, run in orders.items():
        assert row_of_page(order) == pytest.approx(
            [
                100 * run.weight_hit_rate,
                100 * run.state_hit_rate,
                len(run.requests) / run.stream.size,
                100 * run.dram.hit_rate,
                run.bytes_per_activation,
                run.seconds_per_event * 1e6,
                run.synapses_per_s / 1e6,
            ],
            rel=0.1,
        )


@pytest.mark.parametrize("name", ["event_core", "seneca", "loihi", "minitaur", "spinalflow"])
def test_the_page_has_every_machine(name: str) -> None:
    net, _, traces = fashion_spikes()
    run = simulate(Workload(net, traces=traces), name)
    energy, done = price_run(run).total, sum(layer.operations for layer in run.layers)
    moved = sum(layer.bytes["dram"].total for layer in run.layers if "dram" in layer.bytes)
    found = [run.latency * 1e3, energy * 1e6, energy / done / PJ, moved / 1e6]
    assert row_of_page(f"`{name}`") == pytest.approx(found, rel=0.1)
