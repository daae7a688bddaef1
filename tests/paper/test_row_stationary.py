"""Fig. 10 of Chen 2016 (ISCA): energy of AlexNet on 256 row-stationary PEs, part by part."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from tospike.architecture import load_architecture
from tospike.machines import Workload, price_run, simulate
from tospike.machines.row_stationary import mapping, two_columns
from tospike.machines.row_stationary.benchmarks import alexnet
from tospike.machines.row_stationary.published import FIG10, Parts, figure_10, table
from tospike.tables import FORMATS


@cache
def halves() -> dict[str, Parts]:
    return figure_10(two_columns(alexnet()))


@pytest.mark.parametrize("layer", FIG10)
def test_every_part_is_within_ten_percent_of_the_figure(layer: str) -> None:
    printed, ours = FIG10[layer], halves()[layer]
    # 0.005 is half of the last printed digit
    assert ours.alu == pytest.approx(printed.alu, rel=0.10, abs=0.005)
    assert ours.register == pytest.approx(printed.register, rel=0.10, abs=0.005)
    assert ours.dram == pytest.approx(printed.dram, rel=0.10, abs=0.005)


@pytest.mark.parametrize("layer", ["conv1", "conv2", "conv3", "conv4", "conv5"])
def test_convolutions_agree_within_one_percent(layer: str) -> None:
    assert halves()[layer].dram == pytest.approx(FIG10[layer].dram, rel=0.01)


def test_one_column_needs_less_dram_in_conv1_than_the_figure() -> None:
    """Read once instead of twice, the input maps make conv1 a fifth cheaper; see the docs."""
    one = figure_10(alexnet())
    assert one["conv1"].dram < 0.8 * FIG10["conv1"].dram
    for layer in ("conv2", "conv3", "conv4", "conv5", "fc1", "fc2", "fc3"):
        assert one[layer].dram == pytest.approx(FIG10[layer].dram, rel=0.10)


def test_the_price_of_the_counts_is_the_energy_that_was_minimised() -> None:
    run = simulate(Workload(two_columns(alexnet()), batch=16), "eyeriss_isca2016")
    units = sum(sum(part) for part in halves().values()) * 1e9
    assert price_run(run).total == pytest.approx(units * 2e-12, rel=1e-9)  # 2 pJ per MAC
    assert run.macs == 16 * alexnet().n_synapses


def test_a_planted_fault_leaves_the_band(monkeypatch: pytest.MonkeyPatch) -> None:
    """If loops outside a reused block were not counted, the DRAM would look too cheap."""

    def never_again(outer, inner, orders):  # type: ignore[no-untyped-def]
        return np.ones_like(outer), np.ones_like(inner)

    monkeypatch.setattr(mapping, "reloads", never_again)
    wrong = figure_10(two_columns(alexnet()))
    assert any(
        abs(wrong[layer].dram / FIG10[layer].dram - 1) > 0.10 for layer in ("conv1", "conv2")
    )


def test_table_prints_in_every_format() -> None:
    made = table()
    assert len(made.rows) == len(FIG10)
    for render in FORMATS.values():
        assert "conv1" in render(made)


def test_packaged_architecture_is_the_one_of_the_figure() -> None:
    architecture = load_architecture("eyeriss_isca2016")
    assert architecture.n_pe == 256
    assert architecture.level("buffer").capacity.value == 128 * 1024  # type: ignore[union-attr]
    assert architecture.level("register").capacity.value == 512  # type: ignore[union-attr]


def test_macs_of_alexnet_by_hand() -> None:
    """Outputs x kernel x inputs of one group (two groups in layers 2, 4 and 5)."""
    assert [layer.n_synapses for layer in alexnet().layers] == [
        55 * 55 * 96 * 11 * 11 * 3,
        27 * 27 * 256 * 5 * 5 * 48,
        13 * 13 * 384 * 3 * 3 * 256,
        13 * 13 * 384 * 3 * 3 * 192,
        13 * 13 * 256 * 3 * 3 * 192,
        9216 * 4096,
        4096 * 4096,
        4096 * 1000,
    ]
