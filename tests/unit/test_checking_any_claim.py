"""Any readable claim gets one outcome per rule: nothing raises, nothing is passed over."""

from __future__ import annotations

import io
import math
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from rich.console import Console
from ruamel.yaml import YAML

from tospike.checking import RULES, check, parse_claim, present
from tospike.checking.examples import example_names, example_path, example_text
from tospike.equations.published import PUBLISHED
from tospike.errors import DataError
from tospike.tables import FORMATS, export


def some(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Any subset of the fields."""
    return st.fixed_dictionaries({}, optional=fields)


energies = st.floats(1e-15, 1.0).map(lambda value: f"{value:.4g} J")
counts = st.floats(1, 1e13).map(lambda value: f"{value:.4g} MAC")
bits = st.integers(1, 64)
LAYERS = [
    {"kind": "conv", "in_channels": 2, "out_channels": 4, "kernel": 3, "input": [6, 6]},
    {"kind": "linear", "in_features": 64, "out_features": 3, "after_addition": True},
]
networks = st.one_of(
    st.just({"layers": LAYERS}),
    some(macs=counts, first_layer_macs=counts, neurons=counts, parameters=counts).map(
        lambda totals: {"totals": totals}
    ),
)
residuals = some(
    residual=st.sampled_from(["none", "sew_add", "ms"]), residual_share=st.floats(0, 1)
)
activities = st.one_of(
    st.just({}),
    st.floats(0, 2).map(lambda value: {"firing_rate": value}),
    st.floats(0, 1e3).map(lambda value: {"spikes_per_synapse": value}),
)
snns = some(
    timesteps=st.integers(1, 1000),
    virtual_steps=st.integers(1, 8),
    input=st.sampled_from(["direct", "rate", "event"]),
    neuron=st.sampled_from(["if", "lif", "if_cont", "lif_cont"]),
    weight_bits=bits,
    state_bits=bits,
)
anns = some(
    weight_bits=bits,
    activation_bits=bits,
    zero_fraction=st.floats(0, 1, exclude_max=True),
    zeros_used=st.booleans(),
    macs=counts,
)
accountings = some(
    formula=st.sampled_from(sorted(PUBLISHED)),
    mac=energies,
    ac=energies,
    memory=st.sampled_from(["none", "included"]),
    memory_capacity=st.just("8 KiB"),
    memory_access=energies,
    first_layer=st.sampled_from(["mac", "ac"]),
    residual_operations=st.sampled_from(["mac", "ac"]),
    static=st.sampled_from(["ignored", "included"]),
    static_power=st.just("3 mW"),
    inference_time=st.just("2 ms"),
)
claims = some(
    ann_operations=counts,
    snn_operations=counts,
    ann_energy=energies,
    snn_energy=energies,
    ratio=st.floats(1e-3, 1e3),
    ann_per=st.sampled_from(["inference", "step"]),
    snn_per=st.sampled_from(["inference", "step"]),
)


def text_of(raw: dict[str, Any]) -> str:
    out = io.StringIO()
    YAML(typ="safe").dump(raw, out)
    return out.getvalue()


@settings(deadline=None, derandomize=True, max_examples=60)
@given(networks, residuals, snns, activities, anns, accountings, claims, st.sampled_from(
    [{}, {"chip": "Loihi"}, {"chip": "Speck"}, {"chip": "abacus"}]
))  # fmt: skip
def test_any_claim(
    network: dict[str, Any], residual: dict[str, Any], snn: dict[str, Any],
    activity: dict[str, Any], ann: dict[str, Any], accounting: dict[str, Any],
    claimed: dict[str, Any], chip: dict[str, Any],
) -> None:  # fmt: skip
    raw = {
        "title": "t",
        "source": {"citation": "c", "locator": "l", "evidence": "constructed"},
        "network": network | residual,
        "snn": snn | activity,
        "ann": ann,
        "accounting": accounting,
        "claimed": claimed,
        **chip,
    }
    try:
        claim = parse_claim(text_of(raw), name="x")
    except DataError as error:
        # numbers that contradict each other are refused; see tests/message
        assume(not any("more than all macs" in line or "binary" in line for line in error.reasons))
        raise
    report = check(claim)
    assert [item.rule for item in report.outcomes] == list(RULES)
    for item in report.outcomes:
        assert item.text
        assert (item.state == "finding") == (item.severity is not None)
        assert item.state != "not_checked" or item.text.startswith("needs ")
        assert item.corrected is None or math.isfinite(item.corrected)
        assert item.corrected is None or item.quantity
    for name in FORMATS:
        assert export(present.tables([report]), name)
    with Console(file=io.StringIO(), width=60) as console:
        present.print_report(report, console)
    assert present.as_plain(report)["verdict"] == report.verdict


@pytest.mark.parametrize("name", example_names())
def test_order_of_keys_does_not_matter(name: str) -> None:
    """The same outcomes from the same keys in another order."""
    raw = YAML(typ="safe").load(example_text(name))
    shuffled = {key: raw[key] for key in sorted(raw, reverse=True)}
    if "zoo" in raw["network"]:
        return
    one = check(example_path(name))
    two = check(parse_claim(text_of(shuffled), name=one.claim.name))
    assert one.outcomes == two.outcomes
    assert one.models == two.models
