"""The command line: what it prints, and one clear error with exit status 2 for bad input."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tospike import cli

FACTORY = """
import torch
from torch import nn


def good():
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(16, 12), nn.ReLU(), nn.Linear(12, 3))


def nan():
    net = good()
    with torch.no_grad():
        net[1].weight[0, 0] = float("nan")
    return net


class Raises(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(16, 3)

    def forward(self, x):
        raise RuntimeError("the sensor is on fire")


def broken():
    raise ValueError("no such thing")


def number():
    return 3
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A factory file, good data, and damaged files of every sort."""
    rng = np.random.default_rng(0)
    x = rng.random((40, 16), dtype=np.float32)
    (tmp_path / "net.py").write_text(FACTORY)
    np.savez(tmp_path / "good.npz", x=x, y=rng.integers(0, 3, 40))
    np.savez(tmp_path / "short.npz", x=x, y=rng.integers(0, 3, 39))
    np.savez(tmp_path / "empty.npz", x=x[:0])
    np.savez(tmp_path / "wide.npz", x=rng.random((4, 17), dtype=np.float32))
    np.savez(tmp_path / "nan.npz", x=np.where(x > 0.9, np.nan, x))
    (tmp_path / "cut.npz").write_bytes((tmp_path / "good.npz").read_bytes()[:300])
    (tmp_path / "corrupt.onnx").write_bytes(b"\x08\x07 this is not a network")
    (tmp_path / "weights.pt").write_bytes(b"not a state_dict")
    return tmp_path


def run(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> tuple[int, str, str]:
    """Exit status, standard output and standard error of ``tospike ...``."""
    monkeypatch.setattr(sys, "argv", ["tospike", *arguments])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    captured = capsys.readouterr()
    return int(stop.value.code or 0), captured.out, captured.err


BAD = {
    "corrupt onnx": (["analyze", "{f}/corrupt.onnx", "--data", "{f}/good.npz"], "corrupt.onnx"),
    "missing onnx": (["analyze", "{f}/none.onnx", "--data", "{f}/good.npz"], "none.onnx"),
    "NaN weights": (["analyze", "{f}/net.py:nan", "--data", "{f}/good.npz"], "1.weight"),
    "wrong shapes": (["analyze", "{f}/net.py:good", "--data", "{f}/wide.npz"], "17"),
    "empty data": (["analyze", "{f}/net.py:good", "--data", "{f}/empty.npz"], "empty"),
    "NaN data": (["analyze", "{f}/net.py:good", "--data", "{f}/nan.npz"], "NaN"),
    "truncated data": (["analyze", "{f}/net.py:good", "--data", "{f}/cut.npz"], "cut.npz"),
    "missing data": (["analyze", "{f}/net.py:good", "--data", "{f}/none.npz"], "no such file"),
    "no data": (["analyze", "{f}/net.py:good"], "no data"),
    "model raises": (
        ["analyze", "{f}/net.py:Raises", "--data", "{f}/good.npz"],
        "the sensor is on fire",
    ),
    "factory raises": (
        ["analyze", "{f}/net.py:broken", "--data", "{f}/good.npz"],
        "no such thing",
    ),
    "no module": (["analyze", "{f}/net.py:number", "--data", "{f}/good.npz"], "a int"),
    "no factory": (["analyze", "{f}/net.py:absent", "--data", "{f}/good.npz"], "good, nan"),
    "bad weights": (
        ["analyze", "{f}/net.py:good", "--weights", "{f}/weights.pt", "--data", "{f}/good.npz"],
        "weights.pt",
    ),
    "unknown technology": (
        ["analyze", "{f}/net.py:good", "--data", "{f}/good.npz", "--technology", "horowitz_45"],
        "horowitz_2014_45nm",
    ),
    "labels of wrong length": (
        ["analyze", "{f}/net.py:good", "--data", "{f}/short.npz"],
        "39 labels for 40 samples",
    ),
    "unknown zoo name": (["analyze", "vgg61"], "vgg16"),
    "bad timesteps": (
        ["analyze", "{f}/net.py:good", "--data", "{f}/good.npz", "--timesteps", "1,zwei"],
        "--timesteps",
    ),
    "bad report path": (
        ["analyze", "{f}/net.py:good", "--data", "{f}/good.npz", "--report", "{f}/no/r.html"],
        "report",
    ),
    "half of static power": (
        ["analyze", "{f}/net.py:good", "--data", "{f}/good.npz", "--idle-power", "1 mW"],
        "--inference-time",
    ),
    "bad unit": (
        ["analyze", "{f}/net.py:good", "--data", "{f}/good.npz", "--on-chip-memory", "5 apples"],
        "5 apples",
    ),
    "unknown break-even technology": (["breakeven", "--technology", "none"], "ottati_2023_45nm"),
    "inspect without shape": (["inspect", "{f}/net.py:good"], "--shape"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_clear_error(
    case: str,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    arguments, part = BAD[case]
    before = sorted(path.name for path in folder.iterdir())
    status, out, err = run([a.format(f=folder) for a in arguments], monkeypatch, capsys)
    assert status == 2
    assert out == ""
    assert part in err
    assert err.startswith("tospike: cannot ")
    assert "Traceback" not in err
    assert len(err.splitlines()) <= 40, "an error fits on one screen"
    after = sorted(p.name for p in folder.iterdir() if p.name != "__pycache__")
    assert after == before, "nothing half-written is left behind"


def test_analyze_json_has_the_documented_fields(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    report = folder / "r.html"
    arguments = ["analyze", f"{folder}/net.py:good", "--data", f"{folder}/good.npz", "--json"]
    arguments += ["--timesteps", "1,4", "--report", str(report)]
    status, out, _ = run(arguments, monkeypatch, capsys)
    assert status == 0
    found = json.loads(out)
    for key in ("verdict", "p_snn_wins", "implementations", "layers", "partition", "sources"):
        assert key in found
    modes = {item["mode"] for item in found["implementations"]}
    assert {"ann", "qnn", "snn"} <= modes
    for item in found["implementations"]:
        assert item["energy_low_J"] <= item["energy_J"] <= item["energy_high_J"]
        assert 0 <= item["accuracy"] <= 1
    layers = {layer["name"]: layer for layer in found["layers"]}
    assert layers["1"]["n_synapses"] == 16 * 12
    assert layers["3"]["n_synapses"] == 12 * 3
    assert report.stat().st_size > 100_000


def test_breakeven_json_prints_table_iii(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # Dampfhoffer 2022, Table III; 0.44 in section III-B1
    status, out, _ = run(["breakeven", "--json"], monkeypatch, capsys)
    assert status == 0
    rates = [row["spikes_per_synapse"] for row in json.loads(out)["rows"]]
    assert [round(rate, 2) for rate in rates[:5]] == [1.38, 0.28, 0.15, 0.44, 0.42]


def test_inspect_a_zoo_network(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    status, out, _ = run(["inspect", "vgg16", "--json"], monkeypatch, capsys)
    assert status == 0
    # 15.47 GMAC and 138.34 M weights without biases: Simonyan & Zisserman 2015, configuration D
    assert json.loads(out)["total"]["n_synapses"] == 15_470_264_320


def test_help_does_not_import_torch() -> None:
    code = (
        "import sys; from tospike import cli; sys.argv = ['tospike', '--help']\n"
        "try:\n    cli.main()\nexcept SystemExit:\n    pass\n"
        "heavy = {'torch', 'onnx', 'onnxruntime', 'plotly', 'pint', 'scipy', 'numba'}\n"
        "sys.exit(', '.join(sorted(heavy & set(sys.modules))) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "analyze" in done.stdout
