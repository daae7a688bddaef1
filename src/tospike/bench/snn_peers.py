"""Chains of spiking layers in other tools, for ``tospike bench snn``: the same weights and spikes.

Every tool gets what is fastest for it on a CPU: time folded into the batch for layers without
state (snnTorch has no such mode and loops), inference mode, what is constant over time computed
once. All return the sum over T of the last layer's output.
"""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from tospike.bench.snn_simulate import real_weight
from tospike.kernels.spiking.record import Pool, Population, Reshape, SpikingNetwork, Synapses

Floats = NDArray[np.float32]
Watch = dict[str, NDArray[np.uint8]]
#: inputs as in ``Case.batch`` -> outputs (N, O); fills ``watch`` with spikes (T, N, ...) if given
Run = Callable[[Floats, Watch | None], Floats]
Stage = tuple[str, Callable[[Tensor], Tensor]]

#: SNN frameworks: the peers that the issue of speed is about; the others are dense runtimes
FRAMEWORKS = ("SpikingJelly", "SpikingJelly channels_last", "snnTorch", "sinabs")


@dataclass(frozen=True)
class Setting:
    """For what a peer is built."""

    network: SpikingNetwork
    timesteps: int
    samples: int
    threads: int


@dataclass(frozen=True)
class Peer:
    """One implementation; ``path``: how it treats time."""

    implementation: str
    path: str
    make: Callable[[Setting], Run]


def peers() -> tuple[list[Peer], list[str]]:
    """What is installed, and sentences about what is not."""
    from tospike.bench.snn_graphs import onnx_run, openvino_run

    found = [
        Peer("torch", "T in the batch", torch_run),
        Peer("torch channels_last", "T in the batch", lambda s: torch_run(s, channels_last=True)),
    ]
    absent = []
    optional = (
        ("SpikingJelly", "spikingjelly", "multi-step", spikingjelly_run),
        ("SpikingJelly channels_last", "spikingjelly", "multi-step",
         lambda s: spikingjelly_run(s, channels_last=True)),
        ("snnTorch", "snntorch", "loop over T", snntorch_run),
        ("sinabs", "sinabs", "T in the batch", sinabs_run),
        ("ONNX Runtime", "onnxruntime", "T in the batch, unrolled", onnx_run),
        ("OpenVINO", "openvino", "T in the batch, unrolled", openvino_run),
    )  # fmt: skip
    for name, package, path, make in optional:
        if importlib.util.find_spec(package) is None:
            absent.append(f"{name}: package {package} is not installed")
        else:
            found.append(Peer(name, path, make))
    return found, list(dict.fromkeys(absent))


# -- what all torch peers share ------------------------------------------------------------------


def module(node: Synapses | Pool | Reshape) -> nn.Module:
    """The torch module of a layer without state."""
    match node:
        case Reshape():
            return nn.Flatten()
        case Pool():
            pool = nn.MaxPool2d if node.kind == "max" else nn.AvgPool2d
            return pool(node.kernel, node.stride)
        case Synapses():
            made = _empty(node)
            with torch.no_grad():
                made.weight.copy_(torch.from_numpy(real_weight(node)))
                if node.bias is not None:
                    made.bias.copy_(torch.from_numpy(node.bias))
            return made


def _empty(node: Synapses) -> nn.Conv2d | nn.Linear:
    if node.kind == "linear":
        return nn.Linear(node.weight.shape[1], node.weight.shape[0], node.bias is not None)
    return nn.Conv2d(
        node.weight.shape[1] * node.groups,
        node.weight.shape[0],
        node.weight.shape[2:],  # type: ignore[arg-type]
        stride=node.stride,  # type: ignore[arg-type]
        padding=node.padding,  # type: ignore[arg-type]
        dilation=node.dilation,  # type: ignore[arg-type]
        groups=node.groups,
        bias=node.bias is not None,
    )


def _seen(watch: Watch | None, name: str, spikes: Tensor) -> None:
    if watch is not None:
        watch[name] = np.ascontiguousarray(spikes.to(torch.uint8).numpy())


def _started(network: SpikingNetwork) -> tuple[list[Any], list[Any]]:
    """(layers before the first population, the rest): the first run once if inputs are constant."""
    nodes = list(network.nodes)
    if not network.constant_input:
        return [], nodes
    first = next(i for i, node in enumerate(nodes) if isinstance(node, Population))
    return nodes[:first], nodes[first:]


# -- torch by hand -------------------------------------------------------------------------------


def torch_run(setting: Setting, *, channels_last: bool = False) -> Run:
    """Dense layers on T * N samples; the neurons' three operations per step in place."""
    network, steps = setting.network, setting.timesteps
    once, rest = _started(network)
    form = torch.channels_last if channels_last else torch.contiguous_format
    modules = {
        node.name: _formed(module(node), channels_last)
        for node in network.nodes
        if not isinstance(node, Population)
    }

    def run(inputs: Floats, watch: Watch | None = None) -> Floats:
        torch.set_num_threads(setting.threads)
        with torch.inference_mode():
            h = torch.from_numpy(inputs)
            h = h if network.constant_input else h.flatten(0, 1)
            if h.dim() == 4:
                h = h.contiguous(memory_format=form)
            for node in once:
                h = modules[node.name](h)
            constant = bool(once)
            for node in rest:
                if isinstance(node, Population):
                    h = neurons(node, h, steps, constant)
                    constant = False
                    _seen(watch, node.name, h.unflatten(0, (steps, -1)))
                else:
                    h = modules[node.name](h)
            total: Floats = h.unflatten(0, (steps, -1)).sum(0).numpy()
        return total

    return run


def _formed(layer: nn.Module, channels_last: bool) -> nn.Module:
    layer.eval()
    if channels_last and isinstance(layer, nn.Conv2d):
        layer.to(memory_format=torch.channels_last)
    return layer


def neurons(node: Population, current: Tensor, steps: int, constant: bool) -> Tensor:
    """Spikes (T * N, ...) for currents (T * N, ...), or (N, ...) where they are constant."""
    theta, decay = float(node.threshold), float(node.decay)
    n = len(current) if constant else len(current) // steps
    out = torch.empty_like(current) if not constant else _repeated(current, steps)
    v = torch.full_like(current[:n], float(node.initial))
    for t in range(steps):
        if decay != 1:
            v.mul_(decay)
        v.add_(current if constant else current[t * n : t * n + n])
        spikes = out[t * n : t * n + n]
        torch.ge(v, theta, out=spikes)
        if node.reset is None:
            v.sub_(spikes, alpha=theta)
        else:
            v.masked_fill_(spikes.bool(), node.reset)
    return out


def _repeated(current: Tensor, steps: int) -> Tensor:
    """Room for T times ``current``, in the same memory format."""
    shape = (steps * len(current), *current.shape[1:])
    last = current.dim() == 4 and current.is_contiguous(memory_format=torch.channels_last)
    form = torch.channels_last if last else torch.contiguous_format
    return torch.empty(shape, memory_format=form)


# -- SpikingJelly --------------------------------------------------------------------------------


def spikingjelly_run(setting: Setting, *, channels_last: bool = False) -> Run:
    """Multi-step modules with the torch backend: the only one for CPUs."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from spikingjelly.activation_based import functional, neuron
        from spikingjelly.activation_based import layer as layers

    network, steps = setting.network, setting.timesteps
    once, rest = _started(network)

    def fire(node: Population) -> nn.Module:
        theta = float(node.threshold)
        if float(node.decay) == 1:
            return neuron.IFNode(v_threshold=theta, v_reset=node.reset, step_mode="m").eval()
        tau = 1 / (1 - float(node.decay))
        return neuron.LIFNode(
            tau=tau, decay_input=False, v_threshold=theta, v_reset=node.reset, step_mode="m"
        ).eval()

    def many(node: Synapses | Pool | Reshape) -> nn.Module:
        # Their own container runs plain modules on T * N samples.
        return layers.SeqToANNContainer(_formed(module(node), channels_last)).eval()

    before = [_formed(module(node), channels_last) for node in once]
    stages = [(node, fire(node) if isinstance(node, Population) else many(node)) for node in rest]
    body = nn.Sequential(*(stage for _, stage in stages))
    starts = [
        (stage, float(node.initial))
        for node, stage in stages
        if isinstance(node, Population) and float(node.initial)
    ]

    def run(inputs: Floats, watch: Watch | None = None) -> Floats:
        torch.set_num_threads(setting.threads)
        functional.reset_net(body)
        for stage, initial in starts:
            stage.v = initial
        with torch.inference_mode():
            h = torch.from_numpy(inputs)
            if channels_last and h.dim() == 4:
                h = h.contiguous(memory_format=torch.channels_last)
            for layer in before:
                h = layer(h)
            if network.constant_input:
                h = h.unsqueeze(0).expand(steps, *h.shape)
            for node, stage in stages:
                h = stage(h)
                if isinstance(node, Population):
                    _seen(watch, node.name, h)
            total: Floats = h.sum(0).numpy()
        return total

    return run


# -- snnTorch ------------------------------------------------------------------------------------


def snntorch_run(setting: Setting) -> Run:
    """A loop over T. The reset stands in the loop: their own delayed subtraction withholds a spike
    from a neuron whose potential is still above the threshold after it.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import snntorch

    network, steps = setting.network, setting.timesteps
    once, rest = _started(network)
    before = [module(node).eval() for node in once]
    stages = [
        (
            node,
            snntorch.Leaky(
                beta=float(node.decay), threshold=float(node.threshold), reset_mechanism="none"
            ).eval()
            if isinstance(node, Population)
            else module(node).eval(),
        )
        for node in rest
    ]

    def run(inputs: Floats, watch: Watch | None = None) -> Floats:
        torch.set_num_threads(setting.threads)
        seen: dict[str, list[Tensor]] = {}
        with torch.inference_mode():
            x = torch.from_numpy(inputs)
            for layer in before:
                x = layer(x)
            memory: dict[str, Tensor] = {}
            total = torch.zeros(())
            for t in range(steps):
                h = x if network.constant_input else x[t]
                for node, stage in stages:
                    if isinstance(node, Population):
                        h = _leaky(node, stage, h, memory)
                        if watch is not None:
                            seen.setdefault(node.name, []).append(h)
                    else:
                        h = stage(h)
                total = total + h
        for name, spikes in seen.items():
            _seen(watch, name, torch.stack(spikes))
        result: Floats = total.numpy()
        return result

    return run


def _leaky(node: Population, stage: nn.Module, h: Tensor, memory: dict[str, Tensor]) -> Tensor:
    if node.name not in memory:
        memory[node.name] = torch.full_like(h, float(node.initial))
    spikes: Tensor
    spikes, v = stage(h, memory[node.name])
    if node.reset is None:
        memory[node.name] = v - spikes * float(node.threshold)
    else:
        memory[node.name] = v * (1 - spikes)
    return spikes


# -- sinabs --------------------------------------------------------------------------------------


def sinabs_run(setting: Setting) -> Run:
    """Squeezing layers: time and batch in one dimension, samples first."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import sinabs.layers as sl
        from sinabs.activation import MembraneReset, MembraneSubtract, SingleSpike

    network, steps, samples = setting.network, setting.timesteps, setting.samples
    once, rest = _started(network)

    def fire(node: Population) -> nn.Module:
        reset = MembraneSubtract() if node.reset is None else MembraneReset()
        common = {
            "spike_threshold": torch.tensor(float(node.threshold)),
            "spike_fn": SingleSpike, "reset_fn": reset, "num_timesteps": steps,
        }  # fmt: skip
        if float(node.decay) == 1:
            return sl.IAFSqueeze(**common).eval()
        made = sl.LIFSqueeze(tau_mem=1.0, norm_input=False, train_alphas=True, **common).eval()
        with torch.no_grad():
            made.alpha_mem.fill_(float(node.decay))
        return made

    before = [module(node).eval() for node in once]
    stages = [
        (node, fire(node) if isinstance(node, Population) else module(node).eval()) for node in rest
    ]

    def run(inputs: Floats, watch: Watch | None = None) -> Floats:
        torch.set_num_threads(setting.threads)
        with torch.inference_mode():
            h = torch.from_numpy(inputs)
            if network.constant_input:
                for layer in before:
                    h = layer(h)
                h = h.repeat_interleave(steps, dim=0)
            else:
                h = h.transpose(0, 1).flatten(0, 1)
            for node, stage in stages:
                if isinstance(node, Population):
                    stage.init_state_with_shape((samples, *node.shape))
                    stage.v_mem.fill_(float(node.initial))
                h = stage(h)
                if isinstance(node, Population):
                    _seen(watch, node.name, h.unflatten(0, (samples, steps)).transpose(0, 1))
            total: Floats = h.unflatten(0, (samples, steps)).sum(1).numpy()
        return total

    return run
