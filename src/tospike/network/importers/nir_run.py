"""``simulate``: a NIR graph step by step, every node of NIR 1.0.8, in float64.

In every step the nodes run in the order of :class:`NirGraph`; inputs of a node are added up. An
edge that closes a cycle delivers what its source gave one step before; before the first step, that
is what the source gives while all inputs and neurons are silent (so a bias in a recurrent Affine
acts from the first step on, as in snnTorch's RLeaky).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from tospike.errors import DataError, ModelError
from tospike.network.importers.nir_neurons import (
    NirOptions,
    checked_options,
    delay_steps,
    initial_potential,
    neuron_parameters,
)
from tospike.network.importers.nir_record import Array, NirGraph, NirNode
from tospike.network.importers.nir_types import TYPES, as_sizes, conv_padding
from tospike.network.neuron import NEURONS, at_rest

#: (step, node, input, output); arrays (samples, *shape)
Observe = Callable[[int, NirNode, Array, Array], None]
Step = Callable[[Array], Array]


def simulate(
    graph: NirGraph, inputs: Mapping[str, Any] | Any, options: NirOptions, observe: Observe
) -> None:
    """Run ``graph`` and show every node's input and output of every step to ``observe``.

    Parameters
    ----------
    inputs : (T, samples, *shape) for the one Input node, or a mapping from their names. Samples
        do not see each other.
    observe : called as ``observe(step, node, input, output)``; it must not change the arrays.

    Raises
    ------
    DataError : missing inputs, wrong shapes, values that are not finite.
    OptionError : options that do not fit the graph (dt, reset, delays).
    ModelError : a potential that grows beyond what float64 holds.
    """
    checked_options(graph, options)
    given = checked_inputs(graph, inputs)
    with np.errstate(over="ignore", invalid="ignore"):  # the error below says where
        _run_steps(graph, given, options, observe)


def _run_steps(
    graph: NirGraph, given: Mapping[str, Array], options: NirOptions, observe: Observe
) -> None:
    steps, samples = next(iter(given.values())).shape[:2]
    runs = {node.name: _step(node, options, samples) for node in graph.nodes}
    lines = {node.name: _DelayLine(node, options, samples) for node in _delays(graph)}
    ahead = _ahead(graph)
    last = _silent(graph, runs, options, samples)
    for step in range(steps):
        now: dict[str, Array] = {}
        for node in graph.nodes:
            if node.name in ahead:
                x = y = lines[node.name].read(step)
            else:
                x = _gather(node, now, last, given, step)
                if node.name in lines:
                    lines[node.name].push(x)
                    y = lines[node.name].read(step)
                else:
                    y = runs[node.name](x)
            if not np.all(np.isfinite(y)):
                raise _overflow(graph, node, step)
            now[node.name] = y
            if node.name not in ahead:
                observe(step, node, x, y)
        for name in ahead:
            x = _gather(graph[name], now, last, given, step)
            lines[name].push(x)
            observe(step, graph[name], x, now[name])
        last = now


def checked_inputs(graph: NirGraph, inputs: Mapping[str, Any] | Any) -> dict[str, Array]:
    """node -> (T, samples, *shape) in float64; raises :class:`DataError` with all reasons."""
    asked = f"run the NIR graph {graph.name!r}"
    names = [node.name for node in graph.inputs]
    if not isinstance(inputs, Mapping):
        if len(names) != 1:
            raise DataError(
                asked,
                received="one array",
                allowed=f"a mapping with the inputs {', '.join(names)}",
            )
        inputs = {names[0]: inputs}
    reasons = [f"input {name!r} is missing" for name in names if name not in inputs]
    reasons += [f"the graph has no input {name!r}" for name in inputs if name not in names]
    found: dict[str, Array] = {}
    for node in graph.inputs:
        if node.name not in inputs:
            continue
        try:
            value = np.asarray(_detached(inputs[node.name]), np.float64)
        except (TypeError, ValueError):
            reasons.append(f"input {node.name!r} is no array of numbers")
            continue
        if value.ndim < 2 or value.shape[2:] != node.out_shape or 0 in value.shape:
            expected = ", ".join(["T", "samples", *map(str, node.out_shape)])
            reasons.append(f"input {node.name!r} has shape {value.shape}; ({expected}) is needed")
        elif not np.all(np.isfinite(value)):
            reasons.append(f"input {node.name!r} has values that are NaN or infinite")
        found[node.name] = value
    if not reasons and len({value.shape[:2] for value in found.values()}) > 1:
        reasons.append("the inputs differ in time steps or samples")
    if reasons:
        raise DataError(asked, reasons=reasons)
    return found


def _detached(value: Any) -> Any:
    if type(value).__module__.startswith("torch"):
        return value.detach().cpu().numpy()
    return value


def _delays(graph: NirGraph) -> list[NirNode]:
    return [node for node in graph.nodes if node.type == "Delay"]


def _ahead(graph: NirGraph) -> list[str]:
    """Delay nodes that run before what feeds them: they break a cycle by themselves."""
    place = {node.name: i for i, node in enumerate(graph.nodes)}
    return [
        node.name
        for node in _delays(graph)
        if any(place[source] > place[node.name] for source in node.inputs)
    ]


def _gather(
    node: NirNode,
    now: Mapping[str, Array],
    last: Mapping[str, Array],
    given: Mapping[str, Array],
    step: int,
) -> Array:
    if node.name in given:
        return np.asarray(given[node.name][step])
    arrived: list[Array] = [now[name] for name in node.inputs] + [
        last[name] for name in node.delayed
    ]
    total = arrived[0]
    for more in arrived[1:]:
        total = np.add(total, more)
    return total


def _silent(
    graph: NirGraph, runs: Mapping[str, Step], options: NirOptions, samples: int
) -> dict[str, Array]:
    """Outputs before the first step, of the nodes whose edges arrive late."""
    if not any(node.delayed for node in graph.nodes):
        return {}
    found: dict[str, Array] = {}
    for node in graph.nodes:
        shape = (samples, *node.out_shape)
        if TYPES[node.type].model and NEURONS[TYPES[node.type].model].signal == "analog":
            found[node.name] = np.zeros(shape) + initial_potential(node, options)
        elif TYPES[node.type].model or node.type in ("Input", "Delay") or not node.inputs:
            found[node.name] = np.zeros(shape)
        else:
            x = sum(found.get(name, np.zeros(())) for name in node.inputs)
            found[node.name] = runs[node.name](np.zeros((samples, *node.in_shape)) + x)
    return found


def _overflow(graph: NirGraph, node: NirNode, step: int) -> ModelError:
    return ModelError(
        f"run the NIR graph {graph.name!r}",
        received="values that are no longer finite",
        where=f"node {node.name!r} ({node.type}), step {step}",
        fix="take a shorter dt, or check the recurrent weights",
    )


# -- one function per node type --------------------------------------------------------------------


def _step(node: NirNode, options: NirOptions, samples: int) -> Step:
    """What ``node`` does in one step; neurons keep their state inside."""
    if TYPES[node.type].model:
        return _neuron(node, options, samples)
    if node.type in ("Affine", "Linear"):
        return _linear(node)
    if node.type == "Scale":
        scale = node.array("scale")
        return lambda x: x * scale
    if node.type in ("Conv1d", "Conv2d"):
        return _conv(node)
    if node.type in ("SumPool2d", "AvgPool2d"):
        return _pool(node)
    if node.type == "Flatten":
        return lambda x: x.reshape(len(x), *node.out_shape)
    return lambda x: x  # Input, Output; Delay has its line


def _neuron(node: NirNode, options: NirOptions, samples: int) -> Step:
    model = NEURONS[TYPES[node.type].model]
    parameters, reset = neuron_parameters(node, options)
    state = at_rest(model, parameters, (samples, *node.in_shape))
    if "v" in state:
        state["v"] = np.zeros((samples, *node.in_shape)) + initial_potential(node, options)

    def run(x: Array) -> Array:
        nonlocal state
        state, y = model.step(state, x, parameters, reset)
        return y

    return run


def _linear(node: NirNode) -> Step:
    weight = node.array("weight")
    bias = node.array("bias") if "bias" in node.parameters else None
    transposed = np.ascontiguousarray(weight.T) if weight.ndim == 2 else None

    def run(x: Array) -> Array:
        y = x @ transposed if transposed is not None else np.matmul(weight, x[..., None])[..., 0]
        return np.asarray(y if bias is None else y + bias)

    return run


def _conv(node: NirNode) -> Step:
    import torch
    from torch.nn import functional

    weight, bias = (torch.from_numpy(node.array(name)) for name in ("weight", "bias"))
    rank = weight.dim() - 2
    stride = as_sizes(node.parameters, "stride", rank)
    dilation = as_sizes(node.parameters, "dilation", rank)
    groups = int(node.array("groups").reshape(-1)[0])
    # torch pads from the last dimension on
    pad = [p for pair in reversed(conv_padding(node.parameters)) for p in pair]
    convolve = functional.conv1d if rank == 1 else functional.conv2d

    def run(x: Array) -> Array:
        with torch.no_grad():
            padded = functional.pad(torch.from_numpy(np.ascontiguousarray(x)), pad)
            y = convolve(padded, weight, bias, stride, 0, dilation, groups)
        return np.asarray(y.numpy())

    return run


def _pool(node: NirNode) -> Step:
    """Sum over windows; the mean divides by the whole window, padding included."""
    kernel, stride, padding = (
        as_sizes(node.parameters, name, 2) for name in ("kernel_size", "stride", "padding")
    )
    divisor = kernel[0] * kernel[1] if node.type == "AvgPool2d" else 1

    def run(x: Array) -> Array:
        pad = ((0, 0), (0, 0), (padding[0], padding[0]), (padding[1], padding[1]))
        padded = np.pad(x, pad)
        windows = np.lib.stride_tricks.sliding_window_view(padded, kernel, axis=(2, 3))
        return np.asarray(windows[:, :, :: stride[0], :: stride[1]].sum(axis=(4, 5)) / divisor)

    return run


class _DelayLine:
    """The last inputs of a Delay node: y(t) = x(t - delay), zero before the first step."""

    def __init__(self, node: NirNode, options: NirOptions, samples: int) -> None:
        self.steps = delay_steps(node, options)
        self.shape = (samples, *node.in_shape)
        self.distinct = [int(d) for d in np.unique(self.steps)]
        self.kept: deque[tuple[int, Array]] = deque(maxlen=max(self.distinct) + 1)
        self.pushed = 0

    def push(self, x: Array) -> None:
        self.kept.append((self.pushed, x))
        self.pushed += 1

    def read(self, step: int) -> Array:
        held = dict(self.kept)
        y = np.zeros(self.shape)
        for d in self.distinct:
            if step - d in held:
                y = np.where(self.steps == d, held[step - d], y)
        return y
