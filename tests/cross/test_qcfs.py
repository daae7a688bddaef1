"""QCFS: its values, its gradient, its conversion, against the formula and a neuron in a loop."""

from __future__ import annotations

from fractions import Fraction
from math import floor
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

import tospike as ts
from tospike.conversion import QCFS, calibrate, executable, qcfs_network, run_ann, run_snn
from tospike.conversion.calibration import calibration_of_qcfs, trained_scales
from tospike.conversion.graph import Rectify
from tospike.conversion.qcfs import qcfs_modules, unquantised


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def neuron(current: Fraction, theta: Fraction, steps: int) -> int:
    """Spikes of an IF neuron in exact arithmetic: soft reset, V(0) = theta / 2, ties fire."""
    v, spikes = theta / 2, 0
    for _ in range(steps):
        v += current
        if v >= theta:
            v -= theta
            spikes += 1
    return spikes


@given(st.integers(-80, 200), st.sampled_from([1, 2, 4, 8, 3, 5, 7]), st.sampled_from([1, 2, 4]))
@settings(max_examples=60, deadline=None, derandomize=True)
def test_the_activation_is_the_mean_of_a_neuron(numerator: int, levels: int, scale: int) -> None:
    """h(x) = lambda S(L) / L exactly, on numbers that floats hold; ties included."""
    x, theta = Fraction(numerator, 32), Fraction(scale)
    spikes = neuron(x, theta, levels)
    bent = max(0, min(levels, floor(x * levels / theta + Fraction(1, 2))))
    assert spikes == bent
    made = QCFS(levels, float(theta))
    with torch.no_grad():
        found = float(made(torch.tensor([float(x)])))
    near_tie = (x * levels / theta + Fraction(1, 2)).denominator == 1 and levels in (3, 5, 7)
    if not near_tie:
        assert found == pytest.approx(float(theta) * spikes / levels, rel=1e-6)


def test_the_gradient_goes_straight_through_the_floor() -> None:
    """dh/dx = 1 inside (0, lambda), 0 outside; dh/dlambda = h/lambda - x/lambda inside, 1 above."""
    made = QCFS(4, 2.0)
    x = torch.tensor([-1.0, 0.3, 1.1, 1.9, 3.0], requires_grad=True)
    out = made(x)
    assert out.tolist() == [0.0, 0.5, 1.0, 2.0, 2.0]
    out.sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [0.0, 1.0, 1.0, 1.0, 0.0]
    assert made.threshold.grad is not None
    inside = sum(h / 2 - v / 2 for h, v in ((0.5, 0.3), (1.0, 1.1), (2.0, 1.9)))
    assert float(made.threshold.grad) == pytest.approx(inside + 1.0, rel=1e-5)


class Functional(nn.Module):
    """Rectifiers as functions, one module used twice, an average pool, a residual sum."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.a = nn.Conv2d(1, 4, 3, padding=1)
        self.b = nn.Conv2d(4, 4, 3, padding=1)
        self.act = nn.ReLU()
        self.pool = nn.AdaptiveAvgPool2d(2)
        self.c = nn.Linear(16, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.act(self.a(x))
        x = self.act(self.b(x) + x)
        x = F.relu(self.b(x)).relu()
        return self.c(self.pool(x).flatten(1))


def plain() -> nn.Sequential:
    torch.manual_seed(1)
    return nn.Sequential(
        nn.Conv2d(1, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU(inplace=True), nn.MaxPool2d(2),
        nn.Conv2d(6, 6, 3, padding=1), nn.ReLU6(), nn.Dropout(), nn.AvgPool2d(2), nn.Flatten(),
        nn.Linear(24, 8), nn.Hardtanh(0.0, 3.0), nn.Linear(8, 3),
    )  # fmt: skip


def images(n: int = 20, side: int = 8) -> Tensor:
    return torch.rand(n, 1, side, side, generator=torch.Generator().manual_seed(0))


def test_every_rectifier_module_is_replaced_and_parameters_keep_their_names() -> None:
    model = plain().train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    made = qcfs_network(model, 4, calibration_data=images())
    assert list(qcfs_modules(made)) == ["2", "5", "7.1", "10"]
    assert made.training
    assert not qcfs_modules(model)
    for name, value in before.items():
        assert torch.equal(made.state_dict()[name], value), name
        assert torch.equal(model.state_dict()[name], value), name
    thresholds = {name: float(m.threshold.detach()) for name, m in qcfs_modules(made).items()}
    assert all(value > 0 for value in thresholds.values())
    assert thresholds["5"] <= 6.0
    assert thresholds["10"] <= 3.0
    no_pools = qcfs_network(model, 4, pools=False, initial_lambda={"2": 1.5})
    assert {n: float(m.threshold.detach()) for n, m in qcfs_modules(no_pools).items()} == {
        "2": 1.5, "5": 6.0, "10": 3.0,
    }  # fmt: skip
    optimiser = torch.optim.SGD(made.parameters(), lr=0.1)
    loss = made(images()).square().mean()
    loss.backward()
    optimiser.step()
    moved = {name: float(m.threshold.detach()) for name, m in qcfs_modules(made).items()}
    assert moved != thresholds


def test_functions_and_modules_used_twice_get_a_threshold_each() -> None:
    x = images()
    made = qcfs_network(Functional().eval(), 8, calibration_data=x)
    found = qcfs_modules(made)
    assert len(found) == 5  # two calls of act, relu, relu, and the pool
    assert len({id(module) for module in found.values()}) == 5
    for module in found.values():
        module.quantising = False
        with torch.no_grad():
            module.threshold.fill_(1e3)
    with torch.no_grad():
        torch.testing.assert_close(made(x), Functional().eval()(x))


def test_the_graph_knows_levels_and_thresholds() -> None:
    x = images()
    made = qcfs_network(plain().eval(), 4, calibration_data=x)
    graph = executable(made, x)
    found = [n.spec for n in graph if isinstance(n.spec, Rectify)]
    assert [spec.levels for spec in found] == [4, 4, 4, 4]
    lambdas = [float(module.threshold.detach()) for module in qcfs_modules(made).values()]
    assert sorted(spec.upper for spec in found) == pytest.approx(sorted(lambdas))
    assert {float(s) for s in trained_scales(graph).values()} == {s.upper for s in found}
    calibration = calibration_of_qcfs(graph, x)
    assert calibration.method == "qcfs"
    assert calibration.correction == "none"
    for name, scale in trained_scales(graph).items():
        assert torch.equal(calibration.scales[name], scale)
        assert torch.equal(calibrate(graph, x, method="mse").scales[name], scale)
    with torch.no_grad():
        expected = made(x).numpy()
    out = run_ann(graph, x, keep_outputs=True).outputs
    assert mostly_equal(out, expected)
    with torch.no_grad():
        smooth = unquantised(made)(x)
    assert not torch.allclose(smooth, torch.from_numpy(expected), atol=1e-3)


def mostly_equal(found: Any, expected: Any) -> bool:
    """Equal to rounding, but for the few samples in which rounding crosses a step of a floor."""
    off = np.abs(np.asarray(found) - np.asarray(expected)).reshape(len(found), -1).max(axis=1)
    return bool((off < 1e-4).mean() >= 0.9)


@pytest.mark.parametrize("levels", [1, 2, 4, 7])
def test_one_hidden_layer_is_converted_without_any_loss(levels: int) -> None:
    """Constant input, T = L: the SNN's output is the trained network's."""
    torch.manual_seed(levels)
    net = nn.Sequential(nn.Conv2d(1, 5, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
                        nn.Linear(45, 4)).eval()  # fmt: skip
    x = images(24)
    made = qcfs_network(net, levels, calibration_data=x)
    graph = executable(made, x)
    runs = run_snn(graph, calibration_of_qcfs(graph, x), x, timesteps=(levels, 4 * levels),
                   weight_bits=None, keep_outputs=True)  # fmt: skip
    with torch.no_grad():
        expected = made(x).numpy()
    assert mostly_equal(runs[levels].outputs, expected)
    assert not mostly_equal(runs[4 * levels].outputs, expected)  # finer than the trained levels


def test_deep_networks_have_the_unevenness_error_only_where_layers_fire_together() -> None:
    x = images()
    net = plain()
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_var.fill_(0.3)
    made = qcfs_network(net.eval(), 4, calibration_data=x)
    graph = executable(made, x)
    calibration = calibration_of_qcfs(graph, x)
    with torch.no_grad():
        expected = made(x).numpy()
    options: Any = {"timesteps": (4,), "weight_bits": None, "keep_outputs": True}
    waiting = run_snn(graph, calibration, x, schedule="layers", **options)[4].outputs
    assert mostly_equal(waiting, expected)
    together = run_snn(graph, calibration, x, **options)[4].outputs
    assert not mostly_equal(together, expected)
    scale = np.abs(expected).max()
    assert float(np.abs(together - expected).max()) < scale  # an error, not another network


def test_convert_takes_the_trained_thresholds_by_itself() -> None:
    x = images()
    made = qcfs_network(plain().eval(), 4, calibration_data=x)
    converted = ts.convert(made, "snn", calibration_data=x, timesteps=4, schedule="layers")
    assert converted.calibration.method == "qcfs"
    with torch.no_grad():
        truth = made(x)
    off = (converted(x) - truth).abs().max() / truth.abs().max()
    assert float(off) < 0.1  # the weights have 8 bits here
    ttfs = ts.convert(made, "snn", calibration_data=x, timesteps=4, coding="ttfs")
    torch.testing.assert_close(ttfs(x), converted(x), rtol=1e-4, atol=1e-4)


def test_a_threshold_of_the_wrong_place_is_seen_to_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    """A planted fault: V(0) = 0 in place of lambda / 2."""
    from dataclasses import replace

    from tospike.conversion import run

    x = images(24)
    net = nn.Sequential(nn.Flatten(), nn.Linear(64, 9), nn.ReLU(), nn.Linear(9, 4)).eval()
    made = qcfs_network(net, 4, calibration_data=x)
    graph = executable(made, x)
    calibration = calibration_of_qcfs(graph, x)
    right = run.prepare

    def late(*given: Any, **more: Any) -> Any:
        prepared = right(*given, **more)
        moved = {
            name: replace(one, initial=0.0 * one.initial)
            for name, one in prepared.populations.items()
        }
        return replace(prepared, populations=moved)

    monkeypatch.setattr(run, "prepare", late)
    out = run_snn(graph, calibration, x, timesteps=(4,), weight_bits=None, keep_outputs=True)
    with torch.no_grad():
        expected = made(x).numpy()
    assert not mostly_equal(out[4].outputs, expected)
