"""EdgeDRNN, DeltaRNN, Spartus: against a slow reference, small cases by hand, and laws."""

from __future__ import annotations

import functools
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import tospike as ts
from tospike.activity import ActivityProfile, LayerActivity, temporal_sparsity
from tospike.architecture import Architecture, load_architecture
from tospike.constant import Constant
from tospike.conversion.delta.pruning import Pruning, nonzeros, prune
from tospike.machines import Workload, price_run, simulate
from tospike.machines.delta_rnn import (
    gamma_needed,
    least_gamma,
    mean_latency,
    read_chip,
    steps,
    with_thresholds,
)
from tospike.machines.delta_rnn.fetch import PIECE, fetch_of
from tospike.machines.delta_rnn.pipeline import array_steps, transmitted
from tospike.machines.delta_rnn.reference import Numbers, one_array, sent_by_definition
from tospike.machines.delta_rnn.stages import columns_of, stages_of
from tospike.network import Network

SETTINGS = settings(deadline=None, derandomize=True, max_examples=60)
CHIPS = ("edgedrnn", "deltarnn", "spartus")


@functools.cache
def network(cell: str, inputs: int, hidden: int, layers: int = 1, time: int = 1) -> Network:
    """GRU or LSTM as torch has it."""
    made = {"gru": nn.GRU, "lstm": nn.LSTM}[cell](inputs, hidden, layers, batch_first=True)
    return ts.load(made, torch.zeros(1, time, inputs))


def changed(chip: Architecture, **values: float) -> Architecture:
    """The chip with other parameters."""
    made = {
        name: Constant(value, "", value, value, "tospike", "chosen for the test", f"{value}")
        for name, value in values.items()
    }
    return replace(chip, parameters={**chip.parameters, **made})


def activity(of: Network, gamma: float, theta: float = 0.0) -> ActivityProfile:
    """The same temporal sparsity for all layers."""
    return ActivityProfile(
        {
            layer.name: LayerActivity("delta", 1, layer.calls, 0.0, 0.0,
                                      temporal_sparsity={theta: gamma})
            for layer in of.synaptic_layers
        },
        n_samples=1,
        origin="set by the test",
    )  # fmt: skip


def stream(of: Network, n: int, seed: int = 0, speed: float = 0.1) -> dict[str, Any]:
    """Random walks for all layers."""
    generator = np.random.default_rng(seed)
    return {
        layer.name: np.cumsum(
            generator.normal(scale=speed, size=(n, layer.input_shape[-1])), axis=0
        )
        for layer in of.synaptic_layers
    }


# -- the kernels against the slow reference ------------------------------------------------------


@given(
    sent=st.lists(st.booleans(), min_size=1, max_size=40),
    costs=st.lists(st.integers(1, 9), min_size=40, max_size=40),
    fifo=st.integers(1, 5),
    rate=st.integers(1, 4),
    start=st.integers(0, 4),
    latency=st.integers(1, 5),
    dram=st.none() | st.tuples(
        st.integers(1, 4), st.integers(0, 30), st.integers(0, 12), st.integers(0, 4)
    ),
    arrays=st.integers(1, 3),
)  # fmt: skip
@SETTINGS
def test_cycles_are_those_of_the_machine_clock_by_clock(
    sent: list[bool], costs: list[int], fifo: int, rate: int, start: int, latency: int,
    dram: tuple[int, int, int, int] | None, arrays: int,
) -> None:  # fmt: skip
    sent = sent + [False] * (-len(sent) % arrays)
    cost = np.resize(np.array(costs, np.int64), len(sent))
    queue, fetch, service, gap = dram or (1, -1, 0, 0)
    numbers = np.array([arrays, fifo, rate, start, latency, queue, fetch, service, gap])
    fast = array_steps(np.array([sent]), cost, numbers)[0].tolist()
    slow = [
        one_array(
            sent[a::arrays], cost[a::arrays].tolist(),
            Numbers(fifo, rate, start, latency, queue, None if dram is None else fetch, service,
                    gap),
        )
        for a in range(arrays)
    ]  # fmt: skip
    last = max(slow, key=lambda one: one.end)
    assert fast == [last.end, last.busy, last.empty, last.weight]
    assert sum(fast[1:]) == fast[0]


@given(
    values=st.lists(st.lists(st.integers(-9, 9), min_size=3, max_size=3), min_size=1, max_size=12),
    theta=st.integers(0, 8),
    at_threshold=st.booleans(),
)
@SETTINGS
def test_sent_is_what_the_definition_says(
    values: list[list[int]], theta: int, at_threshold: bool
) -> None:
    found = transmitted(np.array(values, np.int64), theta, at_threshold)
    assert found.tolist() == sent_by_definition(values, theta, at_threshold)


def test_sent_agrees_with_the_measured_temporal_sparsity() -> None:
    values = np.random.default_rng(1).integers(-200, 200, (300, 7))
    for theta in (0, 3, 50):
        gamma = temporal_sparsity(values.astype(float), [theta])[float(theta)]
        assert transmitted(values, theta, False).mean() == pytest.approx(1 - gamma, abs=1e-12)


# -- small cases by hand -------------------------------------------------------------------------


def cycles(sent: list[int], cost: int, **numbers: int) -> list[int]:
    order = ("arrays", "fifo", "rate", "start", "latency", "queue", "fetch", "service", "gap")
    usual = {"arrays": 1, "fifo": 32, "rate": 1, "start": 2, "latency": 4, "queue": 1,
             "fetch": -1, "service": 0, "gap": 0}  # fmt: skip
    row = np.array([{**usual, **numbers}[name] for name in order])
    return array_steps(np.array([sent], bool), np.full(len(sent), cost), row)[0].tolist()


def test_two_changes_by_hand() -> None:
    # element 1 is compared in cycle 3 and known in 7: 7 to 10. Element 3: compared in 5, known in
    # 9: 10 to 13. The delta unit is through in 5 + 4 = 9.
    assert cycles([0, 1, 0, 1], 3) == [13, 6, 7, 0]


def test_nothing_sent_by_hand() -> None:
    # four elements from cycle 2 on: the last in 5, known in 9
    assert cycles([0, 0, 0, 0], 3) == [9, 0, 9, 0]


def test_a_full_fifo_stops_the_delta_unit_by_hand() -> None:
    # One place. Element 0: compared in 2, known and begun in 6. Element 1 has its place from 7 on:
    # known in 11, while the first column ends in 6 + 10 = 16; begins 16, ends 26. Element 2 in 17,
    # known 21, begins 26, ends 36. Then element 3, unchanged: compared in 18.
    assert cycles([1, 1, 1, 0], 10, fifo=1) == [36, 30, 6, 0]


def test_columns_from_dram_by_hand() -> None:
    # known in 6, first word in 6 + 20; 5 cycles per column for 3 cycles of products. The second
    # column was asked for in 7 and streams behind the first one.
    assert cycles([1, 1], 3, queue=2, fetch=20, service=5) == [36, 6, 6, 24]
    # one column at a time: the second is asked for in 31
    assert cycles([1, 1], 3, queue=1, fetch=20, service=5) == [56, 6, 6, 44]


def test_one_step_of_edgedrnn_by_hand() -> None:
    """8 inputs, 16 states; one input and one state change, no bias column in statistics.

    Column of 48 rows: 6 cycles, 48 bytes. Delta unit: 24 elements from cycle 2 on, the last in 25,
    known in 29. Gates: 5 cycles for each of 2 groups and 6 more; 3 cycles to drain.
    """
    of, chip = network("gru", 8, 16), load_architecture("edgedrnn")
    values = {layer.name: np.zeros((2, layer.input_shape[-1])) for layer in of.synaptic_layers}
    values["weight_ih_l0"][1, 0] = values["weight_hh_l0"][1, 15] = 0.5
    run = steps(Workload(of, traces=values), chip)
    (stage,) = run.stages
    # the first step sends the bias column alone
    assert stage.sent_bias.tolist() == [1, 0]
    assert stage.sent_x.tolist() == [0, 1]
    assert stage.sent_h.tolist() == [0, 1]
    fetch = stage.fetch
    assert fetch is not None
    assert fetch.column_bytes == 48
    assert fetch.service == 6
    # a lone column: 30 cycles of the DMA, tRCD 7 + CL 7 + burst 4 = 18 clocks of 533 MHz
    assert fetch.latency == 30 + 5
    # Step 1: elements are bias, inputs, states. Input 0 (element 1) compared in 3, known in 7;
    # weights from 42 on: to 48. State 15 (element 24) in 26, known in 30, asked for in 30, there
    # in 65: to 71.
    assert stage.stalls["fifo_empty"][1] == 7
    assert stage.stalls["weight_fetch"][1] == 35 + (65 - 48)
    assert stage.busy[1] == 12
    assert stage.stalls["activation"].tolist() == [16, 16]
    assert run.cycles[1] == 71 + 3 + 16
    # Step 0: bias compared in 2, known in 6, there in 41, done in 47
    assert run.cycles[0] == 47 + 3 + 16


# -- laws ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CHIPS)
@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_nothing_sent_costs_only_overhead(name: str, cell: str) -> None:
    of, chip = network(cell, 40, 64, 2, 3), load_architecture(name)
    chip = with_thresholds(chip, theta_x=0.0, theta_h=0.0)
    run = simulate(Workload(of, activity(of, 1.0)), chip)
    read = read_chip(chip)
    assert sum(layer.busy for layer in run.layers) == 0
    assert sum(layer.operations for layer in run.layers) == 0
    assert sum(layer.bytes[read.weights.name].total for layer in run.layers) == 0
    scanned = [-(-n // read.arrays) for n in (40, 64, 64, 64)]
    bias = int(read.bias_column)
    expected = 0
    for x, h in (scanned[:2], scanned[2:]):
        elements = -(-(bias + x + h) // read.scan_rate)
        gates = read.gate_interval[cell] * -(-64 // read.gate_units) + read.gate_latency
        expected += read.scan_start + elements - 1 + read.scan_latency + read.drain + gates
    assert run.cycles == 3 * expected


@pytest.mark.parametrize("name", CHIPS)
def test_everything_sent_is_the_dense_network(name: str) -> None:
    of = network("gru", 40, 64, 2, 3)
    chip = with_thresholds(load_architecture(name), theta_x=0.0, theta_h=0.0)
    zeros = {layer.name: 0.0 for layer in of.synaptic_layers}
    run = simulate(Workload(of, activity(of, 0.0), weight_zeros=zeros), chip)
    read = read_chip(chip)
    assert [layer.operations for layer in run.layers] == [layer.macs for layer in run.layers]
    assert run.macs == of.n_synapses
    per_column = 192 * (read.weight_bits + read.index_bits) / 8
    moved = sum(layer.bytes[read.weights.name].read for layer in run.layers)
    assert moved == 3 * (40 + 3 * 64) * per_column


@pytest.mark.parametrize("name", CHIPS)
def test_more_changes_never_take_less_time(name: str) -> None:
    of = network("lstm", 16, 128)
    chip = with_thresholds(load_architecture(name), theta_x=0.0, theta_h=0.0)
    found = [
        simulate(Workload(of, activity(of, gamma)), chip).cycles for gamma in np.linspace(1, 0, 37)
    ]
    assert all(np.diff(found) >= 0)
    assert found[-1] > found[0]


@given(
    hidden=st.sampled_from([8, 16, 24, 48, 104]),
    inputs=st.integers(1, 30),
    n=st.integers(1, 6),
    seed=st.integers(0, 99),
)
@settings(deadline=None, derandomize=True, max_examples=15)
def test_laws_of_a_stream_on_edgedrnn(hidden: int, inputs: int, n: int, seed: int) -> None:
    of, chip = network("gru", inputs, hidden), load_architecture("edgedrnn")
    chip = with_thresholds(chip, theta_x=0.1, theta_h=0.1)
    workload = Workload(of, traces=stream(of, n, seed))
    run = steps(workload, chip)
    (stage,) = run.stages
    assert (stage.busy + sum(stage.stalls.values()) == stage.cycles).all()
    fetch, port = stage.fetch, run.chip.port
    assert fetch is not None
    assert port is not None
    # exactly the columns, each in whole bursts of 16 bytes
    burst = port.system.burst_bytes
    assert burst == 16
    assert fetch.column_bytes == -(-3 * hidden // burst) * burst
    machine = simulate(workload, chip)
    moved = sum(layer.bytes["dram"].read for layer in machine.layers)
    assert moved == stage.columns.sum() * fetch.column_bytes
    assert sum(layer.dram.bytes_read for layer in machine.layers if layer.dram) == pytest.approx(
        moved, rel=1e-12
    )
    # never faster than the bytes over the port, nor than the DRAM's pins
    moving = stage.cycles - stage.stalls["pipeline"] - stage.stalls["activation"]
    assert (moving * port.bytes_per_cycle >= stage.columns * fetch.column_bytes).all()
    seconds = float(moving.sum()) / run.chip.clock
    assert moved / seconds <= port.system.peak_bytes_per_s
    # the two layers of the stage share its time
    assert machine.cycles == run.cycles.sum()
    for layer in machine.layers:
        assert layer.busy + sum(layer.stalls.values()) == layer.cycles
        assert layer.operations <= layer.macs
        assert not layer.cycles or layer.utilisation <= 1


@pytest.mark.parametrize("name", CHIPS)
def test_energy_is_the_sum_of_its_layers_and_more_changes_cost_more(name: str) -> None:
    of, chip = network("gru", 16, 64), load_architecture(name)
    chip = with_thresholds(chip, theta_x=0.0, theta_h=0.0)
    joule = []
    for gamma in (1.0, 0.9, 0.5, 0.0):
        energy = price_run(simulate(Workload(of, activity(of, gamma)), chip))
        parts = sum(sum(part.values()) for part in energy.layers.values())
        assert energy.total == pytest.approx(parts)
        joule.append(energy.total)
    assert joule == sorted(joule)
    assert joule[0] > 0


@pytest.mark.parametrize("name", CHIPS)
def test_inferences_run_one_after_the_other(name: str) -> None:
    of, chip = network("gru", 16, 64), load_architecture(name)
    chip = with_thresholds(chip, theta_x=0.0, theta_h=0.0)
    one, four = (simulate(Workload(of, activity(of, 0.83), batch=batch), chip) for batch in (1, 4))
    assert four.batch == 4
    assert four.macs == 4 * one.macs
    assert four.cycles <= 4 * one.cycles
    whole = simulate(Workload(of, activity(of, 0.75), batch=4), chip)
    assert whole.cycles == 4 * simulate(Workload(of, activity(of, 0.75)), chip).cycles


def test_a_piece_of_the_dram_trace_stands_for_the_whole() -> None:
    of, chip = network("gru", 40, 256), load_architecture("edgedrnn")
    read = read_chip(chip)
    (stage,) = stages_of(of, read)
    columns = columns_of(stage, read)
    generator = np.random.default_rng(0)
    for share in (0.05, 0.3, 1.0):
        sent = generator.random((80, stage.n_columns)) < share
        piece = fetch_of(stage, columns, sent, read, 0)
        whole = fetch_of(stage, columns, sent, read, 0, piece=sent.size)
        assert piece is not None
        assert whole is not None
        assert piece.commands is not None
        assert whole.commands is not None
        assert piece.piece == PIECE < whole.piece
        assert piece.service == pytest.approx(whole.service, rel=0.01)
        opened = piece.commands.activates / piece.piece
        assert opened == pytest.approx(whole.commands.activates / whole.piece, rel=0.06)
        assert piece.commands.reads / piece.piece == whole.commands.reads / whole.piece
    # Rows opened per column of 768 bytes, all in a row: 768 of 2048, and the one that is open at
    # each refresh; 96 cycles of 8 ns per column, 7.8 us between refreshes
    expected = 768 / 2048 + 96 * 8e-9 / 7.8e-6
    assert whole.commands.activates / whole.piece == pytest.approx(expected, rel=0.02)


@pytest.mark.parametrize("hidden", [64, 256, 768])
def test_a_first_step_that_sends_everything_does_not_stand_for_the_others(hidden: int) -> None:
    """References start from 0, so the first columns of a real stream lie one behind the other;
    the later ones are scattered and open more rows."""
    of, read = network("gru", 40, hidden), read_chip(load_architecture("edgedrnn"))
    (stage,) = stages_of(of, read)
    columns = columns_of(stage, read)
    sent = np.random.default_rng(0).random((60, stage.n_columns)) < 0.1
    sent[0] = True
    piece = fetch_of(stage, columns, sent, read, 0)
    whole = fetch_of(stage, columns, sent, read, 0, piece=sent.size)
    assert piece is not None
    assert whole is not None
    assert piece.commands is not None
    assert whole.commands is not None
    opened = piece.commands.activates / piece.piece
    assert opened == pytest.approx(whole.commands.activates / whole.piece, rel=0.05)
    assert piece.service == pytest.approx(whole.service, rel=0.01)


def test_scattered_columns_open_more_rows() -> None:
    of, chip = network("gru", 40, 256), load_architecture("edgedrnn")
    read = read_chip(chip)
    (stage,) = stages_of(of, read)
    columns = columns_of(stage, read)
    sent = np.zeros((40, stage.n_columns), bool)
    sent[:, ::64] = True  # 24 rows of 2048 bytes apart: another row of the same bank each time
    found = fetch_of(stage, columns, sent, read, 0)
    assert found is not None
    assert found.commands is not None
    assert found.commands.activates / found.piece >= 1


def test_a_slow_dram_bounds_the_time_by_its_own_peak() -> None:
    """A port twice as wide as the pins of the DRAM at half the width of a chip is DRAM-bound."""
    of, chip = network("gru", 64, 256), changed(load_architecture("edgedrnn"), port_bytes=64)
    chip = replace(chip, n_pe=64)
    (stage,) = steps(Workload(of, activity(of, 0.0)), chip).stages
    fetch, port = stage.fetch, read_chip(chip).port
    assert fetch is not None
    assert port is not None
    needed = fetch.column_bytes / port.system.peak_bytes_per_s * 125e6
    assert needed > fetch.column_bytes / 64
    assert needed <= fetch.service < 1.1 * needed + 1


# -- zero weights --------------------------------------------------------------------------------


def test_the_longest_sub_column_decides() -> None:
    of, chip = network("lstm", 16, 128), load_architecture("spartus")
    read = read_chip(chip)
    torch.manual_seed(0)
    module = nn.LSTM(16, 128)
    balanced, random = {}, {}
    masks = prune(module, Pruning(0.75, read.n_pe))
    generator = np.random.default_rng(0)
    for layer in of.synaptic_layers:
        weight = dict(module.named_parameters())[layer.name].detach().numpy()
        assert (weight != 0).mean() == 0.25
        assert masks
        balanced[layer.name] = weight
        random[layer.name] = generator.permuted(weight, axis=0)
    (stage,) = stages_of(of, read)
    even, uneven = (columns_of(stage, read, zeros) for zeros in (balanced, random))
    assert even.cost.tolist() == [2] * 144  # 512 rows, 64 elements, 8 weights each, 2 are kept
    worst = [
        nonzeros(torch.from_numpy(random[layer.name]), read.n_pe).max(dim=0).values
        for layer in of.synaptic_layers
    ]
    assert uneven.cost.tolist() == torch.cat(worst).tolist()
    assert even.operations.sum() == uneven.operations.sum()
    chip = with_thresholds(chip, theta_x=0.0, theta_h=0.0)
    times = [
        simulate(Workload(of, activity(of, 0.3), weight_zeros=zeros), chip).cycles
        for zeros in (balanced, {layer.name: 0.75 for layer in of.synaptic_layers}, random, {
            layer.name: 0.0 for layer in of.synaptic_layers
        })
    ]  # fmt: skip
    assert times[0] == times[1] < times[2] < times[3]


def test_zero_weights_are_not_skipped_where_the_chip_does_not() -> None:
    of, chip = network("gru", 16, 64), load_architecture("edgedrnn")
    zeros = {layer.name: 0.9 for layer in of.synaptic_layers}
    dense, sparse = (
        simulate(Workload(of, activity(of, 0.5), weight_zeros=given), chip) for given in ({}, zeros)
    )
    assert dense.cycles == sparse.cycles


# -- other networks and other chips --------------------------------------------------------------


def test_fully_connected_layers_and_a_classifier_behind_the_last_step() -> None:
    class Classifier(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.gru = nn.GRU(8, 16, batch_first=True)
            self.head = nn.Linear(16, 8)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.head(self.gru(x)[0][:, -1])

    of, chip = ts.load(Classifier(), torch.zeros(1, 5, 8)), load_architecture("edgedrnn")
    run = steps(Workload(of, activity(of, 1.0), batch=2), chip)
    assert [stage.stage.cell for stage in run.stages] == ["gru", "linear"]
    assert [len(stage.cycles) for stage in run.stages] == [10, 2]
    gru, head = run.stages
    expected = gru.cycles.copy()
    expected[[4, 9]] += head.cycles
    assert run.cycles.tolist() == expected.tolist()
    assert run.n_parameters == 48 * 25 + 8 * 17
    machine = simulate(Workload(of, activity(of, 1.0), batch=2), chip)
    assert machine.cycles == run.cycles.sum()


def test_more_elements_and_the_host_in_a_chip_of_ones_own() -> None:
    of, chip = network("gru", 40, 128), load_architecture("edgedrnn")
    wide = changed(replace(chip, n_pe=32), port_bytes=32, activation_units=32)
    assert mean_latency(wide, of, 0.0) < mean_latency(chip, of, 0.0) / 1.9
    late = changed(chip, host_cycles=1000)
    assert mean_latency(late, of, 0.5) == pytest.approx(mean_latency(chip, of, 0.5) + 8e-6)
    run = simulate(Workload(of, activity(of, 0.5)), late)
    assert run.layers[0].stalls["host"] == 1000
    assert run.cycles == simulate(Workload(of, activity(of, 0.5)), chip).cycles + 1000


@pytest.mark.parametrize("name", CHIPS)
def test_gamma_needed_is_the_inverse_of_the_latency(name: str) -> None:
    of, chip = network("lstm", 32, 128), load_architecture(name)
    for gamma in (0.3, 0.9):
        latency = mean_latency(chip, of, gamma)
        found = gamma_needed(chip, of, latency)
        assert mean_latency(chip, of, found) <= latency
        assert found <= gamma + 0.001
        assert least_gamma(chip, of, latency) <= found + 1e-9
    assert gamma_needed(chip, of, 1.0) == 0.0


def test_a_share_of_zeros_that_leaves_no_weight_is_out_of_range() -> None:
    """72 rows over 64 elements are 2 weights each; 94 % zeros round to none of them."""
    small, large = network("gru", 16, 24), network("gru", 64, 512)
    chip = with_thresholds(load_architecture("spartus"), theta_x=0.0, theta_h=0.0)
    none = simulate(Workload(small, activity(small, 0.5)), chip)
    assert sum(layer.operations for layer in none.layers) == 0
    assert any("nothing is multiplied" in note for note in none.out_of_range)
    some = simulate(Workload(large, activity(large, 0.5)), chip)
    assert sum(layer.operations for layer in some.layers) > 0
    assert not some.out_of_range


def test_a_slow_clock_leaves_the_port_to_set_the_time() -> None:
    """At 1 kHz a burst is asked for every 256 refreshes; these are not simulated one by one."""
    of, read = network("gru", 40, 256), read_chip(load_architecture("edgedrnn"))
    (stage,) = stages_of(of, read)
    columns, read = columns_of(stage, read), replace(read, clock=1e3)
    found = fetch_of(stage, columns, np.ones((2, stage.n_columns), bool), read, 0)
    assert found is not None
    assert found.commands is not None
    assert found.service == found.column_bytes // 8
    assert found.commands.activates == found.commands.reads == found.piece * 48
    assert found.commands.refreshes <= 8 * found.commands.reads
