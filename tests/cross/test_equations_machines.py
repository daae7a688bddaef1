"""Two routes to one figure: counting by equation against counting by cycle.

Neither side imports the other. The bounds say how far apart they are and why.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import torch
from torch import nn

import tospike as ts
from tospike.actions import ActionCounts
from tospike.architecture import load_architecture
from tospike.equations import EquationOptions, count
from tospike.equations import edgedrnn_2020 as edgedrnn
from tospike.equations.dampfhoffer_2022 import REUSE_ALEXNET, REUSE_VGG16
from tospike.implementation import Implementation
from tospike.machines import MachineRun, Workload, price_run, simulate
from tospike.machines.delta_rnn import steps, with_thresholds
from tospike.machines.eyeriss.published import path_of
from tospike.machines.workload import activity_of, workload

TECHNOLOGY = "dampfhoffer_2022_65nm_16b"
#: batch of the measurements, reuse factor that Dampfhoffer et al. read off them
EYERISS = {"vgg16": (3, REUSE_VGG16.value), "alexnet": (4, REUSE_ALEXNET.value)}
WORDS = Implementation("ann", weight_bits=16, activation_bits=16, state_bits=16)


@cache
def eyeriss(network: str) -> tuple[Workload, MachineRun]:
    """The convolutions with the published zeros and batch."""
    zeros = path_of(network)
    batch, _ = EYERISS[network]
    work = workload(network, zeros=zeros, batch=batch)
    return work, simulate(work, "eyeriss_v1")


def on_chip(run: MachineRun) -> ActionCounts:
    """What equation (13) counts: MACs, scratchpads, buffer; no DRAM, no wires, no clock."""
    kept = ("alu", "register", "pe_sram", "sram")
    return run.counts.select(lambda entry: entry.component in kept)


def by_layer(counts: ActionCounts) -> dict[str, float]:
    """Joule of each layer, in the units of the paper's table."""
    found: dict[str, float] = {}
    for part in ts.price(counts, TECHNOLOGY).parts:
        found[part.layer] = found.get(part.layer, 0.0) + float(part.energy)
    return found


def ratios(network: str, equation: str, **options: object) -> list[float]:
    """Simulated over calculated energy of one inference, layer by layer."""
    work, run = eyeriss(network)
    assert work.activity is not None
    choice = EquationOptions(eyeriss_reuse=EYERISS[network][1], **options)  # type: ignore[arg-type]
    counts = count(work.network, work.activity, WORDS, equation=equation, options=choice)
    ours, theirs = by_layer(on_chip(run)), by_layer(counts)
    return [ours[name] / run.batch / theirs[name] for name in theirs]


@pytest.mark.parametrize("network", EYERISS)
def test_the_reuse_factors_come_out_of_the_simulation(network: str) -> None:
    """Section III-B1: 25 for VGG16, about 80 for AlexNet: 3 accesses per MAC over the buffer's."""
    _, run = eyeriss(network)
    words = sum(layer.bytes["glb"].total for layer in run.layers) / 2
    assert 3 * run.macs / words == pytest.approx(EYERISS[network][1], rel=0.1)


@pytest.mark.parametrize("network", EYERISS)
def test_equation_13_is_met_within_a_fifth(network: str) -> None:
    """The simulation also fills scratchpads and carries filters: 1 to 19 % more per layer."""
    found = ratios(network, "ann_eyeriss_v1")
    assert len(found) == {"vgg16": 13, "alexnet": 5}[network]
    assert min(found) >= 1.0
    assert max(found) <= 1.2


@pytest.mark.parametrize("network", EYERISS)
def test_equation_13_as_printed_is_farther_from_the_simulation(network: str) -> None:
    """The parenthesis as printed leaves MACs and registers ungated: up to 19 % too much."""
    whole = ratios(network, "ann_eyeriss_v1")
    printed = ratios(network, "ann_eyeriss_v1", eyeriss_convention="as_printed")
    assert min(printed) < 1.0 <= min(whole)


@pytest.mark.parametrize("network", EYERISS)
def test_equation_12_is_a_lower_bound_and_equation_2_an_upper_one(network: str) -> None:
    assert min(ratios(network, "ann_reuse_sparsity")) > 2
    assert min(ratios(network, "ann_reuse")) > 1
    assert max(ratios(network, "ann_naive")) < 0.5


# -- event-driven ------------------------------------------------------------------------------


@cache
def spikes() -> Workload:
    """Random spikes through convolutions with borders, stride and groups, and a classifier."""
    torch.manual_seed(0)
    net = ts.load(
        nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 8, 3, stride=2, groups=2),
            nn.ReLU(), nn.Flatten(), nn.Linear(8 * 16, 10),
        ),
        torch.zeros(1, 3, 10, 10),
    )  # fmt: skip
    rng = np.random.default_rng(0)
    traces = {
        layer.name: rng.random((6, 1, *layer.input_shape)) < 0.15 for layer in net.synaptic_layers
    }
    return Workload(net, activity_of(net, traces), traces)


def by_equation_4() -> ActionCounts:
    work = spikes()
    assert work.activity is not None
    bits = Implementation("snn", "if_inst", n_timesteps=6, weight_bits=8, state_bits=16)
    return count(work.network, work.activity, bits, equation="snn_if_inst")


def synapse(counts: ActionCounts, component: str, action: str, datatype: str) -> float:
    kept = counts.select(lambda entry: entry.part == "synapse")
    return float(kept.total(component=component, action=action, datatype=datatype))


@pytest.mark.parametrize(
    "what",
    [("sram", "read", "weight"), ("sram", "read", "state"), ("sram", "write", "state"),
     ("alu", "ac", "none")],
)  # fmt: skip
def test_equation_4_counts_what_the_event_core_does(what: tuple[str, str, str]) -> None:
    """Exactly, borders and strides included: every spike reads weights and states one by one."""
    run = simulate(spikes(), "event_core")
    assert synapse(run.counts, *what) == synapse(by_equation_4(), *what) > 0


@pytest.mark.parametrize("machine", ["event_core", "loihi", "minitaur", "spinalflow", "seneca"])
def test_every_event_driven_machine_does_the_operations_of_equation_4(machine: str) -> None:
    run = simulate(spikes(), machine)
    expected = synapse(by_equation_4(), "alu", "ac", "none")
    assert sum(layer.operations for layer in run.layers) == pytest.approx(expected)


def test_grouped_states_cost_less_than_equation_4() -> None:
    """SENECA and SpinalFlow keep sums near the adder: fewer state accesses in SRAM."""
    expected = synapse(by_equation_4(), "sram", "read", "state")
    for machine in ("seneca", "spinalflow"):
        run = simulate(spikes(), machine)
        assert synapse(run.counts, "sram", "read", "state") < expected / 4


def test_equation_4_leaves_out_neurons_and_events() -> None:
    """The event core's energy beyond equation (4): updates in every step, queues, hops."""
    run = simulate(spikes(), "event_core")
    technology = run.architecture.technology
    kept = run.counts.select(lambda entry: entry.part == "synapse")
    alone, everything = (float(ts.price(c, technology).energy) for c in (kept, run.counts))
    assert alone < everything == pytest.approx(price_run(run).total)


# -- NullHop -------------------------------------------------------------------------------------


@cache
def maps() -> Workload:
    torch.manual_seed(0)
    net = ts.load(
        nn.Sequential(nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.Conv2d(32, 128, 5)),
        torch.zeros(1, 16, 14, 14),
    )
    rng = np.random.default_rng(0)
    traces = {}
    for layer in net.synaptic_layers:
        shape = (1, *layer.input_shape)
        traces[layer.name] = (rng.random(shape) * (rng.random(shape) < 0.35)).astype(np.float32)
    return Workload(net, activity_of(net, traces), traces)


def test_nullhop_executes_the_macs_of_the_equation() -> None:
    """(1 - gamma) N_syn with gamma by operations: exact on real tensors."""
    work, run = maps(), simulate(maps(), "nullhop")
    assert work.activity is not None
    counts = count(work.network, work.activity, WORDS, equation="ann_nullhop")
    for layer in run.layers:
        expected = counts.total(component="alu", action="mac", layer=layer.name)
        assert layer.operations == pytest.approx(float(expected), rel=1e-9)


# -- delta networks --------------------------------------------------------------------------------


@cache
def streams() -> Workload:
    """Random walks in steps of 1, which a threshold of 1/2 sees as changes, through one GRU."""
    torch.manual_seed(0)
    net = ts.load(nn.GRU(32, 256, batch_first=True), torch.zeros(1, 40, 32))
    rng = np.random.default_rng(0)
    traces = {}
    for layer in net.synaptic_layers:
        n = layer.input_shape[-1]
        jumps = rng.choice([-1.0, 1.0], (40, n)) * (rng.random((40, n)) < 0.2)
        traces[layer.name] = np.cumsum(jumps, axis=0)
    return Workload(net, activity_of(net, traces), traces)


def test_edgedrnn_takes_the_latency_of_the_equation_and_little_more() -> None:
    """Sent columns times ceil(3H / 8) cycles, without delta unit, pipeline and gates."""
    chip = with_thresholds(load_architecture("edgedrnn"), theta_x=0.5, theta_h=0.5)
    run = simulate(streams(), chip)
    columns = {
        name: float((np.abs(np.diff(trace, axis=0, prepend=0.0)) > 0).sum())
        for name, trace in streams().traces.items()
    }
    bound = float(edgedrnn.latency(sent=sum(columns.values()), n_hidden=256))
    assert bound <= run.latency <= 1.25 * bound
    assert sum(layer.busy for layer in run.layers) / 125e6 == pytest.approx(bound, rel=0.01)


def test_edgedrnn_reads_the_bytes_of_the_equation() -> None:
    """Whole columns; 3H = 768 bytes are whole bursts of any DRAM here."""
    chip = with_thresholds(load_architecture("edgedrnn"), theta_x=0.5, theta_h=0.5)
    run = simulate(streams(), chip)
    found = steps(streams(), chip)
    columns = sum(int(s.sent_x.sum() + s.sent_h.sum()) for s in found.stages)
    expected = float(edgedrnn.weight_traffic(sent=columns, n_hidden=256, burst_bytes=16))
    read = sum(layer.bytes["dram"].read for layer in run.layers)
    assert expected <= read <= 1.01 * expected  # and one bias column


def test_operations_are_counted_as_the_authors_do() -> None:
    """2 x 5.4 M per step of 2L-768H, bias columns included in theirs and not in ours."""
    net = ts.load("gru_2l_768h")
    with_bias = float(edgedrnn.parameters(n_inputs=40, n_hidden=768, n_layers=2))
    assert with_bias == pytest.approx(net.n_synapses + 2 * 3 * 768)
