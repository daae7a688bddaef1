"""``tospike convert``: what it prints and writes, and one clear error for bad input."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from convert_by_command import run, written

import tospike as ts
from tospike import cli
from tospike.conversion.delta.store import load, save
from tospike.errors import ConversionError, DataError, OptionError
from tospike.reporting import read_report

torch.set_num_threads(1)

FACTORY = """
import torch
from torch import nn


class Filter(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.rnn = nn.GRU(3, 8, batch_first=True)
        self.last = nn.Linear(8, 2)

    def forward(self, x):
        return self.last(self.rnn(x)[0])


class Tagger(Filter):
    def forward(self, x):
        return self.last(self.rnn(x)[0][:, -1])


def chain():
    torch.manual_seed(0)
    return nn.GRU(3, 8, batch_first=True)


def flat():
    return nn.Sequential(nn.Flatten(), nn.Linear(60, 4), nn.ReLU(), nn.Linear(4, 2))
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return written(tmp_path, FACTORY)


BAD = {
    "no target": ("{f}/net.py:chain --to dolta", "there are delta, snn, qnn"),
    "no threshold": ("{f}/net.py:chain --to delta", "no threshold"),
    "no number": ("{f}/net.py:chain --to delta --theta a/b", "numbers such as 1/16"),
    "negative": ("{f}/net.py:chain --to delta --theta=-1", "numbers such as 1/16"),
    "no such layer": ("{f}/net.py:Filter --to delta --theta gru=1/8", "no delta layer 'gru'"),
    "both": ("{f}/net.py:chain --to delta --theta 1/8 --floor 20", "given, or searched"),
    "floor without data": ("{f}/net.py:chain --to delta --floor 20", "--floor needs --data"),
    "floor too high": (
        "{f}/net.py:Tagger --to delta --floor 1.5 --data {f}/xy.npz",
        "keep a score of 1.5",
    ),
    "accuracy of no classes": (
        "{f}/net.py:Filter --to delta --floor 0.5 --data {f}/xy.npz",
        "an output that is no class score",
    ),
    "suffix": ("{f}/net.py:chain --to delta --theta 1/8 --out {f}/a.txt", ".npz or .pt"),
    "no folder": ("{f}/net.py:chain --to delta --theta 1/8 --out {f}/no/a.pt", "does not exist"),
    "no chain": ("{f}/net.py:Filter --to delta --theta 1/8 --out {f}/a.npz", "compile Filter"),
    "not recurrent": ("{f}/net.py:flat --to delta --theta 1/8", "no GRU, LSTM or RNN layer"),
    "zoo name": ("vgg16 --to delta --theta 1/8", "a topology without weights"),
    "linear without data": ("{f}/net.py:Filter --to delta --theta 1 --linear all", "no --data"),
    "linear at the end": (
        "{f}/net.py:Tagger --to delta --theta 1 --linear last --data {f}/x.npz",
        "last is no linear layer over a sequence",
    ),
    "snn without data": ("{f}/net.py:flat --to snn", "--data is needed"),
    "theta of an snn": ("{f}/net.py:flat --to snn --theta 1 --data {f}/x.npz", "--theta belongs"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_error(
    case: str, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text, expected = BAD[case]
    before = sorted(folder.iterdir())
    status, out, err = run(text.format(f=folder), monkeypatch, capsys)
    assert status == 2
    assert expected in err
    assert "Traceback" not in err
    assert out == ""
    left = [path for path in folder.iterdir() if path.name != "__pycache__"]
    assert sorted(left) == [path for path in before if path.name != "__pycache__"]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ("--delta-thresholds 0,1/8", "numbers above 0 with commas"),
        ("--delta-thresholds ,", "numbers above 0 with commas"),
        ("--snr-floor 1000", "snr_floor_db is 1000.0"),
    ],
)
def test_bad_options_of_analyze(
    options: str,
    expected: str,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    text = f"tospike analyze {folder}/net.py:Filter --data {folder}/x.npz {options}"
    monkeypatch.setattr(sys, "argv", text.split())
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert stop.value.code == 2
    assert expected in capsys.readouterr().err


def test_analyze_prints_what_delta_networks_read(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = f"tospike analyze {folder}/net.py:Filter --data {folder}/x.npz --models none"
    text += f" --delta-thresholds 1/16,1/4 --report {folder}/r.html"
    monkeypatch.setattr(sys, "argv", text.split())
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert not stop.value.code
    out = capsys.readouterr().out
    assert "Use a delta network" in out
    assert "weights/step" in out
    assert "delta, Θ=1/16" in out
    page = (folder / "r.html").read_text(encoding="utf-8")
    assert "Delta networks: what is sent, and what is read" in page
    back = read_report(folder / "r.html")[0]
    deltas = [item for item in back.implementations if item.delta]
    assert deltas
    assert deltas[0].delta[0].layer == "rnn.weight_ih_l0"


def test_data_give_sparsity_traffic_and_quality(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = f"{folder}/net.py:Filter --to delta --theta 1/8 --theta rnn=1/4 --linear all"
    text += f" --data {folder}/x.npz --out {folder}/net.pt"
    status, out, _ = run(text, monkeypatch, capsys)
    assert status == 0
    assert "weights per time step in place of 280" in out  # 24 x 3 + 24 x 8 + 2 x 8
    assert "SNR against the dense network" in out
    status, out, _ = run(f"{text} --json", monkeypatch, capsys)
    body = json.loads(out)
    assert body["thresholds"] == {
        "rnn.0.theta_x": 0.25, "rnn.0.theta_h": 0.25, "last.0.theta_x": 0.125
    }  # fmt: skip
    rnn = body["layers"][0]
    assert rnn["weights_per_step"] == pytest.approx(
        24 * (3 * (1 - rnn["sparsity_x"]) + 8 * (1 - rnn["sparsity_h"]))
    )
    state = torch.load(folder / "net.pt", weights_only=True)
    assert float(state["rnn.theta_x"][0]) == 0.25


def test_a_floor_searches_thresholds(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = f"{folder}/net.py:chain --to delta --floor 15 --data {folder}/x.npz --json"
    body = json.loads(run(text, monkeypatch, capsys)[1])
    assert body["searched"]
    assert body["quality"]["snr_db"] >= 15
    assert body["weights_per_step"] < body["dense_weights_per_step"]


def test_a_quantised_network_shows_its_activity(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = f"{folder}/net.py:flat --to qnn --data {folder}/xy.npz --json"
    body = json.loads(run(text, monkeypatch, capsys)[1])
    assert [row["layer"] for row in body["layers"]] == ["1", "3"]
    assert 0 <= body["accuracy"] <= 1


def test_a_stored_network_computes_the_same(folder: Path) -> None:
    """Bit by bit: the file holds what would be compiled."""
    net = ts.convert(torch.nn.GRU(3, 8, 2), "delta", theta=1 / 8)
    whole = torch.nn.Sequential(net)
    path = save(whole, folder / "net.npz")
    x = np.load(folder / "x.npz")["x"][0]
    assert np.array_equal(load(path).run(x), ts.compile(whole).run(x))


@pytest.mark.parametrize("damage", ["cut", "other", "missing", "newer", "shapes"])
def test_a_damaged_file_is_refused(damage: str, folder: Path) -> None:
    path = save(torch.nn.GRU(3, 8), folder / "net.npz")
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:500])
    elif damage == "other":
        np.savez(path, x=np.zeros(3))
    elif damage == "missing":
        path.unlink()
    else:
        with np.load(path) as file:
            arrays = {name: file[name] for name in file.files}
        if damage == "newer":
            arrays["chain"] = np.array(str(arrays["chain"]).replace('"format": 1', '"format": 2'))
        else:
            arrays["0.w_x"] = arrays["0.w_x"][:-1]
        np.savez(path, **arrays)
    with pytest.raises((DataError, OptionError)) as error:
        load(path)
    if damage != "shapes":
        assert "net.npz" in str(error.value)


def test_only_chains_are_stored(folder: Path) -> None:
    with pytest.raises(ConversionError, match="Bilinear"):
        save(torch.nn.Bilinear(2, 2, 2), folder / "net.npz")
    with pytest.raises(OptionError, match="suffix"):
        save(torch.nn.GRU(3, 8), folder / "net.pt")
    assert not list(folder.glob("*.tmp"))
