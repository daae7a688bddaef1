"""How to count a module: its trace, and the order of samples in merged dimensions.

Plans are kept as long as the module lives and its parameters stay in place, so that measuring
again costs no further runs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch.nn.parameter import UninitializedParameter

from tospike.network.importers.torch_run import (
    Interceptor,
    Key,
    as_inputs,
    map_tensors,
    n_samples_of,
    tensors_in,
    untouched,
)
from tospike.network.importers.torch_sites import Site
from tospike.network.importers.torch_synapses import Operation
from tospike.network.importers.torch_trace import Trace, check_parameters, trace


@dataclass(frozen=True, slots=True)
class Plan:
    """``time_major``: layers whose merged rows are ordered by call and then by sample.

    ``separable`` False: the order of samples in some merged dimension could not be told, or is
    another one; such a module is measured one sample at a time.
    """

    trace: Trace
    time_major: frozenset[str] = frozenset()
    separable: bool = True


_KNOWN: WeakKeyDictionary[torch.nn.Module, dict[Any, tuple[Any, Plan]]] = WeakKeyDictionary()


def plan(
    model: torch.nn.Module, example: Any, batch_dim: int | None, input_signal: str = "analog"
) -> Plan:
    """The plan for batches like ``example`` (of one or two samples).

    One sample and several are traced apart: operations such as einsum and squeeze take other
    ways where a dimension is 1. Weights that change in place make a new plan (and are checked).
    """
    if any(isinstance(p, UninitializedParameter) for p in model.parameters()):
        check_parameters(model)
    shapes = tuple((tuple(t.shape), t.dtype) for t in tensors_in(example))
    signature = (
        tuple(
            (name, p.data_ptr(), _version(p), tuple(p.shape))
            for name, p in model.named_parameters()
        ),
        tuple((name, id(m)) for name, m in model.named_modules()),
    )
    plans = _KNOWN.setdefault(model, {})
    place = batch_dim, shapes, input_signal
    known = plans.get(place)
    if known is None or known[0] != signature:
        known = signature, _make(model, example, batch_dim, input_signal)
        plans[place] = known
    return known[1]


def _version(p: torch.Tensor) -> int:
    """Counts the writes into a tensor; inference tensors do not count."""
    return 0 if p.is_inference() else p._version


def _make(model: torch.nn.Module, example: Any, batch_dim: int | None, input_signal: str) -> Plan:
    traced = trace(model, example, batch_dim=batch_dim, input_signal=input_signal)
    if batch_dim is None or n_samples_of(example, batch_dim) < 2:
        return Plan(traced)
    merged = {
        key for key, sites in traced.sites.items() if any(site.axis.rows > 1 for site in sites)
    }
    if not merged:
        return Plan(traced)
    first = map_tensors(lambda t: _repeat_first(t, batch_dim), example)
    with untouched(model) as state:
        found = []
        for inputs in (first, example):
            mode = _RowsMode(model, traced, merged)
            mode.run(as_inputs(map_tensors(torch.clone, inputs)))
            found.append(mode.found)
            state.restore()
            model.eval()
    return _order(traced, found[0], found[1], _usual_order(model, traced))


def _repeat_first(t: torch.Tensor, batch_dim: int) -> torch.Tensor:
    if t.dim() <= batch_dim or t.shape[batch_dim] != 2:
        return t
    first = t.narrow(batch_dim, 0, 1)
    return torch.cat([first, first], dim=batch_dim)


class _RowsMode(Interceptor):
    """Keeps the inputs of the layers with merged rows."""

    def __init__(self, root: torch.nn.Module, traced: Trace, keys: set[Key]) -> None:
        super().__init__(root)
        self.trace = traced
        self.keys = keys
        self.found: list[tuple[Site, torch.Tensor]] = []

    def on_other(self, func: Any, args: Any, kwargs: Any) -> Any:
        return func(*args, **kwargs)

    def on_synapses(
        self, key: Key, operation: Operation, outputs: tuple[torch.Tensor, ...]
    ) -> None:
        if key not in self.keys:
            return
        site = self.trace.sites[key][0]
        x = operation.b if site.role == "b" else operation.a
        if site.axis.dim is not None:
            self.found.append((site, x.detach().movedim(site.axis.dim, 0).clone()))


def _order(
    traced: Trace,
    same: list[tuple[Site, torch.Tensor]],
    different: list[tuple[Site, torch.Tensor]],
    usual: str,
) -> Plan:
    """Rows that change when only the second sample changes belong to the second sample.

    Where no row changes (silent neurons), the order is that of all other layers, or the ``usual``
    one of the neurons.
    """
    time_major: set[str] = set()
    sample_major: set[str] = set()
    unknown: set[str] = set()
    for (site, one), (_, two) in zip(same, different, strict=True):
        rows = site.axis.rows
        if one.shape != two.shape or one.shape[0] != 2 * rows:
            return Plan(traced, separable=False)
        changed = (one != two).reshape(2 * rows, -1).any(1)
        by_sample = bool(changed[:rows].any())  # rows of the first sample, if ordered by sample
        by_time = bool(changed[::2].any())  # rows of the first sample, if ordered by time
        if by_sample and by_time:
            return Plan(traced, separable=False)
        if by_sample:
            time_major.add(site.layer)
            if site.role == "both" or site.form not in ("product", "conv"):
                return Plan(traced, separable=False)
        elif by_time:
            sample_major.add(site.layer)
        elif not changed.any() or rows > 1:
            # no row, or only rows that fit both orders: the data do not tell
            unknown.add(site.layer)
    if unknown and usual and not (time_major and sample_major):
        first = bool(time_major) or (usual == "time" and not sample_major)
        (time_major if first else sample_major).update(unknown)
    elif unknown or time_major & sample_major:
        return Plan(traced, separable=False)
    return Plan(traced, frozenset(time_major))


def _usual_order(model: torch.nn.Module, traced: Trace) -> str:
    """Order in which neurons that take whole sequences merge their rows; "" where none do."""
    orders = set()
    for path, population in traced.populations.items():
        time = population.kind.time
        if time == "step_mode":
            time = "first" if model.get_submodule(path).step_mode == "m" else "call"
        orders.add({"first": "time", "second": "sample", "rows": "sample"}.get(time, ""))
    return orders.pop() if len(orders) == 1 else ""
