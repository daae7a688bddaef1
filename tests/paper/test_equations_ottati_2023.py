"""Printed numbers of Ottati et al. 2023, computed through counts x technology."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

from tospike.actions import ActionCounts
from tospike.equations import ottati_2023 as paper
from tospike.pricing import price

#: joules are about 1e-12, so that the default absolute tolerance of pytest would hide any fault
approx = partial(pytest.approx, rel=1e-9, abs=0.0)

PRINTED = "ottati_2023_45nm"
COMPUTED = "ottati_2023_45nm_computed"
N_READS = 512 * 3 * 3


def nanojoule(counts: ActionCounts, technology: str = PRINTED) -> float:
    return float(price(counts, technology).energy) * 1e9


def test_number_of_reads() -> None:
    assert N_READS == 4608
    assert paper.snn_conv(n_reads=N_READS).total(action="read", datatype="weight") == 4608


@pytest.mark.parametrize(
    ("counts", "printed", "tolerance"),
    [
        (paper.snn_conv(n_reads=N_READS), 13.1, 0.05),
        (paper.ann_conv(n_reads=N_READS), 24.1, 0.05),
        (paper.snn_recurrent(n_inputs=1024), 2.92, 0.005),
        (paper.ann_recurrent(n_inputs=1024), 5.37, 0.005),
    ],
    ids=["E_SNN conv", "E_ANN conv", "E_SNN recurrent", "E_ANN recurrent"],
)
def test_energies_per_neuron(counts: ActionCounts, printed: float, tolerance: float) -> None:
    assert nanojoule(counts) == approx(printed, abs=tolerance)


def test_ratios_are_1_84() -> None:
    conv = nanojoule(paper.ann_conv(n_reads=N_READS)) / nanojoule(paper.snn_conv(n_reads=N_READS))
    recurrent = nanojoule(paper.ann_recurrent(n_inputs=1024)) / nanojoule(
        paper.snn_recurrent(n_inputs=1024)
    )
    assert conv == approx(1.84, abs=0.005)
    assert recurrent == approx(1.84, abs=0.005)


def test_the_energies_need_the_printed_density_of_2_50_pj_per_byte() -> None:
    """10 pJ / 8 B = 1.25 pJ/B halves every memory access: the printed 13.1 nJ is missed by far."""
    counts = paper.snn_conv(n_reads=N_READS)
    assert nanojoule(counts, COMPUTED) == approx(6.62, abs=0.01)
    memory = {
        name: float(price(counts, name).total(component="sram")) for name in (PRINTED, COMPUTED)
    }
    assert memory[PRINTED] == approx(2 * memory[COMPUTED])


def test_time_steps_multiply_the_snn_energy() -> None:
    steps = np.arange(1, 9)
    energies = price(paper.snn_conv(n_reads=N_READS, n_timesteps=steps), PRINTED).energy
    np.testing.assert_allclose(energies, energies[0] * steps)
    assert np.all(energies[1:] * 1e9 > 24.1)  # from T = 2 on the ANN is cheaper, as IV-A says


def test_gamma_of_the_paper_multiplies_the_whole_energy() -> None:
    for function in (paper.snn_conv, paper.ann_conv):
        dense = nanojoule(function(n_reads=N_READS))
        sparse = nanojoule(function(n_reads=N_READS, density=0.25, sparsity="all_terms"))
        assert sparse == approx(0.25 * dense)


def test_sparsity_on_synapses_still_reads_every_spike() -> None:
    counts = paper.snn_conv(n_reads=N_READS, density=0.0)
    assert counts.total(datatype="spike", action="read") == N_READS
    assert counts.total(datatype="weight") == 0
    assert counts.total(action="ac") == 0


def test_state_energy_by_hand() -> None:
    """E_state + E_ofmap = 2 x 2.50 + 0.20 + 3 x 0.03 + 2.50 / 8 pJ."""
    cost = price(paper.snn_conv(n_reads=N_READS), PRINTED)
    assert cost.total(part="neuron") == approx((5.0 + 0.2 + 0.09 + 0.3125) * 1e-12)
