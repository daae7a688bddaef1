"""Every rule: found in its planted claim, silent in the clean one, with exact arithmetic."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from tospike.checking import RULES, check, parse_claim
from tospike.checking.examples import example_names, example_path, example_text
from tospike.checking.record import Outcome, Report, finding, passed

#: synapses of the small network of the planted claims: 3x16 and 16x32 channels of 3x3, 8192x10
CONV1, CONV2, FC = 9 * 3 * 16 * 1024, 9 * 16 * 32 * 256, 8192 * 10
MACS = CONV1 + CONV2 + FC
SPIKES = 0.02 * 4


def outcome(report: Report, rule: str) -> Outcome:
    return next(item for item in report.outcomes if item.rule == rule)


def changed(name: str, *pairs: tuple[str, str]) -> Report:
    """An example with some of its text replaced."""
    text = example_text(name)
    for old, new in pairs:
        assert old in text, old
        text = text.replace(old, new)
    return check(parse_claim(text, name=name))


def test_one_planted_example_per_rule() -> None:
    planted = {name.removeprefix("planted_") for name in example_names() if "planted" in name}
    assert planted == set(RULES)
    assert len(RULES) == 13


@pytest.mark.parametrize("rule", RULES)
def test_planted_mistake_is_the_only_error(rule: str) -> None:
    report = check(example_path(f"planted_{rule}"))
    assert [item.rule for item in report.findings if item.severity == "error"] == [rule]
    found = outcome(report, rule)
    assert found.fix
    assert found.text.endswith(".")


@pytest.mark.parametrize("rule", RULES)
def test_clean_claim_is_silent(rule: str) -> None:
    report = check(example_path("clean"))
    assert outcome(report, rule).state != "finding"
    assert report.findings == ()
    assert [item.rule for item in report.not_checked] == ["idle_steps"]


@pytest.mark.parametrize("rule", RULES)
def test_the_tests_see_a_blind_rule_and_a_loud_one(
    rule: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    blind = replace(RULES[rule], check=lambda facts: passed("looked away"))
    loud = replace(RULES[rule], check=lambda facts: finding("error", "Everything.", fix="none"))
    monkeypatch.setitem(RULES, rule, blind)
    with pytest.raises(AssertionError):
        test_planted_mistake_is_the_only_error(rule)
    monkeypatch.setitem(RULES, rule, loud)
    with pytest.raises(AssertionError):
        test_clean_claim_is_silent(rule)


@pytest.mark.parametrize("rule", RULES)
def test_rule_without_inputs_says_so(rule: str) -> None:
    bare = parse_claim(
        "title: t\nsource: {citation: c, locator: l, evidence: constructed}\n"
        "network: {totals: {}}\nclaimed: {}\n",
        name="bare",
    )
    found = outcome(check(bare), rule)
    assert found.state == "not_checked"
    assert found.text.startswith("needs ")


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("rate_twice", 136.3e3 * 0.03e-12),
        ("constants", 0.03e-12),
        ("per_step", MACS * SPIKES),
        ("own_ratio", 13.96 / 8.504),
        ("integer_spikes", MACS * SPIKES),
        ("residual_sums", 4.089e-9 + 0.2e-12 * 136.3e3 * CONV2 / MACS),
        ("precision", 3.919e-6 * 0.23 / 4.6),
        ("analog_first_layer", 4.089e-9 + (0.23e-12 - 0.03e-12 * SPIKES) * CONV1),
        # log-log on the printed curve: 20 pJ at 32 KiB, 100 pJ at 1 MiB per 64 bit
        (
            "small_sram",
            20e-12 * (86960 / 32768) ** (math.log(5) / math.log(32)) / 8,
        ),
    ],
)
def test_corrected_number(rule: str, expected: float) -> None:
    found = outcome(check(example_path(f"planted_{rule}")), rule)
    assert found.corrected == pytest.approx(expected, rel=1e-6)


def test_corrected_numbers_that_start_from_the_printed_energy() -> None:
    for rule, extra in (("static_power", 1e-3 * 10e-3), ("idle_steps", 24586 * 16 * 52e-12)):
        report = check(example_path(f"planted_{rule}"))
        energy = report.claim.snn_energy
        assert energy is not None
        assert outcome(report, rule).corrected == pytest.approx(energy.value + extra)
    report = check(example_path("planted_ann_sparsity"))
    assert report.claim.ann_energy is not None
    assert outcome(report, "ann_sparsity").corrected == report.claim.ann_energy.value / 2


def test_memory_is_declared_but_the_numbers_hold_none() -> None:
    report = changed("planted_rate_twice", ("memory: none", "memory: included"))
    assert outcome(report, "compute_only").severity == "error"


def test_declared_step_against_inference() -> None:
    report = changed("planted_per_step", ("snn_per: inference", "snn_per: step"))
    found = outcome(report, "per_step")
    assert found.severity == "error"
    assert found.corrected == pytest.approx(4 * 1.022e-9)


def test_energy_of_one_step_is_recognised_without_operations() -> None:
    report = changed("planted_per_step", ("  snn_operations: 34.08 kSOP\n", ""))
    found = outcome(report, "per_step")
    assert found.severity == "error"
    assert found.corrected == pytest.approx(MACS * SPIKES * 0.03e-12)


def test_squared_rate_in_the_operations() -> None:
    # 0.08 x 0.02 x 1.703936 M
    report = changed(
        "planted_rate_twice", ("snn_operations: 136.3 kSOP", "snn_operations: 2.726 kSOP")
    )
    found = outcome(report, "rate_twice")
    assert found.severity == "error"
    assert found.corrected == pytest.approx(MACS * SPIKES)


def test_rate_twice_beside_an_analog_first_layer() -> None:
    first, operations = 0.23e-12 * CONV1, SPIKES * (CONV2 + FC)
    report = changed(
        "planted_rate_twice",
        ("input: rate", "input: direct"),
        ("snn_operations: 136.3 kSOP", f"snn_operations: {operations / 1e3:.6g} kSOP"),
        ("81.79 pJ", f"{(first + 0.03e-12 * operations * 0.02) * 1e9:.5g} nJ"),
    )
    found = outcome(report, "rate_twice")
    assert found.severity == "error"
    assert found.corrected == pytest.approx(first + 0.03e-12 * operations, rel=1e-5)


def test_binary_residuals_are_fine() -> None:
    for kind in ("ms", "sew_and", "sew_iand", "none"):
        report = changed("planted_residual_sums", ("residual: sew_add", f"residual: {kind}"))
        assert outcome(report, "residual_sums").state == "passed"


def test_sums_counted_as_macs_are_fine() -> None:
    report = changed(
        "planted_residual_sums",
        ("first_layer: mac", "first_layer: mac\n  residual_operations: mac"),
    )
    assert outcome(report, "residual_sums").state == "passed"


def test_distributed_memories_are_fine() -> None:
    report = changed(
        "planted_small_sram",
        ("memory_capacity: 8 KiB", "memory_capacity: 8 KiB\n  memory_layout: distributed"),
    )
    assert outcome(report, "small_sram").state == "passed"


def test_capacity_follows_from_the_access_energy() -> None:
    # 10 pJ per 64 bit is the 8 KiB point of Horowitz 2014
    report = changed("planted_small_sram", ("memory_capacity: 8 KiB", "memory_access: 10 pJ"))
    assert outcome(report, "small_sram").severity == "error"


def test_an_access_energy_of_no_printed_memory_is_named() -> None:
    report = changed("planted_small_sram", ("memory_capacity: 8 KiB", "memory_access: 5 pJ"))
    found = outcome(report, "small_sram")
    assert found.state == "not_checked"
    assert "5 pJ per 64 bit is that of no memory printed" in found.text


def test_a_float_mac_beside_an_integer_ac() -> None:
    """4.6 pJ is a 32-bit float MAC, 0.09 pJ a tenth of the float AC and near the integer one."""
    head = (
        "title: t\nsource: {citation: c, locator: l, evidence: constructed}\n"
        "network: {totals: {macs: 1 GMAC}}\nsnn: {spikes_per_synapse: 0.4, weight_bits: 32}\n"
        "ann: {weight_bits: 32}\nclaimed: {ann_energy: 4.6 mJ}\n"
    )
    for ac, state in (("0.9 pJ", "passed"), ("0.09 pJ", "finding"), ("0.1 pJ", "finding")):
        report = check(parse_claim(head + f"accounting: {{mac: 4.6 pJ, ac: {ac}}}\n", name="x"))
        assert outcome(report, "constants").state == state, ac
    # integers on both sides; float multiplication and addition
    for pair in ("mac: 3.2 pJ, ac: 0.1 pJ", "mac: 3.7 pJ, ac: 0.9 pJ"):
        report = check(parse_claim(head + f"accounting: {{{pair}}}\n", name="x"))
        assert outcome(report, "constants").state == "passed", pair


def test_analog_first_layer_in_macs_is_fine() -> None:
    energy = 0.23e-12 * CONV1 + 0.03e-12 * SPIKES * (CONV2 + FC)
    report = changed(
        "planted_analog_first_layer",
        ("snn_operations: 136.3 kSOP", "snn_operations: 100.9 kSOP"),
        ("snn_energy: 4.089 nJ", f"snn_energy: {energy * 1e9:.4g} nJ"),
    )
    assert outcome(report, "analog_first_layer").state == "passed"
    assert report.count("error") == 0


def test_constants_with_a_source_are_a_note() -> None:
    report = changed(
        "planted_constants", ("ac: 0.003 pJ", "ac: 0.003 pJ\n  constants_source: 7 nm")
    )
    assert outcome(report, "constants").severity == "note"


def test_constants_of_another_width() -> None:
    report = changed("planted_precision", ("weight_bits: 32", "weight_bits: 8"))
    found = outcome(report, "constants")
    assert found.severity == "warning"
    assert "20 times" in found.text  # 4.6 / 0.23


def test_widths_follow_from_the_constants() -> None:
    report = changed("planted_precision", ("  weight_bits: 32\n", ""), ("  weight_bits: 8\n", ""))
    found = outcome(report, "precision")
    assert found.severity == "error"
    assert "float32" in found.text
    assert "int8" in found.text


def test_integer_spikes_counted_fully_are_a_note() -> None:
    report = changed(
        "planted_integer_spikes",
        ("snn_operations: 34.08 kSOP", "snn_operations: 136.3 kSOP"),
        ("snn_energy: 1.022 nJ", "snn_energy: 4.089 nJ"),
    )
    assert outcome(report, "integer_spikes").severity == "note"
    assert "3-bit" in outcome(report, "integer_spikes").text  # ceil(log2(4 + 1))


def test_chips() -> None:
    report = changed("planted_idle_steps", ("chip: Loihi", "chip: DYNAP-CNN"))
    assert outcome(report, "idle_steps").state == "passed"  # integrate-and-fire, no time steps
    report = changed(
        "planted_idle_steps", ("chip: Loihi", "chip: Speck"), ("neuron: if", "neuron: lif")
    )
    assert outcome(report, "idle_steps").severity == "warning"
    report = changed("planted_idle_steps", ("chip: Loihi", "chip: Hal 9000"))
    assert outcome(report, "idle_steps").state == "not_checked"
    report = changed("planted_idle_steps", ("chip: Loihi", "chip: IBM TrueNorth"))
    assert outcome(report, "idle_steps").severity == "warning"  # no energy per update is printed


def test_numeric_rules_need_no_declaration() -> None:
    """Without accounting, the formula is recognised by the numbers alone."""
    report = changed("fnins_2023_1091097", ("  memory: none\n", ""))
    assert outcome(report, "rate_twice").severity == "error"
    assert outcome(report, "compute_only").severity == "warning"


@pytest.mark.parametrize(
    ("ratio", "state"),
    [("1.64x", "passed"), ("1.642x", "passed"), ("1.6x", "passed"), ("1.66x", "finding")],
)
def test_a_ratio_may_be_rounded_like_its_energies(ratio: str, state: str) -> None:
    found = outcome(changed("clean", ("ratio: 1.64x", f"ratio: {ratio}")), "own_ratio")
    assert found.state == state


def test_an_inverse_ratio_is_called_so() -> None:
    found = outcome(changed("clean", ("ratio: 1.64x", "ratio: 0.609x")), "own_ratio")
    assert found.state == "finding"
    assert "That is the inverse: SNN / ANN." in found.text
