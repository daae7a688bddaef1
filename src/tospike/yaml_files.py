"""``read_mapping``: a YAML file of the user's as a mapping, or one clear error."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from tospike.errors import TospikeError

if TYPE_CHECKING:
    from pydantic import BaseModel, ValidationError

Model = TypeVar("Model", bound="BaseModel")


@dataclass(frozen=True, slots=True)
class Form:
    """What errors say of one sort of file.

    error : their class. existing : what path is allowed. allowed : what a file must hold; start :
    how to get one.
    """

    error: type[TospikeError]
    existing: str
    allowed: str
    start: str


def read_mapping(path: Path, asked: str, form: Form) -> Mapping[str, Any]:
    """The content of a YAML file. Raises ``form.error`` if it is missing or no YAML mapping."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        # ruamel raises more than YAMLError on hostile text: RecursionError on deep nesting,
        # TypeError and AttributeError on impossible tags and keys
        raw = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise form.error(
            asked,
            received=error.strerror or "an unreadable file",
            where=str(path),
            allowed=form.existing,
            fix="check the path",
        ) from error
    except (YAMLError, RecursionError, ValueError, TypeError, AttributeError) as error:
        raise form.error(
            asked,
            received=f"text that is no YAML: {' '.join(str(error).split())[:200]}",
            where=str(path),
            allowed=form.allowed,
            fix="mend the syntax",
        ) from error
    if not isinstance(raw, dict):
        raise form.error(
            asked,
            received=f"a YAML {type(raw).__name__}",
            where=str(path),
            allowed=form.allowed,
            fix=form.start,
        )
    return raw


def read_model(model: type[Model], path: Path, asked: str, form: Form) -> Model:
    """A YAML file as a pydantic model. Raises ``form.error`` with every fault of its form."""
    from pydantic import ValidationError

    raw = read_mapping(path, asked, form)
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        raise form.error(
            asked,
            received=f"{error.error_count()} fault(s) in its form",
            where=str(path),
            allowed=form.allowed,
            fix="mend the listed keys",
            reasons=faults_of(error),
        ) from None


def faults_of(error: ValidationError) -> list[str]:
    """ "key.path: message" for every fault that pydantic found."""
    return [
        f"{'.'.join(str(part) for part in fault['loc']) or 'file'}: {fault['msg']}"
        for fault in error.errors()
    ]
