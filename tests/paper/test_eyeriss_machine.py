"""The Eyeriss chip: simulated against the printed measurements of AlexNet and VGG-16."""

from __future__ import annotations

import csv
import time
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from tospike.architecture import load_architecture
from tospike.errors import UnknownNameError
from tospike.machines import LayerRun, MachineRun, Workload, price_run
from tospike.machines.eyeriss import published
from tospike.machines.eyeriss.chip import Chip, chip_of
from tospike.machines.eyeriss.mapping import Mapping
from tospike.machines.eyeriss.simulate import plan
from tospike.machines.workload import workload

VGG = [row.layer for row in published.measured("vgg16")[:-1]]
ALEX = [row.layer for row in published.measured("alexnet")[:-1]]
#: layers that the fitted ramp-up of a pass is taken from
FITTED = ("CONV1-2", "CONV4-2")


@cache
def run(network: str) -> MachineRun:
    return published.run(network)


@cache
def work(network: str) -> Workload:
    return workload(network, zeros=published.path_of(network), batch=published.BATCHES[network])


@cache
def chip() -> Chip:
    return chip_of(load_architecture("eyeriss_v1"))


def mappings(network: str, architecture: Chip) -> list[Mapping]:
    return [item.mapping for item in plan(work(network), architecture, "chip")]


def pair(network: str, layer: str) -> tuple[published.Measured, LayerRun]:
    names = [row.layer for row in published.measured(network)]
    k = names.index(layer)
    return published.measured(network)[k], run(network).layers[k]


# -- the tables themselves -------------------------------------------------------------------------


@pytest.mark.parametrize("network", ["vgg16", "alexnet"])
def test_rows_add_up_to_the_printed_totals(network: str) -> None:
    *rows, total = published.measured(network)
    half = 0.5 * (len(rows) + 1)  # each cell is rounded to half of its last digit
    assert sum(r.total for r in rows) == pytest.approx(total.total, abs=1e-4 * half)
    assert sum(r.processing for r in rows) == pytest.approx(total.processing, abs=1e-4 * half)
    assert sum(r.macs for r in rows) == pytest.approx(total.macs, abs=0.01e9 * half)
    assert sum(r.glb for r in rows) == pytest.approx(total.glb, abs=0.1e6 * half)
    assert sum(r.dram for r in rows) == pytest.approx(total.dram, abs=0.1e6 * half)
    mean = sum(r.power * r.total for r in rows) / total.total
    assert mean == pytest.approx(total.power, abs=1e-3)
    pe = sum(r.active_pe * r.total for r in rows) / total.total
    assert pe == pytest.approx(total.active_pe, abs=0.5)


def test_the_totals_in_the_text_of_the_paper() -> None:
    """34.7 frames/s, 0.0029 DRAM accesses per MAC, 88 % of the PEs; 0.7 frames/s and 0.0035."""
    alexnet, vgg = published.measured("alexnet")[-1], published.measured("vgg16")[-1]
    assert 4 / alexnet.total == pytest.approx(34.7, abs=0.05)
    assert alexnet.dram / 2 / alexnet.macs == pytest.approx(0.0029, abs=5e-5)
    assert alexnet.active_pe / 168 == pytest.approx(0.88, abs=0.005)
    assert 3 / vgg.total == pytest.approx(0.7, abs=0.05)
    assert vgg.dram / 2 / vgg.macs == pytest.approx(0.0035, abs=5e-5)


@pytest.mark.parametrize("network", ["vgg16", "alexnet"])
def test_macs_agree_with_the_topology(network: str) -> None:
    for row, layer in zip(published.measured(network), run(network).layers, strict=False):
        assert layer.macs == pytest.approx(row.macs, abs=0.0051e9)


# -- VGG-16, layer by layer ------------------------------------------------------------------------


@pytest.mark.parametrize("name", VGG)
def test_vgg16(name: str) -> None:
    """Processing within 2 %, total within 10 %, buffer within 5 %, DRAM within 10 %, PEs exact."""
    measured, layer = pair("vgg16", name)
    clock = chip().clock
    assert layer.active_pe == measured.active_pe
    assert published.processing(layer) / clock == pytest.approx(measured.processing, rel=0.02)
    assert layer.cycles / clock == pytest.approx(measured.total, rel=0.10)
    found = published.buffer_bytes(run("vgg16"), layer.name)
    assert found == pytest.approx(measured.glb, rel=0.05)
    assert layer.bytes["dram"].total == pytest.approx(measured.dram, rel=0.10)


@pytest.mark.parametrize("name", VGG)
def test_buffer_accesses_of_vgg16_are_exact_if_mb_is_mib(name: str) -> None:
    """The 4.9 % above are one factor for all layers, 2**20 / 1e6: no term of the model is off."""
    measured, layer = pair("vgg16", name)
    found = published.buffer_bytes(run("vgg16"), layer.name) / 2**20
    assert found == pytest.approx(measured.glb / 1e6, rel=5e-4)


def test_with_mb_of_a_million_bytes_the_psums_alone_are_more() -> None:
    """CONV1-2 with one channel per pass: 2 accesses x 64 channels x outputs x 2 B."""
    outputs = 3 * 64 * 224 * 224
    assert 2 * 64 * outputs * 2 == 2_466_250_752
    assert pair("vgg16", "CONV1-2")[0].glb < 2_466_250_752
    assert mappings("vgg16", chip())[1].q * mappings("vgg16", chip())[1].r == 1


def test_layers_of_one_width_run_the_same_passes() -> None:
    """So the latencies of these held-out layers follow from the fitted ones."""
    found = dict(zip(VGG, mappings("vgg16", chip()), strict=True))
    for fitted, others in (
        ("CONV1-2", ("CONV1-1", "CONV2-1", "CONV2-2")),
        ("CONV4-2", ("CONV4-1", "CONV4-3")),
    ):
        assert {found[name] for name in others} == {found[fitted]}
    assert len(set(found.values())) == 4


def test_total_of_vgg16() -> None:
    found, measured = run("vgg16"), published.measured("vgg16")[-1]
    assert found.latency == pytest.approx(measured.total, rel=0.05)
    assert 3 / found.latency == pytest.approx(0.7, abs=0.05)
    off = sum(layer.bytes["dram"].total for layer in found.layers)
    assert off == pytest.approx(measured.dram, rel=0.02)
    assert off / 2 / found.macs == pytest.approx(0.0035, abs=1e-4)


# -- AlexNet ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ALEX)
def test_alexnet(name: str) -> None:
    """No ramp-up was fitted here. CONV5 took 0.63 of the time of CONV4 for 0.67 of its passes, all
    alike, which no model by passes can follow."""
    measured, layer = pair("alexnet", name)
    clock = chip().clock
    assert layer.active_pe == measured.active_pe
    tolerance = 0.15 if name == "CONV5" else 0.07
    assert published.processing(layer) / clock == pytest.approx(measured.processing, rel=tolerance)
    found = published.buffer_bytes(run("alexnet"), layer.name)
    assert found == pytest.approx(measured.glb, rel=0.13 if name == "CONV1" else 0.05)
    assert layer.bytes["dram"].total == pytest.approx(measured.dram, rel=0.20)


def test_total_of_alexnet() -> None:
    found, measured = run("alexnet"), published.measured("alexnet")[-1]
    assert 4 / found.latency == pytest.approx(34.7, rel=0.06)
    off = sum(layer.bytes["dram"].total for layer in found.layers)
    assert off == pytest.approx(15.4e6, rel=0.05)
    assert off / 2 / found.macs == pytest.approx(0.0029, rel=0.05)
    pe = sum(layer.active_pe * layer.cycles for layer in found.layers) / found.cycles / 168
    assert pe == pytest.approx(0.88, abs=0.01)
    assert measured.power == 0.278


def test_buffer_accesses_of_alexnet_without_filters() -> None:
    """Inputs and psums alone give every printed digit of four of the five layers."""
    for name in ALEX[1:]:
        measured, layer = pair("alexnet", name)
        found = published.buffer_bytes(run("alexnet"), layer.name, weights=False)
        assert found == pytest.approx(measured.glb, abs=0.051e6)
    total = sum(
        published.buffer_bytes(run("alexnet"), layer.name, weights=False)
        for layer in run("alexnet").layers
    )
    assert total == pytest.approx(208.5e6, rel=2e-3)


# -- mappings --------------------------------------------------------------------------------------


def test_printed_mappings_of_alexnet() -> None:
    """11x55 strip mined to 11x7, t = 2; 5x27 folded to 14 + 13; r = t = 2 in CONV4 and CONV5."""
    found = dict(zip(ALEX, mappings("alexnet", chip()), strict=True))
    assert (found["CONV1"].e, found["CONV1"].t, found["CONV1"].pieces) == (7, 2, 1)
    assert (found["CONV2"].e, found["CONV2"].pieces) == (27, 2)
    for name in ("CONV3", "CONV4", "CONV5"):
        assert found[name].e == 13
    for name in ("CONV4", "CONV5"):
        assert (found[name].r, found[name].t) == (2, 2)


def test_conv3_is_mapped_otherwise_than_printed() -> None:
    """The chip is said to use t = 4; the rule takes r = t = 2, as the printed accesses imply."""
    found = dict(zip(ALEX, mappings("alexnet", chip()), strict=True))["CONV3"]
    assert (found.q, found.r, found.t) == (3, 2, 2)
    measured, _ = pair("alexnet", "CONV3")
    outputs, channels = 4 * 384 * 13 * 13, 256
    psums = 2 * -(-channels // 4) * outputs * 2  # with t = 4: q = 4, r = 1; 2 B each
    assert psums > 1.3 * measured.glb


@pytest.mark.parametrize(
    ("change", "same"),
    [
        ({"reserve": 3997.0}, True), ({"reserve": 5072.0}, True),
        ({"reserve": 3996.0}, False), ({"reserve": 5073.0}, False),
        ({"utilisation_floor": 0.858}, True), ({"utilisation_floor": 0.928}, True),
        ({"utilisation_floor": 0.857}, False), ({"utilisation_floor": 0.93}, False),
        ({"row_outputs_max": 112}, True), ({"row_outputs_max": 223}, True),
        ({"row_outputs_max": 111}, False), ({"row_outputs_max": 224}, False),
        ({"planned_zeros": 0.5}, True), ({"planned_zeros": 0.72}, True),
        ({"r_max": 3}, True), ({"r_max": 1}, False),
    ],
)  # fmt: skip
def test_how_far_the_fitted_parameters_of_the_rule_reach(
    change: dict[str, float], same: bool
) -> None:
    changed = replace(chip(), **change)  # type: ignore[arg-type]  # one field of its own type
    equal = [
        mappings(network, changed) == mappings(network, chip()) for network in ("vgg16", "alexnet")
    ]
    assert all(equal) is same


def test_the_ramp_up_is_fitted_on_two_layers() -> None:
    """Least squares of the relative error of the processing latency; eleven layers are held out."""
    weight = total = 0.0
    for name in FITTED:
        measured, layer = pair("vgg16", name)
        target = measured.processing * chip().clock
        passes = layer.stalls["ramp_up"] / chip().ramp_up
        own = (target - (published.processing(layer) - layer.stalls["ramp_up"])) / passes
        weight += (passes / target) ** 2
        total += (passes / target) ** 2 * own
    assert chip().ramp_up == pytest.approx(total / weight, abs=3)


# -- reuse, power ----------------------------------------------------------------------------------


def test_effective_reuse_of_dampfhoffer_2022() -> None:
    """III-B1: 25 for VGG16 and 80 for AlexNet, from buffer accesses without those to weights."""
    assert published.effective_reuse(run("vgg16")) == pytest.approx(25, rel=0.05)
    assert published.effective_reuse(run("alexnet")) == pytest.approx(80, rel=0.05)


def test_power() -> None:
    """One fitted power for clock network and leakage; all other energies from the technology."""
    watts = published.power(run("vgg16"))
    rows = published.measured("vgg16")
    band = [row.power for row in rows[:-1]]
    for row, watt in zip(rows[1:-1], watts[1:-1], strict=True):
        assert min(band) <= watt <= max(band)
        assert watt == pytest.approx(row.power, rel=0.10)
    # the first layer moves most bytes per second over the pins, whose drivers have no price here
    assert watts[0] == pytest.approx(rows[0].power, rel=0.20)
    assert watts[-1] == pytest.approx(0.236, rel=0.03)
    alexnet = published.power(run("alexnet"))
    for row, watt in zip(published.measured("alexnet"), alexnet, strict=True):
        assert watt == pytest.approx(row.power, rel=0.12)


def test_power_is_fitted_on_two_layers() -> None:
    shares = []
    for name in FITTED:
        measured, layer = pair("vgg16", name)
        parts = price_run(run("vgg16")).layers[layer.name]
        seconds = layer.cycles / chip().clock
        dynamic = sum(joule for part, joule in parts.items() if part not in ("dram", "static"))
        shares.append(measured.power - dynamic / seconds)
    assert np.mean(shares) == pytest.approx(0.158, abs=0.002)


def test_compression_saves_what_the_paper_says() -> None:
    """ "Nearly 75 %" of the feature map traffic of AlexNet's CONV5; more zeros save more."""
    measured, layer = pair("alexnet", "CONV5")
    plain = 2 * 384 * 13 * 13 * 2 * 4  # its input, read for each half of its filters
    filters = 128 * 192 * 9 * 2 * 2
    saved = 1 - (layer.bytes["dram"].read - filters) / plain
    assert saved == pytest.approx(0.72, abs=0.04)
    assert measured.zeros == pytest.approx(0.776)


def test_comparison_holds_every_row_and_deviation() -> None:
    for network, names in (("vgg16", VGG), ("alexnet", ALEX)):
        table = published.comparison(network)
        assert [row["layer"] for row in table.rows] == [*names, "Total"]
        for row in table.rows:
            for key in ("processing", "total", "glb", "dram", "power"):
                ours, theirs = row[f"{key}_simulated"], row[key]
                assert isinstance(ours, float)
                assert isinstance(theirs, float)
                assert row[f"{key}_off"] == pytest.approx(100 * (ours / theirs - 1))


def test_unknown_table() -> None:
    with pytest.raises(UnknownNameError, match="vgg16"):
        published.measured("vgg19")


def test_vgg16_at_224_takes_seconds() -> None:
    start = time.perf_counter()
    published.run("vgg16")
    assert time.perf_counter() - start < 5


def test_the_file_of_zeros_is_the_published_table() -> None:
    lines = published.path_of("vgg16").read_text("utf-8").splitlines()
    assert lines[0].startswith("#")
    rows = list(csv.DictReader(line for line in lines if not line.startswith("#")))
    assert [row["layer"] for row in rows] == [*VGG, "Total"]


@pytest.mark.parametrize("network", ["vgg16", "alexnet"])
def test_shares_of_the_power(network: str) -> None:
    """The text: ALUs below 10 %, scratchpads, buffer and NoC up to 45 %, the clock most."""
    parts = dict(price_run(run(network)).components)
    del parts["dram"]
    total = sum(parts.values())
    assert parts["alu"] / total < 0.10
    memory = sum(parts[name] for name in ("register", "pe_sram", "sram", "noc"))
    assert memory / total < 0.45
    assert max(parts, key=lambda name: parts[name]) == "static"


@pytest.mark.parametrize("network", ["vgg16", "alexnet"])
def test_the_page_prints_what_the_simulation_gives(network: str) -> None:
    text = (Path(__file__).parents[2] / "docs" / "machines" / "eyeriss.md").read_text("utf-8")
    title = {"vgg16": "## VGG-16", "alexnet": "## AlexNet"}[network]
    lines = [line for line in text.split(title)[1].splitlines() if line.startswith("|")][2:]
    rows = published.comparison(network).rows
    keys = ("processing", "total", "glb", "dram", "power")
    for row, line in zip(rows, lines, strict=False):
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        assert cells[0].lower() == str(row["layer"]).lower()
        for key, cell in zip(keys, cells[2:], strict=True):
            digits = 0 if key == "power" else 1
            ours, theirs, off = (row[name] for name in (f"{key}_simulated", key, f"{key}_off"))
            assert cell == f"{theirs:.{digits}f} / {ours:.{digits}f} ({off:+.1f} %)"
