"""Laws of conversion: exact equalities and bounds, none of them from our own earlier output."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from tospike.conversion import calibrate, executable, matched_bits, run, run_ann, run_qnn, run_snn
from tospike.conversion.calibration import Calibration
from tospike.conversion.counting import wiring
from tospike.conversion.eligibility import plan
from tospike.conversion.forward import forward
from tospike.conversion.graph import ExecutableGraph, Rectify, Synapse
from tospike.conversion.neurons import accumulate, difference
from tospike.conversion.prepare import prepare
from tospike.conversion.spiking import Chunk
from tospike.errors import DataError


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def cnn(seed: int = 0) -> nn.Sequential:
    """Conv-BN-ReLU-MaxPool, grouped conv, ReLU6, average pool, linear; BN statistics not 0/1."""
    torch.manual_seed(seed)
    net = nn.Sequential(
        nn.Conv2d(2, 6, 3, padding=1, bias=False),
        nn.BatchNorm2d(6),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(2),
        nn.Conv2d(6, 8, 3, padding=1, stride=2, groups=2),
        nn.BatchNorm2d(8),
        nn.ReLU6(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Dropout(),
        nn.Linear(8, 4),
    )
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.3)
            module.running_var.uniform_(0.2, 2.0)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, 0, 0.3)
    return net.eval()


class Residual(nn.Module):
    """Two residual blocks, a concatenation, tokens and a GELU head."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.stem = nn.Conv2d(1, 4, 3, padding=1)
        self.a = nn.Conv2d(4, 4, 3, padding=1)
        self.b = nn.Conv2d(4, 4, 3, padding=1)
        self.down = nn.Conv2d(8, 6, 1)
        self.fc = nn.Linear(6 * 16, 8)
        self.head = nn.Linear(8, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x).relu()
        y = self.b(self.a(x).relu())
        x = (x + y).relu()
        z = torch.cat([x, self.a(x).clamp(0, 2)], dim=1)
        z = nn.functional.max_pool2d(self.down(z), 2).relu()
        z = self.fc(z.flatten(1)).relu()
        return self.head(z)


@pytest.fixture(scope="module")
def small() -> tuple[nn.Module, ExecutableGraph, torch.Tensor, Calibration]:
    net, x = cnn(), torch.rand(40, 2, 8, 8, generator=torch.Generator().manual_seed(3))
    graph = executable(net, x)
    return net, graph, x, calibrate(graph, x)


@pytest.fixture(scope="module")
def residual() -> tuple[nn.Module, ExecutableGraph, torch.Tensor, Calibration]:
    net, x = Residual().eval(), torch.rand(24, 1, 8, 8, generator=torch.Generator().manual_seed(4))
    graph = executable(net, x)
    return net, graph, x, calibrate(graph, x)


@pytest.mark.parametrize("which", ["small", "residual"])
def test_the_graph_equals_the_module(which: str, request: pytest.FixtureRequest) -> None:
    net, graph, x, _ = request.getfixturevalue(which)
    with torch.no_grad():
        expected = net(x)
    torch.testing.assert_close(forward(graph, x), expected, rtol=1e-4, atol=1e-5)


def test_batch_norms_are_folded_in_float64(small) -> None:  # type: ignore[no-untyped-def]
    _, graph, x, _ = small
    assert sum(isinstance(node.spec, Synapse) for node in graph) == 3
    assert {type(node.spec).__name__ for node in graph} == {
        "Input", "Synapse", "Rectify", "MaxPool", "AvgPool", "Route",
    }  # fmt: skip
    net64 = cnn().double()
    with torch.no_grad():
        expected = net64(x.double())
    torch.testing.assert_close(forward(graph, x.double()), expected, rtol=1e-5, atol=1e-6)


def test_the_module_is_left_as_it_was() -> None:
    net = cnn().train()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    executable(net, torch.rand(3, 2, 8, 8))
    assert net.training
    assert all(torch.equal(before[name], value) for name, value in net.state_dict().items())


def test_eligibility_and_its_reasons(small, residual) -> None:  # type: ignore[no-untyped-def]
    assert small[1].eligibility == {
        "0": "its input is the network's analog input", "4": "", "10": "",
    }  # fmt: skip
    graph = residual[1]
    assert graph.eligible == ("a", "b", "down", "fc", "head")
    assert graph.supports_partition


def record(prepared, x: torch.Tensor, steps: int, names: list[str]):  # type: ignore[no-untyped-def]
    """Spikes (T, N, ...) of some nodes in one simulation."""
    chunk = Chunk(prepared, x, (steps,), wiring(prepared.graph))
    kept: dict[str, torch.Tensor] = {}
    make = chunk.make_spikes

    def keep(node):  # type: ignore[no-untyped-def]
        spikes = make(node)
        if node.name in names:
            kept[node.name] = spikes.reshape(steps, x.shape[0], *node.shape).clone()
        return spikes

    chunk.make_spikes = keep  # type: ignore[method-assign]
    chunk.run()
    return kept


@pytest.mark.parametrize("which", ["small", "residual"])
def test_spikes_are_exactly_zero_or_one(which: str, request: pytest.FixtureRequest) -> None:
    _, graph, x, calibration = request.getfixturevalue(which)
    prepared = prepare(graph, plan(graph, frozenset(graph.eligible)), calibration, 8)
    kept = record(prepared, x[:6], 9, list(prepared.plan.spikes))
    assert set(kept) == set(prepared.plan.spikes)
    for name, spikes in kept.items():
        assert set(spikes.unique().tolist()) <= {0.0, 1.0}, name


@pytest.mark.parametrize("steps", [1, 3, 7, 16])
def test_first_population_is_within_half_a_spike_of_the_clipped_activation(
    small,  # type: ignore[no-untyped-def]
    steps: int,
) -> None:
    """Constant current a, V(0) = theta / 2, soft reset: S(T) = floor(T a / theta + 1/2), clipped.

    So |theta S(T) / T - clip(a, 0, theta)| <= theta / (2 T).
    """
    _, graph, x, calibration = small
    first = next(node for node in graph if isinstance(node.spec, Rectify))
    prepared = prepare(graph, plan(graph, frozenset(graph.eligible)), calibration, 8)
    spikes = record(prepared, x[:8], steps, [first.name])[first.name].double()
    from tospike.conversion.forward import walk

    values = {node.name: value for node, _, value in walk(graph, x[:8].double())}
    theta = prepared.amplitudes[first.name]
    ideal = torch.minimum(values[first.name], theta)
    error = (spikes.mean(dim=0) * theta - ideal).abs()
    assert float((error / theta).max()) <= 0.5 / steps + 1e-9


def test_spikes_of_a_max_pool_are_the_maximum_of_the_counts() -> None:
    """y(t) = max S(t) - max S(t - 1) with plain loops."""
    rng = np.random.default_rng(0)
    spikes = (rng.random((12, 5, 6)) < 0.4).astype(np.float32)  # T, windows, members
    counts = np.empty((12, 30), np.float32)
    accumulate(spikes.reshape(12, -1), counts, 0, 30)
    pooled = counts.reshape(12, 5, 6).max(axis=2)
    difference(pooled, 0, 5)
    for w in range(5):
        before = 0.0
        for t in range(12):
            best = max(sum(spikes[u, w, m] for u in range(t + 1)) for m in range(6))
            assert pooled[t, w] == best - before
            assert pooled[t, w] in (0.0, 1.0)
            before = best


@pytest.mark.parametrize("which", ["small", "residual"])
def test_a_prefix_of_time_equals_a_run_of_its_own(
    which: str, request: pytest.FixtureRequest
) -> None:
    _, graph, x, calibration = request.getfixturevalue(which)
    together = run_snn(graph, calibration, x, timesteps=(1, 3, 8), keep_outputs=True)
    for steps, result in together.items():
        alone = run_snn(graph, calibration, x, timesteps=(steps,), keep_outputs=True)[steps]
        assert same(alone, result)
        np.testing.assert_array_equal(alone.outputs, result.outputs)
        assert alone.neuron_spikes == result.neuron_spikes


def same(a, b) -> bool:  # type: ignore[no-untyped-def]
    return all(
        (u.zero_fraction, u.synaptic_operations, u.spikes_per_neuron)
        == (v.zero_fraction, v.synaptic_operations, v.spikes_per_neuron)
        for u, v in zip(a.activity.layers.values(), b.activity.layers.values(), strict=True)
    )


@pytest.mark.parametrize("which", ["small", "residual"])
def test_results_do_not_depend_on_the_batch_size(
    which: str, request: pytest.FixtureRequest
) -> None:
    _, graph, x, calibration = request.getfixturevalue(which)
    runs = [
        run_snn(graph, calibration, x, timesteps=(6,), batch_size=size)[6] for size in (1, 7, 64)
    ]
    for other in runs[1:]:
        assert same(runs[0], other)
        assert other.skip_events == runs[0].skip_events
    anns = [run_ann(graph, x, batch_size=size) for size in (1, 7, 64)]
    assert same_ann(anns[0], anns[1])
    assert same_ann(anns[0], anns[2])


def test_the_float_classes_of_an_earlier_run_change_nothing(small, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    _, graph, x, calibration = small
    monkeypatch.setattr(run, "BUDGET", 1)  # chunks of one sample
    known = run_ann(graph, x).classes
    assert known is not None
    for execute in (
        lambda **more: run_qnn(graph, calibration, x, activation_bits=2, batch_size=7, **more),
        lambda **more: run_snn(graph, calibration, x, timesteps=(3,), batch_size=7, **more)[3],
    ):
        alone, given = execute(), execute(float_classes=known)
        assert given.agreement == alone.agreement
        assert np.array_equal(given.classes, alone.classes)
        assert alone.agreement == np.mean(alone.classes == known)
        half = alone.classes.copy()
        half[: len(half) // 2] = -1  # told apart from the rest, whatever the classes are
        assert execute(float_classes=half).agreement == np.mean(alone.classes == half)
        with pytest.raises(DataError, match="compare with the float network"):
            execute(float_classes=known[1:])


def same_ann(a, b) -> bool:  # type: ignore[no-untyped-def]
    return all(
        abs(u.synaptic_operations - v.synaptic_operations) <= 1e-3 * u.synaptic_operations
        for u, v in zip(a.activity.layers.values(), b.activity.layers.values(), strict=True)
    )


def test_a_hybrid_without_spikes_is_the_ann(small) -> None:  # type: ignore[no-untyped-def]
    _, graph, x, calibration = small
    ann = run_ann(graph, x, keep_outputs=True)
    none = run_snn(graph, calibration, x, timesteps=(4,), spiking=(), keep_outputs=True)[4]
    np.testing.assert_array_equal(none.outputs, ann.outputs)
    assert none.agreement == 1.0
    assert none.spiking == ()


@pytest.mark.parametrize(
    "spiking", [("b",), ("a",), ("fc",), ("a", "down"), ("b", "head"), ("down", "fc", "head"), None]
)
def test_every_partition_approaches_the_ann(residual, spiking) -> None:  # type: ignore[no-untyped-def]
    _, graph, x, _ = residual
    exact = calibrate(graph, x, percentile=100.0)
    ann = run_ann(graph, x, keep_outputs=True).outputs
    assert ann is not None
    scale = np.abs(ann).max()
    errors = []
    for steps in (8, 512):
        result = run_snn(
            graph, exact, x[:6], timesteps=(steps,), spiking=spiking, weight_bits=None,
            bias_calibration=False, keep_outputs=True,
        )[steps]  # fmt: skip
        errors.append(float(np.abs(result.outputs - ann[:6]).max() / scale))
        modes = {name: layer.signal for name, layer in result.activity.layers.items()}
        wanted = set(spiking or graph.eligible)
        assert {name for name, signal in modes.items() if signal == "spike"} == wanted
    assert errors[1] < 0.02
    assert errors[1] < errors[0]


def test_quantised_network_at_8_bits_is_close_and_worse_at_2(small) -> None:  # type: ignore[no-untyped-def]
    _, graph, x, calibration = small
    ann = run_ann(graph, x, keep_outputs=True).outputs
    assert ann is not None
    errors = []
    for bits in (8, 4, 2):
        out = run_qnn(graph, calibration, x, activation_bits=bits, keep_outputs=True).outputs
        assert out is not None
        errors.append(float(np.abs(out - ann).max() / np.abs(ann).max()))
    assert errors[0] < 0.02
    assert errors[0] < errors[1] < errors[2]


def test_quantised_values_lie_on_their_grids(small) -> None:  # type: ignore[no-untyped-def]
    """Products of an activation and a weight are integers times one step per output channel."""
    from tospike.conversion.forward import walk
    from tospike.conversion.prepare import with_input_scale
    from tospike.conversion.quantised import input_scales, quantise

    _, graph, x, calibration = small
    net = quantise(graph, calibration, 3, 8)
    steps = {
        name: rule.step.reshape(-1).double() * 7
        for name, rule in net.at_output.items()
        if not isinstance(rule.step, float)
    }
    scales = input_scales(graph, replace(calibration, scales={**calibration.scales, **steps}))
    assert scales
    for node in net.graph:
        if isinstance(node.spec, Synapse):
            weight = node.spec.weight.double()
            if node.name in scales:
                weight = with_input_scale(node.spec, weight, scales[node.name])
            rows = weight.reshape(node.spec.out_channels, -1)
            step = rows.abs().amax(dim=1, keepdim=True) / 127
            integers = rows / step
            assert float((integers - integers.round()).abs().max()) < 1e-3
            source = graph[node.name].spec.weight.double()
            if node.name in scales:
                source = with_input_scale(node.spec, source, scales[node.name])
            off = (source.reshape(rows.shape) - rows).abs() / step
            assert float(off.max()) < 0.5 + 1e-3  # rounded to the nearest step, nothing else
    for node, inputs, _ in walk(net.graph, x, net.before):
        if isinstance(node.spec, Synapse) and node.spec.layer in ("4", "10"):
            values = inputs[0].movedim(1, 0).reshape(inputs[0].shape[1], -1)
            assert max(len(row.unique()) for row in values) <= 8


def test_quantised_activations_have_the_float_mean(small) -> None:  # type: ignore[no-untyped-def]
    """The bias before a rectifier is moved so; without it few bits lose the small activations."""
    from tospike.conversion.forward import walk
    from tospike.conversion.quantised import quantise

    _, graph, _, calibration = small
    net = quantise(graph, calibration, 1, 8)
    first = next(node.name for node in graph if isinstance(node.spec, Rectify))
    rule = net.at_output[first]
    dim = calibration.channel_dims[first]
    truth = {n.name: v for n, _, v in walk(graph, calibration.samples)}[first]
    found = {n.name: v for n, _, v in walk(net.graph, calibration.samples, net.before)}[first]
    exact, plain, moved = (
        value.double().movedim(dim, 0).reshape(value.shape[dim], -1).mean(dim=1)
        for value in (truth, rule(truth), rule(found))
    )
    assert float((moved - exact).abs().mean()) < 0.5 * float((plain - exact).abs().mean())


def test_a_quantiser_rounds_to_the_nearest_step() -> None:
    from tospike.conversion.quantised import Quantiser

    values = torch.tensor([-1.0, 0.2, 0.3, 1.26, 9.0])
    assert Quantiser(0.5, 0, 3)(values).tolist() == [0.0, 0.0, 0.5, 1.5, 1.5]
    assert Quantiser(0.5, 1, 3)(values).tolist() == [-0.5, 0.0, 0.5, 1.0, 1.0]
    per_channel = Quantiser(torch.tensor([[0.5, 1.0]]), 0, 1)
    assert per_channel(torch.tensor([[0.3, 0.4], [0.2, 0.6]])).tolist() == [[0.5, 0.0], [0.0, 1.0]]


def test_a_neuron_that_just_reaches_its_threshold_fires() -> None:
    """V >= theta, on numbers that float32 and float64 hold exactly."""
    from tospike.conversion.neurons import fire_on_constant, fire_on_sequence

    theta, half = np.array([1.0]), np.array([0.5])
    for run_neurons in (
        lambda out, counts: fire_on_constant(np.array([[0.25]]), half, theta, out, counts, 0, 1),
        lambda out, counts: fire_on_sequence(
            np.full((4, 1, 1), 0.25, np.float32), np.ones(1), np.zeros(1), half, theta,
            out, counts, 0, 1,
        ),
    ):  # fmt: skip
        spikes, counts = np.zeros((4, 1, 1), np.float32), np.zeros((4, 1))
        run_neurons(spikes, counts)
        assert spikes.ravel().tolist() == counts.ravel().tolist() == [0, 1, 0, 0]


def test_matched_bits() -> None:
    """ceil(log2(T + 1)): T + 1 distinct counts need that many bits."""
    assert [matched_bits(t) for t in (1, 2, 3, 4, 7, 8, 15, 16, 32, 64)] == [
        1, 2, 2, 3, 3, 4, 4, 5, 6, 7,
    ]  # fmt: skip


def test_relu6_bounds_the_scale(small) -> None:  # type: ignore[no-untyped-def]
    _, graph, x, _ = small
    calibration = calibrate(graph, 50 * x, percentile=100.0)
    bounded = [n.name for n in graph if isinstance(n.spec, Rectify) and n.spec.upper == 6.0]
    assert len(bounded) == 1
    assert float(calibration.scales[bounded[0]].max()) == 6.0


def test_more_sparsity_never_costs_more(small) -> None:  # type: ignore[no-untyped-def]
    _, graph, x, calibration = small
    runs = run_snn(graph, calibration, x, timesteps=(1, 2, 4, 8))
    totals = [
        sum(layer.synaptic_operations for layer in run.activity.layers.values())
        for run in runs.values()
    ]
    assert totals == sorted(totals)


def test_early_stop_leaves_out_larger_t_and_progress_ends_at_the_total(small) -> None:  # type: ignore[no-untyped-def]
    _, graph, x, calibration = small
    seen: list[tuple[int, int]] = []
    all_t = run_snn(graph, calibration, x, timesteps=(1, 4, 64))
    first = min(t for t, result in all_t.items() if (result.agreement or 0) >= 0.5)
    stopped = run_snn(
        graph, calibration, x, timesteps=(1, 4, 64), early_stop=0.5, batch_size=16,
        progress=lambda done, total: seen.append((done, total)),
    )  # fmt: skip
    assert max(stopped) == first
    assert seen[-1] == (40, 40)


def test_an_unchanged_border_count_is_seen_to_fail(
    small,  # type: ignore[no-untyped-def]
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A planted fault: fan-out without borders gives another number."""
    from tospike.conversion import counting

    _, graph, x, _ = small
    right = run_ann(graph, x).activity["4"].synaptic_operations
    true_fan_out = counting.fan_out

    def careless(spec: Synapse, shape: tuple[int, ...], out: tuple[int, ...]) -> torch.Tensor:
        exact = true_fan_out(spec, shape, out)
        return torch.full_like(exact, float(exact.max()))

    monkeypatch.setattr(counting, "fan_out", careless)
    assert run_ann(graph, x).activity["4"].synaptic_operations > 1.01 * right
