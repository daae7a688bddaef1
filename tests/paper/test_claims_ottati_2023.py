"""Every claim of Ottati et al. 2023: the printed number, our number, and the verdict.

The printed numbers are read in the paper and written here a second time, so that a slip in the
package's list of claims is found. "Follows" is exact arithmetic on the paper's own inputs.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tospike.constant import Constant
from tospike.errors import DataError, UnknownNameError
from tospike.network.zoo import ZOO
from tospike.papers import ottati_2023_energy as neuron
from tospike.papers import ottati_2023_static as images
from tospike.papers import ottati_2023_temporal as audio
from tospike.papers.claim import Claim, Finding
from tospike.papers.counted import counted
from tospike.papers.inputs import read_inputs
from tospike.papers.judge import judge
from tospike.papers.load import claims
from tospike.papers.ottati_2023 import PAPER
from tospike.papers.ottati_2023_data import read_static, read_temporal, static, table_2, temporal
from tospike.survey.load import accelerators
from tospike.tables import FORMATS

CLAIMS = {claim.id: claim for claim in claims() if claim.paper == "ottati_2023"}
RIGHT, CONVENTION, WRONG, INPUT = "reproduces", "convention", "does_not_reproduce", "input"

# one window of 512 x 3 x 3 and one neuron with 1024 inputs, term by term (pJ), with the energy r of
# one byte read or written: weights, spikes of 1/8 byte, additions, state, output spike
N, M = 4608, 1024


def _snn(n: int, r: float) -> float:
    return (n * (r + r / 8 + 0.03) + (2 * r + 0.20 + 3 * 0.03) + r / 8) / 1e3


def _ann(n: int, r: float) -> float:
    return (n * (2 * r + 0.23) + 0.03 + 0.03 + r) / 1e3


def _rnn(n: int, r: float) -> float:
    return ((2 * n + 2) * r + (n + 1) * 0.23 + r + r) / 1e3


def _vit(tokens: int) -> tuple[float, float]:
    """(MACs, parameters) of 48 encoder blocks of width 1664 and MLP 8192 on 14x14 patches."""
    w, hidden, depth = 1664, 8192, 48
    macs = tokens * 588 * w + depth * (tokens * (4 * w * w + 2 * w * hidden) + 2 * tokens**2 * w)
    block = 4 * w * w + 4 * w + 2 * w * hidden + hidden + w + 4 * w
    return macs, 588 * w + w + tokens * w + depth * block + 2 * w


# DeiT-Base: 197 tokens, 12 blocks of width 768, MLP 3072; patches and head
DEIT = 12 * (197 * 12 * 768**2 + 2 * 197**2 * 768) + 196 * 768**2 + 768 * 1000
RESNET50 = 4_089_184_256  # torchvision prints 4.089 GFLOPS (fused)
EDGETPU = 0.990669184e9  # "0.99 G"; by hand in test_mobilenet_edgetpu_by_hand

D = "the printed density of 2.50 pJ/B"
TOPS = "TOPS/W of the accelerator x rounded energy"
ROUND = "MACs rounded to 0.1 G, then doubled"

#: id, printed in the paper, half of the last printed digit, unit, follows from the inputs, verdict,
#: convention, number under the convention
NUMBERS: list[tuple[str, float, float, str, float | None, str, str, float | None]] = [
    ("T1", 2.50, 0.005, "pJ/B", 10 / 8, WRONG, "", None),
    ("NRD", 4608, 0, "", 512 * 9, RIGHT, "", None),
    ("ESNN", 13.1, 0.05, "nJ", _snn(N, 1.25), CONVENTION, D, _snn(N, 2.5)),
    ("EANN", 24.1, 0.05, "nJ", _ann(N, 1.25), CONVENTION, D, _ann(N, 2.5)),
    ("RATIO", 1.84, 0.005, "x", _ann(N, 1.25) / _snn(N, 1.25), CONVENTION, D,
     _ann(N, 2.5) / _snn(N, 2.5)),
    ("RSNN", 2.92, 0.005, "nJ", _snn(M, 1.25), CONVENTION, D, _snn(M, 2.5)),
    ("RANN", 5.37, 0.005, "nJ", _rnn(M, 1.25), CONVENTION, D, _rnn(M, 2.5)),
    ("RRATIO", 1.84, 0.005, "x", _rnn(M, 1.25) / _snn(M, 1.25), CONVENTION, D,
     _rnn(M, 2.5) / _snn(M, 2.5)),
    ("159MWh", 159, 0.5, "MWh", 158.4, WRONG, "", None),
    ("VITG-FLOP", 2.86, 0.005, "GFLOP", 2e-9 * _vit(27 * 27)[0], WRONG, "", None),
    ("VITG-PAR", 184.3, 0.05, "G", _vit(27 * 27)[1] / 1e9, WRONG, "", None),
    ("T2-E-Keller23", 1.0, 0.05, "mJ", 56 / 56, RIGHT, "", None),
    ("T2-E-Park22", 1.5, 0.05, "mJ", 5114 / 3433, RIGHT, "", None),
    ("T2-E-Mo21", 1.1, 0.05, "mJ", 132 / 120, RIGHT, "", None),
    ("T2-E-SNPU23", 2.0, 0.05, "mJ", 478 / 245, RIGHT, "", None),
    ("T2-E-CDNN23", 0.3, 0.05, "mJ", 34 / 123, RIGHT, "", None),
    ("T2-GOP-Keller23", 35.2, 0.05, "GOP", 2e-9 * DEIT, CONVENTION, ROUND, 35.2),
    ("T2-GOP-Park22", 17.4, 0.051, "GOP", 2e-9 * EDGETPU, CONVENTION, TOPS, 11.59 * 1.5),
    ("T2-GOP-Mo21", 13.3, 0.051, "GOP", 2e-9 * RESNET50, CONVENTION, TOPS, 12.1 * 1.1),
    ("T2-GOP-CDNN23", 7.4, 0.051, "GOP", 2e-9 * RESNET50, CONVENTION, TOPS, 24.5 * 0.3),
    ("195", 1.95, 0.005, "mJ", 478 / 245, RIGHT, "", None),
    ("046", 0.46, 0.005, "mJ", 132 / 120, WRONG, "", None),
    ("281", 281, 0.5, "uJ", 1e3 * 34 / 123, WRONG, "", None),
    ("PARAM768", 768, 0.5, "M", 86.567656, WRONG, "", None),
    ("PROC", 7, 0, "nm", 4, WRONG, "", None),
    ("T3-Yang19", 10, 0.5, "nJ", None, CONVENTION, "power x frame period of 10 ms", 10.0),
    ("T3-Oh19", 2.3, 0.05, "nJ", 0.142 * 512, CONVENTION, "power x frame period of 16 ms",
     0.142 * 16),
    ("T3-Frenkel22", 42, 0.5, "nJ", 79 * 5.7, WRONG, "", None),
    ("T3-Kim22", 285.2, 0.05, "nJ", 23 * 12.4, RIGHT, "", None),
    ("T3-Giraldo22", 169.6, 0.05, "nJ", 10.6 * 16, RIGHT, "", None),
    ("T3-Shan23", 23.6, 0.05, "nJ", 0.8 * 29.5, RIGHT, "", None),
    ("28x", 28, 0.5, "x", 132 / 4.7, RIGHT, "", None),
    ("YANG", 1.6, 0.05, "mm2", 1.66 * 1.52, WRONG, "", None),
]  # fmt: skip
#: id, verdict, convention
STATEMENTS = [
    ("PARETO", WRONG, ""),
    ("CONCL", CONVENTION, "peak TOPS/W of the titles"),
    ("KWS", INPUT, ""),
    ("SPIKEGPT", INPUT, ""),
]


def find(name: str) -> Finding:
    claim = CLAIMS[f"ottati2023-{name}"]
    return judge(claim, PAPER.recompute[claim.id](claim))


def test_every_claim_is_listed_here_and_recomputed() -> None:
    listed = {f"ottati2023-{row[0]}" for row in (*NUMBERS, *STATEMENTS)}
    assert listed == set(CLAIMS) == set(PAPER.recompute)
    assert len(listed) == 37


@pytest.mark.parametrize("row", NUMBERS, ids=[row[0] for row in NUMBERS])
def test_numbers_against_the_printed_ones(
    row: tuple[str, float, float, str, float | None, str, str, float | None],
) -> None:
    name, printed, half_digit, unit, follows, verdict, convention, under = row
    finding = find(name)
    claim = finding.claim
    assert (claim.value, claim.unit) == (printed, unit), "the list of claims against the paper"
    assert (finding.verdict, finding.convention) == (verdict, convention)
    if follows is None:
        assert finding.as_stated is None
    else:
        assert finding.as_stated == pytest.approx(follows, rel=1e-9)
        near = abs(follows - printed) <= half_digit * (1 + 1e-9)
        assert near == (verdict == RIGHT), "our number against the printed one"
    if under is not None:
        assert finding.computed == pytest.approx(under, rel=1e-9)
        assert abs(under - printed) <= half_digit * (1 + 1e-9), "convention against printed"
    assert finding.recomputed.arithmetic
    assert finding.explanation


@pytest.mark.parametrize(("name", "verdict", "convention"), STATEMENTS)
def test_statements(name: str, verdict: str, convention: str) -> None:
    finding = find(name)
    assert finding.claim.value is None
    assert (finding.verdict, finding.convention) == (verdict, convention)


def test_tolerances_are_half_of_the_last_printed_digit() -> None:
    wider = {"T3-Yang19": None, "T3-Frenkel22": 0.05}  # stated otherwise in the list of claims
    for name, _, half_digit, *_ in NUMBERS:
        assert CLAIMS[f"ottati2023-{name}"].tolerance == wider.get(name, half_digit), name


def test_pareto_in_table_2_by_hand() -> None:
    """SNPU'23: 200 MHz / 245 FPS = 816 k cycles at 33.2 % error and 1.95 mJ."""
    assert images.dominators("SNPU'23", lambda row: row.interval) == ("Park'22",)
    assert images.dominators("SNPU'23", lambda row: row.energy) == ("Keller'23", "Park'22", "Mo'21")
    cycles = {work: row.interval for work, row in table_2().items()}
    assert cycles["Keller'23"] == pytest.approx(1760e6 / 56)
    assert cycles["Keller'23"] > 816_326
    assert cycles["Mo'21"] == pytest.approx(470e6 / 120)
    assert cycles["Mo'21"] > 816_326
    assert cycles["Park'22"] == pytest.approx(1196e6 / 3433)
    assert cycles["Park'22"] < 816_326


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ((1, 1), (2, 2), True),
        ((1, 2), (1, 3), True),
        ((1, 3), (2, 2), False),
        ((1, 1), (1, 1), False),
        ((2, 2), (1, 1), False),
    ],
)
def test_dominance(one: tuple[float, float], other: tuple[float, float], expected: bool) -> None:
    assert images.dominates(one, other) == expected


def test_the_snn_has_the_highest_energy_of_the_keyword_spotters_with_one_definition() -> None:
    works = ("Frenkel'22", "Kim'22", "Giraldo'22", "Shan'23")
    energies = {work: temporal(work).energy_by_latency or 0.0 for work in works}
    assert max(energies, key=energies.__getitem__) == "Frenkel'22"
    assert sorted(works, key=lambda work: temporal(work).energy_nj)[1] == "Frenkel'22"


def test_the_vision_transformer_is_the_zoos_one_without_token_and_head() -> None:
    """ViT-B/16 through the class that makes ViT-G: torchvision prints 86,567,656 parameters."""
    trunk, whole = counted("vit_b16_trunk"), counted("deit_base")
    assert whole.parameters == 86_567_656
    assert trunk.parameters == 86_567_656 - 2 * 768 - (768 * 1000 + 1000)
    tokens = 196
    blocks = 12 * (tokens * 12 * 768**2 + 2 * tokens**2 * 768)
    assert trunk.macs == blocks + tokens * 768 * 768
    assert whole.macs == DEIT


def test_vit_g_is_near_the_recalled_numbers_of_its_paper() -> None:
    """Zhai 2022 (recalled): 1843 M parameters, 2859.9 GFLOP at 384 px."""
    macs, parameters = neuron.vit_g14()
    assert parameters / 1e6 == pytest.approx(1843, rel=1e-3)
    assert 2e-9 * macs == pytest.approx(2859.9, rel=3e-3)


def test_mobilenet_edgetpu_by_hand() -> None:
    """Sum over output pixels x kernel x channels, block by block."""
    macs = 112**2 * 27 * 32 + 112**2 * 32 * 16
    side, channels = 112, 16
    for fused, blocks, kernel, stride, first, outputs in (
        (True, 4, 3, 2, 8, 32),
        (True, 4, 3, 2, 8, 48),
        (False, 4, 3, 2, 8, 96),
        (False, 4, 3, 1, 8, 96),
        (False, 4, 5, 2, 8, 160),
        (False, 1, 3, 1, 8, 192),
    ):
        for index in range(blocks):
            hidden = channels * (4 if index else first)
            before, side = side, side if index else side // stride
            if fused:
                macs += side**2 * kernel**2 * channels * hidden
            else:
                macs += before**2 * channels * hidden + side**2 * kernel**2 * hidden
            macs += side**2 * hidden * outputs
            channels = outputs
    macs += 49 * 192 * 1280 + 1280 * 1000
    assert counted("mobilenet_edgetpu").macs == macs == EDGETPU


def test_networks_that_are_counted_exist() -> None:
    assert {row.counted_as for row in table_2().values()} - set(ZOO) == {"mobilenet_edgetpu"}
    with pytest.raises(UnknownNameError, match="resnet5o"):
        counted("resnet5o")


# planted faults: a wrong input has to turn a verdict that reproduces, or reproduces under a
# convention, into another one


def _wrong_input(key: str, factor: float) -> Callable[[], dict[str, Constant]]:
    table = dict(neuron.given())
    value = factor * table[key].value
    table[key] = replace(table[key], value=value, low=value, high=value)
    return lambda: table


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("NRD", "window_channels"),
        ("ESNN", "window_height"),
        ("EANN", "window_width"),
        ("RSNN", "recurrent_inputs"),
        ("RANN", "recurrent_inputs"),
    ],
)
def test_a_wrong_shape_is_seen(monkeypatch: pytest.MonkeyPatch, name: str, key: str) -> None:
    monkeypatch.setattr(neuron, "given", _wrong_input(key, 1.25))
    assert find(name).verdict == WRONG


@pytest.mark.parametrize("name", ["ESNN", "EANN", "RATIO", "RSNN", "RANN", "RRATIO"])
def test_a_wrong_technology_is_seen(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(neuron, "BY_DENSITY", "horowitz_2014_45nm")
    assert find(name).verdict == WRONG


def test_with_the_right_table_the_density_would_reproduce(monkeypatch: pytest.MonkeyPatch) -> None:
    """The check can say yes: 20 pJ per 64-bit read (the 32 kB cache) is 2.50 pJ/B."""
    monkeypatch.setattr(neuron, "given", _wrong_input("read_pj", 2.0))
    assert find("T1").verdict == RIGHT


@pytest.mark.parametrize("name", ["ESNN", "RSNN"])
def test_a_dropped_term_is_seen(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Without the additions (0.03 pJ of 2.84 pJ per synapse) the third digit is missed."""
    counts = neuron.snn_window if name == "ESNN" else neuron.snn_neuron
    entries = tuple(entry for entry in counts().entries if entry.action != "ac")
    less = replace(counts(), entries=entries)
    claim = CLAIMS[f"ottati2023-{name}"]
    assert judge(claim, neuron.energy(lambda: less)(claim)).verdict == WRONG


@pytest.mark.parametrize(
    ("name", "work", "change"),
    [
        ("T2-E-Park22", "Park'22", {"power_mw": 5514.0}),
        ("T2-E-SNPU23", "SNPU'23", {"throughput_fps": 254.0}),
        ("195", "SNPU'23", {"power_mw": 487.0}),
        ("T2-GOP-Keller23", "Keller'23", {"counted_as": "resnet50"}),
        ("T2-GOP-Park22", "Park'22", {"tops_per_watt": 11.95}),
        ("T2-GOP-Mo21", "Mo'21", {"energy_mj": 1.2}),
        ("T2-GOP-CDNN23", "C-DNN'23", {"tops_per_watt": 85.8}),
    ],
)
def test_a_wrong_cell_of_table_2_is_seen(
    monkeypatch: pytest.MonkeyPatch, name: str, work: str, change: dict[str, float]
) -> None:
    rows = {**table_2(), work: static(work).model_copy(update=change)}
    monkeypatch.setattr(images, "static", rows.__getitem__)
    assert find(name).verdict == WRONG


@pytest.mark.parametrize(
    ("name", "work", "change"),
    [
        ("T3-Yang19", "Yang'19", {"frame_period_ms": 16.0}),
        ("T3-Oh19", "Oh'19", {"frame_period_ms": 10.0}),
        ("T3-Kim22", "Kim'22", {"latency_ms": 12.1}),
        ("T3-Giraldo22", "Giraldo'22", {"power_uw": 10.7}),
        ("T3-Shan23", "Shan'23", {"power_uw": 0.9}),
        ("28x", "Shan'23", {"parameters_k": 4.9}),
    ],
)
def test_a_wrong_cell_of_table_3_is_seen(
    monkeypatch: pytest.MonkeyPatch, name: str, work: str, change: dict[str, float]
) -> None:
    monkeypatch.setattr(
        audio,
        "temporal",
        lambda asked: temporal(asked).model_copy(update=change if asked == work else {}),
    )
    assert find(name).verdict == WRONG


def test_a_domination_that_holds_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """With SNPU'23 a hundred times slower, every ANN accelerator dominates it."""
    slow = static("SNPU'23").model_copy(update={"throughput_fps": 2.45})
    rows = {**table_2(), "SNPU'23": slow}
    monkeypatch.setattr(images, "table_2", lambda: rows)
    monkeypatch.setattr(images, "static", rows.__getitem__)
    assert find("PARETO").verdict == RIGHT


# tables


def test_tables_state_printed_and_computed_side_by_side() -> None:
    assert list(PAPER.tables) == ["Table I", "Table II", "Table III"]
    for build in PAPER.tables.values():
        table = build()
        assert {"printed", "computed", "deviation", "verdict", "note"} <= {
            column.key for column in table.columns
        }
        assert table.assumptions
        assert "ottati_2023" in table.sources
        assert all(formatted(table) for formatted in FORMATS.values())


def test_table_1_has_one_wrong_cell() -> None:
    rows = PAPER.tables["Table I"]().rows
    wrong = [(row["row"], row["quantity"]) for row in rows if row["verdict"] != "reproduces"]
    assert wrong == [("Read 64 b (8 kB)", "energy density")]


#: work: energy [mJ], operations [GOP], parameters [M] as Table II prints them
TABLE_2 = {
    "Keller'23": (1.0, 35.2, 768),
    "Park'22": (1.5, 17.4, 3),
    "Mo'21": (1.1, 13.3, 25),
    "SNPU'23": (2.0, 61.4, 12),
    "C-DNN'23": (0.3, 7.4, 25),
}


def test_table_2_against_the_printed_one() -> None:
    rows = PAPER.tables["Table II"]().rows
    for work, printed in TABLE_2.items():
        mine = {row["quantity"]: row for row in rows if row["work"] == work}
        names = ("energy", "operations", "parameters")
        assert tuple(mine[name]["printed"] for name in names) == printed
        assert mine["energy"]["verdict"] == "reproduces"
    right = [
        row["work"]
        for row in rows
        if (row["quantity"], row.get("verdict")) == ("parameters", RIGHT)
    ]
    assert right == ["SNPU'23"]


#: work: power [uW], latency [ms], energy [nJ] as Table III prints them, and the verdict
TABLE_3 = {
    "Yang'19": (1, None, 10, "reproduces under power x frame period of 10 ms (10)"),
    "Oh'19": (0.142, 512.0, 2.3, "reproduces under power x frame period of 16 ms (2.272)"),
    "Frenkel'22": (79, 5.7, 42, "does not reproduce"),
    "Kim'22": (23, 12.4, 285.2, "reproduces"),
    "Giraldo'22": (10.6, 16.0, 169.6, "reproduces"),
    "Shan'23": (0.8, 29.5, 23.6, "reproduces"),
}


def test_table_3_against_the_printed_one() -> None:
    rows = {row["work"]: row for row in PAPER.tables["Table III"]().rows}
    assert list(rows) == list(TABLE_3)
    for work, (power, latency, energy, verdict) in TABLE_3.items():
        row = rows[work]
        assert (row["power"], row["latency"], row["printed"]) == (power, latency, energy)
        assert row["verdict"] == verdict
        product = None if latency is None else power * latency
        if product is None:
            assert row["computed"] is None
        else:
            assert row["computed"] == pytest.approx(product)


#: name in the survey, which was transcribed separately: its name in Tables II and III
SURVEYED = {
    "Park22 (Samsung NPU)": "Park'22",
    "Mo21 (QNAP)": "Mo'21",
    "SNPU23": "SNPU'23",
    "C-DNN23": "C-DNN'23",
    "Oh19 VAD": "Oh'19",
    "ReckOn (Frenkel22)": "Frenkel'22",
    "Kim22 KWS": "Kim'22",
}


def test_tables_against_the_survey() -> None:
    found = {entry.name: entry for entry in accelerators() if entry.name in SURVEYED}
    assert set(found) == set(SURVEYED)
    for name, work in SURVEYED.items():
        entry = found[name]
        if work in table_2():
            assert entry.throughput_per_s == pytest.approx(static(work).throughput_fps)
            assert entry.power_w == pytest.approx(static(work).power_mw * 1e-3)
            assert entry.clock_hz == pytest.approx(static(work).clock_mhz * 1e6)
            assert entry.accuracy == pytest.approx(static(work).accuracy_pct / 100)
        else:
            assert entry.power_w == pytest.approx(temporal(work).power_uw * 1e-6)
            assert entry.latency_s == pytest.approx((temporal(work).latency_ms or 0.0) * 1e-3)


# data files with faults


def test_faults_of_an_input_file_are_all_named(tmp_path: Path) -> None:
    path = tmp_path / "inputs.yaml"
    row = "{key: a, value: %s, unit: W, source: %s, locator: I, quoted: '%s'}"
    rows = [
        row % (1.0, "ottati_2023", "1"),
        row % (1.0, "nobody", "1"),
        row % (".nan", "tospike", ""),
    ]
    path.write_text("inputs:\n" + "".join(f"  - {line}\n" for line in rows))
    with pytest.raises(DataError) as caught:
        read_inputs(path)
    text = str(caught.value)
    assert "a: twice" in text
    assert "'nobody' is not in the bibliography" in text
    assert "must be finite" in text
    assert "printed text is missing" in text


@pytest.mark.parametrize("text", ["inputs: [", "inputs: {}", "", "[1, 2]", "inputs: [{key: a}]"])
def test_a_broken_input_file_is_an_error(tmp_path: Path, text: str) -> None:
    path = tmp_path / "inputs.yaml"
    path.write_text(text)
    with pytest.raises(DataError, match=r"inputs\.yaml"):
        read_inputs(path)
    with pytest.raises(DataError, match=r"missing\.yaml"):
        read_inputs(tmp_path / "missing.yaml")


@pytest.mark.parametrize("read", [read_static, read_temporal])
@pytest.mark.parametrize("text", ["accelerators: []", "accelerators: [{work: a}]", "", "[1]"])
def test_a_broken_accelerator_file_is_an_error(
    tmp_path: Path, read: Callable[[Path], object], text: str
) -> None:
    path = tmp_path / "table.yaml"
    path.write_text(text)
    with pytest.raises(DataError, match=r"table\.yaml"):
        read(path)


def test_unknown_accelerators_are_named() -> None:
    with pytest.raises(UnknownNameError, match="Keller'23"):
        static("Keller'32")
    with pytest.raises(UnknownNameError, match="Yang'19"):
        temporal("Yang'91")


def test_a_claim_without_a_printed_number_does_not_break_a_recomputation() -> None:
    claim: Claim = replace(CLAIMS["ottati2023-VITG-FLOP"], value=None, tolerance=None)
    assert math.isfinite(PAPER.recompute[claim.id](claim).computed or math.nan)
