"""Sigma-delta networks: on a stream, neurons send quantised changes of their activation.

    sender      K(t) = round(x(t) / theta);  sends k = K(t) - K(t - 1) if it is not 0
    receiver    adds k theta w to the stored pre-activation

(O'Connor & Welling 2016, arXiv:1611.02024, "Sigma delta quantized networks".) What a synapse
has received so far is theta K(t): never further than theta / 2 from x(t), without drift. Two ways
to send k: *graded*, one event with the number k (a multiplication per synapse), or *unary*, |k|
spikes with a sign (an addition per spike and synapse).

Range of validity: theta >= 0; at 0 every changed value is sent exactly, and the outputs are those
of the network frame by frame. Values that no synapse reads, and opaque parts (attention, recurrent
layers), are computed in every frame.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from tospike.activity import ActivityProfile
from tospike.conversion.counting import Counter, Wiring, count_events, profile, wiring
from tospike.conversion.data import Progress, as_samples
from tospike.conversion.forward import forward, walk
from tospike.conversion.graph import ExecutableGraph, Node, Synapse
from tospike.conversion.scoring import uncounted
from tospike.errors import DataError, OptionError

#: percentile of the magnitude at a synapse's input that a relative threshold is a share of
PERCENTILE = 99.9
#: most samples for it
SAMPLES = 512


@dataclass(frozen=True)
class SigmaDeltaResult:
    """What a sigma-delta network did on streams of F frames.

    Attributes
    ----------
    accuracy : share of correct arg-max over all frames, None without labels.
    agreement : share of frames with the arg-max of the network itself; None without classes.
    error : largest difference of an output from the network's, over its largest output.
    n_streams, n_frames : what was run.
    graded, unary : activity per inference (a stream of F frames). Graded: one operation per
        changed input and synapse. Unary: one per spike and synapse, |k| spikes per change.
    outputs : (F, N, ...) float32, only if asked for.
    """

    accuracy: float | None
    agreement: float | None
    error: float
    n_streams: int
    n_frames: int
    graded: ActivityProfile
    unary: ActivityProfile
    thetas: Mapping[str, float]
    outputs: Tensor | None = None
    notes: tuple[str, ...] = ()


@dataclass
class Sender:
    """What one value has sent so far, for a batch of streams: the sums K."""

    theta: float
    sums: Tensor | None = None

    def __call__(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(what the receivers have now, the changes k; at theta 0 one for every change)."""
        before = torch.zeros_like(x, dtype=torch.float64) if self.sums is None else self.sums
        if self.theta == 0:
            self.sums = x.double()
            return x, (self.sums != before).double()
        self.sums = torch.round(x.double() / self.theta)
        return (self.sums * self.theta).to(x.dtype), self.sums - before


@dataclass
class _Frame:
    """One frame through the network: replaces what synapses read, and keeps the changes."""

    senders: Mapping[str, Sender]
    changes: dict[str, Tensor] = field(default_factory=dict)
    received: dict[str, Tensor] = field(default_factory=dict)

    def before(self, node: Node, values: list[Any]) -> list[Any]:
        """The hook of ``walk``; a value with several readers is sent once."""
        if not isinstance(node.spec, Synapse):
            return values
        source = node.inputs[0]
        if source not in self.received:
            self.received[source], self.changes[source] = self.senders[source](values[0])
        return [self.received[source], *values[1:]]


class SigmaDelta(torch.nn.Module):
    """A sigma-delta network: frames (F, N, ...) to outputs (F, N, ...), N streams side by side.

    ``thetas`` : threshold of every value that a synapse reads, by the name of its first reader.
    Every call starts from zero sums, so the first frame sends everything.
    """

    def __init__(self, graph: ExecutableGraph, thetas: Mapping[str, float]) -> None:
        super().__init__()
        self.graph = graph
        self.thetas = dict(thetas)

    def senders(self) -> dict[str, Sender]:
        """A sender that has sent nothing, for every value that a synapse reads."""
        return {source: Sender(self.thetas[layer]) for source, layer in read_by(self.graph).items()}

    def forward(self, frames: Any) -> Tensor:
        """Outputs of every frame; ``frames`` (F, N, ...)."""
        x = self._checked(frames)
        senders = self.senders()
        return torch.stack([self._frame(one, senders)[0] for one in x])

    def _frame(self, x: Tensor, senders: Mapping[str, Sender]) -> tuple[Tensor, _Frame]:
        frame = _Frame(senders)
        output: Tensor | None = None
        for node, _, value in walk(self.graph, x, frame.before):
            if node.name == self.graph.output:
                output = value
        assert output is not None
        return output, frame

    def _checked(self, frames: Any) -> Tensor:
        x = torch.as_tensor(frames)
        if x.dim() < 2 or 0 in x.shape[:2]:
            raise DataError(
                "run the sigma-delta network",
                received=f"frames of shape {tuple(x.shape)}",
                allowed="(frames, streams, " + ", ".join(map(str, self.graph.input_shape)) + ")",
            )
        flat = as_samples(self.graph, x.flatten(0, 1), asked="run the sigma-delta network")
        return flat.reshape(*x.shape[:2], *flat.shape[1:])

    def run(
        self,
        frames: Any,
        y: Any = None,
        *,
        keep_outputs: bool = False,
        progress: Progress | None = None,
    ) -> SigmaDeltaResult:
        """Accuracy and events on ``frames`` (F, N, ...) with labels (F, N), (N,) or None.

        Raises
        ------
        DataError
        """
        x = self._checked(frames)
        labels = _labels(y, x, self.graph[self.graph.output].shape)
        wires, senders = wiring(self.graph), self.senders()
        tallies = {"graded": _Tally(wires), "unary": _Tally(wires)}
        made, truths = [], []
        for number, one in enumerate(x):
            output, frame = self._frame(one, senders)
            made.append(output)
            truths.append(forward(self.graph, one))
            for coding, tally in tallies.items():
                tally.add(self.graph, frame.changes, unary=coding == "unary")
            if progress is not None:
                progress(number + 1, len(x))
        outputs, truth = torch.stack(made), torch.stack(truths)
        classes = outputs.dim() == 3
        best = outputs.argmax(dim=2) if classes else None
        scale = float(truth.abs().max()) or 1.0
        hits = None if labels is None or best is None else best == labels
        same = None if best is None else best == truth.argmax(dim=2)
        zero = tuple(name for name, theta in self.thetas.items() if theta == 0)
        notes = list(uncounted(self.graph))
        if zero:
            notes.append(f"theta = 0 at {', '.join(zero)}: a change is one spike of any size")
        return SigmaDeltaResult(
            accuracy=None if hits is None else float(hits.double().mean()),
            agreement=None if same is None else float(same.double().mean()),
            error=float((outputs - truth).abs().max()) / scale,
            n_streams=x.shape[1],
            n_frames=x.shape[0],
            graded=tallies["graded"].profile(x.shape[1], "graded"),
            unary=tallies["unary"].profile(x.shape[1], "unary"),
            thetas=self.thetas,
            outputs=outputs.float() if keep_outputs else None,
            notes=tuple(notes),
        )


def read_by(graph: ExecutableGraph) -> dict[str, str]:
    """Value that synapses read -> layer that reads it first."""
    found: dict[str, str] = {}
    for node in graph.nodes:
        if isinstance(node.spec, Synapse):
            found.setdefault(node.inputs[0], node.spec.layer)
    return found


@dataclass
class _Tally:
    """Events of one coding, frame by frame."""

    wires: Mapping[str, Wiring]
    counter: Counter = field(default_factory=Counter)
    spikes: dict[str, float] = field(default_factory=dict)

    def add(self, graph: ExecutableGraph, changes: Mapping[str, Tensor], *, unary: bool) -> None:
        """The changes of one frame of all streams."""
        for node in graph.nodes:
            if isinstance(node.spec, Synapse):
                wires, sent = self.wires[node.name], changes[node.inputs[0]]
                events, operations = count_events(wires, sent, sent.shape[0])
                if unary:
                    operations = weighed(wires, sent.abs())
                    total = self.spikes.get(wires.layer, 0.0) + float(sent.abs().sum())
                    self.spikes[wires.layer] = total
                self.counter.add(wires, events, operations)

    def profile(self, streams: int, coding: str) -> ActivityProfile:
        """Per layer; every stream is one inference."""
        self.counter.commit(streams)
        found = profile(
            self.counter, self.spikes, origin=f"executed as sigma-delta, {coding} events"
        )
        layers = {}
        for name, one in found.layers.items():
            tally = self.counter.tallies[name]
            if name in self.spikes:  # changes of several steps are several spikes
                inputs = tally.n_inputs / tally.calls
                each = self.spikes[name] / streams / inputs
                # The synapses of one call, as LayerActivity defines it.
                per = one.synaptic_operations / (tally.n_synapses / tally.calls)
                one = replace(one, spikes_per_neuron=each, spikes_per_synapse=per)
            else:
                one = replace(one, signal="delta")
            layers[name] = one
        return replace(found, layers=layers)


def weighed(wires: Wiring, size: Tensor) -> Any:
    """Synaptic operations of each stream for ``size`` spikes (streams, ...) per input."""
    if wires.fan_out.dim() == 0:
        return (size.reshape(size.shape[0], -1).double().sum(dim=1) * wires.fan_out).numpy()
    per_position = size.double().sum(dim=1).reshape(size.shape[0], -1)
    return (per_position @ wires.fan_out.reshape(-1)).numpy()


def sigma_delta_network(
    graph: ExecutableGraph,
    theta: float | Mapping[str, float],
    *,
    calibration_data: Any = None,
) -> SigmaDelta:
    """A sigma-delta network of a trained one; nothing is trained.

    Parameters
    ----------
    theta : threshold, in units of the value that is sent; one number, or by name of the layer
        that reads it (layers that are not named get 0). Numbers >= 0.
    calibration_data : samples (n, ...); then ``theta`` is a share of the 99.9-percentile of the
        magnitude of the non-zero values that each layer reads.

    Raises
    ------
    OptionError, DataError
    """
    layers = list(dict.fromkeys(read_by(graph).values()))
    thetas = _thetas(theta, layers)
    if calibration_data is not None:
        scales = _magnitudes(graph, calibration_data)
        thetas = {name: value * scales[name] for name, value in thetas.items()}
    return SigmaDelta(graph, thetas)


def _thetas(theta: Any, layers: list[str]) -> dict[str, float]:
    given = dict(theta) if isinstance(theta, Mapping) else dict.fromkeys(layers, theta)
    reasons = [f"no layer {name!r} reads a value first" for name in given if name not in layers]
    for name, value in given.items():
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or not (math.isfinite(value) and value >= 0):
            reasons.append(f"theta of {name} is {value!r}, no finite number of at least 0")
    if not layers:
        reasons.append("the network has no convolution and no linear layer")
    if reasons:
        raise OptionError(
            "convert a network to 'sigma_delta'",
            allowed=f"theta=1/16, or by layer: {', '.join(layers) or 'none'}",
            reasons=list(dict.fromkeys(reasons)),
        )
    return {name: float(given.get(name, 0.0)) for name in layers}


def _magnitudes(graph: ExecutableGraph, data: Any) -> dict[str, float]:
    """Layer -> percentile of the non-zero magnitudes that it reads."""
    x = as_samples(graph, data, asked="scale the thresholds")[:SAMPLES]
    readers = read_by(graph)
    found: dict[str, float] = {}
    for node, _, value in walk(graph, x):
        if node.name in readers:
            size = value.detach().abs().flatten()
            size = size[size > 0]
            at = max(1, math.ceil(PERCENTILE / 100 * size.numel()))
            top = float(size.kthvalue(at).values) if size.numel() else 1.0
            found[readers[node.name]] = top
    return found


def _labels(y: Any, x: Tensor, output: tuple[int, ...]) -> Tensor | None:
    if y is None:
        return None
    labels = torch.as_tensor(y)
    frames, streams = x.shape[:2]
    reasons = []
    if labels.dim() == 1 and len(labels) == streams:
        labels = labels.expand(frames, streams)
    if tuple(labels.shape) != (frames, streams):
        reasons.append(f"labels have shape {tuple(labels.shape)}")
    if labels.is_floating_point() or labels.is_complex() or labels.dtype == torch.bool:
        reasons.append(f"labels of type {labels.dtype} are no class numbers")
    if len(output) != 1:
        reasons.append(f"the output (N, {', '.join(map(str, output))}) has no class dimension")
    elif not reasons and not (int(labels.min()) >= 0 and int(labels.max()) < output[0]):
        reasons.append(f"labels are outside of 0 to {output[0] - 1}")
    if reasons:
        raise DataError(
            "measure the accuracy",
            allowed=f"class numbers ({frames}, {streams}) or ({streams},)",
            reasons=reasons,
        )
    return labels
