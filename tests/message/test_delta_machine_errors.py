"""What delta machines refuse: each time one error, with every reason and what to change."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import tospike as ts
from tospike.activity import ActivityProfile, LayerActivity
from tospike.architecture import Architecture, load_architecture
from tospike.architecture.record import ZeroHandling
from tospike.errors import (
    DataError,
    ModelError,
    OptionError,
    RangeError,
    StatisticError,
    TechnologyError,
    TospikeError,
    UnknownNameError,
)
from tospike.machines import MACHINES, Workload, simulate
from tospike.machines.delta_rnn import gamma_needed, mean_latency, steps, with_thresholds
from tospike.network import Network

DATA = Path(ts.__file__).parent / "architecture" / "data"
Case = Callable[[], object]


def gru(inputs: int = 4, hidden: int = 8, layers: int = 1, time: int = 1) -> Network:
    return ts.load(nn.GRU(inputs, hidden, layers, batch_first=True), torch.zeros(1, time, inputs))


def half(of: Network, theta: float = 0.0) -> ActivityProfile:
    one = LayerActivity("delta", 1, 1, 0.0, 0.0, temporal_sparsity={theta: 0.5})
    return ActivityProfile({layer.name: one for layer in of.synaptic_layers}, 1, "test")


def edge() -> Architecture:
    return load_architecture("edgedrnn")


def refused(kind: type[TospikeError], run: Case) -> str:
    with pytest.raises(kind) as error:
        run()
    return str(error.value)


class Mixed(nn.Module):
    """Layers that a delta machine has not, and one that it has."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv1d(4, 4, 3, padding=1)
        self.rnn = nn.RNN(4, 8, batch_first=True)
        self.both = nn.GRU(8, 8, batch_first=True, bidirectional=True)
        self.short = nn.LSTM(16, 8, batch_first=True, proj_size=4)
        self.head = nn.Linear(4, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.conv(x.transpose(1, 2)).transpose(1, 2)
        x = self.both(self.rnn(x)[0])[0]
        return self.head(self.short(x)[0])


@pytest.mark.filterwarnings("ignore:LSTM with projections")
def test_every_layer_that_does_not_map_is_named() -> None:
    of = ts.load(Mixed(), torch.zeros(1, 5, 4))
    text = refused(ModelError, lambda: simulate(Workload(of, half(of)), edge()))
    assert "conv: a conv layer" in text
    assert "rnn.weight_ih_l0: 8 rows for 8 states; a GRU has 24, an LSTM without" in text
    assert "both.weight_ih_l0_reverse: a backward direction; a stream has no future" in text
    assert "short.weight_hr_l0: the projection of an LSTM" in text
    assert "head" not in text
    assert "allowed: GRU, LSTM" in text
    assert "fix: run these layers elsewhere" in text


def test_networks_that_are_too_large() -> None:
    of = gru(1100, 8, 5)
    text = refused(ModelError, lambda: simulate(Workload(of, half(of)), edge()))
    assert "weight_ih_l0: 1100 inputs; edgedrnn holds 1024 (parameter max_layer_size)" in text
    assert "5 layers; edgedrnn holds 4 (parameter max_layers)" in text
    of = ts.load(nn.Sequential(nn.Linear(8, 1100)), torch.zeros(1, 8))
    text = refused(ModelError, lambda: simulate(Workload(of, half(of)), edge()))
    assert "0: 1100 neurons; edgedrnn holds 1024" in text
    of = gru(1024, 1024)
    text = refused(
        ModelError, lambda: simulate(Workload(of, half(of)), load_architecture("deltarnn"))
    )
    assert "the level 'weights' holds 3.48e+06" in text
    assert "copy of the architecture file" in text


def test_activity_that_is_missing() -> None:
    of = gru()
    text = refused(StatisticError, lambda: simulate(Workload(of), edge()))
    assert "weight_ih_l0: neither a trace nor statistics" in text
    assert "weight_hh_l0: neither a trace nor statistics" in text
    chip = with_thresholds(edge(), theta_x=0.25, theta_h=0.0)
    text = refused(StatisticError, lambda: simulate(Workload(of, half(of)), chip))
    assert "weight_ih_l0: no temporal sparsity at the threshold 0.25 (measured at: 0)" in text
    assert "weight_hh_l0" not in text
    assert "fix: measure with these thresholds" in text


X, H = "weight_ih_l0", "weight_hh_l0"


@pytest.mark.parametrize(
    ("traces", "batch", "expected"),
    [
        ({X: np.zeros(4), H: np.zeros((3, 7))}, 1,
         ["weight_ih_l0: shape (4,); (T, 4) is needed", "weight_hh_l0: shape (3, 7); (T, 8)"]),
        ({X: np.zeros((0, 4))}, 1, ["shape (0, 4)"]),
        ({X: np.full((3, 4), np.nan)}, 1, ["values that are not finite"]),
        ({X: np.array([["a"] * 4])}, 1, ["numbers are needed"]),
        ({X: np.zeros((4, 4))}, 1, ["4 steps; an inference has 3"]),
        ({X: np.zeros((3, 4)), H: np.zeros((6, 8))}, 1, ["weight_hh_l0: 2 inferences"]),
        ({X: np.zeros((6, 4))}, 3, ["weight_ih_l0: 2 inferences", "batch 3"]),
    ],
)  # fmt: skip
def test_traces_that_do_not_fit(traces: dict[str, Any], batch: int, expected: list[str]) -> None:
    of = gru(time=3)
    workload = Workload(of, half(of), traces, batch)
    text = refused(DataError, lambda: simulate(workload, edge()))
    for part in expected:
        assert part in text
    assert "T a multiple of the time steps of one inference" in text


def test_names_that_do_not_exist() -> None:
    of = gru()
    for workload in (
        Workload(of, half(of), {"weight_ih_10": np.zeros((3, 4))}),
        Workload(of, half(of), weight_zeros={"weight_ih_10": 0.5}),
    ):
        text = refused(UnknownNameError, lambda given=workload: simulate(given, edge()))
        assert "did you mean 'weight_ih_l0'?" in text


def test_zeros_that_do_not_fit() -> None:
    of = gru()
    zeros: dict[str, Any] = {X: 1.5, H: np.zeros((8, 24))}
    chip = with_thresholds(load_architecture("spartus"), theta_x=0.0, theta_h=0.0)
    text = refused(DataError, lambda: simulate(Workload(of, half(of), weight_zeros=zeros), chip))
    assert "weight_ih_l0: a share of 1.5; 0 to 1 is needed" in text
    assert "weight_hh_l0: shape (8, 24); (24, 8) is needed" in text
    zeros = {X: np.full((24, 4), np.inf)}
    text = refused(DataError, lambda: simulate(Workload(of, half(of), weight_zeros=zeros), chip))
    assert "weights that are not finite numbers" in text


def test_a_batch_of_nothing() -> None:
    of = gru()
    assert "batch is 0" in refused(
        OptionError, lambda: simulate(Workload(of, half(of), batch=0), edge())
    )


def written(folder: Path, *changes: tuple[str, str]) -> Path:
    text = (DATA / "edgedrnn.yaml").read_text("utf-8")
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    path = folder / "my_chip.yaml"
    path.write_text(text, "utf-8")
    return path


def test_every_fault_of_an_architecture_at_once(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        ("  fifo_depth: {value: \"32\"", "  fifo_depth: {value: \"0\""),
        ("  dma_queue: {value: \"4\"", "  dma_quota: {value: \"4\""),
        ("  drain_cycles: {value: \"3\"", "  drain_cycles: {value: \"2.5\""),
        ("  theta_x: {value: \"0\"", "  theta_x: {value: \"-1\""),
        ("  arrays: {value: \"1\"", "  arrays: {value: \"3\""),
        ("  - name: psum", "  - name: sums"),
    )  # fmt: skip
    of = gru()
    text = refused(TechnologyError, lambda: simulate(Workload(of, half(of)), path))
    for part in (
        "parameter fifo_depth is 0; 1 to 65536 is needed",
        "parameter dma_queue is missing (1 to 65536)",
        "parameter drain_cycles is 2.5; a whole number is needed",
        "parameter theta_x is -1; 0 to 128 is needed",
        "n_pe 8 is not a multiple of arrays 3",
        "bias_column needs arrays = 1",
        "memory level 'psum' is missing",
        "fix: mend the listed entries",
    ):
        assert part in text


@pytest.mark.parametrize(
    ("old", "new", "kind", "expected"),
    [
        ("    device: ddr3_1066_1gb_x16\n", "", TechnologyError, "'dram' names no DRAM device"),
        ("device: ddr3_1066_1gb_x16", "device: ddr3_1600", UnknownNameError, "did you mean"),
        ("component: dram", "component: sram", TechnologyError, "weights need one memory"),
        ("weight: none", "weight: skip", TechnologyError, "parameter index_bits is missing"),
    ],
)
def test_memories_of_the_weights(
    tmp_path: Path, old: str, new: str, kind: type[TospikeError], expected: str
) -> None:
    of = gru()
    path = written(tmp_path, (old, new))
    assert expected in refused(kind, lambda: simulate(Workload(of, half(of)), path))


def test_thresholds_and_gammas_outside_of_their_range() -> None:
    of = gru()
    text = refused(OptionError, lambda: with_thresholds(edge(), theta_x=-1.0, theta_h=np.nan))
    assert "theta_x is -1.0" in text
    assert "theta_h is nan" in text
    assert "0 to 1" in refused(RangeError, lambda: mean_latency(edge(), of, 1.2))
    assert "a time above 0" in refused(RangeError, lambda: gamma_needed(edge(), of, -1.0))
    text = refused(RangeError, lambda: gamma_needed(edge(), of, 1e-9))
    assert "cannot find a temporal sparsity for 1 ns per step on edgedrnn" in text
    assert "when nothing is sent" in text


def test_values_that_the_format_does_not_hold_are_said() -> None:
    of = gru()
    values = {X: np.array([[200.0, 0, 0, -200.0]]), H: np.zeros((1, 8))}
    run = simulate(Workload(of, traces=values), edge())
    assert run.out_of_range == (
        "weight_ih_l0: 2 values are outside of the number format and clipped",
    )


def test_assumptions_name_what_is_fitted_and_recalled() -> None:
    of = gru()
    text = "\n".join(simulate(Workload(of, half(of)), load_architecture("deltarnn")).assumptions)
    assert "delta_elements_per_cycle = 16 is fitted" in text
    assert "from statistics: weight_ih_l0, weight_hh_l0" in text
    values = {X: np.ones((3, 4)), H: np.zeros((3, 8))}
    text = "\n".join(simulate(Workload(of, traces=values), edge()).assumptions)
    assert "dma_setup_cycles = 30 is recalled" in text
    assert "from statistics" not in text


def test_progress_is_told_after_each_layer() -> None:
    of = gru(layers=2)
    seen: list[tuple[int, int]] = []
    steps(Workload(of, half(of)), edge(), progress=lambda done, all_: seen.append((done, all_)))
    assert seen == [(2, 4), (4, 4)]


def test_the_machine_is_found_by_its_key() -> None:
    assert MACHINES["delta_rnn"] == "tospike.machines.delta_rnn"
    of = gru()
    wrong = replace(edge(), machine="delta_rn")
    with pytest.raises(UnknownNameError, match="delta_rnn"):
        simulate(Workload(of, half(of)), wrong)


@pytest.mark.parametrize("handling", [{}, {"activation": "gate"},
                                      {"activation": "skip", "weight": "gate"}])  # fmt: skip
def test_zeros_that_the_machine_handles_otherwise(handling: dict[str, ZeroHandling]) -> None:
    chip = replace(edge(), zero_handling=handling)
    text = refused(TechnologyError, lambda: steps(Workload(gru(), half(gru())), chip))
    assert "skips what does not change" in text


@pytest.mark.parametrize("level", ["state", "psum"])
def test_a_memory_that_holds_nothing(level: str) -> None:
    found = edge().level(level).capacity
    assert found is not None
    none = replace(found, value=0.0, low=0.0, high=0.0)
    levels = tuple(replace(one, capacity=none) if one.name == level else one
                   for one in edge().levels)  # fmt: skip
    chip = replace(edge(), levels=levels)
    text = refused(TechnologyError, lambda: steps(Workload(gru(), half(gru())), chip))
    assert f"'{level}' holds 0 byte" in text
