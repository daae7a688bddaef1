"""A compiled delta network as one ``.npz`` file: arrays and a short JSON text, nothing pickled.

File
    ``chain``: JSON text with ``format`` (1) and ``stages``; a stage is {"kind": "gru" | "lstm" |
    "rnn_tanh" | "rnn_relu" | "linear", "theta_x", "theta_h"} or {"function": name, "low", "high"}.
    ``<number of the stage>.w_x``, ``.w_h``, ``.b_x``, ``.b_h``: float32, as in
    :class:`~tospike.kernels.delta.DeltaLayer`.
"""

from __future__ import annotations

import io
import json
import math
import os
import tempfile
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from tospike.conversion.delta import compiled
from tospike.conversion.delta.compiled import FUNCTIONS, Compiled, Function, Stage
from tospike.errors import DataError, OptionError
from tospike.kernels.delta import DeltaLayer
from tospike.kernels.delta.packed import Accumulation
from tospike.kernels.delta.record import Storage

FORMAT = 1
_ARRAYS = ("w_x", "w_h", "b_x", "b_h")


def save(module: nn.Module, path: str | Path) -> Path:
    """Write what :func:`~tospike.conversion.delta.compiled.compile` would run; returns the path.

    The file appears whole or not at all.

    Raises
    ------
    ConversionError
        The module is no chain that can be compiled.
    OptionError
        The name does not end in .npz, or its folder does not exist.
    """
    target = Path(path)
    if target.suffix != ".npz" or not target.parent.is_dir():
        raise OptionError(
            f"write the compiled network to {target}",
            received="another suffix" if target.suffix != ".npz" else "a folder that is not there",
            allowed="a name that ends in .npz, in a folder that exists",
        )
    stages: list[dict[str, Any]] = []
    arrays: dict[str, Any] = {}
    reasons: list[str] = []
    chain = compiled._stages(module, "", reasons)
    if reasons:
        compiled.compile(module)  # raises, with all reasons
    for number, stage in enumerate(chain):
        if isinstance(stage, Function):
            low, high = (None if math.isinf(edge) else edge for edge in (stage.low, stage.high))
            stages.append({"function": stage.name, "low": low, "high": high})
            continue
        stages.append({"kind": stage.kind, "theta_x": stage.theta_x, "theta_h": stage.theta_h})
        for name, array in zip(_ARRAYS, (stage.w_x, stage.w_h, stage.b_x, stage.b_h), strict=True):
            if array is not None:
                arrays[f"{number}.{name}"] = array
    text = json.dumps({"format": FORMAT, "stages": stages})
    buffer = io.BytesIO()
    np.savez(buffer, chain=np.array(text), **arrays)
    write_whole(target, buffer.getvalue())
    return target


def write_whole(target: Path, data: bytes) -> None:
    """Write beside the place, then move there."""
    handle, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".tmp", dir=target.parent)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
        os.replace(name, target)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def load(
    path: str | Path,
    *,
    streams: int = 1,
    storage: Storage = "float32",
    accumulation: Accumulation = "float",
    fraction_bits: int = 8,
) -> Compiled:
    """The compiled network of a file written by :func:`save`.

    Raises
    ------
    DataError
        No such file, or one that is cut, or of another format.
    OptionError
        Arrays that do not fit together, or NaN among them.
    """
    path = Path(path)
    fix = "write it again with tospike convert, or with save(module, path)"
    try:
        # from memory: NumPy leaves a damaged file open
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        chain = json.loads(str(arrays.pop("chain")))
        if chain["format"] != FORMAT:
            raise DataError(
                f"read {path.name}",
                received=f"format {chain['format']!r}",
                allowed=f"format {FORMAT}",
                fix=fix,
            )
        stages = _stages(chain["stages"], arrays)
    except FileNotFoundError:
        raise DataError(f"read {path.name}", received="no such file", where=str(path)) from None
    except (
        OSError,
        ValueError,
        KeyError,
        TypeError,
        EOFError,
        zipfile.BadZipFile,
        zlib.error,
    ) as error:
        raise DataError(
            f"read {path.name}",
            received=f"no compiled delta network ({type(error).__name__})",
            where=str(path),
            fix=fix,
        ) from error
    return Compiled(
        stages,
        streams=streams,
        storage=storage,
        accumulation=accumulation,
        fraction_bits=fraction_bits,
    )


def _stages(records: Sequence[Mapping[str, Any]], arrays: Mapping[str, Any]) -> list[Stage]:
    found: list[Stage] = []
    for number, record in enumerate(records):
        if "function" in record:
            name = str(record["function"])
            if name != "clip" and name not in FUNCTIONS:
                raise ValueError(f"no function {name!r}")
            low, high = record["low"], record["high"]
            found.append(
                Function(
                    name,
                    -math.inf if low is None else float(low),
                    math.inf if high is None else float(high),
                )
            )
            continue
        parts = [arrays.get(f"{number}.{name}") for name in _ARRAYS]
        w_x, w_h, b_x, b_h = (
            None if part is None else np.ascontiguousarray(part, np.float32) for part in parts
        )
        if w_x is None or b_x is None or b_h is None:
            raise KeyError(f"{number}")
        theta = float(record["theta_x"]), float(record["theta_h"])
        found.append(DeltaLayer(record["kind"], w_x, w_h, b_x, b_h, *theta))
    return found
