"""The JSON Schema of ``Decision.as_dict()``; the file ``schema.json`` beside this one holds it.

Run ``python -m tospike.decision.schema`` to write the file anew after a change of the records.
"""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any

from tospike.decision.record import SCHEMA_VERSION, Decision

PATH = Path(__file__).with_name("schema.json")

#: numbers that may be infinite ("any rate is below break-even") and then appear as null
_NULLABLE = ("break_even_spikes_per_synapse", "break_even_by_model")

_RECORDS: dict[str, dict[str, Any]] = {
    "network": {
        "name": "string",
        "importer": "string",
        "sha256": "string",
        "n_synapses": "integer",
        "n_neurons": "integer",
        "n_weights": "integer",
    },
    "data": {"origin": "string", "n_samples": "integer", "labelled": "boolean"},
    "technology": {"name": "string", "title": "string", "node_nm": ["number", "null"]},
}


def json_schema() -> dict[str, Any]:
    """The schema (draft 2020-12) made from the records themselves."""
    from pydantic import TypeAdapter

    schema: dict[str, Any] = TypeAdapter(Decision).json_schema(mode="serialization")
    records = [schema, *schema["$defs"].values()]
    for record in records:
        record["additionalProperties"] = False
        record["required"] = list(record["properties"])
        for name, field in record["properties"].items():
            field.pop("default", None)
            field.pop("title", None)
            if name in _NULLABLE:
                _nullable(field)
    for name, fields in _RECORDS.items():
        schema["properties"][name] = {
            "type": "object",
            "required": list(fields),
            "properties": {key: {"type": kind} for key, kind in fields.items()},
        }
    schema["properties"]["sources"]["items"] = {
        "type": "object",
        "additionalProperties": False,
        "required": ["key", "text", "verified"],
        "properties": {
            "key": {"type": "string"},
            "text": {"type": "string"},
            "verified": {"type": "boolean"},
        },
    }
    schema["properties"]["schema_version"] = {"const": SCHEMA_VERSION}
    schema["required"] = ["schema_version", *schema["required"]]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "tospike decision",
        **{key: value for key, value in schema.items() if key != "title"},
    }


def _nullable(field: dict[str, Any]) -> None:
    if field.get("type") == "number":
        field["type"] = ["number", "null"]
    if "additionalProperties" in field:
        _nullable(field["additionalProperties"])


def text() -> str:
    """The schema as it stands in the file."""
    return json.dumps(json_schema(), indent=1, sort_keys=True) + "\n"


def write(path: Path = PATH) -> None:
    """Write the file in one step, so that a reader never meets half of it."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.name)
    with os.fdopen(handle, "w") as stream:
        stream.write(text())
    os.replace(temporary, path)


if __name__ == "__main__":
    write()
