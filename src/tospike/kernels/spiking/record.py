"""``SpikingNetwork``: a network of synapses, pools and neurons as the runtime executes it.

Frozen records; nodes stand in the order of execution and name their inputs, so residual sums and
branches are possible. All shapes are of one sample, channels first, without batch and time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
INPUT = "input"


@dataclass(frozen=True, eq=False)
class Synapses:
    """Weights between two populations: a convolution (1-d or 2-d) or a linear layer.

    weight : (out, in / groups, *kernel) or (out, in), float32, or int8 together with ``scale``
        (out,): weight[o] * scale[o]. Sums of int8 weights are exact in any order.
    bias : (out,) or None, added in every time step.
    stride, padding, dilation : one number per axis of the kernel; () stands for 1, 0 and 1.
    """

    name: str
    inputs: tuple[str, ...]
    kind: Literal["conv", "linear"]
    weight: NDArray[np.float32] | NDArray[np.int8]
    in_shape: tuple[int, ...]
    out_shape: tuple[int, ...]
    bias: Array | None = None
    scale: Array | None = None
    stride: tuple[int, ...] = ()
    padding: tuple[int, ...] = ()
    dilation: tuple[int, ...] = ()
    groups: int = 1


@dataclass(frozen=True, eq=False)
class Population:
    """Integrate-and-fire neurons, with or without leak.

    In every step: v = decay * v + gain * current; spike where v >= threshold; then soft reset
    v -= threshold, or hard reset v = reset where a spike was sent. ``reset_delay`` = 1 applies
    the reset at the start of the next step (snnTorch). An exact tie fires.

    threshold, decay, gain, initial : scalar () or per channel (C,) or per neuron ``shape``.
    reset : None for soft reset, else the potential after a hard reset.
    """

    name: str
    inputs: tuple[str, ...]
    shape: tuple[int, ...]
    threshold: Array
    decay: Array
    gain: Array
    initial: Array
    reset: float | None = None
    reset_delay: int = 0


@dataclass(frozen=True, eq=False)
class Pool:
    """Max-pooling keeps spikes (binary or of the values); average pooling makes analog values.

    The average divides by the size of the kernel: padding counts as zeros.
    """

    name: str
    inputs: tuple[str, ...]
    kind: Literal["max", "avg"]
    in_shape: tuple[int, ...]
    out_shape: tuple[int, ...]
    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[int, ...] = ()


@dataclass(frozen=True)
class Reshape:
    """Flatten (channels first), or another view."""

    name: str
    inputs: tuple[str, ...]
    out_shape: tuple[int, ...]


@dataclass(frozen=True)
class Sum:
    """Sum of branches: of currents, or of spikes (then the result is analog)."""

    name: str
    inputs: tuple[str, ...]
    out_shape: tuple[int, ...]


Node = Synapses | Population | Pool | Reshape | Sum


@dataclass(frozen=True, eq=False)
class SpikingNetwork:
    """Nodes in order of execution; the last one is the output.

    input_shape : of one sample and step.
    constant_input : True if the same analog values arrive at every step (direct encoding): what
        lies before the first population is then computed once per inference.
    """

    input_shape: tuple[int, ...]
    nodes: tuple[Node, ...]
    constant_input: bool = True
