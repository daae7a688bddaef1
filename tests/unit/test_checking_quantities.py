"""Printed numbers, shapes of layers, and claims that follow a model give no finding."""

from __future__ import annotations

import pytest
import torch
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from tospike.checking import check, parse_claim, quantity
from tospike.checking.shapes import shape_of
from tospike.equations.published import PUBLISHED
from tospike.errors import ConstantError


@pytest.mark.parametrize(
    ("text", "value", "half"),
    [
        ("1.82 GMAC", 1.82e9, 0.005e9),
        ("3836 MAC", 3836, 0.5),  # MAC is a unit, not mega-AC
        ("276 AC", 276, 0.5),
        ("3.88 GOP", 3.88e9, 0.005e9),
        ("0.12 M", 0.12e6, 0.005e6),
        ("1.5e3 k", 1.5e6, 0.05e6),
        ("2.51 M SOP", 2.51e6, 0.005e6),
        (1703936, 1703936, 0),
    ],
)
def test_counts(text: str | int, value: float, half: float) -> None:
    found = quantity.count(text)
    assert found.value == pytest.approx(value)
    assert found.half == pytest.approx(half)


@pytest.mark.parametrize(
    "text", ["", "many", "1.8 GFLOP", "-3 MAC", "0 MAC", "1e999 MAC", "3 XMAC"]
)
def test_counts_refused(text: str) -> None:
    with pytest.raises(ConstantError):
        quantity.count(text)


def test_energy_keeps_its_printed_digits() -> None:
    found = quantity.physical("13.10 mJ", "energy")
    assert found.value == pytest.approx(13.10e-3)
    assert found.half == pytest.approx(0.005e-3)
    assert quantity.physical("845.94e-7 J", "energy").half == pytest.approx(0.005e-7)


def test_ratio() -> None:
    assert quantity.ratio("3.4x").value == 3.4
    assert quantity.ratio("3.4x").half == pytest.approx(0.05)
    with pytest.raises(ConstantError):
        quantity.ratio("better")


HEAD = "title: t\nsource: {citation: c, locator: l, evidence: constructed}\n"


@settings(deadline=None, derandomize=True, max_examples=15)
@given(
    c_in=st.integers(1, 4),
    c_out=st.integers(1, 4),
    groups=st.integers(1, 2),
    kernel=st.integers(1, 4),
    stride=st.integers(1, 3),
    padding=st.integers(0, 2),
    size=st.integers(4, 9),
)
def test_layer_table_against_torch(
    c_in: int, c_out: int, groups: int, kernel: int, stride: int, padding: int, size: int
) -> None:
    c_in, c_out = c_in * groups, c_out * groups
    layer = torch.nn.Conv2d(c_in, c_out, kernel, stride, padding, groups=groups, bias=False)
    out = layer(torch.zeros(1, c_in, size, size)).shape
    claim = parse_claim(
        HEAD + f"network: {{layers: [{{kind: conv, in_channels: {c_in}, out_channels: {c_out}, "
        f"kernel: {kernel}, stride: {stride}, padding: {padding}, groups: {groups}, "
        f"input: [{size}, {size}]}}]}}\nclaimed: {{}}\n",
        name="layer",
    )
    shape = shape_of(claim)
    assert shape.neurons == out.numel()
    assert shape.parameters == layer.weight.numel()
    assert shape.macs == layer.weight.numel() * out[-1] * out[-2]


BODY = """network:
  layers:
    - {{kind: conv, in_channels: 2, out_channels: {c}, kernel: 3, padding: 1, input: [{n}, {n}]}}
    - {{kind: conv, in_channels: {c}, out_channels: 8, kernel: 3, padding: 1, input: [{n}, {n}]}}
    - {{kind: linear, in_features: {f}, out_features: 10}}
  residual: none
snn: {{timesteps: {T}, virtual_steps: 1, firing_rate: {rate}, input: {input}, neuron: if,
      weight_bits: 8, state_bits: 8}}
ann: {{weight_bits: 8, activation_bits: 8, zero_fraction: {zeros}, zeros_used: true}}
accounting: {{formula: {formula}, memory: included, memory_layout: distributed, first_layer: mac,
             static: included}}
claimed: {{{claimed}ann_per: inference, snn_per: inference}}
"""


# no shrinking: an agreement by chance shrinks for minutes
@settings(deadline=None, derandomize=True, max_examples=25, phases=(Phase.explicit, Phase.generate))
@given(
    formula=st.sampled_from(
        sorted(key for key, model in PUBLISHED.items() if "memory" not in model.leaves_out)
    ),
    channels=st.integers(1, 12),
    size=st.integers(3, 16),
    steps=st.integers(1, 32),
    rate=st.floats(0.001, 0.5),
    zeros=st.floats(0.0, 0.95),
    coding=st.sampled_from(["direct", "rate", "event"]),
)
def test_correct_accounting_gives_no_finding(
    formula: str, channels: int, size: int, steps: int, rate: float, zeros: float, coding: str
) -> None:
    """A claim made with a model that counts memory, all steps and the zeros of the ANN."""
    values = {
        "c": channels, "n": size, "f": 8 * size * size, "T": steps, "rate": rate, "zeros": zeros,
        "input": coding, "formula": formula,
    }  # fmt: skip
    first = check(parse_claim(HEAD + BODY.format(**values, claimed=""), name="x"))
    model = next(item for item in first.models if item.key == formula)
    assert model.ann is not None
    assert model.snn is not None
    claimed = f"ann_energy: {model.ann:.5e} J, snn_energy: {model.snn:.5e} J, "
    report = check(parse_claim(HEAD + BODY.format(**values, claimed=claimed), name="x"))
    assert report.findings == (), [item.text for item in report.findings]


def test_recomputed_energy_is_linear_in_spikes() -> None:
    """Twice the rate, twice the spiking part: E(2r) - E(r) = E(r) - E(0) under the IF models."""
    energies = []
    for rate in (0.0, 0.1, 0.2):
        text = HEAD + BODY.format(
            c=4, n=8, f=512, T=4, rate=rate, zeros=0.5, input="direct", formula="dampfhoffer_best",
            claimed="",
        )  # fmt: skip
        models = check(parse_claim(text, name="x")).models
        energies.append(next(item.snn for item in models if item.key == "dampfhoffer_best"))
    zero, one, two = (energy or 0.0 for energy in energies)
    assert two - one == pytest.approx(one - zero)
    assert zero > 0  # the analog first layer
