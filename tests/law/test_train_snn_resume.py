"""A training that was killed goes on to the same weights, bit by bit."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from tospike.conversion.training import Keeping, Neuron, Recipe, Spiking, Trained, train_network
from tospike.errors import OptionError

RECIPE = Recipe(epochs=3, batch=8, rate=0.01, shift=1, flip=True)
OBJECTIVE = Spiking("tet", tet_lambda=0.05, penalty=0.1)
#: of 15 steps; 5 are an epoch
KILLED_AFTER = 8


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(6, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU(), nn.Flatten(),
        nn.Dropout(0.2), nn.Linear(6 * 16, 3),
    )  # fmt: skip


def samples() -> tuple[Tensor, Tensor]:
    x = torch.rand(40, 1, 8, 8, generator=torch.Generator().manual_seed(1))
    return x, torch.arange(40) % 3


def run(method: str, file: Path | None, minutes: float = 0.0, killed: bool = False) -> Trained:
    def progress(done: int, steps: int) -> None:
        assert steps == 15
        if killed and done == KILLED_AFTER:
            signal.raise_signal(signal.SIGKILL)

    return train_network(
        network(), *samples(), method, RECIPE, neuron=Neuron("plif", 3), objective=OBJECTIVE,
        keeping=None if file is None else Keeping(file, minutes), progress=progress,
    )  # fmt: skip


def same(one: Trained, other: Trained) -> bool:
    states = one.module.state_dict(), other.module.state_dict()
    return one.history == other.history and all(
        torch.equal(states[0][name], states[1][name]) for name in states[0]
    )


@pytest.fixture(autouse=True)
def one_thread() -> object:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


#: method, minutes between checkpoints, step of the last one
CASES = (("direct", 1e-9, KILLED_AFTER), ("qcfs", 0.0, 5))
PROGRAM = """
import os, sys
sys.path.insert(0, {folder!r})
import torch
from pathlib import Path
import {module} as here
torch.set_num_threads(1)
for method, minutes, _ in here.CASES:
    child = os.fork()
    if child == 0:
        here.run(method, Path({files!r}) / method / "state", minutes, killed=True)
        os._exit(0)
    print(os.WTERMSIG(os.waitpid(child, 0)[1]))
"""


def test_killed_and_resumed_is_as_uninterrupted(tmp_path: Path) -> None:
    here = Path(__file__)
    program = PROGRAM.format(folder=str(here.parent), module=here.stem, files=str(tmp_path))
    done = subprocess.run(
        [sys.executable, "-c", program], check=False, capture_output=True, text=True
    )
    assert done.stdout.split() == ["9", "9"], done.stderr
    for method, _, at in CASES:
        file = tmp_path / method / "state"
        assert [path.name for path in file.parent.iterdir()] == [file.name]
        assert torch.load(file, weights_only=True)["progress"]["step"] == at
        torch.manual_seed(5)  # whatever else was drawn in between
        resumed = run(method, file)
        assert same(resumed, run(method, None))
        assert same(run(method, file), resumed)  # a finished training is only read


def test_no_training_is_overwritten_or_mixed_up(tmp_path: Path) -> None:
    file = tmp_path / "state.checkpoint"
    run("ann", file)
    with pytest.raises(OptionError, match="a file that exists"):
        train_network(network(), *samples(), "ann", RECIPE, keeping=Keeping(file, resume=False))
    with pytest.raises(OptionError, match="a checkpoint of another training") as caught:
        train_network(
            network(), *samples(), "ann", Recipe(epochs=4, batch=8, rate=0.01, shift=1, flip=True),
            keeping=Keeping(file),
        )  # fmt: skip
    assert "recipe.epochs: 3 there, 4 asked" in str(caught.value)
    assert "recipe.batch" not in str(caught.value)


def test_settings_of_the_method_are_part_of_a_training(tmp_path: Path) -> None:
    file = tmp_path / "state.checkpoint"
    run("direct", file)
    with pytest.raises(OptionError) as caught:
        train_network(
            network(), *samples(), "direct", RECIPE, neuron=Neuron("plif", 3, surrogate="triangle"),
            objective=Spiking("tet", tet_lambda=0.05, penalty=0.2), keeping=Keeping(file),
        )  # fmt: skip
    assert "settings.penalty: 0.1 there, 0.2 asked" in str(caught.value)
    assert "settings.neuron surrogate: 'atan' there, 'triangle' asked" in str(caught.value)


def test_the_seed_decides(tmp_path: Path) -> None:
    first = run("direct", None)
    torch.rand(3)
    assert same(run("direct", None), first)
    other = train_network(
        network(), *samples(), "direct",
        Recipe(epochs=3, batch=8, rate=0.01, shift=1, flip=True, seed=1),
        neuron=Neuron("plif", 3), objective=OBJECTIVE,
    )  # fmt: skip
    assert not same(other, first)
