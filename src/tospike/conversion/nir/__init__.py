"""NIR graphs: run them, replay them against the framework that wrote them, export to them.

Names are imported on first use, because some of them need torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tospike.conversion.nir.check import Divergence, NirCheck, check_nir
    from tospike.conversion.nir.export import export_nir
    from tospike.conversion.nir.onnx_part import export_onnx
    from tospike.conversion.nir.run import NirRun, run_nir

_PUBLIC = {
    "Divergence": "tospike.conversion.nir.check",
    "NirCheck": "tospike.conversion.nir.check",
    "NirRun": "tospike.conversion.nir.run",
    "check_nir": "tospike.conversion.nir.check",
    "export_nir": "tospike.conversion.nir.export",
    "export_onnx": "tospike.conversion.nir.onnx_part",
    "run_nir": "tospike.conversion.nir.run",
}

__all__ = [
    "Divergence",
    "NirCheck",
    "NirRun",
    "check_nir",
    "export_nir",
    "export_onnx",
    "run_nir",
]


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'tospike.conversion.nir' has no attribute {name!r}")
    value = getattr(import_module(_PUBLIC[name]), name)
    globals()[name] = value
    return value
