"""Laws of every neuron model in ``NEURONS``, against closed forms and exact arithmetic."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tospike.errors import OptionError, UnknownNameError
from tospike.network.neuron import NEURONS, NeuronModel, Reset, at_rest, neuron_model
from tospike.sources import SOURCES

#: parameters that every model takes from, with values that are exact in binary
PARAMETERS: dict[str, Any] = {
    "threshold": 1.0,
    "beta": 0.75,
    "alpha": 0.875,
    "tau": 4.0,
    "rho": 0.5,
    "scale": 2.0,
    "gain": 1.0,
    "gain_in": 1.0,
}
RESETS = [Reset(kind, 0.0, delay) for kind in ("hard", "soft") for delay in (0, 1)]
RESETS.append(Reset("none"))
NAMES = sorted(NEURONS)
FIRING = [name for name in NAMES if NEURONS[name].signal == "spike"]
WITH_RESET = [name for name in FIRING if name not in ("threshold", "alpha")]


def allowed(name: str, reset: Reset) -> bool:
    """alpha has snnTorch's delayed reset only."""
    return name != "alpha" or reset.kind == "none" or reset.delay == 1


CASES = [(name, reset) for name in NAMES for reset in RESETS if allowed(name, reset)]


def parameters_of(model: NeuronModel, **changed: float) -> dict[str, Any]:
    values = {**PARAMETERS, **changed}
    return {name: np.asarray(values[name]) for name in model.parameters if name in values}


def run(
    model: NeuronModel, current: Any, reset: Reset, **changed: float
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """(outputs (T, ...), final state) of a current (T, ...)."""
    parameters = parameters_of(model, **changed)
    current = np.asarray(current, float)
    state: dict[str, Any] = at_rest(model, parameters, current.shape[1:])
    outputs = []
    for now in current:
        state, y = model.step(state, now, parameters, reset)
        outputs.append(y)
    return np.stack(outputs), state


def test_every_model_has_a_source_and_a_line_in_the_table() -> None:
    for name, model in NEURONS.items():
        assert model.name == name
        assert model.source in SOURCES
        assert model.locator
        assert model.signal in ("spike", "analog")
        assert len(set(model.parameters)) == len(model.parameters)
    assert set(NEURONS) == {
        *("if", "lif", "lif_input_decay", "cuba_lif", "li"),
        *("cuba_li", "i", "alif", "alpha", "threshold"),
    }
    with pytest.raises(UnknownNameError, match="did you mean 'alif'"):
        neuron_model("alife")


@pytest.mark.parametrize(("name", "reset"), CASES)
def test_without_input_nothing_happens(name: str, reset: Reset) -> None:
    outputs, state = run(NEURONS[name], np.zeros((20, 3)), reset)
    assert not outputs.any()
    assert not any(value.any() for value in state.values())


@pytest.mark.parametrize(("name", "reset"), CASES)
def test_neurons_do_not_see_each_other(name: str, reset: Reset) -> None:
    """Events of a population are the sum of the events of its neurons run alone."""
    current = np.random.default_rng(1).uniform(-0.5, 4.0, (40, 2, 5))
    together, _ = run(NEURONS[name], current, reset)
    alone = [run(NEURONS[name], current[:, :, i : i + 1], reset)[0] for i in range(5)]
    assert np.array_equal(together, np.concatenate(alone, axis=2))
    if NEURONS[name].signal == "spike":
        assert np.count_nonzero(together) == sum(np.count_nonzero(one) for one in alone) > 0


@pytest.mark.parametrize(("name", "reset"), CASES)
def test_step_changes_nothing_that_it_is_given(name: str, reset: Reset) -> None:
    model = NEURONS[name]
    parameters = parameters_of(model)
    state = {s: np.full(3, 1.5) for s in model.states}
    current = np.full(3, 2.0)
    model.step(state, current, parameters, reset)
    assert all(np.array_equal(value, np.full(3, 1.5)) for value in state.values())
    assert np.array_equal(current, np.full(3, 2.0))


@pytest.mark.parametrize("name", NAMES)
def test_idle_updates_says_whether_a_state_changes_without_input(name: str) -> None:
    model = NEURONS[name]
    state: dict[str, Any] = {s: np.full(2, 0.5) for s in model.states}
    after, _ = model.step(state, np.zeros(2), parameters_of(model), Reset("none"))
    changed = any(not np.array_equal(after[s], state[s]) for s in model.states)
    assert changed == model.idle_updates


@pytest.mark.parametrize("name", FIRING)
def test_a_tie_fires_unless_it_is_strict(name: str) -> None:
    model = NEURONS[name]
    to_threshold = 1.0
    if name == "lif_input_decay":
        to_threshold = 4.0
    elif name == "alpha":
        # v = tau_alpha (x - x) = 0 in the first step: with the threshold 0 it is a tie
        for strict, fires in ((0.0, 1.0), (1.0, 0.0)):
            y, _ = run(model, [[1.0]], Reset("none"), threshold=0.0, strict=strict)
            assert y[0, 0] == fires
        return
    for strict, fires in ((0.0, 1.0), (1.0, 0.0)):
        y, _ = run(model, [[to_threshold]], Reset("none"), strict=strict)
        assert y[0, 0] == fires
        above, _ = run(model, [[np.nextafter(to_threshold, 9)]], Reset("none"), strict=strict)
        below, _ = run(model, [[np.nextafter(to_threshold, 0)]], Reset("none"), strict=strict)
        assert above[0, 0] == 1
        assert below[0, 0] == 0


@pytest.mark.parametrize("name", WITH_RESET)
def test_resets(name: str) -> None:
    """One step to v = 1.5 from rest: what is stored, by kind and delay."""
    model = NEURONS[name]
    current = [[6.0 if name == "lif_input_decay" else 1.5]]
    for kind, delay, stored in (
        ("soft", 0, 0.5),
        ("hard", 0, -0.25),
        ("none", 0, 1.5),
        ("soft", 1, 1.5),
        ("hard", 1, 1.5),
    ):
        reset = Reset(kind, -0.25, delay)
        y, state = run(model, current, reset)
        assert y[0, 0] == 1
        assert state["v"][0] == stored, (kind, delay)


def test_a_delayed_reset_acts_in_the_next_step() -> None:
    """Exact arithmetic, v(0) = 1.5 after a spike, input 0.25: by hand from the equations."""
    state: dict[str, Any] = {"v": np.array([1.5])}
    now = np.array([0.25])
    soft, hard = Reset("soft", 0.0, 1), Reset("hard", -0.5, 1)
    for name, reset, stored in (
        ("if", soft, 1.5 + 0.25 - 1),
        ("if", hard, -0.5 + 0.25),
        ("lif", soft, 0.75 * 1.5 + 0.25 - 1),
        ("lif", hard, 0.75 * -0.5 + 0.25),
        ("lif_input_decay", soft, 1.5 + (0.25 - 1.5) / 4 - 1),
        ("lif_input_decay", hard, -0.5 + (0.25 + 0.5) / 4),
    ):
        model = NEURONS[name]
        after, _ = model.step(state, now, parameters_of(model), reset)
        assert after["v"][0] == stored, (name, reset.kind)
    model = NEURONS["cuba_lif"]
    state["i"] = np.array([1.0])
    after, _ = model.step(state, now, parameters_of(model), soft)
    assert after["v"][0] == 0.75 * 1.5 + (0.875 + 0.25) - 1
    after, _ = model.step(state, now, parameters_of(model), hard)
    assert after["v"][0] == -0.5  # the input of this step acts on i only
    assert after["i"][0] == 0.875 + 0.25


def test_reset_value_per_neuron() -> None:
    model = NEURONS["if"]
    parameters = {**parameters_of(model), "v_reset": np.array([0.0, -1.0])}
    state, _ = model.step({"v": np.zeros(2)}, np.full(2, 2.0), parameters, Reset("hard", 7.0))
    assert state["v"].tolist() == [0.0, -1.0]


def test_several_spikes_in_one_step() -> None:
    """sinabs' multi-spike neurons: trunc(v / threshold) events, each subtracts the threshold."""
    model = NEURONS["if"]
    y, state = run(model, [[3.5, 0.5, -3.5]], Reset("soft"), max_spikes=math.inf)
    parameters = {**parameters_of(model), "max_spikes": np.asarray(np.inf)}
    state, y = model.step({"v": np.zeros(3)}, np.array([3.5, 0.5, -3.5]), parameters, Reset("soft"))
    assert y.tolist() == [3, 0, 0]
    assert state["v"].tolist() == [0.5, 0.5, -3.5]
    parameters["max_spikes"] = np.asarray(2.0)
    parameters["v_min"] = np.asarray(-1.0)
    state, y = model.step({"v": np.zeros(3)}, np.array([3.5, 0.5, -3.5]), parameters, Reset("soft"))
    assert y.tolist() == [2, 0, 0]
    assert state["v"].tolist() == [1.5, 0.5, -1.0]


# -- closed forms ----------------------------------------------------------------------------------


@given(
    tau=st.floats(0.5, 20),
    r=st.floats(-2, 2),
    rest=st.floats(-1, 1),
    current=st.floats(-2, 2),
    dt=st.floats(0.01, 2),
)
@settings(deadline=None, derandomize=True, max_examples=30)
def test_exponential_euler_is_exact(
    tau: float, r: float, rest: float, current: float, dt: float
) -> None:
    """tau dv/dt = (v_rest - v) + R I with constant I: v(t) = v_inf + (v_0 - v_inf) exp(-t/tau)."""
    beta = math.exp(-dt / tau)
    for name in ("lif", "li"):
        model = NEURONS[name]
        changed = {"beta": beta, "gain": r * (1 - beta), "threshold": 1e9}
        parameters = {**parameters_of(model, **changed), "v_rest": np.asarray(rest)}
        state: dict[str, Any] = at_rest(model, parameters, (1,))
        for step in range(1, 26):
            state, _ = model.step(state, np.array([current]), parameters, Reset("none"))
            limit = rest + r * current
            exact = limit + (rest - limit) * math.exp(-step * dt / tau)
            assert state["v"][0] == pytest.approx(exact, rel=1e-9, abs=1e-9)


def euler_error(name: str, steps: int) -> float:
    """|v - exact| at t = 3 tau, of forward Euler with ``steps`` steps, tau = 1, R I = 1."""
    dt = 3.0 / steps
    model = NEURONS[name]
    changed = {"beta": 1 - dt, "gain": dt, "tau": 1 / dt, "threshold": 1e9}
    _, state = run(model, np.ones((steps, 1)), Reset("none"), **changed)
    return float(abs(state["v"][0] - (1 - math.exp(-3.0))))


@pytest.mark.parametrize("name", ["lif", "lif_input_decay", "li", "alif"])
def test_forward_euler_converges_with_the_first_order(name: str) -> None:
    errors = [euler_error(name, steps) for steps in (100, 200, 400, 800)]
    orders = [math.log2(a / b) for a, b in pairwise(errors)]
    assert orders == pytest.approx([1.0] * 3, abs=0.03)


@pytest.mark.parametrize("name", ["cuba_lif", "cuba_li"])
@pytest.mark.parametrize("late", [0.0, 1.0])
def test_cuba_converges_to_its_closed_form(name: str, late: float) -> None:
    """tau_s di/dt = -i + S, tau_m dv/dt = -v + i with S = 1 from t = 0:
    v(t) = 1 + (tau_s e^(-t/tau_s) - tau_m e^(-t/tau_m)) / (tau_m - tau_s)."""
    tau_s, tau_m, end = 0.5, 1.0, 2.0
    exact = 1 + (tau_s * math.exp(-end / tau_s) - tau_m * math.exp(-end / tau_m)) / (tau_m - tau_s)
    errors = []
    for steps in (100, 200, 400, 800):
        dt = end / steps
        changed = {
            "alpha": 1 - dt / tau_s,
            "gain_in": dt / tau_s,
            "beta": 1 - dt / tau_m,
            "gain": dt / tau_m,
            "threshold": 1e9,
            "current_delay": late,
        }
        model = NEURONS[name]
        parameters = {k: np.asarray(v) for k, v in changed.items() if k in model.parameters}
        state: dict[str, Any] = at_rest(model, parameters, (1,))
        for _ in range(steps):
            state, _ = model.step(state, np.ones(1), parameters, Reset("none"))
        errors.append(abs(float(state["v"][0]) - exact))
    orders = [math.log2(a / b) for a, b in pairwise(errors)]
    assert orders == pytest.approx([1.0] * 3, abs=0.1)


@given(current=st.integers(0, 64))
@settings(deadline=None, derandomize=True, max_examples=20)
def test_integrate_and_fire_sends_floor_of_the_charge(current: int) -> None:
    """Soft reset, I <= threshold: floor(T I / threshold) spikes in T steps, exactly."""
    drive = current / 64
    y, _ = run(NEURONS["if"], np.full((50, 1), drive), Reset("soft"))
    assert y.sum() == math.floor(50 * drive)


def test_integrator_adds_up() -> None:
    current = np.random.default_rng(0).normal(size=(30, 4))
    y, _ = run(NEURONS["i"], current, Reset("none"), gain=0.5)
    assert np.allclose(y, 0.5 * np.cumsum(current, axis=0))


def test_adaptation_slows_a_neuron_down() -> None:
    """Same drive: the adaptive neuron's intervals grow, those of the plain one do not."""
    current = np.full((200, 1), 0.5)
    plain, _ = run(NEURONS["lif"], current, Reset("soft"))
    adaptive, _ = run(NEURONS["alif"], current, Reset("soft"), rho=0.95, scale=8.0)
    assert 0 < adaptive.sum() < plain.sum()
    without, _ = run(NEURONS["alif"], current, Reset("soft"), rho=0.95, scale=0.0)
    assert np.array_equal(without, plain)


def test_input_decay_is_the_leaky_neuron_with_a_scaled_input() -> None:
    current = np.random.default_rng(0).uniform(-1, 4, (200, 6))
    for reset in RESETS:
        a, _ = run(NEURONS["lif_input_decay"], current, reset)
        b, _ = run(NEURONS["lif"], current, reset, beta=0.75, gain=0.25)
        assert np.array_equal(a, b)  # tau = 4: both are exact up to the same rounding here


# -- errors ----------------------------------------------------------------------------------------


def test_missing_parameters_and_impossible_resets_are_named() -> None:
    with pytest.raises(OptionError, match="give the parameter 'threshold'"):
        NEURONS["if"].step({"v": np.zeros(1)}, np.zeros(1), {}, Reset())
    with pytest.raises(OptionError, match="a reset delay of 2"):
        run(NEURONS["lif"], [[1.0]], Reset("soft", 0.0, 2))
    with pytest.raises(OptionError, match="give reset_delay=1, as snnTorch does"):
        run(NEURONS["alpha"], [[1.0]], Reset("soft"))
