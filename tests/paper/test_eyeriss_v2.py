"""Eyeriss v2-like machine: codec, PEs against a slow reference, laws, and what Chen 2019 prints."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tospike.activity import ActivityProfile
from tospike.architecture import Architecture, load_architecture
from tospike.errors import DataError, ModelError, RangeError
from tospike.machines import MachineRun, Workload, price_run, simulate
from tospike.machines.eyeriss_v2 import decode, encode, exact, mapping, published, with_drawn_traces
from tospike.machines.eyeriss_v2.chip import chip_of
from tospike.machines.eyeriss_v2.kernel import chain_cycles, column_words, uses_of
from tospike.machines.eyeriss_v2.reference import chain_row, pe_row
from tospike.machines.eyeriss_v2.tensors import patterns
from tospike.machines.row_stationary.benchmarks import (
    alexnet,
    convolution,
    linear,
    mobilenet_half,
)
from tospike.machines.row_stationary.shape import shapes
from tospike.network import Layer, Network
from tospike.network.importers import load
from tospike.network.network import Origin

QUICK = settings(deadline=None, derandomize=True, max_examples=40)
FEW = settings(QUICK, max_examples=15)
DTYPES = (np.int8, np.uint8, np.int16, np.float32, np.float64, np.bool_)


@cache
def chip() -> Architecture:
    return load_architecture("eyeriss_v2")


# -- CSC -------------------------------------------------------------------------------------------


def test_csc_of_the_example_in_the_paper() -> None:
    """Chen 2019, Fig. 16 in words: column 1 lies at 2 to 5, column 3 is empty and repeats 6."""
    columns = np.array([[1, 2, 0, 0], [3, 4, 0, 5], [0, 0, 6, 0], [0, 0, 0, 0], [7, 0, 0, 0]])
    found = encode(columns, segment=4)
    assert found.address.tolist() == [0, 2, 5, 6, 6, 7]
    assert found.data.tolist() == [1, 2, 3, 4, 5, 6, 7]
    assert found.count.tolist() == [0, 0, 0, 0, 1, 2, 0]


@QUICK
@given(
    values=st.sampled_from(DTYPES).flatmap(
        lambda dtype: hnp.arrays(dtype, hnp.array_shapes(min_dims=0, max_dims=4, min_side=0,
                                                         max_side=9))
    ),
    segment=st.integers(1, 40),
    count_bits=st.integers(1, 5),
)  # fmt: skip
def test_csc_round_trip_is_bit_exact(values: np.ndarray, segment: int, count_bits: int) -> None:
    packed = encode(values, segment, count_bits)
    back = decode(packed)
    assert back.shape == values.shape
    assert back.dtype == values.dtype
    assert back.tobytes() == np.ascontiguousarray(values).tobytes()
    assert packed.count.max(initial=0) < 2**count_bits


@QUICK
@given(
    values=hnp.arrays(np.int8, st.integers(0, 60), elements=st.sampled_from([0, 0, 0, 0, 1, -5])),
    segment=st.integers(1, 40),
)
def test_csc_pairs_are_those_of_a_walk(values: np.ndarray, segment: int) -> None:
    pairs, address, run = [], [0], 0
    for place, value in enumerate(values):
        run = 0 if place % segment == 0 else run
        if place and place % segment == 0:
            address.append(len(pairs))
        if value:
            pairs += [(3, 0)] * (run // 4) + [(run % 4, int(value))]
            run = 0
        else:
            run += 1
    address += [len(pairs)] if len(values) else []
    found = encode(values, segment, count_bits=2)
    assert list(zip(found.count.tolist(), found.data.tolist(), strict=True)) == pairs
    assert found.address.tolist() == address


def test_csc_refuses_what_it_cannot_store() -> None:
    with pytest.raises(RangeError) as caught:
        encode(np.array(["a"]), segment=0, count_bits=0)
    text = str(caught.value)
    for reason in ("segment is 0", "count_bits is 0", "numbers are needed"):
        assert reason in text


# -- PEs against the reference ---------------------------------------------------------------------


def sparse(rng: np.random.Generator, shape: tuple[int, ...], share: float) -> np.ndarray:
    return (rng.integers(1, 9, shape) * (rng.random(shape) < share)).astype(np.int64)


@FEW
@given(seed=st.integers(0, 10_000), share=st.sampled_from([0.0, 0.3, 0.7, 1.0]))
def test_a_pe_computes_the_convolution_and_its_cycles_are_the_kernels(
    seed: int, share: float
) -> None:
    rng = np.random.default_rng(seed)
    c0, m0, taps, stride, outputs = (int(v) for v in rng.integers(1, 4, 5))
    m0 *= 7  # runs of more than 15 zeros
    width = (outputs - 1) * stride + taps
    iacts = sparse(rng, (c0, width), share)
    weights = sparse(rng, (m0, c0, taps), 0.3)
    cycles, psums = pe_row(iacts, weights, stride, 2, 4)
    for x in range(outputs):
        window = iacts[:, x * stride : x * stride + taps]
        assert np.array_equal(psums[:, x], np.einsum("mct,ct->m", weights, window))
    uses = uses_of(iacts != 0, taps, stride, outputs)
    words = column_words((weights != 0)[None, :, :, None], m0, 2, 16)[0, 0, :, 0]
    assert cycles == int((uses * words).sum())


@FEW
@given(seed=st.integers(0, 10_000))
def test_chains_wait_for_their_slowest_pe(seed: int) -> None:
    rng = np.random.default_rng(seed)
    channels, rows, taps, out_rows, outputs = (int(v) for v in rng.integers(1, 5, 5))
    c0, m0, stride, filters = int(rng.integers(1, channels + 1)), 3, int(rng.integers(1, 3)), 5
    height, width = (out_rows - 1) * stride + rows, (outputs - 1) * stride + taps
    iacts = sparse(rng, (channels, height, width), 0.5)
    weights = sparse(rng, (filters, channels, rows, taps), 0.5)
    mask = (iacts != 0).reshape(-1, width)
    uses = uses_of(mask, taps, stride, outputs).reshape(1, 1, channels, height, taps)
    words = column_words((weights != 0)[None], m0, 2, 16)
    blocks = -(-channels // c0)
    found = chain_cycles(uses, words, c0, blocks, stride, out_rows)
    assert found.shape == (2, 1, out_rows)
    for part, first in enumerate(range(0, filters, m0)):
        for e in range(out_rows):
            block = weights[first : first + m0]
            slowest, psums = chain_row(iacts, block, (stride, stride), e, c0, 2, 4)
            assert found[part, 0, e] == slowest
            window = iacts[:, e * stride : e * stride + rows, :taps]
            assert np.array_equal(psums[:, 0], np.einsum("mcrs,crs->m", block, window))


@FEW
@given(seed=st.integers(0, 10_000), pick=st.integers(0, 10**6))
def test_a_layer_takes_the_slowest_lanes_of_its_passes(seed: int, pick: int) -> None:
    """With free transfers, a mapping is walked pass by pass with the reference PEs."""
    free = replace(
        chip_of(chip()),
        iact_port_bits=10**9,
        weight_port_bits=10**9,
        psum_port_bits=10**9,
        psum_word_cycles=0.0,
        pipeline_stages=1,
    )
    rng = np.random.default_rng(seed)
    groups, size = int(rng.integers(1, 3)), int(rng.integers(3, 6))
    layer = network(conv("c", 4 * groups, 6 * groups, size, groups=groups))
    trace = sparse(rng, (2, 4 * groups, size, size), 0.5)
    weights = sparse(rng, (6 * groups, 4, 3, 3), 0.5)
    work = Workload(layer, traces={"c": trace}, weight_zeros={"c": weights}, batch=2)
    shape = shapes(layer, 2, "test")[0]
    pattern = patterns(work, (shape,), "test", 0.0)[0]
    many = mapping.candidates(shape, free, mapping.Density(0.5, 0.5, True, True))
    one = many.take(np.array([pick % len(many)]))
    assert pattern.weights is not None
    words = exact.Words(pattern.weights, free)
    found = exact.evaluate(one, shape, free, 0.5, exact.uses(pattern, shape), words)
    if found is not None:
        assert found.cycles == walked_cycles(one, trace, weights, groups, size)


def walked_cycles(
    one: mapping.Mappings, trace: np.ndarray, weights: np.ndarray, groups: int, size: int
) -> int:
    """Cycles of a 3 x 3 layer with padding 1, every PE walked by the reference."""
    c0, m0, _, blocks, lanes, width, packed_iact, packed_weight, _ = (
        int(value[0]) for value in vars(one).values()
    )
    padded = np.pad(trace, ((0, 0), (0, 0), (1, 1), (1, 1)))
    iacts = padded if packed_iact else np.ones_like(padded)
    used = weights if packed_weight else np.ones_like(weights)
    sets = [(g, m) for g in range(groups) for m in range(0, 6, m0)]
    total = 0
    for first in range(0, len(sets), width):
        for turn in range(0, 4, c0 * blocks):
            slowest = 0
            for g, m in sets[first : first + width]:
                part = slice(turn, min(turn + c0 * blocks, 4))
                block = used[6 * g : 6 * g + 6][m : m + m0, part]
                lane = [0] * lanes
                for row in range(2 * size):
                    maps = iacts[row // size, 4 * g : 4 * g + 4][part]
                    cycles, _ = chain_row(maps, block, (1, 1), row % size, c0, 2, 4)
                    # one address per segment and window: three segments
                    lane[row % lanes] += max(cycles, 3 * size if packed_iact else 0)
                slowest = max(slowest, *lane)
            total += slowest
    return total


def test_without_zeros_the_mean_is_exact() -> None:
    layer = network(conv("c", 32, 64, 8, kernel=1))
    mean = Workload(layer, ActivityProfile.assumed(layer, zero_fraction=0.0, origin="assumed"))
    real = Workload(layer, traces={"c": np.ones((1, 32, 8, 8))})
    assert simulate(mean, chip()).cycles == simulate(real, chip()).cycles


# -- laws ------------------------------------------------------------------------------------------


def conv(name: str, inputs: int, outputs: int, size: int, **other: int) -> Layer:
    kernel = other.pop("kernel", 3)
    return convolution(name, inputs, outputs, size, kernel, padding=kernel // 2, **other)


def network(*layers: Layer) -> Network:
    return Network(layers, (), (), Origin("records", "made by hand"))


SMALL = network(
    conv("first", 3, 8, 12, stride=2),
    conv("depthwise", 8, 8, 6, groups=8),
    conv("point", 8, 20, 6, kernel=1),
    conv("grouped", 20, 12, 6, groups=2),
    linear("fc", 432, 10),
)


def assumed(zeros: float, weights: float = 0.0, batch: int = 1) -> Workload:
    profile = ActivityProfile.assumed(SMALL, zero_fraction=zeros, origin="assumed")
    share = {layer.name: weights for layer in SMALL.layers}
    return Workload(SMALL, profile, batch=batch, weight_zeros=share)


def check(run: MachineRun) -> None:
    for layer in run.layers:
        assert layer.cycles >= layer.operations / run.architecture.n_pe
        assert 0 <= layer.utilisation <= 1 + 1e-9
        assert layer.operations <= layer.macs
        assert layer.active_pe <= run.architecture.n_pe
        assert layer.busy + sum(layer.stalls.values()) == layer.cycles


@FEW
@given(
    zeros=st.floats(0, 1), weights=st.floats(0, 1), batch=st.integers(1, 3), traced=st.booleans()
)
def test_no_multiplier_does_two_macs_in_a_cycle(
    zeros: float, weights: float, batch: int, traced: bool
) -> None:
    work = assumed(zeros, weights, batch)
    run = simulate(with_drawn_traces(work, seed=3) if traced else work, chip())
    check(run)
    assert run.macs == batch * SMALL.n_synapses


@FEW
@given(zeros=st.floats(0, 1), weights=st.floats(0, 1), more=st.floats(0, 1))
def test_zeros_never_cost_cycles(zeros: float, weights: float, more: float) -> None:
    few = simulate(assumed(zeros, weights), chip())
    iacts = simulate(assumed(zeros + (1 - zeros) * more, weights), chip())
    both = simulate(assumed(zeros, weights + (1 - weights) * more), chip())
    for a, b, c in zip(few.layers, iacts.layers, both.layers, strict=True):
        assert b.cycles <= a.cycles
        assert c.cycles <= a.cycles


@settings(QUICK, max_examples=5)
@given(seed=st.integers(0, 1000), share=st.sampled_from([0.2, 0.5, 0.9]))
def test_a_value_turned_to_zero_never_slows_a_mapping(seed: int, share: float) -> None:
    rng = np.random.default_rng(seed)
    layer = network(conv("c", 6, 10, 8))
    trace = sparse(rng, (1, 6, 8, 8), share)
    weights = sparse(rng, (10, 6, 3, 3), share)
    fewer = trace * (rng.random(trace.shape) < 0.8)
    pruned = weights * (rng.random(weights.shape) < 0.8)
    full = Workload(layer, traces={"c": trace}, weight_zeros={"c": weights})
    ways = candidate_cycles(full)
    for other in (
        replace(full, traces={"c": fewer}),
        replace(full, weight_zeros={"c": pruned}),
    ):
        found = candidate_cycles(other)
        for key, cycles in ways.items():
            assert found[key] <= cycles


def candidate_cycles(work: Workload) -> dict[tuple[int, ...], float]:
    """Cycles of every mapping that fits."""
    of = chip_of(chip())
    layers = shapes(work.network, 1, "test")
    pattern = patterns(work, layers, "test", 0.0)[0]
    density = mapping.Density(pattern.iact, pattern.weight, True, True)
    many = mapping.candidates(layers[0], of, density._replace(weight=0.0))
    counted = exact.uses(pattern, layers[0])
    assert pattern.weights is not None
    words = exact.Words(pattern.weights, of)
    found = {}
    for index in range(3, len(many), 41):
        one = many.take(np.array([index]))
        cycles = exact.evaluate(one, layers[0], of, pattern.iact, counted, words)
        if cycles is not None:
            key = tuple(int(value[0]) for value in vars(one).values())
            found[key] = cycles.cycles
    assert found
    return found


def test_statistics_hide_the_imbalance() -> None:
    """Equal shares of zeros: the mean PE is never slower than the slowest one (1 % for draws)."""
    work = assumed(0.6, 0.5)
    mean, real = simulate(work, chip()), simulate(with_drawn_traces(work), chip())
    assert mean.cycles < real.cycles
    assert any("imbalance" in line for line in mean.assumptions)
    assert not any("imbalance" in line for line in real.assumptions)


def with_handling(activation: str, weight: str) -> Architecture:
    return replace(chip(), zero_handling={"activation": activation, "weight": weight})  # type: ignore[dict-item]


def test_skipping_gating_and_neither() -> None:
    work = assumed(0.6, 0.5)
    runs = {mode: simulate(work, with_handling(mode, mode)) for mode in ("none", "gate", "skip")}
    assert runs["skip"].cycles < runs["gate"].cycles == runs["none"].cycles
    alu = {mode: price_run(run).components["alu"] for mode, run in runs.items()}
    assert alu["skip"] < alu["gate"] < alu["none"]
    macs = SMALL.n_synapses
    assert sum(layer.operations for layer in runs["none"].layers) == macs
    assert float(runs["none"].counts.total(action="mac")) == macs
    assert float(runs["none"].counts.total(action="mac_gated")) == 0
    gated = runs["gate"].counts
    assert float(gated.total(action="mac") + gated.total(action="mac_gated")) == pytest.approx(macs)


def test_executed_macs_are_the_products_without_a_zero() -> None:
    rng = np.random.default_rng(5)
    trace, weights = sparse(rng, (1, 6, 8, 8), 0.4), sparse(rng, (10, 6, 3, 3), 0.3)
    layer = network(conv("c", 6, 10, 8))
    run = simulate(Workload(layer, traces={"c": trace}, weight_zeros={"c": weights}), chip())
    padded = np.pad(trace[0] != 0, ((0, 0), (1, 1), (1, 1)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(1, 2))
    products = np.einsum("cyxrs,mcrs->", windows.astype(int), (weights != 0).astype(int))
    assert run.layers[0].operations == products


def test_depthwise_layers_have_nothing_to_skip() -> None:
    """Chen 2019, V-A2: no skippable cycles when there is one input and one output channel."""
    layer = network(conv("dw", 16, 16, 16, groups=16))
    cycles = {
        zeros: simulate(
            Workload(layer, ActivityProfile.assumed(layer, zero_fraction=zeros, origin="assumed")),
            chip(),
        ).cycles
        for zeros in (0.0, 0.9)
    }
    assert cycles[0.9] >= 0.7 * cycles[0.0]


def test_a_limited_dram_slows_down() -> None:
    bandwidth = replace(chip().clock, value=1e6, low=1e6, high=1e6)
    slow = replace(chip(), parameters={**chip().parameters, "dram_bandwidth": bandwidth})
    work = assumed(0.5)
    run = simulate(work, slow)
    for layer in run.layers:
        assert layer.cycles >= layer.bytes["dram"].total / 1e6 * 200e6 * (1 - 1e-9)
    assert run.cycles > simulate(work, chip()).cycles


# -- published -------------------------------------------------------------------------------------


@cache
def benchmark_runs() -> dict[str, MachineRun]:
    rows = published.workloads()
    return {f"{name}, {text}": simulate(workload, chip()) for name, text, workload in rows}


def test_networks_are_those_that_were_benchmarked() -> None:
    printed = published.PRINTED_MACS  # 49.2M and 724.4M
    assert mobilenet_half().n_synapses == pytest.approx(printed["MobileNet"], abs=0.05e6)
    assert alexnet().n_synapses == pytest.approx(printed["AlexNet"], abs=0.05e6)


def test_recalled_values_agree_with_the_text() -> None:
    """Ratios that the running text prints: 12.6x, 5.3x and 3.9x (V-B, V-C)."""
    rows = {row.network: row for row in published.PRINTED}
    assert rows["MobileNet"].per_second / rows["AlexNet"].per_second == pytest.approx(
        12.6, abs=0.05
    )
    fast, slow = rows["sparse MobileNet"], rows["sparse AlexNet"]
    assert fast.per_second / slow.per_second == pytest.approx(5.3, abs=0.05)
    assert fast.per_joule / slow.per_joule == pytest.approx(3.9, abs=0.05)


def test_throughput_of_alexnet_is_within_two_fifths() -> None:
    """Dense and pruned; the mean PE, so that the model should be the faster one."""
    runs = benchmark_runs()
    rows = {row.network: row for row in published.PRINTED}
    dense = 1 / runs["AlexNet, zeros of Chen 2017"].latency
    pruned = 1 / runs["sparse AlexNet, zeros of Chen 2017, weights of Han 2015"].latency
    assert dense == pytest.approx(rows["AlexNet"].per_second, rel=0.40)
    assert pruned == pytest.approx(rows["sparse AlexNet"].per_second, rel=0.20)


def test_mobilenet_lies_between_no_zeros_and_half_zeros() -> None:
    runs = benchmark_runs()
    rows = {row.network: row for row in published.PRINTED}
    none = 1 / runs["MobileNet, 0% zeros at every layer but the first"].latency
    half = 1 / runs["MobileNet, 50% zeros at every layer but the first"].latency
    assert 0.98 * none < rows["MobileNet"].per_second < half


def test_dram_of_the_convolutions_is_below_the_published() -> None:
    runs = benchmark_runs()
    dense = runs["AlexNet, zeros of Chen 2017"].layers[:5]
    found = sum(layer.bytes["dram"].total for layer in dense) / 1e6
    assert 0.5 * 7.1 < found < 7.1  # V-B: "7.1 MB and 4.6 MB for AlexNet and sparse AlexNet"


# -- messages --------------------------------------------------------------------------------------


def test_missing_and_unfit_activity_is_refused_at_once() -> None:
    layer = network(conv("a", 2, 2, 4), conv("b", 2, 2, 4), conv("c", 2, 2, 4))
    traces = {"b": np.zeros((1, 5, 5)), "c": np.full((1, 2, 4, 4), np.nan)}
    with pytest.raises(DataError) as caught:
        simulate(Workload(layer, traces=traces), chip())
    text = str(caught.value)
    for reason in ("'a': neither", "'b': trace of shape", "'c': trace with NaN"):
        assert reason in text


def test_weights_of_another_shape_are_refused() -> None:
    layer = network(conv("a", 2, 2, 4))
    profile = ActivityProfile.assumed(layer, zero_fraction=0.5, origin="assumed")
    with pytest.raises(DataError, match="weights of shape"):
        simulate(Workload(layer, profile, weight_zeros={"a": np.zeros(5)}), chip())
    with pytest.raises(DataError, match=r"share of zero weights 1\.5"):
        simulate(Workload(layer, profile, weight_zeros={"a": 1.5}), chip())


def test_layers_that_the_pes_cannot_hold_are_named() -> None:
    wide = network(Layer("wide", "conv", (1, 64), (1, 1), (64,), (1,), (0,), (1,),
                         n_synapses=64, n_synapses_exact=64, n_weights=64))  # fmt: skip
    profile = ActivityProfile.assumed(wide, zero_fraction=0, origin="assumed")
    with pytest.raises(RangeError, match="'wide': kernel of 1 x 64"):
        simulate(Workload(wide, profile), chip())
    attention = network(Layer("att", "matmul", (4, 4), (4, 4), n_synapses=64))
    with pytest.raises(ModelError, match="'att'"):
        simulate(Workload(attention), chip())


def test_a_chip_that_makes_no_sense_is_refused(tmp_path: Path) -> None:
    import tospike.architecture

    packaged = Path(tospike.architecture.__file__).parent / "data" / "eyeriss_v2.yaml"
    text = packaged.read_text()
    path = tmp_path / "mine.yaml"
    path.write_text(text.replace("n_pe: 384", "n_pe: 192"))
    with pytest.raises(RangeError, match="n_pe is 192"):
        simulate(assumed(0.5), load_architecture(path))
    path.write_text(text.replace('simd: {value: "2"', 'simd: {value: "0.5"'))
    with pytest.raises(RangeError, match=r"simd is 0\.5"):
        simulate(assumed(0.5), load_architecture(path))


def test_an_output_that_sees_nothing_but_padding() -> None:
    """A 1 x 1 kernel with padding 3 and a stride beyond the map: the window lies outside."""
    net = load(torch.nn.Conv2d(3, 4, 1, padding=3, stride=100), torch.zeros(1, 3, 5, 5))
    (layer,) = net.synaptic_layers
    found = simulate(Workload(net, None, {layer.name: np.ones((1, 3, 5, 5))}), "eyeriss_v2")
    assert found.layers[0].operations == 0
    assert found.macs == 12
