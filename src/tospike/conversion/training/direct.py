"""A ReLU network as a spiking network that can be trained: multi-step, direct input encoding.

The network is traced by torch.fx; each rectifier becomes a population of spiking neurons, all
else stays what it is. Time is folded into the batch, (T * N, ...), so that every layer runs once
over all steps; what lies before the first neurons is computed once per inference and drives them
with the same current at every step (direct encoding, Rathi & Roy 2020). Batch norms see all
steps at once, which is tdBN (Zheng et al. 2021).

With calibration data the spiking network starts from the trained ANN: each population fires at
most once per step for the ``percentile`` of its positive ANN activations. The scale goes into the
gain of the neurons and into the weights that receive their spikes, so that spikes are 0 or 1.

Range of validity: feed-forward networks of convolutions, linear layers, batch norms, pools,
rectifiers, sums, concatenations and views of single samples.

Reference
    N. Rathi, K. Roy, "DIET-SNN", arXiv:2008.03658; H. Zheng et al., "Going Deeper With
    Directly-Trained Larger Spiking Neural Networks", AAAI 2021, arXiv:2011.05280.
"""

from __future__ import annotations

import copy
import math
import operator
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.fx.passes.shape_prop import ShapeProp, TensorMetadata
from torch.nn import functional as F

from tospike.conversion.qcfs import QCFS, is_rectifier
from tospike.conversion.training.lif import SURROGATES, Dynamics
from tospike.conversion.training.neurons import KINDS, SpikingNeurons
from tospike.conversion.training.taps import Tap, fan_out
from tospike.conversion.training.tdbn import BATCH_NORMS, ThresholdBatchNorm
from tospike.errors import ConversionError, DataError, OptionError

SYNAPTIC = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Linear)
_POOLS = (
    nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d, nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d,
    nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, nn.AdaptiveAvgPool3d,
)  # fmt: skip
_OTHERS = (
    nn.Flatten, nn.Identity, nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, *BATCH_NORMS,
)  # fmt: skip
_RELU_CALLS: tuple[Any, ...] = (F.relu, torch.relu, F.relu6, torch.relu_, "relu", "relu_")
#: calls that only view a sample in another shape; sums
VIEWS: tuple[Any, ...] = (torch.flatten, "flatten", "view", "reshape", torch.reshape)
ADDITIONS: tuple[Any, ...] = (operator.add, operator.iadd, torch.add, "add", "add_")
_KEEP_BINARY = (
    nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d, nn.Flatten, nn.Identity, nn.Dropout, nn.Dropout1d,
    nn.Dropout2d, nn.Dropout3d,
)  # fmt: skip
_KEEP_BINARY_CALLS: tuple[Any, ...] = (
    *VIEWS, torch.cat, torch.concat, F.max_pool1d, F.max_pool2d, F.max_pool3d, F.dropout,
    "contiguous",
)  # fmt: skip
_CALLS: tuple[Any, ...] = (
    *ADDITIONS, *VIEWS, torch.cat, torch.concat, F.dropout, "contiguous",
    F.max_pool1d, F.max_pool2d, F.max_pool3d, F.avg_pool1d, F.avg_pool2d, F.avg_pool3d,
    F.adaptive_avg_pool1d, F.adaptive_avg_pool2d, F.adaptive_avg_pool3d,
    torch.mean, "mean", "size", getattr, operator.getitem,
)  # fmt: skip


@dataclass(frozen=True)
class Neuron:
    """The neurons of a direct training.

    Attributes
    ----------
    kind : "if", "lif" (fixed decay) or "plif" (decay trained per layer).
    timesteps : T.
    threshold : first value. learn_threshold : train it, one per layer.
    decay : share of the potential left after a step, in (0, 1); first value for "plif".
    start : V(0) as share of the threshold.
    surrogate : of :data:`~tospike.conversion.training.lif.SURROGATES`.
    detach_reset : the gradient does not run through the reset.
    percentile : of the positive activations of the ANN that fires at every step.
    alpha : factor of tdBN where nothing is calibrated.
    """

    kind: str = "plif"
    timesteps: int = 4
    threshold: float = 1.0
    learn_threshold: bool = True
    decay: float = 0.9
    start: float = 0.5
    surrogate: str = "atan"
    detach_reset: bool = True
    percentile: float = 97.0
    alpha: float = 1.0

    def __post_init__(self) -> None:
        reasons = []
        if self.kind not in KINDS:
            reasons.append(f"neuron is {self.kind!r}; there are {', '.join(KINDS)}")
        if self.surrogate not in SURROGATES:
            reasons.append(f"surrogate is {self.surrogate!r}; there are {', '.join(SURROGATES)}")
        steps = self.timesteps
        if isinstance(steps, bool) or not isinstance(steps, int) or not 1 <= steps <= 1024:
            reasons.append(f"timesteps is {steps!r}; it must be a whole number from 1 to 1024")
        for name, value, low, high in (
            ("threshold", self.threshold, 1e-2, 1e6),
            ("decay", self.decay, 1e-3, 0.999),
            ("start", self.start, 0.0, 1.0),
            ("percentile", self.percentile, 50.0, 100.0),
            ("alpha", self.alpha, 1e-3, 1e3),
        ):
            if not low <= value <= high:
                reasons.append(f"{name} is {value}; it must be from {low:g} to {high:g}")
        if reasons:
            raise OptionError("make spiking neurons", reasons=reasons)


class DirectSNN(nn.Module):
    """A spiking network: samples (N, ...) -> outputs of every step (T, N, ...).

    With ``frames`` samples are (N, T, ...), another input at each step. The class scores are the
    mean over the steps. ``graph`` : the network over (T * N, ...), of torch.fx.
    ``sample_shape`` : of one sample and step. ``calibrated`` : it started from a trained ANN.
    """

    def __init__(
        self,
        graph: fx.GraphModule,
        neuron: Neuron,
        *,
        frames: bool,
        calibrated: bool,
        sample_shape: tuple[int, ...],
        origin: str,
    ) -> None:
        super().__init__()
        self.graph, self.neuron, self.frames, self.calibrated = graph, neuron, frames, calibrated
        self.sample_shape, self.origin = sample_shape, origin

    def forward(self, x: Tensor) -> Tensor:
        """Outputs (T, N, ...)."""
        steps = self.neuron.timesteps
        if self.frames:
            if x.shape[1] != steps:
                raise DataError(
                    "run a spiking network on frames",
                    received=f"samples of shape {tuple(x.shape[1:])}",
                    allowed=f"({steps}, ...): one frame per time step",
                )
            x = x.movedim(1, 0).flatten(0, 1)
        outputs: Tensor = self.graph(x)
        return outputs.reshape(steps, -1, *outputs.shape[1:])

    def populations(self) -> dict[str, SpikingNeurons]:
        """The spiking neurons by name, in order of execution."""
        parts = dict(self.graph.named_modules())
        return {
            str(node.target): part
            for node in self.graph.graph.nodes
            if node.op == "call_module"
            and isinstance(part := parts[str(node.target)], SpikingNeurons)
        }


def direct_snn(
    model: nn.Module,
    neuron: Neuron,
    example: Tensor,
    *,
    calibration_data: Tensor | None = None,
    frames: bool = False,
) -> DirectSNN:
    """A trainable spiking copy of ``model``; parameters keep their names.

    Parameters
    ----------
    model : a feed-forward network with rectifiers; left unchanged.
    example : samples (n, ...) of the network's input (of one frame, with ``frames``).
    calibration_data : samples (n, ...); then ``model`` is a trained ANN, and the spiking network
        starts as its conversion. Without it batch norms become those of tdBN.
    frames : samples of the spiking network are (N, T, ...).

    Raises
    ------
    ConversionError
        If torch.fx cannot trace the network, or it has other operations; all are listed.
    """
    what = f"make a spiking network of {type(model).__name__!r}"
    ann = copy.deepcopy(model).eval()
    graph = _traced(ann, what)
    for node in graph.graph.find_nodes(op="call_method", target="view"):
        node.target = "reshape"  # a view needs one memory order, channels last is another
    _check_operations(graph, what)
    _find_shapes(graph, example, what)
    built = _Built(graph, neuron, frames)
    if calibration_data is not None:
        built.rescale(_scales(graph, calibration_data, neuron.percentile))
    built.replace()
    snn = DirectSNN(
        graph, neuron, frames=frames, calibrated=built.calibrated,
        sample_shape=tuple(example.shape[1:]), origin=type(model).__name__,
    )  # fmt: skip
    if not snn.populations():
        raise ConversionError(what, received="no rectifier between its layers")
    return snn.train(model.training)


class _Tracer(fx.Tracer):
    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return isinstance(m, QCFS) or super().is_leaf_module(m, module_qualified_name)


def _traced(model: nn.Module, what: str) -> fx.GraphModule:
    try:
        return fx.GraphModule(model, _Tracer().trace(model))
    except Exception as error:  # the model's own code runs here and may raise anything
        text = str(error).strip().splitlines()
        raise ConversionError(
            what,
            received=f"torch.fx cannot trace it: {text[0] if text else type(error).__name__}",
            fix="write its forward method without branches that depend on values",
        ) from error


def _find_shapes(graph: fx.GraphModule, example: Tensor, what: str) -> None:
    try:
        with torch.no_grad():
            ShapeProp(graph).propagate(example[:2].float())
    except Exception as error:  # the model's own operations run here
        text = str(error).strip().splitlines()
        raise ConversionError(
            what,
            received=f"a sample of shape {tuple(example.shape[1:])} on which it fails: "
            + (text[-1] if text else type(error).__name__),
            fix="give samples of the shape that the network takes",
        ) from error


def _is_neuron(node: fx.Node, parts: dict[str, nn.Module]) -> bool:
    if node.op == "call_module":
        return is_rectifier(parts[str(node.target)])
    return node.op in ("call_function", "call_method") and node.target in _RELU_CALLS


def _check_operations(graph: fx.GraphModule, what: str) -> None:
    parts = dict(graph.named_modules())
    reasons, inputs = [], 0
    for node in graph.graph.nodes:
        inputs += node.op == "placeholder"
        if node.op == "call_module":
            part = parts[str(node.target)]
            if isinstance(part, (*SYNAPTIC, *_POOLS, *_OTHERS)) or is_rectifier(part):
                if getattr(part, "padding_mode", "zeros") != "zeros":
                    reasons.append(f"{node.target}: padding with other values than 0")
                if isinstance(part, _POOLS) and getattr(part, "return_indices", False):
                    reasons.append(f"{node.target}: a pool that returns indices")
                continue
            reasons.append(f"{node.target}: {type(part).__name__}")
        elif node.op == "get_attr":
            reasons.append(f"{node.target}: a tensor that is used directly")
        elif node.op.startswith("call") and node.target not in (*_CALLS, *_RELU_CALLS):
            reasons.append(f"{node.name}: {getattr(node.target, '__name__', str(node.target))}")
    if inputs != 1:
        reasons.append(f"{inputs} inputs; one is needed")
    if reasons:
        raise ConversionError(
            what,
            allowed="Conv, Linear, BatchNorm, pools, Dropout, Flatten, rectifiers, sums, "
            "concatenations, views",
            reasons=reasons,
        )


def _scales(graph: fx.GraphModule, x: Tensor, percentile: float) -> dict[fx.Node, float]:
    """Percentile of the positive inputs of every rectifier (of QCFS its threshold)."""
    parts = dict(graph.named_modules())
    found: dict[fx.Node, float] = {}

    class Look(fx.Interpreter):
        def run_node(self, n: fx.Node) -> Any:
            if _is_neuron(n, parts):
                values = self.env[n.all_input_nodes[0]]
                part = parts.get(str(n.target)) if n.op == "call_module" else None
                if isinstance(part, QCFS):
                    found[n] = float(part.threshold.detach())
                else:
                    found[n] = percentile_of(values, percentile)
                    if isinstance(part, nn.Hardtanh):
                        found[n] = min(found[n], float(part.max_val))
            return super().run_node(n)

    with torch.no_grad():
        Look(graph).run(x.float())
    return found


def percentile_of(values: Tensor, percentile: float) -> float:
    """Percentile of the positive ones among ``values``; 1 if there are none."""
    positive = values[values > 0]
    if not positive.numel():
        return 1.0
    at = max(1, math.ceil(percentile / 100 * positive.numel()))
    return float(positive.kthvalue(at).values)


def repeat_time(x: Tensor, steps: int) -> Tensor:
    """(N, ...) -> (T * N, ...), the same at every step."""
    return x.repeat(steps, *(1,) * (x.dim() - 1))


def _shape(node: fx.Node) -> tuple[int, ...] | None:
    """Shape of one sample; None for what is no tensor."""
    meta = node.meta.get("tensor_meta")
    return tuple(meta.shape[1:]) if isinstance(meta, TensorMetadata) else None


class _Built:
    """One traced network on its way to a spiking one."""

    def __init__(self, graph: fx.GraphModule, neuron: Neuron, frames: bool) -> None:
        self.graph, self.neuron, self.frames = graph, neuron, frames
        self.parts = dict(graph.named_modules())
        self.nodes: list[fx.Node] = list(graph.graph.nodes)
        self.gains: dict[fx.Node, float] = {}
        self.calibrated = False
        #: nodes with values at every step; of these, the ones that are 0 or 1
        self.timed: set[fx.Node] = set()
        self.binary: set[fx.Node] = set()

    # -- the start from an ANN ----------------------------------------------------------------

    def rescale(self, scales: dict[fx.Node, float]) -> None:
        """Populations whose spikes meet get one scale; weights behind them take it up."""
        self.calibrated = True
        group = {node: node for node in scales}

        def root(node: fx.Node) -> fx.Node:
            while group[node] is not node:
                node = group[node]
            return node

        def join(members: list[fx.Node]) -> None:
            for other in members[1:]:
                group[root(other)] = root(members[0])

        sources: dict[fx.Node, list[fx.Node]] = {}
        readers: dict[str, list[fx.Node]] = {}
        for node in self.nodes:
            before = [s for n in node.all_input_nodes for s in sources.get(n, [])]
            part = self.parts.get(str(node.target)) if node.op == "call_module" else None
            if node in scales:
                sources[node] = [node]
                continue
            if isinstance(part, (*SYNAPTIC, *BATCH_NORMS)):
                readers.setdefault(str(node.target), []).extend(before)
                sources[node] = []
                continue
            join(before)
            sources[node] = before
        for members in readers.values():
            join(members)
        for node in scales:
            top = max(scale for other, scale in scales.items() if root(other) is root(node))
            self.gains[node] = 1.0 / top
        with torch.no_grad():
            for name, members in readers.items():
                if members:
                    self._take_up(self.parts[name], 1.0 / self.gains[members[0]])

    @staticmethod
    def _take_up(part: nn.Module, scale: float) -> None:
        """``part`` sees values that are ``scale`` times smaller than before."""
        if isinstance(part, SYNAPTIC):
            part.weight.mul_(scale)
        elif isinstance(part, BATCH_NORMS) and part.running_mean is not None:
            assert part.running_var is not None
            part.running_mean.div_(scale)
            part.running_var.div_(scale * scale)

    # -- the graph ----------------------------------------------------------------------------

    def replace(self) -> None:
        """Neurons for rectifiers, taps before layers with spikes, time where it begins."""
        taken: set[str] = set()
        for node in self.nodes:
            if node.op == "placeholder":
                if self.frames:
                    self.timed.add(node)
            elif _is_neuron(node, self.parts):
                fresh = self._neuron(node, node.all_input_nodes[0] not in self.timed, taken)
                self.timed.add(fresh)
                self.binary.add(fresh)
            elif node.op != "output":
                self._ordinary(node)
        self._remove_unused(taken)
        self.graph.graph.lint()
        self.graph.recompile()

    def _neuron(self, node: fx.Node, constant: bool, taken: set[str]) -> fx.Node:
        settings = self.neuron
        part = SpikingNeurons(
            settings.kind, settings.timesteps,
            Dynamics(settings.start, settings.surrogate, settings.detach_reset),
            threshold=settings.threshold, decay=settings.decay,
            gain=self.gains.get(node, 1.0), constant=constant,
            learn_threshold=settings.learn_threshold,
        )  # fmt: skip
        name = str(node.target) if node.op == "call_module" else f"neurons_{node.name}"
        if name in taken:  # one rectifier module that is called at several places
            name = f"{name.replace('.', '_')}_{node.name}"
        taken.add(name)
        self.graph.add_submodule(name, part)
        with self.graph.graph.inserting_after(node):
            fresh = self.graph.graph.call_module(name, (node.all_input_nodes[0],))
        fresh.meta = dict(node.meta)
        node.replace_all_uses_with(fresh)
        self.graph.graph.erase_node(node)
        return fresh

    def _ordinary(self, node: fx.Node) -> None:
        part = self.parts.get(str(node.target)) if node.op == "call_module" else None
        inputs = node.all_input_nodes
        if any(n in self.timed for n in inputs):
            self.timed.add(node)
            for other in inputs:
                if other not in self.timed and _shape(other) is not None:
                    self._repeat(other, node)
            keeps = isinstance(part, _KEEP_BINARY) or node.target in _KEEP_BINARY_CALLS
            if keeps and all(n in self.binary for n in inputs if _shape(n) is not None):
                self.binary.add(node)
            if isinstance(part, BATCH_NORMS):
                self._threshold_norm(node, part)
        elif isinstance(part, BATCH_NORMS):
            self._threshold_norm(node, part)
        if isinstance(part, SYNAPTIC):
            self._tap(node, part)

    def _repeat(self, other: fx.Node, node: fx.Node) -> None:
        with self.graph.graph.inserting_before(node):
            again = self.graph.graph.call_function(repeat_time, (other, self.neuron.timesteps))
        again.meta = dict(other.meta)
        self.timed.add(again)
        node.replace_input_with(other, again)

    def _tap(self, node: fx.Node, part: nn.Module) -> None:
        source = node.all_input_nodes[0]
        shape = _shape(source)
        assert shape is not None
        name = f"tap_{node.name}"
        tap = Tap(
            str(node.target), *fan_out(part, shape), timed=source in self.timed,
            binary=source in self.binary,
        )  # fmt: skip
        self.graph.add_submodule(name, tap)
        with self.graph.graph.inserting_before(node):
            fresh = self.graph.graph.call_module(name, (source,))
        fresh.meta = dict(source.meta)
        node.replace_input_with(source, fresh)

    def _threshold_norm(self, node: fx.Node, part: nn.Module) -> None:
        if not self.calibrated:
            scale = self.neuron.alpha * self.neuron.threshold
            self.graph.add_submodule(str(node.target), ThresholdBatchNorm.of(part, scale))

    def _remove_unused(self, taken: set[str]) -> None:
        used = {str(node.target) for node in self.graph.graph.nodes if node.op == "call_module"}
        for name, part in self.parts.items():
            if is_rectifier(part) and name not in used and name not in taken:
                self.graph.delete_submodule(name)


def settings_of(neuron: Neuron, frames: bool) -> dict[str, object]:
    """For the mark of a checkpoint."""
    return {**{f"neuron {name}": value for name, value in asdict(neuron).items()}, "frames": frames}
