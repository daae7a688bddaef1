"""What the delta layers of any network sent in a forward pass, whatever module calls them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

from torch import nn

if TYPE_CHECKING:  # the layers import this module
    from tospike.conversion.delta.layers import Trace

Record = list[tuple[nn.Module, "Trace"]]

_open: ContextVar[tuple[Record, ...]] = ContextVar("tospike_delta_records", default=())


@contextmanager
def recorded() -> Iterator[Record]:
    """Collects (layer, trace) of every call of a delta layer inside the ``with`` block, in order.

    Blocks may be nested; each gets all calls. Traces keep the graph for gradients alive, so leave
    the block after the backward pass of its batch.
    """
    record: Record = []
    token = _open.set((*_open.get(), record))
    try:
        yield record
    finally:
        _open.reset(token)


def note(layer: nn.Module, trace: Trace) -> None:
    """Called by the layers."""
    for record in _open.get():
        record.append((layer, trace))
