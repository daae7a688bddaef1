"""Training: of the network itself, with QCFS activations, or directly as a spiking network.

Names are imported on first use, because they need torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tospike.conversion.training.direct import DirectSNN, Neuron, direct_snn
    from tospike.conversion.training.evaluation import Evaluation, evaluate
    from tospike.conversion.training.export import (
        folded,
        load_snn,
        save_snn,
        spiking_record,
        to_spikingjelly,
    )  # fmt: skip
    from tospike.conversion.training.loop import Epoch, Keeping, Trained
    from tospike.conversion.training.losses import Spiking
    from tospike.conversion.training.methods import train_network
    from tospike.conversion.training.recipe import Recipe

_PUBLIC = {
    "DirectSNN": "direct",
    "Epoch": "loop",
    "Evaluation": "evaluation",
    "Keeping": "loop",
    "Neuron": "direct",
    "Recipe": "recipe",
    "Spiking": "losses",
    "Trained": "loop",
    "direct_snn": "direct",
    "evaluate": "evaluation",
    "folded": "export",
    "load_snn": "export",
    "save_snn": "export",
    "spiking_record": "export",
    "to_spikingjelly": "export",
    "train_network": "methods",
}

__all__ = [
    "DirectSNN",
    "Epoch",
    "Evaluation",
    "Keeping",
    "Neuron",
    "Recipe",
    "Spiking",
    "Trained",
    "direct_snn",
    "evaluate",
    "folded",
    "load_snn",
    "save_snn",
    "spiking_record",
    "to_spikingjelly",
    "train_network",
]


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'tospike.conversion.training' has no attribute {name!r}")
    return getattr(import_module(f"tospike.conversion.training.{_PUBLIC[name]}"), name)
