"""Models from factories and their weights: every fault is one ModelError."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from tospike.errors import ModelError
from tospike.network.importers.factory import is_factory, load_weights, module_from_factory


def net() -> nn.Module:
    return nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))


def test_what_is_a_factory() -> None:
    assert is_factory("net.py:make")
    assert is_factory("package.module:Net")
    assert not is_factory("net.onnx")
    assert not is_factory("vgg16")
    assert not is_factory("C:net")


def test_weights_round_trip(tmp_path: Path) -> None:
    torch.manual_seed(0)
    first, second = net(), net()
    torch.save(first.state_dict(), tmp_path / "w.pt")
    load_weights(second, tmp_path / "w.pt")
    for a, b in zip(first.parameters(), second.parameters(), strict=True):
        assert torch.equal(a, b)


def test_all_mismatches_at_once(tmp_path: Path) -> None:
    state = net().state_dict()
    state["0.weight"] = torch.zeros(3, 5)
    state["extra"] = state.pop("2.bias")
    torch.save(state, tmp_path / "w.pt")
    with pytest.raises(ModelError) as caught:
        load_weights(net(), tmp_path / "w.pt")
    text = str(caught.value)
    for part in ("missing: 2.bias", "unexpected: extra", "(3, 5) in the file, (3, 4) in the model"):
        assert part in text


def test_a_pickled_module_is_refused(tmp_path: Path) -> None:
    torch.save(net(), tmp_path / "w.pt")
    with pytest.raises(ModelError, match="nothing but tensors"):
        load_weights(net(), tmp_path / "w.pt")


def test_damaged_weights_give_model_errors_only(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    torch.save(net().state_dict(), tmp_path / "w.pt")
    whole = (tmp_path / "w.pt").read_bytes()
    refused = 0
    for trial in range(120):
        damaged = bytearray(whole)
        if trial % 2:
            damaged = damaged[: rng.integers(0, len(whole))]
        else:
            for place in rng.integers(0, len(whole), size=6):
                damaged[place] = rng.integers(0, 256)
        (tmp_path / "d.pt").write_bytes(bytes(damaged))
        try:
            load_weights(net(), tmp_path / "d.pt")
        except ModelError:
            refused += 1
    assert refused >= 60  # every truncation at least


def test_a_file_that_does_not_import(tmp_path: Path) -> None:
    (tmp_path / "bad.py").write_text("import torch\nx = 1 / 0\n")
    with pytest.raises(ModelError) as caught:
        module_from_factory(f"{tmp_path}/bad.py:make")
    assert "ZeroDivisionError" in str(caught.value)
    assert "bad.py:2" in str(caught.value)
