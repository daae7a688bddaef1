"""Which elements are sent in each step: from the values of a stream, or from its statistics."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tospike.activity import LayerActivity
from tospike.errors import DataError, StatisticError, unknown_name
from tospike.machines.delta_rnn.pipeline import transmitted
from tospike.machines.delta_rnn.record import Bools, Chip, Ints, Stage
from tospike.machines.record import Workload
from tospike.network import Layer


@dataclass(frozen=True, eq=False, slots=True)
class Sent:
    """Of one stage: (T, n_x) and (T, n_h) bool. saturated : values outside of the format."""

    x: Bools
    h: Bools
    first: Bools  # (T,): a stream begins, so that the bias column is sent
    saturated: int = 0


def sent_elements(
    workload: Workload, stages: tuple[Stage, ...], chip: Chip
) -> tuple[list[Sent], int]:
    """What every stage sends, and the number of inferences in it.

    Traces are values (T, n) of one stream, T a multiple of the steps of one inference; of a batch,
    a trace of one inference stands for all. Statistics give the share that is sent; which elements
    these are is drawn at random, once for all steps, which differ by at most one element.

    Raises :class:`DataError` for traces that do not fit and :class:`StatisticError` for layers
    with neither a trace nor a measured sparsity; each names all of them.
    """
    inferences = _inferences(workload, stages)
    reasons: list[str] = []
    found = []
    for number, stage in enumerate(stages):
        steps = stage.calls * inferences
        x, over_x, from_trace = _of_layer(
            workload, stage.x, chip, chip.theta_x, (steps, 2 * number), reasons
        )
        h, over_h = np.zeros((steps, 0), np.bool_), 0
        if stage.h is not None:
            h, over_h, _ = _of_layer(
                workload, stage.h, chip, chip.theta_h, (steps, 2 * number + 1), reasons
            )
        first = np.zeros(steps, np.bool_)
        first[:1] = stage.bias and from_trace
        found.append(Sent(x, h, first, over_x + over_h))
    if reasons:
        raise StatisticError(
            f"simulate the network on {chip.name}",
            received=f"{len(reasons)} layer(s) without activity",
            allowed="per layer a trace of values (T, n), or its temporal sparsity at the "
            "threshold of the architecture",
            fix="measure with these thresholds, set others with with_thresholds, or give traces",
            reasons=reasons,
        )
    return found, inferences


def _inferences(workload: Workload, stages: tuple[Stage, ...]) -> int:
    """Inferences in the traces; the batch if there are none, or if they hold one of it."""
    if workload.batch < 1:
        raise DataError(
            "simulate a batch", received=f"batch {workload.batch}", allowed="at least 1"
        )
    for name in workload.traces:
        if name not in workload.network.by_name:
            raise unknown_name("layer", name, tuple(workload.network.by_name), where="traces")
    reasons, counts = [], {}
    for stage in stages:
        for layer, n in ((stage.x, stage.n_x), (stage.h, stage.n_h)):
            if layer is None or layer.name not in workload.traces:
                continue
            trace = np.asarray(workload.traces[layer.name])
            fault = _fault(trace, n, stage.calls)
            if fault:
                reasons.append(f"{layer.name}: {fault}")
            else:
                counts[layer.name] = trace.size // n // stage.calls
    found = workload.batch if workload.batch > 1 else max(counts.values(), default=1)
    if not reasons and any(count not in _allowed(workload, found) for count in counts.values()):
        reasons = [f"{name}: {count} inferences" for name, count in counts.items()]
        reasons.append(f"batch {workload.batch}")
    if reasons:
        raise DataError(
            "use the traces of a stream",
            received=f"{len(reasons)} fault(s)",
            allowed="finite values (T, n) per layer; T a multiple of the time steps of one "
            "inference, and the same number of inferences in all layers",
            fix="record all layers in the same run; load the network with an input of as many "
            "time steps as the traces have, or of one",
            reasons=reasons,
        )
    return found


def _allowed(workload: Workload, inferences: int) -> tuple[int, ...]:
    """Inferences that a trace may hold: all, or, of a batch, one that stands for all."""
    return (inferences, 1) if workload.batch > 1 else (inferences,)


def _fault(trace: NDArray[np.generic], n: int, calls: int) -> str:
    if trace.ndim < 2 or trace.shape[-1] != n or not trace.size:
        return f"shape {trace.shape}; (T, {n}) is needed"
    if trace.dtype.kind not in "fiub":
        return f"type {trace.dtype}; numbers are needed"
    if not np.isfinite(trace).all():
        return "values that are not finite"
    if trace.size // n % calls:
        return f"{trace.size // n} steps; an inference has {calls}"
    return ""


def _of_layer(
    workload: Workload,
    layer: Layer,
    chip: Chip,
    theta: float,
    draw: tuple[int, int],
    reasons: list[str],
) -> tuple[Bools, int, bool]:
    """(T, n) sent, values outside of the format, and whether a trace was there."""
    n = layer.input_shape[-1]
    steps = draw[0]
    if layer.name in workload.traces:
        given = np.asarray(workload.traces[layer.name])
        # (samples, positions, n) of a layer that sees all steps of a sample at once
        values, over = on_the_grid(given.reshape(-1, n), chip)
        step = round(theta * 2**chip.fraction_bits)
        sent = transmitted(values, step, chip.send_at_threshold)
        return np.tile(sent, (steps // len(sent), 1)), over, True
    activity = workload.activity
    if activity is None or layer.name not in activity:
        reasons.append(f"{layer.name}: neither a trace nor statistics")
        return np.zeros((steps, n), np.bool_), 0, False
    gamma = _gamma(activity[layer.name], theta)
    if gamma is None:
        known = ", ".join(f"{value:g}" for value in activity[layer.name].temporal_sparsity)
        reasons.append(
            f"{layer.name}: no temporal sparsity at the threshold {theta:g} "
            f"(measured at: {known or 'none'})"
        )
        return np.zeros((steps, n), np.bool_), 0, False
    return drawn((1.0 - gamma) * n, n, steps, draw[1]), 0, False


def _gamma(activity: LayerActivity, theta: float) -> float | None:
    for threshold, sparsity in activity.temporal_sparsity.items():
        if math.isclose(threshold, theta, rel_tol=1e-9, abs_tol=1e-12):
            return float(sparsity)
    return None


def on_the_grid(values: NDArray[np.generic], chip: Chip) -> tuple[Ints, int]:
    """Values in steps of the fixed-point format, and how many had to be clipped to it."""
    scaled = np.rint(np.asarray(values, np.float64) * 2.0**chip.fraction_bits)
    most = 2.0 ** (chip.value_bits - 1)
    clipped = np.clip(scaled, -most, most - 1)
    return clipped.astype(np.int64), int((clipped != scaled).sum())


def drawn(mean: float, n: int, steps: int, seed: int, *, fresh: bool = False) -> Bools:
    """(T, n) bool with ``mean`` elements per step on average, any of them.

    The first t steps have ceil(t mean) elements together. They are the first ones of a permutation
    that depends on the seed alone, or (``fresh``) on the seed and the step; so a larger mean sends
    the same and more, and without ``fresh`` no step sends what the first one does not.
    """
    mean = min(max(mean, 0.0), float(n))
    # a share such as 1 - 0.9 must not become one element more by rounding
    ends = np.ceil(np.arange(steps + 1) * mean - 1e-9)
    counts = np.diff(ends).astype(np.int64).clip(0, n)
    generator = np.random.default_rng(seed)
    order = generator.permutation(n)
    sent = np.zeros((steps, n), np.bool_)
    for t in range(steps):
        sent[t, order[: counts[t]]] = True
        if fresh:
            order = generator.permutation(n)
    return sent
