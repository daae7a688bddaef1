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

from tospike.conversion.calibration import Calibration, Histogram, by_channel, channel_dim
from tospike.conversion.counting import Counter, count_events, profile, wiring
from tospike.conversion.data import Progress, as_labels, as_samples, batches
from tospike.conversion.eligibility import plan
from tospike.conversion.forward import forward, last_uses, native_dtype, walk
from tospike.conversion.graph import ExecutableGraph, Input, Node, Rectify, Synapse
from tospike.conversion.ops import analog
from tospike.conversion.prepare import by_output, from_output
from tospike.conversion.result import RunResult
from tospike.conversion.scoring import score, uncounted
from tospike.errors import OptionError

#: bits of values that are not rectified
AFFINE_BITS = 8
#: values of the largest tensor that bias correction holds (float32: 128 MB)
CORRECTION_VALUES = 32_000_000


def matched_bits(timesteps: int) -> int:
    """ceil(log2(T + 1)): activation bits that tell as many values apart as T time steps."""
    if isinstance(timesteps, bool) or not isinstance(timesteps, int) or timesteps < 1:
        raise OptionError("match bits", received=f"T = {timesteps!r}", allowed="an integer >= 1")
    return timesteps.bit_length()


@dataclass(frozen=True, eq=False)
class Quantiser:
    """Values are rounded to ``step * (k - zero)``, k an integer in [0, levels]."""

    step: float
    zero: int
    levels: int

    def __call__(self, value: Tensor) -> Tensor:
        k = torch.round(value / self.step + self.zero).clamp(0, self.levels)
        return (k - self.zero) * self.step


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


def clipping(histogram: Histogram, bits: int) -> float:
    """Upper end of unsigned ``bits``-bit quantisation with the least squared error."""
    counts, values = histogram.counts.reshape(-1), histogram.values().reshape(-1)
    counts, values = counts[counts > 0], values[counts > 0]
    if not counts.numel():
        return 1.0
    top = float(values.max())
    levels = 2**bits - 1
    best, best_error = top, float("inf")
    for share in torch.linspace(0.02, 1.0, 99, dtype=torch.float64).tolist():
        clip = top * share
        step = clip / levels
        rounded = torch.round(values / step).clamp_max(levels) * step
        error = float((counts * (rounded - values) ** 2).sum())
        if error < best_error:
            best, best_error = clip, error
    return best


def weights_on_grid(spec: Synapse, bits: int) -> Synapse:
    """Symmetric quantisation of the weights per output channel: k * step, |k| <= 2**(bits-1)-1."""
    rows = by_output(spec, spec.weight.double())
    step = rows.abs().amax(dim=1, keepdim=True) / (2 ** (bits - 1) - 1)
    step = torch.where(step > 0, step, torch.ones_like(step))
    grid = from_output(spec, torch.round(rows / step) * step, tuple(spec.weight.shape))
    return replace(spec, weight=grid.to(spec.weight.dtype))


def quantise(
    graph: ExecutableGraph, calibration: Calibration, activation_bits: int, weight_bits: int
) -> QuantisedGraph:
    """Weights and activations on their grids, biases corrected on the calibration samples.

    The quantised values are those that would be spiking neurons in an SNN: rectifiers, and
    average pools and sums that feed synapses.
    """
    feeding = plan(graph, frozenset(graph.eligible)).spikes
    levels = 2**activation_bits - 1
    at_output = {
        node.name: Quantiser(
            clipping(calibration.histograms[node.name], activation_bits) / levels, 0, levels
        )
        for node in graph.nodes
        if node.name in calibration.histograms
        and (isinstance(node.spec, Rectify) or node.name in feeding)
    }
    at_synapse = {name: affine(low, high) for name, (low, high) in calibration.ranges.items()}
    nodes = tuple(
        replace(node, spec=weights_on_grid(node.spec, weight_bits))
        if isinstance(node.spec, Synapse)
        else node
        for node in graph.nodes
    )
    rough = QuantisedGraph(replace(graph, nodes=nodes), at_output, at_synapse)
    return with_corrected_biases(graph, rough, calibration.samples)


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
    reached, so that later layers see corrected inputs (Nagel et al. 2019, empirical form).
    """
    largest = max(math.prod(node.shape) for node in graph.nodes)
    samples = samples[: max(4, CORRECTION_VALUES // max(1, largest))]
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
                error = by_channel(truth - value, dim).double().mean(dim=1)
                bias = mine.spec.bias
                shifted = error if bias is None else bias.double() + error
                spec = replace(mine.spec, bias=shifted.to(truth.dtype))
                corrected[node.name] = replace(mine, spec=spec)
                value = analog(corrected[node.name], inputs, native_dtype(graph))
            values[node.name] = value
            for name in freed[node.name]:
                values.pop(name, None)
    nodes = tuple(corrected[node.name] for node in rough.graph.nodes)
    return replace(rough, graph=replace(rough.graph, nodes=nodes))


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
) -> RunResult:
    """Run the quantised network on ``x`` (N, ...) and measure accuracy and zeros.

    Parameters
    ----------
    activation_bits : of rectified activations, in [1, 16]; see :func:`matched_bits`.
    weight_bits : in [2, 16].

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
    for start, rows in batches(samples, batch_size, progress):
        output: Tensor | None = None
        for node, inputs, value in walk(quantised.graph, rows, quantised.before):
            if isinstance(node.spec, Synapse):
                counter.add(wires[node.name], *count_events(wires[node.name], inputs[0], len(rows)))
            if node.name == graph.output:
                output = value
        assert output is not None
        counter.commit(len(rows))
        result.add(start, output, forward(graph, rows))
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
