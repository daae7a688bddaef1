"""Checks on samples and labels, and batches of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tospike.conversion.graph import ExecutableGraph
from tospike.errors import DataError, OptionError

#: called with (samples done, samples in all)
Progress = Callable[[int, int], None]


def as_samples(graph: ExecutableGraph, x: Any, *, asked: str) -> Tensor:
    """``x`` as a tensor (N, ...) that the network takes.

    Raises
    ------
    DataError
        Listing every fault: not an array, empty, wrong shape, NaN or infinite.
    """
    if isinstance(x, Tensor):
        tensor = x.detach().cpu()
    else:
        try:
            array = np.asarray(x)
            tensor = torch.from_numpy(np.ascontiguousarray(array))
        except (TypeError, ValueError) as error:
            raise DataError(
                asked, received=f"{type(x).__name__}: {error}", allowed="an array (N, ...)"
            ) from error
    shape = ", ".join(("N", *map(str, graph.input_shape)))
    allowed = f"samples of shape ({shape}), {str(graph.input_dtype).removeprefix('torch.')}"
    reasons = []
    if tensor.dim() == 0 or tensor.shape[0] == 0:
        reasons.append("there are no samples")
    elif tuple(tensor.shape[1:]) != graph.input_shape:
        reasons.append(f"the shape is {tuple(tensor.shape)}")
    if tensor.is_complex() or tensor.dtype == torch.bool:
        reasons.append(f"the dtype is {tensor.dtype}")
    elif tensor.is_floating_point():
        bad = ~torch.isfinite(tensor)
        if bool(bad.any()):
            rows = int(bad.reshape(tensor.shape[0], -1).any(dim=1).sum())
            reasons.append(f"{int(bad.sum())} values in {rows} samples are NaN or infinite")
        if not graph.input_dtype.is_floating_point:
            reasons.append("the network takes integers")
    if reasons:
        raise DataError(
            asked,
            received=f"data of shape {tuple(tensor.shape)}",
            allowed=allowed,
            fix="put samples first and remove bad values",
            reasons=reasons,
        )
    return tensor.to(graph.input_dtype)


def as_labels(graph: ExecutableGraph, y: Any, n: int, *, asked: str) -> Tensor | None:
    """Class labels (N,) for a network with outputs (N, classes), or None."""
    if y is None:
        return None
    array = y.detach().cpu().numpy() if isinstance(y, Tensor) else np.asarray(y)
    output = graph[graph.output].shape
    reasons = []
    if array.shape != (n,):
        reasons.append(f"labels have shape {array.shape} for {n} samples")
    whole = array.dtype.kind in "iu" or (
        array.dtype.kind == "f" and bool(np.isfinite(array).all() and (array % 1 == 0).all())
    )
    if not whole:
        reasons.append(f"labels of type {array.dtype} are not class numbers")
    if len(output) != 1:
        reasons.append(f"the output (N, {', '.join(map(str, output))}) has no class dimension")
    elif whole and array.size and not (array.min() >= 0 and array.max() < output[0]):
        reasons.append(f"labels from {array.min()} to {array.max()} for {output[0]} output classes")
    if reasons:
        raise DataError(
            asked,
            allowed="class numbers (N,) from 0, one per sample",
            fix="leave labels out to measure activity and agreement only",
            reasons=reasons,
        )
    return torch.from_numpy(array.astype(np.int64))


def batches(x: Tensor, batch_size: int, progress: Progress | None) -> Iterator[tuple[int, Tensor]]:
    """(index of the first sample, samples) in order; reports progress after each."""
    if not isinstance(batch_size, int) or batch_size < 1:
        raise OptionError(
            "split the data", received=f"batch_size={batch_size!r}", allowed="an integer >= 1"
        )
    n = x.shape[0]
    for start in range(0, n, batch_size):
        yield start, x[start : start + batch_size]
        if progress is not None:
            progress(min(n, start + batch_size), n)
