"""Column-balanced targeted dropout against brute force over every sub-column."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from tospike.conversion.delta.layers import DeltaGRU
from tospike.conversion.delta.pruning import (
    Pruning,
    balanced_mask,
    column_bytes,
    dropped,
    nonzeros,
    prune,
    targets,
)
from tospike.errors import DataError, OptionError, UnknownNameError


def by_brute_force(weight: torch.Tensor, sparsity: float, n_pe: int) -> torch.Tensor:
    """One sub-column after the other, with Python's own stable sort."""
    rows, columns = weight.shape
    mask = torch.zeros(rows, columns, dtype=torch.bool)
    kept = math.floor((1 - sparsity) * math.ceil(rows / n_pe) + 0.5)
    for j in range(columns):
        for element in range(n_pe):
            own = [i for i in range(rows) if i % n_pe == element]
            own.sort(key=lambda i: -abs(float(weight[i, j])))
            for i in own[:kept]:
                mask[i, j] = True
    return mask


@given(
    rows=st.integers(1, 40),
    columns=st.integers(1, 9),
    elements=st.integers(1, 40),
    sparsity=st.floats(0, 0.99),
    ties=st.booleans(),
    seed=st.integers(0, 1000),
)
@settings(deadline=None, derandomize=True, max_examples=60)
def test_mask_is_that_of_brute_force(
    rows: int, columns: int, elements: int, sparsity: float, ties: bool, seed: int
) -> None:
    weight = torch.randn(rows, columns, generator=torch.Generator().manual_seed(seed))
    if ties:
        weight = weight.round()
    n_pe = min(rows, elements)
    mask = balanced_mask(weight, sparsity, n_pe)
    assert torch.equal(mask, by_brute_force(weight, sparsity, n_pe))


@pytest.mark.parametrize(("rows", "n_pe"), [(192, 8), (192, 64), (12, 12), (30, 3)])
def test_every_element_finds_the_same_number_in_every_column(rows: int, n_pe: int) -> None:
    weight = torch.randn(rows, 17, generator=torch.Generator().manual_seed(0))
    mask = balanced_mask(weight, 0.75, n_pe)
    counts = nonzeros(weight * mask, n_pe)
    assert counts.shape == (n_pe, 17)
    assert counts.unique().tolist() == [math.floor(0.25 * rows / n_pe + 0.5)]


def test_unbalanced_pruning_is_seen() -> None:
    """A planted fault: the same share, chosen over the whole column."""
    weight = torch.randn(64, 20, generator=torch.Generator().manual_seed(0))
    mask = torch.zeros_like(weight).scatter_(0, weight.abs().argsort(0)[48:], 1.0)
    assert len(nonzeros(weight * mask, 8).unique()) > 1


def test_example_by_hand() -> None:
    # Elements 0 and 1 get rows 0, 2, 4 and 1, 3, 5; one of three is kept in each.
    weight = torch.tensor([[3.0], [-1.0], [-4.0], [2.0], [0.5], [-9.0]])
    mask = balanced_mask(weight, 2 / 3, 2)
    assert mask[:, 0].tolist() == [False, False, True, False, False, True]


def test_dropout_hits_targets_only_at_its_rate_and_is_undone() -> None:
    torch.manual_seed(0)
    layer = nn.GRU(40, 32)
    pruning = Pruning(0.75, 8)
    before = {name: weight.detach().clone() for name, weight in layer.named_parameters()}
    x = torch.randn(3, 2, 40)
    with dropped(layer, pruning, 0.5, torch.Generator().manual_seed(1)):
        inside = {name: weight.detach().clone() for name, weight in layer.named_parameters()}
        layer(x)[0].sum().backward()
    for name, weight in layer.named_parameters():
        assert torch.equal(weight, before[name])
    assert torch.equal(inside["bias_ih_l0"], before["bias_ih_l0"])
    for name in ("weight_ih_l0", "weight_hh_l0"):
        target = ~balanced_mask(before[name], 0.75, 8)
        zero = inside[name] == 0
        assert not zero[~target].any()
        # 0.5 of thousands of targets: five deviations of a binomial
        n = int(target.sum())
        assert abs(int(zero.sum()) - n / 2) < 5 * math.sqrt(n / 4)
        gradient = layer.get_parameter(name).grad
        assert gradient is not None
        assert (gradient[zero] == 0).all()
        assert (gradient[~zero] != 0).float().mean() > 0.9


def test_dropout_is_undone_when_the_step_fails() -> None:
    layer = nn.GRU(3, 4)
    before = layer.weight_hh_l0.detach().clone()

    def fail() -> None:
        with dropped(layer, Pruning(0.5, 2), 1.0, torch.Generator()):
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        fail()
    assert torch.equal(layer.weight_hh_l0, before)


def test_alpha_one_inside_is_the_pruned_network() -> None:
    torch.manual_seed(0)
    layer = DeltaGRU(6, 8, theta_x=0.1, theta_h=0.1)
    x = torch.randn(20, 2, 6)
    pruning = Pruning(0.5, 4)
    with torch.no_grad(), dropped(layer, pruning, 1.0, torch.Generator()):
        inside = layer(x)[0]
    masks = prune(layer, pruning)
    assert set(masks) == {"weight_ih_l0", "weight_hh_l0"}
    with torch.no_grad():
        assert torch.equal(layer(x)[0], inside)
    assert nonzeros(layer.weight_hh_l0, 4).unique().tolist() == [3]


def test_alpha_rises_to_one() -> None:
    pruning = Pruning(0.5, 2, ramp=0.5)
    assert [pruning.alpha(at) for at in (0.0, 0.25, 0.5, 1.0)] == [0.0, 0.5, 1.0, 1.0]
    assert Pruning(0.5, 2, ramp=0.0).alpha(0.0) == 1.0


def test_bytes_of_a_column() -> None:
    # 24 rows of each of 8 elements, 6 kept: 48 weights of 8 bits with 8-bit places
    assert column_bytes(192, Pruning(0.75, 8)) == 96
    assert column_bytes(192, Pruning(0.0, 8), 8, 0) == 192


@pytest.mark.parametrize(
    ("make", "error", "part"),
    [
        (lambda: Pruning(1.0, 0, ramp=2.0), OptionError, "sparsity is 1.0"),
        (lambda: Pruning(1.0, 0, ramp=2.0), OptionError, "n_pe is 0"),
        (lambda: balanced_mask(torch.ones(3, 2), 0.5, 4), OptionError, "1 to 3"),
        (lambda: balanced_mask(torch.ones(3), 0.5, 1), DataError, "a matrix"),
        (lambda: balanced_mask(torch.full((3, 2), math.nan), 0.5, 1), DataError, "NaN"),
        (lambda: targets(nn.Linear(3, 4), Pruning(0.5, 2)), OptionError, "name the matrices"),
        (
            lambda: targets(nn.Linear(3, 4), Pruning(0.5, 2, weights=("wait",))),
            UnknownNameError,
            "'weight'",
        ),
    ],
)
def test_errors(make, error: type[Exception], part: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(error, match=part):
        make()


def test_named_matrices_are_pruned() -> None:
    network = nn.Sequential(nn.Linear(5, 6), nn.Linear(6, 4))
    masks = prune(network, Pruning(0.5, 2, weights=("1.weight",)))
    assert list(masks) == ["1.weight"]
    assert int((network[0].weight == 0).sum()) == 0
    assert int((network[1].weight == 0).sum()) == 12
