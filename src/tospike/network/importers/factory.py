"""A torch module from ``file.py:factory`` or ``package.module:factory``, with weights."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from tospike.errors import ModelError

if TYPE_CHECKING:
    import torch

ALLOWED = "file.py:factory or package.module:factory; the factory takes no argument"


def is_factory(text: str) -> bool:
    """True for ``something:name`` where something is no Windows drive letter."""
    place, separator, name = text.rpartition(":")
    return bool(separator) and len(place) > 1 and name.isidentifier()


def module_from_factory(spec: str, weights: str | Path | None = None) -> torch.nn.Module:
    """Import the factory, call it, load the weights.

    The user's own code is run (that is what a factory is); the weights file is data and is read
    with ``weights_only=True``. Raises :class:`ModelError`.
    """
    import torch

    what = f"make the model {spec!r}"
    place, _, name = spec.rpartition(":")
    module = _import(place, what)
    if name not in vars(module):
        public = [key for key, value in vars(module).items() if callable(value) and key[0] != "_"]
        raise ModelError(
            what, received=f"no {name!r} in {place!r}", allowed=", ".join(public) or ALLOWED
        )
    factory = vars(module)[name]
    try:
        model = factory if isinstance(factory, torch.nn.Module) else factory()
    # Whatever the user's own code raises is the user's to mend: it is told, with its place.
    except Exception as error:
        raise ModelError(
            what,
            received=f"{type(error).__name__}: {error}",
            where=_place_of(error),
            allowed="a factory that returns a torch.nn.Module without arguments",
        ) from error
    if not isinstance(model, torch.nn.Module):
        raise ModelError(
            what, received=f"a {type(model).__name__}", allowed="a torch.nn.Module", where=spec
        )
    if weights is not None:
        load_weights(model, weights)
    return model


def load_weights(model: torch.nn.Module, path: str | Path) -> None:
    """Load a state_dict (.pt, ``weights_only=True``) into ``model``; all mismatches at once."""
    import torch

    path = Path(path)
    what = f"load the weights {str(path)!r}"
    allowed = "a state_dict saved with torch.save(model.state_dict(), path)"
    if not path.is_file():
        raise ModelError(what, received="no such file", allowed=allowed, fix="check the path")
    try:
        held: Any = torch.load(path, map_location="cpu", weights_only=True)
    # torch.load raises a dozen types on damaged files; all mean the same to the user.
    except Exception as error:
        text = " ".join(str(error).split())[:200] or type(error).__name__
        raise ModelError(
            what, received=text, allowed=allowed, fix="nothing but tensors is read from a file"
        ) from error
    if isinstance(held, Mapping) and isinstance(held.get("state_dict"), Mapping):
        held = held["state_dict"]
    if not isinstance(held, Mapping) or not all(isinstance(v, torch.Tensor) for v in held.values()):
        raise ModelError(what, received=type(held).__name__, allowed=allowed)
    mine = model.state_dict()
    reasons = [f"missing: {key}" for key in mine if key not in held]
    reasons += [f"unexpected: {key}" for key in held if key not in mine]
    reasons += [
        f"{key}: shape {tuple(held[key].shape)} in the file, {tuple(mine[key].shape)} in the model"
        for key in mine
        if key in held and held[key].shape != mine[key].shape
    ]
    if reasons:
        shown = reasons[:20]
        if len(reasons) > 20:
            shown.append(f"... and {len(reasons) - 20} more")
        raise ModelError(what, allowed=allowed, fix="use the factory of this file", reasons=shown)
    model.load_state_dict(dict(held))


def _import(place: str, what: str) -> ModuleType:
    if not place.endswith(".py"):
        try:
            return importlib.import_module(place)
        except Exception as error:
            raise _import_error(what, place, error) from error
    path = Path(place)
    if not path.is_file():
        raise ModelError(what, received=f"no file {place!r}", allowed=ALLOWED)
    spec = importlib.util.spec_from_file_location(f"_tospike_user_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise ModelError(what, received=f"{place!r} is no Python file", allowed=ALLOWED)
    module = importlib.util.module_from_spec(spec)
    # Siblings of the file can be imported, as when the file is run by itself.
    folder = str(path.resolve().parent)
    sys.modules[spec.name] = module
    sys.path.insert(0, folder)
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise _import_error(what, place, error) from error
    finally:
        sys.path.remove(folder)
    return module


def _import_error(what: str, place: str, error: Exception) -> ModelError:
    return ModelError(
        what,
        received=f"{type(error).__name__}: {error}",
        where=_place_of(error) or place,
        allowed=ALLOWED,
        fix="the file must import without an error",
    )


def _place_of(error: Exception) -> str:
    """File and line of the innermost frame of an exception."""
    trace = error.__traceback__
    place = ""
    while trace is not None:
        place = f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}"
        trace = trace.tb_next
    return place
