"""Whose fault a failing run of a torch module is: the model's or the data's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tospike.errors import DataError, ModelError

if TYPE_CHECKING:
    import torch


def as_data_error(
    model: torch.nn.Module, inputs: Any, example: Any, error: ModelError
) -> ModelError | DataError:
    """Whose fault a failing run is.

    The data's if it happens in the first layer with weights, or if the data look other than an
    example input on which the model does run; else the model's.
    """
    from tospike.network.importers.torch_run import describe

    if example is not None and describe(inputs) != describe(example):
        return DataError(
            f"run {type(model).__name__} on the data",
            received=describe(inputs),
            where=error.where,
            allowed=f"inputs like the example input, {describe(example)}",
            fix="bring the data to the shape and type of the example input",
            reasons=[error.received],
        )
    expected = _expected_input(model)
    if expected is None or f"layer {expected[0]!r} " not in f"{error.where} ":
        return error
    return DataError(
        f"run {type(model).__name__} on the data",
        received=describe(inputs),
        where=error.where,
        allowed=expected[1],
        fix="bring the data to the shape and type that the first layer takes",
        reasons=[error.received],
    )


def _expected_input(model: torch.nn.Module) -> tuple[str, str] | None:
    """(name, what it takes) of the first layer with weights."""
    import torch

    for name, m in model.named_modules():
        if isinstance(m, torch.nn.modules.conv._ConvNd):
            axes = ("length", "height", "width")[-len(m.kernel_size) :]
            if len(m.kernel_size) == 1:
                axes = ("length",)
            elif len(m.kernel_size) == 3:
                axes = ("depth", "height", "width")
            return name, f"float samples of shape ({m.in_channels}, {', '.join(axes)})"
        if isinstance(m, torch.nn.Linear):
            return name, f"float samples of shape (..., {m.in_features})"
        if isinstance(m, torch.nn.RNNBase):
            return name, f"float samples with {m.input_size} features per time step"
        if isinstance(m, torch.nn.Embedding):
            return name, f"integer samples in [0, {m.num_embeddings})"
    return None
