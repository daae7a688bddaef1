"""Bad input to conversion at few time steps: one clear error with every reason."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import tospike as ts
from tospike import cli
from tospike.conversion import (
    QCFS,
    calibrate,
    executable,
    qcfs_network,
    run_snn,
    run_ttfs,
    sigma_delta_network,
)
from tospike.conversion.calibration import calibration_of_qcfs
from tospike.errors import ConversionError, DataError, OptionError, TospikeError

torch.set_num_threads(1)


def net() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 4), nn.ReLU(), nn.Linear(4, 3))


def rows(n: int = 12) -> torch.Tensor:
    return torch.randn(n, 6, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def ready() -> Any:
    graph = executable(net().eval(), rows())
    return graph, calibrate(graph, rows()), rows()


def test_all_options_of_a_calibration_at_once(ready: Any) -> None:
    graph, _, x = ready
    with pytest.raises(OptionError) as caught:
        calibrate(
            graph, x, method="median", timesteps=0, percentile=12, granularity="row",  # type: ignore[arg-type]
            correction="luck",  # type: ignore[arg-type]
        )  # fmt: skip
    text = str(caught.value)
    for part in ("'median'", "timesteps = 0", "percentile = 12", "'row'", "'luck'"):
        assert part in text


def test_nan_and_wrong_calibration_data(ready: Any) -> None:
    graph, _, x = ready
    bad = x.clone()
    bad[0, 0] = float("nan")
    for data in (bad, x[:0], x[:, :3], "text"):
        with pytest.raises(DataError, match="calibrate"):
            calibrate(graph, data, method="mse", timesteps=4)


def test_qcfs_without_qcfs(ready: Any) -> None:
    graph, _, x = ready
    with pytest.raises(ConversionError, match="without QCFS activations"):
        calibration_of_qcfs(graph, x)
    with pytest.raises(ConversionError, match="without QCFS activations"):
        ts.convert(net().eval(), "snn", calibration_data=x, method="qcfs")


@pytest.mark.parametrize(("levels", "first"), [(0, 1.0), (2.5, -1.0), (True, float("nan"))])
def test_impossible_activations(levels: Any, first: float) -> None:
    with pytest.raises(OptionError) as caught:
        QCFS(levels, first)
    assert "levels" in str(caught.value)
    assert first == 1.0 or "initial_lambda" in str(caught.value)
    with pytest.raises(OptionError):
        qcfs_network(net(), levels, initial_lambda=first)


def test_networks_that_cannot_have_qcfs() -> None:
    other = nn.Sequential(nn.Linear(6, 6), nn.GELU(), nn.Linear(6, 4), nn.Tanh(), nn.LSTM(4, 2))
    with pytest.raises(ConversionError) as caught:
        qcfs_network(other, 4)
    text = str(caught.value)
    for part in ("1: GELU", "3: Tanh", "4: LSTM", "no ReLU"):
        assert part in text
    with pytest.raises(ConversionError, match="has QCFS already"):
        qcfs_network(qcfs_network(net(), 4), 4)
    with pytest.raises(OptionError, match="no rectifier 'nowhere'"):
        qcfs_network(net(), 4, initial_lambda={"nowhere": 1.0})
    for data in (torch.full((2, 6), float("nan")), rows()[:0], rows()[:, :2]):
        with pytest.raises(DataError, match="first thresholds"):
            qcfs_network(net(), 4, calibration_data=data)


def test_a_threshold_that_training_lost() -> None:
    made = qcfs_network(net(), 4).eval()
    with torch.no_grad():
        made[1].threshold.fill_(-0.5)  # type: ignore[union-attr,operator]
        made[3].threshold.fill_(float("nan"))  # type: ignore[union-attr,operator]
    with pytest.raises(ConversionError) as caught:
        executable(made, rows())
    assert "1: lambda = -0.5" in str(caught.value)
    assert "3: lambda = nan" in str(caught.value)


def test_unknown_rules_and_times(ready: Any) -> None:
    graph, calibration, x = ready
    with pytest.raises(OptionError) as caught:
        run_snn(graph, calibration, x, max_pool="mean", schedule="never")
    assert "'mean'" in str(caught.value)
    assert "'never'" in str(caught.value)
    for steps in ((), (0,), (-1, 2), (2.5,), (5000,)):
        with pytest.raises(OptionError):
            run_ttfs(graph, calibration, x, timesteps=steps)  # type: ignore[arg-type]
    with pytest.raises(TospikeError, match="nowhere"):
        run_ttfs(graph, calibration, x, spiking=("nowhere",))
    with pytest.raises(DataError):
        run_ttfs(graph, calibration, torch.full((2, 6), float("inf")))
    with pytest.raises(DataError):
        run_ttfs(graph, calibration, x, np.arange(3))


def test_convert_lists_what_does_not_fit() -> None:
    with pytest.raises(ConversionError) as caught:
        ts.convert(net(), "snn", theta=0.1, coding="morse")  # type: ignore[arg-type]
    for part in ("delta threshold", "no calibration data", "'morse'"):
        assert part in str(caught.value)
    with pytest.raises(ConversionError, match="belong to the rate code"):
        ts.convert(net(), "snn", calibration_data=rows(), coding="ttfs", max_pool="or")
    with pytest.raises(ConversionError, match="belong to 'snn'"):
        ts.convert(net(), "qnn", calibration_data=rows(), coding="ttfs")
    with pytest.raises(ConversionError, match="no threshold"):
        ts.convert(net(), "sigma_delta", calibration_data=rows())
    with pytest.raises(ConversionError, match="'spikes'"):
        ts.convert(net(), "spikes", calibration_data=rows())


def test_sigma_delta_thresholds_and_streams(ready: Any) -> None:
    graph, _, x = ready
    for theta in (-1.0, float("nan"), "much", True):
        with pytest.raises(OptionError, match="no finite number"):
            sigma_delta_network(graph, theta)  # type: ignore[arg-type]
    with pytest.raises(OptionError) as caught:
        sigma_delta_network(graph, {"0": -1.0, "nowhere": 0.1})
    assert "theta of 0" in str(caught.value)
    assert "'nowhere'" in str(caught.value)
    made = sigma_delta_network(graph, 0.1)
    for frames in (x, x[:0].reshape(0, 1, 6), x.reshape(3, 4, 6)[:, :, :2]):
        with pytest.raises(DataError):
            made(frames)
    good = x.reshape(3, 4, 6)
    with pytest.raises(DataError):
        made.run(good, np.zeros((2, 2), int))
    with pytest.raises(DataError, match="outside of 0 to 2"):
        made.run(good, torch.full((3, 4), 9))
    with pytest.raises(DataError, match="no class numbers"):
        made.run(good, torch.zeros(3, 4))


FACTORY = """
import torch
from torch import nn


def net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 4), nn.ReLU(), nn.Linear(4, 3))
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "net.py").write_text(FACTORY)
    np.savez(tmp_path / "xy.npz", x=rows(30).numpy(), y=np.arange(30) % 3)
    return tmp_path


def command(
    text: str, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> tuple[int, str, str]:
    given = f"{folder}/net.py:net --data {folder}/xy.npz {text}"
    monkeypatch.setattr(sys, "argv", ["tospike", "convert", *given.split()])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    captured = capsys.readouterr()
    return int(stop.value.code or 0), captured.out, captured.err


BAD = {
    "method": ("--to snn --method best", "--method is 'best'"),
    "all at once": ("--to snn --correction x --coding y --schedule z", "--schedule is 'z'"),
    "qcfs": ("--to snn --method qcfs", "without QCFS activations"),
    "T": ("--to snn --timesteps 1,0", "positive integers"),
    "T words": ("--to snn --timesteps two", "positive integers"),
    "T too long": ("--to snn --timesteps 5000", "integers from 1 to 4096"),
    "coding of a qnn": ("--to qnn --coding ttfs", "--coding belongs to --to snn"),
    "pool of ttfs": ("--to snn --coding ttfs --max-pool or", "belong to --coding rate"),
    "size": ("--to snn --calibration-size 0", "at least 1"),
    "no theta": ("--to sigma_delta", "no threshold"),
    "theta layer": ("--to sigma_delta --theta fc=1/4", "'fc'"),
}


@pytest.mark.parametrize("case", BAD)
def test_the_command_says_one_error(
    case: str, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text, expected = BAD[case]
    status, out, err = command(text, folder, monkeypatch, capsys)
    assert status == 2
    assert expected in err
    assert "Traceback" not in err
    assert out == ""


def test_a_sweep_over_t(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    options = "--to snn --timesteps 1,2,32 --calibration-size 20 --seed 3"
    status, out, _ = command(f"{options} --json", folder, monkeypatch, capsys)
    assert status == 0
    found = json.loads(out)
    assert [row["timesteps"] for row in found["sweep"]] == [1, 2, 32]
    assert [row["method"] for row in found["sweep"]] == ["mse", "mse", "percentile"]
    assert found["accuracy"] == found["sweep"][-1]["accuracy"]
    again = json.loads(command(f"{options} --json", folder, monkeypatch, capsys)[1])
    assert again == found  # the draw follows the seed
    status, out, _ = command("--to snn --timesteps 1,4 --coding ttfs", folder, monkeypatch, capsys)
    assert status == 0
    assert "spikes/syn" in out
    assert "2 windows of 4 steps" in out
    status, out, _ = command(
        "--to snn --timesteps 1,4 --format markdown", folder, monkeypatch, capsys
    )
    assert status == 0
    assert "spikes per synapse" in out


def test_sigma_delta_of_a_stream(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    status, out, _ = command("--to sigma_delta --theta 0 --json", folder, monkeypatch, capsys)
    assert status == 0
    found = json.loads(out)
    assert found["frames"] == 30
    assert found["largest_error"] == 0.0
    assert [row["layer"] for row in found["layers"]] == ["0", "2", "4"]
    status, out, _ = command(
        "--to sigma_delta --theta 1/4 --theta 0=0", folder, monkeypatch, capsys
    )
    assert status == 0
    assert "agreement" in out
