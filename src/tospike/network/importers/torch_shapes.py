"""The second run of a traced module, at another batch size, for the shapes of its operations."""

from __future__ import annotations

from typing import Any

import torch

from tospike.errors import ModelError
from tospike.network.importers import torch_tables as tables
from tospike.network.importers.neurons import NEURON_CLASSES
from tospike.network.importers.neurons_record import find
from tospike.network.importers.torch_nodes import POPULATION, OtherShapes
from tospike.network.importers.torch_run import (
    Interceptor,
    Key,
    ModuleState,
    map_tensors,
    tensors_in,
)
from tospike.network.importers.torch_sites import Shapes
from tospike.network.importers.torch_synapses import Operation


class ShapeMode(Interceptor):
    """Second run: only the shapes of the operations with synapses."""

    def __init__(self, root: torch.nn.Module) -> None:
        super().__init__(root)
        self.found: list[tuple[Key, Shapes]] = []
        self.others: dict[Key, OtherShapes] = {}

    def on_synapses(
        self, key: Key, operation: Operation, outputs: tuple[torch.Tensor, ...]
    ) -> None:
        self.found.append((key, shapes_of(operation, outputs)))

    def on_other(self, func: Any, args: Any, kwargs: Any) -> Any:
        out = func(*args, **kwargs)
        if not tables.moves_only(func):
            key = self.key(f"other:{tables.kind_of(func)}")
            if key not in self.others:
                inputs, outputs = tensors_in([args, kwargs]), tensors_in(out)
                shapes = tuple(tuple(t.shape) for t in inputs)
                self.others[key] = shapes, tuple(outputs[0].shape) if outputs else ()
        return out

    def on_enter(self, module: torch.nn.Module, path: str, inputs: Any) -> None:
        key, tensors = (path, POPULATION, 0), tensors_in(inputs)
        if tensors and key not in self.others and find(NEURON_CLASSES, type(module)) is not None:
            self.others[key] = (tuple(tensors[0].shape),), ()

    def on_module(self, module: torch.nn.Module, path: str, output: Any) -> None:
        known, tensors = self.others.get((path, POPULATION, 0)), tensors_in(output)
        if known is not None and tensors and not known[1]:
            self.others[path, POPULATION, 0] = known[0], tuple(tensors[0].shape)


def shapes_of(operation: Operation, outputs: tuple[torch.Tensor, ...]) -> Shapes:
    """Shapes of an execution."""
    c = operation.c
    return Shapes(
        tuple(operation.a.shape),
        tuple(operation.b.shape),
        tuple(outputs[0].shape),
        tuple(c.shape) if c is not None else (),
    )


def second_run(
    model: torch.nn.Module, inputs: Any, state: ModuleState, *, on_meta: bool
) -> ShapeMode | None:
    """Shapes at another batch size: for real, or first on meta tensors, which have no values.

    None for a model that runs at one batch size only; the axes are then guessed from one run.
    """
    named = (*model.named_parameters(), *model.named_buffers())
    meta = {name: t.detach().to("meta") for name, t in named}
    for tensors in (meta, None) if on_meta else (None,):
        mode = ShapeMode(model)
        own = inputs if tensors is None else map_tensors(to_meta, inputs)
        try:
            mode.run(own, tensors)
        except ModelError:
            continue
        finally:
            state.restore()
            model.eval()
        return mode
    return None


def to_meta(t: torch.Tensor) -> torch.Tensor:
    """The tensor without its values."""
    return t.to("meta")


def other_batch(n_samples: int) -> int:
    """Batch size of the second run."""
    return n_samples - 1 if n_samples > 2 else n_samples + 1
