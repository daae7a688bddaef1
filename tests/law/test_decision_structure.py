"""Which layers could spike, on hand-made graphs whose answer is known by definition."""

from __future__ import annotations

import itertools

from tospike.decision.structure import structural_eligibility
from tospike.network import INPUT, Edge, Layer, Network, Origin


def network(kinds: dict[str, str], edges: list[tuple[str, str]]) -> Network:
    return Network(
        tuple(Layer(name, kind) for name, kind in kinds.items()),
        tuple(Edge(source, target, 1) for source, target in edges),
        outputs=(list(kinds)[-1],),
        origin=Origin("zoo", "test"),
    )


def test_rectified_layers_can_spike_and_the_others_say_why() -> None:
    found = structural_eligibility(
        network(
            {
                "first": "conv", "relu": "relu", "pool": "max_pool", "second": "conv",
                "gelu": "gelu", "third": "linear", "fourth": "linear", "product": "matmul",
                "gru": "rnn_hidden",
            },
            [
                (INPUT, "first"), ("first", "relu"), ("relu", "pool"), ("pool", "second"),
                ("second", "gelu"), ("gelu", "third"), ("third", "fourth"), ("relu", "product"),
                ("relu", "gru"),
            ],
        )
    )  # fmt: skip
    assert found["second"] == ""
    assert "analog input" in found["first"]
    assert "gelu" in found["third"]
    assert "without a rectifier" in found["fourth"]
    assert "two activations" in found["product"]
    assert "recurrent" in found["gru"]


def test_a_sum_needs_every_branch_rectified() -> None:
    kinds = {"a": "conv", "ra": "relu", "b": "conv", "add": "add", "flat": "flatten", "c": "linear"}
    edges = [(INPUT, "a"), ("a", "ra"), ("ra", "b"), ("b", "add"), ("ra", "add")]
    edges += [("add", "flat"), ("flat", "c")]
    assert "'b' without a rectifier" in structural_eligibility(network(kinds, edges))["c"]
    rectified = {**kinds, "rb": "relu"}
    rectified_edges = [(s, "rb" if (s, t) == ("b", "add") else t) for s, t in edges]
    order = {name: rectified[name] for name in ("a", "ra", "b", "rb", "add", "flat", "c")}
    found = structural_eligibility(network(order, [*rectified_edges, ("rb", "add")]))
    assert found == {"a": found["a"], "b": "", "c": ""}


def test_a_graph_deeper_than_the_recursion_limit() -> None:
    names = [f"n{i}" for i in range(5000)]
    kinds = {"first": "conv", "relu": "relu", **dict.fromkeys(names, "add"), "last": "linear"}
    chain = [INPUT, "first", "relu", *names, "last"]
    edges = list(itertools.pairwise(chain))
    assert structural_eligibility(network(kinds, edges))["last"] == ""
