"""Batches for a torch module from arrays, tensors, mappings, data loaders and paths."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
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

    ``head``: the first batch, to look at. ``constants``: inputs that are no samples, which every
    batch takes as they are. ``n_inputs``: positional inputs of the model.
    """

    arrays: Mapping[str, Any] | None
    batches: Iterable[Any] | None
    origin: str
    head: Any = None
    constants: Mapping[str, Any] = field(default_factory=dict)
    n_inputs: int = 1

    @property
    def n_samples(self) -> int | None:
        """Number of samples, where it is known beforehand."""
        return len(next(iter(self.arrays.values()))) if self.arrays else None


def read_source(data: Any, *, n_inputs: int = 1) -> Source:
    """Tell the form of ``data``. A single array has the name "". Raises :class:`DataError`.

    ``n_inputs``: positional inputs of the model, which batches that are tuples hold first.
    """
    if isinstance(data, str | Path):
        from tospike.activity.data import read_data

        read = read_data(data)
        return Source({"": read.x}, None, f"{read.origin}")
    if isinstance(data, Mapping):
        constants = {str(key): value for key, value in data.items() if _is_scalar(value)}
        arrays = {
            str(key): _array(value, str(key))
            for key, value in data.items()
            if not _is_scalar(value)
        }
        lengths = {key: len(value) for key, value in arrays.items()}
        if not arrays or min(lengths.values()) == 0 or len(set(lengths.values())) > 1:
            raise DataError(
                "use the data",
                received=f"samples by input: {lengths}",
                allowed="the same number of samples, at least one, for every input",
                fix="put samples along the first axis of every array",
            )
        return Source(arrays, None, "arrays", constants=constants)
    if _is_array(data):
        return Source({"": _array(data, "x")}, None, "array")
    if isinstance(data, Iterable):
        iterator = _reading(data)
        head = list(islice(iterator, 1))
        if not head:
            raise DataError(
                "use the data",
                received=f"no batches in a {type(data).__name__}",
                allowed="at least one sample",
                fix="check the data: they are empty",
            )
        origin = type(data).__name__
        return Source(None, chain(head, iterator), origin, head[0], n_inputs=n_inputs)
    raise DataError("use the data", received=f"a {type(data).__name__}", allowed=ALLOWED)


def _is_array(value: Any) -> bool:
    import torch

    return isinstance(value, np.ndarray | torch.Tensor)


def _reading(data: Iterable[Any]) -> Iterator[Any]:
    """The batches of the user's own iterable; what it raises becomes a :class:`DataError`."""
    try:
        yield from data
    # the iterable is the user's code and may raise anything
    except Exception as error:
        raise DataError(
            "read the next batch of the data",
            received=f"{type(error).__name__}: {str(error)[:800]}",
            where=f"the {type(data).__name__} given as data",
            allowed="an iterable that yields batches to its end",
            fix="check that a plain loop over the data runs through",
        ) from error


def _is_scalar(value: Any) -> bool:
    """True for an input that is no samples: a number, a flag, None, an array without axes."""
    if _is_array(value):
        return bool(value.ndim == 0)
    return value is None or isinstance(value, str | bool | int | float | np.generic)


def _array(value: Any, name: str) -> Any:
    if not _is_array(value):
        value = np.asarray(value)
    if isinstance(value, np.ndarray) and value.dtype.kind not in "fiubc":
        raise DataError("use the data", received=f"{name} of type {value.dtype}", allowed="numbers")
    if isinstance(value, np.ma.MaskedArray):
        fix = "fill the masked values: x.filled(0)"
        raise DataError("use the data", received=f"{name}, a masked array", fix=fix)
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
    copy: bool = True,
) -> Iterator[tuple[Any, int]]:
    """(inputs, samples) for the module; ``batch_dim`` None gives single samples.

    ``copy=False`` for runtimes that never write into their input.

    Floating-point arrays take the ``dtype`` of the module's parameters (NumPy makes float64 by
    default, torch modules want float32); integers stay.
    """
    if source.arrays is None:
        yield from _from_iterable(source, batch_dim, max_samples, batch_size, dtype)
        return
    total = source.n_samples or 0
    total = total if max_samples is None else min(total, max_samples)
    step = 1 if batch_dim is None else batch_size
    for start in range(0, total, step):
        stop = min(start + step, total)
        part = {
            key: _place(_tensor(value[start:stop], dtype, copy=copy), batch_dim)
            for key, value in source.arrays.items()
        }
        single = set(part) == {""}
        yield (part[""] if single else {**part, **source.constants}), stop - start


def _place(x: Any, batch_dim: int | None) -> Any:
    if batch_dim is None:
        return x[0]
    if batch_dim >= x.dim():
        raise DataError(
            "use the data",
            received=f"samples of shape {tuple(x.shape[1:])}, batch_dim {batch_dim}",
            allowed=f"samples with at least {batch_dim} dimensions",
            fix="give the dimension of the model's inputs that counts samples",
        )
    return x if batch_dim == 0 else x.movedim(0, batch_dim)


def _native(value: Any) -> Any:
    """An array as torch takes it: no negative strides, own byte order, at most 64 bits."""
    dtype = np.dtype(np.float64) if value.dtype in (np.longdouble,) else value.dtype
    return np.ascontiguousarray(value, dtype.newbyteorder("="))


def _tensor(value: Any, dtype: Any, *, copy: bool = True) -> Any:
    import torch

    value = _native(value) if isinstance(value, np.ndarray) else value
    if not copy and isinstance(value, np.ndarray) and value.flags.writeable:
        x = torch.from_numpy(value)  # a read-only array would make it warn
        return x.to(dtype) if x.is_floating_point() and x.dtype != dtype else x
    # A copy: models may write into their input, and the data belong to the caller.
    x = value.clone() if isinstance(value, torch.Tensor) else torch.tensor(value)
    return x.to(dtype) if x.is_floating_point() and x.dtype != dtype else x


def _from_iterable(
    source: Source,
    batch_dim: int | None,
    max_samples: int | None,
    batch_size: int,
    dtype: Any,
) -> Iterator[tuple[Any, int]]:
    left = max_samples
    for batch in source.batches or ():
        x = _inputs_of(batch, dtype, source.n_inputs)
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


def _inputs_of(batch: Any, dtype: Any, n_inputs: int = 1) -> Any:
    """Inputs of a batch: one, a mapping or a tuple; labels behind them are left out."""
    if isinstance(batch, Mapping):
        return {key: _input(value, str(key), dtype) for key, value in batch.items()}
    if isinstance(batch, tuple | list) and len(batch):
        if n_inputs > 1 and len(batch) in (n_inputs, n_inputs + 1):
            inside = isinstance(batch[0], tuple | list) and len(batch[0]) == n_inputs
            return _positional(batch[0] if inside else batch[:n_inputs], dtype)
        if len(batch) in (1, 2) and not np.isscalar(batch[0]):
            batch = batch[0]
            if isinstance(batch, Mapping):
                return _inputs_of(batch, dtype)
            if isinstance(batch, tuple | list):
                return _positional(batch, dtype)
        elif len(batch) > 2 and all(_is_array(item) for item in batch):
            raise DataError(
                "use a batch of the data",
                received=f"{len(batch)} arrays in a {type(batch).__name__}",
                allowed=ALLOWED,
                fix="give example_input=(a, b, ...) to tell the model's inputs from labels, or "
                "batches that map the names of the inputs to arrays",
            )
    if not _is_array(batch):
        raise DataError("use a batch of the data", received=type(batch).__name__, allowed=ALLOWED)
    return _tensor(_array(batch, "x"), dtype)


def _positional(items: Any, dtype: Any) -> tuple[Any, ...]:
    if not any(_is_array(item) for item in items):
        received = f"a {type(items).__name__} without arrays"
        fix = "make arrays of nested lists: numpy.asarray(...)"
        raise DataError("use a batch of the data", received=received, allowed=ALLOWED, fix=fix)
    return tuple(_input(value, f"input {i}", dtype) for i, value in enumerate(items))


def _input(value: Any, name: str, dtype: Any) -> Any:
    return value if _is_scalar(value) else _tensor(_array(value, name), dtype)


def _length(x: Any, batch_dim: int | None) -> int:
    """Samples of a batch; every input that has the batch dimension must have as many."""
    if batch_dim is None:
        return 1
    named = dict(_named(x))
    sizes = {
        name: int(value.shape[batch_dim])
        for name, value in named.items()
        if _is_array(value) and value.ndim > batch_dim
    }
    if not sizes:
        shapes = [str(tuple(value.shape)) for value in named.values() if _is_array(value)]
        raise DataError(
            "use a batch of the data",
            received=f"shape {', '.join(shapes)}" if shapes else "no arrays",
            allowed=f"samples along dimension {batch_dim}",
            fix="give batch_dim=None for samples without a batch dimension",
        )
    if len(set(sizes.values())) > 1:
        raise DataError(
            "use a batch of the data",
            received=f"samples by input: {sizes}",
            allowed=f"the same number of samples along dimension {batch_dim} in every input",
            fix="put the samples of all inputs along the same dimension",
        )
    return next(iter(sizes.values()))


def _named(x: Any) -> Iterable[tuple[str, Any]]:
    if isinstance(x, Mapping):
        return x.items()
    return ((str(i), value) for i, value in enumerate(x if isinstance(x, tuple) else (x,)))


def _narrow(x: Any, batch_dim: int | None, start: int, size: int) -> Any:
    if batch_dim is None:
        return x
    if isinstance(x, Mapping):
        return {key: _narrow(value, batch_dim, start, size) for key, value in x.items()}
    if isinstance(x, tuple):
        return tuple(_narrow(value, batch_dim, start, size) for value in x)
    if not _is_array(x) or x.ndim <= batch_dim:
        return x
    return x.narrow(batch_dim, start, size)
