"""NullHop: the codec, the inner loop against a slow reference, and laws of every run."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tospike.activity import ActivityProfile
from tospike.architecture import Architecture, load_architecture
from tospike.constant import Constant
from tospike.errors import DataError
from tospike.machines import MachineRun, Workload, simulate
from tospike.machines.dram.streams import bandwidth, commands
from tospike.machines.nullhop import decode, decode_rows, encode, encode_rows, kernels
from tospike.machines.nullhop import reference as slow
from tospike.machines.nullhop.codec import encoded_bits
from tospike.network import Layer, Network
from tospike.network.network import INPUT, Edge, Origin

QUICK = settings(deadline=None, derandomize=True, max_examples=40)


# -- codec ---------------------------------------------------------------------------------------


@st.composite
def maps(draw: st.DrawFn) -> np.ndarray:
    shape = (draw(st.integers(1, 20)), draw(st.integers(1, 5)), draw(st.integers(1, 9)))
    generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    values = generator.integers(-(2**15), 2**15, shape).astype(np.int16)
    values[generator.random(shape) < draw(st.sampled_from([0.0, 0.5, 0.95, 1.0]))] = 0
    return values


@QUICK
@given(maps())
def test_what_is_encoded_comes_back(values: np.ndarray) -> None:
    stream = encode(values)
    assert stream.dtype == np.uint16
    assert np.array_equal(decode(stream, values.shape), values)


@QUICK
@given(maps(), st.integers(1, 7))
def test_streaming_in_chunks_of_any_length(values: np.ndarray, length: int) -> None:
    rows = [np.ascontiguousarray(row.T) for row in values.transpose(1, 0, 2)]
    stream = np.concatenate(list(encode_rows(iter(rows))))
    assert np.array_equal(stream, encode(values))
    chunks = (stream[at : at + length] for at in range(0, stream.size, length))
    for found, row in zip(decode_rows(chunks, values.shape), rows, strict=True):
        assert np.array_equal(found, row)


@QUICK
@given(maps())
def test_size_is_the_formula_up_to_padding(values: np.ndarray) -> None:
    """N (1 + 16 (1 - s)) bit, and less than one SM word more per row."""
    zeros = Fraction(int((values == 0).sum()), values.size)
    formula = values.size * (1 + 16 * (1 - zeros))
    bits = 16 * encode(values).size
    assert bits == encoded_bits(values.shape, int(np.count_nonzero(values)))
    assert formula <= bits < formula + 16 * values.shape[1]
    whole_words = values.shape[0] * values.shape[2] % 16 == 0
    assert bits == formula or not whole_words


def test_a_stream_by_hand() -> None:
    """Position by position, channels first; bit 0 is the first value; a row starts a new word."""
    values = np.zeros((2, 2, 2), np.int16)
    values[1, 0, 0] = 7  # row 0: value 1
    values[0, 0, 1] = -1  # row 0: value 2
    values[1, 1, 1] = 300  # row 1: value 3
    assert encode(values).tolist() == [0b0110, 7, 65535, 0b1000, 300]


@QUICK
@given(maps(), st.data())
def test_damaged_streams_never_decode_to_something_else(
    values: np.ndarray, data: st.DataObject
) -> None:
    """Cut, prolonged, or with a flipped bit: refused, or decoded to what re-encodes to just it."""
    stream = encode(values)
    cut = data.draw(st.integers(0, stream.size - 1))
    with pytest.raises(DataError, match=r"ends after|behind the last row|decode"):
        decode(stream[:cut], values.shape)
    with pytest.raises(DataError, match="behind the last row"):
        decode(np.append(stream, np.uint16(0)), values.shape)
    flipped = stream.copy()
    flipped[data.draw(st.integers(0, stream.size - 1))] ^= np.uint16(
        1 << data.draw(st.integers(0, 15))
    )
    try:
        other = decode(flipped, values.shape)
    except DataError:
        return
    assert np.array_equal(encode(other), flipped)
    assert not np.array_equal(other, values)


# -- the inner loop ------------------------------------------------------------------------------


@st.composite
def cases(draw: st.DrawFn) -> slow.Case:
    channels, height, width = (draw(st.integers(1, n)) for n in (6, 7, 9))
    kernel = draw(st.sampled_from([1, 1, 2, 3, 4]))
    padding = draw(st.integers(0, kernel - 1))
    stride = draw(st.integers(1, 3))
    height, width = max(height, kernel), max(width, kernel)
    generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    density = draw(st.sampled_from([0.0, 0.2, 0.6, 1.0]))
    # uneven, so that the groups take turns in being late
    uneven = generator.random((channels, 1, width)) * 2 * density
    values = (generator.random((channels, height, width)) < uneven).astype(np.int16)
    out_rows = (height + 2 * padding - kernel) // stride + 1
    out_columns = (width + 2 * padding - kernel) // stride + 1
    stripe = draw(st.sampled_from([2, 4]))
    emitted = generator.integers(0, draw(st.sampled_from([1, 8, 40])),
                                 (-(-out_rows // stripe), out_columns))  # fmt: skip
    words = -(-width * channels // 16) + (values != 0).sum(axis=(0, 2))
    case = slow.Case(
        stream=encode(values),
        shape=(channels, height, width),
        block=draw(st.integers(1, 3)),
        kernel=kernel,
        padding=padding,
        stride=stride,
        out_rows=out_rows,
        out_columns=out_columns,
        stripe=stripe,
        emitted=emitted.tolist(),
        start=draw(st.integers(0, 50)),
        load=draw(st.booleans()),
        word_time=draw(st.sampled_from([0.25, 0.5, 1.0, 3.0])),
        out_time=draw(st.sampled_from([0.0, 0.5, 2.0])),
        decode_rate=draw(st.sampled_from([0.25, 1.0, 2.0])),
        capacity=0,
    )
    windows = [slow.window(t, case, height) for t in range(-(-out_rows // stripe))]
    needed = max(int(words[first:last].sum()) for first, last in windows)
    return replace(case, capacity=needed + draw(st.sampled_from([0, 3, 1000])))


def fast(case: slow.Case) -> np.ndarray:
    values = decode(case.stream, case.shape) != 0
    starts = np.arange(0, case.shape[0], case.block)
    counts = np.add.reduceat(values.astype(np.float64), starts, axis=0)
    words = -(-case.shape[0] * case.shape[2] // 16) + values.sum(axis=(0, 2))
    return kernels.run_pass(
        counts, words.astype(np.float64), np.array(case.emitted, np.float64),
        case.kernel, case.padding, case.stride, case.out_rows, case.stripe,
        float(case.start), case.load, case.word_time, case.out_time, case.decode_rate,
        float(case.capacity),
    )  # fmt: skip


@settings(deadline=None, derandomize=True, max_examples=150)
@given(cases())
def test_the_loop_agrees_with_the_clocked_reference(case: slow.Case) -> None:
    expected = slow.run_pass(case)
    found = fast(case)
    assert found.tolist() == pytest.approx(
        [expected.end, expected.busy, expected.imbalance, expected.waiting, expected.decode,
         expected.output, expected.words], abs=1e-9)  # fmt: skip
    groups = -(-case.shape[0] // case.block)
    parts = found[kernels.BUSY] / groups + found[kernels.IMBALANCE : kernels.OUTPUT + 1].sum()
    assert case.start + parts == pytest.approx(found[kernels.END])


@QUICK
@given(cases())
def test_products_are_those_of_a_brute_force_convolution(case: slow.Case) -> None:
    values = decode(case.stream, case.shape) != 0
    padded = np.pad(values, ((0, 0), (case.padding,) * 2, (case.padding,) * 2))
    s, k = case.stride, case.kernel
    products = sum(
        int(padded[:, y * s : y * s + k, x * s : x * s + k].sum())
        for y in range(case.out_rows)
        for x in range(case.out_columns)
    )
    assert fast(case)[kernels.BUSY] == products


# -- runs ----------------------------------------------------------------------------------------


def conv(
    name: str, shape: tuple[int, int, int], outputs: int, kernel: int = 3, padding: int = 1,
    stride: int = 1, groups: int = 1,
) -> Layer:  # fmt: skip
    channels, height, width = shape
    rows = (height + 2 * padding - kernel) // stride + 1
    columns = (width + 2 * padding - kernel) // stride + 1
    synapses = outputs * rows * columns * channels // groups * kernel**2
    return Layer(
        name, "conv", shape, (outputs, rows, columns), (kernel,) * 2, (stride,) * 2,
        (padding,) * 2, (1, 1), groups=groups, n_synapses=synapses, n_synapses_exact=synapses,
        n_neurons=outputs * rows * columns, n_inputs=channels * height * width,
        n_weights=outputs * channels // groups * kernel**2,
    )  # fmt: skip


def network(*layers: Layer) -> Network:
    """Layers one behind the other, a ReLU behind each."""
    every: list[Layer] = []
    for layer in layers:
        relu = Layer(f"{layer.name}.relu", "relu", layer.output_shape, layer.output_shape)
        every += [layer, relu]
    edges = [Edge(INPUT, every[0].name, every[0].n_inputs)]
    edges += [Edge(a.name, b.name, 1) for a, b in pairwise(every)]
    return Network(tuple(every), tuple(edges), (every[-1].name,), Origin("zoo", "test"))


def chip(changes: dict[str, float] | None = None, **fields: object) -> Architecture:
    """The packaged chip with other parameters."""
    base = load_architecture("nullhop")
    parameters = dict(base.parameters)
    for name, value in (changes or {}).items():
        parameters[name] = other(parameters[name], value)
    return replace(base, parameters=parameters, **fields)  # type: ignore[arg-type]


def other(constant: Constant, value: float) -> Constant:
    return replace(constant, value=value, low=value, high=value)


def traced(net: Network, density: float, seed: int = 0, batch: int = 1) -> Workload:
    generator = np.random.default_rng(seed)
    traces = {
        layer.name: (generator.random((batch, *layer.input_shape)) < density).astype(np.float32)
        for layer in net.synaptic_layers
    }
    return Workload(net, traces=traces, batch=batch)


NET = network(
    conv("a", (3, 12, 10), 40, 5, 2),
    conv("b", (40, 12, 10), 200),
    conv("c", (200, 12, 10), 24, 1, 0),
)


def check_laws(run: MachineRun, net: Network) -> None:
    for layer in run.layers:
        assert 0 <= layer.utilisation <= 1
        assert layer.active_pe <= run.architecture.n_pe
        assert layer.cycles == layer.busy + sum(layer.stalls.values())
        assert min(layer.busy, *layer.stalls.values(), 1) >= 0
        assert layer.cycles >= layer.operations / run.architecture.n_pe
        assert layer.macs == net[layer.name].n_synapses * run.batch
        assert layer.operations <= layer.macs or layer.macs == 0
        bytes_of = layer.bytes
        filled = bytes_of["kernel_memory"].written + bytes_of["input_memory"].written
        assert filled <= bytes_of["dram"].read
        assert bytes_of["kernel_memory"].read == 2 * layer.operations
        assert layer.dram is not None
        assert layer.dram.bytes_read + layer.dram.bytes_written >= bytes_of["dram"].total * 0.999


@settings(deadline=None, derandomize=True, max_examples=12)
@given(st.integers(0, 1000), st.sampled_from([0.0, 0.1, 0.5, 1.0]), st.integers(1, 2))
def test_laws_of_every_run(seed: int, density: float, batch: int) -> None:
    check_laws(simulate(traced(NET, density, seed, batch), "nullhop"), NET)


@settings(deadline=None, derandomize=True, max_examples=12)
@given(st.integers(0, 1000), st.sampled_from([0.05, 0.3, 0.95]))
def test_zeros_never_cost_more(seed: int, density: float) -> None:
    """Zeros set in the inputs: no layer takes longer, moves more, or does more."""
    full = traced(NET, density, seed)
    generator = np.random.default_rng(seed + 1)
    fewer = Workload(
        NET,
        traces={name: x * (generator.random(x.shape) < 0.6) for name, x in full.traces.items()},
    )
    for more, less in zip(
        simulate(full, "nullhop").layers, simulate(fewer, "nullhop").layers, strict=True
    ):
        assert less.cycles <= more.cycles
        assert less.operations <= more.operations
        assert less.bytes["dram"].total <= more.bytes["dram"].total


def test_statistics_agree_with_tensors_of_even_density() -> None:
    """The expected cycles of random zeros, and what they leave out: imbalance only."""
    real = simulate(traced(NET, 0.5, batch=16), "nullhop")
    profile = ActivityProfile.assumed(NET, zero_fraction=0.5, origin="test")
    expected = simulate(Workload(NET, profile, batch=16), "nullhop")
    check_laws(expected, NET)
    for layer, mean in zip(real.layers, expected.layers, strict=True):
        assert mean.operations == pytest.approx(layer.operations, rel=0.03)
        assert mean.cycles == pytest.approx(layer.cycles, rel=0.03)
        assert mean.stalls.get("imbalance", 0) <= layer.stalls.get("imbalance", 0) + 2
    assert any("expected cycles" in text for text in expected.assumptions)


def test_batches_are_linear() -> None:
    one, two = traced(NET, 0.4, 7), traced(NET, 0.4, 7, 1)
    both = Workload(NET, traces={n: np.concatenate([one.traces[n], two.traces[n]])
                                 for n in one.traces}, batch=2)  # fmt: skip
    assert simulate(both, "nullhop").cycles == 2 * simulate(one, "nullhop").cycles


# -- small cases by hand -------------------------------------------------------------------------


def test_cycles_of_one_pixel_by_hand() -> None:
    """A pixel in the middle meets all nine positions; one in a corner, padding 1, four."""
    net = network(conv("a", (1, 6, 6), 128))
    for place, cycles in (((2, 2), 9), ((0, 0), 4), ((0, 3), 6)):
        x = np.zeros((1, 1, 6, 6))
        x[0, 0, *place] = 1
        layer = simulate(Workload(net, traces={"a": x}), "nullhop").layers[0]
        assert layer.busy == cycles
        assert layer.operations == cycles * 128
        assert layer.active_pe == 128


def test_more_maps_than_macs_take_more_passes() -> None:
    """ceil(Cout / 128) passes, kernels loaded for each: 2 words per cycle, 128 biases per pass."""
    x = np.ones((1, 16, 8, 8))
    for outputs, passes in ((128, 1), (129, 2), (256, 2), (257, 3)):
        net = network(conv("a", (16, 8, 8), outputs, 1, 0))
        layer = simulate(Workload(net, traces={"a": x}), "nullhop").layers[0]
        assert layer.busy == 16 * 64 * passes
        weights = 16 * outputs + 128 * passes
        assert layer.bytes["kernel_memory"].written == 2 * weights
        assert layer.stalls["kernel_load"] == sum(
            -(-(16 * min(128, outputs - 128 * n) + 128) // 2) for n in range(passes)
        )


def test_few_maps_share_the_macs() -> None:
    """32 maps: 4 MACs share each, 16 channels in 4 blocks; all pixels in one block: no gain."""
    net = network(conv("a", (16, 8, 8), 32, 1, 0))
    even = np.ones((1, 16, 8, 8))
    even[0, ::2] = 0
    layer = simulate(Workload(net, traces={"a": even}), "nullhop").layers[0]
    assert layer.active_pe == 128
    assert layer.busy == 8 * 64 / 4
    assert "imbalance" not in layer.stalls
    uneven = np.zeros((1, 16, 8, 8))
    uneven[0, :4] = 1  # the channels of the first block
    layer = simulate(Workload(net, traces={"a": uneven}), "nullhop").layers[0]
    assert layer.busy == 4 * 64 / 4
    assert layer.busy + layer.stalls["imbalance"] >= 4 * 64


def test_groups_wait_for_each_other_by_hand() -> None:
    """One group is late in two columns, then the other: it may only run one column ahead.

    Ends of the columns, group by group: (10, 0), (20, 10), (20, 20), (20, 30).
    """
    counts = np.array([[[10.0, 10, 0, 0]], [[0.0, 0, 10, 10]]])
    found = kernels.run_pass(
        counts, np.ones(1), np.zeros((1, 4)), 1, 0, 1, 1, 2,
        0.0, False, 1.0, 1.0, 1.0, 1e6,
    )  # fmt: skip
    assert found[kernels.END] == 30
    assert found[kernels.IMBALANCE] == 10
    # an encoder that needs 12 cycles per column: 10, 22, 34, 46, and 12 more
    found = kernels.run_pass(
        counts, np.ones(1), np.full((1, 4), 12.0), 1, 0, 1, 1, 2,
        0.0, False, 1.0, 1.0, 1.0, 1e6,
    )  # fmt: skip
    assert found[kernels.END] == 58
    assert found[kernels.OUTPUT] == 28


def test_a_fused_pooling_sends_every_other_column() -> None:
    """4 columns, pooled to 2: both are sent when the second column of their pair is complete."""
    conv1 = conv("a", (1, 2, 4), 128, 1, 0)
    pool = Layer("a.pool", "max_pool", (128, 2, 4), (128, 1, 2))
    behind = conv("b", (128, 1, 2), 128, 1, 0)
    relu = Layer("a.relu", "relu", (128, 2, 4), (128, 2, 4))
    every = (conv1, relu, pool, behind)
    edges = tuple(Edge(a.name, b.name, 1) for a, b in pairwise(every))
    net = Network(every, edges, ("b",), Origin("zoo", "test"))
    work = Workload(net, traces={"a": np.ones((1, 1, 2, 4)), "b": np.ones((1, 128, 1, 2))})
    layer = simulate(work, "nullhop").layers[0]
    assert layer.busy == 8
    # columns at 2, 4, 6, 8; (8 SM + 128 values) / 2 = 68 cycles each at 4 and at 72
    assert layer.bytes["dram"].written == 2 * 2 * 136
    assert layer.stalls["output"] == 72 + 68 - 8


def test_counted_actions_by_hand() -> None:
    """8 rows of one plain SM-coded map, stripes of two rows: 3 + 4 + 4 + 3 rows are decoded."""
    net = network(conv("a", (16, 8, 8), 64))
    x = np.zeros((1, 16, 8, 8))
    x[0, :8] = 1
    run = simulate(Workload(net, traces={"a": x}), "nullhop")
    row = 8 + 8 * 8
    products = 8 * 22 * 22  # (3 * 8 - 2)^2 per channel
    total = run.counts.total
    assert total(component="sram", action="write") == 8 * row
    assert total(component="sram", action="read") == 14 * row
    assert total(component="alu", action="mac") == 64 * products
    assert total(component="pe_sram", action="read") == 64 * products
    assert total(component="pe_sram", action="write") == 64 * 16 * 9 + 128
    assert total(component="alu", action="add") == 64 * 64  # two MACs share a map
    assert total(component="alu", action="compare") == 64 * 64
    assert "dram" not in {entry.component for entry in run.counts}


def test_inputs_that_do_not_fit_are_read_in_every_pass() -> None:
    net = network(conv("a", (32, 16, 16), 256))
    work = traced(net, 0.5)
    bits = encoded_bits((32, 16, 16), int(work.traces["a"].sum()))
    once = simulate(work, "nullhop").layers[0].bytes["input_memory"].written
    assert once == bits / 8
    base = load_architecture("nullhop")
    small = tuple(
        replace(level, capacity=other(level.capacity, 6144.0))
        if level.name == "input_memory" and level.capacity else level
        for level in base.levels
    )  # fmt: skip
    run = simulate(work, replace(base, levels=small))
    assert run.layers[0].bytes["input_memory"].written == 2 * once
    waits = [layer.stalls["input_load"] for layer in (simulate(work, "nullhop").layers[0],
                                                      run.layers[0])]  # fmt: skip
    assert waits[1] >= 2 * waits[0]
    check_laws(run, net)


def test_a_chip_of_ones_own() -> None:
    """64 MACs take twice as long for 128 maps; strides that are native skip the rest."""
    net = network(conv("a", (16, 16, 16), 128))
    work = traced(net, 0.5)
    half = simulate(work, chip(n_pe=64)).layers[0]
    assert half.busy == 2 * simulate(work, "nullhop").layers[0].busy
    assert half.active_pe == 64
    strided = network(conv("a", (16, 17, 17), 128, 3, 1, 2))
    work = traced(strided, 1.0)
    by_host, native = simulate(work, "nullhop"), simulate(work, chip({"native_stride": 1}))
    assert native.layers[0].busy == 16 * (8 * 3 + 1 * 1) ** 2 - 16 * 25**2 + 16 * 25**2
    assert by_host.layers[0].busy > 3 * native.layers[0].busy
    assert any("dropped by the host" in text for text in by_host.assumptions)


def test_groups_and_depthwise_run_group_by_group() -> None:
    net = network(conv("a", (8, 9, 9), 16, groups=2), conv("b", (16, 9, 9), 16, groups=16))
    run = simulate(traced(net, 1.0), "nullhop")
    dense = (9 * 3 - 2) ** 2  # products of one full map with padding 1
    assert [layer.operations for layer in run.layers] == [8 * 8 * dense, 16 * dense]
    assert run.layers[1].active_pe == 1
    assert run.layers[1].busy == 16 * dense


def test_kernels_loaded_during_the_pass_before() -> None:
    """They then take half of the kernel memory, and only what is longer than the pass is seen."""
    net = network(conv("a", (32, 16, 16), 512))
    work = traced(net, 1.0)
    plain = simulate(work, "nullhop").layers[0]
    hidden = simulate(work, chip({"kernel_overlap": 1})).layers[0]
    assert hidden.busy == plain.busy
    assert hidden.stalls["kernel_load"] == plain.stalls["kernel_load"] / 4


# -- DRAM ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("share", [0.0, 0.3])
def test_a_piece_of_the_stream_stands_for_the_whole(share: float) -> None:
    from tospike.machines.nullhop.chip import read_chip
    from tospike.pricing import dram_energy

    system = read_chip(load_architecture("nullhop")).dram
    size = 4e6
    for seconds in (size / bandwidth(system, 1 - share, share, 1024), 4e-3):
        arguments = (system, size * (1 - share), size * share, seconds, 1024)
        piece, whole = commands(*arguments), commands(*arguments, piece=10**9)
        assert piece is not None
        assert whole is not None
        assert piece.reads == pytest.approx(whole.reads, rel=0.01)
        assert piece.writes == pytest.approx(whole.writes, rel=0.01)
        assert piece.activates == pytest.approx(whole.activates, rel=0.02)
        assert dram_energy(piece).total == pytest.approx(dram_energy(whole).total, rel=0.02)
    peak = system.peak_bytes_per_s
    assert 0.5 * peak < bandwidth(system, 1 - share, share, 1024) <= peak
