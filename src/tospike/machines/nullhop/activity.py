"""What a layer is given: non-zero pixels and words of the stream, from a trace or expected."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tospike.activity import LayerActivity
from tospike.errors import DataError, StatisticError
from tospike.machines.nullhop.codec import GROUP, sm_words
from tospike.machines.nullhop.mapping import Plan
from tospike.machines.record import Workload

Floats = NDArray[np.float64]
Array = NDArray[Any]


@dataclass(frozen=True, slots=True)
class Frame:
    """The input of a layer in one inference.

    counts : (groups, blocks, H, W) of pixels that are not skipped. words : (groups, H) of the
    16-bit words of each row: SM and non-zero values, or all values where that is less. A map
    that is sent plain has no zeros for the chip.
    """

    number: int
    counts: Floats
    words: Floats


def check_activity(workload: Workload, plans: tuple[Plan, ...]) -> None:
    """Raise :class:`StatisticError` or :class:`DataError` with all layers that lack activity."""
    missing, faults = [], []
    for plan in plans:
        name = plan.layer.name
        if name in workload.traces:
            fault = _trace_fault(workload.traces[name], plan, workload.batch)
        elif workload.activity is not None and name in workload.activity:
            gamma = workload.activity[name].zero_fraction
            fault = "" if 0 <= gamma <= 1 else f"zero fraction {gamma:g} is not in [0, 1]"
        else:
            missing.append(name)
            continue
        if fault:
            faults.append(f"{name}: {fault}")
    if faults:
        raise DataError(
            f"run {workload.network.origin.name!r} on a NullHop-type machine",
            allowed="traces of finite numbers (batch, *input shape), zero fractions in [0, 1]",
            fix="mend what is listed",
            reasons=faults,
        )
    if missing:
        raise StatisticError(
            f"run {workload.network.origin.name!r} on a NullHop-type machine",
            received=f"{len(missing)} of {len(plans)} layers without activity",
            allowed="a trace or a zero fraction for every layer with synapses",
            fix="give traces, or the zeros of the listed layers",
            reasons=missing,
        )


def _trace_fault(trace: Array, plan: Plan, batch: int) -> str:
    shape = (batch, *plan.layer.input_shape)
    if trace.ndim == len(shape) + 1 and trace.shape[1:] == shape:
        return (
            f"shape {trace.shape} is of spikes over time; the machine keeps no membrane state and "
            "computes frames: give values, or simulate an event-driven machine"
        )
    if trace.shape != shape:
        return f"shape {trace.shape}; {shape} is needed"
    if trace.dtype.kind not in "biuf":
        return f"type {trace.dtype}; numbers are needed"
    if trace.dtype.kind == "f" and not np.isfinite(trace).all():
        return f"{int((~np.isfinite(trace)).sum())} NaN or infinite values"
    return ""


def rows_of(workload: Workload, plan: Plan) -> Iterator[Floats]:
    """Words of the rows, (groups, H), of every frame that differs from the others."""
    if plan.layer.name not in workload.traces:
        yield _expected(workload, plan)[1]
        return
    for sample in workload.traces[plan.layer.name]:
        maps = _as_maps(sample, plan)
        present = np.count_nonzero(maps.reshape(plan.groups, plan.channels, *maps.shape[1:]),
                                   axis=(1, 3))  # fmt: skip
        yield _words(present.astype(np.float64), plan)[0]


def frames_of(workload: Workload, plan: Plan) -> Iterator[Frame]:
    """All frames of the batch, in order."""
    if plan.layer.name not in workload.traces:
        counts, words = _expected(workload, plan)
        for number in range(workload.batch):
            yield Frame(number, counts, words)
        return
    starts = np.arange(0, plan.channels, plan.block)
    for number, sample in enumerate(workload.traces[plan.layer.name]):
        maps = (_as_maps(sample, plan) != 0).astype(np.uint16)
        grouped = maps.reshape(plan.groups, plan.channels, *maps.shape[1:])
        counts = np.add.reduceat(grouped, starts, axis=1).astype(np.float64)
        words, plain = _words(counts.sum(axis=(1, 3)), plan)
        counts[plain] = _sizes(plan)[None, :, None, None]
        yield Frame(number, counts, words)


def left_by(workload: Workload, plan: Plan, number: int) -> Floats:
    """(groups x passes, rows, columns): words that leave per output position.

    Exact where the layer behind has a trace of just these values; else from its zero fraction, and
    without zeros where that is not known either. Plain values without ReLU.
    """
    side_rows, side_columns = _left_shape(plan)
    sizes = np.array([plan.maps_of(n) for n in range(plan.passes)] * plan.groups, np.float64)
    if not plan.rectified:
        return np.broadcast_to(sizes[:, None, None], (sizes.size, side_rows, side_columns)).copy()
    bitmaps = np.ceil(sizes / GROUP)[:, None, None]
    maps = _target_maps(workload, plan, number)
    if maps is None:
        density = _target_density(workload, plan)
        share = 1.0 if density is None else density
        return np.broadcast_to(
            bitmaps + np.round(share * sizes)[:, None, None],
            (sizes.size, side_rows, side_columns),
        ).copy()
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(np.int64)
    present = np.add.reduceat((maps != 0).astype(np.uint16), starts, axis=0)
    found: Floats = bitmaps + present
    return found


def knows_output(workload: Workload, plan: Plan) -> bool:
    """True if a trace or a zero fraction tells what leaves a layer."""
    known = _target_density(workload, plan) is not None
    return known or _target_maps(workload, plan, 0) is not None


def _left_shape(plan: Plan) -> tuple[int, int]:
    """Rows and columns of what is written, after pooling."""
    return plan.out_rows // plan.pool, plan.out_columns // plan.pool


def _target_maps(workload: Workload, plan: Plan, number: int) -> Array | None:
    """What the layer behind was given, as the maps that this one writes; None if unknown."""
    trace = None if plan.target is None else workload.traces.get(plan.target)
    if trace is None or plan.target is None:
        return None
    shape = (plan.groups * plan.outputs, *_left_shape(plan))
    sample = trace[number] if number < len(trace) else trace[0]
    target = workload.network[plan.target]
    if target.kind == "linear" and sample.ndim > 1:
        sample = sample.reshape(-1, sample.shape[-1]).T
    return sample.reshape(shape) if sample.size == np.prod(shape) else None


def _target_density(workload: Workload, plan: Plan) -> float | None:
    if plan.target is None or workload.activity is None or plan.target not in workload.activity:
        return None
    return 1.0 - workload.activity[plan.target].zero_fraction


def _as_maps(sample: Array, plan: Plan) -> Array:
    """(C, H, W) of one sample."""
    if plan.layer.kind == "conv":
        return sample
    return sample.reshape(-1, plan.channels).T[:, None, :]


def _words(present: Floats, plan: Plan) -> tuple[Floats, NDArray[np.bool_]]:
    """Words of the rows from their non-zero values (groups, H), and which groups go plain."""
    plain_row = float(plan.columns * plan.channels)
    words = sm_words(plan.columns * plan.channels) + present
    plain = words.sum(axis=1) > plain_row * plan.rows
    words[plain] = plain_row
    return words, plain


def _sizes(plan: Plan) -> Floats:
    """Channels of every block."""
    starts = np.arange(0, plan.channels, plan.block)
    return np.minimum(plan.block, plan.channels - starts).astype(np.float64)


def _expected(workload: Workload, plan: Plan) -> tuple[Floats, Floats]:
    """Counts and words of a frame of which only statistics are known."""
    if workload.activity is None:
        raise StatisticError("simulate a layer", where=plan.layer.name, received="no activity")
    found = workload.activity[plan.layer.name]
    density = 1.0 - found.zero_fraction
    across = _shares(found, plan)  # (groups, blocks): mean density of a block over the mean
    along = _places(found, plan)  # (H, W)
    sizes = _sizes(plan)
    counts = density * (across * sizes)[:, :, None, None] * along[None, None]
    np.minimum(counts, sizes[None, :, None, None], out=counts)
    words, plain = _words(counts.sum(axis=(1, 3)), plan)
    counts[plain] = sizes[None, :, None, None]
    return counts, words


def _shares(found: LayerActivity, plan: Plan) -> Floats:
    """(groups, blocks): density of the channels of a block relative to all; 1 if unknown."""
    starts = np.arange(0, plan.channels, plan.block)
    channels = found.channel_density
    if channels.size != plan.groups * plan.channels or not channels.mean() > 0:
        return np.ones((plan.groups, starts.size))
    grouped = (channels / channels.mean()).reshape(plan.groups, plan.channels)
    shares: Floats = np.add.reduceat(grouped, starts, axis=1) / _sizes(plan)
    return shares


def _places(found: LayerActivity, plan: Plan) -> Floats:
    """(H, W): density of the positions relative to all; 1 if unknown."""
    places = found.pixel_density
    if places.size != plan.rows * plan.columns or not places.mean() > 0:
        return np.ones((plan.rows, plan.columns))
    shaped: Floats = (places / places.mean()).reshape(plan.rows, plan.columns)
    return shaped
