"""How a class of neurons is described: ``NeuronClass``, ``Reading``, and the look-up by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

import numpy as np
import torch

from tospike.network.neuron.record import Floats, Reset, Signal

NO_RESET = Reset("none")

#: where a class has its time steps: one step per call; a leading (T, B, ...) or a second (B, T,
#: ...) axis; (B * T, ...) rows of one axis; or as SpikingJelly's attribute ``step_mode`` says
Time = Literal["call", "first", "second", "rows", "step_mode"]

Entry = TypeVar("Entry")


@dataclass(frozen=True, slots=True)
class Reading:
    """What one instance says of itself.

    model : key of ``NEURONS``, or a family without a model of its own there ("izhikevich"), whose
        populations are counted and not simulated. parameters : per step, as ``NeuronModel.step``
        takes them. signal : "analog" where the instance sends graded values.
    """

    model: str
    parameters: Mapping[str, Any]
    reset: Reset = NO_RESET
    signal: Signal = "spike"


@dataclass(frozen=True, slots=True)
class NeuronClass:
    """One line of a framework's table.

    read : instance -> :class:`Reading`. time : see :data:`Time`. recurrent : name of the child
    module or parameter whose input is the population's own output of the step before.
    from_input : the population has the shape of its input (its output is a summary over time).
    state_argument : a call takes the state as second argument and returns it as second result.
    signal : of the class, for instances that say nothing of their own.
    """

    read: Callable[[Any], Reading]
    time: Time
    recurrent: str = ""
    from_input: bool = False
    state_argument: bool = False
    signal: Signal = "spike"


def find(table: Mapping[str, Entry], cls: type) -> tuple[str, Entry] | None:
    """(class name, entry) of the nearest base class in a table; None for an unknown class.

    Classes are known by their full name; sub-modules of the package may be left out
    ("snntorch.Leaky" is ``snntorch._neurons.leaky.Leaky``), as packages move their classes.
    """
    for base in cls.__mro__:
        path = base.__module__
        while path:
            name = f"{path}.{base.__qualname__}"
            if name in table:
                return name, table[name]
            path = path.rpartition(".")[0]
    return None


def same(model: str, **parameters: Any) -> Callable[[Any], Reading]:
    """A reader for families of which only the name is read."""
    return lambda module: Reading(model, parameters)


def analog(model: str) -> Callable[[Any], Reading]:
    """A reader for families that send graded, signed or several values in one step."""
    return lambda module: Reading(model, {}, signal="analog")


def values(value: Any) -> Floats:
    """A parameter as float64; a single number has no dimensions."""
    if isinstance(value, torch.Tensor):
        value = value.detach().to("cpu", torch.float64).numpy()
    found = np.asarray(value, np.float64)
    return found.reshape(()) if found.size == 1 else found
