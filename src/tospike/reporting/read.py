"""Decisions back from a report: the JSON that every report carries."""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tospike.decision.record import (
    READABLE_VERSIONS,
    Decision,
    DeltaLayerResult,
    EnergyPart,
    ImplementationResult,
    LayerResult,
    PublishedSummary,
    PublishedVerdict,
    Sensitivity,
)
from tospike.errors import TospikeError

_BLOCK = re.compile(r'<script type="application/json" id="tospike-decision">(.*?)</script>', re.S)


def read_report(path: str | os.PathLike[str]) -> tuple[Decision, ...]:
    """The decisions of a report that this version or an older one wrote, in their order.

    Numbers that were NaN or infinite come back as NaN where the field cannot be None.
    Raises :class:`~tospike.errors.TospikeError` if the file cannot be read, is no report, or
    holds decisions of another schema version.
    """
    try:
        found = _BLOCK.search(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise _error(path, f"{type(error).__name__}: {error}") from error
    if found is None:
        raise _error(path, "a file without the element #tospike-decision")
    try:
        bodies = json.loads(found.group(1))
        return tuple(_decision(body) for body in (bodies if isinstance(bodies, list) else [bodies]))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise _error(path, f"decisions that do not fit the schema: {error}") from error


def _error(path: str | os.PathLike[str], received: str) -> TospikeError:
    return TospikeError(
        "read the decisions of a report",
        received=received,
        where=str(path),
        allowed="an HTML file that tospike.report wrote, schema version "
        + " or ".join(READABLE_VERSIONS),
        fix="write the report again with this version",
    )


def _decision(body: Mapping[str, Any]) -> Decision:
    fields = dict(body)
    if (version := fields.pop("schema_version")) not in READABLE_VERSIONS:
        raise ValueError(f"schema version {version!r}")
    fields["implementations"] = tuple(map(_implementation, fields["implementations"]))
    fields["layers"] = tuple(map(_layer, fields["layers"]))
    fields["sensitivities"] = tuple(
        Sensitivity(**_numbers(item, ("low", "high", "p_snn_wins_low", "p_snn_wins_high")))
        for item in fields["sensitivities"]
    )
    fields["published"] = tuple(map(_published, fields.get("published", ())))
    if (summary := fields.get("published_summary")) is not None:
        fields["published_summary"] = PublishedSummary(**summary)
    for key in ("assumptions", "out_of_range", "warnings", "sources"):
        fields[key] = tuple(fields[key])
    return Decision(**fields)


def _numbers(body: Mapping[str, Any], keys: tuple[str, ...]) -> dict[str, Any]:
    """``body`` with NaN for the numbers that JSON could not hold."""
    return {**body, **{key: math.nan for key in keys if body[key] is None}}


def _implementation(body: Mapping[str, Any]) -> ImplementationResult:
    fields = _numbers(body, ("energy_J", "energy_low_J", "energy_high_J"))
    fields["parts"] = tuple(EnergyPart(**part) for part in body["parts"])
    fields["notes"] = tuple(body["notes"])
    fields["delta"] = tuple(DeltaLayerResult(**item) for item in body.get("delta", ()))
    return ImplementationResult(**fields)


def _published(body: Mapping[str, Any]) -> PublishedVerdict:
    texts = {key: tuple(body[key]) for key in ("assumptions", "out_of_range", "sources")}
    return PublishedVerdict(**{**body, **texts})


def _layer(body: Mapping[str, Any]) -> LayerResult:
    fields = _numbers(body, ("break_even_spikes_per_synapse",))
    fields["input_shape"] = tuple(body["input_shape"])
    fields["output_shape"] = tuple(body["output_shape"])
    return LayerResult(**fields)
