"""``tospike simulate``: what it prints, and one clear error with exit status 2 for bad input."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from test_cli import run

import toy_machine
from tospike.machines import MACHINES
from tospike.sources import SOURCES

FACTORY = """
import torch
from torch import nn


def cnn():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 3), nn.ReLU(), nn.Flatten(),
        nn.Linear(64, 3),
    )


def gru():
    torch.manual_seed(0)
    return nn.GRU(5, 7, batch_first=True)
"""
LAYERS = ["0", "2", "5"]
#: synapses of the three layers: 6*6*4*9, 4*4*4*4*9, 64*3
MACS = [1296, 2304, 192]

Command = Callable[[str], tuple[int, str, str]]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A network, data, and files of zeros and traces, good and bad; the toy machine's chip."""
    monkeypatch.setitem(MACHINES, "toy", "toy_machine")
    toy_machine.written(tmp_path)
    rng = np.random.default_rng(0)
    x = np.maximum(rng.standard_normal((9, 1, 8, 8)), 0).astype(np.float32)
    (tmp_path / "net.py").write_text(FACTORY)
    np.savez(tmp_path / "x.npz", x=x)
    np.savez(tmp_path / "frames.npz", x=rng.standard_normal((2, 6, 5)).astype(np.float32))
    rows = "\n".join(f"conv{i},{5 * i}" for i in range(1, 14))
    (tmp_path / "published.csv").write_text(f"layer,zeros_pct\n{rows}\nTotal,58.6\n")
    (tmp_path / "out_of_range.csv").write_text(
        "layer,zeros_pct\nfeatures.2,101\nclassifier.0,-1\nclassifier.2,nan\n"
    )
    (tmp_path / "unknown.yaml").write_text("features.0: 10\nfeatures.1000: 20\n")
    (tmp_path / "some.json").write_text('{"features.0": 10, "classifier.0": 20}')
    (tmp_path / "twice.csv").write_text("layer,zeros_pct\nfeatures.0,1\nfeatures.0,2\n")
    (tmp_path / "columns.csv").write_text("a,b\n1,2\n")
    (tmp_path / "empty.csv").write_text("layer,zeros_pct\n")
    (tmp_path / "binary.csv").write_bytes(b"\x80\x81\x82")
    (tmp_path / "cut.json").write_text('{"features.0": 10')
    np.savez(tmp_path / "traces.npz", **{"features.0": np.zeros((1, 3, 9, 9), np.float32)})
    np.savez(tmp_path / "nan.npz", **{"features.0": np.full((1, 3, 32, 32), np.nan)})
    (tmp_path / "cut.npz").write_bytes((tmp_path / "traces.npz").read_bytes()[:200])
    return tmp_path


@pytest.fixture
def command(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Command:
    """Run ``tospike simulate`` with {f} for the folder."""

    def call(text: str) -> tuple[int, str, str]:
        words = [word.format(f=folder) for word in text.split()]
        return run(["simulate", *words], monkeypatch, capsys)

    return call


TOY = "--machine {f}/my_chip.yaml"
BAD = {
    "unknown machine": ("vgg8 --machine eyeris_v1 --zeros 0", "architecture 'eyeris_v1'"),
    "no machine": ("vgg8 --machine {f}/none.yaml --zeros 0", "No such file"),
    "unknown network": (f"vgg61 {TOY} --zeros 0", "vgg16"),
    "no activity": (f"vgg8 {TOY}", "--data, --zeros or --traces"),
    "zeros out of range": (f"vgg8 {TOY} --zeros {{f}}/out_of_range.csv", "101 %; 0 to 100"),
    "zeros of no layer": (f"vgg8 {TOY} --zeros {{f}}/unknown.yaml", "'features.1000'"),
    "zeros missing": (f"vgg8 {TOY} --zeros {{f}}/some.json", "classifier.2"),
    "zeros twice": (f"vgg8 {TOY} --zeros {{f}}/twice.csv", "twice"),
    "zeros without columns": (f"vgg8 {TOY} --zeros {{f}}/columns.csv", "the columns a, b"),
    "empty zeros": (f"vgg8 {TOY} --zeros {{f}}/empty.csv", "no row"),
    "binary zeros": (f"vgg8 {TOY} --zeros {{f}}/binary.csv", "a damaged file"),
    "cut zeros": (f"vgg8 {TOY} --zeros {{f}}/cut.json", "a damaged file"),
    "no zeros file": (f"vgg8 {TOY} --zeros {{f}}/none.csv", "No such file"),
    "number out of range": (f"vgg8 {TOY} --zeros 120", "120 %; 0 to 100"),
    "trace of another shape": (f"vgg8 {TOY} --traces {{f}}/traces.npz", "(1, 3, 32, 32)"),
    "trace with NaN": (f"vgg8 {TOY} --traces {{f}}/nan.npz", "NaN"),
    "damaged traces": (f"vgg8 {TOY} --traces {{f}}/cut.npz", "cut.npz"),
    "no traces": (f"vgg8 {TOY} --traces {{f}}/none.npz", "No such file"),
    "data of a topology": (f"vgg8 {TOY} --data {{f}}/x.npz", "without weights"),
    "a module without data": (f"{{f}}/net.py:cnn {TOY} --zeros 0", "without data"),
    "data and zeros": (f"{{f}}/net.py:cnn {TOY} --data {{f}}/x.npz --zeros 0", "data and zeros"),
    "batch of 0": (f"vgg8 {TOY} --zeros 0 --batch 0", "batch is 0"),
    "batch beyond the data": (
        f"{{f}}/net.py:cnn {TOY} --data {{f}}/x.npz --batch 10", "9 sample(s)"),
    "unknown technology": (f"vgg8 {TOY} --zeros 0 --technology horowitz", "horowitz_2014_45nm"),
    "figure of no kind": (f"vgg8 {TOY} --zeros 0 --figure {{f}}/a.gif", "'.gif'"),
    "figure nowhere": (f"vgg8 {TOY} --zeros 0 --figure {{f}}/no/a.svg", "no directory"),
    "timesteps without data": (f"vgg8 {TOY} --zeros 0 --timesteps 4", "--timesteps without"),
    "no spikes": ("{f}/net.py:cnn --machine event_core --data {f}/x.npz", "--timesteps T"),
    "no such layer": (f"vgg8 {TOY} --zeros 0 --layers fc", "allowed: classifier.0"),
    "two formats": (f"vgg8 {TOY} --zeros 0 --json --format csv", "--json and --format"),
}  # fmt: skip


@pytest.mark.parametrize(("text", "said"), BAD.values(), ids=BAD)
def test_one_screen_for_bad_input(command: Command, folder: Path, text: str, said: str) -> None:
    before = sorted(path.name for path in folder.iterdir())
    code, out, err = command(text)
    assert code == 2
    assert out == ""
    assert said in err
    assert "Traceback" not in err
    assert len(err.splitlines()) <= 40
    assert sorted(path.name for path in folder.iterdir()) == before


def test_every_fault_of_the_zeros_at_once(command: Command) -> None:
    _, _, err = command(f"vgg8 {TOY} --zeros {{f}}/out_of_range.csv")
    assert [line.split("'")[1] for line in err.splitlines() if line.strip().startswith("- ")] == [
        "features.2",
        "classifier.0",
        "classifier.2",
    ]


def test_json_of_a_published_table_of_zeros(command: Command) -> None:
    code, out, err = command(f"vgg16 {TOY} --batch 3 --zeros {{f}}/published.csv --json")
    assert (code, err) == (0, "")
    body = json.loads(out)
    assert len(body["layers"]) == 13
    assert body["layers"][0]["name"] == "features.0"
    # 3 images x 3*64*9*224*224 MACs; 5 % zeros; products with padding are never executed
    assert body["layers"][0]["macs"] == 3 * 86_704_128
    assert body["layers"][0]["operations"] == pytest.approx(3 * 0.95 * 192 * 670 * 670)
    assert body["total"]["macs"] == 3 * 15_346_630_656
    text = " ".join(body["notes"])
    assert "13 rows were taken as the convolutions in order, conv1 as features.0" in text
    assert "classifier.0, classifier.2, classifier.4" in text
    for layer in body["layers"]:
        assert layer["latency_s"] == pytest.approx(layer["cycles"] / 100e6)
        assert layer["cycles"] == layer["busy_cycles"] + layer["stall_cycles"]["dram_load"]
        assert set(layer["bytes"]) == {"buffer", "DRAM"}
        assert layer["energy_J"] == pytest.approx(sum(layer["energy_parts_J"].values()))
    total = body["total"]
    for key in ("cycles", "latency_s", "energy_J", "macs", "operations"):
        assert total[key] == pytest.approx(sum(layer[key] for layer in body["layers"]))
    for level in ("buffer", "DRAM"):
        assert total["bytes"][level] == pytest.approx(
            sum(layer["bytes"][level] for layer in body["layers"])
        )
    assert total["effective_ops_per_s"] == pytest.approx(2 * total["macs"] / total["latency_s"])
    assert total["ops_per_s_per_w"] == pytest.approx(
        total["effective_ops_per_s"] / total["power_W"]
    )
    assert total["energy_low_J"] <= total["energy_J"] <= total["energy_high_J"]
    assert (body["machine"], body["evidence"], body["batch"]) == ("my_chip", "simulated", 3)
    assert {"key", "text", "verified"} == set(body["sources"][0])
    assert all(source["key"] in SOURCES for source in body["sources"])
    assert "toy assumption" in body["assumptions"]


def test_a_module_with_data(command: Command) -> None:
    code, out, _ = command(f"{{f}}/net.py:cnn {TOY} --data {{f}}/x.npz --json --batch 2")
    body = json.loads(out)
    assert code == 0
    assert [layer["name"] for layer in body["layers"]] == LAYERS
    assert [layer["macs"] for layer in body["layers"]] == [2 * macs for macs in MACS]
    assert any("real inputs of 3 of 3 layers" in text for text in body["assumptions"])
    assert any("(measured)" in text for text in body["assumptions"])


def test_a_network_that_is_converted_to_spikes(command: Command) -> None:
    code, out, _ = command(f"{{f}}/net.py:cnn {TOY} --data {{f}}/x.npz --json --timesteps 3")
    body = json.loads(out)
    assert code == 0
    assert any("as SNN of T = 3" in text for text in body["assumptions"])
    assert any("real inputs of 3 of 3 layers" in text for text in body["assumptions"])


def test_a_recurrent_network(command: Command) -> None:
    code, out, _ = command(f"{{f}}/net.py:gru {TOY} --data {{f}}/frames.npz --json")
    assert code == 0
    names = [layer["name"] for layer in json.loads(out)["layers"]]
    assert names == ["weight_ih_l0", "weight_hh_l0"]


@pytest.mark.parametrize("format", ["csv", "markdown", "latex", "json"])
def test_every_table_format(command: Command, format: str) -> None:
    code, out, err = command(f"{{f}}/net.py:cnn {TOY} --data {{f}}/x.npz --format {format}")
    assert (code, err) == (0, "")
    assert "not measured on silicon" in out
    if format == "csv":
        rows = csv.reader(io.StringIO(out))
        assert sum(bool(row) and row[0] in LAYERS for row in rows) == 2 * len(LAYERS)


def test_the_tables_for_people(command: Command) -> None:
    code, out, _ = command(f"{{f}}/net.py:cnn {TOY} --data {{f}}/x.npz")
    assert code == 0
    for text in ("Toy machine", "dram load", "Op/s/W", "toy assumption", "not measured on silicon"):
        assert text in out


def test_machines_beside_a_verdict(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Simulated figures are labelled, and a machine that cannot run the network says why."""
    words = [
        "analyze", f"{folder}/net.py:gru", "--data", f"{folder}/frames.npz", "--machine",
        f"{folder}/my_chip.yaml", "--machine", "spinalflow", "--models", "none",
    ]  # fmt: skip
    code, out, _ = run([*words, "--json"], monkeypatch, capsys)
    assert code == 0
    toy, event = json.loads(out)["simulated"]
    assert (toy["machine"], toy["implementation"], toy["evidence"]) == (
        "my_chip",
        "ANN",
        "simulated",
    )
    assert toy["total"]["energy_J"] > 0
    assert event["machine"] == "spinalflow"
    assert event["implementation"].startswith("SNN, T = ")
    assert "total" not in event
    assert event["why_not"]
    code, out, _ = run(words, monkeypatch, capsys)
    assert code == 0
    assert "simulated: my_chip" in out
    assert "spinalflow cannot run this network" in out
    code, _, err = run([*words, "--machine", "nulhop"], monkeypatch, capsys)
    assert code == 2
    assert "did you mean 'nullhop'?" in err


def test_thresholds_belong_to_delta_networks(command: Command) -> None:
    code, _, err = command("vgg16 --machine nullhop --zeros 0 --theta 1/16")
    assert code == 2
    assert "delta networks" in err
    code, out, _ = command(
        "{f}/net.py:gru --machine edgedrnn --data {f}/frames.npz --theta 1/4,1/2 --json"
    )
    assert code == 0
    busy = sum(layer["operations"] for layer in json.loads(out)["layers"])
    _, out, _ = command("{f}/net.py:gru --machine edgedrnn --data {f}/frames.npz --json")
    assert busy < sum(layer["operations"] for layer in json.loads(out)["layers"])


def test_a_narrow_terminal_shows_every_column(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    code, out, _ = command(f"{{f}}/net.py:cnn {TOY} --data {{f}}/x.npz")
    assert code == 0
    for title in ("latency [ms]", "utilisation [%]", "energy [µJ]", "buffer [", "DRAM ["):
        assert title in out


@pytest.mark.parametrize("suffix", [".svg", ".html"])
def test_the_figure_needs_no_network(command: Command, folder: Path, suffix: str) -> None:
    path = folder / f"timeline{suffix}"
    code, _, _ = command(f"{{f}}/net.py:cnn {TOY} --data {{f}}/x.npz --figure {path}")
    assert code == 0
    text = path.read_text(encoding="utf-8")
    own = text if suffix == ".svg" else text[: text.index("<script>")]
    assert own.replace("http://www.w3.org/2000/svg", "").count("http://") == 0
    assert "dram load" in text
    assert "Toy machine" in text
