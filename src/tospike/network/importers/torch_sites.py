"""Records of a trace: where in a module each operation with synapses runs, and with what shapes."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

from tospike.network.importers.torch_synapses import Form, Geometry
from tospike.network.layer import Layer

Shape = tuple[int, ...]
Key = tuple[str, str, int]

#: which operand of a product is the activation
Role = Literal["a", "b", "both"]


@dataclass(frozen=True, slots=True)
class Shapes:
    """Shapes of one execution: operands, output (first one)."""

    a: Shape
    b: Shape
    out: Shape
    c: Shape = ()


@dataclass(frozen=True, slots=True)
class Execution:
    """One execution of an operation with synapses, as traced."""

    key: Key
    name: str
    form: Form
    role: Role
    linear: bool
    shapes: Shapes
    geometry: Geometry | None
    n_weights: int
    n_biases: int
    weight_ptr: int
    signal: str
    packed: bool
    steps: int = 0


@dataclass(frozen=True, slots=True)
class Axis:
    """Where the samples are in a tensor: dimension, and rows per sample merged into it.

    ``dim`` None: the tensor does not depend on the batch.
    """

    dim: int | None
    rows: int = 1

    def strip(self, shape: Shape) -> Shape:
        """``shape`` of one sample; merged rows are left out."""
        return shape if self.dim is None else shape[: self.dim] + shape[self.dim + 1 :]


@dataclass(frozen=True, slots=True)
class Site:
    """Place of an operation with synapses; enough to count it without tracing it again.

    ``in_shape``: rows merged with the batch are positions of one call (tokens, heads).
    ``n_time_dims``: dimensions ahead of the batch that are time steps, each a call.
    ``positions``: rows of one time step, where the neurons nearby tell the steps; else 0.
    """

    layer: str
    form: Form
    role: Role
    linear: bool
    axis: Axis
    weight_ptr: int
    weight_shape: Shape
    signal: str
    in_shape: bool = False
    n_time_dims: int = 0
    positions: int = 0


@dataclass(slots=True)
class Draft:
    """A layer while its executions are added up (per sample)."""

    name: str
    kind: str
    input_shape: Shape
    output_shape: Shape
    geometry: Geometry | None = None
    n_synapses: int = 0
    n_synapses_exact: int = 0
    n_neurons: int = 0
    n_inputs: int = 0
    n_weights: int = 0
    n_biases: int = 0
    calls: int = 0
    extra: dict[str, str | int | float] = field(default_factory=dict)

    def layer(self) -> Layer:
        """The finished record."""
        g = self.geometry
        return Layer(
            name=self.name,
            kind=self.kind,
            input_shape=self.input_shape,
            output_shape=self.output_shape,
            kernel=g.kernel if g else (),
            stride=g.stride if g else (),
            padding=g.padding if g else (),
            dilation=g.dilation if g else (),
            groups=g.groups if g else 1,
            transposed=g.transposed if g else False,
            n_synapses=self.n_synapses,
            n_synapses_exact=self.n_synapses_exact,
            n_neurons=self.n_neurons,
            n_inputs=self.n_inputs,
            n_weights=self.n_weights,
            n_biases=self.n_biases,
            calls=max(self.calls, 1),
            extra=dict(self.extra),
        )


def axis_by_comparison(one: Shape, two: Shape, n_one: int, n_two: int) -> Axis | None:
    """Batch axis from the shapes at two batch sizes; None if they do not fit any batch axis."""
    if len(one) != len(two):
        return None
    different = [d for d, (i, j) in enumerate(zip(one, two, strict=True)) if i != j]
    if not different:
        return Axis(None)
    dim = different[0]
    if one[dim] * n_two != two[dim] * n_one or one[dim] % n_one:
        return None
    return Axis(dim, one[dim] // n_one)


def axis_by_guess(shape: Shape, n_samples: int, form: Form) -> Axis:
    """Batch axis from one shape, for models that run at one batch size only."""
    if form in ("rnn_input", "rnn_hidden", "rnn_projection") and len(shape) == 3:
        return Axis(1, max(1, shape[1] // n_samples))
    for dim, size in enumerate(shape[:-1]):
        if size == n_samples:
            return Axis(dim, 1)
    if len(shape) > 1 and shape[0] % n_samples == 0:
        return Axis(0, shape[0] // n_samples)
    return Axis(None)


def n_values(shape: Shape, axis: Axis, n_samples: int) -> int:
    """Values per sample."""
    size = math.prod(shape)
    return size if axis.dim is None else size // n_samples
