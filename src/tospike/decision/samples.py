"""The data of a decision: checked, and split so that calibration never sees what is scored."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tospike.activity.data import Data, check_data, read_data, read_labels
from tospike.errors import DataError

#: fewer scored samples than this and the accuracies are coarse; the result says so
FEW_SAMPLES = 500


@dataclass(frozen=True, slots=True)
class Samples:
    """What is scored (``x``, ``y``) and what conversion is calibrated on (``calibration``)."""

    x: NDArray[Any]
    y: NDArray[np.int64] | None
    calibration: NDArray[Any]
    origin: str
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def as_data(data: Any, labels: Any = None, *, what: str = "data") -> Data:
    """Any accepted form as one checked :class:`Data`.

    Accepted: a path, a :class:`Data`, an array or tensor (samples first), a pair (x, y), or an
    iterable of batches x or (x, y) such as a DataLoader. ``labels`` (array or path) replaces
    labels found in the data. Raises :class:`DataError`.
    """
    if isinstance(labels, str | Path):
        labels = read_labels(labels)
    if isinstance(data, str | Path):
        found = read_data(data)
    elif isinstance(data, Data):
        found = data
    else:
        x, y = _arrays(data, what)
        return check_data(x, y if labels is None else _numpy(labels), origin=what)
    if labels is None:
        return found
    return check_data(found.x, _numpy(labels), origin=found.origin, notes=found.notes)


def _arrays(data: Any, what: str) -> tuple[Any, Any]:
    if isinstance(data, tuple) and len(data) == 2:
        return _numpy(data[0]), None if data[1] is None else _numpy(data[1])
    if isinstance(data, np.ndarray) or _is_tensor(data):
        return _numpy(data), None
    if not isinstance(data, Iterable) or isinstance(data, str | bytes | dict):
        raise DataError(
            f"use the {what}",
            received=f"an object of type {type(data).__name__}",
            allowed="an array (samples first), a pair (x, y), batches of them, or a path",
            fix="give the samples as one array",
        )
    xs, ys = [], []
    for batch in data:
        pair = isinstance(batch, tuple | list) and len(batch) == 2
        xs.append(_numpy(batch[0] if pair else batch))
        if pair:
            ys.append(np.atleast_1d(_numpy(batch[1])))
    if not xs:
        return np.zeros((0,)), None
    shapes = sorted({array.shape[1:] for array in xs})
    if len(shapes) > 1 or any(array.ndim == 0 for array in xs):
        raise DataError(
            f"use the {what}",
            received=f"batches of different shapes: {', '.join(map(str, shapes))}",
            allowed="batches of samples of one shape, samples first",
            fix="pad or crop the samples to one shape",
        )
    return np.concatenate(xs), np.concatenate(ys) if ys else None


def _is_tensor(value: Any) -> bool:
    # torch is not imported for data that is no tensor: the import takes seconds.
    return type(value).__module__.split(".")[0] == "torch"


def _numpy(value: Any) -> NDArray[Any]:
    if _is_tensor(value):
        value = value.detach().cpu().numpy()
    return np.asarray(value)


def split(
    data: Data, calibration: Any = None, *, calibration_samples: int = 256, seed: int = 0
) -> Samples:
    """Data to score and data to calibrate on, disjoint.

    Without ``calibration``, ``calibration_samples`` of the data (at most a quarter) are drawn at
    random, held out of every score, and the result says so.
    """
    warnings: list[str] = []
    if calibration is not None:
        held = as_data(calibration, what="calibration data")
        if held.x.shape[1:] != data.x.shape[1:]:
            raise DataError(
                "calibrate the conversion",
                received=f"calibration samples of shape {held.x.shape[1:]}",
                allowed=f"samples of the data's shape {data.x.shape[1:]}",
                fix="give calibration data made like the data",
            )
        x, y, calibration_x = data.x, data.y, held.x
    elif len(data) < 2:
        x, y, calibration_x = data.x, data.y, data.x
        warnings.append("one sample only: the conversion was calibrated on the sample it is run on")
    else:
        number = min(calibration_samples, max(1, len(data) // 4))
        order = np.random.default_rng(seed).permutation(len(data))
        held_out, scored = np.sort(order[:number]), np.sort(order[number:])
        calibration_x, x = data.x[held_out], data.x[scored]
        y = None if data.y is None else data.y[scored]
        warnings.append(
            f"no calibration data were given: {number} samples, drawn at random, were held out of "
            f"the data for calibration and are in no accuracy; {len(x)} samples were scored"
        )
    if len(x) < FEW_SAMPLES:
        step = f"; one sample is {100 / len(x):.3g} points of accuracy" if y is not None else ""
        warnings.append(f"few samples: {len(x)} {'was' if len(x) == 1 else 'were'} scored{step}")
    return Samples(x, y, calibration_x, data.origin, data.notes, tuple(warnings))
