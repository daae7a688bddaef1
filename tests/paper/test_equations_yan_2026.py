"""Yan et al. 2024 to 2026: theorems exactly; printed break-evens through the reconstruction."""

from __future__ import annotations

import itertools
from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from tospike.actions import ActionCounts
from tospike.activity import LayerActivity
from tospike.equations import MODELS
from tospike.equations import yan_2026 as paper
from tospike.errors import RangeError
from tospike.implementation import Implementation
from tospike.network import Layer
from tospike.pricing import price
from tospike.technology import Technology, load

approx = partial(pytest.approx, rel=1e-9, abs=0.0)
TABLE = load("yan_2026_22nm")


def energy(counts: ActionCounts, technology: Technology = TABLE) -> float:
    return float(price(counts, technology).energy)


def scaled(component: str, action: str, factor: float) -> Technology:
    """The technology with one price multiplied, as the paper's sensitivity analysis does."""
    prices = {
        key: replace(c, value=c.value * factor, low=c.low * factor, high=c.high * factor)
        if key[:2] == (component, action)
        else c
        for key, c in TABLE.energies.items()
    }
    return replace(TABLE, energies=prices)


def break_even(
    n_timesteps: int, weight_bits: int, fan_in: int = 4096, technology: Technology = TABLE
) -> float:
    """Spike rate at which both twins cost the same, gamma in the middle of Theorem 2."""
    rate = 0.05
    for _ in range(100):
        active = min(1.0, 2 * rate * n_timesteps / (1 + n_timesteps))
        qnn = paper.ann_qnn(
            n_syn=fan_in,
            zero_fraction=1 - active,
            weight_bits=weight_bits,
            iact_bits=int(paper.qnn_bits(n_timesteps)),
        )

        def snn(spikes: float) -> float:
            counts = paper.snn_if(
                n_syn=fan_in,
                n_neur=1,
                spikes_per_synapse=spikes,
                n_timesteps=n_timesteps,
                weight_bits=weight_bits,
            )
            return energy(counts, technology)

        fixed = snn(0.0)
        rate = (energy(qnn, technology) - fixed) / (snn(1.0) - fixed) / n_timesteps
    return rate


def test_theorem_1_by_counting_levels() -> None:
    """T steps give spike counts 0 to T; b bits give 2**b levels."""
    for steps in range(1, 70):
        bits = int(paper.qnn_bits(steps))
        assert 2**bits >= steps + 1 > 2 ** (bits - 1)
    with pytest.raises(RangeError, match="n_timesteps"):
        paper.qnn_bits(0)


@pytest.mark.parametrize("n_timesteps", [1, 2, 3, 5])
def test_theorem_2_by_brute_force(n_timesteps: int) -> None:
    """Every spike train of three neurons: the rate stays between the bounds, which are reached."""
    seen = set()
    for trains in itertools.product(range(n_timesteps + 1), repeat=3):
        counts = np.array(trains)
        low, high = paper.spike_rate_bounds(float((counts == 0).mean()), n_timesteps)
        rate = counts.mean() / n_timesteps
        assert low - 1e-12 <= rate <= high + 1e-12
        seen |= {bool(np.isclose(rate, low)), not np.isclose(rate, high)}
    assert seen == {True, False}


def test_compute_break_even_of_the_three_cases() -> None:
    """k >= 1, (1 + T)/2 and T for the least, the mean and the greatest spike rate."""
    for steps, gamma in ((5, 0.7), (8, 0.2)):
        low, high = paper.spike_rate_bounds(gamma, steps)
        for k, rate in ((1, low), ((1 + steps) / 2, (low + high) / 2), (steps, high)):
            assert paper.compute_break_even(k, gamma, steps) == approx(float(rate))


@pytest.mark.parametrize(
    ("n_timesteps", "printed"), [(1, 0.996), (3, 1.5), (7, 2.338), (15, 3.762)]
)
def test_dense_limit_and_the_printed_transformers(n_timesteps: int, printed: float) -> None:
    """SST-2 at 2-bit weights and 4.75 hops: ratios printed, T / ceil(log2(T + 1)) predicted."""
    assert paper.dense_limit(n_timesteps) == approx(printed, rel=0.005)
    snn = paper.snn_if(
        n_syn=4096,
        n_neur=1,
        spikes_per_synapse=0.2 * n_timesteps,
        n_timesteps=n_timesteps,
        hops=4.75,
        movement="dense",
        weight_bits=2,
    )
    qnn = paper.ann_qnn(
        n_syn=4096,
        zero_fraction=0.7,
        hops=4.75,
        weight_bits=2,
        iact_bits=int(paper.qnn_bits(n_timesteps)),
    )
    assert energy(snn) / energy(qnn) == approx(printed, rel=0.012)


def test_llama_is_predicted_as_15_over_4() -> None:
    assert float(paper.dense_limit(15)) == 3.75  # printed: predicted 3.75, measured 3.793
    assert float(paper.dense_limit(15)) == approx(3.793, rel=0.012)


def test_the_headline_of_5_7_percent() -> None:
    assert break_even(5, 4) == approx(0.057, abs=0.0005)
    assert break_even(5, 4, fan_in=64) == approx(0.054, abs=0.0006)


@pytest.mark.parametrize(
    ("component", "action", "factor", "printed"),
    [
        ("sram", "read", 0.5, 0.0539),
        ("sram", "read", 1.5, 0.0608),
        ("noc", "dense_hop", 0.5, 0.0341),
        ("noc", "sparse_hop", 0.5, 0.1080),
    ],
)
def test_the_printed_sensitivities(
    component: str, action: str, factor: float, printed: float
) -> None:
    """The SRAM price was fitted to these and to 5.7 %: five numbers by one."""
    found = break_even(5, 4, technology=scaled(component, action, factor))
    assert found == approx(printed, abs=0.0006)


@pytest.mark.parametrize(
    ("n_timesteps", "weight_bits", "printed"), [(2, 4, 0.104), (2, 8, 0.123), (3, 8, 0.082)]
)
def test_printed_break_evens_that_nothing_was_fitted_to(
    n_timesteps: int, weight_bits: int, printed: float
) -> None:
    assert break_even(n_timesteps, weight_bits) == approx(printed, abs=0.0012)


@pytest.mark.parametrize("weight_bits", [4, 8])
def test_sparse_and_dense_movement_cross_at_12_to_17_percent(weight_bits: int) -> None:
    def at(rate: float, movement: paper.Movement) -> float:
        counts = paper.snn_if(
            n_syn=4096,
            n_neur=1,
            spikes_per_synapse=rate,
            n_timesteps=1,
            movement=movement,
            weight_bits=weight_bits,
        )
        return energy(counts)

    gap = [at(rate, "sparse") - at(rate, "dense") for rate in (0.0, 1.0)]
    crossing = -gap[0] / (gap[1] - gap[0])
    assert 0.12 <= round(crossing, 2) <= 0.17


def test_movement_alone_is_the_limit_without_operations_and_weights() -> None:
    bare = scaled("sram", "read", 1e-9)
    bare = replace(
        bare,
        energies={
            key: replace(c, value=c.value * 1e-9, low=c.low * 1e-9, high=c.high)
            if key[0] in ("alu", "sram")
            else c
            for key, c in bare.energies.items()
        },
    )
    for steps in (1, 4, 9):
        limit = float(paper.movement_break_even(steps))
        assert break_even(steps, 4, technology=bare) == approx(limit, rel=1e-6)


LAYER = Layer("fc", "linear", n_synapses=600, n_neurons=20, n_inputs=30, n_weights=600)


def test_the_twin_of_an_snn_has_the_bits_of_theorem_1() -> None:
    activity = LayerActivity("analog", 1, 1, 0.5, 300.0)
    for how, bits in (
        (Implementation("ann", activation_bits=8), 8),
        (Implementation("ann", activation_bits=8, n_timesteps=5), 3),
    ):
        counts = MODELS["ann_yan"].count_layer(LAYER, activity, how)
        assert {entry.bits for entry in counts if entry.component == "noc"} == {bits}
        assert counts.total(action="mac") == 300


def test_a_layer_by_brute_force() -> None:
    rng = np.random.default_rng(3)
    trains = rng.random((4, 30)) < 0.2
    routed = fetched = added = compared = 0
    for step in trains:
        for spiking in step:
            if spiking:
                for _ in range(20):
                    routed, fetched, added = routed + 1, fetched + 1, added + 1
        compared += 20
    counts = paper.snn_if(n_syn=600, n_neur=20, spikes_per_synapse=trains.mean() * 4, n_timesteps=4)
    assert counts.total(component="noc") == approx(routed)
    assert counts.total(datatype="weight") == approx(fetched)
    assert counts.total(action="ac") == approx(added)
    assert counts.total(action="compare") == compared
