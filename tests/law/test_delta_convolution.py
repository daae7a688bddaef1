"""Convolutions as delta layers: laws, a slow simulation, and a trained CNN on a moving picture."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import tospike as ts
from tospike.conversion.delta.convolution import CONVOLUTIONS, delta_convolution
from tospike.conversion.delta.quantisation import Quantisation
from tospike.conversion.delta.recording import recorded
from tospike.conversion.delta.search import search_thresholds, snr, thresholds, with_thresholds
from tospike.conversion.delta.traffic import total, traffic
from tospike.errors import ConversionError, DataError, OptionError

torch.set_num_threads(1)
DEMO = Path(__file__).resolve().parents[2] / "demo/fashion_mnist"


def frames(steps: int, *shape: int, seed: int = 0) -> torch.Tensor:
    """(T, ...) of slow drift; about half of the values stay from frame to frame."""
    generator = torch.Generator().manual_seed(seed)
    moves = 0.2 * torch.randn(steps, *shape, generator=generator)
    return (moves * (torch.rand(moves.shape, generator=generator) < 0.5)).cumsum(dim=0)


class Residual(nn.Module):
    """Convolutions of every kind of option, batch norm, a residual sum, pools and a classifier."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first = nn.Conv2d(3, 8, 3, stride=2, padding=1)
        self.norm = nn.BatchNorm2d(8)
        self.grouped = nn.Conv2d(8, 8, 3, padding="same", groups=4, bias=False)
        self.dilated = nn.Conv2d(8, 8, 3, padding=2, dilation=2, padding_mode="reflect")
        self.head = nn.Linear(8, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.norm(self.first(x)))
        x = x + torch.relu(self.grouped(x))
        x = nn.functional.max_pool2d(torch.relu(self.dilated(x)), 2)
        return self.head(x.mean(dim=(2, 3)))


NAMES = ("first", "grouped", "dilated", "head")


def residual() -> nn.Module:
    network = Residual()
    network.norm.running_mean.uniform_(-0.2, 0.2)
    network.norm.running_var.uniform_(0.5, 2.0)
    return network.eval()


def test_threshold_zero_is_the_plain_network() -> None:
    dense, x = residual(), frames(12, 3, 16, 16)
    made = ts.convert(dense, to="delta", theta=dict.fromkeys(NAMES, 0.0))
    with torch.no_grad():
        torch.testing.assert_close(made(x), dense(x), atol=1e-6, rtol=1e-6)
    assert set(made.state_dict()) - set(dense.state_dict()) == {f"{n}.theta_x" for n in NAMES}
    assert type(dense.first) is nn.Conv2d


@settings(deadline=None, derandomize=True, max_examples=25)
@given(
    axes=st.integers(1, 3),
    groups=st.integers(1, 2),
    stride=st.integers(1, 2),
    padding=st.integers(0, 1),
    theta=st.sampled_from([0.0, 0.05, 0.3]),
)
def test_the_error_is_within_what_the_threshold_allows(
    axes: int, groups: int, stride: int, padding: int, theta: float
) -> None:
    """|output - dense| <= theta * sum |w| of the output's channel, for any number of frames."""
    kind = (nn.Conv1d, nn.Conv2d, nn.Conv3d)[axes - 1]
    torch.manual_seed(axes + 10 * stride)
    dense = kind(4, 6, 3, stride, padding, groups=groups)
    layer = delta_convolution(dense, theta)
    layer.load_state_dict(dense.state_dict(), strict=False)
    x = frames(9, 4, *(7,) * axes)
    with torch.no_grad():
        error = (layer(x) - dense(x)).abs().amax(dim=(0, *range(2, axes + 2)))
        bound = theta * dense.weight.abs().flatten(1).sum(1)
    assert (error <= bound + 1e-5).all()
    assert theta == 0 or error.max() > 0


def test_sums_updated_value_by_value_give_the_same() -> None:
    """The stateful accelerator's way: every sent change is added to the sums that it reaches."""
    torch.manual_seed(0)
    dense = nn.Conv2d(2, 3, 3, stride=2, padding=1)
    made = ts.convert(nn.Sequential(dense), to="delta", theta={"0": 0.25})
    x = frames(5, 2, 6, 6)
    with torch.no_grad(), recorded() as record:
        output = made(x)
    weight, bias = dense.weight.detach().numpy(), dense.bias.detach().numpy()
    reference = np.zeros((2, 6, 6), np.float32)
    sums = np.broadcast_to(bias[:, None, None], (3, 3, 3)).astype(np.float64)
    sent = 0
    for t, frame in enumerate(x.numpy()):
        for c, i, j in np.ndindex(reference.shape):
            change = frame[c, i, j] - reference[c, i, j]
            if abs(change) <= 0.25:
                continue
            sent, reference[c, i, j] = sent + 1, frame[c, i, j]
            for row, column in np.ndindex(3, 3):
                y, z = i + 1 - 2 * row, j + 1 - 2 * column
                if 0 <= y < 3 and 0 <= z < 3:
                    sums[:, row, column] += float(change) * weight[:, c, y, z]
        np.testing.assert_allclose(output[t].numpy(), sums, atol=1e-5)
    (one,) = traffic(made, record)
    assert one.sparsity_x == pytest.approx(1 - sent / x.numel())
    assert one.sparsity_h is None
    assert one.dense_weights == 3 * 3 * 3 * 2 * 9  # outputs by inputs of each
    assert one.weights == pytest.approx((1 - one.sparsity_x) * one.dense_weights)


def _trained() -> nn.Module:
    spec = importlib.util.spec_from_file_location("fashion_model", DEMO / "model.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.trained_cnn()


def test_a_trained_cnn_on_a_moving_picture() -> None:
    """A shirt pushed over the sensor, two frames a pixel: thresholds stop most of the work."""
    with np.load(DEMO / "test.npz") as file:
        picture = torch.from_numpy(file["x"][3]).float()
    x = torch.stack([torch.roll(picture, t // 2, dims=-1) for t in range(8)])
    dense = _trained()
    names = [name for name, part in dense.named_modules() if isinstance(part, nn.Conv2d)]
    assert len(names) == 5
    with torch.no_grad():
        expected = dense(x)
        exact = ts.convert(dense, to="delta", theta=dict.fromkeys([*names, "fc"], 0.0))
        torch.testing.assert_close(exact(x), expected, atol=1e-4, rtol=1e-5)
        made = ts.convert(dense, to="delta", theta=dict.fromkeys(names, 1 / 16))
        with recorded() as record:
            output = made(x)
    assert torch.equal(output.argmax(1), expected.argmax(1))
    read, whole = total(traffic(made, record))
    macs = 9 * (24 * 784 + (24 * 48 + 48 * 48) * 196 + (48 * 96 + 96 * 96) * 49)
    assert whole == macs  # 3 x 3 kernels on 28 x 28, 14 x 14 and 7 x 7 pixels
    assert read < 0.5 * whole


def test_thresholds_are_searched_as_those_of_other_layers() -> None:
    dense, x = residual(), frames(20, 3, 16, 16)
    with torch.no_grad():
        score = snr(x, dense(x))
    start = ts.convert(dense, to="delta", theta=dict.fromkeys(NAMES, 0.0))
    found = search_thresholds(start, score, 20.0, refine=0)
    assert found.score >= 20.0
    assert found.reduction > 2
    made = with_thresholds(start, found.thetas)
    assert thresholds(made) == {(n, 0, "theta_x"): found.thetas[n, 0, "theta_x"] for n in NAMES}


def test_learnable_thresholds_and_fixed_point_values() -> None:
    torch.manual_seed(0)
    dense = nn.Conv2d(2, 3, 3)
    q = Quantisation(fraction_bits=8, weight_bits=8)
    layer = delta_convolution(dense, 0.1, learnable=True, quantisation=q)
    layer.load_state_dict(dense.state_dict(), strict=False)
    x = frames(6, 2, 8, 8)
    trace = layer.trace(x)
    assert (trace.output - dense(x)).abs().max() < 0.1 * dense.weight.abs().sum()
    (trace.output.square().mean() + trace.penalty).backward()
    assert layer.theta_x.grad is not None
    assert layer.theta_x.grad.abs() > 0


@pytest.mark.parametrize("kind", CONVOLUTIONS)
def test_wrong_frames_say_what_is_allowed(kind: type[nn.Conv2d]) -> None:
    layer = delta_convolution(kind(3, 4, 3), 0.1)
    with pytest.raises(DataError, match=r"\(T, 3, .*W\), T frames of one stream"):
        layer(torch.zeros(3, 8, 8))


def test_what_cannot_be_converted_is_said() -> None:
    with pytest.raises(ConversionError) as caught:
        ts.convert(residual(), to="delta", theta=1 / 16)
    assert "no linear or convolution layer was named" in str(caught.value)
    assert "theta={'conv1': 1/16}" in str(caught.value)
    with pytest.raises(OptionError, match="no delta layer 'norm'"):
        ts.convert(residual(), to="delta", theta={"first": 0.1, "norm": 0.1})
    with pytest.raises(OptionError, match="finite number >= 0"):
        ts.convert(residual(), to="delta", theta={"first": -0.1})
