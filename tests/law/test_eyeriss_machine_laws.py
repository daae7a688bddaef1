"""Eyeriss v1: counts against a walk over every value, the run-length code, laws, other chips."""

from __future__ import annotations

import itertools
from collections import Counter
from dataclasses import replace
from functools import cache
from math import ceil
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tospike.activity import ActivityProfile
from tospike.architecture import Architecture, load_architecture
from tospike.architecture.load import _DATA
from tospike.machines import MachineRun, Workload, price_run, simulate
from tospike.machines.eyeriss import rlc
from tospike.machines.eyeriss.chip import Chip, chip_of
from tospike.machines.eyeriss.mapping import Mapping, choose, misfit, sets_of
from tospike.machines.eyeriss.memory import off_chip
from tospike.machines.eyeriss.passes import work_of
from tospike.machines.row_stationary.shape import Shape
from tospike.network import Layer, Network
from tospike.network.network import INPUT, Edge, Origin
from tospike.network.zoo import load_zoo

QUICK = settings(max_examples=40, deadline=None, derandomize=True)
CODE = rlc.Rlc()


@cache
def chip() -> Chip:
    return chip_of(load_architecture("eyeriss_v1"))


def convolution(
    channels: int, filters: int, high: int, wide: int, rows: int, columns: int,
    stride: int = 1, padding: int = 0, groups: int = 1, name: str = "conv",
) -> Layer:  # fmt: skip
    """A layer as an importer makes it; channels and filters of all groups."""
    e = (high + 2 * padding - rows) // stride + 1
    f = (wide + 2 * padding - columns) // stride + 1
    weights = filters * channels // groups * rows * columns
    inside = sum(
        0 <= y * stride - padding + i < high and 0 <= x * stride - padding + j < wide
        for y, x, i, j in itertools.product(range(e), range(f), range(rows), range(columns))
    )
    return Layer(
        name, "conv", (channels, high, wide), (filters, e, f), (rows, columns),
        (stride, stride), (padding, padding), (1, 1), groups,
        n_synapses=weights * e * f, n_synapses_exact=filters * channels // groups * inside,
        n_neurons=filters * e * f, n_inputs=channels * high * wide, n_weights=weights,
    )  # fmt: skip


def network(*layers: Layer, first: bool = True) -> Network:
    names = [layer.name for layer in layers]
    edges = [Edge(INPUT, names[0], layers[0].n_inputs)] if first else []
    edges += [Edge(a, b, layer.n_inputs) for (a, b), layer in
              zip(itertools.pairwise(names), layers[1:], strict=True)]  # fmt: skip
    return Network(layers, tuple(edges), (names[-1],), Origin("zoo", "test"))


def run(net: Network, zeros: float = 0.5, batch: int = 1, **change: object) -> MachineRun:
    profile = ActivityProfile.assumed(net, zero_fraction=zeros, origin="test")
    architecture = load_architecture("eyeriss_v1")
    return simulate(Workload(net, profile, batch=batch), replace(architecture, **change))  # type: ignore[arg-type]  # fields of an Architecture


# -- counts against a walk -------------------------------------------------------------------------


class Case(NamedTuple):
    layer: Layer
    shape: Shape
    mapping: Mapping


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """A small layer and any mapping of it, sensible or not."""
    rows, columns = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    stride, padding = draw(st.integers(1, 2)), draw(st.integers(0, 1))
    groups = draw(st.sampled_from([1, 1, 2]))
    channels, filters = (draw(st.integers(1, 5)) * groups for _ in range(2))
    high = draw(st.integers(max(1, rows - 2 * padding), 7))
    wide = draw(st.integers(max(1, columns - 2 * padding), 7))
    layer = convolution(channels, filters, high, wide, rows, columns, stride, padding, groups)
    images = draw(st.integers(1, 3))
    e_all, f_all = layer.output_shape[1:]
    shape = Shape(
        "conv", groups, channels // groups, filters // groups, rows, columns, e_all, f_all,
        stride, stride, images,
    )  # fmt: skip
    t, p = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    mapping = Mapping(
        n=draw(st.sampled_from([1, images])),
        m=p * t * draw(st.integers(1, 2)),
        e=draw(st.integers(1, e_all)),
        f=draw(st.integers(1, f_all)),
        p=p,
        q=draw(st.integers(1, 3)),
        r=draw(st.integers(1, 2)),
        t=t,
        pieces=1,
        active_pe=rows * e_all * 4,
    )
    return Case(layer, shape, mapping)


def chunks(total: int, size: int) -> list[range]:
    return [range(k, min(k + size, total)) for k in range(0, total, size)]


def walk(case: Case) -> dict[str, int]:
    """Every pass, value by value, with sets of coordinates: what the fast sums must give."""
    layer, s, m = case
    high, wide = layer.input_shape[1:]
    pad = layer.padding[0]
    seen: Counter[tuple[int, ...]] = Counter()
    psums: Counter[tuple[int, ...]] = Counter()
    found: Counter[str] = Counter()
    for group, images, maps in itertools.product(
        range(s.groups), chunks(s.images, m.n), chunks(s.filters, m.m)
    ):
        for ys, xs in itertools.product(chunks(s.out_rows, m.e), chunks(s.out_columns, m.f)):
            loaded: set[tuple[int, ...]] = set()
            for cs in chunks(s.channels, m.q * m.r):
                for k in chunks(len(maps), m.p * m.t):
                    kernels = maps[k.start : k.stop]
                    inputs, weights, outputs = set(), set(), set()
                    for n, c, f, y, x, i, j in itertools.product(
                        images, cs, kernels, ys, xs, range(s.rows), range(s.columns)
                    ):
                        seen[group, n, c, f, y, x, i, j] += 1
                        row, column = y * s.stride_rows + i, x * s.stride_columns + j
                        inputs.add((n, c, row, column))
                        weights.add((f, c, i, j))
                        outputs.add((n, f, y, x))
                    found["passes"] += 1
                    # whole rows between the first and the last column move, also at strides
                    found["ifmap_reads"] += (
                        len(images) * len(cs) * span(inputs, 2) * span(inputs, 3)
                    )
                    found["filter_reads"] += len(weights)
                    found["psum_writes"] += len(outputs)
                    for place in outputs:
                        psums[group, *place] += 1
                    for n, c, row, column in itertools.product(
                        images, cs, covered(inputs, 2), covered(inputs, 3)
                    ):
                        if 0 <= row - pad < high and 0 <= column - pad < wide:
                            loaded.add((n, c, row, column))
            found["ifmap_values"] += len(loaded)
            found["filter_values"] += len(maps) * s.channels * s.rows * s.columns
    assert set(seen.values()) == {1}  # every MAC once
    found["macs"] = len(seen)
    by_pes = sum(psums.values()) - len(psums)  # the first pass over the channels reads none
    found["psum_reads"] = by_pes + len(psums)  # finished ones are read once more for the DRAM
    return dict(found)


def span(places: set[tuple[int, ...]], axis: int) -> int:
    return len(covered(places, axis))


def covered(places: set[tuple[int, ...]], axis: int) -> range:
    values = [place[axis] for place in places]
    return range(min(values), max(values) + 1)


@QUICK
@given(cases())
def test_sums_of_passes_agree_with_a_walk_over_all_values(case: Case) -> None:
    slow = walk(case)
    fast = work_of(case.shape, case.mapping, chip())
    for name in ("passes", "macs", "ifmap_reads", "filter_reads", "psum_writes"):
        assert getattr(fast, name) == slow[name], name
    assert slow["psum_reads"] == fast.psum_writes
    assert fast.macs == case.layer.n_synapses * case.shape.images


@QUICK
@given(cases())
def test_off_chip_traffic_agrees_with_a_walk_over_all_values(case: Case) -> None:
    slow = walk(case)
    moved = off_chip(case.layer, case.shape, case.mapping, chip(), 1.0, 1.0)
    assert moved.ifmap_values == slow["ifmap_values"]
    assert moved.filter_values == slow["filter_values"]
    assert moved.ofmap_values == case.layer.n_neurons * case.shape.images
    assert moved.total == 2 * (moved.ifmap_values + moved.filter_values + moved.ofmap_values)


def test_one_pass_by_hand() -> None:
    """3 x 3 kernels, 2 channels, 4 filters on 4 x 5 maps: e = 2, F = 3; q = 2, p = 2, t = 2.

    Busy: 3 columns x 2 filters x (2 x 3 + 1). Psums: 2 x 3 x 4 / 4 = 6 cycles. Inputs:
    2 x 4 x 5 = 40. Filters: 72 / 4 = 18, below the ramp-up.
    """
    shape = Shape("conv", 1, 2, 4, 3, 3, 2, 3, 1, 1, 1)
    mapping = Mapping(n=1, m=4, e=2, f=3, p=2, q=2, r=1, t=2, pieces=1, active_pe=12)
    work = work_of(shape, mapping, chip())
    assert (work.passes, work.busy, work.ifmap_bus, work.psum_bus) == (1, 42, 0, 0)
    assert (work.ramp_up, work.filter_load) == (chip().ramp_up, 0)
    assert work.processing == 42 + chip().ramp_up
    assert (work.macs, work.ifmap_reads, work.filter_reads, work.psum_writes) == (432, 40, 72, 24)
    # two sets of 3 x 2 PEs take 2 rows of 5 values each; 9 weights for 8 planes and 2 columns
    assert work.ifmap_deliveries == 2 * 6 * 2 * 5
    assert work.filter_deliveries == 72 * 2
    assert work.psum_hops == 24 * 3


# -- mappings --------------------------------------------------------------------------------------


@QUICK
@given(
    st.integers(1, 40), st.integers(1, 70), st.integers(1, 11), st.integers(1, 11),
    st.integers(1, 60), st.integers(1, 120), st.integers(1, 4), st.sampled_from([1, 3, 4]),
)  # fmt: skip
def test_a_chosen_mapping_fits_the_chip(
    channels: int, filters: int, rows: int, columns: int, e: int, f: int, stride: int, images: int
) -> None:
    shape = Shape("conv", 1, channels, filters, rows, columns, e, f, stride, stride, images)
    found = choose(shape, chip(), images=images, compressed=True)
    assert (found is None) == bool(misfit(shape, chip()))
    if found is None:
        return
    m, c = found, chip()
    assert m.p <= min(c.p_max, c.psum_words)
    assert m.q <= min(c.q_max, c.ifmap_words // columns)
    assert m.p * m.q * columns <= c.filter_words
    assert m.m % (m.p * m.t) == 0
    pieces, across, bands = sets_of(m.e, rows, c)
    assert m.pieces == pieces
    assert m.r * pieces <= bands
    assert m.t <= bands // (m.r * pieces) * across
    assert 1 <= m.active_pe <= c.rows * c.columns
    wide = (m.f - 1) * stride + columns
    strip = m.n * m.q * m.r * shape.rows_for(m.e) * wide
    assert 2 * (m.n * m.m * m.e * m.f + strip) + c.reserve <= c.glb
    assert 2 * m.p * m.t * m.q * m.r * rows * columns <= c.filter_glb
    work = work_of(shape, m, c)
    assert work.macs == shape.macs
    assert work.macs <= m.active_pe * work.busy
    assert work.processing >= work.macs / (c.rows * c.columns)


@QUICK
@given(st.integers(1, 6), st.integers(0, 2), st.integers(1, 9))
def test_sets_lie_inside_of_the_array(rows: int, spare: int, e: int) -> None:
    array = replace(chip(), rows=rows + spare, columns=4)
    pieces, across, bands = sets_of(e, rows, array)
    assert bands * rows <= array.rows
    assert across * min(e, 4) <= 4
    assert pieces * 4 >= e


# -- run-length code -------------------------------------------------------------------------------


def slow_pairs(values: list[int], span: int) -> list[tuple[int, int]]:
    """Value by value: a level of zero after a full run, and at the end."""
    found, run_length = [], 0
    for k, value in enumerate(values):
        if value or run_length == span - 1 or k == len(values) - 1:
            found.append((run_length, value))
            run_length = 0
        else:
            run_length += 1
    return found


sparse = st.lists(
    st.one_of(st.just(0), st.just(0), st.just(0), st.integers(-(2**15), 2**15 - 1)), max_size=300
)


@QUICK
@given(sparse, st.sampled_from([CODE, rlc.Rlc(2, 16, 3), rlc.Rlc(1, 16, 1, 18)]))
def test_code_agrees_with_the_slow_one_and_comes_back(values: list[int], code: rlc.Rlc) -> None:
    given_values = np.array(values, np.int64)
    runs, places = rlc.pairs_of(given_values, code)
    pairs = [(int(a), values[b]) for a, b in zip(runs, places, strict=True)]
    assert pairs == slow_pairs(values, code.span)
    words = rlc.encode(given_values, code)
    assert len(words) == -(-len(pairs) // code.pairs)
    assert rlc.decode(words, len(values), code).tolist() == values


def test_bits_of_a_word() -> None:
    """Run 2, level 7; run 0, level -1; run 1, level 5; and the end bit."""
    words = rlc.encode(np.array([0, 0, 7, -1, 0, 5]))
    expected = 2 << 59 | 7 << 43 | 0 << 38 | 0xFFFF << 22 | 1 << 17 | 5 << 1 | 1
    assert words.tolist() == [expected]


def test_long_runs_and_empty_maps() -> None:
    assert rlc.encode(np.zeros(0, np.int16)).size == 0
    assert rlc.decode(np.zeros(0, np.uint64), 0).size == 0
    for size in (1, 31, 32, 33, 64, 97):
        words = rlc.encode(np.zeros(size, np.int16))
        assert len(words) == ceil(ceil(size / 32) / 3)
        assert not rlc.decode(words, size).any()


def test_codec_of_a_whole_map() -> None:
    rng = np.random.default_rng(0)
    values = (rng.random((64, 56, 56)) > 0.7) * rng.integers(-999, 999, (64, 56, 56))
    words = rlc.encode(values)
    assert np.array_equal(rlc.decode(words, values.size).reshape(values.shape), values)
    assert rlc.ratio(values, CODE, 16) == len(words) * 64 / (16 * values.size)


@pytest.mark.parametrize("zeros", [0.0, 0.3, 0.58, 0.9, 0.99, 1.0])
def test_expected_size_is_that_of_independent_zeros(zeros: float) -> None:
    rng = np.random.default_rng(1)
    values = rng.random(200_000) >= zeros
    expected = rlc.expected_ratio(zeros, CODE, 16)
    assert rlc.ratio(values, CODE, 16) == pytest.approx(expected, rel=0.02)


def test_expected_size_falls_with_zeros() -> None:
    sizes = [rlc.expected_ratio(z, CODE, 16) for z in np.linspace(0, 1, 101)]
    assert all(b < a for a, b in itertools.pairwise(sizes))
    assert sizes[0] == pytest.approx(64 / 3 / 16)
    assert sizes[-1] == pytest.approx(64 / 3 / 16 / 32)


# -- laws of runs ----------------------------------------------------------------------------------


def two_layers() -> Network:
    return network(
        convolution(3, 32, 24, 24, 3, 3, padding=1, name="a"),
        convolution(32, 24, 24, 24, 3, 3, padding=1, name="b"),
    )


def test_cycles_are_busy_and_stalls() -> None:
    found = run(load_zoo("alexnet"), batch=5)
    for layer in found.layers:
        assert layer.cycles == layer.busy + sum(layer.stalls.values())
        assert layer.cycles >= layer.operations / found.architecture.n_pe
        assert 0 < layer.utilisation <= 1
    assert found.macs == 5 * load_zoo("alexnet").n_synapses


def test_a_batch_is_cut_into_images_that_run_at_once() -> None:
    net = two_layers()
    one, four, nine = (run(net, batch=b) for b in (1, 4, 9))
    assert nine.cycles == 2 * four.cycles + one.cycles
    assert four.cycles <= 4 * one.cycles
    assert nine.macs == 9 * one.macs
    off = [sum(layer.bytes["dram"].total for layer in found.layers) for found in (one, four)]
    assert off[1] <= 4 * off[0]


def test_zeros_never_cost_more() -> None:
    runs = [run(two_layers(), zeros) for zeros in (0.0, 0.2, 0.5, 0.9, 1.0)]
    for before, after in itertools.pairwise(runs):
        assert after.cycles <= before.cycles
        assert price_run(after).total < price_run(before).total
        assert [x.busy for x in after.layers] == [x.busy for x in before.layers]


def test_gating_saves_energy_and_no_time() -> None:
    gated = run(two_layers(), 0.8)
    plain = run(two_layers(), 0.8, zero_handling={})
    assert gated.cycles == plain.cycles
    assert price_run(gated).total < price_run(plain).total
    macs = gated.counts.total(component="alu", action="mac")
    suppressed = gated.counts.total(component="alu", action="mac_gated")
    assert macs + suppressed == pytest.approx(gated.macs)
    exact = sum(layer.n_synapses_exact for layer in two_layers())
    assert float(macs) == pytest.approx(0.2 * exact)


def test_traces_and_statistics_of_independent_zeros_agree() -> None:
    net, rng = two_layers(), np.random.default_rng(2)
    traces: dict[str, NDArray[np.generic]] = {
        layer.name: (rng.random((2, *layer.input_shape)) >= 0.6).astype(np.float32)
        for layer in net.synaptic_layers
    }
    real = simulate(Workload(net, None, traces, 2), "eyeriss_v1")
    mean = run(net, 0.6, batch=2)
    assert [x.busy for x in real.layers] == [x.busy for x in mean.layers]
    for a, b in zip(real.layers, mean.layers, strict=True):
        assert a.bytes["dram"].total == pytest.approx(b.bytes["dram"].total, rel=0.02)
    assert real.cycles == pytest.approx(mean.cycles, rel=0.01)


def test_compressed_bytes_of_a_trace_by_hand() -> None:
    net = network(convolution(32, 8, 14, 14, 3, 3, padding=1), first=False)
    scattered = np.zeros((1, 32, 14, 14), np.float32)
    scattered.reshape(-1)[::28] = 1
    together = np.zeros_like(scattered)
    together.reshape(-1)[: 14 * 16] = 1
    sizes = [
        simulate(Workload(net, None, {"conv": x}), "eyeriss_v1").layers[0].bytes["dram"].read
        for x in (scattered, together)
    ]
    # 224 values take a pair each; together, the 6048 zeros behind them take 189 pairs of 32 more
    pairs = [224 + 1, 224 + 189]
    weights = 32 * 8 * 9 * 2
    assert [size - weights for size in sizes] == [8 * ceil(n / 3) for n in pairs]


def test_the_first_layer_is_not_compressed() -> None:
    inside = run(network(convolution(8, 8, 14, 14, 3, 3, padding=1), first=False), 0.9)
    first = run(network(convolution(8, 8, 14, 14, 3, 3, padding=1)), 0.9)
    weights = 8 * 8 * 9 * 2
    assert first.layers[0].bytes["dram"].read == 8 * 14 * 14 * 2 + weights
    assert inside.layers[0].bytes["dram"].read < 0.3 * 8 * 14 * 14 * 2 + weights


def test_groups_run_one_after_the_other() -> None:
    """Two groups of half the channels each are two convolutions of that size."""
    both = run(network(convolution(8, 12, 16, 16, 3, 3, padding=1, groups=2), first=False))
    half = run(network(convolution(4, 6, 16, 16, 3, 3, padding=1), first=False))
    assert both.layers[0].busy == 2 * half.layers[0].busy
    assert both.layers[0].bytes["glb"].total == 2 * half.layers[0].bytes["glb"].total
    assert both.macs == 2 * half.macs


@pytest.mark.parametrize("name", ["mobilenet_v1", "resnet18", "alexnet"])
def test_depthwise_strided_pointwise_and_linear_layers(name: str) -> None:
    found = run(load_zoo(name), batch=2)
    assert found.macs == 2 * load_zoo(name).n_synapses
    assert all(layer.cycles > 0 for layer in found.layers)


def test_linear_layers_wait_for_their_weights() -> None:
    """Each weight is used once per image: the DRAM decides, at 480 MB/s."""
    found = run(load_zoo("alexnet"))
    layer = next(layer for layer in found.layers if layer.name == "classifier.0")
    assert layer.cycles / 200e6 >= 9216 * 4096 * 2 / 480e6
    assert layer.stalls["filter_dram"] > 0


# -- other chips -----------------------------------------------------------------------------------


def my_chip(folder: Path, **changes: str) -> Architecture:
    text = (_DATA / "eyeriss_v1.yaml").read_text("utf-8")
    for old, new in changes.values():
        assert old in text
        text = text.replace(old, new)
    path = folder / "my_chip.yaml"
    path.write_text(text, "utf-8")
    return load_architecture(path)


def test_a_larger_chip_of_ones_own(tmp_path: Path) -> None:
    big = my_chip(
        tmp_path,
        pe=("n_pe: 168", "n_pe: 256"),
        rows=('array_rows: {value: "12"', 'array_rows: {value: "16"'),
        columns=('array_columns: {value: "14"', 'array_columns: {value: "16"'),
        glb=('"100 KiB"', '"200 KiB"'),
    )
    net = network(
        convolution(64, 128, 56, 56, 3, 3, padding=1, name="a"),
        convolution(128, 256, 56, 56, 3, 3, padding=1, name="b"), first=False,
    )  # fmt: skip
    profile = ActivityProfile.assumed(net, zero_fraction=0.5, origin="test")
    found, plain = (simulate(Workload(net, profile), x) for x in (big, "eyeriss_v1"))
    assert found.architecture.name == "my_chip"
    assert 168 < max(layer.active_pe for layer in found.layers) <= 256
    off = [sum(layer.bytes["dram"].total for layer in x.layers) for x in (found, plain)]
    assert off[0] < off[1]
    assert found.cycles < plain.cycles


def test_a_dram_by_command(tmp_path: Path) -> None:
    old = "  - name: dram\n    component: dram\n    bits: 64\n"
    chips = {
        device: my_chip(tmp_path, dram=(old, f"{old}    device: {device}\n    chips: {n}\n"))
        for device, n in (("ddr3_1600_1gb_x8", 8), ("lpddr4_3200_8gb_x16", 1))
    }
    net = two_layers()
    profile = ActivityProfile.assumed(net, zero_fraction=0.5, origin="test")
    bytes_only = simulate(Workload(net, profile), "eyeriss_v1")
    for device, architecture in chips.items():
        found = simulate(Workload(net, profile), architecture)
        for layer, plain in zip(found.layers, bytes_only.layers, strict=True):
            assert layer.dram is not None
            assert layer.dram.bytes_read >= plain.bytes["dram"].read * 0.98, device
            assert layer.bytes == plain.bytes
            assert layer.cycles == plain.cycles  # the link of the chip is the slower one
        assert not found.counts.total(component="dram")
        assert price_run(found).components["dram"] > 0
    assert bytes_only.counts.total(component="dram") > 0
