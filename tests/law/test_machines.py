"""Laws of every packaged architecture, on a small workload of the kind that its machine takes."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch
from torch import nn

from tospike.actions import DATATYPES, Entry
from tospike.architecture import Architecture, architectures, load_architecture
from tospike.errors import OptionError, TospikeError
from tospike.machines import MACHINES, MachineRun, Workload, price_run, simulate
from tospike.machines.workload import activity_of
from tospike.network import Network
from tospike.network.importers import load
from tospike.sources import SOURCES

#: what the simulators of each dataflow are given
KIND = {
    "row_stationary": "maps",
    "row_stationary_optimal": "maps",
    "row_stationary_sparse": "maps",
    "nullhop": "maps",
    "delta_rnn": "stream",
    "event_core": "spikes",
    "minitaur": "spikes",
    "spinalflow": "spikes",
}
NAMED = (
    "eyeriss_v1", "eyeriss_v2", "nullhop", "edgedrnn", "deltarnn", "spartus", "event_core",
    "minitaur", "spinalflow",
)  # fmt: skip
STEPS = 12
ZEROS = (0.2, 0.6, 0.95)
ALL = architectures()


@cache
def network(kind: str) -> Network:
    """Two convolutions and a pointwise one; a recurrent layer; a spiking net with a classifier."""
    torch.manual_seed(0)
    if kind == "stream":
        return load(nn.GRU(64, 512, batch_first=True), torch.zeros(1, STEPS, 64))
    convolutions = [
        nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(8, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, 12, 1), nn.ReLU(),
    ]  # fmt: skip
    if kind == "spikes":
        convolutions += [nn.Flatten(), nn.Linear(12 * 36, 10)]
    return load(nn.Sequential(*convolutions), torch.zeros(1, 3, 12, 12))


@cache
def workload(kind: str, zeros: float, batch: int = 1) -> Workload:
    """Real tensors with this share of zeros (of unchanged values, in a stream).

    Of the same draw, so that what is zero at a lower share is zero at a higher one; every sample
    of a batch is the same.
    """
    rng = np.random.default_rng(0)
    net, traces = network(kind), {}
    for layer in net.synaptic_layers:
        if kind == "stream":
            draw = rng.random((STEPS, layer.input_shape[-1]))
            jumps = rng.choice([-1.0, 1.0], draw.shape) * (draw >= zeros)
            traces[layer.name] = np.cumsum(jumps, axis=0)
            continue
        shape = layer.input_shape if kind == "maps" else (STEPS, *layer.input_shape)
        kept = rng.random(shape) >= zeros
        values = kept * rng.uniform(0.5, 1, shape) if kind == "maps" else kept
        axis = 0 if kind == "maps" else 1
        traces[layer.name] = np.stack([values] * batch, axis=axis)
    return Workload(net, activity_of(net, traces), traces, batch)


@cache
def run(name: str, zeros: float = 0.6, batch: int = 1) -> MachineRun:
    chip = load_architecture(name)
    return simulate(workload(KIND[chip.machine], zeros, batch), chip)


def chip(name: str) -> Architecture:
    return load_architecture(name)


def test_the_machines_of_the_field_are_there() -> None:
    assert set(NAMED) <= set(ALL)
    assert {chip(name).machine for name in ALL} == set(MACHINES) == set(KIND)


@pytest.mark.parametrize("name", ALL)
def test_every_number_has_a_source_and_a_place(name: str) -> None:
    found = chip(name)
    constants = [found.clock, *found.parameters.values()]
    constants += [level.capacity for level in found.levels if level.capacity is not None]
    for constant in constants:
        assert constant.source in SOURCES
        assert constant.locator
        assert constant.quoted
        assert math.isfinite(constant.value)
    assert found.levels


@pytest.mark.parametrize("name", ALL)
def test_the_work_is_that_of_the_network(name: str) -> None:
    found = run(name, batch=2) if KIND[chip(name).machine] != "stream" else run(name)
    net = network(KIND[chip(name).machine])
    for layer in found.layers:
        assert layer.macs == found.batch * net[layer.name].n_synapses
    assert {layer.name for layer in found.layers} == {layer.name for layer in net.synaptic_layers}


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("zeros", ZEROS)
def test_no_machine_is_faster_than_its_pes(name: str, zeros: float) -> None:
    found = run(name, zeros)
    n_pe = chip(name).n_pe
    for layer in found.layers:
        assert layer.cycles >= layer.operations / n_pe
        assert layer.busy <= layer.cycles
        assert 0 < layer.active_pe <= n_pe
        assert layer.utilisation <= 1 + 1e-9 or not layer.cycles
        assert all(cycles >= 0 for cycles in layer.stalls.values())
        assert layer.busy + sum(layer.stalls.values()) <= layer.cycles + 1
    assert found.effective_ops <= 2 * n_pe * chip(name).clock.value * found.macs / max(
        1.0, sum(layer.operations for layer in found.layers)
    ) * (1 + 1e-9)


@pytest.mark.parametrize("name", ALL)
def test_skipped_operations_are_those_with_a_zero(name: str) -> None:
    """A machine executes no more than all MACs, and no less than those that are needed."""
    found = run(name)
    kind = KIND[chip(name).machine]
    activity = workload(kind, 0.6).activity
    assert activity is not None
    for layer in found.layers:
        if kind == "maps":
            assert layer.operations <= layer.macs
            if chip(name).zero_handling.get("weight", "none") != "skip":
                needed = activity[layer.name].synaptic_operations
                assert layer.operations >= 0.99 * needed
        elif kind == "spikes":
            # at least one addition per spike and synapse
            assert layer.operations >= 0.99 * activity[layer.name].synaptic_operations


def _bytes_of(found: MachineRun, layer: str, component: str, action: str, datatype: str) -> float:
    def wanted(entry: Entry) -> bool:
        return (entry.layer, entry.component, entry.action, entry.datatype) == (
            layer, component, action, datatype,
        )  # fmt: skip

    return sum(float(e.count.sum()) * e.bits / 8 for e in found.counts if wanted(e))


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("datatype", ["weight", "iact"])
def test_no_memory_is_filled_with_more_than_its_parent_supplies(name: str, datatype: str) -> None:
    """A word that is read once may be written into as many instances as there are (multicast).

    Maps that come out of DRAM compressed are longer behind the decoder, so activations are
    followed on chip only.
    """
    found = run(name)
    levels = chip(name).levels
    there = {level.component for level in levels}
    order = [one for one in ("register", "pe_sram", "sram", "dram") if one in there]
    for layer in found.layers:
        for place, component in enumerate(order[:-1]):
            parents = order[place + 1 :]
            if datatype == "iact" and parents == ["dram"]:
                continue
            supplied = sum(
                _bytes_of(found, layer.name, parent, "read", datatype) for parent in parents
            )
            supplied += 0.0 if layer.dram is None else layer.dram.bytes_read
            copies = max(level.instances for level in levels if level.component == component)
            filled = _bytes_of(found, layer.name, component, "write", datatype)
            assert filled <= supplied * copies * (1 + 1e-9), (layer.name, component)


@pytest.mark.parametrize("name", ALL)
def test_traffic_is_finite_and_of_known_levels(name: str) -> None:
    found = run(name)
    known = {level.name for level in chip(name).levels}
    for layer in found.layers:
        assert set(layer.bytes) <= known
        for moved in layer.bytes.values():
            assert 0 <= moved.read < math.inf
            assert 0 <= moved.written < math.inf
    assert any(moved.total for layer in found.layers for moved in layer.bytes.values())


@pytest.mark.parametrize("name", ALL)
def test_the_bytes_of_dram_are_those_that_are_priced(name: str) -> None:
    """Counted or commanded; whole bursts may be a little more than what is asked for."""
    found = run(name)
    outside = {level.name for level in chip(name).levels if level.component == "dram"}
    for layer in found.layers:
        said = sum(layer.bytes[level].total for level in outside if level in layer.bytes)
        priced = sum(
            _bytes_of(found, layer.name, "dram", action, datatype)
            for action in ("read", "write")
            for datatype in DATATYPES
        )
        if layer.dram is not None:
            priced += layer.dram.bytes_read + layer.dram.bytes_written
        assert priced == pytest.approx(said, rel=0.02, abs=64)


@pytest.mark.parametrize("name", ALL)
def test_dram_is_never_faster_than_its_pins(name: str) -> None:
    for layer in run(name).layers:
        if layer.dram is None:
            continue
        device = layer.dram.device
        peak = layer.dram.chips * device.width_bits / 8 * 2 * device.clock
        moved = layer.dram.bytes_read + layer.dram.bytes_written
        seconds = layer.dram.cycles / device.clock
        assert moved <= peak * seconds * (1 + 1e-9)


@pytest.mark.parametrize("name", ALL)
def test_energy_is_positive_and_adds_up(name: str) -> None:
    found = run(name)
    energy = price_run(found)
    by_layer = [sum(parts.values()) for parts in energy.layers.values()]
    assert set(energy.layers) >= {layer.name for layer in found.layers}
    assert all(joule > 0 for joule in by_layer)
    assert energy.total == pytest.approx(sum(by_layer))
    assert energy.total == pytest.approx(sum(energy.components.values()))
    assert 0 < energy.low <= energy.total * (1 + 1e-12)
    assert energy.total <= energy.high * (1 + 1e-12) < math.inf
    assert found.counts.route == "machine"
    assert found.counts.sources
    assert set(found.counts.sources) <= set(SOURCES)


@pytest.mark.parametrize("name", ALL)
def test_more_zeros_never_cost_more(name: str) -> None:
    cycles = [run(name, zeros).cycles for zeros in ZEROS]
    joules = [price_run(run(name, zeros)).total for zeros in ZEROS]
    operations = [sum(layer.operations for layer in run(name, zeros).layers) for zeros in ZEROS]
    for figures in (cycles, joules, operations):
        assert all(b <= a * (1 + 1e-9) for a, b in itertools.pairwise(figures)), figures


@pytest.mark.parametrize("name", ALL)
def test_a_batch_never_costs_more_than_its_samples_alone(name: str) -> None:
    if KIND[chip(name).machine] == "stream":
        pytest.skip("a recurrent machine runs one stream")
    one, two = run(name), run(name, batch=2)
    assert two.batch == 2
    assert two.cycles <= 2 * one.cycles + len(one.layers)
    assert two.effective_ops >= one.effective_ops * (1 - 1e-3)
    # DRAM is simulated on a piece of a stream and scaled, which is good to one percent
    slack = 0.01 if any(layer.dram is not None for layer in two.layers) else 1e-9
    assert price_run(two).total <= 2 * price_run(one).total * (1 + slack)
    assert two.macs == 2 * one.macs


@pytest.mark.parametrize("name", ALL)
def test_progress_and_repetition(name: str) -> None:
    """The same again, and the progress counts every layer up to the last."""
    kind = KIND[chip(name).machine]
    calls: list[tuple[int, int]] = []
    again = simulate(workload(kind, 0.6), name, progress=lambda done, n: calls.append((done, n)))
    assert again.cycles == run(name).cycles
    assert price_run(again).total == price_run(run(name)).total
    assert calls[-1][0] == calls[-1][1]
    assert [done for done, _ in calls] == sorted(done for done, _ in calls)


@pytest.mark.parametrize("name", ALL)
def test_missing_activity_is_refused_with_the_layer(name: str) -> None:
    if KIND[chip(name).machine] == "maps" and not set(chip(name).zero_handling.values()) - {"none"}:
        pytest.skip("what does not look at zeros needs no activity")
    net = network(KIND[chip(name).machine])
    with pytest.raises(TospikeError) as error:
        simulate(Workload(net), name)
    assert net.synaptic_layers[0].name in str(error.value)


@pytest.mark.parametrize("batch", [0, -1, 2.5, True])
def test_a_batch_is_a_whole_number_from_1(batch: object) -> None:
    work = replace(workload(KIND["nullhop"], 0.6), batch=batch)
    with pytest.raises(OptionError, match="a whole number from 1"):
        simulate(work, "eyeriss_v1")


def test_traces_are_arrays() -> None:
    work = replace(workload(KIND["nullhop"], 0.6), traces={"features.0": [[1.0]]})
    with pytest.raises(OptionError, match=r"'features\.0' is a list"):
        simulate(work, "nullhop")
