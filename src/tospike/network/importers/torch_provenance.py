"""What each tensor of a run was made from, kept by storage.

Views share their storage, and an in-place operation writes into it, so both need no special
case. Storages are held weakly, in a way that keeps their address from being used again: memory
is freed as in a plain run, and a recycled address cannot make a false edge.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import chain

import torch
from torch.multiprocessing.reductions import StorageWeakRef


@dataclass(frozen=True, slots=True)
class Info:
    """Provenance of a tensor.

    sources : layers (or INPUT) that made it. data : depends on the network's input or came out
    of a layer. params : full names of the parameters and buffers it was computed from.
    signal : "analog", "spike", or "none" for fresh zeros, which fit both. steps : time steps in
    the tensor, as the neurons upstream say; 0 where there are none.
    """

    sources: frozenset[str] = frozenset()
    data: bool = False
    params: frozenset[str] = frozenset()
    signal: str = "analog"
    steps: int = 0


CONSTANT = Info()

#: torch does not annotate the class
_weak: Callable[[torch.UntypedStorage], StorageWeakRef] = StorageWeakRef


def storage_id(tensor: torch.Tensor) -> int:
    """Identity of the memory behind a tensor; also for meta tensors, which have no address."""
    return int(tensor.untyped_storage()._cdata)


class Parameters:
    """Parameters and buffers of a module, found again from any view of them.

    Buffers belong here: quantised layers keep weights in them, reparametrisations their vectors.
    """

    def __init__(self, root: torch.nn.Module) -> None:
        self._by_storage: dict[int, list[tuple[str, torch.Tensor]]] = {}
        self.sizes: dict[str, int] = {}
        every = chain(
            root.named_parameters(remove_duplicate=False),
            root.named_buffers(remove_duplicate=False),
        )
        for name, parameter in every:
            self._by_storage.setdefault(storage_id(parameter), []).append((name, parameter))
            self.sizes[name] = parameter.numel()

    def names(self, tensor: torch.Tensor) -> list[tuple[str, torch.Tensor]]:
        """(name, parameter) of the parameters that ``tensor`` is a view of."""
        found = self._by_storage.get(storage_id(tensor))
        if not found:
            return []
        offset = tensor.storage_offset()
        return [
            (name, p)
            for name, p in found
            if p.storage_offset() <= offset < p.storage_offset() + max(p.numel(), 1)
        ]

    def name(self, tensor: torch.Tensor, path: str) -> tuple[str, torch.Tensor] | None:
        """The parameter behind a view; of several names the one in the module under way."""
        found = self.names(tensor)
        for name, parameter in found:
            if name.rpartition(".")[0] == path:
                return name, parameter
        return found[0] if found else None


class Provenance:
    """Storage -> :class:`Info`."""

    def __init__(self, parameters: Parameters) -> None:
        self.parameters = parameters
        self._known: dict[int, tuple[StorageWeakRef, Info]] = {}

    def get(self, tensor: torch.Tensor) -> Info:
        """What ``tensor`` was made from."""
        known = self._known.get(storage_id(tensor))
        if known is not None:
            return known[1]
        found = self.parameters.names(tensor)
        if found:
            return Info(params=frozenset({found[0][0]}))
        return CONSTANT

    def set(self, tensor: torch.Tensor, info: Info) -> None:
        """Note the provenance of a fresh or overwritten tensor."""
        storage = tensor.untyped_storage()
        key = int(storage._cdata)
        known = self._known.get(key)
        reference = known[0] if known is not None else _weak(storage)
        self._known[key] = (reference, info)


def union(infos: Iterable[Info]) -> Info:
    """Provenance of a tensor made from several; spikes only if all data are spikes."""
    infos = list(infos)
    data = [info for info in infos if info.data]
    return Info(
        frozenset().union(*(info.sources for info in infos)),
        bool(data),
        frozenset().union(*(info.params for info in infos)),
        common_signal({info.signal for info in data}, "none" if data else "analog"),
        max((info.steps for info in data), default=0),
    )


def common_signal(signals: Iterable[str], otherwise: str) -> str:
    """The one signal of several; zeros fit any; "analog" where they differ."""
    known = set(signals) - {"none"}
    if not known:
        return otherwise
    return known.pop() if len(known) == 1 else "analog"


class Ties:
    """Words of parameters that several layers use: stored once, with the first of them."""

    def __init__(self) -> None:
        self._seen: dict[int, list[tuple[str, int, int, tuple[int, ...]]]] = {}
        #: layer -> (the layer that holds most of its tied weights, number of tied weights)
        self.found: dict[str, tuple[str, int]] = {}

    def add(self, layer: str, weight: torch.Tensor) -> None:
        """``layer`` uses ``weight``, a view of a parameter."""
        n = distinct_values(weight)
        low = int(weight.storage_offset())
        high = low + _span(weight)
        # a view with holes is one and the same only as a whole
        dense = high - low == n
        mark = () if dense else (*weight.shape, *weight.stride())
        seen = self._seen.setdefault(storage_id(weight), [])
        if any(name == layer for name, *_ in seen):
            return
        shared = [
            (min(high, last) - max(low, first), name)
            for name, first, last, other in seen
            if other == mark and (dense or first == low)
        ]
        covered = _covered(low, high, [(f, t) for _, f, t, o in seen if dense and o == mark])
        overlaps = [item for item in shared if item[0] > 0]
        seen.append((layer, low, high, mark))
        if overlaps:
            self.found[layer] = (max(overlaps)[1], covered if dense else n)


def _span(tensor: torch.Tensor) -> int:
    """Words from the first to the last of a tensor, holes included."""
    steps = zip(tensor.shape, tensor.stride(), strict=True)
    return 1 + sum((size - 1) * stride for size, stride in steps) if tensor.numel() else 0


def _covered(low: int, high: int, spans: list[tuple[int, int]]) -> int:
    """Words of [low, high) that lie in any of the spans."""
    total, end = 0, low
    for first, last in sorted(spans):
        first, last = max(first, end), min(last, high)
        if last > first:
            total += last - first
            end = last
    return total


def distinct_values(tensor: torch.Tensor) -> int:
    """Number of distinct memory words of a (possibly expanded) tensor."""
    total = 1
    for size, stride in zip(tensor.shape, tensor.stride(), strict=True):
        total *= size if stride else min(size, 1)
    return total


def layer_name_of(parameter: str) -> str:
    """Layer name of a parameter: the owner for "weight", the full name for any other.

    Reparametrised weights (weight_norm, spectral_norm, torch.nn.utils.parametrize) have the name
    that the plain weight would have.
    """
    path, _, leaf = parameter.rpartition(".")
    if ".parametrizations." in f".{path}.":
        owner, _, rest = f".{path}".partition(".parametrizations.")
        path, leaf = owner.lstrip("."), rest.split(".")[0]
    for suffix in ("_g", "_v", "_orig"):
        if leaf == f"weight{suffix}":
            leaf = "weight"
    if leaf == "weight":
        return path or "weight"
    return f"{path}.{leaf}" if path else leaf
