"""Event-driven machines: every spike reaches what it must, and nothing else is ever counted."""

from __future__ import annotations

import heapq
from dataclasses import replace
from importlib import import_module

import numpy as np
import pytest
import torch
from fixture_event_machines import fashion_spikes
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import tospike as ts
from tospike.architecture import Architecture, load_architecture
from tospike.machines import Workload, minitaur, price_run, simulate
from tospike.machines.dram import DramSystem
from tospike.machines.dram import simulate as simulate_dram
from tospike.machines.dram import stream as dram_stream
from tospike.machines.event_core import place
from tospike.machines.minitaur import reference
from tospike.machines.minitaur.simulate import _tables
from tospike.machines.spikes import (
    ORDERS,
    Geometry,
    brute_force_operations,
    connections,
    dram_system,
    event_stream,
    fan_out,
    geometry,
    random_traces,
    read_inputs,
)
from tospike.machines.spinalflow import merge_passes
from tospike.machines.spinalflow.off_chip import PIECE, streams
from tospike.network import Network
from tospike.network.importers.conv_fan_out import conv_fan_out
from tospike.technology.dram import load_device

MACHINES = ("event_core", "seneca", "loihi", "minitaur", "spinalflow")
QUICK = settings(max_examples=25, deadline=None, derandomize=True)

LAYERS = {
    "plain": (nn.Conv2d(3, 4, 3, padding=1), (3, 6, 5)),
    "strided": (nn.Conv2d(4, 6, 3, stride=2, padding=1), (4, 7, 8)),
    "dilated": (nn.Conv2d(2, 3, 3, dilation=2), (2, 7, 7)),
    "grouped": (nn.Conv2d(4, 6, 3, padding=1, groups=2), (4, 5, 5)),
    "depthwise": (nn.Conv2d(5, 5, 3, padding=1, groups=5), (5, 6, 6)),
    "pointwise": (nn.Conv2d(6, 8, 1), (6, 4, 4)),
    "wide": (nn.Conv2d(2, 3, (1, 5), stride=(1, 2), padding=(0, 2)), (2, 3, 9)),
    "line": (nn.Conv1d(3, 5, 4, padding=2), (3, 9)),
    "linear": (nn.Linear(20, 12), (20,)),
    "tokens": (nn.Linear(6, 4), (5, 6)),
}


def network(of: nn.Module, shape: tuple[int, ...]) -> Network:
    return ts.load(nn.Sequential(of), torch.zeros(1, *shape))


def spikes_of(net: Network, rate: float, seed: int = 0, timesteps: int = 4, samples: int = 2):
    rates = {layer.name: rate for layer in net.synaptic_layers}
    return random_traces(net, rates, timesteps=timesteps, samples=samples, seed=seed)


def small_chain() -> Network:
    parts = [nn.Conv2d(2, 6, 3, padding=1), nn.ReLU(), nn.Conv2d(6, 5, 3, stride=2), nn.ReLU()]
    return ts.load(nn.Sequential(*parts, nn.Flatten(), nn.Linear(45, 7)), torch.zeros(1, 2, 8, 8))


def with_numbers(architecture: Architecture, **values: float) -> Architecture:
    changed = {
        name: replace(architecture.parameters[name], value=value, low=value, high=value)
        for name, value in values.items()
    }
    return replace(architecture, parameters={**architecture.parameters, **changed})


def with_capacity(architecture: Architecture, **sizes: float) -> Architecture:
    levels = tuple(
        replace(level, capacity=replace(level.capacity, value=size, low=size, high=size))
        if (size := sizes.get(level.name)) is not None and level.capacity is not None
        else level
        for level in architecture.levels
    )
    return replace(architecture, levels=levels)


# -- fan-out ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", LAYERS)
def test_fan_out_is_the_brute_force_count(name: str) -> None:
    net = network(*LAYERS[name])
    (layer,) = net.synaptic_layers
    of = geometry(layer)
    assert isinstance(of, Geometry)
    fan = fan_out(of)
    assert int(fan.sum()) == layer.n_synapses_exact
    if layer.kind == "conv":
        exact = conv_fan_out(layer, layer.input_shape[1:]).ravel()
        assert (fan == exact).all()
    generator = np.random.default_rng(3)
    for rate in (0.0, 0.2, 1.0):
        spikes = generator.random(layer.input_shape) < rate
        plain = spikes.reshape(-1, of.in_channels).T if of.channels_last else spikes
        counted = int((fan * plain.reshape(of.in_channels, -1)).sum())
        assert counted == brute_force_operations(layer, spikes)


@pytest.mark.parametrize("name", LAYERS)
def test_the_activity_measurement_counts_the_same(name: str) -> None:
    module, shape = LAYERS[name]
    net = network(module, shape)
    (layer,) = net.synaptic_layers
    spikes = np.random.default_rng(1).random((5, *shape)) < 0.3
    measured = ts.measure(nn.Sequential(module), spikes.astype(np.float32))
    trace = {layer.name: spikes[None]}
    for machine in MACHINES:
        run = simulate(Workload(net, traces=trace, batch=5), machine)
        assert run.layers[0].operations == 5 * measured[layer.name].synaptic_operations


@given(
    st.integers(1, 3), st.integers(1, 3), st.integers(1, 4), st.integers(1, 3), st.integers(0, 2),
    st.integers(1, 2), st.integers(1, 8), st.integers(0, 2**16),
)  # fmt: skip
@QUICK
def test_fan_out_of_any_convolution(
    groups: int, wide: int, kernel: int, stride: int, pad: int, dilation: int, size: int, seed: int
) -> None:
    reach = dilation * (kernel - 1) + 1
    length = max(size, reach - 2 * pad)
    module = nn.Conv2d(
        2 * groups, wide * groups, kernel, stride, pad, dilation, groups=groups, bias=False
    )
    net = network(module, (2 * groups, length, length + 1))
    (layer,) = net.synaptic_layers
    of = geometry(layer)
    assert isinstance(of, Geometry)
    spikes = np.random.default_rng(seed).random(layer.input_shape) < 0.4
    counted = int((fan_out(of) * spikes.reshape(of.in_channels, -1)).sum())
    assert counted == brute_force_operations(layer, spikes)


# -- laws of all machines --------------------------------------------------------------------------


@pytest.mark.parametrize("machine", MACHINES)
def test_no_spikes_no_synaptic_events(machine: str) -> None:
    net = small_chain()
    run = simulate(Workload(net, traces=spikes_of(net, 0.0)), machine)
    assert all(layer.operations == 0 for layer in run.layers)
    synaptic = [e for e in run.counts if e.part == "synapse" and e.datatype != "state"]
    assert sum(float(e.count) for e in synaptic) == 0
    assert run.counts.total(component="noc") == 0
    energy = price_run(run)
    if machine in ("minitaur", "spinalflow"):
        assert all(layer.dram is None or layer.dram.writes == 0 for layer in run.layers)
    if machine == "minitaur":
        assert (run.cycles, energy.total) == (0, 0.0)


@pytest.mark.parametrize("machine", MACHINES)
def test_events_add_up_over_disjoint_spikes(machine: str) -> None:
    net = small_chain()
    every = spikes_of(net, 0.5, seed=4)
    mask = {name: np.random.default_rng(5).random(t.shape) < 0.5 for name, t in every.items()}
    one = {name: trace & mask[name] for name, trace in every.items()}
    two = {name: trace & ~mask[name] for name, trace in every.items()}
    runs = [simulate(Workload(net, traces=t), machine) for t in (every, one, two)]
    for whole, a, b in zip(*(run.layers for run in runs), strict=True):
        assert whole.operations == a.operations + b.operations
        assert whole.cycles <= a.cycles + b.cycles + 1 or machine == "minitaur"


@pytest.mark.parametrize("machine", MACHINES)
def test_twice_the_time_is_twice_the_events(machine: str) -> None:
    net = small_chain()
    once = spikes_of(net, 0.3)
    twice = {name: np.concatenate([t, t]) for name, t in once.items()}
    a, b = (simulate(Workload(net, traces=t), machine) for t in (once, twice))
    assert [2 * x.operations for x in a.layers] == [x.operations for x in b.layers]


@pytest.mark.parametrize("machine", MACHINES)
def test_general_laws(machine: str) -> None:
    net = small_chain()
    run = simulate(Workload(net, traces=spikes_of(net, 0.2)), machine)
    architecture = load_architecture(machine)
    assert run.macs == net.n_synapses
    assert run.cycles == sum(layer.cycles for layer in run.layers)
    for layer in run.layers:
        assert layer.cycles >= layer.operations / architecture.n_pe
        assert layer.utilisation <= 1
        assert layer.cycles == layer.busy + sum(layer.stalls.values())
        assert set(layer.bytes) <= {level.name for level in architecture.levels}
        if "dram" in layer.bytes:
            on_chip = [t for name, t in layer.bytes.items() if name != "dram"]
            assert layer.bytes["dram"].read <= sum(t.written for t in on_chip) * 1.01 + 64
    energy = price_run(run)
    assert energy.total == pytest.approx(sum(sum(p.values()) for p in energy.layers.values()))
    assert energy.low <= energy.total * (1 + 1e-12)
    assert energy.total <= energy.high * (1 + 1e-12)
    many = simulate(Workload(net, traces=spikes_of(net, 0.2), batch=6), machine)
    assert many.cycles <= 6 * run.cycles
    assert many.macs == 6 * run.macs
    assert price_run(many).total <= 6 * energy.total * (1 + 1e-9)


@pytest.mark.parametrize("machine", MACHINES)
def test_no_spike_of_the_real_network_is_lost(machine: str) -> None:
    net, activity, traces = fashion_spikes()
    run = simulate(Workload(net, traces=traces), machine)
    found = {layer.name: layer.operations for layer in run.layers}
    assert found.pop("conv1") == 0
    assert found == {
        name: activity[name].synaptic_operations for name in activity if name != "conv1"
    }


@pytest.mark.parametrize("machine", ["event_core", "seneca", "loihi", "spinalflow"])
def test_statistics_stand_in_for_traces(machine: str) -> None:
    net, activity, traces = fashion_spikes()
    real, expected = (
        simulate(w, machine) for w in (Workload(net, traces=traces), Workload(net, activity))
    )
    for a, b in zip(real.layers, expected.layers, strict=True):
        assert a.operations == pytest.approx(b.operations)
        assert b.cycles <= 1.05 * a.cycles + 8
    assert price_run(expected).total == pytest.approx(price_run(real).total, rel=0.15)


# -- expanded cores --------------------------------------------------------------------------------


def test_placement_holds_every_neuron_once_and_fits() -> None:
    net = small_chain()
    inputs = read_inputs(Workload(net, traces=spikes_of(net, 0.2)), "test")
    chip = with_numbers(load_architecture("loihi"), neurons_per_core=40)
    placed = place(inputs, chip)
    seen: set[int] = set()
    for one, where in zip(inputs, placed, strict=True):
        cores = where.core_of(one.of)
        assert cores.shape == (one.of.out_channels, one.of.out_pixels)
        numbers, neurons = np.unique(cores, return_counts=True)
        assert neurons.max() <= 40
        assert numbers.tolist() == list(range(where.first, where.first + where.cores))
        assert not seen & set(numbers.tolist())
        seen |= set(numbers.tolist())


@pytest.mark.parametrize("shared", [0, 1])
def test_shared_kernels_need_fewer_cores(shared: int) -> None:
    net = ts.load(nn.Sequential(nn.Conv2d(8, 8, 3, padding=1)), torch.zeros(1, 8, 16, 16))
    chip = with_capacity(
        with_numbers(load_architecture("loihi"), shared_kernels=shared), weights=16384
    )
    run = simulate(Workload(net, traces=spikes_of(net, 0.1)), chip)
    # shared, 2048 neurons bind; unshared, each of them has 72 words of its own
    least = 2 if shared else 2048 * 72 // 16384
    assert least <= run.layers[0].active_pe <= 1.5 * least


@pytest.mark.parametrize("name", ["plain", "strided", "grouped", "depthwise", "linear"])
def test_expanded_cores_against_loops(name: str) -> None:
    """Messages, hops and the busiest core, synapse by synapse."""
    net = network(*LAYERS[name])
    traces = spikes_of(net, 0.3, timesteps=3, samples=1)
    chip = with_numbers(load_architecture("loihi"), neurons_per_core=14, mesh_width=3)
    (one,) = read_inputs(Workload(net, traces=traces), "test")
    (where,) = place([one], chip)
    core, joined = where.core_of(one.of), connections(one.of)
    p = {key: constant.value for key, constant in chip.parameters.items()}
    messages = hops = 0
    seconds = 0.0
    assert one.spikes is not None
    for step in one.spikes[:, 0]:
        events: dict[int, int] = {}
        arrived: dict[int, int] = {}
        for channel, pixel in np.argwhere(step):
            group = channel // one.of.in_per_group
            channels = range(group * one.of.out_per_group, (group + 1) * one.of.out_per_group)
            outs = joined.outputs[joined.starts[pixel] : joined.starts[pixel + 1]]
            targets = [int(core[c, o]) for c in channels for o in outs]
            for target in targets:
                events[target] = events.get(target, 0) + 1
            for target in set(targets):
                arrived[target] = arrived.get(target, 0) + 1
                messages += 1
                hops += target // 4 % 3 + target // 4 // 3
        neurons = dict(zip(*np.unique(core, return_counts=True), strict=True))
        seconds += p["time_per_step"] + max(
            arrived.get(c, 0) * p["time_per_event"]
            + events.get(c, 0) * p["time_per_synaptic_event"]
            + n * p["time_per_neuron_update"]
            for c, n in neurons.items()
        )
        if step.any():  # as far as the farthest core in use
            seconds += max(int(c) // 4 % 3 + int(c) // 12 for c in neurons) * p["time_per_hop"]
    run = simulate(Workload(net, traces=traces), chip)
    assert run.counts.total(component="core", action="spike_out") == messages
    assert run.counts.total(component="noc") == hops
    assert run.layers[0].cycles == pytest.approx(seconds * 1e9, abs=1.0)


def test_steps_in_parts_are_the_same_steps(monkeypatch) -> None:
    net = small_chain()
    traces = spikes_of(net, 0.2, timesteps=7)
    whole = simulate(Workload(net, traces=traces), "loihi")
    monkeypatch.setattr(import_module("tospike.machines.event_core.simulate"), "LARGEST", 300)
    parts = simulate(Workload(net, traces=traces), "loihi")
    assert [layer.cycles for layer in parts.layers] == [layer.cycles for layer in whole.layers]
    for component in ("core", "noc"):
        assert parts.counts.total(component=component) == whole.counts.total(component=component)


# -- caches ----------------------------------------------------------------------------------------


@given(st.sampled_from(sorted(LAYERS)), st.sampled_from(ORDERS), st.integers(1, 4),
       st.sampled_from([4, 8, 16, 32]), st.integers(1, 6), st.integers(0, 1000))  # fmt: skip
@QUICK
def test_caches_against_the_reference(
    name: str, order: str, ways: int, line: int, sets: int, seed: int
) -> None:
    net = network(*LAYERS[name])
    traces = spikes_of(net, 0.15, seed=seed, timesteps=2, samples=1)
    size = ways * line * sets
    chip = with_capacity(
        with_numbers(
            load_architecture("minitaur"), weight_ways=ways, state_ways=ways, line_bytes=line
        ),
        weight_cache=size,
        state_cache=size,
    )
    run = minitaur.replay(Workload(net, traces=traces), chip, order=order)
    inputs = read_inputs(Workload(net, traces=traces), "test")
    numbers = {key: constant.value for key, constant in chip.parameters.items()}
    table, *_ = _tables(inputs, chip, numbers, dram_system(chip))
    weights, states = (reference.Cache(sets, ways, line) for _ in range(2))
    synapses, weight_hits, state_hits, requests = reference.run_events(
        event_stream(inputs, order), inputs, table[:, 5].tolist(), table[:, 6].tolist(),
        weights, states, 2, 4,
    )  # fmt: skip
    assert run.synapses == synapses
    assert run.events[:, 3].sum() == weight_hits
    assert run.events[:, 5].sum() == state_hits
    assert [(int(a), bool(w), int(e)) for a, w, e in run.requests] == requests


@pytest.mark.parametrize("order", ORDERS)
def test_hit_rates_and_bandwidth_stay_in_their_bounds(order: str) -> None:
    net = small_chain()
    chip = with_capacity(load_architecture("minitaur"), weight_cache=512, state_cache=256)
    run = minitaur.replay(Workload(net, traces=spikes_of(net, 0.3)), chip, order=order)
    for rate in (run.weight_hit_rate, run.state_hit_rate, run.dram.hit_rate):
        assert 0 <= rate <= 1
    assert run.dram.bytes_per_s <= run.dram.system.peak_bytes_per_s
    assert run.dram.n_requests == len(run.requests) * run.bursts
    assert run.seconds >= run.dram.n_requests * 4 / run.dram.system.device.clock
    assert (run.cycles >= run.busy).all()


def test_every_order_has_the_same_spikes() -> None:
    net = small_chain()
    inputs = read_inputs(Workload(net, traces=spikes_of(net, 0.3)), "test")
    streams_ = [event_stream(inputs, order) for order in ORDERS]
    rows = [
        sorted(zip(s.layer, s.sample, s.step, s.channel, s.pixel, strict=True)) for s in streams_
    ]
    assert rows[0] == rows[1] == rows[2]
    assert len(rows[0]) == sum(int(one.n_spikes) for one in inputs)
    assert all((np.diff(s.sample) >= 0).all() for s in streams_)
    real, ordered, _ = streams_
    come = list(zip(real.sample, real.step, real.layer, real.channel, real.pixel, strict=True))
    assert come == sorted(come)
    by_neuron = (ordered.sample, ordered.layer, ordered.channel, ordered.pixel, ordered.step)
    places = list(zip(*by_neuron, strict=True))
    assert places == sorted(places)


def test_a_cache_that_holds_all_misses_each_line_once() -> None:
    net = small_chain()
    chip = with_capacity(load_architecture("minitaur"), weight_cache=1 << 20, state_cache=1 << 20)
    chip = with_numbers(chip, weight_ways=64, state_ways=64)
    run = minitaur.replay(Workload(net, traces=spikes_of(net, 1.0, samples=1)), chip)
    size, line = 0, 16
    for one in read_inputs(Workload(net, traces=spikes_of(net, 1.0, samples=1)), "test"):
        size += -(-one.of.n_weights * 2 // line) + -(-one.of.n_neurons * 4 // line)
    assert len(run.requests) <= size
    assert len(run.requests) >= size - 12  # unreached positions below a stride
    assert not run.requests[:, 1].any()


def test_layers_share_out_all_commands() -> None:
    net = small_chain()
    chip = with_capacity(load_architecture("minitaur"), weight_cache=512, state_cache=256)
    chip = with_numbers(chip, line_bytes=32)  # two bursts
    traces = spikes_of(net, 0.3)
    whole = minitaur.replay(Workload(net, traces=traces), chip).dram.commands
    layers = [layer.dram for layer in simulate(Workload(net, traces=traces, batch=2), chip).layers]
    for key in ("activates", "reads", "writes", "refreshes", "cycles", "active_cycles"):
        total = sum(getattr(dram, key) for dram in layers if dram is not None)
        assert total == pytest.approx(getattr(whole, key))


# -- sorted spikes ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["plain", "strided", "grouped", "linear"])
def test_sorted_spikes_against_real_merging(name: str) -> None:
    """Each field is merged from its spines by time; its length is what the machine counts."""
    net = network(*LAYERS[name])
    traces = spikes_of(net, 0.3, samples=1)
    (one,) = read_inputs(Workload(net, traces=traces), "test")
    of, joined = one.of, connections(one.of)
    assert one.spikes is not None
    broadcasts = 0
    for group in range(of.groups):
        mine = slice(group * of.in_per_group, (group + 1) * of.in_per_group)
        spines = [
            [(int(t), int(c)) for t, c in np.argwhere(one.spikes[:, 0, mine, pixel])]
            for pixel in range(of.in_pixels)
        ]
        for output in range(of.out_pixels):
            field = [spines[pixel] for pixel in joined.inputs[joined.outputs == output]]
            merged = list(heapq.merge(*field))
            assert [t for t, _ in merged] == sorted(t for t, _ in merged)
            broadcasts += len(merged)
    chip = with_numbers(load_architecture("spinalflow"), cycles_per_position=0)
    run = simulate(Workload(net, traces=traces), chip)
    assert run.layers[0].busy == broadcasts
    assert run.layers[0].operations == broadcasts * of.out_per_group


def test_merging_in_passes() -> None:
    assert [merge_passes(n, 16) for n in (1, 9, 16, 17, 49, 256, 257)] == [1, 1, 1, 2, 2, 2, 3]


def test_a_piece_of_a_stream_stands_for_the_whole() -> None:
    system = DramSystem(load_device("ddr3_1600_2gb_x16"), chips=4)
    n_bytes = 5 * PIECE + 4096
    found = streams(system, n_bytes, 0)
    assert found is not None
    whole = simulate_dram(system, dram_stream(n_bytes, system))
    assert found.seconds == pytest.approx(whole.seconds, rel=0.01)
    for key in ("activates", "reads", "refreshes", "active_cycles"):
        piece, exact = getattr(found.commands, key), getattr(whole.commands, key)
        assert piece == pytest.approx(exact, rel=0.02)


def test_weights_beyond_the_filter_buffer_are_fetched_spike_by_spike() -> None:
    net = ts.load(nn.Sequential(nn.Linear(256, 200)), torch.zeros(1, 256))
    traces = spikes_of(net, 0.9)
    small = with_capacity(load_architecture("spinalflow"), filter_buffer=1024)
    often, once = (
        simulate(Workload(net, traces=traces), chip).layers[0]
        for chip in (small, load_architecture("spinalflow"))
    )
    spikes = int(traces["0"].sum()) / 2
    assert often.bytes["filter_buffer"].written == pytest.approx(spikes * 2 * 128)
    assert once.bytes["filter_buffer"].written == 256 * 200
    assert often.cycles > once.cycles


@pytest.mark.parametrize("name", ["event_core", "seneca"])
def test_the_bytes_of_a_core_are_those_that_are_priced(name: str) -> None:
    """Weights, states, queued events and constant currents: every word of SRAM that is counted."""
    net = small_chain()
    run = simulate(Workload(net, traces=spikes_of(net, 0.3)), name)
    for layer in run.layers:
        words = [entry for entry in run.counts if entry.layer == layer.name]
        priced = sum(float(e.count) * e.bits / 8 for e in words if e.component == "sram")
        assert sum(traffic.total for traffic in layer.bytes.values()) == pytest.approx(priced)
