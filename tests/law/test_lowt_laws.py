"""Laws of conversion at few time steps, against plain loops, exact arithmetic and algebra."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from tospike.conversion import (
    calibrate,
    executable,
    regression,
    run_ann,
    run_snn,
    run_ttfs,
    sigma_delta_network,
)
from tospike.conversion.calibration import with_method
from tospike.conversion.correction import corrected
from tospike.conversion.counting import wiring
from tospike.conversion.eligibility import plan
from tospike.conversion.forward import forward, walk
from tospike.conversion.graph import Synapse
from tospike.conversion.prepare import Rules, prepare
from tospike.conversion.regression import regressed
from tospike.conversion.sigma_delta import Sender
from tospike.conversion.spiking import Chunk
from tospike.conversion.thresholds import BINS, Histogram, least_squares_scale, percentile_scale


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


class Net(nn.Module):
    """Max-pool, a residual sum, grouped convolution, average pool, linear layers."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(2)
        self.a = nn.Conv2d(1, 4, 3, padding=1)
        self.b = nn.Conv2d(4, 4, 3, padding=1, groups=2)
        self.c = nn.Conv2d(4, 6, 3, padding=1, stride=2)
        self.d = nn.Linear(6, 8)
        self.e = nn.Linear(8, 3)
        with torch.no_grad():  # so that the outputs depend on the sample
            for layer in (self.a, self.b, self.c, self.d, self.e):
                layer.weight.mul_(2.5)

    def forward(self, x: Tensor) -> Tensor:
        x = nn.functional.max_pool2d(self.a(x).relu(), 2)
        x = (self.b(x) + x).relu()
        x = self.c(x).relu().mean(dim=(2, 3))
        return self.e(self.d(x).relu())


@pytest.fixture(scope="module")
def small() -> Any:
    x = torch.rand(48, 1, 8, 8, generator=torch.Generator().manual_seed(5))
    graph = executable(Net().eval(), x)
    return graph, x, calibrate(graph, x)


# -- thresholds ----------------------------------------------------------------------------


@given(st.integers(1, 9), st.integers(0, 10_000))
@settings(max_examples=15, deadline=None, derandomize=True)
def test_least_squares_scale_is_the_best_of_a_fine_grid(levels: int, seed: int) -> None:
    """Brute force: no other share of the maximum says the activations with less squared error."""
    rng = np.random.default_rng(seed)
    a = rng.gamma(0.7, 1.0, 400)
    bins = np.clip(np.ceil(a / a.max() * BINS), 1, BINS).astype(int) - 1
    counts = np.bincount(bins, minlength=BINS).astype(float)
    histogram = Histogram(torch.tensor(counts[None]), torch.tensor([a.max()]))
    values = np.arange(1, BINS + 1) / BINS * a.max()

    def error(theta: float) -> float:
        said = theta / levels * np.clip(np.floor(values * levels / theta + 0.5), 0, levels)
        return float((counts * (said - values) ** 2).sum())

    found = float(least_squares_scale(histogram, levels, "channel"))
    best = min(error(share * a.max()) for share in np.linspace(0.02, 1.2, 1000))
    assert error(found) <= 1.05 * best + 1e-12
    for other in (100.0, 99.9, 99.0):
        theta = float(percentile_scale(histogram, other, "channel", float("inf")))
        assert error(found) <= 1.02 * error(theta) + 1e-12


def test_one_calibration_gives_every_method_without_new_data(small: Any) -> None:
    graph, x, base = small
    for method, steps in (("max", None), ("percentile", None), ("mse", 3)):
        direct = calibrate(graph, x, method=method, timesteps=steps)
        again = with_method(graph, base, method, timesteps=steps)
        for name, scale in direct.scales.items():
            torch.testing.assert_close(scale, again.scales[name])
    top = calibrate(graph, x, method="max").scales
    full = calibrate(graph, x, percentile=100.0).scales
    assert all(torch.equal(top[name], full[name]) for name in top)


# -- corrections ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "make",
    [
        lambda: nn.Linear(7, 3),
        lambda: nn.Conv2d(4, 6, 3, stride=2, padding=1, groups=2),
        lambda: nn.Conv2d(2, 3, (1, 3), padding=(0, 2), dilation=(1, 2), bias=False),
        lambda: nn.Conv1d(4, 4, 3, padding=1, groups=4),
    ],
)
def test_regression_finds_the_weights_that_made_the_targets(make: Any) -> None:
    """Targets of other weights: with hardly any pull the regression gives just these weights."""
    torch.manual_seed(0)
    layer, other = make(), make()
    shape = {nn.Linear: (90, 7), nn.Conv1d: (30, 4, 9)}.get(type(layer))
    x = torch.randn(*(shape or (30, layer.in_channels, 6, 7)))
    spec = spec_of(layer)
    with torch.no_grad():
        target = other(x)
        own = layer(x)
    moved = regressed(spec, x, target, pulls=(1e-10,))
    torch.testing.assert_close(moved.weight, other.weight.detach(), rtol=1e-4, atol=1e-4)
    bias = torch.zeros(moved.bias.numel()) if other.bias is None else other.bias.detach()
    torch.testing.assert_close(moved.bias, bias, rtol=1e-4, atol=1e-4)
    kept = regressed(spec, x, own)  # nothing to mend: nothing moves, whatever the pull
    torch.testing.assert_close(kept.weight, spec.weight, rtol=1e-4, atol=1e-4)


@given(st.integers(1, 9), st.integers(0, 1000), st.sampled_from([0.01, 1.0]))
@settings(max_examples=15, deadline=None, derandomize=True)
def test_regression_on_counts_against_least_squares(steps: int, seed: int, pull: float) -> None:
    """NumPy's lstsq on all patches stacked on the root of the pull, one group at a time."""
    rng = np.random.default_rng(seed)
    layer = nn.Conv2d(4, 6, 3, stride=2, padding=1, groups=2)
    spec = spec_of(layer)
    counts = torch.from_numpy(rng.integers(0, steps + 1, (18, 4, 5, 6)).astype(np.float32))
    unit = torch.from_numpy(rng.uniform(0.2, 3.0, 4)) / steps
    with torch.no_grad():
        target = layer(counts) + torch.from_numpy(rng.normal(0, 1, (18, 6, 3, 3)))
    moved = regressed(spec, counts, target, unit, largest=steps, pulls=(pull,))
    said = (counts.double() * unit.reshape(1, 4, 1, 1)).reshape(18, 2, 2, 5, 6)
    for group in range(2):
        columns = nn.functional.unfold(said[:, group], 3, padding=1, stride=2)
        rows = columns.transpose(1, 2).reshape(-1, 18).numpy()
        rows = np.hstack([rows, np.ones((len(rows), 1))])
        out = slice(3 * group, 3 * group + 3)
        y = target[:, out].double().flatten(2).transpose(1, 2).reshape(-1, 3).numpy()
        root = np.sqrt(pull * np.square(rows).sum(axis=0).mean())
        weight, bias = layer.weight.detach()[out].flatten(1), layer.bias.detach()[out, None]
        start = torch.cat([weight, bias], dim=1).double().numpy()
        expected, *_ = np.linalg.lstsq(
            np.vstack([rows, root * np.eye(19)]), np.vstack([y, root * start.T]), rcond=None
        )
        found = torch.cat([moved.weight[out].flatten(1), moved.bias[out, None]], dim=1)
        np.testing.assert_allclose(found.numpy(), expected.T, rtol=2e-4, atol=2e-5)


def test_the_pull_is_what_suits_samples_that_are_left_out() -> None:
    """Of a true line through many samples: the least. Of noise on few: the most."""
    torch.manual_seed(0)
    layer, other = nn.Linear(20, 4), nn.Linear(20, 4)
    spec, many, few = spec_of(layer), torch.randn(400, 20), torch.randn(20, 20)

    def chosen(x: Tensor, y: Tensor) -> float:
        scale = regression.columns_of(spec, None)
        halves = [
            regression.sums(spec, x[i::2], y[i::2], scale, 1, None).less(
                regression.whole_weights(spec)
            )
            for i in (0, 1)
        ]
        return regression.best_pull(*halves, regression.PULLS)

    with torch.no_grad():
        assert chosen(many, other(many)) == min(regression.PULLS)
        assert chosen(few, layer(few) + torch.randn(20, 4)) == max(regression.PULLS)


def test_costly_layers_keep_their_weights(small: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    graph, _, base = small
    layers = frozenset(graph.eligible)
    assert regression.kept_layers(graph, layers, 48) == {}
    costs = {
        node.spec.layer: regression.cost(
            node.spec, 48, regression.n_positions(node.spec, node.shape)
        )
        for node in graph
        if isinstance(node.spec, Synapse) and node.spec.layer in layers
    }
    dearest = max(costs, key=lambda name: costs[name])
    monkeypatch.setattr(regression, "MOST", sum(costs.values()) - 1)
    kept = regression.kept_layers(graph, layers, 48)
    assert set(kept) == {dearest}
    assert "multiplications" in kept[dearest]
    suited = with_method(graph, base, "mse", timesteps=2)
    rough = prepare(graph, plan(graph, layers), suited, 8)
    mended = corrected(rough, suited)
    for node in graph:
        if isinstance(node.spec, Synapse) and node.spec.layer in layers:
            same = torch.equal(mended.synapses[node.name].weight, rough.synapses[node.name].weight)
            assert same == (node.spec.layer == dearest)


def spec_of(layer: Any) -> Synapse:
    weight = layer.weight.detach()
    bias = None if layer.bias is None else layer.bias.detach()
    if isinstance(layer, nn.Linear):
        return Synapse("layer", "linear", weight, bias)
    return Synapse(
        "layer", "conv", weight, bias, layer.stride, tuple((p, p) for p in layer.padding),
        layer.dilation, layer.groups,
    )  # fmt: skip


def mean_error(graph: Any, calibration: Any, x: Tensor, steps: int) -> float:
    """Mean over channels of |mean a - mean theta S(T)/T| of all populations, over theta."""
    rough = prepare(graph, plan(graph, frozenset(graph.eligible)), calibration, 8)
    prepared = corrected(rough, calibration)
    chunk = Chunk(prepared, x, (steps,), wiring(graph))
    said: dict[str, Tensor] = {}
    fire = chunk.fire

    def look(node: Any, current: Any) -> Tensor:
        spikes = fire(node, current)
        rate = spikes.reshape(steps, len(x), *node.shape).mean(dim=(0, 1))
        said[node.name] = rate * prepared.amplitudes[node.name][0]
        return spikes

    chunk.fire = look  # type: ignore[method-assign]
    chunk.run()
    truth = {node.name: value for node, _, value in walk(graph, x)}
    errors = []
    for name, value in said.items():
        dim = calibration.channel_dims[name] - 1
        gap = truth[name].mean(dim=0) - value
        theta = prepared.amplitudes[name][0]
        others = [axis for axis in range(gap.dim()) if axis != dim]
        share = (gap / theta).mean(dim=others) if others else gap / theta
        errors.append(float(share.abs().mean()))
    return float(np.mean(errors))


@pytest.mark.parametrize("correction", ["bias", "potential", "weights"])
def test_a_correction_for_t_removes_most_of_the_mean_error_at_t(
    small: Any, correction: Any
) -> None:
    graph, x, base = small
    plain = with_method(graph, base, "mse", timesteps=2, correction="none")
    mended = with_method(graph, base, "mse", timesteps=2, correction=correction)
    assert mean_error(graph, mended, x, 2) < 0.5 * mean_error(graph, plain, x, 2)


def test_weights_bring_the_outputs_closer_on_other_samples(small: Any) -> None:
    graph, _, base = small
    new = torch.rand(64, 1, 8, 8, generator=torch.Generator().manual_seed(99))
    truth = forward(graph, new).numpy()
    off = []
    for correction in ("none", "weights"):
        suited = with_method(graph, base, "mse", timesteps=1, correction=correction)
        out = run_snn(graph, suited, new, timesteps=(1,), keep_outputs=True)[1].outputs
        off.append(float(np.square(out - truth).mean()))
    assert off[1] < 0.75 * off[0]


# -- schedules and pools -------------------------------------------------------------------


def levels_network(graph: Any, calibration: Any, x: Tensor, steps: int) -> Tensor:
    """The network of T + 1 levels per neuron, in float64: no time, no spikes."""
    prepared = prepare(graph, plan(graph, frozenset(graph.eligible)), calibration, None, Rules())
    values: dict[str, Tensor] = {}
    for node in graph.nodes:
        if node.name == "input":
            values[node.name] = x.double()
            continue
        inputs = [values[name] for name in node.inputs]
        if isinstance(node.spec, Synapse) and node.name in prepared.synapses:
            grid = prepared.synapses[node.name]
            amplitude = prepared.amplitudes[node.inputs[0]]
            scaled = inputs[0] / amplitude
            from tospike.conversion.ops import synapse

            value = synapse(grid.spec, scaled, grid.weight.double(), None)
            value = value * grid.gain + grid.offset
        else:
            from tospike.conversion.ops import analog

            value = analog(node, inputs, torch.float64)
        if node.name in prepared.populations:
            theta = prepared.amplitudes[node.name]
            value = theta / steps * torch.floor(value * steps / theta + 0.5).clamp(0, steps)
        values[node.name] = value
    return values[graph.output]


@pytest.mark.parametrize("steps", [1, 2, 5])
def test_layer_after_layer_is_the_network_of_levels(small: Any, steps: int) -> None:
    graph, x, base = small
    calibration = with_method(graph, base, "mse", timesteps=steps, correction="none")
    expected = levels_network(graph, calibration, x, steps)
    options: Any = {"timesteps": (steps,), "weight_bits": None, "keep_outputs": True}
    rate = run_snn(graph, calibration, x, schedule="layers", **options)[steps]
    ttfs = run_ttfs(graph, calibration, x, **options)[steps]
    assert close(rate.outputs, expected)
    assert close(ttfs.outputs, expected)
    if steps > 1:
        together = run_snn(graph, calibration, x, **options)[steps]
        assert not close(together.outputs, expected)  # the unevenness error


def close(found: Any, expected: Tensor) -> bool:
    """Equal to rounding for all samples but the few in which rounding moves one level."""
    off = np.abs(found - expected.numpy()).reshape(len(found), -1).max(axis=1)
    return bool((off < 1e-4).mean() >= 0.95)


def test_a_longer_sweep_with_layers_equals_runs_of_their_own(small: Any) -> None:
    graph, x, base = small
    both = run_snn(graph, base, x, timesteps=(2, 4), schedule="layers", keep_outputs=True)
    for steps, result in both.items():
        alone = run_snn(graph, base, x, timesteps=(steps,), schedule="layers", keep_outputs=True)
        np.testing.assert_array_equal(result.outputs, alone[steps].outputs)


def test_or_pool_sends_at_least_as_many_spikes_and_at_most_all(small: Any) -> None:
    """max_i S_i <= spikes of the OR <= min(T, sum_i S_i), by hand on random spikes."""
    graph, x, calibration = small
    rng = np.random.default_rng(0)
    pool = next(node.spec for node in graph if type(node.spec).__name__ == "MaxPool")
    spikes = torch.from_numpy((rng.random((6 * 5, 4, 8, 8)) < 0.3).astype(np.float32))
    counts = {}
    for rule in ("exact", "or"):
        rules = Rules(max_pool=rule)  # type: ignore[arg-type]
        prepared = prepare(graph, plan(graph, frozenset(graph.eligible)), calibration, 8, rules)
        pooled = Chunk(prepared, x[:5], (6,), wiring(graph)).pool_spikes(pool, spikes)
        assert set(pooled.unique().tolist()) <= {0.0, 1.0}
        counts[rule] = pooled.reshape(6, 5, 4, 4, 4).sum(dim=0)
    windows = spikes.reshape(6, 5, 4, 4, 2, 4, 2).sum(dim=0)
    most, total = windows.amax(dim=(3, 5)), windows.sum(dim=(3, 5))
    assert torch.equal(counts["exact"], most)
    assert bool((counts["or"] >= most).all())
    assert bool((counts["or"] <= total.clamp_max(6)).all())
    by_hand = spikes.reshape(6, 5, 4, 4, 2, 4, 2).amax(dim=(4, 6)).sum(dim=0)
    assert torch.equal(counts["or"], by_hand)


# -- time to first spike -------------------------------------------------------------------


@torch.no_grad()
def spike_by_spike(net: nn.Sequential, thetas: list[Tensor], x: Tensor, steps: int) -> Any:
    """A plain simulation: every window step by step, with spikes and continuous synapses."""
    first, *rest = [m for m in net if isinstance(m, nn.Linear)]
    potential = steps * (x.double() @ first.weight.double().T + first.bias.double())
    sent = []
    for theta, layer in zip(thetas, rest, strict=True):
        # The threshold falls by theta per step; the later the spike, the less time for its current.
        current = torch.zeros(len(x), layer.out_features, dtype=torch.float64)
        integral = torch.zeros_like(current)
        done = torch.zeros_like(potential, dtype=torch.bool)
        total = torch.zeros(len(x))
        for t in range(steps):
            left = steps - t
            spikes = (potential + theta / 2 >= left * theta) & ~done
            done |= spikes
            total += spikes.sum(dim=1)
            current += (spikes * theta) @ layer.weight.double().T
            integral += current
        assert int(done.sum()) == int(total.sum())  # at most one spike per neuron
        sent.append(total)
        potential = steps * layer.bias.double() + integral
    return potential / steps, sent


@pytest.mark.parametrize("steps", [1, 3, 8])
def test_time_to_first_spike_against_spikes_at_every_step(steps: int) -> None:
    torch.manual_seed(4)
    net = nn.Sequential(
        nn.Linear(6, 12), nn.ReLU(), nn.Linear(12, 9), nn.ReLU(), nn.Linear(9, 4)
    ).eval()
    x = torch.randn(20, 6, generator=torch.Generator().manual_seed(1))
    graph = executable(net, x)
    calibration = calibrate(graph, x, method="mse", timesteps=steps, correction="none")
    result = run_ttfs(
        graph, calibration, x, timesteps=(steps,), weight_bits=None, keep_outputs=True
    )[steps]
    thetas = list(calibration.scales.values())
    expected, sent = spike_by_spike(net, thetas, x, steps)
    assert close(result.outputs, expected)
    for total, (name, mean) in zip(sent, result.neuron_spikes.items(), strict=True):
        assert mean == pytest.approx(float(total.mean()), abs=0.06)
        assert mean <= result.neuron_count[name]
    for name in ("2", "4"):
        layer = result.activity[name]
        assert layer.signal == "spike"
        assert layer.spikes_per_synapse is not None
        assert layer.spikes_per_synapse <= 1.0
        assert layer.spikes_per_synapse == pytest.approx(layer.spikes_per_neuron)
    assert f"latency {2 * steps} steps" in result.notes[-1]


def test_time_to_first_spike_never_sends_more_than_the_rate_code(small: Any) -> None:
    graph, x, base = small
    calibration = with_method(graph, base, "mse", timesteps=4, correction="none")
    rate = run_snn(graph, calibration, x, timesteps=(4,), schedule="layers")[4]
    ttfs = run_ttfs(graph, calibration, x, timesteps=(4,))[4]
    for name, spikes in ttfs.neuron_spikes.items():
        assert spikes <= rate.neuron_spikes[name] + 1e-9
        assert spikes <= ttfs.neuron_count[name]
    for name in ttfs.spiking:
        few, many = ttfs.activity[name], rate.activity[name]
        assert few.synaptic_operations <= many.synaptic_operations + 1e-6


def test_a_level_too_late_is_seen_to_fail(small: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A planted fault: V(0) = 0, so that levels are rounded down."""
    from tospike.conversion import ttfs

    graph, x, base = small
    calibration = with_method(graph, base, "mse", timesteps=3, correction="none")
    expected = levels_network(graph, calibration, x, 3)
    right = ttfs.level

    def late(population: Any, drive: Any, steps: int) -> Any:
        return right(replace(population, initial=0.0 * population.initial), drive, steps)

    monkeypatch.setattr(ttfs, "level", late)
    found = run_ttfs(graph, calibration, x, timesteps=(3,), weight_bits=None, keep_outputs=True)[3]
    assert not close(found.outputs, expected)


# -- sigma-delta ---------------------------------------------------------------------------


def stream(frames: int, streams: int) -> Tensor:
    generator = torch.Generator().manual_seed(7)
    steps = 0.1 * torch.randn(frames, streams, 1, 8, 8, generator=generator)
    moves = steps * (torch.rand(steps.shape, generator=generator) < 0.2)
    return (0.5 + moves.cumsum(dim=0)).clamp(0, 1)


def test_sigma_delta_at_zero_is_the_network(small: Any) -> None:
    graph, _, _ = small
    x = stream(6, 3)
    made = sigma_delta_network(graph, 0.0)
    expected = torch.stack([forward(graph, frame) for frame in x])
    assert torch.equal(made(x), expected)
    result = made.run(x)
    assert result.error == 0.0
    assert result.agreement == 1.0


@given(st.floats(0.01, 2.0), st.integers(0, 1000))
@settings(max_examples=20, deadline=None, derandomize=True)
def test_what_was_sent_is_within_half_a_step(theta: float, seed: int) -> None:
    """sum of theta k = what the receiver has; never further than theta / 2 from the value."""
    values = torch.randn(9, 5, generator=torch.Generator().manual_seed(seed)).cumsum(dim=0)
    sender, received = Sender(theta), torch.zeros(5, dtype=torch.float64)
    for value in values:
        now, k = sender(value)
        assert torch.equal(k, k.round())
        received = received + theta * k
        torch.testing.assert_close(received.float(), now, rtol=1e-5, atol=1e-5)
        assert float((now - value).abs().max()) <= theta / 2 * (1 + 1e-4)
    _, again = sender(values[-1])
    assert not bool(again.any())


def test_events_of_sigma_delta_by_brute_force(small: Any) -> None:
    graph, _, _ = small
    x = stream(5, 2)
    made = sigma_delta_network(graph, 0.05)
    result = made.run(x)
    # The first layer, 1 channel, 3 x 3 with padding 1 to 4 channels: connections by hand.
    k = torch.round(x.double() / 0.05)
    changes = torch.cat([k[:1], k[1:] - k[:-1]])
    fan = torch.nn.functional.conv_transpose2d(
        torch.ones(1, 4, 8, 8), torch.ones(4, 1, 3, 3), padding=1
    )[0, 0].double()
    graded = float(((changes != 0) * fan).sum()) / 2
    unary = float((changes.abs() * fan).sum()) / 2
    assert result.graded["a"].synaptic_operations == pytest.approx(graded)
    assert result.unary["a"].synaptic_operations == pytest.approx(unary)
    assert result.unary["a"].spikes_per_neuron == pytest.approx(float(changes.abs().sum()) / 128)
    assert result.graded["a"].signal == "delta"
    assert result.unary["a"].signal == "spike"
    for name, layer in result.unary.layers.items():
        assert layer.synaptic_operations >= result.graded[name].synaptic_operations
        assert 0.0 <= layer.zero_fraction <= 1.0


def test_a_still_stream_sends_nothing_after_its_first_frame(small: Any) -> None:
    graph, x, _ = small
    still = x[:3].expand(4, *x[:3].shape)
    made = sigma_delta_network(graph, 0.1)
    once, all_frames = made.run(still[:1]), made.run(still)
    for name, layer in once.unary.layers.items():
        more = all_frames.unary[name]
        assert more.synaptic_operations == pytest.approx(layer.synaptic_operations)
    assert torch.equal(made(still)[0], made(still)[3])


def test_larger_thresholds_send_fewer_graded_events(small: Any) -> None:
    graph, x, _ = small
    frames = stream(8, 4)
    sent = []
    for theta in (0.0, 1 / 16, 1 / 4):
        made = sigma_delta_network(graph, theta, calibration_data=x)
        layers = made.run(frames).graded.layers.values()
        sent.append(sum(layer.synaptic_operations for layer in layers))
    assert sent[0] > sent[1] > sent[2]


def test_the_float_network_is_untouched(small: Any) -> None:
    graph, x, base = small
    before = run_ann(graph, x, keep_outputs=True).outputs
    run_snn(graph, with_method(graph, base, "mse", timesteps=2), x[:4], timesteps=(2,))
    np.testing.assert_array_equal(before, run_ann(graph, x, keep_outputs=True).outputs)
