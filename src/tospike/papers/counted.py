"""``counted``: MACs and parameters of a network of the zoo or of :mod:`tospike.papers.networks`."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from tospike.errors import unknown_name
from tospike.network import Network
from tospike.network.zoo import ZOO, build, load_zoo


@dataclass(frozen=True, slots=True)
class Counted:
    """Counts of one inference: ``macs``; ``parameters`` with biases and norms."""

    name: str
    macs: int
    parameters: int
    network: Network


@cache
def counted(name: str) -> Counted:
    """Trace a network without weights and count it. Raises :class:`UnknownNameError`."""
    if name in ZOO:
        network = load_zoo(name)
        module = build(name, device="meta")
    else:
        import torch

        from tospike.network.importers import load
        from tospike.papers.networks import FACTORIES

        if name not in FACTORIES:
            raise unknown_name("network", name, (*ZOO, *FACTORIES))
        factory, shape = FACTORIES[name]
        with torch.device("meta"):
            module = factory().eval()
            network = load(module, torch.zeros((1, *shape)))
    parameters = sum(tensor.numel() for tensor in module.parameters())
    return Counted(name, network.n_synapses, parameters, network)
