"""What the event path skips changes no spike: few events on larger maps, against the reference.

Neurons that no event reaches are computed once per channel and copied, runs without events are
never opened, wide layers go block by block, pools and inputs are read many values at a time. Each
of these shortcuts ends somewhere (borders, odd sizes, second calls, dense steps): the networks here
are drawn so that these ends occur.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tospike.errors import DataError
from tospike.kernels.spiking import reference
from tospike.kernels.spiking.costs import ALWAYS
from tospike.kernels.spiking.engine import SpikingEngine
from tospike.kernels.spiking.record import (
    INPUT,
    Pool,
    Population,
    Reshape,
    SpikingNetwork,
    Synapses,
)
from tospike.kernels.spiking.shapes import windows

GRID = 1 / 64
EXAMPLES = settings(max_examples=40, deadline=None, derandomize=True)
ONE, ZERO = np.float32(1), np.float32(0)
PER = {"layer": 0, "channel": 1, "neuron": None}


def on_grid(rng: np.random.Generator, low: int, high: int, shape: tuple[int, ...]) -> np.ndarray:
    return (rng.integers(low, high, shape) * GRID).astype(np.float32)


def relay(shape: tuple[int, ...]) -> Population:
    """Passes spikes on, so that the next layer gets bits."""
    return Population("relay", (INPUT,), shape, ONE, ONE, ONE, ZERO)


def conv(
    rng: np.random.Generator, shape: tuple[int, ...], outputs: int, source: str = "relay",
    **how: int,
) -> Synapses:  # fmt: skip
    rank, groups = len(shape) - 1, how.get("groups", 1)
    kernel, stride, padding, dilation = (
        how.get(name, default)
        for name, default in (("kernel", 3), ("stride", 1), ("padding", 1), ("dilation", 1))
    )
    out = (outputs, *(windows(n, kernel, stride, padding, dilation) for n in shape[1:]))
    return Synapses(
        "conv", (source,), "conv",
        on_grid(rng, -24, 28, (outputs, shape[0] // groups, *[kernel] * rank)), shape, out,
        bias=on_grid(rng, -4, 9, (outputs,)) if how.get("bias") else None,
        stride=(stride,) * rank, padding=(padding,) * rank, dilation=(dilation,) * rank,
        groups=groups,
    )  # fmt: skip


def neurons(
    rng: np.random.Generator, shape: tuple[int, ...], *, of: str, start: str, kind: int
) -> Population:
    """``of``, ``start``: parameters and initial potentials per layer, channel or neuron."""
    size, begin = (shape[: PER[name]] if name != "neuron" else shape for name in (of, start))
    return Population(
        "neurons", ("conv",), shape,
        threshold=on_grid(rng, 8, 60, size),
        decay=np.float32(rng.choice([1.0, 0.5, 0.75])),
        gain=np.float32(rng.choice([1.0, 0.5])),
        initial=on_grid(rng, -8, 20, begin),
        reset=(None, 0.0, -0.25)[kind % 3],
        reset_delay=kind // 3,
    )  # fmt: skip


def few(rng: np.random.Generator, lead: tuple[int, ...], shape: tuple[int, ...], n: int,
        dense: float) -> np.ndarray:  # fmt: skip
    """``n`` events in each frame; with ``dense`` > 0 a quarter of the frames have that density."""
    frames = np.zeros((int(np.prod(lead)), int(np.prod(shape))), np.float32)
    for frame in frames:
        frame[rng.integers(0, frame.size, n)] = 1
        if rng.random() < 0.25:
            frame[rng.random(frame.size) < dense] = 1
    return frames.reshape(*lead, *shape)


def equal(network: SpikingNetwork, x: np.ndarray, timesteps: int, **how: object) -> SpikingEngine:
    """Outputs, counts and operations of all steps are those of the reference."""
    expected = reference.run(network, x, timesteps)
    engine = SpikingEngine(network, **how)  # type: ignore[arg-type]
    found = engine.run(x, timesteps)
    last = expected.values[network.nodes[-1].name].astype(np.float64)
    np.testing.assert_array_equal(found.accumulated, np.cumsum(last, axis=0))
    for name, spikes in found.spikes.items():
        values = expected.values[name]
        np.testing.assert_array_equal(spikes, values.reshape(*values.shape[:2], -1).sum(-1))
    for name, operations in found.operations.items():
        np.testing.assert_array_equal(operations, expected.operations[name])
    return engine


@EXAMPLES
@given(
    size=st.tuples(st.integers(5, 23), st.integers(5, 23)),
    outputs=st.sampled_from([3, 16, 40, 70]),
    how=st.fixed_dictionaries(
        {
            "kernel": st.integers(1, 4),
            "stride": st.integers(1, 3),
            "padding": st.integers(0, 3),
            "dilation": st.integers(1, 2),
            "groups": st.sampled_from([1, 1, 1, 3]),
            "bias": st.integers(0, 1),
        }
    ),
    of=st.sampled_from(["layer", "channel", "channel", "neuron"]),
    start=st.sampled_from(["layer", "channel", "channel", "neuron"]),
    kind=st.integers(0, 5),
    events=st.sampled_from([0, 1, 3, 20]),
    dense=st.sampled_from([0.0, 0.0, 0.8]),
    timesteps=st.sampled_from([1, 3, 9]),
    seed=st.integers(0, 2**31),
)
def test_neurons_without_events_do_what_the_reference_does(
    size: tuple[int, int], outputs: int, how: dict[str, int], of: str, start: str, kind: int,
    events: int, dense: float, timesteps: int, seed: int,
) -> None:  # fmt: skip
    rng = np.random.default_rng(seed)
    shape = (3, *(max(n, how["dilation"] * (how["kernel"] - 1) + 1) for n in size))
    node = conv(rng, shape, outputs * how["groups"], **how)
    behind = neurons(rng, node.out_shape, of=of, start=start, kind=kind)
    network = SpikingNetwork(shape, (relay(shape), node, behind), constant_input=False)
    x = few(rng, (timesteps, 2), shape, events, dense)
    for threads in (1, 2):
        equal(network, x, timesteps, policy="calibrated" if dense else "event", threads=threads)


@settings(max_examples=15, deadline=None, derandomize=True)
@given(
    kind=st.integers(0, 5),
    of=st.sampled_from(["channel", "neuron"]),
    bias=st.integers(0, 1),
    outputs=st.sampled_from([5, 70]),
    seed=st.integers(0, 2**31),
)
def test_potentials_of_neurons_without_events_go_on(
    kind: int, of: str, bias: int, outputs: int, seed: int
) -> None:
    """Step by step, and in runs of more steps than one call takes: events come late to most."""
    rng = np.random.default_rng(seed)
    shape, steps = (2, 11, 13), 70
    node = conv(rng, shape, outputs, bias=bias)
    behind = neurons(rng, node.out_shape, of=of, start="channel", kind=kind)
    network = SpikingNetwork(shape, (relay(shape), node, behind), constant_input=False)
    x = few(rng, (steps, 1), shape, 1, 0.0)
    x[::9] = 0
    engine = equal(network, x, steps, policy="event")
    whole = engine.run(x, steps).accumulated
    total = np.zeros(whole.shape[1:])
    for t in range(12):
        total += engine.step(x[t])
        np.testing.assert_array_equal(total, whole[t])
        if t == 5:
            engine.state = engine.state


@settings(max_examples=12, deadline=None, derandomize=True)
@given(
    outputs=st.sampled_from([130, 200, 256]),
    fires=st.booleans(),
    int8=st.booleans(),
    kind=st.integers(0, 5),
    events=st.sampled_from([0, 2, 60, 500]),
    threads=st.integers(1, 2),
    seed=st.integers(0, 2**31),
)
def test_wide_layers_go_block_by_block(
    outputs: int, fires: bool, int8: bool, kind: int, events: int, threads: int, seed: int
) -> None:  # fmt: skip
    """Layers of one place, in calls of many slots."""
    rng = np.random.default_rng(seed)
    inputs = 1500 if int8 else 700
    flat, shape = Reshape("flat", ("relay",), (inputs,)), (inputs // 50, 5, 10)
    weight = on_grid(rng, -24, 28, (outputs, inputs))
    node = Synapses("conv", ("flat",), "linear", weight, (inputs,), (outputs,))
    if int8:
        scale = np.full(outputs, GRID, np.float32)
        whole = np.rint(np.asarray(node.weight) / GRID).astype(np.int8)
        node = replace(node, weight=whole, scale=scale)
    behind = neurons(rng, node.out_shape, of="channel", start="channel", kind=kind)
    nodes = (relay(shape), flat, node, behind)[: None if fires else -1]
    network = SpikingNetwork(shape, nodes, constant_input=False)
    x = few(rng, (9, 2), shape, events, 0.0)
    engine = equal(network, x, 9, policy="event", threads=threads)
    packed = next(op.synapses for op in engine.plan.operations if op.synapses)
    assert packed.blocks > 1
    assert packed.near_bytes(18) < packed.rows.nbytes == packed.near_bytes(1)


def test_a_place_is_in_reach_of_exactly_its_kernel() -> None:
    """One event at each input place in turn: the outputs that change are those of a convolution."""
    rng = np.random.default_rng(3)
    shape = (1, 5, 7)
    for how in ({}, {"stride": 2}, {"kernel": 4, "padding": 3}, {"dilation": 2, "padding": 2}):
        node = replace(conv(rng, shape, 1, INPUT, **how))
        weight = np.ones_like(node.weight)
        network = SpikingNetwork(shape, (replace(node, weight=weight),), constant_input=False)
        x = np.eye(35, dtype=np.float32).reshape(1, 35, *shape)
        equal(network, x, 1, policy="event")


@EXAMPLES
@given(
    channels=st.integers(1, 20),
    size=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    constant=st.booleans(),
    density=st.sampled_from([0.02, 0.3, 1.0]),
    policy=st.sampled_from(["event", "dense"]),
    seed=st.integers(0, 2**31),
)
def test_inputs_of_any_size_are_read_to_the_last_value(
    channels: int, size: tuple[int, int], constant: bool, density: float, policy: str, seed: int
) -> None:
    """16 at a time; -0 is no event."""
    rng = np.random.default_rng(seed)
    shape = (channels, *size)
    network = SpikingNetwork(shape, (conv(rng, shape, 5, INPUT),), constant_input=constant)
    lead = (3,) if constant else (2, 3)
    x = (rng.integers(-8, 9, (*lead, *shape)) / 8).astype(np.float32)
    x *= rng.random(x.shape) < density
    x.flat[-1] = 0.375
    expected = reference.run(network, x, 2)
    found = SpikingEngine(network, policy=policy).run(x, 2)  # type: ignore[arg-type]
    np.testing.assert_array_equal(found.accumulated[0], expected.values["conv"][0])
    np.testing.assert_array_equal(found.operations["conv"][0], expected.operations["conv"][0])


@pytest.mark.parametrize("at", [0, 15, 16, 37, 58, 59])
def test_a_value_that_is_not_finite_is_found_anywhere(at: int) -> None:
    rng = np.random.default_rng(0)
    network = SpikingNetwork((3, 4, 5), (conv(rng, (3, 4, 5), 2, INPUT),), constant_input=False)
    x = np.zeros((1, 1, 3, 4, 5), np.float32)
    x.flat[at] = np.nan
    with pytest.raises(DataError, match="nan"):
        SpikingEngine(network).run(x, 1)


@EXAMPLES
@given(
    channels=st.sampled_from([3, 64, 65]),
    size=st.tuples(st.integers(2, 9), st.integers(2, 9)),
    kernel=st.integers(1, 3),
    stride=st.integers(1, 3),
    padding=st.integers(0, 1),
    seed=st.integers(0, 2**31),
)
def test_pools_of_spikes_equal_the_reference(
    channels: int, size: tuple[int, int], kernel: int, stride: int, padding: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    padding = min(padding, kernel // 2)
    shape = (channels, *(max(n, kernel) for n in size))
    out = (channels, *(windows(n, kernel, stride, padding) for n in shape[1:]))
    pool = Pool("pool", ("relay",), "max", shape, out, (kernel,) * 2, (stride,) * 2, (padding,) * 2)
    network = SpikingNetwork(shape, (relay(shape), pool), constant_input=False)
    equal(network, (rng.random((2, 3, *shape)) < 0.2).astype(np.float32), 2)


def test_the_limit_is_the_last_number_of_rows_below_the_dense_path() -> None:
    """By trying all of them, for every number of slots."""
    rng = np.random.default_rng(0)
    shape = (40, 5, 5)
    nodes = (relay(shape), conv(rng, shape, 150))
    weight = on_grid(rng, -9, 9, (300, 900))
    linear = Synapses("linear", ("relay",), "linear", weight, (900,), (300,))
    engine = SpikingEngine(SpikingNetwork(shape, nodes, constant_input=False))
    packed = next(op.synapses for op in engine.plan.operations if op.synapses)
    wide = SpikingEngine(SpikingNetwork((900,), (relay((900,)), linear), constant_input=False))
    flat = next(op.synapses for op in wide.plan.operations if op.synapses)
    for layer, most, outputs in ((packed, 25 * 360, 150), (flat, 900, 300)):
        for slots in (1, 3, 16, 64):
            dense = engine.costs.dense_ns(layer, slots)
            costs = [engine.costs.event_ns(layer, "spikes", n, slots) for n in range(most + 1)]
            assert costs == sorted(costs)
            last = sum(cost <= dense for cost in costs) - 1
            expected = ALWAYS if last == most else max(-1, outputs * last)
            assert engine.costs.limit(layer, "spikes", slots) == expected
