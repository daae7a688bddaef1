"""The command that measures delta networks, on its tiny task: it runs, resumes and refuses."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from types import ModuleType

import pytest
import torch

FOLDER = Path(__file__).resolve().parents[2] / "validation"


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """validation/measure_delta.py, timed in one short round."""
    monkeypatch.syspath_prepend(FOLDER)
    monkeypatch.setattr(torch, "set_num_threads", lambda n: None)
    timing = importlib.import_module("delta_timing")
    monkeypatch.setattr(timing, "ROUNDS", 1)
    return importlib.import_module("measure_delta")


def test_quick_run_writes_everything_and_can_be_repeated(
    command: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["--quick", "--seeds", "1", "--out", str(tmp_path / "r"), "--work", str(tmp_path / "w")]
    assert command.main(given) == 0
    result = json.loads((tmp_path / "r/delta_trained.json").read_bytes())
    tiny = result["tasks"]["tiny"]
    rows = {(row["training"], row["theta_x"]): row for row in tiny["rows"]}
    assert [row["training"] for row in tiny["rows"]] == [
        "dense", "post", "post", "searched_20", "searched_26", "searched_people_mean",
        "searched_people", "retrained", "pruned",
    ]  # fmt: skip
    dense, zero, some = rows["dense", 0.0], rows["post", 0.0], rows["post", 0.1]
    # 24 rows of weights by 2 inputs and 8 states, 4 bytes each
    assert dense["bytes_float32"] == 4 * 24 * 10
    assert zero["accuracy"] == dense["accuracy"]
    assert some["bytes_int8"] < zero["bytes_int8"] < dense["bytes_int8"]
    assert some["energy_dram_j"] < dense["energy_dram_j"]
    assert dense["energy_sram_j"] < dense["energy_dram_j"]
    assert len(tiny["timing"]) == 9
    assert {"date", "machine", "command"} <= set(result)
    page = (tmp_path / "r/delta.md").read_text("utf-8")
    assert "## Three sines" in page
    assert "| retrained, pruned | 0.1 | 0.1 |" in page
    capsys.readouterr()
    assert command.main([*given, "--only", "training"]) == 0
    again = json.loads((tmp_path / "r/delta_trained.json").read_bytes())
    assert again["tasks"]["tiny"]["rows"] == tiny["rows"]
    assert "step" not in capsys.readouterr().err.replace("steps", "")
    (tmp_path / "r/delta.md").unlink()
    assert command.main([*given, "--only", "page"]) == 0
    assert (tmp_path / "r/delta.md").read_text("utf-8") == page


def test_peers_give_the_same_states(command: ModuleType) -> None:
    timing = importlib.import_module("delta_timing")
    torch.manual_seed(0)
    gru, x = torch.nn.GRU(3, 5), torch.randn(7, 3)
    states = timing.run_whole(gru, x).numpy()
    compiled = timing.compile(gru)
    for found in (
        timing.run_torch(gru, x).numpy(),
        timing.run_onnx(timing.onnx_step(gru), x.numpy(), 5),
        timing.run_steps(compiled, x.numpy()),
        timing.run_sequence(compiled, x.numpy()),
    ):
        assert abs(found - states).max() < 1e-6


def test_padding_is_never_run(command: ModuleType) -> None:
    """Sequences that say NaN after their end get the same answers."""
    tasks, trained = (importlib.import_module(name) for name in ("delta_tasks", "delta_trained"))
    task = tasks.tiny()
    network = task.network(0).eval()
    before = trained.answers(network, task.test)
    x = task.test.x.clone()
    x[task.test.length == 20, 20:] = float("nan")
    after = trained.answers(network, tasks.Data(x, task.test.label, task.test.length))
    assert torch.equal(before, after)
    assert (task.test.steps(12)[task.test.length == 20, 20:] == tasks.IGNORED).all()


@pytest.mark.parametrize(
    ("given", "part"),
    [
        (["--seeds", "0"], "--seeds 0"),
        (["--only", "page"], "no delta_trained.json"),
        (["--damaged"], "damaged file"),
    ],
)
def test_errors(
    command: ModuleType,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    given: list[str],
    part: str,
) -> None:
    if given == ["--damaged"]:
        (tmp_path / "delta_trained.json").write_text("{", "utf-8")
        given = ["--seeds", "1"]
    assert command.main(["--quick", "--out", str(tmp_path), "--work", str(tmp_path), *given]) == 2
    assert part in capsys.readouterr().err
