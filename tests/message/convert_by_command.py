"""``tospike convert`` on small sequences, for tests."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from tospike import cli


def written(folder: Path, factory: str) -> Path:
    """``folder`` with net.py, x.npz (10, 20, 3), and xy.npz with labels of two classes."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(10, 20, 3)).cumsum(axis=1).astype(np.float32) / 4
    (folder / "net.py").write_text(factory)
    np.savez(folder / "x.npz", x=x)
    np.savez(folder / "xy.npz", x=x, y=rng.integers(0, 2, 10))
    return folder


def run(
    text: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> tuple[int, str, str]:
    """Exit status, standard output and standard error of ``tospike convert ...``."""
    monkeypatch.setattr(sys, "argv", ["tospike", "convert", *text.split()])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    captured = capsys.readouterr()
    return int(stop.value.code or 0), captured.out, captured.err
