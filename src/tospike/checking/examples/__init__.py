"""Claims that ship with the package: published tables, one clean claim, one per known mistake."""

from __future__ import annotations

from pathlib import Path

from tospike.errors import unknown_name

_DIRECTORY = Path(__file__).parent
_TEMPLATE = "template"


def example_names() -> tuple[str, ...]:
    """Names of the examples, sorted; the template is not among them."""
    found = (path.stem for path in _DIRECTORY.glob("*.yaml"))
    return tuple(sorted(name for name in found if name != _TEMPLATE))


def example_path(name: str) -> Path:
    """File of an example. Raises :class:`UnknownNameError`."""
    if name not in example_names():
        raise unknown_name("example claim", name, example_names())
    return _DIRECTORY / f"{name}.yaml"


def example_text(name: str) -> str:
    """Text of an example. Raises :class:`UnknownNameError`."""
    return example_path(name).read_text(encoding="utf-8")


def template_text() -> str:
    """An empty claim with a comment on every key."""
    return (_DIRECTORY / f"{_TEMPLATE}.yaml").read_text(encoding="utf-8")
