"""Batches for a torch module from arrays, tensors, mappings, data loaders and paths."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np

from tospike.errors import DataError

ALLOWED = (
    "a tensor or array (samples first), a mapping of them, a path, or an iterable of batches "
    "x or (x, y), such as a DataLoader"
)


@dataclass(frozen=True)
class Source:
    """Data in one of two forms: arrays with samples first, or batches, to be run through once.

    ``head``: the first batch, to look at.
    """

    arrays: Mapping[str, Any] | None
    batches: Iterable[Any] | None
    origin: str
    head: Any = None

    @property
    def n_samples(self) -> int | None:
        """Number of samples, where it is known beforehand."""
        return len(next(iter(self.arrays.values()))) if self.arrays else None


def read_source(data: Any) -> Source:
    """Tell the form of ``data``. A single array has the name "". Raises :class:`DataError`."""
    if isinstance(data, str | Path):
        from tospike.activity.data import read_data

        read = read_data(data)
        return Source({"": read.x}, None, f"{read.origin}")
    if isinstance(data, Mapping):
        arrays = {str(key): _array(value, str(key)) for key, value in data.items()}
        lengths = {key: len(value) for key, value in arrays.items()}
        if not arrays or min(lengths.values()) == 0 or len(set(lengths.values())) > 1:
            raise DataError(
                "use the data",
                received=f"samples by input: {lengths}",
                allowed="the same number of samples, at least one, for every input",
                fix="put samples along the first axis of every array",
            )
        return Source(arrays, None, "arrays")
    if _is_array(data):
        return Source({"": _array(data, "x")}, None, "array")
    if isinstance(data, Iterable):
        iterator = iter(data)
        head = list(islice(iterator, 1))
        if not head:
            raise DataError(
                "use the data",
                received=f"no batches in a {type(data).__name__}",
                allowed="at least one sample",
                fix="check the data: they are empty",
            )
        return Source(None, chain(head, iterator), type(data).__name__, head[0])
    raise DataError("use the data", received=f"a {type(data).__name__}", allowed=ALLOWED)


def _is_array(value: Any) -> bool:
    import torch

    return isinstance(value, np.ndarray | torch.Tensor)


def _array(value: Any, name: str) -> Any:
    if not _is_array(value):
        value = np.asarray(value)
    if isinstance(value, np.ndarray) and value.dtype.kind not in "fiubc":
        raise DataError("use the data", received=f"{name} of type {value.dtype}", allowed="numbers")
    if value.ndim == 0 or 0 in tuple(value.shape):
        raise DataError(
            "use the data",
            received=f"{name} of shape {tuple(value.shape)}",
            allowed="at least one sample along the first axis, and no empty axis",
            fix="check how the data were selected",
        )
    return value


def torch_batches(
    source: Source,
    *,
    batch_size: int,
    batch_dim: int | None,
    max_samples: int | None,
    dtype: Any,
) -> Iterator[tuple[Any, int]]:
    """(inputs, samples) for the module; ``batch_dim`` None gives single samples.

    Floating-point arrays take the ``dtype`` of the module's parameters (NumPy makes float64 by
    default, torch modules want float32); integers stay.
    """
    if source.arrays is None:
        yield from _from_iterable(source.batches or (), batch_dim, max_samples, batch_size, dtype)
        return
    total = source.n_samples or 0
    total = total if max_samples is None else min(total, max_samples)
    step = 1 if batch_dim is None else batch_size
    for start in range(0, total, step):
        stop = min(start + step, total)
        part = {
            key: _place(_tensor(value[start:stop], dtype), batch_dim)
            for key, value in source.arrays.items()
        }
        yield (part[""] if set(part) == {""} else part), stop - start


def _place(x: Any, batch_dim: int | None) -> Any:
    if batch_dim is None:
        return x[0]
    return x if batch_dim == 0 else x.movedim(0, batch_dim)


def _tensor(value: Any, dtype: Any) -> Any:
    import torch

    # A copy: models may write into their input, and the data belong to the caller.
    x = value.clone() if isinstance(value, torch.Tensor) else torch.tensor(value)
    return x.to(dtype) if x.is_floating_point() and x.dtype != dtype else x


def first_samples(source: Source, n: int, *, batch_dim: int | None, dtype: Any) -> Any:
    """Inputs of the first ``n`` samples, to trace the module on; the data are not consumed."""
    head = Source(source.arrays, None if source.arrays else (source.head,), source.origin)
    batches = torch_batches(head, batch_size=n, batch_dim=batch_dim, max_samples=n, dtype=dtype)
    return next(batches)[0]


def _from_iterable(
    batches: Iterable[Any],
    batch_dim: int | None,
    max_samples: int | None,
    batch_size: int,
    dtype: Any,
) -> Iterator[tuple[Any, int]]:
    left = max_samples
    for batch in batches:
        x = _inputs_of(batch, dtype)
        n = _length(x, batch_dim)
        if left is not None and n > left:
            x, n = _narrow(x, batch_dim, 0, left), left
        step = 1 if batch_dim is None else min(n, batch_size)
        for start in range(0, n, max(step, 1)):
            size = min(step, n - start)
            yield (x if size == n else _narrow(x, batch_dim, start, size)), size
        if left is not None:
            left -= n
            if left <= 0:
                return


def _inputs_of(batch: Any, dtype: Any) -> Any:
    """Inputs of a batch: of a pair (x, y) the labels are left out."""
    if isinstance(batch, Mapping):
        return {key: _tensor(_array(value, str(key)), dtype) for key, value in batch.items()}
    if isinstance(batch, tuple | list) and len(batch) in (1, 2) and not np.isscalar(batch[0]):
        batch = batch[0]
        if isinstance(batch, Mapping | tuple | list):
            return _inputs_of(batch if isinstance(batch, Mapping) else (batch,), dtype)
    if not _is_array(batch):
        raise DataError("use a batch of the data", received=type(batch).__name__, allowed=ALLOWED)
    return _tensor(_array(batch, "x"), dtype)


def _length(x: Any, batch_dim: int | None) -> int:
    if batch_dim is None:
        return 1
    first = next(iter(x.values())) if isinstance(x, Mapping) else x
    if first.dim() <= batch_dim:
        raise DataError(
            "use a batch of the data",
            received=f"shape {tuple(first.shape)}",
            allowed=f"samples along dimension {batch_dim}",
            fix="give batch_dim=None for samples without a batch dimension",
        )
    return int(first.shape[batch_dim])


def _narrow(x: Any, batch_dim: int | None, start: int, size: int) -> Any:
    if batch_dim is None:
        return x
    if isinstance(x, Mapping):
        return {key: value.narrow(batch_dim, start, size) for key, value in x.items()}
    return x.narrow(batch_dim, start, size)
