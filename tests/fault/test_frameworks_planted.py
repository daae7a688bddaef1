"""Planted faults in how spiking networks are read: each is seen by a hand count or by a check."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tospike.activity import plan
from tospike.errors import TospikeError
from tospike.network.importers import torch_populations, torch_run, torch_tables

sys.path.insert(0, str(Path(__file__).parents[1] / "cross"))
from frameworks_by_hand import (
    Case,
    check_counts,
    check_left_as_found,
    quietly,
)

quietly("norse.torch"), quietly("sinabs"), quietly("spikingjelly")
import test_frameworks_norse as norse  # noqa: E402
import test_frameworks_sinabs as sinabs  # noqa: E402
import test_frameworks_spikingjelly as spikingjelly  # noqa: E402

Keeps = frozenset[str]
KEEPS: Keeps = torch_tables.KEEPS_SPIKES
FAULTS: dict[str, tuple[Any, str, Any, Callable[[Case], Any], Case]] = {
    "a sum of spikes passes for spikes": (
        torch_tables, "KEEPS_SPIKES", KEEPS | {"add"}, check_counts,
        spikingjelly.CASES["multi-step"],
    ),
    "an average of spikes passes for spikes": (
        torch_tables, "KEEPS_SPIKES", KEEPS | {"avg_pool"}, check_counts,
        spikingjelly.CASES["multi-step"],
    ),
    "the state of an earlier run stays": (
        torch_run, "reset_states", lambda module: False, check_left_as_found,
        spikingjelly.CASES["same image"],
    ),
    "the time axis is not seen": (
        torch_populations, "n_steps", lambda *_: 1, check_counts, sinabs.CASES["dense"],
    ),
    "recurrent spikes pass for analog values": (
        torch_populations.Populations, "back_signal", lambda *_: None, check_counts,
        norse.CASES["recurrent"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", FAULTS)
def test_the_fault_is_seen(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    target, attribute, faulty, check, case = FAULTS[name]
    monkeypatch.setattr(target, attribute, faulty)
    plan._KNOWN.clear()
    with pytest.raises((AssertionError, TospikeError)):
        check(case)
