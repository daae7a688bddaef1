"""Converted networks on the event-driven engine against the layer-by-layer simulation: the same
spikes, counts and outputs, at every T, at once and step by step.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

import tospike as ts
from tospike.conversion import calibrate, executable, run_snn
from tospike.conversion.counting import wiring
from tospike.conversion.eligibility import plan
from tospike.conversion.prepare import Prepared, Rules, prepare
from tospike.conversion.run import on_engine
from tospike.conversion.spiking import Chunk
from tospike.conversion.spiking_network import Engine, Program, spiking_network
from tospike.errors import ConversionError, DataError

PREFIXES = (1, 2, 3, 7)


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


class Drawn(nn.Module):
    """A chain that is drawn: convolutions with strides and groups, pools, linear layers."""

    def __init__(self, seed: int, pool: str, stride: int, groups: int, bias: bool) -> None:
        super().__init__()
        torch.manual_seed(seed)
        pools: dict[str, Any] = {
            "none": nn.Identity, "max": lambda: nn.MaxPool2d(2), "avg": lambda: nn.AvgPool2d(2),
            "overlapping": lambda: nn.MaxPool2d(3, stride=2, padding=1),
        }  # fmt: skip
        self.body = nn.Sequential(
            nn.Conv2d(2, 4, 3, padding=1, bias=bias), nn.ReLU(), pools[pool](),
            nn.Conv2d(4, 6, 3, padding=1, stride=stride, groups=groups, bias=bias), nn.ReLU(),
            nn.Conv2d(6, 6, 3, padding=1, dilation=1, bias=bias), nn.ReLU(), pools[pool](),
            nn.Flatten(),
        )  # fmt: skip
        width = self.body(torch.zeros(1, 2, 8, 8)).shape[1]
        self.head = nn.Sequential(nn.Linear(width, 9), nn.ReLU(), nn.Linear(9, 3))

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.body(x))


def prepared_of(module: nn.Module, x: Tensor, max_pool: str = "exact") -> Prepared:
    graph = executable(module.eval(), x)
    calibration = calibrate(graph, x)
    layers = plan(graph, frozenset(graph.eligible))
    rules = Rules("or" if max_pool == "or" else "exact")
    made = prepare(graph, layers, calibration, 8, rules)
    # Biases and starting potentials as a correction leaves them: any numbers, by channel.
    generator = torch.Generator().manual_seed(1)
    populations = {}
    for name, one in made.populations.items():
        shape = graph[name].shape
        shift = torch.randn(1, shape[0], generator=generator, dtype=torch.float64).numpy()
        places = one.theta.size // shape[0]
        by_channel = np.tile(shift, (places, 1)).reshape(-1)  # memory order: channels innermost
        populations[name] = replace(
            one, initial=one.initial + 0.2 * one.theta * by_channel,
            offset=0.05 * one.theta * by_channel,
        )  # fmt: skip
    return replace(made, populations=populations)


def both(prepared: Prepared, x: Tensor) -> tuple[Any, Any, Any, Any]:
    wires = wiring(prepared.graph)
    slow, counted = Chunk(prepared, x, PREFIXES, wires).run()
    fast, found = spiking_network(prepared).run(x, PREFIXES, wires)
    return slow, counted, fast, found


@settings(max_examples=6, deadline=None, derandomize=True)
@given(
    st.integers(0, 99), st.sampled_from(["none", "max", "avg", "overlapping"]),
    st.sampled_from([1, 2]), st.sampled_from([1, 2]), st.booleans(),
    st.sampled_from(["exact", "or"]),
)  # fmt: skip
def test_the_engine_sends_the_spikes_of_the_simulation(
    seed: int, pool: str, stride: int, groups: int, bias: bool, max_pool: str
) -> None:
    module = Drawn(seed, pool, stride, groups, bias)
    x = torch.rand(5, 2, 8, 8, generator=torch.Generator().manual_seed(seed))
    slow, counted, fast, found = both(prepared_of(module, x, max_pool), x)
    assert sum(float(sent.sum()) for sent in counted.neurons.values()) > 0
    for a, b in zip(slow, fast, strict=True):
        assert torch.equal(a, b)
    for one, other in ((counted.neurons, found.neurons), (counted.skips, found.skips)):
        assert set(one) == set(other)
        for name in one:
            assert np.array_equal(one[name], other[name])
    assert set(counted.inputs) == set(found.inputs)
    for name, parts in counted.inputs.items():
        for a, b in zip(parts, found.inputs[name], strict=True):
            assert np.array_equal(a, b)
    assert all(
        torch.equal(a, b)
        for name in counted.analog
        for a, b in zip(counted.analog[name], found.analog[name], strict=True)
    )


def test_a_bias_that_is_wrong_by_one_step_of_the_grid_is_seen() -> None:
    x = torch.rand(5, 2, 8, 8, generator=torch.Generator().manual_seed(3))
    prepared = prepared_of(Drawn(3, "max", 1, 1, True), x)
    right = spiking_network(prepared)
    stages = list(right.stages)
    place = next(i for i, stage in enumerate(stages) if isinstance(stage, Engine))
    stage = stages[place]
    assert isinstance(stage, Engine)
    first = stage.network.nodes[0]
    wrong = replace(first, bias=first.bias + np.float32(8))  # type: ignore[union-attr, operator]
    network = replace(stage.network, nodes=(wrong, *stage.network.nodes[1:]))
    stages[place] = Engine(network, stage.sources, 1, "calibrated", stage.pool)
    other = Program(prepared, right.first, tuple(stages), right.last)
    wires = wiring(prepared.graph)
    a, b = (program.run(x, PREFIXES, wires)[0][-1] for program in (right, other))
    assert not torch.equal(a, b)


@pytest.mark.parametrize("pool", ["max", "avg"])
def test_compiled_gives_what_the_conversion_gives(pool: str) -> None:
    x = torch.rand(6, 2, 8, 8, generator=torch.Generator().manual_seed(5)).numpy()
    converted = ts.convert(Drawn(5, pool, 1, 1, True), "snn", calibration_data=x, timesteps=6)
    compiled = ts.compile(converted)
    assert np.array_equal(compiled.run(x), converted(x).numpy())
    result = converted.run(x)
    assert compiled.statistics.samples == len(x)
    assert compiled.statistics.spikes == pytest.approx(
        {name: value * len(x) for name, value in result.neuron_spikes.items()}
    )
    for name, total in compiled.statistics.operations.items():
        assert total / len(x) == result.activity.layers[name].synaptic_operations
    shown = compiled.step(x)
    assert np.array_equal(shown, compiled.run(x, 1))
    for t in range(2, 7):
        assert np.array_equal(compiled.step(), compiled.run(x, t))
    compiled.reset()
    assert np.array_equal(compiled.step(x[:2]), compiled.run(x[:2], 1))
    with pytest.raises(DataError, match="samples again"):
        compiled.step(x)
    compiled.reset()
    with pytest.raises(DataError, match="no samples"):
        compiled.step()


class Residual(nn.Module):
    """A sum of branches: simulated, not compiled."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.one, self.two = nn.Conv2d(2, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1)
        self.out = nn.Linear(4 * 64, 3)

    def forward(self, x: Tensor) -> Tensor:
        a = self.one(x).relu()
        return self.out((a + self.two(a).relu()).flatten(1))


def test_what_is_no_chain_is_refused_with_reasons_and_simulated_all_the_same() -> None:
    x = torch.rand(6, 2, 8, 8, generator=torch.Generator().manual_seed(5))
    converted = ts.convert(Residual(), "snn", calibration_data=x, timesteps=4)
    with pytest.raises(ConversionError) as error:
        ts.compile(converted)
    assert "a branch, or a sum of branches" in str(error.value)
    assert on_engine(converted.prepared) is None
    assert converted.run(x).timesteps == 4
    quantised = ts.convert(Drawn(5, "max", 1, 1, True), "qnn", calibration_data=x)
    with pytest.raises(ConversionError, match="qnn"):
        ts.compile(quantised)
    with pytest.raises(ConversionError, match="recurrent"):
        ts.compile(converted, streams=2)


def test_layers_that_fire_one_after_the_other_are_simulated() -> None:
    x = torch.rand(6, 2, 8, 8, generator=torch.Generator().manual_seed(5))
    prepared = prepared_of(Drawn(1, "none", 1, 1, False), x)
    assert on_engine(prepared) is not None
    assert on_engine(replace(prepared, rules=Rules("exact", "layers"))) is None


def test_run_snn_takes_the_engine_and_gives_the_same_results(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    x = torch.rand(40, 2, 8, 8, generator=torch.Generator().manual_seed(9))
    y = torch.arange(40) % 3
    graph = executable(Drawn(9, "max", 1, 1, True).eval(), x)
    calibration = calibrate(graph, x)
    steps = (1, 4, 8)
    fast = run_snn(graph, calibration, x, y, timesteps=steps, keep_outputs=True)
    monkeypatch.setattr("tospike.conversion.run.on_engine", lambda prepared: None)
    slow = run_snn(graph, calibration, x, y, timesteps=steps, keep_outputs=True)
    for t in steps:
        assert np.array_equal(fast[t].outputs, slow[t].outputs)
        assert (fast[t].accuracy, fast[t].neuron_spikes) == (
            slow[t].accuracy,
            slow[t].neuron_spikes,
        )
        assert repr(fast[t].activity.layers) == repr(slow[t].activity.layers)
