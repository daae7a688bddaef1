"""Laws of trainable spiking neurons: surrogate gradients, equations, and equality with peers."""

from __future__ import annotations

import warnings

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from tospike.conversion.training.lif import SURROGATES, Dynamics, multi_step, reference
from tospike.conversion.training.neurons import SpikingNeurons


@pytest.mark.parametrize("name", sorted(SURROGATES))
def test_the_surrogate_is_the_derivative_of_its_smooth_step(name: str) -> None:
    surrogate = SURROGATES[name]
    u = torch.linspace(-2.95, 3.05, 301, dtype=torch.float64)
    step = 1e-6
    slope = (surrogate.smooth(u + step) - surrogate.smooth(u - step)) / (2 * step)
    torch.testing.assert_close(surrogate.gradient(u), slope, atol=1e-6, rtol=0)
    # a step from 0 to 1 around the threshold, and steepest there
    assert float(surrogate.smooth(torch.tensor(0.0))) == 0.5
    assert float(surrogate.smooth(torch.tensor(-1e6))) == pytest.approx(0, abs=1e-6)
    assert float(surrogate.smooth(torch.tensor(1e6))) == pytest.approx(1, abs=1e-6)
    assert int(surrogate.gradient(torch.linspace(-1, 1, 201)).argmax()) == 100


def test_the_values_of_the_papers() -> None:
    # atan: a / 2 / (1 + (pi a u / 2)^2) with a = 2; at u = 1/pi it is 1/2
    u = torch.tensor([0.0, 1 / torch.pi, 2 / torch.pi])
    torch.testing.assert_close(SURROGATES["atan"].gradient(u), torch.tensor([1.0, 0.5, 0.2]))
    u = torch.tensor([-1.5, -0.25, 0.0, 0.5, 1.0])
    expected = torch.tensor([0.0, 0.75, 1.0, 0.5, 0.0])
    torch.testing.assert_close(SURROGATES["triangle"].gradient(u), expected)


@pytest.mark.parametrize("name", sorted(SURROGATES))
def test_the_gradient_of_one_step_is_that_of_the_smoothed_neuron(name: str) -> None:
    """One step, where a smooth neuron and a hard one have the same potential."""
    x = torch.linspace(-1.0, 3.0, 41).requires_grad_()
    threshold = torch.tensor(0.9, requires_grad=True)
    decay = torch.tensor(0.7, requires_grad=True)
    weights = torch.linspace(1.0, 2.0, 41)
    spikes = multi_step(x, threshold, decay, 0.8, Dynamics(0.25, name), 1, False)
    found = torch.autograd.grad((spikes * weights).sum(), (x, threshold, decay))

    def smooth(x: Tensor, threshold: float, decay: float) -> Tensor:
        u = decay * 0.25 * threshold + 0.8 * x.double() - threshold
        return SURROGATES[name].smooth(u) * weights

    d, at = 1e-5, x.detach()
    of_x = (smooth(at.double() + d, 0.9, 0.7) - smooth(at.double() - d, 0.9, 0.7)) / (2 * d)
    of_threshold = (smooth(at, 0.9 + d, 0.7) - smooth(at, 0.9 - d, 0.7)).sum() / (2 * d)
    of_decay = (smooth(at, 0.9, 0.7 + d) - smooth(at, 0.9, 0.7 - d)).sum() / (2 * d)
    torch.testing.assert_close(found[0].double(), of_x.double(), atol=2e-4, rtol=1e-3)
    assert float(found[1]) == pytest.approx(float(of_threshold), rel=1e-3)
    assert float(found[2]) == pytest.approx(float(of_decay), rel=1e-3)


def test_spikes_by_hand() -> None:
    # decay 1/2, constant current 3/4: h = 0.75, 1.125 (spike), 0.8125, 1.15625 (spike)
    one = torch.tensor(1.0)
    spikes = multi_step(torch.tensor([0.75]), one, torch.tensor(0.5), 1.0, Dynamics(), 4, True)
    assert spikes.tolist() == [0, 1, 0, 1]
    # an exact tie fires; a soft reset keeps what is above: 1.0, then 0 + 1.0, ...
    spikes = multi_step(torch.tensor([1.0]), one, one, 1.0, Dynamics(), 3, True)
    assert spikes.tolist() == [1, 1, 1]
    # half a threshold at the start: 0.5 + 0.5 fires at once, then every second step
    spikes = multi_step(torch.tensor([0.5]), one, one, 1.0, Dynamics(0.5), 4, True)
    assert spikes.tolist() == [1, 0, 1, 0]


@settings(max_examples=12, deadline=None, derandomize=True)
@given(
    seed=st.integers(0, 2**16),
    steps=st.integers(1, 6),
    constant=st.booleans(),
    detach=st.booleans(),
    image=st.booleans(),
    name=st.sampled_from(sorted(SURROGATES)),
    start=st.sampled_from([0.0, 0.5, 1.0]),
    decay=st.sampled_from([1.0, 0.6]),
)
def test_the_fast_neurons_are_the_equations(
    seed: int,
    steps: int,
    constant: bool,
    detach: bool,
    image: bool,
    name: str,
    start: float,
    decay: float,
) -> None:
    generator = torch.Generator().manual_seed(seed)
    samples = 3 if constant else 3 * steps
    x = torch.randn(samples, 11, 13, 9, generator=generator) + 0.3
    x = x.contiguous(memory_format=torch.channels_last) if image else x[:, 0, 0]
    x.requires_grad_()
    threshold = torch.tensor(0.9, requires_grad=True)
    leak = torch.tensor(decay, requires_grad=True)
    dynamics = Dynamics(start, name, detach)
    fast = multi_step(x, threshold, leak, 0.8, dynamics, steps, constant)
    folded = x if constant else x.reshape(steps, 3, *x.shape[1:])
    slow = reference(folded, threshold, leak, 0.8, dynamics, steps, constant).reshape(fast.shape)
    assert torch.equal(fast, slow)
    assert fast.stride() == x.stride() or not image
    weight = torch.randn(fast.shape, generator=generator)
    one = torch.autograd.grad((fast * weight).sum(), (x, threshold, leak))
    other = torch.autograd.grad((slow * weight).sum(), (x, threshold, leak))
    torch.testing.assert_close(one[0], other[0], atol=2e-6, rtol=1e-5)
    for a, b in zip(one[1:], other[1:], strict=True):
        torch.testing.assert_close(a, b, atol=1e-3, rtol=1e-4)


def test_gradients_do_not_depend_on_the_number_of_threads() -> None:
    x = torch.randn(4 * 2, 40, 20, 20, generator=torch.Generator().manual_seed(0))
    before, found = torch.get_num_threads(), []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            values = x.clone().requires_grad_()
            threshold = torch.tensor(1.0, requires_grad=True)
            decay = torch.tensor(0.8, requires_grad=True)
            spikes = multi_step(values, threshold, decay, 1.0, Dynamics(), 4, False)
            (spikes * x).sum().backward()
            found.append((values.grad, threshold.grad, decay.grad))
    finally:
        torch.set_num_threads(before)
    for a, b in zip(*found, strict=True):
        assert a is not None
        assert b is not None
        assert torch.equal(a, b)


def test_the_decay_of_plif_is_one_minus_a_sigmoid() -> None:
    neurons = SpikingNeurons("plif", 4, Dynamics(), decay=0.8)
    assert float(neurons.decay.detach()) == pytest.approx(0.8)
    neurons(torch.full((3, 2), 0.4).repeat(4, 1)).sum().backward()
    assert neurons.leak is not None
    assert neurons.leak.grad is not None
    assert neurons.threshold.grad is not None
    assert SpikingNeurons("if", 4, Dynamics()).decay == 1
    assert SpikingNeurons("lif", 4, Dynamics(), decay=0.25).decay == 0.25


@pytest.mark.parametrize("detach", [False, True])
@pytest.mark.parametrize("name", sorted(SURROGATES))
@pytest.mark.parametrize("tau", [1.5, 2.0, None])
def test_spikingjelly_agrees_forward_and_backward(
    tau: float | None, name: str, detach: bool
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pytest.importorskip("spikingjelly")
        from spikingjelly.activation_based import neuron, surrogate
    kinds = {"atan": surrogate.ATan(alpha=2.0), "triangle": surrogate.PiecewiseQuadratic(alpha=1.0)}
    options = {
        "v_threshold": 0.9, "v_reset": None, "surrogate_function": kinds[name],
        "detach_reset": detach, "step_mode": "m",
    }  # fmt: skip
    if tau is None:
        peer = neuron.IFNode(**options)
    else:
        peer = neuron.LIFNode(tau=tau, decay_input=False, **options)
    x = torch.randn(6, 4, 5, generator=torch.Generator().manual_seed(1)) + 0.3
    weight = torch.randn(6, 4, 5, generator=torch.Generator().manual_seed(2))
    theirs, ours = x.clone().requires_grad_(), x.clone().requires_grad_()
    expected = peer(theirs)
    (expected * weight).sum().backward()
    decay = torch.tensor(1.0 if tau is None else 1 - 1 / tau)
    spikes = multi_step(
        ours.flatten(0, 1), torch.tensor(0.9), decay, 1.0, Dynamics(0.0, name, detach), 6, False
    )
    (spikes.reshape(6, 4, 5) * weight).sum().backward()
    assert torch.equal(spikes.reshape(6, 4, 5), expected.detach())
    assert 0.1 < float(spikes.detach().mean()) < 0.9
    torch.testing.assert_close(ours.grad, theirs.grad, atol=2e-6, rtol=1e-5)
