"""ANN -> quantised ANN: the matched baseline of a spiking network, executed with fake integers.

Weights: symmetric, per output channel. Activations behind rectifiers: unsigned, with the clipping
that minimises the squared error on the calibration samples (per layer). Values that are not
rectified (network input, GELU, ...) get 8-bit affine quantisation. Biases are corrected for the
mean error of their channel. An SNN with T steps tells T + 1 values per neuron apart, so it is
matched by ceil(log2(T + 1)) activation bits.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from tospike.conversion.calibration import Calibration, channel_dim
from tospike.conversion.counting import Counter, count_events, profile, wiring
from tospike.conversion.data import Progress, as_labels, as_samples, batches
from tospike.conversion.eligibility import plan
from tospike.conversion.forward import last_uses, native_dtype, walk
from tospike.conversion.graph import ExecutableGraph, Input, Node, Rectify, Spec, Synapse
from tospike.conversion.ops import analog
from tospike.conversion.prepare import (
    by_output,
    channel_shape,
    from_output,
    input_channels,
    spike_amplitudes,
    with_input_scale,
)
from tospike.conversion.result import RunResult
from tospike.conversion.scoring import float_classes as classes_of_float
from tospike.conversion.scoring import score, uncounted
from tospike.conversion.thresholds import Granularity, Histogram
from tospike.errors import ConversionError, OptionError

#: bits of values that are not rectified
AFFINE_BITS = 8
#: values of the largest tensor that bias correction holds (float32: 128 MB)
CORRECTION_VALUES = 32_000_000
#: samples of it: a channel's mean over so many is exact enough
CORRECTION_SAMPLES = 256
#: times that the mean of a quantised activation is fitted by the bias before it
ROUNDS = 2


def matched_bits(timesteps: int) -> int:
    """ceil(log2(T + 1)): activation bits that tell as many values apart as T time steps."""
    if isinstance(timesteps, bool) or not isinstance(timesteps, int) or timesteps < 1:
        raise OptionError("match bits", received=f"T = {timesteps!r}", allowed="an integer >= 1")
    return timesteps.bit_length()


@dataclass(frozen=True, eq=False)
class Quantiser:
    """Values are rounded to ``step * (k - zero)``, k an integer in [0, levels].

    ``step`` is one number, or one per channel, shaped so that it broadcasts over (N, ...).
    """

    step: float | Tensor
    zero: int
    levels: int

    def __call__(self, value: Tensor) -> Tensor:
        # In place after the first operation: this runs on every activation of every sample.
        k = value / self.step
        if self.zero:
            k.add_(self.zero)
        k.round_().clamp_(0, self.levels)
        if self.zero:
            k.sub_(self.zero)
        return k.mul_(self.step)


@dataclass(frozen=True, eq=False)
class QuantisedGraph:
    """A graph with weights on their grid, and the quantiser of every value that is quantised.

    ``at_output`` : rectified values, quantised for all their readers. ``at_synapse`` : values
    that are not rectified, quantised where a synapse reads them.
    """

    graph: ExecutableGraph
    at_output: Mapping[str, Quantiser] = field(default_factory=dict)
    at_synapse: Mapping[str, Quantiser] = field(default_factory=dict)

    def before(self, node: Node, values: list[Any]) -> list[Any]:
        """Input values of a node after quantisation (a hook of ``walk``)."""
        quantised = []
        for name, value in zip(node.inputs, values, strict=True):
            rule = self.at_output.get(name)
            if rule is None and isinstance(node.spec, Synapse):
                rule = self.at_synapse.get(name)
            quantised.append(value if rule is None else rule(value))
        return quantised


def clipping(histogram: Histogram, bits: int, granularity: Granularity = "layer") -> Tensor:
    """Upper end of unsigned ``bits``-bit quantisation with the least squared error, (1,) or (C,).

    A channel that was never active gets the largest clipping of its layer.
    """
    counts, values = histogram.counts, histogram.values()
    if granularity == "layer":
        counts, values = counts.reshape(1, -1), values.reshape(1, -1)
    active = counts.sum(dim=1) > 0
    if not bool(active.any()):
        return torch.ones(counts.shape[0], dtype=torch.float64)
    top = torch.where(counts > 0, values, torch.zeros_like(values)).amax(dim=1)
    levels = 2**bits - 1
    best, best_error = top.clone(), torch.full_like(top, math.inf)
    for share in torch.linspace(0.02, 1.0, 99, dtype=torch.float64).tolist():
        step = (top * share / levels).clamp_min(torch.finfo(torch.float64).tiny).unsqueeze(1)
        rounded = (values / step).round_().clamp_max_(levels).mul_(step)
        error = rounded.sub_(values).square_().mul_(counts).sum(dim=1)
        better = error < best_error
        best = torch.where(better, top * share, best)
        best_error = torch.where(better, error, best_error)
    return torch.where(active, best, best[active].max())


def weights_on_grid(spec: Synapse, bits: int, scale: Tensor | None = None) -> Synapse:
    """Symmetric quantisation of the weights per output channel: k * step, |k| <= 2**(bits-1)-1.

    ``scale`` (inputs,) : step of the activations per input channel. It is multiplied into the
    weights before these are rounded, so that the products are integers, and divided out after.
    """
    weight = spec.weight.double()
    if scale is not None:
        weight = with_input_scale(spec, weight, scale)
    rows = by_output(spec, weight)
    step = rows.abs().amax(dim=1, keepdim=True) / (2 ** (bits - 1) - 1)
    step = torch.where(step > 0, step, torch.ones_like(step))
    grid = from_output(spec, torch.round(rows / step) * step, tuple(spec.weight.shape))
    if scale is not None:
        grid = with_input_scale(spec, grid, 1.0 / scale)
    return replace(spec, weight=grid.to(spec.weight.dtype))


def quantise(
    graph: ExecutableGraph, calibration: Calibration, activation_bits: int, weight_bits: int
) -> QuantisedGraph:
    """Weights and activations on their grids, biases corrected on the calibration samples.

    The quantised values are those that would be spiking neurons in an SNN: rectifiers, and
    average pools and sums that feed synapses. Where the thresholds of that SNN are per channel,
    so are the steps here: both are folded into the weights that leave the channel.
    """
    feeding = plan(graph, frozenset(graph.eligible)).spikes
    levels = 2**activation_bits - 1
    clips = {
        node.name: clipping(
            calibration.histograms[node.name], activation_bits, calibration.granularity
        )
        for node in graph.nodes
        if node.name in calibration.histograms
        and (isinstance(node.spec, Rectify) or node.name in feeding)
    }
    scales = input_scales(graph, replace(calibration, scales={**calibration.scales, **clips}))
    if scales is None:  # a scale that cannot be folded: one per layer then
        return quantise(graph, per_layer(calibration), activation_bits, weight_bits)
    at_output = {
        name: Quantiser(_broadcast(clip, calibration, graph[name]) / levels, 0, levels)
        for name, clip in clips.items()
    }
    at_synapse = {name: affine(low, high) for name, (low, high) in calibration.ranges.items()}
    nodes = tuple(
        replace(node, spec=weights_on_grid(node.spec, weight_bits, scales.get(node.name)))
        if isinstance(node.spec, Synapse)
        else node
        for node in graph.nodes
    )
    rough = QuantisedGraph(replace(graph, nodes=nodes), at_output, at_synapse)
    return with_corrected_biases(graph, rough, calibration.samples)


def per_layer(calibration: Calibration) -> Calibration:
    """``calibration`` for one clipping per layer."""
    scales = {name: scale.amax().reshape(1) for name, scale in calibration.scales.items()}
    return replace(calibration, scales=scales, granularity="layer")


def _broadcast(clip: Tensor, calibration: Calibration, node: Node) -> Any:
    """A clipping that broadcasts over the values (N, ...) of ``node``, in float32."""
    if clip.numel() == 1:
        return float(clip)
    return channel_shape(clip, calibration.channel_dims[node.name], 1 + len(node.shape)).float()


def input_scales(graph: ExecutableGraph, calibration: Calibration) -> dict[str, Tensor] | None:
    """Synapse -> scale of its input channels, where its input may spike; None if one varies."""
    whole = plan(graph, frozenset(graph.eligible))
    try:
        amplitudes = spike_amplitudes(graph, whole, calibration)
        return {
            node.name: input_channels(node.spec, amplitudes[node.inputs[0]])
            for node in graph.nodes
            if isinstance(node.spec, Synapse) and node.spec.layer in whole.spiking
        }
    except ConversionError:
        if calibration.granularity == "layer":
            return {}
        return None


def affine(low: float, high: float) -> Quantiser:
    """8-bit affine quantiser of [low, high]; 0 is on the grid."""
    low, high = min(low, 0.0), max(high, 0.0)
    levels = 2**AFFINE_BITS - 1
    step = (high - low) / levels or 1.0
    return Quantiser(step, round(-low / step), levels)


def with_corrected_biases(
    graph: ExecutableGraph, rough: QuantisedGraph, samples: Tensor
) -> QuantisedGraph:
    """Biases shifted by the mean error of their channel, layer by layer.

    The float and the quantised network run in lock-step; a layer is corrected as soon as it is
    reached, so that later layers see corrected inputs (Nagel et al. 2019, empirical form). Where a
    layer feeds only a quantised rectifier, its bias is then moved until the *quantised*
    activations have the mean of the float ones: what the calibration of an SNN does for spikes.
    """
    largest = max(math.prod(node.shape) for node in graph.nodes)
    samples = samples[: min(CORRECTION_SAMPLES, max(4, CORRECTION_VALUES // max(1, largest)))]
    corrected = {node.name: node for node in rough.graph.nodes}
    freed = last_uses(graph)
    values: dict[str, Any] = {}
    with torch.inference_mode():
        for node, _, truth in walk(graph, samples):
            if isinstance(node.spec, Input):
                values[node.name] = truth
                continue
            mine = corrected[node.name]
            inputs = rough.before(mine, [values[name] for name in node.inputs])
            value = analog(mine, inputs, native_dtype(graph))
            if isinstance(mine.spec, Synapse):
                dim = channel_dim(graph, node.name) if node.batched else truth.dim() - 1
                error = channel_mean(truth - value, dim)
                corrected[node.name] = _shifted(mine, error)
                value = value + channel_shape(error, dim, value.dim()).to(value.dtype)
            source = _biased_source(graph, rough, mine, corrected)
            if source is not None:
                dim = channel_dim(graph, node.name)
                shift = _shift(truth, inputs[0], mine.spec, rough.at_output[node.name], dim)
                corrected[source.name] = _shifted(source, shift)
                value = _moved(inputs[0], shift, mine.spec, dim)
            values[node.name] = value
            for name in freed[node.name]:
                values.pop(name, None)
    nodes = tuple(corrected[node.name] for node in rough.graph.nodes)
    return replace(rough, graph=replace(rough.graph, nodes=nodes))


def channel_mean(value: Tensor, dim: int) -> Tensor:
    """Mean of every channel, (C,) float64."""
    others = [axis for axis in range(value.dim()) if axis != dim]
    return value.mean(dim=others, dtype=torch.float64) if others else value.double()


def _shifted(node: Node, shift: Tensor) -> Node:
    """``node`` (a synapse) with ``shift`` (C,) added to its bias."""
    spec = node.spec
    assert isinstance(spec, Synapse)
    bias = shift if spec.bias is None else spec.bias.double() + shift
    return replace(node, spec=replace(spec, bias=bias.to(spec.weight.dtype)))


def _biased_source(
    graph: ExecutableGraph, rough: QuantisedGraph, node: Node, corrected: Mapping[str, Node]
) -> Node | None:
    """The synapse whose bias moves only the quantised rectifier ``node``, or None."""
    if not isinstance(node.spec, Rectify) or node.name not in rough.at_output or not node.batched:
        return None
    source = corrected.get(node.inputs[0])
    if source is None or not isinstance(source.spec, Synapse):
        return None
    uses = sum(
        1
        for other in graph.nodes
        if isinstance(other.spec, Synapse) and other.spec.layer == source.spec.layer
    )
    alone = len(graph.consumers[source.name]) == 1 and source.name != graph.output
    return source if alone and uses == 1 else None


def _moved(value: Tensor, shift: Tensor, spec: Spec, dim: int) -> Tensor:
    """The rectified ``value`` after a shift (C,) of its bias."""
    assert isinstance(spec, Rectify)
    moved = value + channel_shape(shift, dim, value.dim()).to(value.dtype)
    return moved.clamp_(0.0, spec.upper)


def _shift(truth: Tensor, value: Tensor, spec: Spec, rule: Quantiser, dim: int) -> Tensor:
    """Shift (C,) of the bias with which the quantised activations have the float mean."""
    target = channel_mean(truth, dim)
    shift = torch.zeros_like(target)
    for _ in range(ROUNDS):
        shift = shift + target - channel_mean(rule(_moved(value, shift, spec, dim)), dim)
    return shift


def run_qnn(
    graph: ExecutableGraph,
    calibration: Calibration,
    x: Any,
    y: Any = None,
    *,
    activation_bits: int,
    weight_bits: int = 8,
    batch_size: int = 128,
    keep_outputs: bool = False,
    progress: Progress | None = None,
    float_classes: Any = None,
) -> RunResult:
    """Run the quantised network on ``x`` (N, ...) and measure accuracy and zeros.

    Parameters
    ----------
    activation_bits : of rectified activations, in [1, 16]; see :func:`matched_bits`.
    weight_bits : in [2, 16].
    float_classes : ``RunResult.classes`` of ``run_ann`` on the same samples, so that the float
        network need not run again; None runs it.

    Raises
    ------
    DataError, OptionError
    """
    checked_bits(activation_bits, weight_bits)
    samples = as_samples(graph, x, asked="run the quantised network")
    labels = as_labels(graph, y, samples.shape[0], asked="measure the accuracy")
    quantised = quantise(graph, calibration, activation_bits, weight_bits)
    wires, counter = wiring(graph), Counter()
    result = score(graph, labels, keep_outputs)
    known = classes_of_float(graph, float_classes, samples.shape[0])
    for start, rows in batches(samples, batch_size, progress):
        output: Tensor | None = None
        for node, inputs, value in walk(quantised.graph, rows, quantised.before):
            if isinstance(node.spec, Synapse):
                counter.add(wires[node.name], *count_events(wires[node.name], inputs[0], len(rows)))
            if node.name == graph.output:
                output = value
        assert output is not None
        counter.commit(len(rows))
        result.add(start, output, known.of(start, rows))
    notes = uncounted(graph)
    origin = f"executed as quantised ANN, {activation_bits}-bit activations"
    return RunResult(
        mode="qnn",
        accuracy=result.accuracy,
        agreement=result.agreement,
        n_samples=result.n,
        timesteps=1,
        activation_bits=activation_bits,
        activity=profile(counter, (), origin=origin, notes=notes),
        outputs=result.outputs,
        classes=result.classes,
        notes=notes,
    )


def checked_bits(activation_bits: int, weight_bits: int) -> None:
    """Refuse widths that cannot be simulated."""
    wrong = []
    for name, bits, low in (("activation", activation_bits, 1), ("weight", weight_bits, 2)):
        if isinstance(bits, bool) or not isinstance(bits, int) or not low <= bits <= 16:
            wrong.append(f"{name}_bits = {bits!r} is not an integer from {low} to 16")
    if wrong:
        raise OptionError("quantise the network", reasons=wrong)
