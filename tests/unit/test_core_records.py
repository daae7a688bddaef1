"""Errors, units, constants, action counts and the network graph."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tospike.actions import ActionCounts, combine, count
from tospike.constant import Constant
from tospike.errors import ConstantError, ModelError, RangeError, TospikeError, unknown_name
from tospike.network import INPUT, Edge, Layer, Network, Origin
from tospike.sources import SOURCES, bibliography
from tospike.units import parse_quantity, si


def test_error_text_has_every_field() -> None:
    error = TospikeError(
        "do it", received="this", where="here", allowed="that", fix="so", reasons=["a", "b"]
    )
    assert str(error) == (
        "cannot do it\n  received: this\n  where: here\n  allowed: that\n  fix: so\n"
        "  reasons:\n    - a\n    - b"
    )


def test_unknown_name_suggests_the_nearest() -> None:
    assert "did you mean 'vgg16'?" in str(unknown_name("network", "vg16", ["vgg16", "alexnet"]))


@pytest.mark.parametrize(
    ("text", "dimension", "value"),
    [
        ("5 pJ", "energy", 5e-12),
        ("1.3 nJ", "energy", 1.3e-9),
        ("8 KiB", "capacity", 8192),
        ("8 kB", "capacity", 8000),
        ("200 MHz", "frequency", 2e8),
        (0.55, "dimensionless", 0.55),
    ],
)
def test_quantities(text: str | float, dimension: str, value: float) -> None:
    assert parse_quantity(text, dimension) == pytest.approx(value, rel=1e-12, abs=0.0)


@pytest.mark.parametrize("text", ["5 s", "5 quux", "five pJ", 5.0, "", "pJ (", "1/0 pJ"])
def test_bad_quantities_are_refused(text: str | float) -> None:
    with pytest.raises(ConstantError, match="as energy"):
        parse_quantity(text, "energy")


def test_si_prefixes() -> None:
    assert si(1.31e-8, "J") == "13.1 nJ"
    assert si(0.0, "J") == "0 J"
    assert si(2.5e-3, "J") == "2.5 mJ"
    assert si(15.47e9, "MAC") == "15.5 GMAC"


def test_constant_needs_source_locator_and_range() -> None:
    with pytest.raises(ConstantError) as caught:
        Constant(1.0, "J", 2.0, 3.0, "", "", "")
    text = str(caught.value)
    for part in ("no source given", "no locator", "printed text is missing", "low <= value"):
        assert part in text


def test_bibliography_is_ordered_and_unique() -> None:
    keys = ["horowitz_2014", "ottati_2023", "horowitz_2014"]
    assert [source.key for source in bibliography(keys)] == keys[:2]
    assert all(source.key == key and source.text for key, source in SOURCES.items())


def test_counts_refuse_what_cannot_be() -> None:
    with pytest.raises(RangeError, match="finite numbers >= 0"):
        count("l", "alu", "mac", "none", -1, bits=8)
    with pytest.raises(RangeError):
        count("l", "alu", "mac", "none", np.nan, bits=8)
    with pytest.raises(TospikeError, match="find the component"):
        count("l", "cache", "read", "weight", 1, bits=8)
    with pytest.raises(TospikeError, match="action of alu"):
        count("l", "alu", "read", "weight", 1, bits=8)


@settings(deadline=None, derandomize=True, max_examples=30)
@given(st.lists(st.floats(0, 1e9), min_size=1, max_size=5), st.floats(0, 100))
def test_totals_add_and_scale(numbers: list[float], factor: float) -> None:
    parts = [
        ActionCounts((count(f"l{i}", "alu", "mac", "none", n, bits=8),), model="m")
        for i, n in enumerate(numbers)
    ]
    whole = combine(parts)
    assert float(whole.total(action="mac")) == pytest.approx(sum(numbers))
    assert float(whole.scaled(factor).total()) == pytest.approx(factor * sum(numbers))
    assert whole.layers == tuple(f"l{i}" for i in range(len(numbers)))


def test_counts_broadcast() -> None:
    a = count("l", "alu", "mac", "none", np.ones((3, 1)), bits=8)
    b = count("l", "sram", "read", "weight", np.arange(4.0), bits=8)
    counts = ActionCounts((a, b))
    assert counts.shape == (3, 4)
    np.testing.assert_array_equal(counts.total(), np.ones((3, 4)) + np.arange(4.0))


def residual_network() -> Network:
    """input -> a -> relu -> b -> add(relu) -> c, the usual residual block."""
    layers = (
        Layer("a", "conv"),
        Layer("relu", "relu"),
        Layer("b", "conv"),
        Layer("add", "add"),
        Layer("c", "linear"),
    )
    edges = (
        Edge(INPUT, "a", 4),
        Edge("a", "relu", 10),
        Edge("relu", "b", 10),
        Edge("b", "add", 10),
        Edge("relu", "add", 10),
        Edge("add", "c", 10),
    )
    return Network(layers, edges, ("c",), Origin("test", "residual"))


def test_synaptic_edges_contract_layers_without_synapses() -> None:
    found = {(e.source, e.target): e.n_values for e in residual_network().synaptic_edges}
    assert found == {(INPUT, "a"): 4, ("a", "b"): 10, ("a", "c"): 10, ("b", "c"): 10}


def test_synaptic_edges_of_a_deep_chain() -> None:
    depth = 5000
    layers = (Layer("first", "linear"), *(Layer(f"n{i}", "relu") for i in range(depth)))
    layers = (*layers, Layer("last", "linear"))
    names = [layer.name for layer in layers]
    edges = tuple(Edge(a, b, 1) for a, b in zip([INPUT, *names], names, strict=False))
    network = Network(layers, edges, ("last",), Origin("test", "chain"))
    assert ("first", "last") in {(e.source, e.target) for e in network.synaptic_edges}


def test_network_names_all_faults() -> None:
    with pytest.raises(ModelError) as caught:
        Network(
            (Layer("a", "conv"), Layer("a", "relu")),
            (Edge("a", "b", 1), Edge("x", "a", 1)),
            (),
            Origin("test", "broken"),
        )
    text = str(caught.value)
    for part in ("'a' is used twice", "no layer 'b'", "no layer 'x'"):
        assert part in text


def test_reuse_of_a_fully_connected_layer() -> None:
    # Dampfhoffer 2022, III-A: RF iact = outputs, RF psum = inputs, RF weight = 1
    layer = Layer("fc", "linear", n_synapses=1000, n_neurons=10, n_inputs=100, n_weights=1000)
    assert layer.reuse == (10, 1, 100)
