"""Every claim of Liu & Delbruck 2019: the printed number, our number, and the verdict.

The printed numbers are read in the paper and written here a second time. "Follows" is exact
arithmetic on the inputs named beside it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tospike.constant import Constant
from tospike.errors import DataError
from tospike.papers import liu_delbruck_2019_claims as paper
from tospike.papers.claim import Finding
from tospike.papers.counted import counted
from tospike.papers.dram import dram_devices, read_dram
from tospike.papers.inputs import DATA
from tospike.papers.judge import judge
from tospike.papers.liu_delbruck_2019 import PAPER
from tospike.papers.load import claims
from tospike.tables import FORMATS

CLAIMS = {claim.id: claim for claim in claims() if claim.paper == "liu_delbruck_2019"}
RIGHT, CONVENTION, WRONG, INPUT = "reproduces", "convention", "does_not_reproduce", "input"

NULLHOP = 2 * 128 * 0.5 * 3.68  # GOp/s
GRU = 3 * 768 * (40 + 768) + 3 * 768 * (768 + 768)

#: id, printed in the paper, what the wording allows, unit, follows, verdict, convention, number
#: under the convention
NUMBERS: list[tuple[str, float, float, str, float, str, str, float | None]] = [
    # "about 100 fJ, which equates to 10 TOp/s/W"; 2 Op per synaptic accumulation (the Note)
    ("BRAIN-EFF", 10, 0.5, "TOp/s/W", 2 / 100e-15 / 1e12, CONVENTION,
     "one operation per synaptic event", 1 / 100e-15 / 1e12),
    # "an average rate of 10 kHz even with 1 Hz average spike rate"
    ("BRAIN-10k", 10, 0.5, "kHz", 1e4 * 10 / (100e-15 * 1e4 * 1e10) / 1e3, RIGHT, "", None),
    # "the fan-in to the next layer neurons will be 2500"
    ("FANIN", 2500, 0, "", 100 * 5 * 5, RIGHT, "", None),
    # "easily obtain a speedup of a factor of 4"
    ("SPEEDUP4", 4, 0.5, "x", 5, WRONG, "", None),
    # "an efficiency of almost 400%"
    ("NH-400", 400, 0, "%", 368, CONVENTION, "'almost' as rounding to one significant digit", 400),
    # "throughput of about 500 GOp/s"
    ("NH-500", 500, 50, "GOp/s", NULLHOP, RIGHT, "", None),
    # "area efficiency of about 100 GOp/s/mm2"
    ("NH-area", 100, 25, "GOp/s/mm2", NULLHOP / 6.3, CONVENTION,
     "the rounded 500 GOp/s and 6 mm2 of the same paragraph", 500 / 6),
    # "1.2 TOp/s on wall plug power of about 15 W"
    ("DRNN", 80, 5, "GOp/s/W", 1200 / 15, RIGHT, "", None),
    # of the EdgeDRNN papers: "5 million parameter 2-layer GRU-RNN", "about 0.5 ms"
    ("EDGE-PAR", 5.0, 0.5, "M", GRU / 1e6, RIGHT, "", None),
    ("EDGE-LAT", 0.5, 0.05, "ms", 2 * GRU / 20.2e9 * 1e3, RIGHT, "", None),
    # "a wall plug power efficiency of about 8 GOp/s/W"
    ("EDGE-EFF", 8, 0.5, "GOp/s/W", 20.2 / 2.42, RIGHT, "", None),
    # "about 1 TOp/s with area around 10 mm2, i.e. area efficiency of 100 GOp/s/mm2"
    ("1TOP", 100, 5, "GOp/s/mm2", 1000 / 10, RIGHT, "", None),
    # "changing rows takes 50 times longer for DDR3 DRAM": tRC 27 clocks, 2 beats per clock
    ("DRAM50", 50, 10, "x", 50.66 / (1.8762 / 2), RIGHT, "", None),
]  # fmt: skip
STATEMENTS = [("DELTA", RIGHT), ("SRAM20", RIGHT)]


def find(name: str) -> Finding:
    claim = CLAIMS[f"liu2019-{name}"]
    return judge(claim, PAPER.recompute[claim.id](claim))


def test_every_claim_is_listed_here_and_recomputed() -> None:
    names = [row[0] for row in NUMBERS] + [row[0] for row in STATEMENTS] + ["NH-3", "NH-sys"]
    assert {f"liu2019-{name}" for name in names} == set(CLAIMS) == set(PAPER.recompute)
    assert len(names) == 17


@pytest.mark.parametrize("row", NUMBERS, ids=[row[0] for row in NUMBERS])
def test_numbers_against_the_printed_ones(
    row: tuple[str, float, float, str, float, str, str, float | None],
) -> None:
    name, printed, allowed, unit, follows, verdict, convention, under = row
    finding = find(name)
    claim = finding.claim
    assert (claim.value, claim.unit, claim.tolerance) == (printed, unit, allowed)
    assert (finding.verdict, finding.convention) == (verdict, convention)
    assert finding.as_stated == pytest.approx(follows, rel=1e-9)
    near = abs(follows - printed) <= allowed * (1 + 1e-9) + 1e-9 * printed
    assert near == (verdict == RIGHT), "our number against the printed one"
    if under is not None:
        assert finding.computed == pytest.approx(under, rel=1e-9)
        assert abs(under - printed) <= allowed * (1 + 1e-9) + 1e-9 * printed
    assert finding.recomputed.arithmetic
    assert finding.explanation


@pytest.mark.parametrize(("name", "verdict"), STATEMENTS)
def test_statements(name: str, verdict: str) -> None:
    assert CLAIMS[f"liu2019-{name}"].value is None
    assert find(name).verdict == verdict


def test_core_efficiency_is_an_input() -> None:
    finding = find("NH-3")
    assert (finding.claim.value, finding.claim.unit, finding.verdict) == (3, "TOp/s/W", INPUT)
    assert "157 mW" in finding.explanation  # 471 GOp/s / 3 TOp/s/W


def test_nullhop_with_dram_by_hand() -> None:
    """VGG-19: maps of 224, 112, 56, 28, 14; bits per pixel 1 + 16/3.68; re-read per 128 maps."""
    finding = find("NH-sys")
    assert (finding.claim.value, finding.claim.tolerance) == (1.5, 0.15)
    plan = [(224, 3, 64), (224, 64, 64), (112, 64, 128), (112, 128, 128)]
    plan += [(56, 128, 256), *[(56, 256, 256)] * 3, (28, 256, 512), *[(28, 512, 512)] * 3]
    plan += [(14, 512, 512)] * 4
    packed = 1 + 16 / 3.68
    macs = sum(side**2 * 9 * inputs * outputs for side, inputs, outputs in plan)
    kernels = sum(9 * inputs * outputs * 16 for _, inputs, outputs in plan)
    maps = sum(
        side**2 * inputs * (16 if inputs == 3 else packed) * -(-outputs // 128)
        for side, inputs, outputs in plan
    )
    written = sum(side**2 * outputs * packed for side, _, outputs in plan)
    frames = NULLHOP * 1e9 / (2 * macs)
    # pJ per bit of the middle one of the three DDR3 chips: 0.713 nJ and 0.75 nJ per 8 x 8 bit
    access = frames * ((kernels + maps) * 0.713e-9 / 64 + written * 0.75e-9 / 64)
    expected = NULLHOP / 1e3 / (NULLHOP / 3e3 + access + 67.5e-3)
    assert macs == counted("vgg19_convolutions").macs
    assert finding.as_stated == pytest.approx(expected, rel=1e-9)
    assert abs(expected - 1.5) <= 0.15
    assert finding.verdict == RIGHT


def test_vgg19_has_its_printed_parameters() -> None:
    """torchvision prints 143,667,240; three fully connected layers take 123,642,856 of them."""
    assert counted("vgg19_convolutions").parameters == 143_667_240 - 123_642_856


# DRAM


def test_dram_devices_against_their_specifications() -> None:
    """Clocks of the specifications: tRC 27 (DDR3-1066), 38 (DDR3-1600), 55 (DDR4-2400)."""
    clocks = {"DDR3-1066 1Gb x16 G": 27, "DDR3-1600 2Gb x16 D": 38, "DDR4-2400 4Gb x8 A": 55}
    found = {device.device: device for device in dram_devices()}
    assert len(found) == 9
    for name, expected in clocks.items():
        assert found[name].slowdown_per_beat == pytest.approx(2 * expected, rel=1e-3)
        assert found[name].slowdown_per_burst == pytest.approx(expected / 4, rel=1e-3)
    assert found["LPDDR4-3200 8Gb x16"].peak_bytes_per_s == pytest.approx(6.4e9)
    for device in found.values():
        energies = (device.energy_activate, device.energy_read, device.energy_write)
        assert all(energies) or not any(energies)
        if device.random_burst_per_bit is not None and device.read_per_bit is not None:
            assert device.random_burst_per_bit > device.read_per_bit > 0


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("trc_ns: 50.66", "trc_ns: 60.66", "tRC 60.66 ns is not within"),
        ("peak_gb_per_s: 2.132", "peak_gb_per_s: 4.264", "peak rate"),
        ("burst_length: 8", "burst: 8", "burst"),
        ("devices:", "device:", "devices"),
    ],
)
def test_a_slip_in_the_dram_file_is_seen(tmp_path: Path, old: str, new: str, reason: str) -> None:
    text = (DATA / "dram_timings.yaml").read_text()
    assert old in text
    path = tmp_path / "dram.yaml"
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(DataError, match=reason):
        read_dram(path)


# planted faults


def _wrong(key: str, factor: float) -> Callable[[], dict[str, Constant]]:
    table = dict(paper.given())
    value = factor * table[key].value
    table[key] = replace(table[key], value=value, low=value, high=value)
    return lambda: table


@pytest.mark.parametrize(
    ("name", "key", "factor"),
    [
        ("BRAIN-EFF", "synaptic_energy", 1.2),
        ("BRAIN-10k", "brain_power", 1.2),
        ("BRAIN-10k", "brain_neurons", 8.6),
        ("FANIN", "fan_in_kernel", 0.6),
        ("NH-400", "nullhop_efficiency", 0.9),
        ("NH-500", "nullhop_clock", 0.9),
        ("NH-area", "system_area", 1.2),
        ("NH-sys", "nullhop_core", 0.7),
        ("DELTA", "delta_wsj", 0.8),
        ("DELTA", "delta_driving", 1.1),
        ("DRNN", "deltarnn_power", 1.2),
        ("EDGE-LAT", "edgedrnn_throughput", 1.2),
        ("EDGE-EFF", "edgedrnn_power", 1.2),
        ("1TOP", "cnn_area", 1.2),
        ("SRAM20", "sram_cell_high", 0.7),
    ],
)
def test_a_wrong_input_is_seen(
    monkeypatch: pytest.MonkeyPatch, name: str, key: str, factor: float
) -> None:
    monkeypatch.setattr(paper, "given", _wrong(key, factor))
    assert find(name).verdict == WRONG


def test_a_speedup_that_follows_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """The check can say yes: 75 % zeros give the printed factor of 4."""
    monkeypatch.setattr(paper, "given", _wrong("quantised_zeros", 0.9375))
    assert find("SPEEDUP4").verdict == RIGHT


def test_a_wrong_network_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paper, "counted", lambda name: counted("nsnet2"))
    assert find("EDGE-PAR").verdict == WRONG
    assert find("EDGE-LAT").verdict == WRONG


def test_another_dram_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    device = next(item for item in dram_devices() if item.device.startswith("DDR4-2400"))
    monkeypatch.setattr(paper, "zynq_dram", lambda: device)
    assert find("DRAM50").verdict == WRONG


def test_tables() -> None:
    for build in PAPER.tables.values():
        table = build()
        assert table.rows
        assert table.assumptions
        assert "liu_delbruck_2019" in table.sources
        assert all(formatted(table) for formatted in FORMATS.values())
    brain = PAPER.tables["Fig. 2"]().rows[0]
    assert (brain["printed"], brain["computed"], brain["verdict"]) == (1.0, 1.0, "reproduces")
