"""What ``tospike train`` and the training say when something is wrong: all reasons at once."""

from __future__ import annotations

import builtins
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from typer.testing import CliRunner

from tospike.cli import app
from tospike.conversion.training import (
    DirectSNN,
    Neuron,
    Recipe,
    Spiking,
    direct_snn,
    load_snn,
    save_snn,
    spiking_record,
    to_spikingjelly,
    train_network,
)
from tospike.errors import ConversionError, DataError, ModelError, OptionError, TospikeError

MODEL = """
import torch
from torch import nn

def make():
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(4, 4, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(64, 3))
"""


def small() -> nn.Sequential:
    return nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 2))


def samples(n: int = 16) -> tuple[Tensor, Tensor]:
    return torch.rand(n, 4), torch.arange(n) % 2


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A model, labelled images, and other files."""
    (tmp_path / "net.py").write_text(MODEL)
    rng = np.random.default_rng(0)
    x, y = rng.random((24, 1, 8, 8), dtype=np.float32), np.arange(24) % 3
    np.savez(tmp_path / "train.npz", x=x, y=y)
    np.savez(tmp_path / "bare.npz", x=x)
    return tmp_path


def call(folder: Path, *options: str, method: str = "direct") -> Any:
    arguments = [
        "train", f"{folder}/net.py:make", "--method", method, "--data", f"{folder}/train.npz",
        "--out", f"{folder}/out.pt", "--epochs", "1", "--batch", "8", *options,
    ]  # fmt: skip
    return CliRunner().invoke(app, arguments)


def message(result: Any) -> str:
    assert isinstance(result.exception, TospikeError), result.output
    return str(result.exception)


def test_all_wrong_options_at_once(folder: Path) -> None:
    arguments = [
        "train", "net.py:make", "--method", "dirct", "--out", f"{folder}/missing/out.npz",
        "--test-labels", "y.npy", "--minutes", "-1", "--threads", "0",
    ]  # fmt: skip
    text = message(CliRunner().invoke(app, arguments))
    assert text == (
        "cannot train with these options\n"
        "  fix: mend what is listed\n"
        "  reasons:\n"
        "    - --method is 'dirct'; there are ann, qcfs, direct\n"
        "    - --data is needed: labelled samples to train on\n"
        "    - --test-labels without --test\n"
        "    - --out is 'out.npz'; a name that ends in .pt is needed\n"
        f"    - the folder of --out does not exist: {folder}/missing\n"
        "    - --minutes is -1.0; it must be at least 0\n"
        "    - --threads is 0; it must be at least 1"
    )


def test_the_command_trains_resumes_and_says_what_came_out(folder: Path) -> None:
    first = call(folder, "--test", f"{folder}/train.npz", "--penalty", "0.1", "--json")
    assert first.exception is None, first.output
    found = json.loads(first.output)
    assert found["method"] == "direct"
    assert found["layers"][1]["layer"] == "4"
    assert found["layers"][1]["signal"] == "spike"
    assert found["spikes_per_synapse"] > 0
    assert [one["name"] for one in found["neurons"]] == ["2", "5"]
    assert len(found["test_accuracy_at"]) == 4
    # the checkpoint is not overwritten without being asked, and gone on from when asked
    assert "a file that exists" in message(call(folder, "--penalty", "0.1"))
    again = call(folder, "--penalty", "0.1", "--resume", "--test", f"{folder}/train.npz", "--json")
    assert json.loads(again.output) == found
    other = message(call(folder, "--penalty", "0.2", "--resume"))
    assert "settings.penalty: 0.1 there, 0.2 asked" in other


def test_the_other_methods_and_formats(folder: Path) -> None:
    for method in ("ann", "qcfs"):
        out = f"{folder}/{method}.pt"
        result = call(folder, "--out", out, "--test", f"{folder}/train.npz", method=method)
        assert result.exception is None, result.output
        assert "test accuracy" in result.output
        assert isinstance(torch.load(out, weights_only=True), dict)
    start = call(folder, "--initial", f"{folder}/ann.pt", "--format", "csv")
    assert start.exception is None, start.output
    assert "spikes per synapse" in start.output


def test_data_and_models_that_cannot_be_trained(folder: Path) -> None:
    text = message(call(folder, "--data", f"{folder}/bare.npz"))
    assert "there are no labels" in text
    assert "--labels" in text
    (folder / "wrong.pt").write_bytes(b"no weights")
    assert "a file that cannot be read" in message(call(folder, "--initial", f"{folder}/wrong.pt"))
    torch.save({"0.weight": torch.zeros(2, 2), "more": torch.zeros(1)}, folder / "other.pt")
    text = message(call(folder, "--initial", f"{folder}/other.pt"))
    for part in ("0.bias is missing", "more is not in the model", "0.weight has shape (2, 2)"):
        assert part in text
    arguments = ["train", "vgg16", "--method", "ann", "--data", f"{folder}/train.npz"]
    text = message(CliRunner().invoke(app, [*arguments, "--out", f"{folder}/o.pt"]))
    assert "no torch module" in text


def test_settings_give_all_reasons() -> None:
    with pytest.raises(OptionError) as recipe:
        Recipe(epochs=0, batch=0, rate=0.0, shift=-1, warm_up=2.0)
    for part in ("epochs is 0", "batch is 0", "rate is 0.0", "shift is -1", "warm_up is 2.0"):
        assert part in str(recipe.value)
    with pytest.raises(OptionError) as neuron:
        Neuron("lief", 0, decay=1.0, surrogate="step", percentile=0.0)
    for part in (
        "neuron is 'lief'; there are if, lif, plif", "timesteps is 0", "decay is 1.0",
        "surrogate is 'step'", "percentile is 0.0",
    ):  # fmt: skip
        assert part in str(neuron.value)
    with pytest.raises(OptionError) as objective:
        Spiking("mse", tet_lambda=2.0, penalty=-1.0, target=float("nan"))
    for part in ("loss is 'mse'", "tet_lambda is 2.0", "penalty is -1.0", "target is nan"):
        assert part in str(objective.value)


def test_networks_that_cannot_spike_name_every_operation() -> None:
    network = nn.Sequential(
        nn.Conv2d(1, 2, 3, padding=1, padding_mode="circular"), nn.GELU(), nn.Flatten(),
        nn.LayerNorm(8), nn.ReLU(), nn.Linear(8, 2), nn.Softmax(dim=1),
    )  # fmt: skip
    with pytest.raises(ConversionError) as caught:
        direct_snn(network, Neuron(), torch.zeros(1, 1, 2, 2))
    for part in ("0: padding", "1: GELU", "3: LayerNorm", "6: Softmax"):
        assert part in str(caught.value)
    with pytest.raises(ConversionError, match="GRU"):
        direct_snn(nn.Sequential(nn.GRU(2, 3)), Neuron(), torch.zeros(1, 4, 2))
    with pytest.raises(ConversionError, match="no rectifier"):
        direct_snn(nn.Sequential(nn.Linear(3, 2)), Neuron(), torch.zeros(1, 3))

    class Branches(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x if x.sum() > 0 else -x

    with pytest.raises(ConversionError, match=r"torch\.fx cannot trace it"):
        direct_snn(Branches(), Neuron(), torch.zeros(1, 3))
    with pytest.raises(ConversionError, match=r"a sample of shape \(7,\) on which it fails"):
        direct_snn(small(), Neuron(), torch.zeros(1, 7))


def test_data_that_does_not_fit() -> None:
    x, y = samples()
    recipe = Recipe(epochs=1, batch=8)
    with pytest.raises(DataError) as caught:
        train_network(
            small(), x * float("nan"), y[:5], "ann", Recipe(epochs=1, batch=20, flip=True)
        )
    for part in ("16 samples and 5 labels", "fewer than a batch of 20", "NaN", "for images"):
        assert part in str(caught.value)
    with pytest.raises(DataError, match="labels from 0 to 7"):
        train_network(small(), x, torch.arange(16) % 8, "ann", recipe)
    with pytest.raises(ModelError, match="sample of shape"):
        train_network(small(), x[:, :3], y, "ann", recipe)
    with pytest.raises(OptionError, match="method 'qat'"):
        train_network(small(), x, y, "qat", recipe)
    frames = torch.rand(16, 3, 4)
    with pytest.raises(DataError, match="one frame per time step"):
        train_network(small(), frames, y, "direct", recipe, frames=True)


@pytest.mark.parametrize("method", ["ann", "direct"])
def test_divergence_stops(method: str) -> None:
    x, y = samples()
    network = small()
    with torch.no_grad():
        network.get_submodule("2").get_parameter("weight").fill_(float("inf"))
    with pytest.raises(ModelError, match=r"step 1 of 2") as caught:
        train_network(network, x + 10, y, method, Recipe(epochs=1, batch=8))
    assert "use a smaller rate" in str(caught.value)


def test_files_of_spiking_networks(tmp_path: Path) -> None:
    x, _ = samples()
    snn = direct_snn(small(), Neuron(timesteps=2), x)
    save_snn(tmp_path / "a.pt", snn)
    assert isinstance(load_snn(tmp_path / "a.pt", small()), DirectSNN)
    other = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 2))
    with pytest.raises(ModelError, match="belong together"):
        load_snn(tmp_path / "a.pt", other)
    (tmp_path / "b.pt").write_bytes((tmp_path / "a.pt").read_bytes()[:-100])
    with pytest.raises(ModelError, match=r"b\.pt"):
        load_snn(tmp_path / "b.pt", small())
    torch.save({"x": 1}, tmp_path / "c.pt")
    with pytest.raises(ModelError, match="another kind of file"):
        load_snn(tmp_path / "c.pt", small())


def test_what_the_engine_does_not_know_is_named() -> None:
    network = nn.Sequential(
        nn.Conv3d(1, 2, 3), nn.ReLU(), nn.MaxPool3d(2), nn.Flatten(), nn.Linear(16, 2)
    )
    snn = direct_snn(network, Neuron(), torch.zeros(1, 1, 6, 6, 6))
    with pytest.raises(ConversionError) as caught:
        spiking_record(snn)
    assert "0: Conv3d" in str(caught.value)
    assert "2: MaxPool3d" in str(caught.value)


def test_without_spikingjelly_the_error_says_how_to_install_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real = builtins.__import__

    def refuse(name: str, *rest: Any, **named: Any) -> Any:
        if name.startswith("spikingjelly"):
            raise ImportError(f"No module named {name!r}")
        return real(name, *rest, **named)

    monkeypatch.setattr(builtins, "__import__", refuse)
    snn = direct_snn(small(), Neuron(), samples()[0])
    with pytest.raises(ModelError, match="pip install --no-deps spikingjelly"):
        to_spikingjelly(snn)
