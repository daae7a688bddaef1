"""Zero fractions of layers from a file, where a topology comes without weights and data."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tospike.errors import DataError
from tospike.network import Layer, Network
from tospike.yaml_files import Form, read_mapping

NAMES = ("layer", "name", "layer_name")
#: column or key -> what one unit of it is, as a fraction
ZEROS = {"zeros_pct": 0.01, "ifmap_zeros_pct": 0.01, "zero_pct": 0.01, "zero_fraction": 1.0}
SUMS = ("total", "sum", "mean", "average", "all")
ALLOWED = (
    "CSV with the columns layer and zeros_pct (or ifmap_zeros_pct), or YAML or JSON of "
    "layer: zeros_pct; 0 to 100"
)


@dataclass(frozen=True, slots=True)
class Zeros:
    """Zero fractions in [0, 1] by layer, how they were found, and the layers without one."""

    fractions: Mapping[str, float]
    origin: str
    notes: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()


def read_zeros(path: str | Path, network: Network) -> Zeros:
    """The zeros at the input of each layer of a network, from a file.

    CSV with the columns ``layer`` and ``zeros_pct`` (or ``ifmap_zeros_pct``, or ``zero_fraction``
    in [0, 1]); YAML or JSON as ``layer: zeros_pct``, the same below a key ``zeros_pct``, or a list
    of rows below ``layers``. Rows called "Total" are left out.

    Names are those of the network. A table with other names throughout and as many rows as the
    network has convolutions (or synaptic layers) is taken in their order, as the published tables
    of Eyeriss are, and ``notes`` says so. Convolutions alone may be given.

    Raises :class:`DataError` with every fault: an unreadable file, unknown or repeated layers,
    numbers outside of [0, 100].
    """
    path = Path(path)
    asked = f"read the zeros of each layer from {path.name!r}"
    rows = _rows(path, asked)
    known = network.by_name
    rows = [row for row in rows if row[0] in known or row[0].strip().lower() not in SUMS]
    reasons = []
    if not rows:
        reasons.append("there is no row")
    names = [name for name, _ in rows]
    reasons += [f"{name!r} stands there twice" for name in dict.fromkeys(names)
                if names.count(name) > 1]  # fmt: skip
    fractions: dict[str, float] = {}
    for name, value in rows:
        fault = fault_of(value)
        if fault:
            reasons.append(f"{name!r}: {fault}")
        else:
            fractions[name] = value
    layers = needed(network)
    notes: tuple[str, ...] = ()
    if not reasons:
        fractions, notes, reasons = _matched(fractions, layers, network, path.name)
    if reasons:
        raise DataError(
            asked, where=str(path), allowed=ALLOWED, fix="mend what is listed", reasons=reasons
        )
    missing = tuple(layer.name for layer in layers if layer.name not in fractions)
    return Zeros(fractions, f"zeros of {path.name}", notes, missing)


def needed(network: Network) -> list[Layer]:
    """The layers that need activity: those with MACs."""
    return [layer for layer in network.synaptic_layers if layer.n_synapses]


def fault_of(fraction: float) -> str:
    """What is wrong with a zero fraction, in words; "" if nothing is."""
    if not math.isfinite(fraction):
        return "no number"
    if not 0 <= fraction <= 1:
        return f"{100 * fraction:g} %; 0 to 100 is needed"
    return ""


def _matched(
    found: dict[str, float], layers: list[Layer], network: Network, file: str
) -> tuple[dict[str, float], tuple[str, ...], list[str]]:
    """(zero fractions by layer of the network, notes, reasons against)."""
    unknown = [name for name in found if name not in network.by_name]
    if not unknown:
        return found, (), []
    convolutions = [layer for layer in layers if layer.kind == "conv"]
    if len(unknown) == len(found):
        for chosen, what in ((layers, "layers"), (convolutions, "convolutions")):
            if chosen and len(chosen) == len(found):
                names = [layer.name for layer in chosen]
                first, last = next(iter(found)), list(found)[-1]
                note = (
                    f"{file} has other names: its {len(found)} rows were taken as the {what} in "
                    f"order, {first} as {names[0]} to {last} as {names[-1]}"
                )
                return dict(zip(names, found.values(), strict=True)), (note,), []
    have = ", ".join(layer.name for layer in layers[:20]) + (", ..." if len(layers) > 20 else "")
    reasons = [f"the network has no layer {name!r}" for name in unknown]
    reasons.append(
        f"{network.origin.name} has {len(layers)} layers with synapses ({len(convolutions)} "
        f"convolutions): {have}"
    )
    return {}, (), reasons


# -- files ---------------------------------------------------------------------------------------


def _rows(path: Path, asked: str) -> list[tuple[str, float]]:
    """(name, zero fraction) as they stand; nan for text that is no number."""
    if path.suffix.lower() in (".yaml", ".yml"):
        form = Form(DataError, "an existing file", ALLOWED, "write one layer a line: 'conv1: 40'")
        return list(_of_mapping(read_mapping(path, asked, form), asked, path))
    try:
        text = path.read_text(encoding="utf-8-sig")
        if path.suffix.lower() == ".json":
            return list(_of_mapping(json.loads(text), asked, path))
        if path.suffix.lower() == ".csv":
            return _of_csv(text, asked, path)
    except OSError as error:
        raise DataError(
            asked,
            received=error.strerror or "an unreadable file",
            where=str(path),
            allowed=ALLOWED,
            fix="check the path",
        ) from error
    except (ValueError, RecursionError, csv.Error) as error:  # both decoders raise ValueError
        raise DataError(
            asked,
            received=f"a damaged file: {' '.join(str(error).split())[:200]}",
            where=str(path),
            allowed=ALLOWED,
            fix="write it again",
        ) from error
    raise DataError(
        asked,
        received=f"a file that ends in {path.suffix!r}",
        allowed="a file that ends in .csv, .yaml or .json, or a number of percent for all layers",
        fix="name the file by what it holds",
    )


def _of_csv(text: str, asked: str, path: Path) -> list[tuple[str, float]]:
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    reader = csv.DictReader(lines, skipinitialspace=True)
    titles = [column or "" for column in reader.fieldnames or ()]
    columns = [title.strip().lower() for title in titles]
    name = next((column for column in NAMES if column in columns), None)
    zeros = next((column for column in ZEROS if column in columns), None)
    if name is None or zeros is None:
        raise DataError(
            asked,
            received=f"the columns {', '.join(columns) or '(none)'}",
            where=str(path),
            allowed=ALLOWED,
            fix="name the columns in the first line",
        )
    place = dict(zip(columns, titles, strict=True))
    return [
        ((row.get(place[name]) or "").strip(), _fraction(row.get(place[zeros]), ZEROS[zeros]))
        for row in reader
    ]


def _of_mapping(raw: Any, asked: str, path: Path) -> Iterable[tuple[str, float]]:
    """Rows of YAML or JSON in any of the forms of :func:`read_zeros`."""
    if isinstance(raw, Mapping) and len(raw) == 1:
        key, value = next(iter(raw.items()))
        if key in ZEROS and isinstance(value, Mapping):
            return [(str(name), _fraction(item, ZEROS[key])) for name, item in value.items()]
        if key == "layers":
            raw = value
    if isinstance(raw, Mapping):
        return [(str(name), _fraction(item, 0.01)) for name, item in raw.items()]
    if isinstance(raw, list) and all(isinstance(row, Mapping) for row in raw):
        found = []
        for row in raw:
            name = next((row[key] for key in NAMES if key in row), "")
            zeros = next((key for key in ZEROS if key in row), None)
            value = math.nan if zeros is None else _fraction(row[zeros], ZEROS[zeros])
            found.append((str(name), value))
        return found
    raise DataError(
        asked,
        received=f"a {type(raw).__name__}",
        where=str(path),
        allowed=ALLOWED,
        fix="write one layer a line",
    )


def _fraction(value: Any, unit: float) -> float:
    if isinstance(value, bool):
        return math.nan
    try:
        return float(value) * unit
    except (TypeError, ValueError, OverflowError):
        return math.nan
