"""What a delta unit lets through, as differentiable torch functions.

Only the references matter for the result: the memory of a delta layer is W x_ref + b at all times,
so training may compute it at once from the references and get the same numbers and gradients as
from the sum over all deltas.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from tospike.errors import OptionError

#: width of the soft threshold through which a learnable threshold gets its gradient, relative to it
SOFTNESS = 0.25


@dataclass(frozen=True)
class Sent:
    """What one delta unit sent: ``count`` elements of ``total``, and the mean |delta| (for an L1
    penalty; carries gradients)."""

    count: int
    total: int
    l1: Tensor

    @property
    def sparsity(self) -> float:
        """Gamma, the share of elements that were not sent."""
        return 1.0 - self.count / self.total if self.total else float("nan")


def reference_step(
    value: Tensor, reference: Tensor, theta: Tensor, learnable: bool, dense: bool = False
) -> tuple[Tensor, Tensor, Tensor]:
    """(new reference, sent mask, |sent delta|) of one step; any shape.

    Gradients run through the elements that are sent and through references that are kept, as in
    the unrolled network. A learnable threshold gets its gradient from a logistic function of
    (|delta| - theta) in place of the step, in the backward pass only. ``dense``: the gradient is
    that of a network without thresholds at these values, as if each reference were its value;
    nothing is added up while a reference is held.
    """
    delta = value - reference
    size = delta.abs()
    sent = size > theta
    if not learnable:
        kept = torch.where(sent, value, reference)
        if dense:
            kept = value + (kept - value).detach()
        return kept, sent, torch.where(sent, size, 0.0)
    width = (SOFTNESS * theta.detach().abs()).clamp_min(1e-6)
    soft = torch.sigmoid((size - theta) / width)
    gate = sent.to(value.dtype) + soft - soft.detach()
    return reference + gate * delta, sent, gate * size


def references(
    sequence: Tensor, theta: Tensor, learnable: bool = False, dense: bool = False
) -> tuple[Tensor, Sent]:
    """References of every step of a sequence (T, ...) that starts from references of zero."""
    if not learnable and float(theta.max()) == 0.0:
        # Every change is sent, so the reference is the value; only the counting is left.
        delta = torch.diff(sequence, dim=0, prepend=torch.zeros_like(sequence[:1]))
        count = int(torch.count_nonzero(delta))
        return sequence, Sent(count, sequence.numel(), delta.abs().mean())
    reference = torch.zeros_like(sequence[0])
    kept, count = [], 0
    total = sequence.new_zeros(())
    for value in sequence:
        reference, sent, size = reference_step(value, reference, theta, learnable, dense)
        kept.append(reference)
        count += int(torch.count_nonzero(sent))
        total = total + size.sum()
    return torch.stack(kept), Sent(count, sequence.numel(), total / sequence.numel())


def checked_theta(theta: float, name: str) -> float:
    """A threshold as it is, or :class:`~tospike.errors.OptionError`."""
    if not (theta >= 0 and theta < float("inf")):
        raise OptionError(
            f"use the delta threshold {name} = {theta!r}", allowed="a finite number >= 0"
        )
    return float(theta)
