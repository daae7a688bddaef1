"""Laws of the retraining: a stopped training goes on exactly, seeds decide, thresholds arrive."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tospike.conversion.delta.chain import Chain
from tospike.conversion.delta.changes import references
from tospike.conversion.delta.compiled import compile
from tospike.conversion.delta.layers import DeltaGRU
from tospike.conversion.delta.pruning import Pruning, nonzeros
from tospike.conversion.delta.recording import recorded
from tospike.conversion.delta.replace import delta_network
from tospike.conversion.delta.search import thresholds
from tospike.conversion.delta.train import Recipe, Trained, retrain, train
from tospike.errors import DataError, ModelError, OptionError

Parts = tuple[nn.Module, Tensor, Tensor]
RECIPE = Recipe(epochs=3, rate=0.02, batch=8, l1=0.1, theta_ramp=0.5, pruning=Pruning(0.5, 3))


def loss(output: Tensor, y: Tensor) -> Tensor:
    return F.cross_entropy(output[:, -1], y)


def noise(x: Tensor, generator: torch.Generator) -> Tensor:
    return x + 0.1 * torch.randn(x.shape, generator=generator)


@pytest.fixture
def parts() -> Parts:
    """A network with dropout, and sequences whose class is the sign of their mean."""
    torch.manual_seed(0)
    x = 0.1 * torch.randn(40, 10, 2).cumsum(dim=1)
    network = Chain([nn.GRU(2, 6), nn.Dropout(0.2), nn.Linear(6, 2)], batch_first=True)
    return network, x, (x.mean(dim=(1, 2)) > 0).long()


def same(one: Trained, other: Trained) -> bool:
    states = one.module.state_dict(), other.module.state_dict()
    return one.history == other.history and all(
        torch.equal(states[0][name], states[1][name]) for name in states[0]
    )


class KilledError(Exception):
    """Stands for a signal in the middle of a training."""


@pytest.mark.parametrize("stop", [1, 5, 7, 14])
def test_stopped_and_resumed_is_as_uninterrupted(parts: Parts, tmp_path: Path, stop: int) -> None:
    network, x, y = parts
    network = delta_network(network, 0.1)
    whole = train(network, x, y, loss, RECIPE, augment=noise)
    file = tmp_path / "run" / "state.pt"

    def kill(done: int, steps: int) -> None:
        assert steps == 15
        if done == stop:
            raise KilledError

    options = {"augment": noise, "checkpoint": file, "every": 2}
    with pytest.raises(KilledError):
        train(network, x, y, loss, RECIPE, progress=kill, **options)  # type: ignore[arg-type]
    torch.manual_seed(123)  # whatever else was drawn in between
    resumed = train(network, x, y, loss, RECIPE, **options)  # type: ignore[arg-type]
    assert same(resumed, whole)
    assert [path.name for path in file.parent.iterdir()] == ["state.pt"]
    # A finished training is only read.
    again = train(network, x, y, loss, RECIPE, **options)  # type: ignore[arg-type]
    assert same(again, whole)


def test_a_kill_while_writing_leaves_the_last_checkpoint(
    parts: Parts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network, x, y = parts
    file = tmp_path / "state.pt"
    recipe = Recipe(epochs=2, batch=8)
    whole = train(network, x, y, loss, recipe)
    write, calls = torch.save, []

    def save(state: object, stream: object) -> None:
        calls.append(1)
        if len(calls) == 2:
            stream.write(b"half")  # type: ignore[attr-defined]
            raise KilledError
        write(state, stream)  # type: ignore[arg-type]

    monkeypatch.setattr(torch, "save", save)
    with pytest.raises(KilledError):
        train(network, x, y, loss, recipe, checkpoint=file)
    monkeypatch.undo()
    assert [path.name for path in tmp_path.iterdir()] == ["state.pt"]
    assert same(train(network, x, y, loss, recipe, checkpoint=file), whole)


def test_the_seed_decides_and_the_given_network_stays(parts: Parts) -> None:
    network, x, y = parts
    before = {name: value.clone() for name, value in network.state_dict().items()}
    recipe = Recipe(epochs=1, batch=8, rate=0.01)
    first = train(network, x, y, loss, recipe)
    torch.rand(7)
    assert same(train(network, x, y, loss, recipe), first)
    assert not same(train(network, x, y, loss, dataclasses.replace(recipe, seed=1)), first)
    for name, value in network.state_dict().items():
        assert torch.equal(value, before[name])


def test_training_does_not_touch_the_global_random_state(parts: Parts) -> None:
    network, x, y = parts
    before = torch.get_rng_state()
    train(network, x, y, loss, Recipe(epochs=1, batch=8))
    assert torch.equal(torch.get_rng_state(), before)


def test_retraining_learns_with_the_thresholds_asked_for(parts: Parts) -> None:
    network, x, y = parts
    found = retrain(
        network, x, y, loss, theta=0.1, theta_x=0.05,
        pretrain=Recipe(epochs=15, rate=0.03, batch=8),
        recipe=Recipe(epochs=5, rate=0.02, batch=8, theta_ramp=0.4),
    )  # fmt: skip
    assert found.dense is not None
    assert found.dense.history[-1].loss < 0.5 * found.dense.history[0].loss
    assert all(epoch.sparsity == 0 for epoch in found.dense.history)
    at = thresholds(found.delta.module)
    assert at == pytest.approx({("0", 0, "theta_x"): 0.05, ("0", 0, "theta_h"): 0.1})
    with torch.no_grad():
        right = (found.delta.module(x)[:, -1].argmax(1) == y).float().mean()
    assert right >= 0.9
    # the first epochs ran at lower thresholds
    assert found.delta.history[0].sparsity < found.delta.history[-1].sparsity
    assert not found.delta.module.training


def test_thresholds_arrive_even_if_they_rise_to_the_last_step(parts: Parts) -> None:
    network, x, y = parts
    start = delta_network(network, 0.1)
    found = train(start, x, y, loss, Recipe(epochs=1, batch=8, theta_ramp=1.0))
    assert thresholds(found.module) == thresholds(start)


def test_the_penalty_makes_deltas_small(parts: Parts) -> None:
    network, x, y = parts
    start = delta_network(network, 0.02)
    free, bound = (
        train(start, x, y, loss, Recipe(epochs=6, rate=0.03, batch=8, l1=l1)) for l1 in (0.0, 10.0)
    )
    assert bound.history[-1].penalty < 0.8 * free.history[-1].penalty
    assert bound.history[-1].sparsity > free.history[-1].sparsity


def test_a_dense_gradient_is_that_of_the_values_not_of_the_references(parts: Parts) -> None:
    # 1.0 is held for a step: the kept gradient counts it twice, the dense one once
    x = torch.tensor([[1.0], [1.2], [2.0]], requires_grad=True)
    kept, _ = references(x, torch.tensor(0.5), dense=True)
    assert kept.flatten().tolist() == [1.0, 1.0, 2.0]
    (kept.flatten() * torch.tensor([1.0, 10.0, 100.0])).sum().backward()
    assert x.grad is not None
    assert x.grad.flatten().tolist() == [1.0, 10.0, 100.0]
    network, x, y = parts
    start = delta_network(network, 0.1)
    recipe = Recipe(epochs=1, batch=8, dense_gradient=True)
    found = train(start, x, y, loss, recipe)
    assert not same(
        train(start, x, y, loss, dataclasses.replace(recipe, dense_gradient=False)), found
    )
    assert found.module.get_submodule("0").dense_gradient is False
    with pytest.raises(OptionError, match="dense gradient"):
        train(delta_network(network, 0.1, learnable=True), x, y, loss, recipe)


def test_pruned_at_the_end(parts: Parts) -> None:
    network, x, y = parts
    found = train(network, x, y, loss, Recipe(epochs=2, batch=8, pruning=Pruning(2 / 3, 6)))
    for name in ("weight_ih_l0", "weight_hh_l0"):
        assert nonzeros(found.module.get_submodule("0").get_parameter(name), 6).unique() == 1


def test_learnable_thresholds_move(parts: Parts) -> None:
    network, x, y = parts
    start = delta_network(network, 0.1, learnable=True)
    found = train(start, x, y, loss, Recipe(epochs=1, batch=8, l1=1.0))
    assert thresholds(found.module) != thresholds(start)
    assert "theta_x=(0.10" in repr(found.module)
    compiled = compile(found.module)
    with torch.no_grad():
        np.testing.assert_allclose(compiled.run(x[0].numpy()), found.module(x[:1])[0], atol=1e-5)
    with pytest.raises(OptionError, match="ramp learnable thresholds"):
        train(start, x, y, loss, Recipe(epochs=1, batch=8, theta_ramp=0.5))


def test_all_calls_of_all_layers_are_recorded() -> None:
    layer = DeltaGRU(3, 4)
    network = nn.Sequential(layer)
    with recorded() as outer:
        network(torch.zeros(5, 2, 3))
        with recorded() as inner:
            network(torch.zeros(5, 2, 3))
        network(torch.zeros(5, 2, 3))
    network(torch.zeros(5, 2, 3))
    assert (len(outer), len(inner)) == (3, 1)
    assert all(part is layer for part, _ in outer)


def test_a_checkpoint_of_another_training_is_refused(parts: Parts, tmp_path: Path) -> None:
    network, x, y = parts
    file = tmp_path / "state.pt"
    train(network, x, y, loss, Recipe(epochs=1, batch=8), checkpoint=file)
    with pytest.raises(OptionError) as caught:
        train(network, x + 1, y, loss, Recipe(epochs=1, batch=8, rate=0.5), checkpoint=file)
    text = str(caught.value)
    assert "recipe.rate: 0.001 there, 0.5 asked" in text
    assert "- data: " in text
    assert "remove the file to train from the start" in text
    assert "first weights" not in text


def test_an_older_checkpoint_without_a_newer_option_is_gone_on_from(
    parts: Parts, tmp_path: Path
) -> None:
    network, x, y = parts
    file, recipe = tmp_path / "state.pt", Recipe(epochs=1, batch=8)
    whole = train(network, x, y, loss, recipe, checkpoint=file)
    state = torch.load(file, weights_only=True)
    del state["fingerprint"]["recipe.dense_gradient"]
    torch.save(state, file)
    assert same(train(network, x, y, loss, recipe, checkpoint=file), whole)
    other = dataclasses.replace(recipe, dense_gradient=True)
    with pytest.raises(OptionError, match="dense_gradient: False there, True asked"):
        train(network, x, y, loss, other, checkpoint=file)


@pytest.mark.parametrize("data", [b"", b"no checkpoint", b"PK\x03\x04 cut"])
def test_a_damaged_checkpoint_is_refused(parts: Parts, tmp_path: Path, data: bytes) -> None:
    network, x, y = parts
    file = tmp_path / "state.pt"
    file.write_bytes(data)
    with pytest.raises(DataError, match=r"checkpoint state\.pt"):
        train(network, x, y, loss, Recipe(epochs=1, batch=8), checkpoint=file)
    assert file.read_bytes() == data


def test_a_truncated_checkpoint_is_refused(parts: Parts, tmp_path: Path) -> None:
    network, x, y = parts
    file = tmp_path / "state.pt"
    train(network, x, y, loss, Recipe(epochs=1, batch=8), checkpoint=file)
    file.write_bytes(file.read_bytes()[:-200])
    with pytest.raises(DataError, match="cannot be read"):
        train(network, x, y, loss, Recipe(epochs=1, batch=8), checkpoint=file)


def test_bad_recipes_and_data_give_all_reasons(parts: Parts) -> None:
    with pytest.raises(OptionError) as caught:
        Recipe(epochs=0, rate=0.0, l1=-1.0, theta_ramp=2.0)
    for part in ("epochs is 0", "rate is 0.0", "l1 is -1.0", "theta_ramp is 2.0"):
        assert part in str(caught.value)
    network, x, y = parts
    with pytest.raises(DataError) as data:
        train(network, x * float("nan"), y[:5], loss, Recipe(epochs=1, batch=50))
    for part in ("40 samples and 5 labels", "fewer than a batch of 50", "NaN"):
        assert part in str(data.value)


def test_divergence_is_an_error(parts: Parts) -> None:
    network, x, y = parts
    with pytest.raises(ModelError, match="step 1 of 5"):
        train(network, x, y, lambda out, y: loss(out, y) / 0, Recipe(epochs=1, batch=8))
