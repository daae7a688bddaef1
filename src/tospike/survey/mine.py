"""A network of the user's own as an entry beside the chips: from text, or from a decision's JSON.

It is marked ``evidence="modelled"`` everywhere: its energy is counted and priced, not measured on
silicon.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeGuard, get_args

from tospike.errors import ConstantError, DataError, OptionError
from tospike.survey.laws import entry_faults
from tospike.survey.quantity import QUANTITIES, Quantity, parse
from tospike.survey.record import Accelerator
from tospike.survey.schema import KindText, PlatformText

_TEXTS = ("name", "dataset", "task", "network", "kind", "platform")
#: mode of an implementation in a decision -> kind of the survey
_KINDS = {"ann": "ann", "qnn": "ann", "snn": "snn", "hybrid": "mixed", "delta": "delta"}
_EXAMPLE = "name=FashionCNN,energy=18.3 uJ,error=6 %,dataset=Fashion-MNIST"


def modelled(
    name: str,
    quantities: Mapping[str, Quantity],
    *,
    dataset: str = "",
    task: str = "",
    network: str = "",
    kind: str = "",
    platform: str = "asic",
    notes: str = "",
) -> Accelerator:
    """An entry of the user's own with the given quantities (inner units)."""
    return Accelerator(
        name=name,
        point="",
        year=None,
        venue="",
        kind=kind,
        platform=platform,
        device="",
        compute="digital",
        precision="",
        task=task,
        dataset=dataset,
        network=network,
        memory="",
        batch=None,
        quantities=dict(quantities),
        source="given by the user",
        evidence="modelled",
        confidence="",
        cites=(),
        notes=notes,
    )


def parse_mine(text: str) -> Accelerator:
    """The entry of ``"name=FashionCNN,energy=18.3 uJ,error=6 %,dataset=Fashion-MNIST"``.

    Keys: name, dataset, task, network, kind, platform, error, and every quantity of
    :data:`tospike.survey.quantity.QUANTITIES`; numbers with units. Raises :class:`OptionError`
    with every fault.
    """
    faults: list[str] = []
    texts: dict[str, str] = {}
    quantities: dict[str, Quantity] = {}
    for part in (part for part in text.split(",") if part.strip()):
        key, equals, value = (piece.strip() for piece in part.partition("="))
        if not equals or not value:
            faults.append(f"{part.strip()!r} is not KEY=VALUE")
        elif key in texts or key in quantities or (key == "error" and "accuracy" in quantities):
            faults.append(f"{key}: given twice")
        elif key in _TEXTS:
            texts[key] = value
        elif key in QUANTITIES or key == "error":
            _add(key, value, quantities, faults)
        else:
            faults.append(f"{key}: unknown key, allowed are {', '.join(_keys())}")
    if not texts.get("name"):
        faults.append("name: missing")
    if not faults and not quantities:
        faults.append("no number is given, so there is nothing to place")
    faults += _choice_faults(texts)
    own = modelled(quantities=quantities, **({"name": ""} | texts))
    faults += [] if faults else entry_faults(own)
    if faults:
        raise OptionError(
            f"read --mine {text!r}",
            allowed=f"KEY=VALUE with commas, such as {_EXAMPLE!r}",
            fix="mend the listed parts",
            reasons=faults,
        )
    return own


def _keys() -> list[str]:
    return sorted([*_TEXTS, "error", *QUANTITIES])


def _choice_faults(texts: Mapping[str, str]) -> list[str]:
    allowed = {"kind": get_args(KindText), "platform": get_args(PlatformText)}
    return [
        f"{key}: {texts[key]!r} is none of {', '.join(choices)}"
        for key, choices in allowed.items()
        if key in texts and texts[key] not in choices
    ]


def _add(key: str, value: str, quantities: dict[str, Quantity], faults: list[str]) -> None:
    """Parse one number; ``error`` becomes the accuracy."""
    target = "accuracy" if key == "error" else key
    if target in quantities:
        faults.append(f"{key}: given twice (error = 100 % - accuracy)")
        return
    try:
        number = parse(value, QUANTITIES[target].dimension)
    except ConstantError as error:
        faults.append(f"{key}: {value!r} has {error.received}; allowed is {error.allowed}")
        return
    number = 1.0 - number if key == "error" else number
    quantities[target] = Quantity(value, number, verified=False)


def read_decision(path: Path, dataset: str = "") -> tuple[Accelerator, ...]:
    """The implementations of a decision's JSON (docs/json.md), one entry each.

    ``dataset``: what the survey calls the decision's data; default: the origin it states. Raises
    :class:`DataError` for a missing file, text that is no such JSON, and every wrong field.
    """
    raw = _read_json(path)
    faults: list[str] = []
    version = raw.get("schema_version")
    if not isinstance(version, str) or not version.startswith("1."):
        faults.append(f"schema_version: {version!r}, allowed is '1.' and a number")
    network = _text_in(raw, "network", "name", faults)
    origin = dataset or Path(_text_in(raw, "data", "origin", faults)).name
    node = _node(raw, faults)
    items = raw.get("implementations")
    if not isinstance(items, list) or not items:
        faults.append("implementations: a list with at least one is needed")
        items = []
    found = [
        _implementation(item, f"implementations[{index}]", (network, origin, node), faults)
        for index, item in enumerate(items)
    ]
    own = tuple(item for item in found if item is not None)
    faults += [fault for item in own for fault in entry_faults(item)] if not faults else []
    if faults:
        raise DataError(
            f"read the decision in {path.name!r}",
            received=f"{len(faults)} fault(s) in its fields",
            where=str(path),
            allowed="the JSON that 'tospike analyze --json' prints (docs/json.md)",
            fix="write the file again with tospike analyze MODEL --data DATA --json > FILE",
            reasons=faults,
        )
    return own


def _read_json(path: Path) -> Mapping[str, Any]:
    asked = f"read the decision in {path.name!r}"
    allowed = "the JSON object that 'tospike analyze --json' prints"
    fix = "write it with tospike analyze MODEL --data DATA --json > FILE"
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        received = error.strerror or "an unreadable file"
        raise DataError(
            asked, received=received, where=str(path), allowed=allowed, fix=fix
        ) from error
    except (ValueError, RecursionError) as error:
        raise DataError(
            asked,
            received=f"text that is no JSON: {error}",
            where=str(path),
            allowed=allowed,
            fix=fix,
        ) from error
    if not isinstance(raw, dict):
        received = f"a JSON {type(raw).__name__}"
        raise DataError(asked, received=received, where=str(path), allowed=allowed, fix=fix)
    return raw


def _text_in(raw: Mapping[str, Any], group: str, key: str, faults: list[str]) -> str:
    held = raw.get(group)
    value = held.get(key) if isinstance(held, dict) else None
    if not isinstance(value, str):
        faults.append(f"{group}.{key}: a text is needed, received {value!r}")
        return ""
    return value


def _node(raw: Mapping[str, Any], faults: list[str]) -> float | None:
    held = raw.get("technology")
    if not isinstance(held, dict):
        faults.append(f"technology: an object is needed, received {held!r}")
        return None
    node = held.get("node_nm")
    if node is None or _is_number(node):
        return None if node is None else float(node)
    faults.append(f"technology.node_nm: a number or null is needed, received {node!r}")
    return None


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _implementation(
    item: object, where: str, common: tuple[str, str, float | None], faults: list[str]
) -> Accelerator | None:
    network, origin, node = common
    if not isinstance(item, dict):
        faults.append(f"{where}: an object is needed, received {type(item).__name__}")
        return None
    name, mode = item.get("name"), item.get("mode")
    energy, accuracy = item.get("energy_J"), item.get("accuracy")
    before = len(faults)
    if not isinstance(name, str) or not name:
        faults.append(f"{where}.name: a text is needed, received {name!r}")
    if mode not in _KINDS:
        faults.append(f"{where}.mode: {mode!r} is none of {', '.join(_KINDS)}")
    if not _is_number(energy) or energy <= 0:
        faults.append(f"{where}.energy_J: a number above 0 is needed, received {energy!r}")
    if accuracy is not None and (not _is_number(accuracy) or not 0 <= accuracy <= 1):
        faults.append(f"{where}.accuracy: null or 0 to 1 is needed, received {accuracy!r}")
    if len(faults) > before or not _is_number(energy):
        return None
    numbers: dict[str, Quantity] = {"energy": _own(energy, "J")}
    if accuracy:
        numbers["accuracy"] = _own(accuracy, "")
    if node is not None:
        numbers["process"] = _own(node, "nm")
    return modelled(
        f"{network}: {name}",
        numbers,
        dataset=origin,
        network=network,
        kind=_KINDS[str(mode)],
        notes="energy and accuracy as in the decision",
    )


def _own(value: float, unit: str) -> Quantity:
    return Quantity(f"{value:g} {unit}".strip(), float(value), verified=False)
