"""The measured files behind two figures, their reader, and the command that writes them."""

from __future__ import annotations

import contextlib
import importlib
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError

from tospike.errors import DataError
from tospike.papers.measured import (
    SPARSITY_PATH,
    SPIKES_PATH,
    read_sparsity,
    read_spikes,
)

ROOT = Path(__file__).resolve().parents[2]
VALIDATION = ROOT / "validation"


def _module(name: str) -> Any:
    sys.path.insert(0, str(VALIDATION))
    try:
        return importlib.import_module(name)
    finally:
        sys.path.remove(str(VALIDATION))


def test_the_shipped_zeros_are_consistent() -> None:
    found = read_sparsity()
    names = list(dict.fromkeys(n.name for n in found.networks))
    assert "VGG-16 trunk" in names
    assert "Fashion-MNIST CNN" in names
    for name in names:
        group = [n for n in found.networks if n.name == name]
        reference = group[0]
        assert reference.precision == "float32"
        assert reference.zero_fraction == reference.relu_zero_fraction
        assert len({n.layers for n in group}) == 1
        for network in group:
            # same seeds or samples as the float network, so that the difference of means is it
            if network.seeds == reference.seeds:
                assert network.rise == pytest.approx(network.mean - reference.mean, abs=1e-9)
            assert network.note
            assert network.training


def test_the_trunk_is_the_one_of_the_demo() -> None:
    """The demo's page prints 49.2 % after conv1_1 on five photographs; here there are more."""
    trunk = next(n for n in read_sparsity().networks if n.name == "VGG-16 trunk")
    assert len(trunk.layers) == 13
    assert trunk.layers[0] == "conv1_1"
    assert trunk.layers[-1] == "conv5_3"
    assert trunk.n_samples >= 30
    assert trunk.zero_fraction[0] == pytest.approx(0.492, abs=0.1)
    # pooling takes the maximum of four values, so that its output has no more zeros
    after_pool = {"conv2_1": "conv1_2", "conv3_1": "conv2_2", "conv4_1": "conv3_3"}
    zeros = dict(zip(trunk.layers, trunk.zero_fraction, strict=True))
    inputs = dict(zip(trunk.layers, trunk.input_zero_fraction, strict=True))
    for layer, before in after_pool.items():
        assert inputs[layer] <= zeros[before]
    assert inputs["conv1_2"] == pytest.approx(zeros["conv1_1"], abs=1e-12)


def test_the_shipped_spikes_are_consistent() -> None:
    found = read_spikes()
    timesteps: dict[str, list[int]] = {}
    for network in found.networks:
        timesteps.setdefault(network.name, []).append(network.timesteps)
        # a neuron fires at most once per step
        assert max(network.spikes_per_neuron) <= network.timesteps
        assert max(network.spikes_per_synapse) <= network.timesteps
        assert network.note
    assert timesteps["Fashion-MNIST CNN"] == [4, 8, 16, 32]
    assert all(steps == sorted(set(steps)) for steps in timesteps.values())


def test_the_page_is_made_from_the_shipped_numbers() -> None:
    """What is committed in docs is what the files give, so that neither is edited by hand."""
    text = _module("page").page(read_sparsity(), read_spikes())
    assert (ROOT / "docs" / "results" / "papers_measured.md").read_text("utf-8") == text


def _set(path: str, value: Any) -> Callable[[dict[str, Any]], None]:
    def change(content: dict[str, Any]) -> None:
        *parents, last = path.split(".")
        for key in parents:
            content = content[int(key)] if isinstance(content, list) else content[key]
        content[last] = value

    return change


def _twice(content: dict[str, Any]) -> None:
    content["networks"].append(content["networks"][0])


FAULTS: list[tuple[Callable[[dict[str, Any]], None], str]] = [
    (_set("networks.0.zero_fraction", [0.5]), "layers, but zero_fraction has 1"),
    (_set("networks.0.zero_fraction_std", []), "zero_fraction_std has 0"),
    (_set("networks.0.accuracy", 1.2), "networks.0.accuracy: Input should be less than or equal"),
    (_set("networks.0.n_samples", 0), "networks.0.n_samples"),
    (_set("networks.0.colour", "red"), "networks.0.colour: Extra inputs"),
    (_set("networks", []), "networks: Tuple should have at least 1 item"),
    (_set("date", "yesterday"), "date: Value error"),
    (_set("figure", "dampfhoffer_2022_fig8"), "figure: Input should be 'liu_delbruck_2019_fig4'"),
    (_twice, "twice: VGG-16 trunk, float32, as trained"),
]


@pytest.mark.parametrize(("change", "text"), FAULTS)
def test_a_damaged_file_of_zeros_is_refused(
    tmp_path: Path, change: Callable[[dict[str, Any]], None], text: str
) -> None:
    content = json.loads(SPARSITY_PATH.read_text())
    change(content)
    path = tmp_path / "measured_sparsity.json"
    path.write_text(json.dumps(content))
    with pytest.raises(DataError) as caught:
        read_sparsity(path)
    assert text in str(caught.value)
    assert "fix: measure again: make validate" in str(caught.value)


def test_zeros_that_rounding_loses_are_refused(tmp_path: Path) -> None:
    content = json.loads(SPARSITY_PATH.read_text())
    layers = content["networks"][0]["layers"]
    content["networks"][0]["zero_fraction"][1] = 0.0
    path = tmp_path / "measured_sparsity.json"
    path.write_text(json.dumps(content))
    with pytest.raises(DataError, match=f"fewer zeros after rounding than before: {layers[1]}"):
        read_sparsity(path)


def test_all_faults_of_a_file_of_spikes_are_told_at_once(tmp_path: Path) -> None:
    content = json.loads(SPIKES_PATH.read_text())
    content["networks"][0]["timesteps"] = 0
    content["networks"][1]["spikes_per_synapse"][0] = -1.0
    path = tmp_path / "measured_spikes.json"
    path.write_text(json.dumps(content))
    with pytest.raises(DataError) as caught:
        read_spikes(path)
    assert len(caught.value.reasons) == 2


@pytest.mark.parametrize("text", ["", "{", '{"networks": [{"name": NaN}]}', "[]"])
def test_a_truncated_file_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "measured_spikes.json"
    path.write_text(text)
    with pytest.raises(DataError):
        read_spikes(path)
    with pytest.raises(DataError, match="not measured yet"):
        read_spikes(tmp_path / "absent.json")


@contextlib.contextmanager
def _same_threads() -> Any:
    threads = torch.get_num_threads()
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def test_a_quick_run_writes_files_that_the_reader_takes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = _module("measure_papers")
    with _same_threads():
        assert command.main(["--quick", "--out", str(tmp_path)]) == 0
    zeros = read_sparsity(tmp_path / "measured_sparsity.json")
    assert [n.training.split(",")[0] for n in zeros.networks] == [
        "as trained",
        "post-training",
        "post-training",
        "float32",
        "dual-copy rounding",
    ]
    assert [n.timesteps for n in read_spikes(tmp_path / "measured_spikes.json").networks] == [2, 4]
    page = (tmp_path / "papers_measured.md").read_text()
    assert page.startswith("# Figures of the papers, measured\n\n**Does training with quantisation")
    assert not list(tmp_path.glob("**/*.tmp"))
    # a second run takes what is kept: nothing is measured, the same files come out
    monkeypatch.setattr(command, "measure_trunk", None)
    with _same_threads():
        assert command.main(["--quick", "--out", str(tmp_path)]) == 0
    assert read_sparsity(tmp_path / "measured_sparsity.json").networks == zeros.networks
    (tmp_path / "papers_measured.md").unlink()
    assert command.main(["--page-only", "--out", str(tmp_path)]) == 0
    assert (tmp_path / "papers_measured.md").read_text() == page


def test_a_planted_fault_in_the_rounding_stops_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A grid without 0 would report fewer zeros than the ReLU made: no file may come of it."""
    grid = _module("fixed_point").Grid
    right = grid.round
    monkeypatch.setattr(grid, "round", lambda self, x: right(self, x) + self.step)
    with _same_threads(), pytest.raises(ValidationError, match="fewer zeros after rounding"):
        _module("measure_papers").main(["--quick", "--out", str(tmp_path)])
    assert not (tmp_path / "measured_sparsity.json").exists()


def test_a_part_that_was_not_measured_replaces_no_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = _module("measure_papers")
    assert command.main(["--quick", "--out", str(tmp_path), "--parts", ""]) == 2
    assert "nothing of trunk, spikes, training" in capsys.readouterr().err
    assert not (tmp_path / "measured_spikes.json").exists()


def test_what_is_not_installed_is_said_before_any_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(_module("trunk_sparsity"), "missing", lambda: "not installed: h5py")
    monkeypatch.setattr(_module("fashion_training"), "is_installed", lambda: False)
    command = _module("measure_papers")
    folder = tmp_path / "out"
    assert command.main(["--out", str(folder), "--work", str(folder)]) == 2
    said = capsys.readouterr().err
    assert "VGG-16 trunk: not installed: h5py" in said
    assert "Fashion-MNIST: Debian package dataset-fashion-mnist not installed" in said
    assert not folder.exists()


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--quick"], "--quick needs --out"),
        (["--parts", "trunk,tail"], "--parts tail: allowed are trunk,spikes,training"),
        (["--seeds", "0"], "must be at least 1"),
    ],
)
def test_wrong_options_exit_with_2(
    arguments: list[str], text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        _module("measure_papers").main(arguments)
    assert caught.value.code == 2
    assert text in capsys.readouterr().err
