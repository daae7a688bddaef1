"""``export_nir``: a converted network, or a spiking network of the runtime, as a NIR file.

NIR has no words for a soft reset, for the potential at the start, for ties and for the time step.
They are written as metadata of the graph and of the neurons (group "tospike"), which
:func:`~tospike.conversion.nir.run.run_nir` reads; other frameworks ignore them, and start at 0 with
a reset of their own. ``strict=True`` refuses what NIR itself cannot say.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from tospike.conversion.nir.write import GraphBuilder, finished, write_nir
from tospike.errors import ConversionError, OptionError
from tospike.kernels.spiking import SpikingNetwork
from tospike.kernels.spiking.record import INPUT, Node, Pool, Population, Reshape, Sum, Synapses
from tospike.network.importers.nir_record import NirGraph

if TYPE_CHECKING:
    from tospike.conversion.converted import Converted

Floats = NDArray[np.float64]
SOFT = "a soft reset"
START = "a potential at the start other than 0"


def export_nir(
    network: Converted | SpikingNetwork,
    path: str | Path,
    *,
    dt: float = 1e-4,
    analog: Literal["inside", "outside"] = "inside",
    strict: bool = False,
) -> NirGraph:
    """Write the spiking network as NIR 1.0.8.

    Parameters
    ----------
    network : what ``ts.convert(model, "snn", ...)`` returned, or a ``SpikingNetwork``. Of a
        converted network, what lies before the encoding neurons runs on the same analog input at
        every step; the last layer's currents are the output, their mean over the steps is the
        network's answer.
    path : of the .nir file.
    dt : time step written into the neurons' parameters (NIR is in continuous time), > 0.
    analog : "inside", analog layers before the first neurons become NIR nodes as well; "outside",
        the graph begins with the analog values that drive neurons, one Input node for each, and
        :func:`~tospike.conversion.nir.onnx_part.export_onnx` writes what makes them.
    strict : refuse what only the metadata can say (soft reset, potential at the start).

    Returns
    -------
    The graph as it would be read back.

    Raises
    ------
    ConversionError : layers that NIR has no node for, all at once; a path that cannot be written.
    OptionError : dt.
    """
    _check_choices(dt, analog)
    if isinstance(network, SpikingNetwork):
        builder, beyond, kind, delay = _from_spiking(network, dt)
        origin = "the spiking network"
        constant = network.constant_input
    else:
        from tospike.conversion.nir.converted import from_converted

        builder, beyond = from_converted(network, dt, analog)
        kind, delay, constant = "soft", 0, True
        origin = repr(network.graph.origin)
    metadata = {
        "dt": float(dt),
        "reset": kind,
        "reset_delay": delay,
        "discretisation": "forward_euler",
        "tie_fires": 1,
        "constant_input": int(constant),
    }
    if strict and beyond:
        raise ConversionError(
            f"export {origin} to NIR with strict=True",
            reasons=[f"NIR cannot express {what}" for what in dict.fromkeys(beyond)],
            fix="export without strict: the metadata then say it, and run_nir reads them",
        )
    return write_nir(finished(builder, origin, metadata), path)


def _check_choices(dt: float, analog: str) -> None:
    if not (isinstance(dt, int | float) and 0 < dt < np.inf):
        raise OptionError("export to NIR", received=f"dt={dt!r}", allowed="a positive number")
    if analog not in ("inside", "outside"):
        raise OptionError(
            "export to NIR", received=f"analog={analog!r}", allowed="'inside', 'outside'"
        )


# -- from the records of the runtime ---------------------------------------------------------------


def _from_spiking(network: SpikingNetwork, dt: float) -> tuple[GraphBuilder, list[str], str, int]:
    """(graph, what NIR cannot say, reset kind, reset delay)."""
    builder = GraphBuilder()
    made: dict[str, tuple[str, ...]] = {
        INPUT: (builder.add(INPUT, "Input", (), shape=np.array(network.input_shape)),)
    }
    beyond: list[str] = []
    resets = set()
    for node in network.nodes:
        sources = tuple(name for source in node.inputs for name in made.get(source, ()))
        if isinstance(node, Sum):
            made[node.name] = sources
            continue
        made[node.name] = _add(builder, node, sources, dt, beyond)
        if isinstance(node, Population):
            resets.add(("soft" if node.reset is None else "hard", node.reset_delay))
    if len(resets) > 1:
        builder.reasons.append(
            f"populations with different resets {sorted(resets)}: a graph is run with one kind"
        )
    last = network.nodes[-1].name if network.nodes else INPUT
    size = _out_shape(network.nodes[-1]) if network.nodes else network.input_shape
    builder.add("output", "Output", made[last], shape=np.array(size))
    kind, delay = sorted(resets)[0] if resets else ("soft", 0)
    return builder, beyond, kind, delay


def _out_shape(node: Node) -> tuple[int, ...]:
    return node.shape if isinstance(node, Population) else node.out_shape


def _add(
    builder: GraphBuilder, node: Node, sources: tuple[str, ...], dt: float, beyond: list[str]
) -> tuple[str, ...]:
    match node:
        case Synapses():
            weight = node.weight.astype(np.float64)
            if node.scale is not None:
                weight = weight * node.scale.astype(np.float64).reshape(
                    -1, *(1,) * (weight.ndim - 1)
                )
            bias = None if node.bias is None else node.bias.astype(np.float64)
            if node.kind == "linear":
                if len(node.in_shape) != 1:
                    builder.reasons.append(f"{node.name}: a linear layer on {node.in_shape}")
                return (add_linear(builder, node.name, sources, weight, bias),)
            return (
                add_conv(
                    builder,
                    node.name,
                    sources,
                    weight,
                    bias,
                    node.stride,
                    node.padding,
                    node.dilation,
                    node.groups,
                ),
            )
        case Population():
            return (_add_population(builder, node, sources, dt, beyond),)
        case Pool():
            if node.kind == "max":
                builder.reasons.append(f"{node.name}: NIR has no max-pooling")
            elif len(node.kernel) != 2:
                builder.reasons.append(f"{node.name}: NIR has no 1-d pooling")
            return (
                add_avg_pool(
                    builder, node.name, sources, node.kernel, node.stride, node.padding or (0, 0)
                ),
            )
        case Reshape():
            if len(node.out_shape) != 1:
                builder.reasons.append(f"{node.name}: NIR has no reshape to {node.out_shape}")
            return (add_flatten(builder, node.name, sources),)
        case _:
            raise AssertionError(f"no node for {type(node).__name__}")


def _add_population(
    builder: GraphBuilder,
    node: Population,
    sources: tuple[str, ...],
    dt: float,
    beyond: list[str],
) -> str:
    threshold, decay, gain, initial = (
        _per_neuron(value, node.shape)
        for value in (node.threshold, node.decay, node.gain, node.initial)
    )
    if node.reset is None:
        beyond.append(SOFT)
    if np.any(initial != 0):
        beyond.append(START)
    leaky = decay < 1
    reset = np.full(node.shape, node.reset or 0.0)
    if np.any(leaky) and not np.all(leaky):
        builder.reasons.append(f"{node.name}: neurons with and without leak in one population")
    metadata = {"v_initial": initial}
    if not np.any(leaky):
        return builder.add(
            node.name,
            "IF",
            sources,
            metadata=metadata,
            r=gain / dt,
            v_threshold=threshold,
            v_reset=reset,
        )
    share = np.where(leaky, 1.0 - decay, 1.0)
    return builder.add(
        node.name,
        "LIF",
        sources,
        metadata=metadata,
        tau=dt / share,
        r=gain / share,
        v_leak=np.zeros(node.shape),
        v_threshold=threshold,
        v_reset=reset,
    )


def _per_neuron(value: NDArray[Any], shape: tuple[int, ...]) -> Floats:
    """Scalar, per channel or per neuron -> per neuron, float64."""
    found = np.asarray(value, np.float64)
    if found.ndim == 1 and len(shape) > 1:
        found = found.reshape(-1, *(1,) * (len(shape) - 1))
    return np.ascontiguousarray(np.broadcast_to(found, shape))


# -- nodes -----------------------------------------------------------------------------------------


def add_linear(
    builder: GraphBuilder,
    name: str,
    sources: tuple[str, ...],
    weight: Floats,
    bias: Floats | None,
) -> str:
    if bias is None:
        return builder.add(name, "Linear", sources, weight=weight)
    return builder.add(name, "Affine", sources, weight=weight, bias=bias)


def add_conv(
    builder: GraphBuilder,
    name: str,
    sources: tuple[str, ...],
    weight: Floats,
    bias: Floats | None,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    groups: int,
) -> str:
    """A convolution; NIR always has a bias."""
    rank = weight.ndim - 2
    if rank not in (1, 2):
        builder.reasons.append(f"{name}: NIR has no {rank}-d convolution")

    def sizes(values: Sequence[int], default: int) -> Any:
        found = [int(v) for v in values] or [default] * rank
        return found[0] if rank == 1 else np.array(found)

    return builder.add(
        name,
        f"Conv{rank}d",
        sources,
        weight=weight,
        bias=np.zeros(weight.shape[0]) if bias is None else bias,
        stride=sizes(stride, 1),
        padding=sizes(padding, 0),
        dilation=sizes(dilation, 1),
        groups=int(groups),
    )


def add_avg_pool(
    builder: GraphBuilder,
    name: str,
    sources: tuple[str, ...],
    kernel: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
) -> str:
    return builder.add(
        name,
        "AvgPool2d",
        sources,
        kernel_size=np.array(kernel),
        stride=np.array(stride),
        padding=np.array(padding),
    )


def add_flatten(builder: GraphBuilder, name: str, sources: tuple[str, ...]) -> str:
    return builder.add(name, "Flatten", sources, start_dim=0, end_dim=-1)
