"""Compiled kernels never outlive the code they were made from."""

from __future__ import annotations

import os
from pathlib import Path

from tospike.kernels.fresh import drop_stale


def dated(path: Path, date: float) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"x")
    os.utime(path, (date, date))
    return path


def test_an_edited_callee_drops_all_caches(tmp_path: Path) -> None:
    callee = dated(tmp_path / "callee.py", 100)
    dated(tmp_path / "caller.py", 100)
    index = dated(tmp_path / "__pycache__" / "caller.f-1.py311.nbi", 200)
    data = dated(tmp_path / "__pycache__" / "caller.f-1.py311.1.nbc", 200)
    other = dated(tmp_path / "__pycache__" / "caller.cpython-311.pyc", 50)
    assert drop_stale(tmp_path) == 0
    assert index.exists()
    dated(callee, 300)
    assert drop_stale(tmp_path) == 2
    assert not index.exists()
    assert not data.exists()
    assert other.exists()
    assert drop_stale(tmp_path) == 0
