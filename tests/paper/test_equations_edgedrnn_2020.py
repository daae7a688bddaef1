"""EdgeDRNN: printed sizes and throughputs; latency, bursts and references by brute force."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tospike.equations import edgedrnn_2020 as edgedrnn
from tospike.equations import liu_delbruck_2019 as liu
from tospike.errors import RangeError
from tospike.pricing import price

SIZES = st.integers(1, 12)


def test_printed_sizes() -> None:
    # authors' test program: 2L-16H with 8 inputs has 2784 parameters, bias columns included
    assert edgedrnn.parameters(n_inputs=8, n_hidden=16, n_layers=2) == 2784
    assert edgedrnn.operations(n_parameters=2784) == 5568
    # abstract: 2L-768H has 5.4 M weights and needs 10.8 MOp, about 0.5 ms at 20.2 GOp/s
    large = edgedrnn.parameters(n_inputs=40, n_hidden=768, n_layers=2)
    assert round(float(large) / 1e6, 1) == 5.4
    n_operations = edgedrnn.operations(n_parameters=large)
    assert round(float(n_operations) / 1e6, 1) == 10.8
    mean_latency = float(n_operations) / 20.2e9
    assert mean_latency == pytest.approx(0.5e-3, rel=0.08)
    found = edgedrnn.effective_throughput(n_operations=n_operations, mean_latency=mean_latency)
    assert found == pytest.approx(20.2e9)


def test_range_of_inputs_that_fit_the_printed_sizes() -> None:
    fits = [
        n
        for n in range(1, 200)
        if round(float(edgedrnn.parameters(n_inputs=n, n_hidden=768, n_layers=2)) / 1e6, 1) == 5.4
        and round(2 * float(edgedrnn.parameters(n_inputs=n, n_hidden=768, n_layers=2)) / 1e6, 1)
        == 10.8
    ]
    assert (fits[0], fits[-1]) == (27, 48)  # the docstring says so


def test_printed_throughput_needs_tenfold_fewer_reads() -> None:
    # 20.2 GOp/s on 2 GOp/s of multipliers: "up to 10x" fewer DRAM accesses, by the abstract
    assert edgedrnn.peak_throughput() == 2e9
    n_parameters = edgedrnn.parameters(n_inputs=40, n_hidden=768, n_layers=2)
    gamma = edgedrnn.latency_sparsity(
        mean_latency=2 * n_parameters / 20.2e9, n_parameters=n_parameters
    )
    assert 1 / (1 - gamma) == pytest.approx(20.2 / 2.0)


@settings(deadline=None, derandomize=True, max_examples=40)
@given(SIZES, SIZES, st.integers(1, 3))
def test_parameters_by_enumeration(n_inputs: int, n_hidden: int, n_layers: int) -> None:
    total, width = 0, n_inputs
    for _ in range(n_layers):
        for _gate in range(3):
            for _row in range(n_hidden):
                total += 1 + width + n_hidden
        width = n_hidden
    found = edgedrnn.parameters(n_inputs=n_inputs, n_hidden=n_hidden, n_layers=n_layers)
    assert found == total


@settings(deadline=None, derandomize=True, max_examples=40)
@given(st.integers(0, 20), SIZES, st.integers(1, 9))
def test_latency_clock_by_clock(sent: int, n_hidden: int, n_pe: int) -> None:
    clocks = 0
    for _column in range(sent):
        left = 3 * n_hidden
        while left > 0:
            left -= n_pe
            clocks += 1
    found = edgedrnn.latency(sent=sent, n_hidden=n_hidden, n_pe=n_pe, clock_hz=1.0)
    assert found == clocks
    late = edgedrnn.latency(
        sent=sent, n_hidden=n_hidden, n_pe=n_pe, clock_hz=1.0, overhead_clocks=7
    )
    assert late == clocks + 7


@settings(deadline=None, derandomize=True, max_examples=40)
@given(SIZES, st.sampled_from([1, 8, 16, 64]), st.sampled_from([4, 8, 16]), st.sampled_from([3, 4]))
def test_columns_in_whole_bursts(n_hidden: int, burst: int, bits: int, gates: int) -> None:
    bursts, left = 0, math.ceil(gates * n_hidden * bits / 8)
    while left > 0:
        bursts, left = bursts + 1, left - burst
    found = edgedrnn.column_bytes(
        n_hidden=n_hidden, burst_bytes=burst, weight_bits=bits, n_gates=gates
    )
    if burst == 1:  # half bytes are not rounded up to whole bursts of one
        assert found == math.ceil(gates * n_hidden * bits / 8)
    else:
        assert found == bursts * burst


def test_burst_padding_of_a_known_column() -> None:
    # 3 x 400 x 8 bit = 1200 byte: 18.75 bursts of 64 byte
    assert edgedrnn.column_bytes(n_hidden=400, burst_bytes=64) == 1216
    assert edgedrnn.weight_traffic(sent=10, n_hidden=400, burst_bytes=64) == 12160
    # 2L-768H: 2304 byte are 36 whole bursts, nothing is padded
    assert edgedrnn.column_bytes(n_hidden=768, burst_bytes=64) == 2304


def test_nothing_sent_leaves_the_references_only() -> None:
    counts = edgedrnn.delta_gru(
        n_inputs=40, n_hidden=768, sparsity_x=1.0, sparsity_h=1.0, burst_bytes=64
    )
    assert counts.total(component="dram") == 0
    assert counts.total(action="mac") == 0
    assert counts.total(datatype="reference", action="read") == 40 + 768
    assert counts.total(datatype="reference", action="write") == 0
    assert counts.total(component="sram", datatype="psum", action="read") == 4 * 768


def test_reads_the_weights_of_the_paper_of_liu() -> None:
    sizes = {"n_inputs": 40.0, "n_hidden": 768.0, "sparsity_x": 0.25, "sparsity_h": 0.9}
    counts = edgedrnn.delta_gru(**sizes, burst_bytes=64)
    assert counts.total(component="dram") == pytest.approx(liu.gru_weight_reads(**sizes))
    assert counts.total(action="mac") == pytest.approx(liu.gru_weight_reads(**sizes))
    words = edgedrnn.reference_memories(**sizes)
    kept = words.total(action="read", component="sram")
    assert kept == liu.reference_words(n_inputs=40, n_hidden=768)


def test_steps_scale_everything_and_it_can_be_priced() -> None:
    sizes = {"n_inputs": 40, "n_hidden": 64, "sparsity_x": 0.5, "sparsity_h": 0.5}
    one = edgedrnn.delta_gru(**sizes, burst_bytes=32)
    ten = edgedrnn.delta_gru(**sizes, burst_bytes=32, n_steps=10)
    energies = [float(price(counts, "horowitz_2014_45nm").energy) for counts in (one, ten)]
    assert energies[1] == pytest.approx(10 * energies[0])


def test_references_are_cheap_beside_the_weights_in_dram() -> None:
    counts = edgedrnn.delta_gru(
        n_inputs=768, n_hidden=768, sparsity_x=0.9, sparsity_h=0.9, burst_bytes=64
    )
    parts = price(counts, "horowitz_2014_45nm", sram_bytes=32 * 1024)
    neuron = sum(float(part.energy) for part in parts.parts if part.part == "neuron")
    assert neuron < 0.1 * float(parts.energy)


@pytest.mark.parametrize("gamma", [-0.1, 1.1, np.nan])
def test_shares_are_checked(gamma: float) -> None:
    with pytest.raises(RangeError, match="sparsity_h"):
        edgedrnn.sent_columns(n_inputs=1, n_hidden=1, sparsity_x=0.0, sparsity_h=gamma)


def test_sizes_are_checked() -> None:
    with pytest.raises(RangeError, match="n_layers"):
        edgedrnn.parameters(n_inputs=1, n_hidden=1, n_layers=0)
    with pytest.raises(RangeError, match="burst_bytes"):
        edgedrnn.column_bytes(n_hidden=1, burst_bytes=0)
