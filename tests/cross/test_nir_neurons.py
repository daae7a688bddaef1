"""Neuron models against the neurons of four frameworks, step by step, on random currents.

The frameworks run in float64, so that the only differences left are of rounding: spikes are equal,
potentials to 1e-12. Both sides start from rest.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import torch
from frameworks_by_hand import quietly
from torch import Tensor

from tospike.network.neuron import NEURONS, Reset, at_rest

T, N, SIZE = 60, 3, 7


def currents(low: float, high: float, seed: int = 0) -> Tensor:
    values = np.random.default_rng(seed).uniform(low, high, (T, N, SIZE))
    return torch.from_numpy(values)


def ours(
    name: str, current: Tensor, reset: Reset, parameters: Mapping[str, Any], start: float = 0.0
) -> tuple[np.ndarray, list[dict[str, np.ndarray]]]:
    """Outputs and states of all steps."""
    model = NEURONS[name]
    values = {k: np.asarray(v, float) for k, v in parameters.items()}
    state: dict[str, Any] = at_rest(model, values, tuple(current.shape[1:]))
    if start:
        state["v"] = np.full(current.shape[1:], start)
    outputs, states = [], []
    for now in current.numpy():
        state, y = model.step(state, now, values, reset)
        outputs.append(y)
        states.append(state)
    return np.stack(outputs), states


def potentials(states: list[dict[str, np.ndarray]], name: str = "v") -> np.ndarray:
    return np.stack([state[name] for state in states])


def agree(mine: np.ndarray, theirs: Any, least: float = 0.02) -> None:
    """Equal spikes, and enough of them to say something."""
    assert np.array_equal(mine, np.asarray(theirs))
    assert mine.mean() > least


# -- SpikingJelly ----------------------------------------------------------------------------------


@pytest.mark.parametrize("v_reset", [None, 0.0, -0.25])
@pytest.mark.parametrize("kind", ["if", "lif", "lif_input_decay", "plif", "cuba"])
def test_spikingjelly(kind: str, v_reset: float | None) -> None:
    quietly("spikingjelly")
    from spikingjelly.activation_based import neuron

    reset = Reset("soft") if v_reset is None else Reset("hard", v_reset)
    rest = v_reset or 0.0
    tau = 3.0
    start = rest
    options: dict[str, Any] = {"v_threshold": 0.75, "v_reset": v_reset}
    parameters: dict[str, Any] = {"threshold": 0.75}
    if kind == "if":
        module, name = neuron.IFNode(**options), "if"
    elif kind == "cuba":
        module, name = neuron.CUBALIFNode(c_decay=0.5, v_decay=0.75, **options), "cuba_lif"
        parameters |= {"alpha": 0.5, "beta": 0.75}
    elif kind == "lif":
        module, name = neuron.LIFNode(tau=tau, decay_input=False, **options), "lif"
        parameters |= {"beta": 1 - 1 / tau, "v_rest": rest}
    elif kind == "plif":
        module, name = neuron.ParametricLIFNode(init_tau=tau, **options).double(), "lif_input_decay"
        parameters |= {"tau": 1 / module.w.sigmoid().item(), "v_rest": rest}
    else:
        module, name = neuron.LIFNode(tau=tau, decay_input=True, **options), "lif_input_decay"
        parameters |= {"tau": tau, "v_rest": rest}
    current = currents(-0.5, 4.0 if name == "lif_input_decay" else 1.2)
    mine, states = ours(name, current, reset, parameters, start)
    theirs, membrane = [], []
    with torch.no_grad():
        for now in current:
            theirs.append(module(now).numpy())
            membrane.append(module.v.numpy())
    agree(mine, np.stack(theirs))
    assert np.allclose(potentials(states), np.stack(membrane), atol=1e-12)


# -- snnTorch --------------------------------------------------------------------------------------

KINDS = {"subtract": "soft", "zero": "hard", "none": "none"}


def of_snntorch(module: Any, current: Tensor) -> tuple[np.ndarray, np.ndarray]:
    module = module.double()
    spikes, membrane = [], []
    state: tuple[Any, ...] = ()
    with torch.no_grad():
        for now in current:
            spike, *state = module(now, *state)  # type: ignore[assignment]
            spikes.append(spike.numpy())
            membrane.append(state[-1].numpy())
    return np.stack(spikes), np.stack(membrane)


@pytest.mark.parametrize("mechanism", KINDS)
@pytest.mark.parametrize("delay", [True, False])
@pytest.mark.parametrize("kind", ["leaky", "synaptic"])
def test_snntorch(kind: str, mechanism: str, delay: bool) -> None:
    snn = quietly("snntorch")
    common = {"threshold": 1.0, "reset_mechanism": mechanism, "reset_delay": delay}
    parameters: dict[str, Any] = {"beta": 0.75, "threshold": 1.0, "strict": 1.0}
    # never above twice the threshold, see test_snntorch_soft_reset_without_delay
    current = currents(-0.4, 0.7)
    if kind == "leaky":
        module, name = snn.Leaky(beta=0.75, **common), "lif"
    else:
        module, name = snn.Synaptic(alpha=0.5, beta=0.75, **common), "cuba_lif"
        parameters["alpha"] = 0.5
        current = currents(-0.4, 0.45)
    reset = Reset(KINDS[mechanism], 0.0, int(delay))  # type: ignore[arg-type]
    mine, states = ours(name, current, reset, parameters)
    theirs, membrane = of_snntorch(module, current)
    agree(mine, theirs)
    assert np.allclose(potentials(states), membrane, atol=1e-12)


def test_snntorch_soft_reset_without_delay() -> None:
    """snnTorch 1.0.0 gives a threshold back to neurons that stood above 2 thetas.

    v = 2.5: spike, v = 1.5, which is still above. In the next step it takes 1 off again, finds
    0.125 below the threshold, and adds 1: no spike, v = 1.125. The equation gives a spike.
    """
    snn = quietly("snntorch")
    module = snn.Leaky(beta=0.75, reset_mechanism="subtract", reset_delay=False)
    current = torch.tensor([[2.5], [0.0], [0.0]], dtype=torch.float64).unsqueeze(2)
    theirs, membrane = of_snntorch(module, current)
    mine, states = ours(
        "lif", current, Reset("soft"), {"beta": 0.75, "threshold": 1.0, "strict": 1.0}
    )
    assert theirs.ravel().tolist() == [1, 0, 0]
    assert membrane.ravel().tolist() == [1.5, 1.125, 0.84375]
    assert mine.ravel().tolist() == [1, 1, 0]
    assert potentials(states).ravel().tolist() == [1.5, 0.125, 0.09375]


@pytest.mark.parametrize("mechanism", KINDS)
def test_snntorch_alpha(mechanism: str) -> None:
    snn = quietly("snntorch")
    module = snn.Alpha(alpha=0.875, beta=0.5, threshold=0.5, reset_mechanism=mechanism)
    current = currents(0.0, 0.6)
    reset = Reset(KINDS[mechanism], 0.0, 1)  # type: ignore[arg-type]
    parameters = {"alpha": 0.875, "beta": 0.5, "threshold": 0.5, "strict": 1.0}
    mine, states = ours("alpha", current, reset, parameters)
    theirs, membrane = of_snntorch(module, current)
    agree(mine, theirs)
    assert np.allclose(potentials(states), membrane, atol=1e-12)


@pytest.mark.parametrize("mechanism", ["subtract", "zero"])
def test_snntorch_tie(mechanism: str) -> None:
    """v exactly at the threshold: snnTorch waits, SpikingJelly fires."""
    snn = quietly("snntorch")
    quietly("spikingjelly")
    from spikingjelly.activation_based import neuron

    current = torch.ones(3, 1, 1, dtype=torch.float64)
    theirs, _ = of_snntorch(snn.Leaky(beta=0.0, reset_mechanism=mechanism), current)
    assert theirs.sum() == 0
    assert neuron.IFNode(v_threshold=1.0)(current[0]).item() == 1
    parameters = {"beta": 0.0, "threshold": 1.0}
    assert ours("lif", current, Reset("hard"), parameters)[0].sum() == 3
    assert ours("lif", current, Reset("hard"), {**parameters, "strict": 1.0})[0].sum() == 0


# -- sinabs ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["iaf", "lif", "lif_norm", "syn", "alif"])
@pytest.mark.parametrize("multi", [False, True])
def test_sinabs(kind: str, multi: bool) -> None:
    quietly("sinabs")
    import sinabs.activation as sa
    import sinabs.layers as sl

    spike_fn = sa.MultiSpike if multi else sa.SingleSpike
    options: dict[str, Any] = {"spike_fn": spike_fn, "min_v_mem": -1.0}
    beta, alpha, rho = (math.exp(-1 / tau) for tau in (5.0, 3.0, 8.0))
    parameters: dict[str, Any] = {"threshold": 1.0, "v_min": -1.0}
    parameters["max_spikes"] = math.inf if multi else 1.0
    current = currents(-0.6, 1.8 if kind in ("iaf", "lif") else 12.0)
    if kind == "iaf":
        module, name = sl.IAF(**options), "if"
    elif kind == "lif":
        module, name = sl.LIF(tau_mem=5.0, norm_input=False, **options), "lif"
        parameters["beta"] = beta
    elif kind == "lif_norm":
        module, name = sl.LIF(tau_mem=5.0, **options), "lif"
        parameters |= {"beta": beta, "gain": 1 - beta}
    elif kind == "syn":
        module, name = sl.LIF(tau_mem=5.0, tau_syn=3.0, **options), "cuba_lif"
        parameters |= {"beta": beta, "gain": 1 - beta, "alpha": alpha, "gain_in": alpha}
    else:
        module, name = sl.ALIF(tau_mem=5.0, tau_adapt=8.0, adapt_scale=1.5, **options), "alif"
        parameters |= {"beta": beta, "gain": 1 - beta, "rho": rho, "scale": 1.5}
    module = module.double()
    if kind == "alif":
        module.b0 = module.b0.double()
    with torch.no_grad():
        theirs = module(current.transpose(0, 1).contiguous()).transpose(0, 1).numpy()
    mine, _ = ours(name, current, Reset("soft"), parameters)
    agree(mine, theirs)
    assert (mine.max() > 1) == multi


# -- Norse -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["iaf", "lif_box", "lif", "li_box"])
def test_norse(kind: str) -> None:
    norse = quietly("norse.torch")
    v_reset = torch.tensor(-0.125, dtype=torch.float64)
    threshold = torch.tensor(0.75, dtype=torch.float64)
    rate_mem, rate_syn = (torch.tensor(r, dtype=torch.float64) for r in (125.0, 250.0))
    rest = torch.tensor(0.25, dtype=torch.float64)
    shares = {"beta": 0.875, "gain": 0.125, "v_rest": 0.25}  # dt = 1 ms: dt/tau = 1/8 and 1/4
    firing = {"threshold": 0.75, "strict": 1.0, "v_reset": -0.125}
    if kind == "iaf":
        p = norse.IAFParameters(v_th=threshold, v_reset=v_reset)
        module, name, parameters = norse.IAFCell(p), "if", firing
    elif kind == "lif_box":
        p = norse.LIFBoxParameters(
            tau_mem_inv=rate_mem, v_leak=rest, v_th=threshold, v_reset=v_reset
        )
        module, name, parameters = norse.LIFBoxCell(p), "lif", firing | shares
    elif kind == "lif":
        p = norse.LIFParameters(
            tau_syn_inv=rate_syn,
            tau_mem_inv=rate_mem,
            v_leak=rest,
            v_th=threshold,
            v_reset=v_reset,
        )
        module, name = norse.LIFCell(p), "cuba_lif"
        parameters = firing | shares | {"alpha": 0.75}
    else:
        p = norse.LIBoxParameters(tau_mem_inv=rate_mem, v_leak=rest)
        module, name, parameters = norse.LIBoxCell(p), "li", shares
    current = currents(-0.5, 1.0 if kind == "iaf" else 6.0)
    outputs, state = [], None
    with torch.no_grad():
        for now in current:
            out, state = module(now, state)
            outputs.append(out.numpy())
    start = -0.125 if kind == "iaf" else 0.25  # Norse starts at v_reset, or at v_leak
    mine, _ = ours(name, current, Reset("hard", -0.125), parameters, start)
    if kind == "li_box":
        assert np.allclose(mine, np.stack(outputs), atol=1e-12)
    else:
        agree(mine, np.stack(outputs))
