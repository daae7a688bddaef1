"""Data from a path: .npz, .npy, .pt, .wav, a folder of images or of .wav files.

Nothing is ever unpickled: NumPy files are read with ``allow_pickle=False`` and .pt files with
``weights_only=True``.
"""

from __future__ import annotations

import wave
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tospike.errors import DataError

FORMS = ".npz, .npy, .pt, .wav, a folder of images, a folder of .wav files"
_IMAGES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm")


@dataclass(frozen=True, slots=True)
class Data:
    """Samples (first axis) and labels.

    ``x``: float32 or int64 array (N, ...); ``y``: int64 (N,) or None; ``origin``: for people;
    ``notes``: what was done to the values on reading (scaling, type changes).
    """

    x: NDArray[Any]
    y: NDArray[np.int64] | None
    origin: str
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.x)


def read_data(path: str | Path, labels: str | Path | None = None) -> Data:
    """Read samples, and labels where there are any.

    - ``.npz``: ``x`` (samples first) and optional ``y``; a file with one array is taken as ``x``.
    - ``.npy``: one array, samples first.
    - ``.pt``: a tensor, a pair (x, y) or a dict with ``x`` and optional ``y``.
    - a folder of images of one size: (N, C, H, W) in [0, 1]; sub-folders, if any, are the classes
      in alphabetical order.
    - ``.wav``: one sample (1, n) in [-1, 1], mono (channels averaged); a folder of .wav files of
      equal length: (N, n).

    ``labels`` (.npy, .npz, .txt, .csv: one integer per sample) replaces labels found in the data.
    uint8 arrays are taken as pixels and divided by 255, said in ``notes``; other floats become
    float32, other integers int64. Raises :class:`DataError`.
    """
    path = Path(path)
    what = f"read the data {str(path)!r}"
    if not path.exists():
        raise DataError(
            what, received="no such file or folder", allowed=FORMS, fix="check the path"
        )
    if path.is_dir():
        x, y, notes = _folder(path, what)
    elif path.suffix in _READERS:
        x, y, notes = _READERS[path.suffix](path, what)
    else:
        raise DataError(what, received=f"a file ending in {path.suffix!r}", allowed=FORMS)
    if labels is not None:
        y = read_labels(labels)
    return check_data(x, y, origin=str(path), notes=notes)


def check_data(x: Any, y: Any = None, *, origin: str = "array", notes: Iterable[str] = ()) -> Data:
    """Make a checked :class:`Data` of arrays: numeric, not empty, finite, labels of its length."""
    what = f"use the data {origin!r}"
    x = np.asarray(x)
    said = list(notes)
    reasons = []
    if x.dtype.kind not in "fiub":
        reasons.append(f"x has type {x.dtype}; numbers are needed")
    elif x.ndim == 0 or x.size == 0:
        reasons.append(f"x is empty: shape {x.shape}")
    elif x.dtype.kind == "f" and not np.isfinite(x).all():
        bad = np.argwhere(~np.isfinite(x))[0]
        number = int((~np.isfinite(x)).sum())
        reasons.append(
            f"x has {number} NaN or infinite values, the first at index {tuple(bad.tolist())}"
        )
    if y is not None:
        y = np.asarray(y)
        if y.dtype.kind == "f" and np.isfinite(y).all() and (y == np.round(y)).all():
            y = y.astype(np.int64)
        if y.dtype.kind not in "iub":
            reasons.append(f"labels have type {y.dtype}; integers are needed")
        elif y.ndim != 1:
            reasons.append(f"labels have shape {y.shape}; one integer per sample is needed")
        elif x.ndim and len(y) != len(x):
            reasons.append(f"{len(y)} labels for {len(x)} samples")
        elif (y < 0).any():
            reasons.append(f"labels must be class indices >= 0, found {int(y.min())}")
    if reasons:
        raise DataError(
            what,
            allowed="a finite numeric array, samples first, and one integer label per sample",
            fix="check how the file was written",
            reasons=reasons,
        )
    if x.dtype == np.uint8:
        x = x.astype(np.float32) / np.float32(255)
        said.append("uint8 values were taken as pixels and divided by 255")
    elif x.dtype.kind == "f":
        x = np.asarray(x, dtype=np.float32)
    else:
        x = x.astype(np.int64)
    return Data(x, None if y is None else y.astype(np.int64), origin, tuple(said))


def read_labels(path: str | Path) -> NDArray[Any]:
    """Integer labels from .npy, .npz (``y`` or the only array), .txt or .csv (one per line)."""
    path = Path(path)
    what = f"read the labels {str(path)!r}"
    allowed = ".npy, .npz with y, .txt or .csv with one integer per line"
    if not path.is_file():
        raise DataError(what, received="no such file", allowed=allowed, fix="check the path")
    if path.suffix == ".npy":
        return _load_numpy(path, what)
    if path.suffix == ".npz":
        arrays = _load_npz(path, what)
        if "y" in arrays:
            return arrays["y"]
        if len(arrays) == 1:
            return next(iter(arrays.values()))
        raise DataError(what, received=f"arrays {', '.join(arrays)}", allowed=allowed)
    if path.suffix in {".txt", ".csv"}:
        try:
            return np.array([int(line) for line in path.read_text().split()], dtype=np.int64)
        except (ValueError, UnicodeDecodeError) as error:
            raise DataError(what, received=str(error), allowed=allowed) from error
    raise DataError(what, received=f"a file ending in {path.suffix!r}", allowed=allowed)


@contextmanager
def _parsing(what: str, allowed: str, fix: str = "") -> Iterator[None]:
    """Turn whatever a parser of foreign bytes raises into one :class:`DataError`.

    The parsers raise a dozen types on damaged files (tokenize.TokenError and zlib.error among
    them); every one of them means the same to the user.
    """
    try:
        yield
    except DataError:
        raise
    except Exception as error:
        text = " ".join(str(error).split()) or type(error).__name__
        short = text if len(text) <= 200 else text[:197] + "..."
        raise DataError(what, received=short, allowed=allowed, fix=fix) from error


def _load_numpy(path: Path, what: str) -> NDArray[Any]:
    fix = "write it again with numpy.save; object arrays are refused"
    with _parsing(what, "an intact .npy file of numbers", fix):
        return np.asarray(np.load(path, allow_pickle=False, mmap_mode="r"))


def _load_npz(path: Path, what: str) -> dict[str, NDArray[Any]]:
    allowed = "an intact .npz file with x (samples first) and optional y"
    fix = "write it again with numpy.savez; object arrays are refused"
    # The file is opened here: numpy leaves it open when the archive is damaged.
    with (
        _parsing(what, allowed, fix),
        path.open("rb") as file,
        np.load(file, allow_pickle=False) as archive,
    ):
        return {name: np.asarray(archive[name]) for name in archive.files}


_Read = tuple[NDArray[Any], NDArray[Any] | None, list[str]]


def _read_npz(path: Path, what: str) -> _Read:
    arrays = _load_npz(path, what)
    if "x" in arrays:
        return arrays["x"], arrays.get("y"), []
    if len(arrays) == 1:
        name, array = next(iter(arrays.items()))
        return array, None, [f"the only array, {name!r}, was taken as x"]
    raise DataError(
        what,
        received=f"arrays {', '.join(arrays) or '(none)'}",
        allowed="x (samples first) and optional y",
        fix="name the samples x",
    )


def _read_npy(path: Path, what: str) -> _Read:
    return _load_numpy(path, what), None, []


def _read_pt(path: Path, what: str) -> _Read:
    import torch

    fix = "save a tensor, a pair (x, y) or a dict of tensors with torch.save"
    with _parsing(what, "an intact .pt file of tensors", fix):
        held = torch.load(path, map_location="cpu", weights_only=True)
    x: Any = held
    y: Any = None
    if isinstance(held, dict):
        x, y = held.get("x"), held.get("y")
    elif isinstance(held, tuple | list) and len(held) == 2:
        x, y = held
    if not isinstance(x, torch.Tensor) or not (y is None or isinstance(y, torch.Tensor)):
        raise DataError(
            what,
            received=type(held).__name__,
            allowed="a tensor, a pair of tensors (x, y) or a dict with x and optional y",
        )
    return x.numpy(), None if y is None else y.numpy(), []


def _read_wav(path: Path, what: str) -> _Read:
    samples, rate = _wave(path, what)
    return samples[None], None, [f"mono waveform at {rate} Hz"]


def _wave(path: Path, what: str) -> tuple[NDArray[np.float32], int]:
    """(n,) mono in [-1, 1] and the sampling rate; 8, 16, 24 or 32 bit PCM."""
    with (
        _parsing(what, f"PCM .wav of 8, 16, 24 or 32 bit ({path.name})"),
        wave.open(str(path), "rb") as file,
    ):
        width, channels, rate = file.getsampwidth(), file.getnchannels(), file.getframerate()
        raw = file.readframes(file.getnframes())
    frame = width * channels
    raw = raw[: len(raw) // frame * frame]
    if width == 1:
        values = (np.frombuffer(raw, np.uint8).astype(np.float32) - 128) / 128
    elif width == 2:
        values = np.frombuffer(raw, "<i2").astype(np.float32) / 2**15
    elif width == 3:
        bytes3 = np.frombuffer(raw, np.uint8).reshape(-1, 3)
        padded = np.zeros((len(bytes3), 4), np.uint8)
        padded[:, 1:] = bytes3
        values = padded.view("<i4")[:, 0].astype(np.float32) / 2**31
    else:
        values = np.frombuffer(raw, "<i4").astype(np.float32) / 2**31
    mono: NDArray[np.float32] = values.reshape(-1, channels).mean(axis=1, dtype=np.float32)
    return mono, rate


def _folder(path: Path, what: str) -> _Read:
    classes = sorted(p for p in path.iterdir() if p.is_dir() and not p.name.startswith("."))
    groups = classes or [path]
    files: list[tuple[Path, int]] = []
    for index, group in enumerate(groups):
        for file in sorted(group.iterdir()):
            if file.suffix.lower() in _IMAGES or file.suffix.lower() == ".wav":
                files.append((file, index))
    waves = [file for file, _ in files if file.suffix.lower() == ".wav"]
    if not files or (waves and len(waves) != len(files)):
        raise DataError(
            what,
            received=f"{len(files) - len(waves)} images and {len(waves)} .wav files",
            allowed="a folder of images or of .wav files (sub-folders are classes)",
        )
    read = [_wave(file, what)[0] if waves else _image(file, what) for file, _ in files]
    shapes = {array.shape for array in read}
    if len(shapes) > 1:
        raise DataError(
            what,
            received=f"{len(shapes)} different shapes, such as "
            + ", ".join(str(shape) for shape in sorted(shapes)[:3]),
            allowed="files of one size",
            fix="resize or cut them to one size first; tospike does not resize by itself",
        )
    labels = np.array([index for _, index in files]) if classes else None
    notes = ["images were divided by 255"] if not waves else []
    if classes:
        notes.append("classes: " + ", ".join(group.name for group in classes))
    return np.stack(read), labels, notes


def _image(path: Path, what: str) -> NDArray[np.float32]:
    """(C, H, W) in [0, 1]: one channel for grey images, three otherwise."""
    from PIL import Image

    with _parsing(what, f"an intact image ({path.name})"), Image.open(path) as image:
        grey = image.mode in {"1", "L", "I", "I;16", "F", "LA"}
        pixels = np.asarray(image.convert("L" if grey else "RGB"), dtype=np.float32)
    scaled: NDArray[np.float32] = pixels / np.float32(255)
    return scaled[None] if grey else np.ascontiguousarray(scaled.transpose(2, 0, 1))


_READERS = {
    ".npz": _read_npz,
    ".npy": _read_npy,
    ".pt": _read_pt,
    ".pth": _read_pt,
    ".wav": _read_wav,
}
