"""tospike: to spike, or not to spike? A measured verdict for your network, data and hardware.

>>> import tospike as ts
>>> net = ts.load("vgg16")
>>> net.n_synapses
15470264320

Names are imported on first use, so that ``tospike --help`` does not wait for torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

#: public name -> module that defines it
_PUBLIC = {
    "load": "tospike.network.importers",
    "measure": "tospike.activity.measure",
    "count": "tospike.decision.simulated",
    "price": "tospike.pricing",
    "convert": "tospike.conversion",
    "compile": "tospike.conversion",
    "workload": "tospike.machines.workload",
    "spiking_workload": "tospike.decision.simulated",
    "simulate": "tospike.machines",
    "price_run": "tospike.machines",
    "decide": "tospike.decision",
    "analyze": "tospike.decision",
    "report": "tospike.reporting",
    "Layer": "tospike.network",
    "Network": "tospike.network",
    "LayerActivity": "tospike.activity",
    "ActivityProfile": "tospike.activity",
    "Implementation": "tospike.implementation",
    "Partition": "tospike.implementation",
    "ActionCounts": "tospike.actions",
    "Constant": "tospike.constant",
    "Technology": "tospike.technology",
    "Cost": "tospike.pricing",
    "Decision": "tospike.decision",
    "TospikeError": "tospike.errors",
}

__all__ = [
    "ActionCounts",
    "ActivityProfile",
    "Constant",
    "Cost",
    "Decision",
    "Implementation",
    "Layer",
    "LayerActivity",
    "Network",
    "Partition",
    "Technology",
    "TospikeError",
    "__version__",
    "analyze",
    "compile",
    "convert",
    "count",
    "decide",
    "load",
    "measure",
    "price",
    "price_run",
    "report",
    "simulate",
    "spiking_workload",
    "workload",
]

if TYPE_CHECKING:
    from tospike.actions import ActionCounts
    from tospike.activity import ActivityProfile, LayerActivity
    from tospike.activity.measure import measure
    from tospike.constant import Constant
    from tospike.conversion import compile, convert
    from tospike.decision import Decision, analyze, decide
    from tospike.decision.simulated import count, spiking_workload
    from tospike.errors import TospikeError
    from tospike.implementation import Implementation, Partition
    from tospike.machines import price_run, simulate
    from tospike.machines.workload import workload
    from tospike.network import Layer, Network
    from tospike.network.importers import load
    from tospike.pricing import Cost, price
    from tospike.reporting import report
    from tospike.technology import Technology


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'tospike' has no attribute {name!r}")
    value = getattr(import_module(_PUBLIC[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
