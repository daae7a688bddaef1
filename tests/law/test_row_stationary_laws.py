"""Laws of the energy-optimal row-stationary mapping, and brute force on small layers."""

from __future__ import annotations

import itertools
from dataclasses import replace
from math import ceil, prod
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tospike.architecture import load_architecture
from tospike.architecture.record import ZeroHandling
from tospike.errors import ModelError, RangeError
from tospike.machines import Workload, simulate
from tospike.machines.row_stationary import Limits, Shape, best_mapping
from tospike.machines.row_stationary.mapping import ORDERS, array_of, reloads
from tospike.machines.row_stationary.reference import walk
from tospike.network import Layer, Network
from tospike.network.network import Origin
from tospike.network.zoo import load_zoo

QUICK = settings(deadline=None, derandomize=True, max_examples=40)
LIMITS = Limits(6, 5, 40, 900, 200.0, 6.0, 2.0, 1.0)
turns = st.tuples(*[st.integers(1, 4)] * 3)


@st.composite
def layers(draw: st.DrawFn) -> Shape:
    small = st.integers(1, 4)
    return Shape(
        name="x",
        groups=draw(st.integers(1, 2)),
        channels=draw(small),
        filters=draw(small),
        rows=draw(st.integers(1, 3)),
        columns=draw(st.integers(1, 3)),
        out_rows=draw(st.integers(1, 7)),
        out_columns=draw(small),
        stride_rows=draw(st.integers(1, 2)),
        stride_columns=draw(st.integers(1, 2)),
        images=draw(st.integers(1, 3)),
    )


@QUICK
@given(outer=turns, inner=turns, orders=st.tuples(*[st.sampled_from(ORDERS)] * 2))
def test_reloads_are_those_of_a_walk_through_the_loops(
    outer: tuple[int, ...], inner: tuple[int, ...], orders: tuple[tuple[int, ...], ...]
) -> None:
    buffer, register = reloads(np.array([outer]), np.array([inner]), orders)
    slow = walk(outer, inner, (orders[0], orders[1]))
    assert tuple(buffer[0]) == slow.buffer
    assert tuple(register[0]) == slow.register


def least_energy(shape: Shape, limits: Limits) -> float:
    """By trying everything, with the loops of the reference and words counted by hand."""
    best = float("inf")
    for array in array_of(shape, limits):
        counts = (
            ceil(shape.channels / array.channels),
            ceil(shape.filters / array.filters),
            shape.images * array.strips,
        )
        ways = [
            [f for f in itertools.product(range(1, n + 1), repeat=3) if prod(f) == n]
            for n in counts
        ]
        for c, m, n in itertools.product(*ways):
            words = c[2] * shape.columns * (m[2] + n[2]) + m[2] * n[2]
            strip = ceil(shape.out_rows / array.strips)
            cb, mb, nb = c[1] * c[2] * array.channels, m[1] * m[2] * array.filters, n[1] * n[2]
            kept = cb * mb * shape.rows * shape.columns
            kept += cb * nb * shape.rows_for(strip) * shape.in_columns
            kept += mb * nb * strip * shape.out_columns
            if words > limits.register_words or kept > limits.buffer_words:
                continue
            for orders in itertools.product(ORDERS, ORDERS):
                seen = walk((c[0], m[0], n[0]), (c[1], m[1], n[1]), (orders[0], orders[1]))
                best = min(best, hand_energy(shape, array, seen, limits))
    return best


def hand_energy(shape: Shape, array, seen, limits: Limits) -> float:  # type: ignore[no-untyped-def]
    strip = shape.out_rows / array.strips
    maps = shape.groups * shape.channels * shape.images
    iacts = maps * ((strip - 1) * shape.stride_rows + shape.rows) * array.strips
    iacts *= shape.in_columns
    psum, iact, weight = seen.buffer
    dram = shape.weights * weight + iacts * iact + shape.outputs * (2 * psum - 1)
    psum, iact, weight = seen.register
    near = shape.weights * weight + iacts * array.folds * iact
    near += shape.outputs * (2 * array.folds * psum - 1)
    hops = shape.weights * strip * weight
    hops += maps * shape.out_rows * shape.rows * shape.in_columns * array.filters * iact
    hops += shape.outputs * shape.rows * array.channels * (2 * psum - 1)
    return (
        5 * shape.macs + limits.cost_dram * dram + limits.cost_buffer * near
        + limits.cost_array * hops
    )  # fmt: skip


def total(shape: Shape, limits: Limits) -> float:
    found = best_mapping(shape, limits)
    if found is None:
        return float("inf")
    words = found.accesses
    return (
        5 * shape.macs + limits.cost_dram * words.dram + limits.cost_buffer * words.buffer
        + limits.cost_array * words.array
    )  # fmt: skip


@settings(QUICK, max_examples=12)
@given(shape=layers())
def test_the_mapping_is_the_cheapest_of_all(shape: Shape) -> None:
    assert total(shape, LIMITS) == pytest.approx(least_energy(shape, LIMITS))


@QUICK
@given(shape=layers())
def test_memories_hold_what_is_kept_and_every_word_is_moved_once_at_least(shape: Shape) -> None:
    found = best_mapping(shape, LIMITS)
    if found is None:
        return
    assert found.register_words <= LIMITS.register_words
    assert found.buffer_words <= LIMITS.buffer_words
    words = found.accesses
    inputs = shape.groups * shape.channels * shape.in_rows * shape.in_columns * shape.images
    assert words.dram_weight >= shape.weights
    if shape.stride_rows <= shape.rows:
        assert words.dram_iact >= inputs * (1 - 1e-12)
    assert words.dram_psum_write >= shape.outputs
    assert words.buffer_weight >= words.dram_weight
    assert words.buffer_iact >= words.dram_iact
    array = found.array
    pe = ceil(shape.rows / array.folds) * ceil(shape.out_rows / array.strips)
    slots = found.passes * array.folds * shape.columns * shape.out_columns * shape.groups
    assert slots * pe * array.channels * array.filters >= shape.macs
    assert slots * LIMITS.array_rows * LIMITS.array_columns >= shape.macs


@QUICK
@given(shape=layers())
def test_larger_memories_never_cost_energy(shape: Shape) -> None:
    more = replace(LIMITS, register_words=60, buffer_words=1500)
    assert total(shape, more) <= total(shape, LIMITS) * (1 + 1e-12)


@QUICK
@given(shape=layers())
def test_a_batch_costs_at_most_its_images(shape: Shape) -> None:
    one = total(replace(shape, images=1), LIMITS)
    assert total(replace(shape, images=3), LIMITS) <= 3 * one * (1 + 1e-12)


# -- messages --------------------------------------------------------------------------------------


def network(*made: Layer) -> Network:
    return Network(made, (), (), Origin("records", "made by hand"))


def conv(name: str, size: int = 8, **other: object) -> Layer:
    parts: dict[str, object] = {
        "input_shape": (2, size, size),
        "output_shape": (4, size, size),
        "kernel": (3, 3),
        "stride": (1, 1),
        "padding": (1, 1),
        "dilation": (1, 1),
        "n_synapses": 4 * 2 * 9 * size * size,
        "n_weights": 72,
    }
    return Layer(name, "conv", **{**parts, **other})  # type: ignore[arg-type]


def test_layers_without_a_mapping_are_named_all_at_once() -> None:
    bad = network(
        conv("up", transposed=True),
        conv("wide", dilation=(2, 2)),
        Layer("att", "matmul", (4, 4), (4, 4), n_synapses=64),
        conv("good"),
    )
    with pytest.raises(ModelError) as caught:
        simulate(Workload(bad), "eyeriss_isca2016")
    text = str(caught.value)
    for name in ("'up'", "'wide'", "'att'"):
        assert name in text
    assert "'good'" not in text


def test_a_layer_that_does_not_fit_says_what_to_change() -> None:
    huge = conv("huge", size=9000, n_synapses=4 * 2 * 9 * 9000 * 9000)
    with pytest.raises(RangeError, match=r"'huge'.*words of buffer"):
        simulate(Workload(network(huge)), "eyeriss_isca2016")


def test_an_array_of_another_size_than_its_pes_is_refused(tmp_path: Path) -> None:
    import tospike.architecture

    packaged = Path(tospike.architecture.__file__).parent / "data" / "eyeriss_isca2016.yaml"
    path = tmp_path / "mine.yaml"
    path.write_text(packaged.read_text().replace("n_pe: 256", "n_pe: 200"))
    with pytest.raises(RangeError, match="16 x 16, n_pe is 200"):
        simulate(Workload(network(conv("c"))), load_architecture(path))


@pytest.mark.parametrize("handling", [{"activation": "gate"}, {"weight": "skip"}])
def test_a_dense_machine_refuses_to_handle_zeros(handling: dict[str, ZeroHandling]) -> None:
    chip = replace(load_architecture("eyeriss_isca2016"), zero_handling=handling)
    with pytest.raises(RangeError, match="this machine is dense"):
        simulate(Workload(load_zoo("alexnet")), chip)


def test_what_the_dram_takes_is_read_from_the_buffer() -> None:
    """Every word crosses the buffer, in both directions."""
    found = simulate(Workload(load_zoo("alexnet")), "eyeriss_isca2016")
    for layer in found.layers:
        near, far = layer.bytes["buffer"], layer.bytes["dram"]
        words = found.counts.total(component="sram", layer=layer.name, action="read")
        assert near.read == pytest.approx(2 * float(words) + far.written)
        words = found.counts.total(component="sram", layer=layer.name, action="write")
        assert near.written == pytest.approx(2 * float(words) + far.read)
