"""Davidson & Furber 2021: 12 E, 7 E and the break-even that follows from them."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

from tospike.equations import davidson_furber_2021 as paper
from tospike.pricing import price
from tospike.technology import load

approx = partial(pytest.approx, rel=1e-9, abs=0.0)
TABLE = "davidson_furber_2021_22nm"
UNIT = 60e-15


def test_a_synapse_costs_12_e_as_ann_and_7_e_per_spike() -> None:
    ann = price(paper.ann_layer(n_syn=1000), TABLE)
    snn = price(paper.snn_layer(n_syn=1000, spikes_per_synapse=1), TABLE)
    assert ann.energy == approx(12 * UNIT * 1000)
    assert snn.energy == approx(7 * UNIT * 1000)


def test_the_prices_are_the_quoted_ones_in_whole_units() -> None:
    energies = load(TABLE).energies
    quoted = {
        ("alu", "add", 32): 1,
        ("alu", "mul", 8): 5,
        ("sram", "read", 32): 5,
        ("sram", "write", 32): 1,
    }
    for key, units in quoted.items():
        assert energies[key].value == approx(units * UNIT)
    # the femtojoules behind the units, 293 and 296, are 5 E to the nearest E
    assert round(293e-15 / UNIT) == round(296e-15 / UNIT) == 5


def test_break_even_is_12_sevenths() -> None:
    ann = float(price(paper.ann_layer(n_syn=1), TABLE).energy)
    snn = float(price(paper.snn_layer(n_syn=1, spikes_per_synapse=1), TABLE).energy)
    assert ann / snn == approx(12 / 7)
    # the paper prints "12E/7E or 1.72"; the quotient rounds to 1.71, so the last digit is its own
    assert ann / snn == approx(1.72, abs=0.006)
    assert round(ann / snn, 2) == 1.71


def test_one_spike_wins_and_two_lose() -> None:
    spikes = np.array([0, 1, 2, 3])
    energies = price(paper.snn_layer(n_syn=7, spikes_per_synapse=spikes), TABLE).energy
    np.testing.assert_allclose(energies, energies[1] * spikes)
    ann = price(paper.ann_layer(n_syn=7), TABLE).energy
    assert list(energies < ann) == [True, True, False, False]


def test_by_brute_force() -> None:
    """Every synapse of a fully connected layer, spike by spike."""
    rng = np.random.default_rng(5)
    spikes = rng.integers(0, 4, 11)
    reads = additions = writes = 0
    for count_of_input in spikes:
        for _ in range(int(count_of_input)):
            for _ in range(13):
                reads, additions, writes = reads + 1, additions + 1, writes + 1
    counts = paper.snn_layer(n_syn=11 * 13, spikes_per_synapse=spikes.mean())
    assert counts.total(action="read") == approx(reads)
    assert counts.total(action="ac") == approx(additions)
    assert counts.total(action="write") == approx(writes)
