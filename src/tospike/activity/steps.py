"""``Steps``: the calls of one inference of a model that takes one time step per call."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tospike.activity.batches import Source, torch_batches
from tospike.errors import DataError


def _is_whole(value: Any) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


@dataclass(frozen=True, slots=True)
class Steps:
    """How often the model is called in one inference, and with what.

    timesteps : that many calls with the same input (direct encoding); None for one call, or for
        as many as the data have steps. time_dim : dimension of the data that counts time steps.
    """

    timesteps: int | None = None
    time_dim: int | None = None

    @property
    def several(self) -> bool:
        """True if an inference is more than the one call that it is without these options."""
        return self.time_dim is not None or (self.timesteps or 1) > 1

    def faults(self, sequence: bool) -> list[str]:
        """Reasons against these options."""
        reasons = []
        if self.timesteps is not None and (not _is_whole(self.timesteps) or self.timesteps < 1):
            reasons.append(
                f"timesteps is {self.timesteps!r}; a whole number of at least 1 is needed"
            )
        if self.time_dim is not None and (not _is_whole(self.time_dim) or self.time_dim < 0):
            reasons.append(f"time_dim is {self.time_dim!r}; a whole number >= 0 is needed")
        if self.timesteps is not None and self.time_dim is not None:
            reasons.append("timesteps and time_dim together: the data have their own time steps")
        if sequence and self.several:
            reasons.append("sequence=True: samples are time steps there, and no inference has more")
        return reasons

    def prepared(self, source: Source) -> Source:
        """The data, arrays with time steps as (samples, T, ...)."""
        if self.time_dim is None or source.arrays is None:
            return source
        return replace(source, arrays={k: self._first(x) for k, x in source.arrays.items()})

    def first(self, source: Source, n: int, *, batch_dim: int | None, dtype: Any) -> Any:
        """The first call of the first ``n`` samples, to trace the module on."""
        head = replace(source, batches=None if source.arrays else (source.head,))
        batches = self.batches(head, batch_size=n, batch_dim=batch_dim, max_samples=n, dtype=dtype)
        return self.cut(next(batches)[0], 0, batch_dim)

    def batches(
        self,
        source: Source,
        *,
        batch_size: int,
        batch_dim: int | None,
        max_samples: int | None,
        dtype: Any,
    ) -> Iterator[tuple[Any, int]]:
        """(inputs, samples); with ``time_dim`` tensors are (samples, T, ...), to be cut by call."""
        if self.time_dim is None:
            yield from torch_batches(
                source,
                batch_size=batch_size,
                batch_dim=batch_dim,
                max_samples=max_samples,
                dtype=dtype,
            )
            return
        time, where = self.time_dim, 0
        if source.arrays is not None:
            batch_size = 1 if batch_dim is None else batch_size
        else:
            # a batch has one dimension more than the inputs of the model
            where = -1 if batch_dim is None else batch_dim + (time <= batch_dim)
        for inputs, n in torch_batches(
            source,
            batch_size=batch_size,
            batch_dim=None if where < 0 else where,
            max_samples=max_samples,
            dtype=dtype,
        ):
            if source.arrays is None:
                inputs = _map(inputs, lambda x: _samples_and_time(x, where, time))
            yield inputs, n

    def calls(self, inputs: Any, batch_dim: int | None) -> Iterator[Any]:
        """The inputs of every call of one batch."""
        from tospike.network.importers.torch_run import map_tensors

        if self.time_dim is None:
            n = self.timesteps or 1
            for _ in range(n - 1):
                # a copy: a model may write into its input
                yield map_tensors(lambda x: x.clone(), inputs)
            yield inputs
            return
        for t in range(self._length(inputs)):
            yield self.cut(inputs, t, batch_dim)

    def cut(self, inputs: Any, t: int, batch_dim: int | None) -> Any:
        """Step ``t`` of a batch, as the model takes it."""
        if self.time_dim is None:
            return inputs

        def step(x: Any) -> Any:
            now = x[:, t]
            if batch_dim is None:
                return now[0]
            return now if batch_dim == 0 else now.movedim(0, batch_dim).contiguous()

        return _map(inputs, step)

    def _length(self, inputs: Any) -> int:
        import torch

        found = inputs.values() if isinstance(inputs, Mapping) else inputs
        found = found if isinstance(inputs, Mapping | tuple) else (inputs,)
        lengths = {int(x.shape[1]) for x in found if isinstance(x, torch.Tensor) and x.dim()}
        if len(lengths) != 1 or 0 in lengths:
            raise DataError(
                "cut the data into time steps",
                received=f"{sorted(lengths)} steps along dimension {self.time_dim}",
                allowed="the same number of steps, at least one, in every input",
                fix="name the dimension that counts time steps with time_dim",
            )
        return lengths.pop()

    def _first(self, x: Any) -> Any:
        """An array as (samples, T, ...)."""
        import torch

        time = self.time_dim or 0
        if x.ndim < 2 or time >= x.ndim:
            raise _no_time(tuple(x.shape), time)
        move = torch.movedim if isinstance(x, torch.Tensor) else np.moveaxis
        return move(x, 1, 0) if time == 0 else move(x, time, 1)


def _samples_and_time(x: Any, samples: int, time: int) -> Any:
    """A batch of an iterable as (samples, T, ...); one sample without batch where samples < 0."""
    if time >= x.dim():
        raise _no_time(tuple(x.shape), time)
    if samples < 0:
        return x.movedim(time, 0).unsqueeze(0)
    return x.movedim((samples, time), (0, 1))


def _no_time(shape: tuple[int, ...], time: int) -> DataError:
    return DataError(
        "cut the data into time steps",
        received=f"data of shape {shape}, time_dim {time}",
        allowed="a dimension of the data that counts time steps, besides the samples",
        fix="time_dim=1 for (samples, T, ...), time_dim=0 for (T, samples, ...)",
    )


def _map(inputs: Any, function: Any) -> Any:
    """``function`` on every tensor that is no scalar."""
    import torch

    if isinstance(inputs, Mapping):
        return {key: _map(value, function) for key, value in inputs.items()}
    if isinstance(inputs, tuple):
        return tuple(_map(value, function) for value in inputs)
    return function(inputs) if isinstance(inputs, torch.Tensor) and inputs.dim() else inputs
