"""``event_stream``: the spikes of all layers one after the other, for a folded machine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from tospike.errors import OptionError
from tospike.machines.spikes.inputs import SpikeInput

Ints = NDArray[np.int64]
Order = Literal["real", "sorted", "shuffled"]
ORDERS: tuple[Order, ...] = get_args(Order)


@dataclass(frozen=True, eq=False)
class EventStream:
    """Events in order, each array (n,): layer (place in the inputs), sample, step, channel, pixel.

    The same events in any order; only their sequence differs.
    """

    layer: Ints
    sample: Ints
    step: Ints
    channel: Ints
    pixel: Ints

    @property
    def size(self) -> int:
        """Number of events."""
        return int(self.layer.size)


def event_stream(inputs: Sequence[SpikeInput], order: Order = "real", seed: int = 0) -> EventStream:
    """All spikes of all samples, one sample after the other.

    "real": as they come: by time step, within a step layer after layer, within a layer in the
    order of the addresses. "sorted": all spikes of one neuron after the other, neurons in the
    order of their addresses, so that what is fetched once is used as often as it can be.
    "shuffled": the spikes of a sample in random order.
    """
    if order not in ORDERS:
        raise OptionError(
            "order the spikes", received=repr(order), allowed=", ".join(map(repr, ORDERS))
        )
    columns: list[list[Ints]] = [[], [], [], [], []]
    for number, one in enumerate(inputs):
        if one.spikes is None:
            continue
        step, sample, channel, pixel = np.nonzero(one.spikes)
        rows = (np.full(step.size, number), sample, step, channel, pixel)
        for column, values in zip(columns, rows, strict=True):
            column.append(values.astype(np.int64))
    layer, sample, step, channel, pixel = (
        np.concatenate(column) if column else np.zeros(0, np.int64) for column in columns
    )
    keys: tuple[Ints, ...]
    if order == "real":
        keys = (pixel, channel, layer, step, sample)
    elif order == "sorted":
        keys = (step, pixel, channel, layer, sample)
    else:
        keys = (np.random.default_rng(seed).permutation(layer.size), sample)
    sequence = np.lexsort(keys)
    return EventStream(*(column[sequence] for column in (layer, sample, step, channel, pixel)))
