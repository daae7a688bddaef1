"""Networks of SpikingJelly and snnTorch for the NIR tests, and what the tests share."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from frameworks_by_hand import quietly
from torch import nn

from tospike.conversion.nir import NirCheck

nir: Any = quietly("nir")
quietly("nirtorch")

DT = 1e-4  # what SpikingJelly and snnTorch export with


def data(*shape: int, scale: float = 1.0, steps: int = 24, samples: int = 3) -> np.ndarray:
    return np.random.default_rng(3).uniform(0, scale, (steps, samples, *shape))


def equal(found: NirCheck, populations: int) -> None:
    """Every spike of every population, and enough of them."""
    assert found.divergence is None, found.divergence
    assert len(found.compared) == populations + 1  # and the output
    assert all(count > 20 for count in found.spikes.values()), found.spikes


def silent(call: Callable[[], Any]) -> Any:
    """snnTorch prints while it imports."""
    with contextlib.redirect_stdout(io.StringIO()):
        return call()


def spikingjelly() -> tuple[Any, Any, Any]:
    quietly("spikingjelly")
    from spikingjelly.activation_based import layer, neuron, nir_exchange

    return layer, neuron, nir_exchange


def jelly_conv(step_mode: str = "s", v_reset: float = 0.0) -> nn.Module:
    layer, neuron, _ = spikingjelly()
    torch.manual_seed(1)
    low = {"v_threshold": 0.3, "v_reset": v_reset}
    net = nn.Sequential(
        layer.Conv2d(2, 6, 3, padding=1),
        neuron.LIFNode(tau=2.0, **low),
        layer.AvgPool2d(2),
        layer.Conv2d(6, 4, 3, stride=2, bias=False),
        neuron.IFNode(**low),
        layer.Flatten(),
        layer.Linear(4, 5),
        neuron.LIFNode(tau=3.0, decay_input=False, **low),
        layer.Linear(5, 5),
        neuron.ParametricLIFNode(init_tau=1.7, **low),
        layer.Linear(5, 4),
        neuron.CUBALIFNode(c_decay=0.5, v_decay=0.75, v_threshold=0.3, v_reset=0.0),
    )
    with torch.no_grad():
        for m in net.modules():
            if isinstance(m, nn.Linear | nn.Conv2d):
                m.weight.mul_(2).add_(0.1)
    for m in net.modules():
        if step_mode == "m" and m.__dict__.get("_step_mode"):
            m.step_mode = "m"
    return net


def recurrent(bias: bool) -> Any:
    """A recurrent LIF layer: hard reset, r = tau/dt."""
    rng = np.random.default_rng(0)
    weight = rng.normal(0, 0.5, (4, 4)).astype(np.float32)
    rec = nir.Affine(weight, np.full(4, 0.3, np.float32)) if bias else nir.Linear(weight)
    values = {"tau": 1e-3, "r": 10.0, "v_leak": 0.0, "v_threshold": 1.0, "v_reset": 0.0}
    lif = nir.LIF(**{k: np.full(4, v) for k, v in values.items()})
    nodes = {"input": nir.Input(np.array([4])), "lif": lif, "w": rec}
    nodes["output"] = nir.Output(np.array([4]))
    edges = [("input", "lif"), ("lif", "w"), ("w", "lif"), ("lif", "output")]
    return nir.NIRGraph(nodes, edges, metadata={})


def snntorch() -> tuple[Any, Any, Any]:
    snn = quietly("snntorch")
    from snntorch.export_nir import export_to_nir
    from snntorch.import_nir import import_from_nir

    return snn, export_to_nir, import_from_nir


RESETS = {"subtract": "soft", "zero": "hard", "none": "none"}
#: soft reset without delay is not here: see test_snntorch_soft_reset_without_delay
RIGHT = [("subtract", True), ("zero", True), ("zero", False), ("none", True)]


def torch_conv(mechanism: str, delay: bool) -> nn.Module:
    snn, *_ = snntorch()
    torch.manual_seed(2)

    def leaky(*shape: int) -> Any:
        options = {"init_hidden": True, "reset_mechanism": mechanism, "reset_delay": delay}
        return snn.Leaky(torch.full(shape, 0.9), torch.full(shape, 0.7), **options)

    def synaptic(*shape: int) -> Any:
        options = {"init_hidden": True, "reset_mechanism": mechanism, "reset_delay": delay}
        return snn.Synaptic(*(torch.full(shape, v) for v in (0.5, 0.8, 0.6)), **options)

    net = nn.Sequential(
        nn.Conv2d(2, 4, 3, padding=1),
        leaky(4, 8, 8),
        nn.AvgPool2d(2),
        nn.Flatten(),
        nn.Linear(64, 8),
        synaptic(8),
        nn.Linear(8, 5, bias=False),
        leaky(5),
    )
    with torch.no_grad():
        net[0].weight.add_(0.05)
        net[4].weight.add_(0.05)
        net[6].weight.add_(0.3)
    return net


def torch_recurrent(cell: str, mechanism: str, delay: bool, all_to_all: bool = True) -> nn.Module:
    snn, *_ = snntorch()
    torch.manual_seed(5)
    options: dict[str, Any] = {"init_hidden": True, "reset_mechanism": mechanism}
    options |= {"reset_delay": delay, "all_to_all": all_to_all}
    options |= {"linear_features": 8} if all_to_all else {"V": torch.randn(8) * 0.3}
    layer = (
        snn.RLeaky(beta=0.9, **options)
        if cell == "RLeaky"
        else snn.RSynaptic(alpha=0.7, beta=0.9, **options)
    )
    last = snn.Leaky(
        *(torch.full((5,), v) for v in (0.9, 0.5)),
        init_hidden=True,
        reset_mechanism=mechanism,
        reset_delay=delay,
    )
    net = nn.Sequential(nn.Linear(6, 8), layer, nn.Linear(8, 5), last)
    with torch.no_grad():
        net[0].weight.add_(0.2)
        net[2].weight.add_(0.2)
    return net


def one(node: Any, n: int = 3) -> Any:
    nodes = {"input": nir.Input(np.array([n])), "n": node, "output": nir.Output(np.array([n]))}
    return nir.NIRGraph(nodes, [("input", "n"), ("n", "output")], metadata={})


def lif(n: int = 3, **changed: float) -> Any:
    values = {"tau": 1e-3, "r": 10.0, "v_leak": 0.0, "v_threshold": 1.0, "v_reset": 0.0, **changed}
    return nir.LIF(**{k: np.full(n, v) for k, v in values.items()})


def leaky_of(module: nn.Module) -> Any:
    return next(m for m in module.modules() if type(m).__name__ == "Leaky")
