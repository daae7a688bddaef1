"""The spiking engine against its slow reference, torch and snnTorch, on random networks."""

from __future__ import annotations

import pickle
import threading
import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from tospike.kernels.spiking import reference
from tospike.kernels.spiking.engine import SpikingEngine
from tospike.kernels.spiking.record import (
    INPUT,
    Node,
    Pool,
    Population,
    Reshape,
    SpikingNetwork,
    Sum,
    Synapses,
)
from tospike.kernels.spiking.shapes import windows

#: weights are multiples of this, inputs of 1 / 8: all sums are exact in float32
GRID = 1 / 64
EXAMPLES = settings(max_examples=40, deadline=None, derandomize=True)
POLICIES = ("event", "dense", "calibrated")


def grid_values(rng: np.random.Generator, shape: tuple[int, ...], top: int = 24) -> np.ndarray:
    return (rng.integers(-top, top + 4, shape) * GRID).astype(np.float32)


def neurons(
    rng: np.random.Generator, name: str, source: str, shape: tuple[int, ...], per: str
) -> Population:
    """A population with parameters per layer, channel or neuron; all on the grid."""
    size = {"layer": (), "channel": shape[:1], "neuron": shape}[per]
    reset = [None, 0.0, -0.25][rng.integers(3)]
    return Population(
        name,
        (source,),
        shape,
        threshold=(rng.integers(8, 80, size) * GRID).astype(np.float32),
        decay=np.float32(rng.choice([1.0, 0.5, 0.75])),
        gain=np.float32(rng.choice([1.0, 0.5])),
        initial=(rng.integers(-8, 8, size) * GRID).astype(np.float32),
        reset=reset,
        reset_delay=int(rng.integers(2)),
    )


def synapses(
    rng: np.random.Generator,
    name: str,
    source: str,
    shape: tuple[int, ...],
    *,
    outputs: int,
    kernel: int = 3,
    stride: int = 1,
    padding: int = 1,
    dilation: int = 1,
    groups: int = 1,
    int8: bool = False,
    bias: bool = True,
) -> Synapses:
    """A convolution on (C, L) or (C, H, W), or a linear layer on (C,)."""
    rank = len(shape) - 1
    size = (outputs, shape[0] // groups, *[kernel] * rank)
    out: tuple[int, ...] = (outputs,)
    if rank:
        out = (outputs, *(windows(n, kernel, stride, padding, dilation) for n in shape[1:]))
    weight = grid_values(rng, size)
    return Synapses(
        name,
        (source,),
        "conv" if rank else "linear",
        np.rint(weight / GRID * 4).astype(np.int8) if int8 else weight,
        shape,
        out,
        bias=grid_values(rng, (outputs,), 8) if bias else None,
        scale=np.full(outputs, GRID / 4, np.float32) if int8 else None,
        stride=(stride,) * rank,
        padding=(padding,) * rank,
        dilation=(dilation,) * rank,
        groups=groups,
    )


def frames(rng: np.random.Generator, shape: tuple[int, ...], density: float) -> np.ndarray:
    """Spikes."""
    return (rng.random(shape) < density).astype(np.float32)


def compare(network: SpikingNetwork, x: np.ndarray, timesteps: int, **how: object) -> None:
    """Spikes, outputs and operations of the engine equal those of the reference, bit by bit."""
    expected = reference.run(network, x, timesteps)
    engine = SpikingEngine(network, **how)  # type: ignore[arg-type]
    found = engine.run(x, timesteps)
    last = expected.values[network.nodes[-1].name].astype(np.float64)
    np.testing.assert_array_equal(found.accumulated, np.cumsum(last, axis=0))
    for name, spikes in found.spikes.items():
        values = expected.values[name]
        np.testing.assert_array_equal(spikes, values.reshape(*values.shape[:2], -1).sum(-1))
    for name, operations in found.operations.items():
        counted = expected.operations[name].copy()
        if name in engine.plan.constant:
            counted[1:] = 0
        np.testing.assert_array_equal(operations, counted)


@st.composite
def layers(draw: st.DrawFn) -> dict[str, int]:
    groups = draw(st.sampled_from([1, 1, 1, 2, 3, 8]))
    inputs = groups * draw(st.integers(1, 3)) if groups < 8 else 8
    outputs = groups * draw(st.sampled_from([1, 2, 5, 11, 24]))
    return {
        "inputs": draw(st.sampled_from([inputs, inputs, 70])) if groups == 1 else inputs,
        "outputs": draw(st.sampled_from([outputs, outputs, 100])) if groups == 1 else outputs,
        "groups": groups,
        "rank": draw(st.sampled_from([1, 2, 2])),
        "kernel": draw(st.integers(1, 4)),
        "stride": draw(st.integers(1, 3)),
        "padding": draw(st.integers(0, 3)),
        "dilation": draw(st.integers(1, 2)),
        "size": draw(st.integers(7, 10)),
        "seed": draw(st.integers(0, 2**31)),
    }


@EXAMPLES
@given(
    layer=layers(),
    density=st.sampled_from([0.0, 0.03, 0.2, 0.7, 1.0]),
    per=st.sampled_from(["layer", "channel", "neuron"]),
    int8=st.booleans(),
    samples=st.integers(1, 3),
    timesteps=st.integers(1, 20),
    policy=st.sampled_from(POLICIES),
)
def test_a_layer_of_spikes_equals_the_reference(
    layer: dict[str, int],
    density: float,
    per: str,
    int8: bool,
    samples: int,
    timesteps: int,
    policy: str,
) -> None:
    """Input spikes -> neurons that pass them on -> synapses -> neurons."""
    rng = np.random.default_rng(layer["seed"])
    shape = (layer["inputs"], *[layer["size"]] * layer["rank"])
    one = np.float32(1)
    relay = Population("relay", (INPUT,), shape, one, one, one, np.float32(0))
    node = synapses(
        rng, "synapses", "relay", shape, outputs=layer["outputs"], kernel=layer["kernel"],
        stride=layer["stride"], padding=layer["padding"], dilation=layer["dilation"],
        groups=layer["groups"], int8=int8, bias=bool(rng.integers(2)),
    )  # fmt: skip
    behind = neurons(rng, "neurons", "synapses", node.out_shape, per)
    network = SpikingNetwork(shape, (relay, node, behind), constant_input=False)
    x = frames(rng, (timesteps, samples, *shape), density)
    compare(network, x, timesteps, policy=policy)


@EXAMPLES
@given(
    layer=layers(),
    constant=st.booleans(),
    int8=st.booleans(),
    policy=st.sampled_from(POLICIES),
    density=st.sampled_from([0.1, 0.6, 1.0]),
)
def test_a_layer_of_analog_inputs_equals_the_reference(
    layer: dict[str, int], constant: bool, int8: bool, policy: str, density: float
) -> None:
    rng = np.random.default_rng(layer["seed"])
    shape = (layer["inputs"], *[layer["size"]] * layer["rank"])
    node = synapses(
        rng, "synapses", INPUT, shape, outputs=layer["outputs"], kernel=layer["kernel"],
        stride=layer["stride"], padding=layer["padding"], dilation=layer["dilation"],
        groups=layer["groups"], int8=int8,
    )  # fmt: skip
    behind = neurons(rng, "neurons", "synapses", node.out_shape, "channel")
    network = SpikingNetwork(shape, (node, behind), constant_input=constant)
    lead = (2,) if constant else (5, 2)
    x = frames(rng, (*lead, *shape), density) * rng.integers(-8, 9, (*lead, *shape)) / 8
    compare(network, x.astype(np.float32), 5, policy=policy)


def residual(rng: np.random.Generator, *, int8: bool, average: bool) -> SpikingNetwork:
    """A network with every kind of node: branches, sums, both pools, views, two linear layers."""
    kind = {"int8": int8}
    nodes: list[Node] = [
        synapses(rng, "first", INPUT, (2, 9, 9), outputs=12),
        neurons(rng, "n1", "first", (12, 9, 9), "channel"),
        Pool("pool", ("n1",), "max", (12, 9, 9), (12, 5, 5), (3, 3), (2, 2), (1, 1)),
        synapses(rng, "left", "pool", (12, 5, 5), outputs=20, **kind),
        synapses(rng, "right", "pool", (12, 5, 5), outputs=20, kernel=1, padding=0, **kind),
        Sum("currents", ("left", "right"), (20, 5, 5)),
        neurons(rng, "n2", "currents", (20, 5, 5), "neuron"),
        synapses(rng, "third", "n2", (20, 5, 5), outputs=20, groups=4, **kind),
        neurons(rng, "n3", "third", (20, 5, 5), "layer"),
        Sum("spikes", ("n2", "n3"), (20, 5, 5)),
        Pool(
            "last pool",
            ("spikes",),
            "avg" if average else "max",
            (20, 5, 5),
            (20, 2, 2),
            (2, 2),
            (2, 2),
        ),
        Reshape("flat", ("last pool",), (80,)),
        synapses(rng, "hidden", "flat", (80,), outputs=37, **kind),
        neurons(rng, "n4", "hidden", (37,), "neuron"),
        synapses(rng, "output", "n4", (37,), outputs=5, **kind),
    ]
    return SpikingNetwork((2, 9, 9), tuple(nodes))


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("int8", [False, True])
@pytest.mark.parametrize("average", [False, True])
def test_a_network_with_every_node(policy: str, int8: bool, average: bool) -> None:
    rng = np.random.default_rng(int8 + 2 * average)
    network = residual(rng, int8=int8, average=average)
    x = (rng.integers(-8, 9, (7, 2, 9, 9)) / 8).astype(np.float32)
    compare(network, x, 6, policy=policy)


def test_views_between_any_nodes() -> None:
    """A view of currents, of spikes, of the input; and a convolution behind a linear layer."""
    rng = np.random.default_rng(5)
    nodes: tuple[Node, ...] = (
        Reshape("rows", (INPUT,), (4, 6)),
        synapses(rng, "a", "rows", (4, 6), outputs=6, kernel=3),
        Reshape("flat currents", ("a",), (36,)),
        neurons(rng, "n1", "flat currents", (36,), "neuron"),
        synapses(rng, "b", "n1", (36,), outputs=48),
        neurons(rng, "n2", "b", (48,), "layer"),
        Reshape("image", ("n2",), (3, 4, 4)),
        Reshape("image again", ("image",), (3, 4, 4)),
        Pool("pool", ("image again",), "max", (3, 4, 4), (3, 2, 2), (2, 2), (2, 2)),
        synapses(rng, "c", "pool", (3, 2, 2), outputs=4, kernel=2, padding=1),
        neurons(rng, "n3", "c", (4, 3, 3), "channel"),
        Reshape("out", ("n3",), (12, 3)),
    )
    network = SpikingNetwork((24,), nodes)
    x = (rng.integers(0, 9, (3, 24)) / 8).astype(np.float32)
    for policy in POLICIES:
        compare(network, x, 9, policy=policy)


def test_int16_sums_beyond_their_range_are_exact() -> None:
    """300 spikes on weights of 127: 38100 does not fit an int16."""
    one = np.float32(1)
    relay = Population("relay", (INPUT,), (300,), one, one, one, np.float32(0))
    weight = np.full((3, 300), 127, np.int8)
    weight[1] = -127
    weight[2, ::2] = -127
    node = Synapses(
        "synapses", ("relay",), "linear", weight, (300,), (3,), scale=np.ones(3, np.float32)
    )
    network = SpikingNetwork((300,), (relay, node), constant_input=False)
    found = SpikingEngine(network, policy="event").run(np.ones((1, 1, 300)), 1)
    assert found.outputs.tolist() == [[38100.0, -38100.0, 0.0]]


@settings(max_examples=12, deadline=None, derandomize=True)
@given(layer=layers(), density=st.sampled_from([0.05, 0.4, 1.0]), analog=st.booleans())
def test_paths_agree_bit_by_bit_for_any_float_weights(
    layer: dict[str, int], density: float, analog: bool
) -> None:
    """No grid: the currents themselves, not only the spikes, are the same float32 numbers."""
    rng = np.random.default_rng(layer["seed"])
    shape = (layer["inputs"], *[layer["size"]] * layer["rank"])
    node = synapses(
        rng, "synapses", INPUT, shape, outputs=layer["outputs"], kernel=layer["kernel"],
        stride=layer["stride"], padding=layer["padding"], dilation=layer["dilation"],
        groups=layer["groups"],
    )  # fmt: skip
    node = replace(node, weight=rng.standard_normal(node.weight.shape).astype(np.float32))
    one = np.float32(1)
    nodes: tuple[Node, ...] = (node,)
    if not analog:
        relay = Population("relay", (INPUT,), shape, one, one, one, np.float32(0))
        nodes = (relay, replace(node, inputs=("relay",)))
    network = SpikingNetwork(shape, nodes, constant_input=False)
    x = frames(rng, (3, 2, *shape), density)
    if analog:
        x *= rng.standard_normal(x.shape).astype(np.float32)
    event, dense = (SpikingEngine(network, policy=p).run(x, 3) for p in ("event", "dense"))
    np.testing.assert_array_equal(event.accumulated, dense.accumulated)


def ordered_sum(node: Synapses, x: np.ndarray, at: tuple[int, int, int]) -> np.float32:
    """One output of a 2-d convolution in float32, in the order that the engine promises."""
    o, y, x0 = at
    total = np.float32(0)
    for kh in range(node.weight.shape[2]):
        for kw in range(node.weight.shape[3]):
            for c in range(node.weight.shape[1]):
                row, column = y + kh - node.padding[0], x0 + kw - node.padding[1]
                if 0 <= row < x.shape[1] and 0 <= column < x.shape[2] and x[c, row, column]:
                    total = np.float32(total + node.weight[o, c, kh, kw])
    assert node.bias is not None
    return np.float32(total + node.bias[o])


def test_float_sums_run_in_the_order_of_the_docstring() -> None:
    rng = np.random.default_rng(8)
    node = synapses(rng, "synapses", "relay", (9, 5, 5), outputs=3)
    node = replace(node, weight=rng.standard_normal(node.weight.shape).astype(np.float32))
    one = np.float32(1)
    relay = Population("relay", (INPUT,), (9, 5, 5), one, one, one, np.float32(0))
    network = SpikingNetwork((9, 5, 5), (relay, node), constant_input=False)
    x = frames(rng, (1, 1, 9, 5, 5), 0.5)
    expected = np.array(
        [
            ordered_sum(node, x[0, 0], (o, y, c))
            for o in range(3)
            for y in range(5)
            for c in range(5)
        ]
    ).reshape(3, 5, 5)
    for policy in ("event", "dense"):
        found = SpikingEngine(network, policy=policy).run(x, 1).outputs[0]  # type: ignore[arg-type]
        np.testing.assert_array_equal(found.astype(np.float32), expected)


def test_a_network_equals_torch_on_a_grid() -> None:
    """conv2d, max_pool2d and linear of torch with integrate-and-fire neurons written out."""
    rng = np.random.default_rng(3)
    first = synapses(rng, "first", INPUT, (3, 12, 12), outputs=16, stride=2)
    second = synapses(rng, "second", "pool", (16, 3, 3), outputs=24, dilation=2, padding=2)
    last = synapses(rng, "last", "flat", (216,), outputs=4, bias=False)
    half = np.float32(0.5)
    one, zero = np.float32(1), np.float32(0)
    nodes: tuple[Node, ...] = (
        first,
        Population("n1", ("first",), (16, 6, 6), one, one, one, half),
        Pool("pool", ("n1",), "max", (16, 6, 6), (16, 3, 3), (2, 2), (2, 2)),
        second,
        Population("n2", ("second",), (24, 3, 3), one, half, one, zero, reset=0.0),
        Reshape("flat", ("n2",), (216,)),
        last,
    )
    x = (rng.integers(0, 9, (5, 3, 12, 12)) / 8).astype(np.float32)
    weights = [torch.from_numpy(np.asarray(node.weight)) for node in (first, second, last)]
    biases = [torch.from_numpy(np.asarray(node.bias)) for node in (first, second)]
    v1, v2 = torch.full((5, 16, 6, 6), 0.5), torch.zeros(5, 24, 3, 3)
    total = torch.zeros(5, 4)
    for _ in range(6):
        v1 = v1 + F.conv2d(torch.from_numpy(x), weights[0], biases[0], stride=2, padding=1)
        s1 = (v1 >= 1).float()
        v1 = v1 - s1
        current = F.conv2d(F.max_pool2d(s1, 2), weights[1], biases[1], padding=2, dilation=2)
        v2 = 0.5 * v2 + current
        s2 = (v2 >= 1).float()
        v2 = v2 * (1 - s2)
        total = total + F.linear(s2.flatten(1), weights[2])
    for policy in POLICIES:
        found = SpikingEngine(SpikingNetwork((3, 12, 12), nodes), policy=policy).run(x, 6)  # type: ignore[arg-type]
        np.testing.assert_array_equal(found.outputs.astype(np.float32), total.numpy())


@pytest.mark.parametrize("mechanism", ["subtract", "zero"])
def test_delayed_resets_are_those_of_snntorch(mechanism: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        snntorch = pytest.importorskip("snntorch")
    rng = np.random.default_rng(4)
    # off the grid of the potentials, as snnTorch fires above the threshold only
    theirs = snntorch.Leaky(beta=0.5, threshold=0.999, reset_mechanism=mechanism)
    ours = Population(
        "n", (INPUT,), (50,), np.float32(0.999), np.float32(0.5), np.float32(1), np.float32(0),
        reset=None if mechanism == "subtract" else 0.0, reset_delay=1,
    )  # fmt: skip
    x = (rng.integers(-8, 20, (12, 2, 50)) / 16).astype(np.float32)
    found = SpikingEngine(SpikingNetwork((50,), (ours,), constant_input=False)).run(x, 12)
    potential, total = theirs.init_leaky(), torch.zeros(2, 50)
    for t in range(12):
        spikes, potential = theirs(torch.from_numpy(x[t]), potential)
        total = total + spikes
    assert total.sum() > 100
    np.testing.assert_array_equal(found.outputs, total.detach().numpy())


def test_steps_equal_a_run_and_survive_a_pickle() -> None:
    rng = np.random.default_rng(2)
    network = residual(rng, int8=False, average=True)
    x = (rng.integers(-8, 9, (3, 2, 9, 9)) / 8).astype(np.float32)
    whole = SpikingEngine(network).run(x, 8).accumulated
    engine = SpikingEngine(network)
    total = np.zeros(whole.shape[1:])
    for t in range(8):
        if t == 3:
            engine = pickle.loads(pickle.dumps(engine))
            total += engine.step(x)
        else:
            total += engine.step(x if t % 2 == 0 else None)
        np.testing.assert_array_equal(total, whole[t])
    saved = engine.state
    after = engine.step()
    engine.state = saved
    np.testing.assert_array_equal(engine.step(x), after)
    engine.reset()
    np.testing.assert_array_equal(engine.step(x[:1]), whole[0, :1])


@pytest.mark.parametrize("policy", POLICIES)
def test_threads_change_nothing(policy: str) -> None:
    rng = np.random.default_rng(9)
    network = residual(rng, int8=True, average=False)
    x = (rng.integers(-8, 9, (6, 2, 9, 9)) / 8).astype(np.float32)
    alone = SpikingEngine(network, policy=policy).run(x, 5)  # type: ignore[arg-type]
    shared = SpikingEngine(network, policy=policy, threads=2)  # type: ignore[arg-type]
    for _ in range(5):
        found = shared.run(x, 5)
        np.testing.assert_array_equal(found.accumulated, alone.accumulated)
        for name, operations in alone.operations.items():
            np.testing.assert_array_equal(found.operations[name], operations)


def test_one_engine_in_several_threads() -> None:
    rng = np.random.default_rng(1)
    network = residual(rng, int8=False, average=False)
    inputs = [(rng.integers(-8, 9, (n, 2, 9, 9)) / 8).astype(np.float32) for n in (1, 2, 3)]
    engine = SpikingEngine(network)
    expected = [SpikingEngine(network).run(x, 4).accumulated for x in inputs]
    faults: list[int] = []

    def work(k: int) -> None:
        for _ in range(10):
            if not np.array_equal(engine.run(inputs[k], 4).accumulated, expected[k]):
                faults.append(k)

    workers = [threading.Thread(target=work, args=(k,)) for k in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert faults == []
