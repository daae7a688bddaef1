"""The demo's model files, loaded under names of their own (each folder has a ``model.py``)."""

from __future__ import annotations

import importlib.util
from functools import cache
from pathlib import Path
from types import ModuleType

DEMO = Path(__file__).resolve().parents[1] / "demo"


@cache
def _load(folder: str, name: str = "model") -> ModuleType:
    path = DEMO / folder / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"demo_{folder}_{name}", path)
    if spec is None or spec.loader is None:
        raise FileNotFoundError(f"{path} is missing; run from a full checkout of the repository")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def fashion_mnist() -> ModuleType:
    """demo/fashion_mnist/model.py."""
    return _load("fashion_mnist")


def vgg16_trunk() -> ModuleType:
    """demo/vgg16_trunk/model.py."""
    return _load("vgg16_trunk")


def motion_data() -> ModuleType:
    """demo/motion/data.py."""
    return _load("motion", "data")


def motion_augment() -> ModuleType:
    """demo/motion/augment.py."""
    return _load("motion", "augment")
