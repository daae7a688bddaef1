"""The shipped claims against printed numbers and arithmetic by hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from tospike.checking import RULES, Report, check
from tospike.checking.examples import example_names, example_path, example_text, template_text
from tospike.checking.load import parse_claim, read_claim
from tospike.network.zoo import load_zoo

PUBLISHED = [name for name in example_names() if name != "clean" and "planted" not in name]


def rules(report: Report, severity: str) -> list[str]:
    return [item.rule for item in report.findings if item.severity == severity]


def own(report: Report, quantity: str) -> float:
    return next(row.recomputed for row in report.own if row.quantity == quantity) or 0.0


def test_at_least_eight_published_claims_with_sources() -> None:
    assert len(PUBLISHED) >= 8
    for name in PUBLISHED:
        source = read_claim(example_path(name)).form.source
        assert source.evidence != "constructed"
        assert source.locator
        assert source.citation
        assert "# What check finds" in example_text(name)


#: example -> (errors, warnings and notes) as its comments say
FOUND = {
    "sew_resnet18": ([], ["compute_only", "ann_sparsity"]),
    "spikformer_sew_resnet34": (["residual_sums"], ["compute_only"]),
    "spikformer_sew_resnet50": (["residual_sums"], ["compute_only"]),
    "spikformer_8_512": ([], ["compute_only", "residual_sums"]),
    "spike_driven_transformer_8_512": ([], ["compute_only"]),
    "diet_snn_vgg16": ([], ["ann_sparsity", "static_power"]),
    "vgg9_bntt": (["ann_sparsity"], ["static_power"]),
    "resnet11_lee": ([], ["ann_sparsity", "static_power"]),
    "fnins_2023_1091097": (["rate_twice"], ["compute_only", "ann_sparsity"]),
    "fwformer_cifar10": ([], ["constants"]),
    "seneca_optical_flow": ([], []),
    "neurobench_indy": ([], []),
    "spikeyolo": ([], ["compute_only", "integer_spikes"]),
    "yan_vgg16": ([], []),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_findings_of_published_claims(name: str) -> None:
    report = check(example_path(name))
    errors, others = FOUND[name]
    assert rules(report, "error") == errors
    assert rules(report, "warning") + rules(report, "note") == others


def test_resnet18_of_the_field() -> None:
    """8.37 mJ = 1.82 GMAC x 4.6 pJ; the zoo's 1.814 GMAC give it within half a percent."""
    report = check(example_path("sew_resnet18"))
    assert own(report, "ANN energy") == pytest.approx(1.82e9 * 4.6e-12, rel=1e-12)
    assert load_zoo("resnet18").n_synapses * 4.6e-12 == pytest.approx(8.37e-3, rel=5e-3)
    # 13.10 mJ is more than an AC for each of 1.82 G synapses in each of 4 steps
    assert 1.82e9 * 4 * 0.9e-12 < 13.10e-3
    residual = next(item for item in report.outcomes if item.rule == "residual_sums")
    assert residual.state == "passed"
    assert "holds MACs" in residual.text


@pytest.mark.parametrize(
    ("operations", "printed"), [(3.88e9, 4.04), (4.83e9, 4.89), (9.30e9, 8.91), (13.72e9, 12.89)]
)
def test_rows_of_sew_resnets_confirm_each_other(operations: float, printed: float) -> None:
    """One formula, first 7x7 convolution in MACs, gives all four recalled rows to 0.006 mJ."""
    first = 7 * 7 * 3 * 64 * 112 * 112
    assert first * 4.6e-9 + operations * 0.9e-9 == pytest.approx(printed, abs=0.006)


def test_sew_resnet34_from_the_zoo() -> None:
    report = check(example_path("spikformer_sew_resnet34"))
    first = 7 * 7 * 3 * 64 * 112 * 112
    expected = first * 4.6e-12 + 3.88e9 * 0.9e-12
    assert own(report, "SNN energy") == pytest.approx(expected)
    assert expected == pytest.approx(4.04e-3, abs=0.006e-3)
    # behind additions: 3x3 first convolutions of all blocks but the first, and 1x1 shortcuts, fc
    same = {64: 56, 128: 28, 256: 14, 512: 7}
    blocks = {64: 3, 128: 4, 256: 6, 512: 3}
    behind = 1000 * 512
    for width, size in same.items():
        behind += (blocks[width] - 1) * 9 * width * width * size * size
        if width > 64:
            behind += (9 + 1) * (width // 2) * width * size * size
    share = behind / (load_zoo("resnet34").n_synapses - first)
    found = next(item for item in report.outcomes if item.rule == "residual_sums")
    assert found.corrected == pytest.approx(4.04e-3 + 3.7e-12 * 3.88e9 * share, rel=1e-6)


def test_frontiers_table_3() -> None:
    """3.09e-7 J = 2.51 M x 0.9 pJ x 0.1366; once: 2.259e-6 J, ratio 845.94 / 22.59 = 37.4."""
    report = check(example_path("fnins_2023_1091097"))
    assert own(report, "SNN energy") == pytest.approx(3.09e-7, abs=0.005e-7)
    found = next(item for item in report.outcomes if item.rule == "rate_twice")
    assert found.corrected == pytest.approx(2.51e6 * 0.9e-12)
    compute = next(item for item in report.models if item.key == "compute_only")
    assert compute.ratio == pytest.approx(4.6 / (0.9 * 0.1366), rel=1e-9)


@pytest.mark.parametrize(
    ("name", "printed", "half"),
    # Dampfhoffer 2022, Table II; the analog first layer is not counted there, hence the rest
    [("vgg9_bntt", 1.7, 0.05), ("resnet11_lee", 0.4, 0.05), ("diet_snn_vgg16", 3.4, 0.1)],
)
def test_dampfhoffer_table_2(name: str, printed: float, half: float) -> None:
    assert own(check(example_path(name)), "ANN / SNN") == pytest.approx(printed, abs=half)


def test_spikformer_8_512_first_layer_in_every_step() -> None:
    energy = 4 * (9 * 3 * 64 * 224 * 224) * 4.6e-12 + 11.09e9 * 0.9e-12
    assert energy == pytest.approx(11.58e-3, abs=0.005e-3)
    assert own(check(example_path("spikformer_8_512")), "SNN energy") == pytest.approx(
        energy, rel=1e-4
    )


def test_clean_claim_by_hand() -> None:
    """Dampfhoffer 2022, eqs. 4 and 12, Table I row 2 (65 nm): MAC 1, AC 0.06, SRAM 6, register 1.

    In units of one 16-bit MAC of 2 pJ.
    """
    mac, ac, sram, reg = 1.0, 0.06, 6.0, 1.0
    layers = [  # synapses, inputs, weights, outputs, zero fraction
        (9 * 3 * 16 * 1024, 3 * 1024, 9 * 3 * 16, 16 * 1024, 0.0),
        (9 * 16 * 32 * 256, 16 * 1024, 9 * 16 * 32, 32 * 256, 0.5),
        (8192 * 10, 8192, 8192 * 10, 10, 0.5),
    ]

    def eq12(n: int, inputs: int, weights: int, outputs: int, zeros: float) -> float:
        distant = sram * (inputs + weights + 2 * outputs)
        return distant + n * reg + (1 - zeros) * n * (mac + 3 * reg)

    ann = sum(eq12(*layer) for layer in layers) * 2e-12
    spikes = 0.02 * 4
    snn = eq12(*layers[0]) + spikes * (3 * sram + ac) * (layers[1][0] + layers[2][0])
    report = check(example_path("clean"))
    assert own(report, "ANN energy") == pytest.approx(ann)
    assert own(report, "SNN energy") == pytest.approx(snn * 2e-12)
    assert ann == pytest.approx(13.96e-6, abs=0.005e-6)
    assert snn * 2e-12 == pytest.approx(8.504e-6, abs=0.0005e-6)
    assert report.findings == ()


def test_template_is_a_valid_claim() -> None:
    claim = parse_claim(template_text(), name="template")
    assert claim.form.network.zoo == "resnet18"


def test_the_page_names_every_rule_and_example_and_shows_current_output() -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "check.md").read_text()
    for rule in RULES.values():
        assert f"`{rule.key}` | {rule.title}" in page
    for name in [*PUBLISHED, "clean"]:
        assert f"`{name}`" in page
    report = check(example_path("fnins_2023_1091097"))
    assert f"verdict: {report.verdict}" in page
    flat = " ".join(page.split())
    for item in report.findings:
        assert item.text in flat
