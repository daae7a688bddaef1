"""A trained spiking network as it runs elsewhere: folded, as a record, as a file.

- :func:`folded`: batch norms become part of the weights before them.
- :func:`spiking_record`: the :class:`~tospike.kernels.spiking.SpikingNetwork` of the event-driven
  engine. Nothing of it needs torch or the framework that trained it.
- :func:`save_snn`, :func:`load_snn`: weights and settings in a .pt file, tensors and numbers only.
- :func:`to_spikingjelly`: the same network with SpikingJelly's neurons.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, fx, nn
from torch.fx.passes.shape_prop import TensorMetadata

from tospike.conversion.training.checkpoint import write
from tospike.conversion.training.direct import (
    ADDITIONS,
    SYNAPTIC,
    VIEWS,
    DirectSNN,
    Neuron,
    direct_snn,
    repeat_time,
)
from tospike.conversion.training.neurons import SpikingNeurons
from tospike.conversion.training.taps import Tap
from tospike.conversion.training.tdbn import BATCH_NORMS, ThresholdBatchNorm
from tospike.errors import ConversionError, ModelError
from tospike.kernels.spiking import (
    INPUT,
    Node,
    Pool,
    Population,
    Reshape,
    SpikingNetwork,
    Sum,
    Synapses,
)

Array = NDArray[np.float32]
_FORMAT = "tospike direct snn 1"
_NORMS = (*BATCH_NORMS, ThresholdBatchNorm)
_DROPPED = (Tap, nn.Identity, nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d)


def folded(snn: DirectSNN) -> DirectSNN:
    """A copy in evaluation mode with batch norms folded into the layers before them.

    Weights are folded in float64 and rounded once. A batch norm that does not follow a layer of
    its own (for instance after a sum) stays.
    """
    network = copy.deepcopy(snn).eval()
    graph = network.graph
    parts = dict(graph.named_modules())
    calls = [str(node.target) for node in graph.graph.nodes if node.op == "call_module"]
    for node in list(graph.graph.nodes):
        norm = parts.get(str(node.target)) if node.op == "call_module" else None
        if not isinstance(norm, _NORMS) or norm.running_mean is None:
            continue
        source = node.all_input_nodes[0]
        layer = parts.get(str(source.target)) if source.op == "call_module" else None
        alone = len(source.users) == 1 and calls.count(str(source.target)) == 1
        if not (isinstance(layer, SYNAPTIC) and alone):
            continue
        _fold(layer, norm)
        node.replace_all_uses_with(source)
        graph.graph.erase_node(node)
        if calls.count(str(node.target)) == 1:
            graph.delete_submodule(str(node.target))
    graph.graph.lint()
    graph.recompile()
    return network


def _fold(layer: nn.Module, norm: nn.Module) -> None:
    scale, shift = _affine(norm)
    assert isinstance(layer, SYNAPTIC)
    with torch.no_grad():
        weight = layer.weight.double() * scale.reshape(-1, *(1,) * (layer.weight.dim() - 1))
        bias = torch.zeros_like(shift) if layer.bias is None else layer.bias.double()
        layer.weight.copy_(weight.float())
        layer.bias = nn.Parameter((bias * scale + shift).float())


def _affine(norm: nn.Module) -> tuple[Tensor, Tensor]:
    """(scale, shift) per channel, float64, of a batch norm in evaluation mode."""
    assert isinstance(norm, _NORMS)
    mean, variance = norm.running_mean, norm.running_var
    assert isinstance(mean, Tensor)
    assert isinstance(variance, Tensor)
    ones = torch.ones_like(mean, dtype=torch.float64)
    weight = ones if norm.weight is None else norm.weight.detach().double()
    bias = torch.zeros_like(ones) if norm.bias is None else norm.bias.detach().double()
    if isinstance(norm, ThresholdBatchNorm):
        weight = weight * norm.scale
    scale = weight / torch.sqrt(variance.double() + norm.eps)
    return scale, bias - mean.double() * scale


def spiking_record(snn: DirectSNN) -> SpikingNetwork:
    """The network for the event-driven engine, batch norms folded.

    Raises
    ------
    ConversionError
        An operation that the engine does not know (3-d layers, batch norms that do not follow a
        layer, dilated pools, ceil mode); all are listed.
    """
    network = folded(snn)
    graph = network.graph
    parts = dict(graph.named_modules())
    names: dict[fx.Node, str] = {}
    nodes: list[Node] = []
    reasons: list[str] = []
    for node in graph.graph.nodes:
        if node.op == "placeholder":
            names[node] = INPUT
            continue
        if node.op == "output":
            continue
        part = parts.get(str(node.target)) if node.op == "call_module" else None
        sources = [n for n in node.all_input_nodes if n in names]
        if isinstance(part, _DROPPED) or node.target in (repeat_time, "contiguous"):
            names[node] = names[sources[0]]
            continue
        if _shape(node) is None:  # a size: only views use it
            continue
        inputs = tuple(names[n] for n in sources)
        try:
            made = _node(node, part, inputs, _shape(sources[0]) or (), _shape(node) or ())
        except ConversionError as error:
            reasons.append(error.received)
            made = None
        names[node] = node.name if made is None else made.name
        if made is not None:
            nodes.append(made)
    if reasons:
        raise ConversionError(
            f"export the spiking network {snn.origin!r}",
            allowed="1-d and 2-d convolutions, linear layers, max and average pools, sums, views",
            reasons=reasons,
        )
    return SpikingNetwork(network.sample_shape, tuple(nodes), constant_input=not network.frames)


def _shape(node: fx.Node) -> tuple[int, ...] | None:
    meta = node.meta.get("tensor_meta")
    return tuple(meta.shape[1:]) if isinstance(meta, TensorMetadata) else None


def _node(
    node: fx.Node,
    part: nn.Module | None,
    inputs: tuple[str, ...],
    before: tuple[int, ...],
    after: tuple[int, ...],
) -> Node:
    if isinstance(part, SpikingNeurons):
        theta = float(part.threshold.detach())
        return Population(
            str(node.target), inputs, after, threshold=_scalar(theta),
            decay=_scalar(float(part.decay.detach())),
            gain=_scalar(float(part.get_buffer("gain"))),
            initial=_scalar(float(np.float32(theta) * np.float32(part.dynamics.start))),
        )  # fmt: skip
    if isinstance(part, SYNAPTIC):
        return _synapses(str(node.target), part, inputs, before, after)
    if isinstance(part, nn.MaxPool1d | nn.MaxPool2d | nn.AvgPool1d | nn.AvgPool2d):
        return _pool(str(node.target), part, inputs, before, after)
    if isinstance(part, nn.AdaptiveAvgPool1d | nn.AdaptiveAvgPool2d):
        window = tuple(a // b for a, b in zip(before[1:], after[1:], strict=True))
        if all(a % b == 0 for a, b in zip(before[1:], after[1:], strict=True)):
            return Pool(str(node.target), inputs, "avg", before, after, window, window)
    if isinstance(part, nn.Flatten) or node.target in VIEWS:
        return Reshape(node.name, inputs, after)
    if node.target in ADDITIONS and len(inputs) == 2:
        return Sum(node.name, inputs, after)
    label = type(part).__name__ if part is not None else str(node.target)
    raise ConversionError("export", received=f"{node.target}: {label}")


def _scalar(value: float) -> Array:
    return np.array(value, dtype=np.float32)


def _synapses(
    name: str,
    part: nn.Module,
    inputs: tuple[str, ...],
    before: tuple[int, ...],
    after: tuple[int, ...],
) -> Synapses:
    assert isinstance(part, SYNAPTIC)
    weight = np.ascontiguousarray(part.weight.detach().numpy())
    bias = None if part.bias is None else part.bias.detach().numpy().copy()
    if isinstance(part, nn.Linear):
        return Synapses(name, inputs, "linear", weight, before, after, bias)
    assert isinstance(part, nn.Conv1d | nn.Conv2d | nn.Conv3d)
    if isinstance(part, nn.Conv3d):
        raise ConversionError("export", received=f"{name}: Conv3d")
    padding = part.padding
    if isinstance(padding, str):
        total = [d * (k - 1) for d, k in zip(part.dilation, part.kernel_size, strict=True)]
        if padding == "same" and any(value % 2 for value in total):
            raise ConversionError("export", received=f"{name}: uneven padding 'same'")
        padding = tuple(value // 2 if padding == "same" else 0 for value in total)
    return Synapses(
        name, inputs, "conv", weight, before, after, bias, stride=tuple(part.stride),
        padding=tuple(padding), dilation=tuple(part.dilation), groups=part.groups,
    )  # fmt: skip


def _pool(
    name: str,
    part: nn.Module,
    inputs: tuple[str, ...],
    before: tuple[int, ...],
    after: tuple[int, ...],
) -> Pool:
    assert isinstance(part, nn.MaxPool1d | nn.MaxPool2d | nn.AvgPool1d | nn.AvgPool2d)
    rank = len(before) - 1

    def full(value: Any) -> tuple[int, ...]:
        return tuple(value) if isinstance(value, tuple) else (int(value),) * rank

    if part.ceil_mode:
        raise ConversionError("export", received=f"{name}: a pool with ceil_mode")
    if isinstance(part, nn.MaxPool1d | nn.MaxPool2d):
        if set(full(part.dilation)) != {1}:
            raise ConversionError("export", received=f"{name}: a dilated pool")
        kind = "max"
    else:
        if any(full(part.padding)) and not part.count_include_pad:
            raise ConversionError("export", received=f"{name}: a pool that leaves out padding")
        kind = "avg"
    return Pool(
        name, inputs, "max" if kind == "max" else "avg", before, after, full(part.kernel_size),
        full(part.stride), full(part.padding),
    )  # fmt: skip


# -- files ----------------------------------------------------------------------------------


def save_snn(path: str | Path, snn: DirectSNN, **numbers: float) -> None:
    """Weights, neurons and settings in one file; ``numbers`` (accuracy, ...) go with it."""
    write(
        Path(path),
        {
            "format": _FORMAT,
            "neuron": asdict(snn.neuron),
            "frames": snn.frames,
            "calibrated": snn.calibrated,
            "sample_shape": list(snn.sample_shape),
            "numbers": dict(numbers),
            "state": {
                name.removeprefix("graph."): value for name, value in snn.state_dict().items()
            },
        },
    )


def load_snn(path: str | Path, model: nn.Module) -> DirectSNN:
    """The spiking network of a file, in evaluation mode; ``model`` gives the structure.

    Raises
    ------
    ModelError
        The file cannot be read, is another, or belongs to another model.
    """
    what = f"read the spiking network {Path(path).name!r}"
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        if not isinstance(state, dict) or state.get("format") != _FORMAT:
            raise ModelError(what, received="another kind of file", allowed=_FORMAT)
        neuron = Neuron(**state["neuron"])
        example = torch.zeros(2, *state["sample_shape"])
        calibration = example if state["calibrated"] else None
        snn = direct_snn(
            model, neuron, example, calibration_data=calibration, frames=bool(state["frames"])
        )
        snn.load_state_dict({f"graph.{name}": value for name, value in state["state"].items()})
    except ModelError:
        raise
    except Exception as error:  # damaged bytes and foreign states raise a dozen types
        text = " ".join(str(error).split())
        raise ModelError(
            what,
            received=f"{type(error).__name__}: {text[:200]}",
            where=str(path),
            fix="give the file and the model that belong together",
        ) from error
    return snn.eval()


# -- SpikingJelly ---------------------------------------------------------------------------


def spikingjelly() -> tuple[Any, Any]:
    """SpikingJelly's modules ``neuron`` and ``surrogate``.

    Raises
    ------
    ModelError
        It is not installed.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from spikingjelly.activation_based import neuron, surrogate
    except ImportError as error:
        raise ModelError(
            "use SpikingJelly's neurons",
            received=f"an import that fails: {error}",
            fix="pip install --no-deps spikingjelly==2.0.0 "
            "(its dependencies would replace torch by a build for CUDA)",
        ) from error
    return neuron, surrogate


class _Steps(nn.Module):
    """A multi-step node of SpikingJelly over (T * N, ...), with first potential and gain."""

    def __init__(self, node: Any, reset: Callable[[Any], None], own: SpikingNeurons) -> None:
        super().__init__()
        self.node, self.steps, self.constant = node, own.steps, own.constant
        self.start = float(own.threshold.detach()) * own.dynamics.start
        self.gain = float(own.get_buffer("gain"))
        self.reset = reset

    def forward(self, x: Tensor) -> Tensor:
        """Spikes (T * N, ...)."""
        if self.constant:
            x = repeat_time(x, self.steps)
        x = x.reshape(self.steps, -1, *x.shape[1:])
        self.reset(self.node)
        self.node.v = torch.full_like(x[0], self.start)
        spikes: Tensor = self.node(self.gain * x)
        return spikes.flatten(0, 1)


def to_spikingjelly(snn: DirectSNN) -> DirectSNN:
    """A copy in which SpikingJelly's IFNode and LIFNode stand for our neurons.

    The decay d is tau = 1 / (1 - d) with ``decay_input=False``; thresholds and decays are fixed
    numbers there. Raises :class:`ModelError` if SpikingJelly is not installed.
    """
    neuron, surrogate = spikingjelly()
    network = copy.deepcopy(snn)
    kinds = {
        "atan": lambda: surrogate.ATan(alpha=2.0),
        "triangle": lambda: surrogate.PiecewiseQuadratic(alpha=1.0),
    }
    for name, part in snn.populations().items():
        decay, options = (
            float(part.decay.detach()),
            {
                "v_threshold": float(part.threshold.detach()),
                "v_reset": None,
                "surrogate_function": kinds[part.dynamics.surrogate](),
                "detach_reset": part.dynamics.detach_reset,
                "step_mode": "m",
            },
        )
        if decay == 1.0:
            node = neuron.IFNode(**options)
        else:
            node = neuron.LIFNode(tau=1.0 / (1.0 - decay), decay_input=False, **options)
        owner, _, last = name.rpartition(".")
        setattr(network.graph.get_submodule(owner), last, _Steps(node, lambda n: n.reset(), part))
    return network
