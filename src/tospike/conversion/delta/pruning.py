"""Column-balanced targeted dropout (CBTD): weights pruned so that every processing element of a
delta accelerator finds the same number of non-zeros in every column.

Equations
    Column j of a weight matrix is split over M processing elements, row i to element i mod M. In
    each sub-column of L = ceil(rows / M) weights the n = round((1 - gamma) L) of largest magnitude
    are kept. The others are the targets: while training each is dropped for one step with
    probability alpha, and alpha rises from 0 to 1. At the end all targets are set to 0.

Range of validity
    0 <= gamma < 1, 1 <= M <= rows. Where M does not divide the rows, the last sub-columns have one
    weight less; they keep min(n, their length). Equal magnitudes: the lower row is kept.

Differs from the paper
    The drop is undone after each step and its gradient withheld, as in targeted dropout (Gomez et
    al. 2019), so that a weight can come back while alpha < 1.

Reference
    ``gao_2022`` (Spartus), doi:10.1109/TNNLS.2022.3180209, whose abstract was read, not its text;
    A. N. Gomez et al.: Learning sparse networks using targeted dropout, arXiv:1905.13678.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from tospike.errors import DataError, OptionError, unknown_name


@dataclass(frozen=True)
class Pruning:
    """How the weights are pruned.

    Attributes
    ----------
    sparsity : gamma, share of weights to set to 0 in every sub-column.
    n_pe : M, processing elements that share a column.
    ramp : share of the training steps in which alpha rises linearly from 0 to 1; it stays 1 after.
    weights : names of parameters, as in ``module.named_parameters()``; empty: every matrix whose
        name begins with "weight_ih" or "weight_hh".
    """

    sparsity: float
    n_pe: int
    ramp: float = 0.7
    weights: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        reasons = []
        if not 0 <= self.sparsity < 1:
            reasons.append(f"sparsity is {self.sparsity}; it must be from 0 to below 1")
        if self.n_pe < 1:
            reasons.append(f"n_pe is {self.n_pe}; it must be at least 1")
        if not 0 <= self.ramp <= 1:
            reasons.append(f"ramp is {self.ramp}; it must be from 0 to 1")
        if reasons:
            raise OptionError("prune with column balance", reasons=reasons)

    def alpha(self, progress: float) -> float:
        """Probability that a target is dropped, at this share of the training, 0 to 1."""
        return 1.0 if progress >= self.ramp else progress / self.ramp


def balanced_mask(weight: Tensor, sparsity: float, n_pe: int) -> Tensor:
    """True where a weight is kept: (rows, columns) bool, balanced over processing elements.

    Raises
    ------
    DataError
        ``weight`` is no matrix, is empty, or holds NaN.
    OptionError
        ``sparsity`` outside of [0, 1), or ``n_pe`` outside of 1 to rows.
    """
    if weight.ndim != 2 or 0 in weight.shape:
        raise DataError(
            "prune a weight", received=f"shape {tuple(weight.shape)}", allowed="a matrix"
        )
    if torch.isnan(weight).any():
        raise DataError("prune a weight", received="NaN in it", allowed="numbers")
    Pruning(sparsity, n_pe)
    rows, columns = weight.shape
    if n_pe > rows:
        raise OptionError(
            f"split {rows} rows over {n_pe} processing elements", allowed=f"1 to {rows}"
        )
    length = math.ceil(rows / n_pe)
    kept = _kept(length, sparsity)
    # Padding rows have magnitude -1: they come last in every sub-column.
    size = torch.full((length * n_pe, columns), -1.0, dtype=weight.dtype)
    size[:rows] = weight.detach().abs().cpu()
    # Row i = step * n_pe + element, so the first axis below is the place within a sub-column.
    parts = size.reshape(length, n_pe, columns)
    order = torch.sort(parts, dim=0, descending=True, stable=True).indices
    mask = torch.zeros(parts.shape, dtype=torch.bool).scatter_(0, order[:kept], True)
    return mask.reshape(length * n_pe, columns)[:rows].to(weight.device)


def _kept(length: int, sparsity: float) -> int:
    """Weights kept in a full sub-column; halves round up, so that sparsity is never exceeded by
    more than half a weight."""
    return math.floor((1 - sparsity) * length + 0.5)


def targets(module: nn.Module, pruning: Pruning) -> dict[str, nn.Parameter]:
    """The parameters that ``pruning`` is about, by name.

    Raises
    ------
    OptionError, UnknownNameError
        No such parameter, or none at all.
    """
    named = dict(module.named_parameters())
    names: Sequence[str] = pruning.weights or [
        name for name in named if name.rpartition(".")[2].startswith(("weight_ih", "weight_hh"))
    ]
    for name in names:
        if name not in named:
            raise unknown_name("weight", name, sorted(named))
    if not names:
        raise OptionError(
            "prune with column balance",
            received="a network without recurrent weights",
            fix="name the matrices: Pruning(..., weights=(...))",
        )
    return {name: named[name] for name in names}


@contextmanager
def dropped(
    module: nn.Module, pruning: Pruning, alpha: float, generator: torch.Generator
) -> Iterator[None]:
    """Targeted dropout for one training step: targets are 0 with probability ``alpha`` inside the
    block, and get no gradient; at its end the weights are what they were."""
    saved = []
    for weight in targets(module, pruning).values():
        mask = balanced_mask(weight, pruning.sparsity, pruning.n_pe)
        drop = ~mask & (torch.rand(weight.shape, generator=generator) < alpha).to(weight.device)
        saved.append((weight, weight.detach().clone(), drop))
        with torch.no_grad():
            weight.masked_fill_(drop, 0.0)
    try:
        yield
    finally:
        for weight, before, drop in saved:
            with torch.no_grad():
                weight.copy_(before)
                if weight.grad is not None:
                    weight.grad.masked_fill_(drop, 0.0)


@torch.no_grad()
def prune(module: nn.Module, pruning: Pruning) -> dict[str, Tensor]:
    """Set all targets of ``module`` to 0, for good. Returns the masks of kept weights by name."""
    masks = {}
    for name, weight in targets(module, pruning).items():
        masks[name] = balanced_mask(weight, pruning.sparsity, pruning.n_pe)
        weight.masked_fill_(~masks[name], 0.0)
    return masks


def nonzeros(weight: Tensor, n_pe: int) -> Tensor:
    """Non-zero weights per processing element and column: (n_pe, columns) int64."""
    length = math.ceil(weight.shape[0] / n_pe)
    padded = torch.zeros(length * n_pe, weight.shape[1], dtype=torch.int64)
    padded[: weight.shape[0]] = (weight != 0).cpu()
    return padded.reshape(length, n_pe, -1).sum(dim=0)


def column_bytes(rows: int, pruning: Pruning, weight_bits: int = 8, index_bits: int = 8) -> float:
    """Bytes of one stored column: every kept weight with its place in the sub-column."""
    kept = _kept(math.ceil(rows / pruning.n_pe), pruning.sparsity) * pruning.n_pe
    return min(kept, rows) * (weight_bits + index_bits) / 8
