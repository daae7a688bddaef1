"""``stages_of``: the layers of a network as stages of a delta machine, or why it has none."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from tospike.errors import DataError, ModelError, unknown_name
from tospike.machines.delta_rnn.record import Cell, Chip, Columns, Stage
from tospike.network import Layer, Network

Zeros = Mapping[str, float | NDArray[np.generic]]

_CELLS: dict[int, Cell] = {3: "gru", 4: "lstm"}
_PAIRS = (("weight_ih", "weight_hh"), (".W", ".R"))


def stages_of(network: Network, chip: Chip) -> tuple[Stage, ...]:
    """GRU, LSTM and fully connected layers in the order of the network.

    Raises :class:`ModelError` with every layer that the machine cannot run: other kinds, backward
    directions, projections, several streams; and sizes that it does not hold.
    """
    reasons: list[str] = []
    stages: list[Stage] = []
    paired: set[str] = set()
    for layer in network.synaptic_layers:
        if layer.name in paired:
            continue
        found = _stage(network, layer, chip)
        if isinstance(found, str):
            reasons.append(f"{layer.name}: {found}")
            if layer.kind == "rnn_input":
                paired.add(_partner(layer.name))
            continue
        stages.append(found)
        if found.h is not None:
            paired.add(found.h.name)
    reasons += [fault for stage in stages for fault in _too_large(stage, chip)]
    if len(stages) > chip.max_layers:
        reasons.append(
            f"{len(stages)} layers; {chip.name} holds {chip.max_layers} (parameter max_layers)"
        )
    if not stages and not reasons:
        reasons.append("the network has no layer with synapses")
    if not reasons:
        reasons += _capacity(stages, chip)
    if reasons:
        raise ModelError(
            f"map the network {network.origin.name!r} on {chip.name}",
            received=f"{len(reasons)} reason(s) against it",
            allowed="GRU, LSTM (one direction, no projection) and fully connected layers that "
            "are fed step by step",
            fix="run these layers elsewhere, or change the named parameter in a copy of the "
            "architecture file",
            reasons=reasons,
        )
    return tuple(stages)


def _partner(name: str) -> str:
    """Name of the recurrent layer that belongs to an input layer."""
    for mine, other in _PAIRS:
        if mine == ".W" and name.endswith(mine):
            return name.removesuffix(mine) + other
        if mine in name and mine != ".W":
            return name.replace(mine, other)
    return name


def _stage(network: Network, layer: Layer, chip: Chip) -> Stage | str:
    if layer.kind == "rnn_input":
        return _recurrent(network, layer, chip)
    if layer.kind == "rnn_hidden":
        return "recurrent weights without the input weights of their layer"
    if layer.kind != "linear":
        return f"a {layer.kind} layer"
    positions = math.prod(layer.input_shape[:-1])
    n_x, rows = layer.input_shape[-1], layer.output_shape[-1]
    calls = layer.calls * positions
    if "weight_hr" in layer.name:
        return "the projection of an LSTM"
    if layer.n_synapses != calls * n_x * rows or not layer.n_weights:
        return "a linear layer that is not one matrix times one vector"
    bias = chip.bias_column and layer.n_biases > 0
    return Stage("linear", layer, None, n_x, 0, rows, calls, bias)


def _recurrent(network: Network, layer: Layer, chip: Chip) -> Stage | str:
    other = network.by_name.get(_partner(layer.name))
    if other is None or other.kind != "rnn_hidden":
        return "no recurrent weights belong to it"
    if layer.name.endswith("_reverse") or layer.extra.get("direction", "forward") != "forward":
        return "a backward direction; a stream has no future"
    if len(layer.input_shape) != 1 or len(other.input_shape) != 1:
        return "several streams or directions in one layer"
    n_x, n_h, rows = layer.input_shape[-1], other.input_shape[-1], layer.output_shape[-1]
    if other.output_shape[-1] != rows:
        return f"{rows} rows, but its recurrent weights have {other.output_shape[-1]}"
    cell = _CELLS.get(rows // n_h) if rows % n_h == 0 else None
    if cell is None:
        return (
            f"{rows} rows for {n_h} states; a GRU has {3 * n_h}, an LSTM without projection "
            f"{4 * n_h}"
        )
    bias = chip.bias_column and layer.n_biases + other.n_biases > 0
    return Stage(cell, layer, other, n_x, n_h, rows, layer.calls, bias)


def _too_large(stage: Stage, chip: Chip) -> list[str]:
    return [
        f"{stage.name}: {size} {what}; {chip.name} holds {chip.max_layer_size} "
        "(parameter max_layer_size)"
        for what, size in (("inputs", stage.n_x), ("neurons", stage.units))
        if size > chip.max_layer_size
    ]


def _capacity(stages: list[Stage], chip: Chip) -> list[str]:
    """All weights must fit into their memory."""
    capacity: float | None = None
    if chip.port is not None:
        capacity = chip.port.system.capacity_bytes
    elif chip.weights.capacity is not None:
        capacity = chip.weights.capacity.value * chip.weights.instances
    needed = sum(float(columns_of(stage, chip).stored_bytes.sum()) for stage in stages)
    if capacity is None or needed <= capacity:
        return []
    return [f"weights of {needed:.4g} bytes; the level {chip.weights.name!r} holds {capacity:.4g}"]


def columns_of(stage: Stage, chip: Chip, zeros: Zeros | None = None) -> Columns:
    """What the columns of a stage cost.

    ``zeros``, for machines that skip zero weights: layer name -> a (rows, n) matrix, of which row i
    belongs to element i mod n_pe, and the element with most non-zeros decides; or the share of
    zeros, the same in every sub-column, as for layers that are left out.
    """
    per_pe = np.concatenate(
        [
            _per_pe(layer, n, stage, chip, zeros)
            for layer, n in ((None, int(stage.bias)), (stage.x, stage.n_x), (stage.h, stage.n_h))
            if n
        ]
    )
    cost, n = np.maximum(1, per_pe.max(axis=1)), len(per_pe)
    word = (chip.weight_bits + chip.index_bits) / 8
    stored = cost * min(chip.n_pe, stage.rows) if chip.skips_weights else np.full(n, stage.rows)
    return Columns(cost, per_pe.sum(axis=1), stored * word)


def _per_pe(
    layer: Layer | None, n: int, stage: Stage, chip: Chip, zeros: Zeros | None
) -> NDArray[np.int64]:
    """(n, n_pe) weights of every column and element that are multiplied."""
    longest = -(-stage.rows // chip.n_pe)
    own = np.full(chip.n_pe, longest, np.int64)
    if stage.rows % chip.n_pe:
        own[stage.rows % chip.n_pe :] -= 1
    kept = 1.0
    if layer is not None and chip.skips_weights:
        given = (zeros or {}).get(layer.name, 1.0 - chip.kept)
        if not isinstance(given, float | int):
            return _nonzeros(given, layer, stage, chip)
        kept = 1.0 - given
    # halves round up, as in tospike.conversion.delta.pruning
    return np.tile(np.minimum(own, math.floor(kept * longest + 0.5)), (n, 1))


def _nonzeros(
    matrix: NDArray[np.generic], layer: Layer, stage: Stage, chip: Chip
) -> NDArray[np.int64]:
    n = layer.input_shape[-1]
    padded = np.zeros((-(-stage.rows // chip.n_pe) * chip.n_pe, n), np.int64)
    padded[: stage.rows] = np.asarray(matrix) != 0
    return np.asarray(padded.reshape(-1, chip.n_pe, n).sum(axis=0).T)


def check_zeros(zeros: Zeros, stages: tuple[Stage, ...], network: Network) -> None:
    """Refuse matrices and shares of zeros that do not fit the layers."""
    shapes = {
        layer.name: (stage.rows, layer.input_shape[-1])
        for stage in stages
        for layer in (stage.x, stage.h)
        if layer is not None
    }
    reasons = []
    for name, given in zeros.items():
        if name not in network.by_name:
            raise unknown_name("layer", name, tuple(network.by_name), where="weight_zeros")
        if name not in shapes:
            continue
        if isinstance(given, float | int):
            if not 0 <= given <= 1:
                reasons.append(f"{name}: a share of {given!r}; 0 to 1 is needed")
        elif np.shape(given) != shapes[name]:
            reasons.append(f"{name}: shape {np.shape(given)}; {shapes[name]} is needed")
        elif np.asarray(given).dtype.kind not in "fiub" or not np.isfinite(given).all():
            reasons.append(f"{name}: weights that are not finite numbers")
    if reasons:
        raise DataError(
            "use the zero weights of a network",
            received=f"{len(reasons)} fault(s)",
            allowed="per layer a share of zeros, or the matrix: rows of all gates, columns of the "
            "inputs",
            reasons=reasons,
        )
