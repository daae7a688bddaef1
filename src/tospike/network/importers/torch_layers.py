"""From traced executions to ``Layer`` records: counts per inference of one sample."""

from __future__ import annotations

import math
from dataclasses import dataclass

from tospike.errors import ModelError
from tospike.network.importers.conv_fan_out import conv_exact_synapses
from tospike.network.importers.torch_sites import (
    Axis,
    Draft,
    Execution,
    Shape,
    Shapes,
    Site,
    axis_by_comparison,
    axis_by_guess,
    n_values,
)

KINDS = {
    "conv": "conv",
    "embedding": "embedding",
    "bilinear": "bilinear",
    "rnn_input": "rnn_input",
    "rnn_hidden": "rnn_hidden",
    "rnn_projection": "linear",
}


def kind_of(execution: Execution) -> str:
    """Layer kind of an execution."""
    if execution.form == "product":
        return "matmul" if execution.role == "both" else "linear"
    return KINDS[execution.form]


@dataclass(frozen=True, slots=True)
class Samples:
    """Samples in the first and in the second run; ``batched`` False: no batch dimension."""

    one: int
    two: int
    batched: bool


@dataclass(frozen=True, slots=True)
class Axes:
    """Batch axes of the tensors of one execution."""

    a: Axis
    b: Axis
    out: Axis
    c: Axis


def axes_of(execution: Execution, again: Shapes | None, samples: Samples) -> Axes:
    """Batch axes of an execution; ``again``: its shapes in the second run, if there was one."""

    def axis(one: Shape, two: Shape | None) -> Axis:
        if not samples.batched or not one:
            return Axis(None)
        found = axis_by_comparison(one, two, samples.one, samples.two) if two is not None else None
        if found is not None:
            return found
        found = axis_by_guess(one, samples.one, execution.form)
        if found.dim is None and two is not None:
            raise ModelError(
                f"count layer {execution.name!r} per sample",
                received=f"a tensor of shape {one} for {samples.one} samples",
                allowed="the same number of values for every sample",
                fix="give an example input of one sample",
            )
        return found

    s = execution.shapes
    if again is None:
        return Axes(axis(s.a, None), axis(s.b, None), axis(s.out, None), axis(s.c, None))
    return Axes(axis(s.a, again.a), axis(s.b, again.b), axis(s.out, again.out), axis(s.c, again.c))


def merges_into_shape(execution: Execution, axis: Axis) -> bool:
    """Rows merged with the batch are positions (tokens, heads), not calls.

    In a linear layer fed by spikes, as in a convolution, they are time steps.
    """
    return axis.rows > 1 and execution.form == "product" and execution.signal != "spike"


def time_steps_ahead(execution: Execution, axis: Axis) -> int:
    """Dimensions ahead of the batch, (T, B, ...), in a linear layer fed by spikes: time steps."""
    ahead = execution.form == "product" and execution.role == "a" and axis.rows == 1
    return axis.dim or 0 if ahead and execution.signal == "spike" else 0


def positions_of(execution: Execution, axis: Axis) -> int:
    """Rows of one time step of a linear layer near neurons whose time steps are known; else 0.

    A tensor that does not divide into these steps holds one step (the time was summed up).
    """
    if execution.form != "product" or execution.role != "a" or not execution.steps:
        return 0
    rows = axis.rows * math.prod(axis.strip(execution.shapes.a)[:-1])
    return rows // execution.steps if rows % execution.steps == 0 else rows


def site_of(execution: Execution, axes: Axes) -> Site:
    """The place to count at."""
    second = execution.role == "b"
    axis = axes.b if second else axes.a
    return Site(
        in_shape=merges_into_shape(execution, axis),
        n_time_dims=time_steps_ahead(execution, axis),
        layer=execution.name,
        form=execution.form,
        role=execution.role,
        linear=execution.linear,
        axis=axis,
        weight_ptr=execution.weight_ptr,
        weight_shape=execution.shapes.a if second else execution.shapes.b,
        signal=execution.signal,
        positions=positions_of(execution, axis),
    )


def add_execution(draft: Draft | None, execution: Execution, axes: Axes, n_samples: int) -> Draft:
    """Add one execution to its layer (made if ``draft`` is None)."""
    form = execution.form
    if form in ("rnn_input", "rnn_hidden", "rnn_projection"):
        new = _recurrent(execution, axes, n_samples)
    elif form == "conv":
        new = _convolution(execution, axes, n_samples)
    elif form == "embedding":
        new = _embedding(execution, axes, n_samples)
    elif form == "bilinear":
        new = _bilinear(execution, axes, n_samples)
    elif execution.role == "both":
        new = _product(execution, axes, n_samples)
    else:
        new = _linear(execution, axes, n_samples)
    new.n_weights, new.n_biases = execution.n_weights, execution.n_biases
    if draft is None:
        return new
    for name in ("n_synapses", "n_synapses_exact", "n_neurons", "n_inputs", "calls"):
        setattr(draft, name, getattr(draft, name) + getattr(new, name))
    if "second_operand" in new.extra:
        second = int(new.extra["second_operand"]) + int(draft.extra.get("second_operand", 0))
        draft.extra["second_operand"] = second
    return draft


def _draft(execution: Execution, axes: Axes, n_samples: int) -> Draft:
    shapes = execution.shapes
    return Draft(
        execution.name,
        kind_of(execution),
        axes.a.strip(shapes.a),
        axes.out.strip(shapes.out),
        n_neurons=n_values(shapes.out, axes.out, n_samples),
        n_inputs=n_values(shapes.a, axes.a, n_samples),
        calls=axes.a.rows,
    )


def _linear(execution: Execution, axes: Axes, n_samples: int) -> Draft:
    """x W with a weight on either side; the features are put last in the recorded shapes."""
    shapes = execution.shapes
    draft = _draft(execution, axes, n_samples)
    if execution.role == "a":
        n_out = shapes.b[0] if execution.linear else shapes.b[-1]
        values = n_values(shapes.a, axes.a, n_samples)
        features = shapes.a[-1]
        inner = axes.a.strip(shapes.a)[:-1]
    else:
        n_out = shapes.a[-2]
        values = n_values(shapes.b, axes.b, n_samples)
        features = shapes.b[-2]
        moved = (*shapes.b[:-2], shapes.b[-1])
        # the columns are positions; their axis follows the batch axes
        axis = axes.b
        if axis.dim is not None and axis.dim == len(shapes.b) - 1:
            axis = Axis(axis.dim - 1, axis.rows)
        inner = axis.strip(moved)
        draft.n_inputs, draft.calls = values, axes.b.rows
    axis = axes.a if execution.role == "a" else axes.b
    if merges_into_shape(execution, axis):
        inner, draft.calls = (axis.rows, *inner), 1
    ahead = time_steps_ahead(execution, axis)
    if ahead and not positions_of(execution, axis):
        inner, draft.calls = inner[ahead:], math.prod(inner[:ahead])
    positions = positions_of(execution, axis)
    if positions:
        draft.calls = axis.rows * math.prod(axis.strip(shapes.a)[:-1]) // positions
        inner = (positions,)
    # einsum adds dimensions of size 1, or not, as the batch size has it
    inner = tuple(size for size in inner if size != 1)
    draft.input_shape = (*inner, features)
    draft.output_shape = (*inner, n_out)
    # a weight with its own batch of matrices: every matrix meets all rows that broadcast to it
    matrices = math.prod(shapes.out) // max(1, (math.prod(shapes.a) // shapes.a[-1]) * n_out)
    repeat = max(1, matrices) if execution.role == "a" else 1
    draft.n_synapses = draft.n_synapses_exact = values * n_out * repeat
    if repeat > 1:
        draft.output_shape = (*inner, n_out * repeat)
    return draft


def _product(execution: Execution, axes: Axes, n_samples: int) -> Draft:
    shapes = execution.shapes
    draft = _draft(execution, axes, n_samples)
    inner = shapes.a[-1]
    draft.n_synapses = draft.n_synapses_exact = draft.n_neurons * inner
    merged = axes.a.rows
    if merged > 1 and axes.a.dim is not None:
        # heads merged with the batch belong to the shape, not to the calls
        draft.input_shape = (merged, *draft.input_shape)
        draft.output_shape = (axes.out.rows, *draft.output_shape)
    draft.calls = 1
    draft.extra["second_operand"] = n_values(shapes.b, axes.b, n_samples)
    return draft


def _convolution(execution: Execution, axes: Axes, n_samples: int) -> Draft:
    shapes, geometry = execution.shapes, execution.geometry
    if geometry is None:
        raise ModelError(f"count the convolution {execution.name!r}", received="no geometry")
    rank = len(geometry.kernel)
    draft = _draft(execution, axes, n_samples)
    draft.geometry = geometry
    draft.input_shape, draft.output_shape = shapes.a[-rank - 1 :], shapes.out[-rank - 1 :]
    taps = math.prod(geometry.kernel)
    if geometry.transposed:
        draft.n_synapses = draft.n_inputs * taps * draft.output_shape[0] // geometry.groups
    else:
        draft.n_synapses = draft.n_neurons * taps * draft.input_shape[0] // geometry.groups
    if axes.a.dim is None and len(shapes.a) == rank + 2:
        draft.calls = shapes.a[0]
    draft.n_synapses_exact = conv_exact_synapses(draft.layer()) * draft.calls
    if execution.role == "both":
        draft.extra["second_operand"] = n_values(shapes.b, axes.b, n_samples)
    return draft


def _embedding(execution: Execution, axes: Axes, n_samples: int) -> Draft:
    return _draft(execution, axes, n_samples)


def _bilinear(execution: Execution, axes: Axes, n_samples: int) -> Draft:
    """y = (x1 W) x2: in1 * in2 * out products for the first, in2 * out for the second."""
    shapes = execution.shapes
    draft = _draft(execution, axes, n_samples)
    out, in1, in2 = shapes.b
    rows = draft.n_inputs // in1
    draft.n_inputs = rows * (in1 + in2)
    draft.n_synapses = draft.n_synapses_exact = rows * (in1 * in2 * out + in2 * out)
    return draft


def _recurrent(execution: Execution, axes: Axes, n_samples: int) -> Draft:
    """One layer and direction: ``calls`` is the number of time steps."""
    shapes = execution.shapes
    gates, features = shapes.b
    if execution.packed:
        steps, streams = max(1, round(shapes.a[0] / n_samples)), 1
    else:
        steps, streams = shapes.a[0], max(1, shapes.a[1] // n_samples)
    runs = steps * streams
    several = (streams,) if streams > 1 else ()
    return Draft(
        execution.name,
        kind_of(execution),
        (*several, features),
        (*several, gates),
        n_synapses=runs * gates * features,
        n_synapses_exact=runs * gates * features,
        n_neurons=runs * gates,
        n_inputs=runs * features,
        calls=steps,
    )
