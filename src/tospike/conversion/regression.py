"""Weights of one layer from what the spikes before it say, by ridge regression in closed form.

    minimise   sum |W x + b - y|**2 + ridge |W - W0|**2 + ridge |b - b0|**2

over samples and positions: x what the spikes say, y the float layer's pre-activation, W0 and b0 the
trained weights. Only sums of x xT and x yT are kept, so memory does not grow with the samples. x
is a whole number of spikes times a scale per channel; sums of products of such numbers are exact in
float32, in any order.

``ridge`` is found on samples that are left out: each half of them judges what the other half gives
for every share in :data:`PULLS`; then all of them are used.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from tospike.conversion.graph import ExecutableGraph, Node, Synapse

#: shares of the mean of the diagonal that are tried as pull towards the trained weights
PULLS = (0.001, 0.01, 0.1, 1.0, 10.0)
#: the pull where the samples are too few to leave half of them out
RIDGE = 1.0
#: fewest samples of which half are left out
SPLIT = 16
#: positions that are summed, as a multiple of the inputs of a neuron, and at least
ROWS_PER_INPUT, LEAST_ROWS = 32, 8192
#: values of the patches that are held at once (float64: 32 MB)
VALUES = 4_000_000
#: multiplications that moving the weights of a network may cost (about 10 s on one core)
MOST = 2.0e11
#: parts of a block up to which its exact sums in float32 are faster than those in float64
PARTS = 16
#: float32 holds every whole number up to here
EXACT = 2**24


@dataclass(frozen=True, eq=False)
class Sums:
    """Sums over rows, per group of a convolution, float64.

    square : (groups, K, K) of x xT, K the inputs of a neuron and one for the bias.
    right : (groups, K, outputs) of x yT.
    """

    square: Tensor
    right: Tensor

    def __add__(self, other: Sums) -> Sums:
        return Sums(self.square + other.square, self.right + other.right)

    def less(self, whole: Tensor) -> Sums:
        """With y - W x in place of y; ``whole`` (groups, outputs, K)."""
        return Sums(self.square, self.right - self.square @ whole.transpose(1, 2))

    def solution(self, share: float) -> Tensor:
        """Change of the weights (groups, K, outputs) with this pull."""
        pull = share * self.square.diagonal(dim1=1, dim2=2).mean(dim=1).clamp_min(1e-12)
        eye = torch.eye(self.square.shape[1], dtype=torch.float64)
        factor = torch.linalg.cholesky(self.square + pull.reshape(-1, 1, 1) * eye)
        return torch.cholesky_solve(self.right, factor)

    def error(self, change: Tensor) -> float:
        """Sum of squared errors with ``change``, less that without."""
        return float((change * (self.square @ change - 2.0 * self.right)).sum())


def regressed(
    spec: Synapse,
    x: Tensor,
    target: Tensor,
    unit: Tensor | None = None,
    *,
    largest: int | None = None,
    pulls: Collection[float] = PULLS,
) -> Synapse:
    """``spec`` with weights and biases that give ``target`` (n, outputs...) from ``x``.

    x : (n, inputs...), in units of ``unit`` (inputs,) per input channel (None: 1). ``largest``:
    x holds whole numbers up to this; None where it holds any.
    """
    start = whole_weights(spec)
    scale = columns_of(spec, unit)
    used = positions_used(spec, len(x), n_positions(spec, target.shape[1:]))
    if len(x) < SPLIT:
        total = sums(spec, x, target, scale, used, largest).less(start)
        share = RIDGE if len(pulls) > 1 else next(iter(pulls))
    else:
        halves = [
            sums(spec, x[i::2], target[i::2], scale, used, largest).less(start) for i in (0, 1)
        ]
        share = best_pull(halves[0], halves[1], pulls)
        total = halves[0] + halves[1]
    whole = start + total.solution(share).transpose(1, 2)
    moved = whole[:, :, :-1].reshape(spec.weight.shape).to(spec.weight.dtype)
    return replace(spec, weight=moved, bias=whole[:, :, -1].reshape(-1).to(spec.weight.dtype))


def best_pull(one: Sums, other: Sums, pulls: Collection[float]) -> float:
    """The pull with which each half is best said by the weights of the other."""
    if len(pulls) == 1:
        return next(iter(pulls))
    return min(
        pulls,
        key=lambda share: other.error(one.solution(share)) + one.error(other.solution(share)),
    )


def whole_weights(spec: Synapse) -> Tensor:
    """(groups, outputs, K) weights with the bias as last column, float64."""
    rows = spec.weight.shape[0] // spec.groups
    weight = spec.weight.double().reshape(spec.groups, rows, -1)
    bias = torch.zeros(spec.groups * rows, dtype=torch.float64)
    if spec.bias is not None:
        bias = spec.bias.double()
    return torch.cat([weight, bias.reshape(spec.groups, rows, 1)], dim=2)


def columns_of(spec: Synapse, unit: Tensor | None) -> Tensor:
    """Scale (groups, K) of the columns of the patches, 1 for the bias."""
    inputs = int(spec.weight.shape[1])
    if unit is None:
        unit = torch.ones(spec.groups * inputs, dtype=torch.float64)
    each = unit.double().reshape(spec.groups, inputs, 1).expand(-1, -1, math.prod(spec.kernel))
    return torch.cat(
        [each.reshape(spec.groups, -1), torch.ones(spec.groups, 1, dtype=torch.float64)], dim=1
    )


def sums(
    spec: Synapse, x: Tensor, target: Tensor, scale: Tensor, used: int, largest: int | None
) -> Sums:
    """The sums over ``used`` positions of each sample, in units of ``scale``."""
    groups, size = scale.shape
    square = torch.zeros(groups, size, size, dtype=torch.float64)
    right = torch.zeros(groups, size, spec.weight.shape[0] // groups, dtype=torch.float64)
    # products of whole numbers are added in float32 as long as their sum is exact
    exact = 0 if largest is None else EXACT // largest**2
    for rows, y in _blocks(spec, x, target, used, VALUES // (groups * size)):
        wide = rows.double()
        few_parts = PARTS * exact >= rows.shape[1]
        for part in torch.split(rows.float(), exact, dim=1) if few_parts else (wide,):
            square[:, :-1, :-1] += (part.transpose(1, 2) @ part).double()
        square[:, -1, :-1] += wide.sum(dim=1)
        square[:, -1, -1] += rows.shape[1]
        right[:, :-1] += wide.transpose(1, 2) @ y
        right[:, -1] += y.sum(dim=1)
    square[:, :-1, -1] = square[:, -1, :-1]
    return Sums(square * scale.unsqueeze(2) * scale.unsqueeze(1), right * scale.unsqueeze(2))


def _blocks(
    spec: Synapse, x: Tensor, target: Tensor, used: int, rows: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """(patches, outputs) of about ``rows`` rows; positions are drawn with a fixed seed."""
    draw = torch.Generator().manual_seed(0)
    places = n_positions(spec, target.shape[1:])
    step = max(1, rows // used)
    for start in range(0, len(x), step):
        at = None
        if used < places:
            at = torch.randperm(places, generator=draw)[:used].sort().values
        yield (
            patches(spec, x[start : start + step], at),
            outputs(spec, target[start : start + step].double(), at),
        )


def n_positions(spec: Synapse, shape: tuple[int, ...] | torch.Size) -> int:
    """Positions of one sample at which the weights are used; ``shape`` of the output."""
    return math.prod(shape) // spec.out_channels


def positions_used(spec: Synapse, samples: int, places: int) -> int:
    """Positions of each sample that are summed."""
    inputs = spec.weight.numel() // spec.weight.shape[0] + 1
    wanted = max(LEAST_ROWS, ROWS_PER_INPUT * inputs)
    return min(places, -(-wanted // samples))


def patches(spec: Synapse, x: Tensor, at: Tensor | None = None) -> Tensor:
    """What each output reads: (groups, rows, fan-in), at the positions ``at`` (None: all)."""
    if spec.kind == "linear":
        tokens = x.reshape(len(x), -1, x.shape[-1])
        return (tokens if at is None else tokens[:, at]).reshape(1, -1, x.shape[-1])
    lead = (0,) * (2 - len(spec.kernel))  # a 1-d convolution as one of height 1
    ones = (1,) * len(lead)
    image = x.unsqueeze(2) if lead else x
    padding = lead + tuple(low for low, _ in spec.padding)
    columns = F.unfold(image, ones + spec.kernel, ones + spec.dilation, padding, ones + spec.stride)
    columns = columns if at is None else columns[:, :, at]
    grouped = columns.reshape(x.shape[0], spec.groups, -1, columns.shape[-1])
    return grouped.permute(1, 0, 3, 2).reshape(spec.groups, -1, grouped.shape[2])


def outputs(spec: Synapse, y: Tensor, at: Tensor | None = None) -> Tensor:
    """Outputs in the order of :func:`patches`: (groups, rows, outputs per group)."""
    if spec.kind == "linear":
        tokens = y.reshape(len(y), -1, y.shape[-1])
        return (tokens if at is None else tokens[:, at]).reshape(1, -1, y.shape[-1])
    grouped = y.reshape(y.shape[0], spec.groups, y.shape[1] // spec.groups, -1)
    grouped = grouped if at is None else grouped[..., at]
    return grouped.permute(1, 0, 3, 2).reshape(spec.groups, -1, grouped.shape[2])


# -- what it costs ---------------------------------------------------------------------------------


def cost(spec: Synapse, samples: int, places: int) -> float:
    """Multiplications of :func:`regressed`: the sums, and the solutions for every pull."""
    inputs = spec.weight.numel() // spec.weight.shape[0] + 1
    rows = samples * positions_used(spec, samples, places)
    solutions = 2 * len(PULLS) + 1 if samples >= SPLIT else 1
    per_group = rows * inputs**2 + solutions * inputs**3 / 3.0
    return spec.groups * per_group


def movable(spec: Synapse) -> bool:
    """True for the geometries that :func:`patches` knows."""
    return spec.kind == "linear" or (
        len(spec.kernel) <= 2
        and not spec.transposed
        and all(low == high for low, high in spec.padding)
    )


def kept_layers(graph: ExecutableGraph, spiking: Collection[str], samples: int) -> dict[str, str]:
    """Spiking layers whose weights stay as they are, with the reason.

    Those with several uses or a geometry that is not known; and the costliest ones of a network
    that needs more than :data:`MOST` multiplications.
    """
    uses: dict[str, list[Node]] = {}
    for node in graph:
        if isinstance(node.spec, Synapse) and node.spec.layer in spiking:
            uses.setdefault(node.spec.layer, []).append(node)
    found: dict[str, str] = {}
    costs: dict[str, float] = {}
    for name, nodes in uses.items():
        spec = nodes[0].spec
        assert isinstance(spec, Synapse)
        if len(nodes) > 1:
            found[name] = "it is used several times"
        elif not movable(spec):
            found[name] = "a transposed, 3-d or unevenly padded convolution"
        else:
            costs[name] = cost(spec, samples, n_positions(spec, nodes[0].shape))
    for name in sorted(costs, key=lambda name: costs[name], reverse=True):
        if sum(costs.values()) <= MOST:
            break
        found[name] = f"{costs.pop(name):.1e} multiplications"
    return found
