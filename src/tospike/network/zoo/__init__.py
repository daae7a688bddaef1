"""Published topologies by name, without trained weights.

>>> from tospike.network.zoo import load_zoo
>>> load_zoo("vgg16").n_synapses
15470264320

Activity cannot be measured on them: their weights are random or absent.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from tospike.errors import ModelError, unknown_name
from tospike.network.network import Network
from tospike.network.zoo.record import Deviation, Printed, Quantity, ZooEntry
from tospike.network.zoo.table import ZOO

if TYPE_CHECKING:
    import torch

__all__ = [
    "ZOO",
    "Deviation",
    "Printed",
    "ZooEntry",
    "build",
    "check_zoo",
    "compare",
    "example_input",
    "load_zoo",
]


def entry(name: str) -> ZooEntry:
    """The record of a topology. Raises :class:`UnknownNameError`."""
    if name not in ZOO:
        raise unknown_name("zoo network", name, tuple(ZOO))
    return ZOO[name]


def build(name: str, *, device: str = "cpu", seed: int = 0) -> torch.nn.Module:
    """The topology as a module in eval mode.

    Weights are random on "cpu" (the same for the same ``seed``; the global random state is left as
    it is) and absent on "meta". Raises :class:`UnknownNameError`.
    """
    import torch

    record = entry(name)
    module_name, _, function = record.factory.partition(":")
    factory = vars(import_module(f"tospike.network.zoo.{module_name}"))[function]
    with torch.random.fork_rng(devices=[]), torch.device(device):
        torch.manual_seed(seed)
        module: torch.nn.Module = factory()
    return module.eval()


def example_input(name: str, *, device: str = "cpu", batch: int = 1) -> torch.Tensor:
    """Zeros of the shape (batch, \\*input_shape)."""
    import torch

    return torch.zeros((batch, *entry(name).input_shape), device=device)


def load_zoo(name: str) -> Network:
    """The topology traced on the meta device: no weights, no arithmetic.

    Raises :class:`UnknownNameError`.
    """
    import dataclasses

    from tospike.network.importers.torch_trace import load_torch
    from tospike.network.network import Origin

    record = entry(name)
    network = load_torch(build(name, device="meta"), example_input(name, device="meta"))
    notes = (record.variant,) if record.variant else ()
    return dataclasses.replace(network, origin=Origin("zoo", name, notes=notes))


def _count(network: Network, module: torch.nn.Module, quantity: Quantity) -> float:
    """Our number for one printed quantity."""
    conv = [layer for layer in network.synaptic_layers if layer.kind == "conv"]
    fully = [layer for layer in network.synaptic_layers if layer.kind == "linear"]
    counts: dict[Quantity, float] = {
        "macs": network.n_synapses,
        "conv_macs": sum(layer.n_synapses for layer in conv),
        "fc_macs": sum(layer.n_synapses for layer in fully),
        "parameters": sum(p.numel() for p in module.parameters()),
        "weights": network.n_weights,
        "conv_weights": sum(layer.n_weights for layer in conv),
        "fc_weights": sum(layer.n_weights for layer in fully),
        "layers": sum(".shortcut" not in layer.name for layer in (*conv, *fully)),
        "memory_bytes": sum(p.numel() for p in module.parameters())
        + max((layer.n_inputs + layer.n_neurons for layer in conv), default=0),
    }
    return counts[quantity]


def compare(name: str, network: Network | None = None) -> tuple[Deviation, ...]:
    """Every printed number of a topology beside ours; ``network``: it, if loaded already."""
    record = entry(name)
    network = load_zoo(name) if network is None else network
    module = build(name, device="meta")
    return tuple(
        Deviation(printed, _count(network, module, printed.quantity)) for printed in record.printed
    )


def check_zoo(name: str, network: Network | None = None) -> tuple[Deviation, ...]:
    """:func:`compare`; raises :class:`ModelError` if a number is outside of its tolerance."""
    found = compare(name, network)
    reasons = [
        f"{d.printed.quantity}: ours {d.ours:.6g}, printed {d.printed.quoted!r} "
        f"({d.printed.source}, {d.printed.locator}): {d.relative:+.2%}, "
        f"allowed {d.printed.tolerance:.2%}"
        for d in found
        if not d.agrees
    ]
    if reasons:
        raise ModelError(
            f"confirm the printed numbers of the zoo network {name!r}",
            received=f"{len(reasons)} of {len(found)} outside of their tolerance",
            reasons=reasons,
        )
    return found
