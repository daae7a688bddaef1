"""Eyeriss v1: what cannot be simulated is refused once, with every reason and what to change."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tospike.activity import ActivityProfile
from tospike.architecture import Architecture, load_architecture
from tospike.architecture.load import _DATA
from tospike.errors import (
    DataError,
    ModelError,
    OptionError,
    RangeError,
    StatisticError,
    TechnologyError,
    TospikeError,
    UnknownNameError,
)
from tospike.machines import MachineRun, Workload, simulate
from tospike.machines.eyeriss import rlc
from tospike.network import Layer, Network
from tospike.network.network import INPUT, Edge, Origin

ROWS = 'array_rows: {value: "12"'
WIDE = 'row_outputs_max: {value: "512"'
TEXT = (_DATA / "eyeriss_v1.yaml").read_text("utf-8")


def convolution(name: str = "conv", size: int = 8, kernel: tuple[int, ...] = (3, 3)) -> Layer:
    out = tuple(size - k + 1 for k in kernel)
    weights = 4 * 2 * int(np.prod(kernel))
    macs = weights * int(np.prod(out))
    spatial = (size,) * len(kernel)
    ones = (1,) * len(kernel)
    return Layer(
        name, "conv", (2, *spatial), (4, *out), kernel, ones, (0,) * len(kernel), ones,
        n_synapses=macs, n_synapses_exact=macs, n_neurons=4 * int(np.prod(out)),
        n_inputs=2 * size ** len(kernel), n_weights=weights,
    )  # fmt: skip


def network(*layers: Layer) -> Network:
    edge = Edge(INPUT, layers[0].name, layers[0].n_inputs)
    return Network(layers, (edge,), (layers[-1].name,), Origin("zoo", "small"))


def run(net: Network, chip: Architecture | str = "eyeriss_v1") -> MachineRun:
    profile = ActivityProfile.assumed(net, zero_fraction=0.5, origin="test")
    return simulate(Workload(net, profile), chip)


def chip(folder: Path, *changes: tuple[str, str]) -> Architecture:
    text = TEXT
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    path = folder / "my_chip.yaml"
    path.write_text(text, "utf-8")
    return load_architecture(path)


# -- layers ----------------------------------------------------------------------------------------


def test_a_kernel_higher_than_the_array() -> None:
    with pytest.raises(ModelError) as error:
        run(network(convolution("tall", 16, (13, 3)), convolution("good")))
    text = str(error.value)
    assert "'tall'" in text
    assert "'good'" not in text
    assert "13 rows" in text
    assert "array has 12" in text
    assert "enlarge array_rows" in text


def test_a_kernel_wider_than_the_scratchpad() -> None:
    with pytest.raises(ModelError, match=r"13 columns and ifmap_spad holds 12 values.*enlarge"):
        run(network(convolution("wide", 16, (3, 13))))


def test_rows_that_do_not_fit_the_buffer(tmp_path: Path) -> None:
    small = ('"100 KiB"', '"5000 B"')
    narrow = chip(tmp_path, small, ('row_outputs_max: {value: "128"', WIDE))
    with pytest.raises(ModelError) as error:
        run(network(convolution("long", 400)), narrow)
    text = str(error.value)
    assert "'long'" in text
    assert "enlarge the level 'glb'" in text
    assert "lower row_outputs_max" in text
    # as the message says: rows in shorter parts fit
    shorter = chip(tmp_path, small)
    assert run(network(convolution("long", 400)), shorter).cycles > 0


def test_filters_that_do_not_fit_their_buffer(tmp_path: Path) -> None:
    small = chip(tmp_path, ('"8 KiB"', '"16 B"'))
    with pytest.raises(ModelError, match="one filter plane takes 18 B and filter_glb holds 16 B"):
        run(network(convolution()), small)


def test_all_layers_that_cannot_be_mapped_at_once() -> None:
    layers = (
        replace(convolution("a"), transposed=True),
        replace(convolution("b"), dilation=(2, 2)),
        replace(convolution("c"), kind="matmul"),
        convolution("d", 5, (3, 3, 3)),
        convolution("e"),
    )
    with pytest.raises(ModelError) as error:
        run(network(*layers))
    assert len(error.value.reasons) == 4
    for name, why in (("a", "transposed"), ("b", "dilation"), ("c", "matmul"), ("d", "3 spatial")):
        assert any(f"'{name}'" in reason and why in reason for reason in error.value.reasons)


# -- activity --------------------------------------------------------------------------------------


def test_no_activity() -> None:
    with pytest.raises(StatisticError) as error:
        simulate(Workload(network(convolution())), "eyeriss_v1")
    assert "conv" in str(error.value)
    assert "zero fraction" in str(error.value)


def test_activity_of_one_layer_only() -> None:
    net = network(convolution("a"), convolution("b"))
    one = ActivityProfile.assumed(network(convolution("a")), zero_fraction=0.5, origin="test")
    with pytest.raises(StatisticError, match="1 of 2 layers"):
        simulate(Workload(net, one), "eyeriss_v1")


@pytest.mark.parametrize(
    ("trace", "why"),
    [
        (np.zeros((1, 2, 8, 9)), "shape"),
        (np.zeros((2, 8, 8)), "shape"),
        (np.zeros((0, 2, 8, 8)), "empty"),
        (np.full((1, 2, 8, 8), np.nan), "not finite"),
        (np.full((1, 2, 8, 8), np.inf), "not finite"),
        (np.full((1, 2, 8, 8), "x"), "type"),
    ],
)
def test_traces_that_do_not_fit(trace: Any, why: str) -> None:
    with pytest.raises(DataError) as error:
        simulate(Workload(network(convolution()), None, {"conv": trace}), "eyeriss_v1")
    assert "'conv'" in str(error.value)
    assert why in str(error.value)


@pytest.mark.parametrize("zeros", [-0.1, 1.1, float("nan")])
def test_zero_fractions_outside_of_their_range(zeros: float) -> None:
    net = network(convolution())
    profile = ActivityProfile.assumed(net, zero_fraction=0.5, origin="test")
    wrong = {"conv": replace(profile["conv"], zero_fraction=zeros)}
    with pytest.raises(DataError, match="not 0 to 1"):
        simulate(Workload(net, replace(profile, layers=wrong)), "eyeriss_v1")


@pytest.mark.parametrize("batch", [0, -1])
def test_an_empty_batch(batch: int) -> None:
    net = network(convolution())
    profile = ActivityProfile.assumed(net, zero_fraction=0.5, origin="test")
    with pytest.raises(OptionError, match="batch"):
        simulate(Workload(net, profile, batch=batch), "eyeriss_v1")


# -- chips -----------------------------------------------------------------------------------------


def test_every_fault_of_a_chip_at_once(tmp_path: Path) -> None:
    wrong = chip(
        tmp_path,
        (ROWS, 'array_rows: {value: "12.5"'),
        ('utilisation_floor: {value: "0.9"', 'utilisation_floor: {value: "1.9"'),
        ('ramp_up_cycles: {value: "565"', 'ramp_up_cycles: {value: "-1"'),
        ('link_clock: {value: "60 MHz"', 'link_clock: {value: "0 MHz"'),
        ('dram_slack: {value: "2"', 'dram_slack: {value: "0.5"'),
        ('rlc_pairs: {value: "3"', 'rlc_pairs: {value: "4"'),
        ('"24 B"', '"1 B"'),
        ("{activation: gate, weight: none}", "{activation: skip}"),
    )
    with pytest.raises(RangeError) as error:
        run(network(convolution()), wrong)
    found = "\n".join(error.value.reasons)
    for text in (
        "'array_rows' is 12.5", "'utilisation_floor' is 1.9", "'ramp_up_cycles' is -1",
        "'link_clock'", "'dram_slack' is 0.5", "rlc_pairs", "'ifmap_spad' holds less than one",
        "row_stationary_sparse", "n_pe is 168",
    ):  # fmt: skip
        assert text in found
    assert "my_chip" in str(error.value)


def test_a_chip_without_a_parameter_or_a_level(tmp_path: Path) -> None:
    line = next(line for line in TEXT.splitlines() if "ramp_up_cycles" in line)
    with pytest.raises(UnknownNameError, match="ramp_up_cycles"):
        run(network(convolution()), chip(tmp_path, (line + "\n", "")))
    with pytest.raises(UnknownNameError, match="psum_spad"):
        run(network(convolution()), chip(tmp_path, ("name: psum_spad", "name: psums")))


def test_a_buffer_without_capacity_and_an_unknown_device(tmp_path: Path) -> None:
    line = next(line for line in TEXT.splitlines() if '"100 KiB"' in line)
    with pytest.raises(RangeError, match="'glb' has no capacity"):
        run(network(convolution()), chip(tmp_path, (line + "\n", "")))
    dram = ("    component: dram\n", "    component: dram\n    device: ddr9\n")
    with pytest.raises(UnknownNameError, match="ddr9"):
        run(network(convolution()), chip(tmp_path, dram))


def test_a_number_without_its_unit(tmp_path: Path) -> None:
    with pytest.raises(TechnologyError, match="glb_reserve"):
        chip(tmp_path, ('glb_reserve: {value: "4 KiB"', 'glb_reserve: {value: "4 metre"'))


# -- run-length code -------------------------------------------------------------------------------


def test_values_that_do_not_fit_their_level() -> None:
    for values in (np.array([1.5]), np.array([2**15]), np.array([-(2**15) - 1])):
        with pytest.raises(DataError, match="whole numbers from -32768 to 32767"):
            rlc.encode(values)


def test_damaged_streams() -> None:
    values = np.arange(50)
    words = rlc.encode(values)
    joined = np.concatenate([words, words])
    for stream, count in (
        (words[:-1], 50), (joined, 50), (words, 60), (words, 0), (words[:0], 3), (words, -1),
        (words, 20),
    ):  # fmt: skip
        with pytest.raises(DataError, match="decode a feature map"):
            rlc.decode(stream, count)


def test_codes_that_do_not_fit_their_word() -> None:
    for code in ((5, 16, 4, 64), (0, 16, 1, 64), (5, 16, 3, 128)):
        with pytest.raises(RangeError, match="run-length code"):
            rlc.Rlc(*code)
    with pytest.raises(TospikeError, match="0 to 1"):
        rlc.expected_ratio(float("nan"), rlc.Rlc(), 16)


@pytest.mark.parametrize("name", ["eyeriss_v1", "eyeriss_v2"])
def test_spikes_over_time_are_not_samples(name: str) -> None:
    """(T, 1, C, H, W): one frame with the mean zeros of T steps would be a wrong answer."""
    trace = np.ones((5, 1, 2, 8, 8), np.bool_)
    with pytest.raises(DataError, match="spikes over time"):
        simulate(Workload(network(convolution()), None, {"conv": trace}), name)


@pytest.mark.parametrize("level", ["scratchpad", "psum_buffer", "iact_buffer", "dram"])
def test_a_sparse_chip_without_a_level(level: str) -> None:
    """The bytes of a layer stand under the names of these levels."""
    found = load_architecture("eyeriss_v2")
    found = replace(found, levels=tuple(one for one in found.levels if one.name != level))
    with pytest.raises(UnknownNameError, match=level):
        run(network(convolution()), found)
