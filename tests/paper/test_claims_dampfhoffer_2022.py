"""Every claim of Dampfhoffer et al. 2022: verdict, and computed against the number in the paper.

``CLAIMS`` was read off the paper, not off the package's list of claims, so that a slip in either
is found.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pytest

from tospike.errors import DataError
from tospike.papers import dampfhoffer_2022_breakeven as breakeven
from tospike.papers import dampfhoffer_2022_energy as energy
from tospike.papers import dampfhoffer_2022_eyeriss as eyeriss
from tospike.papers import dampfhoffer_2022_networks as networks
from tospike.papers.claim import Claim, Finding, Verdict
from tospike.papers.dampfhoffer_2022 import PAPER
from tospike.papers.judge import judge
from tospike.papers.load import claims
from tospike.tables.formats import FORMATS
from tospike.technology import loader

OK, CONV, NOT, INPUT = "reproduces", "convention", "does_not_reproduce", "input"


class Printed(NamedTuple):
    """A number of the paper: value, half of its last digit, our verdict, the sentence."""

    value: float | None
    half_digit: float | None
    verdict: Verdict
    sentence: str


# fmt: off
CLAIMS: dict[str, Printed] = {
    "T1-AC45": Printed(0.13, 0.005, OK, "45nm (8 bit) ... 0.13x"),
    "T1-RW45": Printed(5.4, 0.05, OK, "45nm (8 bit) ... 5.4x"),
    "T1-65": Printed(None, None, OK, "65nm (16 bit) ... 0.06x 1x 6x 1x"),
    "T3-worst": Printed(1.38, 0.005, OK, "Worst case ANN: Baseline (II) 1.38"),
    "T3-reuse": Printed(0.28, 0.005, OK, "Ideal reuse (III-A) 0.28"),
    "T3-best": Printed(0.15, 0.005, OK, "Best case ANN ... 0.15"),
    "EV1-VGG": Printed(0.44, 0.005, CONV, "must be lower than 0.44 (resp. 0.42) for VGG16"),
    "EV1-ALEX": Printed(0.42, 0.005, CONV, "Eyeriss v1: reuse + iact sparsity 0.42"),
    "EV2": Printed(0.37, 0.005, CONV, "and thus becomes N_spikes/syn = 0.37"),
    "RF25": Printed(25, 0.5, OK, "the effective average RF for iacts and psums is 25"),
    "276GB": Printed(276, 0.5, OK, "This would require 276GB psums and iacts accesses"),
    "11006MB": Printed(11006, 0.5, OK, "Instead they perform 11006MB GLB accesses"),
    "RF80": Printed(80, 0.5, CONV, "an average RF for iacts and psums of 80"),
    "gamma": Printed(58, 0.5, OK, "58% in convolutional layers of AlexNet and VGG16"),
    "F6-base": Printed(96, 0.5, OK, "96% of the total energy consumption"),
    "F6-bestlocal": Printed(84.06, 0.005, CONV, "84.06% of the total energy consumption"),
    "F6-bestdist": Printed(0.32, 0.005, CONV, "against 0.32% from memory accesses"),
    "F6-ev1dist": Printed(2.2, 0.05, CONV, "only 2.2% of the energy consumption"),
    "F6-ev1loc": Printed(88.02, 0.005, CONV, "and 88.02% to a local memory"),
    "F5": Printed(0.3, 0.0, OK, "very small (lower than 0.3) from RF = 10"),
    "F7-EV2-0.1": Printed(3.6, 0.05, OK, "with a spike sparsity of 0.1 ... 3.6x"),
    "F7-best-0.1": Printed(1.5, 0.05, OK, "(resp. 1.5x)"),
    "F7-EV2-0.05": Printed(7.3, 0.05, OK, "and 7.3x (resp. 3.0x) if ... 0.05"),
    "F7-best-0.05": Printed(3.0, 0.05, OK, "and 7.3x (resp. 3.0x) if ... 0.05"),
    "F7-05": Printed(0.5, 0.0, OK, "above 0.5 spikes per synapse per inference, SNNs can not"),
    "RATIO-AlexNet": Printed(2.9e3, 50, CONV, "2.9 x 10^3"),
    "RATIO-VGG16": Printed(1.7e3, 50, CONV, "1.7 x 10^3"),
    "RATIO-MobileNet": Printed(9.4e2, 5, CONV, "9.4 x 10^2"),
    "3x": Printed(3, 0.5, CONV, "this ratio is 3x lower than in the AlexNet topology"),
    "F2-LIF": Printed(15.17, 0.005, NOT, "reaches 15.17% (respectively 26.34%)"),
    "F2-CONT": Printed(26.34, 0.005, NOT, "reaches 15.17% (respectively 26.34%)"),
    "T2-Wu13_VGG8*": Printed(4.6, 0.05, OK, "[13] (VGG8*) IF+inst 90.98 - 0.30 4.6x"),
    "T2-Han27_VGG16": Printed(1.1, 0.05, OK, "[27] (VGG16) IF+inst 90.35 - 1.30 1.1x"),
    "T2-Han28_VGG16": Printed(2.7, 0.05, OK, "[28] (VGG16) IF+inst 92.79 - 0.51 2.7x"),
    "T2-Lee11_ResNet11": Printed(0.4, 0.05, OK, "[11] (ResNet11) LIF+inst 90.95 100 3.60 0.4x"),
    "T2-Kim29_VGG9": Printed(1.7, 0.05, OK, "[29] (VGG9) LIF+inst 90.50 25 0.80 1.7x"),
    "T2-Rathi12_VGG16*": Printed(3.6, 0.05, CONV, "[12] (VGG16*) LIF+inst 92.70 5 0.39 3.6x"),
    "T2-Zhou30_VGG16": Printed(1.3, 0.05, NOT, "[30] (VGG16) IF+cont 92.68 680** 0.62 1.3x"),
    "T2-Han27_VGG16_IN": Printed(0.3, 0.05, OK, "[27] (VGG16) IF+inst 68.93 - 5.00 0.3x"),
    "T2-Han28_VGG16_IN": Printed(1.4, 0.05, OK, "[28] (VGG16) IF+inst 72.59 - 1.00 1.4x"),
    "T2-Rathi12_VGG16*_IN": Printed(3.4, 0.05, OK, "[12] (VGG16*) LIF+inst 69.00 5 0.41 3.4x"),
    "H-RN34-all": Printed(6.3, 0.05, OK, "(6.3x for the Eyeriss v2 model)"),
    "H-RN34-last": Printed(2.1, 0.05, OK, "These layers ... are 2.1x more energy-efficient"),
    "H-RN34-hyb10": Printed(1.2, 0.05, OK, "hybrid ANN-SNN implementation 1.2x"),
    "H-RN34-hyb12": Printed(1.2, 0.05, OK, "hybrid ANN-SNN implementation 1.2x"),
    "H-VGG-all": Printed(1.1, 0.05, NOT, "is 1.1x more energy-efficient than the ANN Eyeriss v2"),
    "H-VGG-last": Printed(2.2, 0.05, NOT, "the last 10 layers ... are 2.2x more"),
    "H-VGG-hyb": Printed(1.3, 0.05, OK, "would be 1.3x more energy-efficient"),
    "EV2-speedups": Printed(None, None, INPUT, "x3.0 (resp. x1.9) ... x11.3 and x2.5"),
}

#: claim -> the number under the stated method, by exact arithmetic on what the paper prints
STATED: dict[str, float] = {
    "T1-AC45": 0.03 / 0.23,
    "T1-RW45": 10 / 8 / 0.23,
    "T3-worst": (4 * 5.4 + 1) / (3 * 5.4 + 0.13),
    "T3-reuse": 5 / (3 * 6 + 0.06),
    "T3-best": (1 + 0.42 * 4) / 18.06,
    "EV1-VGG": ((0.42 + 0.55 * 0.58) * (6 + 18 / 25) + 4) / 18.06,
    "EV1-ALEX": ((0.42 + 0.55 * 0.58) * (6 + 18 / 80) + 4) / 18.06,
    "EV2": (0.42 + 0.55 * 0.58) * (10 + 18 / 80) / 18.06 / 1.15,
    "F5": (2.68 + 24 / 10) / 18.06,
    "F6-base": 100 * 24 / 25,
    "F6-ev1dist": 100 * 0.739 * 0.225 / (0.739 * 6.225 + 4),
    "F6-ev1loc": 100 * (0.739 * 6 + 3) / (0.739 * 6.225 + 4),
    "F7-best-0.1": 26.8 / 18.06,
    "T2-Wu13_VGG8*": 22.6 / (0.30 * 16.33),
    "T2-Han27_VGG16": 22.6 / (1.30 * 16.33),
    "T2-Han28_VGG16": 22.6 / (0.51 * 16.33),
    "T2-Han27_VGG16_IN": 22.6 / (5.00 * 16.33),
    "T2-Han28_VGG16_IN": 22.6 / 16.33,
    "T2-Zhou30_VGG16": 22.6 / (0.62 * 16.33 + 680 * 23.6 * 13_556_712 / 15_470_264_320),
    "RATIO-VGG16": 15_470_264_320 / 13_556_712,
    "F2-LIF": 100 * 5900 / (5900 + 16.33 * 15_470_264_320 / 13_556_712),
    "F2-CONT": 100 * 11800 / (11800 + 16.33 * 15_470_264_320 / 13_556_712),
    "276GB": 3 * 15_346_630_656 * 3 * 2 / 1e9,
    "11006MB": 11035.8 - 14_710_464 * 2 / 1e6,
    "RF80": 4 * 665_784_864 * 3 * 2 / (208.5e6 - 2 * 2_332_704),
    "H-RN34-all": 2.4 * 1.15 * 18.06 / (0.739 * 10.72),
    "H-VGG-all": 0.739 * 10.72 / 18.06 / 1.15 / 0.41,
    "H-VGG-last": 0.739 * 10.72 / 18.06 / 1.15 / 0.21,
}
# fmt: on

MINE = {claim.id.removeprefix("dampfhoffer2022-"): claim for claim in claims() if
        claim.paper == PAPER.key}  # fmt: skip


def found(suffix: str, claim: Claim | None = None) -> Finding:
    mine = claim or MINE[suffix]
    return judge(mine, PAPER.recompute[f"dampfhoffer2022-{suffix}"](mine))


def test_every_claim_is_listed_here_and_recomputed() -> None:
    assert set(MINE) == set(CLAIMS)
    assert set(PAPER.recompute) == {f"dampfhoffer2022-{suffix}" for suffix in CLAIMS}


@pytest.mark.parametrize("suffix", CLAIMS)
def test_claims_are_transcribed_as_printed(suffix: str) -> None:
    assert MINE[suffix].value == CLAIMS[suffix].value
    assert MINE[suffix].tolerance == CLAIMS[suffix].half_digit


@pytest.mark.parametrize("suffix", CLAIMS)
def test_verdict_and_number(suffix: str) -> None:
    printed = CLAIMS[suffix]
    finding = found(suffix)
    assert finding.verdict == printed.verdict
    assert finding.explanation
    if printed.value is None:
        assert finding.computed is None
        return
    assert finding.as_stated is not None
    assert finding.computed is not None
    assert printed.half_digit is not None
    if suffix in {"F5", "F7-05"}:
        assert finding.recomputed.holds is True
        assert finding.computed < printed.value
        return
    agrees = abs(finding.computed - printed.value) <= printed.half_digit + 1e-9
    assert agrees == (printed.verdict in {OK, CONV})
    if printed.verdict != OK:
        assert abs(finding.as_stated - printed.value) > printed.half_digit
    if printed.verdict == CONV:
        tried = {item.name: item.value for item in finding.recomputed.conventions}
        assert tried[finding.convention] == finding.computed


@pytest.mark.parametrize("suffix", STATED)
def test_stated_method_by_exact_arithmetic(suffix: str) -> None:
    assert found(suffix).as_stated == pytest.approx(STATED[suffix], rel=1e-9)


@pytest.mark.parametrize("suffix", [s for s, p in CLAIMS.items() if p.value is not None])
def test_nothing_computed_moves_with_the_printed_number(suffix: str) -> None:
    """A claim that prints something else gets the same numbers and, if it did, fails."""
    honest = found(suffix)
    value = MINE[suffix].value
    assert value is not None
    wrong = replace(MINE[suffix], value=0.1 * value)
    recomputed = PAPER.recompute[wrong.id](wrong)
    assert recomputed.computed == honest.as_stated
    assert [item.value for item in recomputed.conventions] == [
        item.value for item in honest.recomputed.conventions
    ]
    if recomputed.why:
        assert judge(wrong, recomputed).verdict == NOT


def test_every_failing_claim_says_why_and_every_one_has_a_reason_ready() -> None:
    for suffix, claim in MINE.items():
        recomputed = PAPER.recompute[claim.id](claim)
        assert recomputed.why, suffix


class TestConventions:
    def test_true_and_dense_countings(self) -> None:
        assert networks.ratio("alexnet") == pytest.approx(1098.8, abs=0.05)
        assert networks.ratio("vgg16") == pytest.approx(1141.2, abs=0.05)
        assert networks.ratio("mobilenet_v1") == pytest.approx(112.8, abs=0.05)
        # VGG16 has no groups: only the neurons are counted otherwise
        maps = (3 + 64) * 224**2 + (64 + 128) * 112**2 + (128 + 2 * 256) * 56**2
        maps += (256 + 2 * 512) * 28**2 + 3 * 512 * 14**2
        assert networks.figure_3("vgg16") == pytest.approx(15_470_264_320 / maps, rel=1e-12)

    def test_one_ratio_gives_both_shares_of_figure_2_and_zhou(self) -> None:
        needed = networks.implied_ratio()
        assert needed == pytest.approx(500 * 11.8 / 16.33 * (1 / 0.1517 - 1), rel=1e-12)
        assert 100 * 11800 / (11800 + 16.33 * needed) == pytest.approx(26.34, abs=0.005)
        zhou = 22.6 / (0.62 * 16.33 + 680 * 23.6 / needed)
        tried = found("T2-Zhou30_VGG16").recomputed.conventions
        assert tried[-1].value == pytest.approx(zhou, rel=1e-9)
        # the sum of layer sizes that would fit, in units of one 14 x 14 x 512 map and its 3x3 MACs
        assert networks.contrived_ratio() == pytest.approx(18432 * 8.25 / 75.25, rel=1e-12)
        for counting in networks.countings("vgg16"):
            share = networks.neuron_share("snn_lif_inst", counting.ratio)
            assert abs(share - 15.17) > 0.005, counting.name

    def test_mean_reuse_of_figure_6(self) -> None:
        """MobileNet's depthwise layers by hand: dense counting multiplies two factors by C."""
        true = networks.mean_reuse(as_dense=False)
        dense = networks.mean_reuse(as_dense=True)
        assert dense[1] == true[1]
        assert dense[0] > true[0]
        assert dense[2] > true[2]
        harmonic = 6 * (1 / dense[0] + 1 / dense[1] + 2 / dense[2])
        share = 100 * harmonic / (harmonic + 2.68)
        assert found("F6-bestdist").computed == pytest.approx(share, rel=1e-9)

    def test_readings_of_equation_13(self) -> None:
        gate = 0.42 + 0.55 * 0.58
        for network, reuse, printed in (("vgg16", 25, 0.44), ("alexnet", 80, 0.42)):
            assert energy.eyeriss(network) == pytest.approx(gate * (10 + 18 / reuse) / 18.06)
            assert energy.eyeriss(network, "pe_only") == pytest.approx(
                (gate * 10 + 18 / reuse) / 18.06
            )
            assert energy.eyeriss(network) == pytest.approx(printed, abs=0.005)
        assert round(energy.eyeriss("vgg16", "pe_only"), 2) != 0.44

    def test_the_vgg16_sentence_of_section_4_contradicts_itself(self) -> None:
        gain, share = found("H-VGG-last").as_stated, 0.5161
        assert gain is not None
        assert 1 / (1 - share + share / gain) == pytest.approx(1.3, abs=0.05)
        assert abs(1 / (1 - share + share / 2.2) - 1.3) > 0.05
        stated = found("H-VGG-all").as_stated
        assert stated is not None
        assert stated < 1


class TestTables:
    @pytest.mark.parametrize("name", ["Table II", "Table III"])
    def test_all_formats(self, name: str) -> None:
        table = PAPER.tables[name]()
        for write in FORMATS.values():
            assert write(table)

    def test_table_2_prints_the_rows_of_the_paper(self) -> None:
        printed = [row["printed"] for row in PAPER.tables["Table II"]().rows]
        assert printed == [4.6, 1.1, 2.7, 0.4, 1.7, 3.6, 1.3, 0.3, 1.4, 3.4]

    def test_table_3_prints_the_rows_of_the_paper(self) -> None:
        table = PAPER.tables["Table III"]()
        assert [row["printed"] for row in table.rows] == [1.38, 0.28, 0.15, 0.42, 0.37]
        assert table.notes


class TestPlantedFaults:
    @pytest.fixture(autouse=True)
    def _fresh(self) -> Iterator[None]:
        caches = (energy.rows, networks.countings, networks.network)
        for one in caches:
            one.cache_clear()
        yield
        for one in caches:
            one.cache_clear()

    def test_a_wrong_price_turns_verdicts_red(self, monkeypatch: pytest.MonkeyPatch) -> None:
        real = loader._packaged

        def faulty(name: str) -> object:
            table = real(name)
            if name != energy.T65:
                return table
            energies = {
                key: replace(one, value=1.1 * one.value, high=1.1 * one.high)
                if key[0] == "sram" else one
                for key, one in table.energies.items()
            }  # fmt: skip
            return replace(table, energies=energies)

        monkeypatch.setattr(loader, "_packaged", faulty)
        red = {s for s, p in CLAIMS.items() if found(s).verdict != p.verdict}
        assert {"T1-65", "T3-reuse", "T3-best", "H-RN34-all", "F6-bestdist"} <= red

    def test_a_lost_access_in_an_equation(self, monkeypatch: pytest.MonkeyPatch) -> None:
        real = breakeven.equations.snn_if_inst

        def faulty(**given: object) -> object:
            counts = real(**given)  # type: ignore[arg-type]  # the fault passes all through
            return counts.select(lambda entry: entry.action != "write")

        monkeypatch.setattr(breakeven.equations, "snn_if_inst", faulty)
        red = {s for s, p in CLAIMS.items() if found(s).verdict != p.verdict}
        assert {"T3-worst", "T3-reuse", "T3-best", "F7-best-0.1", "T2-Wu13_VGG8*"} <= red

    def test_a_wrong_topology(self, monkeypatch: pytest.MonkeyPatch) -> None:
        real = networks.load_zoo

        def faulty(name: str) -> object:
            net = real(name)
            first = net.synaptic_layers[1]
            wrong = replace(first, n_synapses=10 * first.n_synapses)
            return replace(net, layers=tuple(wrong if x is first else x for x in net.layers))

        monkeypatch.setattr(networks, "load_zoo", faulty)
        names = ("RATIO-AlexNet", "RATIO-VGG16", "F6-bestdist", "F6-bestlocal")
        assert {found(name).verdict for name in names} == {NOT}

    def test_a_wrong_cell_in_the_measurements(self, tmp_path: Path) -> None:
        path = tmp_path / "wrong.yaml"
        path.write_text(eyeriss.PATH.read_text().replace("glb_mb: 1201.4", "glb_mb: 1210.4"))
        with pytest.raises(DataError, match=r"glb_mb of the rows sum to 11044\.8, not 11035\.8"):
            eyeriss.read(path)

    def test_truncated_measurements(self, tmp_path: Path) -> None:
        path = tmp_path / "wrong.yaml"
        path.write_text(eyeriss.PATH.read_text()[:1500])
        with pytest.raises(DataError, match=r"read the measurements wrong\.yaml"):
            eyeriss.read(path)

    def test_a_misspelt_key_in_the_measurements(self, tmp_path: Path) -> None:
        path = tmp_path / "wrong.yaml"
        path.write_text(eyeriss.PATH.read_text().replace("batch: 4", "bach: 4"))
        with pytest.raises(DataError, match=r"1\.batch.*\n.*1\.bach"):
            eyeriss.read(path)


def test_measured_macs_are_those_of_the_topologies() -> None:
    for name, table in eyeriss.measured().items():
        assert table.batch * eyeriss.conv_counts(name)[0] / 1e9 == pytest.approx(
            table.total.gmac, abs=0.005
        )
