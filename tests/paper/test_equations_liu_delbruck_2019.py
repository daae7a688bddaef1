"""Printed numbers of Liu & Delbruck 2019."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

from tospike.equations import liu_delbruck_2019 as paper
from tospike.errors import OptionError
from tospike.pricing import price

#: joules are about 1e-12, so that the default absolute tolerance of pytest would hide any fault
approx = partial(pytest.approx, rel=1e-9, abs=0.0)


def test_brain_fires_at_about_one_hertz() -> None:
    assert paper.brain_spike_rate() == approx(1.0)


def test_input_rate_of_a_neuron_is_10_khz() -> None:
    assert paper.brain_spike_rate() * 1e4 == approx(10e3)


def test_100_fj_per_synaptic_event_is_10_tops_per_watt() -> None:
    per_watt = paper.operations_per_joule(energy_per_event=100e-15)
    assert per_watt * 1e-12 == approx(10, abs=0.5)
    doubled = paper.operations_per_joule(energy_per_event=100e-15, operations_per_event=2)
    assert doubled * 1e-12 == approx(20)  # with the paper's own 2 Op per accumulation


def test_sparsity_map_uses_1_bit_for_a_zero_and_17_for_a_value() -> None:
    assert paper.sparsity_map_bits(n_pixels=1, zero_fraction=1.0) == 1
    assert paper.sparsity_map_bits(n_pixels=1, zero_fraction=0.0) == 17
    mixed = paper.sparsity_map_bits(n_pixels=1000, zero_fraction=np.array([0.5, 0.8]))
    np.testing.assert_allclose(mixed, [9000, 4200])


def test_80_percent_zeros_skip_four_fifths_of_the_macs() -> None:
    assert paper.skipping_speedup(zero_fraction=0.8) == approx(5)  # printed: "factor of 4"
    counts = paper.ann_nullhop(
        n_syn=1000, n_inputs=100, n_weights=90, n_neurons=50, zero_fraction=0.8
    )
    assert counts.total(action="mac") == approx(200)


def test_nullhop_reads_the_map_once_in_compressed_form() -> None:
    counts = paper.ann_nullhop(
        n_syn=1000, n_inputs=100, n_weights=90, n_neurons=50, zero_fraction=0.6
    )
    bits = sum(
        entry.bits * float(entry.count)
        for entry in counts
        if entry.component == "sram" and entry.action == "read" and entry.datatype != "weight"
    )
    assert bits == approx(paper.sparsity_map_bits(n_pixels=100, zero_fraction=0.6))


def test_parameters_of_the_2l_16h_gru() -> None:
    """2784 parameters with one bias column per layer (EdgeDRNN's own count)."""
    layers = [(8, 16), (16, 16)]
    weights = sum(
        float(paper.gru_weight_reads(n_inputs=i, n_hidden=h, sparsity_x=0, sparsity_h=0))
        for i, h in layers
    )
    assert weights + sum(3 * h for _, h in layers) == 2784


def test_memory_access_falls_as_the_temporal_sparsity() -> None:
    """DeltaNet's 5x to 100x: the weight traffic is 1 / (1 - Gamma) times smaller."""
    given = {"n_inputs": 40, "n_hidden": 768}
    dense = paper.gru_weight_reads(**given, sparsity_x=0, sparsity_h=0)
    for gamma, factor in ((0.8, 5), (0.9, 10), (0.99, 100)):
        sparse = paper.gru_weight_reads(**given, sparsity_x=gamma, sparsity_h=gamma)
        assert dense / sparse == approx(factor)


def test_reference_memories_of_a_gru() -> None:
    """Input and state references, and four kept sums per neuron."""
    assert paper.reference_words(n_inputs=40, n_hidden=768) == 40 + 768 + 4 * 768


def test_gru_reads_the_weights_that_the_formula_says() -> None:
    given = {"n_inputs": 40, "n_hidden": 768}
    for x, h in ((0.0, 0.0), (0.7, 0.9), (1.0, 1.0)):
        delta = paper.gru(**given, n_steps=5, sparsity_x=x, sparsity_h=h)
        expected = 5 * paper.gru_weight_reads(**given, sparsity_x=x, sparsity_h=h)
        assert delta.total(datatype="weight") == approx(expected)
        assert delta.total(action="mac") == approx(expected)
    dense = paper.gru(**given, n_steps=5)
    assert dense.total(datatype="weight") == 5 * 3 * 768 * (40 + 768)
    assert dense.total(datatype="reference") == 0


def test_gru_kept_sums_and_references_are_the_reference_words() -> None:
    given = {"n_inputs": 40, "n_hidden": 768}
    delta = paper.gru(**given, n_steps=1, sparsity_x=0.5, sparsity_h=0.5)
    words = delta.total(datatype="reference", action="read") + delta.total(
        component="sram", datatype="psum", action="read"
    )
    assert words == paper.reference_words(**given)


def test_gru_wants_both_sparsities_or_none() -> None:
    with pytest.raises(OptionError, match="both"):
        paper.gru(n_inputs=1, n_hidden=1, n_steps=1, sparsity_x=0.5)


def test_delta_gru_beats_the_dense_one_from_a_small_sparsity_on() -> None:
    """The reference memories cost little beside 3H weights per column (section VII)."""
    given = {"n_inputs": 40, "n_hidden": 768, "n_steps": 1}
    dense = price(paper.gru(**given), "horowitz_2014_45nm").energy
    sparse = price(
        paper.gru(**given, sparsity_x=0.01, sparsity_h=0.01), "horowitz_2014_45nm"
    ).energy
    none = price(paper.gru(**given, sparsity_x=0, sparsity_h=0), "horowitz_2014_45nm").energy
    assert sparse < dense < none < 1.01 * dense
