"""``measure`` against nested loops over every product, on random small layers and inputs."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

import tospike as ts
from tospike.activity import temporal_sparsity
from tospike.activity.accumulate import LayerAccumulator
from tospike.errors import DataError, OptionError
from tospike.network import Layer

# small tensors: more threads only wait for each other
torch.set_num_threads(1)

SETTINGS = settings(deadline=None, derandomize=True, max_examples=25)


def sparse(shape: tuple[int, ...], seed: int, density: float = 0.4) -> Tensor:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=shape) * (rng.random(shape) < density)
    return torch.from_numpy(x.astype(np.float32))


def conv_operations(module: Any, x: np.ndarray, out_shape: tuple[int, ...]) -> int:
    """Products with a non-zero input of one sample: every output, channel and tap in turn."""
    rank = x.ndim - 1
    kernel, stride, dilation = module.kernel_size, module.stride, module.dilation
    begin = module.padding
    if isinstance(begin, str):
        reach = [d * (k - 1) for d, k in zip(dilation, kernel, strict=True)]
        begin = tuple(r // 2 if module.padding == "same" else 0 for r in reach)
    groups, c_in, c_out = module.groups, module.in_channels, module.out_channels
    count = 0
    if module.transposed:
        spatial = [range(s) for s in x.shape[1:]]
        for c, *i in itertools.product(range(c_in), *spatial):
            if x[(c, *i)] == 0:
                continue
            for tap in itertools.product(*(range(k) for k in kernel)):
                o = [i[d] * stride[d] - begin[d] + tap[d] * dilation[d] for d in range(rank)]
                if all(0 <= o[d] < out_shape[1 + d] for d in range(rank)):
                    count += c_out // groups
        return count
    for co, *o in itertools.product(range(c_out), *(range(s) for s in out_shape[1:])):
        group = co // (c_out // groups)
        for ci in range(group * (c_in // groups), (group + 1) * (c_in // groups)):
            for tap in itertools.product(*(range(k) for k in kernel)):
                i = [o[d] * stride[d] - begin[d] + tap[d] * dilation[d] for d in range(rank)]
                inside = all(0 <= i[d] < x.shape[1 + d] for d in range(rank))
                count += bool(inside and x[(ci, *i)] != 0)
    return count


@st.composite
def convolutions(draw: st.DrawFn) -> tuple[nn.Module, Tensor]:
    rank = draw(st.integers(1, 3))
    transposed = draw(st.booleans())
    groups = draw(st.sampled_from([1, 1, 2]))
    each = {1: 7, 2: 5, 3: 3}[rank]
    sizes = tuple(draw(st.integers(2, each)) for _ in range(rank))
    kernel = tuple(draw(st.integers(1, 3)) for _ in range(rank))
    stride = tuple(draw(st.integers(1, 3)) for _ in range(rank))
    dilation = tuple(draw(st.integers(1, 2)) for _ in range(rank))
    # an output of at least one element
    padding: tuple[int, ...] = tuple(
        draw(st.integers(0, 2)) if transposed else max(0, d * (k - 1) - n // 2)
        for d, k, n in zip(dilation, kernel, sizes, strict=True)
    )
    c_in, c_out = groups * draw(st.integers(1, 2)), groups * draw(st.integers(1, 2))
    kind = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d) if transposed else (
        nn.Conv1d, nn.Conv2d, nn.Conv3d
    )  # fmt: skip
    if transposed:
        padding = tuple(
            min(p, ((n - 1) * s + d * (k - 1)) // 2)
            for p, n, s, d, k in zip(padding, sizes, stride, dilation, kernel, strict=True)
        )
    module = kind[rank - 1](
        c_in, c_out, kernel, stride=stride, padding=padding, dilation=dilation, groups=groups
    )
    batch = draw(st.integers(1, 3))
    return module, sparse((batch, c_in, *sizes), draw(st.integers(0, 1000)))


@SETTINGS
@given(convolutions())
def test_convolutions(case: tuple[nn.Module, Tensor]) -> None:
    module, x = case
    out = tuple(module(x).shape[1:])
    (found,) = ts.measure(module, x).layers.values()
    counts = [conv_operations(module, sample.numpy(), out) for sample in x]
    assert found.synaptic_operations == sum(counts) / len(counts)
    if len(counts) > 1:
        assert found.synaptic_operations_std == pytest.approx(np.std(counts, ddof=1), abs=1e-9)
    values = x.numpy()
    assert found.zero_fraction == (values == 0).sum() / values.size
    rest = tuple(range(2, values.ndim))
    np.testing.assert_array_equal(found.channel_density, (values != 0).mean((0, *rest)))
    np.testing.assert_array_equal(found.pixel_density, (values != 0).mean((0, 1)))


@pytest.mark.filterwarnings("ignore:Using padding='same'")
@pytest.mark.parametrize("kernel", [2, 3, 4])
@pytest.mark.parametrize("padding", ["same", "valid"])
def test_string_padding(kernel: int, padding: str) -> None:
    module = nn.Conv1d(2, 2, kernel, padding=padding, dilation=2)
    x = sparse((1, 2, 11), 3)
    (found,) = ts.measure(module, x).layers.values()
    out = tuple(module(x).shape[1:])
    assert found.synaptic_operations == conv_operations(module, x[0].numpy(), out)


@SETTINGS
@given(st.integers(1, 4), st.integers(1, 9), st.integers(1, 5), st.booleans(), st.integers(0, 99))
def test_linear(batch: int, n_in: int, n_out: int, tokens: bool, seed: int) -> None:
    x = sparse((batch, 3, n_in) if tokens else (batch, n_in), seed)
    (found,) = ts.measure(nn.Linear(n_in, n_out), x).layers.values()
    count = 0
    for value in x.flatten().tolist():
        for _ in range(n_out):
            count += value != 0
    assert found.synaptic_operations == count / batch
    assert found.zero_fraction == (x == 0).sum().item() / x.numel()


class Weight(nn.Module):
    """A weight on either side of a product, in several spellings."""

    def __init__(self, spelling: str) -> None:
        super().__init__()
        self.spelling = spelling
        self.w = nn.Parameter(torch.randn(5, 4))

    def forward(self, x: Tensor) -> Tensor:  # x: (B, 3, 4)
        match self.spelling:
            case "x @ w":
                return x @ self.w.t()
            case "w @ x":
                return self.w @ x.transpose(1, 2)
            case "einsum":
                return torch.einsum("btc,oc->bot", x, self.w)
            case "addmm":
                return torch.addmm(torch.zeros(5), x.reshape(-1, 4), self.w.t())
            case "bmm":
                return torch.bmm(self.w.expand(x.shape[0], 5, 4), x.transpose(1, 2))
            case "time first":
                return nn.functional.linear(x.transpose(0, 1).reshape(-1, 4), self.w)
            case _:
                return torch.tensordot(x, self.w, dims=([2], [1]))


@pytest.mark.parametrize(
    "spelling", ["x @ w", "w @ x", "einsum", "addmm", "bmm", "tensordot", "time first"]
)
def test_spellings_of_one_product(spelling: str) -> None:
    x = sparse((4, 3, 4), 5)
    net = ts.load(Weight(spelling), x)
    assert [(layer.name, layer.n_synapses) for layer in net.synaptic_layers] == [("w", 60)]
    found = ts.measure(Weight(spelling), x)["w"]
    counts = np.array([5 * int((sample != 0).sum()) for sample in x])
    assert found.synaptic_operations == counts.mean()
    assert found.zero_fraction == (x == 0).sum().item() / x.numel()
    assert found.synaptic_operations_std == pytest.approx(counts.std(ddof=1))


def test_attention_products() -> None:
    class Attention(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return (x @ x.transpose(1, 2)).relu() @ x

    x = sparse((3, 5, 4), 2)
    found = ts.measure(Attention(), x)
    first = np.mean([5 * int((s != 0).sum()) for s in x])
    scores = (x @ x.transpose(1, 2)).relu()
    second = np.mean([4 * int((s != 0).sum()) for s in scores])
    assert found["matmul"].synaptic_operations == first
    assert found["matmul_1"].synaptic_operations == second
    assert found["matmul_1"].zero_fraction == (scores == 0).sum().item() / scores.numel()


def test_bilinear() -> None:
    a, b = sparse((3, 4), 1), sparse((3, 5), 2)
    module = nn.Bilinear(4, 5, 2)
    found = ts.measure(module, {"input1": a, "input2": b})["weight"]
    expected = (int((a != 0).sum()) * 5 * 2 + int((b != 0).sum()) * 2) / 3
    assert found.synaptic_operations == expected


def test_both_operands() -> None:
    rng = np.random.default_rng(0)
    a = (rng.random((6, 3, 4)) < 0.5).astype(np.float32)
    b = (rng.random((6, 4, 5)) < 0.5).astype(np.float32)
    layer = Layer("m", "matmul", (3, 3, 4), (3, 3, 5), n_synapses=180)
    accumulator = LayerAccumulator(layer, count_pairs=True)
    accumulator.update_product(a, b, n_samples=2)
    accumulator.end_batch()
    pairs = sum(
        a[n, i, k] != 0 and b[n, k, j] != 0
        for n in range(6) for i in range(3) for k in range(4) for j in range(5)
    )  # fmt: skip
    assert accumulator.both_operands_nonzero == pairs / 2


def slow_gamma(x: np.ndarray, threshold: float) -> float:
    """Share of values of ``x`` (T, B, F) that need not be sent."""
    kept = 0
    for b, f in itertools.product(range(x.shape[1]), range(x.shape[2])):
        reference = np.float32(0)
        for value in x[:, b, f]:
            if abs(value - reference) > threshold:
                reference = value
            else:
                kept += 1
    return kept / x.size


@SETTINGS
@given(st.integers(1, 9), st.integers(1, 3), st.integers(0, 99), st.booleans())
def test_temporal_sparsity_of_a_gru(steps: int, batch: int, seed: int, batch_first: bool) -> None:
    torch.manual_seed(seed)
    module = nn.GRU(3, 4, batch_first=True)
    x = torch.randn(batch, steps, 3).cumsum(1) * 0.1
    found = ts.measure(module, x, thresholds=(0.0, 0.1), batch_size=2 if batch_first else 64)
    hidden = torch.cat([torch.zeros(batch, 1, 4), module(x)[0].detach()[:, :-1]], 1)
    for name, values in (("weight_ih_l0", x), ("weight_hh_l0", hidden)):
        sequence = values.transpose(0, 1).numpy()
        for threshold in (0.0, 0.1):
            slow = slow_gamma(sequence, threshold)
            assert found[name].temporal_sparsity[threshold] == pytest.approx(slow, abs=1e-12)
        assert found[name].zero_fraction == (sequence == 0).mean()


@pytest.mark.parametrize("batch_size", [1, 3, 64])
def test_temporal_sparsity_over_samples(batch_size: int) -> None:
    x = sparse((10, 6), 4, 0.9).cumsum(0) * 0.2
    module = nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 2))
    found = ts.measure(module, x, thresholds=(0.3,), sequence=True, batch_size=batch_size)
    hidden = module[:2](x).detach()
    for name, values in (("0", x), ("2", hidden)):
        slow = slow_gamma(values[:, None].numpy(), 0.3)
        assert found[name].temporal_sparsity[0.3] == pytest.approx(slow, abs=1e-12)


def test_channels_last_and_strided_inputs_give_the_same() -> None:
    x = sparse((2, 4, 6, 5), 7)
    module = nn.Conv2d(4, 3, 3, padding=1)
    plain = ts.measure(module, x)["weight"]
    wide = torch.zeros(2, 4, 6, 10)
    wide[..., ::2] = x
    for other in (x.to(memory_format=torch.channels_last), wide[..., ::2]):
        found = ts.measure(module, other)["weight"]
        assert found.synaptic_operations == plain.synaptic_operations
        np.testing.assert_array_equal(found.channel_density, plain.channel_density)
        np.testing.assert_array_equal(found.pixel_density, plain.pixel_density)


def test_threads_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    from tospike.activity import accumulate

    x = sparse((3, 5, 7, 6), 8).numpy()
    results = []
    for n_threads in (1, 2, 3):
        for kind, view in (("conv", x), ("linear", x)):
            monkeypatch.setattr(accumulate, "PARALLEL_FROM", 1)
            layer = Layer(
                "x", kind, x.shape[1:], (4, 7, 6) if kind == "conv" else (5, 7, 4),
                (3, 3), (1, 1), (1, 1), (1, 1),
            )  # fmt: skip
            accumulator = LayerAccumulator(layer, n_threads=n_threads)
            accumulator.update(view, n_samples=3)
            accumulator.end_batch()
            r = accumulator.result()
            results.append(
                (kind, r.zero_fraction, r.synaptic_operations, r.synaptic_operations_std,
                 r.channel_density.tobytes(), r.pixel_density.tobytes())
            )  # fmt: skip
    assert len(set(results)) == 2


@SETTINGS
@given(st.integers(1, 9), st.integers(1, 3), st.integers(0, 99), st.integers(0, 2))
def test_temporal_sparsity_of_any_tensor(steps: int, streams: int, seed: int, axis: int) -> None:
    rng = np.random.default_rng(seed)
    x = np.round(rng.standard_normal((steps, streams, 2)).cumsum(0), 1).astype(np.float32)
    found = temporal_sparsity(np.moveaxis(x, 0, axis), (0.0, 0.5), time_axis=axis)
    assert found == {t: pytest.approx(slow_gamma(x, t), abs=1e-12) for t in (0.0, 0.5)}


def test_temporal_sparsity_refuses_what_it_cannot_take() -> None:
    with pytest.raises(OptionError, match="threshold -1"):
        temporal_sparsity(np.ones(3), (-1,))
    with pytest.raises(OptionError, match="time_axis 2"):
        temporal_sparsity(np.ones(3), (0.1,), time_axis=2)
    with pytest.raises(DataError, match="not finite"):
        temporal_sparsity(np.array([np.nan]), (0.1,))
    with pytest.raises(DataError, match="not empty"):
        temporal_sparsity(np.zeros((0, 2)), (0.1,))
