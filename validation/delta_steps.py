"""Time of one step of streaming networks on the same inputs, side by side; modelled energy."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tospike.actions import ActionCounts, combine, count
from tospike.conversion.delta.compiled import Compiled
from tospike.equations import edgedrnn_2020 as edgedrnn
from tospike.equations import liu_delbruck_2019 as liu
from tospike.pricing import price

TECHNOLOGY = "horowitz_2014_45nm"
BURST_BYTES = 64
STATE_BYTES = 32 * 1024  # memory of references, sums and activations
WEIGHT_BITS, IACT_BITS, SUM_BITS = 8, 16, 32

Step = Callable[[NDArray[np.float32]], Any]


def step_times(
    contenders: Mapping[str, Step], inputs: Sequence[NDArray[np.float32]], chunk: int = 50
) -> dict[str, dict[str, float]]:
    """Microseconds per step: median, least, 99th percentile.

    All run over all ``inputs`` in order; after ``chunk`` steps it is the next one's turn, so that
    each has its weights in the caches and all see the same disturbances.
    """
    times: dict[str, list[float]] = {name: [] for name in contenders}
    for step in contenders.values():
        for one in inputs[:5]:
            step(one)
    for start in range(0, len(inputs), chunk):
        for name, step in contenders.items():
            for one in inputs[start : start + chunk]:
                before = time.perf_counter()
                step(one)
                times[name].append(time.perf_counter() - before)
    return {
        name: {
            "median_us": float(np.median(taken) * 1e6),
            "least_us": float(np.min(taken) * 1e6),
            "p99_us": float(np.percentile(taken, 99) * 1e6),
        }
        for name, taken in times.items()
    }


def load_average() -> float:
    """Programs that wanted a core during the last minute."""
    return os.getloadavg()[0]


@dataclass(frozen=True)
class Sent:
    """Sizes of one layer, and the elements that it sends per step on average."""

    kind: str
    inputs: int
    hidden: int
    gates: int
    sent_x: float
    sent_h: float

    @property
    def recurrent(self) -> bool:
        """True for a GRU, LSTM or RNN."""
        return self.kind != "linear"

    @property
    def columns(self) -> int:
        """Weight columns of a dense step."""
        return self.inputs + (self.hidden if self.recurrent else 0)


def sent_layers(program: Compiled) -> list[Sent]:
    """What the layers of a compiled program sent per step and stream."""
    made = []
    for packed, seen in zip(program.layers, program.statistics, strict=True):
        layer = packed.layer
        steps = max(seen.steps, 1)
        recurrent = layer.w_h is not None
        made.append(
            Sent(
                layer.kind,
                layer.inputs,
                layer.hidden,
                layer.gates,
                seen.sent_x / steps,
                seen.sent_h / steps if recurrent else 0.0,
            )
        )
    return made


def traffic(layers: Sequence[Sent], *, bursts: bool) -> tuple[float, float]:
    """(weight bytes per step, those of a dense network), int8; in whole bursts or not."""
    totals = np.zeros(2)
    for one in layers:
        size = edgedrnn.column_bytes(
            n_hidden=one.hidden,
            burst_bytes=BURST_BYTES if bursts else 1,
            weight_bits=WEIGHT_BITS,
            n_gates=one.gates,
        )
        totals += float(size) * np.array([one.sent_x + one.sent_h, one.columns])
    return float(totals[0]), float(totals[1])


def _matrix(name: str, rows: int, columns: int, sent: float | None, kept_sums: int) -> ActionCounts:
    """One weight matrix of one step: dense for None, else a delta layer."""
    sizes = {"n_syn": rows * columns, "n_inputs": columns, "n_neurons": kept_sums}
    bits = {"weight_bits": WEIGHT_BITS, "iact_bits": IACT_BITS, "psum_bits": SUM_BITS}
    if sent is None:
        return liu.dense_layer(**sizes, **bits, layer=name)
    return liu.delta_layer(
        **sizes, **bits, temporal_sparsity=min(1.0, max(0.0, 1.0 - sent / columns)), layer=name
    )


def energy(layers: Sequence[Sent], *, delta: bool, memory: str) -> float:
    """Joule of one step, int8 weights in an SRAM of their size or in DRAM ("sram", "dram")."""
    parts = []
    for i, one in enumerate(layers):
        rows = one.gates * one.hidden
        parts.append(_matrix(f"{i}.x", rows, one.inputs, one.sent_x if delta else None, rows))
        if one.recurrent:
            # the candidate of a GRU keeps its recurrent sum apart
            extra = one.hidden if one.kind == "gru" else rows
            sent = one.sent_h if delta else None
            parts.append(_matrix(f"{i}.h", rows, one.hidden, sent, extra))
    counts = combine(parts)
    size = sum(one.gates * one.hidden * one.columns for one in layers) * WEIGHT_BITS / 8
    if memory == "dram":
        kept = [entry for entry in counts if entry.datatype != "weight"]
        sent_bytes, all_bytes = traffic(layers, bursts=True)
        read = count(
            "weights", "dram", "read", "weight", sent_bytes if delta else all_bytes, bits=8
        )
        counts = replace(counts, entries=(*kept, read))
    else:
        counts = replace(
            counts,
            entries=tuple(
                replace(entry, capacity_bytes=size) if entry.datatype == "weight" else entry
                for entry in counts
            ),
        )
    return float(price(counts, TECHNOLOGY, sram_bytes=STATE_BYTES).energy)
