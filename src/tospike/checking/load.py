"""``read_claim``: a claim file, with every fault of it in one error."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from tospike.checking import quantity
from tospike.checking.quantity import Printed
from tospike.checking.record import Claim
from tospike.checking.schema import ClaimModel
from tospike.equations.published import PUBLISHED
from tospike.errors import ConstantError, DataError
from tospike.network.zoo import ZOO

#: bytes of a claim file; the largest example has 2 kB, and YAML of megabytes takes minutes to read
_LIMIT = 500_000


def read_claim(path: str | Path) -> Claim:
    """The claim of a YAML file. Raises :class:`DataError` with every fault found."""
    file = Path(path)
    try:
        with file.open("rb") as stream:
            content = stream.read(_LIMIT + 1)
        if len(content) > _LIMIT:
            raise DataError(
                f"read the claim {file.name!r}",
                received=f"more than {_LIMIT:,} bytes",
                where=str(file),
                allowed="a YAML file of a few hundred lines",
                fix="check the path",
            )
        text = content.decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no UTF-8 text"
        raise DataError(
            f"read the claim {file.name!r}",
            received=reason or "an unreadable file",
            where=str(file),
            allowed="a YAML file; `tospike check --template` prints an empty one",
            fix="check the path",
        ) from error
    return parse_claim(text, name=file.name, where=str(file))


def parse_claim(text: str, *, name: str, where: str = "") -> Claim:
    """The claim of a YAML text. Raises :class:`DataError` with every fault found."""
    asked = f"read the claim {name!r}"
    raw = _parse_yaml(text, asked, where)
    try:
        form = ClaimModel.model_validate(raw)
    except ValidationError as error:
        raise _faults(
            asked,
            where,
            [
                f"{'.'.join(str(part) for part in fault['loc']) or 'file'}: {fault['msg']}"
                for fault in error.errors()
            ]
            + _quantities(raw)[1],
        ) from None
    values, reasons = _quantities(raw)
    reasons += _names(form) + _contradictions(form, values)
    if reasons:
        raise _faults(asked, where, reasons)
    return Claim(name=name, form=form, **values)


def _faults(asked: str, where: str, reasons: list[str]) -> DataError:
    unique = list(dict.fromkeys(reasons))
    return DataError(
        asked,
        received=f"{len(unique)} fault(s)",
        where=where,
        allowed="the form described in docs/check.md; `tospike check --template` prints it",
        fix="mend the listed keys",
        reasons=unique,
    )


def _parse_yaml(text: str, asked: str, where: str) -> Any:
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        raw = YAML(typ="safe", pure=True).load(text)
    # ruamel raises more than YAMLError on hostile text
    except (YAMLError, RecursionError, ValueError, TypeError, AttributeError) as error:
        raise DataError(
            asked,
            received=f"text that is no YAML: {' '.join(str(error).split())[:200]}",
            where=where,
            allowed="a YAML mapping",
            fix="mend the syntax",
        ) from error
    if not isinstance(raw, dict):
        raise DataError(
            asked,
            received="an empty file" if raw is None else f"a {type(raw).__name__}",
            where=where,
            allowed="a YAML mapping; `tospike check --template` prints an empty one",
            fix="start from the template",
        )
    return raw


def _energy(text: Any) -> Printed:
    return quantity.physical(text, "energy")


def _capacity(text: Any) -> Printed:
    return quantity.physical(text, "capacity")


#: field of :class:`Claim` -> (place in the file, reader)
_FIELDS: dict[str, tuple[tuple[str, ...], Callable[[Any], Printed]]] = {
    "ann_energy": (("claimed", "ann_energy"), _energy),
    "snn_energy": (("claimed", "snn_energy"), _energy),
    "ratio": (("claimed", "ratio"), quantity.ratio),
    "ann_operations": (("claimed", "ann_operations"), quantity.count),
    "snn_operations": (("claimed", "snn_operations"), quantity.count),
    "ann_macs": (("ann", "macs"), quantity.count),
    "mac": (("accounting", "mac"), _energy),
    "ac": (("accounting", "ac"), _energy),
    "memory_capacity": (("accounting", "memory_capacity"), _capacity),
    "memory_access": (("accounting", "memory_access"), _energy),
    "static_power": (
        ("accounting", "static_power"),
        lambda text: quantity.physical(text, "power"),
    ),
    "inference_time": (
        ("accounting", "inference_time"),
        lambda text: quantity.physical(text, "time"),
    ),
    "macs": (("network", "totals", "macs"), quantity.count),
    "first_layer_macs": (("network", "totals", "first_layer_macs"), quantity.count),
    "neurons": (("network", "totals", "neurons"), quantity.count),
    "parameters": (("network", "totals", "parameters"), quantity.count),
}


def _quantities(raw: Any) -> tuple[dict[str, Printed], list[str]]:
    """Every quantity that can be read, and a sentence for each that cannot."""
    values: dict[str, Printed] = {}
    reasons: list[str] = []
    for field, (place, reader) in _FIELDS.items():
        node = raw
        for key in place:
            node = node.get(key) if isinstance(node, dict) else None
        if not isinstance(node, str | int | float) or isinstance(node, bool):
            continue  # absent, or of a type that the form refuses
        try:
            values[field] = reader(node)
        except ConstantError as error:
            hint = f" ({error.fix})" if error.fix else ""
            reasons.append(f"{'.'.join(place)}: {node!r} is not {error.allowed}{hint}")
    return values, reasons


def _names(form: ClaimModel) -> list[str]:
    """Names that are in no table, and statements that contradict each other."""
    from difflib import get_close_matches

    reasons: list[str] = []
    zoo = form.network.zoo
    if zoo is not None and zoo not in ZOO:
        near = get_close_matches(zoo, ZOO, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]!r}? " if near else ""
        reasons.append(f"network.zoo: no network {zoo!r}; {hint}there are {', '.join(sorted(ZOO))}")
    formula = form.accounting.formula
    if formula is not None and formula not in PUBLISHED:
        reasons.append(
            f"accounting.formula: no model {formula!r}; there are {', '.join(PUBLISHED)}"
        )
    names = [layer.name for layer in form.network.layers if layer.name]
    twice = sorted({name for name in names if names.count(name) > 1})
    reasons += [f"network.layers: the name {name!r} is used twice" for name in twice]
    if form.network.layers and form.snn.layer_firing_rates:
        unknown = sorted(set(form.snn.layer_firing_rates) - set(names))
        reasons += [f"snn.layer_firing_rates: no layer {name!r}" for name in unknown]
    return reasons


def _contradictions(form: ClaimModel, values: dict[str, Printed]) -> list[str]:
    """Numbers that cannot both be true."""
    reasons: list[str] = []
    whole, first = values.get("macs"), values.get("first_layer_macs")
    if whole and first and first.value - first.half > whole.value + whole.half:
        reasons.append(
            f"network.totals: first_layer_macs {first.text} are more than all macs {whole.text}"
        )
    snn = form.snn
    # a sum of two branches may hold two spikes at once; without D nothing says that spikes are
    # binary
    if snn.timesteps is None or snn.virtual_steps is None or form.network.residual == "sew_add":
        return reasons
    steps = snn.timesteps * snn.virtual_steps
    if snn.spikes_per_synapse is not None and snn.spikes_per_synapse > steps:
        reasons.append(
            f"snn.spikes_per_synapse: {snn.spikes_per_synapse:g} binary spikes in {steps} inner "
            "steps; a synapse receives at most one in each"
        )
    if snn.firing_rate is not None and snn.firing_rate > 1:
        reasons.append(
            f"snn.firing_rate: {snn.firing_rate:g} binary spikes per neuron and inner step; at "
            "most one is possible"
        )
    return reasons
