"""Delta layers of torch against torch's own, against the kernels, and their gradients."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from tospike.conversion.delta.changes import references
from tospike.conversion.delta.layers import (
    DeltaGRU,
    DeltaLinear,
    DeltaLSTM,
    DeltaReLURNN,
    DeltaRNN,
)
from tospike.conversion.delta.quantisation import Quantisation
from tospike.errors import ConversionError, DataError, OptionError
from tospike.kernels.delta import DeltaEngine, DeltaLayer

PAIRS = {
    "gru": (DeltaGRU, nn.GRU, {}),
    "lstm": (DeltaLSTM, nn.LSTM, {}),
    "rnn_tanh": (DeltaRNN, nn.RNN, {}),
    "rnn_relu": (DeltaReLURNN, nn.RNN, {"nonlinearity": "relu"}),
}


def twins(kind: str, *sizes: int, theta: float = 0.0, **options: object):  # type: ignore[no-untyped-def]
    """A delta layer and torch's own with the same parameters."""
    ours, theirs, extra = PAIRS[kind]
    torch.manual_seed(sum(sizes))
    dense = theirs(*sizes, **options, **extra)
    layer = ours(*sizes, **options, theta_x=theta, theta_h=theta)
    missing, unexpected = layer.load_state_dict(dense.state_dict(), strict=False)
    assert (set(missing), unexpected) == ({"theta_x", "theta_h"}, [])
    return layer, dense


@given(
    kind=st.sampled_from(list(PAIRS)),
    inputs=st.integers(1, 20),
    hidden=st.integers(1, 20),
    layers=st.integers(1, 3),
    batch=st.integers(1, 4),
    batch_first=st.booleans(),
    bias=st.booleans(),
    start=st.booleans(),
)
@settings(deadline=None, derandomize=True, max_examples=40)
def test_threshold_zero_is_torch(
    kind: str,
    inputs: int,
    hidden: int,
    layers: int,
    batch: int,
    batch_first: bool,
    bias: bool,
    start: bool,
) -> None:
    layer, dense = twins(kind, inputs, hidden, layers, bias=bias, batch_first=batch_first)
    x = torch.randn((batch, 7, inputs) if batch_first else (7, batch, inputs))
    h = torch.randn(layers, batch, hidden)
    state = None if not start else (h, torch.randn_like(h)) if kind == "lstm" else h
    ours, theirs = layer(x, state), dense(x, state)
    torch.testing.assert_close(ours, theirs, atol=2e-6, rtol=1e-5)


@pytest.mark.parametrize("kind", PAIRS)
def test_gradients_at_threshold_zero_are_those_of_torch(kind: str) -> None:
    layer, dense = twins(kind, 5, 6, 2)
    x = torch.randn(9, 3, 5)
    layer(x)[0].pow(2).sum().backward()
    dense(x)[0].pow(2).sum().backward()
    for name, parameter in dense.named_parameters():
        torch.testing.assert_close(
            layer.get_parameter(name).grad, parameter.grad, atol=1e-4, rtol=1e-4
        )


@pytest.mark.parametrize("kind", PAIRS)
def test_the_kernels_give_the_same_stream(kind: str) -> None:
    layer, _ = twins(kind, 8, 12, 2, theta=1 / 16)
    x = torch.cumsum(0.1 * torch.randn(60, 8), dim=0)
    names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    engine = DeltaEngine(
        [
            DeltaLayer(
                kind,  # type: ignore[arg-type]  # from PAIRS
                *(layer.get_parameter(f"{n}_l{i}").detach().numpy() for n in names),
                1 / 16,
                1 / 16,
            )
            for i in range(2)
        ]
    )
    with torch.no_grad():
        trace = layer.trace(x)
    np.testing.assert_allclose(engine.run(x.numpy()), trace.output.numpy(), atol=1e-5)
    for found, traced in zip(engine.statistics, trace.layers, strict=True):
        assert found.sparsity_x == pytest.approx(traced.x.sparsity)
        assert traced.h is not None
        assert found.sparsity_h == pytest.approx(traced.h.sparsity)


def test_gradient_runs_through_sent_elements_only() -> None:
    x = torch.tensor([[1.0], [1.2], [2.0]], requires_grad=True)
    kept, sent = references(x, torch.tensor(0.5))
    kept.sum().backward()
    # 1.0 is sent and held for two steps, 1.2 is not sent, 2.0 is
    assert kept.flatten().tolist() == [1.0, 1.0, 2.0]
    assert x.grad is not None
    assert x.grad.flatten().tolist() == [2.0, 0.0, 1.0]
    assert (sent.count, sent.total) == (2, 3)
    assert sent.l1.item() == pytest.approx((1.0 + 1.0) / 3)


def test_learnable_thresholds_get_a_gradient_and_change_nothing_forwards() -> None:
    torch.manual_seed(0)
    x = torch.randn(30, 2, 4)
    fixed = DeltaGRU(4, 5, theta_x=0.3, theta_h=0.1)
    learnable = DeltaGRU(4, 5, theta_x=0.3, theta_h=0.1, learnable=True)
    learnable.load_state_dict(fixed.state_dict())
    torch.testing.assert_close(learnable(x)[0], fixed(x)[0])
    trace = learnable.trace(x)
    (trace.output.pow(2).mean() + trace.penalty).backward()
    for theta in (learnable.theta_x, learnable.theta_h):
        assert theta.grad is not None
        assert theta.grad.abs().min() > 0
    assert not fixed.theta_x.requires_grad


def test_a_higher_threshold_sends_less_on_average() -> None:
    x = torch.cumsum(0.1 * torch.randn(100, 1, 6, generator=torch.manual_seed(1)), dim=0)
    shares = []
    for theta in (0.0, 1 / 32, 1 / 8, 1 / 2):
        layer, _ = twins("gru", 6, 8, theta=theta)
        shares.append(layer.trace(x).layers[0].x.sparsity)
    assert shares == sorted(shares)
    assert shares[0] == 0.0


def test_linear_over_a_sequence() -> None:
    torch.manual_seed(0)
    layer, x = DeltaLinear(3, 4, theta_x=0.0), torch.randn(5, 2, 3)
    torch.testing.assert_close(layer(x), nn.functional.linear(x, layer.weight, layer.bias))
    layer = DeltaLinear(3, 4, theta_x=100.0, batch_first=True)
    torch.testing.assert_close(layer(x), layer.bias.expand(5, 2, 4))


def test_quantised_values_lie_on_their_grids() -> None:
    q = Quantisation(fraction_bits=8, weight_bits=8, lookup_fraction_bits=4)
    x = 300 * torch.randn(50, generator=torch.manual_seed(0))
    y = q.activation(x)
    assert torch.equal((y * 256).round(), y * 256)
    assert y.min() >= -128
    assert y.max() <= 128 - 1 / 256
    assert (y - x.clamp(-128, 128 - 1 / 256)).abs().max() <= 1 / 512 + 1e-6
    w = torch.randn(4, 9)
    levels = q.weight(w) / (w.abs().amax(1, keepdim=True) / 127)
    torch.testing.assert_close(levels, levels.round(), atol=1e-3, rtol=0)
    assert torch.equal((q.lookup(w) * 16).round(), q.lookup(w) * 16)


def test_quantised_training_moves_the_weights() -> None:
    torch.manual_seed(0)
    layer = DeltaLSTM(4, 6, theta_x=1 / 16, theta_h=1 / 16, quantisation=Quantisation())
    x, wanted = torch.randn(20, 8, 4), torch.randn(20, 8, 6).clamp(-0.5, 0.5)
    optimiser = torch.optim.Adam(layer.parameters(), 0.02)
    losses = []
    for _ in range(15):
        loss = (layer(x)[0] - wanted).pow(2).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]


def test_bidirectional_layers_are_refused_with_the_reason() -> None:
    with pytest.raises(ConversionError, match="a stream has no future"):
        DeltaGRU(3, 4, bidirectional=True)


@pytest.mark.parametrize(
    ("make", "part"),
    [
        (lambda: DeltaGRU(3, 4, theta_x=-1.0), "theta_x = -1.0"),
        (lambda: DeltaGRU(3, 4, 2, theta_h=(0.1, 0.1, 0.1)), "one number, or 2"),
        (lambda: DeltaGRU(0, 4), "input_size is 0"),
        (lambda: Quantisation(weight_bits=1), "weight_bits is 1"),
    ],
)
def test_bad_options_are_refused(make, part: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(OptionError, match=part):
        make()


def test_wrong_input_says_which_shapes_are_allowed() -> None:
    with pytest.raises(DataError, match=r"\(T, 3\), \(T, B, 3\) or \(B, T, 3\)"):
        DeltaGRU(3, 4, batch_first=True)(torch.zeros(5, 2, 4))
    with pytest.raises(DataError, match=r"\(1, 2, 4\)"):
        DeltaGRU(3, 4)(torch.zeros(5, 2, 3), torch.zeros(1, 3, 4))


def test_a_change_of_exactly_the_threshold_is_not_sent_anywhere() -> None:
    x = torch.tensor([[0.5], [1.0], [1.5]])
    kept, sent = references(x, torch.tensor(0.5))
    assert kept.flatten().tolist() == [0.0, 1.0, 1.0]
    assert sent.count == 1
    one, nothing = np.ones((1, 1), np.float32), np.zeros(1, np.float32)
    layer = DeltaLayer("linear", one, None, nothing, nothing, theta_x=0.5)
    for storage, accumulation in (("float32", "float"), ("int8", "integer")):
        engine = DeltaEngine([layer], storage=storage, accumulation=accumulation)  # type: ignore[arg-type]  # both are names
        np.testing.assert_allclose(engine.run(x.numpy())[:, 0], [0.0, 1.0, 1.0], rtol=1e-6)
        assert engine.statistics[0].sent_x == 1
