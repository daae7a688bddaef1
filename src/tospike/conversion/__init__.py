"""ANN -> SNN, ANN -> quantised ANN, ANN/SNN hybrids: convert, execute, measure.

Names are imported on first use, because they need torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tospike.conversion.calibration import Calibration, calibrate
    from tospike.conversion.converted import Converted, convert
    from tospike.conversion.delta.compiled import compile
    from tospike.conversion.graph import ExecutableGraph
    from tospike.conversion.load import executable
    from tospike.conversion.quantised import matched_bits, run_qnn
    from tospike.conversion.result import RunResult
    from tospike.conversion.run import run_ann, run_snn

_PUBLIC = {
    "Calibration": "tospike.conversion.calibration",
    "Converted": "tospike.conversion.converted",
    "ExecutableGraph": "tospike.conversion.graph",
    "RunResult": "tospike.conversion.result",
    "calibrate": "tospike.conversion.calibration",
    "compile": "tospike.conversion.delta.compiled",
    "convert": "tospike.conversion.converted",
    "executable": "tospike.conversion.load",
    "matched_bits": "tospike.conversion.quantised",
    "run_ann": "tospike.conversion.run",
    "run_qnn": "tospike.conversion.quantised",
    "run_snn": "tospike.conversion.run",
}

__all__ = [
    "Calibration",
    "Converted",
    "ExecutableGraph",
    "RunResult",
    "calibrate",
    "compile",
    "convert",
    "executable",
    "matched_bits",
    "run_ann",
    "run_qnn",
    "run_snn",
]


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'tospike.conversion' has no attribute {name!r}")
    value = getattr(import_module(_PUBLIC[name]), name)
    globals()[name] = value
    return value
