"""Temporal sparsity of any tensor along time (Neil 2017; Liu & Delbruck 2019, section VII)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tospike.errors import DataError, OptionError


def temporal_sparsity(
    values: Any, thresholds: Sequence[float], *, time_axis: int = 0
) -> dict[float, float]:
    """Gamma(Theta): share of ``values`` that a delta network need not send, per threshold.

    A value is sent if it differs by more than Theta from the last *transmitted* value of its
    stream; references start from 0. ``values`` is an array or tensor with time along
    ``time_axis``; all other axes are streams. Thresholds are >= 0, in the units of the values.
    Exact for Theta = 0: the share of values that did not change at all.

    Raises :class:`OptionError` for a bad threshold or axis and :class:`DataError` for data that
    are empty or not finite.
    """
    array = np.asarray(values)
    reasons = [
        f"threshold {theta!r} is not a finite number >= 0"
        for theta in thresholds
        if not (np.isfinite(theta) and theta >= 0)
    ]
    if array.ndim and not -array.ndim <= time_axis < array.ndim:
        reasons.append(f"time_axis {time_axis} of an array with {array.ndim} axes")
    if reasons:
        raise OptionError("take the temporal sparsity", reasons=reasons)
    if array.ndim == 0 or array.size == 0 or array.dtype.kind not in "fiub":
        raise DataError(
            "take the temporal sparsity",
            received=f"type {array.dtype}, shape {array.shape}",
            allowed="numbers with a time axis, not empty",
        )
    if array.dtype.kind != "f":
        array = array.astype(np.float64)
    if not np.isfinite(array).all():
        raise DataError("take the temporal sparsity", received="values that are not finite")
    from tospike.activity import _counters as kernel

    along = np.moveaxis(array, time_axis, 0)
    steps = np.ascontiguousarray(along.reshape(len(along), 1, -1))
    found = {}
    for theta in thresholds:
        sent = np.zeros(1, np.int64)
        kernel.count_transmitted(steps, float(theta), np.zeros(steps.shape[1:], steps.dtype), sent)
        found[float(theta)] = 1.0 - float(sent[0]) / array.size
    return found
