"""Counting while a torch module runs: :class:`MeasureMode`, one pass, no copies."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from tospike.activity.accumulate import LayerAccumulator
from tospike.activity.plan import Plan
from tospike.activity.populations import NeuronCounter
from tospike.activity.profile import Signal
from tospike.errors import StatisticError
from tospike.network.importers.torch_populations import steps_in
from tospike.network.importers.torch_run import Interceptor, Key, tensors_in
from tospike.network.importers.torch_sites import Site
from tospike.network.importers.torch_synapses import Operation

Array = NDArray[Any]

SIGNALS: Mapping[str, Signal] = {"analog": "analog", "spike": "spike", "delta": "delta"}


class MeasureMode(Interceptor):
    """Feeds the accumulators; layers are recognised by the place where they ran in the trace."""

    def __init__(
        self,
        root: torch.nn.Module,
        plan: Plan,
        accumulators: Mapping[str, LayerAccumulator],
        neurons: Mapping[str, NeuronCounter] | None = None,
    ) -> None:
        super().__init__(root)
        self.trace = trace = plan.trace
        self.accumulators = accumulators
        self.n_samples = 0
        self.neurons = dict(neurons or {})
        self._input_shapes: dict[str, tuple[int, ...]] = {}
        self.time_major = plan.time_major
        self.by_weight = {
            site.weight_ptr: site
            for sites in trace.sites.values()
            for site in sites
            if site.weight_ptr
        }

    def on_other(self, func: Any, args: Any, kwargs: Any) -> Any:
        return func(*args, **kwargs)

    def on_enter(self, module: torch.nn.Module, path: str, inputs: Any) -> None:
        tensors = tensors_in(inputs) if path in self.neurons else []
        if tensors:
            self._input_shapes[path] = tuple(tensors[0].shape)

    def on_module(self, module: torch.nn.Module, path: str, output: Any) -> None:
        tensors = tensors_in(output) if path in self.neurons else []
        if not tensors:
            return
        population, entered = self.trace.populations[path], self._input_shapes.get(path, ())
        shape = tuple(tensors[0].shape)
        whole = entered if population.kind.from_input else shape
        self.neurons[path].update(
            _numpy(tensors[0]),
            n_values=math.prod(whole),
            steps=steps_in(population, module, entered, shape),
        )

    def on_synapses(
        self, key: Key, operation: Operation, outputs: tuple[torch.Tensor, ...]
    ) -> None:
        site = self._site(key, operation)
        if site is None:
            return
        accumulator = self.accumulators[site.layer]
        signal = SIGNALS[site.signal]
        if operation.packed:
            raise _refused(site.layer, "a packed sequence", "padded sequences of one length")
        if site.form == "rnn_projection":
            raise _refused(
                site.layer,
                "the projection of an LSTM, whose input is not visible",
                "an LSTM without proj_size",
            )
        if site.form in ("rnn_input", "rnn_hidden"):
            self._recurrent(accumulator, operation, signal)
        elif site.form == "conv":
            self._convolution(accumulator, site, operation, signal)
        elif site.form == "bilinear" and operation.c is not None:
            a, c = (_numpy(t.reshape(-1, t.shape[-1])) for t in (operation.a, operation.c))
            accumulator.update_product(a, c, n_samples=self.n_samples, signal=signal)
        elif site.role == "both":
            self._product(accumulator, site, operation, signal)
        else:
            self._linear(accumulator, site, operation, signal)

    def _site(self, key: Key, operation: Operation) -> Site | None:
        sites = self.trace.sites.get(key, ())
        if len(sites) == 1:
            site = sites[0]
            weight = operation.a if site.role == "b" else operation.b
            if site.role == "both" or weight.data_ptr() == site.weight_ptr:
                return site
            # computed anew in every run (a reparametrised weight): known by its place and shape
            if not site.weight_ptr and tuple(weight.shape) == site.weight_shape:
                return site
        elif not sites and key in self.trace.ignored:
            return None
        # another weight than in the trace (routing), or more time steps than there
        for weight in (operation.b, operation.a):
            found = self.by_weight.get(weight.data_ptr())
            if found is not None:
                return found
        raise StatisticError(
            f"recognise the operation {key[1]!r}",
            received="an operation that did not run on the example input",
            where=f"module {key[0]!r}, execution {key[2] + 1} in one call",
            allowed="the operations of the traced network",
            fix="give example_input an input that reaches all layers",
        )

    # -- one function per form -----------------------------------------------------------------

    def _linear(
        self, accumulator: LayerAccumulator, site: Site, operation: Operation, signal: Signal
    ) -> None:
        x, dim = operation.a, site.axis.dim
        if site.role == "b":
            x = operation.b.transpose(-1, -2)
            last = x.dim() - 1
            dim = {last: last - 1, last - 1: last}.get(dim, dim) if dim is not None else None
        x = self._samples_first(x, dim)
        rows = x.shape[0] // self.n_samples
        if site.n_time_dims and not site.positions:
            x = x.reshape(-1, *x.shape[1 + site.n_time_dims :])
        late = site.layer in self.time_major
        if site.positions:
            x, late = _rows_of_steps(x, rows, self.n_samples, site.positions, late), False
        elif site.in_shape and rows > 1:
            if late:
                x = x.reshape(rows, self.n_samples, *x.shape[1:]).transpose(0, 1)
            else:
                x = x.reshape(self.n_samples, rows, *x.shape[1:])
        accumulator.update(_numpy(x), n_samples=self.n_samples, signal=signal, time_major=late)

    def _convolution(
        self, accumulator: LayerAccumulator, site: Site, operation: Operation, signal: Signal
    ) -> None:
        x = operation.a
        if x.dim() == operation.b.dim() - 1:
            x = x.unsqueeze(0)
        if site.axis.dim is None and self.n_samples > 1:
            x = x.unsqueeze(0).expand(self.n_samples, *x.shape).flatten(0, 1)
        accumulator.update(
            _numpy(x),
            n_samples=self.n_samples,
            signal=signal,
            time_major=site.layer in self.time_major,
        )

    def _product(
        self, accumulator: LayerAccumulator, site: Site, operation: Operation, signal: Signal
    ) -> None:
        a, b = operation.a, operation.b
        b = b.transpose(-1, -2) if operation.linear else b
        if a.dim() == 2 and not operation.linear:
            a = a.unsqueeze(0)
        if operation.linear:
            a = a.unsqueeze(-2)
        matrices = np.broadcast_shapes(tuple(a.shape[:-2]), tuple(b.shape[:-2]))
        a = a.expand(*matrices, *a.shape[-2:])
        a = self._samples_first(a, site.axis.dim)
        a = a.reshape(-1, *a.shape[-2:])
        # only the last dimension of the second operand is read: it is the fan-out
        self._check_rows(site, a)
        accumulator.update_product(
            _numpy(a), _numpy(b.reshape(-1, *b.shape[-2:])), n_samples=self.n_samples, signal=signal
        )

    def _recurrent(
        self, accumulator: LayerAccumulator, operation: Operation, signal: Signal
    ) -> None:
        x = operation.a
        if operation.reverse and accumulator.thresholds:
            x = x.flip(0)
        streams = x.shape[1] // self.n_samples
        if streams > 1:
            x = x.reshape(x.shape[0], self.n_samples, streams, x.shape[2])
        accumulator.update_sequence(_numpy(x), signal=signal)

    def _samples_first(self, x: torch.Tensor, dim: int | None) -> torch.Tensor:
        """Samples along the first dimension; a tensor that all samples share is repeated."""
        if dim is None:
            return x.unsqueeze(0).expand(self.n_samples, *x.shape)
        return x if dim == 0 else x.movedim(dim, 0)

    def _check_rows(self, site: Site, x: torch.Tensor) -> None:
        if x.shape[0] % self.n_samples:
            raise _refused(
                site.layer,
                f"{x.shape[0]} matrices for {self.n_samples} samples",
                "the same number for every sample",
            )


def _rows_of_steps(
    x: torch.Tensor, rows: int, n_samples: int, positions: int, time_major: bool
) -> torch.Tensor:
    """(samples * steps, positions, features), by sample and then by step; one position has none."""
    if time_major:
        x = x.reshape(rows, n_samples, *x.shape[1:]).transpose(0, 1)
    x = x.reshape(n_samples, -1, x.shape[-1])
    steps = max(1, x.shape[1] // positions)
    shape = (n_samples * steps, -1, x.shape[-1]) if positions > 1 else (-1, x.shape[-1])
    return x.reshape(*shape)


def _refused(layer: str, received: str, allowed: str) -> StatisticError:
    return StatisticError(
        f"measure layer {layer!r}",
        received=received,
        allowed=allowed,
        fix="measure a model in which this layer's input is visible per sample",
    )


def _numpy(x: torch.Tensor) -> Array:
    """The values without a copy where the type and device allow it."""
    x = x.detach()
    if x.device.type != "cpu":
        x = x.cpu()
    if x.dtype in (torch.float16, torch.bfloat16):
        x = x.float()
    found: Array = np.asarray(x.numpy())
    return found
