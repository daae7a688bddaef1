"""ANN -> SNN, ANN -> quantised ANN, ANN/SNN hybrids: convert, execute, measure.

Names are imported on first use, because they need torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tospike.conversion.calibration import Calibration, calibrate
    from tospike.conversion.compiling import compile
    from tospike.conversion.converted import Converted, convert
    from tospike.conversion.graph import ExecutableGraph
    from tospike.conversion.load import executable
    from tospike.conversion.qcfs import QCFS, qcfs_network
    from tospike.conversion.quantised import matched_bits, run_qnn
    from tospike.conversion.result import RunResult
    from tospike.conversion.run import run_ann, run_snn
    from tospike.conversion.sigma_delta import SigmaDelta, sigma_delta_network
    from tospike.conversion.ttfs import run_ttfs

_PUBLIC = {
    "QCFS": "tospike.conversion.qcfs",
    "Calibration": "tospike.conversion.calibration",
    "Converted": "tospike.conversion.converted",
    "ExecutableGraph": "tospike.conversion.graph",
    "RunResult": "tospike.conversion.result",
    "calibrate": "tospike.conversion.calibration",
    "compile": "tospike.conversion.compiling",
    "convert": "tospike.conversion.converted",
    "executable": "tospike.conversion.load",
    "matched_bits": "tospike.conversion.quantised",
    "qcfs_network": "tospike.conversion.qcfs",
    "run_ann": "tospike.conversion.run",
    "run_qnn": "tospike.conversion.quantised",
    "run_snn": "tospike.conversion.run",
    "run_ttfs": "tospike.conversion.ttfs",
    "SigmaDelta": "tospike.conversion.sigma_delta",
    "sigma_delta_network": "tospike.conversion.sigma_delta",
}

__all__ = [
    "QCFS",
    "Calibration",
    "Converted",
    "ExecutableGraph",
    "RunResult",
    "SigmaDelta",
    "calibrate",
    "compile",
    "convert",
    "executable",
    "matched_bits",
    "qcfs_network",
    "run_ann",
    "run_qnn",
    "run_snn",
    "run_ttfs",
    "sigma_delta_network",
]


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'tospike.conversion' has no attribute {name!r}")
    value = getattr(import_module(_PUBLIC[name]), name)
    globals()[name] = value
    return value
